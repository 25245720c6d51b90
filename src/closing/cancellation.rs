//! Cancellations: a credit note for a whole issued document, and an invoice with the present data of account and seller
//! that replaces it. A credit note that is an original is cancelled by an invoice.
//!
//! The credit note contains the rows of the document and of its corrections with the opposite sign. The invoice is the
//! draft of the payer by the rules and the usage of the last close. Amounts of corrections that the next invoice
//! charges are subtracted from it. So all documents of the payer sum to the draft, as after any other correction.
//!
//! | amount | on the credit note | on the invoice |
//! | --- | --- | --- |
//! | lines, discounts, taxes | those of the document and of its corrections | those of the draft |
//! | credits | returned | used again, at most the returned amount |
//! | brought forward | returned | brought forward again, from the same documents |
//! | late usage on the next invoice | stays there | subtracted, with the taxes that the next invoice charges |
//!
//! Late usage that no invoice has charged yet can have other taxes than the draft. Then a second carried forward
//! document replaces its taxes on the next invoice, and the new invoice subtracts it with the taxes of the draft.
//!
//! Without a new invoice, the amounts are written off: later usage of the payer in the period is not charged either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use jiff::civil::Date;

use super::correction::{
    ALLOWANCE, ChangeCause, Corrected, DocumentPayers, DocumentSide, HEADER, INVOICE, IssuedAmounts, LINE,
    TAX_BREAKDOWN, check_not_suspended, difference_without, is_compared, issued_tax_total, line_references,
};
use super::issued::{DRAFT, Issued, all_originals, in_chain_order, originals, written_off};
use super::kind_of;
use super::payer::{Payer, payer_of};
use super::reason::{CANCELLED, REISSUED};
use crate::error::{ClosingError, Error};
use crate::model::config::Config;
use crate::model::diagnostic::closest;
use crate::model::issue::{Cancellation, CancelledDocument, CorrectedRows, Issue, IssuedDocument, IssuedUses};
use crate::model::money::{Amount, UnitPrice, places_of_code};
use crate::model::period::date_of;
use crate::model::summary::CancelledBy;
use crate::model::tax::TaxCategory;
use crate::model::terms::CARRIED_FORWARD;
use crate::query::statement;
use crate::rows::taxes::{APPLIED_TAX, TaxTreatments, applied_tax, treatments};
use crate::rows::{self, Row};
use crate::run::{Context, Transaction};

const ALLOWANCE_SHARE: &str = "invoicing/allowance_share";
const PREPAYMENT: &str = "invoicing/prepayment";
const LINE_REFERENCE: &str = "invoicing/line_reference";

/// The columns that are negated on a credit note, in all document relations.
const AMOUNTS: [&str; 7] =
    ["net_amount", "quantity", "contracted_cost", "amount", "base_amount", "brought_forward", "carried_forward"];

/// An issued document that a cancellation credits.
#[derive(Clone, Debug)]
pub struct DocumentToCancel {
    pub number: String,
    pub issue_date: Date,
    pub period: String,
    /// The path of its JSON file below the directory of the period.
    pub document_name: String,
    /// The VAT id of the seller on the document, or its name.
    pub seller: String,
    is_credit_note: bool,
    payer: Payer,
    /// The numbers of the document and of the documents that correct it.
    documents: Vec<String>,
}

impl DocumentToCancel {
    pub fn account_id(&self) -> &str {
        &self.payer.account_id
    }

    /// Whether the seller of the configuration issued the document, and not a reseller.
    pub fn is_of_configured_seller(&self) -> bool {
        self.payer.sold_by.is_none()
    }

    /// The accounts whose data the document shows: the buyer, and the reseller that sells to it.
    pub fn parties(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.account_id()).chain(self.payer.sold_by.as_deref())
    }
}

/// The rows of a cancellation, and the cancelled document of each draft.
#[derive(Debug, Default)]
pub struct Cancelled {
    pub documents: CorrectedRows,
    pub cancellation: Cancellation,
}

