//! The module graph of `src/` has no cycles between files and no cycles between folders, and no stage imports another
//! stage.
//!
//! An edge leads from a file to each file whose items it uses. A re-exported name leads to the file that defines the
//! item, so a `mod.rs` may re-export its children. There are no exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::tidy::{program_lines, sources};

/// The stages of the pipeline. Stages exchange data only through relations.
const STAGES: [&str; 10] = [
    "intake",
    "metering",
    "rating",
    "invoicing",
    "ledger.rs",
    "closing",
    "documents",
    "audit.rs",
    "run_limits.rs",
    "maintenance.rs",
];

/// The largest number of loose files in `src/` in addition to `main.rs` and `lib.rs`.
const MOST_LOOSE_FILES: usize = 8;

type ModulePath = Vec<String>;

/// A path of a `use`, with its last name or alias.
struct Import {
    path: ModulePath,
    name: String,
    is_reexport: bool,
}

struct Module {
    file: String,
    code: String,
}

/// The files of a crate, by module path.
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
    /// The names that each module re-exports, with their absolute paths.
    reexports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
}

fn module_path(file: &str) -> ModulePath {
    if file == "lib.rs" {
        return Vec::new();
    }
    let mut parts: ModulePath = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The code of a file without tests, comments, strings and the paths of `pub(in …)`.
fn code_of(text: &str) -> String {
    let lines: Vec<String> = program_lines(text).into_iter().map(|(_, line)| line).collect();
    let mut code = String::new();
    for line in lines {
        let mut rest = line.replace("'\"'", "").replace("\\\"", "");
        while let Some(start) = rest.find("pub(in ") {
            let end = rest[start..].find(')').map_or(rest.len(), |end| start + end);
            rest.replace_range(start + "pub".len()..end, "(");
        }
        let pieces: Vec<&str> = rest.split('"').collect();
        code.extend(pieces.iter().step_by(2).copied());
        code.push('\n');
    }
    code
}

/// Adds every path of a use tree: `a::{b, c::{self, d as e}}`.
fn expand(prefix: &[String], tree: &str, is_reexport: bool, found: &mut Vec<Import>) {
    let tree = tree.trim();
    if let Some(inner) = tree.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (index, character) in inner.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    if !inner[start..index].trim().is_empty() {
                        expand(prefix, &inner[start..index], is_reexport, found);
                    }
                    start = index + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let (word, rest) = tree.split_at(end);
    if let Some(rest) = rest.strip_prefix("::") {
        expand(&[prefix, &[word.to_owned()]].concat(), rest, is_reexport, found);
        return;
    }
    let mut path = prefix.to_vec();
    if word != "self" {
        path.push(word.to_owned());
    }
    let alias = rest.trim().strip_prefix("as ").map(|alias| alias.trim().to_owned());
    let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    found.push(Import { path, name, is_reexport });
}

/// The imports of a text, and the text without its imports.
fn imports(code: &str) -> (Vec<Import>, String) {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut statement: Option<String> = None;
    for line in code.lines() {
        let start = line.trim_start();
        let words = start.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        match (&mut statement, words) {
            (Some(open), _) => open.push_str(start),
            (None, Some(_)) => statement = Some(start.to_owned()),
            (None, None) => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
        if let Some(whole) = statement.take_if(|open| open.contains(';')) {
            let (visibility, tree) = whole.split_once("use ").unwrap_or_default();
            expand(&[], tree.trim_end_matches(';'), !visibility.is_empty(), &mut found);
        }
    }
    (found, rest)
}

/// Every path such as `a::b::c` in a text.
fn inline_paths(code: &str) -> Vec<ModulePath> {
    let mut found = Vec::new();
    for piece in code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        let parts: ModulePath = piece.split("::").map(str::to_owned).collect();
        if parts.len() > 1 && !parts[0].is_empty() && !piece.contains(":::") {
            found.push(parts);
        }
    }
    found
}

impl Crate {
    fn new(files: Vec<(String, String)>) -> Self {
        let modules = files.into_iter().map(|(file, text)| {
            let code = code_of(&text);
            (module_path(&file), Module { file, code })
        });
        let mut all = Self { modules: modules.collect(), reexports: BTreeMap::new() };
        for (path, module) in &all.modules {
            let (imports, _) = imports(&module.code);
            let reexports = imports.into_iter().filter(|import| import.is_reexport);
            let absolute = reexports.filter_map(|import| Some((import.name, all.absolute(&import.path, path)?)));
            let absolute = absolute.collect();
            all.reexports.insert(path.clone(), absolute);
        }
        all
    }

    /// The path from the root of the crate; `None` for a path of another crate.
    fn absolute(&self, path: &[String], within: &[String]) -> Option<ModulePath> {
        let mut base = within.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
            }
            word => {
                base.push(word.to_owned());
                let is_child = self.modules.contains_key(&base);
                base.pop();
                if !is_child {
                    return None;
                }
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that defines the item at a path.
    fn definition(&self, path: &[String], depth: usize) -> Option<&ModulePath> {
        let (length, (module, _)) =
            (0..=path.len()).rev().find_map(|length| Some((length, self.modules.get_key_value(&path[..length])?)))?;
        let reexport = path.get(length).and_then(|name| self.reexports.get(module)?.get(name));
        match reexport {
            Some(target) if depth < 8 => {
                let target = [target, &path[length + 1..]].concat();
                self.definition(&target, depth + 1)
            }
            _ => Some(module),
        }
    }

    /// The files that each file imports.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let (imports, body) = imports(&module.code);
            let mut named: Vec<ModulePath> = Vec::new();
            let mut aliases: BTreeMap<&str, ModulePath> = BTreeMap::new();
            for import in imports.iter().filter(|import| !import.is_reexport) {
                let Some(absolute) = self.absolute(&import.path, path) else { continue };
                // An imported module is an edge only if the file uses an item of that module.
                if !self.modules.contains_key(&absolute) {
                    named.push(absolute.clone());
                }
                aliases.insert(&import.name, absolute);
            }
            for inline in inline_paths(&body) {
                match aliases.get(inline[0].as_str()) {
                    Some(module) => named.push([module, &inline[1..]].concat()),
                    None => named.extend(self.absolute(&inline, path)),
                }
            }
            let files = named.iter().filter_map(|name| Some(self.modules[self.definition(name, 0)?].file.as_str()));
            let own = module.file.as_str();
            edges.entry(own).or_default().extend(files.filter(|file| *file != own));
        }
        edges
    }
}

