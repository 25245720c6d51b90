//! The examples that rules carry, priced by the same statements as real usage: `conto rules test`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use iso_currency::Currency;
use jiff::tz::TimeZone;

use super::matching::CompiledRule;
use super::rate::{PeriodLength, Rate, rates};
use super::rule::{Pricing, Rule, RuleBook, RuleExample};
use super::segment::{Segment, charge_segment_rows, segments};
use super::{choose_rates, price, register};
use crate::diagnostic::Place;
use crate::money::{Cost, Quantity};
use crate::period::{BillingPeriod, Calendar, DayNumber};
use crate::pipeline::Error;
use crate::query::{Parameters, Session, statement};
use crate::rows;

/// The period of an example that names none.
const DEFAULT_PERIOD: &str = "2026-01";

/// What an example gave.
#[derive(Clone, Debug)]
pub struct ExampleOutcome {
    pub rule_id: String,
    pub say: String,
    pub declared_at: Place,
    /// Expected and found, where the example states a cost.
    pub cost: Option<(Cost, Cost)>,
    /// Expected and found, where the example states a net amount.
    pub net_amount: Option<(Cost, Cost)>,
    /// Why the rule priced nothing or less than all, if so.
    pub note: Option<String>,
}

impl ExampleOutcome {
    pub fn passed(&self) -> bool {
        [self.cost, self.net_amount].into_iter().flatten().all(|(expected, found)| expected == found)
    }
}

/// One example with the account that stands for it: accounts share no pool.
struct Case<'a> {
    rule: &'a Rule,
    example: &'a RuleExample,
    account_id: String,
}

/// Runs every example of the rules.
pub async fn run_examples(
    session: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    zone: &TimeZone,
    currency: Currency,
) -> Result<Vec<ExampleOutcome>, Error> {
    let mut calendar = Calendar::new(zone.clone());
    let mut by_period: BTreeMap<BillingPeriod, Vec<Case<'_>>> = BTreeMap::new();
    let examples = rules.rules.iter().flat_map(|rule| rule.examples.iter().map(move |example| (rule, example)));
    for (index, (rule, example)) in examples.enumerate() {
        let period = period_of(example, &mut calendar)?;
        by_period.entry(period).or_default().push(Case { rule, example, account_id: format!("example {index}") });
    }
    let rates = rates(rules);
    let mut outcomes = Vec::new();
    for (period, cases) in by_period {
        let segments = segments(rules, &rates, &mut calendar, period, |_| true);
        let length = PeriodLength { seconds: calendar.seconds_in(period) };
        let Used { active_series, usage_segment, metered_usage } =
            usage_rows(&cases, rules, &segments, &mut calendar, period)?;
        register(session, "rating/active_series", active_series.clone())?;
        register(session, "rating/usage_segment", usage_segment)?;
        register(session, "metering/metered_usage", metered_usage)?;
        let charge_segment = charge_segment_rows(&segments, &mut calendar, period)?;
        register(session, "rating/charge_segment", charge_segment)?;
        choose_rates(session, rules, compiled, &rates, &segments, length, &[active_series]).await?;
        let priced = price(session).await?;
        let charges = session.run("invoicing/charge", Parameters::none()).await?;
        let places = u32::from(currency.exponent().unwrap_or(2));
        for case in &cases {
            outcomes.push(outcome(case, &rates, &priced.rated_usage, &charges, places)?);
        }
    }
    outcomes.sort_by_key(|outcome| (outcome.declared_at.source.name.clone(), outcome.declared_at.span.start));
    Ok(outcomes)
}

fn period_of(example: &RuleExample, calendar: &mut Calendar) -> Result<BillingPeriod, Error> {
    let written = match (&example.period, example.usage.iter().find_map(|usage| usage.at)) {
        (Some(period), _) => period.clone(),
        (None, Some(at)) => return Ok(BillingPeriod::of(crate::period::date_of(calendar.day_of(at)))),
        (None, None) => DEFAULT_PERIOD.to_owned(),
    };
    written.parse().map_err(|_| Error::Internal("an example's period that was not checked when it was read"))
}

