//! The amounts of fees, discounts and minimum spends on a period's charges, for the comparison of two rule books.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::document::Document;
use super::drafting::{DraftContext, Drafts};
use super::terms;
use crate::error::Error;
use crate::invoicing::credit_balance::Balances;
use crate::invoicing::totals::{DISCOUNT, OVERAGE};
use crate::model::account::{Account, Accounts};
use crate::model::config::Config;
use crate::model::money::{Amount, Cost};
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::run::Context;

/// The amount that one term adds to a payer's charges, in the seller's currency. The amount of a discount is negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermAmount {
    pub term_id: String,
    pub account_id: String,
    /// The id of the project; `None` for the account as a whole.
    pub project_id: Option<String>,
    pub amount: Cost,
}

/// The amounts of all terms, and the accounts without amounts.
#[derive(Clone, Debug, Default)]
pub struct TermAmounts {
    pub amounts: Vec<TermAmount>,
    /// The suspended accounts, each with its first reason. The amounts of their terms are unknown.
    pub suspended_accounts: BTreeMap<String, String>,
}

/// The amounts that the terms of a rule book add to the given charges.
///
/// Documents are drafted in the seller's currency for every account. No amount is brought forward, paid by a credit or
/// written to the lake. A suspended account has no amounts and is listed instead.
pub fn term_amounts(
    context: &Context,
    session: &Session,
    rules: &RuleBook,
    charge: &[RecordBatch],
    purchase: &[RecordBatch],
) -> Result<TermAmounts, Error> {
    let (compiled, problems) = terms::compile(session, &rules.terms, &context.config.seller);
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_sorted()));
    }
    let in_seller_currency = |account: &Account| Account { currency: None, ..account.clone() };
    let accounts = &context.config.accounts;
    let accounts =
        Accounts { accounts: accounts.accounts.iter().map(in_seller_currency).collect(), ..accounts.clone() };
    let config = Config { accounts, minimum_invoice_amount: None, ..(*context.config).clone() };
    let mut amounts = Vec::new();
    let Drafts { documents, suspended_accounts } =
        DraftContext::new(context, &config, &compiled).draft(charge, purchase, &mut Balances::empty())?;
    for document in documents {
        add(&mut amounts, &document)?;
    }
    let mut reasons = BTreeMap::new();
    for one in suspended_accounts {
        // Only the first reason of an account is listed.
        reasons.entry(one.account_id).or_insert(one.detail);
    }
    Ok(TermAmounts { amounts, suspended_accounts: reasons })
}

fn add(amounts: &mut Vec<TermAmount>, document: &Document) -> Result<(), Error> {
    let totals = &document.totals;
    let mut push = |term_id: &str, project_id: &Option<String>, amount: Amount| -> Result<(), Error> {
        let project_id = project_id.clone().or_else(|| document.project.as_ref().map(|(id, _)| id.clone()));
        let amount = amount.to_decimal().ok_or(Error::AMOUNT_OVERFLOW)?;
        let (term_id, account_id) = (term_id.to_owned(), document.account_id.clone());
        amounts.push(TermAmount { term_id, account_id, project_id, amount });
        Ok(())
    };
    for line in &totals.lines {
        if let Some(term_id) = &line.term_id {
            push(term_id, &line.project_id, line.net_amount)?;
        }
    }
    for allowance in totals.allowances.iter().filter(|one| matches!(one.kind, DISCOUNT | OVERAGE)) {
        for (index, share) in &allowance.shares {
            let line = totals.lines.get(*index).ok_or(Error::Internal("an allowance share of a missing line"))?;
            let discounted = Amount::ZERO.checked_sub(*share).ok_or(Error::AMOUNT_OVERFLOW)?;
            push(&allowance.term_id, &line.project_id, discounted)?;
        }
    }
    Ok(())
}
