//! What usage costs: a rule as it was written and checked, before it becomes rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Place, SourceText};
use crate::meter::{Lookup, Meter};
use crate::money::{Cost, Quantity, UnitPrice};
use crate::terms::Terms;

/// Everything that the rule files say.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Sorted by name.
    pub meters: Vec<Meter>,
    /// Sorted by name.
    pub lookups: Vec<Lookup>,
    /// Sorted by id.
    pub rules: Vec<Rule>,
    /// Discounts, commitments, credits and taxes.
    pub terms: Terms,
    /// Every file that was read, in the order of names: what a commit keeps.
    pub sources: Vec<Arc<SourceText>>,
}

impl RuleBook {
    pub fn meter(&self, name: &str) -> Option<&Meter> {
        self.meters.binary_search_by(|meter| meter.name.as_str().cmp(name)).ok().map(|index| &self.meters[index])
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok().map(|index| &self.rules[index])
    }
}

/// One rule: which usage, when, and its price.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub meter: String,
    /// A predicate over dimensions, `project_id`, `account_id`, `resource_id`; where it is not true, the rule does
    /// not apply.
    pub when: Option<Expression>,
    /// Components add up; rules of one component compete.
    pub component: String,
    pub priority: i64,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    pub sku: String,
    pub service: String,
    pub description: String,
    /// Dimensions whose values get invoice lines of their own.
    pub line_by: Vec<String>,
    /// `quantity * vcpus`: what the metered quantity is multiplied by. Absent: one.
    pub pricing_quantity: Option<Expression>,
    pub pricing_unit: PricingUnit,
    /// Rules that name one pool share its running total. Default: the sku.
    pub pool: String,
    pub per: PoolScope,
    pub every: PoolPeriod,
    pub pricing: Pricing,
    pub examples: Vec<RuleExample>,
    pub declared_at: Place,
}

/// An SQL expression as written; it is parsed and checked against an allow-list when rules are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub text: String,
    pub place: Place,
}

/// What one priced unit is, and how many metered units it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricingUnit {
    pub name: String,
    pub of: Divisor,
}

/// The number of metered units in one priced unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    Number(Quantity),
    /// The real hours of the billing period: 743, 744 or 745 in a month with 31 days.
    HoursInPeriod,
    /// The real seconds of the billing period.
    SecondsInPeriod,
}

/// Whose usage counts into one running total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolScope {
    Resource,
    Project,
}

/// When a running total starts again at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolPeriod {
    Day,
    Period,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// `amount` for `per` priced units: shown so, charged exactly. `per` is 1 in most rules.
    UnitPrice { amount: UnitPrice, per: Quantity },
    /// A price for each value of one dimension; a value that is not there falls to the next rule.
    Prices { by: String, values: BTreeMap<String, UnitPrice> },
    /// Rows of a CSV file beside the rules; a combination that is not there falls to the next rule.
    PriceList { file: String, dimensions: Vec<String>, rows: Vec<PriceListRow> },
    /// Each part of the running total at the price of its tier; the last tier is open.
    Graduated { tiers: Vec<Tier> },
    /// Multiplies the unit price of what wins in its component; factors do not compete, they multiply.
    Factor(Factor),
    /// Priced at nothing on purpose.
    Free,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// In priced units, inclusive; `None` in the last tier.
    pub up_to: Option<Quantity>,
    pub unit_price: UnitPrice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    Number(UnitPrice),
    /// A usage whose value is not there cannot be priced, and is listed so.
    By {
        by: String,
        values: BTreeMap<String, UnitPrice>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceListRow {
    /// In the order of the list's `dimensions`; canonical text.
    pub values: Vec<String>,
    pub unit_price: UnitPrice,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    /// Line of the file, from one.
    pub line: usize,
}

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

/// A metered quantity of the rule's meter.
#[derive(Clone, Debug)]
pub struct ExampleUsage {
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
