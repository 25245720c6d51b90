//! The stages in their order, stated once: the table of contents of the program.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::intake::catalog::Catalog;
use crate::rating::rule::RuleBook;
use crate::run::{Run, RunOptions};
use crate::storage::{CommitKind, LakeSettings};
use crate::summary::{IntakeSummary, Summary};
use crate::{documents, intake, invoicing, metering, query, rating, report, storage};

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
    refuse_too_many_rejected(&run)?;
    rating::rate(&mut run, &catalog).await?; //           + rating-rules -> rated_usage, unrated_usage
    invoicing::draft(&mut run).await?; //                 rated_usage    -> invoice_line, tax_breakdown, invoice
    let summary = documents::draw(&mut run).await?; //    all of it      -> pages and CSV
    // A second attempt finds the usage of the first one in the lake.
    let intake = taken_in.take().filter(|_| intake.intake_commit.is_none()).unwrap_or(intake);
    *taken_in = Some(intake.clone());
    let billing_commit = run.commit(CommitKind::Billing).await?;
    documents::point_to_latest(&run).await?;
    Ok(Summary { intake, billing_commit, ..summary })
}

/// The first half of a night, alone: usage is taken in and metered, nothing is priced.
pub async fn intake(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<IntakeSummary, Error> {
    again_after_a_race(async || {
        let mut run = Run::open(Arc::clone(&config), Arc::clone(&rules), options.clone()).await?;
        Ok(take_in(&mut run).await?.1)
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
