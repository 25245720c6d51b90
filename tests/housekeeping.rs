//! House-keeping changes no result: the same documents before and after, earlier entries rebuilt, nothing lost that a
//! running command is about to commit.

use conto::storage::CommitKind;

use crate::crash::{done, run};
use crate::world::{Setting, World, block_on};

const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id\n";

fn rules(aggregation: &str) -> String {
    format!(
        "currency = \"EUR\"\n[[meter]]\nname = \"m\"\naggregation = \"{aggregation}\"\nunit = \"GB\"\n\
         [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"EGRESS\"\nservice = \"Network\"\nunit_price = \"0.10\"\n\
         [[rule.example]]\nname = \"One\"\nquantity = \"1\"\ncost = \"0.10\"\n"
    )
}

fn deliver(world: &World, name: &str, rows: &[&str]) {
    let rows = rows.iter().map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        format!("m,{},2026-{}T10:{}:00Z,{},p\n", cells[1], cells[0], cells[2], cells[3])
    });
    world.put(&format!("usage/{name}.csv"), format!("{HEADER}{}", rows.collect::<String>()));
}

/// Five deliveries for October, each with its files, and one line that is refused.
fn world() -> World {
    let world = World::new(&Setting::default());
    world.put("rules/rules.toml", rules("sum"));
    for number in 0..5 {
        let row = format!("10-0{},a,1{number},{number}.5", 1 + number % 2);
        deliver(&world, &format!("delivery-{number}"), &[&row, "10-03,b,00,1"]);
        world.put(&format!("usage/delivery-{number}x.csv"), format!("{HEADER}m,a,never,{number},p\n"));
        done(&world, &["run", "--period", "2026-10"]);
    }
    world
}

fn rebuilt(world: &World) {
    for entry in block_on(world.lake().log()).unwrap().iter().filter(|entry| entry.period.is_some()) {
        let said = done(world, &["run", "--as-of", &entry.sequence.to_string()]);
        assert!(said.contains("0 differ."), "entry {}: {said}", entry.sequence);
    }
}

#[test]
fn files_put_together_are_the_same_usage() {
    let world = world();
    let (documents, results) = (world.documents("2026-10"), world.results());
    let samples = |world: &World| world.snapshot().files("sample").count();
    assert_eq!(samples(&world), 6);
    let said = done(&world, &["compact", "--least-files", "2"]);
    assert!(said.starts_with("Put 10 files together to 3 files. Committed as "), "{said}");
    assert_eq!(samples(&world), 3);
    assert!(done(&world, &["compact", "--least-files", "2"]).contains("nothing to put together"));
    let freed = done(&world, &["vacuum", "--older-than", "0s"]);
    assert!(freed.starts_with("Deleted 5 files"), "the samples alone: earlier entries need the others: {freed}");
    // Delivering everything again in other files finds every record known, and drafts the same bytes.
    let all: String =
        (0..5).map(|number| format!("m,a,2026-10-0{}T10:1{number}:00Z,{number}.5,p\n", 1 + number % 2)).collect();
    world.put("usage/again.csv", format!("{HEADER}{all}"));
    let said = done(&world, &["run", "--period", "2026-10", "--documents", "all"]);
    let duplicates = said.lines().find(|line| line.contains("duplicate")).unwrap();
    assert_eq!(duplicates.split_whitespace().last(), Some("5"), "{said}");
    assert_eq!(world.results(), results);
    let without_index = crate::world::without_index;
    assert_eq!(without_index(world.documents("2026-10")), without_index(documents));
    done(&world, &["verify"]);
    rebuilt(&world);
}

