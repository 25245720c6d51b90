//! Metering: from samples to quantities in windows and days, date by date.
//!
//! A date needs its own samples and what the date before carries over. A new sample changes its own window and later
//! ones only, so a late record meters its date again and goes on to the next date for as long as the carry changes.

mod describe;
pub mod samples;
mod state_intervals;
pub mod windows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use jiff::Timestamp;

use self::samples::Samples;
use crate::catalog::changed_days::ChangedDays;
use crate::catalog::stored::write_catalog;
use crate::catalog::streams::Catalog;
use crate::error::{Error, LakeError};
use crate::metering::windows::{Day, Measure, StreamDay, StreamState, UNTIL_ANOTHER_WORD, Windows};
use crate::model::meter::{Aggregation, Meter};
use crate::model::period::{BillingPeriod, Calendar, DayNumber, date_of, day_number};
use crate::model::rule_book::RuleBook;
use crate::rows;
use crate::run::{self, Environment, Part, Transaction};
use crate::storage::{Commit, CommitKind, DataFile, MeterDefinition, StoredData};

const DAY_SECONDS: i64 = 86_400;

/// What a window takes while it is made: its columns, the rows of a file and the file.
const WINDOW_BYTES: usize = 100;

/// How long a silent stream is remembered: two billing periods. A counter that returns later begins with a new
/// baseline.
const CARRY_HORIZON_MICROSECONDS: i64 = 62 * DAY_SECONDS * 1_000_000;

/// Meters every date that new samples touch, and those after it that they change.
pub async fn roll_up(
    environment: &Environment,
    transaction: &mut Transaction,
    arrived: &mut ChangedDays,
) -> Result<(), Error> {
    meter(environment, transaction, arrived, None).await
}

/// Meters dates. A closed period is measured as it was when it was closed, except for the period that is restated.
#[tracing::instrument(level = "debug", name = "metering", skip_all)]
async fn meter(
    environment: &Environment,
    transaction: &mut Transaction,
    arrived: &mut ChangedDays,
    restated: Option<BillingPeriod>,
) -> Result<(), Error> {
    let mut calendar = environment.calendar();
    let mut metered_days = BTreeSet::new();
    let measured_otherwise = measured_otherwise(&environment.rules, transaction, &arrived.catalog);
    if measured_otherwise {
        arrived.touched.extend(all_metered(transaction));
    }
    let known_until = known_until(environment);
    if restated.is_none() {
        arrived.touched.extend(still_held(transaction, &mut calendar, known_until).await?);
    }
    let mut pending = std::mem::take(&mut arrived.touched);
    let mut kept = KeptMeters::new();
    environment.options.progress.begin("Metering", pending.len() as u64);
    // Date by date, because each needs what the one before it carries over; the buckets of a date do not know each
    // other.
    while let Some((day, _)) = pending.first().copied() {
        let buckets: Vec<u32> = pending.range((day, 0)..=(day, u32::MAX)).map(|(_, bucket)| *bucket).collect();
        pending.retain(|(of, _)| *of != day);
        let measures = measures(environment, transaction, &mut calendar, day, restated, &mut kept).await?;
        let mut later = buckets.as_slice();
        while !later.is_empty() {
            let sizes = later.iter().map(|bucket| size_of_work(transaction, day, *bucket));
            let (buckets, rest) = later.split_at(environment.memory.pieces_at_once(sizes, run::threads()));
            later = rest;
            let mut work = Vec::with_capacity(buckets.len());
            for bucket in buckets {
                let number = Day { number: day, start: calendar.day_start(day), end: calendar.day_start(day + 1) };
                work.push(DayWork::gather(transaction, &arrived.catalog, &measures, number, *bucket).await?);
            }
            let catalog = Mutex::new(&mut arrived.catalog);
            let metered = run::at_once(work, |work| work.meter(&measures, &catalog, known_until));
            for (bucket, parts) in buckets.iter().zip(metered) {
                let [carry, metered_usage, metered_day] = parts?;
                let carry_changed = transaction.replace_encoded(carry).await?;
                transaction.replace_encoded(metered_usage).await?;
                transaction.replace_encoded(metered_day).await?;
                environment.options.progress.advance(1);
                // What is carried does not say how a meter makes quantities of it.
                if carry_changed || measured_otherwise {
                    let meters = &environment.rules.meters;
                    let next = next_day(transaction, meters, &mut calendar, day, *bucket, known_until).await?;
                    pending.extend(next.map(|day| (day, *bucket)));
                }
            }
        }
        metered_days.insert(day);
    }
    environment.options.progress.end();
    write_catalog(transaction, &mut arrived.catalog).await?;
    for day in metered_days {
        let partition = date_of(day).to_string();
        transaction.register("metering/metered_usage", |file| file.partition == partition).await?;
        transaction.register("metering/metered_day", |file| file.partition == partition).await?;
        run::check(&transaction.session, "metering/checks/no_quantity_is_negative").await?;
        run::check(&transaction.session, "metering/checks/days_add_up_to_their_windows").await?;
    }
    Ok(())
}

