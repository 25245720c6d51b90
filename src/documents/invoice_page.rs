//! The contents of invoice pages, from rows.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::page_inputs::{PageInputs, ProjectKey, ProjectRows, exchange_rate, generated_by, project_of};
use super::relations::Relations;
use super::usage_report_page::report_path;
use crate::documents::render::{
    AllowanceLine, Buyer, DataNote, DocumentKind, Exchange, FactoredPrice, InvoiceLine, InvoicePage, Issued, LineBy,
    LineCorrection, LineTax, OneOff, PrecedingDocument, Prepaid, PriceExchange, Project, ReplacedDocument,
    TaxBreakdown, invoice_json,
};
use crate::error::Error;
use crate::model::account::Account;
use crate::model::config::Seller;
use crate::model::issue::{Issue, IssuedDocument};
use crate::model::money::{Amount, Percent, Quantity, UnitPrice, places_of_code};
use crate::model::one_off_charge::{ONE_OFF, charge_id_of};
use crate::model::period::date_of;
use crate::model::tax::TaxTreatment;
use crate::model::terms::{CARRIED_FORWARD, SKIPPED};
use crate::rows::taxes::{treatment_of, treatments};
use crate::rows::{self, Row};

pub(super) fn invoices(
    inputs: &PageInputs<'_>,
    relations: &Relations,
    projects: &BTreeMap<ProjectKey<'_>, ProjectRows<'_>>,
) -> Result<Vec<InvoicePage>, Error> {
    let mut documents: BTreeMap<&str, DocumentParts> = BTreeMap::new();
    let mut references = BTreeMap::new();
    for row in rows::each(&relations.line_reference) {
        references.insert((row.text("invoice_number")?, row.number("line_number")?), row);
    }
    let mut reasons = BTreeMap::new();
    // Only the reason of a compensation is for the buyer.
    for row in rows::each(&relations.one_off_charge) {
        let reason = row.optional_text("reason")?;
        if row.units("quantity")? < 0 {
            reasons.insert(row.text("charge_id")?, reason);
        }
    }
    let mut factored_prices = BTreeMap::new();
    for row in rows::each(&relations.factored_price) {
        let price = FactoredPrice {
            base_unit_price: shown_price(row.decimal("base_unit_price")?),
            factor: row.decimal::<UnitPrice>("factor")?.to_string(),
            currency: row.text("price_currency")?.to_owned(),
        };
        factored_prices.insert(price_key(row)?, price);
    }
    let treatments = treatments(&relations.applied_tax)?;
    for row in rows::each(&relations.invoice_line) {
        let amounts = Amounts::of(row.text("currency")?);
        let account_id = row.text("account_id")?;
        let project = row.optional_text("project_id")?.map(|id| project_of(id, account_id, projects)).transpose()?;
        let mut line = invoice_line(row, project, amounts)?;
        line.taxes = line_taxes(treatment_of(row, &treatments)?);
        line.one_off = one_off(row, &reasons)?;
        line.factored_price = factored_prices.get(&price_key(row)?).cloned();
        if let Some(reference) = references.get(&(row.text("invoice_number")?, row.number("line_number")?)) {
            line.correction = line_correction(row, *reference)?;
        }
        documents.entry(row.text("invoice_number")?).or_default().lines.push(line);
    }
    for row in rows::each(&relations.allowance) {
        let amounts = Amounts::of(row.text("currency")?);
        let percent: Option<Percent> = row.optional_decimal("percent")?;
        documents.entry(row.text("invoice_number")?).or_default().allowances.push(AllowanceLine {
            kind: row.text("kind")?.to_owned(),
            description: row.text("description")?.to_owned(),
            percent: percent.map(|percent| percent.to_string()),
            taxes: line_taxes(treatment_of(row, &treatments)?),
            amount: amounts.text(row.decimal("amount")?),
        });
    }
    let mut pages = Vec::new();
    for row in rows::each(&relations.invoice) {
        let number = row.text("invoice_number")?;
        let amounts = Amounts::of(row.text("currency")?);
        let mut parts = documents.remove(number).unwrap_or_default();
        for tax in rows::each(&relations.tax_breakdown) {
            if tax.text("invoice_number")? == number {
                parts.taxes.push(TaxBreakdown {
                    name: tax.text("tax_name")?.to_owned(),
                    category: tax.text("tax_category")?.to_owned(),
                    rate: tax.decimal::<Percent>("tax_rate")?.to_string(),
                    is_compound: tax.flag("is_compound")?,
                    taxable_amount: amounts.text(tax.decimal("taxable_amount")?),
                    tax_amount: amounts.text(tax.decimal("tax_amount")?),
                    exemption_reason: tax.optional_text("exemption_reason")?.map(str::to_owned),
                });
            }
        }
        for paid in rows::each(&relations.prepayment) {
            if paid.text("invoice_number")? == number {
                let description = paid.text("description")?.to_owned();
                parts.prepayments.push(Prepaid { description, amount: amounts.text(paid.decimal("amount")?) });
            }
        }
        parts.price_exchanges = price_exchanges(relations, row)?;
        pages.push(invoice_page(inputs, row, parts, projects)?);
    }
    for page in pages.iter_mut().filter(|page| page.document_kind == DocumentKind::CreditNote) {
        negate_amounts(page);
    }
    // Every line of a cancellation has the same reference, which the head of the page shows.
    let is_cancellation = |page: &&mut InvoicePage| page.issued.as_ref().is_some_and(|issued| issued.cancels.is_some());
    for page in pages.iter_mut().filter(is_cancellation) {
        page.lines.iter_mut().for_each(|line| line.correction = None);
    }
    Ok(pages)
}

