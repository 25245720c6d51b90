//! Reports of users of other billing programs, each as a directory of `tests/reports/` with its right result.
//!
//! `expected.toml` contains the source and the arithmetic in comments, and the steps. A step has a command, its exit
//! code, parts of its messages, and queries with their rows. `deliver` names a directory, which is copied over the case
//! before the step.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::test_lake::{TestLake, stderr_of};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    step: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    deliver: Option<String>,
    command: Vec<String>,
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    query: Vec<Query>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    sql: String,
    rows: Vec<String>,
}

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// The differences between a case and its expected results.
fn differences(case: &Path) -> Vec<String> {
    let lake = TestLake::copy_of(case);
    let expected: Expected = toml::from_str(&lake.text("expected.toml")).unwrap();
    let mut found = Vec::new();
    for step in &expected.step {
        for (name, content) in step.deliver.iter().flat_map(|directory| lake.files(directory)) {
            lake.put(&name, content);
        }
        let arguments: Vec<&str> = step.command.iter().map(String::as_str).collect();
        let output = lake.output(&arguments);
        let (code, text) = (output.status.code(), stderr_of(&output));
        if code != Some(step.exit_code) {
            found.push(format!("{arguments:?}: exit code {code:?}, expected {}: {text}", step.exit_code));
            return found;
        }
        let missing = step.message.iter().filter(|part| !text.contains(*part));
        found.extend(missing.map(|part| format!("{arguments:?}: no `{part}` in {text}")));
        for query in &step.query {
            let rows = lake.sql(&query.sql);
            if rows != query.rows {
                found.push(format!("{}: {rows:?}, expected {:?}", query.sql, query.rows));
            }
        }
    }
    found
}

#[test]
fn every_report_has_its_right_result() {
    let cases = cases();
    assert!(cases.len() >= 30, "only {} reports", cases.len());
    let of_cases = |cases: &[PathBuf]| -> Vec<String> {
        let of_case = |case: &PathBuf| {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            differences(case).into_iter().map(move |text| format!("{name}: {text}"))
        };
        cases.iter().flat_map(of_case).collect()
    };
    // Each step starts the program, so cases in parallel use all cores.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(move || of_cases(part))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The log names each directory, and each directory is in the log.
#[test]
fn the_log_lists_every_report() {
    let log = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports/README.md")).unwrap();
    let named: Vec<String> =
        cases().iter().map(|case| case.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let missing: Vec<&String> = named.iter().filter(|name| !log.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let listed = log.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed, named.len(), "the table of cases");
}
