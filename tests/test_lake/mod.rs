//! `TestLake`: a temporary directory with a configuration, rules, accounts, usage and the lake that runs write.
//!
//! # How to add a case
//!
//! 1. Find the topic in the table of `tests/main.rs`. Name the test by a sentence. The sentence contains the tested
//!    configuration key, rule key or standard's id.
//! 2. Write the inputs as TOML and CSV, run the month, and compare rows of relations:
//!
//! ```text
//! #[test]
//! fn graduated_tiers_price_only_the_units_above_up_to() {
//!     let lake = TestLake::new()
//!         .rules(r#"
//!             [[meter]]
//!             name = "m"
//!             aggregation = "sum"
//!             unit = "GB"
//!
//!             [[rule]]
//!             id = "r"
//!             meter = "m"
//!             sku = "EGRESS"
//!             service = "Network"
//!             tiers = "graduated"
//!             tier = [{ up_to = "100", unit_price = "0.10" }, { unit_price = "0.08" }]
//!         "#)
//!         .usage(["m,a,2026-10-05T10:00:00Z,120,p"]);
//!     lake.run("2026-10");
//!     // 100 × 0.10 + 20 × 0.08.
//!     assert_eq!(lake.column("invoice", "total_without_tax"), ["11.6000"]);
//! }
//! ```
//!
//! 3. Run it alone: `cargo test --test conto -- graduated_tiers`.
//!
//! | file | contains |
//! | --- | --- |
//! | `mod.rs` | the builder: which files a lake begins with, and how a test changes them |
//! | `commands.rs` | runs, and every command line of the program that tests use |
//! | `read.rs` | rows, documents and data files of a lake |
//! | `compare.rs` | comparisons of files that name the first difference |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod compare;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) use commands::{chain, stderr_of};
pub(crate) use compare::{assert_same_files, assert_same_text};
pub(crate) use read::{Row, assert_manifests, block_on, payer_of, rows_of, short, state, without_index};

/// The columns of each record of usage; `deliver_with` adds a column.
pub(crate) const USAGE_COLUMNS: &str = "meter,resource_id,measured_at,quantity,project_id";

/// The configuration of a new lake: a French seller with 20 % VAT, a source of CSV files and a source of JSON lines.
const CONFIG: &str = r#"
lake = "lake"
rules = "rules"
accounts = "accounts.toml"
time_zone = "UTC"
currency = "EUR"
shards = 1

[seller]
name = "Seller"
country = "FR"
vat_id = "FR45000000593"

[tax]
name = "VAT"
category = "S"
rate = "20"

[[source]]
name = "table"
format = "csv"
path = "usage/*.csv*"

[[source]]
name = "telemetry"
format = "ceilometer"
path = "usage/*.jsonl*"
"#;

const GRADUATED: &str = r#"
currency = "EUR"

[[meter]]
name = "m"
aggregation = "sum"
unit = "u"

[[rule]]
id = "r"
meter = "m"
sku = "s"
service = "S"
tiers = "graduated"
tier = [{ up_to = "5", unit_price = "0.333" }, { unit_price = "0.1" }]
"#;

pub(crate) struct TestLake {
    directory: TempDir,
}

/// The initial files of a lake.
impl TestLake {
    /// A configuration without rules, accounts and usage.
    pub(crate) fn new() -> Self {
        let lake = Self { directory: tempfile::tempdir().unwrap() };
        lake.put("conto.toml", CONFIG);
        lake.put("accounts.toml", "");
        lake.put("usage/.keep", "");
        lake
    }

    /// A meter `m` with graduated prices, in a lake at this path or URL.
    pub(crate) fn graduated(lake: &str) -> Self {
        Self::new().config(format!("lake = \"{lake}\"")).rules(GRADUATED)
    }

    /// A lake with one meter `m` of the unit `u` and one rule `r` for the meter, with these keys. Other tables may
    /// follow the rule's keys.
    pub(crate) fn of_one_rule(meter_keys: &str, rule_keys: &str) -> Self {
        Self::new().rules(format!(
            r#"
            currency = "EUR"

            [[meter]]
            name = "m"
            unit = "u"
            {meter_keys}

            [[rule]]
            id = "r"
            meter = "m"
            sku = "s"
            service = "S"
            {rule_keys}
            "#
        ))
    }

    /// A copy of a directory with a configuration, without the lake of an earlier run.
    pub(crate) fn copy_of(directory: &Path) -> Self {
        let lake = Self { directory: tempfile::tempdir().unwrap() };
        for (name, bytes) in files_below(directory).into_iter().filter(|(name, _)| !name.starts_with("lake/")) {
            lake.put(&name, bytes);
        }
        lake
    }

