//! From usage to what each part of it costs, and what its pool makes of that.
//!
//! Three operators of our own do what six statements say: `query::pools` and `query::parts` wherever usage counts by
//! days, while what counts by single windows goes through the statements, and `query::rated` always.

use arrow::array::{Array, Decimal128Array, RecordBatch};

use crate::error::Error;
use crate::query::{Parameters, Session};
use crate::rating::pools::Pools;
use crate::rating::rated::{Costs, Rated};
use crate::rating::tier_parts::Parts;
use crate::rows;

/// The rates that were chosen for series, ready to price any number of portions of their usage.
#[derive(Debug)]
pub struct Pricer {
    pools: Pools,
    /// Absent where a price does not fit, which the statements tell.
    parts: Option<Parts>,
    rated: Rated,
    /// Whether any pool has a minimum, a maximum or a cap.
    is_bounded: bool,
    /// Whether a rate that applies has no factor, and so no price.
    lacks_factor: bool,
}

impl Pricer {
    /// Reads rows of `applicable_rate`, `priced_series` and `rate_tier`.
    pub fn new(
        applicable_rate: &[RecordBatch],
        priced_series: &[RecordBatch],
        rate_tier: &RecordBatch,
    ) -> Result<Self, Error> {
        let mut lacks_factor = false;
        for batch in applicable_rate {
            lacks_factor |= rows::column::<Decimal128Array>(batch, "factor")?.null_count() > 0;
        }
        let mut is_bounded = false;
        for name in ["minimum", "maximum", "cap_quantity"] {
            for batch in priced_series {
                let bounds: &Decimal128Array = rows::column(batch, name)?;
                is_bounded |= bounds.null_count() < bounds.len();
            }
        }
        Ok(Self {
            pools: Pools::new(priced_series)?,
            parts: Parts::new(priced_series, rate_tier)?,
            rated: Rated::new(priced_series)?,
            is_bounded,
            lacks_factor,
        })
    }

    /// Derives the relations from `pool_usage` to `pool_adjustment` for what stands in `usage_segment`.
    pub(super) async fn fill_pools(&self, session: &Session) -> Result<(), Error> {
        let pool_included_unit = self.pool_included_unit(session).await?;
        let pool_usage = self.pool_usage(session).await?;
        let priced = self.parts.as_ref().map(|parts| parts.priced(&pool_usage, &pool_included_unit)).transpose()?;
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

    /// Nearly always nothing is granted.
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
        session.materialize("rating/pool_running_total", Parameters::none()).await?;
        Ok(session.materialize("rating/pool_usage", Parameters::none()).await?)
    }

    /// Rows of `rated_usage` and `unrated_usage` for what pools and lists were filled with.
    pub(super) async fn rate(&self, session: &Session) -> Result<Priced, Error> {
        let costs = Costs {
            priced_part: &session.rows_of("rating/priced_part").await?,
            pool_adjustment: &session.rows_of("rating/pool_adjustment").await?,
            covered_part: &session.rows_of("rating/covered_part").await?,
            list_share: &session.rows_of("rating/list_share").await?,
        };
        let rated_usage = self.rated.usage(costs)?;
        session.register("rating/rated_usage", rated_usage.clone())?;
        let unrated_usage = self.unrated_usage(session).await?;
        Ok(Priced { rated_usage, unrated_usage })
    }

    /// Nearly always everything has a price.
    async fn unrated_usage(&self, session: &Session) -> Result<Vec<RecordBatch>, Error> {
        if !self.lacks_factor && self.pools.have_all(&session.rows_of("rating/usage_segment").await?)? {
            session.register_nothing("rating/unrated_usage")?;
            return Ok(Vec::new());
        }
        Ok(session.materialize("rating/unrated_usage", Parameters::none()).await?)
    }
}

/// What pricing gives.
#[derive(Debug)]
pub struct Priced {
    pub rated_usage: Vec<RecordBatch>,
    pub unrated_usage: Vec<RecordBatch>,
}
