//! An operator that computes `metered_usage`, `metered_day` and `stream_state` from the samples of a date, stream by
//! stream.
//!
//! `sql/metering/metered_usage/*.sql`, `metered_day.sql` and `stream_state.sql` define the same result in SQL. A
//! property test verifies on random samples that the operator and the statements compute equal rows.
//!
//! Samples are sorted by stream and time, so the operator reads them once and updates only the current window. The SQL
//! statements need hash tables, sorts and window frames.
//!
//! Sums have 128 bits. A day of the largest quantities that intake accepts does not overflow them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
    UInt64Array,
};

use crate::model::meter::{Aggregation, RecordRounding};
use crate::model::money::Quantity;
use crate::query::Error;
use crate::rows::columns::{batch, column, decimals, instants};

const MICROSECONDS: i128 = 1_000_000;
/// The timeout of a meter without a timeout. It is never reached, and its sum with any instant does not overflow.
pub const NO_TIMEOUT: i64 = i64::MAX / 4;
const METERED_USAGE: &str = "metering/metered_usage";

/// A local date, half-open, in microseconds UTC.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// Days since 1970-01-01.
    pub number: i32,
    pub start: i64,
    pub end: i64,
}

/// The parameters by which a meter computes quantities from samples. Lengths are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub aggregation: Aggregation,
    pub window: i64,
    pub max_gap: i64,
    /// The timeout of a state, or [`NO_TIMEOUT`] if the meter has no timeout.
    pub state_timeout: i64,
    /// The rounding of records, for a meter that adds up records.
    pub record: Option<RecordRounding>,
}

/// The samples of one stream on one date, as columns in the order of time.
#[derive(Clone, Debug, Default)]
pub struct StreamDay {
    /// The series to which each sample belongs.
    pub series_id: Vec<u64>,
    pub measured_at: Vec<i64>,
    /// Quantities in units of the ninth decimal place.
    pub quantity: Vec<i128>,
    pub created: Vec<bool>,
    pub deleted: Vec<bool>,
    /// Whether each sample is a state, which is valid until the next event. Empty if no sample is a state.
    pub is_state: Vec<bool>,
    /// Whether each sample was inferred from a later message. Empty if no sample was inferred.
    pub assumed: Vec<bool>,
}

impl StreamDay {
    /// Whether the sample of a row is a state.
    fn is_state(&self, row: usize) -> bool {
        self.is_state.get(row).copied().unwrap_or(false)
    }
}

/// The last value of a stream at the end of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub stream_id: u64,
    pub measured_at: i64,
    pub quantity: i128,
    pub series_id: u64,
    pub deleted: bool,
    /// Whether the value is a state, valid until the next event.
    pub is_state: bool,
}

/// A row of `metered_usage` for the date.
#[derive(Clone, Copy, Debug)]
struct Window {
    series_id: u64,
    start: i64,
    end: i64,
    quantity: i128,
    samples: i64,
}

/// The windows of one date, collected stream by stream.
#[derive(Debug)]
pub struct Windows {
    day: Day,
    rows: Vec<Window>,
    stream_states: Vec<StreamState>,
    /// Values before this instant are not carried forward, except states.
    horizon: i64,
    /// The instant up to which states are carried forward. Later events are not available yet.
    known_until: i64,
}

/// The relations of a metered date.
#[derive(Debug)]
pub struct Metered {
    pub metered_usage: RecordBatch,
    pub metered_day: RecordBatch,
    pub stream_state: RecordBatch,
}

impl Windows {
    /// An empty collection of windows. At the end of the date, values older than `horizon` (in microseconds) are not
    /// carried forward, except states. States are carried forward up to the instant `known_until`.
    pub fn new(day: Day, horizon: i64, known_until: i64) -> Self {
        Self { day, rows: Vec::new(), stream_states: Vec::new(), horizon: day.end - horizon, known_until }
    }

