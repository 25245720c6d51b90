//! Where readers put what they find: facts by date and bucket, labels, and what was refused.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::binding::{Binding, Bindings};
use crate::catalog::identity::record_digest;
use crate::catalog::streams::{Catalog, Description};
use crate::error::Error;
use crate::intake::deduplicate::merge::{Conflict, DedupResult};
use crate::intake::deduplicate::pending_samples::{PendingSample, PendingSamples, StreamRef};
use crate::intake::formats::id::digest_of_id;
use crate::intake::record::{Measured, Record, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;
use crate::intake::resolve::record_group::{BoundMeter, RecordGroupId, SeenLabel, refusal_of_quantity, takes_quantity};
use crate::model::evidence::Evidence;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;
use crate::model::period::{Calendar, DayNumber};

/// How much of a refused record is kept.
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

/// What one file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub read: u64,
    pub unmetered: BTreeMap<String, u64>,
    pub samples: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    /// Facts that a file that is read again brought when it was first read; in its own books they stay what they were.
    pub accepted_before: u64,
    pub rejected_before: u64,
    pub first_measured_at: Option<i64>,
    pub last_measured_at: Option<i64>,
}

/// Labels by stream, date and name: the last record that said one wins.
pub type Labels = BTreeMap<(DayNumber, u64, Arc<str>), (i64, String)>;

/// Collects what the readers of all files find.
#[derive(Debug)]
pub struct Collector<'a> {
    bindings: &'a Bindings,
    pub catalog: Catalog,
    calendar: Calendar,
    buckets: u64,
    /// Every class that was met, with a hash of 128 bits of what its records agree in. `None`: each has to be looked at
    /// by itself, because a meter refuses it, or the time decides what it means.
    classes: Vec<(u128, Option<RecordGroupId>)>,
    /// Index of a class by its hash.
    class_of: HashMap<u128, u32, FirstBits>,
    /// Index of the class of the last record.
    last_class: usize,
    takers: Vec<BoundMeter>,
    /// By index of the taker.
    seen_labels: HashMap<u32, Vec<SeenLabel>>,
    /// What the facts say their streams and series are, and the number of each.
    pub stream_refs: Vec<StreamRef>,
    number_of: HashMap<StreamRef, u32>,
    pub arrivals: PendingSamples,
    labels: Labels,
    pub rejected: Vec<RejectedRecord>,
    /// What was rejected, with the file that brought it, until that file brings it again.
    known_rejected: HashMap<u64, Option<u64>>,
    /// Each file with what it held, in the order in which they are read.
    pub files: Vec<(u64, Counts)>,
    /// The texts that a class is known by, one after the other; kept to be used again.
    key: Vec<u8>,
    /// The first instant whose samples are kept, in microseconds: what is earlier is too late.
    pub kept_from: i64,
    /// The first thing that must stop the run; a sink cannot.
    pub failure: Option<Error>,
}

/// The keys are hashes already.
type FirstBits = std::hash::BuildHasherDefault<FirstBitsHasher>;

#[derive(Clone, Copy, Debug, Default)]
pub struct FirstBitsHasher(u64);

impl std::hash::Hasher for FirstBitsHasher {
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
    /// `budget_bytes` is how much memory the facts of all files may take before they go to the disk.
    pub fn new(
        bindings: &'a Bindings,
        catalog: Catalog,
        calendar: Calendar,
        buckets: u32,
        known_rejected: HashMap<u64, Option<u64>>,
        budget_bytes: usize,
    ) -> Self {
        Self {
            bindings,
            catalog,
            calendar,
            buckets: u64::from(buckets),
            classes: Vec::new(),
            class_of: HashMap::default(),
            last_class: 0,
            takers: Vec::new(),
            seen_labels: HashMap::new(),
            stream_refs: Vec::new(),
            number_of: HashMap::new(),
            arrivals: PendingSamples::new(buckets, budget_bytes),
            labels: Labels::new(),
            rejected: Vec::new(),
            known_rejected,
            files: Vec::new(),
            key: Vec::new(),
            kept_from: i64::MIN,
            failure: None,
        }
    }

