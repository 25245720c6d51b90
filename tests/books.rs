//! Tests of the books of a billed month: balances from month to month, the audit, exported journals, moved projects.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::process::Command;

use crate::test_lake::{TestLake, assert_same_text, hours_of, stderr_of};

const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";

fn sample() -> TestLake {
    TestLake::of_sample("accounts-and-terms")
}

/// The values of `column` in the rows that have `value` in the column `key`.
fn cells(lake: &TestLake, relation: &str, (key, value): (&str, &str), column: &str) -> Vec<String> {
    let rows = lake.rows_where(relation, key, value);
    rows.iter().map(|row| row.get(column).cloned().unwrap_or_default()).collect()
}

/// The 3.33 of October are too little for an invoice and are brought forward to November: 3.33 + 30 h × 0.333 = 13.32.
/// The tax of 20 % is 2.664, rounded to 2.66. The minimum spend of 300.00 is due in November without any usage. The
/// balance of the credit that October used up is zero.
#[test]
fn credits_minimum_spend_and_small_amounts_continue_in_the_next_month() {
    let lake = sample();
    lake.run(OCTOBER);
    lake.put("usage/november.jsonl", hours_of("atelier", "2026-11-05T10:00:00Z", "30"));
    let summary = lake.run(NOVEMBER);
    assert_eq!((summary.invoices, summary.carried_forward), (2, 0));
    let of = |period: &str, payer: &str, column: &str| {
        cells(&lake, "invoice", ("invoice_number", &lake.draft(period, payer)), column).concat()
    };
    assert_eq!(of(OCTOBER, "C-2005", "carried_forward"), "3.3300");
    assert_eq!(of(NOVEMBER, "C-2005", "brought_forward"), "3.3300");
    assert_eq!(of(NOVEMBER, "C-2005", "total_without_tax"), "13.3200");
    assert_eq!(of(NOVEMBER, "C-2005", "tax_amount"), "2.6600");
    assert_eq!(of(NOVEMBER, "C-2002", "total_without_tax"), "300.0000");
    assert_eq!(cells(&lake, "credit_balance", ("credit_id", "welcome"), "closing_balance"), ["0.0000", "0.0000"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER]);

    // After late usage, October's amount is large enough for an invoice. November was billed from October's earlier
    // draft.
    lake.put("usage/late.jsonl", hours_of("atelier", "2026-10-30T10:00:00Z", "20"));
    lake.run(OCTOBER);
    let message = lake.audit_fails(NOVEMBER);
    assert!(message.contains("brought forward: -3.33 EUR missing"), "{message}");
    lake.run(NOVEMBER);
    lake.assert_audited(&[NOVEMBER]);
}

