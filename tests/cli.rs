//! Tests of transcripts: the files in `tests/cli/`, and the `console` blocks in `README.md` and the pages below
//! `docs/`.
//!
//! A transcript of `tests/cli/` starts in a fresh copy of `samples/one-month-cloud`. A page starts in a directory with
//! copies of `samples/` and `rating-rules/`. The commands of one file run one after the other in the same directory.
//! `TRYCMD=overwrite cargo test cli` writes the current output into the transcripts. Review the difference before you
//! commit it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::docs::book::pages;

/// Copies a directory and its content.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            // A developer may have run the sample in its own directory.
            if entry.file_name() != "lake" {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs each transcript in its own sandbox, which `furnish` fills. If trycmd overwrites transcripts, the new files
/// replace the old ones.
fn play(transcripts: &[&Path], furnish: impl Fn(&Path)) {
    let stage = tempfile::tempdir().unwrap();
    // Pages in different folders may have the same name.
    let staged_of = |transcript: &Path| {
        let relative = transcript.strip_prefix(root()).unwrap_or(transcript).to_string_lossy();
        stage.path().join(relative.replace('/', "__"))
    };
    for transcript in transcripts {
        let staged = staged_of(transcript);
        fs::copy(transcript, &staged).unwrap();
        furnish(&staged.with_extension("in"));
        // If this directory exists, trycmd runs the commands one after the other in one copy of the `.in` directory.
        fs::create_dir(staged.with_extension("out")).unwrap();
    }
    let cases = trycmd::TestCases::new();
    cases.register_bin("conto", Path::new(env!("CARGO_BIN_EXE_conto")));
    cases.env("COLUMNS", "100").env("NO_COLOR", "1").env("CONTO_TODAY", "2026-12-31").timeout(Duration::from_secs(300));
    for transcript in transcripts {
        cases.case(staged_of(transcript));
    }
    // The destructor of the cases prints and asserts the results.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(cases)));
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        for transcript in transcripts {
            fs::copy(staged_of(transcript), transcript).unwrap();
        }
    }
    if let Err(failure) = result {
        std::panic::resume_unwind(failure);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn commands_print_their_transcripts() {
    let entries = fs::read_dir(root().join("tests/cli")).unwrap().map(|entry| entry.unwrap().path());
    let mut transcripts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "trycmd")).collect();
    transcripts.sort();
    assert!(transcripts.len() > 5, "tests/cli has too few transcripts");
    let transcripts: Vec<&Path> = transcripts.iter().map(AsRef::as_ref).collect();
    play(&transcripts, |to| copy(&root().join("samples/one-month-cloud"), to));
}

/// Only `console` blocks run; `sh` blocks are commands that a test cannot run, such as those that build the program.
#[test]
fn every_command_of_the_documentation_has_the_output_that_is_shown() {
    let pages: Vec<_> = pages().iter().map(|page| root().join(page)).collect();
    let has_commands = |page: &&std::path::PathBuf| fs::read_to_string(page).unwrap().contains("```console");
    let pages: Vec<&Path> = pages.iter().filter(has_commands).map(AsRef::as_ref).collect();
    assert!(!pages.is_empty(), "no page has a `console` block");
    play(&pages, |to| {
        copy(&root().join("samples"), &to.join("samples"));
        copy(&root().join("rating-rules"), &to.join("rating-rules"));
    });
}
