//! Manifests: the lists of the current data files of a relation, for programs that read the lake without Conto.
//!
//! A replaced data file stays until a vacuum, so a program must not read all files of a directory. The manifest
//! `data/<relation>/manifest/<number of the commit>.json` lists the files after a commit that changed the relation. The
//! newest manifest of a relation has the largest number.
//!
//! A commit writes its manifests after its log entry, so that no manifest is ahead of the log. A manifest depends on
//! the log alone and is never replaced. So two commands that write the same manifest write the same bytes.
//!
//! A command that is killed after its log entry leaves manifests missing, and the next command writes them. Manifests
//! are written in the order of commits, and for one commit in the order of relations. So if the last manifest of a
//! commit exists, no manifest of this commit and of earlier ones is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Serialize;

use super::vacuum::is_modified_before;
use super::{Commit, Error, Lake, Snapshot, layout, sync};

/// The number of manifests that are written at the same time. Each is one small request of an object store.
const IN_FLIGHT: usize = 8;

#[derive(Debug, Serialize)]
struct Manifest<'a> {
    relation: &'a str,
    /// The number of the commit that changed the relation.
    commit: u64,
    rows: u64,
    files: Vec<ManifestFile<'a>>,
}

#[derive(Debug, Serialize)]
struct ManifestFile<'a> {
    /// The path below the root of the lake.
    path: &'a str,
    partition: &'a str,
    rows: u64,
    bytes: u64,
}

/// The relations that log entries changed, each with the number of the last entry that changed it.
#[derive(Clone, Debug, Default)]
pub struct ChangedRelations(BTreeMap<String, u64>);

impl ChangedRelations {
    /// Adds the relations of an entry. Entries are added in any order.
    pub fn add(&mut self, entry: &Commit) {
        for relation in changed_by(entry) {
            let last = self.0.entry(relation.to_owned()).or_default();
            *last = entry.sequence.max(*last);
        }
    }

    /// The relations by the last entry that changed them.
    fn by_entry(&self) -> BTreeMap<u64, Vec<&str>> {
        let mut entries: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for (relation, sequence) in &self.0 {
            entries.entry(*sequence).or_default().push(relation);
        }
        entries
    }
}

/// The relations with files that an entry adds or removes, in the order of their names.
fn changed_by(entry: &Commit) -> BTreeSet<&str> {
    let removed = entry.removed.iter().filter_map(|path| layout::relation_of(path));
    entry.added.iter().map(|file| file.relation.as_str()).chain(removed).collect()
}

fn encode(snapshot: &Snapshot, relation: &str, commit: u64) -> Result<Bytes, Error> {
    let files: Vec<_> = snapshot
        .files(relation)
        .map(|file| ManifestFile { path: &file.path, partition: &file.partition, rows: file.rows, bytes: file.bytes })
        .collect();
    let manifest = Manifest { relation, commit, rows: files.iter().map(|file| file.rows).sum(), files };
    let bytes = serde_json::to_vec(&manifest);
    bytes.map(Bytes::from).map_err(|source| Error::LogEntry { path: layout::manifest(relation, commit), source })
}

impl Lake {
    /// Writes the manifests of changed relations. The snapshot contains all changes. No result depends on a manifest,
    /// so a failure is only a warning; the next command writes the missing ones.
    pub async fn write_manifests(&self, snapshot: &Snapshot, changed: &ChangedRelations) {
        if let Err(error) = self.try_write_manifests(snapshot, changed).await {
            tracing::warn!("could not write the manifests for other programs; the next command writes them: {error}");
        }
    }

    /// Writes the manifests that a killed command left missing.
    pub async fn complete_manifests(&self, snapshot: &Snapshot) {
        match self.missing_manifests(snapshot).await {
            Ok(missing) => self.write_manifests(snapshot, &missing).await,
            Err(error) => tracing::warn!("could not examine the manifests for other programs: {error}"),
        }
    }

    async fn missing_manifests(&self, snapshot: &Snapshot) -> Result<ChangedRelations, Error> {
        let mut missing = ChangedRelations::default();
        for commit in snapshot.commits().iter().rev() {
            if commit.added_files + commit.removed_files == 0 {
                continue;
            }
            let entry = self.log_entry(commit.sequence).await?;
            let Some(last) = changed_by(&entry).pop_last() else { continue };
            let path = layout::manifest(last, commit.sequence);
            match self.store.head(&self.full_path(&path)).await {
                Ok(_) => break,
                Err(object_store::Error::NotFound { .. }) => missing.add(&entry),
                Err(source) => return Err(Error::Store { action: "find", path, source }),
            }
        }
        Ok(missing)
    }

