//! `conto run`: reads usage, prices it and drafts invoices.

use crate::cli::intake_counts::{changed_id_hints, intake_group, print_unread, rejected_hint};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;

use super::changes::print_changes;
use super::memory_limit::MemoryLimit;
use super::print::{Group, grouped};
use crate::billed_period::{BilledPeriod, closed_months_with_new_usage};
use crate::cli::clock::{check_has_begun, examined_at, today};
use crate::cli::context::{Context, time_zone};
use crate::cli::failure::Failure;
use crate::error::{Error, count};
use crate::model::config::Config;
use crate::model::memory::MemoryShares;
use crate::model::period::BillingPeriod;
use crate::model::summary::{CurrencySummary, Summary};
use crate::model::unread_input::printable;
use crate::pipeline;
use crate::pipeline::BillingOptions;
use crate::query::Session;
use crate::run::Documents;
use crate::run_limits::{self, ExaminedAt};
use crate::storage::Lake;

/// Read new usage, price it, draft the invoices
///
/// Without --period, the current month is billed. The previous month is billed too while it is open, if it has usage or
/// drafts. Months follow the time zone of the configuration. A second run on the same input changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto run                     every night\n  \
    conto run --period 2026-10    one month\n\n\
    With --json and without --period, the output is an array with one object for each month. The exit code is that of \
    the worst month.\n\n\
    Exit code 4: the drafts are committed, but inputs were not read, accounts are suspended, or a month is beyond a \
    limit of [run].")]
pub(super) struct RunCommand {
    /// The only month to bill, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<BillingPeriod>,

    /// Which pages to render; CSV files are always written
    #[arg(long, value_enum, default_value_t = DocumentsArgument::Changed)]
    documents: DocumentsArgument,

    /// Bill nothing if more records and inputs than this were left out since the month was last billed
    #[arg(long, value_name = "COUNT")]
    max_rejected: Option<u64>,

    /// Bill a month without usage, although the lake has usage of other months
    #[arg(long, requires = "period")]
    allow_no_usage: bool,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DocumentsArgument {
    All,
    Changed,
    None,
}

/// The JSON result of one month.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum PeriodResult<'a> {
    Billed(&'a Summary),
    Failed { period: String, error: String },
}

impl RunCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let now = jiff::Timestamp::now();
        let today = today(now, &time_zone(&config)?)?;
        let at = examined_at(now, &time_zone(&config)?)?;
        let billing = BillingOptions {
            period: self.period.map_or_else(|| Ok(BillingPeriod::of(today)), |period| not_in_future(period, today))?,
            documents: match self.documents {
                DocumentsArgument::All => Documents::All,
                DocumentsArgument::Changed => Documents::Changed,
                DocumentsArgument::None => Documents::None,
            },
            max_rejected: self.max_rejected,
            // Without --period, the current month may have no usage yet.
            allow_no_usage: self.allow_no_usage || self.period.is_none(),
        };
        let options = context.options_at(now, self.memory_limit.bytes);
        if self.period.is_some() {
            let mut summary = pipeline::run(Arc::clone(&config), rules, billing, options).await?;
            self.examine_limits(&config, billing.period, at, &mut summary).await?;
            self.memory_limit.check();
            if context.printer.is_json() {
                context.printer.json(&summary);
            } else {
                print(context, &summary, true);
            }
            return left_out(&summary);
        }
        let mut billed = pipeline::run_open_periods(Arc::clone(&config), rules, billing, options).await?;
        for (period, summary) in &mut billed {
            if let Ok(summary) = summary {
                self.examine_limits(&config, *period, at, summary).await?;
            }
        }
        self.memory_limit.check();
        print_all(context, &billed);
        worst(context, billed)
    }

    /// Adds the findings beyond the limits of the configuration to the summary of a month.
    async fn examine_limits(
        &self,
        config: &Config,
        period: BillingPeriod,
        at: ExaminedAt,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let session = Session::new(MemoryShares::of(self.memory_limit.bytes).engine)?;
        let months = closed_months_with_new_usage(&lake, &snapshot).await?;
        summary.closed_months_with_new_usage = months.iter().map(BillingPeriod::to_string).collect();
        let books = BilledPeriod { session, lake, snapshot, period, has_unbilled_usage: false };
        summary.exceeded_limits = run_limits::find_exceeded(config, &books, at).await?;
        Ok(())
    }
}