#[test]
fn audit_finds_a_damaged_file() {
    let lake = sample();
    lake.run(OCTOBER);
    let name = lake.files("lake/data/invoice_line").into_keys().next().unwrap();
    let path = lake.path(&format!("lake/data/invoice_line/{name}"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    lake.audit_fails(OCTOBER);
}

#[test]
fn audit_and_export_of_a_month_that_was_never_billed_are_errors() {
    let lake = sample();
    for command in [&["audit"][..], &["export", "journal"], &["export", "ec-sales"]] {
        let message = lake.fails(2, &[command, &["--period", "2026-12"]].concat());
        assert!(message.contains("the lake has no billing of 2026-12"), "{message}");
    }
}

/// Accounts, terms, rules and usage in another order produce the same documents.
#[test]
fn the_order_of_accounts_terms_rules_and_usage_changes_no_document() {
    let lake = sample();
    lake.run(OCTOBER);
    let documents = lake.documents(OCTOBER);
    let other = sample();
    for name in ["accounts.toml", "rating-rules/terms.toml", "rating-rules/prices.toml"] {
        let text = other.text(name);
        let mut parts: Vec<&str> = text.split("\n[[rule]]").collect();
        let separator = if parts.len() > 1 { "\n[[rule]]" } else { "\n[[" };
        if parts.len() == 1 {
            parts = text.split("\n[[").collect();
        }
        let head = parts.remove(0).to_owned();
        parts.reverse();
        other.put(name, format!("{head}{separator}{}\n", parts.join(&format!("\n{separator}"))));
    }
    let usage = other.text("usage/october.jsonl");
    let mut lines: Vec<&str> = usage.lines().collect();
    lines.reverse();
    other.remove("usage/october.jsonl");
    for (number, part) in lines.chunks(3).enumerate() {
        other.put(&format!("usage/part-{number}.jsonl"), part.join("\n"));
    }
    other.run(OCTOBER);
    let found = other.documents(OCTOBER);
    for name in ["invoices.csv", "invoice_lines.csv", "allowances.csv", "usage.csv"] {
        assert_same_text(&documents[name], &found[name], name);
    }
}

/// hledger and Beancount accept the journal. A program that is not installed is skipped.
#[test]
fn exported_journals_pass_hledger_and_bean_check() {
    let lake = sample();
    lake.run(OCTOBER);
    for (format, program, arguments) in [
        ("hledger", "hledger", &["check", "-s", "ordereddates", "payees", "-f"][..]),
        ("beancount", "bean-check", &[][..]),
    ] {
        let journal = lake.export_journal(OCTOBER, format);
        assert!(journal.contains("211.62 EUR"), "{journal}");
        let name = format!("journal.{format}");
        lake.put(&name, &journal);
        let check = |name: &str| Command::new(program).args(arguments).arg(lake.path(name)).output();
        let Ok(output) = check(&name) else {
            println!("skipped: `{program}` is not installed");
            continue;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", stderr_of(&output));
        // The program rejects a journal in which a cent is missing.
        lake.put(&name, journal.replacen("211.62 EUR", "211.61 EUR", 1));
        assert!(!check(&name).unwrap().status.success(), "{program} passes a journal that lacks a cent");
    }
    let csv = lake.export_journal(OCTOBER, "csv");
    let posting =
        format!("2026-10-31,{},1,draft,C-2004,Assets:Receivable,C-2004,40500,,JPY", lake.draft(OCTOBER, "C-2004"));
    assert!(csv.contains(&posting), "{csv}");
    let list = lake.export_ec_sales(OCTOBER);
    assert_eq!(list.lines().nth(1), Some("DE,DE123456789,3,1,171.11,EUR"));
}

/// A project moves on 15 October at noon in Paris, 10:00 UTC. Its 20 + 10 hours before the move cost 9.99 EUR or 10.989
/// USD, rounded to 10.99. Its 745 hours after the move cost 248.085, rounded to 248.09. No usage is lost or counted
/// twice.
#[test]
fn valid_from_moves_a_project_between_accounts_at_an_instant() {
    let lake = sample();
    let accounts = lake.text("accounts.toml");
    let moving = |from: &str| {
        accounts
            .replace(
                r#"[{ id = "cascade", name = "simulation" }]"#,
                &format!(r#"[{{ id = "cascade", valid_to = {from} }}]"#),
            )
            .replace(r#"[{ id = "atelier" }]"#, &format!(r#"["atelier", {{ id = "cascade", valid_from = {from} }}]"#))
    };
    let more = [("2026-10-02T10:00:00Z", "20"), ("2026-10-15T09:59:59Z", "10")];
    lake.put("usage/more.jsonl", more.map(|(at, count)| hours_of("cascade", at, count)).concat());
    lake.put("accounts.toml", moving("2026-10-15T12:00:00+02:00"));
    let suspended: Vec<String> =
        lake.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.account_id).collect();
    assert_eq!(suspended, ["C-2006", "C-2007"]);
    let net = |account: &str| cells(&lake, "invoice_line", ("account_id", account), "net_amount");
    assert_eq!((net("C-2003"), net("C-2005")), (vec!["10.9900".to_owned()], vec!["3.3300".into(), "248.0900".into()]));
    let documents = lake.documents(OCTOBER);
    for report in ["C-2003/usage-cascade.html", "C-2005/usage-cascade.html"] {
        assert!(documents.contains_key(report), "{report}");
    }
    lake.assert_audited(&[OCTOBER]);
    let before = lake.explain(&lake.draft("2026-10", "C-2003/1"));
    assert!(before.contains("2026-10-15T09:00:00Z") && !before.contains("2026-10-15T10:00:00Z"), "{before}");
    let after = lake.explain(&lake.draft("2026-10", "C-2005/2"));
    assert!(!after.contains("2026-10-15T09:00:00Z") && after.contains("2026-10-15T10:00:00Z"), "{after}");

    // A window belongs to the account that has the project at the start of the window.
    lake.put("accounts.toml", moving("2026-10-15T12:30:00+02:00"));
    lake.run(OCTOBER);
    assert_eq!(net("C-2005"), ["3.3300", "-3.3300"], "the amount is too little for an invoice");
    // At the start of a month, all usage of the project moves.
    lake.put("accounts.toml", moving("2026-10-01"));
    assert_eq!(lake.run(OCTOBER).suspended_accounts.len(), 2);
    let of = |account: &str| cells(&lake, "invoice_line", ("account_id", account), "project_id");
    assert_eq!((of("C-2003").len(), of("C-2005")), (0, vec!["atelier".to_owned(), "cascade".to_owned()]));
    // Without an account, a project is invoiced separately: 10 + 745 hours cost 251.415.
    lake.put("accounts.toml", moving("2026-10-20").replace("valid_to = 2026-10-20", "valid_to = 2026-10-15"));
    lake.run(OCTOBER);
    assert_eq!(cells(&lake, "invoice_line", ("account_id", "cascade"), "net_amount"), ["251.4200"]);
    lake.assert_audited(&[OCTOBER]);
}

/// Line 2 of C-2001 is 233.10. The discounts reduce it by 23.31 and 10.49, and the credit by 45.07; 154.23 remain. The
/// documentation of the sample shows the distribution by largest remainder. An invoice in dollars has the cost in euros
/// and the exchange rate.
#[test]
fn explain_shows_discounts_credits_and_the_exchange_rate_of_a_line() {
    let lake = sample();
    lake.run(OCTOBER);
    let explained = lake.explain(&lake.draft("2026-10", "C-2001/2"));
    for sentence in [
        "700 hour at 0.333 EUR: 233.10 EUR, rounded to 233.10",
        ", 10 % of 258.08 = 25.81 on the invoice",
        "less 23.31: Volume discount (volume at ",
        ", 5 % of 223.28 = 11.16 on the invoice",
        "less 10.49: Framework agreement on Compute (framework at ",
        ", 50.00 off 221.11 on the invoice",
        "less 45.07: Welcome credit (welcome at ",
        "leaves 154.23 EUR\ntaxed as VAT AE 0 %, Reverse charge, Art. 196 Directive 2006/112/EC (eu-business at ",
        "rule instance at ",
    ] {
        assert!(explained.contains(sentence), "{sentence}\n{explained}");
    }
    let explained = lake.explain(&lake.draft("2026-10", "C-2003/1"));
    let rate = "248.085 EUR, at 1 EUR = 1.1 USD of 2026-10-30 rounded to 272.89 USD";
    assert!(explained.contains(rate), "{explained}");
    let explained = lake.explain(&lake.draft("2026-10", "C-2002/3"));
    assert!(
        explained.contains("Minimum spend, 2026-10-01 to 2026-10-31\ntop up: 51.91 EUR\nterm segur-minimum at "),
        "{explained}"
    );
    let condition = ": at least 300.00 EUR of usage in each period when service = 'Compute'";
    assert!(explained.contains(condition), "{explained}");
    let explained = lake.explain(&lake.draft("2026-10", "C-2002"));
    for sentence in [
        "lines         329.97\nless          100.00  Voucher, taxed when sold, off 300.00, from lines with TVA S 20 % ",
        "without tax   229.97\nplus tax        1.65  TVA S 5.5 % on 29.97 (fr-print at ",
        "plus tax       40.00  TVA S 20 % on 200.00 (fr at ",
        "with tax      271.62\nless prepaid   60.00  Deposit (segur-deposit at ",
        "due           211.62  EUR",
    ] {
        assert!(explained.contains(sentence), "{sentence}\n{explained}");
    }
}
