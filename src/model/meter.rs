//! Meters, with source meters, aggregation, unit, dimensions and labels.

use crate::model::diagnostic::Place;
use crate::model::money::Quantity;

/// The function that computes the metered quantity of a window from its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregation {
    /// The sum of amounts (delta meters).
    Sum,
    Max,
    Min,
    /// The unweighted mean of the values.
    Mean,
    /// The value of the last sample of the window.
    Last,
    /// The number of samples.
    Count,
    /// The number of different values of a dimension. A window has one for each value with a sample.
    CountUnique,
    /// One for each window with a sample, whatever its value.
    Presence,
    /// The covered seconds. Each sample covers the time until the next sample, at most `max_gap`.
    Duration,
    /// The increase of a counter. If a value is smaller than the previous value, the counter restarted at zero.
    Increase,
    /// The integral of a level over time, in unit-seconds. A value is valid until the next sample, at most `max_gap`.
    TimeWeighted,
}

impl Aggregation {
    pub const ALL: [Self; 11] = [
        Self::Sum,
        Self::Max,
        Self::Min,
        Self::Mean,
        Self::Last,
        Self::Count,
        Self::CountUnique,
        Self::Presence,
        Self::Duration,
        Self::Increase,
        Self::TimeWeighted,
    ];

    /// The name in rule files and in the relation `meter`, and the name of the SQL file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::Count => "count",
            Self::CountUnique => "count_unique",
            Self::Presence => "presence",
            Self::Duration => "duration",
            Self::Increase => "increase",
            Self::TimeWeighted => "time_weighted",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregation| aggregation.name() == name)
    }

    /// Whether the aggregation uses the value of a sample. Otherwise the value may be a status code.
    pub const fn reads_value(self) -> bool {
        !matches!(self, Self::Presence | Self::Duration | Self::Count | Self::CountUnique)
    }

    /// The largest value of a sample. Without this limit, a single invalid record could stop a whole run.
    ///
    /// The quantity of a date has 29 digits before the point in `DECIMAL(38,9)`, and one day of a level is 86,400 times
    /// the value. A counter may be larger, because only its increase counts.
    pub const fn largest_value(self) -> Quantity {
        match self {
            Self::Increase => Quantity::from_integer(i64::MAX),
            _ => Quantity::from_integer(1_000_000_000_000_000_000),
        }
    }

    /// Whether a meter with this aggregation can accept negative records. In a sum, a negative record takes back
    /// earlier usage. Other aggregations would count it as a state or as a counter.
    pub const fn can_be_signed(self) -> bool {
        matches!(self, Self::Sum)
    }

    /// Whether every record adds to the result. If so, two records of one instant with different ids are both counted.
    pub const fn is_additive(self) -> bool {
        matches!(self, Self::Sum | Self::Count)
    }
}

/// A kind of usage that Conto measures.
#[derive(Clone, Debug)]
pub struct Meter {
    pub name: String,
    pub aggregation: Aggregation,
    /// The unit of the metered quantity, such as `instance-hour`, `GiB-hour` or `B`.
    pub unit: String,
    /// The names of the meter in sources; at least one name.
    pub source_meters: Vec<String>,
    /// The required unit of samples, in canonical spelling. Samples in another unit are rejected. Absent: any unit.
    pub source_unit: Option<String>,
    /// The length of a window. It divides a day.
    pub window_seconds: u32,
    /// The longest time for which a sample is valid (duration and time-weighted).
    pub max_gap_seconds: u32,
    /// The longest time for which a reported state is valid without another event; `None`: no limit.
    pub state_timeout_seconds: Option<u32>,
    /// The rounding of each record before the sum.
    pub record: Option<RecordRounding>,
    /// Whether records can be negative; only with [`Aggregation::Sum`].
    pub signed: bool,
    /// The dimensions, sorted by their unique names.
    pub dimensions: Vec<Dimension>,
    /// The dimension whose values are counted; only with [`Aggregation::CountUnique`]. Each value of a resource is a
    /// stream of its own.
    pub unique: Option<String>,
    /// The labels, sorted by name.
    pub labels: Vec<Label>,
    pub declared_at: Place,
}

impl Meter {
    pub fn dimension(&self, name: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| dimension.name == name)
    }
}

/// The minimum and granularity of a single record. For example, a session of five seconds can count as a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRounding {
    pub minimum: Quantity,
    /// The granularity; more than zero.
    pub multiple_of: Quantity,
}

impl RecordRounding {
    /// The counted quantity of a record. Zero remains zero. A negative quantity remains unchanged.
    pub fn counted(self, quantity: Quantity) -> Quantity {
        if quantity.is_zero() || quantity.is_negative() {
            return quantity;
        }
        let (units, multiple) = (quantity.max(self.minimum).units(), self.multiple_of.units().max(1));
        let remainder = units % multiple;
        Quantity::from_units(if remainder == 0 { units } else { units - remainder + multiple })
    }
}

/// The path of a value in a record: the keys of nested objects from the outermost to the innermost, such as
/// `flavor.name`. In CSV and Parquet, the whole path with its dots is the name of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// Splits a text into keys, which are separated by dots.
    pub fn parse(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    pub fn joined(&self) -> String {
        self.0.join(".")
    }
}

/// The type of a dimension's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DimensionType {
    Text,
    Decimal,
    Bool,
}

/// An attribute of a resource on which prices can depend. It is part of the identity of a series.
#[derive(Clone, Debug)]
pub struct Dimension {
    pub name: String,
    pub kind: DimensionType,
    /// The paths of the value, from the key `from` or `key`. The first path that is present in a record wins.
    pub from: Vec<FieldPath>,
    pub lookup: Option<DimensionLookup>,
}

/// The value of a dimension if its lookup table lacks the key of the record. In rules, such a value is absent.
pub const UNKNOWN: &str = "";

/// The translation of a value by a dated table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimensionLookup {
    /// The name of the `[[lookup]]`.
    pub table: String,
    /// The effect of a value that the table lacks. `true` (`key`): the dimension is absent. `false` (`from`): the value
    /// remains unchanged.
    pub required: bool,
}

/// An attribute for reports only. It is not part of the identity of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name in reports: the last key of the path, or the whole path joined by dots.
    pub name: String,
    pub from: FieldPath,
}

/// A table of values by key, with validity dates: `[[lookup]]`.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub name: String,
    pub rows: Vec<LookupRow>,
    pub declared_at: Place,
}

/// A row of a lookup, valid from `valid_from` (inclusive) to `valid_to` (exclusive), in microseconds UTC. `None` means
/// no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    pub key: String,
    pub value: String,
    pub valid_from: Option<i64>,
    pub valid_to: Option<i64>,
}
