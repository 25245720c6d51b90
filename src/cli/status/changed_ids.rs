//! The ids that sources delivered with blanks or in another Unicode form, as `conto status` shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::print::{Printer, grouped};
use crate::rows::relations::{self, InputFile, Rows};
use crate::storage::{Lake, Snapshot};

/// The number of printed ids.
const SHOWN: usize = 20;

/// The changed ids of all files.
#[derive(Debug, Serialize)]
pub(super) struct ChangedIds {
    ids: Vec<ChangedId>,
    /// The number of changed ids without a row: those beyond the limit of each file and field.
    without_row: u64,
}

/// An id as delivered and as stored.
#[derive(Debug, Serialize)]
struct ChangedId {
    source: String,
    field: String,
    delivered: String,
    stored: String,
    /// The number of files that contain the id.
    files: u64,
}

impl ChangedIds {
    /// Reads the relation `changed_id`.
    pub(super) async fn read(lake: &Lake, snapshot: &Snapshot) -> Result<Self, Failure> {
        let mut sources: BTreeMap<u64, String> = BTreeMap::new();
        let mut files: BTreeMap<[String; 4], u64> = BTreeMap::new();
        // The number of changed ids of each file and field, and the number of its rows.
        let mut counts: BTreeMap<(u64, String), (u64, u64)> = BTreeMap::new();
        if snapshot.files("changed_id").next().is_some() {
            for file in snapshot.files("input_file") {
                for row in Rows::<InputFile>::read(&lake.read_data(file).await?)?.iter() {
                    sources.insert(row.input_file_id(), row.source().to_owned());
                }
            }
        }
        for file in snapshot.files("changed_id") {
            for row in Rows::<relations::ChangedId>::read(&lake.read_data(file).await?)?.iter() {
                let (input, field) = (row.input_file_id(), row.field().to_owned());
                let source = sources.get(&input).cloned().unwrap_or_default();
                let (delivered, stored) = (row.delivered().to_owned(), row.stored().to_owned());
                let count = counts.entry((input, field.clone())).or_default();
                *count = (row.id_count().unsigned_abs(), count.1 + 1);
                *files.entry([source, field, delivered, stored]).or_default() += 1;
            }
        }
        let ids = files.into_iter().map(|([source, field, delivered, stored], files)| ChangedId {
            source,
            field,
            delivered,
            stored,
            files,
        });
        let without_row = counts.values().map(|(all, listed)| all.saturating_sub(*listed)).sum();
        Ok(Self { ids: ids.collect(), without_row })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Prints the first ids. Quotes show blanks, and escapes show characters that combine.
    pub(super) fn print(&self, printer: &Printer) {
        if self.is_empty() {
            return;
        }
        printer.line("\nIds that were delivered with blanks or in another Unicode form:");
        let cells = |id: &ChangedId| {
            let quoted = format!("\"{}\"", id.delivered.escape_default());
            vec![id.source.clone(), id.field.clone(), quoted, format!("{:?}", id.stored), grouped(id.files)]
        };
        let rows: Vec<Vec<String>> = self.ids.iter().take(SHOWN).map(cells).collect();
        printer.table(&["source", "field", "delivered", "stored", "files"], &rows, &[4]);
        if self.ids.len() > SHOWN {
            let more = grouped((self.ids.len() - SHOWN) as u64);
            printer.line(&format!("and {more} more: `conto sql \"SELECT * FROM changed_id\"`"));
        }
        if self.without_row > 0 {
            let count = grouped(self.without_row);
            printer.line(&format!("{count} more have no row, because a file has at most 100 rows for each field"));
        }
    }
}