/// The documents with these numbers. Fails if one of them cannot be cancelled, or if their periods differ.
pub fn documents_to_cancel(history: &[RecordBatch], numbers: &[String]) -> Result<Vec<DocumentToCancel>, Error> {
    let numbers: BTreeSet<&str> = numbers.iter().map(|number| number.trim()).collect();
    let mut documents: Vec<DocumentToCancel> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let document = document_to_cancel(history, number)?;
        if let Some(first) = documents.first().filter(|first| first.period != document.period) {
            return Err(Error::Closing(ClosingError::CancelledPeriodsDiffer {
                first: format!("`{}` of {}", first.number, first.period),
                second: format!("`{}` of {}", document.number, document.period),
            }));
        }
        documents.push(document);
    }
    Ok(documents)
}

fn document_to_cancel(history: &[RecordBatch], number: &str) -> Result<DocumentToCancel, Error> {
    let mut found = None;
    let mut known = Vec::new();
    for row in rows::each(history) {
        known.push(row.text("document_number")?);
        if row.text("document_number")? == number {
            found = Some(row);
        }
    }
    let Some(row) = found else {
        let closest = closest(number, known).map(str::to_owned);
        return Err(Error::Closing(ClosingError::CancelUnknown { number: number.to_owned(), closest }));
    };
    let period = row.text("billing_period")?.to_owned();
    let mut documents = vec![number.to_owned()];
    let mut cancelled_by: Option<String> = None;
    let mut replaced_by = None;
    for other in in_chain_order(history, &period)? {
        let other_number = other.text("document_number")?.to_owned();
        if other.optional_text("corrects")? != Some(number) {
            continue;
        }
        match other.optional_text("reason")? {
            Some(CANCELLED) => cancelled_by = Some(other_number),
            Some(REISSUED) => replaced_by = Some(other_number),
            // After a cancellation without a new invoice, a restatement charges the month again.
            _ if cancelled_by.is_some() => replaced_by = Some(other_number),
            _ => documents.push(other_number),
        }
    }
    if let Some(credit_note) = cancelled_by {
        let number = number.to_owned();
        return Err(Error::Closing(ClosingError::CancelledBefore { number, credit_note, replaced_by }));
    }
    let corrects = row.optional_text("corrects")?.map(str::to_owned);
    if let Some(corrects) = corrects
        && !all_originals(history, &period)?.iter().any(|(_, (original, _))| original == number)
    {
        let is_cancellation = row.optional_text("reason")? == Some(CANCELLED);
        let number = number.to_owned();
        return Err(Error::Closing(ClosingError::CancelCorrection { number, period, is_cancellation, corrects }));
    }
    Ok(DocumentToCancel {
        number: number.to_owned(),
        issue_date: date_of(row.day("issue_date")?),
        period,
        document_name: row.text("document_name")?.to_owned(),
        seller: row.text("seller")?.to_owned(),
        is_credit_note: row.text("document_kind")? == "credit_note",
        payer: payer_of(row)?,
        documents,
    })
}

/// The credits and the amounts brought forward that the issued documents of a period use.
pub fn uses(issued: &Issued) -> Result<IssuedUses, Error> {
    let mut uses = IssuedUses::default();
    let mut projects = BTreeMap::new();
    for row in rows::each(of(issued, INVOICE)) {
        projects.insert(row.text("invoice_number")?, row.optional_text("project_id")?.map(str::to_owned));
    }
    for (document, credit, amount) in paid_by_credits(of(issued, ALLOWANCE.path), of(issued, PREPAYMENT))? {
        let project = projects.get(document).cloned().flatten();
        add(uses.credits.entry((credit.to_owned(), project)).or_default(), amount)?;
    }
    for row in rows::each(of(issued, LINE_REFERENCE)) {
        uses.brought_forward.extend(row.optional_text("carried_from")?.map(str::to_owned));
    }
    Ok(uses)
}

