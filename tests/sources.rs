//! Every file format of the usage of one small cloud gives the same invoices. Also `select`, source defaults and gaps.

use std::fmt::Write as _;

use conto::error::Error;
use serde_json::json;

use crate::live::{invoiced, lake};
use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

/// The polls of one machine and its counter: the hour and minute of 2026-10-01, the flavor, and the value in bytes.
///
/// The machine is an m1.small for two hours and an m1.medium for one hour, without samples between 02:00 and 05:00. The
/// counter has 1,000 and 4,000 at 01:30, restarts at zero, and has 2,500 at 05:30: 3,000 + 2,500 bytes.
const POLLS: [(&str, &str, u32); 4] = [
    ("00:30", "m1.small", 1_000),
    ("01:30", "m1.small", 4_000),
    ("05:10", "m1.medium", 500),
    ("05:30", "m1.medium", 2_500),
];

const INVOICED: [&str; 3] =
    ["alpha egress 5500 0", "alpha instance flavor=m1.medium 1 0.02", "alpha instance flavor=m1.small 2 0.02"];

/// A lake with one source, which reads the files `usage/polls*`.
fn files(format: &str, keys: &str) -> TestLake {
    lake(&format!(
        r#"
        [[source]]
        name = "polls"
        format = "{format}"
        path = "usage/polls*"
        {keys}
        "#
    ))
}

fn ceilometer() -> String {
    let sample = |at: &str, flavor: &str, name: &str, unit: &str, volume: u32| {
        let sample = json!({
            "name": name, "unit": unit, "volume": volume, "project_id": "alpha", "resource_id": "vm",
            "timestamp": format!("2026-10-01T{at}:00"), "resource_metadata": { "flavor_name": flavor },
        });
        format!("{sample}\n")
    };
    let both = |(at, flavor, bytes): &(&str, &str, u32)| {
        sample(at, flavor, "vcpus", "vcpu", 1) + &sample(at, flavor, "network.outgoing.bytes", "B", *bytes)
    };
    POLLS.iter().map(both).collect()
}

/// The same samples in other formats of Ceilometer: batches of its HTTP publisher, messages of its notifier with and
/// without an envelope, and packets of its udp and tcp publishers.
fn other_sinks() -> Vec<(&'static str, Vec<u8>)> {
    let samples: Vec<serde_json::Value> =
        ceilometer().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The other four formats use other names for these members.
    let spelt: Vec<serde_json::Value> = samples
        .iter()
        .map(|sample| {
            let members = sample.as_object().unwrap().iter().map(|(name, value)| {
                let is_short = ["name", "unit", "volume"].contains(&name.as_str());
                (if is_short { format!("counter_{name}") } else { name.clone() }, value.clone())
            });
            serde_json::Value::Object(members.collect())
        })
        .collect();
    let message = serde_json::json!({
        "message_id": "m", "publisher_id": "telemetry", "event_type": "metering", "priority": "SAMPLE",
        "timestamp": "2026-10-01 06:00:00.5", "payload": spelt,
    });
    let envelope = serde_json::json!({ "oslo.version": "2.0", "oslo.message": message.to_string() });
    let packed: Vec<Vec<u8>> = spelt.iter().map(|sample| rmp_serde::to_vec_named(sample).unwrap()).collect();
    let framed = packed.iter().flat_map(|sample| [&(sample.len() as u64).to_le_bytes()[..], sample].concat());
    vec![
        ("http", serde_json::Value::Array(samples).to_string().into_bytes()),
        ("notifier", message.to_string().into_bytes()),
        ("envelope", envelope.to_string().into_bytes()),
        ("udp", packed.concat()),
        ("tcp", framed.collect()),
    ]
}

fn cloudevents() -> String {
    let mut text = String::new();
    for (number, (at, flavor, bytes)) in POLLS.iter().enumerate() {
        let event = |kind: &str, unit: &str, value: u32| {
            json!({
                "specversion": "1.0", "id": number.to_string(), "source": format!("/{kind}"), "type": kind,
                "subject": "alpha", "time": format!("2026-10-01T{at}:00Z"),
                "data": { "resource_id": "vm", "value": value.to_string(), "unit": unit, "flavor_name": flavor },
            })
        };
        let (vcpus, egress) = (event("vcpus", "vcpu", 1), event("network.outgoing.bytes", "B", *bytes));
        writeln!(text, "[{vcpus}, {egress}]").unwrap();
    }
    text
}

