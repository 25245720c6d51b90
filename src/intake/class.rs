//! Records that agree in everything but time, quantity and their own id: what they mean is found out once.
//!
//! A resource says the same of itself hundreds of times a day. Its meters, their checks, its streams and its series are
//! looked up for the first such record, and every other one of its class costs a few comparisons.

use std::sync::Arc;

use super::binding::Binding;
use crate::meter::Meter;
use crate::money::Quantity;
use crate::period::DayNumber;

/// Names a class of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassId {
    pub(super) number: u32,
    /// Whether a meter tells its records apart by their own ids.
    pub reads_record_id: bool,
}

/// What the records of a class become.
#[derive(Debug)]
pub enum Class {
    /// A fact for each meter that asks.
    Facts(Vec<Taker>),
    /// Each record has to be looked at by itself: a meter refuses it, or the time decides what it means.
    Each,
}

/// A meter that takes the records of a class.
#[derive(Debug)]
pub struct Taker {
    pub meter: Arc<Meter>,
    /// Index of what the records say.
    pub said: u32,
    pub bucket: u32,
    pub labels: Vec<SeenLabel>,
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
    pub said: Option<(i64, String)>,
}

impl Taker {
    pub fn new(binding: &Binding, said: u32, stream_id: u64, bucket: u32) -> Self {
        let labels = binding.labels.iter().map(|(name, field)| SeenLabel {
            name: Arc::clone(name),
            field: *field,
            stream_id,
            day: 0,
            said: None,
        });
        Self { meter: Arc::clone(&binding.meter), said, bucket, labels: labels.collect() }
    }
}

/// Whether a meter can add up a quantity; if not, why a record is refused for it.
pub fn refusal_of_quantity(meter: &Meter, quantity: Quantity) -> Option<(super::record::Reason, String)> {
    use super::record::Reason;
    if !meter.aggregation.reads_value() {
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
    (quantity > largest).then(|| {
        let detail = format!(
            "the quantity {quantity} is more than {largest}, the most that the meter `{}` can add up over a day",
            meter.name
        );
        (Reason::QuantityOutOfRange, detail)
    })
}
