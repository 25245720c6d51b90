//! Extraction of selected values from a JSON text. One pass also checks the whole text.
//!
//! The parser is `jiter`, because intake needs four of its properties. It returns numbers as written, because a float
//! would change the quantity. It accepts the bare `NaN` and `Infinity` of Python's `json`, so that only the quantity is
//! invalid and not the text. It limits the nesting. Its errors distinguish a truncated text from an invalid one.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, JiterErrorType, JiterResult, JsonErrorType, Peek};

use crate::model::path::Step;

/// The reason why a text is not the expected JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the JSON text is incomplete")]
    EndsEarly,
    #[error("the JSON is invalid from byte {at}: {problem}")]
    Unexpected { at: usize, problem: JiterErrorType },
    #[error("the JSON is nested too deeply")]
    TooDeep,
}

impl From<JiterError> for JsonError {
    fn from(error: JiterError) -> Self {
        use JsonErrorType::{
            EofWhileParsingList, EofWhileParsingObject, EofWhileParsingString, EofWhileParsingValue,
            RecursionLimitExceeded,
        };
        match error.error_type {
            JiterErrorType::JsonError(
                EofWhileParsingList | EofWhileParsingObject | EofWhileParsingString | EofWhileParsingValue,
            ) => Self::EndsEarly,
            JiterErrorType::JsonError(RecursionLimitExceeded) => Self::TooDeep,
            problem => Self::Unexpected { at: error.index, problem },
        }
    }
}

/// The selected paths, as a tree.
#[derive(Clone, Debug)]
pub struct Selection {
    nodes: Vec<Node>,
    slots: usize,
}

/// A node of the tree: one key of the selected paths.
#[derive(Clone, Debug, Default)]
pub struct Node {
    children: Vec<(String, usize)>,
    /// The selected elements of an array, by their position.
    elements: Vec<(usize, usize)>,
    slot: Option<usize>,
    /// Whether the value is read as a list. An object is then a list of one element.
    is_list: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], slots: 0 }
    }
}

impl Selection {
    /// Adds a path and returns the slot of its value in the result of [`select`]. The same path has the same slot.
    pub fn add<'k>(&mut self, path: impl IntoIterator<Item = &'k str>) -> usize {
        let at = path.into_iter().fold(0, |at, key| self.field(at, key));
        self.slot_of(at)
    }

    /// As [`Self::add`], for a path that may contain positions of elements but not `[]`.
    pub fn add_steps(&mut self, steps: &[Step]) -> usize {
        let mut at = 0;
        for step in steps {
            at = match step {
                Step::Field(key) => self.field(at, key),
                Step::Element(position) => self.element(at, *position),
                // The caller splits the path at `[]`.
                Step::Each => return self.reserve(),
            };
        }
        self.slot_of(at)
    }

    /// As [`Self::add_steps`], for the path of a list whose elements are read by [`list_elements`].
    pub fn add_list(&mut self, steps: &[Step]) -> usize {
        let slot = self.add_steps(steps);
        self.nodes.iter_mut().filter(|node| node.slot == Some(slot)).for_each(|node| node.is_list = true);
        slot
    }

    /// A further slot, which [`select`] leaves empty.
    pub fn reserve(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn field(&mut self, at: usize, key: &str) -> usize {
        let existing = self.nodes[at].children.iter().find(|(name, _)| name == key).map(|(_, child)| *child);
        existing.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            let child = self.nodes.len() - 1;
            self.nodes[at].children.push((key.to_owned(), child));
            child
        })
    }

    fn element(&mut self, at: usize, position: usize) -> usize {
        let existing = self.nodes[at].elements.iter().find(|(other, _)| *other == position).map(|(_, child)| *child);
        existing.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            let child = self.nodes.len() - 1;
            self.nodes[at].elements.push((position, child));
            child
        })
    }

    fn slot_of(&mut self, at: usize) -> usize {
        if let Some(slot) = self.nodes[at].slot {
            return slot;
        }
        let slot = self.reserve();
        self.nodes[at].slot = Some(slot);
        slot
    }
}

