//! `[[meter]]`: source meters, aggregation, unit and dimensions.

use std::collections::BTreeSet;

use super::duration::parse_seconds;
use super::keys;
use super::problems::suggestion;
use super::quantity::{In, Units};
use super::rule_reader::RuleReader;
use super::table::{Table, Text, Value};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::identifier::canonical_text;
use crate::model::meter::{
    Aggregation, Dimension, DimensionLookup, DimensionType, FieldPath, Label, Lookup, Meter, RecordRounding,
};
use crate::model::money::Quantity;
use crate::model::path::{MOST_LISTS, Path, PathError};

const DAY: u32 = 86_400;
const HOUR: u32 = 3_600;

const DIMENSION_TYPES: [(&str, DimensionType); 3] =
    [("text", DimensionType::Text), ("decimal", DimensionType::Decimal), ("bool", DimensionType::Bool)];

/// Names that cannot be dimensions, because they have a meaning in expressions, examples or headers of price lists.
const RESERVED: [&str; 17] = [
    "account_id",
    "at",
    "cost",
    "meter",
    "name",
    "net_amount",
    "period",
    "project",
    "project_id",
    "quantity",
    "resource",
    "resource_id",
    "unit_price",
    "usage",
    "valid_from",
    "valid_to",
    "windows",
];

/// Reads a `[[meter]]`. The result is `None` if the name is missing. A meter with other problems still has all its
/// dimensions, so that one error in a meter does not cause errors in rules.
pub(crate) fn read(mut table: Table<'_>, lookups: &[Lookup], reader: &RuleReader<'_>) -> Option<Meter> {
    let name = table.require_text("name");
    let aggregation = table.require("aggregation").and_then(|value| {
        let choices = Aggregation::ALL.map(|aggregation| (aggregation.name(), aggregation));
        value.choice(&choices)
    });
    let unit = table.require_text("unit");
    let source_meters = table.take("source_meters").and_then(|value| source_meters(&value, reader));
    let source_unit = table.string("source_unit");
    let is_unique = aggregation == Some(Aggregation::CountUnique);
    let default_window = if is_unique { DAY } else { HOUR };
    let window_seconds = table.take("window").and_then(|value| window(&value, reader)).unwrap_or(default_window);
    let max_gap_seconds = table.take("max_gap").and_then(|value| max_gap(&value, reader)).unwrap_or(2 * HOUR);
    let state_timeout_seconds = table.take("state_timeout").and_then(|value| state_timeout(&value, reader));
    let record = table.take("record").and_then(|value| record(&value, aggregation, unit.as_ref(), reader));
    let signed = table.take("signed").is_some_and(|value| signed(&value, aggregation, record.as_ref(), reader));
    let dimensions = table.take("dimensions").and_then(|value| value.table(&keys::DIMENSIONS));
    let mut dimensions: Vec<Dimension> = dimensions
        .map(|table| table.rest().iter().map(|value| dimension(value, lookups, reader)).collect())
        .unwrap_or_default();
    dimensions.sort_by(|left, right| left.name.cmp(&right.name));
    let labels = table.texts("labels").map(|texts| labels(&texts, reader)).unwrap_or_default();
    let unique = unique(&mut table, aggregation, &dimensions, reader);
    table.finish();

    let name = name?;
    Some(Meter {
        source_meters: source_meters.unwrap_or_else(|| vec![name.value.clone()]),
        name: name.value,
        aggregation: aggregation.unwrap_or(Aggregation::Sum),
        unit: unit.map(|unit| unit.value).unwrap_or_default(),
        source_unit,
        window_seconds,
        max_gap_seconds,
        state_timeout_seconds,
        record,
        signed,
        dimensions,
        unique,
        labels,
        declared_at: name.place,
    })
}

