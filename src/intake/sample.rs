//! One measured value of a stream, pending or committed.

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::model::evidence::Evidence;
use crate::rows;

/// Stream, time and record digest of a sample, and the file that delivered it.
pub type Delivery = (u64, i64, u64, u64);

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

    /// The stream and the id of the event, if the sample is of an event.
    pub fn event(&self) -> Option<(u64, u64)> {
        self.evidence.is_event(self.record_digest).then_some((self.stream_id, self.record_digest))
    }

    /// The values that distinguish all stored deliveries of samples.
    pub fn delivery(&self) -> Delivery {
        (self.stream_id, self.measured_at, self.record_digest, self.input_file_id)
    }

    /// The sort key: identity, then content, then origin. Among samples of one identity, the first sample is used.
    pub fn order(&self) -> impl Ord + use<> {
        // Among inferred states, the state from the earliest message is the first.
        let content = (self.evidence, self.reported_series_id, self.quantity, self.deleted, !self.created);
        (self.identity(), content, self.input_file_id, self.line)
    }
}

/// The samples of committed rows.
pub fn samples_of(batches: &[RecordBatch]) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let streams: &UInt64Array = rows::column(batch, "stream_id")?;
        let series: &UInt64Array = rows::column(batch, "reported_series_id")?;
        let times: &TimestampMicrosecondArray = rows::column(batch, "measured_at")?;
        let quantities: &Decimal128Array = rows::column(batch, "quantity")?;
        let created: &BooleanArray = rows::column(batch, "created")?;
        let deleted: &BooleanArray = rows::column(batch, "deleted")?;
        let is_state: &BooleanArray = rows::column(batch, "is_state")?;
        let is_backfilled: &BooleanArray = rows::column(batch, "is_backfilled")?;
        let digests: &UInt64Array = rows::column(batch, "record_digest")?;
        let files: &UInt64Array = rows::column(batch, "input_file_id")?;
        samples.extend((0..batch.num_rows()).map(|row| {
            let record_digest = digests.value(row);
            Sample {
                stream_id: streams.value(row),
                measured_at: times.value(row),
                record_digest,
                quantity: quantities.value(row),
                reported_series_id: series.value(row),
                input_file_id: files.value(row),
                line: 0,
                created: created.value(row),
                deleted: deleted.value(row),
                evidence: Evidence::from_digest(is_state.value(row), is_backfilled.value(row), record_digest),
            }
        }));
    }
    Ok(samples)
}
