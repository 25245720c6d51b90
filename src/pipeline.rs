//! The stages in their order, stated once: the table of contents of the program.

use crate::error::ClosingError;
use crate::error::Error;
use crate::error::IntakeError;
use crate::error::LakeError;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::streams::Catalog;
use crate::closing::correction::{self, ChangeCause, Correction, LineDifferences};
use crate::closing::reason;
use crate::housekeeping::{Compacted, Expired, Vacuumed};
use crate::intake::retraction::Withdrawn;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::model::summary::{CloseSummary, IntakeSummary, Summary};
use crate::rating::comparison::{self, Comparison, Payer, Side};
use crate::run::{self, Reproduction, Run, RunOptions};
use crate::storage::{Commit, CommitKind, Findings};
use crate::{closing, documents, housekeeping, intake, invoicing, load, metering, rating, storage};

/// How often a run begins again because another one committed first.
const ATTEMPTS: u32 = 5;

/// One night: usage in, draft invoices out. Two commits: what was taken in is kept even where a rule is wrong.
pub async fn run(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<Summary, Error> {
    let mut taken_in = None;
    retry_on_conflict(async || night(&config, &rules, &options, &mut taken_in).await).await
}

async fn night(
    config: &Arc<Config>,
    rules: &Arc<RuleBook>,
    options: &RunOptions,
    taken_in: &mut Option<IntakeSummary>,
) -> Result<Summary, Error> {
    let mut run = Run::open(Arc::clone(config), Arc::clone(rules), options.clone()).await?;
    let (catalog, intake) = take_in(&mut run).await?;
    if run.closed.is_some() {
        // What was issued stays; the night tells what is due beyond it.
        use_committed_inputs(&mut run)?;
        refuse_another_program(&run).await?;
        let changes = dry_run_correction(&mut run, &catalog, ChangeCause::Usage).await?.changes;
        let (period, has_new_usage) = (run.period.to_string(), changes.is_empty() && has_other_usage(&run));
        return Ok(Summary { period, intake, closed: true, changes, has_new_usage, ..Summary::default() });
    }
    refuse_too_many_rejected(&run)?;
    let series = catalog.all_series()?;
    // Nothing after this asks for a stream, and there are as many as resources.
    drop(catalog);
    rating::rate(&mut run, series).await?; //             + rating-rules -> rated_usage, unrated_usage
    invoicing::draft(&mut run).await?; //                 rated_usage    -> invoice_line, tax_breakdown, invoice
    let summary = documents::draw(&mut run).await?; //    all of it      -> pages and CSV
    // A second attempt finds the usage of the first one in the lake.
    let intake = taken_in.take().filter(|_| intake.intake_commit.is_none()).unwrap_or(intake);
    *taken_in = Some(intake.clone());
    let billing_commit = run.commit(CommitKind::Billing).await?;
    documents::point_to_latest(&run).await?;
    Ok(Summary { intake, billing_commit, ..summary })
}

/// Issues the documents of a period, or of what is due for a closed period since. Nothing to issue is no commit.
pub async fn close(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    options: RunOptions,
    closing: CloseOptions,
) -> Result<CloseSummary, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        let (catalog, intake) = take_in(&mut run).await?;
        if run.closed.is_some() {
            use_committed_inputs(&mut run)?;
            refuse_another_program(&run).await?;
        }
        let summary = issue(&mut run, &catalog, &closing, ChangeCause::Usage).await?;
        Ok(CloseSummary { intake, ..summary })
    })
    .await
}

/// Brings today's rules and this program to a closed period. Without a date it is a rehearsal that tells what would
/// change.
pub async fn restate(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    options: RunOptions,
    approved: Option<CloseOptions>,
) -> Result<CloseSummary, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        if run.closed.is_none() {
            return Err(Error::Closing(ClosingError::NotClosed { period: run.period.to_string() }));
        }
        let (mut catalog, intake) = take_in(&mut run).await?;
        run.is_restatement = true;
        keep_former_accounts(&mut run);
        // What usage alone changed is told apart from what the rules, or a newer program, did.
        let mut by_usage = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        use_committed_inputs(&mut by_usage)?;
        let by_usage = changed_by_usage(&mut by_usage, &catalog).await?;
        let cause = ChangeCause::Rules(&by_usage);
        let summary = match &approved {
            Some(closing) => {
                metering::restate(&mut run, &mut catalog).await?;
                issue(&mut run, &catalog, closing, cause).await?
            }
            None => {
                run.lake = run.lake.dry_run();
                metering::restate(&mut run, &mut catalog).await?;
                let changes = dry_run_correction(&mut run, &catalog, cause).await?.changes;
                CloseSummary { period: run.period.to_string(), changes, ..CloseSummary::default() }
            }
        };
        Ok(CloseSummary { intake, ..summary })
    })
    .await
}

