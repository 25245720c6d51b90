//! Usage of a closed month that arrives late or is retracted. The amounts of all documents together equal the amounts
//! that are issued if the usage arrives in time.

use super::{
    DECEMBER, LATE_30, NOVEMBER, OCTOBER, STORAGE, account, assert_balanced, days, issued, lake,
    lake_with_next_invoice, lines, prices, storage_tax,
};
use crate::test_lake::TestLake;

/// In time, the usage costs 100 × 0.10 + 20 × 0.08 = 11.60. Late, it costs 9.00 and then 2.60, which is 3.12 with tax.
#[test]
fn late_usage_costs_the_same_as_usage_in_time() {
    let lake = lake();
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    let commits = lake.commit_count();
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 2.60 EUR late_usage invoice"]);
    assert_eq!(lake.commit_count(), commits + 1, "usage is taken in, nothing is drafted");
    assert_eq!(issued(&lake).len(), 2);
    assert_eq!(lake.close(OCTOBER, "2026-11-05").documents, ["INV-2026-00003"]);
    assert_eq!(issued(&lake)[2], "INV-2026-00003 3.1200 INV-2026-00001 late_usage");
    let expected = ["10.000000000 at 0.100000000000: 1.0000", "20.000000000 at 0.080000000000: 1.6000"];
    assert_eq!(lines(&lake, "INV-2026-00003"), expected);
    // The lines have the day of the late usage, not all days of the corrected line.
    assert_eq!(days(&lake, "INV-2026-00003"), ["2026-10-09 to 2026-10-10"; 2]);
    // The index has both documents of `p`: 10.80 and 3.12.
    let index = lake.document(OCTOBER, "index.html");
    assert!(index.contains(">13.92<span"), "{index}");
    lake.close(OCTOBER, "2026-11-06").assert_nothing_due();
    assert_eq!(issued(&lake).len(), 3);
    lake.assert_verified();
}

