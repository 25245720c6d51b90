//! The usage of a period in portions of whole accounts, so that pricing holds one portion in memory and not a month.
//!
//! What an account pays depends on the usage of no other: pools, tiers and lines count inside of an account at most.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt64Array};

use crate::pipeline::Error;
use crate::rows;

/// Rows of usage that are priced at once; an account with more is a portion of its own.
const MOST_ROWS: usize = 128 * 1024;

/// Which usage is priced together.
#[derive(Debug)]
pub struct Portions {
    pub count: usize,
    /// The portion of each account that used something; empty where there is one for all.
    of_account: HashMap<Option<String>, usize>,
    /// The portion of each row of `usage_segment`, batch by batch; empty where there is one.
    of_rows: Vec<Vec<usize>>,
}

impl Portions {
    /// Portions in the order of account ids; what nobody pays comes last.
    pub fn new(active_series: &[RecordBatch], usage_segment: &[RecordBatch]) -> Result<Self, Error> {
        Self::of(active_series, usage_segment, MOST_ROWS)
    }

    fn of(active_series: &[RecordBatch], usage_segment: &[RecordBatch], most_rows: usize) -> Result<Self, Error> {
        if usage_segment.iter().map(RecordBatch::num_rows).sum::<usize>() <= most_rows {
            return Ok(Self { count: 1, of_account: HashMap::new(), of_rows: Vec::new() });
        }
        let mut account_of: HashMap<u64, Option<&str>> = HashMap::new();
        for batch in active_series {
            let series: &UInt64Array = rows::column(batch, "series_id")?;
            let accounts: &StringArray = rows::column(batch, "account_id")?;
            let account = |row: usize| accounts.is_valid(row).then(|| accounts.value(row));
            account_of.extend(series.values().iter().enumerate().map(|(row, series_id)| (*series_id, account(row))));
        }
        let mut rows_of: BTreeMap<(bool, Option<&str>), usize> = BTreeMap::new();
        let mut count_of: HashMap<u64, usize> = HashMap::new();
        for batch in usage_segment {
            let series: &UInt64Array = rows::column(batch, "series_id")?;
            series.values().iter().for_each(|series_id| *count_of.entry(*series_id).or_default() += 1);
        }
        for (series_id, count) in &count_of {
            let account = account_of.get(series_id).copied().flatten();
            *rows_of.entry((account.is_none(), account)).or_default() += count;
        }
        let mut of_account: HashMap<Option<String>, usize> = HashMap::new();
        let (mut portion, mut filled) = (0, 0);
        for ((_, account), count) in rows_of {
            if filled > 0 && filled + count > most_rows {
                (portion, filled) = (portion + 1, 0);
            }
            filled += count;
            of_account.insert(account.map(str::to_owned), portion);
        }
        let portion_of: HashMap<u64, usize> = count_of
            .into_keys()
            .map(|series_id| {
                let account = account_of.get(&series_id).copied().flatten().map(str::to_owned);
                (series_id, of_account.get(&account).copied().unwrap_or(portion))
            })
            .collect();
        let of_rows = usage_segment.iter().map(|batch| {
            let series: &UInt64Array = rows::column(batch, "series_id")?;
            Ok(series.values().iter().map(|series_id| portion_of[series_id]).collect())
        });
        let of_rows = of_rows.collect::<Result<_, Error>>()?;
        Ok(Self { count: portion + 1, of_account, of_rows })
    }

    /// The rows of `active_series` of the accounts of a portion, and the ids of their series.
    pub fn series(
        &self,
        active_series: &[RecordBatch],
        number: usize,
    ) -> Result<(Vec<RecordBatch>, HashSet<u64>), Error> {
        series_of(active_series, |account| {
            self.count == 1 || self.of_account.get(&account.map(str::to_owned)) == Some(&number)
        })
    }

    /// The rows of `usage_segment` of a portion, by its number from zero.
    pub fn usage(&self, usage_segment: &[RecordBatch], number: usize) -> Result<Vec<RecordBatch>, Error> {
        if self.of_rows.is_empty() {
            return Ok(usage_segment.to_vec());
        }
        let each = usage_segment.iter().zip(&self.of_rows).map(|(batch, of_rows)| {
            only(batch, of_rows.iter().map(|portion| *portion == number).collect(), "usage_segment")
        });
        each.filter(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0)).collect()
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
pub fn without_idle_strangers(
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
    let each = batches.iter().map(|batch| {
        let ids: &UInt64Array = rows::column(batch, "series_id")?;
        only(batch, ids.values().iter().map(|id| series.contains(id)).collect(), relation)
    });
    each.collect()
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
            let usage = |number| portions.usage(&halves, number).unwrap();
            (0..portions.count).map(|number| usage(number).iter().flat_map(column).collect()).collect()
        };
        assert_eq!(ids(3), [vec![1, 5, 1, 5], vec![0, 4, 2], vec![3, 6]]);
        let portions = Portions::of(std::slice::from_ref(&active), &halves, 3).unwrap();
        let series = |number| portions.series(std::slice::from_ref(&active), number).unwrap().1;
        assert_eq!([series(0), series(1), series(2)], [vec![1, 5], vec![0, 2, 4], vec![3, 6]].map(HashSet::from_iter));
        assert_eq!(ids(9), [vec![1, 5, 0, 1, 3, 4, 2, 6, 5]]);
    }
}
