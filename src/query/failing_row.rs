//! The search for the row whose numbers a statement cannot compute.
//!
//! The engine reports an overflow or a division by zero without the row. So the statement runs again on one half of the
//! series, then on one half of the failing half, until one series is left. The same search then finds the rate and the
//! date.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

use crate::functions::{RowError, aggregate_functions, scalar_functions};

use super::error::{Error, Identity};
use super::{Parameters, Session, Statement, statements};

/// The columns that identify a row, in the order of the search.
const KEYS: [&str; 7] =
    ["series_id", "rate_id", "priced_number", "account_id", "project_id", "invoice_number", "charge_date"];

/// The columns that describe a key for a reader, with their relation.
const DESCRIPTIONS: [(&str, &str, &[&str]); 3] = [
    ("series_id", "active_series", &["meter", "resource_id", "project_id"]),
    ("priced_number", "priced_series", &["rate_id"]),
    ("rate_id", "rate", &["rule_id", "rule_file", "rule_line"]),
];

/// The largest number of rows of all inputs together that are searched. More rows would need too much memory.
const MOST_ROWS: usize = 4_000_000;

/// The inputs of a statement by name.
type Inputs = BTreeMap<&'static str, (SchemaRef, Vec<RecordBatch>)>;

/// The problem with a number, if an error is about a number and not about the engine.
fn problem_of(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => Some("its divisor is zero".to_owned()),
            ArrowError::ArithmeticOverflow(_) => Some("it has too many digits".to_owned()),
            ArrowError::CastError(text) | ArrowError::InvalidArgumentError(text)
                if text.contains("Overflowing on") || text.contains("is too large to store") =>
            {
                Some("it has too many digits".to_owned())
            }
            ArrowError::ComputeError(text) => of_our_function(text),
            _ => None,
        },
        DataFusionError::Execution(text) => of_our_function(text),
        DataFusionError::External(error) => error.downcast_ref::<RowError>().map(|error| error.problem.to_owned()),
        _ => None,
    }
}

/// The problem in an error that begins with the name of a function of ours. Such an error is about the arguments.
fn of_our_function(text: &str) -> Option<String> {
    let scalar = scalar_functions().into_iter().map(|function| function.name().to_owned());
    let mut names = scalar.chain(aggregate_functions().into_iter().map(|function| function.name().to_owned()));
    names.find_map(|name| Some(text.strip_prefix(&name)?.strip_prefix(": ")?.to_owned()))
}

impl Session {
    /// The error of a failed statement. If a number causes it, the error identifies the row of the number as far as
    /// possible.
    pub(super) async fn failed(
        &self,
        statement: &'static Statement,
        parameters: &Parameters,
        source: DataFusionError,
    ) -> Error {
        let Some(problem) = problem_of(&source) else {
            return Error::engine(format!("sql/{}", statement.path))(source);
        };
        let row = self.failing_row(statement, parameters).await.unwrap_or_default();
        Error::Value { path: statement.path.to_owned(), problem, row, source: Box::new(source) }
    }

    /// The keys of the row with which a failed statement fails alone.
    async fn failing_row(&self, statement: &'static Statement, parameters: &Parameters) -> Result<Identity, Error> {
        let mut inputs = self.inputs(statement).await?;
        let mut row = Identity::new();
        let rows: usize = inputs.values().flat_map(|(_, batches)| batches).map(RecordBatch::num_rows).sum();
        if rows > MOST_ROWS {
            return Ok(row);
        }
        for key in KEYS {
            let mut left: Vec<String> = values(&inputs, key)?.into_iter().collect();
            while left.len() > 1 {
                let second = left.split_off(left.len() / 2);
                let is_first = self.fails(statement, parameters, &with_values(&inputs, key, &left)?).await?;
                if !is_first && !self.fails(statement, parameters, &with_values(&inputs, key, &second)?).await? {
                    // Only rows of both halves together cause the failure.
                    left.clear();
                } else if !is_first {
                    left = second;
                }
            }
            if let Some(value) = left.pop() {
                let of_value = with_values(&inputs, key, std::slice::from_ref(&value))?;
                if self.fails(statement, parameters, &of_value).await? {
                    inputs = of_value;
                    row.insert(key, value);
                }
            }
        }
        self.describe(&mut row).await?;
        Ok(row)
    }

    /// The rows of the relations that a statement reads, directly or through intermediate relations.
    async fn inputs(&self, statement: &'static Statement) -> Result<Inputs, Error> {
        let relations = || statements().into_iter().flat_map(|all| all.values()).filter(|one| !one.is_check());
        let mut names: Vec<&'static String> = statement.reads.iter().collect();
        let mut inputs = Inputs::new();
        while let Some(name) = names.pop() {
            let Some(relation) = relations().find(|relation| relation.name == *name) else { continue };
            if relation.is_intermediate() {
                names.extend(&relation.reads);
            } else if self.has(name) && !inputs.contains_key(name.as_str()) {
                let batches = self.rows_of(relation.path.trim_end_matches(".sql")).await?;
                inputs.insert(name.as_str(), (relation.schema.clone(), batches));
            }
        }
        Ok(inputs)
    }

    /// Whether a statement fails because of a number, with these inputs.
    async fn fails(
        &self,
        statement: &'static Statement,
        parameters: &Parameters,
        inputs: &Inputs,
    ) -> Result<bool, Error> {
        let scope = self.scope()?;
        for (name, (schema, batches)) in inputs {
            scope.register_rows(name, schema.clone(), batches.clone())?;
        }
        let rows = scope.plan(statement, parameters.clone()).await?.collect().await;
        Ok(rows.is_err_and(|error| problem_of(&error).is_some()))
    }

