//! The sink of all readers, which collects samples by date and shard, labels, and rejected records.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::binding::{Binding, Bindings};
use crate::catalog::identity::record_digest;
use crate::catalog::streams::{Catalog, Description};
use crate::error::Error;
use crate::intake::deduplicate::merge::{Conflict, DedupResult};
use crate::intake::deduplicate::pending_samples::{PendingSample, PendingSamples, StreamRef};
use crate::intake::formats::id::digest_of_id;
use crate::intake::record::{IdField, Measured, Record, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;
use crate::intake::resolve::record_group::{BoundMeter, RecordGroupId, SeenLabel, quantity_problem};
use crate::intake::sample::Sample;
use crate::model::evidence::Evidence;
use crate::model::identifier::{canonical_id, canonical_text};
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;
use crate::model::period::{Calendar, DayNumber};

/// The largest part of a rejected record that is stored.
const RAW_LIMIT_BYTES: usize = 4096;

/// A row of `rejected_record`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RejectedRecord {
    pub input_file_id: u64,
    pub line: u64,
    pub meter: Option<String>,
    pub reason: Reason,
    pub detail: String,
    pub raw_text: String,
    pub record_digest: u64,
}

/// The counts of one file's records and samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub read: u64,
    pub unmetered: BTreeMap<String, u64>,
    pub samples: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    /// Samples that equal a retracted record.
    pub retracted: u64,
    /// Samples that were accepted when an earlier run read the same file. They still count as accepted.
    pub accepted_before: u64,
    /// Rejections that were stored when an earlier run read the same file.
    pub rejected_before: u64,
    pub first_measured_at: Option<i64>,
    pub last_measured_at: Option<i64>,
}

/// The changes to the counts of a file of an earlier run, whose deliveries now have other outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adjustment {
    pub accepted: i64,
    pub duplicate: i64,
    pub rejected: i64,
    pub retracted: i64,
}

/// Labels by date, stream and name, each with its time and value. The latest record with a value wins.
pub type Labels = BTreeMap<(DayNumber, u64, Arc<str>), (i64, String)>;

/// The number of changed ids of a file and field that are kept as rows.
pub const MOST_CHANGED_IDS: usize = 100;

/// The ids of a file and field that were delivered with blanks or in another Unicode form.
#[derive(Debug, Default)]
pub struct ChangedIdsOfFile {
    /// Digests of the delivered ids.
    pub digests: HashSet<u64>,
    /// The first delivered ids in alphabetical order, with their canonical forms; at most [`MOST_CHANGED_IDS`].
    pub first: BTreeMap<String, String>,
}

impl ChangedIdsOfFile {
    fn add(&mut self, delivered: &str, canonical: &str) {
        let is_new = self.digests.insert(xxh3_64(delivered.as_bytes()));
        let is_full = self.first.len() >= MOST_CHANGED_IDS;
        if !is_new || (is_full && self.first.last_key_value().is_some_and(|(last, _)| delivered > last.as_str())) {
            return;
        }
        self.first.insert(delivered.to_owned(), canonical.to_owned());
        if is_full {
            self.first.pop_last();
        }
    }
}

/// The collected samples, labels and rejections of all files of a run.
#[derive(Debug)]
pub struct Collector<'a> {
    bindings: &'a Bindings,
    pub catalog: Catalog,
    calendar: Calendar,
    shards: u64,
    /// Every record group of this run, with a 128-bit hash of the values that its records share. `None` if each record
    /// needs its own evaluation, because a meter rejects the record or a lookup depends on the time.
    groups: Vec<(u128, Option<RecordGroupId>)>,
    /// Index of a group by its hash.
    group_index: HashMap<u128, u32, Prehashed>,
    /// Index of the group of the last record.
    last_group: usize,
    bound_meters: Vec<BoundMeter>,
    /// The latest labels of each bound meter, by the index of the bound meter.
    seen_labels: HashMap<u32, Vec<SeenLabel>>,
    /// The distinct pairs of stream and series of all samples.
    pub stream_refs: Vec<StreamRef>,
    /// Index of a pair in `stream_refs`.
    stream_ref_index: HashMap<StreamRef, u32>,
    pub pending: PendingSamples,
    labels: Labels,
    pub rejected: Vec<RejectedRecord>,
    /// All rejections by record digest. The value is the file of a stored rejection, or `None` after this run has
    /// counted the rejection.
    stored_rejections: HashMap<u64, Option<u64>>,
    /// Each file's id and counts, in the order of reading.
    pub files: Vec<(u64, Counts)>,
    /// The changed outcomes of files that this run does not read, by file.
    pub adjustments: BTreeMap<u64, Adjustment>,
    /// Stored rejections as conflicts that no longer apply: record digest and file.
    accepted_conflicts: HashSet<(u64, u64)>,
    /// Whether the records of the current file are events, whose ids identify them at every time.
    reads_events: bool,
    /// Whether any file contains events.
    pub has_events: bool,
    /// A buffer for the concatenated values that identify a group. The buffer is reused to avoid allocations.
    key: Vec<u8>,
    /// The first instant whose samples are retained, in microseconds. Earlier records are rejected as too late.
    pub retained_from: i64,
    /// The ids of each file and field that were delivered with blanks or in another Unicode form.
    pub changed_ids: BTreeMap<(u64, IdField), ChangedIdsOfFile>,
    /// The first error that must stop the run. The methods of a sink return no errors.
    pub failure: Option<Error>,
}

