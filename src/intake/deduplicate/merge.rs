//! De-duplication of the pending samples of one date and shard against the committed samples.

use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use crate::error::Error;
use crate::intake::deduplicate::pending_samples::Sorted;
use crate::intake::deduplicate::repeated_events::RepeatedEvents;
use crate::intake::deduplicate::retracted_records::RetractedRecords;
use crate::intake::sample::{Delivery, Sample};
use crate::model::evidence::Evidence;
use crate::rows;

/// The counts of one file's samples by outcome.
#[derive(Clone, Debug, Default)]
pub struct FileCounts {
    pub accepted: u64,
    /// Samples that were accepted when an earlier run read the same file.
    pub accepted_before: u64,
    pub duplicate: u64,
    /// Samples that equal a retracted record.
    pub retracted: u64,
}

/// The relation of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `sample`: the delivery counts.
    Sample,
    /// `repeated_event`.
    RepeatedEvent,
    /// `duplicate_sample`.
    Duplicate,
}

/// The committed deliveries of one date and shard.
#[derive(Debug, Default)]
pub struct Committed {
    /// The samples that count, sorted by identity. Inferred states of one instant are sorted by the time of their
    /// message.
    pub samples: Vec<Sample>,
    /// The repeated events: stream, time and digest.
    pub repeated: HashSet<(u64, i64, u64)>,
    /// The other deliveries of the files that are read again.
    pub read_before: HashSet<Delivery>,
}

/// A sample that contradicts a recorded sample, or has the same value with another description.
#[derive(Debug)]
pub struct Conflict {
    pub sample: Sample,
    pub existing: Sample,
    /// Index of the file of the new sample.
    pub file: u32,
}

/// The outcomes of the pending samples of one date and shard.
#[derive(Debug)]
pub struct DedupResult {
    /// The counts of each file, by the index of the file.
    pub file_counts: Vec<FileCounts>,
    pub conflicts: Vec<Conflict>,
}

/// The new deliveries of one date and shard, with the outcomes of all pending samples.
#[derive(Debug)]
pub struct Deduplicated {
    /// Rows of `sample`, sorted by its grain.
    pub samples: Vec<RecordBatch>,
    /// Rows of `repeated_event`.
    pub repeated: Vec<RecordBatch>,
    /// Rows of `duplicate_sample`.
    pub duplicates: Vec<RecordBatch>,
    pub outcome: DedupResult,
}

/// De-duplicates pending samples against committed samples. The new samples are in the order of identity. `files`
/// contains the ids of this run's files.
///
/// Among samples of one identity, the earlier commit wins. Within one run the smallest content wins. A losing sample
/// with the same content is a duplicate. A losing sample with other content is a conflict and is listed. Inferred
/// states are not conflicts: in every order of runs, the earliest message wins. Its state is stored in addition to a
/// state that an earlier run inferred from a later message. A state from a later message contradicts nothing, because
/// its attributes belong to the time of that message. A repeated event never counts.
pub fn deduplicate(
    mut pending: Sorted,
    stored: Committed,
    events: &RepeatedEvents,
    retracted: &RetractedRecords,
    files: &[u64],
) -> Result<Deduplicated, Error> {
    let Committed { samples: committed, repeated, read_before } = stored;
    let mut state = Deduplicating {
        files,
        events,
        retracted,
        repeated,
        read_before,
        places: vec![Some(Place::Sample); pending.rows()],
        file_counts: vec![FileCounts::default(); files.len()],
        conflicts: Vec::new(),
        delivered: HashSet::new(),
        with_sample: HashSet::new(),
    };
    let is_simple = events.is_empty() && retracted.is_empty();
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
            if existing.is_empty() && end == begin + 1 && is_simple {
                state.file_counts[pending.file(begin) as usize].accepted += 1;
            } else {
                state.merge_identity(&pending, stream_id, begin..end, existing);
            }
            begin = end;
        }
    }
    let Deduplicating { places, file_counts, conflicts, .. } = state;
    let outcome = DedupResult { file_counts, conflicts };
    let all = pending.into_samples(files)?;
    if places.iter().all(|place| *place == Some(Place::Sample)) {
        return Ok(Deduplicated { samples: vec![all], repeated: Vec::new(), duplicates: Vec::new(), outcome });
    }
    let at = |wanted: Place| -> Result<Vec<RecordBatch>, Error> {
        let is_wanted = BooleanArray::from_iter(places.iter().map(|place| Some(*place == Some(wanted))));
        Ok(vec![filter_record_batch(&all, &is_wanted).map_err(|source| rows::failed("sample", source))?])
    };
    Ok(Deduplicated {
        samples: at(Place::Sample)?,
        repeated: at(Place::RepeatedEvent)?,
        duplicates: at(Place::Duplicate)?,
        outcome,
    })
}

