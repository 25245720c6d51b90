use super::*;
use crate::intake::formats::compression::open;
use crate::intake::test_sink::{Collected, TestSink};

fn read_with(paths: &[&str], bytes: &[u8]) -> TestSink {
    let mut sink = TestSink::new(paths);
    let counts = read(&mut open(bytes).unwrap(), &mut sink).unwrap();
    assert_eq!(counts.read as usize, sink.records.len() + sink.unmetered.len() + sink.rejected.len());
    sink
}

/// The records of a source meter as `day time quantity evidence`, all in March 2025. The evidence of a deletion is
/// `gone`.
fn of(sink: &TestSink, source_meter: &str) -> Vec<String> {
    let shown = |record: &Collected| {
        let at = jiff::Timestamp::from_microsecond(record.measured_at).unwrap();
        let evidence = match (record.deleted, record.evidence) {
            (true, _) => "gone",
            (_, Evidence::Sampled) => "sampled",
            (_, Evidence::Reported) => "reported",
            (_, Evidence::Inferred { .. }) => "inferred",
            (_, Evidence::Backfilled { .. }) => "backfilled",
        };
        format!("{} {} {evidence}", at.strftime("%d %H:%M:%S%.f"), record.quantity)
    };
    sink.records.iter().filter(|record| record.source_meter == source_meter).map(shown).collect()
}

const ENVELOPES: &[u8] = include_bytes!("../../../../tests/fixtures/ceilometer/01-oslo-envelopes-rabbit.json");

#[test]
fn the_life_of_a_machine_and_of_a_volume() {
    let sink = read_with(&["flavor_name", "user_metadata.cost_center", "image.id"], ENVELOPES);
    assert_eq!(sink.rejected, []);
    assert_eq!(
        of(&sink, "vcpus"),
        [
            "01 00:00:09 1 inferred",
            "01 00:00:10.000123 1 reported",
            // The audit of the first hour. The machine was launched in this hour and existed since then.
            "01 00:00:09 1 inferred",
            "01 01:00:31.5 1 reported",
            "01 00:00:09 2 inferred",
            "01 12:00:00.25 2 reported",
            "01 00:00:09 1 inferred",
            "02 19:30:00 1 gone",
        ]
    );
    assert_eq!(of(&sink, "memory")[4..6], ["01 00:00:09 4096 inferred", "01 12:00:00.25 4096 reported"]);
    assert_eq!(
        of(&sink, "volume.size"),
        [
            "01 00:00:03 200 backfilled",
            "01 00:00:03.1 200 reported",
            "01 00:00:03 200 backfilled",
            "01 01:05:00.000001 200 reported",
            "01 00:00:03 300 backfilled",
            "02 00:00:00.000001 300 reported",
        ]
    );
    assert_eq!(of(&sink, "image.size"), ["01 00:00:01.000001 346030080 reported"]);
    assert_eq!(of(&sink, "ip.floating"), ["01 00:00:00 1 backfilled", "01 00:00:00.5 1 reported"]);
    assert_eq!(of(&sink, "bandwidth"), ["01 00:05:00.000001 3456 sampled"]);
    let first = &sink.records[0];
    assert_eq!(first.resource_id, "2d954c5a-b451-5505-b4d8-11c80cbf3e82");
    assert_eq!(first.project_id.as_deref(), Some("075ca625701a57ebbad7cd2665eb53fb"));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(first.fields, [some("m1.small"), some("4711"), some("155d900f-4e14-4e4c-a73d-069cbf4541e6")]);
    let bandwidth = sink.records.iter().find(|record| record.source_meter == "bandwidth").unwrap();
    assert_eq!((bandwidth.kind, bandwidth.record_id.is_some()), (SampleKind::Delta, true));
}

#[test]
fn events_of_ceilometer_have_the_same_result_in_both_forms() {
    let lines = include_bytes!("../../../../tests/fixtures/ceilometer/12-file-events-json.log");
    let payload = include_bytes!("../../../../tests/fixtures/ceilometer/13-events-notifier-payload.json");
    let paths = ["flavor_name", "state"];
    let (lines, payload, envelopes) =
        (read_with(&paths, lines), read_with(&paths, payload), read_with(&paths, ENVELOPES));
    assert_eq!((&lines.rejected, &payload.rejected), (&vec![], &vec![]));
    for meter in ["instance", "vcpus", "memory", "disk.root.size"] {
        assert_eq!(of(&lines, meter), of(&envelopes, meter), "{meter}");
        assert_eq!(of(&payload, meter), of(&envelopes, meter), "{meter}");
    }
    assert_eq!(lines.records[0].fields, envelopes.records[0].fields);
}

