//! The one-off charges that a period bills. Each charge is billed once, by its id.
//!
//! A charge belongs to the month of its date. If this month was closed without the charge, the first later month that
//! is open bills it. A closed period keeps the charges of its close, whatever the rules contain now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use jiff::civil::Date;

use crate::error::Error;
use crate::model::account::{Account, Accounts, Project};
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, closest};
use crate::model::money::{Price, Quantity};
use crate::model::one_off_charge::{ChargePayer, ONE_OFF, OneOffCharge, line_by_of};
use crate::model::period::{BillingPeriod, Calendar, date_of, day_number};
use crate::query::{Session, statement};
use crate::rows;
use crate::rows::relations::{self, InvoiceLine, Rows};
use crate::run::{Context, Mode, Transaction, final_invoices};
use crate::storage::CommitKind;

const RELATION: &str = "rating/one_off_charge";

/// Registers the one-off charges of the period, and returns their rows.
pub(super) async fn register_one_off_charges(
    context: &Context,
    transaction: &Transaction,
    session: &Session,
    charges: &[OneOffCharge],
) -> Result<Vec<RecordBatch>, Error> {
    let rows = match &context.mode {
        Mode::Draft { .. } => due_rows(context, transaction, charges).await?,
        Mode::Correct { .. } => billed_rows(context, transaction).await?,
        Mode::Restate { .. } => {
            refuse_changes(&billed_charges(context.period, transaction).await?, transaction, charges).await?;
            billed_rows(context, transaction).await?
        }
    };
    session.register(RELATION, rows.clone())?;
    Ok(rows)
}

/// The charges that an open period bills. No closed month and no final invoice of another month has billed them, and no
/// earlier open month bills them.
async fn due_rows(
    context: &Context,
    transaction: &Transaction,
    charges: &[OneOffCharge],
) -> Result<Vec<RecordBatch>, Error> {
    if charges.is_empty() {
        return Ok(Vec::new());
    }
    let billed = billed_charges(context.period, transaction).await?;
    let mut payers = Payers::new(&context.config, context.calendar());
    // The accounts file may no longer contain the payer of a billed charge.
    let unbilled = charges.iter().filter(|charge| !billed.contains_key(&charge.id));
    let problems: Vec<Diagnostic> = unbilled.filter_map(|charge| payers.problem(charge)).collect();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    refuse_changes(&billed, transaction, charges).await?;
    let closed = periods_with(transaction, CommitKind::Close);
    let mut open = periods_with(transaction, CommitKind::Billing);
    open.extend(periods_with(transaction, CommitKind::FinalInvoice));
    open.retain(|period| !closed.contains(period));
    let is_due = |charge: &&OneOffCharge| {
        let month = BillingPeriod::of(charge.date);
        let is_reached = month <= context.period && open.range(month..context.period).next().is_none();
        is_reached && !billed.contains_key(&charge.id)
    };
    let mut due = Vec::new();
    for charge in charges.iter().filter(is_due) {
        due.extend(payers.payer(charge).ok().map(|payer| (charge, payer)));
    }
    if due.is_empty() { Ok(Vec::new()) } else { Ok(vec![charge_rows(&due)?]) }
}

/// The periods with a commit of this kind.
fn periods_with(transaction: &Transaction, kind: CommitKind) -> BTreeSet<BillingPeriod> {
    let commits = transaction.snapshot.commits().iter().filter(|commit| commit.kind == kind);
    commits.filter_map(|commit| commit.period.as_deref()?.parse().ok()).collect()
}

/// The charges of the last close of a period, with the current names of their accounts and projects.
async fn billed_rows(context: &Context, transaction: &Transaction) -> Result<Vec<RecordBatch>, Error> {
    let period = context.period.to_string();
    let relation = statement(RELATION)?;
    let mut batches = Vec::new();
    for batch in transaction.read(&relation.name, |file| file.partition == period).await? {
        let (mut names, mut statuses, mut projects) = (Vec::new(), Vec::new(), Vec::new());
        let charges: Rows<relations::OneOffCharge> = Rows::read(std::slice::from_ref(&batch))?;
        for row in charges.iter() {
            let name = row.account_name();
            let account = name.and_then(|_| context.account(row.account_id()));
            names.push(account.map(|account| account.name.as_str()).or(name));
            let status = account.map(|account| context.config.accounts.status_of(account));
            statuses.push(status.unwrap_or(row.status()));
            let project = row.project_id();
            let own = account.and_then(|account| account.projects.iter().find(|own| Some(own.id.as_str()) == project));
            projects.push(own.map_or(row.project_name(), |own| own.name.as_deref()));
        }
        let columns = relation.schema.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| match field.name().as_str() {
            "account_name" => Arc::new(StringArray::from(names.clone())) as ArrayRef,
            "status" => Arc::new(StringArray::from(statuses.clone())),
            "project_name" => Arc::new(StringArray::from(projects.clone())),
            _ => Arc::clone(column),
        });
        batches.push(rows::batch(relation, columns.collect())?);
    }
    Ok(batches)
}