    /// Adds one stream. Streams arrive in the order of their ids. The state of a stream without a measure is carried
    /// forward, but the stream is not metered.
    pub fn add_stream(
        &mut self,
        stream_id: u64,
        measure: Option<&Measure>,
        samples: &StreamDay,
        previous: Option<&StreamState>,
    ) {
        if let Some(measure) = measure {
            self.meter(measure, samples, previous);
        }
        let last = match samples.measured_at.len().checked_sub(1) {
            Some(last) => StreamState {
                stream_id,
                measured_at: samples.measured_at[last],
                quantity: samples.quantity[last],
                series_id: samples.series_id[last],
                deleted: samples.deleted[last],
                is_state: samples.is_state(last),
            },
            None => match previous {
                Some(previous) => *previous,
                None => return,
            },
        };
        if last.measured_at >= self.horizon || (last.is_state && !last.deleted) {
            self.stream_states.push(last);
        }
    }

    fn meter(&mut self, measure: &Measure, samples: &StreamDay, previous: Option<&StreamState>) {
        match measure.aggregation {
            Aggregation::Sum | Aggregation::Count => {
                let is_count = measure.aggregation == Aggregation::Count;
                let one = if is_count { 1_000_000_000 } else { 0 };
                let counted = |units: i128| match measure.record {
                    Some(record) => record.counted(Quantity::from_units(units)).units(),
                    None => units,
                };
                let quantity = |row: usize| if is_count { one } else { counted(samples.quantity[row]) };
                self.add_up(measure, samples, quantity);
            }
            Aggregation::Increase => {
                let mut grown = Vec::with_capacity(samples.quantity.len());
                let mut before = previous.map(|previous| previous.quantity);
                for (quantity, created) in samples.quantity.iter().zip(&samples.created) {
                    grown.push(match before {
                        None if *created => *quantity,
                        None => 0,
                        // A smaller value means that the counter was reset to zero.
                        Some(before) if *quantity < before => *quantity,
                        Some(before) => *quantity - before,
                    });
                    before = Some(*quantity);
                }
                self.add_up(measure, samples, |row| grown[row]);
            }
            Aggregation::Presence | Aggregation::CountUnique => {
                self.fold(measure, samples, previous, |_| 1_000_000_000);
            }
            Aggregation::Min => {
                self.fold(measure, samples, previous, |values| values.iter().copied().min().unwrap_or(0))
            }
            Aggregation::Max => {
                self.fold(measure, samples, previous, |values| values.iter().copied().max().unwrap_or(0))
            }
            Aggregation::Last => self.fold(measure, samples, previous, |values| values.last().copied().unwrap_or(0)),
            Aggregation::Mean => self.fold(measure, samples, previous, mean),
            Aggregation::Duration => self.weigh_by_time(measure, samples, previous, |_, microseconds| microseconds),
            Aggregation::TimeWeighted => {
                self.weigh_by_time(measure, samples, previous, |quantity, microseconds| quantity * microseconds);
            }
        }
    }

    /// The empty window that contains an instant.
    fn window_at(&self, instant: i64, measure: &Measure, series_id: u64) -> Window {
        let start = self.day.start + (instant - self.day.start) / measure.window * measure.window;
        Window { series_id, start, end: (start + measure.window).min(self.day.end), quantity: 0, samples: 0 }
    }

    /// Adds up the values of each window and series.
    fn add_up(&mut self, measure: &Measure, samples: &StreamDay, quantity: impl Fn(usize) -> i128) {
        let mut window = Window { series_id: 0, start: 0, end: i64::MIN, quantity: 0, samples: 0 };
        for (row, (measured_at, series_id)) in samples.measured_at.iter().zip(&samples.series_id).enumerate() {
            if *measured_at >= window.end || *series_id != window.series_id {
                if window.samples > 0 {
                    self.rows.push(window);
                }
                window = self.window_at(*measured_at, measure, *series_id);
            }
            window.quantity += quantity(row);
            window.samples += 1;
        }
        if window.samples > 0 {
            self.rows.push(window);
        }
    }

