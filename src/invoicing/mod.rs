//! Invoicing: from rated usage to draft invoices. The only stage that rounds money.
//!
//! SQL gathers what was rated into charges, and adds up and checks the documents. Between the two, one invoice after
//! the other is a decision about one thing: who pays in which currency, which taxes, discounts, commitments and credits
//! apply, and how each printed amount is rounded and shared out.

mod allocate;
mod brought_forward;
mod credit_balance;
mod document;
mod drafting;
mod exchange_rate;
pub mod fee;
mod line;
mod line_rows;
mod relations;
mod term_amount;
pub mod terms;
#[cfg(test)]
mod tests;
mod totals;

pub use term_amount::term_amounts;

use crate::error::Error;
use crate::model::issue::CorrectedRows;
use crate::model::money::places_of;
use crate::query::{CHECKS_OF_INVOICES as CHECKS, Parameters, persisted_of, statement};
use crate::run::{self, Context, Transaction};

use self::drafting::{DraftContext, Drafting};
use crate::invoicing::credit_balance::Balances;

/// Of which every relation that a lake keeps is a file for each period.
const STAGE: &str = "invoicing";

/// Those of them that hold of what is given back as well: in the books it is below zero.
const CHECKS_OF_CORRECTIONS: [&str; 7] = [CHECKS[0], CHECKS[1], CHECKS[2], CHECKS[3], CHECKS[4], CHECKS[5], CHECKS[6]];

/// Drafts the invoices of every account that is invoiced and had usage, or owes or is owed something without it.
#[tracing::instrument(level = "debug", name = "invoicing", skip_all)]
pub async fn draft(context: &Context, transaction: &mut Transaction) -> Result<(), Error> {
    context.options.progress.begin("Invoicing", 1);
    let session = &transaction.session;
    let rules = &context.rules;
    // Charges become lines, and are as many: nothing reads their relations.
    let charge = session.run("invoicing/charge", Parameters::none()).await?;
    let purchase = session.run("invoicing/purchase", Parameters::none()).await?;
    let (compiled, problems) = terms::compile(session, &rules.terms, &context.config.seller);
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_sorted()));
    }
    let mut balances = Balances::before(context, transaction, &rules.terms).await?;
    let office = DraftContext::new(context, &context.config, &compiled);
    relations::register_exchange_rates(session, &office.exchange_rates(rules, &[&charge, &purchase])?)?;
    let Drafting { documents, suspended_accounts } = office.draft(&charge, &purchase, &mut balances)?;
    drop((charge, purchase));
    let seller = (i64::from(places_of(context.config.currency)), context.config.currency.code());
    relations::register_drafts(session, &documents, &suspended_accounts, seller.0, seller.1)?;
    let tax_breakdown = session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    let prepayments = balances.pay(&rules.terms, &documents, &tax_breakdown)?;
    drop(documents);
    relations::register_prepayments(session, &prepayments)?;
    relations::register_balances(session, &balances, &rules.terms)?;
    session.register("invoicing/unbilled_cost", Vec::new())?;
    let parameters = Parameters::none()
        .text("currency", context.config.currency.code())
        .date("billing_period_start", context.period.start_day())
        .date("billing_period_end", context.period.end_day());
    session.materialize("invoicing/invoice", parameters).await?;
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

/// Drafts documents of what is due beyond what was issued. Credits are not drawn on again: but for what they get back,
/// their balances stay as they were committed. Who is set aside is so with all that was used by now.
pub async fn draft_corrections(
    context: &Context,
    transaction: &mut Transaction,
    mut corrected: CorrectedRows,
) -> Result<(), Error> {
    let days = (context.period.start_day(), context.period.end_day());
    corrected.invoice_line.extend(brought_forward::taken_off(&corrected, days)?);
    let parts = [
        ("invoicing/document_header", corrected.document_header),
        ("invoicing/invoice_line", corrected.invoice_line),
        ("invoicing/allowance", corrected.allowance),
        ("invoicing/allowance_share", Vec::new()),
        ("invoicing/prepayment", Vec::new()),
        ("invoicing/line_reference", corrected.line_reference),
    ];
    for (path, rows) in parts {
        transaction.session.register(path, rows)?;
    }
    transaction.session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    let parameters = Parameters::none()
        .text("currency", context.config.currency.code())
        .date("billing_period_start", context.period.start_day())
        .date("billing_period_end", context.period.end_day());
    transaction.session.materialize("invoicing/invoice", parameters).await?;
    for check in CHECKS_OF_CORRECTIONS {
        run::check(&transaction.session, check).await?;
    }
    let partition = context.period.to_string();
    for path in persisted_of(STAGE) {
        let relation = statement(path)?;
        if relation.schema.column_with_name("invoice_number").is_some() {
            let rows = transaction.session.rows_of(path).await?;
            transaction.replace(path, &partition, 0, &rows).await?;
        } else if path == "invoicing/exchange_rate" {
            let due = transaction.session.rows_of(path).await?;
            // The draft has written the rates of today over those of the close.
            transaction.restore(&relation.name);
            let before = transaction.read(&relation.name, |file| file.partition == partition).await?;
            transaction.replace(path, &partition, 0, &relations::rates_beside(before, due)?).await?;
        } else if path != "invoicing/suspended_account" {
            transaction.restore(&relation.name);
        }
    }
    transaction.replace("invoicing/unbilled_cost", &partition, 0, &corrected.unbilled_cost).await?;
    credit_balance::give_back(context.period, transaction, &corrected.returned).await
}
