//! All pages of a period, from rows. Pages only add up exact costs for display and compute no amounts.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::index_page::{index, mark_repeated, project_summary, whole_account};
use super::invoice_page::{invoices, set_previous_digests};
use super::page_inputs::{PageInputs, by_project, invoice_path};
use super::relations::Relations;
use super::sheet::{Content, Sheet};
use super::usage_report_page::{invoiced_lines, labels_by_stream, report_path, usage_report};
use crate::documents::render::{DocumentKind, IndexedProject, InvoiceLink, InvoicePage};
use crate::error::Error;
use crate::model::issue::Issue;
use crate::rows;
use crate::run::Context;
use crate::storage::layout::file_name;

/// All pages of the period.
pub(super) fn sheets(context: &Context, issue: Option<&Issue>, relations: &Relations) -> Result<Vec<Sheet>, Error> {
    let mut calendar = context.calendar();
    let inputs = PageInputs {
        context,
        issue,
        start: context.period.start(),
        end: context.period.end(),
        hours: u32::try_from(calendar.seconds_in(context.period) / 3600).unwrap_or(0),
        currency: context.config.currency.code().to_owned(),
    };
    let projects = by_project(relations)?;
    let labels = labels_by_stream(relations)?;
    let invoiced = invoiced_lines(relations)?;
    let mut invoices = invoices(&inputs, relations, &projects)?;
    if let Some(issue) = issue {
        set_previous_digests(issue, &mut invoices)?;
    }
    let mut sheets = Vec::new();
    // Documents that are already issued are not rendered again. A document that is not issued keeps the page of its
    // draft, because the index and the usage reports refer to it.
    let is_rendered = |page: &&InvoicePage| {
        !matches!(page.document_kind, DocumentKind::Invoice | DocumentKind::CreditNote)
            || issue.is_some_and(|issue| issue.document(&page.number).is_some())
    };
    for page in invoices.iter().filter(is_rendered) {
        let account_id = &page.buyer.account_id;
        let html = invoice_path(account_id, &page.number, "html");
        let json = invoice_path(account_id, &page.number, "json");
        sheets.push(sheet(html, page, Content::Invoice(Box::new(page.clone())))?);
        sheets.push(sheet(json, page, Content::InvoiceJson(Box::new(page.clone())))?);
    }
    let cancelled = cancelled_documents(relations)?;
    let mut indexed = Vec::new();
    // Usage without a project is last, as in all lists.
    let (named, unnamed): (Vec<_>, Vec<_>) = projects.iter().partition(|((project_id, _), _)| project_id.is_some());
    for ((project_id, account_id), of_project) in named.into_iter().chain(unnamed) {
        let Some(summary) = of_project.summary else { continue };
        let of_account = invoices.iter().filter(|page| Some(page.buyer.account_id.as_str()) == *account_id);
        let documents = of_account.filter(|page| match (&page.project, project_id) {
            (Some(project), Some(id)) => project.id == *id,
            // An invoice without a project is for all projects of the account.
            (None, Some(id)) => page.lines.iter().any(|line| line.project.as_ref().is_some_and(|of| of.id == *id)),
            (_, None) => false,
        });
        let documents: Vec<&InvoicePage> = documents.collect();
        let invoice = documents.iter().find(|page| !cancelled.contains(page.number.as_str())).copied();
        let links = document_links(&documents, &cancelled);
        let lines = invoiced.get(&(*project_id, *account_id));
        let page = usage_report(&inputs, summary, of_project, links.clone(), &labels, lines)?;
        let path = report_path(page.account_id.as_deref(), *project_id);
        indexed.push(IndexedProject {
            project: page.project.clone(),
            account_id: page.account_id.clone(),
            account_name: page.account_name.clone(),
            status: page.status,
            invoice: invoice.map(|page| project_summary(page, &documents)).transpose()?,
            // A document of a whole account has a row of its own.
            other_documents: links
                .into_iter()
                .filter(|link| documents.iter().any(|page| page.number == link.number && page.project.is_some()))
                .filter(|link| invoice.is_none_or(|invoice| invoice.number != link.number))
                .map(|link| InvoiceLink { path: in_directory(account_id.unwrap_or_default(), &link.path), ..link })
                .collect(),
            usage_report_path: Some(path.clone()),
            contracted_cost: page.contracted_cost.to_string(),
            currency: inputs.currency.clone(),
        });
        sheets.push(sheet(path, &page.clone(), Content::UsageReport(Box::new(page)))?);
    }
    for page in invoices.iter().filter(|page| page.project.is_none()) {
        if !indexed.iter().any(|row| row.invoice.as_ref().is_some_and(|invoice| invoice.number == page.number)) {
            indexed.push(whole_account(&inputs, relations, page)?);
        }
    }
    mark_repeated(&mut indexed);
    let index = index(&inputs, relations, indexed)?;
    sheets.push(sheet("index.html".to_owned(), &index.clone(), Content::Index(Box::new(index)))?);
    Ok(sheets)
}

/// The links from a usage report to its documents, which are in the same directory. Credit notes are last.
fn document_links(documents: &[&InvoicePage], cancelled: &BTreeSet<&str>) -> Vec<InvoiceLink> {
    let mut links: Vec<(bool, InvoiceLink)> = Vec::new();
    for page in documents {
        let is_credit_note = page.document_kind == DocumentKind::CreditNote;
        let note = match page.document_kind {
            DocumentKind::CreditNote => Some("credit note"),
            DocumentKind::CarriedForward => Some("carried forward to the next invoice"),
            DocumentKind::Skipped => Some("nothing to pay"),
            DocumentKind::Invoice if cancelled.contains(page.number.as_str()) => Some("cancelled"),
            DocumentKind::Invoice | DocumentKind::DraftInvoice => None,
        };
        let path = format!("{}.html", file_name(&page.number));
        let link = InvoiceLink { number: page.number.clone(), path, note: note.map(str::to_owned) };
        links.push((is_credit_note, link));
    }
    links.sort_by(|left, right| (left.0, &left.1.number).cmp(&(right.0, &right.1.number)));
    links.into_iter().map(|(_, link)| link).collect()
}

/// The path of a page from the index.
fn in_directory(account_id: &str, path: &str) -> String {
    format!("{}/{path}", file_name(account_id))
}

/// The numbers of cancelled documents, of their corrections and of the credit notes that cancel them.
fn cancelled_documents(relations: &Relations) -> Result<BTreeSet<&str>, Error> {
    let mut cancelled = BTreeSet::new();
    for row in rows::each(&relations.line_reference) {
        if row.optional_text("reason")? == Some("cancelled") {
            cancelled.insert(row.text("invoice_number")?);
            cancelled.extend(row.optional_text("corrected_document")?);
        }
    }
    for row in rows::each(&relations.line_reference) {
        if row.optional_text("corrected_document")?.is_some_and(|number| cancelled.contains(number)) {
            cancelled.insert(row.text("invoice_number")?);
        }
    }
    Ok(cancelled)
}

/// The document of a page.
fn sheet(name: String, page: &impl serde::Serialize, content: Content) -> Result<Sheet, Error> {
    let failed = |source: serde_json::Error| Error::Document { what: name.clone(), source: Box::new(source) };
    // The contents and the built-in templates of this version determine a page.
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(serde_json::to_vec(page).map_err(failed)?);
    Ok(Sheet { name, source_digest: hex::encode(hasher.finalize()), content })
}