/// The note that usage of a closed month arrived after its last close.
pub(super) fn new_usage_of(month: &str) -> String {
    format!(
        "note: {month} is closed, and its usage has changed since: `conto run --period {month}` shows the corrections, \
         `conto close --period {month}` issues them"
    )
}

/// The period, or a failure if it begins after today.
fn not_in_future(period: BillingPeriod, today: Date) -> Result<BillingPeriod, Failure> {
    let hint = format!("check the month; `CONTO_TODAY={}` rehearses it", period.start());
    check_has_begun(period, today, hint).map(|()| period)
}

/// Prints the results of all months.
fn print_all(context: &Context, billed: &[(BillingPeriod, Result<Summary, Error>)]) {
    if context.printer.is_json() {
        let result = |(period, billed): &'_ (BillingPeriod, Result<Summary, Error>)| match billed {
            Ok(summary) => serde_json::to_value(PeriodResult::Billed(summary)),
            Err(error) => {
                serde_json::to_value(PeriodResult::Failed { period: period.to_string(), error: error.to_string() })
            }
        };
        let results: Vec<serde_json::Value> = billed.iter().filter_map(|one| result(one).ok()).collect();
        context.printer.json(&results);
        return;
    }
    let mut is_first = true;
    for summary in billed.iter().filter_map(|(_, billed)| billed.as_ref().ok()) {
        if !is_first {
            context.printer.line("");
        }
        print(context, summary, is_first);
        is_first = false;
    }
}

/// The failure with the most severe exit code. Prints the month of each failure, and the texts of all but the returned
/// one, which the caller prints.
fn worst(context: &Context, billed: Vec<(BillingPeriod, Result<Summary, Error>)>) -> Result<(), Failure> {
    let mut failures: Vec<(BillingPeriod, Failure)> = Vec::new();
    for (period, result) in billed {
        let failure = match result {
            Ok(summary) => left_out(&summary).err(),
            Err(error) => Some(Failure::Pipeline(error)),
        };
        failures.extend(failure.map(|failure| (period, failure)));
    }
    failures.sort_by_key(|(_, failure)| severity(failure.exit_code()));
    let last = failures.pop();
    for (period, failure) in failures {
        context.printer.message(&format!("{period}:"));
        context.printer.failure(&failure);
    }
    match last {
        Some((period, failure)) => {
            context.printer.message(&format!("{period}:"));
            Err(failure)
        }
        None => Ok(()),
    }
}

/// The severity of an exit code, in this order: left-out inputs and accounts, invalid input, refused data, a failed
/// system.
fn severity(exit_code: u8) -> u8 {
    match exit_code {
        4 => 0,
        2 => 1,
        3 => 2,
        _ => 3,
    }
}

fn left_out(summary: &Summary) -> Result<(), Failure> {
    let mut suspended: Vec<&str> =
        summary.suspended_accounts.iter().map(|account| account.account_id.as_str()).collect();
    suspended.dedup();
    let (unread, suspended, exceeded) =
        (summary.intake.unread_inputs.len(), suspended.len(), summary.exceeded_limits.len());
    if unread + suspended + exceeded == 0 {
        return Ok(());
    }
    Err(Failure::Incomplete { unread, suspended, exceeded })
}

/// The number of findings beyond limits that a run prints.
const SHOWN: usize = 10;