    /// Aggregates the values of each window into one quantity, and assigns it to the series of the last value.
    /// Deletions are excluded, because a deletion does not prove that the resource existed.
    fn fold(
        &mut self,
        measure: &Measure,
        samples: &StreamDay,
        previous: Option<&StreamState>,
        fold: impl Fn(&[i128]) -> i128,
    ) {
        let is_state = !samples.is_state.is_empty() || previous.is_some_and(|previous| previous.is_state);
        if is_state || samples.deleted.contains(&true) {
            let present = self.present_values(measure, samples, previous);
            self.fold_values(
                measure,
                (&present.series_id, &present.measured_at, &present.quantity),
                &present.carried_forward,
                fold,
            );
        } else {
            self.fold_values(measure, (&samples.series_id, &samples.measured_at, &samples.quantity), &[], fold);
        }
    }

    /// Aggregates the given values of each window. `carried_forward` marks the values that are not samples. Missing
    /// marks are false.
    fn fold_values(
        &mut self,
        measure: &Measure,
        (series_id, measured_at, quantity): (&[u64], &[i64], &[i128]),
        carried_forward: &[bool],
        fold: impl Fn(&[i128]) -> i128,
    ) {
        let mut begin = 0;
        while begin < measured_at.len() {
            let mut window = self.window_at(measured_at[begin], measure, 0);
            let count = measured_at[begin..].iter().take_while(|time| **time < window.end).count();
            let end = begin + count;
            window.series_id = series_id[end - 1];
            window.quantity = fold(&quantity[begin..end]);
            let carried_forward = carried_forward.iter().skip(begin).take(count).filter(|carried| **carried).count();
            window.samples = (count - carried_forward) as i64;
            self.rows.push(window);
            begin = end;
        }
    }

    /// The samples that prove the existence of the resource, and the states that are carried forward. A state adds one
    /// value at the start of every later window that begins within its validity.
    fn present_values(&self, measure: &Measure, samples: &StreamDay, previous: Option<&StreamState>) -> PresentValues {
        let mut present = PresentValues::default();
        let mut readings = readings(samples, previous).peekable();
        while let Some(reading) = readings.next() {
            if reading.deleted {
                continue;
            }
            if reading.is_sample {
                present.push(&reading, reading.measured_at, false);
            }
            let next = readings.peek().map_or(self.day.end, |next| next.measured_at);
            let valid_to = self.valid_until(measure, &reading).min(next).min(self.day.end);
            if !reading.is_state || valid_to <= reading.measured_at.max(self.day.start) {
                continue;
            }
            let mut start = self.window_at(reading.measured_at.max(self.day.start), measure, 0).start;
            if start <= reading.measured_at {
                start += measure.window;
            }
            while start < valid_to {
                present.push(&reading, start, true);
                start += measure.window;
            }
        }
        present
    }

    /// The end of a value's validity if no sample follows.
    fn valid_until(&self, measure: &Measure, reading: &Reading) -> i64 {
        if reading.is_state {
            (reading.measured_at + measure.state_timeout).min(self.known_until)
        } else {
            reading.measured_at + measure.max_gap
        }
    }

    /// Weighs each value by the length of its validity, and adds up the results of each window and series. A value is
    /// valid until the next sample, and at most until [`Self::valid_until`]. A deletion has no validity. The value
    /// before the date is included.
    fn weigh_by_time(
        &mut self,
        measure: &Measure,
        samples: &StreamDay,
        previous: Option<&StreamState>,
        weigh: impl Fn(i128, i128) -> i128,
    ) {
        let mut readings = readings(samples, previous).peekable();
        let first = self.rows.len();
        while let Some(reading) = readings.next() {
            let until = readings.peek().map_or(self.day.end, |next| next.measured_at);
            let from = reading.measured_at.max(self.day.start);
            let to = self.valid_until(measure, &reading).min(until).min(self.day.end);
            if reading.deleted || to <= from {
                continue;
            }
            let mut from = from;
            while from < to {
                let mut window = self.window_at(from, measure, reading.series_id);
                let valid_to = to.min(window.end);
                window.quantity = weigh(reading.quantity, (valid_to - from).into());
                window.samples =
                    (reading.is_sample && window.start <= reading.measured_at && reading.measured_at < window.end)
                        .into();
                match self.rows[first..].last_mut() {
                    Some(last) if (last.series_id, last.start) == (window.series_id, window.start) => last.add(&window),
                    _ => self.rows.push(window),
                }
                from = valid_to;
            }
        }
        // Equal windows are merged before they are rounded, so that each sum is rounded once.
        merge_equal(&mut self.rows, first);
        let is_duration = measure.aggregation == Aggregation::Duration;
        for window in &mut self.rows[first..] {
            window.quantity =
                if is_duration { window.quantity * 1_000 } else { divided_half_away(window.quantity, MICROSECONDS) };
        }
    }

