//! The limits of a run: usage without a price or an account, silent sources, and meters whose usage fell.
//!
//! They are examined after the drafts are committed. `conto status` examines the same later, from the lake alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use jiff::{SignedDuration, Timestamp};

use crate::billed_period::BilledPeriod;
use crate::error::{Error, count};
use crate::model::config::{Config, Origin, RunLimits, SourceConfig};
use crate::model::money::Quantity;
use crate::model::period::{Calendar, DayNumber, date_of};
use crate::model::summary::ExceededLimit;
use crate::query::{Parameters, statement};
use crate::rows;
use crate::rows::relations::{FallenVolume, InputFile, Rows, UnassignedProject, UnratedMeter};
use crate::storage::CommitKind;

/// The days before the examined date with which its usage is compared. The first of them has the same weekday.
const COMPARED_DAYS: DayNumber = 7;

/// The time of an examination.
#[derive(Clone, Copy, Debug)]
pub struct ExaminedAt {
    /// The current instant, in microseconds UTC.
    pub now: i64,
    /// The current date in the time zone of the lake. The day before it is the last complete day.
    pub today: DayNumber,
}

/// The time from the first to the last record of an input.
struct InputTime {
    source: String,
    first: i64,
    last: i64,
}

/// The findings of an open month that are beyond the limits of the configuration. A closed month has none.
pub async fn find_exceeded(config: &Config, books: &BilledPeriod, at: ExaminedAt) -> Result<Vec<ExceededLimit>, Error> {
    let mut found = Vec::new();
    if books.snapshot.last(CommitKind::Close, &books.period.to_string()).is_some() {
        return Ok(found);
    }
    let limits = &config.run_limits;
    let period = books.period.to_string();
    books.register("rating/active_series", |file| file.partition == period).await?;
    unrated(limits, books, &mut found).await?;
    unassigned(config, books, &mut found).await?;
    let inputs = input_times(books).await?;
    let mut calendar = books.calendar()?;
    silent_sources(config, books, &inputs, &mut calendar, at, &mut found);
    fallen_volumes(config, books, &inputs, &mut calendar, at, &mut found).await?;
    Ok(found)
}

/// Adds the meters with usage without a price.
async fn unrated(limits: &RunLimits, books: &BilledPeriod, found: &mut Vec<ExceededLimit>) -> Result<(), Error> {
    let period = books.period.to_string();
    let files = books.snapshot.files("unrated_usage").filter(|file| file.partition == period);
    let all: u64 = files.map(|file| file.rows).sum();
    if all <= limits.max_unrated {
        return Ok(());
    }
    books.register("rating/unrated_usage", |file| file.partition == period).await?;
    let mut meters: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
    let rows = books.session.run("report/unrated_meter", Parameters::none()).await?;
    for row in Rows::<UnratedMeter>::read(&rows)?.iter() {
        let (reason, number) = (row.reason(), row.row_count().unsigned_abs());
        let (sum, reasons) = meters.entry(row.meter().to_owned()).or_default();
        *sum += number;
        reasons.push(format!("{reason}: {number}"));
    }
    for (meter, (number, reasons)) in meters {
        let others = if number == all { String::new() } else { format!(", of {all} for all meters") };
        found.push(ExceededLimit {
            limit: "max_unrated",
            allowed: limits.max_unrated.to_string(),
            kind: "meter",
            found: number.to_string(),
            detail: format!(
                "the meter `{meter}` has {} without a price ({}){others}, more than `max_unrated` = {}",
                count(usize::try_from(number).unwrap_or(usize::MAX), "usage row"),
                reasons.join(", "),
                limits.max_unrated
            ),
            name: Some(meter),
        });
    }
    Ok(())
}

