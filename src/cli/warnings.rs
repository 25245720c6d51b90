//! Warnings about configuration and rules. A kind with many warnings is one line with a count.

use super::print::Printer;
use crate::model::diagnostic::{Diagnostic, Severity};

/// The warnings among diagnostics.
pub(super) fn of(found: &[Diagnostic]) -> impl Iterator<Item = &Diagnostic> {
    found.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning)
}

/// The largest number of warnings of one kind that are shown with their places.
const MOST_SHOWN: usize = 3;

/// Prints each warning with its place, and one line for a kind with many warnings unless `all` is true.
pub(super) fn print(printer: &Printer, found: &[Diagnostic], all: bool) {
    let number_of = |code: &str| of(found).filter(|warning| warning.code == code).count();
    let is_shown = |warning: &&Diagnostic| all || number_of(warning.code) <= MOST_SHOWN;
    let (shown, counted): (Vec<&Diagnostic>, Vec<&Diagnostic>) = of(found).partition(is_shown);
    printer.diagnostics(&shown.into_iter().cloned().collect::<Vec<_>>());
    for (index, warning) in counted.iter().enumerate() {
        if counted[..index].iter().all(|earlier| earlier.code != warning.code) {
            printer.message(&summary(warning, number_of(warning.code)));
        }
    }
    if !counted.is_empty() {
        printer.message("hint: `conto rules check --all` shows each warning with its place");
    }
}

/// `warning: 41 × rules::missing_example: rule `a` has no example (rules/a.toml:3), and 40 more`
fn summary(first: &Diagnostic, number: usize) -> String {
    let place = first.labels.first().map(|(place, _)| format!(" ({}:{})", place.source.name, place.line()));
    let (code, message, place) = (first.code, &first.message, place.unwrap_or_default());
    format!("warning: {number} × {code}: {message}{place}, and {} more", number - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnostic::{Place, SourceText};

    #[test]
    fn a_kind_of_warning_is_one_line_with_the_first_place() {
        let source = SourceText::new("rules/a.toml", "one\ntwo\n");
        let first = Diagnostic::warning("rules::missing_example", "rule `a` has no example")
            .at(Place::new(&source, 4..7), "this rule");
        assert_eq!(
            summary(&first, 41),
            "warning: 41 × rules::missing_example: rule `a` has no example (rules/a.toml:2), and 40 more"
        );
    }
}
