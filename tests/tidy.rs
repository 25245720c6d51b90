//! Code that belongs to one place, file names and line lengths. Each rule names the place to use instead.
//!
//! The rules are the tables below. Each rule contains a line that it refuses, as a proof that the rule can fail.

use std::path::{Path, PathBuf};

/// Words that are allowed in some files only. Comments and tests are not checked.
struct Ban {
    words: &'static [&'static str],
    /// The starts of the paths below `src/` in which the words are allowed.
    allowed: &'static [&'static str],
    /// The place to use instead, and the reason.
    instead: &'static str,
    /// An example of a refused line.
    refused: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["datafusion::"],
        allowed: &["functions/", "query/", "storage/"],
        instead: "src/query runs SQL; add a statement below sql/ and run it through `query::Session`",
        refused: "use datafusion::prelude::SessionContext;",
    },
    Ban {
        words: &["object_store::"],
        // Usage may be in any store, so intake lists and reads files there. Only storage accesses the lake itself.
        allowed: &["storage/", "intake/sources/bucket_listing.rs"],
        instead: "use src/storage for paths of the lake and src/intake/sources/bucket_listing.rs for files of sources",
        refused: "use object_store::ObjectStore;",
    },
    Ban {
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "io::stdout", "io::stderr"],
        allowed: &["cli/print.rs"],
        instead: "return the text; only src/cli/print.rs writes: data to stdout, messages to stderr",
        refused: "    eprintln!(\"{error}\");",
    },
    Ban {
        words: &["Timestamp::now", "Zoned::now", "SystemTime", "std::time::Instant", "Instant::now"],
        allowed: &["cli/"],
        instead: "src/cli reads the clock once and hands it on as `RunOptions::started_at`; same inputs, same bytes",
        refused: "    let now = jiff::Timestamp::now();",
    },
    Ban {
        words: &[".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!(", "unreachable!("],
        allowed: &[],
        instead: "give an error of the module's own; what cannot happen is `Error::Internal`",
        refused: "    let number = text.parse::<u64>().unwrap();",
    },
    Ban {
        words: &["f32", "f64", "Float32", "Float64"],
        allowed: &[
            // Pixels of a chart.
            "documents/render/chart.rs",
            // Names the float columns of a foreign file, whose shortest decimal text is read.
            "intake/formats/parquet.rs",
            "intake/formats/parquet_texts.rs",
            // Names the float types of MessagePack, whose shortest decimal text is written.
            "intake/formats/messagepack.rs",
        ],
        instead: "the numbers of src/model/money are exact; no float touches a quantity or an amount",
        refused: "    fn unit_price(text: &str) -> f64 {",
    },
    Ban {
        words: &["10i128", "10u128", "1_000_000_000", "1_000_000_000_000", "100_000_000"],
        allowed: &[
            "model/money/",
            // Sizes of units, such as the bits in a gigabit.
            "load/quantity.rs",
            // Bounds of other numbers: priorities, and measured values.
            "load/rules.rs",
            "load/keys/rules.rs",
        ],
        instead: "src/model/money converts between decimal places: `with_places`, `power_of_ten`, `Quantity::ONE`",
        refused: "    let step = 10i128.pow(scale - places);",
    },
    Ban { words: &["unsafe"], allowed: &[], instead: "safe code", refused: "    unsafe { pointer.read() }" },
];

/// File names that do not describe the contents of a file.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "core", "misc", "types"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All `.rs` files below a directory: their paths relative to the directory, and their texts.
pub(crate) fn sources(directory: &str) -> Vec<(String, String)> {
    files(directory, "rs")
}

