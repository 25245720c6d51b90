//! Intake: reads the records of all sources and stores them as samples of streams, without duplicates.
//!
//! A file is identified by its content and a record by its identity, so a second delivery changes nothing. An unusable
//! record becomes a `rejected_record` with its reason. Records that no meter measures are only counted.

pub mod deduplicate;
pub mod formats;
pub mod record;
pub mod rejection_reason;
pub mod resolve;
pub mod retraction;
pub mod sample;
pub mod sources;
pub mod stored_inputs;
#[cfg(test)]
mod test_sink;
#[cfg(test)]
mod tests;
pub mod unread;

use crate::catalog::changed_days::ChangedDays;
use crate::catalog::stored::read_catalog;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::compute::filter_record_batch;

use crate::intake::deduplicate::merge::{self, Committed, Place};
use crate::intake::deduplicate::pending_samples::Unsorted;
use crate::intake::deduplicate::repeated_events::{CommittedFile, EventTimes, RepeatedEvents};
use crate::intake::deduplicate::retracted_records::RetractedRecords;
use crate::intake::deduplicate::stored_deliveries::{self, PLACES};
use crate::intake::deduplicate::successors::{deliveries_of, successor};

use crate::error::Error;
use crate::intake::record::IdField;
use crate::intake::resolve::binding::Bindings;
use crate::intake::resolve::collector::{ChangedIdsOfFile, Collector, Counts, Labels, RejectedRecord, add_label};
use crate::intake::sample::{Delivery, Sample};
use crate::intake::sources::discover::{self, Delivered, IngestedFiles, InputFile};
use crate::intake::sources::servers;
use crate::intake::sources::servers::Watermarks;
use crate::intake::stored_inputs::{
    adjusted_input_files, cut_files, other_rejections, retention_start, retracted_files,
};
use crate::model::period::{DayNumber, date_of};
use crate::model::rule_book::RuleBook;
use crate::model::summary::{ChangedIds, IntakeSummary};
use crate::model::unread_input::UnreadInput;
use crate::query::statement;
use crate::rows;
use crate::run::{self, Environment, Transaction};
use crate::storage::DataFile;

/// The memory for merging one pending sample. It covers the columns, their order, the rows of a file and the file.
const PENDING_BYTES: usize = 200;
/// The memory for merging one committed sample, as for [`PENDING_BYTES`].
const COMMITTED_BYTES: usize = 160;

/// Reads all files that are not ingested yet, and returns the changed dates. Files and servers that cannot be read are
/// listed, and do not stop the others.
#[tracing::instrument(level = "debug", name = "intake", skip_all)]
pub async fn load(environment: &Environment, transaction: &mut Transaction) -> Result<ChangedDays, Error> {
    let bindings = Bindings::new(&environment.rules);
    let reads_all_again = needs_all_files(&environment.rules, transaction);
    let retained_from = retention_start(transaction, &mut environment.calendar());
    let ingested = ingested_files(transaction, &bindings, reads_all_again, retained_from).await?;
    let mut unread = Vec::new();
    let mut files = discover::new_files(&environment.config, &ingested, &mut unread).await?;
    let before = Watermarks::load(&transaction.read("watermark", |_| true).await?)?;
    let from = if reads_all_again { Watermarks::default() } else { before.clone() };
    let mut pulled = servers::pull(environment, &bindings, from, &before).await?;
    files.extend(std::mem::take(&mut pulled.files).into_iter().filter(|file| ingested.is_new(file)));
    unread.append(&mut pulled.unread);
    if pulled.watermarks != before {
        transaction.replace("intake/watermark", "all", 0, &[pulled.watermarks.rows()?]).await?;
    }
    if files.is_empty() {
        let catalog = read_catalog(transaction).await?;
        let summary = write_unread(transaction, unread).await?;
        return Ok(ChangedDays { catalog, summary, ..ChangedDays::default() });
    }
    let mut collector = new_collector(environment, transaction, &bindings, retained_from).await?;
    let mut files = discover::prepare(files, &collector, &ingested, &mut unread).await?;
    // If a file cannot be read to its end, the collector contains its first records. The others are then read again.
    loop {
        let failed = read_files(environment, &files, &mut collector)?;
        if failed.is_empty() {
            break;
        }
        files.retain(|file| !failed.contains_key(&file.id));
        unread.extend(failed.into_values());
        collector = new_collector(environment, transaction, &bindings, retained_from).await?;
    }
    let unread = write_unread(transaction, unread).await?;
    if files.is_empty() {
        return Ok(ChangedDays { catalog: collector.catalog, summary: unread, ..ChangedDays::default() });
    }
    let mut touched = BTreeSet::new();
    let mut replaced_rejections = 0;
    for file in &files {
        for earlier in &file.continues {
            let replaced =
                retraction::replace(environment, transaction, &collector.catalog, (*earlier, &file.name)).await?;
            touched.extend(replaced.touched);
            replaced_rejections += replaced.rejections;
        }
    }
    touched.extend(write_samples(environment, transaction, &mut collector).await?);
    write_labels(transaction, collector.take_labels()).await?;
    let summary = write_outcome(transaction, &files, &collector).await?;
    if replaced_rejections > 0 {
        transaction.totals.insert("replaced_rejections".to_owned(), replaced_rejections.to_string());
    }
    transaction.register("intake/input_file", |_| true).await?;
    run::check(&transaction.session, "intake/checks/every_record_has_one_outcome").await?;
    let summary = IntakeSummary { unread_inputs: unread.unread_inputs, ..summary };
    Ok(ChangedDays { catalog: collector.catalog, touched, summary })
}

