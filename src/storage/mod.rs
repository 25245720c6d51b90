//! The lake: Parquet files, and the numbered commit log that references them. Only this module and `intake/sources/`
//! use an object store.
//!
//! A commit is one put request that creates the next log entry and never replaces an existing entry. So several
//! relations change together or not at all. Readers use the file list of the log and never a directory listing:
//! unreferenced files change no result.

mod checkpoint;
mod decimal_encoding;
mod delta;
pub mod digest_list;
mod error;
mod failpoints;
mod hints;
pub mod layout;
mod log;
mod manifest;
mod parquet_file;
mod snapshot;
mod store;
mod sync;
mod vacuum;
mod verify;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use sha2::{Digest, Sha256};
use url::Url;

use self::checkpoint::Checkpoint;
pub use self::delta::{DeltaExport, export_delta};
pub use self::error::Error;
pub use self::log::{Commit, CommitKind, DataFile, DocumentFile, LakeSettings, MeterDefinition};
pub use self::manifest::ChangedRelations;
pub use self::snapshot::{CommitSummary, Snapshot};
pub use self::store::{open_store, open_store_through};
pub use self::vacuum::Orphans;
pub use self::verify::Findings;
use crate::storage::failpoints::step;

/// The size of a part of a multipart upload. S3 requires at least 5 MiB; larger parts need more memory.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// The number of upload parts that are sent at the same time.
const PARTS_IN_FLIGHT: usize = 2;

/// A lake on a local disk or in an object store.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    /// The root of the store. The query engine resolves paths below this root by itself.
    store_url: Url,
    prefix: Path,
    /// The directory of a lake on this machine. Its files have to be synced explicitly.
    local_root: Option<PathBuf>,
    /// The files that a dry run wrote, by path. They are in memory only.
    dry_run_files: Option<Arc<Mutex<BTreeMap<String, Bytes>>>>,
}

