//! `conto rules explain`: the rows that the readers make of a rule, and the statements that apply them.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::context::{Context, time_zone};
use crate::cli::failure::Failure;
use crate::cli::lookup::similar;
use crate::cli::print::{Printer, json_rows};
use crate::cli::statement_plan::PlannedStatement;
use crate::intake::resolve::collector::instant;
use crate::model::diagnostic::Place;
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::recurring::Billed;
use crate::model::rule::{Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::model::terms::Validity;
use crate::pipeline;
use crate::rating::rule_rows::{RuleKeys, RuleRows};

/// The largest number of rows that are columns of a table. More rows are lines of a table.
const MOST_COLUMNS: usize = 4;

/// The largest number of rows of a relation that the text shows. JSON has all rows.
const MOST_ROWS: usize = 20;

/// Show the rows that the readers make of a rule for a month, and the statements that apply them
///
/// The id is that of a rule, included units, a fee, a charge, a reservation or an hourly commitment. Commits nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto rules explain egress --period 2026-10\n  \
    conto rules explain egress --period 2026-10 --plan")]
pub(in crate::cli) struct ExplainCommand {
    /// The id of the rule
    id: String,

    /// The month
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// Also print the plans of each statement
    #[arg(long)]
    plan: bool,
}

/// A table of the rules with an id.
struct Named<'a> {
    /// The name of the table in rule files.
    table: &'static str,
    id: &'a str,
    place: &'a Place,
    valid: Bounds,
    rule: Option<&'a Rule>,
}

/// The bounds of a validity. The end is exclusive.
#[derive(Clone, Copy)]
enum Bounds {
    Dates(Validity),
    /// Microseconds UTC.
    Instants(Option<i64>, Option<i64>),
}

/// The JSON of one relation.
#[derive(Debug, Serialize)]
struct RelationRows {
    relation: &'static str,
    units: BTreeMap<&'static str, String>,
    rows: Vec<serde_json::Value>,
}

/// A statement without its plans.
#[derive(Debug, Serialize)]
struct StatementName {
    relation: &'static str,
    file: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum AppliedStatement {
    Name(StatementName),
    Planned(PlannedStatement),
}

#[derive(Debug, Serialize)]
struct Explained {
    rule: String,
    table: &'static str,
    place: String,
    period: String,
    relations: Vec<RelationRows>,
    statements: Vec<AppliedStatement>,
}

impl ExplainCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let named = named(&rules);
        let Some(found) = named.iter().find(|named| named.id == self.id) else {
            return Err(unknown(&self.id, &named));
        };
        refuse_invalid(found, self.period, &time_zone(&config)?)?;
        let keys = RuleKeys {
            id: found.id,
            component: found.rule.filter(|rule| is_factor(rule)).map(|rule| rule.component.as_str()),
            pool: found.rule.filter(|rule| !is_factor(rule)).map(|rule| rule.pool.as_str()),
        };
        let options = context.reading_options();
        let applied = pipeline::applied_rule(config, rules.clone(), self.period, &keys, options).await?;
        let units = Units::of(found, &rules);
        let relations = applied.relations.iter().map(|rows| RelationRows {
            relation: &rows.relation.name,
            units: units.of_relation(rows),
            rows: json_rows(&rows.rows.schema(), std::slice::from_ref(&rows.rows)),
        });
        let relations = relations.collect();
        let mut statements = Vec::new();
        for statement in &applied.statements {
            statements.push(if self.plan {
                AppliedStatement::Planned(PlannedStatement::of(&applied.session, statement).await?)
            } else {
                let file = format!("sql/{}", statement.path);
                AppliedStatement::Name(StatementName { relation: &statement.name, file })
            });
        }
        let place = format!("{}:{}", found.place.source.name, found.place.line());
        let (rule, period) = (found.id.to_owned(), self.period.to_string());
        let explained = Explained { rule, table: found.table, place, period, relations, statements };
        if context.printer.is_json() {
            context.printer.json(&explained);
        } else {
            explained.print(&context.printer, &applied.relations, &units);
        }
        Ok(())
    }
}

fn is_factor(rule: &Rule) -> bool {
    matches!(rule.pricing, Pricing::Factor(_))
}

