//! The rating stage, which computes costs from metered quantities and rules. Each run rates the whole open period,
//! because rating keeps no state.

pub mod account_assignments;
pub mod account_batch;
mod batch_inputs;
pub mod comparison;
pub mod compiled_rule;
pub mod coverage;
pub mod eligibility;
pub mod example;
mod idle_pool;
pub mod included_units;
mod non_usage_charges;
pub mod one_off_charges;
pub mod price_origin;
pub mod pricer;
pub mod pricing_context;
pub mod rate;
mod rate_selection;
mod rating_inputs;
mod row_errors;
pub mod rule_rows;
pub mod segment;
pub mod segmentation;
mod series_tuples;
pub mod subscription;
mod unique_values;
pub mod unreachable_rules;
pub mod unused_rules;

use arrow::array::RecordBatch;

use self::batch_inputs::{BatchInputs, BatchPrices};
use self::non_usage_charges::register_no_coverage;
use self::pricer::{Priced, Pricer, rate_usage};
pub use self::rate_selection::select_rates;
use self::rating_inputs::RatingInputs;
use crate::error::Error;
use crate::query::{Parameters, Session, statement};
use crate::rows;
use crate::run::{self, Context, Transaction};
use crate::storage::DataFile;

/// The relations of the whole period that later stages read.
const LATER_STAGE_RELATIONS: [&str; 5] =
    ["payer_series", "non_usage_charge", "one_off_charge", "rate", "factored_price"];

/// The checks of an account batch.
const BATCH_CHECKS: [&str; 4] = [
    "rating/checks/every_usage_is_rated_or_listed",
    "rating/checks/pools_contain_all_usage",
    "rating/checks/tier_parts_add_up",
    "rating/checks/list_cost_adds_up",
];

/// Rates the whole period. `series` contains all series, including new series from metering that are not yet in a file.
///
/// Intermediate relations are dropped at the end. Later stages read `rated_usage`, `unrated_usage`, `usage_segment`,
/// `active_series` and `LATER_STAGE_RELATIONS`.
#[tracing::instrument(level = "debug", name = "rating", skip_all)]
pub async fn rate(context: &Context, transaction: &mut Transaction, series: RecordBatch) -> Result<(), Error> {
    rate_period(context, transaction, series).await.map_err(|error| row_errors::at_its_rule(error, &context.rules))
}

async fn rate_period(context: &Context, transaction: &mut Transaction, series: RecordBatch) -> Result<(), Error> {
    context.options.progress.begin("Rating", 1);
    let stage = transaction.session.scope()?;
    let inputs = RatingInputs::prepare(context, transaction, &stage, series, &context.rules).await?;
    stage.materialize("rating/factored_price", Parameters::none()).await?;
    let partition = context.period.to_string();
    let batch_count = inputs.account_batches.count();
    context.options.progress.begin("Rating", batch_count as u64);
    let batches = stage.scope_of_batches()?;
    // The rows of a batch replace these rows. The memory of the engine need not contain both.
    stage.drop_relation(&["usage_segment", "priced_series", "applicable_rate", "active_series"])?;
    let batch_inputs = BatchInputs::new(&inputs)?;
    for number in 0..batch_count {
        let priced = price_batch(&batches, &batch_inputs, number).await?;
        let file = number as u32;
        transaction.replace("rating/rated_usage", &partition, file, &priced.rated_usage).await?;
        transaction.replace("rating/unrated_usage", &partition, file, &priced.unrated_usage).await?;
        context.options.progress.advance(1);
    }
    stage.hand_over(&LATER_STAGE_RELATIONS)?;
    drop(batch_inputs);
    drop(batches);
    drop(stage);
    // An earlier run may have written more batches.
    for path in ["rating/rated_usage", "rating/unrated_usage"] {
        let is_obsolete = |file: &DataFile| file.partition == partition && file.shard as usize >= batch_count;
        for file in transaction.files_where(&statement(path)?.name, is_obsolete) {
            transaction.replace(path, &partition, file.shard, &[]).await?;
        }
        // Later stages read the relations of the whole period from the files.
        transaction.register(path, |file| file.partition == partition).await?;
    }
    for (path, rows) in
        [("rating/usage_segment", inputs.usage_segment), ("rating/active_series", inputs.active_series.clone())]
    {
        transaction.session.register(path, rows)?;
    }
    transaction.replace("rating/non_usage_charge", &partition, 0, &inputs.non_usage_charge).await?;
    transaction.replace("rating/one_off_charge", &partition, 0, &inputs.one_off_charge).await?;
    transaction.replace("rating/active_series", &partition, 0, &inputs.active_series).await?;
    let payer_series = Some(inputs.payer_series).filter(|rows| rows.num_rows() > 0);
    transaction.replace("rating/payer_series", &partition, 0, payer_series.as_slice()).await?;
    transaction.replace("rating/rate", &partition, 0, &[inputs.rate]).await?;
    transaction.replace("rating/rate_tier", &partition, 0, &[inputs.rate_tier]).await?;
    context.options.progress.end();
    Ok(())
}

/// Prices one account batch and checks the invariants.
async fn price_batch(stage: &Session, inputs: &BatchInputs<'_>, number: usize) -> Result<Priced, Error> {
    inputs.register_common(stage, number)?;
    let usage_segment = inputs.usage_segment.of(number)?;
    match &inputs.list_prices {
        Some((prices, series)) => {
            let of_series = rows::of_series("usage_segment", &usage_segment, |series_id| series.contains(&series_id))?;
            price_at_list(stage, prices, of_series, number).await?;
        }
        None => stage.register_nothing("rating/list_price")?,
    }
    inputs.prices.register(stage, number)?;
    stage.register("rating/usage_segment", usage_segment)?;
    stage.register("rating/covered_window", inputs.covered_window.to_vec())?;
    stage.materialize("rating/covered_part", Parameters::none()).await?;
    inputs.prices.pricer.fill_pools(stage).await?;
    stage.materialize("rating/list_share", Parameters::none()).await?;
    let priced = rate_usage(stage).await?;
    for check in BATCH_CHECKS {
        run::check(stage, check).await?;
    }
    Ok(priced)
}

/// Registers `list_price`, which contains the public prices for those accounts of a batch that pay other prices.
async fn price_at_list(
    stage: &Session,
    prices: &BatchPrices<'_>,
    usage_segment: Vec<RecordBatch>,
    number: usize,
) -> Result<(), Error> {
    stage.register("rating/usage_segment", usage_segment)?;
    prices.register(stage, number)?;
    stage.register_nothing("rating/covered_window")?;
    prices.pricer.fill_pools(stage).await?;
    stage.materialize("rating/list_price", Parameters::none()).await?;
    Ok(())
}

/// Prices the rows of `usage_segment` with the selected rates, without commitment discounts.
pub async fn price(session: &Session, pricer: &Pricer) -> Result<Priced, Error> {
    register_no_coverage(session)?;
    price_uncovered(session, pricer).await
}

/// Prices the usage that is not covered according to `covered_window`.
async fn price_uncovered(session: &Session, pricer: &Pricer) -> Result<Priced, Error> {
    session.materialize("rating/covered_part", Parameters::none()).await?;
    session.register_nothing("rating/payer_series")?;
    pricer.fill_pools(session).await?;
    session.register_nothing("rating/list_share")?;
    rate_usage(session).await
}
