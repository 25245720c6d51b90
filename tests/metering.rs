//! From records to metered quantities: duplicates and conflicts, aggregations, windows and time zones.

use crate::test_lake::TestLake;

const OCTOBER: &str = "2026-10";
const SUM: &str = r#"aggregation = "sum""#;
const PRICE_OF_ONE: &str = r#"unit_price = "1""#;

/// The same record in another file, with its time in another notation, is a duplicate. With another value it is a
/// conflict: it is rejected, and the first record stays. Two records of one instant with different ids both count.
#[test]
fn record_id_and_content_identify_a_record_and_not_its_arrival() {
    let lake = TestLake::of_one_rule(SUM, PRICE_OF_ONE);
    let deliver = |name: &str, row: &str| lake.deliver_with("record_id", name, [row]);
    deliver("usage", "m,a,2026-10-05T10:00:00Z,3,p,x");
    lake.run(OCTOBER);
    deliver("again", "m,a,2026-10-05T12:00:00+02:00,3.0,p,x");
    let summary = lake.run(OCTOBER);
    assert_eq!((summary.intake.samples_accepted, summary.intake.samples_duplicate), (0, 1));
    deliver("other", "m,a,2026-10-05T10:00:00Z,4,p,x");
    deliver("second", "m,a,2026-10-05T10:00:00Z,5,p,y");
    let summary = lake.run(OCTOBER);
    assert_eq!((summary.intake.samples_accepted, summary.intake.records_rejected), (1, 1));
    assert_eq!(lake.column("rejected_record", "reason"), ["conflict"]);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "8");
}

/// Sessions of 5, 61 and 60 seconds, with a minimum of 60 and steps of ten: 60 + 70 + 60 = 190. Rounding the sum of 126
/// would give 130. The samples keep the measured quantities: without a minimum, the sum is 126.
#[test]
fn record_minimum_and_multiple_of_apply_to_each_record_and_not_to_the_sum() {
    let minimum = r#"record = { minimum = "60", multiple_of = "10" }"#;
    let lake = TestLake::of_one_rule(&format!("{SUM}\n{minimum}"), PRICE_OF_ONE).usage([
        "m,a,2026-10-05T10:00:00Z,5,p",
        "m,a,2026-10-05T10:20:00Z,61,p",
        "m,a,2026-10-05T10:30:00Z,60,p",
    ]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "190");
    lake.replace("rules/rules.toml", minimum, "");
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "126");
}

