//! The accounts, projects and resources that owe each recurring fee, with the local days on which they owe the fee.
//!
//! Fees of accounts and projects depend on the accounts file, not on usage. So an account without usage owes its fees
//! too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::Error;
use crate::model::account::{Account, Accounts, Project};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::money::Quantity;
use crate::model::period::{BillingPeriod, Calendar, DayNumber, day_number};
use crate::model::recurring::{Billed, FeeScope, RecurringFee};
use crate::model::rule_book::RuleBook;
use crate::query::expression::{Compiled, predicate};
use crate::query::{Session, statement};
use crate::rating::series_tuples::{matching_series, resource_columns};
use crate::rows;
use crate::rows::relations::{ActiveSeries, Rows};
use crate::run::{Context, Transaction};

/// The columns that a predicate can use for an account or a project.
const PAYER_COLUMNS: [&str; 3] = ["account_id", "project_id", "country"];

/// A fee with its compiled predicate.
#[derive(Debug)]
pub struct CompiledFee<'a> {
    pub fee: &'a RecurringFee,
    when: Option<Compiled>,
}

/// Compiles all fees and collects the problems of their expressions.
pub fn compile<'a>(session: &Session, rules: &'a RuleBook) -> (Vec<CompiledFee<'a>>, Diagnostics) {
    let mut compiled = Vec::new();
    let mut problems = Diagnostics::default();
    for fee in &rules.recurring {
        let columns = match &fee.per {
            FeeScope::Account | FeeScope::Project => payer_columns(),
            // The loader has reported unknown meters.
            FeeScope::Resource { meter, .. } => rules.meter(meter).map(resource_columns).unwrap_or_default(),
        };
        match fee.when.as_ref().map(|when| predicate(session, when, &columns)).transpose() {
            Ok(when) => compiled.push(CompiledFee { fee, when }),
            Err(problem) => problems.push(with_payer_columns(problem, &fee.per)),
        }
    }
    (compiled, problems)
}

fn payer_columns() -> Vec<(String, DataType)> {
    PAYER_COLUMNS.into_iter().map(|name| (name.to_owned(), DataType::Utf8)).collect()
}

/// Rewords the problem of an unknown column for fees of accounts and projects, because they have no meter.
fn with_payer_columns(mut problem: Diagnostic, scope: &FeeScope) -> Diagnostic {
    if problem.code == "rules::unknown_dimension" && !matches!(scope, FeeScope::Resource { .. }) {
        problem.code = "rules::unknown_column";
        let column = problem.message.split('`').nth(1).unwrap_or_default();
        problem.message = format!("accounts and projects have no column `{column}`");
    }
    problem
}

/// A range of days: the first day, and the day after the last day.
pub type Days = (DayNumber, DayNumber);

fn overlap(left: Days, right: Days) -> Option<Days> {
    let days = (left.0.max(right.0), left.1.min(right.1));
    (days.0 < days.1).then_some(days)
}

/// The given days without the other days.
fn subtract_days(days: Vec<Days>, others: Days) -> Vec<Days> {
    let rest = |days: Days| {
        let before = (days.0, days.1.min(others.0));
        let behind = (days.0.max(others.1), days.1);
        [before, behind].into_iter().filter(|days| days.0 < days.1)
    };
    days.into_iter().flat_map(rest).collect()
}

/// An account or a project that can owe a fee or a charge without usage.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    pub(super) account_id: String,
    /// Absent: the payer is an unassigned project.
    pub(super) account_name: Option<String>,
    pub(super) project: Option<(String, Option<String>)>,
    country: Option<String>,
    cards: Vec<String>,
    status: &'static str,
    /// The days of the month on which the payer exists.
    pub(super) days: Days,
}

impl Payer {
    pub(super) fn status(&self) -> &'static str {
        self.status
    }

    /// The position of a card in the card list of the account.
    pub(super) fn card_number(&self, card: &str) -> Option<usize> {
        self.cards.iter().position(|own| own == card)
    }
}

/// The projects with usage that belong to no account at any time of the month. Each of these projects pays for itself.
pub(super) fn unassigned_projects(
    active_series: &[RecordBatch],
    accounts: &Accounts,
    month: Days,
    calendar: &mut Calendar,
) -> Result<BTreeSet<String>, Error> {
    let [start, end] = [month.0, month.1].map(|day| calendar.day_start(day));
    let is_of_month = |project: &&Project| {
        project.valid_from.is_none_or(|from| from < end) && project.valid_to.is_none_or(|to| start < to)
    };
    let projects = accounts.accounts.iter().flat_map(|account| &account.projects);
    let assigned: BTreeSet<&str> = projects.filter(is_of_month).map(|project| project.id.as_str()).collect();
    let mut unassigned_projects = BTreeSet::new();
    for row in Rows::<ActiveSeries>::read(active_series)?.iter() {
        let is_own = row.account_name().is_none() && !assigned.contains(row.account_id().unwrap_or_default());
        if row.status() == "invoiced" && is_own {
            unassigned_projects.insert(row.account_id().unwrap_or_default().to_owned());
        }
    }
    Ok(unassigned_projects)
}

