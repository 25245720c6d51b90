//! `[[discount]]`, `[[minimum_spend]]`, `[[credit]]` and `[[tax]]`: contract terms that apply to an invoice.

use crate::load::term_parts::amount_of;
use crate::load::term_parts::own_currency;
use crate::load::term_parts::validity;
use jiff::civil::Date;

use super::keys;
use super::problems::Problems;
use super::rule_parts::expression;
use super::table::{Table, Value};
use super::unique_names::unique;
use super::vat_id;
use super::written_account::canonical_id;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::money::Percent;
use crate::model::tax::{TaxComponent, TaxTreatment};
use crate::model::terms::{
    Credit, CreditKind, Discount, DiscountValue, MinimumSpend, STANDARD_PROFILE, TaxCategory, TaxRule, Terms,
};

/// The tables of contract terms of all rule files.
#[derive(Debug, Default)]
pub(crate) struct TermTables<'a> {
    discounts: Vec<Table<'a>>,
    minimum_spends: Vec<Table<'a>>,
    credits: Vec<Table<'a>>,
    taxes: Vec<Table<'a>>,
}

impl<'a> TermTables<'a> {
    pub(crate) fn take(&mut self, root: &mut Table<'a>) {
        self.discounts.extend(root.tables("discount", &keys::DISCOUNT));
        self.minimum_spends.extend(root.tables("minimum_spend", &keys::MINIMUM_SPEND));
        self.credits.extend(root.tables("credit", &keys::CREDIT));
        self.taxes.extend(root.tables("tax", &keys::TAX));
    }

    pub(crate) fn read(self, problems: &Problems) -> Terms {
        let discounts = self.discounts.into_iter().filter_map(discount);
        let minimum_spends = self.minimum_spends.into_iter().filter_map(minimum_spend);
        let credits = self.credits.into_iter().filter_map(credit);
        let mut terms = Terms {
            discounts: discounts.collect(),
            minimum_spends: minimum_spends.collect(),
            credits: credits.collect(),
            taxes: self.taxes.into_iter().filter_map(tax).collect(),
            fees: Vec::new(),
        };
        let code = "rules::duplicate_id";
        unique(&mut terms.discounts, |term| (&term.id, &term.declared_at), code, "discount", problems);
        unique(&mut terms.minimum_spends, |term| (&term.id, &term.declared_at), code, "minimum spend", problems);
        unique(&mut terms.credits, |term| (&term.id, &term.declared_at), code, "credit", problems);
        unique(&mut terms.taxes, |term| (&term.id, &term.declared_at), code, "tax", problems);
        // The sort is stable, so discounts with equal positions remain sorted by id.
        terms.discounts.sort_by_key(|discount| discount.position);
        let expiry = |credit: &Credit| credit.validity.to.unwrap_or(Date::MAX);
        terms.credits.sort_by_key(|credit| (std::cmp::Reverse(credit.priority), expiry(credit)));
        terms
    }
}

fn discount(mut table: Table<'_>) -> Option<Discount> {
    let declared_at = table.place();
    let id = table.require_text("id");
    let description = table.string("description");
    let accounts = table.texts("accounts").unwrap_or_default();
    let when = expression(&mut table, "when");
    let percent = table.take("percent");
    let amount = table.take("amount");
    let currency = own_currency(&mut table);
    let position = table.take("position").and_then(|value| value.integer()).unwrap_or(0);
    let validity = validity(&mut table, "valid_from", "valid_to");
    let value = match (percent, amount) {
        (Some(percent), None) => percent_of(&percent).map(DiscountValue::Percent),
        (None, Some(amount)) => {
            let currency = currency?;
            amount_of(&amount, currency).map(|amount| DiscountValue::Fixed(amount, currency))
        }
        (None, None) => {
            table.missing("percent");
            None
        }
        (Some(_), Some(amount)) => {
            let problem = Diagnostic::error("rules::two_prices", "the discount has both `percent` and `amount`");
            let problem = problem.at(amount.key_place(), "second value");
            table
                .file
                .problems
                .push(problem.hint("write two discounts; they apply one after the other, in the order of `position`"));
            None
        }
    };
    table.finish();
    let id = id?;
    Some(Discount {
        description: description.unwrap_or_else(|| id.value.clone()),
        id: id.value,
        accounts: accounts.into_iter().map(|text| text.value).collect(),
        when,
        value: value?,
        position,
        validity,
        declared_at,
    })
}

