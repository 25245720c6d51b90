//! Rates and their tiers, as rows. A rate is a rule that is limited to one validity, and to one price window or to the
//! time outside of all windows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};

use super::segment::Segment;
use crate::error::Error;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::money::{DecimalNumber, Price, Quantity, has_digits};
use crate::model::rule::{
    Divisor, MissingWindows, Package, PriceListRow, Pricing, Rule, Tier, TierKind, TierPrice, TierUnit,
};
use crate::model::rule_book::RuleBook;
use crate::query::statement;
use crate::rows;

/// The real length of the billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodLength {
    pub seconds: i64,
}

impl PeriodLength {
    /// The number of metered units in one priced unit.
    pub fn units(self, divisor: Divisor) -> Quantity {
        divisor.units(self.seconds)
    }
}

/// A rule, limited to one validity, and to one of its price windows or to the time outside of them. A rule with a price
/// list has a validity between any two changes of the list.
#[derive(Clone, Debug)]
pub struct Rate<'a> {
    pub id: String,
    pub rule: &'a Rule,
    /// Microseconds UTC, inclusive.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive.
    pub valid_to: Option<i64>,
    /// The index of the price window. `None` if the rate applies outside of all price windows.
    pub window: Option<usize>,
    /// Whether included units may add free units to the pool.
    pub has_included_units: bool,
    /// The length of a window, if a percentile counts windows without a record as zero.
    pub absent_window_seconds: Option<u32>,
}

impl Rate<'_> {
    /// Whether a row of the rule's price list is valid in the whole validity of this rate.
    pub fn has_row(&self, row: &PriceListRow) -> bool {
        contains_range(row.valid_from, row.valid_to, self.valid_from, self.valid_to)
    }

    pub fn is_valid_in(&self, segment: &Segment) -> bool {
        contains_range(self.valid_from, self.valid_to, Some(segment.start), Some(segment.end))
            && segment.window_of(self.rule) == self.window
    }
}

/// Whether the outer range contains the inner range. A bound of `None` is unbounded.
pub(super) fn contains_range(
    outer_from: Option<i64>,
    outer_to: Option<i64>,
    from: Option<i64>,
    to: Option<i64>,
) -> bool {
    let starts = outer_from.is_none_or(|outer| from.is_some_and(|from| outer <= from));
    let ends = outer_to.is_none_or(|outer| to.is_some_and(|to| to <= outer));
    starts && ends
}

/// The rates of all rules except factors, in the order of rules.
pub fn rates(rules: &RuleBook) -> Vec<Rate<'_>> {
    let ids: BTreeSet<&str> = rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    let priced = rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_)));
    let has_included_units = |rule: &Rule| rules.included_units.iter().any(|units| units.pool == rule.pool);
    let absent_window_seconds = |rule: &Rule| {
        let percentile = rule.percentile.filter(|percentile| percentile.missing_windows == MissingWindows::Zero);
        percentile.and_then(|_| rules.meter(&rule.meter)).map(|meter| meter.window_seconds)
    };
    priced.flat_map(|rule| rates_of(rule, &ids, has_included_units(rule), absent_window_seconds(rule))).collect()
}

/// The prefix of the ids of a rule's rates: the rule's id and as many `@` as make it unique among rule ids.
fn id_prefix(rule_id: &str, ids: &BTreeSet<&str>) -> String {
    let mut prefix = format!("{rule_id}@");
    while ids.range(prefix.as_str()..).next().is_some_and(|id| id.starts_with(&prefix)) {
        prefix.push('@');
    }
    prefix
}

fn rates_of<'a>(
    rule: &'a Rule,
    ids: &BTreeSet<&str>,
    has_included_units: bool,
    absent_window_seconds: Option<u32>,
) -> Vec<Rate<'a>> {
    let mut parts: Vec<(Option<i64>, Option<i64>, Option<usize>)> = match &rule.pricing {
        Pricing::PriceList { rows, .. } => validities(rule, rows),
        _ => vec![(rule.valid_from, rule.valid_to, None)],
    };
    parts.extend((0..rule.windows.len()).map(|window| (rule.valid_from, rule.valid_to, Some(window))));
    let prefix = (parts.len() > 1).then(|| id_prefix(&rule.id, ids));
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(index, (valid_from, valid_to, window))| Rate {
            id: prefix.as_ref().map_or_else(|| rule.id.clone(), |prefix| format!("{prefix}{}", index + 1)),
            rule,
            valid_from,
            valid_to,
            window,
            has_included_units,
            absent_window_seconds,
        })
        .collect()
}

