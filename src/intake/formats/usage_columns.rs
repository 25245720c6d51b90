//! The columns of usage records in files with columns (CSV, Parquet), and the values of these columns.

use std::collections::BTreeMap;
use std::io;

use crate::intake::formats::timestamp;
use crate::intake::record::SampleKind;
use crate::intake::rejection_reason::Reason;
use crate::model::diagnostic::closest;
use crate::model::dialect::{Clock, Suggestion};
use crate::model::evidence::Evidence;
use crate::model::identifier;
use crate::model::meter::FieldPath;

/// The reason why a whole file of usage records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error(
        "there is no column `{column}`{}; the columns are: {}{}",
        closest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default(),
        found.join(", "),
        suggested_keys(suggestion)
    )]
    MissingColumn {
        /// The expected name in the file.
        column: String,
        found: Vec<String>,
        closest: Option<String>,
        /// The keys of the source that the file seems to need.
        suggestion: Suggestion,
    },
    #[error("the column `{0}` occurs more than once")]
    RepeatedColumn(String),
    #[error("the column `{column}` is of type {found}, expected {expected}")]
    UnsupportedType { column: String, found: String, expected: &'static str },
    #[error(
        "`{first}` and `{second}` lead to the elements of two lists, expected one list, or lists within each other"
    )]
    SeveralLists { first: String, second: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl UsageError {
    /// Adds the keys that the file seems to need, if a column is missing.
    pub fn with_suggestion(self, keys: Suggestion) -> Self {
        match self {
            // The similar name of a header in another dialect is the whole header.
            Self::MissingColumn { column, found, closest, .. } => {
                let closest = closest.filter(|_| keys.is_empty());
                Self::MissingColumn { column, found, closest, suggestion: keys }
            }
            other => other,
        }
    }
}

fn suggested_keys(keys: &Suggestion) -> String {
    if keys.is_empty() { String::new() } else { format!("; the file seems to need {} in the source", keys.entries()) }
}

/// The position of each value in the columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub meter: usize,
    pub resource_id: usize,
    pub measured_at: usize,
    pub quantity: usize,
    pub project_id: Option<usize>,
    pub unit: Option<usize>,
    pub kind: Option<usize>,
    pub record_id: Option<usize>,
    pub created_at: Option<usize>,
    pub deleted: Option<usize>,
    pub is_state: Option<usize>,
    /// The position of each of the sink's field paths.
    pub fields: Vec<Option<usize>>,
}

impl Columns {
    /// Finds the position of each column in a file. `renamed` maps the standard names of columns to their names in the
    /// file. A renamed column must exist. Otherwise a misspelled name would price usage without its project or its
    /// dimension.
    pub fn resolve(
        found: &[String],
        renamed: &BTreeMap<String, String>,
        paths: &[FieldPath],
    ) -> Result<Self, UsageError> {
        let optional = |column: &str| -> Result<Option<usize>, UsageError> {
            let name = renamed.get(column).map_or(column, String::as_str);
            let mut indices = found.iter().enumerate().filter(|(_, found)| *found == name).map(|(index, _)| index);
            match (indices.next(), indices.next()) {
                (Some(_), Some(_)) => Err(UsageError::RepeatedColumn(name.to_owned())),
                (None, _) if renamed.contains_key(column) => Err(missing(name, found)),
                (index, _) => Ok(index),
            }
        };
        let required = |column: &str| optional(column)?.ok_or_else(|| missing(column, found));
        Ok(Self {
            meter: required("meter")?,
            resource_id: required("resource_id")?,
            measured_at: required("measured_at")?,
            quantity: required("quantity")?,
            project_id: optional("project_id")?,
            unit: optional("unit")?,
            kind: optional("type")?,
            record_id: optional("record_id")?,
            created_at: optional("created_at")?,
            deleted: optional("deleted")?,
            is_state: optional("is_state")?,
            fields: paths.iter().map(|path| optional(&path.joined())).collect::<Result<_, _>>()?,
        })
    }

    /// The positions within a projection to `indices`.
    pub fn projected(&self, indices: &[usize]) -> Self {
        let index = |index: usize| indices.partition_point(|other| *other < index);
        Self {
            meter: index(self.meter),
            resource_id: index(self.resource_id),
            measured_at: index(self.measured_at),
            quantity: index(self.quantity),
            project_id: self.project_id.map(index),
            unit: self.unit.map(index),
            kind: self.kind.map(index),
            record_id: self.record_id.map(index),
            created_at: self.created_at.map(index),
            deleted: self.deleted.map(index),
            is_state: self.is_state.map(index),
            fields: self.fields.iter().map(|field| field.map(index)).collect(),
        }
    }

    /// The distinct positions of all columns, in order.
    pub fn indices(&self) -> Vec<usize> {
        let required = [self.meter, self.resource_id, self.measured_at, self.quantity].map(Some);
        let optional =
            [self.project_id, self.unit, self.kind, self.record_id, self.created_at, self.deleted, self.is_state];
        let mut indices: Vec<usize> =
            required.into_iter().chain(optional).chain(self.fields.iter().copied()).flatten().collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }
}

