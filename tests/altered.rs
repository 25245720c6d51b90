//! The audit finds every changed amount. The test changes each amount column in the relations of a closed month and of
//! the next month by the smallest step. A digest detects a file that was changed on the disk, so these tests change the
//! rows in the session.

use std::sync::Arc;

use arrow::array::{Array, Decimal128Array, RecordBatch};
use arrow::datatypes::DataType;
use conto::audit::audit;
use conto::billed_period::BilledPeriod;
use conto::ledger;
use conto::load::read_config;
use conto::model::config::Config;
use conto::query::{persisted_of, statement};
use conto::rows;

use crate::test_lake::{TestLake, block_on, hours_of};

/// Decimal columns that are not amounts of the books: factors of amounts, and values that only reports show.
const BESIDE: [(&str, &[&str]); 6] = [
    ("invoicing/invoice", &["exchange_rate"]),
    ("invoicing/invoice_line", &["tier_start", "quantity", "unit_price", "unit_price_per", "contracted_unit_price"]),
    // The audit compares the allowance with its percentage of the base. A cent of the base changes the allowance by
    // less than a cent.
    ("invoicing/allowance", &["percent", "base_amount"]),
    ("invoicing/tax_breakdown", &["tax_rate"]),
    (
        "rating/rated_usage",
        &["tier_start", "pricing_quantity", "contracted_unit_price", "unit_price_per", "list_unit_price", "list_cost"],
    ),
    ("rating/non_usage_charge", &["quantity", "contracted_unit_price", "unit_price_per"]),
];

/// The relations of the books, each with its amount columns.
fn amounts() -> Vec<(&'static str, Vec<String>)> {
    let paths = persisted_of("invoicing").filter(|path| *path != "invoicing/exchange_rate");
    let paths = paths.chain(["rating/rated_usage", "rating/non_usage_charge"]);
    let columns = |path: &'static str| {
        let beside = BESIDE.iter().find(|(of, _)| *of == path).map_or(&[][..], |(_, names)| names);
        let fields = statement(path).unwrap().schema.fields().iter();
        let decimals = fields.filter(|field| matches!(field.data_type(), DataType::Decimal128(..)));
        decimals.map(|field| field.name().clone()).filter(|name| !beside.contains(&name.as_str())).collect()
    };
    paths.map(|path| (path, columns(path))).collect()
}

/// The rows with one changed value: an amount changes by a cent, a cost by one unit of its last decimal place.
fn altered(batches: &[RecordBatch], column: &str, row: usize) -> Vec<RecordBatch> {
    let mut altered = Vec::new();
    let mut before = 0;
    for batch in batches {
        let index = batch.schema_ref().index_of(column).unwrap();
        let decimals: &Decimal128Array = batch.column(index).as_any().downcast_ref().unwrap();
        let step = if decimals.scale() == 4 { 100 } else { 1 };
        let values = decimals.iter().enumerate();
        let changed: Decimal128Array =
            values.map(|(place, units)| units.map(|units| units + step * i128::from(before + place == row))).collect();
        let mut columns = batch.columns().to_vec();
        columns[index] = Arc::new(changed.with_data_type(decimals.data_type().clone()));
        altered.push(RecordBatch::try_new(batch.schema(), columns).unwrap());
        before += batch.num_rows();
    }
    altered
}

/// Whether the audit finds a difference.
fn finds(books: &BilledPeriod, config: &Config) -> bool {
    let audit = block_on(async {
        ledger::post_unproved(&books.session, &config.chart_of_accounts).await.unwrap();
        audit(books).await.unwrap()
    });
    let is_missing =
        |row: rows::Row<'_>| row.text("part").unwrap() == "difference" && row.units("amount").unwrap() != 0;
    rows::each(&audit.reconciliation).any(is_missing) || audit.claims.iter().any(|claim| claim.broken > 0)
}

/// Changes every amount of one row in each relation of a period, and asserts that the audit finds each change. Returns
/// the number of rows in each relation.
fn check(lake: &TestLake, period: &str, picked: impl Fn(usize) -> usize) -> Vec<(&'static str, usize)> {
    let config = read_config(&lake.path("conto.toml")).0.unwrap();
    let books = block_on(BilledPeriod::open(&config, period.parse().unwrap())).unwrap().unwrap();
    assert!(!finds(&books, &config), "{period} has a difference before any change");
    let mut counts = Vec::new();
    let mut missed = Vec::new();
    for (path, columns) in amounts() {
        let batches = block_on(books.session.rows_of(path)).unwrap();
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        counts.push((path, count));
        for column in columns.iter().filter(|_| count > 0) {
            // Only one row is changed, because every audit plans and runs all statements.
            let row = picked(count);
            books.session.register(path, altered(&batches, column, row)).unwrap();
            if !finds(&books, &config) {
                missed.push(format!("{path}: {column} of row {row}"));
            }
        }
        books.session.register(path, batches).unwrap();
    }
    assert!(missed.is_empty(), "{period}: the audit does not find\n{}", missed.join("\n"));
    counts
}

/// The sample has discounts, credits of each kind, a minimum spend, three currencies and an account without invoices.
/// October is closed. Then late usage arrives for three projects: ten hours, and twice 0.001 hours. November continues
/// the balances.
#[test]
fn audit_finds_every_altered_amount() {
    let lake = TestLake::of_sample("accounts-and-terms");
    let plan = r#"
        [[recurring]]
        id = "plan"
        per = "account"
        accounts = ["C-2001", "C-2006"]
        unit_price = "3.10"
        "#;
    lake.put("rating-rules/plan.toml", plan);
    lake.close_by_force("2026-10", "2026-11-02");
    let late = [
        hours_of("hk-shop", "2026-10-30T10:00:00Z", "10"),
        hours_of("minato", "2026-10-30T10:00:00Z", "0.001"),
        hours_of("segur", "2026-10-30T10:00:00Z", "0.001"),
    ];
    lake.put("usage/late.jsonl", late.concat());
    lake.close_by_force("2026-10", "2026-11-09");
    lake.put("usage/november.jsonl", hours_of("atelier", "2026-11-05T10:00:00Z", "30"));
    lake.run("2026-11");

    let october = check(&lake, "2026-10", |_| 0);
    check(&lake, "2026-11", |count| count - 1);
    // Each relation has at least one row to change.
    let empty: Vec<_> = october.iter().filter(|(_, count)| *count == 0).collect();
    assert!(empty.is_empty(), "{empty:?}");
}
