//! Every rule can fail: a good text, changed in one place, breaches it.

use conto::query::statement::parse;

use super::{rules, session};

const GOOD: &str = "\
-- metered_day: how much of what was used on each date.
--
-- grain   series_id, charge_date
-- reads   metered_usage
-- params  $from DATE
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         consumed_quantity  DECIMAL(28,9) not null
SELECT series_id, charge_date, CAST(SUM(consumed_quantity) AS DECIMAL(28,9)) AS consumed_quantity
FROM metered_usage
WHERE charge_date >= CAST($from AS DATE)
GROUP BY series_id, charge_date
ORDER BY series_id, charge_date
";

/// What is replaced, by what, and a part of the sentence that tells of it.
const BAD: &[(&str, &str, &str)] = &[
    ("-- metered_day:", "-- metered_date:", "the header calls it `metered_date`"),
    ("-- reads   metered_usage\n", "", "the header must name what the SELECT reads"),
    ("-- reads   metered_usage", "-- reads   metered_usage, carry", "says that it reads `carry`"),
    ("-- reads   metered_usage", "-- reads   carry", "reads `metered_usage`, which its header does not say"),
    ("-- params  $from DATE", "-- params  $from DATE, $to DATE", "its header says $to"),
    ("-- params  $from DATE\n", "", "takes $from, which its header does not say"),
    ("-- params  $from DATE", "-- params  $from BIGINT", "$from is Date32 in the text"),
    ("CAST($from AS DATE)", "CAST($from AS DATE) AND charge_date <> $from", "$from must stand in a CAST"),
    ("-- reads", "-- by      src/metering\n-- reads", "must not say `by`"),
    ("-- grain   series_id, charge_date\n", "", "the header must say the grain"),
    ("-- grain   series_id, charge_date", "-- grain   series_id, project_id", "the grain names `project_id`"),
    ("ORDER BY series_id, charge_date\n", "ORDER BY series_id\n", "ORDER BY over its grain: `charge_date`"),
    ("ORDER BY series_id, charge_date\n", "", "ORDER BY over its grain: `series_id`"),
    ("AS consumed_quantity", "AS quantity", "it gives series_id, charge_date, quantity"),
    ("CAST(SUM(consumed_quantity) AS DECIMAL(28,9))", "SUM(consumed_quantity)", "as Decimal128(28, 9)"),
    ("BIGINT UNSIGNED not null", "BIGINT UNSIGNED", "`series_id` can never be null"),
    ("SUM(consumed_quantity)", "AVG(consumed_quantity)", "calls avg()"),
    ("SUM(consumed_quantity)", "SUM(consumed_quantity) / 2", "divides"),
    ("SUM(consumed_quantity)", "SUM(CAST(consumed_quantity AS DECIMAL(38,9)))", "sums DECIMAL(38,9)"),
    ("SUM(consumed_quantity)", "SUM(CAST(consumed_quantity AS DOUBLE))", "is Float64"),
    ("SUM(consumed_quantity)", "SUM(CAST(consumed_quantity AS REAL))", "speaks of the type `real`"),
    ("SUM(consumed_quantity)", "MAX(power(consumed_quantity, 0.5))", "is Float64"),
    ("SUM(consumed_quantity)", "SUM(consumed_quantity) * CAST(random() AS DECIMAL(9,8))", "calls random()"),
    ("CAST($from AS DATE)", "CAST(now() AS DATE) AND charge_date < CAST($from AS DATE)", "calls now()"),
    ("SUM(consumed_quantity)", "LAST_VALUE(consumed_quantity)", "calls last_value() without an ORDER BY"),
    (
        "SUM(consumed_quantity)",
        "SUM(SUM(consumed_quantity)) OVER (PARTITION BY series_id ORDER BY charge_date)",
        "a running SUM needs ROWS",
    ),
    (
        "SELECT series_id, charge_date, CAST(SUM(consumed_quantity) AS DECIMAL(28,9)) AS consumed_quantity",
        "SELECT *",
        "the outer SELECT takes `*`",
    ),
    ("GROUP BY", "GROUP BI", "cannot be planned"),
    ("FROM metered_usage\n", "FROM metered_usage \n", "blanks at the end of a line"),
];

async fn breaches(path: &'static str, text: String) -> Vec<String> {
    let statement = parse(path, text.leak()).unwrap();
    rules::breaches(&session(), &statement).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_a_statement_can_be_broken() {
    let good = breaches("metering/metered_day.sql", GOOD.to_owned()).await;
    assert!(good.is_empty(), "{good:?}");
    for (what, by, told) in BAD {
        assert!(GOOD.contains(what), "{what}");
        let found = breaches("metering/metered_day.sql", GOOD.replacen(what, by, 1)).await;
        assert!(found.iter().any(|breach| breach.contains(told)), "`{by}` should be told as `{told}`, got {found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_a_header_alone_can_be_broken() {
    const MADE: &str =
        "-- made: rows of Rust.\n--\n-- grain   made_id\n-- by      src/made.rs\n-- writes  made_id  BIGINT not null\n";
    assert!(breaches("rating/made.sql", MADE.to_owned()).await.is_empty());
    let found = breaches("rating/made.sql", MADE.replace("-- by      src/made.rs\n", "")).await;
    assert!(found[0].contains("must say which Rust"), "{found:?}");
    let found = breaches("rating/made.sql", MADE.replace("-- by", "-- reads   rate\n-- by")).await;
    assert!(found[0].contains("it reads nothing"), "{found:?}");
    let found = breaches("rating/made.sql", MADE.replace("-- writes  made_id  BIGINT not null\n", "")).await;
    assert!(found[0].contains("what it writes"), "{found:?}");
    let found = breaches("rating/checks/made.sql", MADE.to_owned()).await;
    assert!(found.iter().any(|breach| breach.contains("a check needs a SELECT")), "{found:?}");
    let found = breaches("rating/checks/made.sql", format!("{MADE}SELECT 1\n")).await;
    assert!(found.iter().any(|breach| breach.contains("neither grain nor columns")), "{found:?}");
}

#[test]
fn a_header_that_cannot_be_read_says_why() {
    let wrong =
        |what: &str, by: &str| parse("metering/metered_day.sql", GOOD.replacen(what, by, 1).leak()).unwrap_err();
    assert!(wrong("-- metered_day: ", "-- metered_day ").contains("the first line"));
    assert!(wrong("$from DATE", "$from DAY").contains("the type of $from"));
    assert!(wrong("DECIMAL(28,9) not null", "DOUBLE not null").contains("the type of `consumed_quantity`"));
}
