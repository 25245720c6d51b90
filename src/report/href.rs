//! Text inside of what is not text: the address of a link, a string of a style sheet.

use std::fmt::Write;

use minijinja::value::Value;

/// A relative path as the address of a link. It starts with `./`, so nothing in it can pass for a scheme.
pub(super) fn href(path: &str) -> Value {
    let mut address = "./".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            address.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    Value::from_safe_string(address)
}

/// The inside of a quoted CSS string. A style element knows no HTML escapes, so all but letters and digits is escaped
/// by number, which also keeps `</style>` out.
pub(super) fn css_string(text: &str) -> Value {
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_') {
            escaped.push(character);
        } else {
            let _ = write!(escaped, "\\{:06X}", u32::from(character));
        }
    }
    Value::from_safe_string(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(href("acme/DRAFT-1.html").to_string(), "./acme/DRAFT-1.html");
        assert_eq!(href("javascript:alert(1)").to_string(), "./javascript%3Aalert%281%29");
        assert_eq!(href("a b\"<é").to_string(), "./a%20b%22%3C%C3%A9");
    }

    #[test]
    fn a_css_string_cannot_end() {
        assert_eq!(
            css_string("DRAFT-2026 \"</style>").to_string(),
            "DRAFT-2026\\000020\\000022\\00003C\\00002Fstyle\\00003E"
        );
    }
}
