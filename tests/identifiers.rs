//! Ids and names in different spellings: every source, the accounts and the rules have one canonical form of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};

use crate::stub_server::{self, Metric, serve};
use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

/// `été` in this file is in normal form C. The price of `lié` is in normal form D, with a blank.
const RULES: &str = "
currency = \"EUR\"

[[meter]]
name = \"calls\"
aggregation = \"sum\"
unit = \"call\"
dimensions.plan = { from = [\"plan\"] }

[[rule]]
id = \"calls\"
meter = \"calls\"
sku = \"CALLS\"
service = \"Service\"
prices = { by = \"plan\", \"\u{e9}t\u{e9}\" = \"1\" }

[[rule]]
id = \"linked\"
meter = \"calls\"
sku = \"LINKED\"
service = \"Service\"
when = \"plan = 'lie\u{301} '\"
unit_price = \"100\"
";

const ACCOUNTS: &str = "
[[account]]
id = \" acme\"
name = \"Acme\"
country = \"FR\"
projects = [\"cafe\u{301}\"]
";

/// Resource, project, plan and number of calls, one record for each hour.
///
/// 1 + 2 calls at 1 and 1 call at 100 are of the project `café`. The other calls have no project.
const USAGE: [(&str, &str, &str, i64); 7] = [
    ("r-1", "cafe\u{301} ", "e\u{301}te\u{301}", 1),
    (" r-1", "caf\u{e9}", "\u{e9}t\u{e9} ", 2),
    ("r-1", "caf\u{e9}", "li\u{e9}", 1),
    ("r-2", "NULL", "\u{e9}t\u{e9}", 4),
    ("r-3", " null ", "\u{e9}t\u{e9}", 8),
    ("r-4", "None", "\u{e9}t\u{e9}", 16),
    ("r-5", " ", "\u{e9}t\u{e9}", 32),
];

fn lake(format: &str, keys: &str) -> TestLake {
    let source = format!("[[source]]\nname = \"events\"\nformat = \"{format}\"\npath = \"in/usage\"\n{keys}");
    TestLake::new().config(source).rules(RULES).accounts(ACCOUNTS)
}

fn at(hour: usize) -> String {
    format!("2026-10-05T{hour:02}:00:00Z")
}

fn lines(line: impl Fn(usize, (&str, &str, &str, i64)) -> Value) -> Vec<u8> {
    let lines = USAGE.iter().enumerate().map(|(hour, usage)| format!("{}\n", line(hour, *usage)));
    lines.collect::<String>().into_bytes()
}

fn parquet() -> Vec<u8> {
    let texts = |pick: fn(&(&'static str, &'static str, &'static str, i64)) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(USAGE.iter().map(pick)))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("meter", texts(|_| "calls")),
        ("resource_id", texts(|usage| usage.0)),
        ("project_id", texts(|usage| usage.1)),
        ("plan", texts(|usage| usage.2)),
        ("quantity", Arc::new(Int64Array::from_iter_values(USAGE.iter().map(|usage| usage.3)))),
        ("measured_at", Arc::new(StringArray::from_iter_values((0..USAGE.len()).map(at)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn cases() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let row = |(hour, (resource, project, plan, quantity)): (usize, &(&str, &str, &str, i64))| {
        format!("calls,{resource},{project},{plan},{quantity},{}\n", at(hour))
    };
    let rows: String = USAGE.iter().enumerate().map(row).collect();
    let csv = format!("meter,resource_id,project_id,plan,quantity,measured_at\n{rows}");
    let ceilometer = lines(|hour, (resource, project, plan, quantity)| {
        json!({
            "name": "calls", "unit": "call", "volume": quantity, "project_id": project, "resource_id": resource,
            "timestamp": at(hour), "resource_metadata": { "plan": plan },
        })
    });
    let cloudevents = lines(|hour, (resource, project, plan, quantity)| {
        json!({
            "specversion": "1.0", "id": hour.to_string(), "source": "s", "type": "calls", "time": at(hour),
            "data": { "resource_id": resource, "project_id": project, "plan": plan, "quantity": quantity },
        })
    });
    let of_json = lines(|hour, (resource, project, plan, quantity)| {
        let at = at(hour);
        json!({ "r": resource, "p": project, "plan": plan, "q": quantity, "at": at })
    });
    let select = "select = \"SELECT 'calls' AS meter, r AS resource_id, p AS project_id, plan, q AS quantity, \
                  at AS measured_at FROM source\"";
    vec![
        ("csv", "", csv.into_bytes()),
        ("ceilometer", "", ceilometer),
        ("cloudevents", "", cloudevents),
        ("parquet", "", parquet()),
        ("json", select, of_json),
    ]
}

fn assert_one_form(lake: &TestLake, source: &str) {
    let summary = lake.run(PERIOD);
    let lines = lake.rows("invoice_line");
    let mut lines: Vec<_> =
        lines.iter().map(|row| (&row["account_id"][..], &row["sku"][..], &row["net_amount"][..])).collect();
    lines.sort_unstable();
    assert_eq!(lines, [("acme", "CALLS", "3.0000"), ("acme", "LINKED", "100.0000")], "{source}");
    let mut usage: Vec<String> = lake
        .csv_document(PERIOD, "usage.csv")
        .iter()
        .map(|row| format!("{}|{}|{}", row["resource_id"], row["project_id"], row["consumed_quantity"]))
        .collect();
    usage.sort();
    let of_r1 = ["r-1|caf\u{e9}|1", "r-1|caf\u{e9}|3"];
    let without_project = ["r-2||4", "r-3||8", "r-4||16", "r-5||32"];
    assert_eq!(usage, [&of_r1[..], &without_project].concat(), "{source}");
    let changed: Vec<_> = summary
        .intake
        .changed_ids
        .iter()
        .map(|changed| (&changed.source[..], changed.ids, &changed.delivered[..], &changed.read_as[..]))
        .collect();
    assert_eq!(changed, [("events", 2, " r-1", "r-1")], "{source}");
}

#[test]
fn ids_and_dimensions_have_one_form_in_every_source_and_in_accounts_and_rules() {
    for (format, keys, content) in cases() {
        let lake = lake(format, keys);
        lake.put("in/usage", content);
        assert_one_form(&lake, format);
    }
}

/// The instant of [`at`] in seconds.
fn seconds(hour: usize) -> i64 {
    1_791_158_400 + 3_600 * i64::try_from(hour).unwrap()
}

/// A source that pulls the fifth of October from a server.
fn server(format: &str, url: &str, keys: &str) -> String {
    format!(
        "[[source]]\nname = \"events\"\nformat = \"{format}\"\nurl = \"{url}\"\nfrom = 2026-10-05\n\
         to = 2026-10-06\nretries = 0\n{keys}"
    )
}

#[test]
fn ids_and_dimensions_have_one_form_at_servers() {
    let of_usage = |source: &str| TestLake::new().config(source).rules(RULES).accounts(ACCOUNTS);
    let series = USAGE.iter().enumerate().map(|(hour, (resource, project, plan, calls))| {
        let labels = json!({ "resource": resource, "project": project, "plan": plan });
        (labels, vec![(seconds(hour), calls.to_string())])
    });
    let series: Vec<_> = series.collect();
    let url = serve(move |request| stub_server::prometheus("calls_total", &series, request));
    let metric = "[[source.metric]]\nname = \"calls_total\"\nmeter = \"calls\"";
    assert_one_form(&of_usage(&server("prometheus", &url, metric)), "prometheus");

    let metrics = USAGE.iter().enumerate().map(|(hour, (resource, project, plan, calls))| Metric {
        resource: Ok([json!(resource), json!(project)]),
        plan: (*plan).to_owned(),
        at: at(hour),
        ..Metric::new("calls", "", &calls.to_string())
    });
    let metrics: Vec<_> = metrics.collect();
    let url = serve(move |request| stub_server::gnocchi(&metrics, request));
    assert_one_form(&of_usage(&server("gnocchi", &url, "")), "gnocchi");
}

/// The rows are listed for each file and field. `conto status` shows them with the number of their files.
#[test]
fn changed_ids_are_rows() {
    let lake = lake("csv", "").config("[[source]]\nname = \"events\"\nformat = \"csv\"\npath = \"in/*\"\n");
    let (_, _, content) = cases().remove(0);
    lake.put("in/usage", &content);
    // The same ids in another file.
    let other = String::from_utf8(content).unwrap().replace("2026-10-05", "2026-10-06");
    lake.put("in/other", other);
    lake.run(PERIOD);
    let rows = lake.rows("changed_id");
    let mut changed: Vec<[&str; 4]> =
        rows.iter().map(|row| ["field", "delivered", "stored", "id_count"].map(|name| &row[name][..])).collect();
    changed.sort_unstable();
    let of_file = [["project_id", "cafe\u{301} ", "caf\u{e9}", "1"], ["resource_id", " r-1", "r-1", "1"]];
    assert_eq!(changed, [of_file[0], of_file[0], of_file[1], of_file[1]]);
    let status = lake.succeeds(&["status"]);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    for expected in ["events project_id \"cafe\\u{301} \" \"caf\u{e9}\" 2", "events resource_id \" r-1\" \"r-1\" 2"] {
        assert!(words(&status).contains(expected), "{status}");
    }
    let status = lake.json(&["status"]);
    assert_eq!(status["changed_ids"]["without_row"], 0, "{status}");
    // A second run reads no file and keeps the rows.
    lake.run(PERIOD);
    assert_eq!(lake.rows("changed_id").len(), 4);
}

#[test]
fn a_run_states_how_many_ids_it_changed() {
    let (format, keys, content) = cases().remove(0);
    let lake = lake(format, keys);
    lake.put("in/usage", content);
    let output = lake.output(&["run", "--period", PERIOD]);
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "2 ids of the source `events` had blanks or another Unicode form, such as \" r-1\"";
    assert!(text.contains(expected), "{text}");
    // A second run reads nothing.
    let output = lake.output(&["run", "--period", PERIOD]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("ids of the source"));
}

#[test]
fn accounts_in_csv_have_the_same_form_of_ids() {
    let (format, keys, content) = cases().remove(0);
    let lake = lake(format, keys).config("accounts = \"accounts.csv\"");
    lake.put("accounts.csv", "id,name,country,project_id\nacme,Acme,FR,cafe\u{301} \nother,Other,FR,NULL\n");
    lake.put("in/usage", content);
    lake.run(PERIOD);
    let lines = lake.rows("invoice_line");
    let mut accounts: Vec<&str> = lines.iter().map(|row| &row["account_id"][..]).collect();
    accounts.dedup();
    assert_eq!(accounts, ["acme"]);
}

#[test]
fn usage_csv_contains_ids_that_begin_like_a_formula_unchanged() {
    let lake = lake("csv", "")
        .accounts("[[account]]\nid = \"-a\"\nname = \"-Acme\"\ncountry = \"FR\"\nprojects = [\"+p\", \"@q\"]\n");
    let rows = [("=r/1", "+p"), ("-2", "@q"), ("=f(1)", "@q"), ("'x", "@q")];
    let rows = rows.iter().map(|(resource, project)| format!("calls,{resource},{project},\u{e9}t\u{e9},1,{}\n", at(1)));
    let header = "meter,resource_id,project_id,plan,quantity,measured_at\n";
    lake.put("in/usage", format!("{header}{}", rows.collect::<String>()));
    lake.run(PERIOD);
    let usage = lake.csv_document(PERIOD, "usage.csv");
    let mut ids: Vec<_> =
        usage.iter().map(|row| (&row["resource_id"][..], &row["project_id"][..], &row["account_id"][..])).collect();
    ids.sort_unstable();
    assert_eq!(ids, [("''x", "@q", "-a"), ("'=f(1)", "@q", "-a"), ("-2", "@q", "-a"), ("=r/1", "+p", "-a")]);
    // The name of the account is free text.
    let invoices = lake.csv_document(PERIOD, "invoices.csv");
    assert_eq!((&invoices[0]["account_id"][..], &invoices[0]["account_name"][..]), ("-a", "'-Acme"));
}

/// The spellings of an absent id. `None` is an absent cell, key or value.
const ABSENT: [Option<&str>; 6] = [None, Some(""), Some(" "), Some("NULL"), Some("null"), Some("None")];

/// For each spelling, a record without a resource and a record of 2 without a project, and one good record of 4.
fn records_without_ids() -> Vec<(Option<String>, Option<String>, &'static str)> {
    let text = |text: &Option<&str>| text.map(str::to_owned);
    let resource = |number: usize| Some(format!("r-{number}"));
    let without_resource = ABSENT.iter().map(|absent| (text(absent), Some("p-1".to_owned()), "1"));
    let without_project = ABSENT.iter().zip(1..).map(|(absent, number)| (resource(number), text(absent), "2"));
    without_resource.chain(without_project).chain([(resource(0), Some("p-1".to_owned()), "4")]).collect()
}

fn parquet_without_ids() -> Vec<u8> {
    let records = records_without_ids();
    let count = records.len();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("meter", Arc::new(StringArray::from(vec!["m"; count]))),
        ("resource_id", Arc::new(StringArray::from_iter(records.iter().map(|(resource, ..)| resource.as_deref())))),
        ("project_id", Arc::new(StringArray::from_iter(records.iter().map(|(_, project, _)| project.as_deref())))),
        ("measured_at", Arc::new(StringArray::from(vec!["2026-10-05T10:00:00Z"; count]))),
        ("quantity", Arc::new(StringArray::from_iter_values(records.iter().map(|(.., quantity)| *quantity)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The records in a format, with the keys of its source. In CSV two more spellings are set by `null_values`.
fn sources_without_ids() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const AT: &str = "2026-10-05T10:00:00Z";
    let objects = |object: &dyn Fn(&str) -> serde_json::Map<String, Value>, keys: [&str; 2]| -> Vec<u8> {
        let line = |(resource, project, quantity): &(Option<String>, Option<String>, &str)| {
            let mut object = object(quantity);
            let inner = match object.get_mut("data") {
                Some(Value::Object(data)) => data,
                _ => &mut object,
            };
            for (key, id) in keys.iter().zip([resource, project]) {
                id.iter().for_each(|id| drop(inner.insert((*key).to_owned(), id.clone().into())));
            }
            Value::Object(object).to_string() + "\n"
        };
        records_without_ids().iter().map(line).collect::<String>().into()
    };
    let map = |value: Value| value.as_object().unwrap().clone();
    let sample =
        |quantity: &str| map(json!({ "name": "m", "unit": "u", "volume": quantity, "timestamp": AT, "id": quantity }));
    let event = |quantity: &str| {
        map(json!({
            "specversion": "1.0", "source": "/s", "type": "m", "time": AT, "id": "e", "data": { "quantity": quantity },
        }))
    };
    let row = |quantity: &str| map(json!({ "n": quantity }));
    let mut table = "meter,resource_id,measured_at,quantity,project_id\n".to_owned();
    for (resource, project, quantity) in records_without_ids() {
        let [resource, project] = [resource, project].map(Option::unwrap_or_default);
        table += &format!("m,{resource},{AT},{quantity},{project}\n");
    }
    let of_null_values = format!("m,N/A,{AT},1,p-1\nm,-,{AT},1,p-1\nm,r-7,{AT},2,N/A\nm,r-8,{AT},2,-\n");
    let select = r#"select = """SELECT 'm' AS meter, vm AS resource_id, org AS project_id,
        '2026-10-05T10:00:00Z' AS measured_at, n AS quantity FROM source""""#;
    vec![
        ("csv", "", table.clone().into()),
        ("csv", r#"null_values = ["N/A", "-"]"#, (table + &of_null_values).into()),
        ("parquet", "", parquet_without_ids()),
        ("json", select, objects(&row, ["vm", "org"])),
        ("ceilometer", "", objects(&sample, ["resource_id", "project_id"])),
        ("cloudevents", "", objects(&event, ["resource_id", "project_id"])),
    ]
}

/// Asserts that each record without a resource is rejected. A record without a project is usage without a project: it
/// is priced, listed and not invoiced. The good record is invoiced.
fn assert_absent_ids(lake: &TestLake, rejected: usize, without_project: usize, case: &str) {
    lake.run(PERIOD);
    let found = lake.sql("SELECT COUNT(*), MIN(reason), MAX(reason) FROM rejected_record");
    assert_eq!(found, [format!("{rejected} missing_field missing_field")], "{case}");
    let usage = "SELECT project_id IS NULL AS without, SUM(consumed_quantity) AS quantity FROM metered_usage \
                 JOIN series USING (series_id) GROUP BY project_id IS NULL ORDER BY without";
    assert_eq!(lake.sql(usage), ["false 4".to_owned(), format!("true {}", 2 * without_project)], "{case}");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["4.0000"], "{case}");
    let message = lake.fails(4, &["run", "--period", PERIOD]);
    let listed = format!("usage without a project: {without_project} resources");
    assert!(message.contains(&listed), "{case}: {message}");
    assert!(lake.rows("changed_id").is_empty() && lake.rows("unread_input").is_empty(), "{case}");
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    let counted =
        format!("{rejected} records in input files of the period were rejected, more than `max_rejected` = 0");
    assert!(message.contains(&counted), "{case}: {message}");
}

fn lake_without_ids(source: &str) -> TestLake {
    TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "1""#).config(source)
}

#[test]
fn absent_ids_have_the_same_outcome_in_every_format() {
    for (format, keys, content) in sources_without_ids() {
        let source = format!("[[source]]\nname = \"s\"\nformat = \"{format}\"\npath = \"in/*\"\n{keys}\n");
        let lake = lake_without_ids(&source);
        lake.put("in/usage", content);
        // In CSV, a null value is the same as an empty cell, so that the same row is rejected once.
        let more = if keys.starts_with("null_values") { 2 } else { 0 };
        let same_rows = if format == "csv" { 1 } else { 0 };
        let rejected = ABSENT.len() + more - same_rows;
        assert_absent_ids(&lake, rejected, ABSENT.len() + more, &format!("{format} {keys}"));
    }
}

/// A metric of Gnocchi and a series of Prometheus without a resource are rejected with each of their samples.
#[test]
fn absent_ids_have_the_same_outcome_at_servers() {
    let series = records_without_ids().into_iter().map(|(resource, project, quantity)| {
        let labels = [("resource", resource), ("project", project)];
        let labels: Value = labels.into_iter().filter_map(|(name, id)| Some((name.to_owned(), json!(id?)))).collect();
        (labels, vec![(seconds(10), quantity.to_owned())])
    });
    let series: Vec<_> = series.collect();
    let url = serve(move |request| stub_server::prometheus("m_total", &series, request));
    let metric = "[[source.metric]]\nname = \"m_total\"\nmeter = \"m\"";
    let lake = lake_without_ids(&server("prometheus", &url, metric));
    assert_absent_ids(&lake, ABSENT.len(), ABSENT.len(), "prometheus");
    let text = &lake.column("rejected_record", "raw_text")[0];
    assert!(text.contains(r#""resource_metadata":{"project":"p-1""#), "the labels name the series: {text}");

    let metrics = records_without_ids().into_iter().map(|(resource, project, quantity)| {
        let good = resource.as_deref().is_some_and(|id| id.starts_with("r-"));
        let resource = if good { Ok([json!(resource), json!(project)]) } else { Err(json!(resource)) };
        Metric { resource, ..Metric::new("m", "", quantity) }
    });
    let metrics: Vec<_> = metrics.collect();
    let url = serve(move |request| stub_server::gnocchi(&metrics, request));
    let lake = lake_without_ids(&server("gnocchi", &url, ""));
    assert_absent_ids(&lake, ABSENT.len(), ABSENT.len(), "gnocchi");
    let text = &lake.column("rejected_record", "raw_text")[0];
    assert!(text.contains(r#""resource_metadata":{"metric_id":"4d000000"#), "the metric is named: {text}");
}
