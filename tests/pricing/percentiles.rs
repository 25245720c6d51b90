//! Percentiles of windows, with and without windows that have no record.
//!
//! October 2026 has 745 hours in Berlin. 5 % of them are 37.25, so the highest 37 hours are left out. The 38th highest
//! hour is priced at 1 for each unit.

use super::OCTOBER;
use crate::test_lake::TestLake;

const MAX: &str = r#"aggregation = "max""#;

/// The 95th percentile of the hourly maximum, at 1 for each unit.
fn port(rule_keys: &str) -> TestLake {
    let rule = format!("percentile = \"95\"\nunit_price = \"1\"\n{rule_keys}");
    TestLake::of_one_rule(MAX, &rule).config(r#"time_zone = "Europe/Berlin""#)
}

/// Rows of hourly values from an instant on.
fn hours(resource: &str, project: &str, from: &str, values: impl IntoIterator<Item = u32>) -> Vec<String> {
    let from: jiff::Timestamp = from.parse().unwrap();
    let at = |hour: usize| from + jiff::SignedDuration::from_hours(hour as i64);
    let rows = values.into_iter().enumerate();
    rows.map(|(hour, value)| format!("m,{resource},{},{value},{project}", at(hour))).collect()
}

/// The start of the period in Berlin.
const FIRST_HOUR: &str = "2026-09-30T22:00:00Z";

/// The percentile of each project that is on an invoice line.
fn amounts(lake: &TestLake) -> Vec<String> {
    lake.run(OCTOBER);
    assert_eq!(lake.rows("unrated_usage").len(), 0);
    let mut lines: Vec<String> = lake
        .column("invoice_line", "project_id")
        .iter()
        .zip(lake.column("invoice_line", "net_amount"))
        .map(|(project, amount)| format!("{project} {amount}"))
        .collect();
    lines.sort();
    lines
}

/// 1000 Mbit/s in 30 hours are below the 37 hours that are left out. Two projects have them and nothing else; the
/// collector of the first writes zeros for the other 715 hours, and the collector of the second writes nothing. In 38
/// hours, the 38th highest hour has 1000.
#[test]
fn missing_windows_are_zero_whether_the_collector_writes_them_or_not() {
    let burst = |busy: usize, all: usize| (0..all).map(move |hour| if hour < busy { 1000 } else { 0 });
    let rows = [
        hours("a", "written-30", FIRST_HOUR, burst(30, 745)),
        hours("b", "absent-30", FIRST_HOUR, burst(30, 30)),
        hours("c", "written-38", FIRST_HOUR, burst(38, 745)),
        hours("d", "absent-38", FIRST_HOUR, burst(38, 38)),
    ];
    let rows = rows.into_iter().flatten();
    assert_eq!(amounts(&port("").usage(rows)), ["absent-38 1000.0000", "written-38 1000.0000"]);
}

/// With `ignore`, the 30 hours with a record are all: 5 % of them are 1.5, so one is left out. A written zero is a
/// record: of 745 hours, 37 are left out.
#[test]
fn missing_windows_can_be_ignored() {
    let burst = |all: usize| (0..all).map(|hour| if hour < 30 { 1000 } else { 0 });
    let rows = [hours("a", "written", FIRST_HOUR, burst(745)), hours("b", "absent", FIRST_HOUR, burst(30))]
        .into_iter()
        .flatten();
    assert_eq!(amounts(&port(r#"missing_windows = "ignore""#).usage(rows)), ["absent 1000.0000"]);
}

/// The 31st has 24 hours, all with 100. A resource without records before that day has zeros in all hours before it,
/// because its collector may have written nothing for them: 24 hours are fewer than 37.
#[test]
fn a_resource_that_begins_in_the_month_has_zeros_before_its_first_record() {
    let last_day = || hours("a", "p", "2026-10-30T23:00:00Z", [100; 24]);
    assert_eq!(amounts(&port("").usage(last_day())), [""; 0]);
    assert_eq!(amounts(&port(r#"per = "resource""#).usage(last_day())), [""; 0]);
}

/// If the account has the project from the 31st on only, its pool has the 24 hours of that day. 5 % of them are 1.2, so
/// one hour is left out, and the next one has 100.
#[test]
fn the_windows_of_a_pool_begin_with_the_assignment_of_the_project() {
    let account = r#"
        [[account]]
        id = "a"
        name = "A"
        country = "FR"
        projects = [{ id = "p", valid_from = 2026-10-31 }]
        "#;
    let lake = port("").accounts(account).usage(hours("a", "p", "2026-10-30T23:00:00Z", [100; 24]));
    assert_eq!(amounts(&lake), ["p 100.0000"]);
}

/// A pool of an account has the hours of all its projects: here all 745 of `q`, although `p` begins on the 31st.
#[test]
fn the_windows_of_an_account_pool_are_those_of_all_its_projects() {
    let account = r#"
        [[account]]
        id = "a"
        name = "A"
        country = "FR"
        projects = [{ id = "p", valid_from = 2026-10-31 }, "q"]
        "#;
    let of_last_day = hours("a", "p", "2026-10-30T23:00:00Z", [100; 24]);
    let rows = of_last_day.into_iter().chain(hours("b", "q", FIRST_HOUR, [7]));
    let lake = port(r#"per = "account""#).accounts(account).usage(rows);
    assert_eq!(amounts(&lake), [""; 0]);
}

/// A rule that is valid from the 31st on has the 24 hours of that day. The rule before has the other 721 hours. 5 % of
/// them are 36.05, so of 40 hours with 50, 36 are left out, and the next one has 50.
#[test]
fn the_windows_of_a_pool_are_those_in_which_a_rule_of_the_pool_is_valid() {
    let rules = r#"
        valid_to = 2026-10-31

        [[rule]]
        id = "new"
        meter = "m"
        sku = "t"
        service = "S"
        valid_from = 2026-10-31
        percentile = "95"
        unit_price = "1"
        "#;
    let rows = hours("a", "p", FIRST_HOUR, [50; 40]).into_iter();
    let lake = port(rules).usage(rows.chain(hours("a", "p", "2026-10-30T23:00:00Z", [100; 24])));
    assert_eq!(amounts(&lake), ["p 100.0000", "p 50.0000"]);
}

/// A quote of a single quantity is a quote of the percentile.
#[test]
fn a_quote_prices_a_single_quantity_as_the_percentile() {
    let lake = port(r#"example = [{ name = "40 hours", quantity = "10", windows = 40, cost = "10" }]"#);
    assert_eq!(lake.json(&["rules", "quote", "--rule", "r", "--quantity", "1000"])["cost"], "1000.00");
    lake.succeeds(&["rules", "test"]);
}