/// A hasher for keys that are already hashes.
type Prehashed = std::hash::BuildHasherDefault<PrehashedHasher>;

#[derive(Clone, Copy, Debug, Default)]
pub struct PrehashedHasher(u64);

impl std::hash::Hasher for PrehashedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

impl<'a> Collector<'a> {
    /// An empty collector. If pending samples exceed `budget_bytes` of memory, they are written to disk.
    pub fn new(
        bindings: &'a Bindings,
        catalog: Catalog,
        calendar: Calendar,
        shards: u32,
        stored_rejections: HashMap<u64, Option<u64>>,
        budget_bytes: usize,
    ) -> Self {
        Self {
            bindings,
            catalog,
            calendar,
            shards: u64::from(shards),
            groups: Vec::new(),
            group_index: HashMap::default(),
            last_group: 0,
            bound_meters: Vec::new(),
            seen_labels: HashMap::new(),
            stream_refs: Vec::new(),
            stream_ref_index: HashMap::new(),
            pending: PendingSamples::new(shards, budget_bytes),
            labels: Labels::new(),
            rejected: Vec::new(),
            stored_rejections,
            files: Vec::new(),
            adjustments: BTreeMap::new(),
            accepted_conflicts: HashSet::new(),
            reads_events: false,
            has_events: false,
            key: Vec::new(),
            retained_from: i64::MIN,
            changed_ids: BTreeMap::new(),
            failure: None,
        }
    }

    /// Assigns all following records to a file, which may contain events.
    pub fn begin_file(&mut self, input_file_id: u64, has_events: bool) {
        self.reads_events = has_events;
        self.has_events |= has_events;
        self.files.push((input_file_id, Counts::default()));
        self.pending.begin_file(self.files.len() as u32 - 1);
    }

    fn file(&self) -> usize {
        self.files.len() - 1
    }

    fn counts(&mut self) -> &mut Counts {
        let file = self.file();
        &mut self.files[file].1
    }

    fn add_rejected(&mut self, reason: Reason, detail: String, line: u64, meter: Option<&str>, raw: &[u8]) {
        let mut digest_of = raw.to_vec();
        digest_of.extend_from_slice(meter.unwrap_or_default().as_bytes());
        // A record without readable content is identified by its location and its problem. The raw content of a file
        // that is not text is only its beginning.
        if raw.is_empty() || reason == Reason::NotText {
            digest_of.extend_from_slice(&self.files[self.file()].0.to_le_bytes());
            digest_of.extend_from_slice(&line.to_le_bytes());
            digest_of.extend_from_slice(detail.as_bytes());
        }
        let digest = record_digest(&digest_of);
        self.counts().samples += 1;
        let file = self.file();
        if !self.count_rejected(digest, file) {
            return;
        }
        let raw_text = String::from_utf8_lossy(&raw[..raw.len().min(RAW_LIMIT_BYTES)]).replace('\0', "\u{fffd}");
        self.rejected.push(RejectedRecord {
            input_file_id: self.files[file].0,
            line,
            meter: meter.map(str::to_owned),
            reason,
            detail,
            raw_text,
            record_digest: digest,
        });
    }

    /// Counts a rejection of a file. Returns whether the rejection is new.
    fn count_rejected(&mut self, digest: u64, file: usize) -> bool {
        let (input_file_id, counts) = &mut self.files[file];
        match self.stored_rejections.entry(digest) {
            Entry::Vacant(entry) => {
                entry.insert(None);
                counts.rejected += 1;
                return true;
            }
            Entry::Occupied(mut entry) if *entry.get() == Some(*input_file_id) => {
                entry.insert(None);
                counts.rejected_before += 1;
            }
            Entry::Occupied(_) => counts.duplicate += 1,
        }
        false
    }

