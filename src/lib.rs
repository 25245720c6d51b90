//! Conto turns a cloud's metered usage into invoices whose totals are exact.
//!
//! This page is the map of the code. The program is a pipeline of stages that meet in named relations. Each relation is
//! one file below `sql/`; its header defines a row, the relations that it reads, and its columns.
//!
//! ```text
//! sources ──intake──▶ sample ──metering──▶ metered_usage ──rating──▶ rated_usage ──invoicing──▶ invoice, invoice_line
//!           │     (stream, series)         (hour, day)     ▲    │                                    │
//!           └▶ rejected_record                  rating-rules    └▶ unrated_usage                     └▶ documents
//! ```
//!
//! | room | contents |
//! | --- | --- |
//!
//! Imports go down this table or stay in their room; no two files import each other, and no stage imports another. The
//! tests in `tests/architecture.rs` check both. SQL computes every step over sets of rows. Rust decides what concerns one
//! thing: whether a record is valid, which number a document gets.

pub mod audit;
pub mod billed_period;
pub mod catalog;
pub mod cli;
pub mod closing;
pub mod documents;
pub mod error;
pub mod export;
pub mod housekeeping;
pub mod intake;
pub mod invoicing;
pub mod ledger;
pub mod load;
pub mod metering;
pub mod model;
pub mod pipeline;
pub mod query;
pub mod rating;
pub mod rows;
pub mod run;
pub mod storage;
