//! What prices depend on: rates, accounts and dates.

use crate::model::rule_book::RuleBook;
use crate::rating::account_assignments::Cards;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::included_units::IncludedUnits;
use crate::rating::pricer::Pricer;
use crate::rating::rate::PeriodLength;
use crate::rating::rate::Rate;
use crate::rating::segment::Segment;
use arrow::array::RecordBatch;

/// What is offered in a period, and to whom on which card.
#[derive(Clone, Copy, Debug)]
pub struct PricingContext<'a> {
    pub rules: &'a RuleBook,
    pub compiled: &'a [CompiledRule<'a>],
    pub rates: &'a [Rate<'a>],
    pub segments: &'a [Segment],
    pub length: PeriodLength,
    pub grants: &'a [IncludedUnits<'a>],
    pub cards: &'a Cards,
}

/// Rates as rows, and which of them each series has.
#[derive(Debug)]
pub struct SelectedRates {
    pub rate: RecordBatch,
    pub rate_tier: RecordBatch,
    pub applicable_rate: Vec<RecordBatch>,
    pub priced_series: Vec<RecordBatch>,
    pub pricer: Pricer,
}
