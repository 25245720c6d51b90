//! Who pays: accounts as their file says them, checked as a whole.
//!
//! A mistake of the file's form is a problem that stops everything. Data that no tax invoice can be made from, such as
//! a VAT id of the wrong form, sets their own account aside and leaves the others alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::model::diagnostic::{Diagnostic, Place, SourceText, closest};

/// The rate card of those who have no other.
pub const PUBLIC_CARD: &str = "public";

/// Who pays for which project.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub source: Option<Arc<SourceText>>,
    /// Sorted by id.
    pub accounts: Vec<Account>,
    /// Where accounts name rate cards.
    pub cards: Vec<CardUse>,
}

/// A rate card that an account names.
#[derive(Clone, Debug)]
pub struct CardUse {
    pub account_id: String,
    pub card: String,
    pub place: Place,
}

impl Accounts {
    pub fn get(&self, id: &str) -> Option<&Account> {
        self.accounts.binary_search_by(|account| account.id.as_str().cmp(id)).ok().map(|index| &self.accounts[index])
    }

    /// Who sells to an account: its parent, or, absent, the seller of the configuration. Nobody sells to those who are
    /// internal, and an internal parent sells nothing.
    pub fn reseller_of(&self, account: &Account) -> Option<&Account> {
        let parent = account.parent.as_ref().filter(|_| !account.internal).and_then(|parent| self.get(parent))?;
        (!parent.internal).then_some(parent)
    }

    pub fn has_resellers(&self) -> bool {
        self.accounts.iter().any(|account| self.reseller_of(account).is_some())
    }

    /// What becomes of what an account owes: `retail` where its reseller invoices it.
    pub fn status_of(&self, account: &Account) -> &'static str {
        match self.reseller_of(account) {
            _ if account.internal => "internal",
            Some(_) => "retail",
            None => "invoiced",
        }
    }

    /// What is told of a term for an account that is not there.
    pub fn unknown(&self, id: &str, place: &Place) -> Diagnostic {
        let hint = match closest(id, self.accounts.iter().map(|account| account.id.as_str())) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "declare it in the accounts file".to_owned(),
        };
        let diagnostic = Diagnostic::error("rules::unknown_account", format!("there is no account `{id}`"));
        diagnostic.at(place.clone(), "of this account").hint(hint)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    /// The legal name.
    pub name: String,
    /// Lines, without the country.
    pub address: Vec<String>,
    /// ISO 3166, two capitals.
    pub country: Option<String>,
    pub vat_id: Option<String>,
    /// What VIES said of the VAT id, as it was recorded. Nobody is asked here.
    pub vies: Option<Vies>,
    pub email: Option<String>,
    /// ISO 4217. Absent: the seller's.
    pub currency: Option<String>,
    /// BCP 47. Absent: the seller's.
    pub language: Option<String>,
    /// Printed on the invoice as the buyer's reference.
    pub purchase_order: Option<String>,
    pub cost_centres: Vec<String>,
    /// A sentence on how to pay. Absent: the seller's.
    pub payment_terms: Option<String>,
    /// Days from issue to due date. Absent: the seller's.
    pub payment_days: Option<u16>,
    /// Which taxes apply, by the name that `[[tax]]` gives them. Absent: `standard`.
    pub tax_profile: Option<String>,
    /// Rate cards in order: the first that prices wins.
    pub cards: Vec<String>,
    /// Absent: the seller's.
    pub invoice_per: Option<InvoicePer>,
    /// The reseller whose customer this is.
    pub parent: Option<String>,
    /// Metered and reported, not invoiced.
    pub internal: bool,
    /// The first day on which it owes recurring fees; absent: it always has.
    pub valid_from: Option<Date>,
    /// The first day on which it owes none any more.
    pub valid_to: Option<Date>,
    pub projects: Vec<Project>,
    /// Why no invoice can be made, by the reason's name. An account with any of them is set aside.
    pub refusals: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    pub id: String,
    pub name: Option<String>,
    /// Microseconds UTC, inclusive; `None` is open.
    pub valid_from: Option<i64>,
    /// Microseconds UTC, exclusive; `None` is open.
    pub valid_to: Option<i64>,
}

/// A recorded answer of the EU's register of VAT ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vies {
    pub valid: bool,
    pub checked_on: Date,
}

/// What one invoice is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoicePer {
    /// All projects of an account, a section for each.
    Account,
    #[default]
    Project,
}