/// Whether a state is inferred from an earlier message than the other sample of the instant.
pub fn was_sent_before(sample: &Sample, other: &Sample) -> bool {
    sample.evidence.is_inferred() && sample.evidence < other.evidence
}

/// The state of de-duplicating one date and shard.
struct Deduplicating<'a> {
    files: &'a [u64],
    events: &'a RepeatedEvents,
    retracted: &'a RetractedRecords,
    /// The committed and the new rows of `repeated_event`.
    repeated: HashSet<(u64, i64, u64)>,
    read_before: HashSet<Delivery>,
    /// The relation of each pending sample, by row. A delivery is not stored if the same file has delivered the sample
    /// before, or if the record is retracted.
    places: Vec<Option<Place>>,
    file_counts: Vec<FileCounts>,
    conflicts: Vec<Conflict>,
    // Buffers for the deliveries of one identity, and for the digests of its samples that count.
    delivered: HashSet<Delivery>,
    with_sample: HashSet<u64>,
}

impl Deduplicating<'_> {
    /// De-duplicates pending samples of one identity, sorted by content, against the committed samples of this
    /// identity. The first committed sample is the valid sample.
    fn merge_identity(&mut self, pending: &Sorted, stream_id: u64, rows: Range<usize>, committed: &[Sample]) {
        let mut existing = committed.first().copied();
        // The committed samples that this run may find again if it reads their files again.
        let mut unmatched: Vec<&Sample> = committed.iter().collect();
        self.delivered.clear();
        self.with_sample.clear();
        self.delivered.extend(committed.iter().map(Sample::delivery));
        self.with_sample.extend(committed.iter().map(|sample| sample.record_digest));
        for row in rows {
            let (sample, file) = pending.sample(stream_id, row, self.files);
            let counts = &mut self.file_counts[file as usize];
            if self.retracted.contains(&sample) {
                counts.retracted += 1;
                self.places[row] = None;
                continue;
            }
            let earlier = self.events.earlier_delivery(&sample).copied();
            let valid = earlier.or(existing.filter(|existing| !was_sent_before(&sample, existing)));
            let Some(valid) = valid else {
                counts.accepted += 1;
                existing = Some(sample);
                self.delivered.insert(sample.delivery());
                self.with_sample.insert(sample.record_digest);
                continue;
            };
            // A reported deletion contradicts nothing, and neither does a state from a later message.
            let contradicts_nothing =
                (sample.deleted && sample.evidence == Evidence::Reported) || was_sent_before(&valid, &sample);
            let is_same = valid.deleted == sample.deleted && (contradicts_nothing || valid.quantity == sample.quantity);
            // The same record of the same file, even if newer rules give the record another description.
            let is_same_record = |committed: &&Sample| committed.delivery() == sample.delivery();
            let matched = unmatched.iter().position(is_same_record).filter(|_| is_same && earlier.is_none());
            if let Some(matched) = matched {
                unmatched.swap_remove(matched);
                counts.accepted_before += 1;
            } else if is_same && (contradicts_nothing || valid.reported_series_id == sample.reported_series_id) {
                counts.duplicate += 1;
            } else {
                self.conflicts.push(Conflict { sample, existing: valid, file });
            }
            let is_stored = !self.delivered.insert(sample.delivery()) || self.read_before.contains(&sample.delivery());
            let key = (stream_id, sample.measured_at, sample.record_digest);
            let is_first_of_event = || sample.event().is_some() && !self.with_sample.contains(&sample.record_digest);
            self.places[row] = match is_stored {
                true => None,
                false if is_first_of_event() && self.repeated.insert(key) => Some(Place::RepeatedEvent),
                false => Some(Place::Duplicate),
            };
        }
    }
}
