//! Conto: batch rating and billing for cloud providers.

pub mod cli;
pub mod config;
pub mod diagnostic;
pub mod documents;
pub mod export;
pub mod intake;
pub mod invoicing;
pub mod meter;
pub mod metering;
pub mod money;
pub mod period;
pub mod pipeline;
pub mod query;
pub mod rating;
pub mod reading;
pub mod report;
pub mod rows;
pub mod run;
pub mod storage;
pub mod summary;