    /// Adds the columns that describe the keys of a row.
    async fn describe(&self, row: &mut Identity) -> Result<(), Error> {
        for (key, name, columns) in DESCRIPTIONS {
            let Some(value) = row.get(key).cloned().filter(|_| self.has(name)) else { continue };
            let batches = self.rows_of(&format!("rating/{name}")).await?;
            for batch in batches {
                let keys = texts(&batch, key)?;
                let Some(index) = keys.iter().position(|text| *text == Some(value.clone())) else { continue };
                for column in columns {
                    if let Some(Some(text)) = texts(&batch, column)?.get(index) {
                        row.insert(column, text.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values of a column as texts. Empty if the batch has no such column.
fn texts(batch: &RecordBatch, column: &str) -> Result<Vec<Option<String>>, Error> {
    let Some(column) = batch.column_by_name(column) else { return Ok(Vec::new()) };
    let options = FormatOptions::new();
    let failed = |source| Error::Rows { relation: "the row of a failed statement".to_owned(), source };
    let formatter = ArrayFormatter::try_new(column, &options).map_err(failed)?;
    Ok((0..batch.num_rows()).map(|row| column.is_valid(row).then(|| formatter.value(row).to_string())).collect())
}

/// The different values of a key in all inputs.
fn values(inputs: &Inputs, key: &str) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    for batch in inputs.values().flat_map(|(_, batches)| batches) {
        found.extend(texts(batch, key)?.into_iter().flatten());
    }
    Ok(found)
}

/// The rows of the inputs whose key has one of the values. An input without the key has all rows.
fn with_values(inputs: &Inputs, key: &str, values: &[String]) -> Result<Inputs, Error> {
    let wanted: BTreeSet<&String> = values.iter().collect();
    let mut restricted = Inputs::new();
    for (name, (schema, batches)) in inputs {
        let mut kept = Vec::new();
        for batch in batches {
            if schema.field_with_name(key).is_err() {
                kept.push(batch.clone());
                continue;
            }
            let is_wanted = |text: Option<String>| Some(text.is_some_and(|text| wanted.contains(&text)));
            let mask: BooleanArray = texts(batch, key)?.into_iter().map(is_wanted).collect();
            let failed = |source| Error::Rows { relation: (*name).to_owned(), source };
            kept.push(filter_record_batch(batch, &mask).map_err(failed)?);
        }
        restricted.insert(*name, (schema.clone(), kept));
    }
    Ok(restricted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt64Array, make_array, new_null_array,
    };

    use super::*;
    use crate::query::statement;

    /// A batch with the schema of a statement. A column without given values is null. If the column is `not null`, it
    /// contains empty texts or zeros.
    fn filled(path: &str, rows: usize, given: &[(&str, ArrayRef)]) -> RecordBatch {
        let schema = &statement(path).unwrap().schema;
        let columns = schema.fields().iter().map(|field| {
            let given = given.iter().find(|given| given.0 == field.name());
            let absent = || new_null_array(field.data_type(), rows);
            match given {
                Some((_, values)) => Arc::clone(values),
                None if field.is_nullable() => absent(),
                None => make_array(absent().to_data().into_builder().nulls(None).build().unwrap()),
            }
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    }

    /// Five series have one price each. The fourth price has too many digits after its factor.
    #[tokio::test]
    async fn a_failed_statement_identifies_the_series_and_the_rule() {
        let session = Session::new(None).unwrap();
        let prices = |units: &[i128]| -> ArrayRef {
            let numbers = Decimal128Array::from_iter_values(units.iter().copied());
            Arc::new(numbers.with_precision_and_scale(28, 12).unwrap())
        };
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(1..=5));
        let texts = |texts: [&str; 5]| -> ArrayRef { Arc::new(StringArray::from_iter_values(texts)) };
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values([1; 5]));
        let one: [i128; 5] = [10i128.pow(12); 5];
        let mut unit_prices = one;
        unit_prices[3] = 10i128.pow(27);
        let rates = texts(["a", "b", "c", "d", "e"]);
        let applicable = [
            ("series_id", Arc::clone(&ids)),
            ("rate_id", Arc::clone(&rates)),
            ("unit_price", prices(&unit_prices)),
            ("factor", prices(&[20 * 10i128.pow(12); 5])),
        ];
        let owned = [("series_id", ids), ("account_id", texts(["acme"; 5])), ("project_id", texts(["web"; 5]))];
        let rules = texts(["of a", "of b", "of c", "of d", "of e"]);
        let rate = [("rate_id", Arc::clone(&rates)), ("rule_id", rules), ("rule_file", texts(["r.toml"; 5]))];
        let tier = [("rate_id", rates), ("tier_number", numbers)];
        for (path, given) in [
            ("rating/applicable_rate", &applicable[..]),
            ("rating/active_series", &owned[..]),
            ("rating/rate", &rate[..]),
            ("rating/rate_tier", &tier[..]),
        ] {
            session.register(path, vec![filled(path, 5, given)]).unwrap();
        }

        let error = session.run("rating/factored_price", Parameters::none()).await.unwrap_err();
        let Error::Value { path, problem, row, .. } = error else { panic!("{error:?}") };
        assert_eq!((path.as_str(), problem.as_str()), ("rating/factored_price.sql", "it has too many digits"));
        let found: Vec<(&str, &str)> = row.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected = [
            ("account_id", "acme"),
            ("meter", ""),
            ("project_id", "web"),
            ("rate_id", "d"),
            ("resource_id", ""),
            ("rule_file", "r.toml"),
            ("rule_id", "of d"),
            ("rule_line", "0"),
            ("series_id", "4"),
        ];
        assert_eq!(found, expected);
    }
}
