//! The check that names and ids are unique.

use crate::load::problems::Problems;
use crate::model::diagnostic::Diagnostic;
use crate::model::diagnostic::Place;

/// Sorts things by name and keeps the first thing with each name. Another thing with the same name is a problem, which
/// shows both places.
pub(super) fn unique<T>(
    things: &mut Vec<T>,
    name_and_place: impl Fn(&T) -> (&String, &Place),
    code: &'static str,
    noun: &str,
    problems: &Problems,
) {
    things.sort_by(|left, right| name_and_place(left).0.cmp(name_and_place(right).0));
    things.dedup_by(|second, first| {
        let ((first_name, first_place), (name, place)) = (name_and_place(first), name_and_place(second));
        if first_name != name {
            return false;
        }
        let diagnostic = Diagnostic::error(code, format!("{noun} `{name}` is declared twice"))
            .at(place.clone(), "again here")
            .at(first_place.clone(), "first here");
        problems.push(diagnostic.hint("rename or remove one of them"));
        true
    });
}
