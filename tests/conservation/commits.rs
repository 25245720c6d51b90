//! The lake: a commit is all or nothing, and what is damaged is named.
#![allow(clippy::expect_used)]

use conto::error::{Error, IntakeError, LakeError};
use conto::storage::{Commit, CommitKind, Error as StorageError, Lake, LakeSettings};

use super::usage::HEADER;
use crate::world::{Setting, World, assert_same_files, block_on, chain};

const PERIOD: &str = "2026-10";
const BILLING: &str = "lake/log/00000000000000000001.json";

fn world() -> World {
    let world = World::new(&Setting::default());
    let rules = "currency = \"EUR\"\n[[meter]]\nname = \"m\"\naggregation = \"increase\"\nunit = \"u\"\n\
                 [[rule]]\nid = \"r\"\n\
                 meter = \"m\"\nsku = \"s\"\nservice = \"S\"\nunit_price = \"1\"\nvalid_from = 2026-10-05T12:00:00Z\n";
    world.put("rules/rules.toml", rules);
    world.put(
        "usage/usage.csv",
        format!("{HEADER}m,a,2026-10-05T10:00:00Z,4,p,,,,\nm,a,2026-10-05T13:00:00Z,9,p,,,,\n"),
    );
    world
}

/// Usage of the same stream and date, and a bad row.
fn deliver_more(world: &World) {
    world.put(
        "usage/more.csv",
        format!("{HEADER}m,a,2026-10-05T14:00:00Z,16,p,,,,\nm,a,2026-10-05T15:00:00Z,x,p,,,,\n"),
    );
}

fn failure(result: Result<impl std::fmt::Debug, Error>) -> String {
    chain(&result.expect_err("a failure"))
}

#[test]
fn too_many_rejected_are_taken_in_and_not_billed() {
    let world = world();
    deliver_more(&world);
    for _ in 0..2 {
        let refused = world.run_with(PERIOD, |night, _| night.max_rejected = Some(0));
        assert!(
            matches!(refused, Err(Error::Intake(IntakeError::TooManyRejected { rejected: 1, limit: 0 }))),
            "also the second time"
        );
        assert_eq!(world.snapshot().commits().len(), 1, "usage is taken in, nothing is billed");
    }
    assert_eq!(world.run(PERIOD).billing_commit, Some(1));
    let billed = world.run_with(PERIOD, |night, _| night.max_rejected = Some(0)).unwrap();
    assert_eq!(billed.billing_commit, None, "what was billed since does not count again");
}

#[test]
fn what_a_dead_run_left_changes_nothing() {
    let whole = world();
    whole.run(PERIOD);
    // It died before its second commit, then before its first.
    for entries in [&[BILLING][..], &[BILLING, "lake/log/00000000000000000000.json"]] {
        let dead = world();
        dead.run(PERIOD);
        entries.iter().for_each(|entry| dead.remove(entry));
        dead.put("lake/log/00000000000000000001.json#1", "{\"sequence\": ");
        // The second name of an entry, as a run leaves it that dies before it takes it away.
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
    let whole = world();
    whole.run(PERIOD);
    let dead = world();
    dead.run(PERIOD);
    dead.remove(BILLING);
    dead.remove("lake/log/00000000000000000000.json");
    // The power failed before anything reached the disk.
    for name in dead.files("lake/data").into_keys() {
        dead.put(&format!("lake/data/{name}"), "");
    }
    dead.run(PERIOD);
    assert_same_files(&whole.results(), &dead.results(), "after a power cut");
}

#[test]
fn a_stale_pointer_to_the_documents_is_mended() {
    let world = world();
    world.run(PERIOD);
    let documents = world.documents(PERIOD);
    world.put("lake/documents/2026-10/latest", "0123456789abcdef\n");
    assert_eq!(world.run(PERIOD).billing_commit, None);
    assert_same_files(&documents, &world.documents(PERIOD), "mended");
    world.remove("lake/documents/2026-10/latest");
    world.run(PERIOD);
    assert_same_files(&documents, &world.documents(PERIOD), "mended");
}

#[test]
fn documents_that_were_tidied_up_do_not_stop_the_next_billing() {
    let (tidy, kept) = (world(), world());
    for world in [&tidy, &kept] {
        world.put(
            "usage/other.csv",
            format!("{HEADER}m,b,2026-10-06T10:00:00Z,4,q,,,,\nm,b,2026-10-06T13:00:00Z,9,q,,,,\n"),
        );
        world.run(PERIOD);
    }
    std::fs::remove_dir_all(tidy.path("lake/documents")).unwrap();
    for world in [&tidy, &kept] {
        deliver_more(world);
        world.run(PERIOD);
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
        settings: LakeSettings { time_zone: "UTC".to_owned(), buckets: 1 },
        period: None,
        added: Vec::new(),
        removed: Vec::new(),
        meters: Default::default(),
        totals: Default::default(),
        inputs: Default::default(),
        configuration: String::new(),
        remarks: Vec::new(),
        documents: Vec::new(),
    }
}

#[test]
fn of_two_that_commit_at_once_one_wins() {
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
    // An answer that was lost: putting the same entry again is no race.
    block_on(lake.commit(&log[0])).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("log")).unwrap().count(), 1, "no staged file is left");
}

