//! Takes values out of JSON texts that are written alike, as the lines of one publisher are.
//!
//! Between their values such texts are equal byte for byte. A text that was parsed once gives its [`JsonTemplate`]: what
//! stands before each value, and where the value goes. Another text of that shape needs no parser: what stands between
//! is compared, strings are scanned for their end, numbers for their grammar. Anything else (an escape, a `NaN`, one
//! more key) is no match, and [`json::select`](super::json::select) has the last word, so that nothing is read
//! otherwise than it reads it.

use std::borrow::Cow;

use jiter::{Jiter, Peek};

use super::json::{JsonError, Node, Selection, Value, select};

/// How many shapes are tried for a text. Publishers write a few: one for each kind of metadata.
const MOST_SHAPES: usize = 8;
/// Texts that match no shape although all places are taken, until one of them makes room.
const PATIENCE: u32 = 64;
const DEEPEST: u32 = 16;

/// The shapes of the texts of one file, the last that matched first.
#[derive(Debug, Default)]
pub struct JsonTemplates {
    shapes: Vec<JsonTemplate>,
    misses: u32,
}

/// What texts of one shape have in common.
#[derive(Debug, Default)]
struct JsonTemplate {
    /// What stands before each value, and behind the last one.
    between: Vec<u8>,
    values: Vec<Place>,
    /// Slots of objects.
    nested: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where in `between` that ends which stands before this value.
    end: usize,
    slot: Option<usize>,
}

impl JsonTemplates {
    /// As [`select`], with what earlier texts taught.
    pub fn select<'a>(
        &mut self,
        text: &'a str,
        selection: &Selection,
        found: &mut Vec<Option<Value<'a>>>,
    ) -> Result<(), JsonError> {
        for index in 0..self.shapes.len() {
            found.clear();
            found.resize(selection.slots(), None);
            if self.shapes[index].matches(text, found).is_some() {
                self.shapes[..=index].rotate_right(1);
                return Ok(());
            }
        }
        select(text, selection, found)?;
        self.misses += 1;
        if (self.shapes.len() < MOST_SHAPES || self.misses > PATIENCE)
            && let Some(shape) = JsonTemplate::of(text, selection)
        {
            self.misses = 0;
            self.shapes.truncate(MOST_SHAPES - 1);
            self.shapes.insert(0, shape);
        }
        Ok(())
    }
}

impl JsonTemplate {
    /// The shape of a text that is one JSON object. `None` where it cannot stand for others: a key twice, or too deep.
    fn of(text: &str, selection: &Selection) -> Option<Self> {
        let mut shape = Self::default();
        let mut jiter = Jiter::new(text.as_bytes()).with_allow_inf_nan();
        let first = jiter.peek().ok()?;
        let mut last = 0;
        shape.learn(text, &mut jiter, first, selection, Some(selection.root()), &mut last, 0)?;
        shape.between.extend_from_slice(&text.as_bytes()[last..]);
        let mut slots: Vec<usize> = shape.values.iter().filter_map(|value| value.slot).collect();
        slots.extend(&shape.nested);
        slots.sort_unstable();
        slots.windows(2).all(|pair| pair[0] != pair[1]).then_some(shape)
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
        if first == Peek::Object {
            if depth == DEEPEST {
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
        self.between.extend_from_slice(&text.as_bytes()[*last..start]);
        self.values.push(Place { end: self.between.len(), slot });
        *last = jiter.current_index();
        Some(())
    }

    fn matches<'a>(&self, text: &'a str, found: &mut [Option<Value<'a>>]) -> Option<()> {
        let mut rest = text;
        let mut begin = 0;
        for place in &self.values {
            rest = strip(rest, &self.between[begin..place.end])?;
            begin = place.end;
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
                    (Value::Nested, jiter.current_index())
                }
                _ => return None,
            };
            rest = &rest[length..];
            if let Some(slot) = place.slot {
                found[slot] = Some(value);
            }
        }
        self.nested.iter().for_each(|slot| found[*slot] = Some(Value::Nested));
        (rest.as_bytes() == &self.between[begin..]).then_some(())
    }
}

/// What follows, where a text starts so.
fn strip<'a>(text: &'a str, start: &[u8]) -> Option<&'a str> {
    // What a shape keeps begins and ends where values do, so this never cuts a character.
    if text.as_bytes().starts_with(start) { text.get(start.len()..) } else { None }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The length of a string up to its quote; `None` where it holds an escape or what may not stand in a string.
///
/// Eight bytes at a time: subtracting from each byte borrows into the byte's high bit where it was smaller. A borrow
/// can only spoil bytes behind the first that was found, and only the first one counts.
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

/// The length of a JSON number; `None` where it is none.
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

    fn line(values: &[String], shape: usize) -> String {
        let [name, volume, flavor, host] = values else { panic!("four values") };
        match shape {
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
        fn every_text_is_read_as_the_parser_reads_it(
            lines in prop::collection::vec((values(), 0..4usize, any::<prop::sample::Index>(), 0..8u8), 1..40),
        ) {
            let selection = selection();
            let mut shapes = JsonTemplates::default();
            for (values, shape, cut, damage) in lines {
                let mut text = line(&values, shape);
                if damage == 0 {
                    let mut cut = cut.index(text.len());
                    while !text.is_char_boundary(cut) {
                        cut -= 1;
                    }
                    text.truncate(cut);
                }
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let parsed = select(&text, &selection, &mut expected);
                prop_assert_eq!(&shapes.select(&text, &selection, &mut found), &parsed, "{}", text);
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
    fn a_shape_is_learnt_once_and_then_used() {
        let selection = selection();
        let mut shapes = JsonTemplates::default();
        let mut found = Vec::new();
        for number in 0..100 {
            let text =
                line(&["\"vcpus\"".to_owned(), number.to_string(), "\"m1\"".to_owned(), "null".to_owned()], number % 2);
            shapes.select(&text, &selection, &mut Vec::new()).unwrap();
        }
        assert_eq!((shapes.shapes.len(), shapes.misses), (2, 0));
        let text = r#"{"name":"é","m":{"flavor":null,"other":"x"},"volume":1.50}"#;
        assert!(shapes.shapes.iter().any(|shape| {
            found.clear();
            found.resize(selection.slots(), None);
            shape.matches(text, &mut found).is_some()
        }));
        assert_eq!(found[0], Some(Value::Text("é".into())));
        assert_eq!(found[1], Some(Value::Number("1.50")));
    }
}
