//! The rows of all documents of a period.

use arrow::array::RecordBatch;

use crate::error::Error;
use crate::model::close_blocker::CloseDecision;
use crate::query::Parameters;
use crate::run::{Context, Documents, Transaction};

/// The rows of all documents, by relation.
#[derive(Debug)]
pub(super) struct Relations {
    pub invoice: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub tax_breakdown: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub applied_tax: Vec<RecordBatch>,
    pub prepayment: Vec<RecordBatch>,
    pub line_reference: Vec<RecordBatch>,
    pub one_off_charge: Vec<RecordBatch>,
    pub suspended_accounts: Vec<RecordBatch>,
    pub project_summary: Vec<RecordBatch>,
    pub service_day: Vec<RecordBatch>,
    pub sku_cost: Vec<RecordBatch>,
    pub resource_cost: Vec<RecordBatch>,
    pub unrated_resource: Vec<RecordBatch>,
    pub label_range: Vec<RecordBatch>,
    pub rejected_reason: Vec<RecordBatch>,
    pub record_count: Vec<RecordBatch>,
    pub period_summary: Vec<RecordBatch>,
    pub exchange_rate: Vec<RecordBatch>,
    pub unconverted_currency: Vec<RecordBatch>,
    pub factored_price: Vec<RecordBatch>,
    /// The operator's decisions about the closes of the period.
    pub close_decisions: Vec<CloseDecision>,
}

impl Relations {
    pub(super) async fn read(context: &Context, transaction: &Transaction, pages: Documents) -> Result<Self, Error> {
        transaction.register("intake/label", |file| context.period.has_date(&file.partition)).await?;
        transaction.register("intake/input_file", |_| true).await?;
        transaction.register("intake/rejected_record", |_| true).await?;
        let partition = context.period.to_string();
        let session = &transaction.session;
        let rows = async |path: &str| session.materialize(path, Parameters::none()).await;
        let currency = || Parameters::none().text("currency", context.config.currency.code());
        let costs = async |path: &str| session.materialize(path, currency()).await;
        // The relations that only pages need are not computed if no page is rendered.
        let has_pages = pages != Documents::None;
        let for_pages = async |path: &str| if has_pages { rows(path).await } else { Ok(Vec::new()) };
        let costs_for_pages = async |path: &str| if has_pages { costs(path).await } else { Ok(Vec::new()) };
        let decisions = transaction.close_decisions(context.period);
        // A close does not have the number of its own commit. Without any number, a later run renders the same page.
        let without_commit = |decision| CloseDecision { commit: None, ..decision };
        Ok(Self {
            label_range: rows("export/label_range").await?,
            invoice: transaction.read("invoice", |file| file.partition == partition).await?,
            invoice_line: transaction.read("invoice_line", |file| file.partition == partition).await?,
            tax_breakdown: transaction.read("tax_breakdown", |file| file.partition == partition).await?,
            allowance: transaction.read("allowance", |file| file.partition == partition).await?,
            applied_tax: transaction.read("applied_tax", |file| file.partition == partition).await?,
            prepayment: transaction.read("prepayment", |file| file.partition == partition).await?,
            line_reference: transaction.read("line_reference", |file| file.partition == partition).await?,
            one_off_charge: transaction.read("one_off_charge", |file| file.partition == partition).await?,
            suspended_accounts: transaction.read("suspended_account", |file| file.partition == partition).await?,
            project_summary: costs("report/project_summary").await?,
            service_day: costs_for_pages("report/service_day").await?,
            sku_cost: costs_for_pages("report/sku_cost").await?,
            resource_cost: costs_for_pages("report/resource_cost").await?,
            unrated_resource: for_pages("report/unrated_resource").await?,
            rejected_reason: for_pages("report/rejected_reason").await?,
            record_count: rows("report/record_count").await?,
            period_summary: rows("report/period_summary").await?,
            exchange_rate: session.rows_of("invoicing/exchange_rate").await?,
            unconverted_currency: costs("report/unconverted_currency").await?,
            factored_price: session.rows_of("rating/factored_price").await?,
            close_decisions: decisions.into_iter().map(without_commit).collect(),
        })
    }
}