/// What metering a date and bucket takes: its files, and at the most a window for each sample.
fn size_of_work(transaction: &Transaction, day: DayNumber, bucket: u32) -> usize {
    let files = transaction.partition_files("sample", &date_of(day).to_string(), bucket);
    files.iter().map(|file| file.bytes as usize + file.rows as usize * WINDOW_BYTES).sum()
}

/// Meters as the last close of a period kept them, by period; absent where it is not closed.
type KeptMeters = BTreeMap<String, Option<BTreeMap<String, MeterDefinition>>>;

/// How each meter measures on a date: by the current rules, or, on a date of a closed period, by the rules of its
/// close. A restated period is measured by the current rules. A window of a whole day is the local date, of 23 or 25
/// hours when the clocks change.
async fn measures(
    environment: &Environment,
    transaction: &Transaction,
    calendar: &mut Calendar,
    day: DayNumber,
    restated: Option<BillingPeriod>,
    kept: &mut KeptMeters,
) -> Result<HashMap<String, Measure>, Error> {
    let length = calendar.day_start(day + 1) - calendar.day_start(day);
    let definitions = environment.rules.meters.iter().map(|meter| (meter.name.clone(), MeterDefinition::of(meter)));
    let mut definitions: BTreeMap<String, MeterDefinition> = definitions.collect();
    let period = BillingPeriod::of(date_of(day));
    if restated != Some(period) {
        let name = period.to_string();
        if !kept.contains_key(&name) {
            let closed = transaction.snapshot.last(CommitKind::Close, &name).map(|close| close.sequence);
            let of_close = match closed {
                Some(sequence) => Some(transaction.lake.log_entry(sequence).await?.meters),
                None => None,
            };
            kept.insert(name.clone(), of_close);
        }
        definitions.extend(kept.get(&name).cloned().flatten().unwrap_or_default());
    }
    let measures = definitions.into_iter().filter_map(|(name, definition)| {
        let window = i64::from(definition.window_seconds);
        let measure = Measure {
            aggregation: Aggregation::from_name(&definition.aggregation)?,
            window: if window == DAY_SECONDS { length } else { window * 1_000_000 },
            max_gap: i64::from(definition.max_gap_seconds) * 1_000_000,
            state_timeout: definition
                .state_timeout_seconds
                .map_or(UNTIL_ANOTHER_WORD, |seconds| i64::from(seconds) * 1_000_000),
            record: definition.record_rounding(),
        };
        Some((name, measure))
    });
    Ok(measures.collect())
}

/// Meters a closed period again if the current meters make other quantities of its samples than the meters of its
/// close.
pub async fn restate(
    environment: &Environment,
    transaction: &mut Transaction,
    catalog: &mut Catalog,
    period: BillingPeriod,
    closed: &Commit,
) -> Result<(), Error> {
    let is_other = |meter: &Meter| {
        closed.meters.get(&meter.name).is_none_or(|kept| !kept.measures_as(&MeterDefinition::of(meter)))
    };
    if !environment.rules.meters.iter().any(is_other) {
        return Ok(());
    }
    let is_of_period = |day: DayNumber| (period.start_day()..period.end_day()).contains(&day);
    let touched: BTreeSet<(DayNumber, u32)> =
        all_metered(transaction).into_iter().filter(|(day, _)| is_of_period(*day)).collect();
    if transaction.snapshot.samples_from().is_some_and(|kept| kept > period.start().to_string().as_str()) {
        return Err(Error::Lake(LakeError::Expired { period: period.to_string() }));
    }
    let mut again = ChangedDays { catalog: std::mem::take(catalog), touched, ..ChangedDays::default() };
    meter(environment, transaction, &mut again, Some(period)).await?;
    *catalog = again.catalog;
    Ok(())
}

/// Whether a meter that has samples makes other quantities of them than it did when they were metered.
fn measured_otherwise(rules: &RuleBook, transaction: &Transaction, catalog: &Catalog) -> bool {
    let before = transaction.snapshot.meters();
    let is_other = |meter: &&Meter| match before.get(&meter.name) {
        Some(before) => !before.measures_as(&MeterDefinition::of(meter)),
        None => catalog.has_streams_of(&meter.name),
    };
    !before.is_empty() && rules.meters.iter().any(|meter| is_other(&meter))
}

