//! The inputs of pricing: rates, accounts, included units and dates.

use arrow::array::RecordBatch;

use crate::model::rule_book::RuleBook;
use crate::rating::account_assignments::Cards;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::included_units::IncludedUnits;
use crate::rating::pricer::Pricer;
use crate::rating::rate::{PeriodLength, Rate};
use crate::rating::segment::Segment;

/// The rules, rates and segments of a period, and the cards of its accounts.
#[derive(Clone, Copy, Debug)]
pub struct PricingContext<'a> {
    pub rules: &'a RuleBook,
    pub compiled: &'a [CompiledRule<'a>],
    pub rates: &'a [Rate<'a>],
    pub segments: &'a [Segment],
    pub length: PeriodLength,
    pub included_units: &'a [IncludedUnits<'a>],
    pub cards: &'a Cards,
}

/// Rates as rows, and the rates that apply to each series.
#[derive(Debug)]
pub struct SelectedRates {
    pub rate: RecordBatch,
    pub rate_tier: RecordBatch,
    pub applicable_rate: Vec<RecordBatch>,
    pub priced_series: Vec<RecordBatch>,
    pub pricer: Pricer,
}
