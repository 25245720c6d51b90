//! Finds the files of all file sources and passes each to the reader of its format.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Cursor, Read};
use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::Error;
use crate::intake::formats::compression::Decoded;
use crate::intake::formats::lines::BYTE_ORDER_MARK;
use crate::intake::formats::usage_columns::UsageError;
use crate::intake::formats::{ceilometer, cloudevents, compression, csv, notification, parquet, sql_source};
use crate::intake::record::{ReadCounts, RecordSink};
use crate::intake::resolve::collector::Collector;
use crate::intake::resolve::source_defaults::WithDefaults;
use crate::intake::sources::bucket_listing::Bucket;
use crate::intake::sources::listing::{Found, FoundAt, Listing, Pattern};
use crate::intake::sources::local_listing;
use crate::intake::unread::{Unread, innermost};
use crate::model::config::{Config, FileFormat, FilesConfig, Origin, Select, SourceConfig};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::dialect::{Dialect, Suggestion};
use crate::model::unread_input::{UnreadInput, UnreadReason};
use crate::query::mapping::{Mapping, MappingError};

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
    /// The ids of earlier files whose delivery was not complete: this file begins with their whole content.
    pub continues: Vec<u64>,
    /// Whether the content is empty, or only a byte order mark and blank lines. Such a file has no records.
    is_blank: bool,
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
            continues: Vec::new(),
            is_blank: false,
            content: Content::Local(path),
        }
    }

    /// This file as an unread input. The stored response of a server is an error instead: the watermark of the server
    /// covers it, so it would never be fetched again.
    pub fn unread(&self, unread: Unread) -> Result<UnreadInput, Error> {
        match self.modified_at {
            Some(_) => Ok(unread.at(&self.source, self.name.clone())),
            None => Err(Error::Temporary(std::io::Error::other(unread.detail))),
        }
    }

    /// Whether the records are events, whose source and id identify them at every time.
    pub fn has_events(&self) -> bool {
        self.format == FileFormat::CloudEvents
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

/// The fewest bytes by which the beginning of a file is recognized. Every file begins with no bytes, and all compressed
/// files begin with the same header of up to 18 bytes.
const LEAST_BEGINNING: u64 = 32;

/// A file that an earlier run has read.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub id: u64,
    pub sha256: String,
    pub byte_count: u64,
    /// Whether the file ends too early or is damaged.
    pub is_cut: bool,
}

/// The files that earlier runs have read.
#[derive(Debug, Default)]
pub struct IngestedFiles {
    /// Digests of the contents.
    pub contents: HashSet<String>,
    /// Location, size and modification time of each file. An unchanged file need not be read again, so the cost of a
    /// run does not grow with the number of old files.
    pub locations: HashSet<(String, u64, i64)>,
    /// The names of the sources that have read files.
    pub sources: HashSet<String>,
    /// The files that end too early or are damaged, by source.
    pub cut: HashMap<String, Vec<Delivered>>,
    /// The other files, by source and location.
    pub whole: HashMap<(String, String), Vec<Delivered>>,
    /// Digest and modification time of each retracted file. The same content with another modification time is another
    /// delivery. A response of a server has no modification time, so its content is never read again.
    pub retracted: HashSet<(String, Option<i64>)>,
}

impl IngestedFiles {
    /// Whether no earlier run has read or retracted the content of a file.
    pub fn is_new(&self, file: &InputFile) -> bool {
        !self.contents.contains(&file.sha256) && !self.is_retracted(&file.sha256, file.modified_at)
    }

    /// The files that a file of this size may continue: files of its source that end too early, and earlier contents
    /// of its own location. The smallest is first. A file without [`LEAST_BEGINNING`] bytes is never continued.
    fn before(&self, source: &str, url: &str, size: u64) -> Vec<&Delivered> {
        let cut = self.cut.get(source).into_iter().flatten();
        let at_location = self.whole.get(&(source.to_owned(), url.to_owned())).into_iter().flatten();
        let mut before: Vec<&Delivered> = cut.chain(at_location).collect();
        before.retain(|file| (LEAST_BEGINNING..size).contains(&file.byte_count));
        before.sort_by_key(|file| file.byte_count);
        before
    }

    pub fn is_retracted(&self, sha256: &str, modified_at: Option<i64>) -> bool {
        !self.retracted.is_empty() && self.retracted.contains(&(sha256.to_owned(), modified_at))
    }
}

/// The number of consecutive failures of a store after which its remaining objects are not tried.
const FAILURES_OF_STORE: usize = 3;

