//! Accounts as read from a file, before the checks over all accounts.

use jiff::civil::Date;

use super::table::Text;
use crate::model::account::{InvoicePer, Vies, ZeroInvoices};
use crate::model::diagnostic::Place;

pub(crate) const INVOICE_PER: [(&str, InvoicePer); 2] =
    [("account", InvoicePer::Account), ("project", InvoicePer::Project)];

pub(crate) const ZERO_INVOICES: [(&str, ZeroInvoices); 2] =
    [("issue", ZeroInvoices::Issue), ("skip", ZeroInvoices::Skip)];

/// An unchecked account from an accounts file of any format.
#[derive(Debug)]
pub(crate) struct WrittenAccount {
    pub(crate) place: Place,
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) address: Vec<String>,
    pub(crate) country: Option<Text>,
    pub(crate) vat_id: Option<Text>,
    pub(crate) vies: Option<Vies>,
    pub(crate) email: Option<String>,
    pub(crate) currency: Option<Text>,
    pub(crate) language: Option<Text>,
    pub(crate) purchase_order: Option<String>,
    pub(crate) cost_centres: Vec<String>,
    pub(crate) payment_terms: Option<String>,
    pub(crate) payment_days: Option<u16>,
    pub(crate) tax_profile: Option<String>,
    pub(crate) cards: Vec<Text>,
    pub(crate) invoice_per: Option<InvoicePer>,
    pub(crate) zero_invoices: Option<ZeroInvoices>,
    pub(crate) parent: Option<Text>,
    pub(crate) internal: bool,
    pub(crate) valid_from: Option<Date>,
    pub(crate) valid_to: Option<Date>,
    pub(crate) projects: Vec<WrittenProject>,
}

/// An unchecked project of an account.
#[derive(Debug)]
pub(crate) struct WrittenProject {
    pub(crate) id: Text,
    pub(crate) name: Option<String>,
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_to: Option<i64>,
}

/// An id in canonical form. UUIDs become lower case, because some sources write them in upper case. Other ids are
/// unchanged.
pub(crate) fn canonical_id(text: Text) -> Text {
    let digits = text.value.bytes().filter(|byte| *byte != b'-').count();
    let is_hexadecimal = text.value.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let dashes: Vec<usize> = text.value.match_indices('-').map(|(index, _)| index).collect();
    let is_uuid = digits == 32 && is_hexadecimal && (dashes.is_empty() || dashes == [8, 13, 18, 23]);
    if is_uuid { Text { value: text.value.to_ascii_lowercase(), ..text } } else { text }
}
