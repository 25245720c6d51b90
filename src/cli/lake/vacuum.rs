//! `conto lake vacuum`: deletes unreferenced files.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::print::grouped;
use crate::error::count;
use crate::load::parse_seconds;
use crate::pipeline;

/// Delete unreferenced files
///
/// These are files of aborted runs, expired samples, files that `conto lake compact` replaced, and old manifests. Files
/// of a running command stay. Every earlier commit can still be reproduced, unless its samples expired.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto lake vacuum --older-than 7d")]
pub(in crate::cli) struct VacuumCommand {
    /// Only files that were unreferenced for this time
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_age)]
    older_than: Duration,

    /// Show what would be deleted, but delete nothing
    #[arg(long)]
    dry_run: bool,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let seconds = parse_seconds(text).ok_or("expected a duration such as 12h or 7d")?;
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
        if done.manifests > 0 {
            let manifests = count(usize::try_from(done.manifests).unwrap_or(usize::MAX), "old manifest");
            printer.line(&format!("{} {manifests}.", if self.dry_run { "Would delete" } else { "Deleted" }));
        }
        Ok(())
    }
}
