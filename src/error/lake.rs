//! Errors of the lake as a whole: its settings, commits that cannot be reproduced, samples that cannot expire.

use super::count;
use crate::model::error_class::ErrorClass;
use crate::storage::LakeSettings;

/// Why work on the whole lake failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error(
        "the lake was made with the time zone {} and {}, the configuration says {} and {}; \
         every window in the lake depends on them, so change the configuration back or begin another lake",
        fixed.time_zone, count(fixed.buckets as usize, "bucket"),
        wanted.time_zone, count(wanted.buckets as usize, "bucket")
    )]
    LakeSettings { fixed: LakeSettings, wanted: LakeSettings },
    #[error("the time zone `{name}` is not known")]
    TimeZone {
        name: String,
        #[source]
        source: jiff::Error,
    },
    #[error("entry {sequence} took usage in from its sources; what can be rebuilt are entries that made documents")]
    NothingToReproduce { sequence: u64 },
    #[error(
        "samples are given up for closed periods only, and not closed {}: {}; `conto close` closes a period",
        if periods.len() == 1 { "is" } else { "are" },
        periods.join(", ")
    )]
    NotClosedYet { periods: Vec<String> },
    #[error(
        "the samples of {period} are not kept any more, and its meters measure otherwise now: \
         {period} can only be restated with the meters that it was closed with"
    )]
    Expired { period: String },
}

impl LakeError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::LakeSettings { .. }
            | Self::TimeZone { .. }
            | Self::NothingToReproduce { .. }
            | Self::NotClosedYet { .. }
            | Self::Expired { .. } => ErrorClass::Invalid,
        }
    }
}
