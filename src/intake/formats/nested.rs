//! Columns inside the structs and lists of Arrow data, by [path](mod@crate::model::path), and the place of a record
//! that is the element of a list.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array, new_null_array};
use arrow::compute::{cast, nullif, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use crate::intake::formats::id::POSITIONS;
use crate::intake::formats::parquet_texts::float_texts;
use crate::model::identifier::canonical_id;
use crate::model::path::{self, MOST_LISTS, Path, Positions, Step, element_path};
use crate::query::lists::LIST;

/// The place of a record that is an element of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementPlace<'l> {
    /// The path of the innermost list.
    pub list: &'l str,
    /// The positions in the list, and in the lists around it.
    pub positions: Positions,
    /// The number of lists through which the path of the record id leads. The elements of the other lists have the same
    /// delivered record id.
    pub id_depth: usize,
}

impl ElementPlace<'_> {
    /// The record id of the element. Elements of one list have different ids, and a second delivery has the same ids.
    ///
    /// Without a record id, the resource and the time take its place.
    pub fn record_id<'i>(self, delivered: Option<&'i str>, resource_id: &str, measured_at: i64) -> Cow<'i, str> {
        match delivered {
            Some(id) => match self.positions.after(self.id_depth) {
                positions if positions.is_empty() => canonical_id(id),
                positions => format!("{}{POSITIONS}{positions}", canonical_id(id)).into(),
            },
            None => format!("{resource_id} {measured_at}{POSITIONS}{}", self.positions.after(0)).into(),
        }
    }

    /// The text that is shown with a rejection, and that distinguishes equal elements.
    pub fn raw(self, raw: &[u8]) -> Vec<u8> {
        raw_of_place(&element_path(self.list, self.positions), raw)
    }

    /// The reason for a rejection, with the place of the element.
    pub fn detail(self, detail: &str) -> String {
        format!("{detail}, in `{}`", element_path(self.list, self.positions))
    }
}

/// The text that is shown with the rejection of a part of a record.
pub fn raw_of_place(place: &str, raw: &[u8]) -> Vec<u8> {
    [place.as_bytes(), b" of ", raw].concat()
}

/// The name under which records are counted whose list is absent or empty.
pub fn name_of_list(list: &str) -> String {
    format!("{list}[]")
}

/// A column inside a column of structs or lists.
#[derive(Clone, Debug)]
pub struct NestedColumn {
    /// The path as text.
    pub name: String,
    /// The index of the outermost column.
    pub root: usize,
    steps: Vec<Inner>,
    kind: DataType,
}

/// One step from a column to a column inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    Field(usize),
    Element(usize),
    Each,
}

impl NestedColumn {
    /// The column at a path. `None` if the text is not a path, or if the schema has no such value.
    pub fn find(schema: &Schema, name: &str) -> Option<Self> {
        let Path(steps) = Path::parse(name).ok()?;
        let (Step::Field(root), inner) = steps.split_first()? else { return None };
        let root = schema.index_of(root).ok()?;
        let mut kind = schema.field(root).data_type();
        let mut found = Vec::with_capacity(inner.len());
        for step in inner {
            found.push(match step {
                Step::Field(name) => {
                    let DataType::Struct(fields) = kind else { return None };
                    let (index, field) = fields.find(name)?;
                    kind = field.data_type();
                    Inner::Field(index)
                }
                Step::Element(position) => {
                    kind = element_of(kind)?;
                    Inner::Element(*position)
                }
                Step::Each => {
                    kind = element_of(kind)?;
                    Inner::Each
                }
            });
        }
        (!found.is_empty()).then(|| Self { name: name.to_owned(), root, steps: found, kind: kind.clone() })
    }

    /// Every value inside the structs and lists of a schema.
    pub fn all(schema: &Schema) -> Vec<Self> {
        let mut found = Vec::new();
        for (root, field) in schema.fields().iter().enumerate() {
            let start = Self { name: field.name().clone(), root, steps: Vec::new(), kind: field.data_type().clone() };
            start.collect(&mut found);
        }
        found
    }

    fn collect(self, found: &mut Vec<Self>) {
        let inside = |step: Inner, name: String, kind: &DataType| {
            let steps = self.steps.iter().copied().chain([step]).collect();
            Self { name, root: self.root, steps, kind: kind.clone() }
        };
        if let DataType::Struct(fields) = &self.kind {
            for (index, field) in fields.iter().enumerate() {
                let name = format!("{}.{}", self.name, field.name());
                inside(Inner::Field(index), name, field.data_type()).collect(found);
            }
        } else if let Some(kind) = element_of(&self.kind).filter(|_| self.depth() < MOST_LISTS) {
            inside(Inner::Each, format!("{}[]", self.name), kind).collect(found);
        } else if !self.steps.is_empty() {
            found.push(self);
        }
    }

