//! The reader of usage records in CSV with a header. The columns `meter`, `resource_id`, `measured_at` and `quantity`
//! are required; `project_id`, `unit`, `type`, `record_id`, `created_at`, `deleted` and `is_state` are optional. Every
//! other column may be a dimension or a label.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Chain, Cursor, Read};

use csv::{ByteRecord, StringRecord};

use crate::intake::formats::compression::Decoded;
use crate::intake::formats::id::canonical_id;
use crate::intake::formats::lines::{BYTE_ORDER_MARK, HEAD_BYTES, MAX_RECORD_BYTES};
use crate::intake::formats::unit::canonical_unit;
use crate::intake::formats::usage_columns;
use crate::intake::formats::usage_columns::{Columns, UsageError};
use crate::intake::formats::{quantity, timestamp};
use crate::intake::record::{ReadCounts, Record, RecordSink, Rejection};
use crate::intake::rejection_reason::Reason;

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
        Ok(self.columns.as_ref().map_or(Ok(()), |columns| record(row, columns, line, raw, sink)))
    }
}

/// Passes every row of a file to the sink. `columns` maps the standard names of columns to their names in the file.
pub fn read<R: BufRead>(
    decoded: &mut Decoded<R>,
    columns: &BTreeMap<String, String>,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    read_rows(decoded, &mut UsageRows { renamed: columns, columns: None }, sink)
}

/// The names of a file's columns. `None` if the whole file will be rejected when it is read.
pub(crate) fn header<R: BufRead>(decoded: &mut Decoded<R>) -> io::Result<Option<Vec<String>>> {
    Ok(open(decoded)?.ok().map(|opened| opened.header))
}

type Source<'d, R> = RowBuffer<Chain<Cursor<Vec<u8>>, &'d mut Decoded<R>>>;

/// A file after its header, with the names of its columns.
struct Opened<'d, R> {
    rows: csv::Reader<Source<'d, R>>,
    header: Vec<String>,
}

/// The reason why a file has no header, with the text at the start of the file.
struct NoHeader {
    reason: Reason,
    detail: String,
    raw: Vec<u8>,
}

fn open<R: BufRead>(decoded: &mut Decoded<R>) -> io::Result<Result<Opened<'_, R>, NoHeader>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    decoded.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    if head.contains(&0) {
        let detail = "the file contains binary data, expected CSV".to_owned();
        return Ok(Err(NoHeader { reason: Reason::NotText, detail, raw: head }));
    }
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let buffered = RowBuffer { source: Cursor::new(head).chain(decoded), bytes: Vec::new(), offset: 0 };
    // This module compares the number of fields itself, so that a rejection contains the text of the row.
    let mut csv =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(BUFFER).from_reader(buffered);
    let mut row = ByteRecord::new();
    match csv.read_byte_record(&mut row) {
        Ok(_) => {
            let header = row.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
            Ok(Ok(Opened { rows: csv, header }))
        }
        Err(_) if csv.get_ref().is_too_long() => {
            let detail = format!("the header is longer than {MAX_RECORD_BYTES} bytes, expected CSV");
            Ok(Err(NoHeader { reason: Reason::Malformed, detail, raw: csv.into_inner().bytes }))
        }
        Err(error) => Err(error.into()),
    }
}

