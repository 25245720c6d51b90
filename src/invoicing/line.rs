//! Invoice lines (EN 16931: BG-25) and allowances (BG-20), before they become rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use iso_currency::Currency;
use jiff::civil::Date;

use crate::error::Error;
use crate::model::money::{Amount, Cost, Percent, Quantity, UnitPrice};
use crate::model::period::DayNumber;
use crate::model::tax::TaxTreatment;
use crate::rows;

/// The charge category of FOCUS: usage, a purchase, or an amount from another document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChargeCategory {
    Usage,
    Purchase,
    Adjustment,
}

impl ChargeCategory {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Usage => "Usage",
            Self::Purchase => "Purchase",
            Self::Adjustment => "Adjustment",
        }
    }
}

/// An invoice line (EN 16931: BG-25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The id of the project; `None` for a line of the whole account.
    pub(super) project_id: Option<String>,
    pub(super) charge_category: ChargeCategory,
    pub(super) service: String,
    pub(super) component: String,
    pub(super) sku: String,
    pub(super) description: String,
    pub(super) line_by: String,
    /// The kind of the charge: `usage`, `flat_fee`, `minimum`, `recurring`, `percent`, `top_up` and the like.
    pub(super) charge_kind: String,
    /// The id of the fee or minimum spend that the line is for.
    pub(super) term_id: Option<String>,
    pub(super) tier_start: Quantity,
    pub(super) charge_period_start: DayNumber,
    pub(super) charge_period_end: DayNumber,
    pub(super) quantity: Quantity,
    pub(super) unit: String,
    /// The currency of price and cost; `None` for a line that has only a net amount.
    pub(super) price_currency: Option<Currency>,
    /// The unit price in the currency of the price.
    pub(super) contracted_unit_price: UnitPrice,
    /// The unit price in the currency of the invoice.
    pub(super) unit_price: UnitPrice,
    pub(super) unit_price_per: Quantity,
    pub(super) contracted_cost: Cost,
    pub(super) net_amount: Amount,
    pub(super) tax: TaxTreatment,
    /// The earlier document of a line that is brought forward. Such a line keeps its tax treatment.
    pub(super) reference: Option<LineReference>,
}

/// The reference from a line to the earlier document that carried the line forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineReference {
    /// The number of the earlier document.
    pub(super) carried_from: String,
    /// The corrected line, if the line corrects a closed period.
    pub(super) correction: Option<CorrectedLine>,
}

/// The period and document that a line corrects (EN 16931: BG-3), and the reason for the correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CorrectedLine {
    pub(super) period: String,
    pub(super) document: Option<(String, Date)>,
    pub(super) reason: String,
}

/// A document-level allowance (EN 16931: BG-20): the part of a discount, credit or lower overage price in one tax
/// treatment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) kind: &'static str,
    pub(super) term_id: String,
    pub(super) description: String,
    pub(super) percent: Option<Percent>,
    /// The base amount of the whole deduction in all tax treatments (EN 16931: BT-93).
    pub(super) base_amount: Amount,
    pub(super) amount: Amount,
    pub(super) tax: TaxTreatment,
    /// The share of each line, by the index of the line.
    pub(super) shares: Vec<(usize, Amount)>,
}

/// The columns that a predicate of a term may use.
pub(super) fn predicate_columns() -> Vec<(String, DataType)> {
    let texts = [
        "account_id",
        "project_id",
        "country",
        "currency",
        "charge_category",
        "service",
        "component",
        "sku",
        "description",
        "line_by",
        "unit",
    ];
    let mut columns: Vec<(String, DataType)> =
        texts.into_iter().map(|name| (name.to_owned(), DataType::Utf8)).collect();
    columns.push(("quantity".to_owned(), DataType::Decimal128(38, 9)));
    columns.push(("net_amount".to_owned(), DataType::Decimal128(28, 4)));
    columns
}

/// The predicate columns of the lines of one account.
pub(super) fn predicate_batch(
    lines: &[Line],
    account_id: &str,
    country: Option<&str>,
    currency: &str,
) -> Result<RecordBatch, Error> {
    let texts = |pick: &dyn Fn(&Line) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(lines.iter().map(pick)))
    };
    let decimals = |values: Vec<i128>, precision, scale| -> Result<ArrayRef, Error> {
        let array: Decimal128Array = rows::decimals(values.into_iter().map(Some), precision, scale)?;
        Ok(Arc::new(array))
    };
    let arrays = vec![
        texts(&|_| Some(account_id.to_owned())),
        texts(&|line| line.project_id.clone()),
        texts(&|_| country.map(str::to_owned)),
        texts(&|_| Some(currency.to_owned())),
        texts(&|line| Some(line.charge_category.name().to_owned())),
        texts(&|line| Some(line.service.clone())),
        texts(&|line| Some(line.component.clone())),
        texts(&|line| Some(line.sku.clone())),
        texts(&|line| Some(line.description.clone())),
        texts(&|line| Some(line.line_by.clone())),
        texts(&|line| Some(line.unit.clone())),
        decimals(lines.iter().map(|line| line.quantity.units()).collect(), 38, 9)?,
        decimals(lines.iter().map(|line| line.net_amount.units()).collect(), 28, 4)?,
    ];
    let fields: Vec<Field> = predicate_columns().into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|source| rows::failed("lines of an invoice", source))
}
