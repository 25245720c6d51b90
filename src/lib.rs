pub mod config;
pub mod diagnostic;
pub mod intake;
pub mod meter;
pub mod money;
pub mod rating;
pub mod reading;
pub mod report;
