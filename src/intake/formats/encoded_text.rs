//! The text of a file in UTF-8, decoded from the encoding of its source.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use crate::intake::formats::compression::{Decoded, Fault};

/// The byte that replaces an invalid sequence. It is never part of UTF-8, so that the reader rejects its row.
const INVALID: u8 = 0xff;

const BUFFER: usize = 64 * 1024;

/// A file as UTF-8. A file in UTF-8 passes unchanged, and its reader checks it.
pub(super) struct EncodedText<'d, R> {
    file: &'d mut Decoded<R>,
    conversion: Option<Conversion>,
}

struct Conversion {
    decoder: Decoder,
    /// The bytes of the file that are not decoded yet.
    input: Vec<u8>,
    /// Decoded text, of which the first `passed` bytes were read.
    output: Vec<u8>,
    passed: usize,
    is_ended: bool,
}

impl<'d, R: BufRead> EncodedText<'d, R> {
    /// `start` is the start of the file, which was read before.
    pub(super) fn new(file: &'d mut Decoded<R>, start: Vec<u8>, encoding: &'static Encoding) -> Self {
        let conversion = Conversion {
            decoder: encoding.new_decoder_with_bom_removal(),
            input: start,
            output: Vec::new(),
            passed: 0,
            is_ended: false,
        };
        Self { file, conversion: (encoding != UTF_8).then_some(conversion) }
    }

    /// The reason why the file ended early. It is final at the end of the text.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.file.fault()
    }
}

impl<R: BufRead> Read for EncodedText<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(conversion) = &mut self.conversion else { return self.file.read(buffer) };
        while conversion.passed == conversion.output.len() && !conversion.is_ended {
            conversion.next(self.file)?;
        }
        let rest = &conversion.output[conversion.passed..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        conversion.passed += length;
        Ok(length)
    }
}

impl Conversion {
    /// Replaces the output by the text of the next bytes.
    fn next(&mut self, file: &mut impl Read) -> io::Result<()> {
        let length = self.input.len();
        self.input.resize(length + BUFFER, 0);
        let read = file.read(&mut self.input[length..])?;
        self.input.truncate(length + read);
        let is_last = read == 0;
        self.output.clear();
        self.passed = 0;
        let mut rest = self.input.as_slice();
        loop {
            let needed = self.decoder.max_utf8_buffer_length_without_replacement(rest.len());
            let start = self.output.len();
            self.output.resize(start + needed.unwrap_or(rest.len()).max(16), 0);
            let (result, consumed, written) =
                self.decoder.decode_to_utf8_without_replacement(rest, &mut self.output[start..], is_last);
            self.output.truncate(start + written);
            rest = &rest[consumed..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.output.push(INVALID),
            }
        }
        self.input.clear();
        self.is_ended = is_last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;

    fn text(bytes: &[u8], label: &str) -> Vec<u8> {
        let mut file = open(bytes).unwrap();
        let mut start = vec![0; bytes.len().min(3)];
        file.read_exact(&mut start).unwrap();
        let mut text = EncodedText::new(&mut file, start, Encoding::for_label(label.as_bytes()).unwrap());
        let mut found = Vec::new();
        text.read_to_end(&mut found).unwrap();
        found
    }

    #[test]
    fn text_is_decoded_across_buffers_and_invalid_bytes_are_marked() {
        assert_eq!(text(b"Z\xe4hler", "windows-1252"), "Zähler".as_bytes());
        assert_eq!(text(b"\xff\xfea\0\xe4\0", "utf-16le"), "aä".as_bytes());
        assert_eq!(text(b"a\0\0\xd8b\0c", "utf-16le"), b"a\xffb\xff");
        assert_eq!(text(b"", "shift_jis"), b"");
        let long = "x€".repeat(100_000);
        let wide: Vec<u8> = long.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&wide, "utf-16be"), long.as_bytes());
    }
}
