//! The only code that runs SQL: embedded statements with their contracts, and a session with explicit options.

mod error;
pub mod expression;
mod functions;
pub mod mapping;
pub mod persisted;
mod session;
pub mod statement;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::query::persisted::{CHECKS_OF_INVOICES, kept, kept_of, persisted_relation};
pub use error::Error;
pub use session::{Parameters, Session};
pub use statement::{Statement, statement, statements};