    /// The stored rejections that no longer apply: record digest and file. A file that is read again has only the
    /// rejections of its last reading.
    pub fn outdated_rejections(&self, read_again: &HashSet<u64>) -> HashSet<(u64, u64)> {
        let stored = self.stored_rejections.iter().filter_map(|(digest, file)| Some((*digest, (*file)?)));
        stored.filter(|(_, file)| read_again.contains(file)).chain(self.accepted_conflicts.iter().copied()).collect()
    }

    /// Adds the result of de-duplicating one date and shard to the counts of the files.
    pub fn count_outcome(&mut self, outcome: &DedupResult) {
        for ((_, counts), added) in self.files.iter_mut().zip(&outcome.file_counts) {
            counts.accepted += added.accepted;
            counts.accepted_before += added.accepted_before;
            counts.duplicate += added.duplicate;
            counts.retracted += added.retracted;
        }
        for conflict in &outcome.conflicts {
            if self.adds_no_information(conflict) {
                self.files[conflict.file as usize].1.duplicate += 1;
            } else {
                self.reject_conflict(conflict);
            }
        }
    }

    /// Whether all attributes of a state are already recorded. An event of Ceilometer contains only a few traits of the
    /// original message. A state with further attributes may have another price, so such a state is a conflict.
    fn adds_no_information(&self, Conflict { sample, existing, .. }: &Conflict) -> bool {
        let description = |id| self.catalog.series(id).map(|series| &series.description);
        let described = description(existing.reported_series_id).zip(description(sample.reported_series_id));
        sample.evidence != Evidence::Sampled
            && (existing.deleted, existing.quantity) == (sample.deleted, sample.quantity)
            && described.is_some_and(|(existing, new)| existing.or(new) == *existing && new.or(existing) == *existing)
    }

    /// Counts a sample of an earlier run that no longer counts, because another delivery of its event has an earlier
    /// time.
    pub fn count_superseded(&mut self, sample: &Sample, earlier: &Sample) {
        // The outcomes of a file that is read again are counted again.
        if self.files.iter().any(|(id, _)| *id == sample.input_file_id) {
            return;
        }
        let contradicts = (sample.quantity, sample.deleted, sample.reported_series_id)
            != (earlier.quantity, earlier.deleted, earlier.reported_series_id);
        let (raw_text, digest) = text_of_conflict(&self.catalog, sample);
        let is_new_conflict = contradicts && !self.stored_rejections.contains_key(&digest);
        let adjustment = self.adjustments.entry(sample.input_file_id).or_default();
        adjustment.accepted -= 1;
        if is_new_conflict {
            adjustment.rejected += 1;
            self.stored_rejections.insert(digest, None);
            self.add_conflict(sample, earlier, sample.input_file_id, raw_text, digest);
        } else {
            adjustment.duplicate += 1;
        }
    }

    /// Counts a delivery of an earlier run that takes the place of a superseded sample.
    pub fn count_successor(&mut self, sample: &Sample) {
        let file = sample.input_file_id;
        if self.files.iter().any(|(id, _)| *id == file) {
            return;
        }
        let (_, digest) = text_of_conflict(&self.catalog, sample);
        let adjustment = self.adjustments.entry(file).or_default();
        adjustment.accepted += 1;
        if self.stored_rejections.get(&digest) == Some(&Some(file)) {
            adjustment.rejected -= 1;
            self.stored_rejections.remove(&digest);
            self.accepted_conflicts.insert((digest, file));
        } else {
            adjustment.duplicate -= 1;
        }
    }

    /// Rejects a sample that contradicts a recorded sample.
    fn reject_conflict(&mut self, Conflict { sample, existing, file }: &Conflict) {
        let (raw_text, digest) = text_of_conflict(&self.catalog, sample);
        if self.count_rejected(digest, *file as usize) {
            self.add_conflict(sample, existing, self.files[*file as usize].0, raw_text, digest);
        }
    }

