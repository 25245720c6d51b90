//! `[[fee]]`: a percentage of the amount of other lines.

use iso_currency::Currency;
use jiff::civil::Date;

use super::instant::Month;
use super::keys;
use super::quantity::Units;
use super::rule_parts::expression;
use super::rule_reader::RuleReader;
use super::rules::warn_without_example;
use super::table::{Table, Value};
use super::term_parts::{amount_of, day, own_currency, validity};
use super::tiers::read_tiers;
use super::written_account::INVOICE_PER;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::{Amount, Price, Quantity, places_of};
use crate::model::period::{BillingPeriod, day_number};
use crate::model::rule::{DEFAULT_PERIOD, PUBLIC, TierKind, TierPrice};
use crate::model::terms::{Fee, FeeBand, FeeBase, FeeExample, Validity};

pub(crate) fn read(mut table: Table<'_>, reader: &RuleReader<'_>) -> Option<Fee> {
    let id = table.require_text("id");
    let description = table.string("description");
    let service = table.string("service");
    let sku = table.string("sku");
    let card = table.string("card").unwrap_or_else(|| PUBLIC.to_owned());
    let per = table.require("per").and_then(|value| value.choice(&INVOICE_PER));
    let accounts = table.texts("accounts").unwrap_or_default();
    let when = expression(&mut table, "when");
    let base = table.require("base").and_then(|value| value.choice(&FeeBase::ALL));
    let currency = own_currency(&mut table);
    let bands =
        bands(&mut table, &Units::of_meter(currency.map(|currency| currency.code()).unwrap_or_default()), reader);
    let minimum_value = table.take("minimum");
    let currency = currency?;
    let minimum = minimum_value.as_ref().map(|value| amount_of(value, currency));
    let validity = whole_months(&mut table);
    let examples = table.tables("example", &keys::FEE_EXAMPLE);
    if examples.is_empty() {
        warn_without_example("fee", &table, id.as_ref(), reader);
    }
    table.finish();
    let examples = examples.into_iter().filter_map(|table| example(table, currency, reader)).collect();
    let id = id?;
    let sku = sku.unwrap_or_else(|| id.value.clone());
    Some(Fee {
        description: description.unwrap_or_else(|| sku.clone()),
        service: service.unwrap_or_else(|| "Fees".to_owned()),
        sku,
        id: id.value,
        card,
        per: per?,
        accounts: accounts.into_iter().map(|text| text.value).collect(),
        when,
        base: base?,
        bands: bands?,
        minimum: minimum.map_or(Some(None), |minimum| minimum.map(Some))?,
        currency,
        validity,
        examples,
        declared_at: id.place,
    })
}

/// The bands of a fee: one percentage, or graduated tiers of percentages.
fn bands(table: &mut Table<'_>, units: &Units<'_>, reader: &RuleReader<'_>) -> Option<Vec<FeeBand>> {
    let percent = table.take("percent");
    let tier = table.take("tier");
    match (percent, tier) {
        (Some(percent), None) => Some(vec![FeeBand { up_to: None, percent: percent_of(&percent)? }]),
        (None, Some(tier)) => {
            let tiers = read_tiers(&tier, TierKind::Graduated, units, units, reader)?;
            let mut bands = Vec::with_capacity(tiers.len());
            for one in &tiers {
                let up_to = one.up_to.map(|up_to| bound(up_to, &tier));
                if let TierPrice::Percent(percent) = one.price
                    && one.flat_fee.is_zero()
                    && one.max_amount.is_none()
                {
                    bands.push(FeeBand { up_to: up_to.map_or(Some(None), |up_to| up_to.map(Some))?, percent });
                }
            }
            if bands.len() < tiers.len() {
                let diagnostic = Diagnostic::error(
                    "rules::fee_tier",
                    "a tier of a fee needs `percent`, without another price or maximum",
                );
                let diagnostic = diagnostic.at(tier.place(), "these tiers");
                let hint = "write tiers such as tier = [{ up_to = \"10000\", percent = \"10\" }, { percent = \"7\" }]";
                reader.problems.push(diagnostic.hint(hint));
                return None;
            }
            Some(bands)
        }
        (Some(_), Some(tier)) => {
            let problem = Diagnostic::error("rules::two_prices", "the fee has both `percent` and `tier`");
            reader.problems.push(problem.at(tier.key_place(), "second price").hint("remove `percent` or `tier`"));
            None
        }
        (None, None) => {
            table.missing("percent");
            None
        }
    }
}

