//! The division of a period's usage into batches of whole accounts. Batches bound the memory that pricing needs.
//!
//! The amount due from an account depends on no other account: pools, tiers and lines never cross accounts.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};

use crate::error::Error;
use crate::rows::{self, SeriesRows};

/// The largest number of usage rows that are priced together. An account with more rows forms its own batch. A higher
/// limit needs more memory and saves no time.
const BATCH_ROW_LIMIT: usize = 64 * 1024;

/// The account batches of a period: the series with usage of each batch.
#[derive(Debug)]
pub struct AccountBatches {
    /// Without a list, one batch contains all series.
    series: Option<Vec<Vec<u64>>>,
}

impl AccountBatches {
    /// Divides the usage into batches in the order of account ids. Usage without an account is in the last batch.
    pub fn new(active_series: &[RecordBatch], usage_segment: &[RecordBatch]) -> Result<Self, Error> {
        Self::with_limit(active_series, usage_segment, BATCH_ROW_LIMIT)
    }

    fn with_limit(
        active_series: &[RecordBatch],
        usage_segment: &[RecordBatch],
        row_limit: usize,
    ) -> Result<Self, Error> {
        if usage_segment.iter().map(RecordBatch::num_rows).sum::<usize>() <= row_limit {
            return Ok(Self { series: None });
        }
        let mut account_of: HashMap<u64, Option<&str>> = HashMap::new();
        for batch in active_series {
            let series: &UInt64Array = rows::column(batch, "series_id")?;
            let accounts: &StringArray = rows::column(batch, "account_id")?;
            let account = |row: usize| accounts.is_valid(row).then(|| accounts.value(row));
            account_of.extend(series.values().iter().enumerate().map(|(row, series_id)| (*series_id, account(row))));
        }
        let mut rows_of_series: HashMap<u64, usize> = HashMap::new();
        for batch in usage_segment {
            let series: &UInt64Array = rows::column(batch, "series_id")?;
            series.values().iter().for_each(|series_id| *rows_of_series.entry(*series_id).or_default() += 1);
        }
        // Usage without an account comes last.
        type Account<'a> = (bool, Option<&'a str>);
        let mut accounts: BTreeMap<Account<'_>, (usize, Vec<u64>)> = BTreeMap::new();
        for (series_id, count) in rows_of_series {
            let account = account_of.get(&series_id).copied().flatten();
            let (rows, series) = accounts.entry((account.is_none(), account)).or_default();
            *rows += count;
            series.push(series_id);
        }
        let mut batches: Vec<Vec<u64>> = Vec::new();
        let mut filled = 0;
        for (count, series) in accounts.into_values() {
            match batches.last_mut().filter(|_| filled + count <= row_limit) {
                Some(batch) => batch.extend(series),
                None => {
                    batches.push(series);
                    filled = 0;
                }
            }
            filled += count;
        }
        Ok(Self { series: Some(batches) })
    }

    pub fn count(&self) -> usize {
        self.series.as_ref().map_or(1, Vec::len)
    }

    /// The rows of a relation by account batch.
    pub fn divide<'a>(&'a self, relation: &'a str, batches: &'a [RecordBatch]) -> Result<BatchRows<'a>, Error> {
        let Some(series) = &self.series else { return Ok(BatchRows::Undivided(batches)) };
        Ok(BatchRows::Divided { rows: SeriesRows::new(relation, batches)?, series })
    }
}

/// The rows of a relation by account batch.
#[derive(Debug)]
pub enum BatchRows<'a> {
    /// The rows of the only batch.
    Undivided(&'a [RecordBatch]),
    Divided {
        rows: SeriesRows<'a>,
        /// The series of each batch.
        series: &'a [Vec<u64>],
    },
}

impl BatchRows<'_> {
    /// The rows of one batch. Batches are numbered from zero.
    pub fn of(&self, number: usize) -> Result<Vec<RecordBatch>, Error> {
        match self {
            Self::Undivided(batches) => Ok(batches.to_vec()),
            Self::Divided { rows, series } => rows.of(series.get(number).into_iter().flatten().copied()),
        }
    }
}

