//! Benchmarks of each step of intake and metering, with generated usage in memory.
//!
//! `cargo bench` generates 7,000 series; `cargo bench -- SERIES` generates another number. Each step runs five times.
//! The table shows the shortest time, in total and for each sample. The last line compares metering with its lower
//! limit: the time to decode stream, time and quantity.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a benchmark may stop, prints its table, and counts seconds"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use bytes::Bytes;
use conto::catalog::streams::Catalog;
use conto::intake::deduplicate::merge::{self, Committed};
use conto::intake::deduplicate::repeated_events::RepeatedEvents;
use conto::intake::deduplicate::retracted_records::RetractedRecords;
use conto::intake::formats::{ceilometer, compression, parquet as usage_parquet};
use conto::intake::resolve::binding::Bindings;
use conto::intake::resolve::collector::Collector;
use conto::metering::{Day, DayPlans, DescribedSamples, Measure, Measures, SharedCatalog, Validity};
use conto::model::diagnostic::{Place, SourceText};
use conto::model::dialect::Dialect;
use conto::model::meter::{Aggregation, Dimension, DimensionType, FieldPath, Meter};
use conto::model::period::Calendar;
use conto::model::rule_book::RuleBook;
use conto::query::{Session, statement};
use conto::storage::{EncodedData, StoredData};
use jiff::tz::TimeZone;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const DAY_START: i64 = 1_790_812_800_000_000;
const SHARDS: u32 = 16;
const SLOTS: usize = 288;

fn meters() -> RuleBook {
    let source = SourceText::new("meters.toml", "");
    let meter = |name: &str, aggregation: Aggregation, dimension: &str| Meter {
        name: name.to_owned(),
        aggregation,
        unit: "1".to_owned(),
        source_meters: vec![name.to_owned()],
        source_unit: None,
        window_seconds: 3_600,
        max_gap_seconds: 3_600,
        state_timeout_seconds: None,
        record: None,
        signed: false,
        dimensions: vec![Dimension {
            name: dimension.to_owned(),
            kind: DimensionType::Text,
            from: vec![FieldPath::parse(dimension)],
            lookup: None,
        }],
        unique: None,
        labels: Vec::new(),
        declared_at: Place::new(&source, 0..0),
    };
    let meters = vec![
        meter("instance", Aggregation::Presence, "flavor"),
        meter("volume", Aggregation::Max, "region"),
        meter("egress", Aggregation::Sum, "region"),
        meter("address", Aggregation::Presence, "region"),
    ];
    RuleBook { meters, ..RuleBook::default() }
}

/// Meter, resource, project, flavor and region of a series, by its number.
fn series(number: usize) -> (&'static str, String, String, &'static str, &'static str) {
    let meter = ["instance", "volume", "egress", "address"][number % 4];
    let resource = format!("{:032x}", (number as u128 / 4 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let project = format!("{:032x}", (number as u128 / 40 + 1).wrapping_mul(0xd134_2543_de82_ef95_9e37_79b9_7f4a_7c15));
    let flavor = ["m1.tiny", "m1.small", "m1.large"][number / 4 % 3];
    let region = ["eu-west", "us-east"][number / 4 % 2];
    (meter, resource, project, flavor, region)
}

/// A quantity in units of the ninth place.
fn quantity(number: usize, slot: usize) -> i128 {
    let random = ((number * SLOTS + slot) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29;
    1_000_000_000 * if number % 4 == 2 { i128::from(random) } else { 10 + number as i128 % 990 }
}

/// A day of samples as Parquet, in chronological order.
fn parquet(count: usize) -> Bytes {
    let described: Vec<_> = (0..count).map(series).collect();
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = None;
    for slot in 0..SLOTS {
        let text = |pick: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..count).map(pick)))
        };
        let times = (0..count).map(|number| DAY_START + (slot * 300 + number % 300) as i64 * 1_000_000);
        let quantities = Decimal128Array::from_iter_values((0..count).map(|number| quantity(number, slot)));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("record_id", text(&|number| format!("{:032x}", xxh(number * SLOTS + slot)))),
            ("meter", text(&|number| described[number].0.to_owned())),
            ("project_id", text(&|number| described[number].2.clone())),
            ("resource_id", text(&|number| described[number].1.clone())),
            ("measured_at", Arc::new(TimestampMicrosecondArray::from_iter_values(times))),
            ("quantity", Arc::new(quantities.with_precision_and_scale(28, 9).unwrap())),
            ("flavor", text(&|number| described[number].3.to_owned())),
            ("region", text(&|number| described[number].4.to_owned())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let writer = writer
            .get_or_insert_with(|| ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.clone())).unwrap());
        writer.write(&batch).unwrap();
    }
    writer.unwrap().into_inner().unwrap().into()
}

fn xxh(number: usize) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes())
}

