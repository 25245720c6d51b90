//! Conversion between Arrow rows and Rust values: typed columns by name, and batches with the schema of a relation.

pub mod relations;
mod series_rows;
pub mod taxes;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::{SortColumn, concat_batches, filter_record_batch, lexsort_to_indices, take};
use arrow::error::ArrowError;

pub use self::series_rows::SeriesRows;
use crate::error::Error;
use crate::model::money::{DecimalNumber, has_digits};
use crate::model::period::DayNumber;
use crate::query::{self, Statement};

/// A column of a batch by its name and type.
pub fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a T, Error> {
    batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref()).ok_or(Error::Column { name })
}

/// A batch of a relation, with columns in the order of its schema.
pub fn batch(relation: &Statement, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    RecordBatch::try_new(relation.schema.clone(), columns).map_err(|source| failed(&relation.name, source))
}

pub fn failed(relation: &str, source: ArrowError) -> Error {
    Error::Query(query::Error::Rows { relation: relation.to_owned(), source })
}

/// A batch with other values in one column.
pub fn with_column(batch: &RecordBatch, name: &'static str, values: ArrayRef) -> Result<RecordBatch, Error> {
    let index = batch.schema_ref().index_of(name).map_err(|source| failed(name, source))?;
    let mut columns = batch.columns().to_vec();
    columns[index] = values;
    RecordBatch::try_new(batch.schema(), columns).map_err(|source| failed(name, source))
}

/// The rows of all batches in one batch, sorted by the given columns.
pub fn sorted(batches: &[RecordBatch], order: &[&'static str]) -> Result<RecordBatch, Error> {
    let failed = |source| failed("the files of a partition", source);
    let Some(first) = batches.first() else { return Err(Error::Internal("the files of a partition have no rows")) };
    let all = concat_batches(&first.schema(), batches).map_err(failed)?;
    let column = |name: &&'static str| -> Result<SortColumn, Error> {
        let values = all.column_by_name(name).ok_or(Error::Column { name })?;
        Ok(SortColumn { values: Arc::clone(values), options: None })
    };
    let columns: Vec<SortColumn> = order.iter().map(column).collect::<Result<_, _>>()?;
    let order: UInt32Array = lexsort_to_indices(&columns, None).map_err(failed)?;
    let sorted: Result<Vec<ArrayRef>, _> = all.columns().iter().map(|column| take(column, &order, None)).collect();
    RecordBatch::try_new(all.schema(), sorted.map_err(failed)?).map_err(failed)
}

/// The rows of a relation for the series that a predicate selects. The predicate runs once for adjacent rows of a
/// series.
pub fn of_series(
    relation: &str,
    batches: &[RecordBatch],
    is_selected: impl Fn(u64) -> bool,
) -> Result<Vec<RecordBatch>, Error> {
    let mut last = None;
    let mut is_of = |series_id: u64| match last {
        Some((series, is_selected)) if series == series_id => is_selected,
        _ => last.insert((series_id, is_selected(series_id))).1,
    };
    let mut found = Vec::new();
    for batch in batches {
        let series: &UInt64Array = column(batch, "series_id")?;
        let selected = BooleanArray::from_iter(series.values().iter().map(|series_id| Some(is_of(*series_id))));
        let rows = filter_record_batch(batch, &selected).map_err(|source| failed(relation, source))?;
        if rows.num_rows() > 0 {
            found.push(rows);
        }
    }
    Ok(found)
}

/// The rows whose text in a column satisfies a predicate.
pub fn with_text(
    batches: &[RecordBatch],
    name: &'static str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<RecordBatch>, Error> {
    let mut found = Vec::with_capacity(batches.len());
    for batch in batches {
        let texts: &StringArray = column(batch, name)?;
        let wanted = (0..texts.len()).map(|row| Some(is_wanted(texts.value(row))));
        let rows = filter_record_batch(batch, &BooleanArray::from_iter(wanted));
        found.push(rows.map_err(|source| failed(name, source))?);
    }
    Ok(found)
}

