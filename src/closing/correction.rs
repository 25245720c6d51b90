//! Corrections: the new amounts minus the issued amounts of a closed period, line by line in rounded amounts. An
//! account with a final invoice is corrected in the same way while its period is open.
//!
//! Lines, discounts and overage allowances are compared. The close used the credits, so a correction does not use them
//! again. A credit that paid more than the new amounts gets the excess back. Amounts that were carried forward to the
//! next invoice remain there.
//!
//! | difference | result |
//! | --- | --- |
//! | increase | lines on the next invoice or a separate invoice, by `charge_increases_as` of the configuration |
//! | decrease | a credit note, or lines on the next invoice if the payer has no issued document |
//!
//! An account or project that ended has no next invoice, so each difference is a document of its own. The present
//! accounts file decides whether a later month still invoices the account with the same VAT id, country, currency and
//! seller.
//!
//! The sign of the total with tax determines the row. If lines with several tax rates change, this total can be
//! negative although the total without tax is positive.
//!
//! The tax of a correction is cumulative: the tax on all documents of the period, less the tax of the issued documents.
//! So all documents together have the tax of one invoice over the same lines, whatever the number of corrections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::changed_usage::ChangedUsage;
use super::issued::{DRAFT, Issued, originals, written_off};
use crate::closing::payer::{Payer, payer_of};
use crate::closing::reason::{CHANGED_RECORD, CHANGED_RULE, LATE_AND_CHANGED, LATE_USAGE};
use crate::error::{ClosingError, Error};
use crate::model::config::ChargeIncreasesAs;
use crate::model::draft_number::DraftNumbers;
use crate::model::issue::CorrectedRows;
use crate::model::money::{Amount, Decimal, Quantity, UnitPrice, places_of, places_of_code};
use crate::model::period::{BillingPeriod, day_number};
use crate::model::summary::Change;
use crate::model::tax::{TaxAmounts, TaxGroup, TaxTreatment, tax_amounts};
use crate::model::terms::CARRIED_FORWARD;
use crate::query::{Session, statement};
use crate::rows::taxes::{APPLIED_TAX, TaxTreatments, applied_tax, tax_group_of, treatment_of, treatments};
use crate::rows::{self, Row};
use crate::run::{Context, Transaction, usage_of};

pub(super) const HEADER: &str = "invoicing/document_header";
pub(super) const INVOICE: &str = "invoicing/invoice";
pub(super) const TAX_BREAKDOWN: &str = "invoicing/tax_breakdown";

/// A document relation whose rows are compared.
pub(super) struct Compared {
    pub(super) path: &'static str,
    /// The column with the number of the row in its document.
    number_column: &'static str,
    /// The columns that are subtracted, the rounded amount first. All other columns identify the row.
    measures: &'static [&'static str],
}

pub(super) const LINE: Compared = Compared {
    path: "invoicing/invoice_line",
    number_column: "line_number",
    measures: &["net_amount", "quantity", "contracted_cost"],
};

pub(super) const ALLOWANCE: Compared =
    Compared { path: "invoicing/allowance", number_column: "allowance_number", measures: &["amount", "base_amount"] };

/// The period of a line (EN 16931: BG-26). The period of a difference covers both lines, or only the changed days.
const LINE_PERIOD: [&str; 2] = ["charge_period_start", "charge_period_end"];

/// The price columns. The prices of a line without a unit are not compared, because the price is the net amount.
const PRICES: [&str; 2] = ["unit_price", "contracted_unit_price"];

/// The payers of drafted documents and of issued documents, by document number. A document that was carried forward
/// keeps the number of its draft.
pub(super) struct DocumentPayers {
    drafted: BTreeMap<String, Payer>,
    issued: BTreeMap<String, Payer>,
}

impl DocumentPayers {
    pub(super) fn of(drafted: &[RecordBatch], issued: &[RecordBatch], of: Corrected<'_>) -> Result<Self, Error> {
        let by_document = |batches| -> Result<BTreeMap<String, Payer>, Error> {
            let mut payers = BTreeMap::new();
            for row in rows::each(batches) {
                if of.contains(row)? {
                    payers.insert(row.text("invoice_number")?.to_owned(), payer_of(row)?);
                }
            }
            Ok(payers)
        };
        Ok(Self { drafted: by_document(drafted)?, issued: by_document(issued)? })
    }
}

/// The difference between a drafted and an issued row.
#[derive(Debug)]
struct Difference {
    key: Vec<String>,
    /// The indexes of the batch and the row that provide the texts. A drafted row takes precedence over an issued row.
    shown: (usize, usize),
    /// Drafted minus issued amounts, in the order of the measures.
    units: Vec<i128>,
    period: [i32; 2],
    /// Whether the row is a line without a unit.
    is_amount: bool,
}

/// The payer of a row, and the texts that identify the row.
type Key = (Payer, Vec<String>);

/// The differences of lines, in units of the rounded amount.
pub type LineDifferences = BTreeMap<Key, i128>;

