//! Sources of each format with good files, and every kind of bad file.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use serde_json::json;

use crate::test_lake::TestLake;

/// The sources: name and format. Each reads the files of the directory with its name.
pub(super) const SOURCES: [(&str, &str); 8] = [
    ("csv", "csv"),
    ("csv-select", "csv"),
    ("json", "json"),
    ("parquet", "parquet"),
    ("parquet-select", "parquet"),
    ("ceilometer", "ceilometer"),
    ("events", "cloudevents"),
    ("bus", "notifications"),
];

const SELECT: &str = "SELECT kind AS meter, vm AS resource_id, seen AS measured_at, n AS quantity, owner AS project_id \
                      FROM source";

/// A lake with all sources, and one rule with this price in units of the twelfth decimal place.
pub(super) fn lake(price: i128) -> TestLake {
    let lake = lake_at(price, "");
    SOURCES.iter().for_each(|(name, _)| std::fs::create_dir(lake.path(name)).unwrap());
    lake
}

/// As [`lake`], with the directories of the sources below a URL or directory.
pub(super) fn lake_at(price: i128, root: &str) -> TestLake {
    let source = |(name, format): &(&str, &str)| {
        let select =
            if name.contains("select") || *format == "json" { format!("select = \"{SELECT}\"") } else { "".into() };
        format!("[[source]]\nname = \"{name}\"\nformat = \"{format}\"\npath = \"{root}{name}/*\"\n{select}\n")
    };
    let price = format!("unit_price = \"{}.{:012}\"", price / 1_000_000_000_000, price % 1_000_000_000_000);
    TestLake::of_one_rule(r#"aggregation = "sum""#, &price).config(SOURCES.iter().map(source).collect::<String>())
}

/// A record of usage.
pub(super) struct Usage {
    meter: &'static str,
    resource: String,
    quantity: String,
}

impl Usage {
    /// Good usage, with a quantity in units of the ninth decimal place.
    pub(super) fn good(number: usize, quantity: i128) -> Self {
        let quantity = format!("{}.{:09}", quantity / 1_000_000_000, quantity % 1_000_000_000);
        Self { meter: "m", resource: format!("r{number}"), quantity }
    }
}

/// A file of a source with these records.
pub(super) fn file(source: usize, records: &[Usage]) -> Vec<u8> {
    const AT: &str = "2026-10-05T10:00:00Z";
    let (name, format) = SOURCES[source];
    let is_shaped = name.contains("select") || format == "json";
    let header = if is_shaped {
        ["kind", "vm", "seen", "n", "owner"]
    } else {
        ["meter", "resource_id", "measured_at", "quantity", "project_id"]
    };
    let cells = |usage: &Usage| [usage.meter, &usage.resource, AT, &usage.quantity, "p"].map(str::to_owned);
    let lines = |line: &dyn Fn(&Usage) -> serde_json::Value| -> Vec<u8> {
        records.iter().map(|usage| format!("{}\n", line(usage))).collect::<String>().into_bytes()
    };
    match format {
        "csv" => {
            let rows: String = records.iter().map(|usage| cells(usage).join(",") + "\n").collect();
            format!("{}\n{rows}", header.join(",")).into_bytes()
        }
        "parquet" => {
            let column = |index: usize| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(records.iter().map(|usage| cells(usage)[index].clone())))
            };
            parquet(header.into_iter().enumerate().map(|(index, name)| (name, column(index))).collect())
        }
        "json" => lines(&|usage| {
            let cells = cells(usage);
            header.into_iter().zip(cells).map(|(name, cell)| (name.to_owned(), json!(cell))).collect()
        }),
        "ceilometer" => lines(&|usage| {
            json!({
                "name": usage.meter, "unit": "u", "volume": usage.quantity, "project_id": "p",
                "resource_id": usage.resource, "timestamp": AT, "message_id": usage.resource,
            })
        }),
        "cloudevents" => lines(&|usage| {
            json!({
                "specversion": "1.0", "id": usage.resource, "source": "/s", "type": usage.meter, "subject": "p",
                "time": AT, "data": { "resource_id": usage.resource, "quantity": usage.quantity },
            })
        }),
        // Notifications have no quantity. An unknown event is not metered.
        _ => lines(&|usage| {
            json!({
                "event_type": "some.event", "timestamp": AT,
                "payload": { "id": usage.resource, "size": usage.quantity },
            })
        }),
    }
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Delivers one file with one record for each quantity, over the sources in turn.
pub(super) fn good(lake: &TestLake, quantities: &[i128]) {
    // The last source reads notifications, which have no quantity.
    let sources = SOURCES.len() - 1;
    for (number, quantity) in quantities.iter().enumerate() {
        let source = number % sources;
        lake.put(&format!("{}/good-{number}", SOURCES[source].0), file(source, &[Usage::good(number, *quantity)]));
    }
}

