//! The pricer, which computes the cost of each part of usage and the adjustments of each pool.
//!
//! The prices of tiers and the limits of pools are computed once. All other relations are computed for each account
//! batch.

use arrow::array::RecordBatch;

use crate::error::Error;
use crate::query::{Parameters, Session};

/// The relations from the usage of pools to their adjustments, in the order of their computation.
const POOL_RELATIONS: [&str; 6] = [
    "rating/pool_included_unit",
    "rating/pool_window",
    "rating/pool_window_count",
    "rating/pool_usage",
    "rating/priced_part",
    "rating/pool_adjustment",
];

/// The selected rates of series, prepared to price any number of account batches.
#[derive(Debug)]
pub struct Pricer {
    tier_price: Vec<RecordBatch>,
    pool_limit: Vec<RecordBatch>,
}

impl Pricer {
    /// Computes `tier_price` and `pool_limit` from the registered relations.
    pub async fn new(session: &Session) -> Result<Self, Error> {
        Ok(Self {
            tier_price: session.materialize("rating/tier_price", Parameters::none()).await?,
            pool_limit: session.materialize("rating/pool_limit", Parameters::none()).await?,
        })
    }

    /// The relations with the prices of series. Each row contains its series.
    pub(super) fn prices(&self) -> [(&'static str, &[RecordBatch]); 2] {
        [("rating/tier_price", &self.tier_price), ("rating/pool_limit", &self.pool_limit)]
    }

    /// Computes and registers the relations from `pool_usage` to `pool_adjustment` for the rows of `usage_segment`.
    pub(super) async fn fill_pools(&self, session: &Session) -> Result<(), Error> {
        for path in POOL_RELATIONS {
            session.materialize(path, Parameters::none()).await?;
        }
        Ok(())
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
