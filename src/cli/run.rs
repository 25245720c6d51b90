//! `conto run`: a night's work.

use clap::{Args, ValueEnum};

use super::close::print_changes;
use super::memory_limit::MemoryLimit;
use super::print::{Group, grouped};
use super::{Context, Failure};
use crate::error::count;
use crate::model::period::BillingPeriod;
use crate::model::summary::{CurrencySummary, IntakeSummary, Summary};
use crate::pipeline;
use crate::pipeline::NightOptions;
use crate::run::Documents;

/// Take in new usage, price the period, draft its invoices
///
/// A second run on the same input changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto run --period 2026-10")]
pub(super) struct RunCommand {
    /// The month to bill, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", required_unless_present = "as_of")]
    period: Option<BillingPeriod>,

    /// Rebuild what this entry of the log made, from what it kept, and compare every byte; nothing is written
    #[arg(long, value_name = "LOG", conflicts_with_all = ["period", "max_rejected"])]
    as_of: Option<u64>,

    /// Which pages to draw; CSV files are always written
    #[arg(long, value_enum, default_value_t = DocumentsArgument::Changed)]
    documents: DocumentsArgument,

    /// Refuse to bill when more records than this were rejected since the period was billed last
    #[arg(long, value_name = "COUNT")]
    max_rejected: Option<u64>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DocumentsArgument {
    All,
    Changed,
    None,
}

impl RunCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        if let Some(sequence) = self.as_of {
            return reproduce(context, sequence, self.memory_limit).await;
        }
        let (config, rules) = context.read_all()?;
        let period = self.period.unwrap_or_else(|| BillingPeriod::of(jiff::Zoned::now().date()));
        let night = NightOptions {
            period,
            documents: match self.documents {
                DocumentsArgument::All => Documents::All,
                DocumentsArgument::Changed => Documents::Changed,
                DocumentsArgument::None => Documents::None,
            },
            max_rejected: self.max_rejected,
        };
        let summary = pipeline::run(config, rules, night, context.options(self.memory_limit.bytes)).await?;
        self.memory_limit.check();
        print(context, &summary);
        let mut aside: Vec<&str> =
            summary.suspended_accounts.iter().map(|account| account.account_id.as_str()).collect();
        aside.dedup();
        if aside.is_empty() { Ok(()) } else { Err(Failure::SuspendedAccount(aside.len())) }
    }
}

/// Reads no rules: the log contains those of the commit.
async fn reproduce(context: &Context, sequence: u64, memory_limit: MemoryLimit) -> Result<(), Failure> {
    let config = context.read_config()?;
    let reproduced = pipeline::reproduce(config, context.options(memory_limit.bytes), sequence).await?;
    memory_limit.check();
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&reproduced);
    } else {
        reproduced.different.iter().for_each(|path| printer.line(&format!("differs: {path}")));
        let files = count(usize::try_from(reproduced.compared).unwrap_or(usize::MAX), "file");
        let different = reproduced.different.len();
        printer.line(&format!("Entry {sequence} was rebuilt: {files}, of which {different} differ."));
    }
    if reproduced.different.is_empty() {
        return Ok(());
    }
    let by = format!("conto {} made it, this is conto {}", reproduced.program_version, env!("CARGO_PKG_VERSION"));
    Err(Failure::Other(anyhow::anyhow!("what was rebuilt is not what was committed; {by}")))
}

/// A period that is closed: what is due beyond what was issued.
fn print_closed(context: &Context, summary: &Summary) {
    let printer = &context.printer;
    printer.groups(&[taken_in(&summary.intake)]);
    print_changes(context, &summary.changes);
    if let Some(sequence) = summary.intake.intake_commit {
        printer.line(&format!("Committed as {sequence} (usage)."));
    }
    let period = &summary.period;
    if summary.changes.is_empty() {
        printer.line(&format!("{period} is closed, and nothing is due beyond what was issued."));
        if summary.has_new_usage {
            let close = format!("conto close --period {period} --issue-date YYYY-MM-DD");
            printer.talk(&format!("hint: its books do not have all of its usage yet; {close} puts it there"));
        }
    } else {
        printer.line(&format!("{period} is closed; nothing of this is issued yet."));
        printer.talk(&format!("hint: conto close --period {period} --issue-date YYYY-MM-DD issues it"));
    }
}

