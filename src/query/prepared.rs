//! Statements that are planned once and run many times, each time on other rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;
use futures::stream;

use super::session::{conform, sort_order};
use super::{Error, Parameters, Session, Statement, kept_plan, statement};

/// An error of the code that reads the rows of an input.
type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The rows of an input, which are read while the statement runs.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, SourceError>> + Send>;

/// The rows of the placeholders in one run, by the name of the relation.
#[derive(Default)]
pub struct Inputs(Mutex<BTreeMap<String, Batches>>);

impl std::fmt::Debug for Inputs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inputs").finish_non_exhaustive()
    }
}

impl Inputs {
    /// Adds an input that is read batch by batch, in the order that the header of the relation declares.
    pub fn streamed(
        self,
        path: &str,
        batches: impl Iterator<Item = Result<RecordBatch, SourceError>> + Send + 'static,
    ) -> Result<Self, Error> {
        let name = statement(path)?.name.clone();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Box::new(batches));
        Ok(self)
    }

    /// Adds an input with rows in memory.
    pub fn rows(self, path: &str, batches: Vec<RecordBatch>) -> Result<Self, Error> {
        self.streamed(path, batches.into_iter().map(Ok))
    }

    /// The rows of a placeholder, which a run reads once.
    fn take(&self, name: &str) -> Option<Batches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }
}

/// A relation whose rows each run gets from its [`Inputs`].
#[derive(Debug)]
struct Placeholder {
    name: String,
    schema: SchemaRef,
}

impl PartitionStream for Placeholder {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = context.session_config().get_extension::<Inputs>().and_then(|inputs| inputs.take(&self.name));
        let missing = || exec_datafusion_err!("the run has no rows of `{}`, or reads them twice", self.name);
        let batches: Box<dyn Iterator<Item = Result<RecordBatch, DataFusionError>> + Send> = match batches {
            Some(batches) => Box::new(batches.map(|batch| batch.map_err(DataFusionError::External))),
            None => Box::new(std::iter::once(Err(missing()))),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(batches)))
    }
}

impl Session {
    /// Registers the relation at a path as a placeholder: each run of a prepared statement has its own rows. The engine
    /// relies on the order in the header of the relation, so the reader of the rows must verify it.
    pub fn register_placeholder(&self, path: &str) -> Result<(), Error> {
        let relation = statement(path)?;
        let (Statement { name, order, .. }, schema) = (relation, relation.placeholder_schema());
        let placeholder = Placeholder { name: name.clone(), schema: Arc::clone(&schema) };
        let table = StreamingTable::try_new(schema, vec![Arc::new(placeholder)]);
        let table = table.map_err(Error::engine(format!("register {name}")))?;
        self.register_table(name, Arc::new(table.with_sort_order(sort_order(order))))
    }

    /// Plans the statement at a path below `sql/`, to run it several times.
    pub async fn prepare(&self, path: &str, parameters: Parameters) -> Result<PreparedStatement, Error> {
        let statement = statement(path)?;
        let frame = self.plan(statement, parameters).await?;
        let failed = Error::engine(format!("sql/{}", statement.path));
        let plan = frame.create_physical_plan().await.map_err(failed)?;
        let prepared = PreparedStatement { statement, plan, context: self.context().clone() };
        tracing::trace!("plan of sql/{}\n{}", statement.path, prepared.plan());
        Ok(prepared)
    }
}

/// A statement with its plan.
#[derive(Clone)]
pub struct PreparedStatement {
    statement: &'static Statement,
    plan: Arc<dyn ExecutionPlan>,
    context: SessionContext,
}

impl std::fmt::Debug for PreparedStatement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PreparedStatement").field("path", &self.statement.path).finish_non_exhaustive()
    }
}

impl PreparedStatement {
    /// The plan as text: one line for each operator, inputs below their reader.
    pub fn plan(&self) -> String {
        displayable(self.plan.as_ref()).indent(false).to_string()
    }

    /// Runs the statement on the rows of its placeholders and checks the result against the header. Several threads can
    /// run it at the same time.
    #[tracing::instrument(
        level = "debug",
        name = "statement",
        skip_all,
        fields(path = self.statement.path.trim_end_matches(".sql"), rows)
    )]
    pub async fn run(&self, inputs: Inputs) -> Result<Vec<RecordBatch>, Error> {
        let failed = || Error::engine(format!("sql/{}", self.statement.path));
        let (plan, context) = kept_plan::ready(&self.plan, &self.context, inputs).map_err(failed())?;
        let batches = collect(plan, context).await.map_err(failed())?;
        tracing::Span::current().record("rows", batches.iter().map(RecordBatch::num_rows).sum::<usize>());
        batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conform(self.statement, batch)).collect()
    }
}
