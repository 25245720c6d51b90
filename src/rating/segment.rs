//! Segments, which are the parts of a period in which every rate is constant.

use std::collections::BTreeMap;

use crate::model::period::{DayNumber, date_of};
use crate::model::rule::{PriceWindow, Rule};

/// A part of the period in which every rate is constant. If prices depend on the time of day, a segment has several
/// ranges. For example, all nights of October form one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The start in microseconds UTC. The start identifies the segment within the period.
    pub start: i64,
    /// The end of the validity of the segment's rates, exclusive.
    pub end: i64,
    /// The half-open ranges of the segment, in order.
    pub parts: Vec<(i64, i64)>,
    /// The index of the price window that applies, by the id of its rule.
    pub(super) windows: BTreeMap<String, usize>,
}

impl Segment {
    /// The price window of a rule that applies in this segment.
    pub fn window_of(&self, rule: &Rule) -> Option<usize> {
        self.windows.get(&rule.id).copied()
    }

    pub fn contains(&self, instant: i64) -> bool {
        self.parts.iter().any(|(start, end)| *start <= instant && instant < *end)
    }
}

/// Whether a price window applies at a minute of a local date.
pub fn applies_at(window: &PriceWindow, day: DayNumber, minute: u16) -> bool {
    let (from, to) = (window.from_minute, window.to_minute);
    // A window across midnight belongs to the date on which it begins.
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

#[cfg(test)]
mod tests {
    use crate::model::period::Calendar;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::period::day_number;

    fn window(from: u16, to: u16) -> PriceWindow {
        PriceWindow {
            days: [true; 7],
            months: [true; 12],
            from_minute: from * 60,
            to_minute: to * 60,
            dates: Vec::new(),
            except: Vec::new(),
            unit_price: crate::model::money::Price::ZERO,
        }
    }

    /// The number of real hours of a local date in which a window applies.
    fn hours(window: &PriceWindow, date: &str) -> usize {
        let mut calendar = Calendar::new(TimeZone::get("Europe/Berlin").unwrap());
        let day = day_number(date.parse().unwrap());
        let (start, end) = (calendar.day_start(day), calendar.day_start(day + 1));
        let starts = (start..end).step_by(3_600_000_000);
        starts.filter(|at| applies_at(window, day, calendar.minute_of(*at))).count()
    }

    #[test]
    fn windows_follow_the_local_clock_on_days_of_a_clock_change() {
        // In Berlin, the hour from two to three occurs twice on 25 October 2026, and does not occur on 29 March.
        let (early, night, day) = (window(2, 3), window(0, 6), window(8, 19));
        assert_eq!([hours(&early, "2026-10-24"), hours(&early, "2026-10-25"), hours(&early, "2026-03-29")], [1, 2, 0]);
        assert_eq!([hours(&night, "2026-10-24"), hours(&night, "2026-10-25"), hours(&night, "2026-03-29")], [6, 7, 5]);
        assert_eq!([hours(&day, "2026-10-24"), hours(&day, "2026-10-25"), hours(&day, "2026-03-29")], [11, 11, 11]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_date_on_which_it_begins() {
        // Fridays from 22:00 to 06:00. 2026-10-16 is a Friday.
        let friday = PriceWindow { days: [false, false, false, false, true, false, false], ..window(22, 6) };
        assert_eq!(["2026-10-15", "2026-10-16", "2026-10-17"].map(|date| hours(&friday, date)), [0, 2, 6]);
        let holiday = PriceWindow { except: vec![day_number("2026-10-16".parse().unwrap())], ..friday };
        assert_eq!(["2026-10-16", "2026-10-17"].map(|date| hours(&holiday, date)), [0, 0]);
    }
}
