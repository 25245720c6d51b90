//! Retraction of a file or of a single record: removes its samples and lists them in `retracted_sample`.
//!
//! Another delivery of a removed sample takes its place, so the usage equals that of the files that are not retracted.
//! A retracted file is not read again while it is still at its source, but a later delivery of its content is. A
//! retracted record stays retracted, whichever file delivers it. Without an id, other values at its instant are a new
//! record.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};

use crate::catalog::changed_days::ChangedDays;
use crate::catalog::stored::read_catalog;
use crate::catalog::streams::Catalog;
use crate::error::{Error, IntakeError};
use crate::intake::deduplicate::merge::Place;
use crate::intake::deduplicate::repeated_events::EventTimes;
use crate::intake::deduplicate::retracted_records::RetractedRecord;
use crate::intake::deduplicate::stored_deliveries::{self, PLACES};
use crate::intake::deduplicate::successors::{Deliveries, Identity, deliveries_of, successor};
use crate::intake::formats::id::{digest_of_element, digest_of_id, positions_in};
use crate::intake::resolve::collector::{Adjustment, text_of_conflict};
use crate::intake::sample::{Delivery, Sample, samples_of};
use crate::intake::stored_inputs::{
    adjusted_input_files, is_of_cut_file, other_rejections, retention_start, retracted_files,
};
use crate::model::evidence::Evidence;
use crate::model::identifier::{canonical_id, canonical_text};
use crate::model::path::Positions;
use crate::model::period::{DayNumber, day_number};
use crate::query::statement;
use crate::rows;
use crate::run::{Environment, Transaction};

/// A retracted file or record.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A file: its location, the end of its path, or the beginning of its digest.
    File(String),
    /// A record with an id. An event also has a source.
    Record { event_source: Option<String>, id: String },
    /// The records of a meter and a resource at an instant, in microseconds UTC.
    Instant { meter: String, resource_id: String, measured_at: i64 },
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => formatter.write_str(file),
            Self::Record { event_source: Some(source), id } => write!(formatter, "the event `{id}` of `{source}`"),
            Self::Record { event_source: None, id } => write!(formatter, "the record `{id}`"),
            Self::Instant { meter, resource_id, measured_at } => {
                let at = crate::intake::resolve::collector::instant(*measured_at);
                write!(formatter, "the record of `{meter}` and `{resource_id}` at {at}")
            }
        }
    }
}

/// The result of a retraction.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Retracted {
    /// The URL of the file, or the description of the record.
    pub retracted: String,
    pub samples: u64,
    /// The number of retracted samples that count as before, because another file delivered them too.
    pub delivered_by_others: u64,
    pub commit: Option<u64>,
}

/// One ingested file.
struct File {
    id: u64,
    url: String,
    sha256: String,
    byte_count: i64,
    modified_at: Option<i64>,
    accepted: i64,
    duplicate: i64,
    rejected: i64,
    period: Option<(i64, i64)>,
}

/// The changes of a retraction.
#[derive(Debug, Default)]
struct Changes {
    /// The removed samples that counted.
    removed: Vec<Sample>,
    /// The deliveries that take the place of removed samples.
    promoted: Vec<Sample>,
    adjustments: BTreeMap<u64, Adjustment>,
    /// Rejections that no longer apply: record digest and file.
    ended_rejections: HashSet<(u64, u64)>,
    touched: BTreeSet<(DayNumber, u32)>,
}

/// Retracts a file or a record.
pub async fn retract(
    environment: &Environment,
    transaction: &mut Transaction,
    subject: &Subject,
    reason: &str,
) -> Result<(ChangedDays, Retracted), Error> {
    let catalog = read_catalog(transaction).await?;
    let conflicts = conflicts(transaction).await?;
    let (name, changes) = match subject {
        Subject::File(file) => {
            let found = find_file(transaction, file).await?;
            (found.url.clone(), retract_file(environment, transaction, &catalog, &conflicts, &found, reason).await?)
        }
        Subject::Record { .. } | Subject::Instant { .. } => {
            let changes = retract_record(environment, transaction, &catalog, &conflicts, subject, reason).await?;
            (subject.to_string(), changes)
        }
    };
    let rows = retracted_rows(transaction, &catalog, &changes.removed)?;
    transaction.append("intake/retracted_sample", "all", 0, &[rows]).await?;
    write_counts(transaction, &changes).await?;
    let promoted: HashSet<Identity> = changes.promoted.iter().map(Sample::identity).collect();
    let delivered_by_others = changes.removed.iter().filter(|sample| promoted.contains(&sample.identity())).count();
    let retracted = Retracted {
        retracted: name,
        samples: changes.removed.len() as u64,
        delivered_by_others: delivered_by_others as u64,
        commit: None,
    };
    Ok((ChangedDays { catalog, touched: changes.touched, ..ChangedDays::default() }, retracted))
}

