//! Running totals of pools and costs of parts for random prices and usage, compared with an independent model.
//!
//! The model in `tests/pools/model/` is plain SQL of the engine without functions of Conto: running totals over all
//! rows, bounds by `LEAST` and `GREATEST`, and decimals with 76 digits. Both must compute equal rows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed precondition of a test is a panic")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Decimal128Type, Int64Type, UInt64Type};
use conto::query::{Error, Parameters, Session, statement};
use proptest::prelude::*;

const PRICED_SERIES: &str = "rating/priced_series";
const RATE_TIER: &str = "rating/rate_tier";
const POOL_INCLUDED_UNIT: &str = "rating/pool_included_unit";

/// The statements of the model in the order in which they run.
const MODEL: [(&str, &str); 5] = [
    ("pool_running_total", include_str!("pools/model/pool_running_total.sql")),
    ("pool_usage", include_str!("pools/model/pool_usage.sql")),
    ("pool_part", include_str!("pools/model/pool_part.sql")),
    ("line_running_total", include_str!("pools/model/line_running_total.sql")),
    ("priced_part", include_str!("pools/model/priced_part.sql")),
];

/// The number one in units of the ninth decimal place.
const ONE: i128 = 1_000_000_000;

fn batch(path: &str, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(statement(path).unwrap().schema.clone(), columns).unwrap()
}

fn instants(values: impl Iterator<Item = i64>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC")
}

/// The day number of 2026-10-01.
const FIRST: i32 = 20_727;
const DAY: i64 = 86_400_000_000;

fn midnight(date: i32) -> i64 {
    i64::from(date) * DAY
}

/// A tier of a generated rate: width, price, and flat fee.
type GeneratedTier = (i128, i128, Option<i128>);