    async fn try_write_manifests(&self, snapshot: &Snapshot, changed: &ChangedRelations) -> Result<(), Error> {
        for (commit, relations) in changed.by_entry() {
            let Some((last, others)) = relations.split_last() else { continue };
            let written = stream::iter(others.iter().copied())
                .map(|relation| self.create_manifest(snapshot, relation, commit))
                .buffered(IN_FLIGHT);
            let paths: Vec<String> = written.try_collect().await?;
            if let Some(root) = &self.local_root {
                // After a power failure, the last manifest must not exist without the others.
                sync::sync_files(root, paths.iter().map(String::as_str))?;
            }
            self.create_manifest(snapshot, last, commit).await?;
        }
        Ok(())
    }

    /// Creates a manifest and returns its path.
    async fn create_manifest(&self, snapshot: &Snapshot, relation: &str, commit: u64) -> Result<String, Error> {
        let (path, bytes) = (layout::manifest(relation, commit), encode(snapshot, relation, commit)?);
        if let Err(failure) = self.create(&path, bytes.clone()).await {
            match self.read(&path).await {
                Ok(found) if found == bytes => {}
                // Another program changed the file.
                Ok(_) => self.write(&path, bytes).await?,
                Err(_) => return Err(failure),
            }
        }
        Ok(path)
    }

    /// The manifests of all relations, from the oldest to the newest of each relation.
    async fn manifests(&self) -> Result<BTreeMap<String, Vec<(u64, ObjectMeta)>>, Error> {
        let failed = |source| Error::Store { action: "list", path: layout::DATA.to_owned(), source };
        let directories = self.store.list_with_delimiter(Some(&self.full_path(layout::DATA))).await.map_err(failed)?;
        let mut manifests = BTreeMap::new();
        for relation in directories.common_prefixes.iter().filter_map(|prefix| prefix.filename()) {
            let directory = self.full_path(&layout::manifests(relation));
            let objects: Vec<ObjectMeta> = self.store.list(Some(&directory)).try_collect().await.map_err(failed)?;
            let number = |object: &ObjectMeta| object.location.filename().and_then(layout::log_sequence);
            let mut numbered: Vec<(u64, ObjectMeta)> =
                objects.into_iter().filter_map(|object| Some((number(&object)?, object))).collect();
            numbered.sort_by_key(|(number, _)| *number);
            manifests.insert(relation.to_owned(), numbered);
        }
        Ok(manifests)
    }

    /// The manifests that were followed by a newer one for longer than an age, and the sum of their sizes.
    pub async fn superseded_manifests(&self, now: Timestamp, age: Duration) -> Result<(Vec<String>, u64), Error> {
        let (mut paths, mut bytes) = (Vec::new(), 0);
        for (relation, manifests) in self.manifests().await? {
            for pair in manifests.windows(2) {
                if let [(number, manifest), (_, next)] = pair
                    && is_modified_before(next, now, age)
                {
                    paths.push(layout::manifest(&relation, *number));
                    bytes += manifest.size;
                }
            }
        }
        Ok((paths, bytes))
    }

    /// One sentence for each relation whose newest manifest contradicts the log. A manifest that is not written yet is
    /// no contradiction.
    pub(super) async fn wrong_manifests(&self, snapshot: &Snapshot, log: &[Commit]) -> Result<Vec<String>, Error> {
        let mut changed = ChangedRelations::default();
        log.iter().for_each(|entry| changed.add(entry));
        let mut wrong = Vec::new();
        for (relation, manifests) in self.manifests().await? {
            let Some((newest, _)) = manifests.last() else { continue };
            let last = changed.0.get(&relation).copied();
            let path = layout::manifest(&relation, *newest);
            let is_right = match last {
                Some(last) if last == *newest => self.read(&path).await? == encode(snapshot, &relation, last)?,
                last => last.is_some_and(|last| *newest < last),
            };
            if !is_right {
                let all = layout::manifests("*");
                wrong.push(format!(
                    "`{path}` does not match the commit log: remove `{all}`, and the next command writes it again"
                ));
            }
        }
        Ok(wrong)
    }
}
