//! Prices of a meter that accepts negative records. The cost equals the cost of the total, whatever its course.

use super::assert_costs_of_meter;

const SIGNED: &str = "aggregation = \"sum\"\nsigned = true";

/// The usage of successive days.
fn days(quantities: &[&str]) -> String {
    let day = |(day, quantity): (usize, &&str)| {
        format!("{{ at = 2026-01-{:02}T12:00:00Z, quantity = \"{quantity}\" }}", day + 1)
    };
    let rows: Vec<String> = quantities.iter().enumerate().map(day).collect();
    format!("usage = [{}]", rows.join(", "))
}

/// Asserts the costs of usage on successive days.
#[track_caller]
fn assert_signed_costs(rule_keys: &str, examples: &[(&str, &[&str], &str)]) {
    let usage: Vec<String> = examples.iter().map(|(_, quantities, _)| days(quantities)).collect();
    let examples: Vec<(&str, &str, &str)> =
        examples.iter().zip(&usage).map(|((sentence, _, cost), usage)| (*sentence, usage.as_str(), *cost)).collect();
    assert_costs_of_meter(SIGNED, rule_keys, &examples);
}

#[test]
fn a_unit_price_and_a_percentage_are_linear() {
    assert_signed_costs(
        r#"unit_price = "0.10""#,
        &[
            ("100 less 30 are 70", &["100", "-30"], "7"),
            ("only a credit", &["-30"], "-3"),
            ("a rise and the same fall cost nothing", &["30", "-30"], "0"),
        ],
    );
    // 2 percent of 1,000.00 less 300.00.
    assert_signed_costs(r#"percent = "2""#, &[("fees of refunds are returned", &["1000", "-300"], "14")]);
    assert_signed_costs(r#"unit_price = "1""#, &[("quantities with a unit", &["-2 u", "1 u"], "-1")]);
}

/// The first 100 cost 1.00 each, all others 0.50.
const TWO_TIERS: &str = r#"tier = [{ up_to = "100", unit_price = "1" }, { unit_price = "0.5" }]"#;

/// 150 cost 100 + 25. A fall of 80 takes back 50 × 0.50 and 30 × 1.00, and 70 × 1.00 remain.
#[test]
fn a_fall_takes_back_the_parts_of_graduated_tiers() {
    let tiers = format!("tiers = \"graduated\"\n{TWO_TIERS}");
    assert_signed_costs(
        &tiers,
        &[
            ("150 less 80", &["150", "-80"], "70"),
            ("and 60 again: 100 + 30 × 0.50", &["150", "-80", "60"], "115"),
            ("below zero at the price of the first tier", &["-20"], "-20"),
            ("from below zero into the second tier: 100 + 20 × 0.50", &["-30", "150"], "110"),
            ("to the bound and no further", &["150", "-50"], "100"),
        ],
    );
    // The pool of the first day costs 125, that of the second -30.
    assert_signed_costs(&format!("every = \"day\"\n{tiers}"), &[("each day", &["150", "-30"], "95")]);
}

#[test]
fn a_flat_fee_is_owed_once_however_often_the_total_crosses_the_bound() {
    let tiers = r#"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "1", flat_fee = "3" }, { unit_price = "0.5", flat_fee = "5" }]
        "#;
    assert_signed_costs(
        tiers,
        &[
            ("risen: 3 + 100 + 5 + 25", &["150"], "133"),
            ("risen and fallen: 3 + 70", &["150", "-80"], "73"),
            ("risen, fallen and risen: 3 + 100 + 5 + 15", &["150", "-80", "60"], "123"),
            ("fallen to zero", &["150", "-150"], "0"),
            ("below zero there is no fee", &["-20"], "-20"),
        ],
    );
    // The fee of the first tier is due without usage.
    assert_signed_costs(
        &format!("flat_fee_at_zero = true\n{tiers}"),
        &[
            ("risen and fallen to zero: the fee stays", &["10", "-10"], "3"),
            ("below zero: 3 - 20", &["-20"], "-17"),
            ("risen, below zero, and risen", &["10", "-20", "15"], "8"),
        ],
    );
}

/// With started packages of 10 for 4.00, 25 are three packages and 17 are two. Below zero only complete packages count.
#[test]
fn packages_are_counted_from_zero() {
    let package = "unit_price = \"4\"\npackage = \"10\"";
    assert_signed_costs(
        package,
        &[
            ("three packages, then two", &["25", "-8"], "8"),
            ("15 below zero are one complete package", &["-15"], "-4"),
            ("5 below zero are none", &["-5"], "0"),
        ],
    );
    assert_signed_costs(
        &format!("{package}\npackage_rounding = \"complete\""),
        &[
            ("two complete packages, then one", &["25", "-8"], "4"),
            ("15 below zero are one", &["-15"], "-4"),
            ("5 below zero are none", &["-5"], "0"),
        ],
    );
}

#[test]
fn the_total_of_the_period_selects_a_volume_tier() {
    assert_signed_costs(
        &format!("tiers = \"volume\"\n{TWO_TIERS}"),
        &[
            ("70 are in the first tier", &["150", "-80"], "70"),
            ("130 are in the second tier: 130 × 0.50", &["150", "-20"], "65"),
            ("below zero is the first tier", &["-20"], "-20"),
        ],
    );
    let fees = r#"tiers = "stairstep"
        tier = [{ up_to = "100", flat_fee = "10" }, { flat_fee = "15" }]"#;
    assert_signed_costs(
        fees,
        &[
            ("70 reach the first fee", &["150", "-80"], "10"),
            ("130 reach the second", &["150", "-20"], "15"),
            ("below zero reaches none", &["-20"], "0"),
        ],
    );
}

/// A fall gives free units back. A total below zero is in the free units, which cost nothing.
#[test]
fn free_units_absorb_the_total_below_them() {
    assert_signed_costs(
        "unit_price = \"0.05\"\nfree_units = \"100\"",
        &[
            ("50 above", &["150"], "2.5"),
            ("70 are free", &["150", "-80"], "0"),
            ("and 10 above again", &["150", "-80", "40"], "0.5"),
            ("nothing is owed below zero", &["-20"], "0"),
        ],
    );
}

#[test]
fn minimum_maximum_and_cap_hold_for_the_total() {
    assert_signed_costs(
        "unit_price = \"1\"\nminimum = \"10\"\nmaximum = \"50\"",
        &[
            ("70 are limited to 50", &["100", "-30"], "50"),
            ("40 are below the maximum again", &["100", "-60"], "40"),
            ("5 are raised to 10", &["100", "-95"], "10"),
            ("a total below zero is raised to 10 too", &["-20"], "10"),
        ],
    );
    assert_signed_costs(
        "unit_price = \"1\"\ncap = { hours = \"10\", price = \"8\" }",
        &[("12 hours cost the cap", &["12"], "8"), ("7 hours cost their price", &["12", "-5"], "7")],
    );
    let tiers = r#"tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "1", max_amount = "60" }, { unit_price = "0.5" }]"#;
    assert_signed_costs(
        tiers,
        &[
            ("80 are limited to 60", &["80"], "60"),
            ("50 are below it", &["80", "-30"], "50"),
            ("60 + 20 × 0.50, then 60 + 10 × 0.50", &["120", "-10"], "65"),
        ],
    );
}

/// The total of the pool is rounded: up means towards more, down towards less, and the nearest is half away from zero.
#[test]
fn rounding_keeps_its_direction_below_zero() {
    let rounded = |key: &str| format!("unit_price = \"1\"\nround_quantity = {{ {key} = \"10\" }}");
    let totals = |costs: [&'static str; 4]| {
        [("25 less 32", &["25", "-32"][..]), ("-10", &["-10"]), ("-5", &["-5"]), ("-4", &["-4"])]
            .into_iter()
            .zip(costs)
            .map(|((sentence, usage), cost)| (sentence, usage, cost))
            .collect::<Vec<_>>()
    };
    assert_signed_costs(&rounded("up_to_multiple_of"), &totals(["0", "-10", "0", "0"]));
    assert_signed_costs(&rounded("down_to_multiple_of"), &totals(["-10", "-10", "-10", "-10"]));
    assert_signed_costs(&rounded("to_multiple_of"), &totals(["-10", "-10", "-10", "0"]));
}

/// Two projects share a pool with 100 at 1.00 and all others at 0.50.
#[test]
fn a_shared_pool_costs_the_price_of_its_total() {
    let usage = |first: &str, second: &str| {
        format!(
            "usage = [{{ project = \"p\", quantity = \"{first}\" }}, {{ project = \"q\", quantity = \"{second}\" }}]"
        )
    };
    assert_costs_of_meter(
        SIGNED,
        &format!("per = \"account\"\ntiers = \"graduated\"\n{TWO_TIERS}"),
        &[
            ("both projects are above zero: 100 + 20", &usage("120", "20"), "120"),
            ("a total of 120: 100 + 10", &usage("150", "-30"), "110"),
            ("a total of zero", &usage("50", "-50"), "0"),
            ("a total below zero", &usage("30", "-50"), "-20"),
        ],
    );
    assert_costs_of_meter(
        SIGNED,
        &format!("per = \"account\"\nfree_units = \"40\"\ntiers = \"volume\"\n{TWO_TIERS}"),
        &[
            ("80 above the free units", &usage("150", "-30"), "80"),
            ("110 above them: 110 × 0.50", &usage("180", "-30"), "55"),
            ("a total below zero is free", &usage("30", "-50"), "0"),
        ],
    );
}
