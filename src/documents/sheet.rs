//! A page or a file of a period before it is rendered.

use crate::documents::render::IndexPage;
use crate::documents::render::InvoicePage;
use crate::documents::render::UsageReportPage;
use tempfile::SpooledTempFile;

/// One document before it is written: its name in the directory, and how to draw it.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) drawn_from: String,
    pub(super) draft: Draft,
}

/// What a document is drawn from.
pub(super) enum Draft {
    Ready(Vec<u8>),
    /// With its digest.
    HashingFile(SpooledTempFile, String),
    Invoice(Box<InvoicePage>),
    InvoiceJson(Box<InvoicePage>),
    UsageReport(Box<UsageReportPage>),
    Index(Box<IndexPage>),
}
