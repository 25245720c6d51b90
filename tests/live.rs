//! Real servers, started by the test on loopback; skipped with a printed reason where they are not installed.

mod cloud;
mod gnocchi;
mod google;
mod keystone;
mod lake_in_store;
mod one_cloud;
mod prometheus;
mod store;
mod victoria_metrics;

pub(crate) use cloud::{invoiced, lake};
