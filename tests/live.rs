//! Real servers, started by the test on loopback; skipped with a printed reason where they are not installed.

mod cloud;
mod gnocchi;
mod moto;
mod one_cloud;
mod prometheus;
mod s3;

pub(crate) use cloud::{invoiced, world};
