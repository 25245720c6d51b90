//! From metered quantities to costs: tiers, flat fees, packages, caps, pricing units and price changes.
//!
//! If an example of a rule can show a price, the test runs the example; otherwise the test runs a month.
//! `rate_cards` tests list prices, factors and included units.

mod percentiles;
mod rate_cards;
mod signed;
mod unique_values;

use std::path::PathBuf;

use conto::load::{RuleFile, read_rule_files};
use conto::query::Session;
use conto::rating::eligibility;
use conto::rating::example::run_examples;
use iso_currency::Currency;
use jiff::tz::TimeZone;

use crate::test_lake::{TestLake, block_on};

const OCTOBER: &str = "2026-10";
const SUM: &str = r#"aggregation = "sum""#;

/// Asserts the costs of examples of one rule. An example is its sentence, its usage and its cost.
#[track_caller]
fn assert_costs(rule_keys: &str, examples: &[(&str, &str, &str)]) {
    assert_costs_of_meter(SUM, rule_keys, examples);
}

/// The same for a meter with these keys.
#[track_caller]
fn assert_costs_of_meter(meter_keys: &str, rule_keys: &str, examples: &[(&str, &str, &str)]) {
    let examples_toml = examples.iter().map(|(sentence, usage, cost)| {
        format!(
            r#"
            [[rule.example]]
            name = "{sentence}"
            {usage}
            cost = "{cost}"
            "#
        )
    });
    let text = format!(
        r#"
        [[meter]]
        name = "m"
        unit = "u"
        {meter_keys}

        [[rule]]
        id = "r"
        meter = "m"
        sku = "s"
        service = "S"
        {rule_keys}
        {}
        "#,
        examples_toml.collect::<String>()
    );
    let file = RuleFile { name: "rules.toml".to_owned(), folder: PathBuf::new(), text };
    let none = |_: &std::path::Path, _: &'static encoding_rs::Encoding| Err(std::io::ErrorKind::NotFound.into());
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let (book, found) = read_rule_files(vec![file], &none, &zone, Currency::EUR);
    assert!(!found.has_errors(), "{:?}", found.into_sorted());
    let session = Session::new(None).unwrap();
    let (compiled, _) = eligibility::compile(&session, &book);
    let outcomes = block_on(run_examples(&session, &book, &compiled, &zone)).unwrap();
    assert_eq!(outcomes.len(), examples.len());
    for outcome in outcomes {
        let (expected, found) = outcome.cost.expect("the example has a cost");
        assert_eq!(expected, found, "{}: {:?}", outcome.name, outcome.working);
    }
}