    fn add_conflict(
        &mut self,
        sample: &Sample,
        existing: &Sample,
        input_file_id: u64,
        raw_text: String,
        record_digest: u64,
    ) {
        let recorded = if existing.measured_at == sample.measured_at {
            "the recorded sample of the same instant".to_owned()
        } else {
            format!("the delivery of the same event at {}", instant(existing.measured_at))
        };
        let description = |id| self.catalog.series(id).map(|series| series.description.text()).unwrap_or_default();
        let detail = if existing.deleted != sample.deleted {
            let (existing, new) = if existing.deleted { ("deleted", "existing") } else { ("existing", "deleted") };
            format!("this record reports the resource as {new}; {recorded} has it as {existing}")
        } else if existing.quantity == sample.quantity {
            format!(
                "this record has the description ({}); {recorded} has ({})",
                description(sample.reported_series_id),
                description(existing.reported_series_id)
            )
        } else {
            format!(
                "this record has the quantity {}; {recorded} has {}",
                Quantity::from_units(sample.quantity),
                Quantity::from_units(existing.quantity)
            )
        };
        self.rejected.push(RejectedRecord {
            input_file_id,
            line: u64::from(sample.line),
            meter: self.catalog.stream(sample.stream_id).map(|stream| stream.meter.to_string()),
            reason: Reason::Conflict,
            detail,
            raw_text,
            record_digest,
        });
    }

