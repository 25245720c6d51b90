//! Shows that every rule can fail: a valid text that is changed in one place violates it.

use conto::query::statement::parse;

use super::{rules, session};

const GOOD: &str = "\
-- metered_day: the metered quantity of a series on a date.
--
-- grain   series_id, charge_date
-- reads   metered_usage
-- params  $from DATE
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         consumed_quantity  DECIMAL(38,9) not null
SELECT series_id, charge_date, CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity
FROM metered_usage
WHERE charge_date >= CAST($from AS DATE)
GROUP BY series_id, charge_date
ORDER BY series_id, charge_date
";

/// A part of the text, its replacement, and a part of the expected violation.
const BAD: &[(&str, &str, &str)] = &[
    ("-- metered_day:", "-- metered_date:", "the header names it `metered_date`"),
    ("-- reads   metered_usage\n", "", "the header must list the relations"),
    ("-- reads   metered_usage", "-- reads   metered_usage, carry", "the header lists `carry`"),
    ("-- reads   metered_usage", "-- reads   carry", "reads `metered_usage`, which the header does not list"),
    (
        "-- params  $from DATE",
        "-- calls   smallest_unit\n-- params  $from DATE",
        "the header lists the call of smallest_unit()",
    ),
    (
        "WHERE charge_date",
        "WHERE smallest_unit(CAST(2 AS BIGINT)) > 0 AND charge_date",
        "calls smallest_unit(), which the header does not list",
    ),
    ("-- params  $from DATE", "-- params  $from DATE, $to DATE", "the header lists $to"),
    ("-- params  $from DATE\n", "", "uses $from, which the header does not list"),
    ("-- params  $from DATE", "-- params  $from BIGINT", "$from is Date32 in the SELECT"),
    ("CAST($from AS DATE)", "CAST($from AS DATE) AND charge_date <> $from", "$from must be inside a CAST"),
    ("-- reads", "-- by      src/metering\n-- reads", "must not have `by`"),
    ("-- grain   series_id, charge_date\n", "", "the header must state the grain"),
    ("-- grain   series_id, charge_date", "-- grain   series_id, project_id", "the grain has `project_id`"),
    ("ORDER BY series_id, charge_date\n", "ORDER BY series_id\n", "lacks `charge_date`"),
    ("ORDER BY series_id, charge_date\n", "", "lacks `series_id`"),
    ("AS consumed_quantity", "AS quantity", "the SELECT has series_id, charge_date, quantity"),
    (
        "CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9))",
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9)))",
        "as Decimal128(38, 9)",
    ),
    ("BIGINT UNSIGNED not null", "BIGINT UNSIGNED", "`series_id` can never be null"),
    ("SUM(CAST(consumed_quantity AS DECIMAL(60,9)))", "AVG(consumed_quantity)", "calls avg()"),
    ("SUM(CAST(consumed_quantity AS DECIMAL(60,9)))", "SUM(CAST(consumed_quantity AS DECIMAL(60,9))) / 2", "divides"),
    (
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9)))",
        "SUM(CAST(consumed_quantity AS DECIMAL(38,9)))",
        "sums DECIMAL(38,9)",
    ),
    ("SUM(CAST(consumed_quantity AS DECIMAL(60,9)))", "SUM(CAST(consumed_quantity AS DOUBLE))", "is Float64"),
    ("SUM(CAST(consumed_quantity AS DECIMAL(60,9)))", "SUM(CAST(consumed_quantity AS REAL))", "uses the type `real`"),
    ("SUM(CAST(consumed_quantity AS DECIMAL(60,9)))", "MAX(power(consumed_quantity, 0.5))", "is Float64"),
    (
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9)))",
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9))) * CAST(random() AS DECIMAL(9,8))",
        "calls random()",
    ),
    ("CAST($from AS DATE)", "CAST(now() AS DATE) AND charge_date < CAST($from AS DATE)", "calls now()"),
    (
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9)))",
        "LAST_VALUE(consumed_quantity)",
        "calls last_value() without an ORDER BY",
    ),
    (
        "SUM(CAST(consumed_quantity AS DECIMAL(60,9)))",
        "SUM(SUM(CAST(consumed_quantity AS DECIMAL(60,9)))) OVER (PARTITION BY series_id ORDER BY charge_date)",
        "a running SUM needs ROWS",
    ),
    (
        "SELECT series_id, charge_date, \
         CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity",
        "SELECT *",
        "the outer SELECT has `*`",
    ),
    ("GROUP BY", "GROUP BI", "cannot be planned"),
    ("FROM metered_usage\n", "FROM metered_usage \n", "trailing spaces"),
];

