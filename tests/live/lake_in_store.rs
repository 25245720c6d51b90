//! A lake in an object store: every command, concurrent runs, lost responses, servers that die, and killed runs. Each
//! test runs for S3, for Azure and for Google's store.

use super::store::{BUCKET, Fate, Kind, StoreServer};
use crate::crash::survive;
use crate::test_lake::{TestLake, USAGE_COLUMNS, assert_same_files, block_on, state, stderr_of};

const USAGE: [&str; 2] = ["m,a,2026-10-01T10:00:00Z,1.5,p", "m,b,2026-10-02T10:00:00Z,2.5,q"];

/// The usage of an object whose key is not a path.
const ODD_USAGE: &str = "m,odd,2026-10-03T10:00:00Z,1.5,p";

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
    a_server_that_dies_at_the_commit_loses_and_repeats_nothing,
    concurrent_runs_all_succeed,
    a_killed_run_leaves_an_undamaged_lake,
    an_error_of_the_store_has_a_hint,
);

fn in_store(kind: Kind, test: fn(&StoreServer)) {
    if let Some(server) = kind.start() {
        test(&server);
    }
}

/// A lake at this path or URL, with usage that no run has read yet.
fn lake_at(location: &str) -> TestLake {
    TestLake::graduated(location).usage(USAGE)
}

/// The standard output of a command that must succeed with these environment variables.
#[track_caller]
fn succeeds(lake: &TestLake, arguments: &[&str], variables: &[(String, String)]) -> String {
    let output = lake.command(arguments).envs(variables.iter().cloned()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stdout}{}", stderr_of(&output));
    stdout
}

