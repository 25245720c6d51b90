//! `conto rules quote`: prices a quantity by one rule and shows the working.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::lookup;
use crate::error::{Error, LakeError, count};
use crate::intake::formats::timestamp;
use crate::load::canonical_value;
use crate::load::{UnitError, Units, split_unit};
use crate::model::config::{Config, Origin, SourceConfig};
use crate::model::dialect::{Dialect, NumberMarks, decode};
use crate::model::example::{ExampleUsage, RuleExample};
use crate::model::meter::Meter;
use crate::model::money::{ParseDecimalError, Quantity, places_of};
use crate::model::period::{BillingPeriod, Calendar, date_of};
use crate::model::rule::Rule;
use crate::model::rule::{DEFAULT_PERIOD, Factor, MissingWindows, Pricing};
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::rating::eligibility;
use crate::rating::example::{Working, run_examples};

/// Price a quantity by one rule, with the working of each tier
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto rules quote --rule egress --quantity \"1500 GB\"\n  \
    conto rules quote --rule instance --quantity 744 --dimension flavor=m1.small --period 2026-10\n  \
    conto rules quote --rule egress --usage usage.csv\n\n\
    A usage file is CSV with the column `quantity` (a unit is allowed) and optionally `at` (RFC 3339), \
    `resource`, `project`, `meter` and dimensions.")]
pub(in crate::cli) struct QuoteCommand {
    /// The id of the rule, or a unique prefix
    #[arg(long, value_name = "ID")]
    rule: String,

    /// A number in the unit of the meter, or with a unit that converts to it exactly, such as "150 GB"
    #[arg(
        long,
        value_name = "NUMBER [UNIT]",
        required_unless_present = "usage",
        conflicts_with = "usage",
        allow_hyphen_values = true
    )]
    quantity: Option<String>,

    /// The value of a dimension; repeat it for each dimension that the price depends on
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "usage")]
    dimension: Vec<String>,

    /// A CSV file with many quantities
    #[arg(long, value_name = "FILE")]
    usage: Option<PathBuf>,

    /// The source of the configuration whose CSV dialect the usage file has
    #[arg(long, value_name = "SOURCE", requires = "usage")]
    dialect_of: Option<String>,

    /// The month, which decides the number of hours
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<BillingPeriod>,
}

