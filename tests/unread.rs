//! No file, record or key that cannot be read keeps the usage of the others from being billed. It is listed with its
//! reason, counts against `max_rejected`, and blocks a close.
//!
//! | file | content |
//! | --- | --- |
//! | `inputs.rs` | sources of each format, good files, and every kind of bad file |
//! | `bucket.rs` | a bucket on loopback whose objects fail |
//! | `gnocchi.rs` | a Gnocchi on loopback whose requests and metrics fail |
//! | `continued.rs` | deliveries that were read before they were complete |

mod bucket;
mod continued;
mod gnocchi;
mod inputs;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;

use self::inputs::{Bad, Kind, Outcome, SOURCES, good, lake};
use crate::conservation::cases;
use crate::test_lake::{TestLake, assert_same_files, stderr_of};

const PERIOD: &str = "2026-10";
const RUN: [&str; 3] = ["run", "--period", PERIOD];

/// The price in units of the twelfth decimal place.
const PRICE: i128 = 123_456_789_012;

/// Asserts that each bad file has its outcome: a row with its reason, or none if it contains nothing.
fn assert_listed(lake: &TestLake, bad: &[Bad]) {
    let mut unread: BTreeSet<(String, String)> = BTreeSet::new();
    let mut rejected: BTreeSet<(String, String)> = BTreeSet::new();
    for bad in bad {
        match bad.outcome() {
            Outcome::Nothing => {}
            Outcome::Rejected(reason) => drop(rejected.insert((bad.name(), reason.to_owned()))),
            Outcome::Unread(reason) => drop(unread.insert((bad.name(), reason.to_owned()))),
        }
    }
    let place = |row: &crate::test_lake::Row| {
        let url = &row["url"];
        let parts: Vec<&str> = url.rsplitn(3, '/').collect();
        (format!("{}/{}", parts[1], parts[0]), row["reason"].clone())
    };
    let found: BTreeSet<_> = lake.rows("unread_input").iter().map(place).collect();
    assert_eq!(found, unread, "unread inputs");
    let names: std::collections::BTreeMap<String, String> =
        lake.rows("input_file").iter().map(|row| (row["input_file_id"].clone(), row["url"].clone())).collect();
    let reasons = lake.rows("rejected_record").into_iter().map(|mut row| {
        row.insert("url".to_owned(), names[&row["input_file_id"]].clone());
        place(&row)
    });
    assert_eq!(reasons.collect::<BTreeSet<_>>(), rejected, "rejected records");
}

/// Asserts that the good usage is billed to the last digit.
fn assert_billed(lake: &TestLake, quantities: &[i128]) {
    let total: i128 = quantities.iter().sum();
    let decimal = |column: &str, relation: &str, places: usize| -> i128 {
        let units = |text: &String| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            format!("{whole}{fraction:0<places$}").parse::<i128>().unwrap()
        };
        lake.column(relation, column).iter().map(units).sum()
    };
    assert_eq!(decimal("quantity", "invoice_line", 9), total, "the invoiced quantity");
    // Quantities have 9 places and the price has 12; a cost is cut off after 18 places.
    let costs: i128 = quantities.iter().map(|quantity| quantity * PRICE / 1_000).sum();
    let rated = decimal("contracted_cost", "rated_usage", 18);
    assert!((rated - costs).abs() <= quantities.len() as i128, "the cost is {rated}, expected {costs}");
}

/// Delivers the good files, and the bad files beside them.
fn delivered(quantities: &[i128], bad: &[Bad]) -> TestLake {
    let lake = lake(PRICE);
    good(&lake, quantities);
    bad.iter().for_each(|bad| bad.deliver(&lake));
    lake
}

