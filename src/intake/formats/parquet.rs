//! The reader of usage records in Parquet. The columns are those of the [CSV format](crate::intake::formats::csv), with
//! native types.
//!
//! Only the columns that a meter needs are decoded, batch by batch. Texts remain dictionaries if the file stores them
//! as dictionaries. Other texts are borrowed from the batch. The type of a column is checked once for each batch, not
//! for each row. Rows with the same attributes are one [record group](crate::intake::resolve::record_group), and only
//! the first row of a group is evaluated completely.
//!
//! Columns may be [inside structs and lists](crate::intake::formats::nested). Such a file is read without record
//! groups.

use crate::intake::formats::parquet_texts::{Texts, text_dictionary};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit as ArrowUnit};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::intake::formats::nested::{ElementPlace, NestedColumn, name_of_list};
use crate::intake::formats::tuple_interner::TupleInterner;
use crate::intake::formats::unit::canonical_unit;
use crate::intake::formats::usage_columns;
use crate::intake::formats::usage_columns::{Columns, UsageError};
use crate::intake::formats::{quantity, timestamp};
use crate::intake::record::{IdField, Measured, ReadCounts, Record, RecordSink, Rejection, SampleKind};
use crate::intake::rejection_reason::Reason;
use crate::intake::resolve::record_group::RecordGroupId;
use crate::model::dialect::{Clock, Dialect, NumberMarks};
use crate::model::identifier::canonical_id;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;
use crate::model::path;
use crate::query::lists::Elements;

const BATCH_ROWS: usize = 8 * 1024;
/// The number of batches that are decoded in advance.
const BATCHES_AHEAD: usize = 4;

/// Checks that a file has the columns of usage records. A damaged file is not an error here: it is rejected when it is
/// read.
pub fn check<C: ChunkReader>(
    file: &C,
    columns: &BTreeMap<String, String>,
    dialect: &Dialect,
    sink: &impl RecordSink,
) -> Result<(), UsageError> {
    let Ok(metadata) = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()) else { return Ok(()) };
    let (resolved, nested) = resolve(metadata.schema(), columns, sink)?;
    if reads_nested(metadata.schema(), &resolved) {
        return NestedFile::new(metadata.schema(), &nested, &resolved, dialect).map(|_| ());
    }
    check_types(metadata.schema(), &resolved)
}

/// The read columns of a file, as positions in the columns of the schema followed by the nested columns.
fn resolve(
    schema: &Schema,
    columns: &BTreeMap<String, String>,
    sink: &impl RecordSink,
) -> Result<(Columns, Vec<NestedColumn>), UsageError> {
    let mut names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let paths: Vec<String> = sink.field_paths().iter().map(FieldPath::joined).collect();
    let nested = nested_columns(schema, columns.values().chain(&paths).map(String::as_str));
    names.extend(nested.iter().map(|column| column.name.clone()));
    Ok((Columns::resolve(&names, columns, sink.field_paths())?, nested))
}

/// Whether a source reads a column inside a struct or a list.
fn reads_nested(schema: &Schema, columns: &Columns) -> bool {
    columns.indices().last().is_some_and(|index| *index >= schema.fields().len())
}

