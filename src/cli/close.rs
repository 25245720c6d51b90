//! `conto close` and `conto restate`: documents that stay.

use clap::Args;
use jiff::civil::Date;

use super::memory_limit::MemoryLimit;
use super::run::taken_in;
use super::{Context, Failure};
use crate::error::count;
use crate::model::period::BillingPeriod;
use crate::model::summary::{Change, CloseSummary};
use crate::pipeline;
use crate::pipeline::CloseOptions;

/// Issue a period's invoices for good, or what is due for a closed period since
///
/// Numbers are given without a gap, and each document carries the digest of the one before. A closed period keeps the
/// rules, accounts and taxes it was closed with: usage that comes late is rated by them, and what is due beyond what
/// was issued is issued as credit notes and invoices that name what they correct. Nothing new to issue is no commit.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto close --period 2026-10 --issue-date 2026-11-02")]
pub(super) struct CloseCommand {
    /// The month to close, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// The date that stands on the documents; not before that of any document issued so far
    #[arg(long, value_name = "YYYY-MM-DD")]
    issue_date: Date,

    /// The date whose taxes and exchange rates hold, printed on the documents; by default the last day of the month
    #[arg(long, value_name = "YYYY-MM-DD")]
    tax_point: Option<Date>,

    /// Close although usage is missing, unrated, rejected or nobody's; what spoke against it is recorded
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

/// Show what today's rules would change in a closed period, or issue it
///
/// Rules that were changed, and a newer program, reach a closed month only through this command.
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

    /// The date that stands on the corrections
    #[arg(long, value_name = "YYYY-MM-DD")]
    issue_date: Option<Date>,

    /// Why, in your own words; recorded in the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

impl CloseCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let options = context.options(self.memory_limit.bytes);
        let (issue_date, tax_point) = (self.issue_date, self.tax_point);
        let closing = CloseOptions { issue_date, tax_point, force: self.force, remark: None };
        let summary = pipeline::close(config, rules, self.period, closing, options).await?;
        self.memory_limit.check();
        print(context, &summary);
        Ok(())
    }
}

impl RestateCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let options = context.options(self.memory_limit.bytes);
        let approved = self.issue_date.filter(|_| self.approve).map(|issue_date| CloseOptions {
            issue_date,
            tax_point: None,
            force: false,
            remark: self.reason.clone(),
        });
        let summary = pipeline::restate(config, rules, self.period, approved, options).await?;
        self.memory_limit.check();
        print(context, &summary);
        if summary.commit.is_none() && !summary.changes.is_empty() {
            context.printer.talk("hint: --approve --issue-date YYYY-MM-DD --reason TEXT issues the corrections");
        }
        Ok(())
    }
}

fn print(context: &Context, summary: &CloseSummary) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(summary);
        return;
    }
    printer.groups(&[taken_in(&summary.intake)]);
    print_changes(context, &summary.changes);
    match (summary.commit, summary.documents.as_slice()) {
        (Some(sequence), [only]) => printer.line(&format!("Issued {only}. Committed as {sequence}.")),
        (Some(sequence), documents @ [_, ..]) => {
            let (number, ranges) = (count(documents.len(), "document"), ranges(documents).join(", "));
            printer.line(&format!("Issued {number}, {ranges}. Committed as {sequence}."));
        }
        (Some(sequence), []) if !summary.changes.is_empty() => {
            printer.line(&format!("Nothing is issued now: the next invoices have it. Committed as {sequence}."));
        }
        (Some(sequence), []) if summary.was_closed => {
            let period = &summary.period;
            printer
                .line(&format!("Nothing is due for {period} beyond what was issued; the books have what came since."));
            printer.line(&format!("Committed as {sequence}."));
        }
        (Some(sequence), []) => printer.line(&format!("Closed without a document. Committed as {sequence}.")),
        (None, _) if summary.changes.is_empty() => {
            printer.line(&format!("Nothing is due for {} beyond what was issued.", summary.period));
        }
        (None, _) => {}
    }
    if let Some(directory) = &summary.directory {
        printer.line(&format!("{directory}/index.html"));
    }
}

/// The first and the last number of each series, in the order in which they were given.
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

/// What is due beyond what was issued.
pub(super) fn print_changes(context: &Context, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let project = change.project_id.clone().unwrap_or_default();
            let amount = format!("{} {}", change.net_amount, change.currency);
            let reason = change.reason.replace('_', " ");
            vec![change.account_id.clone(), project, amount, reason, change.goes_on.clone()]
        })
        .collect();
    context.printer.line("Due beyond what was issued, without tax:");
    context.printer.table(&["account", "project", "amount", "reason", "goes on"], &rows, &[2]);
    context.printer.line("");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_one_series() {
        let numbers = ["INV-2026-00003", "CN-2026-00001", "INV-R-1-2026-00001", "INV-2026-00004", "CN-2026-00002"];
        let shown = ranges(&numbers.map(str::to_owned));
        let expected = ["INV-2026-00003 to INV-2026-00004", "CN-2026-00001 to CN-2026-00002", "INV-R-1-2026-00001"];
        assert_eq!(shown, expected);
    }
}
