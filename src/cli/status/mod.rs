//! `conto status`: the commits and relations of the lake.

mod changed_ids;
mod gaps;
mod incomplete_lifecycles;

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use self::changed_ids::ChangedIds;
use super::print::grouped;
use super::run::new_usage_of;
use crate::billed_period::{BilledPeriod, closed_months_with_new_usage};
use crate::cli::clock::examined_at;
use crate::cli::close_decisions;
use crate::cli::context::{Context, time_zone};
use crate::cli::failure::Failure;
use crate::model::close_blocker::CloseDecision;
use crate::model::period::{BillingPeriod, date_of};
use crate::model::summary::ExceededLimit;
use crate::model::unread_input::printable;
use crate::rows::relations::{Rows, UnreadInput};
use crate::run_limits::{self, ExaminedAt};
use crate::storage::{CommitKind, Lake, Snapshot};

/// Show the last commits and the size of the relations; find gaps in usage
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto status\n  conto status --gaps 2026-10\n  \
        conto status --incomplete-lifecycles 2026-10")]
pub(super) struct StatusCommand {
    /// Show the hours of a month in which a source delivered no sample of a meter
    #[arg(long, value_name = "YYYY-MM")]
    gaps: Option<BillingPeriod>,

    /// Show the resources of a month for which a creation, update or deletion event seems to be missing
    #[arg(long, value_name = "YYYY-MM", conflicts_with = "gaps")]
    incomplete_lifecycles: Option<BillingPeriod>,
}

#[derive(Debug, Serialize)]
struct Status {
    lake: String,
    time_zone: Option<String>,
    commits: Vec<CommitStatus>,
    relations: Vec<RelationStatus>,
    /// The inputs that the last intake could not read.
    unread_inputs: Vec<UnreadStatus>,
    /// The findings of open months beyond the limits of `[run]`.
    exceeded_limits: Vec<ExceededStatus>,
    /// The closed months whose usage changed after their last close.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    closed_months_with_new_usage: Vec<String>,
    #[serde(skip_serializing_if = "ChangedIds::is_empty")]
    changed_ids: ChangedIds,
}

#[derive(Debug, Serialize)]
struct ExceededStatus {
    period: String,
    #[serde(flatten)]
    finding: ExceededLimit,
}

#[derive(Debug, Serialize)]
struct UnreadStatus {
    source: String,
    url: String,
    reason: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct CommitStatus {
    sequence: u64,
    kind: &'static str,
    period: Option<String>,
    committed_at: String,
    program_version: String,
    added_files: u64,
    removed_files: u64,
    /// The approval, the reasons and the overridden blockers of a close.
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<CloseDecision>,
}

#[derive(Debug, Serialize)]
struct RelationStatus {
    relation: String,
    files: usize,
    rows: u64,
    bytes: u64,
    first_partition: Option<String>,
    last_partition: Option<String>,
}

impl StatusCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        if let Some(period) = self.gaps {
            return gaps::show(context, &BilledPeriod::new(lake, snapshot, period)?).await;
        }
        if let Some(period) = self.incomplete_lifecycles {
            return incomplete_lifecycles::show(context, &BilledPeriod::new(lake, snapshot, period)?).await;
        }
        let commits = snapshot.commits().iter().map(|commit| CommitStatus {
            sequence: commit.sequence,
            kind: commit.kind.name(),
            period: commit.period.clone(),
            committed_at: commit.committed_at.clone(),
            program_version: commit.program_version.clone(),
            added_files: commit.added_files,
            removed_files: commit.removed_files,
            close: commit.close_decision(),
        });
        let relations = snapshot.relations().into_iter().map(|relation| {
            let files: Vec<_> = snapshot.files(relation).collect();
            RelationStatus {
                relation: relation.to_owned(),
                files: files.len(),
                rows: files.iter().map(|file| file.rows).sum(),
                bytes: files.iter().map(|file| file.bytes).sum(),
                first_partition: files.iter().map(|file| file.partition.clone()).min(),
                last_partition: files.iter().map(|file| file.partition.clone()).max(),
            }
        });
        let mut unread_inputs = Vec::new();
        for file in snapshot.files("unread_input") {
            for row in Rows::<UnreadInput>::read(&lake.read_data(file).await?)?.iter() {
                unread_inputs.push(UnreadStatus {
                    source: row.source().to_owned(),
                    url: row.url().to_owned(),
                    reason: row.reason().to_owned(),
                    detail: row.detail().to_owned(),
                });
            }
        }
        let months = closed_months_with_new_usage(&lake, &snapshot).await?;
        let closed_months_with_new_usage = months.iter().map(BillingPeriod::to_string).collect();
        let mut exceeded_limits = Vec::new();
        let at = examined_at(jiff::Timestamp::now(), &time_zone(&config)?)?;
        for period in open_months(&snapshot, at) {
            let books = BilledPeriod::new(lake.clone(), snapshot.clone(), period)?;
            let found = run_limits::find_exceeded(&config, &books, at).await?;
            let found = found.into_iter().map(|finding| ExceededStatus { period: period.to_string(), finding });
            exceeded_limits.extend(found);
        }
        let status = Status {
            lake: lake.display_of(""),
            time_zone: snapshot.settings().map(|settings| settings.time_zone.clone()),
            commits: commits.collect(),
            relations: relations.collect(),
            unread_inputs,
            exceeded_limits,
            closed_months_with_new_usage,
            changed_ids: ChangedIds::read(&lake, &snapshot).await?,
        };
        print(context, &status);
        Ok(())
    }
}

