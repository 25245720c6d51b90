//! The text columns of a Parquet file, each in its own Arrow encoding.

use arrow::array::Float32Array;
use arrow::array::Float64Array;
use arrow::array::LargeStringArray;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::array::StringViewArray;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Int32Type;

/// The column of texts in one batch. Values of other types are formatted once for each batch.
pub(crate) enum Texts {
    Absent,
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    View(StringViewArray),
    Dictionary { keys: ScalarBuffer<i32>, nulls: Option<NullBuffer>, values: StringArray },
}

impl Texts {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        Ok(match array.data_type() {
            DataType::Null => Self::Absent,
            DataType::Utf8 => Self::Utf8(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string::<i64>().clone()),
            DataType::Utf8View => Self::View(array.as_string_view().clone()),
            data_type @ DataType::Dictionary(..) => {
                let dictionary = if *data_type == text_dictionary() {
                    array.as_dictionary::<Int32Type>().clone()
                } else if array.as_any_dictionary().values().data_type().is_floating() {
                    return Ok(Self::Utf8(float_texts(array)?));
                } else {
                    cast(array, &text_dictionary())?.as_dictionary::<Int32Type>().clone()
                };
                if dictionary.values().is_empty() {
                    return Ok(Self::Absent);
                }
                let values = dictionary.values().as_string::<i32>().clone();
                Self::Dictionary {
                    keys: dictionary.keys().values().clone(),
                    nulls: dictionary.nulls().cloned(),
                    values,
                }
            }
            DataType::Float32 | DataType::Float64 => Self::Utf8(float_texts(array)?),
            _ => Self::Utf8(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    pub(crate) fn of(batch: &RecordBatch, index: Option<usize>) -> Result<Self, arrow::error::ArrowError> {
        index.map_or(Ok(Self::Absent), |index| Self::new(batch.column(index)))
    }

    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::LargeUtf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Dictionary { keys, nulls, values } => {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    return None;
                }
                let key = *keys.get(row)? as usize;
                values.is_valid(key).then(|| values.value(key))
            }
        }
    }
}

pub(crate) fn text_dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Converts each float to the shortest decimal that identifies it, which is most likely the number that was written.
pub(crate) fn float_texts(array: &ArrayRef) -> Result<StringArray, arrow::error::ArrowError> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, values) => return float_texts(&cast(array, values)?),
        // A half float is formatted as a 32-bit float, which has exactly the same value.
        DataType::Float16 => return float_texts(&cast(array, &DataType::Float32)?),
        DataType::Float32 => {
            let floats: &Float32Array = array.as_primitive();
            floats.iter().map(|float| float.map(|float| float.to_string())).collect()
        }
        _ => {
            let floats: &Float64Array = array.as_primitive();
            floats.iter().map(|float| float.map(|float| float.to_string())).collect()
        }
    })
}
