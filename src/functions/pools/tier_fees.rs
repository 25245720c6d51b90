//! `tier_fees(…)`: the number of flat fees of a tier that a row of a pool owes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::columns::{ONE, decimals, fits};
use super::ratio::scaled;
use super::row_error::RowError;
use crate::functions::scalar_function::ScalarFunction;
use crate::functions::section::SECTION;

pub(super) fn function() -> ScalarUDF {
    let quantity = DataType::Decimal128(38, 9);
    let documentation = Documentation::builder(
        SECTION,
        "The number of flat fees of a tier that a row of a pool owes, as DECIMAL(38,9). Null if the row owes none. \
         The row that enters the tier owes one, and the row after which the pool no longer reaches the tier owes \
         -1. If the total of the pool selects its tier, the last row owes the fee. In a shared pool, each row owes \
         a share in proportion to its usage. A share of more than 38 digits is an error.",
        "tier_fees(before, after, total, floor, is_last, is_shared, is_volume, is_owed_at_zero, priced_number)",
    )
    .with_argument("before", "DECIMAL(38,9), not null. The total of the pool before the row.")
    .with_argument("after", "DECIMAL(38,9), not null. The total of the pool after the row.")
    .with_argument("total", "DECIMAL(38,9), not null. The total of the whole pool.")
    .with_argument("floor", "DECIMAL(38,9), not null. The start of the tier, exclusive.")
    .with_argument("is_last", "BOOLEAN, not null. Whether the row is the last one of its pool.")
    .with_argument("is_shared", "BOOLEAN, not null. Whether several projects share the pool.")
    .with_argument("is_volume", "BOOLEAN, not null. Whether the total of the pool selects one tier.")
    .with_argument("is_owed_at_zero", "BOOLEAN, not null. Whether a pool that does not reach the tier owes the fee.")
    .with_argument("priced_number", "BIGINT, not null. The number of the price, for errors.")
    .build();
    let mut arguments = vec![quantity.clone(); 4];
    arguments.extend(vec![DataType::Boolean; 4]);
    arguments.push(DataType::Int64);
    ScalarFunction::create("tier_fees", arguments, quantity, documentation, fees)
}

fn fees(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [befores, afters, totals, floors, lasts, shared, volumes, at_zero, numbers] = columns else {
        return Err(exec_datafusion_err!("tier_fees takes nine arguments"));
    };
    let (befores, afters, totals, floors) = (decimals(befores), decimals(afters), decimals(totals), decimals(floors));
    let (lasts, shared, volumes) = (lasts.as_boolean(), shared.as_boolean(), volumes.as_boolean());
    let (at_zero, numbers) = (at_zero.as_boolean(), numbers.as_primitive::<Int64Type>());
    let mut fees = Vec::with_capacity(befores.len());
    for row in 0..befores.len() {
        let used = Usage {
            before: befores.value(row),
            after: afters.value(row),
            total: totals.value(row),
            floor: floors.value(row),
            is_last: lasts.value(row),
        };
        let owed = owed(&used, shared.value(row), volumes.value(row), at_zero.value(row)).ok_or(RowError {
            function: "tier_fees",
            priced_number: numbers.value(row),
            charge_date: None,
            problem: "the share of a flat fee exceeds 38 digits",
        })?;
        fees.push(owed);
    }
    Ok(Arc::new(Decimal128Array::from(fees).with_precision_and_scale(38, 9)?))
}

/// A row of a pool, and the start of the tier.
struct Usage {
    before: i128,
    after: i128,
    total: i128,
    floor: i128,
    is_last: bool,
}

/// The number of fees that a row owes. The outer result is `None` if the number has too many digits.
fn owed(used: &Usage, is_shared: bool, is_volume: bool, is_owed_at_zero: bool) -> Option<Option<i128>> {
    let is_reached = used.total > used.floor;
    let is_at_zero = !is_reached && is_owed_at_zero && used.is_last;
    if is_shared && is_reached {
        let share = |reached: i128| scaled(reached, ONE, used.total);
        return fits(share(used.after)?.checked_sub(share(used.before)?)?, 38).map(Some);
    }
    if is_shared || is_volume {
        return Some((is_at_zero || (is_reached && used.is_last)).then_some(ONE));
    }
    let is_inside = |reached: i128| i128::from(reached > used.floor);
    let fees = is_inside(used.after) - is_inside(used.before) + i128::from(is_at_zero);
    Some((fees != 0).then_some(fees * ONE))
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

    /// The fees: before, after, total, floor; last, shared, volume, owed at zero.
    async fn fees(numbers: [&str; 4], flags: [bool; 4]) -> String {
        let numbers = numbers.map(|number| format!("CAST({number} AS DECIMAL(38,9))")).join(", ");
        let flags = flags.map(|flag| flag.to_string()).join(", ");
        value(&format!("tier_fees({numbers}, {flags}, CAST(7 AS BIGINT))")).await
    }

    #[tokio::test]
    async fn the_row_that_enters_a_tier_owes_its_fee() {
        assert_eq!(fees(["2", "8", "9", "5"], [false; 4]).await, "1.000000000");
        assert_eq!(fees(["8", "9", "9", "5"], [true, false, false, false]).await, "");
        assert_eq!(fees(["8", "2", "2", "5"], [true, false, false, false]).await, "-1.000000000");
    }

    #[tokio::test]
    async fn the_last_row_owes_the_fee_of_a_volume_tier_or_of_a_pool_at_zero() {
        assert_eq!(fees(["2", "8", "9", "5"], [false, false, true, false]).await, "");
        assert_eq!(fees(["8", "9", "9", "5"], [true, false, true, false]).await, "1.000000000");
        assert_eq!(fees(["0", "0", "0", "0"], [true, false, false, true]).await, "1.000000000");
        assert_eq!(fees(["0", "0", "0", "0"], [true, false, false, false]).await, "");
    }

    #[tokio::test]
    async fn the_projects_of_a_shared_pool_share_a_fee() {
        let shared = [false, true, false, false];
        assert_eq!(fees(["0", "1", "3", "0"], shared).await, "0.333333333");
        assert_eq!(fees(["1", "3", "3", "0"], shared).await, "0.666666667");
    }
}
