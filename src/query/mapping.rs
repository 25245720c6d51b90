//! The `select` of a source: a mapping from the columns of a file to the columns of usage records, row by row.
//!
//! A mapping is planned once for the schema of a file, before the file is read. The rows are then mapped in their
//! order, so that the line of each record is available. Therefore a mapping may compute, select and repeat rows
//! (`WHERE`, `UNION ALL`), but it must not join, group or sort them. The arithmetic of a mapping is exact: floats are
//! not allowed.
//!
//! A select that reads a [column of lists](super::lists) has one row for each element of the innermost list, with the
//! other columns repeated.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, SchemaError};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::lists::{Elements, depth_of, list_of};
use super::{Error, Session};
use crate::model::diagnostic::closest;
use crate::model::path::{self, Positions};

/// The name by which a select reads the file.
pub const FILE: &str = "source";
/// The column of the result with the id of a record.
const RECORD_ID: &str = "record_id";

/// The reason why a select is not a valid mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("the select cannot be read: {0}")]
    Unreadable(String),
    #[error("the file has no column `{column}`")]
    UnknownColumn { column: String, hint: String },
    #[error("the select has {0}, but each record must come from one row")]
    NotByRow(&'static str),
    #[error("`{0}` is a float, but quantities must be exact")]
    NotExact(String),
    #[error("`{0}` can return another result each time")]
    Volatile(String),
    #[error("the select reads the elements of `{0}[]` and of `{1}[]`, expected one list, or lists within each other")]
    SeveralLists(String, String),
}

impl MappingError {
    /// The next step for the user.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable(_) => format!(
                "such as SELECT 'vcpus' AS meter, vm AS resource_id, … FROM {FILE}; columns of CSV and JSON are text"
            ),
            Self::UnknownColumn { hint, .. } => hint.clone(),
            Self::NotByRow(_) => "use only expressions, WHERE and UNION ALL".to_owned(),
            Self::NotExact(_) => "cast the column first: CAST(hours AS DECIMAL(28,9)) * 4".to_owned(),
            Self::Volatile(_) => "remove it: the same file must result in the same records".to_owned(),
            Self::SeveralLists(..) => "write one select for each list, and connect them with UNION ALL".to_owned(),
        }
    }
}

/// A select that was planned for the schema of a file.
#[derive(Clone, Debug)]
pub struct Mapping {
    branches: Vec<Branch>,
    schema: SchemaRef,
}

/// One select of a mapping. `UNION ALL` connects several selects.
#[derive(Clone, Debug)]
struct Branch {
    condition: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    /// The path of the innermost list whose elements are the rows of the select.
    list: Option<String>,
    /// The number of lists through which the record id leads.
    id_depth: usize,
    /// Whether the select reads each column of the file.
    reads: Vec<bool>,
}

/// The row or element from which a row of the result comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappedFrom {
    pub row: usize,
    branch: usize,
    /// The positions of the element. `None` if the select reads no list.
    positions: Option<Positions>,
}

/// The element of a list from which a row of the result comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedElement<'m> {
    /// The path of the innermost list.
    pub list: &'m str,
    /// The positions in the list, and in the lists around it.
    pub positions: Positions,
    /// The number of lists through which the record id leads.
    pub id_depth: usize,
}

/// The result of a mapping for the rows of a batch.
#[derive(Debug)]
pub struct Mapped {
    pub batch: RecordBatch,
    /// The origin of each row of the result.
    pub origin: Vec<MappedFrom>,
    /// The rows or elements of the input that cannot be mapped, each with the reason.
    pub failed: Vec<(MappedFrom, String)>,
    /// The rows whose list is absent or empty, each with the path of the list.
    pub without_elements: Vec<(usize, String)>,
}

/// The rows of a batch from the view of one select.
struct Expanded {
    batch: RecordBatch,
    origin: Vec<MappedFrom>,
}

/// The result of one select.
struct Part {
    batch: RecordBatch,
    origin: Vec<MappedFrom>,
    /// The selected rows without an element, each with the number of its select.
    empty_rows: Vec<(usize, usize)>,
}