/// A machine with a sample every hour has 743 hours in March and 745 in October, with dates of the local time zone. The
/// first instant of the next month belongs to the next month.
#[test]
fn time_zone_europe_paris_gives_months_of_743_and_745_hours() {
    for (period, start, hours, (long_day, hours_of_day)) in [
        ("2026-03", "2026-02-28T23:00:00Z", 743, ("2026-03-29", "23.000000000")),
        ("2026-10", "2026-09-30T22:00:00Z", 745, ("2026-10-25", "25.000000000")),
    ] {
        let start: jiff::Timestamp = start.parse().unwrap();
        let hour = |number: i64| start + jiff::SignedDuration::from_hours(number);
        // One sample is before the month. Two samples are after it, the first exactly at its end.
        let rows = (-1..hours + 2).map(|number| format!("m,a,{},1,p", hour(number)));
        let lake = TestLake::of_one_rule(r#"aggregation = "presence""#, PRICE_OF_ONE)
            .config(r#"time_zone = "Europe/Paris""#)
            .usage(rows);
        lake.run(period);
        assert_eq!(lake.sum("rated_usage", "pricing_quantity"), hours.to_string(), "{period}");
        let day = &lake.rows_where("rated_usage", "charge_date", long_day)[0];
        assert_eq!(day["pricing_quantity"], hours_of_day);
    }
}

const PER_HOUR: &str = r#"
pricing_unit = { name = "unit-hour", of = "3600" }
unit_price = "1"
"#;

/// A level of 10 half an hour before the month, 20 half an hour after its start, then no sample. A value counts for two
/// hours: 0.5 × 10 + 2 × 20 = 45 unit-hours.
#[test]
fn time_weighted_carries_a_level_into_the_month_and_for_max_gap() {
    let meter = r#"
        aggregation = "time_weighted"
        max_gap = "2h"
        "#;
    let lake = TestLake::of_one_rule(meter, PER_HOUR)
        .usage(["m,a,2026-09-30T23:30:00Z,10,p", "m,a,2026-10-01T00:30:00Z,20,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "45");
}

/// A machine with a sample every five minutes of a day has 24 hours.
#[test]
fn duration_counts_up_to_the_end_of_the_window() {
    let start: jiff::Timestamp = "2026-10-05T00:00:00Z".parse().unwrap();
    let rows = (0..=288).map(|number| format!("m,a,{},1,p", start + jiff::SignedDuration::from_mins(5 * number)));
    let meter = r#"
        aggregation = "duration"
        max_gap = "10m"
        "#;
    let lake = TestLake::of_one_rule(meter, PER_HOUR).usage(rows);
    lake.run(OCTOBER);
    let day = &lake.rows_where("rated_usage", "charge_date", "2026-10-05")[0];
    assert_eq!(day["pricing_quantity"], "24.000000000");
}

/// A published example of August 2023, moved to October 2026, which has as many hours. The level is 2, then 3 more,
/// 1 more, 4 less, 2 less, 10 more and 10 less: 16.5 unit-hours of 744.
#[test]
fn time_weighted_level_is_its_integral_over_the_hours_of_the_month() {
    let meter = r#"
        aggregation = "time_weighted"
        max_gap = "2h"
        "#;
    let rule = r#"
        pricing_unit = { name = "unit-month", of = "2678400" }
        unit_price = "1"
        "#;
    let lake = TestLake::of_one_rule(meter, rule).usage([
        "m,a,2026-10-01T00:00:00Z,2,p",
        "m,a,2026-10-01T01:00:00Z,5,p",
        "m,a,2026-10-01T01:30:00Z,6,p",
        "m,a,2026-10-01T02:00:00Z,2,p",
        "m,a,2026-10-01T04:00:00Z,0,p",
        "m,a,2026-10-01T05:00:00Z,10,p",
        "m,a,2026-10-01T05:30:00Z,0,p",
    ]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("metered_day", "consumed_quantity"), "59400");
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "0.02217741935483871");
}

/// A counter has 100, restarts at zero, and has 30 and 50: the increase is 50.
#[test]
fn increase_counts_a_counter_that_begins_again() {
    let lake = TestLake::of_one_rule(r#"aggregation = "increase""#, PRICE_OF_ONE).usage([
        "m,a,2026-10-05T10:00:00Z,100,p",
        "m,a,2026-10-05T11:00:00Z,30,p",
        "m,a,2026-10-05T12:00:00Z,50,p",
    ]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "50");
}

/// 0.1 + 0.2 + 0.3 + 0.1, with 0.3 as a float prints it, equals 0.7 in every order. The documents have the same bytes.
#[test]
fn sum_does_not_depend_on_the_order_of_records() {
    let amounts = ["0.1", "0.2", "0.30000000000000004", "1e-1"];
    let documents = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]].map(|order| {
        let rows = order.map(|index| format!("m,a,2026-10-05T10:0{index}:00Z,{},p", amounts[index]));
        let lake = TestLake::of_one_rule(SUM, PRICE_OF_ONE).usage(rows);
        lake.run(OCTOBER);
        assert_eq!(lake.sum("rated_usage", "contracted_cost"), "0.7");
        lake.document(OCTOBER, "usage.csv")
    });
    assert!(documents.iter().all(|document| *document == documents[0]));
}

const THREE_METERS: &str = r#"
[[meter]]
name = "vm"
aggregation = "presence"
unit = "hour"
dimensions.flavor = { from = ["flavor"] }
dimensions.zone = { from = ["zone"] }

[[meter]]
name = "egress"
aggregation = "increase"
unit = "GB"

[[meter]]
name = "volume"
aggregation = "time_weighted"
unit = "GiB-second"
max_gap = "12h"

[[rule]]
id = "vm"
meter = "vm"
sku = "VM"
service = "Compute"
line_by = ["flavor", "zone"]
prices = { by = "flavor", small = "0.02", large = "0.08" }

[[rule]]
id = "egress"
meter = "egress"
sku = "NET"
service = "Network"
tiers = "graduated"
tier = [{ up_to = "200", unit_price = "0.10" }, { unit_price = "0.05" }]
"#;

