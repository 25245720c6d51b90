//! A checkpoint: the snapshot after some log entry. With a checkpoint, a lake of a thousand commits opens without
//! reading a thousand entries.
//!
//! A checkpoint is a cache. It contains the number and the digest of its last entry. If the log has no such entry, or
//! the checkpoint cannot be read, the log is read from its beginning. The result is the same, but reading takes longer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;

/// The least number of entries for a checkpoint. Fewer entries are read as quickly as a checkpoint.
pub(super) const LEAST_ENTRIES: u64 = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    /// The last entry of the snapshot.
    pub sequence: u64,
    pub entry_sha256: String,
    pub snapshot: Snapshot,
}

impl Checkpoint {
    /// Decodes a checkpoint; `None` if the bytes are not a checkpoint of this version.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let json = zstd::decode_all(bytes.as_ref()).ok()?;
        let checkpoint: Self = serde_json::from_slice(&json).ok()?;
        (checkpoint.snapshot.next_sequence() == checkpoint.sequence + 1).then_some(checkpoint)
    }

    pub(super) fn encode(&self) -> std::io::Result<Vec<u8>> {
        zstd::encode_all(serde_json::to_vec(self)?.as_slice(), 3)
    }
}
