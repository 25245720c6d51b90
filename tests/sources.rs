//! The same small cloud, delivered in every form that files can have: the invoices are the same.

use std::fmt::Write as _;
use std::process::Command;

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
    for (format, text) in [("ceilometer", ceilometer()), ("cloudevents", cloudevents()), ("csv", csv())] {
        let world = files(format, "");
        world.put("usage/polls", &text);
        world.run(PERIOD);
        assert_eq!(invoiced(&world), INVOICED, "{format}");
    }
}

#[test]
fn what_a_source_knows_stands_in_for_what_its_records_do_not_say() {
    let text = ceilometer().replace("\"project_id\": \"alpha\", ", "").replace("\"flavor_name\": \"m1.medium\"", "");
    let facts = "facts = { project_id = \"alpha\", flavor_name = \"m1.medium\" }";
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
}
