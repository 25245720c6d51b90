//! The facts that arrived in this run, by date and bucket, until all files are read and they can be merged.
//!
//! Which of two contradicting facts of one run is kept must not depend on the order of files, so none may be settled
//! before the last file is read. Facts wait here in columns, 25 bytes each (33 where the record's own id counts), and
//! beyond a budget in a temporary file without a name, from which one bucket of one date comes back at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use bytemuck::Pod;

use crate::error::Error;
use crate::intake::sample::Sample;
use crate::model::evidence::Evidence;
use crate::model::period::DayNumber;
use crate::query::statement;
use crate::rows;

/// What a record said its stream and series are, by number: facts that say the same share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRef {
    pub stream_id: u64,
    pub series_id: u64,
}

/// A fact without what its number tells.
#[derive(Clone, Copy, Debug)]
pub struct PendingSample {
    /// Index of what was said.
    pub stream_refs: u32,
    pub measured_at: i64,
    pub quantity: i128,
    pub record_digest: u64,
    pub line: u32,
    pub created: bool,
    pub deleted: bool,
    pub standing: Evidence,
}

// A fact's flags. The quantity is counted in units of its ninth place, unless one of the first two says otherwise.
/// In whole units: bytes of a busy hour go beyond 64 bits otherwise.
const WHOLE: u8 = 1;
/// Beyond 64 bits all the same; the column holds an index of `wide`.
const WIDE: u8 = 2;
const CREATED: u8 = 4;
const DELETED: u8 = 8;
const HAS_DIGEST: u8 = 16;
const HOLDS: u8 = 32;
const ASSUMED: u8 = 64;
const STANDING: u8 = HOLDS | ASSUMED;

const TEN_TO_THE_NINTH: i128 = 1_000_000_000;

/// The facts of one date and bucket, column by column.
#[derive(Clone, Debug, Default)]
struct Columns {
    stream_refs: Vec<u32>,
    measured_at: Vec<i64>,
    quantity: Vec<i64>,
    flags: Vec<u8>,
    line: Vec<u32>,
    /// Of the facts that have one.
    digest: Vec<u64>,
    wide: Vec<(i64, u64)>,
    /// From which row on the facts are of which file.
    files: Vec<(u32, u32)>,
}

/// Where a part of a pile lies in the temporary file.
#[derive(Debug)]
struct SpilledRun {
    offset: u64,
    rows: usize,
    digests: usize,
    wide: Vec<(i64, u64)>,
    files: Vec<(u32, u32)>,
}

#[derive(Debug, Default)]
struct BucketBuffer {
    columns: Columns,
    extents: Vec<SpilledRun>,
}

/// All facts that wait to be merged.
#[derive(Debug)]
pub struct PendingSamples {
    /// By date, in each a pile for every bucket. A run reads few dates, and mostly one after the other.
    days: Vec<(DayNumber, Vec<BucketBuffer>)>,
    /// Index of the date of the last fact.
    current: usize,
    buckets: usize,
    file: u32,
    held_rows: usize,
    most_held_rows: usize,
    spill: Option<Spill>,
}

#[derive(Debug)]
struct Spill {
    file: File,
    length: u64,
}

impl PendingSamples {
    /// Holds so many bytes in memory, and the rest in the directory for temporary files.
    pub fn new(buckets: u32, budget_bytes: usize) -> Self {
        Self {
            days: Vec::new(),
            current: 0,
            buckets: buckets as usize,
            file: 0,
            held_rows: 0,
            most_held_rows: (budget_bytes / 33).max(1),
            spill: None,
        }
    }

    /// From now on facts come from this file.
    pub fn begin_file(&mut self, file: u32) {
        self.file = file;
    }

    pub fn push(&mut self, day: DayNumber, bucket: u32, fact: &PendingSample) -> io::Result<()> {
        if self.days.get(self.current).is_none_or(|(current, _)| *current != day) {
            self.current = self.days.iter().position(|(known, _)| *known == day).unwrap_or_else(|| {
                self.days.push((day, std::iter::repeat_with(BucketBuffer::default).take(self.buckets).collect()));
                self.days.len() - 1
            });
        }
        self.days[self.current].1[bucket as usize].columns.push(fact, self.file);
        self.held_rows += 1;
        if self.held_rows >= self.most_held_rows { self.spill() } else { Ok(()) }
    }

