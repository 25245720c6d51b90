//! The name of a time zone in the IANA time zone database.

use jiff::tz::TimeZone;

use super::table::{File, Text};
use crate::model::diagnostic::{Diagnostic, closest};

/// The time zone with a name. An unknown name is a problem.
pub(crate) fn time_zone(text: &Text, file: File<'_>) -> Option<TimeZone> {
    let known = TimeZone::get(&text.value).ok();
    if let Some(zone) = known.filter(|zone| zone.iana_name().is_some_and(|name| name != "Etc/Unknown")) {
        return Some(zone);
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let hint = match closest(&text.value, names.iter().map(String::as_str)) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => "use a name from the IANA time zone database, such as `Europe/Berlin`".to_owned(),
    };
    let message = format!("the time zone `{}` does not exist", text.value);
    let diagnostic = Diagnostic::error(file.codes.unknown_time_zone, message);
    file.problems.push(diagnostic.at(text.place.clone(), "unknown time zone").hint(hint));
    None
}
