//! One commit: the files that it added and removed in each relation, and its inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::close_blocker::CloseBlocker;
use crate::model::meter::{Meter, RecordRounding};
use crate::model::money::Quantity;

/// The kind of work that a commit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// New usage and its metered quantities.
    Intake,
    /// The rated usage and the draft documents of a period.
    Billing,
    /// The issued documents of a period: its invoices, or later corrections.
    Close,
    /// The final documents of one account in an open period. The other documents of the period remain drafts.
    FinalInvoice,
    /// The merging of small usage files.
    Compaction,
    /// The removal of the samples of closed periods. The metered windows remain.
    Expiry,
    /// The start of a vacuum: the unreferenced files that the vacuum deletes next.
    Vacuum,
    /// The end of a vacuum, after the deletion.
    Vacuumed,
}

impl CommitKind {
    /// Whether the commit issues documents.
    pub const fn issues_documents(self) -> bool {
        matches!(self, Self::Close | Self::FinalInvoice)
    }

    /// Whether the commit has the documents of a period: drafts or issued documents.
    pub const fn has_documents(self) -> bool {
        matches!(self, Self::Billing) || self.issues_documents()
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Billing => "billing",
            Self::Close => "close",
            Self::FinalInvoice => "final_invoice",
            Self::Compaction => "compaction",
            Self::Expiry => "expiry",
            Self::Vacuum => "vacuum",
            Self::Vacuumed => "vacuumed",
        }
    }
}

/// The settings that the first commit of a lake fixes, because every window and every file depends on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeSettings {
    pub time_zone: String,
    pub shards: u32,
}

/// The settings of a meter that determine its quantities, at the time of a commit. If these settings change, usage has
/// to be metered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterDefinition {
    pub aggregation: String,
    pub window_seconds: u32,
    pub max_gap_seconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_timeout_seconds: Option<u32>,
    /// The minimum and the granularity of a record, if the meter has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<[String; 2]>,
    /// Whether the meter accepts negative records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
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
            signed: meter.signed,
            source_meters: meter.source_meters.clone(),
        }
    }

    /// The rounding of a single record. [`MeterDefinition::of`] wrote both numbers.
    pub fn record_rounding(&self) -> Option<RecordRounding> {
        let [minimum, multiple_of] = self.record.as_ref()?;
        let number = |text: &str| Quantity::parse_exact(text).ok();
        Some(RecordRounding { minimum: number(minimum)?, multiple_of: number(multiple_of)? })
    }

    /// Whether the same samples give the same quantities, under the same checks.
    pub fn measures_as(&self, other: &Self) -> bool {
        let of = |definition: &Self| {
            (definition.window_seconds, definition.max_gap_seconds, definition.state_timeout_seconds)
        };
        self.aggregation == other.aggregation
            && of(self) == of(other)
            && self.record == other.record
            && self.signed == other.signed
    }
}

/// A committed Parquet file of one relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub path: String,
    pub relation: String,
    /// A date, a billing period, or `all`.
    pub partition: String,
    pub shard: u32,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// A page, a JSON file or a CSV file for people and other programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentFile {
    pub path: String,
    /// The digest of the document's inputs. Equal digests mean equal documents.
    pub source_digest: String,
    pub sha256: String,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    pub sequence: u64,
    pub kind: CommitKind,
    pub program_version: String,
    /// The time of the commit in RFC 3339, from the clock of the machine. Only output and the age of files in a vacuum
    /// depend on this time.
    pub committed_at: String,
    pub settings: LakeSettings,
    /// The billing period, such as `2026-10`, for a billing or a close.
    pub period: Option<String>,
    pub added: Vec<DataFile>,
    /// Paths of files that are no longer part of the lake.
    pub removed: Vec<String>,
    /// The definition of every meter, by name.
    pub meters: BTreeMap<String, MeterDefinition>,
    /// Control totals as decimal text, by name.
    pub totals: BTreeMap<String, String>,
    /// The contents of the configuration, accounts and rules that were used, by name.
    pub inputs: BTreeMap<String, String>,
    /// The name of the input that is the configuration.
    #[serde(default)]
    pub configuration: String,
    /// The reasons that the operator gave: of a forced close, a restatement or a retraction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The name of the person who approved the documents of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The close blockers that the operator overrode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden_blockers: Vec<CloseBlocker>,
    pub documents: Vec<DocumentFile>,
    /// The paths that a vacuum deletes between its two entries. Meanwhile, no command writes to these paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vacuumed: Vec<String>,
    /// After an expiry, the first date with samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_from: Option<String>,
}

impl Commit {
    /// Whether another commit changed the inputs of this commit, or issued document numbers before it. If not, this
    /// commit can follow the other commit without a new computation.
    pub fn depends_on(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            // Drafts depend on the usage and rules of their month, not on drafts of other months.
            (CommitKind::Billing, CommitKind::Billing) => self.period == other.period,
            // Intake does not depend on drafts.
            (CommitKind::Intake, CommitKind::Billing) => false,
            // A vacuum must not delete a file that the other commit references.
            (CommitKind::Vacuum, _) => true,
            (_, CommitKind::Vacuum) => self.names_one_of(&other.vacuumed),
            (CommitKind::Vacuumed, _) | (_, CommitKind::Vacuumed) => false,
            // Drafts depend on metered windows. Compaction and expiry change samples only.
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
