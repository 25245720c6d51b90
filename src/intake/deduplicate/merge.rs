//! De-duplication: what is new against what is committed, in one date and bucket.

use std::ops::Range;

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::intake::deduplicate::pending_samples::Sorted;
use crate::intake::sample::Sample;
use crate::model::evidence::Evidence;
use crate::rows;

/// The facts that committed samples state.
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
                standing: Evidence::from_digest(is_state.value(row), assumed.value(row), record_digest),
            }
        }));
    }
    Ok(samples)
}

/// How many facts of one file had which end.
#[derive(Clone, Debug, Default)]
pub struct FileCounts {
    pub accepted: u64,
    /// The file was read before and brought it then.
    pub accepted_before: u64,
    pub duplicate: u64,
}

/// A fact that says something else than the one that is known, or the same of a thing that it describes otherwise.
#[derive(Debug)]
pub struct Conflict {
    pub fact: Sample,
    pub known: Sample,
    /// Index of the file that brought the fact.
    pub file: u32,
}

/// What became of the facts that arrived for one date and bucket.
#[derive(Debug)]
pub struct DedupResult {
    /// By index of the file.
    pub tallies: Vec<FileCounts>,
    pub conflicts: Vec<Conflict>,
}

/// What is new of the facts that arrived for one date and bucket, and what became of the others.
#[derive(Debug)]
pub struct Deduplicated {
    /// Rows of `sample`, sorted by its grain.
    pub samples: Vec<RecordBatch>,
    pub outcome: DedupResult,
}

/// Keeps of what arrived what is not known, in the order of identity. `committed` is sorted by identity, and
/// what is concluded of an instant by when it was said; `files` are the ids of the files of this run.
///
/// The earlier commit wins; within one run the smallest content does. A loser that says the same is a duplicate, one
/// that says something else is a conflict and is listed. What is concluded of an instant is no such contest: whatever
/// the order of nights, what was said first counts, so it is kept beside what an earlier night concluded from a later
/// message, and what was said later contradicts nothing: it is of its own time.
pub fn deduplicate(mut arrived: Sorted, committed: &[Sample], files: &[u64]) -> Result<Deduplicated, Error> {
    let mut settling = Deduplicating {
        is_kept: vec![true; arrived.rows()],
        tallies: vec![FileCounts::default(); files.len()],
        conflicts: Vec::new(),
    };
    let mut next_committed = 0;
    for (stream_id, rows) in arrived.streams() {
        arrived.sort_stream(stream_id, rows.clone(), files);
        let mut begin = rows.start;
        while begin < rows.end {
            let identity = arrived.identity(stream_id, begin);
            let end = (begin + 1..rows.end).find(|row| arrived.identity(stream_id, *row) != identity);
            let end = end.unwrap_or(rows.end);
            while committed.get(next_committed).is_some_and(|known| known.identity() < identity) {
                next_committed += 1;
            }
            let known = &committed[next_committed..];
            let known = &known[..known.iter().take_while(|known| known.identity() == identity).count()];
            if known.is_empty() && end == begin + 1 {
                settling.tallies[arrived.file(begin) as usize].accepted += 1;
            } else {
                settling.same_identity(&arrived, stream_id, begin..end, known, files);
            }
            begin = end;
        }
    }
    let Deduplicating { is_kept, tallies, conflicts } = settling;
    Ok(Deduplicated {
        samples: vec![arrived.into_samples(&is_kept, files)?],
        outcome: DedupResult { tallies, conflicts },
    })
}

/// Whether the one is concluded of an instant from an earlier message than the other.
fn is_said_before(one: &Sample, other: &Sample) -> bool {
    one.standing.is_inferred() && one.standing < other.standing
}

struct Deduplicating {
    /// By row of what arrived.
    is_kept: Vec<bool>,
    tallies: Vec<FileCounts>,
    conflicts: Vec<Conflict>,
}

impl Deduplicating {
    /// Settles facts of one identity, in the order of their content, against those that are committed, of which the
    /// first counts.
    fn same_identity(
        &mut self,
        arrived: &Sorted,
        stream_id: u64,
        rows: Range<usize>,
        in_lake: &[Sample],
        files: &[u64],
    ) {
        let mut known = in_lake.first().copied();
        // The committed facts that their own files, read again, may bring again.
        let mut to_be_brought: Vec<&Sample> = in_lake.iter().collect();
        for row in rows {
            let (fact, file) = arrived.fact(stream_id, row, files);
            let tally = &mut self.tallies[file as usize];
            let Some(known) = known.filter(|known| !is_said_before(&fact, known)) else {
                tally.accepted += 1;
                known = Some(fact);
                continue;
            };
            self.is_kept[row] = false;
            // What is said of what is gone contradicts nothing, and neither does what was concluded later.
            let contradicts_nothing =
                (fact.deleted && fact.standing == Evidence::Reported) || is_said_before(&known, &fact);
            let is_same = known.deleted == fact.deleted && (contradicts_nothing || known.quantity == fact.quantity);
            // Newer rules may describe the same record otherwise.
            let is_it = |in_lake: &&Sample| {
                (in_lake.record_digest, in_lake.input_file_id) == (fact.record_digest, fact.input_file_id)
            };
            let brought = to_be_brought.iter().position(is_it).filter(|_| is_same);
            if let Some(brought) = brought {
                to_be_brought.swap_remove(brought);
                tally.accepted_before += 1;
            } else if is_same && (contradicts_nothing || known.reported_series_id == fact.reported_series_id) {
                tally.duplicate += 1;
            } else {
                self.conflicts.push(Conflict { fact, known, file });
            }
        }
    }
}
