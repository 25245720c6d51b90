//! The reader of files with any columns, which the select of their source maps to usage records. The formats are CSV,
//! Parquet, and JSON with one object per line or in arrays.
//!
//! Values of CSV and JSON stay text as written, so that no number is converted to a float. The select interprets them.
//! For the same reason, a Parquet float becomes the shortest text that identifies the float. A field of a nested object
//! becomes a column whose name is the dotted path (`"usage.tokens"`). An array becomes a column with its JSON text.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::sync::Arc;

use ::csv::StringRecord;
use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::compression::Decoded;
use super::json::{self, JsonError};
use crate::intake::formats::csv;
use crate::intake::formats::csv::CsvRows;
use crate::intake::formats::json_objects;
use crate::intake::formats::json_objects::ObjectReader;
use crate::intake::formats::parquet::{Rows, check_types};
use crate::intake::formats::parquet_texts::float_texts;
use crate::intake::formats::usage_columns::{Columns, UsageError};
use crate::intake::record::{ReadCounts, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;
use crate::model::dialect::{Dialect, Suggestion};
use crate::query::mapping::Mapping;

const BATCH_ROWS: usize = 8 * 1024;
/// The memory limit of a batch. Long rows are mapped in smaller batches.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// The largest number of fields. A file with more fields probably uses values as keys, for example ids.
const MAX_FIELDS: usize = 2_000;
/// The maximum depth to which nested objects become columns.
const MAX_DEPTH: usize = 16;

/// The columns of a CSV file, all as text, and the keys that the file seems to need. `None` if they cannot be
/// determined.
pub fn schema_of_csv<R: BufRead>(
    decoded: &mut Decoded<R>,
    dialect: &Dialect,
) -> io::Result<Option<(SchemaRef, Suggestion)>> {
    Ok(csv::header(decoded, dialect)?.map(|(names, suggestion)| (texts(names), suggestion.of_cells())))
}

/// The columns of a Parquet file for a select. `None` if the file is damaged.
pub fn schema_of_parquet<C: ChunkReader + 'static>(file: &C) -> Option<SchemaRef> {
    ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).ok().map(|metadata| without_floats(metadata.schema()))
}

