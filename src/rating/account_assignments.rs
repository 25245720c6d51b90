//! Who pays for which project: accounts as rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, UInt64Array};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::model::account::{Account, Accounts, Project};
use crate::model::period::{Calendar, DayNumber};
use crate::model::rule::PUBLIC;
use crate::query::statement;
use crate::rows;

/// Somebody who pays for a project, in all of a period or in a part of it.
#[derive(Clone, Copy, Debug)]
struct Paying<'a> {
    /// Absent: the project is its own account, in a time in which no account has it.
    account: Option<&'a Account>,
    project: &'a Project,
    /// Absent: from before the period.
    from: Option<i64>,
    /// Exclusive; absent: beyond the period.
    to: Option<i64>,
}

impl<'a> Paying<'a> {
    fn account_id(&self) -> &'a str {
        self.account.map_or(&self.project.id, |account| &account.id)
    }

    /// Who pays to whom: the account to its reseller, which pays to its own, and the last of them to the seller.
    fn chain(&self, accounts: &'a Accounts) -> Vec<Self> {
        let above = |below: &Self| Some(Self { account: Some(accounts.reseller_of(below.account?)?), ..*below });
        std::iter::successors(Some(*self), above).collect()
    }
}

/// Who pays for which project in a period, as the accounts say.
#[derive(Debug)]
pub struct AccountAssignments<'a> {
    accounts: &'a Accounts,
    /// By project; those of one project in the order of time, without a gap.
    of_projects: BTreeMap<&'a str, Vec<Paying<'a>>>,
}

impl<'a> AccountAssignments<'a> {
    pub fn new(accounts: &'a Accounts, (start, end): (i64, i64)) -> Self {
        let mut of_projects: BTreeMap<&str, Vec<Paying<'_>>> = BTreeMap::new();
        for account in &accounts.accounts {
            for project in &account.projects {
                let from = project.valid_from.filter(|from| start < *from);
                let to = project.valid_to.filter(|to| *to < end);
                if from.is_none_or(|from| from < end) && to.is_none_or(|to| start < to) {
                    let paying = Paying { account: Some(account), project, from, to };
                    of_projects.entry(&project.id).or_default().push(paying);
                }
            }
        }
        for tenures in of_projects.values_mut() {
            tenures.sort_by_key(|paying| paying.from);
            let gaps: Vec<Paying<'_>> = gaps(tenures);
            tenures.extend(gaps);
            tenures.sort_by_key(|paying| paying.from);
        }
        Self { accounts, of_projects }
    }

    /// Projects that one account pays for in all of the period.
    fn of_one(&self) -> impl Iterator<Item = (&'a str, &'a Project, &'a Account)> {
        self.of_projects.iter().filter_map(|(id, tenures)| match tenures.as_slice() {
            [Paying { account: Some(account), project, .. }] if self.accounts.reseller_of(account).is_none() => {
                Some((*id, *project, *account))
            }
            _ => None,
        })
    }

    /// Those that several pay for, one after the other or one to the other.
    fn of_several(&self, project_id: &str) -> Option<&[Paying<'a>]> {
        let is_of_several = |tenures: &&[Paying<'_>]| {
            let is_resold = |account: &Account| self.accounts.reseller_of(account).is_some();
            tenures.len() > 1 || tenures.iter().any(|paying| paying.account.is_some_and(is_resold))
        };
        self.of_projects.get(project_id).map(Vec::as_slice).filter(is_of_several)
    }

    /// When one of these projects gets another payer.
    pub fn changes<'p>(&self, projects: impl IntoIterator<Item = &'p str>) -> BTreeSet<i64> {
        let tenures = projects.into_iter().filter_map(|project| self.of_several(project)).flatten();
        tenures.flat_map(|paying| [paying.from, paying.to]).flatten().collect()
    }
}

/// The time in which no account has a project that one has in another part of the period.
fn gaps<'a>(tenures: &[Paying<'a>]) -> Vec<Paying<'a>> {
    let Some(first) = tenures.first() else { return Vec::new() };
    let gap = |from: Option<i64>, to: Option<i64>| Paying { account: None, project: first.project, from, to };
    let mut gaps = Vec::new();
    if let Some(from) = first.from {
        gaps.push(gap(None, Some(from)));
    }
    let mut before = first;
    for paying in tenures {
        if let (Some(to), Some(from)) = (before.to, paying.from)
            && to < from
        {
            gaps.push(gap(Some(to), Some(from)));
        }
        before = paying;
    }
    if let Some(to) = before.to {
        gaps.push(gap(Some(to), None));
    }
    gaps
}

/// Rows of `project`, sorted by project.
pub fn project_rows(tenures: &AccountAssignments<'_>) -> Result<RecordBatch, Error> {
    let projects: Vec<(&str, &Project, &Account)> = tenures.of_one().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(id, _, _)| id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(_, project, _)| project.name.as_ref()))),
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(_, _, account)| &account.id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(_, _, account)| Some(&account.name)))),
        Arc::new(BooleanArray::from_iter(projects.iter().map(|(_, _, account)| Some(account.internal)))),
    ];
    rows::batch(statement("rating/project")?, columns)
}

