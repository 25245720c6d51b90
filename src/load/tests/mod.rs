//! Every message of the readers with the smallest input that causes it, and valid files.

mod accounts;
mod config;
mod dialects;
mod good;
mod render;
mod rules;
mod schema;
mod terms;

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use jiff::tz::TimeZone;

use super::{RuleFile, read_config_text, read_rule_files};
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::model::rule_book::RuleBook;

/// Reads the `*.toml` files as rule files. The other files are CSV files for them.
fn read(files: &[(&str, &str)]) -> (RuleBook, Diagnostics) {
    let rule_files = files
        .iter()
        .filter(|(name, _)| name.ends_with(".toml"))
        .map(|(name, text)| RuleFile {
            name: (*name).to_owned(),
            folder: Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default(),
            text: (*text).to_owned(),
        })
        .collect();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    read_rule_files(rule_files, &|path, _| find(files, path), &zone, iso_currency::Currency::EUR)
}

fn find(files: &[(&str, &str)], path: &Path) -> io::Result<String> {
    let found = files.iter().find(|(name, _)| Path::new(name) == path);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::other("no such file"))
}

fn config(files: &[(&str, &str)]) -> (Option<Config>, Diagnostics) {
    let read_text =
        |path: &Path, _: &'static encoding_rs::Encoding| find(files, path.strip_prefix("/etc/conto").unwrap());
    read_config_text("conto.toml", files[0].1, Path::new("/etc/conto"), &read_text, None)
}

/// A line for each problem: code, places, message, hint.
fn lines(diagnostics: Diagnostics) -> String {
    let mut text = String::new();
    for Diagnostic { severity, code, message, labels, hint } in diagnostics.into_sorted() {
        let warning = if severity == Severity::Warning { "warning " } else { "" };
        let places: Vec<String> = labels.iter().map(|(place, _)| place.to_string()).collect();
        let hint = hint.map(|hint| format!(" | {hint}")).unwrap_or_default();
        writeln!(text, "{warning}{code} | {} | {message}{hint}", places.join(", ")).unwrap();
    }
    text
}

/// The errors of rule files, without warnings.
fn errors(files: &[(&str, &str)]) -> String {
    lines(read(files).1).lines().filter(|line| !line.starts_with("warning")).map(|line| format!("{line}\n")).collect()
}

/// A meter with a dimension of each type.
const METERS: &str = r#"
[[meter]]
name = "instance"
aggregation = "presence"
unit = "instance-hour"
dimensions.flavor = { from = ["flavor"] }
dimensions.vcpus = { from = ["vcpus"], type = "decimal" }
dimensions.spot = { from = ["spot"], type = "bool" }
"#;

/// The errors of a rule file with the meter of `METERS`.
fn rule_errors(text: &str) -> String {
    errors(&[("meters.toml", METERS), ("r.toml", text)])
}

/// The errors of an otherwise valid base rule with additional lines.
fn one_rule(text: &str) -> String {
    let head = "[[rule]]\nid = \"a\"\nmeter = \"instance\"\nsku = \"S\"\nservice = \"Compute\"\n";
    rule_errors(&format!("{head}{text}\n"))
}

/// Each input on one line, with its problems below.
fn each(inputs: &[&str], check: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for input in inputs {
        writeln!(text, "{}", input.trim().replace('\n', " ⏎ ")).unwrap();
        for line in check(input).lines() {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}
