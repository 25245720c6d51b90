//! `[[reservation]]` and `[[hourly_commitment]]`: what an account pays for by the hour, used or not, as written and
//! checked.

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::example::ExampleUsage;
use crate::model::expression::Expression;
use crate::model::money::{Cost, Quantity, UnitPrice};
use crate::model::period::DayNumber;
use crate::model::terms::Validity;

#[derive(Clone, Debug)]
pub struct Reservation {
    pub id: String,
    pub service: String,
    pub sku: String,
    pub description: String,
    pub account: String,
    /// Absent: all projects of the account.
    pub project: Option<String>,
    pub hold: Committed,
    /// Of what is paid for it. A sum of money covers usage that is priced in its own currency.
    pub currency: Currency,
    /// The usage that it covers.
    pub covers: Vec<Cover>,
    pub validity: Validity,
    pub examples: Vec<CommitmentExample>,
    pub declared_at: Place,
}

/// What is held for every hour, and owed whether it is used or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// So many metered units, at a price for each.
    Quantity { quantity: Quantity, unit_price: UnitPrice },
    /// So much money, spent at the prices of what it covers.
    Amount(UnitPrice),
}

impl Reservation {
    pub const fn charge_kind(&self) -> &'static str {
        match self.hold {
            Committed::Quantity { .. } => "reservation",
            Committed::Amount(_) => "hourly_commitment",
        }
    }
}

/// What one who holds it pays: for what is held, used and not used, and for what is left of some usage.
#[derive(Clone, Debug)]
pub struct CommitmentExample {
    pub say: String,
    /// `2026-10`. Default: the month of the first day or of the first usage, else 2026-01.
    pub period: Option<String>,
    /// From which day on, and until which day exclusively, it is held.
    pub from: Option<DayNumber>,
    pub to: Option<DayNumber>,
    /// What there is of what it covers, and beside it; of a commitment over several meters each says its own.
    pub usage: Vec<ExampleUsage>,
    /// Exact, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}

#[derive(Clone, Debug)]
pub struct Cover {
    pub meter: String,
    pub when: Option<Expression>,
    /// For each priced unit of the rule that would price it; of a reserved quantity zero.
    pub unit_price: UnitPrice,
}