    /// The group of a record. The first record with new values creates a group.
    fn group_of(&mut self, record: &Record<'_>) -> Result<Option<RecordGroupId>, Error> {
        self.key.clear();
        let fields = self.bindings.deciding_fields.iter().map(|index| field_of(record, *index));
        let parts = [Some(record.source_meter), Some(record.unit), record.project_id, Some(record.resource_id)];
        for part in parts.into_iter().chain(fields) {
            // An absent value has a length that no text can have.
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            self.key.extend_from_slice(&length.to_le_bytes());
            self.key.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        let key = xxh3_128(&self.key);
        // Pollers repeat their resources in the same order, so the group after the last group is the likeliest.
        match self.groups.get(self.last_group + 1) {
            Some((next, _)) if *next == key => self.last_group += 1,
            _ => match self.group_index.get(&key) {
                Some(index) => self.last_group = *index as usize,
                None => {
                    let group = self.new_group(record)?;
                    self.last_group = self.groups.len();
                    self.group_index.insert(key, self.last_group as u32);
                    self.groups.push((key, group));
                }
            },
        }
        Ok(self.groups[self.last_group].1)
    }

    /// Creates the group of a record by evaluating the record for all its meters. Returns `None` if each record needs
    /// its own evaluation.
    fn new_group(&mut self, record: &Record<'_>) -> Result<Option<RecordGroupId>, Error> {
        let bindings = self.bindings.of(record.source_meter);
        let mut stream_refs = Vec::with_capacity(bindings.len());
        for binding in bindings {
            if binding.dated || unit_problem(binding, record).is_some() {
                return Ok(None);
            }
            let Ok(stream_ref) = self.describe(binding, record)? else { return Ok(None) };
            stream_refs.push(stream_ref);
        }
        let first = self.bound_meters.len() as u32;
        for (binding, stream_ref) in bindings.iter().zip(&stream_refs) {
            let bound_meter = BoundMeter { has_next: true, ..self.bound_meter(binding, *stream_ref) };
            if bound_meter.has_labels {
                self.seen_labels.insert(self.bound_meters.len() as u32, labels_of(binding, stream_ref.stream_id));
            }
            self.bound_meters.push(bound_meter);
        }
        let Some(last) = self.bound_meters[first as usize..].last_mut() else { return Ok(None) };
        last.has_next = false;
        let reads_record_id = bindings.iter().any(|binding| binding.meter.aggregation.is_additive());
        Ok(Some(RecordGroupId { first, reads_record_id }))
    }

    fn bound_meter(&mut self, binding: &Binding, stream_ref: StreamRef) -> BoundMeter {
        let index = *self.stream_ref_index.entry(stream_ref).or_insert_with(|| {
            self.stream_refs.push(stream_ref);
            self.stream_refs.len() as u32 - 1
        });
        BoundMeter {
            stream_ref: index,
            shard: (stream_ref.stream_id % self.shards) as u32,
            max_gap: i64::from(binding.meter.max_gap_seconds) * 1_000_000,
            aggregation: binding.meter.aggregation,
            signed: binding.meter.signed,
            has_labels: !binding.labels.is_empty(),
            has_next: false,
        }
    }

    /// The stream and series of a record, or the problem of a dimension's value.
    fn describe(&mut self, binding: &Binding, record: &Record<'_>) -> Result<Result<StreamRef, String>, Error> {
        let mut dimensions = Vec::with_capacity(binding.dimensions.len());
        for dimension in &binding.dimensions {
            match dimension.value(|index| field_of(record, index), record.measured_at) {
                Ok(None) => {}
                Ok(Some(value)) => dimensions.push((Arc::clone(&dimension.name), value)),
                Err(text) => {
                    let name = &dimension.name;
                    let kind = dimension.expected();
                    return Ok(Err(format!("the value `{text}` of the dimension `{name}` is not {kind}")));
                }
            }
        }
        let unique = match &binding.meter.unique {
            None => None,
            Some(unique) => match dimensions.iter().find(|(name, _)| **name == **unique) {
                Some((_, value)) => Some(Arc::clone(value)),
                None => {
                    return Ok(Err(format!(
                        "the record has no value of the dimension `{unique}`, which the meter counts"
                    )));
                }
            },
        };
        let description = Description { project_id: record.project_id.map(Into::into), dimensions };
        let stream_id = self.catalog.stream_id(&binding.name, record.resource_id, unique.as_deref())?;
        let series_id = self.catalog.series_id(stream_id, &description)?;
        Ok(Ok(StreamRef { stream_id, series_id }))
    }

    /// Evaluates a single record: each meter accepts or rejects it.
    fn record_by_meter(&mut self, record: &Record<'_>, raw: &[u8]) -> Result<(), Error> {
        let bindings = self.bindings;
        for binding in bindings.of(record.source_meter) {
            let problem = self
                .too_late(record.measured_at)
                .or_else(|| unit_problem(binding, record).map(|detail| (Reason::UnitMismatch, detail)))
                .or_else(|| quantity_problem(&binding.meter, record.quantity));
            if let Some((reason, detail)) = problem {
                self.add_rejected(reason, detail, record.line, Some(&binding.name), raw);
                continue;
            }
            let stream_ref = match self.describe(binding, record)? {
                Ok(stream_ref) => stream_ref,
                Err(detail) => {
                    self.add_rejected(Reason::BadDimension, detail, record.line, Some(&binding.name), raw);
                    continue;
                }
            };
            let bound_meter = self.bound_meter(binding, stream_ref);
            let day = self.add_sample(&bound_meter, &record.measured());
            let mut labels = labels_of(binding, stream_ref.stream_id);
            update_seen_labels(&mut self.labels, &mut labels, day, record.measured_at, |index| field_of(record, index));
            labels.iter().for_each(|label| add_seen_label(&mut self.labels, label));
        }
        Ok(())
    }

    /// The reason for rejecting a record whose date is before the retained samples.
    fn too_late(&self, measured_at: i64) -> Option<(Reason, String)> {
        (measured_at < self.retained_from).then(|| {
            let (found, retained_from) = (instant(measured_at), instant(self.retained_from));
            let detail =
                format!("the time is {found}, before {retained_from}: the samples of this closed period have expired");
            (Reason::TooLate, detail)
        })
    }

    /// Adds a pending sample of a meter. Returns its date.
    fn add_sample(&mut self, bound_meter: &BoundMeter, measured: &Measured<'_>) -> DayNumber {
        let day = self.calendar.day_of(measured.measured_at);
        let aggregation = bound_meter.aggregation;
        let pending_sample = PendingSample {
            stream_ref: bound_meter.stream_ref,
            measured_at: measured.measured_at,
            quantity: if aggregation.reads_value() { measured.quantity } else { Quantity::from_integer(1) }.units(),
            record_digest: match measured.record_id {
                Some(id) if self.reads_events && measured.evidence == Evidence::Sampled => {
                    Evidence::event_digest(digest_of_id(id), aggregation.is_additive())
                }
                Some(id) if aggregation.is_additive() && !measured.evidence.is_inferred() => {
                    measured.evidence.record_id_digest(digest_of_id(id))
                }
                _ => measured.evidence.digest(measured.deleted),
            },
            line: u32::try_from(measured.line).unwrap_or(u32::MAX),
            created: measured.created_at.is_some_and(|created_at| {
                created_at <= measured.measured_at && measured.measured_at - created_at <= bound_meter.max_gap
            }),
            deleted: measured.deleted,
            evidence: measured.evidence,
        };
        if let Err(error) = self.pending.push(day, bound_meter.shard, &pending_sample) {
            self.failure.get_or_insert(Error::Temporary(error));
        }
        let counts = self.counts();
        counts.samples += 1;
        counts.first_measured_at =
            counts.first_measured_at.min(Some(measured.measured_at)).or(Some(measured.measured_at));
        counts.last_measured_at = counts.last_measured_at.max(Some(measured.measured_at));
        day
    }

    /// Takes out the labels of all records.
    pub fn take_labels(&mut self) -> Labels {
        for label in std::mem::take(&mut self.seen_labels).values().flatten() {
            add_seen_label(&mut self.labels, label);
        }
        std::mem::take(&mut self.labels)
    }
}

/// The text and the digest of a rejected sample that contradicts another sample.
pub fn text_of_conflict(catalog: &Catalog, sample: &Sample) -> (String, u64) {
    let text = catalog.stream(sample.stream_id).map_or_else(String::new, |stream| {
        format!("{} of {} at {}", stream.meter, stream.resource_id, instant(sample.measured_at))
    });
    let content = format!("{text} {} {} {}", sample.quantity, sample.reported_series_id, sample.deleted);
    let digest = record_digest(content.as_bytes());
    (text, digest)
}

fn labels_of(binding: &Binding, stream_id: u64) -> Vec<SeenLabel> {
    let label = |(name, field): &(Arc<str>, usize)| SeenLabel {
        name: Arc::clone(name),
        field: *field,
        stream_id,
        day: 0,
        latest: None,
    };
    binding.labels.iter().map(label).collect()
}

/// Updates the labels of a stream with the labels of one more record.
fn update_seen_labels<'v>(
    labels: &mut Labels,
    seen: &mut [SeenLabel],
    day: DayNumber,
    measured_at: i64,
    field: impl Fn(usize) -> Option<&'v str>,
) {
    for label in seen {
        let Some(value) = field(label.field) else { continue };
        if label.day != day {
            add_seen_label(labels, label);
            (label.day, label.latest) = (day, None);
        }
        match &mut label.latest {
            Some((at, latest)) if latest == value => *at = measured_at.max(*at),
            Some((at, latest)) if (*at, latest.as_str()) > (measured_at, value) => {}
            latest => *latest = Some((measured_at, value.to_owned())),
        }
    }
}

