//! What a person sees: transcripts in `tests/cli/`, and the commands of the README.
//!
//! Each transcript begins in a fresh copy of `samples/one-month-cloud` and its commands follow one another there.
//! `TRYCMD=overwrite cargo test cli` writes what the program says now into the transcripts, to be read before it is
//! committed.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            // Somebody may have tried the sample out where it stands.
            if entry.file_name() != "lake" {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs transcripts, each in a sandbox that is laid out by `furnish`; writes them back where trycmd overwrote them.
fn play(transcripts: &[&Path], furnish: impl Fn(&Path)) {
    let stage = tempfile::tempdir().unwrap();
    for transcript in transcripts {
        let staged = stage.path().join(transcript.file_name().unwrap());
        fs::copy(transcript, &staged).unwrap();
        furnish(&staged.with_extension("in"));
        // That this directory exists makes trycmd run the commands one after the other in one copy of the other.
        fs::create_dir(staged.with_extension("out")).unwrap();
    }
    let cases = trycmd::TestCases::new();
    cases.register_bin("conto", Path::new(env!("CARGO_BIN_EXE_conto")));
    cases.env("COLUMNS", "100").env("NO_COLOR", "1").timeout(Duration::from_secs(300));
    for transcript in transcripts {
        cases.case(stage.path().join(transcript.file_name().unwrap()));
    }
    // The results are told, and asserted, when the cases are dropped.
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(cases)));
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        for transcript in transcripts {
            fs::copy(stage.path().join(transcript.file_name().unwrap()), transcript).unwrap();
        }
    }
    if let Err(failure) = told {
        std::panic::resume_unwind(failure);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_program_says_what_its_transcripts_say() {
    let entries = fs::read_dir(root().join("tests/cli")).unwrap().map(|entry| entry.unwrap().path());
    let mut transcripts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "trycmd")).collect();
    transcripts.sort();
    assert!(transcripts.len() > 5, "the transcripts are not where they were");
    let transcripts: Vec<&Path> = transcripts.iter().map(AsRef::as_ref).collect();
    play(&transcripts, |to| copy(&root().join("samples/one-month-cloud"), to));
}

/// Blocks that are marked `sh` build the program and are not run here.
#[test]
fn every_command_of_the_readme_does_what_it_says() {
    play(&[&root().join("README.md")], |to| {
        copy(&root().join("samples"), &to.join("samples"));
        copy(&root().join("rating-rules"), &to.join("rating-rules"));
    });
}
