//! A file for a document that can be too large for memory. A document above a size limit is written to an unnamed
//! temporary file.

use std::io::{self, Seek, Write};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

/// The maximum size of a document in memory. Most documents are much smaller than 8 MiB.
const MEMORY_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// A file that computes the SHA-256 of its contents. The file is in memory up to a size limit, and on disk above the
/// limit.
pub(super) struct HashingFile {
    file: SpooledTempFile,
    digest: Sha256,
}

impl HashingFile {
    pub(super) fn new() -> Self {
        Self { file: SpooledTempFile::new(MEMORY_LIMIT_BYTES), digest: Sha256::new() }
    }

    /// The document, positioned at its beginning, and its digest.
    pub(super) fn finish(mut self) -> io::Result<(SpooledTempFile, String)> {
        self.file.rewind()?;
        Ok((self.file, hex::encode(self.digest.finalize())))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
