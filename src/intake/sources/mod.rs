//! The sources of usage: files in directories and buckets, and servers.

mod bucket_listing;
pub mod discover;
mod listing;
mod local_listing;
pub mod servers;