/// The changes of a file that a later delivery replaces.
#[derive(Debug, Default)]
pub struct Replaced {
    pub touched: BTreeSet<(DayNumber, u32)>,
    /// The number of rejections that no longer apply.
    pub rejections: u64,
}

/// Retracts the file with the id `earlier`, which was read before its delivery was complete. `later` is the URL of a
/// delivery that begins with its whole content. The later delivery contains all records of the file, and the rest.
///
/// Samples that have expired are not replaced. The records of the later delivery are then too late.
pub async fn replace(
    environment: &Environment,
    transaction: &mut Transaction,
    catalog: &Catalog,
    (earlier, later): (u64, &str),
) -> Result<Replaced, Error> {
    let Some(file) = files(transaction).await?.into_iter().find(|file| file.id == earlier) else {
        return Ok(Replaced::default());
    };
    let conflicts = conflicts(transaction).await?;
    let reason = format!("the delivery was not complete; `{later}` begins with the same content and replaces it");
    let changes = match retract_file(environment, transaction, catalog, &conflicts, &file, &reason).await {
        Err(Error::Intake(IntakeError::DeliveryExpired { .. })) => return Ok(Replaced::default()),
        changes => changes?,
    };
    let rows = retracted_rows(transaction, catalog, &changes.removed)?;
    transaction.append("intake/retracted_sample", "all", 0, &[rows]).await?;
    write_counts(transaction, &changes).await?;
    let rejections = changes.ended_rejections.len() as u64;
    Ok(Replaced { touched: changes.touched, rejections })
}

/// Removes the deliveries of a file. A file whose records were all rejected is retracted too, so that its content can
/// be delivered again.
async fn retract_file(
    environment: &Environment,
    transaction: &mut Transaction,
    catalog: &Catalog,
    conflicts: &HashSet<(u64, u64)>,
    file: &File,
    reason: &str,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let is_without_outcome = file.accepted + file.duplicate + file.rejected == 0;
    if is_without_outcome || retracted_files(transaction).await?.is_retracted(&file.sha256, file.modified_at) {
        return Ok(changes);
    }
    let mut calendar = environment.calendar();
    if file.period.is_some_and(|(first, _)| first < retention_start(transaction, &mut calendar)) {
        return Err(Error::Intake(IntakeError::DeliveryExpired { file: file.url.clone() }));
    }
    let days = file.period.map(|(first, last)| calendar.day_of(first)..=calendar.day_of(last));
    for shard in 0..environment.config.shards {
        let mut removed = Vec::new();
        for day in days.iter().cloned().flatten() {
            for place in PLACES {
                let is_of_file = |sample: &Sample| sample.input_file_id == file.id;
                let rows = stored_deliveries::remove(transaction, place, day, shard, is_of_file).await?;
                removed.extend(samples_of(&rows)?.into_iter().map(|sample| (place, sample)));
            }
        }
        settle(environment, transaction, shard, &removed, &mut changes).await?;
    }
    let of_file = changes.adjustments.entry(file.id).or_default();
    of_file.accepted -= file.accepted;
    of_file.duplicate -= file.duplicate;
    of_file.retracted += file.accepted + file.duplicate;
    // No other file has such a rejection: its digest contains the file, or the part of a record at which the file ends.
    for digest in rejections_of_whole_file(transaction, file.id).await? {
        changes.ended_rejections.insert((digest, file.id));
        of_file.rejected -= 1;
        of_file.retracted += 1;
    }
    count_promoted(catalog, conflicts, &mut changes);
    let commit = i64::try_from(transaction.snapshot.next_sequence()).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(vec![file.id])),
        Arc::new(StringArray::from(vec![file.url.as_str()])),
        Arc::new(StringArray::from(vec![file.sha256.as_str()])),
        Arc::new(Int64Array::from(vec![file.byte_count])),
        Arc::new(rows::timestamps([file.modified_at])),
        Arc::new(StringArray::from(vec![reason])),
        Arc::new(Int64Array::from(vec![commit])),
    ];
    let row = rows::batch(statement("intake/retracted_file")?, columns)?;
    transaction.append("intake/retracted_file", "all", 0, &[row]).await?;
    Ok(changes)
}

