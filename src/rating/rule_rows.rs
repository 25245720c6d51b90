//! The rows that the readers make of one rule for a period, and the statements that apply them, for
//! `conto rules explain`.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use super::rating_inputs::RatingInputs;
use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::query::{Session, Statement, statement, statements};
use crate::rows;
use crate::run::{Context, Transaction};

/// The relations that the readers make of rules, in the order of their use. The column of each relation identifies a
/// rule, a rate or the component of a factor.
const RELATIONS: [(&str, &str); 14] = [
    ("rating/rate", "rate_id"),
    ("rating/rate_tier", "rate_id"),
    ("rating/rate_validity", "rate_id"),
    ("rating/rate_match", "rate_id"),
    ("rating/factor_match", "component"),
    ("rating/included_unit", "included_units_id"),
    ("rating/included_unit_series", "included_units_id"),
    ("rating/idle_pool", "rule_id"),
    ("rating/recurring", "recurring_id"),
    ("rating/subscription", "recurring_id"),
    ("rating/subscribed_series", "recurring_id"),
    ("rating/one_off_charge", "charge_id"),
    ("rating/committed_charge", "rule_id"),
    ("rating/covered_window", "reservation_id"),
];

/// The results of rating.
const RESULTS: [&str; 3] = ["rated_usage", "unrated_usage", "non_usage_charge"];

/// The keys of a rule in the relations.
#[derive(Debug, Default)]
pub struct RuleKeys<'a> {
    /// The id of the rule, the fee, the charge, the included units or the commitment.
    pub id: &'a str,
    /// The component of a factor; `None` if the rule is not a factor.
    pub component: Option<&'a str>,
    /// The pool of a rule, whose included units are shown; `None` if the rule has no pool.
    pub pool: Option<&'a str>,
}

/// The rows of one relation that belong to a rule.
#[derive(Debug)]
pub struct RuleRows {
    pub relation: &'static Statement,
    pub rows: RecordBatch,
}

/// A rule as rows, the statements that apply the rows, and the session with all inputs of these statements.
#[derive(Debug)]
pub struct AppliedRule {
    pub relations: Vec<RuleRows>,
    /// The statements in the order in which they run.
    pub statements: Vec<&'static Statement>,
    pub session: Session,
}

/// Prepares the rating of the period and selects the rows of one rule.
pub async fn applied_rule(
    context: &Context,
    transaction: &Transaction,
    catalog: &Catalog,
    keys: &RuleKeys<'_>,
) -> Result<AppliedRule, Error> {
    let session = transaction.session.scope()?;
    let series = catalog.all_series()?;
    RatingInputs::prepare(context, transaction, &session, series, &context.rules).await?;
    let mut calendar = context.calendar();
    let bounds = [context.period.start_day(), context.period.end_day()].map(|day| calendar.day_start(day));
    let rates = rates_of(&session, keys.id, bounds).await?;
    let mut relations = Vec::new();
    for (path, column) in RELATIONS {
        let is_of_rule = |value: &str| match column {
            "rate_id" => rates.contains(value),
            "component" => keys.component == Some(value),
            _ => keys.id == value,
        };
        let mut found = rows_where(&session, path, column, is_of_rule).await?;
        if path == "rating/included_unit" && found.num_rows() == 0 {
            found = rows_where(&session, path, "pool", |pool| keys.pool == Some(pool)).await?;
        }
        if found.num_rows() > 0 {
            relations.push(RuleRows { relation: statement(path)?, rows: found });
        }
    }
    let names: BTreeSet<&str> = relations.iter().map(|rows| rows.relation.name.as_str()).collect();
    Ok(AppliedRule { statements: applying_statements(&names)?, relations, session })
}

/// The ids of a rule's rates that are valid in a part of the period.
async fn rates_of(session: &Session, rule_id: &str, [start, end]: [i64; 2]) -> Result<BTreeSet<String>, Error> {
    let mut rates = BTreeSet::new();
    for row in rows::each(&session.rows_of("rating/rate").await?) {
        let (from, to) = (row.optional_instant("valid_from")?, row.optional_instant("valid_to")?);
        let is_valid = from.is_none_or(|from| from < end) && to.is_none_or(|to| start < to);
        if row.text("rule_id")? == rule_id && is_valid {
            rates.insert(row.text("rate_id")?.to_owned());
        }
    }
    Ok(rates)
}

/// The rows of a relation whose text in a column a predicate picks.
async fn rows_where(
    session: &Session,
    path: &str,
    column: &'static str,
    pick: impl Fn(&str) -> bool,
) -> Result<RecordBatch, Error> {
    let relation = statement(path)?;
    let batches = session.rows_of(path).await?;
    let failed = |source| rows::failed(&relation.name, source);
    let rows = concat_batches(&relation.schema, &batches).map_err(failed)?;
    let texts = rows.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    let texts = texts.ok_or(Error::Column { name: column })?;
    let picked: BooleanArray = texts.iter().map(|text| Some(text.is_some_and(&pick))).collect();
    filter_record_batch(&rows, &picked).map_err(failed)
}

/// The statements of rating between relations and the results of rating, each after the statements that it reads.
fn applying_statements(relations: &BTreeSet<&str>) -> Result<Vec<&'static Statement>, Error> {
    let of_rating: BTreeMap<&str, &'static Statement> = statements()?
        .values()
        .filter(|statement| statement.path.starts_with("rating/") && !statement.is_check())
        .map(|statement| (statement.name.as_str(), statement))
        .collect();
    let mut order = Vec::new();
    for result in RESULTS {
        add_readers(result, &of_rating, relations, &mut BTreeSet::new(), &mut order);
    }
    Ok(order)
}

/// Appends a statement if it reads one of the relations, directly or through other statements, and before it the
/// statements between. Returns whether the statement, or the relation itself, depends on the relations.
fn add_readers<'a>(
    name: &'a str,
    of_rating: &BTreeMap<&'a str, &'static Statement>,
    relations: &BTreeSet<&str>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'static Statement>,
) -> bool {
    if relations.contains(name) || order.iter().any(|added| added.name == name) {
        return true;
    }
    let Some(statement) = of_rating.get(name).copied().filter(|_| seen.insert(name)) else { return false };
    let mut depends = false;
    for read in &statement.reads {
        depends |= add_readers(read, of_rating, relations, seen, order);
    }
    if depends {
        order.push(statement);
    }
    depends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(relations: &[&str]) -> Vec<&'static str> {
        let statements = applying_statements(&relations.iter().copied().collect()).unwrap();
        statements.iter().map(|statement| statement.name.as_str()).collect()
    }

    #[test]
    fn the_statements_between_a_relation_and_the_results_are_in_their_order() {
        let of_rate = names(&["rate", "rate_tier"]);
        let place = |name: &str| of_rate.iter().position(|found| *found == name).unwrap();
        assert!(place("candidate_rate") < place("applicable_rate"));
        assert!(place("applicable_rate") < place("rated_usage"));
        assert!(!of_rate.contains(&"active_series"), "active_series reads no rate: {of_rate:?}");
        assert_eq!(names(&["one_off_charge"]), ["non_usage_charge"]);
        assert_eq!(names(&[]), Vec::<&str>::new());
    }

    #[test]
    fn each_relation_has_its_column() {
        for (path, column) in RELATIONS {
            let relation = statement(path).unwrap();
            assert!(relation.schema.field_with_name(column).is_ok(), "{path} has no column `{column}`");
            assert!(!relation.has_select(), "{path} is computed by a statement");
        }
    }
}
