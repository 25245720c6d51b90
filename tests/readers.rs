//! Other programs read the relations of the lake: DuckDB and pandas read the data files of the newest manifest, DuckDB
//! reads listed files, and pandas reads Delta tables.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use conto::query::{persisted_paths, statement};
use serde_json::{Value, json};

use crate::test_lake::{TestLake, assert_manifests, block_on};

const OCTOBER: &str = "2026-10";

/// The large quantity has fewer decimal places in its file than the small one.
fn lake() -> TestLake {
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "0.10""#);
    lake.usage(["m,a,2026-10-01T10:00:00Z,90000000000,p", "m,b,2026-10-02T10:00:00Z,0.123456789,p"])
}

fn has_readers() -> bool {
    let imports = ["-c", "import deltalake, duckdb, pandas, pyarrow"];
    Command::new("python3").args(imports).output().is_ok_and(|ran| ran.status.success())
}

/// The relation with its files, its exported table, and the count and sums of `conto sql`.
fn relation(lake: &TestLake, path: &str) -> Value {
    let statement = statement(path).unwrap();
    let name = &statement.name;
    let table = lake.path(&format!("tables/{name}"));
    lake.succeeds(&["lake", "export", name, table.to_str().unwrap()]);
    let files = lake.succeeds(&["lake", "files", name]);
    let decimals = statement.schema.fields().iter().filter(|field| field.data_type().is_decimal());
    let decimals: Vec<&str> = decimals.map(|field| field.name().as_str()).collect();
    let columns: String = decimals.iter().map(|name| format!(", CAST(SUM({name}) AS TEXT) AS {name}")).collect();
    let row = &lake.json(&["sql", &format!("SELECT COUNT(*) AS counted{columns} FROM {name}")])[0];
    let sums: serde_json::Map<String, Value> =
        decimals.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect();
    json!({
        "name": name, "lake": lake.path("lake"), "table": table, "files": files.lines().collect::<Vec<_>>(),
        "rows": row["counted"], "sums": sums,
    })
}

/// Two runs replace most files of the first one. The replaced files stay until a vacuum, so a sum over all files of the
/// directory would be wrong.
#[test]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn duckdb_and_pandas_read_the_sums_of_every_relation() {
    if !has_readers() {
        println!("skipped: there is no python3 with deltalake, duckdb, pandas and pyarrow (.ci/run installs them)");
        return;
    }
    let lake = lake();
    for more in ["m,a,2026-10-03T10:00:00Z,1.5,p", "m,c,2026-10-04T10:00:00Z,7,q"] {
        lake.run(OCTOBER);
        // The tables exist before the last run, so the second export adds a version to each changed one.
        persisted_paths().for_each(|path| drop(relation(&lake, path)));
        lake.deliver(&more[2..3], [more]);
    }
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    let relations: Vec<Value> = persisted_paths().map(|path| relation(&lake, path)).collect();
    let invoices = relations.iter().find(|relation| relation["name"] == "invoice").unwrap();
    // 90,000,000,001.623456789 at 0.10 cost 9,000,000,000.16 and 1,800,000,000.03 tax; 7 cost 0.70 and 0.14 tax.
    assert_eq!(invoices["sums"]["total_with_tax"], "10800000001.0300");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/read_tables.py");
    let mut python = Command::new("python3");
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(relations).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn an_export_adds_a_version_only_for_a_difference() {
    let lake = lake();
    lake.run(OCTOBER);
    let table = lake.path("table");
    let export = |name: &str| lake.json(&["lake", "export", name, table.to_str().unwrap()]);
    assert_eq!(export("invoice"), json!({ "version": 0, "added": 1, "removed": 0, "rows": 1 }));
    assert_eq!(export("invoice"), json!({ "version": 0, "added": 0, "removed": 0, "rows": 1 }));
    lake.deliver("late", ["m,c,2026-10-04T10:00:00Z,7,q"]);
    let before = block_on(lake.lake().log()).unwrap().len() - 1;
    lake.run(OCTOBER);
    assert_eq!(export("invoice"), json!({ "version": 1, "added": 1, "removed": 1, "rows": 2 }));
    let earlier = lake.json(&["lake", "export", "invoice", table.to_str().unwrap(), "--as-of", &before.to_string()]);
    assert_eq!(earlier, json!({ "version": 2, "added": 1, "removed": 1, "rows": 1 }));
    let other = lake.fails(2, &["lake", "export", "invoice_line", table.to_str().unwrap()]);
    assert!(other.contains("is a Delta table of another relation"), "{other}");
    let inside = lake.fails(2, &["lake", "export", "invoice", "lake/tables"]);
    assert!(inside.contains("is in the lake"), "{inside}");
    for read in ["usage", "usage/tables"] {
        let read = lake.fails(2, &["lake", "export", "invoice", read]);
        assert!(read.contains("so it could read the table"), "{read}");
    }
    let unknown = lake.fails(2, &["lake", "files", "invoices"]);
    assert!(unknown.contains("no relation `invoices`"), "{unknown}");
}

