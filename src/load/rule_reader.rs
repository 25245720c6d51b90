//! The context that the readers of all tables of rule files share.

use crate::load::attachments::Rows;
use crate::load::attachments::SideFiles;
use crate::load::csv_file::CsvFile;
use crate::load::problems::Problems;
use crate::model::diagnostic::SourceText;
use jiff::tz::TimeZone;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The context of a load of rule files. Every reader of a table gets a reference to this context.
pub(super) struct RuleReader<'a> {
    pub(super) problems: &'a Problems,
    pub(super) time_zone: &'a TimeZone,
    pub(super) side_files: SideFiles<'a>,
    pub(super) folders: BTreeMap<&'a str, &'a Path>,
    /// The names of CSV files whose problems are already reported. Several rules can name the same file.
    pub(super) reported: RefCell<BTreeSet<String>>,
    /// Whether every file is valid TOML. An invalid file may contain declarations that seem to be
    /// missing.
    pub(super) is_complete: bool,
}

impl RuleReader<'_> {
    pub(super) fn folder(&self, source: &SourceText) -> PathBuf {
        self.folders.get(source.name.as_str()).map(|folder| folder.to_path_buf()).unwrap_or_default()
    }

    pub(super) fn rows(&self, source: &Arc<SourceText>, file: &CsvFile) -> Rows {
        let (rows, problems) = Rows::parse(source, file);
        if self.reported.borrow_mut().insert(source.name.clone()) {
            for problem in problems {
                self.problems.push(problem);
            }
        }
        rows
    }
}
