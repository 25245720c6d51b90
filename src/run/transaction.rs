//! A transaction of the lake: the files that are staged on a snapshot, until they are committed or dropped.

use crate::run::provenance::Provenance;
use std::collections::{BTreeMap, BTreeSet};

use arrow::record_batch::RecordBatch;
use jiff::civil::Date;

use super::{Environment, PROGRAM_VERSION};
use crate::error::Error;
use crate::error::LakeError;
use crate::model::close_blocker::{CloseBlocker, CloseDecision};
use crate::model::period::BillingPeriod;
use crate::query::{Parameters, Session, persisted_relation, statement};
use crate::storage::{self, ChangedRelations, Commit, CommitKind, DataFile, DocumentFile, EncodedData, Lake, Snapshot};

/// The encoded rows of one partition and shard.
#[derive(Debug)]
pub struct Part {
    relation: String,
    partition: String,
    shard: u32,
    /// `None` if there are no rows.
    data: Option<EncodedData>,
}

impl Part {
    pub fn has_rows(&self) -> bool {
        self.data.is_some()
    }

    /// Records the rows in the log, which a test compares with the rows of the statements.
    fn log(&self) {
        let rows = self.data.as_ref().map_or(0, |data| data.file.rows);
        tracing::debug!(relation = self.relation, rows, "staged");
    }
}

/// Encodes rows of a relation. The encoding needs no transaction, so several threads can encode at the same time.
pub fn encode(relation_path: &str, partition: &str, shard: u32, batches: &[RecordBatch]) -> Result<Part, Error> {
    let relation = statement(relation_path)?;
    let data = if batches.iter().all(|batch| batch.num_rows() == 0) {
        None
    } else {
        Some(EncodedData::new(&relation.name, partition, shard, &relation.schema, batches)?)
    };
    Ok(Part { relation: relation.name.clone(), partition: partition.to_owned(), shard, data })
}

/// Registers files of a lake under the name of the relation at a path. The engine reads the files without the lake and
/// cannot check digests, so each file is compared with the log first.
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
    needs_verification: impl Fn(&DataFile) -> bool,
) -> Result<(), Error> {
    let relation = statement(path)?;
    let files: Vec<&DataFile> = files.into_iter().collect();
    for file in files.iter().filter(|file| needs_verification(file)) {
        lake.verify(file, &relation.schema).await?;
    }
    Ok(session.register_files(&relation.name, relation.schema.clone(), lake, files)?)
}

/// Whether intake or metering writes a relation.
fn is_usage(relation: &str) -> bool {
    let stage = persisted_relation(relation).ok().and_then(|relation| relation.path.split('/').next());
    matches!(stage, Some("intake" | "metering"))
}

/// Runs a check. Rows in the result violate the invariant: then an error is returned, and nothing may be committed.
pub async fn check(session: &Session, path: &str) -> Result<(), Error> {
    let check = statement(path)?;
    let rows = session.violations(path, Parameters::none()).await?;
    if rows.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(());
    }
    Err(Error::BrokenCheck { claim: check.name.clone(), summary: check.summary.clone(), rows })
}

/// Everything that is staged for one commit of the lake, and the snapshot that it is staged on.
///
/// A dry run is a transaction over [`Lake::dry_run`]: stages write to memory and read back what they wrote, and
/// nothing can be committed.
#[derive(Debug)]
pub struct Transaction {
    pub lake: Lake,
    pub snapshot: Snapshot,
    /// The snapshot whose intake and metering relations are read; `None` for those of `snapshot`.
    usage: Option<Snapshot>,
    /// The relations that statements read.
    pub session: Session,
    /// Files written since the last commit.
    added: BTreeMap<String, DataFile>,
    /// Committed files that this transaction removes.
    removed: BTreeSet<String>,
    /// Control totals.
    pub totals: BTreeMap<String, String>,
    pub documents: Vec<DocumentFile>,
    /// The reasons that the operator gave.
    pub remarks: Vec<String>,
    /// The name of the person who approved the documents.
    pub approved_by: Option<String>,
    /// The close blockers that the operator overrode.
    pub overridden_blockers: Vec<CloseBlocker>,
    /// The paths that a vacuum deletes.
    pub vacuumed: Vec<String>,
    /// The first date with samples, after an expiry.
    pub samples_from: Option<Date>,
}