/// The cause of a difference since the close.
#[derive(Clone, Copy, Debug)]
pub enum ChangeCause<'a> {
    /// Only usage changed; the rules are the rules of the close.
    Usage,
    /// The rules changed, and usage may have changed too. The value contains the differences that usage alone would
    /// cause.
    Rules(&'a LineDifferences),
}

impl ChangeCause<'_> {
    fn is_of_rules(self, key: &Key, units: i128) -> bool {
        matches!(self, Self::Rules(by_usage) if by_usage.get(key) != Some(&units))
    }
}

/// The documents that are corrected.
#[derive(Clone, Copy, Debug)]
pub enum Corrected<'a> {
    /// All documents of a closed period.
    Period,
    /// The documents of an account with a final invoice in an open period.
    Account { id: &'a str, last_issue: u64 },
    /// All documents of a closed period with those of a cancellation, which have no taxes yet. The differences of these
    /// payers are on their next invoice.
    AfterCancellation { waiting: &'a BTreeSet<Payer> },
}

impl Corrected<'_> {
    /// Whether a document is corrected. An unassigned project with the id of an account is another payer.
    fn contains(self, document: Row<'_>) -> Result<bool, Error> {
        match self {
            Self::Period | Self::AfterCancellation { .. } => Ok(true),
            Self::Account { id, .. } => {
                Ok(document.optional_text("account_name")?.is_some() && document.text("account_id")? == id)
            }
        }
    }

    /// The commit that last issued the documents.
    fn last_issue(self, context: &Context) -> Option<u64> {
        match self {
            Self::Period | Self::AfterCancellation { .. } => context.mode.closed().map(|closed| usage_of(closed)),
            Self::Account { last_issue, .. } => Some(last_issue),
        }
    }
}

/// The documents and line differences of a correction.
#[derive(Debug, Default)]
pub struct Correction {
    pub documents: CorrectedRows,
    pub changes: Vec<Change>,
    pub line_differences: LineDifferences,
}

/// Compares the current drafts with the issued documents. Rows with the same rounded amount have no difference, even if
/// their quantity changed. Amounts that a cancellation wrote off have no difference, except in a restatement.
pub async fn difference(
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    cause: ChangeCause<'_>,
) -> Result<Correction, Error> {
    difference_of(Corrected::Period, context, transaction, issued, cause).await
}

/// As [`difference`], for some of the documents.
pub async fn difference_of(
    corrected: Corrected<'_>,
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    cause: ChangeCause<'_>,
) -> Result<Correction, Error> {
    let history = transaction.read("issued_document", |_| true).await?;
    let written_off = written_off(&history, &context.period.to_string())?;
    difference_without(corrected, context, transaction, issued, cause, &written_off).await
}

