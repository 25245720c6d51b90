//! The compiler of rule expressions. It parses an expression for the engine, checks it against an allow-list and
//! applies it to columns.
//!
//! The text of a rule never becomes part of an SQL statement.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue, SchemaError};
use datafusion::logical_expr::expr::{BinaryExpr, InList, Like};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::physical_expr::PhysicalExpr;

use super::{Error, Session};
use crate::model::diagnostic::{Diagnostic, closest};
use crate::model::expression::Expression;
use crate::model::identifier::{canonical_text, normal_form};
use crate::model::meter::DimensionType;
use crate::model::money::{Quantity, power_of_ten};

/// The name of the metered quantity in `pricing_quantity`.
const QUANTITY: &str = "quantity";

/// The functions that a rule may use.
const FUNCTIONS: [&str; 4] = ["lower", "upper", "starts_with", "coalesce"];

/// The Arrow type of a dimension's column.
pub fn column_type(kind: DimensionType) -> DataType {
    match kind {
        DimensionType::Text => DataType::Utf8,
        DimensionType::Decimal => DataType::Decimal128(28, 9),
        DimensionType::Bool => DataType::Boolean,
    }
}

/// A compiled expression and the columns that it reads.
#[derive(Clone, Debug)]
pub struct Compiled {
    expression: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl Compiled {
    /// The names of the columns that the expression reads, sorted.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|field| field.name().as_str())
    }

    /// The columns that the expression reads, sorted by name.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, Error> {
        let failed = || Error::engine("expression of a rule");
        let indices: Result<Vec<usize>, _> = self.columns().map(|name| batch.schema_ref().index_of(name)).collect();
        let indices = indices.map_err(|error| failed()(error.into()))?;
        let input = batch.project(&indices).map_err(|error| failed()(error.into()))?;
        let value = self.expression.evaluate(&input).map_err(failed())?;
        value.into_array(batch.num_rows()).map_err(failed())
    }

    /// Whether the predicate is true, for each row. A null result counts as false.
    pub fn is_true(&self, batch: &RecordBatch) -> Result<Vec<bool>, Error> {
        let values = self.evaluate(batch)?;
        let values = values.as_any().downcast_ref::<BooleanArray>();
        Ok(values.map_or_else(Vec::new, |values| values.iter().map(|value| value == Some(true)).collect()))
    }

    /// The value of each row in units of the ninth decimal place, rounded half away from zero. A null result is `None`.
    pub fn numbers(&self, batch: &RecordBatch) -> Result<Vec<Option<i128>>, Error> {
        let values = cast(&self.evaluate(batch)?, &DataType::Decimal128(28, 9))
            .map_err(|source| Error::Rows { relation: "multiplier".to_owned(), source })?;
        let values = values.as_any().downcast_ref::<Decimal128Array>();
        Ok(values.map_or_else(Vec::new, |values| values.iter().collect()))
    }
}

/// Compiles a `when` condition, which is a predicate over the columns of a rule.
pub fn predicate(
    session: &Session,
    written: &Expression,
    columns: &[(String, DataType)],
) -> Result<Compiled, Diagnostic> {
    let (parsed, schema) = parse(session, written, columns)?;
    check(&parsed, &schema, written)?;
    let kind = type_of(&parsed, &schema, written)?;
    if kind != Kind::Bool {
        return Err(problem(
            "rules::wrong_type",
            written,
            format!("`when` is {}, expected true or false", kind.name()),
        )
        .hint("compare a dimension with a value, such as region = 'eu-west'"));
    }
    compile(session, parsed, columns, written)
}

/// A part of a condition. The condition is true if all parts are true.
#[derive(Clone, Debug)]
pub struct Conjunct {
    /// The engine's text of the part. Equal parts have equal texts.
    pub text: String,
    pub compiled: Compiled,
    /// The column and its allowed values in the canonical spelling of dimension values. `None` if the part does not
    /// compare one column with constant values.
    pub values: Option<(String, BTreeSet<String>)>,
}

