//! Prices of random quantities, tiers, divisors and pools. The product's own statements are compared with a model in
//! whole numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, MapBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array};
use conto::load::{RuleFile, read_rule_files};
use conto::model::period::{BillingPeriod, Calendar};
use conto::query::{Session, statement};
use conto::rating::account_assignments::Cards;
use conto::rating::pricing_context::PricingContext;
use conto::rating::{eligibility, price, rate, segmentation, select_rates};
use conto::rows;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::usage::decimal;
use super::{cases, model, units};
use crate::test_lake::{block_on, rows_of};

#[derive(Clone, Debug)]
struct Priced {
    /// Starts in units of the ninth place, and prices in units of the twelfth place. The first tier starts at zero.
    tiers: Vec<(i128, i128)>,
    /// The divisor of the pricing unit, in units of the ninth place.
    divisor: i128,
    per_resource: bool,
    every_day: bool,
    /// The usage by resource and day of the month: quantity and vCPUs, in units of the ninth place.
    usage: BTreeMap<(u8, i32), (i128, i128)>,
}

fn priced() -> impl Strategy<Value = Priced> {
    let amount = || prop_oneof![0..10i128.pow(13), Just(0i128), Just(1i128), 0..10i128.pow(16)];
    let quantity = || prop_oneof![1..10i128.pow(12), Just(1i128), 1..10i128.pow(23), Just(10i128.pow(27))];
    let divisor = prop_oneof![
        Just(1_000_000_000i128),
        Just(744_000_000_000),
        Just(1i128),
        1..10i128.pow(12),
        Just(10i128.pow(18)),
    ];
    let bounds = prop::collection::btree_set(prop_oneof![1..10i128.pow(12), 1..100i128, 1..10i128.pow(15)], 0..3);
    let vcpus = prop_oneof![3 => Just(1_000_000_000i128), 1 => Just(0i128), 1 => 1..8_000_000_000i128];
    let usage = prop::collection::btree_map((0..3u8, 1..5i32), (quantity(), vcpus), 1..12);
    (bounds, prop::collection::vec(amount(), 3), divisor, any::<bool>(), any::<bool>(), usage).prop_map(
        |(bounds, prices, divisor, per_resource, every_day, usage)| {
            let starts = std::iter::once(0).chain(bounds);
            let tiers = starts.zip(prices).collect();
            Priced { tiers, divisor, per_resource, every_day, usage }
        },
    )
}

fn price_text(units: i128) -> String {
    format!("{}.{:012}", units / 10i128.pow(12), units % 10i128.pow(12))
}

/// Rows of `rated_usage`: quantity and cost by resource, day and start of the tier.
type Parts = BTreeMap<(u8, i32, i128), (i128, i128)>;

