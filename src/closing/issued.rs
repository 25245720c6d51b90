//! The issued documents of a period, and the documents that a correction refers to.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::closing::payer::{Payer, payer_of};
use crate::closing::reason::{CANCELLED, REISSUED};
use crate::error::Error;
use crate::model::period::date_of;
use crate::query::persisted::persisted_of;
use crate::query::statement::statement;
use crate::rows::taxes::APPLIED_TAX;
use crate::rows::{self, Row};
use crate::run::{Context, FinalInvoices, Transaction, is_settled};

/// A payer, and the number and the issue date of an original of the payer.
type Original = (Payer, (String, Date));

/// The document kind of a draft that has no final number.
pub(super) const DRAFT: &str = "draft";

/// The issued documents of a period: the rows of every document relation and of `applied_tax`, by path.
pub type Issued = BTreeMap<String, Vec<RecordBatch>>;

/// The number and the issue date of the document that corrections of each payer reference. A payer has one currency
/// and seller, so a correction has those of its original.
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

/// The issued documents of the period. Before the period is closed, these are the documents of accounts with a final
/// invoice, and the movements of their credits.
pub async fn issued(context: &Context, transaction: &Transaction) -> Result<Issued, Error> {
    let mut issued = Issued::new();
    let period = context.period.to_string();
    if let Some(accounts) = context.mode.final_invoices() {
        return if accounts.is_empty() { Ok(issued) } else { settled(accounts, &period, transaction).await };
    }
    // The taxes of lines have no invoice number. A close does not append them.
    for path in relations_of_documents()?.into_iter().chain([APPLIED_TAX]) {
        let rows = transaction.read(&statement(path)?.name, |file| file.partition == period).await?;
        issued.insert(path.to_owned(), rows);
    }
    Ok(issued)
}

/// The settled documents of accounts with a final invoice, and the credit balances of these accounts.
async fn settled(accounts: &FinalInvoices, period: &str, transaction: &Transaction) -> Result<Issued, Error> {
    let rows_of = async |relation: &str| transaction.read(relation, |file| file.partition == period).await;
    let mut numbers = BTreeSet::new();
    for row in rows::each(&rows_of("invoice").await?) {
        if is_settled(row, accounts)? {
            numbers.insert(row.text("invoice_number")?.to_owned());
        }
    }
    let mut issued = Issued::new();
    for path in relations_of_documents()? {
        let all = rows_of(&statement(path)?.name).await?;
        issued.insert(path.to_owned(), rows::with_text(&all, "invoice_number", |number| numbers.contains(number))?);
    }
    issued.insert(APPLIED_TAX.to_owned(), rows_of("applied_tax").await?);
    let balances = rows_of("credit_balance").await?;
    let balances = rows::with_text(&balances, "account_id", |account| accounts.contains_key(account))?;
    issued.insert("invoicing/credit_balance".to_owned(), balances);
    Ok(issued)
}

/// The documents of a period in the order of the chain.
pub(super) fn in_chain_order<'a>(history: &'a [RecordBatch], period: &str) -> Result<Vec<Row<'a>>, Error> {
    let mut documents = Vec::new();
    for row in rows::each(history) {
        if row.text("billing_period")? == period {
            documents.push((row.number("chain_number")?, row));
        }
    }
    documents.sort_by_key(|(chain_number, _)| *chain_number);
    Ok(documents.into_iter().map(|(_, row)| row).collect())
}

/// The payers whose last document of the period is a cancellation. Their amounts are written off.
pub(super) fn written_off(history: &[RecordBatch], period: &str) -> Result<BTreeSet<Payer>, Error> {
    let mut payers = BTreeSet::new();
    for row in in_chain_order(history, period)? {
        let payer = payer_of(row)?;
        if row.optional_text("reason")? == Some(CANCELLED) {
            payers.insert(payer);
        } else {
            payers.remove(&payer);
        }
    }
    Ok(payers)
}

/// The number and the issue date of the newest original of each payer in the period.
pub(super) fn originals(history: &[RecordBatch], period: &str) -> Result<Originals, Error> {
    Ok(all_originals(history, period)?.into_iter().collect())
}

/// The originals of a period in the order of the chain. An original is the first document of a payer, or the first one
/// after a cancellation. All other documents correct or cancel an original.
pub(super) fn all_originals(history: &[RecordBatch], period: &str) -> Result<Vec<Original>, Error> {
    let mut originals = Vec::new();
    let mut has_original = BTreeSet::new();
    for row in in_chain_order(history, period)? {
        let payer = payer_of(row)?;
        let reason = row.optional_text("reason")?;
        if reason == Some(CANCELLED) {
            has_original.remove(&payer);
        } else if reason == Some(REISSUED) || !has_original.contains(&payer) {
            has_original.insert(payer.clone());
            originals.push((payer, (row.text("document_number")?.to_owned(), date_of(row.day("issue_date")?))));
        }
    }
    Ok(originals)
}
