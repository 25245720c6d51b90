//! An SQL expression of a rule, with its place.

use crate::model::diagnostic::Place;

/// An unparsed SQL expression. It is checked against a list of allowed functions when the rules are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub text: String,
    pub place: Place,
}
