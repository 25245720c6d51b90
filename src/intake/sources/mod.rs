//! Where usage comes from: files of directories and buckets, and servers.

pub mod discover;
pub mod servers;
