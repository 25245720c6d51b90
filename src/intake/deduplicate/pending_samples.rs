//! The samples of this run by date and shard, buffered until all files are read.
//!
//! The choice between two contradicting samples of one run must not depend on the order of files. So no sample is
//! merged before the last file is read. Samples are buffered in columns, with 25 bytes for each sample, or 33 bytes
//! with a digest. If the buffer exceeds its memory budget, the samples move to an unnamed temporary file. One shard of
//! one date at a time is read back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use bytemuck::Pod;

use crate::error::Error;
use crate::intake::sample::Sample;
use crate::model::evidence::Evidence;
use crate::model::money::Quantity;
use crate::model::period::DayNumber;
use crate::query::statement;
use crate::rows;

/// The stream and series of a record. Samples contain the index of this pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRef {
    pub stream_id: u64,
    pub series_id: u64,
}

/// A buffered sample. Its stream and series are stored by index.
#[derive(Clone, Copy, Debug)]
pub struct PendingSample {
    /// Index of the stream and series.
    pub stream_ref: u32,
    pub measured_at: i64,
    pub quantity: i128,
    pub record_digest: u64,
    pub line: u32,
    pub created: bool,
    pub deleted: bool,
    pub evidence: Evidence,
}

// The flags of a sample. Without the first two flags, the column contains the quantity in units of the ninth decimal
// place.
/// The column contains the quantity as an integer without decimal places. In units of the ninth decimal place, the
/// bytes of a busy hour exceed 64 bits.
const WHOLE: u8 = 1;
/// The quantity still exceeds 64 bits. The column contains the index of the quantity in `wide`.
const WIDE: u8 = 2;
const CREATED: u8 = 4;
const DELETED: u8 = 8;
const HAS_DIGEST: u8 = 16;
const IS_STATE: u8 = 32;
const BACKFILLED: u8 = 64;
const EVIDENCE: u8 = IS_STATE | BACKFILLED;

/// One whole in units of the ninth decimal place. Most quantities are whole, so 64 bits are enough for them.
const ONE: i128 = Quantity::ONE.units();

/// The samples of one date and shard, in columns.
#[derive(Clone, Debug, Default)]
struct Columns {
    stream_refs: Vec<u32>,
    measured_at: Vec<i64>,
    quantity: Vec<i64>,
    flags: Vec<u8>,
    line: Vec<u32>,
    /// The digests of the samples with the flag `HAS_DIGEST`.
    digest: Vec<u64>,
    wide: Vec<(i64, u64)>,
    /// The first row of each sequence of samples from one file, with the index of the file.
    files: Vec<(u32, u32)>,
}

/// The location of spilled samples in the temporary file.
#[derive(Debug)]
struct SpilledRun {
    offset: u64,
    rows: usize,
    digests: usize,
    wide: Vec<(i64, u64)>,
    files: Vec<(u32, u32)>,
}

/// The buffered samples of one date and shard, in memory and in the temporary file.
#[derive(Debug, Default)]
struct ShardBuffer {
    columns: Columns,
    runs: Vec<SpilledRun>,
}

/// All samples that wait to be merged.
#[derive(Debug)]
pub struct PendingSamples {
    /// The buffers of each date, one for each shard. A list is sufficient, because a run reads few dates, mostly one
    /// after the other.
    days: Vec<(DayNumber, Vec<ShardBuffer>)>,
    /// Index of the date of the last sample.
    current: usize,
    shards: usize,
    file: u32,
    buffered_rows: usize,
    max_buffered_rows: usize,
    spill: Option<Spill>,
}

#[derive(Debug)]
struct Spill {
    file: File,
    length: u64,
}

impl PendingSamples {
    /// An empty buffer. At most `budget_bytes` of samples are in memory. The others are in a temporary file.
    pub fn new(shards: u32, budget_bytes: usize) -> Self {
        Self {
            days: Vec::new(),
            current: 0,
            shards: shards as usize,
            file: 0,
            buffered_rows: 0,
            max_buffered_rows: (budget_bytes / 33).max(1),
            spill: None,
        }
    }

