//! The decoder of plain, gzip and zstd files. The first bytes of a file determine its compression, not its name.
//!
//! A compressed stream may end early, for example because the host that wrote it crashed. The data before the end is
//! returned first, and [`Decoded::fault`] reports the early end afterwards. If a stream is damaged, up to
//! `OUTPUT_BYTES` of data before the damage may be missing. The decoder call that reaches the damage returns no data.

use std::io::{self, BufRead, Chain, Cursor, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::intake::rejection_reason::Reason;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The number of bytes that determine the compression. A caller gets at least this number of bytes at once while more
/// remain, which is enough to recognize the content of a file.
const HEAD_BYTES: usize = 16;
/// The largest output of one call of a decoder.
const OUTPUT_BYTES: usize = 64 * 1024;

/// The reason why a compressed stream returned no more data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the file ends in the middle of its {0} stream")]
    Truncated(&'static str),
    #[error("the {0} stream is damaged: {1}")]
    Malformed(&'static str, String),
}

impl Fault {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Truncated(_) => Reason::Truncated,
            Self::Malformed(..) => Reason::Malformed,
        }
    }

    /// The fault that an error of a decoder indicates.
    fn of(format: &'static str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated(format),
            _ => Self::Malformed(format, error.to_string()),
        }
    }
}

/// The decoded bytes of one file. An error of the source itself is an `io::Error`. Damage of the data is a [`Fault`].
pub struct Decoded<R> {
    decoder: Decoder<R>,
    /// The decoded bytes that are not yet consumed are `output[start..end]`.
    output: Vec<u8>,
    start: usize,
    end: usize,
    fault: Option<Fault>,
}

impl<R> std::fmt::Debug for Decoded<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoded").field("fault", &self.fault).finish_non_exhaustive()
    }
}

enum Decoder<R> {
    Plain(Source<R>),
    Gzip(Box<GzDecoder<Source<R>>>),
    Zstd(ZstdDecoder<'static, Source<R>>),
    Finished,
}

/// The bytes of a file as they are stored. A decoder returns an error of the source in the same form as damage, so the
/// source records its own errors.
struct Source<R> {
    bytes: Chain<Cursor<Vec<u8>>, R>,
    failed: bool,
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.bytes.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Recognizes the format by the first bytes and decodes the rest on demand.
pub fn open<R: BufRead + Send>(mut bytes: R) -> io::Result<Decoded<R>> {
    let mut magic = Vec::with_capacity(HEAD_BYTES);
    bytes.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut magic)?;
    let (is_gzip, is_zstd) = (magic.starts_with(&GZIP), is_zstd(&magic[..magic.len().min(ZSTD.len())]));
    let source = Source { bytes: Cursor::new(magic).chain(bytes), failed: false };
    let decoder = if is_gzip {
        Decoder::Gzip(Box::new(GzDecoder::new(source)))
    } else if is_zstd {
        Decoder::Zstd(ZstdDecoder::with_buffer(source)?)
    } else {
        Decoder::Plain(source)
    };
    let output = if matches!(decoder, Decoder::Plain(_)) { Vec::new() } else { vec![0; HEAD_BYTES + OUTPUT_BYTES] };
    Ok(Decoded { decoder, output, start: 0, end: 0, fault: None })
}

/// Whether the bytes begin a zstd stream. Parallel compressors write a skippable frame first.
fn is_zstd(magic: &[u8]) -> bool {
    magic == ZSTD || matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

impl<R: BufRead> Decoded<R> {
    /// The reason why the stream ended early. The result is final after all bytes are read.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn refill(&mut self) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        while self.end < HEAD_BYTES && !matches!(self.decoder, Decoder::Plain(_) | Decoder::Finished) {
            let room = &mut self.output[self.end..self.end + OUTPUT_BYTES];
            let (format, read) = match &mut self.decoder {
                Decoder::Gzip(decoder) => ("gzip", decoder.read(room)),
                Decoder::Zstd(decoder) => ("zstd", decoder.read(room)),
                Decoder::Plain(_) | Decoder::Finished => break,
            };
            match read {
                Ok(0) => self.next_member()?,
                Ok(read) => self.end += read,
                Err(error) if self.source_failed() => return Err(error),
                Err(error) => {
                    self.fault = Some(Fault::of(format, &error));
                    self.decoder = Decoder::Finished;
                }
            }
        }
        Ok(())
    }

