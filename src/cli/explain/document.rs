//! The document that `conto explain` explains, with the relations and rules that it was computed from.

use arrow::array::RecordBatch;
use jiff::civil::Date;
use serde::Serialize;

use super::terms;
use crate::billed_period::BilledPeriod;
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::model::config::Config;
use crate::model::period::{BillingPeriod, date_of};
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
    /// The issue of this document and of the documents that correct, cancel or replace it, until now.
    pub(super) issues: Vec<DocumentIssue>,
}

/// A row of `issued_document`.
#[derive(Clone, Debug)]
pub(super) struct DocumentIssue {
    number: String,
    issue_date: String,
    corrects: Option<String>,
    reason: Option<String>,
    remark: Option<String>,
}

/// The identity of the explained document.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedDocument {
    pub(super) number: String,
    pub(super) kind: String,
    pub(super) billing_period_start: String,
    /// The exclusive end.
    pub(super) billing_period_end: String,
    /// The days of the period on which the account is valid.
    pub(super) service_period_start: String,
    /// The exclusive end.
    pub(super) service_period_end: String,
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) currency: String,
    pub(super) correction_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issue_date: Option<String>,
    /// The earlier document that this one corrects, cancels or replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) corrects: Option<String>,
    /// The stated reason of a cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remark: Option<String>,
    /// The later documents that correct, cancel or replace this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) later_documents: Vec<LaterDocument>,
}

/// A document that corrects, cancels or replaces an earlier one.
#[derive(Debug, Serialize)]
pub(super) struct LaterDocument {
    pub(super) number: String,
    pub(super) issue_date: String,
    /// The reason in `issued_document`, such as `cancelled` or `reissued`.
    pub(super) reason: String,
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
        let issues = issues_of(&books.lake, &today, number).await?;
        Ok(Self {
            number: number.to_owned(),
            committed,
            issues,
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

    /// The days of the period on which an account is valid, with an exclusive end.
    fn service_period(&self, account_id: &str) -> (Date, Date) {
        let (start, end) = (self.books.period.start(), self.books.period.end());
        let accounts = self.committed.iter().flat_map(|(config, _)| &config.accounts.accounts);
        let account = accounts.into_iter().find(|account| account.id == account_id);
        account.map_or((start, end), |account| account.service_period(start, end))
    }

    /// The identity of the document.
    pub(super) fn explained(&self) -> Result<Option<ExplainedDocument>, Error> {
        for invoice in rows::each(&self.invoice) {
            let number = invoice.text("invoice_number")?;
            if number != self.number {
                continue;
            }
            let optional = |name| invoice.optional_text(name).map(|text| text.map(str::to_owned));
            let (start, end) = self.service_period(invoice.text("account_id")?);
            let issue = self.issues.iter().find(|issue| issue.number == self.number);
            let later = self.issues.iter().filter(|issue| issue.corrects.as_ref() == Some(&self.number));
            return Ok(Some(ExplainedDocument {
                service_period_start: start.to_string(),
                service_period_end: end.to_string(),
                issue_date: issue.map(|issue| issue.issue_date.clone()),
                corrects: issue.and_then(|issue| issue.corrects.clone()),
                remark: issue.and_then(|issue| issue.remark.clone()),
                later_documents: later.map(DocumentIssue::later).collect(),
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

impl DocumentIssue {
    fn later(&self) -> LaterDocument {
        let (number, issue_date) = (self.number.clone(), self.issue_date.clone());
        LaterDocument { number, issue_date, reason: self.reason.clone().unwrap_or_default() }
    }
}

/// The rows of `issued_document` about a document, in the order of issue.
async fn issues_of(lake: &Lake, today: &Snapshot, number: &str) -> Result<Vec<DocumentIssue>, Failure> {
    let mut found = Vec::new();
    for file in today.files("issued_document") {
        for row in rows::each(&lake.read_rows(file, &persisted_relation("issued_document")?.schema).await?) {
            let optional = |name| row.optional_text(name).map(|text| text.map(str::to_owned));
            let (one, corrects) = (row.text("document_number")?, optional("corrects")?);
            if one == number || corrects.as_deref() == Some(number) {
                let issue = DocumentIssue {
                    number: one.to_owned(),
                    issue_date: date_of(row.day("issue_date")?).to_string(),
                    corrects,
                    reason: optional("reason")?,
                    remark: optional("remark")?,
                };
                found.push((row.number("chain_number")?, issue));
            }
        }
    }
    found.sort_by_key(|(chain_number, _)| *chain_number);
    Ok(found.into_iter().map(|(_, issue)| issue).collect())
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