/// Passes every row of a file to the sink. `columns` maps the standard names of columns to their names or
/// [paths](crate::model::path) in the file.
///
/// A damaged file is not an error: the rows before the damage are passed on, and then one rejection. A read error of
/// the source is returned as an error. A rejection contains the row's values as JSON, because a row has no raw text.
pub fn read<C: ChunkReader + 'static>(
    file: C,
    columns: &BTreeMap<String, String>,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let failure = Failure::default();
    let file = Watched { file, failure: failure.clone() };
    let mut counts = ReadCounts::default();
    let damaged = |counts: &mut ReadCounts, sink: &mut _, error: &dyn std::fmt::Display| {
        failure.check()?;
        counts.read += 1;
        let detail = format!("the file is damaged after row {}: {error}", counts.read - 1);
        let rejection = Rejection { reason: Reason::Malformed, detail, line: counts.read, raw: b"" };
        RecordSink::reject(sink, &rejection);
        Ok(*counts)
    };
    let metadata = match ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()) {
        Ok(metadata) => metadata,
        Err(error) => return damaged(&mut counts, sink, &error),
    };
    let (columns, nested) = resolve(metadata.schema(), columns, sink)?;
    let projection = columns.indices();
    if reads_nested(metadata.schema(), &columns) {
        let nested = NestedFile::new(metadata.schema(), &nested, &columns, dialect)?;
        return match nested.read(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata), sink, &mut counts)
        {
            Ok(()) => Ok(counts),
            Err(error) => damaged(&mut counts, sink, &error),
        };
    }
    check_types(metadata.schema(), &columns)?;
    let record_id = columns.record_id.map(|index| metadata.schema().field(index).name().clone());
    let builder =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, with_lent_texts(metadata, record_id.as_deref()));
    let mask = ProjectionMask::roots(builder.parquet_schema(), projection.iter().copied());
    let batches = match builder.with_projection(mask).with_batch_size(BATCH_ROWS).build() {
        Ok(batches) => batches,
        Err(error) => return damaged(&mut counts, sink, &error),
    };
    // The batches contain only the needed columns, in the order of the file.
    let projected = columns.projected(&projection);
    let exists = |field: &&usize| projected.fields[**field].is_some();
    let mut groups = RowGroups::new(sink.deciding_fields().iter().filter(exists).copied().collect());
    // One thread decodes the batches, and this thread evaluates them.
    std::thread::scope(|scope| {
        let (sender, decoded) = std::sync::mpsc::sync_channel(BATCHES_AHEAD);
        scope.spawn(move || {
            for batch in batches {
                // If the receiver is closed, the remaining batches need not be decoded.
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        for batch in decoded {
            let rows = match batch.and_then(|batch| Rows::new(batch, &projected, dialect)) {
                Ok(rows) => rows,
                Err(error) => return damaged(&mut counts, sink, &error),
            };
            groups.begin(&rows);
            let mut fields = Vec::with_capacity(rows.fields.len());
            for row in 0..rows.batch.num_rows() {
                counts.read += 1;
                if groups.pass_row(&rows, row, counts.read, sink) {
                    continue;
                }
                fields.clear();
                if let Err((reason, detail)) = rows.pass(row, counts.read, &mut fields, sink) {
                    let raw = rows.as_json(row);
                    sink.reject(&Rejection { reason, detail, line: counts.read, raw: raw.as_bytes() });
                }
            }
        }
        Ok(counts)
    })
}

/// The columns inside structs and lists that a source may read: all that the schema names, and the given paths with
/// positions of elements. A column of the file with the same name takes precedence.
pub(crate) fn nested_columns<'n>(schema: &Schema, wanted: impl Iterator<Item = &'n str>) -> Vec<NestedColumn> {
    let mut found = NestedColumn::all(schema);
    // A name with a dot or a bracket has no path.
    found.retain(|column| schema.index_of(&column.name).is_err() && NestedColumn::find(schema, &column.name).is_some());
    for name in wanted {
        if schema.index_of(name).is_err() && found.iter().all(|column| column.name != name) {
            found.extend(NestedColumn::find(schema, name));
        }
    }
    found
}

/// The path of the innermost list to whose elements the columns lead.
fn innermost_list<'c>(columns: impl Iterator<Item = &'c NestedColumn>) -> Result<Option<String>, UsageError> {
    let mut deepest: Option<&NestedColumn> = None;
    for column in columns.filter(|column| column.list().is_some()) {
        if let Some(first) = deepest
            && path::innermost([first, column].into_iter().filter_map(NestedColumn::list)).is_err()
        {
            return Err(UsageError::SeveralLists { first: first.name.clone(), second: column.name.clone() });
        }
        deepest = deepest.filter(|first| first.depth() >= column.depth()).or(Some(column));
    }
    Ok(deepest.and_then(NestedColumn::list).map(str::to_owned))
}

/// The read columns of a file, of which at least one is inside a struct or a list.
struct NestedFile<'d> {
    dialect: &'d Dialect,
    /// The indices of the outermost columns, in ascending order.
    roots: Vec<usize>,
    /// For each read column, its position in `roots`, and the column inside it.
    columns: Vec<(usize, Option<NestedColumn>)>,
    projected: Columns,
    schema: SchemaRef,
    /// The path of the innermost list whose elements are records.
    list: Option<String>,
    /// The number of lists through which the path of the record id leads.
    id_depth: usize,
}

impl<'d> NestedFile<'d> {
    /// `columns` has positions in the columns of the schema followed by `nested`.
    fn new(
        schema: &Schema,
        nested: &[NestedColumn],
        columns: &Columns,
        dialect: &'d Dialect,
    ) -> Result<Self, UsageError> {
        let top_count = schema.fields().len();
        let indices = columns.indices();
        let nested_of = |index: &usize| index.checked_sub(top_count).and_then(|index| nested.get(index));
        let list = innermost_list(indices.iter().filter_map(nested_of))?;
        let top = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let all: Vec<Field> =
            top.chain(nested.iter().map(|column| Field::new(&column.name, column.kind(), true))).collect();
        let all = Schema::new(all);
        check_types(&all, columns)?;
        let root_of = |index: &usize| nested_of(index).map_or(*index, |column| column.root);
        let mut roots: Vec<usize> = indices.iter().map(root_of).collect();
        roots.sort_unstable();
        roots.dedup();
        let place = |index: &usize| (roots.partition_point(|root| *root < root_of(index)), nested_of(index).cloned());
        Ok(Self {
            dialect,
            columns: indices.iter().map(place).collect(),
            projected: columns.projected(&indices),
            schema: Arc::new(Schema::new(indices.iter().map(|index| all.field(*index).clone()).collect::<Vec<_>>())),
            id_depth: columns.record_id.as_ref().and_then(nested_of).map_or(0, NestedColumn::depth),
            roots,
            list,
        })
    }