fn quantity(quantity: &str) -> String {
    format!(r#"quantity = "{quantity}""#)
}

#[test]
fn tier_up_to_is_inclusive_and_no_fraction_falls_between_tiers() {
    let tiers = r#"tier = [{ up_to = "100", unit_price = "1" }, { unit_price = "0.5" }]"#;
    assert_costs(
        &format!("tiers = \"volume\"\n{tiers}"),
        &[
            ("99.5 is in the first tier", &quantity("99.5"), "99.5"),
            ("so is 100", &quantity("100"), "100"),
            ("a billionth more is in the second, with all of it", &quantity("100.000000001"), "50.0000000005"),
        ],
    );
    assert_costs(
        &format!("tiers = \"graduated\"\n{tiers}"),
        &[("only what is above is in the second", &quantity("100.5"), "100.25")],
    );
}

#[test]
fn flat_fee_of_no_usage_is_due_only_with_flat_fee_at_zero() {
    let tiers = r#"
        tiers = "graduated"
        tier = [{ unit_price = "1", flat_fee = "5" }]
        "#;
    assert_costs(&format!("flat_fee_at_zero = true\n{tiers}"), &[("due", &quantity("0"), "5")]);
    assert_costs(tiers, &[("not due", &quantity("0"), "0"), ("due once", &quantity("2"), "7")]);
}

/// 50 of two projects are within the 100 free units of their account, so only the flat fee is due, once and in full.
#[test]
fn flat_fee_of_free_usage_is_due_in_full_in_the_pool_of_an_account() {
    let rule = r#"
        per = "account"
        free_units = "100"
        flat_fee_at_zero = true
        tiers = "graduated"
        tier = [{ unit_price = "1", flat_fee = "5" }]
        "#;
    let usage = r#"usage = [{ project = "p", quantity = "30" }, { project = "q", quantity = "20" }]"#;
    assert_costs(rule, &[("due once", usage, "5")]);
}

/// 12 units and then 10 more: 10 × 2 + 12 × 1, with flat fees of 1 and 3, equals 36.
#[test]
fn graduated_total_is_the_same_in_parts_and_each_flat_fee_is_due_once() {
    let rule = r#"
        tiers = "graduated"
        tier = [
            { up_to = "10", unit_price = "2", flat_fee = "1" },
            { unit_price = "1", flat_fee = "3" },
        ]
        "#;
    let split = TestLake::of_one_rule(SUM, rule).usage(["m,a,2026-10-05T10:00:00Z,12,p"]);
    split.run(OCTOBER);
    assert_eq!(split.sum("rated_usage", "contracted_cost"), "26");
    split.deliver("later", ["m,b,2026-10-20T10:00:00Z,10,p"]);
    split.run(OCTOBER);
    assert_eq!(split.sum("rated_usage", "contracted_cost"), "36");
    let whole = TestLake::of_one_rule(SUM, rule).usage(["m,a,2026-10-05T10:00:00Z,22,p"]);
    whole.run(OCTOBER);
    assert_eq!(whole.sum("rated_usage", "contracted_cost"), "36");
}

/// Two resources of one project use 60 each, and another project uses 60 in the same hour and 60 in the next hour.
#[test]
fn per_and_every_decide_whose_usage_fills_a_tier() {
    let usage = r#"usage = [
        { project = "p", resource = "a", quantity = "60" },
        { project = "p", resource = "b", quantity = "60" },
        { project = "q", resource = "c", quantity = "60" },
        { project = "q", resource = "c", quantity = "60", at = 2026-01-01T01:00:00+01:00 },
    ]"#;
    let tiers = r#"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "1" }, { unit_price = "0.5" }]
        "#;
    for (scope, cost) in [
        // 60 + 60 + (100 + 20 × 0.5)
        (r#"per = "resource""#, "230"),
        // 100 + 20 × 0.5, twice
        (r#"per = "project""#, "220"),
        // 100 + 140 × 0.5
        (r#"per = "account""#, "170"),
        // 100 + 20 × 0.5, 60, 60
        ("per = \"project\"\nevery = \"window\"", "230"),
    ] {
        let sentence = scope.replace('"', "'").replace('\n', ", ");
        assert_costs(&format!("{scope}\n{tiers}"), &[(&sentence, usage, cost)]);
    }
}

/// 7,400 are 7.4 thousand, rounded to 8. Less 2 free units they are 6: 5 × 10 + 1 × 4 = 54, limited to 50. With a
/// discount of 10 % they are 45, with 20 % of tax 54. A voucher pays 4, so 50 are due.
#[test]
fn the_order_is_pricing_unit_round_quantity_free_units_tiers_maximum_discount_tax_credit() {
    let rule = r#"
        pricing_unit = { name = "thousand", of = "1000" }
        round_quantity = { up_to_multiple_of = "1" }
        free_units = "2"
        maximum = "50"
        tiers = "graduated"
        tier = [{ up_to = "5", unit_price = "10" }, { unit_price = "4" }]

        [[discount]]
        id = "d"
        description = "A tenth"
        percent = "10"

        [[credit]]
        id = "v"
        description = "Voucher"
        account = "p"
        kind = "prepaid"
        taxed = "at_use"
        amount = "4.00"
        "#;
    let account = r#"
        [[account]]
        id = "p"
        name = "P"
        country = "FR"
        projects = ["p"]
        "#;
    let lake = TestLake::of_one_rule(SUM, rule).accounts(account).usage(["m,a,2026-10-05T10:00:00Z,7400,p"]);
    lake.run(OCTOBER);
    let amounts = ["line_total", "allowance_total", "total_without_tax", "tax_amount", "total_with_tax", "amount_due"];
    let found = amounts.map(|name| lake.column("invoice", name)[0].clone());
    assert_eq!(found, ["50.0000", "5.0000", "45.0000", "9.0000", "54.0000", "50.0000"]);
}

/// A package of 100 units costs 1 in the first tier, which ends after 250 units, not after 250 packages.
#[test]
fn tier_up_to_counts_units_and_not_packages() {
    let rule = r#"
        tiers = "graduated"
        tier = [
            { up_to = "250", unit_price = "1", package = "100" },
            { unit_price = "0.5", package = "100" },
        ]
        "#;
    assert_costs(
        rule,
        &[
            ("250 are three started packages", &quantity("250"), "3"),
            ("of 251 one unit starts a package of the second tier", &quantity("251"), "3.5"),
        ],
    );
}

#[test]
fn cap_replaces_the_hourly_price_from_its_hours_on() {
    assert_costs(
        r#"
        unit_price = "0.006"
        cap = { hours = "672", price = "4.00" }
        "#,
        &[
            ("671 hours by the hour, which is more than the month", &quantity("671"), "4.026"),
            ("672 hours are the month", &quantity("672"), "4.00"),
            ("so are 744", &quantity("744"), "4.00"),
        ],
    );
}

#[test]
fn pricing_unit_of_hours_in_period_and_of_binary_or_decimal_gigabytes() {
    let month = |period: &str, hours: &str| format!("period = \"{period}\"\n{}", quantity(hours));
    assert_costs(
        r#"
        pricing_unit = { name = "GB-month", of = "hours_in_period" }
        unit_price = "1"
        "#,
        &[
            ("30 days", &month("2026-11", "720"), "1"),
            ("31 days", &month("2026-12", "744"), "1"),
            ("28 days", &month("2026-02", "672"), "1"),
            ("an hour more", &month("2026-10", "745"), "1"),
        ],
    );
    assert_costs(
        r#"
        pricing_unit = { name = "GB", of = "1000000000" }
        unit_price = "1"
        "#,
        &[("10^9 bytes", &quantity("1000000000"), "1")],
    );
    assert_costs(
        r#"
        pricing_unit = { name = "GiB", of = "1073741824" }
        unit_price = "1"
        "#,
        &[("2^30 bytes", &quantity("1073741824"), "1")],
    );
}

/// Object stores report bytes, and a bucket is billed by its bytes and seconds. October has 2,678,400 seconds. 2 PB in
/// all of them are 5.3568 × 10^21 byte-seconds, or 2,000,000 GB-months at 0.02. A day has 1.728 × 10^20 byte-seconds.
/// Without a pricing unit, the line has all byte-seconds; at 10^-12 each they are 5,356,800,000.00.
#[test]
fn petabytes_in_bytes_are_summed_over_a_month_of_seconds() {
    let meter = r#"
        aggregation = "time_weighted"
        max_gap = "1h"
        "#;
    let per_gigabyte = r#"
        pricing_quantity = "quantity * 0.000000001"
        pricing_unit = { name = "GB-month", of = "seconds_in_period" }
        unit_price = "0.02"
        "#;
    let of_unit = r#"
        pricing_unit = { name = "GB-month", of = "2678400000000000" }
        unit_price = "0.02"
        "#;
    let raw = r#"unit_price = "0.000000000001""#;
    let hours = |resource: &str, project: &str, bytes: u64| -> Vec<String> {
        let start: jiff::Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        let at = |hour| start + jiff::SignedDuration::from_hours(hour);
        (0..744).map(|hour| format!("m,{resource},{},{bytes},{project}", at(hour))).collect()
    };
    let month = |rule: &str| {
        let rows = hours("a", "p", 5_000_000_000_000).into_iter().chain(hours("b", "q", 2_000_000_000_000_000));
        let lake = TestLake::of_one_rule(meter, rule).config(r#"time_zone = "UTC""#).usage(rows);
        lake.run(OCTOBER);
        assert_eq!(lake.rows("unrated_usage").len(), 0);
        (lake.column("invoice_line", "net_amount"), lake.column("invoice_line", "quantity"))
    };
    let amounts = ["100.0000", "40000.0000"];
    assert_eq!(month(per_gigabyte).0, amounts);
    assert_eq!(month(of_unit).0, amounts);
    let (raw_amounts, raw_quantities) = month(raw);
    assert_eq!(raw_amounts, ["13392000.0000", "5356800000.0000"]);
    assert_eq!(raw_quantities, ["13392000000000000000.000000000", "5356800000000000000000.000000000"]);
}

/// Before the change, 80 units cost 1 each. After it, 20 of 50 units still fill the first tier, at the new price 2. The
/// other 30 are in the second tier, at 1.
#[test]
fn valid_from_splits_usage_at_the_instant_and_the_tiers_of_a_pool_continue() {
    let rules = r#"
        pool = "p"
        valid_to = 2026-10-16T12:00:00Z
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "1" }, { unit_price = "0.5" }]

        [[rule]]
        id = "new"
        meter = "m"
        sku = "s"
        service = "S"
        pool = "p"
        valid_from = 2026-10-16T12:00:00Z
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "2" }, { unit_price = "1" }]
        "#;
    let lake =
        TestLake::of_one_rule(SUM, rules).usage(["m,a,2026-10-16T11:59:59Z,80,p", "m,a,2026-10-16T12:00:00Z,50,p"]);
    lake.run(OCTOBER);
    let mut costs = lake.column("invoice_line", "net_amount");
    costs.sort();
    assert_eq!(costs, ["30.0000", "40.0000", "80.0000"]);
}

