//! Tiers with increasing bounds and an open last tier.

use super::keys;
use super::pool::take_package;
use super::quantity::{In, Units};
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::money::{Price, Quantity};
use crate::model::rule::{Tier, TierKind, TierPrice};

/// Reads the tiers of a rule or fee. Every quantity must be in exactly one tier. If there is a problem, the result is
/// `None`.
///
/// `counted` contains the units of bounds, and `units` the units of packages. The two differ if bounds are percentages
/// of the period.
pub(crate) fn read_tiers(
    value: &Value<'_>,
    kind: TierKind,
    counted: &Units<'_>,
    units: &Units<'_>,
    reader: &RuleReader<'_>,
) -> Option<Vec<Tier>> {
    let errors_before = reader.problems.error_count();
    let tables = value.tables(&keys::TIER)?;
    if tables.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", "`tier` is an empty list");
        let hint = "add tiers, such as tier = [{ up_to = \"10\", unit_price = \"1\" }, { unit_price = \"0.5\" }]";
        reader.problems.push(diagnostic.at(value.place(), "empty").hint(hint));
        return None;
    }
    let mut tiers = Vec::new();
    let mut previous: Option<(Quantity, Place)> = None;
    let last = tables.len() - 1;
    for (index, mut table) in tables.into_iter().enumerate() {
        let (up_to, below) = (table.take("up_to"), table.take("below"));
        if let Some(below) = &below {
            refuse_bound(below, up_to.as_ref(), kind, reader);
        }
        let is_below = below.is_some();
        let bound = up_to.or(below);
        let price = take_price(&mut table, kind, units, reader);
        let fee_value = table.take("flat_fee");
        let flat_fee = fee_value.as_ref().map_or(Some(Price::ZERO), Value::non_negative);
        let max_value = table.take("max_amount");
        let max_amount = max_value.as_ref().and_then(|value| max_amount(value, fee_value.as_ref(), kind, reader));
        let up_to = bound.as_ref().and_then(|bound| bound.quantity(counted, In::Priced));
        match &bound {
            None if index < last => {
                let message = format!("tier {} has no `up_to`, but another tier follows", index + 1);
                let diagnostic = Diagnostic::error("rules::tier_gap", message).at(table.place(), "no end");
                reader.problems.push(diagnostic.hint("add `up_to`; only the last tier is open"));
            }
            Some(bound) if index == last => {
                let message = "the last tier has an `up_to`, so usage above it has no price";
                let diagnostic = Diagnostic::error("rules::last_tier_not_open", message).at(bound.place(), "ends here");
                reader.problems.push(diagnostic.hint("add a last tier without `up_to`"));
            }
            _ => {}
        }
        if let (Some(up_to), Some(bound)) = (up_to, &bound) {
            match &previous {
                Some((below, place)) if up_to <= *below => {
                    let message = format!("tier {} ends at {up_to}, expected more than {below}", index + 1);
                    let diagnostic = Diagnostic::error("rules::tiers_not_rising", message)
                        .at(bound.place(), "not higher")
                        .at(place.clone(), "the previous tier ends here");
                    reader.problems.push(diagnostic.hint("bounds count from zero and increase from tier to tier"));
                }
                None if up_to <= Quantity::ZERO => {
                    let message = format!("the first tier ends at {up_to}, expected more than zero");
                    let diagnostic = Diagnostic::error("rules::tier_zero", message).at(bound.place(), "not above zero");
                    reader.problems.push(diagnostic.hint("remove the tier, or raise its `up_to`"));
                }
                _ => {}
            }
            previous = Some((up_to, bound.place()));
        }
        table.finish();
        if let (Some(price), Some(flat_fee)) = (price, flat_fee) {
            tiers.push(Tier { up_to, is_below, price, flat_fee, max_amount });
        }
    }
    (reader.problems.error_count() == errors_before).then_some(tiers)
}

