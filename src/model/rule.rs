//! Rules: prices of usage as read and checked, before they are converted to rows.

use crate::model::example::RuleExample;
use crate::model::expression::Expression;
use std::collections::BTreeMap;

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::money::{Quantity, UnitPrice};

/// The rate card of rules and accounts that name none: the list prices.
pub const PUBLIC: &str = "public";

/// A price for a meter, with its conditions.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub meter: String,
    /// A predicate over dimensions, `project_id`, `account_id` and `resource_id`. The rule applies only if it is true.
    pub when: Option<Expression>,
    /// Prices of different components are added. Rules of one component compete.
    pub component: String,
    /// The rate card of the price. The first card of an account with a price for the usage wins.
    pub card: String,
    pub priority: i64,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    pub sku: String,
    pub service: String,
    pub description: String,
    /// Dimensions with a separate invoice line for each value.
    pub line_by: Vec<String>,
    /// The expression of the pricing quantity, such as `quantity * vcpus`; absent: the metered quantity.
    pub pricing_quantity: Option<Expression>,
    pub pricing_unit: PricingUnit,
    /// The percentile of the pool's windows that is priced; absent: their sum.
    pub percentile: Option<Quantity>,
    pub round_quantity: Option<QuantityRounding>,
    /// The pool of the rule. Rules with the same pool share its running total. Default: the SKU.
    pub pool: String,
    pub per: PoolScope,
    pub every: PoolPeriod,
    /// Pricing units of the pool without a charge, subtracted before any tier.
    pub free_units: Quantity,
    pub pricing: Pricing,
    /// The currency of prices, fees, minimum, maximum and cap.
    pub currency: Currency,
    /// Other prices at certain times of the day, week or year. The first matching window wins.
    pub windows: Vec<PriceWindow>,
    /// Whether the flat fee of the first tier is due without usage.
    pub flat_fee_at_zero: bool,
    /// Whether the minimum is due in a month without usage.
    pub minimum_at_zero: bool,
    /// The minimum cost of a pool.
    pub minimum: Option<UnitPrice>,
    /// The maximum cost of a pool.
    pub maximum: Option<UnitPrice>,
    pub cap: Option<Cap>,
    pub examples: Vec<RuleExample>,
    pub declared_at: Place,
}

impl Rule {
    /// Whether usage of the rule counts in a pool. A factor has no pool.
    pub fn counts_in(&self, pool: &str) -> bool {
        self.pool == pool && !matches!(self.pricing, Pricing::Factor(_))
    }

    /// Whether the rule or a row of its price list has a cap.
    pub fn has_cap(&self) -> bool {
        let is_in_price_list =
            matches!(&self.pricing, Pricing::PriceList { rows, .. } if rows.iter().any(|row| row.cap.is_some()));
        self.cap.is_some() || is_in_price_list
    }
}

/// The period of an example without a period.
pub const DEFAULT_PERIOD: &str = "2026-01";

/// Free units of a pool for each resource of a meter: `[[included_units]]`.
#[derive(Clone, Debug)]
pub struct PoolIncludedUnits {
    pub id: String,
    /// The meter whose resources count.
    pub meter: String,
    /// A predicate over the dimensions of those resources.
    pub when: Option<Expression>,
    pub pool: String,
    /// Pricing units of the pool for one resource.
    pub units: Quantity,
    /// Whether a resource that exists for a part of the period brings that part of the units.
    pub prorated: bool,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    pub declared_at: Place,
}

impl PoolIncludedUnits {
    pub fn is_valid_at(&self, instant: i64) -> bool {
        self.valid_from.is_none_or(|from| from <= instant) && self.valid_to.is_none_or(|to| instant < to)
    }
}

/// The pricing unit: its name, and the metered units in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricingUnit {
    pub name: String,
    pub of: Divisor,
}

/// The number of metered units in one pricing unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    Number(Quantity),
    /// The elapsed hours of the billing period: 743, 744 or 745 in a month with 31 days.
    HoursInPeriod,
    /// The elapsed seconds of the billing period.
    SecondsInPeriod,
}

