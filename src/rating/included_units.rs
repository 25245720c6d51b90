//! The free units that resources of a meter bring to a pool (`[[included_units]]`), as rows.
//!
//! EN 16931 calls a document-level discount "allowance", so this module does not use that word.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};

use super::rate::{PeriodLength, to_metered_units};
use crate::error::Error;
use crate::model::meter::{Aggregation, Meter};
use crate::model::money::Quantity;
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::rule::{PoolIncludedUnits, PoolScope, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::{Session, statement};
use crate::rating::series_tuples::series_where;
use crate::rows;

/// Included units that are valid in a period, in metered units.
#[derive(Clone, Debug)]
pub struct IncludedUnits<'a> {
    definition: &'a PoolIncludedUnits,
    is_shared: bool,
    units: Quantity,
    /// The metered quantity of a resource that exists for the whole period. Absent: the units are not prorated.
    full_period: Option<Quantity>,
}

/// The included units of a period. Only units that are valid on the last day of the period apply, as with the terms of
/// an invoice.
pub fn included_units<'a>(
    rules: &'a RuleBook,
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Result<Vec<IncludedUnits<'a>>, Error> {
    let length = PeriodLength { seconds: calendar.seconds_in(period) };
    let last_day = calendar.day_start(period.end_day() - 1);
    let mut included = Vec::new();
    for definition in rules.included_units.iter().filter(|units| units.is_valid_at(last_day)) {
        // The loader has reported unknown pools and meters. All rules of a pool count in the same unit.
        let Some(rule) = rule_of_pool(rules, &definition.pool) else { continue };
        let Some(meter) = rules.meter(&definition.meter) else { continue };
        included.push(IncludedUnits {
            definition,
            is_shared: rule.per == PoolScope::Account,
            units: to_metered_units(definition.units, length.units(rule.pricing_unit.of), &definition.declared_at)?,
            full_period: definition.prorated.then(|| full_period_quantity(meter, calendar, period)),
        });
    }
    Ok(included)
}

fn rule_of_pool<'a>(rules: &'a RuleBook, pool: &str) -> Option<&'a Rule> {
    rules.rules.iter().find(|rule| rule.counts_in(pool))
}

/// The metered quantity of a resource that exists for the whole period, for a meter that measures time.
fn full_period_quantity(meter: &Meter, calendar: &mut Calendar, period: BillingPeriod) -> Quantity {
    if meter.aggregation != Aggregation::Presence {
        return Quantity::from_integer(calendar.seconds_in(period));
    }
    // The last window of a date may be shorter than the other windows. A window of a whole day has 23 or 25 hours if
    // the clocks change on that day.
    let window = i64::from(meter.window_seconds) * 1_000_000;
    let windows = (period.start_day()..period.end_day()).map(|day| {
        let length = calendar.day_start(day + 1) - calendar.day_start(day);
        if meter.window_seconds == 86_400 { 1 } else { (length + window - 1) / window }
    });
    Quantity::from_integer(windows.sum())
}

/// The rows of `included_unit` and `included_unit_series`.
pub fn included_unit_rows(
    session: &Session,
    rules: &RuleBook,
    included_units: &[IncludedUnits<'_>],
    active_series: &[RecordBatch],
) -> Result<(RecordBatch, RecordBatch), Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(included_units.iter().map(|row| &row.definition.id))),
        Arc::new(StringArray::from_iter_values(included_units.iter().map(|row| &row.definition.pool))),
        Arc::new(BooleanArray::from_iter(included_units.iter().map(|row| Some(row.is_shared)))),
        Arc::new(rows::decimals(included_units.iter().map(|row| Some(row.units.units())), 38, 9)?),
        Arc::new(rows::decimals(included_units.iter().map(|row| row.full_period.map(Quantity::units)), 28, 9)?),
    ];
    let included_unit = rows::batch(statement("rating/included_unit")?, columns)?;
    let mut series_of_units: Vec<(&str, u64)> = Vec::new();
    for row in included_units {
        let Some(meter) = rules.meter(&row.definition.meter) else { continue };
        let series = series_where(session, meter, row.definition.when.as_ref(), active_series)?;
        series_of_units.extend(series.into_iter().map(|series_id| (row.definition.id.as_str(), series_id)));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(series_of_units.iter().map(|row| row.0))),
        Arc::new(UInt64Array::from_iter_values(series_of_units.iter().map(|row| row.1))),
    ];
    Ok((included_unit, rows::batch(statement("rating/included_unit_series")?, columns)?))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::load::{RuleFile, read_rule_files};

    #[test]
    fn a_resource_of_the_whole_month_has_all_units_when_clocks_change() {
        let meter = |aggregation: &str, window: &str| {
            let text = format!(
                "[[meter]]\nname = \"m\"\naggregation = \"{aggregation}\"\nunit = \"u\"\nwindow = \"{window}\"\n"
            );
            let file = RuleFile { name: "r.toml".to_owned(), folder: std::path::PathBuf::new(), text };
            let none =
                |_: &std::path::Path, _: &'static encoding_rs::Encoding| Err(std::io::ErrorKind::NotFound.into());
            let currency = iso_currency::Currency::EUR;
            read_rule_files(vec![file], &none, &TimeZone::UTC, currency).0.meters.remove(0)
        };
        // October 2026 has 745 hours in Berlin, and 31 dates.
        let mut calendar = Calendar::new(TimeZone::get("Europe/Berlin").unwrap());
        let period: BillingPeriod = "2026-10".parse().unwrap();
        let mut full = |aggregation: &str, window: &str| {
            full_period_quantity(&meter(aggregation, window), &mut calendar, period).to_string()
        };
        assert_eq!(full("presence", "1h"), "745");
        assert_eq!(full("presence", "24h"), "31");
        // The day with 25 hours has twelve windows of two hours and one of one hour: 30 × 12 + 13 = 373.
        assert_eq!(full("presence", "2h"), "373");
        assert_eq!(full("duration", "1h"), "2682000");
    }
}
