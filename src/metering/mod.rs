//! Metering: from samples to quantities in windows and days, date by date.
//!
//! A date needs its own samples and what the date before carries over. A new sample changes its own window and later
//! ones only, so a late record meters its date again and goes on to the next date for as long as the carry changes.

mod describe;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::intake::catalog::Catalog;
use crate::intake::collector::Fact;
use crate::intake::{Arrived, facts_of, write_catalog};
use crate::meter::{Aggregation, Meter};
use crate::period::{DayNumber, date_of, day_number};
use crate::pipeline::Error;
use crate::query::{Parameters, statement};
use crate::rows;
use crate::run::Run;
use crate::storage::MeterDefinition;

const DAY_SECONDS: i64 = 86_400;

/// How long a silent stream is remembered: two billing periods. A counter that returns later begins with a new
/// baseline.
const CARRY_HORIZON_MICROSECONDS: i64 = 62 * DAY_SECONDS * 1_000_000;

/// Meters every date that new samples touch, and those after it that they change.
pub async fn roll_up(run: &mut Run, arrived: &mut Arrived) -> Result<(), Error> {
    let meters: BTreeMap<Arc<str>, Arc<Meter>> =
        run.rules.meters.iter().map(|meter| (meter.name.as_str().into(), Arc::new(meter.clone()))).collect();
    let mut metered_days = BTreeSet::new();
    let measured_otherwise = measured_otherwise(run, &arrived.catalog);
    if measured_otherwise {
        arrived.touched.extend(all_metered(run));
    }
    let buckets: BTreeSet<u32> = arrived.touched.iter().map(|(_, bucket)| *bucket).collect();
    run.options.progress.begin("Metering", arrived.touched.len() as u64);
    for bucket in buckets {
        let mut days: BTreeSet<DayNumber> =
            arrived.touched.iter().filter(|(_, of)| *of == bucket).map(|(day, _)| *day).collect();
        while let Some(day) = days.pop_first() {
            let changed = meter_day(run, &mut arrived.catalog, &meters, day, bucket).await?;
            metered_days.insert(day);
            run.options.progress.advance(1);
            // What is carried does not say how a meter makes quantities of it.
            if changed || measured_otherwise {
                days.extend(next_day(run, &meters, day, bucket).await?);
            }
        }
    }
    run.options.progress.end();
    write_catalog(run, &mut arrived.catalog).await?;
    if !metered_days.is_empty() {
        let partitions: HashSet<String> = metered_days.iter().map(|day| date_of(*day).to_string()).collect();
        run.register("metering/metered_usage", |file| partitions.contains(&file.partition)).await?;
        run.register("metering/metered_day", |file| partitions.contains(&file.partition)).await?;
        run.check("metering/checks/no_quantity_is_negative").await?;
        run.check("metering/checks/days_add_up_to_their_windows").await?;
    }
    Ok(())
}

/// Whether a meter that has samples makes other quantities of them than it did when they were metered.
fn measured_otherwise(run: &Run, catalog: &Catalog) -> bool {
    let before = run.snapshot.meters();
    let is_other = |meter: &&Meter| match before.get(&meter.name) {
        Some(before) => !before.measures_as(&MeterDefinition::of(meter)),
        None => catalog.has_streams_of(&meter.name),
    };
    !before.is_empty() && run.rules.meters.iter().any(|meter| is_other(&meter))
}

/// Every date and bucket in which there is something to meter, or something metered.
fn all_metered(run: &Run) -> Vec<(DayNumber, u32)> {
    let files = ["sample", "carry", "metered_usage"].into_iter().flat_map(|relation| run.files(relation));
    files.filter_map(|file| Some((day_number(file.partition.parse().ok()?), file.bucket))).collect()
}

/// The next date that depends on what this one carries: the next with samples, or the day after where a held value
/// reaches it.
async fn next_day(
    run: &mut Run,
    meters: &BTreeMap<Arc<str>, Arc<Meter>>,
    day: DayNumber,
    bucket: u32,
) -> Result<Option<DayNumber>, Error> {
    let partition = date_of(day).to_string();
    let is_later = |file: &&crate::storage::DataFile| file.bucket == bucket && file.partition > partition;
    let samples = run.files("sample");
    let carried = run.files("carry");
    let next = samples.iter().chain(&carried).filter(is_later).map(|file| file.partition.as_str()).min();
    let next = next.and_then(|date| date.parse().ok()).map(day_number);
    if next == Some(day + 1) {
        return Ok(next);
    }
    let holds =
        meters.values().any(|meter| matches!(meter.aggregation, Aggregation::Duration | Aggregation::TimeWeighted));
    if !holds {
        return Ok(next);
    }
    let longest = meters.values().map(|meter| i64::from(meter.gap_cap_seconds)).max().unwrap_or(0) * 1_000_000;
    let day_end = run.calendar.day_start(day + 1);
    for file in run.partition_files("carry", &partition, bucket) {
        for batch in run.lake.read_data(&file).await? {
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            if times.values().iter().any(|time| time + longest > day_end) {
                return Ok(Some(day + 1));
            }
        }
    }
    Ok(next)
}

