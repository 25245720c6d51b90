//! `[closing]`: the numbering of documents, and the limits for missing data when a period is closed.

use super::keys;
use super::problems::Problems;
use super::table::{CONFIG, Table};
use crate::model::config::{ChargeIncreasesAs, Closing, OpeningNumber};
use crate::model::diagnostic::Diagnostic;

const KINDS: [(&str, &str); 2] = [("invoice", "invoice"), ("credit_note", "credit_note")];

const INCREASES: [(&str, ChargeIncreasesAs); 2] =
    [("next_invoice", ChargeIncreasesAs::NextInvoice), ("separate_invoice", ChargeIncreasesAs::SeparateInvoice)];

pub(crate) fn closing(mut table: Table<'_>) -> Option<Closing> {
    let mut closing = Closing::default();
    let problems = table.file.problems;
    for (key, prefix) in
        [("invoice_prefix", &mut closing.invoice_prefix), ("credit_note_prefix", &mut closing.credit_note_prefix)]
    {
        if let Some(text) = table.text(key) {
            let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_/.".contains(character);
            if !text.value.chars().all(is_plain) {
                let message = format!("`{key}` is `{}`, expected letters, digits and `- _ / .`", text.value);
                let diagnostic = Diagnostic::error(CONFIG.bad_number, message).at(text.place.clone(), "this prefix");
                problems.push(diagnostic.hint("choose a prefix such as INV-, which gives INV-2026-00001"));
            }
            *prefix = text.value;
        }
    }
    if closing.invoice_prefix == closing.credit_note_prefix {
        let message =
            "`invoice_prefix` and `credit_note_prefix` are equal, so two documents would have the same number";
        let diagnostic = Diagnostic::error(CONFIG.bad_number, message).at(table.place(), "equal prefixes");
        problems.push(diagnostic.hint("change one of the prefixes"));
    }
    closing.previous_identities =
        table.texts("previous_identities").unwrap_or_default().into_iter().map(|text| text.value).collect();
    for (key, limit) in [
        ("max_unrated", &mut closing.max_unrated),
        ("max_rejected", &mut closing.max_rejected),
        ("max_unattributed", &mut closing.max_unattributed),
    ] {
        if let Some((value, place)) = table.take(key).and_then(|value| Some((value.integer()?, value.place()))) {
            *limit = natural(key, value, place, problems);
        }
    }
    if let Some(increases) = table.take("charge_increases_as").and_then(|value| value.choice(&INCREASES)) {
        closing.charge_increases_as = increases;
    }
    for mut opening in table.tables("opening", &keys::OPENING) {
        let kind = opening.require("document_kind").and_then(|value| value.choice(&KINDS));
        let mut number = |key: &'static str| {
            let value = opening.require(key)?;
            Some(natural(key, value.integer()?, value.place(), problems))
        };
        let (year, first) = (number("year"), number("number"));
        opening.finish();
        if let (Some(kind), Some(year), Some(first)) = (kind, year, first) {
            let year = i16::try_from(year).unwrap_or(i16::MAX);
            closing.opening.push(OpeningNumber { document_kind: kind.to_owned(), year, number: first.max(1) });
        }
    }
    table.finish();
    Some(closing)
}

/// A number of at least 0.
pub(super) fn natural(key: &str, number: i64, place: crate::model::diagnostic::Place, problems: &Problems) -> u64 {
    u64::try_from(number).unwrap_or_else(|_| {
        let message = format!("`{key}` is {number}, expected 0 or more");
        problems.push(Diagnostic::error(CONFIG.bad_number, message).at(place, "out of range"));
        0
    })
}