/// Removes all deliveries of a record.
async fn retract_record(
    environment: &Environment,
    transaction: &mut Transaction,
    catalog: &Catalog,
    conflicts: &HashSet<(u64, u64)>,
    subject: &Subject,
    reason: &str,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let mut all_removed: Vec<Sample> = Vec::new();
    let is_of_record = record_filter(subject, catalog);
    for (shard, deliveries) in find_deliveries(transaction, &is_of_record).await? {
        let mut removed = Vec::new();
        for (day, place) in deliveries {
            let rows = stored_deliveries::remove(transaction, place, day, shard, &is_of_record).await?;
            removed.extend(samples_of(&rows)?.into_iter().map(|sample| (place, sample)));
        }
        settle(environment, transaction, shard, &removed, &mut changes).await?;
        for (place, sample) in removed {
            let conflict = (text_of_conflict(catalog, &sample).1, sample.input_file_id);
            let adjustment = changes.adjustments.entry(sample.input_file_id).or_default();
            adjustment.retracted += 1;
            if place == Place::Sample {
                adjustment.accepted -= 1;
            } else if conflicts.contains(&conflict) && changes.ended_rejections.insert(conflict) {
                adjustment.rejected -= 1;
            } else {
                adjustment.duplicate -= 1;
            }
            all_removed.push(sample);
        }
    }
    if all_removed.is_empty() {
        return Err(Error::Intake(IntakeError::NoSuchRecord { record: subject.to_string() }));
    }
    count_promoted(catalog, conflicts, &mut changes);
    let rows = retracted_record_rows(transaction, &all_removed, reason)?;
    transaction.append("intake/retracted_record", "all", 0, &[rows]).await?;
    Ok(changes)
}

/// The id of a retracted record. The record may be an element of a list, and it may have elements itself.
struct RecordId {
    /// The digest of the whole text.
    digest: u64,
    /// For each id that the text can contain: its digest, and the positions after it.
    wholes: Vec<(u64, Positions)>,
}

impl RecordId {
    fn new(text: &str) -> Self {
        let ends = text.match_indices('[').map(|(end, _)| end).chain([text.len()]);
        let whole = |end: usize| Some((digest_of_id(&text[..end]), Positions::parse(&text[end..])?));
        Self { digest: digest_of_id(text), wholes: ends.filter(|end| *end > 0).filter_map(whole).collect() }
    }

    /// Whether a stored digest is that of the record or of one of its elements. `stored` converts the digest of an id
    /// to the stored digests.
    fn matches<const N: usize>(&self, digest: u64, stored: impl Fn(u64) -> [u64; N]) -> bool {
        let is_element = |(whole, outer): &(u64, Positions)| {
            positions_in(digest, *whole)
                .filter(|positions| positions.start_with(outer))
                .is_some_and(|positions| stored(digest_of_element(*whole, positions)).contains(&digest))
        };
        stored(self.digest).contains(&digest) || self.wholes.iter().any(is_element)
    }
}

/// Whether a delivery belongs to the record of a subject. Ids are compared in their canonical form.
fn record_filter(subject: &Subject, catalog: &Catalog) -> Box<dyn Fn(&Sample) -> bool + Send + Sync> {
    match subject {
        Subject::File(_) => Box::new(|_| false),
        Subject::Record { event_source: Some(source), id } => {
            let id = RecordId::new(&format!("{} {}", canonical_text(source), canonical_text(id)));
            Box::new(move |sample| {
                let digests_of = |digest| [true, false].map(|is_additive| Evidence::event_digest(digest, is_additive));
                sample.event().is_some() && id.matches(sample.record_digest, digests_of)
            })
        }
        Subject::Record { event_source: None, id } => {
            let id = RecordId::new(&canonical_text(id));
            Box::new(move |sample| {
                let is_stated = matches!(sample.evidence, Evidence::Sampled | Evidence::Reported);
                is_stated && id.matches(sample.record_digest, |digest| [sample.evidence.record_id_digest(digest)])
            })
        }
        Subject::Instant { meter, resource_id, measured_at } => {
            let (streams, measured_at) = (catalog.streams_of(meter, &canonical_id(resource_id)), *measured_at);
            Box::new(move |sample| sample.measured_at == measured_at && streams.contains(&sample.stream_id))
        }
    }
}

