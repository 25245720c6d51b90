//! The lookup of documents by number, account or project: by a complete id or name, or by a unique prefix.

use std::fmt::Write as _;

use crate::cli::failure::Failure;
use crate::error::count;
use crate::model::account::Account;
use crate::model::diagnostic::closest;
use crate::model::money::{Amount, places_of_code};
use crate::model::period::BillingPeriod;
use crate::rows;
use crate::storage::{Lake, Snapshot};

/// The largest number of documents in the message about an ambiguous argument.
const MOST_LISTED: usize = 20;

/// The largest number of similar names in the message about an unknown argument.
const MOST_SIMILAR: usize = 3;

/// One document of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) period: BillingPeriod,
    pub(super) number: String,
    /// `invoice`, `credit_note` or a kind of draft.
    pub(super) kind: String,
    /// Whether the document is a correction of an earlier one. A new invoice after a cancellation is none.
    is_correction: bool,
    account_id: String,
    account_name: Option<String>,
    project_id: Option<String>,
    project_name: Option<String>,
    /// The total with tax, and its currency.
    total: String,
}

impl Candidate {
    /// The number and the ids, followed by the names.
    fn names(&self) -> Vec<&str> {
        let ids = [self.number.as_str(), self.account_id.as_str()].into_iter().chain(self.project_id.as_deref());
        ids.chain(self.account_name.as_deref()).chain(self.project_name.as_deref()).collect()
    }
}

/// The items that a text names. A complete id or name has precedence over a complete name in another case, and both
/// have precedence over a prefix in any case. Spaces around the text are ignored.
pub(super) fn matching<'a, T>(text: &str, items: &'a [T], names: impl Fn(&T) -> Vec<&str>) -> Vec<&'a T> {
    let text = text.trim();
    let lower = text.to_lowercase();
    let matches = |is_name: &dyn Fn(&str) -> bool| -> Vec<&'a T> {
        items.iter().filter(|item| names(item).into_iter().any(is_name)).collect()
    };
    let mut found = matches(&|name| name == text);
    if found.is_empty() {
        found = matches(&|name| name.to_lowercase() == lower);
    }
    if found.is_empty() && !text.is_empty() {
        found = matches(&|name| name.to_lowercase().starts_with(&lower));
    }
    found
}

/// The names that are most similar to a text. A misspelt prefix is similar to the beginning of a name.
pub(super) fn similar<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = text.trim().to_lowercase();
    let length = lower.chars().count();
    let beginning = |name: &str| name.to_lowercase().chars().take(length).collect::<String>();
    let mut left: Vec<(String, &str)> = names.into_iter().map(|name| (beginning(name), name)).collect();
    left.sort();
    left.dedup();
    let mut found = Vec::new();
    while found.len() < MOST_SIMILAR
        && let Some(closest) = closest(&lower, left.iter().map(|(beginning, _)| beginning.as_str())).map(str::to_owned)
        && let Some(index) = left.iter().position(|(beginning, _)| *beginning == closest)
    {
        found.push(left.remove(index).1);
    }
    found
}

/// Every document of the lake, or every document of one period. The oldest period is first.
pub(super) async fn candidates(
    lake: &Lake,
    snapshot: &Snapshot,
    period: Option<BillingPeriod>,
) -> Result<Vec<Candidate>, Failure> {
    const COLUMNS: [&str; 9] = [
        "invoice_number",
        "document_kind",
        "correction_reason",
        "account_id",
        "account_name",
        "project_id",
        "project_name",
        "currency",
        "total_with_tax",
    ];
    let mut found = Vec::new();
    for file in snapshot.files("invoice") {
        let Ok(of_file) = file.partition.parse::<BillingPeriod>() else { continue };
        if period.is_some_and(|period| period != of_file) {
            continue;
        }
        for batch in lake.data(file).await?.batches(&COLUMNS)? {
            for row in rows::each(&[batch?]) {
                let currency = row.text("currency")?;
                let total: Amount = row.decimal("total_with_tax")?;
                let optional = |name| row.optional_text(name).map(|text| text.map(str::to_owned));
                found.push(Candidate {
                    period: of_file,
                    number: row.text("invoice_number")?.to_owned(),
                    kind: row.text("document_kind")?.to_owned(),
                    is_correction: row.optional_text("correction_reason")?.is_some_and(|reason| reason != "reissued"),
                    account_id: row.text("account_id")?.to_owned(),
                    account_name: optional("account_name")?,
                    project_id: optional("project_id")?,
                    project_name: optional("project_name")?,
                    total: format!("{} {currency}", total.to_text(places_of_code(currency))),
                });
            }
        }
    }
    found.sort_by(|left, right| (left.period, &left.number).cmp(&(right.period, &right.number)));
    Ok(found)
}

