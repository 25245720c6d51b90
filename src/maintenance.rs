//! Maintenance of the lake: reduces the number of files and the amount of data, without changing any result.
//!
//! | work | effect | not affected |
//! | --- | --- | --- |
//! | compaction | merges the small files of usage | every row |
//! | expiry | removes the samples of closed periods | metered windows and days, digests of input files |
//! | vacuum | deletes unreferenced files | all files that a reproduction needs, except for expired samples |

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::{Error, LakeError};
use crate::model::period::BillingPeriod;
use crate::query::statement;
use crate::rows;
use crate::run::{self, Environment, Transaction};
use crate::storage::{CommitKind, Orphans};

/// The relations to which every intake adds files, with their sort order.
const GROWING: [(&str, &[&str]); 4] = [
    ("intake/sample", &["stream_id", "measured_at", "record_digest"]),
    ("intake/stream", &["stream_id"]),
    ("intake/series", &["series_id"]),
    ("intake/rejected_record", &["input_file_id", "line", "record_digest"]),
];

/// The numbers of files before and after a compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
    pub commit: Option<u64>,
}

/// Merges the files of each partition and bucket that has at least `least_files` files, and at least two.
pub async fn compact(
    environment: &Environment,
    transaction: &mut Transaction,
    least_files: usize,
) -> Result<Compacted, Error> {
    let mut compacted = Compacted::default();
    for (path, order) in GROWING {
        let relation = statement(path)?;
        let files = transaction.files(&relation.name);
        let partitions: BTreeSet<(String, u32)> =
            files.iter().map(|file| (file.partition.clone(), file.bucket)).collect();
        environment.options.progress.begin("Merging files", partitions.len() as u64);
        for (partition, bucket) in partitions {
            let files = transaction.partition_files(&relation.name, &partition, bucket);
            if files.len() >= least_files.max(2) {
                let mut batches = Vec::new();
                for file in &files {
                    batches.extend(transaction.lake.read_data(file).await?);
                }
                let rows = sorted(&batches, order)?;
                let part = run::encode(path, &partition, bucket, &[rows])?;
                transaction.replace_encoded(part).await?;
                compacted.before += files.len() as u64;
                compacted.after += 1;
            }
            environment.options.progress.advance(1);
        }
        environment.options.progress.end();
    }
    if compacted.after > 0 {
        let commit = transaction.commit(environment.provenance(CommitKind::Compaction)).await?;
        compacted.commit = commit.map(|commit| commit.sequence);
    }
    Ok(compacted)
}

fn sorted(batches: &[RecordBatch], order: &[&'static str]) -> Result<RecordBatch, Error> {
    let failed = |source| rows::failed("the files of a partition", source);
    let Some(first) = batches.first() else { return Err(Error::Internal("the files of a partition have no rows")) };
    let all = concat_batches(&first.schema(), batches).map_err(failed)?;
    let column = |name: &&'static str| -> Result<SortColumn, Error> {
        let values = all.column_by_name(name).ok_or(Error::Column { name })?;
        Ok(SortColumn { values: Arc::clone(values), options: None })
    };
    let columns: Vec<SortColumn> = order.iter().map(column).collect::<Result<_, _>>()?;
    let order: UInt32Array = lexsort_to_indices(&columns, None).map_err(failed)?;
    let sorted: Result<Vec<ArrayRef>, _> = all.columns().iter().map(|column| take(column, &order, None)).collect();
    RecordBatch::try_new(all.schema(), sorted.map_err(failed)?).map_err(failed)
}

/// The samples that an expiry removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Expired {
    pub files: u64,
    pub samples: u64,
    pub bytes: u64,
    /// The first date whose samples are still in the lake.
    pub samples_from: Option<String>,
    pub commit: Option<u64>,
}

/// Removes the samples up to the end of a period. This period, and all earlier periods with samples, must be closed.
pub async fn expire(
    environment: &Environment,
    transaction: &mut Transaction,
    through: BillingPeriod,
) -> Result<Expired, Error> {
    let end = through.end();
    let horizon = end.to_string();
    let files = transaction.files_where("sample", |file| file.partition < horizon);
    let open: BTreeSet<String> = files
        .iter()
        .filter_map(|file| Some(BillingPeriod::of(file.partition.parse::<Date>().ok()?).to_string()))
        .chain([through.to_string()])
        .filter(|period| transaction.snapshot.last(CommitKind::Close, period).is_none())
        .collect();
    if !open.is_empty() {
        return Err(Error::Lake(LakeError::NotClosedYet { periods: open.into_iter().collect() }));
    }
    if transaction.snapshot.samples_from().is_some_and(|first| first >= horizon.as_str()) {
        return Ok(Expired {
            samples_from: transaction.snapshot.samples_from().map(str::to_owned),
            ..Expired::default()
        });
    }
    transaction.remove(&files);
    transaction.samples_from = Some(end);
    let commit = transaction.commit(environment.provenance(CommitKind::Expiry)).await?;
    Ok(Expired {
        files: files.len() as u64,
        samples: files.iter().map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        samples_from: Some(horizon),
        commit: commit.map(|commit| commit.sequence),
    })
}

/// The files that a vacuum deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Vacuumed {
    pub files: u64,
    pub bytes: u64,
    /// The number of half-written files on this machine, which the listing of the store does not contain.
    pub half_written: u64,
    pub commit: Option<u64>,
}

/// Deletes the files that were unreferenced for longer than an age. A dry run only returns the number and the size of
/// these files.
pub async fn vacuum(
    environment: &Environment,
    transaction: &mut Transaction,
    now: Timestamp,
    age: Duration,
    is_dry_run: bool,
) -> Result<Vacuumed, Error> {
    let Orphans { mut paths, bytes } = transaction.lake.orphans(now, age).await?;
    let mut vacuumed = Vacuumed { files: paths.len() as u64, bytes, ..Vacuumed::default() };
    if is_dry_run {
        return Ok(vacuumed);
    }
    vacuumed.half_written = transaction.lake.delete_half_written(now, age)?;
    if paths.is_empty() && transaction.snapshot.tombstoned().next().is_none() {
        return Ok(vacuumed);
    }
    // The files that an aborted vacuum did not delete are deleted too.
    paths.extend(transaction.snapshot.tombstoned().map(str::to_owned));
    transaction.vacuumed.clone_from(&paths);
    transaction.commit(environment.provenance(CommitKind::Vacuum)).await?;
    transaction.lake.delete(&paths).await?;
    transaction.vacuumed = paths;
    let commit = transaction.commit(environment.provenance(CommitKind::Vacuumed)).await?;
    vacuumed.commit = commit.map(|commit| commit.sequence);
    Ok(vacuumed)
}
