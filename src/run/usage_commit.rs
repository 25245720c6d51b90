//! The commit whose usage the documents of a commit price.

use std::collections::BTreeMap;

use crate::storage::{Commit, CommitSummary};

/// The name under which the control totals of a cancellation contain the commit whose usage its documents price.
pub const USAGE_OF: &str = "usage_of";

/// The commit whose usage the documents of a commit price. A cancellation prices the usage of an earlier close. The
/// result is the commit itself for all other commits.
pub fn usage_of(commit: &Commit) -> u64 {
    priced(commit.sequence, &commit.totals)
}

/// As [`usage_of`], for the summary of a commit.
pub fn usage_of_summary(commit: &CommitSummary) -> u64 {
    priced(commit.sequence, &commit.totals)
}

fn priced(sequence: u64, totals: &BTreeMap<String, String>) -> u64 {
    totals.get(USAGE_OF).and_then(|earlier| earlier.parse().ok()).unwrap_or(sequence)
}
