//! The file with the digests of all documents of a closed period. People sign the digest of this file.

use std::collections::BTreeMap;

use super::{DocumentFile, layout};

/// The name of the file in the directory of the documents. Its lines have the format of `sha256sum`.
pub const DIGEST_LIST: &str = "month-end/SHA256SUMS";

/// The page that shows the digest of the file.
pub const SIGNED_PAGE: &str = "month-end/pack.html";

/// The text of the file: a line for each document, except for the file itself and the page.
pub fn digest_list(documents: &[DocumentFile]) -> String {
    let named = documents.iter().map(|document| (layout::document_name(&document.path), document.sha256.as_str()));
    let sorted: BTreeMap<&str, &str> = named.filter(|(name, _)| *name != DIGEST_LIST && *name != SIGNED_PAGE).collect();
    sorted.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect()
}
