//! The inputs of pricing, divided into account batches.

use arrow::array::RecordBatch;

use super::account_batch::BatchRows;
use super::pricer::Pricer;
use super::rating_inputs::{ListPrices, RatingInputs};
use crate::error::Error;
use crate::query::{Session, statement};

/// The inputs of pricing by account batch. The statements of a batch read only the series of the batch, not the series
/// of all accounts.
pub(super) struct BatchInputs<'a> {
    pub(super) usage_segment: BatchRows<'a>,
    pub(super) priced_series: BatchRows<'a>,
    /// The other relations, each with its path.
    pub(super) others: Vec<(&'static str, BatchRows<'a>)>,
    pub(super) pricer: &'a Pricer,
    pub(super) covered_window: &'a [RecordBatch],
    pub(super) list_prices: Option<BatchListPrices<'a>>,
}

/// The public prices by account batch.
pub(super) struct BatchListPrices<'a> {
    /// `priced_series` and the prices, each with its path.
    pub(super) relations: Vec<(&'static str, BatchRows<'a>)>,
    pub(super) prices: &'a ListPrices,
}

impl<'a> BatchInputs<'a> {
    pub(super) fn new(inputs: &'a RatingInputs) -> Result<Self, Error> {
        let divide = |path, rows: &'a [RecordBatch]| inputs.account_batches.divide(&statement(path)?.name, rows);
        let by_path = |relations: Vec<(&'static str, &'a [RecordBatch])>| -> Result<Vec<_>, Error> {
            relations.into_iter().map(|(path, rows)| Ok((path, divide(path, rows)?))).collect()
        };
        let mut others = vec![
            ("rating/active_series", inputs.active_series.as_slice()),
            ("rating/applicable_rate", inputs.applicable_rate.as_slice()),
        ];
        others.extend(inputs.pricer.prices());
        let list_prices = inputs.list_prices.as_ref().map(|prices| {
            let mut relations = vec![("rating/priced_series", prices.priced_series.as_slice())];
            relations.extend(prices.pricer.prices());
            Ok::<_, Error>(BatchListPrices { relations: by_path(relations)?, prices })
        });
        Ok(Self {
            usage_segment: divide("rating/usage_segment", &inputs.usage_segment)?,
            priced_series: divide("rating/priced_series", &inputs.priced_series)?,
            others: by_path(others)?,
            pricer: &inputs.pricer,
            covered_window: &inputs.covered_window,
            list_prices: list_prices.transpose()?,
        })
    }
}

/// Registers the rows of one batch.
pub(super) fn register_all(
    stage: &Session,
    relations: &[(&'static str, BatchRows<'_>)],
    number: usize,
) -> Result<(), Error> {
    for (path, rows) in relations {
        stage.register(path, rows.of(number)?)?;
    }
    Ok(())
}