/// The kind of a bad file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NoBytes,
    ByteOrderMark,
    BlankLines,
    GzipOfNothing,
    ZstdOfNothing,
    TruncatedGzip,
    TruncatedZstd,
    TruncatedFile,
    Binary,
    WrongColumns,
    BadRecord,
    LinkToNothing,
    LinkToItself,
    /// A file whose content cannot be read: its reader gets an input/output error.
    Unreadable,
    NameNotUtf8,
    /// A named pipe without a writer, which a reader would wait for.
    Pipe,
    /// A directory with the name of a file.
    Directory,
}

/// The expected outcome of a bad file.
pub(super) enum Outcome {
    Nothing,
    Rejected(&'static str),
    Unread(&'static str),
}

impl Kind {
    pub(super) const ALL: [Self; 17] = [
        Self::NoBytes,
        Self::ByteOrderMark,
        Self::BlankLines,
        Self::GzipOfNothing,
        Self::ZstdOfNothing,
        Self::TruncatedGzip,
        Self::TruncatedZstd,
        Self::TruncatedFile,
        Self::Binary,
        Self::WrongColumns,
        Self::BadRecord,
        Self::LinkToNothing,
        Self::LinkToItself,
        Self::Unreadable,
        Self::NameNotUtf8,
        Self::Pipe,
        Self::Directory,
    ];

    /// The kinds that are a content, whatever the place of the file.
    pub(super) const CONTENTS: [Self; 11] = [
        Self::NoBytes,
        Self::ByteOrderMark,
        Self::BlankLines,
        Self::GzipOfNothing,
        Self::ZstdOfNothing,
        Self::TruncatedGzip,
        Self::TruncatedZstd,
        Self::TruncatedFile,
        Self::Binary,
        Self::WrongColumns,
        Self::BadRecord,
    ];
}

/// A bad file in the directory of a source. The number distinguishes files of the same kind.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) source: usize,
    pub(super) kind: Kind,
    pub(super) number: usize,
}

impl Bad {
    /// The directory and the name, as they are listed.
    pub(super) fn name(&self) -> String {
        let end = if self.kind == Kind::NameNotUtf8 { "\u{fffd}" } else { "" };
        format!("{}/bad-{}{end}", SOURCES[self.source].0, self.number)
    }

    pub(super) fn outcome(&self) -> Outcome {
        let format = SOURCES[self.source].1;
        let is_parquet = format == "parquet";
        let has_columns = ["csv", "parquet", "json"].contains(&format);
        match self.kind {
            Kind::NoBytes | Kind::ByteOrderMark | Kind::BlankLines | Kind::GzipOfNothing | Kind::ZstdOfNothing => {
                Outcome::Nothing
            }
            Kind::Directory => Outcome::Nothing,
            Kind::TruncatedGzip | Kind::TruncatedZstd | Kind::TruncatedFile | Kind::Binary if is_parquet => {
                Outcome::Rejected("malformed")
            }
            Kind::TruncatedGzip | Kind::TruncatedZstd | Kind::TruncatedFile => Outcome::Rejected("truncated"),
            Kind::Binary => Outcome::Rejected("not_text"),
            Kind::WrongColumns if has_columns => Outcome::Unread("wrong_columns"),
            Kind::WrongColumns if format == "notifications" => Outcome::Rejected("malformed"),
            Kind::WrongColumns => Outcome::Rejected("missing_field"),
            Kind::BadRecord if format == "notifications" => Outcome::Rejected("malformed"),
            Kind::BadRecord => Outcome::Rejected("bad_quantity"),
            Kind::LinkToNothing => Outcome::Unread("not_found"),
            Kind::LinkToItself | Kind::Unreadable | Kind::Pipe => Outcome::Unread("failed"),
            Kind::NameNotUtf8 => Outcome::Unread("unusable_name"),
        }
    }

