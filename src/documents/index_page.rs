//! The contents of the index page, from rows.

use std::collections::{BTreeMap, BTreeSet};

use super::page_inputs::{PageInputs, exchange_rate, generated_by, invoice_path};
use super::relations::Relations;
use super::usage_report_page::reason_text;
use crate::documents::render::{
    CurrencyTotal, DocumentKind, File, IndexPage, IndexedProject, InvoicePage, InvoiceSummary, InvoicingStatus,
    RecordCounts, RejectedRecords, UnratedUsageSummary, UsageCounts,
};
use crate::error::Error;
use crate::model::money::{Amount, Cost, Quantity, places_of_code};
use crate::model::summary::CurrencySummary;
use crate::model::terms::{CARRIED_FORWARD, SKIPPED};
use crate::rows;

/// The index entry of a document for a whole account, without a project.
pub(super) fn whole_account(
    inputs: &PageInputs<'_>,
    relations: &Relations,
    page: &InvoicePage,
) -> Result<IndexedProject, Error> {
    let mut cost = Cost::ZERO;
    for line in rows::each(&relations.invoice_line) {
        if line.text("invoice_number")? == page.number {
            // A line is left out if its price has no exchange rate to the seller's currency, as in all reports.
            let Some(rate) = exchange_rate(relations, line.text("price_currency")?, &inputs.currency)? else {
                continue;
            };
            let (multiplier, divisor) = (rate.units("multiplier")?, rate.units("divisor")?);
            let converted =
                line.decimal::<Cost>("contracted_cost")?.scaled(multiplier, divisor, 18).ok_or(Error::COST_OVERFLOW)?;
            cost = cost.checked_add(converted).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    Ok(IndexedProject {
        project: None,
        account_id: Some(page.buyer.account_id.clone()),
        account_name: Some(page.buyer.name.clone()),
        status: if page.sold_by.is_some() { InvoicingStatus::Retail } else { InvoicingStatus::Invoiced },
        invoice: Some(invoice_summary(page)),
        other_documents: Vec::new(),
        usage_report_path: None,
        contracted_cost: cost.to_string(),
        currency: inputs.currency.clone(),
    })
}

pub(super) fn invoice_summary(page: &InvoicePage) -> InvoiceSummary {
    // The amounts of a credit note are positive on its page. In the index they are negative, as in the books.
    let amount = |text: &String| match page.document_kind {
        DocumentKind::CreditNote if text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) => {
            match text.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{text}"),
            }
        }
        _ => text.clone(),
    };
    InvoiceSummary {
        number: page.number.clone(),
        path: invoice_path(&page.buyer.account_id, &page.number, "html"),
        currency: page.currency.clone(),
        total_without_tax: amount(&page.total_without_tax),
        total_tax: amount(&page.total_tax),
        total_with_tax: amount(&page.total_with_tax),
        is_repeated: false,
    }
}

/// Marks the invoices that an earlier project has too, so that the amounts of the index add up to its totals.
pub(super) fn mark_repeated(projects: &mut [IndexedProject]) {
    let mut numbers = BTreeSet::new();
    for invoice in projects.iter_mut().filter_map(|project| project.invoice.as_mut()) {
        invoice.is_repeated = !numbers.insert(invoice.number.clone());
    }
}

/// The invoice of a project, with the totals of all documents of the project in its currency.
pub(super) fn project_summary(invoice: &InvoicePage, documents: &[&InvoicePage]) -> Result<InvoiceSummary, Error> {
    let mut summary = invoice_summary(invoice);
    if invoice.project.is_none() {
        return Ok(summary);
    }
    let others = documents.iter().filter(|page| page.project.is_some() && page.number != invoice.number);
    for other in others.map(|page| invoice_summary(page)).filter(|other| other.currency == summary.currency) {
        let places = places_of_code(&summary.currency);
        let add = |sum: &mut String, amount: &str| -> Result<(), Error> {
            let [total, amount] = [&**sum, amount].map(|text| Amount::parse_exact(text).ok());
            let total = total.zip(amount).and_then(|(total, amount)| total.checked_add(amount));
            *sum = total.ok_or(Error::AMOUNT_OVERFLOW)?.to_text(places);
            Ok(())
        };
        add(&mut summary.total_without_tax, &other.total_without_tax)?;
        add(&mut summary.total_tax, &other.total_tax)?;
        add(&mut summary.total_with_tax, &other.total_with_tax)?;
    }
    Ok(summary)
}

