//! Closing: issues drafts as documents with final numbers and a chain of digests, and corrects closed periods.
//!
//! A period is closed once. A later correction is the difference between the new amounts and the issued amounts of the
//! period. The rounded amounts are compared line by line. The differences are in separate documents, which reference
//! the corrected documents.

pub mod cancellation;
pub mod changed_usage;
mod close_blockers;
pub mod correction;
pub mod issued;
mod number;
pub mod payer;
mod preview;
pub mod reason;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use jiff::Span;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

pub use crate::closing::close_blockers::find_close_blockers;

pub use self::preview::preview;

use self::issued::{DRAFT, Issued, originals, relations_of_documents};
use self::number::{Issuer, Numbers, Series, series_of};
use self::payer::payer_of;
use self::reason::{CANCELLED, REISSUED};
use crate::error::Error;
use crate::model::config::Config;
use crate::model::issue::{Cancellation, CancelledDocument, Issue, IssuedDocument};
use crate::model::money::Amount;
use crate::model::period::day_number;
use crate::query::{CHECKS_OF_INVOICES, CHECKS_OF_PERIODS, Statement, statement};
use crate::rows;
use crate::run::{self, Context, Transaction};
use crate::storage::{CommitKind, layout};

/// Assigns final numbers to all drafts, in the order of accounts and projects. Appends the numbered documents to the
/// issued documents, and returns them. If the context has an account, only drafts of this account get numbers.
pub async fn number(
    context: &Context,
    transaction: &mut Transaction,
    issued: Issued,
    date: Date,
) -> Result<Issue, Error> {
    number_with(context, transaction, issued, date, &Cancellation::default()).await
}

/// As [`number`], for the documents of a cancellation.
pub async fn number_with(
    context: &Context,
    transaction: &mut Transaction,
    issued: Issued,
    date: Date,
    cancellation: &Cancellation,
) -> Result<Issue, Error> {
    let period = context.period.to_string();
    let history = transaction.read("issued_document", |_| true).await?;
    let config = Arc::clone(&context.config);
    let mut numbers: BTreeMap<Option<String>, Numbers<'_>> = BTreeMap::new();
    let originals = originals(&history, &period)?;
    let mut drafts = Vec::new();
    let mut of_account = BTreeSet::new();
    for row in rows::each(&transaction.read("invoice", |file| file.partition == period).await?) {
        if let Some(account) = &context.account {
            if row.text("account_id")? != account || row.optional_text("account_name")?.is_none() {
                continue;
            }
            of_account.insert(row.text("invoice_number")?.to_owned());
        }
        if row.text("document_kind")? == DRAFT {
            let payer = payer_of(row)?;
            let total: Amount = row.decimal("total_with_tax")?;
            let reason = row.optional_text("correction_reason")?.map(str::to_owned);
            let draft = row.text("invoice_number")?.to_owned();
            let buyer = row.optional_text("account_name")?.and_then(|_| context.account(&payer.account_id));
            let of_seller = config.seller.payment_days.filter(|_| payer.sold_by.is_none());
            let days = buyer.and_then(|buyer| buyer.payment_days).or(of_seller);
            drafts.push((payer, draft, total, reason, days));
        }
    }
    drafts.sort();
    let mut documents = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut cancelled_by: BTreeMap<String, String> = BTreeMap::new();
    let mut cancelled_configs = BTreeMap::new();
    for (payer, draft, total, reason, days) in drafts {
        let cancelled = cancellation.drafts.get(&draft);
        let cancels = cancelled.filter(|_| reason.as_deref() == Some(CANCELLED));
        let kind = kind_of(total, cancels);
        let of_seller = match numbers.entry(payer.sold_by.clone()) {
            Entry::Occupied(numbers) => numbers.into_mut(),
            Entry::Vacant(entry) => {
                let issuer = Issuer::new(context, entry.key().as_deref());
                let after = Numbers::after(&history, &config.closing, issuer)?;
                after.check_issue_date(date)?;
                entry.insert(after)
            }
        };
        let mut number = of_seller.next(kind, date)?;
        let original = originals.get(&payer).cloned();
        let corrects = match cancelled {
            Some(cancelled) => Some((cancelled.number.clone(), cancelled.issue_date)),
            None => reason.as_ref().and(original),
        };
        if let Some(cancelled) = cancels {
            cancelled_by.insert(cancelled.number.clone(), number.number.clone());
            cancelled_configs.insert(number.number.clone(), Arc::clone(&cancelled.config));
            number.seller = seller_of(&cancelled.config, payer.sold_by.as_deref()).unwrap_or(number.seller);
        }
        // The draft of a document that cancels another one sorts before the draft that replaces the cancelled document.
        let is_reissued = reason.as_deref() == Some(REISSUED);
        let credit_note = cancelled.filter(|_| is_reissued).and_then(|one| cancelled_by.get(&one.number).cloned());
        let remark = cancelled.map(|_| cancellation.remark.clone());
        let days = days.filter(|_| kind == "invoice");
        let due_date = days.and_then(|days| date.checked_add(Span::new().days(days)).ok());
        names.insert(draft, documents.len());
        documents.push(IssuedDocument { number, kind, corrects, reason, cancelled_by: credit_note, remark, due_date });
    }
    for path in relations_of_documents()? {
        let relation = statement(path)?;
        let drafted = transaction.read(&relation.name, |file| file.partition == period).await?;
        let old = issued.get(path).cloned().unwrap_or_default();
        if drafted.is_empty() && old.is_empty() {
            continue;
        }
        let (drafted, others) = match &context.account {
            Some(_) => (
                rows::with_text(&drafted, "invoice_number", |number| of_account.contains(number))?,
                rows::with_text(&drafted, "invoice_number", |number| !of_account.contains(number))?,
            ),
            None => (drafted, Vec::new()),
        };
        let mut rows = old;
        for batch in &drafted {
            rows.push(with_final_numbers(&relation.name, batch, &names, &documents, date)?);
        }
        rows.extend(others);
        let rows = if context.account.is_some() { in_one_batch(relation, &rows)? } else { rows };
        transaction.replace(path, &period, 0, &rows).await?;
        // The rows are registered again, because pages and exports contain the final numbers.
        transaction.register(path, |file| file.partition == period).await?;
    }
    check_all_documents(context, transaction).await?;
    let (chain_number, previous_sha256) = end_of_chain(&history)?;
    let account = context.account.clone();
    Ok(Issue { date, account, documents, chain_number, previous_sha256, cancelled_configs })
}

