//! Finds the files that sources name and hands each to its reader.

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
use crate::query::mapping::Mapping;
use crate::storage::open_store;

/// One file to be read, known by its content.
#[derive(Debug)]
pub struct InputFile {
    /// The first 64 bits of its SHA-256.
    pub id: u64,
    pub source: String,
    /// The path or URL as a person would write it.
    pub name: String,
    pub sha256: String,
    pub byte_count: u64,
    /// As its store says, in microseconds UTC; a server says nothing.
    pub modified_at: Option<i64>,
    format: FileFormat,
    columns: BTreeMap<String, String>,
    select: Option<Select>,
    /// The select, planned, and what it was planned against.
    mapping: Option<(Mapping, SchemaRef)>,
    defaults: BTreeMap<String, String>,
    content: Content,
}

impl InputFile {
    /// What a server was asked for, written down until it is read.
    pub fn spooled(
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
            select: None,
            mapping: None,
            defaults: source.defaults.clone(),
            content: Content::Local(path),
        }
    }
}

impl InputFile {
    fn failed(&self, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Intake(IntakeError::Source {
            source_name: self.source.clone(),
            location: self.name.clone(),
            source: error,
        })
    }
}

/// The first 64 bits.
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

/// What is known of the files that were read.
#[derive(Debug, Default)]
pub struct IngestedFiles {
    /// Digests of their contents.
    pub contents: HashSet<String>,
    /// Where they lay, their bytes and when they were modified: what still lies there unchanged need not be read to
    /// know that it is known, so a night costs the same however many files of nights before it there are.
    pub places: HashSet<(String, u64, i64)>,
}

/// The files of all sources whose content is not known, in the order of sources and names, each content once.
pub async fn new_files(config: &Config, known: &IngestedFiles) -> Result<Vec<InputFile>, Error> {
    let mut seen = known.contents.clone();
    let mut files = Vec::new();
    for source in &config.sources {
        let Origin::Files(place) = &source.origin else { continue };
        for file in files_of(source, place, known).await? {
            if seen.insert(file.sha256.clone()) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

async fn files_of(source: &SourceConfig, place: &FilesConfig, known: &IngestedFiles) -> Result<Vec<InputFile>, Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::Intake(IntakeError::Source {
            source_name: source.name.clone(),
            location: place.path.clone(),
            source: error,
        })
    };
    // What stands before the first wildcard is a directory to list; the rest is matched against what lies there.
    let wildcard = place.path.find(['*', '?', '[', '{']);
    let (directory, pattern) = match wildcard {
        Some(index) => {
            let slash = place.path[..index].rfind('/').map_or(0, |slash| slash + 1);
            (&place.path[..slash], Some(&place.path[slash..]))
        }
        None => (place.path.as_str(), None),
    };
    let url = match Url::parse(directory) {
        Ok(url) if url.scheme().len() > 1 => url,
        _ => {
            let absolute = std::path::absolute(directory).map_err(|error| failed(Box::new(error)))?;
            let url =
                if pattern.is_some() { Url::from_directory_path(absolute) } else { Url::from_file_path(absolute) };
            url.map_err(|()| failed(format!("`{directory}` cannot be written as a URL").into()))?
        }
    };
    let (store, prefix) = open_store(&url).map_err(|error| failed(Box::new(error)))?;
    let is_local = url.scheme() == "file";
    let mut found: Vec<(Path, String, u64, i64)> = Vec::new();
    match pattern {
        None => {
            let Ok(object) = store.head(&prefix).await else {
                return Err(Error::Invalid(vec![missing_file(source, place)]));
            };
            found.push((prefix, place.path.clone(), object.size, object.last_modified.timestamp_micros()));
        }
        Some(pattern) => {
            let matcher = GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map_err(|error| Error::Invalid(vec![bad_wildcard(source, place, &error)]))?
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
                tracing::warn!("the source `{}` has no file at {}", source.name, place.path);
            }
        }
    }
    let mut files = Vec::with_capacity(found.len());
    for (location, name, size, modified_at) in found {
        let found = (name, size, modified_at);
        if known.places.contains(&found) {
            continue;
        }
        let (name, ..) = found;
        let content = if is_local {
            Content::Local(PathBuf::from(name.strip_prefix("file://").unwrap_or(&name)))
        } else {
            let object = store.get(&location).await.map_err(|error| failed(Box::new(error)))?;
            Content::Remote(object.bytes().await.map_err(|error| failed(Box::new(error)))?)
        };
        files.push(InputFile { modified_at: Some(modified_at), ..identify(source, place, name, content)? });
    }
    Ok(files)
}

fn missing_file(source: &SourceConfig, place: &FilesConfig) -> Diagnostic {
    if std::path::Path::new(&place.path).is_dir() {
        let message = format!("the source `{}` names a directory", source.name);
        return Diagnostic::error("config::missing_file", message)
            .at(place.path_place.clone(), "a directory")
            .hint("say which files in it: `usage/*.jsonl.gz`, or `usage/**` for all");
    }
    Diagnostic::error("config::missing_file", format!("the source `{}` names a file that is not there", source.name))
        .at(place.path_place.clone(), "there is no such file")
        .hint("correct the path, or use a wildcard such as `usage/*.jsonl.gz` where files come and go")
}