/// Adds the projects without an account, and usage without a project.
async fn unassigned(config: &Config, books: &BilledPeriod, found: &mut Vec<ExceededLimit>) -> Result<(), Error> {
    let allowed = config.run_limits.max_unattributed;
    let has_accounts = i64::from(!config.accounts.accounts.is_empty());
    let parameters = Parameters::none().bigint("has_accounts", has_accounts);
    let batches = books.session.run("report/unassigned_project", parameters).await?;
    let projects: Rows<UnassignedProject> = Rows::read(&batches)?;
    if projects.len() as u64 <= allowed {
        return Ok(());
    }
    let all = projects.len();
    for row in projects.iter() {
        let project = row.project_id();
        let resources = usize::try_from(row.resource_count()).unwrap_or(usize::MAX);
        let subject = match project {
            Some(project) => format!("the project `{project}` has no account: {}", count(resources, "resource")),
            None => format!("usage without a project: {}", count(resources, "resource")),
        };
        let others = if all == 1 { String::new() } else { format!(", one of {all}") };
        found.push(ExceededLimit {
            limit: "max_unattributed",
            allowed: allowed.to_string(),
            kind: "project",
            name: project.map(str::to_owned),
            found: resources.to_string(),
            detail: format!("{subject}{others}, more than `max_unattributed` = {allowed}"),
        });
    }
    Ok(())
}

async fn input_times(books: &BilledPeriod) -> Result<Vec<InputTime>, Error> {
    let mut inputs = Vec::new();
    let schema = &statement("intake/input_file")?.schema;
    for file in books.snapshot.files("input_file") {
        for row in Rows::<InputFile>::read(&books.lake.read_rows(file, schema).await?)?.iter() {
            let times = (row.first_measured_at(), row.last_measured_at());
            if let (Some(first), Some(last)) = times {
                inputs.push(InputTime { source: row.source().to_owned(), first, last });
            }
        }
    }
    Ok(inputs)
}

/// Adds the sources without a sample for longer than their limit, up to the current time or the end of the month.
fn silent_sources(
    config: &Config,
    books: &BilledPeriod,
    inputs: &[InputTime],
    calendar: &mut Calendar,
    at: ExaminedAt,
    found: &mut Vec<ExceededLimit>,
) {
    let month_end = calendar.day_start(books.period.end_day());
    for source in &config.sources {
        let (limit, seconds) = match (source.expect_every_seconds, config.run_limits.max_silence_seconds) {
            (Some(seconds), _) => ("expect_every", seconds),
            (None, Some(seconds)) => ("max_silence", seconds),
            (None, None) => continue,
        };
        let end = expected_end(source, at.now).min(month_end);
        let mut has_started = false;
        let mut reached = None;
        for input in inputs.iter().filter(|input| input.source == source.name) {
            has_started = true;
            if input.first <= end {
                reached = reached.max(Some(input.last.min(end)));
            }
        }
        // A source that was added after the examined month has only later samples.
        if has_started && reached.is_none() {
            continue;
        }
        let since = reached.or_else(|| expected_start(source));
        let silence = since.map(|since| end.saturating_sub(since));
        if silence.is_some_and(|silence| silence <= i64::from(seconds) * 1_000_000) {
            continue;
        }
        let allowed = duration_text(i64::from(seconds));
        let figure = silence.map_or_else(|| "never".to_owned(), |silence| duration_text(silence / 1_000_000));
        let detail = match reached {
            Some(reached) => {
                let since = Timestamp::from_microsecond(reached).map_or_else(|_| String::new(), |at| at.to_string());
                format!("the source `{}` has delivered nothing for {figure}, since {since}", source.name)
            }
            None => format!("the source `{}` has never delivered a sample", source.name),
        };
        found.push(ExceededLimit {
            limit,
            kind: "source",
            name: Some(source.name.clone()),
            found: figure,
            detail: format!("{detail}; `{limit}` = {allowed}"),
            allowed,
        });
    }
}

/// The instant up to which a source should have delivered its samples.
fn expected_end(source: &SourceConfig, now: i64) -> i64 {
    match &source.origin {
        Origin::Files(_) => now,
        Origin::Server(server) => {
            let complete = now.saturating_sub(i64::from(server.delay_seconds) * 1_000_000);
            server.to.map_or(complete, |to| to.min(complete))
        }
    }
}

/// The first instant with samples of a source, if the configuration states it.
fn expected_start(source: &SourceConfig) -> Option<i64> {
    match &source.origin {
        Origin::Files(_) => None,
        Origin::Server(server) => Some(server.from),
    }
}