/// The columns of a line and of `factored_price` that determine the parts of a unit price.
type PriceKey<'a> = ([&'a str; 5], Option<&'a str>, UnitPrice);

fn price_key(row: Row<'_>) -> Result<PriceKey<'_>, Error> {
    let texts = ["account_id", "component", "sku", "line_by", "price_currency"];
    let [account_id, component, sku, line_by, currency] = texts.map(|name| row.text(name));
    let texts = [account_id?, component?, sku?, line_by?, currency?];
    Ok((texts, row.optional_text("project_id")?, row.decimal("contracted_unit_price")?))
}

/// Negates the amounts of a credit note. These amounts are negative in the ledger and positive on the document.
fn negate_amounts(page: &mut InvoicePage) {
    fn negated(text: &mut String) {
        *text = match text.strip_prefix('-') {
            Some(positive) => positive.to_owned(),
            None if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) => return,
            None => format!("-{text}"),
        };
    }
    for line in &mut page.lines {
        negated(&mut line.quantity);
        negated(&mut line.net_amount);
    }
    for allowance in &mut page.allowances {
        negated(&mut allowance.amount);
    }
    for prepaid in &mut page.prepayments {
        negated(&mut prepaid.amount);
    }
    for tax in &mut page.tax_breakdown {
        negated(&mut tax.taxable_amount);
        negated(&mut tax.tax_amount);
    }
    if let Some(exchange) = &mut page.exchange {
        negated(&mut exchange.tax_in_seller_currency);
    }
    let totals = [&mut page.line_total, &mut page.total_without_tax, &mut page.total_tax, &mut page.total_with_tax];
    for total in totals.into_iter().chain([&mut page.amount_due]) {
        negated(total);
    }
}

/// Sets the digest of the previous document in each issued document.
pub(super) fn set_previous_digests(issue: &Issue, pages: &mut [InvoicePage]) -> Result<(), Error> {
    let mut previous = issue.previous_sha256.clone();
    for document in &issue.documents {
        let page = pages.iter_mut().find(|page| page.number == document.number.number);
        let page = page.ok_or(Error::Internal("a document that is issued has no page"))?;
        if let Some(issued) = &mut page.issued {
            issued.previous_document_sha256 = previous;
        }
        previous = Some(hex::encode(Sha256::digest(invoice_json(page)?)));
    }
    Ok(())
}

/// The exchange rates that a document uses for its prices. The rate of the seller's currency is not included, because
/// the page shows it with the tax.
fn price_exchanges(relations: &Relations, invoice: Row<'_>) -> Result<Vec<PriceExchange>, Error> {
    let (number, currency) = (invoice.text("invoice_number")?, invoice.text("currency")?);
    let mut of_prices = BTreeSet::new();
    for line in rows::each(&relations.invoice_line) {
        if line.text("invoice_number")? == number {
            of_prices.insert(line.text("price_currency")?);
        }
    }
    let mut found = Vec::new();
    for price_currency in of_prices {
        let Some(rate) = exchange_rate(relations, price_currency, currency)? else { continue };
        let Some(base) = rate.optional_text("exchange_base")? else { continue };
        if price_currency != invoice.text("seller_currency")? {
            found.push(PriceExchange {
                base: base.to_owned(),
                quote: rate.text("exchange_quote")?.to_owned(),
                rate: rate.decimal::<UnitPrice>("exchange_rate")?.to_string(),
                date: date_of(rate.day("exchange_rate_date")?),
            });
        }
    }
    Ok(found)
}

