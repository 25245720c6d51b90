//! What is measured: a meter with its unit, its aggregation and the dimensions its price may depend on.

use crate::model::diagnostic::Place;
use crate::model::money::Quantity;

/// How the samples of one window become one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregation {
    /// The sum of amounts (delta meters).
    Sum,
    Max,
    Min,
    /// The mean of the values, each sample weighing the same.
    Mean,
    /// The value of the window's last sample.
    Last,
    /// The number of samples.
    Count,
    /// One in every window with a sample, whatever its value.
    Presence,
    /// Seconds covered: from each sample to the next, at most the gap cap.
    Duration,
    /// Growth of a counter; a smaller reading than the one before is a counter that began again at zero.
    Increase,
    /// The integral of a level over time in unit-seconds: each value holds until the next sample, at most the gap cap.
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

    /// The word used in `meters.toml`, in the `meter` relation and as the name of its SQL file.
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

    /// Whether the value of a sample matters. Where only its being there counts, a status code is no quantity.
    pub const fn reads_value(self) -> bool {
        !matches!(self, Self::Presence | Self::Duration | Self::Count)
    }

    /// The largest value that a sample may have, so that one absurd record does not stop a night.
    ///
    /// A date's quantity has 19 digits before the point in `DECIMAL(28,9)`, and a day of unit-seconds is 86,400 times
    /// the value. A counter may be larger, because only its growth counts.
    pub const fn largest_value(self) -> Quantity {
        match self {
            Self::Increase => Quantity::from_integer(i64::MAX),
            Self::TimeWeighted => Quantity::from_integer(100_000_000_000_000),
            _ => Quantity::from_integer(1_000_000_000_000_000_000),
        }
    }

    /// Whether each record adds to the sum by itself, so that two records of one instant are two facts if their ids
    /// differ.
    pub const fn is_additive(self) -> bool {
        matches!(self, Self::Sum | Self::Count)
    }
}

/// One thing that is measured.
#[derive(Clone, Debug)]
pub struct Meter {
    pub name: String,
    pub aggregation: Aggregation,
    /// What one of its quantity is called: `instance-hour`, `GiB-hour`, `B`.
    pub unit: String,
    /// The names under which sources deliver its samples; at least one.
    pub source_meters: Vec<String>,
    /// The unit that samples must carry, in canonical spelling; a sample in another unit is rejected. Absent: any.
    pub source_unit: Option<String>,
    /// Length of a window; divides a day.
    pub window_seconds: u32,
    /// How long a sample speaks for the time after it (duration and time-weighted).
    pub max_gap_seconds: u32,
    /// How long a state that was notified is believed without another word; `None` is until there is one.
    pub state_timeout_seconds: Option<u32>,
    /// What each record counts before it is added to others.
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
    /// What a record counts; one of nothing counts nothing.
    pub fn counted(self, quantity: Quantity) -> Quantity {
        if quantity.is_zero() {
            return quantity;
        }
        let (least, multiple) = (quantity.max(self.minimum).units(), self.multiple_of.units().max(1));
        let rest = least % multiple;
        Quantity::from_units(if rest == 0 { least } else { least - rest + multiple })
    }
}

/// The path of a value inside a record: the keys of nested objects from the outside in (written `flavor.name`).
/// A flat source (CSV, Parquet) looks for a column named by the whole path, joined by dots.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DimensionType {
    Text,
    Decimal,
    Bool,
}

/// An attribute of a resource that its price may depend on. It is part of a series' identity.
#[derive(Clone, Debug)]
pub struct Dimension {
    pub name: String,
    pub kind: DimensionType,
    /// Where to look for the value, first present one wins. (`from`, or `key` of a pure lookup.)
    pub from: Vec<FieldPath>,
    pub lookup: Option<DimensionLookup>,
}

/// The value of a dimension whose key a record said, but that stands in no table. Rules see it as absent.
pub const UNKNOWN: &str = "";

/// How a value found in a record is translated by a dated table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimensionLookup {
    /// Name of the `[[lookup]]`.
    pub table: String,
    /// `lookup` with `key`: a value the table does not hold gives nothing.
    /// `lookup` with `from`: a value the table does not hold stays as it is.
    pub required: bool,
}

/// An attribute that reports show and no price sees. It is not part of identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The path joined by dots, or its last key: what the report calls it.
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

/// Valid from the start (inclusive) to the end (exclusive), in microseconds UTC; `None` is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    pub key: String,
    pub value: String,
    pub valid_from: Option<i64>,
    pub valid_to: Option<i64>,
}
