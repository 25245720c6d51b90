//! The payer of a document: an account or a project.

use crate::error::Error;
use crate::model::draft_number::DraftKey;
use crate::rows::Row;

/// The payer of a document. The same account is a different payer for each currency and seller, because a restatement
/// can change both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payer {
    pub(super) account_id: String,
    /// The project, if documents are for single projects.
    pub(super) project_id: Option<String>,
    /// The reseller that issues the document; `None` for the seller of the configuration.
    pub(super) sold_by: Option<String>,
    pub(super) currency: String,
}

pub(super) fn payer_of(row: Row<'_>) -> Result<Payer, Error> {
    Ok(Payer {
        account_id: row.text("account_id")?.to_owned(),
        project_id: row.optional_text("project_id")?.map(str::to_owned),
        sold_by: row.optional_text("sold_by")?.map(str::to_owned),
        currency: row.text("currency")?.to_owned(),
    })
}

impl Payer {
    /// The payer as the key of its draft number.
    pub(super) fn draft_key(&self) -> DraftKey<'_> {
        DraftKey {
            account_id: &self.account_id,
            project_id: self.project_id.as_deref(),
            sold_by: self.sold_by.as_deref(),
            currency: &self.currency,
        }
    }
}
