//! The reader of CloudEvents 1.0 in JSON: each line is one event or an array of events (the batch format).
//!
//! | attribute of an event | meaning |
//! | --- | --- |
//! | `type` | the source meter |
//! | `source` and `id` | together the record id; duplicates have the same `source` and `id` |
//! | `subject` | the project, if `data` has no `project_id` |
//! | `time` | the time of usage; required, because the time of receipt is a different time |
//! | `data` | the quantity (`quantity`, `volume` or `value`), `unit`, `resource_id`, and fields that meters need |
//!
//! The setting `columns` of the source sets other [paths](crate::model::path) in `data`, also for the source meter and
//! the record id. If an event has no `resource_id`, its subject is the resource. If the paths lead to the elements of a
//! list, each element is a record.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use super::ceilometer::{Spelling, Wanted, read_wanted};
use super::compression::Decoded;
use crate::intake::record::{ReadCounts, RecordSink};
use crate::model::path::{innermost, list_of};

const DATA: &str = "data";

/// Passes every event of a file to the sink. `columns` maps names of columns to paths in `data`. `quantity_if_absent`
/// is the quantity of an event that contains no quantity.
pub fn read<R: BufRead>(
    decoded: &mut Decoded<R>,
    columns: &BTreeMap<String, String>,
    quantity_if_absent: Option<&str>,
    sink: &mut impl RecordSink,
) -> io::Result<ReadCounts> {
    let paths_of = |column: &str, defaults: &[&'static str]| -> Vec<Vec<String>> {
        let path = |text: &str| [DATA].into_iter().chain(text.split('.')).map(str::to_owned).collect();
        match columns.get(column) {
            Some(path_text) => vec![path(path_text)],
            None => defaults.iter().map(|name| path(name)).collect(),
        }
    };
    let subject = || vec![vec!["subject".to_owned()]];
    let (quantity, unit) = (paths_of("quantity", &["quantity", "volume", "value"]), paths_of("unit", &["unit"]));
    let resource_id = [paths_of("resource_id", &["resource_id"]), subject()].concat();
    let project_id = [paths_of("project_id", &["project_id"]), subject()].concat();
    let or_attribute = |column: &str, attribute: &str| match paths_of(column, &[]) {
        paths if paths.is_empty() => vec![vec![attribute.to_owned()]],
        paths => paths,
    };
    let (meter, record_id) = (or_attribute("meter", "type"), or_attribute("record_id", "id"));
    // The configuration was checked: the lists are within each other.
    let list = innermost(columns.values().filter_map(|path| list_of(path))).ok().flatten();
    let list = list.map(|list| format!("{DATA}.{list}"));
    let all = [quantity, unit, resource_id, project_id, meter, record_id];
    let keys: Vec<Vec<Vec<&str>>> =
        all.iter().map(|paths| paths.iter().map(|path| path.iter().map(String::as_str).collect()).collect()).collect();
    let paths: Vec<Vec<&[&str]>> = keys.iter().map(|paths| paths.iter().map(Vec::as_slice).collect()).collect();
    let spelling = Spelling {
        record: "event",
        metadata: DATA,
        name: &paths[4],
        kind: &[],
        volume: &paths[0],
        unit: &paths[1],
        resource_id: &paths[2],
        project_id: &paths[3],
        timestamp: &[&["time"]],
        record_id: &paths[5],
        record_source: &[&["source"]],
        python_hint: "write it with `json.dumps`",
        in_messages: false,
        // For example, a member `deleted` of `data` may be a count.
        has_lifecycle: false,
        version: Some((&[&["specversion"]], "1.0")),
        list: list.as_deref(),
    };
    let mut wanted = Wanted::new(&spelling, sink.field_paths());
    wanted.volume_if_absent = quantity_if_absent.map(str::to_owned);
    read_wanted(decoded, wanted, sink)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;
    use crate::intake::rejection_reason::Reason;
    use crate::intake::test_sink::TestSink;

    fn read_with(columns: &[(&str, &str)], quantity_if_absent: Option<&str>, text: &str) -> TestSink {
        let columns = columns.iter().map(|(column, path)| ((*column).to_owned(), (*path).to_owned())).collect();
        let mut sink = TestSink::new(&["flavor", "path", "region"]);
        read(&mut open(text.as_bytes()).unwrap(), &columns, quantity_if_absent, &mut sink).unwrap();
        sink
    }

    const EVENT: &str = concat!(
        r#"{"specversion": "1.0", "id": "e1", "source": "/eu/api", "type": "volume.size", "subject": "alpha", "#,
        r#""time": "2026-10-01T02:05:00+02:00", "region": "eu", "#,
        r#""data": {"resource_id": "v1", "quantity": "12.5", "unit": "GB", "flavor": "ssd"}}"#
    );

    #[test]
    fn an_event_is_a_record() {
        let sink = read_with(&[], None, EVENT);
        assert_eq!(sink.rejected, []);
        let record = &sink.records[0];
        assert_eq!((&record.source_meter[..], &record.resource_id[..]), ("volume.size", "v1"));
        assert_eq!((record.project_id.as_deref(), &record.unit[..]), (Some("alpha"), "GiB"));
        assert_eq!((record.measured_at, record.quantity.to_string()), (1_790_813_100_000_000, "12.5".to_owned()));
        assert_eq!(record.record_id.as_deref(), Some("/eu/api e1"));
        // Extension attributes are members of the event, next to `data`.
        assert_eq!(record.fields, [Some("ssd".to_owned()), None, Some("eu".to_owned())]);
    }

    #[test]
    fn a_batch_may_be_empty_and_columns_set_the_paths() {
        let event = r#"{"specversion":"1.0","id":"1","source":"s","type":"tokens","subject":"beta",
            "time":"2026-10-01T00:00:00Z","data":{"usage":{"tokens":7},"owner":"gamma","path":"/v1"}}"#;
        let columns = [("quantity", "usage.tokens"), ("project_id", "owner")];
        let sink = read_with(&columns, None, &format!("[]\n[{0},{0}]\n", event.replace('\n', "")));
        assert_eq!((sink.records.len(), sink.rejected.len()), (2, 0));
        let record = &sink.records[1];
        assert_eq!((record.quantity.to_string(), record.project_id.as_deref()), ("7".to_owned(), Some("gamma")));
        // Without a resource, the subject is the resource.
        assert_eq!(record.resource_id, "beta");
    }

    #[test]
    fn each_element_of_a_list_is_a_record() {
        let event = |id: &str, data: &str| {
            format!(
                "{{\"specversion\": \"1.0\", \"id\": \"{id}\", \"source\": \"s\", \"type\": \"usage\", \
                 \"subject\": \"p\", \"time\": \"2026-10-01T00:00:00Z\", \"data\": {data}}}\n"
            )
        };
        let text =
            event("1", r#"{"m": [{"n": "x", "q": 1, "z": "a"}, {"n": "y"}, {"n": "x", "q": 1.50}], "region": "eu"}"#)
                + &event("2", r#"{"m": []}"#)
                + &event("3", "{}")
                + &event("4", r#"{"m": {"n": "x", "q": 1}}"#)
                + &event("5", r#"{"m": [{"n": "y", "q": "2", "flavor": [7]}]}"#)
                + &event("6", r#"{"m": "x"}"#);
        let columns = [("meter", "m[].n"), ("quantity", "m[].q")];
        let columns = columns.map(|(column, path)| (column.to_owned(), path.to_owned())).into();
        let mut sink = TestSink::new(&["m[].z", "region", "m[0].n", "other[].z"]);
        let counts = read(&mut open(text.as_bytes()).unwrap(), &columns, None, &mut sink).unwrap();
        let records: Vec<_> = sink
            .records
            .iter()
            .map(|record| {
                let fields: Vec<&str> = record.fields.iter().map(|field| field.as_deref().unwrap_or("-")).collect();
                let id = record.record_id.as_deref().unwrap_or_default();
                format!("{} {} {id} {} {}", record.source_meter, record.quantity, record.line, fields.join(" "))
            })
            .collect();
        assert_eq!(
            records,
            ["x 1 s 1[0] 1 a eu x -", "x 1.5 s 1[2] 1 - eu x -", "x 1 s 4[0] 4 - - x -", "y 2 s 5[0] 5 - - y -"]
        );
        let rejected: Vec<_> =
            sink.rejected.iter().map(|(reason, detail, line)| (*reason, &detail[..], *line)).collect();
        assert_eq!(
            rejected,
            [
                (Reason::MissingField, "the event has no `data.m[].q`, in `data.m[1]`", 1),
                (Reason::Malformed, "the `data.m` is a text, expected a list", 6),
            ]
        );
        assert!(sink.rejected_raw[0].starts_with(b"data.m[1] of {\"specversion\""));
        assert_eq!(sink.unmetered, ["data.m[]"; 2]);
        assert_eq!(counts.read, 4 + 2 + 2);
    }

    #[test]
    fn an_invalid_event_is_rejected_with_its_reason() {
        let rejected = |from: &str, to: &str| {
            assert!(EVENT.contains(from), "{from}");
            let sink = read_with(&[], None, &EVENT.replacen(from, to, 1));
            let (reason, detail, _) = sink.rejected.into_iter().next().unwrap();
            (reason, detail)
        };
        let missing = |detail: &str| (Reason::MissingField, detail.to_owned());
        assert_eq!(rejected("\"time\"", "\"received\""), missing("the event has no `time`"));
        assert_eq!(rejected("\"type\"", "\"kind\""), missing("the event has no `type`"));
        assert_eq!(rejected("\"quantity\"", "\"amount\""), missing("the event has no `data.quantity`"));
        let detail = "the `specversion` is `0.3`, expected `1.0`".to_owned();
        assert_eq!(rejected("\"1.0\"", "\"0.3\""), (Reason::Malformed, detail));
        assert_eq!(rejected("12.5", "NaN").0, Reason::QuantityNotFinite);
        assert_eq!(rejected("\"12.5\"", "{}").0, Reason::BadQuantity);
        // An event without a quantity has the quantity that the source sets.
        let sink = read_with(&[], Some("1"), &EVENT.replace("\"quantity\"", "\"amount\""));
        assert_eq!(sink.records[0].quantity.to_string(), "1");
    }
}
