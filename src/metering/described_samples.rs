//! The rows of `described_sample`: the merged samples of a date and shard. Each has the series of its stream at that
//! instant and the measure of its meter.
//!
//! The rows are made stream by stream while a statement reads them, so memory contains one batch. The last reading of
//! an earlier date is the first row of its stream, so that a stream without a sample also has a row.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Decimal128Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt8Array, UInt64Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};

use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::metering::measures::{Measure, Measures};
use crate::metering::previous_states::StreamState;
use crate::metering::samples::{Samples, StreamDay};
use crate::metering::{describe, state_intervals};
use crate::model::meter::{Aggregation, RecordRounding};
use crate::model::money::Quantity;
use crate::query::statement;
use crate::rows;
use crate::storage::StoredData;

/// The path of the relation.
pub(super) const DESCRIBED_SAMPLE: &str = "metering/described_sample";

/// The number of rows after which a batch ends, at the end of a stream. Larger batches leave the cache of a core.
const BATCH_ROWS: usize = 16 * 1024;

/// The catalog, which the shards of a date share. Missing attributes can lead to new series.
pub type SharedCatalog = Arc<Mutex<Catalog>>;

/// The rows of one date and shard, batch by batch, in the order of streams and instants.
#[derive(Debug)]
pub struct DescribedSamples {
    samples: Samples,
    previous: Peekable<IntoIter<StreamState>>,
    measures: Arc<Measures>,
    catalog: SharedCatalog,
    /// The samples of the current stream.
    stream_day: StreamDay,
    last_stream: Option<u64>,
    schema: SchemaRef,
}

impl DescribedSamples {
    /// The rows of the samples in files. `previous` has the last readings of earlier dates, sorted by stream.
    pub fn open(
        files: &[StoredData],
        previous: Vec<StreamState>,
        measures: Arc<Measures>,
        catalog: SharedCatalog,
    ) -> Result<Self, Error> {
        Ok(Self {
            samples: Samples::open(files)?,
            previous: previous.into_iter().peekable(),
            measures,
            catalog,
            stream_day: StreamDay::default(),
            last_stream: None,
            schema: statement(DESCRIBED_SAMPLE)?.placeholder_schema(),
        })
    }

    /// Appends the rows of the next stream. Returns whether there was one.
    fn next_stream(&mut self, rows: &mut Rows) -> Result<bool, Error> {
        let (next, before) = (self.samples.next_stream(), self.previous.peek().map(|state| state.stream_id));
        let Some(stream_id) = next.into_iter().chain(before).min() else { return Ok(false) };
        if self.last_stream.is_some_and(|last| last >= stream_id) {
            return Err(Error::Internal("stream states in the lake are not sorted by stream"));
        }
        self.last_stream = Some(stream_id);
        let previous = self.previous.next_if(|state| state.stream_id == stream_id);
        let measure = {
            let catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
            let stream =
                catalog.stream(stream_id).ok_or(Error::Internal("the stream of a sample is not in the catalog"))?;
            self.measures.get(&*stream.meter).copied()
        };
        let samples = &mut self.stream_day;
        if next == Some(stream_id) {
            self.samples.take(stream_id, samples)?;
            state_intervals::resolve(samples, previous.as_ref());
            let last_series = previous.map(|previous| previous.series_id);
            describe::assign_series(&self.catalog, stream_id, &mut samples.series_id, last_series)?;
            if measure.is_none_or(|measure| !measure.aggregation.is_additive()) {
                state_intervals::merge_instants(samples);
            }
            rows.append(stream_id, measure, previous, samples);
        } else {
            rows.append(stream_id, measure, previous, &StreamDay::default());
        }
        Ok(true)
    }
}

impl Iterator for DescribedSamples {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rows = Rows::new();
        while rows.measured_at.len() < BATCH_ROWS {
            match self.next_stream(&mut rows) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Some(Err(error)),
            }
        }
        (!rows.measured_at.is_empty()).then(|| rows.batch(Arc::clone(&self.schema)))
    }
}

/// The rows of one stream in a batch.
struct Stream {
    id: u64,
    rows: Range<usize>,
    has_previous: bool,
    measure: Option<Measure>,
}

/// The columns of a batch.
struct Rows {
    streams: Vec<Stream>,
    series_id: Vec<u64>,
    measured_at: Vec<i64>,
    quantity: Vec<i128>,
    created: BooleanBufferBuilder,
    deleted: BooleanBufferBuilder,
    is_state: BooleanBufferBuilder,
}

impl Rows {
    fn new() -> Self {
        let flags = || BooleanBufferBuilder::new(BATCH_ROWS);
        Self {
            streams: Vec::new(),
            series_id: Vec::with_capacity(BATCH_ROWS),
            measured_at: Vec::with_capacity(BATCH_ROWS),
            quantity: Vec::with_capacity(BATCH_ROWS),
            created: flags(),
            deleted: flags(),
            is_state: flags(),
        }
    }

