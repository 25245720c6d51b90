//! Lists and structs in usage: the same events as JSON, CloudEvents and Parquet give the same invoices. Each element of
//! a list is a record.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use conto::error::Error;
use serde_json::{Value, json};

use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

const RULES: &str = r#"
currency = "EUR"

[[meter]]
name = "memory"
aggregation = "sum"
unit = "MB"
dimensions.plan = { from = ["plan.name", "app.plan.name"] }

[[meter]]
name = "calls"
aggregation = "sum"
unit = "call"

[[rule]]
id = "memory"
meter = "memory"
sku = "MEMORY"
service = "Service"
prices = { by = "plan", standard = "0.01" }

[[rule]]
id = "calls"
meter = "calls"
sku = "CALLS"
service = "Service"
unit_price = "1"
"#;

/// The id of an event, its milliseconds since 1970, and its measures.
type Event = (&'static str, i64, &'static [(&'static str, i64)]);

/// The fourth event repeats a measure.
///
/// 512 MB at 0.01 are 5.12. 2, 3 and twice 1 calls at 1.00 are 7.00.
const EVENTS: [Event; 5] = [
    ("e-1", 1_791_194_400_000, &[("memory", 512), ("calls", 2)]),
    ("e-2", 1_791_198_000_000, &[("calls", 3)]),
    ("e-3", 1_791_198_000_000, &[]),
    ("e-4", 1_791_201_600_000, &[("calls", 1), ("calls", 1)]),
    ("e-5", 1_791_201_600_000, &[("other", 7)]),
];

const INVOICED: [&str; 2] = ["CALLS 7 7.0000", "MEMORY 512 5.1200"];

fn invoiced(lake: &TestLake) -> Vec<String> {
    let cell = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    let rows = lake.rows("invoice_line");
    let mut lines: Vec<String> =
        rows.iter().map(|row| format!("{} {} {}", row["sku"], cell(&row["quantity"]), row["net_amount"])).collect();
    lines.sort();
    lines
}

fn lake(format: &str, keys: &str) -> TestLake {
    let source = format!("[[source]]\nname = \"events\"\nformat = \"{format}\"\npath = \"in/*\"\n{keys}");
    TestLake::new().config(source).rules(RULES)
}

fn data(id: &str, at: i64, measures: &[(&str, i64)]) -> Value {
    let measures: Vec<Value> =
        measures.iter().map(|(measure, quantity)| json!({ "measure": measure, "quantity": quantity })).collect();
    let app = json!({ "id": "app-1", "plan": { "name": "standard" } });
    json!({ "id": id, "start": at, "organization_id": "p-1", "app": app, "measured_usage": measures })
}

fn jsonl() -> String {
    EVENTS.iter().map(|(id, at, measures)| format!("{}\n", data(id, *at, measures))).collect()
}

const OF_JSON: &str = r#"select = """
SELECT "measured_usage[].measure" AS meter, "app.id" AS resource_id, organization_id AS project_id,
       CAST("start" AS BIGINT) / 1000 AS measured_at, "measured_usage[].quantity" AS quantity, id AS record_id,
       "app.plan.name"
FROM source
""""#;

fn cloudevents() -> String {
    let event = |(id, at, measures): &Event| {
        let time = jiff::Timestamp::from_millisecond(*at).unwrap();
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/apps", "type": "usage", "time": time.to_string(),
            "data": data(id, *at, measures),
        });
        format!("{event}\n")
    };
    EVENTS.iter().map(event).collect()
}

const OF_CLOUDEVENTS: &str = r#"
[source.columns]
meter = "measured_usage[].measure"
quantity = "measured_usage[].quantity"
resource_id = "app.id"
project_id = "organization_id"
"#;

fn parquet() -> Vec<u8> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let texts = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let structs = |columns: Vec<(Field, ArrayRef)>| -> ArrayRef {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        Arc::new(StructArray::new(Fields::from(fields), arrays, None))
    };
    let all = || EVENTS.iter().flat_map(|(_, _, measures)| measures.iter());
    let quantities: ArrayRef = Arc::new(Int64Array::from_iter_values(all().map(|(_, quantity)| *quantity)));
    let elements = structs(vec![
        (text("measure"), texts(all().map(|(measure, _)| *measure).collect())),
        (Field::new("quantity", DataType::Int64, true), quantities),
    ]);
    let element = Arc::new(Field::new("element", elements.data_type().clone(), true));
    let lengths = OffsetBuffer::from_lengths(EVENTS.iter().map(|(_, _, measures)| measures.len()));
    let plan = structs(vec![(text("name"), texts(vec!["standard"; EVENTS.len()]))]);
    let plan_field = Field::new("plan", plan.data_type().clone(), true);
    let app = structs(vec![(text("id"), texts(vec!["app-1"; EVENTS.len()])), (plan_field, plan)]);
    let times = TimestampMillisecondArray::from_iter_values(EVENTS.iter().map(|(_, at, _)| *at));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", texts(EVENTS.iter().map(|(id, ..)| *id).collect())),
        ("start", Arc::new(times)),
        ("organization_id", texts(vec!["p-1"; EVENTS.len()])),
        ("app", app),
        ("measured_usage", Arc::new(ListArray::new(element, lengths, elements, None))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

const OF_PARQUET: &str = r#"
[source.columns]
meter = "measured_usage[].measure"
quantity = "measured_usage[].quantity"
resource_id = "app.id"
project_id = "organization_id"
measured_at = "start"
record_id = "id"
"#;

const SELECT_OF_PARQUET: &str = r#"select = """
SELECT "measured_usage[].measure" AS meter, "app.id" AS resource_id, organization_id AS project_id,
       "start" AS measured_at, "measured_usage[].quantity" AS quantity, id AS record_id, "app.plan.name"
FROM source
""""#;

fn cases() -> [(&'static str, &'static str, Vec<u8>); 4] {
    [
        ("json", OF_JSON, jsonl().into()),
        ("cloudevents", OF_CLOUDEVENTS, cloudevents().into()),
        ("parquet", OF_PARQUET, parquet()),
        ("parquet", SELECT_OF_PARQUET, parquet()),
    ]
}

#[test]
fn the_same_events_give_the_same_invoices_in_every_format() {
    for (format, keys, content) in cases() {
        let lake = lake(format, keys);
        lake.put("in/usage", content);
        lake.run(PERIOD);
        assert_eq!(invoiced(&lake), INVOICED, "{format} {keys}");
        assert_eq!(lake.rows("rejected_record"), [], "{format}");
        // An event with an empty list has no record and is counted under the name of the list.
        let list = if format == "cloudevents" { "data.measured_usage[]" } else { "measured_usage[]" };
        let unmetered = lake.rows("unmetered_record");
        let unmetered: Vec<_> =
            unmetered.iter().map(|row| (&row["source_meter"][..], &row["record_count"][..])).collect();
        let mut expected = [(list, "1"), ("other", "1")];
        expected.sort_unstable();
        assert_eq!(unmetered, expected, "{format}");
    }
}

#[test]
fn a_second_delivery_of_the_same_events_is_a_duplicate() {
    // The second file has the same events in another order, so that its digest is another one.
    let reversed = |text: String| text.lines().rev().map(|line| format!("{line}\n")).collect::<String>();
    for (format, keys, text) in [("json", OF_JSON, jsonl()), ("cloudevents", OF_CLOUDEVENTS, cloudevents())] {
        let lake = lake(format, keys);
        lake.put("in/first", &text);
        lake.run(PERIOD);
        lake.put("in/second", reversed(text));
        let summary = lake.run(PERIOD);
        assert_eq!((summary.intake.samples_accepted, summary.intake.samples_duplicate), (0, 5), "{format}");
        assert_eq!(invoiced(&lake), INVOICED, "{format}");
    }
}

#[test]
fn an_element_without_a_quantity_is_rejected_with_its_place() {
    for (format, keys, content) in cases() {
        if format == "parquet" {
            continue;
        }
        let lake = lake(format, keys);
        // The second measure of e-4, in the fourth line.
        let text = String::from_utf8(content).unwrap();
        let measure = r#"{"measure":"calls","quantity":1}]"#;
        assert_eq!(text.matches(measure).count(), 1);
        lake.put("in/usage", text.replace(measure, r#"{"measure":"calls"}]"#));
        lake.run(PERIOD);
        let rejected = lake.rows("rejected_record");
        assert_eq!((rejected.len(), &rejected[0]["line"][..]), (1, "4"), "{format}");
        let expected = match format {
            "json" => "the row has no `quantity`, in `measured_usage[1]`",
            _ => "the event has no `data.measured_usage[].quantity`, in `data.measured_usage[1]`",
        };
        assert_eq!(rejected[0]["detail"], expected);
        assert_eq!(invoiced(&lake), ["CALLS 6 6.0000", INVOICED[1]]);
    }
}

#[test]
fn a_position_names_one_element_and_elements_may_have_their_own_ids() {
    let select = r#"select = """
SELECT "m[0].name" AS meter, 'r' AS resource_id, 'p-1' AS project_id, '2026-10-01T00:00:00Z' AS measured_at,
       "m[0].n" AS quantity, id AS record_id
FROM source
UNION ALL
SELECT 'calls', 'r', 'p-1', '2026-10-01T00:00:00Z', "m[].extra", "m[].id" FROM source WHERE "m[].extra" IS NOT NULL
""""#;
    let lake = lake("json", select);
    // 5 calls of the first element, and 10 + 20 of two extras. The second object repeats the extra `x`.
    let text = r#"{"id": "1", "m": [{"name": "calls", "n": 5, "id": "x", "extra": 10}, {"id": "y", "extra": 20}]}
{"id": "1", "m": [{"name": "calls", "n": 5}, {"id": "x", "extra": 10}]}
"#;
    lake.put("in/usage", text);
    let summary = lake.run(PERIOD);
    assert_eq!((summary.intake.samples_accepted, summary.intake.samples_duplicate), (3, 2));
    assert_eq!(invoiced(&lake), ["CALLS 35 35.0000"]);
}

#[test]
fn two_lists_in_one_select_are_refused_with_the_remedy() {
    let select = OF_JSON.replace("measured_usage[].quantity", "other[].quantity");
    let lake = lake("json", &select);
    let text = jsonl().replace("\"organization_id\"", "\"other\":[{\"quantity\":1}],\"organization_id\"");
    lake.put("in/usage", text);
    let Err(Error::Invalid(problems)) = lake.try_run(PERIOD) else { panic!("it ran") };
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    let expected = "the select reads the elements of `measured_usage[]` and of `other[]`, expected one list, \
                    or lists within each other";
    assert!(problem.message.ends_with(expected), "{}", problem.message);
    assert_eq!(problem.hint.as_deref(), Some("write one select for each list, and connect them with UNION ALL"));
}

/// An app and its measures.
type App = (&'static str, &'static [(&'static str, i64)]);

/// Two apps, each with its own list of measures. 512 + 256 = 768 MB at 0.01 are 7.68, and 2 + 1 + 3 calls are 6.00.
///
/// The second app of `e-1` has no measure. The id `app-1` occurs in two events.
const APPS: [(&str, i64, &[App]); 3] = [
    ("e-1", 1_791_194_400_000, &[("app-1", &[("memory", 512), ("calls", 2), ("calls", 1)]), ("app-2", &[])]),
    ("e-2", 1_791_198_000_000, &[("app-1", &[("memory", 256)]), ("app-3", &[("calls", 3), ("other", 9)])]),
    ("e-3", 1_791_198_000_000, &[]),
];

fn apps(id: &str, at: i64, apps: &[App]) -> Value {
    let measure = |(measure, quantity): &(&str, i64)| json!({ "measure": measure, "quantity": quantity });
    let app = |(app, measures): &App| {
        json!({
            "app": app, "plan": { "name": "standard" }, "measures": measures.iter().map(measure).collect::<Vec<_>>(),
        })
    };
    json!({ "id": id, "start": at, "org": "p-1", "apps": apps.iter().map(app).collect::<Vec<_>>() })
}

fn parquet_of_apps() -> Vec<u8> {
    let texts = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let structs = |columns: Vec<(&str, ArrayRef)>| -> ArrayRef {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) =
            columns.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
        Arc::new(StructArray::new(Fields::from(fields), arrays, None))
    };
    let lists = |elements: ArrayRef, lengths: Vec<usize>| -> ArrayRef {
        let element = Arc::new(Field::new("element", elements.data_type().clone(), true));
        Arc::new(ListArray::new(element, OffsetBuffer::from_lengths(lengths), elements, None))
    };
    let all_apps = || APPS.iter().flat_map(|(_, _, apps)| apps.iter());
    let all = || all_apps().flat_map(|(_, measures)| measures.iter());
    let measures = structs(vec![
        ("measure", texts(all().map(|(measure, _)| *measure).collect())),
        ("quantity", Arc::new(Int64Array::from_iter_values(all().map(|(_, quantity)| *quantity)))),
    ]);
    let plan = structs(vec![("name", texts(vec!["standard"; all_apps().count()]))]);
    let apps = structs(vec![
        ("app", texts(all_apps().map(|(app, _)| *app).collect())),
        ("plan", plan),
        ("measures", lists(measures, all_apps().map(|(_, measures)| measures.len()).collect())),
    ]);
    let times = TimestampMillisecondArray::from_iter_values(APPS.iter().map(|(_, at, _)| *at));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", texts(APPS.iter().map(|(id, ..)| *id).collect())),
        ("start", Arc::new(times)),
        ("org", texts(vec!["p-1"; APPS.len()])),
        ("apps", lists(apps, APPS.iter().map(|(_, _, apps)| apps.len()).collect())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn cases_of_apps() -> [(&'static str, String, Vec<u8>); 4] {
    let select = |at: &str| {
        format!(
            r#"select = '''SELECT "apps[].measures[].measure" AS meter, "apps[].app" AS resource_id, org AS project_id,
            {at} AS measured_at, "apps[].measures[].quantity" AS quantity, id AS record_id,
            "apps[].plan.name" AS "plan.name" FROM source'''"#
        )
    };
    let columns = |more: &str| {
        format!(
            r#"columns = {{ meter = "apps[].measures[].measure", quantity = "apps[].measures[].quantity",
            resource_id = "apps[].app", project_id = "org"{more} }}"#
        )
    };
    let lines: String = APPS.iter().map(|(id, at, list)| format!("{}\n", apps(id, *at, list))).collect();
    let event = |(id, at, list): &(&str, i64, &[App])| {
        let time = jiff::Timestamp::from_millisecond(*at).unwrap();
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/apps", "type": "usage", "time": time.to_string(),
            "data": apps(id, *at, list),
        });
        format!("{event}\n")
    };
    let events: String = APPS.iter().map(event).collect();
    [
        ("json", select(r#"CAST("start" AS BIGINT) / 1000"#), lines.into()),
        ("cloudevents", columns(""), events.into()),
        ("parquet", columns(r#", measured_at = "start", record_id = "id""#), parquet_of_apps()),
        ("parquet", select(r#""start""#), parquet_of_apps()),
    ]
}

/// One record for each measure of each app. A second delivery is a duplicate.
#[test]
fn each_element_of_a_list_inside_of_a_list_is_a_record() {
    for (format, keys, content) in cases_of_apps() {
        let rules = RULES.replace(r#""app.plan.name""#, r#""apps[].plan.name""#);
        let lake = lake(format, &keys).rules(rules);
        lake.put("in/usage", &content);
        let summary = lake.run(PERIOD);
        assert_eq!(invoiced(&lake), ["CALLS 6 6.0000", "MEMORY 768 7.6800"], "{format} {keys}");
        assert_eq!((lake.rows("rejected_record"), summary.intake.samples_accepted), (Vec::new(), 5), "{format}");
        // An event without apps, and an app without measures, are counted under the name of the innermost list.
        let prefix = if format == "cloudevents" { "data." } else { "" };
        let unmetered = lake.sql("SELECT source_meter, record_count FROM unmetered_record ORDER BY source_meter");
        assert_eq!(
            unmetered,
            [format!("{prefix}apps[].measures[] 2"), "other 1".to_owned()].map(|row| row),
            "{format}"
        );
        if format == "parquet" {
            continue;
        }
        let reversed: String =
            String::from_utf8(content).unwrap().lines().rev().map(|line| format!("{line}\n")).collect();
        lake.put("in/second", reversed);
        let again = lake.run(PERIOD).intake;
        assert_eq!((again.samples_accepted, again.samples_duplicate), (0, 5), "{format}");
    }
}

/// In a file that converters wrote, a list of one element is this element: 4 calls. A number in place of a list is
/// rejected alone: 1 + 2 calls. A null and an absent list are counted: the record of the second select remains.
#[test]
fn an_object_in_place_of_a_list_is_its_only_element() {
    let calls = |n: u32| json!({ "name": "calls", "n": n });
    let object = |id: &str, list: Value| json!({ "id": id, "m": list, "total": 100 }).to_string() + "\n";
    let select = r#"select = '''
SELECT "m[].name" AS meter, 'r' AS resource_id, 'p-1' AS project_id, '2026-10-01T00:00:00Z' AS measured_at,
       "m[].n" AS quantity, id AS record_id
FROM source
UNION ALL
SELECT 'calls', 't', 'p-1', '2026-10-01T00:00:00Z', total, id FROM source
'''"#;
    let lake = lake("json", select);
    lake.put("in/1-object", object("a", calls(4)));
    lake.put("in/2-number", object("b", json!([calls(1), calls(2)])) + &object("c", json!(7)));
    lake.put("in/3-null", object("d", Value::Null));
    lake.put("in/4-absent", json!({ "id": "e", "total": 100 }).to_string());
    lake.run(PERIOD);
    // 4 + 1 + 2 of the lists, and 100 of each of the five objects.
    assert_eq!(invoiced(&lake), ["CALLS 507 507.0000"]);
    assert!(lake.rows("unread_input").is_empty());
    assert_eq!(lake.column("rejected_record", "detail"), ["the `m` is a number, expected a list"]);
    assert_eq!(lake.sql("SELECT source_meter, record_count FROM unmetered_record"), ["m[] 1", "m[] 1"]);
}

/// Without another select, a file in which no object has the list is not read. The others are.
#[test]
fn a_file_in_which_no_object_has_the_list_is_unread_alone() {
    let lake = lake("json", OF_JSON);
    lake.put("in/used", jsonl());
    lake.put("in/wrong", jsonl().replace("measured_usage", "measured"));
    lake.run(PERIOD);
    assert_eq!(lake.column("unread_input", "reason"), ["wrong_columns"]);
    let detail = &lake.column("unread_input", "detail")[0];
    assert!(detail.starts_with("the select fails: the file has no column `measured_usage[]."), "{detail}");
    assert_eq!(invoiced(&lake), INVOICED);
}

/// A file whose lists are all empty is read, although it has none of the fields of the elements. It states that nothing
/// was used.
#[test]
fn a_file_of_empty_lists_has_no_usage() {
    let lake = lake("json", OF_JSON);
    lake.put("in/used", jsonl());
    let empty = data("e-9", EVENTS[0].1, &[]);
    lake.put("in/quiet", format!("{empty}\n"));
    lake.run(PERIOD);
    assert!(lake.rows("unread_input").is_empty());
    assert_eq!(invoiced(&lake), INVOICED);
}
