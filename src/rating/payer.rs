//! Who pays for which project: accounts as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};

use super::rule::PUBLIC;
use crate::account::{Account, Accounts, Project};
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// Rows of `project`, sorted by project, as accounts stand at the beginning of a period.
pub fn project_rows(accounts: &Accounts, start: i64) -> Result<RecordBatch, Error> {
    let mut projects: Vec<(&Project, &Account)> = accounts
        .accounts
        .iter()
        .flat_map(|account| account.projects.iter().map(move |project| (project, account)))
        .filter(|(project, _)| project.is_of_account_at(start))
        .collect();
    projects.sort_by(|left, right| left.0.id.cmp(&right.0.id));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(project, _)| &project.id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(project, _)| project.name.as_ref()))),
        Arc::new(StringArray::from_iter_values(projects.iter().map(|(_, account)| &account.id))),
        Arc::new(StringArray::from_iter(projects.iter().map(|(_, account)| Some(&account.name)))),
        Arc::new(BooleanArray::from_iter(projects.iter().map(|(_, account)| Some(account.internal)))),
    ];
    rows::batch(statement("rating/project")?, columns)
}

/// Rows of `account_card`, from accounts and their cards in order, sorted by account.
pub fn account_card_rows<'a>(
    accounts: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>,
) -> Result<RecordBatch, Error> {
    let mut listed: Vec<(&str, Vec<&str>)> =
        accounts.into_iter().filter(|(_, cards)| cards.as_slice() != [PUBLIC]).collect();
    listed.sort();
    let numbered = |cards: &[&'a str]| -> Vec<(&'a str, i64)> { cards.iter().copied().zip(1..).collect() };
    let numbers: Vec<(&str, &str, i64)> = listed
        .iter()
        .flat_map(|(account, cards)| numbered(cards).into_iter().map(|(card, number)| (*account, card, number)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(numbers.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(numbers.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(numbers.iter().map(|row| row.2))),
    ];
    rows::batch(statement("rating/account_card")?, columns)
}
