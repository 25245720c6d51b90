//! `conto reproduce`: computes the results of a past commit again and compares every byte.

use clap::Args;

use super::memory_limit::MemoryLimit;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::count;
use crate::pipeline;

/// Compute the results of a past commit again and compare every byte
///
/// The inputs are the lake before the commit, and the rules and configuration in the commit. Nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto reproduce 17\n\n`conto status` lists the commits.")]
pub(super) struct ReproduceCommand {
    /// The number of the commit
    #[arg(value_name = "COMMIT")]
    commit: u64,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

impl ReproduceCommand {
    /// Reproduces the commit. Current rules are not needed, because the commit contains its rules.
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let options = context.options(self.memory_limit.bytes);
        let reproduced = pipeline::reproduce(config, options, self.commit).await?;
        self.memory_limit.check();
        let printer = &context.printer;
        let different = reproduced.different.len();
        if printer.is_json() {
            printer.json(&reproduced);
        } else {
            reproduced.different.iter().for_each(|path| printer.line(&format!("differs: {path}")));
            let files = count(usize::try_from(reproduced.compared).unwrap_or(usize::MAX), "file");
            printer.line(&format!("Reproduced commit {}: {files}, {different} differ.", self.commit));
        }
        if different == 0 {
            return Ok(());
        }
        let (then, now) = (&reproduced.program_version, env!("CARGO_PKG_VERSION"));
        Err(Failure::Other(anyhow::anyhow!(
            "the results differ from those of the commit; its version is conto {then}, this is conto {now}"
        )))
    }
}
