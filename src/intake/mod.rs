pub mod ceilometer;
pub mod compression;
mod framing;
mod id;
pub mod json;
mod quantity;
pub mod record;
#[cfg(test)]
mod test_sink;
pub mod timestamp;
pub mod unit;
pub mod usage;
pub mod usage_csv;
pub mod usage_parquet;
