//! Records that agree in everything but time, quantity and their own id: what they mean is found out once.
//!
//! A resource says the same of itself hundreds of times a day. Its meters, their checks, its streams and its series are
//! looked up for the first such record, and every other one of its class costs a few comparisons.

use std::sync::Arc;

use crate::intake::rejection_reason::Reason;
use crate::model::meter::{Aggregation, Meter};
use crate::model::money::Quantity;
use crate::model::period::DayNumber;

/// Names a class of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordGroupId {
    /// Index of the first taker.
    pub(crate) first: u32,
    /// Whether a meter tells its records apart by their own ids.
    pub reads_record_id: bool,
}

/// A meter that takes the records of a class. Those of one class stand side by side, and small: of all that intake
/// looks at, only this is looked up for every record.
#[derive(Clone, Copy, Debug)]
pub struct BoundMeter {
    /// Index of what the records say.
    pub stream_refs: u32,
    pub bucket: u32,
    /// In microseconds.
    pub max_gap: i64,
    pub aggregation: Aggregation,
    pub has_labels: bool,
    /// Whether the next taker is of the same class.
    pub has_next: bool,
}

/// A label of a stream, with the last record of a date that said it.
#[derive(Clone, Debug)]
pub struct SeenLabel {
    pub name: Arc<str>,
    /// Index of its field.
    pub field: usize,
    pub stream_id: u64,
    pub day: DayNumber,
    /// `None` where none of this date did.
    pub stream_refs: Option<(i64, String)>,
}

/// Whether a meter can add up a quantity.
pub fn takes_quantity(aggregation: Aggregation, quantity: Quantity) -> bool {
    !aggregation.reads_value() || (!quantity.is_negative() && quantity <= aggregation.largest_value())
}

/// Why a record is refused for its quantity.
pub fn refusal_of_quantity(meter: &Meter, quantity: Quantity) -> Option<(Reason, String)> {
    if takes_quantity(meter.aggregation, quantity) {
        return None;
    }
    if quantity.is_negative() {
        let detail = format!(
            "the quantity {quantity} is negative, but the meter `{}` reads it and takes quantities from zero on",
            meter.name
        );
        return Some((Reason::NegativeQuantity, detail));
    }
    let largest = meter.aggregation.largest_value();
    let detail = format!(
        "the quantity {quantity} is more than {largest}, the most that the meter `{}` can add up over a day",
        meter.name
    );
    Some((Reason::QuantityOutOfRange, detail))
}