    /// Assigns all following samples to a file.
    pub fn begin_file(&mut self, file: u32) {
        self.file = file;
    }

    pub fn push(&mut self, day: DayNumber, shard: u32, sample: &PendingSample) -> io::Result<()> {
        if self.days.get(self.current).is_none_or(|(current, _)| *current != day) {
            self.current = self.days.iter().position(|(existing, _)| *existing == day).unwrap_or_else(|| {
                self.days.push((day, std::iter::repeat_with(ShardBuffer::default).take(self.shards).collect()));
                self.days.len() - 1
            });
        }
        self.days[self.current].1[shard as usize].columns.push(sample, self.file);
        self.buffered_rows += 1;
        if self.buffered_rows >= self.max_buffered_rows { self.spill() } else { Ok(()) }
    }

    /// Moves all samples in memory to the temporary file.
    fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => self.spill.insert(Spill { file: tempfile::tempfile()?, length: 0 }),
        };
        for (index, (_, buffers)) in self.days.iter_mut().enumerate() {
            for buffer in buffers.iter_mut().filter(|buffer| !buffer.columns.stream_refs.is_empty()) {
                buffer.runs.push(spill.write(&mut buffer.columns)?);
                // The current date is filled again at once, so its capacity is kept. The capacity of other dates must
                // not add up over a month.
                if index != self.current {
                    buffer.columns = Columns::default();
                }
            }
        }
        self.buffered_rows = 0;
        Ok(())
    }

    /// The dates and shards with pending samples, in order.
    pub fn partitions(&self) -> Vec<(DayNumber, u32)> {
        let mut partitions = Vec::new();
        for (day, buffers) in &self.days {
            let filled = buffers.iter().enumerate().filter(|(_, buffer)| !buffer.is_empty());
            partitions.extend(filled.map(|(shard, _)| (*day, shard as u32)));
        }
        partitions.sort_unstable();
        partitions
    }

    /// The number of pending samples of a date and shard.
    pub fn rows(&self, day: DayNumber, shard: u32) -> usize {
        let buffer = self
            .days
            .iter()
            .find(|(existing, _)| *existing == day)
            .and_then(|(_, buffers)| buffers.get(shard as usize));
        buffer.map_or(0, ShardBuffer::rows)
    }

    /// Takes out the samples of one date and shard, in the order of reading.
    pub fn take(&mut self, day: DayNumber, shard: u32) -> io::Result<Unsorted> {
        let buffer = self.days.iter_mut().find(|(existing, _)| *existing == day);
        let buffer =
            buffer.and_then(|(_, buffers)| buffers.get_mut(shard as usize)).map(std::mem::take).unwrap_or_default();
        let mut columns = Columns::with_capacity(buffer.rows());
        if let Some(spill) = &mut self.spill {
            for run in &buffer.runs {
                spill.read(run, &mut columns)?;
            }
        }
        columns.append(&buffer.columns);
        Ok(Unsorted(columns))
    }
}