impl Mapping {
    /// Plans a select for the columns of a file.
    pub async fn new(text: &str, file: &SchemaRef) -> Result<Self, MappingError> {
        let unreadable = |error: Error| MappingError::Unreadable(error.to_string());
        let session = Session::new(None).map_err(unreadable)?;
        let delivered = Arc::clone(file);
        let file = &with_elements(file);
        session.register_rows(FILE, Arc::clone(file), Vec::new()).map_err(unreadable)?;
        let text = text.trim().trim_end_matches(';');
        let plan = session.context().state().create_logical_plan(text).await.map_err(|error| describe(&error, file))?;
        let mut selects = Vec::new();
        collect_selects(&plan, &mut selects)?;
        let record_id = plan.schema().fields().iter().position(|field| field.name() == RECORD_ID);
        let mut branches = Vec::with_capacity(selects.len());
        for select in selects {
            let mut branch = Branch::new(&session, &select, file)?;
            branch.find_list(&select, &delivered, record_id)?;
            branches.push(branch);
        }
        let names = plan.schema().fields().iter().map(|field| field.name().clone());
        let kinds: Result<Vec<DataType>, _> = branches[0].columns.iter().map(|column| column.data_type(file)).collect();
        let kinds = kinds.map_err(|error| describe(&error, file))?;
        let fields: Vec<Field> = names.zip(kinds).map(|(name, kind)| Field::new(name, kind, true)).collect();
        let mut mapping = Self { branches, schema: Arc::new(Schema::new(fields)) };
        mapping.unify_types(file)?;
        Ok(mapping)
    }

    /// The columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a select reads a column of the file.
    pub fn reads(&self, column: usize) -> bool {
        self.branches.iter().any(|branch| branch.reads.get(column).copied().unwrap_or(true))
    }