/// The files that are not ingested, in the order of sources and names. Files and sources that cannot be read are added
/// to `unread`. Several files may have the same content, because only `prepare` finds whether a source can read it.
pub async fn new_files(
    config: &Config,
    ingested: &IngestedFiles,
    unread: &mut Vec<UnreadInput>,
) -> Result<Vec<InputFile>, Error> {
    let mut files = Vec::new();
    for source in &config.sources {
        let Origin::Files(config) = &source.origin else { continue };
        files.extend(files_of(source, config, ingested, unread).await?);
    }
    files.retain(|file| ingested.is_new(file));
    Ok(files)
}

/// The files of a source that are not ingested.
async fn files_of(
    source: &SourceConfig,
    config: &FilesConfig,
    ingested: &IngestedFiles,
    unread: &mut Vec<UnreadInput>,
) -> Result<Vec<InputFile>, Error> {
    let (directory, wildcards) = split_at_wildcard(&config.path);
    let pattern = match wildcards.map(Pattern::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => return Err(Error::Invalid(vec![bad_wildcard(source, config, &error)])),
    };
    let place = match open(directory) {
        Ok(place) => place,
        Err(problem) => return Err(Error::Invalid(vec![bad_location(source, config, &problem)])),
    };
    let listed = match (&pattern, &place) {
        (Some(pattern), Place::Directory(path)) => local_listing::list(path, pattern),
        (Some(pattern), Place::Bucket(bucket)) => bucket.list(pattern).await,
        (None, Place::Directory(path)) => {
            if path.is_dir() {
                return Err(Error::Invalid(vec![directory_in_place_of_a_file(source, config)]));
            }
            local_listing::file(path.clone()).map(Listing::from).map_err(Unread::from)
        }
        (None, Place::Bucket(bucket)) => bucket.object().await.map(Listing::from),
    };
    let Listing { mut found, unread: left_out } = match listed {
        Ok(listed) => listed,
        Err(failure) => {
            // The path of a source that has never read a file is probably wrong.
            if failure.reason == UnreadReason::NotFound && !ingested.sources.contains(&source.name) {
                let problem = match &pattern {
                    Some(_) => missing_bucket(source, config, &failure.detail),
                    None => missing_file(source, config),
                };
                return Err(Error::Invalid(vec![problem]));
            }
            unread.push(failure.at(&source.name, config.path.clone()));
            return Ok(Vec::new());
        }
    };
    if pattern.is_some() && found.is_empty() && left_out.is_empty() {
        tracing::warn!(
            "the source `{}` has no file at `{}`; check its path, or the delivery of its files",
            source.name,
            config.path
        );
    }
    unread.extend(left_out.into_iter().map(|(below, failure)| failure.at(&source.name, format!("{directory}{below}"))));
    found.sort_by(|left, right| left.below.cmp(&right.below));
    let mut files = Vec::with_capacity(found.len());
    let mut failures = 0;
    for Found { below, size, modified_at, at } in found {
        let name = format!("{directory}{below}");
        let location = (name, size, modified_at);
        if ingested.locations.contains(&location) {
            continue;
        }
        let (name, ..) = location;
        let content = match (at, &place) {
            (FoundAt::Local(path), _) => Ok(Content::Local(path)),
            (FoundAt::Remote(key), Place::Bucket(bucket)) if failures < FAILURES_OF_STORE => {
                bucket.content(&key).await.map(Content::Remote)
            }
            (FoundAt::Remote(_), _) => {
                Err(Unread::new(UnreadReason::NotTried, "the store failed for several objects before this one"))
            }
        };
        let earlier = ingested.before(&source.name, &name, size);
        let identify = |content| identify(source, config, name.clone(), content, &earlier).map_err(Unread::from);
        let file = content.and_then(identify);
        match file {
            Ok(file) => {
                failures = 0;
                files.push(InputFile { modified_at: Some(modified_at), ..file });
            }
            Err(failure) => {
                failures += usize::from(failure.reason == UnreadReason::Failed);
                unread.push(failure.at(&source.name, name));
            }
        }
    }
    Ok(files)
}

/// The directory or bucket of a source.
enum Place {
    Directory(PathBuf),
    Bucket(Bucket),
}

/// Opens the directory of a source, or its file if its path has no wildcard.
fn open(path: &str) -> Result<Place, String> {
    let url = match Url::parse(path) {
        Ok(url) if url.scheme().len() > 1 => url,
        _ => return Ok(Place::Directory(PathBuf::from(path))),
    };
    if url.scheme() == "file" {
        let path = url.to_file_path().map_err(|()| format!("the URL `{url}` is not the URL of a file"))?;
        return Ok(Place::Directory(path));
    }
    Bucket::open(&url).map(Place::Bucket).map_err(|error| innermost(&error))
}