fn csv() -> String {
    let mut text = "meter,unit,quantity,project_id,resource_id,measured_at,flavor_name\n".to_owned();
    for (at, flavor, bytes) in POLLS {
        writeln!(text, "vcpus,vcpu,1,alpha,vm,2026-10-01T{at}:00Z,{flavor}").unwrap();
        writeln!(text, "network.outgoing.bytes,B,{bytes},alpha,vm,2026-10-01T{at}:00Z,{flavor}").unwrap();
    }
    text
}

#[test]
fn every_file_format_of_the_same_usage_gives_the_same_invoices() {
    let own = [("ceilometer", ceilometer()), ("cloudevents", cloudevents()), ("csv", csv())];
    let own = own.map(|(format, text)| (format, format, text.into_bytes()));
    for (name, format, content) in own.into_iter().chain(other_sinks().into_iter().map(|(n, c)| (n, "ceilometer", c))) {
        let lake = files(format, "");
        lake.put("usage/polls", &content);
        lake.run(PERIOD);
        assert_eq!(
            (invoiced(&lake), lake.rows("rejected_record").len()),
            (INVOICED.map(str::to_owned).to_vec(), 0),
            "{name}"
        );
    }
}

#[test]
fn source_defaults_add_a_region_to_polls_and_notifications() {
    // Two sources deliver a machine of two hours without a region. A third source delivers another machine, in another
    // region.
    let machine = |id: &str| {
        let message = |event: &str, at: &str, deleted_at: &str| {
            let payload = json!({
                "instance_id": id, "tenant_id": "alpha", "instance_type": "m1.small", "vcpus": 1, "state": "active",
                "launched_at": "2026-10-01T00:10:00", "deleted_at": deleted_at,
            });
            let event_type = format!("compute.instance.{event}");
            format!("{}\n", json!({ "event_type": event_type, "timestamp": at, "payload": payload }))
        };
        let end = "2026-10-01T01:50:00";
        message("create.end", "2026-10-01 00:10:01", "") + &message("delete.end", "2026-10-01 01:50:00", end)
    };
    let source = |name: &str, format: &str, region: &str| {
        format!(
            r#"
            [[source]]
            name = "{name}"
            format = "{format}"
            path = "usage/{name}"
            defaults = {{ region = "{region}" }}
            "#
        )
    };
    let lake = lake(
        &[
            source("polls", "ceilometer", "north"),
            source("bus-north", "notifications", "north"),
            source("bus-south", "notifications", "south"),
        ]
        .concat(),
    );
    let by_region = lake
        .text("rules/rules.toml")
        .replacen("dimensions.flavor", "dimensions.region = { from = [\"region\"] }\ndimensions.flavor", 1)
        .replace(r#"line_by = ["flavor"]"#, r#"line_by = ["region"]"#)
        .replace(r#"by = "flavor", "m1.small" = "0.01""#, r#"by = "region", north = "0.5", south = "0.7""#);
    lake.set_rules(by_region);
    lake.put("usage/bus-north", machine("vm"));
    lake.put("usage/bus-south", machine("other"));
    let of_machine = |line: &&str| line.contains("vcpus") && line.contains("m1.small");
    let polled: Vec<String> = ceilometer().lines().filter(of_machine).map(|line| format!("{line}\n")).collect();
    lake.put("usage/polls", polled.concat());
    lake.run(PERIOD);
    assert_eq!(
        (invoiced(&lake), lake.rows("rejected_record").len()),
        (["alpha instance region=north 2 1", "alpha instance region=south 2 1.4"].map(str::to_owned).to_vec(), 0)
    );
}

/// An exported table: one row for both meters, other column names, thousands of bytes, local times with an offset.
const WIDE: &str = "VM,Tenant,Sampled,Type,kB Out\n\
    vm,alpha,2026-10-01T02:30:00+02:00,m1.small,1.000\n\
    vm,alpha,2026-10-01T03:30:00+02:00,m1.small,4.000\n\
    vm,alpha,2026-10-01T07:10:00+02:00,m1.medium,0.500\n\
    vm,alpha,2026-10-01T07:30:00+02:00,m1.medium,2.500\n\
    vm,test,2026-10-01T07:30:00+02:00,m1.medium,9.500\n";

const OF_WIDE: &str = r#"select = """
SELECT 'vcpus' AS meter, 'vcpu' AS unit, "VM" AS resource_id, "Tenant" AS project_id, "Sampled" AS measured_at,
       1 AS quantity, "Type" AS flavor_name
FROM source
WHERE "Tenant" <> 'test'
UNION ALL
SELECT 'network.outgoing.bytes', 'B', "VM", "Tenant", "Sampled", CAST("kB Out" AS DECIMAL(28,9)) * 1000, "Type"
FROM source
WHERE "Tenant" <> 'test'
""""#;

/// The same polls as nested objects, two of them on the first line.
fn nested() -> String {
    let mut text = String::new();
    for (number, (at, flavor, bytes)) in POLLS.iter().enumerate() {
        let object = json!({
            "machine": { "id": "vm", "flavor": flavor }, "owner": "alpha", "at": format!("2026-10-01T{at}:00Z"),
            "net": { "out": bytes }, "tags": [1],
        });
        text += &match number {
            0 => format!("[{object}, "),
            1 => format!("{object}]\n"),
            _ => format!("{object}\n"),
        };
    }
    text
}

const OF_NESTED: &str = r#"select = """
SELECT 'vcpus' AS meter, 'vcpu' AS unit, "machine.id" AS resource_id, owner AS project_id, at AS measured_at,
       '1' AS quantity, "machine.flavor" AS flavor_name
FROM source
UNION ALL
SELECT 'network.outgoing.bytes', 'B', "machine.id", owner, at, "net.out", "machine.flavor" FROM source
""""#;

/// The same polls as a Parquet file with columns of other types, and with a number for the size of the machine.
fn parquet() -> Vec<u8> {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray};
    let times = POLLS.map(|(at, ..)| {
        let at: jiff::Timestamp = format!("2026-10-01T{at}:00Z").parse().unwrap();
        at.as_millisecond()
    });
    let sizes = POLLS.map(|(_, flavor, _)| if flavor == "m1.small" { 1 } else { 2 });
    let kilobytes = POLLS.map(|(.., bytes)| format!("{}.{:03}", bytes / 1_000, bytes % 1_000).parse::<f64>().unwrap());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("server", Arc::new(StringArray::from(vec!["vm"; 4]))),
        ("ts", Arc::new(TimestampMillisecondArray::from(times.to_vec()))),
        ("size", Arc::new(Int32Array::from(sizes.to_vec()))),
        ("kb", Arc::new(Float64Array::from(kilobytes.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

const OF_PARQUET: &str = r#"select = """
SELECT 'vcpus' AS meter, 'vcpu' AS unit, server AS resource_id, ts AS measured_at, 1 AS quantity,
       CASE size WHEN 1 THEN 'm1.small' ELSE 'm1.medium' END AS flavor_name
FROM source
UNION ALL
SELECT 'network.outgoing.bytes', 'B', server, ts, CAST(kb AS DECIMAL(28,9)) * 1000, '' FROM source
"""
defaults = { project_id = "alpha" }"#;

#[test]
fn select_makes_usage_of_csv_json_and_parquet_files_of_any_shape() {
    let cases: [(&str, &str, Vec<u8>); 3] =
        [("csv", OF_WIDE, WIDE.into()), ("json", OF_NESTED, nested().into()), ("parquet", OF_PARQUET, parquet())];
    for (format, select, content) in cases {
        let lake = files(format, select);
        lake.put("usage/polls", content);
        lake.run(PERIOD);
        assert_eq!(invoiced(&lake), INVOICED, "{format}");
        assert!(lake.rows("rejected_record").is_empty());
    }
}

#[test]
fn select_with_is_state_bills_an_inventory_from_creation_to_deletion() {
    // vm-1 exists from 00:20 on 1 October to 03:10 on 2 October: 24 + 4 hours. vm-2 is not deleted and exists to the
    // end of October. vm-3 is deleted at the instant of its creation and has no usage. vm-4 continues with its second
    // row: 6 hours and 4.
    let inventory = "id,owner,size,made,gone\n\
                     vm-1,alpha,m1.small,2026-10-01 00:20:00,2026-10-02 03:10:00\n\
                     vm-2,beta,m1.medium,2026-10-30 22:00:00,\n\
                     vm-3,beta,m1.small,2026-10-05 10:00:00,2026-10-05 10:00:00\n\
                     vm-4,beta,m1.small,2026-10-10 00:00:00,2026-10-10 06:00:00\n\
                     vm-4,beta,m1.medium,2026-10-10 06:00:00,2026-10-10 10:00:00\n";
    let select = r#"select = """
SELECT 'vcpus' AS meter, 'vcpu' AS unit, id AS resource_id, owner AS project_id, size AS flavor_name,
       made AS measured_at, 1 AS quantity, true AS is_state, false AS deleted
FROM source
UNION ALL
SELECT 'vcpus', 'vcpu', id, owner, size, gone, 0, false, true FROM source WHERE gone IS NOT NULL
""""#;
    let lake = files("csv", select);
    lake.put("usage/polls", inventory);
    lake.run(PERIOD);
    assert!(lake.rows("rejected_record").is_empty());
    let hours = [
        "alpha instance flavor=m1.small 28 0.28",
        "beta instance flavor=m1.medium 30 0.6",
        "beta instance flavor=m1.small 6 0.06",
    ];
    assert_eq!(invoiced(&lake), hours);
}

#[test]
fn select_with_is_state_rejects_contradicting_rows() {
    let select = r#"select = """
SELECT 'volume.size' AS meter, 'GiB' AS unit, id AS resource_id, owner AS project_id, made AS measured_at,
       size AS quantity, true AS is_state
FROM source
""""#;
    let lake = files("csv", select);
    lake.put(
        "usage/polls",
        "id,owner,size,made\nv,alpha,50,2026-10-31 22:00:00\nv,alpha,80,2026-10-31 22:00:00\n\
         v,alpha,50,2026-10-31 22:00:00\n",
    );
    lake.run(PERIOD);
    let refused = lake.rows("rejected_record");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["detail"], "this record has the quantity 80; the recorded sample of the same instant has 50");
    assert_eq!(invoiced(&lake), ["alpha volume 100 0.1"]);
}

#[test]
fn select_reads_parquet_floats_as_their_shortest_decimals() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Float32Array, Float64Array, Int32Array, RecordBatch, StringArray};
    // A cast of the 64-bit float to nine places would give 9007199254.740989685.
    let sizes = vec![9_007_199_254.740_99, 0.1, f64::NAN];
    let dictionary =
        DictionaryArray::new(Int32Array::from(vec![0, 1, 0]), Arc::new(Float64Array::from(vec![0.2, 0.3])));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
        ("size", Arc::new(Float64Array::from(sizes))),
        ("short", Arc::new(Float32Array::from(vec![0.1, 16_777_216.0, 0.3]))),
        ("coded", Arc::new(dictionary)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let select = r#"select = """
SELECT 'volume.size' AS meter, 'GiB' AS unit, id AS resource_id, '2026-10-01 00:30:00' AS measured_at,
       CAST(size AS DECIMAL(28,9)) + CAST(short AS DECIMAL(28,9)) + CAST(coded AS DECIMAL(28,9)) AS quantity
FROM source
"""
defaults = { project_id = "alpha" }"#;
    let lake = files("parquet", select);
    lake.put("usage/polls", bytes);
    lake.run(PERIOD);
    let mut quantities: Vec<String> = lake.rows("sample").into_iter().map(|row| row["quantity"].clone()).collect();
    quantities.sort();
    assert_eq!(quantities, ["16777216.400000000", "9007199255.040990000"]);
    let refused = lake.rows("rejected_record");
    assert_eq!((refused.len(), &refused[0]["line"][..]), (1, "3"), "{refused:?}");
}

#[test]
fn select_rejects_one_row_that_it_cannot_compute_with_its_line() {
    let lake = files("csv", OF_WIDE);
    lake.put("usage/polls", WIDE.replace("4.000", "four").replace("0.500", "-0.5"));
    lake.run(PERIOD);
    let refused: Vec<(String, String, String)> = lake
        .rows("rejected_record")
        .into_iter()
        .map(|row| (row["reason"].clone(), row["line"].clone(), row["raw_text"].clone()))
        .collect();
    assert_eq!(refused.len(), 2);
    // The record whose cell is not a number, and the record of the counter with a negative quantity.
    assert_eq!((&refused[0].0[..], &refused[0].1[..]), ("malformed", "3"));
    assert_eq!(refused[0].2, "vm,alpha,2026-10-01T03:30:00+02:00,m1.small,four");
    assert_eq!((&refused[1].0[..], &refused[1].1[..]), ("negative_quantity", "4"));
}

#[test]
fn an_invalid_select_stops_the_run_before_anything_is_read() {
    let lake = files("csv", &OF_WIDE.replace("\"VM\" AS", "VM AS"));
    lake.put("usage/polls", WIDE);
    let Err(Error::Invalid(problems)) = lake.try_run(PERIOD) else { panic!("it ran") };
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].hint.as_deref(), Some("write \"VM\" in double quotes; names without quotes are lower case"));
    assert!(lake.snapshot().commits().is_empty());
}

#[test]
fn source_defaults_fill_in_missing_members_of_records() {
    let text = ceilometer();
    let (project, flavor) = (r#""project_id":"alpha","#, r#""flavor_name":"m1.medium""#);
    assert!(text.contains(project) && text.contains(flavor));
    let text = text.replace(project, "").replace(flavor, "");
    let facts = "defaults = { project_id = \"alpha\", flavor_name = \"m1.medium\" }";
    let lake = files("ceilometer", facts);
    lake.put("usage/polls", &text);
    lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    // Without a project in the record and a default in the source, the usage is on no invoice.
    let lake = files("ceilometer", "");
    lake.put("usage/polls", &text);
    assert_eq!(lake.run(PERIOD).invoices, 0);
}

#[test]
fn status_gaps_lists_hours_without_a_sample() {
    let lake = files("ceilometer", "");
    lake.put("usage/polls", ceilometer());
    lake.run(PERIOD);
    let calendar = lake.gaps(PERIOD);
    assert_eq!(calendar[0], "polls egress 2026-10-01 ##...#.................. 21");
    assert!(calendar.contains(&"polls instance 2026-10-01 ##...#.................. 21".to_owned()), "{calendar:?}");
    // Every later date of the month has a gap for both meters.
    let is_empty = |gap: &&String| gap.contains(" ........................ 24");
    assert_eq!(calendar.iter().filter(is_empty).count(), 2 * 30);
    assert_eq!(lake.succeeds(&["status", "--gaps", "2026-09"]), "There are no samples of 2026-09.\n");
    // If the last sample of a source is from before the month, every hour of the month is missing.
    let of_machine = ceilometer().lines().next().unwrap().replace("2026-10-01T00:30", "2026-09-30T23:30");
    lake.put("usage/polls", of_machine);
    std::fs::remove_dir_all(lake.path("lake")).unwrap();
    lake.run(PERIOD);
    let calendar = lake.gaps(PERIOD);
    assert_eq!(calendar.iter().filter(is_empty).count(), 31, "{calendar:?}");
    assert!(calendar.iter().all(|gap| gap.contains("instance")), "{calendar:?}");
}

/// A lake that prices each unit at 1.00, with a source of the files `usage/polls*`.
fn units(format: &str, keys: &str) -> TestLake {
    let lake = files(format, keys);
    let meter = "currency = \"EUR\"\n\n[[meter]]\nname = \"unit\"\naggregation = \"sum\"\nunit = \"unit\"\n\n";
    let rule = "[[rule]]\nid = \"unit\"\nmeter = \"unit\"\nsku = \"UNIT\"\nservice = \"S\"\nunit_price = \"1.00\"\n";
    lake.set_rules(format!("{meter}{rule}"));
    lake
}

/// What a German spreadsheet saves: a byte order mark, semicolons, decimal commas, CRLF and an empty last line.
const SPREADSHEET: &str = "\u{feff}Meter;Resource;Project;Time;Amount\r\n\
    unit;a;p-1;2026-10-05T10:00:00Z;1,5\r\n\
    unit;b;p-1;2026-10-05T10:00:00Z;2,25\r\n\
    unit;c;p-1;2026-10-05T10:00:00Z;1.000,25\r\n\
    \r\n";

const OF_SPREADSHEET: &str = "columns = { meter = \"Meter\", resource_id = \"Resource\", project_id = \"Project\", \
                              measured_at = \"Time\", quantity = \"Amount\" }";

/// 1.5 + 2.25 + 1000.25 = 1004.00 units at 1.00.
#[test]
fn a_spreadsheet_with_semicolons_and_decimal_commas_is_billed_exactly() {
    let renamed = format!("{OF_SPREADSHEET}\nseparator = \";\"\ndecimal_mark = \",\"\nthousands_mark = \".\"");
    let select = |amount: &str| {
        format!(
            "select = \"\"\"\nSELECT \"Meter\" AS meter, \"Resource\" AS resource_id, \"Project\" AS project_id,\n\
             \"Time\" AS measured_at, {amount} AS quantity FROM source\n\"\"\"\nseparator = \";\""
        )
    };
    let replaced = select("replace(replace(\"Amount\", '.', ''), ',', '.')");
    let marked = select("replace(\"Amount\", '.', '')") + "\ndecimal_mark = \",\"";
    for keys in [renamed, replaced, marked] {
        let lake = units("csv", &keys);
        lake.put("usage/polls.csv", SPREADSHEET);
        lake.run(PERIOD);
        assert_eq!(lake.rows("rejected_record").len(), 0, "{keys}");
        assert_eq!(invoiced(&lake), ["p-1 UNIT 1004 1004"], "{keys}");
    }
}

#[test]
fn a_file_in_another_dialect_proposes_the_keys_to_add() {
    let needed = r#"the file seems to need separator = ";", decimal_mark = ",", thousands_mark = "." in the source"#;
    let lake = units("csv", OF_SPREADSHEET);
    lake.put("usage/polls.csv", SPREADSHEET);
    let message = lake.fails(4, &["run", "--period", PERIOD]);
    assert!(message.contains(needed), "{message}");
    // The next run reads the file with the added keys.
    let keys = "separator = \";\"\ndecimal_mark = \",\"\nthousands_mark = \".\"";
    lake.put("conto.toml", units("csv", &format!("{OF_SPREADSHEET}\n{keys}")).text("conto.toml"));
    lake.run(PERIOD);
    assert_eq!(invoiced(&lake), ["p-1 UNIT 1004 1004"]);
    let lake = units("csv", "select = \"SELECT \\\"Meter\\\" AS meter FROM source\"");
    lake.put("usage/polls.csv", SPREADSHEET);
    let Err(Error::Invalid(problems)) = lake.try_run(PERIOD) else { panic!("it ran") };
    // The select itself reads the numbers.
    assert_eq!(problems[0].hint.as_deref(), Some("the file seems to need separator = \";\" in the source"));
}

/// Local times of Europe/Berlin. The clocks are set back on 2026-10-25, at 03:00 to 02:00, so 02:30 occurs twice: with
/// the offset +02:00 it is 00:30 in UTC, and with +01:00 it is 01:30. The month ends at 23:00 in UTC.
#[test]
fn local_times_of_a_source_are_billed_in_their_month() {
    let rows = [
        ("2026-10-25T01:59:59", "1"),
        ("2026-10-25T02:30:00", "10"),
        ("2026-10-25T02:30:00+02:00", "100"),
        ("2026-10-25T02:30:00+01:00", "1000"),
        ("2026-10-25T03:00:00", "10000"),
        ("2026-10-31T23:59:59", "100000"),
        ("2026-11-01T00:00:00", "1000000"),
        ("2027-03-28T02:30:00", "10000000"),
    ];
    let mut text = "meter,resource_id,project_id,measured_at,quantity\n".to_owned();
    for (at, quantity) in rows {
        writeln!(text, "unit,r,p,{at},{quantity}").unwrap();
    }
    let lake = units("csv", "time_zone = \"Europe/Berlin\"");
    lake.put("conto.toml", lake.text("conto.toml").replace("time_zone = \"UTC\"", "time_zone = \"Europe/Berlin\""));
    lake.put("usage/polls.csv", text);
    lake.run(PERIOD);
    // 1 + 100 + 1000 + 10000 + 100000. The repeated hour and the missing hour are rejected.
    assert_eq!(invoiced(&lake), ["p UNIT 111101 111101"]);
    let times: Vec<String> = lake.rows("sample").into_iter().map(|row| row["measured_at"].clone()).collect();
    assert_eq!(times.len(), 6, "{times:?}");
    let rejected: Vec<(String, String)> =
        lake.rows("rejected_record").into_iter().map(|row| (row["line"].clone(), row["detail"].clone())).collect();
    let expected = [
        (
            "3",
            "the time `2026-10-25T02:30:00` occurs twice in Europe/Berlin, because clocks are set back; expected an \
             offset, such as +01:00",
        ),
        ("9", "the time `2027-03-28T02:30:00` does not exist in Europe/Berlin, because the clock change skips it"),
    ];
    assert_eq!(rejected, expected.map(|(line, detail)| (line.to_owned(), detail.to_owned())));
}

/// 2026-10-05T10:00:00 in Berlin is 08:00 in UTC, 1791187200 seconds after 1970.
#[test]
fn json_has_the_clock_of_its_source() {
    let select = r#"select = """
SELECT 'unit' AS meter, id AS resource_id, 'p' AS project_id, at AS measured_at, '1' AS quantity FROM source
""""#;
    let lake = units("json", &format!("{select}\ntime_zone = \"Europe/Berlin\"\ntime_unit = \"milliseconds\""));
    lake.put(
        "usage/polls.json",
        "{\"id\": \"a\", \"at\": \"2026-10-05 10:00:00\"}\n{\"id\": \"b\", \"at\": 1791187200000}\n\
         {\"id\": \"c\", \"at\": 1791187200}\n",
    );
    lake.run(PERIOD);
    let times: std::collections::BTreeSet<String> =
        lake.rows("sample").into_iter().map(|row| row["measured_at"].clone()).collect();
    assert_eq!(times.len(), 1, "{times:?}");
    assert!(times.iter().all(|time| time.contains("08:00:00")), "{times:?}");
    let rejected = lake.rows("rejected_record");
    assert_eq!(
        rejected[0]["detail"],
        "the time `1791187200` looks like seconds since 1970, expected milliseconds: set time_unit = \"seconds\""
    );
    // The engine computes timestamps in UTC. Without a time zone, such a timestamp would be read as a local time.
    let select = select.replace("at AS", "CAST(at AS TIMESTAMP) AS");
    let lake = units("json", &format!("{select}\ntime_zone = \"Europe/Berlin\""));
    lake.put("usage/polls.json", "{\"id\": \"a\", \"at\": \"2026-10-05 10:00:00\"}\n");
    let Err(Error::Invalid(problems)) = lake.try_run(PERIOD) else { panic!("it ran") };
    assert!(problems[0].message.contains("expected text, or a timestamp with a time zone"), "{problems:?}");
}

/// The usage of the spreadsheet, priced at 1.00: 1.5 + 1000.25 = 1001.75.
#[test]
fn rules_quote_reads_usage_in_the_dialect_of_a_source() {
    let lake = units("csv", "separator = \";\"\ndecimal_mark = \",\"\nthousands_mark = \".\"\nencoding = \"latin1\"");
    lake.put("quote.csv", b"resource;quantity\r\nZ\xe4hler;1,5\r\nb;1.000,25 unit\r\n");
    let file = lake.path("quote.csv");
    let file = file.to_str().unwrap();
    let quote = ["rules", "quote", "--rule", "unit", "--usage", file];
    let quoted = lake.succeeds(&[&quote[..], &["--dialect-of", "polls"]].concat());
    assert!(quoted.ends_with("1001.75 EUR, on an invoice 1001.75\n"), "{quoted}");
    lake.put("quote.csv", "resource;quantity\r\na;1,5\r\n");
    let message = lake.fails(2, &quote);
    let hint = "hint: name a source that has separator = \";\", decimal_mark = \",\" with --dialect-of";
    assert!(message.contains(hint), "{message}");
    let message = lake.fails(2, &[&quote[..], &["--dialect-of", "pools"]].concat());
    assert!(message.contains("there is no source `pools` of files"), "{message}");
    assert!(message.contains("hint: sources: polls"), "{message}");
}
