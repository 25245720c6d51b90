//! A checkpoint: what the log adds up to, so that a lake of a thousand commits opens without reading a thousand
//! entries.
//!
//! It is a hint. It names the last entry it holds and the digest of it; where the log has no such entry, or another, or
//! where the checkpoint cannot be read at all, the log is read from its beginning and nothing is lost but time.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;

/// Lakes with fewer entries are read entry by entry.
pub(super) const WORTH_IT: u64 = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    /// The last entry that is part of it.
    pub sequence: u64,
    pub entry_sha256: String,
    pub snapshot: Snapshot,
}

impl Checkpoint {
    /// `None` for anything that is no checkpoint of this program.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let json = zstd::decode_all(bytes.as_ref()).ok()?;
        let checkpoint: Self = serde_json::from_slice(&json).ok()?;
        (checkpoint.snapshot.next_sequence() == checkpoint.sequence + 1).then_some(checkpoint)
    }

    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        zstd::encode_all(serde_json::to_vec(self)?.as_slice(), 3)
    }
}
