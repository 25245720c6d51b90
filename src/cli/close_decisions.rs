//! The tables of the operator's decisions about closes.

use crate::cli::print::Printer;
use crate::model::close_blocker::CloseDecision;

/// Prints the approvals and reasons of closes, and the blockers that were overridden. Closes without any are left out.
pub(super) fn print(printer: &Printer, decisions: &[CloseDecision]) {
    let decisions: Vec<&CloseDecision> = decisions.iter().filter(|decision| decision.is_explicit()).collect();
    if decisions.is_empty() {
        return;
    }
    let commit = |decision: &CloseDecision| decision.commit.map(|commit| commit.to_string()).unwrap_or_default();
    let issued = |decision: &&CloseDecision| {
        let (approved_by, reasons) = (decision.approved_by.clone().unwrap_or_default(), decision.reasons.join("; "));
        let cause = decision.cause.replace('_', " ");
        vec![commit(decision), decision.period.clone(), decision.issue_date.clone(), cause, approved_by, reasons]
    };
    let rows: Vec<Vec<String>> = decisions.iter().map(issued).collect();
    printer.line("\nApprovals and reasons of closes:");
    printer.table(&["commit", "period", "issued", "cause", "approved by", "reason"], &rows, &[0]);
    let mut rows = Vec::new();
    for decision in decisions {
        for blocker in &decision.overridden_blockers {
            let count = blocker.count.map(|count| count.to_string()).unwrap_or_default();
            let costs = blocker.costs.iter().map(|cost| format!("{} {}", cost.amount, cost.currency));
            let cost = costs.collect::<Vec<_>>().join(", ");
            let kind = blocker.kind.name().replace('_', " ");
            rows.push(vec![commit(decision), kind, count, cost, blocker.detail.clone()]);
        }
    }
    if !rows.is_empty() {
        printer.line("\nClose blockers that were overridden by force:");
        printer.table(&["commit", "blocker", "count", "cost", "detail"], &rows, &[0, 2, 3]);
    }
}
