//! Tax treatments as rows of `applied_tax`, one for each tax of a treatment.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};

use super::{Row, batch, decimals, each};
use crate::error::Error;
use crate::model::tax::{TaxComponent, TaxGroup, TaxTreatment};
use crate::model::terms::TaxCategory;
use crate::query::statement;

/// The path of the relation.
pub const APPLIED_TAX: &str = "invoicing/applied_tax";

/// Tax treatments by their text, which lines and allowances contain.
pub type TaxTreatments = BTreeMap<String, TaxTreatment>;

/// The rows of `applied_tax` for these treatments.
pub fn applied_tax(treatments: &TaxTreatments) -> Result<RecordBatch, Error> {
    let taxes: Vec<(&String, &TaxTreatment, usize, &TaxComponent)> = treatments
        .iter()
        .flat_map(|(text, treatment)| {
            let numbered = treatment.taxes.iter().enumerate();
            numbered.map(move |(index, tax)| (text, treatment, index, tax))
        })
        .collect();
    let number = |index: usize| i64::try_from(index + 1).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(taxes.iter().map(|tax| tax.0))),
        Arc::new(Int64Array::from_iter_values(taxes.iter().map(|tax| number(tax.2)))),
        Arc::new(StringArray::from_iter_values(taxes.iter().map(|tax| tax.1.category.code()))),
        Arc::new(decimals(taxes.iter().map(|tax| Some(tax.3.rate.units())), 7, 4)?),
        Arc::new(StringArray::from_iter_values(taxes.iter().map(|tax| &tax.3.name))),
        Arc::new(BooleanArray::from_iter(taxes.iter().map(|tax| Some(tax.3.is_compound)))),
        Arc::new(StringArray::from_iter(taxes.iter().map(|tax| tax.1.exemption_reason.as_deref()))),
    ];
    batch(statement(APPLIED_TAX)?, columns)
}

/// The treatments of rows of `applied_tax`. Rows of several documents or commits can repeat a treatment.
pub fn treatments(applied_tax: &[RecordBatch]) -> Result<TaxTreatments, Error> {
    let mut taxes: BTreeMap<(&str, i64), Row<'_>> = BTreeMap::new();
    for row in each(applied_tax) {
        taxes.insert((row.text("tax_treatment")?, row.number("tax_number")?), row);
    }
    let mut treatments = TaxTreatments::new();
    for ((text, _), row) in taxes {
        let TaxGroup { category, tax, exemption_reason } = tax_group_of(row)?;
        let new = || TaxTreatment { category, taxes: Vec::new(), exemption_reason };
        treatments.entry(text.to_owned()).or_insert_with(new).taxes.push(tax);
    }
    Ok(treatments)
}

/// The treatment of a line or an allowance.
pub fn treatment_of<'a>(row: Row<'_>, treatments: &'a TaxTreatments) -> Result<&'a TaxTreatment, Error> {
    treatments.get(row.text("tax_treatment")?).ok_or(Error::Internal("a line with an unknown tax treatment"))
}

/// The tax group of a row of `applied_tax` or `tax_breakdown`.
pub fn tax_group_of(row: Row<'_>) -> Result<TaxGroup, Error> {
    let code = row.text("tax_category")?;
    let found = TaxCategory::CODES.iter().find(|(one, _)| *one == code);
    Ok(TaxGroup {
        category: found.map_or(TaxCategory::OutOfScope, |(_, category)| *category),
        tax: TaxComponent {
            rate: row.decimal("tax_rate")?,
            name: row.text("tax_name")?.to_owned(),
            is_compound: row.flag("is_compound")?,
        },
        exemption_reason: row.optional_text("exemption_reason")?.map(str::to_owned),
    })
}