/// The ranges of a rule's validity in which no row of its price list begins or ends.
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

/// A quantity of a rule in metered units, rounded to nine places. `metered_units` is the number of metered units in one
/// unit of the quantity.
///
/// `declared_at` is the place of the rule or other table with the quantity.
pub(super) fn to_metered_units(
    quantity: Quantity,
    metered_units: Quantity,
    declared_at: &Place,
) -> Result<Quantity, Error> {
    let metered = quantity.checked_wide_mul(metered_units).filter(|metered| has_digits(metered.units(), 38));
    metered.ok_or_else(|| too_large("a quantity", quantity, declared_at))
}

/// The error for a quantity of a rule that has too many digits in metered units.
fn too_large(what: &str, quantity: Quantity, declared_at: &Place) -> Error {
    let digits = 38 - Quantity::PLACES;
    let message =
        format!("{what} of {quantity} has more than {digits} digits before the decimal point in metered units");
    let diagnostic = Diagnostic::error("rules::too_large", message).at(declared_at.clone(), "declared here");
    Error::Invalid(vec![diagnostic.hint("lower the quantity, or the number of metered units in a pricing unit")])
}

/// The rows of `rate` and `rate_tier`.
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
    let prices = |pick: &dyn Fn(&Rule) -> Option<Price>| {
        decimals(rates.iter().map(|rate| pick(rate.rule).map(Price::units)).collect(), 28, 12)
    };
    let divisors: Vec<Quantity> = rates.iter().map(|rate| length.units(rate.rule.pricing_unit.of)).collect();
    // Pools count in metered units, so quantities of a rule are converted from priced units.
    let in_metered_units = |pick: &dyn Fn(&Rule) -> Option<Quantity>| -> Result<ArrayRef, Error> {
        let metered = rates.iter().zip(&divisors).map(|(rate, divisor)| {
            let metered = |quantity| to_metered_units(quantity, *divisor, &rate.rule.declared_at);
            pick(rate.rule).map(|quantity| metered(quantity).map(Quantity::units)).transpose()
        });
        decimals(metered.collect::<Result<_, Error>>()?, 38, 9)
    };
    let hundred = Quantity::from_integer(100);
    let discards: Vec<Option<i128>> = rates
        .iter()
        .map(|rate| {
            let percentile = rate.rule.percentile;
            percentile.and_then(|percentile| hundred.checked_sub(percentile.percent)).map(Quantity::units)
        })
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
        Arc::new(Int64Array::from_iter(rates.iter().map(|rate| rate.absent_window_seconds.map(i64::from)))),
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

/// A bound of a tier, in priced units for display and in metered units for computation.
#[derive(Clone, Copy)]
struct Bound {
    priced: Quantity,
    metered: Quantity,
}

impl Bound {
    /// The largest total below the bound, which is more than zero. A total is a multiple of the ninth decimal place of
    /// a metered unit.
    fn before(self) -> Result<Self, Error> {
        let metered = self.metered.checked_sub(Quantity::from_units(1)).ok_or(Error::QUANTITY_OVERFLOW)?;
        Ok(Self { metered, ..self })
    }
}

/// The numbers that convert the quantities of a rate to bounds.
struct Bounds<'a> {
    divisor: Quantity,
    hours_in_period: Quantity,
    rule: &'a Rule,
}

