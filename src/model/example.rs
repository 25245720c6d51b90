//! Examples of a rule: usage and its expected cost.

use crate::model::diagnostic::Place;
use crate::model::money::{Cost, Quantity};
use std::collections::BTreeMap;

/// Usage and the expected cost of a rule, for `conto rules test`.
#[derive(Clone, Debug)]
pub struct RuleExample {
    pub name: String,
    /// A month such as `2026-10`, which determines the hours of the period.
    /// Default: the month of the first usage, else 2026-01.
    pub period: Option<String>,
    /// At least one.
    pub usage: Vec<ExampleUsage>,
    /// The exact cost, before rounding.
    pub cost: Option<Cost>,
    /// The sum of the rounded invoice lines.
    pub net_amount: Option<Cost>,
    pub declared_at: Place,
}

/// A metered quantity of an example.
#[derive(Clone, Debug)]
pub struct ExampleUsage {
    /// Default: the meter of the rule. Usage of other meters counts in its pool or brings included units.
    pub meter: Option<String>,
    /// Microseconds UTC; default: the start of the period.
    pub at: Option<i64>,
    pub quantity: Quantity,
    /// Default: `resource`.
    pub resource_id: Option<String>,
    /// Default: `project`.
    pub project_id: Option<String>,
    /// Canonical values of the meter's dimensions, by name.
    pub dimensions: BTreeMap<String, String>,
}
