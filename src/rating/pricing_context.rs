//! The inputs and results of rate selection.

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

/// The result of rate selection: all rates as rows, the rates that apply to each series, and the pricer.
#[derive(Debug)]
pub struct SelectedRates {
    pub rate: RecordBatch,
    pub rate_tier: RecordBatch,
    pub applicable_rate: Vec<RecordBatch>,
    pub priced_series: Vec<RecordBatch>,
    pub pricer: Pricer,
}
