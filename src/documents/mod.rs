//! Documents: CSV files for finance, invoices, usage reports and an index, in one directory for each result.
//!
//! A document is rendered if its source changed. All other documents are kept or copied from the last commit. The
//! directory name is the digest of its contents, so equal results have the same directory.

mod hashing_file;
mod index_page;
mod invoice_page;
mod month_end;
mod page_inputs;
mod pages;
mod relations;
pub mod render;
mod sheet;
mod summary;
mod usage_report_page;
mod usage_sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

use self::hashing_file::HashingFile;
use self::page_inputs::{invoice_path, name_of};
use self::relations::Relations;
use self::render::{InvoicePage, Pages, invoice_json};
use self::sheet::{Content, Sheet};
use crate::error::Error;
use crate::export::csv::{self, Places, Table};
use crate::model::branding::Branding;
use crate::model::config::Config;
use crate::model::issue::Issue;
use crate::model::money::places_of;
use crate::model::period::BillingPeriod;
use crate::model::summary::Summary;
use crate::query::{Parameters, statement};
use crate::rows;
use crate::run::{Context, Documents, Transaction};
use crate::storage::{Commit, DocumentFile, Lake, layout};

/// Renders the changed documents and stages all documents of the period. If `issue` is given, only the invoices of the
/// issue are rendered, because issued documents never change.
#[tracing::instrument(level = "debug", name = "documents", skip_all)]
pub async fn stage(
    context: &Context,
    transaction: &mut Transaction,
    pages_to_render: Documents,
    issue: Option<&Issue>,
) -> Result<Summary, Error> {
    let relations = Relations::read(context, transaction, pages_to_render).await?;
    let summary = summary::run_summary(context.period, &relations)?;
    let config = Arc::clone(&context.config);
    let mut pages = PagesByLanguage::new(&config, issue)?;
    let mut sheets = finance_files(context, transaction).await?;
    if pages_to_render != Documents::None {
        sheets.extend(pages::sheets(context, issue, &relations)?);
    }
    if context.config.branding != Branding::default() {
        let branding = context.config.branding.digest();
        for sheet in sheets.iter_mut().filter(|sheet| !sheet.content.is_rendered()) {
            sheet.source_digest = hex::encode(Sha256::digest(format!("{}{branding}", sheet.source_digest)));
        }
    }
    let mut pack = None;
    if let Some(issue) = issue.filter(|issue| issue.is_of_all_payers()) {
        let (data, files) = month_end::pack(context, transaction, &relations, issue).await?;
        sheets.extend(files);
        pack = Some(data);
    }
    if let (Some(_), Some(closed)) = (issue, context.mode.closed()) {
        sheets.extend(earlier_documents(&transaction.lake, closed, &sheets, |_| true).await?);
    } else if let Some(drafted) = context.mode.drafted() {
        let issued = issued_names(&relations)?;
        let is_issued = |name: &str| issued.contains(name);
        sheets.extend(earlier_documents(&transaction.lake, drafted, &sheets, is_issued).await?);
    }
    sheets.sort_by(|left, right| left.name.cmp(&right.name));
    let period = context.period.to_string();
    let mut attempt = attempt_of(&sheets);
    let in_attempt = |attempt: &str, sheet: &Sheet| format!("{}/{}", layout::documents(&period, attempt), sheet.name);
    if sheets.iter().any(|sheet| transaction.snapshot.is_tombstoned(&in_attempt(&attempt, sheet))) {
        // A vacuum is deleting this directory, so another directory is used.
        attempt = format!("{attempt}-{}", transaction.snapshot.next_sequence());
    }
    let directory = layout::documents(&period, &attempt);
    let before: BTreeMap<String, DocumentFile> = context
        .mode
        .last_documents()
        .map(|commit| commit.documents.iter().map(|document| (name_of(&document.path), document.clone())).collect())
        .unwrap_or_default();
    context.options.progress.begin("Rendering documents", sheets.len() as u64);
    for sheet in sheets {
        let path = format!("{directory}/{}", sheet.name);
        let unchanged = before.get(&sheet.name).filter(|document| document.source_digest == sheet.source_digest);
        let unchanged = unchanged.filter(|_| pages_to_render != Documents::All);
        let document = write_document(&transaction.lake, sheet, path, unchanged, &mut pages).await?;
        transaction.documents.push(document);
        context.options.progress.advance(1);
    }
    if let Some(pack) = pack {
        for sheet in month_end::last_sheets(pack, &transaction.documents) {
            let path = format!("{directory}/{}", sheet.name);
            let document = write_document(&transaction.lake, sheet, path, None, &mut pages).await?;
            transaction.documents.push(document);
        }
        transaction.documents.sort_by(|left, right| left.path.cmp(&right.path));
    }
    context.options.progress.end();
    Ok(Summary { directory: Some(transaction.lake.display_of(&directory)), ..summary })
}

