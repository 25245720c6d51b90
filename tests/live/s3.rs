//! A lake in S3: every command, the race for an entry, an answer that is lost, and kills.

use std::sync::atomic::Ordering;

use super::moto::{BUCKET, Moto, losing_proxy};
use crate::crash::{self, conto, state};
use crate::world::{World, assert_same_files, block_on};

const USAGE: &str = "meter,resource_id,measured_at,quantity,project_id\n\
                     m,a,2026-10-01T10:00:00Z,1.5,p\nm,b,2026-10-02T10:00:00Z,2.5,q\n";

fn said(world: &World, arguments: &[&str], variables: &[(String, String)]) -> String {
    let output = conto(world, arguments, variables).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn every_command_works_on_a_lake_in_s3() {
    let Some(moto) = Moto::start() else { return };
    let variables = Moto::variables(moto.port);
    let local = crash::world("lake");
    let remote = crash::world(&format!("s3://{BUCKET}/of/my team"));
    for world in [&local, &remote] {
        world.put("usage/usage.csv", USAGE);
        said(world, &["intake"], &variables);
        said(world, &["run", "--period", "2026-10"], &variables);
        let again = said(world, &["run", "--period", "2026-10"], &variables);
        assert!(again.contains("Nothing changed since the last run."), "{again}");
    }
    assert_same_files(&state(&local.lake()), &state(&moto.lake("of/my team")), "a lake on disk and one in S3");
    for arguments in [
        &["sql", "SELECT project_id, net_amount FROM invoice_line ORDER BY project_id"][..],
        &["explain", "DRAFT-2026-10-p"],
        &["sql"],
    ] {
        assert_eq!(said(&local, arguments, &variables), said(&remote, arguments, &variables), "{arguments:?}");
    }
    let status = said(&remote, &["status"], &variables);
    assert!(status.contains("Lake s3://lakes/of/my team/"), "{status}");
    let verified = said(&remote, &["verify", "--json"], &variables);
    assert!(verified.contains("\"damaged\": []") && verified.contains("\"entries\": 2"), "{verified}");
    // A beginning whose lake is in S3 from the start.
    let lake = format!("s3://{BUCKET}/begun");
    said(&remote, &["init", "mine", "--lake", &lake], &variables);
    said(&remote, &["run", "--config", "mine/conto.toml", "--period", "2026-10"], &variables);
    assert_eq!(block_on(moto.lake("begun").snapshot()).unwrap().commits().len(), 2);
}

#[test]
fn usage_is_read_from_s3() {
    let Some(moto) = Moto::start() else { return };
    let variables = Moto::variables(moto.port);
    block_on(moto.lake("usage").write("2026/10.csv", USAGE)).unwrap();
    let world = crash::world("lake");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config.replace("usage/*.csv*", &format!("s3://{BUCKET}/usage/**/*.csv")));
    let first = said(&world, &["run", "--period", "2026-10"], &variables);
    assert!(first.contains("2 draft invoices"), "{first}");
    let again = said(&world, &["run", "--period", "2026-10"], &variables);
    assert!(again.contains("No new usage files"), "{again}");
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_in_the_log() {
    let Some(moto) = Moto::start() else { return };
    for (lost, name) in [(1, "first"), (2, "second")] {
        let (port, puts) = losing_proxy(moto.port, lost);
        let world = crash::world(&format!("s3://{BUCKET}/lost-{name}"));
        world.put("usage/usage.csv", USAGE);
        said(&world, &["run", "--period", "2026-10"], &Moto::variables(port));
        assert!(puts.load(Ordering::SeqCst) >= 2, "both entries were put through the proxy");
        let lake = moto.lake(&format!("lost-{name}"));
        assert_eq!(block_on(lake.snapshot()).unwrap().commits().len(), 2, "each entry once");
        assert!(block_on(lake.verify_all()).unwrap().damaged.is_empty());
    }
}

#[test]
fn of_two_runs_at_once_both_end_well() {
    let Some(moto) = Moto::start() else { return };
    let variables = Moto::variables(moto.port);
    let world = crash::world(&format!("s3://{BUCKET}/shared"));
    world.put("usage/usage.csv", USAGE);
    let mut running: Vec<_> =
        (0..3).map(|_| conto(&world, &["run", "--period", "2026-10"], &variables).spawn().unwrap()).collect();
    for child in running.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let alone = crash::world("lake");
    alone.put("usage/usage.csv", USAGE);
    said(&alone, &["run", "--period", "2026-10"], &[]);
    assert_same_files(&state(&alone.lake()), &state(&moto.lake("shared")), "three at once and one alone");
    assert_eq!(block_on(moto.lake("shared").snapshot()).unwrap().commits().len(), 2);
}

#[test]
fn a_run_that_is_killed_leaves_a_whole_lake_in_s3() {
    let Some(moto) = Moto::start() else { return };
    let name = |round| format!("s3://{BUCKET}/crash-{round}");
    let open = |url: &str| moto.lake(url.rsplit('/').next().unwrap());
    crash::survive(name, open, &Moto::variables(moto.port), 8);
}

#[test]
fn what_the_store_refuses_is_told_with_what_to_do() {
    let Some(moto) = Moto::start() else { return };
    let world = crash::world("s3://nobody-made-this-bucket/lake");
    world.put("usage/usage.csv", USAGE);
    let output = conto(&world, &["run", "--period", "2026-10"], &Moto::variables(moto.port)).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("NoSuchBucket") && error.contains("hint: "), "{error}");
}
