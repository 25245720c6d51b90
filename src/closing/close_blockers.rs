//! Close blockers: the reasons why a period should not be closed yet.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, Int64Array, TimestampMicrosecondArray};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::{Error, count};
use crate::model::close_blocker::{BlockerKind, CloseBlocker};
use crate::model::config::Origin;
use crate::model::draft_number::draft_prefix;
use crate::model::money::{Amount, Cost, places_of_code};
use crate::model::period::{BillingPeriod, day_number};
use crate::model::terms::CARRIED_FORWARD;
use crate::model::unread_input::printable;
use crate::query::Parameters;
use crate::rows;
use crate::run::{Context, Transaction, final_invoices};
use crate::storage::CommitKind;

/// The close blockers of a period.
pub async fn find_close_blockers(
    context: &Context,
    transaction: &Transaction,
    date: Date,
) -> Result<Vec<CloseBlocker>, Error> {
    let mut blockers = Vec::new();
    let scope = Scope::of(context);
    if date < context.period.end() && context.account.is_none() {
        let last = context.period.last_day();
        let detail = format!(
            "{} ends on {last}, but the issue date is {date}; issue it on {} or later",
            context.period,
            context.period.end()
        );
        blockers.push(CloseBlocker::new(BlockerKind::PeriodNotEnded, detail).about(context.period.to_string()));
    }
    no_usage(context, transaction, &mut blockers);
    let limits = context.config.closing.clone();
    missing_usage(context, transaction, &mut blockers).await?;
    let period = context.period.to_string();
    let unrated = unrated_rows(&scope, transaction, &period).await?;
    if unrated > limits.max_unrated {
        let detail = format!(
            "{} {} no price, more than `max_unrated` = {}: \
             `conto sql \"SELECT * FROM unrated_usage\"`",
            count(usize::try_from(unrated).unwrap_or(usize::MAX), "usage row"),
            if unrated == 1 { "has" } else { "have" },
            limits.max_unrated
        );
        let blocker = CloseBlocker::new(BlockerKind::UnratedUsage, detail);
        blockers.push(blocker.counted(unrated).above(limits.max_unrated));
    }
    left_out(context, transaction, limits.max_rejected, &mut blockers).await?;
    suspended_accounts(&scope, transaction, &period, &mut blockers).await?;
    out_of_order(context.period, &scope, transaction, &mut blockers).await?;
    if context.account.is_some() {
        // The usage of a project after the end of its account, or without an account, is not part of a final invoice.
        return Ok(blockers);
    }
    let unassigned_projects = unassigned_projects(context, transaction).await?;
    if unassigned_projects.len() as u64 > limits.max_unattributed {
        let named: Vec<&str> = unassigned_projects.iter().take(5).map(String::as_str).collect();
        let more = if unassigned_projects.len() > 5 { ", …" } else { "" };
        let detail = format!(
            "usage without an account, more than `max_unattributed` = {}: {}{more}",
            limits.max_unattributed,
            named.join(", ")
        );
        let mut blocker = CloseBlocker::new(BlockerKind::UnassignedUsage, detail);
        let has_accounts = i64::from(!context.config.accounts.accounts.is_empty());
        let parameters = Parameters::none().bigint("has_accounts", has_accounts);
        for row in rows::each(&transaction.session.run("closing/unassigned_cost", parameters).await?) {
            let cost: Cost = row.decimal("contracted_cost")?;
            blocker = blocker.of_cost(cost.to_text(2), row.text("price_currency")?);
        }
        blockers.push(blocker.counted(unassigned_projects.len() as u64).above(limits.max_unattributed));
    }
    Ok(blockers)
}

