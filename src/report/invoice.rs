//! The invoice: what the page shows, and, serialised, the invoice as JSON.
//!
//! Names follow EN 16931 as the rest of the program does. Quantities, prices and amounts are exact decimal text; how
//! they look is decided by the page's language, never here.

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::config::Seller;

/// One invoice or draft of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvoicePage {
    pub document_kind: DocumentKind,
    pub number: String,
    /// A draft has none.
    #[serde(serialize_with = "iso_date_or_null")]
    pub issue_date: Option<Date>,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// Exclusive, as everywhere; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// ISO 4217 code.
    pub currency: String,
    pub seller: Seller,
    pub buyer: Buyer,
    pub project: Project,
    /// In the order of their numbers; a heading is printed wherever the service changes.
    pub lines: Vec<InvoiceLine>,
    pub tax_breakdown: Vec<TaxBreakdown>,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
    pub amount_due: String,
    /// Sentences on what this document does not contain, such as usage that has no price.
    pub data_notes: Vec<String>,
    /// Program and version.
    pub generated_by: String,
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Computed from what is known so far; nobody owes it.
    DraftInvoice,
    Invoice,
}

/// Who receives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Buyer {
    pub account_id: String,
    pub name: String,
    /// Lines, without the country.
    pub address: Vec<String>,
    pub country: Option<String>,
    pub vat_id: Option<String>,
    pub purchase_order: Option<String>,
}

/// Whose usage it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Project {
    pub id: String,
    pub name: Option<String>,
}

/// One line: one sku at one unit price for one value of `line_by`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceLine {
    pub number: u32,
    pub sku: String,
    pub service: Option<String>,
    pub description: String,
    pub line_by: Vec<LineBy>,
    pub quantity: String,
    pub unit: String,
    /// None on a line that is an amount only, such as a top-up to a minimum.
    pub unit_price: Option<String>,
    /// The number of units that the price is shown for, where it is not one: `1000`.
    pub unit_price_per: Option<String>,
    pub net_amount: String,
}

/// A property that tells lines of one sku apart: flavor = m1.small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineBy {
    pub name: String,
    pub value: String,
}

/// The tax on one group of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaxBreakdown {
    /// VAT, TVA, USt.
    pub name: String,
    /// Category of EN 16931: S, Z, E, AE, O.
    pub category: String,
    /// Percent.
    pub rate: String,
    pub taxable_amount: String,
    pub tax_amount: String,
    /// Why no tax is due: "Reverse charge".
    pub exemption_reason: Option<String>,
}

/// A date as ISO 8601 text.
pub(super) fn iso_date<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

fn iso_date_or_null<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}