/// The dates and relations with deliveries that a predicate picks, by shard. Expired dates are left out.
async fn find_deliveries(
    transaction: &Transaction,
    pick: &(dyn Fn(&Sample) -> bool + Send + Sync),
) -> Result<BTreeMap<u32, BTreeSet<(DayNumber, Place)>>, Error> {
    let mut found: BTreeMap<u32, BTreeSet<(DayNumber, Place)>> = BTreeMap::new();
    let retained_from = transaction.snapshot.samples_from().unwrap_or_default();
    for place in PLACES {
        for file in transaction.files_where(place.relation(), |file| file.partition.as_str() >= retained_from) {
            let day = file.partition.parse().map(day_number);
            let day = day.map_err(|_| Error::Internal("a partition of samples is not a date"))?;
            if samples_of(&transaction.lake.read_data(&file).await?)?.iter().any(pick) {
                found.entry(file.shard).or_default().insert((day, place));
            }
        }
    }
    Ok(found)
}

/// Lets other deliveries take the places of the removed deliveries of one shard.
async fn settle(
    environment: &Environment,
    transaction: &mut Transaction,
    shard: u32,
    removed: &[(Place, Sample)],
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut calendar = environment.calendar();
    let window = environment.config.duplicate_window_microseconds();
    let (times, groups) = affected_deliveries(environment, transaction, shard, removed).await?;
    let counted = removed.iter().filter(|(place, _)| *place == Place::Sample).map(|(_, sample)| *sample);
    let retracted: HashMap<Identity, Sample> = counted.clone().map(|sample| (sample.identity(), sample)).collect();
    let mut moves: BTreeMap<(DayNumber, Place, Place), HashSet<Delivery>> = BTreeMap::new();
    for (identity, mut group) in groups {
        let day = calendar.day_of(identity.1);
        let mut relocate = |group: &mut Deliveries, index: usize, to: Place| {
            let (from, sample) = group[index];
            moves.entry((day, from, to)).or_default().insert(sample.delivery());
            group[index].0 = to;
        };
        let has_earlier = |sample: &Sample| times.has_earlier(sample, window);
        if let Some(index) = successor(&group, retracted.get(&identity), has_earlier) {
            changes.promoted.push(group[index].1);
            relocate(&mut group, index, Place::Sample);
            changes.touched.insert((day, shard));
        }
        for index in without_event(&group) {
            relocate(&mut group, index, Place::RepeatedEvent);
        }
    }
    for ((day, from, to), deliveries) in moves {
        let is_moved = |sample: &Sample| deliveries.contains(&sample.delivery());
        stored_deliveries::relocate(transaction, (from, to), day, shard, is_moved).await?;
    }
    changes.touched.extend(counted.clone().map(|sample| (calendar.day_of(sample.measured_at), shard)));
    changes.removed.extend(counted);
    Ok(())
}

