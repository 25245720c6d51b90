//! The parts that the listings of directories and buckets share.

use std::path::PathBuf;

use globset::{GlobBuilder, GlobMatcher};

use crate::intake::unread::Unread;

/// A file that matches the path of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The path below the directory of the source. Empty if the path of the source has no wildcard.
    pub(super) below: String,
    pub(super) size: u64,
    /// In microseconds UTC.
    pub(super) modified_at: i64,
    pub(super) at: FoundAt,
}

/// The place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FoundAt {
    Local(PathBuf),
    /// The key of an object.
    Remote(String),
}

/// The result of listing a directory or bucket.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The files that match the path of the source.
    pub(super) found: Vec<Found>,
    /// The matching entries that cannot be read, each with its path below the directory.
    pub(super) unread: Vec<(String, Unread)>,
}

impl From<Found> for Listing {
    fn from(only: Found) -> Self {
        Self { found: vec![only], unread: Vec::new() }
    }
}

/// The wildcards of a source's path, below its directory.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    matcher: GlobMatcher,
    /// The first segments of the pattern, as the patterns of the directories at each depth.
    directories: Vec<GlobMatcher>,
    /// The largest number of segments of a matching path; `None` if unlimited.
    segments: Option<usize>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, globset::Error> {
        let matcher = glob(text)?;
        let parts: Vec<&str> = text.split('/').collect();
        let limited = parts.iter().take_while(|part| !part.contains("**")).count();
        // An alternative in braces can contain slashes, so its segments cannot be separated.
        let separable = if text.contains('{') { 0 } else { limited.min(parts.len() - 1) };
        let directories = (1..=separable).map(|count| glob(&parts[..count].join("/"))).collect::<Result<_, _>>()?;
        Ok(Self { matcher, directories, segments: (limited == parts.len()).then_some(parts.len()) })
    }

    pub(super) fn is_match(&self, below: &str) -> bool {
        self.matcher.is_match(plain(below))
    }

    /// Whether a path below a directory can match. `depth` is the number of segments in the path of the directory.
    pub(super) fn may_match_below(&self, directory: &str, depth: usize) -> bool {
        self.segments.is_none_or(|segments| depth < segments)
            && self.directories.get(depth - 1).is_none_or(|pattern| pattern.is_match(plain(directory)))
    }
}

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher())
}

/// A path without control characters. A wildcard matches no line break, but a name can contain one.
fn plain(path: &str) -> String {
    path.replace(char::is_control, "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_can_contain_a_match_are_listed() {
        let flat = Pattern::new("*.csv").unwrap();
        assert!(flat.is_match("a.csv") && flat.is_match("a\nb.csv") && !flat.is_match("d/a.csv"));
        assert!(!flat.may_match_below("d", 1));
        let dated = Pattern::new("2026-??/*/usage.csv").unwrap();
        assert!(dated.may_match_below("2026-10", 1) && dated.may_match_below("2026-10/a", 2));
        assert!(!dated.may_match_below("lost+found", 1) && !dated.may_match_below("2026-10/a/b", 3));
        let deep = Pattern::new("polls/**/*.csv").unwrap();
        assert!(deep.may_match_below("polls", 1) && deep.may_match_below("polls/a/b/c", 4));
        assert!(!deep.may_match_below("other", 1));
        assert!(Pattern::new("**/*.csv").unwrap().is_match("/2026/b.csv"), "an empty segment");
        let alternatives = Pattern::new("{a,b/c}/*.csv").unwrap();
        assert!(alternatives.is_match("b/c/x.csv") && alternatives.may_match_below("b/c", 2));
    }
}