/// A row of `payer_series` before it is one.
struct PayerSeries<'a> {
    id: u64,
    metered_id: u64,
    paying: Paying<'a>,
    /// By which the reseller owes the same usage, and who that is.
    seller: Option<(u64, &'a str)>,
}

/// Rows of `payer_series`, sorted by id, of those `series` whose projects have several payers. The first of them keeps
/// the id that the series has; the others get one that no series has.
pub fn payer_series_rows(
    of_periods: &AccountAssignments<'_>,
    series: &RecordBatch,
    calendar: &mut Calendar,
) -> Result<RecordBatch, Error> {
    let ids: &UInt64Array = rows::column(series, "series_id")?;
    let projects: &StringArray = rows::column(series, "project_id")?;
    let mut taken: HashSet<u64> = HashSet::new();
    let mut found: Vec<PayerSeries<'_>> = Vec::new();
    for (series_id, project) in ids.values().iter().zip(projects) {
        let Some(tenures) = project.and_then(|project| of_periods.of_several(project)) else { continue };
        if taken.is_empty() {
            taken.extend(ids.values());
        }
        let mut number = 0;
        let mut next_id = || {
            let mut id = *series_id;
            if number > 0 {
                id = xxh3_64(format!("{series_id}/{number}").as_bytes());
                while !taken.insert(id) {
                    id = xxh3_64(&id.to_be_bytes());
                }
            }
            number += 1;
            id
        };
        for tenure in tenures {
            let chain = tenure.chain(of_periods.accounts);
            let ids: Vec<u64> = chain.iter().map(|_| next_id()).collect();
            for (place, paying) in chain.iter().enumerate() {
                let seller = ids.get(place + 1).copied().zip(chain.get(place + 1).map(Paying::account_id));
                found.push(PayerSeries { id: ids[place], metered_id: *series_id, paying: *paying, seller });
            }
        }
    }
    found.sort_by_key(|row| row.id);
    let mut dates: Vec<[Option<DayNumber>; 3]> = Vec::with_capacity(found.len());
    for PayerSeries { paying, .. } in &found {
        let first = paying.from.map(|from| calendar.day_of(from));
        let mut whole = |instant: Option<i64>| {
            let day = calendar.day_of(instant?);
            Some(if Some(calendar.day_start(day)) < instant { day + 1 } else { day })
        };
        dates.push([first, whole(paying.from), whole(paying.to)]);
    }
    let payings = || found.iter().map(|row| &row.paying);
    let status =
        |paying: &Paying<'_>| paying.account.map_or("invoiced", |account| of_periods.accounts.status_of(account));
    let date = |place: usize| -> ArrayRef { Arc::new(Date32Array::from_iter(dates.iter().map(|dates| dates[place]))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(found.iter().map(|row| row.id))),
        Arc::new(UInt64Array::from_iter_values(found.iter().map(|row| row.metered_id))),
        Arc::new(StringArray::from_iter(payings().map(|paying| paying.project.name.as_ref()))),
        Arc::new(StringArray::from_iter_values(payings().map(Paying::account_id))),
        Arc::new(StringArray::from_iter(payings().map(|paying| paying.account.map(|account| &account.name)))),
        Arc::new(StringArray::from_iter_values(payings().map(status))),
        Arc::new(rows::timestamps(payings().map(|paying| paying.from))),
        Arc::new(rows::timestamps(payings().map(|paying| paying.to))),
        date(0),
        date(1),
        date(2),
        Arc::new(StringArray::from_iter(found.iter().map(|row| row.seller.map(|(_, account)| account)))),
        Arc::new(UInt64Array::from_iter(found.iter().map(|row| row.seller.map(|(id, _)| id)))),
    ];
    rows::batch(statement("rating/payer_series")?, columns)
}

/// The rate cards, in order, of the accounts that have others than the public one alone.
#[derive(Clone, Debug, Default)]
pub struct Cards(BTreeMap<String, Vec<String>>);

impl Cards {
    pub fn new<'a>(accounts: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let own = accounts.into_iter().filter(|(_, cards)| cards.as_slice() != [PUBLIC]);
        Self(own.map(|(account, cards)| (account.to_owned(), cards.into_iter().map(str::to_owned).collect())).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an account has a card of its own.
    pub fn has_own(&self, account_id: &str) -> bool {
        self.0.contains_key(account_id)
    }

    /// The cards of an account; those whom nobody knows have the public one.
    pub fn of(&self, account_id: Option<&str>) -> Vec<&str> {
        let own = account_id.and_then(|account_id| self.0.get(account_id));
        own.map_or_else(|| vec![PUBLIC], |cards| cards.iter().map(String::as_str).collect())
    }
}

/// Rows of `account_card`, sorted by account.
pub fn account_card_rows(cards: &Cards) -> Result<RecordBatch, Error> {
    let numbers: Vec<(&str, &str, i64)> = cards
        .0
        .iter()
        .flat_map(|(account, cards)| {
            cards.iter().zip(1..).map(|(card, number)| (account.as_str(), card.as_str(), number))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(numbers.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(numbers.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(numbers.iter().map(|row| row.2))),
    ];
    rows::batch(statement("rating/account_card")?, columns)
}
