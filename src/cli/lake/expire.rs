//! `conto lake expire`: removes the samples of closed months.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::print::grouped;
use crate::model::period::BillingPeriod;
use crate::pipeline;

/// Remove the samples of closed months
///
/// Metered hours and days and all documents stay, and also the digests of input files. Later usage of these months is
/// rejected as `too_late`. `conto lake vacuum` frees the space.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto lake expire --through 2026-06")]
pub(in crate::cli) struct ExpireCommand {
    /// The last month to remove; it and all earlier months must be closed
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
        let first_date = done.samples_from.unwrap_or_default();
        match done.commit {
            Some(sequence) => printer.line(&format!(
                "Removed {} samples ({} bytes); the lake has samples from {first_date} on. Committed as {sequence}.",
                grouped(done.samples),
                grouped(done.bytes)
            )),
            None => printer.line(&format!("There is nothing to remove: the lake has samples from {first_date} on.")),
        }
        Ok(())
    }
}
