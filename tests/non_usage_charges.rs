//! Charges without usage: recurring fees, one-off charges, percent fees, unused pools, reservations and hourly
//! commitments.
//!
//! | file | topic |
//! | --- | --- |
//! | `recurring_fees` | `[[recurring]]`: prorated by day, in advance, by rate card |
//! | `one_off_charges` | `[[charge]]`: billed once, on the invoice of its month or the next open one |
//! | `percent_fees` | `[[fee]]`: a percent of other lines, with a minimum |
//! | `unused_pools` | `flat_fee_at_zero`, `minimum_at_zero` and factors of a pool without usage |
//! | `commitment_discounts` | `[[reservation]]` and `[[hourly_commitment]]` |

mod commitment_discounts;
mod one_off_charges;
mod percent_fees;
mod recurring_fees;
mod unused_pools;

use crate::test_lake::{Row, TestLake, payer_of, short};

const OCTOBER: &str = "2026-10";

const METER: &str = r#"
[[meter]]
name = "m"
aggregation = "sum"
unit = "GB"
"#;

const RULE: &str = r#"
[[rule]]
id = "r"
meter = "m"
sku = "EGRESS"
service = "Network"
unit_price = "0.10"
"#;

/// A lake with the meter `m`, these rules and these accounts. The project `p` uses 5 GB on 1 October and 5 GB on 2
/// October.
fn lake(accounts: &str, rules: &str) -> TestLake {
    TestLake::new()
        .accounts(accounts)
        .rules(format!("{METER}{rules}"))
        .usage(["m,a,2026-10-01T10:00:00Z,5,p", "m,a,2026-10-02T10:00:00Z,5,p"])
}

fn account(id: &str, keys: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "{id}"
        name = "{id} Ltd"
        {keys}
        "#
    )
}

/// The lines of a period's drafts as `period-payer: sku line_by quantity unit at price per units: amount`, in the order
/// of payers.
fn lines(lake: &TestLake, period: &str) -> Vec<String> {
    let drafts = lake.rows_in("invoice", period);
    let payer = |row: &Row| {
        let of_row = drafts.iter().find(|draft| draft["invoice_number"] == row["invoice_number"]);
        of_row.map(|draft| payer_of(draft).to_owned()).unwrap()
    };
    let rows = lake.rows("invoice_line").into_iter().filter(|row| row["invoice_number"].contains(period));
    let mut rows: Vec<(String, Row)> = rows.map(|row| (payer(&row), row)).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows.into_iter()
        .map(|(payer, row)| {
            let (quantity, price, per) =
                (short(&row["quantity"]), short(&row["unit_price"]), short(&row["unit_price_per"]));
            let (sku, line_by, unit, net) = (&row["sku"], &row["line_by"], &row["unit"], &row["net_amount"]);
            format!("{period}-{payer}: {sku} {line_by} {quantity} {unit} at {price} per {per}: {net}")
        })
        .collect()
}
