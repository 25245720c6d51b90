//! The books of one billed period, to be read: every relation of the lake under its own name, as the last commits have
//! them.

use crate::config::Config;
use crate::period::BillingPeriod;
use crate::pipeline::Error;
use crate::query::{Session, kept_of, statement};
use crate::storage::{CommitKind, Lake, Snapshot};

#[derive(Debug)]
pub struct Books {
    pub session: Session,
    pub lake: Lake,
    pub snapshot: Snapshot,
    pub period: BillingPeriod,
}

impl Books {
    /// `None` where the period was never billed.
    pub async fn open(config: &Config, period: BillingPeriod) -> Result<Option<Self>, Error> {
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let was = |kind| snapshot.last(kind, &period.to_string()).is_some();
        if !was(CommitKind::Billing) && !was(CommitKind::Close) {
            return Ok(None);
        }
        let books = Self { session: Session::new(None)?, lake, snapshot, period };
        let name = period.to_string();
        for path in ["rating", "invoicing"].into_iter().flat_map(kept_of) {
            books.register(path, |partition| partition == name).await?;
        }
        let (start, end) = (period.start().to_string(), period.end().to_string());
        books.register("metering/metered_day", |day| start.as_str() <= day && day < end.as_str()).await?;
        books.register("intake/input_file", |_| true).await?;
        Ok(Some(books))
    }

    async fn register(&self, path: &str, pick: impl Fn(&str) -> bool) -> Result<(), Error> {
        let relation = statement(path)?;
        let files: Vec<_> = self.snapshot.files(&relation.name).filter(|file| pick(&file.partition)).collect();
        for file in &files {
            self.lake.verify(file, &relation.schema).await?;
        }
        Ok(self.session.register_files(&relation.name, relation.schema.clone(), &self.lake, files)?)
    }
}
