//! The records that were retracted one by one. Their deliveries do not count, whichever file contains them.

use std::collections::HashSet;

use arrow::array::{Array, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::intake::sample::Sample;
use crate::rows;

/// The values that identify a retracted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetractedRecord {
    pub stream_id: u64,
    /// `None` for an event, which is the same at every time.
    pub measured_at: Option<i64>,
    pub record_digest: u64,
    /// The series and the quantity, if the record has no id. Other values at the same instant are a corrected record.
    pub content: Option<(u64, i128)>,
}

impl RetractedRecord {
    pub fn of(sample: &Sample) -> Self {
        let has_id = sample.evidence.has_record_id(sample.record_digest);
        Self {
            stream_id: sample.stream_id,
            measured_at: sample.event().is_none().then_some(sample.measured_at),
            record_digest: sample.record_digest,
            content: (!has_id).then_some((sample.reported_series_id, sample.quantity)),
        }
    }
}

/// All retracted records.
#[derive(Debug, Default)]
pub struct RetractedRecords(HashSet<RetractedRecord>);

impl RetractedRecords {
    /// The records in rows of `retracted_record`.
    pub fn load(batches: &[RecordBatch]) -> Result<Self, Error> {
        let mut records = HashSet::new();
        for batch in batches {
            let streams: &UInt64Array = rows::column(batch, "stream_id")?;
            let times: &TimestampMicrosecondArray = rows::column(batch, "measured_at")?;
            let digests: &UInt64Array = rows::column(batch, "record_digest")?;
            let series: &UInt64Array = rows::column(batch, "reported_series_id")?;
            let quantities: &Decimal128Array = rows::column(batch, "quantity")?;
            records.extend((0..batch.num_rows()).map(|row| RetractedRecord {
                stream_id: streams.value(row),
                measured_at: times.is_valid(row).then(|| times.value(row)),
                record_digest: digests.value(row),
                content: quantities.is_valid(row).then(|| (series.value(row), quantities.value(row))),
            }));
        }
        Ok(Self(records))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, sample: &Sample) -> bool {
        !self.is_empty() && self.0.contains(&RetractedRecord::of(sample))
    }
}