fn bad_wildcard(source: &SourceConfig, place: &FilesConfig, error: &globset::Error) -> Diagnostic {
    let message = format!("the path of the source `{}` cannot be understood: {}", source.name, error.kind());
    Diagnostic::error("config::bad_wildcard", message)
        .at(place.path_place.clone(), "this wildcard")
        .hint("wildcards are `*`, `?`, `[…]`, `{a,b}` and `**`")
}

fn identify(source: &SourceConfig, place: &FilesConfig, name: String, content: Content) -> Result<InputFile, Error> {
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
        format: place.format,
        columns: place.columns.clone(),
        select: place.select.clone(),
        mapping: None,
        defaults: source.defaults.clone(),
        content,
        name,
    })
}

/// Plans the selects of files against what the files hold, before anything of any file is read.
pub async fn plan(files: &mut [InputFile], sink: &impl RecordSink) -> Result<(), Error> {
    let mut problems = Diagnostics::default();
    for file in files {
        let Some(select) = &file.select else { continue };
        let Some(schema) = schema_of(file)? else { continue };
        let told = |message: String, hint: String| {
            let message = format!("the source `{}` cannot read `{}`: {message}", file.source, file.name);
            Diagnostic::error("config::select", message).at(select.place.clone(), "this select").hint(hint)
        };
        let mapping = match Mapping::new(&select.text, &schema).await {
            Ok(mapping) => mapping,
            Err(error) => {
                problems.push(told(error.to_string(), error.hint()));
                continue;
            }
        };
        match sql_source::columns(&mapping, sink) {
            Ok(_) => file.mapping = Some((mapping, schema)),
            Err(error) => {
                let hint =
                    "a select gives `meter`, `resource_id`, `measured_at`, `quantity`, and what else a record says";
                problems.push(told(format!("of what the select gives, {error}"), hint.to_owned()));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems.into_sorted())) }
}

/// The columns of a file; `None` where it is refused as a whole when it is read.
fn schema_of(file: &InputFile) -> Result<Option<SchemaRef>, Error> {
    let failed = |error: std::io::Error| file.failed(Box::new(error));
    match (file.format, &file.content) {
        (FileFormat::Parquet, Content::Local(path)) => {
            Ok(sql_source::schema_of_parquet(&File::open(path).map_err(failed)?))
        }
        (FileFormat::Parquet, Content::Remote(bytes)) => Ok(sql_source::schema_of_parquet(bytes)),
        (FileFormat::Json, _) => sql_source::schema_of_json(&mut decoded(file)?).map_err(failed),
        _ => sql_source::schema_of_csv(&mut decoded(file)?).map_err(failed),
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

/// Reads one file into the collector.
pub fn read(file: &InputFile, collector: &mut Collector<'_>) -> Result<(), Error> {
    if file.defaults.is_empty() {
        read_into(file, collector)
    } else {
        read_into(file, &mut WithDefaults::new(collector, &file.defaults))
    }
}

fn read_into(file: &InputFile, collector: &mut impl RecordSink) -> Result<(), Error> {
    let failed = |error: UsageError| file.failed(Box::new(error));
    let of_text = |error: std::io::Error| file.failed(Box::new(error));
    let mapping = file.mapping.as_ref();
    match (file.format, &file.content, mapping) {
        (FileFormat::Parquet, Content::Local(path), mapping) => {
            let opened = File::open(path).map_err(of_text)?;
            match mapping {
                Some((mapping, _)) => sql_source::read_parquet(opened, mapping, collector),
                None => parquet::read(opened, &file.columns, collector),
            }
            .map_err(failed)
        }
        (FileFormat::Parquet, Content::Remote(bytes), mapping) => match mapping {
            Some((mapping, _)) => sql_source::read_parquet(bytes.clone(), mapping, collector),
            None => parquet::read(bytes.clone(), &file.columns, collector),
        }
        .map_err(failed),
        (FileFormat::Csv, _, Some((mapping, _))) => {
            sql_source::read_csv(&mut decoded(file)?, mapping, collector).map_err(failed)
        }
        (FileFormat::Csv, _, None) => csv::read(&mut decoded(file)?, &file.columns, collector).map_err(failed),
        (FileFormat::Json, ..) => {
            let mapping = mapping.map(|(mapping, schema)| (mapping, schema));
            sql_source::read_json(&mut decoded(file)?, mapping, collector).map_err(failed)
        }
        (FileFormat::CloudEvents, ..) => {
            let counted = file.defaults.get("quantity").map(String::as_str);
            cloudevents::read(&mut decoded(file)?, &file.columns, counted, collector).map_err(of_text)
        }
        (FileFormat::Notifications, ..) => notification::read(&mut decoded(file)?, collector).map_err(of_text),
        (FileFormat::Ceilometer, ..) => ceilometer::read(&mut decoded(file)?, collector).map_err(of_text),
    }
    .map(|_| ())
}
