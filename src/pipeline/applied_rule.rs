//! The rows of one rule and the statements that apply them, without a commit.

use std::sync::Arc;

use super::compare::open;
use crate::catalog::stored::read_catalog;
use crate::error::Error;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::rating::rule_rows::{self, AppliedRule, RuleKeys};
use crate::run::RunOptions;

/// The rows that the readers make of a rule for a period, with the current rules.
pub async fn applied_rule(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    keys: &RuleKeys<'_>,
    options: RunOptions,
) -> Result<AppliedRule, Error> {
    let (context, transaction) = open(config, rules, period, options).await?;
    let catalog = read_catalog(&transaction).await?;
    rule_rows::applied_rule(&context, &transaction, &catalog, keys).await
}