/// Writes the inputs that could not be read. Returns a summary with these inputs only.
async fn write_unread(transaction: &mut Transaction, mut unread: Vec<UnreadInput>) -> Result<IntakeSummary, Error> {
    unread.sort();
    unread.dedup_by(|next, before| (&next.source, &next.url) == (&before.source, &before.url));
    transaction.replace("intake/unread_input", "all", 0, &[unread::rows_of(&unread)?]).await?;
    Ok(IntakeSummary { unread_inputs: unread, ..IntakeSummary::default() })
}

/// An empty collector for the records of new files.
async fn new_collector<'b>(
    environment: &Environment,
    transaction: &Transaction,
    bindings: &'b Bindings,
    retained_from: i64,
) -> Result<Collector<'b>, Error> {
    let catalog = read_catalog(transaction).await?;
    let stored_rejections = stored_rejections_of(&transaction.read("rejected_record", |_| true).await?)?;
    let (calendar, budget) = (environment.calendar(), environment.memory.pending_samples);
    let mut collector =
        Collector::new(bindings, catalog, calendar, environment.config.shards, stored_rejections, budget);
    collector.retained_from = retained_from;
    Ok(collector)
}

/// Reads the records of all files. Returns the files that could not be read to their end, by id.
fn read_files(
    environment: &Environment,
    files: &[InputFile],
    collector: &mut Collector<'_>,
) -> Result<BTreeMap<u64, UnreadInput>, Error> {
    let mut failed = BTreeMap::new();
    if files.is_empty() {
        return Ok(failed);
    }
    environment.options.progress.begin("Reading usage", files.iter().map(|file| file.byte_count).sum());
    for file in files {
        collector.begin_file(file.id, file.has_events());
        if let Err(failure) = discover::read(file, collector) {
            failed.insert(file.id, file.unread(failure)?);
        }
        if let Some(failure) = collector.failure.take() {
            return Err(failure);
        }
        environment.options.progress.advance(file.byte_count);
    }
    environment.options.progress.end();
    Ok(failed)
}