/// The columns of a schema, with text in place of floats.
fn without_floats(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match is_float(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A batch of a file, converted to the columns of [`without_floats`].
fn with_texts(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match is_float(column.data_type()) {
        true => Ok(Arc::new(float_texts(column)?) as ArrayRef),
        false => Ok(Arc::clone(column)),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, ArrowError>>()?)
}

fn is_float(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_float(values),
        kind => kind.is_floating(),
    }
}

/// The fields of all objects of a JSON file, all as text. `None` if no object has a field.
pub fn schema_of_json<R: BufRead>(decoded: &mut Decoded<R>) -> io::Result<Option<SchemaRef>> {
    let mut fields = Fields(BTreeSet::new());
    json_objects::read(decoded, &mut fields)?;
    if fields.0.len() > MAX_FIELDS {
        return Err(io::Error::other(format!("the objects of the file have more than {MAX_FIELDS} different fields")));
    }
    Ok((!fields.0.is_empty()).then(|| texts(fields.0)))
}

fn texts(names: impl IntoIterator<Item = String>) -> SchemaRef {
    let fields: Vec<Field> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The collected paths of fields.
struct Fields(BTreeSet<String>);

impl ObjectReader for Fields {
    fn object(&mut self, _: u64, text: &str) -> Result<(), JsonError> {
        if text.starts_with('{') {
            flatten(text, "", 0, &mut |path, _| {
                if self.0.len() <= MAX_FIELDS && !self.0.contains(path) {
                    self.0.insert(path.to_owned());
                }
            })?;
        }
        Ok(())
    }

    /// Ignores a rejection, because it is reported when the records are read.
    fn reject(&mut self, _: Reason, _: String, _: u64, _: &[u8]) {}
}

/// Passes the path and the text of each field of an object to `emit`. `before` is the path of the object itself.
fn flatten(text: &str, before: &str, depth: usize, emit: &mut impl FnMut(&str, &str)) -> Result<(), JsonError> {
    for (name, value) in json::members(text)? {
        let path = if before.is_empty() { name } else { format!("{before}.{name}") };
        if value.starts_with('{') && depth < MAX_DEPTH {
            flatten(value, &path, depth + 1, emit)?;
        } else {
            emit(&path, value);
        }
    }
    Ok(())
}

/// A buffer of rows that are mapped together.
struct Mapper<'m> {
    mapping: &'m Mapping,
    dialect: &'m Dialect,
    columns: Columns,
    schema: SchemaRef,
    builders: Vec<StringBuilder>,
    lines: Vec<u64>,
    raw: Vec<Vec<u8>>,
    /// The size of `raw` in bytes.
    bytes: usize,
    counts: ReadCounts,
}

impl<'m> Mapper<'m> {
    /// An empty buffer. `file` is the schema for which the mapping was planned.
    fn new(
        mapping: &'m Mapping,
        file: SchemaRef,
        dialect: &'m Dialect,
        sink: &impl RecordSink,
    ) -> Result<Self, UsageError> {
        let columns = columns(mapping, dialect, sink)?;
        let builders = file.fields().iter().map(|_| StringBuilder::new()).collect();
        let (lines, raw, counts) = (Vec::new(), Vec::new(), ReadCounts::default());
        Ok(Self { mapping, dialect, columns, schema: file, builders, lines, raw, bytes: 0, counts })
    }

    /// Adds a row of texts, in the order of the columns.
    fn row<'t>(
        &mut self,
        texts: impl Iterator<Item = Option<&'t str>>,
        line: u64,
        raw: &[u8],
        sink: &mut impl RecordSink,
    ) -> Result<(), UsageError> {
        self.builders.iter_mut().zip(texts).for_each(|(builder, text)| builder.append_option(text));
        self.lines.push(line);
        self.raw.push(raw.to_vec());
        self.bytes += raw.len();
        if self.lines.len() < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(()) } else { self.flush(sink) }
    }

    fn flush(&mut self, sink: &mut impl RecordSink) -> Result<(), UsageError> {
        let columns: Vec<ArrayRef> = self.builders.iter_mut().map(|builder| Arc::new(builder.finish()) as _).collect();
        let (lines, raw) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.raw));
        self.bytes = 0;
        if lines.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        self.map(&batch, &lines, &raw, sink)
    }

    /// Maps a batch and passes its records to the sink. Without `raw`, a rejection contains the values of the row.
    fn map(
        &mut self,
        batch: &RecordBatch,
        lines: &[u64],
        raw: &[Vec<u8>],
        sink: &mut impl RecordSink,
    ) -> Result<(), UsageError> {
        let mapped = self.mapping.apply(batch).map_err(io::Error::other)?;
        for (row, problem) in mapped.failed {
            self.counts.read += 1;
            let raw = raw.get(row).map_or(&b""[..], Vec::as_slice);
            let detail = format!("the select fails for this row: {problem}");
            sink.reject(&Rejection { reason: Reason::Malformed, detail, line: lines[row], raw });
        }
        let rows = Rows::new(mapped.batch, &self.columns, self.dialect).map_err(io::Error::other)?;
        let mut fields = Vec::new();
        for (row, origin) in mapped.origin.iter().enumerate() {
            self.counts.read += 1;
            fields.clear();
            let raw = raw.get(*origin).map(Vec::as_slice);
            if let Err((reason, detail)) = rows.pass_with_raw(row, lines[*origin], raw, &mut fields, sink) {
                let values = rows.as_json(row);
                let raw = raw.unwrap_or(values.as_bytes());
                sink.reject(&Rejection { reason, detail, line: lines[*origin], raw });
            }
        }
        Ok(())
    }
}

