//! What lies in the lake and counts for nothing, and how it goes.
//!
//! A run writes files before its commit names them, under names made of their content. So a file that nothing names
//! may be named in the next moment, and one that is old may be written again by a run of today. A vacuum therefore
//! commits twice: the first entry says what is about to be deleted, and the second that it is. A run that began before
//! the first entry and names one of these files loses the race and computes again; one that begins after it writes
//! under another name until the second.

use std::collections::BTreeSet;
use std::path::{Path as LocalPath, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use object_store::ObjectStoreExt;

use super::{Commit, CommitKind, Error, Lake, Snapshot};
use crate::storage::failpoints::step;

/// What can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Paths of the lake, sorted.
    pub paths: Vec<String>,
    pub bytes: u64,
}

/// What an expiry or a compaction put out of use is deleted only of this relation: earlier entries are rebuilt from the
/// others.
const SAMPLE: &str = "data/sample/";

impl Lake {
    /// Files that no entry names, of dead runs, and samples that expired or were put together with others: those that
    /// have been so for longer than an age.
    pub async fn garbage(&self, now: Timestamp, age: Duration) -> Result<Orphans, Error> {
        let log = self.log().await?;
        let mut snapshot = Snapshot::default();
        let mut named = BTreeSet::new();
        let mut given_up = BTreeSet::new();
        for entry in &log {
            snapshot.apply(entry);
            named.extend(entry.added.iter().map(|file| file.path.as_str()));
            named.extend(entry.documents.iter().map(|document| document.path.as_str()));
            if is_older(entry, now, age) && matches!(entry.kind, CommitKind::Compaction | CommitKind::Expiry) {
                given_up.extend(entry.removed.iter().map(String::as_str).filter(|path| path.starts_with(SAMPLE)));
            }
        }
        named.retain(|path| snapshot.contains(path) || !given_up.contains(path));
        let mut garbage = Orphans::default();
        for (path, object) in self.unnamed(&named).await? {
            let modified = Timestamp::from_nanosecond(object.last_modified.timestamp_nanos_opt().unwrap_or(0).into());
            let is_old = modified.is_ok_and(|modified| is_longer_ago(modified, now, age));
            if is_old || given_up.contains(path.as_str()) {
                garbage.bytes += object.size;
                garbage.paths.push(path);
            }
        }
        Ok(garbage)
    }

    /// Deletes files, which need not be there.
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

    /// Deletes what writers on this machine left half written for longer than an age: the store hides it, so no list
    /// of it shows it. Gives how many there were.
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

fn is_older(entry: &Commit, now: Timestamp, age: Duration) -> bool {
    entry.committed_at.parse().is_ok_and(|committed: Timestamp| is_longer_ago(committed, now, age))
}

fn is_longer_ago(then: Timestamp, now: Timestamp, age: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|since| since >= age)
}

/// Files whose name ends in `#` and what tells writers apart.
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
