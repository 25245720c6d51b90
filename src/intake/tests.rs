//! Tests that equal records in CSV, in JSON lines and in Parquet result in equal samples, labels and rejections.
//!
//! The three readers differ: CSV passes every record completely, JSON uses the template of the line before, and Parquet
//! evaluates one record of each group.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use proptest::prelude::*;

use crate::catalog::streams::Catalog;
use crate::intake::formats::{ceilometer, compression, csv, parquet};
use crate::intake::read_files;
use crate::intake::resolve::binding::Bindings;
use crate::intake::resolve::collector::{Collector, Labels};
use crate::intake::sample::Sample;
use crate::intake::sources::discover::{self, IngestedFiles};
use crate::load::read_config;
use crate::model::config::Config;
use crate::model::diagnostic::{Place, SourceText};
use crate::model::dialect::Dialect;
use crate::model::meter::{
    Aggregation, Dimension, DimensionLookup, DimensionType, FieldPath, Label, Lookup, LookupRow, Meter,
};
use crate::model::period::Calendar;
use crate::model::rule_book::RuleBook;
use crate::model::unread_input::UnreadReason;
use crate::run::{Environment, RunOptions};

const START: i64 = 1_790_812_800_000_000;
const DAY: i64 = 86_400_000_000;

/// Four meters. Two measure `disk`: one is additive, one requires a unit. The third has a dated lookup. The fourth has
/// a decimal dimension and a label.
fn rules() -> RuleBook {
    let declared_at = || Place::new(&SourceText::new("meters.toml", ""), 0..0);
    let from = |name: &str| vec![FieldPath::parse(name)];
    let meter = |name: &str, aggregation, source_meter: &str, dimensions, labels| Meter {
        name: name.to_owned(),
        aggregation,
        unit: "1".to_owned(),
        source_meters: vec![source_meter.to_owned()],
        source_unit: (name == "sized").then(|| "GiB".to_owned()),
        window_seconds: 3_600,
        max_gap_seconds: 3_600,
        state_timeout_seconds: None,
        record: None,
        signed: false,
        dimensions,
        unique: None,
        labels,
        declared_at: declared_at(),
    };
    let dimension = |name: &str, kind, lookup| Dimension { name: name.to_owned(), kind, from: from(name), lookup };
    let os = Some(DimensionLookup { table: "os".to_owned(), required: true });
    let row = |value: &str, valid_from, valid_to| LookupRow {
        key: "w".to_owned(),
        value: value.to_owned(),
        valid_from,
        valid_to,
    };
    RuleBook {
        included_units: Vec::new(),
        meters: vec![
            meter("added", Aggregation::Sum, "disk", vec![dimension("flavor", DimensionType::Text, None)], vec![]),
            meter("sized", Aggregation::Max, "disk", vec![], vec![]),
            meter("licence", Aggregation::Presence, "os", vec![dimension("os", DimensionType::Text, os)], vec![]),
            meter(
                "cores",
                Aggregation::Last,
                "cpu",
                vec![dimension("vcpus", DimensionType::Decimal, None)],
                vec![Label { name: "host".to_owned(), from: FieldPath::parse("host") }],
            ),
        ],
        lookups: vec![Lookup {
            name: "os".to_owned(),
            rows: vec![row("old", None, Some(START + DAY)), row("new", Some(START + DAY), None)],
            declared_at: declared_at(),
        }],
        rules: Vec::new(),
        recurring: Vec::new(),
        charges: Vec::new(),
        reservations: Vec::new(),
        terms: Default::default(),
        sources: Vec::new(),
    }
}

