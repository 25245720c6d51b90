//! Who pays for which project: accounts as rows.

use std::collections::BTreeMap;
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
