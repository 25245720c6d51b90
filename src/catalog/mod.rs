//! The catalog of streams and series: which resource a meter measures, and how it was described.

pub mod identity;
pub mod streams;
