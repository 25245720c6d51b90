//! Notifications of OpenStack services about the lifecycle of resources. The messages arrive in any order, twice, over
//! many runs, or with some messages missing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::live::{invoiced, lake};
use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

fn notified() -> TestLake {
    lake(BUS)
}

const BUS: &str = r#"
[[source]]
name = "bus"
format = "notifications"
path = "usage/*.jsonl"
"#;

fn message(event_type: &str, at: &str, payload: Value) -> String {
    let at = format!("2026-{at}");
    json!({ "event_type": event_type, "timestamp": at, "payload": payload }).to_string() + "\n"
}

/// The members of two objects; the members of the second object win.
fn merged(mut object: Value, more: Value) -> Value {
    let members = more.as_object().unwrap().clone();
    object.as_object_mut().unwrap().extend(members);
    object
}

/// A message about the machine `vm` of alpha, with its flavor, state and time of launch, and with more members.
fn machine(event: &str, at: &str, (flavor, state, launched_at): (&str, &str, &str), more: Value) -> String {
    let payload = json!({
        "instance_id": "vm", "tenant_id": "alpha", "instance_type": flavor, "vcpus": 1, "state": state,
        "launched_at": format!("2026-{launched_at}"), "deleted_at": "",
    });
    message(&format!("compute.instance.{event}"), at, merged(payload, more))
}

fn volume(event: &str, at: &str, size: u32, kind: &str) -> String {
    volume_with(event, at, size, json!({ "volume_type": kind }))
}

fn volume_with(event: &str, at: &str, size: u32, more: Value) -> String {
    let payload = json!({
        "volume_id": "v", "tenant_id": "alpha", "size": size, "launched_at": "2026-10-01T00:00:03",
    });
    message(&format!("volume.{event}"), at, merged(payload, more))
}

/// The period that an audit message covers.
fn audit_period(from: &str, to: &str) -> Value {
    json!({ "audit_period_beginning": format!("2026-{from}"), "audit_period_ending": format!("2026-{to}") })
}

const SMALL: (&str, &str, &str) = ("m1.small", "active", "10-01T00:10:00");
const MEDIUM: (&str, &str, &str) = ("m1.medium", "active", "10-02T12:20:00");
const OFFLOADED: (&str, &str, &str) = ("m1.medium", "shelved_offloaded", "10-02T12:20:00");
const BACK: (&str, &str, &str) = ("m1.medium", "active", "10-04T00:30:00");

/// The messages of three resources:
///
/// * `vm` is an m1.small from 1 October 00:10 and an m1.medium from 2 October 12:20. It is offloaded from 3 October
///   06:30 to 4 October 00:30, and deleted on 5 October 03:15. The m1.small has 24 hours of 1 October and 12 hours of 2
///   October: 36. The m1.medium has 12 hours of 2 October, 7 of 3 October, 24 of 4 October and 4 of 5 October: 47.
/// * `v` has 200 GiB on 1 October and 300 from 2 October on. It is retyped at noon of 2 October and deleted on 3
///   October 00:30. It has 24 × 200 + 12 × 300 = 8,400 GiB-hours of one type and 13 × 300 = 3,900 of the other type.
/// * An address of beta exists from 30 October 10:00 on: 14 + 24 hours of the month.
fn life() -> Vec<String> {
    let none = || json!({});
    let address = json!({
        "floatingip": { "id": "ip", "project_id": "beta", "created_at": "2026-10-30T10:00:00Z" },
    });
    vec![
        machine("create.start", "10-01 00:09:00", ("m1.small", "building", ""), none()),
        machine("create.end", "10-01 00:10:02.5", SMALL, none()),
        machine("resize.prep.end", "10-02 12:19:00", SMALL, none()),
        machine("finish_resize.end", "10-02 12:20:01", MEDIUM, none()),
        machine("power_off.end", "10-02 20:00:00", ("m1.medium", "stopped", MEDIUM.2), none()),
        machine("shelve_offload.end", "10-03 06:30:00", OFFLOADED, none()),
        machine("unshelve.end", "10-04 00:30:02", BACK, none()),
        machine("delete.end", "10-05 03:15:01", BACK, json!({ "deleted_at": "2026-10-05T03:15:00" })),
        volume("create.end", "10-01 00:00:03.1", 200, "ssd"),
        volume("resize.end", "10-02 00:00:00.000001", 300, "ssd"),
        volume("retype", "10-02 12:00:00", 300, "hdd"),
        volume("delete.end", "10-03 00:30:00", 300, "hdd"),
        message("floatingip.create.end", "10-30 10:00:00.5", address),
    ]
}

