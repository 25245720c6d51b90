//! Bindings of source meters to meters, with the fields of a record that each meter needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::identifier::canonical_text;
use crate::model::meter::{Dimension, DimensionType, FieldPath, Lookup, Meter, UNKNOWN};
use crate::model::money::Quantity;
use crate::model::rule_book::RuleBook;

/// The binding of one meter to a source meter that it measures.
#[derive(Debug)]
pub struct Binding {
    pub meter: Arc<Meter>,
    pub name: Arc<str>,
    pub dimensions: Vec<BoundDimension>,
    /// Name of each label, with the index of its field.
    pub labels: Vec<(Arc<str>, usize)>,
    /// Indices of all fields that determine the dimensions.
    pub fields: Vec<usize>,
    /// Whether the dimensions also depend on the time, because a lookup has dated rows.
    pub dated: bool,
}

/// A dimension with its source fields and its lookup table. The flag of the table states whether every key needs a row.
#[derive(Debug)]
pub struct BoundDimension {
    pub name: Arc<str>,
    kind: DimensionType,
    fields: Vec<usize>,
    lookup: Option<(Arc<Lookup>, bool)>,
}

impl BoundDimension {
    /// The expected form of a value, for messages.
    pub const fn expected(&self) -> &'static str {
        match self.kind {
            DimensionType::Text => "a text",
            DimensionType::Decimal => "a decimal number",
            DimensionType::Bool => "`true` or `false`",
        }
    }

    /// The canonical value of the dimension for a record. `None` if all fields are absent. The error is the text that
    /// does not fit the type.
    pub fn value<'a>(
        &'a self,
        field: impl Fn(usize) -> Option<&'a str>,
        measured_at: i64,
    ) -> Result<Option<Arc<str>>, String> {
        let Some(found) = self.fields.iter().find_map(|index| field(*index)) else { return Ok(None) };
        let found = &*canonical_text(found);
        let translated = match &self.lookup {
            None => Some(found),
            Some((lookup, required)) => {
                let row = lookup.rows.iter().find(|row| {
                    row.key == found
                        && row.valid_from.is_none_or(|from| from <= measured_at)
                        && row.valid_to.is_none_or(|to| measured_at < to)
                });
                row.map(|row| row.value.as_str()).or_else(|| (!required).then_some(found))
            }
        };
        // The key is not in the table. This differs from an absent field: the previous value is no longer valid, and an
        // empty value states that the current value is unknown.
        let Some(text) = translated else { return Ok(Some(UNKNOWN.into())) };
        canonical(self.kind, text).map(|value| Some(value.into())).ok_or_else(|| text.to_owned())
    }
}

/// The canonical spelling of a value. `None` if the value does not fit the type.
pub fn canonical(kind: DimensionType, text: &str) -> Option<String> {
    match kind {
        DimensionType::Text => Some(canonical_text(text).into_owned()),
        DimensionType::Decimal => Quantity::parse_exact(text).ok().map(|value| value.to_string()),
        DimensionType::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some("true".to_owned()),
            "false" | "0" | "no" => Some("false".to_owned()),
            _ => None,
        },
    }
}

/// All bindings by source meter, with the field paths that they need.
#[derive(Debug)]
pub struct Bindings {
    by_source_meter: HashMap<String, Vec<Binding>>,
    pub field_paths: Vec<FieldPath>,
    /// Indices of the field paths that determine dimensions, in ascending order. The other paths are the sources of
    /// labels.
    pub deciding_fields: Vec<usize>,
}

