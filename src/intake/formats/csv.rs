//! The reader of usage records in CSV with a header. The columns `meter`, `resource_id`, `measured_at` and `quantity`
//! are required; `project_id`, `unit`, `type`, `record_id`, `created_at`, `deleted` and `is_state` are optional. Every
//! other column may be a dimension or a label.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Chain, Cursor, Read};

use csv::{ByteRecord, StringRecord};
use encoding_rs::{Encoding, UTF_8};

use crate::intake::formats::compression::Decoded;
use crate::intake::formats::encoded_text::EncodedText;
use crate::intake::formats::lines::{BYTE_ORDER_MARK, HEAD_BYTES, MAX_RECORD_BYTES};
use crate::intake::formats::unit::canonical_unit;
use crate::intake::formats::usage_columns;
use crate::intake::formats::usage_columns::{Columns, UsageError};
use crate::intake::formats::{quantity, timestamp};
use crate::intake::record::{IdField, ReadCounts, Record, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;
use crate::model::dialect::{Dialect, Suggestion, other_byte_order_mark, separator_line, utf_16_of};
use crate::model::identifier::canonical_id;

/// The receiver of a file's rows.
pub(crate) trait CsvRows {
    /// Receives the names of the columns before the first row.
    fn header(&mut self, header: &[String], sink: &impl RecordSink) -> Result<(), UsageError>;

    /// Receives a row with as many cells as the header. Returns a reason if the row is rejected.
    fn row(
        &mut self,
        row: &StringRecord,
        line: u64,
        raw: &[u8],
        sink: &mut impl RecordSink,
    ) -> Result<Result<(), (Reason, String)>, UsageError>;

    /// Whether accepted rows are counted by the reader. If not, the receiver counts them.
    const COUNTS_ROWS: bool = false;
}

/// A receiver whose rows are usage records.
struct UsageRows<'c> {
    renamed: &'c BTreeMap<String, String>,
    dialect: &'c Dialect,
    columns: Option<Columns>,
}

impl CsvRows for UsageRows<'_> {
    const COUNTS_ROWS: bool = true;

    fn header(&mut self, header: &[String], sink: &impl RecordSink) -> Result<(), UsageError> {
        self.columns = Some(Columns::resolve(header, self.renamed, sink.field_paths())?);
        Ok(())
    }

    fn row(
        &mut self,
        row: &StringRecord,
        line: u64,
        raw: &[u8],
        sink: &mut impl RecordSink,
    ) -> Result<Result<(), (Reason, String)>, UsageError> {
        Ok(self.columns.as_ref().map_or(Ok(()), |columns| record(row, columns, self.dialect, line, raw, sink)))
    }
}

/// Passes every row of a file to the sink. `columns` maps the standard names of columns to their names in the file.
pub fn read<R: BufRead>(
    decoded: &mut Decoded<R>,
    columns: &BTreeMap<String, String>,
    dialect: &Dialect,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    read_rows(decoded, dialect, &mut UsageRows { renamed: columns, dialect, columns: None }, sink)
}

/// The names of a file's columns, with the keys that the file seems to need. `None` if the whole file will be rejected
/// when it is read.
pub(crate) fn header<R: BufRead>(
    decoded: &mut Decoded<R>,
    dialect: &Dialect,
) -> io::Result<Option<(Vec<String>, Suggestion)>> {
    Ok(open(decoded, dialect)?.ok().map(|opened| (opened.header, opened.suggestion)))
}

/// Checks that a file has the columns of usage records. A file without a header is not an error here: it is rejected
/// when it is read.
pub fn check<R: BufRead>(
    decoded: &mut Decoded<R>,
    columns: &BTreeMap<String, String>,
    dialect: &Dialect,
    sink: &impl RecordSink,
) -> Result<(), UsageError> {
    let Some((header, suggestion)) = header(decoded, dialect)?.filter(|(header, _)| !header.is_empty()) else {
        return Ok(());
    };
    let resolved = Columns::resolve(&header, columns, sink.field_paths());
    resolved.map(|_| ()).map_err(|error| error.with_suggestion(suggestion))
}

type Source<'d, R> = RowBuffer<Chain<Cursor<Vec<u8>>, EncodedText<'d, R>>>;

/// A file after its header, with the names of its columns.
struct Opened<'d, R> {
    rows: csv::Reader<Source<'d, R>>,
    header: Vec<String>,
    suggestion: Suggestion,
}

/// The reason why a file has no header, with the text at the start of the file.
struct NoHeader {
    reason: Reason,
    detail: String,
    raw: Vec<u8>,
}

