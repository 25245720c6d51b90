//! What a source knows of all its records and they do not say: its region, its cloud, a project for what has none.
//!
//! A record's own word always counts; a fact stands in for a field that is absent, under the path that meters ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::intake::record::{Measured, Record, RecordSink, Rejection};
use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::meter::FieldPath;

/// The name of the fact that is no field.
const PROJECT_ID: &str = "project_id";

/// A sink that is given the facts of a source with every record.
#[derive(Debug)]
pub struct WithDefaults<'s, S> {
    sink: &'s mut S,
    project_id: Option<&'s str>,
    /// For each of the sink's paths.
    fields: Vec<Option<&'s str>>,
}

impl<'s, S: RecordSink> WithDefaults<'s, S> {
    pub fn new(sink: &'s mut S, defaults: &'s BTreeMap<String, String>) -> Self {
        let fact = |name: &str| defaults.get(name).map(String::as_str);
        let fields = sink.field_paths().iter().map(|path| fact(&path.joined())).collect();
        Self { sink, project_id: fact(PROJECT_ID), fields }
    }
}

/// The fields of a record, with the facts where it says nothing.
fn filled<'r>(record: &'r Record<'_>, defaults: &[Option<&'r str>]) -> Vec<Option<Cow<'r, str>>> {
    let stream_refs = record.fields.iter().map(|field| field.as_deref());
    stream_refs.zip(defaults).map(|(stream_refs, fact)| stream_refs.or(*fact).map(Cow::Borrowed)).collect()
}

impl<S: RecordSink> RecordSink for WithDefaults<'_, S> {
    fn field_paths(&self) -> &[FieldPath] {
        self.sink.field_paths()
    }

    fn is_metered(&self, source_meter: &str) -> bool {
        self.sink.is_metered(source_meter)
    }

    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>) {
        let fields = filled(record, &self.fields);
        let project_id = record.project_id.or(self.project_id);
        self.sink.record(&Record { fields: &fields, project_id, ..record.clone() }, raw);
    }

    fn deciding_fields(&self) -> &[usize] {
        self.sink.deciding_fields()
    }

    fn class(&mut self, record: &Record<'_>) -> Option<RecordGroupId> {
        let fields = filled(record, &self.fields);
        let project_id = record.project_id.or(self.project_id);
        self.sink.class(&Record { fields: &fields, project_id, ..record.clone() })
    }

    fn record_of_class<'v>(
        &mut self,
        class: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool {
        let defaults = &self.fields;
        self.sink.record_of_class(class, measured, |index| field(index).or(defaults.get(index).copied().flatten()))
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
    fn a_fact_stands_in_for_what_a_record_does_not_say() {
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
        let stream_refs: Vec<_> =
            sink.records.iter().map(|record| (record.project_id.as_deref(), &record.fields)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(stream_refs[0], (Some("ops"), &vec![some("eu-west"), some("a"), None]));
        assert_eq!(stream_refs[1], (Some("web"), &vec![some("eu-north"), some("a"), None]));
    }
}
