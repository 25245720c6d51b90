//! `conto close --dry-run`: the documents, amounts and blockers of a close.

use crate::cli::changes::print_changes;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::intake_counts::{incomplete, intake_group, print_unread};
use crate::error::{ClosingError, Error, count};
use crate::model::summary::ClosePreview;

/// Prints a preview. Fails as the close would fail.
pub(super) fn show(context: &Context, preview: &ClosePreview) -> Result<(), Failure> {
    if context.printer.is_json() {
        context.printer.json(preview);
    } else {
        print(context, preview);
    }
    if preview.refused {
        let reasons = preview.blockers.iter().map(|blocker| blocker.detail.clone()).collect();
        let period = preview.period.clone();
        return Err(Failure::Pipeline(Error::Closing(ClosingError::CloseBlocked { period, reasons })));
    }
    incomplete(preview.intake.unread_inputs.len(), 0)
}

fn print(context: &Context, preview: &ClosePreview) {
    let printer = &context.printer;
    printer.groups(&[intake_group(&preview.intake)]);
    print_unread(printer, &preview.intake);
    print_changes(context, &preview.changes);
    print_documents(context, preview);
    if !preview.not_issued.is_empty() {
        let rows: Vec<Vec<String>> = preview
            .not_issued
            .iter()
            .map(|document| {
                let amount = format!("{} {}", document.carried_forward, document.currency);
                let project = document.project_id.clone().unwrap_or_default();
                vec![document.account_id.clone(), project, document.kind.replace('_', " "), amount]
            })
            .collect();
        printer.line("\nNot issued:");
        printer.table(&["account", "project", "kind", "carried forward"], &rows, &[3]);
    }
    if !preview.suspended_accounts.is_empty() {
        let suspended = preview.suspended_accounts.iter();
        let rows: Vec<Vec<String>> =
            suspended.map(|account| vec![account.account_id.clone(), account.detail.clone()]).collect();
        printer.line("\nSuspended accounts, without a document:");
        printer.table(&["account", "detail"], &rows, &[]);
    }
    if !preview.blockers.is_empty() && !preview.refused {
        printer.line("\nBlockers that --force overrides:");
        for blocker in &preview.blockers {
            printer.line(&format!("  - {}", blocker.detail));
        }
    }
    printer.line("\nThis is a dry run. Nothing was committed.");
}

fn print_documents(context: &Context, preview: &ClosePreview) {
    let printer = &context.printer;
    if preview.documents.is_empty() {
        printer.line(&format!("A close of {} issues no document.", preview.period));
        return;
    }
    let documents = count(preview.documents.len(), "document");
    let (period, issue_date, tax_point) = (&preview.period, &preview.issue_date, &preview.tax_point);
    printer.line(&format!("A close of {period} issues {documents} on {issue_date}, with the tax point {tax_point}:"));
    let rows: Vec<Vec<String>> = preview
        .documents
        .iter()
        .map(|document| {
            vec![
                document.number.clone(),
                document.kind.replace('_', " "),
                document.account_id.clone(),
                document.project_id.clone().unwrap_or_default(),
                document.total_without_tax.clone(),
                document.tax_amount.clone(),
                format!("{} {}", document.total_with_tax, document.currency),
                document.due_date.clone().unwrap_or_default(),
                document.corrects.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let header = ["number", "kind", "account", "project", "without tax", "tax", "with tax", "due date", "corrects"];
    printer.table(&header, &rows, &[4, 5, 6]);
}