/// What a person decides who issues documents.
#[derive(Clone, Debug)]
pub struct CloseOptions {
    pub issue_date: Date,
    /// The date whose taxes and exchange rates hold; `None` is the last day of the period.
    pub tax_point: Option<Date>,
    /// Close in spite of everything that speaks against it; what did is recorded.
    pub force: bool,
    /// Why, in their own words; recorded.
    pub remark: Option<String>,
}

/// Whether usage costs something else than what was committed, whoever pays for it.
fn has_other_usage(run: &Run) -> bool {
    ["rated_usage", "unrated_usage", "non_usage_charge", "suspended_account"]
        .iter()
        .any(|relation| run.has_changed(relation))
}

/// Rates, numbers, draws and commits.
async fn issue(
    run: &mut Run,
    catalog: &Catalog,
    closing: &CloseOptions,
    cause: ChangeCause<'_>,
) -> Result<CloseSummary, Error> {
    let before = closing::issued::issued(run).await?;
    let is_first = run.closed.is_none();
    if let Some(tax_point) = closing.tax_point.filter(|tax_point| *tax_point != run.tax_point) {
        if !is_first {
            return Err(Error::Closing(ClosingError::TaxPointKept {
                period: run.period.to_string(),
                kept: run.tax_point,
            }));
        }
        run.tax_point = tax_point;
    }
    rating::rate(run, catalog.all_series()?).await?;
    invoicing::draft(run).await?;
    let mut changes = Vec::new();
    run.remarks.extend(closing.remark.clone());
    if is_first {
        let reasons = closing::refusals(run, closing.issue_date).await?;
        if !reasons.is_empty() && !closing.force {
            return Err(Error::Closing(ClosingError::CloseBlocked { period: run.period.to_string(), reasons }));
        }
        run.remarks.extend(reasons.into_iter().map(|reason| format!("closed in spite of it: {reason}")));
    } else {
        let correction = correction::difference(run, &before, cause).await?;
        // Usage that changes no document, of ourselves or of who is set aside, is in the books all the same.
        if correction.changes.is_empty() && !has_other_usage(run) {
            return Ok(CloseSummary { period: run.period.to_string(), was_closed: true, ..CloseSummary::default() });
        }
        changes = correction.changes;
        invoicing::draft_corrections(run, correction.documents).await?;
    }
    run.totals.insert("issue_date".to_owned(), closing.issue_date.to_string());
    run.totals.insert(run::TAX_POINT.to_owned(), run.tax_point.to_string());
    let reason = match cause {
        _ if is_first => "close",
        ChangeCause::Usage => reason::LATE_USAGE,
        ChangeCause::Rules(_) => reason::CHANGED_RULE,
    };
    run.totals.insert("reason".to_owned(), reason.to_owned());
    closing::number(run, before, closing.issue_date).await?;
    let drawn = documents::draw(run).await?;
    closing::seal(run).await?;
    let documents = run.issue.iter().flat_map(|issue| &issue.documents).map(|one| one.number.number.clone()).collect();
    let commit = run.commit(CommitKind::Close).await?;
    documents::point_to_latest(run).await?;
    Ok(CloseSummary {
        period: run.period.to_string(),
        documents,
        changes,
        commit,
        directory: drawn.directory,
        was_closed: !is_first,
        ..CloseSummary::default()
    })
}

/// What would be issued for a closed period now; nothing is written.
async fn dry_run_correction(run: &mut Run, catalog: &Catalog, cause: ChangeCause<'_>) -> Result<Correction, Error> {
    run.lake = run.lake.dry_run();
    let before = closing::issued::issued(run).await?;
    rating::rate(run, catalog.all_series()?).await?;
    invoicing::draft(run).await?;
    correction::difference(run, &before, cause).await
}

/// What usage alone changed in a closed period. Where a newer program does otherwise, nothing is told apart from that.
async fn changed_by_usage(run: &mut Run, catalog: &Catalog) -> Result<LineDifferences, Error> {
    if is_changed_by_program(run).await? {
        return Ok(LineDifferences::default());
    }
    Ok(dry_run_correction(run, catalog, ChangeCause::Usage).await?.found)
}

/// Late usage is no reason to bring what a newer program does otherwise to a closed month.
async fn refuse_another_program(run: &Run) -> Result<(), Error> {
    match &run.closed {
        Some(closed) if is_changed_by_program(run).await? => {
            let (period, then) = (run.period.to_string(), closed.program_version.clone());
            Err(Error::Closing(ClosingError::VersionMismatch { period, then, now: run::PROGRAM_VERSION }))
        }
        _ => Ok(()),
    }
}

