//! Closing a period: documents with final numbers, or corrections of issued documents.

use crate::closing::reason;
use std::sync::Arc;

use jiff::civil::Date;

use super::billing::take_in;
use super::{again_after_a_conflict, correct, final_invoice};
use crate::billed_period::BilledPeriod;
use crate::catalog::streams::Catalog;
use crate::closing;
use crate::closing::correction::{self, ChangeCause, Correction};
use crate::closing::issued::Issued;
use crate::error::{ClosingError, Error};
use crate::model::close_blocker::{BlockerKind, CloseBlocker, CloseDecision};
use crate::model::config::Config;
use crate::model::issue::Issue;
use crate::model::money::Cost;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::model::summary::{Change, ClosePreview, CloseSummary};
use crate::run::{Context, Documents, Environment, Mode, RunOptions, TAX_POINT, Transaction};
use crate::storage::CommitKind;
use crate::{audit, documents, invoicing, ledger, rating, rows};

/// The operator's decisions about a close.
#[derive(Clone, Debug)]
pub struct CloseOptions {
    pub issue_date: Date,
    /// The date of the taxes and exchange rates; `None` for the last day of the period, or for the tax point of its
    /// last close.
    pub tax_point: Option<Date>,
    /// Closes despite close blockers, which are recorded in the commit.
    pub force: bool,
    /// The reason of a forced close or a restatement, which is recorded in the commit.
    pub remark: Option<String>,
    /// The name of the person who approved the documents, which is recorded in the commit.
    pub approved_by: Option<String>,
    /// The account whose final documents are issued while the period is open; `None` for all payers.
    pub account: Option<String>,
}

/// Issues the documents of a period, or the corrections of a closed period. If a closed period has nothing new, there
/// is no commit.
pub async fn close(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    closing: CloseOptions,
    options: RunOptions,
) -> Result<CloseSummary, Error> {
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        let (catalog, intake) = take_in(&environment, &mut transaction).await?;
        let context = context_of_close(&environment, &transaction, period, &closing).await?;
        let summary = issue_and_commit(&context, &mut transaction, &catalog, &closing, ChangeCause::Usage).await?;
        Ok(CloseSummary { intake, ..summary })
    })
    .await
}

/// The documents that [`close`] would issue, and the reasons why it would refuse. Everything is computed in memory:
/// usage is read and metered, but neither the usage nor a document is committed.
pub async fn preview_close(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    closing: CloseOptions,
    options: RunOptions,
) -> Result<ClosePreview, Error> {
    let environment = Environment::new(config, rules, options)?;
    let mut dry_run = Transaction::open_to_read(&environment).await?.dry_run(&environment)?;
    let (catalog, intake) = take_in(&environment, &mut dry_run).await?;
    let context = context_of_close(&environment, &dry_run, period, &closing).await?;
    let of_account = context.account.as_ref().and_then(|account| context.tax_points.get(account));
    let tax_point = *of_account.unwrap_or(&context.tax_point);
    let mut preview = ClosePreview {
        period: period.to_string(),
        intake,
        issue_date: closing.issue_date.to_string(),
        tax_point: tax_point.to_string(),
        was_closed: context.mode.closed().is_some(),
        ..ClosePreview::default()
    };
    let despite_blockers = CloseOptions { force: true, ..closing.clone() };
    let cause = ChangeCause::Usage;
    if let Some(numbered) = number_documents(&context, &mut dry_run, &catalog, &despite_blockers, cause).await? {
        if context.account.is_none() {
            refuse_difference(&context, &mut dry_run, &despite_blockers).await?;
        }
        closing::preview(&context, &dry_run, &numbered.issue, &mut preview).await?;
        preview.changes = numbered.changes;
        preview.blockers = dry_run.overridden_blockers;
        preview.refused = !preview.blockers.is_empty() && !closing.force;
    }
    Ok(preview)
}

/// The context of a close: the current inputs for an open period, the committed inputs for a closed one.
async fn context_of_close(
    environment: &Environment,
    transaction: &Transaction,
    period: BillingPeriod,
    closing: &CloseOptions,
) -> Result<Context, Error> {
    let mode = Mode::of_period(&transaction.lake, &transaction.snapshot, period).await?;
    if let Some(tax_point) = closing.tax_point {
        refuse_tax_point(period, closing.issue_date, tax_point)?;
    }
    if let Some(account) = &closing.account {
        let context = Context::new(environment, period, mode);
        return final_invoice::context(context, account, closing.issue_date, closing.tax_point);
    }
    let context = match &mode {
        Mode::Draft { .. } => Context::new(environment, period, mode),
        Mode::Correct { .. } | Mode::Restate { .. } => {
            let (of_close, context) = correct::by_the_close(environment, period, mode)?;
            correct::refuse_another_program(&of_close, &context, transaction).await?;
            let accounts = correct::without_next_invoice(&environment.config.accounts, &context, transaction);
            context.with_separate_corrections(accounts)
        }
    };
    context.at_chosen_tax_point(closing.tax_point)
}

