//! The accounts that pay for each project over time, as rows.

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

/// The assignment of a project to an account, for a whole period or a part of it.
#[derive(Clone, Copy, Debug)]
struct Assignment<'a> {
    /// Absent: no account is assigned at this time, so the project pays for itself.
    account: Option<&'a Account>,
    project: &'a Project,
    /// Absent: the assignment begins at or before the start of the period.
    from: Option<i64>,
    /// Exclusive. Absent: the assignment ends at or after the end of the period.
    to: Option<i64>,
}

impl<'a> Assignment<'a> {
    fn account_id(&self) -> &'a str {
        self.account.map_or(&self.project.id, |account| &account.id)
    }

    /// The payers of a project: the account, its reseller, and each further reseller, up to the seller's direct
    /// customer.
    fn payer_chain(&self, accounts: &'a Accounts) -> Vec<Self> {
        let above = |below: &Self| Some(Self { account: Some(accounts.reseller_of(below.account?)?), ..*below });
        std::iter::successors(Some(*self), above).collect()
    }
}

/// The account assignments of a period, as the accounts file defines them.
#[derive(Debug)]
pub struct AccountAssignments<'a> {
    accounts: &'a Accounts,
    /// The assignments by project. The assignments of one project are in the order of time and have no gap.
    by_project: BTreeMap<&'a str, Vec<Assignment<'a>>>,
}

impl<'a> AccountAssignments<'a> {
    pub fn new(accounts: &'a Accounts, (start, end): (i64, i64)) -> Self {
        let mut by_project: BTreeMap<&str, Vec<Assignment<'_>>> = BTreeMap::new();
        for account in &accounts.accounts {
            for project in &account.projects {
                let from = project.valid_from.filter(|from| start < *from);
                let to = project.valid_to.filter(|to| *to < end);
                if from.is_none_or(|from| from < end) && to.is_none_or(|to| start < to) {
                    let assignment = Assignment { account: Some(account), project, from, to };
                    by_project.entry(&project.id).or_default().push(assignment);
                }
            }
        }
        for assignments in by_project.values_mut() {
            assignments.sort_by_key(|assignment| assignment.from);
            let gaps: Vec<Assignment<'_>> = gaps(assignments);
            assignments.extend(gaps);
            assignments.sort_by_key(|assignment| assignment.from);
        }
        Self { accounts, by_project }
    }

    /// The projects that have one account as their only payer in the whole period.
    fn with_one_payer(&self) -> impl Iterator<Item = (&'a str, &'a Project, &'a Account)> {
        self.by_project.iter().filter_map(|(id, assignments)| match assignments.as_slice() {
            [Assignment { account: Some(account), project, .. }] if self.accounts.reseller_of(account).is_none() => {
                Some((*id, *project, *account))
            }
            _ => None,
        })
    }

    /// The assignments of a project with several payers: accounts that follow each other, or a reseller's chain.
    fn with_several_payers(&self, project_id: &str) -> Option<&[Assignment<'a>]> {
        let has_several_payers = |assignments: &&[Assignment<'_>]| {
            let is_resold = |account: &Account| self.accounts.reseller_of(account).is_some();
            assignments.len() > 1 || assignments.iter().any(|assignment| assignment.account.is_some_and(is_resold))
        };
        self.by_project.get(project_id).map(Vec::as_slice).filter(has_several_payers)
    }

    /// The instants at which the payer of one of these projects changes.
    pub fn payer_changes<'p>(&self, projects: impl IntoIterator<Item = &'p str>) -> BTreeSet<i64> {
        let assignments = projects.into_iter().filter_map(|project| self.with_several_payers(project)).flatten();
        assignments.flat_map(|assignment| [assignment.from, assignment.to]).flatten().collect()
    }
}

/// The times at which a project has no account, if it has an account in another part of the period.
fn gaps<'a>(assignments: &[Assignment<'a>]) -> Vec<Assignment<'a>> {
    let Some(first) = assignments.first() else { return Vec::new() };
    let gap = |from: Option<i64>, to: Option<i64>| Assignment { account: None, project: first.project, from, to };
    let mut gaps = Vec::new();
    if let Some(from) = first.from {
        gaps.push(gap(None, Some(from)));
    }
    let mut previous = first;
    for assignment in assignments {
        if let (Some(to), Some(from)) = (previous.to, assignment.from)
            && to < from
        {
            gaps.push(gap(Some(to), Some(from)));
        }
        previous = assignment;
    }
    if let Some(to) = previous.to {
        gaps.push(gap(Some(to), None));
    }
    gaps
}

/// The rows of `project`, sorted by project.
pub fn project_rows(assignments: &AccountAssignments<'_>) -> Result<RecordBatch, Error> {
    let projects: Vec<(&str, &Project, &Account)> = assignments.with_one_payer().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(id, _, _)| id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(_, project, _)| project.name.as_ref()))),
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(_, _, account)| &account.id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(_, _, account)| Some(&account.name)))),
        Arc::new(BooleanArray::from_iter(projects.iter().map(|(_, _, account)| Some(account.internal)))),
    ];
    rows::batch(statement("rating/project")?, columns)
}

