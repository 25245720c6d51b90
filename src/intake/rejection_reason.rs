//! Why a record is rejected.

/// Why a record could not be used. The name stands in `rejected_record.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The text is no JSON object (or array of them), or a CSV row with another number of fields.
    Malformed,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The file holds binary data where text was expected.
    NotText,
    /// The file ends in the middle (of a compressed stream or of a record).
    Truncated,
    /// A field that every record needs is absent.
    MissingField,
    /// The time is not one of the accepted forms.
    BadTimestamp,
    /// The time is outside of 1970 to 2200.
    TimestampOutOfRange,
    /// The quantity is no number.
    BadQuantity,
    /// The quantity is NaN or infinite.
    QuantityNotFinite,
    /// The quantity has more digits than are kept exactly.
    QuantityOutOfRange,
    /// The quantity is negative and the meter reads it.
    NegativeQuantity,
    /// The unit is not the one that the meter declares.
    UnitMismatch,
    /// A dimension's value does not fit its type.
    BadDimension,
    /// The same fact with another value or description was taken in before.
    Conflict,
    /// The time is before the first date whose samples are kept: its period is closed.
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
