//! `pool_totals(…)`: the running total of a pool before and after each row of its usage.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{AggregateUDF, Documentation};

use super::columns::{decimals, fits, optional, wide};
use super::row_error::RowError;
use crate::functions::group_function::{GroupFunction, GroupRows, Groups};
use crate::functions::section::SECTION;

pub(super) fn function() -> AggregateUDF {
    let (quantity, instant) =
        (DataType::Decimal128(38, 9), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    let documentation = Documentation::builder(
        SECTION,
        "The running total of a pool before and after each row of its usage. A group is a pool, and its rows may \
         have any order. The function sorts them by date, segment, usage order and number of the price. A pool \
         counts each value once, at its first usage, with the multiplier as its quantity. A rounded quantity is the \
         increase of the rounded running total of the pool or of its date. So the parts add up to the rounded \
         total. The nearest multiple is half away from zero. The result is a list of charge_date, segment_start, \
         usage_order, priced_number, pool_quantity, pool_before, pool_after and pool_total as DECIMAL(38,9), and \
         is_last. More than 38 digits are an error.",
        "pool_totals(charge_date, segment_start, usage_order, priced_number, quantity, value_number, multiplier, \
         rounding_multiple, rounding_direction, rounding_by_day)",
    )
    .with_argument("charge_date", "DATE, not null.")
    .with_argument("segment_start", "TIMESTAMP, not null.")
    .with_argument("usage_order", "BIGINT, not null. The order of simultaneous usage.")
    .with_argument("priced_number", "BIGINT, not null. The number of the price.")
    .with_argument("quantity", "DECIMAL(38,9), not null.")
    .with_argument("value_number", "BIGINT. The counted value. Null if the meter does not count different values.")
    .with_argument("multiplier", "DECIMAL(28,9), not null. The quantity of a counted value.")
    .with_argument("rounding_multiple", "DECIMAL(38,9). Null if the quantity is not rounded.")
    .with_argument("rounding_direction", "TEXT. `up`, `down` or `nearest`.")
    .with_argument("rounding_by_day", "BOOLEAN, not null. Whether each date is rounded by itself.")
    .build();
    let keys = [
        ("charge_date", DataType::Date32),
        ("segment_start", instant.clone()),
        ("usage_order", DataType::Int64),
        ("priced_number", DataType::Int64),
    ];
    let quantities = ["pool_quantity", "pool_before", "pool_after", "pool_total"].map(|name| (name, quantity.clone()));
    let result = keys.into_iter().chain(quantities).chain([("is_last", DataType::Boolean)]).collect();
    let arguments = vec![
        DataType::Date32,
        instant,
        DataType::Int64,
        DataType::Int64,
        quantity.clone(),
        DataType::Int64,
        DataType::Decimal128(28, 9),
        quantity,
        DataType::Utf8,
        DataType::Boolean,
    ];
    GroupFunction::create("pool_totals", arguments, result, documentation, totals)
}

const TOO_LARGE: &str = "the running total of a pool exceeds 38 digits";

/// The totals of all pools. Each row of usage gives one row.
fn totals(groups: Groups) -> Result<GroupRows, DataFusionError> {
    let Groups { columns, mut rows, lengths } = groups;
    let [dates, segments, orders, numbers, quantities, values, multipliers, multiples, directions, by_day] =
        columns.as_slice()
    else {
        return Err(exec_datafusion_err!("pool_totals takes ten arguments"));
    };
    let date_values = dates.as_primitive::<Date32Type>().values();
    let segment_values = segments.as_primitive::<TimestampMicrosecondType>().values();
    let order_values = orders.as_primitive::<Int64Type>().values();
    let number_values = numbers.as_primitive::<Int64Type>().values();
    let (quantities, multipliers) = (decimals(quantities), decimals(multipliers));
    let values = values.as_primitive::<Int64Type>();
    let roundings = Roundings {
        multiples: decimals(multiples),
        directions: directions.as_string::<i32>(),
        by_day: by_day.as_boolean(),
    };
    let order = |row: &u32| {
        let row = *row as usize;
        (date_values[row], segment_values[row], order_values[row], number_values[row])
    };
    let mut found = Totals::with_capacity(rows.len());
    let mut rest = rows.as_mut_slice();
    for length in &lengths {
        let (pool, others) = rest.split_at_mut(*length);
        rest = others;
        pool.sort_unstable_by_key(order);
        let (mut total, mut exact, mut counted) = (0i128, UnroundedTotals::default(), HashSet::new());
        for row in pool.iter() {
            let row = *row as usize;
            let failed = || RowError {
                function: "pool_totals",
                priced_number: number_values[row],
                charge_date: Some(date_values[row]),
                problem: TOO_LARGE,
            };
            let mut quantity = quantities.value(row);
            // A pool counts each value once, at its first usage.
            if values.is_valid(row) {
                quantity = if counted.insert(values.value(row)) { multipliers.value(row) } else { 0 };
            }
            if let Some(rounding) = roundings.of(row) {
                let increase = exact.rounded_increase(rounding, date_values[row], quantity);
                quantity = increase.and_then(|increase| fits(increase, 38)).ok_or_else(failed)?;
            }
            found.quantities.push(quantity);
            found.befores.push(total);
            total = total.checked_add(quantity).and_then(|total| fits(total, 38)).ok_or_else(failed)?;
            found.afters.push(total);
        }
        found.totals.resize(found.afters.len(), total);
        found.lasts.resize(found.afters.len(), false);
        if let Some(last) = found.lasts.last_mut().filter(|_| *length > 0) {
            *last = true;
        }
    }
    let indices = UInt32Array::from(rows);
    let unchanged = |column: &ArrayRef| take(column, &indices, None);
    let columns: Vec<ArrayRef> = vec![
        unchanged(dates)?,
        unchanged(segments)?,
        unchanged(orders)?,
        unchanged(numbers)?,
        wide(found.quantities, 9)?,
        wide(found.befores, 9)?,
        wide(found.afters, 9)?,
        wide(found.totals, 9)?,
        Arc::new(BooleanArray::from(found.lasts)),
    ];
    Ok(GroupRows { columns, lengths })
}

/// The computed columns of the result.
struct Totals {
    quantities: Vec<i128>,
    befores: Vec<i128>,
    afters: Vec<i128>,
    totals: Vec<i128>,
    lasts: Vec<bool>,
}

impl Totals {
    fn with_capacity(rows: usize) -> Self {
        let empty = || Vec::with_capacity(rows);
        Self {
            quantities: empty(),
            befores: empty(),
            afters: empty(),
            totals: empty(),
            lasts: Vec::with_capacity(rows),
        }
    }
}

/// The roundings of rows.
struct Roundings<'a> {
    multiples: &'a arrow::array::Decimal128Array,
    directions: &'a StringArray,
    by_day: &'a BooleanArray,
}

impl Roundings<'_> {
    fn of(&self, row: usize) -> Option<Rounding> {
        let multiple_of = optional(self.multiples, row)?;
        let direction = match self.directions.is_valid(row).then(|| self.directions.value(row)) {
            Some("up") => Direction::Up,
            Some("nearest") => Direction::Nearest,
            _ => Direction::Down,
        };
        Some(Rounding { multiple_of, direction, by_day: self.by_day.value(row) })
    }
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
        let rest = exact.checked_rem(self.multiple_of)?;
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
        let increase = rounding.round(after)?.checked_sub(rounding.round(*before)?)?;
        *before = after;
        Some(increase)
    }
}
