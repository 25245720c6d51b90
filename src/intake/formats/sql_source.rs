//! The reader of files with any columns, which the select of their source maps to usage records. The formats are CSV,
//! Parquet, and JSON with one object per line or in arrays.
//!
//! Values of CSV and JSON stay text as written, so that no number is converted to a float. The select interprets them.
//! For the same reason, a Parquet float becomes the shortest text that identifies the float.
//!
//! A value inside objects, structs and lists is a column whose name is its [path](mod@crate::model::path), such as
//! `"usage.tokens"`. A path to every element of a list (`"measures[].tokens"`) is a [column of
//! lists](crate::query::lists). A JSON array is also a column with its JSON text. A JSON object in place of a list is a
//! list of one element.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::sync::Arc;

use ::csv::StringRecord;
use arrow::array::{ArrayRef, ListArray, RecordBatch, StringBuilder, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::compression::Decoded;
use super::json::{self, JsonError, Selection, Value};
use crate::intake::formats::csv;
use crate::intake::formats::csv::CsvRows;
use crate::intake::formats::json_objects;
use crate::intake::formats::json_objects::ObjectReader;
use crate::intake::formats::nested::{ElementPlace, NestedColumn, element_field, name_of_list, raw_of_place};
use crate::intake::formats::parquet::{RowOrigin, Rows, check_types, nested_columns};
use crate::intake::formats::parquet_texts::float_texts;
use crate::intake::formats::usage_columns::{Columns, UsageError};
use crate::intake::record::{ReadCounts, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;
use crate::model::dialect::{Dialect, Suggestion};
use crate::model::path::{self, MOST_LISTS, Path, Positions, Step, place_of_list};
use crate::query::lists::{self, LIST};
use crate::query::mapping::{MappedFrom, Mapping};

const BATCH_ROWS: usize = 8 * 1024;
/// The memory limit of a batch. Long rows are mapped in smaller batches.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// The largest number of fields. A file with more fields probably uses values as keys, for example ids.
const MAX_FIELDS: usize = 2_000;
/// The maximum depth to which nested objects become columns.
const MAX_DEPTH: usize = 16;
/// The key of the metadata of a JSON column whose path contains the position of an element.
const POSITION: &str = "position";
/// The key of the metadata of a JSON column whose list occurs in no object of the file.
const ABSENT: &str = "absent";

/// The columns of a CSV file, all as text, and the keys that the file seems to need. `None` if they cannot be
/// determined.
pub fn schema_of_csv<R: BufRead>(
    decoded: &mut Decoded<R>,
    dialect: &Dialect,
) -> io::Result<Option<(SchemaRef, Suggestion)>> {
    Ok(csv::header(decoded, dialect)?.map(|(names, suggestion)| (texts(names), suggestion.of_cells())))
}

/// The columns of a Parquet file for a select, with text in place of floats. `None` if the file is damaged.
pub fn schema_of_parquet<C: ChunkReader + 'static>(file: &C, select: &str) -> Option<SchemaRef> {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).ok()?;
    let schema = metadata.schema();
    let names = quoted_names(select);
    let nested = nested_columns(schema, names.iter().map(String::as_str));
    let top = schema.fields().iter().map(|field| match is_float(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    });
    let fields: Vec<_> = top.chain(nested.iter().map(|column| Arc::new(column.field()))).collect();
    Some(Arc::new(Schema::new(fields)))
}

/// A batch of a file, converted to the columns of [`schema_of_parquet`]. Columns that the mapping does not read are
/// null.
fn with_texts(batch: &RecordBatch, schema: &SchemaRef, mapping: &Mapping) -> Result<RecordBatch, ArrowError> {
    let file = batch.schema();
    let column = |(index, field): (usize, &Arc<Field>)| -> Result<ArrayRef, ArrowError> {
        match batch.columns().get(index) {
            Some(column) if is_float(column.data_type()) => Ok(Arc::new(float_texts(column)?)),
            Some(column) => Ok(Arc::clone(column)),
            None if !mapping.reads(index) => Ok(new_null_array(field.data_type(), batch.num_rows())),
            None => match NestedColumn::find(&file, field.name()) {
                Some(nested) => nested.read(batch.column(nested.root)),
                None => Err(ArrowError::SchemaError(format!("there is no value `{}`", field.name()))),
            },
        }
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().enumerate().map(column).collect::<Result<_, _>>()?)
}

fn is_float(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_float(values),
        kind => kind.is_floating(),
    }
}

