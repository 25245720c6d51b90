//! The rows of drafted documents, by relation.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use iso_currency::Currency;

use super::document::{Document, SuspendedAccount};
use super::line::{Allowance, Line, LineReference};
use crate::error::Error;
use crate::invoicing::credit_balance::{Balances, Prepayment};
use crate::invoicing::exchange_rate::ExchangeRate;
use crate::invoicing::line_rows::{
    DocumentKey, days, decimals, line_columns, numbers, optional_texts, position, texts, treatment_texts,
};
use crate::model::money::places_of;
use crate::model::period::day_number;
use crate::model::terms::Terms;
use crate::query::{Session, statement};
use crate::rows;
use crate::rows::taxes::{APPLIED_TAX, TaxTreatments, applied_tax};

fn register(session: &Session, path: &str, columns: Vec<ArrayRef>) -> Result<(), Error> {
    let relation = statement(path)?;
    let batch: RecordBatch = rows::batch(relation, columns)?;
    Ok(session.register(path, vec![batch])?)
}

/// Registers `document_header`, `invoice_line`, `allowance`, `allowance_share`, `applied_tax` and `suspended_account`.
pub(super) fn register_drafts(
    session: &Session,
    documents: &[Document],
    suspended_accounts: &[SuspendedAccount],
    seller_currency: Currency,
) -> Result<(), Error> {
    register_headers(session, documents, seller_currency)?;
    register_lines(session, documents)?;
    register_allowances(session, documents)?;
    let mut treatments = TaxTreatments::new();
    for totals in documents.iter().map(|document| &document.totals) {
        let of_lines = totals.lines.iter().map(|line| &line.tax);
        for treatment in of_lines.chain(totals.allowances.iter().map(|allowance| &allowance.tax)) {
            treatments.entry(treatment.text()).or_insert_with(|| treatment.clone());
        }
    }
    session.register(APPLIED_TAX, vec![applied_tax(&treatments)?])?;
    let columns = vec![
        texts(suspended_accounts, |row| &row.account_id),
        optional_texts(suspended_accounts, |row| row.account_name.as_deref()),
        texts(suspended_accounts, |row| row.reason),
        texts(suspended_accounts, |row| &row.detail),
        texts(suspended_accounts, |row| &row.price_currency),
        decimals(suspended_accounts, 38, |row| Some(row.contracted_cost))?,
    ];
    register(session, "invoicing/suspended_account", columns)
}

fn register_headers(session: &Session, documents: &[Document], seller_currency: Currency) -> Result<(), Error> {
    let published =
        |document: &Document| document.conversion.published(seller_currency.code(), document.currency.code());
    let columns = vec![
        texts(documents, |document| &document.number),
        texts(documents, |document| document.kind),
        texts(documents, |document| &document.account_id),
        optional_texts(documents, |document| document.account_name.as_deref()),
        optional_texts(documents, |document| document.buyer_country.as_deref()),
        optional_texts(documents, |document| document.buyer_vat_id.as_deref()),
        optional_texts(documents, |document| document.project.as_ref().map(|(id, _)| id.as_str())),
        optional_texts(documents, |document| document.project.as_ref().and_then(|(_, name)| name.as_deref())),
        texts(documents, |document| document.currency.code()),
        numbers(documents, |document| i64::from(document.places())),
        days(documents, |document| Some(day_number(document.tax_point))),
        decimals(documents, 28, |document| Some(document.brought_forward))?,
        decimals(documents, 28, |document| Some(document.carried_forward))?,
        numbers(documents, |_| i64::from(places_of(seller_currency))),
        Arc::new(StringArray::from_iter(documents.iter().map(|one| published(one).map(|found| found.base)))),
        Arc::new(StringArray::from_iter(documents.iter().map(|one| published(one).map(|found| found.quote)))),
        decimals(documents, 28, |document| published(document).map(|found| found.rate))?,
        days(documents, |document| document.conversion.date.map(day_number)),
        optional_texts(documents, |document| document.sold_by.as_deref()),
        optional_texts(documents, |_| None),
        Arc::new(BooleanArray::from_iter(documents.iter().map(|document| Some(document.is_last)))),
    ];
    register(session, "invoicing/document_header", columns)
}

