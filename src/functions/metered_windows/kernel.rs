//! The computation of the windows of one stream.
//!
//! Sums have 128 bits. A date of the largest quantities that intake accepts does not overflow them.

use arrow::buffer::BooleanBuffer;
use datafusion::common::DataFusionError;

use super::windows::{Window, too_large};
use crate::model::meter::{Aggregation, RecordRounding};
use crate::model::money::Quantity;

const MICROSECONDS: i128 = 1_000_000;
const ONE: i128 = Quantity::ONE.units();

/// A local date in microseconds UTC, from `start` inclusive to `end` exclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    pub start: i64,
    pub end: i64,
    /// The instant up to which states are carried forward. Later events are not available yet.
    pub observed_until: i64,
}

/// The parameters by which a meter computes quantities from samples. Lengths are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub aggregation: Aggregation,
    /// More than zero.
    pub window: i64,
    pub max_gap: i64,
    /// The timeout of a state; `None`: no limit.
    pub state_timeout: Option<i64>,
    /// The rounding of records, for a meter that adds up records.
    pub record: Option<RecordRounding>,
}

/// The samples of one stream on one date, as columns in the order of time.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    pub series_id: &'a [u64],
    pub measured_at: &'a [i64],
    /// Quantities in units of the ninth decimal place.
    pub quantity: &'a [i128],
    pub created: BooleanBuffer,
    pub deleted: BooleanBuffer,
    /// Whether each sample is a state, which is valid until the next event.
    pub is_state: BooleanBuffer,
}

/// The last reading of the stream before the date.
#[derive(Clone, Copy, Debug)]
pub(super) struct PreviousState {
    pub measured_at: i64,
    pub quantity: i128,
    pub series_id: u64,
    pub deleted: bool,
    pub is_state: bool,
}

/// Appends the windows of a stream, sorted by series and start.
pub(super) fn meter(
    day: Day,
    measure: Measure,
    samples: &Samples<'_>,
    previous: Option<PreviousState>,
    rows: &mut Vec<Window>,
) -> Result<(), DataFusionError> {
    let first = rows.len();
    Metering { day, measure, samples, previous, first, rows }.meter()
}

/// The metering of one stream.
struct Metering<'a> {
    day: Day,
    measure: Measure,
    samples: &'a Samples<'a>,
    previous: Option<PreviousState>,
    /// The number of windows of other streams in `rows`.
    first: usize,
    rows: &'a mut Vec<Window>,
}

