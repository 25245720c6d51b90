//! The declarations of the keys of every TOML table: kind, meaning, default, and whether the key is required.
//!
//! A reader takes the keys of a table that its declaration contains, and `load::schema` generates the JSON Schemas from
//! the same declarations. The tests fail if a reader takes an undeclared key or if no reader takes a declared key.

mod accounts;
mod configuration;
mod rules;
mod shared;
mod terms;

pub(crate) use accounts::*;
pub(crate) use configuration::*;
pub(crate) use rules::*;
pub(crate) use shared::*;
pub(crate) use terms::*;

/// The declaration of one kind of TOML table.
#[derive(Debug)]
pub(crate) struct TableKeys {
    /// The name of the table in messages, such as a `[[rule]]`.
    pub(crate) what: &'static str,
    /// The key whose value determines which of the other keys are valid.
    pub(crate) decided_by: Option<&'static str>,
    pub(crate) keys: &'static [Key],
    /// The kind of all other keys, if names are free, such as values of a dimension or columns of a file.
    pub(crate) others: Option<Kind>,
}

impl TableKeys {
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }
}

/// The kind of a value in TOML.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// Text that matches a regular expression.
    Pattern(&'static str),
    Choice(&'static [&'static str]),
    Boolean,
    /// An integer between two inclusive bounds.
    Integer(i64, i64),
    /// A date without a time.
    Date,
    /// A date, or a date with a time.
    Time,
    List(&'static Kind),
    Table(&'static TableKeys),
    OneOf(&'static [Kind]),
}

/// A number of zero or more in quotes, which is read exactly.
pub(crate) const DECIMAL: Kind = Kind::Pattern(r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$");
/// A number in quotes, with or without a sign, which is read exactly.
pub(crate) const SIGNED_DECIMAL: Kind = Kind::Pattern(r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$");
/// A decimal number with or without a unit, such as `-150 GB`, which can be negative. The reader checks the sign.
pub(crate) const SIGNED_QUANTITY: Kind =
    Kind::Pattern(r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(\s*[^0-9\s.+-].*)?$");
/// A decimal number with or without a unit, such as `150 GB`. The reader checks the unit.
pub(crate) const QUANTITY: Kind =
    Kind::Pattern(r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(\s*[^0-9\s.+-].*)?$");
/// A length of time, such as `1h30m` or `2 days`.
pub(crate) const DURATION: Kind = Kind::Pattern(r"^\s*([0-9]+(\.[0-9]+)?\s*[A-Za-z]+\s*,?\s*)+$");
/// A country code of ISO 3166.
pub(crate) const COUNTRY: Kind = Kind::Pattern("^[A-Z]{2}$");
/// A currency code of ISO 4217.
pub(crate) const CURRENCY: Kind = Kind::Pattern("^[A-Z]{3}$");
/// A billing period, such as `2026-10`.
pub(crate) const MONTH: Kind = Kind::Pattern("^[0-9]{4}-[0-9]{2}$");
pub(crate) const TEXTS: Kind = Kind::List(&Kind::Text);

/// The declaration of one key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The meaning of the value, in one sentence.
    pub(crate) about: &'static str,
    /// Whether the key must be present in tables in which it is valid.
    pub(crate) is_required: bool,
    /// The default value, as text.
    pub(crate) default: Option<&'static str>,
    /// The values of the key `decided_by` with which this key is valid. If the list is empty, the key is always valid.
    pub(crate) only_with: &'static [&'static str],
}

impl Key {
    const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    const fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    const fn only_with(self, values: &'static [&'static str]) -> Self {
        Self { only_with: values, ..self }
    }
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about, is_required: false, default: None, only_with: &[] }
}

/// A table whose keys do not depend on each other.
const fn table(what: &'static str, keys: &'static [Key]) -> TableKeys {
    TableKeys { what, decided_by: None, keys, others: None }
}

/// A table whose keys are all free names.
const fn free_table(what: &'static str, kind: Kind) -> TableKeys {
    TableKeys { what, decided_by: None, keys: &[], others: Some(kind) }
}
