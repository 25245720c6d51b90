//! `sql/README.md` is a table of the headers, in the order of the pipeline.

use std::collections::BTreeMap;

use conto::query::{Statement, statements};

use super::{folder, has_select};

/// The line of a statement in the table.
fn line(statement: &Statement) -> String {
    let link = format!("[{}]({})", statement.name, statement.path);
    let made_by = statement.text.lines().find_map(|line| line.strip_prefix("-- by      ")).unwrap_or_default();
    let reads = statement.reads.join(", ");
    let reads = if has_select(statement) { reads } else { format!("made by {made_by}") };
    if statement.is_check() {
        format!("| {link} | {reads} |")
    } else {
        format!("| {link} | {} | {reads} |", statement.grain.join(", "))
    }
}

#[test]
fn the_table_is_what_the_headers_say() {
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let given: Vec<&str> = text.lines().filter(|line| line.starts_with("| [")).collect();
    let expected: Vec<String> = statements().unwrap().values().map(line).collect();
    let missing: Vec<&str> = expected.iter().map(String::as_str).filter(|line| !given.contains(line)).collect();
    assert!(missing.is_empty(), "sql/README.md lacks\n{}\n", missing.join("\n"));
    let stale: Vec<&&str> = given.iter().filter(|line| !expected.iter().any(|known| known == *line)).collect();
    assert!(stale.is_empty(), "sql/README.md has lines that no header gives: {stale:#?}");
    assert_eq!(given.len(), expected.len(), "a line stands twice in sql/README.md");
}

#[test]
fn what_a_relation_reads_stands_above_it() {
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("| [")?.split(']').next());
    let places: BTreeMap<&str, usize> = names.enumerate().map(|(place, name)| (name, place)).collect();
    for statement in statements().unwrap().values().filter(|statement| !statement.is_check()) {
        for read in &statement.reads {
            let (reader, read_at) = (places[statement.name.as_str()], places[read.as_str()]);
            assert!(read_at < reader, "`{}` reads `{read}`, which stands below it in sql/README.md", statement.name);
        }
    }
}
