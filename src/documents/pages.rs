//! Fills pages with rows. No amount is computed here but sums for the eye of what the reader sees as one.

use crate::documents::sheet::Draft;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::relations::Relations;
use super::sheet::Sheet;
use crate::documents::render::{
    AllowanceLine, Buyer, CurrencyTotal, DailyCost, DataNote, DocumentKind, Exchange, File, IndexPage, IndexedProject,
    InvoiceLine, InvoiceLink, InvoicePage, InvoiceSummary, InvoicingStatus, Issued, Label, LineBy, LineCorrection,
    OtherResources, PrecedingDocument, Prepaid, PriceExchange, Project, RecordCounts, RejectedRecords, ResourceCost,
    ServiceCost, SkuCost, TaxBreakdown, UnratedUsage, UnratedUsageSummary, UsageCounts, UsageReportPage, invoice_json,
};
use crate::error::Error;
use crate::model::account::Account;
use crate::model::config::Seller;
use crate::model::issue::Issue;
use crate::model::money::{Amount, Cost, Decimal, Quantity, UnitPrice, places_of_code};
use crate::model::period::{BillingPeriod, date_of};
use crate::model::summary::{CurrencySummary, Summary, SuspendedAccountSummary};
use crate::model::terms::CARRIED_FORWARD;
use crate::rows::{self, Row};
use crate::run::Context;
use crate::storage::layout::{UNATTRIBUTED, file_name};

/// Resources that a usage report names one by one; the rest is put together.
const TOP_RESOURCES: usize = 10;

fn generated_by() -> String {
    concat!("Conto ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn directory_of(account_id: Option<&str>) -> String {
    account_id.map_or_else(|| UNATTRIBUTED.to_owned(), file_name)
}

fn report_path(account_id: Option<&str>, project_id: Option<&str>) -> String {
    let name = project_id.map_or_else(|| UNATTRIBUTED.to_owned(), file_name);
    format!("{}/usage-{name}.html", directory_of(account_id))
}

fn invoice_path(account_id: &str, number: &str, ending: &str) -> String {
    format!("{}/{}.{ending}", file_name(account_id), file_name(number))
}

/// A project and who pays for it.
type Paid<'a> = (Option<&'a str>, Option<&'a str>);

/// What belongs to one project of one account.
#[derive(Debug, Default)]
struct ProjectRows<'a> {
    summary: Option<Row<'a>>,
    service_days: Vec<Row<'a>>,
    skus: Vec<Row<'a>>,
    resources: Vec<Row<'a>>,
    unrated: Vec<Row<'a>>,
}

/// Everything that every page of a period says.
struct Shared<'a> {
    context: &'a Context,
    issue: Option<&'a Issue>,
    start: Date,
    end: Date,
    hours: u32,
    currency: String,
}

impl Shared<'_> {
    /// The account that gets an invoice. A project that only has the same id as an account has no name for it.
    fn account_of(&self, invoice: Row<'_>) -> Result<Option<&Account>, Error> {
        let is_account = invoice.optional_text("account_name")?.is_some();
        let account = self.context.account(invoice.text("account_id")?);
        Ok(account.filter(|_| is_account))
    }
}