/// Cancels documents. `configs` has the configuration of each document when it was issued. If `is_reissued`, the
/// session must contain the drafts of the period by the present account data.
pub async fn cancel(
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    documents: &[DocumentToCancel],
    configs: &[Arc<Config>],
    is_reissued: bool,
) -> Result<Cancelled, Error> {
    let session = &transaction.session;
    let old_invoice = of(issued, INVOICE);
    check_not_suspended(context, transaction, old_invoice).await?;
    let payers = DocumentPayers::of(&session.rows_of(INVOICE).await?, old_invoice, Corrected::Period)?;
    let known = [session.rows_of(APPLIED_TAX).await?, of(issued, APPLIED_TAX).to_vec()].concat();
    let lines = DocumentSide::read(session, issued, LINE).await?;
    let allowances = DocumentSide::read(session, issued, ALLOWANCE).await?;
    let amounts = IssuedAmounts::of_payers(&lines, &allowances, of(issued, TAX_BREAKDOWN), &payers)?;
    let drafted = Drafted::read(transaction).await?;
    let mut cancelled = Cancelled::default();
    let treatments = treatments(&known)?;
    cancelled.documents.applied_tax = vec![applied_tax(&treatments)?];
    let history = transaction.read("issued_document", |_| true).await?;
    let mut written_off = written_off(&history, &context.period.to_string())?;
    let charged = charged_elsewhere(transaction, &history).await?;
    let mut waiting = BTreeSet::new();
    for (document, config) in documents.iter().zip(configs) {
        check_exchange_rates(document, old_invoice)?;
        let draft = format!("CANCELLED-{}", document.number);
        credit(context, issued, document, &draft, &mut cancelled.documents)?;
        let (rows, header) = (&mut cancelled.documents, cancelled_header(&draft, old_invoice, &document.number)?);
        if let Some(before) = amounts.get(&document.payer) {
            rows.issued_net.push(before.net_rows(&draft)?);
            rows.issued_tax.push(before.tax_rows(&draft)?);
        }
        rows.issued_tax_total.push(issued_tax_total(&draft, &document.payer, &header, old_invoice)?);
        rows.document_header.push(header);
        let mut drafts = vec![draft];
        if is_reissued {
            let later = LateUsage { charged: &charged, treatments: &treatments, waiting: &mut waiting };
            drafts.push(reissue(&drafted, issued, document, later, rows)?);
        } else {
            refuse_brought_forward(issued, document)?;
            written_off.insert(document.payer.clone());
        }
        let of_draft = CancelledDocument {
            number: document.number.clone(),
            issue_date: document.issue_date,
            is_credit_note: document.is_credit_note,
            config: Arc::clone(config),
        };
        cancelled.cancellation.drafts.extend(drafts.into_iter().map(|draft| (draft, of_draft.clone())));
    }
    cancelled.documents.returned = returned(&cancelled.documents)?;
    add_rest(context, transaction, issued, &mut cancelled.documents, &written_off, &waiting).await?;
    Ok(cancelled)
}

