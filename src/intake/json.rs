//! Takes chosen values out of a JSON text in one pass over it, and checks the whole of it.
//!
//! Intake needs three things that `serde_json` and `sonic-rs` do not give together: numbers as they are written (a
//! float would change the quantity), the bare `NaN` and `Infinity` of Python's `json` (a record to be refused for its
//! quantity, not a text to be refused as a whole), and an error that tells a text that ends early from one that is
//! wrong. Whatever this reads apart from those two words, `serde_json` reads too: a test compares them.

use std::borrow::Cow;

/// A text nested deeper than this is refused, so that no input can exhaust the stack.
const DEEPEST: u32 = 128;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the JSON ends in the middle")]
    EndsEarly,
    #[error("this is no JSON from byte {0} on")]
    Unexpected(usize),
    #[error("the JSON is nested more than {DEEPEST} levels deep")]
    TooDeep,
}

/// The paths whose values are wanted, as a tree.
#[derive(Clone, Debug)]
pub struct Selection {
    nodes: Vec<Node>,
    slots: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<(String, usize)>,
    slot: Option<usize>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], slots: 0 }
    }
}

impl Selection {
    /// The place of this path's value in what [`select`] finds; the same place for the same path.
    pub fn add<'k>(&mut self, path: impl IntoIterator<Item = &'k str>) -> usize {
        let mut at = 0;
        for key in path {
            let known = self.nodes[at].children.iter().find(|(name, _)| name == key).map(|(_, child)| *child);
            at = known.unwrap_or_else(|| {
                self.nodes.push(Node::default());
                let child = self.nodes.len() - 1;
                self.nodes[at].children.push((key.to_owned(), child));
                child
            });
        }
        *self.nodes[at].slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }
}

/// Checks that `text` is one JSON value and leaves the texts of the wanted values in `found`. Where a key is repeated
/// the last one counts, as in Python.
pub fn select<'a>(text: &'a str, selection: &Selection, found: &mut Vec<Option<&'a str>>) -> Result<(), JsonError> {
    found.clear();
    found.resize(selection.slots, None);
    let mut scanner = Scanner { text, at: 0 };
    scanner.whitespace();
    scanner.value(Some((selection, 0)), found, 0)?;
    scanner.end()
}

/// Checks that `text` is one JSON array and gives the texts of its elements.
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    let mut found = Vec::new();
    let mut scanner = Scanner { text, at: 0 };
    scanner.whitespace();
    scanner.expect(b'[')?;
    scanner.whitespace();
    if !scanner.take(b']') {
        loop {
            let start = scanner.at;
            scanner.value(None, &mut Vec::new(), 1)?;
            found.push(&text[start..scanner.at]);
            if !scanner.another(b']')? {
                break;
            }
        }
    }
    scanner.end()?;
    Ok(found)
}

/// A value, as far as intake tells values apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As written, `NaN` and `Infinity` included.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or an array.
    Nested,
}

impl<'a> Value<'a> {
    /// From a text that [`select`] found.
    pub fn of(text: &'a str) -> Self {
        match text.as_bytes() {
            [b'"', .., b'"'] => Self::Text(unescape(&text[1..text.len() - 1])),
            [b'{' | b'[', ..] => Self::Nested,
            b"null" => Self::Null,
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            _ => Self::Number(text),
        }
    }
}

/// What stands between the quotes of a checked string. Half a surrogate pair (Python writes those for file names that
/// are no UTF-8) becomes the replacement character.
fn unescape(text: &str) -> Cow<'_, str> {
    let Some((before, _)) = text.split_once('\\') else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(before);
    let mut rest = &text[before.len()..];
    while let Some(escape) = rest.strip_prefix('\\') {
        let (character, length) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => {
                let first = code_unit(escape).unwrap_or(0xfffd);
                let second = escape.get(5..).and_then(|next| next.strip_prefix('\\')).and_then(code_unit);
                match char::decode_utf16([first].into_iter().chain(second)).next() {
                    Some(Ok(character)) => (character, if character.len_utf16() == 2 { 11 } else { 5 }),
                    _ => (char::REPLACEMENT_CHARACTER, 5),
                }
            }
            Some(other) => (char::from(*other), 1),
            None => (char::REPLACEMENT_CHARACTER, 0),
        };
        plain.push(character);
        let after = escape.get(length..).unwrap_or_default();
        let next = after.find('\\').unwrap_or(after.len());
        plain.push_str(&after[..next]);
        rest = &after[next..];
    }
    Cow::Owned(plain)
}

