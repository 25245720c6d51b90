//! The language of the documentation: sentences of at most 25 words, and phrases that have a plainer replacement.
//!
//! The tests cover the Markdown files of the repository, the comments below `src/` and the headers below `sql/`. Help
//! texts and messages are in generated pages. `CONTO_PROSE=src/rating cargo test prose` lists the findings of all files
//! below a path, in the comments of tests too. [`of_text`] checks any other text, such as a message.

use std::collections::BTreeMap;

use crate::docs::book;

/// The most words that a sentence may have.
const MOST_WORDS: usize = 25;

/// Forbidden phrases with their replacements. A phrase matches whole words in any case.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("of before", "written by an earlier version"),
    ("of then", "of that time"),
    ("of own", "own"),
    ("nobody", "no account, no one"),
    ("nobody's", "unassigned"),
    ("somebody", "a person, another program"),
    ("whoever", "the account that, the user who"),
    ("told", "reported, shown"),
    ("tells", "reports, shows"),
    ("tell", "report, show, distinguish"),
    ("comes to", "equals"),
    ("come to", "equal"),
    ("came to", "was"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("at hand", "current, available"),
    ("in hand", "current"),
    ("set aside", "suspended"),
    ("stands for", "replaces, means"),
    ("stand for", "replace, mean"),
    ("stands in", "is in"),
    ("stand in", "are in"),
    ("stands on", "is on"),
    ("stand on", "are on"),
    ("stands beside", "is next to, is shown with"),
    ("stand beside", "are next to, are shown with"),
    ("stands there", "is there"),
    ("is asked", "is queried, is requested"),
    ("are asked", "are queried, are requested"),
    ("holds what", "contains the … that"),
    ("hold what", "contain the … that"),
    ("word of", "event of, statement about"),
    ("another word", "the next event"),
    ("no word", "no event"),
    ("in words", "as text"),
    ("as it lies", "as stored"),
    ("lies in the lake", "is stored in the lake"),
    ("put together", "merged"),
    ("puts together", "merges"),
    ("for good", "permanently"),
    ("counts for nothing", "is unreferenced"),
    ("is of use", "is useful"),
    ("as good as", "almost"),
    ("goes on from", "continues with"),
    ("whatever is", "any … that is"),
    ("to be had", "available"),
    ("made of it", "derived from it"),
    ("worked out again", "recomputed"),
    ("works out again", "recomputes"),
    ("drawn anew", "rendered again"),
    ("taken for", "regarded as"),
    ("falls to", "is priced by"),
    ("there is none", "it is absent"),
    ("says", "states, shows, contains"),
    ("said", "stated"),
    ("asks", "requests, needs"),
    ("knows", "contains, recognizes"),
    ("believed", "regarded as valid"),
    ("lies", "is stored"),
    ("speaks", "uses"),
    ("at the least", "at least"),
    ("at the most", "at most"),
    ("rehearsal", "dry run"),
];

/// Files that may have findings, with the largest allowed number of findings.
const NOT_YET: &[(&str, usize)] = &[
    // This file quotes phrases that are not allowed.
    ("STYLE.md", usize::MAX),
];

/// A sentence or phrase that needs a rewrite, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// A unit of text: a paragraph, a heading, an item of a list, or a cell of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Passage {
    line: usize,
    text: String,
}

/// A text without Markdown marks: code is replaced by one word, a link by its text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, part) in text.split('`').enumerate() {
        plain.push_str(if index % 2 == 0 { part } else { "code" });
    }
    let mut shown = String::new();
    let mut rest = plain.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        shown.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown.chars().filter(|letter| !['*', '[', ']', '!'].contains(letter)).collect()
}

/// The text after the mark of a list item, if a line of Markdown begins such an item.
fn item(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    let rest = trimmed.strip_prefix("- ").or_else(|| trimmed.strip_prefix("* "));
    rest.or_else(|| {
        let (number, rest) = trimmed.split_once(". ")?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
    })
}

