//! Documents: what people open. CSV for finance, invoices, usage reports and an index, in one directory for each
//! attempt.
//!
//! A document is drawn when what it is drawn from changed; otherwise the one of the last commit is taken over. The
//! directory is named by the digest of everything in it, so the same results stand in the same place.

mod hashing_file;
mod pages;
mod relations;
pub mod render;
mod sheet;
mod usage_sheet;

use crate::documents::sheet::Sheet;
use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

use self::relations::Relations;
use self::sheet::Draft;
use crate::documents::hashing_file::HashingFile;
use crate::documents::render::{Pages, invoice_json};
use crate::error::Error;
use crate::export::csv::{self, Places, Table};
use crate::model::branding::Branding;
use crate::model::config::Config;
use crate::model::issue::Issue;
use crate::model::money::places_of;
use crate::model::period::BillingPeriod;
use crate::model::summary::Summary;
use crate::query::{Parameters, statement};
use crate::run::{Context, Documents, Transaction};
use crate::storage::{Commit, DocumentFile, Lake, layout};

/// Draws the documents that changed and stages all documents of the period. With an issue, only its invoices are drawn:
/// what was issued before stays as it is.
#[tracing::instrument(level = "debug", name = "documents", skip_all)]
pub async fn draw(
    context: &Context,
    transaction: &mut Transaction,
    pages_to_draw: Documents,
    issue: Option<&Issue>,
) -> Result<Summary, Error> {
    let relations = Relations::read(context, transaction, pages_to_draw).await?;
    let summary = pages::summary(context.period, &relations)?;
    let config = Arc::clone(&context.config);
    let mut pages = PagesByLanguage::new(&config)?;
    let mut sheets = finance_files(context, transaction).await?;
    if pages_to_draw != Documents::None {
        sheets.extend(pages::sheets(context, issue, &relations)?);
    }
    if context.config.look != Branding::default() {
        let look = context.config.look.digest();
        for sheet in sheets.iter_mut().filter(|sheet| !sheet.draft.is_at_hand()) {
            sheet.drawn_from = hex::encode(Sha256::digest(format!("{}{look}", sheet.drawn_from)));
        }
    }
    if let (Some(_), Some(closed)) = (issue, context.mode.closed()) {
        sheets.extend(issued_before(&transaction.lake, closed, &sheets).await?);
    }
    sheets.sort_by(|left, right| left.name.cmp(&right.name));
    let period = context.period.to_string();
    let mut attempt = attempt_of(&sheets);
    let in_attempt = |attempt: &str, sheet: &Sheet| format!("{}/{}", layout::documents(&period, attempt), sheet.name);
    if sheets.iter().any(|sheet| transaction.snapshot.is_tombstoned(&in_attempt(&attempt, sheet))) {
        // What a vacuum is deleting is not written to.
        attempt = format!("{attempt}-{}", transaction.snapshot.next_sequence());
    }
    let directory = layout::documents(&period, &attempt);
    let before: BTreeMap<String, DocumentFile> = context
        .mode
        .last_documents()
        .map(|commit| commit.documents.iter().map(|document| (name_of(&document.path), document.clone())).collect())
        .unwrap_or_default();
    context.options.progress.begin("Drawing documents", sheets.len() as u64);
    for sheet in sheets {
        let path = format!("{directory}/{}", sheet.name);
        let known = before.get(&sheet.name).filter(|known| known.drawn_from == sheet.drawn_from);
        let known = known.filter(|_| pages_to_draw != Documents::All);
        let is_in_place = known.is_some_and(|known| known.path == path);
        let elsewhere = known.filter(|_| !is_in_place && !sheet.draft.is_at_hand());
        // People may tidy up what was drawn for them: where it is not what it was, it is drawn again.
        let found = match elsewhere {
            Some(known) => {
                let read = transaction.lake.read(&known.path).await.ok();
                read.filter(|found| hex::encode(Sha256::digest(found)) == known.sha256)
            }
            None => None,
        };
        let document = match (known, found) {
            (Some(known), None) if is_in_place => known.clone(),
            (Some(known), Some(found)) => {
                transaction.lake.write(&path, found).await?;
                DocumentFile { path, ..known.clone() }
            }
            _ => {
                let drawn = sheet.draft.draw(&mut pages)?;
                let sha256 = drawn.write(&transaction.lake, &path).await?;
                DocumentFile { path, drawn_from: sheet.drawn_from, sha256 }
            }
        };
        transaction.documents.push(document);
        context.options.progress.advance(1);
    }
    context.options.progress.end();
    Ok(Summary { directory: Some(transaction.lake.display_of(&directory)), ..summary })
}