    fn read<C: ChunkReader + 'static>(
        &self,
        builder: ParquetRecordBatchReaderBuilder<C>,
        sink: &mut impl RecordSink,
        counts: &mut ReadCounts,
    ) -> Result<(), ArrowError> {
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.roots.iter().copied());
        let mut line = 0;
        for batch in builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
            let batch = batch?;
            let (rows, elements) = self.rows(&batch)?;
            let mut fields = Vec::with_capacity(rows.fields.len());
            for row in 0..rows.batch.num_rows() {
                counts.read += 1;
                let row_in_batch = elements.as_ref().map_or(row, |elements| elements.row(row));
                let positions = elements.as_ref().and_then(|elements| elements.positions()[row]);
                let mut origin = RowOrigin { line: line + row_in_batch as u64 + 1, raw: None, element: None };
                if let Some(list) = &self.list {
                    let Some(positions) = positions else {
                        sink.unmetered(&name_of_list(list));
                        continue;
                    };
                    origin.element = Some(ElementPlace { list, positions, id_depth: self.id_depth });
                }
                fields.clear();
                rows.pass_or_reject(row, origin, &mut fields, sink);
            }
            line += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// The rows of a batch, or one row for each element of the list.
    fn rows(&self, batch: &RecordBatch) -> Result<(Rows, Option<Elements>), ArrowError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (root, nested) in &self.columns {
            let root = batch.column(*root);
            columns.push(nested.as_ref().map_or_else(|| Ok(Arc::clone(root)), |nested| nested.read(root))?);
        }
        let depths: Vec<usize> =
            self.columns.iter().map(|(_, nested)| nested.as_ref().map_or(0, NestedColumn::depth)).collect();
        let deepest = depths.iter().zip(&columns).filter(|(depth, _)| **depth > 0).max_by_key(|(depth, _)| **depth);
        let elements = deepest.map(|(depth, column)| Elements::of(column.as_list(), *depth));
        if let Some(elements) = &elements {
            for (column, depth) in columns.iter_mut().zip(depths) {
                *column = elements.flatten(column, depth)?;
            }
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok((Rows::new(batch, &self.projected, self.dialect)?, elements))
    }
}

/// The origin of a row.
#[derive(Clone, Copy)]
pub(crate) struct RowOrigin<'r> {
    pub(crate) line: u64,
    /// The raw text. Without a raw text, the values of the row are shown.
    pub(crate) raw: Option<&'r [u8]>,
    /// The element of a list from which the row comes.
    pub(crate) element: Option<ElementPlace<'r>>,
}

/// The record groups of the rows of one file.
struct RowGroups {
    interner: TupleInterner,
    deciding_fields: Vec<usize>,
    /// The group of each tuple, by the number of the tuple. `None`: not yet evaluated. `Some(None)`: the tuple has no
    /// group.
    groups: Vec<Option<Option<RecordGroupId>>>,
}

impl RowGroups {
    fn new(deciding_fields: Vec<usize>) -> Self {
        // Meter, unit, project and resource precede the fields.
        let interner = TupleInterner::new(4 + deciding_fields.len());
        Self { interner, deciding_fields, groups: Vec::new() }
    }

    fn begin(&mut self, rows: &Rows) {
        let mut columns = vec![&rows.meter, &rows.unit, &rows.project_id, &rows.resource_id];
        columns.extend(self.deciding_fields.iter().map(|field| &rows.fields[*field]));
        self.interner.begin(&columns, rows.batch.num_rows());
    }

    /// Passes a row as a member of its group. Returns `false` if the row was not passed, so that the caller evaluates
    /// it completely. This applies to the first row of a tuple, a row without a group and an invalid row.
    fn pass_row(&mut self, rows: &Rows, row: usize, line: u64, sink: &mut impl RecordSink) -> bool {
        let number = self.interner.number_of(row);
        if number >= self.groups.len() {
            self.groups.resize(number + 1, None);
        }
        let group = match self.groups[number] {
            Some(None) => return false,
            Some(Some(group)) => group,
            None => {
                let mut fields = Vec::with_capacity(rows.fields.len());
                // The group may not depend on the invalid value. Therefore the next row of the tuple is evaluated
                // again.
                let Ok(record) = rows.record(row, line, &mut fields, sink) else { return false };
                self.groups[number] = Some(record.and_then(|texts| sink.record_group(&texts.record(&fields))));
                return false;
            }
        };
        rows.measured(row, line, group)
            .is_some_and(|measured| sink.record_in_group(group, &measured, |field| rows.field(field, row)))
    }
}

/// Sets the types in which texts are read. Texts that the file stores as dictionaries remain dictionaries. Other texts
/// become views, which borrow the bytes of a page instead of copying each value. Record ids are always views, because
/// they are all different and a dictionary would only cost time.
fn with_lent_texts(metadata: ArrowReaderMetadata, record_id: Option<&str>) -> ArrowReaderMetadata {
    let has_dictionary = |name: &str| {
        let groups = metadata.metadata().row_groups();
        let columns = groups.first().into_iter().flat_map(|group| group.columns());
        let mut of_name =
            columns.filter(|column| column.column_path().parts().first().is_some_and(|part| part == name));
        Some(name) != record_id && of_name.any(|column| column.dictionary_page_offset().is_some())
    };
    let fields: Vec<Field> = metadata
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if has_dictionary(field.name()) => {
                field.as_ref().clone().with_data_type(text_dictionary())
            }
            DataType::Utf8 | DataType::LargeUtf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
            _ => field.as_ref().clone(),
        })
        .collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap_or(metadata)
}

/// The target type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Text,
    Quantity,
    Instant,
}

impl Role {
    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "text, a number, a boolean or a date",
            Self::Quantity => "a decimal, a number or text",
            Self::Instant => "a timestamp, text, or a number that counts from 1970",
        }
    }

    fn accepts(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
            DataType::Dictionary(_, values) => self.accepts(values),
            data_type if data_type.is_numeric() => *data_type != DataType::Float16,
            DataType::Timestamp(..) => self != Self::Quantity,
            DataType::Boolean | DataType::Date32 | DataType::Date64 => self == Self::Text,
            _ => false,
        }
    }
}

pub(crate) fn check_types(schema: &Schema, columns: &Columns) -> Result<(), UsageError> {
    for index in columns.indices() {
        let role = match index {
            index if index == columns.quantity => Role::Quantity,
            index if index == columns.measured_at || Some(index) == columns.created_at => Role::Instant,
            _ => Role::Text,
        };
        let field = schema.field(index);
        if !role.accepts(field.data_type()) {
            return Err(UsageError::UnsupportedType {
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected: role.expected(),
            });
        }
    }
    Ok(())
}