impl Metering<'_> {
    fn meter(mut self) -> Result<(), DataFusionError> {
        let samples = self.samples;
        match self.measure.aggregation {
            Aggregation::Sum => match self.measure.record {
                Some(record) => {
                    self.add_up(|row| record.counted(Quantity::from_units(samples.quantity[row])).units())?;
                }
                None => self.add_up(|row| samples.quantity[row])?,
            },
            Aggregation::Count => self.add_up(|_| ONE)?,
            Aggregation::Increase => {
                let grown = self.grown();
                self.add_up(|row| grown[row])?;
            }
            Aggregation::Presence | Aggregation::CountUnique => self.fold(|_| ONE),
            Aggregation::Min => self.fold(|values| values.iter().copied().min().unwrap_or(0)),
            Aggregation::Max => self.fold(|values| values.iter().copied().max().unwrap_or(0)),
            Aggregation::Last => self.fold(|values| values.last().copied().unwrap_or(0)),
            Aggregation::Mean => self.fold(mean),
            Aggregation::Duration => self.weigh_by_time(|_, microseconds| Some(microseconds))?,
            Aggregation::TimeWeighted => self.weigh_by_time(i128::checked_mul)?,
        }
        self.merge_equal()
    }

    /// The growth of a counter up to each sample.
    fn grown(&self) -> Vec<i128> {
        let samples = self.samples;
        let mut before = self.previous.map(|previous| previous.quantity);
        let grown = samples.quantity.iter().enumerate().map(|(row, quantity)| {
            let grown = match before {
                None if samples.created.value(row) => *quantity,
                None => 0,
                // A smaller value means that the counter was reset to zero.
                Some(before) if *quantity < before => *quantity,
                Some(before) => *quantity - before,
            };
            before = Some(*quantity);
            grown
        });
        grown.collect()
    }

    /// The empty window that contains an instant of the date.
    fn window_at(&self, instant: i64, series_id: u64) -> Window {
        let start = self.day.start + (instant - self.day.start) / self.measure.window * self.measure.window;
        let end = start.saturating_add(self.measure.window).min(self.day.end);
        Window { series_id, start, end, quantity: 0, samples: 0 }
    }

    /// Adds up the values of each window and series.
    fn add_up(&mut self, quantity: impl Fn(usize) -> i128) -> Result<(), DataFusionError> {
        let mut window = Window { series_id: 0, start: 0, end: i64::MIN, quantity: 0, samples: 0 };
        for (row, (measured_at, series_id)) in self.samples.measured_at.iter().zip(self.samples.series_id).enumerate() {
            if *measured_at >= window.end || *series_id != window.series_id {
                if window.samples > 0 {
                    self.rows.push(window);
                }
                window = self.window_at(*measured_at, *series_id);
            }
            window.quantity = window.quantity.checked_add(quantity(row)).ok_or_else(too_large)?;
            window.samples += 1;
        }
        if window.samples > 0 {
            self.rows.push(window);
        }
        Ok(())
    }

    /// Aggregates the values of each window into one quantity, and assigns it to the series of the last value.
    /// Deletions are excluded, because a deletion does not prove that the resource existed.
    fn fold(&mut self, fold: impl Fn(&[i128]) -> i128) {
        let samples = self.samples;
        let is_state = samples.is_state.has_true() || self.previous.is_some_and(|previous| previous.is_state);
        if is_state || samples.deleted.has_true() {
            let present = self.present_values();
            self.fold_values(
                (&present.series_id, &present.measured_at, &present.quantity),
                &present.carried_forward,
                fold,
            );
        } else {
            self.fold_values((samples.series_id, samples.measured_at, samples.quantity), &[], fold);
        }
    }

    /// Aggregates the given values of each window. `carried_forward` marks the values that are not samples. Missing
    /// marks are false.
    fn fold_values(
        &mut self,
        (series_id, measured_at, quantity): (&[u64], &[i64], &[i128]),
        carried_forward: &[bool],
        fold: impl Fn(&[i128]) -> i128,
    ) {
        let mut begin = 0;
        while begin < measured_at.len() {
            let mut window = self.window_at(measured_at[begin], 0);
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
    fn present_values(&self) -> PresentValues {
        let mut present = PresentValues::default();
        let mut readings = self.readings().peekable();
        while let Some(reading) = readings.next() {
            if reading.deleted {
                continue;
            }
            if reading.is_sample {
                present.push(&reading, reading.measured_at, false);
            }
            let next = readings.peek().map_or(self.day.end, |next| next.measured_at);
            let valid_to = self.valid_until(&reading).min(next).min(self.day.end);
            if !reading.is_state || valid_to <= reading.measured_at.max(self.day.start) {
                continue;
            }
            let mut start = self.window_at(reading.measured_at.max(self.day.start), 0).start;
            if start <= reading.measured_at {
                start = start.saturating_add(self.measure.window);
            }
            while start < valid_to {
                present.push(&reading, start, true);
                start = start.saturating_add(self.measure.window);
            }
        }
        present
    }

    /// The end of a value's validity if no sample follows.
    fn valid_until(&self, reading: &Reading) -> i64 {
        if reading.is_state {
            let timeout = self.measure.state_timeout.unwrap_or(i64::MAX);
            reading.measured_at.saturating_add(timeout).min(self.day.observed_until)
        } else {
            reading.measured_at.saturating_add(self.measure.max_gap)
        }
    }

    /// Weighs each value by the microseconds of its validity, and adds up the results of each window and series. A
    /// value is valid until the next sample, and at most until [`Self::valid_until`]. A deletion has no validity. The
    /// value before the date is included.
    fn weigh_by_time(&mut self, weigh: impl Fn(i128, i128) -> Option<i128>) -> Result<(), DataFusionError> {
        let samples = self.samples;
        let mut readings = readings(samples, self.previous).peekable();
        while let Some(reading) = readings.next() {
            let until = readings.peek().map_or(self.day.end, |next| next.measured_at);
            let from = reading.measured_at.max(self.day.start);
            let to = self.valid_until(&reading).min(until).min(self.day.end);
            if reading.deleted || to <= from {
                continue;
            }
            let mut from = from;
            while from < to {
                let mut window = self.window_at(from, reading.series_id);
                let valid_to = to.min(window.end);
                window.quantity = weigh(reading.quantity, (valid_to - from).into()).ok_or_else(too_large)?;
                let is_first_window = window.start <= reading.measured_at && reading.measured_at < window.end;
                window.samples = (reading.is_sample && is_first_window).into();
                match self.rows[self.first..].last_mut() {
                    Some(last) if (last.series_id, last.start) == (window.series_id, window.start) => {
                        last.add(&window)?;
                    }
                    _ => self.rows.push(window),
                }
                from = valid_to;
            }
        }
        // Equal windows are merged before they are rounded, so that each sum is rounded once.
        self.merge_equal()?;
        let is_duration = self.measure.aggregation == Aggregation::Duration;
        for window in &mut self.rows[self.first..] {
            window.quantity =
                if is_duration { window.quantity * 1_000 } else { divided_half_away(window.quantity, MICROSECONDS) };
        }
        Ok(())
    }

    fn readings(&self) -> impl Iterator<Item = Reading> {
        readings(self.samples, self.previous)
    }

    /// Sorts the windows of the stream by series and start, and merges windows with equal series and start. A resource
    /// that was resized and resized back within one window has two such windows.
    fn merge_equal(&mut self) -> Result<(), DataFusionError> {
        let key = |window: &Window| (window.series_id, window.start);
        if self.rows[self.first..].is_sorted_by(|left, right| key(left) < key(right)) {
            return Ok(());
        }
        let mut windows = self.rows.split_off(self.first);
        windows.sort_by_key(key);
        for window in windows {
            match self.rows[self.first..].last_mut() {
                Some(before) if key(before) == key(&window) => before.add(&window)?,
                _ => self.rows.push(window),
            }
        }
        Ok(())
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
fn readings(samples: &Samples<'_>, previous: Option<PreviousState>) -> impl Iterator<Item = Reading> {
    let own = (0..samples.measured_at.len()).map(|row| Reading {
        series_id: samples.series_id[row],
        measured_at: samples.measured_at[row],
        quantity: samples.quantity[row],
        deleted: samples.deleted.value(row),
        is_state: samples.is_state.value(row),
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

/// The mean, rounded half away from zero.
fn mean(values: &[i128]) -> i128 {
    divided_half_away(values.iter().sum(), values.len().max(1) as i128)
}

fn divided_half_away(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value / divisor, value % divisor);
    let rounds_up = remainder.abs() >= divisor - remainder.abs();
    quotient + if rounds_up { value.signum() } else { 0 }
}
