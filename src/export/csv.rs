//! Rows as CSV that a spreadsheet opens safely: RFC 4180, UTF-8, ISO dates, plain decimals.
//!
//! A text that begins like a formula gets an apostrophe in front, because a tenant chooses the names of projects and
//! labels. A number never does.

use arrow::array::{Array, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};

use crate::period::date_of;
use crate::pipeline::Error;

/// How many places a decimal column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Exactly the currency's; the amounts are rounded to it already.
    Currency,
    /// As many as the value needs, but at least so many.
    AtLeast(usize),
}

/// Writes rows with a header. `places` says how the columns with these names show decimals; others show what they need.
/// The currency is that of the row's own column, if it has one.
pub fn write(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    currency_exponent: u32,
    places: &[(&str, Places)],
) -> Result<Vec<u8>, Error> {
    let failed = |source: ::csv::Error| Error::Document { what: "CSV".to_owned(), source: Box::new(source) };
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(schema.fields().iter().map(|field| field.name())).map_err(failed)?;
    for batch in batches {
        let currencies =
            batch.column_by_name("currency").and_then(|column| column.as_any().downcast_ref::<StringArray>());
        for row in 0..batch.num_rows() {
            let of_row = currencies.and_then(|codes| iso_currency::Currency::from_code(codes.value(row))?.exponent());
            let currency_exponent = of_row.map_or(currency_exponent, u32::from);
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let shown =
                    places.iter().find(|(name, _)| name == field.name()).map_or(Places::AtLeast(0), |known| known.1);
                writer.write_field(cell(column, row, currency_exponent, shown)?).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error::Document { what: "CSV".to_owned(), source: Box::new(error.into_error()) })
}

fn cell(column: &dyn Array, row: usize, currency_exponent: u32, places: Places) -> Result<String, Error> {
    if column.is_null(row) {
        return Ok(String::new());
    }
    let values = column.as_any();
    let unknown = || Error::Internal("a CSV column of a type that has no form");
    match column.data_type() {
        DataType::Utf8 => {
            values.downcast_ref::<StringArray>().map(|texts| guarded(texts.value(row))).ok_or_else(unknown)
        }
        DataType::Int64 => {
            values.downcast_ref::<Int64Array>().map(|numbers| numbers.value(row).to_string()).ok_or_else(unknown)
        }
        DataType::Date32 => {
            values.downcast_ref::<Date32Array>().map(|days| date_of(days.value(row)).to_string()).ok_or_else(unknown)
        }
        DataType::Decimal128(_, scale) => {
            let units =
                values.downcast_ref::<Decimal128Array>().map(|numbers| numbers.value(row)).ok_or_else(unknown)?;
            let scale = usize::try_from(*scale).map_err(|_| unknown())?;
            Ok(decimal(
                units,
                scale,
                match places {
                    Places::Currency => currency_exponent as usize,
                    Places::AtLeast(places) => places,
                },
            ))
        }
        _ => Err(unknown()),
    }
}

/// Plain notation without trailing zeros beyond the least number of places. No digit that is not zero is ever left out.
pub fn decimal(units: i128, scale: usize, least_places: usize) -> String {
    let digits = format!("{:0width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let mut fraction = fraction.trim_end_matches('0').to_owned();
    while fraction.len() < least_places {
        fraction.push('0');
    }
    let sign = if units < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The text with an apostrophe in front where a spreadsheet would take it for a formula.
fn guarded(text: &str) -> String {
    const DANGEROUS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠'];
    if text.starts_with(DANGEROUS) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn text_is_guarded_and_numbers_never() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("net_amount", DataType::Decimal128(28, 4), false),
        ]));
        let names = StringArray::from(vec![Some("=1+1"), Some("a, \"b\""), Some("-x"), Some("＝x"), None]);
        let amounts =
            Decimal128Array::from(vec![-125_000, 0, 5, 12_3400, 10_000]).with_precision_and_scale(28, 4).unwrap();
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(names), Arc::new(amounts)]).unwrap();
        let bytes = write(&schema, &[batch], 2, &[("net_amount", Places::Currency)]).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "name,net_amount\r\n'=1+1,-12.50\r\n\"a, \"\"b\"\"\",0.00\r\n'-x,0.0005\r\n'＝x,12.34\r\n,1.00\r\n"
        );
    }

    #[test]
    fn decimals_are_plain() {
        assert_eq!(decimal(1_234_500_000, 9, 0), "1.2345");
        assert_eq!(decimal(-5, 18, 2), "-0.000000000000000005");
        assert_eq!(decimal(0, 9, 0), "0");
        assert_eq!(decimal(7_000_000_000, 9, 2), "7.00");
    }
}
