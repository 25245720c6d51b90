//! A read session over one billed period: the relations under their own names, with the data of the last commit.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::error::{Error, LakeError};
use crate::model::config::Config;
use crate::model::period::{BillingPeriod, Calendar};
use crate::query::{Session, persisted_of, statement};
use crate::run::{register_verified, usage_of_summary};
use crate::storage::{DataFile, Lake, Snapshot};

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
        let name = period.to_string();
        let Some(billed_at) = snapshot.last_documents(&name).map(usage_of_summary) else { return Ok(None) };
        let mut books = Self::new(lake, snapshot, period)?;
        for path in ["rating", "invoicing"].into_iter().flat_map(persisted_of) {
            books.register(path, |file| file.partition == name).await?;
        }
        books.register_rated_days(billed_at).await?;
        books.register("intake/input_file", |_| true).await?;
        Ok(Some(books))
    }

    /// Registers a relation under its own name, with the files that match a predicate.
    pub async fn register(&self, path: &str, pick: impl Fn(&DataFile) -> bool) -> Result<(), Error> {
        let files = self.snapshot.files(&statement(path)?.name).filter(|file| pick(file));
        register_verified(&self.session, &self.lake, path, files).await
    }

    /// Registers a relation that is partitioned by date, with the files of the dates of the period.
    pub async fn register_days(&self, path: &str) -> Result<(), Error> {
        self.register(path, |file| self.period.has_date(&file.partition)).await
    }

    /// Registers the metered days of the period that a billing or close has rated.
    async fn register_rated_days(&mut self, billed_at: u64) -> Result<(), Error> {
        const PATH: &str = "metering/metered_day";
        let relation = &statement(PATH)?.name;
        let rated = self.lake.snapshot_as_of(billed_at).await?;
        let of_period = |file: &&DataFile| self.period.has_date(&file.partition);
        let paths = |snapshot: &Snapshot| -> BTreeSet<String> {
            snapshot.files(relation).filter(of_period).map(|file| file.path.clone()).collect()
        };
        let has_unbilled_usage = paths(&rated) != paths(&self.snapshot);
        register_verified(&self.session, &self.lake, PATH, rated.files(relation).filter(of_period)).await?;
        self.has_unbilled_usage = has_unbilled_usage;
        Ok(())
    }

    /// The billing calendar of the lake.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        let name = self.snapshot.settings().map_or("UTC", |settings| settings.time_zone.as_str());
        let zone =
            TimeZone::get(name).map_err(|source| Error::Lake(LakeError::TimeZone { name: name.to_owned(), source }))?;
        Ok(Calendar::new(zone))
    }
}
