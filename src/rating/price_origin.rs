//! The origin of a price: price list row, price window, factors and commitment discounts of a series.
//!
//! The selection of rates computes only the products. `conto explain` repeats the selection for a single series, and
//! names each part.

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::error::Error;
use crate::model::account::Accounts;
use crate::model::commitment_discount::Reservation;
use crate::model::meter::Meter;
use crate::model::money::{self, Price, Quantity};
use crate::model::rule::{Factor, PriceListRow, PriceWindow, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::rating::account_assignments::Cards;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::eligibility::compile;
use crate::rating::rate::{Rate, rates};
use crate::rating::series_tuples::{SeriesValues, series_by_meter, series_where, tuples};
use crate::rows;

/// The value of a dimension: its name and its text.
pub type DimensionValue<'a> = (&'a str, String);

/// The parts of a price, in the order of the calculation.
#[derive(Debug)]
pub struct PriceOrigin<'a> {
    pub rule: &'a Rule,
    pub price_window: Option<&'a PriceWindow>,
    /// The row of the rule's price list, with the name of its file.
    pub price_list_row: Option<(&'a str, &'a PriceListRow)>,
    /// The dimension values that select the row or the price.
    pub values: Vec<DimensionValue<'a>>,
    /// The price of the row or value; `None` if the price does not depend on dimensions.
    pub unit_price: Option<Price>,
    /// The factor of the metered quantity, if the rule has the key `pricing_quantity`.
    pub multiplier: Option<Quantity>,
    /// The factors of the price, in the order of their multiplication.
    pub factors: Vec<AppliedFactor<'a>>,
}

/// A factor that applies to a price.
#[derive(Debug)]
pub struct AppliedFactor<'a> {
    pub rule: &'a Rule,
    pub factor: money::Factor,
    /// The dimension value that selects the factor.
    pub value: Option<DimensionValue<'a>>,
}

/// The rules of a period, compiled for the origins of its prices.
#[derive(Debug)]
pub struct PriceOrigins<'a> {
    rules: &'a RuleBook,
    compiled: Vec<CompiledRule<'a>>,
    rates: Vec<Rate<'a>>,
    cards: Cards,
}

/// A series and its meter.
struct MeteredSeries<'a> {
    meter: &'a Meter,
    values: SeriesValues,
}

impl<'a> PriceOrigins<'a> {
    pub fn new(session: &Session, rules: &'a RuleBook, accounts: &Accounts) -> Self {
        // The run that committed these rules has reported the problems of their expressions.
        let (compiled, _) = compile(session, rules);
        let cards = accounts.accounts.iter();
        let cards = cards.map(|account| (account.id.as_str(), account.cards.iter().map(String::as_str).collect()));
        Self { rules, compiled, rates: rates(rules), cards: Cards::new(cards) }
    }