/// The document for a text; `None` if no document matches.
pub(super) fn find<'a>(text: &str, candidates: &'a [Candidate]) -> Result<Option<&'a Candidate>, Failure> {
    const HINT: &str = "give the number of an invoice, or a longer prefix; --period YYYY-MM selects one month";
    match matching(text, candidates, Candidate::names).as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => Err(ambiguous(text, several, HINT)),
    }
}

fn ambiguous(text: &str, found: &[&Candidate], hint: &str) -> Failure {
    let mut message = format!("`{text}` names {}:", count(found.len(), "invoice"));
    let named = |id: &str, name: &Option<String>| match name {
        Some(name) if name != id => format!("{id} ({name})"),
        _ => id.to_owned(),
    };
    for one in found.iter().take(MOST_LISTED) {
        let account = named(&one.account_id, &one.account_name);
        let project = one.project_id.as_ref().map(|id| format!(", project {}", named(id, &one.project_name)));
        let project = project.unwrap_or_default();
        let _ = write!(message, "\n  {}  {}, account {account}{project}", one.number, one.total);
    }
    if found.len() > MOST_LISTED {
        let _ = write!(message, "\n  and {} more", found.len() - MOST_LISTED);
    }
    Failure::Usage { message, hint: hint.to_owned() }
}

/// The id of the account that a text names: by its id or name, by a project, or by a unique prefix. An unknown text is
/// returned unchanged.
pub(super) fn account_id(text: &str, accounts: &[Account]) -> Result<String, Failure> {
    // An id of an account has precedence over a project with the same name.
    if accounts.iter().any(|account| account.id == text) {
        return Ok(text.to_owned());
    }
    match matching(text, accounts, account_names).as_slice() {
        [] => Ok(text.to_owned()),
        [only] => Ok(only.id.clone()),
        several => {
            let mut message = format!("`{text}` names {}:", count(several.len(), "account"));
            for one in several.iter().take(MOST_LISTED) {
                let _ = write!(message, "\n  {}  {}", one.id, one.name);
            }
            if several.len() > MOST_LISTED {
                let _ = write!(message, "\n  and {} more", several.len() - MOST_LISTED);
            }
            Err(Failure::Usage { message, hint: "give the id of an account, or a longer prefix".to_owned() })
        }
    }
}

fn account_names(account: &Account) -> Vec<&str> {
    let projects = account.projects.iter();
    let projects = projects.flat_map(|project| [Some(project.id.as_str()), project.name.as_deref()]);
    [account.id.as_str(), account.name.as_str()].into_iter().chain(projects.flatten()).collect()
}

/// The number of the issued invoice that a text names. Corrections are left out, because they are cancelled with their
/// invoice. An unknown text, such as the number of a credit note, is returned unchanged.
pub(super) fn invoice_number(text: &str, candidates: &[Candidate]) -> Result<String, Failure> {
    if candidates.iter().any(|candidate| candidate.number == text.trim()) {
        return Ok(text.trim().to_owned());
    }
    let mut found = matching(text, candidates, Candidate::names);
    found.retain(|candidate| candidate.kind == "invoice" && !candidate.is_correction);
    match found.as_slice() {
        [] => Ok(text.to_owned()),
        [only] => Ok(only.number.clone()),
        several => Err(ambiguous(text, several, "give the number of an invoice, or a longer prefix")),
    }
}

