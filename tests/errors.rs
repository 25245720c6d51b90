//! Every message, with the smallest input that provokes it: one directory below `tests/errors/` for each.
//!
//! | file | is |
//! | --- | --- |
//! | `cmd` | what is run, by `sh`; the lines that begin with `#` say what the case shows |
//! | `stderr` | exactly what is told, with `[CWD]` for the directory |
//! | `stdout` | the same of the data, where the case is about them |
//! | `exit_code` | a number |
//! | anything else | the input, laid over `tests/errors/_base`, which runs as it is |
//!
//! A new directory is a new test. `CONTO_WRITE_ERRORS=1 cargo test errors` writes what the program says now, and
//! `tests/errors/README.md`, the gallery of all messages: to be read before it is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::copy;

const BASE: &str = "_base";

/// Files of a case that are no input.
const OWN: [&str; 4] = ["cmd", "stderr", "stdout", "exit_code"];

fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

fn is_writing() -> bool {
    let asked = std::env::var_os("CONTO_WRITE_ERRORS").is_some();
    assert!(!(asked && std::env::var_os("CI").is_some()), "expectations are not written where nobody reads them");
    asked
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

/// What a command said, with the directory's name taken out.
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

/// Runs one case; what is not as it stands there, in words.
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
        if is_writing() {
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
fn every_message_is_as_it_stands_in_the_gallery() {
    let names = cases();
    assert!(names.len() > 50, "the gallery is not where it was");
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let differences: Vec<String> = std::thread::scope(|scope| {
        let chunks = names.chunks(names.len().div_ceil(workers));
        let running: Vec<_> = chunks
            .map(|chunk| scope.spawn(move || chunk.iter().flat_map(|name| differences(name)).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    if is_writing() {
        fs::write(gallery().join("README.md"), page()).unwrap();
    }
    assert!(differences.is_empty(), "{} differ\n\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_gallery_shows_every_message() {
    if !is_writing() {
        let shown = fs::read_to_string(gallery().join("README.md")).unwrap_or_default();
        assert!(shown == page(), "tests/errors/README.md is not what CONTO_WRITE_ERRORS=1 cargo test errors writes");
    }
}

/// `tests/errors/README.md`.
fn page() -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in cases() {
        let group = name.split('_').next().unwrap_or_default().to_owned();
        groups.entry(group).or_default().push(name);
    }
    let mut page = String::from(
        "# Every message\n\nWritten by `CONTO_WRITE_ERRORS=1 cargo test errors` from the directories beside it; \
         `tests/errors.rs` says how they are made.\n",
    );
    for (group, names) in groups {
        let _ = write!(page, "\n## {group}\n");
        for name in names {
            let command = read(&name, "cmd").unwrap_or_default();
            let (about, command): (Vec<&str>, Vec<&str>) = command.lines().partition(|line| line.starts_with('#'));
            let about: Vec<&str> = about.iter().map(|line| line.trim_start_matches(['#', ' '])).collect();
            let exit_code = read(&name, "exit_code").unwrap_or_default();
            let _ = write!(page, "\n### [{name}]({name})\n\n{}\n\n```\n", about.join(" "));
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
