//! Resolution of records to the streams and series of the meters that measure them.

pub mod binding;
pub mod collector;
pub mod record_group;
pub mod source_defaults;