/// Meters one date of one bucket. Says whether what it carries to the next date changed.
async fn meter_day(
    run: &mut Run,
    catalog: &mut Catalog,
    meters: &BTreeMap<Arc<str>, Arc<Meter>>,
    day: DayNumber,
    bucket: u32,
) -> Result<bool, Error> {
    let partition = date_of(day).to_string();
    let mut facts = Vec::new();
    for file in run.partition_files("sample", &partition, bucket) {
        facts.extend(facts_of(&run.lake.read_data(&file).await?)?);
    }
    facts.sort_unstable_by_key(Fact::identity);
    let (day_start, day_end) = (run.calendar.day_start(day), run.calendar.day_start(day + 1));
    let carry_in = carry_before(run, &partition, bucket, day_start).await?;
    let series = describe::describe(catalog, &facts, &last_series(&carry_in)?)?;

    let samples = by_meter(catalog, &facts, &series)?;
    let carried = carry_by_meter(catalog, &carry_in)?;
    let sample_schema = &statement("metering/described_sample")?.schema;
    let carry_schema = &statement("metering/carry_in")?.schema;
    let register = |run: &Run, samples: Vec<RecordBatch>, carry_in: Vec<RecordBatch>| -> Result<(), Error> {
        run.session.register_rows("described_sample", sample_schema.clone(), samples)?;
        Ok(run.session.register_rows("carry_in", carry_schema.clone(), carry_in)?)
    };

    register(run, samples.values().cloned().collect(), carry_in)?;
    let parameters = Parameters::none().bigint("day_end", day_end).bigint("horizon", CARRY_HORIZON_MICROSECONDS);
    let carry = run.session.run("metering/carry", parameters).await?;
    let carry_changed = run.replace("metering/carry", &partition, bucket, &carry).await?;

    let mut windows = Vec::new();
    for (name, meter) in meters {
        let (samples, carried) = (samples.get(name), carried.get(name));
        let holds = matches!(meter.aggregation, Aggregation::Duration | Aggregation::TimeWeighted);
        if samples.is_none() && !(holds && carried.is_some()) {
            continue;
        }
        register(run, samples.cloned().into_iter().collect(), carried.cloned().into_iter().collect())?;
        // A window of a whole day is the local date, of 23 or 25 hours when the clocks change.
        let is_date = i64::from(meter.window_seconds) == DAY_SECONDS;
        let window = if is_date { day_end - day_start } else { i64::from(meter.window_seconds) * 1_000_000 };
        let mut parameters = Parameters::none()
            .date("charge_date", day)
            .bigint("day_start", day_start)
            .bigint("day_end", day_end)
            .bigint("window", window);
        if holds {
            parameters = parameters.bigint("gap_cap", i64::from(meter.gap_cap_seconds) * 1_000_000);
        }
        let path = format!("metering/metered_usage/{}", meter.aggregation.name());
        windows.extend(run.session.run(&path, parameters).await?);
    }
    windows.extend(windows_of_gone_meters(run, catalog, meters, &partition, bucket).await?);
    let window_schema = statement("metering/metered_window")?.schema.clone();
    run.session.register_rows("metered_window", window_schema, windows)?;
    let metered_usage = run.session.derive("metering/metered_usage", Parameters::none()).await?;
    let metered_day = run.session.run("metering/metered_day", Parameters::none()).await?;
    run.replace("metering/metered_usage", &partition, bucket, &metered_usage).await?;
    run.replace("metering/metered_day", &partition, bucket, &metered_day).await?;
    Ok(carry_changed)
}

/// What was metered on a date by meters that the rules do not have any more: it is kept, and listed as unrated.
async fn windows_of_gone_meters(
    run: &Run,
    catalog: &Catalog,
    meters: &BTreeMap<Arc<str>, Arc<Meter>>,
    partition: &str,
    bucket: u32,
) -> Result<Vec<RecordBatch>, Error> {
    let is_gone = |series_id: u64| {
        let stream = catalog.series(series_id).and_then(|series| catalog.stream(series.stream_id));
        stream.is_some_and(|stream| !meters.contains_key(&stream.meter))
    };
    let mut windows = Vec::new();
    for file in run.partition_files("metered_usage", partition, bucket) {
        for batch in run.lake.read_data(&file).await? {
            let series: &UInt64Array = rows::column(&batch, "series_id")?;
            let gone = BooleanArray::from_iter(series.values().iter().map(|id| Some(is_gone(*id))));
            let batch = arrow::compute::filter_record_batch(&batch, &gone);
            windows.push(batch.map_err(|source| rows::failed("metered_usage", source))?);
        }
    }
    Ok(windows)
}