/// Price lists have "up to 100" and "more than 100", or "less than 100" and "100 and more". The tier of exactly 100
/// differs. The smallest quantity is a billionth.
#[test]
fn tier_below_is_exclusive_and_up_to_is_inclusive() {
    let just_below = ("a billionth less is in the first tier", quantity("99.999999999"));
    let step = |bound: &str| {
        format!("tiers = \"stairstep\"\ntier = [{{ {bound} = \"100\", flat_fee = \"10\" }}, {{ flat_fee = \"20\" }}]")
    };
    let at_100 = quantity("100");
    assert_costs(&step("up_to"), &[(just_below.0, &just_below.1, "10"), ("100 is in the first", &at_100, "10")]);
    assert_costs(&step("below"), &[(just_below.0, &just_below.1, "10"), ("100 is in the second", &at_100, "20")]);
    // With three free units, the tiers are counted after them: 102.999999999 and 103 units in all. The total of 50
    // thousands is 50,000 metered units.
    let volume = r#"
        free_units = "3"
        pricing_unit = { name = "thousand", of = "1000" }
        tiers = "volume"
        tier = [{ below = "100", unit_price = "2" }, { below = "200", unit_price = "1" }, { unit_price = "0.5" }]
        "#;
    assert_costs(
        volume,
        &[
            (
                "102,999.999999999 units: 99.999999999999 at 2, exact before rounding",
                &quantity("102999.999999999"),
                "199.999999999998",
            ),
            ("103,000 units: 100 at 1", &quantity("103000"), "100"),
            ("203,000 units: 200 at 0.5", &quantity("203000"), "100"),
        ],
    );
}