fn minimum_spend(mut table: Table<'_>) -> Option<MinimumSpend> {
    let declared_at = table.place();
    let id = table.require_text("id");
    let description = table.string("description");
    let service = table.string("service");
    let account = table.require_text("account").map(canonical_id);
    let when = expression(&mut table, "when");
    let amount = table.require("amount");
    let currency = own_currency(&mut table)?;
    let amount = amount.and_then(|amount| amount_of(&amount, currency));
    let overage_factor = table.take("overage_factor").and_then(|value| value.non_negative());
    let true_up = table.take("true_up").and_then(|value| value.boolean()).unwrap_or(true);
    let validity = validity(&mut table, "valid_from", "valid_to");
    table.finish();
    Some(MinimumSpend {
        id: id?.value,
        description: description.unwrap_or_else(|| "Minimum spend".to_owned()),
        service: service.unwrap_or_else(|| "Minimum spend".to_owned()),
        account: account?.value,
        when,
        amount: amount?,
        currency,
        overage_factor,
        true_up,
        validity,
        declared_at,
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Promotional,
    Prepaid,
}

fn credit(mut table: Table<'_>) -> Option<Credit> {
    let declared_at = table.place();
    let id = table.require_text("id");
    let description = table.string("description");
    let account = table.require_text("account").map(canonical_id);
    let amount = table.require("amount");
    let currency = own_currency(&mut table)?;
    let amount = amount.and_then(|amount| amount_of(&amount, currency));
    let opening_balance = table.take("opening_balance").and_then(|value| amount_of(&value, currency));
    let kind = table.require("kind");
    let kind = kind.and_then(|v| v.choice(&[("promotional", Kind::Promotional), ("prepaid", Kind::Prepaid)]));
    let taxed = match kind {
        Some(Kind::Prepaid) => table.require("taxed").and_then(|v| v.choice(&[("at_sale", true), ("at_use", false)])),
        _ => None,
    };
    let priority = table.take("priority").and_then(|value| value.integer()).unwrap_or(0);
    let validity = validity(&mut table, "valid_from", "expires");
    let kind = match (kind?, taxed) {
        (Kind::Promotional, _) => CreditKind::Promotional,
        (Kind::Prepaid, Some(true)) => {
            let (category, rate) = category_and_rate(&mut table, "tax_category", "tax_rate")?;
            CreditKind::PrepaidTaxedAtSale { category, rate }
        }
        (Kind::Prepaid, taxed) => {
            taxed?;
            CreditKind::PrepaidTaxedAtUse
        }
    };
    table.finish();
    let id = id?;
    Some(Credit {
        description: description.unwrap_or_else(|| id.value.clone()),
        id: id.value,
        account: account?.value,
        amount: amount?,
        currency,
        kind,
        priority,
        validity,
        opening_balance,
        declared_at,
    })
}

fn tax(mut table: Table<'_>) -> Option<TaxRule> {
    let declared_at = table.place();
    let id = table.require_text("id");
    let name = table.text("name");
    let components = table.take("components");
    let profile = table.string("profile");
    let countries = table.texts("countries").unwrap_or_default();
    for country in &countries {
        if !vat_id::is_country(&country.value) {
            let message = format!("`{}` is not a country code, expected two capital letters", country.value);
            let problem = Diagnostic::error(table.file.codes.bad_country, message);
            let problem = problem.at(country.place.clone(), "not a country code");
            table.file.problems.push(problem.hint("use the two-letter code of ISO 3166, such as `FR`"));
        }
    }
    let when = expression(&mut table, "when");
    let is_single = components.is_none();
    if is_single && name.is_none() {
        table.missing("name");
    }
    let (category, taxes) = match components {
        Some(components) => {
            let others = [table.take("category"), table.take("rate")].into_iter().flatten();
            let others: Vec<Place> = others.map(|value| value.key_place()).collect();
            let place = name.as_ref().map(|name| name.place.clone()).or(others.into_iter().next());
            if let Some(place) = place {
                refuse_components(&table, place, "the tax has `components` and also keys of a single tax".to_owned());
            }
            (Some(TaxCategory::Standard), tax_components(&table, &components))
        }
        None => {
            let found = category_and_rate(&mut table, "category", "rate");
            let tax = found
                .zip(name)
                .map(|((_, rate), name)| vec![TaxComponent { rate, name: name.value, is_compound: false }]);
            (found.map(|(category, _)| category), tax)
        }
    };
    let reason = table.text("exemption_reason");
    let validity = validity(&mut table, "valid_from", "valid_to");
    if let (Some(category), Some(reason)) = (category, &reason)
        && category.default_exemption_reason().is_none()
    {
        let message = format!("tax of category {} cannot have an exemption reason", category.code());
        let problem = Diagnostic::error("rules::tax_reason", message).at(reason.place.clone(), "not an exemption");
        let hint = "remove `exemption_reason`, because supplies with the standard or zero rate are not exempt";
        table.file.problems.push(problem.hint(hint));
    }
    table.finish();
    let (category, taxes) = (category?, taxes?);
    let reason = reason.map(|text| text.value);
    Some(TaxRule {
        id: id?.value,
        profile: profile.unwrap_or_else(|| STANDARD_PROFILE.to_owned()),
        countries: countries.into_iter().map(|text| text.value).collect(),
        when,
        treatment: TaxTreatment {
            category,
            taxes,
            exemption_reason: reason.or_else(|| category.default_exemption_reason().map(str::to_owned)),
        },
        validity,
        declared_at,
    })
}

/// The taxes of `components`, in the order of the file.
fn tax_components(tax: &Table<'_>, value: &Value<'_>) -> Option<Vec<TaxComponent>> {
    let mut taxes: Vec<TaxComponent> = Vec::new();
    let tables = value.tables(&keys::TAX_COMPONENT)?;
    let count = tables.len();
    for (index, mut table) in tables.into_iter().enumerate() {
        let name = table.require_text("name");
        let rate = table.require("rate").and_then(|value| {
            let rate = value.non_negative()?;
            checked_rate(&value, TaxCategory::Standard, rate)
        });
        let compound = table.take("compound");
        table.finish();
        let is_compound = compound.as_ref().and_then(Value::boolean).unwrap_or(false);
        if let Some(compound) = compound.filter(|_| is_compound && (index == 0 || index + 1 < count)) {
            let message = "the compound tax is not the last one of several `components`".to_owned();
            refuse_components(tax, compound.key_place(), message);
            return None;
        }
        let name = name?;
        if taxes.iter().any(|tax| tax.name == name.value) {
            refuse_components(tax, name.place, format!("two `components` have the name `{}`", name.value));
            return None;
        }
        taxes.push(TaxComponent { rate: rate?, name: name.value, is_compound });
    }
    if count < 2 {
        refuse_components(tax, value.place(), format!("the number of `components` is {count}, expected at least 2"));
        return None;
    }
    Some(taxes)
}

fn refuse_components(table: &Table<'_>, place: Place, message: String) {
    let problem = Diagnostic::error("rules::tax_components", message).at(place, "here");
    let hint = "write one tax as `name` and `rate`, or several as \
        `components = [{ name = \"GST\", rate = \"5\" }, { name = \"QST\", rate = \"9.975\" }]`; \
        `compound = true` belongs to the last one";
    table.file.problems.push(problem.hint(hint));
}

/// The category and rate of a tax. Only the rate of the standard category is more than zero.
fn category_and_rate(
    table: &mut Table<'_>,
    category_key: &'static str,
    rate_key: &'static str,
) -> Option<(TaxCategory, Percent)> {
    let category = match table.take(category_key) {
        Some(value) => value.choice(&TaxCategory::CODES)?,
        None => TaxCategory::Standard,
    };
    let is_standard = category == TaxCategory::Standard;
    let value = if is_standard { table.require(rate_key) } else { table.take(rate_key) };
    let Some(value) = value else { return (!is_standard).then_some((category, Percent::ZERO)) };
    let rate = value.non_negative()?;
    checked_rate(&value, category, rate).map(|rate| (category, rate))
}

/// The rate, if the category allows it.
fn checked_rate(value: &Value<'_>, category: TaxCategory, rate: Percent) -> Option<Percent> {
    let is_standard = category == TaxCategory::Standard;
    if is_standard == rate.is_zero() || rate > Percent::from_integer(100) {
        let expected = if is_standard { "more than 0 and at most 100" } else { "0" };
        let message = format!("tax of category {} has the rate {rate}, expected {expected}", category.code());
        let problem = Diagnostic::error("rules::tax_rate", message).at(value.place(), "this rate");
        let hint = "write the rate of category S in percent, such as \"19\", and no rate for other categories";
        value.file.problems.push(problem.hint(hint));
        return None;
    }
    Some(rate)
}

fn percent_of(value: &Value<'_>) -> Option<Percent> {
    let percent: Percent = value.positive()?;
    if percent > Percent::from_integer(100) {
        let message = format!("the discount is {percent} percent, expected at most 100");
        let problem = Diagnostic::error(value.file.codes.bad_number, message).at(value.place(), "above 100");
        value.file.problems.push(problem);
        return None;
    }
    Some(percent)
}
