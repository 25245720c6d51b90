//! The pricer, which computes the cost of each part of usage and the adjustments of each pool.
//!
//! Two operators replace five statements. [`pools`](crate::rating::pools) and
//! [`tier_parts`](crate::rating::tier_parts) price usage that is counted by days. The statements price usage that is
//! counted by single windows.

use arrow::array::{Array, Decimal128Array, RecordBatch};

use crate::error::Error;
use crate::query::{Parameters, Session};
use crate::rating::pools::PoolTotals;
use crate::rating::tier_parts::TierPrices;
use crate::rows;

/// The selected rates of series, prepared to price any number of account batches.
#[derive(Debug)]
pub struct Pricer {
    pools: PoolTotals,
    /// Absent if a price has too many digits. In this case the statements run and report the price.
    tier_prices: Option<TierPrices>,
    /// Whether any pool has a minimum, a maximum or a cap, or a tier with a maximum amount.
    is_bounded: bool,
}

impl Pricer {
    /// Reads rows of `priced_series`, `rate_tier` and `unique_value`.
    pub fn new(
        priced_series: &[RecordBatch],
        rate_tier: &RecordBatch,
        unique_value: &RecordBatch,
    ) -> Result<Self, Error> {
        let max_amounts: &Decimal128Array = rows::column(rate_tier, "max_amount")?;
        let mut is_bounded = max_amounts.null_count() < max_amounts.len();
        for name in ["minimum", "maximum", "cap_quantity"] {
            for batch in priced_series {
                let bounds: &Decimal128Array = rows::column(batch, name)?;
                is_bounded |= bounds.null_count() < bounds.len();
            }
        }
        Ok(Self {
            pools: PoolTotals::new(priced_series, unique_value)?,
            tier_prices: TierPrices::new(priced_series, rate_tier)?,
            is_bounded,
        })
    }

    /// Computes and registers the relations from `pool_usage` to `pool_adjustment` for the rows of `usage_segment`.
    pub(super) async fn fill_pools(&self, session: &Session) -> Result<(), Error> {
        let pool_included_unit = self.pool_included_unit(session).await?;
        let pool_usage = self.pool_usage(session).await?;
        let priced =
            self.tier_prices.as_ref().map(|prices| prices.priced(&pool_usage, &pool_included_unit)).transpose()?;
        match priced.flatten() {
            Some(priced_part) => session.register("rating/priced_part", vec![priced_part])?,
            None => {
                for path in ["rating/pool_part", "rating/line_running_total", "rating/priced_part"] {
                    session.materialize(path, Parameters::none()).await?;
                }
            }
        }
        if self.is_bounded {
            session.materialize("rating/pool_adjustment", Parameters::none()).await?;
            return Ok(());
        }
        Ok(session.register_nothing("rating/pool_adjustment")?)
    }

    /// Registers `pool_included_unit` and returns its rows. Most lakes have no included units.
    async fn pool_included_unit(&self, session: &Session) -> Result<Vec<RecordBatch>, Error> {
        if session.rows_of("rating/included_unit").await?.is_empty() {
            session.register_nothing("rating/pool_included_unit")?;
            return Ok(Vec::new());
        }
        Ok(session.materialize("rating/pool_included_unit", Parameters::none()).await?)
    }

    async fn pool_usage(&self, session: &Session) -> Result<Vec<RecordBatch>, Error> {
        let usage_segment = session.rows_of("rating/usage_segment").await?;
        let covered_window = session.rows_of("rating/covered_window").await?;
        if let Some(pool_usage) = self.pools.usage(&usage_segment, &covered_window)? {
            session.register("rating/pool_usage", vec![pool_usage.clone()])?;
            return Ok(vec![pool_usage]);
        }
        session.materialize("rating/pool_window_count", Parameters::none()).await?;
        session.materialize("rating/pool_running_total", Parameters::none()).await?;
        Ok(session.materialize("rating/pool_usage", Parameters::none()).await?)
    }
}

/// Registers and returns `rated_usage` and `unrated_usage`, from the registered pools and list costs.
pub(super) async fn rate_usage(session: &Session) -> Result<Priced, Error> {
    let rated_usage = session.materialize("rating/rated_usage", Parameters::none()).await?;
    let unrated_usage = session.materialize("rating/unrated_usage", Parameters::none()).await?;
    Ok(Priced { rated_usage, unrated_usage })
}

/// The result of pricing.
#[derive(Debug)]
pub struct Priced {
    pub rated_usage: Vec<RecordBatch>,
    pub unrated_usage: Vec<RecordBatch>,
}