impl Transaction {
    /// Begins a transaction that is never committed on everything that is committed. It writes nothing, not even
    /// manifests that are missing.
    pub async fn open_to_read(environment: &Environment) -> Result<Self, Error> {
        let lake = Lake::open(&environment.config.lake)?;
        let snapshot = lake.snapshot().await?;
        Self::over(lake, snapshot, environment)
    }

    /// Begins a transaction on everything that is committed.
    pub async fn open(environment: &Environment) -> Result<Self, Error> {
        let lake = Lake::open(&environment.config.lake)?;
        let snapshot = lake.snapshot().await?;
        lake.complete_manifests(&snapshot).await;
        Self::over(lake, snapshot, environment)
    }

    /// Begins a dry run on the lake as it was before a commit.
    pub async fn dry_run_before(lake: &Lake, environment: &Environment, sequence: u64) -> Result<Self, Error> {
        let snapshot = match sequence.checked_sub(1) {
            Some(last) => lake.snapshot_as_of(last).await?,
            None => Snapshot::default(),
        };
        Self::over(lake.dry_run(), snapshot, environment)
    }

    /// Begins a dry run on the snapshot of this transaction.
    pub fn dry_run(&self, environment: &Environment) -> Result<Self, Error> {
        Self::over(self.lake.dry_run(), self.snapshot.clone(), environment)
    }

    fn over(lake: Lake, snapshot: Snapshot, environment: &Environment) -> Result<Self, Error> {
        let wanted = environment.lake_settings();
        if let Some(fixed) = snapshot.settings()
            && *fixed != wanted
        {
            return Err(Error::Lake(LakeError::LakeSettings { fixed: fixed.clone(), wanted }));
        }
        Ok(Self {
            session: Session::new(environment.memory.engine)?,
            lake,
            snapshot,
            usage: None,
            added: BTreeMap::new(),
            removed: BTreeSet::new(),
            totals: BTreeMap::new(),
            documents: Vec::new(),
            remarks: Vec::new(),
            approved_by: None,
            overridden_blockers: Vec::new(),
            vacuumed: Vec::new(),
            samples_from: None,
        })
    }

    /// Stages the removal of files.
    pub fn remove(&mut self, files: &[DataFile]) {
        for file in files {
            self.added.remove(&file.path);
            self.removed.insert(file.path.clone());
        }
    }

    /// Stages the intake and metering files of a later commit, without its rating files.
    pub fn take_usage_of(&mut self, entry: &Commit) {
        let removed = entry.removed.iter().filter(|path| self.snapshot.relation_of(path).is_some_and(is_usage));
        self.removed.extend(removed.cloned());
        let added = entry.added.iter().filter(|file| is_usage(&file.relation));
        self.added.extend(added.map(|file| (file.path.clone(), file.clone())));
    }

    /// Reads the intake and metering relations of an earlier snapshot. Usage that arrived later is not read, and this
    /// transaction does not change it.
    pub fn read_usage_of(&mut self, snapshot: Snapshot) {
        self.usage = Some(snapshot);
    }

    /// The files of a relation in this transaction: the files of the snapshot without the removed files, and the added
    /// files.
    pub fn files(&self, relation: &str) -> Vec<DataFile> {
        self.files_where(relation, |_| true)
    }

    /// The files of a relation that a predicate picks.
    pub fn files_where(&self, relation: &str, pick: impl Fn(&DataFile) -> bool) -> Vec<DataFile> {
        let snapshot = self.usage.as_ref().filter(|_| is_usage(relation)).unwrap_or(&self.snapshot);
        let committed = snapshot.files(relation).filter(|file| !self.removed.contains(&file.path));
        let written = self.added.values().filter(|file| file.relation == relation);
        let mut files: Vec<DataFile> = committed.chain(written).filter(|file| pick(file)).cloned().collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files.dedup_by(|left, right| left.path == right.path);
        files
    }

    /// The files of one partition and shard.
    pub fn partition_files(&self, relation: &str, partition: &str, shard: u32) -> Vec<DataFile> {
        self.files_where(relation, |file| file.partition == partition && file.shard == shard)
    }

    /// Adds rows to a partition. Its existing rows stay.
    pub async fn append(
        &mut self,
        relation_path: &str,
        partition: &str,
        shard: u32,
        batches: &[RecordBatch],
    ) -> Result<(), Error> {
        self.append_encoded(encode(relation_path, partition, shard, batches)?).await
    }

