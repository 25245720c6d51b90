//! The encoding of decimals in files: 64-bit integers if the values of a column allow it.
//!
//! Parquet stores a `DECIMAL(28,9)` as an array of twelve bytes, without an encoding. A decimal of at most 18 digits is
//! an `INT64`, which is delta encoded. Therefore, the encoder removes trailing zeros from all values of a column until
//! each value has at most 18 digits. If this succeeds, the column is stored as `DECIMAL(18,s)`. Other columns keep the
//! declared type. When a file is read, each column gets the declared type again. The values do not change, and equal
//! rows have equal bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::model::money::{has_digits, power_of_ten};

/// The metadata key under which a field contains its declared decimal type.
const DECLARED: &str = "conto:declared";
/// The number of decimal digits that always fit into 64 bits.
const NARROW_DIGITS: u8 = 18;

/// The batches and their schema, with a narrow type for each column whose values allow it.
pub(super) fn narrow(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let mut columns: Vec<Vec<ArrayRef>> = Vec::with_capacity(schema.fields().len());
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let declared: Vec<ArrayRef> = batches.iter().map(|batch| Arc::clone(batch.column(index))).collect();
        match narrow_column(field, &declared) {
            Some((field, narrowed)) => {
                fields.push(Arc::new(field));
                columns.push(narrowed);
            }
            None => {
                fields.push(Arc::clone(field));
                columns.push(declared);
            }
        }
    }
    let narrowed = Arc::new(Schema::new(fields));
    let batch = |index: usize| {
        RecordBatch::try_new(Arc::clone(&narrowed), columns.iter().map(|column| Arc::clone(&column[index])).collect())
    };
    let batches = (0..batches.len()).map(batch).collect::<Result<_, _>>()?;
    Ok((narrowed, batches))
}

fn narrow_column(field: &Field, declared: &[ArrayRef]) -> Option<(Field, Vec<ArrayRef>)> {
    let DataType::Decimal128(precision, scale) = *field.data_type() else { return None };
    if precision <= NARROW_DIGITS || scale < 0 {
        return None;
    }
    let arrays: Vec<&Decimal128Array> =
        declared.iter().map(|array| array.as_any().downcast_ref()).collect::<Option<_>>()?;
    let values = arrays.iter().flat_map(|array| array.values().iter());
    let largest = values.copied().max_by_key(|value| value.unsigned_abs())?;
    let zeros =
        (0..=scale).find(|zeros| has_digits(largest, u32::from(NARROW_DIGITS) + u32::from(zeros.unsigned_abs())))?;
    let divisor = power_of_ten(zeros.unsigned_abs().into())?;
    let mut narrowed: Vec<ArrayRef> = Vec::with_capacity(arrays.len());
    for array in arrays {
        let mut values = array.values().clone();
        if zeros > 0 {
            let mut quotients = Vec::with_capacity(values.len());
            for value in &values {
                let quotient = divided(*value, divisor);
                if quotient * divisor != *value {
                    return None;
                }
                quotients.push(quotient);
            }
            values = quotients.into();
        }
        let array = Decimal128Array::new(values, array.nulls().cloned());
        narrowed.push(Arc::new(array.with_precision_and_scale(NARROW_DIGITS, scale - zeros).ok()?));
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(DECLARED.to_owned(), format!("{precision},{scale}"));
    let narrow = DataType::Decimal128(NARROW_DIGITS, scale - zeros);
    Some((Field::new(field.name(), narrow, field.is_nullable()).with_metadata(metadata), narrowed))
}

/// The quotient of two integers. A 64-bit division is many times faster than a 128-bit division, and nearly every value
/// fits into 64 bits.
fn divided(value: i128, divisor: i128) -> i128 {
    match (i64::try_from(value), i64::try_from(divisor)) {
        (Ok(value), Ok(divisor)) => i128::from(value / divisor),
        _ => value / divisor,
    }
}

/// The batch with the declared type of each column.
pub(super) fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref().fields().iter().all(|field| !field.metadata().contains_key(DECLARED)) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let (field, column) = match declared(field) {
            None => (Arc::clone(field), Arc::clone(column)),
            Some((precision, scale)) => {
                let declared = DataType::Decimal128(precision, scale);
                let mut metadata = field.metadata().clone();
                metadata.remove(DECLARED);
                let field = Field::new(field.name(), declared, field.is_nullable()).with_metadata(metadata);
                (Arc::new(field), widen_column(column, precision, scale)?)
            }
        };
        fields.push(field);
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn declared(field: &Field) -> Option<(u8, i8)> {
    let (precision, scale) = field.metadata().get(DECLARED)?.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

fn widen_column(column: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::SchemaError("a narrow column is not a decimal with fewer places".to_owned());
    let narrow: &Decimal128Array = column.as_any().downcast_ref().ok_or_else(wrong)?;
    let places = u32::try_from(scale - narrow.scale()).map_err(|_| wrong())?;
    // The product has at most 18 digits and 18 zeros, so it cannot overflow.
    let factor = power_of_ten(places).filter(|_| places <= NARROW_DIGITS.into()).ok_or_else(wrong)?;
    let wide = if factor == 1 { narrow.clone() } else { narrow.unary(|value| value * factor) };
    Ok(Arc::new(wide.with_precision_and_scale(precision, scale)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(values: &[Option<i128>]) -> RecordBatch {
        let array = Decimal128Array::from(values.to_vec()).with_precision_and_scale(28, 9).unwrap();
        RecordBatch::try_from_iter_with_nullable([("quantity", Arc::new(array) as ArrayRef, true)]).unwrap()
    }

    fn stored_as(values: &[Option<i128>]) -> DataType {
        let batch = batch(values);
        let (schema, _) = narrow(&batch.schema(), &[batch]).unwrap();
        schema.field(0).data_type().clone()
    }

    #[test]
    fn a_column_has_the_places_that_its_values_need() {
        let one = 1_000_000_000;
        assert_eq!(stored_as(&[Some(one), Some(1)]), DataType::Decimal128(18, 9));
        assert_eq!(stored_as(&[Some(one * one), Some(-10)]), DataType::Decimal128(18, 8));
        assert_eq!(stored_as(&[Some(50 * one * one), None]), DataType::Decimal128(18, 7));
        // The larger value has 19 digits, and the smaller value has no trailing zero, so the column stays wide.
        assert_eq!(stored_as(&[Some(one * one), Some(1)]), DataType::Decimal128(28, 9));
        assert_eq!(stored_as(&[Some(10i128.pow(27)), Some(0)]), DataType::Decimal128(28, 9));
    }

    fn value() -> impl Strategy<Value = i128> {
        prop_oneof![-2_000..2_000i128, -10i128.pow(27)..10i128.pow(27)]
    }

    proptest! {
        #[test]
        fn widening_restores_the_narrowed_batch(
            values in prop::collection::vec(prop::option::of(value()), 1..20),
            zeros in 0..10u32,
        ) {
            let values: Vec<Option<i128>> =
                values.iter().map(|value| value.map(|value| value / 10i128.pow(zeros) * 10i128.pow(zeros))).collect();
            let batches = [batch(&values), batch(&values[..1])];
            let (schema, narrowed) = narrow(&batches[0].schema(), &batches).unwrap();
            for (before, after) in batches.iter().zip(&narrowed) {
                prop_assert_eq!(after.schema(), schema.clone());
                prop_assert_eq!(&widen(after).unwrap(), before);
            }
        }
    }
}
