//! Physical plans that are kept, and run again on other rows with the same names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::SortExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::stream;

/// The kept plans by their key: the statement, its parameters, and for each relation whether it has rows.
#[derive(Default)]
pub(super) struct KeptPlans(Mutex<BTreeMap<String, KeptPlan>>);

/// A plan, with the columns and the order of the relations that it reads.
struct KeptPlan {
    plan: Arc<dyn ExecutionPlan>,
    inputs: BTreeMap<String, Shape>,
}

/// The columns and the order of a relation.
#[derive(Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) schema: SchemaRef,
    pub(super) order: Vec<SortExpr>,
}

/// The rows of the relations that a run reads, by name.
#[derive(Debug)]
pub(super) struct RowsByName(pub(super) BTreeMap<String, Vec<RecordBatch>>);

/// A relation in a kept plan. Each run gets its rows from [`RowsByName`].
#[derive(Debug)]
pub(super) struct NamedRows {
    name: String,
    schema: SchemaRef,
}

impl PartitionStream for NamedRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = context.session_config().get_extension::<RowsByName>();
        let rows = rows.and_then(|rows| rows.0.get(&self.name).cloned());
        let missing = || vec![Err(exec_datafusion_err!("the run has no rows of `{}`", self.name))];
        let batches = rows.map_or_else(missing, |rows| rows.into_iter().map(Ok).collect());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(batches)))
    }
}

impl NamedRows {
    pub(super) fn table(name: &str, shape: &Shape) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let rows = Self { name: name.to_owned(), schema: Arc::clone(&shape.schema) };
        let table = StreamingTable::try_new(Arc::clone(&shape.schema), vec![Arc::new(rows)])?;
        Ok(Arc::new(table.with_sort_order(shape.order.clone())))
    }
}

impl KeptPlans {
    /// The plan with a key, if the relations still have the columns and the order that it was made for.
    pub(super) fn get(&self, key: &str, inputs: &BTreeMap<String, Shape>) -> Option<Arc<dyn ExecutionPlan>> {
        self.plans().get(key).filter(|kept| kept.inputs == *inputs).map(|kept| Arc::clone(&kept.plan))
    }

    pub(super) fn insert(&self, key: String, plan: Arc<dyn ExecutionPlan>, inputs: BTreeMap<String, Shape>) {
        self.plans().insert(key, KeptPlan { plan, inputs });
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<String, KeptPlan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plan that can run, and the context that contains its rows. A plan keeps the state of a run, such as the build side
/// of a join. So each run has a plan without state.
pub(super) fn ready<T: Send + Sync + 'static>(
    plan: &Arc<dyn ExecutionPlan>,
    context: &SessionContext,
    rows: T,
) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), DataFusionError> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    let context = TaskContext::from(context);
    let config = context.session_config().clone().with_extension(Arc::new(rows));
    Ok((plan, Arc::new(context.with_session_config(config))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::{metered_days, used_series};
    use crate::query::{Session, statement};

    /// A statement over other rows runs with the same plan. Rows with other columns or another order need another plan.
    #[tokio::test]
    async fn each_batch_reads_its_own_rows_with_one_plan() {
        let session = Session::new(None).unwrap();
        let scope = session.scope_of_batches().unwrap();
        let kept = Arc::clone(scope.kept_plans().unwrap());
        let plans = || {
            let plans = kept.0.lock().unwrap();
            plans.values().map(|kept| Arc::as_ptr(&kept.plan).addr()).collect::<Vec<_>>()
        };
        scope.register_nothing("rating/payer_series").unwrap();
        scope.register("metering/metered_day", metered_days(&[3, 1, 3])).unwrap();
        assert_eq!(used_series(&scope).await, [1, 3]);
        let of_first_batch = plans();
        assert_eq!(of_first_batch.len(), 1);
        scope.register("metering/metered_day", metered_days(&[9, 2])).unwrap();
        assert_eq!(used_series(&scope).await, [2, 9]);
        assert_eq!(plans(), of_first_batch);
        scope.register_nothing("metering/metered_day").unwrap();
        assert!(used_series(&scope).await.is_empty());
        assert_eq!(plans().len(), 2, "the plan without rows is another plan");
        // The statement reads two of the columns.
        let narrow = metered_days(&[5, 4]).iter().map(|batch| batch.project(&[0, 1]).unwrap()).collect::<Vec<_>>();
        scope.register_rows("metered_day", narrow[0].schema(), narrow).unwrap();
        assert_eq!(used_series(&scope).await, [4, 5]);
        assert_ne!(plans(), of_first_batch);
        assert_eq!(plans().len(), 2, "the plan for other columns replaces the first plan");
    }

    /// A plan may rely on the order of its rows, so rows without this order do not run with it.
    #[tokio::test]
    async fn a_plan_for_sorted_rows_does_not_read_other_rows() {
        let session = Session::new(None).unwrap();
        let scope = session.scope_of_batches().unwrap();
        scope.register_nothing("rating/payer_series").unwrap();
        let relation = statement("metering/metered_day").unwrap();
        let order = crate::query::session::sort_order(&relation.grain);
        scope.register_in_order("metered_day", Arc::clone(&relation.schema), metered_days(&[1, 3]), order).unwrap();
        assert_eq!(used_series(&scope).await, [1, 3]);
        scope.register_rows("metered_day", Arc::clone(&relation.schema), metered_days(&[3, 1])).unwrap();
        assert_eq!(used_series(&scope).await, [1, 3]);
    }
}
