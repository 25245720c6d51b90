//! The date of today. Commands compare issue dates and billing periods with it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::cli::failure::Failure;
use crate::model::period::{BillingPeriod, day_number};
use crate::run_limits::ExaminedAt;

/// The environment variable with another date of today, for rehearsals and tests.
const TODAY: &str = "CONTO_TODAY";

/// The date of today in a time zone, or the date in `CONTO_TODAY`.
pub(super) fn today(now: Timestamp, zone: &TimeZone) -> Result<Date, Failure> {
    match std::env::var(TODAY) {
        Ok(text) => text.parse().map_err(|_| Failure::Usage {
            message: format!("`{TODAY}` is `{text}`, which is not a date"),
            hint: format!("set a date such as {TODAY}=2026-10-31, or unset it"),
        }),
        Err(_) => Ok(Zoned::new(now, zone.clone()).date()),
    }
}

/// Fails if a billing period begins after today.
pub(super) fn check_has_begun(period: BillingPeriod, today: Date, hint: String) -> Result<(), Failure> {
    if period.start() <= today {
        return Ok(());
    }
    Err(Failure::Usage { message: format!("{period} begins after today, {today}"), hint })
}

/// The time at which limits of a run are examined: now, or the first instant of the date in `CONTO_TODAY`.
pub(super) fn examined_at(now: Timestamp, zone: &TimeZone) -> Result<ExaminedAt, Failure> {
    let date = today(now, zone)?;
    let start = date.to_zoned(zone.clone()).map(|start| start.timestamp());
    let is_rehearsal = std::env::var_os(TODAY).is_some();
    let now = if is_rehearsal { start.map_err(anyhow::Error::new)? } else { now };
    Ok(ExaminedAt { now: now.as_microsecond(), today: day_number(date) })
}
