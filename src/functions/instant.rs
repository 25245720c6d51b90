//! The type of an instant in relations.

use arrow::datatypes::{DataType, TimeUnit};

/// An instant in microseconds UTC.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
