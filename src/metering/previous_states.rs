//! The stream states of the last metered date, from which a date starts.

use arrow::array::{BooleanArray, Decimal128Array, TimestampMicrosecondArray, UInt64Array};

use crate::error::Error;
use crate::rows;
use crate::run::Transaction;

const DAY_MICROSECONDS: i64 = 86_400 * 1_000_000;

/// The time after which a stream without samples is no longer carried forward: two billing periods. A counter that
/// returns later begins with a new baseline.
pub(super) const HORIZON_MICROSECONDS: i64 = 62 * DAY_MICROSECONDS;

/// The last value of a stream at the end of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub stream_id: u64,
    pub measured_at: i64,
    pub quantity: i128,
    pub series_id: u64,
    pub deleted: bool,
    /// Whether the value is a state, valid until the next event.
    pub is_state: bool,
}

/// The stream states of the last metered date before `partition`. Values older than the horizon are dropped, except
/// states that are still valid. The horizon counts from `day_start`, because other streams determine the last metered
/// date.
pub(super) async fn previous_stream_states(
    transaction: &Transaction,
    partition: &str,
    shard: u32,
    day_start: i64,
) -> Result<Vec<StreamState>, Error> {
    let before =
        transaction.files_where("stream_state", |file| file.shard == shard && file.partition.as_str() < partition);
    let mut remembered = Vec::new();
    if let Some(file) = before.iter().max_by(|left, right| left.partition.cmp(&right.partition)) {
        for batch in transaction.lake.read_data(file).await? {
            let streams: &UInt64Array = rows::column(&batch, "stream_id")?;
            let times: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
            let quantities: &Decimal128Array = rows::column(&batch, "last_quantity")?;
            let series: &UInt64Array = rows::column(&batch, "last_series_id")?;
            let deleted: &BooleanArray = rows::column(&batch, "deleted")?;
            let is_state: &BooleanArray = rows::column(&batch, "is_state")?;
            let states = (0..batch.num_rows()).map(|row| StreamState {
                stream_id: streams.value(row),
                measured_at: times.value(row),
                quantity: quantities.value(row),
                series_id: series.value(row),
                deleted: deleted.value(row),
                is_state: is_state.value(row),
            });
            let horizon = day_start - HORIZON_MICROSECONDS;
            remembered
                .extend(states.filter(|state| state.measured_at >= horizon || (state.is_state && !state.deleted)));
        }
    }
    Ok(remembered)
}
