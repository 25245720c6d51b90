//! The records of a text file: lines, and JSON objects that span lines.

use std::io::{self, BufRead, Chain, Cursor, Read};

use memchr::memchr;

use crate::intake::formats::compression::{Decoded, Fault};

/// The longest record. A longer one is rejected, so that a file without line breaks cannot exhaust memory.
pub(super) const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// The length of a file's start in which a zero byte indicates binary data.
pub(super) const HEAD_BYTES: usize = 8 * 1024;
pub(in crate::intake) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file.
pub(super) struct Lines<'d, R> {
    source: Chain<Cursor<Vec<u8>>, &'d mut Decoded<R>>,
    /// The length of the last returned line with its line break, which are still in the source's buffer.
    lent: usize,
    /// A line that was not completely in the source's buffer.
    buffer: Vec<u8>,
    number: u64,
}

/// One line, without its line break.
#[derive(Debug)]
pub(super) struct Line<'l> {
    /// The number of the line, starting with one.
    pub number: u64,
    pub bytes: &'l [u8],
    pub end: LineEnd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    LineBreak,
    /// The end of the file, with the fault that truncated it, if any.
    File(Option<Fault>),
    /// The line is longer than a record may be. The part after `bytes` was skipped.
    TooLong,
}

impl<'d, R: BufRead> Lines<'d, R> {
    pub(super) fn open(decoded: &'d mut Decoded<R>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        decoded.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Self { source: Cursor::new(head).chain(decoded), lent: 0, buffer: Vec::new(), number: 0 })
    }

    /// The start of the file if it is binary. Call this method before the first line is read.
    ///
    /// A machine that loses power may leave zero bytes in a file of valid lines. If any line without zeros begins like
    /// a JSON object, the file is read and only the lines with zeros are rejected.
    pub(super) fn binary_head(&self) -> Option<&[u8]> {
        let head = self.source.get_ref().0.get_ref();
        let has_objects =
            || head.split(|byte| *byte == b'\n').any(|line| line.first() == Some(&b'{') && !line.contains(&0));
        (head.contains(&0) && !has_objects()).then_some(head)
    }