/// As [`read`], with another receiver of the rows. Counts the rows that it rejects, and passed rows if
/// [`CsvRows::COUNTS_ROWS`] is set.
pub(crate) fn read_rows<R: BufRead, T: CsvRows>(
    decoded: &mut Decoded<R>,
    rows: &mut T,
    sink: &mut impl RecordSink,
) -> Result<ReadCounts, UsageError> {
    let mut counts = ReadCounts::default();
    let Opened { rows: mut csv, header } = match open(decoded)? {
        Ok(opened) => opened,
        Err(NoHeader { reason, detail, raw }) => {
            counts.read += 1;
            sink.reject(&Rejection { reason, detail, line: 1, raw: &raw });
            return Ok(counts);
        }
    };
    let mut row = ByteRecord::new();
    rows.header(&header, sink)?;
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
                let detail = "the row is not UTF-8".to_owned();
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
    line: u64,
    raw: &[u8],
    sink: &mut impl RecordSink,
) -> Result<(), (Reason, String)> {
    let text = |index: Option<usize>| index.and_then(|index| row.get(index));
    let source_meter = usage_columns::required(row.get(columns.meter), "meter")?;
    if !sink.is_metered(source_meter) {
        sink.unmetered(source_meter);
        return Ok(());
    }
    let resource_id = usage_columns::required(row.get(columns.resource_id), "resource_id")?;
    let time = usage_columns::required(row.get(columns.measured_at), "measured_at")?;
    let amount = usage_columns::required(row.get(columns.quantity), "quantity")?;
    let measured_at = timestamp::parse(time).map_err(|error| (error.into(), format!("the time `{time}` {error}")))?;
    let quantity = quantity::parse(amount).map_err(|reason| (reason, quantity::explain(reason, amount)))?;
    let project_id = usage_columns::stated(text(columns.project_id)).map(canonical_id);
    let record_id = usage_columns::stated(text(columns.record_id)).map(canonical_id);
    let fields: Vec<_> =
        columns.fields.iter().map(|index| text(*index).filter(|text| !text.is_empty()).map(Cow::Borrowed)).collect();
    let record = Record {
        source_meter,
        kind: usage_columns::kind(text(columns.kind)),
        unit: canonical_unit(source_meter, usage_columns::stated(text(columns.unit)).unwrap_or_default()),
        project_id: project_id.as_deref(),
        resource_id: &canonical_id(resource_id),
        measured_at,
        quantity,
        record_id: record_id.as_deref(),
        created_at: usage_columns::created_at(text(columns.created_at))?,
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
    use super::*;
    use crate::intake::formats::compression;
    use crate::intake::record::SampleKind;
    use crate::intake::test_sink::TestSink;

    const HEADER: &str =
        "meter,resource_id,measured_at,quantity,project_id,unit,type,record_id,created_at,deleted,flavor.name";

    fn read_bytes(bytes: &[u8]) -> TestSink {
        let mut sink = TestSink::new(&["flavor.name", "zone"]);
        let counts = read(&mut compression::open(bytes).unwrap(), &BTreeMap::new(), &mut sink).unwrap();
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
        assert_eq!(header(&mut compression::open(&bytes[..]).unwrap()).unwrap(), None);
        assert_eq!(reasons(&read_bytes(&bytes)), [(Reason::Malformed, 1)]);
        assert_eq!(header(&mut compression::open(&b"a,b\x00"[..]).unwrap()).unwrap(), None);
        let names = header(&mut compression::open(&b"\xef\xbb\xbf a ,b"[..]).unwrap()).unwrap();
        assert_eq!(names.unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_header_without_required_columns_is_an_error_of_the_file() {
        let mut sink = TestSink::new(&[]);
        for (text, column) in [("", "meter"), ("meter;resource_id\n", "meter"), ("meter,resource_id\n", "measured_at")]
        {
            let error =
                read(&mut compression::open(text.as_bytes()).unwrap(), &BTreeMap::new(), &mut sink).unwrap_err();
            assert!(matches!(&error, UsageError::MissingColumn { column: name, .. } if name == column), "{error}");
        }
        let renamed = BTreeMap::from([("meter".to_owned(), "Service".to_owned())]);
        let text = " Service ,resource_id,measured_at,quantity\nvcpus,r,0,1\n";
        read(&mut compression::open(text.as_bytes()).unwrap(), &renamed, &mut sink).unwrap();
        assert_eq!(sink.records[0].source_meter, "vcpus");
        sink.metered = Some(Vec::new());
        read(&mut compression::open(text.as_bytes()).unwrap(), &renamed, &mut sink).unwrap();
        assert_eq!(sink.unmetered, ["vcpus"]);
    }
}
