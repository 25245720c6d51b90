//! A function of a group of rows in a given order, with its documentation.

use std::hash::{Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType};
use datafusion::common::{DataFusionError, exec_datafusion_err, not_impl_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

/// The state of the groups of one execution.
type Groups = fn() -> Box<dyn GroupsAccumulator>;

/// An aggregate function that requires the order of its `ORDER BY`. Functions with equal names are equal.
///
/// The input must be sorted by group, because a function of ours keeps the rows of one group only. So each function
/// verifies the order of its rows, and a plan in two phases is an error.
#[derive(Debug)]
pub(super) struct OrderedAggregate {
    name: &'static str,
    signature: Signature,
    return_type: DataType,
    documentation: Documentation,
    groups: Groups,
}

impl OrderedAggregate {
    /// A function of the engine. The documentation describes each argument.
    pub(super) fn create(
        name: &'static str,
        arguments: Vec<DataType>,
        return_type: DataType,
        documentation: Documentation,
        groups: Groups,
    ) -> AggregateUDF {
        let signature = Signature::exact(arguments, Volatility::Immutable);
        AggregateUDF::new_from_impl(Self { name, signature, return_type, documentation, groups })
    }
}

impl PartialEq for OrderedAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OrderedAggregate {}

impl Hash for OrderedAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for OrderedAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.return_type.clone())
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::HardRequirement
    }

    /// The function is its own reverse. For a function without a reverse, the engine omits a missing sort and reports
    /// no error.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
        Ok((self.groups)())
    }

    /// The engine calls this method for an aggregate without `GROUP BY`.
    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>, DataFusionError> {
        not_impl_err!("{} without GROUP BY", self.name)
    }
}

/// The error of a plan that aggregates in two phases. Input in one partition has one phase.
pub(super) fn in_two_phases<T>(name: &str) -> Result<T, DataFusionError> {
    not_impl_err!("{name} over several partitions: an ordered aggregate has one phase")
}

/// The values of a column without nulls.
pub(super) fn values<'a, T: ArrowPrimitiveType>(
    name: &str,
    arguments: &'a [ArrayRef],
    index: usize,
) -> Result<&'a [T::Native], DataFusionError> {
    let column = argument(name, arguments, index)?.as_primitive_opt::<T>();
    match column {
        Some(column) if column.null_count() == 0 => Ok(column.values()),
        Some(_) => Err(exec_datafusion_err!("{name}: argument {} contains a null", index + 1)),
        None => Err(exec_datafusion_err!("{name}: argument {} has another type", index + 1)),
    }
}

/// An argument by its index.
pub(super) fn argument<'a>(
    name: &str,
    arguments: &'a [ArrayRef],
    index: usize,
) -> Result<&'a ArrayRef, DataFusionError> {
    arguments.get(index).ok_or_else(|| exec_datafusion_err!("{name} needs more than {index} arguments"))
}

/// The bits of a flag without nulls.
pub(super) fn flags<'a>(
    name: &str,
    arguments: &'a [ArrayRef],
    index: usize,
) -> Result<&'a BooleanBuffer, DataFusionError> {
    match argument(name, arguments, index)?.as_boolean_opt() {
        Some(column) if column.null_count() == 0 => Ok(column.values()),
        Some(_) => Err(exec_datafusion_err!("{name}: argument {} contains a null", index + 1)),
        None => Err(exec_datafusion_err!("{name}: argument {} has another type", index + 1)),
    }
}

/// The number of the rows from `begin` on that belong to the same group.
pub(super) fn run_length(groups: &[usize], begin: usize) -> usize {
    groups[begin..].iter().take_while(|group| **group == groups[begin]).count()
}