/// Everything that has an id and becomes rows of rating.
fn named(book: &RuleBook) -> Vec<Named<'_>> {
    let rules = book.rules.iter().map(|rule| Named {
        table: "rule",
        id: &rule.id,
        place: &rule.declared_at,
        valid: Bounds::Instants(rule.valid_from, rule.valid_to),
        rule: Some(rule),
    });
    let of_dates = |table, id, place, validity| Named { table, id, place, valid: Bounds::Dates(validity), rule: None };
    let included_units = book.included_units.iter().map(|one| Named {
        table: "included_units",
        id: &one.id,
        place: &one.declared_at,
        valid: Bounds::Instants(one.valid_from, one.valid_to),
        rule: None,
    });
    let recurring = book.recurring.iter().map(|fee| {
        // The month before the start bills a fee in advance.
        let from = fee.validity.from.filter(|_| fee.billed == Billed::InArrears);
        of_dates("recurring", fee.id.as_str(), &fee.declared_at, Validity { from, ..fee.validity })
    });
    // A charge of an earlier month is billed later if that month was closed without the charge.
    let charges = book.charges.iter().map(|charge| {
        of_dates("charge", charge.id.as_str(), &charge.declared_at, Validity { from: Some(charge.date), to: None })
    });
    let reservations = book
        .reservations
        .iter()
        .map(|one| of_dates(one.charge_kind(), one.id.as_str(), &one.declared_at, one.validity));
    let all = rules.chain(included_units).chain(recurring).chain(charges).chain(reservations);
    let fees = book.terms.fees.iter();
    all.chain(fees.map(|fee| of_dates("fee", fee.id.as_str(), &fee.declared_at, fee.validity))).collect()
}

fn unknown(id: &str, named: &[Named<'_>]) -> Failure {
    let meant = match similar(id, named.iter().map(|named| named.id)).as_slice() {
        [] => String::new(),
        near => format!("did you mean `{}`? ", near.join("`, `")),
    };
    let message = format!("there is no rule, fee, charge or commitment `{id}`");
    Failure::Usage { message, hint: format!("{meant}`conto rules list` shows all") }
}

/// Refuses a month in which a rule is never valid.
fn refuse_invalid(found: &Named<'_>, period: BillingPeriod, zone: &TimeZone) -> Result<(), Failure> {
    let (is_valid, from, to) = match found.valid {
        Bounds::Dates(Validity { from, to }) => {
            let is_valid = from.is_none_or(|from| from < period.end()) && to.is_none_or(|to| period.start() < to);
            (is_valid, from.map(|from| from.to_string()), to.map(|to| to.to_string()))
        }
        Bounds::Instants(from, to) => {
            let mut calendar = Calendar::new(zone.clone());
            let (start, end) = (calendar.day_start(period.start_day()), calendar.day_start(period.end_day()));
            let is_valid = from.is_none_or(|from| from < end) && to.is_none_or(|to| start < to);
            (is_valid, from.map(|from| instant(from).into_owned()), to.map(|to| instant(to).into_owned()))
        }
    };
    if is_valid {
        return Ok(());
    }
    let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
    let to = to.map(|to| format!(" until {to}")).unwrap_or_default();
    Err(Failure::Usage {
        message: format!("{} `{}` is not valid in {period}: its validity is{from}{to}", found.table, found.id),
        hint: "choose a month of its validity with --period YYYY-MM".to_owned(),
    })
}

/// The units of the quantities and prices of a rule.
struct Units {
    metered: Option<String>,
    priced: Option<String>,
    currency: Option<String>,
}

impl Units {
    fn of(found: &Named<'_>, book: &RuleBook) -> Self {
        let Some(rule) = found.rule else { return Self { metered: None, priced: None, currency: None } };
        Self {
            metered: book.meter(&rule.meter).map(|meter| meter.unit.clone()),
            priced: Some(rule.pricing_unit.name.clone()),
            currency: Some(rule.currency.code().to_owned()),
        }
    }

    /// The unit of a column of the relations that a rule becomes.
    fn of_column(&self, column: &str) -> Option<&str> {
        let unit = match column {
            "tier_start" | "tier_end" | "price_per" => &self.priced,
            "pricing_divisor" | "pool_floor" | "pool_ceiling" | "total_above" | "total_up_to" | "package"
            | "rounding_multiple" | "cap_quantity" | "granted_quantity" | "full_quantity" => &self.metered,
            "unit_price" | "flat_fee" | "max_amount" | "minimum" | "maximum" | "cap_price" | "amount" => &self.currency,
            _ => return None,
        };
        unit.as_deref()
    }

    fn of_relation(&self, rows: &RuleRows) -> BTreeMap<&'static str, String> {
        let names = rows.relation.schema.fields().iter().map(|field| field.name().as_str());
        names.filter_map(|name| Some((name, self.of_column(name)?.to_owned()))).collect()
    }
}

