//! `conto quote`: what a rule asks for a quantity, with the working.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Context, Failure};
use crate::error::{Error, LakeError};
use crate::load::canonical_value;
use crate::model::example::{ExampleUsage, RuleExample};
use crate::model::meter::Meter;
use crate::model::money::{Quantity, places_of};
use crate::model::period::{BillingPeriod, Calendar, date_of};
use crate::model::rule::Rule;
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::rating::eligibility;
use crate::rating::example::{Working, run_examples};
use crate::rating::rate::PeriodLength;

/// Price a quantity by one rule, with the working, tier by tier
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto quote --rule egress --quantity \"1500 GB\"\n  \
    conto quote --rule instance --quantity 744 --dimension flavor=m1.small --period 2026-10\n  \
    conto quote --rule egress --usage usage.csv\n\n\
    A usage file is CSV with the column `quantity` and optionally `at` (RFC 3339), `resource`, `project`, \
    `meter` and dimensions.")]
pub(super) struct QuoteCommand {
    /// The id of the rule
    #[arg(long, value_name = "ID")]
    rule: String,

    /// A number, in the unit of the meter or, where that is named behind it, the rule's priced unit
    #[arg(long, value_name = "NUMBER [UNIT]", required_unless_present = "usage", conflicts_with = "usage")]
    quantity: Option<String>,

    /// A value of a dimension that the price depends on
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "usage")]
    dimension: Vec<String>,

    /// A CSV file with many quantities
    #[arg(long, value_name = "FILE")]
    usage: Option<PathBuf>,

    /// The month, which decides how many hours there are
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<BillingPeriod>,
}

/// A part of a cost, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct WorkingResult {
    rule: String,
    charge: String,
    above: String,
    quantity: String,
    unit_price: String,
    unit_price_per: String,
    cost: String,
}

impl From<&Working> for WorkingResult {
    fn from(working: &Working) -> Self {
        Self {
            rule: working.rule_id.clone(),
            charge: working.charge_kind.clone(),
            above: working.tier_start.to_string(),
            quantity: working.pricing_quantity.to_string(),
            unit_price: working.unit_price.to_text(2),
            unit_price_per: working.unit_price_per.to_string(),
            cost: working.cost.to_text(2),
        }
    }
}

impl WorkingResult {
    /// `above 100: 50 × 0.05 = 2.50`
    pub(super) fn sentence(&self) -> String {
        let above = if self.above == "0" { String::new() } else { format!("above {}: ", self.above) };
        let per = if self.unit_price_per == "1" { String::new() } else { format!(" per {}", self.unit_price_per) };
        match self.charge.as_str() {
            "usage" => format!("{above}{} × {}{per} = {}", self.quantity, self.unit_price, self.cost),
            "recurring" => format!("{} × {}{per} = {}", self.quantity, self.unit_price, self.cost),
            "reservation" => format!("held {} × {}{per} = {}", self.quantity, self.unit_price, self.cost),
            "hourly_commitment" => format!("committed {}", self.cost),
            "reserved" => format!("covered {}", self.quantity),
            "flat_fee" => format!("{above}flat fee {} × {} = {}", self.quantity, self.unit_price, self.cost),
            kind => format!("{kind} {}", self.cost),
        }
    }
}

#[derive(Debug, Serialize)]
struct Quote {
    rule: String,
    place: String,
    working: Vec<WorkingResult>,
    cost: String,
    net_amount: String,
    currency: String,
    note: Option<String>,
}

fn usage_error(message: String, hint: impl Into<String>) -> Failure {
    Failure::Usage { message, hint: hint.into() }
}