fn open<'d, R: BufRead>(decoded: &'d mut Decoded<R>, dialect: &Dialect) -> io::Result<Result<Opened<'d, R>, NoHeader>> {
    let mut start = Vec::with_capacity(HEAD_BYTES);
    decoded.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
    if let Some(found) = other_byte_order_mark(&start, dialect.encoding) {
        return Ok(Err(other_encoding(start, found, dialect.encoding)));
    }
    let (mut head, start) = if dialect.encoding == UTF_8 { (start, Vec::new()) } else { (Vec::new(), start) };
    let mut text = EncodedText::new(decoded, start, dialect.encoding);
    text.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    if let Some(found) = utf_16_of(&head).filter(|_| head.contains(&0)) {
        return Ok(Err(other_encoding(head, found, dialect.encoding)));
    }
    if head.contains(&0) {
        let detail = "the file contains binary data, expected CSV".to_owned();
        return Ok(Err(NoHeader { reason: Reason::NotText, detail, raw: head }));
    }
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let stated = separator_line(&head);
    let shown = String::from_utf8_lossy(&head[stated.unwrap_or_default()..]).into_owned();
    let buffered = RowBuffer { source: Cursor::new(head).chain(text), bytes: Vec::new(), offset: 0 };
    let mut csv = dialect.rows().buffer_capacity(BUFFER).from_reader(buffered);
    let mut row = ByteRecord::new();
    let before = if stated.is_some() { csv.read_byte_record(&mut row).map(drop) } else { Ok(()) };
    match before.and_then(|()| csv.read_byte_record(&mut row)) {
        Ok(_) => {
            let read = csv.get_ref().between(0, csv.position().byte());
            let fault = csv.get_ref().source.get_ref().1.fault();
            // A header at the end of a truncated file can lack columns, or the end of a name.
            if let Some(fault) = fault.filter(|_| !matches!(read.last(), Some(b'\n' | b'\r'))) {
                let (reason, detail) = (fault.reason(), fault.to_string());
                return Ok(Err(NoHeader { reason, detail, raw: read.to_vec() }));
            }
            let header: Vec<String> = row.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
            let rows = shown.trim_start().split_once('\n').map_or("", |(_, rows)| rows);
            let suggestion = dialect.suggestion(&header, rows);
            Ok(Ok(Opened { rows: csv, header, suggestion }))
        }
        Err(_) if csv.get_ref().is_too_long() => {
            let detail = format!("the header is longer than {MAX_RECORD_BYTES} bytes, expected CSV");
            Ok(Err(NoHeader { reason: Reason::Malformed, detail, raw: csv.into_inner().bytes }))
        }
        Err(error) => Err(error.into()),
    }
}

/// A file that begins with the byte order mark of another encoding than the source's.
fn other_encoding(start: Vec<u8>, found: &'static Encoding, expected: &'static Encoding) -> NoHeader {
    let (found, expected) = (found.name(), expected.name());
    let label = found.to_ascii_lowercase();
    let detail = format!("the file begins as {found}, expected {expected}: set encoding = \"{label}\"");
    NoHeader { reason: Reason::NotText, detail, raw: start }
}

