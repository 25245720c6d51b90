//! Where a rule or an example names a dimension of its meter, or one of its values.

use super::dimension_value::{canonical_value, expected};
use super::problems::suggestion;
use super::rule_reader::RuleReader;
use super::table::Value;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::meter::{Dimension, DimensionType, Meter};

/// The dimension of this name; where there is none, that is a problem.
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
        reader.problems.push(diagnostic.at(place.clone(), "not a dimension").hint(hint));
    }
    dimension
}

pub(crate) fn names(meter: &Meter) -> impl Iterator<Item = &str> {
    meter.dimensions.iter().map(|dimension| dimension.name.as_str())
}

/// A dimension's value as text in its one spelling.
pub(crate) fn value_text(text: &str, dimension: &Dimension, place: &Place, reader: &RuleReader<'_>) -> Option<String> {
    let canonical = canonical_value(dimension.kind, text);
    if canonical.is_none() {
        let expected = expected(dimension.kind);
        let message = format!("`{text}` is no value of dimension `{}`, expected {expected}", dimension.name);
        let diagnostic = Diagnostic::error("rules::bad_dimension_value", message);
        reader.problems.push(diagnostic.at(place.clone(), format!("expected {expected}")));
    }
    canonical
}

/// As `value_text`, from TOML, where a truth value may stand without quotes.
pub(crate) fn value_of(value: &Value<'_>, dimension: &Dimension, reader: &RuleReader<'_>) -> Option<String> {
    if dimension.kind == DimensionType::Bool && value.as_str().is_none() {
        return value.boolean().map(|truth| truth.to_string());
    }
    let text = value.text()?;
    value_text(&text.value, dimension, &text.place, reader)
}
