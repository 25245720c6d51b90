//! Final invoices: the documents of an account that are issued while their period is open.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::error::Error;
use crate::rows::Row;
use crate::storage::{CommitKind, CommitSummary, Snapshot};

/// The name under which the control totals of a close contain its tax point.
pub const TAX_POINT: &str = "tax_point";

/// The name under which the control totals of a final invoice contain its account.
pub const ACCOUNT: &str = "account";

/// The final invoices of one account in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalInvoice {
    /// The last commit that issued documents of the account.
    pub sequence: u64,
    /// The date of the account's taxes and exchange rates.
    pub tax_point: Date,
}

/// The final invoices of a period, by account.
pub type FinalInvoices = BTreeMap<String, FinalInvoice>;

/// The final invoices that were issued before a period was closed.
pub fn final_invoices(snapshot: &Snapshot, period: &str) -> FinalInvoices {
    let is_final =
        |commit: &&CommitSummary| commit.kind == CommitKind::FinalInvoice && commit.period.as_deref() == Some(period);
    let mut found = FinalInvoices::new();
    for commit in snapshot.commits().iter().filter(is_final) {
        let tax_point = commit.totals.get(TAX_POINT).and_then(|date| date.parse().ok());
        if let (Some(account), Some(tax_point)) = (commit.totals.get(ACCOUNT), tax_point) {
            found.insert(account.clone(), FinalInvoice { sequence: commit.sequence, tax_point });
        }
    }
    found
}

/// The name under which the control totals of a close contain the tax point of an account with a final invoice.
pub fn tax_point_of(account: &str) -> String {
    format!("{TAX_POINT}:{account}")
}

/// Whether a document belongs to an account with a final invoice. An unassigned project with the id of the account is
/// another payer.
pub fn is_of_final_invoice(document: Row<'_>, accounts: &FinalInvoices) -> Result<bool, Error> {
    Ok(document.optional_text("account_name")?.is_some() && accounts.contains_key(document.text("account_id")?))
}

/// Whether a document of an account with a final invoice is settled. Its corrections remain drafts until they are
/// issued.
pub fn is_settled(document: Row<'_>, accounts: &FinalInvoices) -> Result<bool, Error> {
    Ok(is_of_final_invoice(document, accounts)? && document.text("document_kind")? != "draft")
}
