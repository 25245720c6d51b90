//! Invoicing: draft invoices from rated usage. It is the only stage that rounds money.
//!
//! SQL groups rated usage into charges, and later adds up and checks the documents. Between these steps, this stage
//! processes one invoice after the other. The stage determines the buyer, the currency, and the taxes, discounts,
//! minimum spends and credits that apply. Every printed amount is rounded and allocated to lines.

mod allocate;
mod brought_forward;
mod charge;
mod credit_balance;
mod document;
mod drafting;
mod exchange_rate;
pub mod fee;
mod final_invoices;
mod line;
mod line_rows;
mod relations;
mod statements;
mod term_amount;
pub mod terms;
#[cfg(test)]
mod tests;
mod totals;

pub use final_invoices::draft_beside_final_invoices;
pub use term_amount::term_amounts;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::model::issue::{CorrectedRows, IssuedUses};
use crate::query::{CHECKS_OF_INVOICES as CHECKS, Parameters, persisted_of, statement};
use crate::rows;
use crate::rows::taxes::APPLIED_TAX;
use crate::run::{self, Context, Transaction};

use self::credit_balance::Balances;
use self::drafting::{DraftContext, Drafts};
use self::statements::{CHECKS_OF_CORRECTIONS, STAGE, draft_parameters};

/// Drafts an invoice for every invoiced payer with charges, a minimum spend, a minimum fee or an amount brought
/// forward.
pub async fn draft(context: &Context, transaction: &mut Transaction) -> Result<(), Error> {
    draft_by(context, transaction, None).await
}

/// Drafts the documents of a closed period again. They use the credits and the amounts brought forward that the issued
/// documents use, and no others.
pub async fn draft_again(context: &Context, transaction: &mut Transaction, uses: &IssuedUses) -> Result<(), Error> {
    draft_by(context, transaction, Some(uses)).await
}

#[tracing::instrument(level = "debug", name = "invoicing", skip_all)]
async fn draft_by(context: &Context, transaction: &mut Transaction, uses: Option<&IssuedUses>) -> Result<(), Error> {
    context.options.progress.begin("Invoicing", 1);
    let session = &transaction.session;
    let rules = &context.rules;
    // `charge` and `purchase` are as large as the invoice lines, and no statement reads them. So these relations are
    // not registered.
    let charge = session.run("invoicing/charge", Parameters::none()).await?;
    let purchase = session.run("invoicing/purchase", Parameters::none()).await?;
    let (compiled, problems) = terms::compile(session, &rules.terms, &context.config.seller);
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_sorted()));
    }
    let mut balances = Balances::load(context, transaction, &rules.terms).await?;
    if let Some(uses) = uses {
        balances.limit(uses);
    }
    let mut drafting = DraftContext::new(context, &context.config, &compiled);
    drafting.set_charge_taxes(charge_taxes(context, transaction).await?);
    relations::register_exchange_rates(session, &drafting.exchange_rates(rules, &[&charge, &purchase])?)?;
    let Drafts { documents, suspended_accounts } = drafting.draft(&charge, &purchase, &mut balances)?;
    drop((charge, purchase));
    let seller_currency = context.config.currency;
    relations::register_drafts(session, &documents, &suspended_accounts, seller_currency)?;
    session.register("invoicing/issued_net", Vec::new())?;
    session.register("invoicing/issued_tax", Vec::new())?;
    session.register("invoicing/issued_tax_total", Vec::new())?;
    let tax_breakdown = session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    let prepayments = balances.pay(&rules.terms, &documents, &tax_breakdown)?;
    drop(documents);
    relations::register_prepayments(session, &prepayments)?;
    relations::register_balances(session, &balances, &rules.terms)?;
    session.register("invoicing/unbilled_cost", Vec::new())?;
    session.materialize("invoicing/invoice", draft_parameters(context)).await?;
    for check in CHECKS {
        run::check(&transaction.session, check).await?;
    }
    let partition = context.period.to_string();
    for path in persisted_of(STAGE) {
        let rows = transaction.session.rows_of(path).await?;
        transaction.replace(path, &partition, 0, &rows).await?;
    }
    context.options.progress.end();
    Ok(())
}

/// The taxes that the one-off charges of the period name, by the id of the charge.
async fn charge_taxes(context: &Context, transaction: &Transaction) -> Result<BTreeMap<String, String>, Error> {
    let period = context.period.to_string();
    let mut taxes = BTreeMap::new();
    for row in rows::each(&transaction.read("one_off_charge", |file| file.partition == period).await?) {
        if let Some(tax) = row.optional_text("tax_id")? {
            taxes.insert(row.text("charge_id")?.to_owned(), tax.to_owned());
        }
    }
    Ok(taxes)
}

/// Drafts the documents of a correction.
///
/// A correction does not use credits. Credit balances change only by the amounts that the correction returns. The rows
/// of a suspended account contain its complete current usage, not only the changed usage.
pub async fn draft_corrections(
    context: &Context,
    transaction: &mut Transaction,
    mut corrected: CorrectedRows,
) -> Result<(), Error> {
    let days = (context.period.start_day(), context.period.end_day());
    corrected.invoice_line.extend(brought_forward::carried_forward_lines(&corrected, days)?);
    let relations = [
        ("invoicing/document_header", corrected.document_header),
        ("invoicing/invoice_line", corrected.invoice_line),
        ("invoicing/allowance", corrected.allowance),
        ("invoicing/allowance_share", corrected.allowance_share),
        ("invoicing/prepayment", corrected.prepayment),
        ("invoicing/line_reference", corrected.line_reference),
        (APPLIED_TAX, corrected.applied_tax),
        ("invoicing/issued_net", corrected.issued_net),
        ("invoicing/issued_tax", corrected.issued_tax),
        ("invoicing/issued_tax_total", corrected.issued_tax_total),
    ];
    for (path, rows) in relations {
        transaction.session.register(path, rows)?;
    }
    transaction.session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    transaction.session.materialize("invoicing/invoice", draft_parameters(context)).await?;
    for check in CHECKS_OF_CORRECTIONS {
        run::check(&transaction.session, check).await?;
    }
    let partition = context.period.to_string();
    for path in persisted_of(STAGE) {
        let relation = statement(path)?;
        if relation.schema.column_with_name("invoice_number").is_some() || path == APPLIED_TAX {
            let rows = transaction.session.rows_of(path).await?;
            transaction.replace(path, &partition, 0, &rows).await?;
        } else if path == "invoicing/exchange_rate" {
            let current = transaction.session.rows_of(path).await?;
            // Drafting replaced the rates of the close with the current rates.
            transaction.restore(&relation.name);
            let closed = transaction.read(&relation.name, |file| file.partition == partition).await?;
            transaction.replace(path, &partition, 0, &relations::merge_rates(closed, current)?).await?;
        } else if path != "invoicing/suspended_account" {
            transaction.restore(&relation.name);
        }
    }
    transaction.replace("invoicing/unbilled_cost", &partition, 0, &corrected.unbilled_cost).await?;
    credit_balance::return_credits(context.period, transaction, &corrected.returned).await
}