/// The usage of examples as rows.
struct Used {
    active_series: RecordBatch,
    usage_segment: RecordBatch,
    metered_usage: RecordBatch,
}

/// Rows of `active_series`, `usage_segment` and `metered_usage` for the usage of examples.
fn usage_rows(
    cases: &[Case<'_>],
    rules: &RuleBook,
    segments: &[Segment],
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Result<Used, Error> {
    type SeriesKey<'a> = (&'a str, &'a str, &'a str, &'a str, &'a BTreeMap<String, String>);
    let mut series: BTreeMap<SeriesKey<'_>, u64> = BTreeMap::new();
    let mut usage: BTreeMap<(u64, DayNumber, i64), Quantity> = BTreeMap::new();
    // By series and start; with the date and the end.
    let mut windows: BTreeMap<(u64, i64, (DayNumber, i64)), Quantity> = BTreeMap::new();
    for case in cases {
        for part in &case.example.usage {
            let key: SeriesKey<'_> = (
                &case.account_id,
                &case.rule.meter,
                part.project_id.as_deref().unwrap_or("project"),
                part.resource_id.as_deref().unwrap_or("resource"),
                &part.dimensions,
            );
            let next = series.len() as u64;
            let series_id = *series.entry(key).or_insert(next);
            let at = part.at.unwrap_or_else(|| calendar.day_start(period.start_day()));
            let segment = segments.iter().find(|segment| segment.contains(at));
            let segment = segment.ok_or(Error::Internal("an example's usage outside of its period"))?;
            let day = calendar.day_of(at);
            let seconds = rules.meter(&case.rule.meter).map_or(3600, |meter| meter.window_seconds);
            let window = window_start(at, calendar.day_start(day), seconds);
            let window_end = (window + i64::from(seconds) * 1_000_000).min(calendar.day_start(day + 1));
            for sum in [
                usage.entry((series_id, day, segment.start)).or_default(),
                windows.entry((series_id, window, (day, window_end))).or_default(),
            ] {
                let added = sum.checked_add(part.quantity);
                *sum = added.ok_or(Error::Internal("an example's quantity beyond 38 digits"))?;
            }
        }
    }
    let mut ordered: Vec<(&SeriesKey<'_>, u64)> = series.iter().map(|(key, id)| (key, *id)).collect();
    ordered.sort_by_key(|(_, id)| *id);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (key, _) in &ordered {
        for (name, value) in key.4 {
            maps.keys().append_value(name);
            maps.values().append_value(value);
        }
        maps.append(true).map_err(|source| rows::failed("active_series", source))?;
    }
    let text = |pick: &dyn Fn(&SeriesKey<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(ordered.iter().map(|(key, _)| pick(key))))
    };
    let none = || -> ArrayRef { Arc::new(StringArray::from(vec![None::<&str>; ordered.len()])) };
    let described = |key: &SeriesKey<'_>| {
        let parts: Vec<String> = key.4.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.join("; ")
    };
    let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(ordered.iter().map(|(_, id)| *id)));
    let columns: Vec<ArrayRef> = vec![
        Arc::clone(&ids),
        ids,
        text(&|key| key.1.to_owned()),
        text(&|key| rules.meter(key.1).map(|meter| meter.unit.clone()).unwrap_or_default()),
        text(&|key| key.3.to_owned()),
        text(&|key| key.2.to_owned()),
        none(),
        text(&|key| key.0.to_owned()),
        none(),
        text(&|_| "invoiced".to_owned()),
        text(&described),
        Arc::new(maps.finish()),
    ];
    let active_series = rows::batch(statement("rating/active_series")?, columns)?;
    // Zero is dropped here as it is for real usage, but where it says that nothing was used in all of the period.
    let used: BTreeMap<u64, bool> = usage.iter().fold(BTreeMap::new(), |mut used, (key, quantity)| {
        *used.entry(key.0).or_default() |= !quantity.is_zero();
        used
    });
    usage.retain(|key, quantity| !quantity.is_zero() || !used[&key.0]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(usage.keys().map(|key| key.0))),
        Arc::new(Date32Array::from_iter_values(usage.keys().map(|key| key.1))),
        Arc::new(rows::timestamps(usage.keys().map(|key| Some(key.2)))),
        Arc::new(rows::decimals(usage.values().map(|quantity| Some(quantity.units())), 28, 9)?),
    ];
    let usage_segment = rows::batch(statement("rating/usage_segment")?, columns)?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(windows.keys().map(|key| key.0))),
        Arc::new(Date32Array::from_iter_values(windows.keys().map(|key| key.2.0))),
        Arc::new(rows::timestamps(windows.keys().map(|key| Some(key.1)))),
        Arc::new(rows::timestamps(windows.keys().map(|key| Some(key.2.1)))),
        Arc::new(rows::decimals(windows.values().map(|quantity| Some(quantity.units())), 28, 9)?),
        Arc::new(Int64Array::from_iter_values(windows.keys().map(|_| 1))),
    ];
    let metered_usage = rows::batch(statement("metering/metered_usage")?, columns)?;
    Ok(Used { active_series, usage_segment, metered_usage })
}

