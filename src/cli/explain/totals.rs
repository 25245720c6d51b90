//! The totals of a whole document in `conto explain`, from the lines to the amount due.

use arrow::array::RecordBatch;
use serde::Serialize;

use super::document::Document;
use super::terms::{self, TermReference};
use crate::cli::print::Printer;
use crate::error::Error;
use crate::model::money::{Amount, Percent, UnitPrice, places_of_code};
use crate::model::period::date_of;
use crate::model::terms::TaxRule;
use crate::rows::{self, Row};

/// The totals of a document, in the order of calculation.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedTotals {
    currency: String,
    line_total: String,
    allowances: Vec<Deduction>,
    total_without_tax: String,
    taxes: Vec<TaxSubtotal>,
    total_with_tax: String,
    prepayments: Vec<Prepayment>,
    amount_due: String,
    /// The tax in the currency of the seller, if the invoice has another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_in_seller_currency: Option<String>,
    brought_forward: String,
    carried_forward: String,
}

#[derive(Debug, Serialize)]
struct Deduction {
    kind: String,
    description: String,
    percent: Option<String>,
    base_amount: String,
    amount: String,
    tax_treatment: String,
    term_reference: Option<TermReference>,
    balance: Option<CreditBalance>,
}

#[derive(Debug, Serialize)]
struct TaxSubtotal {
    tax: String,
    taxable_amount: String,
    tax_amount: String,
    /// The `[[tax]]` of the rules; empty for the tax of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<TermReference>,
}

#[derive(Debug, Serialize)]
struct Prepayment {
    description: String,
    amount: String,
    term_reference: Option<TermReference>,
    balance: Option<CreditBalance>,
}

/// The balance of a credit in the period of the document.
#[derive(Debug, Serialize)]
struct CreditBalance {
    opening_balance: String,
    granted: String,
    used: String,
    expired: String,
    closing_balance: String,
}

/// The totals of a document.
pub(super) struct TotalsOf<'a>(pub(super) &'a Document);

fn of_document<'a>(batches: &'a [RecordBatch], number: &str) -> Result<Vec<Row<'a>>, Error> {
    let mut found = Vec::new();
    for row in rows::each(batches) {
        if row.text("invoice_number")? == number {
            found.push(row);
        }
    }
    Ok(found)
}

/// The balance of a credit in the period; `None` for a term that is no credit.
fn balance_of(document: &Document, term: &str, is_credit: bool) -> Result<Option<CreditBalance>, Error> {
    for row in rows::each(&document.credit_balance).filter(|_| is_credit) {
        if row.text("credit_id")? == term {
            let places = places_of_code(row.text("currency")?);
            let amount = |name| row.decimal::<Amount>(name).map(|amount| amount.to_text(places));
            return Ok(Some(CreditBalance {
                opening_balance: amount("opening_balance")?,
                granted: amount("granted")?,
                used: amount("used")?,
                expired: amount("expired")?,
                closing_balance: amount("closing_balance")?,
            }));
        }
    }
    Ok(None)
}

/// The text of a tax group, in the form of a tax treatment: `VAT AE 0 %, Reverse charge`.
fn tax_of(row: Row<'_>) -> Result<String, Error> {
    let reason = row.optional_text("exemption_reason")?.map(|reason| format!(", {reason}")).unwrap_or_default();
    let (category, rate) = (row.text("tax_category")?, row.decimal::<Percent>("tax_rate")?);
    let compound = if row.flag("is_compound")? { " compound" } else { "" };
    Ok(format!("{} {category} {rate} %{compound}{reason}", row.text("tax_name")?))
}

impl Document {
    /// The `[[tax]]` of the rules that can have made a tax group.
    fn tax_rules_of_group(&self, group: Row<'_>) -> Result<Vec<TermReference>, Error> {
        let (name, category) = (group.text("tax_name")?, group.text("tax_category")?);
        let (rate, reason) = (group.decimal::<Percent>("tax_rate")?, group.optional_text("exemption_reason")?);
        self.tax_rules_where(|rule| {
            let treatment = &rule.treatment;
            treatment.category.code() == category
                && treatment.exemption_reason.as_deref() == reason
                && treatment.taxes.iter().any(|tax| tax.name == name && tax.rate == rate)
        })
    }

    /// The `[[tax]]` of the rules that fulfil a condition and fit the account at the tax point of the document.
    pub(super) fn tax_rules_where(&self, is_wanted: impl Fn(&TaxRule) -> bool) -> Result<Vec<TermReference>, Error> {
        let Some((config, rules)) = &self.committed else { return Ok(Vec::new()) };
        let Some(invoice) = of_document(&self.invoice, &self.number)?.into_iter().next() else { return Ok(Vec::new()) };
        let (account_id, tax_point) = (invoice.text("account_id")?, date_of(invoice.day("tax_point")?));
        let account = config.accounts.accounts.iter().find(|account| account.id == account_id);
        let is_of_charge = |rule: &TaxRule| {
            rules.charges.iter().any(|charge| charge.tax.as_ref().is_some_and(|(id, _)| *id == rule.id))
        };
        let is_applicable = |rule: &TaxRule| rule.is_for(account, tax_point) || is_of_charge(rule);
        let fits = |rule: &&TaxRule| is_applicable(rule) && is_wanted(rule);
        Ok(rules.terms.taxes.iter().filter(fits).map(terms::of_tax).collect())
    }
}

