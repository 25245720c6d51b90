//! The run of examples in rule files, for `conto rules test`. The same statements price examples and real usage.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use jiff::tz::TimeZone;

use super::non_usage_charges::{parameters_of, register_no_coverage};
use super::pricer::Priced;
use super::pricing_context::PricingContext;
use super::rate::{PeriodLength, Rate, rates};
use super::segment::Segment;
use super::segmentation::{charge_segment_rows, segments};
use super::{coverage, price, price_uncovered, select_rates, subscription};
use crate::error::Error;
use crate::model::account::Accounts;
use crate::model::commitment_discount::{CommitmentExample, Reservation};
use crate::model::diagnostic::Place;
use crate::model::example::{ExampleUsage, RuleExample};
use crate::model::money::{Cost, Quantity, UnitPrice, places_of_code};
use crate::model::period::{BillingPeriod, Calendar, DayNumber, date_of};
use crate::model::recurring::{RecurringExample, RecurringFee};
use crate::model::rule::DEFAULT_PERIOD;
use crate::model::rule::{Factor, PUBLIC, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::model::terms::Validity;
use crate::query::{Parameters, Session, statement};
use crate::rating::account_assignments::Cards;
use crate::rating::compiled_rule::CompiledRule;
use crate::rating::included_units::included_units;
use crate::rows;

/// The component in which all usage must have a price. Commitments cover only this component.
const BASE: &str = "base";

/// The result of an example.
#[derive(Clone, Debug)]
pub struct ExampleOutcome {
    pub rule_id: String,
    pub name: String,
    pub declared_at: Place,
    /// The expected and the computed cost, if the example has an expected cost.
    pub cost: Option<(Cost, Cost)>,
    /// The expected and the computed net amount, if the example has an expected net amount.
    pub net_amount: Option<(Cost, Cost)>,
    /// The exact cost, before rounding.
    pub found_cost: Cost,
    /// The sum of the rounded invoice lines.
    pub found_net_amount: Cost,
    /// The parts of the cost, in the order of tiers.
    pub working: Vec<Working>,
    /// The reason if the rule does not price all usage of the example.
    pub note: Option<String>,
}

/// A part of a cost: the usage in one tier at one price, a flat fee, or an adjustment by a minimum or maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    pub rule_id: String,
    /// `usage`, `flat_fee`, `minimum`, `maximum` or `reserved`. For a non-usage charge, its charge kind.
    pub charge_kind: String,
    /// The start of the tier in priced units, exclusive.
    pub tier_start: Quantity,
    /// The quantity in priced units. For a flat fee, the quantity is the number of fees. For a commitment, the quantity
    /// may be an amount of money.
    pub pricing_quantity: Quantity,
    pub unit_price: UnitPrice,
    pub unit_price_per: Quantity,
    pub cost: Cost,
}

impl ExampleOutcome {
    pub fn passed(&self) -> bool {
        [self.cost, self.net_amount].into_iter().flatten().all(|(expected, found)| expected == found)
    }
}

/// The expected result of an example: name, place, expected cost, and expected net amount.
type Expected<'a> = (&'a String, &'a Place, Option<Cost>, Option<Cost>);

/// The outcome with the computed and the expected cost and net amount.
fn compared(
    rule_id: &str,
    (name, declared_at, cost, net_amount): Expected<'_>,
    found: (Cost, Cost),
    working: Vec<Working>,
    note: Option<String>,
) -> ExampleOutcome {
    ExampleOutcome {
        rule_id: rule_id.to_owned(),
        name: name.clone(),
        declared_at: declared_at.clone(),
        cost: cost.map(|expected| (expected, found.0)),
        net_amount: net_amount.map(|expected| (expected, found.1)),
        found_cost: found.0,
        found_net_amount: found.1,
        working,
        note,
    }
}

/// An example of a rule with its own account, because accounts share no pool.
struct Case<'a> {
    rule: &'a Rule,
    example: &'a RuleExample,
    account_id: String,
}

impl Case<'_> {
    fn uses(&self) -> CaseUsage<'_> {
        CaseUsage { account_id: &self.account_id, meter: Some(&self.rule.meter), parts: &self.example.usage }
    }
}

