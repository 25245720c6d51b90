//! The arguments of a stage: a context to read, and a transaction to write to.
//!
//! | type | contains | passed as |
//! | --- | --- | --- |
//! | [`Environment`] | configuration, rules, calendar, memory and options of a command, without a period | `&` |
//! | [`Context`] | configuration, rules, calendar and options of work on one period; its mode and tax point | `&` |
//! | [`Transaction`] | the lake, the snapshot, the session and everything that is staged | `&mut` |
//!
//! The pipeline creates the environment when a command begins, and the context when its work on a period begins. A
//! closed period is corrected by the configuration and rules of its close, not by the current ones.

mod context;
mod final_invoice;
mod mode;
mod parallel;
mod progress;
mod provenance;
mod transaction;
mod usage_commit;

pub use self::context::{Context, Documents, Environment, RunOptions};
pub use self::final_invoice::{
    ACCOUNT, FinalInvoices, TAX_POINT, final_invoices, is_of_final_invoice, is_settled, tax_point_of,
};
pub use self::mode::Mode;
pub use self::parallel::{at_once, on_this_thread, threads};
pub use self::progress::{Progress, Silent};
pub use self::provenance::Provenance;
pub use self::transaction::{Part, Transaction, check, encode, register_verified};
pub use self::usage_commit::{USAGE_OF, usage_of, usage_of_summary};

/// The version of this program. Every commit records the version that made it.
pub const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");
