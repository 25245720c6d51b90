//! Every directory of `samples/` gives its expected documents byte for byte. The documents stay the same if the usage
//! is delivered again, in other files or in another order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test_lake::{TestLake, assert_same_files, assert_same_text, without_index};

/// The directories below `samples/` with the expected documents of one run.
fn samples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut samples: Vec<PathBuf> = entries.filter(|path| path.join("expected/usage.csv").is_file()).collect();
    samples.sort();
    assert!(!samples.is_empty(), "there is no sample");
    samples
}

/// The month that a sample bills, read from its expected usage report.
fn period_of(sample: &Path) -> String {
    let usage = std::fs::read_to_string(sample.join("expected/usage.csv")).unwrap();
    usage.lines().nth(1).unwrap()[..7].to_owned()
}

fn compare_with_expected(sample: &Path, lake: &TestLake, period: &str, what: &str) {
    let documents = lake.documents(period);
    for entry in std::fs::read_dir(sample.join("expected")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = documents.get(&name).unwrap_or_else(|| panic!("{}: no document {name}", sample.display()));
        assert_same_text(&std::fs::read(&path).unwrap(), found, &format!("{} ({what}): {name}", sample.display()));
    }
}

#[test]
fn every_sample_gives_its_expected_documents_once_and_again() {
    for sample in samples() {
        let (lake, period) = (TestLake::copy_of(&sample), period_of(&sample));
        lake.run(&period);
        compare_with_expected(&sample, &lake, &period, "first run");

        let files = lake.files("lake");
        let summary = lake.run(&period);
        assert_eq!(
            (summary.intake.intake_commit, summary.billing_commit),
            (None, None),
            "a second run has nothing to commit"
        );
        assert_same_files(&files, &lake.files("lake"), "a second run");

        let documents = without_index(lake.documents(&period));
        deliver_again(&lake);
        let summary = lake.run(&period);
        assert_eq!(summary.intake.samples_accepted, 0, "known records are not accepted again");
        compare_with_expected(&sample, &lake, &period, "delivered again");
        assert_same_files(&documents, &without_index(lake.documents(&period)), "delivered again");
    }
}

/// Delivers every usage file again under other names: unchanged, in another compression, and with reversed lines.
fn deliver_again(lake: &TestLake) {
    for (name, bytes) in lake.files("usage") {
        let (stem, _) = name.split_once('.').unwrap();
        lake.put(&format!("usage/again-{name}"), &bytes);
        let mut plain = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
            let packed = zstd::encode_all(&plain[..], 3).unwrap();
            lake.put(&format!("usage/packed-{stem}.jsonl.zst"), packed);
        } else {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            lake.put(&format!("usage/packed-{stem}.jsonl.gz"), encoder.finish().unwrap());
            plain = bytes;
        }
        // The same records in another order.
        let text = String::from_utf8_lossy(&plain).into_owned();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.reverse();
        lake.put(&format!("usage/reversed-{stem}.jsonl"), lines.join("\n"));
    }
}

#[test]
fn documents_of_samples_do_not_depend_on_the_files_of_usage() {
    for sample in samples() {
        let (whole, period) = (TestLake::copy_of(&sample), period_of(&sample));
        let mut lines = BTreeMap::new();
        for (name, bytes) in whole.files("usage") {
            let mut plain = bytes.clone();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                plain.clear();
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
            }
            whole.remove(&format!("usage/{name}"));
            for (number, line) in plain.split(|byte| *byte == b'\n').enumerate() {
                let part = lines.entry(format!("part-{}.jsonl", number % 3)).or_insert_with(Vec::new);
                part.extend_from_slice(line);
                part.push(b'\n');
            }
        }
        for (name, bytes) in lines {
            whole.put(&format!("usage/{name}"), bytes);
        }
        whole.run(&period);
        compare_with_expected(&sample, &whole, &period, "cut otherwise");
    }
}

/// Runs the steps of each sample over several months: commands, files that arrive later, and expected documents.
#[test]
fn every_multi_month_sample_gives_its_expected_documents() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<PathBuf> = entries.filter(|path| path.join("story.txt").is_file()).collect();
    assert!(!cases.is_empty(), "no sample has steps");
    for sample in cases {
        let lake = TestLake::copy_of(&sample);
        let steps = std::fs::read_to_string(sample.join("story.txt")).unwrap();
        for step in steps.lines().filter(|line| !line.starts_with('#')) {
            run_step(&sample, &lake, step);
        }
    }
}

fn run_step(sample: &Path, lake: &TestLake, step: &str) {
    let what = format!("{}: {step}", sample.display());
    match step.split_whitespace().collect::<Vec<_>>()[..] {
        ["copy", from, to] => lake.put(to, std::fs::read(sample.join(from)).unwrap()),
        ["expect", directory, period] => {
            let documents = lake.documents(period);
            let expected = sample.join(directory);
            for entry in std::fs::read_dir(&expected).unwrap_or_else(|_| panic!("{what}: no such directory")) {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let found = documents.iter().find(|(found, _)| found.rsplit('/').next() == Some(&name));
                let (_, found) = found.unwrap_or_else(|| panic!("{what}: no document {name}"));
                assert_same_text(&std::fs::read(&path).unwrap(), found, &format!("{what}: {name}"));
            }
        }
        ["conto", ..] => {
            let output = Command::new("sh")
                .args(["-c", &step.replacen("conto", "\"$CONTO\"", 1)])
                .env("CONTO", env!("CARGO_BIN_EXE_conto"))
                .env("CONTO_TODAY", "2099-12-31")
                .current_dir(lake.path(""))
                .output()
                .unwrap();
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        }
        _ => panic!("{what}: not a step"),
    }
}

/// The checks in the sample's own Python programs pass.
#[test]
fn every_sample_passes_its_own_make_py_and_oracle_py() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: python3 is not installed");
        return;
    }
    for sample in samples() {
        for program in ["make.py", "oracle.py"].into_iter().filter(|program| sample.join(program).exists()) {
            let output =
                Command::new("python3").args(["-B", program, "--check"]).current_dir(&sample).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(
                output.status.success(),
                "{}/{program} --check:\n{}{}",
                sample.display(),
                text(&output.stdout),
                text(&output.stderr)
            );
        }
    }
}