/// The files that are not read again. A file is read again if it has unmetered records of a source meter that a meter
/// now measures, or if `reads_all_again` is set. A file whose samples have all expired is never read again.
async fn ingested_files(
    transaction: &Transaction,
    bindings: &Bindings,
    reads_all_again: bool,
    retained_from: i64,
) -> Result<IngestedFiles, Error> {
    let mut missed: HashSet<u64> = HashSet::new();
    for batch in transaction.read("unmetered_record", |_| true).await? {
        let files: &UInt64Array = rows::column(&batch, "input_file_id")?;
        let meters: &StringArray = rows::column(&batch, "source_meter")?;
        let now_metered = (0..batch.num_rows()).filter(|row| !bindings.of(meters.value(*row)).is_empty());
        missed.extend(now_metered.map(|row| files.value(row)));
    }
    let mut ingested = retracted_files(transaction).await?;
    let cut = cut_files(transaction).await?;
    for batch in transaction.read("input_file", |_| true).await? {
        let ids: &UInt64Array = rows::column(&batch, "input_file_id")?;
        let digests: &StringArray = rows::column(&batch, "sha256")?;
        let urls: &StringArray = rows::column(&batch, "url")?;
        let sizes: &Int64Array = rows::column(&batch, "byte_count")?;
        let times: &TimestampMicrosecondArray = rows::column(&batch, "modified_at")?;
        let last: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
        let is_past = |row: usize| last.is_valid(row) && last.value(row) < retained_from;
        let is_ingested = |row: usize| is_past(row) || !(reads_all_again || missed.contains(&ids.value(row)));
        let sources: &StringArray = rows::column(&batch, "source")?;
        ingested.sources.extend(sources.iter().flatten().map(str::to_owned));
        for row in 0..batch.num_rows() {
            let (sha256, modified_at) = (digests.value(row), times.is_valid(row).then(|| times.value(row)));
            if ingested.is_retracted(sha256, modified_at) {
                continue;
            }
            if modified_at.is_some() && !is_past(row) {
                let (source, is_cut) = (sources.value(row).to_owned(), cut.contains(&ids.value(row)));
                let (id, sha256, byte_count) = (ids.value(row), sha256.to_owned(), sizes.value(row) as u64);
                let of_place = match is_cut {
                    true => ingested.cut.entry(source).or_default(),
                    false => ingested.whole.entry((source, urls.value(row).to_owned())).or_default(),
                };
                of_place.push(Delivered { id, sha256, byte_count, is_cut });
            }
            if !is_ingested(row) {
                continue;
            }
            ingested.contents.insert(sha256.to_owned());
            if let Some(modified_at) = modified_at {
                ingested.locations.insert((urls.value(row).to_owned(), sizes.value(row) as u64, modified_at));
            }
        }
    }
    Ok(ingested)
}

/// Whether a meter now measures a source meter that only other meters measured before. The lake does not record which
/// files contain this source meter, so all files must be read again.
fn needs_all_files(rules: &RuleBook, transaction: &Transaction) -> bool {
    let before = transaction.snapshot.meters();
    let was_metered = |source_meter: &String| before.values().any(|meter| meter.source_meters.contains(source_meter));
    rules.meters.iter().any(|meter| {
        let had_source_meter = |source_meter: &String| {
            before.get(&meter.name).is_some_and(|before| before.source_meters.contains(source_meter))
        };
        meter.source_meters.iter().any(|source_meter| was_metered(source_meter) && !had_source_meter(source_meter))
    })
}

fn stored_rejections_of(batches: &[RecordBatch]) -> Result<HashMap<u64, Option<u64>>, Error> {
    let mut digests = HashMap::new();
    for batch in batches {
        let files: &UInt64Array = rows::column(batch, "input_file_id")?;
        let record_digests: &UInt64Array = rows::column(batch, "record_digest")?;
        digests.extend(record_digests.values().iter().copied().zip(files.values().iter().copied().map(Some)));
    }
    Ok(digests)
}

/// The samples of one date and shard during de-duplication.
struct Piece {
    day: DayNumber,
    shard: u32,
    pending: Unsorted,
    events: RepeatedEvents,
}