/// The dimension that `count_unique` counts, from the key `unique`.
fn unique(
    table: &mut Table<'_>,
    aggregation: Option<Aggregation>,
    dimensions: &[Dimension],
    reader: &RuleReader<'_>,
) -> Option<String> {
    let value = table.take("unique");
    let is_unique = aggregation == Some(Aggregation::CountUnique);
    let Some(value) = value else {
        if is_unique {
            table.missing("unique");
        }
        return None;
    };
    if let Some(aggregation) = aggregation.filter(|_| !is_unique) {
        let message = format!("`unique` does not apply to the aggregation `{}`", aggregation.name());
        let diagnostic =
            Diagnostic::error("rules::misplaced_key", message).at(value.key_place(), "only with count_unique");
        reader.problems.push(diagnostic.hint("write aggregation = \"count_unique\", or remove `unique`"));
        return None;
    }
    let name = value.text()?;
    let names = || dimensions.iter().map(|dimension| dimension.name.as_str());
    if !names().any(|known| known == name.value) {
        let message = format!("the meter has no dimension `{}`", name.value);
        let diagnostic = Diagnostic::error("rules::unknown_dimension", message).at(name.place, "unknown dimension");
        let hint = suggestion(&name.value, names(), "dimensions");
        reader.problems.push(diagnostic.hint(hint));
        return None;
    }
    Some(name.value)
}

fn source_meters(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<Vec<String>> {
    let texts = value.texts()?;
    if texts.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", "`source_meters` is an empty list");
        let hint = "list at least one source meter, or remove the key if the source meter has the name of the meter";
        reader.problems.push(diagnostic.at(value.place(), "empty").hint(hint));
        return None;
    }
    refuse_repetition(&texts, "source_meters", reader);
    Some(texts.into_iter().map(|text| canonical_text(&text.value).into_owned()).collect())
}

/// Reports each repeated text of a list.
pub(crate) fn refuse_repetition(texts: &[Text], name: &str, reader: &RuleReader<'_>) {
    for (index, text) in texts.iter().enumerate() {
        if let Some(first) = texts[..index].iter().find(|other| other.value == text.value) {
            let message = format!("`{}` is listed twice in `{name}`", text.value);
            let diagnostic = Diagnostic::error("rules::repeated_word", message);
            reader.problems.push(diagnostic.at(text.place.clone(), "again").at(first.place.clone(), "first"));
        }
    }
}

