//! Property tests with random input. The properties hold for any usage, in any order, delivered any number of times.
//!
//! A run of the whole pipeline takes nearly a second without optimization, so there are few cases by default.
//! `PROPTEST_CASES=200` sets a larger number.
#![allow(clippy::unwrap_used, clippy::panic)]

mod attacks;
mod commits;
mod currencies;
mod decimals;
mod laws;
mod model;
mod prices;
mod shapes;
mod signed;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::Config;

use self::model::{Described, Metered};
use self::usage::{AGGREGATIONS, Delivered, MINUTE, csv, decimal, records};
use crate::test_lake::{TestLake, assert_same_files, without_index};

const PERIOD: &str = "2026-10";

/// The configuration of proptest: `default` cases, unless the environment sets another number. Failures are not written
/// to files next to the sources.
pub(crate) fn cases(default: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let failure_persistence = None;
    Config { cases: asked.unwrap_or(default), failure_persistence, max_shrink_iters: 60, ..Config::default() }
}

/// The midnights in Paris from 24 to 28 October 2026. 25 October has 25 hours.
fn days() -> Vec<i64> {
    let midnights = ["23T22", "24T22", "25T23", "26T23", "27T23"];
    let instant = |text: &str| format!("2026-10-{text}:00:00Z").parse::<jiff::Timestamp>().unwrap();
    midnights.iter().map(|text| instant(text).as_microsecond()).collect()
}

/// The divisors of the pricing units, one for each aggregation. Most divisors leave a remainder.
const DIVISORS: [&str; 11] =
    ["1", "0.7", "hours_in_period", "1000.5", "3", "hours_in_period", "7", "1", "24", "0.3", "3600"];
const TIERS: [(&str, &str); 3] = [("0", "0.7"), ("1.5", "0.333333333333"), ("100", "0.05")];

fn divisor(aggregation: &str) -> i128 {
    let index = AGGREGATIONS.iter().position(|name| *name == aggregation).unwrap();
    if DIVISORS[index] == "hours_in_period" { 745_000_000_000 } else { units(DIVISORS[index], 9) }
}

/// A decimal as an integer with the given number of decimal places.
fn units(text: &str, places: u32) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{whole}{fraction:0<width$}", width = places as usize);
    padded.parse().unwrap()
}

fn rules() -> String {
    let mut text = "currency = \"EUR\"\n".to_owned();
    for (aggregation, divisor) in AGGREGATIONS.iter().zip(DIVISORS) {
        let unique = if *aggregation == "count_unique" { "unique = \"flavor\"" } else { "" };
        text += &format!(
            r#"
                [[meter]]
                name = "{aggregation}"
                aggregation = "{aggregation}"
                {unique}
                window = "1h"
                unit = "unit"
                dimensions.flavor = {{ from = ["flavor"] }}

                [[rule]]
                id = "{aggregation}"
                meter = "{aggregation}"
                sku = "S-{aggregation}"
                service = "S"
                pricing_unit = {{ name = "priced", of = "{divisor}" }}
                tiers = "graduated"
                tier = [
                    {{ up_to = "1.5", unit_price = "0.7" }},
                    {{ up_to = "100", unit_price = "0.333333333333" }},
                    {{ unit_price = "0.05" }},
                ]
                "#
        );
    }
    text
}

fn lake(shards: u32) -> TestLake {
    TestLake::new()
        .config(format!(
            r#"
        time_zone = "Europe/Paris"
        shards = {shards}
        "#
        ))
        .rules(rules())
}

/// The rows of `metered_usage` in the form of the model.
fn metered(lake: &TestLake) -> Metered {
    let series: BTreeMap<String, BTreeMap<String, String>> =
        lake.rows("series").into_iter().map(|row| (row["series_id"].clone(), row)).collect();
    let streams: BTreeMap<String, BTreeMap<String, String>> =
        lake.rows("stream").into_iter().map(|row| (row["stream_id"].clone(), row)).collect();
    let mut metered = Metered::new();
    for row in lake.rows("metered_usage") {
        let series = &series[&row["series_id"]];
        let stream = &streams[&series["stream_id"]];
        let flavor = series["description"].strip_prefix("flavor=").map(str::to_owned);
        let described = Described { project: series.get("project_id").cloned(), flavor };
        let start = row["window_start"].parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let key = (stream["meter"].clone(), stream["resource_id"].clone(), described, start);
        let quantity = units(&row["consumed_quantity"], 9);
        assert!(quantity == 0 || metered.insert(key, quantity).is_none(), "a series has two rows for the same window");
    }
    metered
}