    /// Adds rows of `metered_usage` unchanged, for meters that were removed from the rules.
    pub fn add_unchanged(&mut self, metered_usage: &RecordBatch) -> Result<(), Error> {
        let series: &UInt64Array = column(metered_usage, METERED_USAGE, "series_id")?;
        let starts: &TimestampMicrosecondArray = column(metered_usage, METERED_USAGE, "window_start")?;
        let ends: &TimestampMicrosecondArray = column(metered_usage, METERED_USAGE, "window_end")?;
        let quantities: &Decimal128Array = column(metered_usage, METERED_USAGE, "consumed_quantity")?;
        let samples: &Int64Array = column(metered_usage, METERED_USAGE, "sample_count")?;
        self.rows.extend((0..metered_usage.num_rows()).map(|row| Window {
            series_id: series.value(row),
            start: starts.value(row),
            end: ends.value(row),
            quantity: quantities.value(row),
            samples: samples.value(row),
        }));
        Ok(())
    }

    /// The relations of the date, each sorted by its grain.
    pub fn finish(mut self) -> Result<Metered, Error> {
        merge_equal(&mut self.rows, 0);
        let mut days: Vec<(u64, i128, i64)> = Vec::new();
        for window in &self.rows {
            match days.last_mut() {
                Some((series_id, quantity, samples)) if *series_id == window.series_id => {
                    *quantity += window.quantity;
                    *samples += window.samples;
                }
                _ => days.push((window.series_id, window.quantity, window.samples)),
            }
        }
        Ok(Metered {
            metered_usage: self.usage_rows()?,
            metered_day: day_rows(self.day.number, &days)?,
            stream_state: stream_state_rows(&self.stream_states)?,
        })
    }

    fn usage_rows(&self) -> Result<RecordBatch, Error> {
        let rows = &self.rows;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|window| window.series_id))),
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|_| self.day.number))),
            Arc::new(instants(rows.iter().map(|window| window.start))),
            Arc::new(instants(rows.iter().map(|window| window.end))),
            decimals("metered_usage", rows.iter().map(|window| window.quantity), 38, 9)?,
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|window| window.samples))),
        ];
        batch(METERED_USAGE, columns)
    }
}

/// A sample, or the value that is carried forward into the date.
struct Reading {
    series_id: u64,
    measured_at: i64,
    quantity: i128,
    deleted: bool,
    is_state: bool,
    is_sample: bool,
}

/// The value that is carried forward into the date, and the samples, in the order of time.
fn readings(samples: &StreamDay, previous: Option<&StreamState>) -> impl Iterator<Item = Reading> {
    let own = (0..samples.measured_at.len()).map(|row| Reading {
        series_id: samples.series_id[row],
        measured_at: samples.measured_at[row],
        quantity: samples.quantity[row],
        deleted: samples.deleted[row],
        is_state: samples.is_state(row),
        is_sample: true,
    });
    let before = previous.map(|previous| Reading {
        series_id: previous.series_id,
        measured_at: previous.measured_at,
        quantity: previous.quantity,
        deleted: previous.deleted,
        is_state: previous.is_state,
        is_sample: false,
    });
    before.into_iter().chain(own)
}

/// The values that prove the existence of a resource, in the order of time.
#[derive(Default)]
struct PresentValues {
    series_id: Vec<u64>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    /// Whether the value is a carried forward state and not a sample.
    carried_forward: Vec<bool>,
}

