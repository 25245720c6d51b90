//! The cancellation of issued documents: credit notes, and invoices with the present data of account and seller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::close::{CloseOptions, refuse_difference};
use super::{again_after_a_conflict, correct};
use crate::catalog::stored::read_catalog;
use crate::closing::cancellation::{self, DocumentToCancel};
use crate::closing::reason;
use crate::error::{ClosingError, Error};
use crate::load;
use crate::model::account::Account;
use crate::model::account_data::AccountData;
use crate::model::close_blocker::CloseDecision;
use crate::model::config::{Config, Seller, Tax};
use crate::model::issue::Cancellation;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::model::seller_data::SellerData;
use crate::model::summary::{CancelSummary, CancelledBy, ChangedData};
use crate::run::{Context, Documents, Environment, Mode, RunOptions, TAX_POINT, Transaction, USAGE_OF, usage_of};
use crate::storage::{Commit, CommitKind, layout};
use crate::{closing, documents, invoicing, rating};

/// The names under which the control totals of a cancellation contain the cancelled numbers, and whether new invoices
/// replace them.
const CANCELLED_NUMBERS: &str = "cancelled";
const IS_REISSUED: &str = "reissued";

/// The documents to cancel.
#[derive(Clone, Debug)]
pub struct CancelOptions {
    pub numbers: Vec<String>,
    /// Whether new invoices with the present data of accounts and seller replace the documents.
    pub is_reissued: bool,
    /// The stated reason.
    pub remark: String,
}

/// Cancels issued documents. Without approval, a dry run reports the new documents.
pub async fn cancel(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    cancel: CancelOptions,
    approved: Option<CloseOptions>,
    options: RunOptions,
) -> Result<CancelSummary, Error> {
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        let documents = documents_of(&transaction, &cancel.numbers).await?;
        let period = period_of(&documents)?;
        let mode = Mode::of_period(&transaction.lake, &transaction.snapshot, period).await?;
        if let (None, Some(document)) = (mode.closed(), documents.first()) {
            let (number, period) = (document.number.clone(), period.to_string());
            return Err(Error::Closing(ClosingError::CancelInOpenPeriod { number, period }));
        }
        let (of_close, context) = correct::by_the_close(&environment, period, mode)?;
        correct::refuse_another_program(&of_close, &context, &transaction).await?;
        let former = former_configs(&transaction, &documents).await?;
        let mut config_of_close = Config::clone(&of_close.config);
        let has_other_numbers = config.closing.invoice_prefix != config_of_close.closing.invoice_prefix;
        let (replaced, changed_data) = if cancel.is_reissued {
            present_data(&documents, &former, &config, has_other_numbers)?
        } else {
            Default::default()
        };
        config_of_close.accounts.replace_data(replaced);
        if let Some(document) = documents.iter().find(|one| cancel.is_reissued && one.is_of_configured_seller()) {
            refuse_missing_seller_data(document, &config.seller, &config_of_close.tax)?;
            SellerData::of(&config).replace_in(&mut config_of_close);
        }
        // After a wrong issue date, only other prefixes accept an earlier date.
        let (prefixes, of_close_prefixes) = (&config.closing, &mut config_of_close.closing);
        if prefixes.invoice_prefix != of_close_prefixes.invoice_prefix
            || prefixes.credit_note_prefix != of_close_prefixes.credit_note_prefix
        {
            of_close_prefixes.replace_prefixes(&prefixes.invoice_prefix, &prefixes.credit_note_prefix);
        }
        let of_close = Environment::new(Arc::new(config_of_close), Arc::clone(&of_close.rules), options.clone())?;
        let context = Context::new(&of_close, period, context.mode);
        let work = Work { documents, former, is_reissued: cancel.is_reissued, remark: cancel.remark.clone() };
        let summary = CancelSummary { period: period.to_string(), changed_data, ..CancelSummary::default() };
        let Some(closing) = &approved else {
            let mut dry_run = transaction.dry_run(&environment)?;
            let (_, documents) = draft(&context, &mut dry_run, &work).await?;
            return Ok(CancelSummary { documents, ..summary });
        };
        let (documents, directory) = issue(&context, &mut transaction, &work, closing, Documents::Changed).await?;
        let commit = transaction.commit(context.provenance(CommitKind::Close)).await?;
        let latest = commit.as_ref().or(context.mode.last_documents());
        documents::point_to_latest(&transaction.lake, context.period, latest).await?;
        Ok(CancelSummary { documents, directory, commit: commit.map(|commit| commit.sequence), ..summary })
    })
    .await
}

