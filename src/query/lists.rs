//! Lists in columns: one row for each element of a list.

use arrow::array::{Array, ArrayRef, ListArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::Field;
use arrow::error::ArrowError;

/// The key of a field's metadata whose value is the path of the list that the column contains. All columns with one
/// path have lists of equal lengths. A column without this key is not divided into elements.
pub const LIST: &str = "list";

/// The path of the list whose elements a column contains.
pub fn list_of(field: &Field) -> Option<&str> {
    field.metadata().get(LIST).map(String::as_str)
}

/// The elements of the lists of some rows. A row without an element has one entry with neither position nor value.
#[derive(Debug)]
pub struct Elements {
    rows: UInt32Array,
    values: UInt32Array,
    positions: Vec<Option<u32>>,
}

impl Elements {
    pub fn of(lists: &ListArray) -> Self {
        let offsets = lists.value_offsets();
        let (mut rows, mut values, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..lists.len() {
            let elements = if lists.is_null(row) { 0..0 } else { offsets[row]..offsets[row + 1] };
            if elements.is_empty() {
                rows.push(row as u32);
                values.push(None);
                positions.push(None);
            }
            for (position, value) in elements.enumerate() {
                rows.push(row as u32);
                values.push(u32::try_from(value).ok());
                positions.push(u32::try_from(position).ok());
            }
        }
        Self { rows: rows.into(), values: values.into(), positions }
    }

    /// The row of each element.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.rows.values().iter().map(|row| *row as usize)
    }

    /// The row of the element at an index of the flattened columns.
    pub fn row(&self, index: usize) -> usize {
        self.rows.value(index) as usize
    }

    /// The position of each element in its list, counted from zero. `None` for a row without an element.
    pub fn positions(&self) -> &[Option<u32>] {
        &self.positions
    }

    /// A column of the rows, repeated for each element.
    pub fn repeat(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        take(column, &self.rows, None)
    }

    /// The elements of a column of lists.
    pub fn flatten(&self, lists: &ListArray) -> Result<ArrayRef, ArrowError> {
        let values = lists.values();
        // Without any value, no index is valid.
        if values.is_empty() {
            return Ok(new_null_array(values.data_type(), self.values.len()));
        }
        take(values, &self.values, None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::{DataType, Int32Type};

    use super::*;

    #[test]
    fn each_element_repeats_its_row_and_a_row_without_elements_stays() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1)]),
            Some(vec![Some(2), None]),
            None,
            Some(vec![]),
            Some(vec![Some(5)]),
        ]);
        let sliced = lists.slice(1, 4);
        let elements = Elements::of(&sliced);
        assert_eq!(elements.rows().collect::<Vec<_>>(), [0, 0, 1, 2, 3]);
        assert_eq!(elements.positions(), [Some(0), Some(1), None, None, Some(0)]);
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
        let repeated = elements.repeat(&names).unwrap();
        assert_eq!(repeated.as_string::<i32>(), &StringArray::from(vec!["a", "a", "b", "c", "d"]));
        let values = elements.flatten(&sliced).unwrap();
        assert_eq!(values.data_type(), &DataType::Int32);
        assert_eq!(values.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(2), None, None, None, Some(5)]));
    }
}