impl Bounds<'_> {
    fn bound_of_priced(&self, priced: Quantity) -> Result<Bound, Error> {
        Ok(Bound { priced, metered: to_metered_units(priced, self.divisor, &self.rule.declared_at)? })
    }

    /// The bound of a tier, raised by the free units, because tiers begin above the free units.
    fn bound_of_tier(&self, up_to: Quantity, unit: TierUnit, free: Bound) -> Result<Bound, Error> {
        let declared_at = &self.rule.declared_at;
        let beyond = || too_large("a tier bound", up_to, declared_at);
        let fits = |sum: &Quantity, digits| has_digits(sum.units(), digits);
        let bound = match unit {
            TierUnit::Priced => self.bound_of_priced(up_to)?,
            // The unit is one percent of the period's hours. November has 720 hours, so one percent is 7.2 hours.
            TierUnit::PercentOfPeriod => {
                let hundredth = Quantity::from_units(self.hours_in_period.units() / 100);
                let metered = to_metered_units(up_to, hundredth, declared_at)?;
                Bound {
                    priced: metered.scaled(Quantity::ONE.units(), self.divisor.units(), 9).ok_or_else(beyond)?,
                    metered,
                }
            }
        };
        Ok(Bound {
            priced: bound.priced.checked_add(free.priced).filter(|sum| fits(sum, 28)).ok_or_else(beyond)?,
            metered: bound.metered.checked_add(free.metered).filter(|sum| fits(sum, 38)).ok_or_else(beyond)?,
        })
    }
}

/// One row of `rate_tier`.
struct TierRow {
    number: i64,
    start: Bound,
    end: Option<Bound>,
    /// The pool totals that select this tier, if the kind of the tiers is volume or stairstep.
    total_above: Option<Bound>,
    total_up_to: Option<Bound>,
    unit_price: Option<Price>,
    price_per: Quantity,
    flat_fee: Price,
    package: Option<Package>,
    package_size: Option<Bound>,
    max_amount: Option<Price>,
}

impl TierRow {
    /// A tier with number 1 and without an end.
    fn open_ended(start: Bound, unit_price: Option<Price>, price_per: Quantity) -> Self {
        Self {
            number: 1,
            start,
            end: None,
            total_above: None,
            total_up_to: None,
            unit_price,
            price_per,
            flat_fee: Price::ZERO,
            package: None,
            package_size: None,
            max_amount: None,
        }
    }

    fn with_package(self, package: Package, bounds: &Bounds<'_>) -> Result<Self, Error> {
        Ok(Self { package: Some(package), package_size: Some(bounds.bound_of_priced(package.size)?), ..self })
    }
}

/// The tiers of a rate, in ascending order.
fn tier_rows(rate: &Rate<'_>, bounds: &Bounds<'_>) -> Result<Vec<TierRow>, Error> {
    let rule = rate.rule;
    let one = Quantity::from_integer(1);
    let zero = Bound { priced: Quantity::ZERO, metered: Quantity::ZERO };
    let free = bounds.bound_of_priced(rule.free_units)?;
    let mut tier_rows = Vec::new();
    if !rule.free_units.is_zero() || rate.has_included_units {
        tier_rows.push(TierRow { number: 0, end: Some(free), ..TierRow::open_ended(zero, Some(Price::ZERO), one) });
    }
    if let Some(window) = rate.window.and_then(|window| rule.windows.get(window)) {
        tier_rows.push(TierRow::open_ended(free, Some(window.unit_price), one));
        return Ok(tier_rows);
    }
    match &rule.pricing {
        Pricing::Tiers { kind, bounds: unit, tiers } => {
            tier_rows.extend(rows_of_tiers(tiers, *kind, *unit, free, bounds)?)
        }
        Pricing::UnitPrice { amount, per } => tier_rows.push(TierRow::open_ended(free, Some(*amount), *per)),
        Pricing::Percent(percent) => {
            tier_rows.push(TierRow::open_ended(free, Some(*percent), Quantity::from_integer(100)))
        }
        Pricing::Package { unit_price, package } => {
            tier_rows.push(TierRow::open_ended(free, Some(*unit_price), package.size).with_package(*package, bounds)?);
        }
        Pricing::CapOnly => {
            let (price, hours) = rule.cap.map_or((Price::ZERO, one), |cap| (cap.price, cap.hours));
            tier_rows.push(TierRow::open_ended(free, Some(price), hours));
        }
        Pricing::Free => tier_rows.push(TierRow::open_ended(free, Some(Price::ZERO), one)),
        Pricing::Prices { .. } | Pricing::PriceList { .. } | Pricing::Factor(_) => {
            tier_rows.push(TierRow::open_ended(free, None, one));
        }
    }
    Ok(tier_rows)
}

