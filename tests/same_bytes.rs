//! Equal inputs give equal bytes, with any number of processors, any memory limit and any order of the usage files.
#![allow(clippy::print_stdout, reason = "a skipped part prints its reason")]

use std::collections::BTreeMap;
use std::process::Command;

use crate::test_lake::{TestLake, assert_same_files, stderr_of, without_index};

/// One way to run the same month.
#[derive(Clone, Copy, Debug)]
struct Setting {
    one_processor: bool,
    memory_limit: Option<&'static str>,
    reversed_files: bool,
}

/// The data files and the documents of a sample after a run. The result is `None` if the number of processors cannot be
/// limited.
fn files_after_run(sample: &str, period: &str, setting: Setting) -> Option<BTreeMap<String, Vec<u8>>> {
    let lake = TestLake::of_sample(sample);
    if setting.reversed_files {
        // Files are read in the order of their names.
        for (number, (name, bytes)) in lake.files("usage").into_iter().rev().enumerate() {
            lake.remove(&format!("usage/{name}"));
            lake.put(&format!("usage/{number}-{name}"), bytes);
        }
    }
    let mut arguments = vec!["run", "--period", period];
    arguments.extend(setting.memory_limit.iter().flat_map(|limit| ["--memory-limit", limit]));
    let mut command = lake.command(&arguments);
    if setting.one_processor {
        let mut limited = Command::new("taskset");
        limited.args(["-c", "0"]).arg(command.get_program()).args(command.get_args()).current_dir(lake.path(""));
        limited.env("CONTO_TODAY", "2099-12-31");
        command = limited;
    }
    let Ok(output) = command.output() else {
        println!("skipped: one processor, because `taskset` is not installed");
        return None;
    };
    // Exit code 4 is a run with suspended accounts.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{setting:?}: {}", stderr_of(&output));
    let mut files = lake.results();
    files.extend(without_index(lake.documents(period)));
    Some(files)
}

#[test]
fn a_month_has_the_same_bytes_in_eight_settings() {
    for sample in ["one-month-cloud", "accounts-and-terms"] {
        let plain = Setting { one_processor: false, memory_limit: None, reversed_files: false };
        let expected = files_after_run(sample, "2026-10", plain).unwrap();
        assert!(expected.len() > 10, "{sample}: {} files", expected.len());
        for number in 1..8 {
            let setting = Setting {
                one_processor: number & 1 != 0,
                memory_limit: (number & 2 != 0).then_some("128MiB"),
                reversed_files: number & 4 != 0,
            };
            if let Some(found) = files_after_run(sample, "2026-10", setting) {
                assert_same_files(&expected, &found, &format!("{sample}: {setting:?}"));
            }
        }
    }
}
