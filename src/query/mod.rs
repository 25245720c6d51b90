//! SQL: embedded statements with their contracts, and the session that runs them. No other code runs SQL.

mod error;
pub mod expression;
mod failing_row;
mod kept_plan;
pub mod lists;
pub mod mapping;
pub mod persisted;
mod plan;
mod prepared;
mod session;
pub mod statement;
#[cfg(test)]
mod tests;

pub use crate::query::persisted::{
    CHECKS_OF_INVOICES, CHECKS_OF_PERIODS, persisted_of, persisted_paths, persisted_relation,
};
pub use error::Error;
pub use plan::StatementPlan;
pub use prepared::{Inputs, PreparedStatement};
pub use session::{Parameters, Session};
pub use statement::{Statement, statement, statement_named, statements};
