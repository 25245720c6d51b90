//! Corrections of a closed period by the configuration and rules of its close.

use crate::catalog::stored::read_catalog;
use crate::closing::reason;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::streams::Catalog;
use crate::closing::correction::{self, ChangeCause, Correction, LineDifferences};
use crate::error::{ClosingError, Error};
use crate::model::account::{Account, Accounts};
use crate::model::close_blocker::CloseDecision;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::summary::Change;
use crate::run::{Context, Environment, Mode, PROGRAM_VERSION, Transaction, final_invoices, usage_of};
use crate::storage::{Commit, CommitKind};
use crate::{closing, invoicing, load, rating};

/// The environment with the configuration, accounts and rules that a commit recorded, in place of the current inputs.
pub(super) fn environment_of(environment: &Environment, commit: &Commit) -> Result<Environment, Error> {
    let (committed, problems) = load::read_committed_inputs(&commit.inputs, &commit.configuration);
    let Some((config, rules)) = committed.filter(|_| !problems.has_errors()) else {
        return Err(Error::Invalid(problems.into_sorted()));
    };
    let config = Config { lake: environment.config.lake.clone(), ..config };
    Environment::new(Arc::new(config), Arc::new(rules), environment.options.clone())
}

/// The environment and context of a closed period by its last close. An open period keeps the current environment.
pub(super) fn by_the_close(
    environment: &Environment,
    period: BillingPeriod,
    mode: Mode,
) -> Result<(Environment, Context), Error> {
    let environment = match mode.closed() {
        Some(closed) => environment_of(environment, closed)?,
        None => environment.clone(),
    };
    let context = Context::new(&environment, period, mode);
    Ok((environment, context))
}

/// The name under which the control totals of a correction contain its accounts without a next invoice.
const WITHOUT_NEXT_INVOICE: &str = "without_next_invoice";

/// The accounts of a closed period that no invoice of a later month can charge. The account ended and its last month
/// has its documents, or the accounts file no longer contains it. Or the buyer, the seller or the currency changed: an
/// invoice to the present VAT id cannot charge a supply to the former one.
pub(super) fn without_next_invoice(
    present: &Accounts,
    context: &Context,
    transaction: &Transaction,
) -> BTreeSet<String> {
    let has_next_invoice = |former: &&Account| {
        present.get(&former.id).is_some_and(|now| {
            let is_same_buyer = now.vat_id == former.vat_id && now.country == former.country && !now.internal;
            let is_same_seller = now.parent == former.parent && now.currency == former.currency;
            is_same_buyer && is_same_seller && has_later_invoice(now, context.period, transaction)
        })
    };
    let accounts = context.config.accounts.accounts.iter();
    accounts.filter(|former| !has_next_invoice(former)).map(|former| former.id.clone()).collect()
}

/// Whether a later open month invoices an account.
fn has_later_invoice(account: &Account, period: BillingPeriod, transaction: &Transaction) -> bool {
    let Some(last_day) = account.valid_to.and_then(|end| end.yesterday().ok()) else { return true };
    let last = BillingPeriod::of(last_day);
    let name = last.to_string();
    last.start() > period.start()
        && transaction.snapshot.last(CommitKind::Close, &name).is_none()
        && !final_invoices(&transaction.snapshot, &name).contains_key(&account.id)
}

/// Records the accounts of a correction without a next invoice. A reproduction does not read the accounts file.
pub(super) fn record_without_next_invoice(context: &Context, transaction: &mut Transaction, changes: &[Change]) {
    let of_changes: BTreeSet<&str> = changes.iter().map(|change| change.account_id.as_str()).collect();
    let accounts = context.without_next_invoice.iter().map(String::as_str);
    let recorded: Vec<&str> = accounts.filter(|account| of_changes.contains(account)).collect();
    if !recorded.is_empty() {
        transaction.totals.insert(WITHOUT_NEXT_INVOICE.to_owned(), recorded.join("\n"));
    }
}