    /// A copy of a directory below `samples/`.
    pub(crate) fn of_sample(name: &str) -> Self {
        Self::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name))
    }

    /// Sets keys of `conto.toml`, as `configure` does.
    pub(crate) fn config(self, toml: impl AsRef<str>) -> Self {
        self.configure(toml);
        self
    }

    /// Writes `rules/rules.toml`.
    pub(crate) fn rules(self, toml: impl AsRef<str>) -> Self {
        self.set_rules(toml);
        self
    }

    /// Writes `rules/terms.toml`, for discounts, credits, taxes and fees beside the rules.
    pub(crate) fn terms(self, toml: impl AsRef<str>) -> Self {
        self.set_terms(toml);
        self
    }

    /// Writes `accounts.toml`.
    pub(crate) fn accounts(self, toml: impl AsRef<str>) -> Self {
        self.set_accounts(toml);
        self
    }

    /// Writes `usage/usage.csv`: rows of `meter,resource_id,measured_at,quantity,project_id`.
    pub(crate) fn usage<R: AsRef<str>>(self, rows: impl IntoIterator<Item = R>) -> Self {
        self.deliver("usage", rows);
        self
    }

    /// Writes any other file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(name, content);
        self
    }
}

/// Changes between two commands.
impl TestLake {
    /// Sets keys of `conto.toml`. Tables are merged; values and arrays, such as `[[source]]`, are replaced.
    pub(crate) fn configure(&self, toml: impl AsRef<str>) {
        let mut config: toml::Table = self.text("conto.toml").parse().unwrap();
        merge(&mut config, toml.as_ref().parse().unwrap());
        self.put("conto.toml", toml::to_string(&config).unwrap());
    }

    /// Removes keys of a table of `conto.toml`.
    pub(crate) fn remove_keys(&self, table: &str, keys: &[&str]) {
        let mut config: toml::Table = self.text("conto.toml").parse().unwrap();
        let table = config.get_mut(table).unwrap().as_table_mut().unwrap();
        keys.iter().for_each(|key| drop(table.remove(*key).unwrap_or_else(|| panic!("no key `{key}`"))));
        self.put("conto.toml", toml::to_string(&config).unwrap());
    }

    pub(crate) fn set_rules(&self, toml: impl AsRef<str>) {
        self.put("rules/rules.toml", toml.as_ref());
    }

    pub(crate) fn set_terms(&self, toml: impl AsRef<str>) {
        self.put("rules/terms.toml", toml.as_ref());
    }

    pub(crate) fn set_accounts(&self, toml: impl AsRef<str>) {
        self.put("accounts.toml", toml.as_ref());
    }

    /// Writes `usage/NAME.csv`: rows of `meter,resource_id,measured_at,quantity,project_id`.
    pub(crate) fn deliver<R: AsRef<str>>(&self, name: &str, rows: impl IntoIterator<Item = R>) {
        self.put(&format!("usage/{name}.csv"), csv_of(USAGE_COLUMNS, rows));
    }

    /// Writes `usage/NAME.csv` with one more column, such as `record_id` or a dimension.
    pub(crate) fn deliver_with<R: AsRef<str>>(&self, column: &str, name: &str, rows: impl IntoIterator<Item = R>) {
        self.put(&format!("usage/{name}.csv"), csv_of(&format!("{USAGE_COLUMNS},{column}"), rows));
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Replaces a part of a file. Panics if the file does not contain the part.
    #[track_caller]
    pub(crate) fn replace(&self, name: &str, before: &str, after: &str) {
        let text = self.text(name);
        assert!(text.contains(before), "{name} does not contain {before}");
        self.put(name, text.replace(before, after));
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every file below a directory, by its path relative to the directory.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        files_below(&self.path(name))
    }
}

/// A JSON line of `instance.hours` in the format of the usage of `samples/accounts-and-terms`.
pub(crate) fn hours_of(project: &str, at: &str, hours: &str) -> String {
    format!(
        r#"{{"name": "instance.hours", "type": "delta", "unit": "h", "volume": {hours}, "project_id": "{project}", "#
    ) + &format!(r#""resource_id": "r", "timestamp": "{at}", "message_id": "{project}-{at}"}}"#)
        + "\n"
}

/// A CSV text with this header and these rows.
fn csv_of<R: AsRef<str>>(header: &str, rows: impl IntoIterator<Item = R>) -> String {
    let rows: String = rows.into_iter().map(|row| format!("{}\n", row.as_ref())).collect();
    format!("{header}\n{rows}")
}

fn merge(config: &mut toml::Table, changes: toml::Table) {
    for (key, value) in changes {
        match (config.get_mut(&key), value) {
            (Some(toml::Value::Table(table)), toml::Value::Table(changes)) => merge(table, changes),
            (_, value) => drop(config.insert(key, value)),
        }
    }
}

fn files_below(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}
