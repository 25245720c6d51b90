//! From priced lines to invoice totals: rounding, discounts, credits, minimum invoice amounts and taxes.

use std::collections::BTreeMap;

use crate::test_lake::{TestLake, short, stderr_of};

const OCTOBER: &str = "2026-10";
const TOTALS: [&str; 4] = ["total_without_tax", "tax_amount", "total_with_tax", "amount_due"];

/// A lake with the meters and services `a` to `d`, a unit price of 1.00, and one invoice for each account.
fn lake(accounts: &str, terms: &str) -> TestLake {
    let rule = |letter: &str| {
        format!(
            r#"
            [[meter]]
            name = "{letter}"
            aggregation = "sum"
            unit = "piece"

            [[rule]]
            id = "{letter}"
            meter = "{letter}"
            sku = "{letter}"
            service = "{letter}"
            unit_price = "1.00"
            "#
        )
    };
    TestLake::new()
        .config(r#"invoice_per = "account""#)
        .accounts(accounts)
        .rules(["a", "b", "c", "d"].map(rule).concat())
        .terms(terms)
}

/// An account with one project, `p-ID`.
fn account(id: &str, country: &str, keys: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "{id}"
        name = "{id} Ltd"
        country = "{country}"
        projects = ["p-{id}"]
        {keys}
        "#
    )
}

/// Delivers the usage of a project in a month: meters with quantities.
fn deliver(lake: &TestLake, month: &str, project: &str, used: &[(&str, &str)]) {
    let row =
        |(meter, quantity): &(&str, &str)| format!("{meter},r-{project},{month}-05T10:00:00Z,{quantity},{project}");
    lake.deliver(&format!("{month}-{project}"), used.iter().map(row));
}

/// The credit balances of a month, each as `id: opening + granted - used - expired = closing`.
fn balances(lake: &TestLake, month: &str) -> Vec<String> {
    let rows = lake.rows_in("credit_balance", month);
    rows.iter()
        .map(|row| {
            let cell = |name: &str| short(&row[name]);
            let (opening, granted, used) = (cell("opening_balance"), cell("granted"), cell("used"));
            let (expired, closing) = (cell("expired"), cell("closing_balance"));
            format!("{}: {opening} + {granted} - {used} - {expired} = {closing}", row["credit_id"])
        })
        .collect()
}

/// The values of these columns of one invoice.
#[track_caller]
fn totals(lake: &TestLake, number: &str, columns: [&str; 4]) -> [String; 4] {
    let rows = lake.rows_where("invoice", "invoice_number", number);
    assert_eq!(rows.len(), 1, "documents with the number {number}");
    columns.map(|column| short(&rows[0][column]).to_owned())
}

/// Three days of 0.004 are a line of 0.012, which is rounded to 0.01. Each day rounded alone would be 0.00.
#[test]
fn a_line_is_rounded_once_and_keeps_its_exact_cost() {
    let days = (5..8).map(|day| format!("m,a,2026-10-0{day}T10:00:00Z,1,p"));
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "0.004""#).usage(days);
    lake.run(OCTOBER);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["0.0100"]);
    assert_eq!(lake.column("invoice_line", "contracted_cost"), ["0.012000000000000000"]);
}

