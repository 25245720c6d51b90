//! Several taxes on one line, each rounded on its own tax group: GST and QST in Québec, CGST and SGST in India.

use super::{NOVEMBER, OCTOBER, assert_balanced, issued};
use crate::test_lake::{TestLake, short};

/// GST of 5 % and QST of 9.975 % on all lines.
const QUEBEC: &str = r#"
[[tax]]
id = "quebec"
components = [{ name = "GST", rate = "5" }, { name = "QST", rate = "9.975" }]
"#;

/// The rules with the price of an item of kind `b`. An item of kind `a` costs 10.10.
fn items(price: &str) -> String {
    format!(
        r#"
        [[meter]]
        name = "item"
        aggregation = "sum"
        unit = "piece"
        dimensions.kind = {{ from = ["kind"] }}

        [[rule]]
        id = "item"
        meter = "item"
        sku = "ITEM"
        service = "Service"
        line_by = ["kind"]
        prices = {{ by = "kind", a = "10.10", b = "{price}" }}
        "#
    )
}

/// A seller and a customer in Québec, with these taxes.
fn lake(taxes: &str) -> TestLake {
    let config = r#"
        currency = "CAD"
        time_zone = "America/Montreal"
        invoice_per = "account"
        closing.charge_increases_as = "separate_invoice"

        [seller]
        country = "CA"
        registrations = { GST = "123456789 RT0001", QST = "1234567890 TQ0001" }

        [ledger]
        tax_by_name = { QST = "Liabilities:QST" }
        "#;
    let account = r#"
        [[account]]
        id = "C-1"
        name = "Petite Brise inc."
        country = "CA"
        projects = ["p"]
        "#;
    let lake = TestLake::new().config(config).accounts(account).rules(items("20.20")).terms(taxes);
    lake.remove_keys("seller", &["vat_id"]);
    lake
}

fn deliver(lake: &TestLake, month: &str, kind: &str) {
    lake.deliver_with("kind", kind, [format!("item,r-{kind},{month}-05T16:00:00Z,1,p,{kind}")]);
}

/// The tax groups of a document as `name taxable tax`.
fn taxes(lake: &TestLake, number: &str) -> Vec<String> {
    let rows = lake.rows_where("tax_breakdown", "invoice_number", number);
    rows.iter()
        .map(|row| [&row["tax_name"], short(&row["taxable_amount"]), short(&row["tax_amount"])].join(" "))
        .collect()
}