/// As [`difference_of`], with these payers whose amounts are written off.
pub(super) async fn difference_without(
    corrected: Corrected<'_>,
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    cause: ChangeCause<'_>,
    written_off: &BTreeSet<Payer>,
) -> Result<Correction, Error> {
    let drafted_invoice = transaction.session.rows_of(INVOICE).await?;
    let old_invoice = issued.get(INVOICE).cloned().unwrap_or_default();
    let payers = DocumentPayers::of(&drafted_invoice, &old_invoice, corrected)?;
    check_not_suspended(context, transaction, &old_invoice).await?;
    let committed = issued.get(APPLIED_TAX).cloned().unwrap_or_default();
    let treatments = treatments(&[transaction.session.rows_of(APPLIED_TAX).await?, committed].concat())?;
    let lines = DocumentSide::read(&transaction.session, issued, LINE).await?;
    let allowances = DocumentSide::read(&transaction.session, issued, ALLOWANCE).await?;
    let mut of_lines = lines.differences(&payers)?;
    let mut of_allowances = allowances.differences(&payers)?;
    let mut correction = Correction::default();
    let returned = &mut correction.documents.returned;
    for (payer, differences) in returned_credits(&lines, &allowances, &payers, &treatments, returned)? {
        of_allowances.changed.entry(payer).or_default().extend(differences);
    }
    correction.documents.applied_tax = vec![applied_tax(&treatments)?];
    if matches!(cause, ChangeCause::Usage) {
        for payer in written_off {
            of_allowances.changed.remove(payer);
            for one in of_lines.changed.remove(payer).unwrap_or_default() {
                let currency = lines.row(one.shown)?.text("price_currency")?.to_owned();
                let cost = one.units.get(2).copied().unwrap_or(0);
                *of_lines.unchanged.entry((payer.account_id.clone(), currency)).or_default() += cost;
            }
        }
    }
    correction.documents.unbilled_cost = unbilled_cost(&of_lines.unchanged)?;
    let last_issue = corrected.last_issue(context);
    let reasons = reasons(last_issue, context, transaction, &lines, &mut of_lines.changed, cause).await?;
    let drafted_header = transaction.session.rows_of(HEADER).await?;
    let tax_breakdown = issued.get(TAX_BREAKDOWN).cloned().unwrap_or_default();
    let issued_amounts = IssuedAmounts::of_payers(&lines, &allowances, &tax_breakdown, &payers)?;
    let nothing = IssuedAmounts::default();
    let history = transaction.read("issued_document", |_| true).await?;
    let originals = originals(&history, &context.period.to_string())?;
    let draft_count = drafted_invoice.iter().map(RecordBatch::num_rows).sum();
    let mut drafts = DraftNumbers::drafts(context.period, draft_count);
    if let Corrected::Account { .. } = corrected {
        for number in other_numbers(&drafted_invoice, &old_invoice, &payers)? {
            drafts.take(&number);
        }
    }
    let mut carried_forward = CarriedForwardNumbers::after(&old_invoice, context.period, draft_count)?;
    let all: BTreeSet<&Payer> = of_lines.changed.keys().chain(of_allowances.changed.keys()).collect();
    for payer in all {
        let lines_of: &[Difference] = of_lines.changed.get(payer).map_or(&[], Vec::as_slice);
        let allowances_of: &[Difference] = of_allowances.changed.get(payer).map_or(&[], Vec::as_slice);
        let before = issued_amounts.get(payer).unwrap_or(&nothing);
        let changed = [(&lines, lines_of, 1), (&allowances, allowances_of, -1)];
        let due = AmountDue::of(changed, before, &treatments)?;
        let original = originals.get(payer);
        let is_decrease = due.with_tax < Amount::ZERO;
        let has_next_invoice =
            !context.without_next_invoice.contains(&payer.account_id) && !has_ended(payer, &drafted_header)?;
        let is_carried_forward = match corrected {
            Corrected::Account { .. } => false,
            Corrected::AfterCancellation { waiting } => waiting.contains(payer),
            Corrected::Period if is_decrease => original.is_none() && has_next_invoice,
            Corrected::Period => {
                // The last document of a payer decides whether its amounts are written off, so this needs a document.
                context.config.closing.charge_increases_as == ChargeIncreasesAs::NextInvoice
                    && !written_off.contains(payer)
                    && has_next_invoice
            }
        };
        let number = if is_carried_forward { carried_forward.next(payer) } else { drafts.next(&payer.draft_key()) };
        let reasons: &[&str] = reasons.get(payer).map_or(&[], Vec::as_slice);
        let reason = reason_of_all(reasons);
        for one in lines_of {
            correction.line_differences.insert((payer.clone(), one.key.clone()), one.units[0]);
        }
        let documents = &mut correction.documents;
        documents.invoice_line.push(lines.rows_of(&number, lines_of)?);
        documents.allowance.push(allowances.rows_of(&number, allowances_of)?);
        documents.line_reference.push(line_references(context.period, &number, original, reasons)?);
        let header =
            DocumentHeader { number: &number, reason, carried_forward: is_carried_forward.then_some(due.net.units()) };
        let header = header.row(context, payer, &drafted_header, &old_invoice)?;
        // The next invoice computes the taxes of a document that is carried forward.
        if !matches!(corrected, Corrected::AfterCancellation { .. }) {
            documents.issued_net.push(before.net_rows(&number)?);
            documents.issued_tax.push(before.tax_rows(&number)?);
            documents.issued_tax_total.push(issued_tax_total(&number, payer, &header, &old_invoice)?);
        }
        documents.document_header.push(header);
        correction.changes.push(Change {
            account_id: payer.account_id.clone(),
            project_id: payer.project_id.clone(),
            net_amount: due.net.to_text(due.places),
            currency: due.currency,
            reason: reason.to_owned(),
            billed_as: match (is_carried_forward, is_decrease) {
                (true, _) => "next invoice",
                (false, true) => "credit note",
                (false, false) => "invoice",
            }
            .to_owned(),
        });
    }
    Ok(correction)
}

/// The numbers of all documents that are not replaced by a correction.
fn other_numbers(
    drafted: &[RecordBatch],
    issued: &[RecordBatch],
    payers: &DocumentPayers,
) -> Result<BTreeSet<String>, Error> {
    let mut numbers = BTreeSet::new();
    for row in rows::each(drafted) {
        let number = row.text("invoice_number")?;
        if !payers.drafted.contains_key(number) {
            numbers.insert(number.to_owned());
        }
    }
    for row in rows::each(issued) {
        numbers.insert(row.text("invoice_number")?.to_owned());
    }
    Ok(numbers)
}

/// Whether the account or the project of a payer ended, so that the payer has no next invoice.
fn has_ended(payer: &Payer, drafted_header: &[RecordBatch]) -> Result<bool, Error> {
    for row in rows::each(drafted_header) {
        if payer_of(row)? == *payer {
            return row.flag("is_last");
        }
    }
    Ok(false)
}

/// The numbers of documents that are not sent, because their lines are on the next invoice.
struct CarriedForwardNumbers {
    numbers: DraftNumbers,
    /// The digits of each payer with earlier corrections of the period, and the number of these corrections.
    earlier: BTreeMap<Payer, (String, usize)>,
}

