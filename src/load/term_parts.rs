//! Readers for several kinds of contract terms: amounts, currencies and dates.

use crate::load::table::Table;
use crate::load::table::Value;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::Amount;
use crate::model::money::places_of;
use crate::model::terms::Validity;
use iso_currency::Currency;
use jiff::civil::Date;

/// An amount of more than zero, with at most the decimal places of its currency.
pub(crate) fn amount_of(value: &Value<'_>, currency: Currency) -> Option<Amount> {
    let amount: Amount = value.positive()?;
    let places = places_of(currency);
    if amount.round_to(places) != amount {
        let code = currency.code();
        let message = format!("`{}` is {amount}, expected at most {places} decimal places in {code}", value.name);
        let problem = Diagnostic::error(value.file.codes.bad_number, message).at(value.place(), "too many places");
        value.file.problems.push(problem);
        return None;
    }
    Some(amount)
}

/// The `currency` of a table, or else of its file.
pub(crate) fn own_currency(table: &mut Table<'_>) -> Option<Currency> {
    let Some(text) = table.text("currency") else { return table.file.currency };
    let found = Currency::from_code(&text.value).filter(|currency| currency.exponent().is_some());
    if found.is_none() {
        let message = format!("`{}` is not a currency of ISO 4217 for payments", text.value);
        let problem = Diagnostic::error("rules::unknown_currency", message).at(text.place, "not a currency");
        table.file.problems.push(problem.hint("use a code of three capital letters, such as `EUR`"));
    }
    found
}

/// The validity of a contract term, in dates.
pub(crate) fn validity(table: &mut Table<'_>, from_key: &'static str, to_key: &'static str) -> Validity {
    let from = table.take(from_key).and_then(|value| Some((day(&value)?, value.place())));
    let to = table.take(to_key).and_then(|value| Some((day(&value)?, value.place())));
    if let (Some((from, from_place)), Some((to, to_place))) = (&from, &to)
        && from >= to
    {
        let message = format!("`{to_key}` is not after `{from_key}`");
        let problem = Diagnostic::error(table.file.codes.empty_validity, message)
            .at(to_place.clone(), "ends here")
            .at(from_place.clone(), "begins here");
        table.file.problems.push(problem.hint(format!("`{to_key}` is exclusive: for all of 2026, write 2027-01-01")));
    }
    Validity { from: from.map(|(day, _)| day), to: to.map(|(day, _)| day) }
}

pub(crate) fn day(value: &Value<'_>) -> Option<Date> {
    let written = value.datetime().filter(|written| written.time.is_none()).map(|written| written.to_string());
    let date = written.and_then(|written| written.parse().ok());
    if date.is_none() {
        value.refuse("a date without a time, such as 2026-10-01");
    }
    date
}