const INVOICED: [&str; 4] = [
    "alpha instance flavor=m1.medium 47 0.94",
    "alpha instance flavor=m1.small 36 0.36",
    "alpha volume 12300 12.3",
    "beta floating-ip 38 0.19",
];

/// A run in the first hour of November.
fn night(lake: &TestLake) {
    lake.run_at(PERIOD, "2026-11-01T00:30:00Z");
}

fn rejected(lake: &TestLake) -> Vec<String> {
    lake.column("rejected_record", "detail")
}

#[test]
fn a_resource_lifecycle_is_billed_by_the_hour() {
    let lake = notified();
    lake.put("usage/messages.jsonl", life().concat());
    night(&lake);
    assert_eq!(rejected(&lake), Vec::<String>::new());
    assert_eq!(invoiced(&lake), INVOICED);
    // Each part has the volume type of its time.
    let described: BTreeMap<String, String> =
        lake.rows("series").into_iter().map(|row| (row["series_id"].clone(), row["description"].clone())).collect();
    let mut by_type: BTreeMap<&str, i64> = BTreeMap::new();
    let usage = lake.rows("metered_usage");
    for row in &usage {
        let whole = row["consumed_quantity"].split('.').next().unwrap().parse::<i64>().unwrap();
        *by_type.entry(&described[&row["series_id"]]).or_default() += whole;
    }
    assert_eq!((by_type["volume_type=ssd"], by_type["volume_type=hdd"]), (8_400, 3_900));
}

#[test]
fn order_repetition_and_number_of_runs_change_no_result() {
    let whole = notified();
    whole.put("usage/messages.jsonl", life().concat());
    night(&whole);

    let reversed = notified();
    let messages: Vec<String> = life().into_iter().rev().collect();
    reversed.put("usage/a.jsonl", messages.concat());
    reversed.put("usage/b.jsonl", format!("{}\n", life().concat()));
    night(&reversed);
    assert_eq!((rejected(&reversed), invoiced(&reversed)), (Vec::new(), invoiced(&whole)));

    // One message per run, in reverse order, each in an envelope.
    let nightly = notified();
    for (number, message) in messages.iter().enumerate() {
        let envelope = json!({ "oslo.version": "2.0", "oslo.message": message.trim() });
        nightly.put(&format!("usage/{number}.jsonl"), format!("{envelope}\n"));
        night(&nightly);
    }
    assert_eq!((rejected(&nightly), invoiced(&nightly)), (Vec::new(), invoiced(&whole)));
    assert_eq!(nightly.rows("metered_usage"), whole.rows("metered_usage"));
}

