//! The sources of usage: files in directories and buckets, and servers.

pub mod discover;
pub mod servers;
