//! `conto run`: a night's work.

use clap::{Args, ValueEnum};

use super::{Context, Failure};
use crate::period::BillingPeriod;
use crate::pipeline;
use crate::run::{Documents, RunOptions};
use crate::summary::Summary;

/// Take in new usage, price the period, draft its invoices
///
/// A second run on the same input changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto run --period 2026-10")]
pub struct RunCommand {
    /// The month to bill, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// Which pages to draw; CSV files are always written
    #[arg(long, value_enum, default_value_t = DocumentsArgument::Changed)]
    documents: DocumentsArgument,

    /// Refuse to bill when more records than this were rejected since the period was billed last
    #[arg(long, value_name = "COUNT")]
    max_rejected: Option<u64>,

    /// How much memory the query engine may use before it spills to disk, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory_limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DocumentsArgument {
    All,
    Changed,
    None,
}

/// Bytes, with an optional unit: 1024, 64KiB, 512MiB, 2GiB.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit: usize = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("the unit `{other}` is not one of KiB, MiB, GiB")),
    };
    let number: usize = digits.parse().map_err(|_| format!("`{digits}` is not a whole number"))?;
    let bytes = number.checked_mul(unit).ok_or("that is more than this machine can address")?;
    if bytes < 64 << 20 { Err("the engine needs at least 64MiB".to_owned()) } else { Ok(bytes) }
}

impl RunCommand {
    pub async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let options = RunOptions {
            period: self.period,
            documents: match self.documents {
                DocumentsArgument::All => Documents::All,
                DocumentsArgument::Changed => Documents::Changed,
                DocumentsArgument::None => Documents::None,
            },
            max_rejected: self.max_rejected,
            memory_limit_bytes: self.memory_limit,
            started_at: jiff::Timestamp::now().to_string(),
            progress: context.printer.progress(),
        };
        let summary = pipeline::run(config, rules, options).await?;
        print(context, &summary);
        Ok(())
    }
}

fn print(context: &Context, summary: &Summary) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(summary);
        return;
    }
    let mut pairs = vec![
        ("Files read", summary.files_read.to_string()),
        ("Records read", summary.records_read.to_string()),
        ("  accepted as samples", summary.samples_accepted.to_string()),
        ("  duplicates", summary.samples_duplicate.to_string()),
        ("  rejected", summary.records_rejected.to_string()),
        ("  of no meter", summary.records_unmetered.to_string()),
        ("Usage rated (resource days)", summary.usage_rated.to_string()),
        ("  unrated", summary.usage_unrated.to_string()),
        ("  unattributed", summary.usage_unattributed.to_string()),
        ("Draft invoices", summary.invoices.to_string()),
    ];
    for total in &summary.totals {
        pairs.push(("  without tax", format!("{} {}", total.total_without_tax, total.currency)));
        pairs.push(("  tax", format!("{} {}", total.tax_amount, total.currency)));
        pairs.push(("  with tax", format!("{} {}", total.total_with_tax, total.currency)));
    }
    printer.pairs(&pairs);
    match (summary.intake_commit, summary.billing_commit) {
        (None, None) => printer.line("Nothing changed since the last run."),
        (intake, billing) => {
            let commits: Vec<String> = [("intake", intake), ("billing", billing)]
                .into_iter()
                .filter_map(|(kind, sequence)| sequence.map(|sequence| format!("{kind} {sequence}")))
                .collect();
            printer.line(&format!("Committed: {}", commits.join(", ")));
        }
    }
    if let Some(directory) = &summary.directory {
        printer.line(&format!("Invoices, usage reports and CSV: {directory}/index.html"));
    }
}
