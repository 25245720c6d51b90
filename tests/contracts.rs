//! Compares every header below `sql/` with the plan of its statement, with the folder, and with a lake.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption must fail the test")]

mod bad;
pub(crate) mod lake;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use conto::query::{Session, Statement, statements};

/// The folder whose files are embedded in the program.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")
}

/// A session in which every relation is registered without rows, with the schema of its header.
fn session() -> Session {
    let session = Session::new(None).unwrap();
    for statement in statements().unwrap().values().filter(|statement| !statement.is_check()) {
        session.register_rows(&statement.name, statement.schema.clone(), Vec::new()).unwrap();
    }
    session
}

fn has_select(statement: &Statement) -> bool {
    statement.text.lines().any(|line| !line.starts_with("--") && !line.trim().is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_matches_its_header() {
    let session = session();
    let mut found = Vec::new();
    for statement in statements().unwrap().values() {
        for breach in rules::breaches(&session, statement).await {
            found.push(format!("sql/{}: {breach}", statement.path));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_allowed_division_exists() {
    let all = statements().unwrap();
    for (path, _) in rules::DIVISIONS {
        let statement = all.get(*path).unwrap_or_else(|| panic!("{path} may divide, but sql/ has no such file"));
        assert!(rules::code(statement.text).contains(" / "), "{path} no longer divides; remove it from the list");
    }
}

#[test]
fn the_embedded_files_are_those_of_the_folder() {
    let mut in_folder = BTreeMap::new();
    let mut folders = vec![folder()];
    while let Some(path) = folders.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                let name = path.strip_prefix(folder()).unwrap().with_extension("").display().to_string();
                in_folder.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let embedded: BTreeSet<&String> = statements().unwrap().keys().collect();
    let there: BTreeSet<&String> = in_folder.keys().collect();
    assert_eq!(embedded, there, "the build script lists the files below sql/");
    for (name, text) in &in_folder {
        assert_eq!(text, statements().unwrap()[name].text, "{name}");
    }
}

#[test]
fn a_name_identifies_one_file() {
    let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
    for statement in statements().unwrap().values() {
        if let Some(other) = paths.insert(&statement.name, statement.path) {
            panic!("sql/{other} and sql/{} have the same name `{}`", statement.path, statement.name);
        }
    }
}
