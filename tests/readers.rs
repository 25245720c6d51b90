//! Other programs read the relations of the lake: DuckDB reads the data files, and pandas reads Delta tables.

use std::io::Write;
use std::process::{Command, Stdio};

use conto::query::{persisted_paths, statement};
use serde_json::{Value, json};

use crate::test_lake::{TestLake, block_on};

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
        "name": name, "table": table, "files": files.lines().collect::<Vec<_>>(),
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
    let unknown = lake.fails(2, &["lake", "files", "invoices"]);
    assert!(unknown.contains("no relation `invoices`"), "{unknown}");
}
