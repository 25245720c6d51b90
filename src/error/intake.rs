//! Errors of intake: sources that cannot be read, and files that cannot be retracted.

use super::count;
use crate::model::error_class::ErrorClass;

/// An error of intake.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A secret or a certificate of the configuration is missing or invalid.
    #[error("the source `{source_name}` has invalid connection settings")]
    SourceSettings {
        source_name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{first}` and `{second}` have the same id {id:016x}; nothing was committed, please report this")]
    IdCollision { id: u64, first: String, second: String },
    #[error(
        "{}, more than --max-rejected {limit}; \
         the usage is committed, but nothing was billed. Show the reasons with {}, \
         or bill with a greater --max-rejected",
        left_out(*rejected, *unread), queries(*rejected, *unread)
    )]
    TooManyRejected { rejected: u64, unread: u64, limit: u64 },
    #[error(
        "the lake has no usage of {period}; it has usage from {first} to {last}. The usage is committed, but nothing \
         was billed. Check --period, or bill the month by --allow-no-usage"
    )]
    NoUsage { period: String, first: String, last: String },
    #[error(
        "`{file}` names {}{}\n`conto sql \"SELECT url, sha256 FROM input_file\"` lists all input files; give the \
         start of a SHA-256",
        if found.is_empty() { "no input file" } else { "several input files:" },
        found.iter().map(|one| format!("\n  - {one}")).collect::<String>()
    )]
    NoSuchDelivery { file: String, found: Vec<String> },
    #[error(
        "{record} has no sample in the lake\nThe samples of closed months may have expired. The id of an element of a \
         list ends with its position, as in `9[0]`. Name a record without an id by --meter, --resource and --at"
    )]
    NoSuchRecord { record: String },
    #[error("`{file}` cannot be retracted: it has usage of closed months whose samples expired")]
    DeliveryExpired { file: String },
}

impl IntakeError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::SourceSettings { .. }
            | Self::NoSuchDelivery { .. }
            | Self::NoSuchRecord { .. }
            | Self::DeliveryExpired { .. } => ErrorClass::Invalid,
            Self::TooManyRejected { .. } | Self::NoUsage { .. } => ErrorClass::Refused,
            Self::IdCollision { .. } => ErrorClass::Failed,
        }
    }
}

/// The rejected records and the inputs that could not be read, counted.
fn left_out(rejected: u64, unread: u64) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let rejected = (rejected > 0)
        .then(|| format!("{} rejected since the last billing of this month", count(number(rejected), "record")));
    let unread = (unread > 0).then(|| format!("{} not read", count(number(unread), "input")));
    rejected.into_iter().chain(unread).collect::<Vec<_>>().join(" and ")
}

/// The queries that show the reasons.
fn queries(rejected: u64, unread: u64) -> String {
    let rejected =
        (rejected > 0).then_some("`conto sql \"SELECT reason, COUNT(*) FROM rejected_record GROUP BY reason\"`");
    let unread = (unread > 0).then_some("`conto sql \"SELECT * FROM unread_input\"`");
    rejected.into_iter().chain(unread).collect::<Vec<_>>().join(" and ")
}