/// The usage of one example. `meter` is the default for usage without its own meter.
struct CaseUsage<'a> {
    account_id: &'a str,
    meter: Option<&'a str>,
    parts: &'a [ExampleUsage],
}

impl<'a> CaseUsage<'a> {
    fn meter_of(&self, part: &'a ExampleUsage) -> Result<&'a str, Error> {
        part.meter.as_deref().or(self.meter).ok_or(Error::Internal("the usage of an example has no meter"))
    }
}

/// Runs every example of rules, recurring fees and commitment discounts.
pub async fn run_examples(
    session: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    zone: &TimeZone,
) -> Result<Vec<ExampleOutcome>, Error> {
    let mut outcomes = run_rule_examples(session, rules, compiled, zone).await?;
    outcomes.extend(run_recurring_examples(session, rules).await?);
    outcomes.extend(run_commitment_examples(session, rules, compiled, zone).await?);
    outcomes.sort_by_key(|outcome| (outcome.declared_at.source.name.clone(), outcome.declared_at.span.start));
    Ok(outcomes)
}

/// Runs the examples of recurring fees. An account owes the fee on the days of each example.
async fn run_recurring_examples(session: &Session, rules: &RuleBook) -> Result<Vec<ExampleOutcome>, Error> {
    let mut by_period: BTreeMap<BillingPeriod, Vec<(&RecurringFee, &RecurringExample, String)>> = BTreeMap::new();
    let examples = rules.recurring.iter().flat_map(|fee| fee.examples.iter().map(move |example| (fee, example)));
    for (index, (fee, example)) in examples.enumerate() {
        let period = match (&example.period, example.from) {
            (Some(period), _) => checked_period(period)?,
            (None, Some(from)) => BillingPeriod::of(date_of(from)),
            (None, None) => checked_period(DEFAULT_PERIOD)?,
        };
        by_period.entry(period).or_default().push((fee, example, format!("example {index}")));
    }
    let mut outcomes = Vec::new();
    for (period, cases) in by_period {
        let month = (period.start_day(), period.end_day());
        let days = |example: &RecurringExample| {
            let (from, to) = (example.from.unwrap_or(month.0), example.to.unwrap_or(month.1));
            (from.max(month.0), to.min(month.1))
        };
        let registered: Vec<_> = cases
            .iter()
            .map(|(fee, example, account)| (*fee, account.as_str(), days(example)))
            .filter(|(_, _, days)| days.0 < days.1)
            .collect();
        register_no_coverage(session)?;
        subscription::register_examples(session, rules, &registered, month)?;
        session.materialize("rating/non_usage_charge", parameters_of(period)).await?;
        let purchases = session.run("invoicing/purchase", Parameters::none()).await?;
        for (fee, example, account) in &cases {
            outcomes.push(recurring_outcome(fee, example, account, &purchases)?);
        }
    }
    Ok(outcomes)
}

fn recurring_outcome(
    fee: &RecurringFee,
    example: &RecurringExample,
    account_id: &str,
    purchases: &[RecordBatch],
) -> Result<ExampleOutcome, Error> {
    let (cost, net, working) = purchased(&fee.id, account_id, purchases)?;
    let note = working.is_empty().then(|| "the example has the fee on no day of the period".to_owned());
    let expected = (&example.name, &example.declared_at, example.cost, example.net_amount);
    Ok(compared(&fee.id, expected, (cost, net), working, note))
}

/// The non-usage charges of an account: the exact cost, the rounded net amount, and the parts.
fn purchased(rule_id: &str, account_id: &str, purchases: &[RecordBatch]) -> Result<(Cost, Cost, Vec<Working>), Error> {
    let (mut cost, mut net, mut working) = (Cost::ZERO, Cost::ZERO, Vec::new());
    for row in rows::each(purchases) {
        if row.text("account_id")? != account_id {
            continue;
        }
        let part = Working {
            rule_id: rule_id.to_owned(),
            charge_kind: row.text("charge_kind")?.to_owned(),
            tier_start: Quantity::ZERO,
            pricing_quantity: row.decimal("quantity")?,
            unit_price: row.decimal("contracted_unit_price")?,
            unit_price_per: row.decimal("unit_price_per")?,
            cost: row.decimal("contracted_cost")?,
        };
        cost = cost.checked_add(part.cost).ok_or(Error::COST_OVERFLOW)?;
        net = net.checked_add(as_line(row)?).ok_or(Error::COST_OVERFLOW)?;
        working.push(part);
    }
    Ok((cost, net, working))
}

/// The net amount of a charge: its cost, rounded once to the places of its currency, like an invoice line.
fn as_line(charge: rows::Row<'_>) -> Result<Cost, Error> {
    let places = places_of_code(charge.text("price_currency")?);
    Ok(charge.decimal::<Cost>("contracted_cost")?.round_to(places))
}

fn checked_period(written: &str) -> Result<BillingPeriod, Error> {
    written.parse().map_err(|_| Error::Internal("the period of an example was not checked when it was read"))
}

async fn run_rule_examples(
    session: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    zone: &TimeZone,
) -> Result<Vec<ExampleOutcome>, Error> {
    let mut calendar = Calendar::new(zone.clone());
    let mut by_period: BTreeMap<BillingPeriod, Vec<Case<'_>>> = BTreeMap::new();
    let examples = rules.rules.iter().flat_map(|rule| rule.examples.iter().map(move |example| (rule, example)));
    for (index, (rule, example)) in examples.enumerate() {
        let period = period_of(example.period.as_deref(), None, &example.usage, &mut calendar)?;
        by_period.entry(period).or_default().push(Case { rule, example, account_id: format!("example {index}") });
    }
    let rates = rates(rules);
    let mut outcomes = Vec::new();
    for (period, cases) in by_period {
        let segments = segments(rules, &rates, &mut calendar, period, |_| true, &BTreeSet::new());
        let length = PeriodLength { seconds: calendar.seconds_in(period) };
        let used: Vec<CaseUsage<'_>> = cases.iter().map(Case::uses).collect();
        let active_series = register_usage(session, &used, rules, &segments, &mut calendar, period)?;
        // The account of an example has the card of its rule, followed by the public card.
        let cards = cases.iter().map(|case| {
            let card = case.rule.card.as_str();
            (case.account_id.as_str(), if card == PUBLIC { vec![PUBLIC] } else { vec![card, PUBLIC] })
        });
        let cards = Cards::new(cards);
        let included_units = included_units(rules, &mut calendar, period)?;
        let pricing = PricingContext {
            rules,
            compiled,
            rates: &rates,
            segments: &segments,
            length,
            included_units: &included_units,
            cards: &cards,
        };
        let selected = select_rates(session, &pricing, &[active_series]).await?;
        let priced = price(session, &selected.pricer).await?;
        let charges = session.run("invoicing/charge", Parameters::none()).await?;
        let found = PricedExamples::new(&rates, &priced, &charges)?;
        for case in &cases {
            outcomes.push(outcome(case, &found, rules)?);
        }
    }
    Ok(outcomes)
}

/// Runs the examples of commitments. The uncovered usage has public prices.
async fn run_commitment_examples(
    session: &Session,
    rules: &RuleBook,
    compiled: &[CompiledRule<'_>],
    zone: &TimeZone,
) -> Result<Vec<ExampleOutcome>, Error> {
    let mut calendar = Calendar::new(zone.clone());
    let mut by_period: BTreeMap<BillingPeriod, Vec<(&Reservation, &CommitmentExample, Reservation)>> = BTreeMap::new();
    let examples = rules.reservations.iter().flat_map(|one| one.examples.iter().map(move |example| (one, example)));
    for (index, (one, example)) in examples.enumerate() {
        let period = period_of(example.period.as_deref(), example.from, &example.usage, &mut calendar)?;
        // Each example has its own account, because accounts share neither pools nor commitments.
        let account = format!("example {index}");
        let day = |day: Option<DayNumber>| day.map(date_of);
        let validity = Validity { from: day(example.from), to: day(example.to) };
        let commitment = Reservation { id: account.clone(), account, project: None, validity, ..one.clone() };
        by_period.entry(period).or_default().push((one, example, commitment));
    }
    let rates = rates(rules);
    let cards = Cards::default();
    let accounts = Accounts::default();
    let mut outcomes = Vec::new();
    for (period, cases) in by_period {
        let month = (period.start_day(), period.end_day());
        let segments = segments(rules, &rates, &mut calendar, period, |_| true, &BTreeSet::new());
        let length = PeriodLength { seconds: calendar.seconds_in(period) };
        let included_units = included_units(rules, &mut calendar, period)?;
        subscription::register_examples(session, rules, &[], month)?;
        let used = cases.iter().map(|(one, example, commitment)| {
            let first = one.covers.first().map(|cover| cover.meter.as_str());
            CaseUsage { account_id: &commitment.account, meter: first, parts: &example.usage }
        });
        let used: Vec<CaseUsage<'_>> = used.collect();
        let active_series = [register_usage(session, &used, rules, &segments, &mut calendar, period)?];
        let pricing = PricingContext {
            rules,
            compiled,
            rates: &rates,
            segments: &segments,
            length,
            included_units: &included_units,
            cards: &cards,
        };
        let selected = select_rates(session, &pricing, &active_series).await?;
        let commitments: Vec<Reservation> = cases.iter().map(|(_, _, commitment)| commitment.clone()).collect();
        let inputs = coverage::CoverageInputs { session, rules, accounts: &accounts, month };
        coverage::cover(&inputs, &mut calendar, &commitments, &active_series).await?;
        let priced = price_uncovered(session, &selected.pricer).await?;
        let charges = session.run("invoicing/charge", Parameters::none()).await?;
        session.materialize("rating/non_usage_charge", parameters_of(period)).await?;
        let purchases = session.run("invoicing/purchase", Parameters::none()).await?;
        let found = PricedExamples::new(&rates, &priced, &charges)?;
        for (one, example, commitment) in &cases {
            outcomes.push(commitment_outcome(one, example, &commitment.account, &found, &purchases)?);
        }
    }
    Ok(outcomes)
}

fn commitment_outcome(
    reservation: &Reservation,
    example: &CommitmentExample,
    account_id: &str,
    found: &PricedExamples<'_>,
    purchases: &[RecordBatch],
) -> Result<ExampleOutcome, Error> {
    let (mut cost, mut net, mut working) = purchased(&reservation.id, account_id, purchases)?;
    let mut of_rules = Workings::default();
    for row in found.rated.get(account_id).into_iter().flatten() {
        let rule = found.rule(row.text("rate_id")?)?;
        if row.text("component")? == BASE {
            let part = of_rules.add(rule, row)?;
            cost = cost.checked_add(part).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    for row in found.charges.get(account_id).into_iter().flatten() {
        if row.text("component")? == BASE {
            net = net.checked_add(as_line(*row)?).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    working.extend(of_rules.0.into_values());
    let unrated = found.unrated.contains_key(&(account_id, BASE));
    let note = unrated.then(|| "no rule prices a part of this usage, so the commitment does not cover it".to_owned());
    let expected = (&example.name, &example.declared_at, example.cost, example.net_amount);
    Ok(compared(&reservation.id, expected, (cost, net), working, note))
}

fn period_of(
    period: Option<&str>,
    from: Option<DayNumber>,
    usage: &[ExampleUsage],
    calendar: &mut Calendar,
) -> Result<BillingPeriod, Error> {
    let of_usage = usage.iter().find_map(|usage| usage.at).map(|at| calendar.day_of(at));
    match (period, from.or(of_usage)) {
        (Some(period), _) => checked_period(period),
        (None, Some(day)) => Ok(BillingPeriod::of(date_of(day))),
        (None, None) => checked_period(DEFAULT_PERIOD),
    }
}

/// Registers the usage of examples as the usage of the period, and returns its series.
fn register_usage(
    session: &Session,
    cases: &[CaseUsage<'_>],
    rules: &RuleBook,
    segments: &[Segment],
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Result<RecordBatch, Error> {
    let usage = SummedUsage::new(cases, rules, segments, calendar, period)?;
    let active_series = usage.active_series(rules)?;
    session.register("rating/active_series", vec![active_series.clone()])?;
    session.register("rating/usage_segment", vec![usage.usage_segment()?])?;
    session.register("metering/metered_usage", vec![usage.metered_usage()?])?;
    register_no_coverage(session)?;
    session.register("rating/charge_segment", vec![charge_segment_rows(segments, calendar, period)?])?;
    Ok(active_series)
}

/// The key of a series of examples: account, meter, project, resource and dimensions.
type SeriesKey<'a> = (&'a str, &'a str, &'a str, &'a str, &'a BTreeMap<String, String>);

/// The usage of examples, added up by series.
#[derive(Default)]
struct SummedUsage<'a> {
    series: BTreeMap<SeriesKey<'a>, u64>,
    /// Quantities by series, date and segment.
    segments: BTreeMap<(u64, DayNumber, i64), Quantity>,
    /// Quantities by series, start of the window, and date with end of the window.
    windows: BTreeMap<(u64, i64, (DayNumber, i64)), Quantity>,
}

impl<'a> SummedUsage<'a> {
    fn new(
        cases: &'a [CaseUsage<'a>],
        rules: &RuleBook,
        segments: &[Segment],
        calendar: &mut Calendar,
        period: BillingPeriod,
    ) -> Result<Self, Error> {
        let mut sums = Self::default();
        for case in cases {
            for part in case.parts {
                let meter_name = case.meter_of(part)?;
                let meter = rules.meter(meter_name);
                let key: SeriesKey<'_> = (
                    case.account_id,
                    meter_name,
                    part.project_id.as_deref().unwrap_or("project"),
                    part.resource_id.as_deref().unwrap_or("resource"),
                    &part.dimensions,
                );
                let next = sums.series.len() as u64;
                let series_id = *sums.series.entry(key).or_insert(next);
                let first = part.at.unwrap_or_else(|| calendar.day_start(period.start_day()));
                let seconds = meter.map_or(3600, |meter| meter.window_seconds);
                // Each usage entry of an example counts as one record.
                let counted =
                    meter.and_then(|meter| meter.record).map_or(part.quantity, |record| record.counted(part.quantity));
                for window in 0..i64::from(part.windows) {
                    let at = first + window * i64::from(seconds) * 1_000_000;
                    sums.add((series_id, at, seconds), counted, segments, calendar)?;
                }
            }
        }
        sums.drop_zeros();
        Ok(sums)
    }

    /// Adds the quantity of a series in the window that contains an instant.
    fn add(
        &mut self,
        (series_id, at, seconds): (u64, i64, u32),
        counted: Quantity,
        segments: &[Segment],
        calendar: &mut Calendar,
    ) -> Result<(), Error> {
        let segment = segments.iter().find(|segment| segment.contains(at));
        let segment = segment.ok_or(Error::Internal("the usage of an example is outside of its period"))?;
        let day = calendar.day_of(at);
        let window = window_start(at, calendar.day_start(day), seconds);
        let window_end = (window + i64::from(seconds) * 1_000_000).min(calendar.day_start(day + 1));
        for sum in [
            self.segments.entry((series_id, day, segment.start)).or_default(),
            self.windows.entry((series_id, window, (day, window_end))).or_default(),
        ] {
            let added = sum.checked_add(counted);
            *sum = added.ok_or(Error::QUANTITY_OVERFLOW)?;
        }
        Ok(())
    }

    /// Drops rows of zero, as with real usage. A series with only such rows keeps them.
    fn drop_zeros(&mut self) {
        let used: BTreeMap<u64, bool> = self.segments.iter().fold(BTreeMap::new(), |mut used, (key, quantity)| {
            *used.entry(key.0).or_default() |= !quantity.is_zero();
            used
        });
        self.segments.retain(|key, quantity| !quantity.is_zero() || !used[&key.0]);
    }

    fn active_series(&self, rules: &RuleBook) -> Result<RecordBatch, Error> {
        let mut ordered: Vec<(&SeriesKey<'_>, u64)> = self.series.iter().map(|(key, id)| (key, *id)).collect();
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
        let description = |key: &SeriesKey<'_>| {
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
            text(&description),
            Arc::new(maps.finish()),
        ];
        rows::batch(statement("rating/active_series")?, columns)
    }

    fn usage_segment(&self) -> Result<RecordBatch, Error> {
        let usage = &self.segments;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(usage.keys().map(|key| key.0))),
            Arc::new(Date32Array::from_iter_values(usage.keys().map(|key| key.1))),
            Arc::new(rows::timestamps(usage.keys().map(|key| Some(key.2)))),
            Arc::new(rows::decimals(usage.values().map(|quantity| Some(quantity.units())), 38, 9)?),
        ];
        rows::batch(statement("rating/usage_segment")?, columns)
    }

    fn metered_usage(&self) -> Result<RecordBatch, Error> {
        let windows = &self.windows;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(windows.keys().map(|key| key.0))),
            Arc::new(Date32Array::from_iter_values(windows.keys().map(|key| key.2.0))),
            Arc::new(rows::timestamps(windows.keys().map(|key| Some(key.1)))),
            Arc::new(rows::timestamps(windows.keys().map(|key| Some(key.2.1)))),
            Arc::new(rows::decimals(windows.values().map(|quantity| Some(quantity.units())), 38, 9)?),
            Arc::new(Int64Array::from_iter_values(windows.keys().map(|_| 1))),
        ];
        rows::batch(statement("metering/metered_usage")?, columns)
    }
}

