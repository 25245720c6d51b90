//! `conto intake`: the first half of a night's work.

use clap::Args;

use super::memory_limit::MemoryLimit;
use super::run::{hint_of_rejected, taken_in};
use super::{Context, Failure};
use crate::pipeline;

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
        let summary = pipeline::intake(config, rules, context.options(self.memory_limit.bytes)).await?;
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
