//! Contract terms with compiled predicates.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::line::{Line, predicate_batch, predicate_columns};
use crate::error::Error;
use crate::model::account::Account;
use crate::model::config::{Seller, Tax};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::expression::Expression;
use crate::model::one_off_charge::charge_id_of;
use crate::model::tax::TaxTreatment;
use crate::model::terms::{STANDARD_PROFILE, TaxCategory, TaxRule, Terms};
use crate::query::Session;
use crate::query::expression::{Compiled, predicate};

/// All terms, and their compiled predicates by kind and id.
#[derive(Debug)]
pub struct CompiledTerms<'a> {
    pub(super) terms: &'a Terms,
    predicates: BTreeMap<(&'static str, &'a str), Compiled>,
}

/// Compiles all terms. The diagnostics report invalid expressions, and taxes for which data of the seller is missing.
pub fn compile<'a>(session: &Session, terms: &'a Terms, seller: &Seller) -> (CompiledTerms<'a>, Diagnostics) {
    let mut predicates = BTreeMap::new();
    let mut problems = Diagnostics::default();
    let columns = predicate_columns();
    let mut add = |kind, id: &'a str, when: &Option<Expression>| {
        let Some(when) = when else { return };
        match predicate(session, when, &columns) {
            Ok(compiled) => {
                predicates.insert((kind, id), compiled);
            }
            Err(problem) => problems.push(for_lines(problem)),
        }
    };
    for discount in &terms.discounts {
        add("discount", &discount.id, &discount.when);
    }
    for minimum_spend in &terms.minimum_spends {
        add("minimum_spend", &minimum_spend.id, &minimum_spend.when);
    }
    for fee in &terms.fees {
        add("fee", &fee.id, &fee.when);
    }
    for tax in &terms.taxes {
        add("tax", &tax.id, &tax.when);
    }
    for tax in &terms.taxes {
        let code = tax.treatment.category.code();
        for (key, what) in seller.missing_for_tax(code) {
            let message = format!("tax category {code} needs {what} of the seller");
            let problem = Diagnostic::error("rules::tax_without_seller", message);
            let problem = problem.at(tax.declared_at.clone(), "on every invoice with this tax");
            problems.push(problem.hint(format!("add `{key}` to `[seller]` in conto.toml")));
        }
    }
    (CompiledTerms { terms, predicates }, problems)
}

/// The diagnostic with the wording for terms. The predicates of terms use the columns of a line, not the dimensions of
/// a meter.
fn for_lines(mut problem: Diagnostic) -> Diagnostic {
    if problem.code == "rules::unknown_dimension" {
        problem.code = "rules::unknown_column";
        problem.message = problem.message.replace("the meter has no dimension", "a line has no column");
    }
    problem
}

/// The values of the predicate columns that are the same for all lines of an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineOwner<'a> {
    pub(super) account_id: &'a str,
    pub(super) country: Option<&'a str>,
    pub(super) currency: &'a str,
}

impl CompiledTerms<'_> {
    /// For each line, whether a term applies to the line.
    pub(super) fn applies(
        &self,
        kind: &'static str,
        id: &str,
        lines: &[Line],
        owner: LineOwner<'_>,
    ) -> Result<Vec<bool>, Error> {
        match self.predicates.get(&(kind, id)) {
            Some(when) => {
                Ok(when.is_true(&predicate_batch(lines, owner.account_id, owner.country, owner.currency)?)?)
            }
            None => Ok(vec![true; lines.len()]),
        }
    }

    /// The tax treatment of each line. A one-off charge can name its tax. For other lines, the most specific rule for
    /// the buyer's profile and country at the tax point applies. If no rule of the standard profile applies, the tax of
    /// the configuration is used.
    pub(super) fn tax_treatments(
        &self,
        account: Option<&Account>,
        (default_tax, charge_taxes): (&Tax, &BTreeMap<String, String>),
        tax_point: Date,
        lines: &[Line],
        owner: LineOwner<'_>,
    ) -> Result<Result<Vec<TaxTreatment>, Suspension>, Error> {
        let profile = account.and_then(|account| account.tax_profile.as_deref()).unwrap_or(STANDARD_PROFILE);
        let country = owner.country;
        let rules = self.terms.taxes.iter().filter(|rule| rule.is_for(account, tax_point));
        let mut applying: Vec<Vec<&TaxRule>> = vec![Vec::new(); lines.len()];
        for rule in rules {
            for (index, applies) in self.applies("tax", &rule.id, lines, owner)?.into_iter().enumerate() {
                if applies {
                    applying[index].push(rule);
                }
            }
        }
        let specificity = |rule: &TaxRule| (rule.when.is_some(), !rule.countries.is_empty());
        let mut treatments = Vec::with_capacity(lines.len());
        for (line, rules) in lines.iter().zip(applying) {
            if let Some(tax) = charge_id_of(&line.line_by).and_then(|id| charge_taxes.get(id)) {
                let rule = self.terms.taxes.iter().find(|rule| rule.id == *tax && rule.validity.contains(tax_point));
                let Some(rule) = rule else {
                    let charge = &line.description;
                    let detail = format!("the tax `{tax}` of the charge `{charge}` is not valid on {tax_point}");
                    return Ok(Err(Suspension { reason: "no_tax", detail }));
                };
                treatments.push(rule.treatment.clone());
                continue;
            }
            let highest = rules.iter().map(|rule| specificity(rule)).max();
            let best: Vec<&&TaxRule> = rules.iter().filter(|rule| Some(specificity(rule)) == highest).collect();
            treatments.push(match best.as_slice() {
                [rule] => rule.treatment.clone(),
                [first, second, ..] => {
                    let detail =
                        format!("the taxes `{}` and `{}` both apply to `{}`", first.id, second.id, line.description);
                    return Ok(Err(Suspension { reason: "two_taxes", detail }));
                }
                [] if profile == STANDARD_PROFILE => default_treatment(default_tax),
                [] => {
                    let place = country.map(|country| format!(" in {country}")).unwrap_or_default();
                    let detail = format!("no tax of the profile `{profile}`{place} is valid on {tax_point}");
                    return Ok(Err(Suspension { reason: "no_tax", detail }));
                }
            });
        }
        Ok(Ok(treatments))
    }
}

fn default_treatment(tax: &Tax) -> TaxTreatment {
    let found = TaxCategory::CODES.iter().find(|(code, _)| *code == tax.category);
    let category = found.map_or(TaxCategory::OutOfScope, |(_, category)| *category);
    TaxTreatment::of_one(category, tax.rate, &tax.name, category.default_exemption_reason().map(str::to_owned))
}

/// The reason why an account is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspension {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}
