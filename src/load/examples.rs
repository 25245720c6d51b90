//! Examples of rules and commitments: usage and its expected cost.

use std::collections::BTreeMap;

use super::dimensions::{names, value_of};
use super::instant::Month;
use super::keys;
use super::problems::suggestion;
use super::quantity::{In, Units};
use super::rule_parts::find_meter;
use super::rule_reader::RuleReader;
use super::table::{Table, Text, Value};
use super::term_parts::day;
use super::validity::moment;
use crate::model::commitment_discount::{CommitmentExample, Cover};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::example::{ExampleUsage, RuleExample};
use crate::model::meter::Meter;
use crate::model::money::Cost;
use crate::model::period::{BillingPeriod, day_number};
use crate::model::period::{Calendar, date_of};
use crate::model::rule::DEFAULT_PERIOD;

/// Reads a `[[rule.example]]`. The result is `None` if the example cannot be run.
pub(crate) fn read(
    mut table: Table<'_>,
    meter: Option<&Meter>,
    units: &Units<'_>,
    meters: &[Meter],
    reader: &RuleReader<'_>,
) -> Option<RuleExample> {
    let head = Head::take(&mut table, meter.is_some_and(|meter| meter.signed), reader);
    let counted = Counted { meter, units: *units, period: head.billing_period(), meters };
    let usage = match table.take("usage") {
        None => vec![usage_of(table, &counted.or_default_period(), reader)],
        Some(list) => usages(table, &list, &counted, reader),
    };
    check_period(&usage, head.month, reader);
    let Head { place, name, period, month, has_result, cost, net_amount } = head;
    let usage: Vec<ExampleUsage> = usage.into_iter().map(|read| read.usage).collect::<Option<_>>()?;
    let (cost, net_amount) = (cost.ok()?, net_amount.ok()?);
    let can_run = has_result && !usage.is_empty() && (period.is_none() || month.is_some());
    let name = name?.value;
    let period = period.map(|period| period.value);
    can_run.then_some(RuleExample { name, period, usage, cost, net_amount, declared_at: place })
}

/// Reads the examples of a commitment. Such an example can be without usage.
pub(crate) fn commitment_examples(
    tables: Vec<Table<'_>>,
    covers: &[Cover],
    meters: &[Meter],
    reader: &RuleReader<'_>,
) -> Vec<CommitmentExample> {
    let named = |cover: &Cover| meters.iter().find(|meter| meter.name == cover.meter);
    // If the commitment covers several meters, each usage must name its meter.
    let meter = covers.first().filter(|first| covers.iter().all(|cover| cover.meter == first.meter)).and_then(named);
    tables.into_iter().filter_map(|table| commitment_example(table, meter, meters, reader)).collect()
}

fn commitment_example(
    mut table: Table<'_>,
    meter: Option<&Meter>,
    meters: &[Meter],
    reader: &RuleReader<'_>,
) -> Option<CommitmentExample> {
    let head = Head::take(&mut table, false, reader);
    let mut date = |key: &'static str| optional(table.take(key).as_ref(), |value: &Value<'_>| day(value));
    let (from, to) = (date("from"), date("to"));
    let units = Units::of_meter(meter.map(|meter| meter.unit.as_str()).unwrap_or_default());
    let counted = Counted { meter, units, period: head.billing_period(), meters };
    let usage = match (table.take("usage"), table.take("quantity").is_some()) {
        (Some(list), _) => usages(table, &list, &counted, reader),
        (None, true) => vec![usage_of(table, &counted, reader)],
        (None, false) => {
            table.finish();
            Vec::new()
        }
    };
    let Head { place, name, period, month, has_result, cost, net_amount } = head;
    let (from, to) = (from.ok()?, to.ok()?);
    let month_of_commitment =
        from.and_then(|from| Month::parse(&BillingPeriod::of(from).to_string(), reader.time_zone));
    check_period(&usage, month.or(month_of_commitment), reader);
    let usage: Vec<ExampleUsage> = usage.into_iter().map(|read| read.usage).collect::<Option<_>>()?;
    if meter.is_none() && usage.iter().any(|usage| usage.meter.is_none()) {
        let message = "a usage of the example has no `meter`, but the commitment covers several meters";
        let diagnostic = Diagnostic::error("rules::missing_key", message).at(place, "`meter` is required");
        reader.problems.push(diagnostic.hint("write usage = [ { meter = \"instance\", quantity = \"1\" } ]"));
        return None;
    }
    let can_run = has_result && (period.is_none() || month.is_some());
    can_run.then_some(CommitmentExample {
        name: name?.value,
        period: period.map(|period| period.value),
        from: from.map(day_number),
        to: to.map(day_number),
        usage,
        cost: cost.ok()?,
        net_amount: net_amount.ok()?,
        declared_at: place,
    })
}

