//! Discounts, credits, prepaid money and minimum spends of a closed month when its usage or its rules change.

use super::{LATE_30, NOVEMBER, OCTOBER, account, assert_balanced, issued, lake, lines, prices};
use crate::test_lake::TestLake;

/// A lake with one invoice for an account with both projects.
fn lake_with_one_invoice(terms: &str) -> TestLake {
    lake().accounts(account(r#"invoice_per = "account""#)).terms(terms)
}

/// `used closing_balance` of a month's only credit.
fn balance(lake: &TestLake, period: &str) -> String {
    let rows = lake.rows_in("credit_balance", period);
    assert_eq!(rows.len(), 1, "{rows:?}");
    format!("{} {}", rows[0]["used"], rows[0]["closing_balance"])
}

/// Discounts also reduce corrections. A correction does not draw on a credit again, and returns overpaid amounts to the
/// credit.
#[test]
fn discounts_apply_to_corrections_and_credits_are_not_drawn_again() {
    let lake = lake_with_one_invoice(
        r#"
        [[discount]]
        id = "ten"
        description = "Ten"
        accounts = ["acme"]
        percent = "10"

        [[credit]]
        id = "welcome"
        description = "Welcome"
        account = "acme"
        kind = "promotional"
        amount = "12.00"
        "#,
    );
    // 9.00 and 2.00, less 10 percent: 9.90, which the credit pays. The balance is 2.10.
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 0.0000"]);
    assert_eq!(balance(&lake, OCTOBER), "9.9000 2.1000");
    // 2.60 more, less 0.26: 2.34, and 0.47 of tax.
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 2.8100 INV-2026-00001 late_usage"]);
    assert_eq!(balance(&lake, OCTOBER), "9.9000 2.1000");
    // With 0.05 in the first tier, 120 at 0.05 and 20 at 0.08 are 7.60. Less 0.76 they are 6.84, which the credit pays.
    // The credit gets back 3.06 of 9.90, and the customer gets back the 2.81 of the second invoice.
    lake.set_rules(prices("0.05", "0.08"));
    lake.restate(OCTOBER, "2026-12-01", "too dear");
    assert_eq!(issued(&lake)[2..], ["CN-2026-00001 -2.8100 INV-2026-00001 changed_rule"]);
    assert_eq!(balance(&lake, OCTOBER), "6.8400 5.1600");
    lake.restate(OCTOBER, "2026-12-01", "too dear").assert_nothing_due();
    // November has 10 at 0.05, less 0.05: 0.45, which the credit pays from its balance of 5.16.
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(balance(&lake, NOVEMBER), "0.4500 4.7100");
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// A minimum spend of 20.00: late usage reduces the top-up before it is charged.
#[test]
fn late_usage_reduces_the_top_up_of_a_minimum_spend_first() {
    let lake = lake_with_one_invoice(
        r#"
        [[minimum_spend]]
        id = "floor"
        description = "Floor"
        account = "acme"
        amount = "20.00"
        "#,
    );
    // 11.00 are used, and the top-up is 9.00.
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 24.0000"]);
    // 2.60 more are used, and the top-up is 2.60 less, so a document of zero is issued.
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 0.0000 INV-2026-00001 late_usage"]);
    assert_eq!(lines(&lake, "INV-2026-00002").last().unwrap(), "-1.000000000 at 2.600000000000: -2.6000");
    // 100 more at 0.08 are 8.00, and 21.60 in total. Less the remaining top-up of 6.40, 1.60 are due.
    lake.deliver("later", ["m,a,2026-10-10T10:00:00Z,100,p"]);
    lake.close(OCTOBER, "2026-11-06");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 1.9200 INV-2026-00001 late_usage"]);
    assert_balanced(&lake, &[OCTOBER]);
}

/// Closes a month, and corrects it for late usage of 2.60 and for a price of 0.05 in the first tier. Returns each
/// document as `number total_with_tax prepaid_amount amount_due`, and the credit as `used closing_balance`.
fn correct_with_prepaid_credit(keys: &str) -> (Vec<String>, String) {
    let lake = lake_with_one_invoice(&format!(
        r#"
        [[credit]]
        id = "paid-in"
        account = "acme"
        kind = "prepaid"
        {keys}
        "#
    ));
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    lake.set_rules(prices("0.05", "0.08"));
    lake.restate(OCTOBER, "2026-12-01", "dear");
    assert_balanced(&lake, &[OCTOBER]);
    let columns = ["invoice_number", "total_with_tax", "prepaid_amount", "amount_due"];
    let rows = lake.rows("invoice");
    let due = rows.iter().map(|row| columns.map(|name| row[name].clone()).join(" ")).collect();
    (due, balance(&lake, OCTOBER))
}

/// The untaxed prepaid amount paid the first invoice, 11.00 and 2.20 of tax. Corrections do not change its balance.
#[test]
fn prepaid_taxed_at_use_is_not_drawn_again_by_corrections() {
    let keys = r#"
        taxed = "at_use"
        amount = "50.00"
        "#;
    let (due, balance) = correct_with_prepaid_credit(keys);
    let expected = [
        "INV-2026-00001 13.2000 13.2000 0.0000",
        "INV-2026-00002 3.1200 0.0000 3.1200",
        "CN-2026-00001 -7.2000 0.0000 -7.2000",
    ];
    assert_eq!(due, expected);
    assert_eq!(balance, "13.2000 36.8000");
}

/// A prepaid amount that was taxed at its sale paid 10.00 of lines. After the restatement, 7.60 are due, so 2.40 go
/// back to the credit.
#[test]
fn credit_prepaid_and_taxed_at_sale_gets_its_overpayment_back() {
    let keys = r#"
        taxed = "at_sale"
        tax_category = "S"
        tax_rate = "20"
        amount = "10.00"
        "#;
    let (due, balance) = correct_with_prepaid_credit(keys);
    let expected = [
        "INV-2026-00001 1.2000 0.0000 1.2000",
        "INV-2026-00002 3.1200 0.0000 3.1200",
        "CN-2026-00001 -4.3200 0.0000 -4.3200",
    ];
    assert_eq!(due, expected);
    assert_eq!(balance, "7.6000 2.4000");
}