impl ShardBuffer {
    fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows).sum::<usize>() + self.columns.stream_refs.len()
    }

    fn is_empty(&self) -> bool {
        self.rows() == 0
    }
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            stream_refs: Vec::with_capacity(rows),
            measured_at: Vec::with_capacity(rows),
            quantity: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            line: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    fn push(&mut self, sample: &PendingSample, file: u32) {
        if self.files.last().is_none_or(|(_, last)| *last != file) {
            self.files.push((self.stream_refs.len() as u32, file));
        }
        let mut flags = if sample.created { CREATED } else { 0 } | if sample.deleted { DELETED } else { 0 };
        flags |= match sample.evidence {
            Evidence::Sampled => 0,
            // The digest distinguishes these two kinds of evidence.
            Evidence::Reported | Evidence::Inferred { .. } => IS_STATE,
            Evidence::Backfilled { .. } => BACKFILLED,
        };
        let quantity = match i64::try_from(sample.quantity) {
            Ok(quantity) => quantity,
            Err(_) => {
                let whole = sample.quantity / ONE;
                match i64::try_from(whole) {
                    Ok(quantity) if whole * ONE == sample.quantity => {
                        flags |= WHOLE;
                        quantity
                    }
                    _ => {
                        flags |= WIDE;
                        self.wide.push(((sample.quantity >> 64) as i64, sample.quantity as u64));
                        self.wide.len() as i64 - 1
                    }
                }
            }
        };
        if sample.record_digest != 0 {
            flags |= HAS_DIGEST;
            self.digest.push(sample.record_digest);
        }
        self.stream_refs.push(sample.stream_ref);
        self.measured_at.push(sample.measured_at);
        self.quantity.push(quantity);
        self.flags.push(flags);
        self.line.push(sample.line);
    }

    /// The quantity of a row, in units of the ninth decimal place.
    fn quantity(&self, row: usize) -> i128 {
        let quantity = self.quantity[row];
        match self.flags[row] & (WHOLE | WIDE) {
            0 => i128::from(quantity),
            WHOLE => i128::from(quantity) * ONE,
            _ => {
                let (high, low) = self.wide[quantity as usize];
                i128::from(high) << 64 | i128::from(low)
            }
        }
    }

    fn append(&mut self, other: &Self) {
        let (rows, wide) = (self.stream_refs.len(), self.wide.len() as i64);
        self.stream_refs.extend_from_slice(&other.stream_refs);
        self.measured_at.extend_from_slice(&other.measured_at);
        self.quantity.extend_from_slice(&other.quantity);
        self.flags.extend_from_slice(&other.flags);
        self.line.extend_from_slice(&other.line);
        self.digest.extend_from_slice(&other.digest);
        self.append_relative(rows, wide, &other.wide, &other.files);
    }

    /// Appends the columns whose values are relative to the start of the appended part.
    fn append_relative(&mut self, rows: usize, wide: i64, other_wide: &[(i64, u64)], other_files: &[(u32, u32)]) {
        if wide > 0 && !other_wide.is_empty() {
            let new = self.quantity[rows..].iter_mut().zip(&self.flags[rows..]);
            new.filter(|(_, flags)| **flags & WIDE != 0).for_each(|(index, _)| *index += wide);
        }
        self.wide.extend_from_slice(other_wide);
        self.files.extend(other_files.iter().map(|(row, file)| (row + rows as u32, *file)));
    }

    fn clear(&mut self) {
        self.stream_refs.clear();
        self.measured_at.clear();
        self.quantity.clear();
        self.flags.clear();
        self.line.clear();
        self.digest.clear();
        self.wide.clear();
        self.files.clear();
    }
}

impl Spill {
    fn write(&mut self, columns: &mut Columns) -> io::Result<SpilledRun> {
        let run = SpilledRun {
            offset: self.length,
            rows: columns.stream_refs.len(),
            digests: columns.digest.len(),
            wide: std::mem::take(&mut columns.wide),
            files: std::mem::take(&mut columns.files),
        };
        let parts: [&[u8]; 6] = [
            bytemuck::cast_slice(&columns.stream_refs),
            bytemuck::cast_slice(&columns.measured_at),
            bytemuck::cast_slice(&columns.quantity),
            &columns.flags,
            bytemuck::cast_slice(&columns.line),
            bytemuck::cast_slice(&columns.digest),
        ];
        for part in parts {
            self.file.write_all(part)?;
            self.length += part.len() as u64;
        }
        columns.clear();
        Ok(run)
    }