#[test]
fn samples_of_closed_months_can_go_and_what_comes_later_is_too_late() {
    let world = world();
    let refused = run(&world, &["expire", "--through", "2026-10"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("samples are given up for closed periods only, and not closed is: 2026-10;"), "{said}");
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02", "--force"]);
    deliver(&world, "november", &["11-01,a,00,2"]);
    done(&world, &["run", "--period", "2026-11"]);
    let (october, results) = (world.documents("2026-10"), world.results());
    let said = done(&world, &["expire", "--through", "2026-10"]);
    assert!(said.starts_with("Gave up 6 samples"), "{said}");
    assert!(said.contains("samples are kept from 2026-11-01 on"), "{said}");
    assert!(done(&world, &["expire", "--through", "2026-10"]).contains("Nothing to give up"));
    assert!(done(&world, &["vacuum"]).contains("nothing to delete"), "not before a day has passed");
    let freed = done(&world, &["vacuum", "--older-than", "0s"]);
    assert!(freed.starts_with("Deleted 6 files"), "{freed}");
    assert_eq!(world.snapshot().files("sample").count(), 1);
    // The same files are known, the same records in another file are too late, and so is what is new.
    assert!(done(&world, &["run", "--period", "2026-11"]).contains("Nothing changed"));
    deliver(&world, "late", &["10-09,a,00,7", "10-01,a,10,0.5", "11-02,a,00,3"]);
    let said = done(&world, &["run", "--period", "2026-11"]);
    let cell = |name: &str| said.lines().find(|line| line.contains(name)).unwrap().split_whitespace().last().unwrap();
    assert_eq!((cell("accepted"), cell("rejected")), ("1", "2"), "{said}");
    let rejected = world.rows("rejected_record");
    let late: Vec<_> = rejected.iter().filter(|row| row["reason"] == "too_late").collect();
    assert_eq!(late.len(), 2);
    assert_eq!(
        late[0]["detail"],
        "the time is 2026-10-09T10:00:00Z; of closed periods samples are kept from 2026-11-01T00:00:00Z on"
    );
    assert!(done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-12-01"]).contains("Nothing is due"));
    assert_eq!(world.documents("2026-10"), october);
    let now = world.results();
    let of_october = results.iter().filter(|(path, _)| path.contains("/2026-10"));
    of_october.for_each(|(path, bytes)| assert_eq!(bytes, &now[path], "{path}"));
    // Another aggregation measures November anew, and October stays what it was closed with.
    world.put("rules/rules.toml", rules("max"));
    done(&world, &["run", "--period", "2026-11"]);
    let windows = |world: &World| {
        let of_october = world.results().into_iter().filter(|(path, _)| path.contains("metered_day/2026-10"));
        of_october.collect::<Vec<_>>()
    };
    let before: Vec<_> = results.into_iter().filter(|(path, _)| path.contains("metered_day/2026-10")).collect();
    assert_eq!(windows(&world), before);
    let refused = run(&world, &["restate", "--period", "2026-10"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("the samples of 2026-10 are not kept any more"), "{said}");
    done(&world, &["verify"]);
    rebuilt(&world);
}

#[test]
fn a_meter_that_measures_otherwise_reaches_a_closed_month_only_through_a_restatement() {
    let world = World::new(&Setting::default());
    world.put("rules/rules.toml", rules("sum"));
    deliver(&world, "october", &["10-01,a,00,20", "10-01,a,30,30"]);
    // 20 and 30 in one hour: 50 at 0.10.
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02", "--force"]);
    world.put("rules/rules.toml", rules("max"));
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("nothing is due"));
    // Late usage is measured as the close did: 40 more are 4.00.
    deliver(&world, "late", &["10-01,a,45,40"]);
    let said = done(&world, &["run", "--period", "2026-10"]);
    assert!(said.contains("4.00 EUR  late usage"), "{said}");
    // The greatest of 20, 30 and 40 is 40: 4.00 instead of 5.00.
    let said = done(&world, &["restate", "--period", "2026-10"]);
    assert!(said.contains("-1.00 EUR  changed rule  credit note"), "{said}");
    let approve = ["restate", "--period", "2026-10", "--approve", "--issue-date", "2026-12-01", "--reason", "the peak"];
    done(&world, &approve);
    assert!(done(&world, &approve).contains("Nothing is due"));
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("nothing is due"));
    rebuilt(&world);
}

#[test]
fn a_vacuum_deletes_what_dead_runs_left_and_nothing_that_is_about_to_be_named() {
    let world = world();
    world.put("lake/data/sample/2026-10-01/000-0123456789abcdef.parquet", "of a dead run");
    world.put("lake/documents/2026-10/0123456789abcdef/index.html", "of a dead run");
    world.put("lake/data/sample/2026-10-01/000-fedcba9876543210.parquet#7", "half written");
    assert!(done(&world, &["vacuum"]).contains("nothing to delete"), "they are too young");
    let said = done(&world, &["vacuum", "--older-than", "0s", "--dry-run"]);
    assert!(said.starts_with("2 files (26 bytes) would be deleted."), "{said}");
    let files = world.files("lake").len();
    let said = done(&world, &["vacuum", "--older-than", "0s"]);
    assert!(said.contains("Deleted 2 files (26 bytes)") && said.contains("Deleted 1 half-written file."), "{said}");
    let entries = 2;
    assert_eq!(world.files("lake").len(), files - 3 + entries);
    done(&world, &["verify"]);
    rebuilt(&world);
}

/// A vacuum that dies between its two entries leaves names that nobody may write to, until another vacuum is done.
#[test]
fn what_is_being_deleted_is_written_under_another_name() {
    let (world, other) = (world(), world());
    let usage = ["10-20,c,00,5"];
    deliver(&other, "more", &usage);
    done(&other, &["run", "--period", "2026-10"]);
    let known = |path: &String| world.snapshot().contains(path);
    let snapshot = other.snapshot();
    let new: Vec<String> = snapshot.all_files().map(|file| file.path.clone()).filter(|path| !known(path)).collect();
    let sample = new.iter().find(|path| path.contains("data/sample/2026-10-20")).unwrap().clone();
    // The vacuum says that it deletes what the next run is about to write, and dies.
    let lake = world.lake();
    let mut entry = block_on(lake.log_entry(0)).unwrap();
    entry.sequence = world.snapshot().next_sequence();
    entry.kind = CommitKind::Vacuum;
    (entry.added, entry.removed, entry.documents) = (Vec::new(), Vec::new(), Vec::new());
    entry.vacuumed = vec![sample.clone()];
    block_on(lake.commit(&entry)).unwrap();
    deliver(&world, "more", &usage);
    done(&world, &["run", "--period", "2026-10"]);
    let mark = format!("-{}.parquet", entry.sequence + 1);
    let named: Vec<String> = world.snapshot().files("sample").map(|file| file.path.clone()).collect();
    assert!(!named.contains(&sample), "{named:?}");
    assert!(named.contains(&sample.replace(".parquet", &mark)), "{named:?}");
    done(&world, &["vacuum", "--older-than", "0s"]);
    assert!(!world.snapshot().is_tombstoned(&sample), "the next vacuum finishes what the dead one began");
    done(&world, &["verify"]);
    let without_index = crate::world::without_index;
    assert_eq!(without_index(world.documents("2026-10")), without_index(other.documents("2026-10")));
}
