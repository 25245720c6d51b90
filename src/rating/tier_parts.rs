//! An operator that computes `priced_part`: the cost of each part of the usage, from the running totals of the pools.
//!
//! `sql/rating/pool_part.sql`, `line_running_total.sql` and `priced_part.sql` define the result. A property test
//! verifies that the operator and the statements compute equal rows for random prices.
//!
//! Usage is split at the bounds of tiers. The cost of a part is the increase of the rounded running cost of its invoice
//! line. So the costs of all parts add up to the rounded cost of the line.
//!
//! The statements need a join with the tiers, two sorts by wide keys, and 256-bit divisions for each row. The operator
//! computes the price of a tier once for each series, and nearly all numbers fit into 128 bits.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};

use crate::model::money::{Quantity, UnitPrice};
use crate::query::Error;
use crate::rows::columns::{ONE, batch, column, decimals, instants, optional};

const PRICED_SERIES: &str = "rating/priced_series";
const RATE_TIER: &str = "rating/rate_tier";
const POOL_INCLUDED_UNIT: &str = "rating/pool_included_unit";
const POOL_USAGE: &str = "rating/pool_usage";
const PRICED_PART: &str = "rating/priced_part";

/// The prices of series by tier, for any number of account batches.
#[derive(Debug)]
pub struct TierPrices {
    by_price_number: HashMap<i64, TierPrice>,
    series_tiers: Vec<SeriesTier>,
    lines: Vec<Line>,
}

/// The columns of a `priced_series` row that affect its price.
#[derive(Debug)]
struct TierPrice {
    /// Index range into [`TierPrices::series_tiers`].
    series_tiers: Range<usize>,
    is_shared: bool,
    flat_fee_at_zero: bool,
}

/// A row of `rate_tier`. `start` and `price_per` are in priced units. The other quantities are in metered units.
#[derive(Clone, Debug)]
struct Tier {
    number: i64,
    start: i128,
    floor: i128,
    ceiling: Option<i128>,
    total_above: Option<i128>,
    total_up_to: Option<i128>,
    unit_price: Option<i128>,
    price_per: i128,
    flat_fee: Option<i128>,
    package: Option<(i128, bool)>,
}

/// A tier of a rate for one series, with the invoice lines of its usage and its flat fee.
#[derive(Debug)]
struct SeriesTier {
    tier: Tier,
    usage_line: u32,
    fee_line: Option<u32>,
}

/// The kinds of charges, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum ChargeKind {
    FlatFee,
    Usage,
}

impl ChargeKind {
    fn name(self) -> &'static str {
        match self {
            Self::FlatFee => "flat_fee",
            Self::Usage => "usage",
        }
    }
}

/// The key of an invoice line: line group, kind, tier start, unit price, and the units of that price.
type LineKey = (i64, ChargeKind, i128, i128, i128);

/// An invoice line, with the conversion of its running quantity.
#[derive(Debug)]
struct Line {
    tier_start: i128,
    unit_price: i128,
    unit_price_per: i128,
    /// From metered units to priced units.
    quantity: Ratio,
    /// From metered units to 18 places of the currency.
    cost: Ratio,
}

/// A factor in lowest terms. Products are rounded half away from zero.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    fn new(numerator: i128, denominator: i128) -> Option<Self> {
        let (mut divisor, mut rest) = (numerator.unsigned_abs(), denominator.unsigned_abs());
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let divisor = i128::try_from(divisor).ok().filter(|divisor| *divisor > 0)?;
        (denominator > 0).then_some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    fn multiply(self, value: i128) -> Option<i128> {
        scaled(value, self.numerator, self.denominator)
    }
}

/// `value × numerator ÷ denominator`, rounded half away from zero. `None` if the result has too many digits.
fn scaled(value: i128, numerator: i128, denominator: i128) -> Option<i128> {
    if let Some(product) = value.checked_mul(numerator) {
        if denominator == 1 {
            return Some(product);
        }
        let (quotient, rest) = (product.checked_div(denominator)?, product % denominator);
        let is_away = rest.unsigned_abs() >= denominator.unsigned_abs() - rest.unsigned_abs();
        let sign = product.signum() * denominator.signum();
        return Some(if is_away { quotient + sign } else { quotient });
    }
    Quantity::from_units(value).scaled(numerator, denominator, 9).map(Quantity::units)
}

/// The position of a usage row in its pool: the quantity, and the running total before and after the row.
#[derive(Clone, Copy)]
struct PoolPosition {
    quantity: i128,
    before: i128,
    after: i128,
    total: i128,
    is_last: bool,
    /// The included units of the pool.
    included: Option<i128>,
}

/// The part of a usage row in one tier, or the flat fee of a tier.
#[derive(Clone, Copy)]
struct Part<'a> {
    series_id: u64,
    charge_date: i32,
    segment_start: i64,
    component: &'a str,
    tier_number: i64,
    charge_kind: ChargeKind,
    priced_number: i64,
    usage_order: i64,
    /// Index into [`TierPrices::lines`].
    line: u32,
    /// In metered units.
    quantity: i128,
    pricing_quantity: i128,
    cost: i128,
}

/// The key of a part: series, date, segment, component, tier and kind.
type Grain<'a> = (u64, i32, i64, &'a str, i64, ChargeKind);

impl<'a> Part<'a> {
    fn grain(&self) -> Grain<'a> {
        (self.series_id, self.charge_date, self.segment_start, self.component, self.tier_number, self.charge_kind)
    }

    fn line_order(&self) -> (u32, i32, i64, i64, i64) {
        (self.line, self.charge_date, self.segment_start, self.usage_order, self.tier_number)
    }
}

