//! Finds the files of all file sources and passes each to the reader of its format.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::TryStreamExt;
use globset::GlobBuilder;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::{Error, IntakeError};
use crate::intake::formats::compression::Decoded;
use crate::intake::formats::usage_columns::UsageError;
use crate::intake::formats::{ceilometer, cloudevents, compression, csv, notification, parquet, sql_source};
use crate::intake::record::RecordSink;
use crate::intake::resolve::collector::Collector;
use crate::intake::resolve::source_defaults::WithDefaults;
use crate::model::config::{Config, FileFormat, FilesConfig, Origin, Select, SourceConfig};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::dialect::{Dialect, Suggestion};
use crate::query::mapping::{Mapping, MappingError};
use crate::storage::open_store;

/// One file to be read. Its content identifies it.
#[derive(Debug)]
pub struct InputFile {
    /// The first 64 bits of the content's SHA-256.
    pub id: u64,
    pub source: String,
    /// The path or URL, in the form that a user writes in the configuration.
    pub name: String,
    pub sha256: String,
    pub byte_count: u64,
    /// The modification time in the store, in microseconds UTC. `None` for the responses of a server.
    pub modified_at: Option<i64>,
    format: FileFormat,
    columns: BTreeMap<String, String>,
    dialect: Dialect,
    select: Option<Select>,
    /// The planned select, with the schema that it was planned against.
    mapping: Option<(Mapping, SchemaRef)>,
    defaults: BTreeMap<String, String>,
    content: Content,
}

impl InputFile {
    /// The stored response of a server.
    pub fn from_response(
        source: &SourceConfig,
        url: String,
        digest: &[u8; 32],
        byte_count: u64,
        path: PathBuf,
        format: FileFormat,
    ) -> Self {
        Self {
            id: id_of(digest),
            source: source.name.clone(),
            name: url,
            sha256: hex::encode(digest),
            byte_count,
            modified_at: None,
            format,
            columns: BTreeMap::new(),
            dialect: Dialect::default(),
            select: None,
            mapping: None,
            defaults: source.defaults.clone(),
            content: Content::Local(path),
        }
    }

    fn failed(&self, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Intake(IntakeError::Source {
            source_name: self.source.clone(),
            location: self.name.clone(),
            source: error,
        })
    }
}

