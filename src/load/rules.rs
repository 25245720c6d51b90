//! `[[rule]]`: a price of usage.

use super::dimensions::find_dimension;
use super::examples;
use super::keys;
use super::meters::refuse_repetition;
use super::pool::{PoolKeys, take_pool_keys};
use super::price_windows::take_price_windows;
use super::pricing::{needs_sku, take_pricing};
use super::quantity::{In, Units};
use super::rule_reader::RuleReader;
use super::table::{Table, Text, Value};
use super::term_parts::own_currency;
use super::validity::take_validity;
use crate::load::rule_parts::expression;
use crate::load::rule_parts::find_meter;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::money::Quantity;
use crate::model::rule::{
    Divisor, PUBLIC, PoolPeriod, PoolScope, PriceListRow, Pricing, PricingUnit, Rule, Tier, TierPrice, TierUnit,
};

/// The component in which all usage must have a price.
pub(crate) const BASE: &str = "base";

/// The result of reading one `[[rule]]`.
#[derive(Debug)]
pub(crate) struct RuleFound {
    /// The rule; absent if its id, meter, price or currency is missing or invalid.
    pub(crate) rule: Option<Rule>,
    /// Whether the rule has no error. Only valid rules are compared with each other.
    pub(crate) is_valid: bool,
    /// The meter for which this rule contains a base price, even if the price is invalid.
    pub(crate) prices_meter: Option<String>,
}

