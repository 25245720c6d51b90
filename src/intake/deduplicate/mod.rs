//! Which samples are new: samples that wait for their date, and the merge with committed ones.

pub mod merge;
pub mod pending_samples;
