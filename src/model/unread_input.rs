//! The inputs that an intake could not read.

use serde::Serialize;

/// A file, an object or a server that an intake could not read. Every intake tries to read it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnreadInput {
    pub source: String,
    /// The path or URL of the input. If the whole source could not be read, the path or URL of the source.
    pub url: String,
    pub reason: UnreadReason,
    /// The value that was found and the value that was expected, as a message for users.
    pub detail: String,
    /// For a server: the start of the usage that was not read, in microseconds UTC.
    #[serde(skip)]
    pub missing_from: Option<i64>,
}

/// The reason why an input was not read. Its name is the value of `unread_input.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadReason {
    /// The input was listed, but does not exist.
    NotFound,
    /// Access to the input is denied.
    NoPermission,
    /// The name or key cannot be used to read the input.
    UnusableName,
    /// The columns of the file do not fit the source.
    WrongColumns,
    /// The archive policy of a metric does not fit the source or the meters.
    UnfitPolicy,
    /// The disk, the store or the server failed.
    Failed,
    /// The store failed for several inputs before this one, so this one was not tried.
    NotTried,
}

impl UnreadReason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NoPermission => "no_permission",
            Self::UnusableName => "unusable_name",
            Self::WrongColumns => "wrong_columns",
            Self::UnfitPolicy => "unfit_policy",
            Self::Failed => "failed",
            Self::NotTried => "not_tried",
        }
    }
}

/// A text with its control characters escaped, for a terminal.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_escaped() {
        assert_eq!(printable("l'usage \"é\"\n\u{7}.csv"), "l'usage \"é\"\\n\\u{7}.csv");
    }
}
