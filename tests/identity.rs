//! The identity of a record: events that are delivered with several times, records that several files deliver, and the
//! retraction of files and of single records.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::conservation::cases;
use crate::test_lake::{TestLake, assert_same_files, without_index};

const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";

/// Each unit of a `sum` meter costs 1.00. A `presence` meter measures the same events, in windows of an hour.
fn lake() -> TestLake {
    let events = r#"
        [[source]]
        name = "events"
        format = "cloudevents"
        path = "usage/*.events"

        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv"
        "#;
    TestLake::new().config(events).rules(
        r#"
        currency = "EUR"

        [[meter]]
        name = "m"
        aggregation = "sum"
        unit = "u"
        dimensions.kind = { from = ["kind"] }

        [[meter]]
        name = "seen"
        aggregation = "presence"
        unit = "u"
        source_meters = ["m"]

        [[rule]]
        id = "r"
        meter = "m"
        sku = "s"
        service = "S"
        unit_price = "1"

        [[rule]]
        id = "f"
        meter = "seen"
        sku = "t"
        service = "S"
        free = true
        "#,
    )
}

fn event(id: &str, time: &str, quantity: &str) -> String {
    format!(r#"{{"specversion": "1.0", "id": "{id}", "source": "gateway-1", "type": "m", "time": "{time}", "#)
        + &format!(r#""subject": "p", "data": {{"resource_id": "a", "quantity": "{quantity}"}}}}"#)
        + "\n"
}

/// The metered quantity of a meter in all windows.
fn metered(lake: &TestLake, meter: &str) -> String {
    let query = format!(
        "SELECT COALESCE(SUM(consumed_quantity), 0) AS quantity FROM metered_usage \
         JOIN series USING (series_id) JOIN stream USING (stream_id) WHERE meter = '{meter}'"
    );
    let cell = lake.sql(&query).pop().unwrap();
    cell.split_once('.').map_or(cell.clone(), |(whole, fraction)| {
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    })
}

/// The outcomes of all files: accepted, duplicate, rejected, retracted.
fn outcomes(lake: &TestLake) -> BTreeMap<String, [i64; 4]> {
    let columns = ["accepted_count", "duplicate_count", "rejected_count", "retracted_count"];
    let rows = lake.rows("input_file").into_iter();
    rows.map(|row| {
        let name = row["url"].rsplit('/').next().unwrap().to_owned();
        (name, columns.map(|column| row[column].parse().unwrap()))
    })
    .collect()
}

fn files<const N: usize>(expected: [(&str, [i64; 4]); N]) -> BTreeMap<String, [i64; 4]> {
    expected.into_iter().map(|(name, counts)| (name.to_owned(), counts)).collect()
}

/// An event of 5 is repeated seven seconds later, and an event of 1 after midnight: 5 + 1 = 6, in every order of
/// delivery. The events are present in two hours, 10:00 and 23:00.
#[test]
fn a_repeated_event_with_a_new_time_counts_once_at_its_earliest_time() {
    let first = event("9", "2026-10-05T10:00:00Z", "5")
        + &event("9", "2026-10-05T10:00:07Z", "5")
        + &event("10", "2026-10-05T23:59:58Z", "1");
    let second = event("10", "2026-10-06T00:00:03Z", "1");
    let both = lake();
    both.put("usage/1.events", &first);
    both.put("usage/2.events", &second);
    both.run(OCTOBER);
    for nights in [[&first, &second], [&second, &first]] {
        let lake = lake();
        for (night, text) in nights.into_iter().enumerate() {
            lake.put(&format!("usage/{night}.events"), text);
            lake.run(OCTOBER);
        }
        assert_eq!((metered(&lake, "m"), metered(&lake, "seen")), ("6".to_owned(), "2".to_owned()));
        assert_eq!(lake.column("invoice", "total_without_tax"), ["6.0000"]);
        let (one, other) = (both.documents(OCTOBER), lake.documents(OCTOBER));
        assert_same_files(&without_index(one), &without_index(other), "split over nights");
        assert_eq!(lake.rows("repeated_event").len(), 4, "two events, each for two meters");
        lake.assert_audited(&[OCTOBER]);
        lake.assert_all_reproduced();
    }
}

/// Within two hours a repetition does not count. After more than two hours the id is a new event.
#[test]
fn duplicate_window_is_the_longest_time_between_two_deliveries() {
    let lake = lake().config(r#"duplicate_window = "2h""#);
    let times = ["10:00:00", "12:00:00", "13:00:00", "15:00:01"];
    let events = times.map(|time| event("9", &format!("2026-10-05T{time}Z"), "5"));
    lake.put("usage/1.events", events.concat());
    lake.run(OCTOBER);
    // 12:00 repeats 10:00, 13:00 repeats 12:00, 15:00:01 is new.
    assert_eq!(metered(&lake, "m"), "10");
    lake.put("usage/2.events", event("9", "2026-10-05T14:00:00Z", "5"));
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "5", "14:00 repeats 13:00, and 15:00:01 repeats 14:00");
    lake.retract("2.events", "a test");
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "10");
    assert_eq!(outcomes(&lake), files([("1.events", [4, 4, 0, 0]), ("2.events", [0, 0, 0, 2])]));
}

/// A repetition in November of an event of October is not billed in November, even if October is closed or its samples
/// have expired.
#[test]
fn a_repetition_after_the_close_of_the_month_is_not_billed() {
    let lake = lake();
    lake.put("usage/1.events", event("9", "2026-10-31T23:59:58Z", "5"));
    lake.close_by_force(OCTOBER, "2026-11-02");
    lake.put("usage/2.events", event("9", "2026-11-01T00:00:03Z", "5"));
    lake.run(NOVEMBER);
    assert!(lake.rows_in("rated_usage", NOVEMBER).is_empty());
    lake.expire(OCTOBER);
    lake.put("usage/3.events", event("9", "2026-11-01T00:00:04Z", "5") + &event("10", "2026-11-01T00:00:04Z", "2"));
    lake.run(NOVEMBER);
    assert_eq!(lake.column("invoice", "total_without_tax").last().unwrap(), "2.0000");
    lake.close(OCTOBER, "2026-12-01").assert_nothing_due();
    lake.assert_verified();
}

/// The repetition is delivered first and billed in November. The event of October then corrects both months.
#[test]
fn an_earlier_delivery_moves_an_event_to_a_closed_month() {
    let lake = lake().config(r#"closing.charge_increases_as = "separate_invoice""#);
    lake.put("usage/1.events", event("8", "2026-10-05T00:00:00Z", "1") + &event("9", "2026-11-01T00:00:03Z", "5"));
    lake.close_by_force(OCTOBER, "2026-11-02");
    lake.close_by_force(NOVEMBER, "2026-12-02");
    lake.put("usage/2.events", event("9", "2026-10-31T23:59:58Z", "5"));
    assert_eq!(lake.run_closed(OCTOBER), ["p p 5.00 EUR changed_record invoice"]);
    assert_eq!(lake.run_closed(NOVEMBER), ["p p -5.00 EUR changed_record credit note"]);
}

/// The presence meter has one sample for the events 1 and 2 at 12:00. The event 1 is delivered at 10:00 too, so the
/// sample at 12:00 is of the event 2. After a delivery of the event 2 at 11:00, no event counts at 12:00.
#[test]
fn another_event_of_the_instant_takes_the_place_of_a_superseded_one() {
    let lake = lake();
    let at = |id: &str, hour: u32| event(id, &format!("2026-10-05T{hour}:00:00Z"), "1");
    let hours = || {
        let query = "SELECT EXTRACT(hour FROM window_start) AS hour FROM metered_usage JOIN series USING (series_id) \
                     JOIN stream USING (stream_id) WHERE meter = 'seen' ORDER BY hour";
        lake.sql(query)
    };
    lake.put("usage/1.events", at("1", 12) + &at("2", 12));
    lake.run(OCTOBER);
    assert_eq!(hours(), ["12"]);
    lake.put("usage/2.events", at("1", 10));
    lake.run(OCTOBER);
    assert_eq!(hours(), ["10", "12"]);
    lake.put("usage/3.events", at("2", 11));
    lake.run(OCTOBER);
    assert_eq!(hours(), ["10", "11"]);
    let expected = [("1.events", [0, 4, 0, 0]), ("2.events", [2, 0, 0, 0]), ("3.events", [2, 0, 0, 0])];
    assert_eq!((outcomes(&lake), metered(&lake, "m")), (files(expected), "2".to_owned()));
    lake.assert_all_reproduced();
}

/// A repetition with another quantity is listed as a conflict. If the first delivery is retracted, the other takes its
/// place and is a conflict no longer.
#[test]
fn a_repetition_with_another_quantity_is_a_conflict_until_the_event_is_retracted() {
    let lake = lake();
    lake.put("usage/1.events", event("9", "2026-10-05T10:00:00Z", "5"));
    lake.run(OCTOBER);
    lake.put("usage/2.events", event("9", "2026-10-05T10:00:07Z", "6"));
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "5");
    assert_eq!(
        lake.column("rejected_record", "detail"),
        ["this record has the quantity 6; the delivery of the same event at 2026-10-05T10:00:00Z has 5"]
    );
    assert_eq!(outcomes(&lake), files([("1.events", [2, 0, 0, 0]), ("2.events", [0, 1, 1, 0])]));
    lake.retract("1.events", "a test");
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "6");
    assert!(lake.rows("rejected_record").is_empty());
    assert_eq!(outcomes(&lake), files([("1.events", [0, 0, 0, 2]), ("2.events", [2, 0, 0, 0])]));
    lake.assert_all_reproduced();
}

