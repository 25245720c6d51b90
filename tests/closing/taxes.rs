//! Corrections keep the currency, the exchange rate and the taxes of the month that they correct.

use super::{
    EXCHANGE_RATES, LATE_30, NOVEMBER, OCTOBER, STORAGE, account, assert_balanced, exchange_rate, issued, lake,
    lake_with_next_invoice, prices, storage_tax,
};
use crate::test_lake::TestLake;

/// The exchange rate and the reduced tax rate change after the close. The correction keeps the rates of the close.
#[test]
fn corrections_keep_currency_exchange_rate_and_tax_rate() {
    let lake = lake()
        .config(EXCHANGE_RATES)
        .file("rates.csv", exchange_rate("1.10"))
        .accounts(account(r#"currency = "USD""#))
        .rules(prices("0.10", "0.08") + STORAGE)
        .file("rules/taxes.toml", storage_tax("5.5"));
    lake.deliver("storage", ["n,a,2026-10-01T10:00:00Z,10,p"]);
    lake.close(OCTOBER, "2026-11-02");
    // p: 9.00 EUR are 9.90 USD, and 10.00 are 11.00; 1.98 and 0.61 (of 0.605) of tax. q: 2.20 and 0.44.
    assert_eq!(issued(&lake), ["INV-2026-00001 23.4900", "INV-2026-00002 2.6400"]);
    lake.put("rates.csv", exchange_rate("1.50"));
    lake.put("rules/taxes.toml", storage_tax("10"));
    lake.deliver("late", ["m,a,2026-10-09T10:00:00Z,10,p", "n,a,2026-10-02T10:00:00Z,1,p"]);
    lake.close(OCTOBER, "2026-11-05");
    // 1.10 and 1.10 USD; 0.22 and 0.06 (of 0.0605) of tax.
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 2.4800 INV-2026-00001 late_usage"]);
    assert_balanced(&lake, &[OCTOBER]);
}

/// The buyer abroad owes the tax (category AE). This also applies to corrections, although the account has no VAT id
/// any more.
#[test]
fn corrections_stay_under_reverse_charge() {
    let buyer = r#"
        [[account]]
        id = "acme"
        name = "Acme"
        country = "DE"
        vat_id = "DE123456789"
        vies = { valid = true, checked_on = 2026-09-30 }
        tax_profile = "eu-business"
        projects = ["p", "q"]
        "#;
    let reverse_charge = r#"
        [[tax]]
        id = "reverse-charge"
        name = "VAT"
        profile = "eu-business"
        countries = ["DE"]
        category = "AE"
        exemption_reason = "Reverse charge"
        "#;
    let lake = lake().accounts(buyer).file("rules/taxes.toml", reverse_charge);
    lake.close(OCTOBER, "2026-11-02");
    lake.remove("rules/taxes.toml");
    lake.set_accounts(account(""));
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    let expected =
        ["INV-2026-00001 9.0000", "INV-2026-00002 2.0000", "INV-2026-00003 2.6000 INV-2026-00001 late_usage"];
    assert_eq!(issued(&lake), expected);
    let late = &lake.rows_where("tax_breakdown", "invoice_number", "INV-2026-00003")[0];
    let tax = ["tax_category", "taxable_amount", "tax_amount", "exemption_reason"].map(|name| late[name].clone());
    assert_eq!(tax, ["AE", "2.6000", "0.0000", "Reverse charge"]);
    let invoice = lake.document(OCTOBER, "acme/INV-2026-00003.json");
    assert!(invoice.contains(r#""vat_id": "DE123456789""#), "{invoice}");
    let list = lake.export_ec_sales(OCTOBER);
    assert_eq!(list.lines().last(), Some("DE,DE123456789,3,3,13.60,EUR"), "the list contains corrections too");
    assert_balanced(&lake, &[OCTOBER]);
}

/// A lake with October closed and corrected. In November, VAT changes from 20 to 10 percent, and the exchange rate from
/// 1.10 to 1.50.
fn closed_and_corrected(options: &[&str]) -> TestLake {
    let taxes = r#"
        [[tax]]
        id = "old"
        name = "VAT"
        category = "S"
        rate = "20"
        valid_to = 2026-11-01

        [[tax]]
        id = "new"
        name = "VAT"
        category = "S"
        rate = "10"
        valid_from = 2026-11-01
        "#;
    let lake = lake()
        .config(EXCHANGE_RATES)
        .file("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.10\n2026-11-01,EUR,USD,1.50\n")
        .accounts(account(r#"currency = "USD""#))
        .file("rules/taxes.toml", taxes);
    lake.close_with(OCTOBER, "2026-11-02", options);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close(OCTOBER, "2026-11-05");
    assert_balanced(&lake, &[OCTOBER]);
    assert_eq!(lake.assert_all_reproduced(), 2);
    lake
}

/// The tax groups of a document as `category rate taxable tax`.
fn groups(lake: &TestLake, number: &str) -> Vec<String> {
    let columns = ["tax_category", "tax_rate", "taxable_amount", "tax_amount"];
    let rows = lake.rows_where("tax_breakdown", "invoice_number", number);
    let mut groups: Vec<String> = rows
        .iter()
        .map(|row| columns.map(|name| row[name].strip_suffix("00").unwrap_or(&row[name])).join(" "))
        .collect();
    groups.sort();
    groups
}

/// VAT is 19 % until October, and 21 % from November on. Late usage of October on the invoice of November has 19 %:
/// 0.494 of 2.60, rounded to 0.49. The usage of November has 0.21 of 1.00.
#[test]
fn late_usage_on_the_next_invoice_has_the_tax_rate_of_its_own_month() {
    let rate = |id: &str, rate: &str, validity: &str| {
        format!(
            "[[tax]]\nid = \"{id}\"\nname = \"VAT\"\ncategory = \"S\"\nrate = \"{rate}\"\n{validity} = 2026-11-01\n"
        )
    };
    let taxes = rate("old", "19", "valid_to") + &rate("new", "21", "valid_from");
    let lake = lake_with_next_invoice().file("rules/taxes.toml", taxes);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    assert!(lake.run(NOVEMBER).suspended_accounts.is_empty());
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 4.3000"]);
    assert_eq!(groups(&lake, "INV-2026-00003"), ["S 19.00 2.60 0.49", "S 21.00 1.00 0.21"]);
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

const REVERSE_CHARGE: &str = r#"
[[tax]]
id = "reverse-charge"
name = "VAT"
profile = "eu-business"
countries = ["DE"]
category = "AE"
exemption_reason = "Reverse charge"
"#;

/// The keys of a business in Germany that owes the tax.
const GERMAN_BUSINESS: &str = r#"
vat_id = "DE123456789"
vies = { valid = true, checked_on = 2026-09-30 }
tax_profile = "eu-business"
"#;

/// The account between October's correction of 2.60 and November's usage of 1.00. Neither change suspends it.
fn changed_between(october: &str, november: &str) -> TestLake {
    let german = |more: &str| account(more).replace("FR", "DE");
    let lake = lake_with_next_invoice().accounts(german(october)).file("rules/taxes.toml", REVERSE_CHARGE);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    assert_eq!(lake.close(OCTOBER, "2026-11-05").changes(), ["acme p 2.60 EUR late_usage next invoice"]);
    lake.set_accounts(german(november));
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    assert!(lake.run(NOVEMBER).suspended_accounts.is_empty());
    lake.close(NOVEMBER, "2026-12-01");
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
    lake
}

/// From 20 % to reverse charge: 2.60 with 0.52 of tax, and 1.00.
#[test]
fn late_usage_before_reverse_charge_keeps_its_tax() {
    let lake = changed_between("", GERMAN_BUSINESS);
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 4.1200"]);
    assert_eq!(groups(&lake, "INV-2026-00003"), ["AE 0.00 1.00 0.00", "S 20.00 2.60 0.52"]);
}

/// From reverse charge to 20 %: 2.60, and 1.00 with 0.20 of tax. The account has no VAT id any more. The invoice has
/// the VAT id of October, because reverse charge needs one (BR-AE-02).
#[test]
fn late_usage_under_reverse_charge_does_not_suspend_an_account_without_a_vat_id() {
    let lake = changed_between(GERMAN_BUSINESS, "");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 3.8000"]);
    assert_eq!(groups(&lake, "INV-2026-00003"), ["AE 0.00 2.60 0.00", "S 20.00 1.00 0.20"]);
    let invoice = lake.document(NOVEMBER, "acme/INV-2026-00003.json");
    assert!(invoice.contains(r#""vat_id": "DE123456789""#), "{invoice}");
    let list = lake.export_ec_sales(NOVEMBER);
    assert_eq!(list.lines().last(), Some("DE,DE123456789,3,1,2.60,EUR"), "{list}");
}

/// The VAT id changes after October's correction of 2.60. November's invoice cannot have both, so `acme` is suspended,
/// and `other` is not. If the first VAT id was wrong, a new invoice of October settles it.
#[test]
fn late_usage_of_another_vat_id_suspends_the_account_until_october_is_issued_again() {
    let other = "[[account]]\nid = \"other\"\nname = \"Other\"\ncountry = \"FR\"\nprojects = [\"r\"]\n";
    let german = |keys: &str| account(keys).replace("FR", "DE") + other;
    let lake = lake_with_next_invoice().accounts(german(GERMAN_BUSINESS)).file("rules/taxes.toml", REVERSE_CHARGE);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    lake.set_accounts(german(&GERMAN_BUSINESS.replace("DE123456789", "DE123456788")));
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p", "m,c,2026-11-03T10:00:00Z,10,r"]);
    let suspended = lake.run(NOVEMBER).suspended_accounts;
    let suspended: Vec<_> = suspended.iter().map(|one| (one.account_id.as_str(), one.reason.as_str())).collect();
    assert_eq!(suspended, [("acme", "brought_forward_vat_id")]);
    let detail = lake.sql("SELECT detail FROM suspended_account").join("; ");
    assert!(
        detail.starts_with("2.60 EUR from 2026-10 are under reverse charge for the VAT ID `DE123456789`"),
        "{detail}"
    );
    assert_eq!(lake.sql("SELECT account_id FROM invoice WHERE document_kind = 'draft'"), ["other"]);

    lake.cancel(&["INV-2026-00001"], "2026-11-20");
    assert!(lake.run(NOVEMBER).suspended_accounts.is_empty());
    lake.close(NOVEMBER, "2026-12-01");
    let expected = [
        "CN-2026-00001 -9.0000 INV-2026-00001 cancelled",
        "INV-2026-00003 9.0000 INV-2026-00001 reissued",
        "INV-2026-00004 3.6000",
        "INV-2026-00005 1.2000",
    ];
    assert_eq!(issued(&lake)[2..], expected);
    let list = lake.export_ec_sales(NOVEMBER);
    assert_eq!(list.lines().last(), Some("DE,DE123456788,3,1,3.60,EUR"), "{list}");
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The VAT id changed before the correction. An invoice with the new VAT id cannot charge a supply to the old one, so
/// the correction is an invoice of its own, with the data of October.
#[test]
fn late_usage_of_another_vat_id_is_an_invoice_of_its_own() {
    let german = |more: &str| account(more).replace("FR", "DE");
    let lake = lake_with_next_invoice().accounts(german(GERMAN_BUSINESS)).file("rules/taxes.toml", REVERSE_CHARGE);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(german(&GERMAN_BUSINESS.replace("DE123456789", "DE123456788")));
    lake.deliver("late", LATE_30);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 2.60 EUR late_usage invoice"]);
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 2.6000 INV-2026-00001 late_usage"]);
    assert!(lake.document(OCTOBER, "acme/INV-2026-00003.json").contains(r#""vat_id": "DE123456789""#));
    assert_balanced(&lake, &[OCTOBER]);
    lake.assert_all_reproduced();
}

const TAX_POINT: &str = "<dt>Tax point</dt>";

/// 9.00 and 2.00 EUR are 9.90 and 2.20 USD. The correction of 1.00 EUR is 1.10 USD.
#[test]
fn tax_point_is_the_last_day_of_the_month_by_default() {
    let lake = closed_and_corrected(&[]);
    let expected =
        ["INV-2026-00001 11.8800", "INV-2026-00002 2.6400", "INV-2026-00003 1.3200 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake), expected);
    assert_eq!(lake.column("tax_breakdown", "tax_rate"), ["20.0000"; 3]);
    let page = lake.document(OCTOBER, "acme/INV-2026-00001.html");
    assert!(!page.contains(TAX_POINT), "a tax point that is the end of the period is not printed");
}

/// 9.00 and 2.00 EUR are 13.50 and 3.00 USD. The correction of 1.00 EUR is 1.50 USD.
#[test]
fn tax_point_of_the_close_decides_taxes_and_rates_of_its_corrections() {
    let lake = closed_and_corrected(&["--tax-point", "2026-11-02"]);
    let expected =
        ["INV-2026-00001 14.8500", "INV-2026-00002 3.3000", "INV-2026-00003 1.6500 INV-2026-00002 late_usage"];
    assert_eq!(issued(&lake), expected);
    assert_eq!(lake.column("tax_breakdown", "tax_rate"), ["10.0000"; 3]);
    assert_eq!(lake.column("issued_document", "tax_point"), ["2026-11-02"; 3]);
    let page = lake.document(OCTOBER, "acme/INV-2026-00001.html");
    assert!(page.contains(&format!("{TAX_POINT}<dd>2 November 2026</dd>")), "{page}");
    let other = ["close", "--period", OCTOBER, "--issue-date", "2026-11-06", "--tax-point", "2026-10-31"];
    let message = lake.fails(2, &other);
    assert!(message.contains("2026-10 was closed with the tax point 2026-11-02"), "{message}");
}

/// A tax point is in the month, or between the month and the issue date.
#[test]
fn a_tax_point_before_the_month_or_after_the_issue_date_is_refused() {
    let lake = lake();
    for tax_point in ["2026-09-30", "2026-11-03"] {
        let close = ["close", "--period", OCTOBER, "--issue-date", "2026-11-02", "--tax-point", tax_point];
        let expected = format!("the tax point {tax_point} is not from 2026-10-01 to 2026-11-02");
        for command in [&close[..], &[&close[..], &["--dry-run"]].concat()] {
            let message = lake.fails(2, command);
            assert!(message.contains(&expected), "{message}");
        }
    }
    lake.close_with(OCTOBER, "2026-11-02", &["--tax-point", "2026-10-01"]);
    assert_eq!(lake.column("issued_document", "tax_point"), ["2026-10-01"; 2]);
}
