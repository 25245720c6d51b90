//! The rules of a file below `sql/`. Each violation is a sentence that contains the remedy.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use conto::query::{Session, Statement, statements};

use super::has_select;
use crate::plan_contract::{Call, CallKind, Outline, outline};

const WINDOW_NUMBER: &str = "the number of a window is truncated to an integer on purpose";

/// The statements that may divide, each with the reason. The engine truncates a quotient after a few places.
pub(super) const DIVISIONS: &[(&str, &str)] = &[
    ("rating/checks/tier_parts_add_up", "compared with a tolerance far above the truncation"),
    ("export/ec_sales", "truncated to sixteen places and rounded to two"),
    ("report/tax_summary", "truncated to sixteen places and rounded to those of the seller's currency"),
    ("rating/pool_adjustment", "shares are differences of running quotients, the last of which is one, so they add up"),
    (
        "export/intermediate/sold_usage",
        "shares are differences of running quotients, the last of which is one, so they add up",
    ),
    ("rating/list_share", "shares are differences of running quotients, the last of which is one, so they add up"),
    ("rating/pool_window_count", WINDOW_NUMBER),
    ("rating/pool_included_unit", "truncated far beyond the ninth place, to which it is rounded"),
    ("rating/non_usage_charge", "truncated to 25 places and rounded to 18, which equals the rounded exact quotients"),
    (
        "invoicing/invoice",
        "tax in the seller's currency: truncated to sixteen places and rounded to those of the currency",
    ),
];

/// Grain columns that the output lacks, with the reason.
const UNSEEN_GRAIN: &[(&str, &str, &str)] = &[
    ("export/usage", "component", "the sku in usage.csv distinguishes the components"),
    ("metering/described_sample", "record_digest", "no statement reads it, and a column costs time for each sample"),
];

/// The statements that sort by one number, with the number and the reason. The order of the number is that of the
/// grain.
const SORTED_BY_NUMBER: &[(&str, &str, &str)] =
    &[("export/usage", "position", "a sort by eleven texts takes several times as long")];

/// The functions whose result depends on the order of rows.
const IN_ORDER: [&str; 8] =
    ["first_value", "last_value", "nth_value", "array_agg", "string_agg", "row_number", "lag", "lead"];

/// All violations of one statement.
pub(super) async fn breaches(session: &Session, statement: &Statement) -> Vec<String> {
    let mut found = of_the_header(statement);
    if !has_select(statement) {
        return found;
    }
    of_the_text(statement, &mut found);
    match outline(session, statement.text).await {
        Ok(outline) => of_the_plan(statement, &outline, &mut found),
        Err(error) => found.push(format!("cannot be planned: {}", chain(&error))),
    }
    found
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The path without the ending.
pub(super) fn key(statement: &Statement) -> &str {
    statement.path.trim_end_matches(".sql")
}

fn of_the_header(statement: &Statement) -> Vec<String> {
    let mut found = Vec::new();
    let file = key(statement).rsplit('/').next().unwrap_or_default();
    if statement.name != file {
        found.push(format!("the header names it `{}`, but the file is `{file}`", statement.name));
    }
    let has_by = statement.text.lines().any(|line| line.starts_with("-- by "));
    match (has_select(statement), statement.is_check()) {
        (false, true) => found.push("a check needs a SELECT".to_owned()),
        (false, false) => {
            if !(statement.reads.is_empty() && statement.calls.is_empty() && statement.parameters.is_empty()) {
                found.push("a relation without a SELECT must have no `reads`, `calls` or `params`".to_owned());
            }
            if !has_by {
                found.push("a relation without a SELECT must name its Rust code: `-- by      src/…`".to_owned());
            }
        }
        (true, is_check) => {
            if has_by {
                found.push("a relation with a SELECT must not have `by`".to_owned());
            }
            if statement.reads.is_empty() {
                found.push("the header must list the relations that the SELECT reads".to_owned());
            }
            if is_check && !(statement.grain.is_empty() && statement.schema.fields().is_empty()) {
                found.push("a check must have neither `grain` nor `writes`".to_owned());
            }
        }
    }
    if !statement.is_check() {
        if statement.grain.is_empty() {
            found.push("the header must state the grain; `none` for a single row".to_owned());
        }
        if statement.schema.fields().is_empty() {
            found.push("the header must list the columns".to_owned());
        }
        for column in grain(statement) {
            let unseen = UNSEEN_GRAIN.iter().any(|(path, name, _)| *path == key(statement) && *name == column);
            if statement.schema.field_with_name(column).is_err() && !unseen {
                found.push(format!("the grain has `{column}`, which is not a column"));
            }
        }
    }
    found
}

/// The columns of the grain, without `none`.
pub(super) fn grain(statement: &Statement) -> impl Iterator<Item = &str> {
    statement.grain.iter().map(String::as_str).filter(|column| *column != "none")
}

/// The text without comments and without quoted text.
pub(super) fn code(text: &str) -> String {
    let uncommented: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let uncommented = uncommented.join("\n");
    let outside = uncommented.split('\'').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part);
    outside.collect::<Vec<_>>().join("''")
}

