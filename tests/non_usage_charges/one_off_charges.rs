//! `[[charge]]`: amounts that are billed exactly once, on the invoice of their month or on the next open one.

use super::{OCTOBER, RULE, account, lines};
use crate::test_lake::TestLake;

const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

/// A lake as `lake` of the parent module, with charges in a file of their own.
fn lake(accounts: &str, charges: &str) -> TestLake {
    super::lake(accounts, RULE).terms(charges)
}

fn acme(keys: &str) -> String {
    account("acme", &format!("country = 'FR'\nprojects = ['p', 'q']\n{keys}"))
}

/// The totals of the documents of a month: number, kind, brought forward, carried forward and total with tax. A draft
/// has its project or account in place of its number.
fn totals(lake: &TestLake, period: &str) -> Vec<String> {
    let query = format!(
        "SELECT CASE WHEN invoice_number LIKE 'DRAFT-%' THEN COALESCE(project_id, account_id) ELSE invoice_number END \
         AS document, document_kind, brought_forward, carried_forward, total_with_tax FROM invoice \
         WHERE billing_period_start = DATE '{period}-01' ORDER BY document"
    );
    lake.sql(&query)
}

/// Three setups at 49.995 are 149.985, rounded to 149.99. The usage of `p` is 10 GB at 0.10: 1.00. The compensation of
/// -10.00 is smaller than the invoice. Without tax it is 149.99 + 1.00 - 10.00 = 140.99, the tax is 28.198, rounded to
/// 28.20, and the total is 169.19. Two charges with the same texts stay two lines. November has the migration only.
#[test]
fn each_charge_is_billed_once_with_its_date_and_reason() {
    let charges = r#"
        [[charge]]
        id = "setup-web"
        date = 2026-10-05
        project = "p"
        service = "Setup"
        sku = "SETUP"
        description = "Setup of a rack"
        quantity = "3"
        unit = "setup"
        unit_price = "49.995"
        reason = "not for the customer"
        approved_by = "Ada"

        [[charge]]
        id = "sla-10"
        date = 2026-10-20
        account = "acme"
        description = "Compensation for an outage"
        amount = "-6.00"
        reason = "4 hours without network"
        approved_by = "Grace"

        [[charge]]
        id = "sla-11"
        date = 2026-10-20
        account = "acme"
        sku = "sla-10"
        description = "Compensation for an outage"
        amount = "-4.00"
        reason = "2 hours without network"

        [[charge]]
        id = "migration"
        date = 2026-11-03
        project = "q"
        amount = "200.00"
        "#;
    let lake = lake(&acme("invoice_per = 'account'"), charges);
    lake.run(OCTOBER);
    let october = [
        "2026-10-acme: sla-10 charge=sla-10 -1  at 6 per 1: -6.0000",
        "2026-10-acme: sla-10 charge=sla-11 -1  at 4 per 1: -4.0000",
        "2026-10-acme: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-acme: SETUP charge=setup-web 3 setup at 49.995 per 1: 149.9900",
    ];
    assert_eq!(lines(&lake, OCTOBER), october);
    assert_eq!(totals(&lake, OCTOBER), ["acme draft 0 0 169.19"]);
    let again = lake.run(OCTOBER);
    assert_eq!((again.intake.intake_commit, again.billing_commit), (None, None));

    let explained = lake.explain(&lake.draft("2026-10", "acme/1"));
    assert!(explained.contains("charge sla-10 at rules/terms.toml:15\n"), "{explained}");
    assert!(explained.contains("reason: 4 hours without network\napproved by: Grace\n"), "{explained}");
    let usage = lake.document(OCTOBER, "usage.csv");
    assert!(
        usage
            .contains("2026-10-05,acme,p,,,Setup,SETUP,3,setup,3,setup,149.985,149.985,EUR,invoiced,charge=setup-web,"),
        "{usage}"
    );
    let json = lake.document(OCTOBER, &format!("acme/{}.json", lake.draft(OCTOBER, "acme")));
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of_line = |index: usize| document["lines"][index]["one_off"].clone();
    let compensation = serde_json::json!({"id": "sla-10", "date": "2026-10-20", "reason": "4 hours without network"});
    assert_eq!(of_line(0), compensation);
    assert_eq!(of_line(3), serde_json::json!({"id": "setup-web", "date": "2026-10-05"}));
    let page = lake.document(OCTOBER, &format!("acme/{}.html", lake.draft(OCTOBER, "acme")));
    assert!(page.contains("4 hours without network"), "{page}");
    assert!(!page.contains("not for the customer") && !page.contains("Grace"), "{page}");
    let approved = lake.sql("SELECT charge_id, approved_by, reason FROM one_off_charge ORDER BY charge_id");
    assert_eq!(
        approved,
        [
            "setup-web Ada not for the customer",
            "sla-10 Grace 4 hours without network",
            "sla-11  2 hours without network"
        ]
    );

    lake.close(OCTOBER, "2026-11-02");
    assert!(lake.run_closed(OCTOBER).is_empty());
    lake.close(NOVEMBER, "2026-12-01");
    let query =
        "SELECT invoice_number, sku, net_amount FROM invoice_line WHERE charge_period_start >= DATE '2026-11-01'";
    assert_eq!(lake.sql(query), ["INV-2026-00002 migration 200"]);
    lake.run(DECEMBER);
    assert!(lines(&lake, DECEMBER).is_empty());
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

const BEYOND_THE_INVOICE: &str = r#"
    [[charge]]
    id = "sla"
    date = 2026-10-20
    account = "acme"
    amount = "-5.00"
    reason = "an outage"

    [[charge]]
    id = "handbook"
    date = 2026-10-20
    account = "acme"
    amount = "3.00"

    [[tax]]
    id = "reduced"
    name = "VAT"
    category = "S"
    rate = "5.5"
    when = "sku = 'handbook'"
    "#;

/// October has 1.00 of usage less 5.00 at 20 %, and 3.00 at 5.5 %: -1.00 without tax, which is carried forward in both
/// tax groups. November has 100 GB for 10.00. With the amounts brought forward it has 10.00 - 4.00 = 6.00 at 20 %, tax
/// 1.20, and 3.00 at 5.5 %, tax 0.165, rounded to 0.17: 9.00 + 1.37 = 10.37.
#[test]
fn a_compensation_beyond_the_invoice_is_carried_forward_in_its_tax_groups() {
    let lake = lake(&acme("invoice_per = 'account'"), BEYOND_THE_INVOICE);
    lake.run(OCTOBER);
    assert_eq!(totals(&lake, OCTOBER), ["acme carried_forward 0 -1 0"]);
    lake.close(OCTOBER, "2026-11-02");
    assert!(lake.rows("issued_document").is_empty());
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,100,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(totals(&lake, NOVEMBER), ["INV-2026-00001 invoice -1 0 10.37"]);
    let taxes = lake.sql(
        "SELECT tax_rate, taxable_amount, tax_amount FROM tax_breakdown WHERE invoice_number = 'INV-2026-00001' \
         ORDER BY tax_rate",
    );
    assert_eq!(taxes, ["5.5 3 0.17", "20 6 1.2"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
    lake.assert_all_reproduced();
}

/// The account ends with October, so no later document takes the amount over. The credit note has -4.00 at 20 %, tax
/// -0.80, and 3.00 at 5.5 %, tax 0.17: -1.00 - 0.63 = -1.63. A credit note shows positive amounts.
#[test]
fn a_compensation_beyond_the_last_invoice_is_a_credit_note() {
    let lake = lake(&acme("invoice_per = 'account'\nvalid_to = 2026-11-01"), BEYOND_THE_INVOICE);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(totals(&lake, OCTOBER), ["CN-2026-00001 credit_note 0 0 -1.63"]);
    let json = lake.document(OCTOBER, "acme/CN-2026-00001.json");
    let note: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(note["amount_due"], "1.63");
    let line = |sku: &str| note["lines"].as_array().unwrap().iter().find(|line| line["sku"] == sku).unwrap().clone();
    assert_eq!((&line("sla")["net_amount"], &line("sla")["quantity"]), (&"5.00".into(), &"1".into()));
    assert_eq!(line("sla")["one_off"]["reason"], "an outage");
    assert_eq!((&line("handbook")["net_amount"], &line("handbook")["quantity"]), (&"-3.00".into(), &"-1".into()));
    lake.assert_audited(&[OCTOBER]);
}

/// October is closed, and then a charge of October arrives. Neither a run nor a close of October bills it. The drafts
/// of November bill it, and the drafts of December do not. On 1 November the project moved to another account, but the
/// charge is for the account of its own day. November and December are closed: the charge was billed once.
#[test]
fn a_charge_of_a_closed_month_is_on_the_next_open_invoice() {
    let accounts = r#"
        [[account]]
        id = "acme"
        name = "Acme"
        country = "FR"
        invoice_per = "account"
        projects = ["q", { id = "p", valid_to = 2026-11-01 }]

        [[account]]
        id = "beta"
        name = "Beta"
        country = "FR"
        projects = [{ id = "p", valid_from = 2026-11-01 }]
        "#;
    let lake = lake(accounts, "");
    lake.close(OCTOBER, "2026-11-02");
    lake.set_terms(
        r#"
        [[charge]]
        id = "late"
        date = 2026-10-15
        project = "p"
        amount = "25.00"
        "#,
    );
    assert!(lake.run_closed(OCTOBER).is_empty());
    lake.close(OCTOBER, "2026-11-03").assert_nothing_due();
    for _ in 0..2 {
        lake.run(NOVEMBER);
        assert_eq!(lines(&lake, NOVEMBER), ["2026-11-acme: late charge=late 1  at 25 per 1: 25.0000"]);
        lake.run(DECEMBER);
        assert!(lines(&lake, DECEMBER).is_empty(), "November is open and bills the charge");
    }
    lake.close(NOVEMBER, "2026-12-01");
    let page = lake.document(NOVEMBER, "acme/INV-2026-00002.html");
    assert!(page.contains("15 October 2026"), "{page}");
    lake.close_by_force(DECEMBER, "2027-01-02");
    lake.restate(OCTOBER, "2027-01-02", "nothing").assert_nothing_due();
    let billed = lake.sql("SELECT invoice_number, account_id, net_amount FROM invoice_line WHERE sku = 'late'");
    assert_eq!(billed, ["INV-2026-00002 acme 25"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER, DECEMBER]);
    lake.assert_all_reproduced();
}

/// The drafts of October exist. So October bills a charge of October, and not November, even if November is closed
/// first. The draft of a month that was never closed keeps the charge.
#[test]
fn an_open_month_keeps_its_charge_if_a_later_month_is_closed_first() {
    let charge = "[[charge]]\nid = 'once'\ndate = 2026-10-15\nproject = 'p'\namount = '25.00'\n";
    let lake = lake(&acme("invoice_per = 'account'"), charge);
    lake.run(OCTOBER);
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,100,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    lake.close(OCTOBER, "2026-12-02");
    let billed = lake.sql("SELECT invoice_number, net_amount FROM invoice_line ORDER BY invoice_number, line_number");
    assert_eq!(billed, ["INV-2026-00001 10", "INV-2026-00002 1", "INV-2026-00002 25"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
}

/// A charge of 50.00 is on an issued invoice. Another amount under the same id is refused, in a run and in a
/// restatement. Without the charge in the rules, the invoice stays as it is. The remedy is another charge with the
/// difference: 10.00 more in November.
#[test]
fn a_billed_charge_is_never_billed_again() {
    let charge = |amount: &str, reason: &str| {
        format!(
            r#"
            [[charge]]
            id = "setup"
            date = 2026-10-05
            account = "acme"
            amount = "{amount}"
            reason = "{reason}"
            "#
        )
    };
    let lake = lake(&acme("invoice_per = 'account'"), &charge("50.00", "new"));
    lake.close(OCTOBER, "2026-11-02");
    lake.set_terms(charge("60.00", "new"));
    for command in [&["run", "--period", NOVEMBER, "--allow-no-usage"][..], &["restate", "--period", OCTOBER]] {
        let message = lake.fails(2, command);
        let words: Vec<&str> = message.split_whitespace().filter(|word| *word != "│").collect();
        let message = words.join(" ");
        let expected =
            "the charge `setup` is already billed on `INV-2026-00001` of 2026-10, with `amount` 50.00 instead of 60.00";
        assert!(message.contains(expected), "{message}");
    }
    assert!(lake.run_closed(OCTOBER).is_empty(), "the closed month keeps its own rules");
    lake.set_terms("");
    lake.run(NOVEMBER);
    assert!(lines(&lake, NOVEMBER).is_empty());
    lake.propose_restatement(OCTOBER).assert_nothing_due();
    let difference = "[[charge]]\nid = 'setup-2'\ndate = 2026-11-05\naccount = 'acme'\namount = '10.00'\n";
    lake.set_terms(charge("50.00", "another reason") + difference);
    lake.run(NOVEMBER);
    assert_eq!(lines(&lake, NOVEMBER), ["2026-11-acme: setup-2 charge=setup-2 1  at 10 per 1: 10.0000"]);
}

/// Usage of 1.00 less 10 % is 0.90. The support fee is 5 % of 0.90: 0.045, rounded to 0.05. The minimum spend of 50.00
/// is topped up by 49.10. A charge of 100.00 has no discount, no fee and no share of the minimum spend.
#[test]
fn a_charge_is_outside_of_discounts_fees_and_minimum_spends() {
    let terms = r#"
        [[charge]]
        id = "setup"
        date = 2026-10-05
        account = "acme"
        amount = "100.00"

        [[discount]]
        id = "ten"
        percent = "10"

        [[fee]]
        id = "support"
        per = "account"
        base = "after_discounts"
        percent = "5"

        [[minimum_spend]]
        id = "minimum"
        account = "acme"
        amount = "50.00"
        "#;
    let lake = lake(&acme("invoice_per = 'account'"), terms);
    lake.run(OCTOBER);
    let net = lake.sql("SELECT sku, net_amount FROM invoice_line ORDER BY line_number");
    assert_eq!(net, ["setup 100", "EGRESS 1", "support 0.05", "minimum 49.1"]);
    assert_eq!(lake.sql("SELECT base_amount, amount FROM allowance"), ["1 0.1"]);
    assert_eq!(lake.sql("SELECT total_without_tax FROM invoice"), ["150.05"]);
    lake.assert_audited(&[OCTOBER]);
}

/// A charge of a project is on the document of the project, and a charge of an account on the document of the account.
#[test]
fn each_charge_is_on_the_document_of_its_project_or_account() {
    let charges = r#"
        [[charge]]
        id = "of-q"
        date = 2026-10-05
        project = "q"
        amount = "7.00"

        [[charge]]
        id = "of-acme"
        date = 2026-10-31
        account = "acme"
        amount = "8.00"
        "#;
    let lake = lake(&acme(""), charges);
    lake.run(OCTOBER);
    let expected = [
        "2026-10-acme: of-acme charge=of-acme 1  at 8 per 1: 8.0000",
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-q: of-q charge=of-q 1  at 7 per 1: 7.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
}

/// The reseller's customer pays 30.00 for its own project: the reseller invoices it and owes nothing for it, so the
/// margin is 30.00. The reseller's own charge of 12.00 is on the invoice of the reseller.
#[test]
fn a_customer_of_a_reseller_has_its_own_charges() {
    let accounts = r#"
        [[account]]
        id = "R"
        name = "Reseller"
        country = "FR"
        vat_id = "FR78000000701"
        invoice_per = "account"

        [[account]]
        id = "K"
        name = "Customer"
        country = "FR"
        parent = "R"
        invoice_per = "account"
        projects = ["p"]
        "#;
    let charges = r#"
        [[charge]]
        id = "setup"
        date = 2026-10-05
        project = "p"
        amount = "30.00"

        [[charge]]
        id = "wholesale"
        date = 2026-10-05
        account = "R"
        amount = "12.00"
        "#;
    let lake = lake(accounts, charges);
    lake.run(OCTOBER);
    let lines = lake.sql("SELECT account_id, sku, net_amount FROM invoice_line ORDER BY account_id, line_number");
    assert_eq!(lines, ["K EGRESS 1", "K setup 30", "R wholesale 12", "R EGRESS 1"]);
    let margins = lake.document(OCTOBER, "margins.csv");
    let setup = format!("R,K,p,{},2,Fees,setup,setup,charge=setup,1,,30.00,0.00,30.00,EUR", lake.draft(OCTOBER, "K"));
    assert!(margins.contains(&setup), "{margins}");
    lake.assert_audited(&[OCTOBER]);
}

/// A charge of 100 dollars at 1.25 dollars for a euro is 80.00 euros on the invoice.
#[test]
fn a_charge_in_another_currency_is_converted_once() {
    let charge = "[[charge]]\nid = 'usd'\ndate = 2026-10-05\nproject = 'p'\namount = '-100.00'\ncurrency = 'USD'\n\
                  reason = 'an outage'\n";
    let lake = lake(&acme("invoice_per = 'account'"), charge)
        .config(r#"exchange_rates = "rates.csv""#)
        .file("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.25\n");
    lake.run(OCTOBER);
    let line = "SELECT quantity, unit_price, contracted_cost, net_amount FROM invoice_line WHERE sku = 'usd'";
    assert_eq!(lake.sql(line), ["-1 80 -100 -80"]);
    lake.assert_audited(&[OCTOBER]);
}

/// The account has no country, so October is closed by force without its document. Its charge is not lost: the account
/// gets a country, and the restatement of October issues 1.00 of usage and 25.00. November does not bill the charge.
#[test]
fn a_charge_of_a_suspended_account_is_issued_by_the_restatement() {
    let charge = "[[charge]]\nid = 'once'\ndate = 2026-10-15\nproject = 'p'\namount = '25.00'\n";
    let accounts = acme("invoice_per = 'account'");
    let lake = lake(&accounts.replace("country = 'FR'", ""), charge);
    lake.close_by_force(OCTOBER, "2026-11-02");
    assert!(lake.rows("issued_document").is_empty());
    lake.set_accounts(accounts);
    lake.run(NOVEMBER);
    assert!(lines(&lake, NOVEMBER).is_empty());
    lake.configure(r#"closing.charge_increases_as = "separate_invoice""#);
    let restated = lake.restate(OCTOBER, "2026-12-01", "the country was missing");
    assert_eq!(restated.changes(), ["acme  26.00 EUR changed_rule invoice"]);
    assert_eq!(lake.sql("SELECT sku, net_amount FROM invoice_line ORDER BY sku"), ["EGRESS 1", "once 25"]);
    lake.assert_audited(&[OCTOBER]);
}

/// Four hours at 12.50 are given back: -50.00, beside 1.00 of usage and 60.00 of setup. Without tax it is 11.00, and
/// with 20 % it is 13.20. The charge of an internal account is reported, but on no invoice. A charge at a price of zero
/// is a line of 0.00.
#[test]
fn hours_are_given_back_and_internal_charges_are_reported() {
    let accounts = acme("invoice_per = 'account'") + &account("ours", "internal = true\nprojects = ['own']");
    let charges = r#"
        [[charge]]
        id = "hours"
        date = 2026-10-20
        account = "acme"
        quantity = "-4"
        unit = "hour"
        unit_price = "12.50"
        reason = "not needed"

        [[charge]]
        id = "setup"
        date = 2026-10-31
        account = "acme"
        amount = "60.00"

        [[charge]]
        id = "training"
        date = 2026-10-31
        account = "acme"
        unit = "day"
        unit_price = "0"

        [[charge]]
        id = "transfer"
        date = 2026-10-05
        project = "own"
        amount = "9.00"
        "#;
    let lake = lake(&accounts, charges);
    lake.run(OCTOBER);
    let expected = [
        "2026-10-acme: hours charge=hours -4 hour at 12.5 per 1: -50.0000",
        "2026-10-acme: setup charge=setup 1  at 60 per 1: 60.0000",
        "2026-10-acme: training charge=training 1 day at 0 per 1: 0.0000",
        "2026-10-acme: EGRESS  10 GB at 0.1 per 1: 1.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
    assert_eq!(totals(&lake, OCTOBER), ["acme draft 0 0 13.2"]);
    let usage = lake.document(OCTOBER, "usage.csv");
    assert!(
        usage.contains("2026-10-05,ours,own,,,Fees,transfer,1,,1,,9.00,9.00,EUR,internal,charge=transfer,"),
        "{usage}"
    );
    lake.assert_audited(&[OCTOBER]);
}

/// A billed charge does not need its account any more, so the next month is billed without the account.
#[test]
fn a_billed_charge_of_a_removed_account_stops_no_run() {
    let other = account("beta", "country = 'FR'\nprojects = ['b']");
    let charge = r#"
        [[charge]]
        id = "setup"
        date = 2026-10-05
        account = "acme"
        description = "Setup"
        amount = "5.00"
        "#;
    let lake = lake(&format!("{}{other}", acme("")), charge);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(&other);
    lake.deliver("november", ["m,x,2026-11-01T10:00:00Z,20,b"]);
    lake.succeeds(&["run", "--period", NOVEMBER]);
    assert_eq!(lines(&lake, NOVEMBER), ["2026-11-b: EGRESS  20 GB at 0.1 per 1: 2.0000"]);
}

/// The usage of 1.00 and the charge of 10.00 have the standard rate of 20 %: tax 2.20. The manual of 20.00 names the
/// tax of 5.5 %, whose profile no account has: 1.10. The tax of a billed charge cannot change.
#[test]
fn a_charge_can_name_its_tax() {
    let charges = r#"
        [[tax]]
        id = "standard"
        name = "TVA"
        rate = "20"

        [[tax]]
        id = "reduced"
        profile = "reduced"
        name = "TVA"
        rate = "5.5"

        [[charge]]
        id = "setup"
        date = 2026-10-05
        project = "p"
        amount = "10.00"

        [[charge]]
        id = "manual"
        date = 2026-10-05
        project = "p"
        amount = "20.00"
        tax = "reduced"
        "#;
    let lake = lake(&acme(""), charges);
    lake.run(OCTOBER);
    let taxes = "SELECT tax_rate, taxable_amount, tax_amount FROM tax_breakdown ORDER BY tax_rate";
    assert_eq!(lake.sql(taxes), ["5.5 20 1.1", "20 11 2.2"]);
    lake.close(OCTOBER, "2026-11-02");
    let line = lake.sql("SELECT line_number FROM invoice_line WHERE line_by = 'charge=manual'");
    let explained = lake.explain(&format!("INV-2026-00001/{}", line[0]));
    assert!(explained.contains("taxed as TVA S 5.5 % (reduced at "), "{explained}");
    // A cancellation keeps the tax of the charge.
    lake.replace("accounts.toml", "acme Ltd", "Acme Limited");
    lake.cancel(&["INV-2026-00001"], "2026-11-03");
    let issued = "SELECT invoice_number, total_with_tax FROM invoice ORDER BY invoice_number";
    assert_eq!(lake.sql(issued), ["CN-2026-00001 -34.3", "INV-2026-00001 34.3", "INV-2026-00002 34.3"]);
    lake.assert_all_reproduced();

    lake.replace("rules/terms.toml", "tax = \"reduced\"", "");
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,1,p"]);
    let message = lake.fails(2, &["run", "--period", NOVEMBER]);
    let words: Vec<&str> = message.split_whitespace().filter(|word| *word != "│").collect();
    assert!(words.join(" ").contains("`tax` reduced instead of by the rules"), "{message}");
}

#[test]
fn a_tax_of_a_charge_must_be_valid() {
    let charges = r#"
        [[tax]]
        id = "old"
        profile = "old"
        name = "TVA"
        category = "O"
        valid_to = 2026-10-31

        [[charge]]
        id = "manual"
        date = 2026-10-05
        project = "p"
        amount = "20.00"
        tax = "old"
        "#;
    let lake = lake(&acme(""), charges);
    lake.try_run(OCTOBER).unwrap();
    let suspended = lake.sql("SELECT account_id, reason, detail FROM suspended_account");
    assert_eq!(suspended, ["acme no_tax the tax `old` of the charge `manual` is not valid on 2026-10-31"]);
}
