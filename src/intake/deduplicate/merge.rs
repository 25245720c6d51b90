//! De-duplication of the pending samples of one date and bucket against the committed samples.

use std::ops::Range;

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::intake::deduplicate::pending_samples::Sorted;
use crate::intake::sample::Sample;
use crate::model::evidence::Evidence;
use crate::rows;

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
        let assumed: &BooleanArray = rows::column(batch, "assumed")?;
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
                evidence: Evidence::from_digest(is_state.value(row), assumed.value(row), record_digest),
            }
        }));
    }
    Ok(samples)
}

/// The counts of one file's samples by outcome.
#[derive(Clone, Debug, Default)]
pub struct FileCounts {
    pub accepted: u64,
    /// Samples that were accepted when an earlier run read the same file.
    pub accepted_before: u64,
    pub duplicate: u64,
}

/// A sample that contradicts a recorded sample, or has the same value with another description.
#[derive(Debug)]
pub struct Conflict {
    pub sample: Sample,
    pub existing: Sample,
    /// Index of the file of the new sample.
    pub file: u32,
}

/// The outcomes of the pending samples of one date and bucket.
#[derive(Debug)]
pub struct DedupResult {
    /// The counts of each file, by the index of the file.
    pub file_counts: Vec<FileCounts>,
    pub conflicts: Vec<Conflict>,
}

/// The new samples of one date and bucket, with the outcomes of all pending samples.
#[derive(Debug)]
pub struct Deduplicated {
    /// Rows of `sample`, sorted by its grain.
    pub samples: Vec<RecordBatch>,
    pub outcome: DedupResult,
}

/// De-duplicates pending samples against committed samples. The new samples are in the order of identity.
///
/// `committed` is sorted by identity. Inferred states of one instant are sorted by the time of their message. `files`
/// contains the ids of this run's files.
///
/// Among samples of one identity, the earlier commit wins. Within one run the smallest content wins. A losing sample
/// with the same content is a duplicate. A losing sample with other content is a conflict and is listed. Inferred
/// states are not conflicts: in every order of runs, the earliest message wins. Its state is stored in addition to a
/// state that an earlier run inferred from a later message. A state from a later message contradicts nothing, because
/// its attributes belong to the time of that message.
pub fn deduplicate(mut pending: Sorted, committed: &[Sample], files: &[u64]) -> Result<Deduplicated, Error> {
    let mut state = Deduplicating {
        is_new: vec![true; pending.rows()],
        file_counts: vec![FileCounts::default(); files.len()],
        conflicts: Vec::new(),
    };
    let mut next_committed = 0;
    for (stream_id, rows) in pending.streams() {
        pending.sort_stream(stream_id, rows.clone(), files);
        let mut begin = rows.start;
        while begin < rows.end {
            let identity = pending.identity(stream_id, begin);
            let end = (begin + 1..rows.end).find(|row| pending.identity(stream_id, *row) != identity);
            let end = end.unwrap_or(rows.end);
            while committed.get(next_committed).is_some_and(|existing| existing.identity() < identity) {
                next_committed += 1;
            }
            let existing = &committed[next_committed..];
            let existing = &existing[..existing.iter().take_while(|existing| existing.identity() == identity).count()];
            if existing.is_empty() && end == begin + 1 {
                state.file_counts[pending.file(begin) as usize].accepted += 1;
            } else {
                state.merge_identity(&pending, stream_id, begin..end, existing, files);
            }
            begin = end;
        }
    }
    let Deduplicating { is_new, file_counts, conflicts } = state;
    Ok(Deduplicated {
        samples: vec![pending.into_samples(&is_new, files)?],
        outcome: DedupResult { file_counts, conflicts },
    })
}

/// Whether a state is inferred from an earlier message than the other sample of the instant.
fn was_sent_before(sample: &Sample, other: &Sample) -> bool {
    sample.evidence.is_inferred() && sample.evidence < other.evidence
}

/// The state of de-duplicating one date and bucket.
struct Deduplicating {
    /// Whether each pending sample is new, by row.
    is_new: Vec<bool>,
    file_counts: Vec<FileCounts>,
    conflicts: Vec<Conflict>,
}

impl Deduplicating {
    /// De-duplicates pending samples of one identity, sorted by content, against the committed samples of this
    /// identity. The first committed sample is the valid sample.
    fn merge_identity(
        &mut self,
        pending: &Sorted,
        stream_id: u64,
        rows: Range<usize>,
        committed: &[Sample],
        files: &[u64],
    ) {
        let mut existing = committed.first().copied();
        // The committed samples that this run may find again if it reads their files again.
        let mut unmatched: Vec<&Sample> = committed.iter().collect();
        for row in rows {
            let (sample, file) = pending.sample(stream_id, row, files);
            let counts = &mut self.file_counts[file as usize];
            let Some(existing) = existing.filter(|existing| !was_sent_before(&sample, existing)) else {
                counts.accepted += 1;
                existing = Some(sample);
                continue;
            };
            self.is_new[row] = false;
            // A reported deletion contradicts nothing, and neither does a state from a later message.
            let contradicts_nothing =
                (sample.deleted && sample.evidence == Evidence::Reported) || was_sent_before(&existing, &sample);
            let is_same =
                existing.deleted == sample.deleted && (contradicts_nothing || existing.quantity == sample.quantity);
            // The same record of the same file, even if newer rules give the record another description.
            let is_same_record = |committed: &&Sample| {
                (committed.record_digest, committed.input_file_id) == (sample.record_digest, sample.input_file_id)
            };
            let matched = unmatched.iter().position(is_same_record).filter(|_| is_same);
            if let Some(matched) = matched {
                unmatched.swap_remove(matched);
                counts.accepted_before += 1;
            } else if is_same && (contradicts_nothing || existing.reported_series_id == sample.reported_series_id) {
                counts.duplicate += 1;
            } else {
                self.conflicts.push(Conflict { sample, existing, file });
            }
        }
    }
}
