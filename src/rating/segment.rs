//! The segments of a period in which no rate changes, and the parts of dates that lie in each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};

use super::rate::Rate;
use super::rule::{PriceWindow, Rule, RuleBook};
use crate::period::{BillingPeriod, Calendar, DayNumber, date_of};
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// A part of the period in which every rate is the same. Where prices go by the time of day it is not in one piece: all
/// nights of October are one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in microseconds UTC; no other segment of the period begins there.
    pub start: i64,
    /// Where the validity of its rates ends, exclusive.
    pub end: i64,
    /// Its pieces, half-open, in order.
    pub parts: Vec<(i64, i64)>,
    /// The price window that holds, by the id of its rule.
    windows: BTreeMap<String, usize>,
}

impl Segment {
    /// The price window of a rule that holds here.
    pub fn window_of(&self, rule: &Rule) -> Option<usize> {
        self.windows.get(&rule.id).copied()
    }

    pub fn contains(&self, instant: i64) -> bool {
        self.parts.iter().any(|(start, end)| *start <= instant && instant < *end)
    }
}

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

/// Whether a price window holds at a minute of a local date.
pub fn holds(window: &PriceWindow, day: DayNumber, minute: u16) -> bool {
    let (from, to) = (window.from_minute, window.to_minute);
    // A window over midnight belongs to the date on which it began.
    let (began, inside) = if from < to {
        (day, from <= minute && minute < to)
    } else if minute >= from {
        (day, true)
    } else {
        (day - 1, minute < to)
    };
    let date = date_of(began);
    let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
    let month = usize::try_from(date.month() - 1).unwrap_or(0);
    inside
        && window.days[weekday]
        && window.months[month]
        && (window.dates.is_empty() || window.dates.contains(&began))
        && !window.except.contains(&began)
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

/// Rows of `rate_validity`.
pub fn rate_validity_rows(segments: &[Segment], rates: &[Rate<'_>]) -> Result<RecordBatch, Error> {
    let valid: Vec<(&str, i64)> = rates
        .iter()
        .flat_map(|rate| {
            let over = segments.iter().filter(|segment| rate.holds_in(segment));
            over.map(|segment| (rate.id.as_str(), segment.start))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(valid.iter().map(|(rate, _)| rate))),
        Arc::new(rows::timestamps(valid.iter().map(|(_, start)| Some(*start)))),
    ];
    rows::batch(statement("rating/rate_validity")?, columns)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::period::day_number;

    fn window(from: u16, to: u16) -> PriceWindow {
        PriceWindow {
            days: [true; 7],
            months: [true; 12],
            from_minute: from * 60,
            to_minute: to * 60,
            dates: Vec::new(),
            except: Vec::new(),
            unit_price: crate::money::UnitPrice::ZERO,
        }
    }

    /// Hours of a local date in which a window holds, hour by hour in real time.
    fn hours(window: &PriceWindow, date: &str) -> usize {
        let mut calendar = Calendar::new(TimeZone::get("Europe/Berlin").unwrap());
        let day = day_number(date.parse().unwrap());
        let (start, end) = (calendar.day_start(day), calendar.day_start(day + 1));
        let starts = (start..end).step_by(3_600_000_000);
        starts.filter(|at| holds(window, day, calendar.minute_of(*at))).count()
    }

    #[test]
    fn the_local_clock_decides_on_both_days_on_which_it_is_changed() {
        // On 25 October 2026 the hour from two to three is there twice, on 29 March it is not there at all.
        let (early, night, day) = (window(2, 3), window(0, 6), window(8, 19));
        assert_eq!([hours(&early, "2026-10-24"), hours(&early, "2026-10-25"), hours(&early, "2026-03-29")], [1, 2, 0]);
        assert_eq!([hours(&night, "2026-10-24"), hours(&night, "2026-10-25"), hours(&night, "2026-03-29")], [6, 7, 5]);
        assert_eq!([hours(&day, "2026-10-24"), hours(&day, "2026-10-25"), hours(&day, "2026-03-29")], [11, 11, 11]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_date_on_which_it_begins() {
        // Fridays from 22:00 to 06:00; 2026-10-16 is a Friday.
        let friday = PriceWindow { days: [false, false, false, false, true, false, false], ..window(22, 6) };
        assert_eq!(["2026-10-15", "2026-10-16", "2026-10-17"].map(|date| hours(&friday, date)), [0, 2, 6]);
        let holiday = PriceWindow { except: vec![day_number("2026-10-16".parse().unwrap())], ..friday };
        assert_eq!(["2026-10-16", "2026-10-17"].map(|date| hours(&holiday, date)), [0, 0]);
    }
}