/// The kind of a document: a credit note if its total is negative. A document without an amount that cancels an invoice
/// is a credit note too.
fn kind_of(total: Amount, cancels: Option<&CancelledDocument>) -> &'static str {
    let is_of_invoice = cancels.is_some_and(|cancelled| !cancelled.is_credit_note);
    if total < Amount::ZERO || (total.is_zero() && is_of_invoice) { "credit_note" } else { "invoice" }
}

/// The identity of the seller on the documents of a configuration: of the reseller, or of the configured seller.
fn seller_of(config: &Config, sold_by: Option<&str>) -> Option<String> {
    match sold_by {
        Some(reseller) => config.accounts.get(reseller).map(|account| account.identity().to_owned()),
        None => Some(config.seller.identity().to_owned()),
    }
}

/// Adds the issued documents of accounts with a final invoice to the drafts of an open period.
pub async fn keep_final_invoices(
    context: &Context,
    transaction: &mut Transaction,
    issued: &Issued,
) -> Result<(), Error> {
    let period = context.period.to_string();
    for path in relations_of_documents()? {
        let relation = statement(path)?;
        let mut rows = issued.get(path).cloned().unwrap_or_default();
        rows.extend(transaction.read(&relation.name, |file| file.partition == period).await?);
        transaction.replace(path, &period, 0, &in_one_batch(relation, &rows)?).await?;
        transaction.register(path, |file| file.partition == period).await?;
    }
    check_all_documents(context, transaction).await
}

/// The rows in one batch. The bytes of a file depend on its batches, and a run must write the same bytes as the final
/// invoice before it.
fn in_one_batch(relation: &Statement, rows: &[RecordBatch]) -> Result<Vec<RecordBatch>, Error> {
    let all = concat_batches(&relation.schema, rows).map_err(|source| rows::failed(&relation.name, source))?;
    Ok(if all.num_rows() == 0 { Vec::new() } else { vec![all] })
}

/// Runs the checks of all documents of a period together. In a period with final invoices, the checks of single
/// documents run again, because they ran on the drafts only.
async fn check_all_documents(context: &Context, transaction: &Transaction) -> Result<(), Error> {
    let has_final_invoices = context.mode.final_invoices().is_some_and(|found| !found.is_empty());
    let of_invoices = CHECKS_OF_INVOICES.into_iter().filter(|_| has_final_invoices);
    for check in CHECKS_OF_PERIODS.into_iter().chain(of_invoices) {
        run::check(&transaction.session, check).await?;
    }
    Ok(())
}

/// The chain number of the next document, and the digest of the last issued document.
fn end_of_chain(history: &[RecordBatch]) -> Result<(u64, Option<String>), Error> {
    let mut last = None;
    for row in rows::each(history) {
        last = last.max(Some((row.number("chain_number")?, row.text("document_sha256")?)));
    }
    Ok(last.map_or((0, None), |(number, sha256)| (number.unsigned_abs() + 1, Some(sha256.to_owned()))))
}

