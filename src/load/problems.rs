//! The collection of problems during a load. Readers continue after a problem.

use std::cell::{Cell, RefCell};
use std::io;

use crate::model::diagnostic::{Diagnostic, Diagnostics, Severity, closest};
use crate::model::dialect::DecodeError;

/// The problems of one load. All readers share this collection, so it has interior mutability.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: RefCell<Diagnostics>,
    errors: Cell<usize>,
}

impl Problems {
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        self.found.borrow_mut().push(diagnostic);
    }

    /// The number of errors so far. A table is valid if reading it does not increase the number.
    pub(crate) fn error_count(&self) -> usize {
        self.errors.get()
    }

    pub(crate) fn into_diagnostics(self) -> Diagnostics {
        self.found.into_inner()
    }
}

/// The reason why a file cannot be read, in plain language.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        io::ErrorKind::IsADirectory => "the path is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "the path is not a directory".to_owned(),
        io::ErrorKind::InvalidData if error.get_ref().is_some_and(|inner| inner.is::<DecodeError>()) => {
            error.to_string()
        }
        io::ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The hint for an unknown name: the most similar valid name, then all valid names. `noun` is a plural, such as
/// `meters`.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, noun: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = match known.as_slice() {
        [] => format!("no {noun} are declared"),
        all => format!("{noun}: {}", all.join(", ")),
    };
    match closest(name, known) {
        Some(likely) => format!("did you mean `{likely}`? ({all})"),
        None => all,
    }
}
