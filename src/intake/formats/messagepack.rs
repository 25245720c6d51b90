//! Samples as Ceilometer's publishers for udp and tcp send them, written down one behind the other: MessagePack, each
//! map a sample, and over tcp each behind its length in eight bytes, the smallest first.
//!
//! A map is written anew as JSON and read like any other sample. Numbers keep their value: integers as they are, floats
//! as the shortest decimal that is this float and no other, which is how Python writes them into JSON too.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};

use rmp::Marker;
use rmp::decode::{RmpRead, read_marker};

use super::compression::{Decoded, Fault};
use crate::intake::formats::lines::LONGEST_RECORD_BYTES;
use crate::intake::rejection_reason::Reason;

/// How samples follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One map behind the other.
    Datagrams,
    /// Each behind its length.
    Lengths,
}

/// Why no sample can be read.
#[derive(Debug, thiserror::Error)]
enum MessagePackError {
    #[error("the file ends in the middle of this sample")]
    EndsEarly,
    #[error("it is longer than the length before it says")]
    ShortFrame,
    #[error("a {0} is not expected in a sample")]
    Unexpected(&'static str),
    #[error("a text is not UTF-8")]
    NotUtf8,
    #[error("it is nested too deeply")]
    TooDeep,
    #[error("it is longer than {LONGEST_RECORD_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for MessagePackError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::EndsEarly } else { Self::Io(error) }
    }
}

const LENGTH_BYTES: usize = 8;
const DEEPEST: usize = 64;

/// Says whether a file begins as one of these does; no text does.
pub(crate) fn framing<R: BufRead>(decoded: &mut Decoded<R>) -> io::Result<Option<Framing>> {
    let head = decoded.fill_buf()?;
    let is_map = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, 0x80..=0x8f | 0xde | 0xdf));
    let length = head.first_chunk().map(|length| u64::from_le_bytes(*length));
    Ok(if is_map(head.first()) {
        Some(Framing::Datagrams)
    } else if length.is_some_and(|length| length <= LONGEST_RECORD_BYTES as u64) && is_map(head.get(LENGTH_BYTES)) {
        Some(Framing::Lengths)
    } else {
        None
    })
}

/// Gives each sample as JSON, with its number from one, or why it is refused and what there is of it.
pub(crate) fn read<R: BufRead>(
    decoded: &mut Decoded<R>,
    framing: Framing,
    mut give: impl FnMut(u64, Result<&str, (Reason, String)>, &[u8]),
) -> io::Result<()> {
    let refusal = |error: MessagePackError, fault: Option<&Fault>| match (error, fault) {
        (MessagePackError::Io(error), _) => Err(error),
        (MessagePackError::EndsEarly, Some(fault)) => Ok((fault.reason(), fault.to_string())),
        (error @ MessagePackError::EndsEarly, None) => Ok((Reason::Truncated, error.to_string())),
        (error, _) => Ok((Reason::Malformed, format!("this is no sample as MessagePack: {error}"))),
    };
    let mut number = 0;
    while !decoded.fill_buf()?.is_empty() {
        number += 1;
        let mut text = String::new();
        match framing {
            Framing::Datagrams => {
                if let Err(error) = write_value(&mut decoded.by_ref(), &mut text, 0) {
                    let (reason, detail) = refusal(error, decoded.fault())?;
                    // Where the next one would begin is not known.
                    let detail = format!("{detail}; nothing is read from here on");
                    give(number, Err((reason, detail)), text.as_bytes());
                    return Ok(());
                }
                give(number, Ok(&text), text.as_bytes());
            }
            Framing::Lengths => {
                let frame = match frame(decoded) {
                    Ok(frame) => frame,
                    Err(error) => {
                        let (reason, detail) = refusal(error, decoded.fault())?;
                        give(number, Err((reason, format!("{detail}; nothing is read from here on"))), b"");
                        return Ok(());
                    }
                };
                let mut rest = &frame[..];
                let written = match write_value(&mut rest, &mut text, 0) {
                    Ok(()) if !rest.is_empty() => Err(MessagePackError::Unexpected("second value")),
                    // The frame is whole, so it is not the file that ends here.
                    Err(MessagePackError::EndsEarly) => Err(MessagePackError::ShortFrame),
                    written => written,
                };
                match written {
                    Ok(()) => give(number, Ok(&text), text.as_bytes()),
                    Err(error) => give(number, Err(refusal(error, None)?), &frame),
                }
            }
        }
    }
    // Between two samples nothing is cut, and what is missing is not seen.
    if let Some(fault) = decoded.fault() {
        give(number + 1, Err((fault.reason(), fault.to_string())), b"");
    }
    Ok(())
}

