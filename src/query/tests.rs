//! Rows for the tests of sessions.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};

use super::{Parameters, Session, statement};

/// Rows of `metered_day`: one for each series.
pub(super) fn metered_days(series: &[u64]) -> Vec<RecordBatch> {
    let schema = &statement("metering/metered_day").unwrap().schema;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "series_id" => Arc::new(UInt64Array::from(series.to_vec())) as ArrayRef,
        _ => cast(&Int64Array::from_value(1, series.len()), &DataType::Int32)
            .and_then(|ones| cast(&ones, field.data_type()))
            .unwrap(),
    });
    vec![RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()]
}

/// Computes `used_series` from the registered rows of `metered_day`. Returns the series.
pub(super) async fn used_series(session: &Session) -> Vec<u64> {
    let batches = session.materialize("rating/used_series", Parameters::none()).await.unwrap();
    let ids = |batch: &RecordBatch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec();
    batches.iter().flat_map(ids).collect()
}