    /// The reason why the file ended early. It is final after the last line.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.source.get_ref().1.fault()
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.source.consume(std::mem::take(&mut self.lent));
        // Most lines are completely in the source's buffer and are borrowed from it.
        if let Some(length) = self.whole_line()? {
            self.lent = length + 1;
            self.number += 1;
            let bytes = &self.source.fill_buf()?[..length];
            return Ok(Some(Line { number: self.number, bytes, end: LineEnd::LineBreak }));
        }
        self.buffer.clear();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        if self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let end = if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            LineEnd::LineBreak
        } else if self.buffer.len() > MAX_RECORD_BYTES {
            self.source.skip_until(b'\n')?;
            LineEnd::TooLong
        } else {
            LineEnd::File(self.fault().cloned())
        };
        Ok(Some(Line { number: self.number, bytes: &self.buffer, end }))
    }

    /// The length of the next line, if the source's buffer contains all of it.
    fn whole_line(&mut self) -> io::Result<Option<usize>> {
        loop {
            match self.source.fill_buf() {
                Ok(buffered) => return Ok(memchr(b'\n', &buffered[..buffered.len().min(MAX_RECORD_BYTES + 1)])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Splits a JSON text that spans lines into its objects. The text contains objects, arrays of objects, or both.
///
/// The splitter follows only quotes and brackets. The reader checks whether an object is well-formed.
#[derive(Debug, Default)]
pub(super) struct ObjectSplitter {
    position: Position,
    /// The bytes that were read of the object that starts in `first_line`.
    object: Vec<u8>,
    first_line: u64,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Outside,
    ArrayStart,
    AfterComma,
    AfterElement,
}

/// An unexpected character between objects, or an object that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error(
        "unexpected character in column {0}, expected JSON objects or an array of them; \
         the rest of the file is not read"
    )]
    Unexpected(usize),
    #[error("the JSON object is longer than {MAX_RECORD_BYTES} bytes; the rest of the file is not read")]
    TooLong,
}

impl ObjectSplitter {
    /// Reads the next line and passes on each object that ends in it, with the line where it began.
    pub(super) fn line(
        &mut self,
        number: u64,
        line: &[u8],
        mut emit: impl FnMut(u64, &[u8]),
    ) -> Result<(), SplitError> {
        for (index, byte) in line.iter().chain(b"\n").enumerate() {
            if self.depth > 0 {
                self.inside(*byte)?;
                if self.depth == 0 {
                    emit(self.first_line, &self.object);
                    self.object.clear();
                }
                continue;
            }
            self.position = match (self.position, byte) {
                (position, b' ' | b'\t' | b'\r' | b'\n') => position,
                (Position::Outside, b'[') => Position::ArrayStart,
                (Position::ArrayStart | Position::AfterElement, b']') => Position::Outside,
                (Position::AfterElement, b',') => Position::AfterComma,
                (Position::Outside | Position::ArrayStart | Position::AfterComma, b'{') => {
                    self.first_line = number;
                    self.depth = 1;
                    self.object.push(b'{');
                    if self.position == Position::Outside { Position::Outside } else { Position::AfterElement }
                }
                _ => return Err(SplitError::Unexpected(index + 1)),
            };
        }
        Ok(())
    }

    fn inside(&mut self, byte: u8) -> Result<(), SplitError> {
        if self.object.len() >= MAX_RECORD_BYTES {
            return Err(SplitError::TooLong);
        }
        self.object.push(byte);
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// The line and the text of an unfinished object, if the file ends within an object or an array.
    pub(super) fn unfinished(&self) -> Option<(u64, &[u8])> {
        (self.depth > 0 || self.position != Position::Outside).then_some((self.first_line.max(1), &self.object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;

    fn lines(bytes: &[u8]) -> Vec<(u64, Vec<u8>, LineEnd)> {
        let mut decoded = open(bytes).unwrap();
        let mut lines = Lines::open(&mut decoded).unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.number, line.bytes.to_vec(), line.end));
        }
        found
    }

    fn split(text: &str) -> (Vec<(u64, String)>, Option<SplitError>, bool) {
        let mut splitter = ObjectSplitter::default();
        let mut found = Vec::new();
        let mut error = None;
        for (index, line) in text.lines().enumerate() {
            let emit = |line, object: &[u8]| found.push((line, String::from_utf8_lossy(object).into_owned()));
            if let Err(problem) = splitter.line(index as u64 + 1, line.as_bytes(), emit) {
                error = Some(problem);
                break;
            }
        }
        (found, error, splitter.unfinished().is_some())
    }

    #[test]
    fn lines_end_at_line_breaks_and_at_the_end() {
        assert_eq!(lines(b""), []);
        let found = lines(b"\xef\xbb\xbfone\n\ntwo");
        assert_eq!(found[0], (1, b"one".to_vec(), LineEnd::LineBreak));
        assert_eq!(found[1], (2, b"".to_vec(), LineEnd::LineBreak));
        assert_eq!(found[2], (3, b"two".to_vec(), LineEnd::File(None)));
    }

    #[test]
    fn a_line_that_is_too_long_is_truncated_and_the_next_is_read() {
        let mut text = vec![b'x'; MAX_RECORD_BYTES + 5];
        text.extend(b"\n");
        text.extend(vec![b'y'; MAX_RECORD_BYTES]);
        text.extend(b"\nz");
        let found = lines(&text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].2, LineEnd::TooLong);
        assert_eq!((found[1].1.len(), &found[1].2), (MAX_RECORD_BYTES, &LineEnd::LineBreak));
        assert_eq!(found[2], (3, b"z".to_vec(), LineEnd::File(None)));
    }

    #[test]
    fn objects_are_found_across_lines() {
        let (found, error, unfinished) = split("[\n {\n  \"a\": \"}]\\\"{\"\n },\n {\"b\": [{}]}\n]\n{}\n{\n}\n[]\n");
        assert_eq!((error, unfinished), (None, false));
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], (2, "{\n  \"a\": \"}]\\\"{\"\n }".to_owned()));
        assert_eq!(found[1], (5, "{\"b\": [{}]}".to_owned()));
        assert_eq!((found[2].0, found[3].0), (7, 8));
    }

    #[test]
    fn characters_between_objects_are_checked() {
        assert_eq!(split("[\n{} {}\n]").1, Some(SplitError::Unexpected(4)));
        assert_eq!(split("[\n{},\n]").1, Some(SplitError::Unexpected(1)));
        assert_eq!(split("[\n1\n]").1, Some(SplitError::Unexpected(1)));
        assert_eq!(split("{}\n,").1, Some(SplitError::Unexpected(1)));
        assert!(split("[\n{},").2);
        assert!(split("[\n{").2);
        assert!(split("{").2);
    }
}
