//! `conto lake files`: lists the data files of a relation.

use clap::Args;
use serde::Serialize;

use super::relation::RelationAsOf;
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// List the data files of a relation
///
/// Replaced files stay in the lake until a vacuum, so `data/` must not be read as a whole. Decimals of different files
/// may have different scales: in DuckDB, `read_parquet(…, union_by_name = true)` reads them exactly.
/// `conto lake export` writes a table with one type for each column.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto lake files invoice")]
pub(in crate::cli) struct FilesCommand {
    #[command(flatten)]
    relation: RelationAsOf,
}

#[derive(Debug, Serialize)]
struct ListedFile<'a> {
    path: String,
    partition: &'a str,
    rows: u64,
    bytes: u64,
    sha256: &'a str,
}

impl FilesCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let opened = self.relation.open(context).await?;
        let (lake, snapshot) = (&opened.lake, &opened.snapshot);
        let files = snapshot.files(&opened.relation.name).map(|file| ListedFile {
            path: lake.display_of(&file.path),
            partition: &file.partition,
            rows: file.rows,
            bytes: file.bytes,
            sha256: &file.sha256,
        });
        let files: Vec<ListedFile<'_>> = files.collect();
        if context.printer.is_json() {
            context.printer.json(&files);
        } else {
            files.iter().for_each(|file| context.printer.line(&file.path));
        }
        Ok(())
    }
}
