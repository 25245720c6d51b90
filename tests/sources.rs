//! The same small cloud, delivered in every form that files can have: the invoices are the same.

use std::fmt::Write as _;
use std::process::Command;

use conto::error::Error;

use crate::live::{invoiced, world};
use crate::world::World;

const PERIOD: &str = "2026-10";

/// A poll of one machine and its counter: the hour and minute of 2026-10-01, the flavor, and bytes so far.
///
/// The machine is an m1.small for two hours and an m1.medium for one, with nothing between 02:00 and 05:00. Its counter
/// begins at 1,000, is at 4,000 at 01:30, begins again, and is at 2,500 at 05:30: 3,000 + 2,500 bytes.
const POLLS: [(&str, &str, u32); 4] = [
    ("00:30", "m1.small", 1_000),
    ("01:30", "m1.small", 4_000),
    ("05:10", "m1.medium", 500),
    ("05:30", "m1.medium", 2_500),
];

const INVOICED: [&str; 3] =
    ["alpha egress 5500 0", "alpha instance flavor=m1.medium 1 0.02", "alpha instance flavor=m1.small 2 0.02"];

fn files(format: &str, more: &str) -> World {
    world(&format!("name = \"polls\"\nformat = \"{format}\"\npath = \"usage/polls*\"\n{more}"))
}

fn ceilometer() -> String {
    let sample = |at: &str, flavor: &str, name: &str, unit: &str, volume: u32| {
        format!(
            "{{\"name\": \"{name}\", \"unit\": \"{unit}\", \"volume\": {volume}, \"project_id\": \"alpha\", \
             \"resource_id\": \"vm\", \"timestamp\": \"2026-10-01T{at}:00\", \"resource_metadata\": \
             {{\"flavor_name\": \"{flavor}\"}}}}\n"
        )
    };
    let both = |(at, flavor, bytes): &(&str, &str, u32)| {
        sample(at, flavor, "vcpus", "vcpu", 1) + &sample(at, flavor, "network.outgoing.bytes", "B", *bytes)
    };
    POLLS.iter().map(both).collect()
}

