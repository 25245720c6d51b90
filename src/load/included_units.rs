//! `[[included_units]]`: free units of a pool for each resource of a meter.

use super::problems::suggestion;
use super::quantity::{In, Units};
use super::rule_parts::{expression, find_meter};
use super::rule_reader::RuleReader;
use super::table::{Table, Text};
use super::validity::take_validity;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::{Aggregation, Meter};
use crate::model::rule::{PoolIncludedUnits, PoolPeriod, PoolScope, Rule};

/// Reads `[[included_units]]`. The result is `None` if a required key is missing or invalid.
pub(crate) fn read(
    mut table: Table<'_>,
    meters: &[Meter],
    rules: &[Rule],
    reader: &RuleReader<'_>,
) -> Option<PoolIncludedUnits> {
    let id = table.require_text("id");
    let meter_name = table.require_text("meter");
    let meter = meter_name.as_ref().and_then(|name| find_meter(name, meters, reader));
    let when = expression(&mut table, "when");
    let pool = table.require_text("pool");
    let of_pool = pool.as_ref().and_then(|pool| rules.iter().find(|rule| rule.counts_in(&pool.value)));
    let units =
        table.require("units").and_then(|value| value.positive_quantity(&units_of(of_pool, meters), In::Priced));
    // The key is required, because both values are common.
    let prorated_value = table.require("prorated");
    let prorated = prorated_value.as_ref().and_then(|value| value.boolean());
    let (valid_from, valid_to) = take_validity(&mut table, None, reader);
    table.finish();

    let measures_time = |meter: &Meter| matches!(meter.aggregation, Aggregation::Presence | Aggregation::Duration);
    if let (Some(true), Some(value), Some(meter)) = (prorated, &prorated_value, meter)
        && !measures_time(meter)
    {
        let message =
            format!("meter `{}` does not measure time, so included units cannot be prorated by it", meter.name);
        let diagnostic =
            Diagnostic::error("rules::allowance_meter", message).at(value.place(), "not possible with this meter");
        let hint = "use a meter with the aggregation `presence` or `duration`, or write prorated = false";
        reader.problems.push(diagnostic.hint(hint));
    }
    if let Some(pool) = &pool {
        check_pool(pool, rules, reader);
    }
    let id = id?;
    Some(PoolIncludedUnits {
        id: id.value,
        meter: meter_name?.value,
        when,
        pool: pool?.value,
        units: units?,
        prorated: prorated?,
        valid_from,
        valid_to,
        declared_at: id.place,
    })
}

/// The units of a pool, which are the units of `rule`, a rule of the pool.
fn units_of<'a>(rule: Option<&'a Rule>, meters: &'a [Meter]) -> Units<'a> {
    let meter = rule.and_then(|rule| meters.iter().find(|meter| meter.name == rule.meter));
    Units {
        metered: meter.map(|meter| meter.unit.as_str()).unwrap_or_default(),
        priced: rule.map(|rule| &rule.pricing_unit),
        is_multiplied: rule.is_some_and(|rule| rule.pricing_quantity.is_some()),
    }
}

/// Checks that the pool exists, belongs to a project or account for the whole period, and has no cap.
fn check_pool(pool: &Text, rules: &[Rule], reader: &RuleReader<'_>) {
    let of_pool: Vec<&Rule> = rules.iter().filter(|rule| rule.counts_in(&pool.value)).collect();
    if of_pool.is_empty() && reader.is_complete {
        let diagnostic = Diagnostic::error("rules::unknown_pool", format!("no rule has the pool `{}`", pool.value));
        let hint = suggestion(&pool.value, rules.iter().map(|rule| rule.pool.as_str()), "pools");
        reader.problems.push(diagnostic.at(pool.place.clone(), "unknown pool").hint(hint));
    }
    let unfit = of_pool
        .iter()
        .find(|rule| rule.per == PoolScope::Resource || rule.every != PoolPeriod::Period || rule.has_cap());
    if let Some(rule) = unfit {
        let message = format!("pool `{}` is not a pool of a project or account for a whole period", pool.value);
        let diagnostic = Diagnostic::error("rules::allowance_pool", message)
            .at(pool.place.clone(), "this pool")
            .at(rule.declared_at.clone(), "a rule of the pool");
        let hint = "in the rules of the pool, write per = \"project\" or \"account\", without `every` and `cap`";
        reader.problems.push(diagnostic.hint(hint));
    }
}
