//! Commitment discounts: `[[reservation]]` and `[[hourly_commitment]]`.
//!
//! An account pays for every hour, with or without usage.

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::example::ExampleUsage;
use crate::model::expression::Expression;
use crate::model::money::{Cost, Price, Quantity};
use crate::model::period::DayNumber;
use crate::model::terms::Validity;

/// The commitment of an account to a quantity or an amount for each hour, with the covered usage.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub id: String,
    pub service: String,
    pub sku: String,
    pub description: String,
    pub account: String,
    /// Absent: all projects of the account.
    pub project: Option<String>,
    pub committed: Committed,
    /// The currency of the price or amount. A committed amount only covers usage that is priced in this currency.
    pub currency: Currency,
    /// The covered usage.
    pub covers: Vec<Cover>,
    pub validity: Validity,
    pub examples: Vec<CommitmentExample>,
    pub declared_at: Place,
}

/// The commitment for each hour. The account owes it even without usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Metered units, with a price for each unit.
    Quantity { quantity: Quantity, unit_price: Price },
    /// An amount, which the covered usage consumes at the unit price of its [`Cover`].
    Amount(Price),
}

impl Reservation {
    /// The charge kind of the invoice lines, which is the name of the table in rule files.
    pub const fn charge_kind(&self) -> &'static str {
        match self.committed {
            Committed::Quantity { .. } => "reservation",
            Committed::Amount(_) => "hourly_commitment",
        }
    }
}

/// Usage under a commitment, and the expected cost. The cost includes the commitment itself and the usage that the
/// commitment does not cover.
#[derive(Clone, Debug)]
pub struct CommitmentExample {
    pub name: String,
    /// A month such as `2026-10`. The default is the month of `from` or of the first usage, or else 2026-01.
    pub period: Option<String>,
    /// The first day of the commitment, inclusive.
    pub from: Option<DayNumber>,
    /// The end of the commitment, exclusive.
    pub to: Option<DayNumber>,
    /// The covered and uncovered usage. If the commitment covers several meters, each usage names its meter.
    pub usage: Vec<ExampleUsage>,
    /// The exact cost, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}

/// Usage of one meter that a commitment covers.
#[derive(Clone, Debug)]
pub struct Cover {
    pub meter: String,
    pub when: Option<Expression>,
    /// The price of one pricing unit; zero for a reserved quantity. The pricing unit is the unit of the rule that would
    /// price the usage.
    pub unit_price: Price,
}