impl CarriedForwardNumbers {
    /// The numbers after the issued documents. No other payer gets the digits of an earlier correction.
    fn after(issued: &[RecordBatch], period: BillingPeriod, draft_count: usize) -> Result<Self, Error> {
        let mut numbers = DraftNumbers::corrections(period, draft_count);
        let mut earlier: BTreeMap<Payer, (String, usize)> = BTreeMap::new();
        for row in rows::each(issued) {
            if let Some(number) = numbers.without_count(row.text("invoice_number")?) {
                earlier.entry(payer_of(row)?).or_insert_with(|| (number.to_owned(), 0)).1 += 1;
                numbers.take(number);
            }
        }
        Ok(Self { numbers, earlier })
    }

    fn next(&mut self, payer: &Payer) -> String {
        match self.earlier.get(payer) {
            Some((number, count)) => format!("{number}-{}", count + 1),
            None => format!("{}-1", self.numbers.next(&payer.draft_key())),
        }
    }
}

/// The amount due for the differences of one payer.
#[derive(Debug, Default)]
struct AmountDue {
    net: Amount,
    with_tax: Amount,
    currency: String,
    places: u32,
}

impl AmountDue {
    /// The sum of lines less allowances. The tax of a tax group is cumulative, as on the document.
    fn of(
        changed: [(&DocumentSide, &[Difference], i128); 2],
        issued: &IssuedAmounts,
        treatments: &TaxTreatments,
    ) -> Result<Self, Error> {
        let mut due = Self::default();
        let mut cumulative = issued.nets.clone();
        for (side, differences, sign) in changed {
            for one in differences {
                let row = side.row(one.shown)?;
                due.currency = row.text("currency")?.to_owned();
                let change = Amount::from_units(sign * one.units[0]).ok_or(Error::AMOUNT_OVERFLOW)?;
                due.net = due.net.checked_add(change).ok_or(Error::AMOUNT_OVERFLOW)?;
                let sum = cumulative.entry(row.text("tax_treatment")?.to_owned()).or_default();
                *sum = sum.checked_add(change).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        due.places = places_of_code(&due.currency);
        let mut nets = BTreeMap::new();
        for (text, net) in &cumulative {
            let treatment = treatments.get(text).ok_or(Error::Internal("a line with an unknown tax treatment"))?;
            nets.insert(treatment, *net);
        }
        let taxes = tax_amounts(&nets, due.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        let charged = taxes.values().map(|amounts| amounts.tax);
        let tax = charged.into_iter().try_fold(Amount::ZERO, |sum, tax| sum.checked_add(tax));
        let issued = issued.taxes.values().try_fold(Amount::ZERO, |sum, amounts| sum.checked_add(amounts.tax));
        let tax = tax.zip(issued).and_then(|(tax, issued)| tax.checked_sub(issued));
        due.with_tax = tax.and_then(|tax| due.net.checked_add(tax)).ok_or(Error::AMOUNT_OVERFLOW)?;
        Ok(due)
    }
}

/// The amounts on the issued documents of a payer.
#[derive(Debug, Default)]
pub(super) struct IssuedAmounts {
    /// The net amounts by the text of the tax treatment.
    nets: BTreeMap<String, Amount>,
    taxes: BTreeMap<TaxGroup, TaxAmounts>,
}

impl IssuedAmounts {
    /// The sums over all issued documents, by payer.
    pub(super) fn of_payers(
        lines: &DocumentSide,
        allowances: &DocumentSide,
        tax_breakdown: &[RecordBatch],
        payers: &DocumentPayers,
    ) -> Result<BTreeMap<Payer, Self>, Error> {
        let mut amounts: BTreeMap<Payer, Self> = BTreeMap::new();
        for (side, sign) in [(lines, 1), (allowances, -1)] {
            for row in side.each(payers)?.into_iter().filter(|row| !row.is_drafted) {
                let change = row.cells.units(side.compared.measures[0])?.checked_mul(sign);
                let change = change.and_then(Amount::from_units).ok_or(Error::AMOUNT_OVERFLOW)?;
                let of_payer = amounts.entry(row.payer.clone()).or_default();
                let sum = of_payer.nets.entry(row.cells.text("tax_treatment")?.to_owned()).or_default();
                *sum = sum.checked_add(change).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        for row in rows::each(tax_breakdown) {
            let Some(payer) = payers.issued.get(row.text("invoice_number")?) else { continue };
            let sum = amounts.entry(payer.clone()).or_default().taxes.entry(tax_group_of(row)?).or_default();
            let taxable = sum.taxable.checked_add(row.decimal("taxable_amount")?);
            sum.taxable = taxable.ok_or(Error::AMOUNT_OVERFLOW)?;
            sum.tax = sum.tax.checked_add(row.decimal("tax_amount")?).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(amounts)
    }

    /// The rows of `issued_net` for a correction document.
    pub(super) fn net_rows(&self, number: &str) -> Result<RecordBatch, Error> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.nets.keys().map(|_| number))),
            Arc::new(StringArray::from_iter_values(self.nets.keys())),
            Arc::new(rows::decimals(self.nets.values().map(|net| Some(net.units())), 28, 4)?),
        ];
        rows::batch(statement("invoicing/issued_net")?, columns)
    }

    /// The rows of `issued_tax` for a correction document.
    pub(super) fn tax_rows(&self, number: &str) -> Result<RecordBatch, Error> {
        let groups = || self.taxes.keys();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(groups().map(|_| number))),
            Arc::new(StringArray::from_iter_values(groups().map(|group| group.category.code()))),
            Arc::new(rows::decimals(groups().map(|group| Some(group.tax.rate.units())), 7, 4)?),
            Arc::new(StringArray::from_iter_values(groups().map(|group| &group.tax.name))),
            Arc::new(BooleanArray::from_iter(groups().map(|group| Some(group.tax.is_compound)))),
            Arc::new(StringArray::from_iter(groups().map(|group| group.exemption_reason.as_deref()))),
            Arc::new(rows::decimals(self.taxes.values().map(|amounts| Some(amounts.taxable.units())), 28, 4)?),
            Arc::new(rows::decimals(self.taxes.values().map(|amounts| Some(amounts.tax.units())), 28, 4)?),
        ];
        rows::batch(statement("invoicing/issued_tax")?, columns)
    }
}