/// The start of the window that contains an instant. Windows are counted from local midnight.
fn window_start(at: i64, day_start: i64, window_seconds: u32) -> i64 {
    at - (at - day_start).rem_euclid(i64::from(window_seconds) * 1_000_000)
}

/// The results of pricing, by account.
struct PricedExamples<'a> {
    rated: HashMap<&'a str, Vec<rows::Row<'a>>>,
    charges: HashMap<&'a str, Vec<rows::Row<'a>>>,
    /// The reason why usage has no price, by account and component.
    unrated: HashMap<(&'a str, &'a str), &'a str>,
    rule_of: HashMap<&'a str, &'a Rule>,
}

impl<'a> PricedExamples<'a> {
    fn new(rates: &'a [Rate<'a>], priced: &'a Priced, charges: &'a [RecordBatch]) -> Result<Self, Error> {
        let by_account = |batches: &'a [RecordBatch]| -> Result<HashMap<&'a str, Vec<rows::Row<'a>>>, Error> {
            let mut of: HashMap<&str, Vec<rows::Row<'_>>> = HashMap::new();
            for row in rows::each(batches) {
                of.entry(row.text("account_id")?).or_default().push(row);
            }
            Ok(of)
        };
        let mut unrated = HashMap::new();
        for row in rows::each(&priced.unrated_usage) {
            unrated.insert((row.text("account_id")?, row.text("component")?), row.text("reason")?);
        }
        Ok(Self {
            rated: by_account(&priced.rated_usage)?,
            unrated,
            charges: by_account(charges)?,
            rule_of: rates.iter().map(|rate| (rate.id.as_str(), rate.rule)).collect(),
        })
    }

    fn rule(&self, rate_id: &str) -> Result<&'a Rule, Error> {
        self.rule_of.get(rate_id).copied().ok_or(Error::Internal("a row of rated usage has no rate"))
    }
}

