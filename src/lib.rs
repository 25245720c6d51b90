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
//! | module | contents |
//! | --- | --- |
//! | [`cli`] | the commands, one file each, and the only code that prints |
//! | [`pipeline`] | the order of the stages, for each command |
//! | [`intake`] | usage from files and servers: sources, formats, identity, de-duplication |
//! | [`metering`] | quantities by window and by day |
//! | [`rating`] | prices: eligibility, pools, tiers, commitment discounts |
//! | [`invoicing`] | draft invoices: lines, discounts, credits, tax |
//! | [`ledger`] | the postings of documents |
//! | [`closing`] | final numbers, and corrections of closed periods |
//! | [`documents`] | invoices, usage reports and the index as pages, JSON and CSV |
//! | [`audit`], [`billed_period`] | a billed period as a read session, and all of its invariants checked again |
//! | [`run_limits`] | the findings of a billed period beyond the limits of `[run]` |
//! | [`maintenance`] | compaction, expiry and deletion of files |
//! | [`export`] | CSV, journals and `usage.csv` |
//! | [`run`] | the context and the transaction that a stage gets |
//! | [`catalog`] | streams and series |
//! | [`error`] | the errors of a run, and their classes |
//! | [`query`], [`rows`] | SQL statements with their contracts, the session that runs them, typed columns |
//! | [`functions`] | functions of Conto that statements call |
//! | [`storage`] | the lake: Parquet files and the commit log |
//! | [`load`] | configuration, accounts and rules from files, with all problems at once |
//! | [`model`] | the vocabulary: money, periods, meters, rules, accounts, terms, diagnostics |
//!
//! Imports go down this table or stay in their module. No two files import each other, and no stage imports another.
//! The tests in `tests/architecture.rs` check both. SQL computes the steps over sets of rows. Rust decides about single
//! items, such as the validity of a record or the number of a document.

pub mod audit;
pub mod billed_period;
pub mod catalog;
pub mod cli;
pub mod closing;
pub mod documents;
pub mod error;
pub mod export;
pub mod functions;
pub mod intake;
pub mod invoicing;
pub mod ledger;
pub mod load;
pub mod maintenance;
pub mod metering;
pub mod model;
pub mod pipeline;
pub mod query;
pub mod rating;
pub mod rows;
pub mod run;
pub mod run_limits;
pub mod storage;
