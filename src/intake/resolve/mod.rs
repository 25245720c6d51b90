//! From a record to the streams and series of the meters that use it.

pub mod binding;
pub mod collector;
pub mod record_group;
pub mod source_defaults;
