//! The reader of samples in MessagePack, as Ceilometer's publishers for udp and tcp send them. A file contains the
//! samples one after the other. Each map is a sample. In data of the tcp publisher, each sample has a little-endian
//! length prefix of eight bytes.
//!
//! A map is converted to JSON and read like any other sample. Integers are written unchanged. A float is written as the
//! shortest decimal that identifies it, as in Python's conversion to JSON.

use std::fmt::{self, Write as _};
use std::io::{self, BufRead, Read};

use rmp_serde::decode;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::compression::{Decoded, Fault};
use crate::intake::formats::lines::MAX_RECORD_BYTES;
use crate::intake::rejection_reason::Reason;

/// The way in which a file separates samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Concatenated maps without a prefix.
    Datagrams,
    /// Each map has a length prefix.
    Lengths,
}

/// The reason why a sample cannot be read.
#[derive(Debug, thiserror::Error)]
enum MessagePackError {
    #[error("the file ends in the middle of this sample")]
    EndsEarly,
    #[error("it is longer than its length prefix")]
    ShortFrame,
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    #[error("a text is not UTF-8")]
    NotUtf8,
    #[error("it is nested too deeply")]
    TooDeep,
    #[error("it is longer than {MAX_RECORD_BYTES} bytes")]
    TooLong,
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Io(io::Error),
}

impl From<decode::Error> for MessagePackError {
    fn from(error: decode::Error) -> Self {
        match error {
            decode::Error::InvalidMarkerRead(error) | decode::Error::InvalidDataRead(error) => error.into(),
            decode::Error::TypeMismatch(_) => Self::Unexpected("reserved byte"),
            decode::Error::Utf8Error(_) => Self::NotUtf8,
            decode::Error::DepthLimitExceeded => Self::TooDeep,
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<io::Error> for MessagePackError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::EndsEarly } else { Self::Io(error) }
    }
}

const LENGTH_BYTES: usize = 8;
/// The nesting limit of lists and maps in one sample.
const MAX_DEPTH: usize = 64;

/// Recognizes the framing of a file by its first bytes. `None` if the file is not MessagePack. No text begins with such
/// bytes.
pub(crate) fn framing<R: BufRead>(decoded: &mut Decoded<R>) -> io::Result<Option<Framing>> {
    let head = decoded.fill_buf()?;
    let is_map = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, 0x80..=0x8f | 0xde | 0xdf));
    let length = head.first_chunk().map(|length| u64::from_le_bytes(*length));
    Ok(if is_map(head.first()) {
        Some(Framing::Datagrams)
    } else if length.is_some_and(|length| length <= MAX_RECORD_BYTES as u64) && is_map(head.get(LENGTH_BYTES)) {
        Some(Framing::Lengths)
    } else {
        None
    })
}

/// Passes each sample to `emit`: its number (starting with one), its JSON text, and its raw text. If a sample is
/// invalid, the reason for its rejection replaces the JSON text.
pub(crate) fn read<R: BufRead>(
    decoded: &mut Decoded<R>,
    framing: Framing,
    mut emit: impl FnMut(u64, Result<&str, (Reason, String)>, &[u8]),
) -> io::Result<()> {
    let problem_of = |error: MessagePackError, fault: Option<&Fault>| match (error, fault) {
        (MessagePackError::Io(error), _) => Err(error),
        (MessagePackError::EndsEarly, Some(fault)) => Ok((fault.reason(), fault.to_string())),
        (error @ MessagePackError::EndsEarly, None) => Ok((Reason::Truncated, error.to_string())),
        (error, _) => Ok((Reason::Malformed, format!("the data is not a sample in MessagePack: {error}"))),
    };
    let mut number = 0;
    while !decoded.fill_buf()?.is_empty() {
        number += 1;
        let mut text = String::new();
        match framing {
            Framing::Datagrams => {
                if let Err(error) = write_value(decoded, &mut text) {
                    let (reason, detail) = problem_of(error, decoded.fault())?;
                    // The start of the next sample is unknown.
                    let detail = format!("{detail}; the rest of the file is not read");
                    emit(number, Err((reason, detail)), text.as_bytes());
                    return Ok(());
                }
                emit(number, Ok(&text), text.as_bytes());
            }
            Framing::Lengths => {
                let frame = match frame(decoded) {
                    Ok(frame) => frame,
                    Err(error) => {
                        let (reason, detail) = problem_of(error, decoded.fault())?;
                        emit(number, Err((reason, format!("{detail}; the rest of the file is not read"))), b"");
                        return Ok(());
                    }
                };
                let mut rest = &frame[..];
                let written = match write_value(&mut rest, &mut text) {
                    Ok(()) if !rest.is_empty() => Err(MessagePackError::Unexpected("second value")),
                    // The frame is complete, so the sample ends early, not the file.
                    Err(MessagePackError::EndsEarly) => Err(MessagePackError::ShortFrame),
                    written => written,
                };
                match written {
                    Ok(()) => emit(number, Ok(&text), text.as_bytes()),
                    Err(error) => emit(number, Err(problem_of(error, None)?), &frame),
                }
            }
        }
    }
    // A fault between two samples truncates neither sample, so it is reported here.
    if let Some(fault) = decoded.fault() {
        emit(number + 1, Err((fault.reason(), fault.to_string())), b"");
    }
    Ok(())
}

