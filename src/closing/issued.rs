//! The issued documents of a period, and the documents that a correction refers to.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::closing::payer::{Payer, payer_of};
use crate::error::Error;
use crate::model::period::date_of;
use crate::query::persisted::persisted_of;
use crate::query::statement::statement;
use crate::rows;
use crate::rows::taxes::APPLIED_TAX;
use crate::run::{Context, Transaction};

/// The document kind of a draft that has no final number.
pub(super) const DRAFT: &str = "draft";

/// The issued documents of a period: the rows of every document relation and of `applied_tax`, by path.
pub type Issued = BTreeMap<String, Vec<RecordBatch>>;

/// The number and the issue date of the first document of each payer. A payer has one currency and seller, so a
/// correction has those of its original.
pub(super) type Originals = BTreeMap<Payer, (String, Date)>;

/// The document relations: the persisted relations of invoicing with an `invoice_number`.
pub(super) fn relations_of_documents() -> Result<Vec<&'static str>, Error> {
    let mut found = Vec::new();
    for path in persisted_of("invoicing") {
        if statement(path)?.schema.column_with_name("invoice_number").is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The issued documents of the period; empty before the period is closed.
pub async fn issued(context: &Context, transaction: &Transaction) -> Result<Issued, Error> {
    let mut issued = Issued::new();
    if context.mode.closed().is_none() {
        return Ok(issued);
    }
    let period = context.period.to_string();
    // The taxes of lines have no invoice number. A close does not append them.
    for path in relations_of_documents()?.into_iter().chain([APPLIED_TAX]) {
        let rows = transaction.read(&statement(path)?.name, |file| file.partition == period).await?;
        issued.insert(path.to_owned(), rows);
    }
    Ok(issued)
}

/// The number and the issue date of the first document that was issued to each payer for the period.
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
