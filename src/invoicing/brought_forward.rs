//! Amounts brought forward from earlier documents of the same payer. These amounts are negative, are below the minimum
//! invoice amount, or correct closed periods on the next invoice.
//!
//! Each earlier document is brought forward once and as a whole. The line references of the next document contain the
//! number of the earlier document.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use iso_currency::Currency;

use super::line::{CorrectedLine, Line, LineReference};
use super::line_rows::DocumentKey;
use crate::error::Error;
use crate::invoicing::line_rows::line_columns;
use crate::model::issue::CorrectedRows;
use crate::model::money::Amount;
use crate::model::period::{BillingPeriod, DayNumber, date_of};
use crate::model::tax::{TaxCategory, TaxTreatment};
use crate::model::terms::CARRIED_FORWARD;
use crate::query::statement;
use crate::rows::taxes::{TaxTreatments, treatment_of, treatments};
use crate::rows::{self, Row};
use crate::run::{Transaction, final_invoices, is_settled};
use crate::storage::{CommitKind, DataFile};

/// The id of the payer, whether the payer is an account (not an unassigned project), and the project of an invoice for
/// one project.
pub(super) type BroughtForwardKey = (String, bool, Option<String>);

/// A document that carried an amount forward.
#[derive(Clone, Debug)]
pub(super) struct BroughtForward {
    pub(super) document: String,
    pub(super) period: String,
    pub(super) amount: Amount,
    pub(super) currency: String,
    /// The name of the account when the document was drafted; empty for an unassigned project.
    pub(super) account_name: String,
    /// The VAT id of the buyer of these supplies; after a cancellation, that of the document that was issued again.
    pub(super) buyer_vat_id: Option<String>,
    /// The lines that the next document gets for this document.
    pub(super) lines: Vec<Line>,
    is_correction: bool,
    key: BroughtForwardKey,
}

/// The documents that carried an amount forward and that no other document has brought forward.
pub(super) async fn load(
    period: BillingPeriod,
    transaction: &Transaction,
) -> Result<BTreeMap<BroughtForwardKey, Vec<BroughtForward>>, Error> {
    let period = period.to_string();
    let is_before = |file: &DataFile| file.partition < period;
    // A later period that is already closed keeps the amounts that were brought forward to it.
    let is_final = |file: &DataFile| {
        is_before(file)
            || (file.partition > period && transaction.snapshot.last(CommitKind::Close, &file.partition).is_some())
    };
    let mut brought_forward = BTreeSet::new();
    for row in rows::each(&transaction.read("line_reference", is_final).await?) {
        brought_forward.extend(row.optional_text("carried_from")?.map(str::to_owned));
    }
    brought_forward.extend(in_later_final_invoices(&period, transaction).await?);
    let mut open = Vec::new();
    let mut reissued = BTreeMap::new();
    let mut files = transaction.files_where("invoice", is_before);
    files.sort_by(|one, other| one.partition.cmp(&other.partition));
    for file in &files {
        for row in rows::each(&transaction.lake.read_rows(file, &statement("invoicing/invoice")?.schema).await?) {
            let document = row.text("invoice_number")?;
            let account_id = row.text("account_id")?.to_owned();
            let account_name = row.optional_text("account_name")?;
            let key = (account_id, account_name.is_some(), row.optional_text("project_id")?.map(str::to_owned));
            let buyer_vat_id = row.optional_text("buyer_vat_id")?.map(str::to_owned);
            if row.optional_text("correction_reason")? == Some("reissued") {
                reissued.insert((file.partition.clone(), key), buyer_vat_id);
            } else if row.text("document_kind")? == CARRIED_FORWARD && !brought_forward.contains(document) {
                open.push(BroughtForward {
                    document: document.to_owned(),
                    period: file.partition.clone(),
                    amount: row.decimal("carried_forward")?,
                    currency: row.text("currency")?.to_owned(),
                    account_name: account_name.unwrap_or_default().to_owned(),
                    buyer_vat_id,
                    lines: Vec::new(),
                    is_correction: row.optional_text("correction_reason")?.is_some(),
                    key,
                });
            }
        }
    }
    for document in &mut open {
        if let Some(buyer_vat_id) = reissued.get(&(document.period.clone(), document.key.clone())) {
            document.buyer_vat_id.clone_from(buyer_vat_id);
        }
    }
    add_lines(transaction, &mut open).await?;
    let mut by_payer: BTreeMap<BroughtForwardKey, Vec<BroughtForward>> = BTreeMap::new();
    for document in open {
        by_payer.entry(document.key.clone()).or_default().push(document);
    }
    Ok(by_payer)
}

