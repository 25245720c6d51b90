//! The functions that statements call in addition to those of the engine: one file for each function.
//!
//! A function computes with integers, never with floats. It gets one group or one row. Its `Documentation` states the
//! arguments, the order that it needs, nulls and errors, and is the source of the reference page.

mod convert_cost;
mod group_function;
mod instant;
mod last_reading;
mod metered_windows;
mod ordered_aggregate;
mod pools;
mod scalar_function;
mod section;
mod smallest_unit;
#[cfg(test)]
mod tests;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use self::metered_windows::windows_type;
pub use self::pools::RowError;

/// The functions of one row.
pub fn scalar_functions() -> Vec<ScalarUDF> {
    let mut functions = vec![convert_cost::function(), smallest_unit::function()];
    functions.extend(pools::scalar_functions());
    functions
}

/// The functions of a group of rows.
pub fn aggregate_functions() -> Vec<AggregateUDF> {
    let of_pools = pools::aggregate_functions();
    [last_reading::function(), metered_windows::function()].into_iter().chain(of_pools).collect()
}
