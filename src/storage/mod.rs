//! The lake: parquet files that a numbered log names. The only code that touches an object store of ours.
//!
//! A commit is one create-only put of the next log number, so that several relations change at once or not at all.
//! Readers take the log's file list, never a directory listing: what no entry names is an orphan and harms nobody.

mod checkpoint;
mod decimal_encoding;
mod error;
mod failpoints;
mod hints;
pub mod layout;
mod log;
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
pub use self::error::Error;
pub use self::log::{Commit, CommitKind, DataFile, DocumentFile, LakeSettings, MeterDefinition};
pub use self::snapshot::{CommitSummary, Snapshot};
pub use self::store::open_store;
pub use self::vacuum::Orphans;
pub use self::verify::Findings;
use crate::storage::failpoints::step;

/// What is sent at once of a file that need not fit into memory, and how many such pieces are under way.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
const PIECES_UNDER_WAY: usize = 2;

/// A lake at one place, on a local disk or in any object store.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    /// The store's own root, for engines that resolve paths themselves.
    store_url: Url,
    prefix: Path,
    /// Where the lake is on this machine, if it is: only there can and must files be synced by hand.
    local_root: Option<PathBuf>,
    /// What a rehearsal wrote: nothing of it reaches the store.
    rehearsed: Option<Arc<Mutex<BTreeMap<String, Bytes>>>>,
}