/// De-duplicates the pending samples against the committed samples, several shards at once.
#[tracing::instrument(level = "debug", name = "duplicates", skip_all)]
async fn write_samples(
    environment: &Environment,
    transaction: &mut Transaction,
    collector: &mut Collector<'_>,
) -> Result<BTreeSet<(DayNumber, u32)>, Error> {
    let files: Vec<u64> = collector.files.iter().map(|(id, _)| *id).collect();
    let retracted = RetractedRecords::load(&transaction.read("retracted_record", |_| true).await?)?;
    let read_before = files_read_before(transaction, &files).await?;
    let partitions = collector.pending.partitions();
    let mut touched = BTreeSet::new();
    environment.options.progress.begin("Removing duplicates", partitions.len() as u64);
    let mut remaining = partitions.as_slice();
    while !remaining.is_empty() {
        let sizes = remaining.iter().map(|(day, shard)| {
            let committed = transaction.partition_files("sample", &date_of(*day).to_string(), *shard);
            let committed: u64 = committed.iter().map(|file| file.rows).sum();
            let near: u64 = files_within_window(environment, transaction, collector.has_events, (*day, *shard))
                .iter()
                .map(|(_, file)| file.bytes)
                .sum();
            collector.pending.rows(*day, *shard) * PENDING_BYTES + committed as usize * COMMITTED_BYTES + near as usize
        });
        let (mut partitions, _) = remaining.split_at(environment.memory.parallel_items(sizes, run::threads()));
        if collector.has_events {
            // The dates before a date must be written first, because its events are compared with theirs.
            let of_date = partitions.iter().take_while(|(day, _)| *day == partitions[0].0).count();
            partitions = &partitions[..of_date];
        }
        remaining = &remaining[partitions.len()..];
        let pieces =
            find_repeated_events(environment, transaction, collector, partitions, (&files, &retracted)).await?;
        for piece in &pieces {
            touched.extend(supersede(environment, transaction, collector, piece).await?);
        }
        let mut work = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let committed = committed_deliveries(transaction, &piece, &read_before).await?;
            work.push((piece, committed));
        }
        let stream_refs = &collector.stream_refs;
        let deduplicated = run::at_once(work, |(piece, mut committed)| {
            committed.samples.sort_unstable_by_key(|sample: &Sample| (sample.identity(), sample.evidence));
            let Piece { day, shard, pending, events } = piece;
            let deduplicated = merge::deduplicate(pending.sort(stream_refs), committed, &events, &retracted, &files)?;
            let partition = date_of(day).to_string();
            let encode = |place: Place, rows| run::encode(place.relation_path(), &partition, shard, rows);
            let samples = encode(Place::Sample, &deduplicated.samples)?;
            let others = [
                encode(Place::RepeatedEvent, &deduplicated.repeated)?,
                encode(Place::Duplicate, &deduplicated.duplicates)?,
            ];
            Ok::<_, Error>((deduplicated.outcome, samples, others))
        });
        for (partition, deduplicated) in partitions.iter().zip(deduplicated) {
            let (outcome, samples, others) = deduplicated?;
            collector.count_outcome(&outcome);
            if samples.has_rows() {
                touched.insert(*partition);
            }
            for part in [samples].into_iter().chain(others) {
                transaction.append_encoded(part).await?;
            }
            environment.options.progress.advance(1);
        }
    }
    environment.options.progress.end();
    Ok(touched)
}

/// The files of this run that an earlier run has read too.
async fn files_read_before(transaction: &Transaction, files: &[u64]) -> Result<HashSet<u64>, Error> {
    let mut before = HashSet::new();
    for batch in transaction.read_columns("input_file", &["input_file_id"], |_| true).await? {
        let ids: &UInt64Array = rows::column(&batch, "input_file_id")?;
        before.extend(ids.values().iter().copied());
    }
    Ok(files.iter().copied().filter(|file| before.contains(file)).collect())
}

