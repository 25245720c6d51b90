//! A run beyond a limit of `[run]` commits its drafts, names each finding, and ends with exit code 4.

use serde_json::{Value, json};

use crate::test_lake::{TestLake, stderr_of};

const OCTOBER: &str = "2026-10";

/// A lake with the priced meter `m` and the account `acme` for the projects `p` and `q`.
fn lake() -> TestLake {
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "0.10""#);
    lake.accounts("[[account]]\nid = \"acme\"\nname = \"Acme\"\ncountry = \"FR\"\nprojects = [\"p\", \"q\"]\n")
}

/// A run of October on a date, with its exit code and its findings. A run within its limits has none.
fn run(lake: &TestLake, today: &str) -> (i32, Value) {
    let output = lake.command(&["run", "--period", OCTOBER, "--json"]).env("CONTO_TODAY", today).output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr_of(&output)));
    assert_eq!(summary["suspended_accounts"], json!([]));
    (output.status.code().unwrap(), summary["exceeded_limits"].clone())
}

#[track_caller]
fn assert_within_limits(lake: &TestLake, today: &str) {
    assert_eq!(run(lake, today), (0, Value::Null));
}

/// Asserts the sentences of all findings. `conto status` shows the same findings.
#[track_caller]
fn assert_beyond(lake: &TestLake, today: &str, sentences: &[&str]) {
    let (code, found) = run(lake, today);
    let details: Vec<&str> =
        found.as_array().into_iter().flatten().map(|one| one["detail"].as_str().unwrap()).collect();
    assert_eq!((code, &details[..]), (4, sentences));
    assert_eq!(status(lake, today), found);
}

/// The findings of October in `conto status`.
fn status(lake: &TestLake, today: &str) -> Value {
    let output = lake.command(&["status", "--json"]).env("CONTO_TODAY", today).output().unwrap();
    let mut status: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr_of(&output)));
    let mut findings = status["exceeded_limits"].take();
    for finding in findings.as_array_mut().unwrap() {
        assert_eq!(finding.as_object_mut().unwrap().remove("period"), Some(json!(OCTOBER)));
    }
    findings
}

fn set_limits(lake: &TestLake, limits: &str) {
    lake.configure(format!("[run]\n{limits}\n"));
}

/// One record of the meter `m` at noon of each day, which is its usage of that day.
fn daily(resource: &str, first: u32, quantities: &[&str]) -> Vec<String> {
    let record = |(day, quantity): (u32, &&str)| format!("m,{resource},2026-10-{day:02}T12:00:00Z,{quantity},p");
    (first..).zip(quantities).map(record).collect()
}

/// The meter `n` has no price. Its two resources have usage on three resource-days.
#[test]
fn max_unrated_counts_usage_without_a_price() {
    let lake = lake().usage([
        "m,a,2026-10-05T10:00:00Z,1,p",
        "n,a,2026-10-05T10:00:00Z,1,p",
        "n,a,2026-10-06T10:00:00Z,1,p",
        "n,b,2026-10-06T10:00:00Z,1,p",
    ]);
    let rules = lake.text("rules/rules.toml");
    lake.set_rules(format!("{rules}\n[[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"u\"\n"));
    set_limits(&lake, "max_unrated = 3");
    assert_within_limits(&lake, "2026-10-07");
    set_limits(&lake, "max_unrated = 2");
    let sentence = "the meter `n` has 3 usage rows without a price (no_rule: 3), more than `max_unrated` = 2";
    assert_beyond(&lake, "2026-10-07", &[sentence]);
    let expected = json!([{
        "limit": "max_unrated", "allowed": "2", "kind": "meter", "name": "n", "found": "3", "detail": sentence,
    }]);
    assert_eq!(run(&lake, "2026-10-07").1, expected);
    // The drafts are committed: one unit of `m` costs 0.10 and 0.02 tax.
    assert_eq!(lake.column("invoice", "total_with_tax"), ["0.1200"]);
    // The default is that of a close.
    lake.remove_keys("run", &["max_unrated"]);
    assert_eq!(run(&lake, "2026-10-07").0, 4);
    let message = stderr_of(&lake.output(&["run", "--period", OCTOBER]));
    assert!(message.contains("limit: the meter `n` has 3 usage rows without a price"), "{message}");
    assert!(message.contains("1 finding beyond the limits of `[run]`; the drafts are committed"), "{message}");
}

