//! `conto cancel`: a credit note for an issued document, and an invoice with the present data of the account.
//!
//! In this world each GB costs 0.10. In October, `p` uses 90 GB and `q` 20 GB, which is 9.00 and 2.00. French VAT is
//! 20 %. A business in Germany owes the tax itself, if its profile says so.

use super::{NOVEMBER, OCTOBER, assert_balanced, days, issued, lines};
use crate::test_lake::TestLake;

const RULES: &str = r#"
    [[meter]]
    name = "m"
    aggregation = "sum"
    unit = "GB"

    [[rule]]
    id = "r"
    meter = "m"
    sku = "EGRESS"
    service = "Network"
    unit_price = "0.10"

    [[tax]]
    id = "reverse-charge"
    name = "VAT"
    profile = "eu-business"
    countries = ["DE"]
    category = "AE"
    exemption_reason = "Reverse charge"

    [[tax]]
    id = "abroad"
    name = "VAT"
    profile = "abroad"
    category = "O"
    "#;

const USAGE: [&str; 2] = ["m,a,2026-10-01T10:00:00Z,90,p", "m,b,2026-10-02T10:00:00Z,20,q"];

/// 30 GB of `p` cost 3.00.
const LATE: [&str; 1] = ["m,a,2026-10-09T10:00:00Z,30,p"];

/// The keys of a business in Germany with this VAT id.
fn german(vat_id: &str) -> String {
    format!(
        r#"
        country = "DE"
        vat_id = "{vat_id}"
        vies = {{ valid = true, checked_on = 2026-09-30 }}
        tax_profile = "eu-business"
        "#
    )
}

/// The prices of a GB in cents, and the rules with one of them.
pub(super) fn price_of(index: usize) -> i64 {
    [10, 12, 7][index]
}

pub(super) fn rules_at(index: usize) -> String {
    RULES.replace("0.10", &format!("0.{:02}", price_of(index)))
}

pub(super) fn account(name: &str, keys: &str) -> String {
    format!("[[account]]\nid = \"acme\"\nname = \"{name}\"\nprojects = [\"p\", \"q\"]\n{keys}\n")
}

