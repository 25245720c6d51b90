//! A drafted document, and a suspended account.

use iso_currency::Currency;
use jiff::civil::Date;

use crate::invoicing::totals::InvoiceTotals;
use crate::model::draft_number::DraftKey;
use crate::model::money::{Amount, Cost, places_of};
use crate::model::terms::Conversion;

/// A drafted document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) number: String,
    pub(super) kind: &'static str,
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    /// The reseller that sells to the account; `None` for the seller of the configuration.
    pub(super) sold_by: Option<String>,
    pub(super) buyer_country: Option<String>,
    pub(super) buyer_vat_id: Option<String>,
    pub(super) project: Option<(String, Option<String>)>,
    pub(super) currency: Currency,
    /// The exchange rate from the seller's currency to the currency of the invoice.
    pub(super) conversion: Conversion,
    pub(super) tax_point: Date,
    /// Whether terms with this account id apply. Terms of an account do not apply to an unassigned project with the
    /// same id.
    pub(super) has_terms: bool,
    pub(super) totals: InvoiceTotals,
    pub(super) brought_forward: Amount,
    pub(super) carried_forward: Amount,
    /// Whether the account or the project ended, so that no later document can take an amount over.
    pub(super) is_last: bool,
}

impl Document {
    /// The payer as the key of the draft number.
    pub(super) fn draft_key(&self) -> DraftKey<'_> {
        DraftKey {
            account_id: &self.account_id,
            project_id: self.project.as_ref().map(|(id, _)| id.as_str()),
            sold_by: self.sold_by.as_deref(),
            currency: self.currency.code(),
        }
    }

    pub(super) fn places(&self) -> u32 {
        places_of(self.currency)
    }
}

/// A suspended account with one reason. An account has one row for each reason and price currency.
#[derive(Debug)]
pub(super) struct SuspendedAccount {
    pub(super) account_id: String,
    pub(super) account_name: Option<String>,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) price_currency: String,
    /// The unrounded cost in the price currency. The cost is zero in all rows but those of the first reason.
    pub(super) contracted_cost: Cost,
}
