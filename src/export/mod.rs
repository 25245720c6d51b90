//! Export: the contents of files for finance. The callers write the files.

pub mod csv;
pub mod journal;
