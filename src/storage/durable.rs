//! Makes sure that a local disk holds what the log names. `object_store` renames files into place and never syncs.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::Error;

/// Syncs each file, then each directory on the way up to the root, once.
pub(super) fn sync_files<'a>(root: &Path, paths: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let mut directories: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        let file = root.join(path);
        sync(&file)?;
        for directory in file.ancestors().skip(1) {
            directories.insert(directory.to_path_buf());
            if directory == root {
                break;
            }
        }
    }
    // The directory that holds the lake itself has the entry of a lake that was just made.
    directories.extend(root.parent().map(Path::to_path_buf));
    directories.iter().rev().try_for_each(|directory| sync(directory))
}

fn sync(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Disk { action: "sync", path: path.to_owned(), source };
    File::open(path).and_then(|file| file.sync_all()).map_err(failed)
}
