//! Who receives a document: an account or a project.

use crate::error::Error;
use crate::rows::Row;

/// Who gets a document: one for each currency and seller, where a restatement changed those of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payer {
    pub(super) account_id: String,
    /// Where documents are for projects.
    pub(super) project_id: Option<String>,
    /// The reseller that issues it; absent: the seller of the configuration.
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
    /// Drafts are called by account and project alone.
    pub(super) fn is_called_like(&self, other: &Self) -> bool {
        self.account_id == other.account_id && self.project_id == other.project_id
    }

    pub(super) fn name(&self) -> String {
        let Self { account_id, project_id, .. } = self;
        project_id.as_ref().map_or_else(|| account_id.clone(), |project| format!("{account_id}-{project}"))
    }
}
