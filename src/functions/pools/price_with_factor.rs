//! `price_with_factor(price, factor)`: the price of a series after its factors.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::columns::{decimals, fits, optional};
use super::ratio::scaled;
use crate::functions::scalar_function::ScalarFunction;
use crate::functions::section::SECTION;
use crate::model::money::UnitPrice;

/// The number one in units of the twelfth decimal place.
const ONE_PRICE: i128 = UnitPrice::ONE.units();

pub(super) fn function() -> ScalarUDF {
    let price = DataType::Decimal128(28, 12);
    let documentation = Documentation::builder(
        SECTION,
        "The product of a price and a factor, as DECIMAL(28,12), rounded half away from zero at the twelfth place. A \
         null argument and a product of more than 28 digits are errors.",
        "price_with_factor(price, factor)",
    )
    .with_argument("price", "DECIMAL(28,12), not null.")
    .with_argument("factor", "DECIMAL(28,12), not null.")
    .build();
    ScalarFunction::create("price_with_factor", vec![price.clone(), price.clone()], price, documentation, prices)
}

fn prices(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [prices, factors] = columns else {
        return Err(exec_datafusion_err!("price_with_factor takes two arguments"));
    };
    let (prices, factors) = (decimals(prices), decimals(factors));
    let mut products = Vec::with_capacity(prices.len());
    for row in 0..prices.len() {
        let (Some(price), Some(factor)) = (optional(prices, row), optional(factors, row)) else {
            return exec_err!("price_with_factor: there is no price or no factor");
        };
        let product = scaled(price, factor, ONE_PRICE).and_then(|product| fits(product, 28));
        products.push(product.ok_or_else(|| {
            exec_datafusion_err!("price_with_factor: the product of a price and its factor exceeds 28 digits")
        })?);
    }
    Ok(Arc::new(Decimal128Array::from(products).with_precision_and_scale(28, 12)?))
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

    async fn price(price: &str, factor: &str) -> String {
        let decimal = |text: &str| format!("CAST({text} AS DECIMAL(28,12))");
        value(&format!("price_with_factor({}, {})", decimal(price), decimal(factor))).await
    }

    #[tokio::test]
    async fn a_price_is_multiplied_and_rounded_once() {
        assert_eq!(price("2", "1.1").await, "2.200000000000");
        assert_eq!(price("0.000000000001", "0.5").await, "0.000000000001");
        assert_eq!(price("-0.000000000001", "0.5").await, "-0.000000000001");
        assert_eq!(price("0.000000000001", "0.499999999999").await, "0.000000000000");
    }

    #[tokio::test]
    async fn a_product_needs_both_numbers_and_28_digits() {
        let message = price("'1000000000000000'", "10").await;
        assert!(message.contains("price_with_factor: the product of a price and its factor exceeds"), "{message}");
        let message = price("NULL", "1").await;
        assert!(message.contains("price_with_factor: there is no price or no factor"), "{message}");
    }
}
