//! The readers of configuration, accounts and rules.
//!
//! A reader converts texts to the checked structs of `model`. It collects the problems of all files, so that
//! an operator can fix all problems at once. If there is an error, the structs serve only to find further errors.

mod account_rows;
mod accounts;
mod attachments;
mod branding;
mod closing;
mod commitment_discounts;
mod committed_inputs;
mod config;
mod consistency;
mod csv_file;
mod dialects;
mod dimension_value;
mod dimensions;
mod duration;
mod examples;
mod exchange_rates;
mod fees;
mod included_units;
mod instant;
mod keys;
mod lookups;
mod meters;
mod one_off_charges;
mod paths;
mod pool;
mod price_list;
mod price_windows;
mod pricing;
mod problems;
mod quantity;
mod recurring;
mod render;
mod rule_parts;
mod rule_reader;
mod rules;
mod run_limits;
mod schema;
mod signed_pools;
mod sources;
mod table;
mod term_parts;
mod terms;
#[cfg(test)]
mod tests;
mod tiers;
mod time_zone;
mod unique_names;
mod validity;
mod vat_id;
mod written_account;

use crate::load::rule_reader::RuleReader;
use crate::load::unique_names::unique;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iso_currency::Currency;
use jiff::tz::TimeZone;
use toml::de::DeTable;

pub use crate::load::attachments::ReadText;
pub use crate::load::committed_inputs::read_committed_inputs;
pub use config::{read_config, read_config_text};
pub use dimension_value::canonical_value;
pub use duration::parse_seconds;
pub use quantity::{UnitError, Units, split_unit};
pub use render::render;
pub use schema::SchemaKind;

use crate::load::attachments::SideFiles;
use crate::model::diagnostic::{Diagnostic, Diagnostics, SourceText};
use crate::model::rule::Rule;
use crate::model::rule_book::RuleBook;
use problems::{Problems, reason};
use table::{File, RULES};
use terms::TermTables;

/// The text of a rule file.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The path that messages show.
    pub name: String,
    /// The directory of the rule file. Paths in the rule file are relative to this directory.
    pub folder: PathBuf,
    pub text: String,
}

/// Reads all files `*.toml` below a directory, and the CSV files that these files name. Paths in messages are relative
/// to `display_base`.
pub fn read_rules(
    directory: &Path,
    time_zone: &TimeZone,
    currency: Currency,
    display_base: Option<&Path>,
) -> (RuleBook, Diagnostics) {
    let problems = Problems::default();
    let shown = |path: &Path| {
        let shown = display_base.and_then(|base| path.strip_prefix(base).ok()).unwrap_or(path);
        shown.to_string_lossy().into_owned()
    };
    let unreadable = |path: &Path, error: &io::Error| {
        let message = format!("cannot read `{}`: {}", shown(path), reason(error));
        let diagnostic = Diagnostic::error("rules::unreadable", message);
        let is_root = path == directory;
        let hint = "set `rules` in conto.toml to the directory of the rule files";
        problems.push(if is_root { diagnostic.hint(hint) } else { diagnostic });
    };
    let mut paths = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if let Err(error) = list(&folder, &mut paths, &mut folders) {
            unreadable(&folder, &error);
        }
    }
    let mut files = Vec::new();
    for path in &paths {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                files.push(RuleFile { name: shown(path), folder, text });
            }
            Err(error) => unreadable(path, &error),
        }
    }
    if paths.is_empty() && problems.error_count() == 0 {
        let message = format!("`{}` contains no rule file (`*.toml`)", shown(directory));
        let hint = "add a rule file, or set `rules` in conto.toml to the directory of the rule files";
        problems.push(Diagnostic::error("rules::no_files", message).hint(hint));
    }
    let (book, found) = read_rule_files(files, &csv_file::read_decoded, time_zone, currency);
    let mut diagnostics = problems.into_diagnostics();
    diagnostics.extend(found);
    (book, diagnostics)
}