/// Each relation that a commit changes gets one manifest, and no other relation gets one.
#[test]
fn a_commit_writes_one_manifest_for_each_changed_relation() {
    let lake = lake();
    lake.run(OCTOBER);
    lake.deliver("late", ["m,c,2026-10-04T10:00:00Z,7,q"]);
    lake.run(OCTOBER);
    lake.run(OCTOBER);
    let mut expected = BTreeSet::new();
    for entry in block_on(lake.lake().log()).unwrap() {
        for path in entry.added.iter().map(|file| &file.path).chain(&entry.removed) {
            let relation = path.split('/').nth(1).unwrap();
            expected.insert(format!("{relation}/manifest/{:020}.json", entry.sequence));
        }
    }
    let files = lake.files("lake/data");
    let found: BTreeSet<String> = files.keys().filter(|path| path.contains("/manifest/")).cloned().collect();
    assert_eq!(found, expected);
    let newest: Value = serde_json::from_slice(&files["invoice/manifest/00000000000000000003.json"]).unwrap();
    let file = lake.snapshot().files("invoice").next().unwrap().clone();
    let listed = json!({ "path": file.path, "partition": "2026-10", "rows": 2, "bytes": file.bytes });
    assert_eq!(newest, json!({ "relation": "invoice", "commit": 3, "rows": 2, "files": [listed] }));
    assert_manifests(&lake.lake());
}

/// An intake is killed at one step after the other. After its log entry, its manifests are missing until the next
/// command.
#[test]
fn the_next_command_writes_the_manifests_of_a_killed_one() {
    let has_all = |lake: &TestLake| {
        let entry = block_on(lake.lake().log()).unwrap().pop();
        let files = lake.files("lake/data");
        let written = files.keys().filter(|path| path.ends_with("/manifest/00000000000000000000.json"));
        let written = written.count();
        entry
            .map(|entry| entry.added.iter().map(|file| file.relation.clone()).collect::<BTreeSet<_>>().len() == written)
    };
    let (mut missing, mut step) = (0, 1);
    loop {
        let lake = lake();
        let mut command = lake.command(&["intake"]);
        if command.env("CONTO_TEST_KILL_AT", step.to_string()).output().unwrap().status.code().is_some() {
            assert_eq!(has_all(&lake), Some(true));
            break;
        }
        missing += usize::from(has_all(&lake) == Some(false));
        lake.assert_verified();
        lake.succeeds(&["intake"]);
        assert_eq!(has_all(&lake), Some(true), "step {step}");
        assert_manifests(&lake.lake());
        step += 5;
    }
    assert!(missing >= 3, "{missing} kills left manifests missing");
}

/// Two runs at the same time commit one after the other. Each delivery is in the newest manifest afterwards.
#[test]
fn concurrent_commands_leave_complete_manifests() {
    let lake = lake();
    for round in 1..4 {
        lake.deliver(&format!("round-{round}"), [format!("m,c,2026-10-1{round}T10:00:00Z,7,q")]);
        let mut running: Vec<_> = [["run", "--period", OCTOBER], ["run", "--period", OCTOBER]]
            .iter()
            .map(|arguments| lake.command(arguments).spawn().unwrap())
            .collect();
        for child in &mut running {
            assert!(child.wait().unwrap().success());
        }
        assert_manifests(&lake.lake());
        lake.assert_verified();
    }
}

/// A manifest that lists other files is wrong, and a manifest that is not written yet is only missing. The next command
/// repairs both, and removes the manifest of a commit that does not exist.
#[test]
fn a_verification_finds_a_changed_manifest() {
    let lake = lake();
    lake.run(OCTOBER);
    let newest = "lake/data/invoice/manifest/00000000000000000001.json";
    lake.replace(newest, "\"rows\":1", "\"rows\":2");
    let found = |key: &str| -> Vec<String> {
        let output = lake.output(&["lake", "verify", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["damaged"], Value::Array(Vec::new()));
        assert_eq!(output.status.code() == Some(1), found["wrong_manifests"][0].is_string());
        found[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let remedy = "the next `conto intake` or `conto run` writes it again";
    let wrong = |number: u64, what: &str| format!("`data/invoice/manifest/{number:020}.json` {what}: {remedy}");
    assert_eq!(found("wrong_manifests"), [wrong(1, "lists other files than the commit log")]);
    lake.succeeds(&["intake"]);
    assert_manifests(&lake.lake());
    lake.assert_verified();
    for relation in ["invoice", "stream"] {
        std::fs::remove_dir_all(lake.path(&format!("lake/data/{relation}/manifest"))).unwrap();
    }
    let missing = ["invoice", "stream"].map(|relation| format!("`{relation}` has no manifest: {remedy}"));
    assert_eq!((found("wrong_manifests"), found("missing_manifests")), (Vec::new(), missing.to_vec()));
    lake.succeeds(&["intake"]);
    assert_manifests(&lake.lake());
    // The newest manifest of a relation that two commits changed is deleted, so the older one is the newest.
    lake.deliver("second", ["m,c,2026-10-11T10:00:00Z,7,q"]);
    lake.run(OCTOBER);
    lake.remove("lake/data/invoice/manifest/00000000000000000003.json");
    let older = "data/invoice/manifest/00000000000000000001.json";
    let stale = format!("`invoice` changed after its newest manifest `{older}`: {remedy}");
    assert_eq!((found("wrong_manifests"), found("missing_manifests")), (Vec::new(), vec![stale]));
    lake.succeeds(&["intake"]);
    assert_manifests(&lake.lake());
    // A manifest of a commit that the log does not have.
    lake.put("lake/data/invoice/manifest/00000000000000000009.json", "{}");
    assert_eq!(found("wrong_manifests"), [wrong(9, "is of a commit that the log does not contain")]);
    lake.succeeds(&["intake"]);
    lake.assert_verified();
    assert!(!lake.path("lake/data/invoice/manifest/00000000000000000009.json").exists());
}
