//! Every statement below `sql/` against rows that were worked out by hand: `tests/sql/<stage>/<relation>.slt`.
//!
//! A file is a story in the form of sqllogictest, told to the product's own session. `tests/sql/README.md` has the
//! verbs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by stopping")]

mod cells;
mod teller;
mod through_the_pipeline;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use conto::query::statements;
use sqllogictest::Runner;

use teller::{Seen, Teller};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql")
}

/// All `.slt` files, by path below the folder without the ending.
fn stories() -> BTreeSet<String> {
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

/// Tells every story; then each statement must have given rows, and each check must have been kept and broken.
#[test]
fn every_relation_gives_the_rows_worked_out_by_hand() {
    // One story alone, for the one who writes it: CONTO_STORY=rating/rated_usage
    let only = std::env::var("CONTO_STORY").ok();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut failures = Vec::new();
    for story in stories().iter().filter(|story| only.as_ref().is_none_or(|only| only == *story)) {
        let seen = Arc::clone(&seen);
        let mut runner = Runner::new(|| {
            let teller = Teller::new(Arc::clone(&seen));
            async move { teller }
        });
        if let Err(failure) = runner.run_file(folder().join(format!("{story}.slt"))) {
            failures.push(failure.display(false).to_string());
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
    if only.is_some() {
        return;
    }
    let seen = seen.lock().unwrap();
    for (path, statement) in statements().unwrap().iter().filter(|(path, _)| is_select(path)) {
        assert!(seen.with_rows.contains(path), "no story shows rows of sql/{path}.sql");
        assert!(!statement.is_check() || seen.without_rows.contains(path), "no story shows sql/{path}.sql kept");
    }
}

#[test]
fn each_statement_has_its_own_story() {
    let expected: BTreeSet<String> = statements().unwrap().keys().filter(|path| is_select(path)).cloned().collect();
    let missing: Vec<&String> = expected.difference(&stories()).cloned().collect::<Vec<_>>().leak().iter().collect();
    assert!(missing.is_empty(), "tests/sql/ has no story for {missing:?}");
    let stories = stories();
    let stale: Vec<&String> = stories.difference(&expected).collect();
    assert!(stale.is_empty(), "tests/sql/ has stories of no statement: {stale:?}");
}
