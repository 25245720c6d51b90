//! The JSON objects of a file: one or an array of them on each line, or one text that spans lines, as people save them.
//!
//! A file whose first line is a bracket alone is read as a text that spans lines; in any other, a broken line is one
//! rejection and the next line is read.

use std::io::{self, BufRead};

use super::compression::{Decoded, Fault};
use super::json::{self, JsonError};
use crate::intake::formats::lines::{LONGEST_RECORD_BYTES, LineEnd, Lines, ObjectSplitter};
use crate::intake::rejection_reason::Reason;

/// Takes what stands in a file, object by object.
pub(crate) trait ObjectReader {
    /// Takes an object, or what stands in the place of one. An error is told as the object's or, where it ends in the
    /// middle, as the file's.
    fn object(&mut self, line: u64, text: &str) -> Result<(), JsonError>;

    fn reject(&mut self, reason: Reason, detail: String, line: u64, raw: &[u8]);

    /// How whoever writes such files makes them JSON.
    fn in_json(&self) -> &'static str {
        "write it with `json.dumps`"
    }
}

/// Gives every object of a file to the reader. Only an error of the source itself ends it early.
pub(crate) fn read<R: BufRead>(decoded: &mut Decoded<R>, reader: &mut impl ObjectReader) -> io::Result<()> {
    let mut lines = Lines::open(decoded)?;
    let mut texts = Texts { reader, fault_is_told: false };
    if let Some(head) = lines.binary_head() {
        let detail = "the file holds binary data, expected lines of JSON".to_owned();
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
                let detail = format!("the line is longer than {LONGEST_RECORD_BYTES} bytes");
                texts.reader.reject(Reason::Malformed, detail, line.number, line.bytes);
            }
            (None, end) => texts.text(line.number, line.bytes, &end),
            (Some(splitter), _) => {
                let give = |number, object: &[u8]| texts.text(number, object, &LineEnd::LineBreak);
                if let Err(error) = splitter.line(line.number, line.bytes, give) {
                    texts.reader.reject(Reason::Malformed, error.to_string(), line.number, line.bytes);
                    return Ok(());
                }
            }
        }
    }
    let fault = lines.fault().cloned();
    if let Some((first_line, object)) = splitter.as_ref().and_then(ObjectSplitter::unfinished) {
        texts.broken_off(first_line, object, fault.as_ref());
    } else if let Some(fault) = fault.filter(|_| !texts.fault_is_told) {
        texts.reader.reject(fault.reason(), fault.to_string(), last_line, b"");
    }
    Ok(())
}

struct Texts<'r, O> {
    reader: &'r mut O,
    /// Whether the object that the file's fault cut was refused for it, so that it is not told twice.
    fault_is_told: bool,
}

impl<O: ObjectReader> Texts<'_, O> {
    /// Takes a line or an object that spans lines.
    fn text(&mut self, line: u64, bytes: &[u8], end: &LineEnd) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_ascii(),
            Err(error) if error.error_len().is_none() && *end != LineEnd::LineBreak => {
                return self.cut(line, bytes, end);
            }
            Err(error) => {
                let detail = format!("the text is not UTF-8 from byte {} on", error.valid_up_to() + 1);
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
            Err(JsonError::EndsEarly) if *end != LineEnd::LineBreak => self.cut(line, bytes, end),
            Err(_) if text.starts_with("{'") || text.starts_with("[{'") => {
                let detail = format!("this is Python's notation and not JSON: {}", self.reader.in_json());
                self.reader.reject(Reason::Malformed, detail, line, bytes);
            }
            Err(error) => self.reader.reject(Reason::Malformed, error.to_string(), line, bytes),
        }
    }

    /// Refuses the last line for the end of the file in its middle.
    fn cut(&mut self, line: u64, bytes: &[u8], end: &LineEnd) {
        let fault = match end {
            LineEnd::File(fault) => fault.as_ref(),
            LineEnd::LineBreak | LineEnd::TooLong => None,
        };
        self.broken_off(line, bytes, fault);
    }

    fn broken_off(&mut self, line: u64, bytes: &[u8], fault: Option<&Fault>) {
        self.fault_is_told = fault.is_some();
        let (reason, detail) = match fault {
            Some(fault) => (fault.reason(), fault.to_string()),
            None => (Reason::Truncated, "the file ends in the middle of this record".to_owned()),
        };
        self.reader.reject(reason, detail, line, bytes);
    }

    /// An object of an array whose text was checked.
    fn element(&mut self, line: u64, text: &str) {
        if let Err(error) = self.reader.object(line, text) {
            self.reader.reject(Reason::Malformed, error.to_string(), line, text.as_bytes());
        }
    }
}
