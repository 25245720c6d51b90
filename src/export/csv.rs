//! CSV that a spreadsheet opens safely: RFC 4180, UTF-8, ISO dates, plain decimals.
//!
//! Tenants choose the names of projects and labels, so a text that begins like a formula gets an apostrophe as prefix.
//! A text that begins with an apostrophe gets another one. Therefore the first apostrophe of a cell is never part of
//! the text. Numbers never get a prefix.
//!
//! Ids join the rows of several files and systems. An id that begins like a formula gets a prefix only if a spreadsheet
//! could call a function or open a file with it. This needs a bracket, a quote, `|`, `!` or another such character.

use std::io::Write;

use arrow::array::{Array, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, SchemaRef};

use crate::error::Error;
use crate::model::money::{places_of_code, write_decimal};
use crate::model::period::date_of;

/// The size of the write buffer.
const BUFFER_BYTES: usize = 128 * 1024;

/// The number of decimal places of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// The decimal places of the currency, to which the amounts are already rounded.
    Currency,
    /// All decimal places of the value, and at least this number.
    AtLeast(usize),
}

/// Writes rows with a header. `places` contains the decimal places of the named columns; other columns have as many as
/// their values need. The currency is that of the `currency` column, if the table has one.
pub fn write(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    currency_exponent: u32,
    places: &[(&str, Places)],
) -> Result<Vec<u8>, Error> {
    let mut table = Table::begin(Vec::new(), schema, currency_exponent, places)?;
    batches.iter().try_for_each(|batch| table.rows(batch))?;
    table.finish()
}

/// A CSV table that is written batch by batch below its header.
#[derive(Debug)]
pub struct Table<W: Write> {
    writer: ::csv::Writer<W>,
    /// The decimal places of each column.
    places: Vec<Places>,
    /// Whether each column contains ids.
    are_ids: Vec<bool>,
    currency_exponent: u32,
}

impl<W: Write> Table<W> {
    pub fn begin(out: W, schema: &SchemaRef, currency_exponent: u32, places: &[(&str, Places)]) -> Result<Self, Error> {
        let mut writer = ::csv::WriterBuilder::new()
            .terminator(::csv::Terminator::CRLF)
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(out);
        let names = || schema.fields().iter().map(|field| field.name());
        writer.write_record(names()).map_err(failed)?;
        let of_column = |name: &String| places.iter().find(|(column, _)| column == name).map(|(_, places)| *places);
        let places = names().map(|name| of_column(name).unwrap_or(Places::AtLeast(0))).collect();
        let are_ids = names().map(|name| name.ends_with("_id")).collect();
        Ok(Self { writer, places, are_ids, currency_exponent })
    }

