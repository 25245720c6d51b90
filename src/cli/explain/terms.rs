//! The contract terms of a document: fees, minimum spends, discounts and credits, with their place in the rules of the
//! commit that made the document.

use serde::Serialize;

use crate::error::Error;
use crate::load::read_committed_inputs;
use crate::model::commitment_discount::{Committed, Reservation};
use crate::model::config::Config;
use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Amount, places_of};
use crate::model::rule_book::RuleBook;
use crate::model::terms::{CreditKind, DiscountValue, TaxRule};
use crate::storage::{Lake, Snapshot};

/// A contract term, with its place in the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TermReference {
    pub(super) term: String,
    pub(super) place: String,
    /// A short description of the term.
    pub(super) summary: String,
}

/// The configuration and rules of the last commit with documents of a period. `None` without such a commit, or if this
/// version cannot read its inputs.
pub(super) async fn committed_inputs(
    lake: &Lake,
    snapshot: &Snapshot,
    period: &str,
) -> Result<Option<(Config, RuleBook)>, Error> {
    let Some(commit) = snapshot.last_documents(period) else { return Ok(None) };
    let entry = lake.log_entry(commit.sequence).await?;
    let (committed, _) = read_committed_inputs(&entry.inputs, &entry.configuration);
    Ok(committed)
}

fn reference(term: &str, place: &Place, summary: String) -> TermReference {
    TermReference { term: term.to_owned(), place: format!("{}:{}", place.source.name, place.line()), summary }
}

/// The fee or minimum spend of a line. The component distinguishes them, because both may have the same id.
pub(super) fn of_line(rules: &RuleBook, component: &str, term_id: &str) -> Option<TermReference> {
    match component {
        "fee" => of_fee(rules, term_id),
        _ => of_minimum_spend(rules, term_id),
    }
}

pub(super) fn condition_text(condition: &Option<Expression>) -> String {
    condition.as_ref().map(|condition| format!(" when {}", condition.text)).unwrap_or_default()
}

fn of_fee(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let fee = rules.terms.fees.iter().find(|fee| fee.id == term_id)?;
    let summary = format!("a percentage of the lines {}{}", fee.base.label(), condition_text(&fee.when));
    Some(reference(&fee.id, &fee.declared_at, summary))
}

fn of_minimum_spend(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let term = rules.terms.minimum_spends.iter().find(|one| one.id == term_id)?;
    let amount = in_currency(term.amount, term.currency);
    let above = match term.overage_factor {
        Some(factor) => format!("; usage above this amount costs {factor} times its price"),
        None => String::new(),
    };
    let condition = condition_text(&term.when);
    let summary = format!("at least {amount} of usage in each period{condition}{above}");
    Some(reference(&term.id, &term.declared_at, summary))
}

/// A reservation or an hourly commitment.
pub(super) fn of_reservation(reservation: &Reservation) -> TermReference {
    let currency = reservation.currency.code();
    let summary = match reservation.committed {
        Committed::Quantity { quantity, unit_price } => {
            format!("{quantity} metered units reserved in each hour, at {} {currency} each", unit_price.to_text(2))
        }
        Committed::Amount(amount) => format!("{} {currency} committed in each hour", amount.to_text(2)),
    };
    reference(&reservation.id, &reservation.declared_at, summary)
}

/// A discount, a credit, or a minimum spend with cheaper overage.
pub(super) fn of_allowance(rules: &RuleBook, term_id: &str, kind: &str) -> Option<TermReference> {
    let terms = &rules.terms;
    match kind {
        "overage" => of_minimum_spend(rules, term_id),
        "discount" => {
            let discount = terms.discounts.iter().find(|one| one.id == term_id)?;
            let condition = condition_text(&discount.when);
            let summary = match discount.value {
                DiscountValue::Percent(percent) => format!("{percent} % off{condition}"),
                DiscountValue::Fixed(amount, currency) => format!("{} off{condition}", in_currency(amount, currency)),
            };
            Some(reference(&discount.id, &discount.declared_at, summary))
        }
        _ => of_credit(rules, term_id),
    }
}

/// A credit that lowers the taxable amount, or pays the amount due.
pub(super) fn of_credit(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let credit = rules.terms.credits.iter().find(|one| one.id == term_id)?;
    let amount = in_currency(credit.amount, credit.currency);
    let summary = match credit.kind {
        CreditKind::Promotional => format!("promotional credit of {amount}"),
        CreditKind::PrepaidTaxedAtSale { category, rate } => {
            format!("{amount} prepaid, taxed at sale as {} {rate} %", category.code())
        }
        CreditKind::PrepaidTaxedAtUse => format!("{amount} prepaid without tax"),
    };
    Some(reference(&credit.id, &credit.declared_at, summary))
}

/// A tax of the rules.
pub(super) fn of_tax(tax: &TaxRule) -> TermReference {
    let countries = if tax.countries.is_empty() { "all countries".to_owned() } else { tax.countries.join(", ") };
    let condition = condition_text(&tax.when);
    let summary = format!("tax of the profile {} for customers in {countries}{condition}", tax.profile);
    reference(&tax.id, &tax.declared_at, summary)
}

/// ` (fr at rules/taxes.toml:1)`, or an empty text for the tax of the configuration.
pub(super) fn by_rules(rules: &[TermReference]) -> String {
    let places: Vec<String> = rules.iter().map(|by| format!("{} at {}", by.term, by.place)).collect();
    if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
}

fn in_currency(amount: Amount, currency: iso_currency::Currency) -> String {
    format!("{} {}", amount.to_text(places_of(currency)), currency.code())
}
