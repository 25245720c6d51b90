//! The committed inputs of a close. Every commit is reproduced to the byte, and the explanation of an issued line uses
//! the rules and files of its close.

use super::{LATE_30, OCTOBER, issued, lake, prices};
use crate::test_lake::block_on;

/// A reproduction does not use the current rules, accounts and sources. The test changes the rules, removes the usage
/// files, and hides the results of a commit before it reproduces the commit.
#[test]
fn every_commit_is_reproduced_to_the_same_bytes_and_nothing_is_written() {
    let lake = lake();
    lake.run(OCTOBER);
    lake.set_rules(prices("0.10", "0.07"));
    lake.deliver("more", LATE_30);
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", ["m,a,2026-10-10T10:00:00Z,10,p"]);
    lake.close(OCTOBER, "2026-11-03");
    lake.set_rules(prices("0.10", "0.01"));
    for name in ["usage/usage.csv", "usage/more.csv", "usage/late.csv"] {
        lake.remove(name);
    }
    let entries = block_on(lake.lake().log()).unwrap();
    let mut reproduced = 0;
    for entry in entries.iter().filter(|entry| entry.period.is_some()) {
        let before = lake.files("lake");
        let files = entry.added.iter().map(|file| &file.path);
        let made: Vec<&String> = files.chain(entry.documents.iter().map(|document| &document.path)).collect();
        // A document of an earlier close is copied, not rendered again.
        let hidden: Vec<&String> = made.into_iter().filter(|path| !path.contains("INV-")).collect();
        for path in &hidden {
            lake.remove(&format!("lake/{path}"));
        }
        lake.assert_reproduced(entry.sequence);
        for path in &hidden {
            assert!(!lake.path(&format!("lake/{path}")).exists(), "{path} was written");
            lake.put(&format!("lake/{path}"), &before[*path]);
        }
        reproduced += 1;
    }
    assert_eq!(reproduced, 4);
    let message = lake.reproduction_fails(2, 0);
    assert!(message.contains("commit 0 has no documents"), "{message}");
}

/// Logo and messages change after the close. Corrections keep the logo and the messages of the close.
#[test]
fn templates_and_logo_of_a_closed_month_are_kept() {
    let lake = lake()
        .config(
            r#"
            templates = "look"
            seller.logo = "logo.svg"
            "#,
        )
        .file("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .file("look/messages/en.toml", r#"invoice = "Bill""#);
    lake.close(OCTOBER, "2026-11-02");
    lake.put("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>");
    lake.put("look/messages/en.toml", r#"invoice = "Receipt""#);
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    let page = lake.document(OCTOBER, "acme/INV-2026-00003.html");
    assert!(page.contains("Bill") && !page.contains("Receipt"), "{page}");
    assert_eq!(lake.assert_all_reproduced(), 2);
}

/// A delivery is retracted after the close, and another delivery has 50 of the 90 GB. The issued line is explained by
/// the first file, and its correction by the second file. A vacuum changes neither.
#[test]
fn an_issued_line_is_explained_by_files_that_were_retracted_since() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("second", ["m,a,2026-10-01T10:00:00Z,50,p", "m,b,2026-10-02T10:00:00Z,20,q"]);
    lake.retract("usage/usage.csv", "a wrong export");
    lake.close(OCTOBER, "2026-11-09");
    let files_of = |line: &str| -> Vec<String> {
        let explained = lake.explain_json(line);
        let files = explained["lines"][0]["files"].as_array().unwrap();
        files.iter().map(|file| file["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    };
    for _ in ["before a vacuum", "after it"] {
        assert_eq!(files_of("INV-2026-00001/1"), ["usage.csv"]);
        assert_eq!(files_of("CN-2026-00001/1"), ["second.csv"]);
        lake.vacuum();
    }
}

fn support_fee(id: &str) -> String {
    format!(
        r#"
        [[fee]]
        id = "{id}"
        service = "Support"
        sku = "SUPPORT"
        description = "Support"
        per = "project"
        base = "after_discounts"
        percent = "10"
        "#
    )
}

/// A restatement changes price, rule and fee. The explanation of an earlier document uses the earlier rules, and the
/// explanation of a document of the restatement uses the new rules.
#[test]
fn an_issued_line_is_explained_by_the_rules_that_it_was_issued_under() {
    let lake = lake().file("rules/fees.toml", support_fee("care"));
    lake.close(OCTOBER, "2026-11-02");
    let (usage, support) = (lake.explain("INV-2026-00001/1"), lake.explain("INV-2026-00001/2"));
    assert!(usage.contains("90 GB at 0.10 EUR: 9.00 EUR") && usage.contains("usage/usage.csv"), "{usage}");
    assert!(support.contains("term care at"), "{support}");
    lake.set_rules(prices("0.05", "0.08").replace(r#"id = "r""#, r#"id = "t""#));
    lake.put("rules/fees.toml", support_fee("plan"));
    lake.restate(OCTOBER, "2026-12-01", "too dear");
    assert!(issued(&lake)[2].starts_with("CN-2026-00001 "), "{:?}", issued(&lake));
    lake.compact();
    lake.vacuum();
    // Only the correction is new.
    let corrected = "corrected by CN-2026-00001 of 2026-12-01: changed rule\n";
    for (line, earlier) in [("INV-2026-00001/1", usage), ("INV-2026-00001/2", support)] {
        let explained = lake.explain(line);
        assert!(explained.contains(corrected), "{explained}");
        assert_eq!(explained.replace(corrected, ""), earlier);
    }
    let restated = lake.explain("CN-2026-00001");
    assert!(restated.contains("rule t at") && restated.contains("term plan at"), "{restated}");
}