/// Splits a `when` condition into the parts that `and` connects.
pub fn conjuncts(
    session: &Session,
    written: &Expression,
    columns: &[(String, DataType)],
) -> Result<Vec<Conjunct>, Diagnostic> {
    let (parsed, _) = parse(session, written, columns)?;
    let mut parts = Vec::new();
    flatten(parsed, Operator::And, &mut parts);
    let part = |part: Expr| {
        let (text, values) = (part.to_string(), allowed_values(&part));
        Ok(Conjunct { text, values, compiled: compile(session, part, columns, written)? })
    };
    parts.into_iter().map(part).collect()
}

/// The column and its allowed values in `column = 'value'`, `'value' = column` or `column in ('value', …)`. `or` may
/// connect several such comparisons of one column.
fn allowed_values(expr: &Expr) -> Option<(String, BTreeSet<String>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (&**left, &**right) {
            (Expr::Column(column), literal) | (literal, Expr::Column(column)) => {
                Some((column.name.clone(), BTreeSet::from([spelling(literal)?])))
            }
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (allowed_values(left)?, allowed_values(right)?);
            (left.0 == right.0).then(|| (left.0, left.1.into_iter().chain(right.1).collect()))
        }
        Expr::InList(list) if !list.negated => {
            let Expr::Column(column) = &*list.expr else { return None };
            let values: Option<BTreeSet<String>> = list.list.iter().map(spelling).collect();
            Some((column.name.clone(), values?))
        }
        _ => None,
    }
}

/// The value of a literal in the canonical spelling of dimension values.
fn spelling(expr: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = expr else { return None };
    if value.is_null() {
        return None;
    }
    match Kind::of(&value.data_type())? {
        Kind::Text | Kind::Bool => Some(value.to_string()),
        Kind::Number => {
            let text = match value {
                ScalarValue::Decimal128(Some(units), _, scale) => {
                    let scale = u32::try_from(*scale).ok()?;
                    let nine = 9u32.checked_sub(scale)?;
                    return Some(Quantity::from_units(units.checked_mul(power_of_ten(nine)?)?).to_string());
                }
                other => other.to_string(),
            };
            Quantity::parse_exact(&text).ok().map(|number| number.to_string())
        }
        Kind::Null => None,
    }
}

/// Compiles the factors of a `pricing_quantity` without `quantity`. The expression must be a product that has
/// `quantity` as exactly one factor.
pub fn multiplier(
    session: &Session,
    written: &Expression,
    columns: &[(String, DataType)],
) -> Result<Compiled, Diagnostic> {
    let mut with_quantity = columns.to_vec();
    with_quantity.push((QUANTITY.to_owned(), DataType::Decimal128(28, 9)));
    let (parsed, schema) = parse(session, written, &with_quantity)?;
    check(&parsed, &schema, written)?;
    let mut factors = Vec::new();
    flatten(parsed, Operator::Multiply, &mut factors);
    let is_quantity = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == QUANTITY);
    let quantities = factors.iter().filter(|factor| is_quantity(factor)).count();
    factors.retain(|factor| !is_quantity(factor));
    let is_nested = factors.iter().any(|factor| factor.column_refs().iter().any(|column| column.name == QUANTITY));
    if quantities != 1 || is_nested {
        return Err(problem(
            "rules::pricing_quantity",
            written,
            "`pricing_quantity` must be `quantity` times factors without `quantity`".to_owned(),
        )
        .hint("write it as a product, such as quantity * vcpus"));
    }
    let one = Expr::Literal(ScalarValue::Decimal128(Some(1), 1, 0), None);
    let product = factors.into_iter().fold(None, |product: Option<Expr>, factor| match product {
        None => Some(factor),
        Some(product) => {
            Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(product), Operator::Multiply, Box::new(factor))))
        }
    });
    let product = product.unwrap_or(one);
    let kind = type_of(&product, &schema, written)?;
    if kind != Kind::Number {
        let message = format!("`pricing_quantity` multiplies by {}, expected a number", kind.name());
        return Err(problem("rules::wrong_type", written, message)
            .hint("declare the dimension with type = \"decimal\" in its meter"));
    }
    compile(session, product, columns, written)
}