    pub fn rows(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let currencies = batch.column_by_name("currency").and_then(|column| column.as_string_opt::<i32>());
        let mut columns: Vec<Cells<'_>> =
            batch.columns().iter().map(|column| Cells::of(column)).collect::<Result<_, _>>()?;
        let (mut currency, mut currency_exponent) = ("", self.currency_exponent);
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            if let Some(code) = currencies.map(|codes| codes.value(row)).filter(|code| *code != currency) {
                (currency, currency_exponent) = (code, places_of_code(code));
            }
            for (cells, (places, is_id)) in columns.iter_mut().zip(self.places.iter().zip(&self.are_ids)) {
                let least_places = match places {
                    Places::Currency => currency_exponent as usize,
                    Places::AtLeast(places) => *places,
                };
                self.writer.write_field(cells.show(row, least_places, *is_id, &mut cell)).map_err(failed)?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<W, Error> {
        let unwritten = |error: ::csv::IntoInnerError<_>| Error::Document {
            what: "CSV".to_owned(),
            source: Box::new(std::io::Error::from(error.error().kind())),
        };
        self.writer.into_inner().map_err(unwritten)
    }
}

fn failed(source: ::csv::Error) -> Error {
    Error::Document { what: "CSV".to_owned(), source: Box::new(source) }
}

/// The values of a column of a supported type.
enum Cells<'b> {
    Text(&'b StringArray),
    Number(&'b Int64Array),
    Flag(&'b BooleanArray),
    /// The days, and the last day with its text. Rows are sorted by date, so the text is often used again.
    Day(&'b Date32Array, Option<i32>, String),
    Decimal(&'b Decimal128Array, usize),
}

impl<'b> Cells<'b> {
    fn of(column: &'b dyn Array) -> Result<Self, Error> {
        let scale = |scale: i8| usize::try_from(scale).ok();
        let cells = match column.data_type() {
            DataType::Utf8 => column.as_string_opt().map(Self::Text),
            DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(Self::Number),
            DataType::Boolean => column.as_boolean_opt().map(Self::Flag),
            DataType::Date32 => {
                column.as_primitive_opt::<Date32Type>().map(|days| Self::Day(days, None, String::new()))
            }
            DataType::Decimal128(_, places) => {
                column.as_primitive_opt::<Decimal128Type>().zip(scale(*places)).map(|of| Self::Decimal(of.0, of.1))
            }
            _ => None,
        };
        cells.ok_or(Error::Internal("a CSV column of an unsupported type"))
    }

    /// The text of a row, which may be written to `cell`. The text of a missing value is empty.
    fn show<'a>(&'a mut self, row: usize, least_places: usize, is_id: bool, cell: &'a mut String) -> &'a str {
        cell.clear();
        match self {
            Self::Text(texts) if texts.is_valid(row) => return guarded(texts.value(row), is_id, cell),
            Self::Number(numbers) if numbers.is_valid(row) => {
                cell.push_str(itoa::Buffer::new().format(numbers.value(row)));
            }
            Self::Flag(flags) if flags.is_valid(row) => {
                cell.push_str(if flags.value(row) { "true" } else { "false" });
            }
            Self::Day(days, last, text) if days.is_valid(row) => {
                let day = days.value(row);
                if last.replace(day) != Some(day) {
                    *text = date_of(day).to_string();
                }
                return text;
            }
            Self::Decimal(numbers, scale) if numbers.is_valid(row) => {
                write_decimal(numbers.value(row), *scale, least_places, cell);
            }
            _ => {}
        }
        cell
    }
}

/// The text, with an apostrophe as prefix if a spreadsheet would interpret it as a formula. A text that begins with an
/// apostrophe also gets the prefix.
fn guarded<'a>(text: &'a str, is_id: bool, cell: &'a mut String) -> &'a str {
    const DANGEROUS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠'];
    let is_harmless = |character: char| character.is_alphanumeric() || "-_.:/@+=~".contains(character);
    if !text.starts_with('\'') && (!text.starts_with(DANGEROUS) || is_id && text.chars().all(is_harmless)) {
        return text;
    }
    cell.extend(["'", text]);
    cell
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn ids_are_written_as_they_are_unless_a_spreadsheet_could_call_a_function() {
        let mut cell = String::new();
        let mut shown = |text: &str, is_id: bool| {
            cell.clear();
            guarded(text, is_id, &mut cell).to_owned()
        };
        for id in ["-vm-1", "+49/eu", "@team", "=", "-7", "p-1", "é~1", "a'b", "A=(b)"] {
            assert_eq!(shown(id, true), id);
        }
        // Functions, another program, another file, and an external reference of LibreOffice.
        for id in [
            "=cmd|'/C calc'!A0",
            "=HYPERLINK(\"http://x\")",
            "@SUM(A1)",
            "=[x.xls]A!B1",
            "=#x",
            "-1 2",
            "\tx",
            "＝x",
            "'x",
        ] {
            assert_eq!(shown(id, true), format!("'{id}"));
        }
        for (text, expected) in [("-vm-1", "'-vm-1"), ("'x", "''x"), ("x'", "x'")] {
            assert_eq!(shown(text, false), expected);
        }
    }

    #[test]
    fn texts_that_look_like_formulas_get_an_apostrophe_and_numbers_never() {
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
}