/// As [`read`], with another receiver of the rows. Counts the rows that it rejects, and passed rows if
/// [`CsvRows::COUNTS_ROWS`] is set.
pub(crate) fn read_rows<R: BufRead, T: CsvRows>(
    decoded: &mut Decoded<R>,
    dialect: &Dialect,
    rows: &mut T,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let mut counts = ReadCounts::default();
    let Opened { rows: mut csv, header, suggestion } = match open(decoded, dialect)? {
        Ok(opened) if opened.header.is_empty() => return Ok(counts),
        Ok(opened) => opened,
        Err(NoHeader { reason, detail, raw }) => {
            counts.read += 1;
            sink.reject(&Rejection { reason, detail, line: 1, raw: &raw });
            return Ok(counts);
        }
    };
    let mut row = ByteRecord::new();
    rows.header(&header, sink).map_err(|error| error.with_suggestion(suggestion))?;
    let mut fault_is_reported = false;
    let mut lines = LineCounter::default();
    lines.row(csv.get_ref().between(0, csv.position().byte()));
    loop {
        let start = csv.position().byte();
        csv.get_mut().discard_before(start);
        match csv.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if csv.get_ref().is_too_long() => {
                let detail = format!(
                    "the row is longer than {MAX_RECORD_BYTES} bytes, possibly because a quote is not closed; \
                     nothing is read from here on"
                );
                counts.read += 1;
                let raw = &csv.get_ref().bytes;
                sink.reject(&Rejection { reason: Reason::Malformed, detail, line: lines.passed + 1, raw });
                return Ok(counts);
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        counts.read += 1;
        let read = csv.get_ref().between(start, csv.position().byte());
        let is_ended = matches!(read.last(), Some(b'\n' | b'\r'));
        let (line, raw) = lines.row(read);
        // A truncated number cannot be recognized, so the last row of a truncated file is rejected.
        if let Some(fault) = csv.get_ref().source.get_ref().1.fault().filter(|_| !is_ended) {
            fault_is_reported = true;
            sink.reject(&Rejection { reason: fault.reason(), detail: fault.to_string(), line, raw });
            continue;
        }
        if row.len() != header.len() {
            let reason = if is_ended { Reason::Malformed } else { Reason::Truncated };
            let detail = format!("the row has {} fields, the header has {}", row.len(), header.len());
            sink.reject(&Rejection { reason, detail, line, raw });
            continue;
        }
        let text = match StringRecord::from_byte_record(row) {
            Ok(text) => text,
            Err(error) => {
                row = error.into_byte_record();
                let detail = match dialect.encoding {
                    encoding if encoding == UTF_8 => {
                        "the row is not UTF-8: set the encoding of the file, such as encoding = \"windows-1252\""
                            .to_owned()
                    }
                    encoding => format!("the row is not {}", encoding.name()),
                };
                sink.reject(&Rejection { reason: Reason::NotUtf8, detail, line, raw });
                continue;
            }
        };
        if !T::COUNTS_ROWS {
            counts.read -= 1;
        }
        if let Err((reason, detail)) = rows.row(&text, line, raw, sink)? {
            sink.reject(&Rejection { reason, detail, line, raw });
        }
        row = text.into_byte_record();
    }
    if let Some(fault) = csv.get_ref().source.get_ref().1.fault().filter(|_| !fault_is_reported) {
        counts.read += 1;
        sink.reject(&Rejection { reason: fault.reason(), detail: fault.to_string(), line: lines.passed, raw: b"" });
    }
    Ok(counts)
}

const BUFFER: usize = 64 * 1024;

/// A counter of line breaks. The parser does not count the blank lines that it skips.
#[derive(Debug, Default)]
struct LineCounter {
    passed: u64,
}

impl LineCounter {
    /// The first line of a row, and the row without the line breaks around it.
    fn row<'a>(&mut self, read: &'a [u8]) -> (u64, &'a [u8]) {
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let breaks = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let start = read.iter().position(|byte| !is_break(byte)).unwrap_or(read.len());
        let end = read.iter().rposition(|byte| !is_break(byte)).map_or(start, |last| last + 1);
        let line = self.passed + breaks(&read[..start]) + 1;
        self.passed += breaks(read);
        (line, &read[start..end])
    }
}

/// A reader that also stores the bytes of the current row, so that a rejected row is shown as written.
struct RowBuffer<S> {
    source: S,
    bytes: Vec<u8>,
    /// The position of `bytes` in the text.
    offset: u64,
}

impl<S> RowBuffer<S> {
    /// Whether the current row is too long to be read.
    fn is_too_long(&self) -> bool {
        self.bytes.len() > MAX_RECORD_BYTES
    }

    fn discard_before(&mut self, position: u64) {
        let length = usize::try_from(position.saturating_sub(self.offset)).unwrap_or(0).min(self.bytes.len());
        // Moving the remaining bytes takes time, so the bytes of many rows are discarded at once.
        if length > 4 * BUFFER {
            self.bytes.drain(..length);
            self.offset = position;
        }
    }

