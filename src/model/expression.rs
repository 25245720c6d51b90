//! An expression of a rule: its text and its place.

use crate::model::diagnostic::Place;

/// An SQL expression as written; it is parsed and checked against an allow-list when rules are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub text: String,
    pub place: Place,
}