/// A charge on issued documents.
struct BilledCharge {
    period: String,
    account_id: String,
    project_id: Option<String>,
    date: Date,
    quantity: Quantity,
    unit: String,
    unit_price: Price,
    currency: String,
    tax_id: Option<String>,
}

/// The charges of all closed periods and of final invoices in other open periods, by id.
async fn billed_charges(
    this: BillingPeriod,
    transaction: &Transaction,
) -> Result<BTreeMap<String, BilledCharge>, Error> {
    let closed: BTreeSet<String> =
        periods_with(transaction, CommitKind::Close).into_iter().map(|period| period.to_string()).collect();
    let relation = statement(RELATION)?;
    let mut billed = BTreeMap::new();
    for file in transaction.files(&relation.name) {
        let is_closed = closed.contains(&file.partition);
        let accounts = final_invoices(&transaction.snapshot, &file.partition);
        if !is_closed && (accounts.is_empty() || file.partition == this.to_string()) {
            continue;
        }
        let rows = transaction.lake.read_rows(&file, &relation.schema).await?;
        for row in Rows::<relations::OneOffCharge>::read(&rows)?.iter() {
            if !is_closed && !accounts.contains_key(row.account_id()) {
                continue;
            }
            let charge = BilledCharge {
                period: file.partition.to_string(),
                account_id: row.account_id().to_owned(),
                project_id: row.project_id().map(str::to_owned),
                date: date_of(row.charge_date()),
                quantity: row.quantity(),
                unit: row.unit().to_owned(),
                unit_price: Price::of_decimal(row.unit_price()).ok_or(Error::AMOUNT_OVERFLOW)?,
                currency: row.currency().to_owned(),
                tax_id: row.tax_id().map(str::to_owned),
            };
            billed.insert(row.charge_id().to_owned(), charge);
        }
    }
    Ok(billed)
}

