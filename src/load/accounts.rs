//! The reader of accounts in TOML, and the checks over all accounts. `account_rows` reads CSV and Parquet.

use crate::load::written_account::INVOICE_PER;
use crate::load::written_account::WrittenAccount;
use crate::load::written_account::WrittenProject;
use crate::load::written_account::ZERO_INVOICES;
use crate::load::written_account::{canonical_id, checked_id};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iso_currency::Currency;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::account_rows;
use super::csv_file::CsvFile;
use super::instant::{instant, start_of};
use super::keys;
use super::problems::Problems;
use super::table::{ACCOUNTS, File, Table, Text, Value};
use super::term_parts::validity;
use super::vat_id;
use crate::load::attachments::Rows;
use crate::model::account::{Account, Accounts, CardReference, PUBLIC_CARD, Project, Vies};
use crate::model::diagnostic::{Diagnostic, Place, SourceText};

/// Reads `accounts.toml`.
pub(crate) fn read(file: File<'_>, time_zone: &TimeZone) -> Accounts {
    let source = Arc::clone(file.source);
    let Some(entries) = file.parse() else { return Accounts { source: Some(source), ..Accounts::default() } };
    let mut root = file.root(&entries, &keys::ACCOUNTS_FILE);
    let tables = root.tables("account", &keys::ACCOUNT);
    root.finish();
    let written = tables.into_iter().filter_map(|table| read_account(table, time_zone)).collect();
    accounts_of(source, written, time_zone, file.problems)
}

fn accounts_of(
    source: Arc<SourceText>,
    written: Vec<WrittenAccount>,
    time_zone: &TimeZone,
    problems: &Problems,
) -> Accounts {
    let of_account = |account: &WrittenAccount| -> Vec<CardReference> {
        let account_id = &account.id.value;
        let used = account.cards.iter().map(|card| CardReference {
            account_id: account_id.clone(),
            card: card.value.clone(),
            place: card.place.clone(),
        });
        used.collect()
    };
    let cards = written.iter().flat_map(of_account).collect();
    let accounts = checked(written, time_zone, problems);
    Accounts { source: Some(source), accounts, cards, ..Accounts::default() }
}

/// Reads accounts from CSV.
fn read_csv(source: &Arc<SourceText>, file: &CsvFile, time_zone: &TimeZone, problems: &Problems) -> Accounts {
    let (rows, found) = Rows::parse(source, file);
    for mut problem in found {
        problem.code = "accounts::bad_csv";
        problems.push(problem);
    }
    let time_zone = file.dialect.clock.time_zone.as_ref().unwrap_or(time_zone);
    let written = account_rows::read(&rows, time_zone, problems);
    accounts_of(Arc::clone(source), written, time_zone, problems)
}

fn read_account(mut table: Table<'_>, time_zone: &TimeZone) -> Option<WrittenAccount> {
    let problems = table.file.problems;
    let place = table.place();
    let id = table.require_text("id").and_then(|id| checked_id(id, problems));
    let name = table.require_text("name");
    let address = table.texts("address").unwrap_or_default();
    let country = table.text("country");
    let vat_id = table.text("vat_id");
    let vies = table.take("vies").and_then(|value| vies(&value));
    let email = table.string("email");
    let currency = table.text("currency");
    let language = table.text("language");
    let purchase_order = table.string("purchase_order");
    let cost_centres = table.texts("cost_centres").unwrap_or_default();
    let payment_terms = table.string("payment_terms");
    let payment_days = table.take("payment_days").and_then(|value| payment_days(&value));
    let tax_profile = table.string("tax_profile");
    let cards = table.texts("cards").unwrap_or_default();
    let invoice_per = table.take("invoice_per").and_then(|value| value.choice(&INVOICE_PER));
    let zero_invoices = table.take("zero_invoices").and_then(|value| value.choice(&ZERO_INVOICES));
    let parent = table.text("parent").map(canonical_id);
    let internal = table.take("internal").and_then(|value| value.boolean()).unwrap_or(false);
    let validity = validity(&mut table, "valid_from", "valid_to");
    let listed = table.take("projects").and_then(|value| value.elements("an array of projects")).unwrap_or_default();
    let projects = listed.iter().filter_map(|value| project(value, time_zone, problems)).collect();
    table.finish();
    let values = |texts: Vec<Text>| texts.into_iter().map(|text| text.value).collect();
    Some(WrittenAccount {
        place,
        id: id?,
        name: name?,
        address: values(address),
        country,
        vat_id,
        vies,
        email,
        currency,
        language,
        purchase_order,
        cost_centres: values(cost_centres),
        payment_terms,
        payment_days,
        tax_profile,
        cards,
        invoice_per,
        zero_invoices,
        parent,
        internal,
        valid_from: validity.from,
        valid_to: validity.to,
        projects,
    })
}