/// The rows of `active_series` for the selected accounts, and the ids of their series.
pub fn select_accounts(
    active_series: &[RecordBatch],
    is_selected: impl Fn(Option<&str>) -> bool,
) -> Result<(Vec<RecordBatch>, HashSet<u64>), Error> {
    let (mut selected_rows, mut ids) = (Vec::new(), HashSet::new());
    for batch in active_series {
        let series: &UInt64Array = rows::column(batch, "series_id")?;
        let accounts: &StringArray = rows::column(batch, "account_id")?;
        let account = |row: usize| accounts.is_valid(row).then(|| accounts.value(row));
        let selected: Vec<bool> = (0..batch.num_rows()).map(|row| is_selected(account(row))).collect();
        ids.extend(series.values().iter().zip(&selected).filter(|(_, selected)| **selected).map(|(id, _)| *id));
        selected_rows.push(filter_batch(batch, selected, "active_series")?);
    }
    Ok((selected_rows, ids))
}

/// The rows of `active_series`, except rows of unassigned projects without usage in the time without an account.
pub fn without_idle_unassigned_projects(
    active_series: &[RecordBatch],
    usage_segment: &[RecordBatch],
) -> Result<Vec<RecordBatch>, Error> {
    let mut used: HashSet<u64> = HashSet::new();
    for batch in usage_segment {
        used.extend(rows::column::<UInt64Array>(batch, "series_id")?.values());
    }
    let each = active_series.iter().map(|batch| {
        let series: &UInt64Array = rows::column(batch, "series_id")?;
        let names: &StringArray = rows::column(batch, "account_name")?;
        let is_kept = |row: usize| names.is_valid(row) || used.contains(&series.value(row));
        filter_batch(batch, (0..batch.num_rows()).map(is_kept).collect(), "active_series")
    });
    each.collect()
}

fn filter_batch(batch: &RecordBatch, selected: Vec<bool>, relation: &str) -> Result<RecordBatch, Error> {
    let selected = BooleanArray::from(selected);
    arrow::compute::filter_record_batch(batch, &selected).map_err(|source| rows::failed(relation, source))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn an_account_is_in_one_batch_and_no_row_is_lost() {
        let series: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..7));
        let accounts = [Some("b"), Some("a"), Some("b"), None, Some("c"), Some("a"), Some("d")];
        let active = batch(vec![("series_id", series), ("account_id", Arc::new(StringArray::from(accounts.to_vec())))]);
        // Rows by account: a 4, b 2, c 1, d 1, without an account 1.
        let usage: ArrayRef = Arc::new(UInt64Array::from(vec![1, 5, 0, 1, 3, 4, 2, 6, 5]));
        let usage = batch(vec![("series_id", usage)]);
        let halves = [usage.slice(0, 4), usage.slice(4, 5)];
        let ids = |row_limit: usize| -> Vec<Vec<u64>> {
            let account_batches =
                AccountBatches::with_limit(std::slice::from_ref(&active), &halves, row_limit).unwrap();
            let column =
                |batch: &RecordBatch| rows::column::<UInt64Array>(batch, "series_id").unwrap().values().to_vec();
            let divided = account_batches.divide("usage_segment", &halves).unwrap();
            let usage = |number| divided.of(number).unwrap();
            (0..account_batches.count()).map(|number| usage(number).iter().flat_map(column).collect()).collect()
        };
        assert_eq!(ids(3), [vec![1, 5, 1, 5], vec![0, 4, 2], vec![3, 6]]);
        let account_batches = AccountBatches::with_limit(std::slice::from_ref(&active), &halves, 3).unwrap();
        let ids_of = |rows: &RecordBatch| rows::column::<UInt64Array>(rows, "series_id").unwrap().values().to_vec();
        let series = |number| {
            let divided = account_batches.divide("active_series", std::slice::from_ref(&active)).unwrap();
            divided.of(number).unwrap().iter().flat_map(ids_of).collect::<HashSet<u64>>()
        };
        assert_eq!([series(0), series(1), series(2)], [vec![1, 5], vec![0, 2, 4], vec![3, 6]].map(HashSet::from_iter));
        assert_eq!(ids(9), [vec![1, 5, 0, 1, 3, 4, 2, 6, 5]]);
    }
}