#[test]
fn of_two_runs_at_once_none_spoils_the_other() {
    let alone = world();
    deliver_more(&alone);
    alone.run(PERIOD);
    let shared = world();
    deliver_more(&shared);
    let results: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..3).map(|_| scope.spawn(|| shared.try_run(PERIOD).map_err(|error| chain(&error)))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for result in &results {
        let lost = result.as_ref().err().filter(|error| !error.contains("another run committed"));
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
            let world = world();
            world.put(
                "rules/labels.toml",
                "[[meter]]\nname = \"l\"\naggregation = \"max\"\nunit = \"u\"\nlabels = [\"flavor\"]\n",
            );
            world.put("usage/label.csv", format!("{HEADER}l,a,2026-10-05T10:00:00Z,4,p,,,,red\n"));
            world.run(PERIOD);
            let snapshot = world.snapshot();
            let file = snapshot.files(relation).next().unwrap_or_else(|| panic!("no {relation}")).clone();
            let path = format!("lake/{}", file.path);
            let mut bytes = std::fs::read(world.path(&path)).unwrap();
            if damage == "cut" {
                bytes.truncate(bytes.len() / 2);
            } else {
                // In the middle of the values, where parquet alone may notice nothing.
                bytes[40] ^= 1;
            }
            world.put(&path, bytes);
            // What a day carries is read where the next one is metered; its own samples where it is metered again.
            let day = if matches!(relation, "stream_state" | "metered_day") { "06" } else { "05" };
            world.put(
                "usage/more.csv",
                format!("{HEADER}m,a,2026-10-{day}T14:00:00Z,16,p,,,,\nl,a,2026-10-{day}T14:00:00Z,1,p,,,,x\n"),
            );
            let commits = snapshot.commits().len();
            let Err(error) = world.try_run(PERIOD).map_err(|error| chain(&error)) else {
                panic!("{relation} {damage}: nobody noticed");
            };
            assert!(error.contains(&file.path) && error.contains(&file.sha256), "{relation} {damage}: {error}");
            assert!(world.snapshot().commits().len() <= commits + 1, "nothing was billed");
        }
    }
}

#[test]
fn a_log_that_cannot_be_trusted_is_told() {
    for (content, expected) in [
        ("", "00000000000000000001.json"),
        ("{\"sequence\": 1, \"kind\": \"bil", "00000000000000000001.json"),
        ("{\"sequence\": 1, \"kind\": \"from a newer program\"}", "newer program"),
    ] {
        let world = world();
        world.run(PERIOD);
        world.put(BILLING, content);
        let error = failure(world.try_run(PERIOD));
        assert!(error.contains("log entry") && error.contains(expected), "{error}");
    }
    let world = world();
    world.run(PERIOD);
    let entry = std::fs::read(world.path(BILLING)).unwrap();
    world.put("lake/log/00000000000000000002.json", &entry);
    assert!(failure(world.try_run(PERIOD)).contains("it says that it is entry 1"));
    world.put("lake/log/00000000000000000003.json", &entry);
    world.remove("lake/log/00000000000000000002.json");
    assert!(failure(world.try_run(PERIOD)).contains("no entry 2"));
    world.remove("lake/log/00000000000000000003.json");
    world.remove("lake/log/00000000000000000000.json");
    assert!(failure(world.try_run(PERIOD)).contains("no entry 0"));
}

#[test]
fn what_the_first_commit_fixed_stays() {
    let world = world();
    world.run(PERIOD);
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    for (now, then) in [("\"UTC\"", "\"Europe/Paris\""), ("buckets = 1", "buckets = 2")] {
        world.put("conto.toml", config.replace(now, then));
        assert!(matches!(world.try_run(PERIOD), Err(Error::Lake(LakeError::LakeSettings { .. }))));
    }
}
