//! `conto compact`: fewer files.

use clap::Args;

use super::{Context, Failure};
use crate::error::count;
use crate::pipeline;

/// Put the small files of usage together
///
/// Every delivery adds files to the dates it has usage of. One file for each date and bucket is read faster; no result
/// changes. `conto vacuum` deletes what was put together.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto compact")]
pub(super) struct CompactCommand {
    /// Put files together where a date and bucket has so many of them
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..))]
    least_files: u16,
}

impl CompactCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let options = context.options(None);
        let done = pipeline::compact(config, options, usize::from(self.least_files)).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let files = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX), "file");
        match done.commit {
            Some(sequence) => {
                let (before, after) = (files(done.before), files(done.after));
                printer.line(&format!("Put {before} together to {after}. Committed as {sequence}."));
            }
            None => printer.line("There is nothing to put together."),
        }
        Ok(())
    }
}
