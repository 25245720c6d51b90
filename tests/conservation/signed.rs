//! Random records of a meter that accepts negative records, through the whole pipeline. The cost of a project is the
//! price of its total, and does not depend on the night on which a record arrives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{PERIOD, cases, units};
use crate::test_lake::{TestLake, assert_same_files, without_index};

const RULES: &str = r#"
    currency = "EUR"

    [[meter]]
    name = "feed"
    aggregation = "sum"
    signed = true
    unit = "kWh"

    [[rule]]
    id = "feed"
    meter = "feed"
    sku = "FEED"
    service = "Energy"
    tiers = "graduated"
    tier = [
        { up_to = "10", unit_price = "0.7" },
        { up_to = "40", unit_price = "0.3", flat_fee = "5" },
        { unit_price = "0.05" },
    ]
    "#;

/// The price of a total in thousandths, in millionths of the currency.
fn price(total: i128) -> i128 {
    let fee = if total > 10_000 { 5_000_000 } else { 0 };
    let first = total.min(10_000) * 700;
    let second = (total.min(40_000) - 10_000).max(0) * 300;
    let third = (total - 40_000).max(0) * 50;
    first + second + third + fee
}

/// A record: hour of October, resource, project, and quantity in thousandths.
type Fed = (u32, &'static str, &'static str, i128);

fn rows(records: &[Fed]) -> Vec<String> {
    let row = |(hour, resource, project, quantity): &Fed| {
        let sign = if *quantity < 0 { "-" } else { "" };
        let (whole, rest) = (quantity.abs() / 1000, quantity.abs() % 1000);
        let (day, hour) = (hour / 24 + 1, hour % 24);
        format!("feed,{project}-{resource},2026-10-{day:02}T{hour:02}:00:00Z,{sign}{whole}.{rest:03},{project}")
    };
    records.iter().map(row).collect()
}

fn lake() -> TestLake {
    TestLake::new().config(r#"time_zone = "UTC""#).rules(RULES)
}

proptest! {
    #![proptest_config(cases(4))]
    #[test]
    fn a_project_costs_the_price_of_its_total(
        records in prop::collection::btree_map(
            (0..720u32, prop_oneof![Just("a"), Just("b")], prop_oneof![Just("p"), Just("q")]),
            prop_oneof![3 => -40_000..60_000i128, 1 => -500..500i128],
            1..25,
        ),
        late in any::<u32>(),
    ) {
        let records: Vec<Fed> = records.into_iter().map(|(at, quantity)| (at.0, at.1, at.2, quantity)).collect();
        let whole = lake().usage(rows(&records));
        whole.run(PERIOD);
        prop_assert_eq!(whole.rows("rejected_record").len(), 0);
        let mut totals: BTreeMap<&str, i128> = BTreeMap::new();
        for (_, _, project, quantity) in &records {
            *totals.entry(project).or_default() += quantity;
        }
        let mut costs: BTreeMap<String, i128> = BTreeMap::new();
        for row in whole.rows("rated_usage") {
            *costs.entry(row["project_id"].clone()).or_default() += units(&row["contracted_cost"], 18);
        }
        for (project, total) in totals {
            let cost = costs.get(project).copied().unwrap_or(0);
            prop_assert_eq!(cost, price(total) * 1_000_000_000_000, "{} of {}", total, project);
        }

        let slow = lake();
        let is_late = |index: usize| late >> (index % 32) & 1 == 1;
        for (name, wanted) in [("first", false), ("second", true)] {
            let part: Vec<Fed> =
                records.iter().enumerate().filter(|(index, _)| is_late(*index) == wanted).map(|row| *row.1).collect();
            slow.deliver(name, rows(&part));
            slow.run(PERIOD);
        }
        assert_same_files(&whole.results(), &slow.results(), "delivered late");
        let documents = without_index(whole.documents(PERIOD));
        assert_same_files(&documents, &without_index(slow.documents(PERIOD)), "delivered late");
    }
}