/// The fields of all objects of a JSON file, all as text. `None` if no object has a field.
///
/// A list of the select that occurs in no object has columns [without values](is_absent).
pub fn schema_of_json<R: BufRead>(decoded: &mut Decoded<R>, select: &str) -> io::Result<Option<SchemaRef>> {
    let names = quoted_names(select);
    let reads_lists = names.iter().any(|name| name.contains('['));
    let mut found = Fields { fields: BTreeSet::new(), of_elements: reads_lists.then(BTreeSet::new) };
    json_objects::read(decoded, &mut found)?;
    if found.count() > MAX_FIELDS {
        return Err(io::Error::other(format!("the objects of the file have more than {MAX_FIELDS} different fields")));
    }
    Ok((!found.fields.is_empty()).then(|| found.schema(&names)))
}

/// Whether a column of [`schema_of_json`] leads to a list that occurs in no object of the file.
pub fn is_absent(field: &Field) -> bool {
    field.metadata().contains_key(ABSENT)
}

/// The columns of a file without the columns of absent lists.
pub fn without_absent(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().filter(|field| !is_absent(field)).cloned().collect::<Vec<_>>()))
}

/// The names in double quotes of an SQL text.
fn quoted_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'', '-', '/']) {
        let (mark, after) = rest[start..].split_at(1);
        rest = match mark {
            "-" if after.starts_with('-') => after.find('\n').map_or("", |end| &after[end..]),
            "/" if after.starts_with('*') => after.find("*/").map_or("", |end| &after[end + 2..]),
            "-" | "/" => after,
            quote => {
                let mut name = String::new();
                let mut rest = after;
                // A doubled quote is a quote inside the name.
                while let Some((part, after)) = rest.split_once(quote) {
                    name.push_str(part);
                    rest = after;
                    let Some(after) = rest.strip_prefix(quote) else { break };
                    name.push_str(quote);
                    rest = after;
                }
                if quote == "\"" {
                    names.push(name);
                }
                rest
            }
        };
    }
    names
}