/// Adds a blocker for each suspended account, with all reasons and the cost of its usage in each currency.
async fn suspended_accounts(
    scope: &Scope,
    transaction: &Transaction,
    period: &str,
    blockers: &mut Vec<CloseBlocker>,
) -> Result<(), Error> {
    let suspended = transaction.read("suspended_account", |file| file.partition == period).await?;
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut costs: BTreeMap<&str, Vec<(Cost, &str)>> = BTreeMap::new();
    for row in rows::each(&suspended) {
        let account_id = row.text("account_id")?;
        if !scope.contains(account_id) {
            continue;
        }
        let (of_account, detail) = (reasons.entry(account_id).or_default(), row.text("detail")?);
        if !of_account.contains(&detail) {
            of_account.push(detail);
        }
        let cost: Cost = row.decimal("contracted_cost")?;
        let one = (cost, row.text("price_currency")?);
        costs.entry(account_id).or_default().extend(Some(one).filter(|_| !cost.is_zero()));
    }
    for (account_id, details) in reasons {
        let detail = format!("the account `{account_id}` is suspended: {}", details.join("; "));
        let blocker = CloseBlocker::new(BlockerKind::SuspendedAccount, detail).about(account_id);
        let of_account = costs.remove(account_id).unwrap_or_default().into_iter();
        blockers.push(of_account.fold(blocker, |blocker, (cost, currency)| blocker.of_cost(cost.to_text(2), currency)));
    }
    Ok(())
}

/// Adds a blocker if the period has neither usage nor documents, although the lake has usage of other periods.
fn no_usage(context: &Context, transaction: &Transaction, blockers: &mut Vec<CloseBlocker>) {
    let Some((first, last)) = transaction.snapshot.usage_of_other_periods(context.period) else { return };
    let period = context.period.to_string();
    if !transaction.files_where("invoice", |file| file.partition == period).is_empty() {
        return;
    }
    let detail = format!("{period} has no usage and no document; the lake has usage from {first} to {last}");
    blockers.push(CloseBlocker::new(BlockerKind::NoUsage, detail).about(period));
}

/// The accounts whose documents are issued, or were issued.
enum Scope {
    All,
    Accounts(BTreeSet<String>),
}

impl Scope {
    /// The account of the context, or all payers.
    fn of(context: &Context) -> Self {
        context.account.as_ref().map_or(Self::All, |account| Self::Accounts(BTreeSet::from([account.clone()])))
    }

    fn contains(&self, account: &str) -> bool {
        match self {
            Self::All => true,
            Self::Accounts(accounts) => accounts.contains(account),
        }
    }

    /// The accounts with issued documents in another period; `None` if it has no issued documents.
    fn issued_in(transaction: &Transaction, period: &str) -> Option<Self> {
        if transaction.snapshot.last(CommitKind::Close, period).is_some() {
            return Some(Self::All);
        }
        let accounts: BTreeSet<String> = final_invoices(&transaction.snapshot, period).into_keys().collect();
        (!accounts.is_empty()).then_some(Self::Accounts(accounts))
    }

    /// The accounts of both scopes.
    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, Self::All) => Self::All,
            (Self::All, Self::Accounts(accounts)) | (Self::Accounts(accounts), Self::All) => {
                Self::Accounts(accounts.clone())
            }
            (Self::Accounts(one), Self::Accounts(other)) => Self::Accounts(one & other),
        }
    }
}

/// The number of usage rows without a price.
async fn unrated_rows(scope: &Scope, transaction: &Transaction, period: &str) -> Result<u64, Error> {
    if matches!(scope, Scope::All) {
        let files = transaction.files_where("unrated_usage", |file| file.partition == period);
        return Ok(files.iter().map(|file| file.rows).sum());
    }
    let mut unrated = 0;
    for row in rows::each(&transaction.read("unrated_usage", |file| file.partition == period).await?) {
        unrated += u64::from(row.optional_text("account_id")?.is_some_and(|account| scope.contains(account)));
    }
    Ok(unrated)
}

/// Adds the blockers of months that are closed in the wrong order.
///
/// Two months depend on each other if one charges fees of the other in advance, both use a credit, or an amount is
/// carried forward. These amounts can change until the earlier month is closed, but not after the later month is
/// closed. Other months can be closed in any order.
async fn out_of_order(
    this: BillingPeriod,
    scope: &Scope,
    transaction: &Transaction,
    blockers: &mut Vec<CloseBlocker>,
) -> Result<(), Error> {
    let period = this.to_string();
    let mut billed: BTreeMap<&str, bool> = BTreeMap::new();
    for commit in transaction.snapshot.commits() {
        if let Some(other) = commit.period.as_deref().filter(|_| commit.kind.has_documents()) {
            *billed.entry(other).or_default() |= commit.kind == CommitKind::Close;
        }
    }
    for (other, is_closed) in billed {
        let Ok(month) = other.parse::<BillingPeriod>() else { continue };
        if other < period.as_str() && !is_closed {
            let balances = PeriodBalances::read(transaction, this, scope).await?;
            balances.add_earlier_month(transaction, month, blockers).await?;
        }
        if let Some(issued) = Scope::issued_in(transaction, other).filter(|_| other > period.as_str()) {
            let both = scope.and(&issued);
            let balances = PeriodBalances::read(transaction, this, &both).await?;
            balances.add_later_month(transaction, month, blockers).await?;
        }
    }
    Ok(())
}

