//! All rule files as one value: meters, lookups, rules, fees, commitments and terms.

use std::sync::Arc;

use crate::model::commitment_discount::Reservation;
use crate::model::diagnostic::SourceText;
use crate::model::meter::{Lookup, Meter};
use crate::model::recurring::Recurring;
use crate::model::rule::{Grant, Rule};
use crate::model::terms::Terms;

/// Everything that the rule files say.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Sorted by name.
    pub meters: Vec<Meter>,
    /// Sorted by name.
    pub lookups: Vec<Lookup>,
    /// Sorted by id.
    pub rules: Vec<Rule>,
    /// Sorted by id.
    pub grants: Vec<Grant>,
    /// What is owed by the day, whether it is used or not; sorted by id.
    pub recurring: Vec<Recurring>,
    /// What accounts hold for every hour; sorted by id.
    pub reservations: Vec<Reservation>,
    /// Discounts, commitments, credits and taxes.
    pub terms: Terms,
    /// Every file that was read, in the order of names: what a commit keeps.
    pub sources: Vec<Arc<SourceText>>,
}

impl RuleBook {
    pub fn meter(&self, name: &str) -> Option<&Meter> {
        self.meters.binary_search_by(|meter| meter.name.as_str().cmp(name)).ok().map(|index| &self.meters[index])
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok().map(|index| &self.rules[index])
    }
}
