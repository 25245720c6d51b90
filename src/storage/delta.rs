//! Delta Lake tables: copies of relations for other programs.
//!
//! A data file of the lake may be replaced by a later commit, and its decimals may have a narrower type than the
//! relation. So programs must not read all files of a directory. A Delta table names its current files and has one type
//! for each column.
//!
//! Each export adds one version to the table. The format is the Delta transaction log protocol with reader version 1
//! and writer version 2. Each version is a JSON file with one action in each line.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Error, Lake, Snapshot, layout, parquet_file};

/// The type of unsigned 64-bit integers in a Delta table, which has only signed integers.
const UNSIGNED: DataType = DataType::Decimal128(20, 0);

/// The result of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeltaExport {
    /// The version of the table after the export.
    pub version: u64,
    /// The number of files that this version adds.
    pub added: usize,
    /// The number of files that this version removes.
    pub removed: usize,
    /// The rows of the table.
    pub rows: u64,
}

/// The state of a table after its last version.
#[derive(Debug, Default)]
struct Table {
    next_version: u64,
    id: Option<String>,
    schema: Option<String>,
    files: BTreeSet<String>,
}

/// Writes the rows of a relation to a Delta table, or adds a version to the table. Without a difference, the table
/// keeps its version.
pub async fn export_delta(
    lake: &Lake,
    snapshot: &Snapshot,
    relation: &str,
    schema: &SchemaRef,
    target: &Lake,
) -> Result<DeltaExport, Error> {
    let first = snapshot.commits().first().map_or("", |commit| &*commit.committed_at);
    let id = table_id(relation, first);
    let table = read_table(target).await?;
    if table.id.as_ref().is_some_and(|found| *found != id) {
        return Err(Error::ForeignTable { location: target.display_of(""), relation: relation.to_owned() });
    }
    let files: Vec<_> = snapshot.files(relation).collect();
    let path_of = |path: &str| path.strip_prefix(&format!("{}/{relation}/", layout::DATA)).unwrap_or(path).to_owned();
    let current: BTreeSet<String> = files.iter().map(|file| path_of(&file.path)).collect();
    let committed_at = snapshot.commits().last().and_then(|commit| commit.committed_at.parse::<Timestamp>().ok());
    let time = committed_at.map_or(0, Timestamp::as_millisecond);
    let table_schema = delta_schema(schema);
    let schema_text = json_type(&DataType::Struct(table_schema.fields().clone())).to_string();
    let mut actions = Vec::new();
    if table.schema.as_ref() != Some(&schema_text) {
        actions.push(json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }));
        actions.push(json!({ "metaData": {
            "id": id, "name": relation, "format": { "provider": "parquet", "options": {} },
            "schemaString": schema_text, "partitionColumns": [], "configuration": {}, "createdTime": time,
        } }));
    }
    let removed: Vec<&String> = table.files.difference(&current).collect();
    for path in &removed {
        actions.push(json!({ "remove": { "path": path, "deletionTimestamp": time, "dataChange": true } }));
    }
    let mut added = 0;
    for file in &files {
        let path = path_of(&file.path);
        if table.files.contains(&path) {
            continue;
        }
        let rows = lake.read_rows(file, schema).await?;
        let bytes =
            encode(&table_schema, &rows).map_err(|source| Error::Parquet { path: file.path.clone(), source })?;
        let size = bytes.len();
        target.write(&path, bytes).await?;
        let stats = json!({ "numRecords": file.rows }).to_string();
        actions.push(json!({ "add": {
            "path": path, "partitionValues": {}, "size": size, "modificationTime": time, "dataChange": true,
            "stats": stats,
        } }));
        added += 1;
    }
    let rows = files.iter().map(|file| file.rows).sum();
    let removed = removed.len();
    if actions.is_empty() {
        return Ok(DeltaExport { version: table.next_version.saturating_sub(1), added, removed, rows });
    }
    actions.insert(
        0,
        json!({ "commitInfo": {
        "timestamp": time, "operation": "WRITE", "engineInfo": concat!("conto/", env!("CARGO_PKG_VERSION")),
        "operationParameters": { "commit": snapshot.next_sequence().saturating_sub(1).to_string() },
    } }),
    );
    let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
    // Another export may have created this version first. Then this export fails.
    target.create(&log_path(table.next_version), lines.into()).await?;
    Ok(DeltaExport { version: table.next_version, added, removed, rows })
}