const FIRST_DAYS: [&str; 2] = ["m,a,2026-10-01T10:00:00Z,1,p", "m,b,2026-10-02T10:00:00Z,1,p"];
const LATER_DAYS: [&str; 2] = ["m,b,2026-10-02T10:00:00Z,1,p", "m,c,2026-10-20T10:00:00Z,1,p"];

/// Two files deliver a, b and b, c: 3.00. Without the first file, b and c remain: 2.00. The first file is delivered
/// again: 3.00. Its first location and a moved file with the time of the first delivery are not new deliveries.
#[test]
fn a_retracted_file_leaves_the_records_of_other_files_and_can_be_delivered_again() {
    let lake = lake();
    let bill = |expected: &str| {
        lake.run(OCTOBER);
        assert_eq!(lake.column("invoice", "total_without_tax"), [expected]);
    };
    lake.deliver("first", FIRST_DAYS);
    bill("2.0000");
    lake.deliver("later", LATER_DAYS);
    bill("3.0000");
    let commit = lake.json(&["intake", "retract", "--file", "first.csv", "--reason", "a test"]);
    assert_eq!((&commit["samples"], &commit["delivered_by_others"]), (&4.into(), &2.into()));
    bill("2.0000");
    std::fs::rename(lake.path("usage/first.csv"), lake.path("usage/moved.csv")).unwrap();
    bill("2.0000");
    lake.deliver("again", FIRST_DAYS);
    bill("3.0000");
    assert_eq!(outcomes(&lake), files([("again.csv", [2, 2, 0, 0]), ("later.csv", [4, 0, 0, 0])]));
    assert_eq!(lake.retract("again.csv", "a test"), 2);
    assert_eq!(lake.retract("again.csv", "a test"), 0);
    bill("2.0000");
    lake.assert_audited(&[OCTOBER]);
    lake.assert_verified();
    lake.assert_all_reproduced();
}

