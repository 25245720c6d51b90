//! The schemas against the readers: both report the same problems, for every key and every file of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value as Json, json};
use toml::Value as Toml;

use super::*;
use crate::load::SchemaKind;
use crate::load::keys::{Key, Kind, TableKeys};

const EVERY_KEY: [(SchemaKind, &str); 3] = [
    (SchemaKind::Conto, include_str!("every_key/conto.toml")),
    (SchemaKind::Accounts, include_str!("every_key/accounts.toml")),
    (SchemaKind::Rules, include_str!("every_key/rules.toml")),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(text: &str) -> Toml {
    Toml::Table(text.parse().unwrap())
}

/// The errors that the reader of this kind of file reports.
fn problems(kind: SchemaKind, document: &Toml) -> Vec<Diagnostic> {
    let text = toml::to_string(document).unwrap();
    let [(_, conto), (_, accounts), _] = EVERY_KEY;
    let rates = "date;base;quote;rate\n";
    let configuration = |conto: &str, accounts: &str| {
        let files = [("accounts.csv", "id;name\n"), ("accounts.toml", accounts), ("exchange-rates.csv", rates)];
        let read_text =
            |path: &Path, _: &'static encoding_rs::Encoding| find(&files, path.strip_prefix("/etc/conto").unwrap());
        let branding = crate::model::branding::Branding::default();
        read_config_text("conto.toml", conto, Path::new("/etc/conto"), &read_text, Some(&branding)).1
    };
    let found = match kind {
        SchemaKind::Conto => configuration(&text, accounts),
        SchemaKind::Accounts => {
            let key = conto.lines().find(|line| line.starts_with("accounts = ")).unwrap();
            configuration(&conto.replace(key, "accounts = \"accounts.toml\""), &text)
        }
        SchemaKind::Rules => {
            let lists = [("regions.csv", "key;value\neu-1;eu\n"), ("flavors.csv", "flavor;unit_price\nm1;0,02\n")];
            read(&[("r.toml", &text), lists[0], lists[1]]).1
        }
    };
    found.into_sorted().into_iter().filter(|found| found.severity == Severity::Error).collect()
}

/// TOML in the form in which an editor validates it by a schema: dates are text.
fn json_of(value: &Toml) -> Json {
    match value {
        Toml::String(text) => json!(text),
        Toml::Integer(number) => json!(number),
        Toml::Float(number) => json!(number),
        Toml::Boolean(truth) => json!(truth),
        Toml::Datetime(moment) => json!(moment.to_string()),
        Toml::Array(elements) => elements.iter().map(json_of).collect(),
        Toml::Table(entries) => entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect(),
    }
}

/// Validates with the keywords of JSON Schema that the schemas use. Any other keyword fails.
fn violations(schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
    let Json::Object(schema) = schema else {
        if *schema == json!(false) {
            found.push(format!("{at}: not allowed"));
        }
        return;
    };
    let is_valid = |schema: &Json| {
        let mut found = Vec::new();
        violations(schema, value, at, &mut found);
        found.is_empty()
    };
    let mut check = |holds: bool, word: &str| {
        if !holds {
            found.push(format!("{at}: {word}"));
        }
    };
    for (word, rule) in schema {
        match (word.as_str(), value) {
            ("type", _) => {
                let kind = match value {
                    Json::String(_) => "string",
                    Json::Number(number) if number.is_i64() => "integer",
                    Json::Number(_) => "number",
                    Json::Bool(_) => "boolean",
                    Json::Array(_) => "array",
                    Json::Object(_) => "object",
                    Json::Null => "null",
                };
                check(rule == kind, &format!("{kind} is not {rule}"));
            }
            ("enum", _) => check(rule.as_array().unwrap().contains(value), &format!("{value} is none of {rule}")),
            ("minLength", Json::String(text)) => check(text.len() as u64 >= rule.as_u64().unwrap(), "empty"),
            ("pattern", Json::String(text)) => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                check(pattern.is_match(text), &format!("`{text}` does not match {rule}"));
            }
            ("minimum", Json::Number(number)) => check(number.as_i64() >= rule.as_i64(), "too small"),
            ("maximum", Json::Number(number)) => check(number.as_i64() <= rule.as_i64(), "too large"),
            ("required", Json::Object(entries)) => {
                let missing = rule.as_array().unwrap().iter().find(|key| !entries.contains_key(key.as_str().unwrap()));
                check(missing.is_none(), &format!("{missing:?} is missing"));
            }
            ("anyOf", _) => check(rule.as_array().unwrap().iter().any(is_valid), "none of the alternatives"),
            ("allOf" | "properties" | "additionalProperties" | "items" | "if", _) => {}
            ("minLength" | "pattern" | "minimum" | "maximum" | "required", _) => {}
            ("then" | "else" | "$schema" | "title" | "description" | "default", _) => {}
            _ => panic!("{word} is not known here"),
        }
    }
    for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
        violations(part, value, at, found);
    }
    if let Some(condition) = schema.get("if") {
        let branch = if is_valid(condition) { "then" } else { "else" };
        violations(schema.get(branch).unwrap_or(&Json::Null), value, at, found);
    }
    if let (Json::Array(elements), Some(items)) = (value, schema.get("items")) {
        for (index, element) in elements.iter().enumerate() {
            violations(items, element, &format!("{at}[{index}]"), found);
        }
    }
    if let Json::Object(entries) = value {
        for (key, entry) in entries {
            let declared = schema.get("properties").and_then(|properties| properties.get(key));
            if let Some(schema) = declared.or(schema.get("additionalProperties")) {
                violations(schema, entry, &format!("{at}.{key}"), found);
            }
        }
    }
}

