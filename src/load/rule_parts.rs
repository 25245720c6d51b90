//! Readers for several kinds of rules: expressions and references to meters.

use super::rule_reader::RuleReader;
use crate::load::problems::suggestion;
use crate::load::table::Table;
use crate::load::table::Text;
use crate::model::diagnostic::Diagnostic;
use crate::model::expression::Expression;
use crate::model::meter::Meter;

/// The text of an expression. The compilation of the rules parses it, because parsing requires the engine.
pub(crate) fn expression(table: &mut Table<'_>, key: &'static str) -> Option<Expression> {
    table.text(key).map(|text| Expression { place: text.inner_place(), text: text.value })
}

/// The meter with a name. An unknown name is a problem.
pub(crate) fn find_meter<'m>(name: &Text, meters: &'m [Meter], reader: &RuleReader<'_>) -> Option<&'m Meter> {
    let meter = meters.iter().find(|meter| meter.name == name.value);
    if meter.is_none() && reader.is_complete {
        let hint = suggestion(&name.value, meters.iter().map(|meter| meter.name.as_str()), "meters");
        let diagnostic =
            Diagnostic::error("rules::unknown_meter", format!("the meter `{}` does not exist", name.value));
        reader.problems.push(diagnostic.at(name.place.clone(), "not declared").hint(hint));
    }
    meter
}
