//! Every statement below `sql/` against rows computed by hand: `tests/sql/<stage>/<relation>.slt`.
//!
//! A file is a case of sqllogictest that runs in the product's own session. `tests/sql/README.md` lists the verbs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed precondition of a test is a panic")]

mod cells;
mod slt_runner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use conto::query::statements;
use sqllogictest::Runner;

use slt_runner::{Seen, SltRunner};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql")
}

/// The paths of all `.slt` files, relative to the folder and without the extension.
fn cases() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder()];
    while let Some(path) = folders.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                found.insert(path.strip_prefix(folder()).unwrap().with_extension("").display().to_string());
            }
        }
    }
    found
}

fn is_select(path: &str) -> bool {
    statements().unwrap()[path].text.lines().any(|line| line.starts_with("SELECT") || line.starts_with("WITH"))
}

/// Runs every case. Each statement must return rows in some case. Each check must return rows in some case, and none in
/// another.
#[test]
fn every_statement_returns_the_rows_of_its_slt_case() {
    // CONTO_CASE=rating/rated_usage runs only this case.
    let only = std::env::var("CONTO_CASE").ok();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut failures = Vec::new();
    for case in cases().iter().filter(|case| only.as_ref().is_none_or(|only| only == *case)) {
        let seen = Arc::clone(&seen);
        let mut runner = Runner::new(|| {
            let slt_runner = SltRunner::new(Arc::clone(&seen));
            async move { slt_runner }
        });
        if let Err(failure) = runner.run_file(folder().join(format!("{case}.slt"))) {
            failures.push(failure.display(false).to_string());
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
    if only.is_some() {
        return;
    }
    let seen = seen.lock().unwrap();
    for (path, statement) in statements().unwrap().iter().filter(|(path, _)| is_select(path)) {
        assert!(seen.with_rows.contains(path), "no case shows rows of sql/{path}.sql");
        assert!(!statement.is_check() || seen.without_rows.contains(path), "no case shows sql/{path}.sql without rows");
    }
}

#[test]
fn each_statement_has_its_own_case() {
    let expected: BTreeSet<String> = statements().unwrap().keys().filter(|path| is_select(path)).cloned().collect();
    let missing: Vec<&String> = expected.difference(&cases()).cloned().collect::<Vec<_>>().leak().iter().collect();
    assert!(missing.is_empty(), "tests/sql/ has no case for {missing:?}");
    let cases = cases();
    // A statement with many cases has a folder with further files.
    let is_further = |case: &str| case.rsplit_once('/').is_some_and(|(folder, _)| expected.contains(folder));
    let stale: Vec<&String> = cases.difference(&expected).filter(|case| !is_further(case)).collect();
    assert!(stale.is_empty(), "tests/sql/ has cases of no statement: {stale:?}");
}