pub(super) fn index(
    inputs: &PageInputs<'_>,
    relations: &Relations,
    projects: Vec<IndexedProject>,
) -> Result<IndexPage, Error> {
    let rejected: Result<Vec<RejectedRecords>, Error> = rows::each(&relations.rejected_reason)
        .map(|row| {
            Ok(RejectedRecords {
                reason: row.text("reason")?.replace('_', " "),
                record_count: row.number("record_count")? as u64,
            })
        })
        .collect();
    let usage = usage_counts(relations)?;
    let totals = currency_totals(relations, false)?;
    let file = |path: &str, description: &str| File { path: path.to_owned(), description: description.to_owned() };
    let margins = file("margins.csv", "a row for each line that a reseller sells, with its margin");
    let pack = inputs.issue.filter(|issue| issue.is_of_all_payers());
    let margins = Some(margins).filter(|_| inputs.context.config.accounts.has_resellers());
    Ok(IndexPage {
        seller_name: inputs.context.config.seller.name.clone(),
        billing_period_start: inputs.start,
        billing_period_end: inputs.end,
        time_zone: inputs.context.config.time_zone.clone(),
        hours_in_period: inputs.hours,
        is_draft: pack.is_none(),
        records: record_counts(relations)?,
        usage,
        projects,
        totals: totals
            .into_iter()
            .map(|total| CurrencyTotal {
                currency: total.currency,
                invoice_count: total.invoices,
                total_without_tax: total.total_without_tax,
                total_tax: total.tax_amount,
                total_with_tax: total.total_with_tax,
            })
            .collect(),
        rejected_records: rejected?,
        close_decisions: relations.close_decisions.clone(),
        unrated_usage: unrated_summaries(relations)?,
        files: [
            file("invoices.csv", "a row for each invoice"),
            file("invoice_lines.csv", "a row for each line of each invoice"),
            file("allowances.csv", "a row for each discount and credit on an invoice, by tax group"),
            file("usage.csv", "a row for each resource, meter and date"),
        ]
        .into_iter()
        .chain(margins)
        .chain(pack.map(|_| file("month-end/pack.html", "the month-end pack, with the digest to sign")))
        .collect(),
        generated_by: generated_by(),
    })
}

/// The numbers of records by outcome.
fn record_counts(relations: &Relations) -> Result<RecordCounts, Error> {
    let mut records = RecordCounts::default();
    for row in rows::each(&relations.record_count) {
        records = RecordCounts {
            read: row.number("read_count")? as u64,
            accepted: row.number("accepted_count")? as u64,
            duplicate: row.number("duplicate_count")? as u64,
            rejected: row.number("rejected_count")? as u64,
            unmetered: row.number("unmetered_count")? as u64,
        };
    }
    Ok(records)
}

/// Usage without a price, by meter, reason and unit.
fn unrated_summaries(relations: &Relations) -> Result<Vec<UnratedUsageSummary>, Error> {
    let mut unrated: BTreeMap<(&str, &str, &str), (u64, Quantity)> = BTreeMap::new();
    for row in rows::each(&relations.unrated_resource) {
        let sum = unrated.entry((row.text("meter")?, row.text("reason")?, row.text("unit")?)).or_default();
        sum.0 += 1;
        sum.1 = sum.1.checked_add(row.decimal("quantity")?).ok_or(Error::QUANTITY_OVERFLOW)?;
    }
    let summary = |((meter, reason, unit), (resource_count, quantity)): ((&str, &str, &str), (u64, Quantity))| {
        UnratedUsageSummary {
            meter: meter.to_owned(),
            resource_count,
            quantity: quantity.to_string(),
            unit: unit.to_owned(),
            reason: reason_text(reason),
        }
    };
    Ok(unrated.into_iter().map(summary).collect())
}

pub(super) fn usage_counts(relations: &Relations) -> Result<UsageCounts, Error> {
    let mut counts = UsageCounts::default();
    for row in rows::each(&relations.period_summary) {
        let unrated = row.number("unrated_count")? as u64;
        counts = UsageCounts {
            rated: (row.number("usage_count")? as u64).saturating_sub(unrated),
            unrated,
            unattributed: row.number("unattributed_count")? as u64,
        };
    }
    Ok(counts)
}

