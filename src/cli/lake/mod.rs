//! `conto lake`: maintenance, verification and export of the lake. No result changes.

mod compact;
mod expire;
mod export;
mod files;
mod relation;
mod vacuum;
mod verify;

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// List, export, compact, expire, vacuum and verify the files of the lake
#[derive(Debug, Subcommand)]
pub(super) enum LakeCommand {
    Files(files::FilesCommand),
    Export(export::ExportCommand),
    Compact(compact::CompactCommand),
    Expire(expire::ExpireCommand),
    Vacuum(vacuum::VacuumCommand),
    Verify(verify::VerifyCommand),
}

impl LakeCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Files(command) => command.execute(context).await,
            Self::Export(command) => command.execute(context).await,
            Self::Compact(command) => command.execute(context).await,
            Self::Expire(command) => command.execute(context).await,
            Self::Vacuum(command) => command.execute(context).await,
            Self::Verify(command) => command.execute(context).await,
        }
    }
}
