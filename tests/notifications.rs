//! What OpenStack's services notify of the life of resources, billed: in any order, delivered twice, over many nights,
//! and without some of the messages.

use std::collections::BTreeMap;

use crate::live::{invoiced, world};
use crate::world::World;

const PERIOD: &str = "2026-10";

fn notified() -> World {
    world("name = \"bus\"\nformat = \"notifications\"\npath = \"usage/*\"\n")
}

fn message(event_type: &str, at: &str, payload: &str) -> String {
    format!("{{\"event_type\": \"{event_type}\", \"timestamp\": \"2026-{at}\", \"payload\": {{{payload}}}}}\n")
}

/// A message of the machine `vm` of alpha, launched at a time as what it is then.
fn machine(event: &str, at: &str, (flavor, state, launched_at): (&str, &str, &str), more: &str) -> String {
    let payload = format!(
        "\"instance_id\": \"vm\", \"tenant_id\": \"alpha\", \"instance_type\": \"{flavor}\", \"vcpus\": 1, \
         \"state\": \"{state}\", \"launched_at\": \"2026-{launched_at}\", \"deleted_at\": \"\"{more}"
    );
    message(&format!("compute.instance.{event}"), at, &payload)
}

fn volume(event: &str, at: &str, size: u32, kind: &str) -> String {
    let payload = format!(
        "\"volume_id\": \"v\", \"tenant_id\": \"alpha\", \"size\": {size}, \"volume_type\": \"{kind}\", \
         \"launched_at\": \"2026-10-01T00:00:03\""
    );
    message(&format!("volume.{event}"), at, &payload)
}

const SMALL: (&str, &str, &str) = ("m1.small", "active", "10-01T00:10:00");
const MEDIUM: (&str, &str, &str) = ("m1.medium", "active", "10-02T12:20:00");
const OFFLOADED: (&str, &str, &str) = ("m1.medium", "shelved_offloaded", "10-02T12:20:00");
const BACK: (&str, &str, &str) = ("m1.medium", "active", "10-04T00:30:00");

