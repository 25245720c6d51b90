//! Billing: intake of new usage, and draft invoices.

use std::sync::Arc;

use super::{again_after_a_conflict, correct, final_invoice};
use crate::catalog::stored::read_catalog;
use crate::catalog::streams::Catalog;
use crate::closing::correction::ChangeCause;
use crate::error::{Error, IntakeError};
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::model::summary::{IntakeSummary, Summary};
use crate::run::{Context, Documents, Environment, Mode, RunOptions, Transaction};
use crate::storage::{CommitKind, Lake};
use crate::{closing, documents, intake as sources, invoicing, metering, rating};

/// The options of a billing.
#[derive(Clone, Copy, Debug)]
pub struct BillingOptions {
    pub period: BillingPeriod,
    pub documents: Documents,
    /// The largest accepted number of rejected records since the last billing of the period. Above it, nothing is
    /// billed.
    pub max_rejected: Option<u64>,
    /// Whether a period without usage is billed although the lake has usage of other periods.
    pub allow_no_usage: bool,
}

/// Reads new usage and drafts the invoices of a period. There are two commits, so that usage is committed even if a
/// rule is wrong.
pub async fn run(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    billing: BillingOptions,
    options: RunOptions,
) -> Result<Summary, Error> {
    bill(config, rules, billing, options, None).await
}

/// As [`run`]. With `taken_in`, an intake that is already done, no source is read again.
async fn bill(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    billing: BillingOptions,
    options: RunOptions,
    taken_in: Option<&IntakeSummary>,
) -> Result<Summary, Error> {
    let mut first_intake = None;
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        let (catalog, intake) = match taken_in {
            Some(intake) => (read_catalog(&transaction).await?, intake.clone()),
            None => take_in(&environment, &mut transaction).await?,
        };
        let mode = Mode::of_period(&transaction.lake, &transaction.snapshot, billing.period).await?;
        match &mode {
            Mode::Draft { .. } => {
                let context = Context::new(&environment, billing.period, mode);
                let intake = intake_of_all_attempts(&mut first_intake, intake);
                draft(&context, &mut transaction, catalog, billing, intake).await
            }
            Mode::Correct { .. } | Mode::Restate { .. } => {
                report_corrections(&environment, transaction, &catalog, billing.period, mode, intake).await
            }
        }
    })
    .await
}

/// Bills each open month: the previous month until it is closed, then the period of the options. Usage is read once;
/// the summary of the first month has the counts of intake. If one month fails, the other month is still billed.
pub async fn run_open_periods(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    billing: BillingOptions,
    options: RunOptions,
) -> Result<Vec<(BillingPeriod, Result<Summary, Error>)>, Error> {
    let read = self::intake(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
    let mut taken_in = read.clone();
    let mut billed = Vec::new();
    for period in open_periods(&config, billing.period).await? {
        let billing = BillingOptions { period, ..billing };
        let intake = Some(&read);
        let summary = bill(Arc::clone(&config), Arc::clone(&rules), billing, options.clone(), intake).await;
        let summary = summary.map(|summary| Summary { intake: std::mem::take(&mut taken_in), ..summary });
        billed.push((period, summary));
    }
    Ok(billed)
}

/// The months to bill: the previous month, if it is open and the lake has its usage or drafts, and then the current
/// month.
async fn open_periods(config: &Config, current: BillingPeriod) -> Result<Vec<BillingPeriod>, Error> {
    let snapshot = Lake::open(&config.lake)?.snapshot().await?;
    let previous = current.previous();
    let name = previous.to_string();
    let has_usage = || snapshot.files("metered_day").any(|file| previous.has_date(&file.partition));
    let has_drafts = || snapshot.last_documents(&name).is_some();
    let mut periods = Vec::new();
    if snapshot.last(CommitKind::Close, &name).is_none() && (has_usage() || has_drafts()) {
        periods.push(previous);
    }
    periods.push(current);
    Ok(periods)
}

/// The first half of a billing: reads new usage and meters it. Nothing is priced.
pub async fn intake(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<IntakeSummary, Error> {
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        Ok(take_in(&environment, &mut transaction).await?.1)
    })
    .await
}

/// Reads and meters the new usage of all sources, and commits it. A dry run keeps it in memory.
pub(super) async fn take_in(
    environment: &Environment,
    transaction: &mut Transaction,
) -> Result<(Catalog, IntakeSummary), Error> {
    let mut arrived = sources::load(environment, transaction).await?; //   sources -> stream, series, sample, …
    // sample -> metered_usage, metered_day, stream_state
    metering::meter_changed_days(environment, transaction, &mut arrived).await?;
    let provenance = environment.provenance(CommitKind::Intake);
    if transaction.lake.is_dry_run() {
        transaction.keep(provenance);
        return Ok((arrived.catalog, arrived.summary));
    }
    let commit = transaction.commit(provenance).await?;
    let intake_commit = commit.map(|commit| commit.sequence);
    Ok((arrived.catalog, IntakeSummary { intake_commit, ..arrived.summary }))
}