/// The billed usage: the quantity and the unrounded cost for each project, SKU and tier.
type Billed = BTreeMap<(String, String, i128), (i128, i128)>;

fn modelled_bill(metered: &Metered) -> Billed {
    let mut totals: BTreeMap<(String, String), i128> = BTreeMap::new();
    let mut counted: BTreeSet<(Option<&str>, Option<&str>)> = BTreeSet::new();
    for ((meter, _, described, _), quantity) in metered {
        let project = described.project.clone().unwrap_or_default();
        // A pool counts each flavor of its project once.
        let is_counted =
            meter == "count_unique" && counted.insert((described.project.as_deref(), described.flavor.as_deref()));
        let counted = match meter.as_str() {
            "count_unique" if is_counted => 1_000_000_000,
            "count_unique" => 0,
            _ => *quantity,
        };
        *totals.entry((project, meter.clone())).or_default() += counted;
    }
    let tiers: Vec<model::Tier> = TIERS.iter().map(|(start, price)| (units(start, 9), units(price, 12))).collect();
    let mut billed = Billed::new();
    for ((project, meter), total) in totals {
        for (start, quantity, cost) in model::graduated(total, &tiers, divisor(&meter)) {
            billed.insert((project.clone(), format!("S-{meter}"), start), (quantity, cost));
        }
    }
    billed
}

/// The billed usage of the lake: the sums of `rated_usage` over all days and resources.
fn rated_bill(lake: &TestLake) -> Billed {
    let mut billed = Billed::new();
    for row in lake.rows("rated_usage") {
        let key = (
            row.get("project_id").cloned().unwrap_or_default(),
            format!("S-{}", row["rate_id"]),
            units(&row["tier_start"], 9),
        );
        let sum = billed.entry(key).or_default();
        sum.0 += units(&row["pricing_quantity"], 9);
        sum.1 += units(&row["contracted_cost"], 18);
    }
    billed
}

/// A cost in units of the 18th decimal place, rounded half up to cents, as an amount in units of the fourth place.
fn cents(cost: i128) -> i128 {
    (cost + 5_000_000_000_000_000) / 10_000_000_000_000_000 * 100
}

fn check_invoices(lake: &TestLake, billed: &Billed) {
    let mut nets: BTreeMap<String, i128> = BTreeMap::new();
    let mut lines = Billed::new();
    for row in lake.rows("invoice_line") {
        let net = units(&row["net_amount"], 4);
        assert_eq!(net, cents(units(&row["contracted_cost"], 18)), "{row:?}");
        *nets.entry(row["project_id"].clone()).or_default() += net;
        let key = (row["project_id"].clone(), row["sku"].clone(), units(&row["tier_start"], 9));
        lines.insert(key, (units(&row["quantity"], 9), units(&row["contracted_cost"], 18)));
    }
    let mut expected = billed.clone();
    expected.retain(|key, parts| !key.0.is_empty() && *parts != (0, 0));
    assert_eq!(expected, lines, "invoice lines");
    let mut invoices = 0;
    for row in lake.rows("invoice") {
        let net = nets[&row["project_id"]];
        let tax = (net * 20 + 5_000) / 10_000 * 100;
        assert_eq!(units(&row["total_without_tax"], 4), net);
        assert_eq!(units(&row["tax_amount"], 4), tax);
        assert_eq!(units(&row["amount_due"], 4), net + tax);
        invoices += 1;
    }
    assert_eq!(invoices, nets.len(), "one invoice for each project with lines");
}

/// Asserts that each record has one outcome, and that the counts of the input files match the rows.
fn check_books(lake: &TestLake) {
    let sum = |column: &str| -> i128 { lake.rows("input_file").iter().map(|row| units(&row[column], 0)).sum() };
    assert_eq!(sum("sample_count"), sum("accepted_count") + sum("duplicate_count") + sum("rejected_count"));
    assert_eq!(sum("accepted_count"), lake.rows("sample").len() as i128, "accepted records are samples");
    assert_eq!(sum("rejected_count"), lake.rows("rejected_record").len() as i128, "rejected records are listed");
}

