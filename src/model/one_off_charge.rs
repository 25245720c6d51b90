//! One-off charges: `[[charge]]`, an amount that an account or a project owes or gets back once.

use iso_currency::Currency;
use jiff::civil::Date;

use crate::model::diagnostic::Place;
use crate::model::money::{Price, Quantity};

/// The charge kind of one-off charges, and the component of their lines.
pub const ONE_OFF: &str = "one_off";

/// The name in `line_by` that precedes the id of a charge, so that each charge has its own line.
const LINE_BY: &str = "charge=";

/// A charge that is billed once.
#[derive(Clone, Debug)]
pub struct OneOffCharge {
    /// The identity of the charge. A billed id is never billed again.
    pub id: String,
    pub date: Date,
    pub payer: ChargePayer,
    pub service: String,
    pub sku: String,
    pub description: String,
    /// The quantity, negative for a compensation. It is 1 or -1 if the charge is an amount without a unit.
    pub quantity: Quantity,
    /// The unit; empty if the charge is an amount.
    pub unit: String,
    /// The price of one unit, or the absolute amount.
    pub unit_price: Price,
    pub currency: Currency,
    /// The id of the `[[tax]]` of the line, and its place; `None` for the tax that matches the line.
    pub tax: Option<(String, Place)>,
    pub reason: Option<String>,
    pub approved_by: Option<String>,
    pub declared_at: Place,
    /// The place of the date.
    pub dated_at: Place,
    /// The place of the account or project.
    pub payer_at: Place,
}

/// The account or the project that a charge names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargePayer {
    Account(String),
    /// The account that has the project on the day of the charge pays.
    Project(String),
}

/// The `line_by` of the line of a charge.
pub fn line_by_of(charge_id: &str) -> String {
    format!("{LINE_BY}{charge_id}")
}

/// The id of the charge in the `line_by` of a line.
pub fn charge_id_of(line_by: &str) -> Option<&str> {
    line_by.strip_prefix(LINE_BY)
}