impl TierPrices {
    /// Reads rows of `priced_series` and `rate_tier`. `None` if the statements must report an invalid value.
    pub fn new(priced_series: &[RecordBatch], rate_tier: &RecordBatch) -> Result<Option<Self>, Error> {
        let tiers = tiers_by_rate(rate_tier)?;
        let mut prices_by_tier = Self { by_price_number: HashMap::new(), series_tiers: Vec::new(), lines: Vec::new() };
        let mut line_of_key = HashMap::new();
        for rows in priced_series {
            let numbers: &Int64Array = column(rows, PRICED_SERIES, "priced_number")?;
            let rates: &StringArray = column(rows, PRICED_SERIES, "rate_id")?;
            let groups: &Int64Array = column(rows, PRICED_SERIES, "line_group")?;
            let prices: &Decimal128Array = column(rows, PRICED_SERIES, "unit_price")?;
            let factors: &Decimal128Array = column(rows, PRICED_SERIES, "factor")?;
            let divisors: &Decimal128Array = column(rows, PRICED_SERIES, "pricing_divisor")?;
            let fees_at_zero: &BooleanArray = column(rows, PRICED_SERIES, "flat_fee_at_zero")?;
            let shared: &BooleanArray = column(rows, PRICED_SERIES, "is_shared")?;
            for row in 0..rows.num_rows() {
                let priced = TierPrice {
                    series_tiers: prices_by_tier.series_tiers.len()..prices_by_tier.series_tiers.len(),
                    is_shared: shared.value(row),
                    flat_fee_at_zero: fees_at_zero.value(row),
                };
                let of_rate = tiers.get(rates.value(row)).map(Vec::as_slice).unwrap_or_default();
                let (factor, divisor) = (UnitPrice::from_units(factors.value(row)), divisors.value(row));
                for tier in of_rate {
                    let own = optional(prices, row).filter(|_| tier.number > 0);
                    let series_tier =
                        prices_by_tier.series_tier(tier, groups.value(row), own, factor, divisor, &mut line_of_key);
                    let Some(series_tier) = series_tier else { return Ok(None) };
                    prices_by_tier.series_tiers.push(series_tier);
                }
                let series_tiers = priced.series_tiers.start..prices_by_tier.series_tiers.len();
                prices_by_tier.by_price_number.insert(numbers.value(row), TierPrice { series_tiers, ..priced });
            }
        }
        Ok(Some(prices_by_tier))
    }

    /// A tier for one series. `None` if the tier has no price, or if a number has too many digits.
    fn series_tier(
        &mut self,
        tier: &Tier,
        line_group: i64,
        own_price: Option<i128>,
        factor: UnitPrice,
        divisor: i128,
        line_of_key: &mut HashMap<LineKey, u32>,
    ) -> Option<SeriesTier> {
        let with_factor = |price: i128| UnitPrice::from_units(price).checked_mul(factor).map(UnitPrice::units);
        let price = with_factor(own_price.or(tier.unit_price)?)?;
        let mut line = |key: LineKey, divisor: i128| {
            if let Some(number) = line_of_key.get(&key) {
                return Some(*number);
            }
            let (_, _, tier_start, unit_price, unit_price_per) = key;
            let quantity = Ratio::new(ONE, divisor)?;
            let cost = Ratio::new(unit_price.checked_mul(1_000_000)?, scaled(divisor, unit_price_per, ONE)?)?;
            let number = u32::try_from(self.lines.len()).ok()?;
            self.lines.push(Line { tier_start, unit_price, unit_price_per, quantity, cost });
            line_of_key.insert(key, number);
            Some(number)
        };
        let usage_line = line((line_group, ChargeKind::Usage, tier.start, price, tier.price_per), divisor)?;
        let fee_line = match tier.flat_fee {
            Some(fee) => Some(line((line_group, ChargeKind::FlatFee, tier.start, with_factor(fee)?, ONE), ONE)?),
            None => None,
        };
        Some(SeriesTier { tier: tier.clone(), usage_line, fee_line })
    }

    /// The rows of `priced_part` for rows of `pool_usage`. `None` if the statements must run, because a number has too
    /// many digits or a price is missing.
    pub fn priced(
        &self,
        pool_usage: &[RecordBatch],
        pool_included_unit: &[RecordBatch],
    ) -> Result<Option<RecordBatch>, Error> {
        let included = included(pool_included_unit)?;
        let mut split = SplitUsage { parts: Vec::new(), of_windows: HashMap::new() };
        for rows in pool_usage {
            if self.split_by_tier(rows, &included, &mut split)?.is_none() {
                return Ok(None);
            }
        }
        let mut parts = split.parts;
        if self.price(&mut parts).is_none() {
            return Ok(None);
        }
        parts.sort_unstable_by_key(Part::grain);
        self.priced_part(&parts).map(Some)
    }

