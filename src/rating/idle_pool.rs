//! What a pool costs those who use nothing of it: the flat fee of a first tier, or a minimum, where the rule says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::matching::CompiledRule;
use super::rule::{PoolScope, Pricing, Rule};
use super::subscription::{Payer, Payers, payer_batch};
use crate::money::UnitPrice;
use crate::period::Calendar;
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// One row of `idle_pool`.
struct IdlePool<'a> {
    rule: &'a Rule,
    payer: Payer,
    charge_kind: &'static str,
    amount: UnitPrice,
}

/// What a pool without any usage costs.
fn amounts(rule: &Rule) -> Vec<(&'static str, UnitPrice)> {
    let flat_fee = match &rule.pricing {
        Pricing::Tiers { tiers, .. } if rule.flat_fee_at_zero => {
            tiers.first().map_or(UnitPrice::ZERO, |tier| tier.flat_fee)
        }
        _ => UnitPrice::ZERO,
    };
    let minimum = rule.minimum.filter(|_| rule.minimum_at_zero).unwrap_or(UnitPrice::ZERO);
    let missing = minimum.checked_sub(flat_fee).unwrap_or(UnitPrice::ZERO).max(UnitPrice::ZERO);
    [("flat_fee", flat_fee), ("minimum", missing)].into_iter().filter(|(_, amount)| !amount.is_zero()).collect()
}

/// Rows of `idle_pool` for a month. Of rules that share a pool the one that is valid when the month ends counts, on the
/// account's first card, with the highest priority.
pub(super) fn idle_pool_rows(
    compiled: &[CompiledRule<'_>],
    payers: &Payers<'_>,
    calendar: &mut Calendar,
    month: (i32, i32),
) -> Result<RecordBatch, Error> {
    let end = calendar.day_start(month.1);
    let is_valid =
        |rule: &Rule| rule.valid_from.is_none_or(|from| from < end) && rule.valid_to.is_none_or(|to| end <= to);
    let mut pools: BTreeMap<(&str, bool), Vec<&CompiledRule<'_>>> = BTreeMap::new();
    for compiled in compiled.iter().filter(|compiled| is_valid(compiled.rule) && !amounts(compiled.rule).is_empty()) {
        if compiled.rule.per != PoolScope::Resource {
            pools.entry((&compiled.rule.pool, compiled.rule.per == PoolScope::Account)).or_default().push(compiled);
        }
    }
    let mut found: Vec<IdlePool<'_>> = Vec::new();
    for ((_, is_of_account), rules) in pools {
        let payers = if is_of_account { payers.of_accounts(month) } else { payers.of_projects(month, calendar) };
        let batch = payer_batch(&payers)?;
        let mut applies = Vec::with_capacity(rules.len());
        for rule in &rules {
            applies.push(rule.applies_to_payers(&batch)?);
        }
        for (index, payer) in payers.into_iter().enumerate() {
            let of_payer = rules.iter().zip(&applies).filter(|(_, applies)| applies[index]);
            let carded = of_payer.filter_map(|(rule, _)| Some((payer.card_number(&rule.rule.card)?, rule.rule)));
            let Some((_, rule)) = carded.min_by_key(|(card, rule)| (*card, -rule.priority, &rule.id)) else { continue };
            for (charge_kind, amount) in amounts(rule) {
                found.push(IdlePool { rule, payer: payer.clone(), charge_kind, amount });
            }
        }
    }
    let texts = |pick: fn(&IdlePool<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(found.iter().map(pick)))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|one| Some(one.rule.id.clone())),
        texts(|one| Some(one.rule.pool.clone())),
        texts(|one| Some(one.payer.account_id.clone())),
        texts(|one| one.payer.account_name.clone()),
        texts(|one| one.payer.project.as_ref().map(|(id, _)| id.clone())),
        texts(|one| one.payer.project.as_ref().and_then(|(_, name)| name.clone())),
        texts(|one| Some(one.payer.status().to_owned())),
        texts(|one| Some(one.rule.service.clone())),
        texts(|one| Some(one.rule.sku.clone())),
        texts(|one| Some(one.rule.description.clone())),
        texts(|one| Some(one.charge_kind.to_owned())),
        Arc::new(rows::decimals(found.iter().map(|one| Some(one.amount.units())), 28, 12)?),
        texts(|one| Some(one.rule.declared_at.source.name.clone())),
        Arc::new(Int64Array::from_iter_values(found.iter().map(|one| one.rule.declared_at.line() as i64))),
    ];
    rows::batch(statement("rating/idle_pool")?, columns)
}
