//! Blockers stop a close with exit code 3. These allow the close: `--force`, `max_unattributed`, `max_rejected`, or the
//! close of another month.

use super::{DECEMBER, NOVEMBER, OCTOBER, assert_balanced, issued, lake, prices};
use crate::test_lake::TestLake;

/// Configures the maximum time between two records of the source `table`.
pub(super) fn expect_every(lake: &TestLake, duration: &str) {
    lake.configure(format!(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"
        expect_every = "{duration}"
        "#
    ));
}

/// The project `stranger` has no account, one record has no project, another record has a negative quantity, and the
/// meter `n` has no price.
#[test]
fn every_blocker_is_listed_and_force_records_it_in_the_commit() {
    let unpriced_meter = r#"
        [[meter]]
        name = "n"
        aggregation = "sum"
        unit = "u"
        "#;
    let lake = lake().rules(prices("0.10", "0.08") + unpriced_meter);
    expect_every(&lake, "1d");
    lake.deliver(
        "stranger",
        [
            "m,c,2026-10-03T10:00:00Z,1,stranger",
            "m,d,2026-10-04T10:00:00Z,1,",
            "m,e,2026-10-05T10:00:00Z,-1,p",
            "n,a,2026-10-05T10:00:00Z,1,p",
        ],
    );
    let message = lake.close_fails(3, OCTOBER, "2026-10-31");
    for blocker in [
        "2026-10 ends on 2026-10-31",
        "the source `table` has no usage from 2026-10-05T10:00:00Z to 2026-11-01T00:00:00Z",
        "1 usage row has no price",
        "1 record in input files of the period was rejected",
        "usage without an account, more than `max_unattributed` = 0: `stranger`, usage without a project",
    ] {
        assert!(message.contains(blocker), "no `{blocker}` in {message}");
    }
    assert!(issued(&lake).is_empty());
    lake.close_by_force(OCTOBER, "2026-10-31");
    let close = lake.last_close(OCTOBER);
    assert_eq!(lake.remarks(close), ["a test"]);
    let blockers = lake.overridden_blockers(close);
    let kinds: Vec<&str> = blockers.iter().filter_map(|blocker| Some(blocker.split_once(':')?.0)).collect();
    let expected = [
        "period_not_ended 2026-10",
        "missing_usage table 1",
        "unrated_usage 1 of 0",
        "rejected_record 1 of 0",
        // 1 GB of `stranger` and 1 GB without a project.
        "unassigned_usage 2 of 0 0.20 EUR",
    ];
    assert_eq!(kinds, expected, "{blockers:?}");
    lake.assert_all_reproduced();
}

/// An account without a country and with an invalid VAT id uses 30 GB for 3.00 EUR and 2 GB for 4.00 USD.
#[test]
fn a_suspended_account_with_two_currencies_is_one_blocker() {
    let in_dollars = r#"
        [[meter]]
        name = "n"
        aggregation = "sum"
        unit = "GB"

        [[rule]]
        id = "s"
        meter = "n"
        sku = "STORAGE"
        service = "Storage"
        currency = "USD"
        unit_price = "2.00"
        "#;
    let accounts = "[[account]]\nid = \"S\"\nname = \"S\"\nvat_id = \"FR1\"\nprojects = [\"p\"]\n";
    let lake = TestLake::new().accounts(accounts).rules(prices("0.10", "0.08") + in_dollars);
    lake.deliver("usage", ["m,a,2026-10-01T10:00:00Z,30,p", "n,a,2026-10-01T10:00:00Z,2,p"]);
    lake.close_by_force(OCTOBER, "2026-11-02");
    assert_eq!(lake.rows("suspended_account").len(), 3, "one reason in two currencies, and the other reason");
    let blockers = lake.overridden_blockers(lake.last_close(OCTOBER));
    assert_eq!(blockers.len(), 1, "{blockers:?}");
    let (facts, detail) = blockers[0].split_once(": ").unwrap();
    assert_eq!(facts, "suspended_account S 3.00 EUR 4.00 USD");
    assert!(detail.contains("it has no country; ") || detail.ends_with("; it has no country"), "{detail}");
    let page = lake.document(OCTOBER, "month-end/pack.html");
    assert!(page.contains("cost: 3.00 EUR, 4.00 USD"), "{page}");
    assert!(lake.succeeds(&["status"]).contains("3.00 EUR, 4.00 USD"));
    let decisions = &lake.csv_document(OCTOBER, "month-end/decisions.csv")[0];
    assert_eq!(["cost", "currency"].map(|name| &*decisions[name]), ["3.00; 4.00", "EUR; USD"]);
    lake.assert_all_reproduced();
}

#[test]
fn max_unattributed_and_max_rejected_allow_so_many() {
    let lake = lake().config(
        r#"
        [closing]
        max_unattributed = 1
        max_rejected = 1
        "#,
    );
    lake.deliver("stranger", ["m,d,2026-10-04T10:00:00Z,1,", "m,e,2026-10-05T10:00:00Z,-1,p"]);
    lake.close(OCTOBER, "2026-11-02");
}

#[test]
fn expect_every_finds_a_gap_inside_of_a_file() {
    let lake = lake();
    expect_every(&lake, "2d");
    let days = (1..=31).filter(|day| !(10..=12).contains(day));
    lake.deliver("daily", days.map(|day| format!("m,c,2026-10-{day:02}T10:00:00Z,1,p")));
    let message = lake.close_fails(3, OCTOBER, "2026-11-02");
    let missing = "the source `table` has no usage from 2026-10-09T10:00:00Z to 2026-10-13T10:00:00Z";
    assert!(message.contains(missing) && !message.contains("more gap"), "{message}");
}

