//! The exchange rate of two currencies at the tax point.

use crate::model::terms::Conversion;
use iso_currency::Currency;

/// One currency in another at the tax point of a period.
#[derive(Clone, Debug)]
pub(super) struct ExchangeRate {
    pub(super) price_currency: Currency,
    pub(super) currency: Currency,
    pub(super) conversion: Conversion,
}
