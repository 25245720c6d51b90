//! The changes of an intake or a retraction.

use crate::catalog::streams::Catalog;
use crate::model::period::DayNumber;
use crate::model::summary::IntakeSummary;
use std::collections::BTreeSet;

/// The changes of an intake or a retraction, from which metering continues.
#[derive(Debug, Default)]
pub struct ChangedDays {
    pub catalog: Catalog,
    /// Dates and shards with new or removed samples.
    pub touched: BTreeSet<(DayNumber, u32)>,
    /// The numbers of files and records.
    pub summary: IntakeSummary,
}
