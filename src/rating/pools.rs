//! An operator that computes `pool_usage`: the running total of each pool before and after each row of usage.
//!
//! `sql/rating/pool_running_total.sql` and `pool_usage.sql` define the result. A property test in
//! [`crate::rating::tier_parts`] verifies that the operator and the statements compute equal rows for random prices.
//!
//! The operator computes usage that is counted by days, with one sort and one pass. The statements compute usage that
//! is counted by single windows (percentiles, pools per window).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};

use crate::model::money::Quantity;
use crate::query::Error;
use crate::rows::columns::{BASE, UsageKey, batch, column, decimals, instants, optional};

const PRICED_SERIES: &str = "rating/priced_series";
const USAGE_SEGMENT: &str = "rating/usage_segment";
const COVERED_WINDOW: &str = "rating/covered_window";
const POOL_USAGE: &str = "rating/pool_usage";
const UNIQUE_VALUE: &str = "rating/unique_value";

/// The pools in which the usage of series counts, for any number of account batches.
#[derive(Debug)]
pub struct PoolTotals {
    rows_of_series: HashMap<u64, Range<usize>>,
    rows: Vec<PooledSeries>,
    /// Sorted by name.
    components: Vec<String>,
    /// The number of the counted value of each series whose meter counts different values.
    unique_values: HashMap<u64, i64>,
}

/// The number of the counted value of each series of `unique_value`.
pub(crate) fn unique_values(unique_value: &RecordBatch) -> Result<HashMap<u64, i64>, Error> {
    let series: &UInt64Array = column(unique_value, UNIQUE_VALUE, "series_id")?;
    let numbers: &Int64Array = column(unique_value, UNIQUE_VALUE, "value_number")?;
    Ok(series.values().iter().copied().zip(numbers.values().iter().copied()).collect())
}

/// The columns of a `priced_series` row that affect pools.
#[derive(Debug)]
struct PooledSeries {
    segment_start: i64,
    component: usize,
    priced_number: i64,
    pool_number: i64,
    usage_order: i64,
    begins_daily: bool,
    by_window: bool,
    multiplier: Quantity,
    rounding: Option<Rounding>,
}

/// The rounding of a pool's quantity.
#[derive(Clone, Copy, Debug)]
struct Rounding {
    multiple_of: i128,
    direction: Direction,
    by_day: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
    Nearest,
}

impl Rounding {
    /// The multiple in the direction of the rounding. The nearest multiple is half away from zero.
    fn round(self, exact: i128) -> Option<i128> {
        let rest = exact % self.multiple_of;
        let is_half = rest != 0 && rest.abs() >= self.multiple_of - rest.abs();
        let steps = match self.direction {
            Direction::Up if rest > 0 => 1,
            Direction::Down if rest < 0 => -1,
            Direction::Nearest if is_half => rest.signum(),
            _ => 0,
        };
        (exact - rest).checked_add(steps * self.multiple_of)
    }
}

/// The usage of a series on a date, in one of its pools.
#[derive(Clone, Copy)]
struct Pooled {
    pool_number: i64,
    instance: i64,
    charge_date: i32,
    segment_start: i64,
    usage_order: i64,
    series_id: u64,
    /// Index into [`PoolTotals::rows`].
    row: usize,
    /// The number of the counted value, if the meter counts different values.
    unique_value: Option<i64>,
    quantity: i128,
    before: i128,
    after: i128,
    total: i128,
    is_last: bool,
}

impl Pooled {
    fn order(&self) -> (i64, i64, i32, i64, i64) {
        (self.pool_number, self.instance, self.charge_date, self.segment_start, self.usage_order)
    }
}

/// The unrounded running totals of a pool: the total of all its usage, and the total of one date.
#[derive(Default)]
struct UnroundedTotals {
    of_period: i128,
    of_day: (i32, i128),
}

impl UnroundedTotals {
    /// The amount by which a quantity increases the rounded total. The increases add up to the rounded sum.
    fn rounded_increase(&mut self, rounding: Rounding, charge_date: i32, quantity: i128) -> Option<i128> {
        if self.of_day.0 != charge_date {
            self.of_day = (charge_date, 0);
        }
        let before = if rounding.by_day { &mut self.of_day.1 } else { &mut self.of_period };
        let after = before.checked_add(quantity)?;
        let increase = rounding.round(after)? - rounding.round(*before)?;
        *before = after;
        Some(increase)
    }
}

