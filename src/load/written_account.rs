//! Accounts as read from a file, before the checks over all accounts.

use jiff::civil::Date;

use super::problems::Problems;
use super::table::Text;
use crate::model::account::{InvoicePer, Vies, ZeroInvoices};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::identifier;

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

/// The canonical form of an id, which is compared with the ids of usage.
pub(crate) fn canonical_id(text: Text) -> Text {
    Text { value: identifier::canonical_id(&text.value).into_owned(), ..text }
}

/// As [`canonical_id`]. A text that usage would have for an absent value, such as `None`, is a problem.
pub(crate) fn checked_id(text: Text, problems: &Problems) -> Option<Text> {
    if identifier::stated(&text.value).is_some() {
        return Some(canonical_id(text));
    }
    let message = format!("the id `{}` means an absent value", text.value.trim());
    let diagnostic = Diagnostic::error("accounts::absent_id", message).at(text.place, "not an id");
    problems.push(diagnostic.hint("write another id: usage with this text has no project"));
    None
}
