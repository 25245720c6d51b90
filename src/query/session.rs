//! A session of the engine: named relations, and the statements that read them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, RecordBatch};
use arrow::compute::{LexicographicalComparator, SortColumn, cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ParamValues, ScalarValue};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, SortExpr};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column as ColumnOfPlan;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect, execute_stream};
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext, col};
use futures::TryStreamExt;

use super::kept_plan::{self, KeptPlans, NamedRows, RowsByName, Shape};
use super::{Error, Statement, statement, statements};
use crate::functions::{aggregate_functions, scalar_functions};
use crate::storage::{DataFile, Lake};

/// Typed values for the parameters of a statement.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<&'static str, ScalarValue>);

impl Parameters {
    pub fn none() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn bigint(mut self, name: &'static str, value: i64) -> Self {
        self.0.insert(name, ScalarValue::Int64(Some(value)));
        self
    }

    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, ScalarValue::Utf8(Some(value.to_owned())));
        self
    }

    /// Adds a date as days since 1970-01-01.
    #[must_use]
    pub fn date(mut self, name: &'static str, days: i32) -> Self {
        self.0.insert(name, ScalarValue::Date32(Some(days)));
        self
    }

    /// Adds a decimal in units of its last place.
    #[must_use]
    pub fn decimal(mut self, name: &'static str, units: i128, precision: u8, scale: i8) -> Self {
        self.0.insert(name, ScalarValue::Decimal128(Some(units), precision, scale));
        self
    }
}

/// The maximum number of rows in a batch. With a memory limit, a batch has one row for each `BYTES_FOR_A_ROW` of the
/// limit, but at least 256 and at most this number.
const BATCH_ROWS: usize = 8192;
const BYTES_FOR_A_ROW: usize = 48 << 10;

/// The maximum number of bytes that a sort reserves for merging. This is the engine's default.
const MOST_FOR_MERGING: usize = 10 << 20;

/// A session of the engine. Relations are registered by name before a statement reads them.
///
/// A stage works in a [scope](Session::scope), so that its intermediate relations are dropped when the stage ends.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    relations: Arc<Mutex<BTreeMap<String, Relation>>>,
    /// The optimized plans of statements over rows in memory, without the rows.
    plans: Arc<Mutex<BTreeMap<String, LogicalPlan>>>,
    /// The physical plans of statements that run once for each account batch. `None` in all other sessions, where the
    /// best plan depends on the rows.
    kept_plans: Option<Arc<KeptPlans>>,
    /// The session that opened this scope. `None` if this session is not a scope.
    outer: Option<Arc<Session>>,
}

