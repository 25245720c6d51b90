//! The price of a line in `conto explain`: the rule, the row of the price list, factors, tier, pool and limits.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::document::Document;
use super::terms::{self, TermReference};
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::intake::resolve::collector::instant;
use crate::model::diagnostic::Place;
use crate::model::money::{Cost, Quantity, UnitPrice};
use crate::model::period::{Calendar, date_of};
use crate::model::rule::{PriceWindow, Pricing, Rule};
use crate::rating::price_origin::{DimensionValue, PriceOrigin, PriceOrigins};
use crate::rows::{self, Row};

/// A price of a line and its origin in the rules. Usage of one line may have equal prices of several rules.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedPrice {
    pub(super) rule: String,
    pub(super) place: String,
    pub(super) card: String,
    /// The first instant of the price; `None` without a start.
    pub(super) valid_from: Option<String>,
    /// The exclusive end.
    pub(super) valid_to: Option<String>,
    /// The validity in dates of the billing calendar, with its last day.
    #[serde(skip)]
    pub(super) validity: String,
    pub(super) pricing_unit: String,
    pub(super) metered_units_in_one: String,
    /// The unit of the meter; `None` if the rules of the document cannot be read.
    pub(super) metered_unit: Option<String>,
    /// The factor of the metered quantity.
    pub(super) pricing_quantity: Option<ExplainedMultiplier>,
    pub(super) pool: ExplainedPool,
    /// The units that are subtracted from the pool before its tiers.
    pub(super) included_units: Vec<TermReference>,
    /// The tier; `None` if the rule has one price for all units.
    pub(super) tier: Option<ExplainedTier>,
    /// The price before factors; `None` for a minimum, a maximum and covered usage.
    pub(super) base_price: Option<ExplainedBasePrice>,
    /// The factors in the order of their multiplication.
    pub(super) factors: Vec<ExplainedFactor>,
    /// The limits that a minimum or a maximum can result from.
    pub(super) limits: Vec<ExplainedLimit>,
    /// The reservations and hourly commitments that can cover the usage, if a commitment covers it.
    pub(super) covered_by: Vec<TermReference>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedMultiplier {
    pub(super) expression: String,
    pub(super) multiplier: String,
}

/// The usage that shares one running total.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedPool {
    pub(super) name: String,
    pub(super) scope: String,
    pub(super) period: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedTier {
    /// From one; zero for included units.
    pub(super) number: i64,
    pub(super) kind: String,
    /// In pricing units. The bounds of a volume or stairstep tier are totals of the pool.
    pub(super) above: String,
    pub(super) up_to: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedBasePrice {
    pub(super) unit_price: String,
    pub(super) unit_price_per: String,
    /// The row of a price list, or the rule.
    pub(super) place: String,
    /// The dimension values that select the price.
    pub(super) values: BTreeMap<String, String>,
    pub(super) price_window: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedFactor {
    pub(super) rule: String,
    pub(super) place: String,
    pub(super) factor: String,
    pub(super) values: BTreeMap<String, String>,
}

/// A limit of a pool's or a tier's cost.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedLimit {
    /// `minimum`, `maximum`, `cap` or `max_amount`.
    pub(super) kind: String,
    pub(super) place: String,
    /// After the factors.
    pub(super) amount: String,
    /// The tier of a `max_amount`.
    pub(super) tier: Option<ExplainedTier>,
    /// The cost of the tier without the limit.
    pub(super) cost: Option<String>,
    /// The hours from which a cap applies.
    pub(super) cap_quantity: Option<String>,
}

/// A rate of a line, with the row of its tier.
struct UsedRate<'a> {
    rate: Row<'a>,
    tier: Option<Row<'a>>,
    origin: Option<PriceOrigin<'a>>,
}

fn text_of(place: &Place) -> String {
    format!("{}:{}", place.source.name, place.line())
}

