//! One record as a source delivered it, before it is resolved to a sample of a stream.

use std::borrow::Cow;

use crate::intake::rejection_reason::Reason;
use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::evidence::Evidence;
use crate::model::identifier::canonical_id;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;

/// The kind of a record's quantity, as stated by the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// A level at an instant.
    Gauge,
    /// The amount since the previous record.
    Delta,
    /// A running total.
    Cumulative,
    /// The source states no kind.
    Unknown,
}

impl SampleKind {
    /// The kind with a name, in upper or lower case. Any other name has the kind `Unknown`.
    pub fn from_name(name: &str) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case("gauge") => Self::Gauge,
            _ if name.eq_ignore_ascii_case("delta") => Self::Delta,
            _ if name.eq_ignore_ascii_case("cumulative") => Self::Cumulative,
            _ => Self::Unknown,
        }
    }
}

/// A field of a record that contains an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdField {
    Project,
    Resource,
}

impl IdField {
    /// The name of the field in relations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Project => "project_id",
            Self::Resource => "resource_id",
        }
    }
}

/// A usage record, borrowed from the reader's buffer.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The source's name of the measurement.
    pub source_meter: &'a str,
    pub kind: SampleKind,
    /// The unit in its canonical spelling. Empty if the source states no unit.
    pub unit: &'a str,
    /// The project. `None` if the source delivers no value, or a [text for an absent
    /// value](crate::model::identifier::stated).
    pub project_id: Option<&'a str>,
    pub resource_id: &'a str,
    /// Microseconds UTC.
    pub measured_at: i64,
    pub quantity: Quantity,
    /// The source's id of this record.
    pub record_id: Option<&'a str>,
    /// Creation time of the resource, if the record contains it (microseconds UTC).
    pub created_at: Option<i64>,
    /// Whether the record proves that the resource is deleted at `measured_at`.
    pub deleted: bool,
    pub evidence: Evidence,
    /// The values at the sink's field paths, in their order. Absent, null and empty values are `None`. Numbers and
    /// booleans have the spelling of the source.
    pub fields: &'a [Option<Cow<'a, str>>],
    /// Line or row in the file, starting with one.
    pub line: u64,
}

/// The values that distinguish a record within its [group](crate::intake::resolve::record_group).
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub measured_at: i64,
    pub quantity: Quantity,
    pub record_id: Option<&'a str>,
    pub created_at: Option<i64>,
    pub deleted: bool,
    pub evidence: Evidence,
    pub line: u64,
}

impl<'a> Record<'a> {
    pub fn measured(&self) -> Measured<'a> {
        Measured {
            measured_at: self.measured_at,
            quantity: self.quantity,
            record_id: self.record_id,
            created_at: self.created_at,
            deleted: self.deleted,
            evidence: self.evidence,
            line: self.line,
        }
    }
}

/// A rejected record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    pub reason: Reason,
    /// The value that was found and the value that was expected, as a message for users.
    pub detail: String,
    pub line: u64,
    /// The record as delivered. The sink may truncate it.
    pub raw: &'a [u8],
}

/// The receiver of a reader's records. Each record of a file is passed to exactly one of `record` (or
/// `record_in_group`), `unmetered` and `reject`.
pub trait RecordSink {
    /// The distinct field paths that meters need.
    fn field_paths(&self) -> &[FieldPath];

    /// Whether a meter measures this source meter. Readers check this before they read other fields of a record.
    fn is_metered(&self, source_meter: &str) -> bool;

    /// The canonical form of a delivered resource or project. The sink of a run lists the ids that it changes.
    fn canonical_id<'i>(&mut self, delivered: &'i str, _field: IdField) -> Cow<'i, str> {
        canonical_id(delivered)
    }

    /// Receives a record. `raw` returns the record as delivered. The sink stores this text if it rejects the record.
    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>);

    /// Indices of the field paths that determine dimensions, in ascending order. The other paths are the sources of
    /// labels.
    fn deciding_fields(&self) -> &[usize];

    /// The group of all records with the same source meter, unit, project, resource and deciding fields as this record.
    /// `None` if these records must be passed individually to `record`.
    fn record_group(&mut self, record: &Record<'_>) -> Option<RecordGroupId>;

    /// Receives a record of a group. Returns `false` and does nothing if a meter rejects the record. Then the complete
    /// record must be passed to `record`. `field` returns the text at a field path.
    fn record_in_group<'v>(
        &mut self,
        group: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool;

    /// Receives a well-formed record of a source meter that no meter measures.
    fn unmetered(&mut self, source_meter: &str);

    fn reject(&mut self, rejection: &Rejection<'_>);
}

/// The number of records of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Records passed to the sink, including unmetered and rejected records.
    pub read: u64,
}