/// A registered relation.
#[derive(Clone)]
struct Relation {
    table: Arc<dyn TableProvider>,
    /// The order of rows in memory.
    order: Vec<SortExpr>,
    /// The reserved memory of the rows. The operators of the engine share the rest of the limit. `None` if no rows are
    /// in memory.
    _rows: Option<Arc<MemoryReservation>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A context of the engine with the functions that statements call.
fn context_with_functions(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let context = SessionContext::new_with_config_rt(config, runtime);
    for function in scalar_functions() {
        context.register_udf(function);
    }
    for function in aggregate_functions() {
        context.register_udaf(function);
    }
    context
}

impl Session {
    /// Creates a session with a memory limit for its operators and registered rows together. At the limit, operators
    /// spill to disk or fail. `None` sets no limit.
    pub fn new(memory_limit_bytes: Option<usize>) -> Result<Self, Error> {
        let mut runtime = RuntimeEnvBuilder::new();
        // A statement has up to a hundred operators. Each operator has an equal share of the memory and keeps some
        // batches.
        let batch_rows =
            memory_limit_bytes.map_or(BATCH_ROWS, |limit| (limit / BYTES_FOR_A_ROW).clamp(256, BATCH_ROWS));
        // The memory that a sort reserves for merging spilled rows. A statement may run many sorts at once.
        let for_merging = memory_limit_bytes.map_or(MOST_FOR_MERGING, |limit| MOST_FOR_MERGING.min(limit / 64));
        if let Some(limit) = memory_limit_bytes {
            runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(limit)));
        }
        let runtime = runtime.build_arc().map_err(Error::engine("session"))?;
        // Every option that can change a result or a type is set, so that a new default of the engine changes no
        // result.
        let config = SessionConfig::new()
            .with_information_schema(false)
            .with_target_partitions(std::thread::available_parallelism().map_or(1, usize::from))
            .with_batch_size(batch_rows)
            .set_str("datafusion.sql_parser.dialect", "Generic")
            .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
            .set_bool("datafusion.sql_parser.enable_ident_normalization", true)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
            .set_bool("datafusion.execution.parquet.pushdown_filters", false)
            .set_bool("datafusion.execution.collect_statistics", false)
            .set_usize("datafusion.execution.sort_spill_reservation_bytes", for_merging)
            // A scan that waits for the filter of a join can wait forever if one side of the join has no rows. Files
            // are few and selected by partition, so such a filter would skip little.
            .set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false)
            .set_str("datafusion.execution.time_zone", "+00:00");
        let context = context_with_functions(config, runtime);
        Ok(Self { context, relations: Arc::default(), plans: Arc::default(), kept_plans: None, outer: None })
    }

    /// Opens a session without relations that runs each statement on one thread, for work that is parallel itself. The
    /// memory of the session is not limited, because the caller divides its memory among the parallel work.
    pub fn on_one_thread(&self) -> Result<Self, Error> {
        let config = self.context.copied_config().with_target_partitions(1).with_batch_size(BATCH_ROWS);
        let runtime = RuntimeEnvBuilder::new().build_arc().map_err(Error::engine("session"))?;
        let context = context_with_functions(config, runtime);
        Ok(Self { context, relations: Arc::default(), plans: Arc::default(), kept_plans: None, outer: None })
    }

    /// Opens a session for one stage. The scope shares the memory of this session and can read its relations. The
    /// scope's own relations are dropped with the scope, except for those that it [hands over](Session::hand_over).
    pub fn scope(&self) -> Result<Self, Error> {
        self.scope_with(self.context.copied_config(), None)
    }

    /// Opens a scope for statements that run once for each account batch. The rows of a batch are few, so one thread
    /// computes them with less memory and less work than several threads.
    pub fn scope_of_batches(&self) -> Result<Self, Error> {
        let config = self.context.copied_config().with_target_partitions(1);
        // The engine estimates too few rows for a filtered or grouped relation. So a join keeps its sides as written.
        // The rows of the left side are in memory, and those of the right side keep their order.
        let config = config.set_bool("datafusion.optimizer.join_reordering", false);
        self.scope_with(config, Some(Arc::default()))
    }

    fn scope_with(&self, config: SessionConfig, kept_plans: Option<Arc<KeptPlans>>) -> Result<Self, Error> {
        let context = context_with_functions(config, self.context.runtime_env());
        let plans = Arc::clone(&self.plans);
        let outer = Some(Arc::new(self.clone()));
        let scope = Self { context, relations: Arc::default(), plans, kept_plans, outer };
        for (name, relation) in self.relations().iter() {
            scope.replace(name, relation.clone())?;
        }
        Ok(scope)
    }

    /// Moves relations from this scope to the session that opened it. A session that is not a scope keeps the
    /// relations.
    pub fn hand_over(&self, names: &[&str]) -> Result<(), Error> {
        let Some(outer) = &self.outer else { return Ok(()) };
        for name in names {
            let relation = self.relations().get(*name).cloned();
            let relation = relation.ok_or_else(|| Error::NotRegistered { name: (*name).to_owned() })?;
            self.drop_relation(&[name])?;
            outer.replace(name, relation)?;
        }
        Ok(())
    }

    fn relations(&self) -> MutexGuard<'_, BTreeMap<String, Relation>> {
        self.relations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a relation is registered under this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.relations().contains_key(name)
    }

    /// The kept physical plans of a scope of batches.
    #[cfg(test)]
    pub(super) fn kept_plans(&self) -> Option<&Arc<KeptPlans>> {
        self.kept_plans.as_ref()
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<String, LogicalPlan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn context(&self) -> &SessionContext {
        &self.context
    }

    fn replace(&self, name: &str, relation: Relation) -> Result<(), Error> {
        let failed = |source| Error::Engine { what: format!("register {name}"), source: Box::new(source) };
        self.context.deregister_table(name).map_err(failed)?;
        self.context.register_table(name, Arc::clone(&relation.table)).map_err(failed)?;
        self.relations().insert(name.to_owned(), relation);
        Ok(())
    }

    /// Registers a table without rows in memory.
    pub(super) fn register_table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), Error> {
        self.replace(name, Relation { table, order: Vec::new(), _rows: None })
    }

    /// Registers rows under a name, and drops the earlier relation with this name.
    pub fn register_rows(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<(), Error> {
        self.register_in_order(name, schema, batches, Vec::new())
    }

    /// Registers rows with their order. Statements that need this order do not sort the rows again.
    pub(super) fn register_in_order(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        order: Vec<SortExpr>,
    ) -> Result<(), Error> {
        let rows = self.reserve(name, &batches)?;
        // Operators process batch by batch. A long batch is split, so that its rows can be distributed to several
        // threads.
        let batches = batches.iter().flat_map(in_slices).collect();
        let table = MemTable::try_new(schema, vec![batches]);
        let mut table = table.map_err(Error::engine(format!("register {name}")))?;
        if !order.is_empty() {
            table = table.with_sort_order(vec![order.clone()]);
        }
        self.replace(name, Relation { table: Arc::new(table), order, _rows: Some(rows) })
    }

    /// Registers rows under the name of the relation at a path. If the header declares an order, rows in another order
    /// are an error. Without rows, the engine can remove joins with the relation from a plan.
    pub fn register(&self, path: &str, batches: Vec<RecordBatch>) -> Result<(), Error> {
        let relation = statement(path)?;
        if !is_in_order(relation, &batches)? {
            return Err(Error::Unsorted { relation: relation.name.clone(), order: relation.order.join(", ") });
        }
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return self.register_empty(&relation.name, &relation.schema);
        }
        let order = sort_order(&relation.order);
        self.register_in_order(&relation.name, relation.schema.clone(), batches, order)
    }

    /// Reserves the memory of rows. The reservation of the earlier relation with this name is dropped first.
    fn reserve(&self, name: &str, batches: &[RecordBatch]) -> Result<Arc<MemoryReservation>, Error> {
        self.relations().remove(name);
        let columns = batches.iter().flat_map(|batch| batch.columns());
        let bytes = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        let pool = &self.context.runtime_env().memory_pool;
        let reservation = MemoryConsumer::new(format!("the relation {name}")).register(pool);
        reservation.try_grow(bytes).map_err(Error::engine(format!("register {name}")))?;
        Ok(Arc::new(reservation))
    }

    /// Registers the relation at a path without rows, so that the engine can remove joins with this relation from a
    /// plan.
    pub fn register_nothing(&self, path: &str) -> Result<(), Error> {
        let Statement { name, schema, .. } = statement(path)?;
        self.register_empty(name, schema)
    }

    fn register_empty(&self, name: &str, schema: &SchemaRef) -> Result<(), Error> {
        self.relations().remove(name);
        let failed = || Error::engine(format!("register {name}"));
        let schema = DFSchema::try_from(Arc::clone(schema)).map_err(failed())?;
        let empty = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
        let table = Arc::new(ViewTable::new(LogicalPlan::EmptyRelation(empty), None));
        self.replace(name, Relation { table, order: Vec::new(), _rows: None })
    }

    pub fn drop_relation(&self, names: &[&str]) -> Result<(), Error> {
        for name in names {
            self.relations().remove(*name);
            self.context.deregister_table(*name).map_err(Error::engine(format!("drop {name}")))?;
        }
        Ok(())
    }

    /// Registers files of a lake under a name. Without files the relation is empty.
    pub fn register_files<'a>(
        &self,
        name: &str,
        schema: SchemaRef,
        lake: &Lake,
        files: impl IntoIterator<Item = &'a DataFile>,
    ) -> Result<(), Error> {
        let urls: Result<Vec<_>, _> =
            files.into_iter().map(|file| ListingTableUrl::parse(lake.url_of(&file.path))).collect();
        let urls = urls.map_err(Error::engine(format!("register {name}")))?;
        if urls.is_empty() {
            return self.register_empty(name, &schema);
        }
        self.context.register_object_store(lake.store_url(), lake.store());
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
        let table = ListingTable::try_new(config).map_err(Error::engine(format!("register {name}")))?;
        self.replace(name, Relation { table: Arc::new(table), order: Vec::new(), _rows: None })
    }

    /// Runs the statement at a path below `sql/` and checks the rows against the header of the statement.
    #[tracing::instrument(level = "debug", name = "statement", skip(self, parameters), fields(rows))]
    pub async fn run(&self, path: &str, parameters: Parameters) -> Result<Vec<RecordBatch>, Error> {
        Ok(self.run_in_order(statement(path)?, parameters).await?.0)
    }

    /// Runs a statement and gives each batch of its rows to a function, in the order of the rows. The rows are never
    /// in memory together.
    #[tracing::instrument(level = "debug", name = "statement", skip(self, parameters, take), fields(rows))]
    pub async fn run_each<E: From<Error>>(
        &self,
        path: &str,
        parameters: Parameters,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let statement = statement(path)?;
        let (plan, context) = self.physical_plan(statement, parameters.clone()).await?;
        let mut count = 0;
        let mut rows = match execute_stream(plan, context) {
            Ok(rows) => rows,
            Err(error) => return Err(self.failed(statement, &parameters, error).await.into()),
        };
        loop {
            match rows.try_next().await {
                Ok(Some(batch)) => {
                    count += batch.num_rows();
                    take(&conform(statement, &batch)?)?;
                }
                Ok(None) => break,
                Err(error) => return Err(self.failed(statement, &parameters, error).await.into()),
            }
        }
        tracing::Span::current().record("rows", count);
        Ok(())
    }

    /// Runs a statement. Returns its rows and the order of the rows, as the plan states it.
    async fn run_in_order(
        &self,
        statement: &'static Statement,
        parameters: Parameters,
    ) -> Result<(Vec<RecordBatch>, Vec<SortExpr>), Error> {
        let (batches, order) = self.collect(statement, parameters).await?;
        tracing::Span::current().record("rows", batches.iter().map(RecordBatch::num_rows).sum::<usize>());
        let batches = batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conform(statement, batch));
        Ok((batches.collect::<Result<_, _>>()?, order))
    }

    /// Runs a statement and registers the rows under the name of the statement, for later statements. The rows keep
    /// their order.
    #[tracing::instrument(level = "debug", name = "statement", skip(self, parameters), fields(rows))]
    pub async fn materialize(&self, path: &str, parameters: Parameters) -> Result<Vec<RecordBatch>, Error> {
        let statement = statement(path)?;
        let (batches, order) = self.run_in_order(statement, parameters).await?;
        if batches.is_empty() {
            self.register_empty(&statement.name, &statement.schema)?;
        } else {
            self.register_in_order(&statement.name, statement.schema.clone(), batches.clone(), order)?;
        }
        Ok(batches)
    }

    /// The registered rows of the relation at a path. Rows in memory keep the order of their registration, which a
    /// query would not guarantee.
    pub async fn rows_of(&self, path: &str) -> Result<Vec<RecordBatch>, Error> {
        let statement = statement(path)?;
        let failed = || Error::engine(format!("rows of {}", statement.name));
        let table = self.context.table_provider(&statement.name).await.map_err(failed())?;
        let batches = match table.downcast_ref::<MemTable>() {
            Some(table) => batches_of(table).await,
            None => {
                let table = self.context.table(&statement.name).await.map_err(failed())?;
                table.collect().await.map_err(failed())?
            }
        };
        batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conform(statement, batch)).collect()
    }

    /// The columns, the order and the batches of a relation in memory.
    async fn rows_in_memory(&self, name: &str) -> Option<(SchemaRef, Vec<SortExpr>, Vec<RecordBatch>)> {
        let relation = self.relations().get(name).cloned()?;
        let table = relation.table.downcast_ref::<MemTable>()?;
        Some((table.schema(), relation.order, batches_of(table).await))
    }

    /// Runs a check and returns the rows that violate it.
    #[tracing::instrument(level = "debug", name = "check", skip(self, parameters))]
    pub async fn violations(&self, path: &str, parameters: Parameters) -> Result<Vec<RecordBatch>, Error> {
        let check = statement(path)?;
        Ok(self.collect(check, parameters).await?.0)
    }

    /// The rows of a statement and their order, as the plan states it.
    async fn collect(
        &self,
        statement: &'static Statement,
        parameters: Parameters,
    ) -> Result<(Vec<RecordBatch>, Vec<SortExpr>), Error> {
        let (plan, context) = self.physical_plan(statement, parameters.clone()).await?;
        let order = order_of(plan.as_ref());
        match collect(plan, context).await {
            Ok(batches) => Ok((batches, order)),
            Err(error) => Err(self.failed(statement, &parameters, error).await),
        }
    }

    /// The plan of a statement, and the context of its run.
    async fn physical_plan(
        &self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), Error> {
        if let Some(kept) = &self.kept_plans
            && let Some(key) = self.key_of_plan(statement, &parameters)?
        {
            return self.kept_plan(kept, key, statement, parameters).await;
        }
        let plan = self.optimized_plan(statement, parameters).await?;
        Ok((self.physical_plan_of(statement, &plan).await?, self.context.task_ctx()))
    }

    /// The plan of a statement, and the context with its rows. The first run makes the plan, and later runs use it.
    async fn kept_plan(
        &self,
        kept: &KeptPlans,
        key: String,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), Error> {
        let failed = || Error::engine(format!("sql/{}", statement.path));
        let mut names = BTreeSet::new();
        self.add_relations(statement, &mut names)?;
        let (mut inputs, mut rows) = (BTreeMap::new(), BTreeMap::new());
        for name in names {
            let Some((schema, order, batches)) = self.rows_in_memory(&name).await else { continue };
            inputs.insert(name.clone(), Shape { schema, order });
            rows.insert(name, batches);
        }
        let plan = match kept.get(&key, &inputs) {
            Some(plan) => plan,
            None => {
                let logical = self.optimized_plan(statement, parameters).await?;
                let table = |name: &str, _: &_| inputs.get(name).map(|shape| NamedRows::table(name, shape)).transpose();
                let (logical, _) = with_tables(logical, table).map_err(failed())?;
                let plan = self.physical_plan_of(statement, &logical).await?;
                kept.insert(key, Arc::clone(&plan), inputs);
                plan
            }
        };
        kept_plan::ready(&plan, &self.context, RowsByName(rows)).map_err(failed())
    }

    async fn physical_plan_of(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
    ) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let mut state = self.context.state();
        if reads_in_order(statement)? {
            state.config_mut().options_mut().execution.target_partitions = 1;
        }
        let planned = state.query_planner().create_physical_plan(plan, &state).await;
        planned.map_err(Error::engine(format!("sql/{}", statement.path)))
    }

    /// The optimized plan of a statement. A statement runs once for each account batch, and the batches differ only in
    /// their rows. So the plan is kept and reads the registered rows of the next batch.
    async fn optimized_plan(&self, statement: &Statement, parameters: Parameters) -> Result<LogicalPlan, Error> {
        let failed = || Error::engine(format!("sql/{}", statement.path));
        let key = self.key_of_plan(statement, &parameters)?;
        if let Some(kept) = key.as_ref().and_then(|key| self.plans().get(key).cloned())
            && let Some(plan) = self.over_registered_rows(kept).map_err(failed())?
        {
            return Ok(plan);
        }
        let plan = self.plan(statement, parameters).await?.into_optimized_plan().map_err(failed())?;
        if let Some(key) = key {
            let without_rows = with_tables(plan.clone(), |_, schema| empty_table(schema).map(Some));
            self.plans().insert(key, without_rows.map_err(failed())?.0);
        }
        Ok(plan)
    }

    /// The statement, its parameters, and for each relation whether it has rows. `None` if a relation is in files: its
    /// plan is not kept.
    fn key_of_plan(&self, statement: &Statement, parameters: &Parameters) -> Result<Option<String>, Error> {
        let mut names = BTreeSet::new();
        self.add_relations(statement, &mut names)?;
        let mut key = format!("{} {:?}", statement.path, parameters.0);
        let relations = self.relations();
        for name in names {
            let has_rows = match relations.get(&name).map(|relation| &relation.table) {
                Some(table) if table.downcast_ref::<MemTable>().is_some() => true,
                Some(table) if table.downcast_ref::<ViewTable>().is_some() => false,
                _ => return Ok(None),
            };
            key.push_str(if has_rows { " rows " } else { " empty " });
            key.push_str(&name);
        }
        Ok(Some(key))
    }

    /// Adds the relations that a statement reads, itself or through an intermediate relation.
    fn add_relations(&self, statement: &Statement, names: &mut BTreeSet<String>) -> Result<(), Error> {
        for name in &statement.reads {
            let is_it = |relation: &&Statement| relation.is_intermediate() && relation.name == *name;
            match statements()?.values().find(is_it) {
                Some(intermediate) => self.add_relations(intermediate, names)?,
                None => drop(names.insert(name.clone())),
            }
        }
        Ok(())
    }

    /// A kept plan that reads the relations as they are registered now. `None` if a relation has other columns than at
    /// the time of planning.
    fn over_registered_rows(&self, plan: LogicalPlan) -> Result<Option<LogicalPlan>, DataFusionError> {
        let relations = self.relations();
        let registered = |name: &str, schema: &SchemaRef| {
            let table = relations.get(name).map(|relation| Arc::clone(&relation.table));
            Ok(table.filter(|table| table.schema() == *schema))
        };
        let (plan, is_complete) = with_tables(plan, registered)?;
        Ok(is_complete.then_some(plan))
    }

    pub(super) async fn plan(&self, statement: &Statement, parameters: Parameters) -> Result<DataFrame, Error> {
        // The engine checks neither the names nor the types of named parameters.
        for (name, kind) in &statement.parameters {
            match parameters.0.get(name.as_str()) {
                None => {
                    return Err(Error::MissingParameter { path: statement.path.to_owned(), name: name.clone() });
                }
                Some(value) if value.data_type() != *kind => {
                    return Err(Error::Contract {
                        path: statement.path.to_owned(),
                        column: format!("${name}"),
                        expected: kind.to_string(),
                        found: value.data_type().to_string(),
                    });
                }
                Some(_) => {}
            }
        }
        let is_unknown = |name: &&&str| !statement.parameters.iter().any(|parameter| parameter.0 == ***name);
        if let Some(name) = parameters.0.keys().find(is_unknown) {
            return Err(Error::UnknownParameter { path: statement.path.to_owned(), name: (*name).to_owned() });
        }
        let failed = || Error::engine(format!("sql/{}", statement.path));
        let mut frame = self.context.sql_with_options(&statement.sql, read_only()).await.map_err(failed())?;
        if reads_in_order(statement)? {
            // Several threads would divide the groups of an ordered aggregate, and sort their rows again.
            let (mut state, plan) = frame.into_parts();
            state.config_mut().options_mut().execution.target_partitions = 1;
            frame = DataFrame::new(state, plan);
        }
        if parameters.0.is_empty() {
            return Ok(frame);
        }
        let values = parameters.0.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        frame.with_param_values(ParamValues::Map(values)).map_err(failed())
    }

    /// Plans a query without optimizing or running it. The relations that the query reads must be registered.
    pub async fn logical_plan(&self, text: &str) -> Result<LogicalPlan, Error> {
        let planned = self.context.sql_with_options(text, read_only()).await;
        Ok(planned.map_err(|error| Error::invalid_query(&error))?.into_unoptimized_plan())
    }

    /// The names of the relations that a query reads.
    pub async fn relations_read(&self, text: &str) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        let plan = self.logical_plan(text).await?;
        let visited = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                names.insert(scan.table_name.table().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        visited.map_err(|error| Error::invalid_query(&error))?;
        Ok(names)
    }

    /// Runs a query of the user. The query may only read.
    pub async fn query(&self, text: &str) -> Result<(SchemaRef, Vec<RecordBatch>), Error> {
        let planned = self.context.sql_with_options(text, read_only()).await;
        let frame = planned.map_err(|error| Error::invalid_query(&error))?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(Error::engine("of the user"))?;
        Ok((schema, batches))
    }
}

