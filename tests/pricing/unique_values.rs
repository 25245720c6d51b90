//! Meters that count the different values of a dimension, such as the active users of a month.

use super::OCTOBER;
use crate::test_lake::TestLake;

const USERS: &str = r#"
    aggregation = "count_unique"
    unique = "user"
    dimensions.user = { from = ["user_id"] }
    "#;

/// A lake whose records have a user. Each row is `resource, time, project, user`.
fn lake(rule_keys: &str, rows: &[(&str, &str, &str, &str)]) -> TestLake {
    let lake = TestLake::of_one_rule(USERS, rule_keys).config(r#"time_zone = "UTC""#);
    deliver(&lake, "first", rows);
    lake
}

fn deliver(lake: &TestLake, name: &str, rows: &[(&str, &str, &str, &str)]) {
    let row = |row: &(&str, &str, &str, &str)| format!("m,{},2026-10-{}Z,1,{},{}", row.0, row.1, row.2, row.3);
    lake.deliver_with("user_id", name, rows.iter().map(row));
}

/// Quantity and amount of each invoice line, in their order.
fn lines(lake: &TestLake) -> Vec<(String, String)> {
    lake.run(OCTOBER);
    assert_eq!(lake.rows("unrated_usage").len(), 0);
    let quantities = lake.column("invoice_line", "quantity");
    let whole = quantities.iter().map(|quantity| quantity.trim_end_matches('0').trim_end_matches('.').to_owned());
    whole.zip(lake.column("invoice_line", "net_amount")).collect()
}

fn line(quantity: &str, amount: &str) -> (String, String) {
    (quantity.to_owned(), amount.to_owned())
}

/// Ana is active on three days and in two applications, Ben on one day: two users in the month, and four on the days.
const ANA_AND_BEN: [(&str, &str, &str, &str); 5] = [
    ("shop", "01T08:00:00", "p", "ana"),
    ("shop", "01T09:00:00", "p", "ana"),
    ("shop", "02T08:00:00", "p", "ana"),
    ("wiki", "03T08:00:00", "p", "ana"),
    ("wiki", "03T09:00:00", "p", "ben"),
];

#[test]
fn a_value_counts_once_in_the_pool_and_period() {
    let count = |keys: &str| lines(&lake(&format!("unit_price = \"5\"\n{keys}"), &ANA_AND_BEN));
    assert_eq!(count(""), [line("2", "10.0000")], "in the project: Ana and Ben");
    assert_eq!(count(r#"per = "resource""#), [line("3", "15.0000")], "Ana in the shop, Ana and Ben in the wiki");
    assert_eq!(count(r#"every = "day""#), [line("4", "20.0000")], "Ana on three days, Ben on one");
}

/// With windows of an hour, Ana has four hours and Ben has one.
#[test]
fn a_value_counts_once_in_each_window() {
    let lake = TestLake::of_one_rule(&format!("{USERS}\nwindow = \"1h\""), "unit_price = \"5\"\nevery = \"window\"");
    deliver(&lake, "first", &ANA_AND_BEN);
    assert_eq!(lines(&lake), [line("5", "25.0000")]);
}

/// Ana is in both projects of the account and counts once, in the project of her first usage.
#[test]
fn a_value_counts_once_in_the_pool_of_an_account() {
    let account = r#"
        [[account]]
        id = "a"
        name = "A"
        country = "FR"
        projects = ["p", "q"]
        "#;
    let rows = [("x", "01T08:00:00", "p", "ana"), ("y", "02T08:00:00", "q", "ana"), ("y", "02T08:00:00", "q", "ben")];
    // Documents are in the order of the hashes of their payers.
    let users = |keys: &str| {
        let mut lines = lines(&lake(&format!("unit_price = \"5\"\n{keys}"), &rows).accounts(account));
        lines.sort();
        lines
    };
    assert_eq!(users(""), [line("1", "5.0000"), line("2", "10.0000")]);
    assert_eq!(users(r#"per = "account""#), [line("1", "5.0000"), line("1", "5.0000")]);
}

/// Two users of one instant and resource, without record ids, are two users. A repeated record is a duplicate.
#[test]
fn two_values_of_one_instant_are_both_counted() {
    let at = "01T08:00:00";
    let rows = [("shop", at, "p", "ana"), ("shop", at, "p", "ben"), ("shop", at, "p", "ana")];
    let lake = lake(r#"unit_price = "5""#, &rows);
    assert_eq!(lines(&lake), [line("2", "10.0000")]);
    assert_eq!(lake.rows("rejected_record").len(), 0);
}

/// Two users are at the bound of the first tier. Ana's later usage adds no line of zero in the second tier.
#[test]
fn later_usage_of_a_value_makes_no_line() {
    let tiers = r#"
        tiers = "graduated"
        tier = [{ up_to = "2", unit_price = "5" }, { unit_price = "3" }]
        "#;
    let mut rows = ANA_AND_BEN.to_vec();
    rows.push(("shop", "04T08:00:00", "p", "ana"));
    assert_eq!(lines(&lake(tiers, &rows)), [line("2", "10.0000")]);
    rows.push(("shop", "05T08:00:00", "p", "cem"));
    assert_eq!(lines(&lake(tiers, &rows)), [line("2", "10.0000"), line("1", "3.0000")]);
}

/// A record that arrives a night later counts only a new user.
#[test]
fn late_usage_counts_new_values_only() {
    let lake = lake(r#"unit_price = "5""#, &ANA_AND_BEN);
    assert_eq!(lines(&lake), [line("2", "10.0000")]);
    deliver(&lake, "late", &[("shop", "01T07:00:00", "p", "ben"), ("shop", "01T07:00:00", "p", "cem")]);
    assert_eq!(lines(&lake), [line("3", "15.0000")]);
}

/// After the close, a late record of a known user changes nothing. A new user is an increase of 5.
#[test]
fn a_correction_counts_new_values_only() {
    let lake = lake(r#"unit_price = "5""#, &ANA_AND_BEN);
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    deliver(&lake, "late", &[("shop", "01T07:00:00", "p", "ben")]);
    assert_eq!(lake.run_closed(OCTOBER), [""; 0]);
    deliver(&lake, "later", &[("shop", "09T07:00:00", "p", "cem")]);
    assert_eq!(lake.run_closed(OCTOBER), ["p p 5.00 EUR late_usage next invoice"]);
}

/// A record without a user is rejected, because it cannot be counted.
#[test]
fn a_record_without_the_value_is_rejected() {
    let lake = lake(r#"unit_price = "5""#, &[("shop", "01T08:00:00", "p", "ana"), ("shop", "02T08:00:00", "p", "")]);
    assert_eq!(lines(&lake), [line("1", "5.0000")]);
    assert_eq!(lake.column("rejected_record", "reason"), ["bad_dimension"]);
    assert_eq!(
        lake.column("rejected_record", "detail"),
        ["the record has no value of the dimension `user`, which the meter counts"]
    );
}