/// Each kind of tier and price has the maximum. Flat fees count, and a factor raises the maximum with the prices.
#[test]
fn max_amount_limits_one_tier_with_its_flat_fee() {
    let limited = r#"
        tiers = "graduated"
        tier = [
            { up_to = "100", unit_price = "0.50", flat_fee = "10", max_amount = "40" },
            { up_to = "200", unit_price = "1", max_amount = "70" },
            { unit_price = "0.10" },
        ]
        "#;
    let costs = [
        ("10 + 50 × 0.50 = 35", &quantity("50") as &str, "35"),
        ("10 + 60 × 0.50 is exactly the maximum", &quantity("60"), "40"),
        ("10 + 100 × 0.50 = 60 are 40", &quantity("100"), "40"),
        ("40 + 50 × 1", &quantity("150"), "90"),
        ("40 + 70 + 50 × 0.10", &quantity("250"), "115"),
    ];
    assert_costs(limited, &costs);
    // Three free units move the tiers. The pool's maximum applies to 40 + 70 + 5, and the minimum to 10 + 0.50.
    let bounded = format!("free_units = \"3\"\nminimum = \"20\"\nmaximum = \"100\"\n{limited}");
    assert_costs(&bounded, &[("at most 100", &quantity("253"), "100"), ("at least 20", &quantity("4"), "20")]);
    assert_costs(&bounded, &[("between both", &quantity("153"), "90")]);
    let volume = r#"
        tiers = "volume"
        tier = [{ up_to = "100", unit_price = "0.50", max_amount = "40" }, { unit_price = "0.40" }]
        "#;
    assert_costs(
        volume,
        &[
            ("80 × 0.50", &quantity("80"), "40"),
            ("not 50", &quantity("100"), "40"),
            ("all 101", &quantity("101"), "40.4"),
        ],
    );
    let packages = r#"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "9", package = "10", max_amount = "50" }, { unit_price = "1" }]
        "#;
    assert_costs(packages, &[("five packages", &quantity("41"), "45"), ("six are 54", &quantity("51"), "50")]);
    let daily = format!("every = \"day\"\n{limited}");
    let days = r#"usage = [{ quantity = "100" }, { quantity = "100", at = 2026-01-02T12:00:00Z }]"#;
    assert_costs(&daily, &[("40 on each day", days, "80")]);
}

