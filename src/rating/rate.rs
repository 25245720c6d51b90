//! Rules as rows: rates with their validity, and their tiers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::rule::{Divisor, PoolPeriod, PoolScope, PriceListRow, Pricing, Rule, RuleBook};
use crate::money::{Quantity, UnitPrice};
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// The real length of the billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodLength {
    pub seconds: i64,
}

impl PeriodLength {
    /// Metered units in one priced unit.
    pub fn units(self, divisor: Divisor) -> Quantity {
        match divisor {
            Divisor::Number(number) => number,
            Divisor::SecondsInPeriod => Quantity::from_integer(self.seconds),
            // Clocks are moved by quarters of an hour at the least, so the quotient ends within nine places.
            Divisor::HoursInPeriod => Quantity::from_units(i128::from(self.seconds) * 1_000_000_000 / 3600),
        }
    }
}

/// One rate: a rule, cut to one validity where its price list has several.
#[derive(Clone, Debug)]
pub struct Rate<'a> {
    pub id: String,
    pub rule: &'a Rule,
    /// Microseconds UTC, inclusive.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive.
    pub valid_to: Option<i64>,
}

impl Rate<'_> {
    /// The row of the rule's price list that holds for these values in this rate's validity.
    pub fn price_list_row(&self, values: &[Option<&str>]) -> Option<&PriceListRow> {
        let Pricing::PriceList { rows, .. } = &self.rule.pricing else { return None };
        let holds = |row: &&PriceListRow| {
            row.values.iter().zip(values).all(|(row, value)| Some(row.as_str()) == *value)
                && covers(row.valid_from, row.valid_to, self.valid_from, self.valid_to)
        };
        rows.iter().find(holds)
    }

    pub fn is_valid_over(&self, start: i64, end: i64) -> bool {
        covers(self.valid_from, self.valid_to, Some(start), Some(end))
    }
}

/// Whether the outer range holds the whole inner one; `None` is open.
fn covers(outer_from: Option<i64>, outer_to: Option<i64>, from: Option<i64>, to: Option<i64>) -> bool {
    let starts = outer_from.is_none_or(|outer| from.is_some_and(|from| outer <= from));
    let ends = outer_to.is_none_or(|outer| to.is_some_and(|to| to <= outer));
    starts && ends
}

/// The rates of all rules but factors, in the order of rules.
pub fn rates(rules: &RuleBook) -> Vec<Rate<'_>> {
    let priced = rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_)));
    priced.flat_map(|rule| rates_of(rule, &separator(rule, rules))).collect()
}

/// What stands between a rule's id and the number of a validity: so many `@` that no other rule is called alike.
fn separator(rule: &Rule, rules: &RuleBook) -> String {
    let mut separator = "@".to_owned();
    while rules.rules.iter().any(|other| other.id.starts_with(&format!("{}{separator}", rule.id))) {
        separator.push('@');
    }
    separator
}

fn rates_of<'a>(rule: &'a Rule, separator: &str) -> Vec<Rate<'a>> {
    let whole = Rate { id: rule.id.clone(), rule, valid_from: rule.valid_from, valid_to: rule.valid_to };
    let Pricing::PriceList { rows, .. } = &rule.pricing else { return vec![whole] };
    let instants: BTreeSet<i64> = rows.iter().flat_map(|row| [row.valid_from, row.valid_to]).flatten().collect();
    let inside = |instant: &i64| {
        rule.valid_from.is_none_or(|from| from < *instant) && rule.valid_to.is_none_or(|to| *instant < to)
    };
    let cuts: Vec<i64> = instants.into_iter().filter(inside).collect();
    if cuts.is_empty() {
        return vec![whole];
    }
    let starts = std::iter::once(rule.valid_from).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain(std::iter::once(rule.valid_to));
    let parts = starts.zip(ends).enumerate();
    parts
        .map(|(index, (valid_from, valid_to))| Rate {
            id: format!("{}{separator}{}", rule.id, index + 1),
            rule,
            valid_from,
            valid_to,
        })
        .collect()
}

/// What the unit price is shown for; one in most rules.
fn price_per(rule: &Rule) -> Quantity {
    match &rule.pricing {
        Pricing::UnitPrice { per, .. } => *per,
        _ => Quantity::from_integer(1),
    }
}

/// A bound or divisor in metered units. One that needs more than nine places is rounded there.
fn product(left: Quantity, right: Quantity) -> Result<Quantity, Error> {
    left.checked_mul(right).ok_or(Error::Internal("a tier bound beyond 38 digits"))
}