fn schema(kind: SchemaKind) -> Json {
    serde_json::from_str(&kind.schema()).unwrap()
}

fn validate(schema: &Json, document: &Toml) -> Vec<String> {
    let mut found = Vec::new();
    violations(schema, &json_of(document), "", &mut found);
    found
}

/// A step from a value to one inside it.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Every table of a document with its declaration and the way to it.
fn tables<'a>(keys: &'static TableKeys, value: &'a Toml, way: &[Step], found: &mut Vec<Found<'a>>) {
    let Toml::Table(entries) = value else { return };
    for (name, entry) in entries {
        let declared = keys.keys.iter().find(|key| key.name == name).map(|key| &key.kind);
        if let Some(kind) = declared.or(keys.others.as_ref()) {
            tables_of_kind(kind, entry, &then(way, Step::Key(name.clone())), found);
        }
    }
    found.push(Found { keys, entries, way: way.to_vec() });
}

struct Found<'a> {
    keys: &'static TableKeys,
    entries: &'a toml::Table,
    way: Vec<Step>,
}

fn tables_of_kind<'a>(kind: &'static Kind, value: &'a Toml, way: &[Step], found: &mut Vec<Found<'a>>) {
    match kind {
        Kind::Table(keys) => tables(keys, value, way, found),
        Kind::OneOf(kinds) => kinds.iter().for_each(|kind| tables_of_kind(kind, value, way, found)),
        Kind::List(kind) => {
            for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                tables_of_kind(kind, element, &then(way, Step::Index(index)), found);
            }
        }
        _ => {}
    }
}

fn then(way: &[Step], step: Step) -> Vec<Step> {
    way.iter().cloned().chain([step]).collect()
}

fn table_at<'a>(document: &'a mut Toml, way: &[Step]) -> &'a mut toml::Table {
    let end = way.iter().fold(document, |value, step| match step {
        Step::Key(key) => value.get_mut(key).unwrap(),
        Step::Index(index) => value.get_mut(*index).unwrap(),
    });
    end.as_table_mut().unwrap()
}

