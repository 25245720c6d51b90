//! A read session over one billed period: the relations under their own names, with the data of the last commit.

use jiff::tz::TimeZone;

use crate::error::{Error, LakeError};
use crate::model::config::Config;
use crate::model::period::{BillingPeriod, Calendar};
use crate::query::{Session, persisted_of, statement};
use crate::run::register_verified;
use crate::storage::{DataFile, Lake, Snapshot};

/// A read session over the relations of a billed period.
#[derive(Debug)]
pub struct BilledPeriod {
    pub session: Session,
    pub lake: Lake,
    pub snapshot: Snapshot,
    pub period: BillingPeriod,
}

impl BilledPeriod {
    /// A session without relations.
    pub fn new(lake: Lake, snapshot: Snapshot, period: BillingPeriod) -> Result<Self, Error> {
        Ok(Self { session: Session::new(None)?, lake, snapshot, period })
    }

    /// A session with the persisted relations of rating and invoicing, the metered days and the input files.
    /// `None` if the period was never billed.
    pub async fn open(config: &Config, period: BillingPeriod) -> Result<Option<Self>, Error> {
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        if snapshot.last_documents(&period.to_string()).is_none() {
            return Ok(None);
        }
        let books = Self::new(lake, snapshot, period)?;
        let name = period.to_string();
        for path in ["rating", "invoicing"].into_iter().flat_map(persisted_of) {
            books.register(path, |file| file.partition == name).await?;
        }
        books.register_days("metering/metered_day").await?;
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

    /// The billing calendar of the lake.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        let name = self.snapshot.settings().map_or("UTC", |settings| settings.time_zone.as_str());
        let zone =
            TimeZone::get(name).map_err(|source| Error::Lake(LakeError::TimeZone { name: name.to_owned(), source }))?;
        Ok(Calendar::new(zone))
    }
}