/// The invoice totals of the seller, or of resellers, by currency.
pub(super) fn currency_totals(relations: &Relations, of_resellers: bool) -> Result<Vec<CurrencySummary>, Error> {
    totals_of(relations, of_resellers, |kind| !matches!(kind, CARRIED_FORWARD | SKIPPED))
}

/// The totals of the seller's documents of some kinds, or of the documents of resellers, by currency.
pub(super) fn totals_of(
    relations: &Relations,
    of_resellers: bool,
    is_counted: impl Fn(&str) -> bool,
) -> Result<Vec<CurrencySummary>, Error> {
    let mut totals: BTreeMap<&str, (u64, [Amount; 3])> = BTreeMap::new();
    for row in rows::each(&relations.invoice) {
        let is_retail = row.optional_text("sold_by")?.is_some();
        if !is_counted(row.text("document_kind")?) || is_retail != of_resellers {
            continue;
        }
        let sum = totals.entry(row.text("currency")?).or_default();
        sum.0 += 1;
        for (sum, column) in sum.1.iter_mut().zip(["total_without_tax", "tax_amount", "total_with_tax"]) {
            *sum = sum.checked_add(row.decimal(column)?).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    let total = |(currency, (invoices, [net, tax, gross])): (&str, (u64, [Amount; 3]))| {
        let text = |amount: Amount| amount.to_text(places_of_code(currency));
        CurrencySummary {
            currency: currency.to_owned(),
            invoices,
            total_without_tax: text(net),
            tax_amount: text(tax),
            total_with_tax: text(gross),
        }
    };
    Ok(totals.into_iter().map(total).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::render::tests::{index as index_page, invoice};

    /// A document with its total without tax, its tax, and its total with tax.
    fn document(number: &str, kind: DocumentKind, currency: &str, totals: [&str; 3]) -> InvoicePage {
        let [total_without_tax, total_tax, total_with_tax] = totals.map(str::to_owned);
        let (number, document_kind, currency) = (number.to_owned(), kind, currency.to_owned());
        InvoicePage { number, document_kind, currency, total_without_tax, total_tax, total_with_tax, ..invoice() }
    }

    fn totals(summary: &InvoiceSummary) -> [&str; 3] {
        [&summary.total_without_tax, &summary.total_tax, &summary.total_with_tax]
    }

    /// An invoice of 10.00 less a credit note of 2.00 is 8.00. Dollars are not added to euros. An invoice for the whole
    /// account keeps its own amounts, because each of its projects has it.
    #[test]
    fn the_row_of_a_project_has_the_sum_of_its_documents() {
        let of_project = document("INV-1", DocumentKind::Invoice, "EUR", ["10.00", "1.90", "11.90"]);
        let credit_note = document("CN-1", DocumentKind::CreditNote, "EUR", ["2.00", "0.38", "2.38"]);
        let dollars = document("INV-2", DocumentKind::Invoice, "USD", ["5.00", "0.00", "5.00"]);
        let documents = [&of_project, &credit_note, &dollars];
        assert!(of_project.project.is_some());
        assert_eq!(totals(&project_summary(&of_project, &documents).unwrap()), ["8.00", "1.52", "9.52"]);
        let of_account = InvoicePage { project: None, ..of_project.clone() };
        let documents = [&of_account, &credit_note];
        assert_eq!(totals(&project_summary(&of_account, &documents).unwrap()), ["10.00", "1.90", "11.90"]);
    }

    #[test]
    fn an_invoice_for_several_projects_is_marked_after_the_first() {
        let first = index_page().projects.remove(0);
        let other = IndexedProject {
            invoice: first.invoice.clone().map(|invoice| InvoiceSummary { number: "INV-9".to_owned(), ..invoice }),
            ..first.clone()
        };
        let mut projects = vec![first.clone(), IndexedProject { invoice: None, ..first.clone() }, first, other];
        mark_repeated(&mut projects);
        let marks: Vec<_> = projects.iter().map(|one| one.invoice.as_ref().map(|one| one.is_repeated)).collect();
        assert_eq!(marks, [Some(false), None, Some(true), Some(false)]);
    }
}