impl QuoteCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let zone = TimeZone::get(&config.time_zone)
            .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))?;
        let Some(rule) = rules.rule(&self.rule) else {
            let known = crate::model::diagnostic::closest(&self.rule, rules.rules.iter().map(|rule| rule.id.as_str()));
            let hint = known.map(|id| format!("did you mean `{id}`? ")).unwrap_or_default();
            let message = format!("there is no rule `{}`", self.rule);
            return Err(usage_error(message, format!("{hint}`conto rules list` shows all")));
        };
        let meter = rules.meter(&rule.meter).ok_or(Error::Internal("a rule without its meter"))?;
        let usage = match &self.usage {
            Some(path) => read_usage(path, meter, &rules)?,
            None => vec![self.one_usage(rule, meter, &zone)?],
        };
        let period = self.period.or_else(|| month_of(&usage, &zone)).map(|period| period.to_string());
        refuse_outside(&usage, period.as_deref(), &zone)?;
        let example = RuleExample {
            say: String::new(),
            period,
            usage,
            cost: None,
            net_amount: None,
            declared_at: rule.declared_at.clone(),
        };
        // All rules stay, because a price may be another rule's and factors multiply it; other examples do not.
        let mut book = (*rules).clone();
        for other in &mut book.rules {
            other.examples = if other.id == self.rule { vec![example.clone()] } else { Vec::new() };
        }
        book.recurring.clear();
        book.reservations.clear();
        let session = Session::new(None)?;
        let (compiled, _) = eligibility::compile(&session, &book);
        let outcomes = run_examples(&session, &book, &compiled, &zone).await?;
        let outcome = outcomes.first().ok_or(Error::Internal("a quote without an outcome"))?;
        let quote = Quote {
            rule: outcome.rule_id.clone(),
            place: format!("{}:{}", rule.declared_at.source.name, rule.declared_at.line()),
            working: outcome.working.iter().map(WorkingResult::from).collect(),
            cost: outcome.found_cost.to_text(2),
            net_amount: outcome.found_net_amount.to_text(places_of(rule.currency)),
            currency: rule.currency.code().to_owned(),
            note: outcome.note.clone(),
        };
        if context.printer.is_json() {
            context.printer.json(&quote);
            return Ok(());
        }
        context.printer.line(&format!("{} at {}, prices by the {}", quote.rule, quote.place, rule.pricing_unit.name));
        for part in &quote.working {
            context.printer.line(&format!("  {}", part.sentence()));
        }
        context.printer.line(&format!("{} {}, on an invoice {}", quote.cost, quote.currency, quote.net_amount));
        if let Some(note) = &quote.note {
            context.printer.talk(&format!("warning: {note}"));
        }
        Ok(())
    }

    fn one_usage(&self, rule: &Rule, meter: &Meter, zone: &TimeZone) -> Result<ExampleUsage, Failure> {
        let mut dimensions = BTreeMap::new();
        for pair in &self.dimension {
            let Some((name, value)) = pair.split_once('=') else {
                let message = format!("`{pair}` is no dimension with its value");
                return Err(usage_error(message, "write --dimension flavor=m1.small"));
            };
            dimensions.insert(name.to_owned(), dimension_value(name, value, meter)?);
        }
        let text = self.quantity.as_deref().unwrap_or_default();
        let quantity = self.quantity_of(text, rule, meter, zone)?;
        Ok(ExampleUsage { meter: None, at: None, quantity, resource_id: None, project_id: None, dimensions })
    }

    /// `1500`, or `1500 GB` where the rule prices by the GB.
    fn quantity_of(&self, text: &str, rule: &Rule, meter: &Meter, zone: &TimeZone) -> Result<Quantity, Failure> {
        let (number, unit) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let number = parse_quantity(number)?;
        let unit = unit.trim();
        let priced = &rule.pricing_unit;
        if unit.is_empty() || unit == meter.unit {
            return Ok(number);
        }
        if unit != priced.name {
            let message = format!("`{unit}` is neither the unit of meter `{}` nor what the rule prices by", meter.name);
            return Err(usage_error(message, format!("write {} or {}", meter.unit, priced.name)));
        }
        if rule.pricing_quantity.is_some() {
            let message =
                "the rule multiplies the metered quantity, so it cannot be told from the priced one".to_owned();
            return Err(usage_error(message, format!("give the quantity in {}", meter.unit)));
        }
        let period = match self.period {
            Some(period) => period,
            None => crate::rating::example::DEFAULT_PERIOD
                .parse()
                .map_err(|_| Error::Internal("a default period that is none"))?,
        };
        let seconds = Calendar::new(zone.clone()).seconds_in(period);
        let divisor = PeriodLength { seconds }.units(priced.of);
        let metered = number.checked_mul(divisor);
        metered.ok_or_else(|| usage_error(format!("{number} {unit} is too much"), "28 digits are kept"))
    }
}