    /// From now on records come from this file.
    pub fn begin_file(&mut self, input_file_id: u64) {
        self.files.push((input_file_id, Counts::default()));
        self.arrivals.begin_file(self.files.len() as u32 - 1);
    }

    fn file(&self) -> usize {
        self.files.len() - 1
    }

    fn counts(&mut self) -> &mut Counts {
        let file = self.file();
        &mut self.files[file].1
    }

    fn refuse(&mut self, reason: Reason, detail: String, line: u64, meter: Option<&str>, raw: &[u8]) {
        let mut digest_of = raw.to_vec();
        digest_of.extend_from_slice(meter.unwrap_or_default().as_bytes());
        // Where nothing of the record can be shown, its place and what is wrong with it tell it from others.
        if raw.is_empty() {
            digest_of.extend_from_slice(&self.files[self.file()].0.to_le_bytes());
            digest_of.extend_from_slice(&line.to_le_bytes());
            digest_of.extend_from_slice(detail.as_bytes());
        }
        let digest = record_digest(&digest_of);
        self.counts().samples += 1;
        let file = self.file();
        if !self.is_rejected_first(digest, file) {
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

    /// Counts a refusal in the books of a file. Says whether it is a new one.
    fn is_rejected_first(&mut self, digest: u64, file: usize) -> bool {
        let (input_file_id, counts) = &mut self.files[file];
        match self.known_rejected.entry(digest) {
            Entry::Vacant(place) => {
                place.insert(None);
                counts.rejected += 1;
                return true;
            }
            Entry::Occupied(mut known) if *known.get() == Some(*input_file_id) => {
                known.insert(None);
                counts.rejected_before += 1;
            }
            Entry::Occupied(_) => counts.duplicate += 1,
        }
        false
    }

    /// Enters what became of the facts of one date and bucket in the books of their files.
    pub fn settle(&mut self, outcome: &DedupResult) {
        for ((_, counts), tally) in self.files.iter_mut().zip(&outcome.tallies) {
            counts.accepted += tally.accepted;
            counts.accepted_before += tally.accepted_before;
            counts.duplicate += tally.duplicate;
        }
        for conflict in &outcome.conflicts {
            if self.says_nothing_new(conflict) {
                self.files[conflict.file as usize].1.duplicate += 1;
            } else {
                self.refuse_conflict(conflict);
            }
        }
    }

    /// Whether a word of a state says nothing of the resource that is not known: an event of Ceilometer has a few
    /// traits of what the message had. One that says more may have another price, and is listed.
    fn says_nothing_new(&self, Conflict { fact, known, .. }: &Conflict) -> bool {
        let description = |id| self.catalog.series(id).map(|series| &series.description);
        let described = description(known.reported_series_id).zip(description(fact.reported_series_id));
        fact.standing != Evidence::Sampled
            && (known.deleted, known.quantity) == (fact.deleted, fact.quantity)
            && described
                .is_some_and(|(known, stream_refs)| known.or(stream_refs) == *known && stream_refs.or(known) == *known)
    }

    /// Refuses a fact because another value of it is known.
    fn refuse_conflict(&mut self, Conflict { fact, known, file }: &Conflict) {
        let description = |id| self.catalog.series(id).map(|series| series.description.text()).unwrap_or_default();
        let detail = if known.deleted != fact.deleted {
            let (known, found) = if known.deleted { ("gone", "there") } else { ("there", "gone") };
            format!("the same fact is known of a resource that is {known}; in this record it is {found}")
        } else if known.quantity == fact.quantity {
            format!(
                "the same fact is known with the description ({}); this record says ({})",
                description(known.reported_series_id),
                description(fact.reported_series_id)
            )
        } else {
            format!(
                "the same fact is known with the quantity {}; this record says {}",
                Quantity::from_units(known.quantity),
                Quantity::from_units(fact.quantity)
            )
        };
        let raw_text = self.catalog.stream(fact.stream_id).map_or_else(String::new, |stream| {
            format!("{} of {} at {}", stream.meter, stream.resource_id, instant(fact.measured_at))
        });
        let content = format!("{raw_text} {} {} {}", fact.quantity, fact.reported_series_id, fact.deleted);
        let digest = record_digest(content.as_bytes());
        if !self.is_rejected_first(digest, *file as usize) {
            return;
        }
        self.rejected.push(RejectedRecord {
            input_file_id: self.files[*file as usize].0,
            line: u64::from(fact.line),
            meter: self.catalog.stream(fact.stream_id).map(|stream| stream.meter.to_string()),
            reason: Reason::Conflict,
            detail,
            raw_text,
            record_digest: digest,
        });
    }

    /// The class of a record, which is new if no record said the same before.
    fn class_of(&mut self, record: &Record<'_>) -> Result<Option<RecordGroupId>, Error> {
        self.key.clear();
        let fields = self.bindings.deciding_fields.iter().map(|index| field_of(record, *index));
        let parts = [Some(record.source_meter), Some(record.unit), record.project_id, Some(record.resource_id)];
        for part in parts.into_iter().chain(fields) {
            // A text that is absent has a length that no text has.
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            self.key.extend_from_slice(&length.to_le_bytes());
            self.key.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        let key = xxh3_128(&self.key);
        // Pollers go through their resources in one order, again and again.
        match self.classes.get(self.last_class + 1) {
            Some((next, _)) if *next == key => self.last_class += 1,
            _ => match self.class_of.get(&key) {
                Some(known) => self.last_class = *known as usize,
                None => {
                    let class = self.classify(record)?;
                    self.last_class = self.classes.len();
                    self.class_of.insert(key, self.last_class as u32);
                    self.classes.push((key, class));
                }
            },
        }
        Ok(self.classes[self.last_class].1)
    }

    fn classify(&mut self, record: &Record<'_>) -> Result<Option<RecordGroupId>, Error> {
        let bindings = self.bindings.of(record.source_meter);
        let mut all_said = Vec::with_capacity(bindings.len());
        for binding in bindings {
            if binding.dated || refusal_of_unit(binding, record).is_some() {
                return Ok(None);
            }
            let Ok(stream_refs) = self.describe(binding, record)? else { return Ok(None) };
            all_said.push(stream_refs);
        }
        let first = self.takers.len() as u32;
        for (binding, stream_refs) in bindings.iter().zip(&all_said) {
            let taker = BoundMeter { has_next: true, ..self.taker(binding, *stream_refs) };
            if taker.has_labels {
                self.seen_labels.insert(self.takers.len() as u32, labels_of(binding, stream_refs.stream_id));
            }
            self.takers.push(taker);
        }
        let Some(last) = self.takers[first as usize..].last_mut() else { return Ok(None) };
        last.has_next = false;
        let reads_record_id = bindings.iter().any(|binding| binding.meter.aggregation.is_additive());
        Ok(Some(RecordGroupId { first, reads_record_id }))
    }

    fn taker(&mut self, binding: &Binding, stream_refs: StreamRef) -> BoundMeter {
        let number = *self.number_of.entry(stream_refs).or_insert_with(|| {
            self.stream_refs.push(stream_refs);
            self.stream_refs.len() as u32 - 1
        });
        BoundMeter {
            stream_refs: number,
            bucket: (stream_refs.stream_id % self.buckets) as u32,
            max_gap: i64::from(binding.meter.max_gap_seconds) * 1_000_000,
            aggregation: binding.meter.aggregation,
            has_labels: !binding.labels.is_empty(),
            has_next: false,
        }
    }

    /// The stream and series that a record is of, or why its dimensions cannot be read.
    fn describe(&mut self, binding: &Binding, record: &Record<'_>) -> Result<Result<StreamRef, String>, Error> {
        let mut dimensions = Vec::with_capacity(binding.dimensions.len());
        for dimension in &binding.dimensions {
            match dimension.value(|index| field_of(record, index), record.measured_at) {
                Ok(None) => {}
                Ok(Some(value)) => dimensions.push((Arc::clone(&dimension.name), value)),
                Err(text) => {
                    let name = &dimension.name;
                    return Ok(Err(format!("`{text}` is not a value that the dimension `{name}` can have")));
                }
            }
        }
        let description = Description { project_id: record.project_id.map(Into::into), dimensions };
        let stream_id = self.catalog.stream_id(&binding.name, record.resource_id)?;
        let series_id = self.catalog.series_id(stream_id, &description)?;
        Ok(Ok(StreamRef { stream_id, series_id }))
    }

    /// Takes a record by itself: each meter takes or refuses it.
    fn take(&mut self, record: &Record<'_>, raw: &[u8]) -> Result<(), Error> {
        let bindings = self.bindings;
        for binding in bindings.of(record.source_meter) {
            let refusal = self
                .too_late(record.measured_at)
                .or_else(|| refusal_of_unit(binding, record).map(|detail| (Reason::UnitMismatch, detail)))
                .or_else(|| refusal_of_quantity(&binding.meter, record.quantity));
            if let Some((reason, detail)) = refusal {
                self.refuse(reason, detail, record.line, Some(&binding.name), raw);
                continue;
            }
            let stream_refs = match self.describe(binding, record)? {
                Ok(stream_refs) => stream_refs,
                Err(detail) => {
                    self.refuse(Reason::BadDimension, detail, record.line, Some(&binding.name), raw);
                    continue;
                }
            };
            let taker = self.taker(binding, stream_refs);
            let day = self.keep(&taker, &record.measured());
            let mut labels = labels_of(binding, stream_refs.stream_id);
            see_labels(&mut self.labels, &mut labels, day, record.measured_at, |index| field_of(record, index));
            labels.iter().for_each(|label| keep_seen(&mut self.labels, label));
        }
        Ok(())
    }

    /// Why a record is refused whose date's samples are not kept any more.
    fn too_late(&self, measured_at: i64) -> Option<(Reason, String)> {
        (measured_at < self.kept_from).then(|| {
            let (found, kept_from) = (instant(measured_at), instant(self.kept_from));
            (Reason::TooLate, format!("the time is {found}; of closed periods samples are kept from {kept_from} on"))
        })
    }

    /// Keeps a fact for a meter. Gives its date.
    fn keep(&mut self, taker: &BoundMeter, measured: &Measured<'_>) -> DayNumber {
        let day = self.calendar.day_of(measured.measured_at);
        let aggregation = taker.aggregation;
        let arrival = PendingSample {
            stream_refs: taker.stream_refs,
            measured_at: measured.measured_at,
            quantity: if aggregation.reads_value() { measured.quantity } else { Quantity::from_integer(1) }.units(),
            record_digest: match measured.record_id {
                Some(id) if aggregation.is_additive() && !measured.standing.is_inferred() => {
                    measured.standing.record_id_digest(digest_of_id(id))
                }
                _ => measured.standing.digest(measured.deleted),
            },
            line: u32::try_from(measured.line).unwrap_or(u32::MAX),
            created: measured.created_at.is_some_and(|created_at| {
                created_at <= measured.measured_at && measured.measured_at - created_at <= taker.max_gap
            }),
            deleted: measured.deleted,
            standing: measured.standing,
        };
        if let Err(error) = self.arrivals.push(day, taker.bucket, &arrival) {
            self.failure.get_or_insert(Error::Temporary(error));
        }
        let counts = self.counts();
        counts.samples += 1;
        counts.first_measured_at =
            counts.first_measured_at.min(Some(measured.measured_at)).or(Some(measured.measured_at));
        counts.last_measured_at = counts.last_measured_at.max(Some(measured.measured_at));
        day
    }

    /// The labels of all records.
    pub fn take_labels(&mut self) -> Labels {
        for label in std::mem::take(&mut self.seen_labels).values().flatten() {
            keep_seen(&mut self.labels, label);
        }
        std::mem::take(&mut self.labels)
    }
}

fn labels_of(binding: &Binding, stream_id: u64) -> Vec<SeenLabel> {
    let label = |(name, field): &(Arc<str>, usize)| SeenLabel {
        name: Arc::clone(name),
        field: *field,
        stream_id,
        day: 0,
        stream_refs: None,
    };
    binding.labels.iter().map(label).collect()
}

/// Looks at the labels of one more record of a stream.
fn see_labels<'v>(
    labels: &mut Labels,
    seen: &mut [SeenLabel],
    day: DayNumber,
    measured_at: i64,
    field: impl Fn(usize) -> Option<&'v str>,
) {
    for label in seen {
        let Some(value) = field(label.field) else { continue };
        if label.day != day {
            keep_seen(labels, label);
            (label.day, label.stream_refs) = (day, None);
        }
        match &mut label.stream_refs {
            Some((at, stream_refs)) if stream_refs == value => *at = measured_at.max(*at),
            Some((at, stream_refs)) if (*at, stream_refs.as_str()) > (measured_at, value) => {}
            stream_refs => *stream_refs = Some((measured_at, value.to_owned())),
        }
    }
}

/// The text at a field path of a record.
fn field_of<'r>(record: &'r Record<'_>, index: usize) -> Option<&'r str> {
    record.fields.get(index).and_then(|value| value.as_deref())
}

/// Why a meter refuses a record for its unit.
fn refusal_of_unit(binding: &Binding, record: &Record<'_>) -> Option<String> {
    let expected = binding.meter.source_unit.as_ref()?;
    (record.unit != expected).then(|| {
        let found = if record.unit.is_empty() { "no unit" } else { record.unit };
        format!("the unit is {found}, but the meter `{}` takes {expected}", binding.meter.name)
    })
}

fn keep_seen(labels: &mut Labels, label: &SeenLabel) {
    if let Some((measured_at, value)) = &label.stream_refs {
        keep_label(labels, (label.day, label.stream_id, Arc::clone(&label.name)), *measured_at, value);
    }
}

/// Keeps the later of two records' values; of two at one instant, the greater text, so that order does not matter.
pub fn keep_label(labels: &mut Labels, key: (DayNumber, u64, Arc<str>), measured_at: i64, value: &str) {
    let kept = labels.entry(key).or_insert_with(|| (measured_at, value.to_owned()));
    if (kept.0, kept.1.as_str()) < (measured_at, value) {
        *kept = (measured_at, value.to_owned());
    }
}

/// RFC 3339 in UTC.
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

    fn record<'r>(&mut self, record: &Record<'_>, raw: impl Fn() -> Cow<'r, [u8]>) {
        if self.failure.is_some() {
            return;
        }
        let taken = self.class_of(record).and_then(|class| {
            let measured = record.measured();
            if class.is_some_and(|class| self.record_of_class(class, &measured, |index| field_of(record, index))) {
                return Ok(());
            }
            self.counts().read += 1;
            self.take(record, &raw())
        });
        if let Err(failure) = taken {
            self.failure = Some(failure);
        }
    }

