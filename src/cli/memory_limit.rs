//! `--memory-limit` of the commands that process usage.

use bytesize::ByteSize;
use clap::Args;

use crate::model::memory::{MIN_LIMIT_BYTES, peak_bytes};

/// The limit on the memory of the process.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct MemoryLimit {
    /// Memory of the whole process, such as 512MiB; the rest goes to temporary files
    #[arg(long = "memory-limit", value_name = "SIZE", value_parser = parse_size)]
    pub bytes: Option<usize>,
}

impl MemoryLimit {
    /// Warns if the process exceeded the limit. Some parts of the work have a minimum size.
    pub(super) fn check(self) {
        let (Some(limit), Some(peak)) = (self.bytes, peak_bytes()) else { return };
        if peak > limit {
            tracing::warn!(
                "the process used {} MiB at its peak, more than --memory-limit {} MiB; the limit is too small for one \
                 date of one shard, the streams of all resources and the program itself",
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
    if bytes < MIN_LIMIT_BYTES { Err("the program needs at least 128MiB".to_owned()) } else { Ok(bytes) }
}
