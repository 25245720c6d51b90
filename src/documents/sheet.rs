//! The input for rendering a document of a period.

use tempfile::SpooledTempFile;

use crate::documents::render::{IndexPage, InvoicePage, MonthEndPage, UsageReportPage};

/// A document that is not yet rendered or not yet written.
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
    MonthEnd(Box<MonthEndPage>),
}
