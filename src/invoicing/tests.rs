//! Property tests: documents with any lines, discounts, credits, taxes and currencies obey EN 16931.

use std::collections::BTreeMap;

use iso_currency::Currency;
use proptest::prelude::*;

use super::CHECKS;
use super::document::Document;
use super::exchange_rate::ExchangeRate;
use super::line::{ChargeCategory, Line};
use crate::invoicing::totals::{AppliedCredit, AppliedDiscount, AppliedValue, InvoiceTotals};
use crate::model::money::{self, Amount, Cost, Percent};
use crate::model::tax::{TaxComponent, TaxTreatment};
use crate::model::terms::{Conversion, TaxCategory};
use crate::query::{Parameters, Session};
use crate::rows;

/// The checks of single documents. The documents of these tests have neither credit balances nor usage, so the checks
/// of both are left out.
fn checks() -> impl Iterator<Item = &'static str> {
    let of_others = [
        "invoicing/checks/credit_balances_add_up",
        "invoicing/checks/rated_cost_is_invoiced_once",
        "invoicing/checks/shared_amounts_add_up",
    ];
    CHECKS.into_iter().filter(move |check| !of_others.contains(check))
}

/// A treatment with one tax; the rate is in ten thousandths of a percent.
fn one(category: TaxCategory, rate: i128) -> TaxTreatment {
    let reason = category.default_exemption_reason().map(str::to_owned);
    TaxTreatment::of_one(category, Percent::from_units(rate).unwrap(), "VAT", reason)
}

/// A treatment with GST of 5 % and another tax.
fn with_gst(name: &str, rate: i128, is_compound: bool) -> TaxTreatment {
    let gst = TaxComponent { rate: Percent::from_units(50_000).unwrap(), name: "GST".to_owned(), is_compound: false };
    let other = TaxComponent { rate: Percent::from_units(rate).unwrap(), name: name.to_owned(), is_compound };
    TaxTreatment { category: TaxCategory::Standard, taxes: vec![gst, other], exemption_reason: None }
}

fn treatments() -> [TaxTreatment; 7] {
    [
        one(TaxCategory::Standard, 200_000),
        one(TaxCategory::Standard, 55_000),
        one(TaxCategory::Standard, 76_500),
        one(TaxCategory::Zero, 0),
        one(TaxCategory::ReverseCharge, 0),
        with_gst("QST", 99_750, false),
        with_gst("PST", 95_000, true),
    ]
}

const TAX_POINT: jiff::civil::Date = jiff::civil::date(2024, 10, 31);

/// The exchange rate between two of the `currencies`. Some rates are published in one direction, and some in the other.
fn conversion(from: usize, to: usize) -> Conversion {
    let [(.., numerator, denominator), (.., to_numerator, to_denominator)] = [currencies()[from], currencies()[to]];
    let one = money::ExchangeRate::from_integer(1);
    let (numerator, denominator) = match (from, to) {
        _ if from == to => return Conversion { numerator: one, denominator: one, date: None },
        (0, _) => (to_numerator, to_denominator),
        (_, 0) => (denominator, numerator),
        _ if from < to => (to_numerator + 7, ONE),
        _ => (ONE, numerator + 13),
    };
    let [numerator, denominator] =
        [numerator, denominator].map(|units| money::ExchangeRate::from_units(units).unwrap());
    Conversion { numerator, denominator, date: Some(TAX_POINT) }
}

const ONE: i128 = 1_000_000_000_000;

/// Currencies with two, no and three decimal places, with rates to multiply by and rates to divide by.
fn currencies() -> [(Currency, i128, i128); 5] {
    [
        (Currency::EUR, ONE, ONE),
        (Currency::USD, 1_100_300_000_000, ONE),
        (Currency::JPY, 163_250_000_000_000, ONE),
        (Currency::KWD, ONE, 2_912_700_000_000),
        (Currency::GBP, ONE, 1_171_900_000_000),
    ]
}

/// The random contents of a document.
#[derive(Clone, Debug)]
struct Parts {
    currency: usize,
    /// The cost in millionths of the price currency, and the indexes of the tax treatment and the price currency.
    lines: Vec<(i64, usize, usize)>,
    /// Whether the discount is a percentage, its value in hundredths, and its lines as bits.
    discounts: Vec<(bool, u32, u16)>,
    credit: u32,
}

