//! Rules: prices of usage as read and checked, before they are converted to rows.

use crate::model::example::RuleExample;
use crate::model::expression::Expression;
use std::collections::BTreeMap;

use iso_currency::Currency;

use crate::model::diagnostic::Place;
use crate::model::money::{self, Price, Quantity};

/// The rate card with the list prices. It is the default of rules and accounts.
pub const PUBLIC: &str = "public";

/// A price for a meter, with its conditions.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub meter: String,
    /// A predicate over dimensions, `project_id`, `account_id` and `resource_id`. The rule applies only if the
    /// predicate is true.
    pub when: Option<Expression>,
    /// Prices of different components are added. Rules of one component compete.
    pub component: String,
    /// The rate card of the price. The first card of an account with a price for the usage wins.
    pub card: String,
    pub priority: i64,
    /// The start in microseconds UTC, inclusive; `None`: no start.
    pub valid_from: Option<i64>,
    /// The end in microseconds UTC, exclusive; `None`: no end.
    pub valid_to: Option<i64>,
    pub sku: String,
    pub service: String,
    pub description: String,
    /// Dimensions with a separate invoice line for each value.
    pub line_by: Vec<String>,
    /// The expression of the pricing quantity, such as `quantity * vcpus`; absent: the metered quantity.
    pub pricing_quantity: Option<Expression>,
    pub pricing_unit: PricingUnit,
    /// The percentile of the windows' quantities that is priced; absent: the sum of the quantities is priced.
    pub percentile: Option<Percentile>,
    pub round_quantity: Option<QuantityRounding>,
    /// The pool of the rule; by default the SKU. Rules with the same pool share one running total.
    pub pool: String,
    pub per: PoolScope,
    pub every: PoolPeriod,
    /// The pricing units of the pool that are free. They are subtracted before tiers apply.
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
    pub minimum: Option<Price>,
    /// The maximum cost of a pool.
    pub maximum: Option<Price>,
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
    /// The free pricing units of the pool for one resource.
    pub units: Quantity,
    /// Whether a resource that exists for a part of the period adds only that part of the units.
    pub prorated: bool,
    /// The start in microseconds UTC, inclusive; `None`: no start.
    pub valid_from: Option<i64>,
    /// The end in microseconds UTC, exclusive; `None`: no end.
    pub valid_to: Option<i64>,
    pub declared_at: Place,
}

impl PoolIncludedUnits {
    pub fn is_valid_at(&self, instant: i64) -> bool {
        self.valid_from.is_none_or(|from| from <= instant) && self.valid_to.is_none_or(|to| instant < to)
    }
}

/// The pricing unit: its name, and the number of metered units in one pricing unit.
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
            Self::HoursInPeriod => Quantity::from_units(i128::from(seconds) * Quantity::ONE.units() / 3600),
        }
    }
}

/// The usage that shares one running total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolScope {
    Resource,
    Project,
    /// All projects of an account. Each project has a share of every tier in proportion to its usage.
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

/// A percentile of the quantities of a pool's windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile {
    /// The percentage of the windows that count; more than zero, at most 100.
    pub percent: Quantity,
    pub missing_windows: MissingWindows,
}

/// The treatment of windows without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingWindows {
    /// A window of the period without a record has a quantity of zero.
    Zero,
    /// Only windows with a record have a rank.
    Ignore,
}

impl MissingWindows {
    pub const ALL: [(&'static str, Self); 2] = [("zero", Self::Zero), ("ignore", Self::Ignore)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Ignore => "ignore",
        }
    }
}

/// The rounding of a pool's quantity to a multiple, for each day or for the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantityRounding {
    pub direction: Direction,
    /// The multiple, in pricing units.
    pub multiple_of: Quantity,
    /// The time over which the quantity is rounded: `Day` or `Period`.
    pub every: PoolPeriod,
}

/// The direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
    /// Halves are rounded away from zero.
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
    /// `true`: a started package costs as much as a complete package. `false`: only complete packages are charged.
    pub started: bool,
}

/// The fixed price of a pool that reaches a number of hours. Further hours cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub hours: Quantity,
    pub price: Price,
}

/// A price at certain local times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceWindow {
    /// The days of the week, from Monday.
    pub days: [bool; 7],
    /// The months of the year, from January.
    pub months: [bool; 12],
    /// The start in minutes since local midnight, inclusive.
    pub from_minute: u16,
    /// The end in minutes since local midnight, exclusive; 1,440 is the end of the day. An end that is not after the
    /// start is on the next day.
    pub to_minute: u16,
    /// Day numbers. If the list is not empty, the window applies only on these dates.
    pub dates: Vec<i32>,
    /// Day numbers on which the window does not apply.
    pub except: Vec<i32>,
    pub unit_price: Price,
}

/// The form of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// The price `amount` for `per` pricing units; `per` is usually 1. Documents show both numbers, and the charge is
    /// exact.
    UnitPrice { amount: Price, per: Quantity },
    /// A price for each value of one dimension. The next rule prices usage with other values.
    Prices { by: String, values: BTreeMap<String, Price> },
    /// A price for each row of a CSV file. The next rule prices combinations of values without a row.
    PriceList { file: String, dimensions: Vec<String>, rows: Vec<PriceListRow> },
    /// A price for each tier of the pool's total. The last tier has no upper bound.
    Tiers { kind: TierKind, bounds: TierUnit, tiers: Vec<Tier> },
    /// A price for each package of pricing units.
    Package { unit_price: Price, package: Package },
    /// A percentage of the quantity. The quantity is an amount of money.
    Percent(Price),
    /// A cap without another price: each hour costs its part of the cap's price.
    CapOnly,
    /// A multiplier of the winning unit price of the component. Factors do not compete: all matching factors apply.
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
    /// The pricing unit.
    Priced,
    /// A percentage of the hours of the period.
    PercentOfPeriod,
}

/// A range of a pool with its own price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The upper bound; `None` in the last tier.
    pub up_to: Option<Quantity>,
    /// Whether a total that equals the upper bound is in the next tier.
    pub is_below: bool,
    pub price: TierPrice,
    /// A fee that is due once if the total enters the tier (graduated) or ends in the tier (volume, stairstep).
    pub flat_fee: Price,
    /// The maximum cost of the tier in a pool, with its flat fee. It is not less than the flat fee.
    pub max_amount: Option<Price>,
}

/// The price of a unit in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierPrice {
    Unit(Price),
    Package(Price, Package),
    Percent(Price),
}

/// The value of a factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    Number(money::Factor),
    /// A factor for each value of a dimension. Usage with another value has no price and is listed as unrated.
    By {
        by: String,
        values: BTreeMap<String, money::Factor>,
    },
}

/// A row of a price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceListRow {
    /// The canonical values, in the order of the `dimensions` of the price list.
    pub values: Vec<String>,
    pub unit_price: Price,
    /// The cap, which replaces the cap of the rule.
    pub cap: Option<Cap>,
    /// The maximum, which replaces the maximum of the rule.
    pub maximum: Option<Price>,
    /// The start in microseconds UTC, inclusive; `None`: no start.
    pub valid_from: Option<i64>,
    /// The end in microseconds UTC, exclusive; `None`: no end.
    pub valid_to: Option<i64>,
    /// The line in the file, counted from one.
    pub line: usize,
}
