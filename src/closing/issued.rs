//! The issued documents of a period, and the documents that a correction refers to.

use crate::closing::payer::Payer;
use crate::closing::payer::payer_of;
use crate::error::Error;
use crate::model::period::date_of;
use crate::query::persisted::persisted_of;
use crate::query::statement::statement;
use crate::rows;
use crate::run::{Context, Transaction};
use arrow::array::RecordBatch;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// The kind that invoicing gives to what waits for a number.
pub(super) const DRAFT: &str = "draft";

/// What was issued before: the rows of every relation of documents, by the relation's path.
pub type Issued = BTreeMap<String, Vec<RecordBatch>>;

/// Number and date by payer: nothing of one currency or seller is taken back by another.
pub(super) type Originals = BTreeMap<Payer, (String, Date)>;

/// The relations that hold documents: those of invoicing whose rows name one.
pub(super) fn relations_of_documents() -> Result<Vec<&'static str>, Error> {
    let mut found = Vec::new();
    for path in persisted_of("invoicing") {
        if statement(path)?.schema.column_with_name("invoice_number").is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Everything that is issued for the period; nothing before its close.
pub async fn issued(context: &Context, transaction: &Transaction) -> Result<Issued, Error> {
    let mut issued = Issued::new();
    if context.mode.closed().is_none() {
        return Ok(issued);
    }
    let period = context.period.to_string();
    for path in relations_of_documents()? {
        let rows = transaction.read(&statement(path)?.name, |file| file.partition == period).await?;
        issued.insert(path.to_owned(), rows);
    }
    Ok(issued)
}

/// What of each payer was issued first for the period: number and date.
pub(super) fn originals(history: &[RecordBatch], period: &str) -> Result<Originals, Error> {
    let mut originals = Originals::new();
    for row in rows::each(history) {
        if row.text("billing_period")? == period && row.optional_text("corrects")?.is_none() {
            let document = (row.text("document_number")?.to_owned(), date_of(row.day("issue_date")?));
            originals.entry(payer_of(row)?).or_insert(document);
        }
    }
    Ok(originals)
}
