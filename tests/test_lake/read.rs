//! Rows, documents and data files of a lake.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use conto::model::close_blocker::CloseBlocker;
use conto::storage::{CommitKind, Lake, Snapshot};

use super::TestLake;

/// One row of a relation by column; null values are left out.
pub(crate) type Row = BTreeMap<String, String>;

/// The project of a document, or its account if it has no project.
pub(crate) fn payer_of(document: &Row) -> &str {
    document.get("project_id").unwrap_or(&document["account_id"])
}

impl TestLake {
    /// The documents in the directory that `latest` names, by file name.
    pub(crate) fn documents(&self, period: &str) -> BTreeMap<String, Vec<u8>> {
        self.files(&format!("lake/{}", self.latest(period)))
    }

    /// The directory that `latest` names, relative to the lake.
    pub(crate) fn latest(&self, period: &str) -> String {
        let directory = format!("documents/{period}");
        format!("{directory}/{}", self.text(&format!("lake/{directory}/latest")).trim())
    }

    #[track_caller]
    pub(crate) fn document(&self, period: &str, name: &str) -> String {
        String::from_utf8(self.documents(period).remove(name).unwrap_or_else(|| panic!("no {name}"))).unwrap()
    }

    /// The rows of a CSV document, each with its cells by column.
    pub(crate) fn csv_document(&self, period: &str, name: &str) -> Vec<Row> {
        let text = self.document(period, name);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    pub(crate) fn lake(&self) -> Lake {
        Lake::open(&self.path("lake").to_string_lossy()).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        block_on(self.lake().snapshot()).unwrap()
    }

    pub(crate) fn commit_count(&self) -> usize {
        self.snapshot().commits().len()
    }

    /// The number of the last close of a month.
    pub(crate) fn last_close(&self, period: &str) -> u64 {
        self.snapshot().last(CommitKind::Close, period).unwrap().sequence
    }

    /// The remarks of a commit.
    pub(crate) fn remarks(&self, commit: u64) -> Vec<String> {
        block_on(self.lake().log_entry(commit)).unwrap().remarks
    }

    /// The close blockers that a commit overrode: kind, subject, count and limit, then the sentence.
    pub(crate) fn overridden_blockers(&self, commit: u64) -> Vec<String> {
        let blockers = block_on(self.lake().log_entry(commit)).unwrap().overridden_blockers;
        let text = |blocker: &CloseBlocker| {
            let mut words = vec![blocker.kind.name().to_owned()];
            words.extend(blocker.subject.clone());
            words.extend(blocker.count.map(|count| count.to_string()));
            words.extend(blocker.limit.map(|limit| format!("of {limit}")));
            words.extend(blocker.costs.iter().flat_map(|cost| [cost.amount.clone(), cost.currency.clone()]));
            format!("{}: {}", words.join(" "), blocker.detail)
        };
        blockers.iter().map(text).collect()
    }

    /// The committed batches of a relation, in the order of its files.
    pub(crate) fn batches(&self, relation: &str) -> Vec<RecordBatch> {
        let (lake, snapshot) = (self.lake(), self.snapshot());
        let files: Vec<_> = snapshot.files(relation).cloned().collect();
        files.iter().flat_map(|file| block_on(lake.read_data(file)).unwrap()).collect()
    }

    /// The committed rows of a relation.
    pub(crate) fn rows(&self, relation: &str) -> Vec<Row> {
        rows_of(&self.batches(relation))
    }

    /// The committed rows of one partition of a relation. A partition is a month or a date.
    pub(crate) fn rows_in(&self, relation: &str, partition: &str) -> Vec<Row> {
        let (lake, snapshot) = (self.lake(), self.snapshot());
        let files = snapshot.files(relation).filter(|file| file.partition == partition);
        files.flat_map(|file| rows_of(&block_on(lake.read_data(file)).unwrap())).collect()
    }

    /// The number of the draft of a payer in a month. A payer is the id of a project, or the id of an account for a
    /// document of all projects. A line may follow after a slash.
    #[track_caller]
    pub(crate) fn draft(&self, period: &str, payer: &str) -> String {
        let (payer, line) = payer.split_at(payer.find('/').unwrap_or(payer.len()));
        let of_payer = |row: &&Row| row["invoice_number"].starts_with("DRAFT-") && payer_of(row) == payer;
        match self.rows_in("invoice", period).iter().filter(of_payer).collect::<Vec<_>>().as_slice() {
            [row] => format!("{}{line}", row["invoice_number"]),
            rows => panic!("{} drafts of {payer} in {period}", rows.len()),
        }
    }

    /// The rows of a relation with this value in this column.
    pub(crate) fn rows_where(&self, relation: &str, column: &str, value: &str) -> Vec<Row> {
        let mut rows = self.rows(relation);
        rows.retain(|row| row.get(column).is_some_and(|found| found == value));
        rows
    }

    /// The values of one column of a relation; a null value is the empty text.
    pub(crate) fn column(&self, relation: &str, name: &str) -> Vec<String> {
        self.rows(relation).iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
    }

    /// The sum of a column, without trailing zeros.
    pub(crate) fn sum(&self, relation: &str, name: &str) -> String {
        use conto::model::money::Cost;
        let cells = self.column(relation, name);
        let add = |total: Cost, cell: &String| total.checked_add(Cost::parse_exact(cell).unwrap()).unwrap();
        cells.iter().fold(Cost::ZERO, add).to_text(0)
    }

    /// The bytes of the committed data files by path, except samples, the catalog and the relations about input files.
    pub(crate) fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let snapshot = self.snapshot();
        let about_files = [
            "sample",
            "repeated_event",
            "duplicate_sample",
            "input_file",
            "rejected_record",
            "unmetered_record",
            "unread_input",
            "stream",
            "series",
        ];
        let relations = snapshot.relations().into_iter().filter(|relation| !about_files.contains(relation));
        let paths = relations.flat_map(|relation| snapshot.files(relation).map(|file| file.path.clone()));
        paths.map(|path| (path.clone(), std::fs::read(self.path(&format!("lake/{path}"))).unwrap())).collect()
    }
}