/// Every date and bucket in which there is something to meter, or something metered. What was metered from samples that
/// are not kept any more stays.
fn all_metered(transaction: &Transaction) -> Vec<(DayNumber, u32)> {
    let kept_from = transaction.snapshot.samples_from().unwrap_or_default();
    let files =
        ["sample", "stream_state", "metered_usage"].into_iter().flat_map(|relation| transaction.files(relation));
    files
        .filter(|file| file.partition.as_str() >= kept_from)
        .filter_map(|file| Some((day_number(file.partition.parse().ok()?), file.bucket)))
        .collect()
}

/// The next date that depends on what this one carries: the next with samples, or the day after where a held value
/// reaches it.
async fn next_day(
    transaction: &Transaction,
    meters: &[Meter],
    calendar: &mut Calendar,
    day: DayNumber,
    bucket: u32,
    known_until: i64,
) -> Result<Option<DayNumber>, Error> {
    let partition = date_of(day).to_string();
    let is_later = |file: &DataFile| file.bucket == bucket && file.partition > partition;
    let samples = transaction.files_where("sample", is_later);
    let carried = transaction.files_where("stream_state", is_later);
    let next = samples.iter().chain(&carried).map(|file| file.partition.as_str()).min();
    let next = next.and_then(|date| date.parse().ok()).map(day_number);
    if next == Some(day + 1) {
        return Ok(next);
    }
    let day_end = calendar.day_start(day + 1);
    if day_end < known_until && holds_on(transaction, &partition, bucket).await? {
        return Ok(Some(day + 1));
    }
    let is_state =
        meters.iter().any(|meter| matches!(meter.aggregation, Aggregation::Duration | Aggregation::TimeWeighted));
    if !is_state {
        return Ok(next);
    }
    let longest = meters.iter().map(|meter| i64::from(meter.max_gap_seconds)).max().unwrap_or(0) * 1_000_000;
    for file in transaction.partition_files("stream_state", &partition, bucket) {
        for batch in transaction.lake.read_data(&file).await? {
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            if times.values().iter().any(|time| time + longest > day_end) {
                return Ok(Some(day + 1));
            }
        }
    }
    Ok(next)
}

/// Up to when states are known that hold until another word: the hour that is running.
fn known_until(environment: &Environment) -> i64 {
    const HOUR: i64 = 3_600_000_000;
    let now = environment.options.started_at.parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
    now.div_euclid(HOUR) * HOUR
}

