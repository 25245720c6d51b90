//! Files come plain, as gzip or as zstd; what they are is told by their first bytes, never by their names.
//!
//! A stream that breaks off is the normal end of a file whose host died, so what was decoded before the break is
//! always handed out first, and the break itself is told afterwards ([`Decoded::fault`]). The streaming readers of both
//! libraries drop what they decoded in the call that meets the error, so this drives their block interfaces itself.

use std::io::{self, BufRead, Chain, Cursor, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use crate::intake::rejection_reason::Reason;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What is looked at of a file first, and the least that is handed out while there is more: enough to tell what a file
/// holds.
const HEAD_BYTES: usize = 16;
/// Any zstd block fits, so a block is handed over in one piece.
const OUTPUT_BYTES: usize = 128 * 1024;
/// zstd tells how much it wants next: a block, and this many bytes for the header of the block after it.
const ZSTD_BLOCK_HEADER: usize = 3;

/// Why a compressed stream gave nothing more.
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
}

/// The decoded bytes of one file. Errors of the source itself are `io::Error`s, damage of the data is a [`Fault`].
pub struct Decoded<R> {
    source: Chain<Cursor<Vec<u8>>, R>,
    format: Format,
    /// What was decoded and not yet consumed is `output[start..end]`.
    output: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
    fault: Option<Fault>,
}

impl<R> std::fmt::Debug for Decoded<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoded").field("fault", &self.fault).finish_non_exhaustive()
    }
}

enum Format {
    Plain,
    Gzip(Option<Box<GzipMember>>),
    Zstd(Box<ZstdState>),
}

struct GzipMember {
    inflate: Decompress,
    crc: Crc,
}

struct ZstdState {
    decoder: ZstdDecoder<'static>,
    /// How many bytes the decoder asked for.
    wanted: usize,
    inside_frame: bool,
    /// Whether the output was full, so that the decoder may hold back more of it.
    holds_output: bool,
}

/// Looks at the first bytes and decodes the rest on demand.
pub fn open<R: BufRead + Send>(mut bytes: R) -> io::Result<Decoded<R>> {
    let mut magic = Vec::with_capacity(HEAD_BYTES);
    bytes.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut magic)?;
    let format = if magic.starts_with(&GZIP) {
        Format::Gzip(None)
    } else if is_zstd(&magic[..magic.len().min(ZSTD.len())]) {
        Format::Zstd(Box::new(ZstdState {
            decoder: ZstdDecoder::new()?,
            wanted: 1,
            inside_frame: false,
            holds_output: false,
        }))
    } else {
        Format::Plain
    };
    let output = if matches!(format, Format::Plain) { Vec::new() } else { vec![0; HEAD_BYTES + OUTPUT_BYTES] };
    let source = Cursor::new(magic).chain(bytes);
    Ok(Decoded { source, format, output, start: 0, end: 0, finished: false, fault: None })
}