/// Prints a closed month with the corrections of its documents.
fn print_closed(context: &Context, summary: &Summary) {
    let printer = &context.printer;
    printer.groups(&[intake_group(&summary.intake)]);
    print_changes(context, &summary.changes);
    print_unread(printer, &summary.intake);
    if let Some(sequence) = summary.intake.intake_commit {
        printer.line(&format!("Committed as {sequence} (usage)."));
    }
    let period = &summary.period;
    let close = format!("`conto close --period {period} --issue-date YYYY-MM-DD`");
    if summary.changes.is_empty() {
        printer.line(&format!("{period} is closed, and no document needs a correction."));
        if summary.has_new_usage {
            printer.message(&format!("hint: the books of {period} lack the new usage; {close} adds it"));
        }
    } else {
        printer.line(&format!("{period} is closed; these corrections are not issued yet."));
        printer.message(&format!("hint: {close} issues them"));
    }
}

/// Prints one month, with the counts of intake on request.
fn print(context: &Context, summary: &Summary, with_intake: bool) {
    let printer = &context.printer;
    if summary.closed {
        print_closed(context, summary);
        return;
    }
    let mut groups = Vec::new();
    if with_intake {
        groups.push(intake_group(&summary.intake));
    }
    groups.extend(billing_groups(summary));
    printer.groups(&groups);
    print_changes(context, &summary.changes);
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
    if with_intake {
        print_unread(printer, &summary.intake);
    }
    for account in &summary.suspended_accounts {
        let name = account.account_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        printer.message(&format!("suspended: {}{name}: {}", account.account_id, account.detail));
    }
    for finding in summary.exceeded_limits.iter().take(SHOWN) {
        printer.message(&format!("limit: {}", printable(&finding.detail)));
    }
    if summary.exceeded_limits.len() > SHOWN {
        printer.message(&format!("hint: `conto status` shows all {} findings", summary.exceeded_limits.len()));
    }
    for month in &summary.closed_months_with_new_usage {
        printer.message(&new_usage_of(month));
    }
    for currency in &summary.unconverted {
        printer.message(&format!(
            "warning: there is no exchange rate of {currency} for {}; reports show prices in {currency} as zero",
            summary.period
        ));
    }
    for hint in hints(summary) {
        printer.message(&format!("hint: {hint}"));
    }
}

/// The counts of a month's usage and the totals of its invoices.
fn billing_groups(summary: &Summary) -> Vec<Group> {
    let mut groups = vec![Group {
        title: format!("Usage of {}", summary.period),
        pairs: vec![
            ("priced resource-days", grouped(summary.usage_rated)),
            ("  without a project", grouped(summary.usage_unattributed)),
            ("without a price", grouped(summary.usage_unrated)),
        ],
    }];
    let mut pairs = totals(&summary.totals);
    let counts = [
        ("carried forward", summary.carried_forward),
        ("without an amount", summary.skipped),
        ("already issued", summary.issued),
    ];
    for (name, documents) in counts {
        if documents > 0 {
            pairs.push((name, count(usize::try_from(documents).unwrap_or(usize::MAX), "document")));
        }
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

/// Hints with commands that list usage which needs the operator's attention.
fn hints(summary: &Summary) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(rejected_hint(&summary.intake));
    hints.extend(changed_id_hints(&summary.intake));
    if summary.usage_unrated > 0 {
        let query = "SELECT meter, description, reason, SUM(consumed_quantity) AS quantity FROM unrated_usage \
                     JOIN active_series USING (series_id) GROUP BY meter, description, reason";
        hints.push(format!("usage without a price: `conto sql \"{query}\"`"));
    }
    if summary.usage_unattributed > 0 {
        hints.push(
            "usage without a project is in usage.csv as `unattributed`; its records need a project id".to_owned(),
        );
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_more_severe_than_suspended_accounts() {
        let mut codes = [1, 4, 3, 2];
        codes.sort_by_key(|code| severity(*code));
        assert_eq!(codes, [4, 2, 3, 1]);
    }
}
