//! Every shape of a price, with random bounds, prices and usage, compared with an independent model in whole numbers.
//! The cost of a pool does not depend on how its usage is split over rows, days, resources and projects.

use std::fmt::Write as _;
use std::path::PathBuf;

use conto::load::{RuleFile, read_rule_files};
use conto::query::Session;
use conto::rating::eligibility;
use conto::rating::example::run_examples;
use iso_currency::Currency;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::cases;
use crate::test_lake::block_on;

/// A number in thousandths. Every quantity, bound and price in this file has three places, so each cost is exact at six
/// places.
pub(super) type Thousandths = i128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Graduated,
    Volume,
    Stairstep,
}

#[derive(Clone, Debug)]
pub(super) struct Tier {
    up_to: Option<Thousandths>,
    unit_price: Thousandths,
    flat_fee: Thousandths,
    /// The size of a package, and whether a started package costs as much as a complete package.
    pub(super) package: Option<(Thousandths, bool)>,
    /// The maximum cost of the tier, at least its flat fee. Not for stairstep tiers.
    max_amount: Option<Thousandths>,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) tiers: Vec<Tier>,
    free: Thousandths,
    pub(super) round_up_to: Option<Thousandths>,
    minimum: Option<Thousandths>,
    maximum: Option<Thousandths>,
    per: &'static str,
    /// Whether the meter accepts negative records.
    signed: bool,
    /// The rows of usage: day of January, resource, project, quantity.
    pub(super) usage: Vec<(u8, u8, u8, Thousandths)>,
}

fn text(thousandths: Thousandths) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", thousandths.abs() / 1000, thousandths.abs() % 1000)
}

fn up_to_multiple(quantity: Thousandths, multiple: Thousandths) -> Thousandths {
    (quantity + multiple - 1).div_euclid(multiple) * multiple
}

impl Shape {
    /// The cost of all usage in millionths.
    fn cost(&self) -> i128 {
        let mut pools: std::collections::BTreeMap<(u8, u8), Thousandths> = std::collections::BTreeMap::new();
        for (_, resource, project, quantity) in &self.usage {
            let pool = match self.per {
                "resource" => (*project, *resource),
                "project" => (*project, 0),
                _ => (0, 0),
            };
            *pools.entry(pool).or_default() += quantity;
        }
        pools.values().map(|total| self.cost_of(*total)).sum()
    }

    fn cost_of(&self, total: Thousandths) -> i128 {
        let rounded = self.round_up_to.map_or(total, |multiple| up_to_multiple(total, multiple));
        // A total below zero is in the free units, or in the first tier.
        let billable = if self.free > 0 { (rounded - self.free).max(0) } else { rounded };
        let mut cost = 0;
        let mut start = 0;
        for tier in &self.tiers {
            let end = tier.up_to.unwrap_or(i128::MAX);
            let is_first = start == 0;
            let reached = (billable > start || is_first) && billable <= end;
            let quantity = match self.kind {
                Kind::Graduated if is_first => billable.min(end),
                Kind::Graduated => (billable.min(end) - start).max(0),
                Kind::Volume if reached => billable,
                Kind::Volume | Kind::Stairstep => 0,
            };
            let due = match self.kind {
                Kind::Graduated => billable > start,
                Kind::Volume | Kind::Stairstep => reached && billable > 0,
            };
            let used = match tier.package {
                None => quantity * tier.unit_price,
                Some((size, true)) if quantity > 0 => (quantity + size - 1) / size * tier.unit_price * 1000,
                // Below zero, only complete packages count.
                Some((size, _)) => quantity / size * tier.unit_price * 1000,
            };
            let of_tier = used + if due { tier.flat_fee * 1000 } else { 0 };
            let limit = tier.max_amount.filter(|_| self.kind != Kind::Stairstep);
            cost += limit.map_or(of_tier, |limit| of_tier.min(limit * 1000));
            start = end;
        }
        let cost = self.maximum.map_or(cost, |maximum| cost.min(maximum * 1000));
        self.minimum.map_or(cost, |minimum| cost.max(minimum * 1000))
    }

