//! A function of a group of rows that returns a list of rows, with its documentation.
//!
//! The function collects the rows of its groups, and computes a group when the engine emits it. Each function sorts the
//! rows of a group itself, so the result does not depend on the order of its input. A partial result is the list of the
//! rows themselves, so a group may be computed in two phases, or spilled.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, ScalarValue, exec_datafusion_err, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature, Volatility,
};

/// The arguments of all rows as columns, and the rows of each group.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) columns: Vec<ArrayRef>,
    /// The indices of all rows, sorted by group.
    pub(super) rows: Vec<u32>,
    /// The number of rows of each group.
    pub(super) lengths: Vec<usize>,
}

/// The result of all groups: the columns of the rows, and the number of rows of each group.
#[derive(Debug)]
pub(super) struct GroupRows {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) lengths: Vec<usize>,
}

/// The computation of a function.
type Body = fn(Groups) -> Result<GroupRows, DataFusionError>;

/// An aggregate function whose result depends on its arguments only. Functions with equal names are equal.
#[derive(Debug)]
pub(super) struct GroupFunction {
    name: &'static str,
    signature: Signature,
    /// The arguments, as fields of the rows of a partial result.
    arguments: Fields,
    /// The columns of the rows of a result.
    result: Fields,
    documentation: Documentation,
    body: Body,
}

impl GroupFunction {
    /// A function of the engine. The documentation describes each argument.
    pub(super) fn create(
        name: &'static str,
        arguments: Vec<DataType>,
        result: Vec<(&'static str, DataType)>,
        documentation: Documentation,
        body: Body,
    ) -> AggregateUDF {
        let fields =
            arguments.iter().enumerate().map(|(index, kind)| Field::new(index.to_string(), kind.clone(), true));
        let fields = fields.collect();
        let result = result.into_iter().map(|(name, kind)| Field::new(name, kind, false)).collect();
        let signature = Signature::exact(arguments, Volatility::Immutable);
        AggregateUDF::new_from_impl(Self { name, signature, arguments: fields, result, documentation, body })
    }

    fn collected(&self) -> Collected {
        Collected {
            arguments: self.arguments.clone(),
            result: self.result.clone(),
            body: self.body,
            batches: Vec::new(),
            groups: Vec::new(),
            group_count: 0,
            bytes: 0,
        }
    }
}

/// The type of a list of rows.
fn list_of(fields: &Fields) -> DataType {
    DataType::List(item(fields))
}

fn item(fields: &Fields) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(fields.clone()), false))
}

impl PartialEq for GroupFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for GroupFunction {}