impl Selection {
    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn root(&self) -> &Node {
        &self.nodes[0]
    }

    pub(crate) fn child(&self, node: &Node, name: &str) -> Option<&Node> {
        node.children.iter().find(|(key, _)| key == name).map(|(_, child)| &self.nodes[*child])
    }
}

impl Node {
    pub(crate) fn slot(&self) -> Option<usize> {
        self.slot
    }

    /// Whether a list is selected, or single elements of a list.
    pub(crate) fn selects_list(&self) -> bool {
        self.is_list || !self.elements.is_empty()
    }
}

/// A JSON value, with only the distinctions that intake needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As written, including `NaN` and `Infinity`.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An array, or an object in place of a list, as written.
    List(&'a str),
    /// An object.
    Nested,
}

impl Value<'_> {
    /// The text of a string, number or boolean. Numbers and booleans are returned as written.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(text) => Some(text),
            Self::Bool(value) => Some(if *value { "true" } else { "false" }),
            Self::Null | Self::List(_) | Self::Nested => None,
        }
    }

    /// The kind of the value in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Nested => "an object",
        }
    }
}

/// Checks that `text` is one JSON value and stores the selected values in `found`. The last of several equal keys is
/// used, as in Python.
pub fn select<'a>(text: &'a str, selection: &Selection, found: &mut Vec<Option<Value<'a>>>) -> Result<(), JsonError> {
    found.clear();
    found.resize(selection.slots, None);
    let mut reader = Reader { text, jiter: begin(text), nodes: &selection.nodes, found };
    let first = reader.jiter.peek()?;
    reader.value(first, &selection.nodes[0])?;
    Ok(reader.jiter.finish()?)
}

/// Checks that `text` is one JSON array and returns the texts of its elements.
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    let mut found = Vec::new();
    let mut jiter = begin(text);
    let mut next = jiter.next_array()?;
    while let Some(first) = next {
        let start = jiter.current_index();
        jiter.known_skip(first)?;
        found.push(&text[start..jiter.current_index()]);
        next = jiter.array_step()?;
    }
    jiter.finish()?;
    Ok(found)
}

/// As [`elements`], for the text of a [`Value::List`]. Some converters write a list of one element as this element, so
/// an object is a list of one element.
pub fn list_elements(text: &str) -> Result<Vec<&str>, JsonError> {
    if text.starts_with('{') { Ok(vec![text]) } else { elements(text) }
}

/// Checks that `text` is one JSON object and returns the names and texts of its members, in their order.
pub fn members(text: &str) -> Result<Vec<(String, &str)>, JsonError> {
    let mut found = Vec::new();
    let mut jiter = begin(text);
    let mut next = jiter.next_object()?.map(str::to_owned);
    while let Some(name) = next {
        let first = jiter.peek()?;
        let start = jiter.current_index();
        jiter.known_skip(first)?;
        found.push((name, &text[start..jiter.current_index()]));
        next = jiter.next_key()?.map(str::to_owned);
    }
    jiter.finish()?;
    Ok(found)
}

/// The text of a JSON string (without quotes), number or boolean (as written). `None` for null, objects and arrays.
pub fn scalar(text: &str) -> Option<Cow<'_, str>> {
    match text.as_bytes().first()? {
        b'"' if !text.contains('\\') => Some(Cow::Borrowed(text.strip_prefix('"')?.strip_suffix('"')?)),
        b'"' => begin(text).next_str().ok().map(|text| Cow::Owned(text.to_owned())),
        b'{' | b'[' => None,
        _ => (text != "null").then_some(Cow::Borrowed(text)),
    }
}

fn begin(text: &str) -> Jiter<'_> {
    Jiter::new(text.as_bytes()).with_allow_inf_nan()
}