/// Of `u00e9`.
fn code_unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// How many bytes at the start of a string's text stand for themselves. Most of a record are such bytes, so eight are
/// looked at in one step: a byte whose high bit the subtraction sets was below the subtracted one (those above 0x7f are
/// masked out), and the lowest one of them is never wrong about that.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, _) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = |value: u64, bound: u64| value.wrapping_sub(ONES * bound) & !value;
        let special = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1);
        if special & HIGH != 0 {
            return index * 8 + (special & HIGH).trailing_zeros() as usize / 8;
        }
    }
    let start = words.len() * 8;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.error()) }
    }

    fn error(&self) -> JsonError {
        if self.at >= self.text.len() { JsonError::EndsEarly } else { JsonError::Unexpected(self.at) }
    }

    fn whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.whitespace();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error()) }
    }

    /// After an element: whether another one follows.
    fn another(&mut self, close: u8) -> Result<bool, JsonError> {
        self.whitespace();
        if self.take(close) {
            return Ok(false);
        }
        self.expect(b',')?;
        self.whitespace();
        Ok(true)
    }

    fn value(
        &mut self,
        wanted: Option<(&Selection, usize)>,
        found: &mut Vec<Option<&'a str>>,
        depth: u32,
    ) -> Result<(), JsonError> {
        if depth > DEEPEST {
            return Err(JsonError::TooDeep);
        }
        let start = self.at;
        match self.peek() {
            Some(b'"') => _ = self.string()?,
            Some(b'{') => self.object(wanted, found, depth)?,
            Some(b'[') => {
                self.at += 1;
                self.whitespace();
                if !self.take(b']') {
                    loop {
                        self.value(None, found, depth + 1)?;
                        if !self.another(b']')? {
                            break;
                        }
                    }
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'n') => self.word("null")?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'N') => self.word("NaN")?,
            Some(b'I') => self.word("Infinity")?,
            _ => return Err(self.error()),
        }
        let slot = wanted.and_then(|(selection, node)| selection.nodes[node].slot);
        if let Some(slot) = slot {
            found[slot] = Some(&self.text[start..self.at]);
        }
        Ok(())
    }

    fn object(
        &mut self,
        wanted: Option<(&Selection, usize)>,
        found: &mut Vec<Option<&'a str>>,
        depth: u32,
    ) -> Result<(), JsonError> {
        self.at += 1;
        self.whitespace();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let start = self.at;
            let escaped = self.string()?;
            let child = wanted.and_then(|(selection, node)| {
                let children = &selection.nodes[node].children;
                let key = &self.text[start + 1..self.at - 1];
                // A key that is written with escapes is still that key.
                let key = if escaped { unescape(key) } else { Cow::Borrowed(key) };
                children.iter().find(|(name, _)| *name == key).map(|(_, child)| (selection, *child))
            });
            self.whitespace();
            self.expect(b':')?;
            self.whitespace();
            self.value(child, found, depth + 1)?;
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }

    /// Passes a string and tells whether there are escapes in it.
    fn string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        let mut escaped = false;
        let bytes = self.text.as_bytes();
        loop {
            self.at += plain_length(bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    self.escape()?;
                    escaped = true;
                }
                _ => return Err(self.error()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.error()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.take(b'-') && self.peek() == Some(b'I') {
            return self.word("Infinity");
        }
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.error()) }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen<'a>(text: &'a str, paths: &[&str]) -> Result<Vec<Option<&'a str>>, JsonError> {
        let mut selection = Selection::default();
        let slots: Vec<usize> = paths.iter().map(|path| selection.add(path.split('.'))).collect();
        let mut found = Vec::new();
        select(text, &selection, &mut found)?;
        Ok(slots.into_iter().map(|slot| found[slot]).collect())
    }

    #[test]
    fn values_are_found_by_path_and_given_as_written() {
        let text =
            r#" {"a": 1.50, "b": {"c": "x", "d": {"e": [1, {"c": 2}]}, "c:d": -0}, "f": null, "\u0067": true } "#;
        let paths = ["a", "b.c", "b.d.e", "b.c:d", "b.x", "f", "g", "b"];
        let found = chosen(text, &paths).unwrap();
        assert_eq!(found[0], Some("1.50"));
        assert_eq!(found[1], Some("\"x\""));
        assert_eq!(found[2], Some("[1, {\"c\": 2}]"));
        assert_eq!(found[3..7], [Some("-0"), None, Some("null"), Some("true")]);
        assert_eq!(found[7].map(Value::of), Some(Value::Nested));
        assert_eq!(chosen(r#"{"a": 1, "a": 2}"#, &["a", "a"]).unwrap(), [Some("2"), Some("2")]);
        assert_eq!(chosen(r#"{"a": 5}"#, &["a.b", "a"]).unwrap(), [None, Some("5")]);
    }

    #[test]
    fn an_early_end_is_told_from_what_is_wrong() {
        let text = r#"{"a": [1, -2.5e+3, "x\u00e9\n"], "b": {"c": null, "d": true}}"#;
        assert!(chosen(text, &[]).is_ok());
        for length in 0..text.len() {
            assert_eq!(chosen(&text[..length], &[]), Err(JsonError::EndsEarly), "{}", &text[..length]);
        }
        assert_eq!(chosen("{'a': 1}", &[]), Err(JsonError::Unexpected(1)));
        assert_eq!(chosen("{\"a\": 1} x", &[]), Err(JsonError::Unexpected(9)));
        assert_eq!(chosen(&"[".repeat(1_000_000), &[]), Err(JsonError::TooDeep));
    }

    #[test]
    fn strings_are_unescaped() {
        let value = |text| Value::of(text);
        assert_eq!(value(r#""plain""#), Value::Text(Cow::Borrowed("plain")));
        assert_eq!(value(r#""a\"b\\\/\n\u00e9\ud83d\ude00z""#), Value::Text("a\"b\\/\né😀z".into()));
        assert_eq!(value(r#""\ud83d""#), Value::Text("\u{fffd}".into()));
        assert_eq!(value(r#""\ude00\ud83d\u0041\ud83dx""#), Value::Text("\u{fffd}\u{fffd}A\u{fffd}x".into()));
        assert_eq!(value("-Infinity"), Value::Number("-Infinity"));
        assert_eq!(value("\"\""), Value::Text(Cow::Borrowed("")));
    }

    #[test]
    fn arrays_are_taken_apart() {
        assert_eq!(elements(" [ ] ").unwrap(), Vec::<&str>::new());
        assert_eq!(elements("[{\"a\": [1]} , 2,\"x,]\"]").unwrap(), ["{\"a\": [1]}", "2", "\"x,]\""]);
        assert_eq!(elements("[1,]"), Err(JsonError::Unexpected(3)));
        assert_eq!(elements("[1"), Err(JsonError::EndsEarly));
        assert_eq!(elements("[] []"), Err(JsonError::Unexpected(3)));
    }

    proptest! {
        #[test]
        fn plain_bytes_are_counted_as_one_by_one(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x1fu8..0x24, Just(b'\\'), Just(b'a')], 0..40)
        ) {
            let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }

    /// A JSON text with some of its bytes replaced, so that most are just not JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"b\":",
            "\\",
            "\\u",
            "\\ud800",
            "00e9",
            "1",
            "0",
            "-",
            ".",
            "e",
            "E+",
            "null",
            "true",
            "fals",
            "e",
            " ",
            "\n",
            "\u{1}",
            "é",
            "{\"a\":1}",
            "[1,2]",
            "12.5e-3",
            "tru",
        ]);
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn accepts_what_serde_json_accepts(text in nearly_json()) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            let ours = chosen(&text, &["a", "b.a"]);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }

        #[test]
        fn reads_back_what_serde_json_writes(key in "\\PC*", text in any::<String>(), number in any::<u64>()) {
            let object = serde_json::json!({ "first": [text], (key.clone()): { "text": text, "number": number } });
            for written in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
                let mut selection = Selection::default();
                let slots = [selection.add([&key[..], "text"]), selection.add([&key[..], "number"])];
                let mut found = Vec::new();
                select(&written, &selection, &mut found).unwrap();
                prop_assert_eq!(found[slots[0]].map(Value::of), Some(Value::Text(text.as_str().into())));
                prop_assert_eq!(found[slots[1]], Some(&number.to_string()[..]));
            }
        }
    }
}