pub(super) fn unknown(text: &str, candidates: &[Candidate], period: Option<BillingPeriod>) -> Failure {
    let in_period = period.map(|period| format!(" of {period}")).unwrap_or_default();
    let similar = similar(text, candidates.iter().flat_map(Candidate::names));
    let meant = match similar.as_slice() {
        [] => String::new(),
        names => format!("did you mean `{}`? ", names.join("`, `")),
    };
    Failure::Usage {
        message: format!("there is no invoice{in_period} with the number, project or account `{text}`"),
        hint: format!(
            "{meant}`conto sql \"SELECT invoice_number, account_id, account_name, project_name FROM invoice\"` \
             lists all invoices"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::Project;

    fn candidate(number: &str, account: (&str, &str), project: Option<(&str, &str)>) -> Candidate {
        Candidate {
            period: "2026-10".parse().unwrap(),
            number: number.to_owned(),
            kind: "draft".to_owned(),
            is_correction: false,
            account_id: account.0.to_owned(),
            account_name: (!account.1.is_empty()).then(|| account.1.to_owned()),
            project_id: project.map(|project| project.0.to_owned()),
            project_name: project.map(|project| project.1.to_owned()),
            total: "1.00 EUR".to_owned(),
        }
    }

    fn all() -> [Candidate; 4] {
        [
            candidate("DRAFT-2026-10-0001", ("acme", "Acme Ltd"), None),
            candidate("DRAFT-2026-10-0002", ("beta", ""), Some(("9f2c", "web-shop"))),
            candidate("DRAFT-2026-10-0003", ("beta", ""), Some(("9faa", "Web"))),
            candidate("DRAFT-2026-10-0004", ("acme-2", "Laboratoires Ségur"), None),
        ]
    }

    fn found(text: &str) -> Result<Option<String>, String> {
        let all = all();
        let found = find(text, &all).map_err(|failure| failure.to_string())?;
        Ok(found.map(|one| one.number.clone()))
    }

    #[test]
    fn a_document_is_found_by_number_id_or_name_or_a_prefix() {
        for (text, number) in [
            ("DRAFT-2026-10-0002", Some("DRAFT-2026-10-0002")),
            ("draft-2026-10-0002", Some("DRAFT-2026-10-0002")),
            ("9f2c", Some("DRAFT-2026-10-0002")),
            ("9fa", Some("DRAFT-2026-10-0003")),
            // A complete name is not used as a prefix of another name.
            ("acme", Some("DRAFT-2026-10-0001")),
            ("Acme Ltd", Some("DRAFT-2026-10-0001")),
            ("Web", Some("DRAFT-2026-10-0003")),
            ("web", Some("DRAFT-2026-10-0003")),
            ("web-", Some("DRAFT-2026-10-0002")),
            (" laboratoires sé", Some("DRAFT-2026-10-0004")),
            ("acme-", Some("DRAFT-2026-10-0004")),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(found(text).unwrap().as_deref(), number, "{text}");
        }
    }

    #[test]
    fn an_ambiguous_text_lists_the_matching_invoices() {
        assert_eq!(
            found("beta").unwrap_err(),
            "`beta` names 2 invoices:\n  DRAFT-2026-10-0002  1.00 EUR, account beta, project 9f2c (web-shop)\n  \
             DRAFT-2026-10-0003  1.00 EUR, account beta, project 9faa (Web)"
        );
        assert!(found("9f").unwrap_err().starts_with("`9f` names 2 invoices:"));
        assert!(found("DRAFT").unwrap_err().starts_with("`DRAFT` names 4 invoices:"));
    }

    #[test]
    fn an_account_is_found_by_id_name_project_or_prefix() {
        let project = |id: &str| Project { id: id.to_owned(), name: Some(format!("{id} shop")), ..Project::default() };
        let account = |id: &str, name: &str, projects: &[&str]| Account {
            id: id.to_owned(),
            name: name.to_owned(),
            projects: projects.iter().map(|id| project(id)).collect(),
            ..Account::default()
        };
        let accounts = [
            account("C-1", "Atelier Nord", &["C-10", "web"]),
            account("C-10", "Atelier Sud", &["api"]),
            account("C-2", "Verger", &[]),
        ];
        for (text, id) in [
            ("C-1", "C-1"),
            ("C-10", "C-10"),
            ("atelier s", "C-10"),
            ("Verger", "C-2"),
            ("web", "C-1"),
            ("api shop", "C-10"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(account_id(text, &accounts).unwrap(), id, "{text}");
        }
        let error = account_id("atelier", &accounts).unwrap_err().to_string();
        assert_eq!(error, "`atelier` names 2 accounts:\n  C-1  Atelier Nord\n  C-10  Atelier Sud");
    }

    #[test]
    fn only_issued_invoices_are_found_by_account() {
        let mut all = all();
        all[1].kind = "invoice".to_owned();
        all[1].number = "INV-1".to_owned();
        all[2].kind = "invoice".to_owned();
        all[2].is_correction = true;
        assert_eq!(invoice_number("beta", &all).unwrap(), "INV-1");
        assert_eq!(invoice_number(" INV-1 ", &all).unwrap(), "INV-1");
        // A number is never replaced by a longer one, and another text stays for the message of the command.
        assert_eq!(invoice_number("DRAFT-2026-10-0001", &all).unwrap(), "DRAFT-2026-10-0001");
        assert_eq!(invoice_number("acme", &all).unwrap(), "acme");
    }

    #[test]
    fn an_unknown_text_lists_similar_names() {
        let all = all();
        let names = || all.iter().flat_map(Candidate::names);
        assert_eq!(similar("9f2x", names()), ["9f2c"]);
        assert_eq!(similar("wep-shop", names()), ["web-shop"]);
        assert_eq!(similar("laboratoires segur", names()), ["Laboratoires Ségur"]);
        assert_eq!(similar("zzzzzz", names()), Vec::<&str>::new());
    }
}
