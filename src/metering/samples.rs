//! The samples of one date and shard, stream by stream, merged from the files of several deliveries.
//!
//! Each file is sorted by stream, time and digest. The files are merged while they are read, so memory contains one
//! batch of each file. The order is verified while reading, because quantities depend on the order.

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::model::evidence::Evidence;
use crate::rows;
use crate::storage::StoredData;

/// The samples of one stream on one date, as columns in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamDay {
    /// The series to which each sample belongs.
    pub series_id: Vec<u64>,
    pub measured_at: Vec<i64>,
    /// Quantities in units of the ninth decimal place.
    pub quantity: Vec<i128>,
    pub created: Vec<bool>,
    pub deleted: Vec<bool>,
    /// Whether each sample is a state, which is valid until the next event. Empty if no sample is a state.
    pub is_state: Vec<bool>,
    /// Whether each sample is a backfilled state. Empty if no sample is backfilled.
    pub backfilled: Vec<bool>,
}

const UNSORTED: Error = Error::Internal("samples in the lake are not sorted by stream and time");

/// A reader of the streams of several files, in the order of stream ids.
pub(super) struct Samples {
    files: Vec<File>,
    /// The digests of the current stream, which order and distinguish the samples of one instant. They are read only if
    /// there are several files or states.
    digests: Vec<u64>,
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Samples").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Samples {
    pub(super) fn open(files: &[StoredData]) -> Result<Self, Error> {
        let mut with_digests = files.len() > 1;
        for file in files {
            with_digests |= !(file.is_never_true("is_state")? && file.is_never_true("is_backfilled")?);
        }
        let files = files.iter().map(|file| File::open(file, with_digests)).collect::<Result<_, _>>()?;
        Ok(Self { files, digests: Vec::new() })
    }

    /// The id of the next stream.
    pub(super) fn next_stream(&self) -> Option<u64> {
        self.files.iter().filter_map(File::stream_id).min()
    }

    /// Reads the samples of the next stream in the order of time, with the series that they reported.
    pub(super) fn take(&mut self, stream_id: u64, samples: &mut StreamDay) -> Result<(), Error> {
        samples.series_id.clear();
        samples.measured_at.clear();
        samples.quantity.clear();
        samples.created.clear();
        samples.deleted.clear();
        samples.is_state.clear();
        samples.backfilled.clear();
        self.digests.clear();
        let mut parts = 0;
        for file in &mut self.files {
            if file.stream_id() == Some(stream_id) {
                file.take(stream_id, samples, &mut self.digests)?;
                parts += 1;
            }
        }
        // An empty column means that every flag is false. Most streams have no states.
        for flags in [&mut samples.is_state, &mut samples.backfilled] {
            if !flags.contains(&true) {
                flags.clear();
            }
        }
        let has_states = !(samples.is_state.is_empty() && samples.backfilled.is_empty());
        if parts > 1 || has_states {
            sort_and_deduplicate(samples, &self.digests);
        }
        if !samples.measured_at.is_sorted() {
            return Err(UNSORTED);
        }
        Ok(())
    }
}

/// Sorts the samples of a stream, and removes obsolete inferred states. If several messages imply a state for the same
/// instant, the earliest message wins. Its digest is the greatest, so its state is the last.
fn sort_and_deduplicate(samples: &mut StreamDay, digests: &[u64]) {
    let is = |flags: &[bool], row: usize| flags.get(row).copied().unwrap_or_default();
    let mut inferred: Vec<Option<u64>> = Vec::with_capacity(digests.len());
    let mut precedence: Vec<u64> = Vec::with_capacity(digests.len());
    for (row, digest) in digests.iter().enumerate() {
        let evidence = Evidence::from_digest(is(&samples.is_state, row), is(&samples.backfilled, row), *digest);
        inferred.push(evidence.is_inferred().then(|| evidence.identity(*digest)));
        precedence.push(evidence.precedence(*digest));
    }
    let mut order: Vec<usize> = (0..digests.len()).collect();
    order.sort_by_key(|row| (samples.measured_at[*row], precedence[*row]));
    order.dedup_by(|later, earlier| {
        let is_superseded = samples.measured_at[*earlier] == samples.measured_at[*later]
            && inferred[*earlier].is_some()
            && inferred[*earlier] == inferred[*later];
        if is_superseded {
            *earlier = *later;
        }
        is_superseded
    });
    *samples = select_rows(samples, &order);
}

/// The samples of the rows in `order`, in this order.
fn select_rows(samples: &StreamDay, order: &[usize]) -> StreamDay {
    StreamDay {
        series_id: order.iter().map(|row| samples.series_id[*row]).collect(),
        measured_at: order.iter().map(|row| samples.measured_at[*row]).collect(),
        quantity: order.iter().map(|row| samples.quantity[*row]).collect(),
        created: order.iter().map(|row| samples.created[*row]).collect(),
        deleted: order.iter().map(|row| samples.deleted[*row]).collect(),
        is_state: order.iter().filter_map(|row| samples.is_state.get(*row).copied()).collect(),
        backfilled: order.iter().filter_map(|row| samples.backfilled.get(*row).copied()).collect(),
    }
}

/// A file, with the position of the next row to read.
struct File {
    batches: Box<dyn Iterator<Item = Result<RecordBatch, crate::storage::Error>> + Send>,
    batch: Option<Columns>,
    row: usize,
}

