//! The `select` of a source: a mapping from the columns of a file to the columns of usage records, row by row.
//!
//! A mapping is planned once for the schema of a file, before the file is read. The rows are then mapped in their
//! order, so that the line of each record is available. Therefore a mapping may compute, select and repeat rows
//! (`WHERE`, `UNION ALL`), but it must not join, group or sort them. The arithmetic of a mapping is exact: floats are
//! not allowed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, SchemaError};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::{Error, Session};
use crate::model::diagnostic::closest;

/// The name by which a select reads the file.
pub const FILE: &str = "source";

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
}

/// The result of a mapping for the rows of a batch.
#[derive(Debug)]
pub struct Mapped {
    pub batch: RecordBatch,
    /// For each row of the result, the row of the input.
    pub origin: Vec<usize>,
    /// The rows of the input that cannot be mapped, each with the reason.
    pub failed: Vec<(usize, String)>,
}

impl Mapping {
    /// Plans a select for the columns of a file.
    pub async fn new(text: &str, file: &SchemaRef) -> Result<Self, MappingError> {
        let unreadable = |error: Error| MappingError::Unreadable(error.to_string());
        let session = Session::new(None).map_err(unreadable)?;
        session.register_rows(FILE, Arc::clone(file), Vec::new()).map_err(unreadable)?;
        let text = text.trim().trim_end_matches(';');
        let plan = session.context().state().create_logical_plan(text).await.map_err(|error| describe(&error, file))?;
        let mut selects = Vec::new();
        collect_selects(&plan, &mut selects)?;
        let mut branches = Vec::with_capacity(selects.len());
        for select in selects {
            branches.push(Branch::new(&session, &select, file)?);
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
        match self.mapped(batch) {
            Ok((batch, origin)) => Ok(Mapped { batch, origin, failed: Vec::new() }),
            // One row that cannot be cast makes the whole batch fail. To find such rows, each row is mapped separately.
            Err(_) => {
                let (mut parts, mut origin, mut failed) = (Vec::new(), Vec::new(), Vec::new());
                for row in 0..batch.num_rows() {
                    match self.mapped(&batch.slice(row, 1)) {
                        Ok((part, records)) => {
                            parts.push(part);
                            origin.extend(records.iter().map(|_| row));
                        }
                        Err(error) => failed.push((row, Error::plain(&error))),
                    }
                }
                Ok(Mapped { batch: concat_batches(&self.schema, &parts)?, origin, failed })
            }
        }
    }

    fn mapped(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<usize>), DataFusionError> {
        let mut parts = Vec::with_capacity(self.branches.len());
        let mut origin = Vec::new();
        for (number, branch) in self.branches.iter().enumerate() {
            let (part, rows) = branch.mapped(batch, &self.schema)?;
            origin.extend(rows.into_iter().map(|row| (row, number)));
            parts.push(part);
        }
        let mapped = concat_batches(&self.schema, &parts)?;
        if parts.len() == 1 {
            return Ok((mapped, origin.into_iter().map(|(row, _)| row).collect()));
        }
        let mut order: Vec<(usize, usize, u32)> =
            origin.iter().enumerate().map(|(place, (row, number))| (*row, *number, place as u32)).collect();
        order.sort_unstable();
        let places = UInt32Array::from_iter_values(order.iter().map(|(.., place)| *place));
        Ok((take_record_batch(&mapped, &places)?, order.into_iter().map(|(row, ..)| row).collect()))
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
        })
    }

    fn mapped(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<(RecordBatch, Vec<usize>), DataFusionError> {
        let mut rows: Vec<usize> = (0..batch.num_rows()).collect();
        let mut input = batch.clone();
        if let Some(condition) = &self.condition {
            let selected = condition.evaluate(batch)?.into_array(batch.num_rows())?;
            if let Some(selected) = selected.as_any().downcast_ref::<BooleanArray>() {
                rows.retain(|row| selected.is_valid(*row) && selected.value(*row));
                input = filter_record_batch(batch, selected)?;
            }
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(schema.fields()) {
            let values = column.evaluate(&input)?.into_array(input.num_rows())?;
            columns.push(arrow::compute::cast(&values, field.data_type())?);
        }
        Ok((RecordBatch::try_new(Arc::clone(schema), columns)?, rows))
    }
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
    use arrow::array::{Float64Array, StringArray};
    use arrow::util::display::array_value_to_string;

    use super::*;

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
        ((0..mapped.batch.num_rows()).map(row).collect(), mapped.origin, mapped.failed)
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