impl Lake {
    /// Opens the place without looking at what is there. A local directory that does not exist yet is made by the
    /// first write.
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
        if let Some(reason) = store::refusal(&url) {
            return Err(Error::Refused { location: location.to_owned(), reason });
        }
        let (store, prefix) = open_store(&url).map_err(|source| failed(Box::new(source)))?;
        Ok(Self::at(store, &url, prefix))
    }

    /// A lake in a store that somebody else opened; the URL says where in it.
    pub fn in_store(store: Arc<dyn ObjectStore>, url: &Url) -> Result<Self, object_store::path::Error> {
        Ok(Self::at(store, url, Path::from_url_path(url.path())?))
    }

    fn at(store: Arc<dyn ObjectStore>, url: &Url, prefix: Path) -> Self {
        let local_root = if url.scheme() == "file" { url.to_file_path().ok() } else { None };
        let mut store_url = url.clone();
        store_url.set_path("/");
        Self { store, store_url, prefix, local_root, rehearsed: None }
    }

    /// The same lake, in which everything can be written and nothing is. Of a rehearsal it is that one.
    #[must_use]
    pub fn dry_run(&self) -> Self {
        Self { rehearsed: Some(self.rehearsed.clone().unwrap_or_default()), ..self.clone() }
    }

    pub fn is_dry_run(&self) -> bool {
        self.rehearsed.is_some()
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

    /// How a person would open a path of the lake: a local path where there is one.
    pub fn display_of(&self, path: &str) -> String {
        match &self.local_root {
            Some(root) => root.join(path).display().to_string(),
            None => self.url_of(path),
        }
    }

    fn full_path(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), |full, part| full.join(part))
    }

    /// Everything that is committed: the checkpoint and the entries after it, or all entries where it is of no use.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let checkpoint = self.read(layout::CHECKPOINT).await.ok().and_then(|bytes| Checkpoint::decode(&bytes));
        if let Some(checkpoint) = checkpoint {
            let last = self.read(&layout::log_entry(checkpoint.sequence)).await;
            if last.is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == checkpoint.entry_sha256) {
                return self.replay(checkpoint.snapshot, u64::MAX).await;
            }
            tracing::warn!("the checkpoint of the lake does not go with its log; the log is read from its beginning");
        }
        self.replay(Snapshot::default(), u64::MAX).await
    }

    /// What was committed up to and with entry `last`.
    pub async fn snapshot_as_of(&self, last: u64) -> Result<Snapshot, Error> {
        let snapshot = self.replay(Snapshot::default(), last).await?;
        match snapshot.next_sequence() {
            0 => Err(Error::NoSuchEntry { sequence: last, entries: 0 }),
            entries if entries <= last => Err(Error::NoSuchEntry { sequence: last, entries }),
            _ => Ok(snapshot),
        }
    }

    /// Every entry of the log, whatever a checkpoint says.
    pub async fn log(&self) -> Result<Vec<Commit>, Error> {
        let mut entries = Vec::new();
        for sequence in self.sequences(0).await? {
            entries.push(self.log_entry(sequence).await?);
        }
        Ok(entries)
    }

    /// Adds the entries that follow a snapshot, up to and with `last`.
    async fn replay(&self, mut snapshot: Snapshot, last: u64) -> Result<Snapshot, Error> {
        for sequence in self.sequences(snapshot.next_sequence()).await? {
            if sequence > last {
                break;
            }
            snapshot.apply(&self.log_entry(sequence).await?);
        }
        Ok(snapshot)
    }

    /// The numbers of the entries from `first` on, of which none may be missing.
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
        // A local directory is listed in no order.
        sequences.sort_unstable();
        let expected = first..first + sequences.len() as u64;
        match expected.clone().zip(&sequences).find(|(expected, found)| expected != *found) {
            Some((missing, _)) => Err(Error::LogGap { missing }),
            None => Ok(expected),
        }
    }

    /// One entry of the log, whole.
    pub async fn log_entry(&self, sequence: u64) -> Result<Commit, Error> {
        let path = layout::log_entry(sequence);
        let bytes = self.read(&path).await?;
        let entry: Result<Commit, _> = serde_json::from_slice(&bytes);
        match entry {
            Ok(entry) if entry.sequence == sequence => Ok(entry),
            Ok(entry) => {
                let other = format!("it says that it is entry {}", entry.sequence);
                Err(Error::LogEntry { path, source: serde::de::Error::custom(other) })
            }
            Err(source) => Err(Error::LogEntry { path, source }),
        }
    }

    /// The bytes at a path of the lake.
    pub async fn read(&self, path: &str) -> Result<Bytes, Error> {
        let failed = |source| Error::Store { action: "read", path: path.to_owned(), source };
        if let Some(rehearsed) = &self.rehearsed
            && let Some(bytes) = rehearsed.lock().unwrap_or_else(PoisonError::into_inner).get(path)
        {
            return Ok(bytes.clone());
        }
        self.store.get(&self.full_path(path)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Writes bytes to a path; what was there is replaced at once.
    pub async fn write(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let bytes = bytes.into();
        if let Some(rehearsed) = &self.rehearsed {
            rehearsed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), bytes);
            return Ok(());
        }
        let payload = PutPayload::from_bytes(bytes);
        let failed = |source| Error::Store { action: "write", path: path.to_owned(), source };
        step();
        self.store.put(&self.full_path(path), payload).await.map_err(failed)?;
        step();
        Ok(())
    }

    /// Writes what a reader gives to a path, piece by piece, so that it need not fit into memory.
    pub async fn write_from(&self, path: &str, source: &mut (dyn Read + Send)) -> Result<(), Error> {
        let mut next = || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut *source).take(PIECE_BYTES as u64).read_to_end(&mut piece);
            read.map_err(|source| Error::Disk { action: "read what goes to", path: PathBuf::from(path), source })?;
            Ok::<_, Error>(piece)
        };
        let mut piece = next()?;
        if piece.len() < PIECE_BYTES || self.is_dry_run() {
            while let more = next()?
                && !more.is_empty()
            {
                piece.extend(more);
            }
            return self.write(path, piece).await;
        }
        let failed = |source| Error::Store { action: "write", path: path.to_owned(), source };
        step();
        let mut upload = WriteMultipart::new_with_chunk_size(
            self.store.put_multipart(&self.full_path(path)).await.map_err(failed)?,
            PIECE_BYTES,
        );
        while !piece.is_empty() {
            upload.wait_for_capacity(PIECES_UNDER_WAY).await.map_err(failed)?;
            upload.put(piece.into());
            piece = next()?;
        }
        upload.finish().await.map_err(failed)?;
        step();
        Ok(())
    }

    /// Writes one data file; writing it again changes nothing.
    pub async fn write_data(&self, data: EncodedData) -> Result<DataFile, Error> {
        self.write(&data.file.path, data.bytes).await?;
        Ok(data.file)
    }

    /// The rows of one data file, after its content was compared with what the log says.
    pub async fn read_data(&self, file: &DataFile) -> Result<Vec<RecordBatch>, Error> {
        let bytes = self.verified(file).await?;
        parquet_file::decode(bytes).map_err(|source| Error::Parquet { path: file.path.clone(), source })
    }

    /// The content of a data file, after it was compared with what the log says.
    pub async fn data(&self, file: &DataFile) -> Result<StoredData, Error> {
        Ok(StoredData { path: file.path.clone(), bytes: self.verified(file).await? })
    }

    /// Compares the content of a data file with what the log says and with the columns that its relation has, before an
    /// engine reads it by itself.
    pub async fn verify(&self, file: &DataFile, schema: &Schema) -> Result<(), Error> {
        let names = parquet_file::column_names(&self.verified(file).await?)
            .map_err(|source| Error::Parquet { path: file.path.clone(), source })?;
        check_columns(schema, &file.path, |column| names.iter().any(|name| name == column))
    }

    /// The rows of one data file, after its content was compared with what the log says and its columns with those of
    /// its relation.
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

    /// Puts the next log entry and returns its digest. On a local disk everything it names is synced before, and the
    /// entry itself after.
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
            // The put may have succeeded although its answer was lost: what is there now settles it.
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

    /// Leaves a checkpoint of what was just committed. Nothing depends on it, so a failure is told and no more.
    pub async fn checkpoint(&self, snapshot: &Snapshot, entry_sha256: String) {
        let Some(sequence) = snapshot.next_sequence().checked_sub(1).filter(|last| last + 1 >= checkpoint::WORTH_IT)
        else {
            return;
        };
        let checkpoint = Checkpoint { sequence, entry_sha256, snapshot: snapshot.clone() };
        let written = match checkpoint.encode() {
            Ok(bytes) => self.write(layout::CHECKPOINT, bytes).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = written {
            tracing::warn!("there is no new checkpoint, so opening the lake takes longer: {reason}");
        }
    }
}