/// All pages of the period.
pub(super) fn sheets(context: &Context, issue: Option<&Issue>, relations: &Relations) -> Result<Vec<Sheet>, Error> {
    let mut calendar = context.calendar();
    let shared = Shared {
        context,
        issue,
        start: context.period.start(),
        end: context.period.end(),
        hours: u32::try_from(calendar.seconds_in(context.period) / 3600).unwrap_or(0),
        currency: context.config.currency.code().to_owned(),
    };
    let projects = by_project(relations)?;
    let labels = labels_by_stream(relations)?;
    let mut invoices = invoices(&shared, relations, &projects)?;
    if let Some(issue) = issue {
        chain(issue, &mut invoices)?;
    }
    let mut sheets = Vec::new();
    // What was issued before stays as it is.
    let is_drawn = |page: &&InvoicePage| issue.is_none_or(|issue| issue.document(&page.number).is_some());
    for page in invoices.iter().filter(is_drawn) {
        let account_id = &page.buyer.account_id;
        let html = invoice_path(account_id, &page.number, "html");
        let json = invoice_path(account_id, &page.number, "json");
        sheets.push(sheet(html, page, Draft::Invoice(Box::new(page.clone())))?);
        sheets.push(sheet(json, page, Draft::InvoiceJson(Box::new(page.clone())))?);
    }
    let mut indexed = Vec::new();
    // Usage without a project comes last, as it does in every list.
    let (named, unnamed): (Vec<_>, Vec<_>) = projects.iter().partition(|((project_id, _), _)| project_id.is_some());
    for ((project_id, account_id), of_project) in named.into_iter().chain(unnamed) {
        let Some(summary) = of_project.summary else { continue };
        let of_account = invoices.iter().filter(|page| Some(page.buyer.account_id.as_str()) == *account_id);
        let invoice = of_account.into_iter().find(|page| match (&page.project, project_id) {
            (Some(project), Some(id)) => project.id == *id,
            // An invoice for all projects of an account.
            (None, Some(id)) => page.lines.iter().any(|line| line.project.as_ref().is_some_and(|of| of.id == *id)),
            (_, None) => false,
        });
        let page = usage_report(&shared, summary, of_project, invoice, &labels)?;
        let path = report_path(page.account_id.as_deref(), *project_id);
        indexed.push(IndexedProject {
            project: page.project.clone(),
            account_id: page.account_id.clone(),
            account_name: page.account_name.clone(),
            status: page.status,
            invoice: invoice.map(summary_of),
            usage_report_path: Some(path.clone()),
            contracted_cost: page.contracted_cost.to_string(),
            currency: shared.currency.clone(),
        });
        sheets.push(sheet(path, &page.clone(), Draft::UsageReport(Box::new(page)))?);
    }
    for page in invoices.iter().filter(|page| page.project.is_none()) {
        if !indexed.iter().any(|row| row.invoice.as_ref().is_some_and(|invoice| invoice.number == page.number)) {
            indexed.push(of_the_whole_account(&shared, relations, page)?);
        }
    }
    let index = index(&shared, relations, indexed)?;
    sheets.push(sheet("index.html".to_owned(), &index.clone(), Draft::Index(Box::new(index)))?);
    Ok(sheets)
}

/// A document on which no project stands: what an account owes as a whole.
fn of_the_whole_account(
    shared: &Shared<'_>,
    relations: &Relations,
    page: &InvoicePage,
) -> Result<IndexedProject, Error> {
    let mut cost = Cost::ZERO;
    for line in rows::each(&relations.invoice_line) {
        if line.text("invoice_number")? == page.number {
            // A price without a rate to the seller's currency costs nothing there, as in every report.
            let Some(rate) = exchange_rate(relations, line.text("price_currency")?, &shared.currency)? else {
                continue;
            };
            let (multiplier, divisor) = (rate.units("multiplier")?, rate.units("divisor")?);
            let converted =
                line.decimal::<18>("contracted_cost")?.scaled(multiplier, divisor, 18).ok_or(Error::COST_OVERFLOW)?;
            cost = cost.checked_add(converted).ok_or(Error::COST_OVERFLOW)?;
        }
    }
    Ok(IndexedProject {
        project: None,
        account_id: Some(page.buyer.account_id.clone()),
        account_name: Some(page.buyer.name.clone()),
        status: if page.sold_by.is_some() { InvoicingStatus::Retail } else { InvoicingStatus::Invoiced },
        invoice: Some(summary_of(page)),
        usage_report_path: None,
        contracted_cost: cost.to_string(),
        currency: shared.currency.clone(),
    })
}

/// The one rate of the period for two currencies.
fn exchange_rate<'a>(relations: &'a Relations, from: &str, to: &str) -> Result<Option<Row<'a>>, Error> {
    for row in rows::each(&relations.exchange_rate) {
        if row.text("price_currency")? == from && row.text("currency")? == to {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The rates at which prices of a document became its amounts, but for that of the seller's currency, which stands
/// with the tax.
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
                rate: rate.decimal::<12>("exchange_rate")?.to_string(),
                date: date_of(rate.day("exchange_rate_date")?),
            });
        }
    }
    Ok(found)
}

