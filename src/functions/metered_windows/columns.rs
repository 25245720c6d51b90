//! The arguments of the function: the rows of one batch, and the rows of a stream that continues in the next batch.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err, exec_err};

use super::kernel::{Day, Measure, PreviousState, Samples, meter};
use super::windows::{NAME, Windows};
use crate::functions::ordered_aggregate::{argument, flags, values};
use crate::model::meter::{Aggregation, RecordRounding};
use crate::model::money::Quantity;

/// The number of flags: created, deleted, is_state, carried_forward.
const FLAGS: usize = 4;
const CREATED: usize = 0;
const DELETED: usize = 1;
const IS_STATE: usize = 2;
const CARRIED_FORWARD: usize = 3;

/// The rows of one batch.
pub(super) struct Columns<'a> {
    measured_at: &'a [i64],
    quantity: &'a [i128],
    series_id: &'a [u64],
    flags: [&'a BooleanBuffer; FLAGS],
    arguments: &'a [ArrayRef],
}

impl<'a> Columns<'a> {
    pub(super) fn of(arguments: &'a [ArrayRef]) -> Result<Self, DataFusionError> {
        Ok(Self {
            measured_at: values::<TimestampMicrosecondType>(NAME, arguments, 0)?,
            quantity: values::<Decimal128Type>(NAME, arguments, 1)?,
            series_id: values::<UInt64Type>(NAME, arguments, 2)?,
            flags: [
                flags(NAME, arguments, 3)?,
                flags(NAME, arguments, 4)?,
                flags(NAME, arguments, 5)?,
                flags(NAME, arguments, 6)?,
            ],
            arguments,
        })
    }

    /// Computes the windows of the stream in these rows.
    pub(super) fn meter(&self, begin: usize, end: usize, windows: &mut Windows) -> Result<(), DataFusionError> {
        let call = self.call(begin)?;
        let flags = self.flags.map(|flags| flags.slice(begin, end - begin));
        let rows = begin..end;
        let (measured_at, quantity, series_id) =
            (&self.measured_at[rows.clone()], &self.quantity[rows.clone()], &self.series_id[rows]);
        meter_rows(call, measured_at, quantity, series_id, flags, windows)
    }

    /// The date and the measure of the stream in a row. `None` for the measure: the stream is not metered.
    fn call(&self, row: usize) -> Result<(Day, Option<Measure>), DataFusionError> {
        let number = |index: usize| Ok::<i64, DataFusionError>(values::<Int64Type>(NAME, self.arguments, index)?[row]);
        let decimal = |index: usize| -> Result<Option<Quantity>, DataFusionError> {
            let column = argument(NAME, self.arguments, index)?.as_primitive_opt::<Decimal128Type>();
            Ok(column.filter(|column| column.is_valid(row)).map(|column| Quantity::from_units(column.value(row))))
        };
        let day = Day { start: number(13)?, end: number(14)?, observed_until: number(15)? };
        let names = argument(NAME, self.arguments, 7)?.as_string_view_opt();
        let names = names.ok_or_else(|| exec_datafusion_err!("{NAME}: argument 8 has another type"))?;
        if names.is_null(row) {
            return Ok((day, None));
        }
        let name = names.value(row);
        let aggregation = Aggregation::from_name(name)
            .ok_or_else(|| exec_datafusion_err!("{NAME}: there is no aggregation `{name}`"))?;
        let timeouts = argument(NAME, self.arguments, 10)?.as_primitive_opt::<Int64Type>();
        let record = match (decimal(11)?, decimal(12)?) {
            (Some(minimum), Some(multiple_of)) => Some(RecordRounding { minimum, multiple_of }),
            (None, None) => None,
            _ => return exec_err!("{NAME}: a record needs both a minimum and a multiple"),
        };
        let measure = Measure {
            aggregation,
            window: number(8)?,
            max_gap: number(9)?,
            state_timeout: timeouts.filter(|timeouts| timeouts.is_valid(row)).map(|timeouts| timeouts.value(row)),
            record,
        };
        if measure.window <= 0 {
            return exec_err!("{NAME}: the length of a window is {}, not more than zero", measure.window);
        }
        Ok((day, Some(measure)))
    }
}

