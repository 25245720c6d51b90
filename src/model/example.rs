//! Examples of a rule: usage and its expected cost.

use crate::model::diagnostic::Place;
use crate::model::money::{Cost, Quantity};
use std::collections::BTreeMap;

/// Usage and the expected cost of a rule, for `conto rules test`.
#[derive(Clone, Debug)]
pub struct RuleExample {
    pub name: String,
    /// A month such as `2026-10`, which determines the hours of the period.
    /// The default is the month of the first usage, or else 2026-01.
    pub period: Option<String>,
    /// The usage; at least one entry.
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
    /// The meter; absent: the meter of the rule. Usage of another meter counts in the pool of the rule or adds included
    /// units to the pool.
    pub meter: Option<String>,
    /// The time in microseconds UTC; absent: the start of the period.
    pub at: Option<i64>,
    pub quantity: Quantity,
    /// The number of consecutive windows with this usage; at least one.
    pub windows: u32,
    /// The id of the resource; absent: `resource`.
    pub resource_id: Option<String>,
    /// The id of the project; absent: `project`.
    pub project_id: Option<String>,
    /// The canonical values of the meter's dimensions, by name.
    pub dimensions: BTreeMap<String, String>,
}