/// The month of the first usage that has a time.
fn month_of(usage: &[ExampleUsage], zone: &TimeZone) -> Option<BillingPeriod> {
    let at = usage.iter().find_map(|usage| usage.at)?;
    Some(BillingPeriod::of(date_of(Calendar::new(zone.clone()).day_of(at))))
}

/// Only one month is priced at a time, because pools and caps count it.
fn refuse_outside(usage: &[ExampleUsage], period: Option<&str>, zone: &TimeZone) -> Result<(), Failure> {
    let mut calendar = Calendar::new(zone.clone());
    for at in usage.iter().filter_map(|usage| usage.at) {
        let month = BillingPeriod::of(date_of(calendar.day_of(at))).to_string();
        if period.is_some_and(|period| period != month) {
            let message = format!("the usage at {} is in {month}", crate::intake::resolve::collector::instant(at));
            return Err(usage_error(message, "a quote covers one month: --period, or that of the first usage"));
        }
    }
    Ok(())
}

fn parse_quantity(text: &str) -> Result<Quantity, Failure> {
    match Quantity::parse_exact(text) {
        Ok(quantity) if !quantity.is_negative() => Ok(quantity),
        Ok(_) => Err(usage_error(format!("the quantity {text} is negative"), "usage is zero or more")),
        Err(error) => {
            Err(usage_error(format!("`{text}` {error}"), "write digits with a decimal point, such as 1500.5"))
        }
    }
}

fn dimension_value(name: &str, value: &str, meter: &Meter) -> Result<String, Failure> {
    let Some(dimension) = meter.dimension(name) else {
        let known: Vec<&str> = meter.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
        let message = format!("meter `{}` has no dimension `{name}`", meter.name);
        return Err(usage_error(message, format!("known here: {}", known.join(", "))));
    };
    canonical_value(dimension.kind, value).ok_or_else(|| {
        let message = format!("`{value}` is no value of `{name}`");
        usage_error(message, "decimals are digits with a point, booleans are true or false")
    })
}

/// The rows of a CSV file as usage.
fn read_usage(path: &Path, meter: &Meter, rules: &RuleBook) -> Result<Vec<ExampleUsage>, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("could not read `{}`", path.display()))?;
    let header = reader.headers().with_context(|| format!("could not read `{}`", path.display()))?.clone();
    let mut usage = Vec::new();
    for (number, record) in (2..).zip(reader.records()) {
        let record = record.with_context(|| format!("could not read line {number} of `{}`", path.display()))?;
        // Another meter than the rule's may fill its pool, or bring it an allowance.
        let own = header.iter().zip(&record).find(|(name, cell)| *name == "meter" && !cell.is_empty());
        let meter = match own {
            Some((_, name)) => rules.meter(name).ok_or_else(|| {
                let known: Vec<&str> = rules.meters.iter().map(|meter| meter.name.as_str()).collect();
                usage_error(
                    format!("line {number}: there is no meter `{name}`"),
                    format!("meters: {}", known.join(", ")),
                )
            })?,
            None => meter,
        };
        let mut row = ExampleUsage {
            meter: own.map(|(_, name)| name.to_owned()),
            at: None,
            quantity: Quantity::ZERO,
            resource_id: None,
            project_id: None,
            dimensions: BTreeMap::new(),
        };
        for (name, cell) in header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            match name {
                "quantity" => row.quantity = parse_quantity(cell)?,
                "meter" => {}
                "resource" => row.resource_id = Some(cell.to_owned()),
                "project" => row.project_id = Some(cell.to_owned()),
                "at" => {
                    let at: Result<jiff::Timestamp, _> = cell.parse();
                    let at = at.map_err(|_| {
                        let message = format!("line {number}: `{cell}` is no time");
                        usage_error(message, "write RFC 3339, such as 2026-10-01T00:00:00Z")
                    })?;
                    row.at = Some(at.as_microsecond());
                }
                name => {
                    row.dimensions.insert(name.to_owned(), dimension_value(name, cell, meter)?);
                }
            }
        }
        usage.push(row);
    }
    if usage.is_empty() || !header.iter().any(|name| name == "quantity") {
        let message = format!("`{}` holds no usage", path.display());
        return Err(usage_error(message, "a CSV file with the column `quantity` and a row for each usage"));
    }
    Ok(usage)
}