    fn between(&self, start: u64, end: u64) -> &[u8] {
        let index = |position: u64| usize::try_from(position.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.bytes.get(index(start)..index(end)).unwrap_or_default()
    }
}

impl<S: Read> Read for RowBuffer<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_long() {
            return Err(io::Error::other("the row is too long"));
        }
        let read = self.source.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

fn record(
    row: &StringRecord,
    columns: &Columns,
    dialect: &Dialect,
    line: u64,
    raw: &[u8],
    sink: &mut impl RecordSink,
) -> Result<(), (Reason, String)> {
    let cell = |index: usize| row.get(index).filter(|cell| !dialect.is_null(cell));
    let text = |index: Option<usize>| index.and_then(cell);
    let source_meter = usage_columns::required(cell(columns.meter), "meter")?;
    if !sink.is_metered(source_meter) {
        sink.unmetered(source_meter);
        return Ok(());
    }
    let resource_id = usage_columns::required_id(cell(columns.resource_id), "resource_id")?;
    let time = usage_columns::required(cell(columns.measured_at), "measured_at")?;
    let amount = usage_columns::required(cell(columns.quantity), "quantity")?;
    let measured_at = timestamp::read(time, &dialect.clock, "")?;
    let quantity = quantity::read(amount, dialect.numbers)?;
    let project_id = usage_columns::id(text(columns.project_id)).map(|id| sink.canonical_id(id, IdField::Project));
    let record_id = usage_columns::stated(text(columns.record_id)).map(canonical_id);
    let fields: Vec<_> =
        columns.fields.iter().map(|index| usage_columns::stated(text(*index)).map(Cow::Borrowed)).collect();
    let record = Record {
        source_meter,
        kind: usage_columns::kind(text(columns.kind)),
        unit: canonical_unit(source_meter, usage_columns::stated(text(columns.unit)).unwrap_or_default()),
        project_id: project_id.as_deref(),
        resource_id: &sink.canonical_id(resource_id, IdField::Resource),
        measured_at,
        quantity,
        record_id: record_id.as_deref(),
        created_at: usage_columns::created_at(text(columns.created_at), &dialect.clock)?,
        deleted: usage_columns::deleted(text(columns.deleted))?,
        evidence: usage_columns::evidence(text(columns.is_state))?,
        fields: &fields,
        line,
    };
    sink.record(&record, || Cow::Borrowed(raw));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intake::formats::compression;
    use crate::intake::record::SampleKind;
    use crate::intake::test_sink::TestSink;
    use crate::model::dialect::{Clock, NumberMarks, TimeUnit};

    const HEADER: &str =
        "meter,resource_id,measured_at,quantity,project_id,unit,type,record_id,created_at,deleted,flavor.name";

    fn read_bytes(bytes: &[u8]) -> TestSink {
        let mut sink = TestSink::new(&["flavor.name", "zone"]);
        let counts =
            read(&mut compression::open(bytes).unwrap(), &BTreeMap::new(), &Dialect::default(), &mut sink).unwrap();
        assert_eq!(counts.read as usize, sink.records.len() + sink.unmetered.len() + sink.rejected.len());
        sink
    }

    fn read_rows(rows: &str) -> TestSink {
        read_bytes(format!("{HEADER}\n{rows}").as_bytes())
    }

    fn reasons(sink: &TestSink) -> Vec<(Reason, u64)> {
        sink.rejected.iter().map(|rejected| (rejected.0, rejected.2)).collect()
    }

    #[test]
    fn reads_all_columns() {
        let id = "2D954C5A-B451-5505-B4D8-11C80CBF3E82";
        let sink = read_rows(&format!(
            "cpu,{id},2026-10-01 00:05:00Z,9007199254740993,p,ns,cumulative,r1,2026-10-01T00:00:00,true,\
             \"m1, \"\"small\"\"\"\n\
             vcpus,r2,1790813100,\"1.5\",None,,,,,,\n"
        ));
        assert_eq!(sink.rejected, []);
        let first = &sink.records[0];
        assert_eq!((&first.source_meter[..], first.kind, &first.unit[..]), ("cpu", SampleKind::Cumulative, "ns"));
        assert_eq!(first.resource_id, id.to_lowercase());
        assert_eq!(first.quantity.to_string(), "9007199254740993");
        assert_eq!((first.measured_at, first.created_at), (1_790_813_100_000_000, Some(1_790_812_800_000_000)));
        assert_eq!((first.project_id.as_deref(), first.record_id.as_deref()), (Some("p"), Some("r1")));
        assert_eq!(first.fields, [Some("m1, \"small\"".to_owned()), None]);
        assert!(first.deleted);
        let second = &sink.records[1];
        assert_eq!((&second.project_id, &second.unit[..], &second.record_id), (&None, "", &None));
        assert_eq!((second.kind, second.created_at, second.deleted), (SampleKind::Unknown, None, false));
        assert_eq!((second.line, &second.fields), (3, &vec![None, None]));
        assert_eq!(sink.raw[1], b"vcpus,r2,1790813100,\"1.5\",None,,,,,,");
    }

    #[test]
    fn an_invalid_row_is_rejected_and_the_next_is_read() {
        let good = "vcpus,r,2026-10-01T00:05:00,1,,,,,,,";
        let rows = [
            good,
            "vcpus,r,2026-10-01T00:05:00,1,,,,,,",
            "vcpus,r,2026-10-01T00:05:00,NaN,,,,,,,",
            "",
            "vcpus,r,2026-10-01T00:05:00,-1,,,,,,,",
            "vcpus,r,2026-10-01T00:05:00,,,,,,,,",
            "vcpus,,2026-10-01T00:05:00,1,,,,,,,",
            "vcpus,r,01.10.2026,1,,,,,,,",
            "vcpus,r,0001-01-01T00:00:00,1,,,,,,,",
            "vcpus,r,2026-10-01T00:05:00,\"1,5\",,,,,,,",
            "vcpus,r,2026-10-01T00:05:00,1,,,,,,maybe,",
            "vcpus,r,2026-10-01T00:05:00,1,,,,,soon,,",
            "vcpus,\"a\nb\",2026-10-01T00:05:00,1,,,,,,,",
            good,
        ];
        let sink = read_rows(&rows.join("\r\n"));
        assert_eq!(sink.records.iter().map(|record| record.line).collect::<Vec<_>>(), [2, 6, 14, 16]);
        assert_eq!(
            reasons(&sink),
            [
                (Reason::Malformed, 3),
                (Reason::QuantityNotFinite, 4),
                (Reason::MissingField, 7),
                (Reason::MissingField, 8),
                (Reason::BadTimestamp, 9),
                (Reason::TimestampOutOfRange, 10),
                (Reason::BadQuantity, 11),
                (Reason::Malformed, 12),
                (Reason::BadTimestamp, 13),
            ]
        );
        assert_eq!(sink.records[1].quantity.to_string(), "-1");
        assert_eq!(sink.raw[3], good.as_bytes());
    }

    #[test]
    fn rows_are_complete_across_buffers() {
        let rows: String =
            (0..40_000).map(|row| format!("vcpus,r{row},2026-10-01T00:05:00,{row},,,,,,,m1\n")).collect();
        let sink = read_rows(&rows);
        assert_eq!((sink.records.len(), sink.rejected.len()), (40_000, 0));
        for (row, raw) in sink.raw.iter().enumerate() {
            assert_eq!(*raw, format!("vcpus,r{row},2026-10-01T00:05:00,{row},,,,,,,m1").into_bytes());
        }
    }

    #[test]
    fn a_truncated_file_loses_only_its_last_row() {
        let good = "vcpus,r,2026-10-01T00:05:00,1,,,,,,,";
        assert_eq!(read_rows(good).records.len(), 1);
        let sink = read_rows(&format!("{good}\nvcpus,r,2026-10"));
        assert_eq!((sink.records.len(), reasons(&sink)), (1, vec![(Reason::Truncated, 3)]));

        let rows: String =
            (0..20_000).map(|row| format!("vcpus,r{row},2026-10-01T00:05:00,{row},,,,,,,m1\n")).collect();
        let bytes = zstd::encode_all(format!("{HEADER}\n{rows}").as_bytes(), 1).unwrap();
        let sink = read_bytes(&bytes[..bytes.len() / 2]);
        assert!(sink.records.len() > 1_000);
        assert_eq!(sink.rejected.len(), 1);
        assert_eq!(reasons(&sink), [(Reason::Truncated, sink.records.len() as u64 + 2)]);
    }

    #[test]
    fn binary_data_is_rejected() {
        let good = "vcpus,r,2026-10-01T00:05:00,1,,,,,,,\n";
        let bytes = [b"\xef\xbb\xbf", HEADER.as_bytes(), b"\nvcpus,r\xff,x,1,,,,,,,\n", good.as_bytes()].concat();
        let sink = read_bytes(&bytes);
        assert_eq!((sink.records.len(), reasons(&sink)), (1, vec![(Reason::NotUtf8, 2)]));
        assert_eq!(reasons(&read_bytes(b"PAR1\x00\x15")), [(Reason::NotText, 1)]);
    }

    #[test]
    fn an_unclosed_quote_does_not_exhaust_memory() {
        let mut bytes = format!("{HEADER}\nvcpus,\"r,").into_bytes();
        bytes.resize(MAX_RECORD_BYTES + 1_000_000, b'x');
        assert_eq!(reasons(&read_bytes(&bytes)), [(Reason::Malformed, 2)]);
        // The same applies to a first row without an end, even if only the names of the columns are read.
        bytes[0] = b'"';
        let header = |bytes: &[u8]| header(&mut compression::open(bytes).unwrap(), &Dialect::default()).unwrap();
        assert_eq!(header(&bytes), None);
        assert_eq!(reasons(&read_bytes(&bytes)), [(Reason::Malformed, 1)]);
        assert_eq!(header(b"a,b\x00"), None);
        assert_eq!(header(b"\xef\xbb\xbf a ,b").unwrap().0, ["a", "b"]);
    }

    #[test]
    fn a_file_without_a_header_has_no_records() {
        for text in ["", "\u{feff}", "\n\n", "\u{feff}\r\n"] {
            let sink = read_bytes(text.as_bytes());
            assert_eq!((sink.records.len(), sink.rejected.len()), (0, 0), "{text:?}");
            check(&mut compression::open(text.as_bytes()).unwrap(), &BTreeMap::new(), &Dialect::default(), &sink)
                .unwrap();
        }
    }

    /// The last name of a header at the end of a truncated file may be incomplete.
    #[test]
    fn a_truncated_header_is_a_truncated_file() {
        let packed = zstd::encode_all(format!("{HEADER}\n").as_bytes(), 3).unwrap();
        let sink = read_bytes(&packed[..packed.len() - 4]);
        assert_eq!(reasons(&sink), [(Reason::Truncated, 1)]);
    }

    #[test]
    fn a_header_without_required_columns_is_an_error_of_the_file() {
        let mut sink = TestSink::new(&[]);
        for (text, column) in [("meter;resource_id\n", "meter"), ("meter,resource_id\n", "measured_at")] {
            let error = read(
                &mut compression::open(text.as_bytes()).unwrap(),
                &BTreeMap::new(),
                &Dialect::default(),
                &mut sink,
            )
            .unwrap_err();
            assert!(matches!(&error, UsageError::MissingColumn { column: name, .. } if name == column), "{error}");
        }
        let renamed = BTreeMap::from([("meter".to_owned(), "Service".to_owned())]);
        let text = " Service ,resource_id,measured_at,quantity\nvcpus,r,0,1\n";
        read(&mut compression::open(text.as_bytes()).unwrap(), &renamed, &Dialect::default(), &mut sink).unwrap();
        assert_eq!(sink.records[0].source_meter, "vcpus");
        sink.metered = Some(Vec::new());
        read(&mut compression::open(text.as_bytes()).unwrap(), &renamed, &Dialect::default(), &mut sink).unwrap();
        assert_eq!(sink.unmetered, ["vcpus"]);
    }
    fn read_by(dialect: &Dialect, bytes: &[u8]) -> TestSink {
        let mut sink = TestSink::new(&["flavor.name", "zone"]);
        read(&mut compression::open(bytes).unwrap(), &BTreeMap::new(), dialect, &mut sink).unwrap();
        sink
    }

    fn dialect(label: &str) -> Dialect {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        let numbers = NumberMarks { decimal: ',', thousands: Some('.') };
        Dialect { separator: b';', encoding, numbers, null_values: vec!["k. A.".to_owned()], ..Dialect::default() }
    }

    /// What a German spreadsheet saves: a byte order mark, semicolons, decimal commas, CRLF, and an empty last line.
    #[test]
    fn a_german_spreadsheet_is_read_exactly() {
        let text = "\u{feff}meter;resource_id;project_id;measured_at;quantity;flavor.name\r\n\
                    unit;a;p-1;2026-10-05T10:00:00Z;1,5;klein\r\n\
                    unit;b;p-1;2026-10-05T10:00:00Z;2,25;k. A.\r\n\
                    unit;c;k. A.;2026-10-05T10:00:00Z;1.000,25;\"a;b\"\r\n\
                    \r\n";
        let sink = read_by(&dialect("utf-8"), text.as_bytes());
        assert_eq!(sink.rejected, []);
        let quantities: Vec<String> = sink.records.iter().map(|record| record.quantity.to_string()).collect();
        assert_eq!(quantities, ["1.5", "2.25", "1000.25"]);
        let flavors: Vec<_> = sink.records.iter().map(|record| record.fields[0].as_deref()).collect();
        assert_eq!(flavors, [Some("klein"), None, Some("a;b")]);
        let projects: Vec<_> = sink.records.iter().map(|record| record.project_id.as_deref()).collect();
        assert_eq!(projects, [Some("p-1"), Some("p-1"), None]);
        // The same file in two other encodings, as older and newer programs save it.
        let plain = &text[3..];
        let (bytes, _, _) = dialect("windows-1252").encoding.encode(plain);
        assert_eq!(read_by(&dialect("windows-1252"), &bytes).records, sink.records);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read_by(&dialect("utf-16le"), &wide).records, sink.records);
        let packed = zstd::encode_all(wide.as_slice(), 1).unwrap();
        assert_eq!(read_by(&dialect("utf-16le"), &packed).records, sink.records);
    }