pub(crate) fn read(mut table: Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> RuleFound {
    let errors_before = reader.problems.error_count();
    let id = table.require_text("id");
    let meter_name = table.require_text("meter");
    let meter = meter_name.as_ref().and_then(|name| find_meter(name, meters, reader));
    let when = expression(&mut table, "when");
    let component = table.string("component").unwrap_or_else(|| BASE.to_owned());
    let card = table.string("card").unwrap_or_else(|| PUBLIC.to_owned());
    let priority = table.take("priority").and_then(|value| priority(&value)).unwrap_or(0);
    let (valid_from, valid_to) = take_validity(&mut table, meter, reader);
    let pricing_quantity = expression(&mut table, "pricing_quantity");
    let metered = meter.map(|meter| meter.unit.as_str()).unwrap_or_default();
    let pricing_unit = table.take("pricing_unit").and_then(|value| pricing_unit(&value, metered));
    let units = Units { metered, priced: pricing_unit.as_ref(), is_multiplied: pricing_quantity.is_some() };
    let line_by = table.texts("line_by").map(|names| line_by(names, meter, reader)).unwrap_or_default();
    let pool_keys = take_pool_keys(&mut table, &units, reader);
    let windows = take_price_windows(&mut table, meter, reader);

    let is_factor = table.take("factor").is_some();
    let (sku, service) = if component == BASE && needs_sku(&mut table) {
        (table.require_text("sku"), table.require_text("service"))
    } else {
        (table.text("sku"), table.text("service"))
    };
    let description = table.string("description");
    let pool = table.string("pool");
    let pricing = take_pricing(&mut table, meter, &units, pool_keys.cap.is_some(), reader);
    let currency = own_currency(&mut table);
    refuse_windows_with_tiers(&id, pricing.as_ref(), !windows.is_empty(), reader);
    refuse_max_amount_of_windows(&id, pricing.as_ref(), pool_keys.every, reader);
    let examples = table.tables("example", &keys::RULE_EXAMPLE);
    if examples.is_empty() {
        warn_without_example("rule", &table, id.as_ref(), reader);
    }
    table.finish();

    let prices_meter = meter_name.as_ref().filter(|_| component == BASE && !is_factor).map(|name| name.value.clone());
    // Errors in examples do not affect the validity of the rule.
    let is_valid = reader.problems.error_count() == errors_before;
    let read = |table| examples::read(table, meter, &units, meters, reader);
    let examples = examples.into_iter().filter_map(read).collect();
    let rule = match (id, meter_name, pricing, currency) {
        (Some(id), Some(meter_name), Some(pricing), Some(currency)) => {
            let sku = sku.map_or_else(|| id.value.clone(), |sku| sku.value);
            warn_of_zero(&id, &pricing, reader);
            Some(Rule {
                service: service.map_or_else(|| meter_name.value.clone(), |service| service.value),
                description: description.unwrap_or_else(|| sku.clone()),
                pool: pool.unwrap_or_else(|| sku.clone()),
                sku,
                pricing_unit: pricing_unit.unwrap_or_else(|| PricingUnit {
                    name: meter.map(|meter| meter.unit.clone()).unwrap_or_default(),
                    of: Divisor::Number(Quantity::from_integer(1)),
                }),
                id: id.value,
                meter: meter_name.value,
                when,
                component,
                card,
                priority,
                valid_from,
                valid_to,
                line_by,
                pricing_quantity,
                per: pool_keys.per.unwrap_or(default_scope(&pool_keys, &pricing)),
                every: pool_keys.every.unwrap_or(PoolPeriod::Period),
                percentile: pool_keys.percentile,
                round_quantity: pool_keys.round_quantity,
                free_units: pool_keys.free_units.unwrap_or(Quantity::ZERO),
                pricing,
                currency,
                windows,
                flat_fee_at_zero: pool_keys.flat_fee_at_zero,
                minimum_at_zero: pool_keys.minimum_at_zero,
                minimum: pool_keys.minimum,
                maximum: pool_keys.maximum,
                cap: pool_keys.cap,
                examples,
                declared_at: id.place,
            })
        }
        _ => None,
    };
    RuleFound { rule, is_valid, prices_meter }
}

/// The default of `per`. Caps, and tiers by percentage of the period, apply to the hours of a single resource.
fn default_scope(keys: &PoolKeys, pricing: &Pricing) -> PoolScope {
    match pricing {
        Pricing::Tiers { bounds: TierUnit::PercentOfPeriod, .. } => PoolScope::Resource,
        _ if keys.cap.is_some() => PoolScope::Resource,
        _ => PoolScope::Project,
    }
}

/// Checks that a rule with price windows has unit prices or is free. The price of a window replaces a unit price.
fn refuse_windows_with_tiers(id: &Option<Text>, pricing: Option<&Pricing>, has_windows: bool, reader: &RuleReader<'_>) {
    let (Some(id), Some(pricing)) = (id, pricing) else { return };
    let is_plain = matches!(
        pricing,
        Pricing::UnitPrice { .. } | Pricing::Prices { .. } | Pricing::PriceList { .. } | Pricing::Free
    );
    if has_windows && !is_plain {
        let diagnostic = Diagnostic::error("rules::windows_with_tiers", "`windows` needs a rule with a unit price");
        let hint = "write `unit_price`, `prices`, `price_list` or `free` for the time outside of the windows";
        reader.problems.push(diagnostic.at(id.place.clone(), "this rule").hint(hint));
    }
}

/// Reports tiers with a maximum amount in a pool of a single window. Costs are computed by days.
fn refuse_max_amount_of_windows(
    id: &Option<Text>,
    pricing: Option<&Pricing>,
    every: Option<PoolPeriod>,
    reader: &RuleReader<'_>,
) {
    let (Some(id), Some(Pricing::Tiers { tiers, .. }), Some(PoolPeriod::Window)) = (id, pricing, every) else { return };
    if tiers.iter().any(|tier| tier.max_amount.is_some()) {
        let message = "`max_amount` cannot apply to a pool of a single window";
        let diagnostic = Diagnostic::error("rules::window_pool", message);
        let diagnostic = diagnostic.at(id.place.clone(), "has every = \"window\"");
        reader.problems.push(diagnostic.hint("write every = \"day\" or every = \"period\""));
    }
}

/// A priority within the allowed range. The range ensures that the order of cards takes precedence over priorities.
fn priority(value: &Value<'_>) -> Option<i64> {
    let priority = value.integer()?;
    if !(-1_000_000_000..=1_000_000_000).contains(&priority) {
        value.refuse("an integer from -1000000000 to 1000000000");
        return None;
    }
    Some(priority)
}

fn pricing_unit(value: &Value<'_>, metered: &str) -> Option<PricingUnit> {
    let mut table = value.table(&keys::PRICING_UNIT)?;
    let name = table.require_text("name");
    let of = table.require("of").and_then(|value| match value.as_str() {
        Some("hours_in_period") => Some(Divisor::HoursInPeriod),
        Some("seconds_in_period") => Some(Divisor::SecondsInPeriod),
        Some(name) if name.starts_with(|first: char| first.is_ascii_alphabetic()) => value
            .choice(&[("hours_in_period", Divisor::HoursInPeriod), ("seconds_in_period", Divisor::SecondsInPeriod)]),
        _ => value.positive_quantity(&Units::of_meter(metered), In::Metered(None)).map(Divisor::Number),
    });
    table.finish();
    Some(PricingUnit { name: name?.value, of: of? })
}

pub(crate) fn line_by(names: Vec<Text>, meter: Option<&Meter>, reader: &RuleReader<'_>) -> Vec<String> {
    refuse_repetition(&names, "line_by", reader);
    if let Some(meter) = meter {
        for name in &names {
            find_dimension(&name.value, &name.place, meter, reader);
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

pub(crate) fn warn_without_example(kind: &str, table: &Table<'_>, id: Option<&Text>, reader: &RuleReader<'_>) {
    let (name, place) = match id {
        Some(id) => (format!("{kind} `{}`", id.value), id.place.clone()),
        None => (format!("a {kind}"), table.place()),
    };
    let diagnostic = Diagnostic::warning("rules::missing_example", format!("{name} has no example"));
    let header = kind.split(' ').next().unwrap_or(kind);
    let hint = format!("add a `[[{header}.example]]` with the expected cost; `conto rules test` runs it");
    reader.problems.push(diagnostic.at(place, format!("this {kind}")).hint(hint));
}

fn is_free_tier(tier: &Tier) -> bool {
    let price = match tier.price {
        TierPrice::Unit(price) | TierPrice::Package(price, _) | TierPrice::Percent(price) => price,
    };
    let is_limited_to_zero = tier.max_amount.is_some_and(|amount| amount.is_zero());
    is_limited_to_zero || price.is_zero() && tier.flat_fee.is_zero()
}

/// Whether a row of a price list is free: the unit price and the price of the cap are zero.
fn is_free_row(row: &PriceListRow) -> bool {
    row.unit_price.is_zero() && row.cap.is_none_or(|cap| cap.price.is_zero())
}

fn warn_of_zero(id: &Text, pricing: &Pricing, reader: &RuleReader<'_>) {
    let what = match pricing {
        Pricing::UnitPrice { amount, .. } if amount.is_zero() => "has the price zero".to_owned(),
        Pricing::Package { unit_price, .. } if unit_price.is_zero() => "has the price zero for packages".to_owned(),
        Pricing::Percent(percent) if percent.is_zero() => "has zero percent".to_owned(),
        Pricing::Tiers { tiers, .. } if tiers.iter().all(is_free_tier) => "has the price zero in all tiers".to_owned(),
        Pricing::Prices { values, .. } => {
            let zero: Vec<&str> =
                values.iter().filter(|(_, price)| price.is_zero()).map(|(value, _)| value.as_str()).collect();
            if zero.is_empty() {
                return;
            }
            format!("has the price zero for `{}`", zero.join("`, `"))
        }
        Pricing::PriceList { rows, .. } => {
            let zero: Vec<String> =
                rows.iter().filter(|row| is_free_row(row)).map(|row| row.line.to_string()).collect();
            if zero.is_empty() {
                return;
            }
            let more = if zero.len() > 5 { format!(" and {} more", zero.len() - 5) } else { String::new() };
            format!("has the price zero in its price list, in line {}{more}", zero[..zero.len().min(5)].join(", "))
        }
        _ => return,
    };
    let diagnostic = Diagnostic::warning("rules::zero_price", format!("rule `{}` {what}", id.value));
    let hint = "if this is intended, write `free = true`, in a separate rule if only a part is free";
    reader.problems.push(diagnostic.at(id.place.clone(), "this rule").hint(hint));
}