fn frame<R: BufRead>(decoded: &mut Decoded<R>) -> Result<Vec<u8>, MessagePackError> {
    let mut length = [0; LENGTH_BYTES];
    decoded.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    bytes(decoded, length)
}

/// So many bytes; no more memory is taken than there are.
fn bytes(reader: &mut impl Read, length: usize) -> Result<Vec<u8>, MessagePackError> {
    if length > LONGEST_RECORD_BYTES {
        return Err(MessagePackError::TooLong);
    }
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if read == length { Ok(bytes) } else { Err(MessagePackError::EndsEarly) }
}

/// Writes the next value as JSON.
fn write_value(reader: &mut impl Read, text: &mut String, depth: usize) -> Result<(), MessagePackError> {
    if depth > DEEPEST {
        return Err(MessagePackError::TooDeep);
    }
    if text.len() > LONGEST_RECORD_BYTES {
        return Err(MessagePackError::TooLong);
    }
    macro_rules! number {
        ($read:ident) => {{
            let number = reader.$read().map_err(cut)?;
            let _ = write!(text, "{number}");
        }};
    }
    // Debug writes the shortest decimal of the float's own width. What is not finite is written as Python does, to be
    // refused for its quantity.
    macro_rules! float {
        ($read:ident) => {{
            let float = reader.$read().map_err(cut)?;
            let _ = if float.is_nan() {
                write!(text, "NaN")
            } else if float.is_infinite() {
                write!(text, "{}Infinity", if float.is_sign_negative() { "-" } else { "" })
            } else {
                write!(text, "{float:?}")
            };
        }};
    }
    match read_marker(reader).map_err(|error| MessagePackError::from(error.0))? {
        Marker::Null => text.push_str("null"),
        Marker::True => text.push_str("true"),
        Marker::False => text.push_str("false"),
        Marker::FixPos(number) => {
            let _ = write!(text, "{number}");
        }
        Marker::FixNeg(number) => {
            let _ = write!(text, "{number}");
        }
        Marker::U8 => number!(read_data_u8),
        Marker::U16 => number!(read_data_u16),
        Marker::U32 => number!(read_data_u32),
        Marker::U64 => number!(read_data_u64),
        Marker::I8 => number!(read_data_i8),
        Marker::I16 => number!(read_data_i16),
        Marker::I32 => number!(read_data_i32),
        Marker::I64 => number!(read_data_i64),
        Marker::F32 => float!(read_data_f32),
        Marker::F64 => float!(read_data_f64),
        Marker::FixStr(length) => write_text(reader, length.into(), text)?,
        Marker::Str8 | Marker::Bin8 => {
            let length = reader.read_data_u8().map_err(cut)?;
            write_text(reader, length.into(), text)?;
        }
        Marker::Str16 | Marker::Bin16 => {
            let length = reader.read_data_u16().map_err(cut)?;
            write_text(reader, length.into(), text)?;
        }
        Marker::Str32 | Marker::Bin32 => {
            let length = reader.read_data_u32().map_err(cut)?;
            write_text(reader, length as usize, text)?;
        }
        Marker::FixArray(length) => write_list(reader, length.into(), text, depth)?,
        Marker::Array16 => {
            let length = reader.read_data_u16().map_err(cut)?;
            write_list(reader, length.into(), text, depth)?;
        }
        Marker::Array32 => {
            let length = reader.read_data_u32().map_err(cut)?;
            write_list(reader, length, text, depth)?;
        }
        Marker::FixMap(length) => write_map(reader, length.into(), text, depth)?,
        Marker::Map16 => {
            let length = reader.read_data_u16().map_err(cut)?;
            write_map(reader, length.into(), text, depth)?;
        }
        Marker::Map32 => {
            let length = reader.read_data_u32().map_err(cut)?;
            write_map(reader, length, text, depth)?;
        }
        Marker::Reserved => return Err(MessagePackError::Unexpected("reserved byte")),
        _ => return Err(MessagePackError::Unexpected("value of a type of its own")),
    }
    Ok(())
}

fn cut(error: rmp::decode::ValueReadError<io::Error>) -> MessagePackError {
    match error {
        rmp::decode::ValueReadError::InvalidMarkerRead(error) | rmp::decode::ValueReadError::InvalidDataRead(error) => {
            error.into()
        }
        rmp::decode::ValueReadError::TypeMismatch(_) => MessagePackError::Unexpected("value of another type"),
    }
}

