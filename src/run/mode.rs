//! The mode of work on a period.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::final_invoice::{FinalInvoices, final_invoices, tax_point_of};
use crate::error::Error;
use crate::model::account::{Account, Accounts};
use crate::model::period::BillingPeriod;
use crate::storage::{Commit, CommitKind, CommitSummary, Lake, Snapshot};

/// The mode of work on a period. The commits of the period and the command decide it before any stage begins.
///
/// A reproduction runs in the mode of the commit that it reproduces. The mode does not determine whether anything is
/// written: a dry run is a [`Transaction`](super::Transaction) that cannot be committed.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The period is open: its documents are drafted, or issued for the first time.
    Draft {
        /// The last drafts of the period.
        drafted: Option<Arc<Commit>>,
        /// The accounts whose documents are already issued.
        final_invoices: FinalInvoices,
    },
    /// The period is closed: it is rated by the configuration and rules of its last close.
    Correct { closed: Arc<Commit> },
    /// The period is closed: it is rated by the current configuration and rules. If its meters changed, it is also
    /// metered again.
    Restate {
        closed: Arc<Commit>,
        /// The accounts of the last close. A correction can name an account that was removed from the configuration.
        former_accounts: Accounts,
    },
}

impl Mode {
    /// `Correct` for a closed period, `Draft` for an open one.
    pub async fn of_period(lake: &Lake, snapshot: &Snapshot, period: BillingPeriod) -> Result<Self, Error> {
        let name = period.to_string();
        let entry = async |commit: Option<&CommitSummary>| match commit {
            Some(commit) => Ok::<_, Error>(Some(Arc::new(lake.log_entry(commit.sequence).await?))),
            None => Ok(None),
        };
        match entry(snapshot.last(CommitKind::Close, &name)).await? {
            Some(closed) => Ok(Self::Correct { closed }),
            None => Ok(Self::Draft {
                drafted: entry(snapshot.last_documents(&name)).await?,
                final_invoices: final_invoices(snapshot, &name),
            }),
        }
    }

    /// The last close of the period.
    pub fn closed(&self) -> Option<&Arc<Commit>> {
        match self {
            Self::Draft { .. } => None,
            Self::Correct { closed } | Self::Restate { closed, .. } => Some(closed),
        }
    }

    /// The last drafts of an open period.
    pub fn drafted(&self) -> Option<&Arc<Commit>> {
        match self {
            Self::Draft { drafted, .. } => drafted.as_ref(),
            Self::Correct { .. } | Self::Restate { .. } => None,
        }
    }

    /// The last commit with documents of the period.
    pub fn last_documents(&self) -> Option<&Commit> {
        self.closed().or(self.drafted()).map(Arc::as_ref)
    }

    /// The final invoices that were issued in an open period; `None` for a closed period.
    pub fn final_invoices(&self) -> Option<&FinalInvoices> {
        match self {
            Self::Draft { final_invoices, .. } => Some(final_invoices),
            Self::Correct { .. } | Self::Restate { .. } => None,
        }
    }

    /// Whether documents of an account are already issued in an open period.
    pub fn has_final_invoice(&self, account: &str) -> bool {
        self.final_invoices().is_some_and(|found| found.contains_key(account))
    }

    /// The tax points of the accounts with a final invoice. A closed period keeps them.
    pub(super) fn tax_points(&self) -> BTreeMap<String, Date> {
        if let Some(found) = self.final_invoices() {
            return found.iter().map(|(account, one)| (account.clone(), one.tax_point)).collect();
        }
        let prefix = tax_point_of("");
        let totals = self.closed().into_iter().flat_map(|closed| &closed.totals);
        let of_account =
            |(name, date): (&String, &String)| Some((name.strip_prefix(&prefix)?.to_owned(), date.parse().ok()?));
        totals.filter_map(of_account).collect()
    }

    /// An account of the last close that the configuration no longer has.
    pub(super) fn former_account(&self, id: &str) -> Option<&Account> {
        match self {
            Self::Restate { former_accounts, .. } => former_accounts.get(id),
            Self::Draft { .. } | Self::Correct { .. } => None,
        }
    }
}
