//! The matching of rates with series. A predicate runs once for each distinct combination of the values that it uses,
//! and never for each row of usage. So the time for matching depends little on the amount of usage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};

use crate::error::Error;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::meter::Meter;
use crate::model::money::{self, DecimalNumber, Price, Quantity};
use crate::model::rule::{Factor, PriceListRow, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::expression::{multiplier, predicate};
use crate::query::{Session, statement};
use crate::rating::account_assignments::Cards;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::pricing_context::PricingContext;
use crate::rating::rate::{PeriodLength, Rate, to_metered_units};
use crate::rating::segment::Segment;
use crate::rating::series_tuples::{SeriesValues, Tuples, columns_of, series_by_meter, tuples};
use crate::rows;

/// Compiles all rules and collects the problems of their expressions.
pub fn compile<'a>(session: &Session, rules: &'a RuleBook) -> (Vec<CompiledRule<'a>>, Diagnostics) {
    let mut compiled = Vec::with_capacity(rules.rules.len());
    let mut problems = Diagnostics::default();
    for rule in &rules.rules {
        // The loader has reported rules with an unknown meter.
        let Some(meter) = rules.meter(&rule.meter) else { continue };
        match compile_rule(session, rule, meter) {
            Ok(rule) => compiled.push(rule),
            Err(found) => found.into_iter().for_each(|problem| problems.push(problem)),
        }
    }
    for units in &rules.included_units {
        let Some(meter) = rules.meter(&units.meter) else { continue };
        let when = units.when.as_ref().map(|when| predicate(session, when, &columns_of(meter)));
        when.and_then(Result::err).into_iter().for_each(|problem| problems.push(problem));
    }
    (compiled, problems)
}

fn compile_rule<'a>(session: &Session, rule: &'a Rule, meter: &Meter) -> Result<CompiledRule<'a>, Vec<Diagnostic>> {
    let columns = columns_of(meter);
    let when = rule.when.as_ref().map(|when| predicate(session, when, &columns)).transpose();
    let by = rule.pricing_quantity.as_ref().map(|by| multiplier(session, by, &columns)).transpose();
    let (when, by) = match (when, by) {
        (Ok(when), Ok(by)) => (when, by),
        (when, by) => return Err([when.err(), by.err()].into_iter().flatten().collect()),
    };
    let mut names: BTreeSet<String> = rule.line_by.iter().cloned().collect();
    for compiled in [&when, &by].into_iter().flatten() {
        names.extend(compiled.columns().map(str::to_owned));
    }
    match &rule.pricing {
        Pricing::Prices { by, .. } | Pricing::Factor(Factor::By { by, .. }) => {
            names.insert(by.clone());
        }
        Pricing::PriceList { dimensions, .. } => names.extend(dimensions.iter().cloned()),
        Pricing::UnitPrice { .. }
        | Pricing::Tiers { .. }
        | Pricing::Package { .. }
        | Pricing::Percent(_)
        | Pricing::CapOnly
        | Pricing::Factor(_)
        | Pricing::Free => {}
    }
    Ok(CompiledRule { rule, when, multiplier: by, columns: names.into_iter().collect() })
}

/// The relations that map rates and factors to series.
#[derive(Debug)]
pub struct Matches {
    pub series_tuple: RecordBatch,
    pub rate_match: RecordBatch,
    pub factor_match: RecordBatch,
}

/// One row of `rate_match`.
struct RateMatch {
    tuple_id: u64,
    rate_id: String,
    unit_price: Option<Price>,
    multiplier: Option<i128>,
    /// The quantity in metered units and the price of a cap that replaces the cap of the rate.
    cap: Option<(Quantity, Price)>,
    maximum: Option<Price>,
    line_by: String,
    problem: Option<&'static str>,
}

/// One row of `factor_match`.
struct FactorMatch {
    tuple_id: u64,
    component: String,
    segment_start: i64,
    factor: Option<money::Factor>,
}