fn print(context: &Context, status: &Status) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&status);
        return;
    }
    if status.commits.is_empty() {
        let text = format!("The lake at {} is empty. `conto run` fills it.", status.lake);
        printer.line(&printer.runnable(&text));
        return;
    }
    let zone = status.time_zone.as_deref().unwrap_or_default();
    printer.line(&format!("Lake {}, billing time zone {zone}\n", status.lake));
    let rows: Vec<Vec<String>> = status
        .commits
        .iter()
        .rev()
        .take(20)
        .map(|commit| {
            vec![
                commit.sequence.to_string(),
                commit.kind.to_owned(),
                commit.period.clone().unwrap_or_default(),
                to_the_second(&commit.committed_at),
                commit.added_files.to_string(),
                commit.removed_files.to_string(),
            ]
        })
        .collect();
    printer.table(&["commit", "kind", "period", "at", "files added", "removed"], &rows, &[0, 4, 5]);
    let closes: Vec<CloseDecision> = status.commits.iter().filter_map(|commit| commit.close.clone()).collect();
    close_decisions::print(printer, &closes);
    printer.line("");
    let rows: Vec<Vec<String>> = status
        .relations
        .iter()
        .map(|relation| {
            vec![
                relation.relation.clone(),
                grouped(relation.files as u64),
                grouped(relation.rows),
                grouped(relation.bytes),
                relation.first_partition.clone().unwrap_or_default(),
                relation.last_partition.clone().unwrap_or_default(),
            ]
        })
        .collect();
    printer.table(&["relation", "files", "rows", "bytes", "first", "last"], &rows, &[1, 2, 3]);
    if !status.unread_inputs.is_empty() {
        printer.line("\nInputs that the last intake could not read:");
        let cells = |input: &UnreadStatus| {
            vec![input.source.clone(), printable(&input.url), input.reason.clone(), printable(&input.detail)]
        };
        let rows: Vec<Vec<String>> = status.unread_inputs.iter().map(cells).collect();
        printer.table(&["source", "path or URL", "reason", "detail"], &rows, &[]);
    }
    if !status.exceeded_limits.is_empty() {
        printer.line("\nFindings beyond the limits of `[run]`:");
        let cells = |exceeded: &ExceededStatus| vec![exceeded.period.clone(), printable(&exceeded.finding.detail)];
        let rows: Vec<Vec<String>> = status.exceeded_limits.iter().map(cells).collect();
        printer.table(&["period", "finding"], &rows, &[]);
    }
    for month in &status.closed_months_with_new_usage {
        printer.line("");
        printer.line(&new_usage_of(month));
    }
    status.changed_ids.print(printer);
}

/// The newest open months with drafts, as many as a run bills, and the current month.
fn open_months(snapshot: &Snapshot, at: ExaminedAt) -> BTreeSet<BillingPeriod> {
    let is_open = |name: &str| snapshot.last(CommitKind::Close, name).is_none();
    let drafted = snapshot.commits().iter().filter(|commit| commit.kind == CommitKind::Billing);
    let drafted: BTreeSet<&str> =
        drafted.filter_map(|commit| commit.period.as_deref()).filter(|name| is_open(name)).collect();
    let mut months: BTreeSet<BillingPeriod> =
        drafted.into_iter().rev().take(2).filter_map(|name| name.parse().ok()).collect();
    if !snapshot.commits().is_empty() {
        months.insert(BillingPeriod::of(date_of(at.today)));
    }
    months
}

/// An RFC 3339 instant without fractions of a second.
fn to_the_second(instant: &str) -> String {
    instant.split_once('.').map_or_else(|| instant.to_owned(), |(second, _)| format!("{second}Z"))
}
