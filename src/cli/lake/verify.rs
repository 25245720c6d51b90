//! `conto lake verify`: compares the lake with its commit log.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::print::{Group, grouped};
use crate::error::count;
use crate::pipeline;
use crate::storage::Lake;

/// Compare every file of the lake with its digest in the commit log
///
/// Reads all commits, all referenced data files, all documents and the newest manifest of each relation. Changes
/// nothing. The next command that writes to the lake repairs missing and wrong manifests.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1: something is damaged or missing, or a manifest is wrong.")]
pub(in crate::cli) struct VerifyCommand {}

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
                    ("commits", grouped(found.entries)),
                    ("data files", grouped(found.data_files)),
                    ("documents", grouped(found.documents)),
                    ("bytes read", grouped(found.bytes)),
                    ("unreferenced files", grouped(found.orphans)),
                ],
            }]);
            for sentence in found.damaged.iter().chain(&found.wrong_manifests).chain(&found.missing_manifests) {
                printer.line(&printer.runnable(sentence));
            }
        }
        if found.damaged.is_empty() && found.wrong_manifests.is_empty() {
            return Ok(());
        }
        if found.damaged.is_empty() {
            let manifests = count(found.wrong_manifests.len(), "manifest");
            return Err(Failure::Other(anyhow::anyhow!(
                "{manifests} for other programs is wrong; the next `conto intake` writes it again"
            )));
        }
        let places = count(found.damaged.len(), "place");
        Err(Failure::Other(anyhow::anyhow!(
            "the lake is damaged in {places}; restore the named files from a backup or an object version"
        )))
    }
}
