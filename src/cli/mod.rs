//! The command line: a file for each command. Commands decide nothing; they call the pipeline and print.

mod asked;
mod audit;
mod close;
mod compact;
mod completions;
mod expire;
mod explain;
mod export;
mod gaps;
mod init;
mod intake;
mod memory_limit;
mod print;
mod progress;
mod quote;
mod rules;
mod run;
mod sql;
mod status;
mod sums;
mod unconfirmed;
mod vacuum;
mod verify;
mod withdraw;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use jiff::tz::TimeZone;

use self::print::Printer;
use crate::error::{Error, LakeError};
use crate::invoicing::terms;
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, Severity};
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::query;
use crate::rating::{coverage, eligibility, subscription};
use crate::run::RunOptions;
use crate::{load, storage};

/// Batch rating and billing for cloud providers: metered usage in, invoices out.
///
/// A nightly run takes in usage, prices it by the rules, and drafts an invoice and a usage report for each project.
#[derive(Debug, Parser)]
#[command(name = "conto", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done; 1 failed; 2 the command, the configuration or a rule is to be mended; \
    3 the data were refused; 4 done, with accounts set aside.")]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "conto.toml",
        env = "CONTO_CONFIG",
        hide_env_values = true
    )]
    config: PathBuf,

    /// Print JSON for machines instead of tables
    #[arg(long, global = true)]
    json: bool,

    /// Do not draw progress bars
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunCommand),
    Close(close::CloseCommand),
    Restate(close::RestateCommand),
    Intake(intake::IntakeCommand),
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    Quote(quote::QuoteCommand),
    Explain(explain::ExplainCommand),
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Export(export::ExportCommand),
    Sql(sql::SqlCommand),
    Status(status::StatusCommand),
    Verify(verify::VerifyCommand),
    Withdraw(withdraw::WithdrawCommand),
    Compact(compact::CompactCommand),
    Expire(expire::ExpireCommand),
    Vacuum(vacuum::VacuumCommand),
    Init(init::InitCommand),
    Completions(completions::CompletionsCommand),
    Man(completions::ManCommand),
}

/// Warnings that a command tells before it says how many more there are.
const MOST_WARNINGS: usize = 20;

/// What every command gets.
#[derive(Debug)]
struct Context {
    config: PathBuf,
    printer: Printer,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Pipeline(#[from] Error),
    /// What a person wrote is to be mended; already in the order of files and lines.
    #[error("{} to mend", crate::error::count(.0.len(), "problem"))]
    Invalid(Vec<Diagnostic>),
    /// The command itself is to be mended.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// Done, but not for all: those that are missing were printed.
    #[error("{} set aside; all others have their invoices", crate::error::count(*.0, "account"))]
    SuspendedAccount(usize),
    /// A law of the books does not hold.
    #[error("the books do not add up: {0}")]
    Unreconciled(String),
    /// An example of a rule does not hold; it was printed.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl Failure {
    /// 1 failed; 2 the user must mend command, configuration or rules; 3 the data were refused; 4 done, with accounts
    /// set aside.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Pipeline(error) => error.class().exit_code(),
            Self::Invalid(_) | Self::Usage { .. } | Self::Refused(_) => 2,
            Self::Unreconciled(_) => 3,
            Self::SuspendedAccount(_) => 4,
            Self::Other(_) => 1,
        }
    }
}

