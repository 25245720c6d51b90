//! Paths of values in nested data. JSON objects, CloudEvents and the structs and lists of Parquet have the same syntax.
//!
//! | path | value |
//! | --- | --- |
//! | `usage.count` | the field `count` of the object `usage` |
//! | `measures[0].quantity` | the field of the first element of a list |
//! | `measures[].quantity` | the field of each element; each element becomes a record of its own |
//! | `apps[].measures[].quantity` | the field of each element of a list inside the elements of another list |
//!
//! The name of a list is its path without the last `[]`: `measures`, or `apps[].measures`.

/// One step of a path, from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The field of an object or a struct.
    Field(String),
    /// The element of a list at a position, counted from zero.
    Element(usize),
    /// Every element of a list.
    Each,
}

/// A path, whose first step is a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Step>);

/// The reason why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("an invalid path")]
    Syntax,
    #[error("a path with more than {MOST_LISTS} `[]`")]
    TooManyLists,
}

/// The largest number of lists through which a path leads. Documents of real publishers have at most three.
pub const MOST_LISTS: usize = 4;

/// The positions of an element: in the outermost list, in the list inside of it, and so on. Positions count from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Positions {
    at: [u32; MOST_LISTS],
    count: usize,
}

impl Positions {
    /// These positions, followed by the position in the next list.
    #[must_use]
    pub fn followed_by(mut self, position: u32) -> Self {
        if let Some(next) = self.at.get_mut(self.count) {
            *next = position;
            self.count += 1;
        }
        self
    }

    pub fn as_slice(&self) -> &[u32] {
        &self.at[..self.count]
    }

    /// The positions in a text such as `[1][0]`. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut positions = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (digits, after) = rest.strip_prefix('[')?.split_once(']')?;
            let position: u32 = digits.parse().ok()?;
            if positions.count == MOST_LISTS || position.to_string() != digits {
                return None;
            }
            (positions, rest) = (positions.followed_by(position), after);
        }
        Some(positions)
    }

    /// Whether the first positions are those of an outer element.
    pub fn start_with(&self, outer: &Self) -> bool {
        self.as_slice().starts_with(outer.as_slice())
    }

    /// The positions after the first ones, as text: `[1][0]`.
    pub fn after(&self, count: usize) -> String {
        self.as_slice().iter().skip(count).map(|position| format!("[{position}]")).collect()
    }
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (field, brackets) = part.split_at(part.find('[').unwrap_or(part.len()));
            if field.is_empty() || field.contains(']') {
                return Err(PathError::Syntax);
            }
            steps.push(Step::Field(field.to_owned()));
            let mut rest = brackets;
            while !rest.is_empty() {
                let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let Some((position, after)) = inner else { return Err(PathError::Syntax) };
                steps.push(match position {
                    "" => Step::Each,
                    digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                        Step::Element(digits.parse().map_err(|_| PathError::Syntax)?)
                    }
                    _ => return Err(PathError::Syntax),
                });
                rest = after;
            }
        }
        if steps.iter().filter(|step| **step == Step::Each).count() > MOST_LISTS {
            return Err(PathError::TooManyLists);
        }
        Ok(Self(steps))
    }

    /// The steps between the lists of the path: to the outermost list, from its elements to the next list, and so on.
    /// The last steps lead from an element of the innermost list to the value.
    pub fn levels(&self) -> impl Iterator<Item = &[Step]> {
        self.0.split(|step| *step == Step::Each)
    }

    /// Whether the path contains the position of an element.
    pub fn has_position(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Element(_)))
    }
}

/// The innermost list to whose elements a path leads, such as `measures` of `measures[].quantity`. `None` if the path
/// leads to one value, or if the text is not a path.
pub fn list_of(text: &str) -> Option<&str> {
    Path::parse(text).ok()?;
    text.rfind("[]").map(|end| &text[..end])
}

/// The number of lists through which a path leads.
pub fn depth_of(text: &str) -> usize {
    text.matches("[]").count()
}

/// Whether the elements of a list are in the elements of another list, or of the same list.
pub fn is_within(list: &str, outer: &str) -> bool {
    list.strip_prefix(outer).is_some_and(|inside| inside.is_empty() || inside.starts_with("[]"))
}