/// Whether a statement reads a relation with a declared order.
fn reads_in_order(statement: &Statement) -> Result<bool, Error> {
    let has_order = |name: &String| statements().map(|all| all.values().any(|read| is_ordered(read, name)));
    let is_ordered: Result<Vec<bool>, Error> = statement.reads.iter().map(has_order).collect();
    Ok(is_ordered?.contains(&true))
}

fn is_ordered(relation: &Statement, name: &str) -> bool {
    relation.name == name && !relation.order.is_empty()
}

/// The declared order of a relation, as the engine expresses it.
pub(super) fn sort_order(order: &[String]) -> Vec<SortExpr> {
    order.iter().map(|name| col(name).sort(true, false)).collect()
}

/// Whether rows have the order that the header of their relation declares.
fn is_in_order(relation: &Statement, batches: &[RecordBatch]) -> Result<bool, Error> {
    if relation.order.is_empty() {
        return Ok(true);
    }
    let failed = |source| Error::Rows { relation: relation.name.clone(), source };
    let rows = concat_batches(&relation.schema, batches).map_err(failed)?;
    let column = |name: &String| {
        rows.column_by_name(name).map(|values| SortColumn { values: Arc::clone(values), options: None })
    };
    let columns: Vec<SortColumn> = relation.order.iter().filter_map(column).collect();
    let comparator = LexicographicalComparator::try_new(&columns).map_err(failed)?;
    Ok((1..rows.num_rows()).all(|row| comparator.compare(row - 1, row).is_le()))
}