/// A record's texts in the order of [`COLUMNS`], its time, and its quantity in units of the ninth place.
type Generated = ([&'static str; 9], i64, i128);

const COLUMNS: [&str; 9] = ["meter", "resource_id", "project_id", "unit", "record_id", "flavor", "os", "vcpus", "host"];

fn record() -> impl Strategy<Value = Generated> {
    let one_of = |values: &'static [&'static str]| prop::sample::select(values);
    let texts = (
        one_of(&["disk", "disk", "os", "cpu", "unmetered"]),
        one_of(&["r1", "r2", "2D954C5AB4515505B4D811C80CBF3E82"]),
        one_of(&["p1", "p2", ""]),
        one_of(&["GiB", "GiB", "B", ""]),
        one_of(&["", "1", "075CA625701A57EBBAD7CD2665EB53FB"]),
        one_of(&["m1", "m2", ""]),
        one_of(&["w", "x", ""]),
        one_of(&["2", "2.0", "many", ""]),
        one_of(&["h1", "h2", ""]),
    );
    let quantity = prop_oneof![0..5_000_000_000i128, Just(-1), Just(10i128.pow(27) - 1), Just(3 * 10i128.pow(19))];
    let texts = texts.prop_map(|(a, b, c, d, e, f, g, h, i)| [a, b, c, d, e, f, g, h, i]);
    (texts, (0..200i64).prop_map(|hour| START + hour % 60 * 3_600_000_000), quantity)
}

fn written(quantity: i128) -> String {
    crate::model::money::Quantity::from_units(quantity).to_string()
}

fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap().to_string()
}

fn csv(records: &[Generated]) -> Vec<u8> {
    let mut text = format!("{},measured_at,quantity\n", COLUMNS.join(","));
    for (texts, time, quantity) in records {
        text.push_str(&format!("{},{},{}\n", texts.join(","), instant(*time), written(*quantity)));
    }
    text.into_bytes()
}

fn json_lines(records: &[Generated]) -> Vec<u8> {
    let mut text = String::new();
    for ([meter, resource, project, unit, id, flavor, os, vcpus, host], time, quantity) in records {
        text.push_str(&format!(
            "{{\"name\": \"{meter}\", \"resource_id\": \"{resource}\", \"project_id\": \"{project}\", \
             \"unit\": \"{unit}\", \"id\": \"{id}\", \"timestamp\": \"{}\", \"volume\": {}, \"resource_metadata\": \
             {{\"flavor\": \"{flavor}\", \"os\": \"{os}\", \"vcpus\": \"{vcpus}\", \"host\": \"{host}\"}}}}\n",
            instant(*time),
            written(*quantity)
        ));
    }
    text.into_bytes()
}

