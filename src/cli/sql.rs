//! `conto sql`: ask the lake.

use clap::Args;

use super::print::grouped;
use super::{Context, Failure};
use crate::query::{Error, Session, statement};
use crate::storage::Lake;

/// The relations that the lake keeps, by stage. One without a row is empty, not unknown.
const KEPT: [&str; 29] = [
    "intake/input_file",
    "intake/stream",
    "intake/series",
    "intake/sample",
    "intake/label",
    "intake/rejected_record",
    "intake/unmetered_record",
    "intake/watermark",
    "intake/withdrawn_sample",
    "metering/metered_usage",
    "metering/metered_day",
    "metering/carry",
    "rating/rate",
    "rating/rate_tier",
    "rating/active_series",
    "rating/payer_series",
    "rating/rated_usage",
    "rating/unrated_usage",
    "invoicing/invoice",
    "invoicing/invoice_line",
    "invoicing/allowance",
    "invoicing/allowance_share",
    "invoicing/tax_breakdown",
    "invoicing/prepayment",
    "invoicing/credit_balance",
    "invoicing/set_aside",
    "invoicing/line_origin",
    "invoicing/unissued_cost",
    "closing/issued_document",
];

/// Ask the lake's relations with a query; without one, list them
///
/// Nothing can be changed. Decimals are exact; text stands in single quotes.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto sql \"SELECT reason, COUNT(*) FROM rejected_record GROUP BY reason\"")]
pub(super) struct SqlCommand {
    /// A SELECT over the relations of the lake
    query: Option<String>,
}

impl SqlCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let session = Session::new(None)?;
        let mut relations = Vec::new();
        for path in KEPT {
            let statement = statement(path)?;
            let files: Vec<_> = snapshot.files(&statement.name).cloned().collect();
            let rows: u64 = files.iter().map(|file| file.rows).sum();
            session.register_files(&statement.name, statement.schema.clone(), &lake, &files)?;
            let summary = statement.summary.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
            relations.push(vec![statement.name.clone(), grouped(rows), summary]);
        }
        match self.query {
            Some(query) => {
                let (schema, batches) = session.ask(&query).await.map_err(|error| match error {
                    Error::Question { .. } => Failure::Usage {
                        message: error.to_string(),
                        hint: "`conto sql` alone lists the relations; a query is a SELECT over them".to_owned(),
                    },
                    other => other.into(),
                })?;
                context.printer.rows(&schema, &batches);
            }
            None => context.printer.table(&["relation", "rows", "one row is"], &relations, &[1]),
        }
        Ok(())
    }
}
