//! One commit: what was added and removed in every relation, and with which inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::meter::{Meter, RecordRounding};
use crate::model::money::Quantity;

/// What a commit settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// Usage taken in and metered.
    Intake,
    /// A period rated and its documents drafted.
    Billing,
    /// Documents of a period issued: the period itself, or what is due for it since.
    Close,
    /// Small files of usage put together.
    Compaction,
    /// Samples of closed periods given up: their windows are kept.
    Expiry,
    /// Files that nothing counts, about to be deleted.
    Vacuum,
    /// They are deleted.
    Vacuumed,
}

impl CommitKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Billing => "billing",
            Self::Close => "close",
            Self::Compaction => "compaction",
            Self::Expiry => "expiry",
            Self::Vacuum => "vacuum",
            Self::Vacuumed => "vacuumed",
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

/// How a meter measured when something was committed: where it changes, what was metered must be metered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterDefinition {
    pub aggregation: String,
    pub window_seconds: u32,
    pub max_gap_seconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_timeout_seconds: Option<u32>,
    /// Minimum and granularity of a record, where the meter has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<[String; 2]>,
    pub source_meters: Vec<String>,
}

impl MeterDefinition {
    pub fn of(meter: &Meter) -> Self {
        Self {
            aggregation: meter.aggregation.name().to_owned(),
            window_seconds: meter.window_seconds,
            max_gap_seconds: meter.max_gap_seconds,
            state_timeout_seconds: meter.state_timeout_seconds,
            record: meter.record.map(|record| [record.minimum.to_string(), record.multiple_of.to_string()]),
            source_meters: meter.source_meters.clone(),
        }
    }

    /// What a single record counts; both numbers were written by [`MeterDefinition::of`].
    pub fn record_rounding(&self) -> Option<RecordRounding> {
        let [minimum, multiple_of] = self.record.as_ref()?;
        let number = |text: &str| Quantity::parse_exact(text).ok();
        Some(RecordRounding { minimum: number(minimum)?, multiple_of: number(multiple_of)? })
    }

    /// Whether the same samples give the same quantities.
    pub fn measures_as(&self, other: &Self) -> bool {
        let of = |definition: &Self| {
            (definition.window_seconds, definition.max_gap_seconds, definition.state_timeout_seconds)
        };
        self.aggregation == other.aggregation && of(self) == of(other) && self.record == other.record
    }
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
    /// Every meter by name.
    pub meters: BTreeMap<String, MeterDefinition>,
    /// Control totals as decimal text, by name.
    pub totals: BTreeMap<String, String>,
    /// The contents of configuration, accounts and rules that were used, by name.
    pub inputs: BTreeMap<String, String>,
    /// Which of them is the configuration.
    #[serde(default)]
    pub configuration: String,
    /// What a person decided: refusals that were overruled, why a period was restated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    pub documents: Vec<DocumentFile>,
    /// Of a vacuum: paths that are deleted between its two entries. Nobody writes to them meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vacuumed: Vec<String>,
    /// Of an expiry: the first date whose samples are still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_from: Option<String>,
}

impl Commit {
    /// Whether another commit changed what this one was computed from or numbers after, so that it cannot simply be put
    /// behind it.
    pub fn depends_on(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            // The drafts of a month are made from its usage and rules; another month's drafts are neither.
            (CommitKind::Billing, CommitKind::Billing) => self.period == other.period,
            // Usage is taken in whatever was drafted.
            (CommitKind::Intake, CommitKind::Billing) => false,
            // What is about to be deleted must not be named.
            (CommitKind::Vacuum, _) => true,
            (_, CommitKind::Vacuum) => self.names_one_of(&other.vacuumed),
            (CommitKind::Vacuumed, _) | (_, CommitKind::Vacuumed) => false,
            // Drafts are made from windows, which have no part in this.
            (CommitKind::Billing, CommitKind::Compaction | CommitKind::Expiry)
            | (CommitKind::Compaction | CommitKind::Expiry, CommitKind::Billing) => false,
            _ => true,
        }
    }

    fn names_one_of(&self, paths: &[String]) -> bool {
        let added = self.added.iter().map(|file| &file.path);
        added.chain(self.documents.iter().map(|document| &document.path)).any(|path| paths.contains(path))
    }
}
