pub mod compression;
pub mod json;
pub mod record;
pub mod timestamp;
pub mod unit;