/// The other ways in which Ceilometer sends the same samples: batches of its HTTP publisher, its notifier's messages
/// with and without an envelope, and what its udp and tcp publishers send.
fn other_sinks() -> Vec<(&'static str, Vec<u8>)> {
    let samples: Vec<serde_json::Value> =
        ceilometer().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // These four spell most names otherwise.
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
            format!(
                "{{\"specversion\": \"1.0\", \"id\": \"{number}\", \"source\": \"/{kind}\", \"type\": \"{kind}\", \
                 \"subject\": \"alpha\", \"time\": \"2026-10-01T{at}:00Z\", \"data\": {{\"resource_id\": \"vm\", \
                 \"value\": \"{value}\", \"unit\": \"{unit}\", \"flavor_name\": \"{flavor}\"}}}}"
            )
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
fn every_form_of_the_same_usage_gives_the_same_invoices() {
    let own = [("ceilometer", ceilometer()), ("cloudevents", cloudevents()), ("csv", csv())];
    let own = own.map(|(format, text)| (format, format, text.into_bytes()));
    for (name, format, content) in own.into_iter().chain(other_sinks().into_iter().map(|(n, c)| (n, "ceilometer", c))) {
        let world = files(format, "");
        world.put("usage/polls", &content);
        world.run(PERIOD);
        assert_eq!(
            (invoiced(&world), world.rows("rejected_record").len()),
            (INVOICED.map(str::to_owned).to_vec(), 0),
            "{name}"
        );
    }
}

#[test]
fn a_price_by_region_fits_polls_and_notifications_whose_sources_know_the_region() {
    // A machine of two hours, which two sources tell of and neither says where it is; and one of another region.
    let machine = |id: &str| {
        let message = |event: &str, at: &str, deleted_at: &str| {
            format!(
                "{{\"event_type\": \"compute.instance.{event}\", \"timestamp\": \"{at}\", \"payload\": \
                 {{\"instance_id\": \"{id}\", \"tenant_id\": \"alpha\", \"instance_type\": \"m1.small\", \
                 \"vcpus\": 1, \"state\": \"active\", \"launched_at\": \"2026-10-01T00:10:00\", \
                 \"deleted_at\": \"{deleted_at}\"}}}}\n"
            )
        };
        let end = "2026-10-01T01:50:00";
        message("create.end", "2026-10-01 00:10:01", "") + &message("delete.end", "2026-10-01 01:50:00", end)
    };
    let bus = |region: &str| {
        format!(
            "name = \"bus-{region}\"\nformat = \"notifications\"\npath = \"usage/bus-{region}\"\n\
             defaults = {{ region = \"{region}\" }}\n"
        )
    };
    let polls =
        "name = \"polls\"\nformat = \"ceilometer\"\npath = \"usage/polls\"\ndefaults = { region = \"north\" }\n";
    let world = world(&[polls, &bus("north"), &bus("south")].join("[[source]]\n"));
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let by_region = rules
        .replacen("dimensions.flavor", "dimensions.region = { from = [\"region\"] }\ndimensions.flavor", 1)
        .replace("line_by = [\"flavor\"]", "line_by = [\"region\"]")
        .replace("by = \"flavor\", \"m1.small\" = \"0.01\"", "by = \"region\", north = \"0.5\", south = \"0.7\"");
    world.put("rules/rules.toml", by_region);
    world.put("usage/bus-north", machine("vm"));
    world.put("usage/bus-south", machine("other"));
    let of_machine = |line: &&str| line.contains("vcpus") && line.contains("m1.small");
    let polled: Vec<String> = ceilometer().lines().filter(of_machine).map(|line| format!("{line}\n")).collect();
    world.put("usage/polls", polled.concat());
    world.run(PERIOD);
    assert_eq!(
        (invoiced(&world), world.rows("rejected_record").len()),
        (["alpha instance region=north 2 1", "alpha instance region=south 2 1.4"].map(str::to_owned).to_vec(), 0)
    );
}

/// A table as somebody exports it: one row for both, names of its own, thousands of bytes, local times with an offset.
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

/// The same as nested objects, two on the first line.
fn nested() -> String {
    let mut text = String::new();
    for (number, (at, flavor, bytes)) in POLLS.iter().enumerate() {
        let object = format!(
            "{{\"machine\": {{\"id\": \"vm\", \"flavor\": \"{flavor}\"}}, \"owner\": \"alpha\", \
             \"at\": \"2026-10-01T{at}:00Z\", \"net\": {{\"out\": {bytes}}}, \"tags\": [1]}}"
        );
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

/// Columns of other types, and sizes of machines by a number.
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
fn a_select_makes_usage_of_files_of_any_shape() {
    let cases: [(&str, &str, Vec<u8>); 3] =
        [("csv", OF_WIDE, WIDE.into()), ("json", OF_NESTED, nested().into()), ("parquet", OF_PARQUET, parquet())];
    for (format, select, content) in cases {
        let world = files(format, select);
        world.put("usage/polls", content);
        world.run(PERIOD);
        assert_eq!(invoiced(&world), INVOICED, "{format}");
        assert!(world.rows("rejected_record").is_empty());
    }
}

#[test]
fn an_inventory_is_billed_by_the_hour_from_making_to_deletion() {
    // From 00:20 on 1 October to 03:10 on 2 October: 24 + 4 hours. What is not deleted is there to the end of October,
    // and what is deleted when it is made was never there. What ends where its next row begins goes on: 6 hours and 4.
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
    let world = files("csv", select);
    world.put("usage/polls", inventory);
    world.run(PERIOD);
    assert!(world.rows("rejected_record").is_empty());
    let hours = [
        "alpha instance flavor=m1.small 28 0.28",
        "beta instance flavor=m1.medium 30 0.6",
        "beta instance flavor=m1.small 6 0.06",
    ];
    assert_eq!(invoiced(&world), hours);
}

#[test]
fn rows_of_an_inventory_that_contradict_each_other_are_listed() {
    let select = r#"select = """
SELECT 'volume.size' AS meter, 'GiB' AS unit, id AS resource_id, owner AS project_id, made AS measured_at,
       size AS quantity, true AS is_state
FROM source
""""#;
    let world = files("csv", select);
    world.put(
        "usage/polls",
        "id,owner,size,made\nv,alpha,50,2026-10-31 22:00:00\nv,alpha,80,2026-10-31 22:00:00\n\
         v,alpha,50,2026-10-31 22:00:00\n",
    );
    world.run(PERIOD);
    let refused = world.rows("rejected_record");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["detail"], "the same fact is known with the quantity 50; this record says 80");
    assert_eq!(invoiced(&world), ["alpha volume 100 0.1"]);
}

#[test]
fn floats_of_parquet_reach_a_select_as_they_are_meant() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Float32Array, Float64Array, Int32Array, RecordBatch, StringArray};
    // As a float of 64 bits a cast to nine places would make 9007199254.740989685 of it, and more of the others.
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
    let world = files("parquet", select);
    world.put("usage/polls", bytes);
    world.run(PERIOD);
    let mut quantities: Vec<String> = world.rows("sample").into_iter().map(|row| row["quantity"].clone()).collect();
    quantities.sort();
    assert_eq!(quantities, ["16777216.400000000", "9007199255.040990000"]);
    let refused = world.rows("rejected_record");
    assert_eq!((refused.len(), &refused[0]["line"][..]), (1, "3"), "{refused:?}");
}

#[test]
fn a_row_that_a_select_cannot_compute_is_refused_alone_with_its_line() {
    let world = files("csv", OF_WIDE);
    world.put("usage/polls", WIDE.replace("4.000", "four").replace("0.500", "-0.5"));
    world.run(PERIOD);
    let refused: Vec<(String, String, String)> = world
        .rows("rejected_record")
        .into_iter()
        .map(|row| (row["reason"].clone(), row["line"].clone(), row["raw_text"].clone()))
        .collect();
    assert_eq!(refused.len(), 2);
    // The record of the row that has no number in it, and the negative one of the counter.
    assert_eq!((&refused[0].0[..], &refused[0].1[..]), ("malformed", "3"));
    assert_eq!(refused[0].2, "vm,alpha,2026-10-01T03:30:00+02:00,m1.small,four");
    assert_eq!((&refused[1].0[..], &refused[1].1[..]), ("negative_quantity", "4"));
}

#[test]
fn a_select_that_does_not_fit_stops_the_run_before_anything_is_read() {
    let world = files("csv", &OF_WIDE.replace("\"VM\" AS", "VM AS"));
    world.put("usage/polls", WIDE);
    let Err(Error::Invalid(problems)) = world.try_run(PERIOD) else { panic!("it ran") };
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].hint.as_deref(), Some("write \"VM\" in double quotes, which keep capital letters"));
    assert!(world.snapshot().commits().is_empty());
}

#[test]
fn what_a_source_knows_stands_in_for_what_its_records_do_not_say() {
    let text = ceilometer().replace("\"project_id\": \"alpha\", ", "").replace("\"flavor_name\": \"m1.medium\"", "");
    let facts = "defaults = { project_id = \"alpha\", flavor_name = \"m1.medium\" }";
    let world = files("ceilometer", facts);
    world.put("usage/polls", &text);
    world.run(PERIOD);
    assert_eq!(invoiced(&world), INVOICED);
    // What no record says and no source knows is invoiced to nobody.
    let world = files("ceilometer", "");
    world.put("usage/polls", &text);
    assert_eq!(world.run(PERIOD).invoices, 0);
}

#[test]
fn hours_without_a_sample_are_shown() {
    let world = files("ceilometer", "");
    world.put("usage/polls", ceilometer());
    world.run(PERIOD);
    let shown = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_conto"))
            .args(["status", "--gaps"])
            .args(arguments)
            .current_dir(world.path("."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let calendar = shown(&["2026-10"]);
    let lines: Vec<&str> = calendar.lines().collect();
    assert_eq!(lines[0], "Hours without a sample (`.`), in UTC, up to 2026-11-01T00:00:00Z");
    let first = lines.iter().find(|line| line.contains("instance")).unwrap();
    let cells: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(cells, ["polls", "instance", "2026-10-01", "##...#..................", "21"]);
    // Every later date of the month, for both meters.
    assert_eq!(lines.iter().filter(|line| line.contains("........................")).count(), 2 * 30);
    assert_eq!(shown(&["2026-09"]), "There is no sample of 2026-09.\n");
    // A source that fell silent before the month began is missing from its first hour on, of what it delivered.
    let of_machine = ceilometer().lines().next().unwrap().replace("2026-10-01T00:30", "2026-09-30T23:30");
    world.put("usage/polls", of_machine);
    std::fs::remove_dir_all(world.path("lake")).unwrap();
    world.run(PERIOD);
    let calendar = shown(&["2026-10"]);
    assert_eq!(calendar.lines().filter(|line| line.contains("........................")).count(), 31, "{calendar}");
    assert!(calendar.contains("instance") && !calendar.contains("egress"), "{calendar}");
}