fn texts(names: impl IntoIterator<Item = String>) -> SchemaRef {
    let fields: Vec<Field> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The collected paths of fields.
struct Fields {
    fields: BTreeSet<String>,
    /// The paths of fields of list elements. `None` if the select reads no list.
    of_elements: Option<BTreeSet<String>>,
}

impl Fields {
    fn count(&self) -> usize {
        self.fields.len() + self.of_elements.as_ref().map_or(0, BTreeSet::len)
    }

    /// The columns, sorted by name. `names` are the names of the select, which may contain positions of elements.
    fn schema(self, names: &[String]) -> SchemaRef {
        let Self { fields, of_elements } = self;
        let of_elements = of_elements.unwrap_or_default();
        let column = |name: &str, keys: &[(&str, &str)]| {
            let depth = keys.iter().find(|(key, _)| *key == LIST).map_or(0, |(_, list)| path::depth_of(list) + 1);
            let kind = (0..depth).fold(DataType::Utf8, |kind, _| DataType::List(element_field(&kind)));
            let metadata = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Field::new(name, kind, true).with_metadata(metadata)
        };
        let mut columns: BTreeMap<&str, Field> = fields.iter().map(|name| (name.as_str(), column(name, &[]))).collect();
        for name in &of_elements {
            let list = path::list_of(name).unwrap_or_default();
            columns.entry(name).or_insert_with(|| column(name, &[(LIST, list)]));
        }
        for name in names {
            let Some(path) = Path::parse(name).ok().filter(|_| !columns.contains_key(name.as_str())) else { continue };
            if let Some(list) = path::list_of(name) {
                let is_known = path.has_position() || is_known_list(&fields, &of_elements, name, list);
                let keys = [(LIST, list), (ABSENT, "")];
                columns.insert(name, column(name, if is_known { &keys[..1] } else { &keys }));
            } else if path.has_position() {
                let (list, _) = name.split_once('[').unwrap_or_default();
                let has_field = |name: &String| name == list || is_inside(name, list);
                if fields.iter().any(has_field) {
                    columns.insert(name, column(name, &[(POSITION, "")]));
                }
            }
        }
        Arc::new(Schema::new(columns.into_values().collect::<Vec<_>>()))
    }
}

/// Whether the field is inside of an object.
fn is_inside(field: &str, object: &str) -> bool {
    field.strip_prefix(object).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether the elements of a list can have the value at a path, although no element of a list in the file has it. The
/// value may be in an object in place of a list. If a list is always empty, or never a list, its elements are unknown.
fn is_known_list(fields: &BTreeSet<String>, of_elements: &BTreeSet<String>, name: &str, list: &str) -> bool {
    let mut all = fields.iter().chain(of_elements);
    if all.any(|other| is_with_objects(other, name)) {
        return true;
    }
    // The lists from the outermost to the innermost.
    let mut lists: Vec<&str> = list.match_indices("[]").map(|(end, _)| &list[..end]).collect();
    lists.push(list);
    lists.into_iter().any(|list| {
        let elements = format!("{list}[]");
        let is_of_element = |other: &String| other.starts_with(&elements) || is_inside(other, list);
        (fields.contains(list) || of_elements.contains(list)) && !fields.iter().chain(of_elements).any(is_of_element)
    })
}

/// Whether a path of the file is a path of the select, with objects in place of some lists.
fn is_with_objects(of_file: &str, of_select: &str) -> bool {
    let (Ok(Path(of_file)), Ok(Path(of_select))) = (Path::parse(of_file), Path::parse(of_select)) else { return false };
    let mut rest = of_file.as_slice();
    for step in &of_select {
        match rest.split_first() {
            Some((first, after)) if first == step => rest = after,
            _ if *step == Step::Each => {}
            _ => return false,
        }
    }
    rest.is_empty()
}

impl Fields {
    /// Collects the fields of an object, and those of the elements of its lists. `before` is the path of the object.
    fn collect(&mut self, text: &str, before: &str, lists: usize) -> Result<(), JsonError> {
        let mut found = Vec::new();
        let Self { fields, of_elements } = self;
        flatten(text, before, 0, &mut |path, value| {
            let known = match (lists, &mut *of_elements) {
                (0, _) => &mut *fields,
                (_, Some(of_elements)) => of_elements,
                (_, None) => return,
            };
            if known.len() <= MAX_FIELDS && !known.contains(path) {
                known.insert(path.to_owned());
            }
            if of_elements.is_some() && value.starts_with('[') {
                found.push((path.to_owned(), value.to_owned()));
            }
        })?;
        for (path, list) in found {
            self.collect_elements(&list, &format!("{path}[]"), lists + 1);
        }
        Ok(())
    }

    /// Collects the fields of the elements of a list. Its text is already checked, so that reading it does not fail.
    fn collect_elements(&mut self, list: &str, elements: &str, lists: usize) {
        if lists > MOST_LISTS {
            return;
        }
        for element in json::elements(list).unwrap_or_default() {
            match element.as_bytes().first() {
                Some(b'{') => drop(self.collect(element, elements, lists)),
                Some(b'[') => self.collect_elements(element, &format!("{elements}[]"), lists + 1),
                _ => drop(self.of_elements.as_mut().map(|known| known.insert(elements.to_owned()))),
            }
        }
    }
}

impl ObjectReader for Fields {
    fn object(&mut self, _: u64, text: &str) -> Result<(), JsonError> {
        if text.starts_with('{') { self.collect(text, "", 0) } else { Ok(()) }
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

/// The builder of a column.
enum Builder {
    Text(StringBuilder),
    List(ListsBuilder),
    /// The select does not read the column.
    Unread,
}

/// The value of a column in a row.
enum Cell<'t> {
    Text(Option<&'t str>),
    /// The values of the elements.
    List(&'t Tree),
}

/// The values of a column for the elements of a list.
#[derive(Debug)]
enum Tree {
    /// The value of an element of the innermost list.
    Value(Option<String>),
    /// The elements of a list.
    List(Vec<Tree>),
}

/// The builder of a column of lists, which are nested to a fixed depth.
struct ListsBuilder {
    texts: StringBuilder,
    /// The end of each list in the values of the next level, beginning with zero. The outermost lists are first.
    offsets: Vec<Vec<i32>>,
}

impl ListsBuilder {
    fn new(depth: usize) -> Self {
        Self { texts: StringBuilder::new(), offsets: vec![vec![0]; depth] }
    }

    fn append(&mut self, tree: &Tree, level: usize) {
        match tree {
            Tree::Value(text) => self.texts.append_option(text.as_deref()),
            Tree::List(elements) => {
                elements.iter().for_each(|element| self.append(element, level + 1));
                if let Some(offsets) = self.offsets.get_mut(level) {
                    offsets.push(offsets.last().copied().unwrap_or(0) + elements.len() as i32);
                }
            }
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let mut values: ArrayRef = Arc::new(self.texts.finish());
        for offsets in self.offsets.iter_mut().rev() {
            let ends = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
            values = Arc::new(ListArray::try_new(element_field(values.data_type()), ends, values, None)?);
        }
        Ok(values)
    }
}

/// A buffer of rows that are mapped together.
struct Mapper<'m> {
    mapping: &'m Mapping,
    dialect: &'m Dialect,
    columns: Columns,
    schema: SchemaRef,
    builders: Vec<Builder>,
    lines: Vec<u64>,
    raw: Vec<Vec<u8>>,
    /// The rows whose list is rejected, each with the path of the list.
    rejected_lists: BTreeSet<(usize, String)>,
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
        let builder = |(index, field): (usize, &Arc<Field>)| match field.data_type() {
            _ if !mapping.reads(index) => Builder::Unread,
            DataType::List(_) => Builder::List(ListsBuilder::new(lists::depth_of(field))),
            _ => Builder::Text(StringBuilder::new()),
        };
        let builders = file.fields().iter().enumerate().map(builder).collect();
        let (lines, raw, rejected_lists) = (Vec::new(), Vec::new(), BTreeSet::new());
        let counts = ReadCounts::default();
        Ok(Self { mapping, dialect, columns, schema: file, builders, lines, raw, rejected_lists, bytes: 0, counts })
    }

    /// Adds a row of cells, in the order of the columns.
    fn row<'t>(
        &mut self,
        cells: impl Iterator<Item = Cell<'t>>,
        line: u64,
        raw: &[u8],
        sink: &mut impl RecordSink,
    ) -> Result<(), UsageError> {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            match (builder, cell) {
                (Builder::Unread, _) => {}
                (Builder::Text(builder), Cell::Text(text)) => builder.append_option(text),
                (Builder::List(builder), Cell::List(tree)) => builder.append(tree, 0),
                (Builder::Text(builder), Cell::List(_)) => builder.append_null(),
                (Builder::List(builder), Cell::Text(_)) => builder.append(&Tree::List(Vec::new()), 0),
            }
        }
        self.lines.push(line);
        self.raw.push(raw.to_vec());
        self.bytes += raw.len();
        if self.lines.len() < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(()) } else { self.flush(sink) }
    }

    fn flush(&mut self, sink: &mut impl RecordSink) -> Result<(), UsageError> {
        let count = self.lines.len();
        let column = |(builder, field): (&mut Builder, &Arc<Field>)| -> Result<ArrayRef, ArrowError> {
            Ok(match builder {
                Builder::Text(builder) => Arc::new(builder.finish()),
                Builder::List(builder) => builder.finish()?,
                Builder::Unread => new_null_array(field.data_type(), count),
            })
        };
        let columns = self.builders.iter_mut().zip(self.schema.fields()).map(column);
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>().map_err(io::Error::other)?;
        let (lines, raw) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.raw));
        self.bytes = 0;
        if lines.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        self.map(&batch, &lines, &raw, sink)?;
        self.rejected_lists.clear();
        Ok(())
    }

    /// Maps a batch and passes its records to the sink. Without `raw`, a rejection contains the values of the row.
    fn map(
        &mut self,
        batch: &RecordBatch,
        lines: &[u64],
        raw: &[Vec<u8>],
        sink: &mut impl RecordSink,
    ) -> Result<(), UsageError> {
        let mapping = self.mapping;
        let mapped = mapping.apply(batch).map_err(io::Error::other)?;
        let origin_of = |from: MappedFrom| {
            let element = mapping.element(from).map(|element| ElementPlace {
                list: element.list,
                positions: element.positions,
                id_depth: element.id_depth,
            });
            RowOrigin { line: lines[from.row], raw: raw.get(from.row).map(Vec::as_slice), element }
        };
        for (from, problem) in mapped.failed {
            self.counts.read += 1;
            let RowOrigin { line, raw, element } = origin_of(from);
            let raw = raw.unwrap_or_default();
            let detail = format!("the select fails for this row: {problem}");
            let detail = element.map_or_else(|| detail.clone(), |element| element.detail(&detail));
            let raw = element.map_or_else(|| raw.to_vec(), |element| element.raw(raw));
            sink.reject(&Rejection { reason: Reason::Malformed, detail, line, raw: &raw });
        }
        for (row, list) in mapped.without_elements {
            let is_rejected =
                self.rejected_lists.iter().any(|(other, rejected)| *other == row && path::is_within(&list, rejected));
            if !is_rejected {
                self.counts.read += 1;
                sink.unmetered(&name_of_list(&list));
            }
        }
        let rows = Rows::new(mapped.batch, &self.columns, self.dialect).map_err(io::Error::other)?;
        let mut fields = Vec::new();
        for (row, from) in mapped.origin.iter().enumerate() {
            self.counts.read += 1;
            fields.clear();
            rows.pass_or_reject(row, origin_of(*from), &mut fields, sink);
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
            let cells = row.iter().map(|cell| Cell::Text((!self.1.is_null(cell)).then_some(cell)));
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
    let lists = mapping.map(|(mapping, schema)| JsonLists::new(schema, mapping)).unwrap_or_default();
    let mut reader = JsonRows { mapper, lists, sink, read: 0, failure: None };
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

/// The columns whose paths lead into JSON arrays.
#[derive(Default)]
struct JsonLists {
    /// The values at positions of elements, and the outermost lists.
    selection: Selection,
    /// The column and slot of each value at the position of an element.
    positions: Vec<(usize, usize)>,
    lists: Vec<JsonList>,
}

/// The columns with the elements of one JSON array.
struct JsonList {
    /// The path of the array.
    name: String,
    /// The slot of the array among the values around it.
    slot: usize,
    /// The values within an element.
    selection: Selection,
    /// The column and slot of each value.
    columns: Vec<(usize, usize)>,
    /// The arrays within an element.
    inner: Vec<JsonList>,
}

/// A value in place of a list that is not a list.
struct NoList {
    list: String,
    /// The path of the value, with positions.
    place: String,
    detail: String,
}

/// The values of an object's lists.
#[derive(Default)]
struct ListValues {
    /// The values by column.
    trees: BTreeMap<usize, Tree>,
    rejected: Vec<NoList>,
}

impl JsonLists {
    /// The columns that a select reads.
    fn new(schema: &Schema, mapping: &Mapping) -> Self {
        let mut found = Self::default();
        for (index, field) in schema.fields().iter().enumerate().filter(|(index, _)| mapping.reads(*index)) {
            let metadata = field.metadata();
            let is_nested = metadata.contains_key(LIST) || metadata.contains_key(POSITION);
            let Some(path) = is_nested.then(|| Path::parse(field.name()).ok()).flatten() else { continue };
            let mut levels: Vec<_> = path.levels().collect();
            let Some(to_value) = levels.pop() else { continue };
            let mut ends = field.name().match_indices("[]").map(|(end, _)| field.name()[..end].to_owned());
            let (mut selection, mut lists) = (&mut found.selection, &mut found.lists);
            let mut columns = &mut found.positions;
            for to_list in levels {
                let slot = selection.add_list(to_list);
                let known = lists.iter().position(|list| list.slot == slot).unwrap_or_else(|| {
                    lists.push(JsonList::new(ends.next().unwrap_or_default(), slot));
                    lists.len() - 1
                });
                let list = &mut lists[known];
                (selection, columns, lists) = (&mut list.selection, &mut list.columns, &mut list.inner);
            }
            columns.push((index, selection.add_steps(to_value)));
        }
        found
    }

    /// Reads the lists of an object, and stores its values at positions of elements in the columns.
    fn read(&self, text: &str, values: &mut [Option<String>]) -> Result<ListValues, JsonError> {
        let mut result = ListValues::default();
        if self.positions.is_empty() && self.lists.is_empty() {
            return Ok(result);
        }
        let mut found = Vec::new();
        json::select(text, &self.selection, &mut found)?;
        for (column, slot) in &self.positions {
            values[*column] = found[*slot].as_ref().and_then(as_text);
        }
        for list in &self.lists {
            let trees = list.read(found[list.slot].as_ref(), Positions::default(), &mut result.rejected)?;
            result.trees.extend(trees);
        }
        Ok(result)
    }
}

impl JsonList {
    fn new(name: String, slot: usize) -> Self {
        Self { name, slot, selection: Selection::default(), columns: Vec::new(), inner: Vec::new() }
    }

    /// All columns with elements of this list, or of the lists within it.
    fn all_columns(&self) -> Vec<usize> {
        let own = self.columns.iter().map(|(column, _)| *column);
        own.chain(self.inner.iter().flat_map(Self::all_columns)).collect()
    }

    /// The values of a list by column. A value that is not a list is added to `rejected`, and has no elements.
    fn read(
        &self,
        value: Option<&Value<'_>>,
        outer: Positions,
        rejected: &mut Vec<NoList>,
    ) -> Result<BTreeMap<usize, Tree>, JsonError> {
        let elements = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(text)) => json::list_elements(text)?,
            Some(other) => {
                let place = place_of_list(&self.name, outer);
                let detail = format!("the `{place}` is {}, expected a list", other.kind());
                rejected.push(NoList { list: self.name.clone(), place, detail });
                Vec::new()
            }
        };
        let mut lists: BTreeMap<usize, Vec<Tree>> =
            self.all_columns().into_iter().map(|column| (column, Vec::with_capacity(elements.len()))).collect();
        let mut add = |column: usize, tree: Tree| lists.entry(column).or_default().push(tree);
        let mut found = Vec::new();
        for (position, element) in (0..).zip(elements) {
            json::select(element, &self.selection, &mut found)?;
            for (column, slot) in &self.columns {
                add(*column, Tree::Value(found[*slot].as_ref().and_then(as_text)));
            }
            for inner in &self.inner {
                let trees = inner.read(found[inner.slot].as_ref(), outer.followed_by(position), rejected)?;
                trees.into_iter().for_each(|(column, tree)| add(column, tree));
            }
        }
        Ok(lists.into_iter().map(|(column, elements)| (column, Tree::List(elements))).collect())
    }
}