/// The row of `issued_tax_total` for a correction document: the tax of the issued documents of the payer that have the
/// exchange rate of the correction.
pub(super) fn issued_tax_total(
    number: &str,
    payer: &Payer,
    header: &RecordBatch,
    issued: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let exchange = |row: Row<'_>| -> Result<_, Error> {
        let pair = [row.optional_text("exchange_base")?, row.optional_text("exchange_quote")?];
        let pair = pair.map(|currency| currency.map(str::to_owned));
        Ok((pair, row.optional_decimal::<UnitPrice>("exchange_rate")?, row.optional_day("exchange_rate_date")?))
    };
    let own = rows::each(std::slice::from_ref(header)).next().map(exchange).transpose()?;
    let (mut tax, mut in_seller_currency) = (Amount::ZERO, Amount::ZERO);
    for row in rows::each(issued) {
        if payer_of(row)? == *payer && Some(exchange(row)?) == own {
            tax = tax.checked_add(row.decimal("tax_amount")?).ok_or(Error::AMOUNT_OVERFLOW)?;
            let converted = in_seller_currency.checked_add(row.decimal("tax_amount_in_seller_currency")?);
            in_seller_currency = converted.ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values([number])),
        Arc::new(rows::decimals([Some(tax.units())], 28, 4)?),
        Arc::new(rows::decimals([Some(in_seller_currency.units())], 28, 4)?),
    ];
    rows::batch(statement("invoicing/issued_tax_total")?, columns)
}

/// The reason for each changed line. The period of a line with changed usage is set to the changed days.
async fn reasons(
    last_issue: Option<u64>,
    context: &Context,
    transaction: &Transaction,
    lines: &DocumentSide,
    changed: &mut BTreeMap<Payer, Vec<Difference>>,
    cause: ChangeCause<'_>,
) -> Result<BTreeMap<Payer, Vec<&'static str>>, Error> {
    let mut reasons = BTreeMap::new();
    if changed.is_empty() {
        return Ok(reasons);
    }
    let usage = match last_issue {
        Some(last_issue) => ChangedUsage::since(last_issue, context, transaction).await?,
        None => ChangedUsage::default(),
    };
    for (payer, differences) in changed {
        let mut of_payer = Vec::with_capacity(differences.len());
        for one in differences {
            if cause.is_of_rules(&(payer.clone(), one.key.clone()), one.units[0]) {
                of_payer.push(CHANGED_RULE);
                continue;
            }
            let change = usage.change_of(lines.row(one.shown)?)?;
            if let Some((first, end)) = change.days {
                one.period = [first, end];
            }
            of_payer.push(change.reason());
        }
        reasons.insert(payer.clone(), of_payer);
    }
    Ok(reasons)
}

/// The reason for a correction document. A changed rule takes precedence, and is also the reason if only discounts
/// changed.
fn reason_of_all(reasons: &[&str]) -> &'static str {
    let has = |reason: &str| reasons.contains(&reason);
    if has(CHANGED_RULE) || reasons.is_empty() {
        CHANGED_RULE
    } else if has(LATE_AND_CHANGED) || (has(LATE_USAGE) && has(CHANGED_RECORD)) {
        LATE_AND_CHANGED
    } else if has(CHANGED_RECORD) {
        CHANGED_RECORD
    } else {
        LATE_USAGE
    }
}

