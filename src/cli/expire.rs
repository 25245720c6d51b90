//! `conto expire`: the samples of closed months go.

use clap::Args;

use super::print::grouped;
use super::{Context, Failure};
use crate::model::period::BillingPeriod;
use crate::pipeline;

/// Give up the samples of closed months
///
/// Their hours and days are kept, and every document; files that were read stay known by their digest. Usage of that
/// time that comes later is rejected as `too_late`, and listed. `conto vacuum` frees the room.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto expire --through 2026-06")]
pub(super) struct ExpireCommand {
    /// The last month whose samples go, with all before it; each must be closed
    #[arg(long, value_name = "YYYY-MM")]
    through: BillingPeriod,
}

impl ExpireCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let options = context.options(None);
        let done = pipeline::expire(config, options, self.through).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let kept_from = done.samples_from.unwrap_or_default();
        match done.commit {
            Some(sequence) => printer.line(&format!(
                "Gave up {} samples ({} bytes); samples are kept from {kept_from} on. Committed as {sequence}.",
                grouped(done.samples),
                grouped(done.bytes)
            )),
            None => printer.line(&format!("Nothing to give up: samples are kept from {kept_from} on.")),
        }
        Ok(())
    }
}
