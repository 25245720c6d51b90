//! Metering: computes the quantities of windows and days from samples, date by date.
//!
//! A date needs its own samples and the stream states of the date before. A new sample changes only its own window and
//! later windows. So a late record causes its date to be metered again, and the following dates as long as stream
//! states change.

mod day_plans;
mod describe;
mod described_samples;
mod measures;
mod previous_states;
mod samples;
mod state_intervals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use jiff::Timestamp;

pub use self::day_plans::{Day, DayPlans, Metered, Validity};
pub use self::described_samples::{DescribedSamples, SharedCatalog};
pub use self::measures::{Measure, Measures};
pub use self::previous_states::StreamState;

use self::day_plans::{METERED_DAY, METERED_USAGE, STREAM_STATE};
use self::measures::{ClosedMeters, measures_of};
use self::previous_states::{HORIZON_MICROSECONDS, previous_stream_states};
use crate::catalog::changed_days::ChangedDays;
use crate::catalog::stored::write_catalog;
use crate::catalog::streams::Catalog;
use crate::error::{Error, LakeError};
use crate::model::meter::{Aggregation, Meter};
use crate::model::period::{BillingPeriod, Calendar, DayNumber, date_of, day_number};
use crate::model::rule_book::RuleBook;
use crate::query::{Session, statement};
use crate::rows;
use crate::run::{self, Environment, Part, Transaction};
use crate::storage::{Commit, DataFile, MeterDefinition, StoredData};

/// The memory of a window during metering: its columns, the rows of a file and the encoded file.
const WINDOW_BYTES: usize = 100;

/// Meters every changed date, and the later dates whose stream states change.
pub async fn meter_changed_days(
    environment: &Environment,
    transaction: &mut Transaction,
    arrived: &mut ChangedDays,
) -> Result<(), Error> {
    meter(environment, transaction, arrived, None).await
}

/// Meters the changed dates. A closed period is measured by the meters of its close, unless the period is restated.
#[tracing::instrument(level = "debug", name = "metering", skip_all)]
async fn meter(
    environment: &Environment,
    transaction: &mut Transaction,
    arrived: &mut ChangedDays,
    restated: Option<BillingPeriod>,
) -> Result<(), Error> {
    let meters_changed = meters_changed(&environment.rules, transaction, &arrived.catalog);
    if meters_changed {
        arrived.touched.extend(all_metered(transaction));
    }
    let observed_until = observed_until(environment);
    if restated.is_none() {
        let mut calendar = environment.calendar();
        arrived.touched.extend(days_with_open_states(transaction, &mut calendar, observed_until).await?);
    }
    let pending = std::mem::take(&mut arrived.touched);
    environment.options.progress.begin("Metering", pending.len() as u64);
    let mut metering = Metering {
        environment,
        session: transaction.session.on_one_thread()?,
        catalog: Arc::new(Mutex::new(std::mem::take(&mut arrived.catalog))),
        calendar: environment.calendar(),
        observed_until,
        meters_changed,
        restated,
        closed_meters: ClosedMeters::new(),
        pending,
    };
    let mut metered_days = BTreeSet::new();
    // Dates are metered in order, because each date needs the stream states of the date before. The shards of a date
    // are independent.
    while let Some((day, _)) = metering.pending.first().copied() {
        metering.meter_date(transaction, day).await?;
        metered_days.insert(day);
    }
    environment.options.progress.end();
    arrived.catalog = std::mem::take(&mut *locked(&metering.catalog));
    let closed = metering.closed_meters;
    register_signed_series(&environment.rules, transaction, &arrived.catalog, &closed)?;
    write_catalog(transaction, &mut arrived.catalog).await?;
    for day in metered_days {
        let partition = date_of(day).to_string();
        transaction.register(METERED_USAGE, |file| file.partition == partition).await?;
        transaction.register(METERED_DAY, |file| file.partition == partition).await?;
        run::check(&transaction.session, "metering/checks/no_quantity_is_negative").await?;
        run::check(&transaction.session, "metering/checks/days_add_up_to_their_windows").await?;
    }
    Ok(())
}