/// The formatter of amounts with the decimal places of a currency. Amounts in relations have four decimal places.
#[derive(Clone, Copy, Debug)]
struct Amounts {
    places: u32,
}

impl Amounts {
    fn of(currency: &str) -> Self {
        Self { places: places_of_code(currency) }
    }

    fn text(self, amount: Amount) -> String {
        amount.to_text(self.places)
    }
}

/// The parts of one document.
#[derive(Debug, Default)]
struct DocumentParts {
    lines: Vec<InvoiceLine>,
    allowances: Vec<AllowanceLine>,
    taxes: Vec<TaxBreakdown>,
    prepayments: Vec<Prepaid>,
    price_exchanges: Vec<PriceExchange>,
}

fn invoice_line(row: Row<'_>, project: Option<Project>, amounts: Amounts) -> Result<InvoiceLine, Error> {
    let per: Quantity = row.decimal("unit_price_per")?;
    let charge_kind = row.text("charge_kind")?;
    // The id of a one-off charge is in the charge itself.
    let mut line_by = if charge_kind == ONE_OFF { Vec::new() } else { line_by(row.text("line_by")?) };
    // The template translates the texts that the program wrote, by the kind of the line.
    let is_named_by_kind = matches!(charge_kind, CARRIED_FORWARD | "brought_forward");
    let is_of_program = is_named_by_kind || matches!(charge_kind, "discount" | "overage");
    let is_own_adjustment = is_of_program && row.text("charge_category")? == "Adjustment";
    let service = if is_own_adjustment { None } else { Some(row.text("service")?.to_owned()) };
    let description = if is_named_by_kind { "" } else { row.text("description")? };
    let tier_start: Quantity = row.decimal("tier_start")?;
    if !tier_start.is_zero() {
        line_by.push(LineBy { name: "above".to_owned(), value: tier_start.to_string() });
    }
    // A line without a unit has only a net amount.
    let has_price = !row.text("unit")?.is_empty();
    Ok(InvoiceLine {
        number: u32::try_from(row.number("line_number")?).unwrap_or(u32::MAX),
        project,
        sku: row.text("sku")?.to_owned(),
        service,
        description: description.to_owned(),
        line_by,
        charge_kind: Some(charge_kind.to_owned()).filter(|kind| !matches!(kind.as_str(), "" | "usage" | "percent")),
        charge_period_start: date_of(row.day("charge_period_start")?),
        charge_period_end: date_of(row.day("charge_period_end")?),
        quantity: row.decimal::<Quantity>("quantity")?.to_string(),
        unit: row.text("unit")?.to_owned(),
        unit_price: if has_price { Some(shown_price(row.decimal("unit_price")?)) } else { None },
        unit_price_per: (per != Quantity::from_integer(1)).then(|| per.to_string()),
        factored_price: None,
        net_amount: amounts.text(row.decimal("net_amount")?),
        taxes: Vec::new(),
        one_off: None,
        correction: None,
    })
}

/// The one-off charge of a line. The buyer reads the reason of a compensation only.
fn one_off(line: Row<'_>, reasons: &BTreeMap<&str, Option<&str>>) -> Result<Option<OneOff>, Error> {
    let id = charge_id_of(line.text("line_by")?).filter(|_| line.text("charge_kind").is_ok_and(|kind| kind == ONE_OFF));
    let Some(id) = id else { return Ok(None) };
    let reason = reasons.get(id).copied().flatten();
    let date = date_of(line.day("charge_period_start")?);
    Ok(Some(OneOff { id: id.to_owned(), date, reason: reason.map(str::to_owned) }))
}

fn line_taxes(treatment: &TaxTreatment) -> Vec<LineTax> {
    let category = treatment.category.code();
    let taxes = treatment.taxes.iter();
    let taxes = taxes.map(|tax| (tax.name.clone(), tax.rate.to_string()));
    taxes.map(|(name, rate)| LineTax { name, category: category.to_owned(), rate }).collect()
}