#[test]
fn max_unattributed_counts_projects_of_no_account() {
    let lake = lake().usage([
        "m,a,2026-10-05T10:00:00Z,1,p",
        "m,b,2026-10-05T10:00:00Z,1,stranger",
        "m,c,2026-10-05T10:00:00Z,1,stranger",
        "m,d,2026-10-05T10:00:00Z,1,",
    ]);
    set_limits(&lake, "max_unattributed = 2");
    assert_within_limits(&lake, "2026-10-07");
    set_limits(&lake, "max_unattributed = 1");
    let named = [
        "the project `stranger` has no account: 2 resources, one of 2, more than `max_unattributed` = 1",
        "usage without a project: 1 resource, one of 2, more than `max_unattributed` = 1",
    ];
    assert_beyond(&lake, "2026-10-07", &named);
    // Without accounts, each project pays for itself, and only usage without a project is left.
    lake.set_accounts("");
    assert_within_limits(&lake, "2026-10-07");
}

/// The last record of the source `table` is from the first instant of 14 October.
#[test]
fn a_source_is_silent_if_its_last_sample_is_older_than_its_limit() {
    let lake = lake().usage(["m,a,2026-10-13T00:00:00Z,1,p", "m,a,2026-10-14T00:00:00Z,1,p"]);
    lake.configure("[[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv*\"\nexpect_every = \"1d\"\n");
    // 24 hours at the first instant of 15 October.
    assert_within_limits(&lake, "2026-10-15");
    let silent = "the source `table` has delivered nothing for 48h, since 2026-10-14T00:00:00Z; `expect_every` = 24h";
    assert_beyond(&lake, "2026-10-16", &[silent]);
    // `max_silence` is for the sources without `expect_every`.
    lake.configure("[[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv*\"\n");
    set_limits(&lake, "max_silence = \"2d\"");
    assert_within_limits(&lake, "2026-10-16");
    let silent = "the source `table` has delivered nothing for 72h, since 2026-10-14T00:00:00Z; `max_silence` = 48h";
    assert_beyond(&lake, "2026-10-17", &[silent]);
    // In November, the silence of October ends with the month: 432 hours.
    let silent = "the source `table` has delivered nothing for 432h, since 2026-10-14T00:00:00Z; `max_silence` = 48h";
    let (code, found) = run(&lake, "2026-11-20");
    assert_eq!((code, &found[0]["detail"]), (4, &json!(silent)));
}

#[test]
fn a_source_without_any_sample_is_silent_and_one_that_began_later_is_not() {
    let lake = lake().usage(["m,a,2026-10-01T12:00:00Z,1,p"]).file("new/november.csv", {
        "meter,resource_id,measured_at,quantity,project_id\nm,b,2026-11-02T00:00:00Z,1,p\n"
    });
    let sources = |of_new: &str| {
        lake.configure(format!(
            "[[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv*\"\n\
             [[source]]\nname = \"new\"\nformat = \"csv\"\npath = \"{of_new}/*.csv*\"\nexpect_every = \"1h\"\n"
        ));
    };
    lake.put("none/.keep", "");
    sources("none");
    let never = "the source `new` has never delivered a sample; `expect_every` = 1h";
    assert_beyond(&lake, "2026-10-02", &[never]);
    sources("new");
    assert_within_limits(&lake, "2026-11-03");
}

/// The usual usage is 100 a day.
#[test]
fn min_volume_percent_compares_the_last_complete_day_with_the_median_of_the_week_before() {
    let lake = lake();
    lake.deliver("week", daily("a", 1, &["100"; 7]));
    lake.deliver("eighth", daily("a", 8, &["49.999999999"]));
    let fallen = "the meter `m` has the quantity 49.999999999 on 2026-10-08, less than `min_volume_percent` = 50 of \
                  100 on 2026-10-01 and of 100, the median of the seven days before";
    // The eighth day is not complete before the ninth, and the seventh has its usual usage.
    assert_within_limits(&lake, "2026-10-08");
    assert_beyond(&lake, "2026-10-09", &[fallen]);
    // A late record completes exactly half of the usual usage.
    lake.deliver("late", ["m,b,2026-10-08T12:00:00Z,0.000000001,p"]);
    assert_within_limits(&lake, "2026-10-09");
    set_limits(&lake, "min_volume_percent = 51");
    assert_eq!(run(&lake, "2026-10-09").0, 4);
    set_limits(&lake, "min_volume_percent = 0");
    assert_within_limits(&lake, "2026-10-10");
    // The ninth day has no usage at all. Its median, of 100 on six days and 50 on one, is 100.
    set_limits(&lake, "min_volume_percent = 1");
    let fallen = "the meter `m` has the quantity 0 on 2026-10-09, less than `min_volume_percent` = 1 of 100 on \
                  2026-10-02 and of 100, the median of the seven days before";
    assert_beyond(&lake, "2026-10-10", &[fallen]);
}

