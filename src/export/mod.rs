//! Export: files for finance, as bytes. Nothing here opens a file.

pub mod csv;
pub mod journal;
pub mod usage_rows;
