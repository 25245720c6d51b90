//! De-duplication: what is new against what is committed, in one date and bucket.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use super::collector::{Collector, Fact};
use crate::money::Quantity;
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

/// Rows of `sample` for facts.
pub fn samples_of(facts: &[Fact]) -> Result<RecordBatch, Error> {
    let quantities = rows::decimals(facts.iter().map(|fact| Some(fact.quantity)), 28, 9)?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(facts.iter().map(|fact| fact.stream_id))),
        Arc::new(UInt64Array::from_iter_values(facts.iter().map(|fact| fact.said_series_id))),
        Arc::new(rows::timestamps(facts.iter().map(|fact| Some(fact.measured_at)))),
        Arc::new(quantities),
        Arc::new(BooleanArray::from_iter(facts.iter().map(|fact| Some(fact.created)))),
        Arc::new(BooleanArray::from_iter(facts.iter().map(|fact| Some(fact.deleted)))),
        Arc::new(UInt64Array::from_iter_values(facts.iter().map(|fact| fact.record_digest))),
        Arc::new(UInt64Array::from_iter_values(facts.iter().map(|fact| fact.input_file_id))),
    ];
    rows::batch(statement("intake/sample")?, columns)
}

/// Keeps of `arrived` what is not known, in the order of identity. `committed` is sorted by identity.
///
/// The earlier commit wins; within one run the smallest content does. A loser that says the same is a duplicate, one
/// that says something else is a conflict and is listed.
pub fn new_facts(collector: &mut Collector<'_>, mut arrived: Vec<Fact>, committed: &[Fact]) -> Vec<Fact> {
    arrived.sort_unstable_by(|left, right| left.order().cmp(&right.order()));
    let mut kept: Vec<Fact> = Vec::with_capacity(arrived.len());
    let mut next_committed = 0;
    // The last committed fact that its own file, read again, brought again.
    let mut brought_again = None;
    for fact in arrived {
        while next_committed < committed.len() && committed[next_committed].identity() < fact.identity() {
            next_committed += 1;
        }
        let in_lake = committed.get(next_committed).filter(|known| known.identity() == fact.identity());
        let known = in_lake.or_else(|| kept.last().filter(|known| known.identity() == fact.identity()));
        let Some(known) = known.copied() else {
            collector.counts.entry(fact.input_file_id).or_default().accepted += 1;
            kept.push(fact);
            continue;
        };
        let is_same = known.quantity == fact.quantity && known.deleted == fact.deleted;
        // Newer rules may describe the same record otherwise.
        if is_same
            && in_lake.is_some_and(|known| known.input_file_id == fact.input_file_id)
            && brought_again != Some(fact.identity())
        {
            brought_again = Some(fact.identity());
            collector.counts.entry(fact.input_file_id).or_default().accepted_before += 1;
            continue;
        }
        if is_same && known.said_series_id == fact.said_series_id {
            collector.counts.entry(fact.input_file_id).or_default().duplicate += 1;
            continue;
        }
        let detail = if known.deleted != fact.deleted {
            let (known, found) = if known.deleted { ("gone", "there") } else { ("there", "gone") };
            format!("the same fact is known of a resource that is {known}; in this record it is {found}")
        } else if is_same {
            let text = |id| collector.catalog.series(id).map(|series| series.description.text()).unwrap_or_default();
            format!(
                "the same fact is known with the description ({}); this record says ({})",
                text(known.said_series_id),
                text(fact.said_series_id)
            )
        } else {
            format!(
                "the same fact is known with the quantity {}; this record says {}",
                Quantity::from_units(known.quantity),
                Quantity::from_units(fact.quantity)
            )
        };
        collector.refuse_conflict(&fact, detail);
    }
    kept
}