/// Every kind of bad file in a source of every format, all in one night.
#[test]
fn every_kind_of_bad_file_is_listed_and_leaves_the_others_billed() {
    let mut bad: Vec<Bad> = Vec::new();
    for source in 0..SOURCES.len() {
        bad.extend(Kind::ALL.into_iter().enumerate().map(|(number, kind)| Bad { source, kind, number }));
    }
    let quantities = [1, 2_500_000_000, 999_999_999_999, 10i128.pow(18), 7, 123_456_789_123_456];
    let clean = delivered(&quantities, &[]);
    assert!(clean.run(PERIOD).intake.unread_inputs.is_empty());
    assert_billed(&clean, &quantities);
    let soiled = delivered(&quantities, &bad);
    let summary = soiled.run(PERIOD);
    assert_eq!(summary.intake.unread_inputs.len(), soiled.rows("unread_input").len());
    assert_billed(&soiled, &quantities);
    assert_listed(&soiled, &bad);
    assert_same_files(&clean.results(), &soiled.results(), "with bad files");
    // The next night tries again and changes nothing.
    assert_eq!(soiled.run(PERIOD).intake.intake_commit, None);
}

proptest! {
    #![proptest_config(Config { max_shrink_iters: 8, ..cases(4) })]

    /// Random bad files and records among good ones.
    #[test]
    fn bad_inputs_among_good_ones_are_listed_and_change_no_amount(
        quantities in prop::collection::vec(1..10i128.pow(20), 6..10),
        bad in prop::collection::vec((0..SOURCES.len(), prop::sample::select(Kind::ALL.to_vec())), 1..6),
        nights in 1..3usize,
    ) {
        let bad: Vec<Bad> =
            bad.into_iter().enumerate().map(|(number, (source, kind))| Bad { source, kind, number }).collect();
        let clean = delivered(&quantities, &[]);
        clean.run(PERIOD);
        let soiled = delivered(&quantities, &bad);
        for _ in 0..nights {
            soiled.run(PERIOD);
        }
        assert_billed(&soiled, &quantities);
        assert_listed(&soiled, &bad);
        assert_same_files(&clean.results(), &soiled.results(), "with bad files");
    }
}

fn small() -> TestLake {
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "1""#);
    lake.deliver("good", ["m,a,2026-10-05T10:00:00Z,3,p"]);
    lake.put("usage/wrong.csv", "meter,resource,measured_at,quantity,project_id\nm,b,2026-10-05T10:00:00Z,4,p\n");
    lake
}

const NO_RESOURCE: &str = "there is no column `resource_id` (did you mean `resource`?)";

#[test]
fn a_file_that_is_repaired_is_read_in_the_next_run() {
    let lake = small();
    let message = lake.fails(4, &RUN);
    assert!(message.contains("wrong.csv` of the source `table`") && message.contains(NO_RESOURCE), "{message}");
    assert!(message.contains("error: 1 input not read; all others are read"), "{message}");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["3.0000"]);
    let status = lake.succeeds(&["status"]);
    assert!(status.contains("wrong.csv") && status.contains("wrong_columns"), "{status}");
    // A changed configuration is enough: the same content is read again.
    let with_columns = r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"

        [[source]]
        name = "other"
        format = "csv"
        path = "usage/wrong*"
        columns = { resource_id = "resource" }
        "#;
    lake.configure(with_columns.replace("usage/*.csv*", "usage/good*"));
    lake.succeeds(&RUN);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["7.0000"]);
    assert!(lake.rows("unread_input").is_empty());
    assert!(!lake.succeeds(&["status"]).contains("could not read"));
}

