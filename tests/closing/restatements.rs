//! `conto restate`: changed rules, accounts, sellers and programs reach a closed month only through a restatement.

use super::{EXCHANGE_RATES, LATE_30, OCTOBER, account, assert_balanced, exchange_rate, issued, lake, prices};

/// The member of a log entry that contains the program version.
fn version_in_log(version: &str) -> String {
    format!(r#""program_version": "{version}""#)
}

const THIS_VERSION: &str = env!("CARGO_PKG_VERSION");
const OLDER_VERSION: &str = "0.0.7";

#[test]
fn changed_rules_reach_a_closed_month_only_through_a_restatement() {
    let lake = lake();
    lake.deliver("more", LATE_30);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_rules(prices("0.10", "0.05"));
    assert!(lake.run_closed(OCTOBER).is_empty());
    lake.close(OCTOBER, "2026-11-03").assert_nothing_due();
    // 20 in the second tier at 0.05 instead of 0.08: 1.00 instead of 1.60.
    let proposed = lake.propose_restatement(OCTOBER);
    assert_eq!(proposed.changes(), ["acme p -0.60 EUR changed_rule credit note"]);
    assert_eq!(issued(&lake).len(), 2, "nothing is issued without --approve");
    lake.fails(2, &["restate", "--period", OCTOBER, "--approve"]);
    let restated = lake.restate(OCTOBER, "2026-12-01", "a mistake");
    assert_eq!(restated.documents, ["CN-2026-00001"]);
    assert_eq!(issued(&lake)[2], "CN-2026-00001 -0.7200 INV-2026-00001 changed_rule");
    assert_eq!(lake.remarks(restated.commit.unwrap()), ["a mistake"]);
    lake.restate(OCTOBER, "2026-12-01", "a mistake").assert_nothing_due();
    // From here on, the restated rules apply to the period.
    lake.deliver("late", ["m,a,2026-10-10T10:00:00Z,10,p"]);
    assert_eq!(lake.close(OCTOBER, "2026-12-02").changes(), ["acme p 0.50 EUR late_usage invoice"]);
    let note = lake.document(OCTOBER, "acme/CN-2026-00001.json");
    for text in [r#""document_kind": "credit_note""#, r#""amount_due": "0.72""#, r#""number": "INV-2026-00001""#] {
        assert!(note.contains(text), "no {text} in {note}");
    }
    lake.assert_verified();
}

/// A newer program continues a closed month if its amounts are the same. If they differ, late usage is refused, and a
/// restatement issues the difference with the reason `changed_rule`. The test edits the log: first the version that
/// closed the month, and then a price in its rules.
#[test]
fn a_newer_program_with_other_amounts_reaches_a_closed_month_only_through_a_restatement() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    let entry = "lake/log/00000000000000000001.json";
    lake.replace(entry, &version_in_log(THIS_VERSION), &version_in_log(OLDER_VERSION));
    lake.deliver("late", LATE_30);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p 2.60 EUR late_usage invoice"]);
    lake.replace(entry, r#"unit_price = \"0.10\""#, r#"unit_price = \"0.09\""#);
    for command in [&["run", "--period", OCTOBER][..], &["close", "--period", OCTOBER, "--issue-date", "2026-11-05"]] {
        let message = lake.fails(2, command);
        assert!(message.contains("2026-10 was closed by conto 0.0.7"), "{message}");
        assert!(message.contains("issue the differences with `conto restate --period 2026-10`"), "{message}");
    }
    // By the current rules, 120 GB cost 11.60, 2.60 more than the issued amount. Usage is not the only cause.
    let proposed = lake.propose_restatement(OCTOBER);
    assert_eq!(proposed.changes(), ["acme p 2.60 EUR changed_rule invoice"]);
    assert_eq!(issued(&lake).len(), 2);
}

/// An account pays in dollars: 9.00 euros at 1.10 are 9.90 dollars. The rate was wrong, and at 1.20 they are 10.80. The
/// audit of an issued document uses the exchange rate of the document.
#[test]
fn a_restatement_at_another_exchange_rate_keeps_the_rate_of_issued_documents() {
    let lake =
        lake().config(EXCHANGE_RATES).accounts(account(r#"currency = "USD""#)).file("rates.csv", exchange_rate("1.10"));
    lake.close(OCTOBER, "2026-11-02");
    lake.put("rates.csv", exchange_rate("1.20"));
    lake.restate(OCTOBER, "2026-12-01", "another rate");
    // 0.90 and 0.20 dollars more, with 20 percent.
    assert_eq!(
        issued(&lake)[2..],
        ["INV-2026-00003 1.0800 INV-2026-00001 changed_rule", "INV-2026-00004 0.2400 INV-2026-00002 changed_rule"]
    );
    assert_balanced(&lake, &[OCTOBER]);
    assert!(lake.explain("INV-2026-00001/1").contains("1 EUR = 1.1 USD"));
    assert!(lake.explain("INV-2026-00003/1").contains("1 EUR = 1.2 USD"));
}

/// 90 and 30 GB of one hour are 120 by their sum, which cost 11.60, and 90 by their maximum, which cost 9.00. The
/// restatement changes the aggregation, and then the samples expire. Another program compares its amounts with the
/// usage metered at the restatement.
#[test]
fn a_restatement_whose_samples_have_expired_is_compared_with_another_program() {
    let lake = lake();
    lake.deliver("more", ["m,a,2026-10-01T10:30:00Z,30,p"]);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_rules(prices("0.10", "0.08").replace(r#""sum""#, r#""max""#));
    lake.restate(OCTOBER, "2026-11-05", "the larger counts");
    assert_eq!(issued(&lake)[2..], ["CN-2026-00001 -3.1200 INV-2026-00001 changed_rule"]);
    lake.expire(OCTOBER);
    lake.vacuum();
    let is_restatement = |text: &[u8]| String::from_utf8_lossy(text).contains(r#""reason": "changed_rule""#);
    let entries = lake.files("lake/log").into_iter().filter(|(name, _)| name.ends_with(".json"));
    let restated = entries.into_iter().find(|(_, text)| is_restatement(text)).unwrap().0;
    lake.replace(&format!("lake/log/{restated}"), &version_in_log(THIS_VERSION), &version_in_log(OLDER_VERSION));
    assert!(lake.run_closed(OCTOBER).is_empty());
}

/// After the close, the currency of the account is corrected to dollars. The issued amounts are credited in euros, and
/// the new amounts are charged in dollars, because a document has one currency.
#[test]
fn a_restatement_in_another_currency_issues_a_credit_note_and_an_invoice() {
    let lake = lake().config(EXCHANGE_RATES).file("rates.csv", exchange_rate("1.10"));
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account(r#"currency = "USD""#));
    let proposed = lake.propose_restatement(OCTOBER).changes();
    for change in ["acme p -9.00 EUR changed_rule credit note", "acme p 9.90 USD changed_rule invoice"] {
        assert!(proposed.iter().any(|proposed| proposed == change), "{proposed:?}");
    }
    lake.restate(OCTOBER, "2026-12-01", "in dollars");
    // 9.90 and 2.20 USD, with 20 percent.
    let mut rows = lake.rows("issued_document");
    rows.retain(|row| row.contains_key("reason"));
    let mut found: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["total_with_tax"], row["currency"])).collect();
    found.sort();
    assert_eq!(found, ["-10.8000 EUR", "-2.4000 EUR", "11.8800 USD", "2.6400 USD"]);
    let lines = lake.rows("invoice_line");
    for (number, currency) in rows.iter().map(|row| (&row["document_number"], &row["currency"])) {
        let mut of_document = lines.iter().filter(|line| line["invoice_number"] == *number).peekable();
        assert!(of_document.peek().is_some(), "{number}");
        assert!(of_document.all(|line| line["currency"] == *currency), "{number}");
    }
    lake.propose_restatement(OCTOBER).assert_nothing_due();
    assert_balanced(&lake, &[OCTOBER]);
}

/// After the close, the account is corrected to a customer of a reseller. The seller credits its invoices to the
/// account. The reseller issues its own invoices, and owes the seller for the same usage.
#[test]
fn a_restatement_under_another_seller_credits_and_invoices_again() {
    let reseller = r#"
        [[account]]
        id = "R"
        name = "Reseller"
        country = "FR"
        vat_id = "FR77000000625"
        "#;
    let lake = lake().accounts(account("") + reseller);
    lake.close(OCTOBER, "2026-11-02");
    lake.set_accounts(account(r#"parent = "R""#) + reseller);
    lake.restate(OCTOBER, "2026-12-01", "sold by R");
    let mut found = issued(&lake);
    found.sort();
    let expected = [
        "CN-2026-00001 -10.8000 INV-2026-00001 changed_rule",
        "CN-2026-00002 -2.4000 INV-2026-00002 changed_rule",
        "INV-2026-00001 10.8000",
        "INV-2026-00002 2.4000",
        "INV-2026-00003 10.8000  changed_rule",
        "INV-2026-00004 2.4000  changed_rule",
        "INV-R-2026-00001 10.8000  changed_rule",
        "INV-R-2026-00002 2.4000  changed_rule",
    ];
    assert_eq!(found, expected);
    lake.propose_restatement(OCTOBER).assert_nothing_due();
    assert_balanced(&lake, &[OCTOBER]);
}

/// After the close, the account gets another id and name. The credit note has the buyer of the close.
#[test]
fn a_credit_note_names_the_buyer_of_an_account_that_no_longer_exists() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    let renamed = r#"
        [[account]]
        id = "c-17"
        name = "Acme & Sons"
        country = "FR"
        projects = ["p", "q"]
        "#;
    lake.set_accounts(renamed);
    lake.restate(OCTOBER, "2026-12-01", "merged");
    let note = lake.document(OCTOBER, "acme/CN-2026-00001.json");
    assert!(note.contains(r#""name": "Acme""#) && note.contains(r#""country": "FR""#), "{note}");
    let invoice = lake.document(OCTOBER, "c-17/INV-2026-00003.json");
    assert!(invoice.contains(r#""name": "Acme & Sons""#), "{invoice}");
    lake.assert_reproduced(lake.last_close(OCTOBER));
    lake.propose_restatement(OCTOBER).assert_nothing_due();
    assert_balanced(&lake, &[OCTOBER]);
}
