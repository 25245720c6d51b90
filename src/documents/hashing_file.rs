//! A document that may be too long for memory: up to a bound it is held, beyond that it waits in a file without a name.

use std::io::{self, Seek, Write};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

const HELD_BYTES: usize = 8 * 1024 * 1024;

pub(super) struct HashingFile {
    file: SpooledTempFile,
    digest: Sha256,
}

impl HashingFile {
    pub(super) fn new() -> Self {
        Self { file: SpooledTempFile::new(HELD_BYTES), digest: Sha256::new() }
    }

    /// The document from its beginning, and its digest.
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
