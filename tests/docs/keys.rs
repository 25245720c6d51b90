//! The reference documents exactly the keys that the readers accept.
//!
//! If a reader finds an unknown key, its message lists the accepted keys. So each test reads a table with an unknown
//! key, and compares the list in the message with the table of keys in the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use conto::load::{RuleFile, read_config_text, read_rule_files};
use conto::model::diagnostic::Diagnostic;
use iso_currency::Currency;
use jiff::tz::TimeZone;

use super::book::{cells, parts, read, root};

const CONFIGURATION: &str = "docs/reference/configuration.md";
const RULES: &str = "docs/reference/rules.md";

/// A key that no table has.
const UNKNOWN: &str = "zzz_no_such_key";

/// The required keys of a configuration.
const HEAD: &str = "time_zone = \"UTC\"\ncurrency = \"EUR\"\n";

const SELLER: &str = "[seller]\nname = \"S\"\n";

/// A table of keys: its name in messages, the heading of its keys in the reference, and examples. The messages about
/// the examples together list all keys of the table. `?` marks the place of the unknown key.
struct Probe {
    what: &'static str,
    heading: &'static str,
    texts: &'static [&'static str],
}

const fn probe(what: &'static str, heading: &'static str, texts: &'static [&'static str]) -> Probe {
    Probe { what, heading, texts }
}

const OF_CONFIGURATION: &[Probe] = &[
    probe("the configuration", "Top level", &["?\n"]),
    probe("`accounts`", "`accounts`", &["accounts = { ? }\n"]),
    probe("`exchange_rates`", "Exchange rates", &["exchange_rates = { ? }\n"]),
    probe("`[seller]`", "`[seller]`", &["[seller]\n?\n"]),
    probe("`[ledger]`", "`[ledger]`", &["[ledger]\n?\n"]),
    probe("`[tax]`", "`[tax]`", &["[tax]\n?\n"]),
    probe("`[closing]`", "`[closing]`", &["[closing]\n?\n"]),
    probe("`[run]`", "`[run]`", &["[run]\n?\n"]),
    probe("a `[[closing.opening]]`", "`[[closing.opening]]`", &["[[closing.opening]]\n?\n"]),
    probe("a `[[source]]`", "`[[source]]`", &["[[source]]\nformat = \"csv\"\n?\n"]),
    probe(
        "a `[[source]]`",
        "Keys of servers",
        &["[[source]]\nformat = \"prometheus\"\n?\n", "[[source]]\nformat = \"gnocchi\"\n?\n"],
    ),
    probe(
        "a `[[source.metric]]`",
        "`[[source.metric]]`",
        &["[[source]]\nformat = \"prometheus\"\nmetric = [{ name = \"a\", ? }]\n"],
    ),
    probe(
        "a `[[source.presence]]`",
        "`[[source.presence]]`",
        &["[[source]]\nformat = \"gnocchi\"\npresence = [{ ? }]\n"],
    ),
    probe(
        "`auth`",
        "`auth`",
        &[
            "[[source]]\nformat = \"gnocchi\"\nauth = { kind = \"basic\", ? }\n",
            "[[source]]\nformat = \"gnocchi\"\nauth = { kind = \"bearer\", ? }\n",
            "[[source]]\nformat = \"gnocchi\"\nauth = { kind = \"remote-user\", ? }\n",
            "[[source]]\nformat = \"gnocchi\"\nauth = { kind = \"keystone\", ? }\n",
            "[[source]]\nformat = \"gnocchi\"\nauth = { kind = \"keystone\", application_credential_id = \"a\", ? }\n",
        ],
    ),
];

const OF_ACCOUNTS: &[Probe] = &[
    probe("the accounts file", "The accounts file", &["?\n"]),
    probe("an `[[account]]`", "`[[account]]`", &["[[account]]\n?\n"]),
    probe("a VIES result", "`vies`", &["[[account]]\nvies = { ? }\n"]),
    probe("a project", "`projects`", &["[[account]]\nprojects = [{ ? }]\n"]),
];

