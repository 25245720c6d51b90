//! What is due for a closed period less everything that was issued for it, line by line, in rounded amounts.
//!
//! What is compared are lines and discounts. Credits were drawn on when the period was closed and are not drawn again;
//! where less is left than they paid for, they get it back. What was carried forward to the next invoice stays there.
//!
//! | what is due | becomes |
//! | --- | --- |
//! | more | lines on the next invoice, or an invoice of its own, as `charge_increases_as` of the configuration says |
//! | less | a credit note; where nothing was issued to the payer yet, lines on the next invoice |
//!
//! More and less are told by the total with tax: where lines of several rates change, it may be below zero although the
//! total without tax is not.

use crate::closing::payer::Payer;
use crate::closing::payer::payer_of;
use crate::closing::reason::CHANGED_RECORD;
use crate::closing::reason::CHANGED_RULE;
use crate::closing::reason::LATE_AND_CHANGED;
use crate::closing::reason::LATE_USAGE;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::changed_usage::ChangedUsage;
use super::issued::{DRAFT, Issued, originals};
use crate::error::{ClosingError, Error};
use crate::model::config::Increases;
use crate::model::issue::CorrectedRows;
use crate::model::money::{Amount, places_of, places_of_code};
use crate::model::period::{BillingPeriod, day_number};
use crate::model::summary::Change;
use crate::model::terms::{CARRIED_FORWARD, Percent};
use crate::query::{Session, statement};
use crate::rows::{self, Row};
use crate::run::{Context, Transaction};

const HEAD: &str = "invoicing/document_header";
const INVOICE: &str = "invoicing/invoice";

/// A relation whose rows stand on a document and are compared.
struct Compared {
    path: &'static str,
    /// What numbers the rows of a document.
    place: &'static str,
    /// What is counted, the rounded amount first; everything else tells rows apart.
    measures: &'static [&'static str],
}

const LINE: Compared = Compared {
    path: "invoicing/invoice_line",
    place: "line_number",
    measures: &["net_amount", "quantity", "contracted_cost"],
};

const ALLOWANCE: Compared =
    Compared { path: "invoicing/allowance", place: "allowance_number", measures: &["amount", "base_amount"] };

/// When a line was used: a difference spans both, or the days of it that changed.
const SPAN: [&str; 2] = ["charge_period_start", "charge_period_end"];

/// What a line without a unit has as its price: its amount, which is counted already.
const PRICES: [&str; 2] = ["unit_price", "contracted_unit_price"];

/// By document: as it is drafted now, and as it was issued. A document that was left to the next one has its draft's
/// name.
struct Payers {
    due: BTreeMap<String, Payer>,
    issued: BTreeMap<String, Payer>,
}

impl Payers {
    fn of(due: &[RecordBatch], issued: &[RecordBatch]) -> Result<Self, Error> {
        let by_document = |batches| -> Result<BTreeMap<String, Payer>, Error> {
            let mut payers = BTreeMap::new();
            for row in rows::each(batches) {
                payers.insert(row.text("invoice_number")?.to_owned(), payer_of(row)?);
            }
            Ok(payers)
        };
        Ok(Self { due: by_document(due)?, issued: by_document(issued)? })
    }
}

/// A row as it is due and as it was issued.
#[derive(Debug)]
struct Difference {
    key: Vec<String>,
    /// Batch and row that show it: the due one where there is one.
    shown: (usize, usize),
    /// Due less issued, in the order of the measures.
    units: Vec<i128>,
    span: [i32; 2],
    /// A line without a unit.
    is_amount: bool,
}

/// What tells a line from the others of its payer.
type Key = (Payer, Vec<String>);

/// Differences of lines by what tells them apart, in units of the rounded amount.
pub type LineDifferences = BTreeMap<Key, i128>;

/// What changed since the close.
#[derive(Clone, Copy, Debug)]
pub enum ChangeCause<'a> {
    /// Usage alone: the rules are those of the close.
    Usage,
    /// Rules as well. What usage alone would have changed is known.
    Rules(&'a LineDifferences),
}

impl ChangeCause<'_> {
    fn is_of_rules(self, key: &Key, units: i128) -> bool {
        matches!(self, Self::Rules(by_usage) if by_usage.get(key) != Some(&units))
    }
}

