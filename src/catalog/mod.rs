//! The catalog of streams and series: which resource a meter measures, and how it was described.

pub mod changed_days;
pub mod identity;
pub mod stored;
pub mod streams;
