//! Rules as rows: rates with their validity, and their tiers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};

use super::segment::Segment;
use crate::error::Error;
use crate::model::money::{Quantity, UnitPrice};
use crate::model::rule::{Divisor, Package, PriceListRow, Pricing, Rule, Tier, TierKind, TierPrice, TierUnit};
use crate::model::rule_book::RuleBook;
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
        divisor.units(self.seconds)
    }
}

/// One rate: a rule, cut to one validity where its price list has several, and to one of its price windows.
#[derive(Clone, Debug)]
pub struct Rate<'a> {
    pub id: String,
    pub rule: &'a Rule,
    /// Microseconds UTC, inclusive.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive.
    pub valid_to: Option<i64>,
    /// Index of the price window; `None` outside of all of them.
    pub window: Option<usize>,
    /// Whether an allowance may give its pool units for nothing.
    pub has_grant: bool,
}

impl Rate<'_> {
    /// Whether a row of the rule's price list holds in this rate's validity.
    pub fn has_row(&self, row: &PriceListRow) -> bool {
        covers(row.valid_from, row.valid_to, self.valid_from, self.valid_to)
    }

    pub fn holds_in(&self, segment: &Segment) -> bool {
        covers(self.valid_from, self.valid_to, Some(segment.start), Some(segment.end))
            && segment.window_of(self.rule) == self.window
    }
}

/// Whether the outer range holds the whole inner one; `None` is open.
pub(super) fn covers(outer_from: Option<i64>, outer_to: Option<i64>, from: Option<i64>, to: Option<i64>) -> bool {
    let starts = outer_from.is_none_or(|outer| from.is_some_and(|from| outer <= from));
    let ends = outer_to.is_none_or(|outer| to.is_some_and(|to| to <= outer));
    starts && ends
}

/// The rates of all rules but factors, in the order of rules.
pub fn rates(rules: &RuleBook) -> Vec<Rate<'_>> {
    let ids: BTreeSet<&str> = rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    let priced = rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_)));
    let has_grant = |rule: &Rule| rules.grants.iter().any(|grant| grant.pool == rule.pool);
    priced.flat_map(|rule| rates_of(rule, &ids, has_grant(rule))).collect()
}

/// What stands before the number of a validity: a rule's id and so many `@` that no other rule is called alike.
fn stem(rule_id: &str, ids: &BTreeSet<&str>) -> String {
    let mut stem = format!("{rule_id}@");
    while ids.range(stem.as_str()..).next().is_some_and(|id| id.starts_with(&stem)) {
        stem.push('@');
    }
    stem
}

fn rates_of<'a>(rule: &'a Rule, ids: &BTreeSet<&str>, has_grant: bool) -> Vec<Rate<'a>> {
    let mut parts: Vec<(Option<i64>, Option<i64>, Option<usize>)> = match &rule.pricing {
        Pricing::PriceList { rows, .. } => validities(rule, rows),
        _ => vec![(rule.valid_from, rule.valid_to, None)],
    };
    parts.extend((0..rule.windows.len()).map(|window| (rule.valid_from, rule.valid_to, Some(window))));
    let stem = (parts.len() > 1).then(|| stem(&rule.id, ids));
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(index, (valid_from, valid_to, window))| Rate {
            id: stem.as_ref().map_or_else(|| rule.id.clone(), |stem| format!("{stem}{}", index + 1)),
            rule,
            valid_from,
            valid_to,
            window,
            has_grant,
        })
        .collect()
}

/// The stretches of a rule's validity in which no row of its price list begins or ends.
fn validities(rule: &Rule, rows: &[PriceListRow]) -> Vec<(Option<i64>, Option<i64>, Option<usize>)> {
    let instants: BTreeSet<i64> = rows.iter().flat_map(|row| [row.valid_from, row.valid_to]).flatten().collect();
    let inside = |instant: &i64| {
        rule.valid_from.is_none_or(|from| from < *instant) && rule.valid_to.is_none_or(|to| *instant < to)
    };
    let cuts: Vec<i64> = instants.into_iter().filter(inside).collect();
    let starts = std::iter::once(rule.valid_from).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain(std::iter::once(rule.valid_to));
    starts.zip(ends).map(|(from, to)| (from, to, None)).collect()
}

