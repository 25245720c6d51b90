//! The prices that a meter with negative records cannot have.
//!
//! A running total that falls has no percentile of its windows. If several projects share it, each unit costs the
//! average price of the total. Amounts that are not proportional to the total, such as fees, would be divided by a
//! total near zero. So a project could pay many times the amount, and another project could be paid as much.

use std::collections::BTreeMap;

use super::problems::Problems;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::rule::{PoolPeriod, PoolScope, Pricing, Rule, TierPrice};

/// Reports rules whose pool contains usage of a meter with `signed = true`, and whose price needs a total that never
/// falls. All rules of such a pool count, because they share the total.
pub(crate) fn refuse_signed_pools(rules: &[&Rule], meters: &[Meter], problems: &Problems) {
    let has_pool = |rule: &&Rule| !matches!(rule.pricing, Pricing::Factor(_));
    let mut signed: BTreeMap<&str, &Meter> = BTreeMap::new();
    for rule in rules.iter().copied().filter(has_pool) {
        if let Some(meter) = meters.iter().find(|meter| meter.signed && meter.name == rule.meter) {
            signed.entry(&rule.pool).or_insert(meter);
        }
    }
    for rule in rules.iter().copied().filter(has_pool) {
        let Some(meter) = signed.get(rule.pool.as_str()) else { continue };
        let Some((what, remedy)) = needs_rising_total(rule) else { continue };
        let message = format!(
            "meter `{}` accepts negative records, but rule `{}` of pool `{}` has {what}",
            meter.name, rule.id, rule.pool
        );
        let diagnostic = Diagnostic::error("rules::signed_pool", message)
            .at(rule.declared_at.clone(), "this rule")
            .at(meter.declared_at.clone(), "has `signed = true`");
        problems.push(diagnostic.hint(format!("{remedy}, or remove `signed` from the meter")));
    }
}

/// The part of a rule that needs a running total that never falls, and the remedy.
fn needs_rising_total(rule: &Rule) -> Option<(&'static str, &'static str)> {
    if rule.percentile.is_some() {
        return Some(("a `percentile`", "remove `percentile`"));
    }
    if rule.every == PoolPeriod::Window {
        return Some(("`every = \"window\"`", "write every = \"day\" or every = \"period\""));
    }
    if rule.per != PoolScope::Account {
        return None;
    }
    let has_maximum = |rule: &Rule| {
        let in_rows =
            matches!(&rule.pricing, Pricing::PriceList { rows, .. } if rows.iter().any(|row| row.maximum.is_some()));
        rule.maximum.is_some() || in_rows
    };
    let tiers = match &rule.pricing {
        Pricing::Tiers { tiers, .. } => tiers.as_slice(),
        _ => &[],
    };
    let by_package = matches!(rule.pricing, Pricing::Package { .. })
        || tiers.iter().any(|tier| matches!(tier.price, TierPrice::Package(..)));
    let what = if by_package {
        "packages in a pool of an account"
    } else if tiers.iter().any(|tier| !tier.flat_fee.is_zero()) {
        "a `flat_fee` in a pool of an account"
    } else if tiers.iter().any(|tier| tier.max_amount.is_some()) {
        "a `max_amount` in a pool of an account"
    } else if rule.minimum.is_some() {
        "a `minimum` in a pool of an account"
    } else if has_maximum(rule) {
        "a `maximum` in a pool of an account"
    } else {
        return None;
    };
    Some((what, "write per = \"project\" or per = \"resource\""))
}