impl Explained {
    fn print(&self, printer: &Printer, relations: &[RuleRows], units: &Units) {
        printer.line(&format!("{} `{}` at {}, in {}", self.table, self.rule, self.place, self.period));
        if relations.is_empty() {
            printer.line(&format!("\n{}", without_rows(self.table)));
        }
        for rows in relations {
            printer.line(&format!("\n{}: {}", rows.relation.name, rows.relation.summary));
            print_rows(printer, &rows.rows, units);
        }
        if !self.statements.is_empty() {
            printer.line("\nStatements that apply these rows, in their order:");
        }
        for statement in &self.statements {
            match statement {
                AppliedStatement::Name(name) => printer.line(&format!("  {}", name.file)),
                AppliedStatement::Planned(planned) => {
                    printer.line("");
                    planned.print(printer);
                }
            }
        }
    }
}

/// The reason why a rule has no rows.
fn without_rows(table: &str) -> &'static str {
    match table {
        "fee" => "No rows: a percent fee is computed from the lines of each invoice, and becomes a line itself.",
        _ => "No rows: the rule applies to no account, project or usage of the month.",
    }
}

/// Prints the columns with values. A few rows are columns of the table, so that all values fit beside their units.
fn print_rows(printer: &Printer, rows: &RecordBatch, units: &Units) {
    let schema = rows.schema();
    let used = |index: &usize| rows.column(*index).null_count() < rows.num_rows();
    let columns: Vec<usize> = (0..rows.num_columns()).filter(used).collect();
    let shown = rows.num_rows().min(MOST_ROWS);
    let cells = |index: usize| (0..shown).map(move |row| cell(rows, index, row));
    let unit = |name: &str| units.of_column(name).unwrap_or_default().to_owned();
    if rows.num_rows() <= MOST_COLUMNS {
        let lines = columns.iter().map(|index| {
            let name = schema.field(*index).name();
            [name.clone(), unit(name)].into_iter().chain(cells(*index)).collect()
        });
        let numbers: Vec<String> = (1..=shown).map(|number| number.to_string()).collect();
        let header: Vec<&str> = ["column", "unit"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
        printer.table(&header, &lines.collect::<Vec<_>>(), &[]);
        return;
    }
    let names: Vec<String> = columns.iter().map(|index| schema.field(*index).name().clone()).collect();
    let with_unit = |name: &String| match unit(name).as_str() {
        "" => name.clone(),
        unit => format!("{name} ({unit})"),
    };
    let header: Vec<String> = names.iter().map(with_unit).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let line = |row: usize| columns.iter().map(|index| cell(rows, *index, row)).collect();
    let lines: Vec<Vec<String>> = (0..shown).map(line).collect();
    let is_number = |position: &usize| rows.column(columns[*position]).data_type().is_numeric();
    printer.table(&header, &lines, &(0..columns.len()).filter(is_number).collect::<Vec<_>>());
    if rows.num_rows() > shown {
        printer.line(&format!("and {} more; --json prints all", rows.num_rows() - shown));
    }
}

/// The text of a value. A decimal has no zeros at its end.
fn cell(rows: &RecordBatch, column: usize, row: usize) -> String {
    let options = FormatOptions::new();
    let column = rows.column(column);
    let text = ArrayFormatter::try_new(column, &options).map(|formatter| formatter.value(row).to_string());
    let text = text.unwrap_or_default();
    match column.data_type() {
        DataType::Decimal128(_, scale) if *scale > 0 => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    }
}
