//! `compact`, `expire` and `vacuum` change no result: documents stay the same, and every commit can be reproduced. A
//! vacuum deletes no file that a running command is about to commit.

use std::collections::BTreeSet;

use conto::storage::CommitKind;

use crate::test_lake::{TestLake, assert_manifests, block_on, without_index};

const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";

/// The rules of a meter with this aggregation, at 0.10 for each GB.
fn rules(aggregation: &str) -> String {
    format!(
        r#"
        [[meter]]
        name = "m"
        aggregation = "{aggregation}"
        unit = "GB"

        [[rule]]
        id = "r"
        meter = "m"
        sku = "EGRESS"
        service = "Network"
        unit_price = "0.10"
        "#
    )
}

/// A lake with five deliveries for October. Each delivery has two files and one rejected record.
fn lake_with_five_deliveries() -> TestLake {
    let lake = TestLake::new().rules(rules("sum"));
    for number in 0..5 {
        let day = 1 + number % 2;
        let row = format!("m,a,2026-10-0{day}T10:1{number}:00Z,{number}.5,p");
        lake.deliver(&format!("delivery-{number}"), [&*row, "m,b,2026-10-03T10:00:00Z,1,p"]);
        lake.deliver(&format!("delivery-{number}x"), [format!("m,a,never,{number},p")]);
        lake.run(OCTOBER);
    }
    lake
}

#[test]
fn compact_combines_sample_files_and_changes_no_result() {
    let lake = lake_with_five_deliveries();
    let (documents, results) = (lake.documents(OCTOBER), lake.results());
    let sample_files = || lake.snapshot().files("sample").count();
    assert_eq!(sample_files(), 6);
    assert_eq!(lake.compact(), Some((14, 4)));
    assert_eq!(sample_files(), 3);
    assert_eq!(lake.compact(), None);
    assert_eq!(
        lake.vacuum()[0],
        9,
        "only five files of samples and four of duplicates: earlier commits need the others"
    );
    // The same records in another file are duplicates, and the documents are the same.
    lake.deliver(
        "again",
        (0..5).map(|number| format!("m,a,2026-10-0{}T10:1{number}:00Z,{number}.5,p", 1 + number % 2)),
    );
    let all = |night: &mut conto::pipeline::BillingOptions, _: &mut conto::run::RunOptions| {
        night.documents = conto::run::Documents::All
    };
    assert_eq!(lake.run_with(OCTOBER, all).unwrap().intake.samples_duplicate, 5);
    assert_eq!(lake.results(), results);
    assert_eq!(without_index(lake.documents(OCTOBER)), without_index(documents));
    lake.assert_verified();
    lake.assert_all_reproduced();
}

#[test]
fn expire_removes_samples_of_closed_months_and_later_records_are_too_late() {
    let lake = lake_with_five_deliveries();
    let message = lake.fails(2, &["lake", "expire", "--through", OCTOBER]);
    let rule = "only samples of closed months can expire; still open: 2026-10;";
    assert!(message.contains(rule), "{message}");
    lake.close_by_force(OCTOBER, "2026-11-02");
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,2,p"]);
    lake.run(NOVEMBER);
    let (october, results) = (lake.documents(OCTOBER), lake.results());
    assert_eq!(lake.expire(OCTOBER), 6);
    assert_eq!(lake.expire(OCTOBER), 0);
    assert_eq!(lake.vacuum_with(&[]), [0; 3], "not before a day has passed");
    assert_eq!(lake.vacuum()[0], 10, "six files of samples and four of duplicates");
    assert_eq!(lake.snapshot().files("sample").count(), 1);
    // The same files are not read again. The same records in another file are too late, and so is a new record.
    let summary = lake.run(NOVEMBER);
    assert_eq!((summary.intake.intake_commit, summary.billing_commit), (None, None));
    lake.deliver(
        "late",
        ["m,a,2026-10-09T10:00:00Z,7,p", "m,a,2026-10-01T10:10:00Z,0.5,p", "m,a,2026-11-02T10:00:00Z,3,p"],
    );
    let summary = lake.run(NOVEMBER);
    assert_eq!((summary.intake.samples_accepted, summary.intake.records_rejected), (1, 2));
    let late = lake.rows_where("rejected_record", "reason", "too_late");
    assert_eq!(late.len(), 2);
    assert_eq!(
        late[0]["detail"],
        "the time is 2026-10-09T10:00:00Z, before 2026-11-01T00:00:00Z: the samples of this closed period have expired"
    );
    lake.close(OCTOBER, "2026-12-01").assert_nothing_due();
    assert_eq!(lake.documents(OCTOBER), october);
    let now = lake.results();
    let of_october = results.iter().filter(|(path, _)| path.contains("/2026-10"));
    of_october.for_each(|(path, bytes)| assert_eq!(bytes, &now[path], "{path}"));
    // With another aggregation, November is metered again, and October is unchanged.
    lake.set_rules(rules("max"));
    lake.run(NOVEMBER);
    let metered_days: Vec<_> = results.into_iter().filter(|(path, _)| path.contains("metered_day/2026-10")).collect();
    assert!(!metered_days.is_empty());
    let now = lake.results();
    metered_days.iter().for_each(|(path, bytes)| assert_eq!(bytes, &now[path], "{path}"));
    let message = lake.fails(2, &["restate", "--period", OCTOBER]);
    assert!(message.contains("the samples of 2026-10 expired"), "{message}");
    lake.assert_verified();
    lake.assert_all_reproduced();
}

