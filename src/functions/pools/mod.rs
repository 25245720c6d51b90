//! The functions that price pools: quantities and running totals of a pool, parts and fees of a tier, and costs of an
//! invoice line.

mod columns;
mod line_costs;
mod pool_quantity;
mod pool_totals;
mod price_with_factor;
mod ratio;
mod row_error;
mod tier_fees;
mod tier_part;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use self::row_error::RowError;

/// The functions of one row.
pub(super) fn scalar_functions() -> [ScalarUDF; 4] {
    [pool_quantity::function(), price_with_factor::function(), tier_fees::function(), tier_part::function()]
}

/// The functions of a group of rows.
pub(super) fn aggregate_functions() -> [AggregateUDF; 2] {
    [line_costs::function(), pool_totals::function()]
}