/// Fails if a charge of the rules differs from the charge that a closed period billed under the same id. An issued
/// document cannot follow the rules, so the operator adds a charge for the difference.
async fn refuse_changes(
    billed: &BTreeMap<String, BilledCharge>,
    transaction: &Transaction,
    charges: &[OneOffCharge],
) -> Result<(), Error> {
    let mut problems = Vec::new();
    for charge in charges {
        let Some(billed) = billed.get(&charge.id) else { continue };
        let changes = billed.changes(charge);
        if changes.is_empty() {
            continue;
        }
        let place = match document_of(transaction, &billed.period, &charge.id).await? {
            Some(number) => format!("on `{number}` of {}", billed.period),
            None => format!("in {}", billed.period),
        };
        let message = format!("the charge `{}` is already billed {place}, with {}", charge.id, changes.join(", "));
        let diagnostic = Diagnostic::error("rules::billed_charge", message);
        let diagnostic = diagnostic.at(charge.declared_at.clone(), "changed since");
        problems.push(diagnostic.hint("restore this charge, and add another `[[charge]]` with the difference"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

/// The number of the document that contains a charge. A suspended account has no document.
async fn document_of(transaction: &Transaction, period: &str, charge_id: &str) -> Result<Option<String>, Error> {
    let line_by = line_by_of(charge_id);
    let rows = transaction.read("invoice_line", |file| &*file.partition == period).await?;
    for row in Rows::<InvoiceLine>::read(&rows)?.iter() {
        if row.charge_kind() == ONE_OFF && row.line_by() == line_by {
            return Ok(Some(row.invoice_number().to_owned()));
        }
    }
    Ok(None)
}

impl BilledCharge {
    /// The differences from a charge of the rules, each with the billed and the current value. Texts may change,
    /// because the issued document keeps its own.
    fn changes(&self, charge: &OneOffCharge) -> Vec<String> {
        let (billed_key, billed) = match &self.project_id {
            Some(project) => ("project", project),
            None => ("account", &self.account_id),
        };
        let (key, current) = match &charge.payer {
            ChargePayer::Account(account) => ("account", account),
            ChargePayer::Project(project) => ("project", project),
        };
        let mut changes = Vec::new();
        if (billed_key, billed) != (key, current) {
            let key = if key == billed_key { String::new() } else { format!("`{key}` ") };
            changes.push(format!("`{billed_key}` {billed} instead of {key}{current}"));
        }
        let mut compare = |key: &str, billed: String, current: String| {
            if billed != current {
                changes.push(format!("`{key}` {billed} instead of {current}"));
            }
        };
        compare("date", self.date.to_string(), charge.date.to_string());
        let price = |quantity: Quantity, unit: &str, unit_price: Price| {
            let price = unit_price.to_text(2);
            match (unit, quantity.is_negative()) {
                ("", true) => format!("-{price}"),
                ("", false) => price,
                (unit, _) => format!("{quantity} {unit} at {price}"),
            }
        };
        let billed = price(self.quantity, &self.unit, self.unit_price);
        compare("amount", billed, price(charge.quantity, &charge.unit, charge.unit_price));
        compare("currency", self.currency.clone(), charge.currency.code().to_owned());
        let tax = |id: Option<&String>| id.cloned().unwrap_or_else(|| "by the rules".to_owned());
        compare("tax", tax(self.tax_id.as_ref()), tax(charge.tax.as_ref().map(|(id, _)| id)));
        changes
    }
}

/// The account that pays a charge, and the project of its line.
struct ChargedPayer<'a> {
    account_id: &'a str,
    /// Absent: the project is its own account.
    account: Option<&'a Account>,
    project: Option<(&'a str, Option<&'a str>)>,
    status: &'static str,
}

/// The accounts and projects of the configuration, for the payers of charges.
struct Payers<'a> {
    config: &'a Config,
    accounts: &'a Accounts,
    /// The accounts of each project at any time.
    projects: BTreeMap<&'a str, Vec<(&'a Account, &'a Project)>>,
    calendar: Calendar,
}

/// The problems of charges that only the accounts and exchange rates reveal.
pub fn problems(charges: &[OneOffCharge], config: &Config, calendar: Calendar) -> Vec<Diagnostic> {
    let mut payers = Payers::new(config, calendar);
    charges.iter().filter_map(|charge| payers.problem(charge)).collect()
}

impl<'a> Payers<'a> {
    fn new(config: &'a Config, calendar: Calendar) -> Self {
        let mut projects: BTreeMap<&str, Vec<(&Account, &Project)>> = BTreeMap::new();
        for account in &config.accounts.accounts {
            for project in &account.projects {
                projects.entry(project.id.as_str()).or_default().push((account, project));
            }
        }
        Self { config, accounts: &config.accounts, projects, calendar }
    }

    fn problem(&mut self, charge: &OneOffCharge) -> Option<Diagnostic> {
        match self.payer(charge) {
            Ok(payer) => self.currency_problem(charge, &payer),
            Err(problem) => Some(problem),
        }
    }

    /// The payer of a charge on its date.
    fn payer<'c>(&mut self, charge: &'c OneOffCharge) -> Result<ChargedPayer<'c>, Diagnostic>
    where
        'a: 'c,
    {
        let of_account = |account: &'a Account, project| ChargedPayer {
            account_id: account.id.as_str(),
            account: Some(account),
            project,
            status: self.accounts.status_of(account),
        };
        let date = charge.date;
        match &charge.payer {
            ChargePayer::Account(id) => {
                let account = self.accounts.get(id);
                let account = account.ok_or_else(|| self.accounts.unknown_account(id, &charge.payer_at))?;
                if is_valid(account, date) {
                    return Ok(of_account(account, None));
                }
                let message = format!("the charge is of {date}, but the account `{id}` is not valid on this day");
                let (from, to) = (account.valid_from, account.valid_to);
                let valid = [from.map(|from| format!("from {from}")), to.map(|to| format!("until {to}, exclusive"))];
                let valid: Vec<String> = valid.into_iter().flatten().collect();
                let hint = format!("the account is valid {}: change `date`, or the account", valid.join(" "));
                Err(Diagnostic::error("rules::charge_date", message).at(charge.dated_at.clone(), "this day").hint(hint))
            }
            // Without an accounts file, each project is its own account.
            ChargePayer::Project(id) if self.accounts.accounts.is_empty() => {
                Ok(ChargedPayer { account_id: id, account: None, project: Some((id, None)), status: "invoiced" })
            }
            ChargePayer::Project(id) => {
                let Some(owners) = self.projects.get(id.as_str()) else {
                    let hint = match closest(id, self.projects.keys().copied()) {
                        Some(likely) => format!("did you mean `{likely}`?"),
                        None => "add it to an account in the accounts file".to_owned(),
                    };
                    let message = format!("the project `{id}` belongs to no account");
                    let diagnostic = Diagnostic::error("rules::unknown_project", message);
                    return Err(diagnostic.at(charge.payer_at.clone(), "not declared").hint(hint));
                };
                // A day belongs to the account that has the project when the day begins, as for recurring fees.
                let start = self.calendar.day_start(day_number(date));
                let owner = owners.iter().find(|(account, project)| {
                    let has_begun = project.valid_from.is_none_or(|from| from <= start);
                    is_valid(account, date) && has_begun && project.valid_to.is_none_or(|to| start < to)
                });
                if let Some((account, project)) = owner {
                    return Ok(of_account(account, Some((id.as_str(), project.name.as_deref()))));
                }
                let names: Vec<String> = owners.iter().map(|(account, _)| format!("`{}`", account.id)).collect();
                let message = format!("the charge is of {date}, but no account has the project `{id}` on this day");
                let hint = format!("the project belongs to {} at other times: change `date`", names.join(", "));
                Err(Diagnostic::error("rules::charge_date", message).at(charge.dated_at.clone(), "this day").hint(hint))
            }
        }
    }

    /// The problem that no exchange rate leads from the currency of a charge to the currency of its invoice. A rate of
    /// the pair may still be missing on the day of the invoice, which then suspends the account.
    fn currency_problem(&self, charge: &OneOffCharge, payer: &ChargedPayer<'_>) -> Option<Diagnostic> {
        let reseller = payer.account.and_then(|account| self.accounts.reseller_of(account));
        let own = [payer.account, reseller].into_iter().flatten().find_map(|account| account.currency.as_deref());
        let (from, to) = (charge.currency.code(), own.unwrap_or(self.config.currency.code()));
        if from == to || self.config.exchange_rates.has_pair(from, to) {
            return None;
        }
        let id = payer.account_id;
        let message = format!("the charge is in {from}, but the invoices of `{id}` are in {to}");
        let diagnostic = Diagnostic::error("rules::charge_currency", message);
        let diagnostic = diagnostic.at(charge.declared_at.clone(), format!("no exchange rate from {from} to {to}"));
        Some(diagnostic.hint(format!("write the charge in {to}, or add the rate to the file of `exchange_rates`")))
    }
}

