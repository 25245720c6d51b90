//! The inputs of pricing, divided into account batches.

use std::collections::HashSet;

use arrow::array::RecordBatch;

use super::account_batch::BatchRows;
use super::pricer::Pricer;
use super::rating_inputs::RatingInputs;
use crate::error::Error;
use crate::query::{Session, statement};

/// The relations of account batches, each with its path.
type Relations<'a> = Vec<(&'static str, BatchRows<'a>)>;

/// The inputs of pricing by account batch. The statements of a batch read only the series of the batch, not the series
/// of all accounts.
pub(super) struct BatchInputs<'a> {
    pub(super) usage_segment: BatchRows<'a>,
    /// The relations that the statements read for own prices and for list prices.
    common: Relations<'a>,
    pub(super) prices: BatchPrices<'a>,
    /// The public prices, and the series that have them.
    pub(super) list_prices: Option<(BatchPrices<'a>, &'a HashSet<u64>)>,
    pub(super) covered_window: &'a [RecordBatch],
}

/// Prices by account batch.
pub(super) struct BatchPrices<'a> {
    relations: Relations<'a>,
    pub(super) pricer: &'a Pricer,
}

impl<'a> BatchInputs<'a> {
    pub(super) fn new(inputs: &'a RatingInputs) -> Result<Self, Error> {
        let divide = |path, rows: &'a [RecordBatch]| inputs.account_batches.divide(&statement(path)?.name, rows);
        let by_path = |relations: Vec<(&'static str, &'a [RecordBatch])>| -> Result<Relations<'a>, Error> {
            relations.into_iter().map(|(path, rows)| Ok((path, divide(path, rows)?))).collect()
        };
        let prices = |priced_series: &'a [RecordBatch], pricer: &'a Pricer| -> Result<BatchPrices<'a>, Error> {
            let mut relations = vec![("rating/priced_series", priced_series)];
            relations.extend(pricer.prices());
            Ok(BatchPrices { relations: by_path(relations)?, pricer })
        };
        let list_prices = match &inputs.list_prices {
            Some(list) => Some((prices(&list.priced_series, &list.pricer)?, &list.series)),
            None => None,
        };
        Ok(Self {
            usage_segment: divide("rating/usage_segment", &inputs.usage_segment)?,
            common: by_path(vec![
                ("rating/active_series", &inputs.active_series),
                ("rating/applicable_rate", &inputs.applicable_rate),
            ])?,
            prices: prices(&inputs.priced_series, &inputs.pricer)?,
            list_prices,
            covered_window: &inputs.covered_window,
        })
    }

    /// Registers the relations that the statements read for own prices and for list prices. They replace those of the
    /// batch before.
    pub(super) fn register_common(&self, stage: &Session, number: usize) -> Result<(), Error> {
        register(stage, &self.common, number)
    }
}

impl BatchPrices<'_> {
    /// Registers the prices of one batch.
    pub(super) fn register(&self, stage: &Session, number: usize) -> Result<(), Error> {
        register(stage, &self.relations, number)
    }
}

fn register(stage: &Session, relations: &Relations<'_>, number: usize) -> Result<(), Error> {
    for (path, rows) in relations {
        stage.register(path, rows.of(number)?)?;
    }
    Ok(())
}
