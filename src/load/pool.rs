//! The keys of a pool: scope, period, percentile, rounding, free units, minimum, maximum and cap.

use super::keys;
use super::quantity::{In, Units};
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use crate::model::diagnostic::Diagnostic;
use crate::model::money::{Price, Quantity};
use crate::model::rule::{
    Cap, Direction, MissingWindows, Package, Percentile, PoolPeriod, PoolScope, QuantityRounding,
};

/// The keys of a rule that describe its pool.
#[derive(Debug)]
pub(crate) struct PoolKeys {
    pub(crate) per: Option<PoolScope>,
    pub(crate) every: Option<PoolPeriod>,
    pub(crate) percentile: Option<Percentile>,
    pub(crate) round_quantity: Option<QuantityRounding>,
    pub(crate) free_units: Option<Quantity>,
    pub(crate) minimum: Option<Price>,
    pub(crate) maximum: Option<Price>,
    pub(crate) cap: Option<Cap>,
    pub(crate) flat_fee_at_zero: bool,
    pub(crate) minimum_at_zero: bool,
}

pub(crate) fn take_pool_keys(table: &mut Table<'_>, units: &Units<'_>, reader: &RuleReader<'_>) -> PoolKeys {
    let per = table.take("per").and_then(|value| value.choice(&PoolScope::ALL));
    let every = table.take("every").and_then(|value| value.choice(&PoolPeriod::ALL));
    let percentile = take_percentile(table, every, reader);
    let rounding = table.take("round_quantity");
    let round_quantity = rounding.as_ref().and_then(|value| quantity_rounding(value, units, reader));
    let free_units = table.take("free_units").and_then(|value| value.quantity(units, In::Priced));
    let minimum_value = table.take("minimum");
    let minimum: Option<Price> = minimum_value.as_ref().and_then(Value::non_negative);
    let maximum_value = table.take("maximum");
    let maximum = maximum_value.as_ref().and_then(Value::non_negative);
    let cap_value = table.take("cap");
    let cap = cap_value.as_ref().and_then(cap);
    let flat_fee_at_zero = table.take("flat_fee_at_zero").and_then(|value| value.boolean()).unwrap_or(false);
    if let (Some(low), Some(high), Some(minimum), Some(maximum)) = (minimum, maximum, &minimum_value, &maximum_value)
        && low > high
    {
        let diagnostic = Diagnostic::error("rules::minimum_above_maximum", "`minimum` is above `maximum`")
            .at(minimum.place(), "minimum")
            .at(maximum.place(), "maximum");
        reader.problems.push(diagnostic.hint("lower `minimum` or raise `maximum`"));
    }
    let by_window = every == Some(PoolPeriod::Window);
    let bounds =
        [(&minimum_value, "minimum"), (&maximum_value, "maximum"), (&cap_value, "cap"), (&rounding, "round_quantity")];
    for (value, what) in bounds {
        if let Some(value) = value.as_ref().filter(|_| by_window) {
            let message = format!("`{what}` cannot apply to a pool of a single window");
            let diagnostic =
                Diagnostic::error("rules::window_pool", message).at(value.key_place(), "not with every = \"window\"");
            reader.problems.push(diagnostic.hint("write every = \"day\" or every = \"period\""));
        }
    }
    if let Some(cap) = cap_value.as_ref().filter(|_| every == Some(PoolPeriod::Day) || per == Some(PoolScope::Account))
    {
        let diagnostic =
            Diagnostic::error("rules::cap_pool", "`cap` needs a pool of a resource or project for a period");
        let diagnostic = diagnostic.at(cap.key_place(), "this cap");
        reader.problems.push(diagnostic.hint("write per = \"resource\" and every = \"period\", or remove both keys"));
    }
    let at_zero = table.take("minimum_at_zero");
    let minimum_at_zero = at_zero.as_ref().and_then(Value::boolean).unwrap_or(false);
    let is_of_months = per != Some(PoolScope::Resource) && every.is_none_or(|every| every == PoolPeriod::Period);
    if let Some(value) = at_zero.filter(|_| minimum_at_zero && (minimum.is_none() || cap.is_some() || !is_of_months)) {
        let message = "`minimum_at_zero` needs a `minimum` of a project or an account for the period";
        let diagnostic =
            Diagnostic::error("rules::minimum_at_zero", message).at(value.key_place(), "not possible here");
        let hint = "add `minimum` with per = \"project\" or \"account\", without `cap`";
        reader.problems.push(diagnostic.hint(hint));
    }
    PoolKeys {
        per,
        every,
        percentile,
        round_quantity,
        free_units,
        minimum,
        maximum,
        cap,
        flat_fee_at_zero,
        minimum_at_zero,
    }
}

