//! One record as a source delivered it, before it is known as a sample of a stream.

use crate::intake::rejection_reason::Reason;
use std::borrow::Cow;

use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::evidence::Evidence;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;

/// What a source says about how its quantity is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// A level at an instant.
    Gauge,
    /// An amount since the record before.
    Delta,
    /// A running total.
    Cumulative,
    /// The source does not say.
    Unknown,
}

impl SampleKind {
    /// Sources agree on the words; any other is no statement.
    pub fn from_name(name: &str) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case("gauge") => Self::Gauge,
            _ if name.eq_ignore_ascii_case("delta") => Self::Delta,
            _ if name.eq_ignore_ascii_case("cumulative") => Self::Cumulative,
            _ => Self::Unknown,
        }
    }
}

/// A usage record, borrowed from the reader's buffer.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The source's own name of what it measured.
    pub source_meter: &'a str,
    pub kind: SampleKind,
    /// Canonical spelling; empty where the source says none.
    pub unit: &'a str,
    /// `None` for null, empty and "None".
    pub project_id: Option<&'a str>,
    pub resource_id: &'a str,
    /// Microseconds UTC.
    pub measured_at: i64,
    pub quantity: Quantity,
    /// The source's own id of this record.
    pub record_id: Option<&'a str>,
    /// When the resource was made, where the record says so (microseconds UTC).
    pub created_at: Option<i64>,
    /// Whether the record is evidence that the resource is gone at `measured_at`.
    pub deleted: bool,
    pub standing: Evidence,
    /// The values at the sink's field paths, in their order; absent, null and empty are `None`. Numbers and booleans
    /// as written.
    pub fields: &'a [Option<Cow<'a, str>>],
    /// Line in the file, or row, from one.
    pub line: u64,
}

/// What tells a record from the others of its [class](crate::intake::resolve::record_group): when, how much, and its own id.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub measured_at: i64,
    pub quantity: Quantity,
    pub record_id: Option<&'a str>,
    pub created_at: Option<i64>,
    pub deleted: bool,
    pub standing: Evidence,
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
            standing: self.standing,
            line: self.line,
        }
    }
}

/// A record refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    pub reason: Reason,
    /// What was found and what was expected, for a person.
    pub detail: String,
    pub line: u64,
    /// The record as it came; may be cut by the sink.
    pub raw: &'a [u8],
}

/// Where a reader puts what it finds. Every record of a file ends in exactly one of the three.
pub trait RecordSink {
    /// The fields that meters ask for, without repetition.
    fn field_paths(&self) -> &[FieldPath];

    /// Whether any meter asks for this source meter. Readers ask before they look at anything else of a record.
    fn is_metered(&self, source_meter: &str) -> bool;

    /// Takes a record. `raw` gives it as it came, for a person who asks what was refused.
    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>);

    /// Indices of the field paths that decide what a record means, in rising order; the others are labels.
    fn deciding_fields(&self) -> &[usize];

    /// The class of the records that agree with this one in source meter, unit, project, resource and deciding fields.
    /// `None` where such records have to be given one by one.
    fn class(&mut self, record: &Record<'_>) -> Option<RecordGroupId>;

    /// Takes a record of a class. Where a meter refuses its quantity nothing happens but the answer `false`, and the
    /// record has to be given as a whole. `field` gives the text at a field path.
    fn record_of_class<'v>(
        &mut self,
        class: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool;

    /// A well-formed record of a source meter that no meter asks for.
    fn unmetered(&mut self, source_meter: &str);

    fn reject(&mut self, rejection: &Rejection<'_>);
}

/// What a reader did with one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Records given to the sink, whichever of its three ways they went.
    pub read: u64,
}
