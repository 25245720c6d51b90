//! Tests of closing a month: the issued documents, and later corrections.
//!
//! | file | topic |
//! | --- | --- |
//! | `numbers` | document numbers, number series of sellers, the order of dates, `[[closing.opening]]` |
//! | `blockers` | blockers of a close: missing usage, rejected records, earlier months that are still open |
//! | `late_usage` | usage that arrives late or is retracted: credit notes, invoices, the next invoice |
//! | `credits` | discounts, credits, prepaid money and minimum spends in corrections |
//! | `final_invoices` | the final invoice of an account that leaves during an open month |
//! | `taxes` | currency, exchange rate, VAT, reverse charge and tax point of corrections |
//! | `several_taxes` | several taxes on one line, on invoices, corrections and restatements |
//! | `signed` | meters with negative records: refunds in the month, below zero, and after the close |
//! | `sums` | all documents of a month together: net amounts, taxes and totals of one invoice |
//! | `cancellations` | cancelled documents and the invoices that replace them: `conto cancel` |
//! | `chain` | random sequences of all corrections: sums, chain, audit and reproduction |
//! | `restatements` | changed rules, accounts, sellers and programs: `conto restate` |
//! | `committed_inputs` | the inputs that a close records: reproduction of every commit, branding, explanations |
//! | `sign_off` | approvals, forced closes, `--dry-run` and the month-end pack |
//! | `integrity` | damaged and missing files of a closed month |

mod blockers;
mod cancellations;
mod chain;
mod committed_inputs;
mod credits;
mod final_invoices;
mod integrity;
mod late_usage;
mod numbers;
mod restatements;
mod several_taxes;
mod sign_off;
mod signed;
mod sums;
mod taxes;

use crate::test_lake::TestLake;

const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";
const DECEMBER: &str = "2026-12";

/// `acme` with the projects `p` and `q`. In each month of a project, each of the first 100 GB costs 0.10, and each
/// further GB costs 0.08. In October, `p` uses 90 GB and `q` 20 GB. Later charges are issued on separate invoices.
fn lake() -> TestLake {
    lake_with_next_invoice().config(r#"closing.charge_increases_as = "separate_invoice""#)
}

/// The lake of [`lake`] with the default of `[closing]`: the next invoice charges an increase.
fn lake_with_next_invoice() -> TestLake {
    TestLake::new().accounts(account("")).rules(prices("0.10", "0.08")).usage(FIRST_USAGE)
}

const FIRST_USAGE: [&str; 2] = ["m,a,2026-10-01T10:00:00Z,90,p", "m,b,2026-10-02T10:00:00Z,20,q"];

/// 30 GB of `p`: 10 GB fill the first tier, and 20 GB are in the second tier. The price is 1.00 + 1.60 = 2.60.
const LATE_30: [&str; 1] = ["m,a,2026-10-09T10:00:00Z,30,p"];

fn account(more: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "acme"
        name = "Acme"
        country = "FR"
        projects = ["p", "q"]
        {more}
        "#
    )
}

/// The rules with the price of each of the first 100 GB in a project's month, and the price of each further GB.
fn prices(first: &str, second: &str) -> String {
    format!(
        r#"
        [[meter]]
        name = "m"
        aggregation = "sum"
        unit = "GB"

        [[rule]]
        id = "r"
        meter = "m"
        sku = "EGRESS"
        service = "Network"
        tiers = "graduated"
        tier = [{{ up_to = "100", unit_price = "{first}" }}, {{ unit_price = "{second}" }}]
        "#
    )
}

/// The rules of a second meter `n`: each GB costs 1.00.
const STORAGE: &str = r#"
[[meter]]
name = "n"
aggregation = "sum"
unit = "GB"

[[rule]]
id = "s"
meter = "n"
sku = "STORAGE"
service = "Storage"
unit_price = "1.00"
"#;

/// A tax rule with another VAT rate for storage.
fn storage_tax(rate: &str) -> String {
    format!(
        r#"
        [[tax]]
        id = "reduced"
        name = "VAT"
        category = "S"
        rate = "{rate}"
        when = "sku = 'STORAGE'"
        "#
    )
}

/// A file with one exchange rate, on the last working day of October.
fn exchange_rate(rate: &str) -> String {
    format!("date,base,quote,rate\n2026-10-30,EUR,USD,{rate}\n")
}

const EXCHANGE_RATES: &str = r#"exchange_rates = "rates.csv""#;

/// Each issued document as `number total_with_tax corrects reason`, in the order of the chain.
fn issued(lake: &TestLake) -> Vec<String> {
    let mut rows = lake.rows("issued_document");
    rows.sort_by_key(|row| row["chain_number"].parse::<u64>().unwrap());
    let columns = ["document_number", "total_with_tax", "corrects", "reason"];
    rows.iter()
        .map(|row| columns.map(|name| row.get(name).cloned().unwrap_or_default()).join(" "))
        .map(|text| text.trim().to_owned())
        .collect()
}

/// The lines of a document as `quantity at price: amount`.
fn lines(lake: &TestLake, number: &str) -> Vec<String> {
    let rows = lake.rows_where("invoice_line", "invoice_number", number);
    rows.iter().map(|row| format!("{} at {}: {}", row["quantity"], row["unit_price"], row["net_amount"])).collect()
}

/// The charge periods of the lines of a document.
fn days(lake: &TestLake, number: &str) -> Vec<String> {
    let rows = lake.rows_where("invoice_line", "invoice_number", number);
    rows.iter().map(|row| format!("{} to {}", row["charge_period_start"], row["charge_period_end"])).collect()
}

/// Asserts that each month passes the audit, and that all files of the lake match the log.
#[track_caller]
fn assert_balanced(lake: &TestLake, periods: &[&str]) {
    lake.assert_audited(periods);
    lake.assert_verified();
}
