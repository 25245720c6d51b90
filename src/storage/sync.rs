//! Syncs files of the lake to a local disk before the log references them. `object_store` renames files and never
//! syncs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Error;
use crate::storage::failpoints::step;

/// Syncs each file, then each directory up to the root once.
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
    // The parent directory contains the directory entry of a new lake.
    directories.extend(root.parent().map(Path::to_path_buf));
    directories.iter().rev().try_for_each(|directory| sync(directory))
}

/// Creates a file, or fails if it exists. The file gets its name after its content was synced: a log entry that is
/// incomplete after a power failure would make all commits unreadable.
pub(super) fn create(root: &Path, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let target = root.join(path);
    let failed = |source| Error::Disk { action: "commit", path: target.clone(), source };
    let directory = target.parent().unwrap_or(root);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let (staged, mut file) = stage(&target).map_err(failed)?;
    // In two halves, so that a test can kill the program between them.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let half = file.write_all(first);
    step();
    let written = half.and_then(|()| file.write_all(second));
    step();
    let synced = written.and_then(|()| file.sync_all());
    step();
    let created = synced.and_then(|()| std::fs::hard_link(&staged, &target));
    step();
    // No command reads the staged file, so a failure to remove it is harmless.
    let _ = std::fs::remove_file(&staged);
    step();
    created.map_err(failed)
}

/// Creates a new file next to the target. An existing file is never reused: after an aborted run, it may be a hard link
/// to a committed entry.
fn stage(target: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 1u32;
    loop {
        let staged = target.with_extension(format!("json#{}-{number}", std::process::id()));
        match File::create_new(&staged) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|file| (staged, file)),
        }
    }
}

fn sync(path: &Path) -> Result<(), Error> {
    step();
    let failed = |source| Error::Disk { action: "sync", path: path.to_owned(), source };
    File::open(path).and_then(|file| file.sync_all()).map_err(failed)
}
