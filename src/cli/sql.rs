//! `conto sql`: queries the lake.

use clap::Args;

use super::print::grouped;
use super::statement_plan::{self, PlannedStatement};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::query::persisted_relation;
use crate::query::{Error, Session, persisted_paths, statement};
use crate::storage::Lake;

/// Query the relations of the lake; without a query, list them
///
/// A query cannot change anything. Decimals are exact. Text is in single quotes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto sql \"SELECT reason, COUNT(*) FROM rejected_record GROUP BY reason\"\n  \
    conto sql --explain rated_usage")]
pub(super) struct SqlCommand {
    /// A SELECT over the relations of the lake
    query: Option<String>,

    /// Print the statement of a relation or check, its optimized logical plan and its physical plan
    #[arg(long, value_name = "RELATION", conflicts_with = "query")]
    explain: Option<String>,
}

impl SqlCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let explained = self.explain.as_deref().map(statement_plan::find).transpose()?;
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let session = Session::new(None)?;
        let mut relations = Vec::new();
        for path in persisted_paths() {
            // A relation without files is registered too, without rows.
            let statement = statement(path)?;
            let files: Vec<_> = snapshot.files(&statement.name).cloned().collect();
            let rows: u64 = files.iter().map(|file| file.rows).sum();
            session.register_files(&statement.name, statement.schema.clone(), &lake, &files)?;
            let summary = statement.summary.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
            relations.push(vec![statement.name.clone(), grouped(rows), summary]);
        }
        if let Some(statement) = explained {
            let planned = PlannedStatement::of(&session, statement).await?;
            if context.printer.is_json() {
                context.printer.json(&planned);
            } else {
                planned.print(&context.printer);
            }
            return Ok(());
        }
        match self.query {
            Some(query) => {
                let failed = |error| match error {
                    Error::InvalidQuery { .. } => Failure::Usage {
                        message: error.to_string(),
                        hint: "`conto sql` lists the relations; a query is a SELECT over them".to_owned(),
                    },
                    other => other.into(),
                };
                // The engine does not check the digests in the log, so the files are compared with them first.
                for name in session.relations_read(&query).await.map_err(failed)? {
                    // A table function reads no relation.
                    let Ok(relation) = persisted_relation(&name) else { continue };
                    for file in snapshot.files(&relation.name) {
                        lake.verify(file, &relation.schema).await?;
                    }
                }
                let (schema, batches) = session.query(&query).await.map_err(failed)?;
                context.printer.rows(&schema, &batches);
            }
            None => context.printer.table(&["relation", "rows", "definition of a row"], &relations, &[1]),
        }
        Ok(())
    }
}