fn texts(values: &[DimensionValue<'_>]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The description of a price window: `windows[1], 22:00 to 06:00, Mon Tue`.
fn window_text(rule: &Rule, window: &PriceWindow) -> String {
    let number = rule.windows.iter().position(|one| one == window).map_or(0, |index| index + 1);
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let mut text = format!("price window {number}, {} to {}", time(window.from_minute), time(window.to_minute));
    if window.days.contains(&false) {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let days = names.into_iter().zip(window.days).filter(|(_, applies)| *applies);
        text.push_str(", ");
        text.push_str(&days.map(|(name, _)| name).collect::<Vec<_>>().join(" "));
    }
    text
}

impl Document {
    /// The prices of a line, in the order of its usage.
    pub(super) fn prices_of(
        &self,
        origins: Option<&PriceOrigins<'_>>,
        charge_kind: &str,
        usage: &[RecordBatch],
        tier_costs: &[RecordBatch],
    ) -> Result<(Vec<ExplainedPrice>, Vec<usize>), Failure> {
        let mut prices: Vec<ExplainedPrice> = Vec::new();
        let mut price_of_row = Vec::new();
        for used in rows::each(usage) {
            let rate_id = used.text("rate_id")?;
            let is_of_rate = |row: &Row<'_>| row.text("rate_id").is_ok_and(|id| id == rate_id);
            let Some(rate) = rows::each(&self.rate).find(is_of_rate) else {
                return Err(Error::Internal("a rate of rated usage does not exist").into());
            };
            let number = used.number("tier_number")?;
            let is_of_tier = |row: &Row<'_>| row.number("tier_number").is_ok_and(|tier| tier == number);
            let tier = rows::each(&self.rate_tier).filter(is_of_rate).find(is_of_tier);
            let (series_id, segment_start) = (used.id("series_id")?, used.instant("segment_start")?);
            let origin =
                origins.map(|origins| origins.of_series(&self.active_series, series_id, rate_id, segment_start));
            let used_rate = UsedRate { rate, tier, origin: origin.transpose()?.flatten() };
            let mut price = self.price(&used_rate, charge_kind, tier_costs)?;
            if charge_kind == "reserved"
                && let Some(origins) = origins
            {
                let days = (self.books.period.start(), self.books.period.end());
                let covering = origins.covering(&self.books.session, &self.active_series, series_id, days)?;
                price.covered_by = covering.into_iter().map(terms::of_reservation).collect();
            }
            // A rule has one rate for each validity of its price list, and one series for each resource.
            let found = prices.iter().position(|known| *known == price);
            price_of_row.push(found.unwrap_or(prices.len()));
            if found.is_none() {
                prices.push(price);
            }
        }
        Ok((prices, price_of_row))
    }

    fn price(
        &self,
        used: &UsedRate<'_>,
        charge_kind: &str,
        tier_costs: &[RecordBatch],
    ) -> Result<ExplainedPrice, Error> {
        let (rate, origin) = (used.rate, used.origin.as_ref());
        let rule = origin.map(|origin| origin.rule);
        let row = origin.and_then(|origin| origin.price_list_row);
        // The rates of a price list change with every row. The price of this row is valid as long as the row.
        let (valid_from, valid_to) = match (rule, row) {
            (Some(rule), Some((_, row))) => {
                (row.valid_from.max(rule.valid_from), [row.valid_to, rule.valid_to].into_iter().flatten().min())
            }
            _ => (rate.optional_instant("valid_from")?, rate.optional_instant("valid_to")?),
        };
        let meter = rule.and_then(|rule| self.rules()?.meter(&rule.meter));
        let expression = rule.and_then(|rule| rule.pricing_quantity.as_ref());
        let multiplier = origin.and_then(|origin| origin.multiplier);
        let factors = origin.map_or(&[][..], |origin| &origin.factors).iter();
        Ok(ExplainedPrice {
            rule: rate.text("rule_id")?.to_owned(),
            place: rule_place(rate)?,
            card: rate.text("card")?.to_owned(),
            valid_from: valid_from.map(|at| instant(at).into_owned()),
            valid_to: valid_to.map(|at| instant(at).into_owned()),
            validity: self.validity_text(valid_from, valid_to),
            metered_unit: meter.map(|meter| meter.unit.clone()),
            pricing_unit: rate.text("pricing_unit")?.to_owned(),
            metered_units_in_one: rate.decimal::<Quantity>("pricing_divisor")?.to_string(),
            pricing_quantity: expression.zip(multiplier).map(|(expression, multiplier)| ExplainedMultiplier {
                expression: expression.text.clone(),
                multiplier: multiplier.to_string(),
            }),
            pool: ExplainedPool {
                name: rate.text("pool")?.to_owned(),
                scope: rate.text("pool_scope")?.to_owned(),
                period: rate.text("pool_period")?.to_owned(),
            },
            included_units: rule.map(|rule| self.included_units(rule)).unwrap_or_default(),
            tier: used.tier.map(|tier| self.tier(used, tier)).transpose()?.flatten(),
            base_price: base_price(used, charge_kind)?,
            factors: factors
                .map(|one| ExplainedFactor {
                    rule: one.rule.id.clone(),
                    place: text_of(&one.rule.declared_at),
                    factor: one.factor.to_string(),
                    values: texts(one.value.as_slice()),
                })
                .collect(),
            limits: self.limits(used, charge_kind, tier_costs)?,
            covered_by: Vec::new(),
        })
    }

    /// The calendar of the configuration of the document.
    fn calendar(&self) -> Calendar {
        let zone = self.committed.as_ref().and_then(|(config, _)| TimeZone::get(&config.time_zone).ok());
        Calendar::new(zone.unwrap_or(TimeZone::UTC))
    }

    /// A validity with its last day: ` from 2026-10-01 to 2026-10-15`. A bound that is not midnight is an instant.
    fn validity_text(&self, from: Option<i64>, to: Option<i64>) -> String {
        let mut calendar = self.calendar();
        let mut midnight = |at: i64| {
            let day = calendar.day_of(at);
            (calendar.day_start(day) == at).then_some(day)
        };
        let mut text = String::new();
        if let Some(from) = from {
            let shown = midnight(from).map_or_else(|| instant(from).into_owned(), |day| date_of(day).to_string());
            text.push_str(&format!(" from {shown}"));
        }
        if let Some(to) = to {
            match midnight(to) {
                Some(day) => text.push_str(&format!(" to {}", date_of(day - 1))),
                None => text.push_str(&format!(" until {}", instant(to))),
            }
        }
        text
    }

    /// The free units of a rule's pool, of the rule itself and of `[[included_units]]`.
    fn included_units(&self, rule: &Rule) -> Vec<TermReference> {
        let unit = &rule.pricing_unit.name;
        let free = (!rule.free_units.is_zero()).then(|| TermReference {
            term: rule.id.clone(),
            place: text_of(&rule.declared_at),
            summary: format!("{} {unit} free of charge in each pool", rule.free_units),
        });
        let last_day = self.calendar().day_start(self.books.period.end_day() - 1);
        let of_pool = self.rules().into_iter().flat_map(|rules| &rules.included_units);
        let of_pool = of_pool.filter(|units| units.pool == rule.pool && units.is_valid_at(last_day));
        let of_resources = of_pool.map(|units| TermReference {
            term: units.id.clone(),
            place: text_of(&units.declared_at),
            summary: format!(
                "{} {unit} for each resource of {}{}{}",
                units.units,
                units.meter,
                terms::condition_text(&units.when),
                if units.prorated { ", in proportion to its time" } else { "" }
            ),
        });
        free.into_iter().chain(of_resources).collect()
    }

    /// The tier of a rate; `None` if the rate has only one.
    fn tier(&self, used: &UsedRate<'_>, tier: Row<'_>) -> Result<Option<ExplainedTier>, Error> {
        let rate_id = used.rate.text("rate_id")?;
        let is_of_rate = |row: &Row<'_>| row.text("rate_id").is_ok_and(|id| id == rate_id);
        if rows::each(&self.rate_tier).filter(is_of_rate).count() < 2 {
            return Ok(None);
        }
        explained_tier(used, tier).map(Some)
    }

    /// The limits that the minimum or maximum of a line can result from.
    fn limits(
        &self,
        used: &UsedRate<'_>,
        charge_kind: &str,
        tier_costs: &[RecordBatch],
    ) -> Result<Vec<ExplainedLimit>, Error> {
        let rate = used.rate;
        let row = used.origin.as_ref().and_then(|origin| origin.price_list_row);
        let rule_place = rule_place(rate)?;
        let row_place = row.map_or_else(|| rule_place.clone(), |(file, row)| format!("{file}:{}", row.line));
        let limit = |kind: &str, place: &str, amount: UnitPrice| -> Result<ExplainedLimit, Error> {
            Ok(ExplainedLimit {
                kind: kind.to_owned(),
                place: place.to_owned(),
                amount: with_factors(used, amount)?.to_text(2),
                tier: None,
                cost: None,
                cap_quantity: None,
            })
        };
        let mut limits = Vec::new();
        if charge_kind == "minimum"
            && let Some(minimum) = rate.optional_decimal("minimum")?
        {
            limits.push(limit("minimum", &rule_place, minimum)?);
        }
        if charge_kind != "maximum" {
            return Ok(limits);
        }
        if let Some(maximum) = row.and_then(|(_, row)| row.maximum) {
            limits.push(limit("maximum", &row_place, maximum.into())?);
        } else if let Some(maximum) = rate.optional_decimal("maximum")? {
            limits.push(limit("maximum", &rule_place, maximum)?);
        }
        if let Some(cap) = row.and_then(|(_, row)| row.cap) {
            let cap_quantity = Some(cap.hours.to_string());
            limits.push(ExplainedLimit { cap_quantity, ..limit("cap", &row_place, cap.price.into())? });
        } else if let (Some(price), Some(rule)) = (rate.optional_decimal("cap_price")?, used.origin.as_ref()) {
            let cap_quantity = rule.rule.cap.map(|cap| cap.hours.to_string());
            limits.push(ExplainedLimit { cap_quantity, ..limit("cap", &rule_place, price)? });
        }
        let rate_id = rate.text("rate_id")?;
        let is_of_rate = |row: &Row<'_>| row.text("rate_id").is_ok_and(|id| id == rate_id);
        for tier in rows::each(&self.rate_tier).filter(is_of_rate) {
            let Some(max_amount) = tier.optional_decimal::<UnitPrice>("max_amount")? else { continue };
            let number = tier.number("tier_number")?;
            let is_of_tier = |row: &Row<'_>| row.number("tier_number").is_ok_and(|tier| tier == number);
            let Some(cost) = rows::each(tier_costs).filter(is_of_rate).find(is_of_tier) else { continue };
            let cost: Cost = cost.decimal("contracted_cost")?;
            // A tier whose usage costs no more than the maximum has no effect.
            if Some(cost) > with_factors(used, max_amount)?.with_places() {
                limits.push(ExplainedLimit {
                    tier: Some(explained_tier(used, tier)?),
                    cost: Some(cost.to_text(2)),
                    ..limit("max_amount", &rule_place, max_amount)?
                });
            }
        }
        Ok(limits)
    }
}

fn rule_place(rate: Row<'_>) -> Result<String, Error> {
    Ok(format!("{}:{}", rate.text("rule_file")?, rate.number("rule_line")?))
}

/// An amount, multiplied by the product of all factors.
fn with_factors(used: &UsedRate<'_>, amount: UnitPrice) -> Result<UnitPrice, Error> {
    let mut product = UnitPrice::from_integer(1);
    for one in used.origin.as_ref().map_or(&[][..], |origin| &origin.factors) {
        product = product.checked_mul(one.factor.into()).ok_or(Error::AMOUNT_OVERFLOW)?;
    }
    amount.checked_mul(product).ok_or(Error::AMOUNT_OVERFLOW)
}

fn explained_tier(used: &UsedRate<'_>, tier: Row<'_>) -> Result<ExplainedTier, Error> {
    let kind = match used.origin.as_ref().map(|origin| &origin.rule.pricing) {
        Some(Pricing::Tiers { kind, .. }) => kind.name(),
        _ => "graduated",
    };
    let divisor: Quantity = used.rate.decimal("pricing_divisor")?;
    let in_pricing_units = |metered: Quantity| {
        let one = Quantity::from_integer(1).units();
        metered.scaled(one, divisor.units(), 9).ok_or(Error::AMOUNT_OVERFLOW)
    };
    let total_above = tier.optional_decimal::<Quantity>("total_above")?.map(in_pricing_units).transpose()?;
    let total_up_to = tier.optional_decimal::<Quantity>("total_up_to")?.map(in_pricing_units).transpose()?;
    let (above, up_to) = if total_above.is_some() || total_up_to.is_some() {
        (total_above.unwrap_or_default(), total_up_to)
    } else {
        (tier.decimal("tier_start")?, tier.optional_decimal::<Quantity>("tier_end")?)
    };
    Ok(ExplainedTier {
        number: tier.number("tier_number")?,
        kind: kind.to_owned(),
        above: above.to_string(),
        up_to: up_to.map(|up_to| up_to.to_string()),
    })
}

/// The price of a unit before factors.
fn base_price(used: &UsedRate<'_>, charge_kind: &str) -> Result<Option<ExplainedBasePrice>, Error> {
    let Some(tier) = used.tier.filter(|_| ["usage", "flat_fee"].contains(&charge_kind)) else { return Ok(None) };
    let origin = used.origin.as_ref();
    let of_dimensions = origin.and_then(|origin| origin.unit_price).map(UnitPrice::from);
    let (unit_price, per) = if charge_kind == "flat_fee" {
        (tier.optional_decimal::<UnitPrice>("flat_fee")?, Quantity::from_integer(1))
    } else {
        (tier.optional_decimal::<UnitPrice>("unit_price")?.or(of_dimensions), tier.decimal("price_per")?)
    };
    let Some(unit_price) = unit_price else { return Ok(None) };
    let is_of_dimensions = charge_kind == "usage" && tier.optional_decimal::<UnitPrice>("unit_price")?.is_none();
    let row = origin.and_then(|origin| origin.price_list_row).filter(|_| is_of_dimensions);
    Ok(Some(ExplainedBasePrice {
        unit_price: unit_price.to_text(2),
        unit_price_per: per.to_string(),
        place: match row {
            Some((file, row)) => format!("{file}:{}", row.line),
            None => rule_place(used.rate)?,
        },
        values: origin.filter(|_| is_of_dimensions).map(|origin| texts(&origin.values)).unwrap_or_default(),
        price_window: origin.and_then(|origin| origin.price_window.map(|window| window_text(origin.rule, window))),
    }))
}
