//! Errors of the lake as a whole: settings, reproduction and expiry.

use super::count;
use crate::model::error_class::ErrorClass;
use crate::storage::LakeSettings;

/// An error of an operation on the whole lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error(
        "the lake has the time zone {} and {}, the configuration has {} and {}; \
         every window in the lake depends on them. Restore the configuration, or use another lake",
        fixed.time_zone, count(fixed.shards as usize, "shard"),
        wanted.time_zone, count(wanted.shards as usize, "shard")
    )]
    LakeSettings { fixed: LakeSettings, wanted: LakeSettings },
    #[error("unknown time zone `{name}`; use a name of the IANA database, such as Europe/Berlin")]
    TimeZone {
        name: String,
        #[source]
        source: jiff::Error,
    },
    #[error("commit {sequence} has no documents; only billings and closes can be reproduced")]
    NothingToReproduce { sequence: u64 },
    #[error(
        "only samples of closed months can expire; still open: {}; `conto close` closes a month",
        periods.join(", ")
    )]
    NotClosedYet { periods: Vec<String> },
    #[error(
        "the samples of {period} expired, and its meters have changed since its close; \
         restore the meters of the close to restate {period}"
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
