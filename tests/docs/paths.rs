//! The paths in the pages for contributors exist.

use std::path::Path;

const PAGES: [&str; 9] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "STYLE.md",
    "docs/internals/architecture.md",
    "docs/internals/benchmarks.md",
    "docs/internals/decisions.md",
    "docs/internals/testing.md",
    "docs/internals/trials.md",
];

const FOLDERS: [&str; 8] = ["src/", "sql/", "tests/", "benches/", "samples/", "rating-rules/", "docs/", ".ci/"];

/// The paths between backticks, without paths that contain a placeholder (`<…>`, `*`).
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains(['<', '*', ' ']))
}

#[test]
fn every_path_in_the_pages_for_contributors_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        missing.extend(paths(&text).filter(|path| !root.join(path).exists()).map(|path| format!("{page}: {path}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