    /// Splits rows of usage at the bounds of their tiers.
    fn split_by_tier<'a>(
        &self,
        rows: &'a RecordBatch,
        included: &HashMap<i64, i128>,
        split: &mut SplitUsage<'a>,
    ) -> Result<Option<()>, Error> {
        let number = |name| column::<Int64Array>(rows, POOL_USAGE, name);
        let (pools, orders, priced) = (number("pool_number")?, number("usage_order")?, number("priced_number")?);
        let series: &UInt64Array = column(rows, POOL_USAGE, "series_id")?;
        let dates: &Date32Array = column(rows, POOL_USAGE, "charge_date")?;
        let segments: &TimestampMicrosecondArray = column(rows, POOL_USAGE, "segment_start")?;
        let components: &StringArray = column(rows, POOL_USAGE, "component")?;
        let units = |name| column::<Decimal128Array>(rows, POOL_USAGE, name);
        let (quantities, totals) = (units("pool_quantity")?, units("pool_total")?);
        let (befores, afters) = (units("pool_before")?, units("pool_after")?);
        let lasts: &BooleanArray = column(rows, POOL_USAGE, "is_last")?;
        let windows: &BooleanArray = column(rows, POOL_USAGE, "is_window")?;
        for row in 0..rows.num_rows() {
            let Some(price) = self.by_price_number.get(&priced.value(row)) else { return Ok(None) };
            let position = PoolPosition {
                quantity: quantities.value(row),
                before: befores.value(row),
                after: afters.value(row),
                total: totals.value(row),
                is_last: lasts.value(row),
                included: included.get(&pools.value(row)).copied(),
            };
            let part = Part {
                series_id: series.value(row),
                charge_date: dates.value(row),
                segment_start: segments.value(row),
                component: components.value(row),
                tier_number: 0,
                charge_kind: ChargeKind::Usage,
                priced_number: priced.value(row),
                usage_order: orders.value(row),
                line: 0,
                quantity: 0,
                pricing_quantity: 0,
                cost: 0,
            };
            let is_window = windows.value(row);
            for series_tier in &self.series_tiers[price.series_tiers.clone()] {
                let Some(bounds) = series_tier.tier.bounds(&position) else { return Ok(None) };
                let Some(bounds) = bounds else { continue };
                let tier_number = series_tier.tier.number;
                if bounds.is_entered(price, &position) {
                    let Some(quantity) = bounds.part(&series_tier.tier, price, &position) else { return Ok(None) };
                    split.add(Part { tier_number, line: series_tier.usage_line, quantity, ..part }, is_window);
                }
                if let Some(line) = series_tier.fee_line {
                    let Some(fees) = bounds.fees(&series_tier.tier, price, &position) else { return Ok(None) };
                    let Some(quantity) = fees else { continue };
                    let charge_kind = ChargeKind::FlatFee;
                    split.add(Part { tier_number, charge_kind, line, quantity, ..part }, is_window);
                }
            }
        }
        Ok(Some(()))
    }

    /// Sets the priced quantity and the cost of each part to the increase of the running values of its line.
    fn price(&self, parts: &mut [Part<'_>]) -> Option<()> {
        parts.sort_unstable_by_key(Part::line_order);
        for of_line in parts.chunk_by_mut(|one, next| one.line == next.line) {
            let line = self.lines.get(of_line.first()?.line as usize)?;
            let (mut quantity, mut pricing_quantity, mut cost) = (0i128, 0i128, 0i128);
            for part in of_line {
                quantity = quantity.checked_add(fits(part.quantity, 28)?)?;
                let after = (line.quantity.multiply(quantity)?, line.cost.multiply(quantity)?);
                part.pricing_quantity = fits(after.0, 28)? - pricing_quantity;
                part.cost = fits(after.1, 38)? - cost;
                (pricing_quantity, cost) = after;
            }
        }
        Some(())
    }

    fn priced_part(&self, parts: &[Part<'_>]) -> Result<RecordBatch, Error> {
        let line = |part: &Part<'_>| &self.lines[part.line as usize];
        let units = |pick: &dyn Fn(&Part<'_>) -> i128, precision, scale| {
            decimals("priced_part", parts.iter().map(pick), precision, scale)
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(parts.iter().map(|part| part.series_id))),
            Arc::new(Date32Array::from_iter_values(parts.iter().map(|part| part.charge_date))),
            Arc::new(instants(parts.iter().map(|part| part.segment_start))),
            Arc::new(StringArray::from_iter_values(parts.iter().map(|part| part.component))),
            Arc::new(Int64Array::from_iter_values(parts.iter().map(|part| part.tier_number))),
            Arc::new(StringArray::from_iter_values(parts.iter().map(|part| part.charge_kind.name()))),
            Arc::new(Int64Array::from_iter_values(parts.iter().map(|part| part.priced_number))),
            units(&|part| line(part).tier_start, 28, 9)?,
            units(&|part| part.pricing_quantity, 38, 9)?,
            units(&|part| line(part).unit_price, 28, 12)?,
            units(&|part| line(part).unit_price_per, 28, 9)?,
            units(&|part| part.cost, 38, 18)?,
        ];
        batch(PRICED_PART, columns)
    }
}

/// The number, if it has at most the given count of digits.
fn fits(value: i128, digits: u32) -> Option<i128> {
    (value.unsigned_abs() < 10u128.pow(digits)).then_some(value)
}

/// The parts of the rows that are already split. All windows of one segment in one tier form one part.
struct SplitUsage<'a> {
    parts: Vec<Part<'a>>,
    of_windows: HashMap<(Grain<'a>, u32), usize>,
}

impl<'a> SplitUsage<'a> {
    fn add(&mut self, part: Part<'a>, is_window: bool) {
        if is_window {
            let index = *self.of_windows.entry((part.grain(), part.line)).or_insert(self.parts.len());
            if let Some(before) = self.parts.get_mut(index) {
                before.quantity += part.quantity;
                return;
            }
        }
        self.parts.push(part);
    }
}

/// The bounds of a tier for one pool.
struct TierBounds {
    floor: i128,
    ceiling: Option<i128>,
}

impl Tier {
    /// The bounds of the tier, or `Some(None)` if the pool's total selects another tier. `None` if a bound has too many
    /// digits. Included units extend tier zero and raise the bounds of all other tiers.
    fn bounds(&self, position: &PoolPosition) -> Option<Option<TierBounds>> {
        let included = position.included.unwrap_or(0);
        let moved = |bound: Option<i128>| match bound {
            Some(bound) => bound.checked_add(included).map(Some),
            None => Some(None),
        };
        if moved(self.total_above)?.is_some_and(|above| position.total <= above)
            || moved(self.total_up_to)?.is_some_and(|up_to| position.total > up_to)
        {
            return Some(None);
        }
        let floor = if self.number == 0 { self.floor } else { self.floor.checked_add(included)? };
        Some(Some(TierBounds { floor, ceiling: moved(self.ceiling)? }))
    }