/// Splits a path into the directory to list, which has no wildcard, and the pattern of its files. A path without a
/// wildcard is the path of one file and has no pattern.
pub fn split_at_wildcard(path: &str) -> (&str, Option<&str>) {
    match path.find(['*', '?', '[', '{']) {
        Some(index) => {
            let slash = path[..index].rfind('/').map_or(0, |slash| slash + 1);
            (&path[..slash], Some(&path[slash..]))
        }
        None => (path, None),
    }
}

fn directory_in_place_of_a_file(source: &SourceConfig, config: &FilesConfig) -> Diagnostic {
    let message = format!("the path of the source `{}` is a directory, expected a file", source.name);
    Diagnostic::error("config::missing_file", message)
        .at(config.path_place.clone(), "a directory")
        .hint("add a wildcard for the files in it: `usage/*.jsonl.gz`, or `usage/**` for all")
}

fn missing_file(source: &SourceConfig, config: &FilesConfig) -> Diagnostic {
    Diagnostic::error("config::missing_file", format!("the file of the source `{}` does not exist", source.name))
        .at(config.path_place.clone(), "no such file")
        .hint("correct the path, or use a wildcard such as `usage/*.jsonl.gz` if the files change")
}

fn missing_bucket(source: &SourceConfig, config: &FilesConfig, problem: &str) -> Diagnostic {
    Diagnostic::error(
        "config::missing_bucket",
        format!("the bucket of the source `{}` is not found: {problem}", source.name),
    )
    .at(config.path_place.clone(), "no such bucket")
    .hint("correct the name of the bucket, or the endpoint in the environment variables of the store")
}

fn bad_location(source: &SourceConfig, config: &FilesConfig, problem: &str) -> Diagnostic {
    let message = format!("the path of the source `{}` cannot be opened: {problem}", source.name);
    Diagnostic::error("config::bad_path", message)
        .at(config.path_place.clone(), "cannot be opened")
        .hint("use a path, or a URL with `s3://`, `gs://` or `az://`, and set the environment variables of the store")
}

fn bad_wildcard(source: &SourceConfig, config: &FilesConfig, error: &globset::Error) -> Diagnostic {
    let message = format!("the path of the source `{}` has an invalid wildcard: {}", source.name, error.kind());
    Diagnostic::error("config::bad_wildcard", message)
        .at(config.path_place.clone(), "invalid wildcard")
        .hint("the wildcards are `*`, `?`, `[…]`, `{a,b}` and `**`")
}

/// The digest of a content, and of its beginnings with the lengths of earlier files.
struct Beginnings<'e> {
    hasher: Sha256,
    byte_count: u64,
    last: Option<u8>,
    /// Earlier files whose lengths are not reached yet, the smallest first.
    earlier: &'e [&'e Delivered],
    continues: Vec<u64>,
}

impl<'e> Beginnings<'e> {
    fn new(earlier: &'e [&'e Delivered]) -> Self {
        Self { hasher: Sha256::new(), byte_count: 0, last: None, earlier, continues: Vec::new() }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while let Some((file, others)) = self.earlier.split_first() {
            let length = usize::try_from(file.byte_count - self.byte_count).unwrap_or(usize::MAX);
            let Some((before, after)) = bytes.split_at_checked(length).filter(|(_, after)| !after.is_empty()) else {
                break;
            };
            self.add(before);
            // Without a rejection, the last line of the file may still have been cut off, for example within a number.
            let is_within_line = self.last != Some(b'\n') && !after.starts_with(b"\n") && !after.starts_with(b"\r");
            if (file.is_cut || is_within_line) && hex::encode(self.hasher.clone().finalize()) == file.sha256 {
                self.continues.push(file.id);
            }
            (self.earlier, bytes) = (others, after);
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.byte_count += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
    }
}

/// An input file with the digest of its content. `earlier` are the files that it may continue.
fn identify(
    source: &SourceConfig,
    config: &FilesConfig,
    name: String,
    content: Content,
    earlier: &[&Delivered],
) -> std::io::Result<InputFile> {
    let mut beginnings = Beginnings::new(earlier);
    match &content {
        Content::Remote(bytes) => beginnings.update(bytes),
        Content::Local(path) => {
            let mut file = File::open(path)?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                beginnings.update(&buffer[..count]);
            }
        }
    }
    let Beginnings { hasher, byte_count, continues, .. } = beginnings;
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
        continues,
        is_blank: false,
        content,
        name,
    })
}

