//! `conto close` and `conto restate`: issued documents.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;
use jiff::civil::Date;

use super::memory_limit::MemoryLimit;
use crate::cli::changes::print_changes;
use crate::cli::clock::{check_has_begun, today};
use crate::cli::close_preview;
use crate::cli::context::{Context, time_zone};
use crate::cli::failure::Failure;
use crate::cli::intake_counts::{incomplete, intake_group, print_unread};
use crate::cli::lookup;
use crate::error::count;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::summary::CloseSummary;
use crate::pipeline;
use crate::pipeline::CloseOptions;

/// Issue the invoices of a month, or the corrections of a closed one
///
/// Invoice numbers have no gaps, and each document has the digest of the previous one. A closed month keeps its rules,
/// accounts and taxes. Late usage is rated by them. The difference to the issued documents is issued as credit notes
/// and invoices, which name the corrected document. Without a difference, nothing is committed.
///
/// With --account, only the final documents of one account are issued, and the month stays open for all others. The
/// account must have ended before the issue date.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    conto close --period 2026-10 --issue-date 2026-11-02 --dry-run\n  \
    conto close --period 2026-10 --issue-date 2026-11-02 --approved-by \"A. Meyer\"\n  \
    conto close --period 2026-10 --issue-date 2026-11-02 --force --reason \"the test cloud has no prices\"\n  \
    conto close --period 2026-11 --account C-1003 --issue-date 2026-11-16")]
pub(super) struct CloseCommand {
    /// The month to close, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// The date printed on the documents; not before the date of any issued document
    #[arg(long, value_name = "YYYY-MM-DD")]
    issue_date: Date,

    #[command(flatten)]
    future: FutureIssueDate,

    /// Issue only the final invoice of this account, which has ended: its id or name, a project, or a unique prefix
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// The date of taxes and exchange rates, printed on the documents; by default the last day of the month or account
    #[arg(long, value_name = "YYYY-MM-DD")]
    tax_point: Option<Date>,

    /// Show the documents, amounts and blockers of this close; commit nothing and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Close despite missing, unrated, rejected or unassigned usage; the commit log records the overridden blockers
    #[arg(long, requires = "reason")]
    force: bool,

    /// Why; recorded in the commit log and printed in the month-end pack
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,

    /// The name of the person who approves the documents; recorded in the commit log
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    approved_by: Option<String>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

/// Apply the current rules to a closed month: show the corrections or issue them
///
/// Only this command applies changed rules, or a newer program version, to a closed month.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto restate --period 2026-10\n         \
    conto restate --period 2026-10 --approve --issue-date 2026-12-01 --reason \"m1.large was 0.09 by mistake\"")]
pub(super) struct RestateCommand {
    /// The closed month, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// Issue the corrections
    #[arg(long, requires_all = ["issue_date", "reason"])]
    approve: bool,

    /// The date printed on the corrections
    #[arg(long, value_name = "YYYY-MM-DD")]
    issue_date: Option<Date>,

    #[command(flatten)]
    future: FutureIssueDate,

    /// Why; recorded in the commit log
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,

    /// The name of the person who approves the documents; recorded in the commit log
    #[arg(long, value_name = "NAME", requires = "approve", value_parser = NonEmptyStringValueParser::new())]
    approved_by: Option<String>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

/// The permission to issue documents with a date after today.
#[derive(Debug, Args)]
pub(super) struct FutureIssueDate {
    /// Accept an issue date after today; no document of the seller can then be issued on an earlier date
    #[arg(long, requires = "issue_date")]
    allow_future_date: bool,
}

impl FutureIssueDate {
    /// Fails if the issue date is after today and not permitted.
    pub(super) fn check(&self, issue_date: Date, config: &Config) -> Result<(), Failure> {
        let today = today(Timestamp::now(), &time_zone(config)?)?;
        if issue_date <= today || self.allow_future_date {
            return Ok(());
        }
        Err(Failure::Usage {
            message: format!("the issue date {issue_date} is after today, {today}"),
            hint: "correct --issue-date; with --allow-future-date it is accepted, and all later documents of the \
                   seller need the same or a later date"
                .to_owned(),
        })
    }
}

impl FutureIssueDate {
    /// Fails if the period begins after today and a later issue date is not permitted.
    fn check_period(&self, period: BillingPeriod, config: &Config) -> Result<(), Failure> {
        if self.allow_future_date {
            return Ok(());
        }
        let today = today(Timestamp::now(), &time_zone(config)?)?;
        check_has_begun(period, today, "correct --period; with --allow-future-date it is accepted".to_owned())
    }
}

impl CloseCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        self.future.check(self.issue_date, &config)?;
        self.future.check_period(self.period, &config)?;
        let options = context.options(self.memory_limit.bytes);
        let account = self.account.map(|text| lookup::account_id(&text, &config.accounts.accounts)).transpose()?;
        let (issue_date, tax_point) = (self.issue_date, self.tax_point);
        let (remark, approved_by) = (self.reason, self.approved_by);
        let closing = CloseOptions { issue_date, tax_point, force: self.force, remark, approved_by, account };
        if self.dry_run {
            let preview = pipeline::preview_close(config, rules, self.period, closing, options).await?;
            self.memory_limit.check();
            return close_preview::show(context, &preview);
        }
        let summary = pipeline::close(config, rules, self.period, closing, options).await?;
        self.memory_limit.check();
        print(context, &summary);
        incomplete(summary.intake.unread_inputs.len(), 0)
    }
}

