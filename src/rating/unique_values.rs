//! The counted values of series whose meters count different values (`count_unique`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, MapArray, RecordBatch, StringArray, UInt64Array};

use crate::catalog::streams::map_entries;
use crate::error::Error;
use crate::model::rule_book::RuleBook;
use crate::query::statement;
use crate::rows;

/// The rows of `unique_value` for rows of `active_series`.
///
/// In an example, usage may lack the dimension. Such usage has no row, and its quantity is the number of its values.
pub(super) fn unique_value_rows(rules: &RuleBook, active_series: &[RecordBatch]) -> Result<RecordBatch, Error> {
    let unique: HashMap<&str, &str> =
        rules.meters.iter().filter_map(|meter| Some((meter.name.as_str(), meter.unique.as_deref()?))).collect();
    let mut values: Vec<(u64, Arc<str>)> = Vec::new();
    for batch in active_series.iter().filter(|_| !unique.is_empty()) {
        let series: &UInt64Array = rows::column(batch, "series_id")?;
        let meters: &StringArray = rows::column(batch, "meter")?;
        let dimensions: &MapArray = rows::column(batch, "dimensions")?;
        for row in 0..batch.num_rows() {
            let Some(dimension) = unique.get(meters.value(row)) else { continue };
            let entries = map_entries(dimensions, row)?;
            let value = entries.into_iter().find(|(name, _)| **name == **dimension);
            values.extend(value.map(|(_, value)| (series.value(row), value)));
        }
    }
    let distinct: BTreeSet<&str> = values.iter().map(|(_, value)| &**value).collect();
    let number_of: HashMap<&str, i64> = distinct.into_iter().zip(1..).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(values.iter().map(|(series_id, _)| *series_id))),
        Arc::new(Int64Array::from_iter_values(values.iter().map(|(_, value)| number_of[&**value]))),
    ];
    rows::batch(statement("rating/unique_value")?, columns)
}
