//! Runs of the pipeline in this process, and the commands of the program. Command lines of several tests are written
//! here, so that a renamed verb or option is one change.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use conto::error::Error;
use conto::load::{read_config, read_rules};
use conto::model::diagnostic::Diagnostics;
use conto::model::summary::Summary;
use conto::pipeline::{self, BillingOptions};
use conto::run::{Documents, RunOptions, Silent};
use serde::Deserialize;
use serde_json::Value;

use super::{TestLake, block_on, short};

/// The reason of closes by force.
pub(crate) const FORCED: &str = "a test";

/// The report of `conto close` and `conto restate`.
#[derive(Debug, Deserialize)]
pub(crate) struct Closed {
    /// The numbers of the issued documents.
    pub(crate) documents: Vec<String>,
    #[serde(default)]
    changes: Vec<Value>,
    pub(crate) commit: Option<u64>,
}

impl Closed {
    /// The amounts due beyond the issued documents: `account project amount currency reason document`.
    pub(crate) fn changes(&self) -> Vec<String> {
        changes(&self.changes)
    }

    /// Asserts that there is neither a document nor a change. The caller checks the commit.
    #[track_caller]
    pub(crate) fn assert_nothing_due(&self) {
        assert!(self.documents.is_empty() && self.changes.is_empty(), "{self:?}");
    }
}

/// Runs in this process.
impl TestLake {
    #[track_caller]
    pub(crate) fn run(&self, period: &str) -> Summary {
        self.try_run(period).unwrap_or_else(|error| match error {
            Error::Invalid(problems) => panic!("{problems:#?}"),
            error => panic!("{}", chain(&error)),
        })
    }

    /// Runs a closed month. Returns the amounts due beyond the issued documents, in the format of `Closed::changes`.
    #[track_caller]
    pub(crate) fn run_closed(&self, period: &str) -> Vec<String> {
        let summary = self.run(period);
        assert!(summary.closed, "{period} is not closed");
        let changes_due = summary.changes.iter().map(|change| serde_json::to_value(change).unwrap());
        changes(&changes_due.collect::<Vec<_>>())
    }

    pub(crate) fn try_run(&self, period: &str) -> Result<Summary, Error> {
        self.run_with(period, |_, _| {})
    }

    /// Runs a month at this time. All other runs use the first instant of 2027.
    pub(crate) fn run_at(&self, period: &str, now: &str) -> Summary {
        self.run_with(period, |_, options| options.started_at = now.to_owned()).unwrap()
    }

    pub(crate) fn run_with(
        &self,
        period: &str,
        change: impl FnOnce(&mut BillingOptions, &mut RunOptions),
    ) -> Result<Summary, Error> {
        let (config, problems) = read_config(&self.path("conto.toml"));
        refuse(problems)?;
        let config = config.unwrap();
        let zone = jiff::tz::TimeZone::get(&config.time_zone).unwrap();
        let (rules, problems) = read_rules(&config.rules, &zone, config.currency, Some(self.directory.path()));
        refuse(problems)?;
        let period = period.parse().unwrap();
        let mut night =
            BillingOptions { period, documents: Documents::Changed, max_rejected: None, allow_no_usage: true };
        let mut options = RunOptions {
            memory_limit_bytes: None,
            started_at: "2027-01-01T00:00:00Z".to_owned(),
            progress: Arc::new(Silent),
        };
        change(&mut night, &mut options);
        block_on(pipeline::run(Arc::new(config), Arc::new(rules), night, options))
    }
}

/// The program, with any arguments.
impl TestLake {
    /// A command of the program in the lake's directory, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // A kill test of several hours uses a copy of the program, so that the program can be rebuilt meanwhile.
        let program = std::env::var("CONTO_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_conto").to_owned());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path("")).stdin(Stdio::null());
        // Documents and months of the tests are before this date.
        command.env("CONTO_TODAY", "2099-12-31");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The output and the exit code of a command, which may fail.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The output with `--json` of a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.succeeds(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// The standard error of a command that must end with this exit code.
    #[track_caller]
    pub(crate) fn fails(&self, exit_code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let text = stderr_of(&output);
        assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {text}");
        text
    }
}

/// The command lines of the program, one function each.
impl TestLake {
    /// Closes a month, or issues the amounts due for a closed month.
    #[track_caller]
    pub(crate) fn close(&self, period: &str, issue_date: &str) -> Closed {
        self.close_with(period, issue_date, &[])
    }