/// 20 and 30 in one hour: 50 at 0.10 are 5.00. Late usage is metered by the aggregation of the close: 40 more are 4.00.
/// The maximum of 20, 30 and 40 is 40, which costs 4.00 instead of the issued 5.00.
#[test]
fn changed_aggregation_of_a_meter_reaches_a_closed_month_only_through_a_restatement() {
    let lake =
        TestLake::new().rules(rules("sum")).usage(["m,a,2026-10-01T10:00:00Z,20,p", "m,a,2026-10-01T10:30:00Z,30,p"]);
    lake.close_by_force(OCTOBER, "2026-11-02");
    lake.set_rules(rules("max"));
    assert!(lake.run_closed(OCTOBER).is_empty());
    lake.deliver("late", ["m,a,2026-10-01T10:45:00Z,40,p"]);
    assert_eq!(lake.run_closed(OCTOBER), ["p p 4.00 EUR late_usage next invoice"]);
    assert_eq!(lake.propose_restatement(OCTOBER).changes(), ["p p -1.00 EUR changed_rule credit note"]);
    lake.restate(OCTOBER, "2026-12-01", "the peak");
    lake.restate(OCTOBER, "2026-12-01", "the peak").assert_nothing_due();
    assert!(lake.run_closed(OCTOBER).is_empty());
    lake.assert_all_reproduced();
}

#[test]
fn vacuum_deletes_the_files_of_interrupted_runs() {
    let lake = lake_with_five_deliveries();
    lake.put("lake/data/sample/2026-10-01/000-0123456789abcdef.parquet", "of a dead run");
    lake.put("lake/documents/2026-10/0123456789abcdef/index.html", "of a dead run");
    lake.put("lake/data/sample/2026-10-01/000-fedcba9876543210.parquet#7", "half written");
    assert_eq!(lake.vacuum_with(&[]), [0; 3], "the files are too young");
    let files = lake.files("lake").len();
    let bytes = 2 * "of a dead run".len() as u64;
    assert_eq!(lake.vacuum_with(&["--older-than", "0s", "--dry-run"])[..2], [2, bytes]);
    let manifests = superseded_manifests(&lake);
    assert!(manifests > 10, "five deliveries change several relations each: {manifests}");
    assert_eq!(lake.files("lake").len(), files, "a dry run deletes nothing");
    assert_eq!(lake.vacuum(), [2, bytes, 1]);
    let commits = 2;
    assert_eq!(lake.files("lake").len(), files - 3 - manifests + commits);
    assert_eq!(superseded_manifests(&lake), 0);
    assert_manifests(&lake.lake());
    lake.assert_verified();
    lake.assert_all_reproduced();
}

/// The number of manifests of all relations that a newer manifest replaces.
fn superseded_manifests(lake: &TestLake) -> usize {
    let files = lake.files("lake");
    let directory = |path: &str| path.rsplit_once('/').map(|(directory, _)| directory.to_owned());
    let manifests: Vec<String> = files.keys().filter(|path| path.contains("/manifest/")).cloned().collect();
    let relations: BTreeSet<Option<String>> = manifests.iter().map(|path| directory(path)).collect();
    manifests.len() - relations.len()
}

/// A vacuum that is interrupted between its two commits leaves paths. No run may write these paths before another
/// vacuum ends.
#[test]
fn a_run_writes_another_path_than_one_that_a_vacuum_is_deleting() {
    let (lake, other) = (lake_with_five_deliveries(), lake_with_five_deliveries());
    let usage = ["m,c,2026-10-20T10:00:00Z,5,p"];
    other.deliver("more", usage);
    other.run(OCTOBER);
    let known = |path: &String| lake.snapshot().contains(path);
    let snapshot = other.snapshot();
    let new: Vec<String> = snapshot.all_files().map(|file| file.path.clone()).filter(|path| !known(path)).collect();
    let sample = new.iter().find(|path| path.contains("data/sample/2026-10-20")).unwrap().clone();
    // The vacuum commits that it deletes the file that the next run is about to write, and is interrupted.
    let storage = lake.lake();
    let mut entry = block_on(storage.log_entry(0)).unwrap();
    entry.sequence = lake.snapshot().next_sequence();
    entry.kind = CommitKind::Vacuum;
    (entry.added, entry.removed, entry.documents) = (Vec::new(), Vec::new(), Vec::new());
    entry.vacuumed = vec![sample.clone()];
    block_on(storage.commit(&entry)).unwrap();
    lake.deliver("more", usage);
    lake.run(OCTOBER);
    let mark = format!("-{}.parquet", entry.sequence + 1);
    let named: Vec<String> = lake.snapshot().files("sample").map(|file| file.path.clone()).collect();
    assert!(!named.contains(&sample), "{named:?}");
    assert!(named.contains(&sample.replace(".parquet", &mark)), "{named:?}");
    lake.vacuum();
    assert!(!lake.snapshot().is_tombstoned(&sample), "the next vacuum finishes what the interrupted one began");
    lake.assert_verified();
    assert_eq!(without_index(lake.documents(OCTOBER)), without_index(other.documents(OCTOBER)));
}