/// Whether this program would issue something else for a closed period than the one that closed it last, from the usage
/// that it was closed with.
async fn is_changed_by_program(run: &Run) -> Result<bool, Error> {
    let Some(closed) = run.closed.as_ref().filter(|closed| closed.program_version != run::PROGRAM_VERSION) else {
        return Ok(false);
    };
    let issued = closing::issued::issued(run).await?;
    let (lake, config) = (run.lake.dry_run(), Arc::clone(&run.config));
    let mut then = Run::open_before(lake, config, run.options.clone(), closed.sequence).await?;
    take_committed_inputs(&mut then, closed)?;
    then.tax_point = run.tax_point;
    if is_of_changed_rules(closed) {
        // As the restatement metered it: the samples may be gone since.
        then.is_restatement = true;
        then.take_usage_of(closed);
    }
    let catalog = intake::catalog(&then).await?;
    rating::rate(&mut then, catalog.all_series()?).await?;
    invoicing::draft(&mut then).await?;
    Ok(!correction::difference(&mut then, &issued, ChangeCause::Usage).await?.changes.is_empty())
}

/// Whether an entry brought today's rules to a closed period.
fn is_of_changed_rules(entry: &Commit) -> bool {
    entry.totals.get("reason").is_some_and(|reason| reason == reason::CHANGED_RULE)
}

/// Takes configuration, accounts and rules of the close in place of today's.
fn use_committed_inputs(run: &mut Run) -> Result<(), Error> {
    let Some(closed) = run.closed.clone() else { return Ok(()) };
    take_committed_inputs(run, &closed)
}

fn take_committed_inputs(run: &mut Run, entry: &Commit) -> Result<(), Error> {
    let (kept, problems) = load::read_committed_inputs(&entry.inputs, &entry.configuration);
    let Some((config, rules)) = kept.filter(|_| !problems.has_errors()) else {
        return Err(Error::Invalid(problems.into_sorted()));
    };
    run.config = Arc::new(Config { lake: run.config.lake.clone(), ..config });
    run.rules = Arc::new(rules);
    Ok(())
}

/// Who is not in today's accounts any more is still named on what is taken back from them.
fn keep_former_accounts(run: &mut Run) {
    let kept =
        run.closed.as_ref().and_then(|closed| load::read_committed_inputs(&closed.inputs, &closed.configuration).0);
    run.former_accounts = kept.map(|(config, _)| config.accounts).unwrap_or_default();
}

/// Rebuilds what an entry of the log made, from the lake before it and from what it kept, and compares every byte.
/// Nothing is written.
pub async fn rebuild(config: Arc<Config>, options: RunOptions, sequence: u64) -> Result<Reproduction, Error> {
    let lake = storage::Lake::open(&config.lake)?;
    let entry = lake.snapshot_as_of(sequence).await.and(lake.log_entry(sequence).await)?;
    let period = entry.period.as_deref().and_then(|period| period.parse().ok());
    let Some(period) = period.filter(|_| entry.kind != CommitKind::Intake) else {
        return Err(Error::Lake(LakeError::NothingToReproduce { sequence }));
    };
    let options = RunOptions { period, documents: run::Documents::All, ..options };
    let mut run = Run::open_before(lake.dry_run(), config, options, sequence).await?;
    take_committed_inputs(&mut run, &entry)?;
    let mut catalog = intake::catalog(&run).await?;
    match (entry.kind, entry.totals.get("issue_date").and_then(|date| date.parse().ok())) {
        (CommitKind::Close, Some(issue_date)) => {
            let by_usage = if is_of_changed_rules(&entry) {
                let lake = lake.dry_run();
                let mut run = Run::open_before(lake, Arc::clone(&run.config), run.options.clone(), sequence).await?;
                use_committed_inputs(&mut run)?;
                Some(changed_by_usage(&mut run, &catalog).await?)
            } else {
                None
            };
            let cause = by_usage.as_ref().map_or(ChangeCause::Usage, ChangeCause::Rules);
            if by_usage.is_some() {
                run.is_restatement = true;
                keep_former_accounts(&mut run);
                metering::restate(&mut run, &mut catalog).await?;
            }
            let tax_point = entry.totals.get(run::TAX_POINT).and_then(|date| date.parse().ok());
            let closing = CloseOptions { issue_date, tax_point, force: true, remark: None };
            match issue(&mut run, &catalog, &closing, cause).await {
                Err(Error::Storage(storage::Error::DryRun)) | Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        _ => {
            rating::rate(&mut run, catalog.all_series()?).await?;
            invoicing::draft(&mut run).await?;
            documents::draw(&mut run).await?;
        }
    }
    Ok(run.compared_with(&entry))
}

/// What is metered in a period under its own rules and under others, with what fees, discounts and commitments make of
/// it. Nothing is written.
pub async fn compare(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    other: &RuleBook,
    options: RunOptions,
) -> Result<Comparison, Error> {
    let mut run = Run::open(config, Arc::clone(&rules), options).await?;
    let catalog = intake::catalog(&run).await?;
    let mut comparison = Comparison::default();
    for (rules, side) in [(rules.as_ref(), Side::Before), (other, Side::After)] {
        let charges = comparison::rate_side(&mut run, &catalog, rules, side, &mut comparison).await?;
        let terms = invoicing::term_amounts(&run, rules, &charges.charge, &charges.purchase)?;
        comparison.suspended_accounts.extend(terms.suspended_accounts);
        for term in terms.amounts {
            let payer = Payer { account_id: Some(term.account_id), project_id: term.project_id };
            comparison.add(side, &term.term_id, payer, term.amount)?;
        }
    }
    Ok(comparison)
}

/// Everything in the lake against its log, and every issued document against its place in the chain.
pub async fn verify(config: Arc<Config>, options: RunOptions) -> Result<Findings, Error> {
    let run = Run::open(config, Arc::default(), options).await?;
    let mut findings = run.lake.verify_all().await?;
    findings.damaged.extend(closing::broken_links(&run).await?);
    Ok(findings)
}

/// The first half of a night, alone: usage is taken in and metered, nothing is priced.
pub async fn intake(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<IntakeSummary, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        Ok(take_in(&mut run).await?.1)
    })
    .await
}

