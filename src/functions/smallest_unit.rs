//! `smallest_unit(places)`: the smallest amount of a currency.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::scalar_function::ScalarFunction;
use super::section::SECTION;
use crate::model::money::power_of_ten;

/// The maximum number of decimal places of a currency. Amounts are `DECIMAL(28,4)`.
const MOST_PLACES: i64 = 4;

pub(super) fn function() -> ScalarUDF {
    let documentation = Documentation::builder(
        SECTION,
        "The smallest amount of a currency with this number of decimal places, such as 0.01 for 2, as DECIMAL(5,4). \
         Null if the argument is null. A number of places below 0 or above 4 is an error.",
        "smallest_unit(places)",
    )
    .with_argument("places", "BIGINT. The decimal places of the currency, 0 to 4.")
    .build();
    ScalarFunction::create(
        "smallest_unit",
        vec![DataType::Int64],
        DataType::Decimal128(5, 4),
        documentation,
        smallest_units,
    )
}

fn smallest_units(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [places] = columns else {
        return Err(exec_datafusion_err!("smallest_unit takes one argument"));
    };
    let units = places.as_primitive::<Int64Type>().try_unary::<_, Decimal128Type, ArrowError>(|places| {
        let zeros = MOST_PLACES.checked_sub(places).filter(|zeros| *zeros <= MOST_PLACES);
        zeros.and_then(|zeros| power_of_ten(u32::try_from(zeros).ok()?)).ok_or_else(|| {
            ArrowError::ComputeError(format!("smallest_unit: a currency has 0 to {MOST_PLACES} places, not {places}"))
        })
    })?;
    Ok(Arc::new(units.with_precision_and_scale(5, 4)?))
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

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
    async fn a_function_of_columns_has_one_value_for_each_row() {
        let session = crate::query::Session::new(None).unwrap();
        let given = "(VALUES (CAST(2 AS BIGINT)), (NULL), (0)) AS given(places)";
        let query = &format!("SELECT smallest_unit(places) AS unit FROM {given}");
        let (_, rows) = session.query(query).await.unwrap();
        let values: Vec<String> =
            (0..3).map(|row| arrow::util::display::array_value_to_string(rows[0].column(0), row).unwrap()).collect();
        assert_eq!(values, ["0.0100", "", "1.0000"]);
    }
}