/// A column of instants in microseconds UTC.
pub fn timestamps(values: impl IntoIterator<Item = Option<i64>>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_iter(values).with_timezone("UTC")
}

/// A decimal column from values in units of the last decimal place. A value with more digits than the type is an error.
pub fn decimals(
    values: impl IntoIterator<Item = Option<i128>>,
    precision: u8,
    scale: i8,
) -> Result<Decimal128Array, Error> {
    let mut fits = true;
    let check = |value: &Option<i128>| fits &= value.is_none_or(|value| has_digits(value, precision.into()));
    let array = Decimal128Array::from_iter(values.into_iter().inspect(check));
    if !fits {
        return Err(Error::overflow("a number", u32::from(precision).saturating_sub(scale.unsigned_abs().into())));
    }
    array.with_precision_and_scale(precision, scale).map_err(|source| failed("decimals", source))
}

/// A row of a batch, whose cells are read by column name.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    batch: &'a RecordBatch,
    index: usize,
}

/// All rows of several batches, in order.
pub fn each(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |index| Row { batch, index }))
}

impl<'a> Row<'a> {
    pub fn optional_text(self, name: &'static str) -> Result<Option<&'a str>, Error> {
        let column: &StringArray = column(self.batch, name)?;
        Ok(column.is_valid(self.index).then(|| column.value(self.index)))
    }

    pub fn text(self, name: &'static str) -> Result<&'a str, Error> {
        self.optional_text(name).map(Option::unwrap_or_default)
    }

    pub fn number(self, name: &'static str) -> Result<i64, Error> {
        column::<Int64Array>(self.batch, name).map(|column| column.value(self.index))
    }

    pub fn flag(self, name: &'static str) -> Result<bool, Error> {
        column::<BooleanArray>(self.batch, name).map(|column| column.value(self.index))
    }

    pub fn id(self, name: &'static str) -> Result<u64, Error> {
        column::<UInt64Array>(self.batch, name).map(|column| column.value(self.index))
    }

    pub fn day(self, name: &'static str) -> Result<DayNumber, Error> {
        column::<Date32Array>(self.batch, name).map(|column| column.value(self.index))
    }

    pub fn optional_day(self, name: &'static str) -> Result<Option<DayNumber>, Error> {
        let column: &Date32Array = column(self.batch, name)?;
        Ok(column.is_valid(self.index).then(|| column.value(self.index)))
    }

    pub fn instant(self, name: &'static str) -> Result<i64, Error> {
        column::<TimestampMicrosecondArray>(self.batch, name).map(|column| column.value(self.index))
    }

    pub fn optional_instant(self, name: &'static str) -> Result<Option<i64>, Error> {
        let column: &TimestampMicrosecondArray = column(self.batch, name)?;
        Ok(column.is_valid(self.index).then(|| column.value(self.index)))
    }

    /// A decimal in units of its column's last place.
    pub fn units(self, name: &'static str) -> Result<i128, Error> {
        column::<Decimal128Array>(self.batch, name).map(|column| column.value(self.index))
    }

    /// A decimal of the type `N`. The column must have the decimal places of the type.
    pub fn decimal<N: DecimalNumber>(self, name: &'static str) -> Result<N, Error> {
        let column: &Decimal128Array = column(self.batch, name)?;
        if u32::try_from(column.scale()) != Ok(N::PLACES) {
            return Err(Error::Column { name });
        }
        N::try_from_units(column.value(self.index)).ok_or(Error::AMOUNT_OVERFLOW)
    }

    pub fn optional_decimal<N: DecimalNumber>(self, name: &'static str) -> Result<Option<N>, Error> {
        let column: &Decimal128Array = column(self.batch, name)?;
        if column.is_valid(self.index) { self.decimal(name).map(Some) } else { Ok(None) }
    }
}