/// What is due beyond what was issued.
#[derive(Debug, Default)]
pub struct Correction {
    pub documents: CorrectedRows,
    pub changes: Vec<Change>,
    pub found: LineDifferences,
}

/// Compares the drafts in hand with what was issued. Rows whose rounded amount did not change are no difference,
/// whatever happened to their quantity.
pub async fn difference(
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    cause: ChangeCause<'_>,
) -> Result<Correction, Error> {
    let due_invoice = transaction.session.rows_of(INVOICE).await?;
    let old_invoice = issued.get(INVOICE).cloned().unwrap_or_default();
    let payers = Payers::of(&due_invoice, &old_invoice)?;
    refuse_set_aside(context, transaction, &old_invoice).await?;
    let lines = DocumentSide::read(&transaction.session, issued, LINE).await?;
    let allowances = DocumentSide::read(&transaction.session, issued, ALLOWANCE).await?;
    let mut of_lines = lines.differences(&payers)?;
    let mut of_allowances = allowances.differences(&payers)?;
    let mut correction = Correction::default();
    for (payer, differences) in given_back(&lines, &allowances, &payers, &mut correction.documents.returned)? {
        of_allowances.changed.entry(payer).or_default().extend(differences);
    }
    correction.documents.unbilled_cost = unbilled_cost(&of_lines.unchanged)?;
    let reasons = reasons(context, transaction, &lines, &mut of_lines.changed, cause).await?;
    let due_head = transaction.session.rows_of(HEAD).await?;
    let history = transaction.read("issued_document", |_| true).await?;
    let originals = originals(&history, &context.period.to_string())?;
    let mut drafts = BTreeSet::new();
    let all: BTreeSet<&Payer> = of_lines.changed.keys().chain(of_allowances.changed.keys()).collect();
    for payer in all {
        let lines_of: &[Difference] = of_lines.changed.get(payer).map_or(&[], Vec::as_slice);
        let allowances_of: &[Difference] = of_allowances.changed.get(payer).map_or(&[], Vec::as_slice);
        let due = Due::of([(&lines, lines_of, 1), (&allowances, allowances_of, -1)])?;
        let original = originals.get(payer);
        let is_decrease = due.with_tax < Amount::ZERO;
        let is_left_to_the_next =
            if is_decrease { original.is_none() } else { context.config.closing.increases == Increases::NextInvoice };
        let number = if is_left_to_the_next {
            number_of_next(context.period, payer, &old_invoice)?
        } else {
            draft_number(context.period, payer)
        };
        // In another currency, or of another seller, it is another document, and accounts may be called like one.
        let number = unused(number, &mut drafts);
        let reasons: &[&str] = reasons.get(payer).map_or(&[], Vec::as_slice);
        let reason = reason_of_all(reasons);
        for one in lines_of {
            correction.found.insert((payer.clone(), one.key.clone()), one.units[0]);
        }
        let documents = &mut correction.documents;
        documents.invoice_line.push(lines.rows_of(&number, lines_of)?);
        documents.allowance.push(allowances.rows_of(&number, allowances_of)?);
        documents.line_reference.push(origins(context.period, &number, original, reasons)?);
        let head = Head { number: &number, reason, left_to_the_next: is_left_to_the_next.then_some(due.net.units()) };
        documents.document_header.push(head.row(context, payer, &due_head, &old_invoice)?);
        correction.changes.push(Change {
            account_id: payer.account_id.clone(),
            project_id: payer.project_id.clone(),
            net_amount: due.net.to_text(due.places),
            currency: due.currency,
            reason: reason.to_owned(),
            goes_on: match (is_left_to_the_next, is_decrease) {
                (true, _) => "next invoice",
                (false, true) => "credit note",
                (false, false) => "invoice",
            }
            .to_owned(),
        });
    }
    Ok(correction)
}

/// A name for a draft that no other has.
fn unused(name: String, used: &mut BTreeSet<String>) -> String {
    let others = (2..).map(|place: u32| format!("{name}-{place}"));
    let unused = std::iter::once(name.clone()).chain(others).find(|name| !used.contains(name)).unwrap_or(name);
    used.insert(unused.clone());
    unused
}

/// What changed for one payer, summed.
#[derive(Debug, Default)]
struct Due {
    net: Amount,
    with_tax: Amount,
    currency: String,
    places: u32,
}

