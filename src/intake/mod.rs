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

use crate::intake::deduplicate::merge;
pub use crate::intake::deduplicate::merge::samples_of;

use crate::error::Error;
use crate::intake::resolve::binding::Bindings;
use crate::intake::resolve::collector::{Collector, Counts, Labels, RejectedRecord, add_label};
use crate::intake::sample::Sample;
use crate::intake::sources::discover::{self, IngestedFiles, InputFile};
use crate::intake::sources::servers;
use crate::intake::sources::servers::Watermarks;
use crate::model::period::{Calendar, DayNumber, date_of, day_number};
use crate::model::rule_book::RuleBook;
use crate::model::summary::{ChangedIds, IntakeSummary};
use crate::model::unread_input::UnreadInput;
use crate::query::statement;
use crate::rows;
use crate::run::{self, Environment, Transaction};

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
    let mut pulled = servers::pull(environment, &bindings, from).await?;
    let seen = files.iter().map(|file| file.sha256.clone());
    let mut seen: HashSet<String> = seen.chain(ingested.contents.iter().cloned()).collect();
    files.extend(std::mem::take(&mut pulled.files).into_iter().filter(|file| seen.insert(file.sha256.clone())));
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
    let touched = write_samples(environment, transaction, &mut collector).await?;
    write_labels(transaction, collector.take_labels()).await?;
    let summary = write_outcome(transaction, &files, &collector).await?;
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
        Collector::new(bindings, catalog, calendar, environment.config.buckets, stored_rejections, budget);
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
        collector.begin_file(file.id);
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

