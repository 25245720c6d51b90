//! `[[recurring]]`: what an account, a project or a resource owes for a month of a thing, as written and checked.

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Cost, Quantity, UnitPrice};
use crate::model::period::DayNumber;
use crate::model::terms::Validity;

#[derive(Clone, Debug)]
pub struct Recurring {
    pub id: String,
    pub service: String,
    pub sku: String,
    pub description: String,
    /// The rate card it stands on. Of fees with one sku an account has that of its first card.
    pub card: String,
    pub per: FeeScope,
    /// Those who owe it; empty: everybody.
    pub accounts: Vec<String>,
    /// A predicate over what is known of an account or project, or of a resource.
    pub when: Option<Expression>,
    /// How many of the thing each of them has.
    pub quantity: Quantity,
    /// What a whole period of one of it is called.
    pub unit: String,
    /// For the whole period.
    pub unit_price: UnitPrice,
    pub currency: Currency,
    pub billed: Billed,
    pub validity: Validity,
    pub examples: Vec<RecurringExample>,
    pub declared_at: Place,
}

/// Who or what owes a fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeeScope {
    Account,
    Project,
    /// A resource owes it on each local date on which it was used.
    Resource {
        meter: String,
        /// Dimensions whose values get invoice lines of their own.
        line_by: Vec<String>,
    },
}

impl FeeScope {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Project => "project",
            Self::Resource { .. } => "resource",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billed {
    /// With the usage of the period before.
    InAdvance,
    /// With the usage of the period itself.
    InArrears,
}

impl Billed {
    pub const ALL: [(&'static str, Self); 2] = [("in_advance", Self::InAdvance), ("in_arrears", Self::InArrears)];
}

/// What one who has the fee owes for one period.
#[derive(Clone, Debug)]
pub struct RecurringExample {
    pub say: String,
    pub period: Option<String>,
    /// From which day on, and until which day exclusively, somebody has it.
    pub from: Option<DayNumber>,
    pub to: Option<DayNumber>,
    /// Exact, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}