const OF_RULES: &[Probe] = &[
    probe("a rule file", "Rule files", &["?\n"]),
    probe("a `[[meter]]`", "`[[meter]]`", &["[[meter]]\n?\n"]),
    probe("`record`", "`record`", &["[[meter]]\nrecord = { ? }\n"]),
    probe("a dimension", "Dimensions", &["[[meter]]\nname = \"m\"\ndimensions.d = { ? }\n"]),
    probe("a `[[lookup]]`", "`[[lookup]]`", &["[[lookup]]\n?\n"]),
    probe("a `[[rule]]`", "`[[rule]]`", &["[[rule]]\n?\n"]),
    probe("`price_list`", "Dialect of a price list", &["[[rule]]\nprice_list = { ? }\n"]),
    probe("`pricing_unit`", "`pricing_unit`", &["[[rule]]\npricing_unit = { ? }\n"]),
    probe("`round_quantity`", "`round_quantity`", &["[[rule]]\nround_quantity = { ? }\n"]),
    probe("`cap`", "`cap`", &["[[rule]]\ncap = { ? }\n"]),
    probe("`unit_price`", "`unit_price`", &["[[rule]]\nunit_price = { ? }\n"]),
    probe("a tier", "`tier`", &["[[rule]]\ntiers = \"graduated\"\ntier = [{ ? }]\n"]),
    probe("a price window", "`windows`", &["[[rule]]\nwindows = [{ ? }]\n"]),
    probe("an `[[included_units]]`", "`[[included_units]]`", &["[[included_units]]\n?\n"]),
    probe("a `[[recurring]]`", "`[[recurring]]`", &["[[recurring]]\n?\n", "[[recurring]]\nper = \"resource\"\n?\n"]),
    probe("a `[[charge]]`", "`[[charge]]`", &["[[charge]]\n?\n"]),
    probe("a `[[recurring.example]]`", "`[[recurring.example]]`", &["[[recurring]]\n[[recurring.example]]\n?\n"]),
    probe("a `[[fee]]`", "`[[fee]]`", &["[[fee]]\n?\n"]),
    probe("a `[[fee.example]]`", "`[[fee.example]]`", &["[[fee]]\n[[fee.example]]\n?\n"]),
    probe("a `[[reservation]]`", "`[[reservation]]`", &["[[reservation]]\n?\n"]),
    probe("an `[[hourly_commitment]]`", "`[[hourly_commitment]]`", &["[[hourly_commitment]]\n?\n"]),
    probe("a cover", "`covers`", &["[[hourly_commitment]]\ncovers = [{ ? }]\n"]),
    probe("a `[[discount]]`", "`[[discount]]`", &["[[discount]]\n?\n"]),
    probe("a `[[minimum_spend]]`", "`[[minimum_spend]]`", &["[[minimum_spend]]\n?\n"]),
    probe(
        "a `[[credit]]`",
        "`[[credit]]`",
        &[
            "[[credit]]\nkind = \"promotional\"\n?\n",
            "[[credit]]\nkind = \"prepaid\"\ntaxed = \"at_sale\"\ntax_rate = \"19\"\n?\n",
        ],
    ),
    probe("a `[[tax]]`", "`[[tax]]`", &["[[tax]]\n?\n"]),
    probe("a tax component", "`components`", &["[[tax]]\ncomponents = [{ ? }]\n"]),
];

/// The meter of the rules and commitments whose examples are probed. In an example, each other key is a dimension.
const METER: &str = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\n";
const RULE: &str = "[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"s\"\nunit_price = \"1\"\n";
const RESERVATION: &str = "[[reservation]]\nid = \"r\"\naccount = \"a\"\nmeter = \"m\"\nquantity = \"1\"\n\
                           unit_price = \"1\"\n";
const COMMITMENT: &str = "[[hourly_commitment]]\nid = \"r\"\naccount = \"a\"\namount = \"1\"\n\
                          covers = [{ meter = \"m\", unit_price = \"1\" }]\n";

