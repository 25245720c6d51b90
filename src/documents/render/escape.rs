//! Escaping of text in link addresses and style sheets.

use std::fmt::Write;

use minijinja::value::Value;

/// The maximum number of characters in the margin of a printed page.
const LONGEST_MARGIN_TEXT: usize = 60;

/// A relative path as the address of a link. The address starts with `./`, so it cannot contain a scheme.
pub(crate) fn href(path: &str) -> Value {
    let mut address = "./".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            address.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    Value::from_safe_string(address)
}

/// The contents of a quoted CSS string for the margin of a printed page: one short line, isolated from the text
/// direction around it. HTML escapes have no effect in a style element, so all characters except letters and digits are
/// escaped by number. This also prevents `</style>`.
pub(crate) fn css_string(text: &str) -> Value {
    let mut escaped = String::new();
    let cut = text.char_indices().nth(LONGEST_MARGIN_TEXT).map_or(text.len(), |(index, _)| index);
    let ellipsis = if cut < text.len() { "…" } else { "" };
    for character in ['\u{2068}'].into_iter().chain(text[..cut].chars()).chain(ellipsis.chars()).chain(['\u{2069}']) {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_') {
            escaped.push(character);
        } else {
            let _ = write!(escaped, "\\{:06X}", u32::from(character));
        }
    }
    // CSS removes one space after an escape.
    escaped.push(' ');
    Value::from_safe_string(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_become_a_scheme() {
        assert_eq!(href("acme/DRAFT-1.html").to_string(), "./acme/DRAFT-1.html");
        assert_eq!(href("javascript:alert(1)").to_string(), "./javascript%3Aalert%281%29");
        assert_eq!(href("a b\"<é").to_string(), "./a%20b%22%3C%C3%A9");
    }

    #[test]
    fn a_css_string_cannot_end() {
        let escaped = css_string("DRAFT-2026 \"</style>\n").to_string();
        assert_eq!(escaped, "\\002068DRAFT-2026\\000020\\000022\\00003C\\00002Fstyle\\00003E\\00000A\\002069 ");
    }

    #[test]
    fn a_css_string_is_short() {
        let escaped = css_string(&"é".repeat(100)).to_string();
        assert_eq!(escaped.matches("\\0000E9").count(), LONGEST_MARGIN_TEXT);
        assert!(escaped.ends_with("\\002026\\002069 "));
    }
}