/// The names of the nodes on a cycle of a graph; `None` if the graph has no cycle.
fn circle<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    fn visit<'a>(
        node: &'a str,
        edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<&'a str>> {
        if let Some(start) = way.iter().position(|name| *name == node) {
            return Some(way[start..].to_vec());
        }
        if !done.contains(node) {
            way.push(node);
            for next in edges.get(node).into_iter().flatten().copied() {
                if let Some(found) = visit(next, edges, way, done) {
                    return Some(found);
                }
            }
            way.pop();
            done.insert(node);
        }
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|node| visit(node, edges, &mut Vec::new(), &mut done))
}

/// The folder of a file directly below `src/`, or the loose file itself.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

fn rooms<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut between: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, imported) in edges {
        let others = imported.iter().map(|file| room(file)).filter(|other| *other != room(file));
        between.entry(room(file)).or_default().extend(others);
    }
    between
}

fn is_test_file(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("test_sink.rs")
}

fn house() -> Crate {
    let files = sources("src").into_iter().filter(|(name, _)| !is_test_file(name) && name != "main.rs");
    Crate::new(files.collect())
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let house = house();
    assert_eq!(circle(&house.edges()), None, "move what both ends of the circle need into a file of its own");
}

#[test]
fn folders_do_not_import_each_other_in_a_circle() {
    let house = house();
    assert_eq!(circle(&rooms(&house.edges())), None, "move what both folders need down, or into a folder of its own");
}

#[test]
fn stages_do_not_import_each_other() {
    let house = house();
    let edges = house.edges();
    let rooms = rooms(&edges);
    for stage in STAGES {
        let imported = rooms.get(stage).unwrap_or_else(|| panic!("src/{stage} does not exist"));
        let other: Vec<_> = imported.iter().filter(|other| STAGES.contains(other)).collect();
        assert!(other.is_empty(), "src/{stage} imports {other:?}: write a relation and let the other stage read it");
    }
}

#[test]
fn few_files_are_beside_the_folders() {
    let house = house();
    let loose: BTreeSet<&str> = house.modules.values().map(|module| room(&module.file)).collect();
    let loose: Vec<_> = loose.into_iter().filter(|name| Path::new(name).extension().is_some()).collect();
    // The limit does not count `lib.rs`.
    assert!(loose.len() <= MOST_LOOSE_FILES + 1, "move some of {loose:?} into folders");
}

#[test]
fn a_circle_is_found_in_every_form() {
    let found = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let house = Crate::new(files);
        circle(&house.edges()).is_some()
    };
    let to_a = ("b.rs", "use crate::a::A;\nfn f() {}");
    assert!(found(&[("a.rs", "use crate::b::f;"), to_a]));
    assert!(found(&[("a.rs", "fn g() { crate::b::f(); }"), to_a]));
    assert!(found(&[("a.rs", "use crate::{b, c};\nfn g() { b::f(); }"), to_a, ("c.rs", "")]));
    assert!(found(&[("a.rs", "pub use crate::b::f;"), ("b.rs", "use crate::c::g;"), ("c.rs", "use crate::a::f;")]));
    assert!(found(&[("d/mod.rs", "mod e;\nfn f() { e::g(); }\nstruct D;"), ("d/e.rs", "use super::D;\nfn g() {}")]));
    assert!(!found(&[("a.rs", "// use crate::b::f;"), to_a]));
    assert!(!found(&[("a.rs", "#[cfg(test)]\nmod tests {\n    use crate::b::f;\n}"), to_a]));
    assert!(!found(&[
        ("d/mod.rs", "mod e;\nmod h;\npub use e::g;"),
        ("d/e.rs", "fn g() {}"),
        ("d/h.rs", "use super::g;")
    ]));
}
