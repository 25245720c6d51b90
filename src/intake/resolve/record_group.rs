//! Groups of records that differ only in time, quantity and record id.
//!
//! Sources report the same attributes of a resource hundreds of times a day. The meters, checks, streams and series of
//! a group are looked up for its first record. Every further record costs only a few comparisons.

use std::sync::Arc;

use crate::intake::rejection_reason::Reason;
use crate::model::meter::{Aggregation, Meter};
use crate::model::money::Quantity;
use crate::model::period::DayNumber;

/// The id of a record group within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordGroupId {
    /// Index of the first bound meter.
    pub(crate) first: u32,
    /// Whether a meter distinguishes its records by their record ids.
    pub reads_record_id: bool,
}

/// A meter that is bound to a record group. The bound meters of one group are adjacent and small, because they are read
/// for every record.
#[derive(Clone, Copy, Debug)]
pub struct BoundMeter {
    /// Index of the records' stream and series.
    pub stream_ref: u32,
    pub shard: u32,
    /// In microseconds.
    pub max_gap: i64,
    pub aggregation: Aggregation,
    /// Whether the meter accepts negative records.
    pub signed: bool,
    pub has_labels: bool,
    /// Whether the next bound meter belongs to the same group.
    pub has_next: bool,
}

/// A label of a stream, with its latest value of one date.
#[derive(Clone, Debug)]
pub struct SeenLabel {
    pub name: Arc<str>,
    /// Index of the label's field.
    pub field: usize,
    pub stream_id: u64,
    pub day: DayNumber,
    /// Time and value of the latest record. `None` if no record of this date has the label.
    pub latest: Option<(i64, String)>,
}

impl BoundMeter {
    pub fn accepts_quantity(&self, quantity: Quantity) -> bool {
        accepts_quantity(self.aggregation, self.signed, quantity)
    }
}

/// Whether a quantity is within the range of an aggregation. The range of a signed meter has the same bound in both
/// directions.
fn accepts_quantity(aggregation: Aggregation, signed: bool, quantity: Quantity) -> bool {
    let largest = aggregation.largest_value().units();
    let smallest = if signed { -largest } else { 0 };
    !aggregation.reads_value() || (smallest..=largest).contains(&quantity.units())
}

/// The problem with a record's quantity, if the meter cannot aggregate it.
pub fn quantity_problem(meter: &Meter, quantity: Quantity) -> Option<(Reason, String)> {
    if accepts_quantity(meter.aggregation, meter.signed, quantity) {
        return None;
    }
    let largest = meter.aggregation.largest_value();
    if quantity.is_negative() && meter.signed {
        let detail = format!(
            "the quantity {quantity} is less than -{largest}, the smallest value of the meter `{}`; divide it in the \
             `select` of the source, and write a larger unit than `{}` in the meter",
            meter.name, meter.unit
        );
        return Some((Reason::QuantityOutOfRange, detail));
    }
    if quantity.is_negative() {
        let remedy =
            if meter.aggregation.can_be_signed() { "; write `signed = true` in the meter to accept it" } else { "" };
        let meter = &meter.name;
        let detail = format!(
            "the quantity {quantity} is negative; the meter `{meter}` expects a quantity of zero or more{remedy}"
        );
        return Some((Reason::NegativeQuantity, detail));
    }
    let detail = format!(
        "the quantity {quantity} is greater than {largest}, the largest value of the meter `{}`; divide it in the \
         `select` of the source, and write a larger unit than `{}` in the meter",
        meter.name, meter.unit
    );
    Some((Reason::QuantityOutOfRange, detail))
}