/// 1 October 2026 is a Thursday. A weekend has 40, and so has the holiday on Monday, 12 October.
#[test]
fn a_weekend_is_no_finding_and_a_holiday_is_one() {
    let lake = lake();
    let usage = ["100", "100", "40", "40", "100", "100", "100", "100", "100", "40", "40", "40", "100"];
    lake.deliver("days", daily("a", 1, &usage));
    // Sunday: 40 of a median of 100, but 40 on the Sunday before.
    assert_within_limits(&lake, "2026-10-12");
    let holiday = "the meter `m` has the quantity 40 on 2026-10-12, less than `min_volume_percent` = 50 of 100 on \
                   2026-10-05 and of 100, the median of the seven days before";
    assert_beyond(&lake, "2026-10-13", &[holiday]);
    assert_within_limits(&lake, "2026-10-14");
}

/// The meter has usage on three days, and then almost none.
#[test]
fn a_meter_with_three_days_of_history_is_not_examined() {
    let lake = lake();
    lake.deliver("days", daily("a", 5, &["100", "100", "100", "1"]));
    for today in ["2026-10-09", "2026-10-10", "2026-10-11"] {
        assert_within_limits(&lake, today);
    }
}

/// Two sources deliver 60 and 40 of the same meter. The first one ends after the seventh day.
#[test]
fn usage_of_a_source_that_ended_by_configuration_is_not_missing() {
    let lake = lake();
    lake.deliver("days", daily("a", 1, &["40"; 8]));
    let rows = daily("b", 1, &["60"; 7]).join("\n");
    lake.put("old/days.csv", format!("meter,resource_id,measured_at,quantity,project_id\n{rows}\n"));
    let table = "[[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv*\"\n";
    let old = "[[source]]\nname = \"old\"\nformat = \"csv\"\npath = \"old/*.csv*\"\n";
    lake.configure(format!("{table}{old}"));
    let fallen = "the meter `m` has the quantity 40 on 2026-10-08, less than `min_volume_percent` = 50 of 100 on \
                  2026-10-01 and of 100, the median of the seven days before";
    assert_beyond(&lake, "2026-10-09", &[fallen]);
    let server = "[[source]]\nname = \"old\"\nformat = \"prometheus\"\nurl = \"http://localhost:9\"\n\
                  from = 2026-10-01\n";
    // The server was to deliver until the end of the eighth day, and then only until its start.
    lake.configure(format!("{table}{server}to = 2026-10-09\n"));
    assert_eq!(status(&lake, "2026-10-09")[0]["detail"], json!(fallen));
    lake.configure(format!("{table}{server}to = 2026-10-08\nexpect_every = \"12h\"\n"));
    assert_eq!(status(&lake, "2026-10-09"), json!([]));
    // Its last sample is from noon of the seventh day, 12 hours before its end.
    lake.configure(format!("{table}{server}to = 2026-10-08\nexpect_every = \"11h\"\n"));
    let silent = "the source `old` has delivered nothing for 12h, since 2026-10-07T12:00:00Z; `expect_every` = 11h";
    assert_eq!(status(&lake, "2026-10-09")[0]["detail"], json!(silent));
    lake.configure(table);
    assert_within_limits(&lake, "2026-10-09");
}

/// On the first day of a month, its last complete day belongs to the month before. A closed month is not examined.
#[test]
fn the_last_day_of_a_month_is_examined_until_the_close() {
    let lake = lake();
    let usage: Vec<&str> = std::iter::repeat_n("100", 30).chain(["10"]).collect();
    lake.deliver("days", daily("a", 1, &usage));
    lake.deliver("november", ["m,a,2026-11-01T12:00:00Z,100,p", "m,a,2026-11-02T12:00:00Z,100,p"]);
    let night = |today: &str| {
        let output = lake.command(&["run", "--json"]).env("CONTO_TODAY", today).output().unwrap();
        let months: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |month: &Value| (month["period"].clone(), month["exceeded_limits"].as_array().map_or(0, Vec::len));
        (output.status.code(), months.as_array().unwrap().iter().map(of).collect::<Vec<_>>())
    };
    let expected = vec![(json!("2026-10"), 1), (json!("2026-11"), 0)];
    assert_eq!(night("2026-11-01"), (Some(4), expected.clone()));
    assert_eq!(night("2026-11-03"), (Some(4), expected));
    lake.close(OCTOBER, "2026-11-03");
    assert_eq!(night("2026-11-03"), (Some(0), vec![(json!("2026-11"), 0)]));
}