    /// Whether the pool's total selects one tier for the whole quantity.
    fn is_volume(&self) -> bool {
        self.total_above.is_some() || self.total_up_to.is_some()
    }

    /// The quantity in whole packages. The tier defines whether a started package counts. Below zero, packages count
    /// once they are complete.
    fn packed(&self, inside: i128) -> Option<i128> {
        let Some((package, counts_started)) = self.package else { return Some(inside) };
        let rest = inside.checked_rem(package)?;
        (inside - rest).checked_add(if counts_started && rest > 0 { package } else { 0 })
    }
}

impl TierBounds {
    /// Whether the tier is the first one that is not empty. It has no lower bound, so it also prices a total below
    /// zero.
    fn is_first(&self) -> bool {
        self.floor == 0 && self.ceiling.is_none_or(|ceiling| ceiling > 0)
    }

    /// Whether a row has a part in the tier. A quantity of zero belongs to the tier that contains its pool's running
    /// total. If that total equals a bound, the quantity belongs to the tier that begins at the bound.
    fn is_entered(&self, price: &TierPrice, position: &PoolPosition) -> bool {
        let ends_above = |bound: i128| self.ceiling.is_none_or(|ceiling| ceiling > bound);
        if price.is_shared {
            return (position.total > self.floor && ends_above(self.floor)) || (position.total <= 0 && self.is_first());
        }
        let highest = position.before.max(position.after);
        let is_at_floor = position.quantity == 0 && position.after == self.floor;
        (highest > self.floor || is_at_floor || self.is_first()) && ends_above(position.before.min(position.after))
    }

    /// The part of a row in the tier, in metered units. The part of a row that lowers the running total is negative.
    fn part(&self, tier: &Tier, price: &TierPrice, position: &PoolPosition) -> Option<i128> {
        let capped = |reached: i128| self.ceiling.map_or(reached, |ceiling| reached.min(ceiling));
        if !price.is_shared {
            let lowest = if self.is_first() { i128::MIN } else { self.floor };
            let inside = |reached: i128| tier.packed(capped(reached).max(lowest) - self.floor);
            return fits(inside(position.after)?.checked_sub(inside(position.before)?)?, 28);
        }
        if position.total == 0 {
            return Some(position.quantity);
        }
        // The projects of a shared pool have equal rank. A project's share of the tier equals its share of the total.
        // The code computes each share as the difference of two running shares.
        let ceiling = self.floor.checked_add(tier.packed(capped(position.total) - self.floor)?)?;
        let share = |reached: i128, bound: i128| scaled(reached, bound, position.total);
        let of_ceiling = share(position.after, ceiling)? - share(position.before, ceiling)?;
        fits(of_ceiling - share(position.after, self.floor)? + share(position.before, self.floor)?, 28)
    }

    /// The number of flat fees that a row owes: -1 if the total falls out of the tier. In a shared pool, a row owes a
    /// share in proportion to usage. `None` if the number has too many digits.
    fn fees(&self, tier: &Tier, price: &TierPrice, position: &PoolPosition) -> Option<Option<i128>> {
        let is_reached = position.total > self.floor;
        let is_at_zero = !is_reached && price.flat_fee_at_zero && tier.number == 1 && position.is_last;
        if price.is_shared && is_reached {
            let share = |reached: i128| scaled(reached, ONE, position.total);
            return Some(Some(share(position.after)? - share(position.before)?));
        }
        if price.is_shared || tier.is_volume() {
            let is_owed = is_at_zero || (is_reached && position.is_last);
            return Some(is_owed.then_some(ONE));
        }
        let is_inside = |reached: i128| i128::from(reached > self.floor);
        let fees = is_inside(position.after) - is_inside(position.before) + i128::from(is_at_zero);
        Some((fees != 0).then_some(fees * ONE))
    }
}

fn tiers_by_rate(rate_tier: &RecordBatch) -> Result<HashMap<String, Vec<Tier>>, Error> {
    let rates: &StringArray = column(rate_tier, RATE_TIER, "rate_id")?;
    let numbers: &Int64Array = column(rate_tier, RATE_TIER, "tier_number")?;
    let units = |name| column::<Decimal128Array>(rate_tier, RATE_TIER, name);
    let (starts, floors, ceilings) = (units("tier_start")?, units("pool_floor")?, units("pool_ceiling")?);
    let (aboves, up_tos) = (units("total_above")?, units("total_up_to")?);
    let (prices, pers, fees) = (units("unit_price")?, units("price_per")?, units("flat_fee")?);
    let packages = units("package")?;
    let roundings: &StringArray = column(rate_tier, RATE_TIER, "package_rounding")?;
    let mut tiers: HashMap<String, Vec<Tier>> = HashMap::new();
    for row in 0..rate_tier.num_rows() {
        let tier = Tier {
            number: numbers.value(row),
            start: starts.value(row),
            floor: floors.value(row),
            ceiling: optional(ceilings, row),
            total_above: optional(aboves, row),
            total_up_to: optional(up_tos, row),
            unit_price: optional(prices, row),
            price_per: pers.value(row),
            flat_fee: optional(fees, row),
            package: optional(packages, row).map(|package| (package, roundings.value(row) == "started")),
        };
        tiers.entry(rates.value(row).to_owned()).or_default().push(tier);
    }
    Ok(tiers)
}