impl PresentValues {
    fn push(&mut self, reading: &Reading, at: i64, carried_forward: bool) {
        self.series_id.push(reading.series_id);
        self.measured_at.push(at);
        self.quantity.push(reading.quantity);
        self.carried_forward.push(carried_forward);
    }
}

/// Sorts the windows from row `first` on by series and start, and merges windows with equal series and start. A
/// resource that was resized and resized back within one window has two such windows.
fn merge_equal(rows: &mut Vec<Window>, first: usize) {
    let key = |window: &Window| (window.series_id, window.start);
    if rows[first..].is_sorted_by(|left, right| key(left) < key(right)) {
        return;
    }
    let mut added = rows.split_off(first);
    added.sort_by_key(key);
    added.dedup_by(|window, before| {
        let is_equal = key(window) == key(before);
        if is_equal {
            before.add(window);
        }
        is_equal
    });
    rows.append(&mut added);
}

impl Window {
    fn add(&mut self, other: &Self) {
        self.quantity += other.quantity;
        self.samples += other.samples;
    }
}

/// The mean, rounded half away from zero.
fn mean(values: &[i128]) -> i128 {
    divided_half_away(values.iter().sum(), values.len().max(1) as i128)
}

fn divided_half_away(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value / divisor, value % divisor);
    let rounds_up = remainder.abs() >= divisor - remainder.abs();
    quotient + if rounds_up { value.signum() } else { 0 }
}

fn quantities(relation: &str, values: impl Iterator<Item = i128>) -> Result<ArrayRef, Error> {
    decimals(relation, values, 28, 9)
}

fn day_rows(day: i32, days: &[(u64, i128, i64)]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(days.iter().map(|(series_id, ..)| *series_id))),
        Arc::new(Date32Array::from_iter_values(days.iter().map(|_| day))),
        decimals("metered_day", days.iter().map(|(_, quantity, _)| *quantity), 38, 9)?,
        Arc::new(Int64Array::from_iter_values(days.iter().map(|(.., samples)| *samples))),
    ];
    batch("metering/metered_day", columns)
}

