//! Accounts: the customers and resellers that pay, with their projects.
//!
//! If the accounts file is invalid, every command fails. If an account has data that a tax invoice cannot contain, such
//! as a malformed VAT id, only this account is suspended. All other accounts are invoiced.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::model::account_data::AccountData;
use crate::model::diagnostic::{Diagnostic, Place, SourceText, closest};

/// The rate card of an account that lists no cards.
pub const PUBLIC_CARD: &str = "public";

/// All accounts of the accounts file.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub source: Option<Arc<SourceText>>,
    /// The accounts, sorted by id.
    pub accounts: Vec<Account>,
    /// The references from accounts to rate cards.
    pub cards: Vec<CardReference>,
    /// The data of accounts that was replaced when documents of a closed period were issued again, by account id.
    pub replaced_data: BTreeMap<String, AccountData>,
}

/// A reference from an account to a rate card.
#[derive(Clone, Debug)]
pub struct CardReference {
    pub account_id: String,
    pub card: String,
    pub place: Place,
}

impl Accounts {
    pub fn get(&self, id: &str) -> Option<&Account> {
        self.accounts.binary_search_by(|account| account.id.as_str().cmp(id)).ok().map(|index| &self.accounts[index])
    }

    /// The reseller that invoices an account; absent: the seller of the configuration. An internal account has no
    /// reseller, and an internal parent is not a reseller.
    pub fn reseller_of(&self, account: &Account) -> Option<&Account> {
        let parent = account.parent.as_ref().filter(|_| !account.internal).and_then(|parent| self.get(parent))?;
        (!parent.internal).then_some(parent)
    }

    pub fn has_resellers(&self) -> bool {
        self.accounts.iter().any(|account| self.reseller_of(account).is_some())
    }

    /// The billing status of an account: `invoiced`, `internal`, or `retail` if its reseller invoices it.
    pub fn status_of(&self, account: &Account) -> &'static str {
        match self.reseller_of(account) {
            _ if account.internal => "internal",
            Some(_) => "retail",
            None => "invoiced",
        }
    }

    /// Replaces the data of accounts. Projects, rate cards, currency and reseller of an account stay.
    pub fn replace_data(&mut self, replaced: BTreeMap<String, AccountData>) {
        for account in &mut self.accounts {
            if let Some(data) = replaced.get(&account.id) {
                account.replace_data(data.clone());
            }
        }
        self.replaced_data.extend(replaced);
    }

    /// The error for a contract term with the id of an undeclared account.
    pub fn unknown_account(&self, id: &str, place: &Place) -> Diagnostic {
        let hint = match closest(id, self.accounts.iter().map(|account| account.id.as_str())) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "declare it in the accounts file".to_owned(),
        };
        let diagnostic = Diagnostic::error("rules::unknown_account", format!("the account `{id}` does not exist"));
        diagnostic.at(place.clone(), "not declared").hint(hint)
    }
}

/// A customer or reseller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    /// The legal name.
    pub name: String,
    /// The lines of the address, without the country.
    pub address: Vec<String>,
    /// The country code of ISO 3166 in two capital letters.
    pub country: Option<String>,
    pub vat_id: Option<String>,
    /// The recorded answer of VIES for the VAT id. Conto sends no request to VIES.
    pub vies: Option<Vies>,
    pub email: Option<String>,
    /// The currency code of ISO 4217; absent: the currency of the configuration.
    pub currency: Option<String>,
    /// The language tag of BCP 47; absent: the language of the configuration.
    pub language: Option<String>,
    /// The buyer's reference on the invoice.
    pub purchase_order: Option<String>,
    pub cost_centres: Vec<String>,
    /// The payment terms that the invoice shows; absent: the payment terms of the seller.
    pub payment_terms: Option<String>,
    /// The days from the issue date to the due date; absent: the payment days of the seller.
    pub payment_days: Option<u16>,
    /// The `profile` of the `[[tax]]` rules that apply; absent: `standard`.
    pub tax_profile: Option<String>,
    /// The rate cards, in order. The first card with a price for the usage wins.
    pub cards: Vec<String>,
    /// The scope of one invoice; absent: the `invoice_per` of the configuration.
    pub invoice_per: Option<InvoicePer>,
    /// The treatment of invoices without an amount; absent: the `zero_invoices` of the configuration.
    pub zero_invoices: Option<ZeroInvoices>,
    /// The account of the reseller that has this account as a customer.
    pub parent: Option<String>,
    /// Whether the account is metered and reported, but not invoiced.
    pub internal: bool,
    /// The first day on which the account pays, inclusive; absent: no start. An account is not valid before its
    /// resellers are.
    pub valid_from: Option<Date>,
    /// The end of the account, exclusive; absent: no end. An account is not valid after its resellers are.
    pub valid_to: Option<Date>,
    /// The projects, each only while the account is valid.
    pub projects: Vec<Project>,
    /// The reasons that prevent an invoice, by code. An account with a reason is suspended.
    pub suspension_reasons: BTreeMap<&'static str, String>,
}

impl Account {
    /// The days of a period in which the account is valid, with an exclusive end. They are all days if the account is
    /// not valid on any of them, such as for a correction after its last day.
    pub fn service_period(&self, start: Date, end: Date) -> (Date, Date) {
        let from = self.valid_from.map_or(start, |from| from.clamp(start, end));
        let to = self.valid_to.map_or(end, |to| to.clamp(start, end));
        if from < to { (from, to) } else { (start, end) }
    }

    /// The data that documents show.
    pub fn data(&self) -> AccountData {
        let account = self.clone();
        AccountData {
            name: account.name,
            address: account.address,
            country: account.country,
            vat_id: account.vat_id,
            vies: account.vies.map(|vies| (vies.valid, vies.checked_on.to_string())),
            email: account.email,
            language: account.language,
            purchase_order: account.purchase_order,
            cost_centres: account.cost_centres,
            payment_terms: account.payment_terms,
            payment_days: account.payment_days,
            tax_profile: account.tax_profile,
        }
    }

    /// The VAT id, or the name of an account without a VAT id. Issued documents of a reseller record it.
    pub fn identity(&self) -> &str {
        self.vat_id.as_ref().unwrap_or(&self.name)
    }

    fn replace_data(&mut self, data: AccountData) {
        let vies = |(valid, checked_on): (bool, String)| Some(Vies { valid, checked_on: checked_on.parse().ok()? });
        self.name = data.name;
        self.address = data.address;
        self.country = data.country;
        self.vat_id = data.vat_id;
        self.vies = data.vies.and_then(vies);
        self.email = data.email;
        self.language = data.language;
        self.purchase_order = data.purchase_order;
        self.cost_centres = data.cost_centres;
        self.payment_terms = data.payment_terms;
        self.payment_days = data.payment_days;
        self.tax_profile = data.tax_profile;
        // Data of a suspended account never replaces other data.
        self.suspension_reasons = BTreeMap::new();
    }
}

/// A project of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    pub id: String,
    pub name: Option<String>,
    /// The start in microseconds UTC, inclusive. `None` is unbounded.
    pub valid_from: Option<i64>,
    /// The end in microseconds UTC, exclusive. `None` is unbounded.
    pub valid_to: Option<i64>,
}

/// A recorded answer of the EU's register of VAT ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vies {
    pub valid: bool,
    pub checked_on: Date,
}

/// The treatment of an invoice whose lines are all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroInvoices {
    /// The invoice is issued with a number.
    Issue,
    /// No document is issued. The usage report shows the usage.
    #[default]
    Skip,
}

/// The scope of one invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoicePer {
    /// All projects of an account, with a section for each project.
    Account,
    #[default]
    Project,
}
