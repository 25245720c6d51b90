//! `windows`: other prices at certain local times.

use toml::value::Datetime;

use super::keys;
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::meter::Meter;
use crate::model::period::{date_of, day_number};
use crate::model::rule::PriceWindow;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MIDNIGHT: u16 = 24 * 60;

/// Takes the key `windows`. An invalid window is a problem and is omitted.
pub(crate) fn take_price_windows(
    table: &mut Table<'_>,
    meter: Option<&Meter>,
    reader: &RuleReader<'_>,
) -> Vec<PriceWindow> {
    let Some(value) = table.take("windows") else { return Vec::new() };
    let tables = value.tables(&keys::PRICE_WINDOW).unwrap_or_default();
    let windows: Vec<(PriceWindow, Place)> = tables
        .into_iter()
        .filter_map(|table| {
            let place = table.place();
            Some((price_window(table, meter, reader)?, place))
        })
        .collect();
    warn_of_unreachable_windows(&windows, reader);
    windows.into_iter().map(|(window, _)| window).collect()
}

/// Warns of windows that never apply, because the first matching window wins. The check reports only certain cases: an
/// earlier window over midnight covers only a window with the same times.
fn warn_of_unreachable_windows(windows: &[(PriceWindow, Place)], reader: &RuleReader<'_>) {
    for (number, (window, place)) in windows.iter().enumerate() {
        let message =
            if !window.dates.is_empty() && !window.dates.iter().any(|date| applies_on(window, Day::date(*date))) {
                "the price window never applies: none of its `dates` is in its `days` and `months`".to_owned()
            } else if number > 0 && days_of(window).all(|day| is_covered(window, day, &windows[..number])) {
                "the price window never applies: earlier windows apply at all of its times".to_owned()
            } else {
                continue;
            };
        let diagnostic = Diagnostic::warning("rules::unreachable_window", message).at(place.clone(), "never applies");
        reader.problems.push(diagnostic.hint("the first matching window wins; list narrower windows first"));
    }
}

/// A single date, or all dates with a certain month and weekday.
#[derive(Clone, Copy)]
struct Day {
    date: Option<i32>,
    weekday: usize,
    month: usize,
}

impl Day {
    fn date(date: i32) -> Self {
        let civil = date_of(date);
        let index = |number: i8| usize::try_from(number).unwrap_or(0);
        Self {
            date: Some(date),
            weekday: index(civil.weekday().to_monday_zero_offset()),
            month: index(civil.month() - 1),
        }
    }
}

/// Whether a window certainly applies at some time of a day.
fn applies_on(window: &PriceWindow, day: Day) -> bool {
    let dated = match day.date {
        Some(date) => (window.dates.is_empty() || window.dates.contains(&date)) && !window.except.contains(&date),
        None => window.dates.is_empty() && window.except.is_empty(),
    };
    dated && window.days[day.weekday] && window.months[day.month]
}

/// The days on which a window applies: its dates, or its months and weekdays.
fn days_of(window: &PriceWindow) -> Box<dyn Iterator<Item = Day> + '_> {
    if !window.dates.is_empty() {
        let dates = window.dates.iter().map(|date| Day::date(*date));
        return Box::new(dates.filter(|day| applies_on(window, *day)));
    }
    let each = (0..12).flat_map(|month| (0..7).map(move |weekday| Day { date: None, weekday, month }));
    Box::new(each.filter(|day| window.days[day.weekday] && window.months[day.month]))
}

/// Whether earlier windows apply at all times of a window on one day.
fn is_covered(window: &PriceWindow, day: Day, earlier: &[(PriceWindow, Place)]) -> bool {
    let (from, to) = (window.from_minute, window.to_minute);
    let on_day: Vec<&PriceWindow> =
        earlier.iter().map(|(window, _)| window).filter(|window| applies_on(window, day)).collect();
    if from >= to {
        return on_day.iter().any(|other| (other.from_minute, other.to_minute) == (from, to));
    }
    let mut spans: Vec<(u16, u16)> =
        on_day.iter().map(|other| (other.from_minute, other.to_minute)).filter(|(from, to)| from < to).collect();
    spans.sort_unstable();
    let covered_until =
        spans.into_iter().fold(from, |until, (start, end)| if start <= until { until.max(end) } else { until });
    covered_until >= to
}