    /// The origin of the price of a series at the start of a segment. `None` if the rules contain no such rate.
    pub fn of_series(
        &self,
        active_series: &[RecordBatch],
        series_id: u64,
        rate_id: &str,
        segment_start: i64,
    ) -> Result<Option<PriceOrigin<'a>>, Error> {
        let Some(series) = self.series(active_series, series_id)? else { return Ok(None) };
        let Some(rate) = self.rates.iter().find(|rate| rate.id == rate_id) else { return Ok(None) };
        let rule = rate.rule;
        let mut origin = PriceOrigin {
            rule,
            price_window: rate.window.and_then(|window| rule.windows.get(window)),
            price_list_row: None,
            values: Vec::new(),
            unit_price: None,
            multiplier: self.multiplier(rule, &series)?,
            factors: self.factors(rule, &series, segment_start)?,
        };
        match &rule.pricing {
            _ if origin.price_window.is_some() => {}
            Pricing::Prices { by, values } => {
                if let Some(value) = series.value(by) {
                    origin.unit_price = values.get(value).copied();
                    origin.values = vec![(by, value.to_owned())];
                }
            }
            Pricing::PriceList { file, dimensions, rows } => {
                let values: Option<Vec<&str>> = dimensions.iter().map(|name| series.value(name)).collect();
                let values = values.unwrap_or_default();
                let is_of_series = |row: &&PriceListRow| row.values == values && rate.has_row(row);
                let row = rows.iter().find(is_of_series);
                origin.unit_price = row.map(|row| row.unit_price);
                origin.price_list_row = row.map(|row| (file.as_str(), row));
                let names = dimensions.iter().map(String::as_str);
                origin.values = names.zip(values).map(|(name, value)| (name, value.to_owned())).collect();
            }
            _ => {}
        }
        Ok(Some(origin))
    }

    /// The reservations and hourly commitments that can cover a series in a part of the period.
    pub fn covering(
        &self,
        session: &Session,
        active_series: &[RecordBatch],
        series_id: u64,
        (start, end): (Date, Date),
    ) -> Result<Vec<&'a Reservation>, Error> {
        let Some(series) = self.series(active_series, series_id)? else { return Ok(Vec::new()) };
        let of_series = rows::of_series("active_series", active_series, |id| id == series_id)?;
        let mut covering = Vec::new();
        for one in &self.rules.reservations {
            let is_of_project =
                one.project.as_deref().is_none_or(|project| series.value("project_id") == Some(project));
            let is_valid =
                one.validity.from.is_none_or(|from| from < end) && one.validity.to.is_none_or(|to| start < to);
            if series.value("account_id") != Some(one.account.as_str()) || !is_of_project || !is_valid {
                continue;
            }
            for cover in one.covers.iter().filter(|cover| cover.meter == series.meter.name) {
                if !series_where(session, series.meter, cover.when.as_ref(), &of_series)?.is_empty() {
                    covering.push(one);
                    break;
                }
            }
        }
        Ok(covering)
    }

    fn series(&self, active_series: &[RecordBatch], series_id: u64) -> Result<Option<MeteredSeries<'a>>, Error> {
        let of_series = rows::of_series("active_series", active_series, |id| id == series_id)?;
        let found = series_by_meter(&of_series)?.into_iter().next();
        let meter_and_values = found.and_then(|(meter, series)| Some((self.rules.meter(&meter)?, series)));
        let metered = meter_and_values.and_then(|(meter, series)| Some((meter, series.into_iter().next()?)));
        Ok(metered.map(|(meter, values)| MeteredSeries { meter, values }))
    }

    fn compiled(&self, rule: &Rule) -> Option<&CompiledRule<'a>> {
        self.compiled.iter().find(|compiled| compiled.rule.id == rule.id)
    }

    fn multiplier(&self, rule: &Rule, series: &MeteredSeries<'_>) -> Result<Option<Quantity>, Error> {
        let Some(compiled) = self.compiled(rule) else { return Ok(None) };
        let Some(multiplier) = &compiled.multiplier else { return Ok(None) };
        let numbers = multiplier.numbers(&series.batch(compiled)?)?;
        Ok(numbers.first().copied().flatten().map(Quantity::from_units))
    }

    /// The factors of a rule's component that apply to a series, in the order of rule ids.
    fn factors(
        &self,
        rule: &Rule,
        series: &MeteredSeries<'_>,
        segment_start: i64,
    ) -> Result<Vec<AppliedFactor<'a>>, Error> {
        let cards = self.cards.of(series.value("account_id"));
        let mut applied = Vec::new();
        for compiled in &self.compiled {
            let factor = compiled.rule;
            let Pricing::Factor(number) = &factor.pricing else { continue };
            // Segments end at each change of a rate, so a factor is valid in all of a segment or in no part of it.
            let is_valid = factor.valid_from.is_none_or(|from| from <= segment_start)
                && factor.valid_to.is_none_or(|to| segment_start < to);
            let is_of_component = factor.meter == rule.meter && factor.component == rule.component;
            if !is_valid || !is_of_component || !cards.contains(&factor.card.as_str()) {
                continue;
            }
            let applies = match &compiled.when {
                Some(when) => when.is_true(&series.batch(compiled)?)?.contains(&true),
                None => true,
            };
            let (number, value) = match number {
                Factor::Number(number) => (Some(*number), None),
                Factor::By { by, values } => {
                    let value = series.value(by);
                    let number = value.and_then(|value| values.get(value)).copied();
                    (number, value.map(|value| (by.as_str(), value.to_owned())))
                }
            };
            if let Some(number) = number.filter(|_| applies) {
                applied.push(AppliedFactor { rule: factor, factor: number, value });
            }
        }
        Ok(applied)
    }
}

impl MeteredSeries<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.values.get(name).map(|value| &**value)
    }

    /// The columns of a rule, with one row for this series.
    fn batch(&self, compiled: &CompiledRule<'_>) -> Result<RecordBatch, Error> {
        Ok(tuples(self.meter, &compiled.columns, [&self.values], &mut 0, &mut Vec::new())?.batch)
    }
}
