//! The stages in their order, stated once: the table of contents of the program.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::closing::correction::{self, Cause, Correction, Found};
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::housekeeping::{Compacted, Expired, Vacuumed};
use crate::intake::catalog::Catalog;
use crate::intake::withdrawal::Withdrawn;
use crate::period::BillingPeriod;
use crate::rating::comparison::{self, Comparison, Payer, Side};
use crate::rating::rule::RuleBook;
use crate::run::{self, Rebuilt, Run, RunOptions};
use crate::storage::{Commit, CommitKind, Findings, LakeSettings};
use crate::summary::{CloseSummary, IntakeSummary, Summary};
use crate::{closing, documents, housekeeping, intake, invoicing, metering, query, rating, reading, report, storage};

/// Everything that can stop a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Query(#[from] query::Error),
    #[error(transparent)]
    Report(#[from] report::Error),
    /// Something that a person wrote is wrong.
    #[error("{} of configuration or rules to mend", count(.0.len(), "problem"))]
    Written(Vec<Diagnostic>),
    #[error("the source `{source_name}` could not be read at `{location}`")]
    Source {
        source_name: String,
        location: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A secret or a certificate that the configuration names is not there, or is none.
    #[error("the source `{source_name}` cannot be asked as it is configured")]
    SourceSettings {
        source_name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "the lake was made with the time zone {} and {}, the configuration says {} and {}; \
         every window in the lake depends on them, so change the configuration back or begin another lake",
        fixed.time_zone, count(fixed.buckets as usize, "bucket"),
        wanted.time_zone, count(wanted.buckets as usize, "bucket")
    )]
    LakeSettings { fixed: LakeSettings, wanted: LakeSettings },
    #[error("the time zone `{name}` is not known")]
    TimeZone {
        name: String,
        #[source]
        source: jiff::Error,
    },
    #[error("`{first}` and `{second}` have the same id {id:016x}; nothing was committed, please report this")]
    IdCollision { id: u64, first: String, second: String },
    /// A law does not hold: nothing is committed.
    #[error("the check `{claim}` is broken: {summary}")]
    BrokenCheck { claim: String, summary: String, rows: Vec<RecordBatch> },
    #[error(
        "rejected since the last billing of this period: {}, more than the {limit} allowed; \
         usage was taken in, nothing was billed. \
         `conto sql \"SELECT reason, COUNT(*) FROM rejected_record GROUP BY reason\"` says why; \
         a greater --max-rejected bills all the same",
        count(usize::try_from(*rejected).unwrap_or(usize::MAX), "record")
    )]
    TooManyRejected { rejected: u64, limit: u64 },
    #[error(
        "{period} cannot be closed yet:{}\nmend what is listed, or close all the same with --force, which is recorded",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    NotReady { period: String, reasons: Vec<String> },
    #[error(
        "what is due for {period} beyond what was issued cannot be told:{}\n\
         these accounts have documents, and would get none now: mend what is listed",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    NotCorrected { period: String, reasons: Vec<String> },
    #[error(
        "documents cannot be issued on {date}: `{number}` was issued on {newest}, and numbers and dates rise together"
    )]
    IssuedLater { date: Date, newest: Date, number: String },
    #[error(
        "the number `{number}` was given by {seller} in this lake, and the seller is {now} now: where that is the same \
         one under another name, say `formerly = [\"{seller}\"]` in `[closing]`, and its numbers go on; where it is \
         not, give documents another `invoice_prefix` and `credit_note_prefix` there"
    )]
    NumberOfAnother { number: String, seller: String, now: String },
    #[error(
        "{period} is not closed, so that there is nothing to restate; `conto run --period {period}` drafts it anew"
    )]
    NotClosed { period: String },
    #[error(
        "{period} was closed by conto {then}, and conto {now} makes something else of the same usage: what is due \
         since is settled by the program that closed it, or `conto restate --period {period}` brings this one to it"
    )]
    OtherProgram { period: String, then: String, now: &'static str },
    #[error("{period} was closed with the tax point {kept}, and what corrects it keeps that; leave --tax-point out")]
    TaxPointKept { period: String, kept: Date },
    #[error("entry {sequence} took usage in from its sources; what can be rebuilt are entries that made documents")]
    NothingToRebuild { sequence: u64 },
    #[error(
        "samples are given up for closed periods only, and not closed {}: {}; `conto close` closes a period",
        if periods.len() == 1 { "is" } else { "are" },
        periods.join(", ")
    )]
    NotClosedYet { periods: Vec<String> },
    #[error(
        "the samples of {period} are not kept any more, and its meters measure otherwise now: \
         {period} can only be restated with the meters that it was closed with"
    )]
    Expired { period: String },
    #[error(
        "{} is `{file}`{}\n`conto sql \"SELECT url, sha256 FROM input_file\"` lists what was read; name one by the \
         beginning of its digest",
        if found.is_empty() { "no file that was read" } else { "more than one file that was read" },
        found.iter().map(|one| format!("\n  - {one}")).collect::<String>()
    )]
    NoSuchDelivery { file: String, found: Vec<String> },
    #[error("`{file}` has usage of closed periods whose samples are not kept any more, so that it cannot be withdrawn")]
    DeliveryExpired { file: String },
    #[error("the relation in hand has no column `{name}` of the type that was expected")]
    Column { name: &'static str },
    #[error("could not use the directory for temporary files; TMPDIR names another")]
    Temporary(#[source] std::io::Error),
    #[error("{0}; this is a mistake in the program, please report it")]
    Internal(&'static str),
    #[error("could not write {what}")]
    Document {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// `1 problem`, `2 problems`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// How often a run begins again because another one committed first.
const ATTEMPTS: u32 = 5;

/// One night: usage in, draft invoices out. Two commits: what was taken in is kept even where a rule is wrong.
pub async fn run(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<Summary, Error> {
    let mut taken_in = None;
    again_after_a_race(async || night(&config, &rules, &options, &mut taken_in).await).await
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
        keep_to_the_close(&mut run)?;
        refuse_another_program(&run).await?;
        let changes = rehearse_correction(&mut run, &catalog, Cause::Usage).await?.changes;
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
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        let (catalog, intake) = take_in(&mut run).await?;
        if run.closed.is_some() {
            keep_to_the_close(&mut run)?;
            refuse_another_program(&run).await?;
        }
        let summary = issue(&mut run, &catalog, &closing, Cause::Usage).await?;
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
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        if run.closed.is_none() {
            return Err(Error::NotClosed { period: run.period.to_string() });
        }
        let (mut catalog, intake) = take_in(&mut run).await?;
        run.is_restated = true;
        keep_former_accounts(&mut run);
        // What usage alone changed is told apart from what the rules, or a newer program, did.
        let mut by_usage = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        keep_to_the_close(&mut by_usage)?;
        let by_usage = changed_by_usage(&mut by_usage, &catalog).await?;
        let cause = Cause::Rules(&by_usage);
        let summary = match &approved {
            Some(closing) => {
                metering::restate(&mut run, &mut catalog).await?;
                issue(&mut run, &catalog, closing, cause).await?
            }
            None => {
                run.lake = run.lake.rehearsal();
                metering::restate(&mut run, &mut catalog).await?;
                let changes = rehearse_correction(&mut run, &catalog, cause).await?.changes;
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
    ["rated_usage", "unrated_usage", "standing_charge", "set_aside"].iter().any(|relation| run.has_changed(relation))
}

/// Rates, numbers, draws and commits.
async fn issue(
    run: &mut Run,
    catalog: &Catalog,
    closing: &CloseOptions,
    cause: Cause<'_>,
) -> Result<CloseSummary, Error> {
    let before = closing::issued(run).await?;
    let is_first = run.closed.is_none();
    if let Some(tax_point) = closing.tax_point.filter(|tax_point| *tax_point != run.tax_point) {
        if !is_first {
            return Err(Error::TaxPointKept { period: run.period.to_string(), kept: run.tax_point });
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
            return Err(Error::NotReady { period: run.period.to_string(), reasons });
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
        Cause::Usage => correction::LATE_USAGE,
        Cause::Rules(_) => correction::CHANGED_RULE,
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
async fn rehearse_correction(run: &mut Run, catalog: &Catalog, cause: Cause<'_>) -> Result<Correction, Error> {
    run.lake = run.lake.rehearsal();
    let before = closing::issued(run).await?;
    rating::rate(run, catalog.all_series()?).await?;
    invoicing::draft(run).await?;
    correction::difference(run, &before, cause).await
}

/// What usage alone changed in a closed period. Where a newer program does otherwise, nothing is told apart from that.
async fn changed_by_usage(run: &mut Run, catalog: &Catalog) -> Result<Found, Error> {
    if is_changed_by_program(run).await? {
        return Ok(Found::default());
    }
    Ok(rehearse_correction(run, catalog, Cause::Usage).await?.found)
}

/// Late usage is no reason to bring what a newer program does otherwise to a closed month.
async fn refuse_another_program(run: &Run) -> Result<(), Error> {
    match &run.closed {
        Some(closed) if is_changed_by_program(run).await? => {
            let (period, then) = (run.period.to_string(), closed.program_version.clone());
            Err(Error::OtherProgram { period, then, now: run::PROGRAM_VERSION })
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
    let issued = closing::issued(run).await?;
    let (lake, config) = (run.lake.rehearsal(), Arc::clone(&run.config));
    let mut then = Run::open_before(lake, config, run.options.clone(), closed.sequence).await?;
    take_kept(&mut then, closed)?;
    then.tax_point = run.tax_point;
    if is_of_changed_rules(closed) {
        // As the restatement metered it: the samples may be gone since.
        then.is_restated = true;
        then.take_usage_of(closed);
    }
    let catalog = intake::catalog(&then).await?;
    rating::rate(&mut then, catalog.all_series()?).await?;
    invoicing::draft(&mut then).await?;
    Ok(!correction::difference(&mut then, &issued, Cause::Usage).await?.changes.is_empty())
}

/// Whether an entry brought today's rules to a closed period.
fn is_of_changed_rules(entry: &Commit) -> bool {
    entry.totals.get("reason").is_some_and(|reason| reason == correction::CHANGED_RULE)
}

/// Takes configuration, accounts and rules of the close in place of today's.
fn keep_to_the_close(run: &mut Run) -> Result<(), Error> {
    let Some(closed) = run.closed.clone() else { return Ok(()) };
    take_kept(run, &closed)
}

fn take_kept(run: &mut Run, entry: &Commit) -> Result<(), Error> {
    let (kept, problems) = reading::read_kept(&entry.inputs, &entry.configuration);
    let Some((config, rules)) = kept.filter(|_| !problems.has_errors()) else {
        return Err(Error::Written(problems.into_sorted()));
    };
    run.config = Arc::new(Config { lake: run.config.lake.clone(), ..config });
    run.rules = Arc::new(rules);
    Ok(())
}

/// Who is not in today's accounts any more is still named on what is taken back from them.
fn keep_former_accounts(run: &mut Run) {
    let kept = run.closed.as_ref().and_then(|closed| reading::read_kept(&closed.inputs, &closed.configuration).0);
    run.former_accounts = kept.map(|(config, _)| config.accounts).unwrap_or_default();
}

/// Rebuilds what an entry of the log made, from the lake before it and from what it kept, and compares every byte.
/// Nothing is written.
pub async fn rebuild(config: Arc<Config>, options: RunOptions, sequence: u64) -> Result<Rebuilt, Error> {
    let lake = storage::Lake::open(&config.lake)?;
    let entry = lake.snapshot_as_of(sequence).await.and(lake.log_entry(sequence).await)?;
    let period = entry.period.as_deref().and_then(|period| period.parse().ok());
    let Some(period) = period.filter(|_| entry.kind != CommitKind::Intake) else {
        return Err(Error::NothingToRebuild { sequence });
    };
    let options = RunOptions { period, documents: run::Documents::All, ..options };
    let mut run = Run::open_before(lake.rehearsal(), config, options, sequence).await?;
    take_kept(&mut run, &entry)?;
    let mut catalog = intake::catalog(&run).await?;
    match (entry.kind, entry.totals.get("issue_date").and_then(|date| date.parse().ok())) {
        (CommitKind::Close, Some(issue_date)) => {
            let by_usage = if is_of_changed_rules(&entry) {
                let lake = lake.rehearsal();
                let mut run = Run::open_before(lake, Arc::clone(&run.config), run.options.clone(), sequence).await?;
                keep_to_the_close(&mut run)?;
                Some(changed_by_usage(&mut run, &catalog).await?)
            } else {
                None
            };
            let cause = by_usage.as_ref().map_or(Cause::Usage, Cause::Rules);
            if by_usage.is_some() {
                run.is_restated = true;
                keep_former_accounts(&mut run);
                metering::restate(&mut run, &mut catalog).await?;
            }
            let tax_point = entry.totals.get(run::TAX_POINT).and_then(|date| date.parse().ok());
            let closing = CloseOptions { issue_date, tax_point, force: true, remark: None };
            match issue(&mut run, &catalog, &closing, cause).await {
                Err(Error::Storage(storage::Error::Rehearsal)) | Ok(_) => {}
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
        comparison.set_aside.extend(terms.set_aside);
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
    again_after_a_race(async || {
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
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        let (mut arrived, withdrawn) = intake::withdrawal::withdraw(&mut run, file).await?;
        metering::roll_up(&mut run, &mut arrived).await?;
        run.remarks.push(format!("withdrew {}: {reason}", withdrawn.file));
        let commit = run.commit(CommitKind::Intake).await?;
        Ok(Withdrawn { commit, ..withdrawn })
    })
    .await
}

/// Puts the small files of usage together.
pub async fn compact(config: Arc<Config>, options: RunOptions, least_files: usize) -> Result<Compacted, Error> {
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::default(), options.clone()).await?;
        housekeeping::compact(&mut run, least_files).await
    })
    .await
}

/// Gives up the samples of closed periods up to the end of one.
pub async fn expire(config: Arc<Config>, options: RunOptions, through: BillingPeriod) -> Result<Expired, Error> {
    again_after_a_race(async || {
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
    is_rehearsal: bool,
) -> Result<Vacuumed, Error> {
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::default(), options.clone()).await?;
        housekeeping::vacuum(&mut run, now, age, is_rehearsal).await
    })
    .await
}

/// Of two runs at once one commits first; the other begins again with what is there then.
async fn again_after_a_race<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Storage(storage::Error::Race { sequence })) => {
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
    if rejected > limit { Err(Error::TooManyRejected { rejected, limit }) } else { Ok(()) }
}
