//! The audit of a billed period: every check is computed again from the relations of the lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use sha2::{Digest, Sha256};

use crate::billed_period::BilledPeriod;
use crate::error::Error;
use crate::model::money::Amount;
use crate::model::terms::CARRIED_FORWARD;
use crate::query::{CHECKS_OF_INVOICES, CHECKS_OF_PERIODS, Parameters, persisted_relation, statement};
use crate::rows;
use crate::rows::relations::{CreditBalance, Invoice, LineReference, Rows};
use crate::storage::digest_list::{DIGEST_LIST, digest_list};
use crate::storage::{CommitKind, DataFile, layout};

/// The check of postings, which an audit runs in addition to the checks of invoices.
const POSTINGS_BALANCE: &str = "ledger/checks/postings_balance";
/// The check of record outcomes, which an audit also runs.
const EVERY_RECORD: &str = "intake/checks/every_record_has_one_outcome";

/// A check with its number of violations.
#[derive(Debug)]
pub struct Claim {
    pub name: String,
    pub summary: String,
    /// The number of rows that violate the check.
    pub broken: usize,
}

/// The result of an audit.
#[derive(Debug)]
pub struct Audit {
    /// The rows of `reconciliation`.
    pub reconciliation: Vec<RecordBatch>,
    pub claims: Vec<Claim>,
}

/// Audits a period. The session must contain its rows of `posting`.
pub async fn audit(books: &BilledPeriod) -> Result<Audit, Error> {
    let reconciliation = reconciliation(books).await?;
    let mut claims = Vec::new();
    let of_documents = CHECKS_OF_INVOICES.into_iter().chain(CHECKS_OF_PERIODS);
    for path in std::iter::once(EVERY_RECORD).chain(of_documents).chain([POSTINGS_BALANCE]) {
        let rows = books.session.violations(path, Parameters::none()).await?;
        let claim = statement(path)?;
        claims.push(Claim {
            name: claim.name.clone(),
            summary: claim.summary.clone(),
            broken: rows.iter().map(RecordBatch::num_rows).sum(),
        });
    }
    Ok(Audit { reconciliation, claims })
}

/// The rows of `reconciliation` for a period. The session must contain its rows of `posting`.
pub async fn reconciliation(books: &BilledPeriod) -> Result<Vec<RecordBatch>, Error> {
    register_earlier_balances(books).await?;
    Ok(books.session.run("report/reconciliation", Parameters::none()).await?)
}

/// The digest of the month-end pack.
#[derive(Debug)]
pub struct SignedDigest {
    /// The digest of the documents of the last close, computed again.
    pub computed: String,
    /// The digest of the committed list of documents.
    pub committed: String,
}

/// The digest that people sign for the last close of a period; `None` for an open period.
pub async fn signed_digest(books: &BilledPeriod) -> Result<Option<SignedDigest>, Error> {
    let Some(last) = books.snapshot.last(CommitKind::Close, &books.period.to_string()) else { return Ok(None) };
    let documents = books.lake.log_entry(last.sequence).await?.documents;
    let list = documents.iter().find(|document| layout::document_name(&document.path) == DIGEST_LIST);
    Ok(list.map(|list| SignedDigest {
        computed: hex::encode(Sha256::digest(digest_list(&documents))),
        committed: list.sha256.clone(),
    }))
}

/// The files of a relation up to the period, in the order of periods.
fn files_until<'a>(books: &'a BilledPeriod, relation: &'a str) -> Vec<&'a DataFile> {
    let period = books.period.to_string();
    let mut files: Vec<&DataFile> = books.snapshot.files(relation).filter(|file| file.partition <= period).collect();
    files.sort_by(|left, right| left.partition.cmp(&right.partition));
    files
}

/// Registers `earlier_balance`: credits, and amounts that earlier documents carried forward.
async fn register_earlier_balances(books: &BilledPeriod) -> Result<(), Error> {
    let period = books.period.to_string();
    let mut balances: BTreeMap<(&str, String), (String, Amount)> = BTreeMap::new();
    for file in files_until(books, "credit_balance").into_iter().filter(|file| file.partition < period) {
        let rows = books.lake.read_rows(file, &persisted_relation("credit_balance")?.schema).await?;
        for row in Rows::<CreditBalance>::read(&rows)?.iter() {
            let balance = (row.currency().to_owned(), row.closing_balance());
            balances.insert(("credit", row.credit_id().to_owned()), balance);
        }
    }
    // An amount of an earlier document counts if this period, or no period yet, has brought the amount forward.
    let mut brought_forward_in: BTreeMap<String, String> = BTreeMap::new();
    for file in files_until(books, "line_reference") {
        let rows = books.lake.read_rows(file, &persisted_relation("line_reference")?.schema).await?;
        for row in Rows::<LineReference>::read(&rows)?.iter() {
            if let Some(document) = row.carried_from() {
                brought_forward_in.insert(document.to_owned(), file.partition.clone());
            }
        }
    }
    for file in files_until(books, "invoice").into_iter().filter(|file| file.partition < period) {
        let rows = books.lake.read_rows(file, &persisted_relation("invoice")?.schema).await?;
        for row in Rows::<Invoice>::read(&rows)?.iter() {
            let document = row.invoice_number();
            let target = brought_forward_in.get(document);
            if row.document_kind() != CARRIED_FORWARD || target.is_some_and(|target| *target < period) {
                continue;
            }
            let balance = (row.currency().to_owned(), row.carried_forward());
            balances.insert(("carried", document.to_owned()), balance.clone());
            if target.is_none() {
                balances.insert(("waiting", document.to_owned()), balance);
            }
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(balances.keys().map(|(kind, _)| kind))),
        Arc::new(StringArray::from_iter_values(balances.keys().map(|(_, name)| name))),
        Arc::new(StringArray::from_iter_values(balances.values().map(|(currency, _)| currency))),
        Arc::new(rows::decimals(balances.values().map(|(_, amount)| Some(amount.units())), 28, 4)?),
    ];
    let relation = statement("report/earlier_balance")?;
    let batch = rows::batch(relation, columns)?;
    Ok(books.session.register("report/earlier_balance", vec![batch])?)
}