fn price_window(mut table: Table<'_>, meter: Option<&Meter>, reader: &RuleReader<'_>) -> Option<PriceWindow> {
    let days = table.take("days").map(|value| ranges(&value, &DAYS, reader));
    let months = table.take("months").map(|value| ranges(&value, &MONTHS, reader));
    let from = table.take("from").map(|value| minute(&value, meter, reader));
    let to = table.take("to").map(|value| minute(&value, meter, reader));
    let dates = table.take("dates").map(|value| dates(&value));
    let except = table.take("except").map(|value| dates_or_none(&value));
    let unit_price = table.require("unit_price").and_then(|value| value.non_negative());
    table.finish();
    Some(PriceWindow {
        days: days.unwrap_or(Some([true; 7]))?,
        months: months.unwrap_or(Some([true; 12]))?,
        from_minute: from.unwrap_or(Some(0))?,
        to_minute: to.unwrap_or(Some(MIDNIGHT))?,
        dates: dates.unwrap_or(Some(Vec::new()))?,
        except: except.unwrap_or(Some(Vec::new()))?,
        unit_price: unit_price?,
    })
}

/// Reads `mon-fri`, `sun`, or a list of such texts. A range may continue past the end of the week or year, such as
/// `sat-mon`.
fn ranges<const N: usize>(value: &Value<'_>, names: &[&str; N], reader: &RuleReader<'_>) -> Option<[bool; N]> {
    let texts = if value.as_str().is_some() { vec![value.text()?] } else { value.texts()? };
    let mut selected = [false; N];
    for text in texts {
        let (first, last) = text.value.split_once('-').unwrap_or((&text.value, &text.value));
        let index = |name: &str| names.iter().position(|known| *known == name.trim().to_ascii_lowercase());
        let (Some(first), Some(last)) = (index(first), index(last)) else {
            let message = format!("`{}` is not a value of `{}`", text.value, value.name);
            let hint = format!("write {}, or a range such as {}-{}", names.join(", "), names[0], names[4]);
            let diagnostic = Diagnostic::error("rules::unknown_word", message);
            reader.problems.push(diagnostic.at(text.place, "unknown value").hint(hint));
            return None;
        };
        let mut at = first;
        selected[at] = true;
        while at != last {
            at = (at + 1) % N;
            selected[at] = true;
        }
    }
    Some(selected)
}

/// Reads a time of day such as `08:00`, in minutes since midnight on the local clock.
fn minute(value: &Value<'_>, meter: Option<&Meter>, reader: &RuleReader<'_>) -> Option<u16> {
    let text = value.text()?;
    let parsed = text.value.split_once(':').and_then(|(hours, minutes)| {
        let digits = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
        let total = digits(hours)? * 60 + digits(minutes).filter(|minutes| *minutes < 60)?;
        (total <= MIDNIGHT).then_some(total)
    });
    let Some(minute) = parsed else {
        let message = format!("`{}` is \"{}\", expected a time of day", value.name, text.value);
        let diagnostic = Diagnostic::error("rules::bad_time", message).at(text.place, "not a time of day");
        reader.problems.push(diagnostic.hint("write a time from \"00:00\" to \"24:00\", such as \"08:00\""));
        return None;
    };
    if let Some(meter) = meter
        && !(u32::from(minute) * 60).is_multiple_of(meter.window_seconds)
    {
        let length = meter.window_seconds / 60;
        let message = format!("`{}` is not the start of a window of meter `{}`", value.name, meter.name);
        let hint = format!("windows of {length} minutes are counted from midnight; choose the start of a window");
        let diagnostic = Diagnostic::error("rules::off_window", message).at(text.place, "inside of a window");
        reader.problems.push(diagnostic.hint(hint));
        return None;
    }
    Some(minute)
}

fn dates(value: &Value<'_>) -> Option<Vec<i32>> {
    let days = dates_or_none(value)?;
    if days.is_empty() {
        value.refuse("at least one date");
        return None;
    }
    Some(days)
}

fn dates_or_none(value: &Value<'_>) -> Option<Vec<i32>> {
    let elements = value.elements("an array of dates")?;
    let mut days: Vec<i32> = elements.iter().map(date).collect::<Option<_>>()?;
    days.sort_unstable();
    Some(days)
}

fn date(value: &Value<'_>) -> Option<i32> {
    let day = match value.datetime() {
        Some(Datetime { date: Some(date), time: None, .. }) => {
            let part = |number: u8| i8::try_from(number).ok();
            i16::try_from(date.year)
                .ok()
                .zip(part(date.month).zip(part(date.day)))
                .and_then(|(year, (month, day))| jiff::civil::Date::new(year, month, day).ok())
        }
        _ => None,
    };
    if day.is_none() {
        value.refuse("a date without quotes, such as 2026-12-25");
    }
    day.map(day_number)
}