/// The balances of one period that affect other periods.
struct PeriodBalances<'a> {
    period: BillingPeriod,
    /// The accounts of the balances.
    scope: &'a Scope,
    credits: BTreeMap<String, CreditUse>,
    brought_forward: BTreeMap<String, CarriedForward>,
    carried_forward: BTreeMap<String, CarriedForward>,
}

impl<'a> PeriodBalances<'a> {
    async fn read(transaction: &Transaction, period: BillingPeriod, scope: &'a Scope) -> Result<Self, Error> {
        let name = period.to_string();
        Ok(Self {
            period,
            scope,
            credits: credits_of(transaction, &name, scope).await?,
            brought_forward: brought_forward_in(transaction, &name, scope).await?,
            carried_forward: carried_forward_from(transaction, &name, scope).await?,
        })
    }

    /// Adds the blockers of an earlier month that is billed but not closed.
    async fn add_earlier_month(
        &self,
        transaction: &Transaction,
        month: BillingPeriod,
        blockers: &mut Vec<CloseBlocker>,
    ) -> Result<(), Error> {
        let (period, other) = (self.period, month.to_string());
        let open = format!("{other} is billed but not closed, and");
        let blocker = |detail| CloseBlocker::new(BlockerKind::EarlierMonthOpen, detail).about(&other);
        if month.end() == period.start() && !fees_of(transaction, month, period, self.scope).await?.is_empty() {
            blockers.push(blocker(format!("{open} charges fees of {period} in advance: close {other} first")));
        }
        for (document, amount) in carried_forward_from(transaction, &other, self.scope).await? {
            if self.brought_forward.contains_key(&document) {
                let detail =
                    format!("{open} {period} charges {amount}, which {other} carries forward: close {other} first");
                blockers.push(blocker(detail));
            }
        }
        let theirs = credits_of(transaction, &other, self.scope).await?;
        for (credit, _) in self.credits.iter().filter(|(_, ours)| ours.used != 0) {
            if theirs.get(credit).is_some_and(|theirs| theirs.used != 0) {
                let detail = format!("{open} uses the credit `{credit}` before {period}: close {other} first");
                blockers.push(blocker(detail));
            }
        }
        Ok(())
    }

    /// Adds the blockers of a later month that is already closed.
    async fn add_later_month(
        &self,
        transaction: &Transaction,
        month: BillingPeriod,
        blockers: &mut Vec<CloseBlocker>,
    ) -> Result<(), Error> {
        let (period, other, end) = (self.period, month.to_string(), self.period.end());
        let blocker = |detail| CloseBlocker::new(BlockerKind::LaterMonthClosed, detail).about(&other);
        let ahead = fees_of(transaction, period, month, self.scope).await?;
        if ahead.intersection(&fees_of(transaction, month, month, self.scope).await?).next().is_some() {
            blockers.push(blocker(format!(
                "{other} is already closed and charges fees that {period} would charge again in advance: set \
                 `valid_to = {}` for these fees during this close",
                month.start()
            )));
        }
        let of_period = draft_prefix(period);
        for (document, charged) in brought_forward_in(transaction, &other, self.scope).await? {
            let current = self.carried_forward.get(&document);
            if document.starts_with(&of_period) && current != Some(&charged) {
                let current = current.map_or("carries nothing".to_owned(), |amount| format!("carries {amount}"));
                blockers.push(blocker(format!(
                    "{other} is already closed and charges {charged}, which {period} carried forward, but {period} \
                     {current} forward now. Add a `[[credit]]` over the charged amount with `valid_to = {end}` to the \
                     account, remove `minimum_invoice_amount`, and close with --force and --reason."
                )));
            }
        }
        let theirs = credits_of(transaction, &other, self.scope).await?;
        for (credit, ours) in self.credits.iter().filter(|(_, ours)| ours.used != 0) {
            if theirs.get(credit).is_some_and(|theirs| theirs.available > ours.closing) {
                blockers.push(blocker(format!(
                    "{other} is already closed and uses the same amount of the credit `{credit}` as {period}: set \
                     `valid_from = {end}` for this credit during this close"
                )));
            }
        }
        Ok(())
    }
}