fn write_text(reader: &mut impl Read, length: usize, text: &mut String) -> Result<(), MessagePackError> {
    let read = String::from_utf8(bytes(reader, length)?).map_err(|_| MessagePackError::NotUtf8)?;
    let quoted = serde_json::to_string(&read).map_err(|_| MessagePackError::NotUtf8)?;
    text.push_str(&quoted);
    Ok(())
}

fn write_list(reader: &mut impl Read, length: u32, text: &mut String, depth: usize) -> Result<(), MessagePackError> {
    text.push('[');
    for index in 0..length {
        text.push_str(if index > 0 { ", " } else { "" });
        write_value(reader, text, depth + 1)?;
    }
    text.push(']');
    Ok(())
}

fn write_map(reader: &mut impl Read, length: u32, text: &mut String, depth: usize) -> Result<(), MessagePackError> {
    text.push('{');
    for index in 0..length {
        text.push_str(if index > 0 { ", " } else { "" });
        let begin = text.len();
        write_value(reader, text, depth + 1)?;
        if !text[begin..].starts_with('"') {
            return Err(MessagePackError::Unexpected("key that is no text"));
        }
        text.push_str(": ");
        write_value(reader, text, depth + 1)?;
    }
    text.push('}');
    Ok(())
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
    fn a_datagram_is_the_sample_that_its_json_is() {
        let (packed, decoded) = (read_with(UDP), read_with(UDP_DECODED));
        assert_eq!((packed.rejected.len(), packed.records.len()), (0, 1));
        let line = |mut sink: TestSink| {
            sink.records[0].line = 1;
            sink.records
        };
        assert_eq!(line(packed), line(decoded));
        // Datagrams that were written down one behind the other, and compressed.
        let many = zstd::encode_all(&[UDP, UDP, UDP].concat()[..], 1).unwrap();
        let sink = read_with(&many);
        assert_eq!(sink.records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn what_came_over_tcp_is_taken_apart_by_its_lengths() {
        let sink = read_with(TCP);
        assert_eq!((sink.rejected.len(), sink.records.len()), (0, 2));
        assert_eq!(sink.records[0].source_meter, "cpu");
        assert_eq!(sink.records[0].quantity.to_string(), "118795008214");
        // A wrong frame is refused alone.
        let first = 8 + u64::from_le_bytes(*TCP.first_chunk().unwrap()) as usize;
        let wrong = [&5u64.to_le_bytes()[..], b"\xc1\xc1\xc1\xc1\xc1"].concat();
        let sink = read_with(&[&TCP[..first], &wrong, &TCP[first..]].concat());
        assert_eq!((sink.records.len(), sink.rejected.len()), (2, 1));
        assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::Malformed, 2));
    }

    #[test]
    fn a_file_that_ends_early_loses_its_last_sample_only() {
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
    fn a_fault_between_samples_is_told_and_so_is_a_frame_that_is_too_short() {
        use std::io::Write as _;

        // What a compressor was flushed after is whole, and the file ends there.
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
    fn every_value_is_written_as_json_and_no_length_takes_all_memory() {
        let written = |bytes: &[u8]| {
            let mut text = String::new();
            write_value(&mut &bytes[..], &mut text, 0).map(|()| text).map_err(|error| error.to_string())
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
            (b"\xa3\"\\\n", r#""\"\\\n""#),
            (b"\xc4\x01x", "\"x\""),
        ] {
            assert_eq!(written(bytes).as_deref(), Ok(expected));
        }
        assert_eq!(written(b"\xdb\x7f\xff\xff\xffabc").unwrap_err(), MessagePackError::TooLong.to_string());
        assert_eq!(written(b"\xdb\x00\xff\xff\xffabc").unwrap_err(), MessagePackError::EndsEarly.to_string());
        assert_eq!(written(b"\xdf\xff\xff\xff\xff").unwrap_err(), MessagePackError::EndsEarly.to_string());
        assert_eq!(written(b"\x81\x01\x02").unwrap_err(), "a key that is no text is not expected in a sample");
        assert_eq!(written(&[0x91; 1_000]).unwrap_err(), MessagePackError::TooDeep.to_string());
        assert_eq!(written(b"\xa1\xff").unwrap_err(), MessagePackError::NotUtf8.to_string());
    }
}
