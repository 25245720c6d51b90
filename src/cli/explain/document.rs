//! The document that `conto explain` explains, with the relations and rules that it was computed from.

use arrow::array::RecordBatch;
use serde::Serialize;

use super::terms;
use crate::billed_period::BilledPeriod;
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::query::persisted_relation;
use crate::rows;
use crate::storage::{Lake, Snapshot};

/// The relations that a document is computed from.
pub(super) struct Document {
    pub(super) number: String,
    /// The books of the period when the document was issued, or the current books for a draft.
    pub(super) books: BilledPeriod,
    /// The current snapshot. Samples are read from it, because compaction and vacuum may have replaced the files of the
    /// earlier snapshot.
    pub(super) today: Snapshot,
    /// The commit that issued the document; `None` for a draft.
    pub(super) issued_by: Option<u64>,
    pub(super) invoice_line: Vec<RecordBatch>,
    pub(super) invoice: Vec<RecordBatch>,
    pub(super) allowance: Vec<RecordBatch>,
    pub(super) allowance_share: Vec<RecordBatch>,
    pub(super) tax_breakdown: Vec<RecordBatch>,
    pub(super) prepayment: Vec<RecordBatch>,
    pub(super) credit_balance: Vec<RecordBatch>,
    pub(super) line_reference: Vec<RecordBatch>,
    pub(super) exchange_rate: Vec<RecordBatch>,
    pub(super) active_series: Vec<RecordBatch>,
    pub(super) rate: Vec<RecordBatch>,
    pub(super) rate_tier: Vec<RecordBatch>,
    /// The configuration and rules of the document; `None` if this version cannot read the inputs of its commit.
    pub(super) committed: Option<(Config, RuleBook)>,
}

/// The identity of the explained document.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedDocument {
    pub(super) number: String,
    pub(super) kind: String,
    pub(super) billing_period_start: String,
    /// The exclusive end.
    pub(super) billing_period_end: String,
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) currency: String,
    pub(super) correction_reason: Option<String>,
}

impl Document {
    /// Registers the relations of a document.
    pub(super) async fn open(
        lake: Lake,
        today: Snapshot,
        period: BillingPeriod,
        number: &str,
    ) -> Result<Self, Failure> {
        let issued_by = issued_by(&lake, &today, period, number).await?;
        let snapshot = match issued_by {
            Some(sequence) => lake.snapshot_as_of(sequence).await?,
            None => today.clone(),
        };
        let books = BilledPeriod::new(lake, snapshot, period)?;
        let name = period.to_string();
        for path in [
            "invoicing/invoice_line",
            "rating/rated_usage",
            "rating/non_usage_charge",
            "rating/one_off_charge",
            "rating/active_series",
            "rating/payer_series",
            "rating/rate",
            "intake/input_file",
        ] {
            books.register(path, |file| file.partition == "all" || file.partition == name).await?;
        }
        let read = async |relation: &str| {
            let mut batches = Vec::new();
            for file in books.snapshot.files(relation).filter(|file| file.partition == name) {
                batches.extend(books.lake.read_rows(file, &persisted_relation(relation)?.schema).await?);
            }
            Ok::<_, Failure>(batches)
        };
        let committed = terms::committed_inputs(&books.lake, &books.snapshot, &name).await?;
        Ok(Self {
            number: number.to_owned(),
            committed,
            tax_breakdown: read("tax_breakdown").await?,
            prepayment: read("prepayment").await?,
            credit_balance: read("credit_balance").await?,
            line_reference: read("line_reference").await?,
            exchange_rate: read("exchange_rate").await?,
            invoice_line: read("invoice_line").await?,
            invoice: read("invoice").await?,
            allowance: read("allowance").await?,
            allowance_share: read("allowance_share").await?,
            active_series: read("active_series").await?,
            rate: read("rate").await?,
            rate_tier: read("rate_tier").await?,
            today,
            issued_by,
            books,
        })
    }

    pub(super) fn rules(&self) -> Option<&RuleBook> {
        self.committed.as_ref().map(|(_, rules)| rules)
    }

    /// The identity of the document.
    pub(super) fn explained(&self) -> Result<Option<ExplainedDocument>, Error> {
        for invoice in rows::each(&self.invoice) {
            let number = invoice.text("invoice_number")?;
            if number != self.number {
                continue;
            }
            let optional = |name| invoice.optional_text(name).map(|text| text.map(str::to_owned));
            return Ok(Some(ExplainedDocument {
                number: number.to_owned(),
                kind: invoice.text("document_kind")?.to_owned(),
                billing_period_start: self.books.period.start().to_string(),
                billing_period_end: self.books.period.end().to_string(),
                account_id: invoice.text("account_id")?.to_owned(),
                account_name: optional("account_name")?,
                project_id: optional("project_id")?,
                project_name: optional("project_name")?,
                currency: invoice.text("currency")?.to_owned(),
                correction_reason: optional("correction_reason")?,
            }));
        }
        Ok(None)
    }
}

/// The commit that issued a document. The inputs of this commit explain the document, because later corrections and
/// restatements may use other inputs. `None` for a draft.
async fn issued_by(
    lake: &Lake,
    snapshot: &Snapshot,
    period: BillingPeriod,
    number: &str,
) -> Result<Option<u64>, Failure> {
    let name = period.to_string();
    for close in snapshot.commits() {
        if !close.kind.issues_documents() || close.period.as_ref() != Some(&name) {
            continue;
        }
        let entry = lake.log_entry(close.sequence).await?;
        for file in entry.added.iter().filter(|file| file.relation == "invoice") {
            if has_document(&lake.read_rows(file, &persisted_relation("invoice")?.schema).await?, number)? {
                return Ok(Some(close.sequence));
            }
        }
    }
    Ok(None)
}

fn has_document(batches: &[RecordBatch], number: &str) -> Result<bool, Error> {
    for row in rows::each(batches) {
        if row.text("invoice_number")? == number {
            return Ok(true);
        }
    }
    Ok(false)
}