impl TotalsOf<'_> {
    pub(super) fn explained(&self) -> Result<Option<ExplainedTotals>, Error> {
        let Self(document) = self;
        let number = &document.number;
        let Some(invoice) = of_document(&document.invoice, number)?.into_iter().next() else { return Ok(None) };
        let places = places_of_code(invoice.text("currency")?);
        let amount = |row: Row<'_>, name| row.decimal::<Amount>(name).map(|amount| amount.to_text(places));
        let mut allowances = Vec::new();
        for row in of_document(&document.allowance, number)? {
            let (kind, term) = (row.text("kind")?, row.text("term_id")?);
            allowances.push(Deduction {
                kind: kind.to_owned(),
                description: row.text("description")?.to_owned(),
                percent: row.optional_decimal::<Percent>("percent")?.map(|percent| percent.to_string()),
                base_amount: amount(row, "base_amount")?,
                amount: amount(row, "amount")?,
                tax_treatment: row.text("tax_treatment")?.to_owned(),
                term_reference: document.rules().and_then(|rules| terms::of_allowance(rules, term, kind)),
                balance: balance_of(document, term, !["discount", "overage"].contains(&kind))?,
            });
        }
        let mut taxes = Vec::new();
        for row in of_document(&document.tax_breakdown, number)? {
            let (taxable_amount, tax_amount) = (amount(row, "taxable_amount")?, amount(row, "tax_amount")?);
            let rules = document.tax_rules_of_group(row)?;
            taxes.push(TaxSubtotal { tax: tax_of(row)?, taxable_amount, tax_amount, rules });
        }
        let mut prepayments = Vec::new();
        for row in of_document(&document.prepayment, number)? {
            let credit = row.text("credit_id")?;
            prepayments.push(Prepayment {
                description: row.text("description")?.to_owned(),
                amount: amount(row, "amount")?,
                term_reference: document.rules().and_then(|rules| terms::of_credit(rules, credit)),
                balance: balance_of(document, credit, true)?,
            });
        }
        let seller_currency = invoice.text("seller_currency")?;
        let tax_in_seller_currency = match invoice.optional_text("exchange_base")? {
            Some(base) => {
                let places = places_of_code(seller_currency);
                let tax = invoice.decimal::<Amount>("tax_amount_in_seller_currency")?.to_text(places);
                let rate = invoice.decimal::<UnitPrice>("exchange_rate")?;
                let (quote, day) = (invoice.text("exchange_quote")?, invoice.day("exchange_rate_date")?);
                let day = date_of(day);
                Some(format!("{tax} {seller_currency}, at 1 {base} = {rate} {quote} of {day}"))
            }
            None => None,
        };
        Ok(Some(ExplainedTotals {
            currency: invoice.text("currency")?.to_owned(),
            line_total: amount(invoice, "line_total")?,
            allowances,
            total_without_tax: amount(invoice, "total_without_tax")?,
            taxes,
            total_with_tax: amount(invoice, "total_with_tax")?,
            prepayments,
            amount_due: amount(invoice, "amount_due")?,
            tax_in_seller_currency,
            brought_forward: amount(invoice, "brought_forward")?,
            carried_forward: amount(invoice, "carried_forward")?,
        }))
    }
}

impl ExplainedTotals {
    /// Prints the calculation of the amount due, with one amount in each line.
    pub(super) fn print(&self, printer: &Printer) {
        let mut steps: Vec<(&str, &str, String)> = vec![("lines", &self.line_total, String::new())];
        for one in &self.allowances {
            let how = match &one.percent {
                Some(percent) => format!("{percent} % of {}", one.base_amount),
                None => format!("off {}", one.base_amount),
            };
            let detail = format!("{}, {how}, from lines with {}", one.description, one.tax_treatment);
            steps.push(("less", &one.amount, detail + &by(one.term_reference.as_ref(), one.balance.as_ref())));
        }
        steps.push(("without tax", &self.total_without_tax, String::new()));
        for tax in &self.taxes {
            let by = terms::by_rules(&tax.rules);
            steps.push(("plus tax", &tax.tax_amount, format!("{} on {}{by}", tax.tax, tax.taxable_amount)));
        }
        steps.push(("with tax", &self.total_with_tax, String::new()));
        for paid in &self.prepayments {
            let by = by(paid.term_reference.as_ref(), paid.balance.as_ref());
            steps.push(("less prepaid", &paid.amount, paid.description.clone() + &by));
        }
        steps.push(("due", &self.amount_due, self.currency.clone()));
        let names = steps.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let amounts = steps.iter().map(|(_, amount, _)| amount.len()).max().unwrap_or(0);
        for (name, amount, detail) in steps {
            printer.line(format!("{name:<names$}  {amount:>amounts$}  {detail}").trim_end());
        }
        if let Some(tax) = &self.tax_in_seller_currency {
            printer.line(&format!("tax in the currency of the seller: {tax}"));
        }
    }
}

/// The term of an amount, and the balance of a credit: ` (launch at rules/terms.toml:5: 10 % off)`.
fn by(term_reference: Option<&TermReference>, balance: Option<&CreditBalance>) -> String {
    let term = term_reference.map(|by| format!("{} at {}: {}", by.term, by.place, by.summary));
    let balance = balance.map(|one| {
        let other = [("granted", &one.granted), ("expired", &one.expired)];
        let other = other.iter().filter(|(_, amount)| amount.chars().any(|digit| ('1'..='9').contains(&digit)));
        let other: String = other.map(|(name, amount)| format!(", {name} {amount}")).collect();
        format!("balance {}{other}, used {}, left {}", one.opening_balance, one.used, one.closing_balance)
    });
    let parts: Vec<String> = term.into_iter().chain(balance).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}
