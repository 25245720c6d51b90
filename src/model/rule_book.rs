//! The contents of all rule files: meters, lookups, rules, fees, one-off charges, commitment discounts and terms.

use std::sync::Arc;

use crate::model::commitment_discount::Reservation;
use crate::model::diagnostic::SourceText;
use crate::model::meter::{Lookup, Meter};
use crate::model::one_off_charge::OneOffCharge;
use crate::model::recurring::RecurringFee;
use crate::model::rule::{PoolIncludedUnits, Rule};
use crate::model::terms::Terms;

/// The contents of all rule files.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// The meters, sorted by name.
    pub meters: Vec<Meter>,
    /// The lookups, sorted by name.
    pub lookups: Vec<Lookup>,
    /// The rules, sorted by id.
    pub rules: Vec<Rule>,
    /// The included units, sorted by id.
    pub included_units: Vec<PoolIncludedUnits>,
    /// Recurring fees, sorted by id.
    pub recurring: Vec<RecurringFee>,
    /// One-off charges, sorted by id.
    pub charges: Vec<OneOffCharge>,
    /// Reservations and hourly commitments, sorted by id.
    pub reservations: Vec<Reservation>,
    /// Discounts, minimum spends, credits, taxes and fees.
    pub terms: Terms,
    /// The texts of all files, sorted by name, for the committed inputs.
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
