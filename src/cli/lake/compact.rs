//! `conto lake compact`: merges small files.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::count;
use crate::pipeline;

/// Merge the small files of usage
///
/// Each delivery adds files to the dates of its usage. One file for each date and shard is faster to read. No result
/// changes. `conto lake vacuum` deletes the replaced files.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto lake compact")]
pub(in crate::cli) struct CompactCommand {
    /// Merge the files of a date and shard that has at least so many
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
                printer.line(&format!("Merged {before} into {after}. Committed as {sequence}."));
            }
            None => printer.line("There is nothing to merge."),
        }
        Ok(())
    }
}