/// The probed examples: the heading, the table with the example, and the example.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("`[[rule.example]]`", RULE, "[[rule.example]]\nquantity = \"1\"\n?\n"),
    ("`[[reservation.example]]`", RESERVATION, "[[reservation.example]]\nquantity = \"1\"\n?\n"),
    ("`[[reservation.example]]`", COMMITMENT, "[[hourly_commitment.example]]\nquantity = \"1\"\n?\n"),
];

/// Tables without a probe. Either their keys are names that a user chooses, or an example probes them under another
/// name.
const FREE: &[&str] = &[
    "`registrations`",
    "`revenue_by_service`",
    "`tax_by_name`",
    "`defaults`",
    "`columns`",
    "`dimensions`",
    "`values` of a `[[lookup]]`",
    // Some of the keys of a price list.
    "`file` of a `[[lookup]]`",
    "a `[[rule.example]]`",
    "a `[[reservation.example]]`",
    "an `[[hourly_commitment.example]]`",
    "a usage of an example",
];

/// The problems of a configuration that contains this text. Missing required keys are added.
pub(super) fn config_problems(text: &str, folder: &Path) -> Vec<Diagnostic> {
    let head: String = HEAD
        .lines()
        .filter(|line| !text.contains(line.split(' ').next().unwrap()))
        .fold(String::new(), |head, line| head + line + "\n");
    let seller = if text.contains("[seller]") { "" } else { SELLER };
    let read_text = |path: &Path, _: &'static encoding_rs::Encoding| std::fs::read_to_string(path);
    let (_, found) = read_config_text("conto.toml", &format!("{head}{text}{seller}"), folder, &read_text, None);
    found.into_sorted()
}

pub(super) fn rule_problems(text: &str) -> Vec<Diagnostic> {
    let file = RuleFile { name: "rules.toml".to_owned(), folder: PathBuf::new(), text: text.to_owned() };
    let read_text = |_: &Path, _: &'static encoding_rs::Encoding| Err(std::io::ErrorKind::NotFound.into());
    read_rule_files(vec![file], &read_text, &TimeZone::UTC, Currency::EUR).1.into_sorted()
}

fn account_problems(text: &str) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("accounts.toml"), text).unwrap();
    config_problems("accounts = \"accounts.toml\"\n", folder.path())
}

fn with_unknown_key(text: &str) -> String {
    text.replace('?', &format!("{UNKNOWN} = \"1\""))
}

/// The keys that the hint of an unknown key lists.
fn listed(problem: &Diagnostic) -> BTreeSet<String> {
    let hint = problem.hint.clone().unwrap_or_default();
    let list = ["keys: ", "keys and dimensions: ", "columns: "].iter().find_map(|start| hint.split_once(start));
    let (_, list) = list.unwrap_or_else(|| panic!("no list of keys in {hint}"));
    list.trim_end_matches(')').split(", ").map(str::to_owned).collect()
}

/// The problem of the unknown key.
fn refusal(found: Vec<Diagnostic>, what: &str, text: &str) -> Diagnostic {
    let is_meant = |problem: &Diagnostic| problem.message.contains(UNKNOWN) && problem.message.contains(what.trim());
    let shown: Vec<String> = found.iter().map(|problem| problem.message.clone()).collect();
    found.into_iter().find(is_meant).unwrap_or_else(|| panic!("{text}does not refuse the key in {what}: {shown:#?}"))
}

fn problems_of(probes: &[Probe], text: &str) -> Vec<Diagnostic> {
    if std::ptr::eq(probes.as_ptr(), OF_RULES.as_ptr()) {
        return rule_problems(text);
    }
    if std::ptr::eq(probes.as_ptr(), OF_ACCOUNTS.as_ptr()) {
        return account_problems(text);
    }
    config_problems(text, Path::new(""))
}

/// All keys that the reader accepts in a table.
fn accepted_by(probes: &[Probe], probe: &Probe) -> BTreeSet<String> {
    let of_text = |text: &&str| {
        let text = with_unknown_key(text);
        listed(&refusal(problems_of(probes, &text), probe.what, &text))
    };
    probe.texts.iter().flat_map(of_text).collect()
}