/// Fails if an account with issued documents is suspended now, because its new amounts are unknown.
pub(super) async fn check_not_suspended(
    context: &Context,
    transaction: &Transaction,
    issued: &[RecordBatch],
) -> Result<(), Error> {
    let mut accounts = BTreeSet::new();
    for row in rows::each(issued) {
        accounts.insert(row.text("account_id")?);
    }
    let mut reasons = Vec::new();
    for row in rows::each(&transaction.session.rows_of("invoicing/suspended_account").await?) {
        if accounts.contains(row.text("account_id")?) {
            reasons.push(format!("{}: {}", row.text("account_id")?, row.text("detail")?));
        }
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Error::Closing(ClosingError::CorrectionBlocked { period: context.period.to_string(), reasons }))
    }
}

/// The amounts that are returned to credits, as negative allowances. The credit that was used last gets its amount
/// first.
///
/// A credit gets an amount back if the credit paid more than the new amount of its tax treatment. `returned` receives
/// the sum for each credit.
fn returned_credits(
    lines: &DocumentSide,
    allowances: &DocumentSide,
    payers: &DocumentPayers,
    treatments: &TaxTreatments,
    returned: &mut BTreeMap<String, Amount>,
) -> Result<BTreeMap<Payer, Vec<Difference>>, Error> {
    let mut remaining: BTreeMap<TaxKey, i128> = BTreeMap::new();
    for row in lines.each(payers)? {
        // Credits also paid for lines of the issued document that were brought forward.
        let counts = row.is_drafted == (row.cells.text("charge_category")? != "Adjustment")
            && row.cells.text("component")? != CARRIED_FORWARD;
        if counts {
            *remaining.entry(row.tax_key(treatments)?).or_default() += row.cells.units("net_amount")?;
        }
    }
    let mut used: Vec<(TaxKey, String, i128, (usize, usize))> = Vec::new();
    for row in allowances.each(payers)? {
        let (group, amount) = (row.tax_key(treatments)?, row.cells.units("amount")?);
        let is_credit = !is_compared(row.cells, &ALLOWANCE)?;
        if row.is_drafted && !is_credit {
            *remaining.entry(group).or_default() -= amount;
        } else if !row.is_drafted && is_credit {
            let credit = row.cells.text("term_id")?;
            match used.iter_mut().find(|one| one.0 == group && one.1 == credit) {
                Some(one) => one.2 += amount,
                None => used.push((group, credit.to_owned(), amount, row.place)),
            }
        }
    }
    let mut excess: BTreeMap<TaxKey, i128> = BTreeMap::new();
    for (group, _, amount, _) in &used {
        *excess.entry(group.clone()).or_default() += amount;
    }
    for (group, sum) in &mut excess {
        *sum = (*sum - remaining.get(group).copied().unwrap_or(0).max(0)).max(0);
    }
    let mut returned_credits: BTreeMap<Payer, Vec<Difference>> = BTreeMap::new();
    for (group, credit, amount, shown) in used.into_iter().rev() {
        let Some(open) = excess.get_mut(&group) else { continue };
        let units = amount.min(*open);
        if units > 0 {
            *open -= units;
            let sum = returned.entry(credit).or_default();
            let returned = Amount::from_units(units).and_then(|units| sum.checked_add(units));
            *sum = returned.ok_or(Error::AMOUNT_OVERFLOW)?;
            let difference =
                Difference { key: Vec::new(), shown, units: vec![-units, 0], period: [0, 0], is_amount: false };
            returned_credits.entry(group.0).or_default().push(difference);
        }
    }
    Ok(returned_credits)
}

/// A payer, and a tax treatment without names.
type TaxKey = (Payer, TaxTreatment);

/// A row of a document with its payer.
struct PayerRow<'a> {
    is_drafted: bool,
    /// The indexes of the batch and the row.
    place: (usize, usize),
    payer: &'a Payer,
    cells: Row<'a>,
}

impl PayerRow<'_> {
    fn tax_key(&self, treatments: &TaxTreatments) -> Result<TaxKey, Error> {
        Ok((self.payer.clone(), treatment_of(self.cells, treatments)?.without_names()))
    }
}

fn unbilled_cost(unchanged: &BTreeMap<(String, String), i128>) -> Result<Vec<RecordBatch>, Error> {
    let changed: Vec<(&(String, String), i128)> =
        unchanged.iter().filter(|(_, units)| **units != 0).map(|(key, units)| (key, *units)).collect();
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(changed.iter().map(|((account, _), _)| account))),
        Arc::new(StringArray::from_iter_values(changed.iter().map(|((_, currency), _)| currency))),
        Arc::new(rows::decimals(changed.iter().map(|(_, units)| Some(*units)), 38, 18)?),
    ];
    Ok(vec![rows::batch(statement("invoicing/unbilled_cost")?, columns)?])
}

