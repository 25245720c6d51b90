//! A directory of its own for a test, and the program in it: configuration, rules, accounts and usage go in as files,
//! the pipeline runs through the library, and documents and relations come back as text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use conto::error::Error;
use conto::load::{read_config, read_rules};
use conto::model::diagnostic::Diagnostics;
use conto::model::summary::Summary;
use conto::pipeline;
use conto::pipeline::NightOptions;
use conto::run::{Documents, RunOptions, Silent};
use conto::storage::{Lake, Snapshot};
use tempfile::TempDir;

/// What a configuration says that a test may want to be different.
pub(crate) struct Setting {
    pub(crate) time_zone: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) tax_rate: &'static str,
    pub(crate) buckets: u32,
}

impl Default for Setting {
    fn default() -> Self {
        Self { time_zone: "UTC", currency: "EUR", tax_rate: "20", buckets: 1 }
    }
}

pub(crate) struct World {
    directory: TempDir,
}

impl World {
    /// A seller, one source of CSV files and one of JSON lines, and no rules yet.
    pub(crate) fn new(setting: &Setting) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        let Setting { time_zone, currency, tax_rate, buckets } = setting;
        let config = format!(
            "lake = \"lake\"\nrules = \"rules\"\naccounts = \"accounts.toml\"\ntime_zone = \"{time_zone}\"\n\
             currency = \"{currency}\"\nbuckets = {buckets}\n[seller]\nname = \"Seller\"\ncountry = \"FR\"\n\
             vat_id = \"FR45000000593\"\n\
             [tax]\nname = \"VAT\"\ncategory = \"S\"\nrate = \"{tax_rate}\"\n\
             [[source]]\nname = \"table\"\nformat = \"csv\"\npath = \"usage/*.csv*\"\n\
             [[source]]\nname = \"telemetry\"\nformat = \"ceilometer\"\npath = \"usage/*.jsonl*\"\n"
        );
        world.put("conto.toml", config);
        world.put("accounts.toml", "");
        world.put("usage/.keep", "");
        world
    }

    /// A copy of a directory that holds a configuration.
    pub(crate) fn copy_of(directory: &Path) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        for (name, bytes) in files_below(directory) {
            world.put(&name, bytes);
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// Every file below a directory of the world, by its path there.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        files_below(&self.path(name))
    }

    pub(crate) fn run(&self, period: &str) -> Summary {
        self.try_run(period).unwrap_or_else(|error| match error {
            Error::Invalid(problems) => panic!("{problems:#?}"),
            error => panic!("{}", chain(&error)),
        })
    }

    pub(crate) fn try_run(&self, period: &str) -> Result<Summary, Error> {
        self.run_with(period, |_, _| {})
    }

    pub(crate) fn run_with(
        &self,
        period: &str,
        change: impl FnOnce(&mut NightOptions, &mut RunOptions),
    ) -> Result<Summary, Error> {
        let (config, problems) = read_config(&self.path("conto.toml"));
        refuse(problems)?;
        let config = config.unwrap();
        let zone = jiff::tz::TimeZone::get(&config.time_zone).unwrap();
        let (rules, problems) = read_rules(&config.rules, &zone, config.currency, Some(self.directory.path()));
        refuse(problems)?;
        let period = period.parse().unwrap();
        let mut night = NightOptions { period, documents: Documents::Changed, max_rejected: None };
        let mut options = RunOptions {
            memory_limit_bytes: None,
            started_at: "2027-01-01T00:00:00Z".to_owned(),
            progress: Arc::new(Silent),
        };
        change(&mut night, &mut options);
        block_on(pipeline::run(Arc::new(config), Arc::new(rules), night, options))
    }

    /// The documents that `latest` names, by their name.
    pub(crate) fn documents(&self, period: &str) -> BTreeMap<String, Vec<u8>> {
        let directory = format!("lake/documents/{period}");
        let latest = std::fs::read_to_string(self.path(&format!("{directory}/latest"))).unwrap();
        self.files(&format!("{directory}/{}", latest.trim()))
    }

    pub(crate) fn document(&self, period: &str, name: &str) -> String {
        String::from_utf8(self.documents(period).remove(name).unwrap_or_else(|| panic!("no {name}"))).unwrap()
    }

    pub(crate) fn lake(&self) -> Lake {
        Lake::open(&self.path("lake").to_string_lossy()).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        block_on(self.lake().snapshot()).unwrap()
    }

    /// The committed batches of a relation, in the order of its files.
    pub(crate) fn batches(&self, relation: &str) -> Vec<RecordBatch> {
        let (lake, snapshot) = (self.lake(), self.snapshot());
        let files: Vec<_> = snapshot.files(relation).cloned().collect();
        files.iter().flat_map(|file| block_on(lake.read_data(file)).unwrap()).collect()
    }

    /// The committed rows of a relation as `column=value`, absent values left out.
    pub(crate) fn rows(&self, relation: &str) -> Vec<BTreeMap<String, String>> {
        rows_of(&self.batches(relation))
    }

    /// The bytes of every data file that counts, by path, without the relations that say where something was read.
    pub(crate) fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let snapshot = self.snapshot();
        let about_files = ["sample", "input_file", "rejected_record", "unmetered_record", "stream", "series"];
        let relations = snapshot.relations().into_iter().filter(|relation| !about_files.contains(relation));
        let paths = relations.flat_map(|relation| snapshot.files(relation).map(|file| file.path.clone()));
        paths.map(|path| (path.clone(), std::fs::read(self.path(&format!("lake/{path}"))).unwrap())).collect()
    }
}

/// What people get, without the index: it also tells what was read.
pub(crate) fn without_index(mut documents: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    documents.remove("index.html");
    documents
}

pub(crate) fn rows_of(batches: &[RecordBatch]) -> Vec<BTreeMap<String, String>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for index in 0..batch.num_rows() {
            let cells = schema.fields().iter().zip(batch.columns()).filter(|(_, column)| column.is_valid(index));
            let text = |column| ArrayFormatter::try_new(column, &options).unwrap().value(index).to_string();
            rows.push(cells.map(|(field, column)| (field.name().clone(), text(column.as_ref()))).collect());
        }
    }
    rows
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").unwrap();
        source = error.source();
    }
    text
}

/// Names the first thing in which two sets of files differ.
pub(crate) fn assert_same_files(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{what}: the files are not the same");
    for (name, bytes) in expected {
        assert_same_text(bytes, &found[name], &format!("{what}: {name}"));
    }
}

/// Byte for byte; says where the first difference is.
pub(crate) fn assert_same_text(expected: &[u8], found: &[u8], what: &str) {
    if expected == found {
        return;
    }
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|byte| *byte == b'\n').map(|line| format!("{:?}", String::from_utf8_lossy(line))).collect()
    };
    let (expected, found) = (lines(expected), lines(found));
    let line = expected.iter().zip(&found).take_while(|(left, right)| left == right).count();
    let none = "(the file ends here)".to_owned();
    panic!(
        "{what}: line {} differs\n  expected {}\n  found    {}",
        line + 1,
        expected.get(line).unwrap_or(&none),
        found.get(line).unwrap_or(&none)
    );
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

fn refuse(problems: Diagnostics) -> Result<(), Error> {
    if problems.has_errors() { Err(Error::Invalid(problems.into_sorted())) } else { Ok(()) }
}
