//! The watermarks of servers: the time range that was read, by source and source meter.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};

use crate::error::Error;
use crate::query::statement;
use crate::rows;

/// The time range that was read without a gap, in microseconds UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    pub from: i64,
    /// The exclusive end.
    pub to: i64,
}

/// The covered time ranges by source and source meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermarks(BTreeMap<(String, String), Covered>);

impl Watermarks {
    pub fn load(batches: &[RecordBatch]) -> Result<Self, Error> {
        let mut covered = BTreeMap::new();
        for batch in batches {
            let sources: &StringArray = rows::column(batch, "source")?;
            let meters: &StringArray = rows::column(batch, "source_meter")?;
            let from: &TimestampMicrosecondArray = rows::column(batch, "covered_from")?;
            let to: &TimestampMicrosecondArray = rows::column(batch, "covered_to")?;
            for row in 0..batch.num_rows() {
                let key = (sources.value(row).to_owned(), meters.value(row).to_owned());
                covered.insert(key, Covered { from: from.value(row), to: to.value(row) });
            }
        }
        Ok(Self(covered))
    }

    pub fn of(&self, source: &str, source_meter: &str) -> Option<Covered> {
        self.0.get(&(source.to_owned(), source_meter.to_owned())).copied()
    }

    /// The source meters of a source that have a watermark.
    pub fn source_meters<'w>(&'w self, source: &'w str) -> impl Iterator<Item = &'w str> {
        self.0.keys().filter(move |(name, _)| name == source).map(|(_, source_meter)| source_meter.as_str())
    }

    /// Records that a source was read in `start..end`. If `start` is within the covered range or at its end, the new
    /// range extends the covered range. Otherwise the new range replaces the covered range.
    pub fn cover(&mut self, source: &str, source_meter: &str, start: i64, end: i64) {
        let key = (source.to_owned(), source_meter.to_owned());
        let covered = self.0.entry(key).or_insert(Covered { from: start, to: end });
        if start < covered.from || start > covered.to {
            *covered = Covered { from: start, to: end };
        }
        covered.to = covered.to.max(end);
    }

    pub fn rows(&self) -> Result<RecordBatch, Error> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.0.keys().map(|(source, _)| source))),
            Arc::new(StringArray::from_iter_values(self.0.keys().map(|(_, meter)| meter))),
            Arc::new(rows::timestamps(self.0.values().map(|covered| Some(covered.from)))),
            Arc::new(rows::timestamps(self.0.values().map(|covered| Some(covered.to)))),
        ];
        rows::batch(statement("intake/watermark")?, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjacent_range_extends_the_covered_one_and_a_distant_one_replaces_it() {
        let mut watermarks = Watermarks::default();
        let mut cover = |start, end| {
            watermarks.cover("prometheus", "vcpus", start, end);
            watermarks.of("prometheus", "vcpus").map(|covered| (covered.from, covered.to))
        };
        assert_eq!(cover(10, 20), Some((10, 20)));
        assert_eq!(cover(18, 30), Some((10, 30)));
        assert_eq!(cover(12, 14), Some((10, 30)));
        assert_eq!(cover(5, 8), Some((5, 8)));
        assert_eq!(cover(9, 12), Some((9, 12)));
        assert_eq!(watermarks.of("prometheus", "memory"), None);
        assert_eq!(Watermarks::load(&[watermarks.rows().unwrap()]).unwrap(), watermarks);
    }
}
