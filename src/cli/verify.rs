//! `conto verify`: is everything there that the log says.

use clap::Args;

use super::print::{Group, grouped};
use super::{Context, Failure};
use crate::error::count;
use crate::pipeline;
use crate::storage::Lake;

/// Compare everything in the lake with its log, digest by digest
///
/// Every entry, every data file that counts and every document is read. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 1 where anything is damaged or missing.")]
pub(super) struct VerifyCommand {}

impl VerifyCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let found = pipeline::verify(config, context.reading_options()).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&found);
        } else {
            printer.groups(&[Group {
                title: format!("Lake {}", lake.display_of("")),
                pairs: vec![
                    ("log entries", grouped(found.entries)),
                    ("data files", grouped(found.data_files)),
                    ("documents", grouped(found.documents)),
                    ("bytes read", grouped(found.bytes)),
                    ("files that nothing names", grouped(found.orphans)),
                ],
            }]);
            for sentence in &found.damaged {
                printer.line(sentence);
            }
        }
        if found.damaged.is_empty() {
            return Ok(());
        }
        let places = count(found.damaged.len(), "place");
        Err(Failure::Other(anyhow::anyhow!(
            "the lake is damaged in {places}; restore what is named from a backup or another version of the object"
        )))
    }
}
