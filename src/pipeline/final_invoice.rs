//! Final invoices: the documents of an account that leaves, issued while their period is open.
//!
//! The period stays open for all other payers. Until it is closed, the documents of the account are settled. Later runs
//! and the close compare its drafts with them. They draft or issue only the differences.

use std::sync::Arc;

use jiff::civil::Date;

use super::correct;
use crate::catalog::stored::read_catalog;
use crate::closing::correction::{self, ChangeCause, Corrected, Correction, LineDifferences};
use crate::closing::issued::Issued;
use crate::closing::reason::CHANGED_RULE;
use crate::error::{ClosingError, Error};
use crate::model::account::Account;
use crate::model::close_blocker::{BlockerKind, CloseBlocker};
use crate::model::diagnostic::closest;
use crate::model::issue::CorrectedRows;
use crate::model::period::BillingPeriod;
use crate::model::summary::Change;
use crate::model::terms::SKIPPED;
use crate::run::{ACCOUNT, Context, Environment, PROGRAM_VERSION, TAX_POINT, Transaction, tax_point_of};
use crate::storage::Commit;
use crate::{closing, invoicing, rating, rows};

/// The context of the final documents of an account. Fails if the account has not ended in the period, or not before
/// the issue date.
pub(super) fn context(
    context: Context,
    account: &str,
    issue_date: Date,
    tax_point: Option<Date>,
) -> Result<Context, Error> {
    let period = context.period.to_string();
    let refused = |reason| {
        let (account, period) = (account.to_owned(), period.clone());
        Err(Error::Closing(ClosingError::NoFinalInvoice { account, period, reason }))
    };
    let accounts = &context.config.accounts;
    let last_day = match accounts.get(account).map(|found| last_day(found, issue_date)) {
        Some(Ok(last_day)) => last_day,
        Some(Err(reason)) => return refused(reason),
        None => {
            let likely = closest(account, accounts.accounts.iter().map(|one| one.id.as_str()));
            let likely = likely.map(|likely| format!("; did you mean `{likely}`?")).unwrap_or_default();
            return refused(format!("the accounts file does not contain it{likely}"));
        }
    };
    if context.mode.closed().is_some() {
        return refused(format!("{period} is closed; omit --account to issue its corrections"));
    }
    if BillingPeriod::of(last_day) != context.period {
        return refused(format!("its last day is {last_day}; set --period to the month of this day"));
    }
    let issued = context.mode.final_invoices().and_then(|found| found.get(account)).map(|found| found.tax_point);
    match (issued, tax_point) {
        (Some(issued), Some(chosen)) if issued != chosen => refused(format!(
            "it was issued with the tax point {issued}, and corrections use the same one; omit --tax-point"
        )),
        (issued, chosen) => Ok(context.for_account(account, issued.or(chosen).unwrap_or(last_day))),
    }
}

/// The last day of an account that ended before a date, or the reason why it has no final invoice.
fn last_day(account: &Account, issue_date: Date) -> Result<Date, String> {
    if account.internal {
        return Err("it is internal, and internal accounts have no invoices".to_owned());
    }
    let Some(end) = account.valid_to else {
        return Err("it has no end; set its `valid_to` in the accounts file to the day after its last day".to_owned());
    };
    if end > issue_date {
        return Err(format!(
            "its `valid_to` is {end}, but the issue date is {issue_date}; its last day must be before the issue date"
        ));
    }
    end.yesterday().map_err(|_| format!("its `valid_to` is {end}, and no day is before it"))
}

/// Whether the account of the context has a final invoice already.
pub(super) fn is_complete(context: &Context) -> bool {
    context.account.as_ref().is_some_and(|account| context.mode.has_final_invoice(account))
}

/// The changes of the account of the context, or all changes.
pub(super) fn in_scope(context: &Context, changes: Vec<Change>) -> Vec<Change> {
    let is_of_scope = |change: &Change| context.account.as_ref().is_none_or(|account| change.account_id == *account);
    changes.into_iter().filter(is_of_scope).collect()
}

/// A close blocker for each correction that changed rules cause. The issued documents were computed by other rules.
pub(super) fn changed_by_rules(changes: &[Change]) -> Vec<CloseBlocker> {
    let by_rules = changes.iter().filter(|change| change.reason == CHANGED_RULE);
    let text = |change: &Change| {
        let Change { account_id, project_id, net_amount, currency, .. } = change;
        let project = project_id.as_ref().map(|project| format!(" for `{project}`")).unwrap_or_default();
        let detail = format!(
            "the rules changed since the final invoice of `{account_id}`{project}, and the difference is {net_amount} \
             {currency}: limit the change with `valid_from` or to other accounts; --force issues the difference"
        );
        CloseBlocker::new(BlockerKind::ChangedRule, detail).about(account_id).of_cost(net_amount.clone(), currency)
    };
    by_rules.map(text).collect()
}

/// Records the account and the tax points of final invoices in the control totals.
pub(super) fn record_totals(context: &Context, transaction: &mut Transaction) {
    let totals = &mut transaction.totals;
    for (account, tax_point) in &context.tax_points {
        totals.insert(tax_point_of(account), tax_point.to_string());
    }
    if let Some(account) = &context.account {
        totals.insert(ACCOUNT.to_owned(), account.clone());
        totals.extend(context.tax_points.get(account).map(|day| (TAX_POINT.to_owned(), day.to_string())));
    }
}

