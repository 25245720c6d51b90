//! The lookup of a document: by its number, project or account, or by a prefix of these.

use std::fmt::Write as _;

use crate::cli::failure::Failure;
use crate::error::count;
use crate::model::diagnostic::closest;
use crate::model::money::{Amount, places_of_code};
use crate::model::period::BillingPeriod;
use crate::rows;
use crate::storage::{Lake, Snapshot};

/// The largest number of documents in the message about an ambiguous argument.
const MOST_LISTED: usize = 20;

/// One document of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) period: BillingPeriod,
    pub(super) number: String,
    account_id: String,
    project_id: Option<String>,
    /// The total with tax, and its currency.
    total: String,
}

impl Candidate {
    fn names(&self) -> impl Iterator<Item = &str> {
        [self.number.as_str(), self.account_id.as_str()].into_iter().chain(self.project_id.as_deref())
    }
}

/// Every document of the lake, or every document of one period. The oldest period is first.
pub(super) async fn candidates(
    lake: &Lake,
    snapshot: &Snapshot,
    period: Option<BillingPeriod>,
) -> Result<Vec<Candidate>, Failure> {
    const COLUMNS: [&str; 5] = ["invoice_number", "account_id", "project_id", "currency", "total_with_tax"];
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
                found.push(Candidate {
                    period: of_file,
                    number: row.text("invoice_number")?.to_owned(),
                    account_id: row.text("account_id")?.to_owned(),
                    project_id: row.optional_text("project_id")?.map(str::to_owned),
                    total: format!("{} {currency}", total.to_text(places_of_code(currency))),
                });
            }
        }
    }
    found.sort_by(|left, right| (left.period, &left.number).cmp(&(right.period, &right.number)));
    Ok(found)
}

/// The document for a text; `None` if no document matches. A complete name has precedence over a prefix.
pub(super) fn find<'a>(text: &str, candidates: &'a [Candidate]) -> Result<Option<&'a Candidate>, Failure> {
    let matching = |is_name: &dyn Fn(&str) -> bool| -> Vec<&'a Candidate> {
        candidates.iter().filter(|one| one.names().any(is_name)).collect()
    };
    let mut found = matching(&|name| name == text);
    if found.is_empty() && !text.is_empty() {
        found = matching(&|name| name.starts_with(text));
    }
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => Err(ambiguous(text, several)),
    }
}

fn ambiguous(text: &str, found: &[&Candidate]) -> Failure {
    let mut message = format!("`{text}` names {}:", count(found.len(), "invoice"));
    for one in found.iter().take(MOST_LISTED) {
        let project = one.project_id.as_deref().map(|id| format!(", project {id}")).unwrap_or_default();
        let _ = write!(message, "\n  {}  {}, account {}{project}", one.number, one.total, one.account_id);
    }
    if found.len() > MOST_LISTED {
        let _ = write!(message, "\n  and {} more", found.len() - MOST_LISTED);
    }
    let hint = "give the number of an invoice, or a longer prefix; --period YYYY-MM selects one month";
    Failure::Usage { message, hint: hint.to_owned() }
}

pub(super) fn unknown(text: &str, candidates: &[Candidate], period: Option<BillingPeriod>) -> Failure {
    let in_period = period.map(|period| format!(" of {period}")).unwrap_or_default();
    // A misspelt prefix is similar to the beginning of a name, not to the complete name.
    let beginning = |name: &'_ str| -> String { name.chars().take(text.chars().count()).collect() };
    let names: Vec<(String, &str)> =
        candidates.iter().flat_map(Candidate::names).map(|name| (beginning(name), name)).collect();
    let closest = closest(text, names.iter().map(|(beginning, _)| beginning.as_str()));
    let closest = closest.and_then(|closest| names.iter().find(|(beginning, _)| beginning == closest));
    let meant = closest.map(|(_, name)| format!("did you mean `{name}`? ")).unwrap_or_default();
    Failure::Usage {
        message: format!("there is no invoice{in_period} with the number, project or account `{text}`"),
        hint: format!(
            "{meant}`conto sql \"SELECT invoice_number, account_id, project_id FROM invoice\"` lists all invoices"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: &str, account_id: &str, project_id: Option<&str>) -> Candidate {
        Candidate {
            period: "2026-10".parse().unwrap(),
            number: number.to_owned(),
            account_id: account_id.to_owned(),
            project_id: project_id.map(str::to_owned),
            total: "1.00 EUR".to_owned(),
        }
    }

    fn found(text: &str) -> Result<Option<String>, String> {
        let all = [
            candidate("DRAFT-2026-10-acme", "acme", None),
            candidate("DRAFT-2026-10-9f2c", "beta", Some("9f2c")),
            candidate("DRAFT-2026-10-9faa", "beta", Some("9faa")),
            candidate("DRAFT-2026-10-acme-2", "acme-2", None),
        ];
        let found = find(text, &all).map_err(|failure| failure.to_string())?;
        Ok(found.map(|one| one.number.clone()))
    }

    #[test]
    fn a_document_is_found_by_number_project_or_account_or_a_prefix() {
        for (text, number) in [
            ("DRAFT-2026-10-9f2c", Some("DRAFT-2026-10-9f2c")),
            ("DRAFT-2026-10-9f2", Some("DRAFT-2026-10-9f2c")),
            ("9f2c", Some("DRAFT-2026-10-9f2c")),
            ("9fa", Some("DRAFT-2026-10-9faa")),
            // A complete name is not used as a prefix of another name.
            ("acme", Some("DRAFT-2026-10-acme")),
            ("acme-", Some("DRAFT-2026-10-acme-2")),
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
            "`beta` names 2 invoices:\n  DRAFT-2026-10-9f2c  1.00 EUR, account beta, project 9f2c\n  \
             DRAFT-2026-10-9faa  1.00 EUR, account beta, project 9faa"
        );
        assert!(found("9f").unwrap_err().starts_with("`9f` names 2 invoices:"));
        assert!(found("DRAFT").unwrap_err().starts_with("`DRAFT` names 4 invoices:"));
    }
}
