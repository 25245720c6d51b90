//! The place of the rule in the error of a row.

use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::model::rule_book::RuleBook;
use crate::query;

/// An error of a row as a diagnostic at the rule of the row. All other errors stay as they are.
pub(super) fn at_its_rule(error: Error, rules: &RuleBook) -> Error {
    let Error::Query(query::Error::Value { row, .. }) = &error else { return error };
    let Some(rule) = row.get("rule_id").and_then(|id| rules.rule(id)) else { return error };
    let found = Diagnostic::error("rules::row", error.to_string());
    let usage = row.get("series_id").map(|series| {
        format!(
            "; its usage: `conto sql \"SELECT * FROM metered_day WHERE series_id = {series} ORDER BY charge_date\"`"
        )
    });
    let hint = format!("compare the price and its factors with the usage{}", usage.unwrap_or_default());
    Error::Row(Box::new(found.at(rule.declared_at.clone(), "the price of the row").hint(hint)))
}
