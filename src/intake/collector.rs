//! Where readers put what they find: facts by date and bucket, labels, and what was refused.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::binding::Bindings;
use super::catalog::{Catalog, Description};
use super::identity::record_digest;
use super::record::{Reason, Record, RecordSink, Rejection};
use crate::meter::FieldPath;
use crate::money::Quantity;
use crate::period::{Calendar, DayNumber};
use crate::pipeline::Error;

/// How much of a refused record is kept.
const RAW_LIMIT_BYTES: usize = 4096;

/// One measured fact, not yet known to be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    pub stream_id: u64,
    pub measured_at: i64,
    pub record_digest: u64,
    pub quantity: i128,
    pub said_series_id: u64,
    pub input_file_id: u64,
    pub line: u32,
    pub created: bool,
    pub deleted: bool,
}

impl Fact {
    /// What makes it this fact and no other.
    pub fn identity(&self) -> (u64, i64, u64) {
        (self.stream_id, self.measured_at, self.record_digest)
    }

    /// Identity, then content, then where it stood: the order in which the first of equals is chosen.
    pub fn order(&self) -> impl Ord {
        let content = (self.said_series_id, self.quantity, self.deleted, !self.created);
        (self.identity(), content, self.input_file_id, self.line)
    }
}

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
    pub facts: u64,
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
    /// Stream and series of a (meter, project, resource, fields) that was seen before, by a hash of 128 bits.
    described: HashMap<u128, (u64, u64)>,
    pub facts: BTreeMap<(DayNumber, u32), Vec<Fact>>,
    pub labels: Labels,
    pub rejected: Vec<RejectedRecord>,
    /// What was rejected, with the file that brought it, until that file brings it again.
    known_rejected: HashMap<u64, Option<u64>>,
    pub counts: BTreeMap<u64, Counts>,
    file: u64,
    /// The first thing that must stop the run; a sink cannot.
    pub failure: Option<Error>,
}

impl<'a> Collector<'a> {
    pub fn new(
        bindings: &'a Bindings,
        catalog: Catalog,
        calendar: Calendar,
        buckets: u32,
        known_rejected: HashMap<u64, Option<u64>>,
    ) -> Self {
        Self {
            bindings,
            catalog,
            calendar,
            buckets: u64::from(buckets),
            described: HashMap::new(),
            facts: BTreeMap::new(),
            labels: Labels::new(),
            rejected: Vec::new(),
            known_rejected,
            counts: BTreeMap::new(),
            file: 0,
            failure: None,
        }
    }

    /// From now on records come from this file.
    pub fn begin_file(&mut self, input_file_id: u64) {
        self.file = input_file_id;
        self.counts.entry(input_file_id).or_default();
    }

    fn counts(&mut self) -> &mut Counts {
        self.counts.entry(self.file).or_default()
    }

    fn refuse(&mut self, reason: Reason, detail: String, line: u64, meter: Option<&str>, raw: &[u8]) {
        let mut digest_of = raw.to_vec();
        digest_of.extend_from_slice(meter.unwrap_or_default().as_bytes());
        let digest = record_digest(&digest_of);
        self.counts().facts += 1;
        if !self.is_rejected_first(digest, self.file) {
            return;
        }
        let raw_text = String::from_utf8_lossy(&raw[..raw.len().min(RAW_LIMIT_BYTES)]).replace('\0', "\u{fffd}");
        self.rejected.push(RejectedRecord {
            input_file_id: self.file,
            line,
            meter: meter.map(str::to_owned),
            reason,
            detail,
            raw_text,
            record_digest: digest,
        });
    }

    /// Counts a refusal in the books of a file. Says whether it is a new one.
    fn is_rejected_first(&mut self, digest: u64, file: u64) -> bool {
        let counts = self.counts.entry(file).or_default();
        match self.known_rejected.entry(digest) {
            Entry::Vacant(place) => {
                place.insert(None);
                counts.rejected += 1;
                return true;
            }
            Entry::Occupied(mut known) if *known.get() == Some(file) => {
                known.insert(None);
                counts.rejected_before += 1;
            }
            Entry::Occupied(_) => counts.duplicate += 1,
        }
        false
    }

