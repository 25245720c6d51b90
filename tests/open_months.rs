//! `conto run` without a month bills the current month. It also bills the previous month until that month is closed.

use std::process::{Command, Output};
use std::sync::Arc;

use conto::error::Error;
use conto::load::{read_config, read_rules};
use conto::model::period::BillingPeriod;
use conto::model::summary::Summary;
use conto::pipeline::{self, BillingOptions};
use conto::run::{Documents, RunOptions, Silent};
use serde_json::Value;

use crate::test_lake::{TestLake, assert_same_files, block_on};

const RULES: &str = r#"
[[meter]]
name = "instance"
aggregation = "sum"
unit = "instance-hour"
window = "1h"

[[rule]]
id = "instance"
meter = "instance"
sku = "CMP"
service = "Compute"
unit_price = "0.5"
"#;

/// A lake with 10 instance-hours, which cost 5.00 EUR, on the first day of each of these months.
fn cloud(months: &[&str]) -> TestLake {
    let lake = TestLake::new().rules(RULES);
    for month in months {
        deliver(&lake, month, "10");
    }
    lake
}

fn deliver(lake: &TestLake, month: &str, quantity: &str) {
    let header = "meter,resource_id,measured_at,quantity,project_id";
    let row = format!("instance,vm{quantity},{month}-01T00:00:00Z,{quantity},project");
    lake.put(&format!("usage/{month}-{quantity}.csv"), format!("{header}\n{row}\n"));
}

/// Bills the open months with `current` as the current month, as the command line does.
fn night(lake: &TestLake, current: &str, max_rejected: Option<u64>) -> Vec<(BillingPeriod, Result<Summary, Error>)> {
    let config = read_config(&lake.path("conto.toml")).0.unwrap();
    let zone = jiff::tz::TimeZone::get(&config.time_zone).unwrap();
    let rules = read_rules(&config.rules, &zone, config.currency, Some(&lake.path(""))).0;
    let night = BillingOptions {
        period: current.parse().unwrap(),
        documents: Documents::Changed,
        max_rejected,
        allow_no_usage: true,
    };
    let options = RunOptions {
        memory_limit_bytes: None,
        started_at: "2027-01-01T00:00:00Z".to_owned(),
        progress: Arc::new(Silent),
    };
    block_on(pipeline::run_open_periods(Arc::new(config), Arc::new(rules), night, options)).unwrap()
}

/// Bills the open months. Returns each billed month with its total.
fn billed(lake: &TestLake, current: &str) -> Vec<(String, String)> {
    let total =
        |summary: Summary| summary.totals.first().map_or("none".to_owned(), |total| total.total_without_tax.clone());
    night(lake, current, None).into_iter().map(|(period, one)| (period.to_string(), total(one.unwrap()))).collect()
}

fn each(months: &[(&str, &str)]) -> Vec<(String, String)> {
    months.iter().map(|(month, total)| ((*month).to_owned(), (*total).to_owned())).collect()
}

fn conto(lake: &TestLake, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conto")).args(arguments).current_dir(lake.path("")).output().unwrap()
}

