//! The nightly benchmark at a reduced size, without timing. Conto and hand-written SQL of another engine do the same
//! job. Their lines, quantities and amounts must agree to the cent.

use std::path::Path;
use std::process::Command;

/// Runs the benchmark's script, or prints why it is skipped.
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn agrees(arguments: &[&str]) {
    let has_peer = Command::new("python3").args(["-c", "import duckdb"]).output().is_ok_and(|ran| ran.status.success());
    if !has_peer {
        println!("skipped: there is no python3 with duckdb (pip install duckdb)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/nightly/nightly.py");
    let ran = Command::new("python3")
        .arg(script)
        .args(arguments)
        .args(["--runs", "1", "--series", "120", "--conto", env!("CARGO_BIN_EXE_conto"), "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let output = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{output}");
}

#[test]
fn parquet_is_billed_as_the_peer_bills_it() {
    agrees(&["parquet", "--days", "17"]);
}

#[test]
fn json_lines_are_billed_as_the_peer_bills_them() {
    agrees(&["jsonl", "--days", "1"]);
}

#[test]
fn nights_one_by_one_are_billed_as_all_at_once() {
    agrees(&["nights", "--days", "3"]);
}

#[test]
fn rules_that_never_win_change_nothing() {
    agrees(&["rules", "--days", "1", "--many", "50"]);
}