fn vies(value: &Value<'_>) -> Option<Vies> {
    let mut table = value.table(&keys::VIES)?;
    let valid = table.require("valid").and_then(|value| value.boolean());
    let checked_on = table.require("checked_on").and_then(|value| day(&value));
    table.finish();
    Some(Vies { valid: valid?, checked_on: checked_on? })
}

fn day(value: &Value<'_>) -> Option<Date> {
    let written = value.datetime().filter(|written| written.time.is_none()).map(|written| written.to_string());
    let date = written.and_then(|written| written.parse().ok());
    if date.is_none() {
        value.refuse("a date without a time, such as 2026-10-01");
    }
    date
}

/// Days from the issue date to the due date, of an account or of the seller.
pub(crate) fn payment_days(value: &Value<'_>) -> Option<u16> {
    let number = value.integer()?;
    let days = u16::try_from(number).ok().filter(|days| *days <= 366);
    if days.is_none() {
        let message = format!("`payment_days` is {number}, expected 0 to 366");
        let problem = Diagnostic::error(value.file.codes.bad_number, message).at(value.place(), "out of range");
        value.file.problems.push(problem);
    }
    days
}

fn project(value: &Value<'_>, time_zone: &TimeZone, problems: &Problems) -> Option<WrittenProject> {
    if !value.is_table() {
        if value.as_str().is_none() {
            value.refuse("the id of a project as text, or `{ id, name }`");
            return None;
        }
        let id = checked_id(value.text()?, problems)?;
        return Some(WrittenProject { id, name: None, valid_from: None, valid_to: None });
    }
    let mut table = value.table(&keys::PROJECT)?;
    let id = table.require_text("id").and_then(|id| checked_id(id, problems));
    let name = table.string("name");
    let mut moment = |key| {
        let value = table.take(key)?;
        let Some(written) = value.datetime() else {
            value.refuse("a date or time");
            return None;
        };
        let found = instant(&written, time_zone).map_err(|error| {
            let mut problem = error.diagnostic(&written.to_string(), time_zone, value.place());
            problem.code = "accounts::bad_time";
            problems.push(problem);
        });
        found.ok()
    };
    let (valid_from, valid_to) = (moment("valid_from"), moment("valid_to"));
    table.finish();
    Some(WrittenProject { id: id?, name, valid_from, valid_to })
}

/// Checks all accounts and sorts them by id. Ids are unique, a project belongs to one account at a time, and parents
/// are declared accounts without cycles. A project is assigned only while its account is valid.
fn checked(mut written: Vec<WrittenAccount>, time_zone: &TimeZone, problems: &Problems) -> Vec<Account> {
    let mut ids: BTreeMap<String, Place> = BTreeMap::new();
    for account in &written {
        let id = &account.id;
        if let Some(first) = ids.insert(id.value.clone(), id.place.clone()) {
            let message = format!("account `{}` is declared twice", id.value);
            let diagnostic = Diagnostic::error("accounts::duplicate_account", message)
                .at(id.place.clone(), "again here")
                .at(first, "first here");
            problems.push(diagnostic.hint("merge both accounts, or change one id"));
        }
    }
    limit_accounts(&mut written, problems);
    for account in &mut written {
        limit_projects(account, time_zone, problems);
    }
    check_assignments(&written, problems);
    check_parents(&written, &ids, problems);
    let mut accounts: Vec<Account> = written.into_iter().map(|account| checked_account(account, problems)).collect();
    accounts.sort_by(|left, right| left.id.cmp(&right.id));
    accounts
}

