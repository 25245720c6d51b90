//! The exchange rate between two currencies at the tax point.

use iso_currency::Currency;

use crate::model::terms::Conversion;

/// The exchange rate from one currency to another at the tax point of a period.
#[derive(Clone, Debug)]
pub(super) struct ExchangeRate {
    pub(super) price_currency: Currency,
    pub(super) currency: Currency,
    pub(super) conversion: Conversion,
}