/// Refuses a tax point outside of the period and the days until the issue date. Tax is due with the supply, at the
/// latest with the invoice.
fn refuse_tax_point(period: BillingPeriod, issue_date: Date, tax_point: Date) -> Result<(), Error> {
    if period.start() <= tax_point && tax_point <= issue_date {
        return Ok(());
    }
    let (period, first) = (period.to_string(), period.start());
    Err(Error::Closing(ClosingError::TaxPointOutside { period, tax_point, first, issue_date }))
}

/// Issues documents, and commits them if there is anything new.
pub(super) async fn issue_and_commit(
    context: &Context,
    transaction: &mut Transaction,
    catalog: &Catalog,
    closing: &CloseOptions,
    cause: ChangeCause<'_>,
) -> Result<CloseSummary, Error> {
    let period = context.period.to_string();
    let account = context.account.clone();
    let is_issued = account.as_ref().is_some_and(|account| context.mode.has_final_invoice(account));
    let was_closed = is_issued || context.mode.closed().is_some();
    let Some(staged) = issue(context, transaction, catalog, closing, Documents::Changed, cause).await? else {
        return Ok(CloseSummary { period, account, was_closed, ..CloseSummary::default() });
    };
    let overridden_blockers = transaction.overridden_blockers.clone();
    let kind = if account.is_some() { CommitKind::FinalInvoice } else { CommitKind::Close };
    let commit = transaction.commit(context.provenance(kind)).await?;
    let latest = commit.as_ref().or(context.mode.last_documents());
    documents::point_to_latest(&transaction.lake, context.period, latest).await?;
    let documents = staged.issue.documents.into_iter().map(|document| document.number.number).collect();
    Ok(CloseSummary {
        period,
        account,
        documents,
        changes: staged.changes,
        commit: commit.map(|commit| commit.sequence),
        directory: staged.directory,
        was_closed,
        skipped: if was_closed { 0 } else { staged.skipped },
        overridden_blockers,
        ..CloseSummary::default()
    })
}

pub(super) struct StagedIssue {
    issue: Issue,
    /// The number of documents without an amount, which are not issued.
    skipped: u64,
    changes: Vec<Change>,
    directory: Option<String>,
}

/// Rates the usage, and drafts, numbers and renders the documents. Returns `None` if a closed period has nothing new.
pub(super) async fn issue(
    context: &Context,
    transaction: &mut Transaction,
    catalog: &Catalog,
    closing: &CloseOptions,
    pages: Documents,
    cause: ChangeCause<'_>,
) -> Result<Option<StagedIssue>, Error> {
    let Some(numbered) = number_documents(context, transaction, catalog, closing, cause).await? else {
        return Ok(None);
    };
    let NumberedDocuments { issue, skipped, changes } = numbered;
    if context.account.is_none() {
        refuse_difference(context, transaction, closing).await?;
    }
    let rendered = documents::stage(context, transaction, pages, Some(&issue)).await?;
    closing::record_issued(context, transaction, &issue).await?;
    let skipped = skipped.unwrap_or(rendered.skipped);
    Ok(Some(StagedIssue { issue, skipped, changes, directory: rendered.directory }))
}

/// Registers the rows of `reconciliation` for the month-end pack, over everything that is staged.
async fn reconcile(context: &Context, transaction: &Transaction) -> Result<Vec<String>, Error> {
    let provenance = context.provenance(CommitKind::Close);
    let books = BilledPeriod::staged(transaction, context.period, provenance).await?;
    ledger::post_unproved(&books.session, &context.config.chart_of_accounts).await?;
    let rows = audit::reconciliation(&books).await?;
    let mut differences = Vec::new();
    for row in rows::each(&rows) {
        let amount: Cost = row.decimal("amount")?;
        if row.text("part")? == "difference" && !amount.is_zero() {
            differences.push(format!("{}: {amount} {} missing", row.text("invariant")?, row.text("unit")?));
        }
    }
    transaction.session.register("report/reconciliation", rows)?;
    Ok(differences)
}

