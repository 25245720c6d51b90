//! The explanation of one invoice line in `conto explain`, as the JSON output contains it.

use arrow::array::RecordBatch;
use serde::Serialize;

use super::document::Document;
use super::price::ExplainedPrice;
use super::sources::{ExplainedFile, ExplainedWindow};
use super::terms::{self, TermReference};
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::model::money::{Amount, Cost, Percent, Quantity, UnitPrice, places_of_code};
use crate::model::period::{DayNumber, date_of};
use crate::query::Parameters;
use crate::rating::price_origin::PriceOrigins;
use crate::rows::{self, Row};

/// The number of windows at each end of a line that are shown without `--windows`.
const WINDOWS_AT_ENDS: usize = 3;

/// One invoice line: its amount, its price, its usage and its input files.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedLine {
    pub(super) invoice: String,
    pub(super) line: i64,
    pub(super) description: String,
    pub(super) line_by: String,
    pub(super) charge_period_start: String,
    /// The exclusive end.
    pub(super) charge_period_end: String,
    pub(super) quantity: String,
    pub(super) unit: String,
    pub(super) unit_price: String,
    pub(super) unit_price_per: String,
    pub(super) contracted_cost: String,
    /// The fees of a line without usage.
    pub(super) fees: Vec<ExplainedFee>,
    /// The contract term of a percentage fee or a minimum spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) term_reference: Option<TermReference>,
    /// The origin of a line that is not usage of the period itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<ExplainedOrigin>,
    /// The amounts of a corrected line on all documents of the period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) issued: Vec<IssuedPart>,
    /// The sum of `issued`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issued_total: Option<String>,
    /// The currency of the price and the cost.
    pub(super) price_currency: String,
    /// `1 EUR = 1.1 USD of 2026-10-30`, if the invoice is in another currency.
    pub(super) exchange: Option<String>,
    pub(super) net_amount: String,
    pub(super) currency: String,
    pub(super) charge_category: String,
    pub(super) component: String,
    pub(super) charge_kind: String,
    pub(super) allowances: Vec<ExplainedAllowance>,
    /// The net amount minus the allowances.
    pub(super) remaining_amount: String,
    pub(super) tax: String,
    /// The `[[tax]]` of the rules with this treatment; empty for the tax of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tax_rules: Vec<TermReference>,
    pub(super) prices: Vec<ExplainedPrice>,
    pub(super) resources: Vec<ExplainedResource>,
    pub(super) windows: Vec<ExplainedWindow>,
    pub(super) window_count: usize,
    pub(super) files: Vec<ExplainedFile>,
}

/// A discount or a credit, and its share on the line.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedAllowance {
    pub(super) term: String,
    pub(super) term_reference: Option<TermReference>,
    pub(super) description: String,
    pub(super) percent: Option<String>,
    pub(super) base_amount: String,
    pub(super) amount: String,
    pub(super) share_of_line: String,
}

/// A fee, and the days for which it is charged or refunded.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedFee {
    pub(super) rule: String,
    pub(super) place: String,
    /// The reservation or hourly commitment.
    pub(super) term_reference: Option<TermReference>,
    pub(super) resource: String,
    pub(super) charge_period_start: String,
    /// The exclusive end.
    pub(super) charge_period_end: String,
    #[serde(skip)]
    pub(super) last_day: String,
    pub(super) quantity: String,
    pub(super) cost: String,
    /// The reason of a one-off charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The person who approved a one-off charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approved_by: Option<String>,
}

/// The document that a line was brought forward from, or the period that it corrects.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedOrigin {
    pub(super) carried_from: Option<String>,
    pub(super) corrected_period: Option<String>,
    pub(super) corrected_document: Option<String>,
    pub(super) reason: Option<String>,
}

/// The amount of a line on one document.
#[derive(Debug, Serialize)]
pub(super) struct IssuedPart {
    pub(super) invoice: String,
    pub(super) line: i64,
    pub(super) net_amount: String,
    #[serde(skip)]
    units: Amount,
}

