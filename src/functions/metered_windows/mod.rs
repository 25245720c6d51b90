//! `metered_windows(…)`: the metered quantities of one stream on one date, window by window.
//!
//! The samples of a stream are read once, in the order of time, and only the current window changes. Window frames and
//! grouped sums in SQL take three to ten times as long. `tests/metering_by_sql.rs` compares both on random samples.

mod columns;
mod kernel;
mod windows;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, exec_err, not_impl_err};
use datafusion::logical_expr::{AggregateUDF, Documentation, EmitTo, GroupsAccumulator};

use self::columns::{Columns, OpenStream};
use self::windows::{NAME, Windows};
use super::instant::instant_type;
use super::ordered_aggregate::{OrderedAggregate, in_two_phases, run_length};
use super::section::SECTION;

pub use self::windows::windows_type;

pub(super) fn function() -> AggregateUDF {
    let documentation = Documentation::builder(
        SECTION,
        "The windows of one stream on one date, sorted by series and start, as a list of structs: series_id, \
         window_start, window_end, consumed_quantity, sample_count. The group must be one stream: its rows follow each \
         other, in ascending order of `measured_at`. Another order is an error. The arguments from `aggregation` on \
         are equal in all rows of a group. Without an aggregation the list is empty. A null is an error, except in \
         `aggregation`, `state_timeout` and the arguments for records. A quantity of more than 38 digits is an error.",
        "metered_windows(measured_at, quantity, series_id, created, deleted, is_state, carried_forward, aggregation, \
         window_length, max_gap, state_timeout, record_minimum, record_multiple, day_start, day_end, observed_until \
         ORDER BY measured_at)",
    )
    .with_argument("measured_at", "TIMESTAMP. The instant of the sample.")
    .with_argument("quantity", "DECIMAL(28,9). The value of the sample.")
    .with_argument("series_id", "BIGINT UNSIGNED. The series of the stream at this instant.")
    .with_argument("created", "BOOLEAN. Whether the resource was created immediately before.")
    .with_argument("deleted", "BOOLEAN. Whether the resource was deleted at this instant.")
    .with_argument("is_state", "BOOLEAN. Whether the value is valid until the next event.")
    .with_argument(
        "carried_forward",
        "BOOLEAN. Whether the row is the last reading of an earlier date. Only the first row of a stream can be one.",
    )
    .with_argument("aggregation", "TEXT. The name of the meter's aggregation; null: the stream is not metered.")
    .with_argument("window_length", "BIGINT, more than zero. Microseconds.")
    .with_argument("max_gap", "BIGINT. The longest validity of a sample in microseconds.")
    .with_argument("state_timeout", "BIGINT. The longest validity of a state in microseconds; null: no limit.")
    .with_argument("record_minimum", "DECIMAL(28,9). The minimum of a record of a sum; null: none.")
    .with_argument("record_multiple", "DECIMAL(28,9). The granularity of a record of a sum; null: none.")
    .with_argument("day_start", "BIGINT. The start of the date in microseconds UTC.")
    .with_argument("day_end", "BIGINT. The end of the date in microseconds UTC.")
    .with_argument("observed_until", "BIGINT. The instant up to which states are carried forward, in microseconds UTC.")
    .build();
    let (quantity, flag, microseconds) = (DataType::Decimal128(28, 9), DataType::Boolean, DataType::Int64);
    let arguments = vec![
        instant_type(),
        quantity.clone(),
        DataType::UInt64,
        flag.clone(),
        flag.clone(),
        flag.clone(),
        flag,
        DataType::Utf8View,
        microseconds.clone(),
        microseconds.clone(),
        microseconds.clone(),
        quantity.clone(),
        quantity,
        microseconds.clone(),
        microseconds.clone(),
        microseconds,
    ];
    let groups = || -> Box<dyn GroupsAccumulator> { Box::<Streams>::default() };
    OrderedAggregate::create(NAME, arguments, windows_type(), documentation, groups)
}

/// The windows of the streams of one execution. Streams follow each other, so only the last one can be incomplete.
#[derive(Default)]
struct Streams {
    /// The rows of the last group, of which the next batch can have more.
    open: OpenStream,
    /// The number of the open group.
    open_group: Option<usize>,
    /// The windows of the complete groups.
    windows: Windows,
}

impl Streams {
    /// Computes the windows of the open group.
    fn complete(&mut self) -> Result<(), DataFusionError> {
        if self.open_group.take().is_some() {
            self.open.meter(&mut self.windows)?;
        }
        Ok(())
    }
}

impl GroupsAccumulator for Streams {
    fn update_batch(
        &mut self,
        arguments: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        _: usize,
    ) -> Result<(), DataFusionError> {
        if filter.is_some() {
            return not_impl_err!("{NAME} with FILTER");
        }
        let columns = Columns::of(arguments)?;
        let mut begin = 0;
        while begin < groups.len() {
            let (group, end) = (groups[begin], begin + run_length(groups, begin));
            let is_continued = self.open_group == Some(group);
            if !is_continued {
                self.complete()?;
                if group != self.windows.streams() {
                    return exec_err!("{NAME}: the rows are not sorted by stream");
                }
            }
            if is_continued || end == groups.len() {
                self.open.append(&columns, begin, end, is_continued)?;
                self.open_group = Some(group);
            } else {
                // A group within one batch is metered without a copy of its rows.
                columns.meter(begin, end, &mut self.windows)?;
            }
            begin = end;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef, DataFusionError> {
        let count = match emit_to {
            EmitTo::First(count) if count <= self.windows.streams() => count,
            EmitTo::First(count) => {
                self.complete()?;
                count
            }
            EmitTo::All => {
                self.complete()?;
                self.windows.streams()
            }
        };
        self.open_group = self.open_group.map(|open| open - count);
        self.windows.take(count)
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
        self.open.bytes() + self.windows.bytes()
    }
}