fn print(context: &Context, summary: &Summary) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(summary);
        return;
    }
    if summary.closed {
        print_closed(context, summary);
        return;
    }
    printer.groups(&groups(summary));
    match (summary.intake.intake_commit, summary.billing_commit) {
        (None, None) => printer.line("Nothing changed since the last run."),
        (intake, billing) => {
            let commits: Vec<String> = [("usage", intake), ("invoices", billing)]
                .into_iter()
                .filter_map(|(kind, sequence)| sequence.map(|sequence| format!("{sequence} ({kind})")))
                .collect();
            printer.line(&format!("Committed as {}.", commits.join(" and ")));
        }
    }
    if let Some(directory) = &summary.directory {
        printer.line(&format!("{directory}/index.html"));
    }
    for account in &summary.suspended_accounts {
        let name = account.account_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        printer.talk(&format!("set aside: {}{name}: {}", account.account_id, account.detail));
    }
    for currency in &summary.unconverted {
        printer.talk(&format!(
            "warning: there is no exchange rate of {currency} for {}: in reports what is priced in it costs nothing",
            summary.period
        ));
    }
    for hint in hints(summary) {
        printer.talk(&format!("hint: {hint}"));
    }
}

/// What came in.
pub(super) fn taken_in(intake: &IntakeSummary) -> Group {
    if intake.files_read == 0 {
        return Group { title: "No new usage files".to_owned(), pairs: Vec::new() };
    }
    Group {
        title: "Usage taken in".to_owned(),
        pairs: vec![
            ("files", grouped(intake.files_read)),
            ("records", grouped(intake.records_read)),
            ("  accepted", grouped(intake.samples_accepted)),
            ("  duplicate", grouped(intake.samples_duplicate)),
            ("  rejected", grouped(intake.records_rejected)),
            ("  of no meter", grouped(intake.records_unmetered)),
        ],
    }
}

/// What came in, what it costs, what is invoiced.
fn groups(summary: &Summary) -> Vec<Group> {
    let mut groups = vec![taken_in(&summary.intake)];
    groups.push(Group {
        title: format!("Usage of {}", summary.period),
        pairs: vec![
            ("priced resource-days", grouped(summary.usage_rated)),
            ("  of no known project", grouped(summary.usage_unattributed)),
            ("without a price", grouped(summary.usage_unrated)),
        ],
    });
    let mut pairs = totals(&summary.totals);
    if summary.carried_forward > 0 {
        pairs.push((
            "carried forward",
            count(usize::try_from(summary.carried_forward).unwrap_or(usize::MAX), "document"),
        ));
    }
    groups
        .push(Group { title: count(usize::try_from(summary.invoices).unwrap_or(usize::MAX), "draft invoice"), pairs });
    if !summary.retail.is_empty() {
        let invoices: u64 = summary.retail.iter().map(|total| total.invoices).sum();
        let title = count(usize::try_from(invoices).unwrap_or(usize::MAX), "draft invoice");
        groups.push(Group { title: format!("{title} of resellers"), pairs: totals(&summary.retail) });
    }
    groups
}

fn totals(totals: &[CurrencySummary]) -> Vec<(&'static str, String)> {
    let of_currency = |total: &CurrencySummary| {
        let amount = |amount: &str| format!("{amount} {}", total.currency);
        [
            ("without tax", amount(&total.total_without_tax)),
            ("tax", amount(&total.tax_amount)),
            ("with tax", amount(&total.total_with_tax)),
        ]
    };
    totals.iter().flat_map(of_currency).collect()
}

pub(super) fn hint_of_rejected(intake: &IntakeSummary) -> Option<String> {
    let query = "SELECT reason, detail, line FROM rejected_record";
    (intake.records_rejected > 0).then(|| format!("rejected records: conto sql \"{query}\""))
}

/// How to see what an operator should look at.
fn hints(summary: &Summary) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(hint_of_rejected(&summary.intake));
    if summary.usage_unrated > 0 {
        let query = "SELECT meter, description, reason, SUM(consumed_quantity) AS quantity FROM unrated_usage \
                     JOIN active_series USING (series_id) GROUP BY meter, description, reason";
        hints.push(format!("usage without a price: conto sql \"{query}\""));
    }
    if summary.usage_unattributed > 0 {
        hints.push(
            "usage of no known project is in usage.csv as `unattributed`; accounts.toml says who pays".to_owned(),
        );
    }
    hints
}