/// The first instant whose samples are retained, in microseconds.
fn retention_start(transaction: &Transaction, calendar: &mut Calendar) -> i64 {
    let date = transaction.snapshot.samples_from().and_then(|date| date.parse().ok());
    date.map_or(i64::MIN, |date| calendar.day_start(day_number(date)))
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
    let mut ingested = IngestedFiles::default();
    for batch in transaction.read("input_file", |_| true).await? {
        let ids: &UInt64Array = rows::column(&batch, "input_file_id")?;
        let digests: &StringArray = rows::column(&batch, "sha256")?;
        let urls: &StringArray = rows::column(&batch, "url")?;
        let sizes: &Int64Array = rows::column(&batch, "byte_count")?;
        let times: &TimestampMicrosecondArray = rows::column(&batch, "modified_at")?;
        let last: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
        let is_past = |row: usize| last.is_valid(row) && last.value(row) < retained_from;
        let is_ingested = |row: &usize| is_past(*row) || !(reads_all_again || missed.contains(&ids.value(*row)));
        let sources: &StringArray = rows::column(&batch, "source")?;
        ingested.sources.extend(sources.iter().flatten().map(str::to_owned));
        for row in (0..batch.num_rows()).filter(is_ingested) {
            ingested.contents.insert(digests.value(row).to_owned());
            if times.is_valid(row) {
                ingested.locations.insert((urls.value(row).to_owned(), sizes.value(row) as u64, times.value(row)));
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

/// De-duplicates the pending samples against the committed samples, several buckets at once.
#[tracing::instrument(level = "debug", name = "duplicates", skip_all)]
async fn write_samples(
    environment: &Environment,
    transaction: &mut Transaction,
    collector: &mut Collector<'_>,
) -> Result<BTreeSet<(DayNumber, u32)>, Error> {
    let files: Vec<u64> = collector.files.iter().map(|(id, _)| *id).collect();
    let partitions = collector.pending.partitions();
    let mut touched = BTreeSet::new();
    environment.options.progress.begin("Removing duplicates", partitions.len() as u64);
    let mut remaining = partitions.as_slice();
    while !remaining.is_empty() {
        let sizes = remaining.iter().map(|(day, bucket)| {
            let committed = transaction.partition_files("sample", &date_of(*day).to_string(), *bucket);
            let committed: u64 = committed.iter().map(|file| file.rows).sum();
            collector.pending.rows(*day, *bucket) * PENDING_BYTES + committed as usize * COMMITTED_BYTES
        });
        let (partitions, rest) = remaining.split_at(environment.memory.parallel_items(sizes, run::threads()));
        remaining = rest;
        let mut work = Vec::with_capacity(partitions.len());
        for (day, bucket) in partitions {
            let partition = date_of(*day).to_string();
            let mut committed = Vec::new();
            for file in transaction.partition_files("sample", &partition, *bucket) {
                committed.extend(samples_of(&transaction.lake.read_data(&file).await?)?);
            }
            let pending = collector.pending.take(*day, *bucket).map_err(Error::Temporary)?;
            work.push((partition, *bucket, pending, committed));
        }
        let stream_refs = &collector.stream_refs;
        let deduplicated = run::at_once(work, |(partition, bucket, pending, mut committed)| {
            committed.sort_unstable_by_key(|sample: &Sample| (sample.identity(), sample.evidence));
            let deduplicated = merge::deduplicate(pending.sort(stream_refs), &committed, &files)?;
            let part = run::encode("intake/sample", &partition, bucket, &deduplicated.samples)?;
            Ok::<_, Error>((deduplicated.outcome, part))
        });
        for (partition, deduplicated) in partitions.iter().zip(deduplicated) {
            let (outcome, part) = deduplicated?;
            collector.count_outcome(&outcome);
            if part.has_rows() {
                touched.insert(*partition);
                transaction.append_encoded(part).await?;
            }
            environment.options.progress.advance(1);
        }
    }
    environment.options.progress.end();
    Ok(touched)
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
    let mut unmetered = rows_of_other_files(transaction, "unmetered_record", &again).await?;
    file_rows.push(input_file_rows(files, &collector.files)?);
    unmetered.push(unmetered_rows(&collector.files)?);
    transaction.replace("intake/input_file", "all", 0, &file_rows).await?;
    transaction.replace("intake/unmetered_record", "all", 0, &unmetered).await?;
    let mut rejected = collector.rejected.clone();
    rejected.sort();
    transaction.append("intake/rejected_record", "all", 0, &[rejected_rows(&rejected)?]).await?;
    let total = |pick: fn(&Counts) -> u64| collector.files.iter().map(|(_, counts)| pick(counts)).sum::<u64>();
    let summary = IntakeSummary {
        files_read: files.len() as u64,
        records_read: total(|counts| counts.read),
        samples_accepted: total(|counts| counts.accepted),
        samples_duplicate: total(|counts| counts.duplicate + counts.accepted_before + counts.rejected_before),
        records_rejected: total(|counts| counts.rejected),
        records_unmetered: total(|counts| counts.unmetered.values().sum()),
        changed_ids: changed_ids(files, collector),
        unread_inputs: Vec::new(),
        intake_commit: None,
    };
    transaction.totals = [
        ("files", summary.files_read),
        ("read", summary.records_read),
        ("facts", total(|counts| counts.samples)),
        ("accepted", summary.samples_accepted),
        ("duplicate", summary.samples_duplicate),
        ("rejected", summary.records_rejected),
        ("unmetered", summary.records_unmetered),
    ]
    .into_iter()
    .map(|(name, total)| (name.to_owned(), total.to_string()))
    .collect();
    if !summary.changed_ids.is_empty() {
        let count: u64 = summary.changed_ids.iter().map(|changed| changed.ids).sum();
        transaction.totals.insert("changed_ids".to_owned(), count.to_string());
    }
    Ok(summary)
}

/// The ids of each source that were delivered with blanks or in another Unicode form.
fn changed_ids(files: &[InputFile], collector: &Collector<'_>) -> Vec<ChangedIds> {
    let mut by_source: BTreeMap<&str, (HashSet<u64>, &(String, String))> = BTreeMap::new();
    for file in files {
        let Some(changed) = collector.changed_ids.get(&file.id) else { continue };
        let (digests, example) = by_source.entry(&file.source).or_insert_with(|| (HashSet::new(), &changed.example));
        digests.extend(&changed.digests);
        *example = (*example).min(&changed.example);
    }
    let summary = |(source, (digests, example)): (&str, (HashSet<u64>, &(String, String)))| ChangedIds {
        source: source.to_owned(),
        ids: digests.len() as u64,
        delivered: example.0.clone(),
        read_as: example.1.clone(),
    };
    by_source.into_iter().map(summary).collect()
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
