//! Damaged and missing files of a month: verification names the files, and commands that would read them fail.

use super::{OCTOBER, lake};

#[test]
fn verify_finds_an_issued_document_that_was_changed_or_deleted() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    let path = format!("{}/acme/INV-2026-00001.json", lake.latest(OCTOBER));
    let damages_contain = |expected: &str| {
        let damages = lake.damages();
        assert!(damages.iter().any(|sentence| sentence.contains(expected)), "no {expected} in {damages:?}");
    };
    let in_lake = format!("lake/{path}");
    let document = lake.text(&in_lake);
    lake.replace(&in_lake, "9.00", "8.00");
    damages_contain("`INV-2026-00001` was changed after it was issued");
    lake.remove(&in_lake);
    damages_contain("`INV-2026-00001` cannot be read");
    lake.put(&in_lake, document);
    lake.assert_verified();
    // Pages and CSV of an issued month stay as well.
    let page = path.replace(".json", ".html");
    let bytes = lake.text(&format!("lake/{page}"));
    lake.remove(&format!("lake/{page}"));
    damages_contain(&format!("`{page}` is missing; the commit log references it"));
    lake.put(&format!("lake/{page}"), bytes);
    lake.assert_verified();
}

/// A command whose query reads a file directly fails if the file differs from its digest in the log.
#[test]
fn status_and_explain_refuse_a_damaged_sample_file() {
    let lake = lake();
    lake.run(OCTOBER);
    let file = lake.snapshot().files("sample").next().unwrap().path.clone();
    let path = lake.path(&format!("lake/{file}"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for command in [
        &["status", "--gaps", OCTOBER][..],
        &["status", "--incomplete-lifecycles", OCTOBER],
        &["explain", &lake.draft(OCTOBER, "p/1")],
    ] {
        let message = lake.fails(1, command);
        let damaged = format!("`{file}` in the lake is damaged");
        assert!(message.contains(&damaged) && message.contains("hint: restore"), "{message}");
    }
}