proptest! {
    #![proptest_config(cases(4))]

    /// The results of a run equal the model, in whatever order and files the same records are delivered.
    #[test]
    fn usage_counts_once_however_it_is_delivered(
        records in records(days()[0]),
        (order, cut, late) in (any::<u64>(), any::<u64>(), any::<u64>()),
    ) {
        let whole = lake(1);
        whole.put("usage/all.csv", csv(&records));
        whole.run(PERIOD);
        let expected = model::meter(&records, &days());
        prop_assert_eq!(&expected, &metered(&whole), "metered usage");
        let billed = modelled_bill(&expected);
        prop_assert_eq!(&billed, &rated_bill(&whole), "the parts of rated usage equal the modelled bill");
        check_invoices(&whole, &billed);
        check_books(&whole);

        // The same input in a new lake gives the same bytes.
        let again = lake(1);
        again.put("usage/all.csv", csv(&records));
        again.run(PERIOD);
        // The relation `input_file` contains the URLs of the files, which differ.
        let data = |lake: &TestLake| {
            let mut files = lake.files("lake/data");
            files.retain(|path, _| !path.starts_with("input_file/"));
            files
        };
        let (files, same) = (data(&whole), data(&again));
        assert_same_files(&files, &same, "the same input");
        assert_same_files(&whole.documents(PERIOD), &again.documents(PERIOD), "the same input");

        // The records are delivered in another order and in several files. The files have two formats, and some are
        // compressed. Half of the records are delivered twice.
        let shuffled = shuffle(&records, order);
        let cut_world = lake(1);
        deliver(&cut_world, &shuffled, cut, "part");
        deliver(&cut_world, &shuffled[..records.len() / 2], !cut, "twice");
        cut_world.run(PERIOD);
        assert_same_files(&whole.results(), &cut_world.results(), "cut otherwise");
        let documents = without_index(whole.documents(PERIOD));
        assert_same_files(&documents, &without_index(cut_world.documents(PERIOD)), "cut otherwise");
        check_books(&cut_world);

        // The same records are delivered again in other files.
        deliver(&again, &shuffled, cut, "again");
        let summary = again.run(PERIOD);
        prop_assert_eq!(summary.intake.samples_accepted, 0, "delivered twice");
        assert_same_files(&whole.results(), &again.results(), "delivered twice");
        assert_same_files(&documents, &without_index(again.documents(PERIOD)), "delivered twice");
        check_books(&again);

        // Some records are delivered a night later.
        let slow = lake(1);
        let is_late = |index: usize| late >> (index % 64) & 1 == 1;
        let part = |wanted: bool| -> Vec<Delivered> {
            let of = records.iter().enumerate().filter(|(index, _)| is_late(*index) == wanted);
            of.map(|(_, record)| record.clone()).collect()
        };
        slow.put("usage/first.csv", csv(&part(false)));
        slow.run(PERIOD);
        slow.put("usage/second.csv", csv(&part(true)));
        slow.run(PERIOD);
        assert_same_files(&whole.results(), &slow.results(), "delivered late");
        assert_same_files(&documents, &without_index(slow.documents(PERIOD)), "delivered late");
        check_books(&slow);
    }

    /// Invalid records are rejected and listed. They do not change the results of the valid records.
    #[test]
    fn garbage_changes_nothing(
        records in records(days()[0]),
        garbage in prop::collection::vec(garbage(), 1..12),
        place in any::<u64>(),
    ) {
        let clean = lake(2);
        clean.put("usage/all.jsonl", records.iter().map(Delivered::json).collect::<String>());
        clean.run(PERIOD);
        let soiled = lake(2);
        let mut lines: Vec<Vec<u8>> = records.iter().map(|record| record.json().into_bytes()).collect();
        for (index, line) in garbage.iter().enumerate() {
            let at = (place >> (index * 5)) as usize % (lines.len() + 1);
            lines.insert(at, [line.as_slice(), b"\n"].concat());
        }
        soiled.put("usage/all.jsonl", lines.concat());
        soiled.put("usage/no.csv", garbage.concat());
        let mut rows = csv(&records).into_bytes();
        rows.extend(garbage.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()));
        soiled.put("usage/rows.csv", rows);
        // The CSV file without the required columns is not read.
        let unread = soiled.run(PERIOD).intake.unread_inputs;
        prop_assert!(unread.iter().all(|input| input.url.ends_with("no.csv")), "{:?}", unread);
        assert_same_files(&clean.results(), &soiled.results(), "with garbage");
        check_books(&soiled);
    }

    /// Rules that match no usage do not change the results. The order of rules does not change the results either.
    #[test]
    fn rules_that_cannot_match_and_their_order_change_nothing(records in records(days()[0])) {
        let plain = lake(1);
        plain.put("usage/all.csv", csv(&records));
        plain.run(PERIOD);

        let other = lake(1);
        other.put("usage/all.csv", csv(&records));
        other.remove("rules/rules.toml");
        let text = rules();
        let mut tables: Vec<&str> = text.split("[[meter]]").skip(1).collect();
        tables.reverse();
        for (index, table) in tables.iter().enumerate() {
            let (meter, rule) = table.split_once("[[rule]]").unwrap();
            let name = AGGREGATIONS[AGGREGATIONS.len() - 1 - index];
            other.put(&format!("rules/{index}.toml"), format!(
                r#"
                    currency = "EUR"

                    [[rule]]
                    {rule}

                    [[rule]]
                    id = "never-{index}"
                    meter = "{name}"
                    when = "flavor = 'no record has this'"
                    priority = 9
                    sku = "N"
                    service = "N"
                    unit_price = "9"

                    [[rule]]
                    id = "never-at-noon-{index}"
                    meter = "{name}"
                    priority = 9
                    sku = "N"
                    when = "flavor = 'nor this'"
                    service = "N"
                    unit_price = "9"
                    valid_from = 2026-10-25T12:00:00Z

                    [[rule]]
                    id = "too-late-{index}"
                    meter = "{name}"
                    valid_from = 2026-10-31
                    priority = 9
                    sku = "N"
                    service = "N"
                    unit_price = "9"

                    [[meter]]
                    {meter}
                    "#
            ));
        }
        other.run(PERIOD);
        let about_rules = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
            let of_rules = |path: &str| path.starts_with("data/rate/") || path.starts_with("data/rate_tier/");
            files.into_iter().filter(|(path, _)| !of_rules(path)).collect()
        };
        assert_same_files(&about_rules(plain.results()), &about_rules(other.results()), "other rules beside");
        let (expected, found) = (plain.documents(PERIOD), other.documents(PERIOD));
        assert_same_files(&expected, &found, "other rules beside");
    }
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..60),
        "[ -~]{0,80}".prop_map(String::into_bytes),
        r#"\{"counter_name": "(sum|max)", "(timestamp|counter_volume|resource_id)": [0-9a-z"-]{1,9}[}]{0,1}"#
            .prop_map(String::into_bytes),
        Just(
            br#"{"counter_name": "sum", "resource_id": "a", "timestamp": "2026-10-24", "counter_volume": 1e99}"#
                .to_vec()
        ),
        Just(br#"{"counter_name": "max", "resource_id": "a", "timestamp": 1e300, "counter_volume": 1}"#.to_vec()),
        Just(br#"sum,a,2026-10-24T10:00:00Z,NaN,p,1,,,"#.to_vec()),
        Just(br#"sum,a,2026-10-24T10:00:00Z,-1,p,1,,,"#.to_vec()),
        Just(vec![b'['; 3000]),
    ]
}

/// The records in a pseudorandom order, with `order` as the seed.
fn shuffle(records: &[Delivered], order: u64) -> Vec<Delivered> {
    let mut shuffled = records.to_vec();
    let mut state = order | 1;
    for index in (1..shuffled.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        shuffled.swap(index, (state >> 33) as usize % (index + 1));
    }
    shuffled
}

/// Distributes records over a CSV file, a compressed CSV file and a file of JSON lines. `cut` determines the file of
/// each record.
fn deliver(lake: &TestLake, records: &[Delivered], cut: u64, name: &str) {
    let part = |wanted: u64| -> Vec<Delivered> {
        let of = records.iter().enumerate().filter(|(index, _)| (cut >> (index % 32 * 2) & 3).min(2) == wanted);
        of.map(|(_, record)| record.clone()).collect()
    };
    lake.put(&format!("usage/{name}-0.csv"), csv(&part(0)));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(csv(&part(1)).as_bytes()).unwrap();
    lake.put(&format!("usage/{name}-1.csv.gz"), packed.finish().unwrap());
    lake.put(&format!("usage/{name}-2.jsonl"), part(2).iter().map(Delivered::json).collect::<String>());
}

/// Tests the model itself on an example that can be computed by hand.
#[test]
fn the_model_counts_as_a_person_does() {
    let record = |minute: i64, quantity: i128| Delivered {
        meter: "time_weighted",
        resource: "a",
        at: days()[1] + minute * MINUTE,
        record_id: 0,
        quantity: quantity * 1_000_000_000,
        project: Some("p"),
        flavor: None,
        created: false,
        deleted: false,
    };
    // The quantity is 2 for half an hour, then 5 until the maximum gap ends two hours later.
    let metered = model::meter(&[record(30, 2), record(60, 5)], &days());
    let quantities: Vec<String> = metered.values().map(|quantity| decimal(*quantity)).collect();
    assert_eq!(quantities, ["3600.000000000", "18000.000000000", "18000.000000000"]);
}