/// Checks the columns of the files and plans the selects, before any record is read. Removes the files whose columns do
/// not fit their source, and adds them to `unread`. Of several files with the same content, the first that fits its
/// source remains.
///
/// A select that fits no file of a source that has never read a file is an error of the configuration.
pub async fn prepare(
    files: Vec<InputFile>,
    sink: &impl RecordSink,
    ingested: &IngestedFiles,
    unread: &mut Vec<UnreadInput>,
) -> Result<Vec<InputFile>, Error> {
    let mut fitting: HashSet<String> = ingested.sources.clone();
    let mut problems: Vec<(String, Diagnostic)> = Vec::new();
    let mut prepared = Vec::with_capacity(files.len());
    let mut contents: HashSet<String> = HashSet::new();
    for mut file in files {
        if contents.contains(&file.sha256) {
            continue;
        }
        match columns_of(&mut file, sink).await {
            Ok(Ok(())) => {
                if !file.is_blank {
                    fitting.insert(file.source.clone());
                }
                contents.insert(file.sha256.clone());
                prepared.push(file);
            }
            Ok(Err(misfit)) => {
                unread.push(file.unread(Unread::new(UnreadReason::WrongColumns, misfit.detail))?);
                problems.push((file.source, misfit.diagnostic));
            }
            Err(failure) => unread.push(file.unread(failure)?),
        }
    }
    let mut of_configuration = Diagnostics::default();
    problems.into_iter().filter(|(source, _)| !fitting.contains(source)).for_each(|(_, problem)| {
        of_configuration.push(problem);
    });
    if of_configuration.is_empty() { Ok(prepared) } else { Err(Error::Invalid(of_configuration.into_sorted())) }
}

/// A select that does not fit the columns of a file.
struct Misfit {
    detail: String,
    diagnostic: Diagnostic,
}

/// Checks the columns of a file, and plans its select. The inner error is a problem of the select.
async fn columns_of(file: &mut InputFile, sink: &impl RecordSink) -> Result<Result<(), Misfit>, Unread> {
    file.is_blank = is_blank(&mut decoded(file)?)?;
    if file.is_blank {
        return Ok(Ok(()));
    }
    let Some(select) = &file.select else {
        match (file.format, &file.content) {
            (FileFormat::Csv, _) => csv::check(&mut decoded(file)?, &file.columns, &file.dialect, sink)?,
            (FileFormat::Parquet, Content::Local(path)) => {
                parquet::check(&File::open(path)?, &file.columns, &file.dialect, sink)?
            }
            (FileFormat::Parquet, Content::Remote(bytes)) => parquet::check(bytes, &file.columns, &file.dialect, sink)?,
            _ => {}
        }
        return Ok(Ok(()));
    };
    let Some((schema, keys)) = schema_of(file, &select.text)? else { return Ok(Ok(())) };
    let misfit = |problem: String, hint: String| {
        let detail = format!("the select fails: {problem}");
        let message = format!("the select of the source `{}` fails for `{}`: {problem}", file.source, file.name);
        let diagnostic =
            Diagnostic::error("config::select", message).at(select.place.clone(), "invalid select").hint(hint);
        Misfit { detail, diagnostic }
    };
    let (mapping, schema) = match plan(&select.text, schema).await {
        Ok(planned) => planned,
        Err(error) => {
            let is_of_dialect = !keys.is_empty() && matches!(error, MappingError::UnknownColumn { .. });
            let hint = match is_of_dialect {
                true => format!("the file seems to need {} in the source", keys.entries()),
                false => error.hint(),
            };
            return Ok(Err(misfit(error.to_string(), hint)));
        }
    };
    if let Err(error) = sql_source::columns(&mapping, &file.dialect, sink) {
        let hint = "return at least the columns `meter`, `resource_id`, `measured_at` and `quantity`";
        return Ok(Err(misfit(format!("in its result, {error}"), hint.to_owned())));
    }
    file.mapping = Some((mapping, schema));
    Ok(Ok(()))
}