/// The documents that final invoices of later open periods have brought forward.
async fn in_later_final_invoices(period: &str, transaction: &Transaction) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    let later = transaction.files_where("invoice", |file| file.partition.as_str() > period);
    for later in later.into_iter().map(|file| file.partition).collect::<BTreeSet<String>>() {
        let accounts = final_invoices(&transaction.snapshot, &later);
        if accounts.is_empty() {
            continue;
        }
        let is_of_later = |file: &DataFile| file.partition == later;
        let mut issued = BTreeSet::new();
        for row in rows::each(&transaction.read("invoice", is_of_later).await?) {
            if is_settled(row, &accounts)? {
                issued.insert(row.text("invoice_number")?.to_owned());
            }
        }
        for row in rows::each(&transaction.read("line_reference", is_of_later).await?) {
            if issued.contains(row.text("invoice_number")?) {
                found.extend(row.optional_text("carried_from")?.map(str::to_owned));
            }
        }
    }
    Ok(found)
}

async fn add_lines(transaction: &Transaction, documents: &mut [BroughtForward]) -> Result<(), Error> {
    let periods: BTreeSet<String> = documents.iter().map(|document| document.period.clone()).collect();
    for period in periods {
        let is_of_period = |file: &DataFile| file.partition == period;
        let lines = transaction.read("invoice_line", is_of_period).await?;
        let allowances = transaction.read("allowance", is_of_period).await?;
        let references = transaction.read("line_reference", is_of_period).await?;
        let treatments = treatments(&transaction.read("applied_tax", is_of_period).await?)?;
        let mut corrections = BTreeMap::new();
        for row in rows::each(&references) {
            let place = (row.text("invoice_number")?, row.number("line_number")?);
            corrections.extend(correction_of(row)?.map(|correction| (place, correction)));
        }
        for document in documents.iter_mut().filter(|document| document.period == period) {
            for row in rows::each(&lines) {
                if row.text("invoice_number")? == document.document {
                    let place = (row.text("invoice_number")?, row.number("line_number")?);
                    document.lines.extend(document.line(row, corrections.get(&place), &treatments)?);
                }
            }
            for row in rows::each(&allowances).filter(|_| document.is_correction) {
                if row.text("invoice_number")? == document.document {
                    document.lines.push(document.allowance(row, &treatments)?);
                }
            }
        }
    }
    Ok(())
}

fn correction_of(row: Row<'_>) -> Result<Option<CorrectedLine>, Error> {
    let Some(period) = row.optional_text("corrected_period")? else { return Ok(None) };
    let document = match (row.optional_text("corrected_document")?, row.optional_day("corrected_on")?) {
        (Some(number), Some(day)) => Some((number.to_owned(), date_of(day))),
        _ => None,
    };
    let reason = row.optional_text("reason")?.unwrap_or_default().to_owned();
    Ok(Some(CorrectedLine { period: period.to_owned(), document, reason }))
}

impl BroughtForward {
    /// The net amount under reverse charge.
    pub(super) fn under_reverse_charge(&self) -> Result<Amount, Error> {
        let lines = self.lines.iter().filter(|line| line.tax.category == TaxCategory::ReverseCharge);
        let sum = lines.map(|line| line.net_amount).try_fold(Amount::ZERO, Amount::checked_add);
        sum.ok_or(Error::AMOUNT_OVERFLOW)
    }

