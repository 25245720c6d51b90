//! Default values of a source for fields that its records lack: region, cloud, or the project of resources without a
//! project.
//!
//! A field of the record always takes precedence. A default replaces an absent field. Its name is the field path that
//! the meters use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::intake::record::{IdField, Measured, Record, RecordSink, Rejection};
use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::identifier::{self, canonical_id};
use crate::model::meter::FieldPath;

/// The name of the default for the project. All other names of defaults are field paths.
const PROJECT_ID: &str = "project_id";

/// A sink that adds the defaults of a source to every record.
#[derive(Debug)]
pub struct WithDefaults<'s, S> {
    sink: &'s mut S,
    project_id: Option<Cow<'s, str>>,
    /// The default for each field path of the sink.
    fields: Vec<Option<&'s str>>,
}

impl<'s, S: RecordSink> WithDefaults<'s, S> {
    pub fn new(sink: &'s mut S, defaults: &'s BTreeMap<String, String>) -> Self {
        let default = |name: &str| defaults.get(name).and_then(|text| identifier::stated(text));
        let fields = sink.field_paths().iter().map(|path| default(&path.joined())).collect();
        Self { sink, project_id: default(PROJECT_ID).map(canonical_id), fields }
    }
}

/// The fields of a record, with the defaults in place of absent fields.
fn filled<'r>(record: &'r Record<'_>, defaults: &[Option<&'r str>]) -> Vec<Option<Cow<'r, str>>> {
    let fields = record.fields.iter().map(|field| field.as_deref());
    fields.zip(defaults).map(|(field, default)| field.or(*default).map(Cow::Borrowed)).collect()
}

impl<S: RecordSink> RecordSink for WithDefaults<'_, S> {
    fn field_paths(&self) -> &[FieldPath] {
        self.sink.field_paths()
    }

    fn is_metered(&self, source_meter: &str) -> bool {
        self.sink.is_metered(source_meter)
    }

    fn canonical_id<'i>(&mut self, delivered: &'i str, field: IdField) -> Cow<'i, str> {
        self.sink.canonical_id(delivered, field)
    }

    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>) {
        let fields = filled(record, &self.fields);
        let project_id = record.project_id.or(self.project_id.as_deref());
        self.sink.record(&Record { fields: &fields, project_id, ..record.clone() }, raw);
    }

    fn deciding_fields(&self) -> &[usize] {
        self.sink.deciding_fields()
    }

    fn record_group(&mut self, record: &Record<'_>) -> Option<RecordGroupId> {
        let fields = filled(record, &self.fields);
        let project_id = record.project_id.or(self.project_id.as_deref());
        self.sink.record_group(&Record { fields: &fields, project_id, ..record.clone() })
    }

    fn record_in_group<'v>(
        &mut self,
        group: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool {
        let defaults = &self.fields;
        self.sink.record_in_group(group, measured, |index| field(index).or(defaults.get(index).copied().flatten()))
    }

    fn unmetered(&mut self, source_meter: &str) {
        self.sink.unmetered(source_meter);
    }

    fn reject(&mut self, rejection: &Rejection<'_>) {
        self.sink.reject(rejection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::ceilometer;
    use crate::intake::formats::compression::open;
    use crate::intake::test_sink::TestSink;

    #[test]
    fn a_default_replaces_only_an_absent_field() {
        let defaults = [("region", "eu-west"), ("zone.name", "a"), ("project_id", "ops")];
        let defaults: BTreeMap<String, String> =
            defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let line = |more: &str| {
            format!(
                "{{\"name\": \"vcpus\", \"unit\": \"vcpu\", \"volume\": 1, \"resource_id\": \"vm\", \
                 \"timestamp\": \"2026-10-01T00:05:00\"{more}}}\n"
            )
        };
        let own = ", \"project_id\": \"web\", \"resource_metadata\": {\"region\": \"eu-north\"}";
        let text = line("") + &line(own);
        let mut sink = TestSink::new(&["region", "zone.name", "flavor"]);
        ceilometer::read(&mut open(text.as_bytes()).unwrap(), &mut WithDefaults::new(&mut sink, &defaults)).unwrap();
        let records: Vec<_> =
            sink.records.iter().map(|record| (record.project_id.as_deref(), &record.fields)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(records[0], (Some("ops"), &vec![some("eu-west"), some("a"), None]));
        assert_eq!(records[1], (Some("web"), &vec![some("eu-north"), some("a"), None]));
    }
}