#[test]
fn the_month_before_is_billed_until_it_is_closed() {
    let lake = cloud(&["2026-10", "2026-11"]);
    assert_eq!(billed(&lake, "2026-11"), each(&[("2026-10", "5.00"), ("2026-11", "5.00")]));
    // Late usage of the previous month changes its draft.
    deliver(&lake, "2026-10", "4");
    assert_eq!(billed(&lake, "2026-11"), each(&[("2026-10", "7.00"), ("2026-11", "5.00")]));
    let closed = conto(&lake, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"]);
    assert!(closed.status.success(), "{closed:?}");
    assert_eq!(billed(&lake, "2026-11"), each(&[("2026-11", "5.00")]));
    // In January, the open month November is not the previous month any more.
    assert_eq!(billed(&lake, "2027-01"), each(&[("2027-01", "none")]));
}

#[test]
fn a_month_before_without_usage_or_drafts_is_left_out() {
    let lake = cloud(&["2026-11"]);
    assert_eq!(billed(&lake, "2026-11"), each(&[("2026-11", "5.00")]));
    // November was drafted as the current month, so it is drafted again as the previous month.
    assert_eq!(billed(&lake, "2026-12"), each(&[("2026-11", "5.00"), ("2026-12", "none")]));
}

#[test]
fn a_run_of_two_months_equals_two_runs_and_reads_usage_once() {
    let lake = cloud(&["2026-10", "2026-11"]);
    let night = night(&lake, "2026-11", None);
    let read: Vec<u64> = night.iter().map(|(_, one)| one.as_ref().unwrap().intake.files_read).collect();
    assert_eq!(read, [2, 0]);
    let other = cloud(&["2026-10", "2026-11"]);
    other.run("2026-10");
    other.run("2026-11");
    assert_same_files(&lake.results(), &other.results(), "a night of two months");
    for month in ["2026-10", "2026-11"] {
        let invoice = |lake: &TestLake| {
            let name = format!("{}.json", lake.draft(month, "project"));
            lake.documents(month).into_iter().find(|(path, _)| path.ends_with(&name)).unwrap()
        };
        assert_eq!(invoice(&lake), invoice(&other));
    }
}

#[test]
fn a_month_that_fails_does_not_stop_the_other() {
    let lake = cloud(&["2026-10", "2026-11"]);
    assert_eq!(billed(&lake, "2026-10"), each(&[("2026-10", "5.00")]));
    // October was billed before the rejected record arrived, and November was never billed, so both months count the
    // record.
    deliver(&lake, "2026-10", "-1");
    let failed = |(period, one): &(BillingPeriod, Result<Summary, Error>)| (period.to_string(), one.is_err());
    let all: Vec<_> = night(&lake, "2026-11", Some(0)).iter().map(failed).collect();
    assert_eq!(all, [("2026-10".to_owned(), true), ("2026-11".to_owned(), true)]);
    // After November is billed, only October has rejected records since its last billing.
    lake.run("2026-11");
    let all: Vec<_> = night(&lake, "2026-11", Some(0)).iter().map(failed).collect();
    assert_eq!(all, [("2026-10".to_owned(), true), ("2026-11".to_owned(), false)]);
}

#[test]
fn the_clock_decides_which_month_is_current() {
    let month = || BillingPeriod::of(jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date());
    let before = month();
    let lake = cloud(&[&before.previous().to_string(), &before.to_string()]);
    let output = conto(&lake, &["run", "--json"]);
    if month() != before {
        return; // The month changed while the test ran.
    }
    assert!(output.status.success(), "{output:?}");
    let periods: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = periods.as_array().unwrap().iter().map(|one| one["period"].as_str().unwrap()).collect();
    assert_eq!(names, [before.previous().to_string(), before.to_string()]);
    assert_eq!(periods[0]["files_read"], 2);
    assert_eq!(periods[1]["totals"][0]["total_without_tax"], "5.00");
    // Without `--json`, each month has its own group.
    let words = String::from_utf8(conto(&lake, &["run"]).stdout).unwrap();
    for period in [before.previous(), before] {
        assert_eq!(words.matches(&format!("Usage of {period}\n")).count(), 1, "{words}");
    }
}

#[test]
fn the_exit_code_is_that_of_the_worst_month() {
    let month = || BillingPeriod::of(jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date());
    let current = month();
    let lake = cloud(&[&current.previous().to_string(), &current.to_string()]);
    lake.run(&current.to_string());
    deliver(&lake, &current.to_string(), "-1");
    lake.run(&current.to_string());
    // Only the previous month has rejected records since its last billing, because it was never billed.
    let output = conto(&lake, &["run", "--json", "--max-rejected", "0"]);
    if month() != current {
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let periods: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(periods[0]["error"].as_str().unwrap().contains("rejected since the last billing"), "{periods}");
    assert_eq!(periods[1]["period"], current.to_string());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains(&format!("{}:\nerror: ", current.previous())), "{words}");
}
