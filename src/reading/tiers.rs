//! The tiers of a graduated price: bounds that rise, and an open end.

use super::RuleReader;
use super::table::Value;
use crate::diagnostic::{Diagnostic, Place};
use crate::money::Quantity;
use crate::rating::rule::Tier;

/// `None` where a price is unreadable or the tiers do not cover every quantity exactly once.
pub(super) fn read_tiers(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<Vec<Tier>> {
    let errors_before = reader.problems.error_count();
    let tables = value.tables("a tier")?;
    if tables.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", "`tier` holds no tier");
        reader.problems.push(diagnostic.at(value.place(), "empty").hint("the last tier has a `unit_price` only"));
        return None;
    }
    let mut tiers = Vec::new();
    let mut previous: Option<(Quantity, Place)> = None;
    let last = tables.len() - 1;
    for (index, mut table) in tables.into_iter().enumerate() {
        let bound = table.take("up_to");
        let unit_price = table.require("unit_price").and_then(|value| value.non_negative());
        let up_to = bound.as_ref().and_then(Value::decimal::<9>);
        match &bound {
            None if index < last => {
                let message = format!("tier {} has no `up_to`, and another tier follows", index + 1);
                let diagnostic = Diagnostic::error("rules::tier_gap", message).at(table.place(), "has no end");
                reader.problems.push(diagnostic.hint("only the last tier is open; give this one an `up_to`"));
            }
            Some(bound) if index == last => {
                let message = "the last tier has an `up_to`, so nothing prices what is above it";
                let diagnostic = Diagnostic::error("rules::last_tier_not_open", message).at(bound.place(), "ends here");
                reader.problems.push(diagnostic.hint("add a last tier without `up_to`"));
            }
            _ => {}
        }
        if let (Some(up_to), Some(bound)) = (up_to, &bound) {
            match &previous {
                Some((below, place)) if up_to <= *below => {
                    let message = format!("tier {} ends at {up_to}, which is not above {below}", index + 1);
                    let diagnostic = Diagnostic::error("rules::tiers_not_rising", message)
                        .at(bound.place(), "not above")
                        .at(place.clone(), "the tier before ends here");
                    reader.problems.push(diagnostic.hint("bounds count from zero and rise from tier to tier"));
                }
                None if up_to <= Quantity::ZERO => {
                    let message = format!("the first tier ends at {up_to}, so it holds nothing");
                    let diagnostic = Diagnostic::error("rules::tier_zero", message).at(bound.place(), "not above zero");
                    reader.problems.push(diagnostic.hint("leave the tier out, or let it end above zero"));
                }
                _ => {}
            }
            previous = Some((up_to, bound.place()));
        }
        table.finish();
        if let Some(unit_price) = unit_price {
            tiers.push(Tier { up_to, unit_price });
        }
    }
    (reader.problems.error_count() == errors_before).then_some(tiers)
}
