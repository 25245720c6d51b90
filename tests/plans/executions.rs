//! Every relation that a command writes comes from the execution of its own file, and no file of `sql/` is without an
//! execution.
//!
//! The program runs with `CONTO_LOG=conto=debug`. Its log has a line for each executed statement and check, and a line
//! for each part of a relation that is staged for a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use conto::query::{persisted_paths, persisted_relation, statements};

use crate::test_lake::TestLake;

/// The stored relations that are not computed by a statement, each with the reason.
const WITHOUT_STATEMENT: [(&str, &str); 30] = [
    ("input_file", RECORDS),
    ("stream", IDENTITY),
    ("series", IDENTITY),
    ("sample", RECORDS),
    ("repeated_event", RECORDS),
    ("duplicate_sample", RECORDS),
    ("label", RECORDS),
    ("rejected_record", RECORDS),
    ("unmetered_record", RECORDS),
    ("changed_id", RECORDS),
    ("unread_input", RECORDS),
    ("watermark", RECORDS),
    ("retracted_file", OPERATOR),
    ("retracted_record", OPERATOR),
    ("retracted_sample", OPERATOR),
    ("rate", RULES),
    ("rate_tier", RULES),
    ("payer_series", RULES),
    ("one_off_charge", RULES),
    ("invoice_line", DOCUMENT),
    ("applied_tax", DOCUMENT),
    ("allowance", DOCUMENT),
    ("allowance_share", DOCUMENT),
    ("prepayment", DOCUMENT),
    ("credit_balance", DOCUMENT),
    ("suspended_account", DOCUMENT),
    ("line_reference", DOCUMENT),
    ("unbilled_cost", DOCUMENT),
    ("exchange_rate", RULES),
    ("issued_document", DOCUMENT),
];

const RECORDS: &str = "intake writes it while it reads the records of sources, one by one";
const IDENTITY: &str = "an id is a digest of the record that first has it";
const OPERATOR: &str = "a retraction is a decision of the operator about one file or record";
const RULES: &str = "a reader makes it of the rules, the accounts or the exchange rates";
const DOCUMENT: &str = "it is decided document by document: numbers, rounding, terms, the largest remainder";

/// Stored relations with more written rows than rows of their file. A close writes the rows of the statement a second
/// time, with final numbers, beside the documents that were issued earlier.
const WRITTEN_AGAIN: [&str; 2] = ["invoice", "tax_breakdown"];

/// The executions and the staged rows of one command.
#[derive(Debug, Default)]
struct Log {
    command: String,
    /// The rows of all executions, by the path of the statement or check. A check has no count of rows.
    executed: BTreeMap<String, u64>,
    /// The staged rows, by relation.
    staged: BTreeMap<String, u64>,
}

impl Log {
    fn parse(command: &str, text: &str) -> Self {
        let mut log = Self { command: command.to_owned(), ..Self::default() };
        for line in text.lines().filter_map(|line| line.strip_prefix("debug: ")) {
            let text = |name: &str| Some(line.split_once(&format!(" {name}=\""))?.1.split('"').next()?.to_owned());
            let rows = line.split_once(" rows=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
            let name = line.split(' ').next().unwrap();
            if let Some(path) = text("path").filter(|_| ["statement", "check"].contains(&name)) {
                *log.executed.entry(path).or_default() += rows.unwrap_or(0);
            } else if let Some(relation) = text("relation").filter(|_| line.contains("staged ")) {
                *log.staged.entry(relation).or_default() += rows.unwrap();
            }
        }
        log
    }

    /// The rows of the executions of a relation's file.
    fn rows_of_its_file(&self, path: &str) -> u64 {
        self.executed.get(path).copied().unwrap_or_default()
    }
}

/// A lake whose commands are logged.
struct Logged {
    lake: TestLake,
    logs: Vec<Log>,
}

impl Logged {
    fn sample(name: &str) -> Self {
        Self { lake: TestLake::of_sample(name), logs: Vec::new() }
    }

    /// Runs a command, which must end with this exit code.
    #[track_caller]
    fn ends(&mut self, exit_code: i32, command: &str) {
        self.ends_on("2099-12-31", exit_code, command);
    }