/// The usage of one resource at one price.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedResource {
    pub(super) resource: String,
    pub(super) meter: String,
    pub(super) description: String,
    /// The position of the price in `prices`, from zero.
    pub(super) price: usize,
    pub(super) charge_period_start: String,
    /// The exclusive end.
    pub(super) charge_period_end: String,
    #[serde(skip)]
    pub(super) last_day: String,
    pub(super) quantity: String,
    pub(super) cost: String,
}

/// A line number, and the detail of its explanation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Whether windows and files are explained.
    pub(super) is_in_depth: bool,
    /// Whether every window is explained, not only the first and last.
    pub(super) all_windows: bool,
}

fn date_text(day: DayNumber) -> String {
    date_of(day).to_string()
}

impl Document {
    /// The explanation of one line.
    pub(super) async fn explain(
        &self,
        origins: Option<&PriceOrigins<'_>>,
        row: Row<'_>,
        detail: Detail,
    ) -> Result<ExplainedLine, Failure> {
        let line_number = row.number("line_number")?;
        let charge_kind = row.text("charge_kind")?;
        let session = &self.books.session;
        let parameters = Parameters::none().text("invoice_number", &self.number).bigint("line_number", line_number);
        let usage = session.materialize("report/line_usage", parameters.clone()).await?;
        let tier_costs = if charge_kind == "maximum" {
            session.run("report/tier_cost", parameters.clone()).await?
        } else {
            Vec::new()
        };
        let (prices, price_of_row) = self.prices_of(origins, charge_kind, &usage, &tier_costs)?;
        let resources = resources_of(&usage, &price_of_row)?;
        let fees = self.fees(parameters).await?;
        let (mut windows, files) = if detail.is_in_depth && !resources.is_empty() {
            self.sources_of(&usage).await?
        } else {
            Default::default()
        };
        let (allowances, remaining) = self.allowances_of(line_number, row.decimal("net_amount")?)?;
        let price_currency = row.text("price_currency")?.to_owned();
        let exchange = self.exchange_of(&price_currency, row.text("currency")?)?;
        let origin = self.origin_of(&self.number, line_number)?;
        let issued = match &origin {
            Some(origin) if origin.carried_from.is_some() => Vec::new(),
            origin => {
                let parts = self.issued_parts(row)?;
                if origin.is_some() || parts.len() > 1 { parts } else { Vec::new() }
            }
        };
        let window_count = windows.len();
        if !detail.all_windows && window_count > 2 * WINDOWS_AT_ENDS {
            windows.drain(WINDOWS_AT_ENDS..window_count - WINDOWS_AT_ENDS);
        }
        let places = places_of_code(row.text("currency")?);
        let mut issued_total = Amount::ZERO;
        for part in &issued {
            issued_total = issued_total.checked_add(part.units).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        // The tax of all lines is explained with the totals of the document.
        let tax_rules = if detail.is_in_depth { self.tax_rules(row.text("tax_treatment")?)? } else { Vec::new() };
        Ok(ExplainedLine {
            invoice: self.number.clone(),
            line: line_number,
            description: row.text("description")?.to_owned(),
            line_by: row.text("line_by")?.to_owned(),
            charge_period_start: date_text(row.day("charge_period_start")?),
            charge_period_end: date_text(row.day("charge_period_end")?),
            quantity: row.decimal::<Quantity>("quantity")?.to_string(),
            unit: row.text("unit")?.to_owned(),
            unit_price: row.decimal::<UnitPrice>("contracted_unit_price")?.to_text(2),
            unit_price_per: row.decimal::<Quantity>("unit_price_per")?.to_string(),
            contracted_cost: row.decimal::<Cost>("contracted_cost")?.to_text(2),
            fees,
            term_reference: self.term_reference(row)?,
            origin,
            issued_total: (!issued.is_empty()).then(|| issued_total.to_text(places)),
            issued,
            price_currency,
            exchange,
            net_amount: row.decimal::<Amount>("net_amount")?.to_text(places),
            currency: row.text("currency")?.to_owned(),
            charge_category: row.text("charge_category")?.to_owned(),
            component: row.text("component")?.to_owned(),
            charge_kind: charge_kind.to_owned(),
            allowances,
            remaining_amount: remaining.to_text(places),
            tax: row.text("tax_treatment")?.to_owned(),
            tax_rules,
            prices,
            resources,
            windows,
            window_count,
            files,
        })
    }

    /// The fees of a line without usage.
    async fn fees(&self, line: Parameters) -> Result<Vec<ExplainedFee>, Failure> {
        let mut fees = Vec::new();
        for fee in rows::each(&self.books.session.run("report/line_purchase", line).await?) {
            let rule = fee.text("rule_id")?;
            let end = fee.day("charge_period_end")?;
            let reservation =
                self.rules().and_then(|rules| rules.reservations.iter().find(|reservation| reservation.id == rule));
            fees.push(ExplainedFee {
                rule: rule.to_owned(),
                place: format!("{}:{}", fee.text("rule_file")?, fee.number("rule_line")?),
                term_reference: reservation.map(terms::of_reservation),
                resource: fee.text("resource_id")?.to_owned(),
                charge_period_start: date_text(fee.day("charge_period_start")?),
                charge_period_end: date_text(end),
                last_day: date_text(end - 1),
                quantity: fee.decimal::<Quantity>("quantity")?.to_string(),
                cost: fee.decimal::<Cost>("contracted_cost")?.to_text(2),
                reason: fee.optional_text("reason")?.map(str::to_owned),
                approved_by: fee.optional_text("approved_by")?.map(str::to_owned),
            });
        }
        Ok(fees)
    }

    /// The shares of a line in discounts and credits, and the remaining amount.
    fn allowances_of(
        &self,
        line_number: i64,
        net_amount: Amount,
    ) -> Result<(Vec<ExplainedAllowance>, Amount), Failure> {
        let mut remaining = net_amount;
        let mut allowances = Vec::new();
        for share in rows::each(&self.allowance_share) {
            if share.text("invoice_number")? != self.number || share.number("line_number")? != line_number {
                continue;
            }
            let amount: Amount = share.decimal("amount")?;
            remaining = remaining.checked_sub(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            let allowance_number = share.number("allowance_number")?;
            for allowance in rows::each(&self.allowance) {
                if allowance.text("invoice_number")? == self.number
                    && allowance.number("allowance_number")? == allowance_number
                {
                    let places = places_of_code(allowance.text("currency")?);
                    let percent = allowance.optional_decimal::<Percent>("percent")?;
                    let (term, kind) = (allowance.text("term_id")?, allowance.text("kind")?);
                    allowances.push(ExplainedAllowance {
                        term_reference: self.rules().and_then(|rules| terms::of_allowance(rules, term, kind)),
                        term: term.to_owned(),
                        description: allowance.text("description")?.to_owned(),
                        percent: percent.map(|percent| percent.to_string()),
                        base_amount: allowance.decimal::<Amount>("base_amount")?.to_text(places),
                        amount: allowance.decimal::<Amount>("amount")?.to_text(places),
                        share_of_line: amount.to_text(places),
                    });
                }
            }
        }
        Ok((allowances, remaining))
    }

    /// The exchange rate from the price to the invoice. The rate of the seller's currency is taken from the document,
    /// because a restatement may use another rate than the close.
    fn exchange_of(&self, price_currency: &str, currency: &str) -> Result<Option<String>, Failure> {
        let mut rates = Vec::new();
        let mut is_correction = false;
        for invoice in rows::each(&self.invoice) {
            if invoice.text("invoice_number")? != self.number {
                continue;
            }
            is_correction = invoice.optional_text("correction_reason")?.is_some();
            if invoice.text("seller_currency")? == price_currency {
                rates.push(invoice);
            }
        }
        // The relation contains the rates of the close. A correction may have used other rates, so the relation is not
        // used for corrections.
        for rate in rows::each(&self.exchange_rate).filter(|_| !is_correction) {
            if (rate.text("price_currency")?, rate.text("currency")?) == (price_currency, currency) {
                rates.push(rate);
            }
        }
        let Some(rate) = rates.first() else { return Ok(None) };
        let Some(base) = rate.optional_text("exchange_base")? else { return Ok(None) };
        let published = rate.decimal::<UnitPrice>("exchange_rate")?;
        let (quote, day) = (rate.text("exchange_quote")?, date_of(rate.day("exchange_rate_date")?));
        Ok(Some(format!("1 {base} = {published} {quote} of {day}")))
    }

    /// The fee or minimum spend of a line.
    fn term_reference(&self, line: Row<'_>) -> Result<Option<TermReference>, Error> {
        let term = line.optional_text("term_id")?;
        let component = line.text("component")?;
        Ok(term.and_then(|term| terms::of_line(self.rules()?, component, term)))
    }

    /// The `[[tax]]` of the rules with a treatment, for the profile of the account. Several taxes can have the same
    /// treatment, such as one for each country.
    fn tax_rules(&self, treatment: &str) -> Result<Vec<TermReference>, Error> {
        self.tax_rules_where(|rule| rule.treatment.text() == treatment)
    }

    fn origin_of(&self, number: &str, line_number: i64) -> Result<Option<ExplainedOrigin>, Error> {
        for row in rows::each(&self.line_reference) {
            if row.text("invoice_number")? == number && row.number("line_number")? == line_number {
                let text = |name| row.optional_text(name).map(|text| text.map(str::to_owned));
                return Ok(Some(ExplainedOrigin {
                    carried_from: text("carried_from")?,
                    corrected_period: text("corrected_period")?,
                    corrected_document: text("corrected_document")?,
                    reason: text("reason")?,
                }));
            }
        }
        Ok(None)
    }

    /// The same line on every document of its period; the sum is the total charge for its usage.
    fn issued_parts(&self, line: Row<'_>) -> Result<Vec<IssuedPart>, Error> {
        const TEXTS: [&str; 10] = [
            "account_id",
            "service",
            "component",
            "sku",
            "description",
            "line_by",
            "charge_kind",
            "unit",
            "price_currency",
            "currency",
        ];
        let is_alike = |other: Row<'_>| -> Result<bool, Error> {
            for name in TEXTS {
                if other.text(name)? != line.text(name)? {
                    return Ok(false);
                }
            }
            let has_price = !line.text("unit")?.is_empty();
            let price = |row: Row<'_>| -> Result<_, Error> {
                Ok((row.units("contracted_unit_price")?, row.units("unit_price_per")?))
            };
            Ok(other.optional_text("project_id")? == line.optional_text("project_id")?
                && other.units("tier_start")? == line.units("tier_start")?
                && (!has_price || price(other)? == price(line)?))
        };
        let mut parts = Vec::new();
        for other in rows::each(&self.invoice_line) {
            if other.text("charge_category")? == line.text("charge_category")? && is_alike(other)? {
                let places = places_of_code(other.text("currency")?);
                parts.push(IssuedPart {
                    invoice: other.text("invoice_number")?.to_owned(),
                    line: other.number("line_number")?,
                    net_amount: other.decimal::<Amount>("net_amount")?.to_text(places),
                    units: other.decimal("net_amount")?,
                });
            }
        }
        // The original is first; corrections follow in the order of their numbers.
        let is_original = |part: &IssuedPart| self.origin_of(&part.invoice, part.line).map(|origin| origin.is_none());
        let mut ordered = Vec::new();
        for part in parts {
            ordered.push((!is_original(&part)?, part));
        }
        ordered.sort_by(|left, right| (left.0, &left.1.invoice).cmp(&(right.0, &right.1.invoice)));
        Ok(ordered.into_iter().map(|(_, part)| part).collect())
    }
}

/// The resources of a line.
fn resources_of(usage: &[RecordBatch], price_of_row: &[usize]) -> Result<Vec<ExplainedResource>, Error> {
    let mut resources = Vec::new();
    for (used, price) in rows::each(usage).zip(price_of_row) {
        let last = used.day("last_date")?;
        resources.push(ExplainedResource {
            resource: used.text("resource_id")?.to_owned(),
            meter: used.text("meter")?.to_owned(),
            description: used.text("description")?.to_owned(),
            price: *price,
            charge_period_start: date_text(used.day("first_date")?),
            charge_period_end: date_text(last + 1),
            last_day: date_text(last),
            quantity: used.decimal::<Quantity>("pricing_quantity")?.to_string(),
            cost: used.decimal::<Cost>("contracted_cost")?.to_text(2),
        });
    }
    Ok(resources)
}
