//! `conto intake`: the first half of a night's work.

use clap::Args;
use jiff::Zoned;

use super::memory_limit::MemoryLimit;
use super::run::{hint_of_rejected, taken_in};
use super::{Context, Failure};
use crate::model::period::BillingPeriod;
use crate::pipeline;
use crate::run::{Documents, RunOptions};

/// Take in new usage and meter it; price nothing
///
/// `conto run` does this first. By itself it brings usage in as it comes, at any time of the day.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto intake")]
pub(super) struct IntakeCommand {
    #[command(flatten)]
    memory_limit: MemoryLimit,
}

impl IntakeCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let now = Zoned::now();
        let options = RunOptions {
            // A run has a period; intake takes in usage of all of them and looks at none.
            period: BillingPeriod::of(now.date()),
            documents: Documents::None,
            max_rejected: None,
            memory_limit_bytes: self.memory_limit.bytes,
            started_at: now.timestamp().to_string(),
            progress: context.printer.progress(),
        };
        let summary = pipeline::intake(config, rules, options).await?;
        self.memory_limit.check();
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&summary);
            return Ok(());
        }
        printer.groups(&[taken_in(&summary)]);
        match summary.intake_commit {
            None => printer.line("Nothing changed since the last run."),
            Some(sequence) => printer.line(&format!("Committed as {sequence} (usage).")),
        }
        if let Some(hint) = hint_of_rejected(&summary) {
            printer.talk(&format!("hint: {hint}"));
        }
        Ok(())
    }
}
