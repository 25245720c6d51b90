//! `[[charge]]`: amounts that an account or a project owes or gets back once.

use iso_currency::Currency;

use super::problems::Problems;
use super::table::{Table, Text, Value};
use super::term_parts::{day, own_currency};
use super::written_account::canonical_id;
use crate::model::diagnostic::{Diagnostic, Place, closest};
use crate::model::money::{DecimalNumber, Price, Quantity, places_of};
use crate::model::one_off_charge::{ChargePayer, OneOffCharge};
use crate::model::terms::TaxRule;

/// The price of a charge: quantity, unit and price of one unit. An amount has no unit.
struct ChargePrice {
    quantity: Quantity,
    unit: String,
    unit_price: Price,
}

pub(crate) fn read(mut table: Table<'_>) -> Option<OneOffCharge> {
    let declared_at = table.place();
    let id = table.require_text("id");
    let date = table.require("date");
    let payer = payer(&mut table);
    let service = table.string("service");
    let sku = table.string("sku");
    let description = table.string("description");
    let currency = own_currency(&mut table);
    let price = price(&mut table, currency);
    let tax = table.text("tax").map(|tax| (tax.value, tax.place));
    let reason = table.string("reason");
    let approved_by = table.string("approved_by");
    if reason.is_none() && price.as_ref().is_some_and(|price| price.quantity.is_negative()) {
        let diagnostic = Diagnostic::error("rules::charge_without_reason", "a negative charge needs a `reason`");
        let hint = "add `reason = …`, which the invoice shows to the customer";
        table.file.problems.push(diagnostic.at(declared_at.clone(), "`reason` is required").hint(hint));
    }
    table.finish();
    let (id, date, price) = (id?, date?, price?);
    let (payer, payer_at) = payer?;
    let sku = sku.unwrap_or_else(|| id.value.clone());
    Some(OneOffCharge {
        date: day(&date)?,
        dated_at: date.place(),
        payer,
        payer_at,
        service: service.unwrap_or_else(|| "Fees".to_owned()),
        description: description.unwrap_or_else(|| sku.clone()),
        sku,
        id: id.value,
        quantity: price.quantity,
        unit: price.unit,
        unit_price: price.unit_price,
        currency: currency?,
        tax,
        reason,
        approved_by,
        declared_at,
    })
}

/// Reports charges that name a tax that does not exist.
pub(crate) fn refuse_unknown_taxes(charges: &[OneOffCharge], taxes: &[TaxRule], problems: &Problems) {
    for charge in charges {
        let Some((id, place)) = &charge.tax else { continue };
        if taxes.iter().any(|tax| tax.id == *id) {
            continue;
        }
        let message = format!("the charge `{}` names the tax `{id}`, which does not exist", charge.id);
        let hint = match closest(id, taxes.iter().map(|tax| tax.id.as_str())) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "add a `[[tax]]` with this id, or remove the key".to_owned(),
        };
        let diagnostic = Diagnostic::error("rules::charge_unknown_tax", message);
        problems.push(diagnostic.at(place.clone(), "no such tax").hint(hint));
    }
}

/// The account or the project of a charge. Exactly one of them is required.
fn payer(table: &mut Table<'_>) -> Option<(ChargePayer, Place)> {
    let account = table.take("account");
    let project = table.take("project");
    let id = |value: &Value<'_>| value.text().map(canonical_id);
    match (account, project) {
        (Some(account), None) => id(&account).map(|Text { value, place }| (ChargePayer::Account(value), place)),
        (None, Some(project)) => id(&project).map(|Text { value, place }| (ChargePayer::Project(value), place)),
        (None, None) => {
            let diagnostic = Diagnostic::error("rules::charge_payer", "the charge has neither `account` nor `project`");
            let hint = "add `account = …`, or `project = …` for the account of the project";
            table.file.problems.push(diagnostic.at(table.place(), "no payer").hint(hint));
            None
        }
        (Some(_), Some(project)) => {
            let diagnostic = Diagnostic::error("rules::charge_payer", "the charge has both `account` and `project`");
            let diagnostic = diagnostic.at(project.key_place(), "second payer");
            table.file.problems.push(diagnostic.hint("remove one: the account of a project pays for the project"));
            None
        }
    }
}

/// The price of a charge: `unit` and `unit_price` with a `quantity`, or an `amount`.
fn price(table: &mut Table<'_>, currency: Option<Currency>) -> Option<ChargePrice> {
    let quantity = table.take("quantity");
    let unit = table.take("unit");
    let unit_price = table.take("unit_price");
    let amount = table.take("amount");
    let refuse = |value: &Value<'_>, code, message: &str, label, hint| {
        value.file.problems.push(Diagnostic::error(code, message).at(value.key_place(), label).hint(hint));
    };
    match (unit_price, amount) {
        (Some(unit_price), None) => {
            if unit.is_none() {
                table.missing("unit");
            }
            let quantity = match quantity {
                Some(value) => not_zero(&value, value.decimal()?)?,
                None => Quantity::from_integer(1),
            };
            let unit_price = unit_price.decimal().and_then(|price: Price| {
                let hint = "write a positive `unit_price` and a negative `quantity` for a compensation";
                if price.is_negative() {
                    let message = format!("`unit_price` is {price}, expected zero or more");
                    let diagnostic = Diagnostic::error("rules::bad_number", message);
                    unit_price.file.problems.push(diagnostic.at(unit_price.place(), "negative").hint(hint));
                    return None;
                }
                Some(price)
            });
            Some(ChargePrice { quantity, unit: unit?.text()?.value, unit_price: unit_price? })
        }
        (None, Some(amount)) => {
            if let Some(other) = quantity.or(unit) {
                let hint = "write `unit_price` instead of `amount`, or remove `quantity` and `unit`";
                let message = format!("`{}` is only for a charge with `unit_price`", other.name);
                refuse(&other, "rules::charge_amount", &message, "not with `amount`", hint);
            }
            let value: Price = not_zero(&amount, amount.decimal()?)?;
            let places = places_of(currency?);
            if value.round_to(places) != value {
                let code = currency?.code();
                let message = format!("`amount` is {value}, expected at most {places} decimal places in {code}");
                let diagnostic = Diagnostic::error("rules::bad_number", message);
                amount.file.problems.push(diagnostic.at(amount.place(), "too many places"));
                return None;
            }
            let sign = if value.is_negative() { -1 } else { 1 };
            let unit_price = value.abs();
            Some(ChargePrice { quantity: Quantity::from_integer(sign), unit: String::new(), unit_price })
        }
        (None, None) => {
            let diagnostic = Diagnostic::error("rules::no_price", "the charge has no price");
            let hint = "add `amount = …`, or `quantity = …`, `unit = …` and `unit_price = …`";
            table.file.problems.push(diagnostic.at(table.place(), "no price").hint(hint));
            None
        }
        (Some(_), Some(amount)) => {
            let message = "the charge has both `unit_price` and `amount`";
            refuse(&amount, "rules::two_prices", message, "second price", "remove one of them");
            None
        }
    }
}

/// The number, unless the number is zero.
fn not_zero<N: DecimalNumber>(value: &Value<'_>, number: N) -> Option<N> {
    if number.to_units() == 0 {
        let message = format!("`{}` is zero, expected a positive or negative number", value.name);
        let hint = "remove the charge, or write `unit_price = \"0\"` for a charge that costs nothing";
        value.file.problems.push(Diagnostic::error("rules::bad_number", message).at(value.place(), "zero").hint(hint));
        return None;
    }
    Some(number)
}