/// Adds the rule files and subdirectories of a directory to `files` and `folders`. Hidden files and subdirectories are
/// skipped, because they belong to editors and version control.
fn list(folder: &Path, files: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a directory is not followed, because it may form a cycle.
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads the texts of rule files; `read_text` reads their CSV files.
pub fn read_rule_files(
    mut files: Vec<RuleFile>,
    read_text: ReadText<'_>,
    time_zone: &TimeZone,
    currency: Currency,
) -> (RuleBook, Diagnostics) {
    files.sort_by(|left, right| left.name.cmp(&right.name));
    let problems = Problems::default();
    let mut sources: Vec<Arc<SourceText>> = Vec::with_capacity(files.len());
    let mut folders = BTreeMap::new();
    for file in &files {
        sources.push(SourceText::new(file.name.clone(), file.text.clone()));
        folders.insert(file.name.as_str(), file.folder.as_path());
    }
    let documents: Vec<(File<'_>, DeTable<'_>)> = sources
        .iter()
        .filter_map(|source| {
            let file = File { source, codes: &RULES, problems: &problems, currency: Some(currency) };
            file.parse().map(|table| (file, table))
        })
        .collect();
    let reader = RuleReader {
        problems: &problems,
        time_zone,
        side_files: SideFiles::new(read_text),
        folders,
        reported: RefCell::default(),
        is_complete: documents.len() == sources.len(),
    };
    let mut book = read_documents(&documents, &reader);
    book.sources = sources.iter().cloned().chain(reader.side_files.into_texts()).collect();
    book.sources.sort_by(|left, right| left.name.cmp(&right.name));
    drop(documents);
    (book, problems.into_diagnostics())
}

/// Reads the tables of all files, one kind of table after another: lookups, meters, rules, then the other kinds. The
/// order matters because tables refer to tables of earlier kinds.
fn read_documents<'a>(documents: &'a [(File<'a>, DeTable<'a>)], reader: &RuleReader<'_>) -> RuleBook {
    let problems = reader.problems;
    let mut term_tables = TermTables::default();
    let (mut lookup_tables, mut meter_tables, mut rule_tables) = (Vec::new(), Vec::new(), Vec::new());
    let (mut recurring_tables, mut fee_tables) = (Vec::new(), Vec::new());
    let mut included_units_tables = Vec::new();
    let mut charge_tables = Vec::new();
    let (mut reservation_tables, mut hourly_tables) = (Vec::new(), Vec::new());
    for (file, entries) in documents {
        let mut root = file.root(entries, &keys::RULE_FILE);
        // The currency of the file is the default for its tables.
        root.file.currency = term_parts::own_currency(&mut root);
        meter_tables.extend(root.tables("meter", &keys::METER));
        rule_tables.extend(root.tables("rule", &keys::RULE));
        included_units_tables.extend(root.tables("included_units", &keys::INCLUDED_UNITS));
        lookup_tables.extend(root.tables("lookup", &keys::LOOKUP));
        recurring_tables.extend(root.tables("recurring", &keys::RECURRING));
        charge_tables.extend(root.tables("charge", &keys::CHARGE));
        fee_tables.extend(root.tables("fee", &keys::FEE));
        reservation_tables.extend(root.tables("reservation", &keys::RESERVATION));
        hourly_tables.extend(root.tables("hourly_commitment", &keys::HOURLY_COMMITMENT));
        term_tables.take(&mut root);
        root.finish();
    }

    let mut lookups: Vec<_> = lookup_tables.into_iter().filter_map(|table| lookups::read(table, reader)).collect();
    unique(&mut lookups, |lookup| (&lookup.name, &lookup.declared_at), "rules::duplicate_lookup", "lookup", problems);

    let mut meters: Vec<_> =
        meter_tables.into_iter().filter_map(|table| meters::read(table, &lookups, reader)).collect();
    unique(&mut meters, |meter| (&meter.name, &meter.declared_at), "rules::duplicate_meter", "meter", problems);

    let found: Vec<_> = rule_tables.into_iter().map(|table| rules::read(table, &meters, reader)).collect();
    let valid: Vec<&Rule> =
        found.iter().filter(|found| found.is_valid).filter_map(|found| found.rule.as_ref()).collect();
    consistency::refuse_overlap(&valid, problems);
    consistency::refuse_contradicting_pools(&valid, &meters, problems);
    signed_pools::refuse_signed_pools(&valid, &meters, problems);
    if reader.is_complete {
        let priced = found.iter().filter_map(|found| found.prices_meter.clone()).collect();
        consistency::warn_of_unpriced_meters(&meters, &priced, problems);
    }

    let mut rules: Vec<_> = found.into_iter().filter_map(|found| found.rule).collect();
    unique(&mut rules, |rule| (&rule.id, &rule.declared_at), "rules::duplicate_id", "rule", problems);
    let mut included_units: Vec<_> = included_units_tables
        .into_iter()
        .filter_map(|table| included_units::read(table, &meters, &rules, reader))
        .collect();
    let (code, noun) = ("rules::duplicate_id", "`[[included_units]]`");
    unique(&mut included_units, |units| (&units.id, &units.declared_at), code, noun, problems);
    let mut recurring: Vec<_> =
        recurring_tables.into_iter().filter_map(|table| recurring::read(table, &meters, reader)).collect();
    recurring::refuse_fee_overlap(&recurring, problems);
    unique(&mut recurring, |fee| (&fee.id, &fee.declared_at), "rules::duplicate_id", "recurring fee", problems);
    let mut charges: Vec<_> = charge_tables.into_iter().filter_map(one_off_charges::read).collect();
    unique(&mut charges, |charge| (&charge.id, &charge.declared_at), "rules::duplicate_id", "charge", problems);
    let reserved =
        reservation_tables.into_iter().map(|table| commitment_discounts::read_reservation(table, &meters, reader));
    let committed =
        hourly_tables.into_iter().map(|table| commitment_discounts::read_commitment(table, &meters, reader));
    let mut reservations: Vec<_> = reserved.chain(committed).flatten().collect();
    unique(&mut reservations, |one| (&one.id, &one.declared_at), "rules::duplicate_id", "reservation", problems);
    let mut terms = term_tables.read(problems);
    one_off_charges::refuse_unknown_taxes(&charges, &terms.taxes, problems);
    terms.fees = fee_tables.into_iter().filter_map(|table| fees::read(table, reader)).collect();
    unique(&mut terms.fees, |fee| (&fee.id, &fee.declared_at), "rules::duplicate_id", "fee", problems);
    RuleBook { meters, lookups, rules, included_units, recurring, charges, reservations, terms, sources: Vec::new() }
}