/// Limits the validity of each account to the validity of its resellers. Without a seller, an account cannot have an
/// invoice.
fn limit_accounts(written: &mut [WrittenAccount], problems: &Problems) {
    let by_id: BTreeMap<&str, &WrittenAccount> =
        written.iter().map(|account| (account.id.value.as_str(), account)).collect();
    let limited = |account: &WrittenAccount| {
        let (mut from, mut to) = (account.valid_from, account.valid_to);
        let mut seen = BTreeSet::from([account.id.value.as_str()]);
        let mut next = account;
        while !next.internal
            && let Some(parent) = next.parent.as_ref().and_then(|parent| by_id.get(parent.value.as_str()))
            && !parent.internal
            && seen.insert(&parent.id.value)
        {
            from = from.max(parent.valid_from);
            to = [to, parent.valid_to].into_iter().flatten().min();
            next = parent;
        }
        (from, to)
    };
    let validities: Vec<(Option<Date>, Option<Date>)> = written.iter().map(limited).collect();
    for (account, (from, to)) in written.iter_mut().zip(validities) {
        if is_empty(from, to) && !is_empty(account.valid_from, account.valid_to) {
            let message = format!("account `{}` is never valid while its reseller is", account.id.value);
            let diagnostic = Diagnostic::error("accounts::empty_validity", message)
                .at(account.id.place.clone(), "outside the validity of its `parent`");
            problems.push(diagnostic.hint("change `parent`, or `valid_from` and `valid_to` of one of both accounts"));
        }
        (account.valid_from, account.valid_to) = (from, to);
    }
}

fn is_empty<T: PartialOrd>(from: Option<T>, to: Option<T>) -> bool {
    from.zip(to).is_some_and(|(from, to)| from >= to)
}

/// Limits the validity of each project to the validity of its account.
fn limit_projects(account: &mut WrittenAccount, time_zone: &TimeZone, problems: &Problems) {
    let begin = account.valid_from.and_then(|date| start_of(date, time_zone));
    let end = account.valid_to.and_then(|date| start_of(date, time_zone));
    // An account without a valid day is already an error.
    if is_empty(begin, end) {
        return;
    }
    for project in &mut account.projects {
        let (from, to) = (project.valid_from.max(begin), [project.valid_to, end].into_iter().flatten().min());
        if is_empty(from, to) && !is_empty(project.valid_from, project.valid_to) {
            let (id, account) = (&project.id.value, &account.id.value);
            let message = format!("project `{id}` is in account `{account}` only while the account is not valid");
            let diagnostic = Diagnostic::error("accounts::empty_validity", message)
                .at(project.id.place.clone(), "outside the validity of the account");
            problems.push(diagnostic.hint(
                "remove the project, or change `valid_from` and `valid_to` of the project, the account or its `parent`",
            ));
        } else {
            (project.valid_from, project.valid_to) = (from, to);
        }
    }
}

