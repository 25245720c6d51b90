//! The encoding of rows as Parquet. Every setting is fixed, so that equal rows have equal bytes.
//!
//! | columns | encoding | reason |
//! | --- | --- | --- |
//! | ids, texts | dictionary, run lengths | rows are sorted by stream or series, so hundreds of rows have the same id |
//! | instants, quantities | delta | polls have a fixed interval, and most gauges change rarely |
//! | digests | plain | digests have no pattern |

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;

use crate::storage::decimal_encoding::{narrow, widen};

/// The number of rows in a row group: enough to compress well, and few enough to read one group alone.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// The number of rows in a batch when a file is read.
const BATCH_ROWS: usize = 32 * 1024;
/// The number of rows that the writer gets at once. The writer ends pages only after 1,024 rows of a batch, or at the
/// end of the batch. So batches of another size give other bytes for the same rows.
const WRITTEN_ROWS: usize = 8 * 1024;

fn properties(schema: &SchemaRef) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("conto".to_owned());
    for field in schema.fields() {
        let encoding = match field.data_type() {
            DataType::Timestamp(..) => Encoding::DELTA_BINARY_PACKED,
            DataType::Decimal128(..=18, _) if field.name().ends_with("quantity") => Encoding::DELTA_BINARY_PACKED,
            DataType::UInt64 if field.name().ends_with("digest") => Encoding::PLAIN,
            _ => continue,
        };
        let column = ColumnPath::from(field.name().clone());
        properties =
            properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, encoding);
    }
    Ok(properties.build())
}

pub(super) fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ParquetError> {
    let (schema, batches) = narrow(schema, batches)?;
    let properties = properties(&schema)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    write(&mut writer, &batches)?;
    writer.into_inner()
}

/// Writes rows in batches of [`WRITTEN_ROWS`] rows, so that the bytes do not depend on the sizes of the given batches.
fn write(writer: &mut ArrowWriter<Vec<u8>>, batches: &[RecordBatch]) -> Result<(), ParquetError> {
    let mut pieces: Vec<RecordBatch> = Vec::new();
    let mut missing = WRITTEN_ROWS;
    for batch in batches {
        let mut start = 0;
        while start < batch.num_rows() {
            let piece = batch.slice(start, missing.min(batch.num_rows() - start));
            start += piece.num_rows();
            missing -= piece.num_rows();
            pieces.push(piece);
            if missing == 0 {
                write_joined(writer, &pieces)?;
                pieces.clear();
                missing = WRITTEN_ROWS;
            }
        }
    }
    write_joined(writer, &pieces)
}

fn write_joined(writer: &mut ArrowWriter<Vec<u8>>, pieces: &[RecordBatch]) -> Result<(), ParquetError> {
    match pieces {
        [] => Ok(()),
        [piece] => writer.write(piece),
        [first, ..] => writer.write(&concat_batches(&first.schema(), pieces)?),
    }
}

/// Encodes batches with the declared types, for other programs.
pub(super) fn encode_declared(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("conto".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))?;
    write(&mut writer, batches)?;
    writer.into_inner()
}

pub(super) fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    batches(bytes, None)?.collect()
}

/// The names of the columns of a file. A nested column has one name.
pub(super) fn column_names(bytes: &Bytes) -> Result<Vec<String>, ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(bytes)?;
    let fields = metadata.file_metadata().schema_descr().root_schema().get_fields();
    Ok(fields.iter().map(|field| field.name().to_owned()).collect())
}

/// Whether the statistics of a file prove that a Boolean column is false in every row. Without statistics the result is
/// `false`.
pub(super) fn is_never_true(bytes: &Bytes, column: &str) -> Result<bool, ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(bytes)?;
    let columns = metadata.file_metadata().schema_descr().columns();
    let Some(index) = columns.iter().position(|found| found.name() == column) else { return Ok(false) };
    Ok(metadata.row_groups().iter().all(|group| match group.column(index).statistics() {
        Some(Statistics::Boolean(values)) => values.max_opt() == Some(&false) && values.null_count_opt() == Some(0),
        _ => false,
    }))
}

/// The rows of a file in batches, with all columns or a selection.
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, StringArray, UInt64Array};

    /// Rows with an id, a text that repeats, and a quantity.
    fn rows(count: u64) -> RecordBatch {
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..count));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("p-{}", row / 37))));
        let quantities = Decimal128Array::from_iter_values((0..count).map(|row| i128::from(row * row)));
        let quantities: ArrayRef = Arc::new(quantities.with_precision_and_scale(28, 9).unwrap());
        RecordBatch::try_from_iter([("id", ids), ("project_id", texts), ("quantity", quantities)]).unwrap()
    }

    fn cut(whole: &RecordBatch, sizes: &[usize]) -> Vec<RecordBatch> {
        let (mut pieces, mut start) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            let piece = whole.slice(start, (*size).min(whole.num_rows() - start));
            start += piece.num_rows();
            pieces.push(piece);
            if start == whole.num_rows() {
                return pieces;
            }
        }
        pieces
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_sizes_of_batches() {
        let whole = rows(50_000);
        let expected = encode(&whole.schema(), std::slice::from_ref(&whole)).unwrap();
        for sizes in [&[256][..], &[1_000], &[8_192], &[1, 8_191, 5_000], &[0, 30_000, 3]] {
            assert_eq!(encode(&whole.schema(), &cut(&whole, sizes)).unwrap(), expected, "batches of {sizes:?} rows");
        }
        let decoded = decode(Bytes::from(expected)).unwrap();
        assert_eq!(decoded.iter().map(RecordBatch::num_rows).sum::<usize>(), whole.num_rows());
    }

    #[test]
    fn a_file_without_rows_is_readable() {
        let none = rows(0);
        let bytes = encode(&none.schema(), std::slice::from_ref(&none)).unwrap();
        assert!(decode(Bytes::from(bytes)).unwrap().iter().all(|batch| batch.num_rows() == 0));
    }
}
