//! The comparison of rules on the usage of a period, without a commit.

use crate::catalog::stored::read_catalog;
use std::sync::Arc;

use crate::error::Error;
use crate::invoicing;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::rating::comparison::{self, Comparison, Payer, Side};
use crate::rating::unused_rules::{self, UnusedRule};
use crate::run::{Context, Environment, Mode, RunOptions, Transaction};

/// The cost of a period's metered usage by the current rules and by other rules, with fees, discounts and minimum
/// spends.
pub async fn compare(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    other: &RuleBook,
    period: BillingPeriod,
    options: RunOptions,
) -> Result<Comparison, Error> {
    let (context, transaction) = open(config, Arc::clone(&rules), period, options).await?;
    let catalog = read_catalog(&transaction).await?;
    let mut comparison = Comparison::default();
    for (rules, side) in [(rules.as_ref(), Side::Before), (other, Side::After)] {
        let charges = comparison::rate_side(&context, &transaction, &catalog, rules, side, &mut comparison).await?;
        let terms = invoicing::term_amounts(&context, &transaction.session, rules, &charges.charge, &charges.purchase)?;
        comparison.suspended_accounts.extend(terms.suspended_accounts);
        for term in terms.amounts {
            let payer = Payer { account_id: Some(term.account_id), project_id: term.project_id };
            comparison.add(side, &term.term_id, payer, term.amount)?;
        }
    }
    Ok(comparison)
}

/// The rules and prices that no metered usage of a period uses.
pub async fn unused_rules(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    options: RunOptions,
) -> Result<Vec<UnusedRule>, Error> {
    let (context, transaction) = open(config, rules, period, options).await?;
    unused_rules::unused_rules(&context, &transaction).await
}

pub(super) async fn open(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    options: RunOptions,
) -> Result<(Context, Transaction), Error> {
    let environment = Environment::new(config, rules, options)?;
    let transaction = Transaction::open_to_read(&environment).await?;
    let mode = Mode::of_period(&transaction.lake, &transaction.snapshot, period).await?;
    Ok((Context::new(&environment, period, mode), transaction))
}
