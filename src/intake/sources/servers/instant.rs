//! The format of instants in Gnocchi's API.

use jiff::Timestamp;

/// An instant in RFC 3339 with an offset. Gnocchi also reads an instant without an offset as UTC, but does not document
/// this.
pub(super) fn instant(microseconds: i64) -> String {
    let instant = Timestamp::from_microsecond(microseconds).map_or_else(|_| String::new(), |at| at.to_string());
    instant.replace('Z', "+00:00")
}
