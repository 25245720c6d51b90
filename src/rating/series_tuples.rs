//! The distinct dimension values of series, and the series for which a condition is true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, MapArray, RecordBatch, RecordBatchOptions, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};

use crate::catalog::streams::map_entries;
use crate::error::Error;
use crate::model::expression::Expression;
use crate::model::meter::{Meter, UNKNOWN};
use crate::model::money::Quantity;
use crate::query::Session;
use crate::query::expression::{Compiled, column_type, predicate};
use crate::rows;

/// The columns that every rule can use, in addition to the dimensions of its meter.
pub(super) const COMMON_COLUMNS: [&str; 3] = ["account_id", "project_id", "resource_id"];

/// The columns that a fee per resource or a `covers` entry can use: the same as for rules, see `columns_of`.
pub(super) fn resource_columns(meter: &Meter) -> Vec<(String, DataType)> {
    columns_of(meter)
}

/// A series for which the condition of a fee per resource or of a `covers` entry is true.
#[derive(Debug)]
pub(super) struct MatchingSeries {
    pub(super) series_id: u64,
    pub(super) account_id: Option<Arc<str>>,
    pub(super) project_id: Option<Arc<str>>,
    pub(super) line_by: String,
}

/// The series of a meter for which a condition is true.
pub(super) fn matching_series(
    meter: &Meter,
    when: Option<&Compiled>,
    line_by: &[String],
    active_series: &[RecordBatch],
) -> Result<Vec<MatchingSeries>, Error> {
    let by_meter = series_by_meter(active_series)?;
    let series = by_meter.get(meter.name.as_str()).map_or(&[][..], Vec::as_slice);
    let mut names: BTreeSet<String> = line_by.iter().cloned().collect();
    names.extend(when.into_iter().flat_map(Compiled::columns).map(str::to_owned));
    let columns: Vec<String> = names.into_iter().collect();
    let mut series_tuple = Vec::new();
    let tuples = tuples(meter, &columns, series, &mut 0, &mut series_tuple)?;
    let applies = match when {
        Some(when) => when.is_true(&tuples.batch)?,
        None => vec![true; tuples.values.len()],
    };
    let mut found = Vec::new();
    for (series_values, (series_id, tuple_id)) in series.iter().zip(series_tuple) {
        let row = usize::try_from(tuple_id).unwrap_or(usize::MAX);
        if applies.get(row) == Some(&true) {
            let value = |name: &String| Some(format!("{name}={}", tuples.value(&columns, row, name)?));
            let line_by = line_by.iter().filter_map(value).collect::<Vec<_>>().join("; ");
            let account_id = series_values.values.get("account_id").cloned();
            let project_id = series_values.values.get("project_id").cloned();
            found.push(MatchingSeries { series_id, account_id, project_id, line_by });
        }
    }
    Ok(found)
}

/// The columns that rules of a meter can use.
pub(super) fn columns_of(meter: &Meter) -> Vec<(String, DataType)> {
    let common = COMMON_COLUMNS.into_iter().map(|name| (name.to_owned(), DataType::Utf8));
    common
        .chain(meter.dimensions.iter().map(|dimension| (dimension.name.clone(), column_type(dimension.kind))))
        .collect()
}

/// A series with the values that rules can use.
#[derive(Debug)]
pub(super) struct SeriesValues {
    pub(super) series_id: u64,
    pub(super) values: BTreeMap<Arc<str>, Arc<str>>,
}

/// The distinct combinations of values in some columns, for series of one meter.
pub(super) struct Tuples {
    pub(super) first_id: u64,
    /// The values of each tuple, in the order of the columns.
    pub(super) values: Vec<Vec<Option<Arc<str>>>>,
    pub(super) batch: RecordBatch,
}

/// The sorted ids of the series of a meter for which a condition is true. Without a condition, the result contains all
/// series of the meter.
pub(super) fn series_where(
    session: &Session,
    meter: &Meter,
    when: Option<&Expression>,
    active_series: &[RecordBatch],
) -> Result<Vec<u64>, Error> {
    let mut found: Vec<u64> = Vec::new();
    let when = when.map(|when| predicate(session, when, &columns_of(meter))).transpose();
    let when = when.map_err(|problem| Error::Invalid(vec![problem]))?;
    let by_meter = series_by_meter(active_series)?;
    let Some(series) = by_meter.get(meter.name.as_str()) else { return Ok(found) };
    let Some(when) = when else { return Ok(series.iter().map(|series| series.series_id).collect()) };
    let columns: Vec<String> = when.columns().map(str::to_owned).collect();
    let mut series_tuple = Vec::new();
    let tuples = tuples(meter, &columns, series, &mut 0, &mut series_tuple)?;
    let is_true = when.is_true(&tuples.batch)?;
    let is_selected = |tuple_id: u64| usize::try_from(tuple_id).is_ok_and(|row| is_true.get(row) == Some(&true));
    found.extend(
        series_tuple.into_iter().filter(|(_, tuple_id)| is_selected(*tuple_id)).map(|(series_id, _)| series_id),
    );
    found.sort_unstable();
    Ok(found)
}

