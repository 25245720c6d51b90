//! The contents of an invoice, for the page and for the JSON document.
//!
//! Names follow EN 16931. Quantities, prices and amounts are exact decimal text; the templates format them.

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::model::config::Seller;

/// An invoice, a credit note or a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvoicePage {
    pub document_kind: DocumentKind,
    pub number: String,
    /// The issue date (BT-2); a draft has none.
    #[serde(serialize_with = "iso_date_or_null")]
    pub issue_date: Option<Date>,
    /// The due date (BT-9); none for a draft, and without configured `payment_days`.
    #[serde(serialize_with = "iso_date_or_null", skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// The tax point (BT-7).
    #[serde(serialize_with = "iso_date")]
    pub tax_point: Date,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// The exclusive end; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// The language of the reader as a BCP 47 tag.
    pub language: String,
    /// The invoice currency (BT-5) as an ISO 4217 code.
    pub currency: String,
    pub seller: Seller,
    /// The account of the reseller that is the seller; none for the seller of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    pub buyer: Buyer,
    /// The project; none if the invoice is for all projects of the account.
    pub project: Option<Project>,
    /// The file with the days and resources of the project, beside this page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_report: Option<String>,
    /// The lines in the order of their numbers. The page has a heading at each change of project or service.
    pub lines: Vec<InvoiceLine>,
    pub line_total: String,
    /// Discounts and credits, which reduce the taxable amount (BG-20).
    pub allowances: Vec<AllowanceLine>,
    pub tax_breakdown: Vec<TaxBreakdown>,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
    /// Prepaid credits that pay for this document (BT-113).
    pub prepayments: Vec<Prepaid>,
    pub amount_due: String,
    /// The exchange rate and the tax in the seller's currency (BT-111), if the invoice has another currency.
    pub exchange: Option<Exchange>,
    /// The exchange rates of prices in a third currency, which is neither the document's nor the seller's currency.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_exchanges: Vec<PriceExchange>,
    /// Further data of an issued document; none for a draft.
    pub issued: Option<Issued>,
    /// Usage without a price, which this document does not contain.
    pub data_notes: Vec<DataNote>,
    /// The name and version of the program.
    pub generated_by: String,
}

/// The kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A draft without a final number, which is not payable.
    DraftInvoice,
    Invoice,
    /// A credit note. The amounts are positive and are credited to the buyer.
    CreditNote,
    /// A document whose amount is carried forward to the next invoice.
    CarriedForward,
    /// An invoice that is not issued, because all its lines are zero.
    Skipped,
}

/// Data of an issued document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The corrected document (BG-3).
    pub corrects: Option<PrecedingDocument>,
    /// The document that this credit note cancels as a whole (BG-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancels: Option<PrecedingDocument>,
    /// The cancelled document that this invoice replaces (BG-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReplacedDocument>,
    /// `late_usage`, `changed_record`, `late_and_changed`, `changed_rule`, `cancelled` or `reissued`.
    pub reason: Option<String>,
    /// The stated reason of a cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// SHA-256 of the JSON of the previous document.
    pub previous_document_sha256: Option<String>,
}

/// A cancelled document, with the credit note that cancels it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplacedDocument {
    pub number: String,
    #[serde(serialize_with = "iso_date")]
    pub issue_date: Date,
    pub cancelled_by: String,
}

/// An earlier document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrecedingDocument {
    pub number: String,
    #[serde(serialize_with = "iso_date")]
    pub issue_date: Date,
}

/// The buyer (BG-7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Buyer {
    pub account_id: String,
    pub name: String,
    /// The lines of the address without the country.
    pub address: Vec<String>,
    pub country: Option<String>,
    pub vat_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub purchase_order: Option<String>,
    /// The cost centres of the buyer (BT-19).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cost_centres: Vec<String>,
}

/// The project of a line or document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Project {
    pub id: String,
    pub name: Option<String>,
}

