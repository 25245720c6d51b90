//! The measures of the meters on a date.

use std::collections::{BTreeMap, HashMap};

use crate::error::Error;
use crate::model::meter::{Aggregation, RecordRounding};
use crate::model::period::{BillingPeriod, Calendar, DayNumber, date_of};
use crate::run::{Environment, Transaction};
use crate::storage::{CommitKind, MeterDefinition};

const DAY_SECONDS: i64 = 86_400;

/// The parameters by which a meter computes quantities from samples. Lengths are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub aggregation: Aggregation,
    pub window: i64,
    pub max_gap: i64,
    /// The timeout of a state; `None`: no limit.
    pub state_timeout: Option<i64>,
    /// The rounding of records, for a meter that adds up records.
    pub record: Option<RecordRounding>,
}

/// The measure of each meter on a date, by the name of the meter.
pub type Measures = HashMap<String, Measure>;

/// The meters of the last close of each period, or `None` if the period is open.
pub(super) type ClosedMeters = BTreeMap<String, Option<BTreeMap<String, MeterDefinition>>>;

/// The measure of each meter on a date. Dates of a closed period use the meters of its close. Dates of an open or
/// restated period use the current meters. A whole-day window is the local date, which has 23 or 25 hours if clocks
/// change.
pub(super) async fn measures_of(
    environment: &Environment,
    transaction: &Transaction,
    calendar: &mut Calendar,
    day: DayNumber,
    restated: Option<BillingPeriod>,
    closed_meters: &mut ClosedMeters,
) -> Result<Measures, Error> {
    let length = calendar.day_start(day + 1) - calendar.day_start(day);
    let definitions = environment.rules.meters.iter().map(|meter| (meter.name.clone(), MeterDefinition::of(meter)));
    let mut definitions: BTreeMap<String, MeterDefinition> = definitions.collect();
    let period = BillingPeriod::of(date_of(day));
    if restated != Some(period) {
        let name = period.to_string();
        if !closed_meters.contains_key(&name) {
            let closed = transaction.snapshot.last(CommitKind::Close, &name).map(|close| close.sequence);
            let of_close = match closed {
                Some(sequence) => Some(transaction.lake.log_entry(sequence).await?.meters),
                None => None,
            };
            closed_meters.insert(name.clone(), of_close);
        }
        definitions.extend(closed_meters.get(&name).cloned().flatten().unwrap_or_default());
    }
    let measures = definitions.into_iter().filter_map(|(name, definition)| {
        let window = i64::from(definition.window_seconds);
        let measure = Measure {
            aggregation: Aggregation::from_name(&definition.aggregation)?,
            window: if window == DAY_SECONDS { length } else { window * 1_000_000 },
            max_gap: i64::from(definition.max_gap_seconds) * 1_000_000,
            state_timeout: definition.state_timeout_seconds.map(|seconds| i64::from(seconds) * 1_000_000),
            record: definition.record_rounding(),
        };
        Some((name, measure))
    });
    Ok(measures.collect())
}
