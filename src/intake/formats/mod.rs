//! The readers of usage files: one module for each format, and modules for the parts that several formats share.

pub mod ceilometer;
pub mod cloudevents;
pub mod compression;
pub mod csv;
mod encoded_text;
pub mod id;
pub mod json;
pub mod json_objects;
pub mod json_template;
pub(super) mod lines;
pub mod messagepack;
pub mod nested;
pub mod notification;
pub mod parquet;
mod parquet_texts;
pub mod quantity;
pub mod sql_source;
pub mod timestamp;
mod tuple_interner;
pub mod unit;
pub mod usage_columns;