/// Prices an open period, drafts its invoices and commits them.
async fn draft(
    context: &Context,
    transaction: &mut Transaction,
    catalog: Catalog,
    billing: BillingOptions,
    intake: IntakeSummary,
) -> Result<Summary, Error> {
    refuse_too_many_rejected(context, transaction, billing.max_rejected, intake.unread_inputs.len())?;
    if !billing.allow_no_usage {
        refuse_no_usage(context, transaction)?;
    }
    let series = catalog.all_series()?;
    // There are as many streams as resources, and the next stages do not read them.
    drop(catalog);
    let issued = closing::issued::issued(context, transaction).await?;
    rating::rate(context, transaction, series).await?; //         + rating rules -> rated_usage, unrated_usage
    invoicing::draft(context, transaction).await?; //               rated_usage  -> invoice_line, tax_breakdown, invoice
    // accounts with a final invoice: drafts - issued documents -> corrections
    let changes = final_invoice::draft(context, transaction, &issued).await?;
    // all of them -> pages and CSV files
    let summary = documents::stage(context, transaction, billing.documents, None).await?;
    let commit = transaction.commit(context.provenance(CommitKind::Billing)).await?;
    let latest = commit.as_ref().or(context.mode.last_documents());
    documents::point_to_latest(&transaction.lake, context.period, latest).await?;
    Ok(Summary { intake, billing_commit: commit.map(|commit| commit.sequence), changes, ..summary })
}

/// Reports the corrections of a closed period. It is a dry run: nothing is issued.
async fn report_corrections(
    environment: &Environment,
    transaction: Transaction,
    catalog: &Catalog,
    period: BillingPeriod,
    mode: Mode,
    intake: IntakeSummary,
) -> Result<Summary, Error> {
    let present = Arc::clone(&environment.config);
    let (environment, context) = correct::by_the_close(environment, period, mode)?;
    correct::refuse_another_program(&environment, &context, &transaction).await?;
    let accounts = correct::without_next_invoice(&present.accounts, &context, &transaction);
    let context = context.with_separate_corrections(accounts);
    let mut dry_run = transaction.dry_run(&environment)?;
    drop(transaction);
    let changes = correct::difference(&context, &mut dry_run, catalog, ChangeCause::Usage).await?.changes;
    let has_new_usage = changes.is_empty() && correct::has_other_usage(&dry_run);
    Ok(Summary { period: period.to_string(), intake, closed: true, changes, has_new_usage, ..Summary::default() })
}

/// The counts of the attempt that read the usage. A later attempt finds this usage in the lake and reads nothing.
fn intake_of_all_attempts(first: &mut Option<IntakeSummary>, intake: IntakeSummary) -> IntakeSummary {
    let intake = first.take().filter(|_| intake.intake_commit.is_none()).unwrap_or(intake);
    *first = Some(intake.clone());
    intake
}

/// Returns an error if more records and inputs than the limit are left out. Records count that were rejected since the
/// last billing of the period, and all unread inputs. A second run is therefore refused too.
fn refuse_too_many_rejected(
    context: &Context,
    transaction: &Transaction,
    limit: Option<u64>,
    unread: usize,
) -> Result<(), Error> {
    let Some(limit) = limit else { return Ok(()) };
    let billed = context.mode.drafted().map(|commit| commit.sequence);
    let commits = transaction.snapshot.commits().iter();
    let since = commits.filter(|commit| billed.is_none_or(|billed| commit.sequence > billed));
    // A file that was cut off has a rejected record until its whole content is delivered.
    let rejected = since.fold(0_u64, |rejected, commit| {
        let total = |name| commit.totals.get(name).and_then(|total| total.parse().ok()).unwrap_or(0);
        rejected.saturating_sub(total("replaced_rejections")).saturating_add(total("rejected"))
    });
    let unread = unread as u64;
    if rejected.saturating_add(unread) > limit {
        return Err(Error::Intake(IntakeError::TooManyRejected { rejected, unread, limit }));
    }
    Ok(())
}

/// Returns an error if the lake has usage, but none of the period. A period with drafts is billed again, because its
/// usage can be retracted.
fn refuse_no_usage(context: &Context, transaction: &Transaction) -> Result<(), Error> {
    let Some((first, last)) = transaction.snapshot.usage_of_other_periods(context.period) else { return Ok(()) };
    if context.mode.drafted().is_some() {
        return Ok(());
    }
    let (period, first, last) = (context.period.to_string(), first.to_owned(), last.to_owned());
    Err(Error::Intake(IntakeError::NoUsage { period, first, last }))
}
