//! The reasons for rejecting a record.

/// The reason for rejecting a record. Its name is the value of `rejected_record.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The text is neither a JSON object nor an array of JSON objects, or a CSV row has a wrong number of fields.
    Malformed,
    /// The bytes are not text in the encoding of the source, which is UTF-8 by default.
    NotUtf8,
    /// The file contains binary data, but text was expected.
    NotText,
    /// The file ends within a compressed stream or a record.
    Truncated,
    /// A required field is absent.
    MissingField,
    /// The time has none of the accepted formats.
    BadTimestamp,
    /// The time is not between 1970 and 2200.
    TimestampOutOfRange,
    /// The quantity is not a number.
    BadQuantity,
    /// The quantity is NaN or infinite.
    QuantityNotFinite,
    /// The quantity has more digits than can be stored exactly, or is too large to be summed over a day.
    QuantityOutOfRange,
    /// The quantity is negative, and the meter reads it.
    NegativeQuantity,
    /// The unit differs from the unit that the meter declares.
    UnitMismatch,
    /// A dimension's value does not fit its type.
    BadDimension,
    /// A sample with the same identity is already recorded with another value or description.
    Conflict,
    /// The time is in a closed period whose samples have expired.
    TooLate,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotUtf8 => "not_utf8",
            Self::NotText => "not_text",
            Self::Truncated => "truncated",
            Self::MissingField => "missing_field",
            Self::BadTimestamp => "bad_timestamp",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::BadQuantity => "bad_quantity",
            Self::QuantityNotFinite => "quantity_not_finite",
            Self::QuantityOutOfRange => "quantity_out_of_range",
            Self::NegativeQuantity => "negative_quantity",
            Self::UnitMismatch => "unit_mismatch",
            Self::BadDimension => "bad_dimension",
            Self::Conflict => "conflict",
            Self::TooLate => "too_late",
        }
    }
}