/// A bound or divisor in metered units. One that needs more than nine places is rounded there.
pub(super) fn product(left: Quantity, right: Quantity) -> Result<Quantity, Error> {
    left.checked_mul(right).ok_or(Error::Internal("a tier bound beyond 38 digits"))
}

/// Rows of `rate` and `rate_tier`.
pub fn rate_rows(rates: &[Rate<'_>], length: PeriodLength) -> Result<(RecordBatch, RecordBatch), Error> {
    let text = |pick: &dyn Fn(&Rate<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rates.iter().map(pick)))
    };
    let optional_text = |pick: &dyn Fn(&Rule) -> Option<&'static str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rates.iter().map(|rate| pick(rate.rule))))
    };
    let decimals = |units: Vec<Option<i128>>, precision: u8, scale: i8| -> Result<ArrayRef, Error> {
        Ok(Arc::new(rows::decimals(units, precision, scale)?))
    };
    let prices = |pick: &dyn Fn(&Rule) -> Option<UnitPrice>| {
        decimals(rates.iter().map(|rate| pick(rate.rule).map(UnitPrice::units)).collect(), 28, 12)
    };
    let divisors: Vec<Quantity> = rates.iter().map(|rate| length.units(rate.rule.pricing_unit.of)).collect();
    // Quantities of the pool are counted in metered units.
    let in_metered_units = |pick: &dyn Fn(&Rule) -> Option<Quantity>| -> Result<ArrayRef, Error> {
        let metered = rates.iter().zip(&divisors).map(|(rate, divisor)| {
            pick(rate.rule).map(|quantity| product(quantity, *divisor).map(Quantity::units)).transpose()
        });
        decimals(metered.collect::<Result<_, Error>>()?, 38, 9)
    };
    let hundred = Quantity::from_integer(100);
    let discards: Vec<Option<i128>> = rates
        .iter()
        .map(|rate| rate.rule.percentile.and_then(|kept| hundred.checked_sub(kept)).map(Quantity::units))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        text(&|rate| rate.id.clone()),
        text(&|rate| rate.rule.id.clone()),
        text(&|rate| rate.rule.meter.clone()),
        text(&|rate| rate.rule.component.clone()),
        text(&|rate| rate.rule.card.clone()),
        Arc::new(Int64Array::from_iter_values(rates.iter().map(|rate| rate.rule.priority))),
        Arc::new(rows::timestamps(rates.iter().map(|rate| rate.valid_from))),
        Arc::new(rows::timestamps(rates.iter().map(|rate| rate.valid_to))),
        text(&|rate| rate.rule.sku.clone()),
        text(&|rate| rate.rule.service.clone()),
        text(&|rate| rate.rule.description.clone()),
        text(&|rate| rate.rule.pool.clone()),
        text(&|rate| rate.rule.per.name().to_owned()),
        text(&|rate| rate.rule.every.name().to_owned()),
        text(&|rate| rate.rule.currency.code().to_owned()),
        text(&|rate| rate.rule.pricing_unit.name.clone()),
        decimals(divisors.iter().map(|divisor| Some(divisor.units())).collect(), 28, 9)?,
        decimals(discards, 12, 9)?,
        in_metered_units(&|rule| rule.round_quantity.map(|rounding| rounding.multiple_of))?,
        optional_text(&|rule| rule.round_quantity.map(|rounding| rounding.direction.name())),
        optional_text(&|rule| rule.round_quantity.map(|rounding| rounding.every.name())),
        Arc::new(BooleanArray::from_iter(rates.iter().map(|rate| Some(rate.rule.flat_fee_at_zero)))),
        prices(&|rule| rule.minimum)?,
        prices(&|rule| rule.maximum)?,
        in_metered_units(&|rule| rule.cap.map(|cap| cap.hours))?,
        prices(&|rule| rule.cap.map(|cap| cap.price))?,
        text(&|rate| rate.rule.declared_at.source.name.clone()),
        Arc::new(Int64Array::from_iter_values(rates.iter().map(|rate| rate.rule.declared_at.line() as i64))),
    ];
    let rate_batch = rows::batch(statement("rating/rate")?, columns)?;

    Ok((rate_batch, rate_tier_rows(rates, &divisors, length)?))
}

