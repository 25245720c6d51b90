//! The edges of accounts: `valid_from` and `valid_to`, the last document of an account, and invoices without an amount.

use crate::test_lake::{TestLake, short};

const SEPTEMBER: &str = "2026-09";
const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";
const TOTALS: [&str; 4] = ["document_kind", "brought_forward", "carried_forward", "total_with_tax"];

/// One invoice for each account, a meter `m` that costs 1.00, and a meter `free` that costs nothing.
const RULES: &str = r#"
    currency = "EUR"

    [[meter]]
    name = "m"
    aggregation = "sum"
    unit = "u"

    [[rule]]
    id = "m"
    meter = "m"
    sku = "M"
    service = "S"
    unit_price = "1.00"

    [[meter]]
    name = "free"
    aggregation = "sum"
    unit = "u"

    [[rule]]
    id = "free"
    meter = "free"
    sku = "FREE"
    service = "S"
    unit_price = "0"
    "#;

fn lake(accounts: &str) -> TestLake {
    TestLake::new().config(r#"invoice_per = "account""#).rules(RULES).accounts(accounts)
}

fn account(id: &str, projects: &str, keys: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "{id}"
        name = "{id} Ltd"
        country = "FR"
        projects = {projects}
        {keys}
        "#
    )
}

/// The documents of a month: account, kind, brought forward, carried forward and total with tax.
fn documents(lake: &TestLake, month: &str) -> Vec<String> {
    let rows = lake.rows_in("invoice", month);
    let mut documents: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row["account_id"], TOTALS.map(|column| short(&row[column]).to_owned()).join(" ")))
        .collect();
    documents.sort();
    documents
}

