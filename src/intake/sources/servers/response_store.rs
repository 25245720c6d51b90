//! What a server answered, written down until it is read like any other file: samples as Ceilometer's lines of JSON,
//! states as usage records in CSV.
//!
//! A form that files have too means one reader: what a record needs, what is refused and why does not depend on the way
//! on which it came. The lines lie compressed in a directory for temporary files, so a month asks for no more memory
//! than a day.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::intake::sources::discover::InputFile;
use crate::model::config::{FileFormat, SourceConfig};

/// What all samples of one series have in common.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    pub name: String,
    pub unit: String,
    pub project_id: Option<String>,
    pub resource_id: String,
    pub resource_metadata: Map<String, Value>,
}

/// The directory in which samples wait.
#[derive(Debug)]
pub struct ResponseStore {
    directory: TempDir,
    files: AtomicUsize,
}

impl ResponseStore {
    pub fn new() -> io::Result<Self> {
        Ok(Self { directory: tempfile::Builder::new().prefix("conto-").tempdir()?, files: AtomicUsize::new(0) })
    }

    pub fn begin(&self) -> io::Result<SpoolFile> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("{number}.zst"));
        let writer = zstd::Encoder::new(BufWriter::new(File::create(&path)?), 1)?;
        let format = FileFormat::Ceilometer;
        Ok(SpoolFile { path, writer, format, hasher: Sha256::new(), byte_count: 0, head: String::new() })
    }
}

/// The answer to one question.
pub struct SpoolFile {
    path: PathBuf,
    writer: zstd::Encoder<'static, BufWriter<File>>,
    format: FileFormat,
    hasher: Sha256,
    byte_count: u64,
    /// The current series, as far as its samples agree.
    head: String,
}

impl SpoolFile {
    /// The samples from here on are of this series.
    pub fn series(&mut self, series: &Series) -> io::Result<()> {
        self.head = serde_json::to_string(series)?;
        self.head.pop();
        Ok(())
    }

    /// A sample of the current series, time and quantity as the server wrote them.
    pub fn sample(&mut self, timestamp: &str, volume: &str) -> io::Result<()> {
        let (timestamp, volume) = (serde_json::to_string(timestamp)?, serde_json::to_string(volume)?);
        let line = format!("{},\"timestamp\":{timestamp},\"volume\":{volume}}}\n", self.head);
        self.write(line.as_bytes())
    }

    /// The whole answer is a table of usage records with these columns.
    pub fn table<'c>(&mut self, columns: impl Iterator<Item = &'c str>) -> io::Result<()> {
        self.format = FileFormat::Csv;
        self.row(columns)
    }

    /// A row of the table.
    pub fn row<C: AsRef<[u8]>>(&mut self, cells: impl Iterator<Item = C>) -> io::Result<()> {
        let mut row = csv::Writer::from_writer(Vec::new());
        row.write_record(cells)?;
        self.write(&row.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.byte_count += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    /// All that was written down.
    #[cfg(test)]
    pub fn text(self) -> io::Result<String> {
        self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        String::from_utf8(zstd::decode_all(File::open(self.path)?)?).map_err(io::Error::other)
    }

    /// The file as intake reads it; `None` without samples.
    pub fn finish(self, source: &SourceConfig, url: String) -> io::Result<Option<InputFile>> {
        self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        let digest: [u8; 32] = self.hasher.finalize().into();
        Ok((self.byte_count > 0)
            .then(|| InputFile::spooled(source, url, &digest, self.byte_count, self.path, self.format)))
    }
}

impl std::fmt::Debug for SpoolFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SpoolFile").field("path", &self.path).finish_non_exhaustive()
    }
}
