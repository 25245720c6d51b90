//! `conto completions` and `conto man`: what clap knows of the command line, for shells and for man.

use clap::Args;
use clap_complete::Shell;

use super::{Context, Failure};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: conto completions bash > /etc/bash_completion.d/conto")]
pub(super) struct CompletionsCommand {
    shell: Shell,
}

impl CompletionsCommand {
    pub(super) fn execute(self, context: &Context, command: &mut clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "conto", &mut script);
        context.printer.bytes(&script);
        Ok(())
    }
}

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "Example: conto man > conto.1")]
pub(super) struct ManCommand {}

impl ManCommand {
    pub(super) fn execute(self, context: &Context, command: clap::Command) -> Result<(), Failure> {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(anyhow::Error::from)?;
        context.printer.bytes(&page);
        Ok(())
    }
}