fn summary_of(page: &InvoicePage) -> InvoiceSummary {
    InvoiceSummary {
        number: page.number.clone(),
        path: invoice_path(&page.buyer.account_id, &page.number, "html"),
        currency: page.currency.clone(),
        total_without_tax: page.total_without_tax.clone(),
        total_tax: page.total_tax.clone(),
        total_with_tax: page.total_with_tax.clone(),
    }
}

fn sheet(name: String, page: &impl serde::Serialize, draft: Draft) -> Result<Sheet, Error> {
    let failed = |source: serde_json::Error| Error::Document { what: name.clone(), source: Box::new(source) };
    // A page is drawn from its content, by the templates of this version.
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(serde_json::to_vec(page).map_err(failed)?);
    Ok(Sheet { name, drawn_from: hex::encode(hasher.finalize()), draft })
}

fn by_project(relations: &Relations) -> Result<BTreeMap<Paid<'_>, ProjectRows<'_>>, Error> {
    let mut projects: BTreeMap<Paid<'_>, ProjectRows<'_>> = BTreeMap::new();
    for row in rows::each(&relations.project_summary) {
        projects.entry(paid(row)?).or_default().summary = Some(row);
    }
    for row in rows::each(&relations.service_day) {
        projects.entry(paid(row)?).or_default().service_days.push(row);
    }
    for row in rows::each(&relations.sku_cost) {
        projects.entry(paid(row)?).or_default().skus.push(row);
    }
    for row in rows::each(&relations.resource_cost) {
        projects.entry(paid(row)?).or_default().resources.push(row);
    }
    for row in rows::each(&relations.unrated_resource) {
        projects.entry(paid(row)?).or_default().unrated.push(row);
    }
    Ok(projects)
}