/// One row of `payer_series`.
struct PayerSeries<'a> {
    id: u64,
    metered_id: u64,
    assignment: Assignment<'a>,
    /// The series under which the reseller pays for the same usage, and the id of the reseller.
    seller: Option<(u64, &'a str)>,
}

/// The rows of `payer_series`, sorted by id, for the `series` of projects with several payers. The first payer keeps
/// the id of the series. Each other payer gets a new id.
pub fn payer_series_rows(
    account_assignments: &AccountAssignments<'_>,
    series: &RecordBatch,
    calendar: &mut Calendar,
) -> Result<RecordBatch, Error> {
    let found = payer_series(account_assignments, series)?;
    let mut dates: Vec<[Option<DayNumber>; 3]> = Vec::with_capacity(found.len());
    for PayerSeries { assignment, .. } in &found {
        let first = assignment.from.map(|from| calendar.day_of(from));
        let mut whole = |instant: Option<i64>| {
            let day = calendar.day_of(instant?);
            Some(if Some(calendar.day_start(day)) < instant { day + 1 } else { day })
        };
        dates.push([first, whole(assignment.from), whole(assignment.to)]);
    }
    let assignments = || found.iter().map(|row| &row.assignment);
    let status = |assignment: &Assignment<'_>| {
        assignment.account.map_or("invoiced", |account| account_assignments.accounts.status_of(account))
    };
    let date =
        |position: usize| -> ArrayRef { Arc::new(Date32Array::from_iter(dates.iter().map(|dates| dates[position]))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(found.iter().map(|row| row.id))),
        Arc::new(UInt64Array::from_iter_values(found.iter().map(|row| row.metered_id))),
        Arc::new(StringArray::from_iter(assignments().map(|assignment| assignment.project.name.as_ref()))),
        Arc::new(StringArray::from_iter_values(assignments().map(Assignment::account_id))),
        Arc::new(StringArray::from_iter(
            assignments().map(|assignment| assignment.account.map(|account| &account.name)),
        )),
        Arc::new(StringArray::from_iter_values(assignments().map(status))),
        Arc::new(rows::timestamps(assignments().map(|assignment| assignment.from))),
        Arc::new(rows::timestamps(assignments().map(|assignment| assignment.to))),
        date(0),
        date(1),
        date(2),
        Arc::new(StringArray::from_iter(found.iter().map(|row| row.seller.map(|(_, account)| account)))),
        Arc::new(UInt64Array::from_iter(found.iter().map(|row| row.seller.map(|(id, _)| id)))),
    ];
    rows::batch(statement("rating/payer_series")?, columns)
}

/// The payers of each series, sorted by the series id of the payer.
fn payer_series<'a>(
    account_assignments: &'a AccountAssignments<'a>,
    series: &RecordBatch,
) -> Result<Vec<PayerSeries<'a>>, Error> {
    let ids: &UInt64Array = rows::column(series, "series_id")?;
    let projects: &StringArray = rows::column(series, "project_id")?;
    let mut used_ids: HashSet<u64> = HashSet::new();
    let mut found: Vec<PayerSeries<'_>> = Vec::new();
    for (series_id, project) in ids.values().iter().zip(projects) {
        let Some(assignments) = project.and_then(|project| account_assignments.with_several_payers(project)) else {
            continue;
        };
        if used_ids.is_empty() {
            used_ids.extend(ids.values());
        }
        let mut number = 0;
        let mut next_id = || {
            let mut id = *series_id;
            if number > 0 {
                id = xxh3_64(format!("{series_id}/{number}").as_bytes());
                while !used_ids.insert(id) {
                    id = xxh3_64(&id.to_be_bytes());
                }
            }
            number += 1;
            id
        };
        for assignment in assignments {
            let chain = assignment.payer_chain(account_assignments.accounts);
            let ids: Vec<u64> = chain.iter().map(|_| next_id()).collect();
            for (position, assignment) in chain.iter().enumerate() {
                let seller = ids.get(position + 1).copied().zip(chain.get(position + 1).map(Assignment::account_id));
                found.push(PayerSeries { id: ids[position], metered_id: *series_id, assignment: *assignment, seller });
            }
        }
    }
    found.sort_by_key(|row| row.id);
    Ok(found)
}

/// The ordered rate cards of the accounts that do not use the public card alone.
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

    /// Whether an account has cards other than the public card alone.
    pub fn has_own(&self, account_id: &str) -> bool {
        self.0.contains_key(account_id)
    }

    /// The cards of an account. An account without own cards uses the public card.
    pub fn of(&self, account_id: Option<&str>) -> Vec<&str> {
        let own = account_id.and_then(|account_id| self.0.get(account_id));
        own.map_or_else(|| vec![PUBLIC], |cards| cards.iter().map(String::as_str).collect())
    }
}

/// The rows of `account_card`, sorted by account.
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