fn log_path(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// The identifier of a table, in the form of a UUID. It is equal for all exports of a relation of one lake.
fn table_id(relation: &str, first_commit_at: &str) -> String {
    let digits = hex::encode(&Sha256::digest(format!("{relation} {first_commit_at}"))[..16]);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The state of a table after all its versions.
async fn read_table(target: &Lake) -> Result<Table, Error> {
    let mut table = Table::default();
    loop {
        let path = log_path(table.next_version);
        let bytes = match target.read(&path).await {
            Ok(bytes) => bytes,
            Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) => return Ok(table),
            Err(error) => return Err(error),
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            let action: Value = serde_json::from_slice(line)
                .map_err(|source| Error::TableLog { path: target.display_of(&path), source })?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            if let Some(metadata) = action.get("metaData") {
                table.id = text(&metadata["id"]);
                table.schema = text(&metadata["schemaString"]);
            }
            table.files.extend(action.get("add").and_then(|add| text(&add["path"])));
            if let Some(path) = action.get("remove").and_then(|remove| text(&remove["path"])) {
                table.files.remove(&path);
            }
        }
        table.next_version += 1;
    }
}

/// The columns of the table: the columns of the relation with types that Delta has.
fn delta_schema(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::UInt64 => Arc::new(Field::new(field.name(), UNSIGNED, field.is_nullable())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let converted = batches.iter().map(|batch| {
        let column = |field: &Arc<Field>| -> Result<ArrayRef, arrow::error::ArrowError> {
            let index = batch.schema().index_of(field.name())?;
            cast(batch.column(index), field.data_type())
        };
        RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect::<Result<_, _>>()?)
    });
    parquet_file::encode_declared(schema, &converted.collect::<Result<Vec<_>, _>>()?)
}

/// A type in the schema of Delta. All types of persisted relations have an equivalent.
fn json_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(..) => json!("timestamp"),
        DataType::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        DataType::Struct(fields) => {
            let field = |field: &Arc<Field>| {
                json!({
                    "name": field.name(), "type": json_type(field.data_type()), "nullable": field.is_nullable(),
                    "metadata": {},
                })
            };
            json!({ "type": "struct", "fields": fields.iter().map(field).collect::<Vec<_>>() })
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return json!("string") };
            let of = |index: usize| fields.get(index).map(|field| json_type(field.data_type()));
            json!({ "type": "map", "keyType": of(0), "valueType": of(1), "valueContainsNull": true })
        }
        DataType::Binary | DataType::FixedSizeBinary(_) => json!("binary"),
        _ => json!("string"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{persisted_paths, statement};

    /// Fails if a relation gets a column with a type that Delta has not, which [`json_type`] would call a string.
    #[test]
    fn every_column_of_a_persisted_relation_has_a_delta_type() {
        for path in persisted_paths() {
            let schema = &statement(path).unwrap().schema;
            for field in delta_schema(schema).fields() {
                let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Dictionary(..));
                assert_eq!(json_type(field.data_type()) == json!("string"), is_text, "{path}: {field:?}");
            }
        }
    }

    #[test]
    fn the_id_of_a_table_depends_on_relation_and_lake() {
        let id = table_id("invoice", "2026-11-01T00:00:00Z");
        assert_eq!(id.len(), 36);
        assert_ne!(id, table_id("invoice_line", "2026-11-01T00:00:00Z"));
        assert_ne!(id, table_id("invoice", "2026-11-01T00:00:01Z"));
    }
}