/// A bound of a tier, in priced units as it is shown and in metered units as it is applied.
#[derive(Clone, Copy)]
struct Bound {
    priced: Quantity,
    metered: Quantity,
}

/// How quantities of a rate become bounds.
struct Bounds {
    divisor: Quantity,
    hours_in_period: Quantity,
}

impl Bounds {
    fn of_priced(&self, priced: Quantity) -> Result<Bound, Error> {
        Ok(Bound { priced, metered: product(priced, self.divisor)? })
    }

    /// Behind the free units.
    fn of_tier(&self, up_to: Quantity, unit: TierUnit, free: Bound) -> Result<Bound, Error> {
        let beyond = || Error::Internal("a tier bound beyond 38 digits");
        let bound = match unit {
            TierUnit::Priced => self.of_priced(up_to)?,
            // A percent of the period's hours: 720 hours in November are 7.2 for each percent.
            TierUnit::PercentOfPeriod => {
                let metered = product(up_to, Quantity::from_units(self.hours_in_period.units() / 100))?;
                Bound { priced: metered.scaled(1_000_000_000, self.divisor.units(), 9).ok_or_else(beyond)?, metered }
            }
        };
        Ok(Bound {
            priced: bound.priced.checked_add(free.priced).ok_or_else(beyond)?,
            metered: bound.metered.checked_add(free.metered).ok_or_else(beyond)?,
        })
    }
}

/// One row of `rate_tier`.
struct Band {
    number: i64,
    start: Bound,
    end: Option<Bound>,
    /// Where the whole total is priced at the tier it reaches, the totals that reach this one.
    total_above: Option<Bound>,
    total_up_to: Option<Bound>,
    unit_price: Option<UnitPrice>,
    price_per: Quantity,
    flat_fee: UnitPrice,
    package: Option<Package>,
    package_size: Option<Bound>,
}

impl Band {
    fn open(start: Bound, unit_price: Option<UnitPrice>, price_per: Quantity) -> Self {
        Self {
            number: 1,
            start,
            end: None,
            total_above: None,
            total_up_to: None,
            unit_price,
            price_per,
            flat_fee: UnitPrice::ZERO,
            package: None,
            package_size: None,
        }
    }

    fn packed(self, package: Package, bounds: &Bounds) -> Result<Self, Error> {
        Ok(Self { package: Some(package), package_size: Some(bounds.of_priced(package.size)?), ..self })
    }
}

/// The bands of a rate, from the least quantity on.
fn bands(rate: &Rate<'_>, bounds: &Bounds) -> Result<Vec<Band>, Error> {
    let rule = rate.rule;
    let one = Quantity::from_integer(1);
    let zero = Bound { priced: Quantity::ZERO, metered: Quantity::ZERO };
    let free = bounds.of_priced(rule.free_units)?;
    let mut bands = Vec::new();
    if !rule.free_units.is_zero() || rate.has_grant {
        bands.push(Band { number: 0, end: Some(free), ..Band::open(zero, Some(UnitPrice::ZERO), one) });
    }
    if let Some(window) = rate.window.and_then(|window| rule.windows.get(window)) {
        bands.push(Band::open(free, Some(window.unit_price), one));
        return Ok(bands);
    }
    match &rule.pricing {
        Pricing::Tiers { kind, bounds: unit, tiers } => bands.extend(tier_bands(tiers, *kind, *unit, free, bounds)?),
        Pricing::UnitPrice { amount, per } => bands.push(Band::open(free, Some(*amount), *per)),
        Pricing::Percent(percent) => bands.push(Band::open(free, Some(*percent), Quantity::from_integer(100))),
        Pricing::Package { unit_price, package } => {
            bands.push(Band::open(free, Some(*unit_price), package.size).packed(*package, bounds)?);
        }
        Pricing::CapAlone => {
            let (price, hours) = rule.cap.map_or((UnitPrice::ZERO, one), |cap| (cap.price, cap.hours));
            bands.push(Band::open(free, Some(price), hours));
        }
        Pricing::Free => bands.push(Band::open(free, Some(UnitPrice::ZERO), one)),
        Pricing::Prices { .. } | Pricing::PriceList { .. } | Pricing::Factor(_) => {
            bands.push(Band::open(free, None, one));
        }
    }
    Ok(bands)
}