/// The passages of a Markdown page, without code, comments and the lines below the heads of tables.
fn passages(text: &str) -> Vec<Passage> {
    let mut found: Vec<Passage> = Vec::new();
    let mut open: Option<Passage> = None;
    let mut is_comment = false;
    for (number, line) in book::parts(text).0 {
        let trimmed = line.trim_start_matches(['>', ' ']);
        is_comment |= trimmed.starts_with("<!--");
        // Four blanks begin a block of code, except in an item of a list.
        let is_code = line.starts_with("    ") && open.is_none() && item(line).is_none();
        let ends = trimmed.is_empty() || trimmed.starts_with(['#', '|', '<']) || item(trimmed).is_some();
        if ends || is_comment || is_code {
            found.extend(open.take());
        }
        if is_comment {
            is_comment = !line.contains("-->");
        } else if let Some(cells) = book::cells(line) {
            let is_rule = |cell: &String| cell.chars().all(|letter| ['-', ':', ' '].contains(&letter));
            let cells = cells.into_iter().filter(|cell| !is_rule(cell));
            found.extend(cells.map(|text| Passage { line: number, text }));
        } else if trimmed.starts_with('#') {
            found.push(Passage { line: number, text: trimmed.trim_start_matches('#').trim().to_owned() });
        } else if !trimmed.is_empty() && !is_code && !trimmed.starts_with('<') {
            let text = item(trimmed).unwrap_or(trimmed);
            let passage = open.get_or_insert(Passage { line: number, text: String::new() });
            passage.text.push_str(text);
            passage.text.push('\n');
        }
    }
    found.extend(open);
    found
}

/// The sentences of a passage, each with the number of lines before the sentence.
fn sentences(text: &str) -> Vec<(usize, String)> {
    const SHORT: [&str; 7] = ["e.g.", "i.e.", "etc.", "vs.", "no.", "incl.", "approx."];
    let (mut found, mut sentence, mut start, mut line) = (Vec::new(), Vec::new(), 0, 0);
    for text in text.lines() {
        for word in text.split_whitespace() {
            if sentence.is_empty() {
                start = line;
            }
            sentence.push(word);
            let bare = word.trim_end_matches([')', '"', '\'', '”', '’']);
            if bare.ends_with(['.', '?', '!']) && !SHORT.contains(&bare.trim_start_matches('(')) {
                found.push((start, sentence.join(" ")));
                sentence.clear();
            }
        }
        line += 1;
    }
    if !sentence.is_empty() {
        found.push((start, sentence.join(" ")));
    }
    found
}

fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// Whether a text contains a phrase as whole words.
fn contains(text: &str, phrase: &str) -> bool {
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric());
    text.match_indices(phrase).any(|(at, _)| {
        let after = text[at + phrase.len()..].chars().collect::<Vec<_>>();
        // `nobody's` is a phrase of its own.
        let is_genitive = after.first() == Some(&'\'') && is_word(after.get(1).copied());
        !is_word(text[..at].chars().next_back()) && !is_word(after.first().copied()) && !is_genitive
    })
}

fn of_passage(passage: &Passage) -> Vec<Finding> {
    let mut found = Vec::new();
    for (offset, sentence) in sentences(&plain(&passage.text)) {
        let line = passage.line + offset;
        let count = words(&sentence);
        if count > MOST_WORDS {
            found.push(Finding { line, problem: format!("{count} words, at most {MOST_WORDS}: {sentence}") });
        }
        let lower = sentence.to_lowercase();
        for (phrase, instead) in PHRASES.iter().filter(|(phrase, _)| contains(&lower, phrase)) {
            found.push(Finding { line, problem: format!("`{phrase}`: write {instead}: {sentence}") });
        }
    }
    found
}

/// The findings in a Markdown page.
pub(crate) fn of_markdown(text: &str) -> Vec<Finding> {
    passages(text).iter().flat_map(of_passage).collect()
}

/// The findings in a plain text.
pub(crate) fn of_text(text: &str) -> Vec<Finding> {
    of_passage(&Passage { line: 1, text: text.to_owned() })
}

/// The findings in comments. Comments are read as Markdown, with an empty line for each line of code.
pub(crate) fn of_comments(text: &str, marks: &[&str]) -> Vec<Finding> {
    let comment = |line: &str| {
        let mark = marks.iter().find(|mark| line.trim_start().starts_with(**mark));
        mark.map(|mark| line.trim_start()[mark.len()..].to_owned())
    };
    let lines: Vec<String> = text.lines().map(|line| comment(line).unwrap_or_default()).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    of_markdown(&lines.join("\n"))
}

/// The findings in the header of an SQL file, without its tables of columns and parameters, which are in a generated
/// page.
fn of_sql(text: &str) -> Vec<Finding> {
    const SECTIONS: [&str; 5] = ["-- grain ", "-- by ", "-- reads ", "-- params ", "-- writes "];
    let is_table = |line: &str| line.starts_with("--         ") || SECTIONS.iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = text.lines().map(|line| if is_table(line) { "" } else { line }).collect();
    of_comments(&lines.join("\n"), &["--"])
}