/// The first place of every declared key in the document that contains all keys.
fn first_places(kind: SchemaKind, document: &Toml) -> Vec<(&'static TableKeys, &'static Key, Vec<Step>)> {
    let mut found = Vec::new();
    tables(kind.keys(), document, &[], &mut found);
    let mut places = Vec::new();
    let mut seen = BTreeSet::new();
    let mut absent = BTreeSet::new();
    for Found { keys, entries, way } in &found {
        for key in keys.keys {
            if entries.contains_key(key.name) && seen.insert((keys.what, key.name)) {
                places.push((*keys, key, way.clone()));
            }
            absent.insert((keys.what, key.name));
        }
    }
    absent.retain(|key| !seen.contains(key));
    assert!(absent.is_empty(), "keys that are not in tests/every_key: {absent:?}");
    places
}

#[test]
fn the_copies_are_the_schemas() {
    for (name, kind) in SchemaKind::ALL {
        let path = root().join(format!("schemas/{name}.schema.json"));
        if std::env::var_os("CONTO_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, kind.schema()).unwrap();
        }
        let copy = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(copy == kind.schema(), "{} is out of date: CONTO_WRITE_DOCS=1 cargo test schema", path.display());
    }
}

/// All TOML files below a directory.
fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn kind_of(path: &Path) -> SchemaKind {
    match path.file_name().unwrap().to_str().unwrap() {
        name if name.starts_with("conto") => SchemaKind::Conto,
        "accounts.toml" => SchemaKind::Accounts,
        _ => SchemaKind::Rules,
    }
}

#[test]
fn every_file_of_the_repository_is_valid() {
    let schemas = SchemaKind::ALL.map(|(_, kind)| (kind, schema(kind)));
    let mut count = 0;
    let mut wrong = String::new();
    for directory in ["samples", "rating-rules", "benches/nightly", "tests/pricing-cases", "src/cli"] {
        for path in toml_files(&root().join(directory)) {
            let (_, schema) = schemas.iter().find(|(kind, _)| *kind == kind_of(&path)).unwrap();
            for violation in validate(schema, &document(&std::fs::read_to_string(&path).unwrap())) {
                writeln!(wrong, "{}: {violation}", path.display()).unwrap();
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 40, "{count} files");
}

/// Problems beyond JSON Schema: types inside of SQL expressions, and a date in quotes, which is text like a date.
const BEYOND_SCHEMAS: [&str; 4] =
    ["rules_multiplier_of_text", "rules_not_a_condition", "rules_quoted_date", "rules_text_with_number"];

#[test]
fn files_with_unknown_keys_and_wrong_types_are_invalid() {
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("tests/errors")).unwrap() {
        let case = entry.unwrap().path();
        let Ok(messages) = std::fs::read_to_string(case.join("stderr")) else { continue };
        let is_of_interest = ["::unknown_key", "::wrong_type"].iter().any(|code| messages.contains(code));
        let name = case.file_name().unwrap().to_str().unwrap();
        if !is_of_interest || BEYOND_SCHEMAS.contains(&name) {
            continue;
        }
        let is_invalid = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            text.parse().is_ok_and(|table| !validate(&schema(kind_of(path)), &Toml::Table(table)).is_empty())
        };
        assert!(toml_files(&case).iter().any(is_invalid), "the schema accepts tests/errors/{name}");
        count += 1;
    }
    assert!(count > 8, "{count} cases");
}

#[test]
fn readers_and_schemas_accept_every_key() {
    for (kind, text) in EVERY_KEY {
        let document = document(text);
        let found: Vec<_> = problems(kind, &document).into_iter().map(|found| (found.message, found.hint)).collect();
        assert!(found.is_empty(), "{kind:?}: {found:#?}");
        assert_eq!(validate(&schema(kind), &document), [""; 0], "{kind:?}");
        assert!(!first_places(kind, &document).is_empty());
    }
}