/// The text of a scalar, and the JSON text of an array.
fn as_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::List(text) => Some((*text).to_owned()),
        value => value.scalar().map(str::to_owned),
    }
}

struct JsonRows<'m, 's, S> {
    mapper: Option<Mapper<'m>>,
    lists: JsonLists,
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
        let fields = mapper.schema.fields();
        flatten(text, "", 0, &mut |path, value| {
            // The columns are sorted by name.
            if let Ok(index) = fields.binary_search_by(|field| field.name().as_str().cmp(path))
                && !matches!(mapper.builders[index], Builder::Unread)
            {
                let nested = value.starts_with(['{', '[']).then(|| value.to_owned());
                values[index] = nested.or_else(|| json::scalar(value).map(|text| text.into_owned()));
            }
        })?;
        let ListValues { trees, rejected } = self.lists.read(text, &mut values)?;
        for NoList { list, place, detail } in rejected {
            mapper.rejected_lists.insert((mapper.lines.len(), list));
            self.read += 1;
            let raw = raw_of_place(&place, text.as_bytes());
            self.sink.reject(&Rejection { reason: Reason::Malformed, detail, line, raw: &raw });
        }
        let cells = values.iter().enumerate().map(|(column, text)| match trees.get(&column) {
            Some(tree) => Cell::List(tree),
            None => Cell::Text(text.as_deref()),
        });
        if let Err(error) = mapper.row(cells, line, text.as_bytes(), self.sink) {
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
    schema: &SchemaRef,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
    let mut mapper = Mapper::new(mapping, Arc::clone(schema), dialect, sink)?;
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
        let batch = with_texts(&batch, schema, mapping).map_err(io::Error::other)?;
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
        assert_eq!(schema_of_json(&mut open(text.as_bytes()).unwrap(), SELECT).unwrap(), None);
        let mut sink = TestSink::new(&[]);
        let counts = read_json(&mut open(text.as_bytes()).unwrap(), None, &Dialect::default(), &mut sink).unwrap();
        let reasons: Vec<_> = sink.rejected.iter().map(|rejected| (rejected.0, rejected.2)).collect();
        assert_eq!(counts.read, 4);
        let malformed = Reason::Malformed;
        assert_eq!(reasons, [(malformed, 1), (Reason::MissingField, 2), (malformed, 3), (Reason::Truncated, 4)]);
    }