/// One invoice for both projects. An increase of a closed month is an invoice of its own.
fn lake(account: impl AsRef<str>) -> TestLake {
    lake_with_next_invoice(account).config(r#"closing.charge_increases_as = "separate_invoice""#)
}

fn lake_with_next_invoice(account: impl AsRef<str>) -> TestLake {
    TestLake::new().config(r#"invoice_per = "account""#).accounts(account).rules(RULES).usage(USAGE)
}

pub(super) const FRENCH: &str = r#"country = "FR""#;

/// Asserts that the month has no difference to its documents, and that every law of the books and every commit holds.
#[track_caller]
fn assert_settled(lake: &TestLake, periods: &[&str]) {
    for period in periods {
        let due = lake.run_closed(period);
        assert!(due.is_empty(), "{period}: {due:?}");
    }
    assert_balanced(lake, periods);
    lake.assert_all_reproduced();
}

/// The VAT id had a wrong last digit. The EC sales list has zero for the wrong id, and 11.00 for the right one.
#[test]
fn a_wrong_vat_id_is_cancelled_and_issued_again() {
    let lake = lake(account("Acme", &german("DE123456788")));
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("Acme", &german("DE123456789")));
    assert!(lake.run_closed(OCTOBER).is_empty(), "account data reach a closed month only by a cancellation");
    let proposed = lake.propose_cancellation(&["INV-2026-00001"]);
    let changed = &proposed["changed_data"][0];
    let texts = ["account_id", "key", "issued", "present"].map(|name| changed[name].as_str().unwrap());
    assert_eq!(texts, ["acme", "vat_id", "DE123456788", "DE123456789"]);
    assert_eq!(issued(&lake).len(), 1, "nothing is issued without --approve");
    let numbers = lake.cancel(&["INV-2026-00001", "--approved-by", "M. Chef"], "2026-11-20");
    assert_eq!(numbers, ["CN-2026-00001", "INV-2026-00002"]);
    let expected = [
        "INV-2026-00001 11.0000",
        "CN-2026-00001 -11.0000 INV-2026-00001 cancelled",
        "INV-2026-00002 11.0000 INV-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    assert_eq!(lake.remarks(lake.last_close(OCTOBER)), ["wrong data"]);
    let status = lake.json(&["status"]);
    assert!(status.to_string().contains(r#""approved_by":"M. Chef""#), "{status}");
    let list = lake.export_ec_sales(OCTOBER);
    let rows: Vec<&str> = list.lines().skip(1).collect();
    assert_eq!(rows, ["DE,DE123456788,3,2,0.00,EUR", "DE,DE123456789,3,1,11.00,EUR"]);
    assert_settled(&lake, &[OCTOBER]);
    let journal = lake.export_journal(OCTOBER, "csv");
    assert_eq!(journal.matches("CN-2026-00001").count(), journal.matches("INV-2026-00001").count(), "{journal}");
    // Each document is posted on its issue date.
    let journal = lake.export_journal(OCTOBER, "hledger");
    for header in ["02 * (INV-2026-00001)", "20 * (CN-2026-00001)", "20 * (INV-2026-00002)"] {
        assert!(journal.contains(&format!("\n2026-11-{header} acme\n")), "no {header} in {journal}");
    }
    let explained = lake.explain("CN-2026-00001/1");
    assert!(explained.contains("takes back the line of 2026-10 (INV-2026-00001)"), "{explained}");
    // The present data are those of the new invoice, so a restatement changes nothing.
    lake.propose_restatement(OCTOBER).assert_nothing_due();
}

/// The members of the seller on a document.
fn seller(lake: &TestLake, name: &str) -> [String; 3] {
    let json: serde_json::Value = serde_json::from_str(&lake.document(OCTOBER, &format!("acme/{name}.json"))).unwrap();
    let seller = &json["seller"];
    let address = seller["address"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    [text(&seller["vat_id"]), address.collect::<Vec<_>>().join(", "), text(&seller["payment_terms"])]
}

/// The address and the bank account of the seller were wrong. The credit note has the data of the cancelled invoice,
/// and late usage after it has the present data. The other invoice keeps its data until it is cancelled too.
#[test]
fn wrong_seller_data_are_cancelled_and_issued_again() {
    let lake = lake(account("Acme", FRENCH)).config("invoice_per = \"project\"\nseller.address = [\"1 rue A\"]");
    lake.configure(r#"seller.payment_terms = "IBAN 1""#);
    lake.close(OCTOBER, "2026-11-02");
    lake.configure("[seller]\naddress = [\"2 rue B\"]\npayment_terms = \"IBAN 2\"\nlegal_footer = [\"RCS Paris\"]");
    let proposed = lake.propose_cancellation(&["INV-2026-00001"]);
    let changed = proposed["changed_data"].as_array().unwrap();
    assert!(changed.iter().all(|one| one["account_id"].is_null()), "{proposed}");
    let texts =
        |one: &serde_json::Value| ["key", "issued", "present"].map(|name| one[name].as_str().unwrap().to_owned());
    let expected =
        [["address", "1 rue A", "2 rue B"], ["legal_footer", "", "RCS Paris"], ["payment_terms", "IBAN 1", "IBAN 2"]];
    assert_eq!(changed.iter().map(texts).collect::<Vec<_>>(), expected);
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-21");
    let expected = [
        "INV-2026-00001 10.8000",
        "INV-2026-00002 2.4000",
        "CN-2026-00001 -10.8000 INV-2026-00001 cancelled",
        "INV-2026-00003 10.8000 INV-2026-00001 reissued",
        "INV-2026-00004 3.6000 INV-2026-00003 late_usage",
    ];
    assert_eq!(issued(&lake), expected);
    let (wrong, right) = (["FR45000000593", "1 rue A", "IBAN 1"], ["FR45000000593", "2 rue B", "IBAN 2"]);
    for (number, expected) in [("INV-2026-00001", wrong), ("CN-2026-00001", wrong), ("INV-2026-00003", right)] {
        assert_eq!(seller(&lake, number), expected, "{number}");
    }
    assert_eq!([seller(&lake, "INV-2026-00004"), seller(&lake, "INV-2026-00002")], [right, wrong]);
    let has_footer = |number| lake.document(OCTOBER, &format!("acme/{number}.html")).contains("RCS Paris");
    let numbers = ["INV-2026-00001", "CN-2026-00001", "INV-2026-00003", "INV-2026-00004"];
    assert_eq!(numbers.map(has_footer), [false, false, true, true]);
    let refused = lake.cancel_fails(&["INV-2026-00003"], "2026-11-22");
    assert!(refused.contains("would be the same: correct the accounts file or `[seller]`"), "{refused}");
    lake.cancel(&["INV-2026-00002"], "2026-11-22");
    assert_eq!(seller(&lake, "INV-2026-00005"), right);
    assert_settled(&lake, &[OCTOBER]);
}

/// The VAT id of the seller was wrong. It is another seller, until `previous_identities` states that it is the same.
/// The numbers continue.
#[test]
fn a_wrong_vat_id_of_the_seller_needs_previous_identities() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2026-11-02");
    lake.configure(r#"seller.vat_id = "FR78000000701""#);
    let refused = lake.cancel_fails(&["INV-2026-00001"], "2026-11-20");
    let expected = "it is a document of the seller FR45000000593, and the seller is FR78000000701 now";
    assert!(refused.contains(expected), "{refused}");
    lake.configure(r#"closing.previous_identities = ["FR45000000593"]"#);
    assert_eq!(lake.cancel(&["INV-2026-00001"], "2026-11-20"), ["CN-2026-00001", "INV-2026-00002"]);
    let mut rows = lake.rows("issued_document");
    rows.sort_by_key(|row| row["chain_number"].clone());
    let sellers: Vec<[&str; 2]> = rows.iter().map(|row| [&*row["seller"], &*row["number_series"]]).collect();
    let (old, new) = (["FR45000000593", "FR45000000593"], ["FR78000000701", "FR45000000593"]);
    assert_eq!(sellers, [old, old, new]);
    assert_eq!(["CN-2026-00001", "INV-2026-00002"].map(|name| seller(&lake, name)[0].clone()), [old[0], new[0]]);
    lake.deliver("late", LATE);
    assert_eq!(lake.close(OCTOBER, "2026-11-21").documents, ["INV-2026-00003"]);
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    assert_eq!(lake.close(NOVEMBER, "2026-12-01").documents, ["INV-2026-00004"]);
    assert_settled(&lake, &[OCTOBER, NOVEMBER]);
}

/// Another company took over. The amounts of the earlier company can be written off, but its invoices not issued again.
#[test]
fn another_seller_can_cancel_only_without_a_new_invoice() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2026-11-02");
    lake.configure("[seller]\nname = \"Other\"\nvat_id = \"FR78000000701\"");
    let refused = lake.cancel_fails(&["INV-2026-00001"], "2026-11-20");
    assert!(refused.contains("If another company sells now"), "{refused}");
    lake.cancel(&["INV-2026-00001", "--without-reissue"], "2026-11-20");
    assert_eq!(seller(&lake, "CN-2026-00001")[0], "FR45000000593");
    assert_settled(&lake, &[OCTOBER]);
}

/// The amount was written off, and then charged again by a restatement. Its invoice can be cancelled like the first.
#[test]
fn an_invoice_after_a_cancellation_without_a_new_invoice_can_be_cancelled() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2026-11-02");
    lake.cancel(&["INV-2026-00001", "--without-reissue"], "2026-11-20");
    lake.restate(OCTOBER, "2026-11-21", "it is due after all");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-22");
    let expected =
        ["INV-2026-00002 13.2000 INV-2026-00001 changed_rule", "INV-2026-00003 3.6000 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake)[2..], expected);
    lake.set_accounts(account("Acme SARL", FRENCH));
    let refused = lake.cancel_fails(&["INV-2026-00001"], "2026-11-23");
    assert!(refused.contains("`INV-2026-00002` replaces it: cancel `INV-2026-00002` instead"), "{refused}");
    let refused = lake.cancel_fails(&["INV-2026-00003"], "2026-11-23");
    assert!(refused.contains("cancel `INV-2026-00002`, the document that it corrects"), "{refused}");
    lake.cancel(&["INV-2026-00002"], "2026-11-23");
    let expected =
        ["CN-2026-00002 -16.8000 INV-2026-00002 cancelled", "INV-2026-00004 16.8000 INV-2026-00002 reissued"];
    assert_eq!(issued(&lake)[4..], expected);
    // The new invoice is written off too, and charged again.
    lake.cancel(&["INV-2026-00004", "--without-reissue"], "2026-11-24");
    lake.restate(OCTOBER, "2026-11-25", "it is due after all");
    lake.cancel(&["INV-2026-00005", "--without-reissue"], "2026-11-26");
    assert_eq!(issued(&lake).last().unwrap(), "CN-2026-00004 -16.8000 INV-2026-00005 cancelled");
    assert_settled(&lake, &[OCTOBER]);
}

/// A customer of a reseller leaves with refunded traffic of 20 GB. Its last document is a credit note of 2.00, or 2.40
/// with tax. An invoice cancels it, and another credit note replaces it.
#[test]
fn a_credit_note_that_corrects_no_document_is_cancelled_by_an_invoice() {
    let accounts = |name: &str| {
        let reseller = format!("[[account]]\nid = \"R\"\nname = \"Reseller\"\n{FRENCH}\nvat_id = \"FR78000000701\"\n");
        reseller + &account(name, &format!("{FRENCH}\nparent = \"R\"\nvalid_to = 2026-11-01"))
    };
    let signed = RULES.replace("aggregation = \"sum\"", "aggregation = \"sum\"\n    signed = true");
    let lake = TestLake::new()
        .config("invoice_per = \"account\"\nclosing.charge_increases_as = \"separate_invoice\"")
        .accounts(accounts("Acme"))
        .rules(signed)
        .usage(["m,a,2026-10-01T10:00:00Z,-20,p"]);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["CN-R-2026-00001 -2.4000"]);
    lake.set_accounts(accounts("Acme SARL"));
    let proposed = lake.propose_cancellation(&["CN-R-2026-00001"]);
    let kinds = proposed["documents"].as_array().unwrap().iter().map(|one| one["document_kind"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["invoice", "credit_note"]);
    assert_eq!(lake.cancel(&["CN-R-2026-00001"], "2026-11-20"), ["INV-R-2026-00001", "CN-R-2026-00002"]);
    let expected = [
        "CN-R-2026-00001 -2.4000",
        "INV-R-2026-00001 2.4000 CN-R-2026-00001 cancelled",
        "CN-R-2026-00002 -2.4000 CN-R-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&lake.document(OCTOBER, &format!("acme/{name}.json"))).unwrap()
    };
    let (invoice, note) = (json("INV-R-2026-00001"), json("CN-R-2026-00002"));
    assert_eq!((&invoice["total_with_tax"], &invoice["buyer"]["name"]), (&"2.40".into(), &"Acme".into()));
    assert_eq!(invoice["issued"]["cancels"]["number"], "CN-R-2026-00001");
    assert_eq!((&note["total_with_tax"], &note["buyer"]["name"]), (&"2.40".into(), &"Acme SARL".into()));
    assert_eq!(note["issued"]["replaces"]["cancelled_by"], "INV-R-2026-00001");
    assert_settled(&lake, &[OCTOBER]);
}

/// The documents name each other and the reason. The credit note has the data of the cancelled invoice.
#[test]
fn the_documents_of_a_cancellation_name_each_other() {
    let keys = |street: &str, more: &str| format!("{FRENCH}\naddress = [\"{street}\"]\npurchase_order = \"{more}\"");
    let lake = lake(account("Acme", &keys("1 rue A", "PO-1")));
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("Acme SARL", &keys("2 rue B", "PO-2")));
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&lake.document(OCTOBER, &format!("acme/{name}.json"))).unwrap()
    };
    let (note, invoice) = (json("CN-2026-00001"), json("INV-2026-00002"));
    assert_eq!(note["buyer"], json("INV-2026-00001")["buyer"]);
    assert_eq!(note["issued"]["cancels"]["number"], "INV-2026-00001");
    assert_eq!(note["issued"]["cancels"]["issue_date"], "2026-11-02");
    assert_eq!((&note["issued"]["remark"], &note["total_with_tax"]), (&"wrong data".into(), &"13.20".into()));
    assert_eq!(invoice["issued"]["replaces"]["number"], "INV-2026-00001");
    assert_eq!(invoice["issued"]["replaces"]["cancelled_by"], "CN-2026-00001");
    let buyer = &invoice["buyer"];
    let texts = [&buyer["name"], &buyer["address"][0], &buyer["purchase_order"]].map(|text| text.as_str().unwrap());
    assert_eq!(texts, ["Acme SARL", "2 rue B", "PO-2"]);
    let page = |name: &str| lake.document(OCTOBER, &format!("acme/{name}.html")).replace(char::is_whitespace, " ");
    assert!(page("CN-2026-00001").contains("<dt>Cancels</dt><dd>No. INV-2026-00001, 2 November 2026</dd>"));
    assert!(page("CN-2026-00001").contains("<dt>Reason</dt><dd><bdi>wrong data</bdi></dd>"));
    let replaces = "<dt>Replaces</dt><dd>No. INV-2026-00001, 2 November 2026 (cancelled by CN-2026-00001)</dd>";
    assert!(page("INV-2026-00002").contains(replaces), "{}", page("INV-2026-00002"));
    let index = lake.document(OCTOBER, "index.html");
    let links: Vec<&str> = index.split("href=\"./acme/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let (p, q) = (["usage-p.html", "INV-2026-00002.html"], ["usage-q.html", "INV-2026-00002.html"]);
    assert_eq!(links, [p, q, ["INV-2026-00001.html", "CN-2026-00001.html"]].concat());
    assert!(index.contains(">-13.20<"), "the credit note is negative: {index}");
    let invoices = lake.csv_document(OCTOBER, "invoices.csv");
    let due: Vec<String> =
        invoices.iter().map(|row| format!("{} {}", row["account_name"], row["amount_due"])).collect();
    assert_eq!(due, ["Acme -13.20", "Acme 13.20", "Acme SARL 13.20"]);
    // A credit note has the language of the cancelled invoice.
    for (number, name, language) in [("INV-2026-00002", "Acme GmbH", "de"), ("INV-2026-00003", "Acme SAS", "fr")] {
        lake.set_accounts(account(name, &keys("2 rue B", &format!("PO-2\"\nlanguage = \"{language}"))));
        lake.cancel(&[number], "2026-11-21");
    }
    let german = "<dt>Ersetzt</dt><dd>Nr. INV-2026-00002, 20. November 2026 (storniert durch CN-2026-00002)</dd>";
    assert!(page("INV-2026-00003").contains(german), "{}", page("INV-2026-00003"));
    assert!(page("CN-2026-00003").contains("<dt>Storniert</dt><dd>Nr. INV-2026-00003, 21. November 2026</dd>"));
    let french = "<dt>Remplace</dt><dd>Nº INV-2026-00003, 21 novembre 2026 (annulée par CN-2026-00003)</dd>";
    assert!(page("INV-2026-00004").contains(french), "{}", page("INV-2026-00004"));
    let pack = lake.document(OCTOBER, "month-end/pack.html");
    for (relation, number, times) in [
        ("cancelled by", "CN-2026-00003", 1),
        ("replaced by", "INV-2026-00004", 1),
        ("cancels", "INV-2026-00003", 1),
        ("replaces", "INV-2026-00003", 1),
        ("cancelled by", "INV-2026-00004", 0),
    ] {
        let text = format!("{relation} <span class=\"nowrap\">{number}</span>");
        assert_eq!(pack.matches(&text).count(), times, "{text}: {pack}");
    }
    for nothing in ["Nothing was brought forward", "Nothing is carried forward", "No account has a credit"] {
        assert!(pack.contains(nothing), "{nothing}: {pack}");
    }
    assert_settled(&lake, &[OCTOBER]);
}

/// The account had the wrong profile, so 20 % were charged. The new invoice has reverse charge, and so has late usage.
#[test]
fn taxes_follow_from_the_present_data_also_for_late_usage() {
    let lake = lake(account("Acme", r#"country = "DE""#));
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("Acme", &german("DE123456789")));
    // The late usage arrives before the cancellation, which does not contain it.
    lake.deliver("late", LATE);
    assert_eq!(lake.run_closed(OCTOBER), ["acme  3.00 EUR late_usage invoice"]);
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    assert_eq!(lake.run_closed(OCTOBER), ["acme  3.00 EUR late_usage invoice"]);
    lake.close(OCTOBER, "2026-11-21");
    let expected = [
        "INV-2026-00001 13.2000",
        "CN-2026-00001 -13.2000 INV-2026-00001 cancelled",
        "INV-2026-00002 11.0000 INV-2026-00001 reissued",
        "INV-2026-00003 3.0000 INV-2026-00002 late_usage",
    ];
    assert_eq!(issued(&lake), expected);
    assert_eq!(days(&lake, "INV-2026-00003"), ["2026-10-09 to 2026-10-10"]);
    let note = &lake.rows_where("tax_breakdown", "invoice_number", "CN-2026-00001")[0];
    let tax = ["tax_category", "taxable_amount", "tax_amount"].map(|name| note[name].clone());
    assert_eq!(tax, ["S", "-11.0000", "-2.2000"]);
    let list = lake.export_ec_sales(OCTOBER);
    assert_eq!(list.lines().last(), Some("DE,DE123456789,3,2,14.00,EUR"));
    assert_settled(&lake, &[OCTOBER]);
}

/// The cancellation of an invoice includes its corrections: 11.00 and 3.00, less 2.00 that are retracted.
#[test]
fn a_cancellation_includes_the_corrections_of_the_invoice() {
    let lake = lake(account("Acme", FRENCH));
    lake.deliver("wrong", ["m,b,2026-10-03T10:00:00Z,20,q"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-03");
    lake.retract("wrong.csv", "a test");
    lake.close(OCTOBER, "2026-11-04");
    lake.set_accounts(account("Acme SARL", FRENCH));
    let cancelled = lake.cancel_fails(&["INV-2026-00002"], "2026-11-20");
    assert!(cancelled.contains("cancel `INV-2026-00001`, the document that it corrects"), "{cancelled}");
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    let expected = [
        "INV-2026-00001 15.6000",
        "INV-2026-00002 3.6000 INV-2026-00001 late_usage",
        "CN-2026-00001 -2.4000 INV-2026-00001 changed_record",
        "CN-2026-00002 -16.8000 INV-2026-00001 cancelled",
        "INV-2026-00003 16.8000 INV-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    assert_settled(&lake, &[OCTOBER]);
    // The new invoice can be cancelled too.
    lake.set_accounts(account("Acme SAS", FRENCH));
    lake.cancel(&["INV-2026-00003"], "2026-11-21");
    let expected =
        ["CN-2026-00003 -16.8000 INV-2026-00003 cancelled", "INV-2026-00004 16.8000 INV-2026-00003 reissued"];
    assert_eq!(issued(&lake)[5..], expected);
    assert_settled(&lake, &[OCTOBER]);
}

/// 3.00 of late usage are on the next invoice, with 20 %. The new invoice of October has 14.00 with reverse charge,
/// less these 3.00 with 20 %: 14.00 − 3.60 = 10.40.
#[test]
fn late_usage_on_the_next_invoice_is_subtracted_from_the_new_invoice() {
    let lake = lake_with_next_invoice(account("Acme", r#"country = "DE""#));
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-05");
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    lake.set_accounts(account("Acme", &german("DE123456789")));
    let refused = lake.cancel_fails(&["INV-2026-00001", "--without-reissue"], "2026-12-02");
    assert!(refused.contains("is on the next invoice"), "{refused}");
    lake.cancel(&["INV-2026-00001"], "2026-12-02");
    let expected = [
        "INV-2026-00001 13.2000",
        "INV-2026-00002 4.8000",
        "CN-2026-00001 -13.2000 INV-2026-00001 cancelled",
        "INV-2026-00003 10.4000 INV-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    let expected = [
        "120.000000000 at 0.100000000000: 12.0000",
        "20.000000000 at 0.100000000000: 2.0000",
        "-30.000000000 at 0.100000000000: -3.0000",
    ];
    assert_eq!(lines(&lake, "INV-2026-00003"), expected);
    assert_settled(&lake, &[OCTOBER, NOVEMBER]);
}

/// October has 2.00, less than the minimum of 5.00. November has 9.00 and the 2.00 of October.
#[test]
fn an_amount_brought_forward_is_on_the_new_invoice_again() {
    let lake = TestLake::new()
        .config("invoice_per = \"account\"\nminimum_invoice_amount = \"5.00\"")
        .accounts(account("Acme", FRENCH))
        .rules(RULES)
        .usage(["m,b,2026-10-02T10:00:00Z,20,q", "m,a,2026-11-01T10:00:00Z,90,p"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake), ["INV-2026-00001 13.2000"]);
    // Late usage of October after the close of November waits for December.
    lake.deliver("late", ["m,b,2026-10-03T10:00:00Z,10,q"]);
    lake.close(OCTOBER, "2026-12-02");
    lake.set_accounts(account("Acme SARL", FRENCH));
    let refused = lake.cancel_fails(&["INV-2026-00001", "--without-reissue"], "2026-12-02");
    assert!(refused.contains("brought forward from `DRAFT-2026-10-387791`"), "{refused}");
    lake.cancel(&["INV-2026-00001"], "2026-12-02");
    let expected =
        ["CN-2026-00001 -13.2000 INV-2026-00001 cancelled", "INV-2026-00002 13.2000 INV-2026-00001 reissued"];
    assert_eq!(issued(&lake)[1..], expected);
    assert_settled(&lake, &[OCTOBER, NOVEMBER]);
}

/// `used closing_balance` of a month's only credit.
fn balance(lake: &TestLake, period: &str) -> String {
    let rows = lake.rows_in("credit_balance", period);
    assert_eq!(rows.len(), 1, "{rows:?}");
    format!("{} {}", rows[0]["used"], rows[0]["closing_balance"])
}

/// A lake with a credit of `acme` and a discount of 10 %.
fn with_credit(account: impl AsRef<str>, keys: &str) -> TestLake {
    lake(account).terms(format!(
        r#"
        [[discount]]
        id = "ten"
        description = "Ten"
        percent = "10"

        [[credit]]
        id = "credit"
        description = "Credit"
        account = "acme"
        {keys}
        "#
    ))
}

/// 11.00 less 1.10 are 9.90. The credit of 12.00 pays all of it, on the new invoice too.
#[test]
fn a_wrong_name_with_a_credit_leaves_the_balance_as_it_was() {
    let lake = with_credit(account("Acme", FRENCH), "kind = \"promotional\"\namount = \"12.00\"");
    lake.close(OCTOBER, "2026-11-02");
    // November: 10.00 less 1.00 are 9.00. The credit pays 2.10, and 6.90 have 1.38 of tax.
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,100,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!([balance(&lake, OCTOBER), balance(&lake, NOVEMBER)], ["9.9000 2.1000", "2.1000 0.0000"]);
    lake.set_accounts(account("Acme SARL", FRENCH));
    assert_eq!(lake.cancel(&["INV-2026-00001"], "2026-12-02"), ["CN-2026-00001", "INV-2026-00003"]);
    let expected = [
        "INV-2026-00001 0.0000",
        "INV-2026-00002 8.2800",
        "CN-2026-00001 0.0000 INV-2026-00001 cancelled",
        "INV-2026-00003 0.0000 INV-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    assert_eq!([balance(&lake, OCTOBER), balance(&lake, NOVEMBER)], ["9.9000 2.1000", "2.1000 0.0000"]);
    assert_settled(&lake, &[OCTOBER, NOVEMBER]);
}

/// Prepaid money pays 9.90 and 1.98 of tax. With reverse charge it pays 9.90, and gets 1.98 back in all later months.
/// The other way round, it pays no more than the 9.90 that it gets back.
#[test]
fn prepaid_money_pays_at_most_the_amount_that_it_gets_back() {
    let keys = "kind = \"prepaid\"\ntaxed = \"at_use\"\namount = \"20.00\"";
    let (domestic, abroad) = (account("Acme", r#"country = "DE""#), account("Acme", &german("DE123456789")));
    let reissued = |first: &str, second: &str| {
        let lake = with_credit(first, keys);
        lake.close(OCTOBER, "2026-11-02");
        lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
        lake.close(NOVEMBER, "2026-12-01");
        lake.set_accounts(second);
        lake.cancel(&["INV-2026-00001"], "2026-12-02");
        assert_settled(&lake, &[OCTOBER, NOVEMBER]);
        let columns = ["invoice_number", "total_with_tax", "prepaid_amount", "amount_due"];
        let rows = lake.rows_in("invoice", OCTOBER);
        let due: Vec<String> = rows.iter().map(|row| columns.map(|name| row[name].clone()).join(" ")).collect();
        (due, [balance(&lake, OCTOBER), balance(&lake, NOVEMBER)])
    };
    let (due, balances) = reissued(&domestic, &abroad);
    let expected = [
        "CN-2026-00001 -11.8800 -11.8800 0.0000",
        "INV-2026-00001 11.8800 11.8800 0.0000",
        "INV-2026-00003 9.9000 9.9000 0.0000",
    ];
    assert_eq!(due.len(), 3);
    assert!(expected.iter().all(|row| due.iter().any(|one| one == row)), "{due:?}");
    // November used 0.90 and 0.18.
    assert_eq!(balances, ["9.9000 10.1000", "1.0800 9.0200"]);
    let (due, balances) = reissued(&abroad, &domestic);
    assert!(due.iter().any(|row| row == "INV-2026-00003 11.8800 9.9000 1.9800"), "{due:?}");
    assert_eq!(balances, ["9.9000 10.1000", "0.9000 9.2000"]);
}

/// Without a new invoice, 11.00 are written off. Late usage of the month is not charged either, until a restatement
/// charges the whole month.
#[test]
fn a_cancellation_without_a_new_invoice_writes_the_amount_off() {
    let lake = lake_with_next_invoice(account("Acme", FRENCH));
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(lake.cancel(&["INV-2026-00001", "--without-reissue"], "2026-11-20"), ["CN-2026-00001"]);
    assert_eq!(issued(&lake)[1..], ["CN-2026-00001 -13.2000 INV-2026-00001 cancelled"]);
    assert_eq!(lake.column("unbilled_cost", "contracted_cost"), ["11.000000000000000000"]);
    assert_settled(&lake, &[OCTOBER]);
    lake.deliver("late", LATE);
    let summary = lake.run(OCTOBER);
    assert!(summary.changes.is_empty() && summary.has_new_usage, "{summary:?}");
    lake.close(OCTOBER, "2026-11-21").assert_nothing_due();
    assert_eq!(lake.column("unbilled_cost", "contracted_cost"), ["14.000000000000000000"]);
    assert_settled(&lake, &[OCTOBER]);
    lake.restate(OCTOBER, "2026-11-22", "it is due after all");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00002 16.8000 INV-2026-00001 changed_rule"]);
    assert!(lake.column("unbilled_cost", "contracted_cost").is_empty());
    assert_settled(&lake, &[OCTOBER]);
}

/// Each project has its own invoice. Reverse charge would change both, so both are cancelled together.
#[test]
fn documents_that_change_too_are_cancelled_together() {
    let lake = lake(account("Acme", r#"country = "DE""#)).config(r#"invoice_per = "project""#);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account("Acme", &german("DE123456789")));
    let refused = lake.cancel_fails(&["INV-2026-00001"], "2026-11-20");
    assert!(refused.contains("`INV-2026-00002` would change too: cancel all of these"), "{refused}");
    let numbers = lake.cancel(&["INV-2026-00001", "INV-2026-00002"], "2026-11-20");
    assert_eq!(numbers, ["CN-2026-00001", "INV-2026-00003", "CN-2026-00002", "INV-2026-00004"]);
    let expected = [
        "CN-2026-00001 -10.8000 INV-2026-00001 cancelled",
        "INV-2026-00003 9.0000 INV-2026-00001 reissued",
        "CN-2026-00002 -2.4000 INV-2026-00002 cancelled",
        "INV-2026-00004 2.0000 INV-2026-00002 reissued",
    ];
    assert_eq!(issued(&lake)[2..], expected);
    assert_settled(&lake, &[OCTOBER]);
    // Another name changes no amount, so one invoice can be cancelled alone.
    lake.set_accounts(account("Acme GmbH", &german("DE123456789")));
    lake.cancel(&["INV-2026-00004"], "2026-11-21");
    assert_settled(&lake, &[OCTOBER]);
}

/// The tax in the seller's currency (BT-111): 11.00 euros are 12.10 dollars, with 2.42 of tax. The tax is 2.20 euros.
#[test]
fn the_tax_in_the_currency_of_the_seller_is_cancelled_too() {
    let keys = |more: &str| format!("{FRENCH}\ncurrency = \"USD\"\n{more}");
    let lake =
        lake(account("Acme", &keys(""))).config(super::EXCHANGE_RATES).file("rates.csv", super::exchange_rate("1.10"));
    lake.close(OCTOBER, "2026-11-02");
    lake.put("rates.csv", super::exchange_rate("1.50"));
    lake.set_accounts(account("Acme", &keys(r#"purchase_order = "PO-2""#)));
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    let rows = lake.rows("invoice");
    let columns = ["invoice_number", "total_with_tax", "tax_amount_in_seller_currency"];
    let mut taxes: Vec<String> = rows.iter().map(|row| columns.map(|name| row[name].clone()).join(" ")).collect();
    taxes.sort();
    let expected = ["CN-2026-00001 -14.5200 -2.2000", "INV-2026-00001 14.5200 2.2000", "INV-2026-00002 14.5200 2.2000"];
    assert_eq!(taxes, expected);
    assert_settled(&lake, &[OCTOBER]);
}

/// A reseller sells to `acme`. Its own numbers continue, and the margins are those of one invoice.
#[test]
fn an_invoice_of_a_reseller_is_cancelled_in_its_own_numbers() {
    let accounts = |name: &str, vat_id: &str| {
        let reseller = format!("[[account]]\nid = \"R\"\nname = \"Reseller\"\n{FRENCH}\nvat_id = \"{vat_id}\"\n");
        reseller + &account(name, &format!("{FRENCH}\nparent = \"R\""))
    };
    let discount = "[[discount]]\nid = \"ten\"\ndescription = \"Ten\"\naccounts = [\"acme\"]\npercent = \"10\"\n";
    let lake = lake(accounts("Acme", "FR78000000701")).terms(discount);
    lake.close(OCTOBER, "2026-11-02");
    let margin = |lake: &TestLake| -> f64 {
        let rows = lake.csv_document(OCTOBER, "margins.csv");
        rows.iter().map(|row| row["margin"].parse::<f64>().unwrap()).sum()
    };
    let before = margin(&lake);
    lake.set_accounts(accounts("Acme SARL", "FR78000000701"));
    lake.cancel(&["INV-R-2026-00001"], "2026-11-20");
    // 11.00 less 1.10, with 1.98 of tax. The reseller owes 11.00 and 2.20.
    let expected = [
        "INV-2026-00001 13.2000",
        "INV-R-2026-00001 11.8800",
        "CN-R-2026-00001 -11.8800 INV-R-2026-00001 cancelled",
        "INV-R-2026-00002 11.8800 INV-R-2026-00001 reissued",
    ];
    let mut found = issued(&lake);
    found[..2].sort();
    assert_eq!(found, expected);
    assert!((margin(&lake) - before).abs() < 1e-9, "{} {before}", margin(&lake));
    assert_settled(&lake, &[OCTOBER]);
}

/// The month was closed with a date in another year. The cancellation takes other prefixes, and so does late usage.
#[test]
fn a_cancellation_after_a_wrong_issue_date_starts_other_numbers() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2027-11-02");
    lake.set_accounts(account("Acme SARL", FRENCH));
    let refused = lake.cancel_fails(&["INV-2027-00001"], "2026-11-20");
    assert!(refused.contains("set another `invoice_prefix` and `credit_note_prefix`"), "{refused}");
    lake.configure("closing.invoice_prefix = \"R-\"\nclosing.credit_note_prefix = \"G-\"");
    lake.cancel(&["INV-2027-00001"], "2026-11-20");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-21");
    let expected = [
        "G-2026-00001 -13.2000 INV-2027-00001 cancelled",
        "R-2026-00001 13.2000 INV-2027-00001 reissued",
        "R-2026-00002 3.6000 R-2026-00001 late_usage",
    ];
    assert_eq!(issued(&lake)[1..], expected);
    assert_settled(&lake, &[OCTOBER]);
}

/// Only the date was wrong. With other prefixes, the new invoice has unchanged data and an earlier date.
#[test]
fn an_invoice_with_a_wrong_date_is_issued_again_with_other_numbers() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2027-11-02");
    let refused = lake.cancel_fails(&["INV-2027-00001"], "2027-11-02");
    assert!(refused.contains("a new invoice would be the same"), "{refused}");
    lake.configure("closing.invoice_prefix = \"R-\"\nclosing.credit_note_prefix = \"G-\"");
    assert_eq!(lake.cancel(&["INV-2027-00001"], "2026-11-20"), ["G-2026-00001", "R-2026-00001"]);
    assert_settled(&lake, &[OCTOBER]);
}

#[test]
fn a_document_that_cannot_be_cancelled_is_refused_with_a_remedy() {
    let lake = lake(account("Acme", FRENCH));
    lake.close(OCTOBER, "2026-11-02");
    let fails = |number: &str, date: &str, expected: &str| {
        let message = lake.cancel_fails(&[number], date);
        assert!(message.contains(expected), "{number}: {message}");
    };
    fails("INV-2026-00001", "2026-11-20", "would be the same: correct the accounts file or `[seller]`");
    lake.set_accounts(account("Acme SARL", FRENCH));
    fails("INV-2026-00007", "2026-11-20", "did you mean `INV-2026-00001`?");
    fails("DRAFT-2026-10-387791", "2026-11-20", "A draft is not issued: correct the accounts file and run again");
    fails("INV-2026-00001", "2026-11-01", "set another `invoice_prefix` and `credit_note_prefix`");
    let message = lake.fails(2, &["cancel", "INV-2026-00001", "--approve", "--issue-date", "2026-11-20"]);
    assert!(message.contains("--reason <TEXT>"), "{message}");
    let blank = ["cancel", "INV-2026-00001", "--approve", "--issue-date", "2026-11-20", "--reason", " "];
    assert!(lake.fails(2, &blank).contains("the reason is empty"));
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    fails("INV-2026-00001", "2026-11-20", "was cancelled by `CN-2026-00001`, and `INV-2026-00002` replaces it");
    fails("CN-2026-00001", "2026-11-20", "cancels another document and cannot be cancelled");
    lake.set_accounts(account("Acme", "").replace("acme", "other"));
    fails("INV-2026-00002", "2026-11-20", "which is no longer in the accounts file");
    lake.set_accounts(account("Acme", ""));
    fails("INV-2026-00002", "2026-11-20", "which is suspended: it has no country");
}

/// The amounts of a month's documents without tax, and their tax.
fn sums(lake: &TestLake, period: &str) -> String {
    let rows = lake.sql(&format!(
        "SELECT SUM(total_without_tax), SUM(tax_amount) FROM invoice WHERE document_kind <> 'carried_forward' AND \
         billing_period_start = DATE '{period}-01'"
    ));
    rows.join("; ")
}

/// 3.00 of late usage wait for the next invoice with 20 %. The present data have reverse charge. The cancellation
/// reverses the 11.00 of the invoice only. The late 3.00 stay on the next invoice, but under reverse charge: 3.00 and
/// -3.00 with 20 %, and 3.00 without. With 1.00 of November, all documents have 15.00.
#[test]
fn late_usage_that_waits_gets_the_taxes_of_the_new_invoice() {
    let lake = lake_with_next_invoice(account("Acme", r#"country = "DE""#));
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-05");
    lake.set_accounts(account("Acme", &german("DE123456789")));
    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    let expected = [
        "INV-2026-00001 13.2000",
        "CN-2026-00001 -13.2000 INV-2026-00001 cancelled",
        "INV-2026-00002 11.0000 INV-2026-00001 reissued",
    ];
    assert_eq!(issued(&lake), expected);
    assert_settled(&lake, &[OCTOBER]);
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    assert!(lake.run(NOVEMBER).suspended_accounts.is_empty());
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[3..], ["INV-2026-00003 4.0000"]);
    let of_groups = "SELECT tax_category, taxable_amount, tax_amount FROM tax_breakdown \
                     WHERE invoice_number = 'INV-2026-00003' ORDER BY tax_category";
    assert_eq!(lake.sql(of_groups), ["AE 4 0", "S 0 0"]);
    assert_eq!([sums(&lake, OCTOBER), sums(&lake, NOVEMBER)], ["11 0", "4 0"]);
    assert_settled(&lake, &[OCTOBER, NOVEMBER]);
}

/// Late usage waits with 20 %, and the present data are outside the scope of tax. No invoice can contain both.
#[test]
fn late_usage_that_waits_with_tax_prevents_a_new_invoice_outside_its_scope() {
    let lake = lake_with_next_invoice(account("Acme", r#"country = "DE""#));
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE);
    lake.close(OCTOBER, "2026-11-05");
    lake.set_accounts(account("Acme", "country = \"DE\"\ntax_profile = \"abroad\""));
    let refused = lake.cancel_fails(&["INV-2026-00001"], "2026-11-20");
    assert!(refused.contains("on the next invoice of the account with other taxes"), "{refused}");
    assert_eq!(issued(&lake).len(), 1);
}
