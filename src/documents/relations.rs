//! The rows that documents are drawn from.

use arrow::array::RecordBatch;

use crate::error::Error;
use crate::query::Parameters;
use crate::run::{Documents, Run};

#[derive(Debug)]
pub(super) struct Relations {
    pub invoice: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub tax_breakdown: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub prepayment: Vec<RecordBatch>,
    pub line_reference: Vec<RecordBatch>,
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
}

impl Relations {
    pub async fn read(run: &Run) -> Result<Self, Error> {
        run.register("intake/label", |file| run.period.has_date(&file.partition)).await?;
        run.register("intake/input_file", |_| true).await?;
        run.register("intake/rejected_record", |_| true).await?;
        let partition = run.period.to_string();
        let session = &run.session;
        let rows = async |path: &str| session.materialize(path, Parameters::none()).await;
        let currency = || Parameters::none().text("currency", run.config.currency.code());
        let costs = async |path: &str| session.materialize(path, currency()).await;
        // What only pages show is not worked out where none is drawn.
        let has_pages = run.options.documents != Documents::None;
        let shown = async |path: &str| if has_pages { rows(path).await } else { Ok(Vec::new()) };
        let shown_costs = async |path: &str| if has_pages { costs(path).await } else { Ok(Vec::new()) };
        Ok(Self {
            label_range: rows("export/label_range").await?,
            invoice: run.read("invoice", |file| file.partition == partition).await?,
            invoice_line: run.read("invoice_line", |file| file.partition == partition).await?,
            tax_breakdown: run.read("tax_breakdown", |file| file.partition == partition).await?,
            allowance: run.read("allowance", |file| file.partition == partition).await?,
            prepayment: run.read("prepayment", |file| file.partition == partition).await?,
            line_reference: run.read("line_reference", |file| file.partition == partition).await?,
            suspended_accounts: run.read("suspended_account", |file| file.partition == partition).await?,
            project_summary: costs("report/project_summary").await?,
            service_day: shown_costs("report/service_day").await?,
            sku_cost: shown_costs("report/sku_cost").await?,
            resource_cost: shown_costs("report/resource_cost").await?,
            unrated_resource: shown("report/unrated_resource").await?,
            rejected_reason: shown("report/rejected_reason").await?,
            record_count: rows("report/record_count").await?,
            period_summary: rows("report/period_summary").await?,
            exchange_rate: session.rows_of("invoicing/exchange_rate").await?,
            unconverted_currency: costs("report/unconverted_currency").await?,
        })
    }
}