/// The order of the rows of a plan, as far as it consists of columns. Several partitions have no common order.
fn order_of(plan: &dyn ExecutionPlan) -> Vec<SortExpr> {
    if plan.output_partitioning().partition_count() != 1 {
        return Vec::new();
    }
    let column = |by: &PhysicalSortExpr| {
        let column = by.expr.downcast_ref::<ColumnOfPlan>()?;
        let column = Expr::Column(Column::from_name(column.name()));
        Some(SortExpr::new(column, !by.options.descending, by.options.nulls_first))
    };
    plan.output_ordering().into_iter().flatten().map_while(column).collect()
}

/// Replaces the tables of a plan by those of a function, and returns whether the function had every table.
fn with_tables(
    plan: LogicalPlan,
    table_of: impl Fn(&str, &SchemaRef) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError>,
) -> Result<(LogicalPlan, bool), DataFusionError> {
    let mut is_complete = true;
    let replaced = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        match table_of(scan.table_name.table(), &scan.source.schema())? {
            Some(table) => scan.source = provider_as_source(table),
            None => is_complete = false,
        }
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok((replaced.data, is_complete))
}

async fn batches_of(table: &MemTable) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for partition in &table.batches {
        batches.extend(partition.read().await.iter().cloned());
    }
    batches
}