/// The positions of the columns of usage records in the result of a mapping.
///
/// The functions of the engine return UTC as timestamps without a time zone, so a source with a `time_zone` cannot
/// return such timestamps.
pub fn columns(mapping: &Mapping, dialect: &Dialect, sink: &impl RecordSink) -> Result<Columns, UsageError> {
    let names: Vec<String> = mapping.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = Columns::resolve(&names, &Default::default(), sink.field_paths())?;
    check_types(mapping.schema(), &columns)?;
    for index in [Some(columns.measured_at), columns.created_at].into_iter().flatten() {
        let field = mapping.schema().field(index);
        if dialect.clock.time_zone.is_some() && matches!(field.data_type(), DataType::Timestamp(_, None)) {
            let (column, found) = (field.name().clone(), field.data_type().to_string());
            let expected = "text, or a timestamp with a time zone, because the source has a `time_zone`";
            return Err(UsageError::UnsupportedType { column, found, expected });
        }
    }
    Ok(columns)
}

/// Passes the records of a CSV file to the sink.
pub fn read_csv<R: BufRead>(
    decoded: &mut Decoded<R>,
    mapping: &Mapping,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    struct Mapped<'m>(&'m Mapping, &'m Dialect, Option<Mapper<'m>>);
    impl CsvRows for Mapped<'_> {
        fn header(&mut self, header: &[String], sink: &impl RecordSink) -> Result<(), UsageError> {
            self.2 = Some(Mapper::new(self.0, texts(header.iter().cloned()), self.1, sink)?);
            Ok(())
        }

        fn row(
            &mut self,
            row: &StringRecord,
            line: u64,
            raw: &[u8],
            sink: &mut impl RecordSink,
        ) -> Result<Result<(), (Reason, String)>, UsageError> {
            let Some(mapper) = &mut self.2 else { return Ok(Ok(())) };
            let cells = row.iter().map(|cell| (!self.1.is_null(cell)).then_some(cell));
            mapper.row(cells, line, raw, sink).map(Ok)
        }
    }
    let mut rows = Mapped(mapping, dialect, None);
    let rejected = csv::read_rows(decoded, dialect, &mut rows, sink)?;
    let Some(mut mapper) = rows.2 else { return Ok(rejected) };
    mapper.flush(sink)?;
    Ok(ReadCounts { read: rejected.read + mapper.counts.read })
}

/// Passes the records of a JSON file to the sink. `mapping` is `None` if no object of the file has a field.
pub fn read_json<R: BufRead>(
    decoded: &mut Decoded<R>,
    mapping: Option<(&Mapping, &SchemaRef)>,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let mapper =
        mapping.map(|(mapping, schema)| Mapper::new(mapping, Arc::clone(schema), dialect, sink)).transpose()?;
    let mut reader = JsonRows { mapper, sink, read: 0, failure: None };
    json_objects::read(decoded, &mut reader)?;
    if let Some(failure) = reader.failure {
        return Err(failure);
    }
    let mut read = reader.read;
    if let Some(mapper) = &mut reader.mapper {
        mapper.flush(reader.sink)?;
        read += mapper.counts.read;
    }
    Ok(ReadCounts { read })
}

struct JsonRows<'m, 's, S> {
    mapper: Option<Mapper<'m>>,
    sink: &'s mut S,
    read: u64,
    failure: Option<UsageError>,
}