/// A printed part of a cost.
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
            "reservation" => format!("committed {} × {}{per} = {}", self.quantity, self.unit_price, self.cost),
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
        let found = lookup::matching(&self.rule, &rules.rules, |rule| vec![&rule.id]);
        if let [first, second, ..] = found.as_slice() {
            let ids: Vec<String> = found.iter().map(|rule| format!("`{}`", rule.id)).collect();
            let message = format!("`{}` names {}: {}", self.rule, count(found.len(), "rule"), ids.join(", "));
            return Err(usage_error(message, format!("give the id, such as `{}` or `{}`", first.id, second.id)));
        }
        let Some(rule) = found.first().copied() else {
            let known = crate::model::diagnostic::closest(&self.rule, rules.rules.iter().map(|rule| rule.id.as_str()));
            let hint = known.map(|id| format!("did you mean `{id}`? ")).unwrap_or_default();
            let message = format!("there is no rule `{}`", self.rule);
            return Err(usage_error(message, format!("{hint}`conto rules list` shows all")));
        };
        let meter = rules.meter(&rule.meter).ok_or(Error::Internal("the meter of a rule does not exist"))?;
        let usage = match &self.usage {
            Some(path) => self.read_usage(path, &self.dialect(&config)?, rule, &rules, &zone)?,
            None => vec![self.one_usage(rule, meter, &zone)?],
        };
        let period = self.period.or_else(|| month_of(&usage, &zone)).map(|period| period.to_string());
        refuse_outside(&usage, period.as_deref(), &zone)?;
        let example = RuleExample {
            name: String::new(),
            period,
            usage,
            cost: None,
            net_amount: None,
            declared_at: rule.declared_at.clone(),
        };
        // All rules stay: another rule may set the price, and factors multiply it. Other examples are dropped.
        let mut book = (*rules).clone();
        for other in &mut book.rules {
            other.examples = if other.id == rule.id { vec![example.clone()] } else { Vec::new() };
            // A single quantity is the quantity of the percentile. As one of many windows, it would not count.
            if let Some(percentile) = other.percentile.as_mut().filter(|_| self.usage.is_none()) {
                percentile.missing_windows = MissingWindows::Ignore;
            }
        }
        book.recurring.clear();
        book.reservations.clear();
        let session = Session::new(None)?;
        let (compiled, _) = eligibility::compile(&session, &book);
        let outcomes = run_examples(&session, &book, &compiled, &zone).await?;
        let outcome = outcomes.first().ok_or(Error::Internal("a quote has no outcome"))?;
        if let Some(note) = outcome.note.as_ref().filter(|_| outcome.working.is_empty()) {
            return Err(without_price(rule, meter, &example.usage, note));
        }
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
        context.printer.line(&format!("{} at {}, priced per {}", quote.rule, quote.place, rule.pricing_unit.name));
        for part in &quote.working {
            context.printer.line(&format!("  {}", part.sentence()));
        }
        context.printer.line(&format!("{} {}, on an invoice {}", quote.cost, quote.currency, quote.net_amount));
        if let Some(note) = &quote.note {
            context.printer.message(&format!("warning: {note}"));
        }
        Ok(())
    }

    fn one_usage(&self, rule: &Rule, meter: &Meter, zone: &TimeZone) -> Result<ExampleUsage, Failure> {
        let mut dimensions = BTreeMap::new();
        for pair in &self.dimension {
            let Some((name, value)) = pair.split_once('=') else {
                let message = format!("`{pair}` is not NAME=VALUE");
                return Err(usage_error(message, "such as --dimension flavor=m1.small"));
            };
            dimensions.insert(name.to_owned(), dimension_value(name, value, meter)?);
        }
        let text = self.quantity.as_deref().unwrap_or_default();
        let marks = NumberMarks::default();
        let quantity = quantity_of(text, marks, (rule, meter), self.seconds(None, zone)?)?;
        Ok(ExampleUsage {
            meter: None,
            at: None,
            quantity,
            windows: 1,
            resource_id: None,
            project_id: None,
            dimensions,
        })
    }

    /// The seconds of the month of --period or of the usage. `hours_in_period` is computed from them.
    fn seconds(&self, at: Option<i64>, zone: &TimeZone) -> Result<i64, Failure> {
        let mut calendar = Calendar::new(zone.clone());
        let of_usage = at.map(|at| BillingPeriod::of(date_of(calendar.day_of(at))));
        let default = || DEFAULT_PERIOD.parse().map_err(|_| Error::Internal("the default period is invalid"));
        let period = self.period.or(of_usage).map_or_else(default, Ok)?;
        Ok(calendar.seconds_in(period))
    }
}

/// The units in which usage of a meter can be given. Only the meter of the rule has priced units too.
fn units_of<'a>(rule: &'a Rule, meter: &'a Meter) -> Units<'a> {
    if rule.meter != meter.name {
        return Units::of_meter(&meter.unit);
    }
    let is_multiplied = rule.pricing_quantity.is_some();
    Units { metered: &meter.unit, priced: Some(&rule.pricing_unit), is_multiplied }
}

/// A quantity in metered units, from `1500` or `1500 GB`. Only a signed meter accepts a negative quantity.
fn quantity_of(
    text: &str,
    marks: NumberMarks,
    (rule, meter): (&Rule, &Meter),
    seconds: i64,
) -> Result<Quantity, Failure> {
    let units = units_of(rule, meter);
    let (number, unit) = split_unit(text);
    let number = parse_quantity(number, marks)?;
    if number.is_negative() && !meter.signed {
        let hint = format!("usage of meter `{}` is zero or more, because the meter has no `signed = true`", meter.name);
        return Err(usage_error(format!("the quantity {text} is negative"), hint));
    }
    let metered = units.metered;
    units.metered(number, unit, Some(seconds)).map_err(|error| {
        let counted = format!("`{metered}`, the unit of the meter");
        let both = match units.priced {
            Some(priced) if priced.name != metered => format!("`{}`, or {counted}", priced.name),
            _ => counted,
        };
        let message = match error {
            UnitError::Other => format!("the quantity is in `{unit}`, expected {both}"),
            UnitError::Multiplied => {
                format!("the quantity is in `{unit}`, but the rule multiplies the metered `{metered}`")
            }
            UnitError::NotExact => format!("{number} {unit} is not exact in `{metered}`"),
            UnitError::TooLarge => format!("{number} {unit} has too many digits in `{metered}`"),
        };
        usage_error(message, format!("give the quantity in {metered}"))
    })
}