/// Cancels the documents of a commit again. The environment contains its account data.
pub(super) async fn cancel_again(
    environment: &Environment,
    dry_run: &mut Transaction,
    period: BillingPeriod,
    entry: &Commit,
    closing: &CloseOptions,
) -> Result<Context, Error> {
    let numbers = entry.totals.get(CANCELLED_NUMBERS).map(String::as_str).unwrap_or_default();
    let numbers: Vec<String> = numbers.split('\n').map(str::to_owned).collect();
    let documents = documents_of(dry_run, &numbers).await?;
    let former = former_configs(dry_run, &documents).await?;
    let mode = Mode::of_period(&dry_run.lake, &dry_run.snapshot, period).await?;
    let context = Context::new(environment, period, mode);
    let is_reissued = entry.totals.get(IS_REISSUED).is_some_and(|text| text == "true");
    let remark = entry.remarks.first().cloned().unwrap_or_default();
    let work = Work { documents, former, is_reissued, remark };
    issue(&context, dry_run, &work, closing, Documents::All).await?;
    Ok(context)
}

/// The inputs of a cancellation.
struct Work {
    documents: Vec<DocumentToCancel>,
    /// The configuration of each document when it was issued.
    former: Vec<Arc<Config>>,
    is_reissued: bool,
    remark: String,
}

async fn documents_of(transaction: &Transaction, numbers: &[String]) -> Result<Vec<DocumentToCancel>, Error> {
    let history = transaction.read("issued_document", |_| true).await?;
    cancellation::documents_to_cancel(&history, numbers)
}

fn period_of(documents: &[DocumentToCancel]) -> Result<BillingPeriod, Error> {
    let period = documents.first().and_then(|document| document.period.parse().ok());
    period.ok_or(Error::Internal("a cancellation without a document"))
}

/// Drafts the credit notes and the new invoices. They price the usage of the last close: usage that arrived later is a
/// correction of its own.
async fn draft(
    context: &Context,
    transaction: &mut Transaction,
    work: &Work,
) -> Result<(Cancellation, Vec<CancelledBy>), Error> {
    let closed = context.mode.closed().ok_or(Error::Internal("a cancellation in an open period"))?;
    let usage = transaction.lake.snapshot_as_of(usage_of(closed)).await?;
    transaction.read_usage_of(usage);
    let issued = closing::issued::issued(context, transaction).await?;
    let catalog = read_catalog(transaction).await?;
    rating::rate(context, transaction, catalog.all_series()?).await?;
    invoicing::draft_again(context, transaction, &cancellation::uses(&issued)?).await?;
    let (documents, configs) = (&work.documents, &work.former);
    let cancelled = cancellation::cancel(context, transaction, &issued, documents, configs, work.is_reissued).await?;
    invoicing::draft_corrections(context, transaction, cancelled.documents).await?;
    let cancellation = Cancellation { remark: work.remark.clone(), ..cancelled.cancellation };
    let proposed = cancellation::proposed(transaction, &cancellation).await?;
    Ok((cancellation, proposed))
}

/// Drafts, numbers and renders the documents. Returns them with their directory.
async fn issue(
    context: &Context,
    transaction: &mut Transaction,
    work: &Work,
    closing: &CloseOptions,
    pages: Documents,
) -> Result<(Vec<CancelledBy>, Option<String>), Error> {
    let issued = closing::issued::issued(context, transaction).await?;
    let (cancellation, proposed) = draft(context, transaction, work).await?;
    let usage = context.mode.closed().map(|closed| usage_of(closed)).unwrap_or_default();
    let numbers: Vec<&str> = work.documents.iter().map(|document| document.number.as_str()).collect();
    let totals = [
        (CloseDecision::ISSUE_DATE, closing.issue_date.to_string()),
        (TAX_POINT, context.tax_point.to_string()),
        (CloseDecision::CAUSE, reason::CANCELLED.to_owned()),
        (CANCELLED_NUMBERS, numbers.join("\n")),
        (IS_REISSUED, work.is_reissued.to_string()),
        (USAGE_OF, usage.to_string()),
    ];
    transaction.remarks.push(work.remark.clone());
    transaction.approved_by.clone_from(&closing.approved_by);
    transaction.totals.extend(totals.map(|(name, text)| (name.to_owned(), text)));
    let issue = closing::number_with(context, transaction, issued, closing.issue_date, &cancellation).await?;
    refuse_difference(context, transaction, closing).await?;
    let rendered = documents::stage(context, transaction, pages, Some(&issue)).await?;
    closing::record_issued(context, transaction, &issue).await?;
    Ok((cancellation::numbered(proposed, &issue), rendered.directory))
}

