//! A drafted document, and an account that gets none.

use crate::invoicing::totals::InvoiceTotals;
use crate::model::money::Amount;
use crate::model::money::Cost;
use crate::model::money::places_of;
use crate::model::terms::Conversion;
use iso_currency::Currency;
use jiff::civil::Date;

/// One draft.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) number: String,
    pub(super) kind: &'static str,
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    /// The reseller that sells to it; absent: the seller of the configuration.
    pub(super) sold_by: Option<String>,
    pub(super) buyer_country: Option<String>,
    pub(super) buyer_vat_id: Option<String>,
    pub(super) project: Option<(String, Option<String>)>,
    pub(super) currency: Currency,
    /// From the seller's currency to that of the invoice.
    pub(super) conversion: Conversion,
    pub(super) tax_point: Date,
    /// Whether terms for an account of this id are meant for it.
    pub(super) has_terms: bool,
    pub(super) settlement: InvoiceTotals,
    pub(super) brought_forward: Amount,
    pub(super) carried_forward: Amount,
}

impl Document {
    pub(super) fn places(&self) -> u32 {
        places_of(self.currency)
    }
}

/// An account that gets no invoice this time, for one reason.
#[derive(Debug)]
pub(super) struct SuspendedAccount {
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) price_currency: String,
    /// What it used in that currency, before rounding; stands with the first reason.
    pub(super) contracted_cost: Cost,
}