/// The rows of drafts with final numbers, kinds and dates.
fn with_final_numbers(
    relation: &str,
    batch: &RecordBatch,
    names: &BTreeMap<String, usize>,
    documents: &[IssuedDocument],
    date: Date,
) -> Result<RecordBatch, Error> {
    let drafts: &StringArray = rows::column(batch, "invoice_number")?;
    let document = |row: usize| names.get(drafts.value(row)).map(|index| &documents[*index]);
    let rows = 0..drafts.len();
    let numbers: ArrayRef = Arc::new(StringArray::from_iter_values(
        rows.clone().map(|row| document(row).map_or(drafts.value(row), |document| document.number.number.as_str())),
    ));
    let kinds = match batch.column_by_name("document_kind") {
        Some(_) => Some(rows::column::<StringArray>(batch, "document_kind")?),
        None => None,
    };
    let kinds: Option<ArrayRef> = kinds.map(|kinds| {
        let kind = |row| document(row).map_or(kinds.value(row), |document: &IssuedDocument| document.kind);
        Arc::new(StringArray::from_iter_values(rows.map(kind))) as ArrayRef
    });
    let days = |pick: &dyn Fn(&IssuedDocument) -> Option<Date>| -> ArrayRef {
        let of_row = |row| document(row).and_then(pick).map(day_number);
        Arc::new(Date32Array::from_iter((0..drafts.len()).map(of_row)))
    };
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| match field.name().as_str() {
        "invoice_number" => Arc::clone(&numbers),
        "issue_date" => days(&|_| Some(date)),
        "due_date" => days(&|document| document.due_date),
        "document_kind" => kinds.clone().unwrap_or_else(|| Arc::clone(column)),
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(|source| rows::failed(relation, source))
}

/// Appends the rendered documents to `issued_document`, each with the digest of its JSON.
pub async fn record_issued(context: &Context, transaction: &mut Transaction, issue: &Issue) -> Result<(), Error> {
    let period = context.period.to_string();
    let rendered: BTreeMap<&str, (&str, &str)> = transaction
        .documents
        .iter()
        .filter_map(|document| {
            let name = layout::document_name(&document.path);
            let stem = name.rsplit('/').next()?.strip_suffix(".json")?;
            Some((stem, (name, document.sha256.as_str())))
        })
        .collect();
    let mut headers = BTreeMap::new();
    let invoice = transaction.read("invoice", |file| file.partition == period).await?;
    for row in rows::each(&invoice) {
        headers.insert(row.text("invoice_number")?, row);
    }
    let mut files = Vec::with_capacity(issue.documents.len());
    let mut rows_of = Vec::with_capacity(issue.documents.len());
    for document in &issue.documents {
        let number = document.number.number.as_str();
        // A file name has only safe characters and can differ from the number.
        let stem = crate::storage::layout::file_name(number);
        let file = rendered.get(stem.as_str()).ok_or(Error::Internal("an issued document was not rendered"))?;
        files.push(*file);
        rows_of.push(*headers.get(number).ok_or(Error::Internal("an issued document has no row"))?);
    }
    let documents = || issue.documents.iter();
    let numbers = || documents().map(|document| &document.number);
    let count = issue.documents.len();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(vec![value; count])) };
    let day = |date: Date| -> ArrayRef { Arc::new(Date32Array::from_iter_values(vec![day_number(date); count])) };
    let cell = |name: &'static str| -> Result<ArrayRef, Error> {
        let cells: Result<Vec<Option<&str>>, Error> = rows_of.iter().map(|row| row.optional_text(name)).collect();
        Ok(Arc::new(StringArray::from(cells?)))
    };
    let tax_points: Result<Vec<i32>, Error> = rows_of.iter().map(|row| row.day("tax_point")).collect();
    let totals: Result<Vec<Option<i128>>, Error> =
        rows_of.iter().map(|row| row.units("total_with_tax").map(Some)).collect();
    let chain = (0..count).map(|index| issue.chain_number as i64 + index as i64);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(numbers().map(|number| &number.number))),
        Arc::new(StringArray::from_iter_values(documents().map(|document| document.kind))),
        Arc::new(StringArray::from_iter_values(numbers().map(|number| &number.seller))),
        Arc::new(StringArray::from_iter(numbers().map(|number| number.sold_by.as_deref()))),
        Arc::new(StringArray::from_iter_values(numbers().map(|number| &number.series))),
        Arc::new(Int64Array::from_iter_values(numbers().map(|number| i64::from(number.year)))),
        Arc::new(Int64Array::from_iter_values(numbers().map(|number| number.sequence as i64))),
        day(issue.date),
        Arc::new(Date32Array::from(tax_points?)),
        text(&period),
        cell("account_id")?,
        cell("project_id")?,
        cell("currency")?,
        Arc::new(Decimal128Array::from(totals?).with_precision_and_scale(28, 4).map_err(|e| rows::failed("total", e))?),
        Arc::new(StringArray::from_iter(
            documents().map(|document| document.corrects.as_ref().map(|(number, _)| number.as_str())),
        )),
        Arc::new(StringArray::from_iter(documents().map(|document| document.reason.as_deref()))),
        Arc::new(StringArray::from_iter(documents().map(|document| document.cancelled_by.as_deref()))),
        Arc::new(StringArray::from_iter(documents().map(|document| document.remark.as_deref()))),
        Arc::new(Int64Array::from_iter_values(chain)),
        Arc::new(StringArray::from_iter_values(files.iter().map(|(name, _)| name))),
        Arc::new(StringArray::from_iter_values(files.iter().map(|(_, sha256)| sha256))),
    ];
    let batch = rows::batch(statement("closing/issued_document")?, columns)?;
    transaction.append("closing/issued_document", &period, 0, &[batch]).await
}

