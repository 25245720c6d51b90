//! A sink that collects all records, for the tests of the readers.

use std::borrow::Cow;

use crate::intake::formats::id::POSITIONS;
use crate::intake::record::{Measured, Record, RecordSink, Rejection, SampleKind};
use crate::intake::rejection_reason::Reason;
use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::evidence::Evidence;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;

/// A [`Record`] that owns its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collected {
    pub source_meter: String,
    pub kind: SampleKind,
    pub unit: String,
    pub project_id: Option<String>,
    pub resource_id: String,
    pub measured_at: i64,
    pub quantity: Quantity,
    pub record_id: Option<String>,
    pub created_at: Option<i64>,
    pub deleted: bool,
    pub evidence: Evidence,
    pub fields: Vec<Option<String>>,
    pub line: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TestSink {
    paths: Vec<FieldPath>,
    /// The source meters that are measured, or `None` if all are measured.
    pub metered: Option<Vec<String>>,
    pub records: Vec<Collected>,
    /// The raw text of each record.
    pub raw: Vec<Vec<u8>>,
    pub unmetered: Vec<String>,
    /// The reason, detail and line of each rejection.
    pub rejected: Vec<(Reason, String, u64)>,
    pub rejected_raw: Vec<Vec<u8>>,
}

impl TestSink {
    pub(super) fn new(paths: &[&str]) -> Self {
        Self { paths: paths.iter().map(|path| FieldPath::parse(path)).collect(), ..Self::default() }
    }
}

impl RecordSink for TestSink {
    fn field_paths(&self) -> &[FieldPath] {
        &self.paths
    }

    fn is_metered(&self, source_meter: &str) -> bool {
        self.metered.as_ref().is_none_or(|metered| metered.iter().any(|name| name == source_meter))
    }

    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>) {
        self.records.push(Collected {
            source_meter: record.source_meter.to_owned(),
            kind: record.kind,
            unit: record.unit.to_owned(),
            project_id: record.project_id.map(str::to_owned),
            resource_id: record.resource_id.to_owned(),
            measured_at: record.measured_at,
            quantity: record.quantity,
            record_id: record.record_id.map(|id| id.replace(POSITIONS, "")),
            created_at: record.created_at,
            deleted: record.deleted,
            evidence: record.evidence,
            fields: record.fields.iter().map(|field| field.as_deref().map(str::to_owned)).collect(),
            line: record.line,
        });
        self.raw.push(raw().into_owned());
    }

    fn deciding_fields(&self) -> &[usize] {
        &[]
    }

    /// Returns `None`, so that readers pass every record completely.
    fn record_group(&mut self, _: &Record<'_>) -> Option<RecordGroupId> {
        None
    }

    fn record_in_group<'v>(
        &mut self,
        _: RecordGroupId,
        _: &Measured<'_>,
        _: impl Fn(usize) -> Option<&'v str>,
    ) -> bool {
        false
    }

    fn unmetered(&mut self, source_meter: &str) {
        self.unmetered.push(source_meter.to_owned());
    }

    fn reject(&mut self, rejection: &Rejection<'_>) {
        self.rejected.push((rejection.reason, rejection.detail.clone(), rejection.line));
        self.rejected_raw.push(rejection.raw.to_vec());
    }
}
