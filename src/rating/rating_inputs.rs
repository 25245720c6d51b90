//! The inputs of pricing: the selected rates of a period, and its usage in account batches.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::non_usage_charges::{NonUsageCharges, non_usage_charges};
use super::pricer::Pricer;
use super::pricing_context::{PricingContext, SelectedRates};
use super::rate::PeriodLength;
use super::rate_selection::select_rates;
use super::segment::Segment;
use crate::error::Error;
use crate::model::meter::Meter;
use crate::model::period::{DayNumber, date_of};
use crate::model::rule::{PoolPeriod, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::{Parameters, Session, statement};
use crate::rating::account_assignments::{AccountAssignments, Cards, payer_series_rows, project_rows};
use crate::rating::account_batch::{self, AccountBatches};
use crate::rating::{coverage, eligibility, included_units, rate, segmentation};
use crate::rows;
use crate::run::{Context, Transaction};

/// The inputs of pricing: the selected rates of a period and its usage in account batches.
pub(super) struct RatingInputs {
    pub(super) active_series: Vec<RecordBatch>,
    pub(super) payer_series: RecordBatch,
    pub(super) usage_segment: Vec<RecordBatch>,
    pub(super) account_batches: AccountBatches,
    pub(super) rate: RecordBatch,
    pub(super) rate_tier: RecordBatch,
    pub(super) non_usage_charge: Vec<RecordBatch>,
    pub(super) one_off_charge: Vec<RecordBatch>,
    pub(super) applicable_rate: Vec<RecordBatch>,
    pub(super) priced_series: Vec<RecordBatch>,
    pub(super) pricer: Pricer,
    /// Without rows if the rules contain no commitments.
    pub(super) covered_window: Vec<RecordBatch>,
    /// The public prices of accounts with own cards or commitments. Absent if no account has own cards or commitments.
    pub(super) list_prices: Option<ListPrices>,
}

/// The public prices of accounts that pay other prices.
pub(super) struct ListPrices {
    pub(super) priced_series: Vec<RecordBatch>,
    pub(super) pricer: Pricer,
    pub(super) series: HashSet<u64>,
}

impl RatingInputs {
    /// Selects the rates of a period, and registers the inputs of pricing in the scope of the stage.
    pub(super) async fn prepare(
        context: &Context,
        transaction: &Transaction,
        stage: &Session,
        series: RecordBatch,
        rules: &RuleBook,
    ) -> Result<Self, Error> {
        let mut calendar = context.calendar();
        let (compiled, problems) = eligibility::compile(stage, rules);
        if problems.has_errors() {
            return Err(Error::Invalid(problems.into_sorted()));
        }
        let rates = rate::rates(rules);
        transaction.register_in(stage, "metering/metered_day", |file| context.period.has_date(&file.partition)).await?;
        transaction.register_in(stage, "intake/stream", |_| true).await?;
        stage.register("intake/series", vec![series.clone()])?;
        stage.register("rating/meter", vec![meter_rows(rules)?])?;
        let config = Arc::clone(&context.config);
        let bounds = [context.period.start_day(), context.period.end_day()].map(|day| calendar.day_start(day));
        let assignments = AccountAssignments::new(&config.accounts, bounds.into());
        let payer_series = payer_series_rows(&assignments, &series, &mut calendar)?;
        stage.register("rating/project", vec![project_rows(&assignments)?])?;
        stage.register("rating/payer_series", vec![payer_series.clone()])?;
        stage.materialize("rating/used_series", Parameters::none()).await?;
        let mut active_series = stage.materialize("rating/active_series", Parameters::none()).await?;
        drop(series);
        stage.drop_relation(&["series", "used_series"])?;
        // A rule that applies to no series must not split days.
        let applying = eligibility::rules_that_apply(rules, &compiled, &active_series)?;
        let applies = |rule: &Rule| applying.contains(rule.id.as_str());
        let payer_changes = assignments.payer_changes(projects_of(&active_series)?);
        let segments = segmentation::segments(rules, &rates, &mut calendar, context.period, applies, &payer_changes);
        register_windows(context, transaction, stage, rules, applies, &segments).await?;
        let charge_segment = segmentation::charge_segment_rows(&segments, &mut calendar, context.period)?;
        stage.register("rating/charge_segment", vec![charge_segment])?;
        let usage_segment = stage.materialize("rating/usage_segment", Parameters::none()).await?;
        if payer_series.num_rows() > 0 {
            active_series = account_batch::without_idle_unassigned_projects(&active_series, &usage_segment)?;
            stage.register("rating/active_series", active_series.clone())?;
        }
        let accounts = context.config.accounts.accounts.iter();
        let cards = accounts.map(|account| (account.id.as_str(), account.cards.iter().map(String::as_str).collect()));
        let pricing = PricingContext {
            rules,
            compiled: &compiled,
            rates: &rates,
            segments: &segments,
            length: PeriodLength { seconds: calendar.seconds_in(context.period) },
            included_units: &included_units::included_units(rules, &mut calendar, context.period)?,
            cards: &Cards::new(cards),
        };
        let list_prices = list_prices(context, stage, &pricing, &active_series).await?;
        let SelectedRates { rate, rate_tier, applicable_rate, priced_series, pricer } =
            select_rates(stage, &pricing, &active_series).await?;
        let NonUsageCharges { non_usage_charge, one_off_charge, covered_window } =
            non_usage_charges(context, transaction, stage, rules, &compiled, &active_series).await?;
        let account_batches = AccountBatches::new(&active_series, &usage_segment)?;
        Ok(Self {
            active_series,
            payer_series,
            usage_segment,
            account_batches,
            rate,
            rate_tier,
            non_usage_charge,
            one_off_charge,
            applicable_rate,
            priced_series,
            pricer,
            covered_window,
            list_prices,
        })
    }
}

/// Registers the metered windows of the dates for which metered days are too coarse.
async fn register_windows(
    context: &Context,
    transaction: &Transaction,
    stage: &Session,
    rules: &RuleBook,
    applies: impl Fn(&Rule) -> bool,
    segments: &[Segment],
) -> Result<(), Error> {
    // Commitments, pools of single windows and percentiles need the windows of every date.
    let needs_windows = |rule: &Rule| rule.every == PoolPeriod::Window || rule.percentile.is_some();
    let days: BTreeSet<DayNumber> =
        if !rules.reservations.is_empty() || rules.rules.iter().any(|rule| applies(rule) && needs_windows(rule)) {
            (context.period.start_day()..context.period.end_day()).collect()
        } else {
            segmentation::split_days(segments, &mut context.calendar())
        };
    if days.is_empty() {
        return Ok(stage.register_nothing("metering/metered_usage")?);
    }
    let dates: BTreeSet<String> = days.into_iter().map(|day| date_of(day).to_string()).collect();
    transaction.register_in(stage, "metering/metered_usage", |file| dates.contains(&file.partition)).await
}

/// Selects the public rates of accounts with own cards or commitments. Returns `None` if no account has own cards or
/// commitments, which is the usual case.
async fn list_prices(
    context: &Context,
    stage: &Session,
    pricing: &PricingContext<'_>,
    active_series: &[RecordBatch],
) -> Result<Option<ListPrices>, Error> {
    let month = (context.period.start_day(), context.period.end_day());
    let committed_accounts = coverage::committed_accounts(&pricing.rules.reservations, month);
    if pricing.cards.is_empty() && committed_accounts.is_empty() {
        return Ok(None);
    }
    let has_other_prices = |account: Option<&str>| {
        account.is_some_and(|account| pricing.cards.has_own(account) || committed_accounts.contains(account))
    };
    let (selected, series) = account_batch::select_accounts(active_series, has_other_prices)?;
    if series.is_empty() {
        return Ok(None);
    }
    stage.register("rating/active_series", selected.clone())?;
    let public = PricingContext { cards: &Cards::default(), ..*pricing };
    let SelectedRates { priced_series, pricer, .. } = select_rates(stage, &public, &selected).await?;
    stage.register("rating/active_series", active_series.to_vec())?;
    Ok(Some(ListPrices { priced_series, pricer, series }))
}

/// The projects of the series.
fn projects_of(active_series: &[RecordBatch]) -> Result<BTreeSet<&str>, Error> {
    let mut projects = BTreeSet::new();
    for row in rows::each(active_series) {
        projects.extend(row.optional_text("project_id")?);
    }
    Ok(projects)
}

fn meter_rows(rules: &RuleBook) -> Result<RecordBatch, Error> {
    let column = |pick: fn(&Meter) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rules.meters.iter().map(pick)))
    };
    let columns =
        vec![column(|meter| &meter.name), column(|meter| meter.aggregation.name()), column(|meter| &meter.unit)];
    rows::batch(statement("rating/meter")?, columns)
}