/// 10.10 has 0.505 of GST, rounded to 0.51, and 1.007475 of QST, rounded to 1.01: 1.52 of tax, and 11.62 in total. One
/// tax of 14.975 % would be 1.5125, rounded to 1.51.
#[test]
fn each_tax_of_a_line_is_rounded_and_shown() {
    let lake = lake(QUEBEC);
    deliver(&lake, OCTOBER, "a");
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(taxes(&lake, "INV-2026-00001"), ["GST 10.1 0.51", "QST 10.1 1.01"]);
    let invoice = &lake.csv_document(OCTOBER, "invoices.csv")[0];
    assert_eq!(["tax_amount", "total_with_tax"].map(|name| invoice[name].as_str()), ["1.52", "11.62"]);
    let line = &lake.csv_document(OCTOBER, "invoice_lines.csv")[0];
    let of_line = ["tax_category", "tax_rate", "tax_treatment"].map(|name| line[name].as_str());
    assert_eq!(of_line, ["S", "", "GST S 5 % + QST S 9.975 %"]);

    let json: serde_json::Value = serde_json::from_str(&lake.document(OCTOBER, "C-1/INV-2026-00001.json")).unwrap();
    let shown = json["tax_breakdown"].as_array().unwrap().iter();
    let shown: Vec<String> =
        shown.map(|tax| ["name", "rate", "tax_amount"].map(|name| tax[name].as_str().unwrap()).join(" ")).collect();
    assert_eq!(shown, ["GST 5 0.51", "QST 9.975 1.01"]);
    assert_eq!(json["seller"]["registrations"]["QST"], "1234567890 TQ0001");
    let page = lake.document(OCTOBER, "C-1/INV-2026-00001.html");
    for text in ["GST 5&nbsp;% on 10.10", "QST 9.975&nbsp;% on 10.10", "<bdi>1234567890 TQ0001</bdi>"] {
        assert!(page.contains(text), "no {text} in {page}");
    }

    let journal = lake.export_journal(OCTOBER, "hledger");
    for posting in ["Liabilities:Tax", "Liabilities:QST"] {
        assert!(journal.contains(posting), "no {posting} in {journal}");
    }
    let postings =
        lake.sql("SELECT tax_name, sum(tax_amount) AS tax FROM tax_breakdown GROUP BY tax_name ORDER BY tax_name");
    assert_eq!(postings, ["GST 0.51", "QST 1.01"]);
    let explained = lake.explain("INV-2026-00001");
    for text in ["plus tax      0.51  GST S 5 % on 10.10", "plus tax      1.01  QST S 9.975 % on 10.10"] {
        assert!(explained.contains(text), "no {text} in {explained}");
    }
    let explained = lake.explain_json("INV-2026-00001/1").to_string();
    assert!(explained.contains(r#""tax":"GST S 5 % + QST S 9.975 %""#), "{explained}");
    assert_balanced(&lake, &[OCTOBER]);
}

/// The table of docs/guides/tax-and-currencies.md, and then the rest is retracted:
///
/// | due | net | GST 5 % | QST 9.975 % |
/// | --- | --- | --- | --- |
/// | a and b | 30.30 | 1.515, rounded to 1.52 | 3.022425, rounded to 3.02 |
/// | b | 20.20 | 1.01 | 2.01495, rounded to 2.01 |
/// | b at 20.00 | 20.00 | 1.00 | 1.995, rounded to 2.00 |
#[test]
fn corrections_and_restatements_give_back_each_tax() {
    let lake = lake(QUEBEC);
    deliver(&lake, OCTOBER, "a");
    deliver(&lake, OCTOBER, "b");
    lake.close(OCTOBER, "2026-11-02");
    lake.retract("usage/a.csv", "not delivered");
    lake.close(OCTOBER, "2026-11-03");
    lake.set_rules(items("20.00"));
    lake.restate(OCTOBER, "2026-11-04", "a lower price");
    lake.retract("usage/b.csv", "not delivered");
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(taxes(&lake, "INV-2026-00001"), ["GST 30.3 1.52", "QST 30.3 3.02"]);
    assert_eq!(taxes(&lake, "CN-2026-00001"), ["GST -10.1 -0.51", "QST -10.1 -1.01"]);
    assert_eq!(taxes(&lake, "CN-2026-00002"), ["GST -0.2 -0.01", "QST -0.2 -0.01"]);
    assert_eq!(taxes(&lake, "CN-2026-00003"), ["GST -20 -1", "QST -20 -2"]);
    let totals = issued(&lake).into_iter().map(|document| document.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(totals.collect::<Vec<_>>(), ["34.8400", "-11.6200", "-0.2200", "-23.0000"]);
    assert_balanced(&lake, &[OCTOBER]);
    lake.assert_all_reproduced();
}

/// 30.30 has 1.515 of GST, rounded to 1.52. QST of 7.5 % on 31.82 is 2.3865, rounded to 2.39. Without the item of
/// 10.10, GST is 1.01, and QST on 21.21 is 1.59075, rounded to 1.59.
#[test]
fn a_compound_tax_applies_to_the_other_tax() {
    let compound = QUEBEC.replace(r#"rate = "9.975""#, r#"rate = "7.5", compound = true"#);
    let lake = lake(&compound);
    deliver(&lake, OCTOBER, "a");
    deliver(&lake, OCTOBER, "b");
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(taxes(&lake, "INV-2026-00001"), ["GST 30.3 1.52", "QST 31.82 2.39"]);
    let page = lake.document(OCTOBER, "C-1/INV-2026-00001.html");
    assert!(page.contains("including the other taxes"), "{page}");
    lake.retract("usage/a.csv", "not delivered");
    lake.close(OCTOBER, "2026-11-03");
    assert_eq!(taxes(&lake, "CN-2026-00001"), ["GST -10.1 -0.51", "QST -10.61 -0.8"]);
    assert_eq!(issued(&lake)[1], "CN-2026-00001 -11.4100 INV-2026-00001 changed_record");
    assert_balanced(&lake, &[OCTOBER]);
}

/// The close forgot QST. The restatement charges it: 3.022425, rounded to 3.02. GST does not change.
#[test]
fn a_restatement_adds_a_tax() {
    let federal = r#"
        [[tax]]
        id = "quebec"
        name = "GST"
        rate = "5"
        "#;
    let lake = lake(federal);
    deliver(&lake, OCTOBER, "a");
    deliver(&lake, OCTOBER, "b");
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(taxes(&lake, "INV-2026-00001"), ["GST 30.3 1.52"]);
    lake.set_terms(QUEBEC);
    lake.restate(OCTOBER, "2026-11-03", "QST was missing");
    assert_eq!(taxes(&lake, "INV-2026-00002"), ["GST 0 0", "QST 30.3 3.02"]);
    assert_eq!(issued(&lake)[1], "INV-2026-00002 3.0200 INV-2026-00001 changed_rule");
    assert_balanced(&lake, &[OCTOBER]);
}

/// October's 10.10 are below the minimum of 15.00, and are charged by the invoice of November with its 20.20. GST is
/// 1.515, rounded to 1.52. In November the rules tax new usage by GST alone. So QST is that of October: 1.007475,
/// rounded to 1.01.
#[test]
fn an_amount_that_is_brought_forward_keeps_its_taxes() {
    let lake = lake(QUEBEC);
    lake.configure(r#"minimum_invoice_amount = "15.00""#);
    deliver(&lake, OCTOBER, "a");
    assert!(lake.close(OCTOBER, "2026-11-02").documents.is_empty());
    lake.set_terms("[[tax]]\nid = \"federal\"\nname = \"GST\"\nrate = \"5\"\n");
    deliver(&lake, NOVEMBER, "b");
    lake.close(NOVEMBER, "2026-12-02");
    assert_eq!(taxes(&lake, "INV-2026-00001"), ["GST 30.3 1.52", "QST 10.1 1.01"]);
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// A discount of 10 % and a promotional credit of 1.09 leave 10.10 - 1.01 - 1.09 = 8.00 in both groups. GST is 0.40,
/// and QST is 0.798, rounded to 0.80. CGST and SGST have one rate and are separate groups: 0.72 each.
#[test]
fn discounts_and_credits_reduce_each_tax() {
    let terms = r#"
        [[discount]]
        id = "volume"
        percent = "10"

        [[credit]]
        id = "welcome"
        account = "C-1"
        kind = "promotional"
        amount = "1.09"
        "#;
    let india = QUEBEC.replace("GST", "CGST").replace("QST", "SGST").replace(r#""5""#, r#""9""#).replace("9.975", "9");
    for (taxed_by, expected) in [(QUEBEC, ["GST 8 0.4", "QST 8 0.8"]), (&india, ["CGST 8 0.72", "SGST 8 0.72"])] {
        let lake = lake(&format!("{terms}{taxed_by}"));
        deliver(&lake, OCTOBER, "a");
        lake.close(OCTOBER, "2026-11-02");
        assert_eq!(taxes(&lake, "INV-2026-00001"), expected);
        assert_balanced(&lake, &[OCTOBER]);
    }
}
