//! The final invoice of an account that leaves during a month: `conto close --account`. All documents of the account
//! together equal the documents that the close of the month issues without a final invoice.

use super::{NOVEMBER, OCTOBER, assert_balanced, days, issued, lines, prices};
use crate::test_lake::TestLake;

const SEPTEMBER: &str = "2026-09";

/// The account `gone` with the projects `p` and `q`, whose last day is 15 November, and the account `stays` with the
/// project `s`.
fn accounts(more: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "gone"
        name = "Gone"
        country = "FR"
        projects = ["p", "q"]
        valid_to = 2026-11-16
        {more}

        [[account]]
        id = "stays"
        name = "Stays"
        country = "FR"
        projects = ["s"]
        "#
    )
}

/// The first 100 GB of an account cost 0.10, and each further GB costs 0.08.
fn pooled(first: &str) -> String {
    prices(first, "0.08") + "\npool = \"egress\"\nper = \"account\"\n"
}

const USAGE: [&str; 3] =
    ["m,a,2026-11-01T10:00:00Z,90,p", "m,b,2026-11-02T10:00:00Z,30,q", "m,c,2026-11-03T10:00:00Z,50,s"];

/// `p` uses 90 GB and `q` 30 GB of the pool of `gone`. `s` uses 50 GB.
fn lake() -> TestLake {
    TestLake::new().accounts(accounts("")).rules(pooled("0.10")).usage(USAGE)
}