    /// The element of a list from which a row comes. `None` if the row does not come from a list.
    pub fn element(&self, origin: MappedFrom) -> Option<MappedElement<'_>> {
        let branch = self.branches.get(origin.branch)?;
        let list = branch.list.as_deref()?;
        Some(MappedElement { list, positions: origin.positions?, id_depth: branch.id_depth })
    }

    /// Whether one of the selects reads none of some columns of the file.
    pub fn has_select_without(&self, is_of_columns: impl Fn(usize) -> bool) -> bool {
        let reads_any =
            |branch: &Branch| (0..).zip(&branch.reads).any(|(column, reads)| *reads && is_of_columns(column));
        !self.branches.iter().all(reads_any)
    }

    /// Converts a column to text if the selects of a union give it different types. Every value can be read from text.
    fn unify_types(&mut self, file: &SchemaRef) -> Result<(), MappingError> {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        for branch in &self.branches[1..] {
            for (field, column) in fields.iter_mut().zip(&branch.columns) {
                let kind = column.data_type(file).map_err(|error| describe(&error, file))?;
                if *field.data_type() == DataType::Null {
                    field.set_data_type(kind);
                } else if kind != DataType::Null && kind != *field.data_type() {
                    field.set_data_type(DataType::Utf8);
                }
            }
        }
        self.schema = Arc::new(Schema::new(fields));
        Ok(())
    }

    /// Maps the rows of a batch, which must have the columns of the planned file. The records are in the order of the
    /// rows. The records of one row are in the order of the selects.
    pub fn apply(&self, batch: &RecordBatch) -> Result<Mapped, arrow::error::ArrowError> {
        let parts: Result<Vec<Part>, DataFusionError> =
            self.expanded(batch)?.iter().map(|(branch, expanded)| branch.mapped(expanded, &self.schema)).collect();
        match parts {
            Ok(parts) => self.ordered(parts, Vec::new()),
            // One value that cannot be cast makes the whole batch fail. To find such values, each row is mapped
            // separately.
            Err(_) => {
                let (mut parts, mut failed) = (Vec::new(), Vec::new());
                for row in 0..batch.num_rows() {
                    self.map_row(batch, row, &mut parts, &mut failed)?;
                }
                self.ordered(parts, failed)
            }
        }
    }

    /// The batch from the view of each select.
    fn expanded(&self, batch: &RecordBatch) -> Result<Vec<(&Branch, Expanded)>, arrow::error::ArrowError> {
        let branches = self.branches.iter().enumerate();
        branches.map(|(number, branch)| Ok((branch, branch.expanded(batch, number)?))).collect()
    }

    /// Maps one row. If a value outside of a list fails, the row has no records. If an element fails, the other
    /// elements remain.
    fn map_row(
        &self,
        batch: &RecordBatch,
        row: usize,
        parts: &mut Vec<Part>,
        failed: &mut Vec<(MappedFrom, String)>,
    ) -> Result<(), arrow::error::ArrowError> {
        let mut of_row = Vec::new();
        let mut of_elements = Vec::new();
        for (branch, mut expanded) in self.expanded(&batch.slice(row, 1))? {
            expanded.origin.iter_mut().for_each(|origin| origin.row = row);
            for (index, origin) in expanded.origin.iter().enumerate() {
                let one = Expanded { batch: expanded.batch.slice(index, 1), origin: vec![*origin] };
                match branch.mapped(&one, &self.schema) {
                    Ok(part) => of_row.push(part),
                    Err(error) if origin.positions.is_some() => of_elements.push((*origin, Error::plain(&error))),
                    Err(error) => {
                        failed.push((*origin, Error::plain(&error)));
                        return Ok(());
                    }
                }
            }
        }
        parts.append(&mut of_row);
        failed.append(&mut of_elements);
        Ok(())
    }

    /// The rows of all parts in the order of their origins.
    fn ordered(&self, parts: Vec<Part>, failed: Vec<(MappedFrom, String)>) -> Result<Mapped, arrow::error::ArrowError> {
        let mut batch = concat_batches(&self.schema, parts.iter().map(|part| &part.batch))?;
        let mut origin: Vec<MappedFrom> = parts.iter().flat_map(|part| part.origin.iter().copied()).collect();
        if !origin.is_sorted() {
            let mut order: Vec<(MappedFrom, u32)> = origin.iter().copied().zip(0..).collect();
            order.sort_unstable();
            let places = UInt32Array::from_iter_values(order.iter().map(|(_, place)| *place));
            batch = take_record_batch(&batch, &places)?;
            origin = order.into_iter().map(|(origin, _)| origin).collect();
        }
        let empty_rows = parts.iter().flat_map(|part| &part.empty_rows);
        let list_of = |branch: usize| self.branches[branch].list.clone().unwrap_or_default();
        let mut without_elements: Vec<_> = empty_rows.map(|(row, branch)| (*row, list_of(*branch))).collect();
        without_elements.sort_unstable();
        Ok(Mapped { batch, origin, failed, without_elements })
    }
}

impl Branch {
    fn new(session: &Session, select: &Select<'_>, file: &SchemaRef) -> Result<Self, MappingError> {
        let failed = |error: DataFusionError| describe(&error, file);
        let compiled = |expr: &Expr| {
            check(expr, select.input)?;
            session.context().create_physical_expr(expr.clone(), select.input).map_err(failed)
        };
        Ok(Self {
            condition: select.condition.map(compiled).transpose()?,
            columns: select.columns.iter().map(compiled).collect::<Result<_, _>>()?,
            list: None,
            id_depth: 0,
            reads: Vec::new(),
        })
    }

    /// Finds the list whose elements the select reads. `file` has the columns of lists, and `record_id` is the column
    /// of the record id in the result.
    fn find_list(
        &mut self,
        select: &Select<'_>,
        file: &SchemaRef,
        record_id: Option<usize>,
    ) -> Result<(), MappingError> {
        let lists_read_by = |expr: &Expr| -> Vec<&str> {
            let names = expr.column_refs().into_iter().map(|column| column.name.as_str());
            names.filter_map(|name| list_of(file.field_with_name(name).ok()?)).collect()
        };
        let all = || select.condition.into_iter().chain(select.columns);
        let lists: BTreeSet<&str> = all().flat_map(lists_read_by).collect();
        let list = path::innermost(lists)
            .map_err(|(first, second)| MappingError::SeveralLists(first.to_owned(), second.to_owned()))?;
        self.list = list.map(str::to_owned);
        let lists_of_id = record_id.and_then(|column| select.columns.get(column)).map(lists_read_by);
        let depths = lists_of_id.into_iter().flatten().map(|list| path::depth_of(list) + 1);
        self.id_depth = depths.max().unwrap_or(0);
        let reads = |name: &str| all().any(|expr| expr.column_refs().iter().any(|column| column.name == name));
        self.reads = file.fields().iter().map(|field| reads(field.name())).collect();
        Ok(())
    }