/// All payers of a month.
pub(super) struct Payers<'a> {
    pub(super) accounts: &'a Accounts,
    pub(super) unassigned_projects: &'a BTreeSet<String>,
}

impl Payers<'_> {
    pub(super) fn of_accounts(&self, month: Days) -> Vec<Payer> {
        let of_accounts = self
            .accounts
            .accounts
            .iter()
            .filter_map(|account| self.payer(account, None, account_days(account, month)?));
        of_accounts.chain(self.unassigned_payers(month)).collect()
    }

    pub(super) fn of_projects(&self, month: Days, calendar: &mut Calendar) -> Vec<Payer> {
        let mut payers = Vec::new();
        for account in &self.accounts.accounts {
            let Some(days) = account_days(account, month) else { continue };
            for project in &account.projects {
                let Some(days) = project_days(project, days, calendar) else { continue };
                // A reseller owes the fees of its customers' projects too.
                let mut payer = Some(account);
                while let Some(account) = payer {
                    payers.extend(self.payer(account, Some((project.id.clone(), project.name.clone())), days));
                    payer = self.accounts.reseller_of(account);
                }
            }
        }
        payers.extend(self.unassigned_payers(month));
        payers
    }

    fn payer(&self, account: &Account, project: Option<(String, Option<String>)>, days: Days) -> Option<Payer> {
        Some(Payer {
            account_id: account.id.clone(),
            account_name: Some(account.name.clone()),
            project,
            country: account.country.clone(),
            cards: account.cards.clone(),
            status: self.accounts.status_of(account),
            days,
        })
    }

    fn unassigned_payers(&self, month: Days) -> impl Iterator<Item = Payer> {
        self.unassigned_projects.iter().map(move |project| Payer {
            account_id: project.clone(),
            account_name: None,
            project: Some((project.clone(), None)),
            country: None,
            cards: vec![crate::model::rule::PUBLIC.to_owned()],
            status: "invoiced",
            days: month,
        })
    }
}

fn account_days(account: &Account, month: Days) -> Option<Days> {
    let first = account.valid_from.map_or(month.0, day_number);
    overlap(month, (first, account.valid_to.map_or(month.1, day_number)))
}

/// The days on which an account has a project. A day belongs to the account that has the project when the day begins,
/// so no day is charged twice.
fn project_days(project: &Project, days: Days, calendar: &mut Calendar) -> Option<Days> {
    let mut begin = |instant: i64| {
        let day = calendar.day_of(instant);
        if calendar.day_start(day) < instant { day + 1 } else { day }
    };
    let first = project.valid_from.map_or(days.0, &mut begin);
    let end = project.valid_to.map_or(days.1, &mut begin);
    overlap(days, (first, end))
}

fn fee_days(fee: &RecurringFee, month: Days) -> Option<Days> {
    overlap(month, (fee.validity.from.map_or(month.0, day_number), fee.validity.to.map_or(month.1, day_number)))
}

/// The payers as rows, with the columns that predicates can use.
pub(super) fn payer_batch(payers: &[Payer]) -> Result<RecordBatch, Error> {
    let texts =
        |pick: fn(&Payer) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(payers.iter().map(pick))) };
    let columns = vec![
        texts(|payer| Some(payer.account_id.as_str())),
        texts(|payer| payer.project.as_ref().map(|(id, _)| id.as_str())),
        texts(|payer| payer.country.as_deref()),
    ];
    let fields: Vec<Field> = PAYER_COLUMNS.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|source| rows::failed("payers", source))
}

/// One row of `subscription`.
#[derive(Debug)]
struct Subscription {
    recurring_id: String,
    payer: Payer,
    days: Days,
    month: Days,
}