fn parquet(records: &[Generated]) -> bytes::Bytes {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (index, name) in COLUMNS.iter().enumerate() {
        let texts = records.iter().map(|(texts, ..)| (!texts[index].is_empty()).then_some(texts[index]));
        columns.push((name, Arc::new(StringArray::from_iter(texts))));
    }
    let times = TimestampMicrosecondArray::from_iter_values(records.iter().map(|(_, time, _)| *time));
    let quantities = Decimal128Array::from_iter_values(records.iter().map(|(.., quantity)| *quantity));
    columns.push(("measured_at", Arc::new(times)));
    columns.push(("quantity", Arc::new(quantities.with_precision_and_scale(28, 9).unwrap())));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The result of reading a file. Rejected records are compared by meter, reason and detail, because the raw text
/// depends on the format.
#[derive(Debug, PartialEq)]
struct Collected {
    samples: Vec<Sample>,
    labels: Labels,
    rejected: Vec<(Option<String>, &'static str, String)>,
    unmetered: BTreeMap<String, u64>,
}

fn collected(bindings: &Bindings, read: impl FnOnce(&mut Collector<'_>)) -> Collected {
    let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
    let mut collector = Collector::new(bindings, Catalog::default(), calendar, 3, HashMap::new(), 1_000);
    collector.begin_file(1, false);
    read(&mut collector);
    assert!(collector.failure.is_none());
    let mut samples = Vec::new();
    for (day, shard) in collector.pending.partitions() {
        let sorted = collector.pending.take(day, shard).unwrap().sort(&collector.stream_refs);
        for (stream_id, rows) in sorted.streams() {
            samples.extend(rows.map(|row| Sample { line: 0, ..sorted.sample(stream_id, row, &[1]).0 }));
        }
    }
    samples.sort_by_key(Sample::order);
    let rejected = collector.rejected.iter();
    let rejected = rejected.map(|record| (record.meter.clone(), record.reason.name(), record.detail.clone()));
    let mut rejected: Vec<_> = rejected.collect();
    rejected.sort();
    rejected.dedup();
    let unmetered = collector.files[0].1.unmetered.clone();
    Collected { samples, labels: collector.take_labels(), rejected, unmetered }
}

proptest! {
    #[test]
    fn all_formats_give_the_same_result(records in prop::collection::vec(record(), 1..60)) {
        let bindings = Bindings::new(&rules());
        let from_csv = collected(&bindings, |collector| {
            let text = csv(&records);
            let mut decoded = compression::open(&text[..]).unwrap();
            csv::read(&mut decoded, &BTreeMap::new(), &Dialect::default(), collector).unwrap();
        });
        let from_json = collected(&bindings, |collector| {
            let text = json_lines(&records);
            let mut decoded = compression::open(&text[..]).unwrap();
            ceilometer::read(&mut decoded, collector).unwrap();
        });
        let from_parquet = collected(&bindings, |collector| {
            parquet::read(parquet(&records), &BTreeMap::new(), &Dialect::default(), collector).unwrap();
        });
        prop_assert_eq!(&from_json, &from_csv);
        prop_assert_eq!(&from_parquet, &from_csv);
    }
}

/// Rejected rows of one meter with different quantities are different records.
#[test]
fn rejected_rows_of_parquet_are_identified_by_their_values() {
    let row = |quantity| (["disk", "r1", "p1", "GiB", "", "", "", "", ""], START, quantity);
    let bindings = Bindings::new(&rules());
    let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
    let mut collector = Collector::new(&bindings, Catalog::default(), calendar, 3, HashMap::new(), 1_000);
    collector.begin_file(1, false);
    parquet::read(parquet(&[row(-1), row(-2), row(-2)]), &BTreeMap::new(), &Dialect::default(), &mut collector)
        .unwrap();
    let rejected: Vec<&str> = collector.rejected.iter().map(|record| record.raw_text.as_str()).collect();
    assert_eq!(rejected.len(), 4, "two quantities, two meters: {rejected:?}");
    assert!(rejected.iter().all(|raw| raw.contains("\"quantity\":\"-0.00000000")), "{rejected:?}");
    assert_eq!(collector.files[0].1.duplicate, 2);
}

/// A configuration with one source, which reads the CSV files of a directory.
fn config(directory: &std::path::Path) -> Config {
    let text = format!(
        "time_zone = 'UTC'\ncurrency = 'EUR'\n[seller]\nname = 'S'\n\
         [[source]]\nname = 'table'\nformat = 'csv'\npath = '{}/*.csv'\n",
        directory.display()
    );
    let path = directory.join("conto.toml");
    std::fs::write(&path, text).unwrap();
    read_config(&path).0.unwrap()
}

/// A file that vanishes after the listing is unread, and so is a file that vanishes before its records are read.
#[test]
fn a_file_that_vanishes_is_unread_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let row = (["disk", "r1", "p1", "GiB", "", "", "", "", ""], START + number, 1_000_000_000);
        std::fs::write(directory.path().join(format!("{number}.csv")), csv(&[row])).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = config(directory.path());
    let ingested = IngestedFiles::default();
    let mut unread = Vec::new();
    let files = runtime.block_on(discover::new_files(&config, &ingested, &mut unread)).unwrap();
    assert_eq!((files.len(), unread.len()), (3, 0));
    std::fs::remove_file(directory.path().join("1.csv")).unwrap();
    let bindings = Bindings::new(&rules());
    let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
    let mut collector = Collector::new(&bindings, Catalog::default(), calendar, 3, HashMap::new(), 1_000);
    let files = runtime.block_on(discover::prepare(files, &collector, &ingested, &mut unread)).unwrap();
    assert_eq!((files.len(), unread.len(), unread[0].reason), (2, 1, UnreadReason::NotFound));
    assert!(unread[0].url.ends_with("1.csv"));
    std::fs::remove_file(directory.path().join("2.csv")).unwrap();
    let options =
        RunOptions { memory_limit_bytes: None, started_at: String::new(), progress: Arc::new(crate::run::Silent) };
    let environment = Environment::new(Arc::new(config), Arc::new(rules()), options).unwrap();
    let failed = read_files(&environment, &files, &mut collector).unwrap();
    let failed: Vec<_> = failed.into_values().map(|input| (input.url.ends_with("2.csv"), input.reason)).collect();
    assert_eq!(failed, [(true, UnreadReason::NotFound)]);
    // The records of the other file are read.
    assert_eq!(collector.files.iter().map(|(_, counts)| counts.read).collect::<Vec<_>>(), [0, 1]);
}