fn message(event_type: &str, time: &str, payload: &str) -> String {
    format!("{{\"event_type\": \"{event_type}\", \"timestamp\": \"2025-03-{time}\", \"payload\": {payload}}}\n")
}

fn machine(event_type: &str, time: &str, state: &str, more: &str) -> String {
    let payload = format!(
        "{{\"instance_id\": \"vm\", \"tenant_id\": \"p\", \"instance_type\": \"m1\", \"vcpus\": 2, \
         \"state\": \"{state}\", \"launched_at\": \"2025-03-01T00:00:09.000000\"{more}}}"
    );
    message(&format!("compute.instance.{event_type}"), time, &payload)
}

#[test]
fn a_versioned_payload_has_the_same_result_as_a_legacy_one() {
    let data = |inner: &str| format!("{{\"nova_object.name\": \"X\", \"nova_object.data\": {{{inner}}}}}");
    let flavor = data("\"name\": \"m1.small\", \"flavorid\": \"2\", \"vcpus\": 1, \"memory_mb\": 2048");
    let period =
        data("\"audit_period_beginning\": \"2025-03-01T01:00:00Z\", \"audit_period_ending\": \"2025-03-01T02:00:00Z\"");
    let instance = |more: &str| {
        data(&format!(
            "\"uuid\": \"2D954C5A-b451-5505-b4d8-11c80cbf3e82\", \"tenant_id\": \"p\", \"state\": \"active\", \
             \"launched_at\": \"2025-03-01T00:00:09Z\", \"deleted_at\": null, \"image_uuid\": \"i\", \
             \"flavor\": {flavor}{more}"
        ))
    };
    let text = message("instance.create.end", "01 00:00:10", &instance(""))
        + &message("instance.exists", "01 02:00:31", &instance(&format!(", \"audit_period\": {period}")));
    let sink = read_with(&["flavor.name", "image_ref"], text.as_bytes());
    assert_eq!(sink.rejected, []);
    assert_eq!(
        of(&sink, "vcpus"),
        ["01 00:00:09 1 inferred", "01 00:00:10 1 reported", "01 01:00:00 1 backfilled", "01 02:00:31 1 reported"]
    );
    let first = &sink.records[0];
    assert_eq!(first.resource_id, "2d954c5a-b451-5505-b4d8-11c80cbf3e82");
    assert_eq!(first.fields, [Some("m1.small".to_owned()), Some("i".to_owned())]);
}

#[test]
fn announced_and_failed_changes_and_machines_never_launched_are_ignored() {
    let text = machine("create.start", "01 00:00:00", "building", "")
        + &machine("delete.start", "02 00:00:00", "active", "")
        + &machine("create.error", "01 00:00:00", "error", "")
        + &machine("update", "01 00:00:00", "building", "").replace("2025-03-01T00:00:09.000000", "");
    let sink = read_with(&[], text.as_bytes());
    assert_eq!((sink.records.len(), sink.unmetered.len(), sink.rejected.len()), (0, 4, 0));
}

#[test]
fn an_invalid_time_is_rejected() {
    let text = machine("update", "01 00:00:00", "active", "").replace("2025-03-01T00:00:09.000000", "soon")
        + &machine("delete.end", "02 00:00:00", "active", ", \"deleted_at\": \"0001-01-01 00:00:00\"")
        + &machine("exists", "02 00:00:00", "active", ", \"audit_period_beginning\": \"yesterday\"");
    let sink = read_with(&[], text.as_bytes());
    let rejected: Vec<_> = sink.rejected.iter().map(|(reason, detail, line)| (*reason, &detail[..30], *line)).collect();
    assert_eq!(
        rejected,
        [
            (Reason::BadTimestamp, "the time `soon` of `launched_a", 1),
            (Reason::TimestampOutOfRange, "the time `0001-01-01 00:00:00`", 2),
            (Reason::BadTimestamp, "the time `yesterday` of `audit", 3),
        ]
    );
    assert_eq!(sink.records.len(), 0);
}