fn included(pool_included_unit: &[RecordBatch]) -> Result<HashMap<i64, i128>, Error> {
    let mut included = HashMap::new();
    for rows in pool_included_unit {
        let pools: &Int64Array = column(rows, POOL_INCLUDED_UNIT, "pool_number")?;
        let quantities: &Decimal128Array = column(rows, POOL_INCLUDED_UNIT, "granted_quantity")?;
        included.extend((0..rows.num_rows()).map(|row| (pools.value(row), quantities.value(row))));
    }
    Ok(included)
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::super::pools::PoolTotals;
    use super::*;
    use crate::query::{Parameters, Session, statement};

    /// The day number of 2026-10-01.
    const FIRST: i32 = 20_727;
    const DAY: i64 = 86_400_000_000;

    fn midnight(date: i32) -> i64 {
        i64::from(date) * DAY
    }

    /// A tier of a generated rate: width, price, and flat fee.
    type GeneratedTier = (i128, i128, Option<i128>);

    #[derive(Clone, Debug)]
    struct GeneratedRate {
        is_volume: bool,
        tiers: Vec<GeneratedTier>,
        free: Option<i128>,
        package: Option<(i128, bool)>,
        per: i128,
        multiplier: i128,
        divisor: i128,
        factor: i128,
        rounding: Option<(i128, &'static str, bool)>,
        flat_fee_at_zero: bool,
    }

    #[derive(Clone, Debug)]
    struct GeneratedPool {
        period: &'static str,
        is_shared: bool,
        included: Option<i128>,
    }

    /// A generated series in one component: rate, pool, line group, own price, and the usage of three dates.
    type GeneratedSeries = (usize, usize, i64, Option<i128>, [Option<(i128, i128)>; 3]);

    /// A row of `priced_series`: id, component, start of the segment, and the generated series.
    type GeneratedRow<'a> = (u64, &'a str, i64, &'a GeneratedSeries);

    fn quantity() -> impl Strategy<Value = i128> {
        prop_oneof![
            3 => (0..400i128).prop_map(|whole| whole * ONE),
            2 => 0..200 * ONE,
            1 => 0..10i128.pow(23),
            1 => Just(0),
        ]
    }

    /// A quantity of a meter that accepts negative records.
    fn signed_quantity() -> impl Strategy<Value = i128> {
        (quantity(), any::<bool>()).prop_map(|(quantity, is_negative)| if is_negative { -quantity } else { quantity })
    }

    /// The generated series. `quantity` generates the usage of half a date.
    fn series<S: Strategy<Value = i128>>(quantity: impl Fn() -> S) -> impl Strategy<Value = Vec<GeneratedSeries>> {
        let used = prop::array::uniform3(prop::option::weighted(0.8, (quantity(), quantity())));
        let own_price = prop::option::weighted(0.2, 0..10i128.pow(13));
        prop::collection::vec((0..4usize, 0..4usize, 0..2i64, own_price, used), 1..9)
    }

    fn rate() -> impl Strategy<Value = GeneratedRate> {
        let price = || prop_oneof![Just(0), 0..5_000_000_000_000i128, 0..10i128.pow(18)];
        let tier = (prop_oneof![(1..300i128).prop_map(|whole| whole * ONE), 1..10i128.pow(12)], price());
        let tiers = prop::collection::vec((tier, prop::option::weighted(0.3, price())), 1..4);
        let free = prop::option::weighted(0.4, prop_oneof![Just(0), (0..100i128).prop_map(|whole| whole * ONE)]);
        let package = prop::option::weighted(0.3, (1..50i128, any::<bool>()));
        let one_or =
            || prop_oneof![2 => Just(ONE), 1 => (1..2_000i128).prop_map(|whole| whole * ONE), 1 => 1..10i128.pow(12)];
        let direction = prop_oneof![Just("up"), Just("down"), Just("nearest")];
        let rounding = prop::option::weighted(0.3, (1..20 * ONE, direction, any::<bool>()));
        let factor = prop_oneof![2 => Just(10i128.pow(12)), 1 => 0..10i128.pow(13)];
        let numbers = (one_or(), one_or(), one_or(), factor);
        (any::<bool>(), tiers, free, package, numbers, rounding, any::<bool>()).prop_map(
            |(is_volume, tiers, free, package, (per, multiplier, divisor, factor), rounding, flat_fee_at_zero)| {
                GeneratedRate {
                    is_volume,
                    tiers: tiers.into_iter().map(|((width, price), fee)| (width, price, fee)).collect(),
                    free,
                    package: package.map(|(whole, started)| (whole * ONE, started)),
                    per,
                    multiplier,
                    divisor,
                    factor,
                    rounding,
                    flat_fee_at_zero,
                }
            },
        )
    }

    fn pool() -> impl Strategy<Value = GeneratedPool> {
        let period = prop_oneof![6 => Just("period"), 2 => Just("day"), 1 => Just("window")];
        (period, any::<bool>(), prop::option::weighted(0.2, 0..300 * ONE))
            .prop_map(|(period, is_shared, included)| GeneratedPool { period, is_shared, included })
    }

    fn wide(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
    }

    fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }

    fn rate_tier(rates: &[GeneratedRate]) -> RecordBatch {
        let mut rows = Vec::new();
        for (number, rate) in rates.iter().enumerate() {
            let id = format!("rate-{number}");
            let free = rate.free.unwrap_or(0);
            if let Some(free) = rate.free {
                rows.push((id.clone(), 0, 0, Some(free), (None, None), Some(0), None, None));
            }
            let mut bound = free;
            for (index, (width, price, fee)) in rate.tiers.iter().enumerate() {
                let is_last = index + 1 == rate.tiers.len();
                let end = (!is_last).then_some(bound + width);
                let (floor, ceiling) = if rate.is_volume { (free, None) } else { (bound, end) };
                let totals = if rate.is_volume { ((index > 0).then_some(bound), end) } else { (None, None) };
                rows.push((id.clone(), index as i64 + 1, floor, ceiling, totals, Some(*price), *fee, rate.package));
                bound += width;
            }
        }
        let per = |id: &str| rates[id["rate-".len()..].parse::<usize>().unwrap()].per;
        let quantities = |values: Vec<Option<i128>>| wide(values, 28, 9);
        let bounds = |values: Vec<Option<i128>>| wide(values, 38, 9);
        let columns: Vec<ArrayRef> = vec![
            texts(rows.iter().map(|row| Some(row.0.as_str()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            quantities(rows.iter().map(|row| Some(row.2)).collect()),
            quantities(rows.iter().map(|row| row.3).collect()),
            bounds(rows.iter().map(|row| Some(row.2)).collect()),
            bounds(rows.iter().map(|row| row.3).collect()),
            bounds(rows.iter().map(|row| row.4.0).collect()),
            bounds(rows.iter().map(|row| row.4.1).collect()),
            wide(rows.iter().map(|row| row.5).collect(), 28, 12),
            quantities(rows.iter().map(|row| Some(per(&row.0))).collect()),
            wide(rows.iter().map(|row| row.6).collect(), 28, 12),
            bounds(rows.iter().map(|row| row.7.map(|package| package.0)).collect()),
            texts(rows.iter().map(|row| row.7.map(|package| if package.1 { "started" } else { "complete" }))),
            wide(vec![None; rows.len()], 28, 12),
        ];
        batch(RATE_TIER, columns).unwrap()
    }

    fn priced_series(rates: &[GeneratedRate], pools: &[GeneratedPool], series: &[GeneratedSeries]) -> RecordBatch {
        // Every series has two components, in two segments of the period.
        let rows: Vec<GeneratedRow<'_>> = (0..)
            .zip(series.chunks(2))
            .flat_map(|(id, of_id)| {
                let named = ["base", "licence"].into_iter().zip(of_id);
                named.flat_map(move |(name, generated)| {
                    [0, 1].map(|segment| (id, name, midnight(FIRST + segment), generated))
                })
            })
            .collect();
        let rate = |row: &GeneratedRow<'_>| &rates[row.3.0 % rates.len()];
        let pool = |row: &GeneratedRow<'_>| &pools[row.3.1 % pools.len()];
        let ids: Vec<String> = rows.iter().map(|row| format!("rate-{}", row.3.0 % rates.len())).collect();
        let none = |precision, scale| wide(vec![None; rows.len()], precision, scale);
        let pick = |pick: &dyn Fn(&GeneratedRow<'_>) -> Option<i128>, precision, scale| {
            wide(rows.iter().map(pick).collect(), precision, scale)
        };
        let number = |pick: &dyn Fn(usize, &GeneratedRow<'_>) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().enumerate().map(|(index, row)| pick(index, row))))
        };
        let flag = |pick: &dyn Fn(&GeneratedRow<'_>) -> bool| -> ArrayRef {
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(pick(row)))))
        };
        // The line group contains the rate, and therefore the divisor, because all usage of a line has one divisor.
        let group = |row: &GeneratedRow<'_>| row.3.2 * 10 + (row.3.0 % rates.len()) as i64;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
            texts(rows.iter().map(|row| Some(row.1))),
            Arc::new(instants(rows.iter().map(|row| row.2))),
            number(&|index, _| index as i64 + 1),
            texts(rows.iter().map(|_| Some("a"))),
            texts(rows.iter().map(|_| Some("p"))),
            texts(ids.iter().map(|id| Some(id.as_str()))),
            texts(rows.iter().map(|_| Some(""))),
            pick(&|row| row.3.3, 28, 12),
            pick(&|row| Some(rate(row).multiplier), 28, 9),
            pick(&|row| Some(rate(row).factor), 28, 12),
            pick(&|row| Some(rate(row).divisor), 28, 9),
            none(12, 9),
            pick(&|row| rate(row).rounding.map(|rounding| rounding.0), 38, 9),
            texts(rows.iter().map(|row| rate(row).rounding.map(|rounding| rounding.1))),
            flag(&|row| rate(row).rounding.is_some_and(|rounding| rounding.2)),
            flag(&|row| rate(row).flat_fee_at_zero),
            none(28, 12),
            none(28, 12),
            none(38, 9),
            none(28, 12),
            number(&|_, row| (row.3.1 % pools.len()) as i64),
            texts(rows.iter().map(|row| Some(pool(row).period))),
            flag(&|row| pool(row).is_shared),
            flag(&|row| pool(row).period == "window"),
            number(&|_, row| group(row)),
            number(&|index, _| (rows.len() - index) as i64),
        ];
        batch(PRICED_SERIES, columns).unwrap()
    }

    /// The rows of `usage_segment`, two windows for each row, and the coverage of every sixth window. No commitment
    /// covers negative usage.
    fn usage(series: &[GeneratedSeries]) -> [RecordBatch; 3] {
        let mut rows = Vec::new();
        for (id, generated) in (0u64..).zip(series.chunks(2)) {
            for (date, used) in (FIRST..).zip(&generated[0].4) {
                rows.extend(used.filter(|(one, other)| one + other != 0).map(|used| (id, date, used)));
            }
        }
        let segment = |date: i32| midnight(date.min(FIRST + 1));
        let usage: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(instants(rows.iter().map(|row| segment(row.1)))),
            wide(rows.iter().map(|row| Some(row.2.0 + row.2.1)).collect(), 38, 9),
        ];
        let windows = rows.iter().flat_map(|(id, date, (one, other))| {
            [(*id, *date, midnight(*date), *one), (*id, *date, midnight(*date) + DAY / 2, *other)]
        });
        let windows: Vec<(u64, i32, i64, i128)> = windows.collect();
        let metered: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(windows.iter().map(|window| window.0))),
            Arc::new(Date32Array::from_iter_values(windows.iter().map(|window| window.1))),
            Arc::new(instants(windows.iter().map(|window| window.2))),
            Arc::new(instants(windows.iter().map(|window| window.2 + DAY / 2))),
            wide(windows.iter().map(|window| Some(window.3)).collect(), 38, 9),
            Arc::new(Int64Array::from_iter_values(windows.iter().map(|_| 1))),
        ];
        let covered = || windows.iter().step_by(6);
        let part: Vec<Option<i128>> = covered().map(|window| Some(window.3.max(0) / 2)).collect();
        let covered: Vec<ArrayRef> = vec![
            texts(covered().map(|_| Some("r"))),
            Arc::new(UInt64Array::from_iter_values(covered().map(|window| window.0))),
            Arc::new(Date32Array::from_iter_values(covered().map(|window| window.1))),
            Arc::new(instants(covered().map(|window| segment(window.1)))),
            Arc::new(instants(covered().map(|window| window.2))),
            wide(part.clone(), 38, 9),
            wide(part, 38, 9),
        ];
        let rows =
            [("rating/usage_segment", usage), ("metering/metered_usage", metered), ("rating/covered_window", covered)];
        rows.map(|(path, columns)| batch(path, columns).unwrap())
    }

    fn charge_segment() -> RecordBatch {
        let dates = || FIRST..FIRST + 3;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from_iter_values(dates())),
            Arc::new(instants(dates().map(|date| midnight(date.min(FIRST + 1))))),
            Arc::new(instants(dates().map(midnight))),
            Arc::new(instants(dates().map(|date| midnight(date + 1)))),
            Arc::new(BooleanArray::from_iter(dates().map(|_| Some(false)))),
        ];
        batch("rating/charge_segment", columns).unwrap()
    }

    fn pool_included_unit(pools: &[GeneratedPool]) -> RecordBatch {
        let included: Vec<(i64, i128)> =
            (0..).zip(pools).filter_map(|(number, pool)| pool.included.map(|included| (number, included))).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(included.iter().map(|grant| grant.0))),
            wide(included.iter().map(|grant| Some(grant.1)).collect(), 38, 9),
        ];
        batch(POOL_INCLUDED_UNIT, columns).unwrap()
    }

    fn unique_value(values: &[Option<i64>]) -> RecordBatch {
        let rows: Vec<(u64, i64)> = (0..).zip(values).filter_map(|(id, value)| Some((id, (*value)?))).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        ];
        batch("rating/unique_value", columns).unwrap()
    }

    /// The relations that both the operator and the statements read.
    struct Generated {
        priced_series: RecordBatch,
        rate_tier: RecordBatch,
        pool_included_unit: RecordBatch,
        usage_segment: RecordBatch,
        metered_usage: RecordBatch,
        covered_window: RecordBatch,
        unique_value: RecordBatch,
    }

    impl Generated {
        /// `values` has the counted value of each series whose meter counts different values.
        fn new(
            rates: &[GeneratedRate],
            pools: &[GeneratedPool],
            series: &[GeneratedSeries],
            values: &[Option<i64>],
        ) -> Self {
            let [usage_segment, metered_usage, covered_window] = usage(series);
            Self {
                priced_series: priced_series(rates, pools, series),
                rate_tier: rate_tier(rates),
                pool_included_unit: pool_included_unit(pools),
                usage_segment,
                metered_usage,
                covered_window,
                unique_value: unique_value(values),
            }
        }

        /// The rows of `pool_usage` and `priced_part` that the statements compute.
        fn by_sql(&self) -> Result<[RecordBatch; 2], Error> {
            let relations = [
                ("rating/priced_series", &self.priced_series),
                ("rating/rate_tier", &self.rate_tier),
                ("rating/pool_included_unit", &self.pool_included_unit),
                ("rating/usage_segment", &self.usage_segment),
                ("metering/metered_usage", &self.metered_usage),
                ("rating/charge_segment", &charge_segment()),
                ("rating/covered_window", &self.covered_window),
                ("rating/unique_value", &self.unique_value),
            ];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(by_sql(&relations))
        }

        /// The rows of `pool_usage` that the operator computes. `None` if the statements must run.
        fn pool_usage(&self) -> Option<RecordBatch> {
            let pools = PoolTotals::new(std::slice::from_ref(&self.priced_series), &self.unique_value).unwrap();
            let covered = std::slice::from_ref(&self.covered_window);
            pools.usage(std::slice::from_ref(&self.usage_segment), covered).unwrap()
        }

        /// The rows of `priced_part` that the operator computes. `None` if the statements must run.
        fn priced_part(&self, pool_usage: &RecordBatch) -> Result<Option<RecordBatch>, Error> {
            let parts = TierPrices::new(std::slice::from_ref(&self.priced_series), &self.rate_tier).unwrap();
            let included = std::slice::from_ref(&self.pool_included_unit);
            parts.map_or(Ok(None), |parts| parts.priced(std::slice::from_ref(pool_usage), included))
        }
    }

    fn all(batches: &[RecordBatch], path: &str) -> RecordBatch {
        concat_batches(&statement(path).unwrap().schema, batches).unwrap()
    }

    /// The rows that the statements compute: the running totals of the pools and the costs of the parts.
    async fn by_sql(relations: &[(&str, &RecordBatch)]) -> Result<[RecordBatch; 2], Error> {
        let session = Session::new(None)?;
        for (path, rows) in relations {
            session.register(path, vec![RecordBatch::clone(rows)])?;
        }
        session.register_nothing("rating/payer_series")?;
        session.register_nothing("rating/pool_window_count")?;
        session.materialize("rating/pool_running_total", Parameters::none()).await?;
        let pool_usage = session.materialize("rating/pool_usage", Parameters::none()).await?;
        session.materialize("rating/pool_part", Parameters::none()).await?;
        session.materialize("rating/line_running_total", Parameters::none()).await?;
        let priced_part = session.run("rating/priced_part", Parameters::none()).await?;
        Ok([all(&pool_usage, POOL_USAGE), all(&priced_part, PRICED_PART)])
    }

    #[test]
    fn a_quotient_is_rounded_half_away_from_zero_however_large_its_terms_are() {
        let of = |value: i128, divisor: i128| scaled(value, 1, divisor);
        assert_eq!([of(5, 2), of(-5, 2), of(7, 3), of(-7, 3), of(8, 3), of(4, 2)], [3, -3, 2, -2, 3, 2].map(Some));
        assert_eq!([of(5, -2), of(-5, -2), of(7, -3), of(-8, -3), of(4, -2)], [-3, 3, -2, 3, -2].map(Some));
        // These products need 256 bits.
        let of = |value: i128| scaled(value * 10i128.pow(18), 10i128.pow(19), 10i128.pow(38));
        assert_eq!([of(25), of(-25), of(24), of(-24), of(26), of(20)], [3, -3, 2, -2, 3, 2].map(Some));
        assert_eq!(scaled(i128::MAX, 2, 1), None);
        assert_eq!(scaled(1, 1, 0), None);
    }

    /// A pool of 0.000000010 that two projects share. Its second tier is from 0.000000002 to 0.000000004.
    ///
    /// Let `R` round half away from zero. Up to a row, the tier contains the quantity
    /// `R(4 × after ÷ 10) - R(2 × after ÷ 10)`, in units of the ninth place. The share of a row is the increase of this
    /// quantity:
    ///
    /// | project | used | after | `R` of the ceiling | `R` of the floor | in tier | share |
    /// | ------- | ---- | ----- | ------------------ | ---------------- | ------- | ----- |
    /// | 0       | 2    | 2     | R(0.8) = 1         | R(0.4) = 0       | 1       | 1     |
    /// | 1       | 1    | 3     | R(1.2) = 1         | R(0.6) = 1       | 0       | -1    |
    /// | 1       | 7    | 10    | 4                  | 2                | 2       | 2     |
    ///
    /// Each project has its own line, with a price of 1 for 3 units. The running quantity of project 1 is -1, then 1. A
    /// third of the quantity is -0.000000000333333333, then 0.000000000333333333. So the second row of project 1 costs
    /// 0.000000000666666666.
    #[test]
    fn a_line_that_begins_with_a_negative_share_starts_at_zero() {
        let rate = GeneratedRate {
            is_volume: false,
            tiers: vec![(2, 0, None), (2, 10i128.pow(12), None), (1, 0, None)],
            free: None,
            package: None,
            per: ONE,
            multiplier: ONE,
            divisor: 3 * ONE,
            factor: 10i128.pow(12),
            rounding: None,
            flat_fee_at_zero: false,
        };
        let pool = GeneratedPool { period: "period", is_shared: true, included: None };
        let series = [
            (0, 0, 0, None, [Some((0, 2)), None, None]),
            // The licence of the first series counts in the other pool.
            (0, 1, 0, None, [None; 3]),
            (0, 0, 1, None, [None, Some((0, 1)), Some((0, 7))]),
        ];
        let generated = Generated::new(&[rate], &[pool.clone(), pool], &series, &[]);
        let [pool_usage, by_sql] = generated.by_sql().unwrap();
        assert_eq!(generated.pool_usage().as_ref(), Some(&pool_usage));
        let by_operator = generated.priced_part(&pool_usage).unwrap().unwrap();
        for priced_part in [&by_operator, &by_sql] {
            let series: &UInt64Array = column(priced_part, PRICED_PART, "series_id").unwrap();
            let tiers: &Int64Array = column(priced_part, PRICED_PART, "tier_number").unwrap();
            let quantities: &Decimal128Array = column(priced_part, PRICED_PART, "pricing_quantity").unwrap();
            let costs: &Decimal128Array = column(priced_part, PRICED_PART, "contracted_cost").unwrap();
            let rows = (0..priced_part.num_rows()).filter(|row| series.value(*row) == 1 && tiers.value(*row) == 2);
            let priced: Vec<(i128, i128)> = rows.map(|row| (quantities.value(row), costs.value(row))).collect();
            assert_eq!(priced, [(0, -333_333_333), (0, 666_666_666)]);
        }
        assert_eq!(by_operator, by_sql);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_operator_and_the_sql_compute_equal_rows(
            rates in prop::collection::vec(rate(), 1..4),
            pools in prop::collection::vec(pool(), 1..4),
            series in prop_oneof![series(quantity), series(signed_quantity)],
            values in prop::collection::vec(prop::option::weighted(0.4, 0..2i64), 4),
        ) {
            let generated = Generated::new(&rates, &pools, &series, &values);
            let pooled = generated.pool_usage();
            match generated.by_sql() {
                Ok([pool_usage, priced_part]) => {
                    if let Some(pooled) = pooled {
                        prop_assert_eq!(&pooled, &pool_usage);
                    } else {
                        prop_assert!(pools.iter().any(|pool| pool.period == "window"));
                    }
                    prop_assert_eq!(generated.priced_part(&pool_usage).unwrap(), Some(priced_part));
                }
                // The statements fail if a number is too large.
                Err(_) => {
                    let priced = pooled.map(|pooled| generated.priced_part(&pooled));
                    prop_assert!(!matches!(priced, Some(Ok(Some(_)))));
                }
            }
        }
    }
}