/// A data file ready to be written, named by its content: the same rows are the same file.
#[derive(Debug)]
pub struct EncodedData {
    pub file: DataFile,
    bytes: Bytes,
}

impl EncodedData {
    /// Encodes rows. Takes no lake, so that many files can be encoded at once.
    pub fn new(
        relation: &str,
        partition: &str,
        bucket: u32,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Self, Error> {
        let failed = |source| Error::Parquet { path: format!("{relation}/{partition}"), source };
        let bytes = Bytes::from(parquet_file::encode(schema, batches).map_err(failed)?);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let file = DataFile {
            path: layout::data_file(relation, partition, bucket, &sha256),
            relation: relation.to_owned(),
            partition: partition.to_owned(),
            bucket,
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            bytes: bytes.len() as u64,
            sha256,
        };
        Ok(Self { file, bytes })
    }

    /// The same content under another name, where its own is about to be deleted. `mark` tells names apart.
    #[must_use]
    pub fn renamed(mut self, mark: u64) -> Self {
        if let Some(stem) = self.file.path.strip_suffix(".parquet") {
            self.file.path = format!("{stem}-{mark}.parquet");
        }
        self
    }

    /// As it will lie in the lake.
    pub fn stored(&self) -> StoredData {
        StoredData { path: self.file.path.clone(), bytes: self.bytes.clone() }
    }
}

/// A data file as it lies in the lake, from which rows can be taken without the lake.
#[derive(Clone, Debug)]
pub struct StoredData {
    path: String,
    bytes: Bytes,
}

impl StoredData {
    /// Whether the file itself says that a column of flags is false in every row, so that it need not be decoded.
    pub fn is_never_true(&self, column: &str) -> Result<bool, Error> {
        parquet_file::is_never_true(&self.bytes, column)
            .map_err(|source| Error::Parquet { path: self.path.clone(), source })
    }

    /// The rows of these columns, batch by batch, in the order of the file.
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

/// Refuses a file that lacks a column of its relation.
fn check_columns(schema: &Schema, path: &str, has: impl Fn(&str) -> bool) -> Result<(), Error> {
    match schema.fields().iter().find(|field| !has(field.name())) {
        Some(field) => Err(Error::MissingColumn { path: path.to_owned(), column: field.name().clone() }),
        None => Ok(()),
    }
}