/// Registers the fees of a period with their payers, and the charges that the previous period billed in advance.
pub(super) async fn register_subscriptions(
    context: &Context,
    transaction: &Transaction,
    session: &Session,
    rules: &RuleBook,
    active_series: &[RecordBatch],
) -> Result<(), Error> {
    let (fees, problems) = compile(session, rules);
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_sorted()));
    }
    let mut calendar = context.calendar();
    let accounts = context.config.accounts.clone();
    check_accounts_exist(&fees, &accounts)?;
    let month = (context.period.start_day(), context.period.end_day());
    let unassigned_projects = unassigned_projects(active_series, &accounts, month, &mut calendar)?;
    let payers = Payers { accounts: &accounts, unassigned_projects: &unassigned_projects };
    let next = BillingPeriod::of(context.period.end());
    let mut subscriptions = subscriptions(&fees, &payers, &mut calendar, month, |_, _| true)?;
    let in_advance =
        |fee: &RecurringFee, payer: &Payer| fee.billed == Billed::InAdvance && payer.account_name.is_some();
    let next = (next.start_day(), next.end_day());
    subscriptions.extend(self::subscriptions(&fees, &payers, &mut calendar, next, in_advance)?);
    let series = subscribed_series(&fees, rules, &accounts, active_series, month)?;
    let earlier = earlier_charges(context, transaction).await?;
    register_rows(session, rules, &subscriptions, &series, earlier)
}

fn register_rows(
    session: &Session,
    rules: &RuleBook,
    subscriptions: &[Subscription],
    series: &[SubscribedSeries],
    earlier: Vec<RecordBatch>,
) -> Result<(), Error> {
    session.register("rating/recurring", vec![recurring_rows(&rules.recurring)?])?;
    session.register("rating/subscription", vec![subscription_rows(subscriptions)?])?;
    session.register("rating/subscribed_series", vec![subscribed_series_rows(series)?])?;
    Ok(session.register("rating/earlier_non_usage_charge", earlier)?)
}

