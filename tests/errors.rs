//! Tests of all error messages. Each directory below `tests/errors/` is a case with the smallest input that causes the
//! message.
//!
//! | file | content |
//! | --- | --- |
//! | `cmd` | the shell script of the case; lines that begin with `#` describe the case |
//! | `stderr` | the exact messages, with `[CWD]` in place of the directory |
//! | `stdout` | the exact data; only in cases about data |
//! | `exit_code` | the exit code as a number |
//! | other files | the input, copied over the valid input in `tests/errors/_base` |
//!
//! A new directory is a new test. `CONTO_WRITE_ERRORS=1 cargo test errors` writes the current output into all cases and
//! into `docs/reference/errors.md`, the page of all messages. `CONTO_WRITE_DOCS=1` writes the page alone. Review the
//! difference before you commit it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::copy;
use crate::docs::book::{hold, is_writing, root};

const PAGE: &str = "docs/reference/errors.md";

const BASE: &str = "_base";

/// The files of a case that are not input.
const OWN: [&str; 4] = ["cmd", "stderr", "stdout", "exit_code"];

fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

fn is_writing_cases() -> bool {
    is_writing("CONTO_WRITE_ERRORS")
}

/// The names of all cases, sorted.
fn cases() -> Vec<String> {
    let entries = fs::read_dir(gallery()).unwrap().map(|entry| entry.unwrap());
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| name != BASE);
    names.sort();
    names
}

/// The output of a command, with `[CWD]` in place of the directory.
struct Said {
    stdout: String,
    stderr: String,
    exit_code: String,
}

fn said(name: &str) -> Said {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap().join("case");
    copy(&gallery().join(BASE), &directory);
    copy(&gallery().join(name), &directory);
    for own in OWN {
        let _ = fs::remove_file(directory.join(own));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_conto"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_path_buf())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let output = Command::new("sh")
        .arg(gallery().join(name).join("cmd"))
        .current_dir(&directory)
        .env("PATH", path.unwrap())
        .env("COLUMNS", "100")
        .env("LC_ALL", "C")
        .env("CONTO_TODAY", "2026-12-31")
        .env_remove("CONTO_CONFIG")
        .env_remove("CONTO_LOG")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&directory.display().to_string(), "[CWD]");
    let exit_code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    Said { stdout: text(&output.stdout), stderr: text(&output.stderr), exit_code: format!("{exit_code}\n") }
}

fn read(name: &str, file: &str) -> Option<String> {
    fs::read_to_string(gallery().join(name).join(file)).ok()
}

/// Runs one case, and describes the differences from its files.
fn differences(name: &str) -> Vec<String> {
    let said = said(name);
    let mut differences = Vec::new();
    let mut files = vec![("stderr", &said.stderr), ("exit_code", &said.exit_code)];
    if read(name, "stdout").is_some() {
        files.push(("stdout", &said.stdout));
    }
    for (file, found) in files {
        let expected = read(name, file).unwrap_or_default();
        if expected == *found {
            continue;
        }
        if is_writing_cases() {
            fs::write(gallery().join(name).join(file), found).unwrap();
        } else {
            differences.push(format!("tests/errors/{name}/{file}\n--- expected\n{expected}--- found\n{found}"));
        }
    }
    if said.stderr.contains("panicked at") {
        differences.push(format!("tests/errors/{name}: the program panicked\n{}", said.stderr));
    }
    differences
}

#[test]
fn every_message_equals_its_gallery_file() {
    let names = cases();
    assert!(names.len() > 50, "tests/errors has too few cases");
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let differences: Vec<String> = std::thread::scope(|scope| {
        let chunks = names.chunks(names.len().div_ceil(workers));
        let running: Vec<_> = chunks
            .map(|chunk| scope.spawn(move || chunk.iter().flat_map(|name| differences(name)).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    if is_writing_cases() {
        fs::write(root().join(PAGE), page()).unwrap();
    }
    assert!(differences.is_empty(), "{} differences\n\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_page_of_errors_shows_every_message() {
    // In that mode, the other test writes the page after the cases.
    if !is_writing_cases() {
        hold(PAGE, &page());
    }
}

/// The areas of messages in the order of the page: the first word of the directory names, and a description.
const AREAS: [(&str, &str); 9] = [
    ("command", "Arguments and options of commands."),
    ("config", "The configuration file `conto.toml`."),
    ("accounts", "The accounts file."),
    ("rules", "Rule files and the CSV files beside them."),
    ("source", "Servers that usage is pulled from."),
    ("data", "Usage files and their records."),
    ("intake", "`conto intake` and its subcommands."),
    ("lake", "The files of the lake, and `conto lake`."),
    ("close", "`conto close`."),
];

/// The text of `docs/reference/errors.md`.
fn page() -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in cases() {
        let group = name.split('_').next().unwrap_or_default().to_owned();
        groups.entry(group).or_default().push(name);
    }
    let order = |group: &str| AREAS.iter().position(|(area, _)| *area == group);
    let mut groups: Vec<(String, Vec<String>)> = groups.into_iter().collect();
    // An area without an entry in `AREAS` is last.
    groups.sort_by_key(|(group, _)| (order(group).unwrap_or(AREAS.len()), group.clone()));
    let mut page = String::from(
        "# Error messages\n\n\
         <!-- Generated by `CONTO_WRITE_DOCS=1 cargo test errors` from the cases in tests/errors/. -->\n\n\
         Each entry shows a command, its output, and its [exit code](exit-codes.md).\n\
         The title of an entry is the name of its case: `tests/errors/` has a directory with the complete input.\n",
    );
    for (group, names) in groups {
        let _ = write!(page, "\n## {group}\n");
        if let Some(place) = order(&group) {
            let _ = write!(page, "\n{}\n", AREAS[place].1);
        }
        for name in names {
            let command = read(&name, "cmd").unwrap_or_default();
            let (about, command): (Vec<&str>, Vec<&str>) = command.lines().partition(|line| line.starts_with('#'));
            let about: Vec<&str> = about.iter().map(|line| line.trim_start_matches(['#', ' '])).collect();
            let exit_code = read(&name, "exit_code").unwrap_or_default();
            let _ = write!(page, "\n### [{name}](../../tests/errors/{name})\n\n{}\n\n```text\n", about.join(" "));
            for line in command {
                let _ = writeln!(page, "$ {line}");
            }
            page.push_str(&read(&name, "stdout").unwrap_or_default());
            page.push_str(&read(&name, "stderr").unwrap_or_default());
            let _ = write!(page, "```\n\nExit code {}.\n", exit_code.trim());
        }
    }
    page
}