/// Adds the change of unbilled costs, and the documents with other taxes for late usage that waits. Fails if the
/// present account data change a document that is not cancelled.
async fn add_rest(
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
    documents: &mut CorrectedRows,
    written_off: &BTreeSet<Payer>,
    waiting: &BTreeSet<Payer>,
) -> Result<(), Error> {
    let mut with_cancellation = issued.clone();
    for (path, added) in [
        (INVOICE, &documents.document_header),
        (LINE.path, &documents.invoice_line),
        (ALLOWANCE.path, &documents.allowance),
    ] {
        with_cancellation.entry(path.to_owned()).or_default().extend(added.iter().cloned());
    }
    let (of, cause) = (Corrected::AfterCancellation { waiting }, ChangeCause::Usage);
    let mut rest = difference_without(of, context, transaction, &with_cancellation, cause, written_off).await?;
    let is_waiting = |account: &str, project: &Option<String>| {
        waiting.iter().any(|payer| payer.account_id == account && payer.project_id == *project)
    };
    rest.changes.retain(|change| !is_waiting(&change.account_id, &change.project_id));
    if rest.changes.is_empty() {
        documents.unbilled_cost = rest.documents.unbilled_cost;
        documents.document_header.extend(rest.documents.document_header);
        documents.invoice_line.extend(rest.documents.invoice_line);
        documents.allowance.extend(rest.documents.allowance);
        documents.line_reference.extend(rest.documents.line_reference);
        return Ok(());
    }
    let history = transaction.read("issued_document", |_| true).await?;
    let originals = originals(&history, &context.period.to_string())?;
    let is_changed = |payer: &Payer| {
        let is_of =
            |account: &str, project: &Option<String>| payer.account_id == account && payer.project_id == *project;
        rest.changes.iter().any(|change| is_of(&change.account_id, &change.project_id))
    };
    let others = originals.into_iter().filter(|(payer, _)| is_changed(payer)).map(|(_, (number, _))| number);
    Err(Error::Closing(ClosingError::OthersChange { numbers: others.collect() }))
}

/// The drafted rows of the period, by relation.
struct Drafted {
    header: Vec<RecordBatch>,
    line: Vec<RecordBatch>,
    allowance: Vec<RecordBatch>,
    allowance_share: Vec<RecordBatch>,
    prepayment: Vec<RecordBatch>,
    line_reference: Vec<RecordBatch>,
}

impl Drafted {
    async fn read(transaction: &Transaction) -> Result<Self, Error> {
        let session = &transaction.session;
        Ok(Self {
            header: session.rows_of(HEADER).await?,
            line: session.rows_of(LINE.path).await?,
            allowance: session.rows_of(ALLOWANCE.path).await?,
            allowance_share: session.rows_of(ALLOWANCE_SHARE).await?,
            prepayment: session.rows_of(PREPAYMENT).await?,
            line_reference: session.rows_of(LINE_REFERENCE).await?,
        })
    }
}

/// Adds the rows of a document and of its corrections, with the opposite sign.
fn credit(
    context: &Context,
    issued: &Issued,
    document: &DocumentToCancel,
    draft: &str,
    rows: &mut CorrectedRows,
) -> Result<(), Error> {
    let (mut line_count, mut allowance_count) = (0, 0);
    for number in &document.documents {
        let numbers = Numbers { line: line_count, allowance: allowance_count };
        let negated = |path| rows_of(of(issued, path), number, draft, numbers, -1);
        let (lines, allowances) = (negated(LINE.path)?, negated(ALLOWANCE.path)?);
        line_count += count(&lines);
        allowance_count += count(&allowances);
        rows.invoice_line.extend(lines);
        rows.allowance.extend(allowances);
        rows.allowance_share.extend(negated(ALLOWANCE_SHARE)?);
        rows.prepayment.extend(negated(PREPAYMENT)?);
    }
    let reasons = vec![CANCELLED; usize::try_from(line_count).unwrap_or(0)];
    let original = (document.number.clone(), document.issue_date);
    rows.line_reference.push(line_references(context.period, draft, Some(&original), &reasons)?);
    Ok(())
}

/// The corrections of a period that are on next invoices.
struct LateUsage<'a> {
    /// The carried forward documents that an issued document charges.
    charged: &'a BTreeSet<String>,
    treatments: &'a TaxTreatments,
    /// The payers whose late usage gets other taxes before an invoice charges it.
    waiting: &'a mut BTreeSet<Payer>,
}

