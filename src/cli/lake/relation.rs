//! The arguments that select a relation of the lake after a commit.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::query::{Statement, persisted_relation};
use crate::storage::{Lake, Snapshot};

/// A relation after a commit.
#[derive(Debug, Args)]
pub(super) struct RelationAsOf {
    /// The relation, such as invoice_line; `conto sql` lists all relations
    #[arg(value_name = "RELATION")]
    name: String,

    /// The commit to read; by default the last one
    #[arg(long, value_name = "COMMIT")]
    as_of: Option<u64>,
}

/// An opened lake with one of its relations.
pub(super) struct OpenedRelation {
    pub(super) lake: Lake,
    pub(super) snapshot: Snapshot,
    pub(super) relation: &'static Statement,
}

impl RelationAsOf {
    pub(super) async fn open(&self, context: &Context) -> Result<OpenedRelation, Failure> {
        let relation = persisted_relation(&self.name).map_err(|_| Failure::Usage {
            message: format!("the lake has no relation `{}`", self.name),
            hint: "`conto sql` lists the relations".to_owned(),
        })?;
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = match self.as_of {
            Some(commit) => lake.snapshot_as_of(commit).await?,
            None => lake.snapshot().await?,
        };
        Ok(OpenedRelation { lake, snapshot, relation })
    }
}
