//! `accounts.toml`: who pays for which project.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problems::Problems;
use super::table::{File, Table, Text, Value};
use crate::config::{Account, Accounts, Project};
use crate::diagnostic::{Diagnostic, Place};

pub(super) fn read(file: File<'_>) -> Accounts {
    let source = Some(Arc::clone(file.source));
    let Some(entries) = file.parse() else { return Accounts { source, accounts: Vec::new() } };
    let mut root = file.root(&entries, "the accounts file");
    let tables = root.tables("account", "an `[[account]]`");
    root.finish();
    let mut accounts = Vec::new();
    let mut ids: BTreeMap<String, Place> = BTreeMap::new();
    let mut projects: BTreeMap<String, (String, Place)> = BTreeMap::new();
    for table in tables {
        let Some(account) = read_account(table, &mut ids, &mut projects) else { continue };
        accounts.push(account);
    }
    accounts.sort_by(|left, right| left.id.cmp(&right.id));
    Accounts { source, accounts }
}

/// `ids` and `projects` are those of the accounts before, with their places.
fn read_account(
    mut table: Table<'_>,
    ids: &mut BTreeMap<String, Place>,
    projects: &mut BTreeMap<String, (String, Place)>,
) -> Option<Account> {
    let problems = table.file.problems;
    let id = table.require_text("id").map(canonical_id);
    let name = table.require_text("name");
    let address = table.texts("address").unwrap_or_default();
    let country = table.country("country");
    let vat_id = table.words("vat_id");
    let email = table.words("email");
    let purchase_order = table.words("purchase_order");
    let internal = table.take("internal").and_then(|value| value.boolean()).unwrap_or(false);
    let listed = table.take("projects").and_then(|value| value.elements("an array of projects")).unwrap_or_default();
    let listed: Vec<(Text, Option<String>)> = listed.iter().filter_map(project).collect();
    table.finish();

    if let Some(id) = &id
        && let Some(first) = ids.insert(id.value.clone(), id.place.clone())
    {
        let message = format!("account `{}` is declared twice", id.value);
        let diagnostic = Diagnostic::error("accounts::duplicate_account", message)
            .at(id.place.clone(), "again here")
            .at(first, "first here");
        problems.push(diagnostic.hint("make one account of both, or give one another id"));
    }
    let payer = id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
    let mut own = Vec::new();
    for (project, name) in listed {
        if is_paid_by_another(&project, &payer, projects, problems) {
            continue;
        }
        own.push(Project { id: project.value, name });
    }
    Some(Account {
        id: id?.value,
        name: name?.value,
        address: address.into_iter().map(|line| line.value).collect(),
        country,
        vat_id,
        email,
        purchase_order,
        internal,
        projects: own,
    })
}

fn project(value: &Value<'_>) -> Option<(Text, Option<String>)> {
    if !value.is_table() {
        if value.as_str().is_none() {
            value.refuse("the text of an id, or `{ id, name }`");
            return None;
        }
        return Some((canonical_id(value.text()?), None));
    }
    let mut table = value.table("a project")?;
    let id = table.require_text("id").map(canonical_id);
    let name = table.words("name");
    table.finish();
    Some((id?, name))
}

fn is_paid_by_another(
    project: &Text,
    payer: &str,
    projects: &mut BTreeMap<String, (String, Place)>,
    problems: &Problems,
) -> bool {
    let entry = (payer.to_owned(), project.place.clone());
    let Some((other, first)) = projects.insert(project.value.clone(), entry) else { return false };
    let message = if other == payer {
        format!("project `{}` stands twice in account `{payer}`", project.value)
    } else {
        format!("project `{}` is in accounts `{other}` and `{payer}`", project.value)
    };
    let diagnostic = Diagnostic::error("accounts::duplicate_project", message)
        .at(project.place.clone(), "again here")
        .at(first, "first here");
    problems.push(diagnostic.hint("one account pays for a project; keep it in one place"));
    true
}

/// Sources write one UUID in either case, so those are made one; any other id may mean its case.
fn canonical_id(text: Text) -> Text {
    let digits = text.value.bytes().filter(|byte| *byte != b'-').count();
    let is_hexadecimal = text.value.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let dashes: Vec<usize> = text.value.match_indices('-').map(|(index, _)| index).collect();
    let is_uuid = digits == 32 && is_hexadecimal && (dashes.is_empty() || dashes == [8, 13, 18, 23]);
    if is_uuid { Text { value: text.value.to_ascii_lowercase(), ..text } } else { text }
}
