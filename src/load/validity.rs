//! `valid_from` and `valid_to` of rules and of rows of CSV files.

use super::instant::{instant, is_on_window, parse_instant};
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use crate::load::attachments::{Row, Rows};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::meter::Meter;

/// The inclusive start and the exclusive end in microseconds UTC. `None` means no bound.
pub(crate) type Validity = (Option<i64>, Option<i64>);

/// Takes both keys of a rule. If the meter of the rule exists, both instants must be starts of its windows.
pub(crate) fn take_validity(table: &mut Table<'_>, meter: Option<&Meter>, reader: &RuleReader<'_>) -> Validity {
    let from = table.take("valid_from");
    let to = table.take("valid_to");
    let start = from.as_ref().and_then(|value| moment(value, reader));
    let end = to.as_ref().and_then(|value| moment(value, reader));
    for (value, moment) in [(&from, start), (&to, end)] {
        if let (Some(value), Some(moment), Some(meter)) = (value, moment, meter) {
            check_window(moment, meter, value.name, &value.place(), reader);
        }
    }
    if let (Some(from), Some(to), Some(start), Some(end)) = (&from, &to, start, end)
        && start >= end
    {
        let diagnostic = Diagnostic::error("rules::empty_validity", "`valid_to` is not after `valid_from`")
            .at(to.place(), "ends here")
            .at(from.place(), "begins here");
        reader.problems.push(diagnostic.hint("`valid_to` is exclusive: for all of 2026, write 2027-01-01"));
    }
    (start, end)
}

/// The instant of a TOML date or time.
pub(crate) fn moment(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<i64> {
    let Some(datetime) = value.datetime() else {
        if value.as_str().is_some() {
            let diagnostic = Diagnostic::error(
                value.file.codes.wrong_type,
                format!("`{}` is text, expected a date or time", value.name),
            );
            reader.problems.push(
                diagnostic
                    .at(value.place(), "expected a date or time")
                    .hint("write the date without quotes, such as 2026-01-01"),
            );
        } else {
            value.refuse("a date or time");
        }
        return None;
    };
    match instant(&datetime, reader.time_zone) {
        Ok(instant) => Some(instant),
        Err(error) => {
            reader.problems.push(error.diagnostic(&datetime.to_string(), reader.time_zone, value.place()));
            None
        }
    }
}

/// Checks that an instant is the start of a window. A whole window has one price, so a price cannot change within it.
pub(crate) fn check_window(instant: i64, meter: &Meter, name: &str, place: &Place, reader: &RuleReader<'_>) {
    if is_on_window(instant, meter.window_seconds, reader.time_zone) {
        return;
    }
    let minutes = meter.window_seconds / 60;
    let window = if minutes.is_multiple_of(60) { format!("{}h", minutes / 60) } else { format!("{minutes}m") };
    let message = format!("`{name}` is not the start of a window of meter `{}`", meter.name);
    let hint = format!("windows of {window} are counted from local midnight; choose the start of a window");
    let diagnostic = Diagnostic::error("rules::off_window", message).at(place.clone(), "inside of a window");
    reader.problems.push(diagnostic.hint(hint));
}

/// The validity of a row of a CSV file, from its cells `valid_from` and `valid_to`. An absent or empty cell
/// means no bound. If a cell is not a time or the validity is empty, the problem is reported and the result is `None`.
pub(crate) fn cell_validity(file: &Rows, row: &Row, reader: &RuleReader<'_>) -> Option<Validity> {
    let cell = |name: &str| -> Result<Option<i64>, ()> {
        let Some(text) = file.column(name).map(|column| row.cells[column].as_str()).filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let time_zone = file.file.dialect.clock.time_zone.as_ref().unwrap_or(reader.time_zone);
        parse_instant(text, time_zone).map(Some).map_err(|error| {
            reader.problems.push(error.diagnostic(text, time_zone, row.place.clone()));
        })
    };
    let (from, to) = (cell("valid_from"), cell("valid_to"));
    let (from, to) = (from.ok()?, to.ok()?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        let diagnostic = Diagnostic::error("rules::empty_validity", "`valid_to` is not after `valid_from`");
        reader.problems.push(diagnostic.at(row.place.clone(), "this row"));
        return None;
    }
    Some((from, to))
}
