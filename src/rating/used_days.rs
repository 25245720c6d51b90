//! An operator that computes `usage_segment` and `used_series` from the metered days of a period.
//!
//! `sql/rating/used_series.sql` and `usage_segment.sql` define the result. A property test verifies that the operator
//! and the statements compute equal rows.
//!
//! The operator runs if every date is in one segment and every project has one payer, which is the usual case. In this
//! case, the usage consists of the metered days, sorted by series and date. The statements open the files of all dates
//! and buckets at once, and join and sort their rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, RecordBatch, TimestampMicrosecondArray, UInt64Array,
};

use crate::query::Error;
use crate::rows::columns::{batch, column, decimals, instants};

const METERED_DAY: &str = "metering/metered_day";
const CHARGE_SEGMENT: &str = "rating/charge_segment";
const USAGE_SEGMENT: &str = "rating/usage_segment";
const USED_SERIES: &str = "rating/used_series";

/// The columns of `metered_day` that [`UsedDays`] reads.
pub const COLUMNS: [&str; 3] = ["series_id", "charge_date", "consumed_quantity"];

/// The number of rows in an output batch.
const BATCH_ROWS: usize = 8192;

/// The metered days of a period, in the order of reading.
#[derive(Debug, Default)]
pub struct UsedDays {
    series: Vec<u64>,
    dates: Vec<i32>,
    quantities: Vec<i128>,
}

impl UsedDays {
    /// Adds rows of `metered_day`.
    pub fn take(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let series: &UInt64Array = column(rows, METERED_DAY, "series_id")?;
        let dates: &Date32Array = column(rows, METERED_DAY, "charge_date")?;
        let quantities: &Decimal128Array = column(rows, METERED_DAY, "consumed_quantity")?;
        self.series.extend_from_slice(series.values());
        self.dates.extend_from_slice(dates.values());
        self.quantities.extend_from_slice(quantities.values());
        Ok(())
    }

    /// Appends the days that another thread has read.
    pub fn append(&mut self, mut other: Self) {
        self.series.append(&mut other.series);
        self.dates.append(&mut other.dates);
        self.quantities.append(&mut other.quantities);
    }