/// Adds the invoice that replaces a document, and returns the name of its draft.
fn reissue(
    drafted: &Drafted,
    issued: &Issued,
    document: &DocumentToCancel,
    late_usage: LateUsage<'_>,
    rows: &mut CorrectedRows,
) -> Result<String, Error> {
    let mut draft = None;
    for row in rows::each(&drafted.header) {
        if payer_of(row)? == document.payer && row.text("document_kind")? == DRAFT {
            draft = Some(row.text("invoice_number")?.to_owned());
        }
    }
    let Some(draft) = draft else {
        return Err(Error::Closing(ClosingError::NothingToReissue { number: document.number.clone() }));
    };
    let own = Numbers { line: 0, allowance: 0 };
    let copied = |batches: &[RecordBatch]| rows_of(batches, &draft, &draft, own, 1);
    let (lines, allowances) = (copied(&drafted.line)?, copied(&drafted.allowance)?);
    let mut numbers = Numbers { line: count(&lines), allowance: count(&allowances) };
    let (of_draft, drafted_lines) = (treatments_of(&lines)?, lines.clone());
    rows.document_header.push(header(&draft, REISSUED, 1, &drafted.header, &draft)?);
    rows.invoice_line.extend(lines);
    rows.allowance.extend(allowances);
    rows.allowance_share.extend(copied(&drafted.allowance_share)?);
    rows.prepayment.extend(copied(&drafted.prepayment)?);
    rows.line_reference.extend(copied(&drafted.line_reference)?);
    for row in rows::each(of(issued, INVOICE)) {
        let is_on_next_invoice = row.text("document_kind")? == CARRIED_FORWARD && payer_of(row)? == document.payer;
        if !is_on_next_invoice || row.optional_text("correction_reason")?.is_none() {
            continue;
        }
        let number = row.text("invoice_number")?;
        let negated = |path| rows_of(of(issued, path), number, &draft, numbers, -1);
        let mut lines = without_balance(negated(LINE.path)?)?;
        let mut allowances = negated(ALLOWANCE.path)?;
        // An issued invoice has charged the lines with their taxes. Other lines get the taxes of the draft.
        if !late_usage.charged.contains(number) && !of_draft.is_superset(&treatments_of(&lines)?) {
            let Some(present) = present_taxes(&lines, &drafted_lines, late_usage.treatments)? else {
                let (number, period) = (document.number.clone(), document.period.clone());
                return Err(Error::Closing(ClosingError::CancelTaxDiffers { number, period }));
            };
            lines = with_taxes(lines, &present)?;
            allowances = with_taxes(allowances, &present)?;
            late_usage.waiting.insert(document.payer.clone());
        }
        rows.line_reference.extend(negated(LINE_REFERENCE)?);
        numbers = Numbers { line: numbers.line + count(&lines), allowance: numbers.allowance + count(&allowances) };
        rows.invoice_line.extend(lines);
        rows.allowance.extend(allowances);
    }
    Ok(draft)
}

/// The documents that were carried forward to an issued document.
async fn charged_elsewhere(transaction: &Transaction, history: &[RecordBatch]) -> Result<BTreeSet<String>, Error> {
    let mut numbers = BTreeSet::new();
    for row in rows::each(history) {
        numbers.insert(row.text("document_number")?);
    }
    let mut charged = BTreeSet::new();
    for row in rows::each(&transaction.read("line_reference", |_| true).await?) {
        if numbers.contains(row.text("invoice_number")?) {
            charged.extend(row.optional_text("carried_from")?.map(str::to_owned));
        }
    }
    Ok(charged)
}

/// The tax treatments of lines.
fn treatments_of(lines: &[RecordBatch]) -> Result<BTreeSet<String>, Error> {
    rows::each(lines).map(|line| line.text("tax_treatment").map(str::to_owned)).collect()
}

