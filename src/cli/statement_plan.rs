//! A statement of `sql/` with its plans, as text or JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lookup::similar;
use super::print::Printer;
use crate::cli::failure::Failure;
use crate::query::{Session, Statement, StatementPlan, statement_named, statements};

/// The largest number of names that a message lists.
const MOST_LISTED: usize = 12;

/// The JSON of a statement. A relation whose rows Rust code writes has no plans.
#[derive(Debug, Serialize)]
pub(super) struct PlannedStatement {
    relation: &'static str,
    file: String,
    statement: &'static str,
    parameters: BTreeMap<&'static str, String>,
    logical_plan: Option<String>,
    physical_plan: Option<String>,
}

impl PlannedStatement {
    /// Plans a statement with the registered relations.
    pub(super) async fn of(session: &Session, statement: &'static Statement) -> Result<Self, Failure> {
        let plan = if statement.has_select() { Some(session.plan_of(statement).await?) } else { None };
        let (parameters, logical_plan, physical_plan) = match plan {
            Some(StatementPlan { parameters, logical, physical }) => (parameters, Some(logical), Some(physical)),
            None => (Vec::new(), None, None),
        };
        Ok(Self {
            relation: &statement.name,
            file: format!("sql/{}", statement.path),
            statement: statement.text,
            parameters: parameters.into_iter().collect(),
            logical_plan,
            physical_plan,
        })
    }

    /// Prints the file and both plans.
    pub(super) fn print(&self, printer: &Printer) {
        printer.line(&format!("{}\n\n{}", self.file, self.statement.trim_end()));
        if self.logical_plan.is_none() {
            printer.line("\nNo plan: the code that the header names writes the rows");
        }
        self.print_plans(printer);
    }

    /// Prints the values of the parameters and both plans.
    fn print_plans(&self, printer: &Printer) {
        if !self.parameters.is_empty() {
            printer.line("\nParameters, with arbitrary values:");
        }
        for (name, value) in &self.parameters {
            printer.line(&format!("  ${name} = {value}"));
        }
        for (title, plan) in [("Logical plan", &self.logical_plan), ("Physical plan", &self.physical_plan)] {
            if let Some(plan) = plan {
                printer.line(&format!("\n{title}:"));
                plan.trim_end().lines().for_each(|line| printer.line(&format!("  {line}")));
            }
        }
    }
}

/// The statement for a name or path. An unknown name is an error that lists similar names.
pub(super) fn find(written: &str) -> Result<&'static Statement, Failure> {
    if let Some(found) = statement_named(written)? {
        return Ok(found);
    }
    let last = written.trim_end_matches(".sql").rsplit('/').next().unwrap_or(written).to_lowercase();
    let names = || statements().into_iter().flatten().map(|(_, statement)| statement.name.as_str());
    let containing = names().filter(|name| !last.is_empty() && name.contains(&last));
    let mut near = similar(&last, names());
    for name in containing {
        if near.len() < MOST_LISTED && !near.contains(&name) {
            near.push(name);
        }
    }
    let meant = match near.as_slice() {
        [] => String::new(),
        near => format!("did you mean `{}`? ", near.join("`, `")),
    };
    Err(Failure::Usage {
        message: format!("there is no relation or check `{written}`"),
        hint: format!(
            "{meant}write a name such as `rated_usage`, or its path below sql/; the page Relations lists all of them"
        ),
    })
}
