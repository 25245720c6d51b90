//! The division of a period into segments, at each change of a rate, a factor or a payer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch};

use crate::error::Error;
use crate::model::period::{BillingPeriod, Calendar, DayNumber};
use crate::model::rule::Rule;
use crate::model::rule_book::RuleBook;
use crate::query::statement::statement;
use crate::rating::rate::Rate;
use crate::rating::segment::{Segment, applies_at};
use crate::rows;

/// The segments of a period. The start or end of a rate or factor divides the period if `applies` is true for its rule.
/// A change of a project's payer also divides the period.
pub fn segments(
    rules: &RuleBook,
    rates: &[Rate<'_>],
    calendar: &mut Calendar,
    period: BillingPeriod,
    applies: impl Fn(&Rule) -> bool,
    payer_changes: &BTreeSet<i64>,
) -> Vec<Segment> {
    let start = calendar.day_start(period.start_day());
    let end = calendar.day_start(period.end_day());
    let of_rates = rates.iter().filter(|rate| applies(rate.rule)).flat_map(|rate| [rate.valid_from, rate.valid_to]);
    let of_rules = rules.rules.iter().filter(|rule| applies(rule)).flat_map(|rule| [rule.valid_from, rule.valid_to]);
    let of_payers = payer_changes.iter().copied();
    let mut instants: BTreeSet<i64> = of_rates
        .chain(of_rules)
        .flatten()
        .chain(of_payers)
        .filter(|instant| start < *instant && *instant < end)
        .collect();
    instants.extend([start, end]);
    let instants: Vec<i64> = instants.into_iter().collect();
    let with_windows: Vec<&Rule> =
        rules.rules.iter().filter(|rule| !rule.windows.is_empty() && applies(rule)).collect();
    let window_ranges =
        if with_windows.is_empty() { Vec::new() } else { price_window_ranges(&with_windows, rules, calendar, period) };
    let unchanged = instants.windows(2).map(|pair| (pair[0], pair[1]));
    unchanged.flat_map(|(start, end)| segments_within(start, end, &window_ranges)).collect()
}

/// A time range, and the price windows that apply in it: the index of the window, by rule.
type WindowRange = (i64, i64, BTreeMap<String, usize>);

/// The segments between two changes of rates, factors or payers. All ranges with the same price windows form one
/// segment.
fn segments_within(start: i64, end: i64, window_ranges: &[WindowRange]) -> Vec<Segment> {
    if window_ranges.is_empty() {
        return vec![Segment { start, end, parts: vec![(start, end)], windows: BTreeMap::new() }];
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (from, to, windows) in window_ranges {
        let (from, to) = ((*from).max(start), (*to).min(end));
        if from >= to {
            continue;
        }
        match segments.iter_mut().find(|segment| segment.windows == *windows) {
            Some(segment) => segment.parts.push((from, to)),
            None => segments.push(Segment { start: from, end, parts: vec![(from, to)], windows: windows.clone() }),
        }
    }
    segments
}

/// The ranges of a period with constant price windows. The period is divided into steps of real time, each as long as
/// the shortest metered window of the rules. The local time of a step selects its price windows. So if a clock change
/// repeats a local hour, both hours have the price of that local time. An hour that it skips is in no step.
fn price_window_ranges(
    with_windows: &[&Rule],
    rules: &RuleBook,
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Vec<WindowRange> {
    let steps = with_windows.iter().filter_map(|rule| rules.meter(&rule.meter)).map(|meter| meter.window_seconds);
    let step = i64::from(steps.min().unwrap_or(3600)) * 1_000_000;
    let mut ranges: Vec<WindowRange> = Vec::new();
    for day in period.start_day()..period.end_day() {
        let day_end = calendar.day_start(day + 1);
        let mut at = calendar.day_start(day);
        while at < day_end {
            let minute = calendar.minute_of(at);
            let applying = with_windows.iter().filter_map(|rule| {
                let window = rule.windows.iter().position(|window| applies_at(window, day, minute))?;
                Some((rule.id.clone(), window))
            });
            let applying: BTreeMap<String, usize> = applying.collect();
            let end = (at + step).min(day_end);
            match ranges.last_mut() {
                Some((_, last_end, windows)) if *windows == applying => *last_end = end,
                _ => ranges.push((at, end, applying)),
            }
            at = end;
        }
    }
    ranges
}

/// The dates on which a range of a segment begins after midnight. The usage of these dates is read by windows, because
/// metered days are too coarse.
pub fn split_days(segments: &[Segment], calendar: &mut Calendar) -> BTreeSet<DayNumber> {
    let mut days = BTreeSet::new();
    for (start, _) in segments.iter().flat_map(|segment| &segment.parts) {
        let day = calendar.day_of(*start);
        if calendar.day_start(day) != *start {
            days.insert(day);
        }
    }
    days
}

/// The rows of `charge_segment`.
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
            for (start, end) in &segment.parts {
                let (start, end) = ((*start).max(day_start), (*end).min(day_end));
                if start < end {
                    parts.push((day, segment.start, start, end));
                }
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
