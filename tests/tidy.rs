//! Directions, names, and words that are not to be used, each with the place to go instead.
//!
//! The rules are the tables below; a rule that cannot fail is no rule, so every one shows a line that it refuses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Words that may stand in some places only. Comments and tests are not looked at.
struct Ban {
    words: &'static [&'static str],
    /// Beginnings of paths below `src/` where the words may stand.
    allowed: &'static [&'static str],
    /// Where to go, and why.
    instead: &'static str,
    /// A line that is refused.
    refused: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["datafusion::"],
        allowed: &["query/", "storage/"],
        instead: "src/query runs SQL; add a statement below sql/ and run it through `query::Session`",
        refused: "use datafusion::prelude::SessionContext;",
    },
    Ban {
        words: &["object_store::"],
        // Usage may lie in any store, so intake lists and reads there; the lake itself is storage's alone.
        allowed: &["storage/", "intake/discover.rs"],
        instead: "src/storage knows the lake's paths and src/intake/discover.rs the sources' files",
        refused: "use object_store::ObjectStore;",
    },
    Ban {
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "io::stdout", "io::stderr"],
        allowed: &["cli/print.rs"],
        instead: "return what is to be told; src/cli/print.rs alone writes: data to stdout, talk to stderr",
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
            "report/chart.rs",
            // Names the float columns of a foreign file, whose shortest decimal text is read.
            "intake/usage_parquet.rs",
        ],
        instead: "`money::Decimal` is exact; no float touches a quantity or an amount",
        refused: "    fn unit_price(text: &str) -> f64 {",
    },
    Ban { words: &["unsafe"], allowed: &[], instead: "safe code", refused: "    unsafe { pointer.read() }" },
];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "core", "misc", "types"];

/// Who may import whom: a module those of its own layer and of the layers above it in this table. Stages are of one
/// layer and still do not import each other.
const LAYERS: &[&[&str]] = &[
    &[
        "account",
        "config",
        "diagnostic",
        "look",
        "memory",
        "meter",
        "money",
        "period",
        "recurring",
        "reservation",
        "standing",
        "summary",
        "terms",
        "rating::rule",
    ],
    &["storage", "reading"],
    &["query"],
    &["rows", "report", "export"],
    &["run", "books"],
    STAGES,
    &["pipeline"],
    &["cli"],
];

const STAGES: &[&str] =
    &["intake", "metering", "rating", "invoicing", "ledger", "audit", "closing", "documents", "housekeeping"];