    fn append(&mut self, id: u64, measure: Option<Measure>, previous: Option<StreamState>, samples: &StreamDay) {
        let begin = self.measured_at.len();
        if let Some(previous) = previous {
            self.series_id.push(previous.series_id);
            self.measured_at.push(previous.measured_at);
            self.quantity.push(previous.quantity);
            self.created.append(false);
            self.deleted.append(previous.deleted);
            self.is_state.append(previous.is_state);
        }
        self.series_id.extend_from_slice(&samples.series_id);
        self.measured_at.extend_from_slice(&samples.measured_at);
        self.quantity.extend_from_slice(&samples.quantity);
        append_flags(&mut self.created, &samples.created, samples.measured_at.len());
        append_flags(&mut self.deleted, &samples.deleted, samples.measured_at.len());
        append_flags(&mut self.is_state, &samples.is_state, samples.measured_at.len());
        let rows = begin..self.measured_at.len();
        self.streams.push(Stream { id, rows, has_previous: previous.is_some(), measure });
    }

    /// A column with one value for each stream.
    fn of_streams<T: Copy>(&self, value: impl Fn(&Stream) -> T) -> Vec<T> {
        let mut column = Vec::with_capacity(self.measured_at.len());
        for stream in &self.streams {
            column.resize(stream.rows.end, value(stream));
        }
        column
    }

    /// A column of optional values; `None` if no stream of the batch has a value, which is the usual case.
    fn optional<T: Copy>(&self, value: impl Fn(&Measure) -> Option<T>) -> Option<Vec<Option<T>>> {
        let value = |stream: &Stream| stream.measure.as_ref().and_then(&value);
        self.streams.iter().any(|stream| value(stream).is_some()).then(|| self.of_streams(value))
    }

    fn batch(mut self, schema: SchemaRef) -> Result<RecordBatch, Error> {
        let count = self.measured_at.len();
        let mut carried_forward = BooleanBufferBuilder::new(count);
        for stream in self.streams.iter().filter(|stream| !stream.rows.is_empty()) {
            carried_forward.append(stream.has_previous);
            carried_forward.append_n(stream.rows.len() - 1, false);
        }
        // A window length must be more than zero, even without an aggregation.
        let window = self.of_streams(|stream| stream.measure.map_or(1, |measure| measure.window));
        let max_gap = self.of_streams(|stream| stream.measure.map_or(0, |measure| measure.max_gap));
        let state_timeout: ArrayRef = match self.optional(|measure| measure.state_timeout) {
            Some(timeouts) => Arc::new(Int64Array::from(timeouts)),
            None => new_null_array(&DataType::Int64, count),
        };
        let measured_at = TimestampMicrosecondArray::from(std::mem::take(&mut self.measured_at));
        let quantity = Decimal128Array::from(std::mem::take(&mut self.quantity));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.of_streams(|stream| stream.id))),
            Arc::new(UInt64Array::from(std::mem::take(&mut self.series_id))),
            Arc::new(measured_at.with_timezone("UTC")),
            Arc::new(
                quantity.with_precision_and_scale(28, 9).map_err(|source| rows::failed("described_sample", source))?,
            ),
            Arc::new(BooleanArray::new(self.created.finish(), None)),
            Arc::new(BooleanArray::new(self.deleted.finish(), None)),
            Arc::new(BooleanArray::new(self.is_state.finish(), None)),
            Arc::new(BooleanArray::new(carried_forward.finish(), None)),
            self.aggregations()?,
            Arc::new(Int64Array::from(window)),
            Arc::new(Int64Array::from(max_gap)),
            state_timeout,
            self.record_quantities(count, |record| record.minimum)?,
            self.record_quantities(count, |record| record.multiple_of)?,
        ];
        RecordBatch::try_new(schema, columns).map_err(|source| rows::failed("described_sample", source))
    }

    /// The names of the aggregations.
    fn aggregations(&self) -> Result<ArrayRef, Error> {
        let place = |aggregation| Aggregation::ALL.iter().position(|other| *other == aggregation);
        let places = self.of_streams(|stream| {
            let place = stream.measure.and_then(|measure| place(measure.aggregation));
            place.unwrap_or(Aggregation::ALL.len()) as u8
        });
        let is_removed = self.streams.iter().any(|stream| stream.measure.is_none());
        let names = Aggregation::ALL.iter().map(|aggregation| Some(aggregation.name()));
        // The engine copies names faster if none of them is null.
        let names = StringViewArray::from_iter(names.chain(is_removed.then_some(None)));
        take(&names, &UInt8Array::from(places), None).map_err(|source| rows::failed("described_sample", source))
    }

    /// A quantity of the rounding of records.
    fn record_quantities(&self, count: usize, value: fn(&RecordRounding) -> Quantity) -> Result<ArrayRef, Error> {
        let units = self.optional(|measure| measure.record.as_ref().map(|record| value(record).units()));
        Ok(match units {
            Some(units) => Arc::new(rows::decimals(units, 28, 9)?),
            None => new_null_array(&DataType::Decimal128(28, 9), count),
        })
    }
}

/// Appends flags. An empty slice means that every flag is false.
fn append_flags(column: &mut BooleanBufferBuilder, flags: &[bool], count: usize) {
    if flags.contains(&true) { column.append_slice(flags) } else { column.append_n(count, false) }
}