fn rows_of_tiers(
    tiers: &[Tier],
    kind: TierKind,
    unit: TierUnit,
    free: Bound,
    bounds: &Bounds<'_>,
) -> Result<Vec<TierRow>, Error> {
    let mut tier_rows = Vec::with_capacity(tiers.len());
    let mut start = free;
    let mut total_above = None;
    for (number, tier) in (1..).zip(tiers) {
        let end = tier.up_to.map(|up_to| bounds.bound_of_tier(up_to, unit, free)).transpose()?;
        let (unit_price, price_per) = match tier.price {
            TierPrice::Unit(price) => (price, Quantity::from_integer(1)),
            TierPrice::Package(price, package) => (price, package.size),
            TierPrice::Percent(percent) => (percent, Quantity::from_integer(100)),
        };
        let mut row = TierRow {
            number,
            flat_fee: tier.flat_fee,
            max_amount: tier.max_amount,
            ..TierRow::open_ended(start, Some(unit_price), price_per)
        };
        if let TierPrice::Package(_, package) = tier.price {
            row = row.with_package(package, bounds)?;
        }
        tier_rows.push(match kind {
            TierKind::Graduated => TierRow { end, ..row },
            // The pool's total selects the tier of the whole quantity.
            TierKind::Volume | TierKind::Stairstep => {
                let total_up_to = if tier.is_below { end.map(Bound::before).transpose()? } else { end };
                let total_above = std::mem::replace(&mut total_above, total_up_to);
                TierRow { start: free, total_above, total_up_to, ..row }
            }
        });
        start = end.unwrap_or(start);
    }
    Ok(tier_rows)
}

fn rate_tier_rows(rates: &[Rate<'_>], divisors: &[Quantity], length: PeriodLength) -> Result<RecordBatch, Error> {
    let mut tiers: Vec<(&str, TierRow)> = Vec::new();
    for (rate, divisor) in rates.iter().zip(divisors) {
        let hours_in_period = length.units(Divisor::HoursInPeriod);
        let bounds = Bounds { divisor: *divisor, hours_in_period, rule: rate.rule };
        tiers.extend(tier_rows(rate, &bounds)?.into_iter().map(|row| (rate.id.as_str(), row)));
    }
    let quantities = |precision: u8, pick: fn(&TierRow) -> Option<Quantity>| -> Result<ArrayRef, Error> {
        let units = tiers.iter().map(|(_, row)| pick(row).map(Quantity::units));
        Ok(Arc::new(rows::decimals(units, precision, 9)?))
    };
    let prices = |pick: fn(&TierRow) -> Option<Price>| -> Result<ArrayRef, Error> {
        let units = tiers.iter().map(|(_, row)| pick(row).map(Price::units));
        Ok(Arc::new(rows::decimals(units, 28, 12)?))
    };
    let rounding = |row: &TierRow| row.package.map(|package| if package.started { "started" } else { "complete" });
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(tiers.iter().map(|(rate_id, _)| rate_id))),
        Arc::new(Int64Array::from_iter_values(tiers.iter().map(|(_, row)| row.number))),
        quantities(28, |row| Some(row.start.priced))?,
        quantities(28, |row| row.end.map(|end| end.priced))?,
        quantities(38, |row| Some(row.start.metered))?,
        quantities(38, |row| row.end.map(|end| end.metered))?,
        quantities(38, |row| row.total_above.map(|bound| bound.metered))?,
        quantities(38, |row| row.total_up_to.map(|bound| bound.metered))?,
        prices(|row| row.unit_price)?,
        quantities(28, |row| Some(row.price_per))?,
        prices(|row| Some(row.flat_fee).filter(|fee| !fee.is_zero()))?,
        quantities(38, |row| row.package_size.map(|size| size.metered))?,
        Arc::new(StringArray::from_iter(tiers.iter().map(|(_, row)| rounding(row)))),
        prices(|row| row.max_amount)?,
    ];
    rows::batch(statement("rating/rate_tier")?, columns)
}

/// The rows of `rate_validity`.
pub fn rate_validity_rows(segments: &[Segment], rates: &[Rate<'_>]) -> Result<RecordBatch, Error> {
    let valid: Vec<(&str, i64)> = rates
        .iter()
        .flat_map(|rate| {
            let over = segments.iter().filter(|segment| rate.is_valid_in(segment));
            over.map(|segment| (rate.id.as_str(), segment.start))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(valid.iter().map(|(rate, _)| rate))),
        Arc::new(rows::timestamps(valid.iter().map(|(_, start)| Some(*start)))),
    ];
    rows::batch(statement("rating/rate_validity")?, columns)
}