/// The remaining deliveries whose outcome may change, by identity, and the times of their events.
///
/// A removed delivery of an event may have been the reason why deliveries with later times do not count. So the events
/// of removed deliveries are examined within the window.
async fn affected_deliveries(
    environment: &Environment,
    transaction: &Transaction,
    shard: u32,
    removed: &[(Place, Sample)],
) -> Result<(EventTimes, BTreeMap<Identity, Deliveries>), Error> {
    let times = removed.iter().map(|(_, sample)| sample.measured_at);
    let Some((first, last)) = times.clone().min().zip(times.max()) else { return Ok(Default::default()) };
    let mut calendar = environment.calendar();
    let window = environment.config.duplicate_window_microseconds();
    let retained_from = retention_start(transaction, &mut calendar);
    let days = calendar.day_of(first.saturating_sub(window))..=calendar.day_of(last.saturating_add(window));
    let removed_events: HashSet<(u64, u64)> = removed.iter().filter_map(|(_, sample)| sample.event()).collect();
    let mut events = removed_events.clone();
    // Meters that are not additive have one sample for all events of an instant. So further events can be affected.
    loop {
        let mut deliveries = Vec::new();
        for day in days.clone().filter(|_| !events.is_empty()) {
            for place in PLACES {
                let is_of_event = |sample: &Sample| sample.event().is_some_and(|event| events.contains(&event));
                deliveries.extend(stored_deliveries::read(transaction, place, day, shard, is_of_event).await?);
            }
        }
        let is_later = |sample: &&Sample| {
            sample.measured_at >= first && sample.event().is_some_and(|event| removed_events.contains(&event))
        };
        let changed = removed.iter().map(|(_, sample)| sample).chain(deliveries.iter().filter(is_later));
        let identities = changed.filter(|sample| sample.measured_at >= retained_from).map(Sample::identity);
        let groups = deliveries_of(transaction, &mut calendar, shard, identities).await?;
        let of_groups = groups.values().flatten().filter_map(|(_, sample)| sample.event());
        let new: Vec<(u64, u64)> = of_groups.filter(|event| !events.contains(event)).collect();
        if new.is_empty() {
            return Ok((EventTimes::of(&deliveries), groups));
        }
        events.extend(new);
    }
}

/// The first delivery of each event that has deliveries in `duplicate_sample` only.
fn without_event(group: &[(Place, Sample)]) -> Vec<usize> {
    let is_elsewhere = |(place, _): &&(Place, Sample)| *place != Place::Duplicate;
    let mut represented: HashSet<u64> = group.iter().filter(is_elsewhere).map(|(_, one)| one.record_digest).collect();
    let events = group.iter().enumerate().filter(|(_, (_, sample))| sample.event().is_some());
    events.filter(|(_, (_, sample))| represented.insert(sample.record_digest)).map(|(index, _)| index).collect()
}

/// Changes the outcomes of the deliveries that take the places of removed samples.
fn count_promoted(catalog: &Catalog, conflicts: &HashSet<(u64, u64)>, changes: &mut Changes) {
    for sample in &changes.promoted {
        let adjustment = changes.adjustments.entry(sample.input_file_id).or_default();
        adjustment.accepted += 1;
        let conflict = (text_of_conflict(catalog, sample).1, sample.input_file_id);
        if conflicts.contains(&conflict) && changes.ended_rejections.insert(conflict) {
            adjustment.rejected -= 1;
        } else {
            adjustment.duplicate -= 1;
        }
    }
}

/// The digests of the rejections that concern a file as a whole, such as a file in another encoding, or one that ends
/// too early.
async fn rejections_of_whole_file(transaction: &Transaction, input_file_id: u64) -> Result<Vec<u64>, Error> {
    let mut digests = Vec::new();
    for row in rows::each(&transaction.read("rejected_record", |_| true).await?) {
        let is_unreadable = row.text("reason")? == "not_text" || row.text("raw_text")?.is_empty();
        if row.id("input_file_id")? == input_file_id && (is_unreadable || is_of_cut_file(row)?) {
            digests.push(row.id("record_digest")?);
        }
    }
    Ok(digests)
}

/// The rejections as conflicts: record digest and file.
async fn conflicts(transaction: &Transaction) -> Result<HashSet<(u64, u64)>, Error> {
    let mut conflicts = HashSet::new();
    for row in rows::each(&transaction.read("rejected_record", |_| true).await?) {
        if row.text("reason")? == "conflict" {
            conflicts.insert((row.id("record_digest")?, row.id("input_file_id")?));
        }
    }
    Ok(conflicts)
}

/// Writes the changed outcomes of files, and removes rejections that no longer apply.
async fn write_counts(transaction: &mut Transaction, changes: &Changes) -> Result<(), Error> {
    if changes.adjustments.is_empty() {
        return Ok(());
    }
    let files = transaction.read("input_file", |_| true).await?;
    let files = adjusted_input_files(&files, &changes.adjustments)?;
    transaction.replace("intake/input_file", "all", 0, &files).await?;
    if changes.ended_rejections.is_empty() {
        return Ok(());
    }
    let rejected = other_rejections(transaction, &changes.ended_rejections).await?;
    transaction.replace("intake/rejected_record", "all", 0, &rejected).await?;
    Ok(())
}

