//! The documents of a close that is not carried out.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::model::issue::Issue;
use crate::model::money::{Amount, places_of_code};
use crate::model::summary::{ClosePreview, PlannedDocument, SuspendedAccountSummary, UnissuedDocument};
use crate::model::terms::{CARRIED_FORWARD, SKIPPED};
use crate::rows::{self, Row};
use crate::run::{Context, Transaction};

/// Adds the numbered documents, the documents without a number and the suspended accounts to a preview.
pub async fn preview(
    context: &Context,
    transaction: &Transaction,
    issue: &Issue,
    preview: &mut ClosePreview,
) -> Result<(), Error> {
    let period = context.period.to_string();
    let invoice = transaction.read("invoice", |file| file.partition == period).await?;
    let mut headers: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for row in rows::each(&invoice) {
        headers.insert(row.text("invoice_number")?, row);
        let kind = row.text("document_kind")?;
        // A correction changes no document without a number. The first close reported these documents.
        if is_in_scope(context, row)? && !preview.was_closed && matches!(kind, CARRIED_FORWARD | SKIPPED) {
            preview.not_issued.push(UnissuedDocument {
                kind: kind.to_owned(),
                account_id: row.text("account_id")?.to_owned(),
                project_id: row.optional_text("project_id")?.map(str::to_owned),
                currency: row.text("currency")?.to_owned(),
                carried_forward: amount(row, "carried_forward")?,
            });
        }
    }
    for document in &issue.documents {
        let number = document.number.number.as_str();
        let row = *headers.get(number).ok_or(Error::Internal("a numbered document has no row"))?;
        let text = |name| -> Result<Option<String>, Error> { Ok(row.optional_text(name)?.map(str::to_owned)) };
        preview.documents.push(PlannedDocument {
            number: number.to_owned(),
            kind: document.kind.to_owned(),
            account_id: row.text("account_id")?.to_owned(),
            account_name: text("account_name")?,
            project_id: text("project_id")?,
            sold_by: text("sold_by")?,
            currency: row.text("currency")?.to_owned(),
            total_without_tax: amount(row, "total_without_tax")?,
            tax_amount: amount(row, "tax_amount")?,
            total_with_tax: amount(row, "total_with_tax")?,
            amount_due: amount(row, "amount_due")?,
            due_date: document.due_date.map(|date| date.to_string()),
            corrects: document.corrects.as_ref().map(|(number, _)| number.clone()),
            reason: document.reason.clone(),
        });
    }
    let mut suspended = BTreeSet::new();
    for row in rows::each(&transaction.read("suspended_account", |file| file.partition == period).await?) {
        if !is_in_scope(context, row)? {
            continue;
        }
        suspended.insert(SuspendedAccountSummary {
            account_id: row.text("account_id")?.to_owned(),
            account_name: row.optional_text("account_name")?.map(str::to_owned),
            reason: row.text("reason")?.to_owned(),
            detail: row.text("detail")?.to_owned(),
        });
    }
    preview.suspended_accounts = suspended.into_iter().collect();
    Ok(())
}

/// Whether a row belongs to the account whose final documents are issued. A close of the whole period includes all
/// rows.
fn is_in_scope(context: &Context, row: Row<'_>) -> Result<bool, Error> {
    let account_id = row.text("account_id")?;
    Ok(context.account.as_deref().is_none_or(|account| account == account_id))
}

/// An amount of a document with the places of its currency.
fn amount(row: Row<'_>, column: &'static str) -> Result<String, Error> {
    let amount: Amount = row.decimal(column)?;
    Ok(amount.to_text(places_of_code(row.text("currency")?)))
}