/// Registers the series of the meters that accept negative records, now or at the close of a metered period. The usage
/// of meters that were removed from the rules is kept unchanged, so their series are registered too.
fn register_signed_series(
    rules: &RuleBook,
    transaction: &Transaction,
    catalog: &Catalog,
    closed: &ClosedMeters,
) -> Result<(), Error> {
    let known: BTreeSet<&str> = rules.meters.iter().map(|meter| meter.name.as_str()).collect();
    let current = rules.meters.iter().filter(|meter| meter.signed).map(|meter| meter.name.as_str());
    let of_closes = closed.values().flatten().flatten().filter(|(_, meter)| meter.signed);
    let signed: BTreeSet<&str> = current.chain(of_closes.map(|(name, _)| name.as_str())).collect();
    let series = catalog.series_of(|stream| signed.contains(&*stream.meter) || !known.contains(&*stream.meter));
    let path = "metering/signed_series";
    let ids: ArrayRef = Arc::new(UInt64Array::from(series));
    transaction.session.register(path, vec![rows::batch(statement(path)?, vec![ids])?])?;
    Ok(())
}

/// The catalog, which no other thread changes until the guard is dropped.
fn locked(catalog: &SharedCatalog) -> MutexGuard<'_, Catalog> {
    catalog.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The metering of one run, date by date.
struct Metering<'a> {
    environment: &'a Environment,
    /// The session of the statements.
    session: Session,
    catalog: SharedCatalog,
    calendar: Calendar,
    observed_until: i64,
    /// Whether meters measure differently from the last run. If they do, equal stream states do not imply equal
    /// quantities.
    meters_changed: bool,
    restated: Option<BillingPeriod>,
    closed_meters: ClosedMeters,
    /// The dates and shards that are still to be metered.
    pending: BTreeSet<(DayNumber, u32)>,
}

impl Metering<'_> {
    /// Meters the pending shards of a date, as many at once as memory and threads allow.
    async fn meter_date(&mut self, transaction: &mut Transaction, number: DayNumber) -> Result<(), Error> {
        let environment = self.environment;
        let shards: Vec<u32> = self.pending.range((number, 0)..=(number, u32::MAX)).map(|(_, shard)| *shard).collect();
        self.pending.retain(|(pending, _)| *pending != number);
        let (calendar, closed_meters) = (&mut self.calendar, &mut self.closed_meters);
        let day = Day { number, start: calendar.day_start(number), end: calendar.day_start(number + 1) };
        let measures = measures_of(environment, transaction, calendar, number, self.restated, closed_meters).await?;
        let validity = Validity { observed_until: self.observed_until, horizon: HORIZON_MICROSECONDS };
        let is_removed = |meter: &str| !measures.contains_key(meter);
        let has_kept_windows = !locked(&self.catalog).series_of(|stream| is_removed(&stream.meter)).is_empty();
        let plans = DayPlans::new(&self.session, day, validity, has_kept_windows).await?;
        let measures = Arc::new(measures);
        let mut later = shards.as_slice();
        while !later.is_empty() {
            let sizes = later.iter().map(|shard| size_of_work(transaction, number, *shard));
            let (shards, rest) = later.split_at(environment.memory.parallel_items(sizes, run::threads()));
            later = rest;
            let mut work = Vec::with_capacity(shards.len());
            for shard in shards {
                work.push(DayWork::load(transaction, &self.catalog, &measures, day, *shard).await?);
            }
            let catalog = &self.catalog;
            let metered = run::at_once(work, |work| {
                let metering = work.meter(&plans, Arc::clone(&measures), Arc::clone(catalog));
                run::on_this_thread(metering)?
            });
            for (shard, parts) in shards.iter().zip(metered) {
                self.write(transaction, number, *shard, parts?).await?;
            }
        }
        Ok(())
    }

    /// Writes the relations of a date and shard, and adds the next date to the pending dates if it can change.
    async fn write(
        &mut self,
        transaction: &mut Transaction,
        day: DayNumber,
        shard: u32,
        [stream_state, metered_usage, metered_day]: [Part; 3],
    ) -> Result<(), Error> {
        let state_changed = transaction.replace_encoded(stream_state).await?;
        transaction.replace_encoded(metered_usage).await?;
        transaction.replace_encoded(metered_day).await?;
        self.environment.options.progress.advance(1);
        // Equal stream states do not imply equal quantities if the meters have changed.
        if state_changed || self.meters_changed {
            let meters = &self.environment.rules.meters;
            let next = next_day(transaction, meters, &mut self.calendar, day, shard, self.observed_until).await?;
            self.pending.extend(next.map(|day| (day, shard)));
        }
        Ok(())
    }
}

