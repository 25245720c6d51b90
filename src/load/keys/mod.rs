//! The keys of every TOML table that the readers take: their kinds, whether they are required, what they mean.
//!
//! A reader walks a table together with its declaration, and `load::schema` writes the JSON Schemas from the same
//! declarations. A key that a reader takes and no table declares fails the tests; so does a declared key that no
//! reader takes.

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
    /// The name of such a table in messages.
    pub(crate) what: &'static str,
    /// The key whose value decides which of the other keys are valid.
    pub(crate) decided_by: Option<&'static str>,
    pub(crate) keys: &'static [Key],
    /// The kind of every other key, where names are free: values of a dimension, columns of a file.
    pub(crate) others: Option<Kind>,
}

impl TableKeys {
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }
}

/// The kinds of values, as TOML contains them.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// Text that matches a regular expression.
    Pattern(&'static str),
    Choice(&'static [&'static str]),
    Boolean,
    /// An integer within these bounds.
    Integer(i64, i64),
    /// A date without a time.
    Date,
    /// A date, or a date with a time.
    Time,
    List(&'static Kind),
    Table(&'static TableKeys),
    OneOf(&'static [Kind]),
}

/// A number of zero or more in quotes, which stays exact.
pub(crate) const DECIMAL: Kind = Kind::Pattern(r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$");
/// A decimal number with or without a unit, such as `150 GB`. The reader checks the unit.
pub(crate) const QUANTITY: Kind =
    Kind::Pattern(r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(\s*[^0-9\s.+-].*)?$");
/// A length of time, such as `1h30m` or `2 days`.
pub(crate) const DURATION: Kind = Kind::Pattern(r"^\s*([0-9]+(\.[0-9]+)?\s*[A-Za-z]+\s*,?\s*)+$");
/// A country of ISO 3166.
pub(crate) const COUNTRY: Kind = Kind::Pattern("^[A-Z]{2}$");
/// A currency of ISO 4217.
pub(crate) const CURRENCY: Kind = Kind::Pattern("^[A-Z]{3}$");
/// A billing period, such as `2026-10`.
pub(crate) const MONTH: Kind = Kind::Pattern("^[0-9]{4}-[0-9]{2}$");
pub(crate) const TEXTS: Kind = Kind::List(&Kind::Text);

/// The declaration of one key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One sentence on what the value means.
    pub(crate) about: &'static str,
    /// Whether the table is invalid without the key, wherever the key is valid.
    pub(crate) is_required: bool,
    /// The value of an absent key, written as text.
    pub(crate) default: Option<&'static str>,
    /// The values of the deciding key with which this key is valid; any where there are none.
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