impl Hash for GroupFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for GroupFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(list_of(&self.result))
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn state_fields(&self, call: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>, DataFusionError> {
        Ok(vec![Arc::new(Field::new(format!("{}[rows]", call.name), list_of(&self.arguments), true))])
    }

    fn accumulator(&self, call: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>, DataFusionError> {
        if call.is_distinct {
            return not_impl_err!("{} with DISTINCT", self.name);
        }
        Ok(Box::new(OneGroup(self.collected())))
    }

    fn groups_accumulator_supported(&self, call: AccumulatorArgs<'_>) -> bool {
        !call.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
        Ok(Box::new(self.collected()))
    }
}

/// The rows of groups that are not yet computed.
#[derive(Debug)]
struct Collected {
    arguments: Fields,
    result: Fields,
    body: Body,
    batches: Vec<Vec<ArrayRef>>,
    /// The group of each row.
    groups: Vec<u32>,
    group_count: usize,
    bytes: usize,
}

impl Collected {
    fn add(&mut self, columns: Vec<ArrayRef>, groups: impl Iterator<Item = usize>) -> Result<(), DataFusionError> {
        for group in groups {
            let group = u32::try_from(group);
            self.groups.push(group.map_err(|_| exec_datafusion_err!("a function has more groups than 32 bits count"))?);
        }
        let bytes = columns.iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        self.bytes += bytes.sum::<usize>();
        self.batches.push(columns);
        Ok(())
    }

    /// Removes the first groups.
    fn emit(&mut self, emit_to: EmitTo) -> Result<Groups, DataFusionError> {
        let count = match emit_to {
            EmitTo::All => self.group_count,
            EmitTo::First(count) => count.min(self.group_count),
        };
        let columns = self.columns()?;
        let mut lengths = vec![0usize; count];
        let mut kept = Vec::new();
        for (row, group) in (0u32..).zip(&self.groups) {
            match lengths.get_mut(*group as usize) {
                Some(length) => *length += 1,
                None => kept.push(row),
            }
        }
        let mut next: Vec<usize> = Vec::with_capacity(count);
        let mut end = 0;
        for length in &lengths {
            next.push(end);
            end += length;
        }
        let mut rows = vec![0u32; end];
        for (row, group) in (0u32..).zip(&self.groups) {
            if let Some(place) = next.get_mut(*group as usize) {
                rows[*place] = row;
                *place += 1;
            }
        }
        self.keep(&columns, kept, count)?;
        Ok(Groups { columns, rows, lengths })
    }

    /// Keeps the rows of the groups after the first `count`.
    fn keep(&mut self, columns: &[ArrayRef], kept: Vec<u32>, count: usize) -> Result<(), DataFusionError> {
        let groups = std::mem::take(&mut self.groups);
        self.group_count -= count;
        self.batches.clear();
        self.bytes = 0;
        if kept.is_empty() {
            return Ok(());
        }
        let groups: Vec<usize> = kept.iter().map(|row| groups[*row as usize] as usize - count).collect();
        let rows = UInt32Array::from(kept);
        let columns: Result<Vec<ArrayRef>, _> = columns.iter().map(|column| take(column, &rows, None)).collect();
        self.add(columns?, groups.into_iter())
    }

    fn columns(&self) -> Result<Vec<ArrayRef>, DataFusionError> {
        let each = self.arguments.iter().enumerate().map(|(index, field)| {
            let pieces: Vec<&dyn Array> = self.batches.iter().map(|columns| columns[index].as_ref()).collect();
            match self.batches.as_slice() {
                [] => Ok(arrow::array::new_empty_array(field.data_type())),
                [only] => Ok(Arc::clone(&only[index])),
                _ => Ok(concat(&pieces)?),
            }
        });
        each.collect()
    }
}

impl GroupsAccumulator for Collected {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<(), DataFusionError> {
        if filter.is_some() {
            return not_impl_err!("a function of Conto with FILTER");
        }
        self.group_count = total_num_groups;
        self.add(values.to_vec(), group_indices.iter().copied())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef, DataFusionError> {
        let groups = self.emit(emit_to)?;
        let GroupRows { columns, lengths } = (self.body)(groups)?;
        list(&self.result, columns, lengths)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>, DataFusionError> {
        let Groups { columns, rows, lengths } = self.emit(emit_to)?;
        let rows = UInt32Array::from(rows);
        let columns: Result<Vec<ArrayRef>, _> = columns.iter().map(|column| take(column, &rows, None)).collect();
        Ok(vec![list(&self.arguments, columns?, lengths)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<(), DataFusionError> {
        self.group_count = total_num_groups;
        let [lists] = values else {
            return Err(exec_datafusion_err!("a partial result has one column, not {}", values.len()));
        };
        let lists: &ListArray = lists.as_list();
        let offsets = lists.value_offsets();
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
        let rows = lists.values().slice(*first as usize, (*last - *first) as usize);
        let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        let groups = group_indices.iter().zip(lengths).flat_map(|(group, length)| std::iter::repeat_n(*group, length));
        self.add(rows.as_struct().columns().to_vec(), groups)
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>, DataFusionError> {
        not_impl_err!("a function of Conto without its partial phase")
    }

    fn size(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<u32>()
    }
}

fn list(fields: &Fields, columns: Vec<ArrayRef>, lengths: Vec<usize>) -> Result<ArrayRef, DataFusionError> {
    let rows = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item(fields), offsets, Arc::new(rows), None)?))
}

/// The rows of a query without groups.
#[derive(Debug)]
struct OneGroup(Collected);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        let rows = values.first().map_or(0, |column| column.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        self.0.group_count = 1;
        ScalarValue::try_from_array(&self.0.evaluate(EmitTo::All)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        self.0.group_count = 1;
        let states = self.0.state(EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        let rows = states.first().map_or(0, |column| column.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