/// Plans a select for the columns of a file. A list that occurs in no object of a JSON file is empty if another select
/// of a `UNION ALL` can read the file. Otherwise its path is probably misspelled.
async fn plan(select: &str, schema: SchemaRef) -> Result<(Mapping, SchemaRef), MappingError> {
    let delivered = sql_source::without_absent(&schema);
    let error = match Mapping::new(select, &delivered).await {
        Ok(mapping) => return Ok((mapping, delivered)),
        Err(error) => error,
    };
    let is_absent = |column: usize| sql_source::is_absent(schema.field(column));
    match Mapping::new(select, &schema).await {
        Ok(mapping) if mapping.has_select_without(is_absent) => Ok((mapping, schema)),
        _ => Err(error),
    }
}

/// Whether a file is empty, or contains only a byte order mark and blank lines. A damaged file is not blank.
fn is_blank(text: &mut Text) -> std::io::Result<bool> {
    let mut is_start = true;
    loop {
        let mut bytes = text.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(text.fault().is_none());
        }
        if std::mem::take(&mut is_start) {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        if !bytes.trim_ascii().is_empty() {
            return Ok(false);
        }
        text.consume(length);
    }
}

/// The columns of a file that a select can read, and the keys that the file seems to need. `None` if the whole file
/// will be rejected when it is read.
fn schema_of(file: &InputFile, select: &str) -> Result<Option<(SchemaRef, Suggestion)>, Unread> {
    let typed = |schema: Option<SchemaRef>| schema.map(|schema| (schema, Suggestion::default()));
    Ok(match (file.format, &file.content) {
        (FileFormat::Parquet, Content::Local(path)) => typed(sql_source::schema_of_parquet(&File::open(path)?, select)),
        (FileFormat::Parquet, Content::Remote(bytes)) => typed(sql_source::schema_of_parquet(bytes, select)),
        (FileFormat::Json, _) => typed(sql_source::schema_of_json(&mut decoded(file)?, select)?),
        _ => sql_source::schema_of_csv(&mut decoded(file)?, &file.dialect)?,
    })
}

type Text = Decoded<BufReader<Box<dyn Read + Send>>>;

fn decoded(file: &InputFile) -> std::io::Result<Text> {
    let bytes: Box<dyn Read + Send> = match &file.content {
        Content::Local(path) => Box::new(File::open(path)?),
        Content::Remote(bytes) => Box::new(Cursor::new(bytes.clone())),
    };
    compression::open(BufReader::with_capacity(256 * 1024, bytes))
}

/// Reads the records of one file into the collector. After an error, the collector can contain some records of the
/// file.
pub fn read(file: &InputFile, collector: &mut Collector<'_>) -> Result<(), Unread> {
    if file.is_blank {
        return Ok(());
    }
    let result = if file.defaults.is_empty() {
        read_into(file, collector)
    } else {
        read_into(file, &mut WithDefaults::new(collector, &file.defaults))
    };
    result.map(|_| ()).map_err(Unread::from)
}

fn read_into(file: &InputFile, collector: &mut impl RecordSink) -> Result<ReadCounts, UsageError> {
    let (mapping, dialect) = (file.mapping.as_ref(), &file.dialect);
    match (file.format, &file.content, mapping) {
        (FileFormat::Parquet, Content::Local(path), mapping) => {
            let opened = File::open(path)?;
            match mapping {
                Some((mapping, schema)) => sql_source::read_parquet(opened, mapping, schema, dialect, collector),
                None => parquet::read(opened, &file.columns, dialect, collector),
            }
        }
        (FileFormat::Parquet, Content::Remote(bytes), mapping) => match mapping {
            Some((mapping, schema)) => sql_source::read_parquet(bytes.clone(), mapping, schema, dialect, collector),
            None => parquet::read(bytes.clone(), &file.columns, dialect, collector),
        },
        (FileFormat::Csv, _, Some((mapping, _))) => {
            sql_source::read_csv(&mut decoded(file)?, mapping, dialect, collector)
        }
        (FileFormat::Csv, _, None) => csv::read(&mut decoded(file)?, &file.columns, dialect, collector),
        (FileFormat::Json, ..) => {
            let mapping = mapping.map(|(mapping, schema)| (mapping, schema));
            sql_source::read_json(&mut decoded(file)?, mapping, dialect, collector)
        }
        (FileFormat::CloudEvents, ..) => {
            let default_quantity = file.defaults.get("quantity").map(String::as_str);
            Ok(cloudevents::read(&mut decoded(file)?, &file.columns, default_quantity, collector)?)
        }
        (FileFormat::Notifications, ..) => Ok(notification::read(&mut decoded(file)?, collector)?),
        (FileFormat::Ceilometer, ..) => Ok(ceilometer::read(&mut decoded(file)?, collector)?),
    }
}