/// The command line with all its commands, for generated pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.json, cli.quiet);
    printer.log_to_stderr();
    let context = Context { config: cli.config, printer };
    // Local files are read by threads that wait for the disk. The engine reads hundreds of files at once, and each thread
    // keeps memory of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(16).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(execute(&context, cli.command)),
        Err(error) => Err(Failure::Other(error.into())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn execute(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(command) => command.execute(context).await,
        Command::Close(command) => command.execute(context).await,
        Command::Restate(command) => command.execute(context).await,
        Command::Intake(command) => command.execute(context).await,
        Command::Rules(command) => command.execute(context).await,
        Command::Quote(command) => command.execute(context).await,
        Command::Explain(command) => command.execute(context).await,
        Command::Audit(command) => command.execute(context).await,
        Command::Export(command) => command.execute(context).await,
        Command::Sql(command) => command.execute(context).await,
        Command::Status(command) => command.execute(context).await,
        Command::Verify(command) => command.execute(context).await,
        Command::Withdraw(command) => command.execute(context).await,
        Command::Compact(command) => command.execute(context).await,
        Command::Expire(command) => command.execute(context).await,
        Command::Vacuum(command) => command.execute(context).await,
        Command::Init(command) => command.execute(context),
        Command::Completions(command) => command.execute(context, &mut Cli::command()),
        Command::Man(command) => command.execute(context, Cli::command()),
    }
}

impl Context {
    /// The options of a command that begins now.
    fn options(&self, memory_limit_bytes: Option<usize>) -> RunOptions {
        self.options_at(jiff::Timestamp::now(), memory_limit_bytes)
    }

    fn options_at(&self, now: jiff::Timestamp, memory_limit_bytes: Option<usize>) -> RunOptions {
        RunOptions { memory_limit_bytes, started_at: now.to_string(), progress: self.printer.progress() }
    }

    /// The options of a command that only reads: no time is recorded.
    fn reading_options(&self) -> RunOptions {
        RunOptions { memory_limit_bytes: None, started_at: String::new(), progress: self.printer.progress() }
    }

    /// The configuration alone, for commands that need no rules.
    fn read_config(&self) -> Result<Arc<Config>, Failure> {
        if !self.config.exists() {
            return Err(Failure::Usage {
                message: format!("there is no configuration at `{}`", self.config.display()),
                hint: "name it with --config FILE, or begin with `conto init DIR`".to_owned(),
            });
        }
        let (config, diagnostics) = load::read_config(&self.config);
        let found = diagnostics.into_sorted();
        self.told_warnings(&found);
        match config {
            Some(config) => Ok(Arc::new(config)),
            None => Err(Failure::Invalid(errors(found))),
        }
    }

    /// Configuration and rules, with every expression checked. Problems of all files are told at once.
    fn read_all(&self) -> Result<(Arc<Config>, Arc<RuleBook>), Failure> {
        let config = self.read_config()?;
        let (book, found) = self.read_rules(&config)?;
        self.told_warnings(&found);
        let errors = errors(found);
        if errors.is_empty() { Ok((config, Arc::new(book))) } else { Err(Failure::Invalid(errors)) }
    }

    /// The rules with all that is wrong or doubtful about them.
    fn read_rules(&self, config: &Config) -> Result<(RuleBook, Vec<Diagnostic>), Failure> {
        let zone = TimeZone::get(&config.time_zone)
            .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))?;
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

    fn told_warnings(&self, found: &[Diagnostic]) {
        let warnings = || found.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning);
        let told: Vec<Diagnostic> = warnings().take(MOST_WARNINGS).cloned().collect();
        self.printer.diagnostics(&told);
        let untold = warnings().count() - told.len();
        if untold > 0 {
            let warnings = crate::error::count(untold, "more warning");
            self.printer.talk(&format!("{warnings}; `conto rules check` shows all"));
        }
    }
}

fn errors(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}

/// What to say where the books of a period are asked for and there are none.
fn never_billed(period: BillingPeriod) -> Failure {
    Failure::Usage {
        message: format!("{period} was never billed in this lake"),
        hint: format!("`conto run --period {period}` drafts its invoices; `conto status` shows what there is"),
    }
}

/// The path as a person would write it from here.
fn shown(path: &Path) -> String {
    let current = std::env::current_dir().ok();
    let below = current.as_deref().and_then(|current| path.strip_prefix(current).ok());
    below.unwrap_or(path).display().to_string()
}
