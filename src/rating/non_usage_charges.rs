//! The non-usage charges of a period: recurring fees, one-off charges, pools without usage, and commitment discounts.

use arrow::array::RecordBatch;

use super::{coverage, idle_pool, one_off_charges, subscription};
use crate::error::Error;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::query::{Parameters, Session};
use crate::rating::compiled_rule::CompiledRule;
use crate::run::{self, Context, Transaction};

/// The relations whose rows cause non-usage charges.
const CAUSES: [&str; 6] = [
    "subscription",
    "subscribed_series",
    "earlier_non_usage_charge",
    "one_off_charge",
    "idle_pool",
    "committed_charge",
];

/// The rows of the relations of charges without usage.
pub(super) struct NonUsageCharges {
    pub(super) non_usage_charge: Vec<RecordBatch>,
    pub(super) one_off_charge: Vec<RecordBatch>,
    /// Absent if the rules contain no commitments.
    pub(super) covered_window: Option<RecordBatch>,
}

/// Registers coverage and non-usage charges, and returns their rows.
pub(super) async fn non_usage_charges(
    context: &Context,
    transaction: &Transaction,
    stage: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    active_series: &[RecordBatch],
) -> Result<NonUsageCharges, Error> {
    let mut calendar = context.calendar();
    subscription::register_subscriptions(context, transaction, stage, rules, active_series).await?;
    let one_off_charge = one_off_charges::register_one_off_charges(context, transaction, stage, &rules.charges).await?;
    let accounts = context.config.accounts.clone();
    let month = (context.period.start_day(), context.period.end_day());
    let unassigned_projects = subscription::unassigned_projects(active_series, &accounts, month, &mut calendar)?;
    let payers = subscription::Payers { accounts: &accounts, unassigned_projects: &unassigned_projects };
    let idle = idle_pool::idle_pool_rows(compiled, &payers, &mut calendar, month)?;
    stage.register("rating/idle_pool", vec![idle])?;
    let covered_window = if rules.reservations.is_empty() {
        register_no_coverage(stage)?;
        None
    } else {
        let covered_window = coverage::register_coverage(context, stage, rules, active_series).await?;
        run::check(stage, "rating/checks/usage_is_covered_once").await?;
        Some(covered_window)
    };
    if !has_causes(stage).await? {
        stage.register_nothing("rating/non_usage_charge")?;
        return Ok(NonUsageCharges { non_usage_charge: Vec::new(), one_off_charge, covered_window });
    }
    let non_usage_charge = stage.materialize("rating/non_usage_charge", parameters_of(context.period)).await?;
    run::check(stage, "rating/checks/fees_are_owed_once").await?;
    run::check(stage, "rating/checks/one_off_charges_are_charged_once").await?;
    Ok(NonUsageCharges { non_usage_charge, one_off_charge, covered_window })
}

/// Whether there can be a non-usage charge. If there are no causes, the statement does not run, and no metered days are
/// read.
async fn has_causes(session: &Session) -> Result<bool, Error> {
    for name in CAUSES {
        if !session.rows_of(&format!("rating/{name}")).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Registers empty relations for a period without commitment discounts.
pub(super) fn register_no_coverage(session: &Session) -> Result<(), Error> {
    for path in ["rating/covered_window", "rating/covered_part", "rating/committed_charge"] {
        session.register_nothing(path)?;
    }
    Ok(())
}

/// The parameters of statements for a period.
pub(super) fn parameters_of(period: BillingPeriod) -> Parameters {
    Parameters::none().date("billing_period_start", period.start_day()).date("billing_period_end", period.end_day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::statement;

    #[test]
    fn every_relation_that_causes_a_charge_is_checked() {
        // These relations describe charges but do not cause charges.
        let described = ["metered_day", "active_series", "recurring", "priced_series", "rate", "payer_series"];
        let mut read: Vec<&str> = CAUSES.into_iter().chain(described).collect();
        read.sort_unstable();
        let mut reads = statement("rating/non_usage_charge").unwrap().reads.clone();
        reads.sort_unstable();
        assert_eq!(reads, read);
    }
}
