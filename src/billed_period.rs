//! A read session over one billed period: the relations under their own names, with the data of the last commit.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::error::{Error, LakeError};
use crate::model::config::Config;
use crate::model::period::{BillingPeriod, Calendar};
use crate::query::{Session, persisted_of, statement};
use crate::run::{Provenance, Transaction, register_verified, usage_of_summary};
use crate::storage::{CommitKind, DataFile, Lake, Snapshot};

const METERED_DAY: &str = "metering/metered_day";
const METERED_DAY_NAME: &str = "metered_day";

/// A read session over the relations of a billed period.
#[derive(Debug)]
pub struct BilledPeriod {
    pub session: Session,
    pub lake: Lake,
    pub snapshot: Snapshot,
    pub period: BillingPeriod,
    /// Whether an intake has changed the metered usage of the period after its last billing or close.
    pub has_unbilled_usage: bool,
}

/// The closed months whose metered usage changed after their last close, oldest first. The last three closed months are
/// examined, because each needs an earlier snapshot.
pub async fn closed_months_with_new_usage(lake: &Lake, snapshot: &Snapshot) -> Result<Vec<BillingPeriod>, Error> {
    let closes = snapshot.commits().iter().filter(|commit| commit.kind == CommitKind::Close);
    let months: BTreeSet<BillingPeriod> = closes.filter_map(|commit| commit.period.as_deref()?.parse().ok()).collect();
    let mut changed = Vec::new();
    for month in months.into_iter().rev().take(3) {
        let Some(last) = snapshot.last(CommitKind::Close, &month.to_string()) else { continue };
        let closed = lake.snapshot_as_of(usage_of_summary(last)).await?;
        if day_paths(&closed, month) != day_paths(snapshot, month) {
            changed.push(month);
        }
    }
    changed.reverse();
    Ok(changed)
}

/// The files of the metered days of a period.
fn days_of(snapshot: &Snapshot, period: BillingPeriod) -> impl Iterator<Item = &DataFile> {
    snapshot.files(METERED_DAY_NAME).filter(move |file| period.has_date(&file.partition))
}

fn day_paths(snapshot: &Snapshot, period: BillingPeriod) -> BTreeSet<&str> {
    days_of(snapshot, period).map(|file| file.path.as_str()).collect()
}

impl BilledPeriod {
    /// A session without relations.
    pub fn new(lake: Lake, snapshot: Snapshot, period: BillingPeriod) -> Result<Self, Error> {
        Ok(Self { session: Session::new(None)?, lake, snapshot, period, has_unbilled_usage: false })
    }

    /// A session with the persisted relations of rating and invoicing, the metered days that the last billing or close
    /// has rated, and the input files. `None` if the period was never billed.
    pub async fn open(config: &Config, period: BillingPeriod) -> Result<Option<Self>, Error> {
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let Some(last) = snapshot.last_documents(&period.to_string()) else { return Ok(None) };
        let rated = lake.snapshot_as_of(usage_of_summary(last)).await?;
        let mut books = Self::new(lake, snapshot, period)?;
        books.has_unbilled_usage = day_paths(&rated, period) != day_paths(&books.snapshot, period);
        books.register_books(days_of(&rated, period)).await?;
        Ok(Some(books))
    }

    /// A session over a period with the files that a transaction staged, as if a commit of them existed. The session
    /// shares the memory of the transaction's session.
    pub async fn staged(
        transaction: &Transaction,
        period: BillingPeriod,
        provenance: Provenance,
    ) -> Result<Self, Error> {
        let mut snapshot = transaction.snapshot.clone();
        snapshot.apply(&transaction.staged(provenance));
        let (session, lake) = (transaction.session.scope()?, transaction.lake.clone());
        let books = Self { session, lake, snapshot, period, has_unbilled_usage: false };
        let days = transaction.files_where(METERED_DAY_NAME, |file| period.has_date(&file.partition));
        books.register_books(days.iter()).await?;
        Ok(books)
    }

    /// Registers the relations of rating and invoicing, the rated days, and the input files.
    async fn register_books(&self, days: impl Iterator<Item = &DataFile>) -> Result<(), Error> {
        let name = self.period.to_string();
        for path in ["rating", "invoicing"].into_iter().flat_map(persisted_of) {
            self.register(path, |file| file.partition == name).await?;
        }
        self.register_files(METERED_DAY, days).await?;
        self.register("intake/input_file", |_| true).await
    }

    /// Registers a relation under its own name, with the files that match a predicate.
    pub async fn register(&self, path: &str, pick: impl Fn(&DataFile) -> bool) -> Result<(), Error> {
        let files = self.snapshot.files(&statement(path)?.name).filter(|file| pick(file));
        self.register_files(path, files).await
    }

    async fn register_files(&self, path: &str, files: impl Iterator<Item = &DataFile>) -> Result<(), Error> {
        if self.lake.is_dry_run() {
            // The engine reads from the store, which does not have the files of a dry run.
            let mut batches = Vec::new();
            for file in files {
                batches.extend(self.lake.read_rows(file, &statement(path)?.schema).await?);
            }
            return Ok(self.session.register(path, batches)?);
        }
        register_verified(&self.session, &self.lake, path, files).await
    }

    /// Registers a relation that is partitioned by date, with the files of the dates of the period.
    pub async fn register_days(&self, path: &str) -> Result<(), Error> {
        self.register(path, |file| self.period.has_date(&file.partition)).await
    }

    /// The billing calendar of the lake.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        let name = self.snapshot.settings().map_or("UTC", |settings| settings.time_zone.as_str());
        let zone =
            TimeZone::get(name).map_err(|source| Error::Lake(LakeError::TimeZone { name: name.to_owned(), source }))?;
        Ok(Calendar::new(zone))
    }
}
