//! One measured fact of a stream, as it arrived or as it stands in the lake.

use crate::model::evidence::Evidence;

/// A fact with where it came from.
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
    pub standing: Evidence,
}

impl Sample {
    /// What makes it this fact and no other.
    pub fn identity(&self) -> (u64, i64, u64) {
        (self.stream_id, self.measured_at, self.standing.identity(self.record_digest))
    }

    /// Identity, then content, then where it stood: the order in which the first of equals is chosen.
    pub fn order(&self) -> impl Ord + use<> {
        // Of what was concluded, what was said first comes first.
        let content = (self.standing, self.reported_series_id, self.quantity, self.deleted, !self.created);
        (self.identity(), content, self.input_file_id, self.line)
    }
}