    fn class(&mut self, record: &Record<'_>) -> Option<RecordGroupId> {
        self.class_of(record).unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }

    fn record_of_class<'v>(
        &mut self,
        class: RecordGroupId,
        measured: &Measured<'_>,
        field: impl Fn(usize) -> Option<&'v str>,
    ) -> bool {
        if measured.measured_at < self.kept_from {
            return false;
        }
        let mut index = class.first as usize;
        while takes_quantity(self.takers[index].aggregation, measured.quantity) && self.takers[index].has_next {
            index += 1;
        }
        if !takes_quantity(self.takers[index].aggregation, measured.quantity) {
            return false;
        }
        self.counts().read += 1;
        for index in class.first as usize..=index {
            let taker = self.takers[index];
            let day = self.keep(&taker, measured);
            if taker.has_labels
                && let Some(seen) = self.seen_labels.get_mut(&(index as u32))
            {
                see_labels(&mut self.labels, seen, day, measured.measured_at, &field);
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
        self.refuse(rejection.reason, rejection.detail.clone(), rejection.line, None, rejection.raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::record::SampleKind;
    use crate::model::diagnostic::{Place, SourceText};
    use crate::model::meter::{Aggregation, Meter};
    use crate::model::rule_book::RuleBook;

    /// Meters that all ask for `ip.floating`, one for each aggregation.
    fn bindings() -> Bindings {
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
            dimensions: Vec::new(),
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
            reservations: Vec::new(),
            terms: Default::default(),
            sources: Vec::new(),
        })
    }

    fn collector(bindings: &Bindings) -> Collector<'_> {
        let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
        let mut collector = Collector::new(bindings, Catalog::default(), calendar, 4, Default::default(), 1 << 20);
        collector.begin_file(1);
        collector
    }

    #[test]
    fn refusals_of_which_nothing_can_be_shown_are_told_apart_by_their_place() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        let mut refuse = |file: u64, line: u64| {
            collector.begin_file(file);
            let detail = "cannot be computed".to_owned();
            collector.reject(&Rejection { reason: Reason::Malformed, detail, line, raw: b"" });
        };
        [(1, 7), (1, 8), (2, 7), (1, 7)].into_iter().for_each(|(file, line)| refuse(file, line));
        let told: Vec<(u64, u64)> = collector.rejected.iter().map(|row| (row.input_file_id, row.line)).collect();
        assert_eq!(told, [(1, 7), (1, 8), (2, 7)]);
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
            standing: Evidence::Sampled,
            fields: &[],
            line: 7,
        }
    }

    #[test]
    fn a_quantity_beyond_what_a_day_can_add_up_is_refused_and_a_counter_is_not() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(5_000_000_000_000_000_000)), || Cow::Borrowed(b"raw"));
        assert!(collector.failure.is_none());
        let refused: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(refused, ["sum", "max", "min", "mean", "last", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| record.reason == Reason::QuantityOutOfRange));
    }

    #[test]
    fn a_negative_quantity_is_refused_where_a_meter_reads_it() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(-1)), || Cow::Borrowed(b"raw"));
        assert!(collector.failure.is_none());
        let mut taken: Vec<String> = Vec::new();
        for (day, bucket) in collector.arrivals.partitions() {
            let sorted = collector.arrivals.take(day, bucket).unwrap().sort(&collector.stream_refs);
            for (stream_id, rows) in sorted.streams() {
                taken.push(collector.catalog.stream(stream_id).unwrap().meter.to_string());
                for row in rows {
                    assert_eq!(sorted.fact(stream_id, row, &[1]).0.quantity, Quantity::from_integer(1).units());
                }
            }
        }
        taken.sort();
        assert_eq!(taken, ["count", "duration", "presence"]);
        let refused: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(refused, ["sum", "max", "min", "mean", "last", "increase", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| (record.reason, record.line) == (Reason::NegativeQuantity, 7)));
        let detail = "the quantity -1 is negative, but the meter `sum` reads it and takes quantities from zero on";
        assert_eq!(collector.rejected[0].detail, detail);
        let counts = &collector.files[0].1;
        assert_eq!((counts.read, counts.samples, counts.rejected), (1, 10, 7));
    }
}
