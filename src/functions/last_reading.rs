//! `last_reading(…)`: the last row of a group in the order of time.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, StructArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, Fields, TimestampMicrosecondType, UInt64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err, exec_err, not_impl_err};
use datafusion::logical_expr::{AggregateUDF, Documentation, EmitTo, GroupsAccumulator};

use super::instant::instant_type;
use super::ordered_aggregate::{OrderedAggregate, flags, in_two_phases, run_length, values};
use super::section::SECTION;

const NAME: &str = "last_reading";

pub(super) fn function() -> AggregateUDF {
    let documentation = Documentation::builder(
        SECTION,
        "The last row of a group as a struct of its arguments, with the names of the arguments. Among several rows of \
         the last instant, it is the last row of the input. The rows of a group must be in ascending order of \
         `measured_at`; another order is an error. A null is an error.",
        "last_reading(measured_at, quantity, series_id, deleted, is_state ORDER BY measured_at)",
    )
    .with_argument("measured_at", "TIMESTAMP. The instant of the reading.")
    .with_argument("quantity", "DECIMAL(28,9). The value of the reading.")
    .with_argument("series_id", "BIGINT UNSIGNED. The series of the reading.")
    .with_argument("deleted", "BOOLEAN. Whether the resource was deleted at this instant.")
    .with_argument("is_state", "BOOLEAN. Whether the value is valid until the next event.")
    .build();
    let arguments = fields().iter().map(|field| field.data_type().clone()).collect();
    let groups = || -> Box<dyn GroupsAccumulator> { Box::<LastReadings>::default() };
    OrderedAggregate::create(NAME, arguments, DataType::Struct(fields()), documentation, groups)
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("measured_at", instant_type(), false),
        Field::new("quantity", DataType::Decimal128(28, 9), false),
        Field::new("series_id", DataType::UInt64, false),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("is_state", DataType::Boolean, false),
    ])
}

#[derive(Clone, Copy)]
struct Reading {
    measured_at: i64,
    quantity: i128,
    series_id: u64,
    deleted: bool,
    is_state: bool,
}

/// The last reading of each group.
#[derive(Default)]
struct LastReadings(Vec<Option<Reading>>);

impl GroupsAccumulator for LastReadings {
    fn update_batch(
        &mut self,
        arguments: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<(), DataFusionError> {
        if filter.is_some() {
            return not_impl_err!("{NAME} with FILTER");
        }
        let measured_at = values::<TimestampMicrosecondType>(NAME, arguments, 0)?;
        let quantity = values::<Decimal128Type>(NAME, arguments, 1)?;
        let series_id = values::<UInt64Type>(NAME, arguments, 2)?;
        let (deleted, is_state) = (flags(NAME, arguments, 3)?, flags(NAME, arguments, 4)?);
        self.0.resize(group_count, None);
        let mut begin = 0;
        while begin < groups.len() {
            let end = begin + run_length(groups, begin);
            let last = self.0.get_mut(groups[begin]);
            let last = last.ok_or_else(|| exec_datafusion_err!("{NAME}: the engine counts too few groups"))?;
            let is_later = last.is_none_or(|last| last.measured_at <= measured_at[begin]);
            if !is_later || !measured_at[begin..end].is_sorted() {
                return exec_err!("{NAME}: the rows of a group are not in the order of measured_at");
            }
            *last = Some(Reading {
                measured_at: measured_at[end - 1],
                quantity: quantity[end - 1],
                series_id: series_id[end - 1],
                deleted: deleted.value(end - 1),
                is_state: is_state.value(end - 1),
            });
            begin = end;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef, DataFusionError> {
        let readings: Option<Vec<Reading>> = emit_to.take_needed(&mut self.0).into_iter().collect();
        let readings = readings.ok_or_else(|| exec_datafusion_err!("{NAME}: a group has no rows"))?;
        let instants = TimestampMicrosecondArray::from_iter_values(readings.iter().map(|row| row.measured_at));
        let quantities = Decimal128Array::from_iter_values(readings.iter().map(|row| row.quantity));
        let flag = |flag: fn(&Reading) -> bool| -> ArrayRef {
            Arc::new(BooleanArray::from(readings.iter().map(flag).collect::<Vec<bool>>()))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(instants.with_timezone("UTC")),
            Arc::new(quantities.with_precision_and_scale(28, 9)?),
            Arc::new(UInt64Array::from_iter_values(readings.iter().map(|row| row.series_id))),
            flag(|row| row.deleted),
            flag(|row| row.is_state),
        ];
        Ok(Arc::new(StructArray::try_new(fields(), columns, None)?))
    }

    fn state(&mut self, _: EmitTo) -> Result<Vec<ArrayRef>, DataFusionError> {
        in_two_phases(NAME)
    }

    fn merge_batch(&mut self, _: &[ArrayRef], _: &[usize], _: usize) -> Result<(), DataFusionError> {
        in_two_phases(NAME)
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>, DataFusionError> {
        in_two_phases(NAME)
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<Option<Reading>>()
    }
}
