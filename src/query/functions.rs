//! The scalar functions that every session adds to those of the engine. They calculate with integers, never with
//! floats.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// The maximum number of decimal places of a currency. Amounts are `DECIMAL(28,4)`.
const MOST_PLACES: i64 = 4;

/// All functions of this module.
pub(super) fn functions() -> [ScalarUDF; 2] {
    let cost = DataType::Decimal128(38, 18);
    let factor = DataType::Decimal128(28, 12);
    [
        create_udf(
            "smallest_unit",
            vec![DataType::Int64],
            DataType::Decimal128(5, 4),
            Volatility::Immutable,
            Arc::new(|arguments| by_rows(arguments, |columns| smallest_units(&columns[0]))),
        ),
        create_udf(
            "convert_cost",
            vec![cost.clone(), factor.clone(), factor],
            cost,
            Volatility::Immutable,
            Arc::new(|arguments| by_rows(arguments, converted_costs)),
        ),
    ]
}

/// Calls a function that takes and returns arrays. The result is a scalar if every argument is a scalar.
fn by_rows(
    arguments: &[ColumnarValue],
    function: impl Fn(&[ArrayRef]) -> Result<ArrayRef, DataFusionError>,
) -> Result<ColumnarValue, DataFusionError> {
    let is_scalar = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    let result = function(&ColumnarValue::values_to_arrays(arguments)?)?;
    if is_scalar {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}

/// `smallest_unit(places)`: the smallest amount of a currency with this number of decimal places, such as 0.01 for 2.
fn smallest_units(places: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    let units = places.as_primitive::<Int64Type>().try_unary::<_, Decimal128Type, ArrowError>(|places| {
        let zeros = MOST_PLACES.checked_sub(places).filter(|zeros| *zeros <= MOST_PLACES);
        let zeros = zeros.and_then(|zeros| u32::try_from(zeros).ok()).ok_or_else(|| {
            ArrowError::ComputeError(format!("smallest_unit: a currency has 0 to {MOST_PLACES} places, not {places}"))
        })?;
        Ok(10i128.pow(zeros))
    })?;
    Ok(Arc::new(units.with_precision_and_scale(5, 4)?))
}

/// `convert_cost(cost, multiplier, divisor)`: cost × multiplier / divisor, rounded once, half away from zero, at the
/// eighteenth place. The product has at most 66 of the 76 digits of 256 bits, so it cannot overflow.
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
    use arrow::util::display::array_value_to_string;

    use crate::query::Session;

    /// The value of an SQL expression as text, or the error message if the query fails.
    async fn value(expression: &str) -> String {
        let session = Session::new(None).unwrap();
        match session.query(&format!("SELECT {expression} AS value")).await {
            Ok((_, rows)) => array_value_to_string(rows[0].column(0), 0).unwrap(),
            Err(error) => {
                let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
                causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
            }
        }
    }

    async fn converted(cost: &str, multiplier: &str, divisor: &str) -> String {
        let decimal = |text: &str, kind: &str| format!("CAST('{text}' AS DECIMAL({kind}))");
        let (multiplier, divisor) = (decimal(multiplier, "28,12"), decimal(divisor, "28,12"));
        value(&format!("convert_cost({}, {multiplier}, {divisor})", decimal(cost, "38,18"))).await
    }

    #[tokio::test]
    async fn the_smallest_unit_has_the_places_of_its_currency() {
        let units = ["1.0000", "0.1000", "0.0100", "0.0010", "0.0001"];
        for (places, unit) in units.iter().enumerate() {
            assert_eq!(value(&format!("smallest_unit(CAST({places} AS BIGINT))")).await, *unit);
        }
        assert_eq!(value("smallest_unit(CAST(NULL AS BIGINT))").await, "");
        for places in [-1, 5, i64::MIN, i64::MAX] {
            let message = value(&format!("smallest_unit(CAST('{places}' AS BIGINT))")).await;
            assert!(message.contains("a currency has 0 to 4 places"), "{message}");
        }
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

    #[tokio::test]
    async fn a_function_of_columns_has_one_value_for_each_row() {
        let session = Session::new(None).unwrap();
        let given = "(VALUES (CAST(2 AS BIGINT)), (NULL), (0)) AS given(places)";
        let query = &format!("SELECT smallest_unit(places) AS unit FROM {given}");
        let (_, rows) = session.query(query).await.unwrap();
        let values: Vec<String> = (0..3).map(|row| array_value_to_string(rows[0].column(0), row).unwrap()).collect();
        assert_eq!(values, ["0.0100", "", "1.0000"]);
    }
}