/// The first delivery costs 4,000 × 0.03 = 120, limited to 50. The second has 1,000 in the first tier, which cost
/// nothing more, and 1,000 in the second at 0.01. A factor of 2 doubles prices and maximum.
#[test]
fn max_amount_is_the_same_in_parts_and_its_rows_add_up() {
    let rule = r#"
        tiers = "graduated"
        tier = [{ up_to = "5000", unit_price = "0.03", max_amount = "50" }, { unit_price = "0.01" }]
        "#;
    let lake = TestLake::of_one_rule(SUM, rule).usage(["m,a,2026-10-05T10:00:00Z,4000,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "50");
    lake.deliver("later", ["m,b,2026-10-20T10:00:00Z,2000,p"]);
    lake.run(OCTOBER);
    let rows = lake.rows_where("rated_usage", "charge_kind", "maximum");
    let mut differences: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["charge_date"], row["contracted_cost"])).collect();
    differences.sort();
    assert_eq!(differences, ["2026-10-05 -70.000000000000000000", "2026-10-20 -30.000000000000000000"]);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "60");
    assert_eq!(lake.sum("rated_usage", "list_cost"), "60");
    assert_eq!(lake.column("invoice", "line_total"), ["60.0000"]);
    let factor = r#"

        [[rule]]
        id = "double"
        meter = "m"
        factor = "2"
        "#;
    let doubled = TestLake::of_one_rule(SUM, &format!("{rule}{factor}")).usage(["m,a,2026-10-05T10:00:00Z,6000,p"]);
    doubled.run(OCTOBER);
    assert_eq!(doubled.sum("rated_usage", "contracted_cost"), "120");
}

/// Projects with 4,500 and 1,500 share the tiers of an account. The first has three quarters of 50 + 1,000 × 0.01.
#[test]
fn max_amount_of_an_account_pool_is_shared_in_proportion_to_cost() {
    let rule = r#"
        per = "account"
        tiers = "graduated"
        tier = [{ up_to = "5000", unit_price = "0.03", max_amount = "50" }, { unit_price = "0.01" }]
        "#;
    let account = r#"
        [[account]]
        id = "a"
        name = "A"
        country = "FR"
        projects = ["p", "q"]
        "#;
    let lake = TestLake::of_one_rule(SUM, rule)
        .accounts(account)
        .usage(["m,a,2026-10-05T10:00:00Z,4500,p", "m,b,2026-10-06T10:00:00Z,1500,q"]);
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "60");
    let rows = lake.rows_where("rated_usage", "charge_kind", "maximum");
    let mut shares: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["project_id"], row["contracted_cost"])).collect();
    shares.sort();
    assert_eq!(shares, ["p -75.000000000000000000", "q -25.000000000000000000"]);
}