/// Reports an exclusive bound beside an inclusive one, or in graduated tiers. In those, each unit has its own tier, and
/// the total selects none.
fn refuse_bound(below: &Value<'_>, up_to: Option<&Value<'_>>, kind: TierKind, reader: &RuleReader<'_>) {
    if let Some(up_to) = up_to {
        let diagnostic = Diagnostic::error("rules::two_bounds", "the tier has `up_to` and `below`")
            .at(up_to.key_place(), "inclusive")
            .at(below.key_place(), "exclusive");
        reader.problems.push(diagnostic.hint("keep one of them"));
    } else if kind == TierKind::Graduated {
        let diagnostic = Diagnostic::error("rules::misplaced_key", "`below` needs tiers that the total selects");
        let diagnostic = diagnostic.at(below.key_place(), "not with graduated tiers");
        reader.problems.push(diagnostic.hint("write `up_to`: graduated tiers price each unit in its own tier"));
    }
}

/// The maximum cost of a tier. Reports a maximum of a stairstep tier, and one that the flat fee alone exceeds.
fn max_amount(
    value: &Value<'_>,
    flat_fee: Option<&Value<'_>>,
    kind: TierKind,
    reader: &RuleReader<'_>,
) -> Option<Price> {
    let amount = value.non_negative()?;
    if kind == TierKind::Stairstep {
        let diagnostic = Diagnostic::error("rules::misplaced_key", "`max_amount` needs a tier with a unit price");
        let diagnostic = diagnostic.at(value.key_place(), "not with \"stairstep\"");
        reader.problems.push(diagnostic.hint("remove it: a tier of a stairstep price costs its `flat_fee`"));
    } else if let Some(fee) = flat_fee
        && fee.non_negative::<Price>().is_some_and(|fee| fee > amount)
    {
        let diagnostic = Diagnostic::error("rules::fee_above_max_amount", "`flat_fee` is above `max_amount`")
            .at(fee.place(), "flat fee")
            .at(value.place(), "maximum, with the flat fee");
        reader.problems.push(diagnostic.hint("lower `flat_fee` or raise `max_amount`"));
    }
    Some(amount)
}

/// The price of a tier: for each unit, for each package, a percentage, or only a flat fee.
fn take_price(table: &mut Table<'_>, kind: TierKind, units: &Units<'_>, reader: &RuleReader<'_>) -> Option<TierPrice> {
    let unit_price = table.take("unit_price");
    let percent = table.take("percent");
    let package = take_package(table, units, reader);
    let has_fee = table.take("flat_fee").is_some();
    if kind == TierKind::Stairstep {
        if let Some(price) = unit_price.or(percent) {
            let diagnostic =
                Diagnostic::error("rules::stairstep_price", "a tier of a stairstep price has only a `flat_fee`");
            let diagnostic = diagnostic.at(price.key_place(), "not with \"stairstep\"");
            reader.problems.push(diagnostic.hint("write `flat_fee` instead, or tiers = \"volume\""));
        } else if !has_fee {
            table.missing("flat_fee");
        }
        return Some(TierPrice::Unit(Price::ZERO));
    }
    match (unit_price, percent, package) {
        (Some(price), None, None) => price.non_negative().map(TierPrice::Unit),
        (Some(price), None, Some(package)) => price.non_negative().map(|price| TierPrice::Package(price, package)),
        (None, Some(percent), None) => percent.non_negative().map(TierPrice::Percent),
        (None, None, None) if has_fee => Some(TierPrice::Unit(Price::ZERO)),
        (None, None, None) => {
            table.missing("unit_price");
            None
        }
        (price, percent, _) => {
            let place = percent.or(price).map_or_else(|| table.place(), |value| value.key_place());
            let diagnostic = Diagnostic::error("rules::two_prices", "the tier has more than one price");
            let hint = "keep `unit_price`, with or without `package`, or `percent`";
            reader.problems.push(diagnostic.at(place, "second price").hint(hint));
            None
        }
    }
}