/// The memory in bytes for metering a date and shard: its files, and at most one window for each sample.
fn size_of_work(transaction: &Transaction, day: DayNumber, shard: u32) -> usize {
    let files = transaction.partition_files("sample", &date_of(day).to_string(), shard);
    files.iter().map(|file| file.bytes as usize + file.rows as usize * WINDOW_BYTES).sum()
}

/// Meters a closed period again if the current meters measure its samples differently from the meters of its close.
pub async fn restate(
    environment: &Environment,
    transaction: &mut Transaction,
    catalog: &mut Catalog,
    period: BillingPeriod,
    closed: &Commit,
) -> Result<(), Error> {
    let is_other = |meter: &Meter| {
        closed.meters.get(&meter.name).is_none_or(|closed| !closed.measures_as(&MeterDefinition::of(meter)))
    };
    if !environment.rules.meters.iter().any(is_other) {
        return Ok(());
    }
    let is_of_period = |day: DayNumber| (period.start_day()..period.end_day()).contains(&day);
    let touched: BTreeSet<(DayNumber, u32)> =
        all_metered(transaction).into_iter().filter(|(day, _)| is_of_period(*day)).collect();
    if transaction
        .snapshot
        .samples_from()
        .is_some_and(|samples_from| samples_from > period.start().to_string().as_str())
    {
        return Err(Error::Lake(LakeError::Expired { period: period.to_string() }));
    }
    let mut changed = ChangedDays { catalog: std::mem::take(catalog), touched, ..ChangedDays::default() };
    meter(environment, transaction, &mut changed, Some(period)).await?;
    *catalog = changed.catalog;
    Ok(())
}

/// Whether a meter with samples measures differently from the last run.
fn meters_changed(rules: &RuleBook, transaction: &Transaction, catalog: &Catalog) -> bool {
    let before = transaction.snapshot.meters();
    let is_other = |meter: &&Meter| match before.get(&meter.name) {
        Some(before) => !before.measures_as(&MeterDefinition::of(meter)),
        None => catalog.has_streams_of(&meter.name),
    };
    !before.is_empty() && rules.meters.iter().any(|meter| is_other(&meter))
}

/// Every date and shard with samples or metered usage. Usage whose samples have expired is excluded and remains
/// unchanged.
fn all_metered(transaction: &Transaction) -> Vec<(DayNumber, u32)> {
    let samples_from = transaction.snapshot.samples_from().unwrap_or_default();
    let files =
        ["sample", "stream_state", "metered_usage"].into_iter().flat_map(|relation| transaction.files(relation));
    files
        .filter(|file| file.partition.as_str() >= samples_from)
        .filter_map(|file| Some((day_number(file.partition.parse().ok()?), file.shard)))
        .collect()
}

/// The next date that depends on the stream states of `day`. It is the next date with samples or stream states, or the
/// day after `day` if a value is carried forward into that day.
async fn next_day(
    transaction: &Transaction,
    meters: &[Meter],
    calendar: &mut Calendar,
    day: DayNumber,
    shard: u32,
    observed_until: i64,
) -> Result<Option<DayNumber>, Error> {
    let partition = date_of(day).to_string();
    let is_later = |file: &DataFile| file.shard == shard && file.partition > partition;
    let samples = transaction.files_where("sample", is_later);
    let stream_states = transaction.files_where("stream_state", is_later);
    let next = samples.iter().chain(&stream_states).map(|file| file.partition.as_str()).min();
    let next = next.and_then(|date| date.parse().ok()).map(day_number);
    if next == Some(day + 1) {
        return Ok(next);
    }
    let day_end = calendar.day_start(day + 1);
    if day_end < observed_until && has_open_states(transaction, &partition, shard).await? {
        return Ok(Some(day + 1));
    }
    let is_state =
        meters.iter().any(|meter| matches!(meter.aggregation, Aggregation::Duration | Aggregation::TimeWeighted));
    if !is_state {
        return Ok(next);
    }
    let longest = meters.iter().map(|meter| i64::from(meter.max_gap_seconds)).max().unwrap_or(0) * 1_000_000;
    for file in transaction.partition_files("stream_state", &partition, shard) {
        for batch in transaction.lake.read_data(&file).await? {
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            if times.values().iter().any(|time| time + longest > day_end) {
                return Ok(Some(day + 1));
            }
        }
    }
    Ok(next)
}

