//! The dates that intake changed.

use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::model::period::DayNumber;
use crate::model::summary::IntakeSummary;
use std::collections::BTreeSet;

/// What intake changed: where metering has to look.
#[derive(Debug, Default)]
pub struct ChangedDays {
    pub catalog: Catalog,
    /// Dates and buckets with new samples.
    pub touched: BTreeSet<(DayNumber, u32)>,
    /// A server that could not be read to the end. What was read before is to be committed first.
    pub failure: Option<Error>,
    /// The numbers of files and records.
    pub summary: IntakeSummary,
}