    /// Moves everything that is held to the temporary file.
    fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => self.spill.insert(Spill { file: tempfile::tempfile()?, length: 0 }),
        };
        for (index, (_, piles)) in self.days.iter_mut().enumerate() {
            for pile in piles.iter_mut().filter(|pile| !pile.columns.stream_refs.is_empty()) {
                pile.extents.push(spill.write(&mut pile.columns)?);
                // The date at hand is filled again at once; what others had room for must not add up over a month.
                if index != self.current {
                    pile.columns = Columns::default();
                }
            }
        }
        self.held_rows = 0;
        Ok(())
    }

    /// The dates and buckets that facts arrived for, in order.
    pub fn partitions(&self) -> Vec<(DayNumber, u32)> {
        let mut places = Vec::new();
        for (day, piles) in &self.days {
            let filled = piles.iter().enumerate().filter(|(_, pile)| !pile.is_empty());
            places.extend(filled.map(|(bucket, _)| (*day, bucket as u32)));
        }
        places.sort_unstable();
        places
    }

    /// How many facts arrived for a date and bucket.
    pub fn rows(&self, day: DayNumber, bucket: u32) -> usize {
        let pile = self.days.iter().find(|(known, _)| *known == day).and_then(|(_, piles)| piles.get(bucket as usize));
        pile.map_or(0, BucketBuffer::rows)
    }

    /// Takes the facts of one date and bucket out, in the order in which they arrived.
    pub fn take(&mut self, day: DayNumber, bucket: u32) -> io::Result<Unsorted> {
        let pile = self.days.iter_mut().find(|(known, _)| *known == day);
        let pile = pile.and_then(|(_, piles)| piles.get_mut(bucket as usize)).map(std::mem::take).unwrap_or_default();
        let mut columns = Columns::with_capacity(pile.rows());
        if let Some(spill) = &mut self.spill {
            for extent in &pile.extents {
                spill.read(extent, &mut columns)?;
            }
        }
        columns.append(&pile.columns);
        Ok(Unsorted(columns))
    }
}