#[test]
fn a_machine_ends_when_soft_deleted_and_its_compute_resources_when_offloaded() {
    let text = machine("shelve_offload.end", "01 05:00:00", "shelved_offloaded", "")
        + &machine("unshelve.end", "01 09:00:00", "active", "")
        + &machine("power_off.end", "01 10:00:00", "stopped", "")
        + &machine("soft_delete.end", "01 11:00:00", "soft-delete", "")
        + &machine("restore.end", "01 12:00:00", "active", "");
    let sink = read_with(&["state"], text.as_bytes());
    let at_its_time = |meter: &str| of(&sink, meter).into_iter().skip(1).step_by(2).collect::<Vec<_>>();
    assert_eq!(
        at_its_time("vcpus"),
        [
            "01 05:00:00 2 gone",
            "01 09:00:00 2 reported",
            "01 10:00:00 2 reported",
            "01 11:00:00 2 gone",
            "01 12:00:00 2 reported",
        ]
    );
    assert_eq!(at_its_time("instance")[0], "01 05:00:00 1 reported");
    assert_eq!(at_its_time("instance")[3], "01 11:00:00 1 gone");
    // The machine was active at its launch, whatever its current state is.
    let states = sink.records.iter().filter(|record| record.source_meter == "vcpus");
    let states: Vec<_> = states.map(|record| record.fields[0].as_deref().unwrap()).collect();
    assert_eq!(states[..6], ["active", "shelved_offloaded", "active", "active", "active", "stopped"]);
}

#[test]
fn an_audit_covers_its_period_without_repetition() {
    let period = ", \"audit_period_beginning\": \"2025-03-01 02:00:00\", \
                   \"audit_period_ending\": \"2025-03-01 03:00:00\"";
    let volume = |event_type: &str, more: &str| {
        let payload = format!(
            "{{\"volume_id\": \"v\", \"tenant_id\": \"p\", \"size\": 5, \
             \"launched_at\": \"2025-03-01T00:00:03\"{more}}}"
        );
        message(&format!("volume.{event_type}"), "01 03:10:00", &payload)
    };
    let text = volume("exists", period)
        + &volume("create.end", period)
        + &volume("delete.end", &period.replace("02:00:00", "02:30:00"))
        + &volume("exists", &format!("{period}, \"status\": \"deleted\""))
        + &machine("exists", "01 03:10:00", "shelved_offloaded", period)
        + &machine("exists", "01 03:10:00", "deleted", &format!("{period}, \"deleted_at\": \"2025-03-01T02:20:00\""));
    let sink = read_with(&[], text.as_bytes());
    assert_eq!(
        of(&sink, "volume.size"),
        [
            "01 02:00:00 5 backfilled",
            "01 03:10:00 5 reported",
            // The audit repeats the creation and the deletion. The creation is ignored, and the deletion has its own
            // time.
            "01 00:00:03 5 backfilled",
            "01 02:30:00 5 gone",
            "01 02:00:00 5 backfilled",
            "01 03:00:00 5 gone",
        ]
    );
    assert_eq!(sink.unmetered, ["volume.create.end"]);
    assert_eq!(of(&sink, "vcpus"), ["01 03:10:00 2 gone", "01 02:00:00 2 backfilled", "01 02:20:00 2 gone"]);
}