/// The keys in the tables below each heading of a page. A key is in the first cell, in backticks.
fn documented(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = read(page);
    let mut headings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut heading, mut is_table_of_keys) = (String::new(), false);
    for (_, line) in parts(&text).0 {
        if let Some(title) = line.strip_prefix('#') {
            heading = title.trim_start_matches('#').trim().to_owned();
        }
        let Some(cells) = cells(line) else {
            is_table_of_keys = false;
            continue;
        };
        is_table_of_keys |= cells[0] == "key" || cells[0] == "column";
        if is_table_of_keys {
            let keys = cells[0].split('`').skip(1).step_by(2).map(str::to_owned);
            headings.entry(heading.clone()).or_default().extend(keys);
        }
    }
    headings
}

/// The differences between the keys of a reader and the keys below a heading.
fn differences(page: &str, heading: &str, accepted: &BTreeSet<String>, found: &BTreeSet<String>) -> Vec<String> {
    let missing = accepted.difference(found).map(|key| format!("{page}, {heading}: lacks the key `{key}`"));
    let stale = found.difference(accepted).map(|key| format!("{page}, {heading}: no reader accepts `{key}`"));
    missing.chain(stale).collect()
}

#[test]
fn the_reference_documents_every_key() {
    let mut found = Vec::new();
    for (page, probes) in [(CONFIGURATION, OF_CONFIGURATION), (CONFIGURATION, OF_ACCOUNTS), (RULES, OF_RULES)] {
        let documented = documented(page);
        for probe in probes {
            let mut known = documented.get(probe.heading).cloned().unwrap_or_default();
            if probe.heading == "Keys of servers" {
                // Every source has these keys.
                known.extend(["name", "format", "defaults", "expect_every"].map(str::to_owned));
            }
            found.extend(differences(page, probe.heading, &accepted_by(probes, probe), &known));
        }
    }
    let documented = documented(RULES);
    for heading in EXAMPLES.iter().map(|(heading, ..)| heading).collect::<BTreeSet<_>>() {
        let of_heading = EXAMPLES.iter().filter(|(known, ..)| known == heading);
        let keys = of_heading.flat_map(|(_, owner, example)| {
            let text = with_unknown_key(&format!("{METER}{owner}{example}"));
            listed(&refusal(rule_problems(&text), "neither a key of examples", &text))
        });
        found.extend(differences(
            RULES,
            heading,
            &keys.collect(),
            &documented.get(*heading).cloned().unwrap_or_default(),
        ));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_reference_documents_every_column_of_accounts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("accounts.csv"), format!("id,name,{UNKNOWN}\n")).unwrap();
    let found = config_problems("accounts = \"accounts.csv\"\n", folder.path());
    let accepted = listed(&refusal(found, "unknown column", "accounts.csv "));
    const HEADING: &str = "Accounts in CSV or Parquet";
    let documented = documented(CONFIGURATION).remove(HEADING).unwrap_or_default();
    let differences = differences(CONFIGURATION, HEADING, &accepted, &documented);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The names of all tables in the declarations of `src/load/keys`.
fn tables_of_readers() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/load/keys")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for start in ["table(\"", "what: \"", "table(\n    \""] {
            for (at, _) in text.match_indices(start) {
                let rest = &text[at + start.len()..];
                found.insert(rest[..rest.find('"').unwrap()].to_owned());
            }
        }
    }
    found
}

#[test]
fn every_table_of_a_reader_is_probed() {
    let probes = [OF_CONFIGURATION, OF_ACCOUNTS, OF_RULES].into_iter().flatten();
    let probed = probes.map(|probe| probe.what).chain(FREE.iter().copied());
    let probed: BTreeSet<String> = probed.map(|what| what.trim().to_owned()).collect();
    let tables = tables_of_readers();
    assert!(tables.len() > 30, "the tables are not found: {tables:?}");
    // These tables have the key `by`, and their other keys are values of a dimension.
    let by_value = ["`prices`", "`factor`"];
    let missing: Vec<&String> =
        tables.iter().filter(|what| !probed.contains(what.as_str()) && !by_value.contains(&what.as_str())).collect();
    assert!(missing.is_empty(), "no probe reads {missing:?}");
}
