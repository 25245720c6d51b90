//! Recurring fees: `[[recurring]]`, a monthly fee of an account, a project or a resource.

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Cost, Price, Quantity};
use crate::model::period::DayNumber;
use crate::model::terms::Validity;

/// A fee that is charged by the day, with or without usage.
#[derive(Clone, Debug)]
pub struct RecurringFee {
    pub id: String,
    pub service: String,
    pub sku: String,
    pub description: String,
    /// The rate card of the fee. If several fees have the same SKU, an account owes the fee of its first matching card.
    pub card: String,
    pub per: FeeScope,
    /// The accounts that owe the fee; empty: all accounts.
    pub accounts: Vec<String>,
    /// A predicate over columns of the account or project, or of the resource.
    pub when: Option<Expression>,
    /// The quantity for each account, project or resource.
    pub quantity: Quantity,
    /// The unit of a whole period, such as `month`.
    pub unit: String,
    /// The price of one unit for the whole period.
    pub unit_price: Price,
    pub currency: Currency,
    pub billed: Billed,
    pub validity: Validity,
    pub examples: Vec<RecurringExample>,
    pub declared_at: Place,
}

/// The kind of object that owes a fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeeScope {
    Account,
    Project,
    /// A resource owes the fee for each local date with usage.
    Resource {
        meter: String,
        /// Dimensions with a separate invoice line for each value.
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

/// The invoice that contains a fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billed {
    /// The invoice with the usage of the previous period.
    InAdvance,
    /// The invoice with the usage of the period itself.
    InArrears,
}

impl Billed {
    pub const ALL: [(&'static str, Self); 2] = [("in_advance", Self::InAdvance), ("in_arrears", Self::InArrears)];
}

/// One subscription and its expected charge for a period.
#[derive(Clone, Debug)]
pub struct RecurringExample {
    pub name: String,
    pub period: Option<String>,
    /// The first day of the subscription, inclusive.
    pub from: Option<DayNumber>,
    /// The end of the subscription, exclusive.
    pub to: Option<DayNumber>,
    /// The exact cost, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}
