//! Commits are atomic, and errors name damaged files.
#![allow(clippy::expect_used)]

use conto::error::{Error, IntakeError, LakeError};
use conto::storage::{Commit, CommitKind, Error as StorageError, Lake, LakeSettings};

use super::usage::HEADER;
use crate::test_lake::{TestLake, assert_same_files, block_on, chain};

const PERIOD: &str = "2026-10";
const BILLING: &str = "lake/log/00000000000000000001.json";

fn lake() -> TestLake {
    let lake = TestLake::new();
    let rules = r#"
        currency = "EUR"

        [[meter]]
        name = "m"
        aggregation = "increase"
        unit = "u"

        [[rule]]
        id = "r"
        meter = "m"
        sku = "s"
        service = "S"
        unit_price = "1"
        valid_from = 2026-10-05T12:00:00Z
        "#;
    lake.put("rules/rules.toml", rules);
    lake.put(
        "usage/usage.csv",
        format!("{HEADER}m,a,2026-10-05T10:00:00Z,4,p,,,,\nm,a,2026-10-05T13:00:00Z,9,p,,,,\n"),
    );
    lake
}

/// Delivers usage of the same stream and date, and a malformed row.
fn deliver_more(lake: &TestLake) {
    lake.put(
        "usage/more.csv",
        format!("{HEADER}m,a,2026-10-05T14:00:00Z,16,p,,,,\nm,a,2026-10-05T15:00:00Z,x,p,,,,\n"),
    );
}

fn failure(result: Result<impl std::fmt::Debug, Error>) -> String {
    chain(&result.expect_err("a failure"))
}

#[test]
fn max_rejected_takes_usage_in_and_bills_nothing() {
    let lake = lake();
    deliver_more(&lake);
    for _ in 0..2 {
        let refused = lake.run_with(PERIOD, |night, _| night.max_rejected = Some(0));
        assert!(
            matches!(refused, Err(Error::Intake(IntakeError::TooManyRejected { rejected: 1, unread: 0, limit: 0 }))),
            "every run must fail while the record is rejected"
        );
        assert_eq!(lake.commit_count(), 1, "the intake is committed, and nothing is billed");
    }
    assert_eq!(lake.run(PERIOD).billing_commit, Some(1));
    let billed = lake.run_with(PERIOD, |night, _| night.max_rejected = Some(0)).unwrap();
    assert_eq!(billed.billing_commit, None, "records rejected before the last billing do not count");
}

