//! One commit: what was added and removed in every relation, and with which inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a commit settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// Usage taken in and metered.
    Intake,
    /// A period rated and its documents drafted.
    Billing,
}

impl CommitKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Billing => "billing",
        }
    }
}

/// What the lake's first commit fixes for ever, because every window and every file depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeSettings {
    pub time_zone: String,
    pub buckets: u32,
}

/// A parquet file of one relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub path: String,
    pub relation: String,
    /// A date, a billing period, or `all`.
    pub partition: String,
    pub bucket: u32,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// A page or a CSV file that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentFile {
    pub path: String,
    /// Digest of what the document was drawn from; equal digests draw equal documents.
    pub drawn_from: String,
    pub sha256: String,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    pub sequence: u64,
    pub kind: CommitKind,
    pub program_version: String,
    /// RFC 3339, from the clock of the machine; for people, nothing is computed from it.
    pub committed_at: String,
    pub settings: LakeSettings,
    /// `2026-10`, for billing.
    pub period: Option<String>,
    pub added: Vec<DataFile>,
    /// Paths of files that no longer count.
    pub removed: Vec<String>,
    /// Control totals as decimal text, by name.
    pub totals: BTreeMap<String, String>,
    /// The contents of configuration, accounts and rules that were used, by name.
    pub inputs: BTreeMap<String, String>,
    pub documents: Vec<DocumentFile>,
}
