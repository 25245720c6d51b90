//! The only code that runs SQL: embedded statements with their contracts, and a session whose every option is explicit.

mod columns;
mod error;
pub mod expression;
mod kept;
pub mod laws;
pub mod mapping;
pub mod outline;
pub mod parts;
pub mod pools;
pub mod prices;
pub mod rated;
mod session;
pub mod statement;
#[cfg(test)]
mod tests;
pub mod usage_rows;
pub mod used_days;
pub mod windows;

pub use error::Error;
pub use kept::{CHECKS_OF_INVOICES, kept, kept_of, kept_relation};
pub use session::{Parameters, Session};
pub use statement::{Statement, statement, statements};