fn duration_text(seconds: i64) -> String {
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// Adds the meters whose usage on the last complete day of the month fell below the limit.
async fn fallen_volumes(
    config: &Config,
    books: &BilledPeriod,
    inputs: &[InputTime],
    calendar: &mut Calendar,
    at: ExaminedAt,
    found: &mut Vec<ExceededLimit>,
) -> Result<(), Error> {
    let percent = config.run_limits.min_volume_percent;
    let examined = (at.today - 1).min(books.period.end_day() - 1);
    let week_before = examined - COMPARED_DAYS;
    let (first, last) = (date_of(week_before).to_string(), date_of(examined).to_string());
    let has_history = books.snapshot.files("metered_day").any(|file| *file.partition == *first);
    // The last complete day of a month on its first day belongs to the month before.
    if percent == 0 || examined < books.period.start_day() || !has_history {
        return Ok(());
    }
    let is_compared = |date: &str| (first.as_str()..=last.as_str()).contains(&date);
    books.register("metering/metered_day", |file| is_compared(&file.partition)).await?;
    books.register("intake/series", |_| true).await?;
    books.register("intake/stream", |_| true).await?;
    register_ended_streams(config, books, inputs, calendar, week_before..examined).await?;
    let parameters = Parameters::none()
        .date("charge_date", examined)
        .date("week_before", week_before)
        .bigint("percent", i64::from(percent));
    let rows = books.session.run("report/fallen_volume", parameters).await?;
    for row in Rows::<FallenVolume>::read(&rows)?.iter() {
        let meter = row.meter();
        // A meter that was removed from the rules is not metered.
        if !books.snapshot.meters().contains_key(meter) {
            continue;
        }
        let quantity: Quantity = row.consumed_quantity();
        let median: Quantity = row.median_quantity();
        let same_weekday: Quantity = row.week_before_quantity();
        found.push(ExceededLimit {
            limit: "min_volume_percent",
            allowed: percent.to_string(),
            kind: "meter",
            name: Some(meter.to_owned()),
            found: quantity.to_string(),
            detail: format!(
                "the meter `{meter}` has the quantity {quantity} on {last}, less than `min_volume_percent` = {percent} \
                 of {same_weekday} on {first} and of {median}, the median of the seven days before"
            ),
        });
    }
    Ok(())
}

/// Registers `ended_stream`. Samples are read only if an ended source has delivered in the compared days.
async fn register_ended_streams(
    config: &Config,
    books: &BilledPeriod,
    inputs: &[InputTime],
    calendar: &mut Calendar,
    days: std::ops::Range<DayNumber>,
) -> Result<(), Error> {
    let examined_start = calendar.day_start(days.end);
    let compared_start = calendar.day_start(days.start);
    let has_ended = |source: &SourceConfig| match &source.origin {
        Origin::Files(_) => false,
        Origin::Server(server) => server.to.is_some_and(|to| to <= examined_start),
    };
    let configured: Vec<&str> =
        config.sources.iter().filter(|source| !has_ended(source)).map(|source| source.name.as_str()).collect();
    let is_ended = |input: &InputTime| !configured.contains(&input.source.as_str());
    if !inputs.iter().any(|input| is_ended(input) && input.last >= compared_start) {
        return Ok(books.session.register_nothing("report/ended_stream")?);
    }
    let names: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(configured))];
    let batch = rows::batch(statement("report/configured_source")?, names)?;
    books.session.register("report/configured_source", vec![batch])?;
    books.register("intake/input_file", |_| true).await?;
    // Dates of samples are in UTC, so the days of another time zone extend over one more date at both ends.
    let (first, last) = (date_of(days.start - 1).to_string(), date_of(days.end + 1).to_string());
    let is_compared = |date: &str| (first.as_str()..=last.as_str()).contains(&date);
    books.register("intake/sample", |file| is_compared(&file.partition)).await?;
    books.session.materialize("report/ended_stream", Parameters::none()).await?;
    Ok(())
}
