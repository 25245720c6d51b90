//! What the log adds up to at one point: the files of every relation.

use std::collections::BTreeMap;

use super::log::{Commit, CommitKind, DataFile, LakeSettings, MeterDefinition};

/// The state after a number of commits.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    files: BTreeMap<String, DataFile>,
    commits: Vec<Commit>,
}

impl Snapshot {
    pub(crate) fn apply(&mut self, commit: Commit) {
        for path in &commit.removed {
            self.files.remove(path);
        }
        for file in &commit.added {
            self.files.insert(file.path.clone(), file.clone());
        }
        self.commits.push(commit);
    }

    /// The number the next commit will have.
    pub fn next_sequence(&self) -> u64 {
        self.commits.len() as u64
    }

    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// What the first commit fixed; `None` in an empty lake.
    pub fn settings(&self) -> Option<&LakeSettings> {
        self.commits.first().map(|commit| &commit.settings)
    }

    /// The meters that the last intake asked for; none where nothing was taken in yet.
    pub fn meters(&self) -> &BTreeMap<String, MeterDefinition> {
        static NONE: BTreeMap<String, MeterDefinition> = BTreeMap::new();
        let last = self.commits.iter().rev().find(|commit| commit.kind == CommitKind::Intake);
        last.map_or(&NONE, |commit| &commit.meters)
    }

    /// The last billing commit of a period.
    pub fn last_billing(&self, period: &str) -> Option<&Commit> {
        self.commits
            .iter()
            .rev()
            .find(|commit| commit.kind == CommitKind::Billing && commit.period.as_deref() == Some(period))
    }

    /// Whether a path counts.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// In the order of paths, which is the order of partitions and buckets.
    pub fn files<'a>(&'a self, relation: &'a str) -> impl Iterator<Item = &'a DataFile> {
        self.files.values().filter(move |file| file.relation == relation)
    }

    pub fn relations(&self) -> Vec<&str> {
        let mut relations: Vec<&str> = self.files.values().map(|file| file.relation.as_str()).collect();
        relations.sort_unstable();
        relations.dedup();
        relations
    }
}
