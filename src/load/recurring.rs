//! `[[recurring]]`: fees that are charged by the day, with or without usage.

use jiff::civil::Date;

use super::examples::optional;
use super::instant::Month;
use super::keys;
use super::problems::Problems;
use super::quantity::{In, Units};
use super::rule_parts::{expression, find_meter};
use super::rule_reader::RuleReader;
use super::rules::{line_by, warn_without_example};
use super::table::{Table, Value};
use super::term_parts::{day, own_currency, validity};
use crate::model::diagnostic::Diagnostic;
use crate::model::meter::Meter;
use crate::model::money::Quantity;
use crate::model::period::day_number;
use crate::model::recurring::{Billed, FeeScope, RecurringExample, RecurringFee};
use crate::model::rule::PUBLIC;

/// The value of `per`, without the meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Account,
    Project,
    Resource,
}

const SCOPES: [(&str, Scope); 3] =
    [("account", Scope::Account), ("project", Scope::Project), ("resource", Scope::Resource)];

pub(crate) fn read(mut table: Table<'_>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<RecurringFee> {
    let id = table.require_text("id");
    let service = table.string("service");
    let sku = table.string("sku");
    let description = table.string("description");
    let card = table.string("card").unwrap_or_else(|| PUBLIC.to_owned());
    let scope = table.require("per").and_then(|value| value.choice(&SCOPES));
    let per = per(&mut table, scope, meters, reader);
    let accounts = table.texts("accounts").unwrap_or_default();
    let when = expression(&mut table, "when");
    let unit = unit(&mut table);
    let units = Units::of_meter(unit.as_deref().unwrap_or_default());
    let quantity = table.take("quantity");
    let quantity =
        quantity.map_or(Some(Quantity::from_integer(1)), |value| value.positive_quantity(&units, In::Priced));
    let unit_price = table.require("unit_price").and_then(|value| value.non_negative());
    let currency = own_currency(&mut table);
    let billed = billed(&mut table, scope);
    let validity = validity(&mut table, "valid_from", "valid_to");
    let examples = table.tables("example", &keys::RECURRING_EXAMPLE);
    if examples.is_empty() {
        warn_without_example("recurring fee", &table, id.as_ref(), reader);
    }
    table.finish();
    let examples = examples.into_iter().filter_map(|table| example(table, reader)).collect();
    let id = id?;
    let sku = sku.unwrap_or_else(|| id.value.clone());
    Some(RecurringFee {
        service: service.unwrap_or_else(|| "Fees".to_owned()),
        description: description.unwrap_or_else(|| sku.clone()),
        sku,
        id: id.value,
        card,
        per: per?,
        accounts: accounts.into_iter().map(|text| text.value).collect(),
        when,
        quantity: quantity?,
        unit: unit?,
        unit_price: unit_price?,
        currency: currency?,
        billed: billed?,
        validity,
        examples,
        declared_at: id.place,
    })
}

/// The scope of a fee. A fee for resources has a meter, which identifies the resources. A fee for accounts or projects
/// has no meter.
fn per(table: &mut Table<'_>, scope: Option<Scope>, meters: &[Meter], reader: &RuleReader<'_>) -> Option<FeeScope> {
    let meter = if scope == Some(Scope::Resource) { table.require_text("meter") } else { table.text("meter") };
    let names = table.texts("line_by");
    match scope? {
        Scope::Resource => {
            let meter = meter?;
            let found = find_meter(&meter, meters, reader);
            let line_by = names.map(|names| line_by(names, found, reader)).unwrap_or_default();
            Some(FeeScope::Resource { meter: meter.value, line_by })
        }
        scope => {
            if let Some(meter) = meter {
                let diagnostic = Diagnostic::error("rules::fee_meter", "`meter` is only for a fee of resources");
                let diagnostic = diagnostic.at(meter.place, "not with this `per`");
                reader.problems.push(diagnostic.hint("write per = \"resource\", or remove `meter`"));
            }
            Some(if scope == Scope::Account { FeeScope::Account } else { FeeScope::Project })
        }
    }
}

/// The unit of a whole month. A part of a month is charged in days.
fn unit(table: &mut Table<'_>) -> Option<String> {
    let Some(text) = table.text("unit") else { return Some("month".to_owned()) };
    if text.value != "day" {
        return Some(text.value);
    }
    let diagnostic = Diagnostic::error("rules::fee_unit", "`unit` is `day`, but `unit_price` is for a whole month");
    let diagnostic = diagnostic.at(text.place, "not the unit of a month");
    table.file.problems.push(diagnostic.hint("use the unit of a whole month, such as \"month\" or \"licence-month\""));
    None
}