/// The keys that all examples have in common.
struct Head {
    place: Place,
    name: Option<Text>,
    period: Option<Text>,
    month: Option<Month>,
    has_result: bool,
    cost: Result<Option<Cost>, ()>,
    net_amount: Result<Option<Cost>, ()>,
}

impl Head {
    fn billing_period(&self) -> Option<BillingPeriod> {
        self.period.as_ref().and_then(|period| period.value.parse().ok())
    }

    /// `can_be_negative`: whether the result can be below zero, because the usage can.
    fn take(table: &mut Table<'_>, can_be_negative: bool, reader: &RuleReader<'_>) -> Self {
        let place = table.place();
        let name = table.require_text("name");
        let period = table.text("period");
        let cost = table.take("cost");
        let net_amount = table.take("net_amount");
        if cost.is_none() && net_amount.is_none() {
            let diagnostic = Diagnostic::error("rules::example_without_result", "the example has no expected result");
            let hint = "add `cost`, the exact cost before rounding, or `net_amount`, the sum of the rounded lines";
            reader.problems.push(diagnostic.at(place.clone(), "this example").hint(hint));
        }
        let has_result = cost.is_some() || net_amount.is_some();
        let result = if can_be_negative { Value::decimal } else { Value::non_negative };
        let (cost, net_amount) = (optional(cost.as_ref(), result), optional(net_amount.as_ref(), result));
        let month = period.as_ref().and_then(|period| {
            let month = Month::parse(&period.value, reader.time_zone);
            if month.is_none() {
                let message = format!("`{}` is not a billing period, expected a year and a month", period.value);
                let diagnostic = Diagnostic::error("rules::bad_period", message);
                let diagnostic = diagnostic.at(period.place.clone(), "not a month");
                reader.problems.push(diagnostic.hint("write a month such as \"2026-10\""));
            }
            month
        });
        Self { place, name, period, month, has_result, cost, net_amount }
    }
}

/// The meter and units of an example's quantities.
#[derive(Clone, Copy)]
struct Counted<'m> {
    /// The meter of usage without the key `meter`.
    meter: Option<&'m Meter>,
    units: Units<'m>,
    /// The period of the example, for usage without a time.
    period: Option<BillingPeriod>,
    meters: &'m [Meter],
}

impl Counted<'_> {
    fn or_default_period(self) -> Self {
        Self { period: self.period.or_else(|| DEFAULT_PERIOD.parse().ok()), ..self }
    }

    /// The length in seconds of the period that contains `at`. Without `at`, the period of the example
    /// applies.
    fn seconds(&self, at: Option<i64>, reader: &RuleReader<'_>) -> Option<i64> {
        let mut calendar = Calendar::new(reader.time_zone.clone());
        let month_of = |at: i64, calendar: &mut Calendar| BillingPeriod::of(date_of(calendar.day_of(at)));
        let period = match at {
            Some(at) => Some(month_of(at, &mut calendar)),
            None => self.period,
        };
        period.map(|period| calendar.seconds_in(period))
    }
}

/// A usage as read from its table.
struct Usage<'a> {
    /// The usage; absent if it is invalid.
    usage: Option<ExampleUsage>,
    /// The value of the key `at`.
    at: Option<Value<'a>>,
    /// The value of the key `windows`.
    windows: Option<Value<'a>>,
    /// The microseconds from the first to the last window.
    last_window: i64,
}

/// The largest number of windows of a usage: the minutes of 31 days and of the hour by which a month can be longer.
const MOST_WINDOWS: i64 = 44_700;

fn window_count(value: &Value<'_>) -> Option<u32> {
    let count = value.integer()?;
    if !(1..=MOST_WINDOWS).contains(&count) {
        value.refuse("an integer from 1 to 44700");
        return None;
    }
    u32::try_from(count).ok()
}

/// The usages of the list `usage`. An example with this list cannot have keys of a usage outside of the list.
fn usages<'a>(table: Table<'a>, list: &Value<'a>, counted: &Counted<'_>, reader: &RuleReader<'_>) -> Vec<Usage<'a>> {
    let tables = list.tables(&keys::EXAMPLE_USAGE).unwrap_or_default();
    if tables.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", "`usage` is an empty list");
        let hint = "list at least one usage, such as usage = [ { quantity = \"1\" } ]";
        reader.problems.push(diagnostic.at(list.place(), "empty").hint(hint));
    }
    refuse_inline_usage(table, list, reader);
    tables.into_iter().map(|table| usage_of(table, counted, reader)).collect()
}