fn of_the_text(statement: &Statement, found: &mut Vec<String>) {
    let code = code(statement.text);
    if has_outer_star(&code) {
        found.push("the outer SELECT has `*`; list the columns (`*` is allowed inside WITH)".to_owned());
    }
    let words: BTreeSet<String> =
        code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').map(str::to_lowercase).collect();
    for word in ["float", "float4", "float8", "double", "real"] {
        if words.contains(word) {
            found.push(format!("uses the type `{word}`; quantities and amounts must not be floats"));
        }
    }
    if statement.text.lines().any(|line| line.contains('\t') || line.ends_with(' ')) {
        found.push("has tabs or trailing spaces".to_owned());
    }
}

/// Whether a projection outside all parentheses has `*`.
fn has_outer_star(code: &str) -> bool {
    let mut depth = 0;
    let mut before = String::new();
    for letter in code.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '*' if depth == 0 => {
                let before = before.trim_end().to_uppercase();
                if ["SELECT", "DISTINCT", ",", "."].iter().any(|end| before.ends_with(end)) {
                    return true;
                }
            }
            _ => {}
        }
        before.push(letter);
    }
    false
}

fn of_the_plan(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    let reads: BTreeSet<String> = statement.reads.iter().cloned().collect();
    for relation in outline.scans.difference(&reads) {
        found.push(format!("reads `{relation}`, which the header does not list"));
    }
    for relation in reads.difference(&outline.scans) {
        found.push(format!("the header lists `{relation}`, but the SELECT does not read it"));
    }
    of_the_parameters(statement, outline, &from_intermediates(statement), found);
    if !statement.is_check() {
        of_the_columns(statement, outline, found);
    }
    of_the_order(statement, outline, found);
    of_the_calls(statement, outline, found);
    of_our_functions(statement, outline, found);
    let is_float = |kind: &DataType| matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64);
    for (expression, kind) in outline.expressions.iter().filter(|(_, kind)| is_float(kind)) {
        found.push(format!("`{expression}` is {kind}; quantities and amounts must not be floats"));
    }
}

/// The parameters of the intermediate relations that a statement reads. Its own callers must provide them.
fn from_intermediates(statement: &Statement) -> Vec<(&'static String, &'static DataType)> {
    let all = statements().into_iter().flat_map(|all| all.values());
    let relations = all.filter(|relation| relation.is_intermediate() && statement.reads.contains(&relation.name));
    relations.flat_map(|relation| relation.parameters.iter().map(|(name, kind)| (name, kind))).collect()
}

fn of_the_parameters(
    statement: &Statement,
    outline: &Outline,
    from_intermediates: &[(&String, &DataType)],
    found: &mut Vec<String>,
) {
    for (name, kind) in from_intermediates {
        if !statement.parameters.iter().any(|(known, promised)| known == *name && promised == *kind) {
            found.push(format!("reads an intermediate relation with ${name} {kind}, which the header does not list"));
        }
    }
    for (name, kinds) in &outline.parameters {
        let Some((_, promised)) = statement.parameters.iter().find(|(known, _)| known == name) else {
            found.push(format!("uses ${name}, which the header does not list"));
            continue;
        };
        for kind in kinds {
            match kind {
                None => found.push(format!("${name} must be inside a CAST everywhere")),
                Some(kind) if kind != promised => {
                    found.push(format!("${name} is {kind} in the SELECT, but {promised} in the header"));
                }
                Some(_) => {}
            }
        }
    }
    for (name, _) in &statement.parameters {
        let is_taken = from_intermediates.iter().any(|(taken, _)| *taken == name);
        if !outline.parameters.contains_key(name) && !is_taken {
            found.push(format!("the header lists ${name}, but the SELECT does not use it"));
        }
    }
}

