//! The stored rows of files and rejections: which files were retracted or cut off, and changes of their outcomes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::filter_record_batch;

use crate::error::Error;
use crate::intake::resolve::collector::Adjustment;
use crate::intake::sources::discover::IngestedFiles;
use crate::model::period::{Calendar, day_number};
use crate::rows;
use crate::run::Transaction;

/// The first instant whose samples are retained, in microseconds.
pub fn retention_start(transaction: &Transaction, calendar: &mut Calendar) -> i64 {
    let date = transaction.snapshot.samples_from().and_then(|date| date.parse().ok());
    date.map_or(i64::MIN, |date| calendar.day_start(day_number(date)))
}

/// The files that were retracted. They are not read again, but later deliveries of their contents are.
pub async fn retracted_files(transaction: &Transaction) -> Result<IngestedFiles, Error> {
    let mut ingested = IngestedFiles::default();
    for batch in transaction.read("retracted_file", |_| true).await? {
        let times: &TimestampMicrosecondArray = rows::column(&batch, "modified_at")?;
        for (index, row) in rows::each(std::slice::from_ref(&batch)).enumerate() {
            let (url, sha256) = (row.text("url")?.to_owned(), row.text("sha256")?.to_owned());
            let modified_at = times.is_valid(index).then(|| times.value(index));
            if let Some(modified_at) = modified_at {
                ingested.locations.insert((url, row.number("byte_count")?.unsigned_abs(), modified_at));
            }
            ingested.retracted.insert((sha256, modified_at));
        }
    }
    Ok(ingested)
}

/// The committed rows of `rejected_record`, without some rejections. A rejection is given as record digest and file.
pub async fn other_rejections(
    transaction: &Transaction,
    rejections: &HashSet<(u64, u64)>,
) -> Result<Vec<RecordBatch>, Error> {
    let mut rows = Vec::new();
    for batch in transaction.read("rejected_record", |_| true).await? {
        let mut is_other = Vec::with_capacity(batch.num_rows());
        for row in rows::each(std::slice::from_ref(&batch)) {
            is_other.push(!rejections.contains(&(row.id("record_digest")?, row.id("input_file_id")?)));
        }
        let is_other = BooleanArray::from(is_other);
        rows.push(filter_record_batch(&batch, &is_other).map_err(|error| rows::failed("rejected_record", error))?);
    }
    Ok(rows)
}

/// The rows of `input_file` with changed outcomes of their samples.
pub fn adjusted_input_files(
    batches: &[RecordBatch],
    adjustments: &BTreeMap<u64, Adjustment>,
) -> Result<Vec<RecordBatch>, Error> {
    type Change = fn(&Adjustment) -> i64;
    let changes: [(&'static str, Change); 4] = [
        ("accepted_count", |change| change.accepted),
        ("duplicate_count", |change| change.duplicate),
        ("rejected_count", |change| change.rejected),
        ("retracted_count", |change| change.retracted),
    ];
    let adjusted = |batch: &RecordBatch| -> Result<RecordBatch, Error> {
        let ids: &UInt64Array = rows::column(batch, "input_file_id")?;
        let mut columns = batch.columns().to_vec();
        for (name, change) in changes {
            let counts: &Int64Array = rows::column(batch, name)?;
            let counts = counts.values().iter().zip(ids.values());
            let counts = counts.map(|(count, id)| count + adjustments.get(id).map_or(0, change));
            let index = batch.schema().index_of(name).map_err(|source| rows::failed("input_file", source))?;
            columns[index] = Arc::new(Int64Array::from_iter_values(counts));
        }
        RecordBatch::try_new(batch.schema(), columns).map_err(|source| rows::failed("input_file", source))
    };
    if adjustments.is_empty() { Ok(batches.to_vec()) } else { batches.iter().map(adjusted).collect() }
}

/// Whether a rejection states that its file ends too early or is damaged. Such a record may be whole in a later
/// delivery.
pub fn is_of_cut_file(rejection: rows::Row<'_>) -> Result<bool, Error> {
    let reason = rejection.text("reason")?;
    Ok(reason == "truncated" || (reason == "malformed" && rejection.text("raw_text")?.is_empty()))
}

/// The ids of the files that end too early or are damaged.
pub async fn cut_files(transaction: &Transaction) -> Result<HashSet<u64>, Error> {
    let mut files = HashSet::new();
    for row in rows::each(&transaction.read("rejected_record", |_| true).await?) {
        if is_of_cut_file(row)? {
            files.insert(row.id("input_file_id")?);
        }
    }
    Ok(files)
}