    fn read(&mut self, run: &SpilledRun, columns: &mut Columns) -> io::Result<()> {
        let (rows, wide) = (columns.stream_refs.len(), columns.wide.len() as i64);
        self.file.seek(SeekFrom::Start(run.offset))?;
        self.read_column(run.rows, &mut columns.stream_refs)?;
        self.read_column(run.rows, &mut columns.measured_at)?;
        self.read_column(run.rows, &mut columns.quantity)?;
        self.read_column(run.rows, &mut columns.flags)?;
        self.read_column(run.rows, &mut columns.line)?;
        self.read_column(run.digests, &mut columns.digest)?;
        columns.append_relative(rows, wide, &run.wide, &run.files);
        Ok(())
    }

    fn read_column<T: Pod>(&mut self, rows: usize, column: &mut Vec<T>) -> io::Result<()> {
        let begin = column.len();
        column.resize(begin + rows, T::zeroed());
        self.file.read_exact(bytemuck::cast_slice_mut(&mut column[begin..]))
    }
}

/// The samples of one date and shard in the order of reading.
#[derive(Debug)]
pub struct Unsorted(Columns);

/// The samples of one date and shard, grouped by stream in the order of stream ids. Within a stream, samples are in
/// the order of reading.
#[derive(Debug)]
pub struct Sorted {
    reported_series_id: Vec<u64>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    created: Vec<bool>,
    deleted: Vec<bool>,
    /// Empty if all samples have the evidence `Sampled`.
    evidence: Vec<Evidence>,
    digest: Vec<u64>,
    line: Vec<u32>,
    /// Index of each sample's file. Empty if all samples belong to `only_file`.
    file: Vec<u32>,
    only_file: u32,
    /// Each stream with the end of its rows.
    streams: Vec<(u64, usize)>,
}

impl Unsorted {
    /// The rows with a digest, with the kind of their evidence. The time of an inferred state's message is not
    /// evaluated.
    pub fn digests(&self) -> impl Iterator<Item = (usize, Evidence, u64)> {
        let with_digest = self.0.flags.iter().enumerate().filter(|(_, flags)| **flags & HAS_DIGEST != 0);
        with_digest.zip(&self.0.digest).map(|((row, flags), digest)| {
            let is = |flag: u8| flags & flag != 0;
            (row, Evidence::from_digest(is(EVIDENCE), is(BACKFILLED), *digest), *digest)
        })
    }

    /// The sample of a row with a digest. `files` contains the file ids.
    pub fn sample(
        &self,
        row: usize,
        stream_refs: &[StreamRef],
        files: &[u64],
        evidence: Evidence,
        record_digest: u64,
    ) -> Sample {
        let Self(columns) = self;
        let StreamRef { stream_id, series_id } = stream_refs[columns.stream_refs[row] as usize];
        let file = columns.files.partition_point(|(first, _)| *first as usize <= row).saturating_sub(1);
        let is = |flag: u8| columns.flags[row] & flag != 0;
        Sample {
            stream_id,
            measured_at: columns.measured_at[row],
            record_digest,
            quantity: columns.quantity(row),
            reported_series_id: series_id,
            input_file_id: files[columns.files[file].1 as usize],
            line: columns.line[row],
            created: is(CREATED),
            deleted: is(DELETED),
            evidence,
        }
    }

