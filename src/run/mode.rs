//! The mode of work on a period.

use std::sync::Arc;

use crate::error::Error;
use crate::model::account::{Account, Accounts};
use crate::model::period::BillingPeriod;
use crate::storage::{Commit, CommitKind, Lake, Snapshot};

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
    },
    /// The period is closed: it is rated by the configuration and rules of its last close.
    Correct { closed: Arc<Commit> },
    /// The period is closed: it is rated by the current configuration and rules. If its meters changed, it is also
    /// metered again.
    Restate {
        closed: Arc<Commit>,
        /// The accounts of the last close. A correction can name an account that the configuration no longer has.
        former_accounts: Accounts,
    },
}

impl Mode {
    /// `Correct` for a closed period, `Draft` for an open one.
    pub async fn of_period(lake: &Lake, snapshot: &Snapshot, period: BillingPeriod) -> Result<Self, Error> {
        let last = async |kind| match snapshot.last(kind, &period.to_string()) {
            Some(last) => Ok::<_, Error>(Some(Arc::new(lake.log_entry(last.sequence).await?))),
            None => Ok(None),
        };
        match last(CommitKind::Close).await? {
            Some(closed) => Ok(Self::Correct { closed }),
            None => Ok(Self::Draft { drafted: last(CommitKind::Billing).await? }),
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
            Self::Draft { drafted } => drafted.as_ref(),
            Self::Correct { .. } | Self::Restate { .. } => None,
        }
    }

    /// The last commit with documents of the period.
    pub fn last_documents(&self) -> Option<&Commit> {
        self.closed().or(self.drafted()).map(Arc::as_ref)
    }

    /// An account of the last close that the configuration no longer has.
    pub(super) fn former_account(&self, id: &str) -> Option<&Account> {
        match self {
            Self::Restate { former_accounts, .. } => former_accounts.get(id),
            Self::Draft { .. } | Self::Correct { .. } => None,
        }
    }
}
