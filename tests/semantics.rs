//! The eighteen points at which billing engines go wrong, each a test that is called by what is right: through rules
//! and the real statements where it is a price, through whole runs where it is metering, an invoice or a close.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cards;

use std::fmt::Write as _;
use std::path::PathBuf;

use conto::load::{RuleFile, read_rule_files};
use conto::query::Session;
use conto::rating::eligibility;
use conto::rating::example::run_examples;
use iso_currency::Currency;
use jiff::tz::TimeZone;

use crate::crash::conto;
use crate::world::{Setting, World, block_on};

const PERIOD: &str = "2026-10";
const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id,record_id\n";
const METER: &str = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\n";

/// Runs a rule's examples through the real statements. Each is a sentence, its usage and its cost.
#[track_caller]
fn costs(rule: &str, examples: &[(&str, &str, &str)]) {
    let mut text = format!("{METER}[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\n{rule}\n");
    for (say, usage, cost) in examples {
        write!(text, "[[rule.example]]\nname = \"{say}\"\n{usage}\n{cost}\n").unwrap();
    }
    let file = RuleFile { name: "rules.toml".to_owned(), folder: PathBuf::new(), text };
    let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let (book, found) = read_rule_files(vec![file], &none, &zone, Currency::EUR);
    assert!(!found.has_errors(), "{:?}", found.into_sorted());
    let session = Session::new(None).unwrap();
    let (compiled, _) = eligibility::compile(&session, &book);
    let outcomes = block_on(run_examples(&session, &book, &compiled, &zone)).unwrap();
    assert_eq!(outcomes.len(), examples.len());
    for outcome in outcomes {
        let found = (outcome.cost, outcome.net_amount, outcome.working);
        assert!(found.0.is_some() || found.1.is_some());
        let holds = |pair: Option<_>| pair.is_none_or(|(expected, found)| expected == found);
        assert!(holds(found.0) && holds(found.1), "{}: {found:?}", outcome.say);
    }
}

fn quantity(quantity: &str) -> String {
    format!("quantity = \"{quantity}\"")
}

/// A world with one meter and one rule, and these rows of usage.
fn world(setting: &Setting, meter: &str, rule: &str, rows: &[String]) -> World {
    let world = World::new(setting);
    world.put(
        "rules/rules.toml",
        format!(
            "currency = \"EUR\"\n[[meter]]\nname = \"m\"\nunit = \"u\"\n{meter}\n\
             [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\n{rule}\n"
        ),
    );
    world.put("usage/usage.csv", HEADER.to_owned() + &rows.concat());
    world
}

/// A row of usage of project p.
fn row(resource: &str, at: &str, quantity: &str) -> String {
    format!("m,{resource},{at},{quantity},p,\n")
}

fn column(world: &World, relation: &str, name: &str) -> Vec<String> {
    world.rows(relation).iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
}

/// The sum of a column, without the zeros at its end.
fn sum(world: &World, relation: &str, name: &str) -> String {
    let cells = column(world, relation, name);
    let total = cells.iter().fold(conto::model::money::Cost::ZERO, |total, cell| {
        total.checked_add(conto::model::money::Cost::parse_exact(cell).unwrap()).unwrap()
    });
    total.to_text(0)
}

#[test]
fn point_01_bounds_of_tiers_are_inclusive_and_no_fraction_falls_between_them() {
    let tiers = "tier = [{ up_to = \"100\", unit_price = \"1\" }, { unit_price = \"0.5\" }]";
    costs(
        &format!("tiers = \"volume\"\n{tiers}"),
        &[
            ("99.5 is in the first tier", &quantity("99.5"), "cost = \"99.5\""),
            ("so is 100", &quantity("100"), "cost = \"100\""),
            (
                "a billionth more is in the second, with all of it",
                &quantity("100.000000001"),
                "cost = \"50.0000000005\"",
            ),
        ],
    );
    costs(
        &format!("tiers = \"graduated\"\n{tiers}"),
        &[("only what is above is in the second", &quantity("100.5"), "cost = \"100.25\"")],
    );
}

