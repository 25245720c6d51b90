//! Conto turns a cloud's metered usage into invoices that add up to the last digit.
//!
//! This page is the map of the house. The program is a pipeline of stages that meet in named relations; each relation
//! is one file below `sql/`, whose header says what one row is, what it reads, and what it promises.
//!
//! ```text
//! sources ──intake──▶ sample ──metering──▶ metered_usage ──rating──▶ rated_usage ──invoicing──▶ invoice, invoice_line
//!           │     (stream, series)         (hour, day)     ▲    │                                    │
//!           └▶ rejected_record                  rating-rules    └▶ unrated_usage                     └▶ documents
//! ```
//!
//! | where | what it decides |
//! | --- | --- |
//! | [`pipeline`] | the order of the stages, stated once |
//! | [`run`] | what a stage gets: lake, rules, engine, and a place for what is new |
//! | [`intake`] | which records are usable, and which of them are new |
//! | [`metering`] | which series a sample belongs to, and which dates have to be metered again |
//! | [`rating`] | which rule applies to what |
//! | [`invoicing`] | which parameters the document has; its arithmetic is SQL |
//! | [`ledger`] | which account of the ledger takes what a document posts |
//! | [`books`], [`audit`] | a billed period to be read, and every law of it worked out again |
//! | [`closing`] | which number a document gets for good, and what is due for a closed period since |
//! | [`documents`] | which pages and files are drawn anew; filled from relations, shown by [`report`], written by [`export`] |
//! | [`query`] | how SQL is run and held to its contract |
//! | [`storage`] | where files lie and how a commit is made |
//! | [`reading`] | what configuration, accounts and rules say, with every mistake told at its place |
//! | [`account`], [`config`], [`memory`], [`meter`], [`money`], [`period`], [`standing`], [`terms`], [`diagnostic`] | the vocabulary |
//! | [`cli`] | a file for each command, and the only place that prints |
//!
//! Directions: `main → cli → pipeline → stages → run → query, storage → vocabulary`. Stages never import one another,
//! except for the catalog of streams and series that intake and metering both add to. SQL is the truth of every step
//! over sets of rows, Rust of every decision about one thing.

pub mod account;
pub mod audit;
pub mod books;
pub mod cli;
pub mod closing;
pub mod config;
pub mod diagnostic;
pub mod documents;
pub mod export;
pub mod housekeeping;
pub mod intake;
pub mod invoicing;
pub mod ledger;
pub mod look;
pub mod memory;
pub mod meter;
pub mod metering;
pub mod money;
pub mod period;
pub mod pipeline;
pub mod query;
pub mod rating;
pub mod reading;
pub mod recurring;
pub mod report;
pub mod reservation;
pub mod rows;
pub mod run;
pub mod standing;
pub mod storage;
pub mod summary;
pub mod terms;