pub(super) fn series_by_meter(active_series: &[RecordBatch]) -> Result<BTreeMap<Arc<str>, Vec<SeriesValues>>, Error> {
    let mut by_meter: BTreeMap<Arc<str>, Vec<SeriesValues>> = BTreeMap::new();
    for batch in active_series {
        let ids: &UInt64Array = rows::column(batch, "series_id")?;
        let meters: &StringArray = rows::column(batch, "meter")?;
        let resources: &StringArray = rows::column(batch, "resource_id")?;
        let projects: &StringArray = rows::column(batch, "project_id")?;
        let accounts: &StringArray = rows::column(batch, "account_id")?;
        let dimensions: &MapArray = rows::column(batch, "dimensions")?;
        for row in 0..batch.num_rows() {
            let attributes = map_entries(dimensions, row)?.into_iter().filter(|(_, value)| **value != *UNKNOWN);
            let mut values: BTreeMap<Arc<str>, Arc<str>> = attributes.collect();
            values.insert("resource_id".into(), resources.value(row).into());
            if projects.is_valid(row) {
                values.insert("project_id".into(), projects.value(row).into());
            }
            if accounts.is_valid(row) {
                values.insert("account_id".into(), accounts.value(row).into());
            }
            let series = SeriesValues { series_id: ids.value(row), values };
            by_meter.entry(meters.value(row).into()).or_default().push(series);
        }
    }
    Ok(by_meter)
}

/// The tuples of some series of a meter. Appends the id of each series with the id of its tuple to `series_tuple`.
/// Numbers the tuples from `next_tuple_id`, and advances it. From zero, the id of a tuple is its row in `batch`.
pub(super) fn tuples<'a>(
    meter: &Meter,
    columns: &[String],
    series: impl IntoIterator<Item = &'a SeriesValues>,
    next_tuple_id: &mut u64,
    series_tuple: &mut Vec<(u64, u64)>,
) -> Result<Tuples, Error> {
    let first_id = *next_tuple_id;
    let mut id_of_tuple: HashMap<Vec<Option<Arc<str>>>, u64> = HashMap::new();
    let mut values = Vec::new();
    for series in series {
        let tuple: Vec<Option<Arc<str>>> =
            columns.iter().map(|column| series.values.get(column.as_str()).cloned()).collect();
        let id = *id_of_tuple.entry(tuple).or_insert_with_key(|tuple| {
            values.push(tuple.clone());
            first_id + values.len() as u64 - 1
        });
        series_tuple.push((series.series_id, id));
    }
    *next_tuple_id += values.len() as u64;
    let types: HashMap<String, DataType> = columns_of(meter).into_iter().collect();
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let texts = values.iter().map(|tuple: &Vec<Option<Arc<str>>>| tuple[index].as_deref());
        let kind = types.get(column).cloned().unwrap_or(DataType::Utf8);
        arrays.push(typed_column(&kind, texts)?);
        fields.push(Field::new(column, kind, true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|source| rows::failed("series_tuple", source))?;
    Ok(Tuples { first_id, values, batch })
}

/// The values of a dimension as a column of the type that expressions use.
pub(super) fn typed_column<'a>(
    kind: &DataType,
    texts: impl Iterator<Item = Option<&'a str>>,
) -> Result<ArrayRef, Error> {
    Ok(match kind {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(texts.map(|text| text.map(|text| text == "true")))),
        DataType::Decimal128(precision, scale) => {
            let units = texts.map(|text| text.and_then(|text| Quantity::parse_exact(text).ok()).map(Quantity::units));
            Arc::new(rows::decimals(units, *precision, *scale)?)
        }
        _ => Arc::new(StringArray::from_iter(texts)),
    })
}

impl Tuples {
    pub(super) fn value(&self, columns: &[String], row: usize, column: &str) -> Option<&str> {
        let index = columns.iter().position(|name| name == column)?;
        self.values[row][index].as_deref()
    }
}