fn frame<R: BufRead>(decoded: &mut Decoded<R>) -> Result<Vec<u8>, MessagePackError> {
    let mut length = [0; LENGTH_BYTES];
    decoded.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    bytes(decoded, length)
}

/// Reads a number of bytes. The allocated memory depends on the available bytes, not on `length`.
fn bytes(reader: &mut impl Read, length: usize) -> Result<Vec<u8>, MessagePackError> {
    if length > MAX_RECORD_BYTES {
        return Err(MessagePackError::TooLong);
    }
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if read == length { Ok(bytes) } else { Err(MessagePackError::EndsEarly) }
}

/// Writes the next value as JSON.
fn write_value(reader: &mut impl Read, text: &mut String) -> Result<(), MessagePackError> {
    let mut limited = reader.take(MAX_RECORD_BYTES as u64);
    let mut decoder = rmp_serde::Deserializer::new(&mut limited);
    decoder.set_max_depth(MAX_DEPTH);
    let written = JsonText(text).deserialize(&mut decoder).map_err(MessagePackError::from);
    match written {
        Err(MessagePackError::EndsEarly) if limited.limit() == 0 => Err(MessagePackError::TooLong),
        written => written,
    }
}

/// A visitor that appends a value to a text as JSON. Numbers keep the digits of their type. A float that is not finite
/// is written as in Python, so that the sample is rejected for its quantity.
struct JsonText<'text>(&'text mut String);

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON can represent")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.push_str("null");
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.0.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        write!(self.0, "{value}").map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        write!(self.0, "{value}").map_err(E::custom)
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<(), E> {
        match not_finite(value.into()) {
            Some(name) => self.0.push_str(name),
            None => write!(self.0, "{value:?}").map_err(E::custom)?,
        }
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        match not_finite(value) {
            Some(name) => self.0.push_str(name),
            None => write!(self.0, "{value:?}").map_err(E::custom)?,
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.0.push_str(&serde_json::to_string(value).map_err(E::custom)?);
        Ok(())
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<(), E> {
        self.visit_str(str::from_utf8(value).map_err(|_| E::custom(MessagePackError::NotUtf8))?)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push('[');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push_str(", ");
            }
            if list.next_element_seed(JsonText(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push_str(", ");
            }
            let key = self.0.len();
            if map.next_key_seed(JsonText(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            if !self.0[key..].starts_with('"') {
                return Err(de::Error::custom(MessagePackError::Unexpected("key that is not a text")));
            }
            self.0.push_str(": ");
            map.next_value_seed(JsonText(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(de::Error::custom(MessagePackError::Unexpected("value of an extension type")))
    }
}

/// The text that Python writes to JSON for a float that is not finite. `None` if the float is finite.
fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value.is_sign_negative() { "-Infinity" } else { "Infinity" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::ceilometer;
    use crate::intake::formats::compression::open;
    use crate::intake::test_sink::TestSink;

    const UDP: &[u8] = include_bytes!("../../../tests/fixtures/ceilometer/30-udp.msgpack");
    const UDP_DECODED: &[u8] = include_bytes!("../../../tests/fixtures/ceilometer/30-udp-decoded.json");
    const TCP: &[u8] = include_bytes!("../../../tests/fixtures/ceilometer/31-tcp.bin");

    fn read_with(bytes: &[u8]) -> TestSink {
        let mut sink = TestSink::new(&["flavor.name", "user_metadata.cost_center"]);
        let counts = ceilometer::read(&mut open(bytes).unwrap(), &mut sink).unwrap();
        assert_eq!(counts.read as usize, sink.records.len() + sink.unmetered.len() + sink.rejected.len());
        sink
    }

    #[test]
    fn a_datagram_has_the_same_result_as_its_json() {
        let (packed, decoded) = (read_with(UDP), read_with(UDP_DECODED));
        assert_eq!((packed.rejected.len(), packed.records.len()), (0, 1));
        let line = |mut sink: TestSink| {
            sink.records[0].line = 1;
            sink.records
        };
        assert_eq!(line(packed), line(decoded));
        // Datagrams can be concatenated and compressed.
        let many = zstd::encode_all(&[UDP, UDP, UDP].concat()[..], 1).unwrap();
        let sink = read_with(&many);
        assert_eq!(sink.records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn samples_from_tcp_are_split_by_their_length_prefixes() {
        let sink = read_with(TCP);
        assert_eq!((sink.rejected.len(), sink.records.len()), (0, 2));
        assert_eq!(sink.records[0].source_meter, "cpu");
        assert_eq!(sink.records[0].quantity.to_string(), "118795008214");
        // Only an invalid frame is rejected.
        let first = 8 + u64::from_le_bytes(*TCP.first_chunk().unwrap()) as usize;
        let wrong = [&5u64.to_le_bytes()[..], b"\xc1\xc1\xc1\xc1\xc1"].concat();
        let sink = read_with(&[&TCP[..first], &wrong, &TCP[first..]].concat());
        assert_eq!((sink.records.len(), sink.rejected.len()), (2, 1));
        assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::Malformed, 2));
    }

    #[test]
    fn a_truncated_file_loses_only_its_last_sample() {
        for (bytes, whole) in [(UDP, 1), (TCP, 2)] {
            let twice = [bytes, bytes].concat();
            for cut in [1, 9, 100] {
                let sink = read_with(&twice[..twice.len() - cut]);
                assert_eq!(sink.records.len(), 2 * whole - 1, "{cut}");
                assert_eq!((sink.rejected.len(), sink.rejected[0].0), (1, Reason::Truncated));
            }
        }
    }

    #[test]
    fn a_fault_between_samples_and_a_short_frame_are_reported() {
        use std::io::Write as _;

        // The file ends after a flush of the compressor, so the data before its end is complete.
        let cut = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.flush().unwrap();
            encoder.get_ref().clone()
        };
        for (bytes, whole) in [(UDP, 1), (TCP, 2)] {
            let sink = read_with(&cut(bytes));
            assert_eq!((sink.records.len(), sink.rejected.len()), (whole, 1));
            assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::Truncated, whole as u64 + 1));
            assert!(sink.rejected[0].1.contains("gzip"), "{}", sink.rejected[0].1);
        }
        let first = 8 + u64::from_le_bytes(*TCP.first_chunk().unwrap()) as usize;
        let short = [&5u64.to_le_bytes()[..], &TCP[8..13], &TCP[first..]].concat();
        let sink = read_with(&short);
        assert_eq!((sink.records.len(), sink.rejected.len(), sink.rejected[0].0), (1, 1, Reason::Malformed));
        assert!(sink.rejected[0].1.ends_with(&MessagePackError::ShortFrame.to_string()), "{}", sink.rejected[0].1);
    }

    #[test]
    fn every_value_is_converted_to_json_and_no_length_exhausts_memory() {
        let written = |bytes: &[u8]| {
            let mut text = String::new();
            write_value(&mut &bytes[..], &mut text).map(|()| text).map_err(|error| error.to_string())
        };
        for (bytes, expected) in [
            (
                &b"\x84\xa1a\xc0\xa1b\xc3\xa1c\xff\xa1d\x92\x01\x02"[..],
                r#"{"a": null, "b": true, "c": -1, "d": [1, 2]}"#,
            ),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
            (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
            (b"\xca\x3d\xcc\xcc\xcd", "0.1"),
            (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "NaN"),
            (b"\xca\xff\x80\x00\x00", "-Infinity"),
            (b"\x80", "{}"),
            (b"\xa3\"\\\n", r#""\"\\\n""#),
            (b"\xc4\x01x", "\"x\""),
        ] {
            assert_eq!(written(bytes).as_deref(), Ok(expected));
        }
        let long = [&b"\xdb\x7f\xff\xff\xff"[..], &vec![b'a'; MAX_RECORD_BYTES]].concat();
        assert_eq!(written(&long).unwrap_err(), MessagePackError::TooLong.to_string());
        assert_eq!(written(b"\xdb\x00\xff\xff\xffabc").unwrap_err(), MessagePackError::EndsEarly.to_string());
        assert_eq!(written(b"\xdf\xff\xff\xff\xff").unwrap_err(), MessagePackError::EndsEarly.to_string());
        assert_eq!(written(b"\x81\x01\x02").unwrap_err(), "unexpected key that is not a text");
        assert_eq!(written(&[0x91; 1_000]).unwrap_err(), MessagePackError::TooDeep.to_string());
        assert!(written(&[&[0x91; 60][..], &[0xc0]].concat()).is_ok());
        assert_eq!(written(b"\xa1\xff").unwrap_err(), MessagePackError::NotUtf8.to_string());
        assert_eq!(written(b"\xc4\x01\xff").unwrap_err(), MessagePackError::NotUtf8.to_string());
        let own_type = "unexpected value of an extension type";
        assert_eq!(written(b"\x81\xa1a\xd4\x01\x00").unwrap_err(), own_type);
        assert_eq!(written(b"\xc1").unwrap_err(), "unexpected reserved byte");
    }
}
