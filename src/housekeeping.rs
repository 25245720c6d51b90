//! House-keeping: what makes a lake smaller and changes no result.
//!
//! | | does | keeps |
//! | --- | --- | --- |
//! | compaction | puts the small files of a date's samples together | every sample |
//! | expiry | gives up the samples of closed periods | their windows and days, and the digests of files |
//! | vacuum | deletes what counts for nothing any more | what rebuilding an entry reads, but for samples that were given up |

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

/// Relations to which every intake adds a file, with what their rows are sorted by.
const GROWING: [(&str, &[&str]); 4] = [
    ("intake/sample", &["stream_id", "measured_at", "record_digest"]),
    ("intake/stream", &["stream_id"]),
    ("intake/series", &["series_id"]),
    ("intake/rejected_record", &["input_file_id", "line", "record_digest"]),
];

/// How many files became how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
    pub commit: Option<u64>,
}

/// Puts the files of each partition together where there are so many of them or more.
pub async fn compact(
    environment: &Environment,
    transaction: &mut Transaction,
    least_files: usize,
) -> Result<Compacted, Error> {
    let mut compacted = Compacted::default();
    for (path, order) in GROWING {
        let relation = statement(path)?;
        let files = transaction.files(&relation.name);
        let places: BTreeSet<(String, u32)> = files.iter().map(|file| (file.partition.clone(), file.bucket)).collect();
        environment.options.progress.begin("Putting files together", places.len() as u64);
        for (partition, bucket) in places {
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
    let Some(first) = batches.first() else { return Err(Error::Internal("files without rows")) };
    let all = concat_batches(&first.schema(), batches).map_err(failed)?;
    let column = |name: &&'static str| -> Result<SortColumn, Error> {
        let values = all.column_by_name(name).ok_or(Error::Column { name })?;
        Ok(SortColumn { values: Arc::clone(values), options: None })
    };
    let columns: Vec<SortColumn> = order.iter().map(column).collect::<Result<_, _>>()?;
    let places: UInt32Array = lexsort_to_indices(&columns, None).map_err(failed)?;
    let sorted: Result<Vec<ArrayRef>, _> = all.columns().iter().map(|column| take(column, &places, None)).collect();
    RecordBatch::try_new(all.schema(), sorted.map_err(failed)?).map_err(failed)
}

/// What was given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Expired {
    pub files: u64,
    pub samples: u64,
    pub bytes: u64,
    /// The first date whose samples are kept.
    pub samples_from: Option<String>,
    pub commit: Option<u64>,
}

/// Gives up the samples of everything up to the end of a period. Each period with samples must be closed by then.
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
    if transaction.snapshot.samples_from().is_some_and(|known| known >= horizon.as_str()) {
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

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Vacuumed {
    pub files: u64,
    pub bytes: u64,
    /// Half-written files on this machine, which no list of the store shows.
    pub half_written: u64,
    pub commit: Option<u64>,
}

/// Deletes files that have not counted for longer than an age. A dry run returns how many would be deleted.
pub async fn vacuum(
    environment: &Environment,
    transaction: &mut Transaction,
    now: Timestamp,
    age: Duration,
    is_dry_run: bool,
) -> Result<Vacuumed, Error> {
    let Orphans { mut paths, bytes } = transaction.lake.garbage(now, age).await?;
    let mut vacuumed = Vacuumed { files: paths.len() as u64, bytes, ..Vacuumed::default() };
    if is_dry_run {
        return Ok(vacuumed);
    }
    vacuumed.half_written = transaction.lake.delete_half_written(now, age)?;
    if paths.is_empty() && transaction.snapshot.tombstoned().next().is_none() {
        return Ok(vacuumed);
    }
    // What a vacuum that died had begun with is done as well.
    paths.extend(transaction.snapshot.tombstoned().map(str::to_owned));
    transaction.vacuumed.clone_from(&paths);
    transaction.commit(environment.provenance(CommitKind::Vacuum)).await?;
    transaction.lake.delete(&paths).await?;
    transaction.vacuumed = paths;
    let commit = transaction.commit(environment.provenance(CommitKind::Vacuumed)).await?;
    vacuumed.commit = commit.map(|commit| commit.sequence);
    Ok(vacuumed)
}
