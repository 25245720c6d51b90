//! `conto intake`: reads and meters new usage, which is the first half of `conto run`.

mod retract;

use clap::{Args, Subcommand};

use super::memory_limit::MemoryLimit;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::intake_counts::{changed_id_hints, incomplete, intake_group, print_unread, rejected_hint};
use crate::pipeline;
use crate::run::RunOptions;

/// Read new usage and meter it, without prices; retract a file or a record
///
/// `conto run` does this first. Alone, it reads usage as it arrives, at any time of the day.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto intake\n  \
    conto intake retract --file usage/2026-10-07.csv --reason \"measured twice\"")]
pub(super) struct IntakeCommand {
    #[command(subcommand)]
    command: Option<IntakeSubcommand>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

#[derive(Debug, Subcommand)]
enum IntakeSubcommand {
    Retract(retract::RetractCommand),
}

impl IntakeCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let options = context.options(self.memory_limit.bytes);
        match self.command {
            Some(IntakeSubcommand::Retract(command)) => command.execute(context, options).await,
            None => self.read(context, options).await,
        }
    }

    async fn read(self, context: &Context, options: RunOptions) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let summary = pipeline::intake(config, rules, options).await?;
        self.memory_limit.check();
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&summary);
            return incomplete(summary.unread_inputs.len(), 0);
        }
        printer.groups(&[intake_group(&summary)]);
        match summary.intake_commit {
            None => printer.line("Nothing changed since the last run."),
            Some(sequence) => printer.line(&format!("Committed as {sequence} (usage).")),
        }
        print_unread(printer, &summary);
        for hint in rejected_hint(&summary).into_iter().chain(changed_id_hints(&summary)) {
            printer.message(&format!("hint: {hint}"));
        }
        incomplete(summary.unread_inputs.len(), 0)
    }
}