    #[test]
    fn names_in_double_quotes_are_found_in_a_select() {
        let text = "SELECT \"a[0].b\", 'it''s \"x[]\"' -- \"y[]\"\n, 1 - 2 / 3, /* \"z[]\" */ \"c\"\"d\" FROM \"e";
        assert_eq!(quoted_names(text), ["a[0].b", "c\"d", ""]);
    }

    #[test]
    fn each_element_of_a_json_list_is_a_record() {
        let select = "SELECT \"m[].name\" AS meter, id AS resource_id, '5' AS measured_at, \"m[].q\" AS quantity, \
                      id AS record_id FROM source UNION ALL \
                      SELECT \"m[0].name\" || ' is first', id, '5', '1', NULL FROM source WHERE \"m[0].name\" <> ''";
        let text = r#"{"id": "a", "m": [{"name": "x", "q": 1}, {"name": "y"}, {"name": "x", "q": 1}, 7]}
            {"id": "b", "m": []}
            {"id": "c"}
            {"id": "d", "m": null}
            {"id": "e", "m": {"name": "z", "q": 5}}
            {"id": "f", "m": [{"name": "y", "q": 2.50}]}
            {"id": "g", "m": 5}"#;
        let schema = schema_of_json(&mut open(text.as_bytes()).unwrap(), select).unwrap().unwrap();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "m", "m.name", "m.q", "m[0].name", "m[]", "m[].name", "m[].q"]);
        let mapping = mapping(select, &schema);
        let mut sink = TestSink::new(&[]);
        let counts =
            read_json(&mut open(text.as_bytes()).unwrap(), Some((&mapping, &schema)), &Dialect::default(), &mut sink)
                .unwrap();
        let records: Vec<_> = sink
            .records
            .iter()
            .map(|record| {
                (&record.source_meter[..], record.quantity.to_string(), record.record_id.as_deref(), record.line)
            })
            .collect();
        let one = || "1".to_owned();
        assert_eq!(
            records,
            [
                ("x", one(), Some("a[0]"), 1),
                ("x", one(), Some("a[2]"), 1),
                ("x is first", one(), None, 1),
                ("z", "5".to_owned(), Some("e[0]"), 5),
                ("z is first", one(), None, 5),
                ("y", "2.5".to_owned(), Some("f[0]"), 6),
                ("y is first", one(), None, 6),
            ]
        );
        let rejected: Vec<_> = sink.rejected.iter().map(|(_, detail, line)| (&detail[..], *line)).collect();
        assert_eq!(
            rejected,
            [
                ("the `m` is a number, expected a list", 7),
                ("the row has no `quantity`, in `m[1]`", 1),
                ("the row has no `meter`, in `m[3]`", 1),
            ]
        );
        assert!(sink.rejected_raw[0].starts_with(b"m of {\"id\": \"g\""));
        assert!(sink.rejected_raw[1].starts_with(b"m[1] of {\"id\": \"a\""));
        assert_eq!(sink.unmetered, ["m[]"; 3]);
        assert_eq!(counts.read, 7 + 3 + 3);
    }

    #[test]
    fn a_file_without_any_element_has_no_records_and_an_unknown_list_is_refused() {
        let text = "{\"id\": \"a\", \"m\": []}\n";
        let columns = |select: &str| {
            let schema = schema_of_json(&mut open(text.as_bytes()).unwrap(), select).unwrap().unwrap();
            let columns =
                |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
            assert!(columns(&schema).is_sorted());
            columns(&without_absent(&schema))
        };
        let select = "SELECT \"m[].q\", \"m[0]\", \"n[].q\", \"n[0]\", \"m[].n[].q\" FROM source";
        assert_eq!(columns(select), ["id", "m", "m[0]", "m[].n[].q", "m[].q"]);
        assert_eq!(columns("SELECT id FROM source"), ["id", "m"]);
    }

    #[test]
    fn lists_inside_of_lists_are_read_with_their_positions() {
        let select = "SELECT \"a[].n\" AS meter, id AS resource_id, '5' AS measured_at, \"a[].b[].q\" AS quantity, \
                      id AS record_id FROM source";
        let text = r#"{"id": "1", "a": [{"n": "x", "b": [{"q": 1}, {"q": 2}]}, {"b": []}, {"n": "z", "b": {"q": 3}}]}
            {"id": "2", "a": {"n": "x", "b": [{"q": 4}, {"r": 5}]}}
            {"id": "3", "a": [{"n": "x", "b": true}, {"n": "y", "b": [{"q": 6}]}, 7]}
            {"id": "4", "a": []}"#;
        let schema = schema_of_json(&mut open(text.as_bytes()).unwrap(), select).unwrap().unwrap();
        let mapping = mapping(select, &without_absent(&schema));
        let mut sink = TestSink::new(&[]);
        let schema = without_absent(&schema);
        let counts =
            read_json(&mut open(text.as_bytes()).unwrap(), Some((&mapping, &schema)), &Dialect::default(), &mut sink)
                .unwrap();
        let records: Vec<String> = sink
            .records
            .iter()
            .map(|record| {
                let id = record.record_id.as_deref().unwrap_or_default();
                format!("{}: {id} {} {}", record.line, record.source_meter, record.quantity)
            })
            .collect();
        assert_eq!(records, ["1: 1[0][0] x 1", "1: 1[0][1] x 2", "1: 1[2][0] z 3", "2: 2[0][0] x 4", "3: 3[1][0] y 6"]);
        let rejected: Vec<_> = sink.rejected.iter().map(|(_, detail, line)| (&detail[..], *line)).collect();
        assert_eq!(
            rejected,
            [("the `a[0].b` is a boolean, expected a list", 3), ("the row has no `quantity`, in `a[0].b[1]`", 2),]
        );
        // The element `7` of the third object has no list either, but a list of this object is rejected.
        assert_eq!(sink.unmetered, ["a[].b[]"; 2]);
        assert_eq!(counts.read, 5 + 2 + 2);
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
            mapper.row([Cell::Text(Some("a"))].into_iter(), line, &raw, &mut sink).unwrap();
            assert!(mapper.raw.len() * raw.len() < BATCH_BYTES, "{} buffered rows", mapper.raw.len());
        }
        mapper.flush(&mut sink).unwrap();
        assert_eq!((sink.records.len(), sink.rejected.len()), (40, 0));
    }
}