/// The payloads of Octavia, Manila and Cinder's backup service have different names of fields.
#[test]
fn load_balancers_shares_and_backups_have_different_payloads() {
    let balancer = |status: &str| {
        format!(
            "{{\"enabled\": true, \"availability_zone\": null, \"created_at\": \"2025-03-01T08:00:14.000000\", \
             \"description\": \"\", \"flavor_id\": \"f-9\", \"id\": \"lb\", \"listeners\": [], \"name\": \"front\", \
             \"operating_status\": \"OFFLINE\", \"pools\": [], \"project_id\": \"p\", \"provider\": \"amphora\", \
             \"provisioning_status\": \"{status}\", \"tags\": [], \"updated_at\": null, \
             \"vip\": {{\"ip_address\": \"192.0.2.2\", \"network_id\": \"n\"}}}}"
        )
    };
    let share = |size: u32| {
        format!(
            "{{\"share_id\": \"s\", \"user_id\": \"u\", \"project_id\": \"p\", \"snapshot_id\": null, \
             \"size\": {size}, \"share_group_id\": null, \"name\": \"home\", \"description\": null, \
             \"proto\": \"NFS\", \
             \"is_public\": false, \"availability_zone\": \"a\", \"host\": \"h@b#pool\", \"status\": \"available\", \
             \"share_type_id\": \"t-1\", \"share_type\": \"gold\"}}"
        )
    };
    let backup = |status: &str, size: u32| {
        format!(
            "{{\"tenant_id\": \"p\", \"user_id\": \"u\", \"availability_zone\": \"a\", \"backup_id\": \"b\", \
             \"host\": \"h\", \"display_name\": \"daily\", \"created_at\": \"2025-03-01T10:00:00\", \
             \"status\": \"{status}\", \"volume_id\": \"v\", \"size\": {size}, \"service_metadata\": \"volume_v\", \
             \"service\": \"cinder.backup.drivers.ceph\", \"fail_reason\": null, \"parent_id\": null, \
             \"num_dependent_backups\": 0, \"snapshot_id\": null}}"
        )
    };
    let text = [
        message("octavia.loadbalancer.create.end", "01 08:00:15.717375", &balancer("PENDING_CREATE")),
        message("octavia.loadbalancer.update.end", "01 09:00:00", &balancer("PENDING_UPDATE")),
        message("octavia.loadbalancer.delete.end", "01 10:00:00", &balancer("PENDING_DELETE")),
        message("share.create.start", "01 08:00:00", &share(1)),
        message("share.create.end", "01 08:00:01", &share(1)),
        message("share.extend.end", "01 09:00:00", &share(3)),
        message("share.shrink.end", "01 10:00:00", &share(2)),
        message("share.delete.end", "01 11:00:00", &share(2)),
        message("backup.create.start", "01 10:00:01", &backup("creating", 5)),
        message("backup.createprogress", "01 10:00:30", &backup("creating", 5)),
        message("backup.create.end", "01 10:01:00", &backup("available", 5)),
        message("backup.restore.end", "01 11:00:00", &backup("available", 5)),
        message("backup.delete.end", "01 12:00:00", &backup("deleting", 5)),
    ];
    let sink =
        read_with(&["share_type", "proto", "flavor_id", "provider", "availability_zone"], text.concat().as_bytes());
    assert_eq!(sink.rejected, []);
    // Each message of the load balancer contains its creation at 08:00:14. No message of the share contains its
    // creation.
    assert_eq!(
        of(&sink, "loadbalancer.operating"),
        [
            "01 08:00:14 1 backfilled",
            "01 08:00:15.717375 1 reported",
            "01 08:00:14 1 backfilled",
            "01 09:00:00 1 reported",
            "01 08:00:14 1 backfilled",
            "01 10:00:00 1 gone",
        ]
    );
    assert_eq!(
        of(&sink, "manila.share.size"),
        ["01 08:00:01 1 reported", "01 09:00:00 3 reported", "01 10:00:00 2 reported", "01 11:00:00 2 gone"]
    );
    assert_eq!(
        of(&sink, "backup.size").into_iter().skip(1).step_by(2).collect::<Vec<_>>(),
        ["01 10:01:00 5 reported", "01 11:00:00 5 reported", "01 12:00:00 5 gone"]
    );
    assert_eq!(sink.unmetered, ["share.create.start", "backup.create.start", "backup.createprogress"]);
    let fields = |meter: &str| {
        let record = sink.records.iter().find(|record| record.source_meter == meter).unwrap();
        assert_eq!(record.project_id.as_deref(), Some("p"), "{meter}");
        record.fields.iter().map(|field| field.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fields("loadbalancer.operating"), "- - f-9 amphora -");
    assert_eq!(fields("manila.share.size"), "gold NFS - - a");
    assert_eq!(fields("backup.size"), "- - - - a");
}

/// In Cinder's payloads the size of a snapshot is that of its volume, and absent values are empty texts.
#[test]
fn a_snapshot_has_the_size_of_its_volume_until_it_is_deleted() {
    let snapshot = |event: &str, at: &str, status: &str, more: &str| {
        let payload = format!(
            "{{\"tenant_id\": \"p\", \"user_id\": \"u\", \"availability_zone\": \"a\", \"volume_id\": \"v\", \
             \"volume_size\": 20, \"snapshot_id\": \"s\", \"display_name\": \"before\", \
             \"created_at\": \"2025-03-01 09:00:00+00:00\", \"status\": \"{status}\", \"deleted\": \"\", \
             \"metadata\": \"\"{more}}}"
        );
        message(&format!("snapshot.{event}"), at, &payload)
    };
    let period = ", \"audit_period_beginning\": \"2025-03-01 00:00:00\", \
                  \"audit_period_ending\": \"2025-03-02 00:00:00\"";
    let text = snapshot("create.start", "01 09:00:01", "creating", "")
        + &snapshot("create.end", "01 09:00:05", "available", "")
        + &snapshot("exists", "02 00:10:00", "available", period)
        + &snapshot("delete.start", "02 10:00:00", "deleting", "")
        + &snapshot("delete.end", "02 10:00:02", "deleted", "");
    let sink = read_with(&["availability_zone"], text.as_bytes());
    assert_eq!(sink.rejected, []);
    assert_eq!(
        of(&sink, "snapshot.size"),
        [
            "01 09:00:00 20 backfilled",
            "01 09:00:05 20 reported",
            "01 09:00:00 20 backfilled",
            "02 00:10:00 20 reported",
            "01 09:00:00 20 backfilled",
            "02 10:00:02 20 gone",
        ]
    );
    assert_eq!(sink.unmetered, ["snapshot.create.start", "snapshot.delete.start"]);
    assert_eq!(sink.records[0].project_id.as_deref(), Some("p"));
}

#[test]
fn a_deletion_needs_no_size_and_no_project() {
    let text = message("floatingip.delete.end", "02 00:00:00", "{\"floatingip_id\": \"ip\"}")
        + &message("volume.delete.end", "02 00:00:00", "{\"volume_id\": \"v\"}")
        + &message("volume.usage", "02 00:00:00", "{\"volume_id\": \"v\", \"reads\": 5}")
        + &message(
            "octavia.loadbalancer.create.end",
            "01 00:00:00",
            "{\"loadbalancer_id\": \"lb\", \"project_id\": \"p\", \"name\": \"front\"}",
        );
    let sink = read_with(&["name"], text.as_bytes());
    assert_eq!((sink.rejected.len(), &sink.unmetered[..]), (0, &["volume.size".to_owned()][..]));
    assert_eq!(of(&sink, "ip.floating"), ["02 00:00:00 1 gone"]);
    assert_eq!(of(&sink, "volume.size"), ["02 00:00:00 0 gone"]);
    assert_eq!(of(&sink, "loadbalancer.operating"), ["01 00:00:00 1 reported"]);
    assert_eq!(sink.records[2].fields, [Some("front".to_owned())]);
}

#[test]
fn unmetered_messages_are_counted_by_source_meter() {
    let mut sink = TestSink::new(&[]);
    sink.metered = Some(vec!["vcpus".to_owned()]);
    let text = machine("create.end", "01 00:00:10", "active", "") + &message("keypair.create.end", "01 00:00:00", "{}");
    read(&mut open(text.as_bytes()).unwrap(), &mut sink).unwrap();
    assert_eq!(sink.records.len(), 2);
    assert_eq!(sink.unmetered, ["instance", "memory", "disk.root.size", "disk.ephemeral.size", "keypair.create.end"]);
}

#[test]
fn an_invalid_message_is_rejected_with_its_reason() {
    let rejected = |text: &str| {
        let sink = read_with(&[], text.as_bytes());
        assert_eq!((sink.rejected.len(), sink.records.len()), (1, 0), "{text}");
        (sink.rejected[0].0, sink.rejected[0].1.clone())
    };
    let good = machine("create.end", "01 00:00:10", "active", "");
    let missing = |detail: &str| (Reason::MissingField, detail.to_owned());
    let of = "the message of compute.instance.create.end has no";
    assert_eq!(rejected(&good.replace("\"timestamp\"", "\"time\"")), missing(&format!("{of} `timestamp`")));
    assert_eq!(rejected(&good.replace("instance_id", "id")), missing(&format!("{of} `instance_id`")));
    assert_eq!(rejected("{\"payload\": {}}"), missing("the message has no `event_type`"));
    assert_eq!(rejected(&good.replace("2025-03-01 00", "yesterday")).0, Reason::BadTimestamp);
    for wrong in ["3", "{\"oslo.message\": 1}", "{\"oslo.message\": \"[1\"}", "{\"event_type\": \"x\"", "{'a': 1}\n"] {
        assert!(matches!(rejected(wrong).0, Reason::Malformed | Reason::Truncated), "{wrong}");
    }
}
