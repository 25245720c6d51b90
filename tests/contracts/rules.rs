//! What a file below `sql/` must keep to. Each breach is a sentence that says what to do.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use conto::query::{Session, Statement, statements};

use super::has_select;
use crate::plan_contract::{Call, CallKind, Outline, outline};

const WINDOW_NUMBER: &str = "the number of a window is cut to a whole one on purpose";

/// Statements that may divide, each with the reason: a quotient is cut after a few places, silently.
pub(super) const DIVISIONS: &[(&str, &str)] = &[
    ("metering/intermediate/windowed_sample", WINDOW_NUMBER),
    ("metering/intermediate/windowed_state", WINDOW_NUMBER),
    ("metering/metered_usage/mean", "cut at thirteen places and rounded at nine, which is the exact mean rounded"),
    ("rating/checks/tier_parts_add_up", "compared with a tolerance far above where it is cut"),
    ("export/ec_sales", "cut at sixteen places and rounded to two"),
    (
        "rating/pool_adjustment",
        "shares of a whole as running quotients, the last of which is one: their differences add up",
    ),
    (
        "export/intermediate/sold_usage",
        "shares as running quotients, the last of which is one: their differences add up",
    ),
    ("rating/list_share", "shares of a whole as running quotients, the last of which is one: their differences add up"),
    ("rating/pool_included_unit", "cut far beyond the ninth place, at which it is rounded"),
    (
        "rating/pool_part",
        "shares of a whole as running quotients, the last of which is the whole: their differences add up",
    ),
    ("rating/non_usage_charge", "cut at 25 places and rounded at 18: the exact quotients rounded"),
    ("rating/priced_part", "cut far beyond the places it is rounded at: the exact quotients rounded"),
    ("invoicing/invoice", "tax in the seller's currency: cut at sixteen places and rounded to those of a currency"),
];

/// Grain columns that are no columns of the output, with the reason.
const UNSEEN_GRAIN: &[(&str, &str, &str)] =
    &[("export/usage", "component", "people tell components apart by the sku, which stands in usage.csv")];

/// Calls whose result depends on the order of rows.
const IN_ORDER: [&str; 8] =
    ["first_value", "last_value", "nth_value", "array_agg", "string_agg", "row_number", "lag", "lead"];

/// Everything that is wrong with one statement.
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
        found.push(format!("the header calls it `{}`, the file `{file}`", statement.name));
    }
    let has_by = statement.text.lines().any(|line| line.starts_with("-- by "));
    match (has_select(statement), statement.is_check()) {
        (false, true) => found.push("a check needs a SELECT".to_owned()),
        (false, false) => {
            if !statement.reads.is_empty() || !statement.parameters.is_empty() {
                found.push("without a SELECT it reads nothing and has no parameters".to_owned());
            }
            if !has_by {
                found.push("without a SELECT its header must say which Rust makes it: `-- by      src/…`".to_owned());
            }
        }
        (true, is_check) => {
            if has_by {
                found.push("its rows come from its SELECT, so the header must not say `by`".to_owned());
            }
            if statement.reads.is_empty() {
                found.push("the header must name what the SELECT reads".to_owned());
            }
            if is_check && !(statement.grain.is_empty() && statement.schema.fields().is_empty()) {
                found.push("a check has neither grain nor columns: it must return no rows".to_owned());
            }
        }
    }
    if !statement.is_check() {
        if statement.grain.is_empty() {
            found.push("the header must say the grain; `none` where there is one row".to_owned());
        }
        if statement.schema.fields().is_empty() {
            found.push("the header must say what it writes".to_owned());
        }
        for column in grain(statement) {
            let unseen = UNSEEN_GRAIN.iter().any(|(path, name, _)| *path == key(statement) && *name == column);
            if statement.schema.field_with_name(column).is_err() && !unseen {
                found.push(format!("the grain names `{column}`, which is no column of it"));
            }
        }
    }
    found
}

/// The columns of the grain; `none` is no column.
pub(super) fn grain(statement: &Statement) -> impl Iterator<Item = &str> {
    statement.grain.iter().map(String::as_str).filter(|column| *column != "none")
}

/// The text without comments, and without what stands in quotes.
pub(super) fn code(text: &str) -> String {
    let uncommented: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let uncommented = uncommented.join("\n");
    let outside = uncommented.split('\'').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part);
    outside.collect::<Vec<_>>().join("''")
}

fn of_the_text(statement: &Statement, found: &mut Vec<String>) {
    let code = code(statement.text);
    if has_outer_star(&code) {
        found.push("the outer SELECT takes `*`; name the columns (inside WITH it may stand)".to_owned());
    }
    let words: BTreeSet<String> =
        code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').map(str::to_lowercase).collect();
    for word in ["float", "float4", "float8", "double", "real"] {
        if words.contains(word) {
            found.push(format!("speaks of the type `{word}`; no float touches a quantity or an amount"));
        }
    }
    if statement.text.lines().any(|line| line.contains('\t') || line.ends_with(' ')) {
        found.push("has tabs, or blanks at the end of a line".to_owned());
    }
}