fn line_correction(line: Row<'_>, reference: Row<'_>) -> Result<Option<LineCorrection>, Error> {
    let Some(reason) = reference.optional_text("reason")? else { return Ok(None) };
    let document = match (reference.optional_text("corrected_document")?, reference.optional_day("corrected_on")?) {
        (Some(number), Some(day)) => Some(PrecedingDocument { number: number.to_owned(), issue_date: date_of(day) }),
        _ => None,
    };
    Ok(Some(LineCorrection {
        charge_period_start: date_of(line.day("charge_period_start")?),
        charge_period_end: date_of(line.day("charge_period_end")?),
        document,
        reason: reason.to_owned(),
    }))
}

fn invoice_page(
    inputs: &PageInputs<'_>,
    row: Row<'_>,
    parts: DocumentParts,
    projects: &BTreeMap<ProjectKey<'_>, ProjectRows<'_>>,
) -> Result<InvoicePage, Error> {
    let amounts = Amounts::of(row.text("currency")?);
    let amount = |name| row.decimal(name).map(|amount| amounts.text(amount));
    let account_id = row.text("account_id")?;
    let account = inputs.account_of(row)?.cloned().unwrap_or_default();
    let project = row.optional_text("project_id")?.map(|id| project_of(id, account_id, projects)).transpose()?;
    let has_report = |id: &str| projects.get(&(Some(id), Some(account_id))).is_some_and(|one| one.summary.is_some());
    let reported = project.as_ref().filter(|project| has_report(&project.id));
    let path = reported.map(|project| report_path(Some(account_id), Some(&project.id)));
    let usage_report = path.and_then(|path| path.rsplit('/').next().map(str::to_owned));
    let unrated = unrated_rows(account_id, project.as_ref(), &parts.lines, projects);
    let sold_by = row.optional_text("sold_by")?;
    let seller = seller_of_document(inputs, row.text("invoice_number")?, sold_by, &account);
    let issue = inputs.issue;
    let issued = issue.and_then(|issue| Some((issue, issue.document(row.text("invoice_number").ok()?)?)));
    let issue_date = issued.map(|(issue, _)| issue.date);
    let (start, end, hours) = inputs.service_period(&account);
    Ok(InvoicePage {
        document_kind: document_kind_of(row)?,
        number: row.text("invoice_number")?.to_owned(),
        issue_date,
        due_date: issued.and_then(|(_, document)| document.due_date),
        issued: issued.map(|(issue, document)| issued_part(issue, document)),
        tax_point: date_of(row.day("tax_point")?),
        billing_period_start: start,
        billing_period_end: end,
        time_zone: inputs.context.config.time_zone.clone(),
        hours_in_period: hours,
        language: account.language.unwrap_or_else(|| inputs.context.config.language.clone()),
        currency: row.text("currency")?.to_owned(),
        seller,
        sold_by: sold_by.map(str::to_owned),
        buyer: Buyer {
            account_id: account_id.to_owned(),
            name: row.optional_text("account_name")?.unwrap_or(account_id).to_owned(),
            address: account.address,
            country: account.country,
            vat_id: row.optional_text("buyer_vat_id")?.map(str::to_owned),
            email: account.email,
            purchase_order: account.purchase_order,
            cost_centres: account.cost_centres,
        },
        project,
        usage_report,
        lines: parts.lines,
        line_total: amount("line_total")?,
        allowances: parts.allowances,
        tax_breakdown: parts.taxes,
        total_without_tax: amount("total_without_tax")?,
        total_tax: amount("tax_amount")?,
        total_with_tax: amount("total_with_tax")?,
        prepayments: parts.prepayments,
        amount_due: amount("amount_due")?,
        exchange: exchange_of(row)?,
        price_exchanges: parts.price_exchanges,
        data_notes: data_notes(&unrated)?,
        generated_by: generated_by(),
    })
}

/// The data of an issued document, with the document that it corrects, cancels or replaces.
fn issued_part(issue: &Issue, document: &IssuedDocument) -> Issued {
    let earlier = document.corrects.clone().map(|(number, issue_date)| PrecedingDocument { number, issue_date });
    let (mut cancels, mut replaces, mut corrects) = (None, None, None);
    match (&document.cancelled_by, &document.remark, earlier) {
        (Some(credit_note), _, Some(PrecedingDocument { number, issue_date })) => {
            replaces = Some(ReplacedDocument { number, issue_date, cancelled_by: credit_note.clone() });
        }
        (None, Some(_), earlier) => cancels = earlier,
        (_, _, earlier) => corrects = earlier,
    }
    let (reason, remark) = (document.reason.clone(), document.remark.clone());
    let previous_document_sha256 = issue.previous_sha256.clone();
    Issued { corrects, cancels, replaces, reason, remark, previous_document_sha256 }
}

