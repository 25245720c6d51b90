//! Why the costs of a report cannot be shown.

use crate::model::money::Cost;

/// Why the costs of a report cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    #[error("the costs add up to more than 38 digits")]
    TooLarge,
    #[error("there is a daily cost of `{0}`, which the report does not list")]
    Unlisted(String),
    /// A page must not contradict itself.
    #[error("the costs by {by} add up to {sum}, but the report's total is {total}")]
    NotTheTotal { by: &'static str, sum: Cost, total: Cost },
}
