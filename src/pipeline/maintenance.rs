//! Commands on the lake as a whole, without a period.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::again_after_a_conflict;
use crate::error::Error;
use crate::intake::retraction;
use crate::intake::retraction::{Retracted, Subject};
use crate::maintenance::{self, Compacted, Expired, Vacuumed};
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::run::{Environment, RunOptions, Transaction};
use crate::storage::{CommitKind, Findings};
use crate::{closing, metering};

/// Retracts the samples of a file or of a record, and meters their dates again.
pub async fn retract(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    options: RunOptions,
    subject: &Subject,
    reason: &str,
) -> Result<Retracted, Error> {
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        let (mut arrived, retracted) = retraction::retract(&environment, &mut transaction, subject, reason).await?;
        metering::meter_changed_days(&environment, &mut transaction, &mut arrived).await?;
        transaction.remarks.push(format!("retracted {}: {reason}", retracted.retracted));
        let commit = transaction.commit(environment.provenance(CommitKind::Intake)).await?;
        Ok(Retracted { commit: commit.map(|commit| commit.sequence), ..retracted })
    })
    .await
}

/// Merges the small files of usage.
pub async fn compact(config: Arc<Config>, options: RunOptions, least_files: usize) -> Result<Compacted, Error> {
    again_after_a_conflict(async || {
        let (environment, mut transaction) = open(&config, &options).await?;
        maintenance::compact(&environment, &mut transaction, least_files).await
    })
    .await
}

/// Removes the samples of all periods up to and including `through`, which must be closed.
pub async fn expire(config: Arc<Config>, options: RunOptions, through: BillingPeriod) -> Result<Expired, Error> {
    again_after_a_conflict(async || {
        let (environment, mut transaction) = open(&config, &options).await?;
        maintenance::expire(&environment, &mut transaction, through).await
    })
    .await
}

/// Deletes the files that have been unreferenced for longer than an age. A dry run only returns their number and size.
pub async fn vacuum(
    config: Arc<Config>,
    options: RunOptions,
    now: Timestamp,
    age: Duration,
    is_dry_run: bool,
) -> Result<Vacuumed, Error> {
    again_after_a_conflict(async || {
        let (environment, mut transaction) = open(&config, &options).await?;
        maintenance::vacuum(&environment, &mut transaction, now, age, is_dry_run).await
    })
    .await
}

/// Compares everything in the lake with the commit log, and every issued document with the previous document of the
/// chain.
pub async fn verify(config: Arc<Config>, options: RunOptions) -> Result<Findings, Error> {
    let environment = Environment::new(config, Arc::default(), options)?;
    let transaction = Transaction::open_to_read(&environment).await?;
    let mut findings = transaction.lake.verify_all().await?;
    findings.damaged.extend(closing::broken_links(&transaction).await?);
    Ok(findings)
}

/// Opens a transaction. The environment has no rules, because maintenance needs none.
async fn open(config: &Arc<Config>, options: &RunOptions) -> Result<(Environment, Transaction), Error> {
    let environment = Environment::new(Arc::clone(config), Arc::default(), options.clone())?;
    let transaction = Transaction::open(&environment).await?;
    Ok((environment, transaction))
}
