//! A builder of record batches for the tests of operators.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, make_array, new_null_array};

use super::statement;

/// A batch with the schema of a statement. A column without given values is null. If the column is `not null`, it
/// contains empty texts or zeros.
pub(crate) fn filled(path: &str, rows: usize, given: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = &statement(path).unwrap().schema;
    let columns = schema.fields().iter().map(|field| {
        let given = given.iter().find(|given| given.0 == field.name());
        let absent = || new_null_array(field.data_type(), rows);
        match given {
            Some((_, values)) => Arc::clone(values),
            None if field.is_nullable() => absent(),
            None => make_array(absent().to_data().into_builder().nulls(None).build().unwrap()),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}