/// The tax treatments of the draft for the supplies of earlier lines, by earlier treatment. `None` if a treatment has
/// not exactly one, or if an invoice cannot contain both because one of them is outside the scope of tax.
fn present_taxes(
    earlier: &[RecordBatch],
    drafted: &[RecordBatch],
    treatments: &TaxTreatments,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    const SUPPLY: [&str; 4] = ["service", "component", "sku", "charge_kind"];
    let supply = |row: Row<'_>| -> Result<_, Error> {
        let texts = SUPPLY.map(|name| row.text(name).map(str::to_owned));
        Ok((row.optional_text("project_id")?.map(str::to_owned), texts.into_iter().collect::<Result<Vec<_>, _>>()?))
    };
    let mut of_draft: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for row in rows::each(drafted) {
        of_draft.entry(supply(row)?).or_default().insert(row.text("tax_treatment")?.to_owned());
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows::each(earlier) {
        let present = of_draft.get(&supply(row)?).cloned().unwrap_or_default();
        found.entry(row.text("tax_treatment")?.to_owned()).or_default().extend(present);
    }
    let mut only = BTreeMap::new();
    for (earlier, present) in found {
        let present: Vec<String> = present.into_iter().collect();
        let [present] = present.as_slice() else { return Ok(None) };
        let is_outside = |text: &str| treatments.get(text).is_some_and(|one| one.category == TaxCategory::OutOfScope);
        if *present != earlier && (is_outside(present) || is_outside(&earlier)) {
            return Ok(None);
        }
        only.insert(earlier, present.clone());
    }
    Ok(Some(only))
}

/// Rows with other tax treatments.
fn with_taxes(batches: Vec<RecordBatch>, taxes: &BTreeMap<String, String>) -> Result<Vec<RecordBatch>, Error> {
    const TREATMENT: &str = "tax_treatment";
    let mut changed = Vec::with_capacity(batches.len());
    for batch in batches {
        let texts: &StringArray = rows::column(&batch, TREATMENT)?;
        let present = |text: Option<&str>| text.map(|text| taxes.get(text).map_or(text, String::as_str).to_owned());
        let present = Arc::new(texts.iter().map(present).collect::<StringArray>());
        changed.push(rows::with_column(&batch, TREATMENT, present)?);
    }
    Ok(changed)
}

/// Lines without those that balance a document that is carried forward.
fn without_balance(lines: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
    filtered(&lines, "component", |component| component != CARRIED_FORWARD)
}

/// Refuses to write off an amount that an earlier document carried forward, because it would be due nowhere.
fn refuse_brought_forward(issued: &Issued, document: &DocumentToCancel) -> Result<(), Error> {
    for row in rows::each(of(issued, LINE_REFERENCE)) {
        if let Some(from) = row.optional_text("carried_from")?
            && row.text("invoice_number")? == document.number
        {
            let (number, from) = (document.number.clone(), from.to_owned());
            return Err(Error::Closing(ClosingError::CancelBroughtForward { number, from }));
        }
    }
    for row in rows::each(of(issued, INVOICE)) {
        if row.text("document_kind")? == CARRIED_FORWARD && payer_of(row)? == document.payer {
            let number = document.number.clone();
            return Err(Error::Closing(ClosingError::CancelOnNextInvoice { number }));
        }
    }
    Ok(())
}

/// Refuses documents with corrections at another exchange rate, because a credit note has one rate.
fn check_exchange_rates(document: &DocumentToCancel, invoice: &[RecordBatch]) -> Result<(), Error> {
    let mut rates = BTreeSet::new();
    for row in rows::each(invoice) {
        if document.documents.iter().any(|number| Ok(number.as_str()) == row.text("invoice_number").map_err(|_| ())) {
            let rate = row.optional_decimal::<UnitPrice>("exchange_rate")?.map(|rate| rate.units());
            rates.insert((row.optional_text("exchange_base")?, rate, row.optional_day("exchange_rate_date")?));
        }
    }
    if rates.len() > 1 {
        let numbers = document.documents.clone();
        return Err(Error::Closing(ClosingError::CancelledRatesDiffer { numbers }));
    }
    Ok(())
}

