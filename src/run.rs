//! What a stage gets: the lake, what is committed in it, the rules, an engine, and a place for what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::error::{Error, LakeError};
use crate::model::account::{Account, Accounts};
use crate::model::config::Config;
use crate::model::memory::MemoryShares;
use crate::model::money::Amount;
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::rule_book::RuleBook;
use crate::model::summary::IntakeSummary;
use crate::query::{Parameters, Session, persisted_relation, statement};
use crate::storage::{
    self, Commit, CommitKind, DataFile, DocumentFile, EncodedData, Lake, LakeSettings, MeterDefinition, Snapshot,
};

/// Where a stage tells how far it is. The command line draws it; nothing else depends on it.
pub trait Progress: Send + Sync + std::fmt::Debug {
    /// A step begins, with so many units of work if that is known.
    fn begin(&self, step: &str, units: u64);
    fn advance(&self, units: u64);
    fn end(&self);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// Which pages a run draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    All,
    /// Those whose content is not what it was.
    #[default]
    Changed,
    None,
}

/// What the person who starts a run decides.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub period: BillingPeriod,
    pub documents: Documents,
    /// Refuse to bill when more facts than this were rejected since the period was billed last.
    pub max_rejected: Option<u64>,
    pub memory_limit_bytes: Option<usize>,
    /// RFC 3339; nothing is computed from it.
    pub started_at: String,
    pub progress: Arc<dyn Progress>,
}

/// The rows of one partition and bucket, ready to be written.
#[derive(Debug)]
pub struct Part {
    relation: String,
    partition: String,
    bucket: u32,
    /// `None` without rows.
    data: Option<EncodedData>,
}

impl Part {
    pub fn has_rows(&self) -> bool {
        self.data.is_some()
    }
}

/// Encodes rows of a relation. Needs no run, so that several parts can be encoded at once.
pub fn encode(relation_path: &str, partition: &str, bucket: u32, batches: &[RecordBatch]) -> Result<Part, Error> {
    let relation = statement(relation_path)?;
    let data = if batches.iter().all(|batch| batch.num_rows() == 0) {
        None
    } else {
        Some(EncodedData::new(&relation.name, partition, bucket, &relation.schema, batches)?)
    };
    Ok(Part { relation: relation.name.clone(), partition: partition.to_owned(), bucket, data })
}

/// How much work is done at once.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does pieces of work at once, each on a thread of its own; the results are in the order of the pieces.
pub fn at_once<T: Send, R: Send>(work: Vec<T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let each = &each;
    std::thread::scope(|scope| {
        let running: Vec<_> = work.into_iter().map(|piece| scope.spawn(move || each(piece))).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Registers files of a lake under the name of the relation at a path. The engine reads them by itself and knows no
/// digests, so each is compared with the log first.
pub async fn register_verified<'a>(
    session: &Session,
    lake: &Lake,
    path: &str,
    files: impl IntoIterator<Item = &'a DataFile>,
) -> Result<(), Error> {
    register_files(session, lake, path, files, |_| true).await
}

async fn register_files<'a>(
    session: &Session,
    lake: &Lake,
    path: &str,
    files: impl IntoIterator<Item = &'a DataFile>,
    is_to_verify: impl Fn(&DataFile) -> bool,
) -> Result<(), Error> {
    let relation = statement(path)?;
    let files: Vec<&DataFile> = files.into_iter().collect();
    for file in files.iter().filter(|file| is_to_verify(file)) {
        lake.verify(file, &relation.schema).await?;
    }
    Ok(session.register_files(&relation.name, relation.schema.clone(), lake, files)?)
}

/// One run of the pipeline over one period.
#[derive(Debug)]
pub struct Run {
    pub lake: Lake,
    pub snapshot: Snapshot,
    /// The last drafts of the period, whole.
    pub billed: Option<Commit>,
    /// The last close of the period, whole.
    pub closed: Option<Commit>,
    /// What is being issued.
    pub issue: Option<Issue>,
    pub session: Session,
    pub memory: MemoryShares,
    pub config: Arc<Config>,
    pub rules: Arc<RuleBook>,
    pub calendar: Calendar,
    pub period: BillingPeriod,
    pub options: RunOptions,
    /// Files written since the last commit.
    added: BTreeMap<String, DataFile>,
    /// Committed files that no longer count.
    removed: BTreeSet<String>,
    /// Control totals of the commit to come.
    pub totals: BTreeMap<String, String>,
    /// What intake counted in this run.
    pub intake_totals: BTreeMap<String, String>,
    pub documents: Vec<DocumentFile>,
    /// What a person decided, for the commit to come.
    pub remarks: Vec<String>,
    /// What the commit to come says is about to be deleted, or is.
    pub vacuumed: Vec<String>,
    /// From which date on it keeps samples.
    pub samples_from: Option<Date>,
    /// The period is brought to today's rules although it is closed.
    pub is_restatement: bool,
    /// The accounts that a restated period was closed with: some that it takes something back from may be gone.
    pub former_accounts: Accounts,
    /// The date whose taxes and exchange rates hold: the last day of the period, or what its close said.
    pub tax_point: Date,
}

/// How what was rebuilt compares with what was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reproduction {
    /// Data files and documents.
    pub compared: u64,
    /// The program that made them.
    pub program_version: String,
    /// Paths whose bytes are not what they were, or that were not made at all.
    pub different: Vec<String>,
}

