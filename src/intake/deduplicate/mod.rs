//! De-duplication: the buffer of pending samples, and the merge with committed samples.

pub mod merge;
pub mod pending_samples;
