//! The deliveries of one date and shard in the lake: rows that are read, removed, or moved to another relation.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};

use crate::error::Error;
use crate::intake::deduplicate::merge::Place;
use crate::intake::sample::{Sample, samples_of};
use crate::model::period::{DayNumber, date_of};
use crate::rows;
use crate::run::Transaction;

/// The relations with deliveries.
pub const PLACES: [Place; 3] = [Place::Sample, Place::RepeatedEvent, Place::Duplicate];

impl Place {
    /// The path of the relation.
    pub const fn relation_path(self) -> &'static str {
        match self {
            Self::Sample => "intake/sample",
            Self::RepeatedEvent => "intake/repeated_event",
            Self::Duplicate => "intake/duplicate_sample",
        }
    }

    /// The name of the relation.
    pub const fn relation(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::RepeatedEvent => "repeated_event",
            Self::Duplicate => "duplicate_sample",
        }
    }
}

/// The deliveries in one relation that a predicate picks.
pub async fn read(
    transaction: &Transaction,
    place: Place,
    day: DayNumber,
    shard: u32,
    pick: impl Fn(&Sample) -> bool,
) -> Result<Vec<Sample>, Error> {
    let mut deliveries = Vec::new();
    for file in transaction.partition_files(place.relation(), &date_of(day).to_string(), shard) {
        deliveries.extend(samples_of(&transaction.lake.read_data(&file).await?)?.into_iter().filter(&pick));
    }
    Ok(deliveries)
}

/// Removes the deliveries that a predicate picks from one relation, and returns their rows.
pub async fn remove(
    transaction: &mut Transaction,
    place: Place,
    day: DayNumber,
    shard: u32,
    pick: impl Fn(&Sample) -> bool,
) -> Result<Vec<RecordBatch>, Error> {
    let partition = date_of(day).to_string();
    let failed = |source| rows::failed(place.relation(), source);
    let mut removed = Vec::new();
    for file in transaction.partition_files(place.relation(), &partition, shard) {
        let (mut retained, mut is_changed) = (Vec::new(), false);
        for batch in transaction.lake.read_data(&file).await? {
            let is_picked: Vec<bool> = samples_of(std::slice::from_ref(&batch))?.iter().map(&pick).collect();
            if !is_picked.contains(&true) {
                retained.push(batch);
                continue;
            }
            is_changed = true;
            let picked = BooleanArray::from(is_picked);
            let others = not(&picked).map_err(failed)?;
            removed.push(filter_record_batch(&batch, &picked).map_err(failed)?);
            retained.push(filter_record_batch(&batch, &others).map_err(failed)?);
        }
        if is_changed {
            transaction.remove(std::slice::from_ref(&file));
            transaction.append(place.relation_path(), &partition, shard, &retained).await?;
        }
    }
    Ok(removed)
}

/// Moves the deliveries that a predicate picks from one relation to another.
pub async fn relocate(
    transaction: &mut Transaction,
    (from, to): (Place, Place),
    day: DayNumber,
    shard: u32,
    pick: impl Fn(&Sample) -> bool,
) -> Result<(), Error> {
    let moved = remove(transaction, from, day, shard, pick).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let moved = rows::sorted(&moved, &["stream_id", "measured_at", "record_digest", "input_file_id"])?;
    transaction.append(to.relation_path(), &date_of(day).to_string(), shard, &[moved]).await
}
