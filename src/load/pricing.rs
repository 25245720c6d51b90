//! The price of a rule, in exactly one form.

use std::collections::BTreeMap;

use super::dimensions::{find_dimension, value_text};
use super::keys::{self, TableKeys};
use super::pool::take_package;
use super::price_list;
use super::quantity::{In, Units};
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use super::tiers::read_tiers;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::money::{DecimalNumber, Quantity};
use crate::model::rule::{Factor, Pricing, TierKind, TierUnit};

const PRICE_KEYS: [&str; 7] = ["unit_price", "prices", "price_list", "tiers", "percent", "factor", "free"];

/// Whether the rule has its own invoice lines. A factor changes lines of other rules, and free usage has no lines.
pub(crate) fn needs_sku(table: &mut Table<'_>) -> bool {
    table.take("factor").is_none() && table.take("free").is_none()
}

/// Takes the keys of all forms of a price. A rule must have exactly one price; a cap without another price is valid.
/// Otherwise a problem is reported and the result is `None`.
pub(crate) fn take_pricing(
    table: &mut Table<'_>,
    meter: Option<&Meter>,
    units: &Units<'_>,
    has_cap: bool,
    reader: &RuleReader<'_>,
) -> Option<Pricing> {
    let found: Vec<Value<'_>> = PRICE_KEYS.into_iter().filter_map(|key| table.take(key)).collect();
    let tier = table.take("tier");
    let tier_unit = table.take("tier_unit");
    let package_key = table.take("package");
    let package = take_package(table, units, reader);
    let [value] = found.as_slice() else {
        if found.is_empty() && tier.is_none() && has_cap {
            return Some(Pricing::CapOnly);
        }
        if found.is_empty() && tier.is_none() {
            let diagnostic = Diagnostic::error("rules::no_price", "the rule has no price");
            let hint = format!("add one of these keys: {}", PRICE_KEYS.join(", "));
            reader.problems.push(diagnostic.at(table.place(), "this rule").hint(hint));
        } else if found.is_empty() {
            report_tier_alone(tier.as_ref(), reader);
        } else {
            let mut diagnostic = Diagnostic::error("rules::two_prices", "the rule has more than one price");
            for value in &found {
                diagnostic = diagnostic.at(value.key_place(), "a price");
            }
            reader.problems.push(diagnostic.hint("keep one price, or split the rule in two"));
        }
        return None;
    };
    if value.name != "tiers" && tier.is_some() {
        report_tier_alone(tier.as_ref(), reader);
    }
    if let Some(key) = tier_unit.as_ref().filter(|_| value.name != "tiers") {
        misplaced(key, "`tier_unit` needs `tiers`", "remove `tier_unit`", reader);
    }
    if let Some(key) = package_key.as_ref().filter(|_| value.name != "unit_price" || value.is_table()) {
        let message = "`package` needs a `unit_price` for one package";
        misplaced(
            key,
            message,
            "write the price of a package as `unit_price`; with tiers, write `package` in a tier",
            reader,
        );
    }
    match value.name {
        "unit_price" => match package {
            Some(package) => Some(Pricing::Package { unit_price: value.non_negative()?, package }),
            None => unit_price(value, units),
        },
        "percent" => value.non_negative().map(Pricing::Percent),
        "prices" => {
            let (by, values) = by_values(value, &keys::PRICES, meter, reader)?;
            Some(Pricing::Prices { by, values })
        }
        "price_list" => price_list::read(value, meter, reader),
        "tiers" => {
            let kind = value.choice(&TierKind::ALL);
            let bounds = tier_unit.map(|value| value.choice(&[("percent_of_period", TierUnit::PercentOfPeriod)]));
            let Some(tier) = tier else {
                table.missing("tier");
                return None;
            };
            let bounds = bounds.unwrap_or(Some(TierUnit::Priced));
            let percent = Units::of_meter("%");
            let counted = if bounds == Some(TierUnit::PercentOfPeriod) { &percent } else { units };
            let tiers = read_tiers(&tier, kind.unwrap_or(TierKind::Graduated), counted, units, reader)?;
            Some(Pricing::Tiers { kind: kind?, bounds: bounds?, tiers })
        }
        "factor" => {
            let factor = if value.is_table() {
                let (by, values) = by_values(value, &keys::FACTOR, meter, reader)?;
                Factor::By { by, values }
            } else {
                Factor::Number(value.non_negative()?)
            };
            Some(Pricing::Factor(factor))
        }
        _ => {
            if !value.boolean()? {
                let diagnostic = Diagnostic::error("rules::no_price", "`free = false` is not a price");
                let hint = "remove `free` and add a price, or write free = true";
                reader.problems.push(diagnostic.at(value.place(), "not a price").hint(hint));
                return None;
            }
            Some(Pricing::Free)
        }
    }
}