#[test]
fn point_02_the_flat_fee_of_no_usage_is_due_where_the_rule_says_so() {
    let tiers = "tiers = \"graduated\"\ntier = [{ unit_price = \"1\", flat_fee = \"5\" }]";
    costs(&format!("flat_fee_at_zero = true\n{tiers}"), &[("due", &quantity("0"), "cost = \"5\"")]);
    costs(tiers, &[("not due", &quantity("0"), "cost = \"0\""), ("due once", &quantity("2"), "cost = \"7\"")]);
}

/// 12 and then 10 more: 10 × 2 and 12 × 1, with a fee of 1 and one of 3.
#[test]
fn point_03_a_total_costs_what_it_costs_whole_and_each_flat_fee_is_due_once() {
    let rule = "tiers = \"graduated\"\n\
                tier = [{ up_to = \"10\", unit_price = \"2\", flat_fee = \"1\" }, \
                { unit_price = \"1\", flat_fee = \"3\" }]";
    let meter = "aggregation = \"sum\"";
    let split = world(&Setting::default(), meter, rule, &[row("a", "2026-10-05T10:00:00Z", "12")]);
    split.run(PERIOD);
    assert_eq!(sum(&split, "rated_usage", "contracted_cost"), "26");
    split.put("usage/later.csv", HEADER.to_owned() + &row("b", "2026-10-20T10:00:00Z", "10"));
    split.run(PERIOD);
    assert_eq!(sum(&split, "rated_usage", "contracted_cost"), "36");
    let whole = world(&Setting::default(), meter, rule, &[row("a", "2026-10-05T10:00:00Z", "22")]);
    whole.run(PERIOD);
    assert_eq!(sum(&whole, "rated_usage", "contracted_cost"), "36");
}

/// 60 of two resources of one project, 60 of another project, in one hour, and 60 the hour after.
#[test]
fn point_04_whose_usage_fills_a_tier_is_what_the_rule_says() {
    let usage = "usage = [\
        { project = \"p\", resource = \"a\", quantity = \"60\" }, \
        { project = \"p\", resource = \"b\", quantity = \"60\" },\
        { project = \"q\", resource = \"c\", quantity = \"60\" },\
        { project = \"q\", resource = \"c\", quantity = \"60\", at = 2026-01-01T01:00:00+01:00 } ]";
    let tiers = "tiers = \"graduated\"\ntier = [{ up_to = \"100\", unit_price = \"1\" }, { unit_price = \"0.5\" }]";
    for (scope, cost) in [
        // 60 + 60 + (100 + 20 × 0.5)
        ("per = \"resource\"", "230"),
        // 100 + 20 × 0.5, twice
        ("per = \"project\"", "220"),
        // 100 + 140 × 0.5
        ("per = \"account\"", "170"),
        // 100 + 20 × 0.5, 60, 60
        ("per = \"project\"\nevery = \"window\"", "230"),
    ] {
        costs(
            &format!("{scope}\n{tiers}"),
            &[(&scope.replace('"', "'").replace('\n', ", "), usage, &format!("cost = \"{cost}\""))],
        );
    }
}

/// 7,400 are 7.4 thousand, rounded 8, less 2 free ones 6: 5 × 10 + 1 × 4 = 54, at most 50. A tenth off is 45, with 20
/// percent of tax 54, of which a voucher pays 4.
#[test]
fn point_05_the_order_is_convert_round_free_tiers_maximum_discount_tax_credit() {
    let rule = "pricing_unit = { name = \"thousand\", of = \"1000\" }\nround_quantity = { up_to_multiple_of = \"1\" }\n\
                free_units = \"2\"\nmaximum = \"50\"\ntiers = \"graduated\"\n\
                tier = [{ up_to = \"5\", unit_price = \"10\" }, { unit_price = \"4\" }]\n\
                [[discount]]\nid = \"d\"\ndescription = \"A tenth\"\npercent = \"10\"\n\
                [[credit]]\nid = \"v\"\ndescription = \"Voucher\"\naccount = \"p\"\nkind = \"prepaid\"\n\
                taxed = \"at_use\"\n\
                amount = \"4.00\"";
    let world = world(&Setting::default(), "aggregation = \"sum\"", rule, &[row("a", "2026-10-05T10:00:00Z", "7400")]);
    world.put("accounts.toml", "[[account]]\nid = \"p\"\nname = \"P\"\ncountry = \"FR\"\nprojects = [\"p\"]\n");
    world.run(PERIOD);
    let amounts = ["line_total", "allowance_total", "total_without_tax", "tax_amount", "total_with_tax", "amount_due"];
    let found = amounts.map(|name| column(&world, "invoice", name)[0].clone());
    assert_eq!(found, ["50.0000", "5.0000", "45.0000", "9.0000", "54.0000", "50.0000"]);
}

