//! The segments of a period: cut where a rate, a factor or a payer changes.

use crate::error::Error;
use crate::model::period::BillingPeriod;
use crate::model::period::Calendar;
use crate::model::period::DayNumber;
use crate::model::rule::Rule;
use crate::model::rule_book::RuleBook;
use crate::query::statement::statement;
use crate::rating::rate::Rate;
use crate::rating::segment::Segment;
use crate::rating::segment::holds;
use crate::rows;
use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Date32Array;
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The segments of a period: cut wherever a rate or a factor begins or ends, of those rules that cut, and wherever a
/// project gets another payer.
pub fn segments(
    rules: &RuleBook,
    rates: &[Rate<'_>],
    calendar: &mut Calendar,
    period: BillingPeriod,
    cuts: impl Fn(&Rule) -> bool,
    changes_of_payer: &BTreeSet<i64>,
) -> Vec<Segment> {
    let start = calendar.day_start(period.start_day());
    let end = calendar.day_start(period.end_day());
    let of_rates = rates.iter().filter(|rate| cuts(rate.rule)).flat_map(|rate| [rate.valid_from, rate.valid_to]);
    let of_rules = rules.rules.iter().filter(|rule| cuts(rule)).flat_map(|rule| [rule.valid_from, rule.valid_to]);
    let of_payers = changes_of_payer.iter().copied();
    let mut instants: BTreeSet<i64> = of_rates
        .chain(of_rules)
        .flatten()
        .chain(of_payers)
        .filter(|instant| start < *instant && *instant < end)
        .collect();
    instants.extend([start, end]);
    let instants: Vec<i64> = instants.into_iter().collect();
    let by_clock: Vec<&Rule> = rules.rules.iter().filter(|rule| !rule.windows.is_empty() && cuts(rule)).collect();
    let stretches = if by_clock.is_empty() { Vec::new() } else { stretches(&by_clock, rules, calendar, period) };
    let validities = instants.windows(2).map(|pair| (pair[0], pair[1]));
    validities.flat_map(|(start, end)| segments_within(start, end, &stretches)).collect()
}

/// A stretch of time, and the price windows that hold in it.
type Stretch = (i64, i64, BTreeMap<String, usize>);

/// The segments of one validity: all stretches in which the same price windows hold are one.
fn segments_within(start: i64, end: i64, stretches: &[Stretch]) -> Vec<Segment> {
    if stretches.is_empty() {
        return vec![Segment { start, end, parts: vec![(start, end)], windows: BTreeMap::new() }];
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (from, to, windows) in stretches {
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

/// Walks through the period by the shortest window of the meters concerned, in real time, and asks at each step what
/// the local clock says. So an hour that the clock repeats is priced twice, and one that it skips is not there.
fn stretches(by_clock: &[&Rule], rules: &RuleBook, calendar: &mut Calendar, period: BillingPeriod) -> Vec<Stretch> {
    let steps = by_clock.iter().filter_map(|rule| rules.meter(&rule.meter)).map(|meter| meter.window_seconds);
    let step = i64::from(steps.min().unwrap_or(3600)) * 1_000_000;
    let mut stretches: Vec<Stretch> = Vec::new();
    for day in period.start_day()..period.end_day() {
        let day_end = calendar.day_start(day + 1);
        let mut at = calendar.day_start(day);
        while at < day_end {
            let minute = calendar.minute_of(at);
            let holding = by_clock.iter().filter_map(|rule| {
                let window = rule.windows.iter().position(|window| holds(window, day, minute))?;
                Some((rule.id.clone(), window))
            });
            let holding: BTreeMap<String, usize> = holding.collect();
            let end = (at + step).min(day_end);
            match stretches.last_mut() {
                Some((_, last_end, windows)) if *windows == holding => *last_end = end,
                _ => stretches.push((at, end, holding)),
            }
            at = end;
        }
    }
    stretches
}

/// The dates of a period that are not in one piece of one segment, for which day rows are too coarse.
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
