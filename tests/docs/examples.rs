//! Each block of TOML in the documentation is valid. The test reads a block with the reader for its kind of file.

use std::collections::BTreeSet;
use std::path::Path;

use conto::model::diagnostic::Diagnostic;

use super::book::{pages, parts, read};
use super::keys::{config_problems, rule_problems};

/// Codes of problems that are allowed in a part of a file: missing keys, and references to other parts.
const OF_A_WHOLE: [&str; 16] = [
    "config::missing_key",
    "config::tax_without_seller",
    "config::unreadable",
    "rates::unreadable",
    "accounts::missing_key",
    "accounts::bad_parent",
    "rules::missing_key",
    "rules::missing_example",
    "rules::meter_without_price",
    "rules::unknown_meter",
    "rules::unknown_pool",
    "rules::unknown_lookup",
    "accounts::unreadable",
    "rules::unreadable",
    "rules::no_price",
    "rules::zero_price",
];

/// Codes of suspended accounts, which are allowed because a part of a file may omit their data.
const SUSPENSIONS: [&str; 1] = ["accounts::no_country"];

/// The tables of a rule file. A block may contain any of these tables alone.
const OF_RULES: [&str; 14] = [
    "meter",
    "lookup",
    "rule",
    "included_units",
    "allowance",
    "recurring",
    "charge",
    "fee",
    "reservation",
    "hourly_commitment",
    "discount",
    "minimum_spend",
    "credit",
    "tax",
];

/// The first key or table name of a block, and whether it is an array of tables.
fn first_word(text: &str) -> (&str, bool) {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let is_list = line.starts_with("[[");
    let word = line.trim_start_matches('[');
    (&word[..word.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(word.len())], is_list)
}

/// The problems of a block, without the problems that are allowed in a part of a file.
fn problems(block: &str) -> Vec<Diagnostic> {
    let (word, is_list) = first_word(block);
    let found = match word {
        "account" => {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("accounts.toml"), block).unwrap();
            config_problems("accounts = \"accounts.toml\"\n", folder.path())
        }
        word if OF_RULES.contains(&word) && is_list => rule_problems(block),
        _ => config_problems(block, Path::new("")),
    };
    // A block with a source must be complete.
    let is_meant = |code: &str| word == "source" || !(OF_A_WHOLE.contains(&code) || SUSPENSIONS.contains(&code));
    found.into_iter().filter(|problem| is_meant(problem.code)).collect()
}

#[test]
fn every_block_of_toml_can_be_read() {
    let (mut wrong, mut formats, mut short, mut count) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), 0);
    for page in pages() {
        let text = read(&page);
        let mut source = String::new();
        for block in parts(&text).1.into_iter().filter(|block| block.language == "toml") {
            count += 1;
            // A table of a source is in a block without its source, which is in an earlier block.
            let is_part = block.text.starts_with("[[source.");
            let whole = if is_part { format!("{source}{}", block.text) } else { block.text.clone() };
            if block.text.starts_with("[[source]]") {
                source.clone_from(&block.text);
            }
            for problem in problems(&whole) {
                let hint = problem.hint.unwrap_or_default();
                wrong.push(format!("{page}:{}: {}: {} ({hint})", block.line, problem.code, problem.message));
            }
            let format = block.text.lines().find_map(|line| line.strip_prefix("format = \"")?.split('"').next());
            // The lines of a select are not counted, because its length depends on the file.
            let lines = block.text.lines().filter(|line| !line.starts_with(['S', 'F', '"'])).count();
            formats.extend(format.map(str::to_owned));
            short.extend(format.filter(|_| lines <= 7).map(str::to_owned));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 10, "the blocks of TOML are not found");
    let all = ["ceilometer", "cloudevents", "csv", "gnocchi", "json", "notifications", "prometheus"];
    let missing: Vec<&str> = all.into_iter().filter(|format| !formats.contains(*format)).collect();
    assert!(missing.is_empty(), "no example has the format {}", missing.join(", "));
    let long: Vec<&str> = all.into_iter().filter(|format| !short.contains(*format)).collect();
    assert!(long.is_empty(), "no example of {} is short enough to be typed", long.join(", "));
}

#[test]
fn a_wrong_block_is_found() {
    let codes = |block: &str| problems(block).into_iter().map(|problem| problem.code).collect::<Vec<_>>();
    assert_eq!(codes("[[source]]\nname = \"a\"\nformat = \"csv\"\npath = \"b\"\n"), [""; 0]);
    assert_eq!(codes("[[source]]\nname = \"a\"\nformat = \"csv\"\n"), ["config::missing_key"]);
    assert_eq!(codes("[[source]]\nname = \"a\"\nformat = \"cvs\"\npath = \"b\"\n"), ["config::unknown_word"]);
    assert_eq!(codes("[[rule]]\nid = \"a\"\nprize = \"1\"\n"), ["rules::unknown_key"]);
    assert_eq!(codes("[[rule]]\nid = \"a\"\nunit_price = 1\n"), ["rules::wrong_type"]);
    assert_eq!(codes("[[account]]\nid = \"a\"\nnames = \"b\"\n"), ["accounts::unknown_key"]);
    assert_eq!(codes("a = \n"), ["config::syntax"]);
}