    pub(super) fn rule(&self, number: usize) -> String {
        let kind = match self.kind {
            Kind::Graduated => "graduated",
            Kind::Volume => "volume",
            Kind::Stairstep => "stairstep",
        };
        let mut rule = format!(
            r#"
                [[rule]]
                id = "r{number}"
                meter = "{}"
                when = "shape = '{number}'"
                sku = "r{number}"
                service = "S"
                per = "{}"
                tiers = "{kind}"
                free_units = "{}"
                "#,
            if self.signed { "signed" } else { "m" },
            self.per,
            text(self.free)
        );
        for (key, value) in [("minimum", self.minimum), ("maximum", self.maximum)] {
            if let Some(value) = value {
                writeln!(rule, r#"{key} = "{}""#, text(value)).unwrap();
            }
        }
        if let Some(multiple) = self.round_up_to {
            writeln!(rule, r#"round_quantity = {{ up_to_multiple_of = "{}" }}"#, text(multiple)).unwrap();
        }
        rule += "tier = [\n";
        for tier in &self.tiers {
            let mut keys = vec![format!(r#"flat_fee = "{}""#, text(tier.flat_fee))];
            if let Some(up_to) = tier.up_to {
                keys.push(format!(r#"up_to = "{}""#, text(up_to)));
            }
            if self.kind != Kind::Stairstep {
                keys.push(format!(r#"unit_price = "{}""#, text(tier.unit_price)));
                if let Some(limit) = tier.max_amount {
                    keys.push(format!(r#"max_amount = "{}""#, text(limit)));
                }
                if let Some((size, started)) = tier.package {
                    let rounding = if started { "started" } else { "complete" };
                    keys.push(format!(r#"package = "{}", package_rounding = "{rounding}""#, text(size)));
                }
            }
            writeln!(rule, "  {{ {} }},", keys.join(", ")).unwrap();
        }
        rule += r#"
            ]

            [[rule.example]]
            name = "random"
            usage = [
            "#;
        for (day, resource, project, quantity) in &self.usage {
            let quantity = text(*quantity);
            writeln!(
                rule,
                "  {{ at = 2026-01-{day:02}T00:00:00Z, resource = 'v{resource}', project = 'p{project}', \
                 shape = '{number}', quantity = '{quantity}' }},"
            )
            .unwrap();
        }
        let cost = self.cost();
        let sign = if cost < 0 { "-" } else { "" };
        rule + &format!(
            r#"
            ]
            cost = "{sign}{}.{:06}"
            "#,
            cost.abs() / 1_000_000,
            cost.abs() % 1_000_000
        )
    }
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let kind = prop_oneof![3 => Just(Kind::Graduated), 2 => Just(Kind::Volume), 1 => Just(Kind::Stairstep)];
    let bound = || prop_oneof![1..20_000i128, (1..20i128).prop_map(|whole| whole * 1000)];
    let bounds = prop::collection::btree_set(bound(), 0..3);
    let package = prop::option::weighted(0.3, ((1..5i128).prop_map(|size| size * 500), any::<bool>()));
    let money = || prop_oneof![Just(0i128), 1..5_000i128];
    let above_fee = prop::option::weighted(0.3, prop_oneof![Just(0i128), 1..20_000i128]);
    let tier = prop::collection::vec((money(), money(), package, above_fee), 3);
    let free = prop_oneof![2 => Just(0i128), 1 => 1..10_000i128];
    let rounding = prop::option::weighted(0.2, prop_oneof![Just(1000i128), Just(700i128)]);
    let limit = || prop::option::weighted(0.25, 1..60_000i128);
    let per = prop_oneof![Just("resource"), Just("project"), Just("account")];
    let quantity = prop_oneof![6 => bound(), 1 => 1..10i128.pow(11)];
    let usage = prop::collection::vec((1..6u8, 0..2u8, 0..2u8, quantity), 1..6);
    (kind, bounds, tier, free, rounding, (limit(), limit()), per, usage).prop_map(
        |(kind, bounds, tiers, free, round_up_to, (minimum, maximum), per, usage)| {
            let ends = bounds.into_iter().map(Some).chain([None]);
            let tiers = ends
                .zip(tiers)
                .map(|(up_to, (unit_price, flat_fee, package, above_fee))| {
                    let max_amount = above_fee.map(|above| flat_fee + above);
                    Tier { up_to, unit_price, flat_fee, package, max_amount }
                })
                .collect();
            let maximum = maximum.map(|maximum| maximum.max(minimum.unwrap_or(0)));
            Shape { kind, tiers, free, round_up_to, minimum, maximum, per, signed: false, usage }
        },
    )
}

/// A shape with usage of a meter that accepts negative records. In a pool of an account, such a meter has only unit
/// prices.
fn signed_shape() -> impl Strategy<Value = Shape> {
    (shape(), prop::collection::vec(any::<bool>(), 6)).prop_map(|(shape, negative)| {
        let mut shape = Shape { signed: true, ..shape };
        for (row, is_negative) in shape.usage.iter_mut().zip(negative) {
            row.3 = if is_negative { -row.3 } else { row.3 };
        }
        if shape.per == "account" {
            (shape.minimum, shape.maximum) = (None, None);
            for tier in &mut shape.tiers {
                (tier.flat_fee, tier.package, tier.max_amount) = (0, None, None);
            }
        }
        shape
    })
}

pub(super) const METER: &str = r#"
    [[meter]]
    name = "m"
    aggregation = "sum"
    unit = "unit"
    source_meters = ["m"]
    dimensions.shape = { from = ["shape"] }

    [[meter]]
    name = "signed"
    aggregation = "sum"
    signed = true
    unit = "unit"
    dimensions.shape = { from = ["shape"] }
    "#;

proptest! {
    #![proptest_config(cases(3))]

    #[test]
    fn a_pool_costs_the_same_in_parts_as_in_the_integer_model(
        shapes in prop::collection::vec(prop_oneof![shape(), signed_shape()], 60)
    ) {
        let rules: Vec<String> = shapes.iter().enumerate().map(|(number, shape)| shape.rule(number)).collect();
        let file = RuleFile {
            name: "rules.toml".to_owned(),
            folder: PathBuf::new(),
            text: format!("{METER}{}", rules.join("")),
        };
        let none = |_: &std::path::Path, _: &'static encoding_rs::Encoding| Err(std::io::ErrorKind::NotFound.into());
        let (book, found) = read_rule_files(vec![file], &none, &TimeZone::UTC, Currency::EUR);
        prop_assert!(!found.has_errors(), "{:?}", found.into_sorted());
        let session = Session::new(None).unwrap();
        let (compiled, _) = eligibility::compile(&session, &book);
        let outcomes = block_on(run_examples(&session, &book, &compiled, &TimeZone::UTC)).unwrap();
        prop_assert_eq!(outcomes.len(), shapes.len());
        for outcome in outcomes {
            let number: usize = outcome.rule_id[1..].parse().unwrap();
            prop_assert!(outcome.passed(), "{:?} of\n{}\n{:?}", outcome.cost, rules[number], outcome.working);
        }
    }
}