    /// Sorts the samples by stream with a counting sort that moves one column at a time. Rows are read in sequence.
    /// Each stream has one write position, and all positions fit into the second-level cache of a processor.
    pub fn sort(self, stream_refs: &[StreamRef]) -> Sorted {
        let Self(mut columns) = self;
        let rows = columns.stream_refs.len();
        let (streams, position) = stream_positions(&columns.stream_refs, stream_refs);
        let mut digest = Vec::new();
        if !columns.digest.is_empty() {
            digest = vec![0; rows];
            let with_digest = position.iter().zip(&columns.flags).filter(|(_, flags)| **flags & HAS_DIGEST != 0);
            with_digest.zip(&columns.digest).for_each(|((position, _), value)| digest[*position as usize] = *value);
        }
        let quantities = (0..rows).map(|row| columns.quantity(row));
        let mut file = Vec::new();
        if columns.files.iter().any(|(_, file)| *file != columns.files[0].1) {
            file = vec![0; rows];
            let ends = columns.files.iter().skip(1).map(|(begin, _)| *begin as usize).chain([rows]);
            for ((begin, index), end) in columns.files.iter().zip(ends) {
                position[*begin as usize..end].iter().for_each(|position| file[*position as usize] = *index);
            }
        }
        // A column is freed as soon as it is moved, so that memory never contains both orders completely.
        let quantity = scatter(&position, quantities);
        drop(std::mem::take(&mut columns.quantity));
        let is = |flag| columns.flags.iter().map(move |flags| flags & flag != 0);
        let (created, deleted) = (scatter(&position, is(CREATED)), scatter(&position, is(DELETED)));
        let mut evidence = Vec::new();
        if columns.flags.iter().any(|flags| flags & EVIDENCE != 0) {
            let of = |flags: u8, position: u32| {
                let digest = digest.get(position as usize).copied().unwrap_or(0);
                let is = |flag: u8| flags & flag != 0;
                Evidence::from_digest(is(EVIDENCE), is(BACKFILLED), digest)
            };
            evidence =
                scatter(&position, columns.flags.iter().zip(&position).map(|(flags, position)| of(*flags, *position)));
        }
        drop(std::mem::take(&mut columns.flags));
        let measured_at = scatter(&position, columns.measured_at.iter().copied());
        drop(std::mem::take(&mut columns.measured_at));
        let line = scatter(&position, columns.line.iter().copied());
        drop(std::mem::take(&mut columns.line));
        Sorted {
            reported_series_id: scatter(
                &position,
                columns.stream_refs.iter().map(|index| stream_refs[*index as usize].series_id),
            ),
            measured_at,
            quantity,
            created,
            deleted,
            evidence,
            digest,
            line,
            file,
            only_file: columns.files.first().map_or(0, |(_, file)| *file),
            streams,
        }
    }
}

/// The streams with the ends of their rows, and the position of each row in the order of streams. `rows` contains the
/// index of each row in `stream_refs`.
fn stream_positions(rows: &[u32], stream_refs: &[StreamRef]) -> (Vec<(u64, usize)>, Vec<u32>) {
    // For each pair of stream and series: first the number of its samples, later the index of its stream.
    let mut slot_of = vec![0u32; stream_refs.len()];
    rows.iter().for_each(|index| slot_of[*index as usize] += 1);
    let mut present: Vec<u32> = (0..stream_refs.len() as u32).filter(|index| slot_of[*index as usize] > 0).collect();
    present.sort_unstable_by_key(|index| stream_refs[*index as usize].stream_id);
    let mut streams: Vec<(u64, usize)> = Vec::with_capacity(present.len());
    let mut begins: Vec<u32> = Vec::with_capacity(present.len());
    let mut end = 0;
    for index in present {
        let count = slot_of[index as usize];
        let stream_id = stream_refs[index as usize].stream_id;
        match streams.last_mut() {
            Some((last, last_end)) if *last == stream_id => *last_end += count as usize,
            _ => {
                begins.push(end);
                streams.push((stream_id, (end + count) as usize));
            }
        }
        end += count;
        slot_of[index as usize] = streams.len() as u32 - 1;
    }
    let position: Vec<u32> = rows
        .iter()
        .map(|index| {
            let begin = &mut begins[slot_of[*index as usize] as usize];
            *begin += 1;
            *begin - 1
        })
        .collect();
    (streams, position)
}

/// The reordered values: each value is at its position.
fn scatter<T: Copy + Default>(positions: &[u32], values: impl Iterator<Item = T>) -> Vec<T> {
    let mut scattered = vec![T::default(); positions.len()];
    positions.iter().zip(values).for_each(|(position, value)| scattered[*position as usize] = value);
    scattered
}

impl Sorted {
    pub fn rows(&self) -> usize {
        self.measured_at.len()
    }

    /// Every stream with its rows.
    pub fn streams(&self) -> Vec<(u64, Range<usize>)> {
        let begins = [0].into_iter().chain(self.streams.iter().map(|(_, end)| *end));
        self.streams.iter().zip(begins).map(|((stream_id, end), begin)| (*stream_id, begin..*end)).collect()
    }