const INTERMEDIATE: &str = "\
-- used_day: a date with usage.
--
-- grain   series_id, charge_date
-- reads   wholesale_usage
-- params  $currency TEXT
-- writes  series_id    BIGINT UNSIGNED not null
--         charge_date  DATE not null
SELECT DISTINCT series_id, charge_date
FROM wholesale_usage
";

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_intermediate_relations_can_fail() {
    const PATH: &str = "export/intermediate/used_day.sql";
    let good = breaches(PATH, INTERMEDIATE.to_owned()).await;
    assert!(good.is_empty(), "{good:?}");
    let found = breaches(PATH, format!("{INTERMEDIATE}ORDER BY series_id, charge_date\n")).await;
    assert!(found[0].contains("must not have an ORDER BY"), "{found:?}");
    let found = breaches(PATH, INTERMEDIATE.replace("-- params  $currency TEXT\n", "")).await;
    assert!(found[0].contains("reads an intermediate relation with $currency Utf8"), "{found:?}");
}

async fn breaches(path: &'static str, text: String) -> Vec<String> {
    let statement = parse(path, text.leak()).unwrap();
    rules::breaches(&session(), &statement).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_a_statement_can_fail() {
    let good = breaches("metering/metered_day.sql", GOOD.to_owned()).await;
    assert!(good.is_empty(), "{good:?}");
    for (what, by, violation) in BAD {
        assert!(GOOD.contains(what), "{what}");
        let found = breaches("metering/metered_day.sql", GOOD.replacen(what, by, 1)).await;
        assert!(
            found.iter().any(|breach| breach.contains(violation)),
            "`{by}` should give `{violation}`, got {found:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_a_header_without_select_can_fail() {
    const MADE: &str = "\
-- made: a row of Rust code.
--
-- grain   made_id
-- by      src/made.rs
-- writes  made_id  BIGINT not null
";
    assert!(breaches("rating/made.sql", MADE.to_owned()).await.is_empty());
    let found = breaches("rating/made.sql", MADE.replace("-- by      src/made.rs\n", "")).await;
    assert!(found[0].contains("must name its Rust code"), "{found:?}");
    let found = breaches("rating/made.sql", MADE.replace("-- by", "-- reads   rate\n-- by")).await;
    assert!(found[0].contains("no `reads`, `calls` or `params`"), "{found:?}");
    let found = breaches("rating/made.sql", MADE.replace("-- writes  made_id  BIGINT not null\n", "")).await;
    assert!(found[0].contains("must list the columns"), "{found:?}");
    let found = breaches("rating/checks/made.sql", MADE.to_owned()).await;
    assert!(found.iter().any(|breach| breach.contains("a check needs a SELECT")), "{found:?}");
    let found = breaches("rating/checks/made.sql", format!("{MADE}SELECT 1\n")).await;
    assert!(found.iter().any(|breach| breach.contains("neither `grain` nor `writes`")), "{found:?}");
}

#[test]
fn an_invalid_header_is_explained() {
    let wrong =
        |what: &str, by: &str| parse("metering/metered_day.sql", GOOD.replacen(what, by, 1).leak()).unwrap_err();
    assert!(wrong("-- metered_day: ", "-- metered_day ").contains("the first line"));
    assert!(wrong("$from DATE", "$from DAY").contains("the type of $from"));
    assert!(wrong("DECIMAL(38,9) not null", "DOUBLE not null").contains("the type of `consumed_quantity`"));
}
