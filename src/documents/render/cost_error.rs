//! The inconsistency of the costs of a usage report.

use crate::model::money::Cost;

/// The inconsistency of the costs of a usage report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    #[error("the sum of the costs has more than 38 digits")]
    TooLarge,
    #[error("the daily costs contain `{0}`, which is not in the report")]
    Unlisted(String),
    /// The sum of the costs in a table differs from the total of the page.
    #[error("the costs by {by} add up to {sum}, but the total of the report is {total}")]
    NotTheTotal { by: &'static str, sum: Cost, total: Cost },
}