enum Quantities {
    Decimal { values: Decimal128Array, scale: i8 },
    Integer(Int64Array),
    Text(Texts),
}

impl Quantities {
    fn new(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        Ok(match array.data_type() {
            DataType::Decimal128(_, scale) => Self::Decimal { values: array.as_primitive().clone(), scale: *scale },
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => Self::Integer(cast(array, &DataType::Int64)?.as_primitive().clone()),
            // All other types are formatted as exact text: large unsigned numbers, other decimals, floats.
            _ => Self::Text(Texts::new(array)?),
        })
    }

    /// `marks` are the marks of texts.
    fn get(&self, row: usize, marks: NumberMarks) -> Result<Quantity, (Reason, String)> {
        let missing = || (Reason::MissingField, "the row has no `quantity`".to_owned());
        let invalid = |reason, found: &str| (reason, quantity::explain(reason, found));
        match self {
            Self::Decimal { values, scale } if values.is_valid(row) => quantity::from_scaled(values.value(row), *scale)
                .map_err(|reason| invalid(reason, &values.value_as_string(row))),
            Self::Integer(values) if values.is_valid(row) => {
                let value = values.value(row);
                quantity::from_scaled(value.into(), 0).map_err(|reason| invalid(reason, &value.to_string()))
            }
            Self::Decimal { .. } | Self::Integer(_) => Err(missing()),
            Self::Text(texts) => quantity::parse_by(usage_columns::stated(texts.get(row)).ok_or_else(missing)?, marks),
        }
    }
}

enum Instants {
    Timestamp {
        values: Int64Array,
        unit: ArrowUnit,
        /// Whether the timestamps have no time zone.
        is_local: bool,
    },
    Count(Int64Array),
    Text(Texts),
}

impl Instants {
    fn new(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        let integers = || -> Result<Int64Array, arrow::error::ArrowError> {
            Ok(cast(array, &DataType::Int64)?.as_primitive().clone())
        };
        Ok(match array.data_type() {
            // A timestamp with a time zone counts from 1970 in UTC.
            DataType::Timestamp(unit, zone) => {
                Self::Timestamp { values: integers()?, unit: *unit, is_local: zone.is_none() }
            }
            DataType::Int32 | DataType::Int64 | DataType::UInt32 => Self::Count(integers()?),
            _ => Self::Text(Texts::new(array)?),
        })
    }

    /// The instant of a row, or `None` if the cell is empty. `of` names the column in the message of a rejection.
    fn get(&self, row: usize, of: &str, clock: &Clock) -> Option<Result<i64, (Reason, String)>> {
        match self {
            Self::Timestamp { values, unit, is_local } => values.is_valid(row).then(|| {
                let value = values.value(row);
                let micros = match unit {
                    ArrowUnit::Second => value.saturating_mul(1_000_000),
                    ArrowUnit::Millisecond => value.saturating_mul(1_000),
                    ArrowUnit::Microsecond => value,
                    ArrowUnit::Nanosecond => value.div_euclid(1_000),
                };
                let instant =
                    if *is_local { timestamp::local_instant(micros, clock) } else { timestamp::in_range(micros) };
                instant.map_err(|error| timestamp::refused(error, value, clock, of))
            }),
            Self::Count(values) => values.is_valid(row).then(|| {
                let value = values.value(row);
                timestamp::counted(value, clock.time_unit).map_err(|error| timestamp::refused(error, value, clock, of))
            }),
            Self::Text(texts) => usage_columns::stated(texts.get(row)).map(|text| timestamp::read(text, clock, of)),
        }
    }
}

/// The columns of one batch.
pub(crate) struct Rows {
    meter: Texts,
    resource_id: Texts,
    measured_at: Instants,
    quantity: Quantities,
    project_id: Texts,
    unit: Texts,
    kind: Texts,
    record_id: Texts,
    created_at: Option<Instants>,
    deleted: Texts,
    is_state: Texts,
    fields: Vec<Texts>,
    batch: RecordBatch,
    clock: Clock,
    marks: NumberMarks,
}

impl Rows {
    pub(crate) fn new(
        batch: RecordBatch,
        columns: &Columns,
        dialect: &Dialect,
    ) -> Result<Self, arrow::error::ArrowError> {
        Ok(Self {
            meter: Texts::new(batch.column(columns.meter))?,
            resource_id: Texts::new(batch.column(columns.resource_id))?,
            measured_at: Instants::new(batch.column(columns.measured_at))?,
            quantity: Quantities::new(batch.column(columns.quantity))?,
            project_id: Texts::of(&batch, columns.project_id)?,
            unit: Texts::of(&batch, columns.unit)?,
            kind: Texts::of(&batch, columns.kind)?,
            record_id: Texts::of(&batch, columns.record_id)?,
            created_at: columns.created_at.map(|index| Instants::new(batch.column(index))).transpose()?,
            deleted: Texts::of(&batch, columns.deleted)?,
            is_state: Texts::of(&batch, columns.is_state)?,
            fields: columns.fields.iter().map(|index| Texts::of(&batch, *index)).collect::<Result<_, _>>()?,
            batch,
            clock: dialect.clock.clone(),
            marks: dialect.numbers,
        })
    }