impl Due {
    /// Of lines, and of allowances, which are taken off. Tax is rounded once for each category, rate and reason, as on
    /// the document.
    fn of(changed: [(&DocumentSide, &[Difference], i128); 2]) -> Result<Self, Error> {
        let mut due = Self::default();
        let mut groups: BTreeMap<(String, i128, Option<String>), i128> = BTreeMap::new();
        for (side, differences, sign) in changed {
            for one in differences {
                let row = side.row(one.shown)?;
                due.currency = row.text("currency")?.to_owned();
                let (category, rate) = (row.text("tax_category")?.to_owned(), row.units("tax_rate")?);
                let group = (category, rate, row.optional_text("exemption_reason")?.map(str::to_owned));
                let sum = groups.entry(group).or_default();
                *sum = sum.checked_add(sign * one.units[0]).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        due.places = places_of_code(&due.currency);
        let hundred = Percent::from_integer(100).units();
        for ((_, rate, _), taxable) in groups {
            let taxable = Amount::from_units(taxable);
            let tax = taxable.scaled(rate, hundred, due.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            due.net = due.net.checked_add(taxable).ok_or(Error::AMOUNT_OVERFLOW)?;
            due.with_tax =
                due.with_tax.checked_add(taxable).and_then(|sum| sum.checked_add(tax)).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(due)
    }
}

/// Why each line changed. One that changed with its usage is of the days on which that did.
async fn reasons(
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
    let usage = ChangedUsage::since_the_close(context, transaction).await?;
    for (payer, differences) in changed {
        let mut of_payer = Vec::with_capacity(differences.len());
        for one in differences {
            if cause.is_of_rules(&(payer.clone(), one.key.clone()), one.units[0]) {
                of_payer.push(CHANGED_RULE);
                continue;
            }
            let change = usage.behind(lines.row(one.shown)?)?;
            if let Some((first, end)) = change.days {
                one.span = [first, end];
            }
            of_payer.push(change.reason());
        }
        reasons.insert(payer.clone(), of_payer);
    }
    Ok(reasons)
}

/// Of a document: changed rules before anything else; where only discounts changed, rules did.
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

/// Who gets no document now cannot be told what is due beyond the one they have.
async fn refuse_set_aside(context: &Context, transaction: &Transaction, issued: &[RecordBatch]) -> Result<(), Error> {
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

/// Credits that paid for more than is left: what they get back, as allowances below zero, from the last that was used
/// to the first. `returned` adds up what each credit gets.
fn given_back(
    lines: &DocumentSide,
    allowances: &DocumentSide,
    payers: &Payers,
    returned: &mut BTreeMap<String, Amount>,
) -> Result<BTreeMap<Payer, Vec<Difference>>, Error> {
    let mut left: BTreeMap<Taxed, i128> = BTreeMap::new();
    for row in lines.each(payers)? {
        // What was brought to the original from elsewhere was paid by its credits as well.
        let counts = row.is_due == (row.cells.text("charge_category")? != "Adjustment")
            && row.cells.text("component")? != CARRIED_FORWARD;
        if counts {
            *left.entry(row.taxed()?).or_default() += row.cells.units("net_amount")?;
        }
    }
    let mut used: Vec<(Taxed, String, i128, (usize, usize))> = Vec::new();
    for row in allowances.each(payers)? {
        let (taxed, amount) = (row.taxed()?, row.cells.units("amount")?);
        let is_credit = !takes_part(row.cells, &ALLOWANCE)?;
        if row.is_due && !is_credit {
            *left.entry(taxed).or_default() -= amount;
        } else if !row.is_due && is_credit {
            let credit = row.cells.text("term_id")?;
            match used.iter_mut().find(|one| one.0 == taxed && one.1 == credit) {
                Some(one) => one.2 += amount,
                None => used.push((taxed, credit.to_owned(), amount, row.place)),
            }
        }
    }
    let mut excess: BTreeMap<Taxed, i128> = BTreeMap::new();
    for (taxed, _, amount, _) in &used {
        *excess.entry(taxed.clone()).or_default() += amount;
    }
    for (taxed, sum) in &mut excess {
        *sum = (*sum - left.get(taxed).copied().unwrap_or(0).max(0)).max(0);
    }
    let mut given_back: BTreeMap<Payer, Vec<Difference>> = BTreeMap::new();
    for (taxed, credit, amount, shown) in used.into_iter().rev() {
        let Some(open) = excess.get_mut(&taxed) else { continue };
        let units = amount.min(*open);
        if units > 0 {
            *open -= units;
            let sum = returned.entry(credit).or_default();
            *sum = sum.checked_add(Amount::from_units(units)).ok_or(Error::AMOUNT_OVERFLOW)?;
            let difference =
                Difference { key: Vec::new(), shown, units: vec![-units, 0], span: [0, 0], is_amount: false };
            given_back.entry(taxed.0).or_default().push(difference);
        }
    }
    Ok(given_back)
}

/// A payer's group of tax: category, rate and reason for exemption.
type Taxed = (Payer, String, i128, Option<String>);

/// A row of a document with who pays it.
struct PayersRow<'a> {
    is_due: bool,
    /// Batch and row.
    place: (usize, usize),
    payer: &'a Payer,
    cells: Row<'a>,
}

impl PayersRow<'_> {
    fn taxed(&self) -> Result<Taxed, Error> {
        let exemption = self.cells.optional_text("exemption_reason")?.map(str::to_owned);
        let (category, rate) = (self.cells.text("tax_category")?.to_owned(), self.cells.units("tax_rate")?);
        Ok((self.payer.clone(), category, rate, exemption))
    }
}

fn unbilled_cost(unchanged: &BTreeMap<(String, String), i128>) -> Result<Vec<RecordBatch>, Error> {
    let changed: Vec<(&(String, String), i128)> =
        unchanged.iter().filter(|(_, units)| **units != 0).map(|(whose, units)| (whose, *units)).collect();
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

/// What the lines of a correction correct, and why.
fn origins(
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

fn draft_number(period: BillingPeriod, payer: &Payer) -> String {
    format!("DRAFT-{period}-{}", payer.name())
}

/// The name of a document that nobody gets: the next invoice has its lines.
fn number_of_next(period: BillingPeriod, payer: &Payer, issued: &[RecordBatch]) -> Result<String, Error> {
    let name = format!("NEXT-{period}-{}-", payer.name());
    let mut count = 1;
    for row in rows::each(issued) {
        count += usize::from(payer_of(row)?.is_called_like(payer) && row.text("invoice_number")?.starts_with(&name));
    }
    Ok(format!("{name}{count}"))
}

/// Whether a row takes part: what is carried forward or paid by a credit was settled by the close.
fn takes_part(row: Row<'_>, compared: &Compared) -> Result<bool, Error> {
    Ok(match compared.path {
        "invoicing/allowance" => matches!(row.text("kind")?, "discount" | "overage"),
        _ => row.text("charge_category")? != "Adjustment",
    })
}

/// The rows of a relation as they are due and as they were issued.
struct DocumentSide {
    compared: Compared,
    batches: Vec<RecordBatch>,
    /// How many of the batches are due.
    due: usize,
}

/// What changed, and in rows whose rounded amount did not, by how much the cost of each account did.
#[derive(Default)]
struct Differences {
    changed: BTreeMap<Payer, Vec<Difference>>,
    /// By account and currency of the price.
    unchanged: BTreeMap<(String, String), i128>,
}

impl DocumentSide {
    async fn read(session: &Session, issued: &Issued, compared: Compared) -> Result<Self, Error> {
        let due = session.rows_of(compared.path).await?;
        let old = issued.get(compared.path).cloned().unwrap_or_default();
        Ok(Self { compared, due: due.len(), batches: [due, old].concat() })
    }

    /// Every row of somebody who pays.
    fn each<'a>(&'a self, payers: &'a Payers) -> Result<Vec<PayersRow<'a>>, Error> {
        let mut found = Vec::new();
        for (index, batch) in self.batches.iter().enumerate() {
            for (row, cells) in rows::each(std::slice::from_ref(batch)).enumerate() {
                let is_due = index < self.due;
                let of_side = if is_due { &payers.due } else { &payers.issued };
                if let Some(payer) = of_side.get(cells.text("invoice_number")?) {
                    found.push(PayersRow { is_due, place: (index, row), payer, cells });
                }
            }
        }
        Ok(found)
    }

    fn row(&self, (batch, row): (usize, usize)) -> Result<Row<'_>, Error> {
        let batch = self.batches.get(batch..=batch).unwrap_or_default();
        rows::each(batch).nth(row).ok_or(Error::Internal("a row of a document that is not there"))
    }

    /// Sums the rows of each payer under what tells them apart.
    fn differences(&self, payers: &Payers) -> Result<Differences, Error> {
        let options = FormatOptions::default();
        let is_counted = |name: &str| {
            let compared = &self.compared;
            compared.measures.contains(&name)
                || SPAN.contains(&name)
                || [compared.place, "invoice_number"].contains(&name)
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
        for PayersRow { is_due, place: shown, payer, cells } in self.each(payers)? {
            if !takes_part(cells, &self.compared)? {
                continue;
            }
            let is_line = self.compared.path == LINE.path;
            let is_amount = is_line && cells.text("unit")?.is_empty();
            let texts = formatters[shown.0].iter().map(|(is_price, formatter)| {
                if *is_price && is_amount { String::new() } else { formatter.value(shown.1).to_string() }
            });
            let key: Key = (payer.clone(), texts.collect());
            let span = if is_line { [cells.day(SPAN[0])?, cells.day(SPAN[1])?] } else { [0, 0] };
            let difference = found.entry(key.clone()).or_insert_with(|| {
                order.push(key.clone());
                let units = vec![0; self.compared.measures.len()];
                Difference { key: key.1, shown, units, span, is_amount }
            });
            difference.span = [difference.span[0].min(span[0]), difference.span[1].max(span[1])];
            let sign = if is_due { 1 } else { -1 };
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

    /// The rows of one document, numbered from one.
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
            Arc::new(Date32Array::from_iter_values(differences.iter().map(|difference| difference.span[end])))
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let shown = rows_shown.column_by_name(field.name()).ok_or(Error::Column { name: "of a document" })?;
            let name = field.name().as_str();
            columns.push(if name == "invoice_number" {
                Arc::new(StringArray::from_iter_values(vec![number; count]))
            } else if name == compared.place {
                Arc::new(Int64Array::from_iter_values((1..).take(count)))
            } else if let Some(end) = SPAN.iter().position(|of_span| *of_span == name) {
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
    /// A line that is an amount and nothing else is one of it, or one less.
    fn measure(&self, index: usize) -> i128 {
        const ONE: i128 = 1_000_000_000;
        if self.is_amount && index == 1 { ONE * self.units[0].signum() } else { self.units[index] }
    }

    fn unit_price(&self, shown: i128) -> i128 {
        // Four places of an amount are four of the twelve of a price.
        if self.is_amount { self.units[0].abs() * 100_000_000 } else { shown }
    }
}

/// Who gets a document, and what it is.
struct Head<'a> {
    number: &'a str,
    reason: &'a str,
    left_to_the_next: Option<i128>,
}

impl Head<'_> {
    /// In which currency: as drafted now, or, where nothing is due any more, as it was issued.
    fn row(
        &self,
        context: &Context,
        payer: &Payer,
        due: &[RecordBatch],
        issued: &[RecordBatch],
    ) -> Result<RecordBatch, Error> {
        let schema = &statement(HEAD)?.schema;
        for batch in due.iter().chain(issued) {
            for (index, row) in rows::each(std::slice::from_ref(batch)).enumerate() {
                if payer_of(row)? == *payer {
                    return self.of(context, schema, &batch.slice(index, 1));
                }
            }
        }
        Err(Error::Internal("a correction for somebody who was never invoiced"))
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
                "document_kind" if self.left_to_the_next.is_some() => text(CARRIED_FORWARD),
                "document_kind" => text(DRAFT),
                "correction_reason" => text(self.reason),
                "brought_forward" => amount(0),
                "carried_forward" => amount(self.left_to_the_next.unwrap_or(0)),
                "seller_currency_exponent" => {
                    let places = places_of(context.config.currency);
                    Arc::new(Int64Array::from_iter_values([i64::from(places)]))
                }
                name => Arc::clone(row.column_by_name(name).ok_or(Error::Column { name: "of a document's head" })?),
            });
        }
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|source| rows::failed("document_header", source))
    }
}
