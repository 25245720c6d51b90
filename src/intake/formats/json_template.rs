//! Templates of JSON texts with the same layout, such as the lines of one publisher. A text that matches a template
//! needs no parser.
//!
//! Between their values such texts are equal byte for byte. A `JsonTemplate` is built from a parsed text. It contains
//! the text before each value, and the slot of the value. In another text with this layout, the text between the values
//! is compared. Strings are scanned for their end, and the grammar of numbers is checked. Anything else (an escape, a
//! `NaN`, another key) does not match. Then [`json::select`](super::json::select) parses the text, so the result is
//! always that of the parser.

use std::borrow::Cow;

use jiter::{Jiter, Peek};

use super::json::{JsonError, Node, Selection, Value, select};

/// The number of templates that are tried for a text. Publishers use few layouts: one for each kind of metadata.
const MAX_TEMPLATES: usize = 8;
/// The number of texts without a match before a new template replaces an old one.
const MAX_MISSES: u32 = 64;
const MAX_DEPTH: u32 = 16;

/// The templates of one file, the last match first.
#[derive(Debug, Default)]
pub struct JsonTemplates {
    templates: Vec<JsonTemplate>,
    misses: u32,
}

/// The common parts of texts with one layout.
#[derive(Debug, Default)]
struct JsonTemplate {
    /// The text before each value, and after the last one.
    literals: Vec<u8>,
    values: Vec<TemplateValue>,
    /// The slots of selected objects.
    nested: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct TemplateValue {
    /// The end of the text before this value in `literals`.
    end: usize,
    slot: Option<usize>,
}

impl JsonTemplates {
    /// As [`select`], with the templates of earlier texts.
    pub fn select<'a>(
        &mut self,
        text: &'a str,
        selection: &Selection,
        found: &mut Vec<Option<Value<'a>>>,
    ) -> Result<(), JsonError> {
        for index in 0..self.templates.len() {
            found.clear();
            found.resize(selection.slots(), None);
            if self.templates[index].matches(text, found).is_some() {
                self.templates[..=index].rotate_right(1);
                return Ok(());
            }
        }
        select(text, selection, found)?;
        self.misses += 1;
        if (self.templates.len() < MAX_TEMPLATES || self.misses > MAX_MISSES)
            && let Some(template) = JsonTemplate::of(text, selection)
        {
            self.misses = 0;
            self.templates.truncate(MAX_TEMPLATES - 1);
            self.templates.insert(0, template);
        }
        Ok(())
    }
}

impl JsonTemplate {
    /// The template of a JSON object. `None` if no template can be built, because a selected key is repeated or the
    /// object is nested too deeply.
    fn of(text: &str, selection: &Selection) -> Option<Self> {
        let mut template = Self::default();
        let mut jiter = Jiter::new(text.as_bytes()).with_allow_inf_nan();
        let first = jiter.peek().ok()?;
        let mut last = 0;
        template.learn(text, &mut jiter, first, selection, Some(selection.root()), &mut last, 0)?;
        template.literals.extend_from_slice(&text.as_bytes()[last..]);
        let mut slots: Vec<usize> = template.values.iter().filter_map(|value| value.slot).collect();
        slots.extend(&template.nested);
        slots.sort_unstable();
        slots.windows(2).all(|pair| pair[0] != pair[1]).then_some(template)
    }

    #[allow(clippy::too_many_arguments, reason = "one step of a walk over two trees at once")]
    fn learn(
        &mut self,
        text: &str,
        jiter: &mut Jiter<'_>,
        first: Peek,
        selection: &Selection,
        node: Option<&Node>,
        last: &mut usize,
        depth: u32,
    ) -> Option<()> {
        let slot = node.and_then(Node::slot);
        // A template does not look into lists.
        if node.is_some_and(Node::selects_list) && matches!(first, Peek::Array | Peek::Object) {
            return None;
        }
        if first == Peek::Object {
            if depth == MAX_DEPTH {
                return None;
            }
            self.nested.extend(slot);
            let mut key = jiter.known_object().ok()?;
            while let Some(name) = key {
                let child = node.and_then(|node| selection.child(node, name));
                let first = jiter.peek().ok()?;
                self.learn(text, jiter, first, selection, child, last, depth + 1)?;
                key = jiter.next_key().ok()?;
            }
            return Some(());
        }
        let start = jiter.current_index();
        jiter.known_skip(first).ok()?;
        self.literals.extend_from_slice(&text.as_bytes()[*last..start]);
        self.values.push(TemplateValue { end: self.literals.len(), slot });
        *last = jiter.current_index();
        Some(())
    }

    fn matches<'a>(&self, text: &'a str, found: &mut [Option<Value<'a>>]) -> Option<()> {
        let mut rest = text;
        let mut begin = 0;
        for expected in &self.values {
            rest = strip(rest, &self.literals[begin..expected.end])?;
            begin = expected.end;
            let (value, length) = match rest.as_bytes().first()? {
                b'"' => {
                    let length = plain_length(&rest.as_bytes()[1..])?;
                    (Value::Text(Cow::Borrowed(&rest[1..=length])), length + 2)
                }
                b'-' | b'0'..=b'9' => {
                    let length = number_length(rest.as_bytes())?;
                    (Value::Number(&rest[..length]), length)
                }
                b'n' if rest.starts_with("null") => (Value::Null, 4),
                b't' if rest.starts_with("true") => (Value::Bool(true), 4),
                b'f' if rest.starts_with("false") => (Value::Bool(false), 5),
                b'[' => {
                    let mut jiter = Jiter::new(rest.as_bytes()).with_allow_inf_nan();
                    jiter.next_skip().ok()?;
                    let length = jiter.current_index();
                    (Value::List(&rest[..length]), length)
                }
                _ => return None,
            };
            rest = &rest[length..];
            if let Some(slot) = expected.slot {
                found[slot] = Some(value);
            }
        }
        self.nested.iter().for_each(|slot| found[*slot] = Some(Value::Nested));
        (rest.as_bytes() == &self.literals[begin..]).then_some(())
    }
}