/// The line references of a correction document: corrected period, corrected document and reason.
pub(super) fn line_references(
    period: BillingPeriod,
    number: &str,
    original: Option<&(String, jiff::civil::Date)>,
    reasons: &[&str],
) -> Result<RecordBatch, Error> {
    let count = reasons.len();
    let document = original.map(|(number, _)| number.as_str());
    let day = original.map(|(_, date)| day_number(*date));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(vec![number; count])),
        Arc::new(Int64Array::from_iter_values((1..).take(count))),
        Arc::new(StringArray::from(vec![None::<&str>; count])),
        Arc::new(StringArray::from_iter_values(vec![period.to_string(); count])),
        Arc::new(StringArray::from(vec![document; count])),
        Arc::new(Date32Array::from(vec![day; count])),
        Arc::new(StringArray::from_iter_values(reasons)),
    ];
    rows::batch(statement("invoicing/line_reference")?, columns)
}

/// Whether a row is compared. Amounts that were carried forward, brought forward or paid by a credit are final after
/// the close.
pub(super) fn is_compared(row: Row<'_>, compared: &Compared) -> Result<bool, Error> {
    Ok(match compared.path {
        "invoicing/allowance" => matches!(row.text("kind")?, "discount" | "overage"),
        _ => row.text("charge_category")? != "Adjustment",
    })
}

/// The drafted and the issued rows of a relation.
pub(super) struct DocumentSide {
    compared: Compared,
    batches: Vec<RecordBatch>,
    /// The number of batches with drafted rows. These batches are the first in `batches`.
    drafted: usize,
}

/// The differences of a relation.
#[derive(Default)]
struct Differences {
    /// The rows whose rounded amount changed.
    changed: BTreeMap<Payer, Vec<Difference>>,
    /// The change of the exact cost in all other rows, by account and price currency.
    unchanged: BTreeMap<(String, String), i128>,
}

impl DocumentSide {
    pub(super) async fn read(session: &Session, issued: &Issued, compared: Compared) -> Result<Self, Error> {
        let drafted = session.rows_of(compared.path).await?;
        let old = issued.get(compared.path).cloned().unwrap_or_default();
        Ok(Self { compared, drafted: drafted.len(), batches: [drafted, old].concat() })
    }

    /// Every row that has a payer.
    fn each<'a>(&'a self, payers: &'a DocumentPayers) -> Result<Vec<PayerRow<'a>>, Error> {
        let mut found = Vec::new();
        for (index, batch) in self.batches.iter().enumerate() {
            for (row, cells) in rows::each(std::slice::from_ref(batch)).enumerate() {
                let is_drafted = index < self.drafted;
                let of_side = if is_drafted { &payers.drafted } else { &payers.issued };
                if let Some(payer) = of_side.get(cells.text("invoice_number")?) {
                    found.push(PayerRow { is_drafted, place: (index, row), payer, cells });
                }
            }
        }
        Ok(found)
    }

