//! Close blockers as data, and the decisions of the operator about a close.

use serde::{Deserialize, Serialize};

/// The kind of a close blocker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// The issue date is before the end of the period.
    PeriodNotEnded,
    /// A gap in the usage of a source is longer than its interval.
    MissingUsage,
    /// Usage has no price.
    UnratedUsage,
    /// A whole source, or the usage of a server, was not read.
    UnreadSource,
    /// Files or objects were not read.
    UnreadInput,
    /// Records were rejected.
    RejectedRecord,
    /// An account gets no document.
    SuspendedAccount,
    /// An earlier month with shared balances is open.
    EarlierMonthOpen,
    /// A later month with shared balances is closed.
    LaterMonthClosed,
    /// Usage has no account.
    UnassignedUsage,
    /// The rules changed since the final invoice of an account.
    ChangedRule,
    /// The books of the period do not add up.
    Unreconciled,
    /// The period has neither usage nor documents.
    NoUsage,
}

impl BlockerKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::PeriodNotEnded => "period_not_ended",
            Self::MissingUsage => "missing_usage",
            Self::UnratedUsage => "unrated_usage",
            Self::UnreadSource => "unread_source",
            Self::UnreadInput => "unread_input",
            Self::RejectedRecord => "rejected_record",
            Self::SuspendedAccount => "suspended_account",
            Self::EarlierMonthOpen => "earlier_month_open",
            Self::LaterMonthClosed => "later_month_closed",
            Self::UnassignedUsage => "unassigned_usage",
            Self::ChangedRule => "changed_rule",
            Self::Unreconciled => "unreconciled",
            Self::NoUsage => "no_usage",
        }
    }
}

/// A close blocker. A commit records the blockers that `--force` overrode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseBlocker {
    pub kind: BlockerKind,
    /// The source, account or month of the blocker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The number of gaps, rows, records, inputs or projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The limit of `[closing]` that the count exceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The costs in doubt, one for each currency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<BlockerCost>,
    /// The blocker as a sentence.
    pub detail: String,
}

/// A cost before tax that a blocker concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockerCost {
    /// The unrounded cost of usage, or the difference of a document.
    pub amount: String,
    pub currency: String,
}

/// The operator's decisions about one issue of documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloseDecision {
    /// The number of the commit; `None` before the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    pub period: String,
    pub issue_date: String,
    /// The cause of the documents: `close`, `final_invoice`, `late_usage`, `changed_rule` or `cancelled`.
    pub cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The reasons that the operator gave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overridden_blockers: Vec<CloseBlocker>,
}

impl CloseDecision {
    /// The names under which the control totals of a close contain its issue date and its cause.
    pub const ISSUE_DATE: &str = "issue_date";
    pub const CAUSE: &str = "reason";
    /// The cause of the documents of an account that leaves.
    pub const FINAL_INVOICE: &str = "final_invoice";

    /// Whether a person approved the documents, gave a reason or overrode a blocker.
    pub fn is_explicit(&self) -> bool {
        self.approved_by.is_some() || !self.reasons.is_empty() || !self.overridden_blockers.is_empty()
    }
}

impl CloseBlocker {
    pub fn new(kind: BlockerKind, detail: String) -> Self {
        Self { kind, subject: None, count: None, limit: None, costs: Vec::new(), detail }
    }

    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    pub fn counted(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    pub fn above(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// This blocker with one more cost.
    pub fn of_cost(mut self, amount: String, currency: &str) -> Self {
        self.costs.push(BlockerCost { amount, currency: currency.to_owned() });
        self
    }
}
