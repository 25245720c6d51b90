//! The inputs that all pages of a period share, and the names of their files.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::relations::Relations;
use crate::documents::render::Project;
use crate::error::Error;
use crate::model::account::Account;
use crate::model::config::Seller;
use crate::model::issue::Issue;
use crate::model::period::day_number;
use crate::rows::{self, Row};
use crate::run::Context;
use crate::storage::layout::{self, file_name};

pub(super) fn generated_by() -> String {
    concat!("Conto ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The name of a document in its directory.
pub(super) fn name_of(path: &str) -> String {
    layout::document_name(path).to_owned()
}

pub(super) fn invoice_path(account_id: &str, number: &str, ending: &str) -> String {
    format!("{}/{}.{ending}", file_name(account_id), file_name(number))
}

/// The key of a project: project id and account id.
pub(super) type ProjectKey<'a> = (Option<&'a str>, Option<&'a str>);

/// The rows of a project in an account.
#[derive(Debug, Default)]
pub(super) struct ProjectRows<'a> {
    pub(super) summary: Option<Row<'a>>,
    pub(super) service_days: Vec<Row<'a>>,
    pub(super) skus: Vec<Row<'a>>,
    pub(super) resources: Vec<Row<'a>>,
    pub(super) unrated: Vec<Row<'a>>,
}

/// The inputs that all pages of a period share.
pub(super) struct PageInputs<'a> {
    pub(super) context: &'a Context,
    pub(super) issue: Option<&'a Issue>,
    pub(super) start: Date,
    pub(super) end: Date,
    pub(super) hours: u32,
    pub(super) currency: String,
}

impl PageInputs<'_> {
    /// The account of an invoice; `None` for an unassigned project, which can have the same id as an account.
    pub(super) fn account_of(&self, invoice: Row<'_>) -> Result<Option<&Account>, Error> {
        let is_account = invoice.optional_text("account_name")?.is_some();
        let account = self.party(invoice.text("invoice_number")?, invoice.text("account_id")?);
        Ok(account.filter(|_| is_account))
    }

    /// The days of the period in which the account is valid, with an exclusive end, and their number of hours.
    pub(super) fn service_period(&self, account: &Account) -> (Date, Date, u32) {
        let (start, end) = account.service_period(self.start, self.end);
        if (start, end) == (self.start, self.end) {
            return (start, end, self.hours);
        }
        let mut calendar = self.context.calendar();
        let microseconds = calendar.day_start(day_number(end)) - calendar.day_start(day_number(start));
        (start, end, u32::try_from(microseconds / 3_600_000_000).unwrap_or(self.hours))
    }

    /// The account of a buyer or of a reseller on a document. A document that cancels another one has the accounts of
    /// that document.
    pub(super) fn party(&self, number: &str, id: &str) -> Option<&Account> {
        match self.issue.and_then(|issue| issue.cancelled_configs.get(number)) {
            Some(config) => config.accounts.get(id),
            None => self.context.account(id),
        }
    }

    /// The seller of the configuration on a document. A document that cancels another one has the seller data of that
    /// document.
    pub(super) fn configured_seller(&self, number: &str) -> &Seller {
        match self.issue.and_then(|issue| issue.cancelled_configs.get(number)) {
            Some(config) => &config.seller,
            None => &self.context.config.seller,
        }
    }
}

/// The row of the exchange rate between two currencies in the period.
pub(super) fn exchange_rate<'a>(relations: &'a Relations, from: &str, to: &str) -> Result<Option<Row<'a>>, Error> {
    for row in rows::each(&relations.exchange_rate) {
        if row.text("price_currency")? == from && row.text("currency")? == to {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

pub(super) fn by_project(relations: &Relations) -> Result<BTreeMap<ProjectKey<'_>, ProjectRows<'_>>, Error> {
    let mut projects: BTreeMap<ProjectKey<'_>, ProjectRows<'_>> = BTreeMap::new();
    for row in rows::each(&relations.project_summary) {
        projects.entry(project_key(row)?).or_default().summary = Some(row);
    }
    for row in rows::each(&relations.service_day) {
        projects.entry(project_key(row)?).or_default().service_days.push(row);
    }
    for row in rows::each(&relations.sku_cost) {
        projects.entry(project_key(row)?).or_default().skus.push(row);
    }
    for row in rows::each(&relations.resource_cost) {
        projects.entry(project_key(row)?).or_default().resources.push(row);
    }
    for row in rows::each(&relations.unrated_resource) {
        projects.entry(project_key(row)?).or_default().unrated.push(row);
    }
    Ok(projects)
}

fn project_key(row: Row<'_>) -> Result<ProjectKey<'_>, Error> {
    Ok((row.optional_text("project_id")?, row.optional_text("account_id")?))
}

pub(super) fn project_of(
    id: &str,
    account_id: &str,
    projects: &BTreeMap<ProjectKey<'_>, ProjectRows<'_>>,
) -> Result<Project, Error> {
    let summary = projects.get(&(Some(id), Some(account_id))).and_then(|project| project.summary);
    let name = summary.map(|row| row.optional_text("project_name")).transpose()?.flatten();
    Ok(Project { id: id.to_owned(), name: name.map(str::to_owned) })
}