    /// The rows of `used_series`, if every project has one payer.
    pub fn series(&self) -> Result<RecordBatch, Error> {
        let series: BTreeSet<u64> = self.series.iter().copied().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(series.iter().copied())),
            Arc::new(UInt64Array::new_null(series.len())),
        ];
        batch(USED_SERIES, columns)
    }

    /// The rows of `usage_segment`, if every project has one payer. `None` if a date has several segments, because the
    /// windows of the date are needed to divide it.
    pub fn segments(&self, charge_segment: &RecordBatch) -> Result<Option<Vec<RecordBatch>>, Error> {
        let dates: &Date32Array = column(charge_segment, CHARGE_SEGMENT, "charge_date")?;
        let starts: &TimestampMicrosecondArray = column(charge_segment, CHARGE_SEGMENT, "segment_start")?;
        let split: &BooleanArray = column(charge_segment, CHARGE_SEGMENT, "is_split")?;
        let mut segment_of: HashMap<i32, i64> = HashMap::new();
        for row in 0..charge_segment.num_rows() {
            if split.value(row) || segment_of.insert(dates.value(row), starts.value(row)).is_some() {
                return Ok(None);
            }
        }
        let mut order: Vec<(u64, i32, u32)> = Vec::with_capacity(self.series.len());
        for ((row, series_id), date) in (0u32..).zip(&self.series).zip(&self.dates) {
            if self.quantities[row as usize] != 0 && segment_of.contains_key(date) {
                order.push((*series_id, *date, row));
            }
        }
        order.sort_unstable();
        let segment = |date: &i32| segment_of.get(date).copied().unwrap_or_default();
        let each = order.chunks(BATCH_ROWS).map(|days| {
            let quantities = days.iter().map(|day| self.quantities[day.2 as usize]);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(UInt64Array::from_iter_values(days.iter().map(|day| day.0))),
                Arc::new(Date32Array::from_iter_values(days.iter().map(|day| day.1))),
                Arc::new(instants(days.iter().map(|day| segment(&day.1)))),
                decimals("usage_segment", quantities, 38, 9)?,
            ];
            batch(USAGE_SEGMENT, columns)
        });
        each.collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::query::{Parameters, Session, statement};

    /// The day number of 2026-10-01.
    const FIRST: i32 = 20_727;
    const DAY: i64 = 86_400_000_000;

    fn metered_day(days: &[(u64, i32, i128)]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(days.iter().map(|day| day.0))),
            Arc::new(Date32Array::from_iter_values(days.iter().map(|day| FIRST + day.1))),
            decimals("metered_day", days.iter().map(|day| day.2), 38, 9).unwrap(),
            Arc::new(Int64Array::from_value(1, days.len())),
        ];
        batch(METERED_DAY, columns).unwrap()
    }

    /// The segments of four dates. The last two dates may belong to a second segment, and one date may be split.
    fn charge_segment(changes: bool, split: Option<i32>) -> RecordBatch {
        let start = |date: i32| i64::from(FIRST + if changes && date > 1 { 2 } else { 0 }) * DAY;
        let mut parts = Vec::new();
        for date in 0..4 {
            let midnight = i64::from(FIRST + date) * DAY;
            if split == Some(date) {
                parts.push((date, start(date), midnight, midnight + DAY / 2, true));
                parts.push((date, midnight + DAY / 2, midnight + DAY / 2, midnight + DAY, true));
            } else {
                parts.push((date, start(date), midnight, midnight + DAY, false));
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from_iter_values(parts.iter().map(|part| FIRST + part.0))),
            Arc::new(instants(parts.iter().map(|part| part.1))),
            Arc::new(instants(parts.iter().map(|part| part.2))),
            Arc::new(instants(parts.iter().map(|part| part.3))),
            Arc::new(BooleanArray::from_iter(parts.iter().map(|part| Some(part.4)))),
        ];
        batch(CHARGE_SEGMENT, columns).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_operator_and_the_sql_compute_equal_rows(
            days in prop::collection::btree_map(
                (0..9u64, -1..6i32),
                prop_oneof![Just(0), -9..9i128, 0..10i128.pow(27)],
                0..60,
            ),
            changes in any::<bool>(),
            split in prop::option::weighted(0.2, 0..4i32),
        ) {
            let days = days.into_iter().map(|((id, date), quantity)| (id, date, quantity));
            let days: Vec<(u64, i32, i128)> = days.collect();
            // A file contains one bucket and one date, and is sorted by series.
            let mut files: Vec<Vec<(u64, i32, i128)>> = vec![Vec::new(); 14];
            for day in &days {
                files[(day.1 + 1) as usize * 2 + (day.0 % 2) as usize].push(*day);
            }
            let mut used = UsedDays::default();
            for file in &files {
                let mut of_file = UsedDays::default();
                of_file.take(&metered_day(file)).unwrap();
                used.append(of_file);
            }
            let charge_segment = charge_segment(changes, split);
            let session = Session::new(None).unwrap();
            session.register(METERED_DAY, vec![metered_day(&days)]).unwrap();
            session.register(CHARGE_SEGMENT, vec![charge_segment.clone()]).unwrap();
            for path in ["rating/payer_series", "metering/metered_usage"] {
                session.register_nothing(path).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let by_sql = |path| runtime.block_on(session.run(path, Parameters::none())).unwrap();
            let all = |path: &str, batches: &[RecordBatch]| {
                concat_batches(&statement(path).unwrap().schema, batches).unwrap()
            };
            prop_assert_eq!(used.series().unwrap(), all(USED_SERIES, &by_sql(USED_SERIES)));
            match used.segments(&charge_segment).unwrap() {
                Some(segments) => {
                    prop_assert_eq!(all(USAGE_SEGMENT, &segments), all(USAGE_SEGMENT, &by_sql(USAGE_SEGMENT)));
                    prop_assert!(split.is_none());
                }
                None => prop_assert!(split.is_some()),
            }
        }
    }
}
