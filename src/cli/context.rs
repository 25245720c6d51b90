//! The context of every command: the configuration file and the printer.

use crate::cli::failure::Failure;
use crate::cli::print::Printer;
use crate::cli::warnings;
use crate::error::Error;
use crate::error::LakeError;
use crate::error::count;
use crate::invoicing::terms;
use crate::load;
use crate::model::config::Config;
use crate::model::diagnostic::Diagnostic;
use crate::model::diagnostic::Severity;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::query;
use crate::rating::coverage;
use crate::rating::eligibility;
use crate::rating::subscription;
use crate::run::RunOptions;
use jiff::tz::TimeZone;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The default configuration file.
pub(crate) const DEFAULT_CONFIG: &str = "conto.toml";

/// The environment variable with the path of another configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "CONTO_CONFIG";

/// The global arguments of the command line.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: PathBuf,
    pub(crate) printer: Printer,
}

/// The `--config` that a printed command needs to read the same configuration; `None` if it is the default.
pub(crate) fn config_argument(config: &Path) -> Option<String> {
    let default = std::env::var_os(CONFIG_VARIABLE).map_or_else(|| PathBuf::from(DEFAULT_CONFIG), PathBuf::from);
    (config != default).then(|| format!("--config {}", quoted(&config.display().to_string())))
}

/// A text quoted as one argument for a POSIX shell.
pub(crate) fn quoted(argument: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%,".contains(character);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

impl Context {
    /// The options of a command that begins now.
    pub(crate) fn options(&self, memory_limit_bytes: Option<usize>) -> RunOptions {
        self.options_at(jiff::Timestamp::now(), memory_limit_bytes)
    }

    pub(crate) fn options_at(&self, now: jiff::Timestamp, memory_limit_bytes: Option<usize>) -> RunOptions {
        RunOptions { memory_limit_bytes, started_at: now.to_string(), progress: self.printer.progress() }
    }

    /// The options of a command that only reads, without a time to record.
    pub(crate) fn reading_options(&self) -> RunOptions {
        RunOptions { memory_limit_bytes: None, started_at: String::new(), progress: self.printer.progress() }
    }

    /// The configuration alone, for commands without rules.
    pub(crate) fn read_config(&self) -> Result<Arc<Config>, Failure> {
        let (config, warnings) = self.read_config_and_warnings()?;
        self.print_warning_count(&warnings);
        Ok(config)
    }

    /// The configuration and the warnings about it.
    pub(crate) fn read_config_and_warnings(&self) -> Result<(Arc<Config>, Vec<Diagnostic>), Failure> {
        if !self.config.exists() {
            return Err(Failure::Usage {
                message: format!("there is no configuration at `{}`", self.config.display()),
                hint: "name the file with --config FILE, or start with `conto init DIR`".to_owned(),
            });
        }
        let (config, diagnostics) = load::read_config(&self.config);
        let found = diagnostics.into_sorted();
        match config {
            Some(config) => Ok((Arc::new(config), found)),
            None => Err(Failure::Invalid(errors(found))),
        }
    }

    /// Configuration and rules, with every expression checked. Problems of all files are reported at once.
    pub(crate) fn read_all(&self) -> Result<(Arc<Config>, Arc<RuleBook>), Failure> {
        let (config, mut found) = self.read_config_and_warnings()?;
        let (book, rule_problems) = self.read_rules(&config)?;
        found.extend(rule_problems);
        self.print_warning_count(&found);
        let errors = errors(found);
        if errors.is_empty() { Ok((config, Arc::new(book))) } else { Err(Failure::Invalid(errors)) }
    }

    /// The rules, with all errors and warnings.
    pub(crate) fn read_rules(&self, config: &Config) -> Result<(RuleBook, Vec<Diagnostic>), Failure> {
        let zone = time_zone(config)?;
        let base = std::env::current_dir().ok();
        let base = base.as_deref().filter(|base| config.rules.starts_with(base));
        let (book, mut diagnostics) = load::read_rules(&config.rules, &zone, config.currency, base);
        let session = query::Session::new(None)?;
        let (_, problems) = eligibility::compile(&session, &book);
        diagnostics.extend(problems);
        diagnostics.extend(subscription::compile(&session, &book).1);
        diagnostics.extend(coverage::compile(&session, &book, &book.reservations).1);
        diagnostics.extend(terms::compile(&session, &book.terms, &config.seller).1);
        Ok((book, diagnostics.into_sorted()))
    }

    /// Prints one line with the number of warnings.
    pub(crate) fn print_warning_count(&self, found: &[Diagnostic]) {
        let warnings = warnings::of(found).count();
        if warnings > 0 {
            let (warnings, them) = (count(warnings, "warning"), if warnings == 1 { "it" } else { "them" });
            self.printer.message(&format!("{warnings}; `conto rules check` shows {them}"));
        }
    }
}

/// The time zone of the configuration.
pub(crate) fn time_zone(config: &Config) -> Result<TimeZone, Error> {
    TimeZone::get(&config.time_zone)
        .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))
}

pub(crate) fn errors(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}

/// The failure of a command that needs a billed period.
pub(crate) fn never_billed(period: BillingPeriod) -> Failure {
    Failure::Usage {
        message: format!("the lake has no billing of {period}"),
        hint: format!("`conto run --period {period}` drafts its invoices; `conto status` lists all commits"),
    }
}

/// A path for output: relative if it is below the current directory.
pub(crate) fn shown(path: &Path) -> String {
    let current = std::env::current_dir().ok();
    let below = current.as_deref().and_then(|current| path.strip_prefix(current).ok());
    below.unwrap_or(path).display().to_string()
}