/// The second file has another quantity and another project at the same instant: it has conflicts only. It is retracted
/// before the first file, so nothing takes the place of the first file, and no file is read again.
#[test]
fn a_retracted_file_of_conflicts_never_counts() {
    let lake = lake();
    lake.deliver("first", ["m,a,2026-10-01T10:00:00Z,5,p"]);
    lake.run(OCTOBER);
    lake.deliver("second", ["m,a,2026-10-01T10:00:00Z,6,q"]);
    lake.run(OCTOBER);
    assert_eq!(outcomes(&lake), files([("first.csv", [2, 0, 0, 0]), ("second.csv", [0, 0, 2, 0])]));
    assert_eq!((lake.retract("second.csv", "a test"), metered(&lake, "m")), (0, "5".to_owned()));
    assert_eq!((lake.retract("first.csv", "a test"), metered(&lake, "m")), (2, "0".to_owned()));
    assert_eq!(lake.rows("retracted_file").len(), 2);
    assert_eq!(lake.json(&["intake"])["files_read"], 0);
    assert_eq!(outcomes(&lake), files([("first.csv", [0, 0, 0, 2]), ("second.csv", [0, 0, 2, 0])]));
    // A second retraction changes nothing.
    assert!(lake.json(&["intake", "retract", "--file", "second.csv", "--reason", "a test"])["commit"].is_null());
}