    /// The rows of the select: one for each row of the batch, or one for each element of the list.
    fn expanded(&self, batch: &RecordBatch, branch: usize) -> Result<Expanded, arrow::error::ArrowError> {
        let Some(list) = &self.list else {
            let origin = |row: usize| MappedFrom { row, branch, positions: None };
            return Ok(Expanded { batch: batch.clone(), origin: (0..batch.num_rows()).map(origin).collect() });
        };
        let schema = batch.schema();
        // A column that no select reads may be null.
        let is_read_list = |(field, is_read): (&Arc<Field>, &bool)| *is_read && list_of(field) == Some(list);
        let lists = schema.fields().iter().zip(&self.reads).position(is_read_list).map(|index| batch.column(index));
        let Some(lists) = lists.and_then(|lists| lists.as_list_opt::<i32>()) else {
            return Err(arrow::error::ArrowError::SchemaError(format!("there is no column of the list `{list}`")));
        };
        let elements = Elements::of(lists, path::depth_of(list) + 1);
        let count = elements.positions().len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        let planned = with_elements(&schema);
        for ((column, field), (planned, is_read)) in
            batch.columns().iter().zip(schema.fields()).zip(planned.fields().iter().zip(&self.reads))
        {
            columns.push(match is_read {
                true => elements.flatten(column, depth_of(field))?,
                false => new_null_array(planned.data_type(), count),
            });
        }
        let origin = elements.rows().zip(elements.positions());
        let origin = origin.map(|(row, positions)| MappedFrom { row, branch, positions: *positions }).collect();
        // A column that the select does not read may be null, whatever the file states.
        let fields: Vec<Field> =
            planned.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        Ok(Expanded { batch: RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?, origin })
    }