#[derive(Clone, Debug)]
struct GeneratedRate {
    is_volume: bool,
    tiers: Vec<GeneratedTier>,
    free: Option<i128>,
    package: Option<(i128, bool)>,
    per: i128,
    multiplier: i128,
    divisor: i128,
    factor: i128,
    rounding: Option<(i128, &'static str, bool)>,
    flat_fee_at_zero: bool,
}

#[derive(Clone, Debug)]
struct GeneratedPool {
    period: &'static str,
    is_shared: bool,
    included: Option<i128>,
    /// The percentage of the highest windows that are ignored.
    percentile: Option<i128>,
}

/// A generated series in one component: rate, pool, line group, own price, and the usage of three dates.
type GeneratedSeries = (usize, usize, i64, Option<i128>, [Option<(i128, i128)>; 3]);

/// A row of `priced_series`: id, component, start of the segment, and the generated series.
type GeneratedRow<'a> = (u64, &'a str, i64, &'a GeneratedSeries);

fn quantity() -> impl Strategy<Value = i128> {
    prop_oneof![
        3 => (0..400i128).prop_map(|whole| whole * ONE),
        2 => 0..200 * ONE,
        1 => 0..10i128.pow(23),
        1 => Just(0),
    ]
}

/// A quantity of a meter that accepts negative records.
fn signed_quantity() -> impl Strategy<Value = i128> {
    (quantity(), any::<bool>()).prop_map(|(quantity, is_negative)| if is_negative { -quantity } else { quantity })
}

/// The generated series. `quantity` generates the usage of half a date.
fn series<S: Strategy<Value = i128>>(quantity: impl Fn() -> S) -> impl Strategy<Value = Vec<GeneratedSeries>> {
    let used = prop::array::uniform3(prop::option::weighted(0.8, (quantity(), quantity())));
    let own_price = prop::option::weighted(0.2, 0..10i128.pow(13));
    prop::collection::vec((0..4usize, 0..4usize, 0..2i64, own_price, used), 1..9)
}

fn rate() -> impl Strategy<Value = GeneratedRate> {
    let price = || prop_oneof![Just(0), 0..5_000_000_000_000i128, 0..10i128.pow(18)];
    let tier = (prop_oneof![(1..300i128).prop_map(|whole| whole * ONE), 1..10i128.pow(12)], price());
    let tiers = prop::collection::vec((tier, prop::option::weighted(0.3, price())), 1..4);
    let free = prop::option::weighted(0.4, prop_oneof![Just(0), (0..100i128).prop_map(|whole| whole * ONE)]);
    let package = prop::option::weighted(0.3, (1..50i128, any::<bool>()));
    let one_or =
        || prop_oneof![2 => Just(ONE), 1 => (1..2_000i128).prop_map(|whole| whole * ONE), 1 => 1..10i128.pow(12)];
    let direction = prop_oneof![Just("up"), Just("down"), Just("nearest")];
    let rounding = prop::option::weighted(0.3, (1..20 * ONE, direction, any::<bool>()));
    let factor = prop_oneof![2 => Just(10i128.pow(12)), 1 => 0..10i128.pow(13)];
    let numbers = (one_or(), one_or(), one_or(), factor);
    (any::<bool>(), tiers, free, package, numbers, rounding, any::<bool>()).prop_map(
        |(is_volume, tiers, free, package, (per, multiplier, divisor, factor), rounding, flat_fee_at_zero)| {
            GeneratedRate {
                is_volume,
                tiers: tiers.into_iter().map(|((width, price), fee)| (width, price, fee)).collect(),
                free,
                package: package.map(|(whole, started)| (whole * ONE, started)),
                per,
                multiplier,
                divisor,
                factor,
                rounding,
                flat_fee_at_zero,
            }
        },
    )
}

fn pool() -> impl Strategy<Value = GeneratedPool> {
    let period = prop_oneof![6 => Just("period"), 2 => Just("day"), 1 => Just("window")];
    let included = prop::option::weighted(0.2, 0..300 * ONE);
    let percentile = prop::option::weighted(0.2, 0..100 * ONE);
    (period, any::<bool>(), included, percentile).prop_map(|(period, is_shared, included, percentile)| GeneratedPool {
        period,
        is_shared,
        included,
        percentile,
    })
}

fn wide(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn rate_tier(rates: &[GeneratedRate]) -> RecordBatch {
    let mut rows = Vec::new();
    for (number, rate) in rates.iter().enumerate() {
        let id = format!("rate-{number}");
        let free = rate.free.unwrap_or(0);
        if let Some(free) = rate.free {
            rows.push((id.clone(), 0, 0, Some(free), (None, None), Some(0), None, None));
        }
        let mut bound = free;
        for (index, (width, price, fee)) in rate.tiers.iter().enumerate() {
            let is_last = index + 1 == rate.tiers.len();
            let end = (!is_last).then_some(bound + width);
            let (floor, ceiling) = if rate.is_volume { (free, None) } else { (bound, end) };
            let totals = if rate.is_volume { ((index > 0).then_some(bound), end) } else { (None, None) };
            rows.push((id.clone(), index as i64 + 1, floor, ceiling, totals, Some(*price), *fee, rate.package));
            bound += width;
        }
    }
    let per = |id: &str| rates[id["rate-".len()..].parse::<usize>().unwrap()].per;
    let quantities = |values: Vec<Option<i128>>| wide(values, 28, 9);
    let bounds = |values: Vec<Option<i128>>| wide(values, 38, 9);
    let columns: Vec<ArrayRef> = vec![
        texts(rows.iter().map(|row| Some(row.0.as_str()))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        quantities(rows.iter().map(|row| Some(row.2)).collect()),
        quantities(rows.iter().map(|row| row.3).collect()),
        bounds(rows.iter().map(|row| Some(row.2)).collect()),
        bounds(rows.iter().map(|row| row.3).collect()),
        bounds(rows.iter().map(|row| row.4.0).collect()),
        bounds(rows.iter().map(|row| row.4.1).collect()),
        wide(rows.iter().map(|row| row.5).collect(), 28, 12),
        quantities(rows.iter().map(|row| Some(per(&row.0))).collect()),
        wide(rows.iter().map(|row| row.6).collect(), 28, 12),
        bounds(rows.iter().map(|row| row.7.map(|package| package.0)).collect()),
        texts(rows.iter().map(|row| row.7.map(|package| if package.1 { "started" } else { "complete" }))),
        wide(vec![None; rows.len()], 28, 12),
    ];
    batch(RATE_TIER, columns)
}

fn priced_series(rates: &[GeneratedRate], pools: &[GeneratedPool], series: &[GeneratedSeries]) -> RecordBatch {
    // Every series has two components, in two segments of the period.
    let rows: Vec<GeneratedRow<'_>> = (0..)
        .zip(series.chunks(2))
        .flat_map(|(id, of_id)| {
            let named = ["base", "licence"].into_iter().zip(of_id);
            named.flat_map(move |(name, generated)| {
                [0, 1].map(|segment| (id, name, midnight(FIRST + segment), generated))
            })
        })
        .collect();
    let rate = |row: &GeneratedRow<'_>| &rates[row.3.0 % rates.len()];
    let pool = |row: &GeneratedRow<'_>| &pools[row.3.1 % pools.len()];
    let ids: Vec<String> = rows.iter().map(|row| format!("rate-{}", row.3.0 % rates.len())).collect();
    let none = |precision, scale| wide(vec![None; rows.len()], precision, scale);
    let pick = |pick: &dyn Fn(&GeneratedRow<'_>) -> Option<i128>, precision, scale| {
        wide(rows.iter().map(pick).collect(), precision, scale)
    };
    let number = |pick: &dyn Fn(usize, &GeneratedRow<'_>) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().enumerate().map(|(index, row)| pick(index, row))))
    };
    let flag = |pick: &dyn Fn(&GeneratedRow<'_>) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(pick(row)))))
    };
    // The line group contains the rate, and therefore the divisor, because all usage of a line has one divisor.
    let group = |row: &GeneratedRow<'_>| row.3.2 * 10 + (row.3.0 % rates.len()) as i64;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
        texts(rows.iter().map(|row| Some(row.1))),
        Arc::new(instants(rows.iter().map(|row| row.2))),
        number(&|index, _| index as i64 + 1),
        texts(rows.iter().map(|_| Some("a"))),
        texts(rows.iter().map(|_| Some("p"))),
        texts(ids.iter().map(|id| Some(id.as_str()))),
        texts(rows.iter().map(|_| Some(""))),
        pick(&|row| row.3.3, 28, 12),
        pick(&|row| Some(rate(row).multiplier), 28, 9),
        pick(&|row| Some(rate(row).factor), 28, 12),
        pick(&|row| Some(rate(row).divisor), 28, 9),
        pick(&|row| pool(row).percentile, 12, 9),
        pick(&|row| rate(row).rounding.map(|rounding| rounding.0), 38, 9),
        texts(rows.iter().map(|row| rate(row).rounding.map(|rounding| rounding.1))),
        flag(&|row| rate(row).rounding.is_some_and(|rounding| rounding.2)),
        flag(&|row| rate(row).flat_fee_at_zero),
        none(28, 12),
        none(28, 12),
        none(38, 9),
        none(28, 12),
        number(&|_, row| (row.3.1 % pools.len()) as i64),
        texts(rows.iter().map(|row| Some(pool(row).period))),
        flag(&|row| pool(row).is_shared),
        flag(&|row| pool(row).period == "window" || pool(row).percentile.is_some()),
        number(&|_, row| group(row)),
        number(&|index, _| (rows.len() - index) as i64),
    ];
    batch(PRICED_SERIES, columns)
}

/// The rows of `usage_segment`, two windows for each row, and the coverage of every sixth window. No commitment
/// covers negative usage.
fn usage(series: &[GeneratedSeries]) -> [RecordBatch; 3] {
    let mut rows = Vec::new();
    for (id, generated) in (0u64..).zip(series.chunks(2)) {
        for (date, used) in (FIRST..).zip(&generated[0].4) {
            rows.extend(used.filter(|(one, other)| one + other != 0).map(|used| (id, date, used)));
        }
    }
    let segment = |date: i32| midnight(date.min(FIRST + 1));
    let usage: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(instants(rows.iter().map(|row| segment(row.1)))),
        wide(rows.iter().map(|row| Some(row.2.0 + row.2.1)).collect(), 38, 9),
    ];
    let windows = rows.iter().flat_map(|(id, date, (one, other))| {
        [(*id, *date, midnight(*date), *one), (*id, *date, midnight(*date) + DAY / 2, *other)]
    });
    let windows: Vec<(u64, i32, i64, i128)> = windows.collect();
    let metered: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(windows.iter().map(|window| window.0))),
        Arc::new(Date32Array::from_iter_values(windows.iter().map(|window| window.1))),
        Arc::new(instants(windows.iter().map(|window| window.2))),
        Arc::new(instants(windows.iter().map(|window| window.2 + DAY / 2))),
        wide(windows.iter().map(|window| Some(window.3)).collect(), 38, 9),
        Arc::new(Int64Array::from_iter_values(windows.iter().map(|_| 1))),
    ];
    let covered = || windows.iter().step_by(6);
    let part: Vec<Option<i128>> = covered().map(|window| Some(window.3.max(0) / 2)).collect();
    let covered: Vec<ArrayRef> = vec![
        texts(covered().map(|_| Some("r"))),
        Arc::new(UInt64Array::from_iter_values(covered().map(|window| window.0))),
        Arc::new(Date32Array::from_iter_values(covered().map(|window| window.1))),
        Arc::new(instants(covered().map(|window| segment(window.1)))),
        Arc::new(instants(covered().map(|window| window.2))),
        wide(part.clone(), 38, 9),
        wide(part, 38, 9),
    ];
    let rows =
        [("rating/usage_segment", usage), ("metering/metered_usage", metered), ("rating/covered_window", covered)];
    rows.map(|(path, columns)| batch(path, columns))
}