/// A package of 100 units for 1 in the first tier, which ends at 250 units and not after 250 packages.
#[test]
fn point_06_a_bound_counts_units_and_not_packages() {
    let rule = "tiers = \"graduated\"\ntier = [\
                { up_to = \"250\", unit_price = \"1\", package = \"100\" }, \
                { unit_price = \"0.5\", package = \"100\" }]";
    costs(
        rule,
        &[
            ("250 are three started packages", &quantity("250"), "cost = \"3\""),
            ("of 251 one unit starts a package of the second tier", &quantity("251"), "cost = \"3.5\""),
        ],
    );
}

/// Three days of 0.004: a line of 0.012 and a cent, and not three of nothing.
#[test]
fn point_07_a_line_is_rounded_once_and_its_exact_cost_is_kept() {
    let rows: Vec<String> = (5..8).map(|day| row("a", &format!("2026-10-0{day}T10:00:00Z"), "1")).collect();
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"0.004\"", &rows);
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["0.0100"]);
    assert_eq!(column(&world, "invoice_line", "contracted_cost"), ["0.012000000000000000"]);
}

#[test]
fn point_08_a_monthly_price_is_reached_at_its_hours_by_a_jump() {
    costs(
        "unit_price = \"0.006\"\ncap = { hours = \"672\", price = \"4.00\" }",
        &[
            ("671 hours by the hour, which is more than the month", &quantity("671"), "cost = \"4.026\""),
            ("672 hours are the month", &quantity("672"), "cost = \"4.00\""),
            ("so are 744", &quantity("744"), "cost = \"4.00\""),
        ],
    );
}