/// The available, used and closing amount of a credit in a period, in units.
struct CreditUse {
    available: i128,
    used: i128,
    closing: i128,
}

async fn credits_of(
    transaction: &Transaction,
    period: &str,
    scope: &Scope,
) -> Result<BTreeMap<String, CreditUse>, Error> {
    let mut credits = BTreeMap::new();
    for row in rows::each(&transaction.read("credit_balance", |file| file.partition == period).await?) {
        if !scope.contains(row.text("account_id")?) {
            continue;
        }
        let available = row.units("opening_balance")? + row.units("granted")?;
        let credit_use = CreditUse { available, used: row.units("used")?, closing: row.units("closing_balance")? };
        credits.insert(row.text("credit_id")?.to_owned(), credit_use);
    }
    Ok(credits)
}

/// An amount that a document carries forward to a later document.
#[derive(PartialEq, Eq)]
struct CarriedForward {
    account: String,
    amount: Amount,
    currency: String,
}

impl std::fmt::Display for CarriedForward {
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

/// The amounts that documents of a period carry forward, by document.
async fn carried_forward_from(
    transaction: &Transaction,
    period: &str,
    scope: &Scope,
) -> Result<BTreeMap<String, CarriedForward>, Error> {
    let mut carried_forward = BTreeMap::new();
    for row in rows::each(&transaction.read("invoice", |file| file.partition == period).await?) {
        if row.text("document_kind")? == CARRIED_FORWARD && scope.contains(row.text("account_id")?) {
            let (account, currency) = (row.text("account_id")?.to_owned(), row.text("currency")?.to_owned());
            let amount = row.decimal("carried_forward")?;
            carried_forward
                .insert(row.text("invoice_number")?.to_owned(), CarriedForward { account, amount, currency });
        }
    }
    Ok(carried_forward)
}

/// The amounts that documents of a period bring forward, by earlier document.
async fn brought_forward_in(
    transaction: &Transaction,
    period: &str,
    scope: &Scope,
) -> Result<BTreeMap<String, CarriedForward>, Error> {
    let mut places = BTreeMap::new();
    for row in rows::each(&transaction.read("line_reference", |file| file.partition == period).await?) {
        if let Some(document) = row.optional_text("carried_from")? {
            let place = (row.text("invoice_number")?.to_owned(), row.number("line_number")?);
            places.insert(place, document.to_owned());
        }
    }
    let mut amounts: BTreeMap<String, CarriedForward> = BTreeMap::new();
    if places.is_empty() {
        return Ok(amounts);
    }
    for row in rows::each(&transaction.read("invoice_line", |file| file.partition == period).await?) {
        let place = (row.text("invoice_number")?.to_owned(), row.number("line_number")?);
        let is_of_scope = scope.contains(row.text("account_id")?);
        if let Some(document) = places.get(&place).filter(|_| is_of_scope) {
            let (account, currency) = (row.text("account_id")?.to_owned(), row.text("currency")?.to_owned());
            let sum =
                amounts.entry(document.clone()).or_insert(CarriedForward { account, amount: Amount::ZERO, currency });
            let added = sum.amount.checked_add(row.decimal("net_amount")?);
            sum.amount = added.ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    Ok(amounts)
}

/// The recurring fees in one period for the days of a month, each as rule, account and project.
async fn fees_of(
    transaction: &Transaction,
    period: BillingPeriod,
    month: BillingPeriod,
    scope: &Scope,
) -> Result<BTreeSet<[String; 3]>, Error> {
    let (name, days) = (period.to_string(), month.start_day()..month.end_day());
    let mut fees = BTreeSet::new();
    for row in rows::each(&transaction.read("non_usage_charge", |file| file.partition == name).await?) {
        let is_of_scope = scope.contains(row.text("account_id")?);
        if is_of_scope && row.text("charge_kind")? == "recurring" && days.contains(&row.day("charge_period_start")?) {
            let project = row.optional_text("project_id")?.unwrap_or_default();
            fees.insert([row.text("rule_id")?, row.text("account_id")?, project].map(str::to_owned));
        }
    }
    Ok(fees)
}

/// Adds a blocker for each source if a gap in its usage is longer than the configured interval.
async fn missing_usage(
    context: &Context,
    transaction: &Transaction,
    blockers: &mut Vec<CloseBlocker>,
) -> Result<(), Error> {
    let mut calendar = context.calendar();
    let start = calendar.day_start(context.period.start_day());
    let end = calendar.day_start(day_number(context.issued_until()));
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
    // If two sources deliver the same samples, the samples belong to the first source. So a file with duplicates also
    // covers the time from its first to its last record.
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
            let detail = format!(
                "the source `{}` has no usage from {} to {}{more}",
                source.name,
                instant(*from),
                instant(*until)
            );
            let blocker = CloseBlocker::new(BlockerKind::MissingUsage, detail).about(&source.name);
            blockers.push(blocker.counted(gaps.len() as u64));
        }
    }
    Ok(())
}

/// Adds the blockers of rejected records and of inputs that could not be read, if together they are more than the
/// limit. A server whose usage of the period was not read is always a blocker, and so is a directory or bucket that was
/// not listed.
async fn left_out(
    context: &Context,
    transaction: &Transaction,
    limit: u64,
    blockers: &mut Vec<CloseBlocker>,
) -> Result<(), Error> {
    let end = context.calendar().day_start(day_number(context.issued_until()));
    let rejected = rejected(context, transaction).await?;
    let is_whole_source = |source: &str, url: &str| {
        let mut sources = context.config.sources.iter().filter(|config| config.name == source);
        sources.any(|config| matches!(&config.origin, Origin::Files(files) if files.path == url))
    };
    let mut inputs = Vec::new();
    for row in rows::each(&transaction.read("unread_input", |_| true).await?) {
        let named = |row: rows::Row<'_>| -> Result<String, Error> {
            Ok(format!("`{}`: {}", printable(row.text("url")?), printable(row.text("detail")?)))
        };
        let source = row.text("source")?;
        match row.optional_instant("missing_from")? {
            None if is_whole_source(source, row.text("url")?) => {
                let detail = format!("the source `{source}` was not read: {}", named(row)?);
                blockers.push(CloseBlocker::new(BlockerKind::UnreadSource, detail).about(source));
            }
            None => inputs.push(named(row)?),
            Some(missing_from) if missing_from < end => {
                let from = Timestamp::from_microsecond(missing_from).map(|from| from.to_string()).unwrap_or_default();
                let detail = format!("the usage of the source `{source}` from {from} on was not read: {}", named(row)?);
                blockers.push(CloseBlocker::new(BlockerKind::UnreadSource, detail).about(source));
            }
            Some(_) => {}
        }
    }
    let unread = inputs.len();
    if rejected.saturating_add(unread as u64) <= limit {
        return Ok(());
    }
    if rejected > 0 {
        let detail = format!(
            "{} in input files of the period {} rejected, more than `max_rejected` = {limit}: \
             `conto sql \"SELECT url, line, reason, detail FROM rejected_record JOIN input_file \
             USING (input_file_id)\"`",
            count(usize::try_from(rejected).unwrap_or(usize::MAX), "record"),
            if rejected == 1 { "was" } else { "were" },
        );
        blockers.push(CloseBlocker::new(BlockerKind::RejectedRecord, detail).counted(rejected).above(limit));
    }
    if unread > 0 {
        let more = if unread > 5 { ", …: `conto sql \"SELECT * FROM unread_input\"`" } else { "" };
        inputs.truncate(5);
        let detail = format!(
            "{} could not be read, more than `max_rejected` = {limit}: {}{more}",
            count(unread, "input"),
            inputs.join(", ")
        );
        blockers.push(CloseBlocker::new(BlockerKind::UnreadInput, detail).counted(unread as u64).above(limit));
    }
    Ok(())
}

/// The number of rejected records in files with usage of the period, and in files without any usage.
async fn rejected(context: &Context, transaction: &Transaction) -> Result<u64, Error> {
    let mut calendar = context.calendar();
    let start = calendar.day_start(context.period.start_day());
    let end = calendar.day_start(day_number(context.issued_until()));
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

/// Unassigned projects with usage, if accounts are configured, and usage without a project.
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