/// The paths of all files whose comments can be checked.
fn files_with_comments() -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), ["src", "sql", "tests", "benches"].map(String::from).to_vec());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(book::root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") || path.ends_with(".sql") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn of_file(path: &str) -> Vec<Finding> {
    let text = book::read(path);
    match path.rsplit('.').next() {
        Some("md") => of_markdown(&text),
        Some("sql") => of_sql(&text),
        // A comment about fences would otherwise open a block without an end.
        _ => of_comments(&text.replace("```", "    "), &["//!", "///", "//"]),
    }
}

fn listed(path: &str, found: &[Finding]) -> Vec<String> {
    found.iter().map(|Finding { line, problem }| format!("{path}:{line}: {problem}")).collect()
}

#[test]
fn the_documentation_is_written_in_short_plain_sentences() {
    let allowed: BTreeMap<&str, usize> = NOT_YET.iter().copied().collect();
    let mut wrong = Vec::new();
    for page in book::markdown_files() {
        let found = of_file(&page);
        if found.len() > allowed.get(page.as_str()).copied().unwrap_or(0) {
            wrong.push(format!("{page}: {} findings", found.len()));
            wrong.extend(listed(&page, &found));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Comments of Rust below `src/` and headers of SQL have no findings, without exceptions.
#[test]
fn comments_and_headers_are_written_in_short_plain_sentences() {
    let is_product = |path: &String| path.starts_with("src/") || path.starts_with("sql/");
    let files = files_with_comments().into_iter().filter(is_product);
    let found: Vec<String> = files.flat_map(|path| listed(&path, &of_file(&path))).collect();
    assert!(found.is_empty(), "{} findings\n{}", found.len(), found.join("\n"));
}

/// Passes if `CONTO_PROSE` is not set.
#[test]
fn findings_are_listed_on_request() {
    let Some(prefix) = std::env::var_os("CONTO_PROSE") else { return };
    let prefix = prefix.to_string_lossy();
    let files = book::markdown_files().into_iter().chain(files_with_comments());
    let found: Vec<String> =
        files.filter(|path| path.starts_with(&*prefix)).flat_map(|path| listed(&path, &of_file(&path))).collect();
    assert!(found.is_empty(), "{} findings\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_phrase_is_found_and_has_a_replacement_that_is_not() {
    for (index, (phrase, instead)) in PHRASES.iter().enumerate() {
        let problems = of_markdown(&format!("The invoice {phrase} is here."));
        assert!(problems.iter().any(|found| found.problem.starts_with(&format!("`{phrase}`"))), "{phrase}");
        assert!(of_markdown(&format!("{instead}.")).is_empty(), "{instead} is not allowed itself");
        assert!(PHRASES[..index].iter().all(|(other, _)| other != phrase), "{phrase} is listed twice");
    }
    assert!(of_markdown("A renewal of beforehand `anew` and retold.").is_empty());
}

#[test]
fn long_sentences_are_found_wherever_they_are() {
    let long = vec!["word"; MOST_WORDS + 1].join(" ");
    let short = vec!["word"; MOST_WORDS].join(" ");
    let lines = |text: &str| of_markdown(text).iter().map(|found| found.line).collect::<Vec<_>>();
    assert_eq!(lines(&format!("# A\n\n{short}. {short}.\n")), [0; 0]);
    assert_eq!(lines(&format!("# A\n\nFirst.\nSecond. {long}.\n")), [4]);
    assert_eq!(lines(&format!("| a | b |\n| --- | --- |\n| {short} | {long} |\n")), [3]);
    assert_eq!(lines(&format!("- {short}\n- {short}\n  {short}\n")), [2]);
    assert_eq!(lines(&format!("> {long}\n")), [1]);
    // Code is not checked, and a link is replaced by its text.
    assert_eq!(lines(&format!("```\n{long}\n```\n\n    {long}\n\n<!-- {long} -->\n\nSee `{long}`.\n")), [0; 0]);
    assert_eq!(lines(&format!("[a](b) {short}.\n")), [1]);
    let sql =
        format!("-- one: {short}\n-- {short}.\n--\n-- writes  {long}\n--         {long}\n-- {short}.\nSELECT {long}\n");
    assert_eq!(of_sql(&sql).iter().map(|found| found.line).collect::<Vec<_>>(), [1]);
    let rust = format!("/// {short}\n/// {short}.\n    fn a() {{ {long} }}\n    // {long}.\n");
    assert_eq!(of_comments(&rust, &["///", "//"]).iter().map(|found| found.line).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(of_text(&format!("{short}. {long}.")).len(), 1);
}