/// The bound of a band, which is an amount.
fn bound(up_to: Quantity, tiers: &Value<'_>) -> Option<Amount> {
    let amount = Amount::of_decimal(up_to);
    if amount.is_none() {
        let message = format!("a tier of the fee ends at {up_to}, expected an amount with at most 4 decimal places");
        let problem = Diagnostic::error(tiers.file.codes.bad_number, message).at(tiers.place(), "these tiers");
        tiers.file.problems.push(problem.hint("write `up_to` with the decimal places of the currency"));
    }
    amount
}

fn percent_of(value: &Value<'_>) -> Option<Price> {
    let percent: Price = value.positive()?;
    if percent > Price::from_integer(100) {
        let message = format!("the fee is {percent} percent, expected at most 100");
        let problem = Diagnostic::error(value.file.codes.bad_number, message).at(value.place(), "above 100");
        value.file.problems.push(problem);
        return None;
    }
    Some(percent)
}

/// The validity of a fee, in whole months, because the base of a fee is the amount of a whole month.
fn whole_months(table: &mut Table<'_>) -> Validity {
    for key in ["valid_from", "valid_to"] {
        let Some(value) = table.take(key) else { continue };
        let written = value.datetime().filter(|written| written.time.is_none()).map(|written| written.to_string());
        let date: Option<Date> = written.and_then(|written| written.parse().ok());
        if date.is_some_and(|date| date.day() != 1) {
            let message = format!(
                "`{key}` of the fee is inside of a month, but the base of a fee is the amount of a whole month"
            );
            let problem =
                Diagnostic::error("rules::fee_validity", message).at(value.place(), "not the first of a month");
            table.file.problems.push(problem.hint("use the first day of a month for `valid_from` and `valid_to`"));
        }
    }
    validity(table, "valid_from", "valid_to")
}

fn example(mut table: Table<'_>, currency: Currency, reader: &RuleReader<'_>) -> Option<FeeExample> {
    let declared_at = table.place();
    let name = table.require_text("name");
    let charges = table.require("charges").and_then(|value| value.non_negative::<Amount>());
    let net_amount = table.require("net_amount").and_then(|value| value.non_negative::<Amount>());
    let period = table.text("period");
    if let Some(period) = period.as_ref().filter(|period| Month::parse(&period.value, reader.time_zone).is_none()) {
        let message = format!("`{}` is not a billing period, expected a year and a month", period.value);
        let diagnostic = Diagnostic::error("rules::bad_period", message).at(period.place.clone(), "not a month");
        reader.problems.push(diagnostic.hint("write a month such as \"2026-10\""));
        return None;
    }
    let mut date = |key: &'static str| table.take(key).and_then(|value| day(&value));
    let (from, to) = (date("from"), date("to"));
    table.finish();
    let month_of = |from: Date| BillingPeriod::of(from).to_string();
    let period = period.map(|period| period.value).or_else(|| from.map(month_of));
    let places = places_of(currency);
    let rounded = |amount: Amount| amount.round_to(places);
    Some(FeeExample {
        name: name?.value,
        charges: rounded(charges?),
        period: period.unwrap_or_else(|| DEFAULT_PERIOD.to_owned()),
        from: from.map(day_number),
        to: to.map(day_number),
        net_amount: net_amount?,
        declared_at,
    })
}
