//! Unreferenced files of the lake, and their deletion.
//!
//! A command writes files before its commit references them, and their names depend on their content. So a running
//! command can reference an unreferenced file in its next commit, and can write an old file again. A vacuum therefore
//! commits twice: the first entry lists the files before their deletion, and the second entry records the end of the
//! deletion. If a command began before the first entry and references a listed file, the command has a conflict and
//! computes again. A command that begins between the two entries writes such a file under another name.

use std::collections::BTreeSet;
use std::path::{Path as LocalPath, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::{Commit, CommitKind, Error, Lake, Snapshot};
use crate::storage::failpoints::step;

/// The files that a vacuum can delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Paths of the lake, sorted.
    pub paths: Vec<String>,
    pub bytes: u64,
}

/// The directories of samples and of their other deliveries, whose files are deleted after a compaction or an expiry.
/// The files of other relations are kept for the reproduction of earlier commits.
const SAMPLES: [&str; 3] = ["data/sample/", "data/duplicate_sample/", "data/repeated_event/"];

impl Lake {
    /// The files that have been unreferenced for longer than an age: files of aborted runs, expired samples, and files
    /// that a compaction replaced.
    pub async fn orphans(&self, now: Timestamp, age: Duration) -> Result<Orphans, Error> {
        let log = self.log().await?;
        let mut snapshot = Snapshot::default();
        let mut referenced = BTreeSet::new();
        let mut replaced = BTreeSet::new();
        for entry in &log {
            snapshot.apply(entry);
            referenced.extend(entry.added.iter().map(|file| file.path.as_str()));
            referenced.extend(entry.documents.iter().map(|document| document.path.as_str()));
            if is_older(entry, now, age) && matches!(entry.kind, CommitKind::Compaction | CommitKind::Expiry) {
                let is_of_samples = |path: &&str| SAMPLES.iter().any(|directory| path.starts_with(directory));
                replaced.extend(entry.removed.iter().map(String::as_str).filter(is_of_samples));
            }
        }
        referenced.retain(|path| snapshot.contains(path) || !replaced.contains(path));
        let mut orphans = Orphans::default();
        for (path, object) in self.unreferenced(&referenced).await? {
            if is_modified_before(&object, now, age) || replaced.contains(path.as_str()) {
                orphans.bytes += object.size;
                orphans.paths.push(path);
            }
        }
        Ok(orphans)
    }

    /// Deletes files. Missing files are skipped.
    pub async fn delete(&self, paths: &[String]) -> Result<(), Error> {
        for path in paths {
            step();
            match self.store.delete(&self.full_path(path)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::Store { action: "delete", path: path.clone(), source }),
            }
        }
        Ok(())
    }

    /// Deletes files that writers on this machine left half-written for longer than an age, and returns their number.
    /// The listing of the store does not contain them.
    pub fn delete_half_written(&self, now: Timestamp, age: Duration) -> Result<u64, Error> {
        let Some(root) = &self.local_root else { return Ok(0) };
        let mut deleted = 0;
        for path in half_written(root, now, age) {
            let failed = |source| Error::Disk { action: "delete", path: path.clone(), source };
            std::fs::remove_file(&path).map_err(failed)?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

/// Whether an object was written longer ago than an age.
pub(super) fn is_modified_before(object: &ObjectMeta, now: Timestamp, age: Duration) -> bool {
    let modified = Timestamp::from_nanosecond(object.last_modified.timestamp_nanos_opt().unwrap_or(0).into());
    modified.is_ok_and(|modified| is_longer_ago(modified, now, age))
}

fn is_older(entry: &Commit, now: Timestamp, age: Duration) -> bool {
    entry.committed_at.parse().is_ok_and(|committed: Timestamp| is_longer_ago(committed, now, age))
}

fn is_longer_ago(then: Timestamp, now: Timestamp, age: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|since| since >= age)
}

/// The half-written files that are older than an age. Their names contain `#` and a number of the writer.
fn half_written(root: &LocalPath, now: Timestamp, age: Duration) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let is_staged = path.file_name().is_some_and(|name| name.to_string_lossy().contains('#'));
            let modified = metadata.modified().ok().and_then(|modified| Timestamp::try_from(modified).ok());
            if is_staged && modified.is_some_and(|modified| is_longer_ago(modified, now, age)) {
                found.push(path);
            }
        }
    }
    found
}