/// The problems in the chain of issued documents: missing numbers, dates that go back, missing or changed documents.
pub async fn broken_links(transaction: &Transaction) -> Result<Vec<String>, Error> {
    let history = transaction.read("issued_document", |_| true).await?;
    let mut chain: Vec<rows::Row<'_>> = rows::each(&history).collect();
    let mut order = Vec::with_capacity(chain.len());
    for row in &chain {
        order.push(row.number("chain_number")?);
    }
    let mut indexed: Vec<(i64, rows::Row<'_>)> = order.into_iter().zip(chain.drain(..)).collect();
    indexed.sort_by_key(|(number, _)| *number);
    let mut broken = Vec::new();
    let mut previous: Option<String> = None;
    let mut last: BTreeMap<(Series, String, i64), (i64, i32)> = BTreeMap::new();
    let mut paths: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (expected, (chain_number, row)) in (0..).zip(indexed) {
        let (number, sha256) = (row.text("document_number")?, row.text("document_sha256")?.to_owned());
        if chain_number != expected {
            broken.push(format!("a document before `{number}` is missing in the chain"));
        }
        let kind = row.text("document_kind")?.to_owned();
        let series = (series_of(row)?, kind, row.number("issue_year")?);
        let (sequence, day) = (row.number("sequence_number")?, row.day("issue_date")?);
        if let Some((last_sequence, last_day)) = last.insert(series, (sequence, day)) {
            if sequence != last_sequence + 1 {
                broken.push(format!("`{number}` is not consecutive to the number before it"));
            }
            if day < last_day {
                broken.push(format!("`{number}` has an earlier issue date than the document before it"));
            }
        }
        let period = row.text("billing_period")?.to_owned();
        if !paths.contains_key(&period) {
            paths.insert(period.clone(), document_paths(transaction, &period).await?);
        }
        let name = row.text("document_name")?;
        if transaction.snapshot.last(CommitKind::Close, &period).is_none() {
            // The pages of an open period are drafts, which may be deleted. The page of a final invoice is not a draft.
            let page = name.strip_suffix(".json").map(|stem| format!("{stem}.html"));
            let path = page.as_ref().and_then(|page| paths[&period].get(page));
            if let Some(path) = path
                && transaction.lake.read(path).await.is_err()
            {
                broken.push(format!("`{number}` cannot be read: `{path}`"));
            }
        }
        match paths[&period].get(name) {
            None => broken.push(format!("`{number}` ({name}) is not among the documents of {period}")),
            Some(path) => match transaction.lake.read(path).await {
                Err(_) => broken.push(format!("`{number}` cannot be read: `{path}`")),
                Ok(bytes) if hex::encode(Sha256::digest(&bytes)) != sha256 => {
                    broken.push(format!("`{number}` was changed after it was issued: `{path}`"));
                }
                Ok(bytes) => {
                    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
                    let recorded = json.pointer("/issued/previous_document_sha256").and_then(|value| value.as_str());
                    if recorded != previous.as_deref() {
                        broken.push(format!("`{number}` does not contain the digest of the document before it"));
                    }
                }
            },
        }
        previous = Some(sha256);
    }
    Ok(broken)
}

/// The paths of the documents of a period, by name.
async fn document_paths(transaction: &Transaction, period: &str) -> Result<BTreeMap<String, String>, Error> {
    let Some(last) = transaction.snapshot.last_documents(period) else {
        return Ok(BTreeMap::new());
    };
    let entry = transaction.lake.log_entry(last.sequence).await?;
    let paths = entry.documents.into_iter().map(|document| {
        let name = layout::document_name(&document.path).to_owned();
        (name, document.path)
    });
    Ok(paths.collect())
}
