//! Why a period should not be closed yet.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, Int64Array, TimestampMicrosecondArray};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::{Error, count};
use crate::model::money::{Amount, places_of_code};
use crate::model::period::BillingPeriod;
use crate::model::terms::CARRIED_FORWARD;
use crate::query::Parameters;
use crate::rows;
use crate::run::{Context, Transaction};
use crate::storage::CommitKind;

/// Each a sentence; none where nothing speaks against it.
pub async fn refusals(context: &Context, transaction: &Transaction, date: Date) -> Result<Vec<String>, Error> {
    let mut refusals = Vec::new();
    if date < context.period.end() {
        let last = context.period.last_day();
        refusals.push(format!("{} ends on {last}, and the documents would be issued on {date}", context.period));
    }
    let limits = context.config.closing.clone();
    missing_usage(context, transaction, &mut refusals).await?;
    let period = context.period.to_string();
    let unrated: u64 =
        transaction.files_where("unrated_usage", |file| file.partition == period).iter().map(|f| f.rows).sum();
    if unrated > limits.max_unrated {
        refusals.push(format!(
            "{} of a resource on a date {} no price, more than `max_unrated` = {}: \
             `conto sql \"SELECT * FROM unrated_usage\"`",
            count(usize::try_from(unrated).unwrap_or(usize::MAX), "use"),
            if unrated == 1 { "has" } else { "have" },
            limits.max_unrated
        ));
    }
    let rejected = rejected(context, transaction).await?;
    if rejected > limits.max_rejected {
        refusals.push(format!(
            "{} in files with usage of the period {} rejected, more than `max_rejected` = {}: \
             `conto sql \"SELECT url, line, reason, detail FROM rejected_record JOIN input_file \
             USING (input_file_id)\"`",
            count(usize::try_from(rejected).unwrap_or(usize::MAX), "record"),
            if rejected == 1 { "was" } else { "were" },
            limits.max_rejected
        ));
    }
    let aside = transaction.read("suspended_account", |file| file.partition == period).await?;
    for row in rows::each(&aside) {
        refusals.push(format!("{} gets no invoice: {}", row.text("account_id")?, row.text("detail")?));
    }
    out_of_order(context.period, transaction, &mut refusals).await?;
    let unassigned_projects = unassigned_projects(context, transaction).await?;
    if unassigned_projects.len() as u64 > limits.max_unattributed {
        let named: Vec<&str> = unassigned_projects.iter().take(5).map(String::as_str).collect();
        let more = if unassigned_projects.len() > 5 { ", …" } else { "" };
        refusals.push(format!(
            "usage belongs to no account, more than `max_unattributed` = {}: {}{more}",
            limits.max_unattributed,
            named.join(", ")
        ));
    }
    Ok(refusals)
}

/// Months go on from each other where a fee is charged in advance, a credit is drawn on, or what is too little for an
/// invoice is left to the next one. What the month before is still to charge, to use or to leave may change until it is
/// closed; what a later one was closed with does not. All others may be closed in any order.
async fn out_of_order(this: BillingPeriod, transaction: &Transaction, refusals: &mut Vec<String>) -> Result<(), Error> {
    let period = this.to_string();
    let mut billed: BTreeMap<&str, bool> = BTreeMap::new();
    for commit in transaction.snapshot.commits() {
        if let (CommitKind::Billing | CommitKind::Close, Some(other)) = (commit.kind, commit.period.as_deref()) {
            *billed.entry(other).or_default() |= commit.kind == CommitKind::Close;
        }
    }
    let credits = credits_of(transaction, &period).await?;
    let (taken_over, left) = (taken_over_by(transaction, &period).await?, left_by(transaction, &period).await?);
    for (other, is_closed) in billed {
        let Ok(month) = other.parse::<BillingPeriod>() else { continue };
        let theirs = credits_of(transaction, other).await?;
        let shared = || credits.iter().filter_map(|(credit, ours)| Some((credit, ours, theirs.get(credit)?)));
        if other < period.as_str() && !is_closed {
            if month.end() == this.start() && !fees_of(transaction, month, this).await?.is_empty() {
                refusals.push(format!(
                    "{other} is billed and not closed, and charges fees of {period} in advance: close {other} first"
                ));
            }
            for (document, left) in left_by(transaction, other).await? {
                if taken_over.contains_key(&document) {
                    refusals.push(format!(
                        "{other} is billed and not closed, and {period} charges {left} which {other} leaves to the \
                         next invoice: close {other} first"
                    ));
                }
            }
            for (credit, _, _) in shared().filter(|(_, ours, theirs)| ours.used != 0 && theirs.used != 0) {
                refusals.push(format!(
                    "{other} is billed and not closed, and draws on the credit `{credit}` before {period} does: close \
                     {other} first"
                ));
            }
        }
        if other > period.as_str() && is_closed {
            let ahead = fees_of(transaction, this, month).await?;
            if ahead.intersection(&fees_of(transaction, month, month).await?).next().is_some() {
                refusals.push(format!(
                    "{other} is closed already and has charged its own fees, which {period} would charge in advance \
                     once more: give them `valid_to = {}` for this close",
                    month.start()
                ));
            }
            let of_period = format!("DRAFT-{period}-");
            for (document, taken) in taken_over_by(transaction, other).await? {
                if document.starts_with(&of_period) && left.get(&document) != Some(&taken) {
                    refusals.push(format!(
                        "{other} is closed already and has charged {taken} which {period} left to the next invoice, \
                         and {period} {} now: give the account a `[[credit]]` of that with `valid_to = {}`, set no \
                         `minimum_invoice_amount`, and close with --force",
                        left.get(&document).map_or("leaves nothing".to_owned(), |left| format!("leaves {left}")),
                        this.end()
                    ));
                }
            }
            for (credit, _, _) in shared().filter(|(_, ours, theirs)| ours.used != 0 && theirs.had > ours.left) {
                refusals.push(format!(
                    "{other} is closed already and has drawn on what {period} draws of the credit `{credit}`: give it \
                     `valid_from = {}` for this close",
                    this.end()
                ));
            }
        }
    }
    Ok(())
}

