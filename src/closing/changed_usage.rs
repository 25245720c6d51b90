//! Usage that changed after a period was closed: the changed days, the lines and the reason of the change.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::{CHANGED_RECORD, LATE_AND_CHANGED, LATE_USAGE};
use crate::error::Error;
use crate::model::period::DayNumber;
use crate::query::Parameters;
use crate::rows::{self, Row};
use crate::run::{Context, Transaction, register_verified};
use crate::storage::{DataFile, Snapshot};

/// The common key of usage lines that differ only in tier and price: account, project and identifying texts.
type LineKey = (String, Option<String>, [String; 5]);

/// The changed days of the usage of a line or an account, and the kind of the change.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// The first changed day, and the day after the last changed day.
    pub(super) days: Option<(DayNumber, DayNumber)>,
    is_late: bool,
    is_changed: bool,
}

impl Change {
    fn add(&mut self, day: DayNumber, is_changed: bool) {
        let (first, end) = self.days.unwrap_or((day, day + 1));
        self.days = Some((first.min(day), end.max(day + 1)));
        self.is_changed |= is_changed;
        self.is_late |= !is_changed;
    }

    pub(super) fn reason(&self) -> &'static str {
        match (self.is_late, self.is_changed) {
            (true, true) => LATE_AND_CHANGED,
            (false, true) => CHANGED_RECORD,
            (_, false) => LATE_USAGE,
        }
    }
}

/// The usage that changed since documents were last issued.
#[derive(Debug, Default)]
pub(super) struct ChangedUsage {
    of_lines: BTreeMap<LineKey, Change>,
    of_accounts: BTreeMap<String, Change>,
}

impl ChangedUsage {
    /// Compares the current metered usage with the metered usage at a close. The session must contain the rated usage.
    pub(super) async fn since(close: u64, context: &Context, transaction: &Transaction) -> Result<Self, Error> {
        let at_close = transaction.lake.snapshot_as_of(close).await?;
        let mut changed_days = retracted_days(context, transaction, close).await?;
        changed_days.extend(superseded_days(context, transaction, &at_close).await?);
        let scope = transaction.session.scope()?;
        let lake = &transaction.lake;
        let month = context.period;
        let period = month.to_string();
        let is_day = |file: &DataFile| month.has_date(&file.partition);
        let is_period = |file: &DataFile| file.partition == period;
        let days = at_close.files("metered_day").filter(|file| is_day(file));
        register_verified(&scope, lake, "closing/issued_day", days).await?;
        for (path, relation) in [
            ("closing/issued_usage", "rated_usage"),
            ("closing/issued_rate", "rate"),
            ("closing/issued_payer_series", "payer_series"),
        ] {
            let files = at_close.files(relation).filter(|file| is_period(file));
            register_verified(&scope, lake, path, files).await?;
        }
        transaction.register_in(&scope, "metering/metered_day", is_day).await?;
        transaction.register_in(&scope, "intake/series", |_| true).await?;
        let mut changed = Self::default();
        for row in rows::each(&scope.run("closing/changed_usage", Parameters::none()).await?) {
            let (stream, day) = (row.id("stream_id")?, row.day("charge_date")?);
            // The last gauge or counter value of a day also affects the next day.
            let is_changed = changed_days.contains(&(stream, day)) || changed_days.contains(&(stream, day - 1));
            changed.of_lines.entry(line_key(row)?).or_default().add(day, is_changed);
            changed.of_accounts.entry(row.text("account_id")?.to_owned()).or_default().add(day, is_changed);
        }
        Ok(changed)
    }

    /// The change of the usage of a line. A line without changed usage, such as a minimum or a fee, has the reason of
    /// its account and no days.
    pub(super) fn change_of(&self, line: Row<'_>) -> Result<Change, Error> {
        if let Some(change) = self.of_lines.get(&line_key(line)?) {
            return Ok(change.clone());
        }
        let of_account = self.of_accounts.get(line.text("account_id")?).cloned().unwrap_or_default();
        Ok(Change { days: None, ..of_account })
    }
}

fn line_key(row: Row<'_>) -> Result<LineKey, Error> {
    let texts = [
        row.text("service")?,
        row.text("component")?,
        row.text("sku")?,
        row.text("description")?,
        row.text("line_by")?,
    ];
    let project = row.optional_text("project_id")?.map(str::to_owned);
    Ok((row.text("account_id")?.to_owned(), project, texts.map(str::to_owned)))
}

/// The streams and dates of the records that were replaced or retracted after the commit `since`.
async fn retracted_days(
    context: &Context,
    transaction: &Transaction,
    since: u64,
) -> Result<BTreeSet<(u64, DayNumber)>, Error> {
    let mut calendar = context.calendar();
    let mut days = BTreeSet::new();
    for row in rows::each(&transaction.read("retracted_sample", |_| true).await?) {
        if row.number("commit_number")?.unsigned_abs() > since {
            days.insert((row.id("stream_id")?, calendar.day_of(row.instant("measured_at")?)));
        }
    }
    Ok(days)
}

/// The streams and dates of events that a delivery with an earlier time has superseded since the close. They are the
/// dates of the samples that counted at the close, and of the samples that count instead.
async fn superseded_days(
    context: &Context,
    transaction: &Transaction,
    at_close: &Snapshot,
) -> Result<BTreeSet<(u64, DayNumber)>, Error> {
    const REPEATED: &str = "repeated_event";
    const SAMPLE: &str = "sample";
    const COLUMNS: [&str; 3] = ["stream_id", "measured_at", "record_digest"];
    let is_new = |file: &DataFile| !at_close.contains(&file.path);
    let mut dates = BTreeSet::new();
    let mut repeated: BTreeSet<(u64, i64, u64)> = BTreeSet::new();
    for file in transaction.files_where(REPEATED, is_new) {
        dates.insert(file.partition.clone());
        for batch in transaction.lake.data(&file).await?.batches(&COLUMNS)? {
            for row in rows::each(&[batch?]) {
                repeated.insert((row.id("stream_id")?, row.instant("measured_at")?, row.id("record_digest")?));
            }
        }
    }
    let mut calendar = context.calendar();
    let (mut days, mut superseded) = (BTreeSet::new(), BTreeSet::new());
    for file in at_close.files(SAMPLE).filter(|file| dates.contains(&file.partition)) {
        for batch in transaction.lake.data(file).await?.batches(&COLUMNS)? {
            for row in rows::each(&[batch?]) {
                let (stream, measured_at, digest) =
                    (row.id("stream_id")?, row.instant("measured_at")?, row.id("record_digest")?);
                if repeated.contains(&(stream, measured_at, digest)) {
                    days.insert((stream, calendar.day_of(measured_at)));
                    superseded.insert((stream, digest));
                }
            }
        }
    }
    if superseded.is_empty() {
        return Ok(days);
    }
    for file in transaction.files_where(SAMPLE, |file| is_new(file) && context.period.has_date(&file.partition)) {
        for batch in transaction.lake.data(&file).await?.batches(&COLUMNS)? {
            for row in rows::each(&[batch?]) {
                let stream = row.id("stream_id")?;
                if superseded.contains(&(stream, row.id("record_digest")?)) {
                    days.insert((stream, calendar.day_of(row.instant("measured_at")?)));
                }
            }
        }
    }
    Ok(days)
}
