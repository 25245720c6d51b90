//! The month-end pack: the figures of a close for the people who sign it.

use jiff::civil::Date;
use serde::Serialize;

use super::invoice::iso_date;
use crate::model::close_blocker::CloseDecision;

/// The data of a month-end pack. All amounts are exact decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthEndPack {
    pub seller_name: String,
    pub seller_currency: String,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// The exclusive end; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    /// The operator's decisions about all closes of the period.
    pub close_decisions: Vec<CloseDecision>,
    pub totals: Vec<SellerTotal>,
    pub account_totals: Vec<AccountTotal>,
    pub documents: Vec<PackDocument>,
    pub taxes: Vec<PackTax>,
    pub reconciliation: Vec<Invariant>,
    pub exceptions: Vec<PackException>,
    pub brought_forward: Vec<PackBroughtForward>,
    pub month_before: MonthBefore,
    pub accounts: Vec<AccountChange>,
    pub services: Vec<ServiceChange>,
    pub credits: Vec<PackCredit>,
    /// The name and version of the program.
    pub generated_by: String,
}

/// The totals of the documents of one seller in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SellerTotal {
    /// The account of the reseller that sells; absent for the configured seller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    pub currency: String,
    pub document_count: u64,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
    pub amount_due: String,
}

/// The totals of the documents of one account in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountTotal {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    pub account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub currency: String,
    pub document_count: u64,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
    pub amount_due: String,
}

/// An issued document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackDocument {
    pub number: String,
    pub kind: String,
    pub issue_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    pub account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub currency: String,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
    pub amount_due: String,
}

/// The tax of a country, a tax group and a currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackTax {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    pub category: String,
    pub rate: String,
    pub name: String,
    pub currency: String,
    pub document_count: u64,
    pub taxable_amount: String,
    pub tax_amount: String,
    pub seller_currency: String,
    pub taxable_amount_in_seller_currency: String,
    pub tax_amount_in_seller_currency: String,
}

/// An invariant of the reconciliation in one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Invariant {
    pub invariant: String,
    pub explanation: String,
    pub unit: String,
    pub parts: Vec<InvariantPart>,
    pub difference: String,
    pub is_reconciled: bool,
}

/// A summand of an invariant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvariantPart {
    pub part: String,
    pub amount: String,
}

/// Something that the close leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackException {
    pub kind: String,
    pub subject: String,
    pub detail: String,
    /// The detail as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The first day of the usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_date: Option<String>,
    /// Some of the resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    pub item_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// A line with an amount of an earlier document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackBroughtForward {
    pub number: String,
    pub line: u64,
    pub account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub description: String,
    pub from_period: String,
    /// The document that carried the amount forward.
    pub carried_from: String,
    pub reason: String,
    /// The reason as a sentence.
    pub explanation: String,
    pub net_amount: String,
    pub currency: String,
}

/// The month that amounts are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MonthBefore {
    pub period: String,
    /// `closed`, `drafted` or `not billed`.
    pub state: String,
}

/// The amounts of an account in two months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountChange {
    pub account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub currency: String,
    pub amount_before: String,
    pub amount: String,
    pub difference: String,
    /// The charges with the largest differences.
    pub largest_causes: Vec<ChangeCause>,
    pub other_causes: u64,
}

/// A charge whose amount changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCause {
    pub service: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_period: Option<String>,
    pub cause: String,
    pub unit: String,
    pub quantity_before: String,
    pub quantity: String,
    pub amount_before: String,
    pub amount: String,
    pub difference: String,
}

/// The amounts of a service in two months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceChange {
    /// Empty for discounts and credits.
    pub service: String,
    pub currency: String,
    pub amount_before: String,
    pub amount: String,
    pub difference: String,
}

/// The balance of a credit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackCredit {
    pub credit_id: String,
    pub account_id: String,
    pub description: String,
    pub kind: String,
    pub currency: String,
    pub opening_balance: String,
    pub granted: String,
    pub used: String,
    pub expired: String,
    pub closing_balance: String,
}

/// The page of a month-end pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthEndPage {
    #[serde(flatten)]
    pub pack: MonthEndPack,
    /// The digest to sign.
    pub digest: String,
    /// The name of the file that the digest is of.
    pub digest_file: String,
    /// The number of files in it.
    pub file_count: u64,
}