#[test]
fn a_lost_message_is_replaced_by_other_messages_with_the_same_facts() {
    let ended =
        merged(audit_period("10-05 00:00:00", "10-06 00:00:00"), json!({ "deleted_at": "2026-10-05T03:15:00" }));
    let audits = [
        machine("exists", "10-02 00:00:30", SMALL, audit_period("10-01 00:00:00", "10-02 00:00:00")),
        machine("exists", "10-03 00:00:30", MEDIUM, audit_period("10-02 00:00:00", "10-03 00:00:00")),
        machine("exists", "10-06 00:00:30", BACK, ended),
    ];
    let mut messages = life();
    messages.extend(audits);
    let all = notified();
    all.put("usage/messages.jsonl", messages.concat());
    night(&all);
    assert_eq!((rejected(&all), invoiced(&all)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
    // If one of these messages is lost, another contains the same facts: a launch time gives start and flavor, an audit
    // the end.
    for lost in ["instance.create.end", "finish_resize.end", "unshelve.end", "instance.delete.end"] {
        let lake = notified();
        let kept: Vec<String> = messages.iter().filter(|message| !message.contains(lost)).cloned().collect();
        assert!(kept.len() < messages.len());
        lake.put("usage/messages.jsonl", kept.concat());
        night(&lake);
        assert_eq!(invoiced(&lake), INVOICED, "without {lost}");
    }
    // Without the creation message, the first size of the volume is unknown: 49 hours of 300 GiB.
    let lake = notified();
    let kept: Vec<String> = messages.into_iter().filter(|message| !message.contains("volume.create.end")).collect();
    lake.put("usage/messages.jsonl", kept.concat());
    night(&lake);
    assert_eq!(invoiced(&lake)[2], "alpha volume 14700 14.7");
}

#[test]
fn a_reported_state_wins_over_an_inferred_one_in_any_order() {
    // The volume has 300 GiB from 2 October on. Both messages contain its creation at 00:00:03, but only one reports
    // its 200 GiB at that time: 24 × 200 + 30 × 24 × 300 GiB-hours.
    let made = volume("create.end", "10-01 00:00:03", 200, "ssd");
    let larger = volume("resize.end", "10-02 00:00:00.000001", 300, "ssd");
    for nights in [vec![vec![&made, &larger]], vec![vec![&made], vec![&larger]], vec![vec![&larger], vec![&made]]] {
        let lake = notified();
        for (number, messages) in nights.iter().enumerate() {
            let messages: Vec<&str> = messages.iter().map(|message| message.as_str()).collect();
            lake.put(&format!("usage/{number}.jsonl"), messages.concat());
            night(&lake);
        }
        assert_eq!((rejected(&lake), invoiced(&lake)), (Vec::new(), vec!["alpha volume 220800 220.8".to_owned()]));
    }
}

#[test]
fn of_several_inferred_states_of_an_instant_the_earliest_message_wins() {
    // No message reports the creation of `v` and `vm`. An audit reports both on the first date, with 200 GiB and as an
    // m1.small. Later messages contain the time of creation and the state at the time of the message. The volume has
    // 24 + 6 hours of 200 GiB and 18 of 300 GiB. The machine has 24 + 8 hours of m1.small and 16 of m1.medium.
    let period = || audit_period("10-01 00:00:00", "10-02 00:00:00");
    let audit_of_volume = |more: Value| volume_with("exists", "10-02 00:10:00", 200, merged(period(), more));
    let audited = audit_of_volume(json!({ "volume_type": "ssd" }));
    let audit_of_machine = machine("exists", "10-02 00:10:00", SMALL, period());
    let later = [
        volume("resize.end", "10-02 06:00:00.000001", 300, "ssd")
            + &machine("update", "10-02 08:00:00", ("m1.medium", "active", SMALL.2), json!({})),
        volume("retype", "10-02 12:00:00", 300, "hdd"),
    ];
    let run = |audit: &str, nights: &[Vec<usize>]| {
        let lake = notified();
        let messages = [audit, &later[0], &later[1]];
        for (number, night_messages) in nights.iter().enumerate() {
            let messages: String = night_messages.iter().map(|message| messages[*message]).collect();
            lake.put(&format!("usage/{number}.jsonl"), messages);
            lake.run_at(PERIOD, "2026-10-03T00:00:00Z");
        }
        assert_eq!(rejected(&lake), Vec::<String>::new(), "{nights:?}");
        (invoiced(&lake), lake.rows("metered_usage"), lake)
    };
    // The first message wins even if it contains less than the later messages: here it lacks the type of the volume.
    let untyped = audit_of_volume(json!({}));
    for audit in [untyped + &audit_of_machine, audited.clone() + &audit_of_machine] {
        let (lines, windows, _) = run(&audit, &[vec![0, 1, 2]]);
        assert_eq!(
            lines,
            [
                "alpha instance flavor=m1.medium 16 0.32",
                "alpha instance flavor=m1.small 32 0.32",
                "alpha volume 11400 11.4"
            ]
        );
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let over_nights = orders.map(|order| order.map(|message| vec![message]).to_vec());
        for nights in over_nights.into_iter().chain([vec![vec![2, 1, 0]], vec![vec![1, 2], vec![0]]]) {
            let (other_lines, other_windows, _) = run(&audit, &nights);
            assert_eq!((&other_lines, &other_windows), (&lines, &windows), "{nights:?}");
        }
    }
    let (.., lake) = run(&(audited + &audit_of_machine), &[vec![0, 1, 2]]);
    // The state of the volume at its creation is unknown. A machine has had the same flavor since its launch.
    assert_eq!(lake.incomplete_lifecycles(PERIOD), ["volume v first_seen_mid_life 2026-10-02T00:10:00Z"]);
}

#[test]
fn a_deletion_wins_over_a_state_of_the_same_instant() {
    let update = machine("update", "10-05 03:15:00", BACK, json!({}));
    for nights in [[life().concat(), update.clone()], [update.clone(), life().concat()]] {
        let lake = notified();
        for (number, messages) in nights.into_iter().enumerate() {
            lake.put(&format!("usage/{number}.jsonl"), messages);
            night(&lake);
        }
        assert_eq!((rejected(&lake), invoiced(&lake)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
    }
}

#[test]
fn contradicting_states_of_one_instant_are_rejected() {
    let state = |size, kind| volume("resize.end", "10-02 00:00:00.000001", size, kind);
    let lake = notified();
    // One message contains fewer attributes, which is no contradiction. The other two contradict the first state.
    let less = volume_with("resize.end", "10-02 00:00:00.000001", 300, json!({}));
    lake.put("usage/1.jsonl", volume("create.end", "10-01 00:00:03.1", 200, "ssd") + &state(300, "ssd"));
    night(&lake);
    lake.put("usage/2.jsonl", less + &state(400, "ssd") + &state(300, "hdd"));
    night(&lake);
    let mut refused = rejected(&lake);
    refused.sort();
    assert_eq!(
        refused,
        [
            "this record has the description (volume_type=hdd); \
             the recorded sample of the same instant has (volume_type=ssd)",
            "this record has the quantity 400; the recorded sample of the same instant has 300",
        ]
    );
    assert_eq!(invoiced(&lake), ["alpha volume 220800 220.8"]);
}

#[test]
fn a_state_is_valid_until_the_next_event_over_many_runs() {
    let lake = notified();
    lake.put("usage/messages.jsonl", life().concat());
    let hours = |now: &str| {
        lake.run_at(PERIOD, now);
        invoiced(&lake).into_iter().find(|line| line.starts_with("beta")).unwrap()
    };
    assert_eq!(hours("2026-10-30T12:40:00Z"), "beta floating-ip 2 0.01");
    // No message arrives, but the time of the run advances.
    assert_eq!(hours("2026-10-31T09:00:00Z"), "beta floating-ip 23 0.12");
    let commits = lake.commit_count();
    assert_eq!(hours("2026-10-31T09:59:59Z"), "beta floating-ip 23 0.12");
    assert_eq!(lake.commit_count(), commits);
    assert_eq!(hours("2026-12-01T00:00:00Z"), "beta floating-ip 38 0.19");
    // The message of an earlier deletion arrives late.
    let gone = message("floatingip.delete.end", "10-30 15:30:00", json!({ "floatingip_id": "ip" }));
    lake.put("usage/late.jsonl", gone);
    assert_eq!(hours("2026-12-02T00:00:00Z"), "beta floating-ip 6 0.03");
    assert!(lake.rows("metered_usage").iter().all(|row| row["charge_date"].as_str() <= "2026-10-30"));
}

#[test]
fn polls_beside_notifications_count_once_and_add_nothing_after_a_deletion() {
    let polls = r#"
        [[source]]
        name = "polls"
        format = "ceilometer"
        path = "usage/polls/*"
        "#;
    let lake = lake(&(BUS.to_owned() + polls));
    lake.put("usage/bus.jsonl", life().concat());
    let poll = |at: &str, flavor: &str| {
        let sample = json!({
            "name": "vcpus", "unit": "vcpu", "volume": 1, "project_id": "alpha", "resource_id": "vm",
            "timestamp": format!("2026-{at}"), "resource_metadata": { "flavor": { "name": flavor } },
        });
        format!("{sample}\n")
    };
    let polls = poll("10-01T05:05:00", "m1.small")
        + &poll("10-01T05:05:00.01", "m1.small")
        + &poll("10-03T03:00:00", "m1.medium")
        + &poll("10-04T00:35:00", "m1.medium");
    lake.put("usage/polls/october.jsonl", polls);
    night(&lake);
    assert_eq!((rejected(&lake), invoiced(&lake)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
}

#[test]
fn state_timeout_limits_a_state_without_further_events() {
    let lake = notified();
    let meter = "[[meter]]\nname = \"floating-ip\"\n";
    lake.replace("rules/rules.toml", meter, &format!("{meter}state_timeout = \"6h\"\n"));
    lake.put("usage/messages.jsonl", life().concat());
    night(&lake);
    // The state is valid from 10:00:00.5 to 16:00:00.5, which is in seven hours.
    assert_eq!(invoiced(&lake)[3], "beta floating-ip 7 0.04");
}

#[test]
fn status_lists_incomplete_lifecycles() {
    let lake = notified();
    let gone = message("floatingip.delete.end", "10-07 08:00:00", json!({ "floatingip_id": "lost" }));
    let old = message("image.upload", "09-20 08:00:00", json!({ "id": "debian", "owner": "alpha", "size": 5 }));
    let image = r#"
        [[meter]]
        name = "image"
        aggregation = "max"
        unit = "B-hour"
        source_meters = ["image.size"]
        "#;
    lake.set_rules(lake.text("rules/rules.toml") + image);
    lake.put("usage/messages.jsonl", life().concat() + &gone + &old);
    night(&lake);
    assert_eq!(
        lake.incomplete_lifecycles(PERIOD),
        [
            "floating-ip lost missing_creation_event 2026-10-07T08:00:00Z",
            "image debian missing_update 2026-09-20T08:00:00Z",
        ]
    );
    assert!(lake.incomplete_lifecycles("2026-09").is_empty());
}