impl PoolTotals {
    /// Reads rows of `priced_series`, in the order of their grain, and rows of `unique_value`.
    pub fn new(priced_series: &[RecordBatch], unique_value: &RecordBatch) -> Result<Self, Error> {
        let mut pool_totals = Self {
            rows_of_series: HashMap::new(),
            rows: Vec::new(),
            components: Vec::new(),
            unique_values: unique_values(unique_value)?,
        };
        let mut names = BTreeSet::new();
        for rows in priced_series {
            names.extend(column::<StringArray>(rows, PRICED_SERIES, "component")?.iter().flatten().map(str::to_owned));
        }
        pool_totals.components = names.into_iter().collect();
        for rows in priced_series {
            pool_totals.read(rows)?;
        }
        Ok(pool_totals)
    }

    fn read(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let series: &UInt64Array = column(rows, PRICED_SERIES, "series_id")?;
        let components: &StringArray = column(rows, PRICED_SERIES, "component")?;
        let segments: &TimestampMicrosecondArray = column(rows, PRICED_SERIES, "segment_start")?;
        let number = |name| column::<Int64Array>(rows, PRICED_SERIES, name);
        let (priced, pools, orders) = (number("priced_number")?, number("pool_number")?, number("usage_order")?);
        let periods: &StringArray = column(rows, PRICED_SERIES, "pool_period")?;
        let by_window: &BooleanArray = column(rows, PRICED_SERIES, "by_window")?;
        let multipliers: &Decimal128Array = column(rows, PRICED_SERIES, "multiplier")?;
        let multiples: &Decimal128Array = column(rows, PRICED_SERIES, "rounding_multiple")?;
        let directions: &StringArray = column(rows, PRICED_SERIES, "rounding_direction")?;
        let by_day: &BooleanArray = column(rows, PRICED_SERIES, "rounding_by_day")?;
        for row in 0..rows.num_rows() {
            let component = components.value(row);
            let direction = match directions.is_valid(row).then(|| directions.value(row)) {
                Some("up") => Direction::Up,
                Some("nearest") => Direction::Nearest,
                _ => Direction::Down,
            };
            let rounding = optional(multiples, row).map(|multiple_of| Rounding {
                multiple_of,
                direction,
                by_day: by_day.value(row),
            });
            let row_index = self.rows.len();
            self.rows.push(PooledSeries {
                segment_start: segments.value(row),
                component: self.components.partition_point(|name| name.as_str() < component),
                priced_number: priced.value(row),
                pool_number: pools.value(row),
                usage_order: orders.value(row),
                begins_daily: periods.value(row) == "day",
                by_window: by_window.value(row),
                multiplier: Quantity::from_units(multipliers.value(row)),
                rounding,
            });
            self.rows_of_series.entry(series.value(row)).or_insert(row_index..row_index).end = row_index + 1;
        }
        Ok(())
    }

    /// The rows of `pool_usage` for rows of `usage_segment`, without the usage that `covered_window` contains.
    ///
    /// `None` if the statements must run: some usage is counted by windows, or a number is too large. The statements
    /// report a number that is too large.
    pub fn usage(
        &self,
        usage_segment: &[RecordBatch],
        covered_window: &[RecordBatch],
    ) -> Result<Option<RecordBatch>, Error> {
        let covered = covered(covered_window)?;
        let mut pooled = Vec::with_capacity(usage_segment.iter().map(RecordBatch::num_rows).sum());
        for rows in usage_segment {
            let series: &UInt64Array = column(rows, USAGE_SEGMENT, "series_id")?;
            let dates: &Date32Array = column(rows, USAGE_SEGMENT, "charge_date")?;
            let segments: &TimestampMicrosecondArray = column(rows, USAGE_SEGMENT, "segment_start")?;
            let quantities: &Decimal128Array = column(rows, USAGE_SEGMENT, "consumed_quantity")?;
            for row in 0..rows.num_rows() {
                let quantity = Quantity::from_units(quantities.value(row));
                let at = (series.value(row), dates.value(row), segments.value(row));
                let covered = covered.get(&at).copied();
                if self.add_to_pools(at, quantity, covered, &mut pooled).is_none() {
                    return Ok(None);
                }
            }
        }
        pooled.sort_unstable_by_key(Pooled::order);
        for pool in
            pooled.chunk_by_mut(|one, next| (one.pool_number, one.instance) == (next.pool_number, next.instance))
        {
            if self.add_running_totals(pool).is_none() {
                return Ok(None);
            }
        }
        self.pool_usage(&pooled).map(Some)
    }

