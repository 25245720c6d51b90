//! `conto intake retract`: removes the samples of a wrong file.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::count;
use crate::pipeline;
use crate::run::RunOptions;

/// Remove the samples that a file delivered
///
/// The samples are no longer billed and are listed in `withdrawn_sample`. The file is not read again: deliver the
/// correct records in another file. If the records are of a closed month, the next `conto close` of that month issues
/// the corrections.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto intake retract --file usage/2026-10-07.csv --reason \"measured twice\"")]
pub(super) struct RetractCommand {
    /// The file: its URL in `input_file`, the end of the URL, or the start of its SHA-256
    #[arg(long, value_name = "FILE")]
    file: String,

    /// Why; recorded in the commit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl RetractCommand {
    pub(super) async fn execute(self, context: &Context, options: RunOptions) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let done = pipeline::retract(config, rules, options, &self.file, &self.reason).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let number = |number: u64, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
        match done.commit {
            Some(sequence) => {
                let samples = number(done.samples, "sample");
                printer.line(&format!("Retracted {samples} of {}. Committed as {sequence}.", done.file));
            }
            None => printer.line(&format!("{} has no samples to retract.", done.file)),
        }
        if done.samples > 0 && done.duplicates_of_others > 0 {
            printer.talk(&format!(
                "hint: {} of other files were duplicates on these dates; deliver those again that equal a retracted \
                 sample",
                number(done.duplicates_of_others, "record")
            ));
        }
        Ok(())
    }
}