impl Lake {
    /// Opens a location and reads nothing. The first write creates a missing local directory.
    pub fn open(location: &str) -> Result<Self, Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Location {
            location: location.to_owned(),
            source,
        };
        let url = match Url::parse(location) {
            Ok(url) if url.scheme().len() > 1 => url,
            _ => {
                let absolute = std::path::absolute(location).map_err(|source| failed(Box::new(source)))?;
                Url::from_directory_path(&absolute)
                    .map_err(|()| failed("the path cannot be written as a URL".into()))?
            }
        };
        if let Some(reason) = store::unsupported_reason(&url) {
            return Err(Error::UnsupportedLocation { location: location.to_owned(), reason });
        }
        let (store, prefix) = open_store(&url).map_err(|source| failed(Box::new(source)))?;
        Ok(Self::at(store, &url, prefix))
    }

    /// A lake in an opened store, at the path of a URL.
    pub fn in_store(store: Arc<dyn ObjectStore>, url: &Url) -> Result<Self, object_store::path::Error> {
        Ok(Self::at(store, url, Path::from_url_path(url.path())?))
    }

    fn at(store: Arc<dyn ObjectStore>, url: &Url, prefix: Path) -> Self {
        let local_root = if url.scheme() == "file" { url.to_file_path().ok() } else { None };
        let mut store_url = url.clone();
        store_url.set_path("/");
        Self { store, store_url, prefix, local_root, dry_run_files: None }
    }

    /// The same lake, with all writes in memory. A dry run of a dry run shares the files of the first dry run.
    #[must_use]
    pub fn dry_run(&self) -> Self {
        Self { dry_run_files: Some(self.dry_run_files.clone().unwrap_or_default()), ..self.clone() }
    }

    pub fn is_dry_run(&self) -> bool {
        self.dry_run_files.is_some()
    }

    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    pub fn store_url(&self) -> &Url {
        &self.store_url
    }

    /// The full URL of a path of the lake.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{}", self.store_url, self.full_path(path))
    }

    /// A path of the lake for output: a local path if the lake is on this machine, otherwise a URL.
    pub fn display_of(&self, path: &str) -> String {
        match &self.local_root {
            Some(root) => root.join(path).display().to_string(),
            None => self.url_of(path),
        }
    }

    fn full_path(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), |full, part| full.join(part))
    }

    /// The current snapshot: the checkpoint and the entries after it. If the checkpoint is missing or does not match
    /// the log, all entries are read.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let checkpoint = self.read(layout::CHECKPOINT).await.ok().and_then(|bytes| Checkpoint::decode(&bytes));
        if let Some(checkpoint) = checkpoint {
            let last = self.read(&layout::log_entry(checkpoint.sequence)).await;
            if last.is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == checkpoint.entry_sha256) {
                return self.replay(checkpoint.snapshot, u64::MAX).await;
            }
            tracing::warn!("the checkpoint of the lake does not match its log; reading the log from its beginning");
        }
        self.replay(Snapshot::default(), u64::MAX).await
    }

    /// The snapshot after entry `last`.
    pub async fn snapshot_as_of(&self, last: u64) -> Result<Snapshot, Error> {
        let snapshot = self.replay(Snapshot::default(), last).await?;
        match snapshot.next_sequence() {
            0 => Err(Error::NoSuchEntry { sequence: last, entries: 0 }),
            entries if entries <= last => Err(Error::NoSuchEntry { sequence: last, entries }),
            _ => Ok(snapshot),
        }
    }

    /// Every entry of the log, without the checkpoint.
    pub async fn log(&self) -> Result<Vec<Commit>, Error> {
        let mut entries = Vec::new();
        for sequence in self.sequences(0).await? {
            entries.push(self.log_entry(sequence).await?);
        }
        Ok(entries)
    }

    /// Adds the entries that follow a snapshot, up to and including `last`.
    async fn replay(&self, mut snapshot: Snapshot, last: u64) -> Result<Snapshot, Error> {
        for sequence in self.sequences(snapshot.next_sequence()).await? {
            if sequence > last {
                break;
            }
            snapshot.apply(&self.log_entry(sequence).await?);
        }
        Ok(snapshot)
    }

    /// The numbers of the entries from `first` on. A gap is an error.
    async fn sequences(&self, first: u64) -> Result<std::ops::Range<u64>, Error> {
        let directory = self.full_path(layout::LOG);
        let failed = |source| Error::Store { action: "list", path: layout::LOG.to_owned(), source };
        let mut listed = match first.checked_sub(1) {
            Some(before) => self.store.list_with_offset(Some(&directory), &self.full_path(&layout::log_entry(before))),
            None => self.store.list(Some(&directory)),
        };
        let mut sequences = Vec::new();
        while let Some(entry) = listed.try_next().await.map_err(failed)? {
            sequences.extend(entry.location.filename().and_then(layout::log_sequence));
        }
        // The listing of a local directory has no order.
        sequences.sort_unstable();
        let expected = first..first + sequences.len() as u64;
        match expected.clone().zip(&sequences).find(|(expected, found)| expected != *found) {
            Some((missing, _)) => Err(Error::LogGap { missing }),
            None => Ok(expected),
        }
    }

    /// One entry of the log.
    pub async fn log_entry(&self, sequence: u64) -> Result<Commit, Error> {
        let path = layout::log_entry(sequence);
        let bytes = self.read(&path).await?;
        let entry: Result<Commit, _> = serde_json::from_slice(&bytes);
        match entry {
            Ok(entry) if entry.sequence == sequence => Ok(entry),
            Ok(entry) => {
                let other = format!("it contains the number {}, expected {sequence}", entry.sequence);
                Err(Error::LogEntry { path, source: serde::de::Error::custom(other) })
            }
            Err(source) => Err(Error::LogEntry { path, source }),
        }
    }

    /// The bytes at a path of the lake.
    pub async fn read(&self, path: &str) -> Result<Bytes, Error> {
        let failed = |source| Error::Store { action: "read", path: path.to_owned(), source };
        if let Some(files) = &self.dry_run_files
            && let Some(bytes) = files.lock().unwrap_or_else(PoisonError::into_inner).get(path)
        {
            return Ok(bytes.clone());
        }
        self.store.get(&self.full_path(path)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Writes bytes to a path and replaces its content in one step.
    pub async fn write(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let bytes = bytes.into();
        if let Some(files) = &self.dry_run_files {
            files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), bytes);
            return Ok(());
        }
        let payload = PutPayload::from_bytes(bytes);
        let failed = |source| Error::Store { action: "write", path: path.to_owned(), source };
        step();
        self.store.put(&self.full_path(path), payload).await.map_err(failed)?;
        step();
        Ok(())
    }

    /// Creates a file, or fails if it exists.
    async fn create(&self, path: &str, bytes: Bytes) -> Result<(), Error> {
        if let Some(root) = &self.local_root {
            return sync::create(root, path, &bytes);
        }
        let options = PutOptions::from(PutMode::Create);
        step();
        let put = self.store.put_opts(&self.full_path(path), PutPayload::from_bytes(bytes), options).await;
        step();
        put.map(|_| ()).map_err(|source| Error::Store { action: "create", path: path.to_owned(), source })
    }

    /// Writes the bytes of a reader to a path, part by part, because the bytes may not fit into memory.
    pub async fn write_from(&self, path: &str, source: &mut (dyn Read + Send)) -> Result<(), Error> {
        let mut next = || {
            let mut part = Vec::with_capacity(PART_BYTES);
            let read = (&mut *source).take(PART_BYTES as u64).read_to_end(&mut part);
            read.map_err(|source| Error::Disk { action: "read the content of", path: PathBuf::from(path), source })?;
            Ok::<_, Error>(part)
        };
        let mut part = next()?;
        if part.len() < PART_BYTES || self.is_dry_run() {
            while let more = next()?
                && !more.is_empty()
            {
                part.extend(more);
            }
            return self.write(path, part).await;
        }
        let failed = |source| Error::Store { action: "write", path: path.to_owned(), source };
        step();
        let mut upload = WriteMultipart::new_with_chunk_size(
            self.store.put_multipart(&self.full_path(path)).await.map_err(failed)?,
            PART_BYTES,
        );
        while !part.is_empty() {
            upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(failed)?;
            upload.put(part.into());
            part = next()?;
        }
        upload.finish().await.map_err(failed)?;
        step();
        Ok(())
    }

    /// Writes one data file. Its name depends on its content, so a second write changes nothing.
    pub async fn write_data(&self, data: EncodedData) -> Result<DataFile, Error> {
        self.write(&data.file.path, data.bytes).await?;
        Ok(data.file)
    }

    /// The rows of one data file, after a comparison with its digest in the log.
    pub async fn read_data(&self, file: &DataFile) -> Result<Vec<RecordBatch>, Error> {
        let bytes = self.verified(file).await?;
        parquet_file::decode(bytes).map_err(|source| Error::Parquet { path: file.path.clone(), source })
    }

    /// The content of a data file, after a comparison with its digest in the log.
    pub async fn data(&self, file: &DataFile) -> Result<StoredData, Error> {
        Ok(StoredData { path: file.path.clone(), bytes: self.verified(file).await? })
    }

    /// Compares a data file with its digest in the log, and its columns with the columns of its relation. The query
    /// engine reads files by itself and checks neither.
    pub async fn verify(&self, file: &DataFile, schema: &Schema) -> Result<(), Error> {
        let names = parquet_file::column_names(&self.verified(file).await?)
            .map_err(|source| Error::Parquet { path: file.path.clone(), source })?;
        check_columns(schema, &file.path, |column| names.iter().any(|name| name == column))
    }

    /// The rows of one data file, after the checks of [`Self::verify`].
    pub async fn read_rows(&self, file: &DataFile, schema: &Schema) -> Result<Vec<RecordBatch>, Error> {
        let batches = self.read_data(file).await?;
        for batch in &batches {
            check_columns(schema, &file.path, |column| batch.column_by_name(column).is_some())?;
        }
        Ok(batches)
    }

    async fn verified(&self, file: &DataFile) -> Result<Bytes, Error> {
        let bytes = self.read(&file.path).await?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found == file.sha256 {
            return Ok(bytes);
        }
        Err(Error::Damaged { path: file.path.clone(), expected: file.sha256.clone(), found })
    }

    /// Puts the next log entry and returns its digest. On a local disk, the referenced files are synced before the put,
    /// and the entry itself after the put.
    pub async fn commit(&self, commit: &Commit) -> Result<String, Error> {
        let path = layout::log_entry(commit.sequence);
        if self.is_dry_run() {
            return Err(Error::DryRun);
        }
        if let Some(root) = &self.local_root {
            let named = commit.added.iter().map(|file| file.path.as_str());
            let named = named.chain(commit.documents.iter().map(|document| document.path.as_str()));
            sync::sync_files(root, named)?;
        }
        let bytes = serde_json::to_vec_pretty(commit)
            .map(Bytes::from)
            .map_err(|source| Error::LogEntry { path: path.clone(), source })?;
        let put = match &self.local_root {
            Some(root) => sync::create(root, &path, &bytes),
            None => {
                let payload = PutPayload::from_bytes(bytes.clone());
                let options = PutOptions::from(PutMode::Create);
                step();
                let put = self.store.put_opts(&self.full_path(&path), payload, options).await;
                step();
                put.map(|_| ()).map_err(|source| Error::Store { action: "commit", path: path.clone(), source })
            }
        };
        if let Err(failure) = put {
            // The put may have succeeded although its response was lost. The stored entry decides.
            match self.read(&path).await {
                Ok(found) if found == bytes => {}
                Ok(_) => return Err(Error::Conflict { sequence: commit.sequence }),
                Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) => return Err(failure),
                Err(_) => {
                    return Err(Error::OutcomeUnknown { sequence: commit.sequence, source: Box::new(failure) });
                }
            }
        }
        if let Some(root) = &self.local_root {
            sync::sync_files(root, [path.as_str()])?;
        }
        Ok(hex::encode(Sha256::digest(&bytes)))
    }

    /// Writes a checkpoint of the last commit. No result depends on it, so a failure is only a warning.
    pub async fn checkpoint(&self, snapshot: &Snapshot, entry_sha256: String) {
        let entries = snapshot.next_sequence();
        let Some(sequence) = entries.checked_sub(1).filter(|_| entries >= checkpoint::LEAST_ENTRIES) else { return };
        let checkpoint = Checkpoint { sequence, entry_sha256, snapshot: snapshot.clone() };
        let written = match checkpoint.encode() {
            Ok(bytes) => self.write(layout::CHECKPOINT, bytes).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = written {
            tracing::warn!("could not write a checkpoint, so opening the lake takes longer: {reason}");
        }
    }
}