    /// The innermost list to whose elements the column leads.
    pub fn list(&self) -> Option<&str> {
        self.steps.contains(&Inner::Each).then(|| path::list_of(&self.name)).flatten()
    }

    /// The number of lists to whose elements the column leads.
    pub fn depth(&self) -> usize {
        self.steps.iter().filter(|step| **step == Inner::Each).count()
    }

    /// The type of a value. Floats are read as texts.
    pub fn kind(&self) -> DataType {
        if self.kind.is_floating() { DataType::Utf8 } else { self.kind.clone() }
    }

    /// The field of the column that [`Self::read`] returns.
    pub fn field(&self) -> Field {
        let kind = (0..self.depth()).fold(self.kind(), |kind, _| DataType::List(element_field(&kind)));
        let field = Field::new(&self.name, kind, true);
        match self.list() {
            Some(list) => field.with_metadata(HashMap::from([(LIST.to_owned(), list.to_owned())])),
            None => field,
        }
    }

    /// The values inside the outermost column. For each `[]` in the path, the values are in lists.
    pub fn read(&self, root: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let mut values = Arc::clone(root);
        let mut lists = Vec::new();
        for step in &self.steps {
            values = match step {
                Inner::Field(index) => field_of(&values, *index)?,
                Inner::Element(position) => element_at(&as_lists(&values)?, *position)?,
                Inner::Each => {
                    let found = as_lists(&values)?;
                    lists.push((found.offsets().clone(), found.nulls().cloned()));
                    Arc::clone(found.values())
                }
            };
        }
        if values.data_type().is_floating() {
            values = Arc::new(float_texts(&values)?);
        }
        for (offsets, nulls) in lists.into_iter().rev() {
            let element = element_field(values.data_type());
            values = Arc::new(ListArray::try_new(element, offsets, values, nulls)?);
        }
        Ok(values)
    }
}

/// The field of the elements in a column of lists.
pub fn element_field(kind: &DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind.clone(), true))
}

/// The type of the elements of a list.
fn element_of(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        _ => None,
    }
}

fn as_lists(array: &ArrayRef) -> Result<ListArray, ArrowError> {
    let (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) = array.data_type()
    else {
        return Err(ArrowError::SchemaError(format!("expected a list, found {}", array.data_type())));
    };
    Ok(cast(array, &DataType::List(Arc::clone(field)))?.as_list().clone())
}

/// The field of a column of structs. The field of an absent struct is absent.
fn field_of(array: &ArrayRef, index: usize) -> Result<ArrayRef, ArrowError> {
    let structs = array.as_struct();
    match structs.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nullif(structs.column(index), &BooleanArray::new(!nulls.inner(), None)),
        None => Ok(Arc::clone(structs.column(index))),
    }
}

