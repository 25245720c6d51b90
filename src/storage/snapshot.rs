//! The state of the lake after a number of commits: the files of every relation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::close_blocker::{CloseBlocker, CloseDecision};
use crate::model::period::BillingPeriod;

use super::log::{Commit, CommitKind, DataFile, LakeSettings, MeterDefinition};

/// The part of a commit that a snapshot contains. The complete commit is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitSummary {
    pub sequence: u64,
    pub kind: CommitKind,
    pub program_version: String,
    pub committed_at: String,
    pub period: Option<String>,
    pub added_files: u64,
    pub removed_files: u64,
    pub totals: BTreeMap<String, String>,
    pub remarks: Vec<String>,
    pub approved_by: Option<String>,
    pub overridden_blockers: Vec<CloseBlocker>,
}

impl CommitSummary {
    /// The operator's decisions about the documents of a close; `None` for other commits.
    pub fn close_decision(&self) -> Option<CloseDecision> {
        let total = |name: &str| self.totals.get(name).cloned().unwrap_or_default();
        self.kind.issues_documents().then(|| CloseDecision {
            commit: Some(self.sequence),
            period: self.period.clone().unwrap_or_default(),
            issue_date: total(CloseDecision::ISSUE_DATE),
            cause: total(CloseDecision::CAUSE),
            approved_by: self.approved_by.clone(),
            reasons: self.remarks.clone(),
            overridden_blockers: self.overridden_blockers.clone(),
        })
    }
}

/// The state after a number of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    files: BTreeMap<String, DataFile>,
    commits: Vec<CommitSummary>,
    settings: Option<LakeSettings>,
    meters: BTreeMap<String, MeterDefinition>,
    /// Paths that a vacuum is deleting, or that an aborted vacuum did not finish deleting.
    #[serde(default)]
    tombstoned: BTreeSet<String>,
    /// The first date with samples, if earlier samples expired.
    #[serde(default)]
    samples_from: Option<String>,
}

impl Snapshot {
    pub(crate) fn apply(&mut self, commit: &Commit) {
        for path in &commit.removed {
            self.files.remove(path);
        }
        for file in &commit.added {
            self.files.insert(file.path.clone(), file.clone());
        }
        match commit.kind {
            CommitKind::Vacuum => self.tombstoned.extend(commit.vacuumed.iter().cloned()),
            CommitKind::Vacuumed => self.tombstoned.retain(|path| !commit.vacuumed.contains(path)),
            _ => {}
        }
        self.samples_from = self.samples_from.take().max(commit.samples_from.clone());
        self.settings.get_or_insert_with(|| commit.settings.clone());
        if commit.kind == CommitKind::Intake {
            self.meters = commit.meters.clone();
        }
        self.commits.push(CommitSummary {
            sequence: commit.sequence,
            kind: commit.kind,
            program_version: commit.program_version.clone(),
            committed_at: commit.committed_at.clone(),
            period: commit.period.clone(),
            added_files: commit.added.len() as u64,
            removed_files: commit.removed.len() as u64,
            totals: commit.totals.clone(),
            remarks: commit.remarks.clone(),
            approved_by: commit.approved_by.clone(),
            overridden_blockers: commit.overridden_blockers.clone(),
        });
    }

    /// The number of the next commit.
    pub fn next_sequence(&self) -> u64 {
        self.commits.len() as u64
    }

    pub fn commits(&self) -> &[CommitSummary] {
        &self.commits
    }

    /// The settings of the first commit; `None` in an empty lake.
    pub fn settings(&self) -> Option<&LakeSettings> {
        self.settings.as_ref()
    }

    /// The meter definitions of the last intake; empty before the first one.
    pub fn meters(&self) -> &BTreeMap<String, MeterDefinition> {
        &self.meters
    }

    /// The last commit of a kind for a period.
    pub fn last(&self, kind: CommitKind, period: &str) -> Option<&CommitSummary> {
        self.commits.iter().rev().find(|commit| commit.kind == kind && commit.period.as_deref() == Some(period))
    }

    /// The operator's decisions about all closes of a period, in the order of the commits.
    pub fn close_decisions(&self, period: &str) -> Vec<CloseDecision> {
        let of_period = self.commits.iter().filter(|commit| commit.period.as_deref() == Some(period));
        of_period.filter_map(CommitSummary::close_decision).collect()
    }

    /// The last commit with documents of a period: drafts, final invoices of accounts, or the documents of a close.
    pub fn last_documents(&self, period: &str) -> Option<&CommitSummary> {
        let mut latest_first = self.commits.iter().rev();
        latest_first.find(|commit| commit.kind.has_documents() && commit.period.as_deref() == Some(period))
    }

    /// The first and the last date with usage, if the lake has usage of other periods only.
    pub fn usage_of_other_periods(&self, period: BillingPeriod) -> Option<(&str, &str)> {
        let dates: BTreeSet<&str> = self.files("metered_day").map(|file| file.partition.as_str()).collect();
        let has_usage = dates.iter().any(|date| period.has_date(date));
        dates.first().copied().zip(dates.last().copied()).filter(|_| !has_usage)
    }

    /// Whether a path is part of the lake.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The relation of a file, if the file is part of the lake.
    pub fn relation_of(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|file| file.relation.as_str())
    }

    /// Whether a vacuum is deleting a path. No command may write to such a path.
    pub fn is_tombstoned(&self, path: &str) -> bool {
        self.tombstoned.contains(path)
    }

    pub fn tombstoned(&self) -> impl Iterator<Item = &str> {
        self.tombstoned.iter().map(String::as_str)
    }

    /// The first date with samples, as ISO text; `None` if no samples expired.
    pub fn samples_from(&self) -> Option<&str> {
        self.samples_from.as_deref()
    }

    /// The files of a relation in the order of their paths, which is the order of partitions and shards.
    pub fn files<'a>(&'a self, relation: &'a str) -> impl Iterator<Item = &'a DataFile> {
        self.files.values().filter(move |file| file.relation == relation)
    }

    /// The files of every relation.
    pub fn all_files(&self) -> impl Iterator<Item = &DataFile> {
        self.files.values()
    }

    pub fn relations(&self) -> Vec<&str> {
        let mut relations: Vec<&str> = self.files.values().map(|file| file.relation.as_str()).collect();
        relations.sort_unstable();
        relations.dedup();
        relations
    }
}