/// Rejects fees for unknown accounts, which are usually misspelt.
fn check_accounts_exist(fees: &[CompiledFee<'_>], accounts: &Accounts) -> Result<(), Error> {
    if accounts.accounts.is_empty() {
        return Ok(());
    }
    let named = fees.iter().flat_map(|fee| fee.fee.accounts.iter().map(|id| (id, &fee.fee.declared_at)));
    let unknown = named.filter(|(id, _)| accounts.get(id).is_none());
    let problems: Vec<Diagnostic> = unknown.map(|(id, place)| accounts.unknown_account(id, place)).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

/// The accounts and projects that owe each fee in a month.
fn subscriptions(
    fees: &[CompiledFee<'_>],
    payers: &Payers<'_>,
    calendar: &mut Calendar,
    month: Days,
    is_included: impl Fn(&RecurringFee, &Payer) -> bool,
) -> Result<Vec<Subscription>, Error> {
    let mut found = Vec::new();
    for scope in [FeeScope::Account, FeeScope::Project] {
        let of_scope: Vec<&CompiledFee<'_>> = fees.iter().filter(|fee| fee.fee.per == scope).collect();
        if of_scope.is_empty() {
            continue;
        }
        let payers = match scope {
            FeeScope::Account => payers.of_accounts(month),
            _ => payers.of_projects(month, calendar),
        };
        let batch = payer_batch(&payers)?;
        let mut applies = Vec::with_capacity(of_scope.len());
        for fee in &of_scope {
            applies.push(match &fee.when {
                Some(when) => when.is_true(&batch)?,
                None => vec![true; payers.len()],
            });
        }
        for (index, payer) in payers.iter().enumerate() {
            // The fees that apply to this payer. Each fee has the position of its card and its days.
            let mut candidates: Vec<(&RecurringFee, usize, Days)> = Vec::new();
            for (fee, applies) in of_scope.iter().zip(&applies) {
                let fee = fee.fee;
                let includes_payer = fee.accounts.is_empty() || fee.accounts.contains(&payer.account_id);
                if !applies[index] || !includes_payer || !is_included(fee, payer) {
                    continue;
                }
                let days = fee_days(fee, month).and_then(|days| overlap(days, payer.days));
                if let (Some(card), Some(days)) = (payer.card_number(&fee.card), days) {
                    candidates.push((fee, card, days));
                }
            }
            for (fee, card, days) in &candidates {
                let preferred = candidates.iter().filter(|(other, number, _)| other.sku == fee.sku && number < card);
                let remaining = preferred.fold(vec![*days], |rest, (_, _, days)| subtract_days(rest, *days));
                found.extend(remaining.into_iter().map(|days| Subscription {
                    recurring_id: fee.id.clone(),
                    payer: payer.clone(),
                    days,
                    month,
                }));
            }
        }
    }
    Ok(found)
}

/// One row of `subscribed_series`.
#[derive(Debug)]
struct SubscribedSeries {
    recurring_id: String,
    series_id: u64,
    days: Days,
    line_by: String,
}

/// The series whose resources owe a fee in a month.
fn subscribed_series(
    fees: &[CompiledFee<'_>],
    rules: &RuleBook,
    accounts: &Accounts,
    active_series: &[RecordBatch],
    month: Days,
) -> Result<Vec<SubscribedSeries>, Error> {
    struct Candidate<'a> {
        fee: &'a RecurringFee,
        card: usize,
        days: Days,
        line_by: String,
    }
    let mut candidates: BTreeMap<u64, Vec<Candidate<'_>>> = BTreeMap::new();
    let public = [crate::model::rule::PUBLIC.to_owned()];
    for fee in fees {
        let FeeScope::Resource { meter, line_by } = &fee.fee.per else { continue };
        let Some((meter, days)) = rules.meter(meter).zip(fee_days(fee.fee, month)) else { continue };
        for series in matching_series(meter, fee.when.as_ref(), line_by, active_series)? {
            let account = series.account_id.as_deref().and_then(|id| accounts.get(id));
            let includes_payer = fee.fee.accounts.is_empty()
                || fee.fee.accounts.iter().any(|id| series.account_id.as_deref() == Some(id.as_str()));
            let days = account.map_or(Some(days), |account| overlap(days, account_days(account, month)?));
            let cards = account.map_or(&public[..], |account| &account.cards);
            let card = cards.iter().position(|card| *card == fee.fee.card);
            if let (Some(days), Some(card), true) = (days, card, includes_payer) {
                let candidate = Candidate { fee: fee.fee, card, days, line_by: series.line_by };
                candidates.entry(series.series_id).or_default().push(candidate);
            }
        }
    }
    let mut found = Vec::new();
    for (series_id, of_series) in candidates {
        for own in &of_series {
            let preferred = of_series.iter().filter(|other| other.fee.sku == own.fee.sku && other.card < own.card);
            let remaining = preferred.fold(vec![own.days], |rest, other| subtract_days(rest, other.days));
            found.extend(remaining.into_iter().map(|days| SubscribedSeries {
                recurring_id: own.fee.id.clone(),
                series_id,
                days,
                line_by: own.line_by.clone(),
            }));
        }
    }
    Ok(found)
}

/// The recurring fees that the previous period billed in advance for this period, with the current account names.
async fn earlier_charges(context: &Context, transaction: &Transaction) -> Result<Vec<RecordBatch>, Error> {
    let Ok(before) = context.period.start().yesterday() else { return Ok(Vec::new()) };
    let before = BillingPeriod::of(before).to_string();
    let start = context.period.start_day();
    let relation = statement("rating/earlier_non_usage_charge")?;
    let mut charges = Vec::new();
    for batch in transaction.read("non_usage_charge", |file| file.partition == before).await? {
        let kinds: &StringArray = rows::column(&batch, "charge_kind")?;
        let starts: &Date32Array = rows::column(&batch, "charge_period_start")?;
        let is_in_advance =
            kinds.iter().zip(starts.values()).map(|(kind, day)| Some(kind == Some("recurring") && *day >= start));
        let batch = filter_record_batch(&batch, &BooleanArray::from_iter(is_in_advance));
        let batch = batch.map_err(|source| rows::failed(&relation.name, source))?;
        let accounts: &StringArray = rows::column(&batch, "account_id")?;
        let names: &StringArray = rows::column(&batch, "account_name")?;
        let current_names = accounts.iter().zip(names).map(|(id, name)| {
            let account = context.config.accounts.get(id.unwrap_or_default());
            name.map(|name| account.map_or(name, |account| account.name.as_str()))
        });
        let current_names: ArrayRef = Arc::new(StringArray::from_iter(current_names));
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns =
            columns.map(
                |(field, column)| {
                    if field.name() == "account_name" { Arc::clone(&current_names) } else { Arc::clone(column) }
                },
            );
        charges.push(rows::batch(relation, columns.collect())?);
    }
    Ok(charges)
}

fn recurring_rows(fees: &[RecurringFee]) -> Result<RecordBatch, Error> {
    let texts = |pick: fn(&RecurringFee) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(fees.iter().map(pick)))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|fee| &fee.id),
        texts(|fee| &fee.service),
        texts(|fee| &fee.sku),
        texts(|fee| &fee.description),
        texts(|fee| &fee.unit),
        Arc::new(rows::decimals(fees.iter().map(|fee| Some(Quantity::units(fee.quantity))), 28, 9)?),
        Arc::new(rows::decimals(fees.iter().map(|fee| Some(fee.unit_price.units())), 28, 12)?),
        texts(|fee| fee.currency.code()),
        texts(|fee| &fee.declared_at.source.name),
        Arc::new(Int64Array::from_iter_values(fees.iter().map(|fee| fee.declared_at.line() as i64))),
    ];
    rows::batch(statement("rating/recurring")?, columns)
}

