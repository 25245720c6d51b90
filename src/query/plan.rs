//! The plans that the engine makes for a statement, without running it.

use arrow::datatypes::DataType;
use datafusion::physical_plan::displayable;

use super::{Error, Parameters, Session, Statement, statements};

/// The plans of a statement. An indented line is an input of the line above it.
#[derive(Debug)]
pub struct StatementPlan {
    /// The parameters, each with the value in the plans.
    pub parameters: Vec<(&'static str, String)>,
    /// The optimized logical plan.
    pub logical: String,
    pub physical: String,
}

impl Session {
    /// Plans a statement as [`run`](Session::run) does. A relation that is not registered is planned without rows. Each
    /// parameter has an arbitrary value of its type.
    pub async fn plan_of(&self, statement: &'static Statement) -> Result<StatementPlan, Error> {
        let scope = self.scope()?;
        for relation in statements()?.values().filter(|relation| !relation.is_check() && !relation.is_intermediate()) {
            if !self.has(&relation.name) {
                scope.register_rows(&relation.name, relation.schema.clone(), Vec::new())?;
            }
        }
        let (parameters, shown) = arbitrary_parameters(statement);
        let failed = || Error::engine(format!("sql/{}", statement.path));
        let frame = scope.plan(statement, parameters).await?;
        let logical = frame.clone().into_optimized_plan().map_err(failed())?;
        let physical = frame.create_physical_plan().await.map_err(failed())?;
        Ok(StatementPlan {
            parameters: shown,
            logical: logical.display_indent().to_string(),
            physical: displayable(physical.as_ref()).indent(false).to_string(),
        })
    }
}

/// A value for each parameter. The values of two parameters with one type differ, so that the optimizer does not remove
/// a range between them.
fn arbitrary_parameters(statement: &'static Statement) -> (Parameters, Vec<(&'static str, String)>) {
    let mut parameters = Parameters::none();
    let mut shown = Vec::new();
    for (number, (name, kind)) in (1..).zip(&statement.parameters) {
        let (with_value, value) = match kind {
            DataType::Date32 => (parameters.date(name, number), format!("day {number} after 1970-01-01")),
            DataType::Utf8 => (parameters.text(name, name), format!("'{name}'")),
            DataType::Decimal128(precision, scale) => {
                (parameters.decimal(name, i128::from(number), *precision, *scale), format!("{number} units"))
            }
            _ => (parameters.bigint(name, i64::from(number)), number.to_string()),
        };
        parameters = with_value;
        shown.push((name.as_str(), value));
    }
    (parameters, shown)
}