/// Writes a document to its path. An unchanged document of the last commit is kept or copied.
async fn write_document(
    lake: &Lake,
    sheet: Sheet,
    path: String,
    unchanged: Option<&DocumentFile>,
    pages: &mut PagesByLanguage<'_>,
) -> Result<DocumentFile, Error> {
    let is_in_place = unchanged.is_some_and(|document| document.path == path);
    let elsewhere = unchanged.filter(|_| !is_in_place && !sheet.content.is_rendered());
    // A user can change or delete documents. Instead of a copy, a document that is missing or has another digest is
    // rendered again.
    let found = match elsewhere {
        Some(document) => {
            let bytes = lake.read(&document.path).await.ok();
            bytes.filter(|bytes| hex::encode(Sha256::digest(bytes)) == document.sha256)
        }
        None => None,
    };
    Ok(match (unchanged, found) {
        (Some(document), None) if is_in_place => document.clone(),
        (Some(document), Some(found)) => {
            lake.write(&path, found).await?;
            DocumentFile { path, ..document.clone() }
        }
        _ => {
            let rendered = sheet.content.render(pages)?;
            let sha256 = rendered.write(lake, &path).await?;
            DocumentFile { path, source_digest: sheet.source_digest, sha256 }
        }
    })
}

/// The names of the pages of issued documents. A period that is still open can have issued documents of accounts with a
/// final invoice.
fn issued_names(relations: &Relations) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for row in rows::each(&relations.invoice) {
        if matches!(row.text("document_kind")?, "invoice" | "credit_note") {
            let (account_id, number) = (row.text("account_id")?, row.text("invoice_number")?);
            names.extend(["html", "json"].map(|ending| invoice_path(account_id, number, ending)));
        }
    }
    Ok(names)
}

/// The documents of an earlier commit that are not rendered again.
async fn earlier_documents(
    lake: &Lake,
    commit: &Commit,
    rendered: &[Sheet],
    is_kept: impl Fn(&str) -> bool,
) -> Result<Vec<Sheet>, Error> {
    let mut earlier = Vec::new();
    for document in &commit.documents {
        let name = name_of(&document.path);
        let is_kept = is_kept(&name) && !month_end::is_last(&name);
        if is_kept && !rendered.iter().any(|sheet| sheet.name == name) {
            let bytes = lake.read(&document.path).await?.to_vec();
            earlier.push(Sheet { name, source_digest: document.source_digest.clone(), content: Content::Ready(bytes) });
        }
    }
    Ok(earlier)
}

/// Writes the name of the directory with the documents of a commit. Users and scripts read this name to find the latest
/// documents.
pub async fn point_to_latest(lake: &Lake, period: BillingPeriod, commit: Option<&Commit>) -> Result<(), Error> {
    let period = period.to_string();
    let Some(commit) = commit else { return Ok(()) };
    let Some(document) = commit.documents.first() else { return Ok(()) };
    let attempt = document.path.split('/').nth(2).unwrap_or_default();
    let latest = layout::latest_documents(&period);
    let text = format!("{attempt}\n");
    if let Ok(found) = lake.read(&latest).await
        && found == text.as_bytes()
    {
        return Ok(());
    }
    Ok(lake.write(&latest, text).await?)
}

fn attempt_of(sheets: &[Sheet]) -> String {
    let mut hasher = Sha256::new();
    for sheet in sheets {
        hasher.update(sheet.name.as_bytes());
        hasher.update([0]);
        hasher.update(sheet.source_digest.as_bytes());
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..8])
}

/// The decimal places of the amount columns in CSV files. No value is rounded.
const AMOUNTS: [(&str, Places); 15] = [
    ("total_without_tax", Places::Currency),
    ("tax_amount", Places::Currency),
    ("total_with_tax", Places::Currency),
    ("amount_due", Places::Currency),
    ("net_amount", Places::Currency),
    ("line_total", Places::Currency),
    ("allowance_total", Places::Currency),
    ("prepaid_amount", Places::Currency),
    ("amount", Places::Currency),
    ("base_amount", Places::Currency),
    ("unit_price", Places::AtLeast(2)),
    ("cost", Places::AtLeast(2)),
    ("list_cost", Places::AtLeast(2)),
    ("wholesale_cost", Places::AtLeast(2)),
    ("margin", Places::AtLeast(2)),
];

