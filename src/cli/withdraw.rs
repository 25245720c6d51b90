//! `conto withdraw`: a delivery was wrong.

use clap::Args;

use super::{Context, Failure};
use crate::error::count;
use crate::pipeline;

/// Take back what a file brought
///
/// Its samples do not count any more, and are listed in `withdrawn_sample`; the file stays known, so that it is not
/// read again. Deliver the right records in another file. Where they are of a closed month, the next `conto close` of
/// that month settles what changed.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto withdraw --file usage/2026-10-07.csv --reason \"measured twice\"")]
pub(super) struct WithdrawCommand {
    /// The file as `conto sql \"SELECT url, sha256 FROM input_file\"` knows it: its place, the end of it, or its digest
    #[arg(long, value_name = "FILE")]
    file: String,

    /// Why, in your own words; recorded in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl WithdrawCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let options = context.options(None);
        let done = pipeline::withdraw(config, rules, options, &self.file, &self.reason).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let samples = |number: u64, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
        match done.commit {
            Some(sequence) => {
                let taken_back = samples(done.samples, "sample");
                printer.line(&format!("Took back {taken_back} of {}. Committed as {sequence}.", done.file));
            }
            None => printer.line(&format!("{} brought nothing that still counts.", done.file)),
        }
        if done.samples > 0 && done.duplicates_of_others > 0 {
            printer.talk(&format!(
                "hint: {} of other files were duplicates in that time; what they had in common with this one is gone \
                 as well, and has to be delivered again",
                samples(done.duplicates_of_others, "record")
            ));
        }
        Ok(())
    }
}