/// An encoded data file. Its name depends on its content, so equal rows have the same name.
#[derive(Debug)]
pub struct EncodedData {
    pub file: DataFile,
    bytes: Bytes,
}

impl EncodedData {
    /// Encodes rows. The encoding needs no lake, so several threads can encode at the same time.
    pub fn new(
        relation: &str,
        partition: &str,
        shard: u32,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Self, Error> {
        let failed = |source| Error::Parquet { path: format!("{relation}/{partition}"), source };
        let bytes = Bytes::from(parquet_file::encode(schema, batches).map_err(failed)?);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let file = DataFile {
            path: layout::data_file(relation, partition, shard, &sha256),
            relation: relation.to_owned(),
            partition: partition.to_owned(),
            shard,
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            bytes: bytes.len() as u64,
            sha256,
        };
        Ok(Self { file, bytes })
    }

    /// The same content with `suffix` in the name, because a vacuum is deleting the file of the regular name.
    #[must_use]
    pub fn renamed(mut self, suffix: u64) -> Self {
        if let Some(stem) = self.file.path.strip_suffix(".parquet") {
            self.file.path = format!("{stem}-{suffix}.parquet");
        }
        self
    }

    /// The content of the file before it is written.
    pub fn stored(&self) -> StoredData {
        StoredData { path: self.file.path.clone(), bytes: self.bytes.clone() }
    }
}

/// The bytes of a data file. Its rows can be read without the lake.
#[derive(Clone, Debug)]
pub struct StoredData {
    path: String,
    bytes: Bytes,
}

impl StoredData {
    /// Whether the statistics of the file prove that a column is false in every row, so that decoding is unnecessary.
    pub fn is_never_true(&self, column: &str) -> Result<bool, Error> {
        parquet_file::is_never_true(&self.bytes, column)
            .map_err(|source| Error::Parquet { path: self.path.clone(), source })
    }

    /// The rows of the given columns in batches, in the order of the file.
    pub fn batches(
        &self,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + Send + use<>, Error> {
        let path = self.path.clone();
        let failed = move |source| Error::Parquet { path: path.clone(), source };
        let batches = parquet_file::batches(self.bytes.clone(), Some(columns)).map_err(&failed)?;
        Ok(batches.map(move |batch| batch.map_err(&failed)))
    }
}

/// Returns an error if a file lacks a column of its relation.
fn check_columns(schema: &Schema, path: &str, has: impl Fn(&str) -> bool) -> Result<(), Error> {
    match schema.fields().iter().find(|field| !has(field.name())) {
        Some(field) => Err(Error::MissingColumn { path: path.to_owned(), column: field.name().clone() }),
        None => Ok(()),
    }
}
