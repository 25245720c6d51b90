//! `pool_quantity(consumed, covered, multiplier, priced_number, charge_date)`: the quantity that counts in a pool.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::columns::{ONE, decimals, fits, optional};
use super::ratio::scaled;
use super::row_error::RowError;
use crate::functions::scalar_function::ScalarFunction;
use crate::functions::section::SECTION;

pub(super) fn function() -> ScalarUDF {
    let quantity = DataType::Decimal128(38, 9);
    let documentation = Documentation::builder(
        SECTION,
        "The quantity of usage that counts in its pool, as DECIMAL(38,9): consumed × multiplier - covered × \
         multiplier. Both products are rounded half away from zero at the ninth place. A covered quantity of null \
         is zero. A result of more than 38 digits is an error.",
        "pool_quantity(consumed, covered, multiplier, priced_number, charge_date)",
    )
    .with_argument("consumed", "DECIMAL(38,9), not null.")
    .with_argument("covered", "DECIMAL(38,9). The quantity that a commitment discount covers.")
    .with_argument("multiplier", "DECIMAL(28,9), not null.")
    .with_argument("priced_number", "BIGINT, not null. The number of the price, for errors.")
    .with_argument("charge_date", "DATE, not null. The date of the usage, for errors.")
    .build();
    ScalarFunction::create(
        "pool_quantity",
        vec![quantity.clone(), quantity.clone(), DataType::Decimal128(28, 9), DataType::Int64, DataType::Date32],
        quantity,
        documentation,
        quantities,
    )
}

fn quantities(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [consumed, covered, multipliers, numbers, dates] = columns else {
        return Err(exec_datafusion_err!("pool_quantity takes five arguments"));
    };
    let (consumed, covered, multipliers) = (decimals(consumed), decimals(covered), decimals(multipliers));
    let numbers = numbers.as_primitive::<Int64Type>().values();
    let dates = dates.as_primitive::<Date32Type>().values();
    let mut quantities = Vec::with_capacity(consumed.len());
    for (row, (consumed, multiplier)) in consumed.values().iter().zip(multipliers.values()).enumerate() {
        let times = |quantity: i128| scaled(quantity, *multiplier, ONE);
        let quantity = times(*consumed).and_then(|quantity| match optional(covered, row) {
            Some(covered) => quantity.checked_sub(times(covered)?),
            None => Some(quantity),
        });
        let quantity = quantity.and_then(|quantity| fits(quantity, 38)).ok_or(RowError {
            function: "pool_quantity",
            priced_number: numbers[row],
            charge_date: Some(dates[row]),
            problem: "the quantity times the multiplier exceeds 38 digits",
        })?;
        quantities.push(quantity);
    }
    Ok(Arc::new(Decimal128Array::from(quantities).with_precision_and_scale(38, 9)?))
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

    async fn quantity(consumed: &str, covered: &str, multiplier: &str) -> String {
        let wide = |text: &str| format!("CAST({text} AS DECIMAL(38,9))");
        let multiplier = format!("CAST({multiplier} AS DECIMAL(28,9))");
        let place = "CAST(7 AS BIGINT), DATE '2026-10-03'";
        value(&format!("pool_quantity({}, {}, {multiplier}, {place})", wide(consumed), wide(covered))).await
    }

    #[tokio::test]
    async fn both_products_are_rounded_once_away_from_zero() {
        assert_eq!(quantity("3", "NULL", "2").await, "6.000000000");
        assert_eq!(quantity("3", "1.5", "2").await, "3.000000000");
        // 0.5 units of the last place are rounded away from zero, in each product.
        assert_eq!(quantity("0.000000001", "NULL", "0.5").await, "0.000000001");
        assert_eq!(quantity("-0.000000001", "NULL", "0.5").await, "-0.000000001");
        assert_eq!(quantity("0.000000003", "0.000000001", "0.5").await, "0.000000001");
    }

    #[tokio::test]
    async fn an_overflow_names_the_price_and_the_date() {
        let message = quantity("'1000000000000000000000000000'", "NULL", "'1000000000000000000'").await;
        assert!(message.contains("exceeds 38 digits, in usage with the price 7 on day 20729"), "{message}");
    }
}