/// Terms with a plan of 30.00 a month for each project, billed in advance, and a credit of 12.00.
fn plan_and_credit(plan_validity: &str, credit_validity: &str) -> String {
    format!(
        r#"
        [[recurring]]
        id = "plan"
        per = "project"
        billed = "in_advance"
        unit_price = "30.00"
        {plan_validity}

        [[credit]]
        id = "welcome"
        account = "acme"
        kind = "promotional"
        amount = "12.00"
        {credit_validity}
        "#
    )
}

/// November is closed before October. It charges the fees of November and December, and uses the whole credit. October
/// would charge the fee of November again, and would use the same credit again.
#[test]
fn in_advance_fees_and_credits_require_the_earlier_month_to_be_closed_first() {
    let lake = lake().terms(plan_and_credit("", ""));
    lake.close(NOVEMBER, "2026-12-01");
    let message = lake.close_fails(3, OCTOBER, "2026-12-02");
    let fees = "2026-11 is already closed and charges fees that 2026-10 would charge again in advance";
    assert!(message.contains(fees) && message.contains("`valid_to = 2026-11-01`"), "{message}");
    let credit = "2026-11 is already closed and uses the same amount of the credit `welcome` as 2026-10";
    assert!(message.contains(credit) && message.contains("`valid_from = 2026-11-01`"), "{message}");
    lake.set_terms(plan_and_credit("valid_to = 2026-11-01", "valid_from = 2026-11-01"));
    lake.close(OCTOBER, "2026-12-02");
    // Two projects: 30.00 and 9.00, 30.00 and 2.00, with 20 percent.
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 46.8000", "INV-2026-00004 38.4000"]);
    // December continues from November, and charges no fee before January.
    lake.set_terms(plan_and_credit("", ""));
    lake.run(DECEMBER);
    let message = lake.close_fails(3, "2027-01", "2027-02-01");
    assert!(message.contains("2026-12 is billed but not closed, and charges fees of 2027-01 in advance"), "{message}");
    assert_balanced(&lake, &[OCTOBER]);
}

/// October has 2.00, less than the minimum, which November charges. If November is closed first, it charges the 2.00.
/// With 4.00 more in October, October would charge the 2.00 again.
#[test]
fn minimum_invoice_amount_requires_the_earlier_month_to_be_closed_first() {
    let lake = lake().config(r#"minimum_invoice_amount = "5.00""#);
    lake.deliver("november", ["m,b,2026-11-03T10:00:00Z,40,q"]);
    lake.run(OCTOBER);
    let message = lake.close_fails(3, NOVEMBER, "2026-12-01");
    let first = "2026-10 is billed but not closed, and 2026-11 charges 2.00 EUR of acme, which 2026-10 carries \
                 forward: close 2026-10 first";
    assert!(message.contains(first), "{message}");
    lake.close_by_force(NOVEMBER, "2026-12-01");
    // 4.00 and 2.00, with 20 percent.
    assert_eq!(issued(&lake), ["INV-2026-00001 7.2000"]);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,40,q"]);
    let message = lake.close_fails(3, OCTOBER, "2026-12-02");
    let twice = "2026-11 is already closed and charges 2.00 EUR of acme, which 2026-10 carried forward, but 2026-10 \
                 carries nothing forward now";
    assert!(message.contains(twice) && message.contains("`valid_to = 2026-11-01`"), "{message}");
    // Without the late usage, the 2.00 are charged once. October only charges the 9.00 of the other project.
    lake.retract("late.csv", "a mistake");
    lake.close(OCTOBER, "2026-12-02");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 10.8000"]);
    lake.close_by_force(DECEMBER, "2027-01-02");
    assert_eq!(issued(&lake).len(), 2, "nothing is left to December");
    assert_balanced(&lake, &[OCTOBER, NOVEMBER, DECEMBER]);
}

/// The project `stranger` has no account. Its 1.00 is below the minimum, but no later document has the same payer, so
/// the amount is due now. The 2.00 of the project `q`, which has an account, are carried forward.
#[test]
fn a_small_amount_of_an_unassigned_project_is_due_at_once() {
    let lake = lake().config(r#"minimum_invoice_amount = "5.00""#);
    lake.deliver("stranger", ["m,c,2026-10-03T10:00:00Z,10,stranger"]);
    lake.close_by_force(OCTOBER, "2026-11-02");
    let amounts = |column: &str| lake.sql(&format!("SELECT {column} FROM invoice ORDER BY account_id, project_id"));
    assert_eq!(amounts("total_without_tax"), ["9", "0", "1"]);
    assert_eq!(amounts("carried_forward"), ["0", "2", "0"]);
    assert_eq!(issued(&lake).len(), 2);
    assert_balanced(&lake, &[OCTOBER]);
}

/// A mistyped month has neither usage nor documents. A month after today is refused even by force.
#[test]
fn a_month_without_usage_or_after_today_is_refused() {
    let lake = lake();
    lake.run(OCTOBER);
    let message = lake.close_fails(3, "2026-08", "2026-11-02");
    assert!(message.contains("2026-08 has no usage and no document; the lake has usage from 2026-10-01"), "{message}");
    let future = ["close", "--period", "2100-01", "--issue-date", "2026-11-02", "--force", "--reason", "a typo"];
    let message = lake.fails(2, &future);
    assert!(message.contains("2100-01 begins after today, 2099-12-31"), "{message}");
}
