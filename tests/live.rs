//! Tests with real servers, which a test starts on loopback. If a server is not installed, the test prints a reason and
//! is skipped.

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
