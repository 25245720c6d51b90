//! The canonical form of ids, names and dimension values. It is the same for usage of every source, for accounts and
//! for rules, so that equal ids are equal texts.
//!
//! | delivered | canonical |
//! | --- | --- |
//! | blanks at the start or end | removed |
//! | an empty text, `NULL`, `null` or `None` | absent |
//! | a character as letter and accent (NFD) | one character (Unicode normal form C) |
//! | an id that is a UUID in upper case | lower case |
//!
//! Everything else is significant, also upper and lower case.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The texts by which databases and programs write an absent value. They all have four bytes.
const ABSENT: [&str; 3] = ["NULL", "null", "None"];

/// A text without surrounding blanks. `None` if the text means an absent value.
pub fn stated(text: &str) -> Option<&str> {
    let is_trimmed = |byte: &u8| byte.is_ascii_graphic();
    // Most texts have no blank at either end.
    let text = match (text.as_bytes().first(), text.as_bytes().last()) {
        (Some(first), Some(last)) if is_trimmed(first) && is_trimmed(last) => text,
        _ => text.trim(),
    };
    let is_absent = text.is_empty() || (text.len() == 4 && ABSENT.contains(&text));
    (!is_absent).then_some(text)
}

/// The canonical form of a name or a value.
pub fn canonical_text(text: &str) -> Cow<'_, str> {
    normal_form(text.trim())
}

/// A text in Unicode normal form C.
pub fn normal_form(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// The canonical form of an id. UUIDs become lower case. Dashes are kept, because Keystone writes ids without dashes
/// and Nova writes ids with dashes.
pub fn canonical_id(id: &str) -> Cow<'_, str> {
    let id = canonical_text(id);
    // The loop has no early exit, so that the compiler can check many bytes in one step.
    let has_upper_case = id.bytes().fold(false, |is_large, byte| is_large | byte.is_ascii_uppercase());
    if has_upper_case && is_uuid(id.as_bytes()) { Cow::Owned(id.to_ascii_lowercase()) } else { id }
}

/// Whether an id is a UUID, with or without dashes.
pub fn is_uuid(id: &[u8]) -> bool {
    match id.len() {
        32 => id.iter().fold(true, |is_hex, byte| is_hex & byte.is_ascii_hexdigit()),
        36 => id.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_no_surrounding_blanks_one_unicode_form_and_uuids_in_lower_case() {
        for (id, canonical) in [
            ("p-1 ", "p-1"),
            ("\u{a0}\tp 1\r\n", "p 1"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("caf\u{e9}", "caf\u{e9}"),
            // A compatibility character is another character.
            ("\u{fb01}x", "\u{fb01}x"),
            ("P-1", "P-1"),
            (" 2D954C5A-B451-5505-B4D8-11C80CBF3E82", "2d954c5a-b451-5505-b4d8-11c80cbf3e82"),
            ("075CA625701A57EBBAD7CD2665EB53FB", "075ca625701a57ebbad7cd2665eb53fb"),
            ("075CA625701A57EBBAD7CD2665EB53FG", "075CA625701A57EBBAD7CD2665EB53FG"),
            ("2D954C5A-B451-5505-B4D8-11C80CBF3E82-VDA", "2D954C5A-B451-5505-B4D8-11C80CBF3E82-VDA"),
            ("2D954C5AB-451-5505-B4D8-11C80CBF3E82", "2D954C5AB-451-5505-B4D8-11C80CBF3E82"),
            ("Backup/Photos", "Backup/Photos"),
        ] {
            assert_eq!(canonical_id(id), canonical);
            assert_eq!(canonical_id(canonical), canonical);
        }
    }

    #[test]
    fn an_absent_value_has_several_spellings() {
        for text in ["", " ", "\u{3000}", "NULL", "null", "None", " NULL\t", "None "] {
            assert_eq!(stated(text), None, "{text:?}");
        }
        for (text, expected) in
            [("none", "none"), ("Null", "Null"), (" a ", "a"), ("N/A", "N/A"), ("é ", "é"), ("-", "-")]
        {
            assert_eq!(stated(text), Some(expected));
        }
    }
}