fn parts() -> impl Strategy<Value = Parts> {
    let line = (-40_000_000i64..400_000_000, 0usize..7, 0usize..5);
    let discount = (any::<bool>(), 0u32..10_000, any::<u16>());
    let (lines, discounts) = (prop::collection::vec(line, 0..9), prop::collection::vec(discount, 0..4));
    (0usize..5, lines, discounts, 0u32..200_000).prop_map(|(currency, lines, discounts, credit)| Parts {
        currency,
        lines,
        discounts,
        credit,
    })
}

/// The amount of some hundredths. For a currency without decimal places, the amount is rounded down to whole units.
fn amount(hundredths: u32, places: u32) -> Amount {
    if places == 0 {
        Amount::from_units(i128::from(hundredths / 100) * 10_000).unwrap()
    } else {
        Amount::from_units(i128::from(hundredths) * 100).unwrap()
    }
}

fn document(number: usize, parts: &Parts) -> Document {
    let (currency, ..) = currencies()[parts.currency];
    let conversion = conversion(0, parts.currency);
    let places = u32::from(currency.exponent().unwrap());
    let mut lines = Vec::new();
    for (millionths, treatment, price) in &parts.lines {
        let cost = Cost::from_units(i128::from(*millionths) * 1_000_000_000_000);
        let Conversion { numerator, denominator, .. } = self::conversion(*price, parts.currency);
        let converted = cost.scaled(numerator.units(), denominator.units(), places).unwrap();
        let mut line = Line::of_amount((20_000, 20_031), Amount::of_decimal(converted).unwrap()).unwrap();
        line.charge_category = ChargeCategory::Usage;
        line.charge_kind = "usage".to_owned();
        line.price_currency = Some(currencies()[*price].0);
        line.contracted_cost = cost;
        line.tax = treatments()[*treatment].clone();
        lines.push(line);
    }
    let mut totals = InvoiceTotals::new(lines, places);
    for (place, (is_percent, hundredths, bits)) in parts.discounts.iter().enumerate() {
        let value = if *is_percent {
            AppliedValue::Percent(Percent::from_units(i128::from(*hundredths) * 100).unwrap())
        } else {
            AppliedValue::Fixed(amount(*hundredths, places))
        };
        let applies = (0..totals.lines.len()).map(|line| bits & (1 << line) != 0).collect();
        let id = format!("discount-{place}");
        totals.discount(&AppliedDiscount { id: id.clone(), description: id, value, applies }).unwrap();
    }
    let mut carried_forward = Amount::ZERO;
    let is_carried_forward = totals.net().unwrap() < Amount::ZERO || totals.with_tax().unwrap() < Amount::ZERO;
    if is_carried_forward {
        carried_forward = totals.carry_forward((20_000, 20_031)).unwrap();
    } else {
        let balance = amount(parts.credit, places);
        let (id, description) = ("credit".to_owned(), "Credit".to_owned());
        totals.credit(&AppliedCredit { id, description, kind: "promotional", balance, only: None }).unwrap();
    }
    Document {
        number: format!("DRAFT-{number:04}"),
        kind: if is_carried_forward { "carried_forward" } else { "draft" },
        account_id: format!("C-{number}"),
        account_name: None,
        sold_by: None,
        buyer_country: None,
        buyer_vat_id: None,
        project: None,
        currency,
        conversion,
        tax_point: TAX_POINT,
        has_terms: true,
        totals,
        brought_forward: Amount::ZERO,
        carried_forward,
        is_last: false,
    }
}

/// The quotient in units of the fourth decimal place, rounded half away from zero to the decimal places of a currency.
fn rounded(numerator: i128, denominator: i128, places: u32) -> i128 {
    let step = 10i128.pow(4 - places);
    let (magnitude, divisor) = (numerator.abs(), denominator * step);
    let steps = (2 * magnitude + divisor) / (2 * divisor);
    numerator.signum() * steps * step
}

