//! Rating: from metered quantities and rules to what usage costs. Keeps no state: the open period is rated whole.

pub mod account_assignments;
pub mod account_batch;
pub mod comparison;
pub mod compiled_rule;
pub mod coverage;
pub mod eligibility;
pub mod example;
mod idle_pool;
pub mod included_units;
pub mod invariants;
pub mod pools;
pub mod pricer;
pub mod prices;
pub mod pricing_context;
pub mod rate;
pub mod rated;
pub mod segment;
pub mod segmentation;
mod series_tuples;
pub mod subscription;
pub mod tier_parts;
pub mod unreachable_rules;
pub mod unused_rules;
pub mod used_days;

use crate::rating::pricing_context::PricingContext;
use crate::rating::pricing_context::SelectedRates;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use self::pricer::Pricer;
use self::rate::{PeriodLength, Rate};
use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::period::{BillingPeriod, DayNumber, date_of};
use crate::model::rule::{PoolPeriod, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::{Parameters, Session, statement};
use crate::rating::account_assignments::{AccountAssignments, Cards};
use crate::rating::account_batch::Portions;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::invariants::Portion;
use crate::rating::pricer::Priced;
use crate::rating::used_days::UsedDays;
use crate::rows;
use crate::run::{self, Context, Transaction};
use crate::storage::{DataFile, StoredData};

/// Files of days that are read before they are decoded.
const FILES_AT_ONCE: usize = 64;

/// What later stages read of the relations that rating derives from the whole period.
const HANDED_OVER: [&str; 3] = ["payer_series", "non_usage_charge", "rate"];

/// What there is a standing charge for each row of.
const OWED_BY: [&str; 5] =
    ["subscription", "subscribed_series", "earlier_non_usage_charge", "idle_pool", "committed_charge"];

/// What holds of every portion.
const LAWS: [&str; 3] = [
    "rating/checks/every_usage_is_rated_or_listed",
    "rating/checks/pools_hold_all_usage",
    "rating/checks/tier_parts_add_up",
];

/// Rates the whole period. `series` are all series, with those that metering found and no file contains yet.
///
/// Intermediate relations are dropped at the end. Later stages read `rated_usage`, `unrated_usage`, `usage_segment`,
/// `active_series` and the relations that are handed over.
#[tracing::instrument(level = "debug", name = "rating", skip_all)]
pub async fn rate(context: &Context, transaction: &mut Transaction, series: RecordBatch) -> Result<(), Error> {
    context.options.progress.begin("Rating", 1);
    let stage = transaction.session.scope()?;
    let prepared = prepare(context, transaction, &stage, series, &context.rules).await?;
    let partition = context.period.to_string();
    context.options.progress.begin("Rating", prepared.portions.count as u64);
    for number in 0..prepared.portions.count {
        let priced = price_portion(&stage, &prepared, number).await?;
        let file = number as u32;
        transaction.replace("rating/rated_usage", &partition, file, &priced.rated_usage).await?;
        transaction.replace("rating/unrated_usage", &partition, file, &priced.unrated_usage).await?;
        context.options.progress.advance(1);
    }
    stage.hand_over(&HANDED_OVER)?;
    drop(stage);
    // A run before this one may have had more portions.
    for path in ["rating/rated_usage", "rating/unrated_usage"] {
        let is_left = |file: &DataFile| file.partition == partition && file.bucket as usize >= prepared.portions.count;
        for file in transaction.files_where(&statement(path)?.name, is_left) {
            transaction.replace(path, &partition, file.bucket, &[]).await?;
        }
        // The stages after this one read the whole period, from the files.
        transaction.register(path, |file| file.partition == partition).await?;
    }
    for (path, rows) in
        [("rating/usage_segment", prepared.usage_segment), ("rating/active_series", prepared.active_series.clone())]
    {
        transaction.session.register(path, rows)?;
    }
    transaction.replace("rating/non_usage_charge", &partition, 0, &prepared.non_usage_charge).await?;
    transaction.replace("rating/active_series", &partition, 0, &prepared.active_series).await?;
    let payer_series = Some(prepared.payer_series).filter(|rows| rows.num_rows() > 0);
    transaction.replace("rating/payer_series", &partition, 0, payer_series.as_slice()).await?;
    transaction.replace("rating/rate", &partition, 0, &[prepared.rate]).await?;
    transaction.replace("rating/rate_tier", &partition, 0, &[prepared.rate_tier]).await?;
    context.options.progress.end();
    Ok(())
}

/// A period whose rates are chosen and whose usage stands ready to be priced, portion by portion.
struct RatingInputs {
    active_series: Vec<RecordBatch>,
    payer_series: RecordBatch,
    usage_segment: Vec<RecordBatch>,
    portions: Portions,
    rate: RecordBatch,
    rate_tier: RecordBatch,
    non_usage_charge: Vec<RecordBatch>,
    applicable_rate: Vec<RecordBatch>,
    priced_series: Vec<RecordBatch>,
    pricer: Pricer,
    /// What is covered for somebody who holds something.
    covered_window: Option<RecordBatch>,
    /// What the accounts with cards of their own, and those who hold something, would pay by the public card alone.
    listed: Option<Listed>,
}

/// The public prices of those who pay otherwise.
struct Listed {
    priced_series: Vec<RecordBatch>,
    pricer: Pricer,
    series: HashSet<u64>,
}

/// Chooses the rates of a period, and registers everything that pricing reads in the scope of the stage.
async fn prepare(
    context: &Context,
    transaction: &Transaction,
    stage: &Session,
    series: RecordBatch,
    rules: &RuleBook,
) -> Result<RatingInputs, Error> {
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
    let tenures = AccountAssignments::new(&config.accounts, bounds.into());
    stage.register("rating/project", vec![account_assignments::project_rows(&tenures)?])?;
    let payer_series = account_assignments::payer_series_rows(&tenures, &series, &mut calendar)?;
    if payer_series.num_rows() > 0 {
        stage.register("rating/payer_series", vec![payer_series.clone()])?;
    } else {
        stage.register_nothing("rating/payer_series")?;
    }
    let cards = context.config.accounts.accounts.iter();
    let cards = cards.map(|account| (account.id.as_str(), account.cards.iter().map(String::as_str).collect()));
    let cards = Cards::new(cards);
    // Who pays when decides which days are whose, which is for the statements to say.
    let used = if payer_series.num_rows() == 0 { Some(read_used_days(context, transaction).await?) } else { None };
    match &used {
        Some(used) => stage.register("rating/used_series", vec![used.series()?])?,
        None => drop(stage.materialize("rating/used_series", Parameters::none()).await?),
    }
    let mut active_series = stage.materialize("rating/active_series", Parameters::none()).await?;
    drop(series);
    stage.drop_relation(&["series", "used_series"])?;
    // A rule that applies to nobody must not cut anybody's day.
    let applies = eligibility::rules_that_apply(rules, &compiled, &active_series)?;
    let cuts = |rule: &Rule| applies.contains(rule.id.as_str());
    let changes = tenures.changes(projects_of(&active_series)?);
    let segments = segmentation::segments(rules, &rates, &mut calendar, context.period, cuts, &changes);
    // A pool of single windows, or a percentile of them, needs the windows of every date.
    let needs_windows = |rule: &Rule| rule.every == PoolPeriod::Window || rule.percentile.is_some();
    let days: BTreeSet<DayNumber> =
        if !rules.reservations.is_empty() || rules.rules.iter().any(|rule| cuts(rule) && needs_windows(rule)) {
            (context.period.start_day()..context.period.end_day()).collect()
        } else {
            segmentation::split_days(&segments, &mut calendar)
        };
    let split: BTreeSet<String> = days.into_iter().map(|day| date_of(day).to_string()).collect();
    transaction.register_in(stage, "metering/metered_usage", |file| split.contains(&file.partition)).await?;
    let charge_segment = segmentation::charge_segment_rows(&segments, &mut calendar, context.period)?;
    let usage_segment = usage_segments(stage, used, charge_segment).await?;
    let length = PeriodLength { seconds: calendar.seconds_in(context.period) };
    if payer_series.num_rows() > 0 {
        active_series = account_batch::without_idle_unassigned_projects(&active_series, &usage_segment)?;
        stage.register("rating/active_series", active_series.clone())?;
    }
    let grants = included_units::unit_grants(rules, &mut calendar, context.period)?;
    let offer = PricingContext {
        rules,
        compiled: &compiled,
        rates: &rates,
        segments: &segments,
        length,
        grants: &grants,
        cards: &cards,
    };
    let listed = list_rates(context, stage, &offer, &active_series).await?;
    let SelectedRates { rate, rate_tier, applicable_rate, priced_series, pricer } =
        choose_rates(stage, &offer, &active_series).await?;
    let (non_usage_charge, covered_window) =
        non_usage_charges(context, transaction, stage, rules, &compiled, &active_series).await?;
    let portions = Portions::new(&active_series, &usage_segment)?;
    Ok(RatingInputs {
        active_series,
        payer_series,
        usage_segment,
        portions,
        rate,
        rate_tier,
        non_usage_charge,
        applicable_rate,
        priced_series,
        pricer,
        covered_window,
        listed,
    })
}

/// The metered days of the period.
async fn read_used_days(context: &Context, transaction: &Transaction) -> Result<UsedDays, Error> {
    let mut days = UsedDays::default();
    let files = transaction.files_where("metered_day", |file| context.period.has_date(&file.partition));
    for files in files.chunks(FILES_AT_ONCE) {
        let mut data = Vec::with_capacity(files.len());
        for file in files {
            data.push(transaction.lake.data(file).await?);
        }
        let pieces: Vec<&[StoredData]> = data.chunks(files.len().div_ceil(run::threads())).collect();
        for piece in run::at_once(pieces, read_days) {
            days.append(piece?);
        }
    }
    Ok(days)
}

fn read_days(files: &[StoredData]) -> Result<UsedDays, Error> {
    let mut days = UsedDays::default();
    for file in files {
        for rows in file.batches(&used_days::COLUMNS)? {
            days.take(&rows?)?;
        }
    }
    Ok(days)
}

/// What is to be priced, by the operator where it can say, and registered.
async fn usage_segments(
    stage: &Session,
    used: Option<UsedDays>,
    charge_segment: RecordBatch,
) -> Result<Vec<RecordBatch>, Error> {
    let segments = used.map(|used| used.segments(&charge_segment)).transpose()?.flatten();
    stage.register("rating/charge_segment", vec![charge_segment])?;
    let Some(segments) = segments else {
        return Ok(stage.materialize("rating/usage_segment", Parameters::none()).await?);
    };
    stage.register("rating/usage_segment", segments.clone())?;
    Ok(segments)
}

/// What is owed without being measured, and what is covered by what is held.
async fn non_usage_charges(
    context: &Context,
    transaction: &Transaction,
    stage: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    active_series: &[RecordBatch],
) -> Result<(Vec<RecordBatch>, Option<RecordBatch>), Error> {
    let mut calendar = context.calendar();
    subscription::register_subscriptions(context, transaction, stage, rules, active_series).await?;
    let accounts = context.config.accounts.clone();
    let month = (context.period.start_day(), context.period.end_day());
    let unassigned_projects = subscription::unassigned_projects(active_series, &accounts, month, &mut calendar)?;
    let payers = subscription::Payers { accounts: &accounts, unassigned_projects: &unassigned_projects };
    let idle = idle_pool::idle_pool_rows(compiled, &payers, &mut calendar, month)?;
    stage.register("rating/idle_pool", vec![idle])?;
    let covered_window = if rules.reservations.is_empty() {
        nothing_is_covered(stage)?;
        None
    } else {
        let covered_window = coverage::register_coverage(context, stage, rules, active_series).await?;
        run::check(stage, "rating/checks/usage_is_covered_once").await?;
        Some(covered_window)
    };
    if !is_anything_owed(stage).await? {
        stage.register_nothing("rating/non_usage_charge")?;
        return Ok((Vec::new(), covered_window));
    }
    let charges = stage.materialize("rating/non_usage_charge", period_of(context.period)).await?;
    run::check(stage, "rating/checks/fees_are_owed_once").await?;
    Ok((charges, covered_window))
}

/// Whether anything could be a standing charge, before the days of all usage are read for it.
async fn is_anything_owed(session: &Session) -> Result<bool, Error> {
    for name in OWED_BY {
        if !session.rows_of(&format!("rating/{name}")).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Nobody holds anything.
fn nothing_is_covered(session: &Session) -> Result<(), Error> {
    for path in ["rating/covered_window", "rating/covered_part", "rating/committed_charge"] {
        session.register_nothing(path)?;
    }
    Ok(())
}

/// A period as statements take it.
fn period_of(period: BillingPeriod) -> Parameters {
    Parameters::none().date("billing_period_start", period.start_day()).date("billing_period_end", period.end_day())
}

/// The rates of those who have cards of their own, or hold something, as if they did not. Nearly always there are none
/// of them.
async fn list_rates(
    context: &Context,
    stage: &Session,
    offer: &PricingContext<'_>,
    active_series: &[RecordBatch],
) -> Result<Option<Listed>, Error> {
    let holders = coverage::holders(&offer.rules.reservations, (context.period.start_day(), context.period.end_day()));
    if offer.cards.is_empty() && holders.is_empty() {
        return Ok(None);
    }
    let pays_otherwise = |account: Option<&str>| {
        account.is_some_and(|account| offer.cards.has_own(account) || holders.contains(account))
    };
    let (of_them, series) = account_batch::series_of(active_series, pays_otherwise)?;
    if series.is_empty() {
        return Ok(None);
    }
    stage.register("rating/active_series", of_them.clone())?;
    let public = PricingContext { cards: &Cards::default(), ..*offer };
    let SelectedRates { priced_series, pricer, .. } = choose_rates(stage, &public, &of_them).await?;
    stage.register("rating/active_series", active_series.to_vec())?;
    Ok(Some(Listed { priced_series, pricer, series }))
}

/// Prices a portion of the usage and holds it to the laws.
async fn price_portion(stage: &Session, prepared: &RatingInputs, number: usize) -> Result<Priced, Error> {
    // Statements get the series of the portion alone: otherwise each portion would read those of all.
    let of_portion = |path: &str, rows: &[RecordBatch]| prepared.portions.rows(number, &statement(path)?.name, rows);
    let usage_segment = of_portion("rating/usage_segment", &prepared.usage_segment)?;
    let priced_series = of_portion("rating/priced_series", &prepared.priced_series)?;
    stage.register("rating/active_series", of_portion("rating/active_series", &prepared.active_series)?)?;
    stage.register("rating/applicable_rate", of_portion("rating/applicable_rate", &prepared.applicable_rate)?)?;
    if let Some(listed) = &prepared.listed {
        stage.register(
            "rating/usage_segment",
            account_batch::of_series("usage_segment", &usage_segment, &listed.series)?,
        )?;
        stage.register("rating/priced_series", of_portion("rating/priced_series", &listed.priced_series)?)?;
        stage.register_nothing("rating/covered_window")?;
        listed.pricer.fill_pools(stage).await?;
        stage.materialize("rating/list_price", Parameters::none()).await?;
    }
    stage.register("rating/priced_series", priced_series.clone())?;
    stage.register("rating/usage_segment", usage_segment.clone())?;
    match &prepared.covered_window {
        Some(rows) => {
            stage.register("rating/covered_window", vec![rows.clone()])?;
            stage.materialize("rating/covered_part", Parameters::none()).await?;
        }
        None => nothing_is_covered(stage)?,
    }
    prepared.pricer.fill_pools(stage).await?;
    let priced = if prepared.listed.is_some() {
        stage.materialize("rating/list_share", Parameters::none()).await?;
        let priced = prepared.pricer.rate(stage).await?;
        run::check(stage, "rating/checks/list_cost_adds_up").await?;
        priced
    } else {
        stage.register_nothing("rating/list_share")?;
        prepared.pricer.rate(stage).await?
    };
    let portion = Portion {
        usage_segment: &usage_segment,
        covered_window: prepared.covered_window.as_slice(),
        priced_series: &priced_series,
        rate_tier: std::slice::from_ref(&prepared.rate_tier),
        pool_usage: &stage.rows_of("rating/pool_usage").await?,
        rated_usage: &priced.rated_usage,
        unrated_usage: &priced.unrated_usage,
    };
    if !portion.is_lawful()? {
        // Which rows break which law is for the checks to say.
        for check in LAWS {
            run::check(stage, check).await?;
        }
    }
    Ok(priced)
}

/// Prices what stands in `usage_segment`, at the rates that were chosen and at no others, for those who hold nothing.
pub async fn price(session: &Session, pricer: &Pricer) -> Result<Priced, Error> {
    nothing_is_covered(session)?;
    price_the_rest(session, pricer).await
}

/// The same beside what `covered_window` says.
async fn price_the_rest(session: &Session, pricer: &Pricer) -> Result<Priced, Error> {
    session.materialize("rating/covered_part", Parameters::none()).await?;
    session.register_nothing("rating/payer_series")?;
    pricer.fill_pools(session).await?;
    session.register_nothing("rating/list_share")?;
    pricer.rate(session).await
}

/// Chooses the rate of every series of `active_series`, for the usage that stands in `usage_segment`. The examples of
/// rules come this way too.
pub async fn choose_rates(
    session: &Session,
    offer: &PricingContext<'_>,
    active_series: &[RecordBatch],
) -> Result<SelectedRates, Error> {
    let (rate, rate_tier) = rate::rate_rows(offer.rates, offer.length)?;
    session.register("rating/rate", vec![rate.clone()])?;
    session.register("rating/rate_tier", vec![rate_tier.clone()])?;
    session.register("rating/rate_validity", vec![rate::rate_validity_rows(offer.segments, offer.rates)?])?;
    session.register("rating/account_card", vec![account_assignments::account_card_rows(offer.cards)?])?;
    let matches = eligibility::match_rates(offer, active_series)?;
    session.register("rating/series_tuple", vec![matches.series_tuple])?;
    session.register("rating/rate_match", vec![matches.rate_match])?;
    session.register("rating/factor_match", vec![matches.factor_match])?;
    let (included_unit, included_unit_series) =
        included_units::grant_rows(session, offer.rules, offer.grants, active_series)?;
    session.register("rating/included_unit", vec![included_unit])?;
    session.register("rating/included_unit_series", vec![included_unit_series])?;
    session.materialize("rating/candidate_rate", Parameters::none()).await?;
    refuse_ties(offer.rates, &session.run("rating/rate_tie", Parameters::none()).await?)?;
    let applicable_rate = session.materialize("rating/applicable_rate", Parameters::none()).await?;
    session.drop_relation(&["candidate_rate"])?;
    let priced_series = match prices::priced_series(&applicable_rate, &rate, active_series)? {
        Some(rows) => {
            session.register("rating/priced_series", vec![rows.clone()])?;
            vec![rows]
        }
        None => session.materialize("rating/priced_series", Parameters::none()).await?,
    };
    let pricer = Pricer::new(&applicable_rate, &priced_series, &rate_tier)?;
    Ok(SelectedRates { rate, rate_tier, applicable_rate, priced_series, pricer })
}

/// Whose usage it is.
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

/// Two rules that both would win are a mistake of the rules, found only where usage meets both.
fn refuse_ties(rates: &[Rate<'_>], ties: &[RecordBatch]) -> Result<(), Error> {
    let mut problems = Vec::new();
    for batch in ties {
        let firsts: &StringArray = rows::column(batch, "first_rate_id")?;
        let seconds: &StringArray = rows::column(batch, "second_rate_id")?;
        let counts: &Int64Array = rows::column(batch, "series_count")?;
        for row in 0..batch.num_rows() {
            let rule = |id: &str| rates.iter().find(|rate| rate.id == id).map(|rate| rate.rule);
            let (Some(first), Some(second)) = (rule(firsts.value(row)), rule(seconds.value(row))) else { continue };
            let message = format!(
                "the rules `{}` and `{}` both price the same usage ({} series) with the same priority",
                first.id,
                second.id,
                counts.value(row)
            );
            let problem = Diagnostic::error("rules::tie", message)
                .at(first.declared_at.clone(), "this rule")
                .at(second.declared_at.clone(), "and this one")
                .hint("give one of them a higher priority, or tell them apart with `when`");
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_owed_is_asked_for() {
        // What describes what is owed, and brings nothing by itself.
        let described = ["metered_day", "active_series", "recurring", "priced_series", "rate", "payer_series"];
        let mut read: Vec<&str> = OWED_BY.into_iter().chain(described).collect();
        read.sort_unstable();
        let mut reads = statement("rating/non_usage_charge").unwrap().reads.clone();
        reads.sort_unstable();
        assert_eq!(reads, read);
    }
}
