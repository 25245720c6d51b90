//! The division of a period's usage into batches of whole accounts. Batches bound the memory that pricing needs.
//!
//! The amount due from an account depends on no other account: pools, tiers and lines never cross accounts.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};

use crate::error::Error;
use crate::rows;

/// The largest number of usage rows that are priced together. An account with more rows forms its own batch. A higher
/// limit needs more memory and saves no time.
const BATCH_ROW_LIMIT: usize = 64 * 1024;

/// The account batches of a period.
#[derive(Debug)]
pub struct AccountBatches {
    pub count: usize,
    /// The batch of each series with usage. Empty if there is one batch.
    batch_of_series: HashMap<u64, usize>,
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
            return Ok(Self { count: 1, batch_of_series: HashMap::new() });
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
        let mut batch_of_series = HashMap::new();
        let (mut batch_number, mut filled) = (0, 0);
        for (count, series) in accounts.into_values() {
            if filled > 0 && filled + count > row_limit {
                (batch_number, filled) = (batch_number + 1, 0);
            }
            filled += count;
            batch_of_series.extend(series.into_iter().map(|series_id| (series_id, batch_number)));
        }
        Ok(Self { count: batch_number + 1, batch_of_series })
    }

    /// The rows of a relation for the series of one batch. Batches are numbered from zero.
    pub fn rows(&self, number: usize, relation: &str, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, Error> {
        if self.count == 1 {
            return Ok(batches.to_vec());
        }
        rows::of_series(relation, batches, |series_id| self.batch_of_series.get(&series_id) == Some(&number))
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
            let usage = |number| account_batches.rows(number, "usage_segment", &halves).unwrap();
            (0..account_batches.count).map(|number| usage(number).iter().flat_map(column).collect()).collect()
        };
        assert_eq!(ids(3), [vec![1, 5, 1, 5], vec![0, 4, 2], vec![3, 6]]);
        let account_batches = AccountBatches::with_limit(std::slice::from_ref(&active), &halves, 3).unwrap();
        let ids_of = |rows: &RecordBatch| rows::column::<UInt64Array>(rows, "series_id").unwrap().values().to_vec();
        let series = |number| {
            let rows = account_batches.rows(number, "active_series", std::slice::from_ref(&active)).unwrap();
            rows.iter().flat_map(ids_of).collect::<HashSet<u64>>()
        };
        assert_eq!([series(0), series(1), series(2)], [vec![1, 5], vec![0, 2, 4], vec![3, 6]].map(HashSet::from_iter));
        assert_eq!(ids(9), [vec![1, 5, 0, 1, 3, 4, 2, 6, 5]]);
    }
}