/// The innermost of some lists, if each of them is within the others. If two lists exclude each other, both are
/// returned as an error.
pub fn innermost<'l>(lists: impl IntoIterator<Item = &'l str>) -> Result<Option<&'l str>, (&'l str, &'l str)> {
    let mut innermost: Option<&str> = None;
    for list in lists {
        innermost = match innermost {
            Some(other) if is_within(other, list) => Some(other),
            Some(other) if !is_within(list, other) => return Err((other, list)),
            _ => Some(list),
        };
    }
    Ok(innermost)
}

/// The path of one element: `apps[1].measures[0]` for the list `apps[].measures` and the positions 1 and 0.
pub fn element_path(list: &str, positions: Positions) -> String {
    let mut path = String::new();
    for (part, position) in list.split("[]").zip(positions.as_slice()) {
        path += &format!("{part}[{position}]");
    }
    path
}

/// The path of a list inside of an element, whose positions are given: `apps[1].measures` for `apps[].measures`.
pub fn place_of_list(list: &str, outer: Positions) -> String {
    let last = list.rfind("[]").map_or(list, |end| &list[end + 2..]);
    format!("{}{last}", element_path(list, outer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_fields_positions_and_lists() {
        let field = |name: &str| Step::Field(name.to_owned());
        for (text, steps) in [
            ("a", vec![field("a")]),
            ("a.b c", vec![field("a"), field("b c")]),
            ("a[0][12].b", vec![field("a"), Step::Element(0), Step::Element(12), field("b")]),
            ("a.b[].c", vec![field("a"), field("b"), Step::Each, field("c")]),
            ("a[].b[].c", vec![field("a"), Step::Each, field("b"), Step::Each, field("c")]),
        ] {
            assert_eq!(Path::parse(text), Ok(Path(steps)), "{text}");
        }
        for text in ["", "a.", ".a", "[]", "a[", "a]", "a[x]", "a[-1]", "a[0]b", "a[99999999999999999999]"] {
            assert_eq!(Path::parse(text), Err(PathError::Syntax), "{text}");
        }
        assert!(Path::parse("a[].b[].c[].d[]").is_ok());
        assert_eq!(Path::parse("a[].b[].c[].d[][]"), Err(PathError::TooManyLists));
        assert_eq!(list_of("a.b[].c"), Some("a.b"));
        assert_eq!(list_of("a[0][].c"), Some("a[0]"));
        assert_eq!(list_of("a[].b[].c"), Some("a[].b"));
        assert_eq!((list_of("a[0].b"), list_of("a[].b[")), (None, None));
        assert_eq!((depth_of("a"), depth_of("a[]"), depth_of("a[].b[0][].c")), (0, 1, 2));
        let path = Path::parse("a[].b[]").unwrap();
        assert_eq!(path.levels().collect::<Vec<_>>(), [&[field("a")][..], &[field("b")], &[]]);
    }

    #[test]
    fn the_innermost_list_is_within_all_others() {
        assert_eq!(innermost([]), Ok(None));
        assert_eq!(innermost(["a", "a[].b", "a"]), Ok(Some("a[].b")));
        assert_eq!(innermost(["a[]", "a"]), Ok(Some("a[]")));
        // A list whose name begins like that of another list is not within it.
        for (one, other) in [("a", "ab"), ("a", "b"), ("a[].b", "a[].c"), ("a[].b", "a[0].b"), ("a.b", "a[].b")] {
            assert_eq!(innermost([one, other]), Err((one, other)));
        }
        let positions = Positions::default().followed_by(1).followed_by(0);
        assert_eq!(element_path("a.b", Positions::default().followed_by(4)), "a.b[4]");
        assert_eq!(element_path("a[].b", positions), "a[1].b[0]");
        assert_eq!(element_path("a[]", positions), "a[1][0]");
        assert_eq!(place_of_list("a.b", Positions::default()), "a.b");
        assert_eq!(place_of_list("a[].b", Positions::default().followed_by(1)), "a[1].b");
        assert_eq!(
            (positions.after(0), positions.after(1), positions.after(2)),
            ("[1][0]".into(), "[0]".into(), "".into())
        );
    }
}