/// * `vm` is an m1.small from 1 October 00:10, an m1.medium from 2 October 12:20, offloaded from 3 October 06:30 to
///   4 October 00:30, and deleted on 5 October 03:15. As an m1.small it has the hours from 00:00 on 1 October up to
///   11:00 on 2 October, 24 + 12 = 36. As an m1.medium it has twelve of that date, seven up to 06:00 of the next, all
///   24 of 4 October and four of 5 October: 12 + 7 + 24 + 4 = 47.
/// * `v` has 200 GiB on 1 October, 300 from 2 October on, is retyped that noon and deleted on 3 October 00:30:
///   24 × 200 + 12 × 300 = 8,400 GiB-hours of one type and 13 × 300 = 3,900 of the other.
/// * An address of beta is there from 30 October 10:00 on: 14 + 24 hours of the month.
fn life() -> Vec<String> {
    let address =
        "\"floatingip\": {\"id\": \"ip\", \"project_id\": \"beta\", \"created_at\": \"2026-10-30T10:00:00Z\"}";
    vec![
        machine("create.start", "10-01 00:09:00", ("m1.small", "building", ""), ""),
        machine("create.end", "10-01 00:10:02.5", SMALL, ""),
        machine("resize.prep.end", "10-02 12:19:00", SMALL, ""),
        machine("finish_resize.end", "10-02 12:20:01", MEDIUM, ""),
        machine("power_off.end", "10-02 20:00:00", ("m1.medium", "stopped", MEDIUM.2), ""),
        machine("shelve_offload.end", "10-03 06:30:00", OFFLOADED, ""),
        machine("unshelve.end", "10-04 00:30:02", BACK, ""),
        machine("delete.end", "10-05 03:15:01", BACK, ", \"deleted_at\": \"2026-10-05T03:15:00\"")
            .replace("\"deleted_at\": \"\", ", ""),
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
fn night(world: &World) {
    world.run_with(PERIOD, |_, options| options.started_at = "2026-11-01T00:30:00Z".to_owned()).unwrap();
}

/// What `conto status --unconfirmed` shows of a month.
fn unconfirmed(world: &World, period: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conto"));
    let output = command.args(["status", "--unconfirmed", period]).current_dir(world.path(".")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn rejected(world: &World) -> Vec<String> {
    world.rows("rejected_record").iter().map(|row| row["detail"].clone()).collect()
}

#[test]
fn a_life_is_billed_by_the_hour() {
    let world = notified();
    world.put("usage/messages.jsonl", life().concat());
    night(&world);
    assert_eq!(rejected(&world), Vec::<String>::new());
    assert_eq!(invoiced(&world), INVOICED);
    // Each part has the type that it had then.
    let described: BTreeMap<String, String> =
        world.rows("series").into_iter().map(|row| (row["series_id"].clone(), row["description"].clone())).collect();
    let mut by_type: BTreeMap<&str, i64> = BTreeMap::new();
    let usage = world.rows("metered_usage");
    for row in &usage {
        let whole = row["consumed_quantity"].split('.').next().unwrap().parse::<i64>().unwrap();
        *by_type.entry(&described[&row["series_id"]]).or_default() += whole;
    }
    assert_eq!((by_type["volume_type=ssd"], by_type["volume_type=hdd"]), (8_400, 3_900));
}

#[test]
fn order_repetition_and_nights_do_not_matter() {
    let whole = notified();
    whole.put("usage/messages.jsonl", life().concat());
    night(&whole);

    let reversed = notified();
    let messages: Vec<String> = life().into_iter().rev().collect();
    reversed.put("usage/a.jsonl", messages.concat());
    reversed.put("usage/b.jsonl", format!("{}\n", life().concat()));
    night(&reversed);
    assert_eq!((rejected(&reversed), invoiced(&reversed)), (Vec::new(), invoiced(&whole)));

    // A message every night, the last one first, in an envelope.
    let nightly = notified();
    for (number, message) in messages.iter().enumerate() {
        let text = serde_json::to_string(message.trim()).unwrap();
        let envelope = format!("{{\"oslo.version\": \"2.0\", \"oslo.message\": {text}}}\n");
        nightly.put(&format!("usage/{number}.jsonl"), envelope);
        night(&nightly);
    }
    assert_eq!((rejected(&nightly), invoiced(&nightly)), (Vec::new(), invoiced(&whole)));
    assert_eq!(nightly.rows("metered_usage"), whole.rows("metered_usage"));
}

#[test]
fn what_other_messages_tell_too_is_not_missed() {
    let audit = |at: &str, from: &str, to: &str, of, more: &str| {
        let period =
            format!(", \"audit_period_beginning\": \"2026-{from}\", \"audit_period_ending\": \"2026-{to}\"{more}");
        machine("exists", at, of, &period)
    };
    let audits = [
        audit("10-02 00:00:30", "10-01 00:00:00", "10-02 00:00:00", SMALL, ""),
        audit("10-03 00:00:30", "10-02 00:00:00", "10-03 00:00:00", MEDIUM, ""),
        audit("10-06 00:00:30", "10-05 00:00:00", "10-06 00:00:00", BACK, ", \"deleted_at\": \"2026-10-05T03:15:00\"")
            .replace("\"deleted_at\": \"\", ", ""),
    ];
    let mut messages = life();
    messages.extend(audits);
    let all = notified();
    all.put("usage/messages.jsonl", messages.concat());
    night(&all);
    assert_eq!((rejected(&all), invoiced(&all)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
    // Whichever of these is lost, another tells the same: start and flavor by launch, the end by the audit.
    for lost in ["instance.create.end", "finish_resize.end", "unshelve.end", "instance.delete.end"] {
        let world = notified();
        let kept: Vec<String> = messages.iter().filter(|message| !message.contains(lost)).cloned().collect();
        assert!(kept.len() < messages.len());
        world.put("usage/messages.jsonl", kept.concat());
        night(&world);
        assert_eq!(invoiced(&world), INVOICED, "without {lost}");
    }
    // Of a volume is known that it was there, and not how large it was before the first word of it: 49 hours of 300.
    let world = notified();
    let kept: Vec<String> = messages.into_iter().filter(|message| !message.contains("volume.create.end")).collect();
    world.put("usage/messages.jsonl", kept.concat());
    night(&world);
    assert_eq!(invoiced(&world)[2], "alpha volume 14700 14.7");
}

#[test]
fn what_is_said_of_an_instant_counts_on_whichever_night_what_is_concluded_of_it_came() {
    // The volume has 300 GiB from 2 October on. That it was made at 00:00:03 stands in every message of it; that it
    // had 200 GiB then is said by one alone: 24 × 200 + 30 × 24 × 300 GiB-hours.
    let made = volume("create.end", "10-01 00:00:03", 200, "ssd");
    let larger = volume("resize.end", "10-02 00:00:00.000001", 300, "ssd");
    for nights in [vec![vec![&made, &larger]], vec![vec![&made], vec![&larger]], vec![vec![&larger], vec![&made]]] {
        let world = notified();
        for (number, messages) in nights.iter().enumerate() {
            let messages: Vec<&str> = messages.iter().map(|message| message.as_str()).collect();
            world.put(&format!("usage/{number}.jsonl"), messages.concat());
            night(&world);
        }
        assert_eq!((rejected(&world), invoiced(&world)), (Vec::new(), vec!["alpha volume 220800 220.8".to_owned()]));
    }
}

#[test]
fn of_what_messages_tell_of_an_instant_before_them_the_first_counts_in_any_order_and_over_any_nights() {
    // Nobody told that `v` and `vm` were made. An audit says that they were there on the first date, with 200 GiB and
    // as an m1.small; later messages still say when they were made, and describe what they are by then. That is 24 + 6
    // hours of 200 GiB and 18 of 300; and 24 + 8 hours of an m1.small and 16 of an m1.medium.
    let period = ", \"audit_period_beginning\": \"2026-10-01 00:00:00\", \
                  \"audit_period_ending\": \"2026-10-02 00:00:00\"";
    let audited = volume("exists", "10-02 00:10:00", 200, "ssd")
        .replace(", \"launched_at\"", &format!("{period}, \"launched_at\""));
    let audit_of_machine = machine("exists", "10-02 00:10:00", SMALL, period);
    let later = [
        volume("resize.end", "10-02 06:00:00.000001", 300, "ssd")
            + &machine("update", "10-02 08:00:00", ("m1.medium", "active", SMALL.2), ""),
        volume("retype", "10-02 12:00:00", 300, "hdd"),
    ];
    let run = |audit: &str, nights: &[Vec<usize>]| {
        let world = notified();
        let messages = [audit, &later[0], &later[1]];
        for (number, night_messages) in nights.iter().enumerate() {
            let messages: String = night_messages.iter().map(|message| messages[*message]).collect();
            world.put(&format!("usage/{number}.jsonl"), messages);
            world.run_with(PERIOD, |_, options| options.started_at = "2026-10-03T00:00:00Z".to_owned()).unwrap();
        }
        assert_eq!(rejected(&world), Vec::<String>::new(), "{nights:?}");
        (invoiced(&world), world.rows("metered_usage"), world)
    };
    // The first word counts also where it says less than the later ones: no type of the volume.
    let untyped = audited.replace(", \"volume_type\": \"ssd\"", "");
    assert_ne!(untyped, audited);
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
    let (.., world) = run(&(audited + &audit_of_machine), &[vec![0, 1, 2]]);
    // What the volume was on its first date nobody knows; a machine has been since its launch what it is.
    let text = unconfirmed(&world, PERIOD);
    let rows: Vec<Vec<&str>> = text.lines().skip(6).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["volume", "v", "first_seen_mid_life", "2026-10-02T00:10:00Z"]], "{text}");
}

#[test]
fn of_one_instant_a_deletion_counts_more_than_a_state() {
    let update = machine("update", "10-05 03:15:00", BACK, "");
    for nights in [[life().concat(), update.clone()], [update.clone(), life().concat()]] {
        let world = notified();
        for (number, messages) in nights.into_iter().enumerate() {
            world.put(&format!("usage/{number}.jsonl"), messages);
            night(&world);
        }
        assert_eq!((rejected(&world), invoiced(&world)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
    }
}

#[test]
fn words_of_one_instant_that_contradict_each_other_are_listed() {
    let said = |size, kind| volume("resize.end", "10-02 00:00:00.000001", size, kind);
    let world = notified();
    // One says less, which contradicts nothing, and two say something else.
    let less = said(300, "ssd").replace(", \"volume_type\": \"ssd\"", "");
    world.put("usage/1.jsonl", volume("create.end", "10-01 00:00:03.1", 200, "ssd") + &said(300, "ssd"));
    night(&world);
    world.put("usage/2.jsonl", less + &said(400, "ssd") + &said(300, "hdd"));
    night(&world);
    let mut refused = rejected(&world);
    refused.sort();
    assert_eq!(
        refused,
        [
            "the same fact is known with the description (volume_type=ssd); this record says (volume_type=hdd)",
            "the same fact is known with the quantity 300; this record says 400",
        ]
    );
    assert_eq!(invoiced(&world), ["alpha volume 220800 220.8"]);
}

#[test]
fn a_state_holds_from_night_to_night() {
    let world = notified();
    world.put("usage/messages.jsonl", life().concat());
    let hours = |now: &str| {
        world.run_with(PERIOD, |_, options| options.started_at = now.to_owned()).unwrap();
        invoiced(&world).into_iter().find(|line| line.starts_with("beta")).unwrap()
    };
    assert_eq!(hours("2026-10-30T12:40:00Z"), "beta floating-ip 2 0.01");
    // Nothing arrives, and time passes.
    assert_eq!(hours("2026-10-31T09:00:00Z"), "beta floating-ip 23 0.12");
    let commits = world.snapshot().commits().len();
    assert_eq!(hours("2026-10-31T09:59:59Z"), "beta floating-ip 23 0.12");
    assert_eq!(world.snapshot().commits().len(), commits);
    assert_eq!(hours("2026-12-01T00:00:00Z"), "beta floating-ip 38 0.19");
    // It was deleted long ago, as is heard only now.
    let gone = message("floatingip.delete.end", "10-30 15:30:00", "\"floatingip_id\": \"ip\"");
    world.put("usage/late.jsonl", gone);
    assert_eq!(hours("2026-12-02T00:00:00Z"), "beta floating-ip 6 0.03");
    assert!(world.rows("metered_usage").iter().all(|row| row["charge_date"].as_str() <= "2026-10-30"));
}

#[test]
fn polls_beside_notifications_count_once_and_fill_nothing_behind_a_deletion() {
    let source = "name = \"bus\"\nformat = \"notifications\"\npath = \"usage/bus*\"\n\
                  [[source]]\nname = \"polls\"\nformat = \"ceilometer\"\npath = \"usage/polls*\"\n";
    let world = world(source);
    world.put("usage/bus.jsonl", life().concat());
    let poll = |at: &str, flavor: &str| {
        format!(
            "{{\"name\": \"vcpus\", \"unit\": \"vcpu\", \"volume\": 1, \"project_id\": \"alpha\", \
             \"resource_id\": \"vm\", \"timestamp\": \"2026-{at}\", \"resource_metadata\": \
             {{\"flavor\": {{\"name\": \"{flavor}\"}}}}}}\n"
        )
    };
    let polls = poll("10-01T05:05:00", "m1.small")
        + &poll("10-01T05:05:00.01", "m1.small")
        + &poll("10-03T03:00:00", "m1.medium")
        + &poll("10-04T00:35:00", "m1.medium");
    world.put("usage/polls.jsonl", polls);
    night(&world);
    assert_eq!((rejected(&world), invoiced(&world)), (Vec::new(), INVOICED.map(str::to_owned).to_vec()));
}

#[test]
fn a_state_without_another_word_is_believed_for_as_long_as_the_meter_says() {
    let world = notified();
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let capped = rules.replace("name = \"floating-ip\"\n", "name = \"floating-ip\"\nevent_gap_cap = \"6h\"\n");
    world.put("rules/rules.toml", capped);
    world.put("usage/messages.jsonl", life().concat());
    night(&world);
    // From 10:00:00.5 to 16:00:00.5: seven hours have a part of it.
    assert_eq!(invoiced(&world)[3], "beta floating-ip 7 0.04");
}

#[test]
fn what_seems_to_be_lost_is_listed() {
    let world = notified();
    let gone = message("floatingip.delete.end", "10-07 08:00:00", "\"floatingip_id\": \"lost\"");
    let old = message("image.upload", "09-20 08:00:00", "\"id\": \"debian\", \"owner\": \"alpha\", \"size\": 5");
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let image = "[[meter]]\nname = \"image\"\naggregation = \"max\"\nunit = \"B-hour\"\n\
                 source_meters = [\"image.size\"]\n";
    world.put("rules/rules.toml", format!("{rules}\n{image}"));
    world.put("usage/messages.jsonl", life().concat() + &gone + &old);
    night(&world);
    let text = unconfirmed(&world, PERIOD);
    let rows: Vec<Vec<&str>> = text.lines().skip(6).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            ["floating-ip", "lost", "missing_creation_event", "2026-10-07T08:00:00Z"],
            ["image", "debian", "missing_update", "2026-09-20T08:00:00Z"],
        ],
        "{text}"
    );
    assert_eq!(
        unconfirmed(&world, "2026-09"),
        "Every state that is billed in 2026-09 has a beginning, and a word of it in 2026-09.\n"
    );
}
