//! `conto explain`: traces an amount on an invoice to the price list, the metered hours and the files.

mod document;
mod line;
mod price;
mod print;
mod sources;
mod terms;
mod totals;

use clap::Args;
use serde::Serialize;

use self::document::{Document, ExplainedDocument};
use self::line::{Detail, ExplainedLine};
use self::totals::{ExplainedTotals, TotalsOf};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::lookup::{self, Candidate};
use crate::model::period::BillingPeriod;
use crate::rating::price_origin::PriceOrigins;
use crate::rows;
use crate::storage::Lake;

/// Explain an invoice or one of its lines, down to rules, metered hours and files
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto explain acme --period 2026-10\n  \
    conto explain web-shop                    the only invoice of the project with this name\n  \
    conto explain DRAFT-2026-10-4839          the only invoice with this prefix\n  \
    conto explain INV-2026-00017/3            its third line, with windows and files")]
pub(super) struct ExplainCommand {
    /// The number, or an id or name of an account or project, or a unique prefix; then a slash and a line number
    #[arg(value_name = "INVOICE[/LINE]")]
    invoice: String,

    /// Only invoices of this month
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<BillingPeriod>,

    /// Show every metered window, not only the first and last
    #[arg(long)]
    windows: bool,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Explained {
    invoice: Option<ExplainedDocument>,
    lines: Vec<ExplainedLine>,
    /// The totals; present only for a whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<ExplainedTotals>,
}

impl ExplainCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let candidates = lookup::candidates(&lake, &snapshot, self.period).await?;
        let (found, line) = self.named(&candidates)?;
        let document = Document::open(lake, snapshot, found.period, &found.number).await?;
        let committed = document.committed.as_ref();
        let origins =
            committed.map(|(config, rules)| PriceOrigins::new(&document.books.session, rules, &config.accounts));
        let detail = Detail { is_in_depth: line.is_some(), all_windows: self.windows };
        let mut lines = Vec::new();
        for row in rows::each(&document.invoice_line) {
            let line_number = row.number("line_number")?;
            if row.text("invoice_number")? == document.number && line.is_none_or(|line| line == line_number) {
                lines.push(document.explain(origins.as_ref(), row, detail).await?);
            }
        }
        if let Some(line) = line.filter(|_| lines.is_empty()) {
            let number = &document.number;
            return Err(Failure::Usage {
                message: format!("there is no line {line} of the invoice `{number}`"),
                hint: format!("`conto explain {number}` lists its lines"),
            });
        }
        let totals = if line.is_none() { TotalsOf(&document).explained()? } else { None };
        let explained = Explained { invoice: document.explained()?, lines, totals };
        if context.printer.is_json() {
            context.printer.json(&explained);
        } else {
            explained.print(&context.printer);
        }
        Ok(())
    }

    /// The document, and the line if the argument names one. An invoice number may itself contain a slash.
    fn named<'a>(&self, candidates: &'a [Candidate]) -> Result<(&'a Candidate, Option<i64>), Failure> {
        if let Some(found) = lookup::find(&self.invoice, candidates)? {
            return Ok((found, None));
        }
        let Some((document, line)) = self.invoice.rsplit_once('/') else {
            return Err(lookup::unknown(&self.invoice, candidates, self.period));
        };
        let found = lookup::find(document, candidates)?;
        let found = found.ok_or_else(|| lookup::unknown(document, candidates, self.period))?;
        let line = line.parse().map_err(|_| Failure::Usage {
            message: format!("`{line}` is not the number of a line"),
            hint: "write the invoice, a slash and the number of the line".to_owned(),
        })?;
        Ok((found, Some(line)))
    }
}
