//! The time of a source meter that one request covers.

/// One thing to ask: what a source meter measured in a part of time, in microseconds UTC, half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchWindow {
    pub source_meter: String,
    pub start: i64,
    pub end: i64,
}
