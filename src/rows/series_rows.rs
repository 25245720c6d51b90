//! The rows of a relation by series.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::interleave_record_batch;

use super::{column, failed};
use crate::error::Error;

/// The rows of a relation with the column `series_id`, indexed by series.
///
/// Many selections from one relation read only the selected rows, so their cost does not depend on the other rows.
#[derive(Debug)]
pub struct SeriesRows<'a> {
    relation: &'a str,
    batches: &'a [RecordBatch],
    /// In the order of series. The runs of one series are in the order of the relation.
    runs: Vec<Run>,
}

/// Adjacent rows of one series in one batch.
#[derive(Clone, Copy, Debug)]
struct Run {
    series_id: u64,
    batch: u32,
    start: u32,
    end: u32,
}

impl<'a> SeriesRows<'a> {
    pub fn new(relation: &'a str, batches: &'a [RecordBatch]) -> Result<Self, Error> {
        let mut runs: Vec<Run> = Vec::new();
        for (batch, rows) in (0..).zip(batches) {
            let series: &UInt64Array = column(rows, "series_id")?;
            let mut start = 0;
            for equal in series.values().chunk_by(|one, next| one == next) {
                let end = start + equal.len() as u32;
                runs.push(Run { series_id: equal[0], batch, start, end });
                start = end;
            }
        }
        runs.sort_by_key(|run| run.series_id);
        Ok(Self { relation, batches, runs })
    }

    /// The rows of the series in one batch, in the order of the relation. Without rows the result is empty.
    pub fn of(&self, series: impl IntoIterator<Item = u64>) -> Result<Vec<RecordBatch>, Error> {
        let mut runs: Vec<&Run> = series.into_iter().flat_map(|series_id| self.runs_of(series_id)).collect();
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        runs.sort_unstable_by_key(|run| (run.batch, run.start));
        let rows: Vec<(usize, usize)> =
            runs.iter().flat_map(|run| (run.start..run.end).map(|row| (run.batch as usize, row as usize))).collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let selected = interleave_record_batch(&batches, &rows).map_err(|source| failed(self.relation, source))?;
        Ok(vec![selected])
    }

    fn runs_of(&self, series_id: u64) -> impl Iterator<Item = &Run> {
        let first = self.runs.partition_point(|run| run.series_id < series_id);
        self.runs[first..].iter().take_while(move |run| run.series_id == series_id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn rows_of_series_keep_the_order_of_the_relation() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8));
        let series: ArrayRef = Arc::new(UInt64Array::from(vec![4, 4, 2, 4, 7, 7, 2, 9]));
        let all = RecordBatch::try_from_iter([("series_id", series), ("number", numbers)]).unwrap();
        let batches = [all.slice(0, 2), all.slice(2, 0), all.slice(2, 3), all.slice(5, 3)];
        let rows = SeriesRows::new("relation", &batches).unwrap();
        let numbers_of = |series: &[u64]| {
            let selected = rows.of(series.iter().copied()).unwrap();
            let numbers = |batch: &RecordBatch| column::<Int64Array>(batch, "number").unwrap().values().to_vec();
            selected.iter().flat_map(numbers).collect::<Vec<_>>()
        };
        assert_eq!(numbers_of(&[7, 4]), [0, 1, 3, 4, 5]);
        assert_eq!(numbers_of(&[2, 9, 1]), [2, 6, 7]);
        assert!(rows.of([1]).unwrap().is_empty());
    }
}
