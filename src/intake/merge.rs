//! De-duplication: what is new against what is committed, in one date and bucket.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use super::arrivals::Sorted;
use super::fact::Fact;
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// The facts that committed samples state.
pub fn facts_of(batches: &[RecordBatch]) -> Result<Vec<Fact>, Error> {
    let mut facts = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let streams: &UInt64Array = rows::column(batch, "stream_id")?;
        let series: &UInt64Array = rows::column(batch, "said_series_id")?;
        let times: &TimestampMicrosecondArray = rows::column(batch, "measured_at")?;
        let quantities: &Decimal128Array = rows::column(batch, "quantity")?;
        let created: &BooleanArray = rows::column(batch, "created")?;
        let deleted: &BooleanArray = rows::column(batch, "deleted")?;
        let digests: &UInt64Array = rows::column(batch, "record_digest")?;
        let files: &UInt64Array = rows::column(batch, "input_file_id")?;
        facts.extend((0..batch.num_rows()).map(|row| Fact {
            stream_id: streams.value(row),
            measured_at: times.value(row),
            record_digest: digests.value(row),
            quantity: quantities.value(row),
            said_series_id: series.value(row),
            input_file_id: files.value(row),
            line: 0,
            created: created.value(row),
            deleted: deleted.value(row),
        }));
    }
    Ok(facts)
}

/// How many facts of one file had which end.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub accepted: u64,
    /// The file was read before and brought it then.
    pub accepted_before: u64,
    pub duplicate: u64,
}

/// A fact that contradicts one that is known.
#[derive(Debug)]
pub struct Conflict {
    pub fact: Fact,
    pub known: Fact,
    /// Index of the file that brought the fact.
    pub file: u32,
}

/// What became of the facts that arrived for one date and bucket.
#[derive(Debug)]
pub struct Outcome {
    /// By index of the file.
    pub tallies: Vec<Tally>,
    pub conflicts: Vec<Conflict>,
}

/// What is new of the facts that arrived for one date and bucket, and what became of the others.
#[derive(Debug)]
pub struct Settled {
    /// Rows of `sample`, sorted by its grain.
    pub samples: Vec<RecordBatch>,
    pub outcome: Outcome,
}

/// The columns of `sample` as they grow.
#[derive(Default)]
struct Kept {
    stream_id: Vec<u64>,
    said_series_id: Vec<u64>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    created: Vec<bool>,
    deleted: Vec<bool>,
    record_digest: Vec<u64>,
    input_file_id: Vec<u64>,
}

impl Kept {
    fn with_capacity(rows: usize) -> Self {
        Self {
            stream_id: Vec::with_capacity(rows),
            said_series_id: Vec::with_capacity(rows),
            measured_at: Vec::with_capacity(rows),
            quantity: Vec::with_capacity(rows),
            created: Vec::with_capacity(rows),
            deleted: Vec::with_capacity(rows),
            record_digest: Vec::with_capacity(rows),
            input_file_id: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, fact: &Fact) {
        self.stream_id.push(fact.stream_id);
        self.said_series_id.push(fact.said_series_id);
        self.measured_at.push(fact.measured_at);
        self.quantity.push(fact.quantity);
        self.created.push(fact.created);
        self.deleted.push(fact.deleted);
        self.record_digest.push(fact.record_digest);
        self.input_file_id.push(fact.input_file_id);
    }

    fn into_rows(self) -> Result<RecordBatch, Error> {
        let quantity = Decimal128Array::from(self.quantity)
            .with_precision_and_scale(28, 9)
            .map_err(|source| rows::failed("sample", source))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.stream_id)),
            Arc::new(UInt64Array::from(self.said_series_id)),
            Arc::new(TimestampMicrosecondArray::from(self.measured_at).with_timezone("UTC")),
            Arc::new(quantity),
            Arc::new(BooleanArray::from(self.created)),
            Arc::new(BooleanArray::from(self.deleted)),
            Arc::new(UInt64Array::from(self.record_digest)),
            Arc::new(UInt64Array::from(self.input_file_id)),
        ];
        rows::batch(statement("intake/sample")?, columns)
    }
}

/// Keeps of what arrived what is not known, in the order of identity. `committed` is sorted by identity; `files` are
/// the ids of the files of this run.
///
/// The earlier commit wins; within one run the smallest content does. A loser that says the same is a duplicate, one
/// that says something else is a conflict and is listed.
pub fn settle(arrived: Sorted, committed: &[Fact], files: &[u64]) -> Result<Settled, Error> {
    let mut kept = Kept::with_capacity(arrived.rows());
    let mut tallies = vec![Tally::default(); files.len()];
    let mut conflicts = Vec::new();
    let mut next_committed = 0;
    // The same stream of one batch is rarely out of order, so its facts are sorted only where they are.
    let mut unsorted: Vec<(Fact, u32)> = Vec::new();
    let fact_at = |stream_id, row| {
        let file = arrived.file(row);
        (Fact { input_file_id: files[file as usize], ..arrived.fact(stream_id, row) }, file)
    };
    for (stream_id, rows) in arrived.streams() {
        while committed.get(next_committed).is_some_and(|known| known.stream_id < stream_id) {
            next_committed += 1;
        }
        let known_end = committed[next_committed..].partition_point(|known| known.stream_id == stream_id);
        let known = &committed[next_committed..next_committed + known_end];
        next_committed += known_end;
        if known.is_empty() && arrived.rises(rows.clone()) {
            for row in rows {
                let (fact, file) = fact_at(stream_id, row);
                kept.push(&fact);
                tallies[file as usize].accepted += 1;
            }
            continue;
        }
        unsorted.clear();
        unsorted.extend(rows.map(|row| fact_at(stream_id, row)));
        unsorted.sort_by(|(left, _), (right, _)| left.order().cmp(&right.order()));
        settle_stream(&unsorted, known, &mut kept, &mut tallies, &mut conflicts);
    }
    Ok(Settled { samples: vec![kept.into_rows()?], outcome: Outcome { tallies, conflicts } })
}

/// Settles the facts of one stream, in their full order.
fn settle_stream(
    arrived: &[(Fact, u32)],
    committed: &[Fact],
    kept: &mut Kept,
    tallies: &mut [Tally],
    conflicts: &mut Vec<Conflict>,
) {
    let mut next_committed = 0;
    let mut last_kept: Option<Fact> = None;
    // The last committed fact that its own file, read again, brought again.
    let mut brought_again = None;
    for (fact, file) in arrived {
        let tally = &mut tallies[*file as usize];
        while committed.get(next_committed).is_some_and(|known| known.identity() < fact.identity()) {
            next_committed += 1;
        }
        let in_lake = committed.get(next_committed).filter(|known| known.identity() == fact.identity());
        let known = in_lake.copied().or(last_kept.filter(|known| known.identity() == fact.identity()));
        let Some(known) = known else {
            tally.accepted += 1;
            kept.push(fact);
            last_kept = Some(*fact);
            continue;
        };
        let is_same = known.quantity == fact.quantity && known.deleted == fact.deleted;
        // Newer rules may describe the same record otherwise.
        if is_same
            && in_lake.is_some_and(|known| known.input_file_id == fact.input_file_id)
            && brought_again != Some(fact.identity())
        {
            brought_again = Some(fact.identity());
            tally.accepted_before += 1;
        } else if is_same && known.said_series_id == fact.said_series_id {
            tally.duplicate += 1;
        } else {
            conflicts.push(Conflict { fact: *fact, known, file: *file });
        }
    }
}