/// The documents of a closed period that are not drawn anew: they go along as they are.
async fn issued_before(lake: &Lake, closed: &Commit, drawn: &[Sheet]) -> Result<Vec<Sheet>, Error> {
    let mut kept = Vec::new();
    for document in &closed.documents {
        let name = name_of(&document.path);
        if !drawn.iter().any(|sheet| sheet.name == name) {
            let bytes = lake.read(&document.path).await?.to_vec();
            kept.push(Sheet { name, drawn_from: document.drawn_from.clone(), draft: Draft::Ready(bytes) });
        }
    }
    Ok(kept)
}

/// Writes the name of the directory with the documents of a commit, for people and scripts that look for the latest.
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

/// The name of a document inside its attempt's directory.
fn name_of(path: &str) -> String {
    path.splitn(4, '/').nth(3).unwrap_or_default().to_owned()
}

fn attempt_of(sheets: &[Sheet]) -> String {
    let mut hasher = Sha256::new();
    for sheet in sheets {
        hasher.update(sheet.name.as_bytes());
        hasher.update([0]);
        hasher.update(sheet.drawn_from.as_bytes());
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..8])
}

/// How finance sees the columns of amounts; each is shown in full.
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

/// `invoices.csv`, `invoice_lines.csv`, `allowances.csv`, `usage.csv`; where there are resellers, `margins.csv` too.
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
        let drawn_from = hex::encode(Sha256::digest(&bytes));
        sheets.push(Sheet { name: format!("{relation}.csv"), drawn_from, draft: Draft::Ready(bytes) });
    }
    let usage = Table::begin(HashingFile::new(), &statement("export/usage")?.schema, exponent, &places)?;
    let (file, digest) = usage_sheet::draw(context, transaction, usage).await?.finish().map_err(Error::Temporary)?;
    let drawn_from = digest.clone();
    sheets.push(Sheet { name: "usage.csv".to_owned(), drawn_from, draft: Draft::HashingFile(file, digest) });
    Ok(sheets)
}

/// The templates in each language that is asked for.
struct PagesByLanguage<'a> {
    config: &'a Config,
    /// By language, and whether they are the seller's own: a reseller has no logo, colour or footer of ours.
    known: BTreeMap<(String, bool), Pages>,
}

impl<'a> PagesByLanguage<'a> {
    /// A language or template that cannot be used is told before anything is drawn.
    fn new(config: &'a Config) -> Result<Self, Error> {
        let mut pages = Self { config, known: BTreeMap::new() };
        pages.of(&config.language, true)?;
        Ok(pages)
    }

    fn of(&mut self, language: &str, is_ours: bool) -> Result<&Pages, Error> {
        let key = (language.to_owned(), is_ours);
        if !self.known.contains_key(&key) {
            let templates = self.config.look.templates.clone();
            let look = if is_ours { self.config.look.clone() } else { Branding { templates, ..Branding::default() } };
            self.known.insert(key.clone(), Pages::new(language, &look)?);
        }
        self.known.get(&key).ok_or(Error::Internal("templates that were just made"))
    }
}

/// A document as it will stand there.
enum Drawn {
    Bytes(Vec<u8>),
    /// With its digest, which was made while it was written.
    HashingFile(SpooledTempFile, String),
}

impl Drawn {
    /// Gives the digest.
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

impl Draft {
    /// Whether it is written already, as it will stand there.
    fn is_at_hand(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::HashingFile(..))
    }

    fn draw(self, pages: &mut PagesByLanguage<'_>) -> Result<Drawn, Error> {
        let own = pages.config.language.as_str();
        let drawn = match self {
            Self::HashingFile(file, digest) => return Ok(Drawn::HashingFile(file, digest)),
            Self::Ready(bytes) => bytes,
            Self::Invoice(page) => {
                pages.of(&page.language, page.sold_by.is_none())?.render_invoice(&page)?.into_bytes()
            }
            Self::InvoiceJson(page) => invoice_json(&page)?.into_bytes(),
            Self::UsageReport(page) => pages.of(own, true)?.render_usage_report(&page)?.into_bytes(),
            Self::Index(page) => pages.of(own, true)?.render_index(&page)?.into_bytes(),
        };
        Ok(Drawn::Bytes(drawn))
    }
}
