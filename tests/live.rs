//! Real servers, started by the test on loopback; skipped with a printed reason where they are not installed.

mod moto;
mod s3;