/// The rows of a stream whose end is not read yet.
#[derive(Default)]
pub(super) struct OpenStream {
    call: Option<(Day, Option<Measure>)>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    series_id: Vec<u64>,
    flags: [Flags; FLAGS],
}

/// The bits of a flag.
struct Flags(BooleanBufferBuilder);

impl Default for Flags {
    fn default() -> Self {
        Self(BooleanBufferBuilder::new(0))
    }
}

impl OpenStream {
    /// Appends rows of a batch. If the stream is not continued, it begins with these rows.
    pub(super) fn append(
        &mut self,
        columns: &Columns<'_>,
        begin: usize,
        end: usize,
        is_continued: bool,
    ) -> Result<(), DataFusionError> {
        if !is_continued {
            self.call = Some(columns.call(begin)?);
        }
        let rows: Range<usize> = begin..end;
        self.measured_at.extend_from_slice(&columns.measured_at[rows.clone()]);
        self.quantity.extend_from_slice(&columns.quantity[rows.clone()]);
        self.series_id.extend_from_slice(&columns.series_id[rows]);
        for (own, flags) in self.flags.iter_mut().zip(columns.flags) {
            own.0.append_buffer(&flags.slice(begin, end - begin));
        }
        Ok(())
    }

    /// Computes the windows of the stream and removes its rows.
    pub(super) fn meter(&mut self, windows: &mut Windows) -> Result<(), DataFusionError> {
        let flags = [CREATED, DELETED, IS_STATE, CARRIED_FORWARD].map(|flag| self.flags[flag].0.finish());
        if let Some(call) = self.call.take() {
            meter_rows(call, &self.measured_at, &self.quantity, &self.series_id, flags, windows)?;
        }
        self.measured_at.clear();
        self.quantity.clear();
        self.series_id.clear();
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let flags: usize = self.flags.iter().map(|flags| flags.0.capacity() / 8).sum();
        self.measured_at.capacity() * size_of::<i64>()
            + self.quantity.capacity() * size_of::<i128>()
            + self.series_id.capacity() * size_of::<u64>()
            + flags
    }
}

/// Computes the windows of one stream. If the first row is carried forward, it is the state before the date.
fn meter_rows(
    (day, measure): (Day, Option<Measure>),
    measured_at: &[i64],
    quantity: &[i128],
    series_id: &[u64],
    flags: [BooleanBuffer; FLAGS],
    windows: &mut Windows,
) -> Result<(), DataFusionError> {
    let [created, deleted, is_state, carried_forward] = flags;
    let first = usize::from(carried_forward.value(0));
    if carried_forward.count_set_bits() > first {
        return exec_err!("{NAME}: a row after the first row of a stream is carried forward");
    }
    if !measured_at.is_sorted() {
        return exec_err!("{NAME}: the rows of a stream are not in the order of measured_at");
    }
    let previous = (first == 1).then(|| PreviousState {
        measured_at: measured_at[0],
        quantity: quantity[0],
        series_id: series_id[0],
        deleted: deleted.value(0),
        is_state: is_state.value(0),
    });
    let count = measured_at.len() - first;
    let samples = Samples {
        series_id: &series_id[first..],
        measured_at: &measured_at[first..],
        quantity: &quantity[first..],
        created: created.slice(first, count),
        deleted: deleted.slice(first, count),
        is_state: is_state.slice(first, count),
    };
    let is_of_day = |instant: Option<&i64>| instant.is_none_or(|instant| (day.start..day.end).contains(instant));
    if !is_of_day(samples.measured_at.first()) || !is_of_day(samples.measured_at.last()) {
        return exec_err!("{NAME}: a sample is outside of the date");
    }
    let begin = windows.rows.len();
    if let Some(measure) = measure {
        meter(day, measure, &samples, previous, &mut windows.rows)?;
    }
    windows.end_stream(begin)
}