fn stream_state_rows(stream_states: &[StreamState]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(stream_states.iter().map(|state| state.stream_id))),
        Arc::new(instants(stream_states.iter().map(|state| state.measured_at))),
        quantities("stream_state", stream_states.iter().map(|state| state.quantity))?,
        Arc::new(UInt64Array::from_iter_values(stream_states.iter().map(|state| state.series_id))),
        Arc::new(BooleanArray::from_iter(stream_states.iter().map(|state| Some(state.deleted)))),
        Arc::new(BooleanArray::from_iter(stream_states.iter().map(|state| Some(state.is_state)))),
    ];
    batch("metering/stream_state", columns)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::query::{Parameters, Session, statement};

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    const HORIZON: i64 = 2 * 86_400 * SECOND;

    /// A day of 25 hours, on which clocks go back.
    const DAY: Day = Day { number: 20_751, start: 20_751 * 24 * HOUR - 2 * HOUR, end: 20_752 * 24 * HOUR - HOUR };

    fn described_samples(streams: &BTreeMap<u64, (StreamDay, Option<StreamState>)>) -> RecordBatch {
        let column = |pick: fn(&StreamDay) -> Vec<u64>| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(streams.values().flat_map(|(samples, _)| pick(samples))))
        };
        let flags = |pick: fn(&StreamDay) -> &Vec<bool>| -> ArrayRef {
            Arc::new(BooleanArray::from_iter(
                streams.values().flat_map(|(samples, _)| pick(samples)).copied().map(Some),
            ))
        };
        let samples = || streams.values().map(|(samples, _)| samples);
        let ids = streams.iter().flat_map(|(id, (samples, _))| samples.measured_at.iter().map(|_| *id));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(ids)),
            column(|samples| samples.series_id.clone()),
            Arc::new(instants(samples().flat_map(|samples| samples.measured_at.iter().copied()))),
            quantities("described_sample", samples().flat_map(|samples| samples.quantity.iter().copied())).unwrap(),
            flags(|samples| &samples.created),
            flags(|samples| &samples.deleted),
            flags(|samples| &samples.is_state),
            Arc::new(BooleanArray::from_iter(
                samples().flat_map(|samples| samples.is_state.iter().map(|_| Some(false))),
            )),
            // If an instant is repeated, the digests of its records differ.
            column(|samples| (0..samples.measured_at.len() as u64).collect()),
        ];
        batch("metering/described_sample", columns).unwrap()
    }

    fn all(batches: &[RecordBatch], path: &str) -> RecordBatch {
        concat_batches(&statement(path).unwrap().schema, batches).unwrap()
    }

    /// The rows that the SQL statements compute from the same samples: usage, days and stream states.
    async fn by_sql(measure: &Measure, streams: &BTreeMap<u64, (StreamDay, Option<StreamState>)>) -> [RecordBatch; 3] {
        let session = Session::new(None).unwrap();
        let register = |path: &str, rows: RecordBatch| {
            let relation = statement(path).unwrap();
            session.register_rows(&relation.name, relation.schema.clone(), vec![rows]).unwrap();
        };
        let previous: Vec<StreamState> = streams.values().filter_map(|(_, previous)| *previous).collect();
        register("metering/described_sample", described_samples(streams));
        let previous = stream_state_rows(&previous).unwrap();
        register(
            "metering/previous_stream_state",
            previous.with_schema(statement("metering/previous_stream_state").unwrap().schema.clone()).unwrap(),
        );
        let on_day = Parameters::none()
            .date("charge_date", DAY.number)
            .bigint("day_start", DAY.start)
            .bigint("day_end", DAY.end)
            .bigint("window", measure.window);
        let state_parameters = on_day
            .clone()
            .bigint("max_gap", measure.max_gap)
            .bigint("known_until", KNOWN_UNTIL)
            .bigint("state_timeout", measure.state_timeout);
        let of_states = session.run("metering/carried_forward_state", state_parameters.clone()).await.unwrap();
        let weighs = matches!(measure.aggregation, Aggregation::Duration | Aggregation::TimeWeighted);
        let mut parameters = if weighs { state_parameters } else { on_day };
        if measure.aggregation == Aggregation::Sum {
            // Without a rounding of records, these parameters round each record to the ninth decimal place.
            let smallest = RecordRounding { minimum: Quantity::ZERO, multiple_of: Quantity::from_units(1) };
            let record = measure.record.unwrap_or(smallest);
            parameters = parameters.decimal("record_minimum", record.minimum.units(), 28, 9);
            parameters = parameters.decimal("record_multiple", record.multiple_of.units(), 28, 9);
        }
        if !weighs && !measure.aggregation.is_additive() && measure.aggregation != Aggregation::Increase {
            let both = [described_samples(streams), all(&of_states, "metering/described_sample")];
            register("metering/described_sample", all(&both, "metering/described_sample"));
        }
        let path = format!("metering/metered_usage/{}", measure.aggregation.name());
        let windows = session.run(&path, parameters).await.unwrap();
        register("metering/metered_window", all(&windows, "metering/metered_window"));
        let usage = session.materialize("metering/metered_usage", Parameters::none()).await.unwrap();
        let days = session.run("metering/metered_day", Parameters::none()).await.unwrap();
        register("metering/described_sample", described_samples(streams));
        let parameters = Parameters::none().bigint("day_end", DAY.end).bigint("horizon", HORIZON);
        let stream_states = session.run("metering/stream_state", parameters).await.unwrap();
        [
            all(&usage, "metering/metered_usage"),
            all(&days, "metering/metered_day"),
            all(&stream_states, "metering/stream_state"),
        ]
    }

    /// An instant within the last hours of the day, so that some states end before the day does.
    const KNOWN_UNTIL: i64 = DAY.end - 5 * HOUR;

    /// A generated sample: time in the day, quantity, series, created, deleted, is_state.
    type Generated = (i64, i128, u64, bool, bool, bool);

    fn samples() -> impl Strategy<Value = Vec<Generated>> {
        let quantity = prop_oneof![0..5_000_000_000i128, 0..10i128.pow(23), Just(0)];
        let minute = (0..25 * 60i64).prop_map(|minute| minute * 60 * SECOND);
        let instant = prop_oneof![3 => minute, 1 => 0..25 * HOUR];
        let (created, deleted, is_state) = (0.2, 0.1, 0.3);
        let weighted = prop::bool::weighted;
        let sample = (instant, quantity, 0..3u64, weighted(created), weighted(deleted), weighted(is_state));
        prop::collection::vec(sample, 0..30)
    }

    /// A generated stream state: time before the day, quantity, deleted, is_state.
    fn stream_state_before() -> impl Strategy<Value = Option<(i64, i128, bool, bool)>> {
        prop::option::of((1..60 * HOUR, 0..10i128.pow(20), any::<bool>(), any::<bool>()))
    }

    fn stream_day(stream_id: u64, mut generated: Vec<Generated>, is_additive: bool) -> StreamDay {
        generated.sort();
        if !is_additive {
            generated.dedup_by_key(|sample| sample.0);
        }
        StreamDay {
            series_id: generated.iter().map(|sample| stream_id * 10 + 9 - sample.2).collect(),
            measured_at: generated.iter().map(|sample| DAY.start + sample.0).collect(),
            quantity: generated.iter().map(|sample| sample.1).collect(),
            created: generated.iter().map(|sample| sample.3).collect(),
            deleted: generated.iter().map(|sample| sample.4).collect(),
            is_state: generated.iter().map(|sample| sample.5).collect(),
            assumed: Vec::new(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_operator_and_the_sql_compute_equal_rows(
            generated in prop::collection::vec((samples(), stream_state_before()), 1..4),
            window in prop_oneof![Just(HOUR), Just(24 * HOUR), Just(300 * SECOND)],
            max_gap in prop_oneof![Just(0), Just(600 * SECOND), Just(HOUR), Just(30 * HOUR)],
            state_timeout in prop_oneof![Just(NO_TIMEOUT), Just(2 * HOUR), Just(40 * HOUR)],
            record in prop::option::of((0..10_000_000_000i128, 1..10_000_000_000i128)),
        ) {
            let record = record.map(|(minimum, multiple)| RecordRounding {
                minimum: Quantity::from_units(minimum),
                multiple_of: Quantity::from_units(multiple),
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for aggregation in Aggregation::ALL {
                let measure = Measure { aggregation, window, max_gap, state_timeout, record };
                // Stream ids descend in the order of generation.
                let mut streams = BTreeMap::new();
                for (index, (samples, previous)) in generated.iter().enumerate() {
                    let stream_id = 100 - index as u64;
                    let mut samples = stream_day(stream_id, samples.clone(), aggregation.is_additive());
                    if aggregation.can_be_signed() {
                        let negative = samples.quantity.iter_mut().filter(|quantity| **quantity % 3 == 1);
                        negative.for_each(|quantity| *quantity = -*quantity);
                    }
                    let previous = previous.map(|(before, quantity, deleted, is_state)| StreamState {
                        stream_id,
                        measured_at: DAY.start - before,
                        quantity,
                        series_id: stream_id * 10,
                        deleted,
                        is_state,
                    });
                    streams.insert(stream_id, (samples, previous));
                }
                let mut windows = Windows::new(DAY, HORIZON, KNOWN_UNTIL);
                for (stream_id, (samples, previous)) in &streams {
                    windows.add_stream(*stream_id, Some(&measure), samples, previous.as_ref());
                }
                let metered = windows.finish().unwrap();
                let [usage, days, stream_states] = runtime.block_on(by_sql(&measure, &streams));
                prop_assert_eq!(&metered.metered_usage, &usage, "{:?}", aggregation);
                prop_assert_eq!(&metered.metered_day, &days, "{:?}", aggregation);
                prop_assert_eq!(&metered.stream_state, &stream_states, "{:?}", aggregation);
            }
        }
    }
}