    #[track_caller]
    fn ends_on(&mut self, today: &str, exit_code: i32, command: &str) {
        let output = Command::new("sh")
            .args(["-c", &format!("\"$CONTO\" {command}")])
            .env("CONTO", env!("CARGO_BIN_EXE_conto"))
            .env("CONTO_TODAY", today)
            .env("CONTO_LOG", "conto=debug")
            .current_dir(self.lake.path(""))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit_code), "{command}: {text}");
        self.logs.push(Log::parse(command, &text));
    }

    #[track_caller]
    fn succeeds(&mut self, command: &str) {
        self.ends(0, command);
    }

    /// Explains every line of every document.
    fn explain_all(&mut self) {
        for line in self.lake.sql("SELECT invoice_number, line_number FROM invoice_line ORDER BY 1, 2") {
            self.succeeds(&format!("explain {}", line.replace(' ', "/")));
        }
    }
}

/// An ordinary night, its questions, and the comparison with other rules.
fn night() -> Vec<Log> {
    let mut month = Logged::sample("one-month-cloud");
    month.succeeds("run --period 2026-10");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/one-month-cloud/rating-rules");
    month.succeeds(&format!("rules diff --against {} --period 2026-10", rules.display()));
    month.succeeds("rules check --used-in 2026-10");
    month.succeeds("rules explain egress --period 2026-10");
    month.succeeds("status --gaps 2026-10");
    month.succeeds("export journal --period 2026-10");
    month.succeeds("export ec-sales --period 2026-10");
    month.succeeds("audit --period 2026-10");
    // Usage without a price and without a project blocks the close.
    month.ends_on("2026-11-02", 3, "close --period 2026-10 --issue-date 2026-11-02 --dry-run");
    month.succeeds("lake compact --least-files 2");
    let number = month.lake.column("invoice", "invoice_number").remove(0);
    month.succeeds(&format!("explain {number}"));
    month.explain_all();
    month.logs
}

/// The steps of a sample over several months: closes, corrections, a restatement, a cancellation.
fn months(sample: &str) -> Vec<Log> {
    let mut months = Logged::sample(sample);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(sample);
    for step in std::fs::read_to_string(folder.join("story.txt")).unwrap().lines() {
        match step.split_whitespace().collect::<Vec<_>>()[..] {
            ["copy", from, to] => months.lake.put(to, std::fs::read(folder.join(from)).unwrap()),
            ["conto", ..] => months.succeeds(step.trim_start_matches("conto ")),
            _ => {}
        }
    }
    months.explain_all();
    months.logs
}

/// The other samples, each with the exit code of its run.
fn other_samples() -> Vec<Log> {
    let mut logs = Vec::new();
    for (sample, exit_code) in [
        ("accounts-and-terms", 4),
        ("notified-cloud", 4),
        ("rate-change-mid-month", 0),
        ("reseller", 0),
        ("three-currencies", 4),
    ] {
        let mut lake = Logged::sample(sample);
        lake.ends(exit_code, "run --period 2026-10");
        lake.succeeds("status --incomplete-lifecycles 2026-10");
        lake.succeeds("export ec-sales --period 2026-10");
        logs.extend(lake.logs);
    }
    logs
}

/// Prices that no sample has: a percentile, pools of windows, included units, a maximum, a reservation, a meter
/// without a price. Before the second night, the source gets another name, so that its stream ends.
fn rare_prices() -> Vec<Log> {
    let rules = r#"
        currency = "EUR"

        [[meter]]
        name = "m"
        aggregation = "sum"
        unit = "u"

        [[meter]]
        name = "n"
        aggregation = "sum"
        unit = "u"

        [[rule]]
        id = "r"
        meter = "m"
        sku = "s"
        service = "S"
        unit_price = "2"
        maximum = "3"
        free_units = "1"

        [[included_units]]
        id = "i"
        meter = "m"
        pool = "s"
        units = "1"
        prorated = false

        [[rule]]
        id = "window"
        meter = "m"
        component = "window"
        sku = "w"
        service = "S"
        every = "window"
        unit_price = "1"

        [[rule]]
        id = "percentile"
        meter = "m"
        component = "percentile"
        sku = "p"
        service = "S"
        percentile = "95"
        unit_price = "1"

        [[reservation]]
        id = "reserved"
        account = "acme"
        sku = "x"
        service = "S"
        meter = "m"
        quantity = "1"
        unit_price = "0.04"
        valid_from = 2026-10-01
        valid_to = 2026-10-02
    "#;
    let days = |from: u32, to: u32| (from..to).map(|day| format!("m,a,2026-10-{day:02}T12:00:00Z,4,p"));
    let lake = TestLake::new()
        .rules(rules)
        .accounts("[[account]]\nid = \"acme\"\nname = \"Acme\"\ncountry = \"FR\"\nprojects = [\"p\"]\n")
        .usage(days(1, 9).chain(["n,a,2026-10-05T10:00:00Z,1,p".to_owned()]));
    let mut rare = Logged { lake, logs: Vec::new() };
    rare.ends_on("2026-10-09", 4, "run --period 2026-10");
    rare.explain_all();
    rare.lake.replace("conto.toml", "name = \"table\"", "name = \"other\"\nexpect_every = \"1d\"");
    rare.lake.deliver("later", days(9, 12));
    rare.ends_on("2026-10-12", 4, "run --period 2026-10");
    rare.ends(3, "close --period 2026-10 --issue-date 2026-11-02");
    rare.logs
}