/// Two sources find files with equal content. The first source cannot read it, so the second source does.
#[test]
fn the_first_source_that_can_read_a_content_reads_it() {
    let lake = small();
    lake.put("more/copy.csv", lake.text("usage/wrong.csv"));
    lake.configure(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"

        [[source]]
        name = "other"
        format = "csv"
        path = "more/*.csv"
        columns = { resource_id = "resource" }
        "#,
    );
    lake.fails(4, &RUN);
    assert_eq!(lake.column("unread_input", "source"), ["table"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["7.0000"]);
}

#[test]
fn unread_inputs_count_against_max_rejected_and_block_a_close() {
    let lake = small();
    let message = lake.fails(3, &[&RUN[..], &["--max-rejected", "0"]].concat());
    assert!(message.contains("1 input not read, more than --max-rejected 0"), "{message}");
    assert!(message.contains("SELECT * FROM unread_input"), "{message}");
    assert!(lake.rows("invoice").is_empty());
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    let blocker = "1 input could not be read, more than `max_rejected` = 0: `";
    assert!(message.contains(blocker) && message.contains(NO_RESOURCE), "{message}");
    // Rejected records and unread inputs count together.
    lake.deliver("half", ["m,c,2026-10-05T10:00:00Z,x,p"]);
    lake.configure("closing.max_rejected = 1");
    let message = lake.fails(3, &[&RUN[..], &["--max-rejected", "1"]].concat());
    let both = "1 record rejected since the last billing of this month and 1 input not read, more than";
    assert!(message.contains(both), "{message}");
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    assert!(message.contains("1 record in input files of the period was rejected"), "{message}");
    assert!(message.contains("1 input could not be read"), "{message}");
    lake.configure("closing.max_rejected = 2");
    let message = lake.close_fails(4, PERIOD, "2026-11-02");
    assert!(message.contains("1 input not read; all others are read"), "{message}");
    assert_eq!(lake.rows("issued_document").len(), 1);
    lake.assert_audited(&[PERIOD]);
    lake.assert_all_reproduced();
}

#[test]
fn force_records_the_unread_inputs_of_a_close() {
    let lake = small();
    lake.close_command(PERIOD, "2026-11-02").args(["--force", "--reason", "a test"]).output().unwrap();
    let blockers = lake.overridden_blockers(lake.last_close(PERIOD));
    assert!(blockers.len() == 1 && blockers[0].starts_with("unread_input 1 of 0: 1 input could not"), "{blockers:?}");
}

#[test]
fn a_run_of_all_open_months_reports_unread_inputs_once() {
    let lake = small();
    let output = lake.command(&["run"]).output().unwrap();
    let message = stderr_of(&output);
    assert_eq!((output.status.code(), message.matches("not read: ").count()), (Some(4), 1), "{message}");
}

/// A select that fits no file of a new source is a mistake in the configuration. After the source has read a file, the
/// mistake is in the new file.
#[test]
fn a_select_that_fits_no_file_is_an_error_of_the_configuration_only_for_a_new_source() {
    let lake = small();
    lake.configure(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"
        select = "SELECT meter, resource_id, measured_at, quantity, project_id FROM source"
        "#,
    );
    let good = lake.text("usage/good.csv");
    lake.remove("usage/good.csv");
    lake.put("usage/empty.csv", "");
    let message = lake.fails(2, &RUN);
    assert!(message.contains("the select of the source `table` fails for `"), "{message}");
    lake.put("usage/good.csv", good);
    let message = lake.fails(4, &RUN);
    assert!(message.contains("the select fails: the file has no column `resource_id`"), "{message}");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["3.0000"]);
    lake.put("usage/wrong-too.csv", "a\n1\n");
    let message = lake.fails(4, &RUN);
    assert!(message.contains("error: 2 inputs not read"), "{message}");
}

#[test]
fn a_file_that_is_missing_after_the_first_run_leaves_out_its_source_only() {
    let lake = small();
    lake.remove("usage/wrong.csv");
    lake.configure(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"

        [[source]]
        name = "latest"
        format = "csv"
        path = "latest.csv"
        "#,
    );
    let message = lake.fails(2, &RUN);
    assert!(message.contains("the file of the source `latest` does not exist"), "{message}");
    lake.put("latest.csv", "meter,resource_id,measured_at,quantity,project_id\nm,c,2026-10-05T10:00:00Z,5,p\n");
    lake.succeeds(&RUN);
    lake.remove("latest.csv");
    lake.deliver("more", ["m,d,2026-10-05T10:00:00Z,7,p"]);
    lake.fails(4, &RUN);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["15.0000"]);
    assert_eq!(lake.column("unread_input", "reason"), ["not_found"]);
    // The source as a whole was not read, whatever number of rejected records is accepted.
    lake.configure("closing.max_rejected = 100");
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    assert!(message.contains("the source `latest` was not read: `"), "{message}");
}