/// The arguments of a retraction are read as the ids of usage are: 4 + 2 + 1 = 7.
#[test]
fn a_record_is_retracted_by_every_form_of_its_ids() {
    let lake = lake();
    let uuid = "075CA625-701A-57EB-BAD7-CD2665EB53FB";
    let at = "2026-10-01T10:00:00Z";
    lake.deliver("1", [&*format!("m,{uuid},{at},4,p"), &*format!("m,caf\u{e9},{at},2,p")]);
    lake.put("usage/1.events", event("9", at, "1"));
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "7");
    for (resource, remaining) in [(uuid, "3"), (" cafe\u{301}", "1")] {
        lake.json(&["intake", "retract", "--meter", "m", "--resource", resource, "--at", at, "--reason", "a test"]);
        assert_eq!(metered(&lake, "m"), remaining, "{resource}");
    }
    lake.json(&["intake", "retract", "--event-source", " gateway-1 ", "--record", " 9", "--reason", "a test"]);
    assert_eq!(metered(&lake, "m"), "0");
}

/// A row is rejected, because the source lacks the decimal mark of the file. Delivered again with the mark, the row
/// counts and its rejection is removed: 1.5 + 1 = 2.5.
#[test]
fn a_file_that_is_delivered_again_has_only_the_rejections_of_its_last_reading() {
    let rows = ["m,a,2026-10-01T10:00:00Z,\"1,5\",p", "m,b,2026-10-01T10:00:00Z,1,p"];
    let lake = lake();
    lake.deliver("first", rows);
    lake.run(OCTOBER);
    assert_eq!(outcomes(&lake), files([("first.csv", [2, 0, 1, 0])]));
    assert_eq!(lake.retract("first.csv", "a test"), 2);
    assert_eq!(lake.rows("rejected_record").len(), 1);
    lake.replace("conto.toml", "format = \"csv\"", "format = \"csv\"\ndecimal_mark = \",\"");
    lake.deliver("again", rows);
    lake.run(OCTOBER);
    assert_eq!(outcomes(&lake), files([("again.csv", [4, 0, 0, 0])]));
    assert!(lake.rows("rejected_record").is_empty());
    assert_eq!(metered(&lake, "m"), "2.5");
}