fn tier_bands(
    tiers: &[Tier],
    kind: TierKind,
    unit: TierUnit,
    free: Bound,
    bounds: &Bounds,
) -> Result<Vec<Band>, Error> {
    let mut bands = Vec::with_capacity(tiers.len());
    let mut start = free;
    for (number, tier) in (1..).zip(tiers) {
        let end = tier.up_to.map(|up_to| bounds.of_tier(up_to, unit, free)).transpose()?;
        let (unit_price, price_per) = match tier.price {
            TierPrice::Unit(price) => (price, Quantity::from_integer(1)),
            TierPrice::Package(price, package) => (price, package.size),
            TierPrice::Percent(percent) => (percent, Quantity::from_integer(100)),
        };
        let mut band = Band { number, flat_fee: tier.flat_fee, ..Band::open(start, Some(unit_price), price_per) };
        if let TierPrice::Package(_, package) = tier.price {
            band = band.packed(package, bounds)?;
        }
        bands.push(match kind {
            TierKind::Graduated => Band { end, ..band },
            // The whole quantity lies in the tier that the total reaches.
            TierKind::Volume | TierKind::Stairstep => {
                Band { start: free, total_above: (number > 1).then_some(start), total_up_to: end, ..band }
            }
        });
        start = end.unwrap_or(start);
    }
    Ok(bands)
}

fn rate_tier_rows(rates: &[Rate<'_>], divisors: &[Quantity], length: PeriodLength) -> Result<RecordBatch, Error> {
    let mut tiers: Vec<(&str, Band)> = Vec::new();
    for (rate, divisor) in rates.iter().zip(divisors) {
        let bounds = Bounds { divisor: *divisor, hours_in_period: length.units(Divisor::HoursInPeriod) };
        tiers.extend(bands(rate, &bounds)?.into_iter().map(|band| (rate.id.as_str(), band)));
    }
    let quantities = |precision: u8, pick: fn(&Band) -> Option<Quantity>| -> Result<ArrayRef, Error> {
        let units = tiers.iter().map(|(_, band)| pick(band).map(Quantity::units));
        Ok(Arc::new(rows::decimals(units, precision, 9)?))
    };
    let prices = |pick: fn(&Band) -> Option<UnitPrice>| -> Result<ArrayRef, Error> {
        let units = tiers.iter().map(|(_, band)| pick(band).map(UnitPrice::units));
        Ok(Arc::new(rows::decimals(units, 28, 12)?))
    };
    let rounding = |band: &Band| band.package.map(|package| if package.started { "started" } else { "complete" });
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(tiers.iter().map(|(rate_id, _)| rate_id))),
        Arc::new(Int64Array::from_iter_values(tiers.iter().map(|(_, band)| band.number))),
        quantities(28, |band| Some(band.start.priced))?,
        quantities(28, |band| band.end.map(|end| end.priced))?,
        quantities(38, |band| Some(band.start.metered))?,
        quantities(38, |band| band.end.map(|end| end.metered))?,
        quantities(38, |band| band.total_above.map(|bound| bound.metered))?,
        quantities(38, |band| band.total_up_to.map(|bound| bound.metered))?,
        prices(|band| band.unit_price)?,
        quantities(28, |band| Some(band.price_per))?,
        prices(|band| Some(band.flat_fee).filter(|fee| !fee.is_zero()))?,
        quantities(38, |band| band.package_size.map(|size| size.metered))?,
        Arc::new(StringArray::from_iter(tiers.iter().map(|(_, band)| rounding(band)))),
    ];
    rows::batch(statement("rating/rate_tier")?, columns)
}

/// Rows of `rate_validity`.
pub fn rate_validity_rows(segments: &[Segment], rates: &[Rate<'_>]) -> Result<RecordBatch, Error> {
    let valid: Vec<(&str, i64)> = rates
        .iter()
        .flat_map(|rate| {
            let over = segments.iter().filter(|segment| rate.holds_in(segment));
            over.map(|segment| (rate.id.as_str(), segment.start))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(valid.iter().map(|(rate, _)| rate))),
        Arc::new(rows::timestamps(valid.iter().map(|(_, start)| Some(*start)))),
    ];
    rows::batch(statement("rating/rate_validity")?, columns)
}