/// The number of documents of an account without an amount, which are not issued.
pub(super) async fn skipped(context: &Context, transaction: &Transaction, account: &str) -> Result<u64, Error> {
    let period = context.period.to_string();
    let mut skipped = 0;
    for row in rows::each(&transaction.read("invoice", |file| file.partition == period).await?) {
        let is_of_account = row.text("account_id")? == account && row.optional_text("account_name")?.is_some();
        skipped += u64::from(is_of_account && row.text("document_kind")? == SKIPPED);
    }
    Ok(skipped)
}

/// Replaces the drafts of accounts with a final invoice by their issued documents and the corrections of these
/// documents. Returns the corrections.
pub(super) async fn draft(
    context: &Context,
    transaction: &mut Transaction,
    issued: &Issued,
) -> Result<Vec<Change>, Error> {
    let changes = correct(context, transaction, issued).await?;
    if context.mode.final_invoices().is_some_and(|found| !found.is_empty()) {
        closing::keep_final_invoices(context, transaction, issued).await?;
    }
    Ok(changes)
}

/// Replaces the drafts of accounts with a final invoice by the corrections of their issued documents.
pub(super) async fn correct(
    context: &Context,
    transaction: &mut Transaction,
    issued: &Issued,
) -> Result<Vec<Change>, Error> {
    let Some(accounts) = context.mode.final_invoices().filter(|found| !found.is_empty()) else {
        return Ok(Vec::new());
    };
    refuse_missing_accounts(context, accounts.keys())?;
    let mut documents = CorrectedRows::default();
    let mut changes = Vec::new();
    for (account, found) in accounts {
        let corrected = Corrected::Account { id: account, last_issue: found.sequence };
        let correction = correction_of(corrected, found.sequence, context, transaction, issued).await?;
        add(&mut documents, correction.documents);
        changes.extend(correction.changes);
    }
    invoicing::draft_beside_final_invoices(context, transaction, accounts, issued, documents).await?;
    Ok(changes)
}

/// Fails if the accounts file no longer contains an account with a final invoice. Its usage would have no payer.
fn refuse_missing_accounts<'a>(context: &Context, accounts: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let missing = accounts.filter(|account| context.config.accounts.get(account).is_none());
    let reasons: Vec<String> = missing
        .map(|account| format!("{account}: the accounts file does not contain it; add it again with its `valid_to`"))
        .collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::Closing(ClosingError::CorrectionBlocked { period: context.period.to_string(), reasons }))
}

/// The correction of one account. The inputs or the program can differ from those of its final invoice. Then the
/// differences that usage alone would cause are computed too, which determines the reason of each difference.
async fn correction_of(
    corrected: Corrected<'_>,
    last_issue: u64,
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
) -> Result<Correction, Error> {
    let by_usage = correction::difference_of(corrected, context, transaction, issued, ChangeCause::Usage).await?;
    if by_usage.changes.is_empty() {
        return Ok(by_usage);
    }
    let entry = transaction.lake.log_entry(last_issue).await?;
    let current = context.provenance(entry.kind);
    if entry.inputs == current.inputs && entry.program_version == PROGRAM_VERSION {
        return Ok(by_usage);
    }
    let differences = if entry.program_version == PROGRAM_VERSION && entry.meters == current.meters {
        caused_by_usage(corrected, &entry, context, transaction, issued).await?
    } else {
        LineDifferences::default()
    };
    correction::difference_of(corrected, context, transaction, issued, ChangeCause::Rules(&differences)).await
}

/// The differences by the configuration and rules of the final invoice.
async fn caused_by_usage(
    corrected: Corrected<'_>,
    entry: &Commit,
    context: &Context,
    transaction: &Transaction,
    issued: &Issued,
) -> Result<LineDifferences, Error> {
    let environment =
        Environment::new(Arc::clone(&context.config), Arc::clone(&context.rules), context.options.clone())?;
    let environment = correct::environment_of(&environment, entry)?;
    let mut dry_run = transaction.dry_run(&environment)?;
    let at_issue = Context::new(&environment, context.period, context.mode.clone());
    let catalog = read_catalog(&dry_run).await?;
    rating::rate(&at_issue, &mut dry_run, catalog.all_series()?).await?;
    invoicing::draft(&at_issue, &mut dry_run).await?;
    let correction = correction::difference_of(corrected, &at_issue, &dry_run, issued, ChangeCause::Usage).await?;
    Ok(correction.line_differences)
}

/// Adds the rows of one account's correction. Its returned credits are rows of `allowance` too. Its tax treatments are
/// those of the whole period.
fn add(documents: &mut CorrectedRows, of_account: CorrectedRows) {
    documents.document_header.extend(of_account.document_header);
    documents.invoice_line.extend(of_account.invoice_line);
    documents.allowance.extend(of_account.allowance);
    documents.line_reference.extend(of_account.line_reference);
    documents.unbilled_cost.extend(of_account.unbilled_cost);
    documents.issued_net.extend(of_account.issued_net);
    documents.issued_tax.extend(of_account.issued_tax);
    documents.issued_tax_total.extend(of_account.issued_tax_total);
    documents.applied_tax = of_account.applied_tax;
}
