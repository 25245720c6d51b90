//! The one way to write a dimension's value: rules and records must agree on it before anything is compared.

use crate::model::meter::DimensionType;
use crate::model::money::Quantity;

/// Decimals plain and without trailing zeros, booleans as `true` and `false`. `None` where the text does not fit the
/// type.
pub fn canonical_value(kind: DimensionType, text: &str) -> Option<String> {
    match kind {
        DimensionType::Text => Some(text.to_owned()),
        DimensionType::Decimal => Quantity::parse_exact(text).ok().map(|value| value.to_string()),
        DimensionType::Bool if text.eq_ignore_ascii_case("true") => Some("true".to_owned()),
        DimensionType::Bool if text.eq_ignore_ascii_case("false") => Some("false".to_owned()),
        DimensionType::Bool => None,
    }
}

/// What a value of this type is called in a message.
pub(crate) const fn expected(kind: DimensionType) -> &'static str {
    match kind {
        DimensionType::Text => "text",
        DimensionType::Decimal => "a decimal",
        DimensionType::Bool => "`true` or `false`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_in_one_spelling() {
        for (kind, text, expected) in [
            (DimensionType::Text, "M1.Small ", Some("M1.Small ")),
            (DimensionType::Decimal, "4", Some("4")),
            (DimensionType::Decimal, "4.50", Some("4.5")),
            (DimensionType::Decimal, "1e3", Some("1000")),
            (DimensionType::Decimal, "four", None),
            (DimensionType::Bool, "True", Some("true")),
            (DimensionType::Bool, "no", None),
        ] {
            assert_eq!(canonical_value(kind, text).as_deref(), expected, "{text}");
        }
    }
}
