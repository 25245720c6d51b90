//! Invariants of every shape of a price. If each part has its own price, more usage never costs less. Parts add up to
//! the whole. The order of rules, the order of rows in a price list, and rules that cannot match change no cost.

use std::path::PathBuf;

use conto::load::{RuleFile, read_rule_files};
use conto::model::money::{Cost, Quantity};
use conto::query::Session;
use conto::rating::eligibility;
use conto::rating::example::{ExampleOutcome, run_examples};
use iso_currency::Currency;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::cases;
use super::shapes::{Kind, METER, Shape, shape};
use crate::test_lake::block_on;

/// The outcomes of the examples of a rule file with a price list, in the order of rule ids.
fn outcomes(text: &str, list: &str) -> Vec<ExampleOutcome> {
    let file = RuleFile { name: "rules.toml".to_owned(), folder: PathBuf::new(), text: text.to_owned() };
    let read = |_: &std::path::Path, _: &'static encoding_rs::Encoding| Ok(list.to_owned());
    let (book, found) = read_rule_files(vec![file], &read, &TimeZone::UTC, Currency::EUR);
    assert!(!found.has_errors(), "{:?}", found.into_sorted());
    let session = Session::new(None).unwrap();
    let (compiled, _) = eligibility::compile(&session, &book);
    let mut outcomes = block_on(run_examples(&session, &book, &compiled, &TimeZone::UTC)).unwrap();
    outcomes.sort_by(|left, right| left.rule_id.cmp(&right.rule_id));
    outcomes
}

/// The result of every example, without its place in the file.
fn results(outcomes: &[ExampleOutcome]) -> Vec<(String, Cost, Cost)> {
    outcomes.iter().map(|outcome| (outcome.rule_id.clone(), outcome.found_cost, outcome.found_net_amount)).collect()
}

fn rules(shapes: &[Shape]) -> Vec<String> {
    shapes.iter().enumerate().map(|(number, shape)| shape.rule(number)).collect()
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn more_usage_never_costs_less_where_each_part_has_its_own_price(
        shapes in prop::collection::vec((shape(), 1..100_000i128), 30)
    ) {
        // Volume tiers may be cheaper above a bound, so all shapes become graduated.
        let shapes: Vec<(Shape, Shape)> = shapes
            .into_iter()
            .map(|(shape, extra)| {
                let mut less = shape;
                less.kind = Kind::Graduated;
                let mut more = less.clone();
                let (day, resource, project, _) = more.usage[0];
                more.usage.push((day, resource, project, extra));
                (less, more)
            })
            .collect();
        let (less, more): (Vec<Shape>, Vec<Shape>) = shapes.into_iter().unzip();
        let both: Vec<Shape> = less.iter().chain(&more).cloned().collect();
        let outcomes = outcomes(&(METER.to_owned() + &rules(&both).concat()), "");
        let cost = |number: usize| {
            let id = format!("r{number}");
            outcomes.iter().find(|outcome| outcome.rule_id == id).unwrap().found_cost
        };
        for (number, shape) in less.iter().enumerate() {
            prop_assert!(cost(number) <= cost(number + less.len()), "{shape:?}");
        }
    }

    #[test]
    fn the_parts_of_a_cost_add_up_to_it(shapes in prop::collection::vec(shape(), 40)) {
        for outcome in outcomes(&(METER.to_owned() + &rules(&shapes).concat()), "") {
            let parts = outcome.working.iter();
            let cost = parts.clone().fold(Cost::ZERO, |sum, part| sum.checked_add(part.cost).unwrap());
            prop_assert_eq!(cost, outcome.found_cost);
            let shape = &shapes[outcome.rule_id[1..].parse::<usize>().unwrap()];
            if shape.round_up_to.is_none() && shape.tiers.iter().all(|tier| tier.package.is_none()) {
                let used = shape.usage.iter().map(|usage| usage.3).sum::<i128>() * 1_000_000;
                let priced = parts.filter(|part| part.charge_kind == "usage");
                let priced = priced.fold(Quantity::ZERO, |sum, part| sum.checked_add(part.pricing_quantity).unwrap());
                prop_assert_eq!(priced.units(), used, "{:?}", shape);
            }
        }
    }

    #[test]
    fn rule_order_and_rules_that_cannot_match_change_no_cost(
        shapes in prop::collection::vec(shape(), 20),
        order in any::<prop::sample::Index>(),
    ) {
        let rules = rules(&shapes);
        let before = results(&outcomes(&(METER.to_owned() + &rules.concat()), ""));
        let mut turned = rules;
        let middle = order.index(turned.len());
        turned.rotate_left(middle);
        turned.reverse();
        turned.insert(
            middle,
            r#"
                [[rule]]
                id = "zz"
                meter = "m"
                when = "shape = 'none'"
                priority = 9
                sku = "r0"
                service = "S"
                pool = "zz"
                unit_price = "1000"
                "#
                .to_owned(),
        );
        prop_assert_eq!(before, results(&outcomes(&(turned.concat() + METER), "")));
    }

    #[test]
    fn row_order_of_a_price_list_changes_no_cost(
        prices in prop::collection::vec(0..100_000u32, 1..12),
        used in prop::collection::vec((0..12usize, 1..1_000u32), 1..8),
    ) {
        let numbered = prices.iter().enumerate();
        let rows: Vec<String> = numbered.map(|(row, price)| format!("s{row},0.{price:05}\n")).collect();
        let usage: Vec<String> = used
            .iter()
            .filter(|(row, _)| *row < rows.len())
            .map(|(row, quantity)| format!(r#"{{ shape = "s{row}", quantity = "{quantity}" }}"#))
            .collect();
        prop_assume!(!usage.is_empty());
        let rule = format!(
            r#"
                {METER}[[rule]]
                id = "r"
                meter = "m"
                sku = "r"
                service = "S"
                line_by = ["shape"]
                price_list = "list.csv"

                [[rule.example]]
                name = "random"
                cost = "0"
                usage = [{}]
                "#,
            usage.join(", ")
        );
        let header = "shape,unit_price\n";
        let forward = results(&outcomes(&rule, &(header.to_owned() + &rows.concat())));
        let backward: String = rows.iter().rev().map(String::as_str).collect();
        prop_assert_eq!(&forward, &results(&outcomes(&rule, &(header.to_owned() + &backward))));
        let expected: i128 = used
            .iter()
            .filter(|(row, _)| *row < rows.len())
            .map(|(row, quantity)| i128::from(prices[*row]) * i128::from(*quantity))
            .sum();
        prop_assert_eq!(forward[0].1.units(), expected * 10i128.pow(13));
    }
}