/// Takes `percentile` and `missing_windows`.
fn take_percentile(table: &mut Table<'_>, every: Option<PoolPeriod>, reader: &RuleReader<'_>) -> Option<Percentile> {
    let percentile = table.take("percentile");
    let missing = table.take("missing_windows");
    let Some(percentile) = percentile else {
        if let Some(missing) = missing {
            let diagnostic = Diagnostic::error("rules::missing_key", "`missing_windows` needs a `percentile`");
            let hint = "add a percentile, such as percentile = \"95\", or remove `missing_windows`";
            reader.problems.push(diagnostic.at(missing.key_place(), "no percentile").hint(hint));
        }
        return None;
    };
    if every.is_some_and(|every| every != PoolPeriod::Period) {
        let diagnostic =
            Diagnostic::error("rules::percentile_pool", "`percentile` needs a pool of all windows of a period");
        let diagnostic = diagnostic.at(percentile.key_place(), "not for a day or window");
        reader.problems.push(diagnostic.hint("write every = \"period\", or remove `every`"));
    }
    let missing_windows = missing.map(|value| value.choice(&MissingWindows::ALL));
    let percent = percent_of_windows(&percentile, reader)?;
    Some(Percentile { percent, missing_windows: missing_windows.unwrap_or(Some(MissingWindows::Zero))? })
}

fn percent_of_windows(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<Quantity> {
    let percent: Quantity = value.positive()?;
    if percent > Quantity::from_integer(100) {
        let message = format!("`percentile` is {percent}, expected at most 100");
        let diagnostic = Diagnostic::error("rules::bad_number", message).at(value.place(), "above 100");
        reader
            .problems
            .push(diagnostic.hint("write a percentage: \"95\" ignores the highest 5 percent of the windows"));
        return None;
    }
    Some(percent)
}

fn quantity_rounding(value: &Value<'_>, units: &Units<'_>, reader: &RuleReader<'_>) -> Option<QuantityRounding> {
    let mut table = value.table(&keys::ROUND_QUANTITY)?;
    let ways = [
        ("up_to_multiple_of", Direction::Up),
        ("down_to_multiple_of", Direction::Down),
        ("to_multiple_of", Direction::Nearest),
    ];
    let found: Vec<_> = ways.iter().filter_map(|(key, direction)| Some((table.take(key)?, *direction))).collect();
    let every =
        table.take("every").map(|every| every.choice(&[("day", PoolPeriod::Day), ("period", PoolPeriod::Period)]));
    table.finish();
    let [(multiple, direction)] = found.as_slice() else {
        let diagnostic = Diagnostic::error("rules::bad_rounding", "`round_quantity` needs exactly one multiple");
        let hint = "write one of `up_to_multiple_of`, `down_to_multiple_of` and `to_multiple_of`";
        reader.problems.push(diagnostic.at(value.place(), "this rounding").hint(hint));
        return None;
    };
    let multiple_of = multiple.positive_quantity(units, In::Priced)?;
    let every = every.unwrap_or(Some(PoolPeriod::Period))?;
    Some(QuantityRounding { direction: *direction, multiple_of, every })
}

fn cap(value: &Value<'_>) -> Option<Cap> {
    let mut table = value.table(&keys::CAP)?;
    let hours = table.require("hours").and_then(|value| value.positive_quantity(&Units::of_meter("h"), In::Priced));
    let price = table.require("price").and_then(|value| value.non_negative());
    table.finish();
    Some(Cap { hours: hours?, price: price? })
}

/// Takes `package` and `package_rounding` of a rule or tier.
pub(crate) fn take_package(table: &mut Table<'_>, units: &Units<'_>, reader: &RuleReader<'_>) -> Option<Package> {
    let size = table.take("package");
    let rounding = table.take("package_rounding");
    let Some(size) = size else {
        if let Some(rounding) = rounding {
            let diagnostic = Diagnostic::error("rules::missing_key", "`package_rounding` needs a `package`");
            let diagnostic = diagnostic.at(rounding.key_place(), "no package");
            reader.problems.push(diagnostic.hint("add the units in one package, such as package = \"10\""));
        }
        return None;
    };
    let started = rounding.map(|value| value.choice(&[("started", true), ("complete", false)]));
    let size = size.positive_quantity(units, In::Priced)?;
    Some(Package { size, started: started.unwrap_or(Some(true))? })
}