    /// Writes a data file. If a vacuum is deleting the file of the regular name, the new file gets another name.
    async fn write(&self, data: EncodedData) -> Result<DataFile, Error> {
        let is_tombstoned = self.snapshot.is_tombstoned(&data.file.path);
        let data = if is_tombstoned { data.renamed(self.snapshot.next_sequence()) } else { data };
        Ok(self.lake.write_data(data).await?)
    }

    pub async fn append_encoded(&mut self, part: Part) -> Result<(), Error> {
        part.log();
        if let Some(data) = part.data {
            let file = self.write(data).await?;
            if !self.snapshot.contains(&file.path) || self.removed.remove(&file.path) {
                self.added.insert(file.path.clone(), file);
            }
        }
        Ok(())
    }

    /// Replaces the content of a partition and shard with the given rows. Returns whether the files changed.
    pub async fn replace(
        &mut self,
        relation_path: &str,
        partition: &str,
        shard: u32,
        batches: &[RecordBatch],
    ) -> Result<bool, Error> {
        self.replace_encoded(encode(relation_path, partition, shard, batches)?).await
    }

    pub async fn replace_encoded(&mut self, part: Part) -> Result<bool, Error> {
        part.log();
        let before = self.partition_files(&part.relation, &part.partition, part.shard);
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
            // A second replacement can restore the committed content.
            if !self.snapshot.contains(&file.path) {
                self.added.insert(file.path.clone(), file);
            }
        }
        Ok(true)
    }

    /// Whether files of a relation were added or removed.
    pub fn has_changed(&self, relation: &str) -> bool {
        let is_of_it = |path: &String| self.snapshot.relation_of(path) == Some(relation);
        self.added.values().any(|file| file.relation == relation) || self.removed.iter().any(is_of_it)
    }

    /// Removes everything that is staged for a relation.
    pub fn restore(&mut self, relation: &str) {
        self.added.retain(|_, file| file.relation != relation);
        let committed: BTreeSet<&str> = self.snapshot.files(relation).map(|file| file.path.as_str()).collect();
        self.removed.retain(|path| !committed.contains(path.as_str()));
    }

    /// Registers a relation of the lake for statements, with the files that a predicate picks.
    pub async fn register(&self, relation_path: &str, pick: impl Fn(&DataFile) -> bool) -> Result<(), Error> {
        self.register_in(&self.session, relation_path, pick).await
    }

    /// Registers a relation of the lake for the statements of a scope of the session.
    ///
    /// The engine reads the files without the lake and cannot check digests. So the files that this transaction did not
    /// write are compared with the log first.
    #[tracing::instrument(level = "debug", name = "register", skip(self, session, pick))]
    pub async fn register_in(
        &self,
        session: &Session,
        relation_path: &str,
        pick: impl Fn(&DataFile) -> bool,
    ) -> Result<(), Error> {
        let relation = statement(relation_path)?;
        let files = self.files(&relation.name);
        let files: Vec<&DataFile> = files.iter().filter(|file| pick(file)).collect();
        if self.lake.is_dry_run() {
            // The engine reads from the store, which does not have the files of a dry run.
            let mut batches = Vec::new();
            for file in files {
                batches.extend(self.lake.read_rows(file, &relation.schema).await?);
            }
            return Ok(session.register(relation_path, batches)?);
        }
        let is_committed = |file: &DataFile| !self.added.contains_key(&file.path);
        register_files(session, &self.lake, relation_path, files, is_committed).await
    }

    /// The rows of a relation in the files that a predicate picks.
    pub async fn read(&self, relation: &str, pick: impl Fn(&DataFile) -> bool) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::new();
        let schema = &persisted_relation(relation)?.schema;
        for file in self.files(relation).iter().filter(|file| pick(file)) {
            batches.extend(self.lake.read_rows(file, schema).await?);
        }
        Ok(batches)
    }

    /// Some columns of a relation in the files that a predicate picks.
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

    /// The operator's decisions about the closes of a period: the committed ones, and those of a staged close.
    pub fn close_decisions(&self, period: BillingPeriod) -> Vec<CloseDecision> {
        let period = period.to_string();
        let mut decisions = self.snapshot.close_decisions(&period);
        let total = |name: &str| self.totals.get(name).cloned();
        if let (Some(issue_date), Some(cause)) = (total(CloseDecision::ISSUE_DATE), total(CloseDecision::CAUSE)) {
            decisions.push(CloseDecision {
                commit: None,
                period,
                issue_date,
                cause,
                approved_by: self.approved_by.clone(),
                reasons: self.remarks.clone(),
                overridden_blockers: self.overridden_blockers.clone(),
            });
        }
        decisions
    }

    /// The commit of everything that is staged. A dry run has this commit as its result.
    pub fn staged(&self, provenance: Provenance) -> Commit {
        let removed = self.removed.iter().filter(|path| self.snapshot.contains(path));
        Commit {
            sequence: self.snapshot.next_sequence(),
            kind: provenance.kind,
            program_version: PROGRAM_VERSION.to_owned(),
            committed_at: provenance.committed_at,
            settings: provenance.settings,
            period: provenance.period,
            added: self.added.values().cloned().collect(),
            removed: removed.cloned().collect(),
            meters: provenance.meters,
            totals: self.totals.clone(),
            inputs: provenance.inputs,
            configuration: provenance.configuration,
            remarks: self.remarks.clone(),
            approved_by: self.approved_by.clone(),
            overridden_blockers: self.overridden_blockers.clone(),
            documents: self.documents.clone(),
            vacuumed: self.vacuumed.clone(),
            samples_from: self.samples_from.map(|date| date.to_string()),
        }
    }

    /// Commits everything that is staged, and returns the commit. Without changes there is no commit, so a second run
    /// on the same input changes nothing.
    ///
    /// If another command committed first, and this commit does not depend on it, this commit gets the next number.
    /// Otherwise there is a conflict, and everything has to be computed again.
    #[tracing::instrument(level = "debug", name = "commit", skip(self, provenance), fields(kind = ?provenance.kind))]
    pub async fn commit(&mut self, provenance: Provenance) -> Result<Option<Commit>, Error> {
        let drafted = provenance.drafted.clone();
        let mut commit = self.staged(provenance);
        if self.is_recorded(&commit, drafted.as_deref()) {
            self.unstage();
            return Ok(None);
        }
        let mut changed = ChangedRelations::default();
        let entry_sha256 = loop {
            match self.lake.commit(&commit).await {
                Err(storage::Error::Conflict { sequence }) => {
                    let winner = self.lake.log_entry(sequence).await?;
                    if commit.depends_on(&winner) {
                        return Err(storage::Error::Conflict { sequence }.into());
                    }
                    self.snapshot.apply(&winner);
                    changed.add(&winner);
                    commit.sequence = self.snapshot.next_sequence();
                }
                put => break put?,
            }
        };
        self.unstage();
        self.snapshot.apply(&commit);
        changed.add(&commit);
        // The manifests of the other commands are written too, because their writers may have been killed.
        self.lake.write_manifests(&self.snapshot, &changed).await;
        self.lake.checkpoint(&self.snapshot, entry_sha256).await;
        Ok(Some(commit))
    }

    /// Applies everything that is staged to the snapshot of a dry run. Later stages read it as if it were committed.
    pub fn keep(&mut self, provenance: Provenance) {
        let commit = self.staged(provenance);
        let is_recorded = self.is_recorded(&commit, None);
        self.unstage();
        if !is_recorded {
            self.snapshot.apply(&commit);
        }
    }

    /// Whether a commit would record nothing new.
    fn is_recorded(&self, commit: &Commit, drafted: Option<&Commit>) -> bool {
        let has_same_inputs = match commit.kind {
            CommitKind::Intake => self.snapshot.meters().is_empty() || *self.snapshot.meters() == commit.meters,
            CommitKind::Billing => {
                drafted.is_some_and(|last| last.inputs == commit.inputs && last.documents == commit.documents)
            }
            _ => false,
        };
        commit.added.is_empty() && commit.removed.is_empty() && has_same_inputs
    }

    /// Removes everything that is staged.
    fn unstage(&mut self) {
        self.added.clear();
        self.removed.clear();
        self.totals.clear();
        self.documents.clear();
        self.remarks.clear();
        self.approved_by = None;
        self.overridden_blockers.clear();
        self.vacuumed.clear();
        self.samples_from = None;
    }
}
