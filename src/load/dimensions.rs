//! References from rules and examples to dimensions of a meter, and values of dimensions.

use super::dimension_value::{canonical_value, expected};
use super::problems::suggestion;
use super::rule_reader::RuleReader;
use super::table::Value;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::meter::{Dimension, DimensionType, Meter};

/// The dimension with a name. An unknown name is a problem.
pub(crate) fn find_dimension<'m>(
    name: &str,
    place: &Place,
    meter: &'m Meter,
    reader: &RuleReader<'_>,
) -> Option<&'m Dimension> {
    let dimension = meter.dimension(name);
    if dimension.is_none() {
        let message = format!("meter `{}` has no dimension `{name}`", meter.name);
        let hint = suggestion(name, names(meter), "dimensions");
        let diagnostic = Diagnostic::error("rules::unknown_dimension", message);
        reader.problems.push(diagnostic.at(place.clone(), "unknown dimension").hint(hint));
    }
    dimension
}

pub(crate) fn names(meter: &Meter) -> impl Iterator<Item = &str> {
    meter.dimensions.iter().map(|dimension| dimension.name.as_str())
}

/// The canonical text of a dimension value.
pub(crate) fn value_text(text: &str, dimension: &Dimension, place: &Place, reader: &RuleReader<'_>) -> Option<String> {
    let canonical = canonical_value(dimension.kind, text);
    if canonical.is_none() {
        bad_value(text, dimension, place, reader);
    }
    canonical
}

/// Reports a text that is not a value of a dimension.
pub(crate) fn bad_value(text: &str, dimension: &Dimension, place: &Place, reader: &RuleReader<'_>) {
    let expected = expected(dimension.kind);
    let message = format!("`{text}` is not a value of dimension `{}`, expected {expected}", dimension.name);
    let diagnostic = Diagnostic::error("rules::bad_dimension_value", message);
    reader.problems.push(diagnostic.at(place.clone(), format!("expected {expected}")));
}

/// The canonical text of a dimension value in TOML, which may be a boolean without quotes.
pub(crate) fn value_of(value: &Value<'_>, dimension: &Dimension, reader: &RuleReader<'_>) -> Option<String> {
    if dimension.kind == DimensionType::Bool && value.as_str().is_none() {
        return value.boolean().map(|boolean| boolean.to_string());
    }
    let text = value.text()?;
    value_text(&text.value, dimension, &text.place, reader)
}
