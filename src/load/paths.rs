//! Paths of the configuration, relative to its directory.

use std::path::Path;

/// An absolute path or URL. A relative path is relative to the directory of the configuration.
pub(crate) fn resolve(path: &str, folder: &Path) -> String {
    if path.contains("://") || path.starts_with("file:") {
        return path.to_owned();
    }
    folder.join(path).to_string_lossy().into_owned()
}