/// The first 64 bits of a digest.
fn id_of(digest: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[derive(Debug)]
enum Content {
    Local(PathBuf),
    Remote(Bytes),
}

/// The files that earlier runs have read.
#[derive(Debug, Default)]
pub struct IngestedFiles {
    /// Digests of the contents.
    pub contents: HashSet<String>,
    /// Location, size and modification time of each file. An unchanged file need not be read again, so the cost of a
    /// run does not grow with the number of old files.
    pub locations: HashSet<(String, u64, i64)>,
}

/// The files that are not ingested, in the order of sources and names, without duplicate contents.
pub async fn new_files(config: &Config, ingested: &IngestedFiles) -> Result<Vec<InputFile>, Error> {
    let mut seen = ingested.contents.clone();
    let mut files = Vec::new();
    for source in &config.sources {
        let Origin::Files(config) = &source.origin else { continue };
        for file in files_of(source, config, ingested).await? {
            if seen.insert(file.sha256.clone()) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The files of a source that are not ingested.
async fn files_of(
    source: &SourceConfig,
    config: &FilesConfig,
    ingested: &IngestedFiles,
) -> Result<Vec<InputFile>, Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::Intake(IntakeError::Source {
            source_name: source.name.clone(),
            location: config.path.clone(),
            source: error,
        })
    };
    let (directory, pattern) = split_at_wildcard(&config.path);
    let url = url_of(directory, pattern.is_some()).map_err(failed)?;
    let (store, prefix) = open_store(&url).map_err(|error| failed(Box::new(error)))?;
    let is_local = url.scheme() == "file";
    let mut found: Vec<(Path, String, u64, i64)> = Vec::new();
    match pattern {
        None => {
            let Ok(object) = store.head(&prefix).await else {
                return Err(Error::Invalid(vec![missing_file(source, config)]));
            };
            found.push((prefix, config.path.clone(), object.size, object.last_modified.timestamp_micros()));
        }
        Some(pattern) => {
            let matcher = GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map_err(|error| Error::Invalid(vec![bad_wildcard(source, config, &error)]))?
                .compile_matcher();
            let depth = prefix.parts().count();
            let mut listed = store.list(Some(&prefix));
            while let Some(object) = listed.try_next().await.map_err(|error| failed(Box::new(error)))? {
                let below: Vec<String> =
                    object.location.parts().skip(depth).map(|part| part.as_ref().to_owned()).collect();
                let below = below.join("/");
                if matcher.is_match(&below) {
                    let modified_at = object.last_modified.timestamp_micros();
                    found.push((object.location, format!("{directory}{below}"), object.size, modified_at));
                }
            }
            found.sort();
            if found.is_empty() {
                tracing::warn!(
                    "the source `{}` has no file at `{}`; check its path, or the delivery of its files",
                    source.name,
                    config.path
                );
            }
        }
    }
    let mut files = Vec::with_capacity(found.len());
    for (location, name, size, modified_at) in found {
        let found = (name, size, modified_at);
        if ingested.locations.contains(&found) {
            continue;
        }
        let (name, ..) = found;
        let content = if is_local {
            Content::Local(PathBuf::from(name.strip_prefix("file://").unwrap_or(&name)))
        } else {
            let object = store.get(&location).await.map_err(|error| failed(Box::new(error)))?;
            Content::Remote(object.bytes().await.map_err(|error| failed(Box::new(error)))?)
        };
        files.push(InputFile { modified_at: Some(modified_at), ..identify(source, config, name, content)? });
    }
    Ok(files)
}

/// Splits a path into the directory to list, which has no wildcard, and the pattern of its files. A path without a
/// wildcard is the path of one file and has no pattern.
fn split_at_wildcard(path: &str) -> (&str, Option<&str>) {
    match path.find(['*', '?', '[', '{']) {
        Some(index) => {
            let slash = path[..index].rfind('/').map_or(0, |slash| slash + 1);
            (&path[..slash], Some(&path[slash..]))
        }
        None => (path, None),
    }
}

/// The URL of a path. A path that is already a URL is returned unchanged.
fn url_of(path: &str, is_directory: bool) -> Result<Url, Box<dyn std::error::Error + Send + Sync>> {
    match Url::parse(path) {
        Ok(url) if url.scheme().len() > 1 => Ok(url),
        _ => {
            let absolute = std::path::absolute(path)?;
            let url = if is_directory { Url::from_directory_path(absolute) } else { Url::from_file_path(absolute) };
            url.map_err(|()| format!("the path `{path}` cannot be converted to a URL").into())
        }
    }
}

fn missing_file(source: &SourceConfig, config: &FilesConfig) -> Diagnostic {
    if std::path::Path::new(&config.path).is_dir() {
        let message = format!("the path of the source `{}` is a directory, expected a file", source.name);
        return Diagnostic::error("config::missing_file", message)
            .at(config.path_place.clone(), "a directory")
            .hint("add a wildcard for the files in it: `usage/*.jsonl.gz`, or `usage/**` for all");
    }
    Diagnostic::error("config::missing_file", format!("the file of the source `{}` does not exist", source.name))
        .at(config.path_place.clone(), "no such file")
        .hint("correct the path, or use a wildcard such as `usage/*.jsonl.gz` if the files change")
}

fn bad_wildcard(source: &SourceConfig, config: &FilesConfig, error: &globset::Error) -> Diagnostic {
    let message = format!("the path of the source `{}` has an invalid wildcard: {}", source.name, error.kind());
    Diagnostic::error("config::bad_wildcard", message)
        .at(config.path_place.clone(), "invalid wildcard")
        .hint("the wildcards are `*`, `?`, `[…]`, `{a,b}` and `**`")
}

/// An input file with the digest of its content.
fn identify(source: &SourceConfig, config: &FilesConfig, name: String, content: Content) -> Result<InputFile, Error> {
    let failed = |error: std::io::Error| {
        Error::Intake(IntakeError::Source {
            source_name: source.name.clone(),
            location: name.clone(),
            source: Box::new(error),
        })
    };
    let mut hasher = Sha256::new();
    let mut byte_count = 0;
    match &content {
        Content::Remote(bytes) => {
            hasher.update(bytes);
            byte_count = bytes.len() as u64;
        }
        Content::Local(path) => {
            let mut file = File::open(path).map_err(failed)?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = file.read(&mut buffer).map_err(failed)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                byte_count += count as u64;
            }
        }
    }
    let digest = hasher.finalize();
    Ok(InputFile {
        id: id_of(&digest),
        source: source.name.clone(),
        sha256: hex::encode(digest),
        byte_count,
        modified_at: None,
        format: config.format,
        columns: config.columns.clone(),
        dialect: config.dialect.clone(),
        select: config.select.clone(),
        mapping: None,
        defaults: source.defaults.clone(),
        content,
        name,
    })
}

/// Plans the selects against the columns of the files, before any record is read.
pub async fn plan(files: &mut [InputFile], sink: &impl RecordSink) -> Result<(), Error> {
    let mut problems = Diagnostics::default();
    for file in files {
        let Some(select) = &file.select else { continue };
        let Some((schema, keys)) = schema_of(file, &select.text)? else { continue };
        let invalid = |message: String, hint: String| {
            let message = format!("the select of the source `{}` fails for `{}`: {message}", file.source, file.name);
            Diagnostic::error("config::select", message).at(select.place.clone(), "invalid select").hint(hint)
        };
        let mapping = match Mapping::new(&select.text, &schema).await {
            Ok(mapping) => mapping,
            Err(error) => {
                let is_of_dialect = !keys.is_empty() && matches!(error, MappingError::UnknownColumn { .. });
                let hint = if is_of_dialect {
                    format!("the file seems to need {} in the source", keys.entries())
                } else {
                    error.hint()
                };
                problems.push(invalid(error.to_string(), hint));
                continue;
            }
        };
        match sql_source::columns(&mapping, &file.dialect, sink) {
            Ok(_) => file.mapping = Some((mapping, schema)),
            Err(error) => {
                let hint = "return at least the columns `meter`, `resource_id`, `measured_at` and `quantity`";
                problems.push(invalid(format!("in its result, {error}"), hint.to_owned()));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems.into_sorted())) }
}

/// The columns of a file that a select can read, and the keys that the file seems to need. `None` if the whole file
/// will be rejected when it is read.
fn schema_of(file: &InputFile, select: &str) -> Result<Option<(SchemaRef, Suggestion)>, Error> {
    let failed = |error: std::io::Error| file.failed(Box::new(error));
    let typed = |schema: Option<SchemaRef>| schema.map(|schema| (schema, Suggestion::default()));
    match (file.format, &file.content) {
        (FileFormat::Parquet, Content::Local(path)) => {
            Ok(typed(sql_source::schema_of_parquet(&File::open(path).map_err(failed)?, select)))
        }
        (FileFormat::Parquet, Content::Remote(bytes)) => Ok(typed(sql_source::schema_of_parquet(bytes, select))),
        (FileFormat::Json, _) => sql_source::schema_of_json(&mut decoded(file)?, select).map(typed).map_err(failed),
        _ => sql_source::schema_of_csv(&mut decoded(file)?, &file.dialect).map_err(failed),
    }
}

type Text = Decoded<BufReader<Box<dyn Read + Send>>>;

fn decoded(file: &InputFile) -> Result<Text, Error> {
    let failed = |error: std::io::Error| file.failed(Box::new(error));
    let bytes: Box<dyn Read + Send> = match &file.content {
        Content::Local(path) => Box::new(File::open(path).map_err(failed)?),
        Content::Remote(bytes) => Box::new(Cursor::new(bytes.clone())),
    };
    compression::open(BufReader::with_capacity(256 * 1024, bytes)).map_err(failed)
}

/// Reads the records of one file into the collector.
pub fn read(file: &InputFile, collector: &mut Collector<'_>) -> Result<(), Error> {
    if file.defaults.is_empty() {
        read_into(file, collector)
    } else {
        read_into(file, &mut WithDefaults::new(collector, &file.defaults))
    }
}

fn read_into(file: &InputFile, collector: &mut impl RecordSink) -> Result<(), Error> {
    let failed = |error: UsageError| file.failed(Box::new(error));
    let io_failed = |error: std::io::Error| file.failed(Box::new(error));
    let (mapping, dialect) = (file.mapping.as_ref(), &file.dialect);
    match (file.format, &file.content, mapping) {
        (FileFormat::Parquet, Content::Local(path), mapping) => {
            let opened = File::open(path).map_err(io_failed)?;
            match mapping {
                Some((mapping, schema)) => sql_source::read_parquet(opened, mapping, schema, dialect, collector),
                None => parquet::read(opened, &file.columns, dialect, collector),
            }
            .map_err(failed)
        }
        (FileFormat::Parquet, Content::Remote(bytes), mapping) => match mapping {
            Some((mapping, schema)) => sql_source::read_parquet(bytes.clone(), mapping, schema, dialect, collector),
            None => parquet::read(bytes.clone(), &file.columns, dialect, collector),
        }
        .map_err(failed),
        (FileFormat::Csv, _, Some((mapping, _))) => {
            sql_source::read_csv(&mut decoded(file)?, mapping, dialect, collector).map_err(failed)
        }
        (FileFormat::Csv, _, None) => csv::read(&mut decoded(file)?, &file.columns, dialect, collector).map_err(failed),
        (FileFormat::Json, ..) => {
            let mapping = mapping.map(|(mapping, schema)| (mapping, schema));
            sql_source::read_json(&mut decoded(file)?, mapping, dialect, collector).map_err(failed)
        }
        (FileFormat::CloudEvents, ..) => {
            let default_quantity = file.defaults.get("quantity").map(String::as_str);
            cloudevents::read(&mut decoded(file)?, &file.columns, default_quantity, collector).map_err(io_failed)
        }
        (FileFormat::Notifications, ..) => notification::read(&mut decoded(file)?, collector).map_err(io_failed),
        (FileFormat::Ceilometer, ..) => ceilometer::read(&mut decoded(file)?, collector).map_err(io_failed),
    }
    .map(|_| ())
}
