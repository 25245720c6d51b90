//! One small cloud through every source. The invoices are the same if the sources deliver the same facts.
//!
//! The cloud is that of `gnocchi.rs`, which explains the amounts and uses a real Gnocchi. This file uses Ceilometer
//! samples, notifications and a real Prometheus. `NOTIFIED` explains the differences of notifications.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cloud::{invoiced, is_installed, lake, skip};
use super::gnocchi::INVOICED;
use super::prometheus::{Prometheus, START, STEP, Samples, ceilometer, source};

const PERIOD: &str = "2026-10";
const POLLS: i64 = 576;

/// A sample of a poll: source meter, unit, value, resource, project, flavor.
type Seen = (&'static str, &'static str, i64, &'static str, &'static str, Option<&'static str>);

fn seen(poll: i64) -> Vec<Seen> {
    let (small, medium) = (Some("m1.small"), Some("m1.medium"));
    let counter = if poll < 216 { 5_000_000 + poll * 1_000_000 } else { (poll - 216) * 500_000 };
    let mut seen = vec![
        ("vcpus", "vcpu", 1, "web-1", "alpha", if poll < 144 { small } else { medium }),
        ("network.outgoing.bytes", "B", counter, "web-1-tap1", "alpha", None),
        ("volume.size", "GB", 50, "data", "alpha", None),
        ("ip.floating", "ip", 3, "address", "beta", None),
    ];
    if (0..120).contains(&poll) || (156..288).contains(&poll) {
        seen.push(("vcpus", "vcpu", 1, "web-2", "beta", small));
    }
    if poll >= 288 {
        seen.push(("vcpus", "vcpu", 2, "db", if poll < 432 { "alpha" } else { "beta" }, medium));
    }
    seen
}

#[test]
fn the_cloud_as_ceilometer_samples() {
    let mut text = String::new();
    for poll in 0..POLLS {
        let at = START + poll * STEP;
        for (name, unit, value, resource, project, flavor) in seen(poll) {
            let metadata = flavor.map_or(json!({}), |flavor| json!({ "flavor": { "name": flavor } }));
            let sample = json!({
                "name": name, "unit": unit, "volume": value, "resource_id": resource, "project_id": project,
                "timestamp": at, "resource_metadata": metadata,
            });
            writeln!(text, "{sample}").unwrap();
        }
    }
    let lake = lake(
        r#"
        [[source]]
        name = "polls"
        format = "ceilometer"
        path = "usage/polls"
        "#,
    );
    lake.put("usage/polls", text);
    lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
}

#[test]
fn the_cloud_through_prometheus() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        return skip("prometheus");
    }
    let mut series: BTreeMap<(String, String), BTreeMap<i64, i64>> = BTreeMap::new();
    for poll in 0..POLLS {
        for (name, unit, value, resource, project, flavor) in seen(poll) {
            let flavor = flavor.map(|flavor| format!(r#",flavor_name="{flavor}""#)).unwrap_or_default();
            let labels = ceilometer(name, resource, project, unit, &flavor);
            let metric = format!("ceilometer_{}", name.replace('.', "_"));
            series.entry((metric, labels)).or_default().insert(poll, value);
        }
    }
    let mut samples = Samples::default();
    for ((metric, labels), values) in &series {
        samples.add(metric, labels, values.keys().copied(), |poll| values[&poll].to_string());
    }
    let server = Prometheus::start(&samples.openmetrics());
    let lake = lake(&source(server.port, "to = 2026-10-04"));
    lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
}

/// The invoice lines from notifications. Notifications contain no counter, so there is no egress. web-2 also existed
/// from 10:00 to 13:00, without polls, so it has 24 hours instead of 21.
const NOTIFIED: [&str; 6] = [
    "alpha instance flavor=m1.medium 48 0.96",
    "alpha instance flavor=m1.small 12 0.12",
    "alpha volume 2400 2.4",
    "beta floating-ip 48 0.24",
    "beta instance flavor=m1.medium 12 0.24",
    "beta instance flavor=m1.small 24 0.24",
];

#[test]
fn the_cloud_as_notifications() {
    let message = |event_type: &str, at: &str, payload: Value| {
        let at = format!("2026-10-{at}");
        json!({ "event_type": event_type, "timestamp": at, "payload": payload }).to_string() + "\n"
    };
    let machine = |event: &str, at: &str, id: &str, project: &str, flavor: &str, launched_at: &str| {
        let deleted_at = if event == "delete.end" { format!("2026-10-{at}") } else { String::new() };
        let payload = json!({
            "instance_id": id, "tenant_id": project, "instance_type": flavor, "vcpus": 1, "state": "active",
            "launched_at": format!("2026-10-{launched_at}"), "deleted_at": deleted_at,
        });
        message(&format!("compute.instance.{event}"), at, payload)
    };
    let volume = |event: &str, at: &str| {
        let payload = json!({
            "volume_id": "data", "tenant_id": "alpha", "size": 50, "launched_at": "2026-10-01T00:00:00",
        });
        message(&format!("volume.{event}"), at, payload)
    };
    let address = json!({
        "floatingip": { "id": "address", "project_id": "beta", "created_at": "2026-10-01T00:00:00Z" },
    });
    let end = "02 23:59:59";
    let text = [
        machine("create.end", "01 00:00:05", "web-1", "alpha", "m1.small", "01T00:00:00"),
        machine("finish_resize.end", "01 12:00:05", "web-1", "alpha", "m1.medium", "01T12:00:00"),
        machine("delete.end", end, "web-1", "alpha", "m1.medium", "01T12:00:00"),
        machine("create.end", "01 00:00:05", "web-2", "beta", "m1.small", "01T00:00:00"),
        machine("delete.end", "01 23:59:59", "web-2", "beta", "m1.small", "01T00:00:00"),
        machine("create.end", "02 00:00:05", "db", "alpha", "m1.medium", "02T00:00:00"),
        machine("update", "02 12:00:00", "db", "beta", "m1.medium", "02T00:00:00"),
        machine("delete.end", end, "db", "beta", "m1.medium", "02T00:00:00"),
        volume("create.end", "01 00:00:01"),
        volume("delete.end", end),
        message("floatingip.create.end", "01 00:00:00.5", address),
        message("floatingip.delete.end", end, json!({ "floatingip_id": "address" })),
    ];
    let lake = lake(
        r#"
        [[source]]
        name = "bus"
        format = "notifications"
        path = "usage/bus"
        "#,
    );
    lake.put("usage/bus", text.concat());
    lake.run(PERIOD);
    assert!(lake.rows("rejected_record").is_empty());
    assert_eq!(invoiced(&lake), NOTIFIED);
}