#[test]
fn every_written_relation_comes_from_its_own_file_and_every_file_is_executed() {
    let mut logs = night();
    logs.extend(months("late-usage"));
    logs.extend(months("month-end"));
    logs.extend(other_samples());
    logs.extend(rare_prices());

    let without_statement: BTreeSet<&str> = WITHOUT_STATEMENT.iter().map(|(relation, _)| *relation).collect();
    let stored = persisted_paths().map(|path| &statements().unwrap()[path]);
    let expected: BTreeSet<&str> =
        stored.filter(|relation| !relation.has_select()).map(|relation| relation.name.as_str()).collect();
    assert_eq!(without_statement, expected, "the stored relations without a SELECT");

    // A command may execute a statement and stage a part of its rows, but never more rows than the statement has.
    let mut not_from_file: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut written = BTreeSet::new();
    for log in &logs {
        for (relation, staged) in &log.staged {
            written.insert(relation.as_str());
            let path = persisted_relation(relation).unwrap().path.trim_end_matches(".sql");
            let executed = log.rows_of_its_file(path);
            let is_from_file = if WRITTEN_AGAIN.contains(&relation.as_str()) {
                executed > 0 || *staged == 0
            } else {
                *staged <= executed
            };
            if !is_from_file && !without_statement.contains(relation.as_str()) {
                let finding = format!("`{}`: {staged} rows staged, {executed} from sql/{path}", log.command);
                not_from_file.entry(relation).or_default().push(finding);
            }
        }
    }
    assert!(not_from_file.is_empty(), "the relations that do not come from their own files: {not_from_file:#?}");
    let unwritten: Vec<&str> = expected_writes().filter(|relation| !written.contains(relation)).collect();
    assert!(unwritten.is_empty(), "no command writes {unwritten:?}");

    // A statement contains its intermediate relations as common table expressions.
    let executed: BTreeSet<&str> = logs.iter().flat_map(|log| log.executed.keys()).map(String::as_str).collect();
    let all = statements().unwrap().iter();
    let selects = all.filter(|(_, statement)| statement.has_select() && !statement.is_intermediate());
    let missing: Vec<&str> = selects.map(|(path, _)| path.as_str()).filter(|path| !executed.contains(path)).collect();
    assert!(missing.is_empty(), "the files of sql/ that no command executes: {missing:#?}");
}

/// The stored relations with a statement.
fn expected_writes() -> impl Iterator<Item = &'static str> {
    let relations = persisted_paths().map(|path| &statements().unwrap()[path]);
    relations.filter(|relation| relation.has_select()).map(|relation| relation.name.as_str())
}

#[test]
fn a_log_has_the_executions_and_the_staged_rows() {
    let log = Log::parse(
        "run",
        "debug: statement path=\"rating/rate_tie\" rows=0 close time.busy=1ms\n\
         debug: statement path=\"metering/metered_usage\" rows=5 close time.busy=1ms\n\
         debug: statement path=\"metering/metered_usage\" rows=7 close time.busy=1ms\n\
         debug: check path=\"rating/checks/tier_parts_add_up\" close time.busy=1ms\n\
         debug: metering  staged relation=\"metered_usage\" rows=12\n\
         debug: staged relation=\"rate\" rows=2\n\
         warning: statement path=\"not/one\"\n",
    );
    let paths: Vec<&str> = log.executed.keys().map(String::as_str).collect();
    let expected = ["metering/metered_usage", "rating/checks/tier_parts_add_up", "rating/rate_tie"];
    assert_eq!(paths, expected);
    assert_eq!(log.rows_of_its_file("metering/metered_usage"), 12);
    assert_eq!(log.staged, BTreeMap::from([("metered_usage".to_owned(), 12), ("rate".to_owned(), 2)]));
}
