//! Where readers put what they find wrong, so that they can go on.

use std::cell::{Cell, RefCell};
use std::io;

use crate::model::diagnostic::{Diagnostic, Diagnostics, Severity, closest};

/// The problems of one reading. Shared by every reader of it, hence the interior mutability.
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

    /// How many errors there are so far: a thing that was read without raising it is sound.
    pub(crate) fn error_count(&self) -> usize {
        self.errors.get()
    }

    pub(crate) fn into_diagnostics(self) -> Diagnostics {
        self.found.into_inner()
    }
}

/// Why a file cannot be read, in words that need no manual.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "it is not a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

/// What to say about a word that is none of the known ones: the likely one, then all of them.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, known_are: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = match known.as_slice() {
        [] => format!("there are no {known_are}"),
        all => format!("{known_are}: {}", all.join(", ")),
    };
    match closest(word, known) {
        Some(likely) => format!("did you mean `{likely}`? ({all})"),
        None => all,
    }
}
