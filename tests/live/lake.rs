//! A lake in an object store: every command, the race for an entry, answers that are lost, servers that die, and kills.
//! Each test once for S3, for Azure and for Google's store.

use super::store::{BUCKET, Fate, Kind, StoreServer};
use crate::crash::{self, conto, state};
use crate::world::{World, assert_same_files, block_on};

const USAGE: &str = "meter,resource_id,measured_at,quantity,project_id\n\
                     m,a,2026-10-01T10:00:00Z,1.5,p\nm,b,2026-10-02T10:00:00Z,2.5,q\n";

const RUN: [&str; 3] = ["run", "--period", "2026-10"];

macro_rules! in_each_store {
    ($($name:ident),* $(,)?) => {
        mod s3 {
            $(#[test] fn $name() { super::in_store(super::Kind::S3, super::$name); })*
        }
        mod azure {
            $(#[test] fn $name() { super::in_store(super::Kind::Azure, super::$name); })*
        }
        mod google {
            $(#[test] fn $name() { super::in_store(super::Kind::Google, super::$name); })*
        }
    };
}

in_each_store!(
    every_command_works_on_a_lake,
    usage_is_read_from_a_bucket,
    a_commit_whose_answer_was_lost_is_found_in_the_log,
    a_server_that_dies_at_the_commit_loses_nothing_and_bills_nothing_twice,
    of_two_runs_at_once_both_end_well,
    a_run_that_is_killed_leaves_a_whole_lake,
    what_the_store_refuses_is_told_with_what_to_do,
);

fn in_store(kind: Kind, test: fn(&StoreServer)) {
    if let Some(server) = kind.start() {
        test(&server);
    }
}

fn said(world: &World, arguments: &[&str], variables: &[(String, String)]) -> String {
    let output = conto(world, arguments, variables).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

fn fails(world: &World, variables: &[(String, String)]) -> String {
    let output = conto(world, &RUN, variables).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    error
}

/// A lake on disk with the same usage, as an undisturbed run leaves it.
fn undisturbed() -> World {
    let world = crash::world("lake");
    world.put("usage/usage.csv", USAGE);
    said(&world, &RUN, &[]);
    world
}

fn every_command_works_on_a_lake(server: &StoreServer) {
    let variables = server.variables();
    let local = crash::world("lake");
    let remote = crash::world(&server.url("of/my team"));
    for world in [&local, &remote] {
        world.put("usage/usage.csv", USAGE);
        said(world, &["intake"], &variables);
        said(world, &RUN, &variables);
        let again = said(world, &RUN, &variables);
        assert!(again.contains("Nothing changed since the last run."), "{again}");
    }
    assert_same_files(&state(&local.lake()), &state(&server.lake("of/my team")), "on disk and in the store");
    for arguments in [
        &["sql", "SELECT project_id, net_amount FROM invoice_line ORDER BY project_id"][..],
        &["explain", "DRAFT-2026-10-p"],
        &["sql"],
    ] {
        assert_eq!(said(&local, arguments, &variables), said(&remote, arguments, &variables), "{arguments:?}");
    }
    let status = said(&remote, &["status"], &variables);
    assert!(status.contains(&format!("Lake {}/", server.url("of/my team"))), "{status}");
    let verified = said(&remote, &["verify", "--json"], &variables);
    assert!(verified.contains("\"damaged\": []") && verified.contains("\"entries\": 2"), "{verified}");
    // A beginning whose lake is in the store from the start.
    said(&remote, &["init", "mine", "--lake", &server.url("begun")], &variables);
    said(&remote, &["run", "--config", "mine/conto.toml", "--period", "2026-10"], &variables);
    assert_eq!(block_on(server.lake("begun").snapshot()).unwrap().commits().len(), 2);
}

fn usage_is_read_from_a_bucket(server: &StoreServer) {
    let variables = server.variables();
    block_on(server.lake("usage").write("2026/10.csv", USAGE)).unwrap();
    let world = crash::world("lake");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config.replace("usage/*.csv*", &server.url("usage/**/*.csv")));
    let first = said(&world, &RUN, &variables);
    assert!(first.contains("2 draft invoices"), "{first}");
    let again = said(&world, &RUN, &variables);
    assert!(again.contains("No new usage files"), "{again}");
}

fn a_commit_whose_answer_was_lost_is_found_in_the_log(server: &StoreServer) {
    for lost in [1, 2] {
        let name = format!("lost-{lost}");
        let proxy = server.proxy(Fate::AnswerLost, lost);
        let world = crash::world(&server.url(&name));
        world.put("usage/usage.csv", USAGE);
        said(&world, &RUN, &server.variables_through(proxy.port));
        assert!(proxy.puts() >= 2, "both entries were put through the proxy");
        let lake = server.lake(&name);
        assert_eq!(block_on(lake.snapshot()).unwrap().commits().len(), 2, "each entry once");
        assert!(block_on(lake.verify_all()).unwrap().damaged.is_empty());
    }
}

/// Before the first entry and before the second, with the put done and not: what is told is that it is not known, and
/// the same command once more ends where an undisturbed one would have.
fn a_server_that_dies_at_the_commit_loses_nothing_and_bills_nothing_twice(server: &StoreServer) {
    let expected = state(&undisturbed().lake());
    for (fate, at, kept) in [(Fate::DeadBefore, 1, 0), (Fate::DeadAfter, 1, 1), (Fate::DeadBefore, 2, 1)] {
        let name = format!("died-{fate:?}-{at}");
        let proxy = server.proxy(fate, at);
        let world = crash::world(&server.url(&name));
        world.put("usage/usage.csv", USAGE);
        let told = fails(&world, &server.variables_through(proxy.port));
        let unknown = format!("whether entry {} was committed is not known", at - 1);
        assert!(told.contains(&unknown) && told.contains("hint: run it again when the store answers"), "{told}");
        let lake = server.lake(&name);
        assert_eq!(block_on(lake.snapshot()).unwrap().commits().len(), kept, "{name}");
        assert!(block_on(lake.verify_all()).unwrap().damaged.is_empty(), "{name}");
        // The server is back.
        said(&world, &RUN, &server.variables());
        assert_same_files(&expected, &state(&lake), &name);
        assert_eq!(block_on(lake.snapshot()).unwrap().commits().len(), 2, "{name}: each entry once");
    }
}

fn of_two_runs_at_once_both_end_well(server: &StoreServer) {
    let variables = server.variables();
    let world = crash::world(&server.url("shared"));
    world.put("usage/usage.csv", USAGE);
    let mut running: Vec<_> = (0..3).map(|_| conto(&world, &RUN, &variables).spawn().unwrap()).collect();
    for child in running.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_same_files(&state(&undisturbed().lake()), &state(&server.lake("shared")), "three at once and one alone");
    assert_eq!(block_on(server.lake("shared").snapshot()).unwrap().commits().len(), 2);
}

fn a_run_that_is_killed_leaves_a_whole_lake(server: &StoreServer) {
    let name = |round| server.url(&format!("crash-{round}"));
    let open = |url: &str| server.lake(url.rsplit('/').next().unwrap());
    crash::survive(name, open, &server.variables(), 5);
}

fn what_the_store_refuses_is_told_with_what_to_do(server: &StoreServer) {
    let nowhere = server.url("lake").replace(BUCKET, "nobody-made-this-bucket");
    let world = crash::world(&nowhere);
    world.put("usage/usage.csv", USAGE);
    let told = fails(&world, &server.variables());
    assert!(told.contains("NoSuchBucket") || told.contains("ContainerNotFound"), "{told}");
    assert!(told.contains("hint: see whether bucket, endpoint"), "{told}");
    // A server that asks nobody who they are cannot refuse them.
    let wrong = server.variables().into_iter().filter(|(name, _)| name == "AZURE_STORAGE_ACCOUNT_KEY");
    for (name, _) in wrong.collect::<Vec<_>>() {
        let mut variables = server.variables();
        variables.push((name, "d3Jvbmc=".to_owned()));
        let world = crash::world(&server.url("refused"));
        world.put("usage/usage.csv", USAGE);
        let told = fails(&world, &variables);
        assert!(told.contains("hint: the store refuses these credentials"), "{told}");
    }
}