/// Two tables in UTF-16 are rejected, each with a row of its own. A compressed file ends too early. After a retraction,
/// a table is read with the new keys of its source: 1.5. The other files no longer block the close.
#[test]
fn a_file_with_rejected_records_can_be_retracted_and_delivered_again() {
    let lake = lake();
    let text = "\u{feff}meter,resource_id,measured_at,quantity,project_id\nm,a,2026-10-01T10:00:00Z,\"1,5\",p\n";
    let utf_16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let table = utf_16(text);
    lake.put("usage/table.csv", &table);
    lake.put("usage/other.csv", utf_16(&text.replace("1,5", "2,5")));
    lake.put("usage/half.events", [0x1f, 0x8b, 8, 0]);
    lake.run(OCTOBER);
    let reasons = || lake.sql("SELECT reason FROM rejected_record ORDER BY reason");
    assert_eq!(reasons(), ["not_text", "not_text", "truncated"]);
    let set_keys = |keys: &str| {
        let source = "[[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv\"";
        lake.configure(format!("{source}\n{keys}"));
    };
    set_keys("encoding = \"utf-16le\"");
    lake.put("usage/table.csv", &table);
    lake.run(OCTOBER);
    assert_eq!(reasons(), ["not_text", "not_text", "truncated"], "the content is known");
    for file in ["table.csv", "other.csv", "half.events"] {
        assert_eq!((lake.retract(file, "a test"), lake.retract(file, "a test")), (0, 0));
    }
    assert!(reasons().is_empty());
    assert!(outcomes(&lake).values().all(|counts| *counts == [0, 0, 0, 1]));
    lake.put("usage/table.csv", &table);
    lake.run(OCTOBER);
    assert_eq!(reasons(), ["bad_quantity"]);
    lake.retract("table.csv", "a test");
    set_keys("encoding = \"utf-16le\"\ndecimal_mark = \",\"");
    lake.put("usage/table.csv", &table);
    lake.run(OCTOBER);
    assert!(reasons().is_empty());
    assert_eq!(outcomes(&lake)["table.csv"], [2, 0, 0, 0]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["1.5000"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.assert_audited(&[OCTOBER]);
    lake.assert_all_reproduced();
}

/// An event of 5 is in two files. Retracted alone, it counts in none of them, nor in later files, whatever its time and
/// quantity. The right event has another id: 1 + 3 = 4.
#[test]
fn a_retracted_event_stays_retracted_whichever_file_delivers_it() {
    let lake = lake();
    lake.put("usage/1.events", event("9", "2026-10-05T10:00:00Z", "5") + &event("10", "2026-10-05T10:00:00Z", "1"));
    lake.put("usage/2.events", event("9", "2026-10-06T10:00:00Z", "5"));
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "6");
    let name = ["intake", "retract", "--event-source", "gateway-1", "--record", "9", "--reason", "a test"];
    let report = lake.json(&name);
    assert_eq!(report["retracted"], "the event `9` of `gateway-1`");
    let commit = report["commit"].as_u64().unwrap();
    assert_eq!(lake.remarks(commit), ["retracted the event `9` of `gateway-1`: a test"]);
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "1");
    lake.put("usage/3.events", event("9", "2026-10-07T10:00:00Z", "5"));
    let read = lake.run(OCTOBER).intake;
    assert_eq!((read.records_read, read.samples_accepted, read.samples_retracted), (1, 0, 2), "for two meters");
    assert_eq!(metered(&lake, "m"), "1");
    lake.put("usage/4.events", event("9", "2026-10-05T10:00:00Z", "4") + &event("9b", "2026-10-05T10:00:00Z", "3"));
    lake.run(OCTOBER);
    assert_eq!(
        (metered(&lake, "m"), lake.column("invoice", "total_without_tax")),
        ("4".to_owned(), vec!["4.0000".to_owned()])
    );
    let expected = [
        // At 10:00 the meter `seen` has one sample, of the event 9 or 10. After the retraction, it is of the event 10.
        ("1.events", [2, 0, 0, 2]),
        ("2.events", [0, 0, 0, 2]),
        ("3.events", [0, 0, 0, 2]),
        ("4.events", [1, 1, 0, 2]),
    ];
    assert_eq!(outcomes(&lake), files(expected));
    lake.fails(2, &name.map(|word| if word == "9" { "11" } else { word }));
    lake.assert_audited(&[OCTOBER]);
    lake.assert_verified();
    lake.assert_all_reproduced();
}