/// The text at a field path of a record.
fn field_of<'r>(record: &'r Record<'_>, index: usize) -> Option<&'r str> {
    record.fields.get(index).and_then(|value| value.as_deref())
}

/// The problem with the unit of a record, if the meter expects another unit.
fn unit_problem(binding: &Binding, record: &Record<'_>) -> Option<String> {
    let expected = binding.meter.source_unit.as_ref()?;
    (record.unit != expected).then(|| {
        let meter = &binding.meter.name;
        if record.unit.is_empty() {
            format!("the record has no unit; the meter `{meter}` expects `{expected}`")
        } else {
            format!("the unit is `{}`; the meter `{meter}` expects `{expected}`", record.unit)
        }
    })
}

fn add_seen_label(labels: &mut Labels, label: &SeenLabel) {
    if let Some((measured_at, value)) = &label.latest {
        let key = (label.day, label.stream_id, Arc::clone(&label.name));
        add_label(labels, key, *measured_at, &canonical_text(value));
    }
}

/// Adds a label, unless a later record has already set its value. At the same instant the greater text wins, so that
/// the order of records does not matter.
pub fn add_label(labels: &mut Labels, key: (DayNumber, u64, Arc<str>), measured_at: i64, value: &str) {
    let latest = labels.entry(key).or_insert_with(|| (measured_at, value.to_owned()));
    if (latest.0, latest.1.as_str()) < (measured_at, value) {
        *latest = (measured_at, value.to_owned());
    }
}

/// An instant in UTC, in the form of RFC 3339.
pub fn instant(microseconds: i64) -> Cow<'static, str> {
    jiff::Timestamp::from_microsecond(microseconds).map_or(Cow::Borrowed("?"), |at| Cow::Owned(at.to_string()))
}