    /// Refuses a fact of a file because another value of it is known.
    pub fn refuse_conflict(&mut self, fact: &Fact, detail: String) {
        let raw_text = self.catalog.stream(fact.stream_id).map_or_else(String::new, |stream| {
            format!("{} of {} at {}", stream.meter, stream.resource_id, instant(fact.measured_at))
        });
        let content = format!("{raw_text} {} {} {}", fact.quantity, fact.said_series_id, fact.deleted);
        let digest = record_digest(content.as_bytes());
        if !self.is_rejected_first(digest, fact.input_file_id) {
            return;
        }
        self.rejected.push(RejectedRecord {
            input_file_id: fact.input_file_id,
            line: u64::from(fact.line),
            meter: self.catalog.stream(fact.stream_id).map(|stream| stream.meter.to_string()),
            reason: Reason::Conflict,
            detail,
            raw_text,
            record_digest: digest,
        });
    }

    fn describe(
        &mut self,
        binding: &super::binding::Binding,
        record: &Record<'_>,
    ) -> Result<Result<(u64, u64), String>, Error> {
        let field = |index: usize| record.fields.get(index).and_then(|value| value.as_deref());
        let mut hasher = Xxh3::new();
        let parts = [Some(&*binding.name), record.project_id, Some(record.resource_id)];
        for part in parts.into_iter().chain(binding.fields.iter().map(|index| field(*index))) {
            match part {
                None => hasher.update(&[0]),
                Some(text) => {
                    hasher.update(&[1]);
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
            }
        }
        let key = hasher.digest128();
        if !binding.dated
            && let Some(known) = self.described.get(&key)
        {
            return Ok(Ok(*known));
        }
        let mut dimensions = Vec::with_capacity(binding.dimensions.len());
        for dimension in &binding.dimensions {
            match dimension.value(field, record.measured_at) {
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
        self.described.insert(key, (stream_id, series_id));
        Ok(Ok((stream_id, series_id)))
    }

    fn take(&mut self, record: &Record<'_>, raw: &[u8]) -> Result<(), Error> {
        let bindings = self.bindings;
        for binding in bindings.of(record.source_meter) {
            let meter = &binding.meter;
            if let Some(expected) = &meter.source_unit
                && record.unit != expected
            {
                let found = if record.unit.is_empty() { "no unit" } else { record.unit };
                let detail = format!("the unit is {found}, but the meter `{}` takes {expected}", meter.name);
                self.refuse(Reason::UnitMismatch, detail, record.line, Some(&binding.name), raw);
                continue;
            }
            let reads_value = meter.aggregation.reads_value();
            if reads_value && record.quantity.is_negative() {
                let detail = format!(
                    "the quantity {} is negative, but the meter `{}` reads it and takes quantities from zero on",
                    record.quantity, meter.name
                );
                self.refuse(Reason::NegativeQuantity, detail, record.line, Some(&binding.name), raw);
                continue;
            }
            let largest = meter.aggregation.largest_value();
            if meter.aggregation.reads_value() && record.quantity > largest {
                let detail = format!(
                    "the quantity {} is more than {largest}, the most that the meter `{}` can add up over a day",
                    record.quantity, meter.name
                );
                self.refuse(Reason::QuantityOutOfRange, detail, record.line, Some(&binding.name), raw);
                continue;
            }
            let (stream_id, said_series_id) = match self.describe(binding, record)? {
                Ok(ids) => ids,
                Err(detail) => {
                    self.refuse(Reason::BadDimension, detail, record.line, Some(&binding.name), raw);
                    continue;
                }
            };
            let day = self.calendar.day_of(record.measured_at);
            for (label, index) in &binding.labels {
                if let Some(Some(value)) = record.fields.get(*index) {
                    keep_label(&mut self.labels, (day, stream_id, Arc::clone(label)), record.measured_at, value);
                }
            }
            let gap_cap = i64::from(meter.gap_cap_seconds) * 1_000_000;
            let quantity = if reads_value { record.quantity } else { Quantity::from_integer(1) };
            let fact = Fact {
                stream_id,
                measured_at: record.measured_at,
                record_digest: match record.record_id {
                    Some(id) if meter.aggregation.is_additive() => record_digest(id.as_bytes()),
                    _ => 0,
                },
                quantity: quantity.units(),
                said_series_id,
                input_file_id: self.file,
                line: u32::try_from(record.line).unwrap_or(u32::MAX),
                created: record.created_at.is_some_and(|created_at| {
                    created_at <= record.measured_at && record.measured_at - created_at <= gap_cap
                }),
                deleted: record.deleted,
            };
            let bucket = (stream_id % self.buckets) as u32;
            self.facts.entry((day, bucket)).or_default().push(fact);
            let counts = self.counts();
            counts.facts += 1;
            let first = counts.first_measured_at.get_or_insert(record.measured_at);
            *first = (*first).min(record.measured_at);
            let last = counts.last_measured_at.get_or_insert(record.measured_at);
            *last = (*last).max(record.measured_at);
        }
        Ok(())
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

    fn record(&mut self, record: &Record<'_>, raw: &[u8]) {
        self.counts().read += 1;
        if self.failure.is_none()
            && let Err(failure) = self.take(record, raw)
        {
            self.failure = Some(failure);
        }
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
    use crate::diagnostic::{Place, SourceText};
    use crate::intake::record::SampleKind;
    use crate::meter::{Aggregation, Meter};
    use crate::rating::rule::RuleBook;

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
            gap_cap_seconds: 3_600,
            dimensions: Vec::new(),
            labels: Vec::new(),
            declared_at: Place::new(&source, 0..0),
        };
        let meters = Aggregation::ALL.into_iter().map(meter).collect();
        Bindings::new(&RuleBook { meters, lookups: Vec::new(), rules: Vec::new(), sources: Vec::new() })
    }

    fn collector(bindings: &Bindings) -> Collector<'_> {
        let calendar = Calendar::new(jiff::tz::TimeZone::UTC);
        let mut collector = Collector::new(bindings, Catalog::default(), calendar, 4, Default::default());
        collector.begin_file(1);
        collector
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
            fields: &[],
            line: 7,
        }
    }

    #[test]
    fn a_quantity_beyond_what_a_day_can_add_up_is_refused_and_a_counter_is_not() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(5_000_000_000_000_000_000)), b"raw");
        assert!(collector.failure.is_none());
        let refused: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(refused, ["sum", "max", "min", "mean", "last", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| record.reason == Reason::QuantityOutOfRange));
    }

    #[test]
    fn a_negative_quantity_is_refused_where_a_meter_reads_it() {
        let bindings = bindings();
        let mut collector = collector(&bindings);
        collector.record(&record(Quantity::from_integer(-1)), b"raw");
        assert!(collector.failure.is_none());
        let facts: Vec<&Fact> = collector.facts.values().flatten().collect();
        let mut taken: Vec<String> =
            facts.iter().map(|fact| collector.catalog.stream(fact.stream_id).unwrap().meter.to_string()).collect();
        taken.sort();
        assert_eq!(taken, ["count", "duration", "presence"]);
        assert!(facts.iter().all(|fact| fact.quantity == Quantity::from_integer(1).units()));
        let refused: Vec<&str> = collector.rejected.iter().filter_map(|record| record.meter.as_deref()).collect();
        assert_eq!(refused, ["sum", "max", "min", "mean", "last", "increase", "time_weighted"]);
        assert!(collector.rejected.iter().all(|record| (record.reason, record.line) == (Reason::NegativeQuantity, 7)));
        let detail = "the quantity -1 is negative, but the meter `sum` reads it and takes quantities from zero on";
        assert_eq!(collector.rejected[0].detail, detail);
        let counts = &collector.counts[&1];
        assert_eq!((counts.read, counts.facts, counts.rejected), (1, 10, 7));
    }
}
