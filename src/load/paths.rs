//! Paths of the configuration, relative to its directory.

use std::path::Path;

/// A URL is itself; a path is taken from the configuration's own directory.
pub(crate) fn resolve(path: &str, folder: &Path) -> String {
    if path.contains("://") || path.starts_with("file:") {
        return path.to_owned();
    }
    folder.join(path).to_string_lossy().into_owned()
}
