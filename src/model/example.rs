//! Examples of a rule: usage and its expected cost.

use crate::model::diagnostic::Place;
use crate::model::money::{Cost, Quantity};
use std::collections::BTreeMap;

/// An example runs through the real SQL: `conto rules test`.
#[derive(Clone, Debug)]
pub struct RuleExample {
    pub say: String,
    /// `2026-10`; decides the hours in the period. Default: the month of the first usage, else 2026-01.
    pub period: Option<String>,
    /// At least one.
    pub usage: Vec<ExampleUsage>,
    /// Exact, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}

/// A metered quantity.
#[derive(Clone, Debug)]
pub struct ExampleUsage {
    /// Default: the rule's. Others fill its pool or bring it an allowance.
    pub meter: Option<String>,
    /// Microseconds UTC; default: the start of the period.
    pub at: Option<i64>,
    pub quantity: Quantity,
    /// Default: `resource`.
    pub resource_id: Option<String>,
    /// Default: `project`.
    pub project_id: Option<String>,
    /// Canonical text of the meter's dimensions, by name.
    pub dimensions: BTreeMap<String, String>,
}
