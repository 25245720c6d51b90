//! A document of a period before it is rendered.

use tempfile::SpooledTempFile;

use crate::documents::render::{IndexPage, InvoicePage, UsageReportPage};

/// A document before it is rendered.
pub(super) struct Sheet {
    /// The path in the directory of the period's documents.
    pub(super) name: String,
    /// The digest of everything that determines the document.
    pub(super) source_digest: String,
    pub(super) content: Content,
}

/// The contents of a document.
pub(super) enum Content {
    /// The finished bytes.
    Ready(Vec<u8>),
    /// The finished file with its digest.
    HashingFile(SpooledTempFile, String),
    Invoice(Box<InvoicePage>),
    InvoiceJson(Box<InvoicePage>),
    UsageReport(Box<UsageReportPage>),
    Index(Box<IndexPage>),
}