fn register_lines(session: &Session, documents: &[Document]) -> Result<(), Error> {
    let lines: Vec<(DocumentKey<'_>, usize, &Line)> = documents
        .iter()
        .flat_map(|document| {
            let on = DocumentKey {
                number: &document.number,
                account_id: &document.account_id,
                currency: document.currency.code(),
            };
            let numbered = document.totals.lines.iter().enumerate();
            numbered.map(move |(index, line)| (on, index, line))
        })
        .collect();
    register(session, "invoicing/invoice_line", line_columns(&lines)?)?;
    let references: Vec<(&str, usize, &LineReference)> =
        lines.iter().filter_map(|(on, index, line)| Some((on.number, *index, line.reference.as_ref()?))).collect();
    let correction = |row: &(&str, usize, &LineReference)| row.2.correction.clone();
    let columns = vec![
        texts(&references, |row| row.0),
        numbers(&references, |row| position(row.1)),
        texts(&references, |row| &row.2.carried_from),
        optional_texts(&references, |row| row.2.correction.as_ref().map(|one| one.period.as_str())),
        optional_texts(&references, |row| Some(row.2.correction.as_ref()?.document.as_ref()?.0.as_str())),
        days(&references, |row| Some(day_number(correction(row)?.document?.1))),
        optional_texts(&references, |row| row.2.correction.as_ref().map(|one| one.reason.as_str())),
    ];
    register(session, "invoicing/line_reference", columns)
}

fn register_allowances(session: &Session, documents: &[Document]) -> Result<(), Error> {
    let allowances: Vec<(&Document, usize, &Allowance)> = documents
        .iter()
        .flat_map(|document| {
            let numbered = document.totals.allowances.iter().enumerate();
            numbered.map(move |(index, allowance)| (document, index, allowance))
        })
        .collect();
    let columns = vec![
        texts(&allowances, |row| &row.0.number),
        numbers(&allowances, |row| position(row.1)),
        texts(&allowances, |row| &row.0.account_id),
        texts(&allowances, |row| row.2.kind),
        texts(&allowances, |row| &row.2.term_id),
        texts(&allowances, |row| &row.2.description),
        decimals(&allowances, 7, |row| row.2.percent)?,
        decimals(&allowances, 28, |row| Some(row.2.base_amount))?,
        decimals(&allowances, 28, |row| Some(row.2.amount))?,
        texts(&allowances, |row| row.0.currency.code()),
        treatment_texts(&allowances, |row| &row.2.tax),
    ];
    register(session, "invoicing/allowance", columns)?;
    let mut shares = Vec::new();
    for (document, index, allowance) in &allowances {
        let mut of_allowance = allowance.shares.clone();
        of_allowance.sort_by_key(|(line, _)| *line);
        shares.extend(of_allowance.into_iter().map(|(line, amount)| (&document.number, *index, line, amount)));
    }
    let columns = vec![
        texts(&shares, |row| row.0),
        numbers(&shares, |row| position(row.1)),
        numbers(&shares, |row| position(row.2)),
        decimals(&shares, 28, |row| Some(row.3))?,
    ];
    register(session, "invoicing/allowance_share", columns)
}

pub(super) fn register_exchange_rates(session: &Session, rates: &[ExchangeRate]) -> Result<(), Error> {
    let published = |row: &ExchangeRate| row.conversion.published(row.price_currency.code(), row.currency.code());
    let columns = vec![
        texts(rates, |row| row.price_currency.code()),
        texts(rates, |row| row.currency.code()),
        decimals(rates, 28, |row| Some(row.conversion.numerator))?,
        decimals(rates, 28, |row| Some(row.conversion.denominator))?,
        Arc::new(StringArray::from_iter(rates.iter().map(|row| published(row).map(|found| found.base)))),
        Arc::new(StringArray::from_iter(rates.iter().map(|row| published(row).map(|found| found.quote)))),
        decimals(rates, 28, |row| published(row).map(|found| found.rate))?,
        days(rates, |row| row.conversion.date.map(day_number)),
    ];
    register(session, "invoicing/exchange_rate", columns)
}

/// The exchange rates of a close, and the rates of currency pairs that only the correction needs. The rates of the
/// close take precedence, because an audit needs them for the documents of the close.
pub(super) fn merge_rates(closed: Vec<RecordBatch>, current: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
    let relation = statement("invoicing/exchange_rate")?;
    let failed = |source| rows::failed(&relation.name, source);
    let rates = concat_batches(&relation.schema, closed.iter().chain(&current)).map_err(failed)?;
    let mut first_of: BTreeMap<(String, String), u32> = BTreeMap::new();
    for (index, row) in (0..).zip(rows::each(std::slice::from_ref(&rates))) {
        let pair = (row.text("price_currency")?.to_owned(), row.text("currency")?.to_owned());
        first_of.entry(pair).or_insert(index);
    }
    let first_rows = UInt32Array::from_iter_values(first_of.into_values());
    Ok(vec![take_record_batch(&rates, &first_rows).map_err(failed)?])
}

pub(super) fn register_prepayments(session: &Session, prepayments: &[Prepayment]) -> Result<(), Error> {
    let columns = vec![
        texts(prepayments, |row| &row.invoice_number),
        texts(prepayments, |row| &row.credit_id),
        texts(prepayments, |row| &row.description),
        decimals(prepayments, 28, |row| Some(row.amount))?,
    ];
    register(session, "invoicing/prepayment", columns)
}

pub(super) fn register_balances(session: &Session, balances: &Balances, terms: &Terms) -> Result<(), Error> {
    let mut rows = Vec::new();
    for (id, movement) in &balances.credits {
        let Some(credit) = terms.credits.iter().find(|credit| credit.id == *id) else { continue };
        rows.push((credit, *movement, movement.closing()?));
    }
    let columns = vec![
        texts(&rows, |row| &row.0.id),
        texts(&rows, |row| &row.0.account),
        texts(&rows, |row| &row.0.description),
        texts(&rows, |row| row.0.kind.name()),
        texts(&rows, |row| row.0.currency.code()),
        decimals(&rows, 28, |row| Some(row.1.opening))?,
        decimals(&rows, 28, |row| Some(row.1.granted))?,
        decimals(&rows, 28, |row| Some(row.1.used))?,
        decimals(&rows, 28, |row| Some(row.1.expired))?,
        decimals(&rows, 28, |row| Some(row.2))?,
    ];
    register(session, "invoicing/credit_balance", columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate for USD is 1.10 at the close and 1.11 at the correction. Only the correction has a rate for CHF.
    #[test]
    fn a_correction_keeps_the_rates_of_the_close() {
        let relation = statement("invoicing/exchange_rate").unwrap();
        let rates = |rates: &[(&str, i128)]| {
            let count = rates.len();
            let units = |values: Vec<i128>| rows::decimals(values.into_iter().map(Some), 28, 12).unwrap();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter_values(rates.iter().map(|rate| rate.0))),
                Arc::new(StringArray::from(vec!["EUR"; count])),
                Arc::new(units(vec![10i128.pow(12); count])),
                Arc::new(units(rates.iter().map(|rate| rate.1 * 10i128.pow(10)).collect())),
                Arc::new(StringArray::from(vec![None::<&str>; count])),
                Arc::new(StringArray::from(vec![None::<&str>; count])),
                Arc::new(rows::decimals(vec![None; count].into_iter(), 28, 12).unwrap()),
                Arc::new(arrow::array::Date32Array::from(vec![None; count])),
            ];
            vec![RecordBatch::try_new(relation.schema.clone(), columns).unwrap()]
        };
        let merged = merge_rates(rates(&[("USD", 110)]), rates(&[("CHF", 95), ("USD", 111)])).unwrap();
        assert_eq!(merged, rates(&[("CHF", 95), ("USD", 110)]));
        assert_eq!(merge_rates(Vec::new(), rates(&[("USD", 111)])).unwrap(), rates(&[("USD", 111)]));
    }
}