/// Parallel compressors begin with a skippable frame.
fn is_zstd(magic: &[u8]) -> bool {
    magic == ZSTD || matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

impl<R: BufRead> Decoded<R> {
    /// Why the stream ended before its end. Known for certain once everything was read.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn refill(&mut self) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        while self.end < HEAD_BYTES && !self.finished {
            match self.format {
                Format::Plain => self.finished = true,
                Format::Gzip(None) => self.open_gzip_member()?,
                Format::Gzip(Some(_)) => self.inflate()?,
                Format::Zstd(_) => self.decode_zstd()?,
            }
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.finished = true;
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.source.fill_buf()?.first().copied();
        self.source.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Reads a header (RFC 1952), or the end of the file before one.
    fn open_gzip_member(&mut self) -> io::Result<()> {
        // Tape and block devices pad with zeros after the last member.
        let mut first = self.byte()?;
        while first == Some(0) {
            first = self.byte()?;
        }
        if first.is_none() {
            self.finished = true;
            return Ok(());
        }
        let mut header = [0; 9];
        for byte in &mut header {
            let Some(next) = self.byte()? else { return self.gzip_truncated() };
            *byte = next;
        }
        let [magic, method, flags, ..] = header;
        if (first, magic, method) != (Some(GZIP[0]), GZIP[1], 8) || flags & 0b1110_0000 != 0 {
            self.fail(Fault::Malformed("gzip", "what follows is no gzip member".to_owned()));
            return Ok(());
        }
        let has = |flag: u8| flags & flag != 0;
        if has(0b0000_0100) {
            let (Some(low), Some(high)) = (self.byte()?, self.byte()?) else { return self.gzip_truncated() };
            for _ in 0..u16::from_le_bytes([low, high]) {
                if self.byte()?.is_none() {
                    return self.gzip_truncated();
                }
            }
        }
        // The file's name and a comment, both ended by a zero.
        for _ in 0..(u8::from(has(0b0000_1000)) + u8::from(has(0b0001_0000))) {
            loop {
                match self.byte()? {
                    Some(0) => break,
                    Some(_) => {}
                    None => return self.gzip_truncated(),
                }
            }
        }
        if has(0b0000_0010) && (self.byte()?.is_none() || self.byte()?.is_none()) {
            return self.gzip_truncated();
        }
        self.format = Format::Gzip(Some(Box::new(GzipMember { inflate: Decompress::new(false), crc: Crc::new() })));
        Ok(())
    }

    fn gzip_truncated(&mut self) -> io::Result<()> {
        self.fail(Fault::Truncated("gzip"));
        Ok(())
    }

    fn inflate(&mut self) -> io::Result<()> {
        let Format::Gzip(Some(member)) = &mut self.format else { return Ok(()) };
        let input = self.source.fill_buf()?;
        let at_end = input.is_empty();
        let (read, written) = (member.inflate.total_in(), member.inflate.total_out());
        let begin = self.end;
        let room = &mut self.output[begin..begin + OUTPUT_BYTES];
        let status = member.inflate.decompress(input, room, FlushDecompress::None);
        // Neither can exceed the slices that were lent, so both fit.
        let read = (member.inflate.total_in() - read) as usize;
        self.end += (member.inflate.total_out() - written) as usize;
        self.source.consume(read);
        member.crc.update(&self.output[begin..self.end]);
        let stuck = read == 0 && self.end == begin;
        match status {
            Ok(Status::StreamEnd) => self.close_gzip_member()?,
            Ok(_) if stuck && at_end => self.fail(Fault::Truncated("gzip")),
            Ok(_) if stuck => self.fail(Fault::Malformed("gzip", "it makes no progress".to_owned())),
            Ok(_) => {}
            Err(error) => self.fail(Fault::Malformed("gzip", error.to_string())),
        }
        Ok(())
    }

    /// Compares the checksum and the length behind the data. What was decoded stays handed out: it is what was sent, or
    /// a few bytes of it are wrong, and nobody can say which.
    fn close_gzip_member(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        for byte in &mut trailer {
            let Some(next) = self.byte()? else { return self.gzip_truncated() };
            *byte = next;
        }
        let Format::Gzip(member) = &mut self.format else { return Ok(()) };
        let (sum, amount) = member.take().map_or((0, 0), |member| (member.crc.sum(), member.crc.amount()));
        let mut expected = [0; 8];
        expected[..4].copy_from_slice(&sum.to_le_bytes());
        expected[4..].copy_from_slice(&amount.to_le_bytes());
        if trailer != expected {
            self.fail(Fault::Malformed("gzip", "its checksum does not fit its data".to_owned()));
        }
        Ok(())
    }

    fn decode_zstd(&mut self) -> io::Result<()> {
        let Format::Zstd(zstd) = &mut self.format else { return Ok(()) };
        let input = if zstd.holds_output { &[] } else { self.source.fill_buf()? };
        if input.is_empty() && !zstd.holds_output {
            if zstd.inside_frame {
                self.fail(Fault::Truncated("zstd"));
            }
            self.finished = true;
            return Ok(());
        }
        // One block at a time, the next one's header apart: a call that fails reports no output, so it must have none.
        let length = input.len().min(zstd.wanted.saturating_sub(ZSTD_BLOCK_HEADER).max(1));
        let mut input = InBuffer::around(&input[..length]);
        let mut output = OutBuffer::around(&mut self.output[self.end..self.end + OUTPUT_BYTES]);
        let result = zstd.decoder.run(&mut input, &mut output);
        let (read, written) = (input.pos(), output.pos());
        self.source.consume(read);
        self.end += written;
        match result {
            Ok(0) => {
                zstd.decoder.reinit()?;
                (zstd.wanted, zstd.inside_frame, zstd.holds_output) = (1, false, false);
            }
            Ok(wanted) => {
                (zstd.wanted, zstd.inside_frame, zstd.holds_output) = (wanted, true, written == OUTPUT_BYTES);
            }
            Err(error) => self.fail(Fault::Malformed("zstd", error.to_string())),
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if matches!(self.format, Format::Plain) {
            return self.source.fill_buf();
        }
        if self.start == self.end {
            self.refill()?;
        }
        Ok(&self.output[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        if matches!(self.format, Format::Plain) {
            self.source.consume(amount);
        } else {
            self.start = (self.start + amount).min(self.end);
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
    fn a_cut_stream_gives_what_came_before_the_cut() {
        let data = text(40_000);
        for (encode, name) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
            let bytes = encode(&data);
            for length in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
                let (decoded, fault) = read(&bytes[..length]);
                assert_eq!(fault, Some(Fault::Truncated(name)));
                assert!(data.starts_with(&decoded));
                // At most the block that was cut is missing.
                assert!(decoded.len() + 256 * 1024 > data.len() * length / bytes.len(), "{name} {length}");
            }
        }
        let bytes = gzip(&data);
        assert_eq!(read(&bytes[..bytes.len() - 1]), (data, Some(Fault::Truncated("gzip"))));
    }

    #[test]
    fn a_damaged_stream_gives_what_came_before_the_damage() {
        let data = text(100_000);
        let mut bytes = gzip(&data);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xff);
        let (decoded, fault) = read(&bytes);
        assert!(matches!(fault, Some(Fault::Malformed("gzip", _))), "{fault:?}");
        assert!(decoded.len() > data.len() / 3);

        // A zstd stream of whole blocks, then a block header of the reserved type: nothing of the blocks is lost.
        let mut bytes = Vec::new();
        bytes.extend(ZSTD);
        // No checksum, no content size, a window of 1 MiB.
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
        assert_eq!(decoded.len(), 300_000);
        assert_eq!(read(&bytes[..whole]), (decoded, Some(Fault::Truncated("zstd"))));
    }

    #[test]
    fn a_wrong_checksum_is_told_after_the_data() {
        let data = text(100);
        for encode in [gzip, |data: &[u8]| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }] {
            let mut bytes = encode(&data);
            let place = bytes.len() - if bytes.starts_with(&GZIP) { 8 } else { 1 };
            bytes[place] ^= 1;
            let (decoded, fault) = read(&bytes);
            assert_eq!(decoded, data);
            assert!(matches!(fault, Some(Fault::Malformed(..))));
        }
        let (decoded, fault) = read(&[gzip(&data), b"garbage, longer than a header".to_vec()].concat());
        assert_eq!(decoded, data);
        assert!(matches!(fault, Some(Fault::Malformed("gzip", _))));
    }

    #[test]
    fn an_error_of_the_source_is_no_fault_of_the_data() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        for encode in [gzip, zstd] {
            let bytes = encode(&text(1_000));
            let mut decoded = open(io::BufReader::new((&bytes[..100]).chain(Broken))).unwrap();
            let error = decoded.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), "the disk is gone");
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