/// What the last date before this one carries over, without the streams that were silent for longer than the horizon.
/// Other streams decide which date was the last, and must not decide what is remembered.
async fn carry_before(run: &Run, partition: &str, bucket: u32, day_start: i64) -> Result<Vec<RecordBatch>, Error> {
    let carries = run.files("carry");
    let before = carries.iter().filter(|file| file.bucket == bucket && file.partition.as_str() < partition);
    let last = before.max_by(|left, right| left.partition.cmp(&right.partition));
    let mut remembered = Vec::new();
    if let Some(file) = last {
        for batch in run.lake.read_data(file).await? {
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            let is_known = times.values().iter().map(|time| Some(*time >= day_start - CARRY_HORIZON_MICROSECONDS));
            let batch = arrow::compute::filter_record_batch(&batch, &BooleanArray::from_iter(is_known));
            remembered.push(batch.map_err(|source| rows::failed("carry_in", source))?);
        }
    }
    Ok(remembered)
}

fn last_series(carry: &[RecordBatch]) -> Result<HashMap<u64, u64>, Error> {
    let mut last = HashMap::new();
    for batch in carry {
        let streams: &UInt64Array = rows::column(batch, "stream_id")?;
        let series: &UInt64Array = rows::column(batch, "last_series_id")?;
        last.extend(streams.values().iter().copied().zip(series.values().iter().copied()));
    }
    Ok(last)
}

/// The samples of each meter as rows, in the order of identity.
fn by_meter(catalog: &Catalog, facts: &[Fact], series: &[u64]) -> Result<BTreeMap<Arc<str>, RecordBatch>, Error> {
    let mut picked: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    let mut begin = 0;
    for run in facts.chunk_by(|left, right| left.stream_id == right.stream_id) {
        let stream = catalog.stream(run[0].stream_id).ok_or(Error::Internal("a sample of a stream nobody knows"))?;
        picked.entry(Arc::clone(&stream.meter)).or_default().extend(begin..begin + run.len());
        begin += run.len();
    }
    let relation = statement("metering/described_sample")?;
    let batch_of = |(meter, rows_of): (Arc<str>, Vec<usize>)| {
        let of = || rows_of.iter().map(|row| &facts[*row]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(of().map(|fact| fact.stream_id))),
            Arc::new(UInt64Array::from_iter_values(rows_of.iter().map(|row| series[*row]))),
            Arc::new(rows::timestamps(of().map(|fact| Some(fact.measured_at)))),
            Arc::new(rows::decimals(of().map(|fact| Some(fact.quantity)), 28, 9)?),
            Arc::new(BooleanArray::from_iter(of().map(|fact| Some(fact.created)))),
            Arc::new(BooleanArray::from_iter(of().map(|fact| Some(fact.deleted)))),
            Arc::new(UInt64Array::from_iter_values(of().map(|fact| fact.record_digest))),
        ];
        Ok((meter, rows::batch(relation, columns)?))
    };
    picked.into_iter().map(batch_of).collect()
}

fn carry_by_meter(catalog: &Catalog, carry: &[RecordBatch]) -> Result<BTreeMap<Arc<str>, RecordBatch>, Error> {
    let schema = &statement("metering/carry_in")?.schema;
    let failed = |source| rows::failed("carry_in", source);
    let all = arrow::compute::concat_batches(schema, carry).map_err(failed)?;
    let streams: &UInt64Array = rows::column(&all, "stream_id")?;
    let mut picked: BTreeMap<Arc<str>, Vec<u64>> = BTreeMap::new();
    for (row, stream_id) in streams.values().iter().enumerate() {
        if let Some(stream) = catalog.stream(*stream_id) {
            picked.entry(Arc::clone(&stream.meter)).or_default().push(row as u64);
        }
    }
    let batch_of = |(meter, rows_of): (Arc<str>, Vec<u64>)| {
        let batch = arrow::compute::take_record_batch(&all, &UInt64Array::from(rows_of)).map_err(failed)?;
        Ok((meter, batch))
    };
    picked.into_iter().map(batch_of).collect()
}
