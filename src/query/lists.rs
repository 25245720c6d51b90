//! Lists in columns: one row for each element of a list, or of the lists inside of its elements.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::Field;
use arrow::error::ArrowError;

use crate::model::path::{self, Positions};

/// The key of a field's metadata whose value is the path of the innermost list that the column contains. All columns
/// with one path have lists of equal lengths. A column without this key is not divided into elements.
pub const LIST: &str = "list";

/// The path of the innermost list whose elements a column contains.
pub fn list_of(field: &Field) -> Option<&str> {
    field.metadata().get(LIST).map(String::as_str)
}

/// The number of lists around the values of a column: zero for a column that is not divided into elements.
pub fn depth_of(field: &Field) -> usize {
    list_of(field).map_or(0, |list| path::depth_of(list) + 1)
}

/// The elements of the lists of some rows. If lists contain lists, these are the elements of the innermost lists.
///
/// A list without an element has one entry with neither position nor value.
#[derive(Debug)]
pub struct Elements {
    /// The index of each entry's row, of its element in the values of the outermost lists, and so on.
    levels: Vec<UInt32Array>,
    positions: Vec<Option<Positions>>,
}

impl Elements {
    /// The elements of a column of lists, which are nested to this depth.
    pub fn of(lists: &ListArray, depth: usize) -> Self {
        let mut levels: Vec<Vec<Option<u32>>> = vec![(0..lists.len() as u32).map(Some).collect()];
        let mut positions: Vec<Option<Positions>> = vec![Some(Positions::default()); lists.len()];
        let mut of_level = Some(lists);
        for _ in 0..depth {
            let Some(lists) = of_level else { break };
            let offsets = lists.value_offsets();
            let mut next = vec![Vec::new(); levels.len() + 1];
            let mut next_positions = Vec::new();
            for (entry, place) in positions.iter().enumerate() {
                let above: Vec<Option<u32>> = levels.iter().map(|level| level[entry]).collect();
                let mut push = |value: Option<u32>, place: Option<Positions>| {
                    next.iter_mut()
                        .zip(above.iter().copied().chain([value]))
                        .for_each(|(level, index)| level.push(index));
                    next_positions.push(place);
                };
                let list = above.last().copied().flatten().map(|index| index as usize);
                let elements = match list.filter(|list| lists.is_valid(*list)) {
                    Some(list) => offsets[list]..offsets[list + 1],
                    None => 0..0,
                };
                match place {
                    Some(place) if !elements.is_empty() => {
                        for (position, value) in (0..).zip(elements) {
                            push(u32::try_from(value).ok(), Some(place.followed_by(position)));
                        }
                    }
                    _ => push(None, None),
                }
            }
            (levels, positions) = (next, next_positions);
            of_level = lists.values().as_list_opt::<i32>();
        }
        Self { levels: levels.into_iter().map(UInt32Array::from).collect(), positions }
    }

    /// The row of each element.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.levels[0].values().iter().map(|row| *row as usize)
    }

    /// The row of the element at an index of the flattened columns.
    pub fn row(&self, index: usize) -> usize {
        self.levels[0].value(index) as usize
    }

    /// The positions of each element. `None` for a list without an element.
    pub fn positions(&self) -> &[Option<Positions>] {
        &self.positions
    }

    /// The values of a column for each element. The column may have fewer lists around its values than the elements.
    /// The values then repeat, as the values of a column without lists do.
    pub fn flatten(&self, column: &ArrayRef, depth: usize) -> Result<ArrayRef, ArrowError> {
        let mut values = column;
        for _ in 0..depth {
            let Some(lists) = values.as_list_opt::<i32>() else {
                return Err(ArrowError::SchemaError(format!("expected a list, found {}", values.data_type())));
            };
            values = lists.values();
        }
        let Some(indices) = self.levels.get(depth) else {
            return Err(ArrowError::SchemaError("a column has more lists than the elements".to_owned()));
        };
        // Without any value, no index is valid.
        if values.is_empty() {
            return Ok(new_null_array(values.data_type(), indices.len()));
        }
        take(values, indices, None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let elements = Elements::of(&sliced, 1);
        assert_eq!(elements.rows().collect::<Vec<_>>(), [0, 0, 1, 2, 3]);
        let at = |position: u32| Some(Positions::default().followed_by(position));
        assert_eq!(elements.positions(), [at(0), at(1), None, None, at(0)]);
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
        let repeated = elements.flatten(&names, 0).unwrap();
        assert_eq!(repeated.as_string::<i32>(), &StringArray::from(vec!["a", "a", "b", "c", "d"]));
        let values = elements.flatten(&(Arc::new(sliced) as ArrayRef), 1).unwrap();
        assert_eq!(values.data_type(), &DataType::Int32);
        assert_eq!(values.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(2), None, None, None, Some(5)]));
    }
}