    fn mapped(&self, expanded: &Expanded, schema: &SchemaRef) -> Result<Part, DataFusionError> {
        let Expanded { batch, origin } = expanded;
        let mut is_selected: Vec<bool> = vec![true; origin.len()];
        if let Some(condition) = &self.condition {
            let selected = condition.evaluate(batch)?.into_array(batch.num_rows())?;
            if let Some(selected) = selected.as_any().downcast_ref::<BooleanArray>() {
                is_selected = selected.iter().map(|selected| selected == Some(true)).collect();
            }
        }
        let is_element = |origin: &MappedFrom| self.list.is_none() || origin.positions.is_some();
        let selected = || origin.iter().zip(&is_selected).filter(|(_, selected)| **selected).map(|(origin, _)| *origin);
        let empty_rows = selected().filter(|origin| !is_element(origin)).map(|from| (from.row, from.branch)).collect();
        let kept: Vec<MappedFrom> = selected().filter(is_element).collect();
        let input = if kept.len() == origin.len() {
            batch.clone()
        } else {
            let is_kept = origin.iter().zip(&is_selected).map(|(origin, selected)| *selected && is_element(origin));
            filter_record_batch(batch, &is_kept.map(Some).collect::<BooleanArray>())?
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(schema.fields()) {
            let values = column.evaluate(&input)?.into_array(input.num_rows())?;
            columns.push(arrow::compute::cast(&values, field.data_type())?);
        }
        Ok(Part { batch: RecordBatch::try_new(Arc::clone(schema), columns)?, origin: kept, empty_rows })
    }
}

/// The columns of a file from the view of a select: an element in place of each list.
fn with_elements(file: &SchemaRef) -> SchemaRef {
    let fields = file.fields().iter().map(|field| match depth_of(field) {
        0 => Arc::clone(field),
        depth => {
            let kind = (0..depth).fold(field.data_type(), |kind, _| match kind {
                DataType::List(element) => element.data_type(),
                other => other,
            });
            Arc::new(Field::new(field.name(), kind.clone(), true))
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// One select of a plan.
struct Select<'p> {
    condition: Option<&'p Expr>,
    columns: &'p [Expr],
    input: &'p DFSchema,
}

/// Collects the selects of a plan, which is one select or a union of selects.
fn collect_selects<'p>(plan: &'p LogicalPlan, selects: &mut Vec<Select<'p>>) -> Result<(), MappingError> {
    match plan {
        LogicalPlan::Union(union) => union.inputs.iter().try_for_each(|input| collect_selects(input, selects)),
        LogicalPlan::Projection(projection) => {
            let (condition, from) = match projection.input.as_ref() {
                LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
                other => (None, other),
            };
            let from = match from {
                LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
                other => other,
            };
            match from {
                LogicalPlan::TableScan(_) => {
                    let input = projection.input.schema();
                    selects.push(Select { condition, columns: &projection.expr, input });
                    Ok(())
                }
                other => Err(not_by_row(other)),
            }
        }
        other => Err(not_by_row(other)),
    }
}

fn not_by_row(plan: &LogicalPlan) -> MappingError {
    MappingError::NotByRow(match plan {
        LogicalPlan::Aggregate(_) => "a GROUP BY or a sum",
        LogicalPlan::Distinct(_) => "a DISTINCT, or a UNION without ALL",
        LogicalPlan::Join(_) => "a join",
        LogicalPlan::Sort(_) => "an ORDER BY",
        LogicalPlan::Limit(_) => "a LIMIT",
        LogicalPlan::Window(_) => "a window function",
        LogicalPlan::EmptyRelation(_) => "no FROM",
        _ => "a subquery",
    })
}

/// Refuses expressions that are not exact or not deterministic.
fn check(expr: &Expr, input: &DFSchema) -> Result<(), MappingError> {
    let mut problem = None;
    let walked = expr.apply(|part| {
        if let Expr::ScalarFunction(call) = part
            && call.func.signature().volatility != Volatility::Immutable
        {
            problem.get_or_insert(MappingError::Volatile(format!("{}()", call.name())));
        }
        // The expression inside an alias is checked separately.
        let is_name = matches!(part, Expr::Alias(_));
        if !is_name && part.get_type(input).is_ok_and(|kind| kind.is_floating()) {
            problem.get_or_insert(MappingError::NotExact(part.to_string().replace(&format!("{FILE}."), "")));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error: DataFusionError| MappingError::Unreadable(Error::plain(&error)))?;
    problem.map_or(Ok(()), Err)
}

/// Converts an error of the engine to a message for the author of the select.
fn describe(error: &DataFusionError, file: &SchemaRef) -> MappingError {
    let Some(column) = unknown_column(error) else {
        let text = Error::plain(error);
        return MappingError::Unreadable(text.lines().next().unwrap_or_default().to_owned());
    };
    let names: Vec<&str> = file.fields().iter().map(|field| field.name().as_str()).collect();
    let all = names.join(", ");
    let hint = if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(&column)) {
        format!("write \"{name}\" in double quotes; names without quotes are lower case")
    } else if let Some(name) = closest(&column, names.iter().copied()) {
        format!("did you mean \"{name}\"? The columns are: {all}")
    } else {
        format!("the columns are: {all}; text needs single quotes")
    };
    MappingError::UnknownColumn { column, hint }
}

fn unknown_column(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match &**error {
            SchemaError::FieldNotFound { field, .. } => Some(field.name.clone()),
            _ => None,
        },
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => unknown_column(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{Float64Array, ListBuilder, StringArray, StringBuilder};
    use arrow::util::display::array_value_to_string;

    use super::*;
    use crate::query::lists::LIST;

    fn batch() -> RecordBatch {
        let texts = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        RecordBatch::try_from_iter([
            ("vm", texts(&["a", "b", "c"])),
            ("Hours", texts(&["1.5", "x", "0.000000001"])),
            ("usage.bytes", texts(&["7", "8", "9"])),
            ("load", Arc::new(Float64Array::from(vec![0.1, 0.2, 0.3])) as ArrayRef),
        ])
        .unwrap()
    }

    fn planned(text: &str) -> Result<Mapping, MappingError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Mapping::new(text, &batch().schema()))
    }

    fn rows(text: &str) -> (Vec<String>, Vec<usize>, Vec<(usize, String)>) {
        let mapped = planned(text).unwrap().apply(&batch()).unwrap();
        let cell = |row: usize, column: &ArrayRef| array_value_to_string(column, row).unwrap();
        let row =
            |row: usize| mapped.batch.columns().iter().map(|column| cell(row, column)).collect::<Vec<_>>().join(" ");
        let origin = mapped.origin.iter().map(|origin| origin.row).collect();
        let failed = mapped.failed.into_iter().map(|(origin, problem)| (origin.row, problem)).collect();
        ((0..mapped.batch.num_rows()).map(row).collect(), origin, failed)
    }

    #[test]
    fn records_are_in_the_order_of_rows_and_only_an_invalid_row_is_refused() {
        let (found, origin, failed) = rows(
            "SELECT 'vcpus' AS meter, vm AS resource_id, CAST(\"Hours\" AS DECIMAL(28,9)) * 4 AS quantity FROM source",
        );
        assert_eq!(found, ["vcpus a 6.000000000", "vcpus c 0.000000004"]);
        assert_eq!((origin, failed.len(), failed[0].0), (vec![0, 2], 1, 1));
        assert!(failed[0].1.contains("'x'") || failed[0].1.contains("x"), "{}", failed[0].1);
        let (found, origin, _) = rows(
            "SELECT 'a' AS meter, vm, 1 AS quantity FROM source WHERE vm <> 'b' \
             UNION ALL SELECT 'bytes', vm, \"usage.bytes\" FROM source;",
        );
        assert_eq!(found, ["a a 1", "bytes a 7", "bytes b 8", "a c 1", "bytes c 9"]);
        assert_eq!(origin, [0, 0, 1, 2, 2]);
    }

    /// Two columns of the list `m` and one of the list `o`, with a column `id`.
    fn lists() -> RecordBatch {
        let list = |rows: &[Option<&[&str]>]| -> ArrayRef {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for row in rows {
                builder.append_option(row.map(|row| row.iter().map(|text| Some(*text))));
            }
            Arc::new(builder.finish())
        };
        let field = |name: &str, array: &ArrayRef, of: &str| {
            let metadata = HashMap::from([(LIST.to_owned(), of.to_owned())]);
            Field::new(name, array.data_type().clone(), true).with_metadata(metadata)
        };
        let id: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
        let names = list(&[Some(&["x", "y"]), Some(&[]), None, Some(&["z"])]);
        let sizes = list(&[Some(&["1", "no"]), Some(&[]), None, Some(&["3"])]);
        let others = list(&[Some(&["o"]), Some(&[]), None, None]);
        let fields = vec![
            Field::new("id", DataType::Utf8, true),
            field("m[].name", &names, "m"),
            field("m[].size", &sizes, "m"),
            field("o[]", &others, "o"),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![id, names, sizes, others]).unwrap()
    }

    #[test]
    fn a_select_that_reads_a_list_has_one_row_for_each_element() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let planned = |text: &str| runtime.block_on(Mapping::new(text, &lists().schema()));
        let mapped = |text: &str| {
            let mapping = planned(text).unwrap();
            let mapped = mapping.apply(&lists()).unwrap();
            let cell = |row: usize, column: &ArrayRef| array_value_to_string(column, row).unwrap();
            let place = |origin: MappedFrom| match mapping.element(origin) {
                Some(element) => {
                    let place = path::element_path(element.list, element.positions);
                    format!("{}: {place} {}", origin.row, element.id_depth)
                }
                None => origin.row.to_string(),
            };
            let rows: Vec<String> = (0..mapped.batch.num_rows())
                .map(|row| mapped.batch.columns().iter().map(|column| cell(row, column)).collect::<Vec<_>>().join(" "))
                .zip(&mapped.origin)
                .map(|(cells, origin)| format!("{} | {cells}", place(*origin)))
                .collect();
            let failed: Vec<String> = mapped.failed.iter().map(|(origin, _)| place(*origin)).collect();
            (rows, failed, mapped.without_elements)
        };
        // The second select has one row for each row of the file.
        let (rows, failed, without) = mapped(
            "SELECT id, \"m[].name\" AS meter FROM source WHERE id <> 'c' UNION ALL SELECT id, 'flat' FROM source",
        );
        assert_eq!(
            rows,
            [
                "0: m[0] 0 | a x",
                "0: m[1] 0 | a y",
                "0 | a flat",
                "1 | b flat",
                "2 | c flat",
                "3: m[0] 0 | d z",
                "3 | d flat"
            ]
        );
        assert_eq!((failed.len(), without), (0, vec![(1, "m".to_owned())]));
        // An element that cannot be computed does not affect the other elements.
        let size = "CAST(\"m[].size\" AS DECIMAL(28,9)) * 2";
        let (rows, failed, without) = mapped(&format!("SELECT id || \"m[].name\" AS record_id, {size} FROM source"));
        assert_eq!(rows, ["0: m[0] 1 | ax 2.000000000", "3: m[0] 1 | dz 6.000000000"]);
        assert_eq!((failed, without.len()), (vec!["0: m[1] 1".to_owned()], 2));
        // If a select without a list fails, its row has no records.
        let (rows, failed, _) =
            mapped("SELECT \"m[].name\" AS name FROM source UNION ALL SELECT arrow_cast(id, 'Int8') FROM source");
        assert_eq!((rows.len(), failed), (0, ["0", "1", "2", "3"].map(str::to_owned).to_vec()));
        let several = planned("SELECT \"m[].name\" AS meter, \"o[]\" AS quantity FROM source").map(|_| ()).unwrap_err();
        assert_eq!(several, MappingError::SeveralLists("m".to_owned(), "o".to_owned()));
    }

    #[test]
    fn an_invalid_mapping_is_refused_before_the_file_is_read() {
        let refused = |text: &str| planned(text).map(|_| ()).unwrap_err();
        let unknown = |text: &str| match refused(text) {
            MappingError::UnknownColumn { column, hint } => (column, hint),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            unknown("SELECT usage_bytes FROM source").1,
            "did you mean \"usage.bytes\"? The columns are: vm, Hours, usage.bytes, load"
        );
        let (column, hint) = unknown("SELECT Hours FROM source");
        assert_eq!(column, "hours");
        assert_eq!(hint, "write \"Hours\" in double quotes; names without quotes are lower case");
        for (text, expected) in [
            ("SELECT SUM(load) FROM source", MappingError::NotByRow("a GROUP BY or a sum")),
            ("SELECT DISTINCT vm FROM source", MappingError::NotByRow("a DISTINCT, or a UNION without ALL")),
            ("SELECT vm FROM source ORDER BY vm", MappingError::NotByRow("an ORDER BY")),
            ("SELECT vm FROM source LIMIT 1", MappingError::NotByRow("a LIMIT")),
            ("SELECT 1", MappingError::NotByRow("no FROM")),
            ("SELECT load * 2 AS quantity FROM source", MappingError::NotExact("load * Int64(2)".to_owned())),
            ("SELECT now() AS measured_at FROM source", MappingError::Volatile("now()".to_owned())),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
        assert!(matches!(refused("SELEC vm"), MappingError::Unreadable(_)));
        assert!(matches!(refused("SELECT vm FROM other"), MappingError::Unreadable(_)));
        // A float is refused even inside a cast, because a float is not exact. Readers provide floats as text.
        let float = MappingError::NotExact("load".to_owned());
        assert_eq!(refused("SELECT CAST(load AS DECIMAL(28,9)) * 2 AS quantity FROM source"), float);
    }
}