/// Matches rules with the series of `active_series`.
pub fn match_rates(pricing: &PricingContext<'_>, active_series: &[RecordBatch]) -> Result<Matches, Error> {
    let PricingContext { rules, compiled, rates, segments, length, cards, .. } = *pricing;
    let by_meter = series_by_meter(active_series)?;
    let mut rates_of: HashMap<&str, Vec<&Rate<'_>>> = HashMap::new();
    for rate in rates {
        rates_of.entry(&rate.rule.id).or_default().push(rate);
    }
    let mut next_tuple_id = 0;
    let mut series_tuple: Vec<(u64, u64)> = Vec::new();
    let mut rate_match = Vec::new();
    let mut factor_match = Vec::new();
    for (meter_name, series) in &by_meter {
        let Some(meter) = rules.meter(meter_name) else { continue };
        let of_meter: Vec<&CompiledRule<'_>> = compiled.iter().filter(|rule| rule.rule.meter == **meter_name).collect();
        let mut by_columns: BTreeMap<&[String], Vec<&CompiledRule<'_>>> = BTreeMap::new();
        for rule in of_meter.iter().filter(|rule| !is_factor(rule.rule)) {
            by_columns.entry(&rule.columns).or_default().push(rule);
        }
        for (columns, group) in by_columns {
            let tuples = tuples(meter, columns, series, &mut next_tuple_id, &mut series_tuple)?;
            for rule in group {
                let of_rule = rates_of.get(rule.rule.id.as_str()).map_or(&[][..], Vec::as_slice);
                match_rule(rule, of_rule, length, columns, &tuples, &mut rate_match)?;
            }
        }
        // All factors of a component are multiplied, so the factors of all cards of an account are matched together.
        for (of_account, series) in by_cards(series, cards) {
            let mut by_component: BTreeMap<&str, Vec<&CompiledRule<'_>>> = BTreeMap::new();
            let is_on_card = |rule: &Rule| of_account.iter().any(|card| *card == rule.card);
            for rule in of_meter.iter().filter(|rule| is_factor(rule.rule) && is_on_card(rule.rule)) {
                by_component.entry(&rule.rule.component).or_default().push(rule);
            }
            for (component, factors) in by_component {
                let columns: BTreeSet<String> = factors.iter().flat_map(|rule| rule.columns.iter().cloned()).collect();
                let columns: Vec<String> = columns.into_iter().collect();
                let tuples = tuples(meter, &columns, series.iter().copied(), &mut next_tuple_id, &mut series_tuple)?;
                match_factors(component, &factors, segments, &columns, &tuples, &mut factor_match)?;
            }
        }
    }
    Ok(Matches {
        series_tuple: series_tuple_rows(&series_tuple)?,
        rate_match: rate_match_rows(&rate_match)?,
        factor_match: factor_match_rows(&factor_match)?,
    })
}

/// The ids of the rules whose condition is true for at least one series, at any time.
pub fn rules_that_apply<'a>(
    rules: &RuleBook,
    compiled: &'a [CompiledRule<'a>],
    active_series: &[RecordBatch],
) -> Result<BTreeSet<&'a str>, Error> {
    let mut applying = BTreeSet::new();
    for (meter_name, series) in &series_by_meter(active_series)? {
        let Some(meter) = rules.meter(meter_name) else { continue };
        let mut by_columns: BTreeMap<&[String], Vec<&CompiledRule<'_>>> = BTreeMap::new();
        for rule in compiled.iter().filter(|rule| rule.rule.meter == **meter_name) {
            by_columns.entry(&rule.columns).or_default().push(rule);
        }
        for (columns, group) in by_columns {
            let tuples = tuples(meter, columns, series, &mut 0, &mut Vec::new())?;
            for rule in group {
                let applies = match &rule.when {
                    Some(when) => when.is_true(&tuples.batch)?.contains(&true),
                    None => true,
                };
                if applies {
                    applying.insert(rule.rule.id.as_str());
                }
            }
        }
    }
    Ok(applying)
}

