//! What fees, discounts and commitments come to on a period's charges, for who asks what other rules would make of it.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::document::Document;
use super::drafting::{DraftContext, Drafting};
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

/// What one term adds to, or takes off, what a payer's charges come to, in the seller's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermAmount {
    pub term_id: String,
    pub account_id: String,
    /// Absent: the account as a whole.
    pub project_id: Option<String>,
    pub amount: Cost,
}

/// What terms come to, and who is left out.
#[derive(Clone, Debug, Default)]
pub struct TermAmounts {
    pub amounts: Vec<TermAmount>,
    /// Accounts that get no invoice, and why: what terms make of their usage is not known.
    pub suspended_accounts: BTreeMap<String, String>,
}

/// Drafts documents of these charges by the terms of some rules, everybody's in the seller's currency, and keeps what
/// fees, discounts and commitments put on them. Nothing is brought forward, paid by credits or written. An account that
/// would be set aside has no amounts, and is told.
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
    let in_one_currency = |account: &Account| Account { currency: None, ..account.clone() };
    let accounts = &context.config.accounts;
    let accounts = Accounts { accounts: accounts.accounts.iter().map(in_one_currency).collect(), ..accounts.clone() };
    let config = Config { accounts, minimum_invoice_amount: None, ..(*context.config).clone() };
    let mut amounts = Vec::new();
    let Drafting { documents, suspended_accounts } =
        DraftContext::new(context, &config, &compiled).draft(charge, purchase, &mut Balances::none())?;
    for document in documents {
        add(&mut amounts, &document)?;
    }
    let mut reasons = BTreeMap::new();
    for one in suspended_accounts {
        // The first reason is enough to look for the others.
        reasons.entry(one.account_id).or_insert(one.detail);
    }
    Ok(TermAmounts { amounts, suspended_accounts: reasons })
}

fn add(amounts: &mut Vec<TermAmount>, document: &Document) -> Result<(), Error> {
    let settlement = &document.settlement;
    let mut put = |term_id: &str, project_id: &Option<String>, amount: Amount| {
        let project_id = project_id.clone().or_else(|| document.project.as_ref().map(|(id, _)| id.clone()));
        // Four places of an amount are four of the eighteen of a cost.
        let amount = Cost::from_units(amount.units() * 10i128.pow(14));
        let (term_id, account_id) = (term_id.to_owned(), document.account_id.clone());
        amounts.push(TermAmount { term_id, account_id, project_id, amount });
    };
    for line in &settlement.lines {
        if let Some(term_id) = &line.term_id {
            put(term_id, &line.project_id, line.net_amount);
        }
    }
    for allowance in settlement.allowances.iter().filter(|one| matches!(one.kind, DISCOUNT | OVERAGE)) {
        for (place, share) in &allowance.shares {
            let line = settlement.lines.get(*place).ok_or(Error::Internal("a share of a line that is not there"))?;
            put(&allowance.term_id, &line.project_id, Amount::ZERO.checked_sub(*share).ok_or(Error::AMOUNT_OVERFLOW)?);
        }
    }
    Ok(())
}