/// Checks that a project belongs to one account at a time. A project can move from one account to another.
fn check_assignments(written: &[WrittenAccount], problems: &Problems) {
    let mut earlier: BTreeMap<&str, Vec<(&str, &WrittenProject)>> = BTreeMap::new();
    for account in written {
        for project in &account.projects {
            if let (Some(from), Some(to)) = (project.valid_from, project.valid_to)
                && from >= to
            {
                let (id, account) = (&project.id.value, &account.id.value);
                let message = format!("project `{id}` of account `{account}` has an empty validity");
                let diagnostic = Diagnostic::error("accounts::empty_validity", message)
                    .at(project.id.place.clone(), "`valid_to` is not after `valid_from`");
                problems
                    .push(diagnostic.hint("`valid_to` is exclusive: for a project until 30 April, write 2026-05-01"));
                continue;
            }
            let assignments = earlier.entry(&project.id.value).or_default();
            let overlaps = |other: &WrittenProject| {
                let starts_before = |from: Option<i64>, to: Option<i64>| match (from, to) {
                    (Some(from), Some(to)) => from < to,
                    _ => true,
                };
                starts_before(project.valid_from, other.valid_to) && starts_before(other.valid_from, project.valid_to)
            };
            if let Some((other, first)) = assignments.iter().find(|(_, other)| overlaps(other)) {
                let (id, payer) = (&project.id.value, &account.id.value);
                let message = if other == payer {
                    format!("project `{id}` is listed twice in account `{payer}`")
                } else {
                    format!("project `{id}` is listed in accounts `{other}` and `{payer}` for the same time")
                };
                let diagnostic = Diagnostic::error("accounts::duplicate_project", message)
                    .at(project.id.place.clone(), "again here")
                    .at(first.id.place.clone(), "first here");
                problems.push(diagnostic.hint(
                    "a project has one account at a time: remove one entry, or end the first with `valid_to` where the \
                     second starts with `valid_from`",
                ));
            }
            assignments.push((&account.id.value, project));
        }
    }
}

fn check_parents(written: &[WrittenAccount], ids: &BTreeMap<String, Place>, problems: &Problems) {
    let parents: BTreeMap<&str, &str> = written
        .iter()
        .filter_map(|account| Some((account.id.value.as_str(), account.parent.as_ref()?.value.as_str())))
        .collect();
    for account in written {
        let Some(parent) = &account.parent else { continue };
        let (message, label, hint) = if !ids.contains_key(&parent.value) {
            let message =
                format!("account `{}` has the parent `{}`, which is not declared", account.id.value, parent.value);
            let hint = match crate::model::diagnostic::closest(&parent.value, ids.keys().map(String::as_str)) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => "declare the parent as an account, or remove the key `parent`".to_owned(),
            };
            (message, "not declared", hint)
        } else {
            let mut seen = BTreeSet::from([account.id.value.as_str()]);
            let mut next = parent.value.as_str();
            while seen.insert(next) {
                match parents.get(next) {
                    Some(above) => next = above,
                    None => break,
                }
            }
            if next != account.id.value {
                continue;
            }
            let message =
                format!("account `{}` is its own parent, directly or through other accounts", account.id.value);
            (message, "part of a cycle", "remove `parent` from one account of the cycle".to_owned())
        };
        let diagnostic = Diagnostic::error("accounts::bad_parent", message).at(parent.place.clone(), label);
        problems.push(diagnostic.hint(hint));
    }
}

/// The reasons for the suspension of an account, by code. Each reason is reported as a warning. An internal account is
/// never suspended.
fn suspension_reasons(written: &WrittenAccount, problems: &Problems) -> BTreeMap<&'static str, String> {
    let mut reasons: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut suspend = |reason: &'static str, detail: String, place: &Place, label: &str, hint: String| {
        if written.internal {
            return;
        }
        let message = format!("account `{}` is suspended: {detail}", written.id.value);
        problems.push(Diagnostic::warning(reason, message).at(place.clone(), label).hint(hint));
        let name = reason.rsplit("::").next().unwrap_or(reason);
        reasons.entry(name).or_insert(detail);
    };
    match &written.country {
        None => {
            let hint = "add `country` with the two-letter code of ISO 3166, such as `FR`".to_owned();
            suspend(
                "accounts::no_country",
                "it has no country".to_owned(),
                &written.place,
                "`country` is required",
                hint,
            );
        }
        Some(country) if !vat_id::is_country(&country.value) => {
            let detail = format!("`{}` is not a country code", country.value);
            let hint = "use the two-letter code of ISO 3166 in capitals, such as `FR`".to_owned();
            suspend("accounts::bad_country", detail, &country.place, "not a country code", hint);
        }
        Some(_) => {}
    }
    let country = written.country.as_ref().map(|country| country.value.as_str());
    if let Some(id) = &written.vat_id
        && let Some(form) = vat_id::expected_form(&vat_id::canonical(&id.value), country)
    {
        let detail = format!("`{}` does not have the format of a VAT id", id.value);
        let hint = format!("expected: {form} (`#` is a digit, `@` a letter, `*` a digit or letter)");
        suspend("accounts::bad_vat_id", detail, &id.place, "invalid format", hint);
    }
    if let Some(currency) = &written.currency
        && Currency::from_code(&currency.value).and_then(|currency| currency.exponent()).is_none()
    {
        let detail = format!("`{}` is not a currency for invoices", currency.value);
        let hint = "use the code of a currency in ISO 4217, such as `EUR`".to_owned();
        suspend("accounts::bad_currency", detail, &currency.place, "not a currency", hint);
    }
    if let Some(language) = &written.language
        && icu_locale_core::Locale::try_from_str(&language.value).is_err()
    {
        let detail = format!("`{}` is not a language tag", language.value);
        let hint = "use a tag of BCP 47, such as `en`, `de` or `fr-CH`".to_owned();
        suspend("accounts::bad_language", detail, &language.place, "not a language tag", hint);
    }
    reasons
}

