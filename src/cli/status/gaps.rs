//! `conto status --gaps`: the hours in which a source delivered no sample, as a calendar.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::billed_period::BilledPeriod;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::model::period::date_of;
use crate::query::Parameters;
use crate::rows::relations::{CoveredHour, Rows};

const HOUR: i64 = 3_600_000_000;
const HOURS_OF_DAY: i64 = 24;

/// A date on which a source delivered no sample of a meter for an hour or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Gap {
    source: String,
    meter: String,
    /// The date in UTC.
    date: String,
    /// One character for each hour: `#` with samples, `.` without, a space outside of the examined time.
    hours: String,
    missing_hours: usize,
}

/// Prints the gaps of a period. For each source and meter, the examined time starts with the first sample. If the
/// source delivered a sample on the day before, the examined time starts with the period. It ends with the period, or
/// at the current time.
pub(super) async fn show(context: &Context, books: &BilledPeriod) -> Result<(), Failure> {
    let period = books.period;
    let day_before = date_of(period.start_day() - 1).to_string();
    let is_read = |date: &str| period.has_date(date) || date == day_before;
    books.register("intake/sample", |file| is_read(&file.partition)).await?;
    books.register("intake/stream", |_| true).await?;
    books.register("intake/input_file", |_| true).await?;
    let mut covered: BTreeMap<(String, String), BTreeSet<i64>> = BTreeMap::new();
    let rows = books.session.run("report/covered_hour", Parameters::none()).await?;
    for row in Rows::<CoveredHour>::read(&rows)?.iter() {
        let key = (row.source().to_owned(), row.meter().to_owned());
        covered.entry(key).or_default().insert(row.hour_start().div_euclid(HOUR));
    }
    let start = books.calendar()?.day_start(period.start_day()).div_euclid(HOUR);
    let end = books.calendar()?.day_start(period.end_day());
    let end = end.min(Zoned::now().timestamp().as_microsecond());
    let gaps: Vec<Gap> = covered
        .iter()
        .flat_map(|((source, meter), hours)| gaps_of(source, meter, hours, start..end.div_euclid(HOUR)))
        .collect();
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&gaps);
        return Ok(());
    }
    let until = Timestamp::from_microsecond(end).map_or_else(|_| String::new(), |end| format!("{end:.0}"));
    if covered.is_empty() || end.div_euclid(HOUR) <= start {
        printer.line(&format!("There are no samples of {period}."));
    } else if gaps.is_empty() {
        printer.line(&format!("Every hour of {period} has samples, up to {until}."));
    } else {
        printer.line(&format!("Hours without samples (`.`), in UTC, up to {until}\n"));
        let cells = |gap: &Gap| {
            let missing = gap.missing_hours.to_string();
            vec![gap.source.clone(), gap.meter.clone(), gap.date.clone(), gap.hours.clone(), missing]
        };
        let table: Vec<Vec<String>> = gaps.iter().map(cells).collect();
        printer.table(&["source", "meter", "date", "0     6     12    18", "missing"], &table, &[4]);
    }
    Ok(())
}

/// The dates with uncovered hours in `examined`, from the first covered hour on. Hours are counted from 1970.
fn gaps_of(source: &str, meter: &str, covered: &BTreeSet<i64>, examined: Range<i64>) -> Vec<Gap> {
    let Some(first) = covered.first().copied() else { return Vec::new() };
    let examined = first.max(examined.start)..examined.end;
    let days = examined.start.div_euclid(HOURS_OF_DAY)..=(examined.end - 1).div_euclid(HOURS_OF_DAY);
    let gap_of = |day: i64| {
        let hour = |hour: i64| match hour {
            hour if !examined.contains(&hour) => ' ',
            hour if covered.contains(&hour) => '#',
            _ => '.',
        };
        let hours: String = (day * HOURS_OF_DAY..(day + 1) * HOURS_OF_DAY).map(hour).collect();
        let missing_hours = hours.matches('.').count();
        let date = date_of(i32::try_from(day).unwrap_or_default()).to_string();
        let gap = Gap { source: source.to_owned(), meter: meter.to_owned(), date, hours, missing_hours };
        (missing_hours > 0).then_some(gap)
    };
    days.filter_map(gap_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_between_the_first_sample_and_the_end() {
        // The covered hours: 1970-01-02 from 02:00 on except 05:00 and 06:00, and only 00:00 of 1970-01-03.
        let covered: BTreeSet<i64> = (26..48).filter(|hour| ![29, 30].contains(hour)).chain([48]).collect();
        let gaps = gaps_of("polls", "instance", &covered, 0..52);
        let shown: Vec<(&str, &str, usize)> =
            gaps.iter().map(|gap| (&gap.date[..], &gap.hours[..], gap.missing_hours)).collect();
        assert_eq!(
            shown,
            [("1970-01-02", "  ###..#################", 2), ("1970-01-03", "#...                    ", 3)]
        );
        assert!(gaps_of("polls", "instance", &covered, 0..29).is_empty());
        assert!(gaps_of("polls", "instance", &BTreeSet::new(), 0..52).is_empty());
        // A sample on the day before makes the start of the period a gap.
        let before = BTreeSet::from([40]);
        let gaps = gaps_of("polls", "instance", &before, 48..51);
        assert_eq!((gaps.len(), &gaps[0].hours[..], gaps[0].missing_hours), (1, "...                     ", 3));
    }
}