fn billed(table: &mut Table<'_>, scope: Option<Scope>) -> Option<Billed> {
    let Some(value) = table.take("billed") else { return Some(Billed::InArrears) };
    let billed = value.choice(&Billed::ALL)?;
    if billed == Billed::InAdvance && scope == Some(Scope::Resource) {
        let message = "a fee of resources cannot be billed in advance, because future resources are not recorded yet";
        let diagnostic = Diagnostic::error("rules::fee_in_advance", message).at(value.place(), "not for resources");
        table
            .file
            .problems
            .push(diagnostic.hint("write billed = \"in_arrears\", or write per = \"account\" or \"project\""));
        return None;
    }
    Some(billed)
}

fn example(mut table: Table<'_>, reader: &RuleReader<'_>) -> Option<RecurringExample> {
    let declared_at = table.place();
    let name = table.require_text("name");
    let period = table.text("period");
    let month = period.as_ref().map(|period| (Month::parse(&period.value, reader.time_zone), period));
    if let Some((None, period)) = &month {
        let message = format!("`{}` is not a billing period, expected a year and a month", period.value);
        let diagnostic = Diagnostic::error("rules::bad_period", message).at(period.place.clone(), "not a month");
        reader.problems.push(diagnostic.hint("write a month such as \"2026-10\""));
    }
    let mut date = |key: &'static str| -> Result<Option<Date>, ()> {
        optional(table.take(key).as_ref(), |value: &Value<'_>| day(value))
    };
    let (from, to) = (date("from"), date("to"));
    let cost = table.take("cost");
    let net_amount = table.take("net_amount");
    if cost.is_none() && net_amount.is_none() {
        let diagnostic = Diagnostic::error("rules::example_without_result", "the example has no expected result");
        let hint = "add `cost`, the exact cost before rounding, or `net_amount`, the sum of the rounded lines";
        reader.problems.push(diagnostic.at(declared_at.clone(), "this example").hint(hint));
    }
    let has_result = cost.is_some() || net_amount.is_some();
    let cost = optional(cost.as_ref(), Value::non_negative);
    let net_amount = optional(net_amount.as_ref(), Value::non_negative);
    table.finish();
    let can_run = has_result && month.is_none_or(|(month, _)| month.is_some());
    can_run.then_some(RecurringExample {
        name: name?.value,
        period: period.map(|period| period.value),
        from: from.ok()?.map(day_number),
        to: to.ok()?.map(day_number),
        cost: cost.ok()?,
        net_amount: net_amount.ok()?,
        declared_at,
    })
}

/// Reports two fees with the same SKU, card and scope that an account owes at the same time. Fees with a condition are
/// not compared, because their conditions may select different accounts.
pub(crate) fn refuse_fee_overlap(fees: &[RecurringFee], problems: &Problems) {
    for (index, fee) in fees.iter().enumerate() {
        let at_one_time = |other: &RecurringFee| {
            let starts_before = |from: Option<Date>, to: Option<Date>| match (from, to) {
                (Some(from), Some(to)) => from < to,
                _ => true,
            };
            starts_before(fee.validity.from, other.validity.to) && starts_before(other.validity.from, fee.validity.to)
        };
        let of_one = |other: &RecurringFee| {
            let both = fee.accounts.is_empty()
                || other.accounts.is_empty()
                || fee.accounts.iter().any(|id| other.accounts.contains(id));
            both && fee.when.is_none() && other.when.is_none()
        };
        let is_alike = |other: &&RecurringFee| {
            (&other.sku, &other.card, &other.per) == (&fee.sku, &fee.card, &fee.per) && other.id != fee.id
        };
        let again = fees[..index].iter().filter(is_alike).find(|other| of_one(other) && at_one_time(other));
        if let Some(first) = again {
            let message =
                format!("recurring fees `{}` and `{}` both charge `{}` at the same time", first.id, fee.id, fee.sku);
            let diagnostic = Diagnostic::error("rules::fee_overlap", message)
                .at(fee.declared_at.clone(), "this fee")
                .at(first.declared_at.clone(), "and this fee");
            problems.push(
                diagnostic
                    .hint("end one with `valid_to` where the other starts, or give one its own `sku` or `accounts`"),
            );
        }
    }
}