/// Takes out the pending samples of several shards of one date, and finds their events with other times.
async fn find_repeated_events(
    environment: &Environment,
    transaction: &Transaction,
    collector: &mut Collector<'_>,
    partitions: &[(DayNumber, u32)],
    (files, retracted): (&[u64], &RetractedRecords),
) -> Result<Vec<Piece>, Error> {
    let window = environment.config.duplicate_window_microseconds();
    let mut work = Vec::with_capacity(partitions.len());
    for (day, shard) in partitions {
        let pending = collector.pending.take(*day, *shard).map_err(Error::Temporary)?;
        let mut committed = Vec::new();
        let has_events = collector.has_events && pending.event_digests().next().is_some();
        for (place, file) in files_within_window(environment, transaction, has_events, (*day, *shard)) {
            let data = transaction.lake.data(&file).await?;
            committed.push(CommittedFile { counts: place == Place::Sample, data });
        }
        work.push((*day, *shard, pending, committed));
    }
    let stream_refs = &collector.stream_refs;
    let pieces = run::at_once(work, |(day, shard, pending, committed)| {
        let events = RepeatedEvents::find(&pending, stream_refs, files, &committed, retracted, window)?;
        Ok(Piece { day, shard, pending, events })
    });
    pieces.into_iter().collect()
}

/// The files with which the events of a date and shard are compared: those of all dates within the window.
fn files_within_window(
    environment: &Environment,
    transaction: &Transaction,
    has_events: bool,
    (day, shard): (DayNumber, u32),
) -> Vec<(Place, DataFile)> {
    if !has_events {
        return Vec::new();
    }
    let mut calendar = environment.calendar();
    let window = environment.config.duplicate_window_microseconds();
    let (start, end) = (calendar.day_start(day), calendar.day_start(day + 1));
    let first = date_of(calendar.day_of(start.saturating_sub(window))).to_string();
    let last = date_of(calendar.day_of(end.saturating_add(window))).to_string();
    let is_near = |file: &DataFile| file.shard == shard && (&first..=&last).contains(&&file.partition);
    let of =
        |place: Place| transaction.files_where(place.relation(), is_near).into_iter().map(move |file| (place, file));
    of(Place::Sample).chain(of(Place::RepeatedEvent)).collect()
}

/// Moves the samples that no longer count to `repeated_event`. Returns their dates and shards.
async fn supersede(
    environment: &Environment,
    transaction: &mut Transaction,
    collector: &mut Collector<'_>,
    piece: &Piece,
) -> Result<BTreeSet<(DayNumber, u32)>, Error> {
    let mut calendar = environment.calendar();
    let mut by_day: BTreeMap<DayNumber, HashSet<Delivery>> = BTreeMap::new();
    for (sample, earlier) in &piece.events.superseded {
        collector.count_superseded(sample, earlier);
        by_day.entry(calendar.day_of(sample.measured_at)).or_default().insert(sample.delivery());
    }
    let mut touched = BTreeSet::new();
    for (day, superseded) in by_day {
        let is_superseded = |sample: &Sample| superseded.contains(&sample.delivery());
        let to = (Place::Sample, Place::RepeatedEvent);
        stored_deliveries::relocate(transaction, to, day, piece.shard, is_superseded).await?;
        touched.insert((day, piece.shard));
    }
    replace_superseded(environment, transaction, collector, piece).await?;
    Ok(touched)
}

/// Lets deliveries of other events take the places of superseded samples. Only meters that are not additive have such
/// deliveries, because they have one sample for all events of an instant.
async fn replace_superseded(
    environment: &Environment,
    transaction: &mut Transaction,
    collector: &mut Collector<'_>,
    piece: &Piece,
) -> Result<(), Error> {
    let mut calendar = environment.calendar();
    let window = environment.config.duplicate_window_microseconds();
    let superseded = piece.events.superseded.iter().map(|(sample, _)| sample);
    let shared = superseded.filter(|sample| sample.identity().2 != sample.record_digest).map(Sample::identity);
    let groups = deliveries_of(transaction, &mut calendar, piece.shard, shared).await?;
    let instants = groups.keys().map(|(_, measured_at, _)| *measured_at);
    let Some((first, last)) = instants.clone().min().zip(instants.max()) else { return Ok(()) };
    let events: HashSet<(u64, u64)> = groups.values().flatten().filter_map(|(_, sample)| sample.event()).collect();
    let mut committed = Vec::new();
    for day in calendar.day_of(first.saturating_sub(window))..=calendar.day_of(last) {
        for place in PLACES {
            let is_of_event = |sample: &Sample| sample.event().is_some_and(|event| events.contains(&event));
            committed.extend(stored_deliveries::read(transaction, place, day, piece.shard, is_of_event).await?);
        }
    }
    let times = EventTimes::of(&committed);
    let has_earlier =
        |sample: &Sample| times.has_earlier(sample, window) || piece.events.earlier_delivery(sample).is_some();
    for group in groups.values() {
        let Some((from, sample)) = successor(group, None, has_earlier).map(|index| group[index]) else {
            continue;
        };
        let day = calendar.day_of(sample.measured_at);
        let is_successor = |other: &Sample| other.delivery() == sample.delivery();
        stored_deliveries::relocate(transaction, (from, Place::Sample), day, piece.shard, is_successor).await?;
        collector.count_successor(&sample);
    }
    Ok(())
}