/// `charge_increases_as = "next_invoice"`, the default: October's 2.60 go on November's invoice once.
#[test]
fn charge_increases_as_next_invoice_charges_late_usage_once() {
    let lake = lake_with_next_invoice();
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    let closed = lake.close(OCTOBER, "2026-11-05");
    assert_eq!(closed.changes(), ["acme p 2.60 EUR late_usage next invoice"]);
    assert!(closed.documents.is_empty() && closed.commit.is_some(), "{closed:?}");
    assert_eq!(issued(&lake).len(), 2);
    lake.close(OCTOBER, "2026-11-06").assert_nothing_due();
    assert!(lake.run_closed(OCTOBER).is_empty());
    // November has 10 at 0.10. With the 2.60 of October it has 3.60, and 4.32 with 20 percent tax.
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.run(NOVEMBER);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 4.3200"]);
    let expected = [
        "10.000000000 at 0.100000000000: 1.0000",
        "10.000000000 at 0.100000000000: 1.0000",
        "20.000000000 at 0.080000000000: 1.6000",
    ];
    assert_eq!(lines(&lake, "INV-2026-00003"), expected);
    let page = lake.document(NOVEMBER, "acme/INV-2026-00003.html");
    assert_eq!(page.matches("Late usage, in addition to invoice INV-2026-00001").count(), 2, "{page}");
    assert!(page.contains("9 October 2026 ·"), "the lines have their own period: {page}");
    // After November is closed, December is the next month: 10 at 0.08, although December has no usage.
    lake.deliver("later", ["m,a,2026-10-10T10:00:00Z,10,p"]);
    lake.close(OCTOBER, "2026-12-02");
    lake.close(NOVEMBER, "2026-12-02").assert_nothing_due();
    lake.close(DECEMBER, "2027-01-02");
    assert_eq!(issued(&lake)[3..], ["INV-2027-00001 0.9600"]);
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// Ten GB of an internal account and ten GB of a suspended account arrive after the close. No document changes, but the
/// books contain the usage: 1.00 is internal, and 3.00 are suspended, of which 1.00 is late.
#[test]
fn late_usage_without_an_invoice_is_in_the_books() {
    let more = r#"
        [[account]]
        id = "ours"
        name = "Ours"
        internal = true
        projects = ["o"]

        [[account]]
        id = "suspended"
        name = "Suspended"
        projects = ["s"]
        "#;
    let lake = lake().accounts(account("") + more);
    lake.deliver("suspended", ["m,s,2026-10-03T10:00:00Z,20,s"]);
    lake.close_by_force(OCTOBER, "2026-11-02");
    for (name, late, date) in [
        ("ours", "m,o,2026-10-04T10:00:00Z,10,o", "2026-11-03"),
        ("late", "m,s,2026-10-04T10:00:00Z,10,s", "2026-11-04"),
    ] {
        lake.deliver(name, [late]);
        let summary = lake.run(OCTOBER);
        assert!(summary.closed && summary.changes.is_empty() && summary.has_new_usage, "{summary:?}");
        assert!(audited(&lake).contains("\nnote: usage of 2026-10 was taken in after its last billing"));
        let closed = lake.close(OCTOBER, date);
        closed.assert_nothing_due();
        assert!(closed.commit.is_some(), "the books get the usage: {closed:?}");
        assert_balanced(&lake, &[OCTOBER]);
        let again = lake.close(OCTOBER, date);
        again.assert_nothing_due();
        assert_eq!(again.commit, None);
    }
    assert_eq!(lake.column("suspended_account", "contracted_cost"), ["3.000000000000000000"]);
    assert_eq!(issued(&lake).len(), 2, "those of the first close");
    lake.assert_reproduced(lake.last_close(OCTOBER));
}

/// A wrong delivery is retracted and replaced by a corrected delivery.
#[test]
fn a_retracted_record_is_distinguished_from_a_late_one() {
    let lake = lake();
    lake.deliver("wrong", LATE_30);
    lake.close(OCTOBER, "2026-11-02");
    // 90 + 30: 10.00 and 20 × 0.08. q: 2.00.
    assert_eq!(issued(&lake), ["INV-2026-00001 13.9200", "INV-2026-00002 2.4000"]);
    let message = lake.fails(2, &["intake", "retract", "--file", "nothing.csv", "--reason", "?"]);
    assert!(message.contains("`nothing.csv` names no input file"), "{message}");
    assert_eq!(lake.retract("wrong.csv", "30 should have been 25"), 1);
    assert_eq!(lake.retract("wrong.csv", "again"), 0);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p -2.60 EUR changed_record credit note"]);
    lake.deliver("right", ["m,a,2026-10-09T10:00:00Z,25,p"]);
    lake.deliver("late", ["m,b,2026-10-10T10:00:00Z,3,q"]);
    lake.close(OCTOBER, "2026-11-05");
    // 25 in place of 30: 5 × 0.08 less. q: 3 × 0.10 more.
    let expected =
        ["CN-2026-00001 -0.4800 INV-2026-00001 changed_record", "INV-2026-00003 0.3600 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake)[2..], expected);
    let rows = lake.rows("retracted_sample");
    assert_eq!((rows.len(), &*rows[0]["quantity"], &*rows[0]["project_id"]), (1, "30.000000000", "p"));
    lake.close(OCTOBER, "2026-11-06").assert_nothing_due();
    assert_balanced(&lake, &[OCTOBER]);
}

/// One project and meter has a retracted record and a late record. The two lines of the project, one for each tier,
/// have both reasons and the days of both records. Before: 95 × 0.10 = 9.50. After: 90 + 8 + 3 = 101, and
/// 100 × 0.10 + 1 × 0.08 = 10.08. The line of the other project has only its own reason.
#[test]
fn a_line_with_late_and_retracted_records_has_both_reasons() {
    let lake = lake();
    lake.deliver("wrong", ["m,a,2026-10-09T10:00:00Z,5,p"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.retract("wrong.csv", "5 should have been 8");
    lake.deliver("right", ["m,a,2026-10-09T10:00:00Z,8,p"]);
    lake.deliver("late", ["m,c,2026-10-11T10:00:00Z,3,p", "m,b,2026-10-12T10:00:00Z,1,q"]);
    let closed = lake.close(OCTOBER, "2026-11-05");
    let expected = ["acme p 0.58 EUR late_and_changed invoice", "acme q 0.10 EUR late_usage invoice"];
    assert_eq!(closed.changes(), expected);
    let late = "INV-2026-00003 0.7000 INV-2026-00001 late_and_changed";
    assert_eq!(issued(&lake)[2..], [late, "INV-2026-00004 0.1200 INV-2026-00002 late_usage"]);
    assert_eq!(days(&lake, "INV-2026-00003"), ["2026-10-09 to 2026-10-12"; 2]);
    let page = lake.document(OCTOBER, "acme/INV-2026-00003.html");
    assert!(page.contains("Late usage and corrected record"), "{page}");
    assert_balanced(&lake, &[OCTOBER]);
}

/// 9.90 less at 20 percent and 10.00 more at 5.5 are 0.10 more without tax. With tax (1.98 less, 0.55 more) they are
/// 1.33 less. The reverse correction is 0.10 less without tax and 1.33 more with tax.
#[test]
fn the_total_with_tax_decides_between_credit_note_and_next_invoice() {
    let mixed = |wrong: &str, late: &str| {
        let lake = lake_with_next_invoice()
            .rules(prices("0.10", "0.08").replace(r#""100""#, r#""1000""#) + STORAGE)
            .file("rules/taxes.toml", storage_tax("5.5"));
        lake.deliver("wrong", [wrong]);
        lake.close(OCTOBER, "2026-11-02");
        lake.retract("wrong.csv", "of another");
        lake.deliver("late", [late]);
        let changes = lake.close(OCTOBER, "2026-11-05").changes();
        assert_balanced(&lake, &[OCTOBER]);
        (changes, issued(&lake))
    };
    let (egress, storage) = ("m,a,2026-10-09T10:00:00Z,99,p", "n,a,2026-10-09T10:00:00Z,10,p");
    let (changes, documents) = mixed(egress, storage);
    assert_eq!(changes, ["acme p 0.10 EUR late_and_changed credit note"]);
    assert_eq!(documents[2..], ["CN-2026-00001 -1.3300 INV-2026-00001 late_and_changed"]);
    let (changes, documents) = mixed(storage, egress);
    assert_eq!(changes, ["acme p -0.10 EUR late_and_changed next invoice"]);
    assert_eq!(documents.len(), 2, "{documents:?}");
}

/// Each project has a minimum of 5.00 a month. 2.00 are used, and a separate line has the other 3.00. With 4.00 more,
/// the usage is 6.00, and 1.00 is due.
#[test]
fn minimum_is_reduced_by_late_usage() {
    let lake = lake().rules(prices("0.10", "0.08").replace("tiers =", "minimum = \"5.00\"\ntiers ="));
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 10.8000", "INV-2026-00002 6.0000"]);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,40,q"]);
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 1.2000 INV-2026-00002 late_usage"]);
    let mut found = lines(&lake, "INV-2026-00003");
    found.sort();
    assert_eq!(found, ["-1.000000000 at 3.000000000000: -3.0000", "40.000000000 at 0.100000000000: 4.0000"]);
    lake.assert_audited(&[OCTOBER]);
}

/// The standard error of an audit of October that must find no difference.
fn audited(lake: &TestLake) -> String {
    let output = lake.output(&["audit", "--period", OCTOBER]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Usage that an intake takes in without a run is not billed yet. The audit states it and checks the books of the last
/// billing or close.
#[test]
fn an_audit_after_an_intake_checks_the_books_of_the_last_billing() {
    let lake = lake();
    lake.run(OCTOBER);
    assert_eq!(audited(&lake), "");
    lake.deliver("late", LATE_30);
    lake.succeeds(&["intake"]);
    let note = "note: usage of 2026-10 was taken in after its last billing; it is not billed yet and not part of this \
                audit\nhint: `conto run --period 2026-10` bills it\n";
    assert_eq!(audited(&lake), note);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(audited(&lake), "");
    lake.deliver("later", ["m,a,2026-10-10T10:00:00Z,10,p"]);
    lake.succeeds(&["intake"]);
    assert_eq!(audited(&lake), note);
}

/// A run of the next month and `conto status` name the closed month whose usage changed. A correction settles it.
#[test]
fn late_usage_of_a_closed_month_is_announced() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    let months = |lake: &TestLake| {
        let status = lake.json(&["status"])["closed_months_with_new_usage"].clone();
        let run = lake.json(&["run", "--period", NOVEMBER])["closed_months_with_new_usage"].clone();
        assert_eq!(status, run);
        status
    };
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,10,p"]);
    lake.run(NOVEMBER);
    assert!(months(&lake).is_null());
    lake.deliver("late", LATE_30);
    lake.run(NOVEMBER);
    assert_eq!(months(&lake), serde_json::json!([OCTOBER]));
    lake.close(OCTOBER, "2026-11-05");
    assert!(months(&lake).is_null());
}

/// 10 GB of October arrive late, and cost 1.00. The account left in November, which is closed. So no invoice of a later
/// month can charge them, and the correction is an invoice of its own.
#[test]
fn a_correction_for_an_account_that_left_is_an_invoice_of_its_own() {
    let lake = lake_with_next_invoice();
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("valid_to = 2026-11-16"));
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    lake.deliver("late", ["m,a,2026-10-09T10:00:00Z,10,p"]);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 1.00 EUR late_usage invoice"]);
    lake.close(OCTOBER, "2026-12-05");
    let expected = ["INV-2026-00003 1.2000", "INV-2026-00004 1.2000 INV-2026-00001 late_usage"];
    assert_eq!(issued(&lake)[2..], expected);
    lake.deliver("december", ["m,a,2026-12-03T10:00:00Z,10,other"]);
    lake.run(DECEMBER);
    let payers: Vec<String> = lake.rows_in("invoice", DECEMBER).iter().map(|row| row["account_id"].clone()).collect();
    assert_eq!(payers, ["other"], "nothing of October is left for December");
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The last month of the account decides: an open one charges the correction, unless the account has its final invoice.
#[test]
fn the_final_invoice_of_an_account_ends_its_next_invoices() {
    let lake = lake_with_next_invoice();
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("valid_to = 2026-11-16"));
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.deliver("late", ["m,a,2026-10-09T10:00:00Z,10,p"]);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 1.00 EUR late_usage next invoice"]);
    lake.close_with(NOVEMBER, "2026-11-16", &["--account", "acme"]);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 1.00 EUR late_usage invoice"]);
    lake.set_accounts(account("").replace("acme", "renamed"));
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 1.00 EUR late_usage invoice"]);
    lake.close(OCTOBER, "2026-11-17");
    lake.assert_all_reproduced();
}