#[test]
fn files_of_an_interrupted_run_change_nothing() {
    let whole = lake();
    whole.run(PERIOD);
    // The run is interrupted before its second commit, and then before its first commit.
    for entries in [&[BILLING][..], &[BILLING, "lake/log/00000000000000000000.json"]] {
        let dead = lake();
        dead.run(PERIOD);
        entries.iter().for_each(|entry| dead.remove(entry));
        dead.put("lake/log/00000000000000000001.json#1", r#"{"sequence": "#);
        // A hard link to an entry, which an interrupted run leaves behind.
        let entry = dead.path(&format!("lake/log/00000000000000000001.json#{}-1", std::process::id()));
        let _ = std::fs::hard_link(dead.path("lake/log/00000000000000000000.json"), entry);
        dead.put("lake/data/sample/2026-10-05/000-0123456789abcdef.parquet", "PAR1 and no more");
        dead.put("lake/data/sample/2026-10-05/000-0123456789abcdef.parquet#1", "PAR1");
        dead.put("lake/documents/2026-10/0123456789abcdef/invoices.csv", "half a line");
        dead.run(PERIOD);
        assert_same_files(&whole.results(), &dead.results(), "after a crash");
        assert_same_files(&whole.documents(PERIOD), &dead.documents(PERIOD), "after a crash");
        assert_eq!(dead.run(PERIOD).billing_commit, None);
    }
}

#[test]
fn a_data_file_that_was_half_written_is_written_again() {
    let whole = lake();
    whole.run(PERIOD);
    let dead = lake();
    dead.run(PERIOD);
    dead.remove(BILLING);
    dead.remove("lake/log/00000000000000000000.json");
    // After a power failure, the data files are empty.
    for name in dead.files("lake/data").into_keys() {
        dead.put(&format!("lake/data/{name}"), "");
    }
    dead.run(PERIOD);
    assert_same_files(&whole.results(), &dead.results(), "after a power cut");
}

#[test]
fn a_stale_latest_file_is_repaired() {
    let lake = lake();
    lake.run(PERIOD);
    let documents = lake.documents(PERIOD);
    lake.put("lake/documents/2026-10/latest", "0123456789abcdef\n");
    assert_eq!(lake.run(PERIOD).billing_commit, None);
    assert_same_files(&documents, &lake.documents(PERIOD), "after the repair");
    lake.remove("lake/documents/2026-10/latest");
    lake.run(PERIOD);
    assert_same_files(&documents, &lake.documents(PERIOD), "after the repair");
}

#[test]
fn deleted_documents_do_not_stop_the_next_billing() {
    let (tidy, kept) = (lake(), lake());
    for lake in [&tidy, &kept] {
        lake.put(
            "usage/other.csv",
            format!("{HEADER}m,b,2026-10-06T10:00:00Z,4,q,,,,\nm,b,2026-10-06T13:00:00Z,9,q,,,,\n"),
        );
        lake.run(PERIOD);
    }
    std::fs::remove_dir_all(tidy.path("lake/documents")).unwrap();
    for lake in [&tidy, &kept] {
        deliver_more(lake);
        lake.run(PERIOD);
    }
    assert_same_files(&kept.documents(PERIOD), &tidy.documents(PERIOD), "drawn again");
}

fn commit(sequence: u64, name: &str) -> Commit {
    Commit {
        vacuumed: Vec::new(),
        samples_from: None,
        sequence,
        kind: CommitKind::Intake,
        program_version: name.to_owned(),
        committed_at: String::new(),
        settings: LakeSettings { time_zone: "UTC".to_owned(), shards: 1 },
        period: None,
        added: Vec::new(),
        removed: Vec::new(),
        meters: Default::default(),
        totals: Default::default(),
        inputs: Default::default(),
        configuration: String::new(),
        remarks: Vec::new(),
        approved_by: None,
        overridden_blockers: Vec::new(),
        documents: Vec::new(),
    }
}

#[test]
fn one_of_two_concurrent_commits_of_an_entry_wins() {
    let directory = tempfile::tempdir().unwrap();
    let lake = Lake::open(&directory.path().to_string_lossy()).unwrap();
    let results: Vec<(usize, Result<String, StorageError>)> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..8)
            .map(|number| {
                let lake = lake.clone();
                scope.spawn(move || (number, block_on(lake.commit(&commit(0, &number.to_string())))))
            })
            .collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<usize> = results.iter().filter(|(_, result)| result.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    for (number, result) in &results {
        let is_race = matches!(result, Err(StorageError::Conflict { sequence: 0 }));
        assert!(is_race || winners.contains(number), "{number}: {result:?}");
    }
    let log = block_on(lake.log()).unwrap();
    assert_eq!(log, [commit(0, &winners[0].to_string())]);
    // After a lost response, the same entry is put again, which is no conflict.
    block_on(lake.commit(&log[0])).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("log")).unwrap().count(), 1, "no staged file is left");
}

#[test]
fn concurrent_runs_do_not_damage_each_other() {
    let alone = lake();
    deliver_more(&alone);
    alone.run(PERIOD);
    let shared = lake();
    deliver_more(&shared);
    let results: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..3).map(|_| scope.spawn(|| shared.try_run(PERIOD).map_err(|error| chain(&error)))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for result in &results {
        let lost = result.as_ref().err().filter(|error| !error.contains("another command committed"));
        assert_eq!(lost, None);
    }
    assert!(results.iter().any(Result::is_ok));
    shared.run(PERIOD);
    assert_same_files(&alone.results(), &shared.results(), "several at once");
    assert_same_files(&alone.documents(PERIOD), &shared.documents(PERIOD), "several at once");
}