impl RecordSink for Collector<'_> {
    fn field_paths(&self) -> &[FieldPath] {
        &self.bindings.field_paths
    }

    fn is_metered(&self, source_meter: &str) -> bool {
        !self.bindings.of(source_meter).is_empty()
    }

    fn deciding_fields(&self) -> &[usize] {
        &self.bindings.deciding_fields
    }

    fn canonical_id<'i>(&mut self, delivered: &'i str, field: IdField) -> Cow<'i, str> {
        let canonical = canonical_id(delivered);
        // UUIDs in capitals are common and cannot be confused with other ids.
        if canonical != delivered && !canonical.eq_ignore_ascii_case(delivered) {
            let file = self.files[self.file()].0;
            self.changed_ids.entry((file, field)).or_default().add(delivered, &canonical);
        }
        canonical
    }

    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>) {
        if self.failure.is_some() {
            return;
        }
        let result = self.group_of(record).and_then(|group| {
            let measured = record.measured();
            if group.is_some_and(|group| self.record_in_group(group, &measured, |index| field_of(record, index))) {
                return Ok(());
            }
            self.counts().read += 1;
            self.record_by_meter(record, &raw())
        });
        if let Err(failure) = result {
            self.failure = Some(failure);
        }
    }

    fn record_group(&mut self, record: &Record<'_>) -> Option<RecordGroupId> {
        self.group_of(record).unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }

    fn record_in_group<'v>(
        &mut self,
        group: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool {
        if measured.measured_at < self.retained_from {
            return false;
        }
        let mut index = group.first as usize;
        while self.bound_meters[index].accepts_quantity(measured.quantity) && self.bound_meters[index].has_next {
            index += 1;
        }
        if !self.bound_meters[index].accepts_quantity(measured.quantity) {
            return false;
        }
        self.counts().read += 1;
        for index in group.first as usize..=index {
            let bound_meter = self.bound_meters[index];
            let day = self.add_sample(&bound_meter, measured);
            if bound_meter.has_labels
                && let Some(seen) = self.seen_labels.get_mut(&(index as u32))
            {
                update_seen_labels(&mut self.labels, seen, day, measured.measured_at, &field);
            }
        }
        true
    }

    fn unmetered(&mut self, source_meter: &str) {
        let counts = self.counts();
        counts.read += 1;
        if let Some(count) = counts.unmetered.get_mut(source_meter) {
            *count += 1;
        } else {
            counts.unmetered.insert(source_meter.to_owned(), 1);
        }
    }

    fn reject(&mut self, rejection: &Rejection<'_>) {
        self.counts().read += 1;
        self.add_rejected(rejection.reason, rejection.detail.clone(), rejection.line, None, rejection.raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::record::SampleKind;
    use crate::model::diagnostic::{Place, SourceText};
    use crate::model::meter::{Aggregation, Meter};
    use crate::model::rule_book::RuleBook;

    /// Meters of the source meter `ip.floating`, one for each aggregation.
    fn bindings() -> Bindings {
        bindings_of(|_| false)
    }

    /// The same meters, of which some are signed.
    fn bindings_of(signed: impl Fn(Aggregation) -> bool) -> Bindings {
        let source = SourceText::new("meters.toml", "");
        let meter = |aggregation: Aggregation| Meter {
            name: aggregation.name().to_owned(),
            aggregation,
            unit: "1".to_owned(),
            source_meters: vec!["ip.floating".to_owned()],
            source_unit: None,
            window_seconds: 3_600,
            max_gap_seconds: 3_600,
            state_timeout_seconds: None,
            record: None,
            signed: signed(aggregation),
            dimensions: Vec::new(),
            unique: None,
            labels: Vec::new(),
            declared_at: Place::new(&source, 0..0),
        };
        let meters = Aggregation::ALL.into_iter().map(meter).collect();
        Bindings::new(&RuleBook {
            included_units: Vec::new(),
            meters,
            lookups: Vec::new(),
            rules: Vec::new(),
            recurring: Vec::new(),
            charges: Vec::new(),
            reservations: Vec::new(),
            terms: Default::default(),
            sources: Vec::new(),
        })
    }

    fn collector(bindings: &Bindings) -> Collector<'_> {
        let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
        let mut collector = Collector::new(bindings, Catalog::default(), calendar, 4, Default::default(), 1 << 20);
        collector.begin_file(1, false);
        collector
    }

    #[test]
    fn rejections_without_readable_content_are_distinguished_by_file_and_line() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        let mut reject = |file: u64, line: u64| {
            collector.begin_file(file, false);
            let detail = "cannot be computed".to_owned();
            collector.reject(&Rejection { reason: Reason::Malformed, detail, line, raw: b"" });
        };
        [(1, 7), (1, 8), (2, 7), (1, 7)].into_iter().for_each(|(file, line)| reject(file, line));
        let locations: Vec<(u64, u64)> = collector.rejected.iter().map(|row| (row.input_file_id, row.line)).collect();
        assert_eq!(locations, [(1, 7), (1, 8), (2, 7)]);
    }

    /// 150 changed ids, in descending order and twice each: the first 100 in alphabetical order have a row.
    #[test]
    fn a_file_keeps_its_first_changed_ids_and_counts_all() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        for number in (0..150).rev().chain(0..150) {
            assert_eq!(collector.canonical_id(&format!("r-{number:03} "), IdField::Resource), format!("r-{number:03}"));
        }
        collector.canonical_id(" p", IdField::Project);
        collector.canonical_id("unchanged", IdField::Project);
        collector.canonical_id("0A1B2C3D-0000-4000-8000-0123456789AB", IdField::Project);
        let resources = &collector.changed_ids[&(1, IdField::Resource)];
        assert_eq!((resources.digests.len(), resources.first.len()), (150, MOST_CHANGED_IDS));
        assert_eq!(resources.first.first_key_value(), Some((&"r-000 ".to_owned(), &"r-000".to_owned())));
        assert_eq!(resources.first.last_key_value(), Some((&"r-099 ".to_owned(), &"r-099".to_owned())));
        let projects: Vec<(&String, &String)> = collector.changed_ids[&(1, IdField::Project)].first.iter().collect();
        assert_eq!(projects, [(&" p".to_owned(), &"p".to_owned())]);
    }

    fn record(quantity: Quantity) -> Record<'static> {
        Record {
            source_meter: "ip.floating",
            kind: SampleKind::Gauge,
            unit: "ip",
            project_id: Some("p"),
            resource_id: "r",
            measured_at: 1_790_813_100_000_000,
            quantity,
            record_id: None,
            created_at: None,
            deleted: false,
            evidence: Evidence::Sampled,
            fields: &[],
            line: 7,
        }
    }

    #[test]
    fn a_quantity_too_large_for_the_sum_of_a_day_is_rejected_but_not_for_a_counter() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(5_000_000_000_000_000_000)), || Cow::Borrowed(b"raw"));
        assert!(collector.failure.is_none());
        let rejected: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(rejected, ["sum", "max", "min", "mean", "last", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| record.reason == Reason::QuantityOutOfRange));
    }

    #[test]
    fn a_signed_meter_accepts_negative_quantities_up_to_its_bound() {
        let bindings = bindings_of(|aggregation| aggregation == Aggregation::Sum);
        let mut collector = collector(&bindings);
        let largest = 1_000_000_000_000_000_000i64;
        for whole in [-1, -largest, -largest - 1] {
            collector.record(&record(Quantity::from_integer(whole)), || Cow::Borrowed(b"raw"));
        }
        assert!(collector.failure.is_none());
        let of_sum: Vec<(Reason, &str)> = collector
            .rejected
            .iter()
            .filter(|record| record.meter.as_deref() == Some("sum"))
            .map(|record| (record.reason, record.detail.as_str()))
            .collect();
        let detail = "the quantity -1000000000000000001 is less than -1000000000000000000, the smallest value of the \
                      meter `sum`; divide it in the `select` of the source, and write a larger unit than `1` in the \
                      meter";
        assert_eq!(of_sum, [(Reason::QuantityOutOfRange, detail)]);
    }

    #[test]
    fn a_negative_quantity_is_rejected_by_meters_that_read_the_value() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(-1)), || Cow::Borrowed(b"raw"));
        assert!(collector.failure.is_none());
        let mut accepted: Vec<String> = Vec::new();
        for (day, shard) in collector.pending.partitions() {
            let sorted = collector.pending.take(day, shard).unwrap().sort(&collector.stream_refs);
            for (stream_id, rows) in sorted.streams() {
                accepted.push(collector.catalog.stream(stream_id).unwrap().meter.to_string());
                for row in rows {
                    assert_eq!(sorted.sample(stream_id, row, &[1]).0.quantity, Quantity::from_integer(1).units());
                }
            }
        }
        accepted.sort();
        assert_eq!(accepted, ["count", "count_unique", "duration", "presence"]);
        let rejected: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(rejected, ["sum", "max", "min", "mean", "last", "increase", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| (record.reason, record.line) == (Reason::NegativeQuantity, 7)));
        let detail = "the quantity -1 is negative; the meter `max` expects a quantity of zero or more";
        assert_eq!(collector.rejected[1].detail, detail);
        let with_remedy = detail.replace("max", "sum") + "; write `signed = true` in the meter to accept it";
        assert_eq!(collector.rejected[0].detail, with_remedy);
        let counts = &collector.files[0].1;
        assert_eq!((counts.read, counts.samples, counts.rejected), (1, 11, 7));
    }
}