/// The instant up to which states are carried forward: the start of the current hour.
fn observed_until(environment: &Environment) -> i64 {
    const HOUR: i64 = 3_600_000_000;
    let now = environment.options.started_at.parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
    now.div_euclid(HOUR) * HOUR
}

/// Whether a date ends with a state that is valid until the next event.
async fn has_open_states(transaction: &Transaction, partition: &str, shard: u32) -> Result<bool, Error> {
    for file in transaction.partition_files("stream_state", partition, shard) {
        let data = transaction.lake.data(&file).await?;
        // The statistics of the file show whether the file contains states.
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

/// The dates from the last metered date to the current date into which states are carried forward. They are metered
/// even without new samples.
async fn days_with_open_states(
    transaction: &Transaction,
    calendar: &mut Calendar,
    observed_until: i64,
) -> Result<Vec<(DayNumber, u32)>, Error> {
    let mut last: BTreeMap<u32, String> = BTreeMap::new();
    for file in transaction.files("stream_state") {
        let date = last.entry(file.shard).or_default();
        *date = std::mem::take(date).max(file.partition);
    }
    let mut dates = Vec::new();
    for (shard, partition) in last {
        let Some(date) = partition.parse().ok().map(day_number) else { continue };
        if calendar.day_start(date) < observed_until && has_open_states(transaction, &partition, shard).await? {
            dates.extend((date..=calendar.day_of(observed_until - 1)).map(|day| (day, shard)));
        }
    }
    Ok(dates)
}

/// One date and shard, with all inputs of its metering.
struct DayWork {
    day: Day,
    shard: u32,
    samples: Vec<StoredData>,
    /// Sorted by stream.
    previous: Vec<StreamState>,
    /// The usage of meters that were removed from the rules. This usage is kept, and listed as unrated.
    kept_windows: Vec<RecordBatch>,
}

impl DayWork {
    async fn load(
        transaction: &Transaction,
        catalog: &SharedCatalog,
        measures: &Measures,
        day: Day,
        shard: u32,
    ) -> Result<Self, Error> {
        let partition = date_of(day.number).to_string();
        let mut samples = Vec::new();
        for file in transaction.partition_files("sample", &partition, shard) {
            samples.push(transaction.lake.data(&file).await?);
        }
        Ok(Self {
            day,
            shard,
            samples,
            previous: previous_stream_states(transaction, &partition, shard, day.start).await?,
            kept_windows: windows_of_removed_meters(transaction, catalog, measures, &partition, shard).await?,
        })
    }

    /// Computes the rows of `stream_state`, `metered_usage` and `metered_day`.
    async fn meter(
        self,
        plans: &DayPlans,
        measures: Arc<Measures>,
        catalog: SharedCatalog,
    ) -> Result<[Part; 3], Error> {
        let samples = DescribedSamples::open(&self.samples, self.previous, measures, catalog)?;
        let metered = plans.run(samples, self.kept_windows).await?;
        let partition = date_of(self.day.number).to_string();
        let part = |path: &str, rows: &[RecordBatch]| run::encode(path, &partition, self.shard, rows);
        Ok([
            part(STREAM_STATE, &metered.stream_state)?,
            part(METERED_USAGE, &metered.metered_usage)?,
            part(METERED_DAY, &metered.metered_day)?,
        ])
    }
}

/// The windows of a date whose meters were removed from the rules.
async fn windows_of_removed_meters(
    transaction: &Transaction,
    catalog: &SharedCatalog,
    measures: &Measures,
    partition: &str,
    shard: u32,
) -> Result<Vec<RecordBatch>, Error> {
    let mut windows = Vec::new();
    for file in transaction.partition_files("metered_usage", partition, shard) {
        for batch in transaction.lake.read_data(&file).await? {
            let series: &UInt64Array = rows::column(&batch, "series_id")?;
            let removed: BooleanArray = {
                let catalog = locked(catalog);
                let is_removed = |series_id: &u64| {
                    let stream = catalog.series(*series_id).and_then(|series| catalog.stream(series.stream_id));
                    stream.is_some_and(|stream| !measures.contains_key(&*stream.meter))
                };
                series.values().iter().map(|series_id| Some(is_removed(series_id))).collect()
            };
            let batch = arrow::compute::filter_record_batch(&batch, &removed);
            windows.push(batch.map_err(|source| rows::failed("metered_usage", source))?);
        }
    }
    Ok(windows)
}