struct Reader<'a, 's> {
    text: &'a str,
    jiter: Jiter<'a>,
    nodes: &'s [Node],
    found: &'s mut Vec<Option<Value<'a>>>,
}

impl<'a> Reader<'a, '_> {
    /// Reads a value and stores it if it is selected. The recursion follows only the selected paths, so its depth does
    /// not depend on the text.
    fn value(&mut self, first: Peek, node: &Node) -> JiterResult<()> {
        let start = self.jiter.current_index();
        let value = match first {
            Peek::Object if node.selects_list() => {
                if node.children.is_empty() {
                    self.jiter.known_skip(first)?
                } else {
                    self.members(node)?
                }
                let object = &self.text[start..self.jiter.current_index()];
                self.only_element(object, node)?;
                Value::List(object)
            }
            Peek::Object if !node.children.is_empty() => {
                self.members(node)?;
                Value::Nested
            }
            Peek::Array if !node.elements.is_empty() => {
                self.elements(node)?;
                Value::List(&self.text[start..self.jiter.current_index()])
            }
            _ if node.slot.is_none() => return self.jiter.known_skip(first),
            Peek::Object => {
                self.jiter.known_skip(first)?;
                Value::Nested
            }
            Peek::Array => {
                self.jiter.known_skip(first)?;
                Value::List(&self.text[start..self.jiter.current_index()])
            }
            Peek::Null => {
                self.jiter.known_null()?;
                Value::Null
            }
            Peek::True | Peek::False => Value::Bool(self.jiter.known_bool(first)?),
            Peek::String => {
                let length = self.jiter.known_str()?.len();
                let quoted = &self.text[start..self.jiter.current_index()];
                // An escape is longer than the character that it encodes, so equal lengths mean that there is no
                // escape.
                Value::Text(if quoted.len() == length + 2 {
                    Cow::Borrowed(&quoted[1..=length])
                } else {
                    Cow::Owned(Jiter::new(quoted.as_bytes()).next_str()?.to_owned())
                })
            }
            _ => {
                self.jiter.known_number_bytes(first)?;
                Value::Number(&self.text[start..self.jiter.current_index()])
            }
        };
        if let Some(slot) = node.slot {
            self.found[slot] = Some(value);
        }
        Ok(())
    }

    /// Reads an object in place of a list: the object is the first element.
    fn only_element(&mut self, object: &'a str, node: &Node) -> JiterResult<()> {
        let Some((_, child)) = node.elements.iter().find(|(position, _)| *position == 0) else { return Ok(()) };
        let mut reader = Reader { text: object, jiter: begin(object), nodes: self.nodes, found: &mut *self.found };
        let first = reader.jiter.peek()?;
        reader.value(first, &self.nodes[*child])
    }

    fn elements(&mut self, node: &Node) -> JiterResult<()> {
        let mut next = self.jiter.known_array()?;
        let mut position = 0;
        while let Some(first) = next {
            match node.elements.iter().find(|(other, _)| *other == position) {
                Some((_, child)) => self.value(first, &self.nodes[*child])?,
                None => self.jiter.known_skip(first)?,
            }
            position += 1;
            next = self.jiter.array_step()?;
        }
        Ok(())
    }

    fn members(&mut self, node: &Node) -> JiterResult<()> {
        let mut key = self.jiter.known_object()?;
        while let Some(name) = key {
            let child = node.children.iter().find(|(key, _)| key == name);
            let first = self.jiter.peek()?;
            match child {
                Some((_, child)) => self.value(first, &self.nodes[*child])?,
                None => self.jiter.known_skip(first)?,
            }
            key = self.jiter.next_key()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen<'a>(text: &'a str, paths: &[&str]) -> Result<Vec<Option<Value<'a>>>, JsonError> {
        let mut selection = Selection::default();
        let slots: Vec<usize> = paths.iter().map(|path| selection.add(path.split('.'))).collect();
        let mut found = Vec::new();
        select(text, &selection, &mut found)?;
        Ok(slots.into_iter().map(|slot| found[slot].clone()).collect())
    }

    /// The byte at which a text becomes invalid.
    fn wrong_from<T: std::fmt::Debug>(result: Result<T, JsonError>) -> usize {
        match result {
            Err(JsonError::Unexpected { at, .. }) => at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_and_elements_are_returned_as_written() {
        let found = members(r#" {"a": 1.50, "b": {"c": []}, "\u0067": "x\ny", "n": null} "#).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, text)| (&name[..], *text)).collect();
        assert_eq!(found, [("a", "1.50"), ("b", r#"{"c": []}"#), ("g", r#""x\ny""#), ("n", "null")]);
        let texts: Vec<_> = found.iter().map(|(_, text)| scalar(text)).collect();
        assert_eq!(texts, [Some("1.50".into()), None, Some("x\ny".into()), None]);
        assert_eq!(members("{}").unwrap(), []);
        assert_eq!(members("{\"a\": 1").unwrap_err(), JsonError::EndsEarly);
        assert!(members("[1]").is_err());
        assert_eq!(elements("[1, [2, 3], {}]").unwrap(), ["1", "[2, 3]", "{}"]);
    }

    #[test]
    fn values_are_found_by_path_and_returned_as_written() {
        let text =
            r#" {"a": 1.50, "b": {"c": "x", "d": {"e": [1, {"c": 2}]}, "c:d": -0}, "f": null, "\u0067": true } "#;
        let paths = ["a", "b.c", "b.d.e", "b.c:d", "b.x", "f", "g", "b"];
        let expected = [
            Some(Value::Number("1.50")),
            Some(Value::Text("x".into())),
            Some(Value::List(r#"[1, {"c": 2}]"#)),
            Some(Value::Number("-0")),
            None,
            Some(Value::Null),
            Some(Value::Bool(true)),
            Some(Value::Nested),
        ];
        assert_eq!(chosen(text, &paths).unwrap(), expected);
        let two = Some(Value::Number("2"));
        assert_eq!(chosen(r#"{"a": 1, "a": 2}"#, &["a", "a"]).unwrap(), [two.clone(), two]);
        assert_eq!(chosen(r#"{"a": 5}"#, &["a.b", "a"]).unwrap(), [None, Some(Value::Number("5"))]);
        assert_eq!(chosen(r#"{"a": [{"b": 5}]}"#, &["a.b"]).unwrap(), [None]);
    }

    #[test]
    fn elements_are_found_by_their_position() {
        let text = r#"{"a": [1, {"b": "x"}, [2, 3]], "c": {"d": [[7], null]}, "e": {"b": 5}}"#;
        let paths = ["a", "a[0]", "a[1].b", "a[2][1]", "a[3]", "c.d[0]", "c.d[1]", "e[0].b", "e[1].b", "e.b", "a[0].b"];
        let mut selection = Selection::default();
        let slots = paths.map(|path| selection.add_steps(&crate::model::path::Path::parse(path).unwrap().0));
        let mut found = Vec::new();
        select(text, &selection, &mut found).unwrap();
        let expected = [
            Some(Value::List(r#"[1, {"b": "x"}, [2, 3]]"#)),
            Some(Value::Number("1")),
            Some(Value::Text("x".into())),
            Some(Value::Number("3")),
            None,
            Some(Value::List("[7]")),
            Some(Value::Null),
            // An object is a list of one element.
            Some(Value::Number("5")),
            None,
            Some(Value::Number("5")),
            None,
        ];
        assert_eq!(slots.map(|slot| found[slot].clone()), expected);
        let mut templates = crate::intake::formats::json_template::JsonTemplates::default();
        for _ in 0..3 {
            let mut again = Vec::new();
            templates.select(text, &selection, &mut again).unwrap();
            assert_eq!(again, found);
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        for number in ["9007199254740993", "123456789012345678901234567890", "1.18795008214e+11", "-0.10", "1E-7"] {
            let text = format!("{{\"a\":{number}}}");
            assert_eq!(chosen(&text, &["a"]).unwrap(), [Some(Value::Number(number))]);
        }
        for number in ["NaN", "Infinity", "-Infinity"] {
            let text = format!("{{\"a\": {number}, \"b\": [{number}]}}");
            assert_eq!(chosen(&text, &["a"]).unwrap(), [Some(Value::Number(number))]);
        }
    }

    #[test]
    fn an_incomplete_text_is_distinguished_from_an_invalid_one() {
        let text = r#"{"a": [1, -2.5e+3, "x\u00e9\ud83d\ude00\n"], "b": {"c": null, "d": true, "e": -Infinity}}"#;
        for paths in [&[][..], &["a", "b", "b.c", "b.d", "b.e"]] {
            assert!(chosen(text, paths).is_ok());
            for length in 0..text.len() {
                assert_eq!(chosen(&text[..length], paths), Err(JsonError::EndsEarly), "{}", &text[..length]);
            }
            assert_eq!(wrong_from(chosen("{'a': 1}", paths)), 1);
            assert_eq!(wrong_from(chosen("{\"a\": 1} x", paths)), 9);
            assert_eq!(wrong_from(chosen("{\"a\": }", paths)), 6);
            assert_eq!(wrong_from(chosen("{\"a\": \"\\ud83d\"}", paths)), 13);
        }
        let message = chosen("{\"a\" 1}", &[]).unwrap_err().to_string();
        assert_eq!(message, "the JSON is invalid from byte 5: expected `:`");
    }

    #[test]
    fn deep_nesting_is_rejected() {
        for open in ["[", "{\"a\":"] {
            let text = open.repeat(1_000_000);
            for paths in [&[][..], &["a.a"]] {
                assert_eq!(chosen(&text, paths), Err(JsonError::TooDeep));
            }
        }
        assert_eq!(elements(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn strings_are_unescaped() {
        for (written, meant) in [
            (r#""plain""#, "plain"),
            (r#""""#, ""),
            (r#""é""#, "é"),
            (r#""a\"b\\\/\n\u00e9\ud83d\ude00z""#, "a\"b\\/\né😀z"),
        ] {
            let text = format!("{{\"a\": {written}}}");
            let found = chosen(&text, &["a"]).unwrap();
            assert_eq!(found, [Some(Value::Text(meant.into()))]);
            let is_borrowed = matches!(found[0], Some(Value::Text(Cow::Borrowed(_))));
            assert_eq!(is_borrowed, !written.contains('\\'));
        }
    }

    #[test]
    fn arrays_are_split_into_elements() {
        assert_eq!(elements(" [ ] ").unwrap(), Vec::<&str>::new());
        assert_eq!(elements("[{\"a\": [1]} , 2,\"x,]\"]").unwrap(), ["{\"a\": [1]}", "2", "\"x,]\""]);
        assert_eq!(wrong_from(elements("[1,]")), 3);
        assert_eq!(elements("[1"), Err(JsonError::EndsEarly));
        assert_eq!(wrong_from(elements("[] []")), 3);
        assert_eq!(wrong_from(elements("5")), 0);
    }

    proptest! {
        #[test]
        fn reads_back_what_serde_json_writes(key in "\\PC*", text in any::<String>(), number in any::<u64>()) {
            let object = serde_json::json!({ "first": [text], (key.clone()): { "text": text, "number": number } });
            for written in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
                let mut selection = Selection::default();
                let slots = [selection.add([&key[..], "text"]), selection.add([&key[..], "number"])];
                let mut found = Vec::new();
                select(&written, &selection, &mut found).unwrap();
                prop_assert_eq!(&found[slots[0]], &Some(Value::Text(text.as_str().into())));
                prop_assert_eq!(&found[slots[1]], &Some(Value::Number(&number.to_string())));
            }
        }
    }
}