fn charge_segment() -> RecordBatch {
    let dates = || FIRST..FIRST + 3;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from_iter_values(dates())),
        Arc::new(instants(dates().map(|date| midnight(date.min(FIRST + 1))))),
        Arc::new(instants(dates().map(midnight))),
        Arc::new(instants(dates().map(|date| midnight(date + 1)))),
        Arc::new(BooleanArray::from_iter(dates().map(|_| Some(false)))),
    ];
    batch("rating/charge_segment", columns)
}

fn pool_included_unit(pools: &[GeneratedPool]) -> RecordBatch {
    let included: Vec<(i64, i128)> =
        (0..).zip(pools).filter_map(|(number, pool)| pool.included.map(|included| (number, included))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(included.iter().map(|grant| grant.0))),
        wide(included.iter().map(|grant| Some(grant.1)).collect(), 38, 9),
    ];
    batch(POOL_INCLUDED_UNIT, columns)
}

fn unique_value(values: &[Option<i64>]) -> RecordBatch {
    let rows: Vec<(u64, i64)> = (0..).zip(values).filter_map(|(id, value)| Some((id, (*value)?))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
    ];
    batch("rating/unique_value", columns)
}

/// The relations that both the statements and the model read.
struct Generated {
    relations: Vec<(&'static str, RecordBatch)>,
}

/// The rows of `pool_usage`, without columns of the model alone, and of `priced_part`.
type Computed = [RecordBatch; 2];

impl Generated {
    /// `values` has the counted value of each series whose meter counts different values.
    fn new(
        rates: &[GeneratedRate],
        pools: &[GeneratedPool],
        series: &[GeneratedSeries],
        values: &[Option<i64>],
    ) -> Self {
        let [usage_segment, metered_usage, covered_window] = usage(series);
        let relations = vec![
            (PRICED_SERIES, priced_series(rates, pools, series)),
            (RATE_TIER, rate_tier(rates)),
            (POOL_INCLUDED_UNIT, pool_included_unit(pools)),
            ("rating/usage_segment", usage_segment),
            ("metering/metered_usage", metered_usage),
            ("rating/covered_window", covered_window),
            ("rating/unique_value", unique_value(values)),
            ("rating/charge_segment", charge_segment()),
        ];
        Self { relations }
    }