/// The committed deliveries with which pending samples of a date and shard are compared.
async fn committed_deliveries(
    transaction: &Transaction,
    piece: &Piece,
    read_before: &HashSet<u64>,
) -> Result<Committed, Error> {
    let Piece { day, shard, pending, .. } = piece;
    let samples = stored_deliveries::read(transaction, Place::Sample, *day, *shard, |_| true).await?;
    let mut committed = Committed { samples, ..Committed::default() };
    let is_read_again = |sample: &Sample| read_before.contains(&sample.input_file_id);
    if pending.event_digests().next().is_some() {
        for sample in stored_deliveries::read(transaction, Place::RepeatedEvent, *day, *shard, |_| true).await? {
            committed.repeated.insert((sample.stream_id, sample.measured_at, sample.record_digest));
            if is_read_again(&sample) {
                committed.read_before.insert(sample.delivery());
            }
        }
    }
    if !read_before.is_empty() {
        let again = stored_deliveries::read(transaction, Place::Duplicate, *day, *shard, is_read_again).await?;
        committed.read_before.extend(again.iter().map(Sample::delivery));
    }
    Ok(committed)
}

async fn write_labels(transaction: &mut Transaction, labels: Labels) -> Result<(), Error> {
    let mut by_day: BTreeMap<DayNumber, Labels> = BTreeMap::new();
    for (key, value) in labels {
        by_day.entry(key.0).or_default().insert(key, value);
    }
    for (day, mut labels) in by_day {
        let partition = date_of(day).to_string();
        for file in transaction.partition_files("label", &partition, 0) {
            for batch in transaction.lake.read_data(&file).await? {
                let streams: &UInt64Array = rows::column(&batch, "stream_id")?;
                let keys: &StringArray = rows::column(&batch, "key")?;
                let values: &StringArray = rows::column(&batch, "value")?;
                let times: &TimestampMicrosecondArray = rows::column(&batch, "measured_at")?;
                for row in 0..batch.num_rows() {
                    let key = (day, streams.value(row), Arc::from(keys.value(row)));
                    add_label(&mut labels, key, times.value(row), values.value(row));
                }
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(labels.keys().map(|(_, stream, _)| *stream))),
            Arc::new(Date32Array::from_iter_values(labels.keys().map(|(day, _, _)| *day))),
            Arc::new(StringArray::from_iter_values(labels.keys().map(|(_, _, key)| &**key))),
            Arc::new(StringArray::from_iter_values(labels.values().map(|(_, value)| value))),
            Arc::new(rows::timestamps(labels.values().map(|(measured_at, _)| Some(*measured_at)))),
        ];
        let batch = rows::batch(statement("intake/label")?, columns)?;
        transaction.replace("intake/label", &partition, 0, &[batch]).await?;
    }
    Ok(())
}