/// The digests of the committed data files, and the bytes of the documents of the newest billing or close, by path.
pub(crate) fn state(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let snapshot = block_on(lake.snapshot()).unwrap();
    // `input_file` contains the time at which each file was written, which differs from lake to lake.
    let files = snapshot.all_files().filter(|file| file.relation != "input_file");
    let mut state: BTreeMap<String, Vec<u8>> =
        files.map(|file| (file.path.clone(), file.sha256.clone().into_bytes())).collect();
    for entry in block_on(lake.log()).unwrap().iter().filter(|entry| entry.period.is_some()) {
        // Only the newest documents are compared. Their paths get a name without the directory of the commit.
        state.retain(|path, _| !path.starts_with("documents/"));
        for document in &entry.documents {
            let bytes = block_on(lake.read(&document.path)).unwrap();
            // The index contains the paths of the input files.
            if !document.path.ends_with("/index.html") {
                let name = document.path.splitn(4, '/').nth(3).unwrap();
                state.insert(format!("documents/{name}"), bytes.to_vec());
            }
        }
    }
    state
}

/// Asserts that each relation has a manifest of the last commit that changed it, with the current files.
pub(crate) fn assert_manifests(lake: &Lake) {
    let snapshot = block_on(lake.snapshot()).unwrap();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for entry in block_on(lake.log()).unwrap() {
        for path in entry.added.iter().map(|file| &file.path).chain(&entry.removed) {
            last.insert(path.split('/').nth(1).unwrap().to_owned(), entry.sequence);
        }
    }
    for (relation, commit) in last {
        let bytes = block_on(lake.read(&format!("data/{relation}/manifest/{commit:020}.json"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let listed = manifest["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
        let current = snapshot.files(&relation).map(|file| file.path.as_str());
        assert_eq!(listed.collect::<Vec<_>>(), current.collect::<Vec<_>>(), "{relation}");
    }
}

/// The documents without the index, which contains the paths of the input files.
pub(crate) fn without_index(mut documents: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    documents.remove("index.html");
    documents
}

/// A decimal without trailing zeros; any other text is unchanged.
pub(crate) fn short(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

pub(crate) fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
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
