//! A delivery taken back: what a file brought does not count any more, and what it brought is listed.
//!
//! The file stays known by its digest, so that it is not read again where it still lies. A delivery of the same records
//! with other values, in another file, is taken in as if they came for the first time.

use crate::catalog::stored::read_catalog;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::filter_record_batch;

use super::first_kept_instant;
use crate::catalog::changed_days::ChangedDays;
use crate::error::{Error, IntakeError};
use crate::model::period::{DayNumber, date_of};
use crate::query::statement;
use crate::rows;
use crate::run::{Environment, Transaction};

/// What was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Withdrawn {
    pub file: String,
    pub samples: u64,
    /// Records of other files that were duplicates in the time that the file covers: if some were of these samples,
    /// they have to be delivered again.
    pub duplicates_of_others: u64,
    pub commit: Option<u64>,
}

/// One file of those that were read.
struct Delivery {
    id: u64,
    url: String,
    sha256: String,
    duplicates: u64,
    covers: Option<(i64, i64)>,
}

/// Takes back what a file brought, known by its place, the end of it, or the beginning of its digest.
pub async fn withdraw(
    environment: &Environment,
    transaction: &mut Transaction,
    file: &str,
) -> Result<(ChangedDays, Withdrawn), Error> {
    let mut calendar = environment.calendar();
    let all = deliveries(transaction).await?;
    let is_meant = |one: &&Delivery| {
        one.url == file || one.url.ends_with(&format!("/{file}")) || (file.len() >= 8 && one.sha256.starts_with(file))
    };
    let meant: Vec<&Delivery> = all.iter().filter(is_meant).collect();
    let [delivery] = meant.as_slice() else {
        let found = meant.iter().map(|one| format!("{} ({})", one.url, &one.sha256[..16])).collect();
        return Err(Error::Intake(IntakeError::NoSuchDelivery { file: file.to_owned(), found }));
    };
    let mut withdrawn = Withdrawn { file: delivery.url.clone(), ..Withdrawn::default() };
    let mut arrived = ChangedDays { catalog: read_catalog(transaction).await?, ..ChangedDays::default() };
    let Some((first, last)) = delivery.covers else { return Ok((arrived, withdrawn)) };
    if first < first_kept_instant(transaction, &mut calendar) {
        return Err(Error::Intake(IntakeError::DeliveryExpired { file: delivery.url.clone() }));
    }
    let overlaps = |one: &&Delivery| one.covers.is_some_and(|(from, to)| from <= last && first <= to);
    withdrawn.duplicates_of_others =
        all.iter().filter(|one| one.id != delivery.id).filter(overlaps).map(|one| one.duplicates).sum();
    let mut taken_back = Vec::new();
    for day in calendar.day_of(first)..=calendar.day_of(last) {
        for bucket in 0..environment.config.buckets {
            taken_back.extend(take_back(transaction, delivery.id, day, bucket, &mut arrived).await?);
        }
    }
    withdrawn.samples = taken_back.iter().map(|batch| batch.num_rows() as u64).sum();
    let rows = withdrawn_rows(transaction, &arrived, &taken_back)?;
    transaction.append("intake/withdrawn_sample", "all", 0, &[rows]).await?;
    Ok((arrived, withdrawn))
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
                covers: (first.is_valid(index) && last.is_valid(index))
                    .then(|| (first.value(index), last.value(index))),
            });
        }
    }
    Ok(deliveries)
}

/// Takes the samples of a file out of those of a date and bucket. Gives them.
async fn take_back(
    transaction: &mut Transaction,
    input_file_id: u64,
    day: DayNumber,
    bucket: u32,
    arrived: &mut ChangedDays,
) -> Result<Vec<RecordBatch>, Error> {
    let partition = date_of(day).to_string();
    let failed = |source| rows::failed("sample", source);
    let mut taken_back = Vec::new();
    for file in transaction.partition_files("sample", &partition, bucket) {
        let (mut kept, mut is_changed) = (Vec::new(), false);
        for batch in transaction.lake.read_data(&file).await? {
            let files: &UInt64Array = rows::column(&batch, "input_file_id")?;
            let is_kept = |is_kept: bool| {
                BooleanArray::from_iter(files.values().iter().map(|id| Some((*id != input_file_id) == is_kept)))
            };
            let gone = filter_record_batch(&batch, &is_kept(false)).map_err(failed)?;
            kept.push(filter_record_batch(&batch, &is_kept(true)).map_err(failed)?);
            if gone.num_rows() > 0 {
                is_changed = true;
                taken_back.push(gone);
            }
        }
        if is_changed {
            transaction.remove(std::slice::from_ref(&file));
            transaction.append("intake/sample", &partition, bucket, &kept).await?;
            arrived.touched.insert((day, bucket));
        }
    }
    Ok(taken_back)
}

fn withdrawn_rows(
    transaction: &Transaction,
    arrived: &ChangedDays,
    taken_back: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let mut samples = Vec::new();
    for batch in taken_back {
        let quantities: &Decimal128Array = rows::column(batch, "quantity")?;
        for (index, row) in rows::each(std::slice::from_ref(batch)).enumerate() {
            let (stream_id, stream_refs) = (row.id("stream_id")?, row.id("reported_series_id")?);
            let stream =
                arrived.catalog.stream(stream_id).ok_or(Error::Internal("a sample of a stream nobody knows"))?;
            let series = arrived.catalog.series(stream_refs);
            let project = series.and_then(|series| series.description.project_id.as_deref()).map(str::to_owned);
            let place = (row.id("input_file_id")?, stream_id, row.instant("measured_at")?, row.id("record_digest")?);
            samples.push((place, stream.meter.to_string(), project, quantities.value(index)));
        }
    }
    samples.sort_by_key(|sample| sample.0);
    let log_entry = i64::try_from(transaction.snapshot.next_sequence()).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.0))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.1))),
        Arc::new(rows::timestamps(samples.iter().map(|row| Some(row.0.2)))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.3))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|row| &row.1))),
        Arc::new(StringArray::from_iter(samples.iter().map(|row| row.2.as_ref()))),
        Arc::new(rows::decimals(samples.iter().map(|row| Some(row.3)), 28, 9)?),
        Arc::new(Int64Array::from_iter_values(samples.iter().map(|_| log_entry))),
    ];
    rows::batch(statement("intake/withdrawn_sample")?, columns)
}