fn empty_table(schema: &SchemaRef) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    Ok(Arc::new(MemTable::try_new(Arc::clone(schema), vec![Vec::new()])?))
}

/// Splits a batch into slices of at most `BATCH_ROWS` rows.
fn in_slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(BATCH_ROWS).map(move |start| batch.slice(start, BATCH_ROWS.min(rows - start)))
}

fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Checks a batch against the schema of a statement and returns it with this schema. Names and types must be equal, and
/// a `not null` column must contain no null.
///
/// The values decide whether a column contains nulls, because the engine may mark a `not null` column as nullable. No
/// type is converted, except for texts in another Arrow encoding.
pub(super) fn conform(statement: &Statement, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let broken = |column: &str, expected: String, found: String| Error::Contract {
        path: statement.path.to_owned(),
        column: column.to_owned(),
        expected,
        found,
    };
    if batch.num_columns() != statement.schema.fields().len() {
        let found = batch.num_columns().to_string();
        return Err(broken("*", format!("{} columns", statement.schema.fields().len()), found));
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (index, field) in statement.schema.fields().iter().enumerate() {
        let found = batch.schema_ref().field(index);
        if found.name() != field.name() {
            return Err(broken(field.name(), field.name().clone(), found.name().clone()));
        }
        let mut column = Arc::clone(batch.column(index));
        if matches!(column.data_type(), DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(_, _))
            && *field.data_type() == DataType::Utf8
        {
            column = cast(&column, &DataType::Utf8)
                .map_err(|source| Error::Rows { relation: statement.name.clone(), source })?;
        }
        if column.data_type() != field.data_type() {
            return Err(broken(field.name(), field.data_type().to_string(), column.data_type().to_string()));
        }
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(broken(field.name(), "not null".to_owned(), format!("{} nulls", column.null_count())));
        }
        columns.push(column);
    }
    RecordBatch::try_new(statement.schema.clone(), columns)
        .map_err(|source| Error::Rows { relation: statement.name.clone(), source })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, UInt64Array};
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::query::tests::{metered_days, used_series};

    /// Registered rows reduce the memory of operators. If the limit is exceeded, the registration fails with an error.
    #[tokio::test]
    async fn rows_and_operators_share_one_limit() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("number", DataType::UInt64, false)]));
        let numbers = |count: u64| {
            let numbers = UInt64Array::from_iter_values((0..count).map(|number| number.wrapping_mul(7_919) % count));
            vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).unwrap()]
        };
        let session = Session::new(Some(64 << 20)).unwrap();
        session.register_rows("few", Arc::clone(&schema), numbers(1_000_000)).unwrap();
        // A registration under the same name replaces the earlier rows.
        for _ in 0..10 {
            session.register_rows("few", Arc::clone(&schema), numbers(1_000_000)).unwrap();
        }
        let (_, sorted) = session.query("SELECT number FROM few ORDER BY number").await.unwrap();
        assert_eq!(sorted.iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000_000);
        let refused = session.register_rows("many", Arc::clone(&schema), numbers(10_000_000));
        assert!(matches!(refused, Err(Error::Memory { what, .. }) if what == "register many"));
        session.drop_relation(&["few"]).unwrap();
        session.register_rows("few", Arc::clone(&schema), numbers(5_000_000)).unwrap();
    }

    /// The plan of a statement is kept, and reads the rows that are registered when it runs.
    #[tokio::test]
    async fn a_kept_plan_reads_the_rows_of_its_next_run() {
        let session = Session::new(None).unwrap();
        session.register_nothing("rating/payer_series").unwrap();
        session.register("metering/metered_day", metered_days(&[3, 1, 3])).unwrap();
        assert_eq!(used_series(&session).await, [1, 3]);
        assert_eq!(session.plans().len(), 1);
        session.register("metering/metered_day", metered_days(&[9, 2])).unwrap();
        assert_eq!(used_series(&session).await, [2, 9]);
        assert_eq!(session.plans().len(), 1, "rows in the place of other rows need no other plan");
        session.register_nothing("metering/metered_day").unwrap();
        assert!(used_series(&session).await.is_empty());
        assert_eq!(session.plans().len(), 2, "an empty relation is a part of the plan");
        session.register("metering/metered_day", metered_days(&[5])).unwrap();
        assert_eq!(used_series(&session).await, [5]);
        // Other columns under the same name: the kept plan cannot read them.
        let ids = UInt64Array::from(vec![8, 7]);
        let schema = Arc::new(Schema::new(vec![Field::new("series_id", DataType::UInt64, false)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids)]).unwrap();
        session.register_rows("metered_day", schema, vec![batch]).unwrap();
        let refused = session.run("rating/used_series", Parameters::none()).await;
        assert!(refused.is_err(), "the statement reads charge_date");
    }

    /// Rows are registered with the order of their statement, and a statement that needs this order does not sort.
    #[tokio::test]
    async fn the_rows_of_a_statement_keep_their_order() {
        let session = Session::new(None).unwrap();
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values((0..9).rev()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("series_id", DataType::UInt64, false),
            Field::new("charge_date", DataType::Date32, false),
        ]));
        let dates = cast(&cast(&Int64Array::from_value(1, 9), &DataType::Int32).unwrap(), &DataType::Date32).unwrap();
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids, dates]).unwrap();
        session.register_nothing("rating/payer_series").unwrap();
        session.register_rows("metered_day", schema, vec![batch]).unwrap();
        let sorts = async |relation: &str, column: &str| {
            let frame = session.context.sql(&format!("SELECT * FROM {relation} ORDER BY {column}")).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string().contains("SortExec")
        };
        assert!(sorts("metered_day", "series_id").await);
        session.materialize("rating/used_series", Parameters::none()).await.unwrap();
        assert!(!sorts("used_series", "metered_series_id").await);
    }

    /// A scope reads the relations of its session, replaces them only for itself, and keeps no rows after its end.
    #[tokio::test]
    async fn a_scope_keeps_only_the_relations_that_it_hands_over() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("number", DataType::UInt64, false)]));
        let rows = |number: u64| {
            let numbers = UInt64Array::from_iter_values([number]);
            vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).unwrap()]
        };
        let number = async |session: &Session, name: &str| {
            let (_, batches) = session.query(&format!("SELECT number FROM {name}")).await.ok()?;
            batches[0].column(0).as_any().downcast_ref::<UInt64Array>().map(|numbers| numbers.value(0))
        };
        let session = Session::new(Some(64 << 20)).unwrap();
        for (name, of_session) in [("read", 1), ("replaced", 2), ("handed_over", 3)] {
            session.register_rows(name, Arc::clone(&schema), rows(of_session)).unwrap();
        }
        let reserved = session.context.runtime_env().memory_pool.reserved();
        let scope = session.scope().unwrap();
        for (name, of_scope) in [("replaced", 20), ("handed_over", 30), ("intermediate", 40)] {
            scope.register_rows(name, Arc::clone(&schema), rows(of_scope)).unwrap();
        }
        assert_eq!(number(&scope, "read").await, Some(1));
        assert_eq!(number(&scope, "replaced").await, Some(20));
        assert_eq!(number(&session, "replaced").await, Some(2));
        scope.hand_over(&["handed_over"]).unwrap();
        assert!(matches!(scope.hand_over(&["missing"]), Err(Error::NotRegistered { name }) if name == "missing"));
        drop(scope);
        assert_eq!(number(&session, "replaced").await, Some(2));
        assert_eq!(number(&session, "handed_over").await, Some(30));
        assert_eq!(number(&session, "intermediate").await, None);
        assert_eq!(session.context.runtime_env().memory_pool.reserved(), reserved, "the rows of the scope are freed");
    }
}
