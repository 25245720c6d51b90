//! The canonical text of dimension values. Rules and records use this text, so that their values can be compared.

use crate::model::identifier::canonical_text;
use crate::model::meter::DimensionType;
use crate::model::money::Quantity;

/// The canonical text of a value: texts as [names](crate::model::identifier), decimals in plain notation without
/// trailing zeros, booleans as `true` and `false`.
/// The result is `None` if the text does not have the type.
pub fn canonical_value(kind: DimensionType, text: &str) -> Option<String> {
    match kind {
        DimensionType::Text => Some(canonical_text(text).into_owned()),
        DimensionType::Decimal => Quantity::parse_exact(text).ok().map(|value| value.to_string()),
        DimensionType::Bool if text.eq_ignore_ascii_case("true") => Some("true".to_owned()),
        DimensionType::Bool if text.eq_ignore_ascii_case("false") => Some("false".to_owned()),
        DimensionType::Bool => None,
    }
}

/// The name of a value of this type in messages.
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
    fn values_have_one_canonical_text() {
        for (kind, text, expected) in [
            (DimensionType::Text, "M1.Small ", Some("M1.Small")),
            (DimensionType::Text, "cafe\u{301}", Some("caf\u{e9}")),
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
