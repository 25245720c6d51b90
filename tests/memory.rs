//! `--memory-limit`: the process stays below the limit, and the results equal those of a run without a limit.

use std::fmt::Write as _;
use std::time::Duration;

use crate::test_lake::{TestLake, USAGE_COLUMNS, assert_same_files, without_index};

const LIMIT_BYTES: usize = 128 << 20;

/// A lake with one day of usage: this many machines in ten projects, polled every minute.
fn lake(machines: usize) -> TestLake {
    let rules = r#"
        [[meter]]
        name = "m"
        aggregation = "presence"
        unit = "hour"

        [[rule]]
        id = "r"
        meter = "m"
        sku = "CMP"
        service = "Compute"
        unit_price = "0.01"
        "#;
    let lake = TestLake::new().config("shards = 2").rules(rules);
    let mut rows = format!("{USAGE_COLUMNS}\n");
    for minute in 0..24 * 60 {
        for machine in 0..machines {
            let (hour, minute, project) = (minute / 60, minute % 60, machine % 10);
            writeln!(rows, "m,machine-{machine},2026-10-01T{hour:02}:{minute:02}:00Z,1,p{project}").unwrap();
        }
    }
    lake.put("usage/october.csv", rows);
    lake
}

/// The peak anonymous memory of a command in bytes, and its standard error. Pages of the program's file are not
/// counted, because a development build has ten times as many.
fn peak_of(lake: &TestLake, arguments: &[&str]) -> (usize, String) {
    let mut child = lake.command(arguments).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    (peak, message)
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn memory_stays_within_the_limit_and_no_result_changes() {
    if !std::path::Path::new("/proc/self/status").exists() {
        println!("skipped: this system has no /proc/self/status");
        return;
    }
    let (limited, free) = (lake(400), lake(400));
    let (peak, message) = peak_of(&limited, &["run", "--period", "2026-10", "--memory-limit", "128MiB"]);
    let (unlimited, message_of_free) = peak_of(&free, &["run", "--period", "2026-10"]);
    println!("{} MiB with a limit of {}, {} without", peak >> 20, LIMIT_BYTES >> 20, unlimited >> 20);
    assert!(peak <= LIMIT_BYTES, "{} MiB of {}", peak >> 20, LIMIT_BYTES >> 20);
    // With the pages of the program's file, the memory exceeds the limit, and the user is warned.
    assert!(message.contains("more than --memory-limit 128 MiB"), "{message}");
    assert!(!message_of_free.contains("--memory-limit"), "{message_of_free}");
    assert_eq!(limited.results(), free.results());
    assert_eq!(without_index(limited.documents("2026-10")), without_index(free.documents("2026-10")));
}

/// A month in which most usage has no price. `unrated_usage` is the result of a statement, so the engine cuts its
/// batches by the memory limit.
#[test]
fn unrated_usage_has_the_same_files_under_any_memory_limit() {
    let world = || {
        let lake = TestLake::new().config("shards = 1\n[run]\nmax_unrated = 1000000").rules(
            r#"
            [[meter]]
            name = "m"
            aggregation = "sum"
            unit = "hour"

            [[rule]]
            id = "r"
            meter = "m"
            sku = "CMP"
            service = "Compute"
            unit_price = "0.01"
            when = "project_id = 'p0'"
            "#,
        );
        let mut rows = format!("{USAGE_COLUMNS}\n");
        for day in 1..=25 {
            for machine in 0..1_000 {
                let project = machine % 50;
                writeln!(rows, "m,machine-{machine},2026-10-{day:02}T12:00:00Z,{day},p{project}").unwrap();
            }
        }
        lake.put("usage/october.csv", rows);
        lake
    };
    let lake = world();
    lake.succeeds(&["run", "--period", "2026-10"]);
    // `input_file` contains the times of the files, which differ between the worlds.
    let files_of = |lake: &TestLake| {
        let mut files = lake.files("lake/data");
        files.retain(|path, _| !path.starts_with("input_file/"));
        files
    };
    for limit in ["192MiB", "256MiB", "512MiB"] {
        let again = lake.succeeds(&["run", "--period", "2026-10", "--memory-limit", limit]);
        assert!(again.contains("Nothing changed"), "{limit}: {again}");
        let other = world();
        other.succeeds(&["run", "--period", "2026-10", "--memory-limit", limit]);
        assert_same_files(&files_of(&lake), &files_of(&other), limit);
    }
}
