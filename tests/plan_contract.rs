use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, SchemaRef};
use conto::query::{Error, Session};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, Volatility, WindowFrameUnits};

#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub scans: BTreeSet<String>,
    /// The parameters by name without the dollar sign, with the type of the cast around each use.
    pub parameters: BTreeMap<String, Vec<Option<DataType>>>,
    pub columns: SchemaRef,
    /// The columns that the result is ordered by.
    pub order: Vec<String>,
    /// Every expression as text with its type, if it has a type before parameters are bound.
    pub expressions: Vec<(String, DataType)>,
    pub calls: Vec<Call>,
}

/// A function call. A division is a call of `/`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub function: String,
    pub kind: CallKind,
    pub arguments: Vec<DataType>,
    /// The function can return different results for equal arguments.
    pub is_volatile: bool,
    /// The call has an ORDER BY.
    pub is_ordered: bool,
    /// Its window frame counts rows instead of peers with equal values.
    pub is_framed_by_rows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Scalar,
    Aggregate,
    Window,
}

/// Plans a statement and returns the outline of its plan, without running the statement. The relations that the
/// statement reads must be registered.
pub(crate) async fn outline(session: &Session, text: &str) -> Result<Outline, Error> {
    Ok(outline_of(&session.logical_plan(text).await?).unwrap())
}

fn outline_of(plan: &LogicalPlan) -> Result<Outline, DataFusionError> {
    let mut outline = Outline {
        scans: BTreeSet::new(),
        parameters: BTreeMap::new(),
        columns: std::sync::Arc::new(plan.schema().as_arrow().clone()),
        order: order(plan),
        expressions: Vec::new(),
        calls: Vec::new(),
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            outline.scans.insert(scan.table_name.table().to_owned());
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                note(&mut outline, part, &schema);
                let is_parameter = note_parameter(&mut outline, part);
                Ok(if is_parameter { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(outline)
}

fn note(outline: &mut Outline, part: &Expr, schema: &DFSchema) {
    // A placeholder and a column of an outer query have no type here; the expression around them has one.
    if let Ok(kind) = part.get_type(schema) {
        outline.expressions.push((part.to_string(), kind));
    }
    let kinds = |arguments: &[Expr]| arguments.iter().filter_map(|argument| argument.get_type(schema).ok()).collect();
    let call = match part {
        Expr::ScalarFunction(call) => Call {
            function: call.name().to_owned(),
            kind: CallKind::Scalar,
            arguments: kinds(&call.args),
            is_volatile: call.func.signature().volatility != Volatility::Immutable,
            is_ordered: false,
            is_framed_by_rows: false,
        },
        Expr::AggregateFunction(call) => Call {
            function: call.func.name().to_owned(),
            kind: CallKind::Aggregate,
            arguments: kinds(&call.params.args),
            is_volatile: call.func.signature().volatility != Volatility::Immutable,
            is_ordered: !call.params.order_by.is_empty(),
            is_framed_by_rows: false,
        },
        Expr::WindowFunction(call) => Call {
            function: call.fun.name().to_owned(),
            kind: CallKind::Window,
            arguments: kinds(&call.params.args),
            is_volatile: call.fun.signature().volatility != Volatility::Immutable,
            is_ordered: !call.params.order_by.is_empty(),
            is_framed_by_rows: call.params.window_frame.units == WindowFrameUnits::Rows,
        },
        Expr::BinaryExpr(binary) if binary.op == Operator::Divide => Call {
            function: "/".to_owned(),
            kind: CallKind::Scalar,
            arguments: kinds(&[(*binary.left).clone(), (*binary.right).clone()]),
            is_volatile: false,
            is_ordered: false,
            is_framed_by_rows: false,
        },
        _ => return,
    };
    outline.calls.push(call);
}

/// Adds a parameter to the outline, with the type of the cast around it. Returns whether the part is a parameter.
fn note_parameter(outline: &mut Outline, part: &Expr) -> bool {
    let (inner, kind) = match part {
        Expr::Cast(cast) => (cast.expr.as_ref(), Some(cast.field.data_type().clone())),
        other => (other, None),
    };
    let Expr::Placeholder(placeholder) = inner else { return false };
    let name = placeholder.id.trim_start_matches('$').to_owned();
    outline.parameters.entry(name).or_default().push(kind);
    true
}

/// The columns that the result is ordered by. A projection above a sort only drops columns.
fn order(plan: &LogicalPlan) -> Vec<String> {
    match plan {
        LogicalPlan::Sort(sort) => sort
            .expr
            .iter()
            .filter_map(|by| match &by.expr {
                Expr::Column(column) => Some(column.name.clone()),
                _ => None,
            })
            .collect(),
        LogicalPlan::Projection(projection) => order(&projection.input),
        _ => Vec::new(),
    }
}