impl RestateCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        if let Some(issue_date) = self.issue_date {
            self.future.check(issue_date, &config)?;
        }
        let options = context.options(self.memory_limit.bytes);
        let approved = self.issue_date.filter(|_| self.approve).map(|issue_date| CloseOptions {
            issue_date,
            tax_point: None,
            force: false,
            remark: self.reason.clone(),
            approved_by: self.approved_by.clone(),
            account: None,
        });
        let summary = pipeline::restate(config, rules, self.period, approved, options).await?;
        self.memory_limit.check();
        print(context, &summary);
        if summary.commit.is_none() && !summary.changes.is_empty() {
            context.printer.message(&format!(
                "hint: `conto restate --period {} --approve --issue-date YYYY-MM-DD --reason TEXT` issues them",
                summary.period
            ));
        }
        incomplete(summary.intake.unread_inputs.len(), 0)
    }
}

fn print(context: &Context, summary: &CloseSummary) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(summary);
        return;
    }
    printer.groups(&[intake_group(&summary.intake)]);
    print_unread(printer, &summary.intake);
    print_changes(context, &summary.changes);
    if !summary.overridden_blockers.is_empty() {
        printer.line("Closed by force, in spite of these blockers:");
        for blocker in &summary.overridden_blockers {
            printer.line(&format!("  - {}", blocker.detail));
        }
    }
    match (summary.commit, summary.documents.as_slice()) {
        (Some(sequence), [only]) => printer.line(&format!("Issued {only}. Committed as {sequence}.")),
        (Some(sequence), documents @ [_, ..]) => {
            let (number, ranges) = (count(documents.len(), "document"), ranges(documents).join(", "));
            printer.line(&format!("Issued {number}, {ranges}. Committed as {sequence}."));
        }
        (Some(sequence), []) if !summary.changes.is_empty() => {
            printer.line(&format!(
                "Nothing is issued now; the next invoices charge the changes. Committed as {sequence}."
            ));
        }
        (Some(sequence), []) if summary.was_closed => {
            let period = &of_period(summary);
            printer.line(&format!("No document of {period} needs a correction; its books now have the new usage."));
            printer.line(&format!("Committed as {sequence}."));
        }
        (Some(sequence), []) => printer.line(&format!("Closed without a document. Committed as {sequence}.")),
        (None, _) if summary.changes.is_empty() => {
            printer.line(&format!("No document of {} needs a correction.", of_period(summary)));
        }
        (None, _) => {}
    }
    if summary.skipped > 0 {
        let documents = count(usize::try_from(summary.skipped).unwrap_or(usize::MAX), "document");
        printer.line(&format!("Not issued: {documents} without an amount."));
    }
    if let Some(directory) = &summary.directory {
        printer.line(&format!("{directory}/index.html"));
    }
    if summary.account.is_some() && summary.commit.is_some() {
        printer.message(&format!("hint: {0} stays open; `conto close --period {0}` closes it", summary.period));
    }
}

/// The month, or one account in the month.
fn of_period(summary: &CloseSummary) -> String {
    match &summary.account {
        Some(account) => format!("{account} in {}", summary.period),
        None => summary.period.clone(),
    }
}

/// The first and last number of each series, in the order of issue.
fn ranges(documents: &[String]) -> Vec<String> {
    let series_of = |number: &str| number.trim_end_matches(|character: char| character.is_ascii_digit()).to_owned();
    let mut ranges: Vec<(String, &str, &str)> = Vec::new();
    for number in documents {
        let series = series_of(number);
        match ranges.iter_mut().find(|range| range.0 == series) {
            Some(range) => range.2 = number,
            None => ranges.push((series, number, number)),
        }
    }
    let shown = |(_, first, last): (String, &str, &str)| {
        if first == last { first.to_owned() } else { format!("{first} to {last}") }
    };
    ranges.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_series_has_its_own_range() {
        let numbers = ["INV-2026-00003", "CN-2026-00001", "INV-R-1-2026-00001", "INV-2026-00004", "CN-2026-00002"];
        let shown = ranges(&numbers.map(str::to_owned));
        let expected = ["INV-2026-00003 to INV-2026-00004", "CN-2026-00001 to CN-2026-00002", "INV-R-1-2026-00001"];
        assert_eq!(shown, expected);
    }
}
