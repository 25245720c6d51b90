//! The failure of a command, and its exit code.

use crate::error::Error;
use crate::error::count;
use crate::model::diagnostic::Diagnostic;
use crate::query;
use crate::storage;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Pipeline(#[from] Error),
    /// Invalid configuration or rules, in the order of files and lines.
    #[error("{} to fix", count(.0.len(), "problem"))]
    Invalid(Vec<Diagnostic>),
    /// An invalid command.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// The command is done, but some inputs could not be read, some accounts have no invoice, or a billed month is
    /// beyond a limit. They were printed.
    #[error("{}", left_out(*unread, *suspended, *exceeded))]
    Incomplete { unread: usize, suspended: usize, exceeded: usize },
    /// The books break an invariant.
    #[error("the books do not add up: {0}")]
    Unreconciled(String),
    /// A rule fails its examples, or a check of the rules has warnings. The problems were printed.
    #[error("{0}")]
    RuleCheck(String),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl Failure {
    /// The exit code: 1 failed; 2 invalid command, configuration or rule; 3 data refused; 4 done, with unread
    /// inputs, suspended accounts or exceeded limits.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Pipeline(error) => error.class().exit_code(),
            Self::Invalid(_) | Self::Usage { .. } | Self::RuleCheck(_) => 2,
            Self::Unreconciled(_) => 3,
            Self::Incomplete { .. } => 4,
            Self::Other(_) => 1,
        }
    }
}

/// The inputs and the accounts that were left out and the findings beyond limits, counted.
fn left_out(unread: usize, suspended: usize, exceeded: usize) -> String {
    let unread = (unread > 0).then(|| format!("{} not read; all others are read", count(unread, "input")));
    let suspended =
        (suspended > 0).then(|| format!("{} suspended; all others have their invoices", count(suspended, "account")));
    let exceeded = (exceeded > 0)
        .then(|| format!("{} beyond the limits of `[run]`; the drafts are committed", count(exceeded, "finding")));
    unread.into_iter().chain(suspended).chain(exceeded).collect::<Vec<_>>().join("; ")
}