impl BucketBuffer {
    fn rows(&self) -> usize {
        self.extents.iter().map(|extent| extent.rows).sum::<usize>() + self.columns.stream_refs.len()
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

    fn push(&mut self, fact: &PendingSample, file: u32) {
        if self.files.last().is_none_or(|(_, last)| *last != file) {
            self.files.push((self.stream_refs.len() as u32, file));
        }
        let mut flags = if fact.created { CREATED } else { 0 } | if fact.deleted { DELETED } else { 0 };
        flags |= match fact.standing {
            Evidence::Sampled => 0,
            // Which of the two it is stands in its digest.
            Evidence::Reported | Evidence::Inferred { .. } => HOLDS,
            Evidence::Backfilled { .. } => ASSUMED,
        };
        let quantity = match i64::try_from(fact.quantity) {
            Ok(quantity) => quantity,
            Err(_) => {
                let whole = fact.quantity / TEN_TO_THE_NINTH;
                match i64::try_from(whole) {
                    Ok(quantity) if whole * TEN_TO_THE_NINTH == fact.quantity => {
                        flags |= WHOLE;
                        quantity
                    }
                    _ => {
                        flags |= WIDE;
                        self.wide.push(((fact.quantity >> 64) as i64, fact.quantity as u64));
                        self.wide.len() as i64 - 1
                    }
                }
            }
        };
        if fact.record_digest != 0 {
            flags |= HAS_DIGEST;
            self.digest.push(fact.record_digest);
        }
        self.stream_refs.push(fact.stream_refs);
        self.measured_at.push(fact.measured_at);
        self.quantity.push(quantity);
        self.flags.push(flags);
        self.line.push(fact.line);
    }

    fn append(&mut self, other: &Self) {
        let (rows, wide) = (self.stream_refs.len(), self.wide.len() as i64);
        self.stream_refs.extend_from_slice(&other.stream_refs);
        self.measured_at.extend_from_slice(&other.measured_at);
        self.quantity.extend_from_slice(&other.quantity);
        self.flags.extend_from_slice(&other.flags);
        self.line.extend_from_slice(&other.line);
        self.digest.extend_from_slice(&other.digest);
        self.join(rows, wide, &other.wide, &other.files);
    }

    /// Joins on what counts from the start of its own part.
    fn join(&mut self, rows: usize, wide: i64, other_wide: &[(i64, u64)], other_files: &[(u32, u32)]) {
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
        let extent = SpilledRun {
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
        Ok(extent)
    }

    fn read(&mut self, extent: &SpilledRun, columns: &mut Columns) -> io::Result<()> {
        let (rows, wide) = (columns.stream_refs.len(), columns.wide.len() as i64);
        self.file.seek(SeekFrom::Start(extent.offset))?;
        self.read_column(extent.rows, &mut columns.stream_refs)?;
        self.read_column(extent.rows, &mut columns.measured_at)?;
        self.read_column(extent.rows, &mut columns.quantity)?;
        self.read_column(extent.rows, &mut columns.flags)?;
        self.read_column(extent.rows, &mut columns.line)?;
        self.read_column(extent.digests, &mut columns.digest)?;
        columns.join(rows, wide, &extent.wide, &extent.files);
        Ok(())
    }

    fn read_column<T: Pod>(&mut self, rows: usize, column: &mut Vec<T>) -> io::Result<()> {
        let known = column.len();
        column.resize(known + rows, T::zeroed());
        self.file.read_exact(bytemuck::cast_slice_mut(&mut column[known..]))
    }
}

/// The facts of one date and bucket in the order in which they arrived.
#[derive(Debug)]
pub struct Unsorted(Columns);

/// The facts of one date and bucket, each stream's together, the streams in the order of their ids. Inside of a stream
/// they stand as they arrived.
#[derive(Debug)]
pub struct Sorted {
    reported_series_id: Vec<u64>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    created: Vec<bool>,
    deleted: Vec<bool>,
    /// Empty where all are samples.
    standing: Vec<Evidence>,
    digest: Vec<u64>,
    line: Vec<u32>,
    /// Index of the file of each fact; empty where all are of the first in `file_ids`.
    file: Vec<u32>,
    only_file: u32,
    /// Each stream with the row behind its last one.
    streams: Vec<(u64, usize)>,
}

impl Unsorted {
    /// One counting sort by stream, which moves a column at a time: rows are read one after the other, and the places
    /// they go to are as many as there are streams, few enough for a processor's second cache.
    pub fn sort(self, stream_refs: &[StreamRef]) -> Sorted {
        let Self(mut columns) = self;
        let rows = columns.stream_refs.len();
        // How often each thing was said, then where its stream begins.
        let mut place_of = vec![0u32; stream_refs.len()];
        columns.stream_refs.iter().for_each(|index| place_of[*index as usize] += 1);
        let mut present: Vec<u32> =
            (0..stream_refs.len() as u32).filter(|index| place_of[*index as usize] > 0).collect();
        present.sort_unstable_by_key(|index| stream_refs[*index as usize].stream_id);
        let mut streams: Vec<(u64, usize)> = Vec::with_capacity(present.len());
        let mut begins: Vec<u32> = Vec::with_capacity(present.len());
        let mut end = 0;
        for index in present {
            let count = place_of[index as usize];
            let stream_id = stream_refs[index as usize].stream_id;
            match streams.last_mut() {
                Some((last, last_end)) if *last == stream_id => *last_end += count as usize,
                _ => {
                    begins.push(end);
                    streams.push((stream_id, (end + count) as usize));
                }
            }
            end += count;
            // From here on it is the number of the stream.
            place_of[index as usize] = streams.len() as u32 - 1;
        }
        let place: Vec<u32> = columns
            .stream_refs
            .iter()
            .map(|index| {
                let begin = &mut begins[place_of[*index as usize] as usize];
                *begin += 1;
                *begin - 1
            })
            .collect();
        let mut digest = Vec::new();
        if !columns.digest.is_empty() {
            digest = vec![0; rows];
            let having = place.iter().zip(&columns.flags).filter(|(_, flags)| **flags & HAS_DIGEST != 0);
            having.zip(&columns.digest).for_each(|((place, _), value)| digest[*place as usize] = *value);
        }
        let quantities =
            columns.quantity.iter().zip(&columns.flags).map(|(quantity, flags)| match flags & (WHOLE | WIDE) {
                0 => i128::from(*quantity),
                WHOLE => i128::from(*quantity) * TEN_TO_THE_NINTH,
                _ => {
                    let (high, low) = columns.wide[*quantity as usize];
                    i128::from(high) << 64 | i128::from(low)
                }
            });
        let mut file = Vec::new();
        if columns.files.iter().any(|(_, file)| *file != columns.files[0].1) {
            file = vec![0; rows];
            let ends = columns.files.iter().skip(1).map(|(begin, _)| *begin as usize).chain([rows]);
            for ((begin, index), end) in columns.files.iter().zip(ends) {
                place[*begin as usize..end].iter().for_each(|place| file[*place as usize] = *index);
            }
        }
        // A column is given back as soon as it is moved, so that the two orders never stand in memory as a whole.
        let quantity = scatter(&place, quantities);
        drop(std::mem::take(&mut columns.quantity));
        let is = |flag| columns.flags.iter().map(move |flags| flags & flag != 0);
        let (created, deleted) = (scatter(&place, is(CREATED)), scatter(&place, is(DELETED)));
        let mut standing = Vec::new();
        if columns.flags.iter().any(|flags| flags & STANDING != 0) {
            let of = |flags: u8, place: u32| {
                let digest = digest.get(place as usize).copied().unwrap_or(0);
                let is = |flag: u8| flags & flag != 0;
                Evidence::from_digest(is(STANDING), is(ASSUMED), digest)
            };
            standing = scatter(&place, columns.flags.iter().zip(&place).map(|(flags, place)| of(*flags, *place)));
        }
        drop(std::mem::take(&mut columns.flags));
        let measured_at = scatter(&place, columns.measured_at.iter().copied());
        drop(std::mem::take(&mut columns.measured_at));
        let line = scatter(&place, columns.line.iter().copied());
        drop(std::mem::take(&mut columns.line));
        Sorted {
            reported_series_id: scatter(
                &place,
                columns.stream_refs.iter().map(|index| stream_refs[*index as usize].series_id),
            ),
            measured_at,
            quantity,
            created,
            deleted,
            standing,
            digest,
            line,
            file,
            only_file: columns.files.first().map_or(0, |(_, file)| *file),
            streams,
        }
    }
}

fn scatter<T: Copy + Default>(places: &[u32], values: impl Iterator<Item = T>) -> Vec<T> {
    let mut scattered = vec![T::default(); places.len()];
    places.iter().zip(values).for_each(|(place, value)| scattered[*place as usize] = value);
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
        let standing = self.standing.get(row).copied().unwrap_or_default();
        (stream_id, self.measured_at[row], standing.identity(digest))
    }

    /// Index of the file that a fact came from.
    pub fn file(&self, row: usize) -> u32 {
        self.file.get(row).copied().unwrap_or(self.only_file)
    }

    /// The fact of a row and the index of its file among `files`, which are ids.
    pub fn fact(&self, stream_id: u64, row: usize, files: &[u64]) -> (Sample, u32) {
        let file = self.file(row);
        let fact = Sample {
            stream_id,
            measured_at: self.measured_at[row],
            record_digest: self.digest.get(row).copied().unwrap_or(0),
            quantity: self.quantity[row],
            reported_series_id: self.reported_series_id[row],
            input_file_id: files[file as usize],
            line: self.line[row],
            created: self.created[row],
            deleted: self.deleted[row],
            standing: self.standing.get(row).copied().unwrap_or_default(),
        };
        (fact, file)
    }

    /// Puts the rows of one stream in their full order. Most stand in it as they arrived: where identities rise, only
    /// what is of one instant is looked at.
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
        let mut samples: Vec<(Sample, u32)> = rows.clone().map(|row| self.fact(stream_id, row, files)).collect();
        samples.sort_by_key(|(fact, _)| fact.order());
        for (row, (fact, file)) in rows.zip(samples) {
            self.measured_at[row] = fact.measured_at;
            self.quantity[row] = fact.quantity;
            self.reported_series_id[row] = fact.reported_series_id;
            self.line[row] = fact.line;
            self.created[row] = fact.created;
            self.deleted[row] = fact.deleted;
            if let Some(of) = self.standing.get_mut(row) {
                *of = fact.standing;
            }
            if let Some(digest) = self.digest.get_mut(row) {
                *digest = fact.record_digest;
            }
            if let Some(of) = self.file.get_mut(row) {
                *of = file;
            }
        }
    }