/// Records of CSV files are named by their id, or by meter, resource and time. In a closed month the retraction is a
/// correction.
#[test]
fn a_record_of_a_closed_month_is_retracted_by_a_credit_note() {
    let lake = lake();
    lake.deliver_with(
        "record_id",
        "1",
        ["m,a,2026-10-01T10:00:00Z,4,p,x", "m,a,2026-10-01T10:00:00Z,2,p,y", "m,b,2026-10-02T10:00:00Z,1,p,"],
    );
    lake.close_by_force(OCTOBER, "2026-11-02");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["7.0000"]);
    lake.json(&["intake", "retract", "--record", "y", "--reason", "a test"]);
    assert_eq!(lake.run_closed(OCTOBER), ["p p -2.00 EUR changed_record credit note"]);
    let at = "2026-10-02T10:00:00Z";
    lake.json(&["intake", "retract", "--meter", "m", "--resource", "b", "--at", at, "--reason", "a test"]);
    assert_eq!(lake.run_closed(OCTOBER), ["p p -3.00 EUR changed_record credit note"]);
    lake.close(OCTOBER, "2026-11-05");
    let query = "SELECT quantity IS NULL AS has_id, reason FROM retracted_record ORDER BY has_id";
    assert_eq!(lake.sql(query), ["false a test", "true a test"]);
    // The record without an id is corrected at its instant.
    lake.deliver("2", ["m,b,2026-10-02T10:00:00Z,1,p", "m,b,2026-10-02T10:00:00Z,2,p"]);
    lake.close(OCTOBER, "2026-11-06");
    assert_eq!(metered(&lake, "m"), "6");
    lake.assert_audited(&[OCTOBER]);
    lake.assert_all_reproduced();
}

/// An event with the lists of two apps, each with the measures of a machine. The meter accepts negative records.
fn event_of_lists(id: &str, apps: &[&[i32]]) -> String {
    let measures = |measures: &&[i32]| -> serde_json::Value {
        let measure = |quantity: &i32| serde_json::json!({ "n": "m", "q": quantity });
        serde_json::json!({ "machine": "a", "measures": measures.iter().map(measure).collect::<Vec<_>>() })
    };
    let apps: Vec<serde_json::Value> = apps.iter().map(measures).collect();
    let event = serde_json::json!({
        "specversion": "1.0", "id": id, "source": "gateway-1", "type": "usage", "time": "2026-10-05T10:00:00Z",
        "subject": "p", "data": { "apps": apps },
    });
    format!("{event}\n")
}

/// The event `e` has 1 + 2 in the first app and 4 in the second, the event `e[0]` has 8, and the event `c` corrects
/// with -16 - 32: 15 - 48 = -33. The id `e[0]` retracts the first app of `e` and the event `e[0]`: 4 - 48 = -44. The
/// id `c` retracts both corrections: 4.
#[test]
fn the_id_of_an_event_retracts_all_records_of_its_lists_and_positions_retract_some() {
    let source = r#"
        [[source]]
        name = "events"
        format = "cloudevents"
        path = "usage/*.events"
        columns = { meter = "apps[].measures[].n", quantity = "apps[].measures[].q", resource_id = "apps[].machine" }
        "#;
    let lake = TestLake::of_one_rule("aggregation = \"sum\"\nsigned = true", r#"unit_price = "1""#).config(source);
    let all = event_of_lists("e", &[&[1, 2], &[4]])
        + &event_of_lists("e[0]", &[&[8]])
        + &event_of_lists("c", &[&[-16], &[-32]]);
    lake.put("usage/1.events", &all);
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "-33");
    let retract = |id: &str| {
        let name = ["intake", "retract", "--event-source", "gateway-1", "--record", id, "--reason", "a test"];
        lake.json(&name)["samples"].as_u64().unwrap()
    };
    assert_eq!((retract("e[0]"), metered(&lake, "m")), (3, "-44".to_owned()));
    assert_eq!((retract("c"), metered(&lake, "m")), (2, "4".to_owned()));
    // The records stay retracted in another file.
    lake.put("usage/2.events", format!("{all}\n"));
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "4");
    assert_eq!(outcomes(&lake), files([("1.events", [1, 0, 0, 5]), ("2.events", [0, 1, 0, 5])]));
    assert_eq!((retract("e[1][0]"), metered(&lake, "m")), (1, "0".to_owned()));
    lake.fails(2, &["intake", "retract", "--event-source", "gateway-1", "--record", "e[1]", "--reason", "a test"]);
    lake.assert_audited(&[OCTOBER]);
    lake.assert_all_reproduced();
}

