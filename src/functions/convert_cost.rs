//! `convert_cost(cost, multiplier, divisor)`: the cost in another currency.
//!
//! The product has at most 66 of the 76 digits of 256 bits, so it cannot overflow.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::scalar_function::ScalarFunction;
use super::section::SECTION;

pub(super) fn function() -> ScalarUDF {
    let (cost, factor) = (DataType::Decimal128(38, 18), DataType::Decimal128(28, 12));
    let documentation = Documentation::builder(
        SECTION,
        "The product of cost and multiplier, divided by the divisor, as DECIMAL(38,18). It is rounded once, half away \
         from zero, at the eighteenth place. Null if an argument is null. A divisor of zero and a result of more than \
         38 digits are errors.",
        "convert_cost(cost, multiplier, divisor)",
    )
    .with_argument("cost", "DECIMAL(38,18)")
    .with_argument("multiplier", "DECIMAL(28,12)")
    .with_argument("divisor", "DECIMAL(28,12), not zero.")
    .build();
    ScalarFunction::create(
        "convert_cost",
        vec![cost.clone(), factor.clone(), factor],
        cost,
        documentation,
        converted_costs,
    )
}

fn converted_costs(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [costs, multipliers, divisors] = columns else {
        return Err(exec_datafusion_err!("convert_cost takes three arguments"));
    };
    let decimals = |column: &ArrayRef| -> Decimal128Array { column.as_primitive::<Decimal128Type>().clone() };
    let (costs, multipliers, divisors) = (decimals(costs), decimals(multipliers), decimals(divisors));
    let rows = costs.iter().zip(multipliers.iter()).zip(divisors.iter());
    let converted: Result<Decimal128Array, DataFusionError> = rows
        .map(|((cost, multiplier), divisor)| match (cost, multiplier, divisor) {
            (Some(cost), Some(multiplier), Some(divisor)) => converted_cost(cost, multiplier, divisor).map(Some),
            _ => Ok(None),
        })
        .collect();
    let converted = converted?.with_precision_and_scale(38, 18)?;
    converted.validate_decimal_precision(38)?;
    Ok(Arc::new(converted))
}

fn converted_cost(cost: i128, multiplier: i128, divisor: i128) -> Result<i128, DataFusionError> {
    if divisor == 0 {
        return Err(exec_datafusion_err!("convert_cost: the divisor of an exchange rate is zero"));
    }
    if multiplier == divisor {
        return Ok(cost);
    }
    let product = i256::from_i128(cost).checked_mul(i256::from_i128(multiplier));
    let quotient = product.and_then(|product| divided_half_away(product, i256::from_i128(divisor)));
    let cost = quotient.and_then(i256::to_i128);
    cost.ok_or_else(|| exec_datafusion_err!("convert_cost: the converted cost has more than 38 digits"))
}

/// The quotient, rounded half away from zero. `None` if the divisor is zero.
fn divided_half_away(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let remainder = value.checked_rem(divisor)?.checked_abs()?;
    let divisor_size = divisor.checked_abs()?;
    if remainder < divisor_size.checked_sub(remainder)? {
        return Some(quotient);
    }
    let is_negative = (value < i256::ZERO) != (divisor < i256::ZERO);
    if is_negative { quotient.checked_sub(i256::ONE) } else { quotient.checked_add(i256::ONE) }
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

    async fn converted(cost: &str, multiplier: &str, divisor: &str) -> String {
        let decimal = |text: &str, kind: &str| format!("CAST('{text}' AS DECIMAL({kind}))");
        let (multiplier, divisor) = (decimal(multiplier, "28,12"), decimal(divisor, "28,12"));
        value(&format!("convert_cost({}, {multiplier}, {divisor})", decimal(cost, "38,18"))).await
    }

    #[tokio::test]
    async fn a_cost_is_converted_exactly_and_rounded_once_away_from_zero() {
        assert_eq!(converted("2", "1.1", "1").await, "2.200000000000000000");
        assert_eq!(converted("2", "1", "1.25").await, "1.600000000000000000");
        // 2 / 3 = 0.666…: the eighteenth place is rounded away from zero, for both signs.
        assert_eq!(converted("2", "1", "3").await, "0.666666666666666667");
        assert_eq!(converted("-2", "1", "3").await, "-0.666666666666666667");
        assert_eq!(converted("1", "1", "3").await, "0.333333333333333333");
        // Half a unit of the last place is rounded away from zero. Slightly less than half is rounded to zero.
        assert_eq!(converted("0.000000000000000001", "1", "2").await, "0.000000000000000001");
        assert_eq!(converted("-0.000000000000000001", "1", "2").await, "-0.000000000000000001");
        assert_eq!(converted("0.000000000000000001", "0.499999999999", "1").await, "0.000000000000000000");
        // The product of 38 digits and 28 digits has 66 digits, and 256 bits have room for 76.
        let (cost, factor) = ("99999999999999999999.999999999999999999", "9999999999999999.999999999999");
        assert_eq!(converted(cost, factor, factor).await, cost);
        assert_eq!(
            converted(cost, "9999999999999999.999999999998", factor).await,
            "99999999999999999999.999999989999999999"
        );
        let message = converted(cost, factor, "9999999999999999.999999999998").await;
        assert!(message.contains("is too large"), "{message}");
        let message = converted(cost, factor, "1").await;
        assert!(message.contains("more than 38 digits"), "{message}");
    }

    #[tokio::test]
    async fn a_cost_without_a_rate_has_no_conversion() {
        assert_eq!(value("convert_cost(CAST(1 AS DECIMAL(38,18)), NULL, NULL)").await, "");
        assert!(converted("1", "1", "0").await.contains("divisor of an exchange rate is zero"));
        assert!(converted("1", "0", "0").await.contains("divisor of an exchange rate is zero"));
    }
}