    /// Rows of `sample` from those that are kept. `files` are ids.
    pub fn into_samples(mut self, is_kept: &[bool], files: &[u64]) -> Result<RecordBatch, Error> {
        let mut stream_id = Vec::with_capacity(self.rows());
        let mut begin = 0;
        for (stream, end) in &self.streams {
            let count = is_kept[begin..*end].iter().filter(|is_kept| **is_kept).count();
            stream_id.resize(stream_id.len() + count, *stream);
            begin = *end;
        }
        let rows = stream_id.len();
        compact(&mut self.reported_series_id, is_kept);
        compact(&mut self.measured_at, is_kept);
        compact(&mut self.quantity, is_kept);
        compact(&mut self.created, is_kept);
        compact(&mut self.deleted, is_kept);
        compact(&mut self.standing, is_kept);
        compact(&mut self.digest, is_kept);
        compact(&mut self.file, is_kept);
        let file = match self.file.is_empty() {
            true => vec![files.get(self.only_file as usize).copied().unwrap_or(0); rows],
            false => self.file.iter().map(|file| files[*file as usize]).collect(),
        };
        if self.standing.is_empty() {
            self.standing = vec![Evidence::Sampled; rows];
        }
        let is = |which: fn(Evidence) -> bool| {
            BooleanArray::from_iter(self.standing.iter().map(|standing| Some(which(*standing))))
        };
        let is_state = is(|standing| standing != Evidence::Sampled);
        let assumed = is(|standing| matches!(standing, Evidence::Backfilled { .. }));
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
            Arc::new(assumed),
            Arc::new(UInt64Array::from(digest)),
            Arc::new(UInt64Array::from(file)),
        ];
        rows::batch(statement("intake/sample")?, columns)
    }
}