/// Whether a projection outside of all brackets takes `*`.
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
        found.push(format!("reads `{relation}`, which its header does not say"));
    }
    for relation in reads.difference(&outline.scans) {
        found.push(format!("its header says that it reads `{relation}`, but it does not"));
    }
    of_the_parameters(statement, outline, &from_intermediates(statement), found);
    if !statement.is_check() {
        of_the_columns(statement, outline, found);
    }
    of_the_order(statement, outline, found);
    of_the_calls(statement, outline, found);
    let is_float = |kind: &DataType| matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64);
    for (expression, kind) in outline.expressions.iter().filter(|(_, kind)| is_float(kind)) {
        found.push(format!("`{expression}` is {kind}; no float touches a quantity or an amount"));
    }
}

/// The parameters of the intermediate relations that a statement reads: its caller gives them too.
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
            found.push(format!("an intermediate relation that it reads takes ${name} {kind}; the header must too"));
        }
    }
    for (name, kinds) in &outline.parameters {
        let Some((_, promised)) = statement.parameters.iter().find(|(known, _)| known == name) else {
            found.push(format!("takes ${name}, which its header does not say"));
            continue;
        };
        for kind in kinds {
            match kind {
                None => found.push(format!("${name} must stand in a CAST wherever it stands, which says its type")),
                Some(kind) if kind != promised => {
                    found.push(format!("${name} is {kind} in the text, {promised} in the header"));
                }
                Some(_) => {}
            }
        }
    }
    for (name, _) in &statement.parameters {
        let is_taken = from_intermediates.iter().any(|(taken, _)| *taken == name);
        if !outline.parameters.contains_key(name) && !is_taken {
            found.push(format!("its header says ${name}, but it takes no such parameter"));
        }
    }
}

/// The same text in another encoding of Arrow's is the same type.
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
        found.push(format!("its header promises the columns {}, it gives {}", promised.join(", "), given.join(", ")));
        return;
    }
    for (promised, given) in statement.schema.fields().iter().zip(outline.columns.fields()) {
        let name = promised.name();
        if *promised.data_type() != plain(given.data_type()) {
            let (promised, given) = (promised.data_type(), given.data_type());
            found.push(format!("its header promises `{name}` as {promised}, it gives {given}; cast it"));
        }
        // The other way round is for the rows to decide: the engine says "nullable" of many things that never are null.
        if promised.is_nullable() && !given.is_nullable() {
            found.push(format!("`{name}` can never be null, so the header may say `not null`"));
        }
    }
}

fn of_the_order(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    if statement.is_check() {
        return;
    }
    if statement.is_intermediate() {
        if !outline.order.is_empty() {
            found.push("an intermediate relation has no order; its readers sort".to_owned());
        }
        return;
    }
    for column in grain(statement) {
        if !outline.order.iter().any(|by| by == column) {
            let order = outline.order.join(", ");
            found.push(format!("must end with an ORDER BY over its grain: `{column}` is not among [{order}]"));
        }
    }
}

fn of_the_calls(statement: &Statement, outline: &Outline, found: &mut Vec<String>) {
    let may_divide = DIVISIONS.iter().any(|(path, _)| *path == key(statement));
    for call in &outline.calls {
        let name = call.function.to_lowercase();
        if call.is_volatile {
            found.push(format!("calls {name}(), which gives something else each time"));
        }
        match name.as_str() {
            "/" if !may_divide => {
                found.push("divides; a quotient is cut: multiply, or join the list with a reason".to_owned());
            }
            "avg" => found.push("calls avg(), which cuts the quotient; sum, divide once and round".to_owned()),
            "sum" => of_a_sum(call, found),
            _ if IN_ORDER.contains(&name.as_str()) && !call.is_ordered => {
                found.push(format!("calls {name}() without an ORDER BY: any row may come first"));
            }
            _ => {}
        }
    }
}

fn of_a_sum(call: &Call, found: &mut Vec<String>) {
    for kind in &call.arguments {
        if let DataType::Decimal128(precision, scale) = kind
            && *precision > 28
        {
            found.push(format!(
                "sums DECIMAL({precision},{scale}), which wraps without a word; sum CAST(… AS DECIMAL(60,{scale}))"
            ));
        }
    }
    if call.kind == CallKind::Window && !call.is_framed_by_rows {
        found.push("a running SUM needs ROWS BETWEEN …: by default rows of one rank get one sum".to_owned());
    }
}