/// The value of an optional key. The result is `Err` if the value is invalid.
pub(crate) fn optional<'a, T>(
    value: Option<&Value<'a>>,
    read: impl Fn(&Value<'a>) -> Option<T>,
) -> Result<Option<T>, ()> {
    value.map(|value| read(value).ok_or(())).transpose()
}

/// Reads one usage. Every key that is not a key of examples must be a dimension of the meter.
fn usage_of<'a>(mut table: Table<'a>, counted: &Counted<'_>, reader: &RuleReader<'_>) -> Usage<'a> {
    let at_value = table.take("at");
    let at = optional(at_value.as_ref(), |value| moment(value, reader));
    let other = table.text("meter");
    let meter = match &other {
        Some(name) => find_meter(name, counted.meters, reader),
        None => counted.meter,
    };
    // The quantity of another meter is in the unit of that meter, not in the unit of the rule.
    let is_own = meter.map(|meter| &meter.name) == counted.meter.map(|meter| &meter.name);
    let of_meter = Units::of_meter(meter.map(|meter| meter.unit.as_str()).unwrap_or_default());
    let units = if is_own { counted.units } else { of_meter };
    let seconds = counted.seconds(at.ok().flatten(), reader);
    let resource_id = table.string("resource");
    let project_id = table.string("project");
    let quantity = table.require("quantity").and_then(|value| match meter {
        Some(meter) if meter.signed => value.signed_quantity(&units, In::Metered(seconds)),
        _ => value.quantity(&units, In::Metered(seconds)),
    });
    let windows_value = table.take("windows");
    let windows = optional(windows_value.as_ref(), window_count);
    let known = table.known().to_vec();
    let mut dimensions = BTreeMap::new();
    for value in table.rest() {
        let Some(meter) = meter else { continue };
        let Some(dimension) = meter.dimension(value.name) else {
            let message =
                format!("`{}` is neither a key of examples nor a dimension of meter `{}`", value.name, meter.name);
            let hint = suggestion(value.name, known.iter().copied().chain(names(meter)), "keys and dimensions");
            let diagnostic = Diagnostic::error("rules::unknown_dimension", message);
            reader.problems.push(diagnostic.at(value.key_place(), "unknown key").hint(hint));
            continue;
        };
        if let Some(text) = value_of(&value, dimension, reader) {
            dimensions.insert(dimension.name.clone(), text);
        }
    }
    let window_seconds = meter.map_or(0, |meter| i64::from(meter.window_seconds));
    let usage = match (at, quantity, windows) {
        (Ok(at), Some(quantity), Ok(windows)) => {
            let meter = other.map(|name| name.value);
            let windows = windows.unwrap_or(1);
            Some(ExampleUsage { meter, at, quantity, windows, resource_id, project_id, dimensions })
        }
        _ => None,
    };
    let last_window = usage.as_ref().map_or(0, |usage| i64::from(usage.windows - 1) * window_seconds * 1_000_000);
    Usage { usage, at: at_value, windows: windows_value, last_window }
}

fn refuse_inline_usage(table: Table<'_>, list: &Value<'_>, reader: &RuleReader<'_>) {
    for value in table.rest() {
        let message = format!("`{}` is next to `usage`, expected inside of it", value.name);
        let diagnostic = Diagnostic::error("rules::example_usage_twice", message)
            .at(value.key_place(), "outside of the list")
            .at(list.key_place(), "the list of usage");
        let hint = "move the key into the list; next to `usage` are only `name`, `period`, `cost` and `net_amount`";
        reader.problems.push(diagnostic.hint(hint));
    }
}

/// Checks that all usage is inside of the period. If `month` is absent, the period is the month of the first usage with
/// a time, or else the default period.
fn check_period(usage: &[Usage<'_>], month: Option<Month>, reader: &RuleReader<'_>) {
    let first = usage.iter().find_map(|read| read.usage.as_ref()?.at);
    let month = month
        .or_else(|| Month::containing(first?, reader.time_zone))
        .or_else(|| Month::parse(DEFAULT_PERIOD, reader.time_zone));
    let Some(month) = month else { return };
    for read in usage {
        let Some(usage) = &read.usage else { continue };
        let at = usage.at.unwrap_or(month.start);
        let outside = if !month.contains(at) {
            read.at.as_ref()
        } else if !month.contains(at.saturating_add(read.last_window)) {
            read.windows.as_ref()
        } else {
            None
        };
        if let Some(value) = outside {
            let diagnostic =
                Diagnostic::error("rules::example_outside_period", "the usage is outside of the period of the example");
            let hint = if value.name == "windows" {
                "an example covers one month: lower `windows`, or change `at`"
            } else {
                "an example covers one month: change `at`, or the month in `period`"
            };
            reader.problems.push(diagnostic.at(value.place(), "outside").hint(hint));
        }
    }
}