/// A row of a JSON file has two measures of 1 and 2 and the id `r`. Another row has the id `r[0]` and 4. The id `r`
/// retracts the measures of the first row only.
#[test]
fn the_id_of_a_record_retracts_the_elements_of_its_list() {
    let source = r#"
        [[source]]
        name = "rows"
        format = "json"
        path = "usage/*.jsonl"
        select = '''
        SELECT 'm' AS meter, 'a' AS resource_id, 'p' AS project_id, '2026-10-05T10:00:00Z' AS measured_at,
               "q[]" AS quantity, id AS record_id
        FROM source
        '''
        "#;
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "1""#).config(source);
    lake.put(
        "usage/1.jsonl",
        "{\"id\": \"r\", \"q\": [1, 2]}\n{\"id\": \"r[0]\", \"q\": 4}\n{\"id\": \"r[0]\", \"q\": [4]}\n",
    );
    lake.run(OCTOBER);
    assert_eq!(metered(&lake, "m"), "7");
    assert_eq!(lake.column("rejected_record", "detail"), ["the `q` is a number, expected a list"]);
    lake.json(&["intake", "retract", "--record", "r", "--reason", "a test"]);
    assert_eq!(metered(&lake, "m"), "4");
}

/// Twenty nights deliver an event each. A further event is compared with the events within two days. So the samples of
/// earlier dates are not opened: the intake succeeds although their files are missing. An event that is closer to the
/// missing files needs them.
#[test]
fn the_files_that_an_intake_opens_do_not_grow_with_the_lake() {
    let lake = lake().config(r#"duplicate_window = "2d""#);
    let of_day = |day: u32| event(&day.to_string(), &format!("2026-10-{day:02}T10:00:00Z"), "1");
    for day in 1..=20 {
        lake.put(&format!("usage/{day}.events"), of_day(day));
        lake.run(OCTOBER);
    }
    let relations = ["sample", "repeated_event", "duplicate_sample"];
    let snapshot = lake.snapshot();
    let paths: Vec<String> =
        relations.iter().flat_map(|name| snapshot.files(name)).map(|file| file.path.clone()).collect();
    assert!(paths.len() >= 20, "{paths:?}");
    paths.iter().for_each(|path| lake.remove(&format!("lake/{path}")));
    lake.put("usage/25.events", of_day(25) + &event("20", "2026-10-25T11:00:00Z", "1"));
    let read = lake.json(&["intake"]);
    assert_eq!((&read["samples_accepted"], &read["samples_duplicate"]), (&4.into(), &0.into()), "{read}");
    lake.put("usage/22.events", of_day(22));
    let message = lake.fails(1, &["intake"]);
    assert!(paths.iter().any(|path| message.contains(path)), "{message}");
}

/// The deliveries of a file: the id of each event, and its time in minutes after the id's first time.
type Deliveries = Vec<(usize, i64)>;

const MINUTES: [i64; 6] = [0, 1, 60, 24 * 60, 6 * 24 * 60, 9 * 24 * 60];
const WINDOW: i64 = 7 * 24 * 60;

/// The first time of an event's id, in minutes after 2 October. Some ids have the same first time.
fn first_minute(id: usize) -> i64 {
    id as i64 / 2 * 1_435
}

fn text_of(deliveries: &Deliveries) -> String {
    let start: jiff::Timestamp = "2026-10-02T10:00:00Z".parse().unwrap();
    let mut text = String::new();
    for (id, minute) in deliveries {
        let time = start + jiff::SignedDuration::from_mins(first_minute(*id) + minute);
        write!(text, "{}", event(&id.to_string(), &time.to_string(), &(1 << id).to_string())).unwrap();
    }
    text
}

/// The sum of the events that count, and the number of hours with such an event.
fn expected(present: &BTreeSet<usize>, files: &[Deliveries]) -> (String, String) {
    let mut times: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
    for (id, minute) in present.iter().flat_map(|file| &files[*file]) {
        times.entry(*id).or_default().insert(first_minute(*id) + minute);
    }
    let (mut sum, mut hours) = (0, BTreeSet::new());
    for (id, times) in times {
        for time in &times {
            if times.range(time - WINDOW..*time).next().is_none() {
                sum += 1 << id;
                hours.insert(time.div_euclid(60));
            }
        }
    }
    (sum.to_string(), hours.len().to_string())
}

proptest! {
    #![proptest_config(cases(4))]

    /// Files with overlapping events are delivered, retracted and delivered again in a random order. The metered usage
    /// equals the usage of the files that are present, and a lake that has seen nothing else.
    #[test]
    fn usage_equals_the_union_of_the_files_that_are_present(
        files in prop::collection::vec(
            prop::collection::vec((0..6_usize, prop::sample::select(&MINUTES[..])), 1..6),
            4,
        ),
        steps in prop::collection::vec((0..4_usize, any::<bool>()), 3..9),
    ) {
        let lake = lake();
        let mut present: BTreeSet<usize> = BTreeSet::new();
        let text = |file: usize| text_of(&files[file]) + &"\n".repeat(file);
        for (file, has_run) in steps {
            let name = format!("{file}.events");
            if present.remove(&file) {
                lake.run(OCTOBER);
                lake.retract(&name, "a test");
            } else {
                present.insert(file);
                lake.put(&format!("usage/{name}"), text(file));
            }
            if has_run {
                lake.run(OCTOBER);
            }
        }
        lake.run(OCTOBER);
        prop_assert_eq!((metered(&lake, "m"), metered(&lake, "seen")), expected(&present, &files));
        let outcomes = lake.sql(
            "SELECT COUNT(*) FROM input_file WHERE sample_count <> accepted_count + duplicate_count + retracted_count",
        );
        prop_assert_eq!(outcomes, ["0"]);
        let accepted: i64 = self::outcomes(&lake).values().map(|counts| counts[0]).sum();
        prop_assert_eq!(accepted, lake.rows("sample").len() as i64);
        let other = self::lake();
        for file in &present {
            other.put(&format!("usage/{file}.events"), text(*file));
        }
        other.run(OCTOBER);
        let metered_days = |lake: &TestLake| lake.sql(
            "SELECT meter, resource_id, charge_date, consumed_quantity FROM metered_day JOIN series USING (series_id) \
             JOIN stream USING (stream_id) WHERE consumed_quantity <> 0 ORDER BY meter, charge_date",
        );
        prop_assert_eq!(metered_days(&lake), metered_days(&other));
    }
}

/// October is closed with an event of 5 on the 6th, which is then delivered with a time on the 5th. Two days change,
/// but no amount. The event of 2 on the 10th is late.
#[test]
fn an_earlier_delivery_and_a_late_event_are_distinguished() {
    let lake = lake().config(r#"closing.charge_increases_as = "separate_invoice""#);
    lake.put("usage/1.events", event("e", "2026-10-06T00:00:03Z", "5"));
    lake.close(OCTOBER, "2026-11-02");
    lake.put("usage/2.events", event("e", "2026-10-05T23:59:58Z", "5"));
    lake.put("usage/3.events", event("late", "2026-10-10T10:00:00Z", "2"));
    assert_eq!(lake.close(OCTOBER, "2026-11-05").changes(), ["p p 2.00 EUR late_and_changed invoice"]);
}
