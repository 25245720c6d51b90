//! Conversion of invoice lines to the columns of `invoice_line`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};

use crate::error::Error;
use crate::invoicing::line::Line;
use crate::model::money::DecimalNumber;
use crate::model::tax::TaxTreatment;
use crate::rows;

/// The number of a row in its document, counted from one.
pub(super) fn position(index: usize) -> i64 {
    i64::try_from(index + 1).unwrap_or(i64::MAX)
}

pub(super) fn texts<T>(rows: &[T], pick: impl Fn(&T) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
}

pub(super) fn optional_texts<T>(rows: &[T], pick: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(pick)))
}

pub(super) fn numbers<T>(rows: &[T], pick: impl Fn(&T) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(pick)))
}

pub(super) fn days<T>(rows: &[T], pick: impl Fn(&T) -> Option<i32>) -> ArrayRef {
    Arc::new(Date32Array::from_iter(rows.iter().map(pick)))
}

pub(super) fn decimals<T, N: DecimalNumber>(
    rows: &[T],
    precision: u8,
    pick: impl Fn(&T) -> Option<N>,
) -> Result<ArrayRef, Error> {
    let scale =
        i8::try_from(N::PLACES).map_err(|_| Error::Internal("a decimal scale that does not fit into 8 bits"))?;
    let units = rows.iter().map(|row| pick(row).map(DecimalNumber::to_units));
    Ok(Arc::new(rows::decimals(units, precision, scale)?))
}

/// The document columns of a line.
#[derive(Clone, Copy)]
pub(super) struct DocumentKey<'a> {
    pub(super) number: &'a str,
    pub(super) account_id: &'a str,
    pub(super) currency: &'a str,
}

/// The columns of `invoice_line`. Each line is given with its document and its index in the document.
pub(super) fn line_columns(lines: &[(DocumentKey<'_>, usize, &Line)]) -> Result<Vec<ArrayRef>, Error> {
    let columns = vec![
        texts(lines, |row| row.0.number),
        numbers(lines, |row| position(row.1)),
        texts(lines, |row| row.0.account_id),
        optional_texts(lines, |row| row.2.project_id.as_deref()),
        texts(lines, |row| row.2.charge_category.name()),
        texts(lines, |row| &row.2.service),
        texts(lines, |row| &row.2.component),
        texts(lines, |row| &row.2.sku),
        texts(lines, |row| &row.2.description),
        texts(lines, |row| &row.2.line_by),
        texts(lines, |row| &row.2.charge_kind),
        optional_texts(lines, |row| row.2.term_id.as_deref()),
        decimals(lines, 28, |row| Some(row.2.tier_start))?,
        days(lines, |row| Some(row.2.charge_period_start)),
        days(lines, |row| Some(row.2.charge_period_end)),
        decimals(lines, 38, |row| Some(row.2.quantity))?,
        texts(lines, |row| &row.2.unit),
        decimals(lines, 28, |row| Some(row.2.unit_price))?,
        decimals(lines, 28, |row| Some(row.2.unit_price_per))?,
        texts(lines, |row| row.2.price_currency.map_or(row.0.currency, |currency| currency.code())),
        decimals(lines, 28, |row| Some(row.2.contracted_unit_price))?,
        decimals(lines, 38, |row| Some(row.2.contracted_cost))?,
        decimals(lines, 28, |row| Some(row.2.net_amount))?,
        texts(lines, |row| row.0.currency),
        treatment_texts(lines, |row| &row.2.tax),
    ];
    Ok(columns)
}

/// The column `tax_treatment`.
pub(super) fn treatment_texts<T>(rows: &[T], pick: impl Fn(&T) -> &TaxTreatment) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|row| pick(row).text())))
}