    fn row(&self, (batch, row): (usize, usize)) -> Result<Row<'_>, Error> {
        let batch = self.batches.get(batch..=batch).unwrap_or_default();
        rows::each(batch).nth(row).ok_or(Error::Internal("a missing row of a document"))
    }

    /// The differences between drafted and issued rows of each payer.
    fn differences(&self, payers: &DocumentPayers) -> Result<Differences, Error> {
        let options = FormatOptions::default();
        let is_counted = |name: &str| {
            let compared = &self.compared;
            compared.measures.contains(&name)
                || LINE_PERIOD.contains(&name)
                || [compared.number_column, "invoice_number"].contains(&name)
        };
        let mut formatters = Vec::new();
        for batch in &self.batches {
            let mut of_batch = Vec::new();
            for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                if !is_counted(field.name()) {
                    let formatter = ArrayFormatter::try_new(column, &options);
                    let formatter = formatter.map_err(|source| rows::failed(self.compared.path, source))?;
                    of_batch.push((PRICES.contains(&field.name().as_str()), formatter));
                }
            }
            formatters.push(of_batch);
        }
        let mut order = Vec::new();
        let mut found: BTreeMap<Key, Difference> = BTreeMap::new();
        for PayerRow { is_drafted, place: shown, payer, cells } in self.each(payers)? {
            if !is_compared(cells, &self.compared)? {
                continue;
            }
            let is_line = self.compared.path == LINE.path;
            let is_amount = is_line && cells.text("unit")?.is_empty();
            let texts = formatters[shown.0].iter().map(|(is_price, formatter)| {
                if *is_price && is_amount { String::new() } else { formatter.value(shown.1).to_string() }
            });
            let key: Key = (payer.clone(), texts.collect());
            let period = if is_line { [cells.day(LINE_PERIOD[0])?, cells.day(LINE_PERIOD[1])?] } else { [0, 0] };
            let difference = found.entry(key.clone()).or_insert_with(|| {
                order.push(key.clone());
                let units = vec![0; self.compared.measures.len()];
                Difference { key: key.1, shown, units, period, is_amount }
            });
            difference.period = [difference.period[0].min(period[0]), difference.period[1].max(period[1])];
            let sign = if is_drafted { 1 } else { -1 };
            for (sum, name) in difference.units.iter_mut().zip(self.compared.measures) {
                *sum = sum.checked_add(sign * cells.units(name)?).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        let mut differences = Differences::default();
        for key in order {
            let Some(difference) = found.remove(&key) else { continue };
            if difference.units[0] != 0 {
                differences.changed.entry(key.0).or_default().push(difference);
            } else if let Some(cost) = difference.units.get(2) {
                let currency = self.row(difference.shown)?.text("price_currency")?.to_owned();
                *differences.unchanged.entry((key.0.account_id, currency)).or_default() += cost;
            }
        }
        Ok(differences)
    }

    /// The difference rows of one document, numbered from one.
    fn rows_of(&self, number: &str, differences: &[Difference]) -> Result<RecordBatch, Error> {
        let compared = &self.compared;
        let failed = |source| rows::failed(compared.path, source);
        let schema = &statement(compared.path)?.schema;
        if differences.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(schema)));
        }
        let all: Vec<&RecordBatch> = self.batches.iter().collect();
        let shown: Vec<(usize, usize)> = differences.iter().map(|difference| difference.shown).collect();
        let rows_shown = interleave_record_batch(&all, &shown).map_err(failed)?;
        let count = differences.len();
        let day = |end: usize| -> ArrayRef {
            Arc::new(Date32Array::from_iter_values(differences.iter().map(|difference| difference.period[end])))
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let shown = rows_shown.column_by_name(field.name()).ok_or(Error::Column { name: "of a document" })?;
            let name = field.name().as_str();
            columns.push(if name == "invoice_number" {
                Arc::new(StringArray::from_iter_values(vec![number; count]))
            } else if name == compared.number_column {
                Arc::new(Int64Array::from_iter_values((1..).take(count)))
            } else if let Some(end) = LINE_PERIOD.iter().position(|of_span| *of_span == name) {
                day(end)
            } else if let Some(index) = compared.measures.iter().position(|measure| *measure == name) {
                let units = differences.iter().map(|difference| difference.measure(index));
                Arc::new(Decimal128Array::from_iter_values(units).with_data_type(field.data_type().clone()))
            } else if name == PRICES[0] {
                let shown: &Decimal128Array = rows::column(&rows_shown, PRICES[0])?;
                let prices = differences.iter().zip(shown.values()).map(|(one, shown)| one.unit_price(*shown));
                Arc::new(Decimal128Array::from_iter_values(prices).with_data_type(field.data_type().clone()))
            } else {
                Arc::clone(shown)
            });
        }
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
    }
}

impl Difference {
    /// A measure of the difference. The quantity of a line without a unit is 1 or -1.
    fn measure(&self, index: usize) -> i128 {
        let one = Quantity::ONE.units();
        if self.is_amount && index == 1 { one * self.units[0].signum() } else { self.units[index] }
    }

    fn unit_price(&self, shown: i128) -> i128 {
        // The factor converts the four decimal places of an amount to the twelve of a price.
        let of_amount = UnitPrice::ONE.units() / Decimal::<4>::ONE.units();
        if self.is_amount { self.units[0].abs() * of_amount } else { shown }
    }
}

/// The header of a correction document.
struct DocumentHeader<'a> {
    number: &'a str,
    reason: &'a str,
    carried_forward: Option<i128>,
}

impl DocumentHeader<'_> {
    /// The header row, copied from the draft of the payer, or from an issued document if the payer has no draft.
    fn row(
        &self,
        context: &Context,
        payer: &Payer,
        drafted: &[RecordBatch],
        issued: &[RecordBatch],
    ) -> Result<RecordBatch, Error> {
        let schema = &statement(HEADER)?.schema;
        for batch in drafted.iter().chain(issued) {
            for (index, row) in rows::each(std::slice::from_ref(batch)).enumerate() {
                if payer_of(row)? == *payer {
                    return self.of(context, schema, &batch.slice(index, 1));
                }
            }
        }
        Err(Error::Internal("a correction for a payer without documents"))
    }

    fn of(&self, context: &Context, schema: &SchemaRef, row: &RecordBatch) -> Result<RecordBatch, Error> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let name = field.name().as_str();
            let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values([text])) };
            let amount = |units: i128| -> ArrayRef {
                Arc::new(Decimal128Array::from_iter_values([units]).with_data_type(field.data_type().clone()))
            };
            columns.push(match name {
                "invoice_number" => text(self.number),
                "document_kind" if self.carried_forward.is_some() => text(CARRIED_FORWARD),
                "document_kind" => text(DRAFT),
                "correction_reason" => text(self.reason),
                "brought_forward" => amount(0),
                "carried_forward" => amount(self.carried_forward.unwrap_or(0)),
                "seller_currency_exponent" => {
                    let places = places_of(context.config.currency);
                    Arc::new(Int64Array::from_iter_values([i64::from(places)]))
                }
                name => Arc::clone(row.column_by_name(name).ok_or(Error::Column { name: "of a document header" })?),
            });
        }
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|source| rows::failed("document_header", source))
    }
}
