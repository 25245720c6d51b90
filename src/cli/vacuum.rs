//! `conto vacuum`: what counts for nothing is deleted.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::print::grouped;
use super::{Context, Failure};
use crate::error::count;
use crate::load::parse_seconds;
use crate::pipeline;

/// Delete files that count for nothing any more
///
/// Files that no entry of the log names, left by runs that died, and samples that expired or were put together with
/// others. Nothing that a running command is about to commit is lost, and every earlier entry can still be rebuilt.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto vacuum --older-than 7d")]
pub(super) struct VacuumCommand {
    /// Only what has counted for nothing for so long
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_age)]
    older_than: Duration,

    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let seconds = parse_seconds(text).ok_or("expected a length of time such as 12h or 7d")?;
    Ok(Duration::from_secs(u64::from(seconds)))
}

impl VacuumCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let now = Timestamp::now();
        let options = context.options_at(now, None);
        let done = pipeline::vacuum(config, options, now, self.older_than, self.dry_run).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let files = count(usize::try_from(done.files).unwrap_or(usize::MAX), "file");
        let bytes = grouped(done.bytes);
        match done.commit {
            Some(sequence) => printer.line(&format!("Deleted {files} ({bytes} bytes). Committed as {sequence}.")),
            None if done.files > 0 => printer.line(&format!("{files} ({bytes} bytes) would be deleted.")),
            None => printer.line("There is nothing to delete."),
        }
        if done.half_written > 0 {
            let half_written = count(usize::try_from(done.half_written).unwrap_or(usize::MAX), "half-written file");
            printer.line(&format!("Deleted {half_written}."));
        }
        Ok(())
    }
}
