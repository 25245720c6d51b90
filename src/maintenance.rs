//! Maintenance of the lake: reduces the number of files and the amount of data, without changing any result.
//!
//! | work | effect | not affected |
//! | --- | --- | --- |
//! | compaction | merges the small files of usage | every row |
//! | expiry | removes the samples of closed periods | metered windows and days, digests of input files, ids of late events |
//! | vacuum | deletes unreferenced files | all files that a reproduction needs, except for expired samples |

use std::collections::BTreeSet;
use std::time::Duration;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::{Error, LakeError};
use crate::model::evidence::Evidence;
use crate::model::period::{BillingPeriod, date_of, day_number};
use crate::query::statement;
use crate::rows;
use crate::run::{self, Environment, Transaction};
use crate::storage::{CommitKind, DataFile, Orphans};

/// The relations to which every intake adds files, with their sort order.
const GROWING: [(&str, &[&str]); 6] = [
    ("intake/sample", &["stream_id", "measured_at", "record_digest"]),
    ("intake/repeated_event", &["stream_id", "measured_at", "record_digest"]),
    ("intake/duplicate_sample", &["stream_id", "measured_at", "record_digest", "input_file_id"]),
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

/// Merges the files of each partition and shard that has at least `least_files` files, and at least two.
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
            files.iter().map(|file| (file.partition.clone(), file.shard)).collect();
        environment.options.progress.begin("Merging files", partitions.len() as u64);
        for (partition, shard) in partitions {
            let files = transaction.partition_files(&relation.name, &partition, shard);
            if files.len() >= least_files.max(2) {
                let mut batches = Vec::new();
                for file in &files {
                    batches.extend(transaction.lake.read_data(file).await?);
                }
                let rows = rows::sorted(&batches, order)?;
                let part = run::encode(path, &partition, shard, &[rows])?;
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
    let mut calendar = environment.calendar();
    let window = environment.config.duplicate_window_microseconds();
    let expired_until = calendar.day_start(day_number(end));
    let kept_from = date_of(calendar.day_of(expired_until - window)).to_string();
    keep_events(transaction, files.iter().filter(|file| file.partition >= kept_from)).await?;
    transaction.remove(&files);
    let others = [("duplicate_sample", &horizon), ("repeated_event", &kept_from)];
    for (relation, end) in others {
        let expired = transaction.files_where(relation, |file| file.partition < *end);
        transaction.remove(&expired);
    }
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

/// Stores the events of expiring samples as repeated events, so that later deliveries of these events do not count.
async fn keep_events(transaction: &mut Transaction, files: impl Iterator<Item = &DataFile>) -> Result<(), Error> {
    for file in files {
        let mut events = Vec::new();
        for batch in transaction.lake.read_data(file).await? {
            let is_event = rows::each(std::slice::from_ref(&batch)).map(|row| {
                let evidence = Evidence::from_digest(row.flag("is_state")?, row.flag("is_backfilled")?, 0);
                Ok(Some(evidence.is_event(row.id("record_digest")?)))
            });
            let is_event: BooleanArray = is_event.collect::<Result<_, Error>>()?;
            let picked = filter_record_batch(&batch, &is_event);
            events.push(picked.map_err(|source| rows::failed("sample", source))?);
        }
        transaction.append("intake/repeated_event", &file.partition, file.shard, &events).await?;
    }
    Ok(())
}

/// The files that a vacuum deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Vacuumed {
    pub files: u64,
    pub bytes: u64,
    /// The number of half-written files on this machine, which the listing of the store does not contain.
    pub half_written: u64,
    /// The number of manifests that newer ones replace.
    pub manifests: u64,
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
    let (manifests, _) = transaction.lake.superseded_manifests(now, age).await?;
    vacuumed.manifests = manifests.len() as u64;
    if is_dry_run {
        return Ok(vacuumed);
    }
    // No commit refers to a manifest, so they are deleted without an entry.
    transaction.lake.delete(&manifests).await?;
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