    /// The line of the next document for a line of this document. A correction is brought forward line by line. Any
    /// other document is brought forward as one sum for each tax treatment.
    fn line(
        &self,
        row: Row<'_>,
        correction: Option<&CorrectedLine>,
        treatments: &TaxTreatments,
    ) -> Result<Option<Line>, Error> {
        let is_carried_forward = row.text("component")? == CARRIED_FORWARD;
        if is_carried_forward == self.is_correction {
            return Ok(None);
        }
        let days: (DayNumber, DayNumber) = (row.day("charge_period_start")?, row.day("charge_period_end")?);
        let net_amount: Amount = row.decimal("net_amount")?;
        let mut line = if self.is_correction {
            let mut line = Line::of_amount(days, net_amount)?;
            line.service = row.text("service")?.to_owned();
            line.component = row.text("component")?.to_owned();
            line.sku = row.text("sku")?.to_owned();
            line.description = row.text("description")?.to_owned();
            line.line_by = row.text("line_by")?.to_owned();
            line.charge_kind = row.text("charge_kind")?.to_owned();
            line.term_id = row.optional_text("term_id")?.map(str::to_owned);
            line.price_currency = Currency::from_code(row.text("price_currency")?);
            line.tier_start = row.decimal("tier_start")?;
            line.quantity = row.decimal("quantity")?;
            line.unit = row.text("unit")?.to_owned();
            line.contracted_unit_price = row.decimal("contracted_unit_price")?;
            line.unit_price = row.decimal("unit_price")?;
            line.unit_price_per = row.decimal("unit_price_per")?;
            line.project_id = row.optional_text("project_id")?.map(str::to_owned);
            line
        } else {
            let amount = Amount::ZERO.checked_sub(net_amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            let mut line = Line::of_amount(days, amount)?;
            line.service = "Brought forward".to_owned();
            line.component = "brought_forward".to_owned();
            line.sku = "brought_forward".to_owned();
            line.description = format!("Brought forward from {}", self.period);
            line.charge_kind = "brought_forward".to_owned();
            line.line_by = format!("month={}", self.period);
            line.project_id.clone_from(&self.key.2);
            line
        };
        line.tax = treatment_of(row, treatments)?.clone();
        line.reference = Some(LineReference { carried_from: self.document.clone(), correction: correction.cloned() });
        Ok(Some(line))
    }

    /// The line of the next document for an allowance of a correction.
    fn allowance(&self, row: Row<'_>, treatments: &TaxTreatments) -> Result<Line, Error> {
        let amount: Amount = row.decimal("amount")?;
        let net_amount = Amount::ZERO.checked_sub(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
        let first = self.lines.first();
        let days = first.map_or((0, 0), |line| (line.charge_period_start, line.charge_period_end));
        let mut line = Line::of_amount(days, net_amount)?;
        line.service = "Discounts".to_owned();
        line.component = row.text("kind")?.to_owned();
        line.charge_kind = row.text("kind")?.to_owned();
        line.sku = row.text("term_id")?.to_owned();
        line.description = row.text("description")?.to_owned();
        line.project_id.clone_from(&self.key.2);
        line.tax = treatment_of(row, treatments)?.clone();
        let correction =
            first.and_then(|line| line.reference.as_ref()).and_then(|reference| reference.correction.clone());
        line.reference = Some(LineReference { carried_from: self.document.clone(), correction });
        Ok(line)
    }
}

/// The lines that reduce carried forward documents to zero. Each document gets one line for each tax treatment, after
/// its other lines.
pub(super) fn carried_forward_lines(
    corrected: &CorrectedRows,
    days: (DayNumber, DayNumber),
) -> Result<Option<RecordBatch>, Error> {
    let treatments = treatments(&corrected.applied_tax)?;
    let mut lines: Vec<(DocumentKey<'_>, usize, Line)> = Vec::new();
    for header in rows::each(&corrected.document_header) {
        if header.text("document_kind")? != CARRIED_FORWARD {
            continue;
        }
        let (account_id, currency) = (header.text("account_id")?, header.text("currency")?);
        let key = DocumentKey { number: header.text("invoice_number")?, account_id, currency };
        let mut sums: BTreeMap<&TaxTreatment, Amount> = BTreeMap::new();
        let mut index = 0;
        for row in rows::each(&corrected.invoice_line) {
            if row.text("invoice_number")? == key.number {
                let sum = sums.entry(treatment_of(row, &treatments)?).or_default();
                *sum = sum.checked_sub(row.decimal("net_amount")?).ok_or(Error::AMOUNT_OVERFLOW)?;
                index += 1;
            }
        }
        for row in rows::each(&corrected.allowance) {
            if row.text("invoice_number")? == key.number {
                let sum = sums.entry(treatment_of(row, &treatments)?).or_default();
                *sum = sum.checked_add(row.decimal("amount")?).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        for (tax, sum) in sums.into_iter().filter(|(_, sum)| !sum.is_zero()) {
            lines.push((key, index, Line::carried_forward(days, sum, tax.clone())?));
            index += 1;
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let lines: Vec<(DocumentKey<'_>, usize, &Line)> =
        lines.iter().map(|(key, index, line)| (*key, *index, line)).collect();
    Ok(Some(rows::batch(statement("invoicing/invoice_line")?, line_columns(&lines)?)?))
}