/// The series, grouped by the cards of their payers.
fn by_cards<'a>(series: &'a [SeriesValues], cards: &'a Cards) -> BTreeMap<Vec<&'a str>, Vec<&'a SeriesValues>> {
    let mut by_cards: BTreeMap<Vec<&str>, Vec<&SeriesValues>> = BTreeMap::new();
    for series in series {
        let of_account = cards.of(series.values.get("account_id").map(|account| &**account));
        by_cards.entry(of_account).or_default().push(series);
    }
    by_cards
}

fn is_factor(rule: &Rule) -> bool {
    matches!(rule.pricing, Pricing::Factor(_))
}

fn match_rule(
    rule: &CompiledRule<'_>,
    rates: &[&Rate<'_>],
    length: PeriodLength,
    columns: &[String],
    tuples: &Tuples,
    matches: &mut Vec<RateMatch>,
) -> Result<(), Error> {
    let mut list: HashMap<Vec<&str>, Vec<&PriceListRow>> = HashMap::new();
    if let Pricing::PriceList { rows, .. } = &rule.rule.pricing {
        for row in rows {
            list.entry(row.values.iter().map(String::as_str).collect()).or_default().push(row);
        }
    }
    let divisor = length.units(rule.rule.pricing_unit.of);
    let applies = match &rule.when {
        Some(when) => when.is_true(&tuples.batch)?,
        None => vec![true; tuples.values.len()],
    };
    let multipliers = match &rule.multiplier {
        Some(by) => by.numbers(&tuples.batch)?,
        None => vec![Some(Quantity::from_integer(1).units()); tuples.values.len()],
    };
    for row in (0..tuples.values.len()).filter(|row| applies[*row]) {
        let value = |column: &str| tuples.value(columns, row, column);
        let parts = rule.rule.line_by.iter().filter_map(|name| value(name).map(|value| format!("{name}={value}")));
        let line_by = parts.collect::<Vec<_>>().join("; ");
        for rate in rates {
            let mut row_found = None;
            let price = match &rule.rule.pricing {
                _ if rate.window.is_some() => None,
                Pricing::Prices { by, values } => Some(value(by).and_then(|value| values.get(value)).copied()),
                Pricing::PriceList { dimensions, .. } => {
                    let row_values: Option<Vec<&str>> = dimensions.iter().map(|name| value(name)).collect();
                    let rows = row_values.and_then(|row_values| list.get(&row_values));
                    row_found = rows.and_then(|rows| rows.iter().find(|row| rate.has_row(row)));
                    Some(row_found.map(|row| row.unit_price))
                }
                _ => None,
            };
            let problem = match (multipliers[row], price) {
                // A negative multiplier would turn usage into a credit.
                (None, _) => Some("missing_dimension"),
                (Some(multiplier), _) if multiplier < 0 => Some("missing_dimension"),
                (_, Some(None)) => Some("no_price"),
                _ => None,
            };
            let cap = row_found.and_then(|row| row.cap);
            matches.push(RateMatch {
                tuple_id: tuples.first_id + row as u64,
                rate_id: rate.id.clone(),
                unit_price: price.flatten(),
                multiplier: multipliers[row],
                cap: match cap {
                    Some(cap) => Some((to_metered_units(cap.hours, divisor, &rule.rule.declared_at)?, cap.price)),
                    None => None,
                },
                maximum: row_found.and_then(|row| row.maximum),
                line_by: line_by.clone(),
                problem,
            });
        }
    }
    Ok(())
}

/// The error for a factor whose product with the earlier factors has too many digits.
fn too_large_factor(rule: &Rule) -> Error {
    let message = format!("the product of factor `{}` and earlier factors has too many digits", rule.id);
    let diagnostic = Diagnostic::error("rules::too_large", message).at(rule.declared_at.clone(), "this factor");
    let hint = "expected at most 16 digits before the decimal point and 28 in all; lower the factors, or round them";
    Error::Invalid(vec![diagnostic.hint(hint)])
}

fn match_factors(
    component: &str,
    factors: &[&CompiledRule<'_>],
    segments: &[Segment],
    columns: &[String],
    tuples: &Tuples,
    matches: &mut Vec<FactorMatch>,
) -> Result<(), Error> {
    let mut applies = Vec::with_capacity(factors.len());
    for factor in factors {
        applies.push(match &factor.when {
            Some(when) => when.is_true(&tuples.batch)?,
            None => vec![true; tuples.values.len()],
        });
    }
    for segment in segments {
        for row in 0..tuples.values.len() {
            let mut product = Some(money::Factor::from_integer(1));
            for (factor, applies) in factors.iter().zip(&applies) {
                let rule = factor.rule;
                let valid = rule.valid_from.is_none_or(|from| from <= segment.start)
                    && rule.valid_to.is_none_or(|to| segment.end <= to);
                if !valid || !applies[row] {
                    continue;
                }
                let number = match &rule.pricing {
                    Pricing::Factor(Factor::Number(number)) => Some(*number),
                    Pricing::Factor(Factor::By { by, values }) => {
                        tuples.value(columns, row, by).and_then(|value| values.get(value)).copied()
                    }
                    _ => continue,
                };
                product = match (product, number) {
                    (Some(product), Some(number)) => {
                        // Factors are multiplied in the order of rule ids, so that the rounding at the twelfth place is
                        // reproducible.
                        let next = product.checked_mul(number, money::Factor::PLACES);
                        Some(next.ok_or_else(|| too_large_factor(rule))?)
                    }
                    _ => None,
                };
            }
            matches.push(FactorMatch {
                tuple_id: tuples.first_id + row as u64,
                component: component.to_owned(),
                segment_start: segment.start,
                factor: product,
            });
        }
    }
    Ok(())
}

fn series_tuple_rows(series_tuple: &[(u64, u64)]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(series_tuple.iter().map(|row| row.0))),
        Arc::new(UInt64Array::from_iter_values(series_tuple.iter().map(|row| row.1))),
    ];
    rows::batch(statement("rating/series_tuple")?, columns)
}