/// The rows of usage without a price in the projects of a document.
fn unrated_rows<'a>(
    account_id: &str,
    project: Option<&Project>,
    lines: &[InvoiceLine],
    projects: &BTreeMap<ProjectKey<'_>, ProjectRows<'a>>,
) -> Vec<Row<'a>> {
    let of_document: Vec<&str> = match project {
        Some(project) => vec![project.id.as_str()],
        None => {
            let mut ids: Vec<&str> =
                lines.iter().filter_map(|line| line.project.as_ref()).map(|project| project.id.as_str()).collect();
            ids.dedup();
            ids
        }
    };
    of_document
        .iter()
        .filter_map(|id| projects.get(&(Some(*id), Some(account_id))))
        .flat_map(|project| project.unrated.iter().copied())
        .collect()
}

/// The exchange rate of a document, and its tax in the seller's currency.
fn exchange_of(invoice: Row<'_>) -> Result<Option<Exchange>, Error> {
    let Some(base) = invoice.optional_text("exchange_base")? else { return Ok(None) };
    let seller_currency = invoice.text("seller_currency")?;
    Ok(Some(Exchange {
        base: base.to_owned(),
        quote: invoice.text("exchange_quote")?.to_owned(),
        rate: invoice.decimal::<UnitPrice>("exchange_rate")?.to_string(),
        date: date_of(invoice.day("exchange_rate_date")?),
        seller_currency: seller_currency.to_owned(),
        tax_in_seller_currency: Amounts::of(seller_currency).text(invoice.decimal("tax_amount_in_seller_currency")?),
    }))
}

/// The seller of a document, with the payment terms of the account.
fn seller_of_document(inputs: &PageInputs<'_>, number: &str, sold_by: Option<&str>, account: &Account) -> Seller {
    let mut seller = match sold_by.and_then(|id| inputs.party(number, id)) {
        Some(reseller) => Seller {
            name: reseller.name.clone(),
            address: reseller.address.clone(),
            country: reseller.country.clone(),
            vat_id: reseller.vat_id.clone(),
            email: reseller.email.clone(),
            ..Seller::default()
        },
        None => inputs.configured_seller(number).clone(),
    };
    if account.payment_terms.is_some() {
        seller.payment_terms.clone_from(&account.payment_terms);
    }
    seller
}

fn document_kind_of(invoice: Row<'_>) -> Result<DocumentKind, Error> {
    Ok(match invoice.text("document_kind")? {
        CARRIED_FORWARD => DocumentKind::CarriedForward,
        SKIPPED => DocumentKind::Skipped,
        "invoice" => DocumentKind::Invoice,
        "credit_note" => DocumentKind::CreditNote,
        _ => DocumentKind::DraftInvoice,
    })
}

/// A unit price with at least two decimal places.
fn shown_price(price: UnitPrice) -> String {
    price.to_text(2)
}

/// The name and value pairs in a text such as `flavor=m1.small; zone=a`.
fn line_by(text: &str) -> Vec<LineBy> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some(LineBy { name: name.to_owned(), value: value.to_owned() })
    };
    text.split("; ").filter_map(pair).collect()
}

/// The notes about usage without a price, which is not on the invoice.
fn data_notes(unrated: &[Row<'_>]) -> Result<Vec<DataNote>, Error> {
    let mut by_meter: BTreeMap<(&str, &str), (Quantity, usize)> = BTreeMap::new();
    for row in unrated {
        let sum = by_meter.entry((row.text("meter")?, row.text("unit")?)).or_default();
        sum.0 = sum.0.checked_add(row.decimal("quantity")?).ok_or(Error::QUANTITY_OVERFLOW)?;
        sum.1 += 1;
    }
    let note = |((meter, unit), (quantity, resources)): ((&str, &str), (Quantity, usize))| {
        let (meter, unit, quantity) = (meter.to_owned(), unit.to_owned(), quantity.to_string());
        DataNote { meter, quantity, unit, resource_count: resources as u64 }
    };
    Ok(by_meter.into_iter().map(note).collect())
}