fn missing(column: &str, found: &[String]) -> UsageError {
    UsageError::MissingColumn {
        column: column.to_owned(),
        found: found.to_vec(),
        closest: closest(column, found.iter().map(String::as_str)).map(str::to_owned),
        suggestion: Suggestion::default(),
    }
}

/// A text without surrounding blanks, or `None` if it means an absent value.
pub fn stated(text: Option<&str>) -> Option<&str> {
    text.and_then(identifier::stated)
}

/// An id as delivered, or `None` if it means an absent value. The sink makes it canonical.
pub fn id(text: Option<&str>) -> Option<&str> {
    text.filter(|text| identifier::stated(text).is_some())
}

pub fn required_id<'a>(text: Option<&'a str>, column: &str) -> Result<&'a str, (Reason, String)> {
    required(text, column)?;
    Ok(text.unwrap_or_default())
}

pub fn required<'a>(text: Option<&'a str>, column: &str) -> Result<&'a str, (Reason, String)> {
    stated(text).ok_or_else(|| (Reason::MissingField, format!("the row has no `{column}`")))
}

pub fn kind(text: Option<&str>) -> SampleKind {
    SampleKind::from_name(text.unwrap_or_default())
}

/// Reads the column `created_at`.
pub fn created_at(text: Option<&str>, clock: &Clock) -> Result<Option<i64>, (Reason, String)> {
    stated(text).map(|text| timestamp::read(text, clock, " of `created_at`")).transpose()
}

/// Reads the column `deleted`. An invalid value is rejected. If an invalid value meant "no", a deleted resource would
/// be billed.
pub fn deleted(text: Option<&str>) -> Result<bool, (Reason, String)> {
    is_true(text, "deleted")
}

/// Reads the column `is_state`: whether a record is a state that is valid until the next event of its resource.
pub fn evidence(text: Option<&str>) -> Result<Evidence, (Reason, String)> {
    Ok(if is_true(text, "is_state")? { Evidence::Reported } else { Evidence::Sampled })
}

fn is_true(text: Option<&str>, column: &str) -> Result<bool, (Reason, String)> {
    let Some(text) = stated(text) else { return Ok(false) };
    let is = |spellings: [&str; 4]| spellings.iter().any(|spelling| text.eq_ignore_ascii_case(spelling));
    if is(["true", "t", "yes", "1"]) {
        Ok(true)
    } else if is(["false", "f", "no", "0"]) {
        Ok(false)
    } else {
        Err((Reason::Malformed, format!("`{column}` is `{text}`, expected `true` or `false`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_their_own_or_another_name() {
        let found = names(&["x", "sampled_at", "meter", "quantity", "resource_id", "flavor.name", "type"]);
        let renamed = BTreeMap::from([("measured_at".to_owned(), "sampled_at".to_owned())]);
        let paths = [FieldPath::parse("flavor.name"), FieldPath::parse("meter"), FieldPath::parse("zone")];
        let columns = Columns::resolve(&found, &renamed, &paths).unwrap();
        assert_eq!((columns.measured_at, columns.meter, columns.kind, columns.project_id), (1, 2, Some(6), None));
        assert_eq!(columns.fields, [Some(5), Some(2), None]);
        assert_eq!(columns.indices(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_missing_column_is_reported_with_the_existing_ones() {
        let found = names(&["meter", "resource_id", "measured", "quantity"]);
        let error = Columns::resolve(&found, &BTreeMap::new(), &[]).unwrap_err();
        let expected = "there is no column `measured_at` (did you mean `measured`?); \
                        the columns are: meter, resource_id, measured, quantity";
        assert_eq!(error.to_string(), expected);
        let found = names(&["meter", "resource_id", "measured_at", "quantity"]);
        let renamed = BTreeMap::from([("project_id".to_owned(), "tenant".to_owned())]);
        let error = Columns::resolve(&found, &renamed, &[]).unwrap_err();
        assert!(error.to_string().starts_with("there is no column `tenant`; the columns are"), "{error}");
        let found = names(&["meter", "resource_id", "measured_at", "quantity", "meter"]);
        let error = Columns::resolve(&found, &BTreeMap::new(), &[]).unwrap_err();
        assert!(matches!(error, UsageError::RepeatedColumn(name) if name == "meter"));
    }

    #[test]
    fn deleted_is_true_or_false() {
        for (text, expected) in [("true", true), ("T", true), ("1", true), ("", false), ("No", false), ("None", false)]
        {
            assert_eq!(deleted(Some(text)), Ok(expected), "{text}");
        }
        assert_eq!(deleted(None), Ok(false));
        assert_eq!((evidence(None), evidence(Some("true"))), (Ok(Evidence::Sampled), Ok(Evidence::Reported)));
        assert_eq!(evidence(Some("for ever")).unwrap_err().1, "`is_state` is `for ever`, expected `true` or `false`");
        assert_eq!(deleted(Some("2026-10-01")).unwrap_err().0, Reason::Malformed);
        let created_at = |text| created_at(text, &Clock::default());
        assert_eq!((created_at(None), created_at(Some("5"))), (Ok(None), Ok(Some(5_000_000))));
        let (reason, detail) = created_at(Some("soon")).unwrap_err();
        assert!(reason == Reason::BadTimestamp && detail.starts_with("the time `soon` of `created_at` is invalid"));
    }
}