/// The pool of an account with three projects has a minimum of 10. The shares of the projects add up to exactly 10.
#[test]
fn minimum_of_an_account_pool_is_shared_by_projects_without_a_rest() {
    let rule = r#"
        per = "account"
        minimum = "10"
        unit_price = "1"
        "#;
    let account = r#"
        [[account]]
        id = "a"
        name = "A"
        country = "FR"
        projects = ["p", "q", "r"]
        "#;
    let lake = TestLake::of_one_rule(SUM, rule)
        .accounts(account)
        .usage(["p", "q", "r"].map(|project| format!("m,{project},2026-10-05T10:00:00Z,1,{project}")));
    lake.run(OCTOBER);
    assert_eq!(lake.sum("rated_usage", "contracted_cost"), "10");
}

/// Machines without vCPUs are priced at a quantity of zero, even if their pool is at the bound of a tier. Each of the
/// four machines is rated, and 2 vCPU-hours at 0.10 are the only line.
#[test]
fn pricing_quantity_of_zero_is_rated_and_makes_no_line() {
    let meter = r#"
        aggregation = "presence"
        dimensions.vcpus = { from = ["vcpus"], type = "decimal" }
        "#;
    let rule = r#"
        pricing_quantity = "quantity * vcpus"
        tiers = "graduated"
        tier = [{ up_to = "2", unit_price = "0.10" }, { unit_price = "0.05" }]
        "#;
    let lake = TestLake::of_one_rule(meter, rule).config(r#"time_zone = "Europe/Paris""#);
    lake.deliver_with(
        "vcpus",
        "usage",
        [
            "m,vm-1,2026-10-01T08:10:00Z,1,p1,0",
            "m,vm-2,2026-10-01T08:10:00Z,1,p1,2",
            "m,vm-3,2026-10-01T08:10:00Z,1,p1,0",
            "m,vm-4,2026-10-01T08:10:00Z,1,p2,0",
        ],
    );
    lake.run(OCTOBER);
    let rows = |relation: &str| lake.rows(relation).len();
    assert_eq!((rows("rated_usage"), rows("unrated_usage")), (4, 0));
    assert_eq!((rows("invoice_line"), rows("invoice")), (1, 1));
    assert_eq!(lake.column("invoice_line", "net_amount"), ["0.2000"]);
}

/// `conto rules check --used-in` lists prices without usage in the month: one of two prices of a list, and a rule whose
/// meter has no usage.
#[test]
fn rules_check_used_in_lists_prices_without_usage_and_commits_nothing() {
    let rules = r#"
        [[meter]]
        name = "m"
        aggregation = "sum"
        unit = "u"
        dimensions.size = { from = ["size"] }

        [[meter]]
        name = "n"
        aggregation = "sum"
        unit = "u"

        [[rule]]
        id = "sizes"
        meter = "m"
        sku = "M"
        service = "S"
        price_list = "sizes.csv"

        [[rule]]
        id = "none"
        meter = "n"
        sku = "N"
        service = "S"
        unit_price = "1"
        "#;
    let lake = TestLake::new().rules(rules).file("rules/sizes.csv", "size,unit_price\nsmall,1\nlarge,2\n");
    lake.deliver_with("size", "usage", ["m,a,2026-10-05T10:00:00Z,1,p,small"]);
    lake.run(OCTOBER);
    let text = lake.succeeds(&["rules", "check", "--used-in", OCTOBER]);
    assert!(text.contains("rule `none` prices no usage of 2026-10"), "{text}");
    assert!(text.contains("rule `sizes`: no usage of 2026-10 has 1 of its 2 prices: large (line 3)"), "{text}");
    assert_eq!(lake.commit_count(), 2, "a check commits nothing");
}