/// The accounts without a next invoice that a commit recorded.
pub(super) fn recorded_without_next_invoice(commit: &Commit) -> BTreeSet<String> {
    let recorded = commit.totals.get(WITHOUT_NEXT_INVOICE).map(String::as_str).unwrap_or_default();
    recorded.lines().map(str::to_owned).collect()
}

/// Rates and drafts a closed period, and compares the drafts with the issued documents.
pub(super) async fn difference(
    context: &Context,
    dry_run: &mut Transaction,
    catalog: &Catalog,
    cause: ChangeCause<'_>,
) -> Result<Correction, Error> {
    let issued = closing::issued::issued(context, dry_run).await?;
    rating::rate(context, dry_run, catalog.all_series()?).await?;
    invoicing::draft(context, dry_run).await?;
    correction::difference(context, dry_run, &issued, cause).await
}

/// The changes of a closed period that usage alone causes. The result is empty if this version computes other documents
/// than the close, because the two causes cannot be separated.
pub(super) async fn changed_by_usage(
    environment: &Environment,
    context: &Context,
    dry_run: &mut Transaction,
    catalog: &Catalog,
) -> Result<LineDifferences, Error> {
    if is_changed_by_program(environment, context, dry_run).await? {
        return Ok(LineDifferences::default());
    }
    Ok(difference(context, dry_run, catalog, ChangeCause::Usage).await?.line_differences)
}

/// Whether rated usage, charges or suspended accounts differ from the committed rows.
pub(super) fn has_other_usage(transaction: &Transaction) -> bool {
    let relations = ["rated_usage", "unrated_usage", "non_usage_charge", "suspended_account"];
    relations.iter().any(|relation| transaction.has_changed(relation))
}

/// Refuses to correct a period if this version computes other documents from the usage of the close. Only `conto
/// restate` may issue such changes.
pub(super) async fn refuse_another_program(
    environment: &Environment,
    context: &Context,
    transaction: &Transaction,
) -> Result<(), Error> {
    match context.mode.closed() {
        Some(closed) if is_changed_by_program(environment, context, transaction).await? => {
            let (period, closed_by) = (context.period.to_string(), closed.program_version.clone());
            Err(Error::Closing(ClosingError::VersionMismatch { period, closed_by, current: PROGRAM_VERSION }))
        }
        _ => Ok(()),
    }
}

/// Whether this version computes other documents than the version of the last close, from the usage of the close.
async fn is_changed_by_program(
    environment: &Environment,
    context: &Context,
    transaction: &Transaction,
) -> Result<bool, Error> {
    let Some(closed) = context.mode.closed().filter(|closed| closed.program_version != PROGRAM_VERSION) else {
        return Ok(false);
    };
    let issued = closing::issued::issued(context, transaction).await?;
    let mut dry_run = Transaction::dry_run_before(&transaction.lake, environment, closed.sequence).await?;
    let environment = environment_of(environment, closed)?;
    let mode = Mode::of_period(&dry_run.lake, &dry_run.snapshot, context.period).await?;
    let at_close = Context::new(&environment, context.period, mode).at_tax_point(context.tax_point);
    if is_restatement(closed) {
        // The samples may have expired, so the usage is taken from the commit of the restatement.
        dry_run.take_usage_of(closed);
    }
    if is_cancellation(closed) {
        dry_run.read_usage_of(transaction.lake.snapshot_as_of(usage_of(closed)).await?);
    }
    let catalog = read_catalog(&dry_run).await?;
    rating::rate(&at_close, &mut dry_run, catalog.all_series()?).await?;
    invoicing::draft(&at_close, &mut dry_run).await?;
    Ok(!correction::difference(&at_close, &dry_run, &issued, ChangeCause::Usage).await?.changes.is_empty())
}

/// Whether a commit cancelled documents of a closed period.
pub(super) fn is_cancellation(commit: &Commit) -> bool {
    commit.totals.get(CloseDecision::CAUSE).is_some_and(|cause| cause == reason::CANCELLED)
}

/// Whether a commit applied changed rules to a closed period.
pub(super) fn is_restatement(commit: &Commit) -> bool {
    commit.totals.get(CloseDecision::CAUSE).is_some_and(|cause| cause == reason::CHANGED_RULE)
}
