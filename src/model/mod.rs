//! The types for configuration, rules, accounts and billing periods. This module imports no other module of Conto.

pub mod account;
pub mod branding;
pub mod close_blocker;
pub mod commitment_discount;
pub mod config;
pub mod diagnostic;
pub mod dialect;
pub mod error_class;
pub mod evidence;
pub mod example;
pub mod expression;
pub mod identifier;
pub mod issue;
pub mod memory;
pub mod meter;
pub mod money;
pub mod one_off_charge;
pub mod path;
pub mod period;
pub mod recurring;
pub mod rule;
pub mod rule_book;
pub mod summary;
pub mod tax;
pub mod terms;
pub mod unread_input;