    pub fn identity(&self, stream_id: u64, row: usize) -> (u64, i64, u64) {
        let digest = self.digest.get(row).copied().unwrap_or(0);
        let evidence = self.evidence.get(row).copied().unwrap_or_default();
        (stream_id, self.measured_at[row], evidence.identity(digest))
    }

    /// Index of the file of a sample.
    pub fn file(&self, row: usize) -> u32 {
        self.file.get(row).copied().unwrap_or(self.only_file)
    }

    /// The sample of a row, with the index of its file. `files` contains the file ids.
    pub fn sample(&self, stream_id: u64, row: usize, files: &[u64]) -> (Sample, u32) {
        let file = self.file(row);
        let sample = Sample {
            stream_id,
            measured_at: self.measured_at[row],
            record_digest: self.digest.get(row).copied().unwrap_or(0),
            quantity: self.quantity[row],
            reported_series_id: self.reported_series_id[row],
            input_file_id: files[file as usize],
            line: self.line[row],
            created: self.created[row],
            deleted: self.deleted[row],
            evidence: self.evidence.get(row).copied().unwrap_or_default(),
        };
        (sample, file)
    }

    /// Sorts the rows of one stream by [`Sample::order`]. Most streams arrive in order. If the identities already
    /// ascend, only rows of the same instant are sorted.
    pub fn sort_stream(&mut self, stream_id: u64, rows: Range<usize>, files: &[u64]) {
        if !rows.clone().skip(1).all(|row| self.identity(stream_id, row - 1) <= self.identity(stream_id, row)) {
            return self.sort_rows(stream_id, rows, files);
        }
        let mut begin = rows.start;
        for row in rows.start..rows.end {
            if row + 1 == rows.end || self.measured_at[row] != self.measured_at[row + 1] {
                if row > begin {
                    self.sort_rows(stream_id, begin..row + 1, files);
                }
                begin = row + 1;
            }
        }
    }

    fn sort_rows(&mut self, stream_id: u64, rows: Range<usize>, files: &[u64]) {
        let mut samples: Vec<(Sample, u32)> = rows.clone().map(|row| self.sample(stream_id, row, files)).collect();
        samples.sort_by_key(|(sample, _)| sample.order());
        for (row, (sample, file)) in rows.zip(samples) {
            self.measured_at[row] = sample.measured_at;
            self.quantity[row] = sample.quantity;
            self.reported_series_id[row] = sample.reported_series_id;
            self.line[row] = sample.line;
            self.created[row] = sample.created;
            self.deleted[row] = sample.deleted;
            if let Some(of) = self.evidence.get_mut(row) {
                *of = sample.evidence;
            }
            if let Some(digest) = self.digest.get_mut(row) {
                *digest = sample.record_digest;
            }
            if let Some(of) = self.file.get_mut(row) {
                *of = file;
            }
        }
    }

