//! The catalog of streams and series: the resources that meters measure, with their projects and dimensions.

pub mod changed_days;
pub mod identity;
pub mod stored;
pub mod streams;
