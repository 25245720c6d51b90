//! The usage of a period in portions of whole accounts, so that pricing holds one portion in memory and not a month.
//!
//! What an account pays depends on the usage of no other: pools, tiers and lines count inside of an account at most.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};

use crate::error::Error;
use crate::rows;

/// Rows of usage that are priced at once; an account with more is a portion of its own. More rows need more memory and
/// save no time.
const MOST_ROWS: usize = 64 * 1024;

/// Which usage is priced together.
#[derive(Debug)]
pub struct Portions {
    pub count: usize,
    /// The portion of each series that was used; empty where there is one for all.
    of_series: HashMap<u64, usize>,
}

impl Portions {
    /// Portions in the order of account ids; what nobody pays comes last.
    pub fn new(active_series: &[RecordBatch], usage_segment: &[RecordBatch]) -> Result<Self, Error> {
        Self::of(active_series, usage_segment, MOST_ROWS)
    }

    fn of(active_series: &[RecordBatch], usage_segment: &[RecordBatch], most_rows: usize) -> Result<Self, Error> {
        if usage_segment.iter().map(RecordBatch::num_rows).sum::<usize>() <= most_rows {
            return Ok(Self { count: 1, of_series: HashMap::new() });
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
        // Who has none comes last.
        type Account<'a> = (bool, Option<&'a str>);
        let mut accounts: BTreeMap<Account<'_>, (usize, Vec<u64>)> = BTreeMap::new();
        for (series_id, count) in rows_of_series {
            let account = account_of.get(&series_id).copied().flatten();
            let (rows, series) = accounts.entry((account.is_none(), account)).or_default();
            *rows += count;
            series.push(series_id);
        }
        let mut of_series = HashMap::new();
        let (mut portion, mut filled) = (0, 0);
        for (count, series) in accounts.into_values() {
            if filled > 0 && filled + count > most_rows {
                (portion, filled) = (portion + 1, 0);
            }
            filled += count;
            of_series.extend(series.into_iter().map(|series_id| (series_id, portion)));
        }
        Ok(Self { count: portion + 1, of_series })
    }

    /// The rows of a relation that are of the series of a portion, by its number from zero.
    pub fn rows(&self, number: usize, relation: &str, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, Error> {
        if self.count == 1 {
            return Ok(batches.to_vec());
        }
        picked(relation, batches, |series_id| self.of_series.get(&series_id) == Some(&number))
    }
}

/// The rows of `active_series` of the accounts that are asked for, and the ids of their series.
pub fn series_of(
    active_series: &[RecordBatch],
    is_asked_for: impl Fn(Option<&str>) -> bool,
) -> Result<(Vec<RecordBatch>, HashSet<u64>), Error> {
    let (mut rows_of_them, mut ids) = (Vec::new(), HashSet::new());
    for batch in active_series {
        let series: &UInt64Array = rows::column(batch, "series_id")?;
        let accounts: &StringArray = rows::column(batch, "account_id")?;
        let account = |row: usize| accounts.is_valid(row).then(|| accounts.value(row));
        let picked: Vec<bool> = (0..batch.num_rows()).map(|row| is_asked_for(account(row))).collect();
        ids.extend(series.values().iter().zip(&picked).filter(|(_, picked)| **picked).map(|(id, _)| *id));
        rows_of_them.push(only(batch, picked, "active_series")?);
    }
    Ok((rows_of_them, ids))
}

/// The rows of `active_series` without those of projects that no account has, in a time in which they used nothing.
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
        only(batch, (0..batch.num_rows()).map(is_kept).collect(), "active_series")
    });
    each.collect()
}

/// The rows of a relation of some series.
pub fn of_series(relation: &str, batches: &[RecordBatch], series: &HashSet<u64>) -> Result<Vec<RecordBatch>, Error> {
    picked(relation, batches, |series_id| series.contains(&series_id))
}

/// Rows are in the order of series, so each series is asked for once.
fn picked(relation: &str, batches: &[RecordBatch], is_picked: impl Fn(u64) -> bool) -> Result<Vec<RecordBatch>, Error> {
    let mut last = None;
    let mut is_of = |series_id: u64| match last {
        Some((known, is_picked)) if known == series_id => is_picked,
        _ => last.insert((series_id, is_picked(series_id))).1,
    };
    let mut found = Vec::new();
    for batch in batches {
        let series: &UInt64Array = rows::column(batch, "series_id")?;
        let rows = only(batch, series.values().iter().map(|series_id| is_of(*series_id)).collect(), relation)?;
        if rows.num_rows() > 0 {
            found.push(rows);
        }
    }
    Ok(found)
}

fn only(batch: &RecordBatch, picked: Vec<bool>, relation: &str) -> Result<RecordBatch, Error> {
    let picked = BooleanArray::from(picked);
    arrow::compute::filter_record_batch(batch, &picked).map_err(|source| rows::failed(relation, source))
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
    fn an_account_is_never_in_two_portions_and_no_row_is_lost() {
        let series: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..7));
        let accounts = [Some("b"), Some("a"), Some("b"), None, Some("c"), Some("a"), Some("d")];
        let active = batch(vec![("series_id", series), ("account_id", Arc::new(StringArray::from(accounts.to_vec())))]);
        // Rows by account: none 1, a 4, b 2, c 1, d 1.
        let usage: ArrayRef = Arc::new(UInt64Array::from(vec![1, 5, 0, 1, 3, 4, 2, 6, 5]));
        let usage = batch(vec![("series_id", usage)]);
        let halves = [usage.slice(0, 4), usage.slice(4, 5)];
        let ids = |most_rows: usize| -> Vec<Vec<u64>> {
            let portions = Portions::of(std::slice::from_ref(&active), &halves, most_rows).unwrap();
            let column =
                |batch: &RecordBatch| rows::column::<UInt64Array>(batch, "series_id").unwrap().values().to_vec();
            let usage = |number| portions.rows(number, "usage_segment", &halves).unwrap();
            (0..portions.count).map(|number| usage(number).iter().flat_map(column).collect()).collect()
        };
        assert_eq!(ids(3), [vec![1, 5, 1, 5], vec![0, 4, 2], vec![3, 6]]);
        let portions = Portions::of(std::slice::from_ref(&active), &halves, 3).unwrap();
        let ids_of = |rows: &RecordBatch| rows::column::<UInt64Array>(rows, "series_id").unwrap().values().to_vec();
        let series = |number| {
            let rows = portions.rows(number, "active_series", std::slice::from_ref(&active)).unwrap();
            rows.iter().flat_map(ids_of).collect::<HashSet<u64>>()
        };
        assert_eq!([series(0), series(1), series(2)], [vec![1, 5], vec![0, 2, 4], vec![3, 6]].map(HashSet::from_iter));
        assert_eq!(ids(9), [vec![1, 5, 0, 1, 3, 4, 2, 6, 5]]);
    }
}
