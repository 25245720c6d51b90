//! Rules with compiled expressions.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::Field;

use crate::error::Error;
use crate::model::rule::Rule;
use crate::query::expression::Compiled;
use crate::rows;

/// A rule with its compiled expressions.
#[derive(Debug)]
pub struct CompiledRule<'a> {
    pub rule: &'a Rule,
    pub(super) when: Option<Compiled>,
    pub(super) multiplier: Option<Compiled>,
    /// The sorted names of the columns that affect the result of the rule.
    pub(super) columns: Vec<String>,
}

impl CompiledRule<'_> {
    /// For each payer, whether the rule applies to the account or project as a whole. All dimensions are unknown in
    /// this check.
    pub(super) fn applies_to_payers(&self, payers: &RecordBatch) -> Result<Vec<bool>, Error> {
        let Some(when) = &self.when else { return Ok(vec![true; payers.num_rows()]) };
        let column = |field: &Arc<Field>| match payers.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), payers.num_rows()),
        };
        let columns = when.schema().fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(payers.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(when.schema()), columns, &options);
        Ok(when.is_true(&batch.map_err(|source| rows::failed("payers", source))?)?)
    }
}
