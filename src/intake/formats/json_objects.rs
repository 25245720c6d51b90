//! The reader of the JSON objects of a file. Each line is one object or an array of objects, or the file is one
//! formatted text that spans lines.
//!
//! If the first line consists only of opening brackets, the file is read as a text that spans lines. In any other file
//! an invalid line is one rejection, and the next line is read.

use std::io::{self, BufRead};

use super::compression::{Decoded, Fault};
use super::json::{self, JsonError};
use crate::intake::formats::lines::{LineEnd, Lines, MAX_RECORD_BYTES, ObjectSplitter};
use crate::intake::rejection_reason::Reason;
use crate::model::dialect::utf_16_of;

/// The receiver of a file's objects.
pub(crate) trait ObjectReader {
    /// Reads an object or any other JSON value. A returned error is reported for the object, or for the file if the
    /// file ends within the object.
    fn object(&mut self, line: u64, text: &str) -> Result<(), JsonError>;

    fn reject(&mut self, reason: Reason, detail: String, line: u64, raw: &[u8]);

    /// The instruction for writing such files as JSON instead of Python notation.
    fn python_hint(&self) -> &'static str {
        "write it with `json.dumps`"
    }
}

/// Passes every object of a file to the reader. Only an error of the source itself stops the reading early.
pub(crate) fn read<R: BufRead>(decoded: &mut Decoded<R>, reader: &mut impl ObjectReader) -> io::Result<()> {
    let mut lines = Lines::open(decoded)?;
    let mut texts = Texts { reader, fault_is_reported: false };
    if let Some(head) = lines.binary_head() {
        let detail = match utf_16_of(head) {
            Some(found) => {
                format!("the file is {}, expected lines of JSON in UTF-8: convert it to UTF-8", found.name())
            }
            None => "the file contains binary data, expected lines of JSON".to_owned(),
        };
        texts.reader.reject(Reason::NotText, detail, 1, head);
        return Ok(());
    }
    let mut splitter: Option<ObjectSplitter> = None;
    let mut seen_text = false;
    let mut last_line = 1;
    while let Some(line) = lines.next()? {
        last_line = line.number;
        let text = line.bytes.trim_ascii();
        if !seen_text && !text.is_empty() {
            seen_text = true;
            splitter = matches!(text, b"[" | b"{" | b"[{").then(ObjectSplitter::default);
        }
        match (&mut splitter, line.end) {
            (_, LineEnd::TooLong) => {
                let detail = format!("the line is longer than {MAX_RECORD_BYTES} bytes");
                texts.reader.reject(Reason::Malformed, detail, line.number, line.bytes);
            }
            (None, end) => texts.text(line.number, line.bytes, &end),
            (Some(splitter), _) => {
                let emit = |number, object: &[u8]| texts.text(number, object, &LineEnd::LineBreak);
                if let Err(error) = splitter.line(line.number, line.bytes, emit) {
                    texts.reader.reject(Reason::Malformed, error.to_string(), line.number, line.bytes);
                    return Ok(());
                }
            }
        }
    }
    let fault = lines.fault().cloned();
    if let Some((first_line, object)) = splitter.as_ref().and_then(ObjectSplitter::unfinished) {
        texts.reject_truncated(first_line, object, fault.as_ref());
    } else if let Some(fault) = fault.filter(|_| !texts.fault_is_reported) {
        texts.reader.reject(fault.reason(), fault.to_string(), last_line, b"");
    }
    Ok(())
}

struct Texts<'r, O> {
    reader: &'r mut O,
    /// Whether the fault of the file was already reported with the object that it truncated.
    fault_is_reported: bool,
}

impl<O: ObjectReader> Texts<'_, O> {
    /// Reads a line, or an object that spans lines.
    fn text(&mut self, line: u64, bytes: &[u8], end: &LineEnd) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_ascii(),
            Err(error) if error.error_len().is_none() && *end != LineEnd::LineBreak => {
                return self.reject_cut(line, bytes, end);
            }
            Err(error) => {
                let detail = format!("the text is not UTF-8 from byte {}", error.valid_up_to() + 1);
                return self.reader.reject(Reason::NotUtf8, detail, line, bytes);
            }
        };
        if text.is_empty() {
            return;
        }
        let result = if text.starts_with('[') {
            json::elements(text).map(|objects| objects.into_iter().for_each(|object| self.element(line, object)))
        } else {
            self.reader.object(line, text)
        };
        match result {
            Ok(()) => {}
            Err(JsonError::EndsEarly) if *end != LineEnd::LineBreak => self.reject_cut(line, bytes, end),
            Err(_) if text.starts_with("{'") || text.starts_with("[{'") => {
                let detail = format!("the text is in Python notation, expected JSON: {}", self.reader.python_hint());
                self.reader.reject(Reason::Malformed, detail, line, bytes);
            }
            Err(error) => self.reader.reject(Reason::Malformed, error.to_string(), line, bytes),
        }
    }

    /// Rejects the last line, because the file ends within it.
    fn reject_cut(&mut self, line: u64, bytes: &[u8], end: &LineEnd) {
        let fault = match end {
            LineEnd::File(fault) => fault.as_ref(),
            LineEnd::LineBreak | LineEnd::TooLong => None,
        };
        self.reject_truncated(line, bytes, fault);
    }

    fn reject_truncated(&mut self, line: u64, bytes: &[u8], fault: Option<&Fault>) {
        self.fault_is_reported = fault.is_some();
        let (reason, detail) = match fault {
            Some(fault) => (fault.reason(), fault.to_string()),
            None => (Reason::Truncated, "the file ends in the middle of this record".to_owned()),
        };
        self.reader.reject(reason, detail, line, bytes);
    }

    /// Reads one object of an array. The JSON of the array is already checked.
    fn element(&mut self, line: u64, text: &str) {
        if let Err(error) = self.reader.object(line, text) {
            self.reader.reject(Reason::Malformed, error.to_string(), line, text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;

    #[derive(Default)]
    struct Rejected(Vec<String>);

    impl ObjectReader for Rejected {
        fn object(&mut self, _: u64, _: &str) -> Result<(), JsonError> {
            Ok(())
        }

        fn reject(&mut self, reason: Reason, detail: String, _: u64, _: &[u8]) {
            self.0.push(format!("{}: {detail}", reason.name()));
        }
    }

    #[test]
    fn a_file_in_utf_16_is_named_by_its_encoding() {
        let rejected = |bytes: &[u8]| {
            let mut rejected = Rejected::default();
            read(&mut open(bytes).unwrap(), &mut rejected).unwrap();
            rejected.0
        };
        let named = |name: &str| {
            [format!("not_text: the file is {name}, expected lines of JSON in UTF-8: convert it to UTF-8")]
        };
        let text = "{\"meter\": \"m\"}\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(rejected(&[b"\xff\xfe", little.as_slice()].concat()), named("UTF-16LE"));
        assert_eq!(rejected(&little), named("UTF-16LE"));
        assert_eq!(rejected(&big), named("UTF-16BE"));
        assert_eq!(rejected(b"\x7fELF\x00"), ["not_text: the file contains binary data, expected lines of JSON"]);
        assert_eq!(rejected(text.as_bytes()), Vec::<String>::new());
    }
}