impl Bindings {
    pub fn new(rules: &RuleBook) -> Self {
        let mut field_paths: Vec<FieldPath> = Vec::new();
        let mut by_source_meter: HashMap<String, Vec<Binding>> = HashMap::new();
        let mut index_of = |path: &FieldPath| match field_paths.iter().position(|existing| existing == path) {
            Some(index) => index,
            None => {
                field_paths.push(path.clone());
                field_paths.len() - 1
            }
        };
        let lookups: HashMap<&str, Arc<Lookup>> =
            rules.lookups.iter().map(|lookup| (lookup.name.as_str(), Arc::new(lookup.clone()))).collect();
        for meter in &rules.meters {
            let meter = Arc::new(meter.clone());
            let mut bind = |dimension: &Dimension| BoundDimension {
                name: dimension.name.as_str().into(),
                kind: dimension.kind,
                fields: dimension.from.iter().map(&mut index_of).collect(),
                lookup: dimension.lookup.as_ref().and_then(|lookup| {
                    lookups.get(lookup.table.as_str()).map(|table| (Arc::clone(table), lookup.required))
                }),
            };
            for source_meter in &meter.source_meters {
                let dimensions: Vec<BoundDimension> = meter.dimensions.iter().map(&mut bind).collect();
                let dated = dimensions.iter().filter_map(|dimension| dimension.lookup.as_ref()).any(|(lookup, _)| {
                    lookup.rows.iter().any(|row| row.valid_from.is_some() || row.valid_to.is_some())
                });
                let fields = dimensions.iter().flat_map(|dimension| dimension.fields.iter().copied()).collect();
                by_source_meter.entry(canonical_text(source_meter).into_owned()).or_default().push(Binding {
                    name: meter.name.as_str().into(),
                    meter: Arc::clone(&meter),
                    dimensions,
                    labels: Vec::new(),
                    fields,
                    dated,
                });
            }
        }
        // Labels are bound last, because the closure above borrows the field paths.
        for bindings in by_source_meter.values_mut() {
            for binding in bindings {
                let meter = Arc::clone(&binding.meter);
                for label in &meter.labels {
                    let index = match field_paths.iter().position(|existing| *existing == label.from) {
                        Some(index) => index,
                        None => {
                            field_paths.push(label.from.clone());
                            field_paths.len() - 1
                        }
                    };
                    binding.labels.push((label.name.as_str().into(), index));
                }
            }
        }
        let deciding = by_source_meter.values().flatten().flat_map(|binding| binding.fields.iter().copied());
        let deciding_fields: BTreeSet<usize> = deciding.collect();
        Self { by_source_meter, field_paths, deciding_fields: deciding_fields.into_iter().collect() }
    }

    /// Every source meter that a meter measures, in alphabetical order.
    pub fn source_meters(&self) -> BTreeSet<&str> {
        self.by_source_meter.keys().map(String::as_str).collect()
    }

    pub fn of(&self, source_meter: &str) -> &[Binding] {
        self.by_source_meter.get(&*canonical_text(source_meter)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnostic::{Place, SourceText};
    use crate::model::meter::LookupRow;

    #[test]
    fn a_key_without_a_row_is_not_an_absent_field() {
        let row = LookupRow { key: "g1".to_owned(), value: "1".to_owned(), valid_from: None, valid_to: None };
        let declared_at = Place::new(&SourceText::new("meters.toml", ""), 0..0);
        let lookup = Lookup { name: "gpus".to_owned(), rows: vec![row], declared_at };
        let dimension = |required| BoundDimension {
            name: "gpus".into(),
            kind: DimensionType::Decimal,
            fields: vec![0],
            lookup: Some((Arc::new(lookup.clone()), required)),
        };
        let value = |required, field: Option<&'static str>| dimension(required).value(|_| field, 0);
        assert_eq!(value(true, Some("g1")), Ok(Some("1".into())));
        assert_eq!(value(true, Some("m1")), Ok(Some(UNKNOWN.into())));
        assert_eq!(value(true, None), Ok(None));
        // Without `required` the key itself is the value and must fit the type.
        assert_eq!(value(false, Some("7.0")), Ok(Some("7".into())));
        assert_eq!(value(false, Some("m1")), Err("m1".to_owned()));
    }
}