/// Takes back what a file brought, and meters its dates anew.
pub async fn withdraw(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    options: RunOptions,
    file: &str,
    reason: &str,
) -> Result<Withdrawn, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        let (mut arrived, withdrawn) = intake::retraction::withdraw(&mut run, file).await?;
        metering::roll_up(&mut run, &mut arrived).await?;
        run.remarks.push(format!("withdrew {}: {reason}", withdrawn.file));
        let commit = run.commit(CommitKind::Intake).await?;
        Ok(Withdrawn { commit, ..withdrawn })
    })
    .await
}

/// Puts the small files of usage together.
pub async fn compact(config: Arc<Config>, options: RunOptions, least_files: usize) -> Result<Compacted, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::default(), options.clone()).await?;
        housekeeping::compact(&mut run, least_files).await
    })
    .await
}

/// Gives up the samples of closed periods up to the end of one.
pub async fn expire(config: Arc<Config>, options: RunOptions, through: BillingPeriod) -> Result<Expired, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::default(), options.clone()).await?;
        housekeeping::expire(&mut run, through).await
    })
    .await
}

/// Deletes what has counted for nothing for longer than an age; a rehearsal tells how much that is.
pub async fn vacuum(
    config: Arc<Config>,
    options: RunOptions,
    now: Timestamp,
    age: Duration,
    is_dry_run: bool,
) -> Result<Vacuumed, Error> {
    retry_on_conflict(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::default(), options.clone()).await?;
        housekeeping::vacuum(&mut run, now, age, is_dry_run).await
    })
    .await
}

/// Of two runs at once one commits first; the other begins again with what is there then.
async fn retry_on_conflict<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Storage(storage::Error::Conflict { sequence })) => {
                tracing::warn!("another run committed entry {sequence} first; this one computes again");
            }
            done => return done,
        }
    }
    attempt().await
}

async fn take_in(run: &mut Run) -> Result<(Catalog, IntakeSummary), Error> {
    let mut arrived = intake::load(run).await?; //        sources        -> stream, series, sample, rejected_record, …
    metering::roll_up(run, &mut arrived).await?; //       sample         -> metered_usage, metered_day, carry
    let intake_commit = run.commit(CommitKind::Intake).await?;
    // What came before the failure is kept, so that the next run goes on from there.
    arrived.failure.take().map_or(Ok(()), Err)?;
    Ok((arrived.catalog, IntakeSummary { intake_commit, ..run.intake_summary() }))
}

/// Counts what was rejected since the period was billed last, so that a second run does not pass where the first was
/// refused.
fn refuse_too_many_rejected(run: &Run) -> Result<(), Error> {
    let Some(limit) = run.options.max_rejected else { return Ok(()) };
    let billed = run.billed.as_ref().map(|commit| commit.sequence);
    let since = run.snapshot.commits().iter().filter(|commit| billed.is_none_or(|billed| commit.sequence > billed));
    let rejected = since.filter_map(|commit| commit.totals.get("rejected")?.parse::<u64>().ok()).sum();
    if rejected > limit { Err(Error::Intake(IntakeError::TooManyRejected { rejected, limit })) } else { Ok(()) }
}