/// 10 % of 100 and then 10 % of the remaining 90: 19 in total, not 20.
#[test]
fn percent_discounts_apply_one_after_the_other_by_position() {
    let rule = r#"
        unit_price = "1"

        [[discount]]
        id = "a"
        description = "A"
        percent = "10"
        position = 1

        [[discount]]
        id = "b"
        description = "B"
        percent = "10"
        position = 2
        "#;
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, rule).usage(["m,a,2026-10-05T10:00:00Z,100,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.column("invoice", "allowance_total"), ["19.0000"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["81.0000"]);
}

/// A discount of 10.00 on three equal lines: 3.34, 3.33 and 3.33. The remaining cent goes to the first line.
#[test]
fn discount_shares_add_up_by_the_largest_remainder_and_ties_go_by_line_order() {
    let discount = r#"
        [[discount]]
        id = "d"
        description = "D"
        amount = "10.00"
        "#;
    let lake = lake(&account("acme", "FR", ""), discount);
    deliver(&lake, OCTOBER, "p-acme", &[("a", "100"), ("b", "100"), ("c", "100")]);
    lake.run(OCTOBER);
    assert_eq!(lake.column("allowance_share", "amount"), ["3.3400", "3.3300", "3.3300"]);
}

fn promotional_credit(id: &str, account: &str, amount: &str, keys: &str) -> String {
    format!(
        r#"
        [[credit]]
        id = "{id}"
        account = "{account}"
        kind = "promotional"
        amount = "{amount}"
        {keys}
        "#
    )
}

/// * October has 5.00. `first` pays 3.00 because of its priority, and `gone` pays 2.00 because it expires first. The
///   last day of `gone` is 31 October, and its remaining 5.00 expire in November.
/// * November has 6.00. `soon` pays 4.00. `late` pays 2.00: of the credits without an end, it has the first id.
/// * December has 9.00. `late` pays its remaining 8.00, and `new`, which is valid from November on, pays 1.00.
#[test]
fn credits_are_used_by_priority_then_by_expires_and_carried_from_month_to_month() {
    let terms = [
        promotional_credit("late", "acme", "10", ""),
        promotional_credit("soon", "acme", "4", "expires = 2026-12-01"),
        promotional_credit("first", "acme", "3", "priority = 5"),
        promotional_credit("gone", "acme", "7", "expires = 2026-11-01"),
        promotional_credit("new", "acme", "2", "valid_from = 2026-11-01"),
    ];
    let lake = lake(&account("acme", "FR", ""), &terms.concat());
    let october =
        ["first: 0 + 3 - 3 - 0 = 0", "gone: 0 + 7 - 2 - 0 = 5", "late: 0 + 10 - 0 - 0 = 10", "soon: 0 + 4 - 0 - 0 = 4"];
    let november = [
        "first: 0 + 0 - 0 - 0 = 0",
        "gone: 5 + 0 - 0 - 5 = 0",
        "late: 10 + 0 - 2 - 0 = 8",
        "new: 0 + 2 - 0 - 0 = 2",
        "soon: 4 + 0 - 4 - 0 = 0",
    ];
    let december = [
        "first: 0 + 0 - 0 - 0 = 0",
        "gone: 0 + 0 - 0 - 0 = 0",
        "late: 8 + 0 - 8 - 0 = 0",
        "new: 2 + 0 - 1 - 0 = 1",
        "soon: 0 + 0 - 0 - 0 = 0",
    ];
    for (month, used, expected) in
        [("2026-10", "5", &october[..]), ("2026-11", "6", &november), ("2026-12", "9", &december)]
    {
        deliver(&lake, month, "p-acme", &[("a", used)]);
        lake.run(month);
        assert_eq!(balances(&lake, month), expected, "{month}");
        assert_eq!(totals(&lake, &lake.draft(month, "acme"), TOTALS), ["0", "0", "0", "0"]);
        lake.assert_audited(&[month]);
    }
}

/// Each month has 2.00, less than the minimum of 5.00: 1.50 at 20 % and 0.50 at 5.5 %. With the amounts carried
/// forward, November has 4.00 and December 6.00. The 6.00 are taxed as a whole: 4.50 at 20 % are 0.90, and 1.50 at 5.5
/// % are 0.0825. Three times 0.0275, each rounded, would be 0.09.
#[test]
fn minimum_invoice_amount_carries_small_amounts_forward_and_taxes_them_once() {
    let reduced = r#"
        [[tax]]
        id = "reduced"
        name = "VAT"
        when = "service = 'b'"
        category = "S"
        rate = "5.5"
        "#;
    let lake = lake(&account("acme", "FR", ""), reduced).config(r#"minimum_invoice_amount = "5.00""#);
    let carried = ["document_kind", "brought_forward", "carried_forward", "total_with_tax"];
    let months = [("2026-10", "2026-11-02"), ("2026-11", "2026-12-02"), ("2026-12", "2027-01-02")];
    for (month, date) in months {
        deliver(&lake, month, "p-acme", &[("a", "1.5"), ("b", "0.5")]);
        lake.close(month, date);
    }
    assert_eq!(totals(&lake, &lake.draft(OCTOBER, "acme"), carried), ["carried_forward", "0", "2", "0"]);
    assert_eq!(totals(&lake, &lake.draft("2026-11", "acme"), carried), ["carried_forward", "2", "4", "0"]);
    assert_eq!(totals(&lake, "INV-2027-00001", carried), ["invoice", "4", "0", "6.98"]);
    assert_eq!(totals(&lake, "INV-2027-00001", TOTALS), ["6", "0.98", "6.98", "6.98"]);
    lake.assert_audited(&months.map(|(month, _)| month));
}

/// Four groups have 10.00 each: at 20 %, at 5.5 %, at zero, and exempt. The voucher was sold with 5.5 % and pays 4.00
/// of the lines with that tax. The tax is 2.00, and 0.33 on the remaining 6.00. The deposit pays the total with tax,
/// 38.33. The gift of the other account is split over the groups, 2.50 each: the tax is 1.50, and 0.41 on 7.50
/// (0.4125).
#[test]
fn promotional_and_prepaid_credits_reduce_the_tax_categories_s_z_and_e() {
    let terms = r#"
        [[tax]]
        id = "reduced"
        name = "VAT"
        when = "service = 'b'"
        category = "S"
        rate = "5.5"

        [[tax]]
        id = "zero"
        name = "VAT"
        when = "service = 'c'"
        category = "Z"

        [[tax]]
        id = "exempt"
        name = "VAT"
        when = "service = 'd'"
        category = "E"
        exemption_reason = "Art. 261-4"

        [[credit]]
        id = "voucher"
        account = "acme"
        kind = "prepaid"
        taxed = "at_sale"
        tax_rate = "5.5"
        amount = "4.00"

        [[credit]]
        id = "deposit"
        account = "acme"
        kind = "prepaid"
        taxed = "at_use"
        amount = "100.00"
        "#;
    let terms = terms.to_owned() + &promotional_credit("gift", "other", "10.00", "");
    let lake = lake(&(account("acme", "FR", "") + &account("other", "FR", "")), &terms);
    for project in ["p-acme", "p-other"] {
        deliver(&lake, OCTOBER, project, &[("a", "10"), ("b", "10"), ("c", "10"), ("d", "10")]);
    }
    lake.run(OCTOBER);
    assert_eq!(totals(&lake, &lake.draft(OCTOBER, "acme"), TOTALS), ["36", "2.33", "38.33", "0"]);
    assert_eq!(totals(&lake, &lake.draft(OCTOBER, "other"), TOTALS), ["30", "1.91", "31.91", "31.91"]);
    let expected = ["deposit: 0 + 100 - 38.33 - 0 = 61.67", "gift: 0 + 10 - 10 - 0 = 0", "voucher: 0 + 4 - 4 - 0 = 0"];
    assert_eq!(balances(&lake, OCTOBER), expected);
    let groups: Vec<String> = lake
        .rows("tax_breakdown")
        .iter()
        .map(|row| [&row["tax_category"], short(&row["tax_rate"]), short(&row["taxable_amount"])].join(" "))
        .collect();
    assert_eq!(groups, ["E 0 10", "S 5.5 6", "S 20 10", "Z 0 10", "E 0 7.5", "S 5.5 7.5", "S 20 7.5", "Z 0 7.5"]);
    lake.assert_audited(&[OCTOBER]);
    // A draft is an accrual, which is pending until the invoice is issued.
    let journal = lake.export_journal(OCTOBER, "hledger");
    let posting = format!("2026-10-31 ! ({}) acme", lake.draft(OCTOBER, "acme"));
    assert!(journal.contains(&posting), "{journal}");
    lake.close(OCTOBER, "2026-11-02");
    let journal = lake.export_journal(OCTOBER, "hledger");
    assert!(journal.contains("2026-11-02 * (INV-2026-00001) acme") && !journal.contains(" ! "), "{journal}");
}

/// Reverse charge (AE) needs a VAT id of the buyer, and in the EU a VAT id that VIES confirmed. An export (G) needs a
/// buyer in another country. An account without these is not invoiced; all other accounts are.
#[test]
fn reverse_charge_needs_a_valid_vat_id_and_export_another_country() {
    let abroad =
        |id: &str, country: &str, keys: &str| account(id, country, &format!("tax_profile = \"abroad\"\n{keys}"));
    let german_id = |vies: &str| format!("vat_id = \"DE123456789\"\n{vies}");
    let accounts = [
        abroad("good", "DE", &german_id("vies = { valid = true, checked_on = 2026-09-30 }")),
        abroad("swiss", "CH", r#"vat_id = "CHE123456788""#),
        abroad("nameless", "DE", ""),
        abroad("unchecked", "DE", &german_id("")),
        abroad("wrong", "DE", &german_id("vies = { valid = false, checked_on = 2026-09-30 }")),
        account("home", "FR", r#"tax_profile = "export""#),
        account("overseas", "JP", r#"tax_profile = "export""#),
        account("outside", "FR", r#"tax_profile = "outside""#),
    ];
    let terms = r#"
        [[tax]]
        id = "abroad"
        profile = "abroad"
        name = "VAT"
        category = "AE"

        [[tax]]
        id = "export"
        profile = "export"
        name = "VAT"
        category = "G"

        [[tax]]
        id = "outside"
        profile = "outside"
        name = "VAT"
        category = "O"
        "#;
    let lake = lake(&accounts.concat(), terms);
    for id in ["good", "swiss", "nameless", "unchecked", "wrong", "home", "overseas", "outside"] {
        deliver(&lake, OCTOBER, &format!("p-{id}"), &[("a", "10")]);
    }
    let summary = lake.run(OCTOBER);
    let reasons: BTreeMap<&str, &str> =
        summary.suspended_accounts.iter().map(|one| (one.account_id.as_str(), one.reason.as_str())).collect();
    let expected = [
        ("home", "no_export"),
        ("nameless", "no_vat_id"),
        ("unchecked", "vat_id_not_checked"),
        ("wrong", "vat_id_not_valid"),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    for id in ["good", "swiss", "overseas", "outside"] {
        assert_eq!(totals(&lake, &lake.draft(OCTOBER, id), TOTALS), ["10", "0", "10", "10"], "{id}");
    }
    let categories = lake.sql(
        "SELECT account_id, tax_category FROM tax_breakdown JOIN invoice USING (invoice_number) ORDER BY account_id",
    );
    assert_eq!(categories, ["good AE", "outside O", "overseas G", "swiss AE"]);
    lake.fails(4, &["run", "--period", OCTOBER]);
    lake.assert_audited(&[OCTOBER]);
}

/// A compensation outside the scope of tax and usage with 20 % are on one invoice, which EN 16931 does not allow
/// (BR-O-11). Only this account is suspended. An exempt compensation is allowed: 10.00 + 2.00 of tax - 4.00.
#[test]
fn an_invoice_outside_the_scope_of_tax_has_no_other_category() {
    let charge = r#"
        [[tax]]
        id = "damages"
        profile = "damages"
        name = "VAT"
        category = "O"

        [[charge]]
        id = "outage"
        date = 2026-10-05
        account = "mixed"
        amount = "-4.00"
        reason = "Outage of 4 October"
        tax = "damages"
        "#;
    let lake = lake(&[account("mixed", "FR", ""), account("other", "FR", "")].concat(), charge);
    deliver(&lake, OCTOBER, "p-mixed", &[("a", "10")]);
    deliver(&lake, OCTOBER, "p-other", &[("a", "10")]);
    let suspended = lake.run(OCTOBER).suspended_accounts;
    let suspended: Vec<_> = suspended.iter().map(|one| (one.account_id.as_str(), one.reason.as_str())).collect();
    assert_eq!(suspended, [("mixed", "not_subject_and_taxed")]);
    let detail = "`outage` is not subject to tax (category O), but `a` on the same invoice has category S (EN 16931, \
                  BR-O-11). Give it category E with an `exemption_reason`, or charge it to an account of its own";
    assert_eq!(lake.sql("SELECT detail FROM suspended_account"), [detail]);
    assert_eq!(totals(&lake, &lake.draft(OCTOBER, "other"), TOTALS), ["10", "2", "12", "12"]);
    let blocked = lake.fails(3, &["close", "--period", OCTOBER, "--issue-date", "2026-11-02"]);
    assert!(blocked.contains("BR-O-11"), "{blocked}");

    lake.replace("rules/terms.toml", "category = \"O\"", "category = \"E\"");
    assert!(lake.run(OCTOBER).suspended_accounts.is_empty());
    assert_eq!(totals(&lake, &lake.draft(OCTOBER, "mixed"), TOTALS), ["6", "2", "8", "8"]);
}

/// 2.00 without tax are brought forward to an invoice with 20 % (BR-O-11). The account ends before November, and a new
/// one has its project: 2.00 without tax, and 10.00 with 2.00 of tax.
#[test]
fn an_amount_outside_the_scope_of_tax_is_brought_forward_to_an_invoice_of_its_own() {
    let until = r#"
        [[tax]]
        id = "small-business"
        name = "VAT"
        category = "O"
        valid_to = 2026-11-01
        "#;
    let lake = lake(&account("old", "FR", ""), until).config(r#"minimum_invoice_amount = "5.00""#);
    deliver(&lake, OCTOBER, "p-old", &[("a", "2")]);
    deliver(&lake, "2026-11", "p-old", &[("a", "10")]);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(lake.run("2026-11").suspended_accounts.len(), 1);
    let detail = lake.sql("SELECT detail FROM suspended_account").join("; ");
    assert!(detail.contains("end the account with `valid_to`, and bill its projects to a new account"), "{detail}");
    let ended = account("old", "FR", "valid_to = 2026-11-01");
    let new = account("new", "FR", "valid_from = 2026-11-01").replace("p-new", "p-old");
    lake.set_accounts(ended + &new);
    assert!(lake.run("2026-11").suspended_accounts.is_empty());
    assert_eq!(totals(&lake, &lake.draft("2026-11", "old"), TOTALS), ["2", "0", "2", "2"]);
    assert_eq!(totals(&lake, &lake.draft("2026-11", "new"), TOTALS), ["10", "2", "12", "12"]);
    lake.close("2026-11", "2026-12-01");
    lake.assert_audited(&[OCTOBER, "2026-11"]);
}

/// Internal usage is priced in francs, without an exchange rate. Reports cannot add its costs up, and the run warns. A
/// rule in pounds without usage causes no warning.
#[test]
fn a_rule_currency_without_exchange_rate_is_a_warning_where_usage_is_priced_in_it() {
    let lake = lake(&account("ours", "FR", "internal = true"), "");
    let rules = lake.text("rules/rules.toml");
    let francs = rules.replacen("unit_price = ", "currency = \"CHF\"\nunit_price = ", 1);
    let (before, last) = francs.rsplit_once("unit_price = ").unwrap();
    lake.set_rules(format!("{before}currency = \"GBP\"\nunit_price = {last}"));
    deliver(&lake, OCTOBER, "p-ours", &[("a", "10")]);
    assert_eq!(lake.run(OCTOBER).unconverted, ["CHF"]);
    let warning = stderr_of(&lake.output(&["run", "--period", OCTOBER]));
    assert!(warning.contains("there is no exchange rate of CHF") && !warning.contains("GBP"), "{warning}");
}