/// Imports against the direction: who, what, why. One that is not used any more has to go.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("*", "pipeline::Error", "the one error of a run stands beside the run"),
    ("*", "pipeline::count", "how errors count"),
    ("metering", "intake::Arrived", "which dates to meter again; in memory from stage to stage of one run"),
    ("metering", "intake::catalog", "metering describes samples, which can make series that no file holds yet"),
    ("metering", "intake::write_catalog", "the series that metering made are written with those of intake"),
    ("rating", "intake::catalog", "rating sees the series of this run before they are committed"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All `.rs` below a directory with their texts, names relative to it.
fn sources(directory: &str) -> Vec<(String, String)> {
    let base = root().join(directory);
    let mut folders = vec![base.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
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

/// The lines of a text that are the program's: no comments, and nothing from the test module on, which stands last.
fn program_lines(text: &str) -> Vec<(usize, String)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned();
    text[..end].lines().enumerate().map(|(index, line)| (index + 1, code(line))).collect()
}

/// Whether a word stands in a line by itself, not as a part of a longer one.
fn holds(line: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let starts_in_word = word.starts_with(|first: char| first.is_alphanumeric());
    let ends_in_word = word.ends_with(|last: char| last.is_alphanumeric());
    line.match_indices(word).any(|(at, _)| {
        let before = starts_in_word && is_part(line[..at].chars().next_back());
        // A type's longer names belong to it: Float64Array is Float64.
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
fn words_stand_only_where_they_belong() {
    let mut refused = Vec::new();
    for (name, text) in sources("src").iter().filter(|(name, _)| !is_test_file(name)) {
        for ban in BANS {
            refused.extend(refused_by(ban, name, text));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_ban_can_fail_and_knows_its_places() {
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

/// What a text imports of this crate, with the word below where a module's parts are told apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code: Vec<String> = program_lines(text).into_iter().map(|(_, line)| line).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` is a macro's, `pub(crate)` has no colons.
        let rest = &code[at + "crate::".len()..];
        expand("", rest, &mut found);
    }
    found
}

/// Reads `a::b`, `a::{b, c::{d}}` or `{a, b}` and adds every path of at most two words.
fn expand(prefix: &str, text: &str, found: &mut BTreeSet<String>) {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (index, character) in inner.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    if !inner[start..index].trim().is_empty() {
                        expand(prefix, &inner[start..index], found);
                    }
                    start = index + 1;
                    if character == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = if prefix.is_empty() { word.to_owned() } else { format!("{prefix}::{word}") };
    match rest.strip_prefix("::") {
        Some(rest) if prefix.is_empty() => expand(&path, rest, found),
        _ => {
            // `use crate::query::{self, …}` is the module.
            found.insert(path.trim_end_matches("::self").to_owned());
        }
    }
}

fn layer_of(path: &str) -> Option<usize> {
    let module = path.split("::").next().unwrap_or_default();
    let position = |wanted: &str| LAYERS.iter().position(|layer| layer.contains(&wanted));
    position(path).or_else(|| position(module))
}

/// The imports of one file that go against the direction; notes which exceptions it needs.
fn wrong_imports(name: &str, text: &str, used: &mut BTreeSet<usize>) -> Vec<String> {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let own = if name == "rating/rule.rs" { "rating::rule" } else { module };
    // The map of the house and the thin binary see everything.
    let Some(own_layer) = layer_of(own) else { return Vec::new() };
    let mut wrong = Vec::new();
    for path in imports(text) {
        let imported = path.split("::").next().unwrap_or_default();
        let Some(layer) = layer_of(&path) else { continue };
        let is_other_stage = STAGES.contains(&module) && STAGES.contains(&imported) && path != "rating::rule";
        if imported == module || (layer <= own_layer && !is_other_stage) {
            continue;
        }
        let exception = EXCEPTIONS.iter().position(|(who, what, _)| {
            (*who == "*" || *who == module) && (path == *what || path.starts_with(&format!("{what}::")))
        });
        match exception {
            Some(exception) => {
                used.insert(exception);
            }
            None if is_other_stage => wrong.push(format!(
                "src/{name}: imports `{path}`, but stages meet in relations: write one and let the other read it"
            )),
            None => wrong.push(format!(
                "src/{name}: imports `{path}`, against the direction main, cli, pipeline, stages, run, query and \
                 storage, vocabulary: move what both need down"
            )),
        }
    }
    wrong
}

#[test]
fn imports_go_one_way() {
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, text) in sources("src").iter().filter(|(name, _)| !is_test_file(name)) {
        wrong.extend(wrong_imports(name, text, &mut used));
    }
    for (index, (who, what, _)) in EXCEPTIONS.iter().enumerate() {
        if !used.contains(&index) {
            wrong.push(format!("the exception `{who}` imports `{what}` is not needed any more: remove it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_import_is_found_in_every_form() {
    let wrong = |name: &str, text: &str| wrong_imports(name, text, &mut BTreeSet::new()).len();
    assert_eq!(wrong("invoicing.rs", "use crate::metering::roll_up;"), 1);
    assert_eq!(wrong("rating/mod.rs", "use crate::{money::Cost, metering::{self, describe}, run::Run};"), 2);
    assert_eq!(wrong("money.rs", "fn f() -> crate::query::Session {"), 1);
    assert_eq!(wrong("storage/log.rs", "use crate::{\n    money::Cost,\n    cli,\n};"), 1);
    assert_eq!(wrong("metering/mod.rs", "use crate::pipeline::run;"), 1);
    assert_eq!(wrong("metering/mod.rs", "use crate::pipeline::{Error, count};\nuse crate::metering::describe;"), 0);
    assert_eq!(wrong("intake/binding.rs", "use crate::rating::rule::RuleBook;"), 0);
    assert_eq!(wrong("cli/run.rs", "use crate::pipeline;"), 0);
    assert_eq!(wrong("report/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::cli::main;\n}"), 0);
}

#[test]
fn names_say_what_is_in_a_file() {
    let mut empty = Vec::new();
    for directory in ["src", "tests"] {
        for (name, _) in sources(directory) {
            let says_nothing = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
            if name.split('/').any(says_nothing) {
                empty.push(format!("{directory}/{name}: name it by the noun of what it holds"));
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
                // Whole messages are expected there, each in one piece.
                let is_message = directory == "src" && name.starts_with("reading/tests/");
                let is_table = line.trim_start().trim_start_matches('/').trim_start_matches('!').starts_with(" |");
                if line.chars().count() > 120 && !is_message && !is_table {
                    long.push(format!("{directory}/{name}:{}: longer than 120 characters: break it", index + 1));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
