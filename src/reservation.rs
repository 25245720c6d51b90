//! `[[reservation]]` and `[[hourly_commitment]]`: what an account pays for by the hour, used or not, as written and
//! checked.

use crate::diagnostic::Place;
use crate::money::{Quantity, UnitPrice};
use crate::rating::rule::Expression;
use crate::terms::Validity;

#[derive(Clone, Debug)]
pub struct Reservation {
    pub id: String,
    pub service: String,
    pub sku: String,
    pub description: String,
    pub account: String,
    /// Absent: all projects of the account.
    pub project: Option<String>,
    pub hold: Hold,
    /// The usage that it covers.
    pub covers: Vec<Cover>,
    pub validity: Validity,
    pub declared_at: Place,
}

/// What is held for every hour, and owed whether it is used or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many metered units, at a price for each.
    Quantity { quantity: Quantity, unit_price: UnitPrice },
    /// So much money, spent at the prices of what it covers.
    Amount(UnitPrice),
}

impl Reservation {
    pub const fn charge_kind(&self) -> &'static str {
        match self.hold {
            Hold::Quantity { .. } => "reservation",
            Hold::Amount(_) => "hourly_commitment",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Cover {
    pub meter: String,
    pub when: Option<Expression>,
    /// For each priced unit of the rule that would price it; of a reserved quantity zero.
    pub unit_price: UnitPrice,
}
