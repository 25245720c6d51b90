//! The checks over all rules, for competing prices, contradictory pools and meters without a price.

use std::collections::{BTreeMap, BTreeSet};

use super::instant::overlap;
use super::problems::Problems;
use super::rules::BASE;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::money::{Price, Quantity};
use crate::model::rule::{Divisor, Pricing, PricingUnit, Rule};

fn at_one_time(left: &Rule, right: &Rule) -> bool {
    overlap((left.valid_from, left.valid_to), (right.valid_from, right.valid_to))
}

/// Reports rules with the same meter, component, card and priority that always price the same usage. Conflicts of rules
/// with a condition or a price by dimension depend on the usage, so rating finds these conflicts.
pub(crate) fn refuse_overlap(rules: &[&Rule], problems: &Problems) {
    let is_unconditional = |rule: &Rule| {
        let priced_always =
            !matches!(rule.pricing, Pricing::Factor(_) | Pricing::Prices { .. } | Pricing::PriceList { .. });
        rule.when.is_none() && priced_always
    };
    let mut competing: BTreeMap<(&str, &str, &str, i64), Vec<&Rule>> = BTreeMap::new();
    for rule in rules.iter().copied().filter(|rule| is_unconditional(rule)) {
        let earlier = competing.entry((&rule.meter, &rule.component, &rule.card, rule.priority)).or_default();
        if let Some(first) = earlier.iter().find(|first| at_one_time(first, rule)) {
            let message = format!(
                "rules `{}` and `{}` both price all usage of meter `{}` at the same time",
                first.id, rule.id, rule.meter
            );
            let diagnostic = Diagnostic::error("rules::overlap", message)
                .at(rule.declared_at.clone(), "this rule")
                .at(first.declared_at.clone(), "and this rule");
            problems
                .push(diagnostic.hint("give one rule a higher `priority`, a condition `when`, or another validity"));
        }
        earlier.push(rule);
    }
}

/// Checks that all rules of a pool count its running total in the same way.
pub(crate) fn refuse_contradicting_pools(rules: &[&Rule], meters: &[Meter], problems: &Problems) {
    let mut pools: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in rules.iter().copied().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_))) {
        let earlier = pools.entry(&rule.pool).or_default();
        if let Some((first, what)) = earlier.iter().find_map(|first| Some((first, disagreement(first, rule, meters)?)))
        {
            let message = format!("rules `{}` and `{}` of pool `{}` differ in {what}", first.id, rule.id, rule.pool);
            let diagnostic = Diagnostic::error("rules::contradicting_pools", message)
                .at(rule.declared_at.clone(), "this rule")
                .at(first.declared_at.clone(), "and this rule");
            problems.push(
                diagnostic.hint("write the same in both rules, or give one rule its own `pool` (default: its `sku`)"),
            );
        }
        earlier.push(rule);
    }
}

/// The difference between two rules of a pool. A later rule may change free units, minimum, maximum, cap, and bounds
/// and maxima of tiers, but not how the pool is counted.
fn disagreement(left: &Rule, right: &Rule, meters: &[Meter]) -> Option<String> {
    if left.per != right.per {
        return Some(format!("`per`: {} and {}", left.per.name(), right.per.name()));
    }
    if left.every != right.every {
        return Some(format!("`every`: {} and {}", left.every.name(), right.every.name()));
    }
    if left.percentile != right.percentile {
        return Some("`percentile` or `missing_windows`".to_owned());
    }
    let minutes = |rule: &Rule| {
        let meter = meters.iter().find(|meter| meter.name == rule.meter);
        meter.map(|meter| meter.window_seconds / 60)
    };
    if let (Some(_), Some(left), Some(right)) = (left.percentile, minutes(left), minutes(right))
        && left != right
    {
        return Some(format!("the windows of their meters: {left} and {right} minutes"));
    }
    if left.round_quantity != right.round_quantity {
        return Some("`round_quantity`".to_owned());
    }
    if left.currency != right.currency {
        return Some(format!("`currency`: {} and {}", left.currency.code(), right.currency.code()));
    }
    if left.pricing_unit != right.pricing_unit {
        let (left, right) = (unit(&left.pricing_unit), unit(&right.pricing_unit));
        return Some(format!("`pricing_unit`: {left} and {right}"));
    }
    if at_one_time(left, right) {
        if left.free_units != right.free_units {
            return Some(format!("`free_units`: {} and {}", left.free_units, right.free_units));
        }
        if (left.minimum, left.maximum, left.cap) != (right.minimum, right.maximum, right.cap) {
            return Some("`minimum`, `maximum` and `cap`".to_owned());
        }
    }
    match (bounds(left), bounds(right)) {
        (Some(left_bounds), Some(right_bounds)) if left_bounds != right_bounds && at_one_time(left, right) => {
            Some("the bounds of their tiers".to_owned())
        }
        (Some(_), Some(_)) if max_amounts(left) != max_amounts(right) && at_one_time(left, right) => {
            Some("the `max_amount` of their tiers".to_owned())
        }
        _ => None,
    }
}

fn max_amounts(rule: &Rule) -> Vec<Option<Price>> {
    match &rule.pricing {
        Pricing::Tiers { tiers, .. } => tiers.iter().map(|tier| tier.max_amount).collect(),
        _ => Vec::new(),
    }
}

fn bounds(rule: &Rule) -> Option<Vec<(Option<Quantity>, bool)>> {
    match &rule.pricing {
        Pricing::Tiers { tiers, .. } => Some(tiers.iter().map(|tier| (tier.up_to, tier.is_below)).collect()),
        _ => None,
    }
}

fn unit(unit: &PricingUnit) -> String {
    let of = match unit.of {
        Divisor::Number(number) => number.to_string(),
        Divisor::HoursInPeriod => "hours_in_period".to_owned(),
        Divisor::SecondsInPeriod => "seconds_in_period".to_owned(),
    };
    format!("{} of {of}", unit.name)
}

/// Warns of meters without a rule of the base component. `priced` contains the names of meters with such a rule.
pub(crate) fn warn_of_unpriced_meters(meters: &[Meter], priced: &BTreeSet<String>, problems: &Problems) {
    for meter in meters.iter().filter(|meter| !priced.contains(&meter.name)) {
        let message = format!("no rule of component `{BASE}` prices meter `{}`", meter.name);
        let diagnostic = Diagnostic::warning("rules::meter_without_price", message);
        let hint = "usage of the meter will be unrated; add a rule, with `free = true` if nothing is charged";
        problems.push(diagnostic.at(meter.declared_at.clone(), "this meter").hint(hint));
    }
}
