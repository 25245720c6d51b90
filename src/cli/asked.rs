//! The terms behind a document: the fee, commitment, discount or credit that asks for something, and where it stands,
//! as the rules of the document's commit had it.

use serde::Serialize;

use crate::error::Error;
use crate::load::read_committed_inputs;
use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Amount, places_of};
use crate::model::rule_book::RuleBook;
use crate::model::terms::{CreditKind, DiscountValue};
use crate::storage::{CommitKind, Lake, Snapshot};

/// A term, and what it says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TermReference {
    pub(super) term: String,
    pub(super) place: String,
    pub(super) says: String,
}

/// The rules that a period was billed or closed by last; `None` where the log no longer has them.
pub(super) async fn rules_of(lake: &Lake, snapshot: &Snapshot, period: &str) -> Result<Option<RuleBook>, Error> {
    let kinds = [CommitKind::Close, CommitKind::Billing];
    let Some(made) = kinds.into_iter().find_map(|kind| snapshot.last(kind, period)) else { return Ok(None) };
    let entry = lake.log_entry(made.sequence).await?;
    let (kept, _) = read_committed_inputs(&entry.inputs, &entry.configuration);
    Ok(kept.map(|(_, rules)| rules))
}

fn asked(term: &str, place: &Place, says: String) -> TermReference {
    TermReference { term: term.to_owned(), place: format!("{}:{}", place.source.name, place.line()), says }
}

/// A fee or a commitment with a line of its own, which its component names: the two may have one id.
pub(super) fn of_line(rules: &RuleBook, component: &str, term_id: &str) -> Option<TermReference> {
    match component {
        "fee" => of_fee(rules, term_id),
        _ => of_commitment(rules, term_id),
    }
}

fn when(when: &Option<Expression>) -> String {
    when.as_ref().map(|when| format!(" when {}", when.text)).unwrap_or_default()
}

fn of_fee(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let fee = rules.terms.fees.iter().find(|fee| fee.id == term_id)?;
    let says = format!("of what lines come to {}{}", fee.base.in_words(), when(&fee.when));
    Some(asked(&fee.id, &fee.declared_at, says))
}

fn of_commitment(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let commitment = rules.terms.commitments.iter().find(|one| one.id == term_id)?;
    let amount = in_currency(commitment.amount, commitment.currency);
    let above = match commitment.overage_factor {
        Some(factor) => format!(", and {factor} times what is above it"),
        None => String::new(),
    };
    let says = format!("{amount} of usage in each period{}{above}", when(&commitment.when));
    Some(asked(&commitment.id, &commitment.declared_at, says))
}

/// A discount, a credit, or the commitment above which things cost less.
pub(super) fn of_allowance(rules: &RuleBook, term_id: &str, kind: &str) -> Option<TermReference> {
    let terms = &rules.terms;
    match kind {
        "overage" => of_commitment(rules, term_id),
        "discount" => {
            let discount = terms.discounts.iter().find(|one| one.id == term_id)?;
            let when = when(&discount.when);
            let says = match discount.value {
                DiscountValue::Percent(percent) => format!("{percent} % less{when}"),
                DiscountValue::Fixed(amount, currency) => format!("{} less{when}", in_currency(amount, currency)),
            };
            Some(asked(&discount.id, &discount.declared_at, says))
        }
        _ => of_credit(rules, term_id),
    }
}

/// A credit that lowers what is taxed, or pays what is due.
pub(super) fn of_credit(rules: &RuleBook, term_id: &str) -> Option<TermReference> {
    let credit = rules.terms.credits.iter().find(|one| one.id == term_id)?;
    let amount = in_currency(credit.amount, credit.currency);
    let says = match credit.kind {
        CreditKind::Promotional => format!("a gift of {amount}"),
        CreditKind::PrepaidTaxedAtSale { category, rate } => {
            format!("{amount} sold with tax {} {rate} %", category.code())
        }
        CreditKind::PrepaidTaxedAtUse => format!("{amount} paid in without tax"),
    };
    Some(asked(&credit.id, &credit.declared_at, says))
}

fn in_currency(amount: Amount, currency: iso_currency::Currency) -> String {
    format!("{} {}", amount.to_text(places_of(currency)), currency.code())
}