/// Documents that are being issued.
#[derive(Clone, Debug)]
pub struct Issue {
    pub date: Date,
    pub tax_point: Date,
    /// In the order of their place in the chain.
    pub documents: Vec<IssuedDocument>,
    /// Where the chain of all issued documents goes on, and the digest of its last document.
    pub chain_number: u64,
    pub previous_sha256: Option<String>,
}

/// Rows of the relations that documents are made of, of what is due beyond what was issued: in place of those that were
/// drafted.
#[derive(Debug, Default)]
pub struct CorrectedRows {
    pub document_header: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub line_reference: Vec<RecordBatch>,
    pub unbilled_cost: Vec<RecordBatch>,
    /// What credits get back, by id.
    pub returned: BTreeMap<String, Amount>,
}

/// Which program this is: entries of the log say which one made them.
pub const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Under which name a close keeps its tax point.
pub const TAX_POINT: &str = "tax_point";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedDocument {
    pub number: DocumentNumber,
    /// `invoice` or `credit_note`.
    pub kind: &'static str,
    /// The number and date of issue of the document it corrects.
    pub corrects: Option<(String, Date)>,
    /// Why it corrects.
    pub reason: Option<String>,
    /// When an invoice is to be paid, where somebody says after how many days.
    pub due_date: Option<Date>,
}

/// The number of a document for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentNumber {
    /// As it stands on the document: `INV-2026-00001`.
    pub number: String,
    /// Who issues it: the VAT id, or the name where there is none.
    pub seller: String,
    /// The account of the reseller that does; absent: the seller of the configuration.
    pub sold_by: Option<String>,
    /// What tells the numbers of one issuer from those of others.
    pub series: String,
    pub year: i16,
    /// Without a gap in a series, kind and year.
    pub sequence: u64,
}

impl Issue {
    pub fn document(&self, number: &str) -> Option<&IssuedDocument> {
        self.documents.iter().find(|document| document.number.number == number)
    }
}