#[test]
fn a_damaged_data_file_is_named() {
    for relation in
        ["sample", "stream_state", "stream", "series", "label", "metered_usage", "metered_day", "input_file"]
    {
        for damage in ["altered", "cut"] {
            let lake = lake();
            lake.put(
                "rules/labels.toml",
                r#"
                    [[meter]]
                    name = "l"
                    aggregation = "max"
                    unit = "u"
                    labels = ["flavor"]
                    "#,
            );
            lake.put("usage/label.csv", format!("{HEADER}l,a,2026-10-05T10:00:00Z,4,p,,,,red\n"));
            lake.run(PERIOD);
            let snapshot = lake.snapshot();
            let file = snapshot.files(relation).next().unwrap_or_else(|| panic!("no {relation}")).clone();
            let path = format!("lake/{}", file.path);
            let mut bytes = std::fs::read(lake.path(&path)).unwrap();
            if damage == "cut" {
                bytes.truncate(bytes.len() / 2);
            } else {
                // This byte is within the values, where the Parquet reader may not detect the change.
                bytes[40] ^= 1;
            }
            lake.put(&path, bytes);
            // The state of a day is read when the next day is metered. The samples of a day are read when it is metered
            // again.
            let day = if matches!(relation, "stream_state" | "metered_day") { "06" } else { "05" };
            lake.put(
                "usage/more.csv",
                format!("{HEADER}m,a,2026-10-{day}T14:00:00Z,16,p,,,,\nl,a,2026-10-{day}T14:00:00Z,1,p,,,,x\n"),
            );
            let commits = snapshot.commits().len();
            let Err(error) = lake.try_run(PERIOD).map_err(|error| chain(&error)) else {
                panic!("{relation} {damage}: not detected");
            };
            assert!(error.contains(&file.path) && error.contains(&file.sha256), "{relation} {damage}: {error}");
            assert!(lake.commit_count() <= commits + 1, "nothing was billed");
        }
    }
}

#[test]
fn a_damaged_log_is_an_error() {
    for (content, expected) in [
        ("", "00000000000000000001.json"),
        (r#"{"sequence": 1, "kind": "bil"#, "00000000000000000001.json"),
        (r#"{"sequence": 1, "kind": "from a newer program"}"#, "newer version"),
    ] {
        let lake = lake();
        lake.run(PERIOD);
        lake.put(BILLING, content);
        let error = failure(lake.try_run(PERIOD));
        assert!(error.contains("log entry") && error.contains(expected), "{error}");
    }
    let lake = lake();
    lake.run(PERIOD);
    let entry = std::fs::read(lake.path(BILLING)).unwrap();
    lake.put("lake/log/00000000000000000002.json", &entry);
    assert!(failure(lake.try_run(PERIOD)).contains("it contains the number 1, expected 2"));
    lake.put("lake/log/00000000000000000003.json", &entry);
    lake.remove("lake/log/00000000000000000002.json");
    assert!(failure(lake.try_run(PERIOD)).contains("no entry 2"));
    lake.remove("lake/log/00000000000000000003.json");
    lake.remove("lake/log/00000000000000000000.json");
    assert!(failure(lake.try_run(PERIOD)).contains("no entry 0"));
}

#[test]
fn time_zone_and_shards_of_a_lake_cannot_change() {
    let lake = lake();
    lake.run(PERIOD);
    let config = lake.text("conto.toml");
    for change in [r#"time_zone = "Europe/Paris""#, "shards = 2"] {
        lake.put("conto.toml", &config);
        lake.configure(change);
        assert!(matches!(lake.try_run(PERIOD), Err(Error::Lake(LakeError::LakeSettings { .. }))));
    }
}