/// Refuses to issue documents if the books of the period do not add up. With `force`, the differences are recorded.
pub(super) async fn refuse_difference(
    context: &Context,
    transaction: &mut Transaction,
    closing: &CloseOptions,
) -> Result<(), Error> {
    let differences = reconcile(context, transaction).await?;
    let reasons: Vec<String> =
        differences.into_iter().map(|difference| format!("the books do not add up: {difference}")).collect();
    if !reasons.is_empty() && !closing.force {
        return Err(Error::Closing(ClosingError::CloseBlocked { period: context.period.to_string(), reasons }));
    }
    let blocker = |detail| CloseBlocker::new(BlockerKind::Unreconciled, detail);
    transaction.overridden_blockers.extend(reasons.into_iter().map(blocker));
    Ok(())
}

/// Documents with final numbers that are not rendered yet.
struct NumberedDocuments {
    issue: Issue,
    /// The number of documents without an amount of the account that leaves; `None` for the documents of all payers.
    skipped: Option<u64>,
    changes: Vec<Change>,
}

/// Rates the usage, and drafts and numbers the documents. Returns `None` if a closed period has nothing new.
async fn number_documents(
    context: &Context,
    transaction: &mut Transaction,
    catalog: &Catalog,
    closing: &CloseOptions,
    cause: ChangeCause<'_>,
) -> Result<Option<NumberedDocuments>, Error> {
    let issued = closing::issued::issued(context, transaction).await?;
    rating::rate(context, transaction, catalog.all_series()?).await?;
    invoicing::draft(context, transaction).await?;
    transaction.remarks.extend(closing.remark.clone());
    transaction.approved_by.clone_from(&closing.approved_by);
    let changes = match context.mode {
        Mode::Draft { .. } => {
            let changes = final_invoice::correct(context, transaction, &issued).await?;
            let changes = final_invoice::in_scope(context, changes);
            if changes.is_empty() && final_invoice::is_complete(context) {
                return Ok(None);
            }
            refuse_or_record_blockers(context, transaction, closing, &changes).await?;
            changes
        }
        Mode::Correct { .. } | Mode::Restate { .. } => {
            let Some(changes) = draft_corrections(context, transaction, &issued, cause).await? else {
                return Ok(None);
            };
            changes
        }
    };
    let skipped = match &context.account {
        Some(account) => Some(final_invoice::skipped(context, transaction, account).await?),
        None => None,
    };
    record_totals(context, transaction, closing, cause);
    correct::record_without_next_invoice(context, transaction, &changes);
    let issue = closing::number(context, transaction, issued, closing.issue_date).await?;
    Ok(Some(NumberedDocuments { issue, skipped, changes }))
}

/// Refuses to close a period that has close blockers. With `force`, the blockers are recorded instead.
async fn refuse_or_record_blockers(
    context: &Context,
    transaction: &mut Transaction,
    closing: &CloseOptions,
    changes: &[Change],
) -> Result<(), Error> {
    let mut blockers = closing::find_close_blockers(context, transaction, closing.issue_date).await?;
    blockers.extend(final_invoice::changed_by_rules(changes));
    if !blockers.is_empty() && !closing.force {
        let reasons = blockers.into_iter().map(|blocker| blocker.detail).collect();
        return Err(Error::Closing(ClosingError::CloseBlocked { period: context.period.to_string(), reasons }));
    }
    transaction.overridden_blockers = blockers;
    Ok(())
}

/// Replaces the drafts with corrections. Returns `None` if neither the documents nor the usage changed.
async fn draft_corrections(
    context: &Context,
    transaction: &mut Transaction,
    issued: &Issued,
    cause: ChangeCause<'_>,
) -> Result<Option<Vec<Change>>, Error> {
    let Correction { documents, changes, .. } = correction::difference(context, transaction, issued, cause).await?;
    // Usage that changes no document, because the account is internal or suspended, is committed as well.
    if changes.is_empty() && !correct::has_other_usage(transaction) {
        return Ok(None);
    }
    invoicing::draft_corrections(context, transaction, documents).await?;
    Ok(Some(changes))
}

/// Records the dates and the reason of the documents.
fn record_totals(context: &Context, transaction: &mut Transaction, closing: &CloseOptions, cause: ChangeCause<'_>) {
    let reason = match (&context.mode, cause) {
        (Mode::Draft { .. }, _) if context.account.is_some() => CloseDecision::FINAL_INVOICE,
        (Mode::Draft { .. }, _) => "close",
        (_, ChangeCause::Usage) => reason::LATE_USAGE,
        (_, ChangeCause::Rules(_)) => reason::CHANGED_RULE,
    };
    let totals = [
        (CloseDecision::ISSUE_DATE, closing.issue_date.to_string()),
        (TAX_POINT, context.tax_point.to_string()),
        (CloseDecision::CAUSE, reason.to_owned()),
    ];
    transaction.totals.extend(totals.map(|(name, text)| (name.to_owned(), text)));
    final_invoice::record_totals(context, transaction);
}
