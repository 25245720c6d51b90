//! How rows become parquet bytes: one setting of everything, so that equal rows are equal bytes.
//!
//! | columns | are stored as | because |
//! | --- | --- | --- |
//! | texts | dictionary, run lengths | a few values stand in many rows |
//! | instants, quantities | differences | polls come every so many seconds, and a gauge hardly moves |
//! | ids in long runs | differences | rows are sorted by stream or series: nearly all differences are zero |
//! | other ids | dictionary | they come back, in any order |
//! | digests | as they are | nothing about them repeats |
//!
//! A dictionary hashes every value, also the one that it saw just before; for ids in runs that was the most expensive
//! part of writing samples.

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::narrow::{narrow, widen};

/// Rows in a row group: large enough to compress, small enough to be read alone.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// Rows of a batch that is read.
const BATCH_ROWS: usize = 32 * 1024;

/// Rows of a run of one id from which on differences are smaller than a dictionary.
const LONG_RUN: usize = 16;

fn properties(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("conto".to_owned());
    for (index, field) in schema.fields().iter().enumerate() {
        let encoding = match field.data_type() {
            DataType::Timestamp(..) => Encoding::DELTA_BINARY_PACKED,
            DataType::Decimal128(..18, _) | DataType::Decimal128(18, _) if field.name().ends_with("quantity") => {
                Encoding::DELTA_BINARY_PACKED
            }
            DataType::UInt64 if field.name().ends_with("digest") => Encoding::PLAIN,
            DataType::UInt64 if stands_in_runs(batches, index) => Encoding::DELTA_BINARY_PACKED,
            _ => continue,
        };
        let column = ColumnPath::from(field.name().clone());
        properties =
            properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, encoding);
    }
    Ok(properties.build())
}

/// Whether an id stands in many rows before another one follows.
fn stands_in_runs(batches: &[RecordBatch], column: usize) -> bool {
    let ids = batches.iter().filter_map(|batch| batch.column(column).as_any().downcast_ref::<UInt64Array>());
    let (mut rows, mut runs) = (0, 0);
    for ids in ids {
        rows += ids.len();
        runs += 1 + ids.values().windows(2).filter(|pair| pair[0] != pair[1]).count();
    }
    runs * LONG_RUN <= rows
}

pub(super) fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ParquetError> {
    let (schema, batches) = narrow(schema, batches)?;
    let properties = properties(&schema, &batches)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for batch in &batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

pub(super) fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    batches(bytes, None)?.collect()
}

/// The rows of a file, batch by batch; of all columns or of those named.
pub(super) fn batches(
    bytes: Bytes,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, ParquetError>> + Send + use<>, ParquetError> {
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(BATCH_ROWS);
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    Ok(builder.build()?.map(|batch| Ok(widen(&batch?)?)))
}
