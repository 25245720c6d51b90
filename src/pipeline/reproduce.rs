//! The reproduction of a commit: its results are computed again from the lake before it, and compared byte by byte.

use crate::catalog::stored::read_catalog;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::close::{CloseOptions, issue};
use super::{cancel, correct, final_invoice, restate};
use crate::closing::correction::ChangeCause;
use crate::error::{ClosingError, Error, LakeError};
use crate::model::close_blocker::CloseDecision;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::run::{ACCOUNT, Context, Documents, Environment, Mode, RunOptions, TAX_POINT, Transaction};
use crate::storage::{Commit, CommitKind, Lake};
use crate::{closing, documents, invoicing, metering, rating};

/// The comparison of a reproduction with its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reproduced {
    /// The number of compared data files and documents.
    pub compared: u64,
    /// The version of the program that made the commit.
    pub program_version: String,
    /// The paths of different and missing files.
    pub different: Vec<String>,
}

/// Computes the results of a commit again, from the lake before it and its committed inputs, and compares every byte. A
/// reproduction is a dry run.
pub async fn reproduce(config: Arc<Config>, options: RunOptions, sequence: u64) -> Result<Reproduced, Error> {
    let lake = Lake::open(&config.lake)?;
    let entry = lake.snapshot_as_of(sequence).await.and(lake.log_entry(sequence).await)?;
    let period = entry.period.as_deref().and_then(|period| period.parse().ok());
    let Some(period) = period.filter(|_| entry.kind != CommitKind::Intake) else {
        return Err(Error::Lake(LakeError::NothingToReproduce { sequence }));
    };
    let current = Environment::new(config, Arc::default(), options)?;
    let mut dry_run = Transaction::dry_run_before(&lake, &current, sequence).await?;
    let environment = correct::environment_of(&current, &entry)?;
    let context = match (entry.kind, entry.totals.get(CloseDecision::ISSUE_DATE).and_then(|date| date.parse().ok())) {
        (kind, Some(issue_date)) if kind.issues_documents() => {
            let tax_point = entry.totals.get(TAX_POINT).and_then(|date| date.parse().ok());
            let account = entry.totals.get(ACCOUNT).cloned();
            let (remark, approved_by) = (entry.remarks.first().cloned(), entry.approved_by.clone());
            let closing = CloseOptions { issue_date, tax_point, force: true, remark, approved_by, account };
            if correct::is_cancellation(&entry) {
                cancel::cancel_again(&environment, &mut dry_run, period, &entry, &closing).await?
            } else if correct::is_restatement(&entry) {
                issue_restatement(&environment, &lake, &mut dry_run, period, &entry, &closing).await?
            } else {
                issue_close(&environment, &mut dry_run, period, &entry, &closing).await?
            }
        }
        _ => draft(&environment, &mut dry_run, period).await?,
    };
    Ok(compare(&dry_run.staged(context.provenance(entry.kind)), &entry))
}

/// Drafts a period again.
async fn draft(environment: &Environment, dry_run: &mut Transaction, period: BillingPeriod) -> Result<Context, Error> {
    let catalog = read_catalog(dry_run).await?;
    let mode = Mode::of_period(&dry_run.lake, &dry_run.snapshot, period).await?;
    let context = Context::new(environment, period, mode);
    let issued = closing::issued::issued(&context, dry_run).await?;
    rating::rate(&context, dry_run, catalog.all_series()?).await?;
    invoicing::draft(&context, dry_run).await?;
    final_invoice::draft(&context, dry_run, &issued).await?;
    documents::stage(&context, dry_run, Documents::All, None).await?;
    Ok(context)
}

/// Closes a period again, or corrects a closed period again.
async fn issue_close(
    environment: &Environment,
    dry_run: &mut Transaction,
    period: BillingPeriod,
    entry: &Commit,
    closing: &CloseOptions,
) -> Result<Context, Error> {
    let catalog = read_catalog(dry_run).await?;
    let mode = Mode::of_period(&dry_run.lake, &dry_run.snapshot, period).await?;
    let context = Context::new(environment, period, mode);
    let context = context.with_separate_corrections(correct::recorded_without_next_invoice(entry));
    let context = match &closing.account {
        Some(account) => final_invoice::context(context, account, closing.issue_date, closing.tax_point)?,
        None => context.at_chosen_tax_point(closing.tax_point)?,
    };
    issue(&context, dry_run, &catalog, closing, Documents::All, ChangeCause::Usage).await?;
    Ok(context)
}

/// Restates a closed period again.
async fn issue_restatement(
    environment: &Environment,
    lake: &Lake,
    dry_run: &mut Transaction,
    period: BillingPeriod,
    entry: &Commit,
    closing: &CloseOptions,
) -> Result<Context, Error> {
    let mut catalog = read_catalog(dry_run).await?;
    let by_the_close = Mode::of_period(&dry_run.lake, &dry_run.snapshot, period).await?;
    let closed = Arc::clone(
        by_the_close.closed().ok_or(Error::Closing(ClosingError::NotClosed { period: period.to_string() }))?,
    );
    let by_usage = {
        let mut dry_run = Transaction::dry_run_before(lake, environment, entry.sequence).await?;
        let (environment, context) = correct::by_the_close(environment, period, by_the_close)?;
        correct::changed_by_usage(&environment, &context, &mut dry_run, &catalog).await?
    };
    let context = Context::new(environment, period, restate::restatement(Arc::clone(&closed)));
    let context = context.at_chosen_tax_point(closing.tax_point)?;
    let context = context.with_separate_corrections(correct::recorded_without_next_invoice(entry));
    metering::restate(environment, dry_run, &mut catalog, period, &closed).await?;
    issue(&context, dry_run, &catalog, closing, Documents::All, ChangeCause::Rules(&by_usage)).await?;
    Ok(context)
}

/// Compares the files and documents of a commit with the reproduced files and documents.
fn compare(made: &Commit, entry: &Commit) -> Reproduced {
    let files: BTreeMap<&str, &str> = made.added.iter().map(|file| (&*file.path, &*file.sha256)).collect();
    let documents: BTreeMap<&str, &str> = made.documents.iter().map(|one| (&*one.path, &*one.sha256)).collect();
    let mut reproduced = Reproduced { program_version: entry.program_version.clone(), ..Reproduced::default() };
    let expected = entry.added.iter().map(|file| (&file.path, &file.sha256, &files));
    let expected = expected.chain(entry.documents.iter().map(|one| (&one.path, &one.sha256, &documents)));
    for (path, sha256, found) in expected {
        reproduced.compared += 1;
        if found.get(path.as_str()) != Some(&sha256.as_str()) {
            reproduced.different.push(path.clone());
        }
    }
    reproduced
}