fn window(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<u32> {
    let text = value.text()?;
    let seconds = parse_seconds(&text.value);
    if let Some(seconds) = seconds
        && seconds >= 60
        && seconds.is_multiple_of(60)
        && DAY.is_multiple_of(seconds)
    {
        return Some(seconds);
    }
    let message = format!("`window` is `{}`, expected whole minutes that divide a day", text.value);
    let diagnostic = Diagnostic::error("rules::bad_window", message).at(text.place, "not a window");
    reader.problems.push(diagnostic.hint("write a duration such as 5m, 15m, 30m, 1h, 2h or 24h"));
    None
}

fn max_gap(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<u32> {
    let text = value.text()?;
    let seconds = parse_seconds(&text.value).filter(|seconds| (1..=DAY).contains(seconds));
    if seconds.is_none() {
        let message = format!("`max_gap` is `{}`, expected a duration from 1s to 24h", text.value);
        let diagnostic = Diagnostic::error("rules::bad_gap_cap", message).at(text.place, "invalid duration");
        reader.problems.push(diagnostic.hint("write a duration such as 10m, 90m or 2h"));
    }
    seconds
}

fn state_timeout(value: &Value<'_>, reader: &RuleReader<'_>) -> Option<u32> {
    let text = value.text()?;
    let seconds = parse_seconds(&text.value).filter(|seconds| *seconds >= HOUR);
    if seconds.is_none() {
        let message = format!("`state_timeout` is `{}`, expected a duration of at least 1h", text.value);
        let diagnostic = Diagnostic::error("rules::bad_gap_cap", message).at(text.place, "invalid duration");
        let hint = "write more than the time between audit events, such as 2d for daily or 32d for monthly audits";
        reader.problems.push(diagnostic.hint(hint));
    }
    seconds
}

/// Reads a table with one or both of its keys, such as `{ minimum = "60", multiple_of = "1" }`.
fn record(
    value: &Value<'_>,
    aggregation: Option<Aggregation>,
    unit: Option<&Text>,
    reader: &RuleReader<'_>,
) -> Option<RecordRounding> {
    let mut table = value.table(&keys::RECORD)?;
    let minimum = table.take("minimum");
    let multiple_of = table.take("multiple_of");
    table.finish();
    if let Some(aggregation) = aggregation.filter(|aggregation| *aggregation != Aggregation::Sum) {
        let message = format!(
            "`record` rounds the records of a sum, but the aggregation of the meter is `{}`",
            aggregation.name()
        );
        let diagnostic = Diagnostic::error("rules::record_not_added", message).at(value.key_place(), "only with a sum");
        let hint = "write aggregation = \"sum\", or round the total of a pool with `round_quantity` in a rule";
        reader.problems.push(diagnostic.hint(hint));
        return None;
    }
    if minimum.is_none() && multiple_of.is_none() {
        let diagnostic = Diagnostic::error("rules::empty_list", "`record` has neither `minimum` nor `multiple_of`");
        let hint = "write record = { minimum = \"60\", multiple_of = \"1\" } to count at least 60 in steps of 1";
        reader.problems.push(diagnostic.at(value.place(), "empty").hint(hint));
        return None;
    }
    let within = |value: &Value<'_>| -> Option<Quantity> {
        let units = Units::of_meter(unit.map(|unit| unit.value.as_str()).unwrap_or_default());
        let quantity = value.positive_quantity(&units, In::Priced)?;
        if quantity > Aggregation::Sum.largest_value() {
            value.refuse("a quantity below the limit of records");
            return None;
        }
        Some(quantity)
    };
    Some(RecordRounding {
        minimum: minimum.map_or(Some(Quantity::ZERO), |value| within(&value))?,
        multiple_of: multiple_of.map_or(Some(Quantity::from_units(1)), |value| within(&value))?,
    })
}

/// Reads `signed`. Only a sum without a rounding of records can take back usage.
fn signed(
    value: &Value<'_>,
    aggregation: Option<Aggregation>,
    record: Option<&RecordRounding>,
    reader: &RuleReader<'_>,
) -> bool {
    if value.boolean() != Some(true) {
        return false;
    }
    if let Some(aggregation) = aggregation.filter(|aggregation| !aggregation.can_be_signed()) {
        let message = format!(
            "`signed` accepts negative records of a sum, but the aggregation of the meter is `{}`",
            aggregation.name()
        );
        let diagnostic = Diagnostic::error("rules::signed_not_added", message);
        let hint = "write aggregation = \"sum\", or remove `signed`; negative records are then rejected";
        reader.problems.push(diagnostic.at(value.key_place(), "only with a sum").hint(hint));
        return false;
    }
    if record.is_some() {
        let message = "`record` rounds each record up, so a negative record cannot take back a rounded one";
        let diagnostic = Diagnostic::error("rules::signed_record", message);
        let hint = "remove `record` and round the total of a pool with `round_quantity` in a rule, or remove `signed`";
        reader.problems.push(diagnostic.at(value.key_place(), "not together with `record`").hint(hint));
        return false;
    }
    true
}

fn dimension(value: &Value<'_>, lookups: &[Lookup], reader: &RuleReader<'_>) -> Dimension {
    check_name(value.name, value.key_place(), reader);
    let mut dimension =
        Dimension { name: value.name.to_owned(), kind: DimensionType::Text, from: Vec::new(), lookup: None };
    let Some(mut table) = value.table(&keys::DIMENSION) else { return dimension };
    let from = table.take("from");
    let lookup = table.text("lookup");
    let key = table.take("key");
    if let Some(kind) = table.take("type").and_then(|value| value.choice(&DIMENSION_TYPES)) {
        dimension.kind = kind;
    }
    match (&from, &key, &lookup) {
        (Some(from), Some(key), _) => {
            let message = format!("dimension `{}` has both `from` and `key`", value.name);
            let hint = "use `key` if values without a row in the lookup are absent, or `from` if they remain unchanged";
            let diagnostic = Diagnostic::error("rules::from_and_key", message);
            reader
                .problems
                .push(diagnostic.at(key.key_place(), "one of them").at(from.key_place(), "the other").hint(hint));
        }
        (None, Some(key), None) => {
            let message = format!("dimension `{}` has a `key` but no `lookup`", value.name);
            let diagnostic = Diagnostic::error("rules::key_without_lookup", message).at(key.key_place(), "no lookup");
            reader.problems.push(diagnostic.hint("add `lookup` with the name of a `[[lookup]]`, or write `from`"));
        }
        (None, None, Some(_)) => table.missing("key"),
        (None, None, None) => table.missing("from"),
        _ => {}
    }
    let required = key.is_some();
    dimension.from = from.or(key).map(|paths| field_paths(&paths, reader)).unwrap_or_default();
    dimension.lookup = lookup.map(|name| {
        check_lookup(&name, lookups, reader);
        DimensionLookup { table: name.value, required }
    });
    table.finish();
    dimension
}

fn check_name(name: &str, place: Place, reader: &RuleReader<'_>) {
    if RESERVED.contains(&name) {
        let diagnostic =
            Diagnostic::error("rules::reserved_name", format!("`{name}` cannot be the name of a dimension"));
        let hint = "rules and examples reserve this name; choose another name";
        reader.problems.push(diagnostic.at(place, "reserved").hint(hint));
        return;
    }
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    let is_allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if !starts_well || !characters.all(is_allowed) {
        let message =
            format!("`{name}` is not a valid name of a dimension, expected lower-case letters, digits and `_`");
        let diagnostic = Diagnostic::error("rules::bad_name", message).at(place, "invalid name");
        reader.problems.push(diagnostic.hint("choose a name that SQL accepts, such as `vcpus` or `volume_type`"));
    }
}

fn check_lookup(name: &Text, lookups: &[Lookup], reader: &RuleReader<'_>) {
    if !reader.is_complete || lookups.iter().any(|lookup| lookup.name == name.value) {
        return;
    }
    let hint = suggestion(&name.value, lookups.iter().map(|lookup| lookup.name.as_str()), "lookups");
    let diagnostic = Diagnostic::error("rules::unknown_lookup", format!("the lookup `{}` does not exist", name.value));
    reader.problems.push(diagnostic.at(name.place.clone(), "not declared").hint(hint));
}

fn field_paths(value: &Value<'_>, reader: &RuleReader<'_>) -> Vec<FieldPath> {
    let Some(texts) = value.texts() else { return Vec::new() };
    if texts.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", format!("`{}` is an empty list", value.name));
        reader.problems.push(
            diagnostic.at(value.place(), "empty").hint("list the fields with the value; the first one present wins"),
        );
    }
    refuse_repetition(&texts, value.name, reader);
    texts.iter().filter_map(|text| field_path(text, reader)).collect()
}