/// The standard error of a run that must fail.
#[track_caller]
fn run_fails(lake: &TestLake, variables: &[(String, String)]) -> String {
    let output = lake.command(&RUN).envs(variables.iter().cloned()).output().unwrap();
    let message = stderr_of(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    message
}

/// A lake on disk with the same usage, as an undisturbed run leaves it.
fn undisturbed() -> TestLake {
    let lake = lake_at("lake");
    succeeds(&lake, &RUN, &[]);
    lake
}

fn every_command_works_on_a_lake(server: &StoreServer) {
    let variables = server.variables();
    let local = lake_at("lake");
    let remote = lake_at(&server.url("of/my team"));
    for lake in [&local, &remote] {
        succeeds(lake, &["intake"], &variables);
        succeeds(lake, &RUN, &variables);
        let again = succeeds(lake, &RUN, &variables);
        assert!(again.contains("Nothing changed since the last run."), "{again}");
    }
    assert_same_files(&state(&local.lake()), &state(&server.lake("of/my team")), "on disk and in the store");
    for arguments in [
        &["sql", "SELECT project_id, net_amount FROM invoice_line ORDER BY project_id"][..],
        &["explain", &local.draft("2026-10", "p")],
        &["sql"],
    ] {
        assert_eq!(succeeds(&local, arguments, &variables), succeeds(&remote, arguments, &variables), "{arguments:?}");
    }
    let status = succeeds(&remote, &["status"], &variables);
    assert!(status.contains(&format!("Lake {}/", server.url("of/my team"))), "{status}");
    let verified = succeeds(&remote, &["lake", "verify", "--json"], &variables);
    assert!(verified.contains(r#""damaged": []"#) && verified.contains(r#""entries": 2"#), "{verified}");
    // `init` with a lake in the store.
    succeeds(&remote, &["init", "mine", "--lake", &server.url("begun")], &variables);
    succeeds(&remote, &["run", "--config", "mine/conto.toml", "--period", "2026-10"], &variables);
    assert_eq!(block_on(server.lake("begun").snapshot()).unwrap().commits().len(), 2);
}

fn usage_is_read_from_a_bucket(server: &StoreServer) {
    let variables = server.variables();
    let csv = format!("{USAGE_COLUMNS}\n{}\n", USAGE.join("\n"));
    block_on(server.lake("usage").write("2026/10.csv", csv)).unwrap();
    let lake = TestLake::graduated("lake").config(format!(
        r#"
            [[source]]
            name = "bucket"
            format = "csv"
            path = "{}"
            "#,
        server.url("usage/**/*.csv")
    ));
    let first = succeeds(&lake, &RUN, &variables);
    assert!(first.contains("2 draft invoices"), "{first}");
    let again = succeeds(&lake, &RUN, &variables);
    assert!(again.contains("No new usage files"), "{again}");
    if server.put_odd_keys("usage", &format!("{USAGE_COLUMNS}\n{}\n", ODD_USAGE)) {
        let output = lake.command(&RUN).envs(variables).output().unwrap();
        // The key with an empty segment is read, and the key with a control character is listed.
        assert_eq!(output.status.code(), Some(4), "{}", stderr_of(&output));
        assert_eq!(lake.rows("sample").len(), 3);
        assert_eq!(lake.column("unread_input", "reason"), ["unusable_name"]);
    }
}

fn a_commit_whose_answer_was_lost_is_found_in_the_log(server: &StoreServer) {
    for lost in [1, 2] {
        let name = format!("lost-{lost}");
        let proxy = server.proxy(Fate::AnswerLost, lost);
        let lake = lake_at(&server.url(&name));
        succeeds(&lake, &RUN, &server.variables_through(proxy.port));
        assert!(proxy.puts() >= 2, "both entries must pass through the proxy");
        let stored = server.lake(&name);
        assert_eq!(block_on(stored.snapshot()).unwrap().commits().len(), 2, "each entry once");
        assert!(block_on(stored.verify_all()).unwrap().damaged.is_empty());
    }
}

/// The server dies at the first or the second entry, before or after it writes the entry. The message states that the
/// commit is unknown. The same command again gives the result of an undisturbed run.
fn a_server_that_dies_at_the_commit_loses_and_repeats_nothing(server: &StoreServer) {
    let expected = state(&undisturbed().lake());
    for (fate, at, kept) in [(Fate::DeadBefore, 1, 0), (Fate::DeadAfter, 1, 1), (Fate::DeadBefore, 2, 1)] {
        let name = format!("died-{fate:?}-{at}");
        let proxy = server.proxy(fate, at);
        let lake = lake_at(&server.url(&name));
        let message = run_fails(&lake, &server.variables_through(proxy.port));
        let unknown = format!("it is unknown whether entry {} was committed", at - 1);
        assert!(
            message.contains(&unknown) && message.contains("hint: run the command again when the store responds"),
            "{message}"
        );
        let stored = server.lake(&name);
        assert_eq!(block_on(stored.snapshot()).unwrap().commits().len(), kept, "{name}");
        assert!(block_on(stored.verify_all()).unwrap().damaged.is_empty(), "{name}");
        // The server responds again.
        succeeds(&lake, &RUN, &server.variables());
        assert_same_files(&expected, &state(&stored), &name);
        assert_eq!(block_on(stored.snapshot()).unwrap().commits().len(), 2, "{name}: each entry once");
    }
}

fn concurrent_runs_all_succeed(server: &StoreServer) {
    let variables = server.variables();
    let lake = lake_at(&server.url("shared"));
    let mut running: Vec<_> = (0..3).map(|_| lake.command(&RUN).envs(variables.clone()).spawn().unwrap()).collect();
    for child in running.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
    }
    assert_same_files(&state(&undisturbed().lake()), &state(&server.lake("shared")), "three at once and one alone");
    assert_eq!(block_on(server.lake("shared").snapshot()).unwrap().commits().len(), 2);
}

fn a_killed_run_leaves_an_undamaged_lake(server: &StoreServer) {
    let name = |round| server.url(&format!("crash-{round}"));
    let open = |url: &str| server.lake(url.rsplit('/').next().unwrap());
    survive(name, open, &server.variables(), 5);
}

fn an_error_of_the_store_has_a_hint(server: &StoreServer) {
    let missing = server.url("lake").replace(BUCKET, "missing-bucket");
    let lake = lake_at(&missing);
    let message = run_fails(&lake, &server.variables());
    assert!(message.contains("NoSuchBucket") || message.contains("ContainerNotFound"), "{message}");
    assert!(message.contains("hint: check bucket, endpoint"), "{message}");
    // Only Azurite checks credentials.
    let wrong = server.variables().into_iter().filter(|(name, _)| name == "AZURE_STORAGE_ACCOUNT_KEY");
    for (name, _) in wrong.collect::<Vec<_>>() {
        let mut variables = server.variables();
        variables.push((name, "d3Jvbmc=".to_owned()));
        let lake = lake_at(&server.url("refused"));
        let message = run_fails(&lake, &variables);
        assert!(message.contains("hint: the store rejected the credentials"), "{message}");
    }
}