fn is_valid(account: &Account, date: Date) -> bool {
    account.valid_from.is_none_or(|from| from <= date) && account.valid_to.is_none_or(|to| date < to)
}

fn charge_rows(due: &[(&OneOffCharge, ChargedPayer<'_>)]) -> Result<RecordBatch, Error> {
    let charges = || due.iter().map(|(charge, _)| *charge);
    let texts =
        |pick: fn(&OneOffCharge) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(charges().map(pick))) };
    let of_payers = |pick: fn(&ChargedPayer<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(due.iter().map(|(_, payer)| pick(payer))))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|charge| Some(&charge.id)),
        of_payers(|payer| Some(payer.account_id.to_owned())),
        of_payers(|payer| payer.account.map(|account| account.name.clone())),
        of_payers(|payer| payer.project.map(|(id, _)| id.to_owned())),
        of_payers(|payer| payer.project.and_then(|(_, name)| name.map(str::to_owned))),
        of_payers(|payer| Some(payer.status.to_owned())),
        texts(|charge| Some(&charge.service)),
        texts(|charge| Some(&charge.sku)),
        texts(|charge| Some(&charge.description)),
        Arc::new(Date32Array::from_iter_values(charges().map(|charge| day_number(charge.date)))),
        Arc::new(rows::decimals(charges().map(|charge| Some(charge.quantity.units())), 28, 9)?),
        texts(|charge| Some(&charge.unit)),
        Arc::new(rows::decimals(charges().map(|charge| Some(charge.unit_price.units())), 28, 12)?),
        texts(|charge| Some(charge.currency.code())),
        texts(|charge| charge.tax.as_ref().map(|(id, _)| id.as_str())),
        texts(|charge| charge.reason.as_deref()),
        texts(|charge| charge.approved_by.as_deref()),
        texts(|charge| Some(&charge.declared_at.source.name)),
        Arc::new(Int64Array::from_iter_values(charges().map(|charge| charge.declared_at.line() as i64))),
    ];
    rows::batch(statement(RELATION)?, columns)
}
