//! Converts cells of a `.slt` file to columns of Arrow, and columns to cells.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, ListArray, MapBuilder,
    StringArray, StringBuilder, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Int64Type, TimestampMicrosecondType, UInt64Type,
};
use conto::model::period::{date_of, day_number};
use conto::rows;
use jiff::Timestamp;

/// Parses cells into a column. An empty cell is null if the field is nullable; otherwise zero, false, the epoch or the
/// empty text.
pub(super) fn column(field: &Field, cells: &[&str]) -> Result<ArrayRef, String> {
    let wrong = |cell: &str| format!("`{cell}` is no {} for `{}`", field.data_type(), field.name());
    let or = |default: &'static str| cells.iter().map(move |cell| if cell.is_empty() { default } else { cell });
    let is_null = |cell: &str| cell == "NULL" || (cell.is_empty() && field.is_nullable());
    macro_rules! parsed {
        ($default:literal, $parse:expr) => {
            cells
                .iter()
                .zip(or($default))
                .map(|(raw, cell)| match is_null(raw) {
                    true => Ok(None),
                    false => $parse(cell).map(Some).ok_or_else(|| wrong(cell)),
                })
                .collect::<Result<Vec<_>, String>>()?
        };
    }
    Ok(match field.data_type() {
        DataType::UInt64 => Arc::new(UInt64Array::from(parsed!("0", |cell: &str| cell.parse().ok()))),
        DataType::Int64 => Arc::new(Int64Array::from(parsed!("0", whole))),
        DataType::Boolean => Arc::new(BooleanArray::from(parsed!("false", |cell: &str| cell.parse().ok()))),
        DataType::Utf8 => Arc::new(StringArray::from(parsed!("", |cell: &str| Some(cell.to_owned())))),
        DataType::Date32 => Arc::new(Date32Array::from(parsed!("1970-01-01", day))),
        DataType::Timestamp(_, _) => Arc::new(rows::timestamps(parsed!("1970-01-01T00:00:00Z", instant))),
        DataType::Decimal128(precision, scale) => {
            let values = Decimal128Array::from(parsed!("0", |cell: &str| decimal(cell, *scale)));
            Arc::new(values.with_precision_and_scale(*precision, *scale).map_err(|error| error.to_string())?)
        }
        DataType::List(item) => lists(item, cells)?,
        DataType::Map(_, _) => {
            let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
            for cell in cells {
                for pair in cell.split("; ").filter(|pair| !pair.is_empty()) {
                    let (name, value) = pair.split_once('=').ok_or_else(|| wrong(cell))?;
                    maps.keys().append_value(name);
                    maps.values().append_value(value);
                }
                maps.append(true).map_err(|error| error.to_string())?;
            }
            Arc::new(maps.finish())
        }
        other => return Err(format!("no cell is known for {other}")),
    })
}

/// Parses lists of structs: ` | ` separates the structs of a cell, a space their values.
fn lists(item: &Arc<Field>, cells: &[&str]) -> Result<ArrayRef, String> {
    let DataType::Struct(fields) = item.data_type() else { return Err(format!("no cell is known for {item}")) };
    let structs = |cell: &&str| cell.split(" | ").filter(|part| !part.is_empty()).count();
    let lengths = OffsetBuffer::from_lengths(cells.iter().map(structs));
    let all = cells.iter().flat_map(|cell| cell.split(" | ")).filter(|part| !part.is_empty());
    let values: Vec<Vec<&str>> = all.map(|part| part.split(' ').collect()).collect();
    let columns: Result<Vec<ArrayRef>, String> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let cells = values.iter().map(|values| values.get(index).copied().unwrap_or_default());
            column(field, &cells.collect::<Vec<_>>())
        })
        .collect();
    let values = StructArray::try_new(fields.clone(), columns?, None).map_err(|error| error.to_string())?;
    let lists = ListArray::try_new(Arc::clone(item), lengths, Arc::new(values), None);
    Ok(Arc::new(lists.map_err(|error| error.to_string())?))
}

pub(super) fn day(cell: &str) -> Option<i32> {
    cell.parse().ok().map(day_number)
}

pub(super) fn instant(cell: &str) -> Option<i64> {
    cell.parse::<Timestamp>().ok().map(|instant| instant.as_microsecond())
}

/// Parses a whole number, an instant, or a span such as `90s`, `30m`, `1h` or `62d`. Instants and spans are in
/// microseconds.
pub(super) fn whole(cell: &str) -> Option<i64> {
    let seconds = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let span = seconds.iter().find_map(|(unit, seconds)| {
        let count: i64 = cell.strip_suffix(unit)?.parse().ok()?;
        Some(count * seconds * 1_000_000)
    });
    cell.parse().ok().or(span).or_else(|| instant(cell))
}

/// Parses a decimal as units of the last place; `None` if the cell has more places.
pub(super) fn decimal(cell: &str, scale: i8) -> Option<i128> {
    let (whole, fraction) = cell.split_once('.').unwrap_or((cell, ""));
    let scale = usize::try_from(scale).ok()?;
    (fraction.len() <= scale).then(|| format!("{whole}{fraction:0<scale$}").parse().ok()).flatten()
}

/// A cell in the format of a `.slt` file: instants as RFC 3339, decimals without trailing zeros.
pub(super) fn shown(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Date32 => date_of(column.as_primitive::<Date32Type>().value(row)).to_string(),
        DataType::Timestamp(_, _) => {
            let microseconds = column.as_primitive::<TimestampMicrosecondType>().value(row);
            Timestamp::from_microsecond(microseconds).unwrap().to_string()
        }
        DataType::Decimal128(_, _) => trimmed(&column.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(_, _) => trimmed(&column.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Map(_, _) => {
            let entries = column.as_map().value(row);
            let of = |index: usize, row: usize| shown(entries.column(index), row);
            let pairs = (0..entries.len()).map(|row| format!("{}={}", of(0, row), of(1, row)));
            text(&pairs.collect::<Vec<_>>().join("; "))
        }
        DataType::List(_) => {
            let values = column.as_list::<i32>().value(row);
            let structs = values.as_struct();
            let one =
                |row| structs.columns().iter().map(move |column| shown(column, row)).collect::<Vec<_>>().join(" ");
            format!("[{}]", (0..structs.len()).map(one).collect::<Vec<_>>().join(" | "))
        }
        other => panic!("no form is known for {other}"),
    }
}

/// A text, or `(empty)` for the empty text, which would be invisible between the columns.
fn text(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { text.to_owned() }
}

fn trimmed(decimal: &str) -> String {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => decimal.to_owned(),
    }
}
