//! Every path of the lake.
//!
//! ```text
//! log/00000000000000000042.json                       one commit
//! log/checkpoint.json.zst                             the snapshot after some entry
//! data/<relation>/<partition>/<shard>-<digest>.parquet
//! data/<relation>/manifest/00000000000000000042.json  the files after commit 42
//! documents/<billing period>/<attempt>/…              pages and CSV; `latest` contains the attempt
//! ```

use sha2::{Digest, Sha256};

/// The directory of the log.
pub const LOG: &str = "log";

/// The directories of all files that log entries reference.
pub const DATA: &str = "data";
pub const DOCUMENTS: &str = "documents";

pub const CHECKPOINT: &str = "log/checkpoint.json.zst";

pub fn log_entry(sequence: u64) -> String {
    format!("{LOG}/{sequence:020}.json")
}

/// The number of a log entry, from its file name; `None` for other files.
pub fn log_sequence(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".json")?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

pub fn data_file(relation: &str, partition: &str, shard: u32, sha256: &str) -> String {
    // Sixteen hexadecimal digits are enough to distinguish the files of a partition. The log has the complete digest.
    format!("data/{relation}/{partition}/{shard:03}-{}.parquet", &sha256[..16])
}

/// The directory of the manifests of a relation.
pub fn manifests(relation: &str) -> String {
    format!("{DATA}/{relation}/manifest")
}

/// The manifest of a relation after a commit that changed it.
pub fn manifest(relation: &str, commit: u64) -> String {
    format!("{}/{commit:020}.json", manifests(relation))
}

/// Whether a path is a manifest, which log entries do not reference.
pub fn is_manifest(path: &str) -> bool {
    relation_of(path).is_some_and(|relation| path.starts_with(&format!("{}/", manifests(relation))))
}

/// The relation of a file below `data/`.
pub fn relation_of(path: &str) -> Option<&str> {
    path.strip_prefix(DATA)?.strip_prefix('/')?.split('/').next()
}

pub fn documents(period: &str, attempt: &str) -> String {
    format!("documents/{period}/{attempt}")
}

/// The name of a document in the directory of its attempt.
pub fn document_name(path: &str) -> &str {
    path.splitn(4, '/').nth(3).unwrap_or_default()
}

/// The file that contains the committed attempt of a period.
pub fn latest_documents(period: &str) -> String {
    format!("documents/{period}/latest")
}

/// The file name of unassigned usage. [`file_name`] never returns this name.
pub const UNATTRIBUTED: &str = "unattributed";

/// The directory of the month-end pack. [`file_name`] never returns this name.
pub const MONTH_END: &str = "month-end";

/// A file name for an id: safe in a path, and different for different ids.
pub fn file_name(id: &str) -> String {
    let safe = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let is_reserved = matches!(id, UNATTRIBUTED | MONTH_END);
    if !id.is_empty() && !is_reserved && id.len() <= 80 && id.chars().all(safe) {
        return id.to_owned();
    }
    let readable: String = id.chars().filter(|character| safe(*character)).take(40).collect();
    let readable = if readable.is_empty() { "id" } else { &readable };
    // A safe id never contains a point, so the name differs from all safe ids. Stores do not escape points.
    format!("{readable}.{}", hex::encode(&Sha256::digest(id.as_bytes())[..6]))
}

/// Whether a path is a `latest` pointer, which log entries do not reference.
pub fn is_pointer(path: &str) -> bool {
    path.starts_with(DOCUMENTS) && path.ends_with("/latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_entries_sort_by_name_as_by_number() {
        assert_eq!(log_entry(42), "log/00000000000000000042.json");
        assert_eq!(log_sequence("00000000000000000042.json"), Some(42));
        assert_eq!(log_sequence("42.json"), None);
        assert_eq!(log_sequence("00000000000000000042.json#1"), None);
    }
}
