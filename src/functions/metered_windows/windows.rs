//! The windows of several streams, as rows and as a column of lists.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, ListArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{DataFusionError, exec_datafusion_err, exec_err};

use crate::functions::instant::instant_type;
use crate::model::money::has_digits;

/// The name of the function.
pub(super) const NAME: &str = "metered_windows";
/// The digits of a metered quantity.
const QUANTITY_DIGITS: u8 = 38;

/// The quantity of a series in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub series_id: u64,
    /// Microseconds UTC, as all instants here.
    pub start: i64,
    pub end: i64,
    /// Units of the ninth decimal place.
    pub quantity: i128,
    pub samples: i64,
}

impl Window {
    /// Adds another window with the same series and start.
    pub(super) fn add(&mut self, other: &Self) -> Result<(), DataFusionError> {
        self.quantity = self.quantity.checked_add(other.quantity).ok_or_else(too_large)?;
        self.samples += other.samples;
        Ok(())
    }
}

pub(super) fn too_large() -> DataFusionError {
    exec_datafusion_err!("{NAME}: a metered quantity exceeds {QUANTITY_DIGITS} digits")
}

/// The windows of complete streams.
#[derive(Default)]
pub(super) struct Windows {
    pub rows: Vec<Window>,
    /// The number of windows of each stream.
    lengths: Vec<usize>,
}

impl Windows {
    /// The number of streams.
    pub(super) fn streams(&self) -> usize {
        self.lengths.len()
    }

    /// Ends a stream, whose windows are the rows from `first` on. The windows are sorted by series and start.
    pub(super) fn end_stream(&mut self, first: usize) -> Result<(), DataFusionError> {
        if self.rows[first..].iter().any(|window| !has_digits(window.quantity, QUANTITY_DIGITS.into())) {
            return Err(too_large());
        }
        self.lengths.push(self.rows.len() - first);
        Ok(())
    }

    /// Removes the first streams and returns their windows.
    pub(super) fn take(&mut self, streams: usize) -> Result<ArrayRef, DataFusionError> {
        if streams > self.lengths.len() {
            return exec_err!("{NAME}: the engine requests more groups than it gave");
        }
        let lengths: Vec<usize> = self.lengths.drain(..streams).collect();
        let count = lengths.iter().sum::<usize>();
        let rows: Vec<Window> = self.rows.drain(..count).collect();
        let columns = columns(&rows)?;
        let windows = StructArray::try_new(fields(), columns, None)?;
        let list = ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(windows), None)?;
        Ok(Arc::new(list))
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Window>() + self.lengths.capacity() * size_of::<usize>()
    }
}

fn columns(rows: &[Window]) -> Result<Vec<ArrayRef>, DataFusionError> {
    let instants = |instant: fn(&Window) -> i64| -> ArrayRef {
        let instants = TimestampMicrosecondArray::from_iter_values(rows.iter().map(instant));
        Arc::new(instants.with_timezone("UTC"))
    };
    let quantities = Decimal128Array::from_iter_values(rows.iter().map(|window| window.quantity));
    Ok(vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|window| window.series_id))),
        instants(|window| window.start),
        instants(|window| window.end),
        Arc::new(quantities.with_precision_and_scale(QUANTITY_DIGITS, 9)?),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|window| window.samples))),
    ])
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("series_id", DataType::UInt64, false),
        Field::new("window_start", instant_type(), false),
        Field::new("window_end", instant_type(), false),
        Field::new("consumed_quantity", DataType::Decimal128(QUANTITY_DIGITS, 9), false),
        Field::new("sample_count", DataType::Int64, false),
    ])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields()), false))
}

/// The type of a list of windows.
pub fn windows_type() -> DataType {
    DataType::List(item())
}
