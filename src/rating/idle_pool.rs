//! The charges of a pool without usage: the flat fee of its first tier and its minimum, if the rule charges them at
//! zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::subscription::{Payer, Payers, payer_batch};
use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::{self, DecimalNumber, Price};
use crate::model::period::Calendar;
use crate::model::rule::{Factor, PoolScope, Pricing, Rule};
use crate::query::statement;
use crate::rating::compiled_rule::CompiledRule;
use crate::rows;

/// One row of `idle_pool`.
struct IdlePool<'a> {
    rule: &'a Rule,
    payer: Payer,
    charge_kind: &'static str,
    amount: Price,
}

/// The charges of a pool without usage, multiplied by the factors that apply to its payer.
fn amounts(rule: &Rule, factor: money::Factor) -> Option<Vec<(&'static str, Price)>> {
    let flat_fee = match &rule.pricing {
        Pricing::Tiers { tiers, .. } if rule.flat_fee_at_zero => {
            tiers.first().map_or(Price::ZERO, |tier| tier.flat_fee)
        }
        _ => Price::ZERO,
    };
    let minimum = rule.minimum.filter(|_| rule.minimum_at_zero).unwrap_or(Price::ZERO);
    let (flat_fee, minimum) =
        (flat_fee.checked_mul(factor, Price::PLACES)?, minimum.checked_mul(factor, Price::PLACES)?);
    let missing = minimum.checked_sub(flat_fee)?.max(Price::ZERO);
    let amounts = [("flat_fee", flat_fee), ("minimum", missing)].into_iter();
    Some(amounts.filter(|(_, amount)| !amount.is_zero()).collect())
}

/// Whether a pool of the rule has a cost without usage.
fn costs_at_zero(rule: &Rule) -> bool {
    amounts(rule, money::Factor::from_integer(1)).is_some_and(|amounts| !amounts.is_empty())
}

/// A factor with a fixed number, and the payers to which it applies independently of usage.
struct AppliedFactor<'a> {
    rule: &'a Rule,
    number: money::Factor,
    applies: Vec<bool>,
}

/// The product of the factors of the rule's component that apply to a payer. Factors with a number that depends on
/// usage do not apply, because there is no usage.
fn factor_of(rule: &Rule, payer: &Payer, index: usize, factors: &[AppliedFactor<'_>]) -> Option<money::Factor> {
    let of_rule = factors.iter().filter(|factor| {
        (&factor.rule.meter, &factor.rule.component) == (&rule.meter, &rule.component)
            && factor.applies[index]
            && payer.card_number(&factor.rule.card).is_some()
    });
    let one = money::Factor::from_integer(1);
    of_rule.into_iter().try_fold(one, |product, factor| product.checked_mul(factor.number, money::Factor::PLACES))
}

/// The error for a fee or minimum with too many digits after its factors.
fn too_large(rule: &Rule) -> Error {
    let message = format!("the flat fee or minimum of rule `{}` has too many digits after its factors", rule.id);
    let diagnostic = Diagnostic::error("rules::too_large", message).at(rule.declared_at.clone(), "this rule");
    let hint = "expected at most 16 digits before the decimal point and 28 in all; lower the amount or its factors";
    Error::Invalid(vec![diagnostic.hint(hint)])
}

/// The number of a factor, if the factor has the same number for all usage.
fn number_of(rule: &Rule) -> Option<money::Factor> {
    match rule.pricing {
        Pricing::Factor(Factor::Number(number)) => Some(number),
        _ => None,
    }
}

/// The rows of `idle_pool` for a month. Only rules that are valid at the end of the month apply. If several rules of a
/// pool apply, the rule with the first card of the account is used, then the rule with the highest priority.
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
    for compiled in compiled.iter().filter(|compiled| is_valid(compiled.rule) && costs_at_zero(compiled.rule)) {
        if compiled.rule.per != PoolScope::Resource {
            pools.entry((&compiled.rule.pool, compiled.rule.per == PoolScope::Account)).or_default().push(compiled);
        }
    }
    let is_fixed_factor = |compiled: &&CompiledRule<'_>| is_valid(compiled.rule) && number_of(compiled.rule).is_some();
    let fixed_factors: Vec<&CompiledRule<'_>> = compiled.iter().filter(is_fixed_factor).collect();
    let mut found: Vec<IdlePool<'_>> = Vec::new();
    for ((_, is_of_account), rules) in pools {
        let payers = if is_of_account { payers.of_accounts(month) } else { payers.of_projects(month, calendar) };
        let batch = payer_batch(&payers)?;
        let mut applies = Vec::with_capacity(rules.len());
        for rule in &rules {
            applies.push(rule.applies_to_payers(&batch)?);
        }
        let mut factors = Vec::with_capacity(fixed_factors.len());
        for factor in &fixed_factors {
            let Some(number) = number_of(factor.rule) else { continue };
            factors.push(AppliedFactor { rule: factor.rule, number, applies: factor.applies_to_payers(&batch)? });
        }
        for (index, payer) in payers.into_iter().enumerate() {
            let of_payer = rules.iter().zip(&applies).filter(|(_, applies)| applies[index]);
            let on_cards = of_payer.filter_map(|(rule, _)| Some((payer.card_number(&rule.rule.card)?, rule.rule)));
            let Some((_, rule)) = on_cards.min_by_key(|(card, rule)| (*card, -rule.priority, &rule.id)) else {
                continue;
            };
            let amounts = factor_of(rule, &payer, index, &factors).and_then(|factor| amounts(rule, factor));
            let amounts = amounts.ok_or_else(|| too_large(rule))?;
            for (charge_kind, amount) in amounts {
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
        texts(|one| Some(one.rule.currency.code().to_owned())),
        texts(|one| Some(one.rule.declared_at.source.name.clone())),
        Arc::new(Int64Array::from_iter_values(found.iter().map(|one| one.rule.declared_at.line() as i64))),
    ];
    rows::batch(statement("rating/idle_pool")?, columns)
}