/// An invoice line (BG-25): one SKU at one unit price for one value of `line_by`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceLine {
    pub number: u32,
    /// The project; none for a line of the whole account.
    pub project: Option<Project>,
    pub sku: String,
    pub service: Option<String>,
    pub description: String,
    pub line_by: Vec<LineBy>,
    /// The kind of a charge other than usage at a price, such as `flat_fee`, `minimum`, `recurring`, `top_up` or
    /// `carried_forward`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_kind: Option<String>,
    /// The first day that the line charges (BT-134).
    #[serde(serialize_with = "iso_date")]
    pub charge_period_start: Date,
    /// The exclusive end; the page shows the last day (BT-135).
    #[serde(serialize_with = "iso_date")]
    pub charge_period_end: Date,
    pub quantity: String,
    pub unit: String,
    /// The unit price; none for a line with only an amount, such as a top-up to a minimum.
    pub unit_price: Option<String>,
    /// The number of units that the price is for (BT-149), such as `1000`; none for a price of one unit.
    pub unit_price_per: Option<String>,
    /// The parts of the unit price; none for a price without factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factored_price: Option<FactoredPrice>,
    pub net_amount: String,
    /// The taxes of the line, which the page shows if other lines have other ones.
    pub taxes: Vec<LineTax>,
    /// The one-off charge of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_off: Option<OneOff>,
    /// The correction; none for a line of the current period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<LineCorrection>,
}

/// A charge that is billed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OneOff {
    pub id: String,
    /// The day of the charge, which can be in an earlier month.
    #[serde(serialize_with = "iso_date")]
    pub date: Date,
    /// The reason of a compensation. The reason of other charges is not for the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A unit price as the product of a price and of factors, such as the factor of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FactoredPrice {
    /// The price before the factors, for as many units as the unit price.
    pub base_unit_price: String,
    /// The product of all factors.
    pub factor: String,
    /// The currency of the price as an ISO 4217 code.
    pub currency: String,
}

/// The corrected period and document of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineCorrection {
    #[serde(serialize_with = "iso_date")]
    pub charge_period_start: Date,
    /// The exclusive end.
    #[serde(serialize_with = "iso_date")]
    pub charge_period_end: Date,
    /// The corrected document; none if no document was issued for the period.
    pub document: Option<PrecedingDocument>,
    /// `late_usage`, `changed_record`, `late_and_changed` or `changed_rule`.
    pub reason: String,
}

/// Usage of a meter without a price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DataNote {
    pub meter: String,
    pub quantity: String,
    pub unit: String,
    pub resource_count: u64,
}

/// A property that distinguishes lines of one SKU, such as `flavor=m1.small`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineBy {
    pub name: String,
    pub value: String,
}

/// A discount or a credit (BG-20), once for each tax treatment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AllowanceLine {
    /// `discount`, `overage`, `promotional` or `prepaid_at_sale`.
    pub kind: String,
    pub description: String,
    pub percent: Option<String>,
    /// The taxes of the amount, which the page shows if other amounts have other taxes.
    pub taxes: Vec<LineTax>,
    pub amount: String,
}

/// A tax of a line, a discount or a credit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineTax {
    pub name: String,
    /// The tax category (BT-95, BT-151): S, Z, E, AE, G or O.
    pub category: String,
    /// The rate in percent (BT-96, BT-152).
    pub rate: String,
}

/// A prepaid credit that pays for a part of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prepaid {
    pub description: String,
    pub amount: String,
}

/// The exchange rate of the document: one unit of `base` is `rate` units of `quote` on the date.
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

/// The exchange rate of prices: one unit of `base` is `rate` units of `quote` on the date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceExchange {
    pub base: String,
    pub quote: String,
    pub rate: String,
    #[serde(serialize_with = "iso_date")]
    pub date: Date,
}

/// A tax group (BG-23).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaxBreakdown {
    /// The name of the tax, such as VAT, TVA or USt.
    pub name: String,
    /// The tax category (BT-118): S, Z, E, AE, G or O.
    pub category: String,
    /// The rate in percent (BT-119).
    pub rate: String,
    /// Whether the taxable amount includes the other taxes of the same lines.
    #[serde(skip_serializing_if = "is_false")]
    pub is_compound: bool,
    pub taxable_amount: String,
    pub tax_amount: String,
    /// The exemption reason (BT-120), such as "Reverse charge".
    pub exemption_reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
