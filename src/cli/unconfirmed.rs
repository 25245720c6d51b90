//! `conto status --unconfirmed`: resources of whose life a notification seems to be missing.

use jiff::Timestamp;
use serde::Serialize;

use super::{Context, Failure};
use crate::billed_period::BilledPeriod;
use crate::query::Parameters;
use crate::rows;
use crate::run::register_verified;
use crate::storage::{DataFile, Snapshot};

#[derive(Debug, Serialize)]
struct Unconfirmed {
    meter: String,
    resource_id: String,
    /// `missing_creation_event`, `first_seen_mid_life` or `missing_update`.
    reason: String,
    told_at: String,
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
    for row in rows::each(&books.session.run("report/incomplete_lifecycle", parameters).await?) {
        let told_at = Timestamp::from_microsecond(row.instant("told_at")?);
        found.push(Unconfirmed {
            meter: row.text("meter")?.to_owned(),
            resource_id: row.text("resource_id")?.to_owned(),
            reason: row.text("reason")?.to_owned(),
            told_at: told_at.map_or_else(|_| String::new(), |at| format!("{at:.0}")),
        });
    }
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&found);
    } else if found.is_empty() {
        printer.line(&format!("Every state that is billed in {period} has a beginning, and a word of it in {period}."));
    } else {
        printer.line(&format!(
            "Of {period}: missing_creation_event is gone and was never told to be there, so that its usage is not known;\n\
             first_seen_mid_life was there before the first word of it, and is billed up to then as that word says;\n\
             missing_update is believed by a word of before {period}, for as long as its meter's state_timeout says.\n"
        ));
        let cells = |one: &Unconfirmed| {
            vec![one.meter.clone(), one.resource_id.clone(), one.reason.clone(), one.told_at.clone()]
        };
        let table: Vec<Vec<String>> = found.iter().map(cells).collect();
        printer.table(&["meter", "resource", "reason", "told at"], &table, &[]);
    }
    Ok(())
}

/// What the last date before one carries, bucket by bucket.
fn last_before(snapshot: &Snapshot, date: &str) -> Vec<DataFile> {
    let before: Vec<&DataFile> = snapshot.files("stream_state").filter(|file| file.partition.as_str() < date).collect();
    let is_last =
        |file: &&&DataFile| !before.iter().any(|other| other.bucket == file.bucket && other.partition > file.partition);
    before.iter().filter(is_last).map(|file| (*file).clone()).collect()
}
