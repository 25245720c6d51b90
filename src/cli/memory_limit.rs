//! `--memory-limit` of the commands that work on usage.

use bytesize::ByteSize;
use clap::Args;

use crate::model::memory::{LEAST_BYTES, peak_bytes};

/// The limit that a command is given on the memory of its process.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct MemoryLimit {
    /// How much memory the whole process may take, such as 512MiB; what does not fit goes to temporary files
    #[arg(long = "memory-limit", value_name = "SIZE", value_parser = parse_size)]
    pub bytes: Option<usize>,
}

impl MemoryLimit {
    /// Says that the limit was too small for what is not cut any smaller, where it was.
    pub fn check(self) {
        let (Some(limit), Some(peak)) = (self.bytes, peak_bytes()) else { return };
        if peak > limit {
            tracing::warn!(
                "the process took {} MiB at its peak, more than --memory-limit {} MiB: a date of one of the lake's \
                 `buckets`, the streams of all resources and the program itself take what they take",
                peak.div_ceil(1 << 20),
                limit >> 20,
            );
        }
    }
}

/// Bytes, with an optional unit: 1024, 512MiB, 2GB.
fn parse_size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|_| format!("`{text}` is not a size; write a number and a unit, such as 512MiB or 2GB"))?;
    let bytes = usize::try_from(size.as_u64()).map_err(|_| "this machine cannot address so many bytes")?;
    if bytes < LEAST_BYTES { Err("the program needs at least 128MiB".to_owned()) } else { Ok(bytes) }
}