fn misplaced(value: &Value<'_>, message: &'static str, hint: &'static str, reader: &RuleReader<'_>) {
    let diagnostic = Diagnostic::error("rules::misplaced_key", message).at(value.key_place(), "not with this price");
    reader.problems.push(diagnostic.hint(hint));
}

fn report_tier_alone(tier: Option<&Value<'_>>, reader: &RuleReader<'_>) {
    if let Some(tier) = tier {
        let diagnostic = Diagnostic::error("rules::tier_without_tiers", "`tier` needs the key `tiers`");
        let hint = "add tiers = \"graduated\", \"volume\" or \"stairstep\", without another price";
        reader.problems.push(diagnostic.at(tier.key_place(), "these tiers").hint(hint));
    }
}

fn unit_price(value: &Value<'_>, units: &Units<'_>) -> Option<Pricing> {
    if !value.is_table() {
        return Some(Pricing::UnitPrice { amount: value.non_negative()?, per: Quantity::from_integer(1) });
    }
    let mut table = value.table(&keys::UNIT_PRICE)?;
    let amount = table.require("amount").and_then(|value| value.non_negative());
    let per = table.require("per").and_then(|value| value.positive_quantity(units, In::Priced));
    table.finish();
    Some(Pricing::UnitPrice { amount: amount?, per: per? })
}

/// Reads a number for each value of a dimension: `{ by = "dimension", "value" = "0.1", … }`.
fn by_values<N: DecimalNumber>(
    value: &Value<'_>,
    keys: &'static TableKeys,
    meter: Option<&Meter>,
    reader: &RuleReader<'_>,
) -> Option<(String, BTreeMap<String, N>)> {
    let what = keys.what;
    let mut table = value.table(keys)?;
    let by = table.require_text("by");
    let dimension = match (&by, meter) {
        (Some(by), Some(meter)) => find_dimension(&by.value, &by.place, meter, reader),
        _ => None,
    };
    let mut values = BTreeMap::new();
    let mut spellings: BTreeMap<String, Value<'_>> = BTreeMap::new();
    let entries = table.rest();
    if entries.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", format!("{what} contains no value of the dimension"));
        let hint = "add each value with its number, such as \"m1.small\" = \"0.02\"";
        reader.problems.push(diagnostic.at(value.place(), "only `by`").hint(hint));
    }
    for entry in entries {
        let number = entry.non_negative();
        let name = match dimension {
            Some(dimension) => value_text(entry.name, dimension, &entry.key_place(), reader),
            None => Some(entry.name.to_owned()),
        };
        let (Some(number), Some(name)) = (number, name) else { continue };
        if let Some(first) = spellings.get(&name) {
            let diagnostic =
                Diagnostic::error("rules::repeated_price", format!("value `{name}` is listed twice in {what}"))
                    .at(entry.key_place(), "again")
                    .at(first.key_place(), "first");
            reader.problems.push(diagnostic.hint("both keys are spellings of the same value; remove one"));
            continue;
        }
        values.insert(name.clone(), number);
        spellings.insert(name, entry);
    }
    Some((by?.value, values))
}
