//! Events that were delivered with several times, because a client that repeats an event may set a new time.
//!
//! The source and id of an event identify it, whatever its time. Of all deliveries of an event, a delivery does not
//! count if another delivery has an earlier time at most `duplicate_window` before. This depends on the times only, not
//! on the order of files or runs. The dates within the window are read, so the cost does not grow with the lake. The
//! digests are read first, and then the rows of the few events that were found more than once.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::UInt64Array;

use crate::error::Error;
use crate::intake::deduplicate::pending_samples::{StreamRef, Unsorted};
use crate::intake::deduplicate::retracted_records::RetractedRecords;
use crate::intake::sample::{Sample, samples_of};
use crate::model::evidence::Evidence;
use crate::rows;
use crate::storage::StoredData;

/// All columns of a relation of samples.
pub const SAMPLE_COLUMNS: [&str; 10] = [
    "stream_id",
    "reported_series_id",
    "measured_at",
    "quantity",
    "created",
    "deleted",
    "is_state",
    "is_backfilled",
    "record_digest",
    "input_file_id",
];

/// A committed file of samples within the window of a date.
#[derive(Debug)]
pub struct CommittedFile {
    /// Whether the samples of the file count. Repeated events do not.
    pub counts: bool,
    pub data: StoredData,
}

/// The deliveries of the events of one date and shard that have several times, sorted by time.
#[derive(Debug, Default)]
pub struct RepeatedEvents {
    window_microseconds: i64,
    deliveries: HashMap<(u64, u64), Vec<Sample>>,
    /// The committed samples that no longer count, because a pending delivery has an earlier time; each with that
    /// delivery.
    pub superseded: Vec<(Sample, Sample)>,
}

impl RepeatedEvents {
    /// Compares the events of pending samples with each other and with committed files.
    pub fn find(
        pending: &Unsorted,
        stream_refs: &[StreamRef],
        files: &[u64],
        committed: &[CommittedFile],
        retracted: &RetractedRecords,
        window_microseconds: i64,
    ) -> Result<Self, Error> {
        let (mut digests, mut repeated) = (HashSet::new(), HashSet::new());
        for digest in pending.event_digests() {
            if !digests.insert(digest) {
                repeated.insert(digest);
            }
        }
        let mut with_repeated: Vec<&CommittedFile> = Vec::new();
        for file in committed {
            let mut has_repeated = false;
            for batch in file.data.batches(&["record_digest"])? {
                let batch = batch?;
                let found: &UInt64Array = rows::column(&batch, "record_digest")?;
                for digest in found.values().iter().filter(|digest| digests.contains(digest)) {
                    repeated.insert(*digest);
                    has_repeated = true;
                }
            }
            if has_repeated {
                with_repeated.push(file);
            }
        }
        if repeated.is_empty() {
            return Ok(Self::default());
        }
        let mut deliveries: HashMap<(u64, u64), Vec<Sample>> = HashMap::new();
        let delivered = pending.events(stream_refs, files, &repeated);
        for sample in delivered.into_iter().filter(|sample| !retracted.contains(sample)) {
            deliveries.entry((sample.stream_id, sample.record_digest)).or_default().push(sample);
        }
        let mut counted: Vec<Sample> = Vec::new();
        for file in with_repeated {
            for batch in file.data.batches(&SAMPLE_COLUMNS)? {
                for sample in samples_of(&[batch?])? {
                    let Some(deliveries) = sample.event().and_then(|event| deliveries.get_mut(&event)) else {
                        continue;
                    };
                    deliveries.push(sample);
                    if file.counts {
                        counted.push(sample);
                    }
                }
            }
        }
        deliveries.retain(|_, deliveries| deliveries.iter().any(|one| one.measured_at != deliveries[0].measured_at));
        deliveries.values_mut().for_each(|deliveries| deliveries.sort_by_key(Sample::order));
        let mut found = Self { window_microseconds, deliveries, superseded: Vec::new() };
        counted.sort_by_key(Sample::order);
        found.superseded =
            counted.into_iter().filter_map(|sample| Some((sample, *found.earlier_delivery(&sample)?))).collect();
        Ok(found)
    }

    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The first delivery of a sample's event within the window before the sample, if there is one.
    pub fn earlier_delivery(&self, sample: &Sample) -> Option<&Sample> {
        let deliveries = self.deliveries.get(&sample.event()?)?;
        let from = sample.measured_at.saturating_sub(self.window_microseconds);
        let first = deliveries.iter().find(|delivery| delivery.measured_at >= from)?;
        (first.measured_at < sample.measured_at).then_some(first)
    }
}

/// The sorted times of the deliveries of each event.
#[derive(Debug, Default)]
pub struct EventTimes(BTreeMap<(u64, u64), Vec<i64>>);

impl EventTimes {
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut times: BTreeMap<(u64, u64), Vec<i64>> = BTreeMap::new();
        for (sample, event) in samples.into_iter().filter_map(|sample| Some((sample, sample.event()?))) {
            times.entry(event).or_default().push(sample.measured_at);
        }
        times.values_mut().for_each(|times| times.sort_unstable());
        Self(times)
    }

    /// Whether a delivery has an earlier time within the window before the sample.
    pub fn has_earlier(&self, sample: &Sample, window_microseconds: i64) -> bool {
        let Some(times) = sample.event().and_then(|event| self.0.get(&event)) else { return false };
        let from = sample.measured_at.saturating_sub(window_microseconds);
        times.get(times.partition_point(|time| *time < from)).is_some_and(|time| *time < sample.measured_at)
    }
}

impl Unsorted {
    /// The digests of all samples of events.
    pub fn event_digests(&self) -> impl Iterator<Item = u64> {
        self.digests().filter(|(_, evidence, digest)| evidence.is_event(*digest)).map(|(.., digest)| digest)
    }

    /// The samples of the events with the given digests.
    fn events(&self, stream_refs: &[StreamRef], files: &[u64], digests: &HashSet<u64>) -> Vec<Sample> {
        let is_wanted =
            |(_, evidence, digest): &(usize, Evidence, u64)| evidence.is_event(*digest) && digests.contains(digest);
        self.digests()
            .filter(is_wanted)
            .map(|(row, evidence, digest)| self.sample(row, stream_refs, files, evidence, digest))
            .collect()
    }
}
