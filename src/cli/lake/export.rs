//! `conto lake export`: writes a relation as a Delta table.

use clap::Args;

use super::relation::RelationAsOf;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::print::grouped;
use crate::error::count;
use crate::intake::sources::discover::split_at_wildcard;
use crate::model::config::Origin;
use crate::storage::{Lake, export_delta};

/// Write a relation as a Delta table, for Spark, pandas, Polars and DuckDB
///
/// The first export creates the table. Each later export adds a version with the difference. The table is a copy: it
/// stays readable without Conto. Ids of streams and series are decimals, because Delta has no unsigned integers.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto lake export invoice_line /srv/tables/invoice_line")]
pub(in crate::cli) struct ExportCommand {
    #[command(flatten)]
    relation: RelationAsOf,

    /// The directory of the table, or a URL such as s3://bucket/tables/invoice_line
    #[arg(value_name = "DIRECTORY")]
    table: String,
}

impl ExportCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let opened = self.relation.open(context).await?;
        let table = Lake::open(&self.table)?;
        if is_within(&table, &opened.lake) {
            return Err(Failure::Usage {
                message: format!("`{}` is in the lake", self.table),
                hint: "a table needs a directory outside of the lake".to_owned(),
            });
        }
        let config = context.read_config()?;
        for source in &config.sources {
            let Origin::Files(files) = &source.origin else { continue };
            let (directory, Some(_)) = split_at_wildcard(&files.path) else { continue };
            let directory = Lake::open(if directory.is_empty() { "." } else { directory })?;
            if is_within(&table, &directory) {
                return Err(Failure::Usage {
                    message: format!("the source `{}` reads `{}`, so it could read the table", source.name, files.path),
                    hint: "a table needs a directory that no source reads".to_owned(),
                });
            }
        }
        let name = &opened.relation.name;
        let done = export_delta(&opened.lake, &opened.snapshot, name, &opened.relation.schema, &table).await?;
        if context.printer.is_json() {
            context.printer.json(&done);
            return Ok(());
        }
        let rows = grouped(done.rows);
        context.printer.line(&format!("{} has version {} of {name}: {rows} rows.", self.table, done.version));
        let (added, removed) = (count(done.added, "file"), count(done.removed, "file"));
        context.printer.line(&format!("Added {added}, removed {removed}."));
        Ok(())
    }
}

/// Whether a location is a directory or below it.
fn is_within(location: &Lake, directory: &Lake) -> bool {
    let path = |lake: &Lake| format!("{}/", lake.display_of("").trim_end_matches('/'));
    path(location).starts_with(&path(directory))
}