/// Moves the values of the rows that are kept together, in their place.
fn compact<T: Copy>(values: &mut Vec<T>, is_kept: &[bool]) {
    let Some(first) = is_kept.iter().position(|is_kept| !is_kept).filter(|first| *first < values.len()) else { return };
    let mut place = first;
    for row in first..values.len() {
        values[place] = values[row];
        place += usize::from(is_kept[row]);
    }
    values.truncate(place);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All facts of all places, in the order of their streams and then of their arrival.
    fn taken(mut arrivals: PendingSamples, stream_refs: &[StreamRef]) -> Vec<(DayNumber, u32, Sample, u32)> {
        let mut samples = Vec::new();
        for (day, bucket) in arrivals.partitions() {
            let sorted = arrivals.take(day, bucket).unwrap().sort(stream_refs);
            for (stream_id, rows) in sorted.streams() {
                samples.extend(rows.map(|row| {
                    let (fact, file) = sorted.fact(stream_id, row, &[0, 1, 2]);
                    (day, bucket, fact, file)
                }));
            }
        }
        samples
    }

    fn quantity() -> impl Strategy<Value = i128> {
        let whole = (-10i128.pow(18)..10i128.pow(18)).prop_map(|whole| whole * TEN_TO_THE_NINTH);
        prop_oneof![-10i128.pow(27)..10i128.pow(27), whole, 0..10i128]
    }

    proptest! {
        #[test]
        fn what_comes_back_is_what_was_put_in_whether_it_was_spilled_or_not(
            rows in prop::collection::vec(
                (0..3i32, 0..6u32, 0..1_000i64, quantity(), any::<[bool; 3]>(), 0..4u8, 0..3u32),
                0..200,
            ),
            budget in prop_oneof![Just(usize::MAX), 33usize..2_000],
        ) {
            // Two things that were said of each of three streams.
            let stream_refs: Vec<StreamRef> = (0..6).map(|index| StreamRef { stream_id: 100 - index / 2, series_id: index }).collect();
            let mut arrivals = PendingSamples::new(4, budget);
            let mut expected = Vec::new();
            for (index, row) in rows.into_iter().enumerate() {
                let (day, number, measured_at, quantity, [created, deleted, has_digest], standing, file) = row;
                let message_sent_at = index as i64;
                let concluded = [Evidence::Inferred { message_sent_at }, Evidence::Backfilled { message_sent_at }];
                let standing = [[Evidence::Sampled, Evidence::Reported], concluded].concat()[standing as usize];
                let arrival = PendingSample {
                    stream_refs: number,
                    measured_at,
                    quantity,
                    record_digest: match standing {
                        Evidence::Sampled if has_digest => index as u64 + 1,
                        standing => standing.digest(deleted),
                    },
                    line: index as u32,
                    created,
                    deleted,
                    standing,
                };
                arrivals.begin_file(file);
                let stream_id = stream_refs[number as usize].stream_id;
                let bucket = (stream_id % 4) as u32;
                arrivals.push(day, bucket, &arrival).unwrap();
                let fact = Sample {
                    stream_id,
                    measured_at,
                    record_digest: arrival.record_digest,
                    quantity,
                    reported_series_id: u64::from(number),
                    input_file_id: file.into(),
                    line: index as u32,
                    created,
                    deleted,
                    standing,
                };
                expected.push((day, bucket, fact, file));
            }
            expected.sort_by_key(|(day, bucket, fact, _)| (*day, *bucket, fact.stream_id, fact.line));
            prop_assert_eq!(taken(arrivals, &stream_refs), expected);
        }
    }
}