/// The element at a position of each list, or null if the list is shorter.
fn element_at(lists: &ListArray, position: usize) -> Result<ArrayRef, ArrowError> {
    let offsets = lists.value_offsets();
    let index_of = |row: usize| {
        let start = usize::try_from(offsets[row]).ok()?;
        let end = usize::try_from(offsets[row + 1]).ok()?;
        let index = start.checked_add(position).filter(|index| *index < end && lists.is_valid(row))?;
        u32::try_from(index).ok()
    };
    let indices: UInt32Array = (0..lists.len()).map(index_of).collect();
    // Without any value, no index is valid.
    if lists.values().is_empty() {
        return Ok(new_null_array(lists.values().data_type(), lists.len()));
    }
    take(lists.values(), &indices, None)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray, StructArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::Fields;
    use arrow::util::display::array_value_to_string;

    use super::*;
    use crate::query::lists::Elements;

    /// `m` is a list of structs with the name `n` and the float `q`; `s` is a struct with the number `a`.
    fn columns() -> (Schema, [ArrayRef; 2]) {
        let fields =
            Fields::from(vec![Field::new("n", DataType::Utf8, true), Field::new("q", DataType::Float64, true)]);
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("z")]));
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 2.5, 3.0]));
        // The second element is an absent struct.
        let elements = StructArray::new(fields, vec![names, numbers], Some(NullBuffer::from(vec![true, false, true])));
        let element = Arc::new(Field::new("item", elements.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
        let lists: ArrayRef = Arc::new(ListArray::new(element, offsets, Arc::new(elements), None));
        let structs: ArrayRef = Arc::new(StructArray::new(
            Fields::from(vec![Field::new("a", DataType::Int64, true)]),
            vec![Arc::new(Int64Array::from(vec![1, 2, 3]))],
            Some(NullBuffer::from(vec![true, false, true])),
        ));
        let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
        (Schema::new(vec![field("m", &lists), field("s", &structs)]), [lists, structs])
    }

    fn shown(path: &str) -> Vec<String> {
        let (schema, columns) = columns();
        let column = NestedColumn::find(&schema, path).unwrap();
        let values = column.read(&columns[column.root]).unwrap();
        assert_eq!(values.data_type(), column.field().data_type());
        (0..values.len()).map(|row| array_value_to_string(&values, row).unwrap()).collect()
    }

    #[test]
    fn values_inside_structs_and_lists_are_found_by_path() {
        assert_eq!(shown("s.a"), ["1", "", "3"]);
        assert_eq!(shown("m[].n"), ["[x, ]", "[]", "[z]"]);
        // A float is the shortest decimal that identifies it.
        assert_eq!(shown("m[].q"), ["[0.1, ]", "[]", "[3]"]);
        assert_eq!(shown("m[0].n"), ["x", "", "z"]);
        assert_eq!(shown("m[1].q"), ["", "", ""]);
        let (schema, _) = columns();
        let names: Vec<String> = NestedColumn::all(&schema).into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["m[].n", "m[].q", "s.a"]);
        for path in ["m", "s", "m.n", "s[]", "m[].x", "x.a", "m[][]"] {
            assert!(NestedColumn::find(&schema, path).is_none(), "{path}");
        }
        assert_eq!(NestedColumn::find(&schema, "m[].n").unwrap().list(), Some("m"));
        assert_eq!(NestedColumn::find(&schema, "m[0].n").unwrap().list(), None);
    }

    #[test]
    fn elements_have_different_ids_that_a_second_delivery_repeats() {
        let place = |positions: [u32; 2], id_depth| ElementPlace {
            list: "m[].n",
            positions: positions.into_iter().fold(Positions::default(), Positions::followed_by),
            id_depth,
        };
        assert_eq!(place([0, 1], 0).record_id(Some("e-1"), "r", 5), "e-1\u{1f}[0][1]");
        assert_eq!(place([1, 0], 0).record_id(Some("e-1"), "r", 5), "e-1\u{1f}[1][0]");
        assert_eq!(place([1, 0], 1).record_id(Some("e-1"), "r", 5), "e-1\u{1f}[0]");
        assert_eq!(place([1, 0], 2).record_id(Some("e-1"), "r", 5), "e-1");
        assert_eq!(place([1, 0], 2).record_id(None, "r", 5), "r 5\u{1f}[1][0]");
        assert_eq!(place([1, 0], 0).raw(b"{}"), b"m[1].n[0] of {}");
        assert_eq!(place([1, 0], 0).detail("no `quantity`"), "no `quantity`, in `m[1].n[0]`");
    }

    /// The lists `a` have elements with a name and a list `b` of numbers. The second row has no list, and an element of
    /// the first row has an empty one.
    #[test]
    fn lists_inside_of_lists_are_flattened_together() {
        let b = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            Some(vec![]),
            Some(vec![Some(3)]),
        ]);
        let b: ArrayRef = Arc::new(b);
        let names: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
        let fields = vec![Field::new("name", DataType::Utf8, true), Field::new("b", b.data_type().clone(), true)];
        let elements = StructArray::new(Fields::from(fields), vec![names, b], None);
        let element = Arc::new(Field::new("item", elements.data_type().clone(), true));
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let lists = ListArray::new(element, OffsetBuffer::from_lengths([2, 0, 1]), Arc::new(elements), nulls);
        let root: ArrayRef = Arc::new(lists);
        let schema = Schema::new(vec![Field::new("a", root.data_type().clone(), true)]);
        let all = NestedColumn::all(&schema);
        let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["a[].name", "a[].b[]"]);
        let read: Vec<ArrayRef> = all.iter().map(|column| column.read(&root).unwrap()).collect();
        let found = Elements::of(read[1].as_list(), 2);
        let places: Vec<_> = found.positions().iter().map(|place| place.map(|place| place.after(0))).collect();
        let place = |text: &str| Some(text.to_owned());
        assert_eq!(places, [place("[0][0]"), place("[0][1]"), None, None, place("[0][0]")]);
        assert_eq!(found.rows().collect::<Vec<_>>(), [0, 0, 0, 1, 2]);
        let shown = |column: usize, depth: usize| -> Vec<String> {
            let values = found.flatten(&read[column], depth).unwrap();
            (0..values.len()).map(|row| array_value_to_string(&values, row).unwrap()).collect()
        };
        // An element with an empty list keeps its own fields.
        assert_eq!(shown(0, 1), ["x", "x", "y", "", "z"]);
        assert_eq!(shown(1, 2), ["1", "2", "", "", "3"]);
    }
}