/// Runs the month without the permissions of root, who can read every file. `None` if root cannot run the program as
/// another user here.
#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn run_unprivileged(lake: &TestLake) -> Option<std::process::Output> {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;

    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    // Another user may have no access to the directory of the program.
    let program = lake.path("program");
    if !program.exists() && std::fs::hard_link(env!("CARGO_BIN_EXE_conto"), &program).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_conto"), &program).unwrap();
    }
    let unprivileged = || {
        let mut command = std::process::Command::new(&program);
        command.args(RUN).current_dir(lake.path(""));
        if is_root {
            command.uid(65_534);
        }
        command
    };
    let is_refused = unprivileged().arg("--help").output().map_or(true, |ran| !ran.status.success());
    if is_refused {
        println!("skipped: the program cannot be run as another user here");
        return None;
    }
    Some(unprivileged().output().unwrap())
}

#[cfg(target_os = "linux")]
fn set_mode(lake: &TestLake, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(lake.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_or_directory_without_permission_is_listed() {
    let lake = small();
    lake.configure(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/**/*.csv"
        "#,
    );
    lake.put("usage/secret/more.csv", lake.text("usage/wrong.csv"));
    set_mode(&lake, "", 0o777);
    set_mode(&lake, "usage/wrong.csv", 0o000);
    set_mode(&lake, "usage/secret", 0o000);
    let output = run_unprivileged(&lake);
    set_mode(&lake, "usage/secret", 0o755);
    let Some(output) = output else { return };
    assert_eq!(output.status.code(), Some(4), "{}", stderr_of(&output));
    assert_eq!(lake.column("unread_input", "reason"), ["no_permission", "no_permission"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["3.0000"]);
}

/// A file of each format, and a directory of each format, that the program may not read.
#[test]
#[cfg(target_os = "linux")]
fn a_file_or_directory_of_any_format_without_permission_is_listed_and_leaves_the_others_billed() {
    let lake = lake(PRICE);
    let mut config: toml::Table = lake.text("conto.toml").parse().unwrap();
    let sources = config["source"].as_array_mut().unwrap();
    let mut expected = Vec::new();
    for (number, (name, _)) in SOURCES.iter().enumerate() {
        let mut closed = sources[number].clone();
        closed["name"] = format!("closed-{name}").into();
        closed["path"] = format!("closed/{name}/*").into();
        sources.push(closed);
        let lost = |resource: usize| inputs::file(number, &[inputs::Usage::good(resource, 10i128.pow(9))]);
        lake.put(&format!("{name}/secret"), lost(100 + number));
        lake.put(&format!("closed/{name}/more"), lost(200 + number));
        set_mode(&lake, &format!("{name}/secret"), 0o000);
        set_mode(&lake, &format!("closed/{name}"), 0o000);
        expected.push(((*name).to_owned(), format!("{name}/secret")));
        expected.push((format!("closed-{name}"), format!("{name}/*")));
    }
    lake.put("conto.toml", toml::to_string(&config).unwrap());
    let quantities = [1, 2_500_000_000, 999_999_999_999, 10i128.pow(18), 7, 123_456_789_123_456, 3];
    good(&lake, &quantities);
    set_mode(&lake, "", 0o777);
    let output = run_unprivileged(&lake);
    SOURCES.iter().for_each(|(name, _)| set_mode(&lake, &format!("closed/{name}"), 0o755));
    let Some(output) = output else { return };
    assert_eq!(output.status.code(), Some(4), "{}", stderr_of(&output));
    assert_billed(&lake, &quantities);
    expected.sort();
    let rows = lake.rows("unread_input");
    let end =
        |url: &str| url.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
    let listed: Vec<_> = rows.iter().map(|row| (row["source"].clone(), end(&row["url"]))).collect();
    assert_eq!(listed, expected);
    assert!(rows.iter().all(|row| row["reason"] == "no_permission"), "{rows:?}");
}