/// The failure of a rule without a price for a usage: a missing dimension, or a value without a price.
fn without_price(rule: &Rule, meter: &Meter, usage: &[ExampleUsage], note: &str) -> Failure {
    let of_meter = |one: &&ExampleUsage| one.meter.as_ref().is_none_or(|meter| *meter == rule.meter);
    for one in usage.iter().filter(of_meter) {
        for (name, known) in priced_values(rule) {
            match one.dimensions.get(name) {
                None => {
                    let message = format!("rule `{}` has a price for each `{name}`, but `{name}` is missing", rule.id);
                    return usage_error(message, format!("add --dimension {name}=VALUE, one of {}", listed(&known)));
                }
                Some(value) if !known.contains(value.as_str()) => {
                    let message = format!("rule `{}` has no price for `{name}` = `{value}`", rule.id);
                    return usage_error(message, format!("it has prices for {}", listed(&known)));
                }
                Some(_) => {}
            }
        }
    }
    let names: Vec<&str> = meter.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
    let hint = match names.as_slice() {
        [] => format!("meter `{}` has no dimensions", meter.name),
        names => format!("dimensions of meter `{}`: {}", meter.name, names.join(", ")),
    };
    usage_error(format!("rule `{}` does not price this: {note}", rule.id), hint)
}

/// The dimensions that a rule's price depends on, each with the values that have a price.
fn priced_values(rule: &Rule) -> Vec<(&str, BTreeSet<&str>)> {
    match &rule.pricing {
        Pricing::Prices { by, values } => vec![(by.as_str(), values.keys().map(String::as_str).collect())],
        Pricing::Factor(Factor::By { by, values }) => {
            vec![(by.as_str(), values.keys().map(String::as_str).collect())]
        }
        Pricing::PriceList { dimensions, rows, .. } => {
            let values = |index: usize| rows.iter().filter_map(|row| Some(row.values.get(index)?.as_str())).collect();
            dimensions.iter().enumerate().map(|(index, name)| (name.as_str(), values(index))).collect()
        }
        _ => Vec::new(),
    }
}

/// The first few of the values, in their order.
fn listed(values: &BTreeSet<&str>) -> String {
    const MOST: usize = 10;
    let first: Vec<&str> = values.iter().take(MOST).copied().collect();
    let more = match values.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", first.join(", "))
}

/// The month of the first usage with a time.
fn month_of(usage: &[ExampleUsage], zone: &TimeZone) -> Option<BillingPeriod> {
    let at = usage.iter().find_map(|usage| usage.at)?;
    Some(BillingPeriod::of(date_of(Calendar::new(zone.clone()).day_of(at))))
}

/// Refuses usage of several months, because pools and caps count one month.
fn refuse_outside(usage: &[ExampleUsage], period: Option<&str>, zone: &TimeZone) -> Result<(), Failure> {
    let mut calendar = Calendar::new(zone.clone());
    for at in usage.iter().filter_map(|usage| usage.at) {
        let month = BillingPeriod::of(date_of(calendar.day_of(at))).to_string();
        if period.is_some_and(|period| period != month) {
            let message = format!("the usage at {} is in {month}", crate::intake::resolve::collector::instant(at));
            return Err(usage_error(message, "a quote covers one month: that of --period, or of the first usage"));
        }
    }
    Ok(())
}

fn parse_quantity(text: &str, marks: NumberMarks) -> Result<Quantity, Failure> {
    let canonical = marks.canonical(text).ok_or(ParseDecimalError::Malformed);
    match canonical.and_then(|canonical| Quantity::parse_exact(&canonical)) {
        Ok(quantity) => Ok(quantity),
        Err(error) => {
            let plain = || "write digits with a decimal point, such as 1500.5".to_owned();
            Err(usage_error(format!("`{text}` {error}"), marks.expected().unwrap_or_else(plain)))
        }
    }
}

