//! One measured value of a stream, pending or committed.

use crate::model::evidence::Evidence;

/// A measured value with its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub stream_id: u64,
    pub measured_at: i64,
    pub record_digest: u64,
    /// In units of the ninth decimal place.
    pub quantity: i128,
    pub reported_series_id: u64,
    pub input_file_id: u64,
    pub line: u32,
    pub created: bool,
    pub deleted: bool,
    pub evidence: Evidence,
}

impl Sample {
    /// The values that identify a sample.
    pub fn identity(&self) -> (u64, i64, u64) {
        (self.stream_id, self.measured_at, self.evidence.identity(self.record_digest))
    }

    /// The sort key: identity, then content, then origin. Among samples of one identity, the first sample is used.
    pub fn order(&self) -> impl Ord + use<> {
        // Among inferred states, the state from the earliest message is the first.
        let content = (self.evidence, self.reported_series_id, self.quantity, self.deleted, !self.created);
        (self.identity(), content, self.input_file_id, self.line)
    }
}