fn subscription_rows(subscriptions: &[Subscription]) -> Result<RecordBatch, Error> {
    let texts = |pick: fn(&Subscription) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(subscriptions.iter().map(pick)))
    };
    let days = |pick: fn(&Subscription) -> DayNumber| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(subscriptions.iter().map(pick)))
    };
    let columns = vec![
        texts(|one| Some(&one.recurring_id)),
        texts(|one| Some(&one.payer.account_id)),
        texts(|one| one.payer.account_name.as_deref()),
        texts(|one| one.payer.project.as_ref().map(|(id, _)| id.as_str())),
        texts(|one| one.payer.project.as_ref().and_then(|(_, name)| name.as_deref())),
        texts(|one| Some(one.payer.status())),
        days(|one| one.days.0),
        days(|one| one.days.1),
        days(|one| one.month.0),
        days(|one| one.month.1),
    ];
    rows::batch(statement("rating/subscription")?, columns)
}

fn subscribed_series_rows(series: &[SubscribedSeries]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(series.iter().map(|one| &one.recurring_id))),
        Arc::new(UInt64Array::from_iter_values(series.iter().map(|one| one.series_id))),
        Arc::new(Date32Array::from_iter_values(series.iter().map(|one| one.days.0))),
        Arc::new(Date32Array::from_iter_values(series.iter().map(|one| one.days.1))),
        Arc::new(StringArray::from_iter_values(series.iter().map(|one| &one.line_by))),
    ];
    rows::batch(statement("rating/subscribed_series")?, columns)
}

/// Registers one account for each example of a period. The account owes the fee on the days of the example.
pub(super) fn register_examples(
    session: &Session,
    rules: &RuleBook,
    examples: &[(&RecurringFee, &str, Days)],
    month: Days,
) -> Result<(), Error> {
    let subscription = |(fee, account_id, days): &(&RecurringFee, &str, Days)| {
        let payer = Payer {
            account_id: (*account_id).to_owned(),
            account_name: Some((*account_id).to_owned()),
            project: (fee.per != FeeScope::Account).then(|| ("project".to_owned(), None)),
            country: None,
            cards: Vec::new(),
            status: "invoiced",
            days: *days,
        };
        Subscription { recurring_id: fee.id.clone(), payer, days: *days, month }
    };
    let subscriptions: Vec<Subscription> = examples.iter().map(subscription).collect();
    register_rows(session, rules, &subscriptions, &[], Vec::new())?;
    for path in [
        "rating/one_off_charge",
        "rating/idle_pool",
        "metering/metered_day",
        "rating/active_series",
        "rating/priced_series",
        "rating/rate",
    ] {
        session.register(path, Vec::new())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn subtracted_days_leave_the_days_before_and_after() {
        assert_eq!(subtract_days(vec![(0, 31)], (10, 12)), [(0, 10), (12, 31)]);
        assert_eq!(subtract_days(vec![(0, 31)], (0, 31)), []);
        assert_eq!(subtract_days(vec![(0, 10)], (10, 31)), [(0, 10)]);
        assert_eq!(subtract_days(vec![(0, 10), (20, 31)], (5, 25)), [(0, 5), (25, 31)]);
    }

    /// Berlin, 12 October: a project that changes its account at noon belongs to the old account on that day. If the
    /// project changes its account at midnight, the day belongs to the new account. No day is lost or counted twice.
    #[test]
    fn a_day_belongs_to_the_account_that_has_the_project_when_it_begins() {
        let mut calendar = Calendar::new(TimeZone::get("Europe/Berlin").unwrap());
        let day = day_number("2026-10-12".parse().unwrap());
        let month = (day - 11, day + 20);
        let midnight = calendar.day_start(day);
        for (instant, first) in [(midnight, day), (midnight + 43_200_000_000, day + 1)] {
            let old = Project { valid_to: Some(instant), ..Project::default() };
            let new = Project { valid_from: Some(instant), ..Project::default() };
            assert_eq!(project_days(&old, month, &mut calendar), Some((month.0, first)));
            assert_eq!(project_days(&new, month, &mut calendar), Some((first, month.1)));
        }
    }
}