/// Sessions of 5, 61 and 60 seconds, of which a minute is the least and ten seconds are a step: 60 + 70 + 60 = 190. The
/// sum of 126 would be 130.
#[test]
fn point_09_minimum_and_granularity_are_those_of_a_session_and_not_of_the_sum() {
    let meter = "aggregation = \"sum\"\nrecord = { minimum = \"60\", multiple_of = \"10\" }";
    let rows = [("10:00", "5"), ("10:20", "61"), ("10:30", "60")]
        .map(|(time, seconds)| row("a", &format!("2026-10-05T{time}:00Z"), seconds));
    let world = world(&Setting::default(), meter, "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    assert_eq!(sum(&world, "rated_usage", "contracted_cost"), "190");
    // What is kept is what was measured: without a minimum the same records count as they are.
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    world.put("rules/rules.toml", rules.replace("record = { minimum = \"60\", multiple_of = \"10\" }", ""));
    world.run(PERIOD);
    assert_eq!(sum(&world, "rated_usage", "contracted_cost"), "126");
}

#[test]
fn point_10_a_month_has_its_own_hours_and_a_gigabyte_the_bytes_that_the_rule_says() {
    let month = |period: &str, hours: &str| format!("period = \"{period}\"\n{}", quantity(hours));
    costs(
        "pricing_unit = { name = \"GB-month\", of = \"hours_in_period\" }\nunit_price = \"1\"",
        &[
            ("30 days", &month("2026-11", "720"), "cost = \"1\""),
            ("31 days", &month("2026-12", "744"), "cost = \"1\""),
            ("28 days", &month("2026-02", "672"), "cost = \"1\""),
            ("an hour more", &month("2026-10", "745"), "cost = \"1\""),
        ],
    );
    costs(
        "pricing_unit = { name = \"GB\", of = \"1000000000\" }\nunit_price = \"1\"",
        &[("10^9 bytes", &quantity("1000000000"), "cost = \"1\"")],
    );
    costs(
        "pricing_unit = { name = \"GiB\", of = \"1073741824\" }\nunit_price = \"1\"",
        &[("2^30 bytes", &quantity("1073741824"), "cost = \"1\"")],
    );
}

/// A machine that is there all the time, seen every hour: 743 hours in March, 745 in October, dates by the local clock,
/// and the first instant of the next month is the next month's.
#[test]
fn point_11_a_month_is_half_open_in_local_time_and_has_743_or_745_hours() {
    let paris = Setting { time_zone: "Europe/Paris", ..Setting::default() };
    for (period, start, hours) in [("2026-03", "2026-02-28T23:00:00Z", 743), ("2026-10", "2026-09-30T22:00:00Z", 745)] {
        let start: jiff::Timestamp = start.parse().unwrap();
        let hour = |number: i64| (start + jiff::SignedDuration::from_hours(number)).to_string();
        // One before and two after, of which the first is exactly the end.
        let rows: Vec<String> = (-1..hours + 2).map(|number| row("a", &hour(number), "1")).collect();
        let world = world(&paris, "aggregation = \"presence\"", "unit_price = \"1\"", &rows);
        world.run(period);
        assert_eq!(sum(&world, "rated_usage", "pricing_quantity"), hours.to_string(), "{period}");
        let long = if period == "2026-03" { ("2026-03-29", "23") } else { ("2026-10-25", "25") };
        let days = world.rows("rated_usage");
        let day = days.iter().find(|row| row["charge_date"] == long.0).unwrap();
        assert_eq!(day["pricing_quantity"], format!("{}.000000000", long.1));
    }
}

/// 80 before the change at 1; of 50 after it 20 still fill the first tier, now at 2, and 30 are above at 1.
#[test]
fn point_12_a_price_change_splits_usage_at_the_instant_and_tiers_continue() {
    let rule = "pool = \"p\"\nvalid_to = 2026-10-16T12:00:00Z\ntiers = \"graduated\"\n\
                tier = [{ up_to = \"100\", unit_price = \"1\" }, { unit_price = \"0.5\" }]\n\
                [[rule]]\nid = \"new\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\npool = \"p\"\n\
                valid_from = 2026-10-16T12:00:00Z\ntiers = \"graduated\"\n\
                tier = [{ up_to = \"100\", unit_price = \"2\" }, { unit_price = \"1\" }]";
    let rows = [row("a", "2026-10-16T11:59:59Z", "80"), row("a", "2026-10-16T12:00:00Z", "50")];
    let world = world(&Setting::default(), "aggregation = \"sum\"", rule, &rows);
    world.run(PERIOD);
    let mut costs: Vec<String> = column(&world, "invoice_line", "net_amount");
    costs.sort();
    assert_eq!(costs, ["30.0000", "40.0000", "80.0000"]);
}

/// A level of 10 half an hour before the month, 20 half an hour into it, then silence with a gap cap of two hours:
/// 0.5 × 10 + 2 × 20 = 45 unit-hours. And a machine seen every five minutes of a day was there for 24 hours and not for
/// the 23.9167 between its first and last sample.
#[test]
fn point_13_a_level_is_carried_in_and_holds_to_the_end_of_the_window() {
    let rows = [row("a", "2026-09-30T23:30:00Z", "10"), row("a", "2026-10-01T00:30:00Z", "20")];
    let rule = "pricing_unit = { name = \"unit-hour\", of = \"3600\" }\nunit_price = \"1\"";
    let meter = "aggregation = \"time_weighted\"\ngap_cap = \"2h\"";
    let level = world(&Setting::default(), meter, rule, &rows);
    level.run(PERIOD);
    assert_eq!(sum(&level, "rated_usage", "contracted_cost"), "45");

    let rows: Vec<String> = (0..=288)
        .map(|number| {
            let at: jiff::Timestamp = "2026-10-05T00:00:00Z".parse().unwrap();
            row("a", &(at + jiff::SignedDuration::from_mins(5 * number)).to_string(), "1")
        })
        .collect();
    let present = world(&Setting::default(), "aggregation = \"duration\"\ngap_cap = \"10m\"", rule, &rows);
    present.run(PERIOD);
    let days = present.rows("rated_usage");
    let day = days.iter().find(|row| row["charge_date"] == "2026-10-05").unwrap();
    assert_eq!(day["pricing_quantity"], "24.000000000");
}

/// The published level of August 2023, here in 2026, of as many hours: 2, 3 more, 1 more, 4 less, 2 less, 10 more and
/// 10 less. 16.5 unit-hours of 744.
#[test]
fn a_published_level_is_its_integral_over_the_hours_of_the_month() {
    let levels = [("00:00", 2), ("01:00", 5), ("01:30", 6), ("02:00", 2), ("04:00", 0), ("05:00", 10), ("05:30", 0)];
    let rows = levels.map(|(at, level)| row("a", &format!("2026-10-01T{at}:00Z"), &level.to_string()));
    let rule = "pricing_unit = { name = \"unit-month\", of = \"2678400\" }\nunit_price = \"1\"";
    let level = world(&Setting::default(), "aggregation = \"time_weighted\"\ngap_cap = \"2h\"", rule, &rows);
    level.run(PERIOD);
    assert_eq!(sum(&level, "metered_day", "consumed_quantity"), "59400");
    assert_eq!(sum(&level, "rated_usage", "contracted_cost"), "0.02217741935483871");
}

/// A tenth off and then a tenth of the rest: 19 of 100 and not 20.
#[test]
fn point_14_percent_discounts_chain() {
    let rule = "unit_price = \"1\"\n[[discount]]\nid = \"a\"\ndescription = \"A\"\npercent = \"10\"\nposition = 1\n\
                [[discount]]\nid = \"b\"\ndescription = \"B\"\npercent = \"10\"\nposition = 2";
    let world = world(&Setting::default(), "aggregation = \"sum\"", rule, &[row("a", "2026-10-05T10:00:00Z", "100")]);
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice", "allowance_total"), ["19.0000"]);
    assert_eq!(column(&world, "invoice", "total_without_tax"), ["81.0000"]);
}

/// The same fact in another file, later, in another spelling of its time is a duplicate; with another value it is a
/// conflict that is listed, and the first one stays. Two amounts of one instant with ids of their own are two.
#[test]
fn point_15_a_record_is_known_by_what_it_says_and_not_by_when_it_came() {
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &[]);
    let record = |at: &str, quantity: &str, id: &str| format!("m,a,{at},{quantity},p,{id}\n");
    world.put("usage/usage.csv", HEADER.to_owned() + &record("2026-10-05T10:00:00Z", "3", "x"));
    world.run(PERIOD);
    world.put("usage/again.csv", HEADER.to_owned() + &record("2026-10-05T12:00:00+02:00", "3.0", "x"));
    let summary = world.run(PERIOD);
    assert_eq!((summary.intake.samples_accepted, summary.intake.samples_duplicate), (0, 1));
    world.put("usage/other.csv", HEADER.to_owned() + &record("2026-10-05T10:00:00Z", "4", "x"));
    world.put("usage/second.csv", HEADER.to_owned() + &record("2026-10-05T10:00:00Z", "5", "y"));
    let summary = world.run(PERIOD);
    assert_eq!((summary.intake.samples_accepted, summary.intake.records_rejected), (1, 1));
    assert_eq!(column(&world, "rejected_record", "reason"), ["conflict"]);
    assert_eq!(sum(&world, "rated_usage", "contracted_cost"), "8");
}

