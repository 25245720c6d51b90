//! The samples of one date and bucket, stream by stream, from as many files as deliveries made.
//!
//! Each file is sorted by stream, time and digest. So streams are taken from all files side by side and only batches
//! are held in memory; the order is verified on the way, because quantities depend on it.

use arrow::array::{BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};

use crate::pipeline::Error;
use crate::query::windows::StreamDay;
use crate::rows;
use crate::storage::StoredData;

const UNSORTED: Error = Error::Internal("samples in the lake that are not sorted by stream and time");

/// Reads the streams of several files in the order of their ids.
pub struct Samples {
    files: Vec<File>,
    /// Of the stream at hand, read where there are several files: they order the samples of one instant.
    digests: Vec<u64>,
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Samples").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Samples {
    pub fn open(files: &[StoredData]) -> Result<Self, Error> {
        let with_digests = files.len() > 1;
        let files = files.iter().map(|file| File::open(file, with_digests)).collect::<Result<_, _>>()?;
        Ok(Self { files, digests: Vec::new() })
    }

    /// The id of the next stream.
    pub fn next_stream(&self) -> Option<u64> {
        self.files.iter().filter_map(File::stream_id).min()
    }

    /// Takes the samples of the next stream in the order of time. The series are those that the samples said.
    pub fn take(&mut self, stream_id: u64, samples: &mut StreamDay) -> Result<(), Error> {
        samples.series_id.clear();
        samples.measured_at.clear();
        samples.quantity.clear();
        samples.created.clear();
        samples.deleted.clear();
        samples.holds.clear();
        samples.assumed.clear();
        self.digests.clear();
        let mut parts = 0;
        for file in &mut self.files {
            if file.stream_id() == Some(stream_id) {
                file.take(stream_id, samples, &mut self.digests)?;
                parts += 1;
            }
        }
        // Nearly every file has samples alone, and no row for what is never true.
        for flags in [&mut samples.holds, &mut samples.assumed] {
            if !flags.contains(&true) {
                flags.clear();
            }
        }
        if parts > 1 {
            sort(samples, &self.digests);
        }
        if !samples.measured_at.is_sorted() {
            return Err(UNSORTED);
        }
        Ok(())
    }
}

fn sort(samples: &mut StreamDay, digests: &[u64]) {
    let mut order: Vec<usize> = (0..digests.len()).collect();
    order.sort_by_key(|row| (samples.measured_at[*row], digests[*row]));
    *samples = StreamDay {
        series_id: order.iter().map(|row| samples.series_id[*row]).collect(),
        measured_at: order.iter().map(|row| samples.measured_at[*row]).collect(),
        quantity: order.iter().map(|row| samples.quantity[*row]).collect(),
        created: order.iter().map(|row| samples.created[*row]).collect(),
        deleted: order.iter().map(|row| samples.deleted[*row]).collect(),
        holds: order.iter().filter_map(|row| samples.holds.get(*row).copied()).collect(),
        assumed: order.iter().filter_map(|row| samples.assumed.get(*row).copied()).collect(),
    };
}

/// One file and the place up to which it was read.
struct File {
    batches: Box<dyn Iterator<Item = Result<RecordBatch, crate::storage::Error>> + Send>,
    batch: Option<Columns>,
    row: usize,
}

struct Columns {
    stream_id: UInt64Array,
    said_series_id: UInt64Array,
    measured_at: TimestampMicrosecondArray,
    quantity: Decimal128Array,
    /// Not read where the file says that they are false in every row; the same is true of the other flags.
    created: Option<BooleanArray>,
    deleted: Option<BooleanArray>,
    holds: Option<BooleanArray>,
    assumed: Option<BooleanArray>,
    record_digest: Option<UInt64Array>,
}

impl Columns {
    fn new(batch: &RecordBatch) -> Result<Self, Error> {
        Ok(Self {
            stream_id: rows::column::<UInt64Array>(batch, "stream_id")?.clone(),
            said_series_id: rows::column::<UInt64Array>(batch, "said_series_id")?.clone(),
            measured_at: rows::column::<TimestampMicrosecondArray>(batch, "measured_at")?.clone(),
            quantity: rows::column::<Decimal128Array>(batch, "quantity")?.clone(),
            created: rows::column::<BooleanArray>(batch, "created").ok().cloned(),
            deleted: rows::column::<BooleanArray>(batch, "deleted").ok().cloned(),
            holds: rows::column::<BooleanArray>(batch, "holds").ok().cloned(),
            assumed: rows::column::<BooleanArray>(batch, "assumed").ok().cloned(),
            record_digest: rows::column::<UInt64Array>(batch, "record_digest").ok().cloned(),
        })
    }
}

impl File {
    fn open(file: &StoredData, with_digests: bool) -> Result<Self, Error> {
        let mut columns = vec!["stream_id", "said_series_id", "measured_at", "quantity"];
        for flag in ["created", "deleted", "holds", "assumed"] {
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
            samples.series_id.extend_from_slice(&batch.said_series_id.values()[self.row..end]);
            samples.measured_at.extend_from_slice(&batch.measured_at.values()[self.row..end]);
            samples.quantity.extend_from_slice(&batch.quantity.values()[self.row..end]);
            let flags = [
                (&batch.created, &mut samples.created),
                (&batch.deleted, &mut samples.deleted),
                (&batch.holds, &mut samples.holds),
                (&batch.assumed, &mut samples.assumed),
            ];
            for (flags, taken) in flags {
                match flags {
                    Some(flags) => taken.extend(flags.values().slice(self.row, count).iter()),
                    None => taken.resize(taken.len() + count, false),
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