    /// The content of a file, if the kind is a content.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        let (name, format) = SOURCES[self.source];
        // Files with equal content are read once, so the content depends on the file.
        let unique = format!("{name}-{}", self.number);
        let number = self.number;
        let record = |meter, quantity: &str| Usage { meter, resource: unique.clone(), quantity: quantity.to_owned() };
        let unmetered = || file(self.source, &(0..200).map(|_| record("other", "1")).collect::<Vec<_>>());
        let shortened = |mut bytes: Vec<u8>, by: usize| {
            bytes.truncate(bytes.len() - by);
            bytes
        };
        Some(match self.kind {
            Kind::NoBytes => Vec::new(),
            Kind::ByteOrderMark => "\u{feff}".into(),
            Kind::BlankLines => ("\u{feff}".to_owned() + &"\n \r\n".repeat(number + 1)).into(),
            Kind::GzipOfNothing => gzip(b""),
            Kind::ZstdOfNothing => zstd::encode_all(&b"\n"[..], 3).unwrap(),
            Kind::TruncatedGzip => shortened(gzip(&unmetered()), 9),
            Kind::TruncatedZstd => shortened(zstd::encode_all(&unmetered()[..], 3).unwrap(), 3),
            Kind::TruncatedFile => shortened(unmetered(), 5),
            Kind::Binary => format!("{unique}\0").into(),
            Kind::WrongColumns => wrong_columns(format, &unique),
            Kind::BadRecord if format == "notifications" => format!("{unique} {{\n").into(),
            Kind::BadRecord => file(self.source, &[record("m", "many")]),
            Kind::NameNotUtf8 => unmetered(),
            Kind::LinkToNothing | Kind::LinkToItself | Kind::Unreadable | Kind::Pipe | Kind::Directory => return None,
        })
    }

    pub(super) fn deliver(&self, lake: &TestLake) {
        let directory = lake.path(SOURCES[self.source].0);
        let path = directory.join(format!("bad-{}", self.number));
        let content = self.content().unwrap_or_default();
        match self.kind {
            Kind::LinkToNothing => std::os::unix::fs::symlink("nowhere", path).unwrap(),
            Kind::LinkToItself => std::os::unix::fs::symlink(path.file_name().unwrap(), &path).unwrap(),
            Kind::Unreadable => std::os::unix::fs::symlink("/proc/self/mem", path).unwrap(),
            Kind::NameNotUtf8 => {
                use std::os::unix::ffi::OsStrExt as _;
                let name = [format!("bad-{}", self.number).as_bytes(), b"\xff"].concat();
                std::fs::write(directory.join(std::ffi::OsStr::from_bytes(&name)), content).unwrap();
            }
            Kind::Pipe => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
            Kind::Directory => std::fs::create_dir(path).unwrap(),
            _ => std::fs::write(path, content).unwrap(),
        }
    }
}

fn wrong_columns(format: &str, unique: &str) -> Vec<u8> {
    match format {
        "csv" => format!("a,b\n{unique},2\n").into_bytes(),
        "parquet" => parquet(vec![("a", Arc::new(StringArray::from(vec![unique])))]),
        "notifications" => format!("[\"{unique}\"]\n").into_bytes(),
        _ => format!("{{\"a\": \"{unique}\"}}\n").into_bytes(),
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
