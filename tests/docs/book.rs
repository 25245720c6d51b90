//! The Markdown files of the repository, their parts, and the pages that are generated.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether this environment variable is set, so that expectations are written instead of compared.
pub(crate) fn is_writing(variable: &str) -> bool {
    let is_set = std::env::var_os(variable).is_some();
    assert!(
        !(is_set && std::env::var_os("CI").is_some()),
        "{variable} is set in CI; set it only where the new files are reviewed"
    );
    is_set
}

/// Compares a generated page with its file; writes the file if `CONTO_WRITE_DOCS` is set.
pub(crate) fn hold(path: &str, expected: &str) {
    let file = root().join(path);
    if is_writing("CONTO_WRITE_DOCS") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    let different = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let line = different.unwrap_or_else(|| found.lines().count().min(expected.lines().count()));
    assert!(
        found == expected,
        "{path}:{} is out of date; run `CONTO_WRITE_DOCS=1 cargo test docs` and review the difference\n\
         expected: {}\nfound:    {}",
        line + 1,
        expected.lines().nth(line).unwrap_or("(the end)"),
        found.lines().nth(line).unwrap_or("(the end)"),
    );
}

/// Paths, relative to the repository, of all Markdown files in it.
pub(crate) fn markdown_files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Hidden folders, compiled programs and lakes are not part of the repository.
            if name.starts_with('.') || ["target", "lake"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// The documentation for users: `README.md` and every page below `docs/`.
pub(crate) fn pages() -> Vec<String> {
    let pages: Vec<String> =
        markdown_files().into_iter().filter(|path| path == "README.md" || path.starts_with("docs/")).collect();
    assert!(pages.len() > 5, "the pages of docs/ are missing");
    pages
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A fenced block: its language, the number of its first line, and its text.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The lines outside of fenced blocks, each with its number, and the fenced blocks.
pub(crate) fn parts(text: &str) -> (Vec<(usize, &str)>, Vec<Block>) {
    let (mut lines, mut blocks) = (Vec::new(), Vec::new());
    let mut fence: Option<(String, Block)> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        match &mut fence {
            Some((mark, _)) if trimmed.trim_end() == mark.as_str() => {
                blocks.extend(fence.take().map(|(_, block)| block));
            }
            Some((_, block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None if trimmed.starts_with("```") => {
                let mark: String = trimmed.chars().take_while(|letter| *letter == '`').collect();
                let language = trimmed[mark.len()..].trim().to_owned();
                fence = Some((mark, Block { language, line: index + 2, text: String::new() }));
            }
            None => lines.push((index + 1, line)),
        }
    }
    assert!(fence.is_none(), "a fenced block has no end:\n{text}");
    (lines, blocks)
}

/// A row of a Markdown table with these cells.
pub(crate) fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The cells of a row of a Markdown table, with escaped bars unescaped. `None` if the line is not a row.
pub(crate) fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let inner = inner.replace("\\|", "\u{1}");
    Some(inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect())
}

/// The target of a relative path in a file of this repository.
pub(crate) fn beside(file: &str, target: &str) -> PathBuf {
    root().join(file).parent().unwrap().join(target)
}

#[test]
fn blocks_and_lines_are_told_apart() {
    let (lines, blocks) = parts("a\n```toml\nb = 1\n```\nc\n````\n```\n````\n");
    assert_eq!(lines, [(1, "a"), (5, "c")]);
    let found: Vec<(&str, usize, &str)> =
        blocks.iter().map(|block| (block.language.as_str(), block.line, block.text.as_str())).collect();
    assert_eq!(found, [("toml", 3, "b = 1\n"), ("", 7, "```\n")]);
    assert_eq!(cells(row(&["a|b", "c"]).trim()).unwrap(), ["a|b", "c"]);
}
