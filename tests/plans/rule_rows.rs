//! `conto rules explain`: the relations that each table of the rules becomes, and the statements that read them.

use serde_json::Value;

use crate::test_lake::TestLake;

const RULES: &str = r#"
    currency = "EUR"

    [[meter]]
    name = "m"
    aggregation = "sum"
    unit = "B"

    [[rule]]
    id = "traffic"
    meter = "m"
    sku = "NET"
    service = "Network"
    pricing_unit = { name = "kB", of = "1000" }
    tiers = "graduated"
    tier = [{ up_to = "5", unit_price = "0.3" }, { unit_price = "0.1" }]

    [[rule]]
    id = "night"
    meter = "m"
    sku = "NET"
    service = "Network"
    factor = "0.5"
    when = "project_id = 'p'"

    [[rule]]
    id = "old"
    meter = "m"
    component = "old"
    sku = "OLD"
    service = "Network"
    unit_price = "1"
    valid_to = 2026-09-15T00:00:00Z

    [[included_units]]
    id = "with-server"
    meter = "m"
    pool = "NET"
    units = "1"
    prorated = false

    [[recurring]]
    id = "support"
    service = "Support"
    sku = "SUP"
    per = "account"
    unit = "month"
    unit_price = "10"

    [[charge]]
    id = "setup"
    date = 2026-10-07
    account = "acme"
    service = "Support"
    sku = "SET"
    amount = "99"

    [[reservation]]
    id = "reserved"
    account = "acme"
    sku = "RES"
    service = "Network"
    meter = "m"
    quantity = "1"
    unit_price = "0.04"
    valid_from = 2026-10-01
    valid_to = 2026-10-02
"#;

fn lake() -> TestLake {
    let accounts = "[[account]]\nid = \"acme\"\nname = \"Acme\"\ncountry = \"FR\"\nprojects = [\"p\"]\n";
    let lake = TestLake::new().rules(RULES).accounts(accounts);
    lake.deliver("usage", ["m,a,2026-10-05T10:00:00Z,7000,p"]);
    lake.run("2026-10");
    lake
}

/// The names of the relations of a rule in October, each with its number of rows.
fn relations(lake: &TestLake, id: &str) -> Vec<String> {
    let explained = lake.json(&["rules", "explain", id, "--period", "2026-10"]);
    let relations = explained["relations"].as_array().unwrap().iter();
    let named =
        |one: &Value| format!("{} {}", one["relation"].as_str().unwrap(), one["rows"].as_array().unwrap().len());
    relations.map(named).collect()
}

#[test]
fn each_table_of_the_rules_becomes_its_relations() {
    let lake = lake();
    let of = |id: &str| relations(&lake, id);
    // Tier 0 has the included units, so three tiers are rows.
    let rate = ["rate 1", "rate_tier 3", "rate_validity 1", "rate_match 1", "included_unit 1"];
    assert_eq!(of("traffic"), rate);
    assert_eq!(of("night"), ["factor_match 1"]);
    assert_eq!(of("with-server"), ["included_unit 1", "included_unit_series 1"]);
    assert_eq!(of("support"), ["recurring 1", "subscription 1"]);
    assert_eq!(of("setup"), ["one_off_charge 1"]);
    // The used and the unused part of the commitment: no usage of 1 October uses it.
    assert_eq!(of("reserved"), ["committed_charge 1"]);
}

/// The bounds of the tiers are 5 kB in the priced unit and 5000 B in the metered unit.
#[test]
fn the_rows_have_units_and_the_statements_have_plans() {
    let lake = lake();
    let explained = lake.json(&["rules", "explain", "traffic", "--period", "2026-10", "--plan"]);
    let tiers = &explained["relations"][1];
    let unit = |column: &str| tiers["units"][column].as_str().unwrap().to_owned();
    assert_eq!(["tier_end", "pool_ceiling", "unit_price"].map(unit), ["kB", "B", "EUR"]);
    let row = &tiers["rows"][1];
    assert_eq!((row["tier_end"].as_str(), row["pool_ceiling"].as_str()), (Some("5.000000000"), Some("5000.000000000")));
    let statements = explained["statements"].as_array().unwrap();
    let place = |name: &str| statements.iter().position(|one| one["relation"] == name).unwrap();
    assert!(place("candidate_rate") < place("applicable_rate") && place("applicable_rate") < place("rated_usage"));
    for statement in statements {
        assert!(statement["physical_plan"].as_str().is_some_and(|plan| plan.contains("Exec")), "{statement:#}");
    }
    let charge = lake.json(&["rules", "explain", "setup", "--period", "2026-10"]);
    let files: Vec<&str> =
        charge["statements"].as_array().unwrap().iter().map(|one| one["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["sql/rating/non_usage_charge.sql"]);
}

#[test]
fn an_unknown_rule_and_a_month_outside_of_the_validity_are_errors() {
    let lake = lake();
    let message = lake.fails(2, &["rules", "explain", "trafic", "--period", "2026-10"]);
    assert!(message.contains("there is no rule, fee, charge or commitment `trafic`"), "{message}");
    assert!(message.contains("did you mean `traffic`?"), "{message}");
    let message = lake.fails(2, &["rules", "explain", "old", "--period", "2026-10"]);
    assert!(message.contains("`old` is not valid in 2026-10: its validity is until 2026-09-15"), "{message}");
    lake.succeeds(&["rules", "explain", "old", "--period", "2026-09"]);
    let message = lake.fails(2, &["rules", "explain", "reserved", "--period", "2026-11"]);
    assert!(message.contains("its validity is from 2026-10-01 until 2026-10-02"), "{message}");
    // A charge of an earlier month can be billed later, but not earlier.
    lake.fails(2, &["rules", "explain", "setup", "--period", "2026-09"]);
}