/// The amounts that credits get back: used by the cancelled documents, less used by the new ones.
fn returned(rows: &CorrectedRows) -> Result<BTreeMap<String, Amount>, Error> {
    let mut returned: BTreeMap<String, Amount> = BTreeMap::new();
    for (_, credit, amount) in paid_by_credits(&rows.allowance, &rows.prepayment)? {
        let back = Amount::ZERO.checked_sub(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
        add(returned.entry(credit.to_owned()).or_default(), back)?;
    }
    returned.retain(|_, amount| !amount.is_zero());
    Ok(returned)
}

/// The amounts that credits pay: document, credit and amount.
fn paid_by_credits<'a>(
    allowance: &'a [RecordBatch],
    prepayment: &'a [RecordBatch],
) -> Result<Vec<(&'a str, &'a str, Amount)>, Error> {
    let mut paid = Vec::new();
    for row in rows::each(allowance) {
        if !is_compared(row, &ALLOWANCE)? {
            paid.push((row.text("invoice_number")?, row.text("term_id")?, row.decimal("amount")?));
        }
    }
    for row in rows::each(prepayment) {
        paid.push((row.text("invoice_number")?, row.text("credit_id")?, row.decimal("amount")?));
    }
    Ok(paid)
}

fn add(sum: &mut Amount, amount: Amount) -> Result<(), Error> {
    *sum = sum.checked_add(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
    Ok(())
}

fn of<'a>(issued: &'a Issued, path: &str) -> &'a [RecordBatch] {
    issued.get(path).map_or(&[], Vec::as_slice)
}

fn count(batches: &[RecordBatch]) -> i64 {
    batches.iter().map(|batch| i64::try_from(batch.num_rows()).unwrap_or(i64::MAX)).sum()
}

/// The numbers of the last line and of the last allowance before the added rows.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    line: i64,
    allowance: i64,
}

/// The rows of a document as rows of a draft. Their numbers follow other rows, and `sign` applies to all amounts.
fn rows_of(
    batches: &[RecordBatch],
    number: &str,
    draft: &str,
    after: Numbers,
    sign: i128,
) -> Result<Vec<RecordBatch>, Error> {
    let mut found = Vec::new();
    for batch in filtered(batches, "invoice_number", |one| one == number)? {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            columns.push(match field.name().as_str() {
                "invoice_number" => Arc::new(StringArray::from_iter_values(vec![draft; batch.num_rows()])),
                "line_number" => shifted(column, after.line)?,
                "allowance_number" => shifted(column, after.allowance)?,
                name if AMOUNTS.contains(&name) => signed(column, sign)?,
                _ => Arc::clone(column),
            });
        }
        found.push(RecordBatch::try_new(batch.schema(), columns).map_err(|source| rows::failed(draft, source))?);
    }
    Ok(found)
}

/// The rows whose text in a column has a property, without empty batches.
fn filtered(
    batches: &[RecordBatch],
    column: &'static str,
    has_property: impl Fn(&str) -> bool,
) -> Result<Vec<RecordBatch>, Error> {
    let mut found = Vec::new();
    for batch in batches {
        let texts: &StringArray = rows::column(batch, column)?;
        let mask = BooleanArray::from_iter(texts.iter().map(|text| Some(text.is_some_and(&has_property))));
        let rows = filter_record_batch(batch, &mask).map_err(|source| rows::failed(column, source))?;
        found.extend(Some(rows).filter(|rows| rows.num_rows() > 0));
    }
    Ok(found)
}

fn shifted(column: &ArrayRef, by: i64) -> Result<ArrayRef, Error> {
    let numbers: &Int64Array = column.as_any().downcast_ref().ok_or(Error::Column { name: "of numbers" })?;
    Ok(Arc::new(Int64Array::from_iter_values(numbers.values().iter().map(|number| number + by))))
}