/// The rest of a text after a given start.
fn strip<'a>(text: &'a str, start: &[u8]) -> Option<&'a str> {
    // The stored parts begin and end at values, so this never splits a character.
    if text.as_bytes().starts_with(start) { text.get(start.len()..) } else { None }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The length of a string up to its quote. `None` if it contains an escape or an invalid character.
///
/// Eight bytes are checked at once: subtracting from each byte borrows into its high bit if the byte is smaller. A
/// borrow can affect only bytes after the first match, and only the first match is used.
fn plain_length(bytes: &[u8]) -> Option<usize> {
    let mut chunks = bytes.chunks_exact(8);
    let mut length = 0;
    for chunk in chunks.by_ref() {
        let word = u64::from_le_bytes(chunk.try_into().ok()?);
        let equals = |byte: u8| {
            let zero = word ^ (ONES * u64::from(byte));
            zero.wrapping_sub(ONES) & !zero
        };
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let stops = (equals(b'"') | equals(b'\\') | control) & HIGHS;
        if stops != 0 {
            let at = stops.trailing_zeros() as usize / 8;
            return (chunk[at] == b'"').then_some(length + at);
        }
        length += 8;
    }
    let at = chunks.remainder().iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (chunks.remainder()[at] == b'"').then_some(length + at)
}

/// The length of a JSON number. `None` if it is invalid.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let places = digits(at + 1);
        if places == 0 {
            return None;
        }
        at += 1 + places;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selection() -> Selection {
        let mut selection = Selection::default();
        for path in ["name", "volume", "m.flavor", "m.flavor.name", "m.host", "m", "gone"] {
            selection.add(path.split('.'));
        }
        selection
    }

    const ODD: [&str; 12] =
        ["null", "true", "false", "NaN", "-Infinity", "01", "1.", "-", "nul", "[]", r#"[1, {"a": "]"}]"#, "{}"];

    fn scalar() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => "[a-zé0-9/ .:-]{0,20}".prop_map(|text| format!("\"{text}\"")),
            1 => "[a-z\"\\\\\u{1}\\n]{0,9}".prop_map(|text| format!("\"{text}\"")),
            1 => Just(r#""\u00e9\n""#.to_owned()),
            2 => "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?",
            1 => prop::sample::select(ODD.to_vec()).prop_map(str::to_owned),
        ]
    }

    fn values() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(scalar(), 4)
    }

    fn line(values: &[String], template: usize) -> String {
        let [name, volume, flavor, host] = values else { panic!("four values") };
        match template {
            0 => format!(
                r#"{{"name": {name}, "volume": {volume}, "m": {{"flavor": {{"name": {flavor}}}, "host": {host}}}}}"#
            ),
            1 => format!(r#"{{"name":{name},"m":{{"flavor":{flavor},"other":{host}}},"volume":{volume}}}"#),
            2 => format!(r#"{{"name":{name},"name":{host},"m":{flavor},"volume":{volume}}}"#),
            _ => format!(r#"{{"volume":{volume},"x":[{name},{{"flavor":{host}}}],"m":{{}},"name":{flavor}}}"#),
        }
    }

    proptest! {
        #[test]
        fn every_text_has_the_same_result_as_with_the_parser(
            lines in prop::collection::vec((values(), 0..4usize, any::<prop::sample::Index>(), 0..8u8), 1..40),
        ) {
            let selection = selection();
            let mut templates = JsonTemplates::default();
            for (values, template, cut, damage) in lines {
                let mut text = line(&values, template);
                if damage == 0 {
                    let mut cut = cut.index(text.len());
                    while !text.is_char_boundary(cut) {
                        cut -= 1;
                    }
                    text.truncate(cut);
                }
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let parsed = select(&text, &selection, &mut expected);
                prop_assert_eq!(&templates.select(&text, &selection, &mut found), &parsed, "{}", text);
                if parsed.is_ok() {
                    prop_assert_eq!(&found, &expected, "{}", text);
                }
            }
        }

        #[test]
        fn a_string_ends_at_its_quote(text in "[ -~é\u{1}]{0,40}", rest in "[\"\\\\a]{0,3}") {
            let bytes = format!("{text}{rest}").into_bytes();
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let expected = first.filter(|at| bytes[*at] == b'"');
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }

    #[test]
    fn a_template_is_derived_once_and_then_used() {
        let selection = selection();
        let mut templates = JsonTemplates::default();
        let mut found = Vec::new();
        for number in 0..100 {
            let text =
                line(&["\"vcpus\"".to_owned(), number.to_string(), "\"m1\"".to_owned(), "null".to_owned()], number % 2);
            templates.select(&text, &selection, &mut Vec::new()).unwrap();
        }
        assert_eq!((templates.templates.len(), templates.misses), (2, 0));
        let text = r#"{"name":"é","m":{"flavor":null,"other":"x"},"volume":1.50}"#;
        assert!(templates.templates.iter().any(|template| {
            found.clear();
            found.resize(selection.slots(), None);
            template.matches(text, &mut found).is_some()
        }));
        assert_eq!(found[0], Some(Value::Text("é".into())));
        assert_eq!(found[1], Some(Value::Number("1.50")));
    }
}