/// What a credit had in a period, with what it was granted then, what was drawn of it, and what is left; in units.
struct Drawn {
    had: i128,
    used: i128,
    left: i128,
}

async fn credits_of(transaction: &Transaction, period: &str) -> Result<BTreeMap<String, Drawn>, Error> {
    let mut credits = BTreeMap::new();
    for row in rows::each(&transaction.read("credit_balance", |file| file.partition == period).await?) {
        let had = row.units("opening_balance")? + row.units("granted")?;
        let drawn = Drawn { had, used: row.units("used")?, left: row.units("closing_balance")? };
        credits.insert(row.text("credit_id")?.to_owned(), drawn);
    }
    Ok(credits)
}

/// An amount that one document leaves to another.
#[derive(PartialEq, Eq)]
struct Left {
    account: String,
    amount: Amount,
    currency: String,
}

impl std::fmt::Display for Left {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} {} of {}",
            self.amount.to_text(places_of_code(&self.currency)),
            self.currency,
            self.account
        )
    }
}

/// What documents of a period are too little for an invoice, by their names.
async fn left_by(transaction: &Transaction, period: &str) -> Result<BTreeMap<String, Left>, Error> {
    let mut left = BTreeMap::new();
    for row in rows::each(&transaction.read("invoice", |file| file.partition == period).await?) {
        if row.text("document_kind")? == CARRIED_FORWARD {
            let (account, currency) = (row.text("account_id")?.to_owned(), row.text("currency")?.to_owned());
            let amount = row.decimal("carried_forward")?;
            left.insert(row.text("invoice_number")?.to_owned(), Left { account, amount, currency });
        }
    }
    Ok(left)
}

