//! Paths of values in nested data. JSON objects, CloudEvents and the structs and lists of Parquet have the same syntax.
//!
//! | path | value |
//! | --- | --- |
//! | `usage.count` | the field `count` of the object `usage` |
//! | `measures[0].quantity` | the field of the first element of a list |
//! | `measures[].quantity` | the field of each element; each element becomes a record of its own |

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
    #[error("a path with more than one `[]`")]
    SeveralLists,
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
        if steps.iter().filter(|step| **step == Step::Each).count() > 1 {
            return Err(PathError::SeveralLists);
        }
        Ok(Self(steps))
    }

    /// The steps to the list and the steps inside its elements, if the path leads to every element of a list.
    pub fn split(&self) -> Option<(&[Step], &[Step])> {
        let each = self.0.iter().position(|step| *step == Step::Each)?;
        Some((&self.0[..each], &self.0[each + 1..]))
    }

    /// Whether the path contains the position of an element.
    pub fn has_position(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Element(_)))
    }
}

/// The path of the list to whose elements a path leads, such as `measures` of `measures[].quantity`. `None` if the path
/// leads to one value, or if the text is not a path.
pub fn list_of(text: &str) -> Option<&str> {
    Path::parse(text).ok()?;
    text.find("[]").map(|end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_fields_positions_and_at_most_one_list() {
        let field = |name: &str| Step::Field(name.to_owned());
        for (text, steps) in [
            ("a", vec![field("a")]),
            ("a.b c", vec![field("a"), field("b c")]),
            ("a[0][12].b", vec![field("a"), Step::Element(0), Step::Element(12), field("b")]),
            ("a.b[].c", vec![field("a"), field("b"), Step::Each, field("c")]),
        ] {
            assert_eq!(Path::parse(text), Ok(Path(steps)), "{text}");
        }
        for text in ["", "a.", ".a", "[]", "a[", "a]", "a[x]", "a[-1]", "a[0]b", "a[99999999999999999999]"] {
            assert_eq!(Path::parse(text), Err(PathError::Syntax), "{text}");
        }
        assert_eq!(Path::parse("a[].b[].c"), Err(PathError::SeveralLists));
        assert_eq!(list_of("a.b[].c"), Some("a.b"));
        assert_eq!(list_of("a[0][].c"), Some("a[0]"));
        assert_eq!((list_of("a[0].b"), list_of("a[].b[].c")), (None, None));
    }
}
