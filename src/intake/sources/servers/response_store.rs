//! The responses of servers, stored in a common format until they are read like files. Samples are stored as
//! Ceilometer's JSON lines, states as usage records in CSV.
//!
//! A common format means a single reader: required fields and rejections do not depend on the way of delivery. The
//! lines are compressed in a directory for temporary files, so that a month needs no more memory than a day.

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

/// The attributes that all samples of one series share.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Series {
    pub name: String,
    pub unit: String,
    pub project_id: Option<String>,
    pub resource_id: String,
    pub resource_metadata: Map<String, Value>,
}

/// The temporary directory of the responses.
#[derive(Debug)]
pub(super) struct ResponseStore {
    directory: TempDir,
    files: AtomicUsize,
}

impl ResponseStore {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { directory: tempfile::Builder::new().prefix("conto-").tempdir()?, files: AtomicUsize::new(0) })
    }

    pub(super) fn begin(&self) -> io::Result<ResponseFile> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("{number}.zst"));
        let writer = zstd::Encoder::new(BufWriter::new(File::create(&path)?), 1)?;
        let format = FileFormat::Ceilometer;
        Ok(ResponseFile { path, writer, format, hasher: Sha256::new(), byte_count: 0, head: String::new() })
    }
}

/// The stored response of one fetch window.
pub(super) struct ResponseFile {
    path: PathBuf,
    writer: zstd::Encoder<'static, BufWriter<File>>,
    format: FileFormat,
    hasher: Sha256,
    byte_count: u64,
    /// The beginning of each line of the current series: its shared attributes.
    head: String,
}

impl ResponseFile {
    /// Begins a series. The following samples belong to it.
    pub(super) fn series(&mut self, series: &Series) -> io::Result<()> {
        self.head = serde_json::to_string(series)?;
        self.head.pop();
        Ok(())
    }

    /// Writes a sample of the current series, with time and quantity as the server wrote them.
    pub(super) fn sample(&mut self, timestamp: &str, volume: &str) -> io::Result<()> {
        let (timestamp, volume) = (serde_json::to_string(timestamp)?, serde_json::to_string(volume)?);
        let line = format!("{},\"timestamp\":{timestamp},\"volume\":{volume}}}\n", self.head);
        self.write(line.as_bytes())
    }

    /// Begins a table of usage records with these columns. The table is the whole response.
    pub(super) fn table<'c>(&mut self, columns: impl Iterator<Item = &'c str>) -> io::Result<()> {
        self.format = FileFormat::Csv;
        self.row(columns)
    }

    /// Writes a row of the table.
    pub(super) fn row<C: AsRef<[u8]>>(&mut self, cells: impl Iterator<Item = C>) -> io::Result<()> {
        let mut row = csv::Writer::from_writer(Vec::new());
        row.write_record(cells)?;
        self.write(&row.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.byte_count += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    /// The stored text.
    #[cfg(test)]
    pub(super) fn text(self) -> io::Result<String> {
        self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        String::from_utf8(zstd::decode_all(File::open(self.path)?)?).map_err(io::Error::other)
    }

    /// The complete file for intake. `None` if the file is empty.
    pub(super) fn finish(self, source: &SourceConfig, url: String) -> io::Result<Option<InputFile>> {
        self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        let digest: [u8; 32] = self.hasher.finalize().into();
        Ok((self.byte_count > 0)
            .then(|| InputFile::from_response(source, url, &digest, self.byte_count, self.path, self.format)))
    }
}

impl std::fmt::Debug for ResponseFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ResponseFile").field("path", &self.path).finish_non_exhaustive()
    }
}