    /// Evaluates a row completely and passes it to the sink.
    fn pass<'a>(
        &'a self,
        row: usize,
        line: u64,
        fields: &mut Vec<Option<Cow<'a, str>>>,
        sink: &mut impl RecordSink,
    ) -> Result<(), (Reason, String)> {
        self.pass_from(row, RowOrigin { line, raw: None, element: None }, fields, sink)
    }

    /// Evaluates a row completely, and passes it to the sink as a record or as a rejection.
    pub(crate) fn pass_or_reject<'a>(
        &'a self,
        row: usize,
        origin: RowOrigin<'_>,
        fields: &mut Vec<Option<Cow<'a, str>>>,
        sink: &mut impl RecordSink,
    ) {
        if let Err((reason, detail)) = self.pass_from(row, origin, fields, sink) {
            let detail = origin.element.map_or_else(|| detail.clone(), |element| element.detail(&detail));
            sink.reject(&Rejection { reason, detail, line: origin.line, raw: &self.raw(row, origin) });
        }
    }

    fn pass_from<'a>(
        &'a self,
        row: usize,
        origin: RowOrigin<'_>,
        fields: &mut Vec<Option<Cow<'a, str>>>,
        sink: &mut impl RecordSink,
    ) -> Result<(), (Reason, String)> {
        if let Some(mut texts) = self.record(row, origin.line, fields, sink)? {
            if let Some(element) = origin.element {
                let id = element.record_id(texts.measured.record_id, &texts.resource_id, texts.measured.measured_at);
                texts.record_id = Some(id);
            }
            sink.record(&texts.record(fields), || self.raw(row, origin));
        } else {
            sink.unmetered(self.meter.get(row).unwrap_or_default());
        }
        Ok(())
    }

    /// The text that is shown with a rejection of a row.
    fn raw<'r>(&self, row: usize, origin: RowOrigin<'r>) -> Cow<'r, [u8]> {
        let raw = origin.raw.map_or_else(|| Cow::Owned(self.as_json(row).into_bytes()), Cow::Borrowed);
        origin.element.map_or_else(|| raw.clone(), |element| Cow::Owned(element.raw(&raw)))
    }

    /// The record of a row, or the reason for its rejection. `None` if no meter measures the row.
    fn record<'a>(
        &'a self,
        row: usize,
        line: u64,
        fields: &mut Vec<Option<Cow<'a, str>>>,
        sink: &mut impl RecordSink,
    ) -> Result<Option<RowRecord<'a>>, (Reason, String)> {
        let source_meter = usage_columns::required(self.meter.get(row), "meter")?;
        if !sink.is_metered(source_meter) {
            return Ok(None);
        }
        let resource_id = usage_columns::required_id(self.resource_id.get(row), "resource_id")?;
        let measured_at = self
            .measured_at
            .get(row, "", &self.clock)
            .ok_or_else(|| (Reason::MissingField, "the row has no `measured_at`".to_owned()))??;
        let quantity = self.quantity.get(row, self.marks)?;
        let measured = Measured {
            measured_at,
            quantity,
            record_id: usage_columns::stated(self.record_id.get(row)),
            created_at: self.created_at(row)?,
            deleted: usage_columns::deleted(self.deleted.get(row))?,
            evidence: usage_columns::evidence(self.is_state.get(row))?,
            line,
        };
        fields.extend((0..self.fields.len()).map(|field| self.field(field, row).map(Cow::Borrowed)));
        Ok(Some(RowRecord {
            source_meter,
            kind: usage_columns::kind(self.kind.get(row)),
            unit: canonical_unit(source_meter, usage_columns::stated(self.unit.get(row)).unwrap_or_default()),
            project_id: usage_columns::id(self.project_id.get(row)).map(|id| sink.canonical_id(id, IdField::Project)),
            resource_id: sink.canonical_id(resource_id, IdField::Resource),
            record_id: measured.record_id.map(canonical_id),
            measured,
        }))
    }

    /// The values that distinguish a row within its group, if they are valid.
    fn measured(&self, row: usize, line: u64, group: RecordGroupId) -> Option<Measured<'_>> {
        Some(Measured {
            measured_at: self.measured_at.get(row, "", &self.clock)?.ok()?,
            quantity: self.quantity.get(row, self.marks).ok()?,
            record_id: if group.reads_record_id { usage_columns::stated(self.record_id.get(row)) } else { None },
            created_at: self.created_at(row).ok()?,
            deleted: usage_columns::deleted(self.deleted.get(row)).ok()?,
            evidence: usage_columns::evidence(self.is_state.get(row)).ok()?,
            line,
        })
    }

    fn created_at(&self, row: usize) -> Result<Option<i64>, (Reason, String)> {
        self.created_at.as_ref().and_then(|instants| instants.get(row, " of `created_at`", &self.clock)).transpose()
    }

    fn field(&self, field: usize, row: usize) -> Option<&str> {
        usage_columns::stated(self.fields[field].get(row))
    }

    /// The decoded values of a row as JSON, which are shown with a rejection.
    fn as_json(&self, row: usize) -> String {
        let schema = self.batch.schema();
        let values = schema.fields().iter().zip(self.batch.columns()).filter(|(_, column)| column.is_valid(row));
        let values: serde_json::Map<String, serde_json::Value> = values
            .map(|(field, column)| {
                let text = array_value_to_string(column, row).unwrap_or_else(|error| error.to_string());
                (field.name().clone(), text.into())
            })
            .collect();
        serde_json::Value::Object(values).to_string()
    }
}