    /// The same relations with their rows in the opposite order.
    fn reversed(&self) -> Self {
        let each = self.relations.iter().map(|(path, rows)| {
            let order = UInt32Array::from_iter_values((0..u32::try_from(rows.num_rows()).unwrap()).rev());
            (*path, take_record_batch(rows, &order).unwrap())
        });
        Self { relations: each.collect() }
    }

    fn session(&self) -> Session {
        let session = Session::new(None).unwrap();
        for (path, rows) in &self.relations {
            session.register(path, vec![rows.clone()]).unwrap();
        }
        for path in ["rating/payer_series", "rating/pool_window_count"] {
            session.register_nothing(path).unwrap();
        }
        session
    }

    /// The rows that the statements compute.
    fn computed(&self) -> Result<Computed, Error> {
        let session = self.session();
        block_on(async {
            session.materialize("rating/tier_price", Parameters::none()).await?;
            session.materialize("rating/pool_window", Parameters::none()).await?;
            let pool_usage = session.materialize("rating/pool_usage", Parameters::none()).await?;
            let priced_part = session.run("rating/priced_part", Parameters::none()).await?;
            Ok([all("rating/pool_usage", &pool_usage), all("rating/priced_part", &priced_part)])
        })
    }

    /// The rows that the model computes.
    fn modelled(&self) -> Result<Computed, Error> {
        let session = self.session();
        block_on(async {
            let mut computed = Vec::new();
            for (name, text) in MODEL {
                let (schema, batches) = session.query(text).await?;
                let schema = batches.first().map_or(schema, RecordBatch::schema);
                session.register_rows(name, schema, batches.clone())?;
                computed.push(batches);
            }
            Ok([all("rating/pool_usage", &computed[1]), all("rating/priced_part", &computed[4])])
        })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// One batch with the columns of a relation. Other columns of the model are left out.
fn all(path: &str, batches: &[RecordBatch]) -> RecordBatch {
    let schema = &statement(path).unwrap().schema;
    let each = batches.iter().map(|rows| {
        let columns = schema.fields().iter().map(|field| Arc::clone(rows.column_by_name(field.name()).unwrap()));
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    });
    concat_batches(schema, &each.collect::<Vec<_>>()).unwrap()
}

/// A pool of 0.000000010 that two projects share. Its second tier is from 0.000000002 to 0.000000004.
///
/// Let `R` round half away from zero. Up to a row, the tier contains the quantity
/// `R(4 × after ÷ 10) - R(2 × after ÷ 10)`, in units of the ninth place. The share of a row is the increase of this
/// quantity:
///
/// | project | used | after | `R` of the ceiling | `R` of the floor | in tier | share |
/// | ------- | ---- | ----- | ------------------ | ---------------- | ------- | ----- |
/// | 0       | 2    | 2     | R(0.8) = 1         | R(0.4) = 0       | 1       | 1     |
/// | 1       | 1    | 3     | R(1.2) = 1         | R(0.6) = 1       | 0       | -1    |
/// | 1       | 7    | 10    | 4                  | 2                | 2       | 2     |
///
/// Each project has its own line, with a price of 1 for 3 units. The running quantity of project 1 is -1, then 1. A
/// third of the quantity is -0.000000000333333333, then 0.000000000333333333. So the second row of project 1 costs
/// 0.000000000666666666.
#[test]
fn a_line_that_begins_with_a_negative_share_starts_at_zero() {
    let rate = GeneratedRate {
        is_volume: false,
        tiers: vec![(2, 0, None), (2, 10i128.pow(12), None), (1, 0, None)],
        free: None,
        package: None,
        per: ONE,
        multiplier: ONE,
        divisor: 3 * ONE,
        factor: 10i128.pow(12),
        rounding: None,
        flat_fee_at_zero: false,
    };
    let pool = GeneratedPool { period: "period", is_shared: true, included: None, percentile: None };
    let series = [
        (0, 0, 0, None, [Some((0, 2)), None, None]),
        // The licence of the first series counts in the other pool.
        (0, 1, 0, None, [None; 3]),
        (0, 0, 1, None, [None, Some((0, 1)), Some((0, 7))]),
    ];
    let generated = Generated::new(&[rate], &[pool.clone(), pool], &series, &[]);
    let (computed, modelled) = (generated.computed().unwrap(), generated.modelled().unwrap());
    for [_, priced_part] in [&computed, &modelled] {
        let series = priced_part["series_id"].as_primitive::<UInt64Type>();
        let tiers = priced_part["tier_number"].as_primitive::<Int64Type>();
        let quantities = priced_part["pricing_quantity"].as_primitive::<Decimal128Type>();
        let costs = priced_part["contracted_cost"].as_primitive::<Decimal128Type>();
        let rows = (0..priced_part.num_rows()).filter(|row| series.value(*row) == 1 && tiers.value(*row) == 2);
        let priced: Vec<(i128, i128)> = rows.map(|row| (quantities.value(row), costs.value(row))).collect();
        assert_eq!(priced, [(0, -333_333_333), (0, 666_666_666)]);
    }
    assert_eq!(computed, modelled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_statements_and_the_model_compute_equal_rows_in_any_order_of_their_input(
        rates in prop::collection::vec(rate(), 1..4),
        pools in prop::collection::vec(pool(), 1..4),
        series in prop_oneof![series(quantity), series(signed_quantity)],
        values in prop::collection::vec(prop::option::weighted(0.4, 0..2i64), 4),
    ) {
        let generated = Generated::new(&rates, &pools, &series, &values);
        // The totals of the model cover all pools and lines, so they overflow earlier.
        if let Ok(modelled) = generated.modelled() {
            prop_assert_eq!(&generated.computed().unwrap(), &modelled);
            prop_assert_eq!(&generated.reversed().computed().unwrap(), &modelled);
        }
    }
}
