//! The invoice: what the page shows, and, serialised, the invoice as JSON.
//!
//! Names follow EN 16931 as the rest of the program does. Quantities, prices and amounts are exact decimal text; how
//! they look is decided by the page's language, never here.

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::model::config::Seller;

/// One invoice or draft of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvoicePage {
    pub document_kind: DocumentKind,
    pub number: String,
    /// A draft has none.
    #[serde(serialize_with = "iso_date_or_null")]
    pub issue_date: Option<Date>,
    /// When an invoice is to be paid; absent on a draft, and where nothing says after how many days.
    #[serde(serialize_with = "iso_date_or_null", skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// When what it charges counts as supplied.
    #[serde(serialize_with = "iso_date")]
    pub tax_point: Date,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// Exclusive, as everywhere; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// Of the reader, a BCP 47 tag.
    pub language: String,
    /// ISO 4217 code.
    pub currency: String,
    pub seller: Seller,
    /// The account of the reseller that the seller is; absent where the seller is the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    pub buyer: Buyer,
    /// Absent where the invoice is for all projects of the account.
    pub project: Option<Project>,
    /// In the order of their numbers; a heading is printed wherever the project or the service changes.
    pub lines: Vec<InvoiceLine>,
    pub line_total: String,
    /// Discounts and credits, which lower what is taxed.
    pub allowances: Vec<AllowanceLine>,
    pub tax_breakdown: Vec<TaxBreakdown>,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
    /// Paid in before, and used for this document.
    pub prepayments: Vec<Prepaid>,
    pub amount_due: String,
    /// Where the document is in another currency than its seller's: the tax is repeated in that.
    pub exchange: Option<Exchange>,
    /// Of prices in neither the currency of the document nor that of the seller: the rates at which they became it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_exchanges: Vec<PriceExchange>,
    /// What an issued document says beside its number and date; a draft has none of it.
    pub issued: Option<Issued>,
    /// What this document does not contain: usage that has no price.
    pub data_notes: Vec<DataNote>,
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
    /// Takes back what an invoice charged too much; its amounts are what is given back.
    CreditNote,
    /// Too little to be sent: the next invoice has it.
    CarriedForward,
}

/// What a document says once it is issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The document that this one corrects, BG-3.
    pub corrects: Option<PrecedingDocument>,
    /// `late_usage`, `changed_record`, `late_and_changed` or `changed_rule`.
    pub reason: Option<String>,
    /// SHA-256 of the JSON of the document that was issued before this one.
    pub previous_document_sha256: Option<String>,
}

/// A document that was issued before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrecedingDocument {
    pub number: String,
    #[serde(serialize_with = "iso_date")]
    pub issue_date: Date,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub purchase_order: Option<String>,
    /// Where the buyer books it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cost_centres: Vec<String>,
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
    /// Absent on a line of the whole account.
    pub project: Option<Project>,
    pub sku: String,
    pub service: Option<String>,
    pub description: String,
    pub line_by: Vec<LineBy>,
    /// What is charged where that is not usage at a price: `flat_fee`, `minimum`, `recurring`, `top_up`,
    /// `carried_forward` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_kind: Option<String>,
    pub quantity: String,
    pub unit: String,
    /// None on a line that is an amount only, such as a top-up to a minimum.
    pub unit_price: Option<String>,
    /// The number of units that the price is shown for, where it is not one: `1000`.
    pub unit_price_per: Option<String>,
    pub net_amount: String,
    /// What the line corrects. Absent on a line of what the period itself used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<LineCorrection>,
}

/// A line of usage in a period that was closed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineCorrection {
    #[serde(serialize_with = "iso_date")]
    pub charge_period_start: Date,
    /// Exclusive.
    #[serde(serialize_with = "iso_date")]
    pub charge_period_end: Date,
    /// The document that is corrected; absent where nothing was issued for the period.
    pub document: Option<PrecedingDocument>,
    /// late_usage, changed_record, late_and_changed, changed_rule
    pub reason: String,
}

/// Usage of a meter that has no price yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DataNote {
    pub meter: String,
    pub quantity: String,
    pub unit: String,
    pub resource_count: u64,
}

/// A property that tells lines of one sku apart: flavor = m1.small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineBy {
    pub name: String,
    pub value: String,
}

/// A discount or a credit, once for each tax group that it lowers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AllowanceLine {
    /// discount, overage, promotional, prepaid_at_sale
    pub kind: String,
    pub description: String,
    pub percent: Option<String>,
    /// Where there is more than one group: which one this is.
    pub tax_category: String,
    pub tax_rate: String,
    pub amount: String,
}

/// A prepaid amount that pays a part of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prepaid {
    pub description: String,
    pub amount: String,
}

/// One unit of `base` is `rate` units of `quote`, on that date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    pub base: String,
    pub quote: String,
    pub rate: String,
    #[serde(serialize_with = "iso_date")]
    pub date: Date,
    pub seller_currency: String,
    pub tax_in_seller_currency: String,
}

/// A rate at which prices became amounts: one unit of `base` is `rate` units of `quote`, on that date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceExchange {
    pub base: String,
    pub quote: String,
    pub rate: String,
    #[serde(serialize_with = "iso_date")]
    pub date: Date,
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
pub(crate) fn iso_date<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

fn iso_date_or_null<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}