    #[track_caller]
    pub(crate) fn close_with(&self, period: &str, issue_date: &str, more: &[&str]) -> Closed {
        closed(self.json(&[&close(period, issue_date), more].concat()))
    }

    /// Closes a month despite its blockers.
    #[track_caller]
    pub(crate) fn close_by_force(&self, period: &str, issue_date: &str) -> Closed {
        self.close_with(period, issue_date, &["--force", "--reason", FORCED])
    }

    /// The standard error of a close that must fail with this exit code.
    #[track_caller]
    pub(crate) fn close_fails(&self, exit_code: i32, period: &str, issue_date: &str) -> String {
        self.fails(exit_code, &close(period, issue_date))
    }

    /// The command of a close, not yet started.
    pub(crate) fn close_command(&self, period: &str, issue_date: &str) -> Command {
        self.command(&close(period, issue_date))
    }

    /// The changes that the current rules would make in a closed month; nothing is issued.
    #[track_caller]
    pub(crate) fn propose_restatement(&self, period: &str) -> Closed {
        closed(self.json(&["restate", "--period", period]))
    }

    /// Issues the changes that the current rules make in a closed month.
    #[track_caller]
    pub(crate) fn restate(&self, period: &str, issue_date: &str, reason: &str) -> Closed {
        let approval = ["--approve", "--issue-date", issue_date, "--reason", reason];
        closed(self.json(&[&["restate", "--period", period], &approval[..]].concat()))
    }

    /// The documents that would cancel and replace documents; nothing is issued.
    #[track_caller]
    pub(crate) fn propose_cancellation(&self, numbers: &[&str]) -> Value {
        self.json(&[&["cancel"], numbers].concat())
    }

    /// Cancels documents, with these further arguments. Returns the numbers of the issued documents.
    #[track_caller]
    pub(crate) fn cancel(&self, arguments: &[&str], issue_date: &str) -> Vec<String> {
        let cancelled = self.json(&[&cancel(issue_date), arguments].concat());
        let numbers = cancelled["documents"].as_array().unwrap().iter().map(|document| text(&document["number"]));
        numbers.collect()
    }

    /// The standard error of a cancellation that must fail with exit code 2.
    #[track_caller]
    pub(crate) fn cancel_fails(&self, arguments: &[&str], issue_date: &str) -> String {
        self.fails(2, &[&cancel(issue_date), arguments].concat())
    }

    /// Retracts the samples of a file. Returns their number.
    #[track_caller]
    pub(crate) fn retract(&self, file: &str, reason: &str) -> u64 {
        self.json(&["intake", "retract", "--file", file, "--reason", reason])["samples"].as_u64().unwrap()
    }

    /// Asserts for each month that every invariant holds, and that every file matches the commit log.
    #[track_caller]
    pub(crate) fn assert_audited(&self, periods: &[&str]) {
        for period in periods {
            self.succeeds(&["audit", "--period", period]);
        }
    }

    /// The standard error of an audit that must find a difference.
    #[track_caller]
    pub(crate) fn audit_fails(&self, period: &str) -> String {
        self.fails(3, &["audit", "--period", period])
    }

    /// Asserts that every data file and every issued document matches the commit log.
    #[track_caller]
    pub(crate) fn assert_verified(&self) {
        self.succeeds(&["lake", "verify"]);
    }

