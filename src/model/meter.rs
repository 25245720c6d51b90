//! Meters: source meters, aggregation, unit, dimensions and labels.

use crate::model::diagnostic::Place;
use crate::model::money::Quantity;

/// The function from the samples of a window to its metered quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregation {
    /// The sum of amounts (delta meters).
    Sum,
    Max,
    Min,
    /// The unweighted mean of the values.
    Mean,
    /// The value of the window's last sample.
    Last,
    /// The number of samples.
    Count,
    /// One for each window with a sample, of any value.
    Presence,
    /// Covered seconds: from each sample to the next, at most `max_gap`.
    Duration,
    /// The increase of a counter. A smaller value than the previous one means that the counter restarted at zero.
    Increase,
    /// The integral of a level over time, in unit-seconds. A value is valid until the next sample, at most `max_gap`.
    TimeWeighted,
}

impl Aggregation {
    pub const ALL: [Self; 10] = [
        Self::Sum,
        Self::Max,
        Self::Min,
        Self::Mean,
        Self::Last,
        Self::Count,
        Self::Presence,
        Self::Duration,
        Self::Increase,
        Self::TimeWeighted,
    ];

    /// The name in rule files, in the relation `meter` and of the SQL file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::Count => "count",
            Self::Presence => "presence",
            Self::Duration => "duration",
            Self::Increase => "increase",
            Self::TimeWeighted => "time_weighted",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregation| aggregation.name() == name)
    }

    /// Whether the aggregation uses the value of a sample. If it does not, the value may be a status code.
    pub const fn reads_value(self) -> bool {
        !matches!(self, Self::Presence | Self::Duration | Self::Count)
    }

    /// The largest value of a sample. Without this limit, one invalid record could stop a whole run.
    ///
    /// The quantity of a date has 19 digits before the point in `DECIMAL(28,9)`, and one day of a level is 86,400 times
    /// the value. A counter may be larger, because only its increase counts.
    pub const fn largest_value(self) -> Quantity {
        match self {
            Self::Increase => Quantity::from_integer(i64::MAX),
            Self::TimeWeighted => Quantity::from_integer(100_000_000_000_000),
            _ => Quantity::from_integer(1_000_000_000_000_000_000),
        }
    }

    /// Whether every record adds to the result. Then two records of one instant with different ids are both counted.
    pub const fn is_additive(self) -> bool {
        matches!(self, Self::Sum | Self::Count)
    }
}

/// A measured kind of usage.
#[derive(Clone, Debug)]
pub struct Meter {
    pub name: String,
    pub aggregation: Aggregation,
    /// The unit of the metered quantity: `instance-hour`, `GiB-hour`, `B`.
    pub unit: String,
    /// The names of the meter in sources; at least one.
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
    /// Sorted by name, names unique.
    pub dimensions: Vec<Dimension>,
    /// Sorted by name, names unique.
    pub labels: Vec<Label>,
    pub declared_at: Place,
}

impl Meter {
    pub fn dimension(&self, name: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| dimension.name == name)
    }
}

/// Minimum and granularity of a single record: a session of five seconds may count as a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRounding {
    pub minimum: Quantity,
    /// More than zero.
    pub multiple_of: Quantity,
}

impl RecordRounding {
    /// The counted quantity of a record. Zero remains zero.
    pub fn counted(self, quantity: Quantity) -> Quantity {
        if quantity.is_zero() {
            return quantity;
        }
        let (units, multiple) = (quantity.max(self.minimum).units(), self.multiple_of.units().max(1));
        let remainder = units % multiple;
        Quantity::from_units(if remainder == 0 { units } else { units - remainder + multiple })
    }
}

/// The path of a value in a record: the keys of nested objects from the outside in, written `flavor.name`.
/// In CSV and Parquet it is the name of a column, with the dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// Keys are separated by dots.
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

/// An attribute of a resource that prices can depend on. It is part of the identity of a series.
#[derive(Clone, Debug)]
pub struct Dimension {
    pub name: String,
    pub kind: DimensionType,
    /// The paths of the value; the first one present wins. (`from`, or `key` if the lookup is required.)
    pub from: Vec<FieldPath>,
    pub lookup: Option<DimensionLookup>,
}

/// The value of a dimension if its lookup table lacks the key of the record. In rules the value is absent.
pub const UNKNOWN: &str = "";

/// The translation of a value by a dated table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimensionLookup {
    /// Name of the `[[lookup]]`.
    pub table: String,
    /// `true` (`key`): if the table lacks the value, the dimension is absent.
    /// `false` (`from`): if the table lacks the value, it remains unchanged.
    pub required: bool,
}

/// An attribute that only reports show. It is not part of the identity of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name in reports: the last key of the path, or the whole path joined by dots.
    pub name: String,
    pub from: FieldPath,
}

/// A dated table from keys to values: `[[lookup]]`.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub name: String,
    pub rows: Vec<LookupRow>,
    pub declared_at: Place,
}

/// A row of a lookup, valid from the start (inclusive) to the end (exclusive), in microseconds UTC; `None` is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    pub key: String,
    pub value: String,
    pub valid_from: Option<i64>,
    pub valid_to: Option<i64>,
}