/// The configuration of each document, with its accounts, by the commit that issued it.
async fn former_configs(transaction: &Transaction, documents: &[DocumentToCancel]) -> Result<Vec<Arc<Config>>, Error> {
    let mut found = Vec::with_capacity(documents.len());
    for document in documents {
        let is_of_period = |period: &Option<String>| period.as_deref() == Some(&document.period);
        let issues = transaction.snapshot.commits().iter().filter(|commit| commit.kind.issues_documents());
        let mut found_config = None;
        for issue in issues.filter(|issue| is_of_period(&issue.period)) {
            let entry = transaction.lake.log_entry(issue.sequence).await?;
            if entry.documents.iter().any(|one| layout::document_name(&one.path) == document.document_name) {
                let (committed, problems) = load::read_committed_inputs(&entry.inputs, &entry.configuration);
                let Some((config, _)) = committed else { return Err(Error::Invalid(problems.into_sorted())) };
                found_config = Some(Arc::new(config));
                break;
            }
        }
        found.push(found_config.ok_or(Error::Internal("an issued document that no commit contains"))?);
    }
    Ok(found)
}

/// The present data of the accounts of all documents, and the values that differ from those on the documents, also of
/// the seller. Fails if a document would not change, or if the configured seller did not issue it.
fn present_data(
    documents: &[DocumentToCancel],
    former: &[Arc<Config>],
    present: &Config,
    has_other_numbers: bool,
) -> Result<(BTreeMap<String, AccountData>, Vec<ChangedData>), Error> {
    let mut replaced = BTreeMap::new();
    let mut changed = BTreeSet::new();
    for (document, former) in documents.iter().zip(former) {
        // After a wrong issue date, a new invoice with the same data has another prefix and an earlier date.
        let mut is_changed = has_other_numbers;
        if document.is_of_configured_seller() {
            let seller = SellerData::of(present);
            refuse_other_seller(document, &seller)?;
            for (key, issued, present) in SellerData::of(former).differences(&seller) {
                is_changed = true;
                changed.insert(ChangedData { account_id: None, key: key.to_owned(), issued, present });
            }
        }
        for id in document.parties() {
            let (issued, present) = parties(document, id, former, present)?;
            let (issued, present) = (issued.data(), present.data());
            for (key, issued, present) in issued.differences(&present) {
                is_changed = true;
                let account_id = Some(id.to_owned());
                changed.insert(ChangedData { account_id, key: key.to_owned(), issued, present });
            }
            replaced.insert(id.to_owned(), present);
        }
        if !is_changed {
            let (number, account) = (document.number.clone(), document.account_id().to_owned());
            return Err(Error::Closing(ClosingError::SameAccountData { number, account }));
        }
    }
    Ok((replaced, changed.into_iter().collect()))
}

/// Refuses to replace the documents of another seller. The VAT id decides which seller it is, or the name of a seller
/// without a VAT id. The operator states earlier ones of the same seller.
fn refuse_other_seller(document: &DocumentToCancel, present: &SellerData) -> Result<(), Error> {
    if present.has_identity(&document.seller) {
        return Ok(());
    }
    let (seller, current) = (&document.seller, present.seller.identity());
    let reason = format!(
        "it is a document of the seller {seller}, and the seller is {current} now. If they are the same seller, add \
         `previous_identities = [\"{seller}\"]` to `[closing]`. If another company sells now, it cannot issue the \
         invoices of the earlier one: set the `[seller]` of the earlier company for this command, or add \
         --without-reissue."
    );
    Err(Error::Closing(ClosingError::ReissuedSeller { number: document.number.clone(), reason }))
}

/// Refuses a seller without the data that an invoice with the tax of the close must contain. The check of the
/// configuration applies to its present tax only.
fn refuse_missing_seller_data(document: &DocumentToCancel, seller: &Seller, tax: &Tax) -> Result<(), Error> {
    let missing = seller.missing_for_tax(&tax.category);
    let Some((key, name)) = missing.first() else { return Ok(()) };
    let (number, category) = (document.number.clone(), &tax.category);
    let reason = format!("the close has tax of category {category}, which needs {name} of the seller; add `{key}`");
    Err(Error::Closing(ClosingError::ReissuedSeller { number, reason }))
}

/// The account of a party when the document was issued, and now.
fn parties<'a>(
    document: &DocumentToCancel,
    id: &str,
    former: &'a Config,
    present: &'a Config,
) -> Result<(&'a Account, &'a Account), Error> {
    let refused = |reason: String| {
        let (number, account) = (document.number.clone(), id.to_owned());
        Error::Closing(ClosingError::NoAccountData { number, account, reason })
    };
    let issued = former.accounts.get(id).ok_or_else(|| refused("a project without an account".to_owned()))?;
    let now = present.accounts.get(id).ok_or_else(|| refused("which is no longer in the accounts file".to_owned()))?;
    match now.suspension_reasons.values().next() {
        Some(reason) => Err(refused(format!("which is suspended: {reason}"))),
        None => Ok((issued, now)),
    }
}
