//! What usage costs: a rule as it was written and checked, before it becomes rows.

use crate::model::example::RuleExample;
use crate::model::expression::Expression;
use std::collections::BTreeMap;

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::money::{Quantity, UnitPrice};

/// The rate card of a rule that names none, and of an account that names none.
pub const PUBLIC: &str = "public";

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
    /// The rate card that the price stands on. An account has a list of cards; the first that prices wins.
    pub card: String,
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
    /// Where there is one, only this percentile of the pool's windows is used, not the sum of them.
    pub percentile: Option<Quantity>,
    pub round_quantity: Option<QuantityRounding>,
    /// Rules that name one pool share its running total. Default: the sku.
    pub pool: String,
    pub per: PoolScope,
    pub every: PoolPeriod,
    /// In priced units, taken off the pool's running total before any tier.
    pub free_units: Quantity,
    pub pricing: Pricing,
    /// Of its prices, fees, minimum, maximum and cap.
    pub currency: Currency,
    /// Other prices at other times of the day, week or year; the first that holds wins.
    pub windows: Vec<PriceWindow>,
    /// Whether the flat fee of the first tier is due where nothing was used.
    pub flat_fee_at_zero: bool,
    /// Whether the minimum is due where a real month has no usage at all.
    pub minimum_at_zero: bool,
    /// What a pool costs at the least.
    pub minimum: Option<UnitPrice>,
    /// What a pool costs at the most.
    pub maximum: Option<UnitPrice>,
    pub cap: Option<Cap>,
    pub examples: Vec<RuleExample>,
    pub declared_at: Place,
}

impl Rule {
    /// Whether its usage counts in this pool; a factor has none.
    pub fn counts_in(&self, pool: &str) -> bool {
        self.pool == pool && !matches!(self.pricing, Pricing::Factor(_))
    }

    /// Whether hours count towards a cap, in the rule or in a row of its list.
    pub fn has_cap(&self) -> bool {
        let in_a_row =
            matches!(&self.pricing, Pricing::PriceList { rows, .. } if rows.iter().any(|row| row.cap.is_some()));
        self.cap.is_some() || in_a_row
    }
}

/// The period of an example that names none.
pub const DEFAULT_PERIOD: &str = "2026-01";

/// `[[included_units]]`: units that a pool has for nothing for each resource of a meter.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: String,
    /// The meter whose resources count.
    pub meter: String,
    /// A predicate over what describes those resources.
    pub when: Option<Expression>,
    pub pool: String,
    /// For one resource, in priced units of the pool.
    pub units: Quantity,
    /// Whether a resource that is there for a part of the period brings that part.
    pub prorated: bool,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    pub declared_at: Place,
}

impl Grant {
    pub fn holds_at(&self, instant: i64) -> bool {
        self.valid_from.is_none_or(|from| from <= instant) && self.valid_to.is_none_or(|to| instant < to)
    }
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

impl Divisor {
    /// The metered units in one priced unit, in a period of so many seconds.
    pub fn units(self, seconds: i64) -> Quantity {
        match self {
            Self::Number(number) => number,
            Self::SecondsInPeriod => Quantity::from_integer(seconds),
            // Clocks are moved by quarters of an hour at the least, so the quotient ends within nine places.
            Self::HoursInPeriod => Quantity::from_units(i128::from(seconds) * 1_000_000_000 / 3600),
        }
    }
}

/// Whose usage counts into one running total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolScope {
    Resource,
    Project,
    /// All projects of an account; each has a share of every tier in proportion to its usage.
    Account,
}

impl PoolScope {
    pub const ALL: [(&'static str, Self); 3] =
        [("resource", Self::Resource), ("project", Self::Project), ("account", Self::Account)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Project => "project",
            Self::Account => "account",
        }
    }
}

/// When a running total starts again at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolPeriod {
    /// A window of the meter, such as an hour.
    Window,
    Day,
    Period,
}

impl PoolPeriod {
    pub const ALL: [(&'static str, Self); 3] = [("window", Self::Window), ("day", Self::Day), ("period", Self::Period)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Day => "day",
            Self::Period => "period",
        }
    }
}

/// To a multiple, counted over a pool and a day or the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantityRounding {
    pub direction: Direction,
    /// In priced units.
    pub multiple_of: Quantity,
    /// `Day` or `Period`.
    pub every: PoolPeriod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
    /// Halves go up.
    Nearest,
}

impl Direction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Nearest => "nearest",
        }
    }
}

/// A price for packages of so many priced units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    pub size: Quantity,
    /// A started package costs a whole one; otherwise only complete ones cost anything.
    pub started: bool,
}

/// From so many hours of a resource on, this price and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub hours: Quantity,
    pub price: UnitPrice,
}

/// A price at certain local times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceWindow {
    /// Monday first.
    pub days: [bool; 7],
    /// January first.
    pub months: [bool; 12],
    /// Minutes of the local clock, inclusive.
    pub from_minute: u16,
    /// Exclusive; 1,440 is midnight. Not after the start: the window goes over midnight.
    pub to_minute: u16,
    /// Days since 1970-01-01; where there are any, only these.
    pub dates: Vec<i32>,
    /// Never on these.
    pub except: Vec<i32>,
    pub unit_price: UnitPrice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// `amount` for `per` priced units: shown so, charged exactly. `per` is 1 in most rules.
    UnitPrice { amount: UnitPrice, per: Quantity },
    /// A price for each value of one dimension; a value that is not there falls to the next rule.
    Prices { by: String, values: BTreeMap<String, UnitPrice> },
    /// Rows of a CSV file beside the rules; a combination that is not there falls to the next rule.
    PriceList { file: String, dimensions: Vec<String>, rows: Vec<PriceListRow> },
    /// The last tier is open.
    Tiers { kind: TierKind, bounds: TierUnit, tiers: Vec<Tier> },
    /// A price for each package of priced units.
    Package { unit_price: UnitPrice, package: Package },
    /// The quantity is money, and this is the part of it that is due.
    Percent(UnitPrice),
    /// Nothing but a cap: each hour costs its part of the cap's price.
    CapAlone,
    /// Multiplies the unit price of what wins in its component; factors do not compete, they multiply.
    Factor(Factor),
    /// Priced at nothing on purpose.
    Free,
}

/// What tiers do with the running total of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierKind {
    /// Each part of the total at the price of its own tier.
    Graduated,
    /// The whole total at the price of the tier it reaches.
    Volume,
    /// The flat fee of the tier that the total reaches, and nothing else.
    Stairstep,
}

impl TierKind {
    pub const ALL: [(&'static str, Self); 3] =
        [("graduated", Self::Graduated), ("volume", Self::Volume), ("stairstep", Self::Stairstep)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Graduated => "graduated",
            Self::Volume => "volume",
            Self::Stairstep => "stairstep",
        }
    }
}

/// What the bounds of tiers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierUnit {
    Priced,
    /// Percents of the hours of the period.
    PercentOfPeriod,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Inclusive; `None` in the last tier.
    pub up_to: Option<Quantity>,
    pub price: TierPrice,
    /// Due once where the tier is entered (graduated) or reached (volume, stairstep).
    pub flat_fee: UnitPrice,
}

/// What a unit in a tier costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierPrice {
    Unit(UnitPrice),
    Package(UnitPrice, Package),
    Percent(UnitPrice),
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
    /// In place of the rule's own.
    pub cap: Option<Cap>,
    /// In place of the rule's own.
    pub maximum: Option<UnitPrice>,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    /// Line of the file, from one.
    pub line: usize,
}