    /// The damages that the lake's verification lists. The verification must find at least one.
    #[track_caller]
    pub(crate) fn damages(&self) -> Vec<String> {
        let output = self.output(&["lake", "verify", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr_of(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let damaged = found["damaged"].as_array().unwrap();
        damaged.iter().map(|sentence| sentence.as_str().unwrap().to_owned()).collect()
    }

    /// Reproduces a commit from its committed inputs, and asserts that no byte differs.
    #[track_caller]
    pub(crate) fn assert_reproduced(&self, commit: u64) {
        let reproduced = self.json(&["reproduce", &commit.to_string()]);
        assert_eq!(reproduced["different"].as_array().map(Vec::len), Some(0), "commit {commit}: {reproduced:#}");
        assert!(reproduced["compared"].as_u64().unwrap() > 0, "commit {commit}: {reproduced:#}");
    }

    /// Reproduces every commit of every month. Returns the number of commits.
    #[track_caller]
    pub(crate) fn assert_all_reproduced(&self) -> usize {
        let entries = block_on(self.lake().log()).unwrap();
        let commits = entries.iter().filter(|entry| entry.period.is_some()).map(|entry| entry.sequence);
        commits.inspect(|commit| self.assert_reproduced(*commit)).count()
    }

    /// The standard error of a reproduction that must fail.
    #[track_caller]
    pub(crate) fn reproduction_fails(&self, exit_code: i32, commit: u64) -> String {
        self.fails(exit_code, &["reproduce", &commit.to_string()])
    }

    /// The explanation of a document or of one line, such as `INV-2026-00001/1`.
    #[track_caller]
    pub(crate) fn explain(&self, line: &str) -> String {
        self.succeeds(&["explain", line])
    }

    /// The explanation of a line as `--json` prints it.
    #[track_caller]
    pub(crate) fn explain_json(&self, line: &str) -> Value {
        self.json(&["explain", line])
    }

    /// The rows of a query over the lake's relations. A row is its values with a space between them.
    #[track_caller]
    pub(crate) fn sql(&self, query: &str) -> Vec<String> {
        let rows = self.json(&["sql", query]);
        let row = |row: &Value| {
            let values: Vec<String> = row.as_object().unwrap().values().map(text).collect();
            values.iter().map(|value| short(value)).collect::<Vec<_>>().join(" ")
        };
        rows.as_array().unwrap().iter().map(row).collect()
    }

    /// The dates with hours without a sample: `source meter date hours missing`.
    #[track_caller]
    pub(crate) fn gaps(&self, period: &str) -> Vec<String> {
        let gaps = self.json(&["status", "--gaps", period]);
        texts(gaps.as_array().unwrap(), ["source", "meter", "date", "hours", "missing_hours"])
    }

    /// The resources with a missing notification: `meter resource reason time`.
    #[track_caller]
    pub(crate) fn incomplete_lifecycles(&self, period: &str) -> Vec<String> {
        let found = self.json(&["status", "--incomplete-lifecycles", period]);
        texts(found.as_array().unwrap(), ["meter", "resource_id", "reason", "event_at"])
    }

    /// Combines small files. Returns the numbers of files before and after, if files were combined.
    #[track_caller]
    pub(crate) fn compact(&self) -> Option<(u64, u64)> {
        let done = self.json(&["lake", "compact", "--least-files", "2"]);
        done["commit"].as_u64().map(|_| (done["before"].as_u64().unwrap(), done["after"].as_u64().unwrap()))
    }

    /// Expires the samples of the months up to this month. Returns their number.
    #[track_caller]
    pub(crate) fn expire(&self, through: &str) -> u64 {
        self.json(&["lake", "expire", "--through", through])["samples"].as_u64().unwrap()
    }

    /// Deletes unreferenced files of any age. Returns the numbers of files, bytes and half-written files.
    #[track_caller]
    pub(crate) fn vacuum(&self) -> [u64; 3] {
        self.vacuum_with(&["--older-than", "0s"])
    }

    #[track_caller]
    pub(crate) fn vacuum_with(&self, more: &[&str]) -> [u64; 3] {
        let done = self.json(&[&["lake", "vacuum"], more].concat());
        ["files", "bytes", "half_written"].map(|name| done[name].as_u64().unwrap())
    }

    #[track_caller]
    pub(crate) fn export_journal(&self, period: &str, format: &str) -> String {
        self.succeeds(&["export", "journal", "--period", period, "--format", format])
    }

    #[track_caller]
    pub(crate) fn export_ec_sales(&self, period: &str) -> String {
        self.succeeds(&["export", "ec-sales", "--period", period])
    }
}

fn close<'a>(period: &'a str, issue_date: &'a str) -> [&'a str; 5] {
    ["close", "--period", period, "--issue-date", issue_date]
}

fn cancel(issue_date: &str) -> [&str; 6] {
    ["cancel", "--approve", "--issue-date", issue_date, "--reason", "wrong data"]
}

fn closed(json: Value) -> Closed {
    serde_json::from_value(json).unwrap()
}

fn changes(changes: &[Value]) -> Vec<String> {
    texts(changes, ["account_id", "project_id", "net_amount", "currency", "reason", "billed_as"])
}

/// These members of each object, with a space between them; null is the empty text.
fn texts<const N: usize>(objects: &[Value], names: [&str; N]) -> Vec<String> {
    objects.iter().map(|object| names.map(|name| text(&object[name])).join(" ")).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").unwrap();
        source = error.source();
    }
    text
}

fn refuse(problems: Diagnostics) -> Result<(), Error> {
    if problems.has_errors() { Err(Error::Invalid(problems.into_sorted())) } else { Ok(()) }
}