    /// Begins the next member of a gzip file. The zstd decoder continues with the next frame by itself.
    fn next_member(&mut self) -> io::Result<()> {
        let Decoder::Gzip(decoder) = std::mem::replace(&mut self.decoder, Decoder::Finished) else { return Ok(()) };
        let mut source = decoder.into_inner();
        // Tape and block devices add zeros after the last member.
        while source.fill_buf()?.first() == Some(&0) {
            source.consume(1);
        }
        if !source.fill_buf()?.is_empty() {
            self.decoder = Decoder::Gzip(Box::new(GzDecoder::new(source)));
        }
        Ok(())
    }

    fn source_failed(&self) -> bool {
        match &self.decoder {
            Decoder::Plain(source) => source.failed,
            Decoder::Gzip(decoder) => decoder.get_ref().failed,
            Decoder::Zstd(decoder) => decoder.get_ref().failed,
            Decoder::Finished => false,
        }
    }
}

impl<R: BufRead> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.refill()?;
        }
        match &mut self.decoder {
            Decoder::Plain(source) => source.fill_buf(),
            _ => Ok(&self.output[self.start..self.end]),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.decoder {
            Decoder::Plain(source) => source.consume(amount),
            _ => self.start = (self.start + amount).min(self.end),
        }
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    /// Text with enough variety for many deflate blocks and several zstd blocks.
    fn text(lines: u64) -> Vec<u8> {
        (0..lines)
            .flat_map(|line| format!("{line} {:x}\n", line.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
            .collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 3).unwrap()
    }

    fn read(bytes: &[u8]) -> (Vec<u8>, Option<Fault>) {
        let mut decoded = open(bytes).unwrap();
        let mut data = Vec::new();
        decoded.read_to_end(&mut data).unwrap();
        (data, decoded.fault().cloned())
    }

    #[test]
    fn plain_bytes_pass_as_they_are() {
        for data in [&b""[..], b"x", b"{}", b"abcd", b"{\"name\": 1}\n", &text(10_000)] {
            assert_eq!(read(data), (data.to_vec(), None));
        }
    }

    #[test]
    fn all_members_and_frames_are_decoded() {
        let (one, two) = (text(20_000), text(7));
        let both = [&one[..], &two].concat();
        for encode in [gzip, zstd] {
            assert_eq!(read(&encode(b"")), (Vec::new(), None));
            assert_eq!(read(&[encode(&one), encode(b""), encode(&two)].concat()), (both.clone(), None));
        }
        assert_eq!(read(&[gzip(&two), vec![0; 512]].concat()), (two.clone(), None));
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        assert_eq!(read(&[&skippable[..], &zstd(&two)].concat()), (two.clone(), None));
    }

    #[test]
    fn all_fields_of_a_gzip_header_are_skipped() {
        let mut encoder = flate2::GzBuilder::new()
            .filename("usage.jsonl")
            .comment("october")
            .extra(vec![7; 300])
            .write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"hello\n").unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(read(&bytes), (b"hello\n".to_vec(), None));
        for length in 2..bytes.len() {
            assert_eq!(read(&bytes[..length]).1, Some(Fault::Truncated("gzip")), "{length}");
        }
    }

    #[test]
    fn a_truncated_stream_returns_the_data_before_the_end() {
        let data = text(40_000);
        for (encode, name) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
            let bytes = encode(&data);
            for length in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
                let (decoded, fault) = read(&bytes[..length]);
                assert_eq!(fault, Some(Fault::Truncated(name)));
                assert!(data.starts_with(&decoded));
                // At most the truncated block is missing.
                assert!(decoded.len() + 256 * 1024 > data.len() * length / bytes.len(), "{name} {length}");
            }
        }
        let bytes = gzip(&data);
        assert_eq!(read(&bytes[..bytes.len() - 1]), (data, Some(Fault::Truncated("gzip"))));
    }

    #[test]
    fn a_damaged_stream_returns_the_data_before_the_damage() {
        let data = text(100_000);
        let mut bytes = gzip(&data);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xff);
        let (decoded, fault) = read(&bytes);
        assert!(matches!(fault, Some(Fault::Malformed("gzip", _))), "{fault:?}");
        assert!(decoded.len() > data.len() / 3);

        // A zstd stream with complete blocks, followed by a block header of the reserved type.
        let mut bytes = Vec::new();
        bytes.extend(ZSTD);
        // The frame header: no checksum, no content size, a window of 1 MiB.
        bytes.extend([0x00, 0x50]);
        for _ in 0..3 {
            let content = &data[..100_000];
            bytes.extend(((content.len() as u32) << 3).to_le_bytes().iter().take(3));
            bytes.extend(content);
        }
        let whole = bytes.len();
        bytes.extend([0x06, 0, 0]);
        let (decoded, fault) = read(&bytes);
        assert!(matches!(fault, Some(Fault::Malformed("zstd", _))), "{fault:?}");
        assert!(decoded.len() >= 300_000 - OUTPUT_BYTES && data[..100_000].repeat(3).starts_with(&decoded));
        // A truncated stream loses nothing before its end.
        assert_eq!(read(&bytes[..whole]), (data[..100_000].repeat(3), Some(Fault::Truncated("zstd"))));
    }

    #[test]
    fn a_wrong_checksum_is_reported_after_the_data() {
        let data = text(10_000);
        for encode in [gzip, |data: &[u8]| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }] {
            let mut bytes = encode(&data);
            let position = bytes.len() - if bytes.starts_with(&GZIP) { 8 } else { 1 };
            bytes[position] ^= 1;
            let (decoded, fault) = read(&bytes);
            assert!(data.starts_with(&decoded) && decoded.len() + OUTPUT_BYTES >= data.len());
            assert!(matches!(&fault, Some(Fault::Malformed(_, text)) if text.contains("checksum")), "{fault:?}");
        }
        let (decoded, fault) = read(&[gzip(&data), b"garbage, longer than a header".to_vec()].concat());
        assert_eq!(decoded, data);
        assert!(matches!(fault, Some(Fault::Malformed("gzip", _))));
    }

    #[test]
    fn an_error_of_the_source_is_not_a_fault_of_the_data() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk failed"))
            }
        }
        for encode in [gzip, zstd] {
            let bytes = encode(&text(1_000));
            let mut decoded = open(io::BufReader::new((&bytes[..100]).chain(Broken))).unwrap();
            let error = decoded.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), "the disk failed");
            assert_eq!(decoded.fault(), None);
        }
    }

    proptest! {
        #[test]
        fn any_damage_ends_in_a_fault_or_in_data(at in 0usize..3_000, value in any::<u8>(), gzipped in any::<bool>()) {
            let data = text(500);
            let mut bytes = if gzipped { gzip(&data) } else { zstd(&data) };
            let at = at % bytes.len();
            bytes[at] = value;
            read(&bytes);
            read(&bytes[..at]);
        }

        #[test]
        fn small_reads_give_the_same_bytes(size in 1usize..50, gzipped in any::<bool>()) {
            let data = text(3_000);
            let bytes = if gzipped { gzip(&data) } else { zstd(&data) };
            let mut decoded = open(io::BufReader::with_capacity(size, &bytes[..])).unwrap();
            let mut whole = Vec::new();
            decoded.read_to_end(&mut whole).unwrap();
            prop_assert_eq!(whole, data);
            prop_assert_eq!(decoded.fault(), None);
        }
    }
}