/// The parts of a cost. Parts with equal rule, tier, kind and price are added up. Adjustments come last.
#[derive(Default)]
struct Workings(BTreeMap<(i64, String, i64, String, UnitPrice), Working>);

impl Workings {
    /// Adds a row of `rated_usage` and returns its cost.
    fn add(&mut self, rule: &Rule, row: &rows::Row<'_>) -> Result<Cost, Error> {
        let part = Working {
            rule_id: rule.id.clone(),
            charge_kind: row.text("charge_kind")?.to_owned(),
            tier_start: row.decimal("tier_start")?,
            pricing_quantity: row.decimal("pricing_quantity")?,
            unit_price: row.decimal("contracted_unit_price")?,
            unit_price_per: row.decimal("unit_price_per")?,
            cost: row.decimal("contracted_cost")?,
        };
        let cost = part.cost;
        let tier = row.number("tier_number")?;
        let is_adjustment = i64::from(matches!(part.charge_kind.as_str(), "minimum" | "maximum"));
        let key = (is_adjustment, part.rule_id.clone(), tier, part.charge_kind.clone(), part.unit_price);
        match self.0.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(part);
            }
            Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.pricing_quantity =
                    sum.pricing_quantity.checked_add(part.pricing_quantity).ok_or(Error::COST_OVERFLOW)?;
                sum.cost = sum.cost.checked_add(part.cost).ok_or(Error::COST_OVERFLOW)?;
            }
        }
        Ok(cost)
    }
}