/// A counter at 100 that begins again and is at 30 and 50: 50 were counted. And 0.1 + 0.2 + 0.3 + 0.1, as floats print
/// them, are 0.7 in every order.
#[test]
fn point_16_counters_begin_again_and_the_order_of_a_sum_does_not_matter() {
    let rows = [("10:00", "100"), ("11:00", "30"), ("12:00", "50")]
        .map(|(time, reading)| row("a", &format!("2026-10-05T{time}:00Z"), reading));
    let counter = world(&Setting::default(), "aggregation = \"increase\"", "unit_price = \"1\"", &rows);
    counter.run(PERIOD);
    assert_eq!(sum(&counter, "rated_usage", "contracted_cost"), "50");

    let amounts = ["0.1", "0.2", "0.30000000000000004", "1e-1"];
    let mut bytes = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let rows = order.map(|index| row("a", &format!("2026-10-05T10:0{index}:00Z"), amounts[index]));
        let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &rows);
        world.run(PERIOD);
        assert_eq!(sum(&world, "rated_usage", "contracted_cost"), "0.7");
        bytes.push(world.document(PERIOD, "usage.csv"));
    }
    assert!(bytes.iter().all(|document| *document == bytes[0]));
}

/// Drafts have no number. A close gives them in one pass, in the order of accounts and projects, without a gap.
#[test]
fn point_17_numbers_are_given_last_in_one_ordered_pass_without_gaps() {
    let rows: Vec<String> =
        ["c", "a", "b"].map(|project| format!("m,x-{project},2026-10-05T10:00:00Z,1,{project},\n")).to_vec();
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &rows);
    let accounts = ["a", "b", "c"]
        .map(|id| format!("[[account]]\nid = \"{id}\"\nname = \"{id}\"\ncountry = \"FR\"\nprojects = [\"{id}\"]\n"));
    world.put("accounts.toml", accounts.concat());
    let done = |arguments: &[&str]| {
        let output = conto(&world, arguments, &[]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    done(&["run", "--period", PERIOD]);
    assert!(column(&world, "invoice", "invoice_number").iter().all(|number| number.starts_with("DRAFT-")));
    done(&["close", "--period", PERIOD, "--issue-date", "2026-11-02"]);
    let mut issued: Vec<String> = world
        .rows("issued_document")
        .iter()
        .map(|row| format!("{} {}", row["document_number"], row["account_id"]))
        .collect();
    issued.sort();
    assert_eq!(issued, ["INV-2026-00001 a", "INV-2026-00002 b", "INV-2026-00003 c"]);
}

/// 10.00 off three equal lines: 3.34, 3.33 and 3.33, the cent to the first of them. And a project's third of an
/// account's pool is exact to the last place that is kept.
#[test]
fn point_18_parts_add_up_by_the_largest_remainder_and_ties_are_settled_by_order() {
    let mut rule = "unit_price = \"1\"\n[[discount]]\nid = \"d\"\ndescription = \"D\"\namount = \"10.00\"\n".to_owned();
    for name in ["n", "o"] {
        write!(
            rule,
            "[[meter]]\nname = \"{name}\"\naggregation = \"sum\"\nunit = \"u\"\n\
             [[rule]]\nid = \"{name}\"\nmeter = \"{name}\"\nsku = \"{name}\"\nservice = \"S\"\nunit_price = \"1\"\n"
        )
        .unwrap();
    }
    let rows = ["m", "n", "o"].map(|meter| format!("{meter},a,2026-10-05T10:00:00Z,100,p,\n"));
    let discounted = world(&Setting::default(), "aggregation = \"sum\"", &rule, &rows);
    discounted.run(PERIOD);
    assert_eq!(column(&discounted, "allowance_share", "amount"), ["3.3400", "3.3300", "3.3300"]);

    let rule = "per = \"account\"\nminimum = \"10\"\nunit_price = \"1\"";
    let rows = ["p", "q", "r"].map(|project| format!("m,{project},2026-10-05T10:00:00Z,1,{project},\n"));
    let shared = world(&Setting::default(), "aggregation = \"sum\"", rule, &rows);
    shared.put(
        "accounts.toml",
        "[[account]]\nid = \"a\"\nname = \"A\"\ncountry = \"FR\"\nprojects = [\"p\", \"q\", \"r\"]\n",
    );
    shared.run(PERIOD);
    assert_eq!(sum(&shared, "rated_usage", "contracted_cost"), "10");
}