impl Divisor {
    /// The metered units in one pricing unit, for a period of the given length.
    pub fn units(self, seconds: i64) -> Quantity {
        match self {
            Self::Number(number) => number,
            Self::SecondsInPeriod => Quantity::from_integer(seconds),
            // Clock changes are multiples of a quarter of an hour, so the quotient has at most nine places.
            Self::HoursInPeriod => Quantity::from_units(i128::from(seconds) * 1_000_000_000 / 3600),
        }
    }
}

/// The usage that shares one running total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolScope {
    Resource,
    Project,
    /// All projects of an account. Each has a share of every tier in proportion to its usage.
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

/// The time after which a running total restarts at zero.
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

/// The rounding of a pool's quantity to a multiple, for each day or for the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantityRounding {
    pub direction: Direction,
    /// In pricing units.
    pub multiple_of: Quantity,
    /// `Day` or `Period`.
    pub every: PoolPeriod,
}

/// The direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
    /// Halves are rounded up.
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

/// A package of pricing units with one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    pub size: Quantity,
    /// `true`: a started package costs as much as a complete one. `false`: only complete packages are charged.
    pub started: bool,
}

/// The price of a pool from a number of hours on. Further hours cost nothing.
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
    /// Exclusive; 1,440 is midnight. A value that is not after the start is on the next day.
    pub to_minute: u16,
    /// Day numbers. If not empty, the window applies only on these dates.
    pub dates: Vec<i32>,
    /// Day numbers on which the window does not apply.
    pub except: Vec<i32>,
    pub unit_price: UnitPrice,
}

/// The form of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// `amount` for `per` pricing units. Documents show both numbers; the charge is exact. `per` is usually 1.
    UnitPrice { amount: UnitPrice, per: Quantity },
    /// A price for each value of one dimension. Other values are priced by the next rule.
    Prices { by: String, values: BTreeMap<String, UnitPrice> },
    /// Rows of a CSV file. Combinations without a row are priced by the next rule.
    PriceList { file: String, dimensions: Vec<String>, rows: Vec<PriceListRow> },
    /// The last tier is open.
    Tiers { kind: TierKind, bounds: TierUnit, tiers: Vec<Tier> },
    /// A price for each package of pricing units.
    Package { unit_price: UnitPrice, package: Package },
    /// A percentage of the quantity, which is an amount of money.
    Percent(UnitPrice),
    /// A cap without another price: each hour costs its part of the cap's price.
    CapOnly,
    /// A multiplier of the winning unit price of its component. Factors do not compete; all of them apply.
    Factor(Factor),
    /// An intentional price of zero.
    Free,
}

/// The application of tiers to the running total of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierKind {
    /// Each part of the total is charged at the price of its own tier.
    Graduated,
    /// The whole total is charged at the price of the tier that it reaches.
    Volume,
    /// Only the flat fee of the tier that the total reaches is charged.
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

/// The unit of tier bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierUnit {
    Priced,
    /// A percentage of the hours of the period.
    PercentOfPeriod,
}

/// A range of a pool with its own price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Inclusive; `None` in the last tier.
    pub up_to: Option<Quantity>,
    pub price: TierPrice,
    /// Due once if the tier is entered (graduated) or reached (volume, stairstep).
    pub flat_fee: UnitPrice,
}

/// The price of a unit in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierPrice {
    Unit(UnitPrice),
    Package(UnitPrice, Package),
    Percent(UnitPrice),
}

/// The value of a factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    Number(UnitPrice),
    /// A factor for each value of a dimension. Usage with another value cannot be priced and is listed as unrated.
    By {
        by: String,
        values: BTreeMap<String, UnitPrice>,
    },
}

/// A row of a price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceListRow {
    /// In the order of the list's `dimensions`; canonical text.
    pub values: Vec<String>,
    pub unit_price: UnitPrice,
    /// Replaces the cap of the rule.
    pub cap: Option<Cap>,
    /// Replaces the maximum of the rule.
    pub maximum: Option<UnitPrice>,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
    /// The line in the file, counted from one.
    pub line: usize,
}