/// What the documents of a period charge for earlier ones, by the names of those.
async fn taken_over_by(transaction: &Transaction, period: &str) -> Result<BTreeMap<String, Left>, Error> {
    let mut places = BTreeMap::new();
    for row in rows::each(&transaction.read("line_reference", |file| file.partition == period).await?) {
        if let Some(document) = row.optional_text("carried_from")? {
            let place = (row.text("invoice_number")?.to_owned(), row.number("line_number")?);
            places.insert(place, document.to_owned());
        }
    }
    let mut taken: BTreeMap<String, Left> = BTreeMap::new();
    if places.is_empty() {
        return Ok(taken);
    }
    for row in rows::each(&transaction.read("invoice_line", |file| file.partition == period).await?) {
        let place = (row.text("invoice_number")?.to_owned(), row.number("line_number")?);
        if let Some(document) = places.get(&place) {
            let (account, currency) = (row.text("account_id")?.to_owned(), row.text("currency")?.to_owned());
            let sum = taken.entry(document.clone()).or_insert(Left { account, amount: Amount::ZERO, currency });
            let added = sum.amount.checked_add(row.decimal("net_amount")?);
            sum.amount = added.ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    Ok(taken)
}

/// Fee, account and project of what one period charges for the days of a month.
async fn fees_of(
    transaction: &Transaction,
    period: BillingPeriod,
    month: BillingPeriod,
) -> Result<BTreeSet<[String; 3]>, Error> {
    let (name, days) = (period.to_string(), month.start_day()..month.end_day());
    let mut fees = BTreeSet::new();
    for row in rows::each(&transaction.read("non_usage_charge", |file| file.partition == name).await?) {
        if row.text("charge_kind")? == "recurring" && days.contains(&row.day("charge_period_start")?) {
            let project = row.optional_text("project_id")?.unwrap_or_default();
            fees.insert([row.text("rule_id")?, row.text("account_id")?, project].map(str::to_owned));
        }
    }
    Ok(fees)
}

/// Sources that say how often they deliver, and did not.
async fn missing_usage(context: &Context, transaction: &Transaction, refusals: &mut Vec<String>) -> Result<(), Error> {
    let mut calendar = context.calendar();
    let start = calendar.day_start(context.period.start_day());
    let end = calendar.day_start(context.period.end_day());
    if context.config.sources.iter().all(|source| source.expect_every_seconds.is_none()) {
        return Ok(());
    }
    let mut covered: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    let scope = transaction.session.scope()?;
    transaction.register_in(&scope, "intake/input_file", |_| true).await?;
    transaction.register_in(&scope, "intake/sample", |file| context.period.has_date(&file.partition)).await?;
    for row in rows::each(&scope.run("closing/covered_time", Parameters::none()).await?) {
        let time = (row.instant("first_measured_at")?, row.instant("last_measured_at")?);
        covered.entry(row.text("source")?.to_owned()).or_default().push(time);
    }
    // What two sources deliver are samples of the first one: such a file covers the time between its first and its
    // last record.
    for batch in transaction.read("input_file", |_| true).await? {
        let first: &TimestampMicrosecondArray = rows::column(&batch, "first_measured_at")?;
        let last: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
        for (index, row) in rows::each(std::slice::from_ref(&batch)).enumerate() {
            if row.number("duplicate_count")? > 0 && first.is_valid(index) && last.is_valid(index) {
                let time = (first.value(index), last.value(index));
                covered.entry(row.text("source")?.to_owned()).or_default().push(time);
            }
        }
    }
    for source in &context.config.sources {
        let Some(every) = source.expect_every_seconds else { continue };
        let mut files = covered.remove(&source.name).unwrap_or_default();
        files.sort_unstable();
        let mut reached = start;
        let mut gaps = Vec::new();
        for (first, last) in files.into_iter().chain([(end, end)]) {
            let first = first.min(end);
            if first - reached > i64::from(every) * 1_000_000 {
                gaps.push((reached, first));
            }
            reached = reached.max(last.min(end));
        }
        if let Some((from, until)) = gaps.first() {
            let instant =
                |time: i64| Timestamp::from_microsecond(time).map(|time| time.to_string()).unwrap_or_default();
            let more =
                if gaps.len() > 1 { format!(", and {}", count(gaps.len() - 1, "more gap")) } else { String::new() };
            refusals.push(format!(
                "the source `{}` has no usage from {} to {}{more}",
                source.name,
                instant(*from),
                instant(*until)
            ));
        }
    }
    Ok(())
}

/// Rejected records of files that hold usage of the period, or none of any time.
async fn rejected(context: &Context, transaction: &Transaction) -> Result<u64, Error> {
    let mut calendar = context.calendar();
    let start = calendar.day_start(context.period.start_day());
    let end = calendar.day_start(context.period.end_day());
    let mut rejected = 0;
    for batch in transaction.read("input_file", |_| true).await? {
        let counts: &Int64Array = rows::column(&batch, "rejected_count")?;
        let first: &TimestampMicrosecondArray = rows::column(&batch, "first_measured_at")?;
        let last: &TimestampMicrosecondArray = rows::column(&batch, "last_measured_at")?;
        for row in 0..batch.num_rows() {
            let is_of_period = !first.is_valid(row) || (first.value(row) < end && last.value(row) >= start);
            rejected += if is_of_period { counts.value(row).unsigned_abs() } else { 0 };
        }
    }
    Ok(rejected)
}

/// Projects with usage that stand in no account where there are accounts, and usage without a project.
async fn unassigned_projects(context: &Context, transaction: &Transaction) -> Result<BTreeSet<String>, Error> {
    let period = context.period.to_string();
    let has_accounts = !context.config.accounts.accounts.is_empty();
    let mut unassigned_projects = BTreeSet::new();
    for row in rows::each(&transaction.read("active_series", |file| file.partition == period).await?) {
        match row.optional_text("project_id")? {
            None => {
                unassigned_projects.insert("usage without a project".to_owned());
            }
            Some(project) if has_accounts && row.optional_text("account_name")?.is_none() => {
                unassigned_projects.insert(format!("`{project}`"));
            }
            Some(_) => {}
        }
    }
    Ok(unassigned_projects)
}