    /// The samples as rows of the relation `sample`. `files` contains the file ids.
    pub fn into_samples(mut self, files: &[u64]) -> Result<RecordBatch, Error> {
        let rows = self.rows();
        let mut stream_id = Vec::with_capacity(rows);
        for (stream, end) in &self.streams {
            stream_id.resize(*end, *stream);
        }
        let file = match self.file.is_empty() {
            true => vec![files.get(self.only_file as usize).copied().unwrap_or(0); rows],
            false => self.file.iter().map(|file| files[*file as usize]).collect(),
        };
        if self.evidence.is_empty() {
            self.evidence = vec![Evidence::Sampled; rows];
        }
        let is = |which: fn(Evidence) -> bool| {
            BooleanArray::from_iter(self.evidence.iter().map(|evidence| Some(which(*evidence))))
        };
        let is_state = is(|evidence| evidence != Evidence::Sampled);
        let is_backfilled = is(|evidence| matches!(evidence, Evidence::Backfilled { .. }));
        let digest = if self.digest.is_empty() { vec![0; rows] } else { self.digest };
        let quantity = Decimal128Array::from(self.quantity)
            .with_precision_and_scale(28, 9)
            .map_err(|source| rows::failed("sample", source))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(stream_id)),
            Arc::new(UInt64Array::from(self.reported_series_id)),
            Arc::new(TimestampMicrosecondArray::from(self.measured_at).with_timezone("UTC")),
            Arc::new(quantity),
            Arc::new(BooleanArray::from(self.created)),
            Arc::new(BooleanArray::from(self.deleted)),
            Arc::new(is_state),
            Arc::new(is_backfilled),
            Arc::new(UInt64Array::from(digest)),
            Arc::new(UInt64Array::from(file)),
        ];
        rows::batch(statement("intake/sample")?, columns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The samples of all partitions. Each partition is in the order of streams, then of reading.
    fn all_samples(mut pending: PendingSamples, stream_refs: &[StreamRef]) -> Vec<(DayNumber, u32, Sample, u32)> {
        let mut samples = Vec::new();
        for (day, shard) in pending.partitions() {
            let sorted = pending.take(day, shard).unwrap().sort(stream_refs);
            for (stream_id, rows) in sorted.streams() {
                samples.extend(rows.map(|row| {
                    let (sample, file) = sorted.sample(stream_id, row, &[0, 1, 2]);
                    (day, shard, sample, file)
                }));
            }
        }
        samples
    }

    fn quantity() -> impl Strategy<Value = i128> {
        let whole = (-10i128.pow(18)..10i128.pow(18)).prop_map(|whole| whole * ONE);
        prop_oneof![-10i128.pow(27)..10i128.pow(27), whole, 0..10i128]
    }

    proptest! {
        #[test]
        fn samples_are_returned_unchanged_from_memory_and_from_disk(
            rows in prop::collection::vec(
                (0..3i32, 0..6u32, 0..1_000i64, quantity(), any::<[bool; 3]>(), 0..4u8, 0..3u32),
                0..200,
            ),
            budget in prop_oneof![Just(usize::MAX), 33usize..2_000],
        ) {
            // Three streams with two series each.
            let stream_refs: Vec<StreamRef> =
                (0..6).map(|index| StreamRef { stream_id: 100 - index / 2, series_id: index }).collect();
            let mut pending = PendingSamples::new(4, budget);
            let mut expected = Vec::new();
            for (index, row) in rows.into_iter().enumerate() {
                let (day, stream_ref, measured_at, quantity, [created, deleted, has_digest], evidence, file) = row;
                let message_sent_at = index as i64;
                let inferred = [Evidence::Inferred { message_sent_at }, Evidence::Backfilled { message_sent_at }];
                let evidence = [[Evidence::Sampled, Evidence::Reported], inferred].concat()[evidence as usize];
                let pending_sample = PendingSample {
                    stream_ref,
                    measured_at,
                    quantity,
                    record_digest: match evidence {
                        Evidence::Sampled if has_digest => index as u64 + 1,
                        evidence => evidence.digest(deleted),
                    },
                    line: index as u32,
                    created,
                    deleted,
                    evidence,
                };
                pending.begin_file(file);
                let stream_id = stream_refs[stream_ref as usize].stream_id;
                let shard = (stream_id % 4) as u32;
                pending.push(day, shard, &pending_sample).unwrap();
                let sample = Sample {
                    stream_id,
                    measured_at,
                    record_digest: pending_sample.record_digest,
                    quantity,
                    reported_series_id: u64::from(stream_ref),
                    input_file_id: file.into(),
                    line: index as u32,
                    created,
                    deleted,
                    evidence,
                };
                expected.push((day, shard, sample, file));
            }
            expected.sort_by_key(|(day, shard, sample, _)| (*day, *shard, sample.stream_id, sample.line));
            prop_assert_eq!(all_samples(pending, &stream_refs), expected);
        }
    }
}
