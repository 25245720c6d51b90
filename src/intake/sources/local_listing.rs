//! The listing of a directory on this machine. An entry that cannot be read does not stop the listing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::intake::sources::listing::{Found, FoundAt, Listing, Pattern};
use crate::intake::unread::Unread;
use crate::model::unread_input::UnreadReason;

/// The files below a directory that match a pattern. An error is returned only if the directory itself cannot be read.
/// A missing directory has no files.
pub(super) fn list(directory: &Path, pattern: &Pattern) -> Result<Listing, Unread> {
    let root = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut walk = Walk { pattern, listing: Listing::default() };
    match fs::read_dir(root) {
        Ok(entries) => walk.directory(root, "", 1, entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(walk.listing)
}

struct Walk<'p> {
    pattern: &'p Pattern,
    listing: Listing,
}

impl Walk<'_> {
    /// Adds the entries of a directory. `below` is the path of the directory below the root, with a slash at its end.
    /// `depth` is the number of segments in the paths of its entries.
    fn directory(&mut self, directory: &Path, below: &str, depth: usize, entries: fs::ReadDir) {
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.listing.unread.push((below.to_owned(), error.into()));
                    return;
                }
            };
            let path = entry.path();
            let name = entry.file_name();
            let shown = format!("{below}{}", name.to_string_lossy());
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) => {
                    if self.pattern.is_match(&shown) {
                        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
                        let unread = Unread::from(error);
                        let detail = if is_link { format!("the link fails: {}", unread.detail) } else { unread.detail };
                        self.listing.unread.push((shown, Unread::new(unread.reason, detail)));
                    }
                    continue;
                }
            };
            let is_wanted = if metadata.is_dir() {
                self.pattern.may_match_below(&shown, depth)
            } else {
                self.pattern.is_match(&shown)
            };
            if !is_wanted {
                continue;
            }
            if name.to_str().is_none() {
                let detail = "the name is not UTF-8; rename it";
                self.listing.unread.push((shown, Unread::new(UnreadReason::UnusableName, detail)));
            } else if metadata.is_dir() {
                self.subdirectory(directory, &path, &shown, depth);
            } else if !metadata.is_file() {
                let detail = "found a device, a socket or a pipe, expected a file";
                self.listing.unread.push((shown, Unread::new(UnreadReason::Failed, detail)));
            } else {
                match modified_at(&metadata) {
                    Ok(modified_at) => self.listing.found.push(Found {
                        below: shown,
                        size: metadata.len(),
                        modified_at,
                        at: FoundAt::Local(path),
                    }),
                    Err(error) => self.listing.unread.push((shown, error.into())),
                }
            }
        }
    }

    fn subdirectory(&mut self, parent: &Path, path: &Path, shown: &str, depth: usize) {
        let failure = match leads_upwards(parent, path) {
            Ok(false) => match fs::read_dir(path) {
                Ok(entries) => return self.directory(path, &format!("{shown}/"), depth + 1, entries),
                Err(error) => error.into(),
            },
            Ok(true) => Unread::new(UnreadReason::UnusableName, "the link leads to a directory that contains it"),
            Err(error) => error.into(),
        };
        self.listing.unread.push((shown.to_owned(), failure));
    }
}

/// Whether a directory is a link to one of the directories that contain it.
fn leads_upwards(parent: &Path, path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_symlink() && parent.canonicalize()?.starts_with(path.canonicalize()?))
}

/// The file at a path.
pub(super) fn file(path: PathBuf) -> io::Result<Found> {
    let metadata = fs::metadata(&path)?;
    let modified_at = modified_at(&metadata)?;
    Ok(Found { below: String::new(), size: metadata.len(), modified_at, at: FoundAt::Local(path) })
}

/// The modification time in microseconds UTC.
fn modified_at(metadata: &fs::Metadata) -> io::Result<i64> {
    let time = jiff::Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(time.as_microsecond())
}