/// The CSV files for finance: `invoices.csv`, `invoice_lines.csv`, `allowances.csv`, `usage.csv` and, if there are
/// resellers, `margins.csv`.
async fn finance_files(context: &Context, transaction: &Transaction) -> Result<Vec<Sheet>, Error> {
    let exponent = places_of(context.config.currency);
    let mut places = AMOUNTS.to_vec();
    places.push(("tax_amount_in_seller_currency", Places::AtLeast(exponent as usize)));
    let mut sheets = Vec::new();
    let currency = || Parameters::none().text("currency", context.config.currency.code());
    let mut files = vec![("invoices", Parameters::none()), ("invoice_lines", Parameters::none())];
    files.push(("allowances", Parameters::none()));
    if context.config.accounts.has_resellers() {
        files.push(("margins", currency()));
    }
    for (relation, parameters) in files {
        let path = format!("export/{relation}");
        let rows = transaction.session.run(&path, parameters).await?;
        let bytes = csv::write(&statement(&path)?.schema, &rows, exponent, &places)?;
        let source_digest = hex::encode(Sha256::digest(&bytes));
        sheets.push(Sheet { name: format!("{relation}.csv"), source_digest, content: Content::Ready(bytes) });
    }
    let usage = Table::begin(HashingFile::new(), &statement("export/usage")?.schema, exponent, &places)?;
    let (file, digest) = usage_sheet::write(context, transaction, usage).await?.finish().map_err(Error::Temporary)?;
    let source_digest = digest.clone();
    sheets.push(Sheet { name: "usage.csv".to_owned(), source_digest, content: Content::HashingFile(file, digest) });
    Ok(sheets)
}

/// The templates of each language.
struct PagesByLanguage<'a> {
    config: &'a Config,
    issue: Option<&'a Issue>,
    /// The templates, by language, and by footer if they have the branding of the seller. Pages of a reseller have no
    /// logo, colour or footer.
    pages: BTreeMap<(String, Option<Vec<String>>), Pages>,
}

impl<'a> PagesByLanguage<'a> {
    /// The templates in the language of the configuration. Fails if a template is invalid, before any document is
    /// rendered.
    fn new(config: &'a Config, issue: Option<&'a Issue>) -> Result<Self, Error> {
        let mut pages = Self { config, issue, pages: BTreeMap::new() };
        pages.of_period()?;
        Ok(pages)
    }

    /// The templates of the pages of the whole period.
    fn of_period(&mut self) -> Result<&Pages, Error> {
        let config = self.config;
        self.of(&config.language, Some(config.branding.legal_footer.clone()))
    }

    /// The templates of an invoice or credit note. A document that cancels another one has the footer of that document.
    fn of_document(&mut self, page: &InvoicePage) -> Result<&Pages, Error> {
        let cancelled = self.issue.and_then(|issue| issue.cancelled_configs.get(&page.number));
        let footer = cancelled.map_or(self.config, AsRef::as_ref).branding.legal_footer.clone();
        self.of(&page.language, page.sold_by.is_none().then_some(footer))
    }

    fn of(&mut self, language: &str, footer: Option<Vec<String>>) -> Result<&Pages, Error> {
        let key = (language.to_owned(), footer);
        if !self.pages.contains_key(&key) {
            let branding = match key.1.clone() {
                Some(legal_footer) => Branding { legal_footer, ..self.config.branding.clone() },
                None => Branding { templates: self.config.branding.templates.clone(), ..Branding::default() },
            };
            self.pages.insert(key.clone(), Pages::new(language, &branding)?);
        }
        self.pages.get(&key).ok_or(Error::Internal("templates that were just compiled"))
    }
}

/// A rendered document.
enum Rendered {
    Bytes(Vec<u8>),
    /// A file, and the digest that was computed while the file was written.
    HashingFile(SpooledTempFile, String),
}

impl Rendered {
    /// Writes the document and returns its digest.
    async fn write(self, lake: &Lake, path: &str) -> Result<String, Error> {
        match self {
            Self::Bytes(bytes) => {
                let digest = hex::encode(Sha256::digest(&bytes));
                lake.write(path, bytes).await?;
                Ok(digest)
            }
            Self::HashingFile(mut file, digest) => {
                lake.write_from(path, &mut file).await?;
                Ok(digest)
            }
        }
    }
}

impl Content {
    /// Whether the document is already rendered.
    fn is_rendered(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::HashingFile(..))
    }

    fn render(self, pages: &mut PagesByLanguage<'_>) -> Result<Rendered, Error> {
        let bytes = match self {
            Self::HashingFile(file, digest) => return Ok(Rendered::HashingFile(file, digest)),
            Self::Ready(bytes) => bytes,
            Self::Invoice(page) => pages.of_document(&page)?.render_invoice(&page)?.into_bytes(),
            Self::InvoiceJson(page) => invoice_json(&page)?.into_bytes(),
            Self::UsageReport(page) => pages.of_period()?.render_usage_report(&page)?.into_bytes(),
            Self::MonthEnd(page) => pages.of_period()?.render_month_end(&page)?.into_bytes(),
            Self::Index(page) => pages.of_period()?.render_index(&page)?.into_bytes(),
        };
        Ok(Rendered::Bytes(bytes))
    }
}