/// The first `slots` of the day as Ceilometer's JSON lines.
fn json_lines(count: usize, slots: usize) -> Vec<u8> {
    let mut text = String::new();
    for slot in 0..slots {
        for number in 0..count {
            let (meter, resource, project, flavor, region) = series(number);
            let (second, record_id) = (slot * 300 + number % 300, xxh(number * SLOTS + slot));
            let time = format!("2026-10-01T{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
            let volume = quantity(number, slot) / 1_000_000_000;
            text.push_str(&format!(
                "{{\"name\":\"{meter}\",\"type\":\"gauge\",\"unit\":\"1\",\"volume\":{volume}.0,\"user_id\":null,\
                 \"project_id\":\"{project}\",\"resource_id\":\"{resource}\",\"timestamp\":\"{time}\",\
                 \"resource_metadata\":{{\"flavor\":\"{flavor}\",\"region\":\"{region}\",\"display_name\":\"vm\",\
                 \"host\":\"compute-1\",\"status\":\"active\"}},\"source\":\"openstack\",\"id\":\"{record_id:032x}\"}}\n"
            ));
        }
    }
    text.into_bytes()
}

/// The shortest of five times, with the result of the last run.
fn quickest<T>(mut step: impl FnMut() -> (T, Duration)) -> (T, Duration) {
    let mut best = step();
    for _ in 0..4 {
        let (result, time) = step();
        best = (result, time.min(best.1));
    }
    best
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}

fn print(step: &str, samples: usize, time: Duration) {
    println!("{step:44} {:>9.3} s {:>7.1} ns", time.as_secs_f64(), time.as_secs_f64() * 1e9 / samples as f64);
}

fn main() {
    // Without `--bench`, each step is tested with a small number of series.
    let usual = if std::env::args().any(|argument| argument == "--bench") { 7_000 } else { 40 };
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(usual);
    let samples = count * SLOTS;
    let rules = meters();
    let bindings = Bindings::new(&rules);
    let collector = || {
        let calendar = Calendar::new(TimeZone::UTC);
        let mut collector = Collector::new(&bindings, Catalog::default(), calendar, SHARDS, HashMap::new(), 96 << 20);
        collector.begin_file(1, false);
        collector
    };
    println!("{samples} samples of {count} series");

    let file = parquet(count);
    let read = || {
        let mut collector = collector();
        let (counts, time) =
            timed(|| usage_parquet::read(file.clone(), &BTreeMap::new(), &Dialect::default(), &mut collector).unwrap());
        assert_eq!(counts.read as usize, samples);
        (collector, time)
    };
    let (collector_of_day, time) = quickest(read);
    print("Parquet -> pending samples", samples, time);
    drop(collector_of_day);

    let lines = json_lines(count, 24);
    let (_, time) = quickest(|| {
        let mut collector = collector();
        let mut decoded = compression::open(&lines[..]).unwrap();
        let (counts, time) = timed(|| ceilometer::read(&mut decoded, &mut collector).unwrap());
        assert_eq!(counts.read as usize, count * 24);
        (collector, time)
    });
    print("JSON lines -> pending samples", count * 24, time);

    let deduplicate = || {
        let (mut collector, _) = read();
        timed(|| {
            let mut sorted = Vec::new();
            for (day, shard) in collector.pending.partitions() {
                let arrived = collector.pending.take(day, shard).unwrap();
                let arrived = arrived.sort(&collector.stream_refs);
                let (events, retracted) = (RepeatedEvents::default(), RetractedRecords::default());
                let merged = merge::deduplicate(arrived, Committed::default(), &events, &retracted, &[1]);
                sorted.push(merged.unwrap().samples);
            }
            sorted
        })
    };
    let (sorted, time) = quickest(deduplicate);
    print("pending samples -> sorted samples", samples, time);

    let schema = &statement("intake/sample").unwrap().schema;
    let encode = || -> Vec<EncodedData> {
        sorted.iter().map(|rows| EncodedData::new("sample", "2026-10-01", 0, schema, rows).unwrap()).collect()
    };
    let (encoded, time) = quickest(|| timed(encode));
    print("sorted samples -> files", samples, time);
    println!("{:44} {:>9.1} MB", "", encoded.iter().map(|data| data.file.bytes as f64).sum::<f64>() / 1e6);

    let stored: Vec<StoredData> = encoded.iter().map(EncodedData::stored).collect();
    let decode = || {
        let columns = ["stream_id", "measured_at", "quantity"];
        stored.iter().flat_map(|file| file.batches(&columns).unwrap()).map(|batch| batch.unwrap().num_rows()).sum()
    };
    let (decoded, limit): (usize, _) = quickest(|| timed(decode));
    assert_eq!(decoded, samples);
    print("decoding stream, time and quantity", samples, limit);

    let catalog: SharedCatalog = Arc::new(Mutex::new(read().0.catalog));
    let window = 3_600_000_000;
    let measure = |meter: &Meter| Measure {
        aggregation: meter.aggregation,
        window,
        max_gap: 0,
        state_timeout: None,
        record: None,
    };
    let measures: Measures = rules.meters.iter().map(|meter| (meter.name.clone(), measure(meter))).collect();
    let measures = Arc::new(measures);
    let day = Day { number: 20_727, start: DAY_START, end: DAY_START + 86_400_000_000 };
    let validity = Validity { observed_until: day.end, horizon: 86_400_000_000 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let session = Session::new(None).unwrap().on_one_thread().unwrap();
    let plan = || timed(|| runtime.block_on(DayPlans::new(&session, day, validity, false)).unwrap());
    let (plans, time) = quickest(plan);
    print("planning a day", samples, time);
    let described = |file: &StoredData| {
        let (measures, catalog) = (Arc::clone(&measures), Arc::clone(&catalog));
        DescribedSamples::open(std::slice::from_ref(file), Vec::new(), measures, catalog).unwrap()
    };
    let describe = || {
        let rows = stored.iter().flat_map(described).map(|batch| batch.unwrap().num_rows());
        timed(|| rows.sum::<usize>())
    };
    let (count_of_rows, time) = quickest(describe);
    assert_eq!(count_of_rows, samples);
    print("files -> described samples", samples, time);
    let meter = || {
        let mut windows_of_day = 0;
        for file in &stored {
            let metered = runtime.block_on(plans.run(described(file), Vec::new())).unwrap();
            windows_of_day += metered.metered_usage.iter().map(RecordBatch::num_rows).sum::<usize>();
        }
        windows_of_day
    };
    let (windows, time) = quickest(|| timed(meter));
    assert_eq!(windows, count * 24);
    print("metering a day from its files", samples, time);
    println!("metering / decoding: {:.2}", time.as_secs_f64() / limit.as_secs_f64());
}
