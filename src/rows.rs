//! Between rows of Arrow and values of Rust: typed columns by name, and batches under a relation's own schema.

use arrow::array::{Array, ArrayRef, Decimal128Array, RecordBatch, TimestampMicrosecondArray};
use arrow::error::ArrowError;

use crate::pipeline::Error;
use crate::query::{self, Statement};

/// The column of a batch under its name and type.
pub fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a T, Error> {
    batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref()).ok_or(Error::Column { name })
}

/// A batch of a relation, in the order of its columns.
pub fn batch(relation: &Statement, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    RecordBatch::try_new(relation.schema.clone(), columns).map_err(|source| failed(&relation.name, source))
}

pub fn failed(relation: &str, source: ArrowError) -> Error {
    Error::Query(query::Error::Rows { relation: relation.to_owned(), source })
}

/// A column of instants in microseconds UTC.
pub fn timestamps(values: impl IntoIterator<Item = Option<i64>>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter(values).with_timezone("UTC")
}

/// A decimal column from units of the last place.
pub fn decimals(
    values: impl IntoIterator<Item = Option<i128>>,
    precision: u8,
    scale: i8,
) -> Result<Decimal128Array, Error> {
    Decimal128Array::from_iter(values)
        .with_precision_and_scale(precision, scale)
        .map_err(|source| failed("decimals", source))
}
