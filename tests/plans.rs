//! `conto sql --explain`, and the statements that each command executes.

mod executions;
mod rule_rows;

use conto::query::{Session, statements};
use serde_json::Value;

use crate::test_lake::TestLake;

/// A statement needs no registered relation, so that an empty lake has plans for all statements.
#[tokio::test(flavor = "multi_thread")]
async fn every_statement_has_a_plan_without_any_relation() {
    let session = Session::new(None).unwrap();
    let mut planned = 0;
    for statement in statements().unwrap().values().filter(|statement| statement.has_select()) {
        let plan = session.plan_of(statement).await.unwrap_or_else(|error| panic!("{}: {error:?}", statement.path));
        assert!(!plan.logical.is_empty() && !plan.physical.is_empty(), "{}", statement.path);
        let given: Vec<&str> = plan.parameters.iter().map(|(name, _)| *name).collect();
        let listed: Vec<&String> = statement.parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(given, listed, "{}", statement.path);
        planned += 1;
    }
    assert!(planned > 100, "{planned} statements have a SELECT");
}

#[test]
fn the_plan_of_a_relation_reads_the_files_of_the_lake() {
    let lake = TestLake::of_one_rule("aggregation = \"sum\"", "unit_price = \"2\"");
    let physical = |relation: &str| {
        let plan = lake.json(&["sql", "--explain", relation]);
        assert_eq!(plan["file"], format!("sql/{relation}.sql"));
        plan["physical_plan"].as_str().unwrap().to_owned()
    };
    let files = |plan: &str| plan.matches(".parquet").count();
    assert_eq!(files(&physical("rating/active_series")), 0);
    lake.deliver("usage", ["m,a,2026-10-05T10:00:00Z,3,p"]);
    lake.run("2026-10");
    // `active_series` reads the stored relations `series` and `stream`.
    assert_eq!(files(&physical("rating/active_series")), 2);

    let check = lake.json(&["sql", "--explain", "metering/checks/days_add_up_to_their_windows"]);
    assert!(check["logical_plan"].as_str().unwrap().contains("TableScan: metered_day"), "{check:#}");
    let dated = lake.json(&["sql", "--explain", "metered_usage"]);
    assert_eq!(dated["parameters"]["charge_date"], "day 1 after 1970-01-01", "{dated:#}");

    let by_rust = lake.json(&["sql", "--explain", "rate_tier"]);
    assert_eq!((&by_rust["logical_plan"], &by_rust["physical_plan"]), (&Value::Null, &Value::Null));
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/rating/rate_tier.sql")).unwrap();
    assert_eq!(by_rust["statement"], file);
}

/// The engine assumes that the columns of a `GROUP BY` stay unique after `UNNEST`, and drops all other columns of an
/// `ORDER BY`. Each statement with `UNNEST` is sorted by all its columns.
#[tokio::test]
async fn the_rows_of_lists_are_sorted_by_all_columns() {
    let session = Session::new(None).unwrap();
    let mut checked = Vec::new();
    for statement in statements().unwrap().values().filter(|statement| statement.has_select()) {
        if statement.is_intermediate() || !statement.sql.to_lowercase().contains("unnest(") {
            continue;
        }
        let order = statement.text.rsplit_once("ORDER BY ").unwrap().1.split(',').count();
        let plan = session.plan_of(statement).await.unwrap().logical;
        let sort = plan.lines().find(|line| line.trim().starts_with("Sort: ")).unwrap();
        assert_eq!(sort.matches(" NULLS ").count(), order, "{}: {sort}", statement.path);
        checked.push(statement.name.as_str());
    }
    assert!(checked.contains(&"pool_usage"), "{checked:?}");
}