/// The file that a text names.
async fn find_file(transaction: &Transaction, file: &str) -> Result<File, Error> {
    let matches_file = |other: &File| {
        other.url == file
            || other.url.ends_with(&format!("/{file}"))
            || (file.len() >= 8 && other.sha256.starts_with(file))
    };
    let mut matching: Vec<File> = files(transaction).await?.into_iter().filter(matches_file).collect();
    match (matching.pop(), matching.is_empty()) {
        (Some(found), true) => Ok(found),
        (last, _) => {
            matching.extend(last);
            let found = matching.iter().map(|other| format!("{} ({})", other.url, &other.sha256[..16])).collect();
            Err(Error::Intake(IntakeError::NoSuchDelivery { file: file.to_owned(), found }))
        }
    }
}

async fn files(transaction: &Transaction) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for batch in transaction.read("input_file", |_| true).await? {
        let time = |name| rows::column::<TimestampMicrosecondArray>(&batch, name);
        let (first, last) = (time("first_measured_at")?, time("last_measured_at")?);
        let modified_at = time("modified_at")?;
        let valid = |times: &TimestampMicrosecondArray, row: usize| times.is_valid(row).then(|| times.value(row));
        for (index, row) in rows::each(std::slice::from_ref(&batch)).enumerate() {
            files.push(File {
                id: row.id("input_file_id")?,
                url: row.text("url")?.to_owned(),
                sha256: row.text("sha256")?.to_owned(),
                byte_count: row.number("byte_count")?,
                modified_at: valid(modified_at, index),
                accepted: row.number("accepted_count")?,
                duplicate: row.number("duplicate_count")?,
                rejected: row.number("rejected_count")?,
                period: valid(first, index).zip(valid(last, index)),
            });
        }
    }
    Ok(files)
}

fn retracted_rows(transaction: &Transaction, catalog: &Catalog, removed: &[Sample]) -> Result<RecordBatch, Error> {
    let mut samples = Vec::new();
    for sample in removed {
        let stream = catalog
            .stream(sample.stream_id)
            .ok_or(Error::Internal("a sample refers to a stream that is not in the catalog"))?;
        let series = catalog.series(sample.reported_series_id);
        let project = series.and_then(|series| series.description.project_id.as_deref()).map(str::to_owned);
        let key = (sample.input_file_id, sample.stream_id, sample.measured_at, sample.record_digest);
        samples.push((key, stream.meter.to_string(), project, sample.quantity));
    }
    samples.sort_by_key(|sample| sample.0);
    let commit = i64::try_from(transaction.snapshot.next_sequence()).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.0))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.1))),
        Arc::new(rows::timestamps(samples.iter().map(|row| Some(row.0.2)))),
        Arc::new(UInt64Array::from_iter_values(samples.iter().map(|row| row.0.3))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|row| &row.1))),
        Arc::new(StringArray::from_iter(samples.iter().map(|row| row.2.as_ref()))),
        Arc::new(rows::decimals(samples.iter().map(|row| Some(row.3)), 28, 9)?),
        Arc::new(Int64Array::from_iter_values(samples.iter().map(|_| commit))),
    ];
    rows::batch(statement("intake/retracted_sample")?, columns)
}

/// The rows of `retracted_record` for the deliveries of a record.
fn retracted_record_rows(transaction: &Transaction, removed: &[Sample], reason: &str) -> Result<RecordBatch, Error> {
    let records: BTreeSet<RetractedRecord> = removed.iter().map(RetractedRecord::of).collect();
    let commit = i64::try_from(transaction.snapshot.next_sequence()).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(records.iter().map(|record| record.stream_id))),
        Arc::new(rows::timestamps(records.iter().map(|record| record.measured_at))),
        Arc::new(UInt64Array::from_iter_values(records.iter().map(|record| record.record_digest))),
        Arc::new(UInt64Array::from_iter(records.iter().map(|record| record.content.map(|content| content.0)))),
        Arc::new(rows::decimals(records.iter().map(|record| record.content.map(|content| content.1)), 28, 9)?),
        Arc::new(StringArray::from_iter_values(records.iter().map(|_| reason))),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|_| commit))),
    ];
    rows::batch(statement("intake/retracted_record")?, columns)
}