/// The type with one Arrow encoding for all texts.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

fn of_the_columns(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    let names = |schema: &arrow::datatypes::Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let (promised, given) = (names(&statement.schema), names(&outline.columns));
    if promised != given {
        found.push(format!(
            "the header lists the columns {}, the SELECT has {}",
            promised.join(", "),
            given.join(", ")
        ));
        return;
    }
    for (promised, given) in statement.schema.fields().iter().zip(outline.columns.fields()) {
        let name = promised.name();
        if *promised.data_type() != plain(given.data_type()) {
            let (promised, given) = (promised.data_type(), given.data_type());
            found.push(format!("the header has `{name}` as {promised}, the SELECT has {given}: add a CAST"));
        }
        // The reverse is checked with rows: the engine marks many columns as nullable that are never null.
        if promised.is_nullable() && !given.is_nullable() {
            found.push(format!("`{name}` can never be null: add `not null` to the header"));
        }
    }
}

fn of_the_order(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    if statement.is_check() {
        return;
    }
    if statement.is_intermediate() {
        if !outline.order.is_empty() {
            found.push("an intermediate relation must not have an ORDER BY; its readers sort".to_owned());
        }
        return;
    }
    let is_sorted = |(path, number, _): &(&str, &str, &str)| *path == key(statement) && outline.order == [*number];
    if SORTED_BY_NUMBER.iter().any(is_sorted) {
        return;
    }
    for column in grain(statement) {
        if !outline.order.iter().any(|by| by == column) {
            let order = outline.order.join(", ");
            found.push(format!("must end with an ORDER BY over its grain: [{order}] lacks `{column}`"));
        }
    }
}

fn of_the_calls(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    let may_divide = DIVISIONS.iter().any(|(path, _)| *path == key(statement));
    for call in &outline.calls {
        let name = call.function.to_lowercase();
        if call.is_volatile {
            found.push(format!("calls {name}(), whose result is not deterministic"));
        }
        match name.as_str() {
            "/" if !may_divide => {
                found.push(
                    "divides, and the engine truncates quotients: multiply, or add it to DIVISIONS with a reason"
                        .to_owned(),
                );
            }
            "avg" => found.push("calls avg(), which truncates the quotient: sum, divide once and round".to_owned()),
            "sum" => of_a_sum(call, found),
            _ if IN_ORDER.contains(&name.as_str()) && !call.is_ordered => {
                found.push(format!("calls {name}() without an ORDER BY: the first row is undefined"));
            }
            _ => {}
        }
    }
}

/// Compares `calls` of the header with the calls of the plan.
fn of_our_functions(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    let ours = our_functions();
    let called: BTreeSet<String> =
        outline.calls.iter().map(|call| call.function.clone()).filter(|name| ours.contains(name)).collect();
    let listed: BTreeSet<String> = statement.calls.iter().cloned().collect();
    for name in called.difference(&listed) {
        found.push(format!("calls {name}(), which the header does not list: add it to `calls`"));
    }
    for name in listed.difference(&called) {
        found
            .push(format!("the header lists the call of {name}(), but the SELECT does not call this function of ours"));
    }
}

/// The names of the functions of `src/functions/`.
fn our_functions() -> BTreeSet<String> {
    let scalar = conto::functions::scalar_functions();
    let aggregate = conto::functions::aggregate_functions();
    let names = scalar.iter().map(|function| function.name()).chain(aggregate.iter().map(|function| function.name()));
    names.map(str::to_owned).collect()
}

fn of_a_sum(call: &Call, found: &mut Vec<String>) {
    for kind in &call.arguments {
        if let DataType::Decimal128(precision, scale) = kind
            && *precision > 28
        {
            found.push(format!(
                "sums DECIMAL({precision},{scale}), which can overflow silently: sum CAST(… AS DECIMAL(60,{scale}))"
            ));
        }
    }
    if call.kind == CallKind::Window && !call.is_framed_by_rows {
        found.push("a running SUM needs ROWS BETWEEN …: by default, rows of equal rank share one sum".to_owned());
    }
}
