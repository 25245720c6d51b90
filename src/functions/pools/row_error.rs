//! The error of a function about one row of usage.

use datafusion::common::DataFusionError;

/// The reason why a row has no result. The session finds the rule and the series of the row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function}: {problem}, in usage with the price {priced_number}{}", date(*.charge_date))]
pub struct RowError {
    pub function: &'static str,
    /// The number of the row of `priced_series` that contains the price.
    pub priced_number: i64,
    /// The date in days since 1970-01-01. Absent if the function has no date.
    pub charge_date: Option<i32>,
    pub problem: &'static str,
}

fn date(charge_date: Option<i32>) -> String {
    charge_date.map(|date| format!(" on day {date} after 1970-01-01")).unwrap_or_default()
}

impl From<RowError> for DataFusionError {
    fn from(error: RowError) -> Self {
        Self::External(Box::new(error))
    }
}