fn outcome(case: &Case<'_>, found: &PricedExamples<'_>, rules: &RuleBook) -> Result<ExampleOutcome, Error> {
    let is_factor = matches!(case.rule.pricing, Pricing::Factor(_));
    let mut cost = Cost::ZERO;
    let mut priced_by: BTreeSet<&str> = BTreeSet::new();
    let mut working = Workings::default();
    for row in found.rated.get(case.account_id.as_str()).into_iter().flatten() {
        if row.text("component")? != case.rule.component {
            continue;
        }
        let rule = found.rule(row.text("rate_id")?)?;
        // Usage of other meters fills the pool or adds included units. The cost of such usage belongs to the rules of
        // its meter.
        if rule.meter != case.rule.meter {
            continue;
        }
        priced_by.insert(rule.id.as_str());
        if is_factor || rule.id == case.rule.id {
            cost = cost.checked_add(working.add(rule, row)?).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    let mut net = Cost::ZERO;
    for row in found.charges.get(case.account_id.as_str()).into_iter().flatten() {
        if row.text("component")? == case.rule.component && (is_factor || row.text("sku")? == case.rule.sku) {
            net = net.checked_add(as_line(*row)?).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    let unrated = found.unrated.get(&(case.account_id.as_str(), case.rule.component.as_str())).copied();
    let others: Vec<&str> = priced_by.iter().copied().filter(|rule| *rule != case.rule.id).collect();
    let note = if is_factor {
        priced_by.is_empty().then(|| "no rule prices this usage, so the factor multiplies nothing".to_owned())
    } else if !others.is_empty() {
        Some(format!("a rule with a higher priority prices this usage: `{}`", others.join("`, `")))
    } else if priced_by.is_empty() && unrated == Some("no_factor") {
        Some(missing_factors(case, rules))
    } else if priced_by.is_empty() {
        Some("no rule prices this usage: `when` is not true, or a table has no row for its values".to_owned())
    } else {
        None
    };
    let example = case.example;
    let expected = (&example.name, &example.declared_at, example.cost, example.net_amount);
    Ok(compared(&case.rule.id, expected, (cost, net), working.0.into_values().collect(), note))
}

/// The note for an example without a price because of factors. The note contains each factor without a number, and the
/// missing dimension or value.
fn missing_factors(case: &Case<'_>, rules: &RuleBook) -> String {
    let usage =
        case.example.usage.iter().filter(|usage| usage.meter.as_ref().is_none_or(|meter| *meter == case.rule.meter));
    let usage: Vec<_> = usage.collect();
    let competing = |rule: &&Rule| rule.meter == case.rule.meter && rule.component == case.rule.component;
    let mut lacking = Vec::new();
    for rule in rules.rules.iter().filter(competing) {
        let Pricing::Factor(Factor::By { by, values }) = &rule.pricing else { continue };
        let values_of_usage: BTreeSet<&str> =
            usage.iter().filter_map(|usage| usage.dimensions.get(by)).map(String::as_str).collect();
        if usage.iter().any(|usage| !usage.dimensions.contains_key(by)) {
            lacking.push(format!("factor `{}` needs `{by}`, which the example does not state", rule.id));
        } else if let Some(value) = values_of_usage.iter().find(|value| !values.contains_key(**value)) {
            lacking.push(format!("factor `{}` has no number for `{by}` = `{value}`", rule.id));
        }
    }
    format!("no price, because a factor has no number: {}", lacking.join("; "))
}