/// The same usage with one invoice for each account, and tiers for each project: `gone` uses 9.00 + 3.00 = 12.00.
fn lake_with_one_invoice(terms: &str) -> TestLake {
    let lake = TestLake::new().config(r#"invoice_per = "account""#).accounts(accounts(""));
    lake.rules(prices("0.10", "0.08")).terms(terms).usage(USAGE)
}

/// 30 GB of `p`. The pool contains 150 GB, of which `p` has 80 percent: 80 at 0.10 and 40 at 0.08, which is 11.20 and
/// 2.50 more. `q` has 20 at 0.10 and 10 at 0.08, which is 2.80 and 0.10 less.
const LATE_30: [&str; 1] = ["m,a,2026-11-09T10:00:00Z,30,p"];

const LATE_CHANGES: [&str; 2] = ["gone p 2.50 late_usage invoice", "gone q -0.10 late_usage credit note"];

const FINAL: [&str; 2] = ["--account", "gone"];

/// The documents of the month: `number kind project total_with_tax`, in the order of numbers. All drafts are last, in
/// the order of projects and without the digits of their numbers.
fn documents(lake: &TestLake) -> Vec<String> {
    let mut rows = lake.rows_in("invoice", NOVEMBER);
    for row in rows.iter_mut().filter(|row| row["invoice_number"].starts_with("DRAFT-")) {
        row.insert("invoice_number".to_owned(), "DRAFT".to_owned());
    }
    rows.sort_by_key(|row| {
        let is_draft = row["invoice_number"] == "DRAFT";
        (is_draft, row["invoice_number"].clone(), row.get("project_id").cloned())
    });
    let columns = ["invoice_number", "document_kind", "project_id", "total_with_tax"];
    let texts = |row: &crate::test_lake::Row| columns.map(|name| row.get(name).cloned().unwrap_or_default());
    rows.iter().map(|row| texts(row).join(" ")).collect()
}

/// The differences that a run of the open month drafts: `account project amount reason document`.
fn drafted_changes(lake: &TestLake) -> Vec<String> {
    let summary = lake.json(&["run", "--period", NOVEMBER]);
    let changes = summary["changes"].as_array().cloned().unwrap_or_default();
    let columns = ["account_id", "project_id", "net_amount", "reason", "billed_as"];
    let texts = |change: &serde_json::Value| columns.map(|name| change[name].as_str().unwrap_or_default().to_owned());
    changes.iter().map(|change| texts(change).join(" ")).collect()
}

/// `used closing_balance` of the only credit of November.
fn balance(lake: &TestLake) -> String {
    let rows = lake.rows_in("credit_balance", NOVEMBER);
    assert_eq!(rows.len(), 1, "{rows:?}");
    format!("{} {}", rows[0]["used"], rows[0]["closing_balance"])
}

/// The pool contains 120 GB, of which `p` has 75 percent: 75 at 0.10 and 15 at 0.08, which is 8.70. `q` has 25 at 0.10
/// and 5 at 0.08, which is 2.90. With 20 percent tax these are 10.44 and 3.48. The 50 GB of `s` cost 5.00, and 6.00
/// with tax.
#[test]
fn a_final_invoice_leaves_the_month_open_for_all_others() {
    let lake = lake();
    let closed = lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    assert_eq!(closed.documents, ["INV-2026-00001", "INV-2026-00002"]);
    let of_gone = ["INV-2026-00001 invoice p 10.4400", "INV-2026-00002 invoice q 3.4800"];
    assert_eq!(documents(&lake), [&of_gone[..], &["DRAFT draft s 6.0000"]].concat());
    let tax_points = |lake: &TestLake| lake.column("invoice", "tax_point");
    assert_eq!(tax_points(&lake), ["2026-11-15", "2026-11-15", "2026-11-30"]);
    assert_eq!(lake.column("issued_document", "tax_point"), ["2026-11-15"; 2]);
    assert_balanced(&lake, &[NOVEMBER]);

    // The run finds the same drafts, so it commits nothing. A second final invoice has nothing new.
    let commits = lake.commit_count();
    let summary = lake.json(&["run", "--period", NOVEMBER]);
    assert_eq!((summary["invoices"].as_u64(), summary["issued"].as_u64()), (Some(1), Some(2)), "{summary}");
    assert_eq!(lake.commit_count(), commits);
    let again = lake.close_with(NOVEMBER, "2026-11-17", &FINAL);
    again.assert_nothing_due();
    assert_eq!((again.commit, lake.commit_count()), (None, commits));

    // Usage of the others does not change the issued documents: 10 GB more of `s` are 6.00, and 7.20 with tax.
    let page = lake.document(NOVEMBER, "gone/INV-2026-00001.html");
    lake.deliver("others", ["m,c,2026-11-20T10:00:00Z,10,s"]);
    assert_eq!(drafted_changes(&lake), Vec::<String>::new());
    assert_eq!(documents(&lake), [&of_gone[..], &["DRAFT draft s 7.2000"]].concat());
    let journal = lake.export_journal(NOVEMBER, "csv");
    assert!(journal.contains("INV-2026-00001") && journal.contains(&lake.draft(NOVEMBER, "s")), "{journal}");
    assert_balanced(&lake, &[NOVEMBER]);

    let closed = lake.close(NOVEMBER, "2026-12-01");
    assert_eq!((closed.documents.as_slice(), closed.changes().len()), (&["INV-2026-00003".to_owned()][..], 0));
    assert_eq!(issued(&lake), ["INV-2026-00001 10.4400", "INV-2026-00002 3.4800", "INV-2026-00003 7.2000"]);
    assert_eq!(tax_points(&lake), ["2026-11-15", "2026-11-15", "2026-11-30"]);
    assert_eq!(lake.document(NOVEMBER, "gone/INV-2026-00001.html"), page);
    lake.close(NOVEMBER, "2026-12-02").assert_nothing_due();
    assert_balanced(&lake, &[NOVEMBER]);
    assert_eq!(lake.assert_all_reproduced(), 3);
    assert!(lake.explain("INV-2026-00001/1").contains("rule r at"));
}

/// Late usage is drafted as a correction while the month is open, and issued once by the close of the month. After the
/// close, it is a separate invoice too, because the account has no next invoice.
#[test]
fn late_usage_after_a_final_invoice_is_charged_once() {
    let lake = lake();
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.deliver("late", LATE_30);
    assert_eq!(drafted_changes(&lake), LATE_CHANGES);
    let drafts = ["DRAFT draft p 3.0000", "DRAFT draft q -0.1200"];
    assert_eq!(documents(&lake)[2..4], drafts);
    let commits = lake.commit_count();
    assert_eq!(drafted_changes(&lake), LATE_CHANGES);
    assert_eq!(lake.commit_count(), commits, "the same drafts");
    assert_balanced(&lake, &[NOVEMBER]);

    let closed = lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(closed.documents, ["INV-2026-00003", "CN-2026-00001", "INV-2026-00004"]);
    let expected = [
        "INV-2026-00003 3.0000 INV-2026-00001 late_usage",
        "CN-2026-00001 -0.1200 INV-2026-00002 late_usage",
        "INV-2026-00004 6.0000",
    ];
    assert_eq!(issued(&lake)[2..], expected);
    let expected = ["5.000000000 at 0.100000000000: 0.5000", "25.000000000 at 0.080000000000: 2.0000"];
    assert_eq!(lines(&lake, "INV-2026-00003"), expected);
    assert_eq!(days(&lake, "INV-2026-00003"), ["2026-11-09 to 2026-11-10"; 2]);
    assert_eq!(lake.rows_where("invoice", "invoice_number", "INV-2026-00003")[0]["tax_point"], "2026-11-15");
    lake.close(NOVEMBER, "2026-12-01").assert_nothing_due();

    // 10 GB more of `q`, and the pool contains 160 GB. `p` has 75 at 0.10 and 45 at 0.08: 11.10, which is 0.10 less.
    // `q` has 25 at 0.10 and 15 at 0.08: 3.70, which is 0.90 more. By default an increase goes on the next invoice.
    lake.deliver("later", ["m,b,2026-11-10T10:00:00Z,10,q"]);
    let expected = ["gone p -0.10 EUR late_usage credit note", "gone q 0.90 EUR late_usage invoice"];
    assert_eq!(lake.run_closed(NOVEMBER), expected);
    lake.close(NOVEMBER, "2026-12-03");
    let expected =
        ["CN-2026-00002 -0.1200 INV-2026-00001 late_usage", "INV-2026-00005 1.0800 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake)[5..], expected);
    // Both late deliveries are retracted after the close: 8.70 and 2.90 remain.
    lake.retract("late.csv", "measured twice");
    lake.retract("later.csv", "measured twice");
    lake.close(NOVEMBER, "2026-12-04");
    let expected =
        ["CN-2026-00003 -2.8800 INV-2026-00001 changed_record", "CN-2026-00004 -0.9600 INV-2026-00002 changed_record"];
    assert_eq!(issued(&lake)[7..], expected);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The second final invoice issues the corrections of the account, and no other document.
#[test]
fn a_second_final_invoice_corrects_the_first_one() {
    let lake = lake();
    lake.run(NOVEMBER);
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.deliver("late", LATE_30);
    let closed = lake.close_with(NOVEMBER, "2026-11-18", &FINAL);
    assert_eq!(closed.documents, ["INV-2026-00003", "CN-2026-00001"]);
    let expected =
        ["INV-2026-00003 3.0000 INV-2026-00001 late_usage", "CN-2026-00001 -0.1200 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake)[2..], expected);
    let commits = lake.commit_count();
    assert_eq!(drafted_changes(&lake), Vec::<String>::new());
    assert_eq!(lake.commit_count(), commits);
    // The delivery is retracted while the month is open, so the invoice and the credit note are corrected.
    lake.retract("late.csv", "measured twice");
    let expected = ["gone p -2.50 changed_record credit note", "gone q 0.10 changed_record invoice"];
    assert_eq!(drafted_changes(&lake), expected);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.close(NOVEMBER, "2026-12-01");
    let expected = [
        "CN-2026-00002 -3.0000 INV-2026-00001 changed_record",
        "INV-2026-00004 0.1200 INV-2026-00002 changed_record",
        "INV-2026-00005 6.0000",
    ];
    assert_eq!(issued(&lake)[4..], expected);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// A minimum spend of 13.00 and a credit of 5.00. The usage of 12.00 has a top-up of 1.00. Less the credit, 8.00
/// remain, and 9.60 with tax. 30 GB more cost 10 × 0.10 + 20 × 0.08 = 2.60, and the top-up of 1.00 is not due any more:
/// 1.60, and 1.92 with tax.
#[test]
fn late_usage_counts_towards_a_minimum_spend_and_draws_on_no_credit() {
    let lake = lake_with_one_invoice(
        r#"
        [[minimum_spend]]
        id = "floor"
        description = "Floor"
        account = "gone"
        amount = "13.00"

        [[credit]]
        id = "welcome"
        description = "Welcome"
        account = "gone"
        kind = "promotional"
        amount = "5.00"
        "#,
    );
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    assert_eq!((issued(&lake), balance(&lake)), (vec!["INV-2026-00001 9.6000".to_owned()], "5.0000 0.0000".to_owned()));
    lake.deliver("late", LATE_30);
    assert_eq!(drafted_changes(&lake), ["gone  1.60 late_usage invoice"]);
    assert_eq!(balance(&lake), "5.0000 0.0000");
    assert_balanced(&lake, &[NOVEMBER]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 1.9200 INV-2026-00001 late_usage", "INV-2026-00003 6.0000"]);
    assert_eq!(balance(&lake), "5.0000 0.0000");
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// A credit of 9.00 reduces 12.00 to 3.00. Without the 90 GB of `p`, the usage costs 3.00, so 6.00 return to the
/// credit. The other 3.00 are credited, which is 3.60 with tax.
#[test]
fn a_retraction_after_a_final_invoice_returns_the_credit_once() {
    let lake = TestLake::new().config(r#"invoice_per = "account""#).accounts(accounts(""));
    let lake = lake.rules(prices("0.10", "0.08")).usage(&USAGE[1..]).terms(
        r#"
        [[credit]]
        id = "prepaid"
        description = "Prepaid"
        account = "gone"
        kind = "promotional"
        amount = "9.00"
        "#,
    );
    lake.deliver("wrong", &USAGE[..1]);
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    assert_eq!((issued(&lake), balance(&lake)), (vec!["INV-2026-00001 3.6000".to_owned()], "9.0000 0.0000".to_owned()));
    lake.retract("wrong.csv", "another tenant");
    for _ in 0..2 {
        assert_eq!(drafted_changes(&lake), ["gone  -3.00 changed_record credit note"]);
        assert_eq!(balance(&lake), "3.0000 6.0000");
    }
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[1], "CN-2026-00001 -3.6000 INV-2026-00001 changed_record");
    assert_eq!(balance(&lake), "3.0000 6.0000");
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The customer of a reseller leaves: its invoice has the number of the reseller, and the reseller's own invoice
/// remains a draft. The customer pays 3.00 and the reseller 3.00 for the same 30 GB.
#[test]
fn a_customer_of_a_reseller_gets_its_final_invoice_from_the_reseller() {
    let accounts = r#"
        [[account]]
        id = "R"
        name = "Reseller"
        country = "FR"
        vat_id = "FR78000000701"

        [[account]]
        id = "K"
        name = "Customer"
        country = "FR"
        parent = "R"
        projects = ["q"]
        valid_to = 2026-11-16
        "#;
    let lake = TestLake::new().config(r#"invoice_per = "account""#).accounts(accounts);
    let lake = lake.rules(prices("0.10", "0.08")).usage([USAGE[1]]);
    let closed = lake.close_with(NOVEMBER, "2026-11-16", &["--account", "K"]);
    assert_eq!(closed.documents, ["INV-R-2026-00001"]);
    lake.deliver("late", ["m,b,2026-11-04T10:00:00Z,10,q"]);
    assert_eq!(drafted_changes(&lake), ["K  1.00 late_usage invoice"]);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.close(NOVEMBER, "2026-12-01");
    let expected =
        ["INV-R-2026-00001 3.6000", "INV-R-2026-00002 1.2000 INV-R-2026-00001 late_usage", "INV-2026-00001 4.8000"];
    let mut found = issued(&lake);
    found.sort();
    let mut sorted = expected.map(str::to_owned).to_vec();
    sorted.sort();
    assert_eq!(found, sorted);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// With 0.20 instead of 0.10, the first 100 GB cost 10.00 more: 7.50 for `p` and 2.50 for `q`. A close does not issue
/// these differences without `--force`. Late usage keeps its own reason.
#[test]
fn changed_rules_reach_a_final_invoice_only_by_force() {
    let lake = lake();
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.set_rules(pooled("0.20"));
    let expected = ["gone p 7.50 changed_rule invoice", "gone q 2.50 changed_rule invoice"];
    assert_eq!(drafted_changes(&lake), expected);
    let message = lake.close_fails(3, NOVEMBER, "2026-12-01");
    let reason = "the rules changed since the final invoice of `gone` for `p`, and the difference is 7.50 EUR";
    assert!(message.contains(reason), "{message}");
    let message = lake.fails(3, &["close", "--period", NOVEMBER, "--issue-date", "2026-11-17", "--account", "gone"]);
    assert!(message.contains(reason), "{message}");
    // With the old price, only the late usage is different. The comment changes the inputs, but no amount.
    lake.set_rules(pooled("0.10") + "\n# The price of the first 100 GB remains.\n");
    lake.deliver("late", LATE_30);
    assert_eq!(drafted_changes(&lake), LATE_CHANGES);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2], "INV-2026-00003 3.0000 INV-2026-00001 late_usage");
    // The closed month is restated: 100 GB cost 10.00 more, 8.00 for `p` and 2.00 for `q`.
    lake.set_rules(pooled("0.20"));
    lake.restate(NOVEMBER, "2026-12-05", "the price was wrong");
    let expected =
        ["INV-2026-00005 9.6000 INV-2026-00001 changed_rule", "INV-2026-00006 2.4000 INV-2026-00002 changed_rule"];
    assert_eq!(issued(&lake)[5..], expected);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

#[test]
fn a_forced_close_issues_the_difference_of_changed_rules() {
    let lake = lake();
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.set_rules(pooled("0.20"));
    lake.close_by_force(NOVEMBER, "2026-12-01");
    let expected = [
        "INV-2026-00003 9.0000 INV-2026-00001 changed_rule",
        "INV-2026-00004 3.0000 INV-2026-00002 changed_rule",
        "INV-2026-00005 12.0000",
    ];
    assert_eq!(issued(&lake)[2..], expected);
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// An account that the accounts file no longer contains would get a credit note for its final invoice.
#[test]
fn an_account_with_a_final_invoice_must_stay_in_the_accounts_file() {
    let lake = lake();
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.set_accounts(accounts("").replacen("\"gone\"", "\"other\"", 1));
    let message = lake.fails(3, &["run", "--period", NOVEMBER]);
    assert!(message.contains("gone: the accounts file does not contain it"), "{message}");
}

/// The account ends on 15 November, and the month on 30 November.
#[test]
fn an_account_without_an_end_before_the_issue_date_has_no_final_invoice() {
    let lake = lake();
    let refused = |arguments: [&str; 3], expected: &str| {
        let [period, date, account] = arguments;
        let close = ["close", "--allow-future-date", "--period", period, "--issue-date", date, "--account", account];
        let message = lake.fails(2, &close);
        assert!(message.contains(expected), "{message}");
    };
    refused([NOVEMBER, "2026-11-16", "stays"], "it has no end; set its `valid_to` in the accounts file");
    refused([NOVEMBER, "2026-11-15", "gone"], "its `valid_to` is 2026-11-16, but the issue date is 2026-11-15");
    refused([NOVEMBER, "2026-11-16", "gome"], "the accounts file does not contain it; did you mean `gone`?");
    refused([OCTOBER, "2026-11-16", "gone"], "its last day is 2026-11-15; set --period to the month of this day");
    lake.set_accounts(accounts("internal = true"));
    refused([NOVEMBER, "2026-11-16", "gone"], "it is internal");
    lake.set_accounts(accounts(""));
    lake.close_with(NOVEMBER, "2026-11-16", &["--account", "gone", "--tax-point", "2026-11-14"]);
    let close = ["close", "--period", NOVEMBER, "--issue-date", "2026-11-16", "--account", "gone"];
    let message = lake.fails(2, &[&close[..], &["--tax-point", "2026-11-15"]].concat());
    assert!(message.contains("it was issued with the tax point 2026-11-14"), "{message}");
    lake.close(NOVEMBER, "2026-12-01");
    refused([NOVEMBER, "2026-12-01", "gone"], "2026-11 is closed; omit --account");
}

/// Prices in USD would need the exchange rate of 15 November beside the one of 30 November.
#[test]
fn a_final_invoice_with_converted_prices_is_refused() {
    let lake = TestLake::new().accounts(accounts("currency = \"USD\"")).rules(pooled("0.10")).usage(USAGE);
    let lake = lake.config(super::EXCHANGE_RATES).file("rates.csv", "date,base,quote,rate\n2026-11-13,EUR,USD,1.10\n");
    let message = lake.fails(2, &["close", "--period", NOVEMBER, "--issue-date", "2026-11-16", "--account", "gone"]);
    assert!(message.contains("its prices are converted from EUR to USD"), "{message}");
    assert!(lake.rows("issued_document").is_empty());
}

/// Usage without a price blocks the final invoice of its own account only. A gap after the end of the account does not
/// block it.
#[test]
fn only_blockers_of_the_account_block_its_final_invoice() {
    let lake = lake();
    super::blockers::expect_every(&lake, "14d");
    lake.set_rules(pooled("0.10") + "\n[[meter]]\nname = \"free\"\naggregation = \"sum\"\nunit = \"GB\"\n");
    lake.deliver("unpriced", ["free,c,2026-11-03T10:00:00Z,1,s"]);
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    let message = lake.close_fails(3, NOVEMBER, "2026-12-01");
    assert!(message.contains("1 usage row has no price"), "{message}");

    let lake = self::lake();
    lake.set_rules(pooled("0.10") + "\n[[meter]]\nname = \"free\"\naggregation = \"sum\"\nunit = \"GB\"\n");
    lake.deliver("unpriced", ["free,b,2026-11-03T10:00:00Z,1,q"]);
    let close = ["close", "--period", NOVEMBER, "--issue-date", "2026-11-16", "--account", "gone"];
    let message = lake.fails(3, &close);
    assert!(message.contains("1 usage row has no price"), "{message}");
}

/// September carries 1.00 forward, which is below the minimum of 5.00. The final invoice of November charges it with
/// 12.00. October is drafted later, and does not charge it again.
#[test]
fn an_amount_that_a_final_invoice_brings_forward_is_not_charged_by_an_earlier_month() {
    let lake = lake_with_one_invoice("").config(r#"minimum_invoice_amount = "5.00""#);
    lake.deliver("september", ["m,a,2026-09-05T10:00:00Z,10,p"]);
    lake.close(SEPTEMBER, "2026-10-01");
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    assert_eq!(issued(&lake), ["INV-2026-00001 15.6000"]);
    lake.deliver("october", ["m,a,2026-10-05T10:00:00Z,60,p"]);
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-17");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 7.2000"]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 6.0000"]);
    assert_balanced(&lake, &[SEPTEMBER, OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

/// A charge of 50.00 is on the final invoice of `p`: 58.70, and 70.44 with tax. No run has drafted November. December
/// does not charge it again, and the close of November does not credit it.
#[test]
fn a_charge_on_a_final_invoice_is_billed_once() {
    let lake = lake().terms(
        r#"
        [[charge]]
        id = "move"
        date = 2026-11-10
        project = "p"
        service = "Services"
        sku = "MOVE"
        description = "Move"
        amount = "50.00"
        "#,
    );
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.deliver("december", ["m,c,2026-12-01T10:00:00Z,10,s"]);
    lake.close("2026-12", "2027-01-02");
    lake.close(NOVEMBER, "2027-01-02");
    let expected =
        ["INV-2026-00001 70.4400", "INV-2026-00002 3.4800", "INV-2027-00001 1.2000", "INV-2027-00002 6.0000"];
    assert_eq!(issued(&lake), expected);
    assert_balanced(&lake, &[NOVEMBER, "2026-12"]);
    lake.assert_all_reproduced();
}

/// A final invoice with a wrong address is cancelled after the close of the month. The credit note has the old address,
/// although the accounts file contained the new one when the month was closed.
#[test]
fn a_final_invoice_is_cancelled_after_the_close_of_its_month() {
    let lake = TestLake::new().config(r#"invoice_per = "account""#);
    let lake = lake.accounts(accounts(r#"address = ["1 Old Street"]"#)).rules(prices("0.10", "0.08")).usage(USAGE);
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    lake.set_accounts(accounts(r#"address = ["2 New Street"]"#));
    let refused = lake.fails(2, &["cancel", "INV-2026-00001"]);
    assert!(refused.contains("close 2026-11, then cancel"), "{refused}");
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(lake.cancel(&["INV-2026-00001"], "2026-12-02"), ["CN-2026-00001", "INV-2026-00003"]);
    for (number, address) in [("CN-2026-00001", "1 Old Street"), ("INV-2026-00003", "2 New Street")] {
        let page = lake.document(NOVEMBER, &format!("gone/{number}.html"));
        assert!(page.contains(address), "{number}: {page}");
    }
    assert_balanced(&lake, &[NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The invoice of an account that ends within the month states the days of the account.
#[test]
fn the_service_period_ends_with_the_account() {
    let lake = lake();
    lake.close_with(NOVEMBER, "2026-11-16", &FINAL);
    let invoice: serde_json::Value =
        serde_json::from_str(&lake.document(NOVEMBER, "gone/INV-2026-00001.json")).unwrap();
    let period = ["billing_period_start", "billing_period_end", "hours_in_period"].map(|key| invoice[key].to_string());
    assert_eq!(period, [r#""2026-11-01""#, r#""2026-11-16""#, "360"]);
}

/// A preview of a final invoice has only documents of its account.
#[test]
fn a_dry_run_of_a_final_invoice_is_of_one_account() {
    let lake = lake().config(r#"minimum_invoice_amount = "7.00""#);
    let arguments = ["close", "--period", NOVEMBER, "--issue-date", "2026-11-16", "--dry-run"];
    let preview = lake.json(&[&arguments[..], &FINAL].concat());
    let numbers: Vec<_> =
        preview["documents"].as_array().unwrap().iter().map(|one| one["number"].to_string()).collect();
    assert_eq!(numbers, [r#""INV-2026-00001""#, r#""INV-2026-00002""#]);
    assert_eq!(
        (&preview["tax_point"], preview["not_issued"].as_array().map(Vec::len)),
        (&"2026-11-15".into(), Some(0))
    );
}

/// October carries 3.00 forward, which the final invoice of November charges. Late usage lifts October above its
/// minimum, so October charges the same amount. November cannot be closed until October agrees with it.
#[test]
fn a_month_is_not_closed_if_its_books_do_not_add_up() {
    let lake = TestLake::new().config("invoice_per = \"account\"\nminimum_invoice_amount = \"5.00\"");
    let october = "m,a,2026-10-01T10:00:00Z,30,p";
    let usage = [&[october], &USAGE[..]].concat();
    let lake = lake.accounts(accounts("")).rules(prices("0.10", "0.10")).usage(usage);
    lake.run(OCTOBER);
    lake.close_with(NOVEMBER, "2026-11-16", &[&FINAL[..], &["--force", "--reason", "it leaves"]].concat());
    lake.deliver("late", ["m,a,2026-10-05T10:00:00Z,30,p"]);
    lake.run(OCTOBER);
    let message = lake.close_fails(3, NOVEMBER, "2026-12-01");
    assert!(message.contains("the books do not add up: brought forward: -3 EUR missing"), "{message}");
    assert_eq!(issued(&lake), ["INV-2026-00001 18.0000"], "12.00 of November and 3.00 of October, with 20 %");
}
