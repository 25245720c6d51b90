//! The non-usage charges of a period: recurring fees, one-off charges, pools without usage, and commitment discounts.

use arrow::array::RecordBatch;

use super::{coverage, idle_pool, one_off_charges, subscription};
use crate::error::Error;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::query::{Parameters, Session};
use crate::rating::compiled_rule::CompiledRule;
use crate::run::{self, Context, Transaction};

/// The rows of the relations of charges without usage.
pub(super) struct NonUsageCharges {
    pub(super) non_usage_charge: Vec<RecordBatch>,
    pub(super) one_off_charge: Vec<RecordBatch>,
    /// Without rows if the rules contain no commitments.
    pub(super) covered_window: Vec<RecordBatch>,
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
        Vec::new()
    } else {
        vec![coverage::register_coverage(context, stage, rules, active_series).await?]
    };
    run::check(stage, "rating/checks/usage_is_covered_once").await?;
    let non_usage_charge = stage.materialize("rating/non_usage_charge", parameters_of(context.period)).await?;
    run::check(stage, "rating/checks/fees_are_owed_once").await?;
    run::check(stage, "rating/checks/one_off_charges_are_charged_once").await?;
    Ok(NonUsageCharges { non_usage_charge, one_off_charge, covered_window })
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