fn rate_match_rows(matches: &[RateMatch]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(matches.iter().map(|row| row.tuple_id))),
        Arc::new(StringArray::from_iter_values(matches.iter().map(|row| &row.rate_id))),
        Arc::new(rows::decimals(matches.iter().map(|row| row.unit_price.map(Price::units)), 28, 12)?),
        Arc::new(rows::decimals(matches.iter().map(|row| row.multiplier), 28, 9)?),
        Arc::new(rows::decimals(matches.iter().map(|row| row.cap.map(|cap| cap.0.units())), 38, 9)?),
        Arc::new(rows::decimals(matches.iter().map(|row| row.cap.map(|cap| cap.1.units())), 28, 12)?),
        Arc::new(rows::decimals(matches.iter().map(|row| row.maximum.map(Price::units)), 28, 12)?),
        Arc::new(StringArray::from_iter_values(matches.iter().map(|row| &row.line_by))),
        Arc::new(StringArray::from_iter(matches.iter().map(|row| row.problem))),
    ];
    rows::batch(statement("rating/rate_match")?, columns)
}

fn factor_match_rows(matches: &[FactorMatch]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(matches.iter().map(|row| row.tuple_id))),
        Arc::new(StringArray::from_iter_values(matches.iter().map(|row| &row.component))),
        Arc::new(rows::timestamps(matches.iter().map(|row| Some(row.segment_start)))),
        Arc::new(rows::decimals(matches.iter().map(|row| row.factor.map(money::Factor::units)), 28, 12)?),
    ];
    rows::batch(statement("rating/factor_match")?, columns)
}