/// In Berlin, the 16th begins at 22:00 UTC. The unit before belongs to A, and the ten units after it to B. A pays 15 of
/// 31 days of the plan, and B 16 days. Neither project has a validity of its own.
#[test]
fn valid_to_and_valid_from_of_accounts_move_usage_and_fees_at_local_midnight() {
    let plan = r#"
        [[recurring]]
        id = "plan"
        sku = "PLAN"
        per = "account"
        unit_price = "31.00"
        "#;
    let accounts =
        account("A", r#"["p"]"#, "valid_to = 2026-10-16") + &account("B", r#"["p"]"#, "valid_from = 2026-10-16");
    let lake = lake(&accounts).config(r#"time_zone = "Europe/Berlin""#).terms(plan);
    lake.deliver("u", ["m,r,2026-10-15T21:30:00Z,1,p", "m,r,2026-10-15T22:30:00Z,10,p"]);
    lake.run(OCTOBER);
    let lines = lake.sql("SELECT account_id, sku, net_amount FROM invoice_line ORDER BY account_id, sku");
    assert_eq!(lines, ["A M 1", "A PLAN 15", "B M 10", "B PLAN 16"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.assert_audited(&[OCTOBER]);
}

/// The ten units after the end belong to no account: the project is unassigned, and the month is not closed. The same
/// accounts as CSV give the same result.
#[test]
fn usage_after_valid_to_of_an_account_blocks_the_close_until_the_project_has_an_account() {
    let lake = lake(&account("A", r#"["p"]"#, "valid_to = 2026-10-16"));
    lake.deliver("u", ["m,r,2026-10-15T23:30:00Z,1,p", "m,r,2026-10-16T00:30:00Z,10,p"]);
    for file in ["accounts.toml", "accounts.csv"] {
        lake.configure(format!("accounts = \"{file}\""));
        lake.put("accounts.csv", "id,name,country,project_id,valid_to\nA,A Ltd,FR,p,2026-10-16\n");
        lake.run(OCTOBER);
        assert_eq!(documents(&lake, OCTOBER), ["A draft 0 0 1.2", "p draft 0 0 12"]);
        let message = lake.close_fails(3, OCTOBER, "2026-11-02");
        assert!(message.contains("usage without an account, more than `max_unattributed` = 0: `p`"), "{message}");
    }
    let to_b = account("A", r#"["p"]"#, "valid_to = 2026-10-16") + &account("B", r#"["p"]"#, "valid_from = 2026-10-16");
    lake.configure("accounts = \"accounts.toml\"");
    lake.set_accounts(to_b);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(documents(&lake, OCTOBER), ["A invoice 0 0 1.2", "B invoice 0 0 12"]);
}

/// The reseller ends with the 15th, so its customer has no seller from the 16th on. Both pay 1.00 for the 15th.
#[test]
fn valid_to_of_a_reseller_ends_its_customers() {
    let accounts = account("R", "[]", "valid_to = 2026-10-16") + &account("K", r#"["p"]"#, r#"parent = "R""#);
    let lake = lake(&(accounts.replacen("country = \"FR\"", "country = \"FR\"\nvat_id = \"FR45000000593\"", 1)));
    lake.deliver("u", ["m,r,2026-10-15T23:30:00Z,1,p", "m,r,2026-10-16T00:30:00Z,10,p"]);
    lake.run(OCTOBER);
    assert_eq!(documents(&lake, OCTOBER), ["K draft 0 0 1.2", "R draft 0 0 1.2", "p draft 0 0 12"]);
}

/// With a minimum of 5.00, September carries 2.00 forward. A ends in October with 1.00, which makes 3.00. B ended with
/// September, but its end was recorded after the close: October charges its 2.00. C continues and carries 3.00 forward.
#[test]
fn the_last_document_of_an_account_bills_the_amount_below_minimum_invoice_amount() {
    let lake = lake(&["A", "B", "C"].map(|id| account(id, &format!(r#"["{id}"]"#), "")).concat())
        .config(r#"minimum_invoice_amount = "5.00""#);
    lake.deliver("s", ["A", "B", "C"].map(|id| format!("m,r-{id},2026-09-05T10:00:00Z,2,{id}")));
    lake.close(SEPTEMBER, "2026-10-01");
    lake.deliver("o", ["A", "C"].map(|id| format!("m,r-{id},2026-10-05T10:00:00Z,1,{id}")));
    let ends = [("A", "valid_to = 2026-10-16"), ("B", "valid_to = 2026-10-01"), ("C", "")];
    lake.set_accounts(ends.map(|(id, keys)| account(id, &format!(r#"["{id}"]"#), keys)).concat());
    let closed = lake.close(OCTOBER, "2026-11-02");
    assert_eq!(closed.documents, ["INV-2026-00001", "INV-2026-00002"]);
    let expected = ["A invoice 2 0 3.6", "B invoice 2 0 2.4", "C carried_forward 2 3 0"];
    assert_eq!(documents(&lake, OCTOBER), expected);
    assert!(
        lake.documents(OCTOBER).contains_key(&format!("C/{}.html", lake.draft(OCTOBER, "C"))),
        "the usage report of C refers to this page"
    );
    lake.run(NOVEMBER);
    assert_eq!(documents(&lake, NOVEMBER), ["C carried_forward 3 3 0"]);
    lake.assert_audited(&[SEPTEMBER, OCTOBER, NOVEMBER]);
}

/// With one invoice for each project, the project `p` moves from A to B on the 16th and has 2.00 before. A has no later
/// document for `p`, so the 2.00 are charged. The 1.00 of `q`, which stays, is carried forward, as is the 1.00 of B.
#[test]
fn the_last_document_of_a_project_that_moves_is_charged() {
    let from = r#"[{ id = "p", valid_to = 2026-10-16 }, "q"]"#;
    let to = r#"[{ id = "p", valid_from = 2026-10-16 }]"#;
    let lake = lake(&(account("A", from, "") + &account("B", to, "")))
        .config("invoice_per = \"project\"\nminimum_invoice_amount = \"5.00\"");
    let usage = ["m,r,2026-10-05T10:00:00Z,2,p", "m,r,2026-10-20T10:00:00Z,1,p", "m,s,2026-10-05T10:00:00Z,1,q"];
    lake.deliver("u", usage);
    lake.close(OCTOBER, "2026-11-02");
    let expected = ["A carried_forward 0 1 0", "A invoice 0 0 2.4", "B carried_forward 0 1 0"];
    assert_eq!(documents(&lake, OCTOBER), expected);
}

/// September charges the plan of October in advance: 31.00. The account ends with the 15th, so 16 of 31 days are owed
/// back: -16.00, and with 20 % tax -19.20. No later invoice can take this over, so it is a credit note.
#[test]
fn a_negative_last_document_is_a_credit_note() {
    let plan = r#"
        [[recurring]]
        id = "plan"
        sku = "PLAN"
        per = "account"
        billed = "in_advance"
        unit_price = "31.00"
        "#;
    let lake = lake(&account("A", r#"["p"]"#, "valid_from = 2026-10-01")).terms(plan);
    lake.close(SEPTEMBER, "2026-10-01");
    assert_eq!(documents(&lake, SEPTEMBER), ["A invoice 0 0 37.2"]);
    lake.set_accounts(account("A", r#"["p"]"#, "valid_from = 2026-10-01\nvalid_to = 2026-10-16"));
    lake.run(OCTOBER);
    assert_eq!(documents(&lake, OCTOBER), ["A draft 0 0 -19.2"]);
    assert_eq!(lake.close(OCTOBER, "2026-11-02").documents, ["CN-2026-00001"]);
    let page = lake.document(OCTOBER, "A/CN-2026-00001.json");
    assert!(page.contains(r#""total_with_tax": "19.20""#), "{page}");
    lake.run(NOVEMBER);
    assert!(documents(&lake, NOVEMBER).is_empty());
    lake.assert_audited(&[SEPTEMBER, OCTOBER, NOVEMBER]);
    lake.assert_verified();
}

/// An account that is deleted from the accounts file still owes the 2.00 of September. It is suspended until it is
/// declared again, with its end.
#[test]
fn an_account_with_an_amount_brought_forward_cannot_be_deleted() {
    let lake = lake(&account("A", r#"["p"]"#, "")).config(r#"minimum_invoice_amount = "5.00""#);
    lake.deliver("s", ["m,r,2026-09-05T10:00:00Z,2,p"]);
    lake.close(SEPTEMBER, "2026-10-01");
    lake.set_accounts(account("B", r#"["q"]"#, ""));
    let suspended: Vec<String> = lake.run(OCTOBER).suspended_accounts.into_iter().map(|one| one.reason).collect();
    assert_eq!(suspended, ["no_account"]);
    let message = lake.close_fails(3, OCTOBER, "2026-11-02");
    assert!(message.contains("the account `A` is suspended: the accounts file does not contain it"), "{message}");
    lake.set_accounts(account("A", r#"["p"]"#, "valid_to = 2026-10-01"));
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(documents(&lake, OCTOBER), ["A invoice 2 0 2.4"]);
}

/// The minimum spend of 100.00 applies to October as a whole, in which the account ends, and not to November.
#[test]
fn a_minimum_spend_ends_with_the_period_in_which_its_account_ends() {
    let committed = r#"
        [[minimum_spend]]
        id = "c"
        account = "A"
        amount = "100.00"
        "#;
    let lake = lake(&account("A", r#"["p"]"#, "valid_to = 2026-10-16")).terms(committed);
    lake.deliver("u", ["m,r,2026-10-05T10:00:00Z,40,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["100.0000"]);
    lake.run(NOVEMBER);
    assert!(documents(&lake, NOVEMBER).is_empty());
}

/// A has only free usage, B pays 7.00, C has free usage and its own `zero_invoices`, and D has 7.00 less a discount of
/// 100 %, which its invoice must show. Each project has a usage report.
#[test]
fn zero_invoices_skips_invoices_whose_lines_are_all_zero() {
    let discount = r#"
        [[discount]]
        id = "all"
        accounts = ["D"]
        percent = "100"
        "#;
    let own = r#"zero_invoices = "issue""#;
    let keys = [("A", ""), ("B", ""), ("C", own), ("D", "")];
    let lake = lake(&keys.map(|(id, keys)| account(id, &format!(r#"["p-{id}"]"#), keys)).concat()).terms(discount);
    let usage = [("free", "A"), ("m", "B"), ("free", "C"), ("m", "D")];
    lake.deliver("u", usage.map(|(meter, id)| format!("{meter},r-{id},2026-10-05T10:00:00Z,7,p-{id}")));
    let summary = lake.run(OCTOBER);
    assert_eq!((summary.invoices, summary.skipped), (3, 1));
    let closed = lake.close(OCTOBER, "2026-11-02");
    assert_eq!(closed.documents, ["INV-2026-00001", "INV-2026-00002", "INV-2026-00003"]);
    let expected = ["A skipped 0 0 0", "B invoice 0 0 8.4", "C invoice 0 0 0", "D invoice 0 0 0"];
    assert_eq!(documents(&lake, OCTOBER), expected);
    let pages = lake.documents(OCTOBER);
    let names = ["A", "B", "C", "D"].map(|id| format!("{id}/usage-p-{id}.html"));
    let missing: Vec<&String> = names.iter().filter(|name| !pages.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(
        pages.contains_key(&format!("A/{}.html", lake.draft(OCTOBER, "A"))),
        "the usage report of A refers to this page"
    );
    let postings = lake.export_journal(OCTOBER, "csv");
    assert!(!postings.contains("DRAFT"), "{postings}");
    lake.assert_audited(&[OCTOBER]);
    lake.assert_verified();
    lake.assert_all_reproduced();
    lake.close(OCTOBER, "2026-11-02").assert_nothing_due();
    // Late usage of A is charged by the next invoice, because October has no document to correct.
    lake.deliver("late", ["m,r-A,2026-10-09T10:00:00Z,3,p-A"]);
    assert_eq!(lake.close(OCTOBER, "2026-11-03").changes(), ["A  3.00 EUR late_usage next invoice"]);
    lake.run(NOVEMBER);
    assert_eq!(documents(&lake, NOVEMBER), ["A draft 3 0 3.6"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
}

/// With `issue`, the account with only free usage has an invoice of 0.00 with a number.
#[test]
fn zero_invoices_can_be_issued() {
    let lake = lake(&account("A", r#"["p"]"#, "")).config(r#"zero_invoices = "issue""#);
    lake.deliver("u", ["free,r,2026-10-05T10:00:00Z,7,p"]);
    assert_eq!(lake.close(OCTOBER, "2026-11-02").documents, ["INV-2026-00001"]);
    assert_eq!(documents(&lake, OCTOBER), ["A invoice 0 0 0"]);
}