/// The error about an unknown key lists the keys of its reader. They are exactly the declared keys.
#[test]
fn readers_take_the_declared_keys() {
    for (kind, text) in EVERY_KEY {
        let original = document(text);
        let mut found = Vec::new();
        tables(kind.keys(), &original, &[], &mut found);
        let mut declared: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let mut changed = original.clone();
        for Found { keys, entries, way } in found.iter().filter(|found| found.keys.others.is_none()) {
            let decided = keys.decided_by.map_or("", |key| entries[key].as_str().unwrap());
            let unknown = format!("unknown_{decided}");
            let valid = |key: &&Key| key.only_with.is_empty() || key.only_with.contains(&decided);
            let names = keys.keys.iter().filter(valid).map(|key| key.name).collect();
            declared.insert(format!("unknown key `{unknown}` in {}", keys.what), names);
            table_at(&mut changed, way).insert(unknown, Toml::Integer(1));
        }
        let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for problem in problems(kind, &changed) {
            let hint = problem.hint.unwrap_or_default();
            let (_, known) = hint.split_once("keys: ").unwrap();
            let known = known.trim_end_matches(')').split(", ").map(str::to_owned);
            taken.entry(problem.message).or_default().extend(known);
        }
        let declared: BTreeMap<String, BTreeSet<String>> = declared
            .into_iter()
            .map(|(table, names)| (table, names.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(taken, declared, "{kind:?}");
    }
}

#[test]
fn readers_and_schemas_refuse_the_same_types() {
    for (kind, text) in EVERY_KEY {
        let (original, schema) = (document(text), schema(kind));
        for (keys, key, way) in first_places(kind, &original) {
            for value in [Toml::Integer(1), Toml::Boolean(true), Toml::Float(1.5)] {
                let mut changed = original.clone();
                table_at(&mut changed, &way).insert(key.name.to_owned(), value.clone());
                let is_valid = validate(&schema, &changed).is_empty();
                let found = problems(kind, &changed);
                let what = format!("`{}` = {value} in {}", key.name, keys.what);
                assert_eq!(is_valid, found.is_empty(), "{what}: {found:#?}");
            }
        }
    }
}

#[test]
fn readers_and_schemas_require_the_same_keys() {
    for (kind, text) in EVERY_KEY {
        let (original, schema) = (document(text), schema(kind));
        for (keys, key, way) in first_places(kind, &original) {
            let mut changed = original.clone();
            table_at(&mut changed, &way).remove(key.name);
            let what = format!("`{}` in {}", key.name, keys.what);
            assert_eq!(validate(&schema, &changed).is_empty(), !key.is_required, "{what}");
            if key.is_required {
                let message = format!("`{}` is missing in {}", key.name, keys.what);
                let found = problems(kind, &changed);
                assert!(found.iter().any(|found| found.message == message), "{message}: {found:#?}");
            }
        }
    }
}

#[test]
fn readers_and_schemas_accept_the_same_words() {
    let mut count = 0;
    for (kind, text) in EVERY_KEY {
        let original = document(text);
        for (keys, key, way) in first_places(kind, &original) {
            let Kind::Choice(words) = &key.kind else { continue };
            let mut changed = original.clone();
            table_at(&mut changed, &way).insert(key.name.to_owned(), Toml::String("unknown".to_owned()));
            let hint = format!("values: {}", words.join(", "));
            let hints: Vec<_> = problems(kind, &changed).into_iter().filter_map(|found| found.hint).collect();
            let is_alike = hints.iter().any(|found| found.trim_end_matches(')').ends_with(&hint));
            assert!(is_alike, "`{}` in {}: {words:?} and {hints:#?}", key.name, keys.what);
            count += 1;
        }
    }
    assert!(count > 20, "{count} keys");
}

#[test]
fn every_key_is_described_in_short_sentences() {
    for (kind, text) in EVERY_KEY {
        for (keys, key, _) in first_places(kind, &document(text)) {
            let words = key.about.split_whitespace().count();
            let is_sentence = key.about.ends_with('.') && key.about.starts_with(char::is_uppercase);
            assert!(is_sentence && words <= 25, "`{}` in {}: {}", key.name, keys.what, key.about);
        }
    }
}
