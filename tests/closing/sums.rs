//! All documents of a closed month together have the net amount, the taxes and the totals of one invoice over the same
//! usage, whatever the number of corrections.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{EXCHANGE_RATES, NOVEMBER, OCTOBER, account, assert_balanced, exchange_rate, issued};
use crate::conservation::cases;
use crate::test_lake::{Row, TestLake};

/// The rules with a price for each kind of item.
fn items(prices: [&str; 4]) -> String {
    let [a, b, c, d] = prices;
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
        prices = {{ by = "kind", a = "{a}", b = "{b}", c = "{c}", d = "{d}" }}
        "#
    )
}

/// A lake with one item of each of these kinds, in one file for each kind. Charge increases get their own invoices.
fn lake_of(prices: [&str; 4], kinds: &[&str]) -> TestLake {
    let lake = TestLake::new().accounts(account("")).rules(items(prices));
    lake.configure("invoice_per = \"account\"\nclosing.charge_increases_as = \"separate_invoice\"");
    for kind in kinds {
        deliver(&lake, kind);
    }
    lake
}

fn deliver(lake: &TestLake, kind: &str) {
    lake.deliver_with("kind", kind, [format!("item,r-{kind},2026-10-15T10:00:00Z,1,p,{kind}")]);
}

/// Withdraws the files one after the other, each with its own close.
fn retract_one_by_one(lake: &TestLake, kinds: &[&str], issue_date: &str) {
    for kind in kinds {
        lake.retract(&format!("usage/{kind}.csv"), "not delivered");
        lake.close(OCTOBER, issue_date);
    }
}

/// The sum of a column over all documents.
fn sum(rows: &[Row], column: &str) -> i128 {
    rows.iter().map(|row| units(&row[column])).sum()
}

/// A decimal text in units of the fourth decimal place.
fn units(text: &str) -> i128 {
    let (whole, places) = text.split_once('.').unwrap();
    format!("{whole}{places}").parse().unwrap()
}

/// The net amount is 68.33 + 68.33 + 57.50 + 85.00 = 279.16, and its tax of 20 % is 55.832, rounded to 55.83. The taxes
/// of the four items are 13.67 + 13.67 + 11.50 + 17.00 = 55.84. The tax that remains after each credit note is:
///
/// | without | net | tax | tax of the credit note |
/// | --- | --- | --- | --- |
/// | a | 210.83 | 42.166, rounded to 42.17 | 13.66 |
/// | c | 153.33 | 30.666, rounded to 30.67 | 11.50 |
/// | d | 68.33 | 13.666, rounded to 13.67 | 17.00 |
/// | b | 0 | 0 | 13.67 |
#[test]
fn credit_notes_give_back_exactly_the_tax_that_was_charged() {
    let lake = lake_of(["68.33", "68.33", "57.50", "85.00"], &["a", "b", "c", "d"]);
    lake.close(OCTOBER, "2026-11-02");
    retract_one_by_one(&lake, &["a", "c", "d", "b"], "2026-11-03");
    let expected = [
        "INV-2026-00001 334.9900",
        "CN-2026-00001 -81.9900 INV-2026-00001 changed_record",
        "CN-2026-00002 -69.0000 INV-2026-00001 changed_record",
        "CN-2026-00003 -102.0000 INV-2026-00001 changed_record",
        "CN-2026-00004 -82.0000 INV-2026-00001 changed_record",
    ];
    assert_eq!(issued(&lake), expected);
    assert_eq!(lake.column("tax_breakdown", "tax_amount"), ["55.8300", "-13.6600", "-11.5000", "-17.0000", "-13.6700"]);
    assert_balanced(&lake, &[OCTOBER]);
}

/// Two items of 0.03 have a tax of 0.012, rounded to 0.01, and an invoice of 0.07. One item has a tax of 0.006, rounded
/// to 0.01, so the first credit note has no tax, and the second has all of it. Two items of 0.02 have a tax of 0.008,
/// rounded to 0.01, and one item has 0.004, rounded to zero. So the first credit note has all of the tax.
#[test]
fn credit_notes_of_cents_sum_to_the_invoice() {
    for (price, invoice, notes) in
        [("0.03", "0.0700", ["-0.0300", "-0.0400"]), ("0.02", "0.0500", ["-0.0300", "-0.0200"])]
    {
        let lake = lake_of([price; 4], &["a", "b"]);
        lake.close(OCTOBER, "2026-11-02");
        retract_one_by_one(&lake, &["a", "b"], "2026-11-03");
        let [first, second] = notes;
        let expected = [
            format!("INV-2026-00001 {invoice}"),
            format!("CN-2026-00001 {first} INV-2026-00001 changed_record"),
            format!("CN-2026-00002 {second} INV-2026-00001 changed_record"),
        ];
        assert_eq!(issued(&lake), expected);
        assert_balanced(&lake, &[OCTOBER]);
    }
}