fn dimension_value(name: &str, value: &str, meter: &Meter) -> Result<String, Failure> {
    let Some(dimension) = meter.dimension(name) else {
        let known: Vec<&str> = meter.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
        let message = format!("meter `{}` has no dimension `{name}`", meter.name);
        return Err(usage_error(message, format!("available: {}", known.join(", "))));
    };
    canonical_value(dimension.kind, value).ok_or_else(|| {
        let message = format!("`{value}` is not a value of `{name}`");
        usage_error(message, "decimals are digits with a point, booleans are true or false")
    })
}

impl QuoteCommand {
    /// The dialect of the usage file.
    fn dialect(&self, config: &Config) -> Result<Dialect, Failure> {
        let Some(name) = &self.dialect_of else { return Ok(Dialect::default()) };
        let of_files = |source: &SourceConfig| match &source.origin {
            Origin::Files(files) => Some((source.name.clone(), files.dialect.clone())),
            Origin::Server(_) => None,
        };
        let known: Vec<(String, Dialect)> = config.sources.iter().filter_map(of_files).collect();
        known.iter().find(|(known, _)| known == name).map(|(_, dialect)| dialect.clone()).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            usage_error(format!("there is no source `{name}` of files"), format!("sources: {}", names.join(", ")))
        })
    }

    /// Reads usage from a CSV file.
    fn read_usage(
        &self,
        path: &Path,
        dialect: &Dialect,
        rule: &Rule,
        rules: &RuleBook,
        zone: &TimeZone,
    ) -> Result<Vec<ExampleUsage>, Failure> {
        let unreadable = || format!("could not read `{}`", path.display());
        let text = decode(std::fs::read(path).with_context(unreadable)?, dialect.encoding).with_context(unreadable)?;
        let text = text.trim_start_matches('\u{feff}');
        let mut reader =
            dialect.rows().has_headers(true).flexible(false).trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().with_context(unreadable)?.clone();
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let keys = dialect.suggestion(&names, text.split_once('\n').map_or("", |(_, rows)| rows));
        if !keys.is_empty() {
            let message = format!("the header of `{}` is one column", path.display());
            let hint = format!("name a source that has {} with --dialect-of", keys.entries());
            return Err(usage_error(message, hint));
        }
        let mut usage = Vec::new();
        for (number, record) in (2..).zip(reader.records()) {
            let record = record.with_context(|| format!("could not read line {number} of `{}`", path.display()))?;
            // Usage of another meter may fill the pool of the rule, or add included units.
            let own = header.iter().zip(&record).find(|(name, cell)| *name == "meter" && !cell.is_empty());
            let meter = match own {
                Some((_, name)) => rules.meter(name).ok_or_else(|| {
                    let known: Vec<&str> = rules.meters.iter().map(|meter| meter.name.as_str()).collect();
                    usage_error(
                        format!("line {number}: there is no meter `{name}`"),
                        format!("meters: {}", known.join(", ")),
                    )
                })?,
                None => rules.meter(&rule.meter).ok_or(Error::Internal("the meter of a rule does not exist"))?,
            };
            let mut row = ExampleUsage {
                meter: own.map(|(_, name)| name.to_owned()),
                at: None,
                quantity: Quantity::ZERO,
                windows: 1,
                resource_id: None,
                project_id: None,
                dimensions: BTreeMap::new(),
            };
            let mut quantity = "0";
            for (name, cell) in header.iter().zip(&record).filter(|(_, cell)| !dialect.is_null(cell)) {
                match name {
                    "quantity" => quantity = cell,
                    "meter" => {}
                    "resource" => row.resource_id = Some(cell.to_owned()),
                    "project" => row.project_id = Some(cell.to_owned()),
                    "at" => {
                        let at = timestamp::read(cell, &dialect.clock, "").map_err(|(_, problem)| {
                            let message = format!("line {number}: {problem}");
                            usage_error(message, "write RFC 3339, such as 2026-10-01T00:00:00Z")
                        })?;
                        row.at = Some(at);
                    }
                    name => {
                        row.dimensions.insert(name.to_owned(), dimension_value(name, cell, meter)?);
                    }
                }
            }
            row.quantity = quantity_of(quantity, dialect.numbers, (rule, meter), self.seconds(row.at, zone)?)?;
            usage.push(row);
        }
        if usage.is_empty() || !header.iter().any(|name| name == "quantity") {
            let message = format!("`{}` has no usage", path.display());
            return Err(usage_error(message, "write a CSV file with the column `quantity` and one row for each usage"));
        }
        Ok(usage)
    }
}