/// The records of 2 and 4 October do not contain the machine's flavor and zone.
const IN_TIME: [&str; 7] = [
    "vm,vm-1,2026-10-01T08:10:00Z,1,p1,small,a",
    "vm,vm-1,2026-10-02T08:10:00Z,1,,,",
    "vm,vm-1,2026-10-04T08:10:00Z,1,,,",
    "egress,port-1,2026-10-01T08:00:00Z,100,p1,,",
    "egress,port-1,2026-10-02T08:00:00Z,400,p1,,",
    "egress,port-1,2026-10-04T08:00:00Z,1000,p1,,",
    "volume,vol-1,2026-10-01T18:00:00Z,50,p1,,",
];

/// Late records of 1 October, which ends at 22:00 UTC.
const LATE: [&str; 3] = [
    "vm,vm-1,2026-10-01T20:10:00Z,1,p1,large,b",
    "egress,port-1,2026-10-01T20:00:00Z,250,p1,,",
    "volume,vol-1,2026-10-01T21:00:00Z,80,p1,,",
];

/// A lake in Paris with a run after each delivery.
fn delivered(deliveries: &[&[&str]]) -> TestLake {
    let lake = TestLake::new().config(r#"time_zone = "Europe/Paris""#).rules(THREE_METERS);
    for (index, rows) in deliveries.iter().enumerate() {
        lake.deliver_with("flavor,zone", &index.to_string(), *rows);
        lake.run(OCTOBER);
    }
    lake
}

/// The quantity of each resource on each date: `resource date description quantity`.
fn metered_days(lake: &TestLake) -> Vec<String> {
    lake.sql(
        "SELECT resource_id, charge_date, description, consumed_quantity FROM metered_day \
         JOIN series ON series.series_id = metered_day.series_id \
         JOIN stream ON stream.stream_id = series.stream_id ORDER BY resource_id, charge_date, description DESC",
    )
}

/// In time: port-1 has 400 - 100 = 300, then 1,000 - 400 = 600. The value of vol-1 counts for 12 hours: 50 × 4 × 3,600
/// on 1 October and 50 × 8 × 3,600 on 2 October.
///
/// Late: port-1 has 250 - 100 = 150 and 400 - 250 = 150. vm-1 is large from the late record on, also on later dates.
/// vol-1 has 50 × 3 × 3,600 + 80 × 1 × 3,600 = 828,000 on 1 October. On 2 October, without a sample, it has
/// 80 × 11 × 3,600 = 3,168,000.
#[test]
fn a_late_record_changes_the_dates_after_it_as_if_it_had_arrived_in_time() {
    assert_eq!(
        metered_days(&delivered(&[&IN_TIME])),
        [
            "port-1 2026-10-01  0",
            "port-1 2026-10-02  300",
            "port-1 2026-10-04  600",
            "vm-1 2026-10-01 flavor=small; zone=a 1",
            "vm-1 2026-10-02 flavor=small; zone=a 1",
            "vm-1 2026-10-04 flavor=small; zone=a 1",
            "vol-1 2026-10-01  720000",
            "vol-1 2026-10-02  1440000",
        ]
    );
    let late = delivered(&[&IN_TIME, &LATE]);
    assert_eq!(
        metered_days(&late),
        [
            "port-1 2026-10-01  150",
            "port-1 2026-10-02  150",
            "port-1 2026-10-04  600",
            "vm-1 2026-10-01 flavor=small; zone=a 1",
            "vm-1 2026-10-01 flavor=large; zone=b 1",
            "vm-1 2026-10-02 flavor=large; zone=b 1",
            "vm-1 2026-10-04 flavor=large; zone=b 1",
            "vol-1 2026-10-01  828000",
            "vol-1 2026-10-02  3168000",
        ]
    );
    let in_time = delivered(&[&[&IN_TIME[..], &LATE[..]].concat()]);
    let late_first = delivered(&[&LATE, &IN_TIME]);
    // The path of a file contains the digest of its rows.
    let files = |lake: &TestLake, relation: &str| -> Vec<String> {
        lake.snapshot().files(relation).map(|file| file.path.clone()).collect()
    };
    for relation in
        ["stream_state", "metered_usage", "metered_day", "rated_usage", "unrated_usage", "invoice_line", "invoice"]
    {
        let expected = files(&in_time, relation);
        assert!(!expected.is_empty(), "{relation}");
        assert_eq!(files(&late, relation), expected, "{relation}, late");
        assert_eq!(files(&late_first, relation), expected, "{relation}, the later records first");
    }
}
