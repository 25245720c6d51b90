//! Every relative link of every Markdown file of the repository leads to a file, and every `#anchor` to a heading.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{beside, markdown_files, parts, read, root};

/// The starts of links to targets outside of the repository.
const ABROAD: [&str; 3] = ["http://", "https://", "mailto:"];

/// A line without its inline code, because inline code contains no links.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, text)| text).collect()
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target` in a line.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let inline = line.match_indices("](").filter_map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        Some(rest[..rest.find(')')?].split(' ').next().unwrap_or_default().to_owned())
    });
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let definition = definition.filter(|(name, _)| !name.contains(']')).map(|(_, target)| target.trim().to_owned());
    inline.chain(definition).filter(|target| !target.is_empty()).collect()
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim();
    // The text of a link is shown, its target is not.
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        shown.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    let letters = shown.to_lowercase().chars().collect::<Vec<_>>().into_iter();
    letters
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in parts(text).0 {
        if line.starts_with('#') {
            let name = anchor(line);
            let count = seen.entry(name.clone()).or_default();
            found.insert(if *count == 0 { name } else { format!("{name}-{count}") });
            *count += 1;
        }
        for (at, mark) in line.match_indices("<a id=\"") {
            found.extend(line[at + mark.len()..].split('"').next().map(str::to_owned));
        }
    }
    found
}

/// The broken links of one file, each with its problem.
fn broken(file: &str, text: &str, anchors_of: &mut dyn FnMut(&str) -> Option<BTreeSet<String>>) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in parts(text).0 {
        for target in targets(line).into_iter().filter(|target| !ABROAD.iter().any(|start| target.starts_with(start))) {
            let (path, anchor) =
                target.split_once('#').map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let place = if path.is_empty() { root().join(file) } else { beside(file, path) };
            let problem = match (place.exists(), anchor) {
                (false, _) => Some("there is no such file".to_owned()),
                (true, Some(anchor)) => {
                    let own = place.to_string_lossy().into_owned();
                    let known = if path.is_empty() { Some(anchors(text)) } else { anchors_of(&own) };
                    let known = known.unwrap_or_default();
                    (!known.contains(anchor)).then(|| {
                        let near = conto::model::diagnostic::closest(anchor, known.iter().map(String::as_str));
                        let near = near.map(|near| format!("; did you mean `#{near}`?")).unwrap_or_default();
                        format!("the file has no heading `#{anchor}`{near}")
                    })
                }
                (true, None) => None,
            };
            broken.extend(problem.map(|problem| format!("{file}:{number}: `{target}`: {problem}")));
        }
    }
    broken
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = Vec::new();
    let mut known: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    let mut anchors_of = |path: &str| {
        let of_file = |path: &str| std::fs::read_to_string(path).ok().map(|text| anchors(&text));
        known.entry(path.to_owned()).or_insert_with(|| of_file(path)).clone()
    };
    for file in markdown_files() {
        found.extend(broken(&file, &read(&file), &mut anchors_of));
    }
    assert!(found.is_empty(), "{} links lead nowhere\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    const CONTENTS: &str = "docs/SUMMARY.md";
    if !root().join(CONTENTS).exists() {
        return;
    }
    let contents = read(CONTENTS);
    let listed: BTreeSet<String> = contents.lines().flat_map(targets).collect();
    let pages = markdown_files().into_iter().filter_map(|path| path.strip_prefix("docs/").map(str::to_owned));
    let missing: Vec<String> = pages.filter(|page| page != "SUMMARY.md" && !listed.contains(page.as_str())).collect();
    assert!(missing.is_empty(), "{CONTENTS} lacks {}", missing.join(", "));
}

#[test]
fn broken_links_are_found() {
    let text = "# Two words: `x_y`\n[a](#two-words-x_y) [b](#other) [c](Cargo.toml) `[d](missing)`\n\
                ```\n[e](missing)\n```\n![f](missing.svg) [g](src/lib.rs#nothing)\n## [h](src/lib.rs)\n[i](#h)\n";
    let found = broken("README.md", text, &mut |_| None);
    let places: Vec<&str> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["README.md:2", "README.md:6", "README.md:6"], "{found:#?}");
    assert_eq!(anchors("# A\n# A\n").into_iter().collect::<Vec<_>>(), ["a", "a-1"]);
}