/// All files below a directory with one extension: their paths relative to the directory, and their texts.
fn files(directory: &str, extension: &str) -> Vec<(String, String)> {
    let base = root().join(directory);
    let mut folders = vec![base.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    let name = |path: &Path| path.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn is_test_file(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("test_sink.rs")
}

/// The lines of a program, without comments and without the test module, which is at the end of a file.
pub(crate) fn program_lines(text: &str) -> Vec<(usize, String)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned();
    text[..end].lines().enumerate().map(|(index, line)| (index + 1, code(line))).collect()
}

/// Whether a line contains a word as a whole word.
fn holds(line: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let starts_in_word = word.starts_with(|first: char| first.is_alphanumeric());
    let ends_in_word = word.ends_with(|last: char| last.is_alphanumeric());
    line.match_indices(word).any(|(at, _)| {
        let before = starts_in_word && is_part(line[..at].chars().next_back());
        // A longer name of a type contains the type: Float64Array matches Float64.
        let after = ends_in_word && !word.starts_with("Float") && is_part(line[at + word.len()..].chars().next());
        !before && !after
    })
}

fn refused_by(ban: &Ban, name: &str, text: &str) -> Vec<String> {
    if ban.allowed.iter().any(|allowed| name.starts_with(allowed)) {
        return Vec::new();
    }
    let lines = program_lines(text);
    let found = lines.iter().filter_map(|(number, line)| {
        let word = ban.words.iter().find(|word| holds(line, word))?;
        Some(format!("src/{name}:{number}: `{word}` may not stand here: {}", ban.instead))
    });
    found.collect()
}

#[test]
fn banned_words_occur_only_in_allowed_files() {
    let mut refused = Vec::new();
    for (name, text) in sources("src").iter().filter(|(name, _)| !is_test_file(name)) {
        for ban in BANS {
            refused.extend(refused_by(ban, name, text));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_ban_can_fail_and_has_existing_places() {
    for ban in BANS {
        assert_eq!(refused_by(ban, "elsewhere.rs", ban.refused).len(), 1, "{}", ban.refused);
        assert!(refused_by(ban, "elsewhere.rs", &format!("// {}", ban.refused)).is_empty(), "{}", ban.refused);
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{}\n}}", ban.refused);
        assert!(refused_by(ban, "elsewhere.rs", &in_tests).is_empty(), "{}", ban.refused);
        for allowed in ban.allowed {
            let name = if allowed.ends_with('/') { format!("{allowed}mod.rs") } else { (*allowed).to_owned() };
            assert!(refused_by(ban, &name, ban.refused).is_empty(), "{name}");
            let exists = root().join("src").join(allowed).exists();
            assert!(exists, "src/{allowed} is allowed `{}` and does not exist", ban.words[0]);
        }
    }
    assert!(!holds("let number = text.unwrap_or(0);", ".unwrap()"));
    assert!(!holds("fn print_f64x(x: U) {}", "f64"));
    assert!(holds("Arc::new(Float64Array::from(x))", "Float64"));
}

#[test]
fn a_file_is_named_by_its_content() {
    let mut empty = Vec::new();
    for directory in ["src", "tests"] {
        for (name, _) in sources(directory) {
            let is_empty_name = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
            if name.split('/').any(is_empty_name) {
                empty.push(format!("{directory}/{name}: name it by the noun of its content"));
            }
        }
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}

#[test]
fn lines_fit_beside_each_other() {
    let mut long = Vec::new();
    for directory in ["src", "tests"] {
        for (name, text) in sources(directory) {
            for (index, line) in text.lines().enumerate() {
                // These files contain expected messages, each on one line.
                let is_message = directory == "src" && name.starts_with("load/tests/");
                let is_table = line.trim_start().trim_start_matches('/').trim_start_matches('!').starts_with(" |");
                if line.chars().count() > 120 && !is_message && !is_table {
                    long.push(format!("{directory}/{name}:{}: longer than 120 characters: break it", index + 1));
                }
            }
        }
    }
    for (name, text) in files("sql", "sql") {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| line.chars().count() > 120) {
            long.push(format!("sql/{name}:{}: {} characters, at most 120: break it", index + 1, line.chars().count()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
