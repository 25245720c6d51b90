//! `[[reservation]]` and `[[hourly_commitment]]`: commitments of an account for each hour, used or not.

use super::examples;
use super::keys;
use super::quantity::{In, Units};
use super::rule_parts::{expression, find_meter};
use super::rule_reader::RuleReader;
use super::table::{Table, Value};
use super::term_parts::{own_currency, validity};
use super::written_account::canonical_id;
use crate::model::commitment_discount::{Committed, Cover, Reservation};
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::money::{Price, Quantity};

/// The reservation from the keys that both kinds of tables have in common, and the table with the remaining keys.
struct Common<'a> {
    table: Table<'a>,
    reservation: Option<Reservation>,
}

pub(crate) fn read_reservation(table: Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<Reservation> {
    let Common { mut table, reservation } = common(table);
    let examples = table.tables("example", &keys::RESERVATION_EXAMPLE);
    let meter = meter(&mut table, meters, reader);
    let when = expression(&mut table, "when");
    let unit = meters.iter().find(|one| Some(&one.name) == meter.as_ref()).map(|one| one.unit.as_str());
    // If the meter is in GiB-hours, the reserved quantity for each hour is in GiB.
    let unit = unit.map(|unit| unit.strip_suffix("-hour").unwrap_or(unit)).unwrap_or_default();
    let units = Units::of_meter(unit);
    let quantity = table.require("quantity").and_then(|value| value.positive_quantity(&units, In::Priced));
    let unit_price = table.require("unit_price").and_then(|value| value.non_negative());
    table.finish();
    let committed = Committed::Quantity { quantity: quantity?, unit_price: unit_price? };
    let covers = vec![Cover { meter: meter?, when, unit_price: Price::ZERO }];
    let examples = examples::commitment_examples(examples, &covers, meters, reader);
    Some(Reservation { committed, covers, examples, ..reservation? })
}

pub(crate) fn read_commitment(table: Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<Reservation> {
    let Common { mut table, reservation } = common(table);
    let examples = table.tables("example", &keys::HOURLY_COMMITMENT_EXAMPLE);
    // The spent amount is counted as a quantity, which has nine decimal places.
    let amount = table.require("amount").and_then(|value| {
        let amount = Price::of_decimal(value.positive::<Quantity>()?);
        if amount.is_none() {
            value.too_large::<Price>();
        }
        amount
    });
    let listed = table.require("covers");
    let tables = listed.as_ref().and_then(|value| value.tables(&keys::COVER)).unwrap_or_default();
    if let Some(listed) = listed.filter(|_| tables.is_empty()) {
        let diagnostic = Diagnostic::error("rules::empty_list", "`covers` is an empty list");
        let hint = "list the covered usage, such as covers = [{ meter = \"instance\", unit_price = \"0.015\" }]";
        reader.problems.push(diagnostic.at(listed.place(), "empty").hint(hint));
    }
    let covers: Vec<Option<Cover>> = tables.into_iter().map(|table| cover(table, meters, reader)).collect();
    table.finish();
    let covers: Option<Vec<Cover>> = covers.into_iter().collect();
    let covers = covers.filter(|covers| !covers.is_empty())?;
    let examples = examples::commitment_examples(examples, &covers, meters, reader);
    Some(Reservation { committed: Committed::Amount(amount?), covers, examples, ..reservation? })
}

fn common(mut table: Table<'_>) -> Common<'_> {
    let id = table.require_text("id");
    let account = table.require_text("account").map(canonical_id);
    let project = table.string("project");
    let service = table.string("service");
    let sku = table.string("sku");
    let description = table.string("description");
    let currency = own_currency(&mut table);
    let validity = validity(&mut table, "valid_from", "valid_to");
    let reservation = id.zip(account).zip(currency).map(|((id, account), currency)| {
        let sku = sku.unwrap_or_else(|| id.value.clone());
        Reservation {
            service: service.unwrap_or_else(|| "Reservations".to_owned()),
            description: description.unwrap_or_else(|| sku.clone()),
            sku,
            id: id.value,
            account: account.value,
            project,
            committed: Committed::Amount(Price::ZERO),
            currency,
            covers: Vec::new(),
            validity,
            examples: Vec::new(),
            declared_at: id.place,
        }
    });
    Common { table, reservation }
}

fn cover(mut table: Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<Cover> {
    let meter = meter(&mut table, meters, reader);
    let when = expression(&mut table, "when");
    let unit_price = table.require("unit_price").as_ref().and_then(Value::positive);
    table.finish();
    Some(Cover { meter: meter?, when, unit_price: unit_price? })
}

/// The meter of the covered usage. Coverage is by the hour, so the window of the meter must divide an hour.
fn meter(table: &mut Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<String> {
    let name = table.require_text("meter")?;
    let meter = find_meter(&name, meters, reader)?;
    if meter.unique.is_some() {
        let message = format!("meter `{}` counts different values, which no commitment covers", meter.name);
        let diagnostic = Diagnostic::error("rules::covered_values", message);
        let diagnostic = diagnostic.at(name.place, "this meter").at(meter.declared_at.clone(), "counts values");
        reader.problems.push(diagnostic.hint("cover another meter, or include units with `free_units` in a rule"));
        return None;
    }
    if meter.signed {
        let message = format!("meter `{}` accepts negative records, which no commitment covers", meter.name);
        let diagnostic = Diagnostic::error("rules::covered_signed", message);
        let diagnostic = diagnostic.at(name.place, "this meter").at(meter.declared_at.clone(), "has `signed = true`");
        let hint = "cover another meter, or meter the negative records by a meter of their own";
        reader.problems.push(diagnostic.hint(hint));
        return None;
    }
    if !3_600u32.is_multiple_of(meter.window_seconds) {
        let message = format!("the `window` of meter `{}` does not divide an hour", meter.name);
        let diagnostic = Diagnostic::error("rules::hourly_window", message);
        let diagnostic =
            diagnostic.at(name.place, "coverage is by the hour").at(meter.declared_at.clone(), "this meter");
        reader.problems.push(diagnostic.hint("change the `window` of the meter to a part of an hour, such as \"1h\""));
        return None;
    }
    Some(name.value)
}
