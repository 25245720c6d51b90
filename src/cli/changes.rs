//! The table of corrections of issued documents.

use crate::cli::context::Context;
use crate::model::summary::Change;

/// Prints the corrections of issued documents.
pub(super) fn print_changes(context: &Context, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let project = change.project_id.clone().unwrap_or_default();
            let amount = format!("{} {}", change.net_amount, change.currency);
            let reason = change.reason.replace('_', " ");
            vec![change.account_id.clone(), project, amount, reason, change.billed_as.clone()]
        })
        .collect();
    context.printer.line("Corrections, without tax:");
    context.printer.table(&["account", "project", "amount", "reason", "billed as"], &rows, &[2]);
    context.printer.line("");
}