    /// The first line states the separator for a spreadsheet program. It is no header, and counts as a line.
    #[test]
    fn a_first_line_that_states_the_separator_is_skipped() {
        let text = "meter;resource_id;measured_at;quantity\nunit;a;2026-10-05T10:00:00Z;1,5\nunit;b;soon;2\n";
        let plain = read_by(&dialect("utf-8"), text.as_bytes());
        for first in ["sep=;\n", "\u{feff}sep=;\r\n", "\"sep=;\"\r\n"] {
            let sink = read_by(&dialect("utf-8"), format!("{first}{text}").as_bytes());
            assert_eq!(sink.records[0].quantity, plain.records[0].quantity, "{first:?}");
            assert_eq!((sink.records[0].line, reasons(&sink)), (3, vec![(Reason::BadTimestamp, 4)]), "{first:?}");
        }
        let wide: Vec<u8> = format!("sep=;\n{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(reasons(&read_by(&dialect("utf-16le"), &wide)), [(Reason::BadTimestamp, 4)]);
        let sink = read_by(&dialect("utf-8"), b"sep=;\n");
        assert!(sink.records.is_empty() && sink.rejected.is_empty(), "a file without a header has no records");
        // The separator of the source counts. The message contains the key for the file.
        let mut file = compression::open(&b"sep=;\nmeter;quantity\nunit;1,5\n"[..]).unwrap();
        let read = read(&mut file, &BTreeMap::new(), &Dialect::default(), &mut TestSink::new(&[]));
        let message = read.unwrap_err().to_string();
        assert!(message.ends_with("to need separator = \";\", decimal_mark = \",\" in the source"), "{message}");
    }

    #[test]
    fn bytes_of_another_encoding_are_rejected_with_their_line() {
        let head = "meter;resource_id;measured_at;quantity\n";
        let rows = |name: &[u8]| {
            let row = [b"unit;".as_slice(), name, b";2026-10-05T10:00:00Z;1,5\n"].concat();
            [head.as_bytes(), b"unit;a;2026-10-05T10:00:00Z;1,5\n", &row, b"unit;c;2026-10-05T10:00:00Z;1,5\n"].concat()
        };
        let sink = read_by(&dialect("utf-8"), &rows(b"Z\xe4hler"));
        assert_eq!((sink.records.len(), reasons(&sink)), (2, vec![(Reason::NotUtf8, 3)]));
        assert!(sink.rejected[0].1.ends_with("such as encoding = \"windows-1252\""), "{}", sink.rejected[0].1);
        let sink = read_by(&dialect("windows-1252"), &rows(b"Z\xe4hler"));
        assert_eq!((sink.records[1].resource_id.as_str(), reasons(&sink)), ("Zähler", Vec::new()));
        // 0xA0 is not the first byte of a character of Shift_JIS.
        let sink = read_by(&dialect("shift_jis"), &rows(b"Z\xa0hler"));
        assert_eq!((sink.records.len(), reasons(&sink)), (2, vec![(Reason::NotUtf8, 3)]));
        assert_eq!(sink.rejected[0].1, "the row is not Shift_JIS");
        for (label, bytes) in [("utf-8", &b"\xff\xfem\0"[..]), ("windows-1252", b"\xef\xbb\xbfmeter")] {
            let sink = read_by(&dialect(label), bytes);
            assert_eq!(reasons(&sink), [(Reason::NotText, 1)], "{label}");
        }
        let sink = read_by(&dialect("utf-8"), b"\xff\xfem\0");
        let expected = "the file begins as UTF-16LE, expected UTF-8: set encoding = \"utf-16le\"";
        assert_eq!(sink.rejected[0].1, expected);
        assert_eq!(read_by(&dialect("utf-8"), b"m\0e\0t\0").rejected[0].1, expected);
    }

    #[test]
    fn a_missing_column_proposes_the_keys_of_the_file() {
        let message = |text: &[u8]| {
            let mut file = compression::open(text).unwrap();
            let read = read(&mut file, &BTreeMap::new(), &Dialect::default(), &mut TestSink::new(&[]));
            read.unwrap_err().to_string()
        };
        assert_eq!(
            message(b"meter;quantity\nunit;1.000,5\n"),
            "there is no column `meter`; the columns are: meter;quantity; the file seems to need separator = \";\", \
             decimal_mark = \",\", thousands_mark = \".\" in the source"
        );
        assert!(message(b"meter\tquantity\n").ends_with(r#"to need separator = "\t" in the source"#));
        let found = message(b"Z\xe4hler,quantity\n");
        assert!(found.ends_with("; the file seems to need encoding = \"windows-1252\" in the source"), "{found}");
        // UTF-8 without a byte order mark in a source of another encoding.
        let mut file = compression::open("Zähler;quantity\n".as_bytes()).unwrap();
        let read = read(&mut file, &BTreeMap::new(), &dialect("windows-1252"), &mut TestSink::new(&[]));
        let found = read.unwrap_err().to_string();
        assert!(found.ends_with("; the file seems to need encoding = \"utf-8\" in the source"), "{found}");
        assert_eq!(message(b"meter,quantity\n"), "there is no column `resource_id`; the columns are: meter, quantity");
    }

    /// One row of the property test: resource, flavor, project, instant in microseconds, and quantity in hundredths.
    type Cells = (String, String, Option<String>, i64, i64);

    fn grouped(hundredths: i64, marks: NumberMarks) -> String {
        let whole = (hundredths.unsigned_abs() / 100).to_string();
        let mut text = if hundredths < 0 { "-".to_owned() } else { String::new() };
        for (index, digit) in whole.chars().enumerate() {
            text.extend(marks.thousands.filter(|_| index > 0 && (whole.len() - index).is_multiple_of(3)));
            text.push(digit);
        }
        format!("{text}{}{:02}", marks.decimal, hundredths.unsigned_abs() % 100)
    }

    fn time(micros: i64, clock: &Clock, as_number: bool) -> String {
        let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
        match (clock.time_unit, &clock.time_zone) {
            (TimeUnit::Seconds, _) if as_number => format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
            (TimeUnit::Milliseconds, _) if as_number => format!("{}.{:03}", micros / 1_000, micros % 1_000),
            (TimeUnit::Microseconds, _) if as_number => micros.to_string(),
            (TimeUnit::Nanoseconds, _) if as_number => format!("{micros}123"),
            (_, None) => instant.to_string(),
            (_, Some(zone)) => {
                let local = instant.to_zoned(zone.clone());
                let is_unique = !zone.to_ambiguous_timestamp(local.datetime()).is_ambiguous();
                // Only the repeated hour needs its offset.
                if is_unique { local.datetime().to_string() } else { local.strftime("%FT%T%.f%:z").to_string() }
            }
        }
    }

    fn written(rows: &[Cells], dialect: &Dialect, as_number: bool) -> Vec<u8> {
        let mut builder = csv::WriterBuilder::new();
        builder.delimiter(dialect.separator);
        match dialect.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quote_style(csv::QuoteStyle::Never),
        };
        let mut writer = builder.from_writer(Vec::new());
        let header = ["meter", "resource_id", "flavor.name", "project_id", "measured_at", "quantity"];
        writer.write_record(header).unwrap();
        for (resource, flavor, project, micros, quantity) in rows {
            let null = dialect.null_values.first().map_or("", String::as_str);
            let time = time(*micros, &dialect.clock, as_number);
            let quantity = grouped(*quantity, dialect.numbers);
            let project = project.as_deref().unwrap_or(null);
            writer.write_record(["unit", resource, flavor, project, &time, &quantity]).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        match dialect.encoding.name() {
            "UTF-16LE" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "UTF-16BE" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => dialect.encoding.encode(&text).0.into_owned(),
        }
    }

    fn any_dialect() -> impl Strategy<Value = Dialect> {
        let encodings = prop::sample::select(vec!["utf-8", "utf-16le", "utf-16be", "windows-1252", "gb18030"]);
        let marks =
            prop::sample::select(vec![('.', None), (',', None), (',', Some('.')), ('.', Some(',')), (',', Some(' '))]);
        let zones =
            prop::sample::select(vec![None, Some("Europe/Berlin"), Some("America/New_York"), Some("Asia/Tokyo")]);
        let units = prop::sample::select(TimeUnit::ALL.map(|(_, unit)| unit).to_vec());
        let separators = prop::sample::select(b",;\t|".to_vec());
        let quotes = prop::sample::select(vec![Some(b'"'), Some(b'\''), None]);
        (separators, quotes, encodings, marks, zones, units, any::<bool>()).prop_map(
            |(separator, quote, encoding, (decimal, thousands), zone, time_unit, has_null)| Dialect {
                separator,
                quote,
                encoding: Encoding::for_label(encoding.as_bytes()).unwrap(),
                numbers: NumberMarks { decimal, thousands },
                null_values: if has_null { vec!["N/A".to_owned()] } else { Vec::new() },
                clock: Clock { time_zone: zone.map(|zone| jiff::tz::TimeZone::get(zone).unwrap()), time_unit },
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// The instants include the clock changes of Europe/Berlin on 2026-10-25 and 2027-03-28.
        #[test]
        fn a_table_is_equal_in_every_dialect(
            dialect in any_dialect(),
            rows in prop::collection::vec(
                (
                    "[a-zA-Zäß€]{1,3}[a-z ,;|'\"\t\näß€]{0,5}x",
                    "[a-z,;|'\"äß€]{0,4}",
                    prop::option::of("p-[0-9]"),
                    prop_oneof![
                        1_000_000_000_000_000i64..4_000_000_000_000_000,
                        1_792_880_000_000_000i64..1_792_910_000_000_000,
                        1_806_180_000_000_000i64..1_806_210_000_000_000,
                    ],
                    -1_000_000_000_000i64..1_000_000_000_000,
                ),
                1..8,
            ),
            as_number in any::<bool>(),
        ) {
            let mut rows: Vec<Cells> = rows;
            if dialect.quote.is_none() {
                // Without quotes, a cell cannot contain separators and line breaks; and a comma is in each number.
                prop_assume!(dialect.separator != b',');
                let special = [dialect.separator as char, '\n', '"'];
                rows.iter_mut().for_each(|row| row.0.retain(|character| !special.contains(&character)));
                rows.iter_mut().for_each(|row| row.1.retain(|character| !special.contains(&character)));
            }
            let expected = read_by(&Dialect::default(), &written(&rows, &Dialect::default(), false));
            prop_assert_eq!(&expected.rejected, &[]);
            let found = read_by(&dialect, &written(&rows, &dialect, as_number));
            prop_assert_eq!(&found.rejected, &[]);
            prop_assert_eq!(found.records, expected.records);
        }
    }
}