fn field_path(text: &Text, reader: &RuleReader<'_>) -> Option<FieldPath> {
    let path = FieldPath::parse(&text.value);
    if Path::parse(&text.value) == Err(PathError::TooManyLists) {
        let message = format!("the path `{}` leads through more than {MOST_LISTS} lists", text.value);
        let diagnostic = Diagnostic::error("rules::bad_path", message).at(text.place.clone(), "too many lists");
        let hint = "write a position such as `[0]` for a list of which one element is enough";
        reader.problems.push(diagnostic.hint(hint));
        return None;
    }
    if path.0.iter().all(|key| !key.trim().is_empty()) {
        return Some(path);
    }
    let diagnostic = Diagnostic::error("rules::bad_path", format!("the path `{}` has an empty key", text.value));
    reader.problems.push(
        diagnostic.at(text.place.clone(), "empty key").hint("separate keys by single dots, such as `flavor.name`"),
    );
    None
}

/// Reads labels. The name of a label is the last key of its path, or the whole path if the last key is not unique.
fn labels(texts: &[Text], reader: &RuleReader<'_>) -> Vec<Label> {
    refuse_repetition(texts, "labels", reader);
    let paths: BTreeSet<FieldPath> = texts.iter().filter_map(|text| field_path(text, reader)).collect();
    let same_last = |path: &FieldPath| paths.iter().filter(|other| other.0.last() == path.0.last()).count();
    let name = |path: &FieldPath| match path.0.last() {
        Some(last) if same_last(path) == 1 => last.clone(),
        _ => path.joined(),
    };
    let mut labels: Vec<Label> = paths.iter().map(|path| Label { name: name(path), from: path.clone() }).collect();
    labels.sort_by(|left, right| left.name.cmp(&right.name));
    labels
}