/// The net amount and the tax amount by integer arithmetic: lines less allowances, and tax rounded once for each name
/// and rate. A compound tax applies to the net amount and GST, which is rounded on the net amount of the treatment.
fn expected_totals(document: &Document) -> (i128, i128) {
    let places = document.places();
    let mut nets: BTreeMap<TaxTreatment, i128> = BTreeMap::new();
    for line in &document.totals.lines {
        *nets.entry(line.tax.clone()).or_default() += line.net_amount.units();
    }
    for allowance in &document.totals.allowances {
        *nets.entry(allowance.tax.clone()).or_default() -= allowance.amount.units();
    }
    let mut taxable: BTreeMap<(&str, Percent), i128> = BTreeMap::new();
    for (treatment, net) in &nets {
        let gst = rounded(net * 50_000, 1_000_000, places);
        for tax in &treatment.taxes {
            *taxable.entry((&tax.name, tax.rate)).or_default() += net + if tax.is_compound { gst } else { 0 };
        }
    }
    let tax = taxable.iter().map(|((_, rate), units)| rounded(units * rate.units(), 1_000_000, places)).sum();
    (nets.values().sum(), tax)
}

async fn broken(documents: &[Document]) -> Result<Vec<String>, crate::error::Error> {
    let session = Session::new(None)?;
    super::relations::register_drafts(&session, documents, &[], Currency::EUR)?;
    super::relations::register_prepayments(&session, &[])?;
    let all = || 0..currencies().len();
    let rates = all().flat_map(|from| all().map(move |to| (from, to)));
    let rates: Vec<ExchangeRate> = rates
        .map(|(from, to)| ExchangeRate {
            price_currency: currencies()[from].0,
            currency: currencies()[to].0,
            conversion: conversion(from, to),
        })
        .collect();
    super::relations::register_exchange_rates(&session, &rates)?;
    session.register("invoicing/issued_net", Vec::new())?;
    session.register("invoicing/issued_tax", Vec::new())?;
    session.register("invoicing/issued_tax_total", Vec::new())?;
    session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    let parameters = Parameters::none()
        .text("currency", "EUR")
        .date("billing_period_start", 20_000)
        .date("billing_period_end", 20_031);
    let invoices = session.materialize("invoicing/invoice", parameters).await?;
    let mut broken = Vec::new();
    for check in checks() {
        let rows = session.violations(check, Parameters::none()).await?;
        if rows.iter().any(|batch| batch.num_rows() > 0) {
            broken.push(format!("{check}: {rows:?}"));
        }
    }
    let count = rows::each(&invoices).count();
    if count != documents.len() {
        broken.push(format!("{count} invoices from {} documents", documents.len()));
    }
    for (document, row) in documents.iter().zip(rows::each(&invoices)) {
        let (net, tax) = expected_totals(document);
        let found = ["total_without_tax", "tax_amount", "total_with_tax", "amount_due"].map(|name| row.units(name));
        let [found_net, found_tax, gross, due] = found;
        if (found_net?, found_tax?, gross?, due?) != (net, tax, net + tax, net + tax) {
            broken.push(format!("{}: expected net {net} and tax {tax}", document.number));
        }
    }
    Ok(broken)
}

proptest! {
    // Each case checks many documents at once, because starting the engine takes most of the time.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn documents_obey_en_16931(parts in prop::collection::vec(parts(), 60)) {
        let documents: Vec<Document> = (0..).zip(&parts).map(|(number, parts)| document(number, parts)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let broken = runtime.block_on(broken(&documents)).unwrap();
        prop_assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    /// Lines are sorted so that pages are the same in each run. The totals do not depend on this order.
    #[test]
    fn totals_do_not_depend_on_the_order_of_lines(parts in parts(), turn in 0usize..9) {
        let all = |discounts: &[(bool, u32, u16)]| discounts.iter().map(|one| (one.0, one.1, u16::MAX)).collect();
        let parts = Parts { discounts: all(&parts.discounts), ..parts };
        let mut turned = parts.clone();
        turned.lines.rotate_left(turn.min(parts.lines.len()));
        let mut reversed = parts.clone();
        reversed.lines.reverse();
        let [one, other, third] = [&parts, &turned, &reversed].map(|parts| expected_totals(&document(1, parts)).0);
        prop_assert_eq!((one, one), (other, third));
    }
}