/// Writes the relations that record which files were read and the outcome of their records.
async fn write_outcome(
    transaction: &mut Transaction,
    files: &[InputFile],
    collector: &Collector<'_>,
) -> Result<IntakeSummary, Error> {
    let again: HashSet<u64> = files.iter().map(|file| file.id).collect();
    // A file that is read again because of a new meter gets new counts. Its old row would count its records twice.
    let mut file_rows = rows_of_other_files(transaction, "input_file", &again).await?;
    file_rows = adjusted_input_files(&file_rows, &collector.adjustments)?;
    let mut unmetered = rows_of_other_files(transaction, "unmetered_record", &again).await?;
    file_rows.push(input_file_rows(files, &collector.files)?);
    unmetered.push(unmetered_rows(&collector.files)?);
    transaction.replace("intake/input_file", "all", 0, &file_rows).await?;
    transaction.replace("intake/unmetered_record", "all", 0, &unmetered).await?;
    if !collector.changed_ids.is_empty() {
        let mut changed = rows_of_other_files(transaction, "changed_id", &again).await?;
        changed.push(changed_id_rows(collector)?);
        transaction.replace("intake/changed_id", "all", 0, &changed).await?;
    }
    let mut rejected = collector.rejected.clone();
    rejected.sort();
    let rejected = rejected_rows(&rejected)?;
    let outdated = collector.outdated_rejections(&again);
    if outdated.is_empty() {
        transaction.append("intake/rejected_record", "all", 0, &[rejected]).await?;
    } else {
        let mut rows = other_rejections(transaction, &outdated).await?;
        rows.push(rejected);
        transaction.replace("intake/rejected_record", "all", 0, &rows).await?;
    }
    let total = |pick: fn(&Counts) -> u64| collector.files.iter().map(|(_, counts)| pick(counts)).sum::<u64>();
    let summary = IntakeSummary {
        files_read: files.len() as u64,
        records_read: total(|counts| counts.read),
        samples_accepted: total(|counts| counts.accepted),
        samples_duplicate: total(|counts| counts.duplicate + counts.accepted_before + counts.rejected_before),
        records_rejected: total(|counts| counts.rejected),
        samples_retracted: total(|counts| counts.retracted),
        records_unmetered: total(|counts| counts.unmetered.values().sum()),
        changed_ids: changed_ids(files, collector),
        unread_inputs: Vec::new(),
        intake_commit: None,
    };
    transaction.totals = [
        ("files", summary.files_read),
        ("read", summary.records_read),
        ("samples", total(|counts| counts.samples)),
        ("accepted", summary.samples_accepted),
        ("duplicate", summary.samples_duplicate),
        ("rejected", summary.records_rejected),
        ("unmetered", summary.records_unmetered),
    ]
    .into_iter()
    .map(|(name, total)| (name.to_owned(), total.to_string()))
    .collect();
    if summary.samples_retracted > 0 {
        transaction.totals.insert("retracted".to_owned(), summary.samples_retracted.to_string());
    }
    if !summary.changed_ids.is_empty() {
        let count: u64 = summary.changed_ids.iter().map(|changed| changed.ids).sum();
        transaction.totals.insert("changed_ids".to_owned(), count.to_string());
    }
    Ok(summary)
}

/// The ids of each source that were delivered with blanks or in another Unicode form.
fn changed_ids(files: &[InputFile], collector: &Collector<'_>) -> Vec<ChangedIds> {
    let source_of: HashMap<u64, &str> = files.iter().map(|file| (file.id, file.source.as_str())).collect();
    let mut by_source: BTreeMap<&str, (HashSet<u64>, (&String, &String))> = BTreeMap::new();
    for ((file, _), changed) in &collector.changed_ids {
        let Some((source, first)) = source_of.get(file).zip(changed.first.first_key_value()) else { continue };
        let (digests, example) = by_source.entry(source).or_insert_with(|| (HashSet::new(), first));
        digests.extend(&changed.digests);
        *example = (*example).min(first);
    }
    let summary = |(source, (digests, example)): (&str, (HashSet<u64>, (&String, &String)))| ChangedIds {
        source: source.to_owned(),
        ids: digests.len() as u64,
        delivered: example.0.clone(),
        read_as: example.1.clone(),
    };
    by_source.into_iter().map(summary).collect()
}

