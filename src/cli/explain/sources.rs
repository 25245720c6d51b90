//! The metered windows of a line in `conto explain`, and the files with their samples.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use serde::Serialize;

use super::document::Document;
use crate::cli::context::shown;
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::intake::resolve::collector::instant;
use crate::model::money::Quantity;
use crate::model::period::{DayNumber, date_of};
use crate::query::{Parameters, statement};
use crate::rows;
use crate::run::register_verified;
use crate::storage::DataFile;

/// A metered window of a line.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedWindow {
    pub(super) resource: String,
    pub(super) meter: String,
    pub(super) window_start: String,
    /// The exclusive end.
    pub(super) window_end: String,
    /// In metered units.
    pub(super) quantity: String,
    pub(super) samples: i64,
}

/// An input file with samples of a line.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedFile {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) samples: i64,
    pub(super) first_measured_at: String,
    pub(super) last_measured_at: String,
}

impl Document {
    /// The metered windows of a line, and the files with their samples.
    pub(super) async fn sources_of(
        &self,
        usage: &[RecordBatch],
    ) -> Result<(Vec<ExplainedWindow>, Vec<ExplainedFile>), Failure> {
        self.register_days_of(usage).await?;
        let at = |row: rows::Row<'_>, name| row.instant(name).map(|at| instant(at).into_owned());
        let mut windows = Vec::new();
        for window in rows::each(&self.books.session.run("report/line_window", Parameters::none()).await?) {
            windows.push(ExplainedWindow {
                resource: window.text("resource_id")?.to_owned(),
                meter: window.text("meter")?.to_owned(),
                window_start: at(window, "window_start")?,
                window_end: at(window, "window_end")?,
                quantity: window.decimal::<Quantity>("consumed_quantity")?.to_string(),
                samples: window.number("sample_count")?,
            });
        }
        let mut files = Vec::new();
        for file in rows::each(&self.books.session.run("report/line_file", Parameters::none()).await?) {
            files.push(ExplainedFile {
                file: shown(std::path::Path::new(file.text("url")?)),
                sha256: file.text("sha256")?.to_owned(),
                samples: file.number("sample_count")?,
                first_measured_at: at(file, "first_measured_at")?,
                last_measured_at: at(file, "last_measured_at")?,
            });
        }
        Ok((windows, files))
    }

    /// Registers the windows and samples of the dates that a line charges.
    async fn register_days_of(&self, usage: &[RecordBatch]) -> Result<(), Failure> {
        let mut days = Vec::new();
        for used in rows::each(usage) {
            days.extend([used.day("first_date")?, used.day("last_date")?]);
        }
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { return Ok(()) };
        self.register_retracted(*first, *last).await?;
        let (first, last) = (date_of(*first).to_string(), date_of(*last).to_string());
        let is_of_days = |file: &DataFile| first <= file.partition && file.partition <= last;
        self.books.register("metering/metered_usage", is_of_days).await?;
        let samples = self.today.files("sample").filter(|file| is_of_days(file));
        Ok(register_verified(&self.books.session, &self.books.lake, "intake/sample", samples).await?)
    }

    /// Registers samples that were retracted after the document was issued.
    async fn register_retracted(&self, first: DayNumber, last: DayNumber) -> Result<(), Failure> {
        const PATH: &str = "intake/retracted_sample";
        let mut calendar = self.books.calendar()?;
        let days = calendar.day_start(first)..calendar.day_start(last + 1);
        let mut retracted = Vec::new();
        if let Some(issued_by) = self.issued_by {
            let relation = statement(PATH).map_err(Error::from)?;
            for file in self.today.files(&relation.name) {
                for batch in self.books.lake.read_rows(file, &relation.schema).await? {
                    let mut counted = Vec::with_capacity(batch.num_rows());
                    for row in rows::each(std::slice::from_ref(&batch)) {
                        let is_later = row.number("commit_number")?.unsigned_abs() > issued_by;
                        counted.push(is_later && days.contains(&row.instant("measured_at")?));
                    }
                    let picked = filter_record_batch(&batch, &BooleanArray::from(counted));
                    retracted.push(picked.map_err(|source| rows::failed(&relation.name, source))?);
                }
            }
        }
        Ok(self.books.session.register(PATH, retracted).map_err(Error::from)?)
    }
}