/// The rate cards of an account, in order and without repetitions. An account without cards has the public card.
fn rate_cards(written: &WrittenAccount, problems: &Problems) -> Vec<String> {
    let mut cards: Vec<String> = Vec::new();
    for card in &written.cards {
        if cards.contains(&card.value) {
            let message = format!("card `{}` is listed twice in account `{}`", card.value, written.id.value);
            let diagnostic =
                Diagnostic::error("accounts::duplicate_card", message).at(card.place.clone(), "again here");
            problems.push(diagnostic.hint("the first card with a price wins; list each card once"));
        } else {
            cards.push(card.value.clone());
        }
    }
    if cards.is_empty() {
        cards.push(PUBLIC_CARD.to_owned());
    }
    cards
}

fn checked_account(written: WrittenAccount, problems: &Problems) -> Account {
    let suspension_reasons = suspension_reasons(&written, problems);
    let cards = rate_cards(&written, problems);
    let value = |text: Option<Text>| text.map(|text| text.value);
    Account {
        id: written.id.value,
        name: written.name.value,
        address: written.address,
        country: value(written.country),
        vat_id: written.vat_id.map(|id| vat_id::canonical(&id.value)),
        vies: written.vies,
        email: written.email,
        currency: value(written.currency),
        language: value(written.language),
        purchase_order: written.purchase_order,
        cost_centres: written.cost_centres,
        payment_terms: written.payment_terms,
        payment_days: written.payment_days,
        tax_profile: written.tax_profile,
        cards,
        invoice_per: written.invoice_per,
        zero_invoices: written.zero_invoices,
        parent: value(written.parent),
        internal: written.internal,
        valid_from: written.valid_from,
        valid_to: written.valid_to,
        projects: written
            .projects
            .into_iter()
            .map(|project| Project {
                id: project.id.value,
                name: project.name,
                valid_from: project.valid_from,
                valid_to: project.valid_to,
            })
            .collect(),
        suspension_reasons,
    }
}

/// Reads the accounts file of the configuration: CSV, Parquet or TOML, by its file extension.
pub(crate) fn read_file(
    source: &Arc<SourceText>,
    file: &CsvFile,
    time_zone: &TimeZone,
    problems: &Problems,
) -> Accounts {
    let ending = source.name.rsplit('.').next().unwrap_or_default();
    if file.has_dialect && ending != "csv" {
        let message = format!("the keys of a dialect are only for CSV, but `{}` is not CSV", file.path.value);
        let diagnostic = Diagnostic::error("config::bad_dialect", message).at(file.path.place.clone(), "not CSV");
        problems.push(diagnostic.hint(format!("write accounts = \"{}\"", file.path.value)));
    }
    if matches!(ending, "csv" | "parquet") {
        return read_csv(source, file, time_zone, problems);
    }
    read(File { source, codes: &ACCOUNTS, problems, currency: None }, time_zone)
}
