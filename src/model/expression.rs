//! An SQL expression of a rule, with its place.

use crate::model::diagnostic::Place;

/// An unparsed SQL expression. The compilation of the rules checks it against a list of allowed functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub text: String,
    pub place: Place,
}