/// The record of a row, with its normalized texts.
struct RowRecord<'a> {
    source_meter: &'a str,
    kind: SampleKind,
    unit: &'a str,
    project_id: Option<Cow<'a, str>>,
    resource_id: Cow<'a, str>,
    record_id: Option<Cow<'a, str>>,
    measured: Measured<'a>,
}

impl RowRecord<'_> {
    fn record<'r>(&'r self, fields: &'r [Option<Cow<'r, str>>]) -> Record<'r> {
        Record {
            source_meter: self.source_meter,
            kind: self.kind,
            unit: self.unit,
            project_id: self.project_id.as_deref(),
            resource_id: &self.resource_id,
            measured_at: self.measured.measured_at,
            quantity: self.measured.quantity,
            record_id: self.record_id.as_deref(),
            created_at: self.measured.created_at,
            deleted: self.measured.deleted,
            evidence: self.measured.evidence,
            fields,
            line: self.measured.line,
        }
    }
}

/// The first error of the source. Parquet's readers convert such an error to a text, so that it cannot be distinguished
/// from damaged data.
#[derive(Clone, Default)]
struct Failure {
    happened: Arc<AtomicBool>,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl Failure {
    fn record(&self, error: &io::Error) {
        // An early end of the file means that the file is damaged. The source itself works.
        if error.kind() != io::ErrorKind::UnexpectedEof && !self.happened.swap(true, Ordering::Relaxed) {
            let error = io::Error::new(error.kind(), error.to_string());
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn check(&self) -> Result<(), UsageError> {
        match self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn watch<T>(&self, result: Result<T, ParquetError>) -> Result<T, ParquetError> {
        if let Err(ParquetError::External(error)) = &result
            && let Some(error) = error.downcast_ref::<io::Error>()
        {
            self.record(error);
        }
        result
    }
}

struct Watched<C> {
    file: C,
    failure: Failure,
}

impl<C: ChunkReader> Length for Watched<C> {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl<C: ChunkReader> ChunkReader for Watched<C> {
    type T = Watched<C::T>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let file = self.failure.watch(self.file.get_read(start))?;
        Ok(Watched { file, failure: self.failure.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.failure.watch(self.file.get_bytes(start, length))
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| self.failure.record(error))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, DictionaryArray, Int32Array, ListArray, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::array::{Float32Array, Float64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow::datatypes::UInt8Type;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::intake::test_sink::TestSink;

    const NOON: i64 = 1_790_856_000;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes.into()
    }

    /// A file with the given quantities. The other given columns replace the default columns of the same names.
    fn with(quantity: ArrayRef, others: Vec<(&'static str, ArrayRef)>) -> Bytes {
        let rows = quantity.len();
        let mut columns: BTreeMap<&str, ArrayRef> = BTreeMap::from([
            ("meter", texts(&vec!["vcpus"; rows])),
            ("resource_id", texts(&vec!["r"; rows])),
            ("measured_at", Arc::new(Int64Array::from(vec![NOON; rows])) as ArrayRef),
            ("quantity", quantity),
        ]);
        columns.extend(others);
        file(columns.into_iter().collect())
    }

    fn ones(rows: usize) -> ArrayRef {
        Arc::new(Int32Array::from(vec![1; rows]))
    }

    fn read_file(bytes: Bytes) -> TestSink {
        let mut sink = TestSink::new(&["flavor.name", "vcpus"]);
        let counts = read(bytes, &BTreeMap::new(), &Dialect::default(), &mut sink).unwrap();
        assert_eq!(counts.read as usize, sink.records.len() + sink.unmetered.len() + sink.rejected.len());
        sink
    }

    fn quantities(array: ArrayRef) -> Vec<Result<String, Reason>> {
        let rows = array.len() as u64;
        let sink = read_file(with(array, Vec::new()));
        (1..=rows)
            .map(|row| match sink.records.iter().find(|record| record.line == row) {
                Some(record) => Ok(record.quantity.to_string()),
                None => Err(sink.rejected.iter().find(|rejected| rejected.2 == row).unwrap().0),
            })
            .collect()
    }

    fn instants(array: ArrayRef) -> Vec<Result<i64, Reason>> {
        let rows = array.len() as u64;
        let sink = read_file(with(ones(array.len()), vec![("measured_at", array)]));
        (1..=rows)
            .map(|row| match sink.records.iter().find(|record| record.line == row) {
                Some(record) => Ok(record.measured_at),
                None => Err(sink.rejected.iter().find(|rejected| rejected.2 == row).unwrap().0),
            })
            .collect()
    }

    #[test]
    fn reads_all_columns() {
        let id = "2D954C5A-B451-5505-B4D8-11C80CBF3E82";
        let flavors: DictionaryArray<Int32Type> = [Some("m1"), None, Some("")].into_iter().collect();
        let sink = read_file(with(
            ones(3),
            vec![
                ("resource_id", texts(&[id, "B", "C"])),
                ("project_id", Arc::new(StringArray::from(vec![Some("p"), None, Some("None")]))),
                ("unit", texts(&["vcpus", "", "GB"])),
                ("type", texts(&["gauge", "DELTA", "else"])),
                ("record_id", texts(&["1", "2", ""])),
                ("created_at", Arc::new(TimestampSecondArray::from(vec![Some(5), None, None]))),
                ("deleted", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
                ("flavor.name", Arc::new(flavors)),
                ("vcpus", Arc::new(Int32Array::from(vec![Some(4), None, Some(8)]))),
                ("not needed", Arc::new(BooleanArray::from(vec![true; 3]))),
            ],
        ));
        assert_eq!(sink.rejected, []);
        let first = &sink.records[0];
        assert_eq!(
            (first.resource_id.clone(), &first.unit[..], first.kind),
            (id.to_lowercase(), "vcpu", SampleKind::Gauge)
        );
        assert_eq!((first.created_at, first.deleted, first.line), (Some(5_000_000), true, 1));
        assert_eq!((first.project_id.as_deref(), first.record_id.as_deref()), (Some("p"), Some("1")));
        assert_eq!(first.fields, [Some("m1".to_owned()), Some("4".to_owned())]);
        assert_eq!(sink.records[1].fields, [None, None]);
        assert_eq!(sink.records[2].fields, [None, Some("8".to_owned())]);
        assert_eq!((&sink.records[1].project_id, &sink.records[2].project_id), (&None, &None));
        assert_eq!((sink.records[1].kind, sink.records[2].kind), (SampleKind::Delta, SampleKind::Unknown));
        assert_eq!(
            (sink.records[1].deleted, sink.records[2].created_at, &sink.records[2].record_id),
            (false, None, &None)
        );
    }

    #[test]
    fn an_invalid_optional_time_rejects_its_row() {
        let rejected = |array: ArrayRef| {
            let sink = read_file(with(ones(3), vec![("created_at", array)]));
            assert_eq!((sink.records.len(), sink.rejected.len()), (2, 1));
            (sink.rejected[0].0, sink.rejected[0].1.clone(), sink.rejected[0].2)
        };
        let (reason, detail, row) = rejected(Arc::new(TimestampSecondArray::from(vec![Some(5), None, Some(-1)])));
        let expected = "the time `-1` of `created_at` is outside of the years 1970 to 2200";
        assert_eq!((reason, detail.as_str(), row), (Reason::TimestampOutOfRange, expected, 3));
        let (reason, detail, row) = rejected(texts(&["2026-10-01T00:00:00Z", "soon", ""]));
        assert!(detail.starts_with("the time `soon` of `created_at` is invalid"), "{detail}");
        assert_eq!((reason, row), (Reason::BadTimestamp, 2));
    }

    #[test]
    fn quantities_of_every_type_are_exact() {
        let ok = |text: &str| Ok(text.to_owned());
        let decimals = |values: Vec<Option<i128>>, precision, scale| -> ArrayRef {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
        };
        let found = quantities(decimals(vec![Some(1_500_000_000), None, Some(-1), Some(10i128.pow(37))], 38, 9));
        let out_of_range = Err(Reason::QuantityOutOfRange);
        assert_eq!(found, [ok("1.5"), Err(Reason::MissingField), ok("-0.000000001"), out_of_range.clone()]);
        assert_eq!(quantities(decimals(vec![Some(12), Some(125)], 5, 2)), [ok("0.12"), ok("1.25")]);
        assert_eq!(quantities(decimals(vec![Some(15), Some(4)], 20, 10)), [ok("0.000000002"), ok("0")]);
        assert_eq!(quantities(decimals(vec![Some(7)], 10, 0)), [ok("7")]);
        let big = 9_007_199_254_740_993i64;
        assert_eq!(
            quantities(Arc::new(Int64Array::from(vec![big, i64::MAX, -1]))),
            [ok("9007199254740993"), ok("9223372036854775807"), ok("-1")]
        );
        assert_eq!(quantities(Arc::new(UInt64Array::from(vec![5, u64::MAX]))), [ok("5"), out_of_range]);
        assert_eq!(
            quantities(Arc::new(Float64Array::from(vec![0.1, 1e15, f64::NAN, f64::INFINITY]))),
            [ok("0.1"), ok("1000000000000000"), Err(Reason::QuantityNotFinite), Err(Reason::QuantityNotFinite)]
        );
        assert_eq!(quantities(Arc::new(Float32Array::from(vec![0.1f32]))), [ok("0.1")]);
        let found = quantities(texts(&["9007199254740993.5", "x", "", "nan"]));
        assert_eq!(
            found,
            [
                ok("9007199254740993.5"),
                Err(Reason::BadQuantity),
                Err(Reason::MissingField),
                Err(Reason::QuantityNotFinite)
            ]
        );
    }

    #[test]
    fn times_of_every_unit_and_zone_are_utc() {
        let micros = NOON * 1_000_000;
        assert_eq!(instants(Arc::new(TimestampSecondArray::from(vec![NOON]))), [Ok(micros)]);
        assert_eq!(instants(Arc::new(TimestampMillisecondArray::from(vec![NOON * 1_000 + 5]))), [Ok(micros + 5_000)]);
        let array = TimestampMicrosecondArray::from(vec![micros + 7, -1]).with_timezone("Europe/Berlin");
        assert_eq!(instants(Arc::new(array)), [Ok(micros + 7), Err(Reason::TimestampOutOfRange)]);
        let array = TimestampNanosecondArray::from(vec![Some(micros * 1_000 + 999), None]).with_timezone("+00:00");
        assert_eq!(instants(Arc::new(array)), [Ok(micros), Err(Reason::MissingField)]);
        let found = instants(texts(&["2026-10-01 12:00:00", "1790856000", "soon", ""]));
        assert_eq!(found, [Ok(micros), Ok(micros), Err(Reason::BadTimestamp), Err(Reason::MissingField)]);
        assert_eq!(instants(Arc::new(Int64Array::from(vec![NOON * 1_000]))), [Err(Reason::TimestampOutOfRange)]);
        assert_eq!(instants(Arc::new(Float64Array::from(vec![NOON as f64 + 0.25]))), [Ok(micros + 250_000)]);
    }

    #[test]
    fn a_clock_determines_local_timestamps_and_numbers() {
        let clock = Clock {
            time_zone: Some(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()),
            time_unit: crate::model::dialect::TimeUnit::Milliseconds,
        };
        let dialect = Dialect { clock, ..Dialect::default() };
        let instants = |array: ArrayRef| {
            let mut sink = TestSink::new(&[]);
            let bytes = with(ones(array.len()), vec![("measured_at", array)]);
            read(bytes, &BTreeMap::new(), &dialect, &mut sink).unwrap();
            let instants: Vec<i64> = sink.records.iter().map(|record| record.measured_at).collect();
            (instants, sink.rejected.iter().map(|rejected| rejected.1.clone()).collect::<Vec<_>>())
        };
        // 2026-10-01T12:00:00 is 10:00 in UTC. 2026-10-25T02:30:00 occurs twice.
        let (micros, repeated) = (NOON * 1_000_000, 1_792_895_400);
        let (found, rejected) = instants(Arc::new(TimestampSecondArray::from(vec![NOON, repeated])));
        assert_eq!(found, [micros - 2 * 3_600_000_000]);
        assert!(rejected[0].starts_with("the time `1792895400` occurs twice in Europe/Berlin"), "{rejected:?}");
        let (found, _) = instants(Arc::new(TimestampSecondArray::from(vec![NOON, repeated]).with_timezone("UTC")));
        assert_eq!(found, [micros, repeated * 1_000_000]);
        let (found, rejected) = instants(Arc::new(Int64Array::from(vec![NOON * 1_000 + 5, NOON])));
        assert_eq!(found, [micros + 5_000]);
        assert!(
            rejected[0].ends_with("looks like seconds since 1970, expected milliseconds: set time_unit = \"seconds\"")
        );
        let (found, _) = instants(texts(&["2026-10-01 12:00:00", "2026-10-01 12:00:00Z", "1790856000000"]));
        assert_eq!(found, [micros - 2 * 3_600_000_000, micros, micros]);
    }

    #[test]
    fn rows_are_counted_across_batches_and_rejected_ones_are_shown() {
        let rows = BATCH_ROWS * 2 + 100;
        let meters: DictionaryArray<UInt8Type> =
            (0..rows).map(|row| Some(if row % 2 == 0 { "vcpus" } else { "other" })).collect();
        let mut values = vec!["1"; rows];
        values[BATCH_ROWS + 4] = "one";
        let bytes = with(texts(&values), vec![("meter", Arc::new(meters))]);
        let mut sink = TestSink::new(&[]);
        sink.metered = Some(vec!["vcpus".to_owned()]);
        assert_eq!(read(bytes, &BTreeMap::new(), &Dialect::default(), &mut sink).unwrap().read, rows as u64);
        assert_eq!((sink.records.len(), sink.unmetered.len()), (rows / 2 - 1, rows / 2));
        assert_eq!(sink.rejected.len(), 1);
        assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::BadQuantity, BATCH_ROWS as u64 + 5));
        let expected = r#"{"measured_at":"1790856000","meter":"vcpus","quantity":"one","resource_id":"r"}"#;
        assert_eq!(String::from_utf8_lossy(&sink.rejected_raw[0]), expected);
    }

    #[test]
    fn invalid_columns_are_errors_of_the_file() {
        let error = |bytes: Bytes| {
            read(bytes, &BTreeMap::new(), &Dialect::default(), &mut TestSink::new(&[])).unwrap_err().to_string()
        };
        let bytes = file(vec![("meter", texts(&["a"])), ("resource", texts(&["b"]))]);
        assert!(error(bytes).starts_with("there is no column `resource_id` (did you mean `resource`?)"));
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let found = error(with(Arc::new(list), Vec::new()));
        assert!(found.starts_with("the column `quantity` is of type List("), "{found}");
        let found = error(with(Arc::new(BooleanArray::from(vec![true])), Vec::new()));
        assert!(found.ends_with("expected a decimal, a number or text"), "{found}");
    }

    #[test]
    fn a_damaged_file_is_one_rejection_and_a_failing_source_an_error() {
        let whole = with(ones(100_000), Vec::new());
        for bytes in [Bytes::from_static(b"no parquet"), whole.slice(..whole.len() - 1), Bytes::new()] {
            let sink = read_file(bytes);
            assert_eq!(sink.rejected.iter().map(|rejected| rejected.0).collect::<Vec<_>>(), [Reason::Malformed]);
        }
        struct Broken(Bytes);
        impl Length for Broken {
            fn len(&self) -> u64 {
                self.0.len() as u64
            }
        }
        impl ChunkReader for Broken {
            type T = <Bytes as ChunkReader>::T;
            fn get_read(&self, _: u64) -> Result<Self::T, ParquetError> {
                Err(io::Error::other("the disk failed").into())
            }
            fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
                // The metadata at the end can be read, but the data cannot.
                if start < self.0.len() as u64 / 2 {
                    return Err(io::Error::other("the disk failed").into());
                }
                self.0.get_bytes(start, length)
            }
        }
        let names: Vec<String> = (0..100_000).map(|row| format!("resource {row}")).collect();
        let names = texts(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let bytes = with(ones(100_000), vec![("resource_id", names)]);
        let error = read(Broken(bytes), &BTreeMap::new(), &Dialect::default(), &mut TestSink::new(&[])).unwrap_err();
        assert_eq!(error.to_string(), "the disk failed");
    }
}