impl<S: RecordSink> ObjectReader for JsonRows<'_, '_, S> {
    fn object(&mut self, line: u64, text: &str) -> Result<(), JsonError> {
        if !text.starts_with('{') {
            json::select(text, &json::Selection::default(), &mut Vec::new())?;
            self.reject(Reason::Malformed, "expected a JSON object".to_owned(), line, text.as_bytes());
            return Ok(());
        }
        let Some(mapper) = &mut self.mapper else {
            // No object of the file has a field. Each object is rejected with its own problem.
            flatten(text, "", 0, &mut |_, _| {})?;
            self.reject(Reason::MissingField, "the object has no fields".to_owned(), line, text.as_bytes());
            return Ok(());
        };
        let mut values: Vec<Option<String>> = vec![None; mapper.builders.len()];
        let names: Vec<&str> = mapper.schema.fields().iter().map(|field| field.name().as_str()).collect();
        flatten(text, "", 0, &mut |path, value| {
            // The columns are sorted by name.
            if let Ok(index) = names.binary_search(&path) {
                let nested = value.starts_with(['{', '[']).then(|| value.to_owned());
                values[index] = nested.or_else(|| json::scalar(value).map(|text| text.into_owned()));
            }
        })?;
        if let Err(error) = mapper.row(values.iter().map(Option::as_deref), line, text.as_bytes(), self.sink) {
            self.failure.get_or_insert(error);
        }
        Ok(())
    }

    fn reject(&mut self, reason: Reason, detail: String, line: u64, raw: &[u8]) {
        self.read += 1;
        self.sink.reject(&Rejection { reason, detail, line, raw });
    }
}

/// Passes the records of a Parquet file to the sink.
pub fn read_parquet<C: ChunkReader + 'static>(
    file: C,
    mapping: &Mapping,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
    let schema = without_floats(builder.schema());
    let mut mapper = Mapper::new(mapping, Arc::clone(&schema), dialect, sink)?;
    let batches = builder.with_batch_size(BATCH_ROWS).build().map_err(io::Error::other)?;
    let mut row = 0;
    for batch in batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                let detail = format!("the file is damaged after row {row}: {error}");
                sink.reject(&Rejection { reason: Reason::Malformed, detail, line: row + 1, raw: b"" });
                return Ok(ReadCounts { read: mapper.counts.read + 1 });
            }
        };
        let lines: Vec<u64> = (1..=batch.num_rows() as u64).map(|number| row + number).collect();
        row += batch.num_rows() as u64;
        let batch = with_texts(&batch, &schema).map_err(io::Error::other)?;
        mapper.map(&batch, &lines, &[], sink)?;
    }
    Ok(mapper.counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;
    use crate::intake::test_sink::TestSink;

    fn mapping(text: &str, file: &SchemaRef) -> Mapping {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Mapping::new(text, file)).unwrap()
    }

    const SELECT: &str = "SELECT 'm' AS meter, id AS resource_id, '0' AS measured_at, '1' AS quantity FROM source";

    #[test]
    fn a_file_without_a_valid_object_is_rejected_object_by_object() {
        let text = "{\"id\": \"a\", \"x\": tru}\n{}\n5\n{\"id\": \"a\"";
        assert_eq!(schema_of_json(&mut open(text.as_bytes()).unwrap()).unwrap(), None);
        let mut sink = TestSink::new(&[]);
        let counts = read_json(&mut open(text.as_bytes()).unwrap(), None, &Dialect::default(), &mut sink).unwrap();
        let reasons: Vec<_> = sink.rejected.iter().map(|rejected| (rejected.0, rejected.2)).collect();
        assert_eq!(counts.read, 4);
        let malformed = Reason::Malformed;
        assert_eq!(reasons, [(malformed, 1), (Reason::MissingField, 2), (malformed, 3), (Reason::Truncated, 4)]);
    }

    #[test]
    fn buffered_rows_stay_within_the_memory_limit() {
        let file = texts(["id".to_owned()]);
        let mapping = mapping(SELECT, &file);
        let mut sink = TestSink::new(&[]);
        let dialect = Dialect::default();
        let mut mapper = Mapper::new(&mapping, file, &dialect, &sink).unwrap();
        let raw = vec![b'x'; 1024 * 1024];
        for line in 1..=40 {
            mapper.row([Some("a")].into_iter(), line, &raw, &mut sink).unwrap();
            assert!(mapper.raw.len() * raw.len() < BATCH_BYTES, "{} buffered rows", mapper.raw.len());
        }
        mapper.flush(&mut sink).unwrap();
        assert_eq!((sink.records.len(), sink.rejected.len()), (40, 0));
    }
}
