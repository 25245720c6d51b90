//! Columns of decimals, and the digits of their values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::Decimal128Type;
use datafusion::common::DataFusionError;

use crate::model::money::{Quantity, has_digits};

/// The number one in units of the ninth decimal place.
pub(super) const ONE: i128 = Quantity::ONE.units();

/// The number, if it has at most the given count of digits.
pub(super) fn fits(value: i128, digits: u32) -> Option<i128> {
    has_digits(value, digits).then_some(value)
}

pub(super) fn decimals(column: &ArrayRef) -> &Decimal128Array {
    column.as_primitive::<Decimal128Type>()
}

/// The value of a row, or `None` if the value is null.
pub(super) fn optional(column: &Decimal128Array, row: usize) -> Option<i128> {
    column.is_valid(row).then(|| column.value(row))
}

/// A column of decimals with 38 digits. The digits of the values are already checked.
pub(super) fn wide(values: Vec<i128>, scale: i8) -> Result<ArrayRef, DataFusionError> {
    Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale)?))
}
