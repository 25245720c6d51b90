//! The columns that operators read and write: typed arrays by name, and batches with the schema of a statement.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, RecordBatch, TimestampMicrosecondArray};

use crate::model::money::{Quantity, has_digits};
use crate::query::{Error, statement};

/// The component that is priced first.
pub(crate) const BASE: &str = "base";

/// The key of a row of usage: series, date and segment.
pub(crate) type UsageKey = (u64, i32, i64);

/// The number one in units of the ninth decimal place.
pub(crate) const ONE: i128 = Quantity::ONE.units();

/// A typed column of a relation's rows.
pub(crate) fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, path: &str, name: &str) -> Result<&'a T, Error> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    column.ok_or_else(|| missing(batch, path, name, std::any::type_name::<T>()))
}

fn missing(batch: &RecordBatch, path: &str, name: &str, expected: &str) -> Error {
    Error::Contract {
        path: format!("{path}.sql"),
        column: name.to_owned(),
        expected: expected.to_owned(),
        found: format!("{:?}", batch.schema()),
    }
}

/// The value of a row, or `None` if the value is null.
pub(crate) fn optional(column: &Decimal128Array, row: usize) -> Option<i128> {
    column.is_valid(row).then(|| column.value(row))
}

/// A batch with the schema of a statement.
pub(crate) fn batch(path: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    let relation = statement(path)?;
    RecordBatch::try_new(relation.schema.clone(), columns)
        .map_err(|source| Error::Rows { relation: relation.name.clone(), source })
}

/// A column of instants in microseconds UTC.
pub(crate) fn instants(values: impl Iterator<Item = i64>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC")
}

/// A decimal column from values in units of the last decimal place. A value with more digits than the type is an error.
pub(crate) fn decimals(
    relation: &str,
    values: impl Iterator<Item = i128>,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, Error> {
    let mut fits = true;
    let array = Decimal128Array::from_iter_values(values.inspect(|value| fits &= has_digits(*value, precision.into())));
    if !fits {
        return Err(Error::TooLarge { relation: relation.to_owned(), digits: precision });
    }
    let array = array.with_precision_and_scale(precision, scale);
    Ok(Arc::new(array.map_err(|source| Error::Rows { relation: relation.to_owned(), source })?))
}
