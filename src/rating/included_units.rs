//! Units that pools have for nothing for each resource of a meter: `[[included_units]]` as rows. On an invoice an allowance
//! is a discount, so rows call these grants.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};

use super::rate::{PeriodLength, product};
use crate::error::Error;
use crate::model::meter::{Aggregation, Meter};
use crate::model::money::Quantity;
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::rule::{Grant, PoolScope, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::{Session, statement};
use crate::rating::series_tuples::series_where;
use crate::rows;

/// A grant that holds in a period, in metered units.
#[derive(Clone, Debug)]
pub struct IncludedUnits<'a> {
    grant: &'a Grant,
    is_shared: bool,
    granted: Quantity,
    /// What the meter measures of a resource that is there all period; absent: not prorated.
    full: Option<Quantity>,
}

/// The grants of a period. What counts is its last day, as with the terms of an invoice.
pub fn unit_grants<'a>(
    rules: &'a RuleBook,
    calendar: &mut Calendar,
    period: BillingPeriod,
) -> Result<Vec<IncludedUnits<'a>>, Error> {
    let length = PeriodLength { seconds: calendar.seconds_in(period) };
    let last_day = calendar.day_start(period.end_day() - 1);
    let mut granted = Vec::new();
    for grant in rules.grants.iter().filter(|grant| grant.holds_at(last_day)) {
        // The reader told of pools and meters that are not there; all rules of a pool count it alike.
        let Some(rule) = rule_of_pool(rules, &grant.pool) else { continue };
        let Some(meter) = rules.meter(&grant.meter) else { continue };
        granted.push(IncludedUnits {
            grant,
            is_shared: rule.per == PoolScope::Account,
            granted: product(grant.units, length.units(rule.pricing_unit.of))?,
            full: grant.prorated.then(|| all_period(meter, calendar, period)),
        });
    }
    Ok(granted)
}

fn rule_of_pool<'a>(rules: &'a RuleBook, pool: &str) -> Option<&'a Rule> {
    rules.rules.iter().find(|rule| rule.counts_in(pool))
}

/// What a meter of time measures of a resource that is there from the first instant to the last.
fn all_period(meter: &Meter, calendar: &mut Calendar, period: BillingPeriod) -> Quantity {
    if meter.aggregation != Aggregation::Presence {
        return Quantity::from_integer(calendar.seconds_in(period));
    }
    // The last window of a date may be shorter, and one of a whole day is 23 or 25 hours long where clocks change.
    let window = i64::from(meter.window_seconds) * 1_000_000;
    let windows = (period.start_day()..period.end_day()).map(|day| {
        let length = calendar.day_start(day + 1) - calendar.day_start(day);
        if meter.window_seconds == 86_400 { 1 } else { (length + window - 1) / window }
    });
    Quantity::from_integer(windows.sum())
}

/// Rows of `included_unit` and of `included_unit_series`.
pub fn grant_rows(
    session: &Session,
    rules: &RuleBook,
    grants: &[IncludedUnits<'_>],
    active_series: &[RecordBatch],
) -> Result<(RecordBatch, RecordBatch), Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(grants.iter().map(|row| &row.grant.id))),
        Arc::new(StringArray::from_iter_values(grants.iter().map(|row| &row.grant.pool))),
        Arc::new(BooleanArray::from_iter(grants.iter().map(|row| Some(row.is_shared)))),
        Arc::new(rows::decimals(grants.iter().map(|row| Some(row.granted.units())), 38, 9)?),
        Arc::new(rows::decimals(grants.iter().map(|row| row.full.map(Quantity::units)), 28, 9)?),
    ];
    let included_unit = rows::batch(statement("rating/included_unit")?, columns)?;
    let mut having: Vec<(&str, u64)> = Vec::new();
    for row in grants {
        let Some(meter) = rules.meter(&row.grant.meter) else { continue };
        let series = series_where(session, meter, row.grant.when.as_ref(), active_series)?;
        having.extend(series.into_iter().map(|series_id| (row.grant.id.as_str(), series_id)));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(having.iter().map(|row| row.0))),
        Arc::new(UInt64Array::from_iter_values(having.iter().map(|row| row.1))),
    ];
    Ok((included_unit, rows::batch(statement("rating/included_unit_series")?, columns)?))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::load::{RuleFile, read_rule_files};

    #[test]
    fn a_resource_that_is_there_all_month_has_all_of_it_where_clocks_change_too() {
        let meter = |aggregation: &str, window: &str| {
            let text = format!(
                "[[meter]]\nname = \"m\"\naggregation = \"{aggregation}\"\nunit = \"u\"\nwindow = \"{window}\"\n"
            );
            let file = RuleFile { name: "r.toml".to_owned(), folder: std::path::PathBuf::new(), text };
            let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
            let currency = iso_currency::Currency::EUR;
            read_rule_files(vec![file], &none, &TimeZone::UTC, currency).0.meters.remove(0)
        };
        // October has 745 hours in Berlin, and 31 dates.
        let mut calendar = Calendar::new(TimeZone::get("Europe/Berlin").unwrap());
        let period: BillingPeriod = "2026-10".parse().unwrap();
        let mut full = |aggregation: &str, window: &str| {
            all_period(&meter(aggregation, window), &mut calendar, period).to_string()
        };
        assert_eq!(full("presence", "1h"), "745");
        assert_eq!(full("presence", "24h"), "31");
        // The long day has 25 hours: twelve windows of two and one of one.
        assert_eq!(full("presence", "2h"), "373");
        assert_eq!(full("duration", "1h"), "2682000");
    }
}