fn paid(row: Row<'_>) -> Result<Paid<'_>, Error> {
    Ok((row.optional_text("project_id")?, row.optional_text("account_id")?))
}

/// The labels of each stream as last known.
fn labels_by_stream(relations: &Relations) -> Result<HashMap<u64, Vec<Label>>, Error> {
    let mut labels: HashMap<u64, Vec<Label>> = HashMap::new();
    for row in rows::each(&relations.label_range) {
        if row.optional_day("next_date")?.is_none() {
            let label = Label { name: row.text("key")?.to_owned(), value: row.text("value")?.to_owned() };
            labels.entry(row.id("stream_id")?).or_default().push(label);
        }
    }
    Ok(labels)
}

fn invoices(
    shared: &Shared<'_>,
    relations: &Relations,
    projects: &BTreeMap<Paid<'_>, ProjectRows<'_>>,
) -> Result<Vec<InvoicePage>, Error> {
    let mut documents: BTreeMap<&str, Parts> = BTreeMap::new();
    let mut origins = BTreeMap::new();
    for row in rows::each(&relations.line_reference) {
        origins.insert((row.text("invoice_number")?, row.number("line_number")?), row);
    }
    for row in rows::each(&relations.invoice_line) {
        let amounts = Amounts::of(row.text("currency")?);
        let account_id = row.text("account_id")?;
        let project = row.optional_text("project_id")?.map(|id| project_of(id, account_id, projects)).transpose()?;
        let mut line = invoice_line(row, project, amounts)?;
        if let Some(origin) = origins.get(&(row.text("invoice_number")?, row.number("line_number")?)) {
            line.correction = line_correction(row, *origin)?;
        }
        documents.entry(row.text("invoice_number")?).or_default().lines.push(line);
    }
    for row in rows::each(&relations.allowance) {
        let amounts = Amounts::of(row.text("currency")?);
        let percent: Option<Decimal<4>> = row.optional_decimal("percent")?;
        documents.entry(row.text("invoice_number")?).or_default().allowances.push(AllowanceLine {
            kind: row.text("kind")?.to_owned(),
            description: row.text("description")?.to_owned(),
            percent: percent.map(|percent| percent.to_string()),
            tax_category: row.text("tax_category")?.to_owned(),
            tax_rate: row.decimal::<4>("tax_rate")?.to_string(),
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
                    rate: tax.decimal::<4>("tax_rate")?.to_string(),
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
        pages.push(invoice_page(shared, row, parts, projects)?);
    }
    for page in pages.iter_mut().filter(|page| page.document_kind == DocumentKind::CreditNote) {
        give_back(page);
    }
    Ok(pages)
}

/// The books have a credit note's amounts below zero; on the document they are what is given back.
fn give_back(page: &mut InvoicePage) {
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

/// Each document carries the digest of the one issued before it.
fn chain(issue: &Issue, pages: &mut [InvoicePage]) -> Result<(), Error> {
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

/// Amounts are stored with four places; a page shows those of their currency.
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

/// What stands on one document.
#[derive(Debug, Default)]
struct Parts {
    lines: Vec<InvoiceLine>,
    allowances: Vec<AllowanceLine>,
    taxes: Vec<TaxBreakdown>,
    prepayments: Vec<Prepaid>,
    price_exchanges: Vec<PriceExchange>,
}

fn project_of(id: &str, account_id: &str, projects: &BTreeMap<Paid<'_>, ProjectRows<'_>>) -> Result<Project, Error> {
    let summary = projects.get(&(Some(id), Some(account_id))).and_then(|project| project.summary);
    let name = summary.map(|row| row.optional_text("project_name")).transpose()?.flatten();
    Ok(Project { id: id.to_owned(), name: name.map(str::to_owned) })
}

fn invoice_line(row: Row<'_>, project: Option<Project>, amounts: Amounts) -> Result<InvoiceLine, Error> {
    let per: Quantity = row.decimal("unit_price_per")?;
    let mut line_by = line_by(row.text("line_by")?);
    let charge_kind = row.text("charge_kind")?;
    // What the program says of a line is said by the page in its own language.
    let is_said_by_kind = matches!(charge_kind, CARRIED_FORWARD | "brought_forward");
    let is_of_program = is_said_by_kind || matches!(charge_kind, "discount" | "overage");
    let is_own_adjustment = is_of_program && row.text("charge_category")? == "Adjustment";
    let service = if is_own_adjustment { None } else { Some(row.text("service")?.to_owned()) };
    let description = if is_said_by_kind { "" } else { row.text("description")? };
    let tier_start: Quantity = row.decimal("tier_start")?;
    if !tier_start.is_zero() {
        line_by.push(LineBy { name: "above".to_owned(), value: tier_start.to_string() });
    }
    // A line without a unit is an amount and nothing else.
    let has_price = !row.text("unit")?.is_empty();
    Ok(InvoiceLine {
        number: u32::try_from(row.number("line_number")?).unwrap_or(u32::MAX),
        project,
        sku: row.text("sku")?.to_owned(),
        service,
        description: description.to_owned(),
        line_by,
        charge_kind: Some(charge_kind.to_owned()).filter(|kind| !matches!(kind.as_str(), "" | "usage" | "percent")),
        quantity: row.decimal::<9>("quantity")?.to_string(),
        unit: row.text("unit")?.to_owned(),
        unit_price: if has_price { Some(shown_price(row.decimal("unit_price")?)) } else { None },
        unit_price_per: (per != Quantity::from_integer(1)).then(|| per.to_string()),
        net_amount: amounts.text(row.decimal("net_amount")?),
        correction: None,
    })
}

fn line_correction(line: Row<'_>, origin: Row<'_>) -> Result<Option<LineCorrection>, Error> {
    let Some(reason) = origin.optional_text("reason")? else { return Ok(None) };
    let document = match (origin.optional_text("corrected_document")?, origin.optional_day("corrected_on")?) {
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
    shared: &Shared<'_>,
    row: Row<'_>,
    parts: Parts,
    projects: &BTreeMap<Paid<'_>, ProjectRows<'_>>,
) -> Result<InvoicePage, Error> {
    let amounts = Amounts::of(row.text("currency")?);
    let amount = |name| row.decimal(name).map(|amount| amounts.text(amount));
    let account_id = row.text("account_id")?;
    let account = shared.account_of(row)?.cloned().unwrap_or_default();
    let project = row.optional_text("project_id")?.map(|id| project_of(id, account_id, projects)).transpose()?;
    let of_document: Vec<&str> = match &project {
        Some(project) => vec![project.id.as_str()],
        None => {
            let mut ids: Vec<&str> =
                parts.lines.iter().filter_map(|line| line.project.as_ref()).map(|of| of.id.as_str()).collect();
            ids.dedup();
            ids
        }
    };
    let unrated: Vec<Row<'_>> = of_document
        .iter()
        .filter_map(|id| projects.get(&(Some(*id), Some(account_id))))
        .flat_map(|project| project.unrated.iter().copied())
        .collect();
    let exchange = match row.optional_text("exchange_base")? {
        Some(base) => Some(Exchange {
            base: base.to_owned(),
            quote: row.text("exchange_quote")?.to_owned(),
            rate: row.decimal::<12>("exchange_rate")?.to_string(),
            date: date_of(row.day("exchange_rate_date")?),
            seller_currency: row.text("seller_currency")?.to_owned(),
            tax_in_seller_currency: Amounts::of(row.text("seller_currency")?)
                .text(row.decimal("tax_amount_in_seller_currency")?),
        }),
        None => None,
    };
    let sold_by = row.optional_text("sold_by")?;
    let mut seller = match sold_by.and_then(|id| shared.context.account(id)) {
        Some(reseller) => Seller {
            name: reseller.name.clone(),
            address: reseller.address.clone(),
            country: reseller.country.clone(),
            vat_id: reseller.vat_id.clone(),
            email: reseller.email.clone(),
            ..Seller::default()
        },
        None => shared.context.config.seller.clone(),
    };
    if account.payment_terms.is_some() {
        seller.payment_terms.clone_from(&account.payment_terms);
    }
    let issue = shared.issue;
    let issued = issue.and_then(|issue| Some((issue, issue.document(row.text("invoice_number").ok()?)?)));
    let document_kind = match row.text("document_kind")? {
        "carried_forward" => DocumentKind::CarriedForward,
        "invoice" => DocumentKind::Invoice,
        "credit_note" => DocumentKind::CreditNote,
        _ => DocumentKind::DraftInvoice,
    };
    let issue_date = issued.map(|(issue, _)| issue.date);
    Ok(InvoicePage {
        document_kind,
        number: row.text("invoice_number")?.to_owned(),
        issue_date,
        due_date: issued.and_then(|(_, document)| document.due_date),
        issued: issued.map(|(issue, document)| Issued {
            corrects: document.corrects.clone().map(|(number, issue_date)| PrecedingDocument { number, issue_date }),
            reason: document.reason.clone(),
            previous_document_sha256: issue.previous_sha256.clone(),
        }),
        tax_point: date_of(row.day("tax_point")?),
        billing_period_start: shared.start,
        billing_period_end: shared.end,
        time_zone: shared.context.config.time_zone.clone(),
        hours_in_period: shared.hours,
        language: account.language.unwrap_or_else(|| shared.context.config.language.clone()),
        currency: row.text("currency")?.to_owned(),
        seller,
        sold_by: sold_by.map(str::to_owned),
        buyer: Buyer {
            account_id: account_id.to_owned(),
            name: if account.name.is_empty() { account_id.to_owned() } else { account.name },
            address: account.address,
            country: account.country,
            vat_id: account.vat_id,
            email: account.email,
            purchase_order: account.purchase_order,
            cost_centres: account.cost_centres,
        },
        project,
        lines: parts.lines,
        line_total: amount("line_total")?,
        allowances: parts.allowances,
        tax_breakdown: parts.taxes,
        total_without_tax: amount("total_without_tax")?,
        total_tax: amount("tax_amount")?,
        total_with_tax: amount("total_with_tax")?,
        prepayments: parts.prepayments,
        amount_due: amount("amount_due")?,
        exchange,
        price_exchanges: parts.price_exchanges,
        data_notes: data_notes(&unrated)?,
        generated_by: generated_by(),
    })
}

fn shown_price(price: UnitPrice) -> String {
    price.to_text(2)
}

/// `flavor=m1.small; zone=a` as pairs.
fn line_by(text: &str) -> Vec<LineBy> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some(LineBy { name: name.to_owned(), value: value.to_owned() })
    };
    text.split("; ").filter_map(pair).collect()
}

/// What the reader of an invoice must know: usage that is not on it.
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

fn status(text: &str) -> InvoicingStatus {
    match text {
        "internal" => InvoicingStatus::Internal,
        "unattributed" => InvoicingStatus::Unattributed,
        "retail" => InvoicingStatus::Retail,
        _ => InvoicingStatus::Invoiced,
    }
}

fn usage_report(
    shared: &Shared<'_>,
    summary: Row<'_>,
    project: &ProjectRows<'_>,
    invoice: Option<&InvoicePage>,
    labels: &HashMap<u64, Vec<Label>>,
) -> Result<UsageReportPage, Error> {
    let mut by_service: BTreeMap<&str, Cost> = BTreeMap::new();
    let mut daily_costs = Vec::new();
    for row in &project.service_days {
        let cost: Cost = row.decimal("contracted_cost")?;
        let service = row.text("service")?;
        let sum = by_service.entry(service).or_default();
        *sum = sum.checked_add(cost).ok_or(Error::COST_OVERFLOW)?;
        daily_costs.push(DailyCost {
            // What is charged in advance stands on the last day of the period that charges it.
            charge_date: date_of(row.day("charge_date")?).min(shared.end.yesterday().unwrap_or(shared.end)),
            service: service.to_owned(),
            contracted_cost: cost,
        });
    }
    let mut services: Vec<(&str, Cost)> = by_service.into_iter().collect();
    services.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let services = services
        .into_iter()
        .map(|(service, cost)| ServiceCost { service: service.to_owned(), contracted_cost: cost })
        .collect();
    let skus: Result<Vec<SkuCost>, Error> = project
        .skus
        .iter()
        .map(|row| {
            Ok(SkuCost {
                sku: row.text("sku")?.to_owned(),
                service: Some(row.text("service")?.to_owned()),
                description: row.text("description")?.to_owned(),
                quantity: row.decimal::<9>("quantity")?.to_string(),
                unit: row.text("unit")?.to_owned(),
                contracted_cost: row.decimal::<18>("contracted_cost")?.to_string(),
                list_cost: row.decimal::<18>("list_cost")?.to_string(),
            })
        })
        .collect();
    let mut resources = project.resources.clone();
    resources.sort_by_key(|row| row.number("cost_rank").unwrap_or(i64::MAX));
    let top: Result<Vec<ResourceCost>, Error> = resources
        .iter()
        .take(TOP_RESOURCES)
        .map(|row| {
            let mut labels = labels.get(&row.id("stream_id")?).cloned().unwrap_or_default();
            let display_name = labels.iter().position(|label| label.name == "display_name");
            Ok(ResourceCost {
                resource_id: row.text("resource_id")?.to_owned(),
                display_name: display_name.map(|index| labels.remove(index).value),
                labels,
                service: row.optional_text("service")?.map(str::to_owned),
                meter: row.text("meter")?.to_owned(),
                quantity: row.decimal::<9>("quantity")?.to_string(),
                unit: row.text("unit")?.to_owned(),
                contracted_cost: row.decimal::<18>("contracted_cost")?.to_string(),
            })
        })
        .collect();
    let mut other_cost = Cost::ZERO;
    for row in resources.iter().skip(TOP_RESOURCES) {
        let sum = other_cost.checked_add(row.decimal("contracted_cost")?);
        other_cost = sum.ok_or(Error::COST_OVERFLOW)?;
    }
    let others = resources.len().saturating_sub(TOP_RESOURCES);
    let unrated: Result<Vec<UnratedUsage>, Error> = project
        .unrated
        .iter()
        .map(|row| {
            Ok(UnratedUsage {
                meter: row.text("meter")?.to_owned(),
                resource_id: row.text("resource_id")?.to_owned(),
                quantity: row.decimal::<9>("quantity")?.to_string(),
                unit: row.text("unit")?.to_owned(),
                reason: reason_in_words(row.text("reason")?),
            })
        })
        .collect();
    let account_id = summary.optional_text("account_id")?;
    let (cost, list): (Cost, Cost) = (summary.decimal("contracted_cost")?, summary.decimal("list_cost")?);
    let report = UsageReportPage {
        project: summary.optional_text("project_id")?.map(|id| {
            let name = summary.optional_text("project_name").ok().flatten().map(str::to_owned);
            Project { id: id.to_owned(), name }
        }),
        account_id: account_id.map(str::to_owned),
        account_name: summary.optional_text("account_name")?.map(str::to_owned),
        status: status(summary.text("status")?),
        invoice: invoice.map(|page| InvoiceLink {
            number: page.number.clone(),
            // The report stands in the same directory as the invoice.
            path: format!("{}.html", file_name(&page.number)),
        }),
        billing_period_start: shared.start,
        billing_period_end: shared.end,
        time_zone: shared.context.config.time_zone.clone(),
        hours_in_period: shared.hours,
        currency: shared.currency.clone(),
        contracted_cost: cost,
        list_cost: (list != cost).then(|| list.to_string()),
        services,
        daily_costs,
        skus: skus?,
        top_resources: top?,
        other_resources: (others > 0)
            .then(|| OtherResources { resource_count: others as u64, contracted_cost: other_cost.to_string() }),
        unrated_usage: unrated?,
        generated_by: generated_by(),
    };
    Ok(report)
}

/// What a reader should understand by a reason of `unrated_usage`.
fn reason_in_words(reason: &str) -> String {
    match reason {
        "no_rule" => "no rule prices this meter at that time".to_owned(),
        "no_match" => "no rule applies to a resource like this".to_owned(),
        "no_price" => "the price list has no row for it".to_owned(),
        "missing_dimension" => "an attribute that the price needs is not known".to_owned(),
        "no_factor" => "a factor applies, but has no value for it".to_owned(),
        other => other.to_owned(),
    }
}

fn index(shared: &Shared<'_>, relations: &Relations, projects: Vec<IndexedProject>) -> Result<IndexPage, Error> {
    let mut records = RecordCounts::default();
    for row in rows::each(&relations.record_count) {
        records = RecordCounts {
            read: row.number("read_count")? as u64,
            accepted: row.number("accepted_count")? as u64,
            duplicate: row.number("duplicate_count")? as u64,
            rejected: row.number("rejected_count")? as u64,
            unmetered: row.number("unmetered_count")? as u64,
        };
    }
    let mut unrated: BTreeMap<(&str, &str, &str), (u64, Quantity)> = BTreeMap::new();
    for row in rows::each(&relations.unrated_resource) {
        let sum = unrated.entry((row.text("meter")?, row.text("reason")?, row.text("unit")?)).or_default();
        sum.0 += 1;
        sum.1 = sum.1.checked_add(row.decimal("quantity")?).ok_or(Error::QUANTITY_OVERFLOW)?;
    }
    let rejected: Result<Vec<RejectedRecords>, Error> = rows::each(&relations.rejected_reason)
        .map(|row| {
            Ok(RejectedRecords {
                reason: row.text("reason")?.replace('_', " "),
                record_count: row.number("record_count")? as u64,
            })
        })
        .collect();
    let usage = usage_counts(relations)?;
    let totals = currency_totals(relations, false)?;
    let file = |path: &str, description: &str| File { path: path.to_owned(), description: description.to_owned() };
    let margins = file("margins.csv", "a row for each line that a reseller sells, with what it earns");
    let margins = Some(margins).filter(|_| shared.context.config.accounts.has_resellers());
    Ok(IndexPage {
        seller_name: shared.context.config.seller.name.clone(),
        billing_period_start: shared.start,
        billing_period_end: shared.end,
        time_zone: shared.context.config.time_zone.clone(),
        hours_in_period: shared.hours,
        is_draft: shared.issue.is_none(),
        records,
        usage,
        projects,
        totals: totals
            .into_iter()
            .map(|total| CurrencyTotal {
                currency: total.currency,
                invoice_count: total.invoices,
                total_without_tax: total.total_without_tax,
                total_tax: total.tax_amount,
                total_with_tax: total.total_with_tax,
            })
            .collect(),
        rejected_records: rejected?,
        unrated_usage: unrated
            .into_iter()
            .map(|((meter, reason, unit), (resource_count, quantity))| UnratedUsageSummary {
                meter: meter.to_owned(),
                resource_count,
                quantity: quantity.to_string(),
                unit: unit.to_owned(),
                reason: reason_in_words(reason),
            })
            .collect(),
        files: [
            file("invoices.csv", "a row for each invoice"),
            file("invoice_lines.csv", "a row for each line of each invoice"),
            file("allowances.csv", "a row for each discount and credit on an invoice, by tax group"),
            file("usage.csv", "a row for each resource, meter and date"),
        ]
        .into_iter()
        .chain(margins)
        .collect(),
        generated_by: generated_by(),
    })
}

fn usage_counts(relations: &Relations) -> Result<UsageCounts, Error> {
    let mut counts = UsageCounts::default();
    for row in rows::each(&relations.period_summary) {
        let unrated = row.number("unrated_count")? as u64;
        counts = UsageCounts {
            rated: (row.number("usage_count")? as u64).saturating_sub(unrated),
            unrated,
            unattributed: row.number("unattributed_count")? as u64,
        };
    }
    Ok(counts)
}

/// The totals of what the seller invoices, or of what resellers do.
fn currency_totals(relations: &Relations, of_resellers: bool) -> Result<Vec<CurrencySummary>, Error> {
    let mut totals: BTreeMap<&str, (u64, i128, i128, i128)> = BTreeMap::new();
    for row in rows::each(&relations.invoice) {
        let is_retail = row.optional_text("sold_by")?.is_some();
        if row.text("document_kind")? == "carried_forward" || is_retail != of_resellers {
            continue;
        }
        let sum = totals.entry(row.text("currency")?).or_default();
        sum.0 += 1;
        sum.1 += row.units("total_without_tax")?;
        sum.2 += row.units("tax_amount")?;
        sum.3 += row.units("total_with_tax")?;
    }
    let total = |(currency, (invoices, net, tax, gross)): (&str, (u64, i128, i128, i128))| {
        let text = |units| Amount::from_units(units).to_text(places_of_code(currency));
        CurrencySummary {
            currency: currency.to_owned(),
            invoices,
            total_without_tax: text(net),
            tax_amount: text(tax),
            total_with_tax: text(gross),
        }
    };
    Ok(totals.into_iter().map(total).collect())
}

/// The numbers at the end of a run.
pub(super) fn summary(period: BillingPeriod, relations: &Relations) -> Result<Summary, Error> {
    let usage = usage_counts(relations)?;
    let totals = currency_totals(relations, false)?;
    let cost_of = |wanted: &str| -> Result<String, Error> {
        let mut sum = Decimal::<18>::ZERO;
        for row in rows::each(&relations.project_summary) {
            if row.text("status")? == wanted {
                let next = sum.checked_add(row.decimal("contracted_cost")?);
                sum = next.ok_or(Error::COST_OVERFLOW)?;
            }
        }
        Ok(sum.to_text(2))
    };
    Ok(Summary {
        period: period.to_string(),
        usage_rated: usage.rated,
        usage_unrated: usage.unrated,
        usage_unattributed: usage.unattributed,
        invoices: totals.iter().map(|total| total.invoices).sum(),
        carried_forward: {
            let kinds: Result<Vec<&str>, Error> =
                rows::each(&relations.invoice).map(|row| row.text("document_kind")).collect();
            kinds?.into_iter().filter(|kind| *kind == "carried_forward").count() as u64
        },
        suspended_accounts: rows::each(&relations.suspended_accounts)
            .map(|row| {
                Ok(SuspendedAccountSummary {
                    account_id: row.text("account_id")?.to_owned(),
                    account_name: row.optional_text("account_name")?.map(str::to_owned),
                    reason: row.text("reason")?.to_owned(),
                    detail: row.text("detail")?.to_owned(),
                })
            })
            .collect::<Result<BTreeSet<_>, Error>>()?
            .into_iter()
            .collect(),
        unconverted: rows::each(&relations.unconverted_currency)
            .map(|row| Ok(row.text("price_currency")?.to_owned()))
            .collect::<Result<_, Error>>()?,
        totals,
        retail: currency_totals(relations, true)?,
        internal_cost: cost_of("internal")?,
        unattributed_cost: cost_of("unattributed")?,
        billing_commit: None,
        directory: None,
        ..Summary::default()
    })
}