/// Rows of `rate` and `rate_tier`.
pub fn rate_rows(rates: &[Rate<'_>], length: PeriodLength) -> Result<(RecordBatch, RecordBatch), Error> {
    let text = |pick: &dyn Fn(&Rate<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rates.iter().map(pick)))
    };
    let quantities = |values: Vec<Quantity>, precision: u8| -> Result<ArrayRef, Error> {
        Ok(Arc::new(rows::decimals(values.into_iter().map(|value| Some(value.units())), precision, 9)?))
    };
    let divisors: Vec<Quantity> = rates.iter().map(|rate| length.units(rate.rule.pricing_unit.of)).collect();
    let pers: Vec<Quantity> = rates.iter().map(|rate| price_per(rate.rule)).collect();
    let cost_divisors: Result<Vec<Quantity>, Error> =
        divisors.iter().zip(&pers).map(|(divisor, per)| product(*divisor, *per)).collect();
    let columns: Vec<ArrayRef> = vec![
        text(&|rate| rate.id.clone()),
        text(&|rate| rate.rule.id.clone()),
        text(&|rate| rate.rule.meter.clone()),
        text(&|rate| rate.rule.component.clone()),
        Arc::new(Int64Array::from_iter_values(rates.iter().map(|rate| rate.rule.priority))),
        Arc::new(rows::timestamps(rates.iter().map(|rate| rate.valid_from))),
        Arc::new(rows::timestamps(rates.iter().map(|rate| rate.valid_to))),
        text(&|rate| rate.rule.sku.clone()),
        text(&|rate| rate.rule.service.clone()),
        text(&|rate| rate.rule.description.clone()),
        text(&|rate| rate.rule.pool.clone()),
        text(&|rate| match rate.rule.per {
            PoolScope::Resource => "resource".to_owned(),
            PoolScope::Project => "project".to_owned(),
        }),
        text(&|rate| match rate.rule.every {
            PoolPeriod::Day => "day".to_owned(),
            PoolPeriod::Period => "period".to_owned(),
        }),
        text(&|rate| rate.rule.pricing_unit.name.clone()),
        quantities(divisors.clone(), 28)?,
        quantities(pers, 28)?,
        quantities(cost_divisors?, 38)?,
        text(&|rate| rate.rule.declared_at.source.name.clone()),
        Arc::new(Int64Array::from_iter_values(rates.iter().map(|rate| rate.rule.declared_at.line() as i64))),
    ];
    let rate_batch = rows::batch(statement("rating/rate")?, columns)?;

    Ok((rate_batch, rate_tier_rows(rates, &divisors)?))
}

/// One row of `rate_tier`.
struct Band<'a> {
    rate_id: &'a str,
    number: i64,
    start: Quantity,
    end: Option<Quantity>,
    floor: Quantity,
    ceiling: Option<Quantity>,
    unit_price: Option<UnitPrice>,
}

fn rate_tier_rows(rates: &[Rate<'_>], divisors: &[Quantity]) -> Result<RecordBatch, Error> {
    let mut tiers: Vec<Band<'_>> = Vec::new();
    for (rate, divisor) in rates.iter().zip(divisors) {
        let bands: Vec<(Option<Quantity>, Option<UnitPrice>)> = match &rate.rule.pricing {
            Pricing::Graduated { tiers } => tiers.iter().map(|tier| (tier.up_to, Some(tier.unit_price))).collect(),
            Pricing::UnitPrice { amount, .. } => vec![(None, Some(*amount))],
            Pricing::Free => vec![(None, Some(UnitPrice::ZERO))],
            Pricing::Prices { .. } | Pricing::PriceList { .. } | Pricing::Factor(_) => vec![(None, None)],
        };
        let mut start = Quantity::ZERO;
        for (index, (end, unit_price)) in bands.into_iter().enumerate() {
            tiers.push(Band {
                rate_id: &rate.id,
                number: index as i64 + 1,
                start,
                end,
                floor: product(start, *divisor)?,
                ceiling: end.map(|end| product(end, *divisor)).transpose()?,
                unit_price,
            });
            start = end.unwrap_or(start);
        }
    }
    let bounds = |pick: fn(&Band<'_>) -> Option<Quantity>, precision: u8| {
        rows::decimals(tiers.iter().map(|tier| pick(tier).map(Quantity::units)), precision, 9)
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(tiers.iter().map(|tier| tier.rate_id))),
        Arc::new(Int64Array::from_iter_values(tiers.iter().map(|tier| tier.number))),
        Arc::new(bounds(|tier| Some(tier.start), 28)?),
        Arc::new(bounds(|tier| tier.end, 28)?),
        Arc::new(bounds(|tier| Some(tier.floor), 38)?),
        Arc::new(bounds(|tier| tier.ceiling, 38)?),
        Arc::new(rows::decimals(tiers.iter().map(|tier| tier.unit_price.map(UnitPrice::units)), 28, 12)?),
    ];
    rows::batch(statement("rating/rate_tier")?, columns)
}
