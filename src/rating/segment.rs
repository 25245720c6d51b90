//! The segments of a period in which no rate changes, and the parts of dates that lie in each.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};

use super::rate::Rate;
use super::rule::{Rule, RuleBook};
use crate::period::{BillingPeriod, Calendar, DayNumber};
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// A part of the period, half-open, in microseconds UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub start: i64,
    pub end: i64,
}

/// The segments of a period: cut wherever a rate or a factor begins or ends, of those rules that cut.
pub fn segments(
    rules: &RuleBook,
    rates: &[Rate<'_>],
    calendar: &mut Calendar,
    period: BillingPeriod,
    cuts: impl Fn(&Rule) -> bool,
) -> Vec<Segment> {
    let start = calendar.day_start(period.start_day());
    let end = calendar.day_start(period.end_day());
    let of_rates = rates.iter().filter(|rate| cuts(rate.rule)).flat_map(|rate| [rate.valid_from, rate.valid_to]);
    let of_rules = rules.rules.iter().filter(|rule| cuts(rule)).flat_map(|rule| [rule.valid_from, rule.valid_to]);
    let mut instants: BTreeSet<i64> =
        of_rates.chain(of_rules).flatten().filter(|instant| start < *instant && *instant < end).collect();
    instants.extend([start, end]);
    let instants: Vec<i64> = instants.into_iter().collect();
    instants.windows(2).map(|pair| Segment { start: pair[0], end: pair[1] }).collect()
}

/// The dates of a period in which a segment ends, for which day rows are too coarse.
pub fn split_days(segments: &[Segment], calendar: &mut Calendar) -> BTreeSet<DayNumber> {
    let mut days = BTreeSet::new();
    for segment in segments.iter().skip(1) {
        let day = calendar.day_of(segment.start);
        if calendar.day_start(day) != segment.start {
            days.insert(day);
        }
    }
    days
}

/// Rows of `charge_segment`.
pub fn charge_segment_rows(
    segments: &[Segment],
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Result<RecordBatch, Error> {
    let split = split_days(segments, calendar);
    let mut parts: Vec<(DayNumber, i64, i64, i64)> = Vec::new();
    for day in period.start_day()..period.end_day() {
        let (day_start, day_end) = (calendar.day_start(day), calendar.day_start(day + 1));
        for segment in segments {
            let (start, end) = (segment.start.max(day_start), segment.end.min(day_end));
            if start < end {
                parts.push((day, segment.start, start, end));
            }
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from_iter_values(parts.iter().map(|part| part.0))),
        Arc::new(rows::timestamps(parts.iter().map(|part| Some(part.1)))),
        Arc::new(rows::timestamps(parts.iter().map(|part| Some(part.2)))),
        Arc::new(rows::timestamps(parts.iter().map(|part| Some(part.3)))),
        Arc::new(BooleanArray::from_iter(parts.iter().map(|part| Some(split.contains(&part.0))))),
    ];
    rows::batch(statement("rating/charge_segment")?, columns)
}

/// Rows of `rate_validity`.
pub fn rate_validity_rows(segments: &[Segment], rates: &[Rate<'_>]) -> Result<RecordBatch, Error> {
    let valid: Vec<(&str, i64)> = rates
        .iter()
        .flat_map(|rate| {
            let over = segments.iter().filter(|segment| rate.is_valid_over(segment.start, segment.end));
            over.map(|segment| (rate.id.as_str(), segment.start))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(valid.iter().map(|(rate, _)| rate))),
        Arc::new(rows::timestamps(valid.iter().map(|(_, start)| Some(*start)))),
    ];
    rows::batch(statement("rating/rate_validity")?, columns)
}