impl Run {
    pub async fn open(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<Self, Error> {
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        Self::over(lake, snapshot, config, rules, options).await
    }

    /// As it was before an entry was committed. The rules are for whoever takes them from there.
    pub async fn open_before(
        lake: Lake,
        config: Arc<Config>,
        options: RunOptions,
        sequence: u64,
    ) -> Result<Self, Error> {
        let snapshot = match sequence.checked_sub(1) {
            Some(last) => lake.snapshot_as_of(last).await?,
            None => Snapshot::default(),
        };
        Self::over(lake, snapshot, config, Arc::default(), options).await
    }

    async fn over(
        lake: Lake,
        snapshot: Snapshot,
        config: Arc<Config>,
        rules: Arc<RuleBook>,
        options: RunOptions,
    ) -> Result<Self, Error> {
        let wanted = LakeSettings { time_zone: config.time_zone.clone(), buckets: config.buckets };
        if let Some(fixed) = snapshot.settings()
            && *fixed != wanted
        {
            return Err(Error::Lake(LakeError::LakeSettings { fixed: fixed.clone(), wanted }));
        }
        let zone = TimeZone::get(&config.time_zone)
            .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))?;
        let last = async |kind| match snapshot.last(kind, &options.period.to_string()) {
            Some(last) => Ok::<_, Error>(Some(lake.log_entry(last.sequence).await?)),
            None => Ok(None),
        };
        let memory = MemoryShares::of(options.memory_limit_bytes);
        let (billed, closed) = (last(CommitKind::Billing).await?, last(CommitKind::Close).await?);
        let kept = closed.as_ref().and_then(|closed| closed.totals.get(TAX_POINT)?.parse().ok());
        let tax_point = kept.unwrap_or(options.period.last_day());
        Ok(Self {
            tax_point,
            billed,
            closed,
            issue: None,
            remarks: Vec::new(),
            vacuumed: Vec::new(),
            samples_from: None,
            is_restatement: false,
            former_accounts: Accounts::default(),
            session: Session::new(memory.engine)?,
            memory,
            lake,
            snapshot,
            config,
            rules,
            calendar: Calendar::new(zone),
            period: options.period,
            options,
            added: BTreeMap::new(),
            removed: BTreeSet::new(),
            totals: BTreeMap::new(),
            intake_totals: BTreeMap::new(),
            documents: Vec::new(),
        })
    }

    /// Puts files of the lake out of use.
    pub fn remove(&mut self, files: &[DataFile]) {
        for file in files {
            self.added.remove(&file.path);
            self.removed.insert(file.path.clone());
        }
    }

    /// Takes over what an entry behind the snapshot made of usage, and nothing of what it priced.
    pub fn take_usage_of(&mut self, entry: &Commit) {
        let is_usage = |relation: &str| {
            let stage = persisted_relation(relation).ok().and_then(|relation| relation.path.split('/').next());
            matches!(stage, Some("intake" | "metering"))
        };
        let gone = entry.removed.iter().filter(|path| self.snapshot.relation_of(path).is_some_and(is_usage));
        self.removed.extend(gone.cloned());
        let made = entry.added.iter().filter(|file| is_usage(&file.relation));
        self.added.extend(made.map(|file| (file.path.clone(), file.clone())));
    }

    /// The files of a relation as this run sees them: what is committed, less what it removed, with what it wrote.
    pub fn files(&self, relation: &str) -> Vec<DataFile> {
        self.files_where(relation, |_| true)
    }

    /// Those of them that a predicate picks.
    pub fn files_where(&self, relation: &str, pick: impl Fn(&DataFile) -> bool) -> Vec<DataFile> {
        let committed = self.snapshot.files(relation).filter(|file| !self.removed.contains(&file.path));
        let written = self.added.values().filter(|file| file.relation == relation);
        let mut files: Vec<DataFile> = committed.chain(written).filter(|file| pick(file)).cloned().collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files.dedup_by(|left, right| left.path == right.path);
        files
    }

    /// The files of one partition and bucket.
    pub fn partition_files(&self, relation: &str, partition: &str, bucket: u32) -> Vec<DataFile> {
        self.files_where(relation, |file| file.partition == partition && file.bucket == bucket)
    }

    /// Adds rows to a partition, beside what is there.
    pub async fn append(
        &mut self,
        relation_path: &str,
        partition: &str,
        bucket: u32,
        batches: &[RecordBatch],
    ) -> Result<(), Error> {
        self.append_encoded(encode(relation_path, partition, bucket, batches)?).await
    }

    /// Writes a data file, under another name where its own is being deleted.
    async fn write(&self, data: EncodedData) -> Result<DataFile, Error> {
        let is_tombstoned = self.snapshot.is_tombstoned(&data.file.path);
        let data = if is_tombstoned { data.renamed(self.snapshot.next_sequence()) } else { data };
        Ok(self.lake.write_data(data).await?)
    }

    pub async fn append_encoded(&mut self, part: Part) -> Result<(), Error> {
        if let Some(data) = part.data {
            let file = self.write(data).await?;
            if !self.snapshot.contains(&file.path) || self.removed.remove(&file.path) {
                self.added.insert(file.path.clone(), file);
            }
        }
        Ok(())
    }

    /// Makes these rows the whole content of a partition and bucket. Says whether that changed anything.
    pub async fn replace(
        &mut self,
        relation_path: &str,
        partition: &str,
        bucket: u32,
        batches: &[RecordBatch],
    ) -> Result<bool, Error> {
        self.replace_encoded(encode(relation_path, partition, bucket, batches)?).await
    }

    pub async fn replace_encoded(&mut self, part: Part) -> Result<bool, Error> {
        let before = self.partition_files(&part.relation, &part.partition, part.bucket);
        let after = match part.data {
            Some(data) => Some(self.write(data).await?),
            None => None,
        };
        let unchanged = match &after {
            Some(file) => before.len() == 1 && before[0].path == file.path,
            None => before.is_empty(),
        };
        if unchanged {
            return Ok(false);
        }
        for file in before {
            self.added.remove(&file.path);
            self.removed.insert(file.path);
        }
        if let Some(file) = after {
            self.removed.remove(&file.path);
            self.added.insert(file.path.clone(), file);
        }
        Ok(true)
    }

    /// Whether this run wrote to or removed from a relation.
    pub fn has_changed(&self, relation: &str) -> bool {
        let is_of_it = |path: &String| self.snapshot.relation_of(path) == Some(relation);
        self.added.values().any(|file| file.relation == relation) || self.removed.iter().any(is_of_it)
    }

    /// Takes back what this run wrote to and removed from a relation.
    pub fn restore(&mut self, relation: &str) {
        self.added.retain(|_, file| file.relation != relation);
        let committed: BTreeSet<&str> = self.snapshot.files(relation).map(|file| file.path.as_str()).collect();
        self.removed.retain(|path| !committed.contains(path.as_str()));
    }

    /// Registers a relation of the lake, in the partitions that a predicate picks, under its own name.
    /// The engine reads the files by itself and knows no digests, so those that this run did not write are compared
    /// with the log first.
    #[tracing::instrument(level = "debug", name = "register", skip(self, pick))]
    pub async fn register(&self, relation_path: &str, pick: impl Fn(&DataFile) -> bool) -> Result<(), Error> {
        let relation = statement(relation_path)?;
        let files = self.files(&relation.name);
        let files: Vec<&DataFile> = files.iter().filter(|file| pick(file)).collect();
        if self.lake.is_dry_run() {
            // The engine reads a store, and what a rehearsal wrote is in none.
            let mut batches = Vec::new();
            for file in files {
                batches.extend(self.lake.read_rows(file, &relation.schema).await?);
            }
            return Ok(self.session.register(relation_path, batches)?);
        }
        let is_of_others = |file: &DataFile| !self.added.contains_key(&file.path);
        register_files(&self.session, &self.lake, relation_path, files, is_of_others).await
    }

    /// Every row of a relation of the lake, in the partitions that a predicate picks.
    pub async fn read(&self, relation: &str, pick: impl Fn(&DataFile) -> bool) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::new();
        let schema = &persisted_relation(relation)?.schema;
        for file in self.files(relation).iter().filter(|file| pick(file)) {
            batches.extend(self.lake.read_rows(file, schema).await?);
        }
        Ok(batches)
    }

    /// Some columns of a relation of the lake, in the partitions that a predicate picks.
    pub async fn read_columns(
        &self,
        relation: &str,
        columns: &[&str],
        pick: impl Fn(&DataFile) -> bool,
    ) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::new();
        for file in self.files_where(relation, pick) {
            for batch in self.lake.data(&file).await?.batches(columns)? {
                batches.push(batch?);
            }
        }
        Ok(batches)
    }

    /// Runs a check. Rows that it gives break its claim, and nothing is committed.
    pub async fn check(&self, path: &str) -> Result<(), Error> {
        self.check_with(path, Parameters::none()).await
    }

    pub async fn check_with(&self, path: &str, parameters: Parameters) -> Result<(), Error> {
        let claim = statement(path)?;
        let rows = self.session.violations(path, parameters).await?;
        if rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        Err(Error::BrokenCheck { claim: claim.name.clone(), summary: claim.summary.clone(), rows })
    }

    /// Holds what was made in hand against what an entry says that was made.
    pub fn compared_with(&self, entry: &Commit) -> Reproduction {
        let made: BTreeMap<&str, &str> =
            self.added.values().map(|file| (file.path.as_str(), file.sha256.as_str())).collect();
        let drawn: BTreeMap<&str, &str> =
            self.documents.iter().map(|document| (document.path.as_str(), document.sha256.as_str())).collect();
        let mut rebuilt = Reproduction { program_version: entry.program_version.clone(), ..Reproduction::default() };
        let named = entry.added.iter().map(|file| (&file.path, &file.sha256, &made));
        let named = named.chain(entry.documents.iter().map(|one| (&one.path, &one.sha256, &drawn)));
        for (path, sha256, found) in named {
            rebuilt.compared += 1;
            if found.get(path.as_str()) != Some(&sha256.as_str()) {
                rebuilt.different.push(path.clone());
            }
        }
        rebuilt
    }

    /// An account of today, or one that the period was closed with.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.config.accounts.get(id).or_else(|| self.former_accounts.get(id))
    }

    /// The last commit that drew the documents of the period.
    pub fn drawn(&self) -> Option<&Commit> {
        self.closed.as_ref().or(self.billed.as_ref())
    }

    /// What intake counted in this run, in numbers.
    pub fn intake_summary(&self) -> IntakeSummary {
        let taken_in = |name: &str| self.intake_totals.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        IntakeSummary {
            files_read: taken_in("files"),
            records_read: taken_in("read"),
            samples_accepted: taken_in("accepted"),
            samples_duplicate: taken_in("duplicate"),
            records_rejected: taken_in("rejected"),
            records_unmetered: taken_in("unmetered"),
            intake_commit: None,
        }
    }

    /// Everything the results depend on that a person wrote, by name.
    pub fn inputs(&self) -> BTreeMap<String, String> {
        let mut inputs = BTreeMap::new();
        inputs.insert(self.config.source.name.clone(), self.config.source.text.clone());
        let beside = self.config.accounts.source.iter().chain(&self.config.exchange_rates_source);
        for source in beside.chain(&self.rules.sources) {
            inputs.insert(source.name.clone(), source.text.clone());
        }
        inputs.extend(self.config.look.to_keep());
        inputs
    }

    /// Commits what is new. Where nothing is, there is no commit: a second run on the same input changes nothing.
    ///
    /// Where another run committed in the meantime something that this one does not depend on, it is put again behind
    /// it; otherwise the race is lost and everything has to be computed again.
    #[tracing::instrument(level = "debug", name = "commit", skip(self))]
    pub async fn commit(&mut self, kind: CommitKind) -> Result<Option<u64>, Error> {
        self.removed.retain(|path| self.snapshot.contains(path));
        let has_period = matches!(kind, CommitKind::Billing | CommitKind::Close);
        let period = has_period.then(|| self.period.to_string());
        let inputs = self.inputs();
        let documents = std::mem::take(&mut self.documents);
        let definitions = self.rules.meters.iter().map(|meter| (meter.name.clone(), MeterDefinition::of(meter)));
        let meters: BTreeMap<String, MeterDefinition> = definitions.collect();
        let known = match kind {
            CommitKind::Intake => self.snapshot.meters().is_empty() || *self.snapshot.meters() == meters,
            CommitKind::Billing => {
                self.billed.as_ref().is_some_and(|last| last.inputs == inputs && last.documents == documents)
            }
            _ => false,
        };
        if self.added.is_empty() && self.removed.is_empty() && known {
            return Ok(None);
        }
        if self.lake.is_dry_run() {
            self.documents = documents;
            return Err(storage::Error::DryRun.into());
        }
        let mut commit = Commit {
            sequence: self.snapshot.next_sequence(),
            kind,
            program_version: PROGRAM_VERSION.to_owned(),
            committed_at: self.options.started_at.clone(),
            settings: LakeSettings { time_zone: self.config.time_zone.clone(), buckets: self.config.buckets },
            period,
            added: std::mem::take(&mut self.added).into_values().collect(),
            removed: std::mem::take(&mut self.removed).into_iter().collect(),
            meters,
            totals: std::mem::take(&mut self.totals),
            inputs,
            configuration: self.config.source.name.clone(),
            remarks: std::mem::take(&mut self.remarks),
            documents,
            vacuumed: std::mem::take(&mut self.vacuumed),
            samples_from: self.samples_from.take().map(|date| date.to_string()),
        };
        let entry_sha256 = loop {
            match self.lake.commit(&commit).await {
                Err(storage::Error::Conflict { sequence }) => {
                    let winner = self.lake.log_entry(sequence).await?;
                    if commit.depends_on(&winner) {
                        return Err(storage::Error::Conflict { sequence }.into());
                    }
                    self.snapshot.apply(&winner);
                    commit.sequence = self.snapshot.next_sequence();
                }
                put => break put?,
            }
        };
        self.snapshot.apply(&commit);
        self.lake.checkpoint(&self.snapshot, entry_sha256).await;
        let sequence = commit.sequence;
        match kind {
            CommitKind::Billing => self.billed = Some(commit),
            CommitKind::Close => self.closed = Some(commit),
            _ => {}
        }
        Ok(Some(sequence))
    }
}