struct Columns {
    stream_id: UInt64Array,
    reported_series_id: UInt64Array,
    measured_at: TimestampMicrosecondArray,
    quantity: Decimal128Array,
    /// `None` if the file contains no true value. The other flags are optional for the same reason.
    created: Option<BooleanArray>,
    deleted: Option<BooleanArray>,
    is_state: Option<BooleanArray>,
    backfilled: Option<BooleanArray>,
    record_digest: Option<UInt64Array>,
}

impl Columns {
    fn new(batch: &RecordBatch) -> Result<Self, Error> {
        Ok(Self {
            stream_id: rows::column::<UInt64Array>(batch, "stream_id")?.clone(),
            reported_series_id: rows::column::<UInt64Array>(batch, "reported_series_id")?.clone(),
            measured_at: rows::column::<TimestampMicrosecondArray>(batch, "measured_at")?.clone(),
            quantity: rows::column::<Decimal128Array>(batch, "quantity")?.clone(),
            created: rows::column::<BooleanArray>(batch, "created").ok().cloned(),
            deleted: rows::column::<BooleanArray>(batch, "deleted").ok().cloned(),
            is_state: rows::column::<BooleanArray>(batch, "is_state").ok().cloned(),
            backfilled: rows::column::<BooleanArray>(batch, "is_backfilled").ok().cloned(),
            record_digest: rows::column::<UInt64Array>(batch, "record_digest").ok().cloned(),
        })
    }
}

impl File {
    fn open(file: &StoredData, with_digests: bool) -> Result<Self, Error> {
        let mut columns = vec!["stream_id", "reported_series_id", "measured_at", "quantity"];
        for flag in ["created", "deleted", "is_state", "is_backfilled"] {
            if !file.is_never_true(flag)? {
                columns.push(flag);
            }
        }
        if with_digests {
            columns.push("record_digest");
        }
        let mut opened = Self { batches: Box::new(file.batches(&columns)?), batch: None, row: 0 };
        opened.next_batch()?;
        Ok(opened)
    }

    fn next_batch(&mut self) -> Result<(), Error> {
        self.row = 0;
        self.batch = None;
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.batch = Some(Columns::new(&batch)?);
                break;
            }
        }
        Ok(())
    }

    fn stream_id(&self) -> Option<u64> {
        self.batch.as_ref().map(|batch| batch.stream_id.value(self.row))
    }

    fn take(&mut self, stream_id: u64, samples: &mut StreamDay, digests: &mut Vec<u64>) -> Result<(), Error> {
        while let Some(batch) = &self.batch {
            let ids = &batch.stream_id.values()[self.row..];
            let count = ids.iter().take_while(|id| **id == stream_id).count();
            let end = self.row + count;
            samples.series_id.extend_from_slice(&batch.reported_series_id.values()[self.row..end]);
            samples.measured_at.extend_from_slice(&batch.measured_at.values()[self.row..end]);
            samples.quantity.extend_from_slice(&batch.quantity.values()[self.row..end]);
            let flags = [
                (&batch.created, &mut samples.created),
                (&batch.deleted, &mut samples.deleted),
                (&batch.is_state, &mut samples.is_state),
                (&batch.backfilled, &mut samples.backfilled),
            ];
            for (flags, output) in flags {
                match flags {
                    Some(flags) => output.extend(flags.values().slice(self.row, count).iter()),
                    None => output.resize(output.len() + count, false),
                }
            }
            if let Some(record_digest) = &batch.record_digest {
                digests.extend_from_slice(&record_digest.values()[self.row..end]);
            }
            self.row = end;
            if end < batch.stream_id.len() {
                return if batch.stream_id.value(end) > stream_id { Ok(()) } else { Err(UNSORTED) };
            }
            self.next_batch()?;
            match self.stream_id() {
                Some(next) if next == stream_id => {}
                Some(next) if next < stream_id => return Err(UNSORTED),
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_inferred_state_of_an_instant_is_kept() {
        let inferred = |message_sent_at| (Evidence::Inferred { message_sent_at }.digest(false), true, false);
        let backfilled = |message_sent_at| (Evidence::Backfilled { message_sent_at }.digest(false), true, true);
        // Samples of two instants, in the order of the files.
        let rows = [
            (0, inferred(300)),
            (0, (Evidence::Reported.digest(false), true, false)),
            (5, backfilled(300)),
            (0, inferred(200)),
            (0, backfilled(200)),
            (5, backfilled(100)),
            (0, (0, false, false)),
            (5, inferred(200)),
            (5, inferred(100)),
        ];
        let mut samples = StreamDay {
            series_id: (0..rows.len() as u64).collect(),
            measured_at: rows.iter().map(|row| row.0).collect(),
            quantity: vec![1; rows.len()],
            created: vec![false; rows.len()],
            deleted: vec![false; rows.len()],
            is_state: rows.iter().map(|row| row.1.1).collect(),
            backfilled: rows.iter().map(|row| row.1.2).collect(),
        };
        let digests: Vec<u64> = rows.iter().map(|row| row.1.0).collect();
        sort_and_deduplicate(&mut samples, &digests);
        assert_eq!(samples.series_id, [6, 4, 3, 1, 5, 8]);
        assert_eq!(samples.measured_at, [0, 0, 0, 0, 5, 5]);
        assert_eq!(samples.backfilled, [false, true, false, false, true, false]);
    }
}