    /// Whether all usage counts in a pool of the base component.
    pub fn contain_all(&self, usage_segment: &[RecordBatch]) -> Result<bool, Error> {
        for rows in usage_segment {
            let series: &UInt64Array = column(rows, USAGE_SEGMENT, "series_id")?;
            let segments: &TimestampMicrosecondArray = column(rows, USAGE_SEGMENT, "segment_start")?;
            let mut last = None;
            for used in series.values().iter().zip(segments.values()) {
                // Rows are sorted by series, and most series have one segment.
                if last.replace(used) != Some(used) && !self.is_in_base(*used.0, *used.1) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn is_in_base(&self, series_id: u64, segment_start: i64) -> bool {
        let rows =
            self.rows_of_series.get(&series_id).and_then(|indices| self.rows.get(indices.clone())).unwrap_or_default();
        rows.iter().any(|row| row.segment_start == segment_start && self.components[row.component] == BASE)
    }

    /// Adds the usage of a series to every pool in which it counts.
    fn add_to_pools(
        &self,
        at: UsageKey,
        consumed: Quantity,
        covered: Option<Quantity>,
        pooled: &mut Vec<Pooled>,
    ) -> Option<()> {
        let (series_id, charge_date, segment_start) = at;
        for row_index in self.rows_of_series.get(&series_id).cloned().unwrap_or_default() {
            let row = &self.rows[row_index];
            if row.segment_start != segment_start {
                continue;
            }
            if row.by_window {
                return None;
            }
            let mut quantity = consumed.checked_wide_mul(row.multiplier)?;
            if let Some(covered) = covered.filter(|_| self.components[row.component] == BASE) {
                quantity = quantity.checked_sub(covered.checked_wide_mul(row.multiplier)?)?;
            }
            pooled.push(Pooled {
                pool_number: row.pool_number,
                instance: if row.begins_daily { charge_date.into() } else { 0 },
                charge_date,
                segment_start,
                usage_order: row.usage_order,
                series_id,
                row: row_index,
                unique_value: self.unique_values.get(&series_id).copied(),
                quantity: quantity.units(),
                before: 0,
                after: 0,
                total: 0,
                is_last: false,
            });
        }
        Some(())
    }

    /// Computes the running totals of one pool. The usage must be in the order of the pool.
    fn add_running_totals(&self, pool: &mut [Pooled]) -> Option<()> {
        let (mut total, mut exact) = (0i128, UnroundedTotals::default());
        let mut counted = HashSet::new();
        for usage in pool.iter_mut() {
            // A pool counts each value once, at its first usage.
            if let Some(value) = usage.unique_value {
                usage.quantity = if counted.insert(value) { self.rows[usage.row].multiplier.units() } else { 0 };
            }
            if let Some(rounding) = self.rows[usage.row].rounding {
                usage.quantity = exact.rounded_increase(rounding, usage.charge_date, usage.quantity)?;
            }
            usage.before = total;
            total = total.checked_add(usage.quantity)?;
            usage.after = total;
        }
        for usage in pool.iter_mut() {
            usage.total = total;
        }
        pool.last_mut()?.is_last = true;
        Some(())
    }

    fn pool_usage(&self, rows: &[Pooled]) -> Result<RecordBatch, Error> {
        let of = |usage: &Pooled| &self.rows[usage.row];
        let names = rows.iter().map(|usage| self.components[of(usage).component].as_str());
        let wide = |pick: fn(&Pooled) -> i128| decimals("pool_usage", rows.iter().map(pick), 38, 9);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|usage| usage.pool_number))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|usage| usage.instance))),
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|usage| usage.charge_date))),
            Arc::new(instants(rows.iter().map(|usage| usage.segment_start))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|usage| usage.usage_order))),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|usage| usage.series_id))),
            Arc::new(StringArray::from_iter_values(names)),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|usage| of(usage).priced_number))),
            decimals("pool_usage", rows.iter().map(|usage| usage.quantity), 38, 9)?,
            wide(|usage| usage.before)?,
            wide(|usage| usage.after)?,
            wide(|usage| usage.total)?,
            Arc::new(BooleanArray::from_iter(rows.iter().map(|usage| Some(usage.is_last)))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|_| Some(false)))),
        ];
        batch(POOL_USAGE, columns)
    }
}

/// The covered quantity of each series, date and segment.
pub(crate) fn covered(covered_window: &[RecordBatch]) -> Result<HashMap<UsageKey, Quantity>, Error> {
    let mut covered: HashMap<UsageKey, Quantity> = HashMap::new();
    for rows in covered_window {
        let series: &UInt64Array = column(rows, COVERED_WINDOW, "series_id")?;
        let dates: &Date32Array = column(rows, COVERED_WINDOW, "charge_date")?;
        let segments: &TimestampMicrosecondArray = column(rows, COVERED_WINDOW, "segment_start")?;
        let quantities: &Decimal128Array = column(rows, COVERED_WINDOW, "covered_quantity")?;
        for row in 0..rows.num_rows() {
            let of_place = covered.entry((series.value(row), dates.value(row), segments.value(row))).or_default();
            let sum = of_place.checked_add(Quantity::from_units(quantities.value(row)));
            *of_place = sum.ok_or_else(|| Error::TooLarge { relation: "covered_window".to_owned(), digits: 38 })?;
        }
    }
    Ok(covered)
}