/// Where the window of an instant begins; windows are counted from local midnight.
fn window_start(at: i64, day_start: i64, window_seconds: u32) -> i64 {
    at - (at - day_start).rem_euclid(i64::from(window_seconds) * 1_000_000)
}

fn outcome(
    case: &Case<'_>,
    rates: &[Rate<'_>],
    rated_usage: &[RecordBatch],
    charges: &[RecordBatch],
    places: u32,
) -> Result<ExampleOutcome, Error> {
    let is_factor = matches!(case.rule.pricing, Pricing::Factor(_));
    let mut cost = Cost::ZERO;
    let mut priced_by: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows::each(rated_usage) {
        if row.text("account_id")? != case.account_id || row.text("component")? != case.rule.component {
            continue;
        }
        let rate_id = row.text("rate_id")?;
        let rule_id = rates.iter().find(|rate| rate.id == rate_id).map_or("", |rate| rate.rule.id.as_str());
        *priced_by.entry(rule_id).or_default() += 1;
        if is_factor || rule_id == case.rule.id {
            let sum = cost.checked_add(row.decimal("contracted_cost")?);
            cost = sum.ok_or(Error::Internal("a cost beyond 38 digits"))?;
        }
    }
    let mut net = Cost::ZERO;
    for row in rows::each(charges) {
        let of_component = row.text("account_id")? == case.account_id && row.text("component")? == case.rule.component;
        if of_component && (is_factor || row.text("sku")? == case.rule.sku) {
            // A charge becomes a line by one rounding.
            let line = row.decimal::<18>("contracted_cost")?.round_to(places);
            net = net.checked_add(line).ok_or(Error::Internal("an amount beyond 38 digits"))?;
        }
    }
    let others: Vec<&str> = priced_by.keys().copied().filter(|rule| *rule != case.rule.id).collect();
    let note = if is_factor {
        priced_by.is_empty().then(|| "no rule prices this usage, so there is nothing to multiply".to_owned())
    } else if !others.is_empty() {
        Some(format!("priced by `{}` instead, which has a higher priority", others.join("`, `")))
    } else if priced_by.is_empty() {
        Some("no rule prices this usage: `when` is not true, or a table lacks the value".to_owned())
    } else {
        None
    };
    Ok(ExampleOutcome {
        rule_id: case.rule.id.clone(),
        say: case.example.say.clone(),
        declared_at: case.example.declared_at.clone(),
        cost: case.example.cost.map(|expected| (expected, cost)),
        net_amount: case.example.net_amount.map(|expected| (expected, net)),
        note,
    })
}
