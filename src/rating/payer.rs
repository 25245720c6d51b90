//! Who pays for which project: accounts as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};

use crate::config::{Account, Accounts, Project};
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows;

/// Rows of `project`, sorted by project.
pub fn project_rows(accounts: &Accounts) -> Result<RecordBatch, Error> {
    let mut projects: Vec<(&Project, &Account)> = accounts
        .accounts
        .iter()
        .flat_map(|account| account.projects.iter().map(move |project| (project, account)))
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