fn problem(code: &'static str, written: &Expression, message: String) -> Diagnostic {
    Diagnostic::error(code, message).at(written.place.clone(), "here")
}

fn parse(
    session: &Session,
    written: &Expression,
    columns: &[(String, DataType)],
) -> Result<(Expr, DFSchema), Diagnostic> {
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(name, kind.clone(), true)).collect();
    let unreadable = |error: &DataFusionError| {
        problem("rules::expression", written, format!("`{}` cannot be read: {}", written.text, first_line(error)))
    };
    let schema = DFSchema::try_from(Schema::new(fields)).map_err(|error| unreadable(&error))?;
    let parsed = session.context().parse_sql_expr(&written.text, &schema);
    parsed.map(|parsed| (with_canonical_texts(parsed), schema)).map_err(|error| match unknown_field(&error) {
        Some(field) => {
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            unknown_name(written, field, &names)
        }
        None => unreadable(&error),
    })
}

/// The expression with texts in the [canonical form](crate::model::identifier) of dimension values. A pattern and the
/// argument of a function keep their blanks.
fn with_canonical_texts(expr: Expr) -> Expr {
    let whole = |expr: Expr| canonical_literal(expr, canonical_text);
    let original = expr.clone();
    let canonical = expr.transform_up(|part| {
        Ok(Transformed::yes(match part {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right }) => {
                Expr::BinaryExpr(BinaryExpr::new(Box::new(whole(*left)), op, Box::new(whole(*right))))
            }
            Expr::InList(InList { expr, list, negated }) => {
                Expr::InList(InList::new(expr, list.into_iter().map(whole).collect(), negated))
            }
            other => canonical_literal(other, normal_form),
        }))
    });
    canonical.map_or(original, |canonical| canonical.data)
}

fn canonical_literal(expr: Expr, canonical: impl Fn(&str) -> Cow<'_, str>) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) => {
            Expr::Literal(ScalarValue::Utf8(Some(canonical(&text).into_owned())), metadata)
        }
        other => other,
    }
}

fn unknown_name(written: &Expression, field: &str, names: &[&str]) -> Diagnostic {
    let found = problem("rules::unknown_dimension", written, format!("the meter has no dimension `{field}`"));
    match closest(field, names.iter().copied()) {
        Some(name) => found.hint(format!("did you mean `{name}`? Available: {}", names.join(", "))),
        None => found.hint(format!("available: {}; text needs single quotes", names.join(", "))),
    }
}

fn unknown_field(error: &DataFusionError) -> Option<&str> {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match &**error {
            SchemaError::FieldNotFound { field, .. } => Some(&field.name),
            _ => None,
        },
        DataFusionError::Diagnostic(_, inner) => unknown_field(inner),
        DataFusionError::Context(_, inner) => unknown_field(inner),
        _ => None,
    }
}

fn first_line(error: &DataFusionError) -> String {
    let text = Error::plain(error);
    text.lines().next().unwrap_or_default().to_owned()
}

fn compile(
    session: &Session,
    parsed: Expr,
    columns: &[(String, DataType)],
    written: &Expression,
) -> Result<Compiled, Diagnostic> {
    let named: BTreeSet<&str> = parsed.column_refs().iter().map(|column: &&Column| column.name.as_str()).collect();
    let mut fields: Vec<Field> = columns
        .iter()
        .filter(|(name, _)| named.contains(name.as_str()))
        .map(|(name, kind)| Field::new(name, kind.clone(), true))
        .collect();
    fields.sort_by(|left, right| left.name().cmp(right.name()));
    let schema = Schema::new(fields);
    let failed = |error: DataFusionError| {
        problem("rules::expression", written, format!("`{}` cannot be computed: {}", written.text, first_line(&error)))
    };
    let df_schema = DFSchema::try_from(schema.clone()).map_err(failed)?;
    let expression = session.context().create_physical_expr(parsed, &df_schema).map_err(failed)?;
    Ok(Compiled { expression, schema: Arc::new(schema) })
}

