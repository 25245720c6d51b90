//! `conto schema`: the JSON Schema of a kind of file, for editors.

use clap::{Args, ValueEnum};

use super::context::Context;
use super::failure::Failure;
use crate::load::SchemaKind;

/// Print the JSON Schema of a kind of file, for editors that complete and check TOML
#[derive(Debug, Args)]
#[command(after_help = "Example: conto schema rules > schemas/rules.schema.json")]
pub(super) struct SchemaCommand {
    /// The configuration, the accounts file or a rule file
    file: FileKind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileKind {
    Conto,
    Accounts,
    Rules,
}

impl SchemaCommand {
    pub(super) fn execute(self, context: &Context) -> Result<(), Failure> {
        let kind = match self.file {
            FileKind::Conto => SchemaKind::Conto,
            FileKind::Accounts => SchemaKind::Accounts,
            FileKind::Rules => SchemaKind::Rules,
        };
        context.printer.bytes(kind.schema().as_bytes());
        Ok(())
    }
}