fn through_the_statements(case: &Priced) -> Parts {
    let ends = case.tiers.iter().skip(1).map(|tier| format!(r#"up_to = "{}", "#, decimal(tier.0)));
    let tiers: Vec<String> = ends
        .chain([String::new()])
        .zip(&case.tiers)
        .map(|(end, tier)| format!(r#"{{ {end}unit_price = "{}" }}"#, price_text(tier.1)))
        .collect();
    let text = format!(
        r#"
            currency = "EUR"

            [[meter]]
            name = "m"
            aggregation = "sum"
            unit = "u"
            dimensions.vcpus = {{ from = ["vcpus"], type = "decimal" }}

            [[rule]]
            id = "r"
            meter = "m"
            sku = "s"
            service = "s"
            pricing_quantity = "quantity * vcpus"
            pricing_unit = {{ name = "n", of = "{}" }}
            per = "{}"
            every = "{}"
            tiers = "graduated"
            tier = [{}]
            "#,
        decimal(case.divisor),
        if case.per_resource { "resource" } else { "project" },
        if case.every_day { "day" } else { "period" },
        tiers.join(", ")
    );
    let file = RuleFile { name: "rules.toml".to_owned(), folder: PathBuf::new(), text };
    let none = |_: &std::path::Path, _: &'static encoding_rs::Encoding| Err(std::io::ErrorKind::NotFound.into());
    let currency = iso_currency::Currency::EUR;
    let (rules, problems) = read_rule_files(vec![file], &none, &TimeZone::UTC, currency);
    assert!(!problems.has_errors(), "{problems:?}");

    let session = Session::new(None).unwrap();
    let period: BillingPeriod = "2026-10".parse().unwrap();
    let mut calendar = Calendar::new(TimeZone::UTC);
    let (compiled, problems) = eligibility::compile(&session, &rules);
    assert!(!problems.has_errors(), "{problems:?}");
    let rates = rate::rates(&rules);
    let segments = segmentation::segments(&rules, &rates, &mut calendar, period, |_| true, &BTreeSet::new());

    // A resource with other vCPUs is another series of the same stream.
    let series: BTreeMap<(u8, i128), u64> = {
        let distinct: std::collections::BTreeSet<(u8, i128)> =
            case.usage.iter().map(|((resource, _), (_, vcpus))| (*resource, *vcpus)).collect();
        distinct.into_iter().zip(100..).collect()
    };
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (_, vcpus) in series.keys() {
        maps.keys().append_value("vcpus");
        maps.values().append_value(vcpus_text(*vcpus));
        maps.append(true).unwrap();
    }
    let text = |pick: &dyn Fn(u8, i128) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(series.keys().map(|(resource, vcpus)| pick(*resource, *vcpus))))
    };
    let none = || -> ArrayRef { Arc::new(StringArray::from(vec![None::<&str>; series.len()])) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(series.values().copied())),
        Arc::new(UInt64Array::from_iter_values(series.keys().map(|(resource, _)| u64::from(*resource)))),
        text(&|_, _| "m".to_owned()),
        text(&|_, _| "u".to_owned()),
        text(&|resource, _| format!("r{resource}")),
        text(&|_, _| "p".to_owned()),
        none(),
        text(&|_, _| "p".to_owned()),
        none(),
        text(&|_, _| "invoiced".to_owned()),
        text(&|_, vcpus| format!("vcpus={}", vcpus_text(vcpus))),
        Arc::new(maps.finish()),
    ];
    let active_series = rows::batch(statement("rating/active_series").unwrap(), columns).unwrap();
    let first = period.start_day() - 1;
    let mut used: Vec<(u64, i32, i128)> = Vec::new();
    for ((resource, day), (quantity, vcpus)) in &case.usage {
        used.push((series[&(*resource, *vcpus)], first + day, *quantity));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(used.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(used.iter().map(|row| row.1))),
        Arc::new(rows::timestamps(used.iter().map(|_| Some(segments[0].start)))),
        Arc::new(rows::decimals(used.iter().map(|row| Some(row.2)), 38, 9).unwrap()),
    ];
    let usage_segment = rows::batch(statement("rating/usage_segment").unwrap(), columns).unwrap();
    session.register("rating/active_series", vec![active_series.clone()]).unwrap();
    session.register("rating/usage_segment", vec![usage_segment]).unwrap();
    for unused in ["metering/metered_usage", "rating/charge_segment"] {
        let schema = statement(unused).unwrap().schema.clone();
        session.register(unused, vec![RecordBatch::new_empty(schema)]).unwrap();
    }
    let length = rate::PeriodLength { seconds: calendar.seconds_in(period) };
    let pricing = PricingContext {
        rules: &rules,
        compiled: &compiled,
        rates: &rates,
        segments: &segments,
        length,
        included_units: &[],
        cards: &Cards::default(),
    };
    let selected = block_on(select_rates(&session, &pricing, &[active_series])).unwrap();
    let priced = block_on(price(&session, &selected.pricer)).unwrap();

    let resource_of: BTreeMap<String, u8> =
        series.iter().map(|((resource, _), id)| (id.to_string(), *resource)).collect();
    let mut parts = Parts::new();
    for row in rows_of(&priced.rated_usage) {
        let day: i32 = row["charge_date"].rsplit('-').next().unwrap().parse().unwrap();
        let key = (resource_of[&row["series_id"]], day, units(&row["tier_start"], 9));
        let part = (units(&row["pricing_quantity"], 9), units(&row["contracted_cost"], 18));
        assert!(parts.insert(key, part).is_none(), "two rows for {key:?}");
    }
    parts
}

fn vcpus_text(units: i128) -> String {
    conto::model::money::Quantity::from_units(units).to_string()
}

/// The expected rows. The running total of each pool selects the tiers. Each tier is a line, and a row costs the
/// difference of the costs of the line's running quantity.
fn by_hand(case: &Priced) -> Parts {
    let mut pools: BTreeMap<(Option<u8>, Option<i32>), i128> = BTreeMap::new();
    let mut lines: BTreeMap<i128, i128> = BTreeMap::new();
    let mut parts = Parts::new();
    let mut rows: Vec<_> = case.usage.iter().collect();
    rows.sort_by_key(|((resource, day), _)| (*day, *resource));
    let bound = |start: i128| (start * case.divisor + 500_000_000) / 1_000_000_000;
    for ((resource, day), (quantity, vcpus)) in rows {
        let pool = (case.per_resource.then_some(*resource), case.every_day.then_some(*day));
        let used = (quantity * vcpus + 500_000_000) / 1_000_000_000;
        let after = pools.entry(pool).or_default();
        let before = *after;
        *after += used;
        for (index, (start, price)) in case.tiers.iter().enumerate() {
            let end = case.tiers.get(index + 1).map_or(i128::MAX, |next| bound(next.0));
            let part = (*after).min(end) - before.max(bound(*start));
            if part <= 0 {
                continue;
            }
            let line = lines.entry(*start).or_default();
            let (from, to) = (*line, *line + part);
            *line = to;
            let shown = |quantity: i128| {
                let one = 1_000_000_000;
                (2 * quantity * one + case.divisor) / (2 * case.divisor)
            };
            let cost = |quantity: i128| model::cost(quantity, *price, case.divisor);
            parts.insert((*resource, *day, *start), (shown(to) - shown(from), cost(to) - cost(from)));
        }
    }
    parts
}

/// Whether the total has at most 28 digits as a quantity and 38 as a cost. With more digits, a run fails.
fn fits(case: &Priced) -> bool {
    let total: i128 =
        case.usage.values().map(|(quantity, vcpus)| quantity / 1_000_000_000 * (vcpus / 1_000_000_000 + 1)).sum();
    let dearest = case.tiers.iter().map(|tier| tier.1).max().unwrap() / 10i128.pow(12) + 1;
    let priced = (total + 1).saturating_mul(1_000_000_000) / case.divisor + 1;
    let highest = case.tiers.last().unwrap().0 / 1_000_000_000 + 1;
    total < 10i128.pow(18)
        && priced < 10i128.pow(18)
        && priced.saturating_mul(dearest) < 10i128.pow(19)
        && highest.saturating_mul(case.divisor) < 10i128.pow(28)
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_part_costs_the_same_as_in_the_integer_model(case in priced().prop_filter("in range", fits)) {
        let mut found = through_the_statements(&case);
        // A pricing quantity of zero also has a row, which costs nothing.
        for ((resource, day, _), part) in &found {
            let (quantity, vcpus) = case.usage[&(*resource, *day)];
            prop_assert!(quantity * vcpus >= 500_000_000 || *part == (0, 0));
        }
        let rated: std::collections::BTreeSet<(u8, i32)> = found.keys().map(|key| (key.0, key.1)).collect();
        prop_assert_eq!(rated.len(), case.usage.len(), "each use of each day has a row");
        found.retain(|key, _| case.usage[&(key.0, key.1)].0 * case.usage[&(key.0, key.1)].1 >= 500_000_000);
        prop_assert_eq!(by_hand(&case), found);
    }
}