/// Appends the operands of a chain of one operator, such as the factors of a product.
fn flatten(expr: Expr, operator: Operator, operands: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op == operator => {
            flatten(*left, operator, operands);
            flatten(*right, operator, operands);
        }
        other => operands.push(other),
    }
}

/// The class of a value in a rule. Only values of the same class can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Bool,
    /// NULL, which can be compared with every class.
    Null,
}

impl Kind {
    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::Boolean => Some(Self::Bool),
            DataType::Null => Some(Self::Null),
            kind if kind.is_integer() || kind.is_decimal() => Some(Self::Number),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
        }
    }

    fn fits(self, other: Self) -> bool {
        self == other || self == Self::Null || other == Self::Null
    }
}

fn type_of(expr: &Expr, schema: &DFSchema, written: &Expression) -> Result<Kind, Diagnostic> {
    let refused = |text: String| problem("rules::wrong_type", written, text);
    let kind = expr.get_type(schema).map_err(|error| refused(format!("`{expr}`: {}", first_line(&error))))?;
    Kind::of(&kind).ok_or_else(|| refused(format!("`{expr}` is no text, no exact number and no Boolean")))
}

/// The text of an expression for messages, with a literal as in the rule. The engine's text of a literal would include
/// the type.
fn as_written(expr: &Expr) -> String {
    match expr {
        Expr::Literal(value, _) if Kind::of(&value.data_type()) == Some(Kind::Text) => format!("'{value}'"),
        Expr::Literal(value, _) => value.to_string(),
        other => other.to_string(),
    }
}

/// Refuses expressions that are not allowed, and comparisons of values of different types. The engine would convert
/// such values silently.
fn check(expr: &Expr, schema: &DFSchema, written: &Expression) -> Result<(), Diagnostic> {
    let require_same_kind = |left: &Expr, right: &Expr| -> Result<(), Diagnostic> {
        let (left_kind, right_kind) = (type_of(left, schema, written)?, type_of(right, schema, written)?);
        if left_kind.fits(right_kind) {
            return Ok(());
        }
        let (left, right) = (as_written(left), as_written(right));
        let message = format!("`{left}` is {}, but `{right}` is {}", left_kind.name(), right_kind.name());
        Err(problem("rules::wrong_type", written, message)
            .hint("text needs single quotes; a number needs a dimension with type = \"decimal\""))
    };
    match expr {
        Expr::Column(_) | Expr::Literal(_, _) => Ok(()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            check(left, schema, written)?;
            check(right, schema, written)?;
            match op {
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
                | Operator::Plus
                | Operator::Minus
                | Operator::Multiply => require_same_kind(left, right),
                Operator::And | Operator::Or => Ok(()),
                _ => Err(not_allowed(written, &op.to_string())),
            }
        }
        Expr::Not(inner)
        | Expr::Negative(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner) => check(inner, schema, written),
        Expr::Like(Like { expr, pattern, .. }) => {
            check(expr, schema, written)?;
            check(pattern, schema, written)?;
            require_same_kind(expr, pattern)
        }
        Expr::Between(between) => {
            check(&between.expr, schema, written)?;
            check(&between.low, schema, written)?;
            check(&between.high, schema, written)?;
            require_same_kind(&between.expr, &between.low)?;
            require_same_kind(&between.expr, &between.high)
        }
        Expr::InList(list) => {
            check(&list.expr, schema, written)?;
            list.list.iter().try_for_each(|item| {
                check(item, schema, written)?;
                require_same_kind(&list.expr, item)
            })
        }
        Expr::ScalarFunction(function) if FUNCTIONS.contains(&function.name()) => {
            function.args.iter().try_for_each(|argument| check(argument, schema, written))
        }
        other => Err(not_allowed(written, &other.to_string())),
    }
}

fn not_allowed(written: &Expression, found: &str) -> Diagnostic {
    problem("rules::expression", written, format!("`{found}` is not allowed in a rule")).hint(format!(
        "allowed: comparisons, and, or, not, in, between, like, is null, + - * and {}",
        FUNCTIONS.join(", ")
    ))
}
