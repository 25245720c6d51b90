//! Manifests: the lists of the current data files of a relation, for programs that read the lake without Conto.
//!
//! A replaced data file stays until a vacuum, so a program must not read all files of a directory. The manifest
//! `data/<relation>/manifest/<number of the commit>.json` lists the files after a commit that changed the relation. The
//! newest manifest of a relation has the largest number.
//!
//! A commit writes its manifests after its log entry, so that no manifest is ahead of the log. A manifest depends on
//! the log alone and is never replaced. So two commands that write the same manifest write the same bytes.
//!
//! A command that is killed after its log entry leaves manifests missing, and another program can change or delete
//! manifests. The next command that writes compares the newest manifest of each relation with the log and writes the
//! missing and wrong ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use super::vacuum::is_modified_before;
use super::{Commit, Error, Lake, Snapshot, layout, sync};

/// The number of manifests that are written at the same time. Each is one small request of an object store.
const IN_FLIGHT: usize = 8;

/// The manifests of one relation.
struct RelationManifests {
    relation: String,
    /// The numbers of their commits, in ascending order.
    numbers: Vec<u64>,
}

/// The result of a comparison of the newest manifest of a relation with the log.
enum ManifestState {
    /// It lists the current files.
    Right,
    /// It is of a commit that followed the snapshot.
    Ahead,
    /// The relation has no manifest.
    Missing,
    /// A later commit changed the relation.
    Stale,
    /// It lists other files.
    Wrong,
    /// It is of a commit that the log does not contain.
    Unknown,
}

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

    /// Writes the manifests that are missing or wrong.
    pub async fn complete_manifests(&self, snapshot: &Snapshot) {
        if let Err(error) = self.repair_manifests(snapshot).await {
            tracing::warn!("could not examine the manifests for other programs: {error}");
        }
    }

    async fn repair_manifests(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let mut wrong: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for manifests in self.manifests_of(snapshot).await? {
            if !matches!(self.state_of(&manifests, snapshot).await?, ManifestState::Right | ManifestState::Ahead) {
                wrong.insert(manifests.relation, manifests.numbers);
            }
        }
        let mut changed = ChangedRelations::default();
        for commit in snapshot.commits().iter().rev() {
            if wrong.keys().all(|relation| changed.0.contains_key(relation)) {
                break;
            }
            if commit.added_files + commit.removed_files > 0 {
                changed.add(&self.log_entry(commit.sequence).await?);
            }
        }
        changed.0.retain(|relation, _| wrong.contains_key(relation));
        self.try_write_manifests(snapshot, &changed).await?;
        // A larger number would still be the newest manifest of the relation.
        let is_newer = |relation: &str, number: u64| changed.0.get(relation).is_none_or(|last| number > *last);
        let mut newer = Vec::new();
        for (relation, numbers) in &wrong {
            let numbers = numbers.iter().filter(|number| is_newer(relation, **number));
            newer.extend(numbers.map(|number| layout::manifest(relation, *number)));
        }
        self.delete(&newer).await
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
        let relations = directories.common_prefixes.iter().filter_map(|prefix| prefix.filename().map(str::to_owned));
        let listed = stream::iter(relations).map(async |relation| {
            let directory = self.full_path(&layout::manifests(&relation));
            let objects: Vec<ObjectMeta> = self.store.list(Some(&directory)).try_collect().await.map_err(failed)?;
            let number = |object: &ObjectMeta| object.location.filename().and_then(layout::log_sequence);
            let mut numbered: Vec<(u64, ObjectMeta)> =
                objects.into_iter().filter_map(|object| Some((number(&object)?, object))).collect();
            numbered.sort_by_key(|(number, _)| *number);
            Ok((relation, numbered))
        });
        listed.buffered(IN_FLIGHT).try_collect().await
    }

    /// The numbers of the manifests of each relation that has manifests or current files.
    async fn manifests_of(&self, snapshot: &Snapshot) -> Result<Vec<RelationManifests>, Error> {
        let mut found: BTreeMap<String, Vec<u64>> =
            snapshot.relations().into_iter().map(|relation| (relation.to_owned(), Vec::new())).collect();
        for (relation, manifests) in self.manifests().await? {
            found.entry(relation).or_default().extend(manifests.into_iter().map(|(number, _)| number));
        }
        let is_known =
            |(relation, numbers): &(String, Vec<u64>)| !numbers.is_empty() || snapshot.files(relation).next().is_some();
        let found = found.into_iter().filter(is_known);
        Ok(found.map(|(relation, numbers)| RelationManifests { relation, numbers }).collect())
    }

    /// Compares the newest manifest of a relation with the current files of the relation.
    async fn state_of(&self, manifests: &RelationManifests, snapshot: &Snapshot) -> Result<ManifestState, Error> {
        let relation = &manifests.relation;
        let Some(newest) = manifests.numbers.last().copied() else { return Ok(ManifestState::Missing) };
        if newest >= snapshot.next_sequence() {
            // Another command can commit between the reading of the log and the listing.
            let is_committed = self.log_entry(newest).await.is_ok();
            return Ok(if is_committed { ManifestState::Ahead } else { ManifestState::Unknown });
        }
        let path = layout::manifest(relation, newest);
        if self.read(&path).await? == encode(snapshot, relation, newest)? {
            return Ok(ManifestState::Right);
        }
        let mut entry_changed = false;
        for commit in snapshot.commits().iter().rev().take_while(|commit| commit.sequence > newest) {
            if commit.added_files + commit.removed_files > 0 {
                entry_changed |= changed_by(&self.log_entry(commit.sequence).await?).contains(relation.as_str());
            }
        }
        Ok(if entry_changed { ManifestState::Stale } else { ManifestState::Wrong })
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

    /// One sentence for each relation whose newest manifest contradicts the log, and one for each relation whose newest
    /// manifest is missing. A missing manifest is no damage, because a command that is killed or still runs leaves it
    /// unwritten.
    pub(super) async fn wrong_manifests(&self, snapshot: &Snapshot) -> Result<(Vec<String>, Vec<String>), Error> {
        const REMEDY: &str = "the next `conto intake` or `conto run` writes it again";
        let (mut wrong, mut missing) = (Vec::new(), Vec::new());
        for manifests in self.manifests_of(snapshot).await? {
            let relation = &manifests.relation;
            let newest = manifests.numbers.last().map(|newest| layout::manifest(relation, *newest));
            let newest = newest.unwrap_or_default();
            match self.state_of(&manifests, snapshot).await? {
                ManifestState::Right | ManifestState::Ahead => {}
                ManifestState::Missing => missing.push(format!("`{relation}` has no manifest: {REMEDY}")),
                ManifestState::Stale => {
                    missing.push(format!("`{relation}` changed after its newest manifest `{newest}`: {REMEDY}"));
                }
                ManifestState::Wrong => {
                    wrong.push(format!("`{newest}` lists other files than the commit log: {REMEDY}"));
                }
                ManifestState::Unknown => {
                    wrong.push(format!("`{newest}` is of a commit that the log does not contain: {REMEDY}"));
                }
            }
        }
        Ok((wrong, missing))
    }
}
