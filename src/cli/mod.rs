//! The command line: one file for each command. A command calls the pipeline and prints the result. Commands make no
//! decisions about money.

mod audit;
mod cancel;
mod changes;
mod clock;
mod close;
mod close_decisions;
mod close_preview;
mod completions;
mod context;
mod explain;
mod export;
mod failure;
mod headings;
mod init;
mod intake;
mod intake_counts;
mod lake;
mod lookup;
mod memory_limit;
mod print;
mod progress;
mod reproduce;
mod rules;
mod run;
mod schema;
mod sql;
mod statement_plan;
mod status;
mod warnings;

use crate::cli::context::CONFIG_VARIABLE;
use crate::cli::context::Context;
use crate::cli::context::DEFAULT_CONFIG;
use crate::cli::context::config_argument;
use crate::cli::failure::Failure;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::print::Printer;

/// Batch rating and billing for cloud providers: metered usage in, invoices out.
///
/// A nightly run reads new usage, prices it by the rules, and drafts an invoice and a usage report for each project.
#[derive(Debug, Parser)]
#[command(name = "conto", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done; 1 failed; 2 invalid command, configuration or rule; 3 data refused; \
    4 done, with unread inputs or suspended accounts.")]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG,
        env = CONFIG_VARIABLE,
        hide_env_values = true
    )]
    config: PathBuf,

    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,

    /// Show no progress bars
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunCommand),
    Intake(intake::IntakeCommand),
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    Close(close::CloseCommand),
    Restate(close::RestateCommand),
    Cancel(cancel::CancelCommand),
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Export(export::ExportCommand),
    Explain(explain::ExplainCommand),
    Status(status::StatusCommand),
    Sql(sql::SqlCommand),
    Reproduce(reproduce::ReproduceCommand),
    #[command(subcommand)]
    Lake(lake::LakeCommand),
    Init(init::InitCommand),
    Schema(schema::SchemaCommand),
    Completions(completions::CompletionsCommand),
    Man(completions::ManCommand),
}

/// The command line with all its commands, for generated pages.
pub fn command_line() -> clap::Command {
    headings::with_headings(Cli::command())
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&command_line().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let printer = Printer::new(cli.json, cli.quiet, config_argument(&cli.config));
    printer.log_to_stderr();
    let context = Context { config: cli.config, printer };
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
        Command::Intake(command) => command.execute(context).await,
        Command::Rules(command) => command.execute(context).await,
        Command::Close(command) => command.execute(context).await,
        Command::Restate(command) => command.execute(context).await,
        Command::Cancel(command) => command.execute(context).await,
        Command::Audit(command) => command.execute(context).await,
        Command::Export(command) => command.execute(context).await,
        Command::Explain(command) => command.execute(context).await,
        Command::Status(command) => command.execute(context).await,
        Command::Sql(command) => command.execute(context).await,
        Command::Reproduce(command) => command.execute(context).await,
        Command::Lake(command) => command.execute(context).await,
        Command::Init(command) => command.execute(context),
        Command::Schema(command) => command.execute(context),
        Command::Completions(command) => command.execute(context, &mut command_line()),
        Command::Man(command) => command.execute(context, command_line()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_with_special_characters_is_quoted_for_a_shell() {
        for (path, written) in [
            ("mine/conto.toml", "mine/conto.toml"),
            ("my cloud/conto.toml", "'my cloud/conto.toml'"),
            ("it's/conto.toml", r"'it'\''s/conto.toml'"),
            ("$HOME/conto.toml", "'$HOME/conto.toml'"),
            ("", "''"),
        ] {
            assert_eq!(crate::cli::context::quoted(path), written);
        }
    }
}
