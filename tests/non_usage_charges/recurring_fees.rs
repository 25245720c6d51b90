//! `[[recurring]]`: fees that are prorated by day, billed in advance or in arrears, and priced by rate card.

use super::{OCTOBER, RULE, account, lake, lines};

/// October has 31 days. Support costs 31.00 a month for each account, which is 1.00 a day. On the 11th, a plan of 12.40
/// replaces a plan of 9.30: ten days cost 3.00, and the other 21 days cost 8.40. The account `late` begins on the 12th
/// and has 20 days. Machine `a` exists on two days: 2/31 of 6.20 is 0.40. Only the project `p` has usage.
#[test]
fn recurring_fees_are_charged_by_the_day_also_without_usage() {
    let accounts = r#"
        [[account]]
        id = "acme"
        name = "acme Ltd"
        country = "FR"
        projects = ["p", "q"]

        [[account]]
        id = "suspended"
        name = "suspended Ltd"
        projects = ["u"]

        [[account]]
        id = "idle"
        name = "idle Ltd"
        country = "FR"
        invoice_per = "account"
        projects = ["r"]

        [[account]]
        id = "late"
        name = "late Ltd"
        country = "FR"
        valid_from = 2026-10-12
        projects = ["s"]

        [[account]]
        id = "ours"
        name = "ours Ltd"
        internal = true
        projects = ["t"]
        "#;
    let fees = r#"
        [[recurring]]
        id = "support"
        service = "Fees"
        sku = "SUPPORT"
        per = "account"
        unit_price = "31.00"

        [[recurring]]
        id = "plan"
        service = "Fees"
        sku = "PLAN"
        per = "project"
        unit_price = "9.30"
        valid_to = 2026-10-11

        [[recurring]]
        id = "plan-new"
        service = "Fees"
        sku = "PLAN"
        per = "project"
        unit_price = "12.40"
        valid_from = 2026-10-11

        [[recurring]]
        id = "backup"
        service = "Fees"
        sku = "BACKUP"
        per = "resource"
        meter = "m"
        unit_price = "6.20"
        "#;
    let lake = lake(accounts, &[RULE, fees].concat());
    let summary = lake.run(OCTOBER);
    assert_eq!(summary.suspended_accounts.len(), 1);
    let expected = [
        "2026-10-acme: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000",
        "2026-10-idle: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000",
        "2026-10-idle: PLAN month=2026-10 10 day at 9.3 per 31: 3.0000",
        "2026-10-idle: PLAN month=2026-10 21 day at 12.4 per 31: 8.4000",
        "2026-10-late: SUPPORT month=2026-10 20 day at 31 per 31: 20.0000",
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: BACKUP month=2026-10 2 day at 6.2 per 31: 0.4000",
        "2026-10-p: PLAN month=2026-10 10 day at 9.3 per 31: 3.0000",
        "2026-10-p: PLAN month=2026-10 21 day at 12.4 per 31: 8.4000",
        "2026-10-q: PLAN month=2026-10 10 day at 9.3 per 31: 3.0000",
        "2026-10-q: PLAN month=2026-10 21 day at 12.4 per 31: 8.4000",
        "2026-10-s: PLAN month=2026-10 20 day at 12.4 per 31: 8.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
    // The fees of the suspended account: 31.00 + 3.00 + 8.40.
    assert_eq!(lake.sum("suspended_account", "contracted_cost"), "42.4");
    let audit = lake.succeeds(&["audit", "--period", OCTOBER]);
    assert!(audit.contains("fees"), "{audit}");
    let usage = lake.document(OCTOBER, "usage.csv");
    assert!(usage.contains("2026-10-12,late,s,,,Fees,PLAN,20,day"), "{usage}");
    assert!(usage.contains(",EUR,suspended,"), "{usage}");
    let explained = lake.explain(&lake.draft("2026-10", "p/2"));
    assert!(explained.contains("2 day at 6.20 EUR per 31: 0.40 EUR, rounded to 0.40"), "{explained}");
    assert!(explained.contains("fee backup at"), "{explained}");
    let index = lake.document(OCTOBER, "index.html");
    assert!(index.contains("The account as a whole"), "the index lists the account's own document");
    // A second run has nothing to commit.
    let again = lake.run(OCTOBER);
    assert_eq!((again.intake.intake_commit, again.billing_commit), (None, None));
}

/// A plan costs 30.00 a month, billed in advance. October was not charged before, so the document of October charges
/// October and November. The document of November charges only December, even if it is drafted twice. Then `valid_to`
/// ends the account after 15 November. The next draft credits the month of November, -30.00, and charges 15 of its 30
/// days, 15.00. It does not charge December. Its total of -15.00 is not carried forward, because no later document
/// follows.
#[test]
fn billed_in_advance_is_charged_once_and_given_back_after_valid_to() {
    let plan = r#"
        [[recurring]]
        id = "plan"
        service = "Fees"
        sku = "PLAN"
        per = "project"
        billed = "in_advance"
        unit_price = "30.00"
        "#;
    let accounts = account("acme", "country = 'FR'\nprojects = ['p']");
    let lake = lake(&accounts, &[RULE, plan].concat());
    lake.run(OCTOBER);
    let october = [
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: PLAN month=2026-10 1 month at 30 per 1: 30.0000",
        "2026-10-p: PLAN month=2026-11 1 month at 30 per 1: 30.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), october);
    lake.close(OCTOBER, "2026-11-02");
    let issued = lake.rows("issued_document").len();
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(lake.rows("issued_document").len(), issued, "a second close issues nothing");
    for _ in 0..2 {
        lake.run("2026-11");
        assert_eq!(lines(&lake, "2026-11"), ["2026-11-p: PLAN month=2026-12 1 month at 30 per 1: 30.0000"]);
    }
    lake.set_accounts(format!("{accounts}valid_to = 2026-11-16"));
    lake.run("2026-11");
    let given_back = [
        "2026-11-p: PLAN month=2026-11 15 day at 30 per 30: 15.0000",
        "2026-11-p: PLAN month=2026-11 -1 month at 30 per 1: -30.0000",
    ];
    assert_eq!(lines(&lake, "2026-11"), given_back);
    lake.assert_audited(&["2026-11"]);
    // In December no account owes the fee, and no earlier document charged the fee for December.
    lake.run("2026-12");
    assert!(lines(&lake, "2026-12").is_empty());
}

/// From 16 October on, support costs 20.15 for an account on the card `partner`. Before that date, and for all other
/// accounts, it costs 31.00.
#[test]
fn a_fee_on_an_earlier_card_replaces_the_fee_of_the_same_sku() {
    let fees = r#"
        [[recurring]]
        id = "support"
        service = "Fees"
        sku = "SUPPORT"
        per = "account"
        unit_price = "31.00"

        [[recurring]]
        id = "support-partner"
        service = "Fees"
        sku = "SUPPORT"
        per = "account"
        card = "partner"
        unit_price = "20.15"
        valid_from = 2026-10-16
        "#;
    let accounts = [
        account("acme", "country = 'FR'\nprojects = ['p']"),
        account("friend", "country = 'FR'\ncards = ['partner', 'public']"),
    ];
    let lake = lake(&accounts.concat(), &[RULE, fees].concat());
    lake.run(OCTOBER);
    let lines = lines(&lake, OCTOBER);
    let support: Vec<&String> = lines.iter().filter(|line| line.contains("SUPPORT")).collect();
    let expected = [
        "2026-10-acme: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000",
        // 16/31 of 20.15 is 10.40, and 15/31 of 31.00 is 15.00.
        "2026-10-friend: SUPPORT month=2026-10 16 day at 20.15 per 31: 10.4000",
        "2026-10-friend: SUPPORT month=2026-10 15 day at 31 per 31: 15.0000",
    ];
    assert_eq!(support, expected);
}
