//! The summary of a run, from the rows of its documents.

use std::collections::BTreeSet;

use super::index_page::{totals_of, usage_counts};
use super::relations::Relations;
use crate::error::Error;
use crate::model::money::Decimal;
use crate::model::period::BillingPeriod;
use crate::model::summary::{Summary, SuspendedAccountSummary};
use crate::model::terms::{CARRIED_FORWARD, SKIPPED};
use crate::rows;

/// The counts and totals at the end of a run.
pub(super) fn run_summary(period: BillingPeriod, relations: &Relations) -> Result<Summary, Error> {
    let usage = usage_counts(relations)?;
    let is_draft = |kind: &str| kind == "draft";
    let totals = totals_of(relations, false, is_draft)?;
    let cost_of = |wanted: &str| -> Result<String, Error> {
        let mut sum = Decimal::<18>::ZERO;
        for row in rows::each(&relations.project_summary) {
            if row.text("status")? == wanted {
                let next = sum.checked_add(row.decimal("contracted_cost")?);
                sum = next.ok_or(Error::COST_OVERFLOW)?;
            }
        }
        Ok(sum.to_text(2))
    };
    let documents_of = |kind: &str| -> Result<u64, Error> {
        let kinds: Result<Vec<&str>, Error> =
            rows::each(&relations.invoice).map(|row| row.text("document_kind")).collect();
        Ok(kinds?.into_iter().filter(|one| *one == kind).count() as u64)
    };
    Ok(Summary {
        period: period.to_string(),
        usage_rated: usage.rated,
        usage_unrated: usage.unrated,
        usage_unattributed: usage.unattributed,
        invoices: totals.iter().map(|total| total.invoices).sum(),
        carried_forward: documents_of(CARRIED_FORWARD)?,
        skipped: documents_of(SKIPPED)?,
        issued: documents_of("invoice")? + documents_of("credit_note")?,
        suspended_accounts: rows::each(&relations.suspended_accounts)
            .map(|row| {
                Ok(SuspendedAccountSummary {
                    account_id: row.text("account_id")?.to_owned(),
                    account_name: row.optional_text("account_name")?.map(str::to_owned),
                    reason: row.text("reason")?.to_owned(),
                    detail: row.text("detail")?.to_owned(),
                })
            })
            .collect::<Result<BTreeSet<_>, Error>>()?
            .into_iter()
            .collect(),
        unconverted: rows::each(&relations.unconverted_currency)
            .map(|row| Ok(row.text("price_currency")?.to_owned()))
            .collect::<Result<_, Error>>()?,
        totals,
        retail: totals_of(relations, true, is_draft)?,
        internal_cost: cost_of("internal")?,
        unattributed_cost: cost_of("unattributed")?,
        billing_commit: None,
        directory: None,
        ..Summary::default()
    })
}
