//! Errors of intake: sources that cannot be read, files that cannot be retracted.

use super::count;
use crate::model::error_class::ErrorClass;

/// Why intake failed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the source `{source_name}` could not be read at `{location}`")]
    Source {
        source_name: String,
        location: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A secret or a certificate that the configuration names is not there, or is none.
    #[error("the source `{source_name}` cannot be asked as it is configured")]
    SourceSettings {
        source_name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{first}` and `{second}` have the same id {id:016x}; nothing was committed, please report this")]
    IdCollision { id: u64, first: String, second: String },
    #[error(
        "rejected since the last billing of this period: {}, more than the {limit} allowed; \
         usage was taken in, nothing was billed. \
         `conto sql \"SELECT reason, COUNT(*) FROM rejected_record GROUP BY reason\"` says why; \
         a greater --max-rejected bills all the same",
        count(usize::try_from(*rejected).unwrap_or(usize::MAX), "record")
    )]
    TooManyRejected { rejected: u64, limit: u64 },
    #[error(
        "{} is `{file}`{}\n`conto sql \"SELECT url, sha256 FROM input_file\"` lists what was read; name one by the \
         beginning of its digest",
        if found.is_empty() { "no file that was read" } else { "more than one file that was read" },
        found.iter().map(|one| format!("\n  - {one}")).collect::<String>()
    )]
    NoSuchDelivery { file: String, found: Vec<String> },
    #[error("`{file}` has usage of closed periods whose samples are not kept any more, so that it cannot be withdrawn")]
    DeliveryExpired { file: String },
}

impl IntakeError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::SourceSettings { .. } | Self::NoSuchDelivery { .. } | Self::DeliveryExpired { .. } => {
                ErrorClass::Invalid
            }
            Self::TooManyRejected { .. } => ErrorClass::Refused,
            Self::Source { .. } | Self::IdCollision { .. } => ErrorClass::Failed,
        }
    }
}
