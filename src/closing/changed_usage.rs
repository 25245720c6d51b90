//! Usage that changed after a period was closed: the changed days, the lines and the reason of the change.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::{CHANGED_RECORD, LATE_AND_CHANGED, LATE_USAGE};
use crate::error::Error;
use crate::model::period::DayNumber;
use crate::query::Parameters;
use crate::rows::{self, Row};
use crate::run::{Context, Transaction, register_verified};
use crate::storage::{Commit, DataFile};

/// The name under which the control totals of a cancellation contain the commit whose usage its documents price.
pub const USAGE_OF: &str = "usage_of";

/// The commit with the usage that the documents of a close price. A cancellation prices the usage of an earlier close.
pub fn usage_of(closed: &Commit) -> u64 {
    closed.totals.get(USAGE_OF).and_then(|sequence| sequence.parse().ok()).unwrap_or(closed.sequence)
}

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
        let retracted = retracted_days(context, transaction, close).await?;
        let scope = transaction.session.scope()?;
        let lake = &transaction.lake;
        let month = context.period;
        let period = month.to_string();
        let is_day = |file: &DataFile| month.has_date(&file.partition);
        let is_period = |file: &DataFile| file.partition == period;
        let at_close = lake.snapshot_as_of(close).await?;
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
            let is_changed = retracted.contains(&(stream, day)) || retracted.contains(&(stream, day - 1));
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
    for row in rows::each(&transaction.read("withdrawn_sample", |_| true).await?) {
        if row.number("log_entry")?.unsigned_abs() > since {
            days.insert((row.id("stream_id")?, calendar.day_of(row.instant("measured_at")?)));
        }
    }
    Ok(days)
}
