//! `conto status --incomplete-lifecycles`: resources for which an event seems to be missing.

use jiff::Timestamp;
use serde::Serialize;

use crate::billed_period::BilledPeriod;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::query::Parameters;
use crate::rows::relations::{self, Rows};
use crate::run::register_verified;
use crate::storage::{DataFile, Snapshot};

/// A resource without a creation, update or deletion event.
#[derive(Debug, Serialize)]
struct IncompleteLifecycle {
    meter: String,
    resource_id: String,
    /// `missing_creation_event`, `first_seen_mid_life` or `missing_update`.
    reason: String,
    event_at: String,
}

pub(super) async fn show(context: &Context, books: &BilledPeriod) -> Result<(), Failure> {
    let period = books.period;
    books.register_days("intake/sample").await?;
    books.register("intake/stream", |_| true).await?;
    for (path, date) in [("metering/previous_stream_state", period.start()), ("metering/stream_state", period.end())] {
        let files = last_before(&books.snapshot, &date.to_string());
        register_verified(&books.session, &books.lake, path, &files).await?;
    }
    let parameters = Parameters::none().bigint("period_start", books.calendar()?.day_start(period.start_day()));
    let mut found = Vec::new();
    let rows = books.session.run("report/incomplete_lifecycle", parameters).await?;
    for row in Rows::<relations::IncompleteLifecycle>::read(&rows)?.iter() {
        let event_at = Timestamp::from_microsecond(row.event_at());
        found.push(IncompleteLifecycle {
            meter: row.meter().to_owned(),
            resource_id: row.resource_id().to_owned(),
            reason: row.reason().to_owned(),
            event_at: event_at.map_or_else(|_| String::new(), |at| format!("{at:.0}")),
        });
    }
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&found);
    } else if found.is_empty() {
        printer.line(&format!("Every resource billed in {period} has a creation event, and an event in {period}."));
    } else {
        printer.line(&format!(
            "Resources of {period} with missing events:\n\
             missing_creation_event: deleted, but no creation event was received; earlier usage is unknown\n\
             first_seen_mid_life: existed before its first event; billed until then by the attributes of that event\n\
             missing_update: no event in {period}; billed from an earlier event, until the meter's state_timeout\n"
        ));
        let cells = |one: &IncompleteLifecycle| {
            vec![one.meter.clone(), one.resource_id.clone(), one.reason.clone(), one.event_at.clone()]
        };
        let table: Vec<Vec<String>> = found.iter().map(cells).collect();
        printer.table(&["meter", "resource", "reason", "event at"], &table, &[]);
    }
    Ok(())
}

/// For each shard, the stream state of the last date before `date`.
fn last_before(snapshot: &Snapshot, date: &str) -> Vec<DataFile> {
    let before: Vec<&DataFile> = snapshot.files("stream_state").filter(|file| file.partition.as_str() < date).collect();
    let is_last =
        |file: &&&DataFile| !before.iter().any(|other| other.shard == file.shard && other.partition > file.partition);
    before.iter().filter(is_last).map(|file| (*file).clone()).collect()
}