/// Whether a date leaves a state that holds until another word.
async fn holds_on(transaction: &Transaction, partition: &str, bucket: u32) -> Result<bool, Error> {
    for file in transaction.partition_files("stream_state", partition, bucket) {
        let data = transaction.lake.data(&file).await?;
        // Where nothing was notified the file says so itself.
        if data.is_never_true("is_state")? {
            continue;
        }
        for batch in data.batches(&["deleted", "is_state"])? {
            let batch = batch?;
            let deleted: &BooleanArray = rows::column(&batch, "deleted")?;
            let is_state: &BooleanArray = rows::column(&batch, "is_state")?;
            if (0..batch.num_rows()).any(|row| is_state.value(row) && !deleted.value(row)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The dates that passed since the last one that was metered, where states hold on into them: nothing arrives for them.
async fn still_held(
    transaction: &Transaction,
    calendar: &mut Calendar,
    known_until: i64,
) -> Result<Vec<(DayNumber, u32)>, Error> {
    let mut last: BTreeMap<u32, String> = BTreeMap::new();
    for file in transaction.files("stream_state") {
        let date = last.entry(file.bucket).or_default();
        *date = std::mem::take(date).max(file.partition);
    }
    let mut dates = Vec::new();
    for (bucket, partition) in last {
        let Some(date) = partition.parse().ok().map(day_number) else { continue };
        if calendar.day_start(date) < known_until && holds_on(transaction, &partition, bucket).await? {
            dates.extend((date..=calendar.day_of(known_until - 1)).map(|day| (day, bucket)));
        }
    }
    Ok(dates)
}

/// One date of one bucket, with everything that metering it needs.
struct DayWork {
    day: Day,
    bucket: u32,
    samples: Vec<StoredData>,
    /// In the order of streams.
    carried: Vec<StreamState>,
    /// What was metered by meters that the rules do not have any more: it is kept, and listed as unrated.
    gone: Vec<RecordBatch>,
}

impl DayWork {
    async fn gather(
        transaction: &Transaction,
        catalog: &Catalog,
        measures: &HashMap<String, Measure>,
        day: Day,
        bucket: u32,
    ) -> Result<Self, Error> {
        let partition = date_of(day.number).to_string();
        let mut samples = Vec::new();
        for file in transaction.partition_files("sample", &partition, bucket) {
            samples.push(transaction.lake.data(&file).await?);
        }
        Ok(Self {
            day,
            bucket,
            samples,
            carried: carry_before(transaction, &partition, bucket, day.start).await?,
            gone: windows_of_gone_meters(transaction, catalog, measures, &partition, bucket).await?,
        })
    }

    /// The carry, the windows and the days.
    fn meter(
        self,
        measures: &HashMap<String, Measure>,
        catalog: &Mutex<&mut Catalog>,
        known_until: i64,
    ) -> Result<[Part; 3], Error> {
        let mut windows = Windows::new(self.day, CARRY_HORIZON_MICROSECONDS, known_until);
        let mut samples = Samples::open(&self.samples)?;
        let mut stream_day = StreamDay::default();
        let none = StreamDay::default();
        let mut carried = self.carried.iter().peekable();
        loop {
            let (next, before) = (samples.next_stream(), carried.peek().map(|carried| carried.stream_id));
            let Some(stream_id) = next.into_iter().chain(before).min() else { break };
            let carried = carried.next_if(|carried| carried.stream_id == stream_id);
            let measure = {
                let catalog = catalog.lock().unwrap_or_else(PoisonError::into_inner);
                let stream = catalog.stream(stream_id).ok_or(Error::Internal("a sample of a stream nobody knows"))?;
                measures.get(&*stream.meter)
            };
            if next != Some(stream_id) {
                windows.stream(stream_id, measure, &none, carried);
                continue;
            }
            samples.take(stream_id, &mut stream_day)?;
            state_intervals::settle(&mut stream_day, carried);
            let last_series = carried.map(|carried| carried.series_id);
            describe::describe(catalog, stream_id, &mut stream_day.series_id, last_series)?;
            if measure.is_none_or(|measure| !measure.aggregation.is_additive()) {
                state_intervals::join(&mut stream_day);
            }
            windows.stream(stream_id, measure, &stream_day, carried);
        }
        for batch in &self.gone {
            windows.keep(batch)?;
        }
        let metered = windows.finish()?;
        let partition = date_of(self.day.number).to_string();
        let part = |path: &str, rows: RecordBatch| run::encode(path, &partition, self.bucket, &[rows]);
        Ok([
            part("metering/stream_state", metered.carry)?,
            part("metering/metered_usage", metered.metered_usage)?,
            part("metering/metered_day", metered.metered_day)?,
        ])
    }
}

/// The windows of a date that meters gave which the rules do not have any more.
async fn windows_of_gone_meters(
    transaction: &Transaction,
    catalog: &Catalog,
    measures: &HashMap<String, Measure>,
    partition: &str,
    bucket: u32,
) -> Result<Vec<RecordBatch>, Error> {
    let is_gone = |series_id: u64| {
        let stream = catalog.series(series_id).and_then(|series| catalog.stream(series.stream_id));
        stream.is_some_and(|stream| !measures.contains_key(&*stream.meter))
    };
    let mut windows = Vec::new();
    for file in transaction.partition_files("metered_usage", partition, bucket) {
        for batch in transaction.lake.read_data(&file).await? {
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
async fn carry_before(
    transaction: &Transaction,
    partition: &str,
    bucket: u32,
    day_start: i64,
) -> Result<Vec<StreamState>, Error> {
    let before =
        transaction.files_where("stream_state", |file| file.bucket == bucket && file.partition.as_str() < partition);
    let mut remembered = Vec::new();
    if let Some(file) = before.iter().max_by(|left, right| left.partition.cmp(&right.partition)) {
        for batch in transaction.lake.read_data(file).await? {
            let streams: &UInt64Array = rows::column(&batch, "stream_id")?;
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            let quantities: &Decimal128Array = rows::column(&batch, "last_quantity")?;
            let series: &UInt64Array = rows::column(&batch, "last_series_id")?;
            let deleted: &BooleanArray = rows::column(&batch, "deleted")?;
            let is_state: &BooleanArray = rows::column(&batch, "is_state")?;
            let readings = (0..batch.num_rows()).map(|row| StreamState {
                stream_id: streams.value(row),
                measured_at: times.value(row),
                quantity: quantities.value(row),
                series_id: series.value(row),
                deleted: deleted.value(row),
                is_state: is_state.value(row),
            });
            let horizon = day_start - CARRY_HORIZON_MICROSECONDS;
            remembered.extend(
                readings.filter(|reading| reading.measured_at >= horizon || (reading.is_state && !reading.deleted)),
            );
        }
    }
    Ok(remembered)
}