/// Increases are cumulative too. Four items of 0.02 have a tax of 0.016, rounded to 0.02. The tax of 0.02, 0.04, 0.06
/// and 0.08 is 0.00, 0.01, 0.01 and 0.02. So the four invoices have 0.00, 0.01, 0.00 and 0.01.
#[test]
fn separate_invoices_of_cents_sum_to_one_invoice() {
    let lake = lake_of(["0.02"; 4], &["a"]);
    lake.close(OCTOBER, "2026-11-02");
    for kind in ["b", "c", "d"] {
        deliver(&lake, kind);
        lake.close(OCTOBER, "2026-11-03");
    }
    let mut rows = lake.rows("invoice");
    rows.sort_by_key(|row| row["invoice_number"].clone());
    assert_eq!(
        rows.iter().map(|row| row["tax_amount"].as_str()).collect::<Vec<_>>(),
        ["0.0000", "0.0100", "0.0000", "0.0100"]
    );
    assert_balanced(&lake, &[OCTOBER]);
}

/// One EUR is 1.50 USD. The tax of 0.06 USD is 0.01 USD, or 0.0067 EUR, rounded to 0.01 EUR. The tax of 0.12 USD is
/// 0.02 USD, or 0.0133 EUR, rounded to 0.01 EUR. So the second invoice has no tax in EUR.
#[test]
fn tax_in_the_sellers_currency_sums_to_that_of_one_invoice() {
    let lake = lake_of(["0.04"; 4], &["a"]);
    lake.configure(EXCHANGE_RATES);
    lake.put("rates.csv", exchange_rate("1.50"));
    lake.set_accounts(account(r#"currency = "USD""#));
    lake.close(OCTOBER, "2026-11-02");
    deliver(&lake, "b");
    lake.close(OCTOBER, "2026-11-03");
    let mut rows = lake.rows("invoice");
    rows.sort_by_key(|row| row["invoice_number"].clone());
    let taxes: Vec<[&str; 2]> =
        rows.iter().map(|row| ["tax_amount", "tax_amount_in_seller_currency"].map(|name| row[name].as_str())).collect();
    assert_eq!(taxes, [["0.0100", "0.0100"], ["0.0100", "0.0000"]]);
    retract_one_by_one(&lake, &["a", "b"], "2026-11-03");
    assert_eq!(sum(&lake.rows("invoice"), "tax_amount_in_seller_currency"), 0);
    assert_balanced(&lake, &[OCTOBER]);
}

/// An increase of 0.02 is charged by the invoice of November, whose tax is that of 0.02 + 0.02: 0.008, rounded to 0.01.
/// October keeps the tax of its own invoice: 0.004, rounded to zero.
#[test]
fn an_increase_on_the_next_invoice_is_taxed_there() {
    let lake = lake_of(["0.02"; 4], &["a"]);
    lake.configure(r#"closing.charge_increases_as = "next_invoice""#);
    lake.close(OCTOBER, "2026-11-02");
    deliver(&lake, "b");
    lake.close(OCTOBER, "2026-11-03");
    lake.deliver_with("kind", "november", ["item,r-c,2026-11-15T10:00:00Z,1,p,c"]);
    lake.close(NOVEMBER, "2026-12-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 0.0200", "INV-2026-00002 0.0500"]);
    // Without any usage, October's own documents give back what October's own invoice charged, and the item that
    // November charged.
    retract_one_by_one(&lake, &["a", "b"], "2026-12-03");
    assert_eq!(sum(&lake.rows_in("invoice", OCTOBER), "total_without_tax"), -200);
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// One change of a closed month.
#[derive(Clone, Debug)]
struct Change {
    /// The account, the kind of item and the number of items of each record of a new file.
    delivered: Vec<(usize, usize, u32)>,
    /// The file that is retracted, counted among the files that are left.
    retracted: Option<prop::sample::Index>,
    /// The index of the prices that a restatement introduces.
    restated: Option<usize>,
}

const ACCOUNTS: usize = 6;

const PRICES: [[&str; 4]; 3] =
    [["0.01", "0.013", "0.0177", "0.02"], ["0.01", "0.0135", "0.0177", "0.03"], ["0.011", "0.01", "0.017", "0"]];

fn change() -> impl Strategy<Value = Change> {
    let record = (0..ACCOUNTS, 0usize..4, 1u32..40);
    let delivered = prop::collection::vec(record, 0..12);
    let retracted = prop::option::weighted(0.5, any::<prop::sample::Index>());
    (delivered, retracted, prop::option::weighted(0.3, 0..PRICES.len()))
        .prop_map(|(delivered, retracted, restated)| Change { delivered, retracted, restated })
}

/// Six accounts, half of them in USD. Items of kind `b` have a reduced tax, those of kind `c` have two taxes, and those
/// of kind `d` have a compound tax. All items have a discount.
fn lake_of_accounts(increases_as: &str) -> TestLake {
    let currency = |number: usize| if number % 2 == 1 { "currency = \"USD\"" } else { "" };
    let accounts = (0..ACCOUNTS).map(|number| {
        format!(
            "[[account]]\nid = \"C-{number}\"\nname = \"C\"\ncountry = \"FR\"\nprojects = [\"p{number}\"]\n{}\n",
            currency(number)
        )
    });
    let terms = r#"
        [[tax]]
        id = "reduced"
        name = "VAT"
        rate = "5.5"
        when = "line_by = 'kind=b'"

        [[tax]]
        id = "two"
        components = [{ name = "GST", rate = "5" }, { name = "QST", rate = "9.975" }]
        when = "line_by = 'kind=c'"

        [[tax]]
        id = "compound"
        components = [{ name = "GST", rate = "5" }, { name = "PST", rate = "10", compound = true }]
        when = "line_by = 'kind=d'"

        [[discount]]
        id = "discount"
        percent = "7"
        "#;
    TestLake::new()
        .config(format!("invoice_per = \"account\"\nclosing.charge_increases_as = \"{increases_as}\""))
        .config(EXCHANGE_RATES)
        .file("rates.csv", exchange_rate("1.37"))
        .accounts(accounts.collect::<String>())
        .rules(items(PRICES[0]))
        .terms(terms)
}

/// A file with usage of the month, and whether it still counts.
type File = (Vec<String>, bool);

/// The sums over all documents, by account and by tax group of an account. Sums of zero are left out.
fn sums(lake: &TestLake) -> BTreeMap<String, i128> {
    let invoices = lake.rows_in("invoice", OCTOBER);
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    let mut accounts = BTreeMap::new();
    for row in &invoices {
        accounts.insert(row["invoice_number"].clone(), row["account_id"].clone());
        for name in ["total_without_tax", "tax_amount", "total_with_tax", "amount_due", "tax_amount_in_seller_currency"]
        {
            *sums.entry(format!("{} {name}", row["account_id"])).or_default() += units(&row[name]);
        }
        // An amount that is carried forward is due, but another document charges it.
        *sums.entry(format!("{} net", row["account_id"])).or_default() +=
            units(&row["total_without_tax"]) + units(&row["carried_forward"]);
    }
    for row in lake.rows_in("tax_breakdown", OCTOBER) {
        for name in ["taxable_amount", "tax_amount"] {
            let group = format!("{} {} {} {name}", accounts[&row["invoice_number"]], row["tax_name"], row["tax_rate"]);
            *sums.entry(group).or_default() += units(&row[name]);
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// Applies the changes to a closed month. Returns the files, and the prices of the last restatement.
fn correct(lake: &TestLake, changes: &[Change]) -> (Vec<File>, usize) {
    let mut files: Vec<File> = Vec::new();
    let mut prices = 0;
    for (step, change) in changes.iter().enumerate() {
        let left: Vec<usize> = (0..files.len()).filter(|file| files[*file].1).collect();
        if let Some(retracted) = change.retracted.filter(|_| step > 0 && !left.is_empty()) {
            let file = left[retracted.index(left.len())];
            lake.retract(&format!("usage/file-{file}.csv"), "retracted");
            files[file].1 = false;
        }
        let rows: Vec<String> = change
            .delivered
            .iter()
            .enumerate()
            .map(|(record, (account, kind, count))| {
                let kind = ["a", "b", "c", "d"][*kind];
                format!("item,r-{step}-{record},2026-10-15T10:00:00Z,{count},p{account},{kind}")
            })
            .collect();
        if !rows.is_empty() {
            lake.deliver_with("kind", &format!("file-{}", files.len()), &rows);
            files.push((rows, true));
        }
        match change.restated.filter(|_| step > 0) {
            Some(restated) => {
                prices = restated;
                lake.set_rules(items(PRICES[prices]));
                lake.restate(OCTOBER, "2026-11-02", "other prices");
            }
            None => drop(lake.close(OCTOBER, "2026-11-02")),
        }
    }
    (files, prices)
}

proptest! {
    #![proptest_config(cases(2))]

    /// Random deliveries, retractions and restatements of a closed month. Then all usage is retracted.
    #[test]
    fn documents_of_a_month_sum_to_one_invoice(
        changes in prop::collection::vec(change(), 2..6),
        is_separate in any::<bool>(),
    ) {
        let increases_as = if is_separate { "separate_invoice" } else { "next_invoice" };
        let lake = lake_of_accounts(increases_as);
        let (files, prices) = correct(&lake, &changes);
        let single = lake_of_accounts(increases_as);
        single.set_rules(items(PRICES[prices]));
        for (number, (rows, _)) in files.iter().enumerate().filter(|(_, file)| file.1) {
            single.deliver_with("kind", &format!("file-{number}"), rows);
        }
        single.run(OCTOBER);
        let is_compared = |name: &str| is_separate || name.ends_with(" net");
        let [mut found, mut expected] = [sums(&lake), sums(&single)];
        found.retain(|name, _| is_compared(name));
        expected.retain(|name, _| is_compared(name));
        prop_assert_eq!(found, expected);
        for (number, _) in files.iter().enumerate().filter(|(_, file)| file.1) {
            lake.retract(&format!("usage/file-{number}.csv"), "retracted");
        }
        lake.close(OCTOBER, "2026-11-02");
        let mut nothing = sums(&lake);
        nothing.retain(|name, _| is_compared(name));
        prop_assert_eq!(nothing, BTreeMap::new());
        assert_balanced(&lake, &[OCTOBER]);
    }
}
