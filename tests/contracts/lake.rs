//! Compares the headers of stored relations with the rows of a lake after a whole run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::row::{RowConverter, SortField};
use conto::load;
use conto::pipeline;
use conto::pipeline::BillingOptions;
use conto::query::{Statement, statements};
use conto::run::{Documents, RunOptions, Silent};
use conto::storage::Lake;
use jiff::tz::TimeZone;

use super::rules::grain;

/// Relations whose grain is unique within their partition only, a date or a billing period.
const OF_A_PARTITION: [&str; 4] = ["active_series", "stream_state", "rate", "rate_tier"];

/// Runs the pipeline for October 2026 with the `conto.toml` of a folder and writes to this lake.
pub(crate) async fn run(folder: &Path, lake: &Path) {
    let (config, _) = load::read_config(&folder.join("conto.toml"));
    let mut config = config.unwrap();
    config.lake = lake.display().to_string();
    let zone = TimeZone::get(&config.time_zone).unwrap();
    let (rules, problems) = load::read_rules(&config.rules, &zone, config.currency, None);
    assert!(!problems.has_errors(), "{problems:?}");
    let period = "2026-10".parse().unwrap();
    let night = BillingOptions { period, documents: Documents::None, max_rejected: None, allow_no_usage: true };
    let options = RunOptions {
        memory_limit_bytes: None,
        started_at: "2026-11-02T00:00:00Z".to_owned(),
        progress: Arc::new(Silent),
    };
    pipeline::run(Arc::new(config), Arc::new(rules), night, options).await.unwrap();
}

/// Nulls in columns that are `not null`, and rows with equal grain.
pub(crate) fn breaches(statement: &Statement, batches: &[RecordBatch]) -> Vec<String> {
    let mut found = Vec::new();
    for field in statement.schema.fields().iter().filter(|field| !field.is_nullable()) {
        let nulls: usize = batches.iter().map(|batch| batch.column_by_name(field.name()).unwrap().null_count()).sum();
        if nulls > 0 {
            found.push(format!("{} nulls in `{}`", nulls, field.name()));
        }
    }
    let columns: Vec<&str> = grain(statement).collect();
    if columns.iter().any(|name| statement.schema.field_with_name(name).is_err()) {
        return found; // the output lacks a column of the grain
    }
    let kinds = columns.iter().map(|name| statement.schema.field_with_name(name).unwrap().data_type().clone());
    let converter = RowConverter::new(kinds.map(SortField::new).collect()).unwrap();
    let mut seen = HashSet::new();
    for batch in batches {
        let keys: Vec<_> = columns.iter().map(|name| Arc::clone(batch.column_by_name(name).unwrap())).collect();
        for (index, key) in converter.convert_columns(&keys).unwrap().iter().enumerate() {
            if !seen.insert(key.owned()) {
                found.push(format!("two rows with equal ({}): {:?}", columns.join(", "), batch.slice(index, 1)));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stored_relation_has_unique_grain_and_no_unexpected_null() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/one-month-cloud");
    run(&sample, directory.path()).await;
    let lake = Lake::open(&directory.path().display().to_string()).unwrap();
    let snapshot = lake.snapshot().await.unwrap();
    let stored = snapshot.relations();
    assert!(stored.len() >= 15, "the sample should fill every stored relation, found {stored:?}");
    let mut found = Vec::new();
    for relation in stored {
        let statement = statements().unwrap().values().find(|statement| statement.name == relation);
        let statement = statement.unwrap_or_else(|| panic!("`{relation}` is stored, but has no file below sql/"));
        let mut parts: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
        for file in snapshot.files(relation) {
            let part = if OF_A_PARTITION.contains(&relation) { file.partition.clone() } else { String::new() };
            parts.entry(part).or_default().extend(lake.read_data(file).await.unwrap());
        }
        for (part, batches) in parts {
            assert!(batches.iter().any(|batch| batch.num_rows() > 0), "{relation}");
            found
                .extend(breaches(statement, &batches).into_iter().map(|breach| format!("{relation} {part}: {breach}")));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_duplicate_row_and_a_null_are_found() {
    let statement = &statements().unwrap()["metering/metered_day"];
    let schema = Arc::new(arrow::datatypes::Schema::new(
        statement.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
    ));
    let nulls = schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), 1)).collect();
    let row = RecordBatch::try_new(schema, nulls).unwrap();
    let found = breaches(statement, &[row.clone(), row]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found[0].contains("2 nulls in `series_id`")
            && found[4].contains("two rows with equal (series_id, charge_date)")
    );
}