fn signed(column: &ArrayRef, sign: i128) -> Result<ArrayRef, Error> {
    let amounts: &Decimal128Array = column.as_any().downcast_ref().ok_or(Error::Column { name: "of amounts" })?;
    let units = amounts.values().iter().map(|units| sign * units);
    Ok(Arc::new(Decimal128Array::from_iter_values(units).with_data_type(amounts.data_type().clone())))
}

fn cancelled_header(draft: &str, invoice: &[RecordBatch], number: &str) -> Result<RecordBatch, Error> {
    header(draft, CANCELLED, -1, invoice, number)
}

/// The header of a draft, from the row of a document in `document_header` or `invoice`.
fn header(
    draft: &str,
    reason: &str,
    sign: i128,
    documents: &[RecordBatch],
    number: &str,
) -> Result<RecordBatch, Error> {
    let schema = &statement(HEADER)?.schema;
    let found = rows_of(documents, number, draft, Numbers { line: 0, allowance: 0 }, sign)?;
    let row = found.first().ok_or(Error::Internal("a cancelled document has no row"))?;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values([text])) };
        columns.push(match field.name().as_str() {
            "document_kind" => text(DRAFT),
            "correction_reason" => text(reason),
            name => Arc::clone(row.column_by_name(name).ok_or(Error::Column { name: "of a document header" })?),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|source| rows::failed("document_header", source))
}

/// The drafts of a cancellation with their totals, before they get numbers.
pub async fn proposed(transaction: &Transaction, cancellation: &Cancellation) -> Result<Vec<CancelledBy>, Error> {
    let mut proposed = Vec::new();
    for row in rows::each(&transaction.session.rows_of(INVOICE).await?) {
        let Some(cancelled) = cancellation.drafts.get(row.text("invoice_number")?) else { continue };
        let is_cancellation = row.optional_text("correction_reason")? == Some(CANCELLED);
        let kind = kind_of(row.decimal("total_with_tax")?, Some(cancelled).filter(|_| is_cancellation));
        let places = places_of_code(row.text("currency")?);
        let amount = |name| row.decimal::<Amount>(name).map(|amount| amount.to_text(places));
        proposed.push(CancelledBy {
            number: None,
            document_kind: kind.to_owned(),
            cancels: Some(cancelled.number.clone()).filter(|_| is_cancellation),
            replaces: Some(cancelled.number.clone()).filter(|_| !is_cancellation),
            account_id: row.text("account_id")?.to_owned(),
            project_id: row.optional_text("project_id")?.map(str::to_owned),
            total_without_tax: amount("total_without_tax")?,
            tax_amount: amount("tax_amount")?,
            total_with_tax: amount("total_with_tax")?,
            amount_due: amount("amount_due")?,
            currency: row.text("currency")?.to_owned(),
        });
    }
    Ok(proposed)
}

/// The drafts of a cancellation with the numbers of an issue.
pub fn numbered(proposed: Vec<CancelledBy>, issue: &Issue) -> Vec<CancelledBy> {
    let position_of = |one: &CancelledBy| {
        let is_it = |document: &&IssuedDocument| {
            let cancelled = one.cancels.as_ref().or(one.replaces.as_ref());
            let is_cancellation = document.reason.as_deref() == Some(CANCELLED);
            is_cancellation == one.cancels.is_some()
                && document.corrects.as_ref().map(|(number, _)| number) == cancelled
        };
        issue.documents.iter().position(|document| is_it(&document))
    };
    let mut numbered: Vec<(Option<usize>, CancelledBy)> =
        proposed.into_iter().map(|one| (position_of(&one), one)).collect();
    numbered.sort_by_key(|(position, _)| *position);
    let number = |position: Option<usize>| Some(issue.documents.get(position?)?.number.number.clone());
    numbered.into_iter().map(|(position, one)| CancelledBy { number: number(position), ..one }).collect()
}