/// The rows of `changed_id` for the files of this run.
fn changed_id_rows(collector: &Collector<'_>) -> Result<RecordBatch, Error> {
    let files = collector.changed_ids.iter();
    let changed: Vec<(&(u64, IdField), &ChangedIdsOfFile, &String, &String)> = files
        .flat_map(|(place, changed)| changed.first.iter().map(move |(id, stored)| (place, changed, id, stored)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(changed.iter().map(|(place, ..)| place.0))),
        Arc::new(StringArray::from_iter_values(changed.iter().map(|(place, ..)| place.1.name()))),
        Arc::new(StringArray::from_iter_values(changed.iter().map(|(_, _, delivered, _)| delivered))),
        Arc::new(StringArray::from_iter_values(changed.iter().map(|(.., stored)| stored))),
        Arc::new(Int64Array::from_iter_values(changed.iter().map(|(_, of_file, ..)| of_file.digests.len() as i64))),
    ];
    rows::batch(statement("intake/changed_id")?, columns)
}

/// The committed rows of a relation, without the rows of the given files.
async fn rows_of_other_files(
    transaction: &Transaction,
    relation: &str,
    files: &HashSet<u64>,
) -> Result<Vec<RecordBatch>, Error> {
    let mut rows = Vec::new();
    for batch in transaction.read(relation, |_| true).await? {
        let ids: &UInt64Array = rows::column(&batch, "input_file_id")?;
        let is_other = BooleanArray::from_iter(ids.values().iter().map(|id| Some(!files.contains(id))));
        rows.push(filter_record_batch(&batch, &is_other).map_err(|error| rows::failed(relation, error))?);
    }
    Ok(rows)
}

/// The rows of `input_file`. `counts` contains the counts of each file, in the order of `files`.
fn input_file_rows(files: &[InputFile], counts: &[(u64, Counts)]) -> Result<RecordBatch, Error> {
    let counts = || counts.iter().map(|(_, counts)| counts);
    let number = |pick: fn(&Counts) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(counts().map(|counts| pick(counts) as i64)))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(files.iter().map(|file| file.id))),
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.source))),
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.name))),
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.sha256))),
        Arc::new(Int64Array::from_iter_values(files.iter().map(|file| file.byte_count as i64))),
        Arc::new(rows::timestamps(files.iter().map(|file| file.modified_at))),
        number(|counts| counts.read),
        number(|counts| counts.unmetered.values().sum()),
        number(|counts| counts.samples),
        number(|counts| counts.accepted + counts.accepted_before),
        number(|counts| counts.duplicate),
        number(|counts| counts.rejected + counts.rejected_before),
        number(|counts| counts.retracted),
        Arc::new(rows::timestamps(counts().map(|counts| counts.first_measured_at))),
        Arc::new(rows::timestamps(counts().map(|counts| counts.last_measured_at))),
    ];
    rows::batch(statement("intake/input_file")?, columns)
}

fn unmetered_rows(counts: &[(u64, Counts)]) -> Result<RecordBatch, Error> {
    let all: Vec<(u64, &String, u64)> = counts
        .iter()
        .flat_map(|(file, counts)| counts.unmetered.iter().map(|(meter, count)| (*file, meter, *count)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(all.iter().map(|(file, _, _)| *file))),
        Arc::new(StringArray::from_iter_values(all.iter().map(|(_, meter, _)| meter))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|(_, _, count)| *count as i64))),
    ];
    rows::batch(statement("intake/unmetered_record")?, columns)
}

fn rejected_rows(rejected: &[RejectedRecord]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rejected.iter().map(|row| row.input_file_id))),
        Arc::new(Int64Array::from_iter_values(rejected.iter().map(|row| row.line as i64))),
        Arc::new(StringArray::from_iter(rejected.iter().map(|row| row.meter.as_deref()))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|row| row.reason.name()))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|row| &row.detail))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|row| &row.raw_text))),
        Arc::new(UInt64Array::from_iter_values(rejected.iter().map(|row| row.record_digest))),
    ];
    rows::batch(statement("intake/rejected_record")?, columns)
}
