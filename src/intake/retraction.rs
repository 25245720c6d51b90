//! Retraction of a delivery: removes the samples of a file and lists them in `withdrawn_sample`.
//!
//! The file's digest stays recorded, so that the file is not read again while it is still at its source. If another
//! file contains the same records with other values, these records are ingested as new records.

use crate::catalog::stored::read_catalog;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::filter_record_batch;

use super::retention_start;
use crate::catalog::changed_days::ChangedDays;
use crate::error::{Error, IntakeError};
use crate::model::period::{DayNumber, date_of};
use crate::query::statement;
use crate::rows;
use crate::run::{Environment, Transaction};

/// The result of a retraction.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Retracted {
    pub file: String,
    pub samples: u64,
    /// The number of duplicates in other files with an overlapping time range. If they duplicated retracted samples,
    /// deliver the other files again.
    pub duplicates_of_others: u64,
    pub commit: Option<u64>,
}

/// One ingested file.
struct Delivery {
    id: u64,
    url: String,
    sha256: String,
    duplicates: u64,
    period: Option<(i64, i64)>,
}

/// Retracts the samples of a file. `file` is its location, the end of its path, or the beginning of its digest.
pub async fn retract(
    environment: &Environment,
    transaction: &mut Transaction,
    file: &str,
) -> Result<(ChangedDays, Retracted), Error> {
    let mut calendar = environment.calendar();
    let all = deliveries(transaction).await?;
    let matches_file = |other: &&Delivery| {
        other.url == file
            || other.url.ends_with(&format!("/{file}"))
            || (file.len() >= 8 && other.sha256.starts_with(file))
    };
    let matching: Vec<&Delivery> = all.iter().filter(matches_file).collect();
    let [delivery] = matching.as_slice() else {
        let found = matching.iter().map(|other| format!("{} ({})", other.url, &other.sha256[..16])).collect();
        return Err(Error::Intake(IntakeError::NoSuchDelivery { file: file.to_owned(), found }));
    };
    let mut retracted = Retracted { file: delivery.url.clone(), ..Retracted::default() };
    let mut changed = ChangedDays { catalog: read_catalog(transaction).await?, ..ChangedDays::default() };
    let Some((first, last)) = delivery.period else { return Ok((changed, retracted)) };
    if first < retention_start(transaction, &mut calendar) {
        return Err(Error::Intake(IntakeError::DeliveryExpired { file: delivery.url.clone() }));
    }
    let overlaps = |other: &&Delivery| other.period.is_some_and(|(from, to)| from <= last && first <= to);
    retracted.duplicates_of_others =
        all.iter().filter(|other| other.id != delivery.id).filter(overlaps).map(|other| other.duplicates).sum();
    let mut removed = Vec::new();
    for day in calendar.day_of(first)..=calendar.day_of(last) {
        for bucket in 0..environment.config.buckets {
            removed.extend(remove_samples(transaction, delivery.id, day, bucket, &mut changed).await?);
        }
    }
    retracted.samples = removed.iter().map(|batch| batch.num_rows() as u64).sum();
    let rows = retracted_rows(transaction, &changed, &removed)?;
    transaction.append("intake/withdrawn_sample", "all", 0, &[rows]).await?;
    Ok((changed, retracted))
}

async fn deliveries(transaction: &Transaction) -> Result<Vec<Delivery>, Error> {
    let mut deliveries = Vec::new();
    for batch in transaction.read("input_file", |_| true).await? {
        let first: &TimestampMicrosecondArray = rows::column(&batch, "first_measured_at")?;
        let last: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
        for (index, row) in rows::each(std::slice::from_ref(&batch)).enumerate() {
            deliveries.push(Delivery {
                id: row.id("input_file_id")?,
                url: row.text("url")?.to_owned(),
                sha256: row.text("sha256")?.to_owned(),
                duplicates: row.number("duplicate_count")?.unsigned_abs(),
                period: (first.is_valid(index) && last.is_valid(index))
                    .then(|| (first.value(index), last.value(index))),
            });
        }
    }
    Ok(deliveries)
}

/// Removes a file's samples from a date and bucket, and returns them.
async fn remove_samples(
    transaction: &mut Transaction,
    input_file_id: u64,
    day: DayNumber,
    bucket: u32,
    changed: &mut ChangedDays,
) -> Result<Vec<RecordBatch>, Error> {
    let partition = date_of(day).to_string();
    let failed = |source| rows::failed("sample", source);
    let mut removed = Vec::new();
    for file in transaction.partition_files("sample", &partition, bucket) {
        let (mut retained, mut is_changed) = (Vec::new(), false);
        for batch in transaction.lake.read_data(&file).await? {
            let files: &UInt64Array = rows::column(&batch, "input_file_id")?;
            let rows_of_file = |is_of_file: bool| {
                BooleanArray::from_iter(files.values().iter().map(|id| Some((*id == input_file_id) == is_of_file)))
            };
            let retracted = filter_record_batch(&batch, &rows_of_file(true)).map_err(failed)?;
            retained.push(filter_record_batch(&batch, &rows_of_file(false)).map_err(failed)?);
            if retracted.num_rows() > 0 {
                is_changed = true;
                removed.push(retracted);
            }
        }
        if is_changed {
            transaction.remove(std::slice::from_ref(&file));
            transaction.append("intake/sample", &partition, bucket, &retained).await?;
            changed.touched.insert((day, bucket));
        }
    }
    Ok(removed)
}

fn retracted_rows(
    transaction: &Transaction,
    changed: &ChangedDays,
    removed: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let mut samples = Vec::new();
    for batch in removed {
        let quantities: &Decimal128Array = rows::column(batch, "quantity")?;
        for (index, row) in rows::each(std::slice::from_ref(batch)).enumerate() {
            let (stream_id, series_id) = (row.id("stream_id")?, row.id("reported_series_id")?);
            let stream = changed
                .catalog
                .stream(stream_id)
                .ok_or(Error::Internal("a sample refers to a stream that is not in the catalog"))?;
            let series = changed.catalog.series(series_id);
            let project = series.and_then(|series| series.description.project_id.as_deref()).map(str::to_owned);
            let key = (row.id("input_file_id")?, stream_id, row.instant("measured_at")?, row.id("record_digest")?);
            samples.push((key, stream.meter.to_string(), project, quantities.value(index)));
        }
    }
    samples.sort_by_key(|sample| sample.0);
    let commit = i64::try_from(transaction.snapshot.next_sequence()).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.0))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.1))),
        Arc::new(rows::timestamps(samples.iter().map(|row| Some(row.0.2)))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.3))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|row| &row.1))),
        Arc::new(StringArray::from_iter(samples.iter().map(|row| row.2.as_ref()))),
        Arc::new(rows::decimals(samples.iter().map(|row| Some(row.3)), 28, 9)?),
        Arc::new(Int64Array::from_iter_values(samples.iter().map(|_| commit))),
    ];
    rows::batch(statement("intake/withdrawn_sample")?, columns)
}
