//! The unit of reading from a server.

/// A source meter and a half-open time range to fetch, in microseconds UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FetchWindow {
    pub source_meter: String,
    pub start: i64,
    pub end: i64,
}
